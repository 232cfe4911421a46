//! Requests for derivatives: `grad a wrt x, y;`, `jvp a wrt x;`.
//!
//! In goes a request and the finished formula; out comes the derivative, which
//! [`crate::passes`] works out. This module sees that the request makes sense: the output and the
//! inputs are there, they depend on each other, and the names that the derivative introduces are
//! free. The outputs and inputs of a derivative can be differentiated again by later requests.

use std::collections::BTreeMap;

use crate::diag::{Diagnostic, Span, code};
use crate::ir::{ExprId, Formula, Kind};
use crate::passes::{self, GradError};

use super::ast::{DerivativeDef, Ident, Statement};
use super::{Derivative, Extra, Mode, Result, names};

/// Names of the generated module that a call cannot have, without underscores.
const RESERVED: &[&str] = &[
    "args",
    "array2",
    "arrayview1",
    "arrayview2",
    "arrayviewmut2",
    "call",
    "dtype",
    "element",
    "error",
    "eval",
    "formula",
    "instance",
    "openformula",
    "options",
    "output",
    "report",
    "result",
    "select",
];

/// A request as it is written.
pub struct Request<'a> {
    /// The statement.
    pub def: &'a DerivativeDef,
    /// The derivatives that were asked for before.
    pub before: &'a [Derivative],
}

/// What a request is checked against.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The finished formula.
    pub formula: &'a Formula,
    /// The names that are taken, and where.
    pub places: &'a BTreeMap<&'a str, Span>,
    /// Where the nodes of the formula stand.
    pub spans: &'a BTreeMap<ExprId, Span>,
}

impl Mode {
    /// What a call of a derivative is called.
    fn call(self) -> &'static str {
        match self {
            Mode::Reverse => "vjp",
            Mode::Forward => "jvp",
        }
    }

    /// What the names of arrays that it introduces start with.
    fn prefix(self) -> &'static str {
        match self {
            Mode::Reverse => "d_",
            Mode::Forward => "t_",
        }
    }

    /// What it is called in messages.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Reverse => "gradient",
            Mode::Forward => "derivative",
        }
    }
}

