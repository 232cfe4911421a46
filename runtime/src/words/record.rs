//! The wording of errors of recording. It never decides what is an error.

use std::fmt::Display;
use std::path::Path;

use tilefold_compiler::ir::Axis;

use crate::error::{Code, Error};

const ANOTHER: &str = "set TILEFOLD_RECORD to another file, as in formulas/recorded.fold";

fn new(path: &Path, why: &dyn Display) -> Error {
    let path = path.display();
    Error::new(Code::Record, format!("formulas cannot be recorded in {path}: {why}"))
}

pub(crate) fn no_formula_file(path: &Path, why: &str) -> Error {
    new(path, &why).help(ANOTHER)
}

pub(crate) fn unusable(path: &Path, why: &dyn Display) -> Error {
    new(path, why).help(ANOTHER)
}

pub(crate) fn edited(path: &Path, key: &dyn Display, dtype: &str) -> Error {
    new(path, &format_args!("what follows the line `// key {key}` has no list of dtypes"))
        .help(format!("add {dtype} to the dtypes of that formula, or remove the line"))
}

pub(crate) fn full(path: &Path, most: usize) -> Error {
    new(path, &format_args!("it would have more than {most} bytes, and no build would read it"))
        .help("build what it has, and record what is still missing in another file")
}

pub(crate) fn open_rows(path: &Path, axis: Axis) -> Error {
    let why =
        format!("the formula has no input of {axis}, which would say how many rows there are");
    new(path, &why).help(format!("let it read an array of {axis}"))
}
