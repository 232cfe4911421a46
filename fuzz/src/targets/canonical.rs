//! The canonical text is a formula file of the same formula: parse, print, parse, same key. Keys
//! choose code, so two formulas must never be printed alike, and none differently twice.
//!
//! Input is a formula file, or `random N` for the N-th formula of the generator (`smooth N` for
//! one that can be differentiated, of which the gradient is taken too).

use std::collections::BTreeSet;

use tilefold_compiler::front;
use tilefold_compiler::ir::{Formula, canonical_text, key};
use tilefold_compiler::passes::vjp;
use tilefold_tests::generate::{self, Wish};
use tilefold_tests::rng::Rng;

use super::text::sound;
use super::{Target, lossy, signature};

pub const TARGET: Target = Target {
    name: "canonical",
    promise: "the canonical text of a formula parses to a formula with the same text and key",
    run,
    make: Some(make),
    reads_formulas: true,
};

/// A name of some formula of the generator.
pub fn make(rng: &mut Rng) -> Vec<u8> {
    let wish = *rng.pick(&["random", "smooth"]);
    format!("{wish} {}", rng.bits() % 1_000_000_000).into_bytes()
}

/// The formulas that an input stands for; none if it is refused.
pub fn formulas(bytes: &[u8]) -> Vec<Formula> {
    let text = lossy(bytes);
    let numbered = |word: &str| text.strip_prefix(word).and_then(|n| n.trim().parse().ok());
    if let Some(number) = numbered("random ") {
        return vec![foreign(generate::problem(number, Wish::Any).formula)];
    }
    if let Some(number) = numbered("smooth ") {
        let formula = foreign(generate::problem(number, Wish::Smooth).formula);
        let names: Vec<String> = formula.inputs.iter().map(|i| i.name.clone()).collect();
        let gradient = vjp(&formula, &formula.outputs[0].name, &names);
        return [formula].into_iter().chain(gradient.ok()).collect();
    }
    let units = front::parse("input.fold", &text).unwrap_or_default();
    let instances = units.into_iter().flat_map(|unit| unit.instances);
    let each = instances.take(3).flat_map(|instance| {
        let derivatives = instance.derivatives.into_iter().take(2).map(|d| d.formula);
        [instance.formula].into_iter().chain(derivatives)
    });
    each.collect()
}

/// With names that no template and no header has.
fn foreign(mut formula: Formula) -> Formula {
    formula.inputs.iter_mut().for_each(|input| input.name = format!("zq_{}", input.name));
    formula.outputs.iter_mut().for_each(|output| output.name = format!("zq_{}", output.name));
    formula
}

fn run(bytes: &[u8]) -> Result<u64, String> {
    let mut met = BTreeSet::new();
    for formula in formulas(bytes) {
        sound(&formula, &mut met)?;
        let text = canonical_text(&formula);
        let again = front::parse("canonical.fold", &text)
            .map_err(|errors| format!("{}\n{text}", errors.render("canonical.fold", &text)))?;
        let [unit] = again.as_slice() else { return Err(format!("not one formula: {text}")) };
        let again = &unit.instances[0].formula;
        let printed = canonical_text(again);
        if printed != text {
            return Err(format!("it is printed as\n{text}and read again as\n{printed}"));
        }
        if key(again) != key(&formula) {
            return Err(format!("another key for\n{text}"));
        }
    }
    Ok(signature(met))
}
