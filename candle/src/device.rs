//! Tensors on CUDA devices. Goes in: candle's device memory with its layout, and evaluations. Comes
//! out: arrays of formulas, and values that candle owns, on the same device. It never copies, and
//! never waits for the device; it runs on the stream of candle's device, where candle queues
//! whatever comes before and after.

use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::cuda_backend::{CudaStorage, CudaStorageSlice};
use candle_core::{CudaDevice, Error, Layout, Result, Shape, Storage, Tensor, bail};
use tilefold::cuda::DeviceArray;
use tilefold::lazy::{DeviceValues, Evaluation, SourceView};
use tilefold::{Axis, Code, Component, Dtype, Element};

use crate::matrix::Matrix;
use crate::nary::Value;
use crate::tensor::Number;

/// Whether a tensor on a device can be a variable.
///
/// # Errors
/// As [`Matrix::new`].
pub(crate) fn check(tensor: &Tensor, axis: Option<Axis>) -> Result<()> {
    Matrix::new(tensor.layout(), axis).map(drop)
}

/// A tensor that [`check`] took, of a type that formulas know.
pub(crate) fn view<'a>(
    storage: &'a CudaStorage,
    layout: &Layout,
    axis: Option<Axis>,
) -> SourceView<'a> {
    let matrix = Matrix::new(layout, axis).expect("`check` took the shape");
    let Matrix { offset, shape, strides, batch } = matrix;
    let array = match &storage.slice {
        CudaStorageSlice::F16(slice) => DeviceArray::strided(slice, offset, shape, strides),
        CudaStorageSlice::BF16(slice) => DeviceArray::strided(slice, offset, shape, strides),
        CudaStorageSlice::F32(slice) => DeviceArray::strided(slice, offset, shape, strides),
        CudaStorageSlice::F64(slice) => DeviceArray::strided(slice, offset, shape, strides),
        CudaStorageSlice::I64(slice) => DeviceArray::strided(slice, offset, shape, strides),
        _ => unreachable!("`leaf` looked at the type"),
    };
    let array = array.expect("a candle layout lies within its storage");
    SourceView::Device(match batch.is_empty() {
        true => array,
        false => array.batch(&batch).expect("the rows are those of all items, of which there are"),
    })
}

/// Queues an evaluation on the stream of a device, and takes its values.
///
/// # Errors
/// As [`OnStream::run`](tilefold::lazy::OnStream::run), for complex values, and for sums over items
/// of a batch, which gradients of shared tensors are.
#[track_caller]
pub(crate) fn run<T: Number>(
    evaluation: Evaluation<'_, '_, T>,
    count: usize,
    device: &CudaDevice,
) -> Result<Vec<Value>> {
    let stream = device.cuda_stream();
    let mut values = evaluation.on(&stream).run().map_err(Error::wrap)?;
    (0..count).map(|n| value::<T>(&mut values, n, device)).collect()
}

const SHARED: &str = "tilefold: the gradient of a tensor that several items of a batch share is a \
                      sum over them, which is not worked out on a device; copy it to each item: \
                      tensor.broadcast_as(shape)?.contiguous()";

/// One value as candle's own memory.
fn value<T: Number>(values: &mut DeviceValues, n: usize, device: &CudaDevice) -> Result<Value> {
    let (rows, cols) = values.shape(n).map_err(Error::wrap)?;
    let dims = [values.batch(), &[rows, cols]].concat();
    let entries = dims.iter().fold(1_usize, |all, &dim| all.saturating_mul(dim));
    let found = match <T as Element>::DTYPE {
        Dtype::F16 => take(values, n, entries, CudaStorageSlice::F16)?,
        Dtype::BF16 => take(values, n, entries, CudaStorageSlice::BF16)?,
        Dtype::F32 => take(values, n, entries, CudaStorageSlice::F32)?,
        Dtype::F64 => take(values, n, entries, CudaStorageSlice::F64)?,
    };
    let slice = match found {
        Some(slice) => slice,
        None => values.take(n).map(CudaStorageSlice::I64).map_err(|why| match why.code() {
            Code::Batch => Error::Msg(SHARED.to_owned()),
            _ => Error::wrap(why),
        })?,
    };
    Ok((Storage::Cuda(CudaStorage { slice, device: device.clone() }), Shape::from(dims)))
}

/// A value of so many entries, if it is of this type.
fn take<C: Component>(
    values: &mut DeviceValues,
    n: usize,
    entries: usize,
    storage: fn(CudaSlice<C>) -> CudaStorageSlice,
) -> Result<Option<CudaStorageSlice>> {
    match values.take::<C>(n) {
        // The parts of complex numbers are two for each; what has no entry has memory for one.
        Ok(slice) if slice.len() > entries.max(1) => bail!(
            "tilefold: value {n} is complex, and candle has no complex numbers; take both parts: \
             as_real()"
        ),
        Ok(slice) => Ok(Some(storage(slice))),
        Err(_) => Ok(None),
    }
}
