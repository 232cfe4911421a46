//! Text to syntax tree. Nothing outside this folder knows pest.
//!
//! In goes text that [`super::scan`] has passed; out comes a [`File`] or an [`Expr`], or
//! the first error in words. No name is looked up here and no shape is known.

mod error;
mod expr;

use pest::Parser as _;
use pest::iterators::{Pair, Pairs};

use crate::diag::{Diagnostic, Span, code};
use crate::ir::Axis;

use super::ast::{
    DerivativeDef, Expr, Factor, Field, File, FormulaDef, Function, GenericDef, Ident, Place, Size,
    Space, Statement,
};
use super::names::MAX_NAME;
use super::{Mode, Result};

/// The version of the language that this compiler reads.
const VERSION: u64 = 1;

#[derive(pest_derive::Parser)]
#[grammar = "front/parse/formula.pest"]
struct Grammar;

/// Parses a formula file.
pub fn file(text: &str) -> Result<File> {
    let mut pairs = Grammar::parse(Rule::file, text).map_err(|e| error::explain(text, &e))?;
    let mut file = File::default();
    for pair in inner(&mut pairs) {
        match pair.as_rule() {
            Rule::version => version(pair)?,
            Rule::function => file.functions.push(function(pair)?),
            Rule::formula => file.formulas.push(formula(pair)?),
            _ => {}
        }
    }
    Ok(file)
}

/// Parses one expression, as KeOps spells formulas.
pub fn lone(text: &str) -> Result<Expr> {
    let mut pairs = Grammar::parse(Rule::lone, text).map_err(|e| error::explain(text, &e))?;
    let mut pairs = inner(&mut pairs);
    // KeOps has no statements around an expression, so a bare `x | y` is as clear as in Python.
    expr::expression(next(&mut pairs), true)
}

/// The children of the only pair of a parse.
fn inner<'t>(pairs: &mut Pairs<'t, Rule>) -> Pairs<'t, Rule> {
    next(pairs).into_inner()
}

/// The next child, which the grammar promises.
fn next<'t>(pairs: &mut Pairs<'t, Rule>) -> Pair<'t, Rule> {
    pairs.next().unwrap_or_else(|| panic!("internal: the grammar lost a child"))
}

fn span(pair: &Pair<'_, Rule>) -> Span {
    Span { start: pair.as_span().start(), end: pair.as_span().end() }
}

fn version(pair: Pair<'_, Rule>) -> Result<()> {
    let number = pair.into_inner().find(|p| p.as_rule() == Rule::integer);
    let Some(number) = number else { return Ok(()) };
    match number.as_str().parse() {
        Ok(VERSION) => Ok(()),
        _ => Diagnostic::new(
            code::VERSION,
            format!("version {} of the formula language is not known", number.as_str()),
            span(&number),
        )
        .label(format!("this compiler reads version {VERSION}"))
        .help("update tilefold, or write `tilefold 1;`")
        .fail(),
    }
}

fn function(pair: Pair<'_, Rule>) -> Result<Function> {
    let mut names = Vec::new();
    let mut body = Expr::default();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::name => names.push(ident(&part)?),
            Rule::expr => body = expr::expression(part, false)?,
            _ => {}
        }
    }
    let name = names.remove(0);
    Ok(Function { name, params: names, body })
}

fn formula(pair: Pair<'_, Rule>) -> Result<FormulaDef> {
    let mut doc = Doc::default();
    let (mut name, mut generics) = (None, Vec::new());
    let (mut dtypes, mut totals, mut statements) = (Vec::new(), Vec::new(), Vec::new());
    let mut relaxed = false;
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::doc => doc.line(part.as_str()),
            Rule::name => name = Some(ident(&part)?),
            Rule::generics => {
                let list = part.into_inner().filter(|p| p.as_rule() == Rule::generic);
                generics = list.map(generic).collect::<Result<_>>()?;
            }
            Rule::dtypes => dtypes.extend(idents(part)?),
            Rule::totals => totals.extend(idents(part)?),
            Rule::relaxed => relaxed = true,
            Rule::statement => statements.push(statement(part)?),
            _ => {}
        }
    }
    let name = name.unwrap_or_else(|| panic!("internal: a formula without a name"));
    Ok(FormulaDef { doc: doc.0, name, generics, dtypes, totals, relaxed, statements })
}

fn generic(pair: Pair<'_, Rule>) -> Result<GenericDef> {
    let mut parts = pair.into_inner();
    let name = ident(&next(&mut parts))?;
    let (mut members, mut open) = (Vec::new(), Vec::new());
    for part in parts {
        match part.as_rule() {
            Rule::kw_dyn => open.push(span(&part)),
            Rule::range => members.push(range(part)?),
            _ => {}
        }
    }
    Ok(GenericDef { name, members, open })
}

fn range(pair: Pair<'_, Rule>) -> Result<(u64, u64, Span)> {
    let place = span(&pair);
    let ends = pair.into_inner().filter(|p| p.as_rule() == Rule::integer);
    let ends: Vec<u64> = ends.map(|p| natural(&p)).collect::<Result<_>>()?;
    Ok((ends[0], ends[ends.len() - 1], place))
}

fn statement(pair: Pair<'_, Rule>) -> Result<Statement> {
    let mut doc = Doc::default();
    let mut parts = pair.into_inner();
    loop {
        let part = next(&mut parts);
        match part.as_rule() {
            Rule::doc => doc.line(part.as_str()),
            Rule::gradient => return gradient(part),
            Rule::binding => return binding(part),
            Rule::assertion => return assertion(part),
            _ => return declaration(part, doc.0),
        }
    }
}

