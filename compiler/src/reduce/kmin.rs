//! The k smallest and the k largest values, and where they are.

use crate::ir::{ExprId, Formula, Reduction};
use crate::ops::Op;

use super::extrema::{at_row, before};
use super::{ReduceDef, ReduceEmit, ReduceGrad, Reducer, Row, StateKind};

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

/// The adjoint of each pair: the seed of the entry that it is, if it is one.
fn attained(f: &mut Formula, r: &Reduction, search: Reducer, seed: ExprId) -> ExprId {
    let found = f.fold(Reduction { reducer: search, ..r.clone() });
    let dim = f.dim(r.args[0]) as i64;
    let mut total: Option<ExprId> = None;
    for entry in 0..r.k as i64 {
        let [row, seed] =
            [found, seed].map(|all| f.apply(Op::Extract, &[all], &[entry * dim, dim]));
        let part = at_row(f, r, row, seed);
        total = Some(total.map_or(part, |before| f.add(before, part)));
    }
    total.expect("k is 1 at least")
}

/// The k smallest values.
pub const KMIN: ReduceDef = ReduceDef {
    name: "kmin",
    doc: "The k smallest values of each component, ascending, entry by entry; NaN comes first. \
          Fewer than k rows are an error; +inf where a mask leaves too few. The gradient of an \
          entry goes to the row that argkmin gives.",
    arity: 1,
    takes_k: true,
    index: false,
    shape,
    least_rows: |k| k,
    eval: |rows, k, out| first(rows, k, 1.0, out, |entry| entry.0),
    grad: ReduceGrad::Vjp(|f, r, _, seed| vec![Some(attained(f, r, Reducer::ArgKMin, seed))]),
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
          Fewer than k rows are an error; -inf where a mask leaves too few. The gradient of an \
          entry goes to the row that argkmax gives.",
    arity: 1,
    takes_k: true,
    index: false,
    shape,
    least_rows: |k| k,
    eval: |rows, k, out| first(rows, k, -1.0, out, |entry| entry.0),
    grad: ReduceGrad::Vjp(|f, r, _, seed| vec![Some(attained(f, r, Reducer::ArgKMax, seed))]),
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
