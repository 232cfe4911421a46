//! Sums.

use super::{ReduceDef, ReduceEmit, ReduceGrad, StateKind};

/// Sum over an axis.
pub const SUM: ReduceDef = ReduceDef {
    name: "sum",
    doc: "Sum, component by component; an empty sum is 0.",
    arity: 1,
    takes_k: false,
    index: false,
    shape: |d, _| Ok(d[0]),
    least_rows: |_| 0,
    eval: |rows, _, out| {
        for row in rows {
            for (o, v) in out.iter_mut().zip(&row.args[0]) {
                *o += v;
            }
        }
    },
    grad: ReduceGrad::Vjp(|_, _, _, seed| vec![Some(seed)]),
    emit: ReduceEmit { state: StateKind::Sum, field: 0 },
    expand: None,
};
