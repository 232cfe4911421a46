//! `cargo xtask mutants`: does a test notice when the compiler is wrong? Drives cargo-mutants on a
//! copy of the tree below target/.

use std::collections::BTreeSet;
use std::ffi::OsStr;
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

/// The tests of other crates that know the meaning of operations, reductions and passes.
const TESTS: &[&str] = &[
    "book",
    "complex",
    "derivatives",
    "edges",
    "errors",
    "fold_edges",
    "fold_gradients",
    "interpreted",
    "lazy_rules",
    "methods",
    "ops",
    "passes",
    "reductions",
    "rules",
    "story",
];

/// Those of their tests that compile C++, which takes too long.
const SKIPPED: &[&str] = &[
    "complex_expressions",
    "real_expressions_of_complex_values",
    "gradients_agree_with_differences",
    "every_executor_agrees_with_the_tables",
    "results_are_those_of_the_table",
    "more_entries_than_rows_are_an_error",
    "row_numbers_and_counts_are_exact_beyond_what_float32_holds",
    "compiled_gradients_are_those_of_the_evaluator",
    "rows_of_numbers",
    "pairs_of_numbers",
    "tables_over_j",
    "tables_over_i",
    "more_entries_than_a_tile_has_columns",
    "no_columns_give_the_neutral_element_or_an_error",
    "no_rows_give_empty_results",
];

/// Mutates operations, reductions and passes, and counts the mutants that no test notices
///
/// Each mutant is a function body or an operator replaced, in a copy of what is committed or
/// staged. The unit tests of the compiler run first; what they miss meets the tests of meaning
/// that need no C++ compiler. Both are run without a mutant before, and have to pass. All mutants
/// take a day, so give a shard: --shard 3/72 is every 72nd from the third on. Missed ones are
/// listed in the end, and counted.
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
    let tool =
        Tool { program: target.join("tools/bin/cargo-mutants"), folder: target.join("mutants") };
    if arguments.install {
        let mut command = Command::new("cargo");
        command.args(["install", "cargo-mutants", "--locked", "--version", VERSION, "--root"]);
        start(command.arg(target.join("tools")))?;
    }
    if !tool.program.exists() {
        let help = "  = help: `cargo xtask mutants --install` gets it";
        return Err(format!("cargo-mutants {VERSION} is not there\n{help}"));
    }
    known_names()?;
    copy(&tool.folder.join("tree"))?;
    let only = arguments.only.iter().flat_map(|only| ["--re", only]);
    let some = ["--shard", &arguments.shard, "--sharding", "round-robin"];
    let which: Vec<&str> = some.into_iter().chain(only).collect();
    tool.pass(&Tests::unit(), &which)?;
    let mut missed = tool.names("missed.txt");
    let early = tool.names("caught.txt").len() + tool.names("timeout.txt").len();
    let late = missed.len();
    if late > 0 {
        // What the first pass misses is all that the second one runs. It is said by what it is not:
        // patterns of names do not hold for every kind of mutant.
        let all = tool.all()?;
        let others: Vec<&str> = all.lines().filter(|name| !missed.contains(*name)).collect();
        let known = tool.out().join("previously_caught.txt");
        fs::write(&known, others.join("\n")).map_err(|e| format!("{}: {e}", known.display()))?;
        tool.pass(&Tests::of_meaning(), &["--iterate"])?;
        missed = tool.names("missed.txt");
    }
    missed.iter().for_each(|name| println!("{name}"));
    let (total, others, left) = (early + late, late - missed.len(), missed.len());
    println!(
        "{total} that compile: {early} noticed by unit tests, {others} by others, {left} by none"
    );
    Ok(())
}

