//! Systems of symbolic matrices, against a Cholesky factorization of the dense one.

#![cfg(feature = "lazy")]

use ndarray::{Array1, Array2, array};
use tilefold::linear::{ConjugateGradients, Diagonal, FnOperator, LinearOperator};
use tilefold::{Axis, Code, LazyTensor};

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

/// `exp(-gamma |x_i - x_j|^2)`
fn dense(x: &Array2<f64>, gamma: f64) -> Array2<f64> {
    Array2::from_shape_fn((x.nrows(), x.nrows()), |(i, j)| {
        let square: f64 = (0..x.ncols()).map(|d| (x[[i, d]] - x[[j, d]]).powi(2)).sum();
        (-gamma * square).exp()
    })
}

/// `(alpha I + K)^-1 b` by Cholesky's factorization.
fn cholesky(k: &Array2<f64>, alpha: f64, b: &Array2<f64>) -> Array2<f64> {
    let n = k.nrows();
    let mut l = Array2::<f64>::zeros((n, n));
    for i in 0..n {
        for j in 0..=i {
            let rest: f64 = (0..j).map(|m| l[[i, m]] * l[[j, m]]).sum();
            let value = k[[i, j]] - rest;
            l[[i, j]] = if i == j { (value + alpha).sqrt() } else { value / l[[j, j]] };
        }
    }
    let mut x = b.clone();
    for c in 0..b.ncols() {
        for i in 0..n {
            let rest: f64 = (0..i).map(|m| l[[i, m]] * x[[m, c]]).sum();
            x[[i, c]] = (x[[i, c]] - rest) / l[[i, i]];
        }
        for i in (0..n).rev() {
            let rest: f64 = (i + 1..n).map(|m| l[[m, i]] * x[[m, c]]).sum();
            x[[i, c]] = (x[[i, c]] - rest) / l[[i, i]];
        }
    }
    x
}

#[track_caller]
fn assert_close(found: &Array2<f64>, wanted: &Array2<f64>, tolerance: f64) {
    assert_eq!(found.dim(), wanted.dim());
    let size = wanted.iter().fold(0.0_f64, |size, w| size.max(w.abs()));
    for (f, w) in found.iter().zip(wanted) {
        assert!((f - w).abs() <= tolerance * size, "{f}, not {w}");
    }
}

#[test]
fn vectors_and_matrices_of_right_sides() {
    let (x, b) = (noise(70, 3, 1), noise(70, 4, 2));
    let (x_i, x_j) = (LazyTensor::i(x.view()), LazyTensor::j(x.view()));
    let k = (-(x_i - x_j).square().sum_inner()).exp();
    let expected = cholesky(&dense(&x, 1.0), 0.1, &b);
    assert_close(&k.solve(&b, 0.1).unwrap(), &expected, 1e-5);
    let one: Array1<f64> = k.solve(&b.column(2).to_owned(), 0.1).unwrap();
    let wanted = expected.column(2).to_owned().insert_axis(ndarray::Axis(1));
    assert_close(&one.insert_axis(ndarray::Axis(1)), &wanted, 1e-5);

    let solver = ConjugateGradients::new().alpha(0.1).tolerance(1e-11);
    let jacobi = Diagonal::jacobi(Array1::ones(70).view(), 0.1);
    let solution = solver.preconditioner(&jacobi).solve(&k, b.view()).unwrap();
    assert_close(&solution.x, &expected, 1e-9);
    assert_eq!(solution.systems.len(), 4);
}

#[test]
fn single_precision_agrees() {
    let (x, b) = (noise(60, 2, 3), noise(60, 2, 4));
    let (x32, b32) = (x.mapv(|v| v as f32), b.mapv(|v| v as f32));
    let (x_i, x_j) = (LazyTensor::i(x32.view()), LazyTensor::j(x32.view()));
    let k = (-(x_i - x_j).square().sum_inner()).exp();
    let found = k.solve(&b32, 0.5).unwrap().mapv(f64::from);
    assert_close(&found, &cholesky(&dense(&x, 1.0), 0.5, &b), 1e-4);
}

#[test]
fn a_preconditioner_may_be_a_solver() {
    // A coarser system, solved well, is a good guess of the inverse of a finer one.
    let (x, b) = (noise(30, 2, 5), noise(30, 1, 6));
    let (x_i, x_j) = (LazyTensor::i(x.view()), LazyTensor::j(x.view()));
    let k = (-(x_i - x_j).square().sum_inner()).exp();
    let inner = ConjugateGradients::new().alpha(0.02).tolerance(1e-12);
    let inverse = FnOperator::symmetric(30, |v, mut out| {
        out.assign(&inner.solve(&k, v)?.x);
        Ok(())
    });
    let solver = ConjugateGradients::new().alpha(0.01).tolerance(1e-10);
    let plain = solver.solve(&k, b.view()).unwrap();
    let helped = solver.preconditioner(&inverse).solve(&k, b.view()).unwrap();
    assert!(2 * helped.iterations() < plain.iterations());
    assert_close(&helped.x, &cholesky(&dense(&x, 1.0), 0.01, &b), 1e-7);
}

