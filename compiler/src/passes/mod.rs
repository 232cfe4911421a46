//! Passes: formula in, equivalent formula out.
//!
//! [`PIPELINE`] is the whole story, in order; the verifier runs after each pass. Differentiation
//! ([`vjp`]) comes before the pipeline and yields an ordinary formula.
//!
//! A pass never changes what a formula means. Passes that change rounding say so in their doc,
//! and touch only places where a last-bit change stays a last-bit change: products under a sum,
//! and the argument of `exp`. Comparisons, `floor` and the like always see the order of
//! operations that the user wrote.

mod exponent;
mod factor;
mod fold;
mod grad;
mod products;
mod reciprocal;
mod rewrite;
mod signs;

use crate::ir::{Formula, verify};

pub use grad::{GradError, vjp};

/// One step of the pipeline.
pub struct Pass {
    /// Name in dumps and messages.
    pub name: &'static str,
    /// Why it exists.
    pub doc: &'static str,
    /// The step.
    pub run: fn(&Formula) -> Formula,
}

/// The pipeline from a built formula to one that can be scheduled.
pub const PIPELINE: &[Pass] = &[
    Pass { name: "fold", doc: "compute what is constant, drop exact identities", run: fold::fold },
    Pass {
        name: "reciprocal",
        doc: "divide by a cheaper value by multiplying with its reciprocal",
        run: reciprocal::reciprocal,
    },
    // Before `exponent`, which expects the product's cheap factors side by side.
    Pass { name: "factor", doc: "move factors out of sums, group by stratum", run: factor::factor },
    Pass { name: "exponent", doc: "exp(c x) becomes exp2((c log2 e) x)", run: exponent::exponent },
    Pass { name: "refold", doc: "compute the constants that the others made", run: fold::fold },
    // Last: the passes before it know subtractions.
    Pass { name: "signs", doc: "x - y of a row and a column becomes x + (-y)", run: signs::signs },
];

/// Runs the pipeline.
///
/// # Panics
/// When a pass breaks an invariant of the IR, which is a bug of that pass.
pub fn optimize(formula: &Formula) -> Formula {
    let mut current = formula.clone();
    for pass in PIPELINE {
        current = (pass.run)(&current);
        if let Err(why) = verify::verify(&current) {
            panic!("internal: pass `{}` broke the formula: {why}", pass.name);
        }
    }
    current
}
