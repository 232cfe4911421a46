//! Runs compiled reductions of symbolic matrices on arrays.

#[cfg(test)]
extern crate self as tilefold;

mod bind;
mod call;
mod element;
mod error;
mod formula;
mod host;
mod kernel;
mod level;
mod operand;
mod options;
mod report;
mod run;
pub mod sys;
mod words;

#[cfg(test)]
#[path = "../tests/fake/mod.rs"]
mod fake;

pub use call::{Call, Outputs};
pub use element::{Component, ComponentType, Dtype, Element};
pub use error::{Code, Error};
pub use formula::{Dim, Formula, Instance, select};
pub use kernel::{Axis, Kernel, Stage, Value};
pub use level::Level;
pub use operand::{Operand, OutputMut};
pub use options::{Options, Policy};
pub use report::{Executor, Report, StageReport};
pub use run::run;
