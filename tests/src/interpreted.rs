//! Formulas run by the interpreter of the runtime, which needs no compiler.

use tilefold::{Error, Interpreted, Options, bf16, f16};
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Formula, Storage};

use crate::held::{Held, Scalar};
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
    run_made(&made, problem, storage, options)
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
) -> Result<Vec<Matrix>, Error> {
    match storage.into() {
        Storage::F16 => run_in::<f16>(made, problem, options),
        Storage::BF16 => run_in::<bf16>(made, problem, options),
        Storage::F32 => run_in::<f32>(made, problem, options),
        Storage::F64 => run_in::<f64>(made, problem, options),
    }
}

fn run_in<T: Scalar>(
    made: &Interpreted,
    problem: &Problem,
    options: &Options,
) -> Result<Vec<Matrix>, Error> {
    let formula: &Formula = &problem.formula;
    let inputs = formula.inputs.iter().zip(&problem.inputs);
    let inputs: Vec<Held<T>> = inputs.map(|(input, m)| Held::new(input.kind, m)).collect();
    let operands: Vec<_> = inputs.iter().map(Held::operand).collect();
    let outputs = formula.outputs.iter().map(|output| {
        let rows = [problem.m, problem.n, 1][output.axis.map_or(2, |axis| axis as usize)];
        let cols = formula.dim(output.expr);
        // What is left of it would be seen.
        let empty = Matrix { rows, cols, data: vec![-77.0; rows * cols] };
        Held::new(formula.kind(output.expr), &empty)
    });
    let mut outputs: Vec<Held<T>> = outputs.collect();
    let results = outputs.iter_mut().map(Held::output);
    made.run(&operands, results, Some((problem.m, problem.n)), options)?;
    Ok(outputs.iter().map(Held::matrix).collect())
}
