//! `cargo xtask demo`: the shortest way to see tilefold at work.

use crate::build_formulas;
use crate::cargo;

/// Builds the formulas and classifies handwritten digits with them
///
/// The same as `cargo xtask build-formulas` and `cargo run --release -p digits`.
#[derive(clap::Args)]
pub struct Arguments {}

/// Runs the command.
pub fn run(_arguments: &Arguments) -> crate::Result {
    build_formulas::run(&build_formulas::Arguments::default())?;
    cargo(&["run", "--release", "--package", "digits"])
}
