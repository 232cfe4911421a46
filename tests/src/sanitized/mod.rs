//! Emitted code in a program that a sanitizer watches, or that runs on another processor. Goes in:
//! problems, and what is to watch which code. Comes out: the results, or the sanitizer's words. It
//! never looks at the results.
//!
//! A sanitizer has to be linked into the program, so one is built: the kernels, and a driver that
//! reads arrays from a file. Every array, packed row, packed column and state is an allocation of
//! exactly the size that the descriptor says.

mod script;
mod served;
pub mod trials;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Mutex;

use libloading::Library;
use tilefold::Level;
use tilefold_compiler::emit::KernelText;
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Formula, Storage};

use crate::emulated::{self, Launches};
use crate::native::{code, descriptor, descriptor_of, distinct, include, load, quick_code, texts};
use crate::table::Table;
use crate::toolchain::{self, Processor, Product, Source};

use served::Served;
use trials::Trial;

/// What watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sanitizer {
    /// AddressSanitizer and UndefinedBehaviorSanitizer.
    Memory,
    /// ThreadSanitizer: in emulated code, missing barriers are races.
    Races,
    /// Nothing: there is none for a processor that is emulated.
    None,
}

impl Sanitizer {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Sanitizer::Memory => &["-g1", "-fsanitize=address,undefined,float-cast-overflow"],
            Sanitizer::Races => &["-g1", "-fsanitize=thread"],
            Sanitizer::None => &[],
        }
    }
}

/// Which code is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// C++ for an instruction level, compiled quickly.
    Cpu(Level),
    /// The same, optimized as what is shipped.
    Shipped(Level),
    /// CUDA, emulated; every launch is dense.
    Cuda,
    /// The same, launched by lists of tiles.
    Tiles,
}

/// Who watches NEON code where it is emulated: nobody.
pub const ARM: (Sanitizer, Code) = (Sanitizer::None, Code::Shipped(Level::Neon));

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

/// Runs trials in one program, see [`Watched::run`].
///
/// # Errors
/// As [`Watched::run`].
///
/// # Panics
/// As [`Watched::build`].
pub fn run(watch: Watch, trials: &[Trial]) -> Result<Vec<Option<Vec<Matrix>>>, String> {
    let formulas: Vec<Formula> = trials.iter().map(|t| t.problem.formula.clone()).collect();
    Watched::build(watch, &formulas).run(trials.iter().enumerate())
}

impl Watch {
    /// What the code runs on.
    fn processor(self) -> Processor {
        match self.code {
            Code::Cpu(Level::Neon) | Code::Shipped(Level::Neon) if !Level::Neon.is_supported() => {
                Processor::Arm
            }
            _ => Processor::Own,
        }
    }
}

/// A program of kernels that is watched.
pub struct Watched {
    watch: Watch,
    symbols: Vec<String>,
    /// Sizes and names are read here; it has no code.
    descriptors: &'static Library,
    program: PathBuf,
    /// The program, where it is started once.
    served: Option<Mutex<Served>>,
}

impl Watched {
    /// Compiles formulas.
    ///
    /// # Panics
    /// When the code does not compile.
    pub fn build(watch: Watch, formulas: &[Formula]) -> Watched {
        let texts = texts(formulas);
        let bare = |text: &&KernelText| descriptor(text, watch.storage, &[]);
        let bare: Vec<Source> = distinct(&texts).iter().map(bare).collect();
        let descriptors = load(&toolchain::build(Product::Library, &bare, &[]));
        let program = program(watch, sources(watch, &texts));
        let symbols = texts.into_iter().map(|text| text.symbol).collect();
        let is_served = watch.sanitizer == Sanitizer::None;
        let start = || Mutex::new(Served::start(watch.processor().start(&program)));
        let served = is_served.then(start);
        Watched { watch, symbols, descriptors, program, served }
    }

    /// Runs trials of formulas, whose numbers stand beside them; their results. `None` stands for
    /// a trial that the runtime would refuse: its reductions have too few rows.
    ///
    /// # Errors
    /// When the sanitizer reports anything, or the emulation refuses a kernel; with their words.
    pub fn run<'a>(
        &self,
        trials: impl IntoIterator<Item = (usize, &'a Trial)>,
    ) -> Result<Vec<Option<Vec<Matrix>>>, String> {
        let prepared = trials.into_iter().map(|(n, trial)| self.prepare(n, trial));
        let prepared: Vec<Option<(Table, Vec<u8>)>> = prepared.collect();
        let mut results = Vec::new();
        if let Some(served) = &self.served {
            let mut served = served.lock().unwrap_or_else(|e| e.into_inner());
            for (table, script) in prepared.iter().flatten() {
                results.extend(served.answer(script, table.output_bytes())?);
            }
        } else {
            let scripts = prepared.iter().flatten().map(|(_, script)| script.as_slice());
            results = start(self.watch, &self.program, &scripts.collect::<Vec<_>>().concat())?;
        }
        let mut results = results.as_slice();
        let read = |prepared: Option<(Table, Vec<u8>)>| {
            let (mut table, _) = prepared?;
            table.read_outputs(&mut results);
            Some(table.outputs())
        };
        Ok(prepared.into_iter().map(read).collect())
    }

    /// The arrays of a trial of formula `n`, and what the program is to do with them; none if
    /// there are too few rows.
    fn prepare(&self, n: usize, trial: &Trial) -> Option<(Table, Vec<u8>)> {
        let Watch { code, storage, .. } = self.watch;
        let symbol = &self.symbols[n];
        // SAFETY: a descriptor of a library that stays loaded.
        let kernel = unsafe { &*descriptor_of(self.descriptors, symbol, storage) };
        let table = Table::new(kernel, &trial.problem);
        if !script::fits(kernel, &table) {
            return None;
        }
        let (name, mut script) = (format!("{symbol}_{}", storage.name()), Vec::new());
        script::write(&mut script, code, (&name, kernel), &table, trial);
        Some((table, script))
    }
}

/// Kernels, watched, and their descriptors.
fn sources(watch: Watch, texts: &[KernelText]) -> Vec<Source> {
    let mut sources = match watch.code {
        Code::Cpu(level) | Code::Shipped(level) => {
            let one = |text| code(text, watch.storage, level);
            let descriptor = |text: &&KernelText| descriptor(text, watch.storage, &[level]);
            let descriptors = distinct(texts);
            let descriptors = descriptors.iter().map(descriptor);
            let code = match watch.code {
                Code::Shipped(_) => distinct(texts).into_iter().map(one).collect(),
                _ => quick_code(texts, watch.storage, level),
            };
            descriptors.chain(code).collect()
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

fn program(watch: Watch, mut sources: Vec<Source>) -> PathBuf {
    let arrays = include_str!("arrays.h");
    let (head, driver, flags) = match watch.code {
        Code::Cpu(_) | Code::Shipped(_) => {
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
    toolchain::build_for(watch.processor(), Product::Program, &sources, &link)
}

/// Runs the program on problems; the bytes of all results.
fn start(watch: Watch, program: &Path, script: &[u8]) -> Result<Vec<u8>, String> {
    let own = |what: &str| program.with_extension(format!("{what}-{}", std::process::id()));
    let (input, results) = (own("problems"), own("results"));
    fs::write(&input, script).expect("the target directory is writable");
    let mut command = watch.processor().start(program);
    command.args([&input, &results]);
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
