//! The commands behind `cargo xtask`, and the checks that tests share with them.
//!
//! In: arguments. Out: files, processes, lines for people. What a user's build script would need
//! too is not here but in tilefold-build.

pub mod bars;
pub mod bench;
pub mod book;
pub mod build_formulas;
pub mod candle_cuda;
pub mod conformance;
pub mod cuda_check;
pub mod declarations;
pub mod demo;
pub mod doctor;
pub mod explain;
pub mod fuzz;
pub mod methods;
pub mod mutants;
pub mod sanitize;
pub mod soak;
pub mod test;
pub mod tidy;

use std::path::{Path, PathBuf};
use std::process::Command;

/// What a command ends with: nothing, or a message for people.
pub type Result = std::result::Result<(), String>;

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// This program; its place tells where cargo's target folder is.
pub fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| root().join("target/debug/xtask"))
}

/// Runs cargo in the root of the repository, with its output shown.
pub fn cargo(arguments: &[&str]) -> Result {
    cargo_as(arguments, |cargo| cargo)
}

/// Runs cargo as [`cargo`] does, in a changed environment.
pub fn cargo_as(arguments: &[&str], change: impl FnOnce(&mut Command) -> &mut Command) -> Result {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    let status = change(command.args(arguments).current_dir(root())).status();
    let line = arguments.join(" ");
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`cargo {line}` failed ({status})")),
        Err(e) => Err(format!("cannot start {}: {e}", cargo.to_string_lossy())),
    }
}
