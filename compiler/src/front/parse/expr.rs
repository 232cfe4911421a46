//! Expressions: a flat list of operators and operands becomes nodes, by precedence.
//!
//! The precedence is Python's, with two additions: `&&` and `||` are the loosest, and a reduction
//! takes everything to its right that a multiplication takes. The two stacks of the shunting-yard
//! method hold what waits inside one bracket, and a stack of levels holds the brackets, so nothing
//! here recurs.

use std::vec;

use pest::iterators::{Pair, Pairs};

use crate::diag::{Diagnostic, Span, code};
use crate::front::ast::{Expr, Fold, Ident, Infix, Node, NodeId, NodeKind, Number, Size};
use crate::ir::Axis;

use super::{Result, Rule, axis, factor as size_factor, ident, next, size, span};

/// Largest integer literal: every integer up to it is exact in float64.
const MAX_INTEGER: u64 = 1 << 53;

/// Builds an expression. `inside` says whether `|` may stand at its top.
pub fn expression(pair: Pair<'_, Rule>, inside: bool) -> Result<Expr> {
    let mut builder = Builder { expr: Expr::default() };
    let mut levels = vec![Level::new(pair, inside)];
    while let Some(level) = levels.last_mut() {
        if let Some(bracket) = &mut level.open {
            match bracket.exprs.next() {
                Some(pair) => {
                    let inside = !matches!(bracket.kind, BracketKind::Fold(_));
                    levels.push(Level::new(pair, inside));
                }
                None => builder.close(level),
            }
        } else if let Some(part) = level.parts.next() {
            builder.part(level, part)?;
        } else {
            let node = builder.finish(&mut level.yard);
            levels.pop();
            let outer = levels.last_mut().and_then(|level| level.open.as_mut());
            outer.into_iter().for_each(|bracket| bracket.members.push(node));
        }
    }
    Ok(builder.expr)
}

/// One expression that is being read.
struct Level<'t> {
    parts: Pairs<'t, Rule>,
    yard: Yard,
    /// Whether it stands in parentheses.
    inside: bool,
    /// The bracket that is being read inside it.
    open: Option<Bracket<'t>>,
}

impl<'t> Level<'t> {
    fn new(pair: Pair<'t, Rule>, inside: bool) -> Level<'t> {
        Level { parts: pair.into_inner(), yard: Yard::default(), inside, open: None }
    }
}

/// A bracket with expressions inside.
struct Bracket<'t> {
    kind: BracketKind,
    span: Span,
    /// The expressions that are still to be read, and those that were.
    exprs: vec::IntoIter<Pair<'t, Rule>>,
    members: Vec<NodeId>,
}

impl<'t> Bracket<'t> {
    fn new(
        kind: BracketKind,
        span: Span,
        parts: impl Iterator<Item = Pair<'t, Rule>>,
    ) -> Bracket<'t> {
        let exprs: Vec<Pair<'t, Rule>> = parts.filter(|p| p.as_rule() == Rule::expr).collect();
        Bracket { kind, span, exprs: exprs.into_iter(), members: Vec::new() }
    }
}

enum BracketKind {
    Group,
    Call(Ident),
    /// The expression is the condition.
    Fold(Fold),
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
    /// The group just read, where a reduction touches it and looks like a function, as `max[j](x)`.
    called: Option<Span>,
}

struct Builder {
    expr: Expr,
}

impl Builder {
    fn push(&mut self, kind: NodeKind, span: Span) -> NodeId {
        self.expr.nodes.push(Node { kind, span });
        self.expr.nodes.len() - 1
    }

    fn span(&self, id: NodeId) -> Span {
        self.expr.nodes[id].span
    }

