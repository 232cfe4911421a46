//! Systems against elimination in f64, and everything that must be refused.

use std::cell::Cell;

use ndarray::{Array1, Array2, ArrayView2, array, s};

use super::*;
use crate::Code;

/// Numbers in -1..1 without a pattern.
fn noise(rows: usize, cols: usize, seed: u64) -> Array2<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    Array2::from_shape_fn((rows, cols), |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
}

/// The Gaussian kernel of points in three dimensions: badly conditioned without a shift.
fn gaussian(n: usize) -> Array2<f64> {
    let x = noise(n, 3, 7);
    Array2::from_shape_fn((n, n), |(i, j)| {
        (0..3).map(|d| (x[[i, d]] - x[[j, d]]).powi(2)).sum::<f64>().mul_add(-0.5, 0.0).exp()
    })
}

/// `(alpha I + K)^-1 b` by Gaussian elimination with partial pivoting.
fn eliminate(k: &Array2<f64>, alpha: f64, b: &Array2<f64>) -> Array2<f64> {
    let n = k.nrows();
    let (mut a, mut x) = (k + &(Array2::<f64>::eye(n) * alpha), b.clone());
    for pivot in 0..n {
        let best = (pivot..n)
            .max_by(|&s, &t| a[[s, pivot]].abs().total_cmp(&a[[t, pivot]].abs()))
            .unwrap();
        for matrix in [&mut a, &mut x] {
            for c in 0..matrix.ncols() {
                matrix.swap([pivot, c], [best, c]);
            }
        }
        for row in pivot + 1..n {
            let factor = a[[row, pivot]] / a[[pivot, pivot]];
            for matrix in [&mut a, &mut x] {
                let (upper, mut lower) = matrix.view_mut().split_at(ndarray::Axis(0), row);
                lower.row_mut(0).scaled_add(-factor, &upper.row(pivot));
            }
        }
    }
    for row in (0..n).rev() {
        for c in 0..x.ncols() {
            let known: f64 = (row + 1..n).map(|j| a[[row, j]] * x[[j, c]]).sum();
            x[[row, c]] = (x[[row, c]] - known) / a[[row, row]];
        }
    }
    x
}

fn norm(column: ndarray::ArrayView1<f64>) -> f64 {
    column.dot(&column).sqrt()
}

/// The relative error of each column.
#[track_caller]
fn assert_close(found: &Array2<f64>, wanted: &Array2<f64>, tolerance: f64) {
    assert_eq!(found.dim(), wanted.dim());
    for (c, (f, w)) in found.columns().into_iter().zip(wanted.columns()).enumerate() {
        let error = norm((&f - &w).view()) / norm(w);
        assert!(error <= tolerance, "column {c}: {error:e}");
    }
}

/// The residual that a system reports is that of its solution.
#[track_caller]
fn assert_residuals(k: &Array2<f64>, alpha: f64, b: &Array2<f64>, solution: &Solution<f64>) {
    let r = b - &(k.dot(&solution.x) + &solution.x * alpha);
    assert_eq!(solution.systems.len(), b.ncols());
    for (c, system) in solution.systems.iter().enumerate() {
        let residual = norm(r.column(c));
        assert_eq!((system.block, system.column), (0, c));
        assert!((residual - system.residual).abs() <= 1e-12 * norm(b.column(c)), "{system:?}");
        assert_eq!(system.status == Status::Converged, system.residual <= system.target);
    }
}

#[test]
fn agrees_with_elimination() {
    for (n, alpha) in [(1, 0.5), (2, 0.0), (30, 0.1), (120, 1.0)] {
        let (k, b) = (gaussian(n), noise(n, 3, 5));
        let solution =
            ConjugateGradients::new().alpha(alpha).tolerance(1e-12).solve(&k, b.view()).unwrap();
        assert_close(&solution.x, &eliminate(&k, alpha, &b), 1e-8);
        assert_residuals(&k, alpha, &b, &solution);
        assert!(solution.iterations() >= 1);
    }
}

