//! Expressions: a flat list of operators and operands becomes nodes, by precedence.
//!
//! The precedence is Python's, with two additions: `&&` and `||` are the loosest, and a reduction
//! takes everything to its right that a multiplication takes. The two stacks of the shunting-yard
//! method hold what waits, so only brackets recurse.

use pest::iterators::Pair;

use crate::diag::{Diagnostic, Span, code};

use super::super::ast::{Expr, Fold, Infix, Node, NodeId, NodeKind, Number};
use super::{Result, Rule, axis, ident, next, size, span};

/// Largest integer literal: every integer up to it is exact in float64.
const MAX_INTEGER: u64 = 1 << 53;

/// Builds an expression. `inside` says whether `|` may stand at its top.
pub fn expression(pair: Pair<'_, Rule>, inside: bool) -> Result<Expr> {
    let mut expr = Expr::default();
    let root = Builder { expr: &mut expr }.expression(pair, inside)?;
    debug_assert_eq!(root + 1, expr.nodes.len(), "the value is the last node");
    Ok(expr)
}

/// What waits for its right operand.
enum Operator {
    Minus,
    Fold(Fold),
    Infix(Infix),
}

impl Operator {
    /// How tightly it holds its right operand; an infix operator looser than this ends it.
    fn right(&self) -> u8 {
        match self {
            // A following `*` belongs to the reduction, a following `+` does not.
            Operator::Fold(_) => left(Infix::Mul),
            // A following `**` belongs to the minus, a following `*` does not.
            Operator::Minus => left(Infix::Mul) + 2,
            Operator::Infix(Infix::Power) => left(Infix::Power) - 1,
            Operator::Infix(infix) => left(*infix) + 1,
        }
    }
}

/// How tightly an infix operator holds its left operand.
fn left(infix: Infix) -> u8 {
    match infix {
        Infix::Or => 2,
        Infix::And => 4,
        Infix::Eq | Infix::Ne | Infix::Lt | Infix::Le | Infix::Gt | Infix::Ge => 6,
        Infix::Bar => 8,
        Infix::Add | Infix::Sub => 10,
        Infix::Mul | Infix::Div => 12,
        Infix::Power => 16,
    }
}

fn compares(infix: Infix) -> bool {
    left(infix) == left(Infix::Eq)
}

/// The two stacks of one bracket.
#[derive(Default)]
struct Yard {
    operands: Vec<NodeId>,
    operators: Vec<(Operator, Span)>,
    /// The reduction whose operand is the group just read, as in `max[j](x)`.
    called: Option<Span>,
}

struct Builder<'e> {
    expr: &'e mut Expr,
}

