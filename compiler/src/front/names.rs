//! Names: which may be declared, what the constants are, and what a misspelt one meant.

use crate::diag::{Diagnostic, Span, code};

use super::Result;
use super::ast::Ident;

/// Longest name, in bytes.
pub const MAX_NAME: usize = 64;

/// Names that stand for numbers.
pub const CONSTANTS: &[(&str, f64)] =
    &[("inf", f64::INFINITY), ("nan", f64::NAN), ("pi", std::f64::consts::PI)];

/// Names that Rust has no way to write as an identifier. All others can be escaped with `r#`.
const UNWRITABLE: &[&str] = &["self", "Self", "super", "crate", "_"];

/// The value of a constant.
pub fn constant(name: &str) -> Option<f64> {
    CONSTANTS.iter().find(|(known, _)| *known == name).map(|&(_, value)| value)
}

/// Checks that a name may be declared.
pub fn check(name: &Ident) -> Result<()> {
    let text = name.text.as_str();
    if constant(text).is_some() {
        return Diagnostic::new(code::BAD_NAME, format!("`{text}` is a constant"), name.span)
            .help("choose another name")
            .fail();
    }
    if UNWRITABLE.contains(&text) {
        let message = format!("`{text}` cannot be a name, for Rust has no such identifier");
        return Diagnostic::new(code::BAD_NAME, message, name.span)
            .help("choose another name")
            .fail();
    }
    Ok(())
}

/// Checks that a name that was not parsed is an identifier that may be declared.
pub fn check_foreign(text: &str) -> Result<()> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts || !text.bytes().all(letter) || text.len() > MAX_NAME {
        let message = format!("{text:?} cannot be the name of a variable");
        return Diagnostic::global(code::BAD_NAME, message)
            .help("names are made of the letters a to z and A to Z, digits and `_`")
            .fail();
    }
    check(&Ident { text: text.into(), span: Span::default() }).map_err(|mut errors| {
        errors.0.iter_mut().for_each(|error| error.span = None);
        errors
    })
}

/// Checks that a name may be a formula's: it becomes a file name, a symbol and a Rust function.
pub fn check_formula(name: &Ident) -> Result<()> {
    check(name)?;
    let part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if name.text.bytes().all(part) && name.text.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Ok(());
    }
    Diagnostic::new(
        code::BAD_NAME,
        format!("`{}` cannot be the name of a formula", name.text),
        name.span,
    )
    .label("lower-case letters, digits and `_`, a letter first")
    .help("the name becomes a file name and a function of the generated library")
    .fail()
}

/// The candidate that a misspelt name most likely meant.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A name of one letter is close to every other one, so only its case may be wrong.
    let limit = if name.len() < 2 { 0 } else { (name.len() / 3).max(1) };
    let capital = |text: &str| text.starts_with(|c: char| c.is_ascii_uppercase());
    let letters = letters(name);
    let near = candidates.into_iter().filter(|c| {
        // Each step changes the length by one at most, and gives or takes one letter of the name.
        let other = self::letters(c);
        let (gone, new) = (letters & !other, other & !letters);
        c.len().abs_diff(name.len()) <= limit
            && gone.count_ones().max(new.count_ones()) as usize <= limit
    });
    let measured = near.map(|c| (distance(name, c), capital(name) != capital(c), c));
    measured.filter(|&(d, _, c)| d <= limit && c != name).min().map(|(.., c)| c)
}

/// The set of the letters of a name, whatever their case; different ones may share a bit.
fn letters(name: &str) -> u64 {
    name.bytes().fold(0, |set, b| set | 1 << (b.to_ascii_lowercase() & 63))
}

/// A help that names the closest candidate, where one is close.
pub fn suggest<'a>(
    diagnostic: Diagnostic,
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    match closest(name, candidates) {
        Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
        None => diagnostic,
    }
}

/// Letters to insert, delete, replace or swap with their neighbour; case does not count.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let same = |i: usize, j: usize| a[i - 1].eq_ignore_ascii_case(&b[j - 1]);
    // The rows of the table for the letters of `a` before, and for the one at hand.
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut row = before.clone();
    for i in 1..=a.len() {
        row[0] = i;
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(!same(i, j));
            row[j] = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && same(i, j - 1) && same(i - 1, j) {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        (before, last, row) = (last, row, before);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("sqdist", "sqdist"), 0);
        assert_eq!(distance("sqdits", "sqdist"), 1);
        assert_eq!(distance("Exp", "exp"), 0);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn only_close_names_are_suggested() {
        assert_eq!(closest("gama", ["gamma", "x", "y"]), Some("gamma"));
        assert_eq!(closest("q", ["gamma", "alpha"]), None);
        assert_eq!(closest("X", ["x"]), Some("x"));
        assert_eq!(closest("y", ["x"]), None);
        assert_eq!(closest("sqdits", ["SqDist", "sqdist"]), Some("sqdist"));
        assert_eq!(closest("SqDits", ["SqDist", "sqdist"]), Some("SqDist"));
    }
}