    /// Reads one operator or operand, or opens a bracket.
    fn part<'t>(&mut self, level: &mut Level<'t>, part: Pair<'t, Rule>) -> Result<()> {
        let place = span(&part);
        let yard = &mut level.yard;
        match part.as_rule() {
            Rule::minus => yard.operators.push((Operator::Minus, place)),
            Rule::infix => self.infix(yard, operator(part.as_str()), place, level.inside)?,
            Rule::subscript => self.subscript(yard, part)?,
            Rule::number => self.leaf(yard, NodeKind::Number(number(&part)?), place),
            Rule::imaginary => self.leaf(yard, NodeKind::Imaginary(imaginary(&part)?), place),
            Rule::name => self.leaf(yard, NodeKind::Name(ident(&part)?.text), place),
            Rule::position => self.leaf(yard, NodeKind::Pos(position(part)), place),
            Rule::list => self.leaf(yard, NodeKind::List(list(part)?), place),
            Rule::fold => level.open = Some(fold(part)?),
            Rule::call => {
                let mut parts = part.into_inner();
                let name = ident(&next(&mut parts))?;
                level.open = Some(Bracket::new(BracketKind::Call(name), place, parts));
            }
            _ => level.open = Some(Bracket::new(BracketKind::Group, place, part.into_inner())),
        }
        Ok(())
    }

    /// Ends the bracket of a level, whose expressions were read.
    fn close(&mut self, level: &mut Level<'_>) {
        let Some(bracket) = level.open.take() else { return };
        let (place, yard) = (bracket.span, &mut level.yard);
        match (bracket.kind, &bracket.members[..]) {
            (BracketKind::Call(name), members) => {
                let kind = NodeKind::Call(name, members.to_vec());
                self.leaf(yard, kind, place);
            }
            (BracketKind::Fold(fold), members) => {
                let fold = Fold { mask: members.first().copied(), ..fold };
                yard.operators.push((Operator::Fold(fold), place));
            }
            (BracketKind::Group, &[first, second]) => {
                let node = self.push(NodeKind::Pair(first, second), place);
                self.operand(yard, node);
                if matches!(yard.operators.last(), Some((Operator::Fold(_), _))) {
                    // `logsumexp[j](s, w)` takes its two operands and nothing more.
                    self.apply(yard);
                }
            }
            (BracketKind::Group, members) => {
                let node = members.first().copied().unwrap_or_default();
                self.expr.nodes[node].span = place;
                self.operand(yard, node);
                let touches = |(top, head): &(Operator, Span)| {
                    matches!(top, Operator::Fold(_)) && head.end == place.start
                };
                yard.called = yard.operators.last().is_some_and(touches).then_some(place);
            }
        }
    }

    fn leaf(&mut self, yard: &mut Yard, kind: NodeKind, place: Span) {
        let node = self.push(kind, place);
        self.operand(yard, node);
    }

    fn operand(&mut self, yard: &mut Yard, node: NodeId) {
        yard.called = None;
        yard.operands.push(node);
    }

    /// Applies what still waits; gives the value.
    fn finish(&mut self, yard: &mut Yard) -> NodeId {
        while self.apply(yard).is_some() {}
        yard.operands.pop().unwrap_or_else(|| panic!("internal: an empty expression"))
    }

    fn infix(&mut self, yard: &mut Yard, infix: Infix, place: Span, inside: bool) -> Result<()> {
        if infix == Infix::Bar && !inside {
            return Diagnostic::new(
                code::BAR,
                "the inner product `|` stands outside parentheses",
                place,
            )
            .help("write `(x | y)` or `dot(x, y)`")
            .note("`|` binds looser than `+`, so `x | y + z` would be `x | (y + z)`")
            .fail();
        }
        factor(yard, infix, place)?;
        while yard.operators.last().is_some_and(|(top, _)| left(infix) < top.right()) {
            if let Some((Operator::Infix(before), first)) = yard.operators.last()
                && compares(*before)
                && compares(infix)
            {
                return Diagnostic::new(code::CHAIN, "comparisons do not chain", place)
                    .related(*first, "the first comparison")
                    .help("write `a < b && b < c`")
                    .fail();
            }
            self.apply(yard);
        }
        yard.operators.push((Operator::Infix(infix), place));
        Ok(())
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
                let whole = self.span(left).to(self.span(right));
                self.push(NodeKind::Infix(infix, place, left, right), whole)
            }
        };
        yard.operands.push(node);
        Some(())
    }

    fn indexed(&self, yard: &Yard, axis: &str, place: Span) -> Diagnostic {
        let base = yard.operands.last().map(|&id| &self.expr.nodes[id].kind);
        let help = match base {
            Some(NodeKind::Name(name)) => format!("write `{name}`"),
            _ => String::from("delete it"),
        };
        let message = format!("`[{axis}]` does not belong in an expression");
        Diagnostic::new(code::INDEX, message, place)
            .note("an input is used by its name alone; its index was given where it was declared")
            .help(help)
    }

    fn subscript(&mut self, yard: &mut Yard, pair: Pair<'_, Rule>) -> Result<()> {
        let place = span(&pair);
        if let (Some(group), Some((Operator::Fold(fold), _))) =
            (yard.called.take(), yard.operators.last())
            && fold.keep.is_some()
        {
            return ambiguous(fold, group, place).fail();
        }
        let (mut before, mut after, mut colon) = (None, None, false);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::axis => return self.indexed(yard, part.as_str(), place).fail(),
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

/// Refuses `max[j](x) * y`, which looks like a call but means `max[j] (x * y)`. A factor may
/// leave a sum, so `sum[j](x) * y` means the same either way.
fn factor(yard: &mut Yard, infix: Infix, place: Span) -> Result<()> {
    let (Some(group), Some((Operator::Fold(fold), _))) =
        (yard.called.take(), yard.operators.last())
    else {
        return Ok(());
    };
    match infix {
        Infix::Mul | Infix::Div if fold.name.text == "sum" => Ok(()),
        Infix::Mul | Infix::Div | Infix::Power => ambiguous(fold, group, place).fail(),
        _ => Ok(()),
    }
}

fn ambiguous(fold: &Fold, group: Span, place: Span) -> Diagnostic {
    let (name, axis) = (&fold.name.text, fold.axis);
    Diagnostic::new(code::AMBIGUOUS, format!("does this belong inside `{name}[{axis}]`?"), place)
        .label("inside or outside")
        .related(group, "looks like the only operand")
        .help(format!(
            "write `({name}[{axis}] …) …` to apply it to the result, \
             or `{name}[{axis}] (… …)` to apply it to every row"
        ))
}

fn operator(text: &str) -> Infix {
    Infix::of(text).unwrap_or_else(|| panic!("internal: `{text}` is no operator"))
}

/// The items of a list.
fn list(pair: Pair<'_, Rule>) -> Result<Vec<Size>> {
    let items = pair.into_inner().filter(|p| p.as_rule() == Rule::item);
    let item = |item: Pair<'_, Rule>| {
        let place = span(&item);
        let part = item.into_inner().find(|p| p.as_rule() != Rule::minus);
        let part = part.unwrap_or_else(|| panic!("internal: an empty item"));
        match part.as_rule() {
            Rule::size => size(part),
            _ => Ok(Size { terms: vec![(false, vec![size_factor(&part)?])], span: place }),
        }
    };
    items.map(item).collect()
}

