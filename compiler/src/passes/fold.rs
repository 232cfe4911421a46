//! Constant folding and exact identities.
//!
//! Every rule here gives the same bits for every IEEE value, NaN and infinities included.

use crate::ir::{ExprId, Formula, Node};
use crate::ops::Op;

use super::rewrite::{keep, rewrite};

/// Computes scalars that are constant and drops operations that do nothing.
pub fn fold(formula: &Formula) -> Formula {
    rewrite(formula, |f, _, node| match node {
        Node::Op(op, args, params) => identity(f, op, &args)
            .or_else(|| evaluate(f, op, &args, &params))
            .unwrap_or_else(|| f.apply(op, &args, &params)),
        other => keep(f, other),
    })
}

/// The rules, one equation each.
fn identity(f: &mut Formula, op: Op, args: &[ExprId]) -> Option<ExprId> {
    let is = |id: ExprId, value: f64| f.as_const(id) == Some(value);
    let fits = |kept: ExprId, other: ExprId| f.dim(kept) >= f.dim(other);
    let inner = |id: ExprId, wanted: Op| match f.node(id) {
        Node::Op(found, inner, _) if *found == wanted => Some(inner[0]),
        _ => None,
    };
    match (op, args) {
        // x * 1 == x, 1 * x == x
        (Op::Mul, &[x, one]) if is(one, 1.0) && fits(x, one) => Some(x),
        (Op::Mul, &[one, x]) if is(one, 1.0) && fits(x, one) => Some(x),
        // x / 1 == x
        (Op::Div, &[x, one]) if is(one, 1.0) && fits(x, one) => Some(x),
        // x / 2^n == x * 2^-n
        (Op::Div, &[x, c]) => {
            let inverse = f.as_const(c).filter(|&c| is_power_of_two(c))?.recip();
            Some(f.scale(inverse, x))
        }
        // -(-x) == x
        (Op::Neg, &[x]) => inner(x, Op::Neg),
        // the sum of one component is that component
        (Op::Sum, &[x]) if f.dim(x) == 1 => Some(x),
        _ => None,
    }
}

/// Whether a number and its reciprocal are normal powers of two, in f32 too.
fn is_power_of_two(value: f64) -> bool {
    let bits = value.to_bits();
    let (mantissa, exponent) = (bits & ((1 << 52) - 1), (bits >> 52) & 0x7ff);
    mantissa == 0 && (1023 - 125..=1023 + 125).contains(&exponent)
}

/// An operation on constants, in float64 with the same `libm` on every host.
fn evaluate(f: &mut Formula, op: Op, args: &[ExprId], params: &[i64]) -> Option<ExprId> {
    let values: Vec<[f64; 1]> =
        args.iter().map(|&a| f.as_const(a).map(|c| [c])).collect::<Option<_>>()?;
    let dims = vec![1; args.len()];
    if (op.def().shape)(&dims, params) != Ok(1) {
        return None;
    }
    let slices: Vec<&[f64]> = values.iter().map(|v| v.as_slice()).collect();
    let mut out = [0.0];
    (op.def().eval)(&slices, params, &mut out);
    Some(f.constant(out[0]))
}
