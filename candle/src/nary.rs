//! Operations of any number of inputs in candle's autograd. Goes in: a finished value, the tensors
//! that it depends on, and a function that gives its gradients with respect to them. Comes out:
//! the value as a tensor of the graph. It never computes a value or a gradient.
//!
//! Candle lets its users add operations of up to three inputs. So few are taken as they are; of
//! more, the two largest are, and the others are joined end to end to one vector, which is taken
//! apart when gradients come back. Joining costs a copy of the smaller inputs, but the operation
//! has no state: nothing has to be handed from one part of a backward pass to the next, however
//! many passes there are, in however many threads.

use std::cmp::Reverse;
use std::sync::{Mutex, PoisonError};

use candle_core::op::BackpropOp;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Error, Layout, Result, Shape,
    Storage, Tensor, bail,
};

/// The name in candle's messages.
const NAME: &str = "tilefold";

/// Numbers where candle keeps them, and their shape.
pub(crate) type Value = (Storage, Shape);

/// A value as a tensor that depends on nothing.
pub(crate) fn constant((storage, shape): Value) -> Tensor {
    Tensor::from_storage(storage, shape, BackpropOp::none(), false)
}

/// The value as a tensor that depends on `inputs`, which are different tensors of one dtype on the
/// value's device. `gradients` goes from the gradient of a loss with respect to the value to those
/// with respect to the inputs, in their order and of their shapes; it is never called if there are
/// none.
pub(crate) fn attach(
    value: Value,
    inputs: &[Tensor],
    gradients: impl Fn(&Tensor) -> Result<Vec<Tensor>> + Send + Sync + 'static,
) -> Result<Tensor> {
    if inputs.is_empty() {
        return Ok(constant(value));
    }
    let mut order: Vec<usize> = (0..inputs.len()).collect();
    order.sort_by_key(|&n| Reverse(inputs[n].elem_count()));
    let sorted: Vec<&Tensor> = order.iter().map(|&n| &inputs[n]).collect();
    let value = Mutex::new(Some(value));
    let operation = Operation { value, order, gradients: Box::new(gradients) };
    match *sorted.as_slice() {
        [] => unreachable!("there is an input"),
        [a] => a.apply_op1(operation),
        [a, b] => a.apply_op2(b, operation),
        [a, b, c] => a.apply_op3(b, c, operation),
        [a, b, ref rest @ ..] => a.apply_op3(b, &join(rest)?, operation),
    }
}

/// One vector of the entries of all tensors.
fn join(tensors: &[&Tensor]) -> Result<Tensor> {
    let flat = tensors.iter().map(|tensor| tensor.flatten_all()).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&flat, 0)
}

struct Operation {
    /// The value, until the graph takes it.
    value: Mutex<Option<Value>>,
    /// The places of the inputs among the caller's, in the order in which the graph has them.
    order: Vec<usize>,
    gradients: Box<Gradients>,
}

type Gradients = dyn Fn(&Tensor) -> Result<Vec<Tensor>> + Send + Sync;

impl Operation {
    fn take(&self) -> Result<Value> {
        let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        value.take().ok_or_else(|| Error::Msg(format!("{NAME}: the value was taken before")))
    }

    /// The value, for candle's CPU.
    fn on_cpu(&self) -> Result<(CpuStorage, Shape)> {
        match self.take()? {
            (Storage::Cpu(storage), shape) => Ok((storage, shape)),
            (other, _) => bail!("{NAME}: the value is on {:?}", other.device().location()),
        }
    }

    /// The value, for a CUDA device of candle.
    fn on_cuda(&self) -> Result<(CudaStorage, Shape)> {
        match self.take()? {
            (Storage::Cuda(storage), shape) => Ok((storage, shape)),
            (other, _) => bail!("{NAME}: the value is on {:?}", other.device().location()),
        }
    }

    /// The gradients of the graph's inputs: what was joined is joined again.
    fn backward(&self, grad: &Tensor) -> Result<[Option<Tensor>; 3]> {
        let found = (self.gradients)(grad)?;
        let sorted: Vec<&Tensor> = self.order.iter().map(|&n| &found[n]).collect();
        let first = |n: usize| sorted.get(n).map(|&tensor| tensor.clone());
        let third = match sorted.as_slice() {
            [_, _, _, _, ..] => Some(join(&sorted[2..])?),
            _ => first(2),
        };
        Ok([first(0), first(1), third])
    }
}

impl CustomOp1 for Operation {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [a, _, _] = self.backward(grad)?;
        Ok(a)
    }
}

impl CustomOp2 for Operation {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [a, b, _] = self.backward(grad)?;
        Ok((a, b))
    }
}

