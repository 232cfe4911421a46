//! Reductions as operations of candle's graph. Goes in: an expression. Comes out: its value as a
//! tensor, and in the backward pass the values of its gradients, which are expressions too. It
//! never differentiates by itself.

use std::cell::OnceCell;

use candle_core::{Device, Error, Result, Shape, Storage, Tensor, Var, WithDType, bail};
use ndarray::ArrayD;
use tilefold::lazy::Evaluation;
use tilefold::{Axis, Element, Options, Ranges, evaluate};

use crate::nary::{self, Value};
use crate::source::{TensorSource, leaf};
use crate::{LazyTensor, device};

/// The types that both candle and formulas compute with.
pub trait Number: Element + WithDType {}

impl<T: Element + WithDType> Number for T {}

/// How values and their gradients are worked out.
///
/// ```
/// use candle_core::{Device, Result, Var};
/// use tilefold::Ranges;
/// use tilefold_candle::{Axis, LazyTensorExt, Manner, TensorExt};
///
/// # fn main() -> Result<()> {
/// let x = Var::new(&[[0.0_f64], [1.0], [5.0]], &Device::Cpu)?;
/// let d_ij = (x.lazy_i::<f64>()? - x.lazy_j::<f64>()?).square();
/// // Only pairs of neighbours: the first two points, and the last with itself.
/// let near = Ranges::from_blocks([(0..2, 0..2), (2..3, 2..3)]).unwrap();
/// let a_i = d_ij.sum(Axis::J).tensor_as(&Manner::new().ranges(&near).exact_sums())?;
/// assert_eq!(a_i.to_vec2::<f64>()?, [[1.0], [1.0], [0.0]]);
/// assert_eq!(a_i.backward()?.get(&x).unwrap().to_vec2::<f64>()?, [[-4.0], [4.0], [0.0]]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Manner {
    options: Options<'static>,
    ranges: Option<Ranges>,
    sums: Sums,
}

#[derive(Clone, Copy, Debug, Default)]
enum Sums {
    #[default]
    Usual,
    Exact,
    Fast,
}

impl Manner {
    /// The usual one.
    pub fn new() -> Manner {
        Manner::default()
    }

    /// Says how to run.
    pub fn options(mut self, options: Options<'static>) -> Manner {
        self.options = options;
        self
    }

    /// Restricts every reduction, also those of the gradients, to blocks of pairs; see
    /// [`Evaluation::ranges`](tilefold::lazy::Evaluation::ranges).
    pub fn ranges(mut self, ranges: &Ranges) -> Manner {
        self.ranges = Some(ranges.clone());
        self
    }

    /// Sums each term in float64; see
    /// [`Evaluation::exact_sums`](tilefold::lazy::Evaluation::exact_sums).
    pub fn exact_sums(mut self) -> Manner {
        self.sums = Sums::Exact;
        self
    }

    /// Sums faster and less exactly; see
    /// [`Evaluation::fast_sums`](tilefold::lazy::Evaluation::fast_sums).
    pub fn fast_sums(mut self) -> Manner {
        self.sums = Sums::Fast;
        self
    }

    #[track_caller]
    fn run<T: Number>(&self, values: &[&LazyTensor<T>], device: &Device) -> Result<Vec<Value>> {
        let usual = evaluate(values).options(self.options);
        let ranged = match &self.ranges {
            Some(ranges) => usual.ranges(ranges),
            None => usual,
        };
        let all = match self.sums {
            Sums::Usual => ranged,
            Sums::Exact => ranged.exact_sums(),
            Sums::Fast => ranged.fast_sums(),
        };
        match device {
            Device::Cuda(device) => device::run(all, values.len(), device),
            _ => on_cpu(all, values.len()),
        }
    }
}

