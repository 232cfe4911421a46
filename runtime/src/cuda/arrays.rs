//! Arrays on a device. Goes in: slices, views and addresses with shapes. Comes out: what kernels
//! read and write there, checked to lie inside of what was passed. It never reads the numbers.

use std::fmt;
use std::sync::Arc;

use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaStream, DevicePtr, DevicePtrMut, SyncOnDrop};
use num_complex::Complex;

use crate::element::{Component, ComponentType, Element};
use crate::error::Error;
use crate::operand::RawArray;
use crate::words;

/// An array on a device that a kernel reads. Cloning it copies a pointer.
#[derive(Clone)]
pub struct DeviceArray<'a> {
    pub(super) memory: Memory<'a>,
    pub(super) array: RawArray,
}

/// An array on a device that a kernel writes: dense, row after row.
pub struct DeviceArrayMut<'a> {
    pub(super) memory: MemoryMut<'a>,
    pub(super) array: RawArray,
}

/// Where an array lies.
#[derive(Clone)]
pub(super) enum Memory<'a> {
    Slice(Arc<dyn Source + 'a>),
    Raw(CUdeviceptr),
}

/// As [`Memory`], to be written.
pub(super) enum MemoryMut<'a> {
    Slice(Box<dyn Target + 'a>),
    Raw(CUdeviceptr),
}

// SAFETY: the host reads no array by its address, which is none but of a device; slices are
// borrowed, and `Source` is `Send` and `Sync`.
unsafe impl Send for DeviceArray<'_> {}
// SAFETY: as above.
unsafe impl Sync for DeviceArray<'_> {}

/// A `DevicePtr<T>` whose type is forgotten.
pub(super) trait Source: Send + Sync {
    fn pointer<'s>(&'s self, stream: &'s CudaStream) -> (CUdeviceptr, SyncOnDrop<'s>);
    fn owner(&self) -> &Arc<CudaStream>;
}

/// A `DevicePtrMut<T>` whose type is forgotten.
pub(super) trait Target {
    fn pointer<'s>(&'s mut self, stream: &'s CudaStream) -> (CUdeviceptr, SyncOnDrop<'s>);
    fn owner(&self) -> &Arc<CudaStream>;
}

/// With the place of the first element.
struct Typed<'a, D, T>(&'a D, usize, std::marker::PhantomData<T>);

struct TypedMut<'a, D, T>(&'a mut D, std::marker::PhantomData<T>);

impl<T: Component, D: DevicePtr<T> + Sync> Source for Typed<'_, D, T> {
    fn pointer<'s>(&'s self, stream: &'s CudaStream) -> (CUdeviceptr, SyncOnDrop<'s>) {
        let (address, guard) = self.0.device_ptr(stream);
        (address + (self.1 * size_of::<T>()) as u64, guard)
    }
    fn owner(&self) -> &Arc<CudaStream> {
        self.0.stream()
    }
}

impl<T, D: DevicePtrMut<T>> Target for TypedMut<'_, D, T> {
    fn pointer<'s>(&'s mut self, stream: &'s CudaStream) -> (CUdeviceptr, SyncOnDrop<'s>) {
        self.0.device_ptr_mut(stream)
    }
    fn owner(&self) -> &Arc<CudaStream> {
        self.0.stream()
    }
}

