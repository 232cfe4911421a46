//! One side of a rule against a formula: what its letters stand for, and the other side built.

use crate::ir::{ExprId, Formula, Node, Reduction};
use crate::ops::Op;

use super::facts;
use super::products::widen;
use super::rules::{Condition, Param, Pattern, Rule, is_map};

/// What letters stand for.
#[derive(Clone, Debug, Default)]
pub struct Match {
    values: Vec<(char, ExprId)>,
    params: Vec<(char, i64)>,
    map: Option<(Op, Vec<i64>)>,
    fold: Option<Reduction>,
    /// The matched operations below the root, which vanish if nothing else reads them.
    pub inner: Vec<ExprId>,
}

impl Match {
    fn value(&self, letter: char) -> Option<ExprId> {
        self.values.iter().find(|(l, _)| *l == letter).map(|(_, id)| *id)
    }

    fn param(&self, letter: char) -> Option<i64> {
        self.params.iter().find(|(l, _)| *l == letter).map(|(_, n)| *n)
    }

    /// Binds a letter, or compares with what it stands for already.
    fn bind(mut self, letter: char, id: ExprId) -> Option<Match> {
        match self.value(letter) {
            Some(before) => (before == id).then_some(self),
            None => {
                self.values.push((letter, id));
                Some(self)
            }
        }
    }

    fn bind_params(mut self, patterns: &[Param], params: &[i64]) -> Option<Match> {
        for (pattern, &n) in patterns.iter().zip(params) {
            match *pattern {
                Param::Is(wanted) if wanted == n => {}
                Param::Any(letter) => match self.param(letter) {
                    Some(before) if before == n => {}
                    Some(_) => return None,
                    None => self.params.push((letter, n)),
                },
                Param::Is(_) | Param::Sum(..) => return None,
            }
        }
        Some(self)
    }
}

/// What letters stand for in an instance of a rule: values, literal integers, the operation that
/// `map` stands for with its literals, and a reduction whose index and mask are taken.
#[derive(Clone, Debug, Default)]
pub struct Letters {
    /// x, y, z, u, c, d
    pub values: Vec<(char, ExprId)>,
    /// k, l, m, n
    pub params: Vec<(char, i64)>,
    /// `map`, `map2`, `map3`
    pub map: Option<(Op, Vec<i64>)>,
    /// `[a]`
    pub fold: Option<Reduction>,
}

/// One side of a rule, for chosen letters; nothing where shapes do not fit.
pub fn instance(f: &mut Formula, side: &Pattern, letters: Letters) -> Option<ExprId> {
    let Letters { values, params, map, fold } = letters;
    let found = Match { values, params, map, fold, inner: Vec::new() };
    build(f, side, &found, &mut plain)
}

/// Applies a rule to a node, whatever it costs: the right side where the left side fits, the
/// conditions hold and the dims agree.
pub fn apply(f: &mut Formula, rule: &Rule, root: ExprId) -> Option<ExprId> {
    let dim = f.dim(root);
    let copied = is_component_wise(f, root);
    matches(f, rule, root).into_iter().find_map(|found| {
        let new = build(f, &rule.right, &found, &mut plain)?;
        match f.dim(new) {
            1 if copied => Some(widen(f, new, dim)),
            found => (found == dim).then_some(new),
        }
    })
}

/// Whether a scalar in the place of this node would be copied into each component.
pub(super) fn is_component_wise(f: &Formula, id: ExprId) -> bool {
    matches!(f.node(id), Node::Op(op, args, _) if is_map(*op, args.len()))
}

/// Adds a node as it is.
fn plain(f: &mut Formula, node: Node) -> Option<ExprId> {
    match node {
        Node::Op(op, args, params) => f.op(op, &args, &params).ok(),
        Node::Reduce(r) => f.reduce(r).ok(),
        leaf => Some(super::rewrite::keep(f, leaf)),
    }
}

/// Every way in which the left side of a rule fits a node and its conditions hold.
pub fn matches(f: &Formula, rule: &Rule, root: ExprId) -> Vec<Match> {
    if !may_fit(f, &rule.left, root) {
        return Vec::new();
    }
    let mut all = fit(f, &rule.left, root, Match::default());
    all.retain(|m| {
        rule.conditions.iter().all(|&(condition, letter)| holds(f, m, condition, letter))
    });
    for found in &mut all {
        found.inner.retain(|&id| id != root);
    }
    all
}

/// Whether a node has the shape of a pattern, whatever the letters stand for. Most have not.
fn may_fit(f: &Formula, pattern: &Pattern, id: ExprId) -> bool {
    let all = |patterns: &[Pattern], args: &mut dyn Iterator<Item = &ExprId>| {
        patterns.iter().zip(args).all(|(pattern, &arg)| may_fit(f, pattern, arg))
    };
    match (pattern, f.node(id)) {
        (Pattern::Any(_), _) | (Pattern::Const(_), Node::Const(_)) => true,
        (Pattern::Number(wanted), Node::Const(found)) => wanted == found,
        (Pattern::Op(wanted, args, _), Node::Op(op, found, _)) if wanted == op => {
            all(args, &mut found.iter()) || commutes(*op) && all(args, &mut found.iter().rev())
        }
        (Pattern::Map(args), Node::Op(op, found, _)) if is_map(*op, args.len()) => {
            all(args, &mut found.iter())
        }
        (Pattern::Fold(reducer, arg), Node::Reduce(r)) if r.reducer == *reducer => {
            may_fit(f, arg, r.args[0])
        }
        _ => false,
    }
}

