//! The forward sweep: from the directions in which variables move to the derivative of a value.
//!
//! No operation has a rule of its own for this. Its reverse rule maps a seed to the adjoint of an
//! argument, and that map is linear: it is the transpose of the derivative. So the rule is applied
//! to a placeholder, and the expression that comes out is transposed by a reverse sweep of its
//! own, with respect to the placeholder. Reductions work the same way, one pair at a time: if the
//! adjoint at a pair is `L seed`, the derivative of the result is the sum of `L^T tangent` over
//! the pairs, those of the mask only.

use std::collections::BTreeMap;

use crate::ir::{Axis, ExprId, Formula, Node, Reduction, Stratum};
use crate::ops::{Call, Grad};
use crate::reduce::{ReduceGrad, Reducer};

use super::reverse::{Domain, Sweep, dependents};
use super::scratch::{scratch, scratch_one};
use super::{GradError, check_size, fit};

/// The derivative of `root` when each variable moves in its direction; `None` where it is zero.
///
/// With `one_row`, a direction is that of a variable at one row only, and a reduction over all
/// rows of the variable is an error.
pub fn tangent(
    f: &mut Formula,
    root: ExprId,
    directions: &[(ExprId, ExprId)],
    one_row: bool,
) -> Result<Option<ExprId>, GradError> {
    let variables: Vec<ExprId> = directions.iter().map(|d| d.0).collect();
    let mut sweep = Tangents { f, directions, one_row, known: BTreeMap::new() };
    for &(variable, direction) in directions {
        sweep.move_by(variable, direction);
    }
    let first = variables.iter().map(|v| v.index()).min().unwrap_or(sweep.f.len());
    if first > root.index() {
        return Ok(None);
    }
    let depends = dependents(sweep.f, first, &variables);
    let needed = sweep.f.reachable([root]);
    for at in first..=root.index() {
        let id = ExprId(at as u32);
        if !needed[id.index()] || !depends[at - first] || variables.contains(&id) {
            continue;
        }
        let found = match sweep.f.node(id).clone() {
            Node::Op(op, args, params) => match op.def().grad {
                Grad::Vjp(rule) => sweep.through(id, &args, |f, seed| {
                    rule(f, &Call { args: &args, params: &params, out: id }, seed)
                })?,
                Grad::Zero | Grad::Expanded => None,
            },
            Node::Reduce(r) => sweep.through_reduction(id, &r)?,
            Node::Input(_) | Node::Const(_) | Node::Pos(_) => None,
        };
        if let Some(found) = found {
            sweep.known.insert(id, found);
        }
        check_size(sweep.f)?;
    }
    Ok(sweep.known.get(&root).copied())
}

struct Tangents<'a> {
    f: &'a mut Formula,
    directions: &'a [(ExprId, ExprId)],
    one_row: bool,
    known: BTreeMap<ExprId, ExprId>,
}

impl Tangents<'_> {
    /// Lets a variable move; named twice, it moves by the sum.
    fn move_by(&mut self, variable: ExprId, direction: ExprId) {
        let dim = self.f.dim(variable);
        let direction = fit(self.f, direction, dim);
        let sum = match self.known.get(&variable) {
            Some(&before) => self.f.add(before, direction),
            None => direction,
        };
        self.known.insert(variable, sum);
    }

    /// The derivative of one node from those of its arguments: the sum of the transposes of its
    /// rule's adjoints.
    fn through(
        &mut self,
        id: ExprId,
        args: &[ExprId],
        rule: impl FnOnce(&mut Formula, ExprId) -> Vec<Option<ExprId>>,
    ) -> Result<Option<ExprId>, GradError> {
        let tangents: Vec<Option<ExprId>> =
            args.iter().map(|arg| self.known.get(arg).copied()).collect();
        if tangents.iter().all(Option::is_none) {
            return Ok(None);
        }
        // The terms first, so that each is in its shortest form when they are added.
        let terms = scratch(self.f, |f| {
            let seed = f.placeholder(f.dim(id), Stratum::Pair);
            let adjoints = rule(f, seed);
            let pairs = args.iter().zip(adjoints).zip(tangents);
            let moved = pairs.map(|((&arg, adjoint), tangent)| match (adjoint, tangent) {
                (Some(adjoint), Some(tangent)) => {
                    let dim = f.dim(arg);
                    let adjoint = fit(f, adjoint, dim);
                    transpose(f, adjoint, seed, tangent, Domain::PAIR)
                }
                _ => Ok(None),
            });
            moved.collect()
        })?;
        scratch_one(self.f, |f| Ok(terms.into_iter().flatten().reduce(|a, b| f.add(a, b))))
    }

    fn through_reduction(
        &mut self,
        id: ExprId,
        r: &Reduction,
    ) -> Result<Option<ExprId>, GradError> {
        let ReduceGrad::Vjp(rule) = r.reducer.def().grad else { return Ok(None) };
        self.check_rows(id, r.axis)?;
        let at_pair = self.through(id, &r.args, |f, seed| rule(f, r, id, seed))?;
        let sum = |arg| Reduction { reducer: Reducer::Sum, args: vec![arg], k: 0, ..r.clone() };
        Ok(at_pair.map(|arg| self.f.fold(sum(arg))))
    }

    /// A direction that varies along the index of a reduction, while its variable does not, is
    /// one of many rows that the reduction mixes.
    fn check_rows(&self, id: ExprId, axis: Axis) -> Result<(), GradError> {
        let below = self.f.reachable([id]);
        let many = |(variable, direction): &(ExprId, ExprId)| {
            let own = self.f.stratum(*variable).varies(axis);
            let mixed =
                if self.one_row { own } else { !own && self.f.stratum(*direction).varies(axis) };
            mixed && below[variable.index()]
        };
        match (self.directions.iter().any(many), self.f.node(id)) {
            (true, Node::Reduce(r)) => {
                Err(GradError::ManyRows { what: r.reducer.def().name, axis, node: id })
            }
            _ => Ok(()),
        }
    }
}

/// The transpose of a linear map: `root` is the map of `variable`, and `seed` what the transpose
/// is applied to, at one row of each index that is kept.
pub fn transpose(
    f: &mut Formula,
    root: ExprId,
    variable: ExprId,
    seed: ExprId,
    kept: Domain,
) -> Result<Option<ExprId>, GradError> {
    let found = Sweep::linear(f, kept, &[variable]).run(root, kept, seed)?;
    Ok(found.into_iter().flatten().next())
}
