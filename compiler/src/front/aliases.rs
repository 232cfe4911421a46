//! KeOps' lists of variables: `x = Vi(3)`, `Vj(1, 3)`, `g = Pm(1)`, `y = Var(1, 3, 1)`.
//!
//! In go the strings of such a list; out come variables in the order of their positions, or what
//! is wrong with which string. An alias without a position has the next one. Never an expression.

use crate::diag::{Diagnostic, code};
use crate::ir::Axis;

use super::{Result, Variable};

/// Reads a list of aliases.
///
/// # Errors
/// When a string is no alias, a position is taken twice, or one is missing.
pub fn aliases(list: &[&str]) -> Result<Vec<Variable>> {
    let mut slots: Vec<Option<Variable>> = Vec::new();
    for (rank, text) in list.iter().enumerate() {
        let Some(alias) = read(text) else {
            let message = format!("`{text}` is not a variable");
            return Diagnostic::global(code::VARIABLE, message)
                .help("write `x = Vi(3)`, `y = Vj(3)`, `g = Pm(1)`, or `x = Vi(0, 3)`")
                .fail();
        };
        let at = alias.position.unwrap_or(rank);
        if at >= list.len() {
            let (message, most) = (format!("`{text}` has the position {at}"), list.len() - 1);
            let help = format!("{} variables have the positions 0 to {most}", list.len());
            return Diagnostic::global(code::VARIABLE, message).help(help).fail();
        }
        if slots.len() <= at {
            slots.resize(at + 1, None);
        }
        let name = alias.name.map_or_else(|| format!("var{at}"), String::from);
        let variable = Variable { name, axis: alias.axis, dim: alias.dim };
        if let Some(other) = slots[at].replace(variable) {
            let message = format!("`{text}` has the position {at}, which `{}` has too", other.name);
            return Diagnostic::global(code::DUPLICATE, message)
                .help("give every variable a position of its own, or none of them one")
                .fail();
        }
    }
    // As many variables as positions, no two at one, none beyond the last: none is missing.
    Ok(slots.into_iter().flatten().collect())
}

struct Alias<'a> {
    name: Option<&'a str>,
    position: Option<usize>,
    axis: Option<Axis>,
    dim: usize,
}

fn read(text: &str) -> Option<Alias<'_>> {
    let (name, form) = match text.split_once('=') {
        Some((name, form)) => (Some(name.trim()), form.trim()),
        None => (None, text.trim()),
    };
    let (kind, rest) = form.split_once('(')?;
    let numbers: Option<Vec<usize>> = rest
        .trim_end()
        .strip_suffix(')')?
        .split(',')
        .map(|number| number.trim().parse().ok())
        .collect();
    let numbers = numbers?;
    let axis = |kind: &str| match kind {
        "Vi" | "Vx" => Some(Some(Axis::I)),
        "Vj" | "Vy" => Some(Some(Axis::J)),
        "Pm" => Some(None),
        _ => None,
    };
    let (position, axis, dim) = match (kind.trim(), numbers.as_slice()) {
        ("Var", &[position, dim, category]) => {
            let axis = [Some(Axis::I), Some(Axis::J), None].get(category).copied()?;
            (Some(position), axis, dim)
        }
        (kind, &[position, dim]) => (Some(position), axis(kind)?, dim),
        (kind, &[dim]) => (None, axis(kind)?, dim),
        _ => return None,
    };
    Some(Alias { name, position, axis, dim })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<(String, Option<Axis>, usize)> {
        let found = aliases(list).unwrap_or_else(|e| panic!("{:?}", e.0[0].message));
        found.into_iter().map(|v| (v.name, v.axis, v.dim)).collect()
    }

    #[test]
    fn forms() {
        let found = names(&["y = Vj(1, 4)", "x=Vi( 0,3 )", "g = Pm(2)", "Var(3, 5, 1)"]);
        let expected = [
            ("x", Some(Axis::I), 3),
            ("y", Some(Axis::J), 4),
            ("g", None, 2),
            ("var3", Some(Axis::J), 5),
        ];
        assert_eq!(found, expected.map(|(name, axis, dim)| (name.to_owned(), axis, dim)));
    }

    #[test]
    fn refusals() {
        for (list, message) in [
            (&["x"][..], "`x` is not a variable"),
            (&["x = Vk(3)"], "`x = Vk(3)` is not a variable"),
            (&["x = Vi(-1)"], "`x = Vi(-1)` is not a variable"),
            (&["x = Var(0, 3, 7)"], "`x = Var(0, 3, 7)` is not a variable"),
            (&["x = Vi(0, 3)", "y = Vj(0, 3)"], "has the position 0, which `x` has too"),
            (&["x = Vi(5, 3)"], "has the position 5"),
            (&["y = Vj(1, 3)", "x = Vi(3)"], "has the position 1, which `y` has too"),
        ] {
            let found = aliases(list).map(|v| v.len()).unwrap_err();
            assert!(found.0[0].message.contains(message), "{}", found.0[0].message);
        }
    }
}