impl CustomOp3 for Operation {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [a, b, c] = self.backward(grad)?;
        Ok((a, b, c))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var, WithDType};

    use super::*;

    /// A scalar on the CPU.
    fn scalar(value: f64) -> Value {
        (Storage::Cpu(f64::to_cpu_storage_owned(vec![value])), Shape::from(()))
    }

    fn variable(values: &[f64], shape: &[usize]) -> Var {
        let tensor = Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
        Var::from_tensor(&tensor).unwrap()
    }

    /// `sum_n (n + 1) sum(x_n)^2`, whose gradients have the shapes of the inputs.
    fn weighted(inputs: &[Tensor]) -> Result<Tensor> {
        let sums: Vec<f64> =
            inputs.iter().map(|x| x.sum_all().unwrap().to_scalar::<f64>().unwrap()).collect();
        let weighted = |n: usize| (n + 1) as f64 * sums[n];
        let value: f64 = (0..sums.len()).map(|n| weighted(n) * sums[n]).sum();
        let shapes: Vec<Shape> = inputs.iter().map(|x| x.shape().clone()).collect();
        let slopes: Vec<f64> = (0..sums.len()).map(|n| 2.0 * weighted(n)).collect();
        attach(scalar(value), inputs, move |grad| {
            let grad = grad.to_scalar::<f64>()?;
            let gradient = |(shape, slope): (&Shape, &f64)| {
                Tensor::full(slope * grad, shape.clone(), &Device::Cpu)
            };
            shapes.iter().zip(&slopes).map(gradient).collect()
        })
    }

    #[test]
    fn any_number_of_inputs_gets_its_own_gradient() {
        for count in 0..=7 {
            let variables: Vec<Var> = (0..count)
                .map(|n| {
                    let rows = 1 + (3 * n) % 5;
                    let values: Vec<f64> = (0..2 * rows).map(|v| (v + n) as f64 / 8.0).collect();
                    variable(&values, &[rows, 2])
                })
                .collect();
            let inputs: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
            let loss = (weighted(&inputs).unwrap() * 3.0).unwrap();
            let gradients = loss.backward().unwrap();
            for (n, variable) in variables.iter().enumerate() {
                let sum = variable.sum_all().unwrap().to_scalar::<f64>().unwrap();
                let expected = 6.0 * (n + 1) as f64 * sum;
                let found = gradients.get(variable).unwrap();
                assert_eq!(found.dims(), variable.dims());
                let found = found.flatten_all().unwrap().to_vec1::<f64>().unwrap();
                assert!(found.iter().all(|&g| g == expected), "{count} inputs, input {n}");
            }
        }
    }

    #[test]
    fn passes_may_be_repeated_and_meet_in_threads() {
        let variables: Vec<Var> = (0..5).map(|n| variable(&[1.0 + n as f64], &[1])).collect();
        let inputs: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
        let value = weighted(&inputs).unwrap();
        std::thread::scope(|scope| {
            for factor in 1..=8 {
                let (value, variables) = (&value, &variables);
                scope.spawn(move || {
                    for _ in 0..20 {
                        let loss = (value * f64::from(factor)).unwrap();
                        let gradients = loss.backward().unwrap();
                        for (n, variable) in variables.iter().enumerate() {
                            let found = gradients.get(variable).unwrap();
                            let expected = f64::from(factor) * 2.0 * ((n + 1) * (n + 1)) as f64;
                            assert_eq!(found.to_vec1::<f64>().unwrap(), [expected]);
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn gradients_flow_on_to_what_the_inputs_are_made_of() {
        let x = variable(&[1.0, 2.0, 3.0, 4.0], &[2, 2]);
        let inputs = [
            x.t().unwrap(),
            x.narrow(0, 1, 1).unwrap(),
            (x.as_tensor() * 2.0).unwrap(),
            x.sqr().unwrap(),
        ];
        let gradients = weighted(&inputs).unwrap().backward().unwrap();
        let found = gradients.get(&x).unwrap().to_vec2::<f64>().unwrap();
        // Sums 10, 7, 20, 30; slopes 20, 28, 120, 240.
        let expected = |x: f64, row: usize| {
            20.0 + if row == 1 { 28.0 } else { 0.0 } + 2.0 * 120.0 + 2.0 * x * 240.0
        };
        for (row, values) in [[1.0, 2.0], [3.0, 4.0]].into_iter().enumerate() {
            assert_eq!(found[row], values.map(|x| expected(x, row)));
        }
    }

    #[test]
    fn an_error_of_the_gradients_comes_out() {
        let x = variable(&[1.0], &[1]);
        let fails = |_: &Tensor| Err(Error::Msg("no gradient".to_owned()));
        let value = attach(scalar(1.0), &[x.as_tensor().clone()], fails);
        let error = value.unwrap().backward().unwrap_err().to_string();
        assert!(error.contains("no gradient"), "{error}");
    }

    #[test]
    fn empty_inputs_have_empty_gradients() {
        let shapes = [[0, 2], [3, 1], [0, 1], [1, 1], [0, 3]];
        let variables: Vec<Var> = shapes
            .iter()
            .map(|shape| variable(&vec![1.0; shape.iter().product()], shape))
            .collect();
        let inputs: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
        let gradients = weighted(&inputs).unwrap().backward().unwrap();
        for (variable, shape) in variables.iter().zip(shapes) {
            assert_eq!(gradients.get(variable).unwrap().dims(), shape);
        }
    }
}
