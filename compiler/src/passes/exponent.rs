//! `exp(c x)` becomes `exp2((c log2 e) x)` where `c` is of a lower stratum than `x`.
//!
//! The multiplication by log2 e is then done where `c` is, usually once a launch, and the pair
//! pays for `exp2` alone. The argument of such an `exp` is itself a rounded product, so the one
//! more rounding of `c` is of the size of the error that is already there.

use std::f64::consts::LOG2_E;

use crate::ir::{ExprId, Formula, Node, Stratum};
use crate::ops::Op;

use super::products::{Product, widen};
use super::rewrite::{keep, rewrite};
use super::simplify::Fired;

/// See the module's text.
pub fn exponent(formula: &Formula, fired: &mut Fired) -> Formula {
    rewrite(formula, |f, _, node| match node {
        Node::Op(Op::Exp, args, _) => match scaled(f, args[0]) {
            Some(scaled) => {
                *fired.entry("exp to exp2").or_default() += 1;
                scaled
            }
            None => f.apply(Op::Exp, &args, &[]),
        },
        other => keep(f, other),
    })
}

fn scaled(f: &mut Formula, arg: ExprId) -> Option<ExprId> {
    let (stratum, dim) = (f.stratum(arg), f.dim(arg));
    if stratum <= Stratum::Param {
        return None;
    }
    let product = Product::of(f, arg);
    let (inside, mut outside) = product.split(|id| f.stratum(id) == stratum);
    // Nothing to fold the factor into, or nothing left: a bare exp keeps its own reduction.
    if outside.is_one() || inside.len() == 0 {
        return None;
    }
    let log2e = f.constant(LOG2_E);
    outside.push(log2e);
    let (factor, core) = (outside.build(f), inside.build(f));
    let product = f.mul(factor, core);
    let exp = f.apply(Op::Exp2, &[product], &[]);
    Some(widen(f, exp, dim))
}
