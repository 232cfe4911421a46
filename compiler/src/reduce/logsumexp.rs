//! Sums of exponentials, shifted by their maximum so that they neither overflow nor vanish.

use crate::ir::{ExprId, Formula, Reduction};
use crate::ops::Op;

use super::extrema::attained;
use super::{ReduceDef, ReduceEmit, ReduceGrad, Reducer, Row, StateKind};

/// The shift: the largest score that is a number, kept finite so that `x - shift` is never
/// `inf - inf`.
fn shift(rows: &[Row]) -> f64 {
    let largest = rows.iter().map(|r| r.args[0][0]).fold(f64::NEG_INFINITY, f64::max);
    largest.clamp(f64::MIN, f64::MAX)
}

/// `sum exp(x - shift) * w(row)`.
fn shifted(rows: &[Row], weight: impl Fn(&Row) -> f64) -> f64 {
    let m = shift(rows);
    rows.iter().fold(0.0, |total, r| total + libm::exp(r.args[0][0] - m) * weight(r))
}

fn scalar(dims: &[usize]) -> Result<(), String> {
    match dims[0] {
        1 => Ok(()),
        n => Err(format!("the score must be a scalar, but it has {n} components")),
    }
}

/// `exp(x - l)` where `l` is a finished logsumexp: the softmax weight of each pair. Where every
/// score is -inf the weight is 0, not NaN.
fn softmax_weight(f: &mut Formula, x: ExprId, l: ExprId) -> ExprId {
    let floor = f.constant(f64::NEG_INFINITY);
    let zero = f.constant(0.0);
    let none = f.apply(Op::Eq, &[l, floor], &[]);
    let l = f.apply(Op::Where, &[none, zero, l], &[]);
    let d = f.sub(x, l);
    f.apply(Op::Exp, &[d], &[])
}

/// `exp(x - max x)` at each pair, and what the largest score loses because it shifts all others:
/// the seed times the result, at the row that argmax gives.
fn relative(f: &mut Formula, r: &Reduction, out: ExprId, seed: ExprId) -> (ExprId, ExprId) {
    let scores = Reduction { reducer: Reducer::Max, args: vec![r.args[0]], ..r.clone() };
    let largest = f.fold(scores.clone());
    let p = softmax_weight(f, r.args[0], largest);
    let product = f.mul(seed, out);
    let total = f.sum_components(product);
    (p, attained(f, &scores, Reducer::ArgMax, total))
}

/// `log sum exp(x)`.
pub const LOG_SUM_EXP: ReduceDef = ReduceDef {
    name: "logsumexp",
    doc: "log of the sum of exp(x); -inf for an empty set, +inf where a score is +inf.",
    arity: 1,
    takes_k: false,
    index: false,
    shape: |d, _| scalar(d).map(|()| 1),
    least_rows: |_| 0,
    eval: |rows, _, out| out[0] = shift(rows) + libm::log(shifted(rows, |_| 1.0)),
    grad: ReduceGrad::Vjp(|f, r, out, seed| {
        let p = softmax_weight(f, r.args[0], out);
        vec![Some(f.mul(seed, p))]
    }),
    emit: ReduceEmit { state: StateKind::ShiftedExp, field: 0 },
    expand: None,
};

/// `log sum exp(x) w`.
pub const LOG_SUM_EXP_WEIGHT: ReduceDef = ReduceDef {
    name: "logsumexp",
    doc: "log of the sum of exp(x) w for each component of the weight w; -inf for an empty set, \
          NaN where a weighted sum is negative.",
    arity: 2,
    takes_k: false,
    index: false,
    shape: |d, _| scalar(d).map(|()| d[1]),
    least_rows: |_| 0,
    eval: |rows, _, out| {
        for (k, o) in out.iter_mut().enumerate() {
            *o = shift(rows) + libm::log(shifted(rows, |r| r.args[1][k]));
        }
    },
    grad: ReduceGrad::Vjp(|f, r, out, seed| {
        let p = softmax_weight(f, r.args[0], out);
        let weight = f.mul(seed, p);
        let product = f.mul(weight, r.args[1]);
        vec![Some(f.sum_components(product)), Some(weight)]
    }),
    emit: ReduceEmit { state: StateKind::ShiftedExp, field: 2 },
    expand: None,
};

/// `sum exp(x) w / sum exp(x)`.
pub const SOFT_MAX_SUM: ReduceDef = ReduceDef {
    name: "softmaxsum",
    doc: "Mean of w with weights exp(x) / sum exp(x): `sum[j] softmax(x) * w`. An empty set is an \
          error; NaN where a mask or scores of -inf leave no weight.",
    arity: 2,
    takes_k: false,
    index: false,
    shape: |d, _| scalar(d).map(|()| d[1]),
    least_rows: |_| 1,
    eval: |rows, _, out| {
        let total = shifted(rows, |_| 1.0);
        for (k, o) in out.iter_mut().enumerate() {
            *o = shifted(rows, |r| r.args[1][k]) / total;
        }
    },
    grad: ReduceGrad::Vjp(|f, r, out, seed| {
        let plain = Reduction { reducer: Reducer::LogSumExp, args: vec![r.args[0]], ..r.clone() };
        let l = f.fold(plain);
        let p = softmax_weight(f, r.args[0], l);
        let weight = f.mul(seed, p);
        // seed . (w - out) splits into a pair part and a part that leaves the sum.
        let gap = f.sub(r.args[1], out);
        let product = f.mul(weight, gap);
        vec![Some(f.sum_components(product)), Some(weight)]
    }),
    emit: ReduceEmit { state: StateKind::ShiftedExp, field: 3 },
    expand: None,
};

