//! `cargo xtask candle-cuda`: the feature `candle-cuda` is checked where there is no CUDA toolkit.

use std::fs;
use std::path::Path;
use std::process::Command;

use tilefold_build::target_folder;

use crate::{cargo_as, program};

/// Type-checks and lints tilefold-candle's feature candle-cuda, without a CUDA toolkit
///
/// Candle compiles its own kernels with nvcc when it is built for CUDA. Rust code is checked just
/// as well without them, so here a script stands for nvcc and leaves empty files; they are in a
/// target folder of their own (target/candle-cuda), where no other build finds them. The first run
/// checks candle and all that it needs again, which takes a minute or two.
#[derive(clap::Args)]
pub struct Arguments {}

/// Stands for nvcc: says a version, and leaves an empty file wherever a result is expected.
const NVCC: &str = r#"#!/bin/sh
folder=. name=none out=
while [ $# -gt 0 ]; do
  case $1 in
    --version) echo "Cuda compilation tools, release 13.0, V13.0.88"; exit 0 ;;
    --output-directory) folder=$2; shift ;;
    -o) out=$2; shift ;;
    *.cu) name=$(basename "$1" .cu) ;;
  esac
  shift
done
: > "${out:-$folder/$name.ptx}"
"#;

const CHECK: &[&str] = &["clippy", "--package", "tilefold-candle", "--features", "candle-cuda"];

/// Runs the command.
pub fn run(_arguments: &Arguments) -> crate::Result {
    if !cfg!(unix) {
        println!("skipped: a script stands for nvcc");
        return Ok(());
    }
    let target = target_folder(&program()).join("candle-cuda");
    let nvcc = stand_in(&target).map_err(|why| format!("{}: {why}", target.display()))?;
    let target = target.display().to_string();
    let rest = ["--all-targets", "--target-dir", &target, "--", "--deny", "warnings"];
    cargo_as(&[CHECK, &rest].concat(), |cargo: &mut Command| {
        // Candle asks a GPU for its generation, or this variable.
        cargo.env("NVCC", &nvcc).env("CUDA_COMPUTE_CAP", "80")
    })
}

/// Writes the script, and says where.
fn stand_in(folder: &Path) -> std::io::Result<std::path::PathBuf> {
    let bin = folder.join("nvcc/bin");
    fs::create_dir_all(&bin)?;
    let script = bin.join("nvcc");
    if fs::read_to_string(&script).ok().as_deref() != Some(NVCC) {
        fs::write(&script, NVCC)?;
        #[cfg(unix)]
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    Ok(script)
}
