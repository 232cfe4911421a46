//! The same launches in a program that a sanitizer watches.
//!
//! A sanitizer has to be linked into the program, so one is built: `driver.cpp`, which reads
//! arrays and launches from a file, and the kernels.

use std::fs;
use std::process::Command;

use tilefold_compiler::ir::{Formula, Storage};

use crate::native::{descriptor_of, load, texts};
use crate::problem::Problem;
use crate::table::Table;
use crate::toolchain::{self, Product, Source};

use super::launch::{Launch, launches};
use super::{Grid, sources};

/// What watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sanitizer {
    /// AddressSanitizer and UndefinedBehaviorSanitizer.
    Memory,
    /// ThreadSanitizer: missing barriers are races.
    Races,
}

impl Sanitizer {
    fn flags(self) -> Vec<&'static str> {
        match self {
            Sanitizer::Memory => {
                vec!["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
            }
            Sanitizer::Races => vec!["-g", "-fsanitize=thread"],
        }
    }
}

/// Runs problems under a sanitizer, in one program.
///
/// # Panics
/// When the sanitizer reports anything, or the emulation refuses a kernel; with their words.
pub fn sanitize(sanitizer: Sanitizer, dtype: impl Into<Storage>, problems: &[Problem], grid: Grid) {
    let dtype = dtype.into();
    let formulas: Vec<Formula> = problems.iter().map(|p| p.formula.clone()).collect();
    let texts = texts(&formulas);
    let descriptors: Vec<Source> =
        sources(&texts, dtype, &[]).into_iter().filter(|s| s.language == "c").collect();
    let library = load(&toolchain::build(Product::Library, &descriptors, &[]));
    let mut script = Vec::new();
    for (problem, text) in problems.iter().zip(&texts) {
        // SAFETY: a descriptor of a library that stays loaded.
        let kernel = unsafe { &*descriptor_of(library, &text.symbol, dtype) };
        let table = Table::new(kernel, problem);
        write(&mut script, &table, &launches(kernel, &table, grid));
    }
    let mut all = sources(&texts, dtype, &sanitizer.flags());
    all.retain(|s| s.language != "c");
    all.push(driver(&all[0]));
    let mut link: Vec<String> = sanitizer.flags().into_iter().map(String::from).collect();
    link.extend(["-rdynamic".into(), "-ldl".into()]);
    let program = toolchain::build(Product::Program, &all, &link);
    let input = program.with_extension(format!("input-{}", std::process::id()));
    fs::write(&input, script).expect("the target directory is writable");
    // ThreadSanitizer does not start where addresses are too random for its shadow.
    let mut command = Command::new("setarch");
    command.arg("-R").arg(&program).arg(&input);
    command.env("ASAN_OPTIONS", "detect_leaks=0:detect_stack_use_after_return=0");
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    fs::remove_file(&input).expect("it was just written");
    let (said, reported) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{sanitizer:?}: {}\n{said}{reported}", output.status);
    assert_eq!(said.trim(), format!("{} problems", problems.len()), "{reported}");
}

/// The driver, compiled as the kernels are.
fn driver(kernels: &Source) -> Source {
    let text = include_str!("driver.cpp").into();
    Source { name: "driver".into(), language: "cpp", text, flags: kernels.flags.clone() }
}

/// Writes one problem in the form that the driver reads.
fn write(to: &mut Vec<u8>, table: &Table, launches: &[Launch]) {
    let number = |to: &mut Vec<u8>, n: u64| to.extend(n.to_ne_bytes());
    number(to, table.values.len() as u64);
    for value in &table.values {
        let bytes = value.data.bytes();
        for n in [value.rows, value.cols, bytes.len()] {
            number(to, n as u64);
        }
        to.extend(bytes);
    }
    number(to, launches.len() as u64);
    for l in launches {
        let name = l.entry.to_bytes();
        number(to, name.len() as u64);
        to.extend(name);
        let (x, y) = l.grid;
        let sizes = [u64::from(x), u64::from(y), u64::from(l.threads), l.shared_bytes];
        let counts = [l.n_rows, l.n_cols, l.cols_per_split, i64::from(l.splits)].map(|n| n as u64);
        let memory = l.new_workspace.map_or([0, 0], |bytes| [1, bytes as u64]);
        for n in sizes.into_iter().chain(counts).chain([l.seed]).chain(memory) {
            number(to, n);
        }
    }
}
