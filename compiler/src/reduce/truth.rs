//! Truth over an axis. As everywhere in the language, 0 is false and all else is true, NaN too.

use super::{ReduceDef, ReduceEmit, ReduceGrad, Row, StateKind};

fn count(rows: &[Row], k: usize) -> usize {
    rows.iter().filter(|row| row.args[0][k] != 0.0).count()
}

fn truth(condition: bool) -> f64 {
    if condition { 1.0 } else { 0.0 }
}

/// Whether any value is true.
pub const ANY: ReduceDef = ReduceDef {
    name: "any",
    doc: "1 where any value of a component is true (not 0, so NaN is true), else 0; 0 for an \
          empty set.",
    arity: 1,
    takes_k: false,
    index: false,
    shape: |d, _| Ok(d[0]),
    least_rows: |_| 0,
    eval: |rows, _, out| {
        for (k, o) in out.iter_mut().enumerate() {
            *o = truth(count(rows, k) > 0);
        }
    },
    grad: ReduceGrad::Zero,
    emit: ReduceEmit { state: StateKind::Count, field: 1 },
    expand: None,
};

/// Whether all values are true.
pub const ALL: ReduceDef = ReduceDef {
    name: "all",
    doc: "1 where every value of a component is true (not 0, so NaN is true), else 0; 1 for an \
          empty set.",
    arity: 1,
    takes_k: false,
    index: false,
    shape: |d, _| Ok(d[0]),
    least_rows: |_| 0,
    eval: |rows, _, out| {
        for (k, o) in out.iter_mut().enumerate() {
            *o = truth(count(rows, k) == rows.len());
        }
    },
    grad: ReduceGrad::Zero,
    emit: ReduceEmit { state: StateKind::Count, field: 2 },
    expand: None,
};

/// How many values are true.
pub const COUNT: ReduceDef = ReduceDef {
    name: "count",
    doc: "How many values of each component are true (not 0, so NaN is true), as an exact 64-bit \
          integer; 0 for an empty set.",
    arity: 1,
    takes_k: false,
    index: true,
    shape: |d, _| Ok(d[0]),
    least_rows: |_| 0,
    eval: |rows, _, out| {
        for (k, o) in out.iter_mut().enumerate() {
            *o = count(rows, k) as f64;
        }
    },
    grad: ReduceGrad::Zero,
    emit: ReduceEmit { state: StateKind::Count, field: 0 },
    expand: None,
};
