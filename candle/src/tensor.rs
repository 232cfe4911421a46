//! Reductions as operations of candle's graph. Goes in: an expression. Comes out: its value as a
//! tensor, and in the backward pass the values of its gradients, which are expressions too. It
//! never differentiates by itself.

use std::cell::OnceCell;

use candle_core::{Device, Error, Result, Shape, Tensor, Var, WithDType, bail};
use tilefold::{Axis, Element, Options, evaluate};

use crate::source::{TensorSource, leaf};
use crate::{LazyTensor, nary};

/// The types that both candle and formulas compute with.
pub trait Number: Element + WithDType {}

impl<T: Element + WithDType> Number for T {}

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
    /// As [`Evaluation::run`](tilefold::lazy::Evaluation::run), and for complex values, which
    /// candle does not have. In the backward pass: where a derivative does not exist.
    fn tensor(&self) -> Result<Tensor>;

    /// [`tensor`](LazyTensorExt::tensor) with options, which count for its gradients too.
    ///
    /// # Errors
    /// As [`tensor`](LazyTensorExt::tensor), and when the call is cancelled.
    fn tensor_with(&self, options: Options<'static>) -> Result<Tensor>;
}

impl<T: Number> LazyTensorExt for LazyTensor<T> {
    #[track_caller]
    fn tensor(&self) -> Result<Tensor> {
        self.tensor_with(Options::new())
    }

    #[track_caller]
    fn tensor_with(&self, options: Options<'static>) -> Result<Tensor> {
        let mut values = evaluate(&[self]).options(options).run().map_err(Error::wrap)?;
        let Ok(array) = values.take_nd::<T>(0) else {
            let array = values.take_nd::<i64>(0).map_err(Error::wrap)?;
            let shape = array.shape().to_vec();
            return Tensor::from_vec(array.into_iter().collect(), shape, &Device::Cpu);
        };
        let shape = Shape::from(array.shape());
        let data = array.into_iter().collect();
        let variables = variables(self);
        let inputs = distinct(&variables);
        let (value, tensors) = (self.clone(), inputs.clone());
        nary::attach(data, shape, &inputs, move |grad| {
            gradients(&value, &variables, &tensors, grad, options)
        })
    }
}

/// The variables of an expression that gradients are asked for, with their tensors. A tensor that
/// is both an `i`- and a `j`-variable is there twice.
fn variables<T: Number>(value: &LazyTensor<T>) -> Vec<(LazyTensor<T>, Tensor)> {
    let found = value.sources().into_iter().filter_map(|(variable, source)| {
        let tensor = TensorSource::tensor(&*source)?;
        let is_asked = tensor.dtype() == <T as WithDType>::DTYPE && tensor.track_op();
        is_asked.then(|| (variable, tensor.clone()))
    });
    found.collect()
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
    options: Options<'static>,
) -> Result<Vec<Tensor>> {
    let axis = [Axis::I, Axis::J].into_iter().find(|&axis| value.rows(axis).is_some());
    let seed = match axis {
        Some(_) => leaf(grad, axis)?,
        None => leaf(&grad.squeeze(grad.rank() - 2)?, None)?,
    };
    let derivatives: Vec<LazyTensor<T>> =
        variables.iter().map(|(variable, _)| value.vjp(&seed, variable)).collect();
    let found = match keeps_graphs()? {
        true => derivatives.iter().map(|d| d.tensor_with(options)).collect::<Result<Vec<_>>>()?,
        false => together(&derivatives, options)?,
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
    options: Options<'static>,
) -> Result<Vec<Tensor>> {
    let roots: Vec<&LazyTensor<T>> = expressions.iter().collect();
    let mut values = evaluate(&roots).options(options).run().map_err(Error::wrap)?;
    let tensor = |n| {
        let array = values.take_nd::<T>(n).map_err(Error::wrap)?;
        let shape = array.shape().to_vec();
        Tensor::from_vec(array.into_iter().collect::<Vec<T>>(), shape, &Device::Cpu)
    };
    (0..expressions.len()).map(tensor).collect()
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
