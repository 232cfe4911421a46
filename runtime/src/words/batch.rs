//! The wording of errors about batch dimensions.

use crate::error::{Code, Error};
use crate::kernel::Kernel;
use crate::operand::RawArray;

/// `(2, 10, 3)`: batch dimensions, rows and columns.
pub(super) fn shape(batch: impl Iterator<Item = usize>, rows: usize, cols: usize) -> String {
    let dims: Vec<String> = batch.chain([rows, cols]).map(|len| len.to_string()).collect();
    format!("({})", dims.join(", "))
}

fn new(code: Code, kernel: &Kernel, message: impl std::fmt::Display) -> Error {
    Error::new(code, format!("{}: {message}", kernel.name()))
}

/// Two inputs, by number.
pub(crate) fn batch_mismatch(kernel: &Kernel, sides: [(usize, &RawArray); 2]) -> Error {
    let [a, b] = sides.map(|(n, raw)| {
        let name = kernel.inputs().nth(n).map_or("?", |value| value.name);
        let dims: Vec<usize> = raw.batch.iter().map(|dim| dim.len).collect();
        (name, dims)
    });
    let message = format!(
        "`{}` has batch dimensions {:?}, but `{}` has {:?}, which do not broadcast",
        a.0, a.1, b.0, b.1
    );
    new(Code::Batch, kernel, message)
        .help("dimensions are matched from the right, and have to be equal or 1")
}

pub(crate) fn batch_overflow(kernel: &Kernel, shape: &[usize]) -> Error {
    new(Code::Overflow, kernel, format!("results of batch {shape:?} do not fit in memory"))
        .help("run it on parts of the batch")
}

pub(crate) fn batch_take(kernel: &Kernel, name: &str, shape: &[usize]) -> Error {
    new(Code::Batch, kernel, format!("output `{name}` has batch dimensions {shape:?}"))
        .help(format!("take it with all its dimensions: take_nd(\"{name}\")"))
}
