//! `cargo xtask candle-cuda`: the feature `candle-cuda` is checked, and run on a driver for tests,
//! where there is no CUDA toolkit and no device.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tilefold_build::target_folder;
use tilefold_tests::driver;

use crate::{cargo_as, program};

/// Type-checks and lints tilefold-candle's feature candle-cuda, without a CUDA toolkit
///
/// Candle compiles its own kernels with nvcc when it is built for CUDA. Rust code is checked just
/// as well without them, so here a script stands for nvcc and leaves files without kernels; they
/// are in a target folder of their own (target/candle-cuda), where no other build finds them. The
/// first run checks candle and all that it needs again, which takes minutes.
#[derive(clap::Args)]
pub struct Arguments {
    /// Also run it: candle, on the CUDA driver of tests/driver, which runs kernels on the CPU
    #[arg(long)]
    run: bool,
}

/// Stands for nvcc: says a version, and leaves archives without objects, and images that the driver
/// of the tests loads (`tests/driver/modules.h`).
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
if [ -n "$out" ]; then printf '!<arch>\n' > "$out"
else printf 'emulated CUDA image\nplain libcandle.so\n' > "$folder/$name.ptx"
fi
"#;

const CHECK: &[&str] = &["clippy", "--package", "tilefold-candle", "--features", "candle-cuda"];

const TESTS: &[&str] =
    &["test", "--package", "tilefold-tests", "--features", "candle-cuda", "--test", "candle_cuda"];

/// Runs the command.
pub fn run(arguments: &Arguments) -> crate::Result {
    if !cfg!(target_os = "linux") {
        println!("skipped: what stands for nvcc and for the driver is written for Linux");
        return Ok(());
    }
    let target = target_folder(&program()).join("candle-cuda");
    let nvcc = stand_in(&target).map_err(|why| format!("{}: {why}", target.display()))?;
    let folder = target.display().to_string();
    let rest = ["--all-targets", "--target-dir", &folder, "--", "--deny", "warnings"];
    cargo_as(&[CHECK, &rest].concat(), |cargo| without_cuda(cargo, &nvcc))?;
    if !arguments.run {
        return Ok(());
    }
    let libraries = target.join("libraries");
    driver::with_candle(&libraries);
    cargo_as(&[TESTS, &["--target-dir", &folder]].concat(), |cargo| {
        // The first is for the linker, the second for the program that it makes.
        cargo.env("LIBRARY_PATH", &libraries).env("LD_LIBRARY_PATH", &libraries);
        // What stands for nvcc compiles no kernel of ours.
        without_cuda(cargo, &nvcc).env("TILEFOLD_CUDA", "off")
    })
}

/// Lets candle's build find what stands for nvcc. It would ask a GPU for its generation, too.
fn without_cuda<'c>(cargo: &'c mut Command, nvcc: &Path) -> &'c mut Command {
    cargo.env("NVCC", nvcc).env("CUDA_COMPUTE_CAP", "80")
}

/// Writes the script, and says where.
fn stand_in(folder: &Path) -> std::io::Result<PathBuf> {
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
