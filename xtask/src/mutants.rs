//! `cargo xtask mutants`: does a test notice when the compiler is wrong? Drives cargo-mutants on a
//! copy of the tree below target/.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tilefold_build::target_folder;

use crate::{program, root};

/// The version that is installed, and that the options below are of.
const VERSION: &str = "27.1.0";

/// What is mutated.
const FILES: &[&str] =
    &["compiler/src/ops/**/*.rs", "compiler/src/reduce/**/*.rs", "compiler/src/passes/**/*.rs"];

/// The tests of other crates that know the meaning of operations, reductions and passes, and
/// compile no C++.
const TESTS: &[&str] =
    &["rules", "passes", "book", "derivatives", "interpreted", "lazy_rules", "methods", "errors"];

/// Mutates operations, reductions and passes, and counts the mutants that no test notices
///
/// Each mutant is a function body or an operator replaced, in a copy of what is committed or
/// staged. The unit tests of the compiler run first; what they miss meets the tests that need no
/// C++ compiler. All mutants take days, so give a shard: --shard 3/72 is every 72nd from the third
/// on. Missed ones are listed below target/mutants/out.
#[derive(clap::Args)]
pub struct Arguments {
    /// Which part of all mutants, as k/n
    #[arg(long, default_value = "0/72")]
    shard: String,
    /// Only mutants whose name matches
    #[arg(long, value_name = "REGEX")]
    only: Option<String>,
    /// Get cargo-mutants from the registry first, into target/tools
    #[arg(long)]
    install: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> crate::Result {
    let program = program();
    let target = target_folder(&program);
    let tool = target.join("tools/bin/cargo-mutants");
    if arguments.install {
        let mut command = Command::new("cargo");
        command.args(["install", "cargo-mutants", "--locked", "--version", VERSION, "--root"]);
        start(command.arg(target.join("tools")))?;
    }
    if !tool.exists() {
        let help = "  = help: `cargo xtask mutants --install` gets it";
        return Err(format!("cargo-mutants {VERSION} is not there\n{help}"));
    }
    let folder = target.join("mutants");
    copy(&folder.join("tree"))?;
    // What the first pass misses is all that the second one runs.
    pass(&tool, &folder, arguments, &["--package", "tilefold-compiler"], &["--lib"])?;
    let tests: Vec<&str> = TESTS.iter().flat_map(|test| ["--test", test]).collect();
    pass(&tool, &folder, arguments, &["--iterate", "--test-package", "tilefold-tests"], &tests)?;
    let out = folder.join("out/mutants.out");
    let list = |name: &str| fs::read_to_string(out.join(name)).unwrap_or_default();
    print!("{}", list("missed.txt"));
    Ok(())
}

/// Puts the index of the repository in a folder, with lints that do not mind mutants.
fn copy(tree: &Path) -> crate::Result {
    let prefix = format!("--prefix={}/", tree.display());
    let mut command = Command::new("git");
    start(command.args(["checkout-index", "--all", "--force", &prefix]).current_dir(root()))?;
    let manifest = tree.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(|e| format!("{}: {e}", manifest.display()))?;
    let (head, lints) = text.split_once("[workspace.lints").unwrap_or((&text, ""));
    let lints = lints.replace("\"deny\"", "\"allow\"");
    fs::write(&manifest, format!("{head}[workspace.lints{lints}"))
        .map_err(|e| format!("{}: {e}", manifest.display()))
}

fn pass(
    tool: &Path,
    folder: &Path,
    arguments: &Arguments,
    which: &[&str],
    tests: &[&str],
) -> crate::Result {
    let mut command = Command::new(tool);
    command.args(["mutants", "--in-place", "--baseline", "skip", "--no-shuffle"]);
    command.args(["--timeout", "300", "--build-timeout", "600"]);
    command.args(["--shard", &arguments.shard, "--sharding", "round-robin"]);
    command.args(FILES.iter().flat_map(|file| ["--file", file]));
    command.args(["--exclude", "**/tests.rs", "--exclude", "**/tests/**"]);
    command.args(arguments.only.iter().flat_map(|only| ["--re", only]));
    command.arg("--output").arg(folder.join("out")).args(which).arg("--").args(tests);
    let build: PathBuf = folder.join("build");
    command.current_dir(folder.join("tree")).env("CARGO_TARGET_DIR", build);
    command.envs([("CARGO_PROFILE_DEV_DEBUG", "0"), ("TILEFOLD_CUDA", "off")]);
    let status = command.status().map_err(|e| format!("{}: {e}", tool.display()))?;
    // 2: some were missed, 3: some took too long; both are what is asked for.
    match status.code() {
        Some(0 | 2 | 3) => Ok(()),
        _ => Err(format!("cargo-mutants failed ({status})")),
    }
}

fn start(command: &mut Command) -> crate::Result {
    let status = command.status().map_err(|e| format!("{command:?}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed ({status})")) }
}
