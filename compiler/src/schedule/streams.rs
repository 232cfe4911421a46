//! Which values of pairs are summed over components a few columns at a time.
//!
//! In: the places of a stage. Out: the sums that the `panel` families compute for a panel of
//! columns before anything else of a pair: each row that is loaded serves all columns of the panel,
//! and each column all rows. It never says how many columns; that is a choice of sizes.

use crate::ir::{ExprId, Formula, Kind, Node};
use crate::ops::{Emit, Op};

use super::{Place, Places, Stage, is_transparent, shifted_arg};

/// Components from which a sum is streamed; a shorter one stays in registers with the rest of a
/// pair.
pub const STREAMED: usize = 16;

/// The sums over components that a stage streams, in the order of their ids: each reads nothing of
/// the pair but packed components, one by one.
pub fn streams(f: &Formula, stage: &Stage, places: &Places) -> Vec<ExprId> {
    let streamed = |id: &ExprId| {
        let Node::Op(Op::Sum, args, _) = f.node(*id) else { return false };
        is_of_pair(places, *id)
            && f.dim(args[0]) >= STREAMED
            && f.kind(*id) == Kind::Real
            && goes_along(f, places, args[0], f.dim(args[0]))
    };
    if stage.cols.is_none() {
        return Vec::new();
    }
    f.ids().filter(streamed).collect()
}

fn moves(f: &Formula, id: ExprId) -> bool {
    matches!(f.node(id), Node::Op(op, ..) if is_transparent(*op))
}

pub(super) fn is_of_pair(places: &Places, id: ExprId) -> bool {
    places.has(id) && places.of(id) == Place::Pair
}

/// Whether component k of a value needs component k of packed values, for all k, and what does not
/// vary with k needs no pair.
pub(super) fn goes_along(f: &Formula, places: &Places, id: ExprId, dim: usize) -> bool {
    if f.kind(id) != Kind::Real {
        return false;
    }
    match f.node(id) {
        Node::Op(op, args, params) if is_transparent(*op) && f.dim(id) == dim => {
            shifted_arg(f, dim, *op, args, params).is_some_and(|arg| match f.dim(arg) {
                // A slice of packed values lies where its components are.
                1 => !is_of_pair(places, arg),
                n if n != dim => !is_of_pair(places, arg) && !moves(f, arg),
                _ => goes_along(f, places, arg, dim),
            })
        }
        _ if !is_of_pair(places, id) => true,
        Node::Op(op, args, _) => {
            f.dim(id) == dim
                && matches!(op.def().emit, Emit::Map(_))
                && args.iter().all(|&arg| goes_along(f, places, arg, dim))
        }
        _ => false,
    }
}
