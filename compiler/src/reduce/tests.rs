//! What reductions give, in a table by hand, and their gradients against differences.

use crate::ir::eval::{Matrix, evaluate};
use crate::ir::{Axis, Formula, Reduction};
use crate::passes::vjp;

use super::{ReduceGrad, Reducer, Row};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// Rows 0, 1, 3 and 4; a mask leaves row 2 out.
fn rows(args: [&[[f64; 2]; 4]; 2]) -> Vec<Row> {
    let row = |(n, index): (usize, i64)| Row {
        index,
        args: args.iter().map(|a| a[n].to_vec()).collect(),
    };
    [0, 1, 3, 4].into_iter().enumerate().map(row).collect()
}

fn check(args: [&[[f64; 2]; 4]; 2], table: &[(Reducer, usize, &[f64])]) {
    let rows = rows(args);
    for &(reducer, k, expected) in table {
        let mut found = vec![0.0; expected.len()];
        (reducer.def().eval)(&rows, k, &mut found);
        let near = |(a, b): (&f64, &f64)| {
            a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-15 * b.abs()
        };
        assert!(found.iter().zip(expected).all(near), "{reducer:?} {k}: {found:?}, {expected:?}");
    }
}

#[test]
fn values_are_those_of_the_table() {
    let values = &[[2.0, 0.5], [-1.0, 3.0], [2.5, -2.0], [-1.0, 3.0]];
    let weights = &[[0.5, 1.0], [3.0, 0.0], [2.0, 2.0], [3.0, 1.0]];
    check(
        [values, weights],
        &[
            (Reducer::Sum, 0, &[2.5, 4.5]),
            (Reducer::Mean, 0, &[0.625, 1.125]),
            (Reducer::Var, 0, &[2.671875, 4.296875]),
            (Reducer::Prod, 0, &[5.0, -9.0]),
            (Reducer::Min, 0, &[-1.0, -2.0]),
            (Reducer::Max, 0, &[2.5, 3.0]),
            (Reducer::ArgMin, 0, &[1.0, 3.0]),
            (Reducer::ArgMax, 0, &[3.0, 1.0]),
            (Reducer::KMin, 2, &[-1.0, -2.0, -1.0, 0.5]),
            (Reducer::ArgKMin, 2, &[1.0, 3.0, 4.0, 0.0]),
            (Reducer::KMax, 2, &[2.5, 3.0, 2.0, 3.0]),
            (Reducer::ArgKMax, 2, &[3.0, 1.0, 0.0, 4.0]),
            (Reducer::KMin, 5, &[-1.0, -2.0, -1.0, 0.5, 2.0, 3.0, 2.5, 3.0, INF, INF]),
            (Reducer::ArgKMax, 5, &[3.0, 1.0, 0.0, 4.0, 1.0, 0.0, 4.0, 3.0, -1.0, -1.0]),
            (Reducer::LogSumExp, 0, &[3.0109808676493977]),
            (Reducer::LogSumExpWeight, 0, &[3.410051158314871, 3.4695387708942342]),
            (Reducer::SoftMaxSum, 0, &[1.490438378831022, 1.5817912434035102]),
            (Reducer::SumShiftExp, 0, &[1.6669254265572706]),
            (Reducer::SoftArgMin, 0, &[2.4474183669429017]),
            (Reducer::SoftArgMax, 0, &[1.8902986701806925]),
            (Reducer::Any, 0, &[1.0, 1.0]),
            (Reducer::All, 0, &[1.0, 1.0]),
            (Reducer::Count, 0, &[4.0, 4.0]),
        ],
    );
    let special = &[[0.0, 1e200], [INF, 1e200], [NAN, 1e-300], [0.0, 1e-100]];
    check(
        [special, weights],
        &[
            (Reducer::Min, 0, &[NAN, 1e-300]),
            (Reducer::Max, 0, &[NAN, 1e200]),
            (Reducer::ArgMin, 0, &[3.0, 3.0]),
            (Reducer::ArgMax, 0, &[3.0, 0.0]),
            (Reducer::KMax, 3, &[NAN, 1e200, INF, 1e200, 0.0, 1e-100]),
            (Reducer::ArgKMin, 3, &[3.0, 3.0, 0.0, 4.0, 4.0, 0.0]),
            (Reducer::Prod, 0, &[NAN, 1.0]),
            (Reducer::Any, 0, &[1.0, 1.0]),
            (Reducer::All, 0, &[0.0, 1.0]),
            (Reducer::Count, 0, &[2.0, 4.0]),
        ],
    );
}

