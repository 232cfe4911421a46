//! Calls by name. Goes in: a kernel, or a formula that was made at run time, and named arrays.
//! Comes out: named results. It never knows a formula at compile time; generated wrappers do, and
//! are thin over this.

use std::any::Any;
use std::fmt;
#[cfg(feature = "text")]
use std::sync::Arc;

use ndarray::{Array2, ArrayD};
use num_complex::Complex;
use smallvec::SmallVec;

use crate::bind::Bound;
use crate::element::{Component, ComponentType, Dtype};
use crate::error::Error;
use crate::host::memory::zeros;
use crate::kernel::{Kernel, Value};
#[cfg(feature = "text")]
use crate::lazy::MadeFormula;
use crate::operand::{Operand, OutputMut, RawArray};
use crate::options::Options;
use crate::ranges::Ranges;
use crate::report::Report;
use crate::run::execute;
use crate::words;

/// A call of a kernel, put together step by step.
///
/// A mistake in a step is kept, and comes out of [`run`](Call::run) or
/// [`run_into`](Call::run_into).
///
/// ```
/// # use ndarray::{Array2, ArrayView2};
/// # use tilefold::{Call, Error, Kernel};
/// fn convolve(
///     kernel: &'static Kernel,
///     x: ArrayView2<f32>,
///     y: ArrayView2<f32>,
///     b: ArrayView2<f32>,
/// ) -> Result<Array2<f32>, Error> {
///     let gamma = 0.5_f32;
///     let call = Call::new(kernel).arg("x", x).arg("y", y).arg("b", b).arg("gamma", &gamma);
///     call.run()?.take("a")
/// }
/// ```
#[must_use = "a call does nothing until it is run"]
pub struct Call<'a> {
    target: Target,
    inputs: Vec<Option<Operand<'a>>>,
    outputs: Vec<Option<OutputMut<'a>>>,
    rows: Option<(usize, usize)>,
    ranges: Option<&'a Ranges>,
    options: Options<'a>,
    mistake: Option<Error>,
}

/// What a call runs.
#[derive(Clone)]
enum Target {
    Linked(&'static Kernel),
    /// And how many seconds it took to make it.
    #[cfg(feature = "text")]
    Made(Arc<MadeFormula>, f64),
}

impl Target {
    /// Names and shapes.
    fn kernel(&self) -> &Kernel {
        match self {
            Target::Linked(kernel) => kernel,
            #[cfg(feature = "text")]
            Target::Made(made, _) => made.kernel(),
        }
    }
}

impl<'a> Call<'a> {
    /// A call without arguments yet.
    pub fn new(kernel: &'static Kernel) -> Call<'a> {
        Call::of(Target::Linked(kernel))
    }

    /// A call of a formula that was made, in so many seconds.
    #[cfg(feature = "text")]
    pub(crate) fn made(made: Arc<MadeFormula>, seconds: f64) -> Call<'a> {
        Call::of(Target::Made(made, seconds))
    }

    fn of(target: Target) -> Call<'a> {
        Call {
            inputs: vec![None; target.kernel().n_inputs()],
            target,
            outputs: Vec::new(),
            rows: None,
            ranges: None,
            options: Options::new(),
            mistake: None,
        }
    }