impl<'a> DeviceArray<'a> {
    /// A slice or a view as an array of the given shape.
    ///
    /// # Errors
    /// [`DeviceArgument`](crate::Code::DeviceArgument) if it has too few elements.
    pub fn new<T: Component, D: DevicePtr<T> + Sync>(
        slice: &'a D,
        shape: (usize, usize),
    ) -> Result<DeviceArray<'a>, Error> {
        DeviceArray::of(slice, T::TYPE, shape)
    }

    /// Entries of a component whose scalars are `T`.
    pub(super) fn of<T: Component, D: DevicePtr<T> + Sync>(
        slice: &'a D,
        component: ComponentType,
        shape: (usize, usize),
    ) -> Result<DeviceArray<'a>, Error> {
        fits(slice.len(), component, shape)?;
        let array = RawArray::dense(std::ptr::null_mut(), component, shape.0, shape.1);
        let memory = Memory::Slice(Arc::new(Typed(slice, 0, std::marker::PhantomData)));
        Ok(DeviceArray { memory, array })
    }

    /// A part of a slice or a view: from an offset on, with strides, both counted in elements.
    ///
    /// # Errors
    /// [`DeviceArgument`](crate::Code::DeviceArgument) if it reaches outside of it.
    pub fn strided<T: Component, D: DevicePtr<T> + Sync>(
        slice: &'a D,
        offset: usize,
        shape: (usize, usize),
        strides: (usize, usize),
    ) -> Result<DeviceArray<'a>, Error> {
        let reach = |n: usize, stride: usize| n.saturating_sub(1).checked_mul(stride);
        let last = reach(shape.0, strides.0)
            .zip(reach(shape.1, strides.1))
            .and_then(|(rows, cols)| rows.checked_add(cols)?.checked_add(offset));
        let is_empty = shape.0 == 0 || shape.1 == 0;
        let fits = is_empty || last.is_some_and(|last| last < slice.len());
        let (Ok(row_stride), Ok(col_stride), true) =
            (isize::try_from(strides.0), isize::try_from(strides.1), fits)
        else {
            let len = slice.len();
            let why = format!("{len} elements have no {shape:?} with strides {strides:?}");
            return Err(words::device_argument("device array", why, "pass a longer slice"));
        };
        let offset = if is_empty { 0 } else { offset };
        let dense = RawArray::dense(std::ptr::null_mut(), T::TYPE, shape.0, shape.1);
        let array = RawArray { row_stride, col_stride, ..dense };
        let memory = Memory::Slice(Arc::new(Typed(slice, offset, std::marker::PhantomData)));
        Ok(DeviceArray { memory, array })
    }

    /// An array of complex numbers, whose parts lie side by side in a slice or a view of reals.
    ///
    /// # Errors
    /// As [`new`](DeviceArray::new).
    pub fn complex<T: Element, D: DevicePtr<T> + Sync>(
        slice: &'a D,
        shape: (usize, usize),
    ) -> Result<DeviceArray<'a>, Error> {
        DeviceArray::of(slice, Complex::<T>::TYPE, shape)
    }

    /// The same array without its lifetime. Whoever keeps it has to keep the borrow as well, and
    /// may drop it later: that touches no array.
    #[cfg(feature = "lazy")]
    pub(crate) fn unbound(self) -> DeviceArray<'static> {
        let memory = match self.memory {
            Memory::Raw(address) => Memory::Raw(address),
            // SAFETY: it differs in a lifetime only, which the caller keeps; what it holds is a
            // reference, so dropping it reads nothing of the array.
            Memory::Slice(slice) => Memory::Slice(unsafe {
                std::mem::transmute::<Arc<dyn Source + 'a>, Arc<dyn Source + 'static>>(slice)
            }),
        };
        DeviceArray { memory, array: self.array }
    }

    /// The same array as items of a batch, whose rows follow each other: `(b.., m, d)` is made of
    /// `(b.. * m, d)`, where a parameter has one row an item. Dimensions of all arrays of a call
    /// broadcast as in NumPy.
    ///
    /// ```no_run
    /// use tilefold::cuda::{DeviceArray, cudarc::driver::CudaContext};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let stream = CudaContext::new(0)?.new_stream()?;
    /// let x = stream.clone_htod(&vec![0.5_f32; 8 * 1000 * 3])?;
    /// let x = DeviceArray::new(&x, (8 * 1000, 3))?.batch(&[8])?;
    /// # let _ = x;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`DeviceArgument`](crate::Code::DeviceArgument) if its rows are not a multiple of so many
    /// items, if there is no item, or if it is a batch already.
    pub fn batch(self, shape: &[usize]) -> Result<DeviceArray<'a>, Error> {
        let DeviceArray { memory, array } = self;
        Ok(DeviceArray { memory, array: items(array, shape)? })
    }

    /// Where it lies.
    pub(crate) fn address(&self) -> CUdeviceptr {
        match &self.memory {
            Memory::Raw(address) => *address,
            Memory::Slice(slice) => slice.pointer(slice.owner()).0,
        }
    }

    /// Its shape, strides and component, with its address.
    pub(super) fn raw(&self) -> RawArray {
        RawArray { data: self.address() as usize as *mut _, ..self.array.clone() }
    }

    /// Its shape, strides and component, without an address.
    #[cfg(feature = "lazy")]
    pub(crate) fn facts(&self) -> &RawArray {
        &self.array
    }

    /// An array by device address, with strides in elements.
    ///
    /// # Safety
    /// Until the work on the stream is done, every element that shape and strides reach must be
    /// readable in the stream's context, and no other work may write it.
    pub unsafe fn from_raw_parts<T: Component>(
        data: CUdeviceptr,
        shape: (usize, usize),
        strides: (isize, isize),
    ) -> DeviceArray<'a> {
        let dense = RawArray::dense(std::ptr::null_mut(), T::TYPE, shape.0, shape.1);
        let array = RawArray { row_stride: strides.0, col_stride: strides.1, ..dense };
        DeviceArray { memory: Memory::Raw(data), array }
    }
}

