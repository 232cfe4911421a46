//! Products.

use crate::ir::{ExprId, Formula, Reduction};
use crate::ops::Op;

use super::{ReduceDef, ReduceEmit, ReduceGrad, Reducer, StateKind};

/// Product of some numbers. Exponents are kept apart, so that nothing overflows on the way: a zero
/// among finite factors gives zero whatever their order.
fn product(values: impl Iterator<Item = f64>) -> f64 {
    let (mut significand, mut exponent) = (1.0, 0i64);
    for value in values {
        let (factor, by) = libm::frexp(value);
        let (rest, more) = libm::frexp(significand * factor);
        significand = rest;
        exponent += i64::from(by) + i64::from(more);
    }
    libm::ldexp(significand, exponent.clamp(-5000, 5000) as i32)
}

/// The product of all other factors at each pair, in a form whose own derivative is right as well.
///
/// A factor x that is not zero leaves `out / x`. A zero leaves the product P of the factors that
/// are not zero if it is the only one. Where there are two, each leaves P times the other, which is
/// `sum of zeros - x`: 0, but not its derivative.
fn others(f: &mut Formula, r: &Reduction, out: ExprId) -> ExprId {
    let x = r.args[0];
    let (zero, one, two) = (f.constant(0.0), f.constant(1.0), f.constant(2.0));
    let with = |f: &mut Formula, reducer, arg| {
        let fold = Reduction { reducer, args: vec![arg], ..r.clone() };
        f.fold(fold)
    };
    let is_zero = f.apply(Op::Eq, &[x, zero], &[]);
    let factor = f.apply(Op::Where, &[is_zero, one, x], &[]);
    let rest = with(f, Reducer::Prod, factor);
    let zeros = with(f, Reducer::Sum, is_zero);
    let gone = f.apply(Op::Where, &[is_zero, x, zero], &[]);
    let gone = with(f, Reducer::Sum, gone);

    let quotient = f.div(out, factor);
    let other = f.sub(gone, x);
    let paired = f.mul(rest, other);
    let (single, double) =
        (f.apply(Op::Eq, &[zeros, one], &[]), f.apply(Op::Eq, &[zeros, two], &[]));
    let at_zero = f.apply(Op::Where, &[double, paired, zero], &[]);
    let at_zero = f.apply(Op::Where, &[single, rest, at_zero], &[]);
    f.apply(Op::Where, &[is_zero, at_zero, quotient], &[])
}

/// Product over an axis.
pub const PROD: ReduceDef = ReduceDef {
    name: "prod",
    doc: "Product, component by component; an empty product is 1. Nothing overflows or underflows \
          before the end. The gradient is the product of the other factors, exact where factors \
          are zero, up to second order; NaN at an infinite factor, and where the product has \
          under- or overflowed it is what that leaves (0, infinite or NaN).",
    arity: 1,
    takes_k: false,
    index: false,
    shape: |d, _| Ok(d[0]),
    least_rows: |_| 0,
    eval: |rows, _, out| {
        for (k, o) in out.iter_mut().enumerate() {
            *o = product(rows.iter().map(|row| row.args[0][k]));
        }
    },
    grad: ReduceGrad::Vjp(|f, r, out, seed| {
        let others = others(f, r, out);
        vec![Some(f.mul(seed, others))]
    }),
    emit: ReduceEmit { state: StateKind::Prod, field: 0 },
    expand: None,
};
