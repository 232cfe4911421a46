//! The reverse sweep: from the adjoint of one value to the adjoints of the variables it reads.
//!
//! The sweep walks nodes from users to arguments and keeps, for every node, its adjoint in each
//! *domain*: the set of indices over which the uses of the node are spread. A value that does not
//! vary along an index of its domain is used once for each row of that index, so its adjoint is
//! summed over that index. Entering a reduction adds the reduced index to the domain. Broadcast
//! arguments are handled here too, once for all operations.
//!
//! Where only some rows or components count, below a mask or a choice, the adjoint goes on as it is
//! and remembers the condition; it becomes zero elsewhere at the end, when it is summed or meets
//! other adjoints. Were it zero from the start, a pole in what does not count (`1 / r` at `r = 0`,
//! which a mask leaves out) would turn it into `0 inf`, which is NaN.
//!
//! A sweep may *keep* indices: then it differentiates at one row of them, and nothing is summed
//! over them. That is the derivative of an expression under a sum, before it is summed.

use std::collections::BTreeMap;

use crate::ir::{Axis, ExprId, Formula, Node, Reduction, Stratum};
use crate::ops::{Call, Emit, Grad, Op};
use crate::reduce::{ReduceGrad, Reducer};

use super::{GradError, check_size, fit};

/// The indices over which the uses of a value are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Domain {
    i: bool,
    j: bool,
}

impl Domain {
    /// Both indices.
    pub const PAIR: Domain = Domain { i: true, j: true };

    /// One index or none.
    pub fn of(axis: Option<Axis>) -> Domain {
        Domain { i: axis == Some(Axis::I), j: axis == Some(Axis::J) }
    }

    /// The indices along which a value varies.
    pub fn of_stratum(s: Stratum) -> Domain {
        Domain { i: s.varies(Axis::I), j: s.varies(Axis::J) }
    }

    /// All indices of both.
    pub fn join(self, other: Domain) -> Domain {
        Domain { i: self.i || other.i, j: self.j || other.j }
    }

    /// Whether it has an index.
    pub fn has(self, axis: Axis) -> bool {
        match axis {
            Axis::I => self.i,
            Axis::J => self.j,
        }
    }

    fn holds(self, other: Domain) -> bool {
        self.join(other) == self
    }

    fn without(self, axis: Axis) -> Domain {
        Domain { i: self.i && axis != Axis::I, j: self.j && axis != Axis::J }
    }
}

/// A sweep towards some variables, which are nodes of any kind: it never looks behind them.
pub struct Sweep<'a> {
    f: &'a mut Formula,
    kept: Domain,
    variables: &'a [ExprId],
    /// By node, domain and condition: where that is zero, the adjoint is.
    adjoints: BTreeMap<(ExprId, Domain, Option<ExprId>), ExprId>,
    /// Whether conditions are remembered.
    guarded: bool,
    /// For every node from the first variable on: whether its derivative may not be zero.
    depends: Vec<bool>,
    first: usize,
}