/// The values of an evaluation that has so many.
#[track_caller]
fn on_cpu<T: Number>(evaluation: Evaluation<'_, '_, T>, count: usize) -> Result<Vec<Value>> {
    fn value<C: WithDType>(array: ArrayD<C>) -> Value {
        let shape = Shape::from(array.shape());
        (Storage::Cpu(C::to_cpu_storage_owned(array.into_iter().collect())), shape)
    }
    let mut values = evaluation.run().map_err(Error::wrap)?;
    let take = |n| match values.take_nd::<T>(n) {
        Ok(array) => Ok(value(array)),
        Err(_) => values.take_nd::<i64>(n).map(value).map_err(Error::wrap),
    };
    (0..count).map(take).collect()
}

/// Values of formulas as candle tensors.
pub trait LazyTensorExt {
    /// Works the expression out, as [`eval`](tilefold::LazyTensor::eval) does, and gives a
    /// tensor of shape `(M, D)`, `(N, D)`, or `(1, D)` where the value varies along no axis, behind
    /// batch dimensions if there are any. Row numbers and other integers come as `i64`.
    ///
    /// If a tensor of the expression is a variable, or depends on one, the result does too. Its
    /// gradients are worked out when they are asked for, and then read the tensors again: do not
    /// change them in place in between.
    ///
    /// # Errors
    /// As [`Evaluation::run`](tilefold::lazy::Evaluation::run), for tensors on different devices,
    /// and for complex values, which candle does not have. In the backward
    /// pass: where a derivative does not exist.
    fn tensor(&self) -> Result<Tensor>;

    /// [`tensor`](LazyTensorExt::tensor) with options, which count for its gradients too.
    ///
    /// # Errors
    /// As [`tensor`](LazyTensorExt::tensor), and when the call is cancelled.
    fn tensor_with(&self, options: Options<'static>) -> Result<Tensor>;

    /// [`tensor`](LazyTensorExt::tensor) in a manner, which counts for its gradients too: options,
    /// ranges, and how exactly sums are worked out.
    ///
    /// # Errors
    /// As [`tensor_with`](LazyTensorExt::tensor_with), and for ranges that leave the arrays.
    fn tensor_as(&self, manner: &Manner) -> Result<Tensor>;
}

impl<T: Number> LazyTensorExt for LazyTensor<T> {
    #[track_caller]
    fn tensor(&self) -> Result<Tensor> {
        self.tensor_with(Options::new())
    }

    #[track_caller]
    fn tensor_with(&self, options: Options<'static>) -> Result<Tensor> {
        self.tensor_as(&Manner::new().options(options))
    }