#[test]
fn solves_in_f32_to_what_it_promises() {
    let (k, b) = (gaussian(80), noise(80, 2, 3));
    let (k32, b32) = (k.mapv(|v| v as f32), b.mapv(|v| v as f32));
    let solution = ConjugateGradients::new().alpha(0.5).solve(&k32, b32.view()).unwrap();
    let x = solution.x.mapv(f64::from);
    let r = b32.mapv(f64::from) - (k32.mapv(f64::from).dot(&x) + &x * 0.5);
    for (column, system) in r.columns().into_iter().zip(&solution.systems) {
        assert!(norm(column) <= 1.5 * system.target, "{system:?}");
    }
    assert_close(&x, &eliminate(&k, 0.5, &b), 1e-4);
}

#[test]
fn scales_of_columns_do_not_meet() {
    let k = gaussian(40);
    let unit = noise(40, 1, 11);
    let scales = [1.0, 1e-200, 1e200, 0.0, 1e-12, 5e-324];
    let mut b = Array2::zeros((40, scales.len()));
    for (c, scale) in scales.into_iter().enumerate() {
        b.column_mut(c).assign(&(&unit.column(0) * scale));
    }
    b[[3, 5]] = 5e-324;
    let solve = |b: ArrayView2<f64>| {
        ConjugateGradients::new().alpha(0.25).tolerance(1e-10).solve(&k, b).unwrap()
    };
    let together = solve(b.view());
    for c in 0..scales.len() {
        let alone = solve(b.slice(s![.., c..c + 1]));
        assert_eq!(alone.x.column(0), together.x.column(c), "column {c}");
        assert_eq!(alone.systems[0].iterations, together.systems[c].iterations);
    }
    assert!(together.x.column(3).iter().all(|&v| v == 0.0));
    assert_eq!(together.systems[3].iterations, 0);
    assert_eq!(together.systems[3].status, Status::Converged);
    let expected = eliminate(&k, 0.25, &unit);
    for (c, scale) in scales.into_iter().enumerate().filter(|&(c, _)| c < 5 && c != 3) {
        let x = together.x.slice(s![.., c..c + 1]).mapv(|v| v / scale);
        assert_close(&x, &expected, 1e-8);
    }
    let tiny = unit.mapv(|v| (v * 1e-40) as f32);
    let k32 = k.mapv(|v| v as f32);
    let found = ConjugateGradients::new().alpha(0.25).solve(&k32, tiny.view()).unwrap();
    assert!(found.systems.iter().all(|system| system.residual <= system.target));
}

#[test]
fn columns_stop_on_their_own() {
    // The right sides are eigenvectors and sums of them: one iteration an eigenvalue.
    let d = Array2::from_diag(&array![1.0, 2.0, 3.0, 4.0, 5.0]);
    let b = array![
        [1.0, 1.0, 1.0, 0.0],
        [0.0, 1.0, 1.0, 0.0],
        [0.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 1.0, 1e-3],
    ];
    let solution = ConjugateGradients::new().tolerance(1e-12).solve(&d, b.view()).unwrap();
    let iterations: Vec<usize> = solution.systems.iter().map(|system| system.iterations).collect();
    assert_eq!(iterations, [1, 2, 5, 1]);
    assert_close(&solution.x, &eliminate(&d, 0.0, &b), 1e-12);
}

