//! Operators, subscripts and reductions of expressions.
//!
//! Operators are spelled as the operations they stand for (`x > y` is `lt(y, x)`, `x**2` is
//! `square(x)`, `1/x` is `inv(x)`), and nothing else is rewritten: what a formula computes is what
//! its text says.

use crate::diag::{Diagnostic, Span, code};
use crate::ir::{ExprId, Reduction};
use crate::ops::Op;
use crate::reduce::Reducer;

use super::ast::{Fold, Infix, NodeId, NodeKind, Number, Size};
use super::value::{Done, Evaluator, Value};
use super::{Result, calls};

impl Evaluator<'_> {
    /// `-a`. The negative of a literal is a literal again.
    pub fn minus(&mut self, done: &Done<'_>, a: NodeId) -> Result<Value> {
        match done.value(a) {
            Value::Number(n) => {
                let integer = n.integer.map(|i| -i).filter(|&i| i != 0);
                Ok(Value::Number(Number { value: negative(n.value), integer }))
            }
            Value::Softmax { score, weight } => {
                let weight = match *weight {
                    Some(weight) => self.op(Op::Neg, &[weight], done, &[a])?,
                    None => self.formula.constant(-1.0),
                };
                Ok(Value::Softmax { score: *score, weight: Some(weight) })
            }
            _ => {
                let arg = self.node(done, a)?;
                Ok(Value::Expr(self.op(Op::Neg, &[arg], done, &[a])?))
            }
        }
    }

    /// `a * b` and its kin.
    pub fn infix(&mut self, infix: Infix, done: &Done<'_>, a: NodeId, b: NodeId) -> Result<Value> {
        if let Some(value) = self.softmax_factor(infix, done, a, b)? {
            return Ok(value);
        }
        if infix == Infix::Power {
            return self.power(done, a, b);
        }
        let one = matches!(done.value(a), Value::Number(n) if n.value == 1.0);
        if infix == Infix::Div && one {
            let arg = self.node(done, b)?;
            return Ok(Value::Expr(self.op(Op::Inv, &[arg], done, &[b])?));
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
        Ok(Value::Expr(self.op(op, &args, done, &[a, b])?))
    }

    /// The product of a softmax and something else, if it is one.
    fn softmax_factor(
        &mut self,
        infix: Infix,
        done: &Done<'_>,
        a: NodeId,
        b: NodeId,
    ) -> Result<Option<Value>> {
        let (score, weight) = match (infix, done.value(a), done.value(b)) {
            (Infix::Mul, Value::Softmax { .. }, Value::Softmax { .. }) => {
                let place = done.span(a).to(done.span(b));
                return Diagnostic::new(code::SOFTMAX, "two softmax factors in one sum", place)
                    .help("a sum has one softmax; `softmax(s + t)` multiplies the exponentials")
                    .fail();
            }
            (Infix::Mul, Value::Softmax { score, weight }, _) => {
                let factor = self.node(done, b)?;
                (score, self.product(*weight, factor, |w, f| [w, f], done, [a, b])?)
            }
            (Infix::Mul, _, Value::Softmax { score, weight }) => {
                let factor = self.node(done, a)?;
                (score, self.product(*weight, factor, |w, f| [f, w], done, [a, b])?)
            }
            (Infix::Div, Value::Softmax { score, weight }, _) => {
                let divisor = self.node(done, b)?;
                let quotient = match *weight {
                    Some(weight) => self.op(Op::Div, &[weight, divisor], done, &[a, b])?,
                    None => self.op(Op::Inv, &[divisor], done, &[b])?,
                };
                (score, quotient)
            }
            _ => return Ok(None),
        };
        Ok(Some(Value::Softmax { score: *score, weight: Some(weight) }))
    }

    /// The weight of a softmax times a factor, in the order of the text.
    fn product(
        &mut self,
        weight: Option<ExprId>,
        factor: ExprId,
        order: fn(ExprId, ExprId) -> [ExprId; 2],
        done: &Done<'_>,
        at: [NodeId; 2],
    ) -> Result<ExprId> {
        match weight {
            Some(weight) => self.op(Op::Mul, &order(weight, factor), done, &at),
            None => Ok(factor),
        }
    }

    fn power(&mut self, done: &Done<'_>, a: NodeId, b: NodeId) -> Result<Value> {
        let base = self.node(done, a)?;
        let exponent = match done.value(b) {
            Value::Number(n) => n.integer.or(whole(n.value)),
            _ => None,
        };
        let id = match exponent {
            Some(1) => base,
            Some(2) => self.op(Op::Square, &[base], done, &[a])?,
            Some(n) => {
                let built = self.formula.op(Op::Pow, &[base], &[n]);
                self.built(built, done, &[a])?
            }
            None => {
                let exponent = self.node(done, b)?;
                self.op(Op::Powf, &[base, exponent], done, &[a, b])?
            }
        };
        Ok(Value::Expr(id))
    }

    /// `a[at]`
    pub fn elem(&mut self, done: &Done<'_>, a: NodeId, at: &Size) -> Result<Value> {
        let base = self.node(done, a)?;
        let (index, dim) = (self.dims.value(at)?, self.formula.count(base));
        if index < 0 || index >= dim as i64 {
            return Diagnostic::new(
                code::SUBSCRIPT,
                format!("component {index} of a vector of {dim} does not exist"),
                at.span,
            )
            .label(match dim {
                1 => String::from("only 0 exists"),
                dim => format!("0 to {} exist", dim - 1),
            })
            .fail();
        }
        let built = self.formula.op(Op::Elem, &[base], &[index]);
        Ok(Value::Expr(self.built(built, done, &[a])?))
    }

    /// `a[start:stop]`
    pub fn slice(
        &mut self,
        done: &Done<'_>,
        a: NodeId,
        ends: (Option<&Size>, Option<&Size>),
        span: Span,
    ) -> Result<Value> {
        let base = self.node(done, a)?;
        let dim = self.formula.count(base) as i64;
        let start = ends.0.map_or(Ok(0), |size| self.dims.value(size))?;
        let stop = ends.1.map_or(Ok(dim), |size| self.dims.value(size))?;
        if start < 0 || start >= stop || stop > dim {
            return Diagnostic::new(
                code::SUBSCRIPT,
                format!("the slice {start}:{stop} of a vector of {dim} does not exist"),
                span,
            )
            .label(format!("`start:stop` needs 0 <= start < stop <= {dim}"))
            .fail();
        }
        let built = self.formula.op(Op::Extract, &[base], &[start, stop - start]);
        Ok(Value::Expr(self.built(built, done, &[a])?))
    }

    /// `sum[j] a` and its kin.
    pub fn fold(&mut self, fold: &Fold, done: &Done<'_>, a: NodeId, span: Span) -> Result<Value> {
        self.rows(fold.axis, fold.name.span)?;
        let name = fold.name.text.as_str();
        let (args, reducer) = match done.value(a) {
            Value::Softmax { score, weight } if name == "sum" => {
                let weight = weight.unwrap_or_else(|| self.formula.constant(1.0));
                (vec![*score, weight], Some(Reducer::SoftMaxSum))
            }
            Value::Pair(score, weight) => (vec![*score, *weight], calls::reducer(name, 2)),
            _ => (vec![self.node(done, a)?], calls::reducer(name, 1)),
        };
        let Some(reducer) = reducer else {
            return calls::no_reducer(fold, args.len(), span).fail();
        };
        let k = calls::entries(fold, reducer, self.dims)?;
        let mask = fold.mask.map(|mask| self.mask(done, mask)).transpose()?;
        let built = self.formula.reduce(Reduction { reducer, axis: fold.axis, args, mask, k });
        let at = match done.kind(a) {
            NodeKind::Pair(score, weight) => vec![*score, *weight],
            _ => vec![a],
        };
        Ok(Value::Expr(self.built(built, done, &at)?))
    }

    fn mask(&mut self, done: &Done<'_>, mask: NodeId) -> Result<ExprId> {
        let id = self.node(done, mask)?;
        match self.formula.count(id) {
            // A complex condition is refused with the reduction.
            1 => Ok(id),
            dim => Diagnostic::new(
                code::SHAPE,
                "the condition after `where` must be a scalar",
                done.span(mask),
            )
            .label(format!("{dim} components"))
            .fail(),
        }
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
