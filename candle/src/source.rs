//! Candle tensors as arrays of formulas. Goes in: a tensor. Comes out: a variable or a parameter
//! that reads the tensor's memory where it lies. It never copies.

use std::any::Any;
use std::sync::Arc;

use candle_core::{
    CpuStorage, DType, Device, Error, Layout, Result, Storage, StorageRef, Tensor, bail,
};
use ndarray::{ArrayViewD, IxDyn, ShapeBuilder};
use tilefold::lazy::{Reading, Source, SourceView};
use tilefold::{Axis, Element};

use crate::{LazyTensor, device};

/// Candle tensors as variables and parameters of formulas over `T`, which has to be the type of
/// their numbers.
///
/// # Errors
/// If a tensor is not on the CPU (or, with the feature `candle-cuda`, on a CUDA device), holds
/// other numbers than `T` (or `i64`, for labels), or has no axis or no component; on a device also
/// if the items of a batch do not follow each other.
pub trait TensorExt {
    /// A variable of the targets: shape `(M, D)`, or `(B.., M, D)` with batch dimensions; `(M)` is
    /// M rows of one component.
    #[track_caller]
    fn lazy_i<T: Element>(&self) -> Result<LazyTensor<T>>;

    /// A variable of the sources: shape `(N, D)`, or `(B.., N, D)` with batch dimensions; `(N)` is
    /// N rows of one component.
    #[track_caller]
    fn lazy_j<T: Element>(&self) -> Result<LazyTensor<T>>;

    /// A parameter, the same for all rows: shape `(D)`, or `(B.., D)` with batch dimensions; a
    /// scalar is one component.
    #[track_caller]
    fn lazy_param<T: Element>(&self) -> Result<LazyTensor<T>>;
}

impl TensorExt for Tensor {
    fn lazy_i<T: Element>(&self) -> Result<LazyTensor<T>> {
        leaf(self, Some(Axis::I))
    }

    fn lazy_j<T: Element>(&self) -> Result<LazyTensor<T>> {
        leaf(self, Some(Axis::J))
    }

    fn lazy_param<T: Element>(&self) -> Result<LazyTensor<T>> {
        leaf(self, None)
    }
}

/// A tensor as a variable or, without an axis, as a parameter.
#[track_caller]
pub(crate) fn leaf<T: Element>(tensor: &Tensor, axis: Option<Axis>) -> Result<LazyTensor<T>> {
    match tensor.device() {
        Device::Cpu => (),
        Device::Cuda(_) => device::check(tensor, axis)?,
        Device::Metal(_) => bail!(
            "tilefold: the tensor is on {:?}, but formulas on candle tensors run on CPUs and CUDA \
             devices; move it: tensor.to_device(&Device::Cpu)",
            tensor.device().location()
        ),
    }
    if !matches!(tensor.dtype(), DType::F16 | DType::BF16 | DType::F32 | DType::F64 | DType::I64) {
        bail!(
            "tilefold: the tensor holds {:?}, but formulas know f16, bf16, f32, f64, and i64 for \
             labels; convert it: tensor.to_dtype(...)",
            tensor.dtype()
        );
    }
    let source = TensorSource { tensor: tensor.clone(), axis };
    let leaf = LazyTensor::source(Arc::new(source), axis);
    match leaf.mistake() {
        Some(error) => Err(Error::wrap(error.clone())),
        None => Ok(leaf),
    }
}

/// A tensor on a device and of a type that formulas know, and the axis that it varies along.
pub(crate) struct TensorSource {
    tensor: Tensor,
    axis: Option<Axis>,
}

impl TensorSource {
    /// The tensor behind a variable that [`leaf`] made.
    pub fn tensor(source: &dyn Source) -> Option<&Tensor> {
        (source as &dyn Any).downcast_ref::<TensorSource>().map(|source| &source.tensor)
    }
}

impl Source for TensorSource {
    fn read(&self) -> Box<dyn Reading + '_> {
        let (storage, layout) = self.tensor.storage_and_layout();
        Box::new(Locked { storage, layout, axis: self.axis })
    }

    /// One tensor is one variable. Two tensors may share memory and still be two, as a tensor and
    /// what `detach` makes of it.
    fn is_same(&self, other: &dyn Source) -> bool {
        TensorSource::tensor(other).is_some_and(|other| other.id() == self.tensor.id())
    }
}

/// A tensor whose memory nobody writes.
struct Locked<'a> {
    storage: StorageRef<'a>,
    layout: &'a Layout,
    axis: Option<Axis>,
}

impl Reading for Locked<'_> {
    fn view(&self) -> SourceView<'_> {
        let layout = self.layout;
        match &*self.storage {
            Storage::Cpu(CpuStorage::F16(data)) => SourceView::F16(view(data, layout)),
            Storage::Cpu(CpuStorage::BF16(data)) => SourceView::BF16(view(data, layout)),
            Storage::Cpu(CpuStorage::F32(data)) => SourceView::F32(view(data, layout)),
            Storage::Cpu(CpuStorage::F64(data)) => SourceView::F64(view(data, layout)),
            Storage::Cpu(CpuStorage::I64(data)) => SourceView::I64(view(data, layout)),
            Storage::Cuda(storage) => device::view(storage, layout, self.axis),
            _ => unreachable!("`leaf` looked at the device and at the type"),
        }
    }
}

fn view<'a, T>(data: &'a [T], layout: &Layout) -> ArrayViewD<'a, T> {
    let shape = IxDyn(layout.dims());
    let view = match layout.shape().elem_count() {
        // The strides of an empty tensor may be any.
        0 => ArrayViewD::from_shape(shape, &[]),
        _ => {
            let shape = shape.strides(IxDyn(layout.stride()));
            ArrayViewD::from_shape(shape, &data[layout.start_offset()..])
        }
    };
    view.expect("a candle layout lies within its storage")
}