#[test]
fn blocks_stop_on_their_own() {
    struct Blocks(Vec<Array2<f64>>);
    impl LinearOperator<f64> for Blocks {
        fn rows(&self) -> usize {
            self.0.iter().map(|block| block.nrows()).sum()
        }
        fn cols(&self) -> usize {
            self.rows()
        }
        fn blocks(&self) -> usize {
            self.0.len()
        }
        fn apply(&self, v: ArrayView2<f64>, mut out: ArrayViewMut2<f64>) -> Result<(), Error> {
            let mut first = 0;
            for block in &self.0 {
                let rows = s![first..first + block.nrows(), ..];
                out.slice_mut(rows).assign(&block.dot(&v.slice(rows)));
                first += block.nrows();
            }
            Ok(())
        }
    }
    let operator = Blocks(vec![Array2::eye(20), gaussian(20), gaussian(20) * 100.0]);
    let mut b = noise(60, 2, 2);
    b.slice_mut(s![20..40, 1]).fill(0.0);
    let solver = ConjugateGradients::new().alpha(1e-2).tolerance(1e-11);
    let solution = solver.solve(&operator, b.view()).unwrap();
    assert_eq!(solution.systems.len(), 6);
    for (k, block) in operator.0.iter().enumerate() {
        let rows = s![20 * k..20 * (k + 1), ..];
        let alone = solver.solve(block, b.slice(rows)).unwrap();
        assert_eq!(alone.x, solution.x.slice(rows), "block {k}");
        for (found, alone) in solution.systems[2 * k..].iter().zip(&alone.systems) {
            assert_eq!(found, &System { block: k, ..*alone });
        }
    }
    assert_eq!(solution.systems[0].iterations, 1, "the identity");
    assert_eq!(solution.systems[3].iterations, 0, "a right side of zeros");
    let wrong = Blocks(vec![Array2::eye(2), Array2::eye(3)]);
    let error = solver.solve(&wrong, noise(5, 1, 1).view()).unwrap_err();
    assert_eq!(error.code(), Code::Operator);
}

#[test]
fn a_preconditioner_saves_iterations() {
    let n = 60;
    let scales = Array1::from_shape_fn(n, |i| 10_f64.powf(i as f64 / 15.0));
    let k = Array2::from_shape_fn((n, n), |(i, j)| {
        let near = if i == j { 1.0 } else { 0.3 / (1.0 + (i as f64 - j as f64).abs()).powi(2) };
        near * scales[i] * scales[j]
    });
    let b = noise(n, 2, 9);
    let jacobi = Diagonal::jacobi(k.diag(), 0.1);
    let plain = ConjugateGradients::new().alpha(0.1).tolerance(1e-9);
    let helped = plain.preconditioner(&jacobi).solve(&k, b.view()).unwrap();
    let plain = plain.iterations(100_000).solve(&k, b.view()).unwrap();
    assert!(3 * helped.iterations() < plain.iterations(), "{helped:?} {plain:?}");
    assert_residuals(&k, 0.1, &b, &helped);
    assert_close(&helped.x, &eliminate(&k, 0.1, &b), 1e-5);
}

#[test]
fn ill_conditioned_kernels_are_solved_or_refused() {
    // Hilbert's matrix of 12 rows has the condition number 1.7e16.
    let hilbert = Array2::from_shape_fn((12, 12), |(i, j)| 1.0 / (1 + i + j) as f64);
    let b = noise(12, 2, 4);
    for tolerance in [1e-6, 1e-15] {
        let solver = ConjugateGradients::new().tolerance(tolerance).iterations(500);
        let error = solver.solve(&hilbert, b.view()).unwrap_err();
        assert_eq!(error.code(), Code::Unsolved, "{error}");
        let solution = solver.best_iterate().solve(&hilbert, b.view()).unwrap();
        assert!(!solution.is_converged());
        assert_residuals(&hilbert, 0.0, &b, &solution);
        for (c, system) in solution.systems.iter().enumerate() {
            assert!(system.residual <= norm(b.column(c)), "no worse than 0: {system:?}");
        }
    }
    let shifted = ConjugateGradients::new().alpha(1e-6).tolerance(1e-9);
    let solution = shifted.solve(&hilbert, b.view()).unwrap();
    assert_residuals(&hilbert, 1e-6, &b, &solution);
    assert_close(&solution.x, &eliminate(&hilbert, 1e-6, &b), 1e-2);
}

