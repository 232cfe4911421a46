//! `cargo xtask test`: everything that a change must pass.

use std::time::Instant;

use tilefold_build::target_folder;

use crate::{build_formulas, cargo, cuda_check, program};

/// Runs every check: format, lints, freshness of generated text, tests, CUDA
/// budgets, and a crate of its own
///
/// Stops at the first that fails. Each is also a command by itself; the headings show it.
#[derive(clap::Args)]
pub struct Arguments {}

const OWN: &str = "examples/own-formulas/Cargo.toml";

/// The checks that are cargo's, cheapest first.
const STEPS: &[&[&str]] = &[
    &["fmt", "--all", "--check"],
    &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"],
    &["test", "--workspace"],
];

/// Runs the command.
pub fn run(_arguments: &Arguments) -> crate::Result {
    let start = Instant::now();
    heading("cargo xtask build-formulas --check");
    build_formulas::run(&build_formulas::Arguments { check: true, ..Default::default() })?;
    for step in STEPS {
        show_and_run(step)?;
    }
    heading("cargo xtask cuda-check --quick --arch 90");
    cuda_check::quick()?;
    // A crate that brings its own formulas, as a user's would be. What it shares is built already.
    let target = target_folder(&program()).display().to_string();
    show_and_run(&["fmt", "--manifest-path", OWN, "--check"])?;
    show_and_run(&["fmt", "--manifest-path", "benchmarks/Cargo.toml", "--check"])?;
    show_and_run(&["run", "--manifest-path", OWN, "--target-dir", &target])?;
    println!("everything passed in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn show_and_run(step: &[&str]) -> crate::Result {
    heading(&format!("cargo {}", step.join(" ")));
    cargo(step)
}

fn heading(text: &str) {
    println!("--- {text}");
}
