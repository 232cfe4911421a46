//! The wording of every error: one function an error, so that messages are read side by side.
//! Goes in: the facts. Comes out: an [`Error`] that names the formula, the argument, both sides
//! and the remedy. It never decides what is an error.

mod batch;
#[cfg(feature = "jit")]
pub(crate) mod jit;
pub(crate) mod linear;
pub(crate) mod open;
mod ranges;
#[cfg(feature = "lazy")]
pub(crate) mod record;

use std::collections::BTreeSet;

use crate::bind::shape_text;
use crate::element::{ComponentType, Dtype};
use crate::error::{Code, Error, count as counted, list, nearest};
use crate::formula::Formula;
use crate::kernel::{Axis, Kernel, Value, hex};
use crate::level::Level;
use crate::operand::{Rank, RawArray};
use crate::sys;

use self::batch::shape;
pub(crate) use self::batch::{batch_mismatch, batch_overflow, batch_take};
pub(crate) use self::ranges::*;

const REBUILD: &str = "rebuild the kernels with this version: cargo xtask build-formulas";

fn new(code: Code, kernel: &Kernel, message: impl std::fmt::Display) -> Error {
    Error::new(code, format!("{}: {message}", kernel.name()))
}

// Descriptors.

pub(crate) fn not_a_kernel(why: &str) -> Error {
    Error::new(Code::NotAKernel, format!("this is no kernel descriptor: {why}")).help(REBUILD)
}

pub(crate) fn abi_version(found: u32) -> Error {
    let expected = sys::TF_ABI_VERSION;
    let message = format!("the kernel has ABI version {found}, but this runtime has {expected}");
    Error::new(Code::AbiVersion, message).help(REBUILD)
}

pub(crate) fn descriptor(name: &str, why: impl std::fmt::Display) -> Error {
    Error::new(Code::Descriptor, format!("{name}: the descriptor is damaged: {why}")).help(REBUILD)
}

pub(crate) fn key(kernel: &Kernel, expected: &[u8; 32]) -> Error {
    let (found, expected) = (kernel.key_hex(), hex(expected));
    new(
        Code::Key,
        kernel,
        format!("the linked kernel has key {found}, but the caller was made for {expected}"),
    )
    .help(REBUILD)
}

// Names.

pub(crate) fn unknown_argument(kernel: &Kernel, name: &str) -> Error {
    let known: Vec<&str> = kernel.inputs().map(|value| value.name).collect();
    unknown(kernel, Code::UnknownArgument, "argument", name, &known)
}

pub(crate) fn unknown_output(kernel: &Kernel, name: &str) -> Error {
    let known: Vec<&str> = kernel.outputs().map(|value| value.name).collect();
    unknown(kernel, Code::UnknownOutput, "output", name, &known)
}

fn unknown(kernel: &Kernel, code: Code, noun: &str, name: &str, known: &[&str]) -> Error {
    let error = new(code, kernel, format!("there is no {noun} `{name}`"));
    match nearest(name, known.iter().copied()) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(format!("the {noun}s are {}", list(known.iter().copied()))),
    }
}

pub(crate) fn missing_argument(kernel: &Kernel, names: &[&str]) -> Error {
    let message = format!("no array was passed for {}", list(names.iter().copied()));
    let help = format!("add .arg(\"{}\", ...)", names.first().unwrap_or(&""));
    new(Code::MissingArgument, kernel, message).help(help)
}

pub(crate) fn missing_output(kernel: &Kernel, names: &[&str]) -> Error {
    let message = format!("no array was passed for output {}", list(names.iter().copied()));
    new(Code::MissingOutput, kernel, message)
        .help(format!("add .out(\"{}\", ...)", names.first().unwrap_or(&"")))
        .help("or use run(), which makes the outputs")
}

pub(crate) fn repeated(kernel: &Kernel, name: &str) -> Error {
    new(Code::Repeated, kernel, format!("`{name}` was passed twice")).help("pass it once")
}

pub(crate) fn taken(kernel: &Kernel, name: &str) -> Error {
    new(Code::MissingOutput, kernel, format!("output `{name}` was already taken"))
        .help("take each output once")
}

pub(crate) fn count(kernel: &Kernel, noun: &str, expected: usize, found: usize) -> Error {
    let names: Vec<&str> = match noun {
        "outputs" => kernel.outputs().map(|value| value.name).collect(),
        _ => kernel.inputs().map(|value| value.name).collect(),
    };
    new(Code::Count, kernel, format!("{found} {noun} were passed, but it has {expected}"))
        .help(format!("pass {}, in this order", list(names)))
}

// Instances.