#[test]
fn a_tolerance_below_rounding_is_refused() {
    let (k, b) = (gaussian(50), noise(50, 1, 6));
    let error = ConjugateGradients::new().alpha(0.1).tolerance(0.0).solve(&k, b.view());
    let error = error.unwrap_err();
    assert_eq!(error.code(), Code::Unsolved);
    assert!(error.message().contains("rounding"), "{error}");
    let k32 = k.mapv(|v| v as f32);
    let b32 = b.mapv(|v| v as f32);
    let error = ConjugateGradients::new().alpha(0.1).tolerance(1e-8).solve(&k32, b32.view());
    assert!(error.unwrap_err().message().contains("rounding"));
}

#[test]
fn the_absolute_tolerance_counts_if_it_is_larger() {
    let (k, b) = (gaussian(50), noise(50, 1, 6) * 1e-3);
    let solver = ConjugateGradients::new().alpha(0.1).tolerance(1e-12);
    let exact = solver.solve(&k, b.view()).unwrap();
    let rough = solver.absolute_tolerance(1e-4).solve(&k, b.view()).unwrap();
    assert!(rough.iterations() < exact.iterations());
    assert_eq!(rough.systems[0].target, 1e-4);
    let none = solver.absolute_tolerance(1.0).solve(&k, b.view()).unwrap();
    assert_eq!(none.iterations(), 0);
    assert_eq!(none.x, Array2::<f64>::zeros((50, 1)));
}

#[test]
fn what_is_not_positive_definite_is_refused() {
    let b = array![[1.0], [1.0]];
    let solver = ConjugateGradients::new();
    for k in [array![[1.0, 0.0], [0.0, -1.0]], array![[0.0, 0.0], [0.0, 0.0]], -gaussian(2)] {
        let error = solver.solve(&k, b.view()).unwrap_err();
        assert!(error.message().contains("operator is not positive definite"), "{error}");
        let best = solver.best_iterate().solve(&k, b.view()).unwrap();
        assert_eq!(best.systems[0].status, Status::NotPositive);
        assert_residuals(&k, 0.0, &b, &best);
    }
    let minus = Diagonal::new(array![-1.0, -1.0]);
    let error = solver.preconditioner(&minus).solve(&gaussian(2), b.view()).unwrap_err();
    assert!(error.message().contains("the preconditioner is not positive definite"), "{error}");
    // Not symmetric: the recurrence may converge, the residual tells.
    let skew = array![[1.0, 5.0], [-5.0, 1.0]];
    assert_eq!(solver.solve(&skew, b.view()).unwrap_err().code(), Code::Unsolved);
}

#[test]
fn what_is_not_finite_is_refused() {
    let k = gaussian(6);
    let solver = ConjugateGradients::new().alpha(1.0);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for row in [0, 5] {
            let mut b = noise(6, 3, 8);
            b[[row, 1]] = bad;
            let error = solver.solve(&k, b.view()).unwrap_err();
            assert!(error.message().contains("column 1 is not solved: a number is not finite"));
            let best = solver.best_iterate().solve(&k, b.view()).unwrap();
            assert_eq!(best.systems[1].status, Status::NotFinite);
            assert!(best.x.column(1).iter().all(|v| v.is_nan()));
            let others = noise(6, 3, 8);
            let others = solver.solve(&k, others.view()).unwrap();
            assert_eq!(best.x.column(0), others.x.column(0));
            assert_eq!(best.x.column(2), others.x.column(2));
        }
    }
    let mut k = gaussian(6);
    k[[2, 3]] = f64::NAN;
    let error = solver.solve(&k, noise(6, 1, 8).view()).unwrap_err();
    assert!(error.message().contains("a number is not finite"), "{error}");
    let huge = gaussian(6) * 1e308;
    let error = solver.solve(&huge, noise(6, 1, 8).view()).unwrap_err();
    assert!(error.message().contains("a number is not finite"), "{error}");
    // The solution overflows, though everything on the way is finite.
    let small = Array2::<f32>::eye(2) * 1e-3;
    let error = ConjugateGradients::new().solve(&small, array![[3e38_f32], [0.0]].view());
    assert!(error.unwrap_err().message().contains("a number is not finite"));
}

