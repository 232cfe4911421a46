//! Formula files and KeOps strings from strangers: formulas or diagnostics, never a panic.
//!
//! Text that starts with `keops ` is a KeOps call: the rest of the line names the reduction and
//! its axis, the next line is the formula, all others are aliases.

use std::collections::BTreeSet;

use tilefold_compiler::diag::{CODES, Diagnostics};
use tilefold_compiler::front::{self, Spec};
use tilefold_compiler::ir::{Axis, Formula, Node, Stratum, verify};
use tilefold_compiler::ops::Op;

use super::{Target, lossy, signature};

pub const TARGET: Target = Target {
    name: "text",
    promise: "a formula file or a KeOps string gives sound formulas or diagnostics inside the text",
    run,
    make: None,
    reads_formulas: true,
};

fn run(bytes: &[u8]) -> Result<u64, String> {
    let text = lossy(bytes);
    match text.strip_prefix("keops ") {
        Some(rest) => keops(rest),
        None => file(&text),
    }
}

fn file(text: &str) -> Result<u64, String> {
    match front::parse("input.fold", text) {
        Err(errors) => refused(&errors, text),
        Ok(units) => {
            let mut met = BTreeSet::new();
            for instance in units.iter().flat_map(|unit| unit.shapes()).take(8) {
                sound(&instance.formula, &mut met)?;
                for derivative in instance.derivatives.iter().take(4) {
                    sound(&derivative.formula, &mut met)?;
                }
            }
            Ok(signature(("file", met)))
        }
    }
}

fn keops(text: &str) -> Result<u64, String> {
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or("").split(' ').collect();
    let formula = lines.next().unwrap_or("");
    let aliases: Vec<&str> = lines.collect();
    let variables = match front::aliases(&aliases) {
        Ok(variables) => variables,
        Err(errors) => return refused(&errors, ""),
    };
    let over = if head.get(1) == Some(&"0") { Axis::I } else { Axis::J };
    let k = head.get(2).and_then(|k| k.parse().ok());
    let spec = Spec { name: head[0], over, k, weight: head.get(3).copied() };
    match front::keops(formula, &variables, &spec) {
        Err(errors) => refused(&errors, formula),
        Ok(formula) => {
            let mut met = BTreeSet::new();
            sound(&formula, &mut met)?;
            Ok(signature(("keops", met)))
        }
    }
}

/// Errors have a code of the table and a message, and point into the text.
fn refused(errors: &Diagnostics, text: &str) -> Result<u64, String> {
    if errors.0.is_empty() {
        return Err("it is refused without an error".into());
    }
    for error in &errors.0 {
        if !CODES.iter().any(|(code, _)| *code == error.code) {
            return Err(format!("{} is no code", error.code));
        }
        if error.message.trim().is_empty() || error.message.contains("internal") {
            return Err(format!("[{}] says: {:?}", error.code, error.message));
        }
        if let Some(span) = &error.span
            && !text.is_empty()
            && text.get(span.clone()).is_none()
        {
            return Err(format!("[{}] points at {span:?}, outside the text", error.code));
        }
    }
    let rendered = errors.render("input.fold", text);
    if !rendered.contains(errors.0[0].code) {
        return Err(format!("its code is not in {rendered}"));
    }
    let shape = |message: &str| message.chars().filter(char::is_ascii_lowercase).count() / 8;
    let shapes: BTreeSet<_> = errors.0.iter().map(|e| (e.code, shape(&e.message))).collect();
    Ok(signature(shapes))
}

/// The formula keeps the rules of the IR; which operations it has.
pub fn sound(formula: &Formula, met: &mut BTreeSet<(Option<Op>, Stratum)>) -> Result<(), String> {
    verify::verify(formula).map_err(|why| format!("{}: {why}", formula.name))?;
    for id in formula.ids() {
        let op = match formula.node(id) {
            Node::Op(op, ..) => Some(*op),
            _ => None,
        };
        met.insert((op, formula.stratum(id)));
    }
    Ok(())
}
