//! Which sums of CUDA panels tensor cores compute in f32.
//!
//! In: the sums of a panel. Out: whether its one sum is an inner product or a squared distance of a
//! value of rows and one of columns, read component by component, and what part of the workspace
//! their halves take. Any other sum (of magnitudes, of three factors that vary with pairs, of rows
//! alone) is left to floats. It never says whether tensor cores are exact enough: that is found out
//! on the device, panel by panel (cuda_mma.cuh).

use std::fmt;

use crate::ir::{ExprId, Formula, Node};
use crate::ops::Op;
use crate::reduce::StateKind;

use super::panel::{ROWS, Sum};
use super::{Place, Places, state_kind};

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

/// Components from which tensor cores compute a sum. From here on an inner product is within the
/// bound of a sum in floats even where each rounding of tensor cores is the worst one: see
/// cuda_mma.cuh.
const LEAST: usize = 64;

/// Columns of a panel that a thread sums at least, so that a panel has room for its halves.
const LEAST_COLUMNS: usize = 4;

/// Components that one product of tensor cores adds up.
const STEP: usize = 16;

/// What tensor cores compute of a panel: its one sum, if that is a long contraction of what is read
/// as it is, and no row numbers are searched for. Equal points have equal sums in floats, of
/// which the lowest row is found; a panel that tensor cores refuse would differ from one that they
/// do not.
pub fn on_tensor_cores(f: &Formula, places: &Places, sums: &[Sum], columns: usize) -> Option<Form> {
    let [sum] = sums else { return None };
    let searches = places.accumulators().iter().any(|group| {
        use StateKind::{ArgMax, ArgMin, KMax, KMin};
        matches!(state_kind(f, group), ArgMin | ArgMax | KMin | KMax)
    });
    let one = |place| sum.operands_of(place).count() == 1;
    let alone = sum.operands.len() == 2 && one(Place::Row) && one(Place::Col);
    let pays = sum.dim >= LEAST && columns >= LEAST_COLUMNS;
    form(f, places, sum.arg).filter(|_| pays && alone && !searches)
}

/// Bytes of the workspace a thread for the halves of its row, its norm and its part of the centre
/// and of the map of columns, where a sum has `dim` components: `tf_mma_panel::BYTES`.
pub fn tensor_bytes(dim: usize) -> usize {
    let steps = dim.div_ceil(STEP);
    let (halves, norm, shared) = (4 * STEP * steps, 8, (3 * 4 * STEP * steps).div_ceil(ROWS));
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