#[test]
fn the_limit_of_iterations_holds() {
    let (k, b) = (gaussian(60), noise(60, 2, 12));
    for limit in [0, 1, 7] {
        let products = Cell::new(0);
        let counted = FnOperator::symmetric(60, |v, out| {
            products.set(products.get() + 1);
            k.apply(v, out)
        });
        let solver = ConjugateGradients::new().alpha(1e-3).tolerance(1e-10).iterations(limit);
        let error = solver.solve(&counted, b.view()).unwrap_err();
        assert!(error.message().contains("the limit of iterations"), "{error}");
        assert_eq!(products.get(), limit + 1);
        let best = solver.best_iterate().solve(&k, b.view()).unwrap();
        assert_eq!(best.iterations(), limit);
        assert_residuals(&k, 1e-3, &b, &best);
    }
    let text = ConjugateGradients::new().iterations(1).solve(&k, b.view()).unwrap_err().to_string();
    assert!(text.contains("after 1 iteration;") && text.contains("1 more of 2 systems"), "{text}");
    assert!(text.contains(".best_iterate()"), "{text}");
}

#[test]
fn a_solved_system_costs_one_product_more_than_its_iterations() {
    let (k, b) = (gaussian(60), noise(60, 3, 12));
    let products = Cell::new(0);
    let counted = FnOperator::symmetric(60, |v, out| {
        products.set(products.get() + 1);
        k.apply(v, out)
    });
    let solution = ConjugateGradients::new().alpha(1.0).solve(&counted, b.view()).unwrap();
    assert_eq!(products.get(), solution.iterations() + 1);
}

#[test]
fn empty_systems_are_solved() {
    let solver = ConjugateGradients::new();
    let none = solver.solve(&Array2::<f64>::zeros((0, 0)), Array2::zeros((0, 3)).view()).unwrap();
    assert_eq!(none.x.dim(), (0, 3));
    assert_eq!(none.systems.len(), 3);
    assert!(none.is_converged());
    let none = solver.solve(&gaussian(4), Array2::zeros((4, 0)).view()).unwrap();
    assert_eq!(none.x.dim(), (4, 0));
    assert!(none.systems.is_empty() && none.is_converged());
    assert_eq!(none.iterations(), 0);
}

#[test]
fn one_row_is_a_division() {
    let found = ConjugateGradients::new().alpha(1.0).solve(&array![[3.0]], array![[8.0]].view());
    let found = found.unwrap();
    assert_eq!(found.x, array![[2.0]]);
    assert_eq!(found.systems[0].iterations, 1);
}

#[test]
fn strides_do_not_matter() {
    let k = gaussian(10);
    let b = noise(20, 4, 1);
    let view = b.slice(s![..;-2, ..;2]);
    let solver = ConjugateGradients::new().alpha(1.0);
    let found = solver.solve(&k, view).unwrap();
    assert_eq!(found.x, solver.solve(&k, view.to_owned().view()).unwrap().x);
    assert_eq!(found.x, solver.solve(&k.t(), view).unwrap().x);
}

