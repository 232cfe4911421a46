//! Messages of linear operators and systems. See [`super`].

use crate::error::{Code, Error, count as counted};
use crate::linear::{Status, System};

pub(crate) fn no_transpose() -> Error {
    Error::new(Code::Operator, "this linear operator has no transpose")
        .help("implement apply_transpose, or use FnOperator::transpose_with")
}

pub(crate) fn operand_rows(cols: usize, rows: usize) -> Error {
    let message = format!(
        "the operator has {}, but the right side has {}",
        counted(cols, "column"),
        counted(rows, "row")
    );
    Error::new(Code::Rows, message).help(format!("pass an array of {}", counted(cols, "row")))
}

pub(crate) fn sum_shapes(left: (usize, usize), right: (usize, usize)) -> Error {
    let message =
        format!("a {} x {} operator plus a {} x {} one", left.0, left.1, right.0, right.1);
    Error::new(Code::Operator, message).help("add operators of one shape")
}

pub(crate) fn not_square(rows: usize, cols: usize) -> Error {
    let message = format!("a system needs a square operator, but this one is {rows} x {cols}");
    Error::new(Code::Operator, message).help("use the same points for its rows and its columns")
}

pub(crate) fn preconditioner_shape(n: usize, rows: usize, cols: usize) -> Error {
    let message = format!("the preconditioner is {rows} x {cols}, but the system has {n} unknowns");
    Error::new(Code::Operator, message).help(format!("pass one of shape {n} x {n}"))
}

pub(crate) fn blocks(n: usize, blocks: usize) -> Error {
    let message = format!("{n} rows do not make {} of equal size", counted(blocks, "block"));
    Error::new(Code::Operator, message).help("let blocks() divide rows()")
}

pub(crate) fn setting(name: &str, found: f64, wanted: &str) -> Error {
    Error::new(Code::Setting, format!("{name} is {found}, but must be {wanted}"))
        .help(format!("pass another number to .{name}(...)"))
}

pub(crate) fn no_memory(rows: usize, cols: usize) -> Error {
    Error::new(Code::OutOfMemory, format!("no memory for an array of shape ({rows}, {cols})"))
        .help("solve fewer right sides at a time")
}

/// The first system that is not solved, and how many others.
pub(crate) fn unsolved(systems: &[System], dtype: &str) -> Option<Error> {
    let mut failed = systems.iter().filter(|system| system.status != Status::Converged);
    let first = failed.next()?;
    let others = match failed.count() {
        0 => String::new(),
        n => format!("; {n} more of {} are not solved either", counted(systems.len(), "system")),
    };
    let place = match first.block {
        0 => format!("column {}", first.column),
        block => format!("column {} of block {block}", first.column),
    };
    let message = format!(
        "the system of {place} is not solved: {} after {}; the residual is \
         {:.2e}, not the {:.2e} asked for{others}",
        first.status,
        counted(first.iterations, "iteration"),
        first.residual,
        first.target,
    );
    let error = Error::new(Code::Unsolved, message);
    let error = match first.status {
        Status::Converged => error,
        Status::IterationLimit => error
            .help("allow more with .iterations(...), or pass a preconditioner")
            .help("or increase alpha or the tolerance"),
        Status::Stagnated => error.help(format!(
            "increase alpha or the tolerance, or use more digits than those of {dtype}"
        )),
        Status::NotPositive => {
            error.help("use a kernel that is symmetric and positive definite, or increase alpha")
        }
        Status::PreconditionerNotPositive => {
            error.help("pass a preconditioner that is symmetric and positive definite")
        }
        Status::NotFinite => {
            error.help("look for NaN, infinite or very large numbers in the points and in b")
        }
    };
    Some(error.help("or ask for the best iterate with .best_iterate()"))
}