impl Builder<'_> {
    fn push(&mut self, kind: NodeKind, span: Span) -> NodeId {
        self.expr.nodes.push(Node { kind, span });
        self.expr.nodes.len() - 1
    }

    fn span(&self, id: NodeId) -> Span {
        self.expr.nodes[id].span
    }

    fn expression(&mut self, pair: Pair<'_, Rule>, inside: bool) -> Result<NodeId> {
        let mut yard = Yard::default();
        for part in pair.into_inner() {
            let place = span(&part);
            match part.as_rule() {
                Rule::minus => yard.operators.push((Operator::Minus, place)),
                Rule::fold => {
                    let fold = self.fold(part)?;
                    yard.operators.push((Operator::Fold(fold), place));
                }
                Rule::infix => self.infix(&mut yard, infix(part.as_str()), place, inside)?,
                Rule::subscript => self.subscript(&mut yard, part)?,
                _ => self.operand(&mut yard, part)?,
            }
        }
        while self.apply(&mut yard).is_some() {}
        Ok(yard.operands.pop().unwrap_or_else(|| panic!("internal: an empty expression")))
    }

    fn infix(&mut self, yard: &mut Yard, infix: Infix, place: Span, inside: bool) -> Result<()> {
        if infix == Infix::Bar && !inside {
            return Err(Diagnostic::new(
                code::BAR,
                "the inner product `|` stands outside parentheses",
                place,
            )
            .help("write `(x | y)` or `dot(x, y)`")
            .note("`|` binds looser than `+`, so `x | y + z` would be `x | (y + z)`"));
        }
        self.ambiguous(yard, infix, place)?;
        while yard.operators.last().is_some_and(|(top, _)| left(infix) < top.right()) {
            if let Some((Operator::Infix(before), first)) = yard.operators.last()
                && compares(*before)
                && compares(infix)
            {
                return Err(Diagnostic::new(code::CHAIN, "comparisons do not chain", place)
                    .related(*first, "the first comparison")
                    .help("write `a < b && b < c`"));
            }
            self.apply(yard);
        }
        yard.operators.push((Operator::Infix(infix), place));
        Ok(())
    }

    /// Refuses `max[j](x) * y`, which looks like a call but means `max[j] (x * y)`. A factor may
    /// leave a sum, so `sum[j](x) * y` means the same either way.
    fn ambiguous(&self, yard: &mut Yard, infix: Infix, place: Span) -> Result<()> {
        let (Some(group), Some((Operator::Fold(fold), _))) =
            (yard.called.take(), yard.operators.last())
        else {
            return Ok(());
        };
        let (name, axis) = (&fold.name.text, fold.axis);
        match infix {
            Infix::Mul | Infix::Div if name == "sum" => Ok(()),
            Infix::Mul | Infix::Div | Infix::Power => Err(Diagnostic::new(
                code::AMBIGUOUS,
                format!("does this factor belong inside `{name}[{axis}]`?"),
                place,
            )
            .label("inside or outside")
            .related(group, "looks like the only operand")
            .help(format!(
                "write `({name}[{axis}] …) …` to apply it to the result, \
                 or `{name}[{axis}] (… …)` to apply it to every row"
            ))),
            _ => Ok(()),
        }
    }

    /// Applies the top operator; `None` when none is left.
    fn apply(&mut self, yard: &mut Yard) -> Option<()> {
        let (operator, place) = yard.operators.pop()?;
        let right = yard.operands.pop()?;
        let node = match operator {
            Operator::Minus => self.push(NodeKind::Minus(right), place.to(self.span(right))),
            Operator::Fold(fold) => {
                self.push(NodeKind::Fold(fold, right), place.to(self.span(right)))
            }
            Operator::Infix(infix) => {
                let left = yard.operands.pop()?;
                let place = self.span(left).to(self.span(right));
                self.push(NodeKind::Infix(infix, left, right), place)
            }
        };
        yard.operands.push(node);
        Some(())
    }

    fn operand(&mut self, yard: &mut Yard, pair: Pair<'_, Rule>) -> Result<()> {
        let place = span(&pair);
        let group = pair.as_rule() == Rule::paren;
        let node = self.primary(pair)?;
        yard.operands.push(node);
        yard.called = None;
        let head = yard.operators.last().filter(|(top, _)| matches!(top, Operator::Fold(_)));
        if let Some((_, head)) = head {
            if matches!(self.expr.nodes[node].kind, NodeKind::Pair(..)) {
                // `logsumexp[j](s, w)` takes its two operands and nothing more.
                self.apply(yard);
            } else if group && head.end == place.start {
                yard.called = Some(place);
            }
        }
        Ok(())
    }

    fn primary(&mut self, pair: Pair<'_, Rule>) -> Result<NodeId> {
        let place = span(&pair);
        let kind = match pair.as_rule() {
            Rule::number => NodeKind::Number(number(&pair)?),
            Rule::name => NodeKind::Name(ident(&pair)?.text),
            Rule::position => {
                let index = pair.into_inner().find(|p| p.as_rule() == Rule::axis);
                NodeKind::Pos(axis(&index.unwrap_or_else(|| panic!("internal: pos of nothing"))))
            }
            Rule::list => NodeKind::List,
            Rule::call => self.call(pair)?,
            _ => return self.paren(pair, place),
        };
        Ok(self.push(kind, place))
    }

    fn call(&mut self, pair: Pair<'_, Rule>) -> Result<NodeKind> {
        let mut parts = pair.into_inner();
        let name = ident(&next(&mut parts))?;
        let mut args = Vec::new();
        for part in parts.filter(|p| p.as_rule() == Rule::expr) {
            args.push(self.expression(part, true)?);
        }
        Ok(NodeKind::Call(name, args))
    }

    fn paren(&mut self, pair: Pair<'_, Rule>, place: Span) -> Result<NodeId> {
        let mut members = Vec::with_capacity(2);
        for part in pair.into_inner().filter(|p| p.as_rule() == Rule::expr) {
            members.push(self.expression(part, true)?);
        }
        match members[..] {
            [first, second] => Ok(self.push(NodeKind::Pair(first, second), place)),
            _ => {
                self.expr.nodes[members[0]].span = place;
                Ok(members[0])
            }
        }
    }

    fn fold(&mut self, pair: Pair<'_, Rule>) -> Result<Fold> {
        let mut parts = pair.into_inner();
        let name = ident(&next(&mut parts))?;
        let (mut index, mut keep, mut mask) = (None, None, None);
        for part in parts {
            match part.as_rule() {
                Rule::axis => index = Some(axis(&part)),
                Rule::keep => {
                    let part = part.into_inner().find(|p| p.as_rule() == Rule::size);
                    keep = part.map(size).transpose()?;
                }
                Rule::mask => {
                    for part in part.into_inner().filter(|p| p.as_rule() == Rule::expr) {
                        mask = Some(self.expression(part, false)?);
                    }
                }
                _ => {}
            }
        }
        let axis = index.unwrap_or_else(|| panic!("internal: a reduction without an index"));
        Ok(Fold { name, axis, keep, mask })
    }

    fn subscript(&mut self, yard: &mut Yard, pair: Pair<'_, Rule>) -> Result<()> {
        yard.called = None;
        let place = span(&pair);
        let (mut before, mut after, mut colon) = (None, None, false);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::axis => return Err(indexed(part.as_str(), place)),
                Rule::colon => colon = true,
                Rule::size if colon => after = Some(size(part)?),
                Rule::size => before = Some(size(part)?),
                _ => {}
            }
        }
        let base = yard.operands.pop().unwrap_or_else(|| panic!("internal: a lone subscript"));
        let place = self.span(base).to(place);
        let kind = match before {
            Some(at) if !colon => NodeKind::Elem(base, at),
            before => NodeKind::Slice(base, before, after),
        };
        let node = self.push(kind, place);
        yard.operands.push(node);
        Ok(())
    }
}

