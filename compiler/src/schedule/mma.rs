//! Which sums of CUDA panels tensor cores compute in f32.
//!
//! In: the sums of a panel. Out: whether its one sum is an inner product or a squared distance of a
//! value of rows and one of columns, read component by component; whether bounds of the sums are
//! asked for, by a search, or the sums; and what part of the workspace their halves take. Any other
//! sum (of magnitudes, of three factors that vary with pairs, of rows alone) is left to floats. It
//! never says whether tensor cores are exact enough: that is found out on the device, panel by
//! panel (cuda_mma.cuh) or pair by pair (cuda_filter.cuh).

use std::fmt;

use crate::ir::{Accumulation, ExprId, Formula, Node};
use crate::ops::Op;
use crate::reduce::StateKind;

use super::panel::{ROWS, Sum};
use super::{Place, Places, reduction, state_kind};

/// What is summed over components, for x of a row and y of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `x_k * y_k`.
    InnerProduct,
    /// `(x_k - y_k)^2`.
    SquaredDistance,
    /// `(x_k + y_k)^2`: the squared distance of `x` and `-y`, as passes write it.
    SquaredSum,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Form::InnerProduct => "inner products",
            Form::SquaredDistance | Form::SquaredSum => "squared distances",
        })
    }
}

/// A bound of every sum, where it takes no more to see that a pair does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What a sum is not below.
    Below,
    /// What a sum is not above.
    Above,
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::Below => Side::Above,
            Side::Above => Side::Below,
        }
    }
}

/// What tensor cores compute of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Products {
    /// Of which terms.
    pub form: Form,
    /// Where a search looks at bounds of the sums first: on which side of the sums they are.
    pub filter: Option<Side>,
}

/// Components from which tensor cores compute a sum. From here on an inner product is within the
/// bound of a sum in floats even where each rounding of tensor cores is the worst one: see
/// cuda_mma.cuh.
const LEAST: usize = 64;

/// Components up to which the bounds of cuda_filter.cuh rule most pairs out.
pub(super) const MOST_BOUNDED: usize = 1 << 13;

/// Columns of a panel that a thread sums at least, so that a panel has room for its halves.
const LEAST_COLUMNS: usize = 4;

impl Products {
    /// Components of a step: those of one product of tensor cores with two halves of each, or of
    /// two products with one.
    fn step(self) -> usize {
        if self.filter.is_some() { 32 } else { 16 }
    }
}

/// What tensor cores compute of a panel: its one sum, if that is a long contraction of what is read
/// as it is. Where row numbers are searched for, bounds of it at most: equal points have equal sums
/// in floats, of which the lowest row is found, so that each sum that matters is made in floats.
pub fn on_tensor_cores(
    f: &Formula,
    places: &Places,
    sums: &[Sum],
    columns: usize,
) -> Option<Products> {
    let [sum] = sums else { return None };
    if columns < LEAST_COLUMNS {
        return None;
    }
    let form = contraction(f, places, sum)?;
    let groups = places.accumulators();
    let fits = |filter: &Option<Side>| match filter {
        None => sum.dim >= LEAST && !groups.iter().any(|group| finds_rows(f, group)),
        Some(_) => sum.dim <= MOST_BOUNDED,
    };
    Some(filter(f, places, groups, sum.id)).filter(fits).map(|filter| Products { form, filter })
}

/// What a sum is, if it reads one value of rows and one of columns.
pub(super) fn contraction(f: &Formula, places: &Places, sum: &Sum) -> Option<Form> {
    let one = |place| sum.operands_of(place).count() == 1;
    let alone = sum.operands.len() == 2 && one(Place::Row) && one(Place::Col);
    if alone { form(f, places, sum.arg) } else { None }
}

/// Whether an accumulator searches for rows.
fn finds_rows(f: &Formula, group: &[ExprId]) -> bool {
    use StateKind::{ArgMax, ArgMin, KMax, KMin};
    matches!(state_kind(f, group), ArgMin | ArgMax | KMin | KMax)
}

