//! Bad expressions, formulas as strings, clusters, and linear systems.

use ndarray::{Array1, Array2, array};
use tilefold::cluster::{grid_cluster, sort_clusters};
use tilefold::linear::{ConjugateGradients, Diagonal, Identity, LinearOperator};
use tilefold::{Error, Ranges};

use crate::{Bench, misuse, refused};

fn solve(b: &Bench, solver: &ConjugateGradients<'_, f64>, rows: usize) -> Result<(), Error> {
    let k = Array2::from_diag(&Array1::from_vec(vec![1.0, 2.0, f64::from(b.gamma)]));
    solver.solve(&k, Array2::<f64>::ones((rows, 1)).view()).map(drop)
}

/// The half of KeOps' arrays for reductions over j, the other one empty.
fn from_arrays(ranges: &[[i64; 2]], slices: &[i64], reds: &[[i64; 2]]) -> Result<(), Error> {
    let (ranges, reds, slices) =
        (Array2::from(ranges.to_vec()), Array2::from(reds.to_vec()), slices);
    let none = Array2::<i64>::zeros((0, 2));
    let over_j = (ranges.view(), slices.into(), reds.view());
    Ranges::from_arrays(over_j, (none.view(), (&[]).into(), none.view())).map(drop)
}

misuse! { refused;
    misuse_ranges_of_wrong_matrix Ranges
        |_| Ranges::from_matrix(&[0..1, 1..2], &[0..1, 1..2], array![[true]].view()).map(drop),
    misuse_clusters_that_overlap Ranges |_| {
        let keep = array![[true, true], [true, true]];
        Ranges::from_matrix(&[0..2, 1..3], &[0..1, 1..2], keep.view()).map(drop)
    },
    misuse_negative_range Ranges |_| from_arrays(&[[-1, 2]], &[1], &[[0, 2]]),
    misuse_slices_that_fall Ranges |_| from_arrays(&[[0, 1], [1, 2]], &[1, 0], &[[0, 2]]),
    misuse_slices_past_ranges Ranges |_| from_arrays(&[[0, 1]], &[7], &[[0, 2]]),
    misuse_halves_that_differ Ranges |_| from_arrays(&[[0, 1]], &[1], &[[0, 2]]),

    misuse_cluster_of_nan Clusters
        |_| grid_cluster(array![[f64::NAN, 0.0]].view(), &[0.5, 0.5]).map(drop),
    misuse_cluster_of_no_size Clusters
        |_| grid_cluster(array![[1.0, 0.0]].view(), &[0.0, 0.5]).map(drop),
    misuse_labels_of_other_length Clusters
        |_| sort_clusters(array![[1.0], [2.0]].view(), array![0].view()).map(drop),

    misuse_operator_not_square Operator |b| {
        let k = Array2::<f64>::ones((3, 2));
        let b = Array2::from_elem((3, 1), f64::from(b.gamma));
        ConjugateGradients::new().solve(&k, b.view()).map(drop)
    },
    misuse_operator_of_other_rows Rows |_| {
        let v = Array2::<f64>::ones((2, 1));
        LinearOperator::product(&Identity::new(3), v.view()).map(drop)
    },
    misuse_right_side_too_short Rows |b| solve(b, &ConjugateGradients::new(), 2),
    misuse_ridge_of_nan Setting |b| solve(b, &ConjugateGradients::new().alpha(f64::NAN), 3),
    misuse_tolerance_of_nan Setting |b| solve(b, &ConjugateGradients::new().tolerance(f64::NAN), 3),
    misuse_preconditioner_of_other_size Operator |b| {
        let other = Diagonal::new(Array1::<f64>::ones(2));
        solve(b, &ConjugateGradients::new().preconditioner(&other), 3)
    },
    misuse_too_few_iterations Unsolved |b| solve(b, &ConjugateGradients::new().iterations(1), 3),
}

/// Expressions, where they are compiled.
#[cfg(feature = "lazy")]
pub mod expressions {
    use ndarray::Array3;
    use tilefold::{Axis, LazyTensor, Options, Tiers};

    use super::*;