impl<'a> DeviceArrayMut<'a> {
    /// As [`new`](DeviceArrayMut::new), of complex numbers whose parts lie side by side.
    ///
    /// # Errors
    /// As [`new`](DeviceArrayMut::new).
    pub fn complex<T: Element, D: DevicePtrMut<T>>(
        slice: &'a mut D,
        shape: (usize, usize),
    ) -> Result<DeviceArrayMut<'a>, Error> {
        DeviceArrayMut::of(slice, Complex::<T>::TYPE, shape)
    }

    /// A slice or a view as an array of the given shape.
    ///
    /// # Errors
    /// [`DeviceArgument`](crate::Code::DeviceArgument) if it has too few elements.
    pub fn new<T: Component, D: DevicePtrMut<T>>(
        slice: &'a mut D,
        shape: (usize, usize),
    ) -> Result<DeviceArrayMut<'a>, Error> {
        DeviceArrayMut::of(slice, T::TYPE, shape)
    }

    /// Entries of a component whose scalars are `T`.
    pub(super) fn of<T: Component, D: DevicePtrMut<T>>(
        slice: &'a mut D,
        component: ComponentType,
        shape: (usize, usize),
    ) -> Result<DeviceArrayMut<'a>, Error> {
        fits(slice.len(), component, shape)?;
        let array = RawArray::dense(std::ptr::null_mut(), component, shape.0, shape.1);
        let memory = MemoryMut::Slice(Box::new(TypedMut(slice, std::marker::PhantomData)));
        Ok(DeviceArrayMut { memory, array })
    }

    /// The same array as items of a batch, as [`DeviceArray::batch`].
    ///
    /// # Errors
    /// As [`DeviceArray::batch`].
    pub fn batch(self, shape: &[usize]) -> Result<DeviceArrayMut<'a>, Error> {
        let DeviceArrayMut { memory, array } = self;
        Ok(DeviceArrayMut { memory, array: items(array, shape)? })
    }

    /// A dense array by device address.
    ///
    /// # Safety
    /// Until the work on the stream is done, `shape.0 * shape.1` elements must be writable in
    /// the stream's context, and no other work may read or write them.
    pub unsafe fn from_raw_parts<T: Component>(
        data: CUdeviceptr,
        shape: (usize, usize),
    ) -> DeviceArrayMut<'a> {
        let array = RawArray::dense(std::ptr::null_mut(), T::TYPE, shape.0, shape.1);
        DeviceArrayMut { memory: MemoryMut::Raw(data), array }
    }
}

impl fmt::Debug for DeviceArray<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceArray({} x {} {})", self.array.rows, self.array.cols, self.array.component)
    }
}

impl fmt::Debug for DeviceArrayMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawArray { rows, cols, component, .. } = self.array;
        write!(f, "DeviceArrayMut({rows} x {cols} {component})")
    }
}

fn fits(len: usize, component: ComponentType, shape: (usize, usize)) -> Result<(), Error> {
    let needed = shape.0.checked_mul(shape.1).and_then(|n| n.checked_mul(component.scalars()));
    match needed {
        Some(needed) if needed <= len => Ok(()),
        _ => {
            let why = format!("{len} elements were passed as an array of shape {shape:?}");
            Err(words::device_argument("device array", why, "pass a longer slice"))
        }
    }
}

/// An array whose rows are items.
fn items(array: RawArray, shape: &[usize]) -> Result<RawArray, Error> {
    let (rows, is_batch) = (array.rows, !array.batch.is_empty());
    array.batched(shape).ok_or_else(|| {
        let why = match is_batch {
            true => format!("it has batch dimensions, and was to get {shape:?}"),
            false => format!("{rows} rows are no batch of shape {shape:?}"),
        };
        let help =
            "pass an array of as many rows as all items have, of which there is one at least";
        words::device_argument("device array", why, help)
    })
}