fn fit(f: &Formula, pattern: &Pattern, id: ExprId, so_far: Match) -> Vec<Match> {
    let one = |found: Option<Match>| found.into_iter().collect();
    match (pattern, f.node(id)) {
        (Pattern::Any(letter), _) => one(so_far.bind(*letter, id)),
        (Pattern::Const(letter), Node::Const(_)) => one(so_far.bind(*letter, id)),
        (Pattern::Number(wanted), Node::Const(found)) if wanted == found => vec![so_far],
        (Pattern::Op(wanted, args, params), Node::Op(op, found, literals)) if wanted == op => {
            let Some(mut bound) = so_far.bind_params(params, literals) else { return Vec::new() };
            bound.inner.push(id);
            let mut all = fit_args(f, args, found, bound.clone());
            if commutes(*op) && args[0] != args[1] {
                all.extend(fit_args(f, args, &[found[1], found[0]], bound));
            }
            all
        }
        (Pattern::Map(args), Node::Op(op, found, literals)) if is_map(*op, args.len()) => {
            let mut bound = so_far;
            bound.map = Some((*op, literals.clone()));
            bound.inner.push(id);
            fit_args(f, args, found, bound)
        }
        (Pattern::Fold(reducer, arg), Node::Reduce(r)) if r.reducer == *reducer => {
            let mut bound = so_far;
            bound.fold = Some(r.clone());
            bound.inner.push(id);
            fit(f, arg, r.args[0], bound)
        }
        _ => Vec::new(),
    }
}

fn fit_args(f: &Formula, patterns: &[Pattern], args: &[ExprId], so_far: Match) -> Vec<Match> {
    let mut all = vec![so_far];
    for (pattern, &arg) in patterns.iter().zip(args) {
        all = all.into_iter().flat_map(|m| fit(f, pattern, arg, m)).collect();
    }
    all
}

/// Whether the order of the two arguments never matters.
pub fn commutes(op: Op) -> bool {
    matches!(op, Op::Add | Op::Mul | Op::Eq | Op::Ne | Op::And | Op::Or)
}

fn holds(f: &Formula, found: &Match, condition: Condition, letter: char) -> bool {
    let number = || found.value(letter).and_then(|id| f.as_const(id));
    let value =
        |test: fn(&Formula, ExprId) -> bool| found.value(letter).is_some_and(|id| test(f, id));
    match condition {
        Condition::Scalar => value(|f, id| f.dim(id) == 1),
        Condition::PowerOfTwo => number().is_some_and(facts::is_power_of_two),
        Condition::Invertible => number().is_some_and(facts::is_invertible),
        Condition::IsZero => number().is_some_and(|c| c == 0.0),
        Condition::NotZero => number().is_some_and(|c| c != 0.0),
        Condition::AtLeastZero => number().is_some_and(|c| c >= 0.0),
        Condition::NotAtLeastZero => number().is_some_and(|c| c < 0.0 || c.is_nan()),
        Condition::AtMostThree => found.param(letter).is_some_and(|n| n <= 3),
        Condition::NeverMinusZero => value(facts::never_minus_zero),
        Condition::NeverNegative => value(facts::never_negative),
        Condition::NoProduct => value(facts::is_no_product),
    }
}

/// Builds the right side of a rule, arguments first. `make` adds one node; it is not called for
/// what a letter stands for. Nothing comes out where shapes do not fit.
pub fn build(
    f: &mut Formula,
    pattern: &Pattern,
    found: &Match,
    make: &mut dyn FnMut(&mut Formula, Node) -> Option<ExprId>,
) -> Option<ExprId> {
    match pattern {
        Pattern::Any(letter) | Pattern::Const(letter) => found.value(*letter),
        Pattern::Number(c) => Some(f.constant(c.get())),
        Pattern::OfParam(letter) => Some(f.constant(found.param(*letter)? as f64)),
        Pattern::Op(op, args, params) => {
            let args = build_all(f, args, found, make)?;
            let params: Option<Vec<i64>> = params.iter().map(|p| literal(*p, found)).collect();
            make(f, Node::Op(*op, args, params?))
        }
        Pattern::Map(args) => {
            let args = build_all(f, args, found, make)?;
            let (op, params) = found.map.clone()?;
            make(f, Node::Op(op, args, params))
        }
        Pattern::Fold(reducer, arg) => {
            let arg = build(f, arg, found, make)?;
            let fold = found.fold.clone()?;
            make(f, Node::Reduce(Reduction { reducer: *reducer, args: vec![arg], ..fold }))
        }
    }
}

fn build_all(
    f: &mut Formula,
    patterns: &[Pattern],
    found: &Match,
    make: &mut dyn FnMut(&mut Formula, Node) -> Option<ExprId>,
) -> Option<Vec<ExprId>> {
    patterns.iter().map(|p| build(f, p, found, make)).collect()
}

fn literal(param: Param, found: &Match) -> Option<i64> {
    match param {
        Param::Is(n) => Some(n),
        Param::Any(letter) => found.param(letter),
        Param::Sum(a, b) => found.param(a)?.checked_add(found.param(b)?),
    }
}
