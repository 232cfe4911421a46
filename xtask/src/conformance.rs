//! `cargo xtask conformance`: formulas with expected values and gradients, from anywhere.

use std::path::PathBuf;

use clap::ValueEnum;
use tilefold_compiler::ir::Dtype;
use tilefold_tests::conformance::{self, Executor, Outcome};

/// Runs conformance cases and says which pass
///
/// A case is a JSON file, described in tests/conformance/README.md. Each is run through the float64
/// evaluation of the compiler's own representation and through compiled C++ code. Failures show
/// both numbers. Cases with operations that are not supported yet are listed by operation.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folders of cases
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Only this scalar type
    #[arg(long, value_enum)]
    dtype: Option<DtypeName>,
    /// Only this way to compute
    #[arg(long, value_enum, default_value = "all")]
    executor: ExecutorName,
}

#[derive(Clone, Copy, ValueEnum)]
enum DtypeName {
    F32,
    F64,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum ExecutorName {
    /// The evaluation of the representation, in float64
    Evaluator,
    /// C++ code for this processor
    Compiled,
    /// CUDA code, emulated on this processor
    Emulated,
    /// Evaluator and compiled
    All,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> crate::Result {
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
    let wanted = |name| arguments.executor == name || arguments.executor == ExecutorName::All;
    let mut runs = Vec::new();
    if wanted(ExecutorName::Evaluator) {
        runs.push((Executor::Evaluator, Dtype::F64, "evaluator f64".to_string()));
    }
    for &dtype in dtypes {
        if wanted(ExecutorName::Compiled) {
            runs.push((Executor::Compiled, dtype, format!("compiled {}", dtype.name())));
        }
        if arguments.executor == ExecutorName::Emulated {
            runs.push((Executor::Emulated, dtype, format!("emulated CUDA {}", dtype.name())));
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
            Outcome::NotYet(why) => println!("  not yet {}: {why}", case.name),
        }
    }
    (passed, failed)
}