#[test]
fn gradients_agree_with_differences() {
    let (x, b, seed) = (noise(12, 2, 7), noise(12, 3, 8), noise(12, 3, 9));
    let (gamma, alpha) = (array![0.7], 0.3);
    let (x_i, x_j) = (LazyTensor::i(x.view()), LazyTensor::j(x.view()));
    let g = LazyTensor::param(gamma.view());
    let k = (-(&g * (&x_i - &x_j).square().sum_inner())).exp();
    let solver = ConjugateGradients::new().alpha(alpha).tolerance(1e-13);
    let a = solver.solve(&k, b.view()).unwrap().x;
    let adjoint = k.solve_vjp(a.view(), seed.view(), &solver).unwrap();

    let loss = |x: &Array2<f64>, gamma: f64, alpha: f64, b: &Array2<f64>| {
        (cholesky(&dense(x, gamma), alpha, b) * &seed).sum()
    };
    let slope = |at: &dyn Fn(f64) -> f64| {
        let h = 1e-3;
        (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h)
    };
    let moved = |array: &Array2<f64>, at: (usize, usize), step: f64| {
        let mut array = array.clone();
        array[at] += step;
        array
    };
    let of_x = Array2::from_shape_fn(x.dim(), |at| {
        slope(&|step| loss(&moved(&x, at, step), 0.7, alpha, &b))
    });
    let of_b = Array2::from_shape_fn(b.dim(), |at| {
        slope(&|step| loss(&x, 0.7, alpha, &moved(&b, at, step)))
    });
    let found = adjoint.gradient(&x_i).unwrap() + adjoint.gradient(&x_j).unwrap();
    assert_close(&found, &of_x, 1e-8);
    assert_close(&adjoint.b().to_owned(), &of_b, 1e-8);
    let of_gamma = slope(&|step| loss(&x, 0.7 + step, alpha, &b));
    assert_close(&adjoint.gradient(&g).unwrap(), &array![[of_gamma]], 1e-8);
    let of_alpha = slope(&|step| loss(&x, 0.7, alpha + step, &b));
    assert!((adjoint.alpha() - of_alpha).abs() <= 1e-8 * of_alpha.abs());

    let error = k.solve_vjp(a.view(), noise(12, 2, 1).view(), &solver).err().unwrap();
    assert_eq!(error.code(), Code::Rows);
}

#[test]
fn operators_of_expressions_have_transposes() {
    let (x, y) = (noise(5, 2, 1), noise(7, 2, 2));
    let k = (LazyTensor::i(x.view()) - LazyTensor::j(y.view())).sum_inner().exp();
    let full = Array2::from_shape_fn((5, 7), |(i, j)| {
        (0..2).map(|d| x[[i, d]] - y[[j, d]]).sum::<f64>().exp()
    });
    let (v, w) = (noise(7, 3, 3), noise(5, 3, 4));
    assert_close(&k.product(v.view()).unwrap(), &full.dot(&v), 1e-14);
    assert_close(&(&k).transposed().product(w.view()).unwrap(), &full.t().dot(&w), 1e-14);
    let error = ConjugateGradients::new().solve(&k, w.view()).unwrap_err();
    assert_eq!((error.code(), error.message().contains("5 x 7")), (Code::Operator, true));
}

#[test]
fn what_is_no_system_is_refused() {
    let (x, b) = (noise(5, 2, 1), noise(5, 1, 2));
    let difference = LazyTensor::i(x.view()) - LazyTensor::j(x.view());
    assert_eq!(difference.solve(&b, 1.0).unwrap_err().code(), Code::Expression);
    let short = noise(4, 2, 3);
    let mistaken = LazyTensor::i(x.view()) * LazyTensor::i(short.view());
    let error = mistaken.solve(&b, 1.0).unwrap_err();
    assert!(error.code() == Code::Rows && error.message().contains("solve.rs"), "{error}");
    let negative = -difference.square().sum_inner();
    let error = negative.solve(&b, 0.0).unwrap_err();
    assert_eq!(error.code(), Code::Unsolved);
    let k = (-difference.square().sum_inner()).exp();
    assert_eq!(k.solve(&noise(6, 1, 1), 1.0).unwrap_err().code(), Code::Rows);
    assert!(k.sum(Axis::J).solve(&b, 1.0).is_err(), "a reduction is a column, not a matrix");
}

#[test]
fn batches_are_solved_block_by_block() {
    let (points, sides) = (noise(3 * 15, 2, 1), noise(3 * 15, 2, 2));
    let x = points.to_shape((3, 15, 2)).unwrap();
    let mut b = sides.to_shape((3, 15, 2)).unwrap().into_owned();
    b.slice_mut(ndarray::s![1, .., 1]).fill(0.0);
    let k = (-(LazyTensor::i(x.view()) - LazyTensor::j(x.view())).square().sum_inner()).exp();
    let found = k.solve_nd(b.view().into_dyn(), 0.2).unwrap();
    assert_eq!(found.shape(), b.shape());
    for (item, x) in x.outer_iter().enumerate() {
        let b = b.index_axis(ndarray::Axis(0), item).to_owned();
        let found = found.index_axis(ndarray::Axis(0), item).to_owned();
        let expected = cholesky(&dense(&x.to_owned(), 1.0), 0.2, &b);
        assert_close(&found.into_dimensionality().unwrap(), &expected, 1e-5);
    }
    let stacked = b.to_shape((45, 2)).unwrap();
    let solution = ConjugateGradients::new().alpha(0.2).solve(&k, stacked.view()).unwrap();
    assert_eq!(solution.systems.len(), 6);
    assert_eq!(solution.systems[3].iterations, 0, "a right side of zeros");
    let transposed = (&k).transposed().product(stacked.view()).unwrap();
    assert_close(&transposed, &k.product(stacked.view()).unwrap(), 1e-14);

    let wrong = k.solve_nd(stacked.view().into_dyn(), 0.2).unwrap_err();
    assert_eq!(wrong.code(), Code::Batch);
    let wrong = k.solve_vjp(stacked.view(), stacked.view(), &ConjugateGradients::new());
    assert_eq!(wrong.err().unwrap().code(), Code::Batch);
}