fn gradient(pair: Pair<'_, Rule>) -> Result<Statement> {
    let place = span(&pair);
    let mut parts = pair.into_inner();
    let mode = match next(&mut parts).as_rule() {
        Rule::kw_jvp => Mode::Forward,
        _ => Mode::Reverse,
    };
    let (mut of, mut names, mut with_value, mut alias) = (None, Vec::new(), false, None);
    for part in parts {
        match part.as_rule() {
            Rule::of => of = idents(part)?.pop(),
            Rule::name => names.push(ident(&part)?),
            Rule::with_value => with_value = true,
            Rule::alias => alias = idents(part)?.pop(),
            _ => {}
        }
    }
    let output = names.remove(0);
    let def = DerivativeDef { mode, of, output, wrt: names, with_value, name: alias, span: place };
    Ok(Statement::Derivative(def))
}

fn binding(pair: Pair<'_, Rule>) -> Result<Statement> {
    let mut parts = pair.into_inner();
    next(&mut parts);
    let name = ident(&next(&mut parts))?;
    let mut annotation = None;
    let mut value = Expr::default();
    for part in parts {
        match part.as_rule() {
            Rule::space => annotation = Some(space(part)?),
            Rule::expr => value = expr::expression(part, false)?,
            _ => {}
        }
    }
    Ok(Statement::Let { name, space: annotation, value })
}

fn assertion(pair: Pair<'_, Rule>) -> Result<Statement> {
    let place = span(&pair);
    let mut sizes = pair.into_inner().filter(|p| p.as_rule() == Rule::size).map(size);
    match (sizes.next(), sizes.next()) {
        (Some(left), Some(right)) => {
            Ok(Statement::Assert { left: left?, right: right?, span: place })
        }
        _ => panic!("internal: an assertion without two sides"),
    }
}

fn declaration(pair: Pair<'_, Rule>, doc: String) -> Result<Statement> {
    let whole = span(&pair);
    let mut places = Vec::new();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::place => places.push(place(part)?),
            Rule::space => return Ok(Statement::Input { doc, places, space: space(part)? }),
            Rule::expr => {
                let value = expr::expression(part, false)?;
                return Ok(Statement::Output { doc, places, value, span: whole });
            }
            _ => {}
        }
    }
    panic!("internal: a declaration without a right side")
}

fn place(pair: Pair<'_, Rule>) -> Result<Place> {
    let mut parts = pair.into_inner();
    let name = ident(&next(&mut parts))?;
    let axis = parts.find(|p| p.as_rule() == Rule::axis).map(|p| axis(&p));
    Ok(Place { name, axis })
}

fn axis(pair: &Pair<'_, Rule>) -> Axis {
    if pair.as_str() == "i" { Axis::I } else { Axis::J }
}

fn space(pair: Pair<'_, Rule>) -> Result<Space> {
    let place = span(&pair);
    let mut field = Field::Real;
    let mut factors = Vec::new();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::field if part.as_str() == "C" => field = Field::Complex,
            Rule::field if part.as_str() == "int" => field = Field::Int,
            Rule::size => factors.push(size(part)?),
            Rule::integer | Rule::name => {
                let span = span(&part);
                factors.push(Size { terms: vec![(true, vec![factor(&part)?])], span });
            }
            _ => {}
        }
    }
    Ok(Space { field, factors, span: place })
}

fn size(pair: Pair<'_, Rule>) -> Result<Size> {
    let place = span(&pair);
    let mut plus = true;
    let mut terms = Vec::new();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::product => {
                let factors = part.into_inner().filter(|p| p.as_rule() != Rule::times);
                terms.push((plus, factors.map(|p| factor(&p)).collect::<Result<_>>()?));
            }
            _ => plus = part.as_str() == "+",
        }
    }
    Ok(Size { terms, span: place })
}

fn factor(pair: &Pair<'_, Rule>) -> Result<Factor> {
    match pair.as_rule() {
        Rule::integer => Ok(Factor::Literal(natural(pair)?)),
        _ => Ok(Factor::Name(ident(pair)?)),
    }
}

fn idents(pair: Pair<'_, Rule>) -> Result<Vec<Ident>> {
    let names = pair.into_inner().filter(|p| p.as_rule() == Rule::name);
    names.map(|p| ident(&p)).collect()
}

fn ident(pair: &Pair<'_, Rule>) -> Result<Ident> {
    let text = pair.as_str();
    match text.len() {
        0..=MAX_NAME => Ok(Ident { text: text.into(), span: span(pair) }),
        length => Diagnostic::new(
            code::BAD_NAME,
            format!("a name of {length} characters is too long"),
            span(pair),
        )
        .label(format!("at most {MAX_NAME} characters"))
        .fail(),
    }
}

fn natural(pair: &Pair<'_, Rule>) -> Result<u64> {
    let wrong = |_| {
        Diagnostic::new(code::LITERAL, "this integer is too large", span(pair))
            .label(format!("the largest integer is {}", u64::MAX))
    };
    Ok(pair.as_str().parse().map_err(wrong)?)
}

/// The text of `///` lines.
#[derive(Default)]
struct Doc(String);

impl Doc {
    fn line(&mut self, line: &str) {
        let text = line.trim_start_matches('/').trim_end();
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(text.strip_prefix(' ').unwrap_or(text));
    }
}
