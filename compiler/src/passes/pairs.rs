//! Formulas whose reductions are restricted to some pairs when they run.

use super::rewrite::{keep, rewrite};
use crate::ir::{Axis, ExprId, Formula, Node, Reduction, Stratum};
use crate::ops::Op;

/// The same formula, in which every reduction keeps to pairs, whatever it folds.
///
/// Where pairs are left out when a kernel runs (block-sparse ranges), `sum[j] x * y` is not
/// `x * sum[j] y`: each row has its own columns. Every reduction gets a mask that varies along both
/// indices and is always 1, which no pass knows. Derivatives carry masks, so it is to be applied
/// before them. It costs two operations a pair.
pub fn keep_pairs(formula: &Formula) -> Formula {
    rewrite(formula, |f, _, node| match node {
        Node::Reduce(r) if r.mask.is_none_or(|mask| f.stratum(mask) != Stratum::Pair) => {
            let pairs = pairs(f);
            let mask = r.mask.map_or(pairs, |mask| f.mul(mask, pairs));
            f.fold(Reduction { mask: Some(mask), ..r })
        }
        other => keep(f, other),
    })
}

/// 1 for every pair: `(pos(i) >= 0) * (pos(j) >= 0)`.
fn pairs(f: &mut Formula) -> ExprId {
    let [i, j] = [Axis::I, Axis::J].map(|axis| {
        let (zero, pos) = (f.constant(0.0), f.pos(axis));
        f.apply(Op::Le, &[zero, pos], &[])
    });
    f.mul(i, j)
}