pub(crate) fn no_dim(
    formula: &Formula,
    generic: &str,
    known: &BTreeSet<usize>,
    (argument, value): (&str, usize),
) -> Error {
    let (name, file, set) = (formula.name, formula.file, set(known));
    let columns = counted(value, "column");
    let message =
        format!("{name} was compiled for {generic} in {set}, but `{argument}` has {columns}");
    Error::new(Code::Instance, message)
        .help(format!("add {value} to {generic} in {file} and run cargo xtask build-formulas"))
}

pub(crate) fn no_combination(formula: &Formula, dims: &[(&str, usize)]) -> Error {
    let generics = formula.generics.iter().zip(dims);
    let asked: Vec<String> =
        generics.map(|(name, (_, value))| format!("{name} = {value}")).collect();
    let message = format!("{} was not compiled for {}", formula.name, asked.join(", "));
    Error::new(Code::Instance, message)
        .help(format!("add it to {} and run cargo xtask build-formulas", formula.file))
}

pub(crate) fn no_dtype(formula: &Formula, known: &BTreeSet<Dtype>, dtype: Dtype) -> Error {
    let known: Vec<&str> = known.iter().map(|dtype| dtype.name()).collect();
    let (name, file, known) = (formula.name, formula.file, known.join(", "));
    let message = format!("{name} was compiled for dtype {known}, but the arrays hold {dtype}");
    Error::new(Code::Instance, message)
        .help(format!("add {dtype} to its dtypes in {file} and run cargo xtask build-formulas"))
}

/// `{1, 2, 3}`, shortened if it is long.
fn set(values: &BTreeSet<usize>) -> String {
    let texts: Vec<String> = values.iter().map(|value| value.to_string()).collect();
    match texts.as_slice() {
        [first, second, .., last] if texts.len() > 12 => {
            format!("{{{first}, {second}, ..., {last}}} ({} values)", texts.len())
        }
        _ => format!("{{{}}}", texts.join(", ")),
    }
}

// Arrays.

pub(crate) fn dtype(kernel: &Kernel, value: &Value, found: ComponentType) -> Error {
    let Value { name, component, .. } = value;
    let error = new(
        Code::Dtype,
        kernel,
        format!("`{name}` holds {found}, but the formula was compiled for {component} there"),
    );
    match component {
        ComponentType::Index => error.help("pass an array of i64, for labels and row numbers"),
        ComponentType::Complex(dtype) => error
            .help(format!("pass an array of {component}: n columns of numbers, not 2n of {dtype}")),
        ComponentType::Real(dtype) => {
            let how = match (dtype, found) {
                (Dtype::F16 | Dtype::BF16, _) => format!("{component}::from_f32"),
                (_, ComponentType::Real(Dtype::F16 | Dtype::BF16)) => {
                    format!("|v| v.to_{component}()")
                }
                _ => format!("|v| v as {component}"),
            };
            error
                .help(format!("convert the array: a.mapv({how})"))
                .help(format!("or compile the formula for {found}"))
        }
    }
}

pub(crate) fn columns(kernel: &Kernel, value: &Value, found: usize) -> Error {
    let (name, dim, found) = (value.name, value.dim, counted(found, "column"));
    let message = format!("`{name}` has {found}, but the formula was compiled for {dim}");
    new(Code::Columns, kernel, message)
        .help(format!("pass an array of {}", counted(dim, "column")))
        .help("or compile the formula for that dimension")
}

pub(crate) fn rank(kernel: &Kernel, value: &Value, axis: Axis, found: Rank) -> Error {
    let found = if found == Rank::Scalar { "a scalar" } else { "1-d" };
    let (name, cols) = (value.name, counted(value.dim, "column"));
    let rows = letter(axis);
    let message =
        format!("`{name}` is {found}, but it is an {axis}-variable of {cols}: 2-d, {rows} rows");
    let help = format!("pass a 2-d array of shape ({rows}, {})", value.dim);
    new(Code::Rank, kernel, message).help(help)
}

pub(crate) fn parameter_rows(kernel: &Kernel, value: &Value, found: usize) -> Error {
    let (name, dim, found) = (value.name, value.dim, counted(found, "row"));
    new(Code::ParameterRows, kernel, format!("`{name}` is a parameter of 1 row, but has {found}"))
        .help(format!("pass a 1-d array of length {dim}, or shape (1, {dim})"))
}

pub(crate) fn address(kernel: &Kernel, value: &Value, address: usize) -> Error {
    let (name, component) = (value.name, value.component);
    let message = format!("`{name}` lies at {address:#x}, which no {component} can lie at");
    new(Code::Layout, kernel, message)
        .help(format!("copy it to memory aligned to {} bytes", component.scalar_size()))
}

