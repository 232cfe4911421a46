//! Expressions to nodes of a formula.
//!
//! In go the flat nodes of an [`Expr`] and the names in scope; out comes a [`Value`]. Shapes are
//! checked by [`crate::ir`]; this module says where in the text the misfit is. What operators and
//! reductions mean is in [`super::operators`], what calls mean in [`super::calls`].

use std::collections::BTreeMap;

use crate::diag::{Diagnostic, Diagnostics, Span, code};
use crate::ir::{Axis, BuildError, ExprId, Formula, Kind, Node as IrNode, Reduction};
use crate::ops::Op;
use crate::reduce::Reducer;

use super::ast::{Expr, NodeId, NodeKind, Number, Size};
use super::expand::Expanded;
use super::functions::Functions;
use super::instances::Dims;
use super::{Result, calls, names};

/// Most nodes of expressions that one file may evaluate, over all instances and calls.
pub const MAX_STEPS: usize = 1_000_000;
/// Deepest nesting of calls of the file's own functions.
pub const MAX_CALLS: usize = 64;

/// What an expression stands for.
#[derive(Clone, Debug)]
pub enum Value {
    /// A node of the formula.
    Expr(ExprId),
    /// A literal, which becomes a node where a node is needed.
    Number(Number),
    /// `softmax(score) * weight`, which only a sum can use.
    Softmax { score: ExprId, weight: Option<ExprId> },
    /// `(a, b)`, which only a weighted reduction can use.
    Pair(ExprId, ExprId),
    /// Two results of one reduction, which only two targets can take.
    Both(ExprId, ExprId),
    /// `[2, 3]`, which only some operations take.
    List(Vec<i64>),
}

/// Names and what they stand for; `None` where the definition has an error.
#[derive(Default)]
pub struct Scope<'a> {
    values: BTreeMap<&'a str, Option<Value>>,
}

impl<'a> Scope<'a> {
    /// Defines a name.
    pub fn define(&mut self, name: &'a str, value: Option<Value>) {
        self.values.insert(name, value);
    }

    fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.values.keys().copied()
    }
}

/// One input, as expressions see it.
pub struct InputFact {
    pub value: ExprId,
    pub axis: Option<Axis>,
    /// Columns: two for each complex number.
    pub dim: usize,
    pub kind: Kind,
}

/// Evaluates the expressions of one instance into its formula.
pub struct Evaluator<'a> {
    pub formula: Formula,
    pub inputs: Vec<InputFact>,
    /// Which indices have rows: those of some input.
    pub axes: Vec<Axis>,
    pub functions: &'a Functions<'a>,
    pub dims: &'a Dims<'a>,
    /// Names that are defined further down, with their places.
    pub later: BTreeMap<&'a str, Span>,
    /// What is left of [`MAX_STEPS`].
    pub steps: &'a mut usize,
    /// Calls of the file's functions.
    pub expanded: Expanded,
    /// Where in the text the nodes of the formula stand.
    pub spans: BTreeMap<ExprId, Span>,
}

