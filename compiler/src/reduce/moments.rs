//! Means and variances.

use super::{ReduceDef, ReduceEmit, ReduceGrad, Reducer, Row, StateKind, rows_of};
use crate::ir::Reduction;

fn mean(rows: &[Row], k: usize) -> f64 {
    rows.iter().map(|row| row.args[0][k]).sum::<f64>() / rows.len() as f64
}

/// Mean over an axis.
pub const MEAN: ReduceDef = ReduceDef {
    name: "mean",
    doc: "Arithmetic mean of each component: the sum divided by the number of rows that take \
          part. An empty set is an error; NaN where a mask leaves none.",
    arity: 1,
    takes_k: false,
    index: false,
    shape: |d, _| Ok(d[0]),
    least_rows: |_| 1,
    eval: |rows, _, out| {
        for (k, o) in out.iter_mut().enumerate() {
            *o = mean(rows, k);
        }
    },
    grad: ReduceGrad::Vjp(|f, r, _, seed| {
        let rows = rows_of(f, r);
        vec![Some(f.div(seed, rows))]
    }),
    emit: ReduceEmit { state: StateKind::Mean, field: 1 },
    expand: None,
};

/// Variance over an axis.
///
/// Two passes in the evaluator; one pass in emitted code, which merges parts by T. F. Chan, G. H.
/// Golub and R. J. LeVeque, "Algorithms for computing the sample variance", 1983.
pub const VAR: ReduceDef = ReduceDef {
    name: "var",
    doc: "Population variance of each component: the mean of the squared distances from the \
          mean. Stable where the mean is large; 0 for one row; NaN where a value is infinite. An \
          empty set is an error; NaN where a mask leaves none. The standard deviation is \
          `sqrt(var[j] x)`.",
    arity: 1,
    takes_k: false,
    index: false,
    shape: |d, _| Ok(d[0]),
    least_rows: |_| 1,
    eval: |rows, _, out| {
        for (k, o) in out.iter_mut().enumerate() {
            let center = mean(rows, k);
            let squares = rows.iter().map(|row| row.args[0][k] - center).map(|d| d * d);
            *o = squares.sum::<f64>() / rows.len() as f64;
        }
    },
    grad: ReduceGrad::Vjp(|f, r, _, seed| {
        let mean = Reduction { reducer: Reducer::Mean, ..r.clone() };
        let mean = f.fold(mean);
        let rows = rows_of(f, r);
        let seed = f.scale(2.0, seed);
        let weight = f.div(seed, rows);
        let distance = f.sub(r.args[0], mean);
        vec![Some(f.mul(weight, distance))]
    }),
    emit: ReduceEmit { state: StateKind::Var, field: 0 },
    expand: None,
};
