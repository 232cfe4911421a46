//! Expressions to nodes of a formula.
//!
//! In go the flat nodes of an [`Expr`] and the names in scope; out comes a [`Value`]. Shapes are
//! checked by [`crate::ir`]; this module says where in the text the misfit is. Operators are
//! spelled as the operations they stand for (`x > y` is `lt(y, x)`, `x**2` is `square(x)`), and
//! nothing else is rewritten.

use std::collections::BTreeMap;

use crate::diag::{Diagnostic, Diagnostics, Span, code};
use crate::ir::{Axis, BuildError, ExprId, Formula, Node as IrNode, Reduction};
use crate::ops::Op;
use crate::reduce::Reducer;

use super::ast::{Expr, Fold, Infix, NodeId, NodeKind, Number, Size};
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
    /// `[2, 3]`, which no supported operation takes.
    List,
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
    pub dim: usize,
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
    /// Calls of the file's functions that are being expanded.
    pub calls: usize,
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
                NodeKind::Name(name) => self.name(name, node.span, scope)?,
                NodeKind::Pos(axis) => self.pos(*axis, node.span)?,
                NodeKind::List => Value::List,
                NodeKind::Minus(a) => self.minus(&done, *a)?,
                NodeKind::Infix(infix, a, b) => self.infix(*infix, &done, *a, *b, node.span)?,
                NodeKind::Call(name, args) => self.call(name, &done, args, node.span)?,
                NodeKind::Elem(a, at) => self.elem(&done, *a, at, node.span)?,
                NodeKind::Slice(a, start, stop) => {
                    self.slice(&done, *a, (start.as_ref(), stop.as_ref()), node.span)?
                }
                NodeKind::Pair(a, b) => Value::Pair(self.node(&done, *a)?, self.node(&done, *b)?),
                NodeKind::Fold(fold, a) => self.fold(fold, &done, *a, node.span)?,
            };
            values.push(value);
        }
        Ok(values.pop().unwrap_or(Value::List))
    }

    fn step(&mut self, span: Span) -> Result<()> {
        match self.steps.checked_sub(1) {
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
            Value::List => Diagnostic::new(code::PAIR, "a list is not a value", span)
                .label("only arguments of some KeOps operations are lists")
                .fail(),
        }
    }

    fn node(&mut self, done: &Done<'_>, id: NodeId) -> Result<ExprId> {
        self.expr(done.value(id), done.span(id))
    }

    fn minus(&mut self, done: &Done<'_>, a: NodeId) -> Result<Value> {
        let weight = match done.value(a) {
            Value::Number(n) => {
                let integer = n.integer.map(|i| -i).filter(|&i| i != 0);
                return Ok(Value::Number(Number { value: negative(n.value), integer }));
            }
            Value::Softmax { score, weight } => Some((*score, *weight)),
            _ => None,
        };
        let Some((score, weight)) = weight else {
            let arg = self.node(done, a)?;
            return Ok(Value::Expr(self.op(Op::Neg, &[arg], done, &[a], done.span(a))?));
        };
        let weight = match weight {
            Some(w) => self.op(Op::Neg, &[w], done, &[a], done.span(a))?,
            None => self.formula.constant(-1.0),
        };
        Ok(Value::Softmax { score, weight: Some(weight) })
    }

    fn infix(
        &mut self,
        infix: Infix,
        done: &Done<'_>,
        a: NodeId,
        b: NodeId,
        span: Span,
    ) -> Result<Value> {
        if let Some(value) = self.softmax_factor(infix, done, a, b, span)? {
            return Ok(value);
        }
        if infix == Infix::Power {
            return self.power(done, a, b, span);
        }
        let one = matches!(done.value(a), Value::Number(n) if n.value == 1.0);
        if infix == Infix::Div && one {
            let arg = self.node(done, b)?;
            return Ok(Value::Expr(self.op(Op::Inv, &[arg], done, &[b], span)?));
        }
        let (op, a, b) = match infix {
            Infix::Or => (Op::Or, a, b),
            Infix::And => (Op::And, a, b),
            Infix::Eq => (Op::Eq, a, b),
            Infix::Ne => (Op::Ne, a, b),
            Infix::Lt => (Op::Lt, a, b),
            Infix::Le => (Op::Le, a, b),
            Infix::Gt => (Op::Lt, b, a),
            Infix::Ge => (Op::Le, b, a),
            Infix::Bar => (Op::Dot, a, b),
            Infix::Add => (Op::Add, a, b),
            Infix::Sub => (Op::Sub, a, b),
            Infix::Mul => (Op::Mul, a, b),
            Infix::Div | Infix::Power => (Op::Div, a, b),
        };
        let args = [self.node(done, a)?, self.node(done, b)?];
        Ok(Value::Expr(self.op(op, &args, done, &[a, b], span)?))
    }

    /// The product of a softmax and something else, if it is one.
    fn softmax_factor(
        &mut self,
        infix: Infix,
        done: &Done<'_>,
        a: NodeId,
        b: NodeId,
        span: Span,
    ) -> Result<Option<Value>> {
        let (score, weight) = match (infix, done.value(a), done.value(b)) {
            (Infix::Mul, Value::Softmax { .. }, Value::Softmax { .. }) => {
                return Diagnostic::new(code::SOFTMAX, "two softmax factors in one sum", span)
                    .help("a sum has one softmax; `softmax(s + t)` multiplies the exponentials")
                    .fail();
            }
            (Infix::Mul, Value::Softmax { score, weight }, _) => {
                let factor = self.node(done, b)?;
                let weight = match *weight {
                    Some(w) => self.op(Op::Mul, &[w, factor], done, &[a, b], span)?,
                    None => factor,
                };
                (*score, weight)
            }
            (Infix::Mul, _, Value::Softmax { score, weight }) => {
                let factor = self.node(done, a)?;
                let weight = match *weight {
                    Some(w) => self.op(Op::Mul, &[factor, w], done, &[a, b], span)?,
                    None => factor,
                };
                (*score, weight)
            }
            (Infix::Div, Value::Softmax { score, weight }, _) => {
                let divisor = self.node(done, b)?;
                let weight = match *weight {
                    Some(w) => self.op(Op::Div, &[w, divisor], done, &[a, b], span)?,
                    None => self.op(Op::Inv, &[divisor], done, &[b], span)?,
                };
                (*score, weight)
            }
            _ => return Ok(None),
        };
        Ok(Some(Value::Softmax { score, weight: Some(weight) }))
    }

    fn power(&mut self, done: &Done<'_>, a: NodeId, b: NodeId, span: Span) -> Result<Value> {
        let base = self.node(done, a)?;
        let exponent = match done.value(b) {
            Value::Number(n) => n.integer.or(whole(n.value)),
            _ => None,
        };
        let id = match exponent {
            Some(1) => base,
            Some(2) => self.op(Op::Square, &[base], done, &[a], span)?,
            Some(n) => {
                let built = self.formula.op(Op::Pow, &[base], &[n]);
                self.built(built, done, &[a], span)?
            }
            None => {
                let exponent = self.node(done, b)?;
                self.op(Op::Powf, &[base, exponent], done, &[a, b], span)?
            }
        };
        Ok(Value::Expr(id))
    }

    fn elem(&mut self, done: &Done<'_>, a: NodeId, at: &Size, span: Span) -> Result<Value> {
        let base = self.node(done, a)?;
        let (index, dim) = (self.dims.value(at)?, self.formula.dim(base));
        if index < 0 || index >= dim as i64 {
            return Diagnostic::new(
                code::SUBSCRIPT,
                format!("component {index} of a vector of {dim} does not exist"),
                at.span,
            )
            .label(format!("0 to {} exist", dim - 1))
            .fail();
        }
        let built = self.formula.op(Op::Elem, &[base], &[index]);
        Ok(Value::Expr(self.built(built, done, &[a], span)?))
    }

    fn slice(
        &mut self,
        done: &Done<'_>,
        a: NodeId,
        ends: (Option<&Size>, Option<&Size>),
        span: Span,
    ) -> Result<Value> {
        let base = self.node(done, a)?;
        let dim = self.formula.dim(base) as i64;
        let start = ends.0.map_or(Ok(0), |size| self.dims.value(size))?;
        let stop = ends.1.map_or(Ok(dim), |size| self.dims.value(size))?;
        if start < 0 || start >= stop || stop > dim {
            return Diagnostic::new(
                code::SUBSCRIPT,
                format!("components {start} to {stop} of a vector of {dim} do not exist"),
                span,
            )
            .label(format!("a slice `start:stop` needs 0 <= start < stop <= {dim}"))
            .fail();
        }
        let built = self.formula.op(Op::Extract, &[base], &[start, stop - start]);
        Ok(Value::Expr(self.built(built, done, &[a], span)?))
    }

    fn fold(&mut self, fold: &Fold, done: &Done<'_>, a: NodeId, span: Span) -> Result<Value> {
        self.rows(fold.axis, fold.name.span)?;
        let (args, reducer) = match (done.value(a), fold.name.text.as_str()) {
            (Value::Softmax { score, weight }, "sum") => {
                let weight = weight.unwrap_or_else(|| self.formula.constant(1.0));
                (vec![*score, weight], Some(Reducer::SoftMaxSum))
            }
            (Value::Pair(score, weight), name) => (vec![*score, *weight], calls::reducer(name, 2)),
            (_, name) => (vec![self.node(done, a)?], calls::reducer(name, 1)),
        };
        let reducer = match reducer {
            Some(reducer) => reducer,
            None => return calls::no_reducer(fold, args.len(), span).fail(),
        };
        let k = calls::entries(fold, reducer, self.dims)?;
        let mask = fold.mask.map(|mask| self.node(done, mask)).transpose()?;
        let reduction = Reduction { reducer, axis: fold.axis, args, mask, k };
        let built = self.formula.reduce(reduction);
        Ok(Value::Expr(self.built(built, done, &[a], span)?))
    }

    /// Applies an operation to values that stand at some nodes of the text.
    fn op(
        &mut self,
        op: Op,
        args: &[ExprId],
        done: &Done<'_>,
        at: &[NodeId],
        span: Span,
    ) -> Result<ExprId> {
        let built = self.formula.op(op, args, &[]);
        self.built(built, done, at, span)
    }

    /// Says where in the text an operation does not fit.
    pub fn built(
        &self,
        built: std::result::Result<ExprId, BuildError>,
        done: &Done<'_>,
        at: &[NodeId],
        span: Span,
    ) -> Result<ExprId> {
        let error = match built {
            Ok(id) => return Ok(id),
            Err(error) => error,
        };
        let diagnostic = misfit(&error, span);
        let wrong_shape = matches!(error, BuildError::Shape(_));
        let shapes = at.iter().filter(|_| wrong_shape).filter_map(|&id| {
            let shape = self.shape(done.value(id))?;
            Some((done.span(id), shape))
        });
        shapes.fold(diagnostic, |d, (span, shape)| d.related(span, shape)).fail()
    }

    fn shape(&self, value: &Value) -> Option<String> {
        match value {
            Value::Expr(id) => Some(match self.formula.dim(*id) {
                1 => String::from("scalar"),
                dim => format!("{dim} components"),
            }),
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
}

/// The diagnostic of something that cannot be built.
pub fn misfit(error: &BuildError, span: Span) -> Diagnostic {
    match error {
        BuildError::Shape(why) => Diagnostic::new(code::SHAPE, why.as_str(), span),
        BuildError::Arity(why) => Diagnostic::new(code::ARITY, why.as_str(), span),
        BuildError::Place(why) => Diagnostic::new(code::ROW_NUMBER, why.as_str(), span),
        BuildError::Limit(why) => Diagnostic::new(code::SIZE_LIMIT, why.as_str(), span),
    }
}

/// The integer that a float is, if it is one and small enough for an exponent.
fn whole(value: f64) -> Option<i64> {
    let integer = value as i64;
    (integer as f64 == value && integer.unsigned_abs() < 1 << 31).then_some(integer)
}

/// The negative of a constant; NaN has no sign here, so that it stays one constant.
fn negative(value: f64) -> f64 {
    if value.is_nan() { value } else { -value }
}
