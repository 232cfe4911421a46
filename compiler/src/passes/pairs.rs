//! Formulas whose reductions are restricted to some pairs when they run.

use super::rewrite::{keep, rewrite};
use crate::ir::{Axis, ExprId, Formula, Node, Reduction, Stratum};
use crate::ops::Op;

/// The same formula, in which every reduction of pairs stays one, whatever becomes of it.
///
/// Where pairs are left out when a kernel runs (block-sparse ranges), `sum[j] x * y` is not
/// `x * sum[j] y`: each row has its own columns. See [`keep_pairs_of`].
pub fn keep_pairs(formula: &Formula) -> Formula {
    rewrite(formula, |f, _, node| match node {
        Node::Reduce(r) => {
            let r = keep_pairs_of(f, r);
            f.fold(r)
        }
        other => keep(f, other),
    })
}

/// A reduction whose result has rows, as what it folds varies along the other index too, gets a
/// mask that varies with pairs and is always 1, which no pass knows; others are as they were.
///
/// Derivatives carry masks, so it is to be applied before them. It costs two operations a pair.
pub fn keep_pairs_of(f: &mut Formula, r: Reduction) -> Reduction {
    let rows = |id: &ExprId| f.stratum(*id).varies(r.axis.other());
    let is_pair = |id: ExprId| f.stratum(id) == Stratum::Pair;
    if r.mask.is_some_and(is_pair) || !r.args.iter().chain(&r.mask).any(rows) {
        return r;
    }
    // (pos(i) >= 0) * (pos(j) >= 0)
    let [i, j] = [Axis::I, Axis::J].map(|axis| {
        let (zero, pos) = (f.constant(0.0), f.pos(axis));
        f.apply(Op::Le, &[zero, pos], &[])
    });
    let pairs = f.mul(i, j);
    let mask = r.mask.map_or(pairs, |mask| f.mul(mask, pairs));
    Reduction { mask: Some(mask), ..r }
}