#[test]
fn shapes_and_settings_are_checked() {
    let code = |result: Result<Solution<f64>, Error>| result.unwrap_err().code();
    let solver = ConjugateGradients::new();
    let (k, b) = (gaussian(4), noise(4, 1, 1));
    assert_eq!(code(solver.solve(&Array2::<f64>::zeros((4, 3)), b.view())), Code::Operator);
    assert_eq!(code(solver.solve(&k, noise(5, 1, 1).view())), Code::Rows);
    let inverse = Identity::new(3);
    assert_eq!(code(solver.preconditioner(&inverse).solve(&k, b.view())), Code::Operator);
    for bad in [f64::NAN, f64::INFINITY] {
        assert_eq!(code(solver.alpha(bad).solve(&k, b.view())), Code::Setting);
    }
    for bad in [f64::NAN, f64::INFINITY, -1e-3] {
        assert_eq!(code(solver.tolerance(bad).solve(&k, b.view())), Code::Setting);
        assert_eq!(code(solver.absolute_tolerance(bad).solve(&k, b.view())), Code::Setting);
    }
    let failing = FnOperator::symmetric(4, |_, _| Err(Error::operator("the line is down")));
    let error = solver.solve(&failing, b.view()).unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::Operator, "the line is down"));
}

#[test]
fn operators_combine() {
    let (a, b) = (noise(4, 3, 1), noise(4, 3, 2));
    let (v, w) = (noise(3, 2, 3), noise(4, 2, 4));
    let sum = (&a).scaled(2.0).plus(&b).unwrap();
    assert_close(&sum.product(v.view()).unwrap(), &(&a * 2.0 + &b).dot(&v), 1e-15);
    let transposed = sum.transposed();
    assert_eq!((transposed.rows(), transposed.cols()), (3, 4));
    assert_close(&transposed.product(w.view()).unwrap(), &(&a * 2.0 + &b).t().dot(&w), 1e-15);
    let square = gaussian(4);
    let shifted = (&square).shifted(0.5).unwrap();
    let expected = (&square + &(Array2::<f64>::eye(4) * 0.5)).dot(&w);
    assert_close(&shifted.product(w.view()).unwrap(), &expected, 1e-15);
    assert_close(&shifted.transposed().product(w.view()).unwrap(), &expected, 1e-15);
    let diagonal = Diagonal::new(array![1.0, 2.0, 3.0, 4.0]).transposed();
    let expected = Array2::from_diag(&array![1.0, 2.0, 3.0, 4.0]).dot(&w);
    assert_close(&diagonal.product(w.view()).unwrap(), &expected, 0.0);

    assert_eq!((&a).plus(&square).unwrap_err().code(), Code::Operator);
    assert_eq!((&a).shifted(1.0).unwrap_err().code(), Code::Operator);
}

#[test]
fn closures_have_the_transpose_that_they_are_given() {
    let a = noise(4, 3, 1);
    let (v, w) = (noise(3, 2, 3), noise(4, 2, 4));
    let bare = FnOperator::new(4, 3, |v, out| LinearOperator::apply(&a, v, out));
    assert_eq!(bare.product(v.view()).unwrap(), a.dot(&v));
    let error = (&bare).transposed().product(w.view()).unwrap_err();
    assert!(error.message().contains("no transpose"), "{error}");
    let both = bare.transpose_with(|v, out| a.apply_transpose(v, out));
    assert_close(&both.transposed().product(w.view()).unwrap(), &a.t().dot(&w), 1e-15);
    let same = FnOperator::symmetric(3, |v, mut out| {
        out.assign(&v);
        Ok(())
    });
    assert_eq!(same.transposed().product(v.view()).unwrap(), v);
    assert_eq!(LinearOperator::product(&a, w.view()).unwrap_err().code(), Code::Rows);
    let empty = Array2::<f64>::zeros((2, 0));
    let nothing = Array2::<f64>::zeros((0, 3));
    assert_eq!(
        LinearOperator::product(&empty, nothing.view()).unwrap(),
        Array2::<f64>::zeros((2, 3))
    );
}

#[test]
fn exponents_are_exact() {
    for value in [1.0, 1.5, 2.0, 3e-310, 5e-324, f64::MAX, f64::MIN_POSITIVE, 0.1] {
        let e = vectors::exponent(value);
        let scaled = vectors::scale(value, -e);
        assert!((1.0..2.0).contains(&scaled), "{value:e}: {scaled}");
        assert_eq!(vectors::scale(scaled, e), value);
    }
}