fn indexed(axis: &str, place: Span) -> Diagnostic {
    Diagnostic::new(code::INDEX, format!("`[{axis}]` does not belong in an expression"), place)
        .help("an input is used by its name alone; its index was given where it was declared")
}

fn infix(text: &str) -> Infix {
    match text {
        "||" => Infix::Or,
        "&&" => Infix::And,
        "==" => Infix::Eq,
        "!=" => Infix::Ne,
        "<" => Infix::Lt,
        "<=" => Infix::Le,
        ">" => Infix::Gt,
        ">=" => Infix::Ge,
        "|" => Infix::Bar,
        "+" => Infix::Add,
        "-" => Infix::Sub,
        "*" => Infix::Mul,
        "/" => Infix::Div,
        _ => Infix::Power,
    }
}

fn number(pair: &Pair<'_, Rule>) -> Result<Number> {
    let text = pair.as_str();
    let wrong = |message: &str, label: String| {
        Err(Diagnostic::new(code::LITERAL, message, span(pair)).label(label))
    };
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return match text.parse::<u64>() {
            Ok(n) if n <= MAX_INTEGER => Ok(Number { value: n as f64, integer: Some(n as i64) }),
            _ => wrong(
                "this integer is not exact in float64",
                format!("integers go up to {MAX_INTEGER}; write a float, such as 1e30"),
            ),
        };
    }
    let value: f64 = text.parse().unwrap_or(f64::NAN);
    let digits = text.split(['e', 'E']).next().unwrap_or_default();
    if !value.is_finite() {
        wrong("this number is too large for float64", format!("the largest is {:e}", f64::MAX))
    } else if value == 0.0 && digits.bytes().any(|b| matches!(b, b'1'..=b'9')) {
        wrong("this number is too small for float64", String::from("it would become 0"))
    } else {
        Ok(Number { value, integer: None })
    }
}
