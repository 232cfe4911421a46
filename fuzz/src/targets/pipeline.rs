//! From a formula to text for compilers: every pass, the schedule and the emission, and nothing of
//! the user's in the code. Input is as for the target `canonical`.
//!
//! Passes verify what they leave, and panic if it is unsound. The emitted C++ and CUDA may hold
//! only words of templates and headers, and numbered names; the C descriptor and the Rust wrapper
//! hold names of the user, but in strings and as identifiers only.

use std::collections::BTreeSet;

use tilefold_compiler::emit::{self, EmitError};
use tilefold_compiler::front;
use tilefold_compiler::ir::{Formula, verify};

use super::canonical::{formulas, make};
use super::{Target, lossy, signature};
use crate::tokens;

pub const TARGET: Target = Target {
    name: "pipeline",
    promise: "an accepted formula becomes text that holds no word of the user outside of strings",
    run,
    make: Some(make),
    reads_formulas: true,
};

/// Larger formulas are left to the target `text`: the point here is many different ones.
const MOST_NODES: usize = 600;

fn run(bytes: &[u8]) -> Result<u64, String> {
    let mut met = BTreeSet::new();
    for formula in formulas(bytes).iter().filter(|f| f.len() <= MOST_NODES) {
        emitted(formula, &mut met)?;
    }
    wrapped(bytes, &mut met)?;
    Ok(signature(met))
}

fn emitted(formula: &Formula, met: &mut BTreeSet<&'static str>) -> Result<(), String> {
    let text = match emit::kernel(formula, "title", "input.fold") {
        Ok(text) => text,
        Err(
            why @ (EmitError::TooLong { .. }
            | EmitError::TooWide { .. }
            | EmitError::TooDeep { .. }),
        ) => {
            met.insert("too large");
            return match why.to_string().contains("limit") {
                true => Ok(()),
                false => Err(format!("it says no limit: {why}")),
            };
        }
    };
    verify::verify(&text.plan.formula).map_err(|why| format!("after the passes: {why}"))?;
    met.extend(text.fired.keys());
    tokens::code(&text.cpp).map_err(|why| format!("{why}, in the C++ of\n{}", text.canonical))?;
    tokens::code(&text.cu).map_err(|why| format!("{why}, in the CUDA of\n{}", text.canonical))?;
    tokens::descriptor(&text.desc)
        .map_err(|why| format!("{why}, in the descriptor of\n{}", text.canonical))
}

/// The Rust side, where all of a file is wrapped at once.
fn wrapped(bytes: &[u8], met: &mut BTreeSet<&'static str>) -> Result<(), String> {
    let text = lossy(bytes);
    let Ok(units) = front::parse("input.fold", &text) else { return Ok(()) };
    let small = |unit: &front::Unit| {
        unit.shapes().count() <= 16
            && unit.shapes().all(|i| {
                i.formula.len() <= MOST_NODES
                    && i.derivatives.len() <= 2
                    && i.derivatives.iter().all(|d| d.formula.len() <= MOST_NODES)
            })
    };
    if units.len() > 2 || !units.iter().all(small) {
        return Ok(());
    }
    let Ok(artifact) = emit::artifact(&units, "input.fold", &text) else { return Ok(()) };
    met.insert("wrapped");
    let wrapper = &artifact.files[&artifact.wrapper];
    if let Some(held) = tokens::file_text(wrapper)
        && held.as_ref() != Ok(&text)
    {
        return Err(format!("the wrapper holds {held:?}"));
    }
    let mut names = BTreeSet::new();
    for unit in &units {
        names.insert(unit.name.as_str());
        names.extend(unit.generics.iter().map(|g| g.name.as_str()));
        for instance in unit.shapes() {
            let derivatives = instance.derivatives.iter();
            for d in derivatives.clone() {
                names.extend([d.call.as_str(), d.title.as_str()]);
                names.extend(d.extra.iter().map(|e| e.name.as_str()));
            }
            for f in [&instance.formula].into_iter().chain(derivatives.map(|d| &d.formula)) {
                names.extend(f.inputs.iter().map(|i| i.name.as_str()));
                names.extend(f.outputs.iter().map(|o| o.name.as_str()));
            }
        }
    }
    tokens::wrapper(wrapper, &names).map_err(|why| format!("{why}, in the Rust wrapper"))
}
