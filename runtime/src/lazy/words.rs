//! What errors of expressions say. Goes in: the facts of a refusal. Comes out: an error that
//! names both sides, the place in the caller's code and what to do. It never decides what is an
//! error.

use std::fmt::Write as _;
use std::panic::Location;

use tilefold_compiler::ir::{self, BuildError, Formula, Stratum};
use tilefold_compiler::passes::GradError;

use super::LazyTensor;
use crate::element::{ComponentType, Element};
#[cfg(feature = "text")]
use crate::error::list;
use crate::error::{Code, Error};
use crate::kernel::Axis;
use crate::record;

type Place = &'static Location<'static>;

fn at(place: Place) -> String {
    format!("{}:{}:{}", place.file(), place.line(), place.column())
}

/// `an i-variable of 100 rows, 3 components`
fn described<T: Element>(tensor: &LazyTensor<'_, T>) -> String {
    let facts = tensor.node.facts;
    let varies = match facts.stratum {
        Stratum::Const => "a number",
        Stratum::Param => "a parameter",
        Stratum::I => "a value a row of i",
        Stratum::J => "a value a row of j",
        Stratum::Pair => "a value a pair",
    };
    let mut text = format!("{varies}, {}", facts.kind.space(facts.dim));
    for axis in [Axis::I, Axis::J] {
        if let Some(rows) = tensor.rows(axis) {
            let _ = write!(text, ", {rows} rows of {axis}");
        }
    }
    if !tensor.batch().is_empty() {
        let _ = write!(text, ", batch {:?}", tensor.batch());
    }
    text
}

