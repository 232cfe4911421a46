//! Simplification: constants are computed, and the rules of `rules.txt` are applied bottom-up until
//! none applies.
//!
//! A rule is applied where it lowers the cost of the formula ([`super::cost`]), or keeps the cost
//! and [shrinks](super::rules::Rule::shrinks) the formula. So it ends: of the two measures, the
//! first never rises, and one of them falls at each step. What the left side computes counts as
//! saved only where nothing else reads it, and all that the right side computes counts as spent;
//! so the cost of the whole formula never rises, however its parts are shared.
//!
//! An exact rule gives the same bits for every IEEE value (the order of a later contraction into a
//! fused multiply-add aside); a relaxed one needs a formula that is declared `relaxed`.

use std::collections::BTreeMap;

use crate::ir::{ExprId, Formula, Kind, Node};
use crate::ops::Op;

use super::cost::{self, Cost};
use super::pattern::{self, Match, commutes, is_component_wise};
use super::products::widen;
use super::rewrite::{keep, rewrite};
use super::rules::{Pattern, Rule, rules, rules_of};

/// Most rounds over a formula. A rule of one round may make room for one of the next; formulas of
/// people need two or three.
const MAX_ROUNDS: usize = 16;

/// Deepest nesting of rules that apply to what another rule made; what lies deeper waits for the
/// next round.
const MAX_NESTING: usize = 32;

/// How often each rule was applied, by name.
pub type Fired = BTreeMap<&'static str, usize>;

/// What is counted for computed constants.
pub const CONSTANTS: &str = "compute constants";
/// What is counted where `b + a` is found to be `a + b`.
pub const COMMUTED: &str = "share a + b with b + a";

/// See the module's text.
pub fn simplify(formula: &Formula, fired: &mut Fired) -> Formula {
    let mut current = round(formula, fired);
    for _ in 1..MAX_ROUNDS {
        let mut again = Fired::new();
        let next = round(&current, &mut again);
        if again.is_empty() {
            break;
        }
        current = next;
        again.into_iter().for_each(|(name, n)| *fired.entry(name).or_default() += n);
    }
    current
}

fn round(formula: &Formula, fired: &mut Fired) -> Formula {
    let mut round = Round { readers: Vec::new(), fired, nesting: 0 };
    let old = readers(formula);
    rewrite(formula, |f, id, node| {
        let new = round.make(f, node);
        // Whoever reads the old node will read the new one.
        round.reads(new, old[id.index()]);
        new
    })
}

/// How many live nodes and outputs read each node.
fn readers(f: &Formula) -> Vec<u32> {
    let live = f.reachable(f.outputs.iter().map(|o| o.expr));
    let mut readers = vec![0; f.len()];
    for id in f.ids().filter(|id| live[id.index()]) {
        f.node(id).args().for_each(|a| readers[a.index()] += 1);
    }
    f.outputs.iter().for_each(|o| readers[o.expr.index()] += 1);
    readers
}

/// One walk over a formula.
struct Round<'a> {
    /// For each new node, how many nodes and outputs read it or will; rather too many than too few.
    readers: Vec<u32>,
    fired: &'a mut Fired,
    nesting: usize,
}

