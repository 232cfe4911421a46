//! Dimensions: the members of generics, the instances they make, and the value of a size.
//!
//! In go the generics and assertions of a formula; out come the choices of members that pass the
//! assertions, in the order in which they are written, and for run-time dimensions (`dyn`) sizes to
//! try the formula with, so that a mistake is found when the file is read.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::diag::{Diagnostic, Span, code};
use crate::ir::MAX_DIM;

use super::ast::{Factor, FormulaDef, GenericDef, Ident, Size, Statement};
use super::{Generic, Result, names};

/// Most instances of one formula, before assertions.
pub const MAX_INSTANCES: usize = 512;

/// Sizes that a run-time dimension is tried with.
const PROBES: [usize; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64];
/// Most choices of such sizes that assertions are asked about.
const MAX_TRIED: usize = 1024;

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
        total *= values.len().max(1);
        if total > MAX_INSTANCES {
            return too_many(def).fail();
        }
        list.push(Generic { name: name.text.clone(), values, open: !generic.open.is_empty() });
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
    if let [first, again, ..] = generic.open[..] {
        return Diagnostic::new(code::DUPLICATE, "`dyn` is listed twice", again)
            .related(first, "already listed")
            .fail();
    }
    let mut values = Vec::new();
    let mut seen = BTreeSet::new();
    for &(first, last, span) in &generic.members {
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

/// Members of every generic that pass the assertions of a formula.
pub struct Choices {
    /// What is compiled.
    pub listed: Vec<Vec<usize>>,
    /// Other sizes to try the formula with, if it has a run-time dimension.
    pub probes: Vec<Vec<usize>>,
}

/// The choices of members that pass the assertions of a formula.
pub fn choices(def: &FormulaDef, generics: &[Generic]) -> Result<Choices> {
    let mut asked = Asked { def, generics, refused: None };
    let mut listed = Vec::new();
    for choice in product(generics.iter().map(|g| g.values.clone()), MAX_INSTANCES) {
        if asked.passes(&choice)? {
            listed.push(choice);
        }
    }
    let mut tried = Vec::new();
    let mut failed = None;
    if generics.iter().any(|g| g.open) {
        for choice in product(generics.iter().map(candidates), MAX_TRIED) {
            match asked.passes(&choice) {
                Ok(true) if !listed.contains(&choice) => tried.push(choice),
                Ok(_) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
    }
    if !listed.is_empty() || !tried.is_empty() {
        return Ok(Choices { listed, probes: spread(&tried, generics.len()) });
    }
    match (failed, asked.refused) {
        (Some(error), _) => Err(error),
        (None, Some((span, instance))) => Diagnostic::new(
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
        // Nothing was asked: an open dimension always has candidates.
        (None, None) => Ok(Choices { listed, probes: tried }),
    }
}

/// What the assertions of a formula said.
struct Asked<'a> {
    def: &'a FormulaDef,
    generics: &'a [Generic],
    /// An assertion that did not hold, and for what.
    refused: Option<(Span, String)>,
}

impl Asked<'_> {
    fn passes(&mut self, choice: &[usize]) -> Result<bool> {
        let dims = Dims::new(self.generics, choice);
        let failed = failed_assertion(self.def, &dims)?;
        if let Some(span) = failed {
            self.refused = Some((span, dims.describe()));
        }
        Ok(failed.is_none())
    }
}

/// Every choice of a value from each list, the last one varying fastest. Lists are cut short where
/// there would be more choices than `most`.
fn product(lists: impl Iterator<Item = Vec<usize>>, most: usize) -> Vec<Vec<usize>> {
    let mut choices = vec![Vec::new()];
    for mut list in lists {
        list.truncate((most / choices.len().max(1)).max(1));
        let extend = |choice: Vec<usize>| {
            let with = |&value| choice.iter().copied().chain([value]).collect::<Vec<usize>>();
            list.iter().map(with).collect::<Vec<_>>()
        };
        choices = choices.into_iter().flat_map(extend).collect();
    }
    choices
}

/// Sizes to try a generic with: its members, and for a run-time dimension others too, some of them
/// above every member.
fn candidates(generic: &Generic) -> Vec<usize> {
    let mut sizes = generic.values.clone();
    if generic.open {
        let largest = sizes.iter().max().copied();
        sizes.extend(PROBES);
        sizes.extend(largest.into_iter().flat_map(|most| [most + 1, 2 * most]));
        sizes.retain(|&size| size <= MAX_DIM);
    }
    let mut seen = BTreeSet::new();
    sizes.retain(|&size| seen.insert(size));
    sizes
}

/// For each size of each generic the first and the last choice that has it, so that no generic has
/// one size only, or that of another, if that can be.
fn spread(choices: &[Vec<usize>], generics: usize) -> Vec<Vec<usize>> {
    let mut kept = BTreeSet::new();
    for generic in 0..generics {
        let sizes: BTreeSet<usize> = choices.iter().map(|choice| choice[generic]).collect();
        for size in sizes {
            let has = |choice: &Vec<usize>| choice[generic] == size;
            kept.extend(choices.iter().position(has));
            kept.extend(choices.iter().rposition(has));
        }
    }
    kept.into_iter().map(|n| choices[n].clone()).collect()
}

/// Refuses sizes that a formula cannot have: those of a generic without `dyn` that are not listed,
/// and those for which an assertion does not hold.
pub fn check(def: &FormulaDef, generics: &[Generic], choice: &[usize]) -> Result<()> {
    let name = &def.name;
    if choice.len() != generics.len() {
        let (has, given) = (generics.len(), choice.len());
        let message = format!("`{}` has {has} dimensions, but {given} sizes are given", name.text);
        return Diagnostic::new(code::ARITY, message, name.span).fail();
    }
    for (n, (generic, &size)) in generics.iter().zip(choice).enumerate() {
        let fits = generic.values.contains(&size) || generic.open && (1..=MAX_DIM).contains(&size);
        if !fits {
            let message = format!("`{}` cannot be {size} here", generic.name);
            let label = match generic.open {
                true => format!("dimensions go from 1 to {MAX_DIM}"),
                false => String::from("not among its members"),
            };
            return Diagnostic::new(code::DIM_LIMIT, message, def.generics[n].name.span)
                .label(label)
                .fail();
        }
    }
    let dims = Dims::new(generics, choice);
    match failed_assertion(def, &dims)? {
        None => Ok(()),
        Some(span) => Diagnostic::new(
            code::ASSERT,
            format!("`{}` has no instance {}", name.text, dims.describe()),
            span,
        )
        .label("not true")
        .note("an assertion keeps the instances for which it holds and drops the others")
        .fail(),
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
