//! Which streamed sums tensor cores can compute.
//!
//! In: a sum of [`super::streams`]. Out: whether it is an inner product or a squared distance of a
//! value of rows and one of columns, both packed component by component, and of which. Any other sum
//! (of magnitudes, of three factors that vary with pairs, of rows alone) is no contraction. It never
//! says whether tensor cores are exact enough: that is found out on the device, panel by panel.

use crate::ir::{ExprId, Formula, Node};
use crate::ops::Op;

use super::{Place, Places, Sum};

/// What is summed over components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `x_k * y_k`.
    InnerProduct,
    /// `(x_k - y_k)^2`.
    SquaredDistance,
    /// `(x_k + y_k)^2`: the squared distance of `x` and `-y`, as passes write it.
    SquaredSum,
}

/// A sum over the components of a value of rows and a value of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contraction {
    /// What is summed.
    pub form: Form,
    /// The value that varies with rows.
    pub row: ExprId,
    /// The value that varies with columns.
    pub col: ExprId,
}

/// Components from which tensor cores compute a sum. From here on an inner product is within the
/// bound of a sum in float even where each rounding of tensor cores is the worst one: see
/// cuda_mma.cuh.
const LEAST: usize = 64;

/// Columns of a panel that a thread sums at least, so that a panel has room for its halves.
const LEAST_COLUMNS: usize = 4;

/// What tensor cores compute of a panel: its one sum, if that is a long contraction of what is read
/// as it is.
pub fn on_tensor_cores(f: &Formula, places: &Places, sums: &[Sum], columns: usize) -> Option<Form> {
    let [sum] = sums else { return None };
    let one = |place| sum.operands_of(place).count() == 1;
    let fits = sum.dim >= LEAST && columns >= LEAST_COLUMNS;
    let alone = sum.operands.len() == 2 && one(Place::Row) && one(Place::Col);
    contraction(f, places, sum.id).map(|c| c.form).filter(|_| fits && alone)
}

/// Bytes of the workspace a thread for the halves of its row, its norm and its part of the centre,
/// where a sum has `dim` components: `tf_mma_panel::BYTES`.
pub fn tensor_bytes(dim: usize) -> usize {
    let steps = dim.div_ceil(16);
    (64 * steps + 8 + steps.div_ceil(2)).next_multiple_of(8)
}

/// The contraction that a streamed sum is, if it is one.
pub fn contraction(f: &Formula, places: &Places, sum: ExprId) -> Option<Contraction> {
    let Node::Op(Op::Sum, args, _) = f.node(sum) else { return None };
    let (form, a, b) = match f.node(args[0]) {
        Node::Op(Op::Square, args, _) => gap(f, args[0])?,
        // Two spellings of a square.
        Node::Op(Op::Mul, args, _) if args[0] == args[1] => gap(f, args[0])?,
        Node::Op(Op::Mul, args, _) => (Form::InnerProduct, args[0], args[1]),
        _ => return None,
    };
    // A scalar that goes along with all components is no vector.
    let dim = f.dim(args[0]);
    if f.dim(a) != dim || f.dim(b) != dim {
        return None;
    }
    match (places.of(a), places.of(b)) {
        (Place::Row, Place::Col) => Some(Contraction { form, row: a, col: b }),
        (Place::Col, Place::Row) => Some(Contraction { form, row: b, col: a }),
        _ => None,
    }
}

fn gap(f: &Formula, id: ExprId) -> Option<(Form, ExprId, ExprId)> {
    match f.node(id) {
        Node::Op(Op::Sub, args, _) => Some((Form::SquaredDistance, args[0], args[1])),
        Node::Op(Op::Add, args, _) => Some((Form::SquaredSum, args[0], args[1])),
        _ => None,
    }
}
