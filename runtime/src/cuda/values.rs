//! Memory of results on a device. Goes in: a type that is known at run time, a length, a stream.
//! Comes out: a slice of that type, to be written, read, copied to the host or given away. It
//! never waits but where it copies to the host.

use std::any::Any;
use std::slice;
use std::sync::Arc;

use cudarc::driver::sys::{self, CUdeviceptr};
use cudarc::driver::{CudaSlice, CudaStream, DeviceRepr, DriverError, result};
use half::{bf16, f16};

use super::arrays::{DeviceArray, DeviceArrayMut};
use super::host::out_of;
use crate::element::{Component, ComponentType, Dtype};
use crate::error::Error;
use crate::host::memory::zeros;
use crate::words;

/// A slice; complex numbers are their parts, side by side.
pub(crate) enum Slice {
    F16(CudaSlice<f16>),
    BF16(CudaSlice<bf16>),
    F32(CudaSlice<f32>),
    F64(CudaSlice<f64>),
    I64(CudaSlice<i64>),
}

macro_rules! each {
    ($slice:expr, $name:ident => $body:expr) => {
        match $slice {
            Slice::F16($name) => $body,
            Slice::BF16($name) => $body,
            Slice::F32($name) => $body,
            Slice::F64($name) => $body,
            Slice::I64($name) => $body,
        }
    };
}

impl Slice {
    /// Memory for so many entries, of at least one.
    pub fn take(
        name: &str,
        stream: &Arc<CudaStream>,
        component: ComponentType,
        (rows, cols): (usize, usize),
    ) -> Result<Slice, Error> {
        fn some<C: DeviceRepr>(
            name: &str,
            stream: &Arc<CudaStream>,
            len: usize,
        ) -> Result<CudaSlice<C>, Error> {
            // SAFETY: kernels write it before anything is read.
            let taken = unsafe { stream.alloc::<C>(len.max(1)) };
            taken.map_err(|why| out_of(name, len.saturating_mul(size_of::<C>()), why))
        }
        let len = rows.saturating_mul(cols).saturating_mul(component.scalars());
        Ok(match component {
            ComponentType::Real(dtype) | ComponentType::Complex(dtype) => match dtype {
                Dtype::F16 => Slice::F16(some(name, stream, len)?),
                Dtype::BF16 => Slice::BF16(some(name, stream, len)?),
                Dtype::F32 => Slice::F32(some(name, stream, len)?),
                Dtype::F64 => Slice::F64(some(name, stream, len)?),
            },
            ComponentType::Index => Slice::I64(some(name, stream, len)?),
        })
    }

    /// To be read as an array of a component and a shape that it was taken for.
    pub fn array(
        &self,
        component: ComponentType,
        shape: (usize, usize),
    ) -> Result<DeviceArray<'_>, Error> {
        each!(self, slice => DeviceArray::of(slice, component, shape))
    }

    /// To be written as an array of a component and a shape that it was taken for.
    pub fn array_mut(
        &mut self,
        component: ComponentType,
        shape: (usize, usize),
    ) -> Result<DeviceArrayMut<'_>, Error> {
        each!(self, slice => DeviceArrayMut::of(slice, component, shape))
    }

    /// The slice, if it is of this type.
    pub fn into_slice<C: 'static>(self) -> Option<CudaSlice<C>> {
        let any: Box<dyn Any> = each!(self, slice => Box::new(slice));
        any.downcast().ok().map(|slice| *slice)
    }

    /// Copies the first `len` entries to the host, and waits for them. `C` is the component.
    pub fn to_host<C: Component>(
        &self,
        name: &str,
        stream: &Arc<CudaStream>,
        len: usize,
    ) -> Result<Vec<C>, Error> {
        fn copied<P: DeviceRepr>(
            from: &CudaSlice<P>,
            to: &mut [u8],
            stream: &Arc<CudaStream>,
        ) -> Result<(), DriverError> {
            let parts = to.len() / size_of::<P>();
            // SAFETY: the bytes are those of as many `P`, aligned as the components that they are
            // parts of; any bits are a number.
            let to = unsafe { slice::from_raw_parts_mut(to.as_mut_ptr().cast::<P>(), parts) };
            if parts > 0 {
                stream.memcpy_dtoh(&from.slice(..parts), to)?;
            }
            stream.synchronize()
        }
        let bytes = len.saturating_mul(size_of::<C>());
        let mut host =
            zeros::<C>(len).ok_or_else(|| words::out_of_memory(name, bytes, "a copy"))?;
        // SAFETY: the bytes of numbers, which have no padding.
        let to = unsafe { slice::from_raw_parts_mut(host.as_mut_ptr().cast::<u8>(), bytes) };
        each!(self, slice => copied(slice, to, stream))
            .map_err(|why| words::driver(name, "copying to the host", why.0))?;
        Ok(host)
    }
}

/// Copies a few bytes to an address of the stream's device, behind what the stream does.
pub(super) fn copy_in(
    name: &str,
    stream: &CudaStream,
    to: CUdeviceptr,
    bytes: &[u8],
) -> Result<(), Error> {
    let failed = |why: DriverError| words::driver(name, "copying numbers in", why.0);
    stream.context().bind_to_thread().map_err(failed)?;
    // SAFETY: the caller's workspace has room for them at that address.
    unsafe { result::memcpy_htod_async(to, bytes, stream.cu_stream()) }.map_err(failed)
}

/// As [`copy_in`], of words of 4 bytes. A graph that the stream records has them in itself: a copy
/// would be one of memory of the host that is gone when the graph runs.
#[cfg(feature = "lazy")]
pub(crate) fn put_numbers(
    name: &str,
    stream: &CudaStream,
    to: CUdeviceptr,
    bytes: &[u8],
) -> Result<(), Error> {
    if !is_recording(name, stream)? {
        return copy_in(name, stream, to, bytes);
    }
    let failed = |why: DriverError| words::driver(name, "recording numbers", why.0);
    let words: Vec<[u8; 4]> = bytes.as_chunks().0.to_vec();
    let mut at = to;
    for run in words.chunk_by(|one, next| one == next) {
        let word = u32::from_ne_bytes(run[0]);
        // SAFETY: as in `copy_in`.
        unsafe { sys::cuMemsetD32Async(at, word, run.len(), stream.cu_stream()) }
            .result()
            .map_err(failed)?;
        at += 4 * run.len() as u64;
    }
    Ok(())
}

/// Whether a stream records what it is told into a graph, instead of doing it.
pub(super) fn is_recording(name: &str, stream: &CudaStream) -> Result<bool, Error> {
    let status = stream.capture_status();
    let status = status.map_err(|why| words::driver(name, "asking for a graph", why.0))?;
    Ok(status != sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE)
}