impl<'a> Sweep<'a> {
    /// A sweep that differentiates at one row of each index in `kept`.
    pub fn new(f: &'a mut Formula, kept: Domain, variables: &'a [ExprId]) -> Sweep<'a> {
        let first = variables.iter().map(|v| v.index()).min().unwrap_or(f.len());
        let depends = dependents(f, first, variables);
        Sweep { f, kept, variables, adjoints: BTreeMap::new(), guarded: true, depends, first }
    }

    /// A sweep through a linear map, which has no poles.
    pub fn linear(f: &'a mut Formula, kept: Domain, variables: &'a [ExprId]) -> Sweep<'a> {
        Sweep { guarded: false, ..Sweep::new(f, kept, variables) }
    }

    /// The adjoint of each variable, given the adjoint `seed` of `root`, which is used once for
    /// each row of `domain`. A variable of an index that is kept, or of none, is one value at the
    /// place that is kept; every other one has a row for each row of its index.
    ///
    /// The adjoint of a node is summed into the node's own stratum before its rule is applied, so
    /// the chain below a value of `i` is worked out once a row, not once a pair.
    pub fn run(
        &mut self,
        root: ExprId,
        domain: Domain,
        seed: ExprId,
    ) -> Result<Vec<Option<ExprId>>, GradError> {
        self.add(root, domain.join(self.kept), None, seed);
        let mut variable = vec![false; root.index() + 1];
        self.variables.iter().filter(|v| **v <= root).for_each(|v| variable[v.index()] = true);
        for at in (self.first..=root.index()).rev() {
            let id = ExprId(at as u32);
            if variable[id.index()] || !self.reaches(id) {
                continue;
            }
            let home = Domain::of_stratum(self.f.stratum(id)).join(self.kept);
            let Some((guard, seed)) = self.collect(id, home) else { continue };
            match self.f.node(id).clone() {
                Node::Op(op @ (Op::Where | Op::IfElse), args, _) if self.guarded => {
                    self.through_choice(op, &args, home, guard, seed);
                }
                Node::Op(op, args, params) => {
                    let call = Call { args: &args, params: &params, out: id };
                    self.through_op(op, &call, home, guard, seed);
                }
                Node::Reduce(r) if self.kept.has(r.axis) => {
                    let seed = self.settle(guard, seed);
                    self.through_inner(&r, id, seed)?;
                }
                Node::Reduce(r) => self.through_reduction(&r, id, home, guard, seed)?,
                Node::Input(_) | Node::Const(_) | Node::Pos(_) => {}
            }
            check_size(self.f)?;
        }
        let variables = self.variables.iter();
        let adjoint = |&v: &ExprId| {
            let (guard, adjoint) = self.collect(v, self.place(v))?;
            Some(self.settle(guard, adjoint))
        };
        Ok(variables.map(adjoint).collect())
    }

    /// Where the adjoint of a variable is wanted.
    fn place(&self, variable: ExprId) -> Domain {
        let own = Domain::of_stratum(self.f.stratum(variable));
        if self.kept.holds(own) { self.kept } else { own }
    }

    fn through_op(
        &mut self,
        op: Op,
        call: &Call<'_>,
        home: Domain,
        guard: Option<ExprId>,
        seed: ExprId,
    ) {
        let Grad::Vjp(rule) = op.def().grad else { return };
        // A condition of components says nothing of the components of other values.
        let (guard, seed) = match matches!(op.def().emit, Emit::Map(_)) {
            true => (guard, seed),
            false => self.of_rows(guard, seed),
        };
        let adjoints = rule(self.f, call, seed);
        for (&arg, adjoint) in call.args.iter().zip(adjoints) {
            if let Some(adjoint) = adjoint {
                self.add(arg, home, guard, adjoint);
            }
        }
    }

    /// Both sides of a choice get the adjoint, each with the condition under which it counts.
    fn through_choice(
        &mut self,
        op: Op,
        args: &[ExprId],
        home: Domain,
        guard: Option<ExprId>,
        seed: ExprId,
    ) {
        let zero = self.f.constant(0.0);
        let condition = match op {
            Op::IfElse => self.f.apply(Op::Le, &[zero, args[0]], &[]),
            _ => args[0],
        };
        for (side, arg) in [(true, args[1]), (false, args[2])] {
            if self.reaches(arg) {
                let own = match side {
                    true => condition,
                    false => self.f.apply(Op::Eq, &[condition, zero], &[]),
                };
                let guard = self.both(guard, Some(own));
                self.add(arg, home, guard, seed);
            }
        }
    }

    fn through_reduction(
        &mut self,
        r: &Reduction,
        out: ExprId,
        home: Domain,
        guard: Option<ExprId>,
        seed: ExprId,
    ) -> Result<(), GradError> {
        let ReduceGrad::Vjp(rule) = r.reducer.def().grad else { return Ok(()) };
        let (guard, seed) = self.of_rows(guard, seed);
        let guard = self.both(guard, r.mask);
        let adjoints = rule(self.f, r, out, seed);
        for (&arg, adjoint) in r.args.iter().zip(adjoints) {
            if let Some(adjoint) = adjoint {
                self.add(arg, home.join(Domain::of(Some(r.axis))), guard, adjoint);
            }
        }
        Ok(())
    }

    /// The condition under which two conditions hold.
    fn both(&mut self, a: Option<ExprId>, b: Option<ExprId>) -> Option<ExprId> {
        match (a, b) {
            (Some(a), Some(b)) if a != b => Some(self.f.apply(Op::And, &[a, b], &[])),
            (a, b) => a.or(b),
        }
    }

    /// An adjoint that is zero where its condition is.
    fn settle(&mut self, guard: Option<ExprId>, adjoint: ExprId) -> ExprId {
        let Some(guard) = guard else { return adjoint };
        let zero = self.f.constant(0.0);
        self.f.apply(Op::Where, &[guard, adjoint, zero], &[])
    }

    /// An adjoint with a condition of rows, not of components.
    fn of_rows(&mut self, guard: Option<ExprId>, adjoint: ExprId) -> (Option<ExprId>, ExprId) {
        match guard {
            Some(guard) if self.f.dim(guard) > 1 => (None, self.settle(Some(guard), adjoint)),
            guard => (guard, adjoint),
        }
    }

    /// A reduction over an index that is kept: its own rows are others than the row that is kept,
    /// so its derivative is worked out by itself and then multiplied by the seed of this row.
    fn through_inner(&mut self, r: &Reduction, out: ExprId, seed: ExprId) -> Result<(), GradError> {
        let below = self.f.reachable([out]);
        let many = |v: &ExprId| self.f.stratum(*v).varies(r.axis) && below[v.index()];
        if self.variables.iter().any(many) {
            let what = r.reducer.def().name;
            return Err(GradError::ManyRows { what, axis: r.axis, node: out });
        }
        let kept = self.kept.without(r.axis);
        let domain = Domain::of_stratum(self.f.stratum(out)).join(kept);
        if !self.f.stratum(seed).varies(r.axis) {
            let adjoints = Sweep::new(self.f, kept, self.variables).run(out, domain, seed)?;
            self.add_all(adjoints);
            return Ok(());
        }
        let n = self.f.dim(out);
        for c in 0..n {
            let one = self.f.constant(1.0);
            let unit = self.f.apply(Op::ElemT, &[one], &[n as i64, c as i64]);
            let rows = Sweep::new(self.f, kept, self.variables).run(out, domain, unit)?;
            let factor = self.f.apply(Op::Elem, &[seed], &[c as i64]);
            let scaled = rows.into_iter().map(|row| row.map(|row| self.f.mul(factor, row)));
            let scaled: Vec<Option<ExprId>> = scaled.collect();
            self.add_all(scaled);
            check_size(self.f)?;
        }
        Ok(())
    }

    fn add_all(&mut self, adjoints: Vec<Option<ExprId>>) {
        let variables = self.variables;
        for (&variable, adjoint) in variables.iter().zip(adjoints) {
            if let Some(adjoint) = adjoint {
                self.add(variable, self.place(variable), None, adjoint);
            }
        }
    }

    fn reaches(&self, id: ExprId) -> bool {
        id.index().checked_sub(self.first).is_some_and(|at| self.depends.get(at) == Some(&true))
    }

    /// Adds to the adjoint of `id`, after undoing a broadcast of components.
    fn add(&mut self, id: ExprId, domain: Domain, guard: Option<ExprId>, adjoint: ExprId) {
        if !self.reaches(id) {
            return;
        }
        let dim = self.f.dim(id);
        let (guard, adjoint) = match guard {
            Some(guard) if self.f.dim(guard) != dim => self.of_rows(Some(guard), adjoint),
            guard => (guard, adjoint),
        };
        let adjoint = fit(self.f, adjoint, dim);
        let total = match self.adjoints.get(&(id, domain, guard)) {
            Some(&before) => self.f.add(before, adjoint),
            None => adjoint,
        };
        self.adjoints.insert((id, domain, guard), total);
    }

    /// The adjoint of `id` in the domain `home`, and its condition if all of it has the same one:
    /// adjoints of wider domains are summed over the indices that `home` lacks.
    fn collect(&mut self, id: ExprId, home: Domain) -> Option<(Option<ExprId>, ExprId)> {
        let least = (id, Domain::default(), None);
        let found = self.adjoints.range(least..).take_while(|(key, _)| key.0 == id);
        let found: Vec<(Domain, Option<ExprId>, ExprId)> =
            found.map(|(&(_, domain, guard), &adjoint)| (domain, guard, adjoint)).collect();
        let mut parts: Vec<(Option<ExprId>, ExprId)> = Vec::new();
        for (domain, guard, adjoint) in found {
            parts.push(self.sum_to(home, domain, guard, adjoint));
        }
        let first = parts.first()?.0;
        let common = parts[1..].iter().fold(first, |all, part| self.either(all, part.0));
        let mut total: Option<ExprId> = None;
        for (guard, adjoint) in parts {
            let part = if guard == common { adjoint } else { self.settle(guard, adjoint) };
            total = Some(total.map_or(part, |t| self.f.add(t, part)));
        }
        total.map(|total| (common, total))
    }

    /// The condition under which one of two conditions holds.
    fn either(&mut self, a: Option<ExprId>, b: Option<ExprId>) -> Option<ExprId> {
        let (a, b) = (a?, b?);
        let implies = |f: &Formula, one: ExprId, other: ExprId| {
            one == other
                || matches!(f.node(one), Node::Op(Op::And, args, _) if args.contains(&other))
        };
        match (implies(self.f, a, b), implies(self.f, b, a)) {
            (true, _) => Some(b),
            (_, true) => Some(a),
            _ => Some(self.f.apply(Op::Or, &[a, b], &[])),
        }
    }

    /// Sums an adjoint over the indices of its domain that `home` lacks, where its condition holds.
    fn sum_to(
        &mut self,
        home: Domain,
        domain: Domain,
        guard: Option<ExprId>,
        adjoint: ExprId,
    ) -> (Option<ExprId>, ExprId) {
        let lacks = |axis: Axis| domain.has(axis) && !home.has(axis);
        let (mut guard, mut adjoint) = (guard, adjoint);
        for axis in [Axis::J, Axis::I].into_iter().filter(|&axis| lacks(axis)) {
            (guard, adjoint) = self.of_rows(guard, adjoint);
            let (reducer, args) = (Reducer::Sum, vec![adjoint]);
            let sum = Reduction { reducer, axis, args, mask: guard.take(), k: 0 };
            adjoint = self.f.fold(sum);
        }
        (guard, adjoint)
    }
}

/// For every node from `first` on: whether a derivative with respect to a variable may not be
/// zero. A condition, a mask and whatever a piecewise constant operation reads do not count.
pub fn dependents(f: &Formula, first: usize, variables: &[ExprId]) -> Vec<bool> {
    let mut depends = vec![false; f.len() - first];
    for at in first..f.len() {
        let id = ExprId(at as u32);
        let known = |arg: &ExprId| arg.index() >= first && depends[arg.index() - first];
        depends[at - first] = variables.contains(&id)
            || match f.node(id) {
                Node::Op(op, args, _) => {
                    !matches!(op.def().grad, Grad::Zero) && args.iter().any(known)
                }
                Node::Reduce(r) => {
                    !matches!(r.reducer.def().grad, ReduceGrad::Zero) && r.args.iter().any(known)
                }
                Node::Input(_) | Node::Const(_) | Node::Pos(_) => false,
            };
    }
    depends
}