#[test]
fn nothing_but_zeros_is_false() {
    let values = &[[0.0, 0.0], [-0.0, 0.0], [0.0, NAN], [0.0, -0.0]];
    check(
        [values, values],
        &[
            (Reducer::Any, 0, &[0.0, 1.0]),
            (Reducer::All, 0, &[0.0, 0.0]),
            (Reducer::Count, 0, &[0.0, 1.0]),
        ],
    );
}

#[test]
fn no_rows_give_the_neutral_element() {
    for (reducer, expected) in [
        (Reducer::Sum, &[0.0, 0.0][..]),
        (Reducer::Prod, &[1.0, 1.0]),
        (Reducer::Min, &[INF, INF]),
        (Reducer::Max, &[-INF, -INF]),
        (Reducer::LogSumExp, &[-INF]),
        (Reducer::Any, &[0.0, 0.0]),
        (Reducer::All, &[1.0, 1.0]),
        (Reducer::Count, &[0.0, 0.0]),
    ] {
        let def = reducer.def();
        assert_eq!((def.least_rows)(0), 0, "{reducer:?}");
        let mut found = vec![0.0; expected.len()];
        (def.eval)(&[], 0, &mut found);
        assert_eq!(found, expected, "{reducer:?}");
    }
}

/// `sum(d a)` for the result `a`, at rows x of i and w of j, and its gradient by w.
fn gradient_of(reducer: Reducer) -> (Formula, Formula) {
    let mut f = Formula::new("f");
    let x = f.input("x", Some(Axis::I), 1).expect("valid");
    let w = f.input("w", Some(Axis::J), 1).expect("valid");
    let (score, k) = (f.mul(x, w), if reducer.def().takes_k { 2 } else { 0 });
    let args = [score, w][..reducer.def().arity].to_vec();
    let a = f.reduce(Reduction { reducer, axis: Axis::J, args, mask: None, k }).expect("it fits");
    f.output("a", Some(Axis::I), a).expect("rows of i");
    let gradient = vjp(&f, "a", &["w".into()]).expect("differentiable");
    (f, gradient)
}

#[test]
fn gradients_are_those_of_differences() {
    let differentiable = |r: &&Reducer| !matches!(r.def().grad, ReduceGrad::Zero);
    let of = |data: &[f64]| Matrix { rows: data.len(), cols: 1, data: data.to_vec() };
    for &reducer in Reducer::ALL.iter().filter(differentiable) {
        let (f, gradient) = gradient_of(reducer);
        let x = of(&[0.7, -1.3]);
        // The factors that are left where some are zero have cases of their own.
        let zeros = [[0.0, 1.9, 0.8, 1.1], [0.0, 1.9, 0.0, 1.1]];
        let zeros = &zeros[..if reducer == Reducer::Prod { 2 } else { 0 }];
        for w in [[0.4, 1.9, 0.8, 1.1]].iter().chain(zeros) {
            let entries = if reducer.def().takes_k { 2 } else { 1 };
            let seed = Matrix { rows: 2, cols: entries, data: vec![0.6, -0.9, 1.4, 0.3] };
            let seed = Matrix { data: seed.data[..2 * entries].to_vec(), ..seed };
            let total = |w: &[f64]| -> f64 {
                let out = evaluate(&f, 2, 4, &[x.clone(), of(w)]).expect("it fits");
                out[0].data.iter().zip(&seed.data).map(|(a, d)| a * d).sum()
            };
            let found =
                evaluate(&gradient, 2, 4, &[x.clone(), of(w), seed.clone()]).expect("it fits");
            for n in 0..4 {
                let at = |step: f64| {
                    let mut w = *w;
                    w[n] += step;
                    total(&w)
                };
                let (h, found) = (1e-5, found[0].data[n]);
                let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
                assert!((found - slope).abs() <= 1e-8, "{reducer:?}, w[{n}]: {found}, not {slope}");
            }
        }
    }
}