    fn x(b: &Bench) -> LazyTensor<'_, f32> {
        LazyTensor::i(b.x.view())
    }

    fn y(b: &Bench) -> LazyTensor<'_, f32> {
        LazyTensor::j(b.y.view())
    }

    misuse! { refused;
        misuse_dimensions_that_do_not_fit Expression
            |b| (x(b).concat(y(b)) + x(b)).sum(Axis::J).eval().map(drop),
        misuse_component_that_is_not_there Expression
            |b| x(b).elem(2).eval().map(drop),
        misuse_slice_past_the_end Expression |b| x(b).slice(1..9).eval().map(drop),
        misuse_condition_of_two_components Expression
            |b| x(b).masked(y(b)).sum(Axis::J).eval().map(drop),
        misuse_masked_value_added Expression
            |b| (x(b).masked(y(b).elem(0)) + 1).sum(Axis::J).eval().map(drop),
        misuse_masked_value_differentiated Expression |b| {
            let x = x(b);
            let ones = x.clone();
            x.masked(x.elem(0)).vjp(ones, &x).eval().map(drop)
        },
        misuse_array_without_rows Rank
            |b| LazyTensor::<f32>::i(ndarray::arr0(b.gamma).view()).eval().map(drop),
        misuse_array_without_columns Columns |_| {
            let none = Array2::<f32>::ones((4, 0));
            LazyTensor::<f32>::j(none.view()).sum(Axis::J).eval().map(drop)
        },
        misuse_arrays_of_two_lengths Rows |b| {
            let other = Array2::<f32>::ones((7, 2));
            (y(b) + LazyTensor::j(other.view())).sum(Axis::J).eval().map(drop)
        },
        misuse_batches_that_do_not_fit Batch |_| {
            let (a, b) = ([(2, 3, 1), (4, 3, 1)]).map(Array3::<f32>::ones).into();
            (LazyTensor::i(a.view()) + LazyTensor::i(b.view())).eval().map(drop)
        },
        misuse_matrix_evaluated Unreduced |b| (x(b) - y(b)).eval().map(drop),
        misuse_matrix_differentiated Unreduced |b| {
            let x = x(b);
            (&x - y(b)).vjp(1.0, &x).eval().map(drop)
        },
        misuse_gradient_of_expression Derivative |b| {
            let a = (x(b) - y(b)).sum(Axis::J);
            let ones = LazyTensor::i(b.x.view());
            a.vjp(ones, &(x(b) * 2)).eval().map(drop)
        },
        misuse_seed_of_other_shape Derivative |b| {
            let x = x(b);
            let a = (&x - y(b)).sum(Axis::J);
            a.vjp(1.0, &x).eval().map(drop)
        },
        misuse_formula_too_long_to_interpret TooLong |_| {
            let matrix = Array2::<f32>::ones((1, 4096));
            let (x, y) = (LazyTensor::i(matrix.view()), LazyTensor::j(matrix.view()));
            let product = x.matmul(&y, 64, 64, 64).matmul(&x, 64, 64, 64).matmul(&y, 64, 64, 64);
            let options = Options::new().tiers(Tiers::INTERPRETED);
            product.sum(Axis::J).eval_with(options).map(drop)
        },
        misuse_tier_without_code NoExecutor |b| {
            y(b).sum(Axis::J).eval_with(Options::new().tiers(Tiers::LINKED)).map(drop)
        },
    }
}

/// KeOps' strings, where they are compiled.
#[cfg(feature = "text")]
pub mod strings {
    use tilefold::{Axis, Call, Dtype, Formula, Genred, LazyTensor, OpenFormula};

    use super::*;

    static NORMS: Formula =
        Formula { name: "norms", file: "norms.fold", generics: &["D"], instances: &[] };

    /// A formula that is made for the columns of its array, three or more.
    static OPEN: OpenFormula = OpenFormula {
        compiled: &NORMS,
        text: "tilefold 1; formula norms<D: dyn> { y[j] : R^D; a = sum[j] sqnorm2(y[2:]); }",
        name: "norms",
        derivative: None,
        members: &[None],
        dtypes: &[Dtype::F32],
    };

    fn open(dtype: Dtype, columns: usize) -> Result<Call<'static>, Error> {
        OPEN.call(dtype, &[("y", columns)])
    }

    fn conv() -> Result<Genred, Error> {
        Genred::new("Exp(-SqDist(x, y))", &["x = Vi(2)", "y = Vj(2)"], "Sum", Axis::J)
    }

    misuse! { refused;
        misuse_code_in_alias Text |_| {
            let alias = "y = Vj(__import__('os').system('id')+1, 1)";
            Genred::new("x + y", &["x = Vi(1)", alias], "Sum", Axis::J).map(drop)
        },
        misuse_code_in_formula Text |_| {
            let formula = "x * eval('__import__(\"os\")')";
            Genred::new(formula, &["x = Vi(1)"], "Sum", Axis::J).map(drop)
        },
        misuse_unknown_reduction Text
            |_| Genred::new("x", &["x = Vi(1)"], "Median", Axis::J).map(drop),
        misuse_component_outside_of_vector Text
            |_| Genred::new("Elem(x, -1)", &["x = Vi(3)"], "Sum", Axis::J).map(drop),
        misuse_inputs_of_other_count Count |b| {
            conv()?.call(&[LazyTensor::<f32>::i(b.x.view())]).eval().map(drop)
        },
        misuse_inputs_exchanged Expression |b| {
            let (x, y) = (LazyTensor::<f32>::i(b.x.view()), LazyTensor::j(b.y.view()));
            conv()?.call(&[y, x]).eval().map(drop)
        },
        misuse_size_of_nothing Instance |_| open(Dtype::F32, 0).map(drop),
        misuse_size_beyond_every_limit Instance |_| open(Dtype::F32, usize::MAX).map(drop),
        misuse_size_without_a_formula Text |_| open(Dtype::F32, 2).map(drop),
        misuse_dtype_of_no_formula Instance |_| open(Dtype::F64, 3).map(drop),
        misuse_columns_of_another_size Columns
            |b| open(Dtype::F32, 7)?.arg("y", b.y.view()).run().map(drop),
        misuse_masked_input Expression |b| {
            let (x, y) = (LazyTensor::<f32>::i(b.x.view()), LazyTensor::j(b.y.view()));
            conv()?.call(&[x.masked(1), y]).eval().map(drop)
        },
    }
}
