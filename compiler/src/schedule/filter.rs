//! Which searches of CPUs look at bounds of their values first, made from integers of a byte.
//!
//! In: the places of a stage and its streamed sums. Out: for a stage that searches by a value that
//! rises or falls with its one sum, an inner product or a squared distance, where the packed
//! components of rows and columns lie. It never says how far off a bound is: see cpu_filter.h.

use std::collections::BTreeMap;

use crate::ir::{Axis, ExprId, Formula, Node};

use super::mma::{MOST_BOUNDED, contraction, filter};
use super::panel::sum;
use super::{Form, Place, Places, Plan, Side, Slot, Stage};

/// The sum of a search that has bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Of which terms.
    pub form: Form,
    /// On which side of the sum the bounds are.
    pub side: Side,
    /// Components.
    pub dim: usize,
    /// The word of a packed row that is its first component.
    pub row: usize,
    /// The same of a column.
    pub col: usize,
    /// An input that has as many rows as there are columns.
    pub counted: usize,
}

impl Filter {
    /// The bounds of a stage, if it has any.
    pub fn new(plan: &Plan, stage: &Stage, places: &Places, streams: &[ExprId]) -> Option<Filter> {
        let (f, [id]) = (&plan.formula, streams) else { return None };
        stage.rows?;
        let sum = sum(plan, stage, places, *id, f.node(*id).args().next()?)?;
        let form = contraction(f, places, &sum)?;
        let side = filter(f, places, places.accumulators(), *id)?;
        let word = |place, table: &BTreeMap<ExprId, Slot>| {
            let operand = sum.operands_of(place).next().filter(|operand| operand.step == 1)?;
            Some(table.get(&operand.id)?.base + operand.offset)
        };
        let counted = columns_input(f, stage.cols?, sum.operands_of(Place::Col).next()?.id)?;
        let (row, col) = (word(Place::Row, &places.row)?, word(Place::Col, &places.col)?);
        let found = Filter { form, side, dim: sum.dim, row, col, counted };
        (sum.dim <= MOST_BOUNDED).then_some(found)
    }
}

/// An input of the columns that a value reads.
fn columns_input(f: &Formula, axis: Axis, id: ExprId) -> Option<usize> {
    let read = f.reachable([id]);
    let input = |id: ExprId| match f.node(id) {
        Node::Input(n) if f.inputs[*n as usize].axis == Some(axis) => Some(*n as usize),
        _ => None,
    };
    f.ids().filter(|id| read[id.index()]).find_map(input)
}
