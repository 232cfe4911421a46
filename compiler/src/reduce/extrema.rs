//! Smallest and largest values, and where they are.
//!
//! The order is total: NaN comes first, then the value, then the row number. So a NaN anywhere
//! gives NaN (never a number that hides it), and ties go to the lowest row.

use crate::ir::{ExprId, Formula, Reduction};
use crate::ops::Op;

use super::{ReduceDef, ReduceEmit, ReduceGrad, Reducer, Row, StateKind};

/// Whether `a` comes before `b` in the order of `min`: NaN first, then the smaller value.
pub(super) fn before(a: f64, b: f64) -> bool {
    a < b || (a.is_nan() && !b.is_nan())
}

/// The row whose component `k` comes first, among `sign * value`.
fn first(rows: &[Row], k: usize, sign: f64) -> Option<(f64, i64)> {
    let mut best: Option<(f64, i64)> = None;
    for row in rows {
        let v = sign * row.args[0][k];
        if best.is_none_or(|(b, _)| before(v, b)) {
            best = Some((v, row.index));
        }
    }
    best.map(|(v, i)| (sign * v, i))
}

fn value(rows: &[Row], sign: f64, out: &mut [f64]) {
    for (k, o) in out.iter_mut().enumerate() {
        *o = first(rows, k, sign).map_or(sign * f64::INFINITY, |(v, _)| v);
    }
}

fn index(rows: &[Row], sign: f64, out: &mut [f64]) {
    for (k, o) in out.iter_mut().enumerate() {
        *o = first(rows, k, sign).map_or(-1.0, |(_, i)| i as f64);
    }
}

/// The seed at the row that the result was found at, 0 elsewhere. `search` gives that row, out of
/// the same accumulator; where a mask leaves none it is -1, which no row is.
pub(super) fn attained(f: &mut Formula, r: &Reduction, search: Reducer, seed: ExprId) -> ExprId {
    let found = f.fold(Reduction { reducer: search, ..r.clone() });
    at_row(f, r, found, seed)
}

/// `seed` at the pairs whose row along the reduced axis is `row`, 0 elsewhere.
pub(super) fn at_row(f: &mut Formula, r: &Reduction, row: ExprId, seed: ExprId) -> ExprId {
    let here = f.pos(r.axis);
    let chosen = f.apply(Op::Eq, &[here, row], &[]);
    let zero = f.constant(0.0);
    f.apply(Op::Where, &[chosen, seed, zero], &[])
}

/// Smallest value.
pub const MIN: ReduceDef = ReduceDef {
    name: "min",
    doc: "Smallest value of each component; NaN if any is NaN; +inf for an empty set. Its gradient \
          goes to the row that argmin gives, so an empty set has none.",
    arity: 1,
    takes_k: false,
    index: false,
    shape: |d, _| Ok(d[0]),
    least_rows: |_| 0,
    eval: |rows, _, out| value(rows, 1.0, out),
    grad: ReduceGrad::Vjp(|f, r, _, seed| vec![Some(attained(f, r, Reducer::ArgMin, seed))]),
    emit: ReduceEmit { state: StateKind::Min, field: 0 },
    expand: None,
};

/// Largest value.
pub const MAX: ReduceDef = ReduceDef {
    name: "max",
    doc: "Largest value of each component; NaN if any is NaN; -inf for an empty set. Its gradient \
          goes to the row that argmax gives, so an empty set has none.",
    arity: 1,
    takes_k: false,
    index: false,
    shape: |d, _| Ok(d[0]),
    least_rows: |_| 0,
    eval: |rows, _, out| value(rows, -1.0, out),
    grad: ReduceGrad::Vjp(|f, r, _, seed| vec![Some(attained(f, r, Reducer::ArgMax, seed))]),
    emit: ReduceEmit { state: StateKind::Max, field: 0 },
    expand: None,
};

/// Row of the smallest value.
pub const ARG_MIN: ReduceDef = ReduceDef {
    name: "argmin",
    doc: "Row of the smallest value of each component: the first NaN if there is one, else the \
          lowest row among ties. An empty set is an error; -1 where a mask leaves none.",
    arity: 1,
    takes_k: false,
    index: true,
    shape: |d, _| Ok(d[0]),
    least_rows: |_| 1,
    eval: |rows, _, out| index(rows, 1.0, out),
    grad: ReduceGrad::Zero,
    emit: ReduceEmit { state: StateKind::ArgMin, field: 1 },
    expand: None,
};

/// Row of the largest value.
pub const ARG_MAX: ReduceDef = ReduceDef {
    name: "argmax",
    doc: "Row of the largest value of each component: the first NaN if there is one, else the \
          lowest row among ties. An empty set is an error; -1 where a mask leaves none.",
    arity: 1,
    takes_k: false,
    index: true,
    shape: |d, _| Ok(d[0]),
    least_rows: |_| 1,
    eval: |rows, _, out| index(rows, -1.0, out),
    grad: ReduceGrad::Zero,
    emit: ReduceEmit { state: StateKind::ArgMax, field: 1 },
    expand: None,
};
