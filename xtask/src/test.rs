//! `cargo xtask test`: everything that a change must pass.

use std::time::Instant;

use crate::build_formulas;
use crate::cargo;

/// Runs every check: format, lints, freshness of generated text, tests, and a crate of its own
///
/// Stops at the first that fails. Each is also a command by itself; the headings show it.
#[derive(clap::Args)]
pub struct Arguments {}

/// The checks that are cargo's, cheapest first.
const STEPS: &[&[&str]] = &[
    &["fmt", "--all", "--check"],
    &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"],
    &["test", "--workspace"],
    // A crate that brings its own formulas, as a user's would be.
    &["run", "--manifest-path", "examples/own-formulas/Cargo.toml", "--target-dir", "target"],
];

/// Runs the command.
pub fn run(_arguments: &Arguments) -> crate::Result {
    let start = Instant::now();
    heading("cargo xtask build-formulas --check");
    build_formulas::run(&build_formulas::Arguments { check: true, ..Default::default() })?;
    for step in STEPS {
        heading(&format!("cargo {}", step.join(" ")));
        cargo(step)?;
    }
    println!("everything passed in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn heading(text: &str) {
    println!("--- {text}");
}
