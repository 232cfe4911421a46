//! Which streamed sums tensor cores can compute.
//!
//! In: a sum of [`super::streams`]. Out: whether it is an inner product or a squared distance of a
//! value of rows and one of columns, both packed component by component, and of which. Any other sum
//! (of magnitudes, of three factors that vary with pairs, of rows alone) is no contraction. It never
//! says whether tensor cores are worth it, or exact enough: the first is a choice of sizes, the
//! second is found out on the device, tile by tile.

use crate::ir::{ExprId, Formula, Node};
use crate::ops::Op;

use super::{Place, Places};

/// What is summed over components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `x_k * y_k`.
    InnerProduct,
    /// `(x_k - y_k)^2`.
    SquaredDistance,
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
        _ => None,
    }
}