pub(crate) fn complex_columns(kernel: &Kernel, value: &Value, stride: i64) -> Error {
    let (name, component) = (value.name, value.component);
    let message =
        format!("`{name}` is {component}, and the stride of its columns is {stride}, not 1");
    new(Code::Layout, kernel, message)
        .help("pass an array whose rows are contiguous: a.as_standard_layout()")
}

pub(crate) fn strides(kernel: &Kernel, value: &Value, row: i64, col: i64) -> Error {
    let name = value.name;
    new(Code::Layout, kernel, format!("`{name}`: strides ({row}, {col}) reach outside of memory"))
        .help("check the strides; they count elements, not bytes")
}

// Rows.

fn letter(axis: Axis) -> &'static str {
    match axis {
        Axis::I => "M",
        Axis::J => "N",
    }
}

pub(crate) fn rows(
    kernel: &Kernel,
    axis: Axis,
    (first_rows, first): (usize, &str),
    (rows, name): (usize, &str),
) -> Error {
    let (a, b) = (counted(first_rows, "row"), counted(rows, "row"));
    let message = format!("`{first}` has {a}, but `{name}` has {b}; both are {axis}-variables");
    new(Code::Rows, kernel, message)
        .help(format!("pass the same number of rows for every {axis}-variable"))
}

pub(crate) fn rows_given(
    kernel: &Kernel,
    axis: Axis,
    (rows, name): (usize, &str),
    given: usize,
) -> Error {
    let letter = letter(axis);
    let rows = counted(rows, "row");
    new(Code::Rows, kernel, format!("`{name}` has {rows}, but the call says {letter} = {given}"))
        .help(format!("leave .rows(...) out, or pass an array of {}", counted(given, "row")))
}

pub(crate) fn rows_unknown(kernel: &Kernel, axis: Axis) -> Error {
    let letter = letter(axis);
    new(
        Code::RowsUnknown,
        kernel,
        format!("no argument is an {axis}-variable, so {letter} is open"),
    )
    .help(format!("say it: .rows(m, n), with {letter} = the number of rows of {axis}"))
}

pub(crate) fn too_few_columns(kernel: &Kernel, axis: Axis, found: usize, least: usize) -> Error {
    let letter = letter(axis);
    let message = if found == 0 {
        format!("the reduction over {axis} is empty ({letter} = 0), and has no neutral result")
    } else {
        format!("the reduction over {axis} picks {least} of {letter} = {found}")
    };
    new(Code::TooFewColumns, kernel, message)
        .help(format!("pass at least {} for every {axis}-variable", counted(least, "row")))
}

pub(crate) fn positions(kernel: &Kernel, axis: Axis, found: usize, exact: u64) -> Error {
    let (dtype, letter) = (kernel.dtype().computes(), letter(axis));
    let message = format!(
        "it reads pos({axis}) as {dtype}, which is exact for {exact} rows, but {letter} = {found}"
    );
    let error = new(Code::Positions, kernel, message);
    let blocks = format!("run it on blocks of at most {exact} rows");
    match dtype {
        Dtype::F16 | Dtype::BF16 | Dtype::F32 => {
            error.help("compile the formula for f64").help(format!("or {blocks}"))
        }
        Dtype::F64 => error.help(blocks),
    }
}

// Sizes.

pub(crate) fn overflow_rows(kernel: &Kernel, axis: Axis, found: usize) -> Error {
    let letter = letter(axis);
    new(Code::Overflow, kernel, format!("{letter} = {found} does not fit in 63 bits"))
        .help("check the number; it may have come from a negative one")
}

pub(crate) fn too_many_rows(kernel: &Kernel, axis: Axis, found: usize, most: u64) -> Error {
    let letter = letter(axis);
    new(Code::Overflow, kernel, format!("{letter} = {found}, but row numbers go up to {most}"))
        .help("run it on blocks of rows")
}

pub(crate) fn overflow_pairs(kernel: &Kernel, rows: usize, cols: usize) -> Error {
    new(Code::Overflow, kernel, format!("{rows} x {cols} pairs do not fit in 63 bits"))
        .help("run it on blocks of rows")
}

pub(crate) fn overflow_value(kernel: &Kernel, value: &Value, rows: usize) -> Error {
    let shape = shape_text(rows, value.dim, value.component);
    new(Code::Overflow, kernel, format!("`{}` of {shape} does not fit in memory", value.name))
        .help("run it on blocks of rows")
}

pub(crate) fn out_of_memory(name: &str, bytes: usize, what: &str) -> Error {
    Error::new(Code::OutOfMemory, format!("{name}: no memory for {bytes} bytes of {what}"))
        .help("run it on blocks of rows")
}

// Outputs.