impl Request<'_> {
    /// Checks that the derivative exists and that its names are free, and works it out.
    pub fn derive(&self, facts: Facts<'_>) -> Result<Derivative> {
        let (def, output) = (self.def, &self.def.output);
        let source = self.source(facts)?;
        let formula = source.map_or(facts.formula, |d| &d.formula);
        let target = formula.outputs.iter().find(|o| o.name == output.text);
        let Some(target) = target else { return self.unknown_output(facts).fail() };
        if formula.kind(target.expr) == Kind::Int {
            let what = def.mode.word();
            let message = format!("`{}` holds integers, which have no {what}", output.text);
            return Diagnostic::new(code::NO_GRADIENT, message, output.span).fail();
        }
        let reachable = formula.reachable([target.expr]);
        for n in 0..def.wrt.len() {
            self.check_variable(n, formula, &reachable, source)?;
            self.free(&def.wrt[n], facts)?;
        }
        self.free(output, facts)?;
        let wrt: Vec<String> = def.wrt.iter().map(|w| w.text.clone()).collect();
        let derived = match def.mode {
            Mode::Reverse => passes::vjp(formula, &output.text, &wrt),
            Mode::Forward => passes::jvp(formula, &output.text, &wrt),
        };
        let derived = derived.and_then(|d| match def.with_value {
            true => passes::with_value(d, formula, &output.text),
            false => Ok(d),
        });
        let derived = derived.map_err(|e| explain(&e, def.mode.word(), def.span, facts.spans))?;
        let mut extra = source.map_or(Vec::new(), |d| d.extra.clone());
        let likes: Vec<Option<String>> = match def.mode {
            Mode::Reverse => vec![None],
            Mode::Forward => wrt.iter().cloned().map(Some).collect(),
        };
        let new = derived.inputs[formula.inputs.len()..].iter();
        extra.extend(new.zip(likes).map(|(i, like)| Extra { name: i.name.clone(), like }));
        Ok(Derivative {
            mode: def.mode,
            of: source.map(|d| d.title.clone()),
            output: output.text.clone(),
            wrt,
            with_value: def.with_value,
            call: String::new(),
            title: self.title(),
            formula: derived,
            extra,
        })
    }

    /// What it is called among all kernels of the formula.
    fn title(&self) -> String {
        match &self.def.name {
            Some(name) => name.text.clone(),
            None => format!("{}_{}", self.short(), self.def.output.text),
        }
    }

    /// What it is called where it is the only one of its kind.
    fn short(&self) -> String {
        let value = if self.def.with_value { "value_and_" } else { "" };
        format!("{value}{}", self.def.mode.call())
    }

    /// The derivative whose output is differentiated, `None` for the formula itself.
    fn source(&self, facts: Facts<'_>) -> Result<Option<&Derivative>> {
        let (output, of) = (&self.def.output, &self.def.of);
        if let Some(of) = of {
            if let Some(found) = self.before.iter().find(|d| d.title == of.text) {
                return Ok(Some(found));
            }
            let titles = self.before.iter().map(|d| d.title.as_str());
            return unknown(of, "a derivative that was asked for", titles).fail();
        }
        if facts.formula.outputs.iter().any(|o| o.name == output.text) {
            return Ok(None);
        }
        let has = |d: &&Derivative| d.formula.outputs.iter().any(|o| o.name == output.text);
        let found: Vec<&Derivative> = self.before.iter().filter(has).collect();
        match found.as_slice() {
            [] => self.unknown_output(facts).fail(),
            [one] => Ok(Some(one)),
            several => {
                let list: Vec<String> =
                    several.iter().map(|d| format!("`{}.{}`", d.title, output.text)).collect();
                let message = format!("several derivatives have an output `{}`", output.text);
                Diagnostic::new(code::GRADIENT_NAME, message, output.span)
                    .help(format!("write {}", list.join(" or ")))
                    .fail()
            }
        }
    }

    fn unknown_output(&self, facts: Facts<'_>) -> Diagnostic {
        let all = self.before.iter().map(|d| &d.formula).chain([facts.formula]);
        let outputs: Vec<&str> =
            all.flat_map(|f| f.outputs.iter().map(|o| o.name.as_str())).collect();
        unknown(&self.def.output, "an output", outputs)
    }

    /// Checks an input that the derivative is taken with respect to.
    fn check_variable(
        &self,
        n: usize,
        formula: &Formula,
        reachable: &[bool],
        source: Option<&Derivative>,
    ) -> Result<()> {
        let (name, output) = (&self.def.wrt[n], &self.def.output);
        let what = self.def.mode.word();
        let Some(position) = formula.inputs.iter().position(|i| i.name == name.text) else {
            let inputs = formula.inputs.iter().map(|i| i.name.as_str());
            return unknown(name, "an input", inputs).fail();
        };
        if formula.inputs[position].kind == Kind::Int {
            let message = format!("`{}` holds integers, which have no {what}", name.text);
            return Diagnostic::new(code::NO_GRADIENT, message, name.span)
                .help("delete it from the list")
                .fail();
        }
        let node = crate::ir::Node::Input(position as u32);
        if !formula.ids().any(|id| reachable[id.index()] && *formula.node(id) == node) {
            let message = format!("`{}` does not depend on `{}`", output.text, name.text);
            return Diagnostic::new(code::GRADIENT_NAME, message, name.span)
                .label(format!("the {what} would be zero"))
                .help("delete it from the list")
                .fail();
        }
        if self.asked_before(n, source) {
            let message = format!("the {what} with respect to `{}` is asked twice", name.text);
            return Diagnostic::new(code::DUPLICATE, message, name.span).fail();
        }
        Ok(())
    }

    /// Whether an input was named already: here, or for the same gradient in an earlier request.
    fn asked_before(&self, n: usize, source: Option<&Derivative>) -> bool {
        let (def, name) = (self.def, &self.def.wrt[n].text);
        let same = |d: &&Derivative| {
            d.mode == Mode::Reverse
                && (d.mode, d.with_value) == (def.mode, def.with_value)
                && d.of.as_ref() == source.map(|s| &s.title)
                && d.output == def.output.text
        };
        self.before.iter().filter(same).flat_map(|d| &d.wrt).any(|w| w == name)
            || def.wrt[..n].iter().any(|w| w.text == *name)
    }

    /// Checks that the name that a derivative introduces for an array is not taken.
    fn free(&self, name: &Ident, facts: Facts<'_>) -> Result<()> {
        let introduced = format!("{}{}", self.def.mode.prefix(), name.text);
        let Some(place) = facts.places.get(introduced.as_str()) else { return Ok(()) };
        let what = self.def.mode.word();
        Diagnostic::new(
            code::DUPLICATE,
            format!("the {what} introduces the name `{introduced}`, which is taken"),
            name.span,
        )
        .related(*place, "defined here")
        .help("rename it")
        .fail()
    }
}

