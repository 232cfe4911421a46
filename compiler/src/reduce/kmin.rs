//! The k smallest and the k largest values, and where they are.

use super::extrema::before;
use super::{ReduceDef, ReduceEmit, ReduceGrad, Row, StateKind};

/// Most entries kept: the sorted list of every row lives in registers or first-level cache.
pub const MAX_K: usize = 256;

fn shape(dims: &[usize], k: usize) -> Result<usize, String> {
    match k {
        1..=MAX_K => Ok(k * dims[0]),
        _ => Err(format!("k is {k}, but 1 to {MAX_K} entries can be kept")),
    }
}

/// The first entries among `sign * value`. Entry `e` of component `c` stands at `e * dim + c`.
fn first(rows: &[Row], k: usize, sign: f64, out: &mut [f64], pick: fn(&(f64, i64)) -> f64) {
    let dim = out.len() / k;
    for c in 0..dim {
        let mut list: Vec<(f64, i64)> =
            rows.iter().map(|row| (row.args[0][c], row.index)).collect();
        // A stable sort keeps ties in row order.
        let order = |a: f64, b: f64| before(sign * a, sign * b);
        list.sort_by(|a, b| order(b.0, a.0).cmp(&order(a.0, b.0)));
        list.resize(k.max(list.len()), (sign * f64::INFINITY, -1));
        for (e, entry) in list[..k].iter().enumerate() {
            out[e * dim + c] = pick(entry);
        }
    }
}

const NO_GRADIENT: &str =
    "take the row numbers with argkmin or argkmax and differentiate the formula at those rows";

/// The k smallest values.
pub const KMIN: ReduceDef = ReduceDef {
    name: "kmin",
    doc: "The k smallest values of each component, ascending, entry by entry; NaN comes first. \
          Fewer than k rows are an error; +inf where a mask leaves too few.",
    arity: 1,
    takes_k: true,
    index: false,
    shape,
    least_rows: |k| k,
    eval: |rows, k, out| first(rows, k, 1.0, out, |entry| entry.0),
    grad: ReduceGrad::None(NO_GRADIENT),
    emit: ReduceEmit { state: StateKind::KMin, field: 0 },
    expand: None,
};

/// Rows of the k smallest values.
pub const ARG_KMIN: ReduceDef = ReduceDef {
    name: "argkmin",
    doc: "Rows of the k smallest values of each component; ties in row order. Fewer than k rows \
          are an error; -1 where a mask leaves too few.",
    arity: 1,
    takes_k: true,
    index: true,
    shape,
    least_rows: |k| k,
    eval: |rows, k, out| first(rows, k, 1.0, out, |entry| entry.1 as f64),
    grad: ReduceGrad::Zero,
    emit: ReduceEmit { state: StateKind::KMin, field: 1 },
    expand: None,
};

/// The k largest values.
pub const KMAX: ReduceDef = ReduceDef {
    name: "kmax",
    doc: "The k largest values of each component, descending, entry by entry; NaN comes first. \
          Fewer than k rows are an error; -inf where a mask leaves too few.",
    arity: 1,
    takes_k: true,
    index: false,
    shape,
    least_rows: |k| k,
    eval: |rows, k, out| first(rows, k, -1.0, out, |entry| entry.0),
    grad: ReduceGrad::None(NO_GRADIENT),
    emit: ReduceEmit { state: StateKind::KMax, field: 0 },
    expand: None,
};

/// Rows of the k largest values.
pub const ARG_KMAX: ReduceDef = ReduceDef {
    name: "argkmax",
    doc: "Rows of the k largest values of each component; ties in row order. Fewer than k rows \
          are an error; -1 where a mask leaves too few.",
    arity: 1,
    takes_k: true,
    index: true,
    shape,
    least_rows: |k| k,
    eval: |rows, k, out| first(rows, k, -1.0, out, |entry| entry.1 as f64),
    grad: ReduceGrad::Zero,
    emit: ReduceEmit { state: StateKind::KMax, field: 1 },
    expand: None,
};
