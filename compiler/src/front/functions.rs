//! The functions of a file: `fn name(params) = body;`.
//!
//! They are checked before any is used: names, numbers of arguments, and that none calls itself.
//! So expanding a call always ends, and an error in a body is reported even if nobody calls it.

use std::collections::BTreeMap;

use crate::diag::{Diagnostic, Diagnostics, Span, code};

use super::Result;
use super::ast::{Factor, Function, Ident, NodeKind, Size};
use super::{calls, names};

/// The functions of a file by name.
#[derive(Default)]
pub struct Functions<'a> {
    by_name: BTreeMap<&'a str, &'a Function>,
}

impl<'a> Functions<'a> {
    /// Checks the functions of a file.
    pub fn new(list: &'a [Function]) -> Result<Functions<'a>> {
        let mut functions = Functions::default();
        let mut errors = Vec::new();
        for function in list {
            if let Err(Diagnostics(e)) = functions.declare(function) {
                errors.extend(e);
            }
        }
        for function in list {
            if let Err(Diagnostics(e)) = functions.check_body(function) {
                errors.extend(e);
            }
        }
        if errors.is_empty() {
            errors.extend(functions.recursion(list));
        }
        if errors.is_empty() { Ok(functions) } else { Err(Diagnostics(errors)) }
    }

    /// The function of a name.
    pub fn get(&self, name: &str) -> Option<&'a Function> {
        self.by_name.get(name).copied()
    }

    /// The names of all functions.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.by_name.keys().copied()
    }

    fn declare(&mut self, function: &'a Function) -> Result<()> {
        let name = &function.name;
        names::check(name)?;
        if calls::is_known(&name.text) || calls::is_reduction(&name.text) {
            let message = format!("`{}` is already part of the language", name.text);
            return Diagnostic::new(code::DUPLICATE, message, name.span)
                .help("choose another name")
                .fail();
        }
        if let Some(first) = self.by_name.insert(&name.text, function) {
            return twice(name, first.name.span).fail();
        }
        let mut params: BTreeMap<&str, Span> = BTreeMap::new();
        for param in &function.params {
            names::check(param)?;
            if let Some(first) = params.insert(&param.text, param.span) {
                return twice(param, first).fail();
            }
        }
        Ok(())
    }

    fn check_body(&self, function: &Function) -> Result<()> {
        for node in &function.body.nodes {
            match &node.kind {
                NodeKind::Name(name) => check_name(function, name, node.span)?,
                NodeKind::Elem(_, at) => check_size(at)?,
                NodeKind::Slice(_, start, stop) => {
                    start.iter().chain(stop).try_for_each(check_size)?;
                }
                NodeKind::List(items) => items.iter().try_for_each(check_size)?,
                NodeKind::Fold(fold, _) => fold.keep.iter().try_for_each(check_size)?,
                NodeKind::Call(name, args) => match self.get(&name.text) {
                    Some(callee) => check_arity(callee, args.len(), node.span)?,
                    None => calls::check_known(name, self)?,
                },
                _ => {}
            }
        }
        Ok(())
    }

    /// The functions that call themselves, directly or through others.
    fn recursion(&self, list: &'a [Function]) -> Vec<Diagnostic> {
        let mut finished: BTreeMap<&str, bool> = BTreeMap::new();
        for function in list {
            if finished.contains_key(function.name.text.as_str()) {
                continue;
            }
            finished.insert(&function.name.text, false);
            // Each entry of the path is a function and the callees it has not looked at yet.
            let mut path = vec![(function, self.callees(function))];
            while let Some((caller, callees)) = path.last_mut() {
                let Some((callee, place)) = callees.pop() else {
                    finished.insert(&caller.name.text, true);
                    path.pop();
                    continue;
                };
                match finished.get(callee.name.text.as_str()) {
                    Some(true) => {}
                    Some(false) => return vec![recursive(callee, place)],
                    None => {
                        finished.insert(&callee.name.text, false);
                        path.push((callee, self.callees(callee)));
                    }
                }
            }
        }
        Vec::new()
    }

    fn callees(&self, function: &Function) -> Vec<(&'a Function, Span)> {
        let nodes = function.body.nodes.iter();
        let calls = nodes.filter_map(|node| match &node.kind {
            NodeKind::Call(name, _) => Some((self.get(&name.text)?, name.span)),
            _ => None,
        });
        calls.collect()
    }
}

fn twice(name: &Ident, first: Span) -> Diagnostic {
    Diagnostic::new(code::DUPLICATE, format!("`{}` is defined twice", name.text), name.span)
        .label("defined again")
        .related(first, "first defined here")
}

fn recursive(function: &Function, place: Span) -> Diagnostic {
    let name = &function.name;
    Diagnostic::new(code::RECURSION, format!("`{}` calls itself", name.text), place)
        .label("this call never ends")
        .related(name.span, "defined here")
        .help("functions are expanded where they are called, so they cannot recur")
}

fn check_name(function: &Function, name: &str, place: Span) -> Result<()> {
    let params = || function.params.iter().map(|p| p.text.as_str());
    if names::constant(name).is_some() || params().any(|p| p == name) {
        return Ok(());
    }
    let message = format!("`{name}` is not a parameter of `{}`", function.name.text);
    let diagnostic = Diagnostic::new(code::UNKNOWN_NAME, message, place)
        .label("unknown name")
        .help("a function sees its parameters only; pass what it needs");
    names::suggest(diagnostic, name, params()).fail()
}

fn check_size(size: &Size) -> Result<()> {
    let factors = size.terms.iter().flat_map(|(_, factors)| factors);
    for factor in factors {
        if let Factor::Name(name) = factor {
            let message = format!("`{}` is not known inside a function", name.text);
            return Diagnostic::new(code::UNKNOWN_NAME, message, name.span)
                .help("write a literal integer here")
                .fail();
        }
    }
    Ok(())
}

/// Checks the number of arguments of a call.
pub fn check_arity(callee: &Function, found: usize, place: Span) -> Result<()> {
    let expected = callee.params.len();
    if found == expected {
        return Ok(());
    }
    let plural = if expected == 1 { "" } else { "s" };
    Diagnostic::new(
        code::ARITY,
        format!("`{}` takes {expected} argument{plural}, but got {found}", callee.name.text),
        place,
    )
    .related(callee.name.span, "defined here")
    .fail()
}