/// Every name above is that of a test: one that is gone would be skipped in silence.
fn known_names() -> crate::Result {
    let folder = root().join("tests/tests");
    let mut texts = String::new();
    for test in TESTS {
        let path = folder.join(format!("{test}.rs"));
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        texts.push_str(&text);
    }
    match SKIPPED.iter().find(|test| !texts.contains(&format!("fn {test}()"))) {
        Some(test) => Err(format!("no test {test} to skip; edit SKIPPED in {}", file!())),
        None => Ok(()),
    }
}

/// Tests that mutants meet.
struct Tests {
    package: &'static str,
    /// Which of the package, as arguments of cargo for building as well, which builds all else.
    which: Vec<String>,
    /// Arguments of the test programs.
    arguments: Vec<&'static str>,
    /// Seconds that they may take.
    timeout: &'static str,
}

impl Tests {
    /// Built for each mutant and run for seconds, so not optimized.
    fn unit() -> Tests {
        let plain = "--config=profile.dev.package.tilefold-compiler.opt-level=0";
        let which = vec![plain.into(), "--lib".into()];
        Tests { package: "tilefold-compiler", which, arguments: vec![], timeout: "60" }
    }

    fn of_meaning() -> Tests {
        let which = TESTS.iter().map(|test| format!("--test={test}")).collect();
        let skipped = SKIPPED.iter().flat_map(|test| ["--skip", test]);
        let arguments = ["--exact"].into_iter().chain(skipped).collect();
        Tests { package: "tilefold-tests", which, arguments, timeout: "300" }
    }
}

/// cargo-mutants, and the folder below target/ in which it works.
struct Tool {
    program: PathBuf,
    folder: PathBuf,
}

impl Tool {
    fn out(&self) -> PathBuf {
        self.folder.join("out/mutants.out")
    }

    /// The names in one of its lists.
    fn names(&self, list: &str) -> BTreeSet<String> {
        let text = fs::read_to_string(self.out().join(list)).unwrap_or_default();
        text.lines().map(String::from).collect()
    }

    /// A program that works on the copy.
    fn start(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.join("tree"));
        command.env("CARGO_TARGET_DIR", self.folder.join("build"));
        command.envs([("CARGO_PROFILE_DEV_DEBUG", "0"), ("TILEFOLD_CUDA", "off")]);
        command
    }

    fn command(&self) -> Command {
        let mut command = self.start(&self.program);
        command.arg("mutants").args(FILES.iter().flat_map(|file| ["--file", file]));
        command.args(["--exclude", "**/tests.rs", "--exclude", "**/tests/**"]);
        command
    }

    /// The names of all mutants.
    fn all(&self) -> Result<String, String> {
        let out = self.command().arg("--list").output();
        let out = out.map_err(|e| format!("{}: {e}", self.program.display()))?;
        if !out.status.success() {
            return Err(format!("cargo-mutants --list failed ({})", out.status));
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// Runs tests without a mutant, which have to pass, and then with some, one after the other.
    fn pass(&self, tests: &Tests, which: &[&str]) -> crate::Result {
        let mut plain = self.start("cargo");
        plain.args(["test", "--quiet", "--package", tests.package]).args(&tests.which);
        start(plain.arg("--").args(&tests.arguments))?;

        let mut command = self.command();
        command.args(["--in-place", "--baseline", "skip", "--no-shuffle"]);
        command.args(["--build-timeout", "600", "--timeout", tests.timeout]);
        command.args(["--test-package", tests.package]).args(which);
        command.args(tests.which.iter().map(|which| format!("--cargo-arg={which}")));
        command.arg("--output").arg(self.folder.join("out"));
        let status = command.args(["--", "--"]).args(&tests.arguments).status();
        let status = status.map_err(|e| format!("{}: {e}", self.program.display()))?;
        // 2: some were missed, 3: some took too long; both are what is asked for.
        match status.code() {
            Some(0 | 2 | 3) => Ok(()),
            _ => Err(format!("cargo-mutants failed ({status})")),
        }
    }
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

fn start(command: &mut Command) -> crate::Result {
    let status = command.status().map_err(|e| format!("{command:?}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed ({status})")) }
}