pub(super) fn misfit<T: Element>(
    name: &str,
    why: &BuildError,
    args: &[&LazyTensor<'_, T>],
    place: Place,
) -> Error {
    let why = why.to_string();
    let why = why.strip_prefix(&format!("{name}: ")).unwrap_or(&why).to_owned();
    let mut error = Error::new(Code::Expression, format!("{name} at {}: {why}", at(place)));
    for (n, arg) in args.iter().enumerate() {
        error = error.help(format!("operand {} is {}", n + 1, described(arg)));
    }
    error
}

pub(super) fn rows(name: &str, axis: ir::Axis, first: usize, second: usize, place: Place) -> Error {
    let place = at(place);
    let message =
        format!("{name} at {place}: one operand has {first} rows of {axis}, another {second}");
    Error::new(Code::Rows, message).help(format!("give all arrays of {axis} the same rows"))
}

pub(super) fn batch(name: &str, first: &[usize], second: &[usize], place: Place) -> Error {
    let place = at(place);
    let message =
        format!("{name} at {place}: batch dimensions {first:?} and {second:?} do not fit");
    Error::new(Code::Batch, message)
        .help("they are aligned at the right; each pair has to be equal, or one of it 1")
}

pub(super) fn no_rows(axis: Axis, place: Place) -> Error {
    let message =
        format!("LazyTensor at {}: an array without axes has no rows of {axis}", at(place));
    Error::new(Code::Rank, message).help("pass numbers with LazyTensor::number")
}

pub(super) fn rank(shape: &[usize], place: Place) -> Error {
    let message = format!("LazyTensor at {}: the shape {shape:?} has too many axes", at(place));
    Error::new(Code::Rank, message).help("join some of the batch dimensions")
}

pub(super) fn source_type(found: ComponentType, wanted: ComponentType, place: Place) -> Error {
    let message = format!("LazyTensor at {}: the source holds {found}, not {wanted}", at(place));
    Error::new(Code::Dtype, message).help(format!("convert it, or use LazyTensor<{found}>"))
}

pub(super) fn source_changed(
    (found, found_shape): (ComponentType, &[usize]),
    known: ComponentType,
    shape: &[usize],
) -> Error {
    let message = format!(
        "expression: a source of {known} and shape {shape:?} is now of {found} and {found_shape:?}"
    );
    Error::new(Code::Rank, message).help("make a new LazyTensor from it")
}

pub(super) fn columns(columns: usize, place: Place) -> Error {
    let (place, most) = (at(place), ir::MAX_DIM);
    let message = format!(
        "LazyTensor at {place}: the array has {columns} columns, but a variable has 1 to {most}"
    );
    Error::new(Code::Columns, message).help("the last axis of an array is that of components")
}

pub(super) fn not_a_matrix<T: Element>(name: &str, tensor: &LazyTensor<'_, T>) -> Error {
    let message = format!("{name}: a matrix has one component, but this is {}", described(tensor));
    Error::new(Code::Expression, message)
        .help("fold the components, as with `sum_inner`, or pick one with `elem`")
        .help("a sum of vectors is `(k * v).sum(Axis::J)`")
}

pub(super) fn unreduced<T: Element>(tensor: &LazyTensor<'_, T>) -> Error {
    let [m, n] = [Axis::I, Axis::J].map(|axis| tensor.rows(axis).unwrap_or(1));
    let message = format!("expression: it has a value for each pair, {m} x {n} of them");
    Error::new(Code::Unreduced, message)
        .help("reduce it over an axis first, as `.sum(Axis::J)`")
        .help("`sum_inner` and its like only fold the components of each vector")
}

pub(super) fn not_finished<T: Element>(
    what: &str,
    tensor: &LazyTensor<'_, T>,
    place: Place,
) -> Error {
    let message = format!("{what} at {}: the value is {}", at(place), described(tensor));
    Error::new(Code::Unreduced, message).help("reduce it over an axis first, as `.sum(Axis::J)`")
}

pub(super) fn not_a_variable<T: Element>(
    what: &str,
    tensor: &LazyTensor<'_, T>,
    place: Place,
) -> Error {
    let message =
        format!("{what} at {}: the variable is an expression, {}", at(place), described(tensor));
    Error::new(Code::Derivative, message)
        .help("differentiate with respect to a LazyTensor that was made from an array or a number")
}

pub(super) fn not_read<T: Element>(
    what: &str,
    variable: &LazyTensor<'_, T>,
    place: Place,
) -> Error {
    let message = format!(
        "{what} at {}: the value does not contain the variable, {}",
        at(place),
        described(variable)
    );
    Error::new(Code::Derivative, message)
        .help("differentiate with respect to an array of the expression; `t` exchanges i and j")
}

pub(super) fn unlike<T: Element>(
    what: &str,
    (first, left): (&str, &LazyTensor<'_, T>),
    (second, right): (&str, &LazyTensor<'_, T>),
    place: Place,
) -> Error {
    let (place, left, right) = (at(place), described(left), described(right));
    let message = format!("{what} at {place}: {first} is {left}, but {second} is {right}");
    Error::new(Code::Derivative, message).help(format!("give {first} the shape of {second}"))
}

pub(super) fn masked(name: &str, place: Place) -> Error {
    let message = format!("{name} at {}: an operand is masked", at(place));
    Error::new(Code::Expression, message).help("reduce it, or mask after this operation")
}

pub(super) fn not_a_condition<T: Element>(tensor: &LazyTensor<'_, T>, place: Place) -> Error {
    let message = format!("masked at {}: the condition is {}", at(place), described(tensor));
    Error::new(Code::Expression, message).help("a condition is one real or integer, as `x.lt(y)`")
}

pub(super) fn no_transpose(place: Place) -> Error {
    let message = format!("t at {}: a Genred has the axes that it was declared with", at(place));
    Error::new(Code::Expression, message).help("declare another one with Vi and Vj exchanged")
}

pub(super) fn unbuilt(why: &BuildError) -> Error {
    Error::new(Code::Expression, format!("expression: {why}"))
}

pub(super) fn no_derivative(why: &GradError) -> Error {
    Error::new(Code::Derivative, format!("expression: {why}"))
}

pub(super) fn value_type(index: usize, found: ComponentType, asked: ComponentType) -> Error {
    let message = format!("expression: value {index} holds {found}, but {asked} were asked for");
    let way = match found {
        ComponentType::Index => "eval_index",
        ComponentType::Complex(_) => "eval_complex",
        ComponentType::Real(_) => "eval",
    };
    Error::new(Code::Dtype, message).help(format!("call {way}, or take the type that it holds"))
}

pub(super) fn no_value(index: usize, count: usize) -> Error {
    let message = format!("expression: value {index} was taken, or is none of the {count}");
    Error::new(Code::UnknownOutput, message).help("take each value once, counted from 0")
}

pub(super) fn tiers(list: &str) -> Error {
    let message = format!("TILEFOLD_TIERS is `{list}`, which is no list of tiers");
    Error::new(Code::NoExecutor, message).help("list some of linked, jit, interpreted, with commas")
}

pub(super) fn no_executor(formula: &Formula, storage: ir::Storage) -> Error {
    let message = "expression: no linked formula computes it, and nothing else may";
    to_link(Error::new(Code::NoExecutor, message), formula, storage)
        .help("or allow Tiers::INTERPRETED, or Tiers::JIT")
}

pub(super) fn not_linked_for_cuda(formula: &Formula, storage: ir::Storage) -> Error {
    let message = "expression: no linked formula computes it, and only these run on CUDA";
    to_link(Error::new(Code::NoExecutor, message), formula, storage)
}

/// Says how a formula comes to be linked.
fn to_link(error: Error, formula: &Formula, storage: ir::Storage) -> Error {
    let source = record::source(formula, storage);
    error
        .help(format!("save this as a formula file and build it:\n{source}"))
        .help("or let the program write it, with TILEFOLD_RECORD=formulas/recorded.fold")
        .help("pass the FORMULAS of the generated crate to `tilefold::register`")
}

pub(super) fn batched(batch: &[usize], shape: (usize, usize)) -> Error {
    let message =
        format!("the expression is a batch {batch:?} of matrices, which {shape:?} is not");
    Error::new(Code::Batch, message).help("pass the rows for one matrix after the other")
}

pub(super) fn batched_value(batch: &[usize]) -> Error {
    let message = format!("expression: the value has batch dimensions {batch:?}");
    Error::new(Code::Batch, message).help("call eval_nd, or take_nd, which give arrays of any rank")
}

pub(super) fn seed_shape(a: (usize, usize), seed: (usize, usize)) -> Error {
    Error::new(Code::Rows, format!("the solution has shape {a:?}, but its gradient {seed:?}"))
        .help("pass the gradient of the loss with respect to each number of the solution")
}

#[cfg(feature = "text")]
pub(super) fn text(why: &tilefold_compiler::diag::Diagnostics, name: &str, text: &str) -> Error {
    Error::new(Code::Text, format!("Genred: {}", why.render(name, text)))
}

#[cfg(feature = "text")]
pub(super) fn inputs<'n>(
    names: impl ExactSizeIterator<Item = &'n str>,
    found: usize,
    place: Place,
) -> Error {
    let (place, expected) = (at(place), names.len());
    let message = format!("Genred at {place}: {found} inputs were passed, but it has {expected}");
    Error::new(Code::Count, message).help(format!("pass {}, in this order", list(names)))
}

#[cfg(feature = "text")]
pub(super) fn input<T: Element>(
    declared: &ir::Input,
    given: &LazyTensor<'_, T>,
    place: Place,
) -> Error {
    let axis =
        declared.axis.map_or("a parameter".to_owned(), |axis| format!("a variable of {axis}"));
    let space = declared.kind.space(declared.dim);
    let message = format!(
        "Genred at {}: `{}` was declared as {axis} in {space}, but {} was passed",
        at(place),
        declared.name,
        described(given)
    );
    Error::new(Code::Expression, message).help("pass an array as declared, or change the alias")
}

pub(super) fn summed_gradient(name: &str, place: Place) -> Error {
    let message = format!(
        "{name} at {}: an operand is a gradient that is summed over batch dimensions",
        at(place)
    );
    Error::new(Code::Derivative, message)
        .help("evaluate it first, and make a LazyTensor of the array")
}

pub(super) fn right_sides(batch: &[usize], shape: &[usize]) -> Error {
    let message = format!("matrices of batch {batch:?}, but right sides of shape {shape:?}");
    Error::new(Code::Batch, message)
        .help("pass an array of that batch, rows and columns to solve_nd")
        .help("or of rows and columns, one system after the other, to ConjugateGradients")
}

#[cfg(feature = "cuda")]
pub(super) use device::*;

/// Of expressions on a CUDA device.
#[cfg(feature = "cuda")]
mod device {
    use super::{Code, Error, Place, at};
    use crate::cuda::DeviceArray;

    const ALL: &str = "put every array on the device: stream.clone_htod and LazyTensor::device";

    fn refused(why: String) -> Error {
        Error::new(Code::DeviceArgument, format!("expression: {why}"))
    }

    pub(in crate::lazy) fn on_a_device(array: &DeviceArray<'_>) -> Error {
        refused(format!("{array:?} is on a device, but the evaluation runs on the host"))
            .help("evaluate(..).on(&stream).run(), and to_host for results on the host")
    }

    pub(in crate::lazy) fn on_the_host(
        rows: [Option<usize>; 2],
        dim: usize,
        batch: &[usize],
    ) -> Error {
        let rows = rows[0].or(rows[1]).unwrap_or(1);
        let what = match batch {
            [] => format!("an array of {rows} x {dim} numbers"),
            batch => format!("an array of batch {batch:?} and {rows} x {dim} numbers"),
        };
        refused(format!("{what} is on the host, but the evaluation runs on a device")).help(ALL)
    }

    pub(in crate::lazy) fn device_parameter(rows: usize, place: Place) -> Error {
        let why = format!("LazyTensor at {}: a parameter has one row, not {rows}", at(place));
        Error::new(Code::ParameterRows, why).help("name its axis: Some(Axis::I) or Some(Axis::J)")
    }

    pub(in crate::lazy) fn ranges_on_a_device() -> Error {
        Error::new(Code::CpuOnly, "expression: ranges are not on a device yet".to_owned()).help(
            "evaluate arrays of the host, or reduce over all pairs with a condition: `masked`",
        )
    }

    pub(in crate::lazy) fn parts_of_a_sum(index: usize, own: &[usize], parts: &[usize]) -> Error {
        let why = format!(
            "expression: value {index} has batch dimensions {own:?}, but lies on the device in its \
             parts, of batch {parts:?}"
        );
        Error::new(Code::Batch, why).help("call to_host_nd, which adds them up on the host")
    }

    pub(in crate::lazy) fn programs_on_a_device() -> Error {
        Error::new(Code::NoExecutor, "expression: the interpreter runs on the host only".to_owned())
            .help("link the formula with CUDA code, or allow Tiers::JIT")
    }
}
