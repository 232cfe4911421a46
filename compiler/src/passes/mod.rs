//! Passes: formula in, equivalent formula out.
//!
//! [`PIPELINE`] is the whole story, in order; the verifier runs after each pass. Differentiation
//! ([`vjp`]) comes before the pipeline and yields an ordinary formula.
//!
//! A pass never changes what a formula means. Passes that change rounding say so in their doc,
//! and touch only places where a last-bit change stays a last-bit change: products under a sum,
//! and the argument of `exp`. Comparisons, `floor` and the like always see the order of
//! operations that the user wrote. Formulas declared `relaxed` allow more: the rules that
//! `rules.txt` marks so, wherever they fit.

pub mod cost;
mod explain;
mod exponent;
mod factor;
mod facts;
mod grad;
mod lookup;
mod pairs;
pub mod pattern;
mod products;
mod reciprocal;
mod rewrite;
pub mod rules;
mod signs;
mod simplify;
pub mod widths;

#[cfg(test)]
mod tests;

use crate::ir::{Formula, canonical_text, verify};

pub use cost::{Cost, cost};
pub use explain::explain;
pub use grad::{GradError, adjoints, jvp, operators, tangent, vjp, with_value};
pub use lookup::{Lookup, lookup};
pub use pairs::{keep_pairs, keep_pairs_of};
pub use simplify::{Fired, simplify};

/// One step of the pipeline.
pub struct Pass {
    /// Name in dumps and messages.
    pub name: &'static str,
    /// Why it exists.
    pub doc: &'static str,
    /// The step; it counts what it does by name.
    pub run: fn(&Formula, &mut Fired) -> Formula,
}

/// The pipeline from a built formula to one that can be scheduled.
pub const PIPELINE: &[Pass] = &[
    Pass { name: "simplify", doc: "compute constants, apply rules", run: simplify },
    Pass {
        name: "reciprocal",
        doc: "divide by a cheaper value by multiplying with its reciprocal",
        run: reciprocal::reciprocal,
    },
    // Before `exponent`, which expects the product's cheap factors side by side.
    Pass { name: "factor", doc: "move factors out of sums, group by stratum", run: factor::factor },
    Pass { name: "exponent", doc: "exp(c x) becomes exp2((c log2 e) x)", run: exponent::exponent },
    Pass {
        name: "widths",
        doc: "relaxed formulas: measure distances in widths",
        run: widths::widths,
    },
    Pass { name: "again", doc: "simplify what the others made", run: simplify },
];

/// What follows the pipeline, once: the rules of the pipeline know subtractions.
pub const LAST: Pass =
    Pass { name: "signs", doc: "x - y of a row and a column becomes x + (-y)", run: signs::signs };

/// Most runs of the pipeline; one pass may make room for another.
const MAX_RUNS: usize = 8;

/// What one step of the pipeline did.
pub struct Step {
    /// Name of the pass.
    pub pass: &'static str,
    /// Why the pass exists.
    pub doc: &'static str,
    /// The cost after it.
    pub cost: Cost,
    /// What it did, and how often.
    pub fired: Fired,
}

/// Runs the pipeline until it changes nothing, and the last pass.
///
/// # Panics
/// When a pass breaks an invariant of the IR, which is a bug of that pass.
pub fn optimize(formula: &Formula) -> Formula {
    trace(formula).0
}

/// [`optimize`] without the last pass: what is settled is settled for good.
///
/// # Panics
/// As [`optimize`].
pub fn settle(formula: &Formula) -> Formula {
    settled(formula, &mut Vec::new())
}

/// [`optimize`], and what each step did; steps that did nothing are left out.
///
/// # Panics
/// As [`optimize`].
pub fn trace(formula: &Formula) -> (Formula, Vec<Step>) {
    let mut steps = Vec::new();
    let current = settled(formula, &mut steps);
    let last = run(&LAST, &current, &mut steps);
    (last, steps)
}

fn settled(formula: &Formula, steps: &mut Vec<Step>) -> Formula {
    let mut current = formula.clone();
    let mut text = canonical_text(&current);
    for _ in 0..MAX_RUNS {
        for pass in PIPELINE {
            current = run(pass, &current, steps);
        }
        let next = canonical_text(&current);
        if next == text {
            break;
        }
        text = next;
    }
    current
}

fn run(pass: &Pass, formula: &Formula, steps: &mut Vec<Step>) -> Formula {
    let mut fired = Fired::new();
    let new = (pass.run)(formula, &mut fired);
    if let Err(why) = verify::verify(&new) {
        panic!("internal: pass `{}` broke the formula: {why}", pass.name);
    }
    if !fired.is_empty() {
        steps.push(Step { pass: pass.name, doc: pass.doc, cost: cost(&new), fired });
    }
    new
}
