//! Dimensions: the members of generics, the instances they make, and the value of a size.
//!
//! In go the generics and assertions of a formula; out come the choices of members that pass the
//! assertions, in the order in which they are written.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::diag::{Diagnostic, Span, code};
use crate::ir::MAX_DIM;

use super::ast::{Factor, FormulaDef, GenericDef, Ident, Members, Size, Statement};
use super::{Generic, Result, names};

/// Most instances of one formula, before assertions.
pub const MAX_INSTANCES: usize = 512;

/// The members of each generic of a formula.
pub fn generics(def: &FormulaDef) -> Result<Vec<Generic>> {
    let mut list: Vec<Generic> = Vec::new();
    let mut total = 1;
    for (n, generic) in def.generics.iter().enumerate() {
        let name = &generic.name;
        names::check(name)?;
        if let Some(first) = def.generics[..n].iter().find(|g| g.name.text == name.text) {
            let message = format!("the dimension `{}` is listed twice", name.text);
            return Diagnostic::new(code::DUPLICATE, message, name.span)
                .related(first.name.span, "first listed here")
                .fail();
        }
        let values = members(generic)?;
        total *= values.len();
        if total > MAX_INSTANCES {
            return too_many(def).fail();
        }
        list.push(Generic { name: name.text.clone(), values });
    }
    Ok(list)
}

fn too_many(def: &FormulaDef) -> Diagnostic {
    Diagnostic::new(
        code::INSTANCE_LIMIT,
        format!("`{}` has more than {MAX_INSTANCES} instances", def.name.text),
        def.name.span,
    )
    .help("list fewer members, or split the formula into several")
    .note("an instance is one choice of a member for every dimension")
}

fn members(generic: &GenericDef) -> Result<Vec<usize>> {
    let ranges = match &generic.members {
        Members::Listed(ranges) => ranges,
        Members::Dyn(span) => {
            let message = "run-time dimensions are not yet supported";
            return Diagnostic::new(code::DYN, message, *span)
                .help(format!("list the members, as in `{}: {{2, 3}}`", generic.name.text))
                .fail();
        }
    };
    let mut values = Vec::new();
    let mut seen = BTreeSet::new();
    for &(first, last, span) in ranges {
        if first == 0 || last > MAX_DIM as u64 {
            let value = if first == 0 { first } else { last };
            let message = format!("a dimension cannot be {value}");
            return Diagnostic::new(code::DIM_LIMIT, message, span)
                .label(format!("dimensions go from 1 to {MAX_DIM}"))
                .fail();
        }
        if first > last {
            let message = "this range is empty";
            return Diagnostic::new(code::DIM_LIMIT, message, span)
                .help(format!("write `{last}..={first}`"))
                .fail();
        }
        for value in first..=last {
            if !seen.insert(value) {
                return Diagnostic::new(code::DUPLICATE, format!("{value} is listed twice"), span)
                    .label("already listed")
                    .fail();
            }
            values.push(value as usize);
            if values.len() > MAX_INSTANCES {
                let message =
                    format!("`{}` has more than {MAX_INSTANCES} members", generic.name.text);
                return Diagnostic::new(code::INSTANCE_LIMIT, message, span)
                    .help("list fewer members")
                    .fail();
            }
        }
    }
    Ok(values)
}

/// The choices of members that pass the assertions of a formula.
pub fn choices(def: &FormulaDef, generics: &[Generic]) -> Result<Vec<Vec<usize>>> {
    let mut choices = vec![Vec::new()];
    for generic in generics {
        let extend = |choice: Vec<usize>| {
            let with = |&value| choice.iter().copied().chain([value]).collect::<Vec<usize>>();
            generic.values.iter().map(with).collect::<Vec<_>>()
        };
        choices = choices.into_iter().flat_map(extend).collect();
    }
    let mut passed = Vec::new();
    let mut refused = None;
    for choice in choices {
        let dims = Dims::new(generics, &choice);
        match failed_assertion(def, &dims)? {
            Some(span) => refused = Some((span, dims.describe())),
            None => passed.push(choice.clone()),
        }
    }
    match (passed.is_empty(), refused) {
        (true, Some((span, instance))) => Diagnostic::new(
            code::ASSERT,
            format!("no instance of `{}` passes its assertions", def.name.text),
            span,
        )
        .label(match instance.as_str() {
            "" => String::from("not true"),
            _ => format!("not true for {instance}"),
        })
        .help("list members for which it holds, or delete it")
        .note("an assertion keeps the instances for which it holds and drops the others")
        .fail(),
        _ => Ok(passed),
    }
}

