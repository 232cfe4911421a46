//! From a call to an executor. Goes in: a kernel, arrays in the order of the formula, and wishes.
//! Comes out: filled outputs and a report. It never computes.

use std::borrow::Cow;

use crate::bind::Bound;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::error::Error;
use crate::kernel::{Kernel, Stage};
use crate::operand::{Operand, OutputMut};
use crate::options::{Options, Policy};
use crate::report::Report;
use crate::{host, level, words};

/// Under [`Policy::Auto`], calls of fewer operations are not worth the way to a device.
const WORTH_OPS: f64 = 1e9;

/// Runs a kernel on arrays given in the order of its inputs and outputs.
///
/// `rows` is (M, N); it is needed only for an index that no input has. [`Call`](crate::Call) does
/// the same with names, and makes the outputs.
///
/// ```
/// # use ndarray::{ArrayView2, ArrayViewMut2};
/// # use tilefold::{Error, Kernel, Options, run};
/// fn twice(
///     kernel: &'static Kernel,
///     x: ArrayView2<f32>,
///     a: ArrayViewMut2<f32>,
/// ) -> Result<(), Error> {
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
    let outputs: Vec<OutputMut> = outputs.into_iter().collect();
    execute(kernel, bind(kernel, inputs, &outputs, rows)?, options)
}

/// Binds arrays given in the order of the inputs and outputs. They stay borrowed by the caller.
pub(crate) fn bind(
    kernel: &Kernel,
    inputs: &[Operand],
    outputs: &[OutputMut],
    rows: Option<(usize, usize)>,
) -> Result<Bound, Error> {
    let mut bound = Bound::inputs(kernel, inputs.iter().map(|operand| &operand.raw), rows)?;
    bound.outputs(kernel, outputs.iter().map(|output| &output.raw))?;
    Ok(bound)
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
        Policy::Cuda => match bound.cpu_only() {
            Some(what) => Err(words::cpu_only(kernel.name(), what)),
            None => cuda::prepare(kernel, &bound, options)?.run(bound, options),
        },
        Policy::Auto => match prepare_if_worth(kernel, &bound, options) {
            Ok(prepared) => prepared.run(bound, options),
            Err(note) => Ok(Report { note, ..host::run(kernel, bound, options)? }),
        },
    }
}

/// A call on a device, or why it goes to the CPU, if there is anything to say: that code for a
/// device is missing is worth a word only where it would have run.
fn prepare_if_worth(
    kernel: &'static Kernel,
    bound: &Bound,
    options: &Options,
) -> Result<cuda::Prepared, Option<Cow<'static, str>>> {
    if let Some(why) = bound.cpu_only() {
        return Err(Some(why.into()));
    }
    let ops: f64 = kernel.stages().map(|stage| ops(stage, bound)).sum();
    let is_small = ops < WORTH_OPS && level::choose(kernel, options.level).is_ok();
    match kernel.has_image() {
        true if is_small => return Err(Some("the call is small".into())),
        false if is_small || !cuda::is_there() => return Err(None),
        _ => (),
    }
    cuda::prepare(kernel, bound, options).map_err(|why| Some(why.message().to_owned().into()))
}

fn ops(stage: Stage, bound: &Bound) -> f64 {
    let size = |axis| bound.sizes.of(axis) as f64;
    size(stage.row_axis()) * size(stage.col_axis()) * stage.pair_ops() * bound.items() as f64
}

/// The place of the CUDA executor in a program built without it.
#[cfg(not(feature = "cuda"))]
mod cuda {
    use super::{Bound, Error, Kernel, Options, Report, words};

    pub(super) enum Prepared {}

    impl Prepared {
        pub fn run(self, _: Bound, _: &Options) -> Result<Report, Error> {
            match self {}
        }
    }

    pub(super) fn is_there() -> bool {
        false
    }

    pub(super) fn prepare(
        kernel: &'static Kernel,
        _: &Bound,
        _: &Options,
    ) -> Result<Prepared, Error> {
        Err(words::no_device(kernel.name(), "this program was built without the feature `cuda`"))
    }
}