impl Round<'_> {
    fn reads(&mut self, id: ExprId, times: u32) {
        if self.readers.len() <= id.index() {
            self.readers.resize(id.index() + 1, 0);
        }
        self.readers[id.index()] += times;
    }

    fn count(&mut self, name: &'static str) {
        *self.fired.entry(name).or_default() += 1;
    }

    /// Adds a node whose arguments are simplified, in its simplest form.
    fn make(&mut self, f: &mut Formula, node: Node) -> ExprId {
        if let Node::Op(op, args, params) = &node {
            if let Some(constant) = evaluate(f, *op, args, params) {
                self.count(CONSTANTS);
                return constant;
            }
            if let Some(same) = commuted(f, *op, args) {
                self.count(COMMUTED);
                return same;
            }
        }
        let id = keep(f, node);
        if self.nesting == MAX_NESTING {
            return id;
        }
        self.nesting += 1;
        let simpler = self.first_rule(f, id);
        self.nesting -= 1;
        simpler.unwrap_or(id)
    }

    /// Applies the first rule that fits.
    fn first_rule(&mut self, f: &mut Formula, id: ExprId) -> Option<ExprId> {
        // The rules are equations of reals: a right side may read an integer where the left one does
        // not.
        if f.node(id).args().chain([id]).any(|id| f.kind(id) != Kind::Real) {
            return None;
        }
        match f.node(id) {
            Node::Op(op, ..) => rules_of(*op).iter().find_map(|rule| self.apply(f, rule, id)),
            Node::Reduce(_) => {
                let mut folds = rules().iter().filter(|r| matches!(r.left, Pattern::Fold(..)));
                folds.find_map(|rule| self.apply(f, rule, id))
            }
            Node::Input(_) | Node::Const(_) | Node::Pos(_) => None,
        }
    }

    fn apply(&mut self, f: &mut Formula, rule: &'static Rule, id: ExprId) -> Option<ExprId> {
        if !rule.is_exact() && !f.relaxed {
            return None;
        }
        let found = pattern::matches(f, rule, id);
        let found = found.into_iter().find(|found| self.pays(f, rule, id, found))?;
        self.count(&rule.name);
        let new = pattern::build(f, &rule.right, &found, &mut |f, node| {
            let new = self.make(f, node.clone());
            node.args().for_each(|a| self.reads(a, 1));
            Some(new)
        });
        let dim = f.dim(id);
        new.map(|new| widen(f, new, dim))
    }

    /// Whether a rule lowers the cost at this place, or keeps it and shrinks the formula.
    fn pays(&self, f: &mut Formula, rule: &Rule, id: ExprId, found: &Match) -> bool {
        let Some((spent, dim)) = spent(f, rule, found) else { return false };
        let copied = dim != f.dim(id);
        if copied && (dim != 1 || !is_component_wise(f, id)) {
            return false;
        }
        let readers = |id: &ExprId| self.readers.get(id.index()).copied().unwrap_or(0);
        // An inner node has one reader, the node above it in the pattern.
        let vanish = found.inner.iter().filter(|inner| readers(inner) <= 1);
        let saved = vanish.fold(cost::of_node(f, id), |sum, &inner| sum + cost::of_node(f, inner));
        spent < saved || (spent == saved && rule.shrinks() && !copied)
    }
}

/// The cost of the right side of a rule and its dim, unless it has no shape.
fn spent(f: &mut Formula, rule: &Rule, found: &Match) -> Option<(Cost, usize)> {
    let mut spent = Cost::default();
    let built = pattern::build(f, &rule.right, found, &mut |f, node| {
        let id = match &node {
            Node::Op(op, args, params) => match evaluate(f, *op, args, params) {
                Some(constant) => return Some(constant),
                None => f.op(*op, args, params).ok()?,
            },
            Node::Reduce(r) => f.reduce(r.clone()).ok()?,
            leaf => keep(f, leaf.clone()),
        };
        spent += cost::of_node(f, id);
        Some(id)
    })?;
    Some((spent, f.dim(built)))
}

/// The node that is this one with its arguments the other way round, if it is there already.
fn commuted(f: &Formula, op: Op, args: &[ExprId]) -> Option<ExprId> {
    if !commutes(op) || f.find(&Node::Op(op, args.to_vec(), Vec::new())).is_some() {
        return None;
    }
    f.find(&Node::Op(op, vec![args[1], args[0]], Vec::new()))
}

/// An operation on constants, in float64 with the same `libm` on every host.
fn evaluate(f: &mut Formula, op: Op, args: &[ExprId], params: &[i64]) -> Option<ExprId> {
    let values: Vec<[f64; 1]> =
        args.iter().map(|&a| f.as_const(a).map(|c| [c])).collect::<Option<_>>()?;
    let dims = vec![1; args.len()];
    if (op.def().shape)(&dims, params) != Ok(1) {
        return None;
    }
    let slices: Vec<&[f64]> = values.iter().map(|v| v.as_slice()).collect();
    let mut out = [0.0];
    (op.def().eval)(&slices, params, &mut out);
    Some(f.constant(out[0]))
}
