//! What stands for `device` without the feature `candle-cuda`: every tensor on a CUDA device, which
//! other crates of a program may make, is refused where it would become a variable.

use candle_core::{CudaDevice, CudaStorage, Layout, Result, Tensor, bail};
use tilefold::Axis;
use tilefold::lazy::{Evaluation, SourceView};

use crate::nary::Value;
use crate::tensor::Number;

pub(crate) fn check(tensor: &Tensor, _: Option<Axis>) -> Result<()> {
    bail!(
        "tilefold: the tensor is on {:?}, but this program has tilefold-candle without its feature \
         candle-cuda; turn it on, or move the tensor: tensor.to_device(&Device::Cpu)",
        tensor.device().location()
    )
}

pub(crate) fn view<'a>(_: &'a CudaStorage, _: &Layout, _: Option<Axis>) -> SourceView<'a> {
    unreachable!("`check` refuses tensors on devices")
}

pub(crate) fn run<T: Number>(
    _: Evaluation<'_, '_, T>,
    _: usize,
    _: &CudaDevice,
) -> Result<Vec<Value>> {
    unreachable!("`check` refuses tensors on devices")
}
