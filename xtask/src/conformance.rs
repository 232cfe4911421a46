//! `cargo xtask conformance`: formulas with expected values and gradients, from anywhere.

use std::path::PathBuf;

use clap::ValueEnum;
use tilefold_compiler::ir::Dtype;
use tilefold_tests::conformance::{self, Executor, Outcome};
use tilefold_tests::device;

/// Runs conformance cases and says which pass
///
/// A case is a JSON file, described in tests/conformance/README.md: a formula with inputs, the
/// expected value and, for most, the expected gradient. Without options each case is run in f64
/// and in f32, by the evaluation of the compiler's own representation and by compiled C++ code.
/// Failures show both numbers.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folders of cases
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Only this scalar type
    #[arg(long, value_enum)]
    dtype: Option<DtypeName>,
    /// Only this way to compute [default: evaluator and compiled]
    #[arg(long, value_enum)]
    executor: Option<ExecutorName>,
}

#[derive(Clone, Copy, ValueEnum)]
enum DtypeName {
    F32,
    F64,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum ExecutorName {
    /// The evaluation of the representation, in float64; in f32 with rounded arrays
    Evaluator,
    /// C++ code for this processor
    Compiled,
    /// CUDA code, emulated on this processor
    Emulated,
    /// CUDA code, on the first device of this machine
    Cuda,
    /// Expressions of `Genred` and `LazyTensor`, interpreted
    Interpreted,
    /// Expressions of `Genred` and `LazyTensor`, compiled one by one as they are met
    Jit,
    /// Expressions of `Genred` and `LazyTensor`, recorded, compiled from the record and linked
    Linked,
}

impl ExecutorName {
    fn executor(self) -> (Executor, &'static str) {
        match self {
            ExecutorName::Evaluator => (Executor::Evaluator, "evaluator"),
            ExecutorName::Compiled => (Executor::Compiled, "compiled"),
            ExecutorName::Emulated => (Executor::Emulated, "emulated CUDA"),
            ExecutorName::Cuda => (Executor::Device, "CUDA"),
            ExecutorName::Interpreted => (Executor::Interpreted, "interpreted expressions"),
            ExecutorName::Linked => (Executor::Linked, "linked expressions"),
            ExecutorName::Jit => (Executor::Jit, "expressions compiled as they are met"),
        }
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> crate::Result {
    if arguments.executor == Some(ExecutorName::Cuda) && !device::is_here() {
        return Err("there is no CUDA device; `--executor emulated` runs CUDA code here".into());
    }
    let mut cases = Vec::new();
    for folder in &arguments.folders {
        cases.extend(conformance::read(folder)?);
    }
    let (mut passed, mut failed) = (0, 0);
    for (executor, dtype, title) in runs(arguments) {
        println!("{title}: {} cases", cases.len());
        let outcomes = conformance::run(&cases, dtype, executor);
        let (p, f) = report(&cases, &outcomes);
        passed += p;
        failed += f;
    }
    println!("{passed} passed, {failed} failed");
    match failed {
        0 => Ok(()),
        _ => Err("some cases failed; each is named above with both numbers".into()),
    }
}

fn runs(arguments: &Arguments) -> Vec<(Executor, Dtype, String)> {
    let dtypes: &[Dtype] = match arguments.dtype {
        Some(DtypeName::F32) => &[Dtype::F32],
        Some(DtypeName::F64) => &[Dtype::F64],
        None => &[Dtype::F64, Dtype::F32],
    };
    let executors = match arguments.executor {
        Some(only) => vec![only],
        None => vec![ExecutorName::Evaluator, ExecutorName::Compiled],
    };
    let mut runs = Vec::new();
    for name in executors {
        let (executor, title) = name.executor();
        for &dtype in dtypes {
            runs.push((executor, dtype, format!("{title} {}", dtype.name())));
        }
    }
    runs
}

/// Prints what did not pass; returns how many passed and failed.
fn report(cases: &[conformance::Case], outcomes: &[Outcome]) -> (usize, usize) {
    let (mut passed, mut failed) = (0, 0);
    for (case, outcome) in cases.iter().zip(outcomes) {
        match outcome {
            Outcome::Passed => passed += 1,
            Outcome::Failed(why) => {
                failed += 1;
                println!("  failed {}: {}", case.name, why.join("; "));
            }
        }
    }
    (passed, failed)
}
