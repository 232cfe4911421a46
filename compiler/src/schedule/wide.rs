//! Sums of many outputs that are added up a block of columns at a time: `sum[j] w * f`, with `w` a
//! number a pair and `f` as long as the output.
//!
//! In: a stage. Out: the accumulators whose sums are products of two tables, the numbers of a
//! block's pairs and the components of its columns (and rows). A CPU reads and writes each output
//! once a block. A thread of a CUDA panel adds up a few outputs of a few rows, so that none holds
//! all outputs of a row. None where an accumulator is short or masked, or sums are not blocked.

use crate::ir::{Accumulation, ExprId, Node};
use crate::ops::Emit;
use crate::reduce::StateKind;

use super::panel::{Sum, sum};
use super::streams::{goes_along, is_of_pair};
use super::{Place, Places, Plan, Stage, reduction, state_kind, weight};

/// Outputs from which an accumulator is wide; a shorter one stays in registers.
const WIDE: usize = 16;

/// A wide accumulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wide {
    /// Its number among the accumulators of the stage.
    pub group: usize,
    /// The number of a pair; none where it is the term of a shifted sum.
    pub number: Option<ExprId>,
    /// What it is multiplied by, component by component, and what that reads.
    pub by: Sum,
    /// What multiplies: a product, or the reductions themselves.
    readers: Vec<ExprId>,
}

impl Wide {
    /// The wide accumulators of a stage. A CUDA panel has tables for one: the first.
    pub fn all(plan: &Plan, stage: &Stage, places: &Places) -> Vec<Wide> {
        if plan.formula.acc != Accumulation::Blocked {
            return Vec::new();
        }
        let groups = places.accumulators().iter().enumerate();
        groups.filter_map(|(n, group)| wide(plan, stage, places, n, group)).collect()
    }

    /// Whether this is where the components are multiplied.
    pub fn reads(&self, reader: ExprId, arg: ExprId) -> bool {
        arg == self.by.id && self.readers.contains(&reader)
    }
}

fn wide(plan: &Plan, stage: &Stage, places: &Places, n: usize, group: &[ExprId]) -> Option<Wide> {
    let f = &plan.formula;
    let r = reduction(f, group[0]);
    if r.mask.is_some() {
        return None;
    }
    let (number, by, readers) = match state_kind(f, group) {
        StateKind::Sum => {
            let value = r.args[0];
            let Node::Op(op, args, _) = f.node(value) else { return None };
            if !matches!(op.def().emit, Emit::Map("$0 * $1")) {
                return None;
            }
            let scalar = args.iter().copied().find(|&a| f.dim(a) == 1 && is_of_pair(places, a))?;
            let by = args.iter().copied().find(|&a| a != scalar)?;
            (Some(scalar), by, vec![value])
        }
        StateKind::ShiftedExp => (None, weight(f, group)?, group.to_vec()),
        _ => return None,
    };
    let dim = f.dim(by);
    if dim < WIDE || !goes_along(f, places, by, dim) {
        return None;
    }
    let by = sum(plan, stage, places, by, by)?;
    let fits = by.operands_of(Place::Launch).count() == 0
        && by.operands_of(Place::Row).count() <= 1
        && by.operands_of(Place::Col).count() <= 1;
    fits.then_some(Wide { group: n, number, by, readers })
}
