//! The conformance cases through every executor: all of them pass.

use std::path::Path;

use tilefold_compiler::ir::Dtype;
use tilefold_tests::conformance::{Executor, Outcome, read, run};

fn check(dtype: Dtype, executor: Executor) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let cases = read(&folder).expect("the cases can be read");
    let outcomes = run(&cases, dtype, executor);
    let mut wrong = Vec::new();
    for (case, outcome) in cases.iter().zip(&outcomes) {
        match outcome {
            Outcome::Passed => {}
            Outcome::Failed(why) => wrong.push(format!("{}: {}", case.name, why.join("; "))),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert_eq!(cases.len(), 151);
}

#[test]
fn evaluator() {
    check(Dtype::F64, Executor::Evaluator);
}

#[test]
fn evaluator_f32() {
    check(Dtype::F32, Executor::Evaluator);
}

#[test]
fn compiled_f64() {
    check(Dtype::F64, Executor::Compiled);
}

#[test]
fn compiled_f32() {
    check(Dtype::F32, Executor::Compiled);
}

#[test]
fn emulated_f64() {
    check(Dtype::F64, Executor::Emulated);
}

#[test]
fn emulated_f32() {
    check(Dtype::F32, Executor::Emulated);
}

#[test]
fn interpreted_f64() {
    check(Dtype::F64, Executor::Interpreted);
}

#[test]
fn interpreted_f32() {
    check(Dtype::F32, Executor::Interpreted);
}
