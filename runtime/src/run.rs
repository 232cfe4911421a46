//! From a call to an executor. Goes in: a kernel, arrays in the order of the formula, and wishes.
//! Comes out: filled outputs and a report. It never computes.

use crate::bind::Bound;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::operand::{Operand, OutputMut, RawArray};
use crate::options::{Options, Policy};
use crate::report::Report;
use crate::{host, words};

/// Runs a kernel on arrays given in the order of its inputs and outputs.
///
/// `rows` is (M, N); it is needed only for an index that no input has. [`Call`](crate::Call) does
/// the same with names, and makes the outputs.
///
/// ```
/// # use ndarray::{ArrayView2, ArrayViewMut2};
/// # use tilefold::{Error, Kernel, Options, run};
/// fn twice(kernel: &'static Kernel, x: ArrayView2<f32>, a: ArrayViewMut2<f32>) -> Result<(), Error> {
///     let report = run(kernel, &[x.into()], [a.into()], None, &Options::new())?;
///     println!("{report}");
///     Ok(())
/// }
/// ```
///
/// # Errors
/// Every code but those of names: arrays that do not fit the formula or each other, memory,
/// cancellation, and no executor for the policy. After an error the outputs hold numbers without
/// meaning.
pub fn run<'o>(
    kernel: &'static Kernel,
    inputs: &[Operand],
    outputs: impl IntoIterator<Item = OutputMut<'o>>,
    rows: Option<(usize, usize)>,
    options: &Options,
) -> Result<Report, Error> {
    let inputs: Vec<RawArray> = inputs.iter().map(|operand| operand.raw).collect();
    let outputs: Vec<OutputMut> = outputs.into_iter().collect();
    let raw: Vec<RawArray> = outputs.iter().map(|output| output.raw).collect();
    let mut bound = Bound::inputs(kernel, &inputs, rows)?;
    bound.outputs(kernel, &raw)?;
    execute(kernel, bound, options)
}

/// Runs a bound call on the executor that the policy names.
///
/// The caller keeps the arrays of `bound` borrowed for the whole call.
pub(crate) fn execute(
    kernel: &'static Kernel,
    bound: Bound,
    options: &Options,
) -> Result<Report, Error> {
    if options.is_cancelled() {
        return Err(words::cancelled(kernel.name()));
    }
    match options.policy {
        Policy::Cpu => host::run(kernel, bound, options),
        Policy::Cuda => Err(no_cuda(kernel)),
        Policy::Auto => {
            let note = no_cuda(kernel).message().to_owned();
            let report = host::run(kernel, bound, options)?;
            Ok(Report { note: Some(note), ..report })
        }
    }
}

fn no_cuda(kernel: &Kernel) -> Error {
    words::no_device(kernel.name(), "this program was built without the feature `cuda`")
}