fn unknown<'a>(
    name: &Ident,
    what: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let message = format!("`{}` is not {what}", name.text);
    let diagnostic = Diagnostic::new(code::GRADIENT_NAME, message, name.span);
    names::suggest(diagnostic, &name.text, candidates)
}

/// Gives every derivative the name of its call: the kind alone where there is one of a kind.
pub fn name_calls(derivatives: &mut [Derivative], statements: &[Statement]) -> Result<()> {
    let defs = statements.iter().filter_map(|s| match s {
        Statement::Derivative(def) => Some(def),
        _ => None,
    });
    let requests: Vec<Request<'_>> = defs.map(|def| Request { def, before: &[] }).collect();
    if requests.len() != derivatives.len() {
        return Ok(()); // Some of them have an error of their own.
    }
    let mut taken: BTreeMap<String, Span> = BTreeMap::new();
    for (request, derivative) in requests.iter().zip(derivatives) {
        let def = request.def;
        let alone =
            |other: &&Request<'_>| other.def.name.is_none() && other.short() == request.short();
        derivative.call = match &def.name {
            Some(name) => name.text.clone(),
            None if requests.iter().filter(alone).count() == 1 => request.short(),
            None => derivative.title.clone(),
        };
        let place = def.name.as_ref().map_or(def.span, |name| name.span);
        if let Some(name) = &def.name {
            names::check_formula(name)?;
        }
        let mut words = vec![plain(&derivative.call), plain(&derivative.title)];
        words.dedup();
        if RESERVED.contains(&words[0].as_str()) {
            let message = format!("`{}` cannot be the name of a derivative", derivative.call);
            return Diagnostic::new(code::BAD_NAME, message, place)
                .label("part of every generated module")
                .help("choose another name")
                .fail();
        }
        let variants = ["with", "into", "call"].map(|end| format!("{}{end}", words[0]));
        for word in words.into_iter().chain(variants) {
            if let Some(first) = taken.insert(word, place) {
                let message = format!("two derivatives are called `{}`", derivative.title);
                return Diagnostic::new(code::DUPLICATE, message, place)
                    .related(first, "the first one")
                    .help("give one of them another name: `grad … wrt … as name;`")
                    .fail();
            }
        }
    }
    Ok(())
}

/// Names that differ by underscores alone give the same type.
fn plain(name: &str) -> String {
    name.replace('_', "")
}

/// Why a derivative does not exist, and where in the text the reason stands.
pub fn explain(
    error: &GradError,
    what: &str,
    span: Span,
    spans: &BTreeMap<ExprId, Span>,
) -> Diagnostic {
    // A node without a place of its own is part of the call that made it, whose node follows.
    let at = |diagnostic: Diagnostic, node: &ExprId, label: &str| match spans.range(*node..).next()
    {
        Some((_, place)) if *place != span => diagnostic.related(*place, label),
        _ => diagnostic,
    };
    match error {
        GradError::Integer(name) => {
            let message = format!("`{name}` holds integers, which have no {what}");
            Diagnostic::new(code::NO_GRADIENT, message, span)
        }
        GradError::NotLinear { what: operation, node } => {
            let message = format!("`{operation}` is not linear in the variable");
            let diagnostic = Diagnostic::new(code::LINEAR, message, span)
                .note(format!("`{what}` is defined for values that are linear in the variable"))
                .help("the derivative of any value is linear: `diff(f, v, u)` in u");
            at(diagnostic, node, "not linear")
        }
        GradError::Independent => {
            let message = "the value does not depend on the variable, so it is not linear in it";
            Diagnostic::new(code::LINEAR, message, span)
        }
        GradError::ManyRows { what: reduction, axis, node } => {
            let message = format!("`{reduction}[{axis}]` runs over all rows of {axis}");
            let diagnostic = Diagnostic::new(code::NO_GRADIENT, message, span).note(format!(
                "the derivative is taken at one row of {axis}, and the rows of the reduction are \
                 others"
            ));
            at(diagnostic, node, "this reduction")
                .help("differentiate the finished value, with `grad … wrt …;` or outside of it")
        }
        GradError::NameTaken(name) => {
            let message = format!("the {what} introduces the name `{name}` twice");
            Diagnostic::new(code::DUPLICATE, message, span)
                .help("ask for less in one statement; the value apart, or without `with value`")
        }
        GradError::TooLarge => Diagnostic::new(code::SIZE_LIMIT, error.to_string(), span),
        GradError::UnknownOutput(..) | GradError::UnknownInput(..) => {
            Diagnostic::new(code::GRADIENT_NAME, error.to_string(), span)
        }
    }
}
