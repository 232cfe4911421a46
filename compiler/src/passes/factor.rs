//! Moves factors that do not vary along a sum's axis out of the sum, and groups the others by
//! stratum, so that each multiplication is done as rarely as possible.
//!
//! `sum_j a_i F_ij b_j c_j = a_i sum_j F_ij (b_j c_j)`, where `b_j c_j` is then packed once a
//! column. Sums over components are looked into: `sum_j y_j sum_k F_ij u_jk v_ijk` multiplies by
//! `F_ij` once. Rounding changes by an ulp a factor. Where the sum is empty and `a_i` is not
//! finite, the product is NaN; an infinite `F_ij` may make an infinity of what was NaN.

use crate::ir::{ExprId, Formula, Node, Reduction};
use crate::reduce::Reducer;

use super::products::{Product, widen};
use super::rewrite::{keep, rewrite};
use super::simplify::Fired;

/// See the module's text.
pub fn factor(formula: &Formula, fired: &mut Fired) -> Formula {
    rewrite(formula, |f, _, node| match node {
        Node::Reduce(r) if r.reducer == Reducer::Sum => factor_sum(f, r, fired),
        other => keep(f, other),
    })
}

fn factor_sum(f: &mut Formula, r: Reduction, fired: &mut Fired) -> ExprId {
    let (arg, axis) = (r.args[0], r.axis);
    let dim = f.dim(arg);
    let product = Product::of(f, arg);
    let (inside, outside) = product.split(|id| f.stratum(id).varies(axis));
    // A sum of nothing that varies counts rows: leave the whole product in place.
    if inside.len() == 0 {
        return keep(f, Node::Reduce(r));
    }
    if !outside.is_one() {
        *fired.entry("factors out of a sum").or_default() += 1;
    }
    let body = inside.build(f);
    if body != arg && outside.is_one() {
        *fired.entry("factors by stratum").or_default() += 1;
    }
    let sum = f.fold(Reduction { args: vec![body], ..r });
    let mut whole = outside;
    whole.push(sum);
    let built = whole.build(f);
    widen(f, built, dim)
}