pub(crate) fn output_shape(
    kernel: &Kernel,
    value: &Value,
    found: &RawArray,
    batch: &[usize],
    rows: usize,
) -> Error {
    let found = shape(found.batch.iter().map(|dim| dim.len), found.rows, found.cols);
    let result = shape(batch.iter().copied(), rows, value.dim);
    let message = format!("output `{}` has shape {found}, but the result has {result}", value.name);
    new(Code::OutputShape, kernel, message).help(format!("pass an array of shape {result}"))
}

pub(crate) fn output_layout(
    kernel: &Kernel,
    value: &Value,
    found: &RawArray,
    array: &sys::tf_array,
) -> Error {
    let (name, dim) = (value.name, value.dim);
    let row = array.row_stride / value.component.scalars() as i64;
    let batch = if found.batch.is_empty() { "" } else { ", or gaps between its items" };
    let col = array.col_stride;
    let message =
        format!("output `{name}` has strides ({row}, {col}){batch}, but needs ({dim}, 1)");
    new(Code::OutputLayout, kernel, message)
        .help("pass a whole array in standard layout, and assign it to the view afterwards")
}

pub(crate) fn overlap(kernel: &Kernel, output: &str, other: &str) -> Error {
    new(Code::Overlap, kernel, format!("output `{output}` shares memory with `{other}`"))
        .help(format!("pass another array for `{output}`"))
}

pub(crate) fn out_without_into(kernel: &Kernel, name: &str) -> Error {
    let message = format!("an array was passed for output `{name}`, but run() makes its own");
    new(Code::Repeated, kernel, message).help("use run_into(), or leave .out(...) out")
}

pub(crate) fn output_type(kernel: &Kernel, value: &Value, wanted: ComponentType) -> Error {
    let Value { name, component, .. } = value;
    new(Code::Dtype, kernel, format!("output `{name}` holds {component}, not {wanted}"))
        .help(format!("take it as {component}: take::<{component}>(\"{name}\")"))
}

// Running.

pub(crate) fn no_level(kernel: &Kernel, asked: Option<Level>) -> Error {
    let names = |keep: &dyn Fn(&Level) -> bool| -> String {
        let names: Vec<&str> =
            Level::ALL.iter().filter(|l| keep(l)).map(|level| level.name()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let has = names(&|level| kernel.has_level(*level));
    let runs = names(&|level| level.is_supported());
    let message = match asked {
        Some(asked) => format!("{asked} was asked for, but the kernel has code for {has}"),
        None => format!("the kernel has code for {has}"),
    };
    new(Code::Level, kernel, format!("{message}, and this CPU runs {runs}"))
        .help("compile the formula for a level that this CPU runs")
}

pub(crate) fn cancelled(name: &str) -> Error {
    Error::new(Code::Cancelled, format!("{name}: the run was cancelled"))
        .help("do not read the outputs; start the run again for a result")
}

pub(crate) fn threads(wanted: usize, why: impl std::fmt::Display) -> Error {
    Error::new(Code::Threads, format!("cannot start {}: {why}", counted(wanted, "thread")))
        .help("ask for fewer threads, or for 1, which starts none")
}

pub(crate) fn no_device(name: &str, why: impl std::fmt::Display) -> Error {
    Error::new(Code::NoDevice, format!("{name}: cannot run on CUDA: {why}"))
        .help("use Policy::Auto or Policy::Cpu to run on the CPU")
}

#[cfg(feature = "cuda")]
pub(crate) fn no_image(kernel: &Kernel) -> Error {
    new(Code::NoImage, kernel, "it was compiled without CUDA code")
        .help("install nvcc, and run cargo xtask build-formulas")
        .help("or use Policy::Auto or Policy::Cpu to run on the CPU")
}

#[cfg(feature = "lazy")]
pub(crate) fn too_long(name: &str) -> Error {
    Error::new(Code::TooLong, format!("{name}: the formula is too long to be interpreted"))
        .help("use smaller dimensions, split the formula, or compile it")
}

#[cfg(feature = "cuda")]
pub(crate) fn unusable_image(kernel: &Kernel, device: &str, why: impl std::fmt::Debug) -> Error {
    new(Code::NoImage, kernel, format!("its CUDA code does not load on {device}: {why:?}"))
        .help("compile the formula for that device: cargo xtask build-formulas")
        .help("or use Policy::Auto or Policy::Cpu to run on the CPU")
}

#[cfg(feature = "cuda")]
pub(crate) fn driver(name: &str, doing: &str, why: impl std::fmt::Debug) -> Error {
    Error::new(Code::Device, format!("{name}: the CUDA driver failed at {doing}: {why:?}"))
        .help("look for an earlier failure on this device; the process may need a restart")
}

#[cfg(feature = "cuda")]
pub(crate) fn device_argument(name: &str, why: impl std::fmt::Display, help: &str) -> Error {
    Error::new(Code::DeviceArgument, format!("{name}: {why}")).help(help)
}