/// Of which side bounds of its values serve an accumulator that searches.
fn searched(f: &Formula, group: &[ExprId]) -> Option<Side> {
    match state_kind(f, group) {
        StateKind::Min | StateKind::ArgMin | StateKind::KMin => Some(Side::Below),
        StateKind::Max | StateKind::ArgMax | StateKind::KMax => Some(Side::Above),
        _ => None,
    }
}

/// Of which side bounds of the sum bound what a stage searches for and does nothing else.
pub(super) fn filter(
    f: &Formula,
    places: &Places,
    groups: &[Vec<ExprId>],
    sum: ExprId,
) -> Option<Side> {
    let [group] = groups else { return None };
    let r = reduction(f, group[0]);
    let at_once = f.acc == Accumulation::Blocked && r.mask.is_none() && f.dim(r.args[0]) == 1;
    let rises = if at_once { rises_with(f, places, r.args[0], sum)? } else { return None };
    searched(f, group).map(|side| if rises { side } else { side.other() })
}

/// Whether a value of a pair never falls where the sum rises (true), or never rises (false), as
/// rounded operations have it too; `None` where neither is plain.
fn rises_with(f: &Formula, places: &Places, id: ExprId, sum: ExprId) -> Option<bool> {
    if id == sum {
        return Some(true);
    }
    let Node::Op(op, args, _) = f.node(id) else { return None };
    let of_pair = |&arg: &ExprId| places.has(arg) && places.of(arg) == Place::Pair;
    let [n] = (0..args.len()).filter(|&n| of_pair(&args[n])).collect::<Vec<_>>()[..] else {
        return None;
    };
    let below = rises_with(f, places, args[n], sum)?;
    match op {
        Op::Add => Some(below),
        Op::Sub => Some(below == (n == 0)),
        Op::Neg => Some(!below),
        // Those of relaxed formulas are within a unit, which orders nothing.
        Op::Sqrt if !f.relaxed => Some(below),
        Op::Mul => {
            let factor = f.as_const(args[1 - n]).filter(|c| *c != 0.0 && c.is_finite())?;
            Some(below == (factor > 0.0))
        }
        _ => None,
    }
}

/// Bytes of the workspace a thread for the halves of its row, its norm and its part of the centre
/// and of the map of columns, where a sum has `dim` components: `tf_mma_panel::BYTES`.
pub fn tensor_bytes(products: Products, dim: usize) -> usize {
    let step = products.step();
    let steps = dim.div_ceil(step);
    let (halves, norm, shared) = (64 * steps, 8, (3 * 4 * step * steps).div_ceil(ROWS));
    (halves + norm + shared).next_multiple_of(8)
}

/// What the terms of a sum are, if they are those of a contraction.
fn form(f: &Formula, places: &Places, terms: ExprId) -> Option<Form> {
    let (form, a, b) = match (f.root_of_square(terms), f.node(terms)) {
        (Some(root), _) => squared(f, root)?,
        (None, Node::Op(Op::Mul, args, _)) => (Form::InnerProduct, args[0], args[1]),
        _ => return None,
    };
    // A scalar that goes along with all components is no vector.
    let whole = [a, b].iter().all(|&side| f.dim(side) == f.dim(terms));
    let sides = [places.of(a), places.of(b)];
    let apart = sides == [Place::Row, Place::Col] || sides == [Place::Col, Place::Row];
    (whole && apart).then_some(form)
}

fn squared(f: &Formula, id: ExprId) -> Option<(Form, ExprId, ExprId)> {
    match f.node(id) {
        Node::Op(Op::Sub, args, _) => Some((Form::SquaredDistance, args[0], args[1])),
        Node::Op(Op::Add, args, _) => Some((Form::SquaredSum, args[0], args[1])),
        _ => None,
    }
}
