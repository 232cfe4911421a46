//! Formula files and KeOps strings to formulas.
//!
//! In goes text, from strangers too; out come checked formulas, one for each member of each set
//! of dimensions, or for sizes that a running program has, or diagnostics that point into the text.
//! The way is: `scan` the characters,
//! `parse` them into an `ast`, check the `functions`, then `lower` each formula for each of its
//! `instances`, and derive the `gradients` it asks for. Time and memory are bounded by the limits
//! named in these modules. Nothing here reads files, simplifies or emits, and derivatives are those
//! of [`crate::passes`].

mod aliases;
mod ast;
mod calls;
mod expand;
mod functions;
mod gradients;
mod instances;
mod keops;
mod lower;
mod names;
mod operators;
mod parse;
mod scan;
mod symbolic;
mod value;

#[cfg(test)]
mod tests;

use crate::diag::{Diagnostic, Diagnostics};
use crate::ir::{Formula, Storage};

pub use aliases::aliases;
pub use keops::{Spec, Variable, forms, keops, reductions};
pub use names::CONSTANTS;
pub use symbolic::table as operators;

/// One formula of a file: what it is called, and every instance that is compiled.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The file's name, as it was given to [`parse`](fn@parse).
    pub file: String,
    /// The formula's name, a lower-case identifier.
    pub name: String,
    /// The `///` text, without the slashes; empty when there is none.
    pub doc: String,
    /// The dimensions in angle brackets.
    pub generics: Vec<Generic>,
    /// The scalar types to compile for.
    pub dtypes: Vec<Storage>,
    /// One formula for each choice of members that passes the assertions: what is compiled.
    pub instances: Vec<Instance>,
    /// The formula for other sizes, if it has a run-time dimension: it was tried with them, and
    /// they show what is the same for every size.
    pub probes: Vec<Instance>,
    /// The line of the file, from 1, where the formula starts.
    pub span_line: usize,
}

impl Unit {
    /// The formula for some sizes: at least one. What is compiled comes first.
    pub fn shapes(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().chain(&self.probes)
    }

    /// Whether it has a run-time dimension.
    pub fn is_open(&self) -> bool {
        self.generics.iter().any(|generic| generic.open)
    }
}

/// A dimension that takes several values, as in `<D: {1, 2, 3}>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generic {
    /// Its name.
    pub name: String,
    /// Its members, as written: what is compiled.
    pub values: Vec<usize>,
    /// Whether it may have any other size at run time: `dyn`.
    pub open: bool,
}

/// A formula for one choice of dimensions.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The chosen member of each generic.
    pub dims: Vec<usize>,
    /// The formula.
    pub formula: Formula,
    /// The derivatives that are asked for, in the order of the text.
    pub derivatives: Vec<Derivative>,
}

/// In which direction derivatives are worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `grad`: from an output to the inputs, a vector-Jacobian product.
    Reverse,
    /// `jvp`: from the inputs to an output, a Jacobian-vector product.
    Forward,
}

/// `grad output wrt x, y;` or `jvp output wrt x, y;`
#[derive(Clone, Debug)]
pub struct Derivative {
    /// Reverse or forward.
    pub mode: Mode,
    /// The title of the derivative that is differentiated; `None` for the formula itself.
    pub of: Option<String>,
    /// The output that is differentiated.
    pub output: String,
    /// The inputs that it is differentiated with respect to.
    pub wrt: Vec<String>,
    /// Whether the output itself is computed too, in the same passes.
    pub with_value: bool,
    /// What it is called among the calls of a formula, as `vjp`.
    pub call: String,
    /// What it is called among all kernels of a formula, as `vjp_a`.
    pub title: String,
    /// The derivative.
    pub formula: Formula,
    /// The inputs that it has after those of the formula, in order.
    pub extra: Vec<Extra>,
}

/// An input that a derivative introduces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// Its name.
    pub name: String,
    /// The input that it is a direction of; `None` for the gradient of an output.
    pub like: Option<String>,
}

/// Reads a formula file. `file` is the name to show.
///
/// # Errors
/// All errors of the first instance that has any, or the first error of syntax.
pub fn parse(file: &str, text: &str) -> Result<Vec<Unit>, Diagnostics> {
    scan::scan(text)?;
    let tree = parse::file(text)?;
    lower::units(file, text, &tree)
}

/// One formula of a formula file for sizes of its dimensions, with its derivatives: what a program
/// does for a size that is known at run time only (`dyn`).
///
/// ```
/// use tilefold_compiler::front;
///
/// let text = "tilefold 1;
///     formula norms<D: dyn> { x[i], y[j] : R^D; a[i] = sum[j] sqdist(x, y); grad a wrt x; }";
/// let instance = front::instance(text, "norms", &[5])?;
/// assert_eq!(instance.formula.inputs[0].dim, 5);
/// assert_eq!(instance.derivatives[0].title, "vjp_a");
/// assert!(front::instance(text, "norms", &[0]).is_err());
/// # Ok::<(), tilefold_compiler::diag::Diagnostics>(())
/// ```
///
/// # Errors
/// As [`parse`](fn@parse), and for a formula that is not there, sizes that are neither listed nor
/// of a run-time dimension, and sizes for which an assertion does not hold.
pub fn instance(text: &str, formula: &str, dims: &[usize]) -> Result<Instance, Diagnostics> {
    scan::scan(text)?;
    let tree = parse::file(text)?;
    lower::instance(&tree, formula, dims)
}

/// What every step of this module returns. An empty list of diagnostics means that the cause was
/// reported already.
type Result<T, E = Diagnostics> = std::result::Result<T, E>;

impl Diagnostic {
    /// The error as a result.
    fn fail<T>(self) -> Result<T> {
        Err(self.into())
    }
}