fn position(pair: Pair<'_, Rule>) -> Axis {
    let index = pair.into_inner().find(|p| p.as_rule() == Rule::axis);
    axis(&index.unwrap_or_else(|| panic!("internal: a position without an index")))
}

/// The head of a reduction; its condition is still to be read.
fn fold(pair: Pair<'_, Rule>) -> Result<Bracket<'_>> {
    let place = span(&pair);
    let mut parts = pair.into_inner();
    let name = ident(&next(&mut parts))?;
    let (mut index, mut keep, mut condition) = (Axis::J, None, None);
    for part in parts {
        match part.as_rule() {
            Rule::axis => index = axis(&part),
            Rule::keep => {
                let part = part.into_inner().find(|p| p.as_rule() == Rule::size);
                keep = part.map(size).transpose()?;
            }
            Rule::mask => condition = Some(part.into_inner()),
            _ => {}
        }
    }
    let kind = BracketKind::Fold(Fold { name, axis: index, keep, mask: None });
    Ok(Bracket::new(kind, place, condition.into_iter().flatten()))
}

fn number(pair: &Pair<'_, Rule>) -> Result<Number> {
    literal(pair.as_str(), span(pair))
}

/// The factor of the imaginary unit.
fn imaginary(pair: &Pair<'_, Rule>) -> Result<f64> {
    literal(pair.as_str().trim_end_matches('j'), span(pair)).map(|number| number.value)
}

fn literal(text: &str, place: Span) -> Result<Number> {
    let wrong = |message: &str, label: String| {
        Diagnostic::new(code::LITERAL, message, place).label(label).fail()
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