    /// Passes an argument.
    pub fn arg(mut self, name: &str, array: impl Into<Operand<'a>>) -> Call<'a> {
        let kernel = self.target.kernel();
        let mistake = match kernel.inputs().position(|value| value.name == name) {
            None => Some(words::unknown_argument(kernel, name)),
            Some(index) => {
                let before = self.inputs[index].replace(array.into());
                before.map(|_| words::repeated(kernel, name))
            }
        };
        self.mistake = self.mistake.or(mistake);
        self
    }

    /// Passes an array for an output, for [`run_into`](Call::run_into).
    pub fn out(mut self, name: &str, array: impl Into<OutputMut<'a>>) -> Call<'a> {
        let kernel = self.target.kernel();
        let index = kernel.outputs().position(|value| value.name == name);
        let mistake = match index {
            None => Some(words::unknown_output(kernel, name)),
            Some(index) => {
                let before = self.all_outputs()[index].replace(array.into());
                before.map(|_| words::repeated(self.target.kernel(), name))
            }
        };
        self.mistake = self.mistake.or(mistake);
        self
    }

    /// Says M and N, the rows of `i` and of `j`. It is needed only when no argument is an
    /// `i`-variable or a `j`-variable; a number that an argument contradicts is an error.
    pub fn rows(mut self, m: usize, n: usize) -> Call<'a> {
        self.rows = Some((m, n));
        self
    }

    /// Restricts every reduction to the pairs of these ranges. They run on the CPU.
    ///
    /// What reduces over one index for no row, as the gradient of a parameter does after its rows
    /// are done, is not a reduction of pairs and stays whole. A kernel that took a sum out of the
    /// pairs, as `sum[j] x * y` becomes `x * sum[j] y`, is refused.
    pub fn ranges(mut self, ranges: &'a Ranges) -> Call<'a> {
        self.ranges = Some(ranges);
        self
    }

    /// Says how to run.
    pub fn options(mut self, options: Options<'a>) -> Call<'a> {
        self.options = options;
        self
    }

    /// Runs, and makes an array for every output.
    ///
    /// # Errors
    /// As [`run`](crate::run()), and for names that are unknown, missing or passed twice, and
    /// when arrays were passed for outputs.
    pub fn run(self) -> Result<Outputs, Error> {
        let kernel = self.target.kernel();
        self.check_inputs()?;
        if let Some(index) = self.outputs.iter().position(Option::is_some) {
            let name = kernel.outputs().nth(index).map_or("", |value| value.name);
            return Err(words::out_without_into(kernel, name));
        }
        let bound = self.bound()?;
        let made = kernel.outputs().map(|value| make(kernel, &value, &bound));
        let made: SmallVec<[Made; 1]> = made.collect::<Result<_, Error>>()?;
        let batch = bound.batch_shape().to_vec();
        let report = self.execute(bound, made.iter().map(|(_, raw)| raw))?;
        let arrays = made.into_iter().map(|(array, _)| Some(array)).collect();
        Ok(Outputs { target: self.target, arrays, batch, report })
    }

    /// Runs, and writes to the arrays passed with [`out`](Call::out): one for every output.
    ///
    /// # Errors
    /// As [`run`](crate::run()), and for names that are unknown, missing or passed twice.
    pub fn run_into(mut self) -> Result<Report, Error> {
        self.check_inputs()?;
        self.all_outputs();
        let kernel = self.target.kernel();
        let missing = missing(kernel.outputs(), &self.outputs);
        if !missing.is_empty() {
            return Err(words::missing_output(kernel, &missing));
        }
        self.execute(self.bound()?, self.outputs.iter().flatten().map(|output| &output.raw))
    }

    /// Runs a call whose inputs are bound.
    fn execute<'r, I>(&self, mut bound: Bound, outputs: I) -> Result<Report, Error>
    where
        I: Iterator<Item = &'r RawArray> + Clone,
    {
        match &self.target {
            Target::Linked(kernel) => {
                bound.outputs(kernel, outputs)?;
                execute(kernel, bound, &self.options)
            }
            #[cfg(feature = "text")]
            Target::Made(made, seconds) => {
                let kernel = made.kernel();
                bound.outputs(kernel, outputs.clone())?;
                let pairs = kernel.stages().map(|stage| bound.pairs(stage)).max().unwrap_or(0);
                let code = made.code(pairs as f64, &self.options)?;
                // What was checked is bound again, in the order and the tables of the code.
                let inputs: SmallVec<[&RawArray; 4]> = self.raw_inputs().collect();
                let inputs = code.order.iter().map(|&n| inputs[n]);
                let mut bound = self.bind(code.kernel, inputs)?;
                bound.outputs(code.kernel, outputs)?;
                let report = code.execute(bound, &self.options)?;
                Ok(Report { prepared: report.prepared + seconds, ..report })
            }
        }
    }

    /// A place for every output: there is none before they are needed.
    fn all_outputs(&mut self) -> &mut [Option<OutputMut<'a>>] {
        self.outputs.resize_with(self.target.kernel().n_outputs(), || None);
        &mut self.outputs
    }

    fn check_inputs(&self) -> Result<(), Error> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone());
        }
        let kernel = self.target.kernel();
        let missing = missing(kernel.inputs(), &self.inputs);
        match missing.is_empty() {
            true => Ok(()),
            false => Err(words::missing_argument(kernel, &missing)),
        }
    }

    fn raw_inputs(&self) -> impl Iterator<Item = &RawArray> + Clone {
        self.inputs.iter().flatten().map(|operand| &operand.raw)
    }

    /// The inputs, in the order and by the names of the formula.
    fn bound(&self) -> Result<Bound, Error> {
        self.bind(self.target.kernel(), self.raw_inputs())
    }

    fn bind<'r, I>(&self, kernel: &Kernel, inputs: I) -> Result<Bound, Error>
    where
        I: Iterator<Item = &'r RawArray> + Clone,
    {
        let mut bound = Bound::inputs(kernel, inputs, self.rows)?;
        self.ranges.map_or(Ok(()), |ranges| bound.restrict(kernel, ranges))?;
        Ok(bound)
    }
}