impl<'a> Evaluator<'a> {
    /// The value of an expression.
    pub fn value(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Value> {
        let mut values: Vec<Value> = Vec::with_capacity(expr.nodes.len());
        for node in &expr.nodes {
            self.step(node.span)?;
            let done = Done { expr, values: &values };
            let value = match &node.kind {
                NodeKind::Number(number) => Value::Number(*number),
                NodeKind::Imaginary(part) => Value::Expr(self.imaginary(*part)),
                NodeKind::Name(name) => self.name(name, node.span, scope)?,
                NodeKind::Pos(axis) => self.pos(*axis, node.span)?,
                NodeKind::List(items) => self.list(items)?,
                NodeKind::Minus(a) => self.minus(&done, *a)?,
                NodeKind::Infix(infix, _, a, b) => self.infix(*infix, &done, *a, *b)?,
                NodeKind::Call(name, args) => self.call(name, &done, args, node.span)?,
                NodeKind::Elem(a, at) => self.elem(&done, *a, at)?,
                NodeKind::Slice(a, start, stop) => {
                    self.slice(&done, *a, (start.as_ref(), stop.as_ref()), node.span)?
                }
                NodeKind::Pair(a, b) => Value::Pair(self.node(&done, *a)?, self.node(&done, *b)?),
                NodeKind::Fold(fold, a) => self.fold(fold, &done, *a, node.span)?,
            };
            if let Value::Expr(id) = &value {
                self.spans.entry(*id).or_insert(node.span);
            }
            values.push(value);
        }
        Ok(values.pop().unwrap_or(Value::List(Vec::new())))
    }

    fn step(&mut self, span: Span) -> Result<()> {
        self.charge(1, span)
    }

    /// Takes from what is left of [`MAX_STEPS`].
    pub fn charge(&mut self, steps: usize, span: Span) -> Result<()> {
        match self.steps.checked_sub(steps) {
            Some(left) => {
                *self.steps = left;
                Ok(())
            }
            None => Diagnostic::new(code::SIZE_LIMIT, "this file is too large to expand", span)
                .note(format!(
                    "all instances and calls together evaluate more than {MAX_STEPS} operations"
                ))
                .help("list fewer members, or split the file")
                .fail(),
        }
    }

    fn name(&mut self, name: &str, span: Span, scope: &Scope<'_>) -> Result<Value> {
        if let Some(value) = scope.values.get(name) {
            return value.clone().ok_or_else(Diagnostics::default);
        }
        if let Some(value) = self.dims.get(name) {
            let integer = Some(value as i64);
            return Ok(Value::Number(Number { value: value as f64, integer }));
        }
        if let Some(value) = names::constant(name) {
            return Ok(Value::Number(Number { value, integer: None }));
        }
        let diagnostic =
            Diagnostic::new(code::UNKNOWN_NAME, format!("unknown name `{name}`"), span);
        if let Some(&place) = self.later.get(name) {
            return diagnostic
                .related(place, "defined here")
                .help("a name is used after the statement that defines it; move that one up")
                .fail();
        }
        if calls::is_known(name) || self.functions.get(name).is_some() {
            return diagnostic.help(format!("`{name}` is a function: write `{name}(…)`")).fail();
        }
        let constants = names::CONSTANTS.iter().map(|(name, _)| *name);
        let candidates = scope.names().chain(self.dims.names()).chain(constants);
        names::suggest(diagnostic.label("not defined"), name, candidates).fail()
    }

    /// A number times the imaginary unit.
    fn imaginary(&mut self, part: f64) -> ExprId {
        let parts = [self.formula.constant(0.0), self.formula.constant(part)];
        self.formula.apply(Op::Complex, &parts, &[])
    }

    fn list(&self, items: &[Size]) -> Result<Value> {
        let items = items.iter().map(|item| self.dims.value(item));
        Ok(Value::List(items.collect::<Result<_>>()?))
    }

    fn pos(&mut self, axis: Axis, span: Span) -> Result<Value> {
        self.rows(axis, span)?;
        Ok(Value::Expr(self.formula.pos(axis)))
    }

    /// Checks that an index has rows.
    pub fn rows(&self, axis: Axis, span: Span) -> Result<()> {
        if self.axes.contains(&axis) {
            return Ok(());
        }
        Diagnostic::new(
            code::NO_ROWS,
            format!("no input is indexed by {axis}, so nothing says how many rows there are"),
            span,
        )
        .help(format!("declare an input of {axis}, as in `x[{axis}] : R;`"))
        .fail()
    }

    /// The node of a value.
    pub fn expr(&mut self, value: &Value, span: Span) -> Result<ExprId> {
        match value {
            Value::Expr(id) => Ok(*id),
            Value::Number(number) => Ok(self.formula.constant(number.value)),
            Value::Softmax { .. } => {
                Diagnostic::new(code::SOFTMAX, "`softmax` can only be a factor inside a sum", span)
                    .label("not a plain value")
                    .help("write `sum[j] softmax(s) * v`")
                    .fail()
            }
            Value::Pair(..) => Diagnostic::new(
                code::PAIR,
                "a pair can only be the operand of a weighted reduction",
                span,
            )
            .label("two values where one is expected")
            .help("write `logsumexp[j](s, w)` or `softmaxsum[j](s, v)`")
            .fail(),
            Value::Both(..) => Diagnostic::new(
                code::TARGETS,
                "this reduction has two results, which cannot take part in an expression",
                span,
            )
            .help("give it two targets: `d[i], l[i] = …;`")
            .fail(),
            Value::List(_) => Diagnostic::new(code::PAIR, "a list is not a value", span)
                .label("only operations such as tensordot, kron and pick take lists")
                .fail(),
        }
    }

    /// The node of an operand.
    pub fn node(&mut self, done: &Done<'_>, id: NodeId) -> Result<ExprId> {
        self.expr(done.value(id), done.span(id))
    }

    /// Applies an operation to values that stand at some nodes of the text.
    pub fn op(
        &mut self,
        op: Op,
        args: &[ExprId],
        done: &Done<'_>,
        at: &[NodeId],
    ) -> Result<ExprId> {
        let built = self.formula.op(op, args, &[]);
        self.built(built, done, at)
    }

    /// Says where in the text an operation does not fit.
    pub fn built(
        &self,
        built: std::result::Result<ExprId, BuildError>,
        done: &Done<'_>,
        at: &[NodeId],
    ) -> Result<ExprId> {
        let error = match built {
            Ok(id) => return Ok(id),
            Err(error) => error,
        };
        let (name, focus) = done.focus();
        let mut diagnostic = misfit(&error, focus);
        if let BuildError::Complex(..) = error {
            let complex = at.iter().filter(|&&id| self.is_of(done.value(id), Kind::Complex));
            let label = String::from("complex");
            diagnostic.related.extend(complex.map(|&id| (done.span(id).into(), label.clone())));
        }
        if let BuildError::Place(_) = error {
            // The table says `lt`, the text says `<`.
            if let Some((_, what)) = diagnostic.message.split_once(' ') {
                diagnostic.message = format!("`{name}` {what}");
            }
            let integers = at.iter().filter(|&&id| self.is_of(done.value(id), Kind::Int));
            let label = String::from("integer");
            diagnostic.related.extend(integers.map(|&id| (done.span(id).into(), label.clone())));
        }
        if let BuildError::Shape(_) | BuildError::Complex(..) = error {
            // The table says `add: why`, the text says `+`.
            if let Some((_, why)) = diagnostic.message.split_once(": ") {
                diagnostic.message = format!("`{name}`: {why}");
            }
        }
        if let BuildError::Shape(_) = error {
            for &id in at {
                let shape = self.shape(done.value(id));
                diagnostic.related.extend(shape.map(|shape| (done.span(id).into(), shape)));
            }
        }
        diagnostic.fail()
    }

    /// Whether a value is of a kind.
    pub fn is_of(&self, value: &Value, kind: Kind) -> bool {
        matches!(value, Value::Expr(id) if self.formula.kind(*id) == kind)
    }

    fn shape(&self, value: &Value) -> Option<String> {
        match value {
            Value::Expr(id) => {
                let complex = self.formula.kind(*id) == Kind::Complex;
                let adjective = if complex { "complex " } else { "" };
                Some(match self.formula.count(*id) {
                    1 => format!("{adjective}scalar"),
                    count => format!("{count} {adjective}components"),
                })
            }
            Value::Number(_) => Some(String::from("scalar")),
            _ => None,
        }
    }

    /// Whether a value is the row numbers of a reduction that also knows the values there, and
    /// the reduction that gives those.
    pub fn values_of(&self, id: ExprId) -> Option<(Reduction, Reduction)> {
        let IrNode::Reduce(r) = self.formula.node(id) else { return None };
        let (values, rows) = match r.reducer {
            Reducer::ArgMin => (Reducer::Min, Reducer::ArgMin),
            Reducer::ArgMax => (Reducer::Max, Reducer::ArgMax),
            Reducer::KMin | Reducer::ArgKMin => (Reducer::KMin, Reducer::ArgKMin),
            Reducer::KMax | Reducer::ArgKMax => (Reducer::KMax, Reducer::ArgKMax),
            _ => return None,
        };
        let with = |reducer| Reduction { reducer, ..r.clone() };
        Some((with(values), with(rows)))
    }
}

/// The nodes of an expression that have a value already.
pub struct Done<'a> {
    expr: &'a Expr,
    values: &'a [Value],
}

