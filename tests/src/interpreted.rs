//! Formulas run by the interpreter of the runtime, which needs no compiler.

use tilefold::{Error, Interpreted, Options, Report};
use tilefold_compiler::ir::Storage;
use tilefold_compiler::ir::eval::Matrix;

use crate::held;
use crate::problem::Problem;

/// Runs a problem in a type of arrays.
///
/// # Errors
/// What the runtime says.
pub fn run(
    problem: &Problem,
    storage: impl Into<Storage>,
    options: &Options,
) -> Result<Vec<Matrix>, Error> {
    let storage = storage.into();
    let made = Interpreted::new(&problem.formula, storage)?;
    run_made(&made, problem, storage, options).map(|(found, _)| found)
}

/// As [`run`], with programs that were made before, for the problem's formula and type.
///
/// # Errors
/// What the runtime says.
pub fn run_made(
    made: &Interpreted,
    problem: &Problem,
    storage: impl Into<Storage>,
    options: &Options,
) -> Result<(Vec<Matrix>, Report), Error> {
    let rows = Some((problem.m, problem.n));
    held::call(problem, storage.into(), |inputs, outputs| made.run(inputs, outputs, rows, options))
}