/// The names of arrays that are missing.
fn missing<'k, T>(values: impl Iterator<Item = Value<'k>>, arrays: &[Option<T>]) -> Vec<&'k str> {
    let missing = values.zip(arrays).filter(|(_, array)| array.is_none());
    missing.map(|(value, _)| value.name).collect()
}

/// An `Array2<T>`, or with batch dimensions an `ArrayD<T>`, for a type known at run time, and where
/// its data lies.
pub(crate) type Made = (Box<dyn Any + Send + Sync>, RawArray);

pub(crate) fn make(kernel: &Kernel, value: &Value, bound: &Bound) -> Result<Made, Error> {
    match value.component {
        ComponentType::Real(Dtype::F16) => array::<half::f16>(kernel, value, bound),
        ComponentType::Real(Dtype::BF16) => array::<half::bf16>(kernel, value, bound),
        ComponentType::Real(Dtype::F32) => array::<f32>(kernel, value, bound),
        ComponentType::Real(Dtype::F64) => array::<f64>(kernel, value, bound),
        ComponentType::Complex(Dtype::F16) => array::<Complex<half::f16>>(kernel, value, bound),
        ComponentType::Complex(Dtype::BF16) => array::<Complex<half::bf16>>(kernel, value, bound),
        ComponentType::Complex(Dtype::F32) => array::<Complex<f32>>(kernel, value, bound),
        ComponentType::Complex(Dtype::F64) => array::<Complex<f64>>(kernel, value, bound),
        ComponentType::Index => array::<i64>(kernel, value, bound),
    }
}

fn array<T: Component>(kernel: &Kernel, value: &Value, bound: &Bound) -> Result<Made, Error> {
    let (rows, batch) = (bound.sizes.of(value.axis), bound.batch_shape());
    let len = batch.iter().fold(rows.saturating_mul(value.dim), |n, &len| n.saturating_mul(len));
    let failed = || {
        let bytes = len.saturating_mul(size_of::<T>());
        words::out_of_memory(kernel.name(), bytes, &format!("output `{}`", value.name))
    };
    let data = zeros::<T>(len).ok_or_else(failed)?;
    if batch.is_empty() {
        let array = Array2::from_shape_vec((rows, value.dim), data);
        let mut array = array.map_err(|_| failed())?;
        let raw = OutputMut::from(&mut array).raw;
        return Ok((Box::new(array), raw));
    }
    let array = ArrayD::from_shape_vec([batch, &[rows, value.dim]].concat(), data);
    let mut array = array.map_err(|_| failed())?;
    let raw = OutputMut::from(&mut array).raw;
    Ok((Box::new(array), raw))
}

/// The results of a call, by name.
pub struct Outputs {
    target: Target,
    /// Those that were not taken yet, in the order of the kernel.
    arrays: SmallVec<[Option<Box<dyn Any + Send + Sync>>; 1]>,
    batch: Vec<usize>,
    report: Report,
}

impl Outputs {
    /// Moves a result out: the real type of the kernel, `Complex` of it where it is complex, or
    /// `i64` for integers.
    ///
    /// # Errors
    /// For a name that is unknown or was taken before, for another type, and for a result with
    /// batch dimensions.
    pub fn take<T: Component>(&mut self, name: &str) -> Result<Array2<T>, Error> {
        if !self.batch.is_empty() {
            return Err(words::batch_take(self.target.kernel(), name, &self.batch));
        }
        self.take_as::<T, Array2<T>>(name)
    }

    /// As [`take`](Outputs::take), with the batch dimensions in front of rows and columns, if there
    /// are any.
    ///
    /// # Errors
    /// For a name that is unknown or was taken before, and for another type.
    pub fn take_nd<T: Component>(&mut self, name: &str) -> Result<ArrayD<T>, Error> {
        match self.batch.is_empty() {
            true => self.take_as::<T, Array2<T>>(name).map(Array2::into_dyn),
            false => self.take_as::<T, ArrayD<T>>(name),
        }
    }

    fn take_as<T: Component, A: 'static>(&mut self, name: &str) -> Result<A, Error> {
        let kernel = self.target.kernel();
        let mut arrays = kernel.outputs().zip(&mut self.arrays);
        let (value, array) = arrays
            .find(|(value, _)| value.name == name)
            .ok_or_else(|| words::unknown_output(kernel, name))?;
        if value.component != T::TYPE {
            return Err(words::output_type(kernel, &value, T::TYPE));
        }
        let array = array.take().ok_or_else(|| words::taken(kernel, name))?;
        array
            .downcast()
            .map(|array| *array)
            .map_err(|_| words::output_type(kernel, &value, T::TYPE))
    }

    /// What ran.
    pub fn report(&self) -> &Report {
        &self.report
    }
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.target.kernel().outputs().map(|value| value.name).collect();
        write!(f, "Outputs({}: {})", self.target.kernel().name(), names.join(", "))
    }
}
