//! Powers of two whose exponents are bounded, tile by tile, so that they need no clamps.
//!
//! In: a plan. Out: for a stage whose pairs take `2^(f |x - y|^2)` or `2^(f |x - y|)`, norms of
//! rows and columns about a point amid the columns: where all of a block and of a tile are at most
//! [`BOUND`], every exponent is that of a normal number, in f32 too. What a pair computes stays the
//! same to the bit; a processor without AVX-512 saves the clamps, a third of the power.

use crate::ir::{ExprId, Formula, Node};
use crate::ops::Op;

use super::near::{difference, sides};
use super::streams::is_of_pair;
use super::{Place, Places, Plan};

/// Most that a norm may be. An exponent has a magnitude of at most four times that: 2^124 and
/// 2^-124 are normal numbers.
pub const BOUND: f64 = 31.0;

/// A power of pairs and what bounds its exponent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The power.
    pub power: ExprId,
    /// `f |x - c|^2` of a row; or what is at most [`BOUND`] where `f |x - c|` is at most twice
    /// that.
    pub row: ExprId,
    /// The same of a column.
    pub col: ExprId,
}

/// Looks for such a power in every stage of a plan: that of the near way, if it has one.
pub fn add_bounds(plan: &mut Plan) {
    for n in 0..plan.stages.len() {
        let bound = bound(plan, n);
        plan.stages[n].bound = bound;
    }
}

fn bound(plan: &mut Plan, n: usize) -> Option<Bound> {
    let stage = &plan.stages[n];
    stage.rows.and(stage.cols)?;
    let places = Places::new(plan, stage);
    let f = &plan.formula;
    if let Some(near) = &stage.near
        && let Some(power) = near.power
    {
        return Some(Bound { power, row: near.row, col: near.col });
    }
    let mut of_pair = f.ids().filter(|&id| is_of_pair(&places, id));
    let (power, factor, is_root, d) = of_pair.find_map(|id| {
        let Node::Op(Op::Exp2, args, _) = f.node(id) else { return None };
        let (factor, distance) = factor(f, &places, args[0])?;
        let (square, is_root) = match f.node(distance) {
            Node::Op(Op::Sqrt, args, _) => (args[0], true),
            _ => (distance, false),
        };
        Some((id, factor, is_root, difference(f, &places, square)?))
    })?;
    let (both, _) = sides(plan, n, &places, d)?;
    let f = &mut plan.formula;
    let factor = factor.unwrap_or_else(|| f.constant(1.0));
    let factor = match is_root {
        true => {
            let square = f.square(factor);
            f.scale(0.25 / BOUND, square)
        }
        false => factor,
    };
    let [row, col] = both.map(|side| {
        let norm = f.squared_norm(side);
        f.mul(factor, norm)
    });
    Some(Bound { power, row, col })
}

/// An exponent as a factor, if it has one, times something of pairs. Its sign does not matter.
fn factor(f: &Formula, places: &Places, id: ExprId) -> Option<(Option<ExprId>, ExprId)> {
    match f.node(id) {
        Node::Op(Op::Neg, args, _) => Some((None, args[0])),
        Node::Op(Op::Mul, args, _) => {
            let is_factor = |arg: ExprId| matches!(places.of(arg), Place::Launch | Place::Const);
            let at = args.iter().position(|&arg| is_factor(arg) && f.dim(arg) == 1)?;
            Some((Some(args[at]), args[1 - at]))
        }
        _ => Some((None, id)),
    }
}
