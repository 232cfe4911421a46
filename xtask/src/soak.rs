//! `cargo xtask soak`: random work for as long as one likes, with flat memory.

use crate::cargo;

/// Runs expressions, ranges, interpreted, linked and jit-compiled formulas over and over
///
/// Fails when memory, open files or threads grow after the second pass. Prints what was held then
/// and in the end. `cargo xtask test` runs a moment of this.
#[derive(clap::Args)]
pub struct Arguments {
    /// How long
    #[arg(long, default_value_t = 3600)]
    seconds: u64,
    /// Other seeds make other work
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> crate::Result {
    let (seconds, seed) = (arguments.seconds.to_string(), arguments.seed.to_string());
    let head = ["run", "--profile", "fuzz", "--package", "tilefold-fuzz", "--", "soak"];
    cargo(&[&head[..], &[&seconds, &seed]].concat())
}
