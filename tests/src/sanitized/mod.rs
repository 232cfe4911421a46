//! Emitted code in a program that a sanitizer watches. Goes in: problems, and what is to watch
//! which code. Comes out: the results, or the sanitizer's words. It never looks at the results.
//!
//! A sanitizer has to be linked into the program, so one is built: the kernels, and a driver that
//! reads arrays from a file. Every array, packed row, packed column and state is an allocation of
//! exactly the size that the descriptor says.

mod script;
pub mod trials;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tilefold::Level;
use tilefold_compiler::emit::KernelText;
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Formula, Storage};

use crate::emulated::{self, Launches};
use crate::native::{descriptor, descriptor_of, distinct, include, load, quick_code, texts};
use crate::table::Table;
use crate::toolchain::{self, Product, Source};

use trials::Trial;

/// What watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sanitizer {
    /// AddressSanitizer and UndefinedBehaviorSanitizer.
    Memory,
    /// ThreadSanitizer: in emulated code, missing barriers are races.
    Races,
}

impl Sanitizer {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Sanitizer::Memory => &["-g1", "-fsanitize=address,undefined,float-cast-overflow"],
            Sanitizer::Races => &["-g1", "-fsanitize=thread"],
        }
    }
}

/// Which code is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// C++ for an instruction level.
    Cpu(Level),
    /// CUDA, emulated; every launch is dense.
    Cuda,
    /// The same, launched by lists of tiles.
    Tiles,
}

/// Who watches what.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// The sanitizer.
    pub sanitizer: Sanitizer,
    /// The code.
    pub code: Code,
    /// What arrays hold.
    pub storage: Storage,
}

/// Runs trials in one program; their results. `None` stands for a trial that the runtime would
/// refuse: its reductions have too few rows.
///
/// # Errors
/// When the sanitizer reports anything, or the emulation refuses a kernel; with their words.
///
/// # Panics
/// When the code does not compile.
pub fn run(watch: Watch, trials: &[Trial]) -> Result<Vec<Option<Vec<Matrix>>>, String> {
    let formulas: Vec<Formula> = trials.iter().map(|t| t.problem.formula.clone()).collect();
    let texts = texts(&formulas);
    // Sizes and names are read here; this one has no code.
    let bare = |text: &&KernelText| descriptor(text, watch.storage, &[]);
    let bare: Vec<Source> = distinct(&texts).iter().map(bare).collect();
    let library = load(&toolchain::build(Product::Library, &bare, &[]));
    let (mut script, mut tables) = (Vec::new(), Vec::new());
    for (trial, text) in trials.iter().zip(&texts) {
        // SAFETY: a descriptor of a library that stays loaded.
        let kernel = unsafe { &*descriptor_of(library, &text.symbol, watch.storage) };
        let table = Table::new(kernel, &trial.problem);
        let fits = script::fits(kernel, &table);
        if fits {
            let name = format!("{}_{}", text.symbol, watch.storage.name());
            script::write(&mut script, watch.code, (&name, kernel), &table, trial);
        }
        tables.push(fits.then_some(table));
    }
    let results = start(watch, &program(watch, sources(watch, &texts)), &script)?;
    let mut results = results.as_slice();
    let read = |table: Option<Table>| {
        let mut table = table?;
        table.read_outputs(&mut results);
        Some(table.outputs())
    };
    Ok(tables.into_iter().map(read).collect())
}

/// Kernels, watched, and their descriptors.
fn sources(watch: Watch, texts: &[KernelText]) -> Vec<Source> {
    let mut sources = match watch.code {
        Code::Cpu(level) => {
            let descriptor = |text: &&KernelText| descriptor(text, watch.storage, &[level]);
            let descriptors = distinct(texts);
            let descriptors = descriptors.iter().map(descriptor);
            descriptors.chain(quick_code(texts, watch.storage, level)).collect()
        }
        Code::Cuda => emulated::sources(texts, watch.storage, Launches::Dense, &[]),
        Code::Tiles => emulated::sources(texts, watch.storage, Launches::All, &[]),
    };
    let flags = || watch.sanitizer.flags().iter().map(|&flag| flag.into());
    for source in sources.iter_mut().filter(|source| source.language == "cpp") {
        source.flags.extend(flags());
        // Its checks make the compiler see paths that there are not.
        source.flags.push("-Wno-maybe-uninitialized".into());
    }
    sources
}

fn program(watch: Watch, mut sources: Vec<Source>) -> std::path::PathBuf {
    let arrays = include_str!("arrays.h");
    let (head, driver, flags) = match watch.code {
        Code::Cpu(_) => {
            let flags = ["-std=c++17".into(), "-O1".into(), include(&toolchain::headers())];
            ("#include \"tf_abi.h\"\n", include_str!("cpu.cpp"), flags.to_vec())
        }
        Code::Cuda | Code::Tiles => {
            let kernel = sources.iter().find(|s| s.language == "cpp").expect("a kernel");
            ("", include_str!("cuda.cpp"), kernel.flags.clone())
        }
    };
    let mut driver = Source {
        name: "driver".into(),
        language: "cpp",
        text: format!("{head}{arrays}{driver}"),
        flags,
    };
    let flags = || watch.sanitizer.flags().iter().map(|&flag| String::from(flag));
    driver.flags.extend(flags());
    sources.push(driver);
    let link: Vec<String> = flags().chain(["-rdynamic".into(), "-ldl".into()]).collect();
    toolchain::build(Product::Program, &sources, &link)
}

/// Runs the program on problems; the bytes of all results.
fn start(watch: Watch, program: &Path, script: &[u8]) -> Result<Vec<u8>, String> {
    let own = |what: &str| program.with_extension(format!("{what}-{}", std::process::id()));
    let (input, results) = (own("problems"), own("results"));
    fs::write(&input, script).expect("the target directory is writable");
    // ThreadSanitizer does not start where addresses are too random for its shadow.
    let mut command = Command::new("setarch");
    command.arg("-R").arg(program).args([&input, &results]);
    command.env(
        "ASAN_OPTIONS",
        "detect_leaks=0:detect_stack_use_after_return=0:redzone=256:max_redzone=2048",
    );
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let bytes = fs::read(&results).unwrap_or_default();
    let _ = (fs::remove_file(&input), fs::remove_file(&results));
    // Undefined behaviour does not end a program, so that all of it is reported at once.
    let is_quiet = output.status.success() && output.stderr.is_empty();
    if is_quiet { Ok(bytes) } else { Err(report(watch, &output)) }
}

/// What was said, and of which kernel.
fn report(watch: Watch, output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (names, said) = (text(&output.stdout), text(&output.stderr));
    let last: Vec<&str> = names.lines().rev().take(2).collect();
    format!("{watch:?}: {}, at {}\n{said}", output.status, last.join(" after "))
}