fn failed_assertion(def: &FormulaDef, dims: &Dims<'_>) -> Result<Option<Span>> {
    for statement in &def.statements {
        if let Statement::Assert { left, right, span } = statement
            && dims.value(left)? != dims.value(right)?
        {
            return Ok(Some(*span));
        }
    }
    Ok(None)
}

/// The dimensions of one instance.
pub struct Dims<'a> {
    generics: &'a [Generic],
    choice: &'a [usize],
    /// Which generics were read.
    used: RefCell<BTreeSet<usize>>,
}

impl<'a> Dims<'a> {
    /// The dimensions of the instance with this member of each generic.
    pub fn new(generics: &'a [Generic], choice: &'a [usize]) -> Dims<'a> {
        Dims { generics, choice, used: RefCell::default() }
    }

    /// The member that was chosen for a generic.
    pub fn get(&self, name: &str) -> Option<usize> {
        let position = self.generics.iter().position(|g| g.name == name)?;
        self.used.borrow_mut().insert(position);
        Some(self.choice[position])
    }

    /// The names of the generics.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.generics.iter().map(|g| g.name.as_str())
    }

    /// The first generic that nothing has read.
    pub fn unused(&self) -> Option<usize> {
        (0..self.generics.len()).find(|n| !self.used.borrow().contains(n))
    }

    /// `D = 2, E = 1`, or nothing where there are no generics.
    pub fn describe(&self) -> String {
        let pairs = self.generics.iter().zip(self.choice);
        let list: Vec<String> = pairs.map(|(g, value)| format!("{} = {value}", g.name)).collect();
        list.join(", ")
    }

    /// The value of a size.
    pub fn value(&self, size: &Size) -> Result<i64> {
        let mut sum: i64 = 0;
        for (plus, factors) in &size.terms {
            let mut product: i64 = 1;
            for factor in factors {
                let value = self.factor(factor, size.span)?;
                product = product.checked_mul(value).ok_or_else(|| too_large(size.span))?;
            }
            let term = if *plus { product } else { -product };
            sum = sum.checked_add(term).ok_or_else(|| too_large(size.span))?;
        }
        Ok(sum)
    }

    /// The value of a size that counts something.
    pub fn count(&self, size: &Size) -> Result<usize> {
        match self.value(size)? {
            value @ 1.. if value <= MAX_DIM as i64 => Ok(value as usize),
            value => Diagnostic::new(
                code::DIM_LIMIT,
                format!("a dimension cannot be {value}"),
                size.span,
            )
            .label(format!("dimensions go from 1 to {MAX_DIM}"))
            .fail(),
        }
    }

    fn factor(&self, factor: &Factor, span: Span) -> Result<i64> {
        match factor {
            Factor::Literal(value) => Ok(i64::try_from(*value).map_err(|_| too_large(span))?),
            Factor::Name(name) => match self.get(&name.text) {
                Some(value) => Ok(value as i64),
                None => unknown(name, self.names()).fail(),
            },
        }
    }
}

fn unknown<'a>(name: &Ident, generics: impl Iterator<Item = &'a str>) -> Diagnostic {
    let message = format!("unknown dimension `{}`", name.text);
    let diagnostic = Diagnostic::new(code::UNKNOWN_NAME, message, name.span)
        .label("not in the angle brackets of the formula");
    let helped = names::suggest(diagnostic, &name.text, generics);
    match helped.helps.is_empty() {
        true => helped.help(format!("declare it: `formula name<{}: {{2, 3}}>`", name.text)),
        false => helped,
    }
}

fn too_large(span: Span) -> Diagnostic {
    Diagnostic::new(code::DIM_LIMIT, "this dimension is too large", span)
        .label(format!("dimensions go from 1 to {MAX_DIM}"))
}