impl<'a> Done<'a> {
    /// The value of a node.
    pub fn value(&self, id: NodeId) -> &'a Value {
        &self.values[id]
    }

    /// Where a node stands.
    pub fn span(&self, id: NodeId) -> Span {
        self.expr.nodes[id].span
    }

    /// What the node is.
    pub fn kind(&self, id: NodeId) -> &'a NodeKind {
        &self.expr.nodes[id].kind
    }

    /// How the node that is being evaluated is called in the text, and where its name stands.
    fn focus(&self) -> (&'a str, Span) {
        let node = &self.expr.nodes[self.values.len()];
        match &node.kind {
            NodeKind::Infix(infix, place, ..) => (infix.symbol(), *place),
            NodeKind::Call(name, _) => (&name.text, name.span),
            NodeKind::Fold(fold, _) => (&fold.name.text, fold.name.span),
            NodeKind::Minus(_) => ("-", node.span),
            _ => ("[]", node.span),
        }
    }
}

/// The diagnostic of something that cannot be built.
pub fn misfit(error: &BuildError, span: Span) -> Diagnostic {
    match error {
        BuildError::Shape(why) => Diagnostic::new(code::SHAPE, why.as_str(), span),
        BuildError::Arity(why) => Diagnostic::new(code::ARITY, why.as_str(), span),
        BuildError::Place(why) => match why.split_once("; ") {
            Some((what, remedy)) => Diagnostic::new(code::INTEGER, what, span).help(remedy),
            None => Diagnostic::new(code::INTEGER, why.as_str(), span),
        },
        BuildError::Complex(why, help) => {
            Diagnostic::new(code::COMPLEX, why.as_str(), span).help(*help)
        }
        BuildError::Limit(why) => Diagnostic::new(code::SIZE_LIMIT, why.as_str(), span),
    }
}