/// `sum exp(x - max x)`.
pub const SUM_SHIFT_EXP: ReduceDef = ReduceDef {
    name: "sumshiftexp",
    doc: "Sum of exp(x - max x), the second half of KeOps' Max_SumShiftExp; 0 for an empty set.",
    arity: 1,
    takes_k: false,
    index: false,
    shape: |d, _| scalar(d).map(|()| 1),
    least_rows: |_| 0,
    eval: |rows, _, out| out[0] = shifted(rows, |_| 1.0),
    grad: ReduceGrad::Vjp(|f, r, out, seed| {
        let (p, top) = relative(f, r, out, seed);
        let direct = f.mul(seed, p);
        vec![Some(f.sub(direct, top))]
    }),
    emit: ReduceEmit { state: StateKind::ShiftedExp, field: 1 },
    expand: None,
};

/// `sum exp(x - max x) w`.
pub const SUM_SHIFT_EXP_WEIGHT: ReduceDef = ReduceDef {
    name: "sumshiftexp",
    doc: "Sum of exp(x - max x) w for each component of the weight w, the second half of KeOps' \
          Max_SumShiftExpWeight; 0 for an empty set.",
    arity: 2,
    takes_k: false,
    index: false,
    shape: |d, _| scalar(d).map(|()| d[1]),
    least_rows: |_| 0,
    eval: |rows, _, out| {
        for (k, o) in out.iter_mut().enumerate() {
            *o = shifted(rows, |r| r.args[1][k]);
        }
    },
    grad: ReduceGrad::Vjp(|f, r, out, seed| {
        let (p, top) = relative(f, r, out, seed);
        let weight = f.mul(seed, p);
        let product = f.mul(weight, r.args[1]);
        let direct = f.sum_components(product);
        vec![Some(f.sub(direct, top)), Some(weight)]
    }),
    emit: ReduceEmit { state: StateKind::ShiftedExp, field: 4 },
    expand: None,
};

/// `softmaxsum` of the row numbers, with the scores `sign * x`.
fn soft_row(f: &mut Formula, r: &Reduction, sign: f64) -> ExprId {
    let score = if sign < 0.0 { f.neg(r.args[0]) } else { r.args[0] };
    let args = vec![score, f.pos(r.axis)];
    f.fold(Reduction { reducer: Reducer::SoftMaxSum, args, ..r.clone() })
}

fn soft_row_eval(rows: &[Row], sign: f64) -> f64 {
    let scores: Vec<Row> = rows
        .iter()
        .map(|row| Row { index: row.index, args: vec![vec![sign * row.args[0][0]]] })
        .collect();
    shifted(&scores, |row| row.index as f64) / shifted(&scores, |_| 1.0)
}

/// Mean row number with weights `exp(-x)`.
pub const SOFT_ARG_MIN: ReduceDef = ReduceDef {
    name: "softargmin",
    doc: "Mean of the row numbers with weights exp(-x) / sum exp(-x): argmin made smooth, a real \
          number. Divide x by a temperature to sharpen or blur it. An empty set is an error; NaN \
          where a mask or scores of +inf leave no weight.",
    arity: 1,
    takes_k: false,
    index: false,
    shape: |d, _| scalar(d).map(|()| 1),
    least_rows: |_| 1,
    eval: |rows, _, out| out[0] = soft_row_eval(rows, -1.0),
    grad: ReduceGrad::Expanded,
    emit: ReduceEmit { state: StateKind::ShiftedExp, field: 3 },
    expand: Some(|f, r| soft_row(f, r, -1.0)),
};

/// Mean row number with weights `exp(x)`.
pub const SOFT_ARG_MAX: ReduceDef = ReduceDef {
    name: "softargmax",
    doc: "Mean of the row numbers with weights exp(x) / sum exp(x): argmax made smooth, a real \
          number. Divide x by a temperature to sharpen or blur it. An empty set is an error; NaN \
          where a mask or scores of -inf leave no weight.",
    arity: 1,
    takes_k: false,
    index: false,
    shape: |d, _| scalar(d).map(|()| 1),
    least_rows: |_| 1,
    eval: |rows, _, out| out[0] = soft_row_eval(rows, 1.0),
    grad: ReduceGrad::Expanded,
    emit: ReduceEmit { state: StateKind::ShiftedExp, field: 3 },
    expand: Some(|f, r| soft_row(f, r, 1.0)),
};