    #[track_caller]
    fn tensor_as(&self, manner: &Manner) -> Result<Tensor> {
        let sources = sources(self);
        let device = device_of(&sources)?;
        let found = manner.run(&[self], &device)?.pop();
        let Some(value) = found else { bail!("tilefold: an expression has no value") };
        if value.0.dtype() != <T as WithDType>::DTYPE {
            return Ok(nary::constant(value));
        }
        let variables = variables(sources);
        let inputs = distinct(&variables);
        let (expression, tensors, manner) = (self.clone(), inputs.clone(), manner.clone());
        nary::attach(value, &inputs, move |grad| {
            gradients(&expression, &variables, &tensors, grad, &manner)
        })
    }
}

/// The leaves of an expression that are tensors. A tensor that is both an `i`- and a `j`-variable
/// is there twice.
fn sources<T: Number>(value: &LazyTensor<T>) -> Vec<(LazyTensor<T>, Tensor)> {
    let found = value.sources().into_iter().filter_map(|(leaf, source)| {
        let tensor = TensorSource::tensor(&*source)?.clone();
        Some((leaf, tensor))
    });
    found.collect()
}

/// The device of all tensors; the CPU where there is none.
fn device_of<T>(sources: &[(LazyTensor<T>, Tensor)]) -> Result<Device> {
    let Some(((_, first), rest)) = sources.split_first() else { return Ok(Device::Cpu) };
    let device = first.device();
    match rest.iter().find(|(_, tensor)| !tensor.device().same_device(device)) {
        None => Ok(device.clone()),
        Some((_, other)) => bail!(
            "tilefold: a tensor of shape {:?} is on {:?}, and one of shape {:?} on {:?} (two \
             `Device`s made of one GPU are two to candle); move one: \
             tensor.to_device(other.device())",
            first.dims(),
            device.location(),
            other.dims(),
            other.device().location()
        ),
    }
}

/// Those that gradients are asked for.
fn variables<T: Number>(mut sources: Vec<(LazyTensor<T>, Tensor)>) -> Vec<(LazyTensor<T>, Tensor)> {
    sources.retain(|(_, tensor)| tensor.dtype() == <T as WithDType>::DTYPE && tensor.track_op());
    sources
}

/// The tensors of variables, each once.
fn distinct<T>(variables: &[(LazyTensor<T>, Tensor)]) -> Vec<Tensor> {
    let mut tensors: Vec<Tensor> = Vec::new();
    for (_, tensor) in variables {
        if tensors.iter().all(|known| known.id() != tensor.id()) {
            tensors.push(tensor.clone());
        }
    }
    tensors
}

/// The gradients of a loss with respect to tensors, from that with respect to the value.
fn gradients<T: Number>(
    value: &LazyTensor<T>,
    variables: &[(LazyTensor<T>, Tensor)],
    tensors: &[Tensor],
    grad: &Tensor,
    manner: &Manner,
) -> Result<Vec<Tensor>> {
    let axis = [Axis::I, Axis::J].into_iter().find(|&axis| value.rows(axis).is_some());
    // On a device the items of a batch follow each other; candle's broadcast gradients may not.
    let grad = match grad.device() {
        Device::Cuda(_) if grad.rank() > 2 => &grad.contiguous()?,
        _ => grad,
    };
    let seed = match axis {
        Some(_) => leaf(grad, axis)?,
        None => leaf(&grad.squeeze(grad.rank() - 2)?, None)?,
    };
    let derivatives: Vec<LazyTensor<T>> =
        variables.iter().map(|(variable, _)| value.vjp(&seed, variable)).collect();
    let found = match keeps_graphs()? {
        true => derivatives.iter().map(|d| d.tensor_as(manner)).collect::<Result<Vec<_>>>()?,
        false => together(&derivatives, manner, grad.device())?,
    };
    let of = |tensor: &Tensor| {
        let own = variables.iter().zip(&found).filter(|((_, t), _)| t.id() == tensor.id());
        let mut parts = own.map(|(_, part)| part.reshape(tensor.shape()));
        let Some(first) = parts.next() else { bail!("tilefold: a variable has no gradient") };
        parts.try_fold(first?, |sum, part| sum.add(&part?))
    };
    tensors.iter().map(of).collect()
}

/// The values of several expressions in one pass, without a graph.
fn together<T: Number>(
    expressions: &[LazyTensor<T>],
    manner: &Manner,
    device: &Device,
) -> Result<Vec<Tensor>> {
    let roots: Vec<&LazyTensor<T>> = expressions.iter().collect();
    Ok(manner.run(&roots, device)?.into_iter().map(nary::constant).collect())
}

thread_local! {
    static KEEPS_GRAPHS: OnceCell<bool> = const { OnceCell::new() };
}

/// Whether candle's backward pass keeps the graphs of gradients, on this thread.
fn keeps_graphs() -> Result<bool> {
    KEEPS_GRAPHS.with(|known| match known.get() {
        Some(&answer) => Ok(answer),
        None => ask_candle().map(|answer| *known.get_or_init(|| answer)),
    })
}

/// Candle reads an environment variable once a thread, but does not tell what it read. So look at
/// what it does: the square's gradient `2 u` has a graph, and only detaching takes it away before
/// it is handed on to `x`.
fn ask_candle() -> Result<bool> {
    let x = Var::new(1_f32, &Device::Cpu)?;
    let u = x.affine(1.0, 0.0)?;
    let gradients = u.sqr()?.backward()?;
    Ok(gradients.get(&x).is_some_and(Tensor::track_op))
}
