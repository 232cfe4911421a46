//! Linear algebra of values that are linear in a variable: the trace of their matrix, and the
//! matrix applied to something else.
//!
//! The trace follows the structure of the value, so that it costs what the value costs: the trace
//! of `s v` is the sum of the components of `s`, and that of `q c`, where the scalar `q` is linear
//! in `v`, is the inner product of `c` and the gradient of `q`. Whatever has another structure is
//! taken apart into its components.

use std::collections::BTreeMap;

use crate::ir::{ExprId, Formula, Node, Reduction};
use crate::ops::Op;
use crate::reduce::Reducer;

use super::super::rewrite::keep;
use super::forward::transpose;
use super::reverse::Domain;
use super::scratch::component;
use super::{GradError, check_size, widen};

/// Most reductions inside one another that a trace goes through.
const MAX_NESTING: usize = 64;

/// `root` with another value in the place of `variable`, which has the same dim.
pub fn substitute(f: &mut Formula, root: ExprId, variable: ExprId, value: ExprId) -> ExprId {
    let below = f.reachable([root]);
    let mut new: BTreeMap<ExprId, ExprId> = BTreeMap::from([(variable, value)]);
    for at in variable.index() + 1..=root.index() {
        let id = ExprId(at as u32);
        if below[id.index()] && f.node(id).args().any(|arg| new.contains_key(&arg)) {
            let node = f.node(id).clone().map_args(|arg| *new.get(&arg).unwrap_or(&arg));
            let renamed = keep(f, node);
            new.insert(id, renamed);
        }
    }
    *new.get(&root).unwrap_or(&root)
}

/// The trace of `diag(weight) M`, where `root` is `M variable`. Where `root` is a scalar, `M` is
/// its row, as many times as the variable has components.
///
/// A reverse sweep of weights: each node gets the weight that its own trace is taken with. The
/// trace of a sum is the sum of the traces.
pub fn trace(
    f: &mut Formula,
    root: ExprId,
    variable: ExprId,
    weight: ExprId,
    kept: Domain,
) -> Result<ExprId, GradError> {
    trace_within(f, root, variable, weight, kept, 0)
}

fn trace_within(
    f: &mut Formula,
    root: ExprId,
    variable: ExprId,
    weight: ExprId,
    kept: Domain,
    depth: usize,
) -> Result<ExprId, GradError> {
    if depth > MAX_NESTING {
        return Err(GradError::TooLarge);
    }
    let depends = depends(f, root, variable);
    let mut sweep = Trace { f, variable, kept, terms: Vec::new(), weights: BTreeMap::new() };
    sweep.give(root, weight)?;
    while let Some((id, weight)) = sweep.weights.pop_last() {
        check_size(sweep.f)?;
        if id == variable {
            let weight = widen(sweep.f, weight, sweep.f.dim(variable));
            let term = sweep.f.sum_components(weight);
            sweep.terms.push(term);
            continue;
        }
        let node = sweep.f.node(id).clone();
        let handed = match &node {
            Node::Op(op, args, _) => {
                let varies: Vec<bool> = args.iter().map(|a| depends[a.index()]).collect();
                hand_down(sweep.f, *op, args, &varies, weight)
            }
            Node::Reduce(r) if r.reducer == Reducer::Sum && !kept.has(r.axis) => {
                // Inside of the sum, one row of its index is looked at.
                let at = kept.join(Domain::of(Some(r.axis)));
                let inside = trace_within(sweep.f, r.args[0], variable, weight, at, depth + 1)?;
                let sum = Reduction { args: vec![inside], ..r.clone() };
                let sum = sweep.f.fold(sum);
                sweep.terms.push(sum);
                continue;
            }
            _ => None,
        };
        match handed {
            Some(handed) => {
                handed.into_iter().try_for_each(|(id, weight)| sweep.give(id, weight))?;
            }
            None => sweep.by_components(id, weight)?,
        }
    }
    let terms = sweep.terms.into_iter();
    Ok(terms.reduce(|a, b| f.add(a, b)).unwrap_or_else(|| f.constant(0.0)))
}

/// Which nodes up to `root` have the variable in them.
fn depends(f: &Formula, root: ExprId, variable: ExprId) -> Vec<bool> {
    let mut depends = vec![false; root.index() + 1];
    for at in 0..=root.index() {
        let id = ExprId(at as u32);
        depends[id.index()] = id == variable || f.node(id).args().any(|arg| depends[arg.index()]);
    }
    depends
}

/// The weights of the arguments that vary, if the operation acts on each component alone.
fn hand_down(
    f: &mut Formula,
    op: Op,
    args: &[ExprId],
    varies: &[bool],
    weight: ExprId,
) -> Option<Vec<(ExprId, ExprId)>> {
    let choice = |f: &mut Formula, a: ExprId, b: ExprId| f.apply(op, &[args[0], a, b], &[]);
    let weights = match (op, varies) {
        (Op::Add, _) => vec![weight, weight],
        (Op::Sub, _) => vec![weight, f.neg(weight)],
        (Op::Neg, _) => vec![f.neg(weight)],
        (Op::SumT, _) => vec![weight],
        (Op::Mul, [true, false]) => vec![f.mul(weight, args[1]), weight],
        (Op::Mul, [false, true]) => vec![weight, f.mul(weight, args[0])],
        (Op::Div, [true, false]) => vec![f.div(weight, args[1]), weight],
        (Op::Where | Op::IfElse, [false, ..]) => {
            let zero = f.constant(0.0);
            vec![zero, choice(f, weight, zero), choice(f, zero, weight)]
        }
        _ => return None,
    };
    let each = args.iter().zip(weights).zip(varies);
    Some(each.filter(|(_, varies)| **varies).map(|((&arg, weight), _)| (arg, weight)).collect())
}

struct Trace<'a> {
    f: &'a mut Formula,
    variable: ExprId,
    kept: Domain,
    terms: Vec<ExprId>,
    weights: BTreeMap<ExprId, ExprId>,
}

impl Trace<'_> {
    /// Adds to the weight of a node. A scalar is copied into every component, so its matrix has
    /// equal rows, and the trace is the inner product of weight and row.
    fn give(&mut self, id: ExprId, weight: ExprId) -> Result<(), GradError> {
        if self.f.dim(id) > 1 || self.f.dim(self.variable) == 1 {
            let total = match self.weights.get(&id) {
                Some(&before) => self.f.add(before, weight),
                None => weight,
            };
            self.weights.insert(id, total);
            return Ok(());
        }
        let one = self.f.constant(1.0);
        if let Some(row) = transpose(self.f, id, self.variable, one, self.kept)? {
            let term = self.f.apply(Op::Dot, &[weight, row], &[]);
            self.terms.push(term);
        }
        Ok(())
    }

    /// Each entry of the diagonal by itself.
    fn by_components(&mut self, id: ExprId, weight: ExprId) -> Result<(), GradError> {
        for k in 0..self.f.dim(id) {
            check_size(self.f)?;
            let entry = component(self.f, id, k);
            let one = self.f.constant(1.0);
            if let Some(row) = transpose(self.f, entry, self.variable, one, self.kept)? {
                let (diagonal, factor) = (component(self.f, row, k), component(self.f, weight, k));
                let term = self.f.mul(factor, diagonal);
                self.terms.push(term);
            }
        }
        Ok(())
    }
}
