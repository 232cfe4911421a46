//! Runs on the caller's stream. Goes in: device arrays, a workspace and a stream. Comes out:
//! launches in order. It never waits for the device and never allocates on it.

use std::fmt;
use std::sync::Arc;

use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaContext, CudaFunction, CudaStream, DevicePtr, DevicePtrMut};
use cudarc::driver::{DriverError, SyncOnDrop, result};
use num_complex::Complex;

use super::module::{CudaKernel, LoadedStage};
use super::plan::{ALIGN, Arguments, Plan, StageGrid, extent};
use crate::bind::Bound;
use crate::element::{Component, ComponentType, Element};
use crate::error::Error;
use crate::kernel::Stage;
use crate::operand::RawArray;
use crate::{sys, words};

/// An array on a device that a kernel reads. Cloning it copies a pointer.
#[derive(Clone)]
pub struct DeviceArray<'a> {
    memory: Memory<'a>,
    array: RawArray,
}

/// An array on a device that a kernel writes: dense, row after row.
pub struct DeviceArrayMut<'a> {
    memory: MemoryMut<'a>,
    array: RawArray,
}

#[derive(Clone)]
enum Memory<'a> {
    Slice(Arc<dyn Source + 'a>),
    Raw(CUdeviceptr),
}

enum MemoryMut<'a> {
    Slice(Box<dyn Target + 'a>),
    Raw(CUdeviceptr),
}

// SAFETY: the host reads no array by its address, which is none but of a device; slices are
// borrowed, and `Source` is `Send` and `Sync`.
unsafe impl Send for DeviceArray<'_> {}
// SAFETY: as above.
unsafe impl Sync for DeviceArray<'_> {}

/// A `DevicePtr<T>` whose type is forgotten.
trait Source: Send + Sync {
    fn pointer<'s>(&'s self, stream: &'s CudaStream) -> (CUdeviceptr, SyncOnDrop<'s>);
    fn owner(&self) -> &Arc<CudaStream>;
}

/// A `DevicePtrMut<T>` whose type is forgotten.
trait Target {
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

impl CudaKernel {
    /// Queues a run on a stream and returns at once. Arrays come in the order of the formula.
    ///
    /// Nothing is allocated on the device: `workspace` has at least
    /// [`workspace_bytes`](CudaKernel::workspace_bytes) bytes, or those of
    /// [`workspace_bytes_for`](CudaKernel::workspace_bytes_for) where arrays have batch dimensions,
    /// and may be used again by later work on the same stream. `rows` is as in
    /// [`run`](crate::run()).
    ///
    /// # Errors
    /// As [`run`](crate::run()) for arrays that do not fit;
    /// [`DeviceArgument`](crate::Code::DeviceArgument) for arrays of another context or a small
    /// workspace; [`Device`](crate::Code::Device) for what the driver reports. Failures on the
    /// device come out of a later call, when the stream gets there.
    pub fn run_on_stream<W: DevicePtrMut<u8>>(
        &self,
        stream: &CudaStream,
        inputs: &[DeviceArray<'_>],
        outputs: &mut [DeviceArrayMut<'_>],
        rows: Option<(usize, usize)>,
        workspace: &mut W,
    ) -> Result<(), Error> {
        let mut order = self.order(stream)?;
        let inputs = inputs.iter().map(|input| self.place(input, &mut order));
        let inputs = inputs.collect::<Result<Vec<RawArray>, Error>>()?;
        let bytes = workspace.len();
        let address = self.place_workspace(workspace, &mut order)?;
        self.queue(order, &inputs, outputs, rows, (address, bytes))
    }

    /// The order of a run on a stream, which must be one of the kernel's context.
    pub(crate) fn order<'s>(&self, stream: &'s CudaStream) -> Result<Order<'s>, Error> {
        self.same_context(stream.context(), "the stream")?;
        Ok(Order::new(self.kernel.name(), stream))
    }

    /// The address of a workspace.
    pub(crate) fn place_workspace<'s, W: DevicePtrMut<u8>>(
        &self,
        workspace: &'s mut W,
        order: &mut Order<'s>,
    ) -> Result<CUdeviceptr, Error> {
        self.same_context(workspace.stream().context(), "the workspace")?;
        order.behind(workspace.stream())?;
        let (address, guard) = workspace.device_ptr_mut(order.stream);
        order.guards.push(guard);
        if !address.is_multiple_of(ALIGN as u64) {
            let why = format!("the workspace lies at {address:#x}");
            let name = self.kernel.name();
            return Err(words::device_argument(name, why, "align it to 256 bytes"));
        }
        Ok(address)
    }

    /// Queues a run on arrays that were placed. The workspace is an address and its bytes.
    pub(crate) fn queue<'s>(
        &self,
        mut order: Order<'s>,
        inputs: &[RawArray],
        outputs: &'s mut [DeviceArrayMut<'_>],
        rows: Option<(usize, usize)>,
        (address, bytes): (CUdeviceptr, usize),
    ) -> Result<(), Error> {
        let mut bound = Bound::inputs(self.kernel, inputs, rows)?;
        let outputs = outputs.iter_mut().map(|output| self.place_mut(output, &mut order));
        let outputs = outputs.collect::<Result<Vec<RawArray>, Error>>()?;
        bound.outputs(self.kernel, &outputs)?;
        bound.batch_to_rows(self.kernel);
        let plan = self.plan((bound.sizes, bound.items()))?;
        if bytes < plan.bytes {
            return Err(self.small_workspace(bytes, plan.bytes));
        }
        for (index, data) in plan.temp_addresses(address) {
            bound.place_temp(index, data);
        }
        let launch = |step| self.launch(order.stream, &step, &bound, &plan, address);
        self.steps(&plan).try_for_each(launch)?;
        order.before_owners()
    }

    pub(crate) fn small_workspace(&self, bytes: usize, needed: usize) -> Error {
        let why = format!("the workspace has {bytes} bytes, but needs {needed}");
        let help = "ask workspace_bytes for the size";
        words::device_argument(self.kernel.name(), why, help)
    }

    pub(crate) fn place<'s>(
        &self,
        input: &'s DeviceArray<'_>,
        order: &mut Order<'s>,
    ) -> Result<RawArray, Error> {
        let address = match &input.memory {
            Memory::Raw(address) => *address,
            Memory::Slice(slice) => {
                self.same_context(slice.owner().context(), "an argument")?;
                order.behind(slice.owner())?;
                let (address, guard) = slice.pointer(order.stream);
                order.guards.push(guard);
                address
            }
        };
        Ok(RawArray { data: address as usize as *mut _, ..input.array.clone() })
    }

    fn place_mut<'s>(
        &self,
        output: &'s mut DeviceArrayMut<'_>,
        order: &mut Order<'s>,
    ) -> Result<RawArray, Error> {
        let address = match &mut output.memory {
            MemoryMut::Raw(address) => *address,
            MemoryMut::Slice(slice) => {
                self.same_context(slice.owner().context(), "an output")?;
                order.behind(slice.owner())?;
                let (address, guard) = slice.pointer(order.stream);
                order.guards.push(guard);
                address
            }
        };
        Ok(RawArray { data: address as usize as *mut _, ..output.array.clone() })
    }

    fn same_context(&self, other: &Arc<CudaContext>, what: &str) -> Result<(), Error> {
        if other.cu_ctx() == self.context.cu_ctx() {
            return Ok(());
        }
        let (here, there) = (self.context.ordinal(), other.ordinal());
        let why = format!("the kernel is loaded on cuda:{here}, but {what} is on cuda:{there}");
        let help = "load the kernel into the context of the arrays, and use one context";
        Err(words::device_argument(self.kernel.name(), why, help))
    }

    /// The stages with their grids, in order.
    pub(super) fn steps<'s>(&'s self, plan: &'s Plan) -> impl Iterator<Item = Step<'s>> {
        let stages = self.kernel.stages().zip(&self.stages).zip(&plan.grids);
        stages.map(|((stage, loaded), grid)| Step { stage, loaded, grid })
    }

    /// Queues one stage, for every item. The arrays of `bound` are valid on the device, and
    /// `workspace` has the plan's bytes.
    pub(super) fn launch(
        &self,
        stream: &CudaStream,
        step: &Step,
        bound: &Bound,
        plan: &Plan,
        workspace: CUdeviceptr,
    ) -> Result<(), Error> {
        let Step { stage, loaded, grid } = step;
        if grid.row_blocks == 0 {
            return Ok(());
        }
        // This also gives back what cudarc noted when it could not make the stream wait.
        let bind = stream.context().bind_to_thread();
        bind.map_err(|why| words::driver(self.kernel.name(), "choosing its context", why.0))?;
        let size = extent(*stage, bound.sizes);
        let states = workspace + plan.states as u64;
        let facts = &loaded.facts;
        let item = |values: &[sys::tf_array]| {
            let arguments = Arguments::new(values, size, grid, states);
            if let Some(rows) = &loaded.rows {
                let blocks = (grid.row_blocks, grid.splits);
                self.call(stream, rows, blocks, (facts.threads, facts.shared_bytes), &arguments)?;
            }
            self.call(stream, &loaded.finish, (grid.row_blocks, 1), (facts.threads, 0), &arguments)
        };
        let Some(batch) = &bound.batch else { return item(&bound.values) };
        let mut values = bound.values.clone();
        (0..batch.items()).try_for_each(|index| {
            for (value, (to, first)) in values.iter_mut().zip(&bound.values).enumerate() {
                to.data = first.data.wrapping_byte_offset(batch.offset(value, index));
            }
            item(&values)
        })
    }

    fn call(
        &self,
        stream: &CudaStream,
        entry: &CudaFunction,
        (row_blocks, splits): (u32, u32),
        (threads, shared): (u32, u32),
        arguments: &Arguments,
    ) -> Result<(), Error> {
        let mut pointers = arguments.pointers();
        // SAFETY: the entry takes these arguments (`tf_cuda_stage`); `arguments` outlives the
        // call, which copies them; the arrays were checked by `Bound`, and lie on this device.
        unsafe {
            result::launch_kernel(
                entry.cu_function(),
                (row_blocks, splits, 1),
                (threads, 1, 1),
                shared,
                stream.cu_stream(),
                &mut pointers,
            )
        }
        .map_err(|why| words::driver(self.kernel.name(), "a launch", why.0))
    }
}

/// What orders a run and other work on its arrays.
///
/// cudarc orders streams of one `CudaContext`, by events: dropping a guard tells it that the stream
/// uses the slice up to that point. It does not see that two of them may be one context of the
/// driver, as those of two libraries are, so work on such arrays is ordered here.
pub(crate) struct Order<'s> {
    name: &'static str,
    stream: &'s CudaStream,
    guards: Vec<SyncOnDrop<'s>>,
    owners: Vec<Arc<CudaStream>>,
}

impl<'s> Order<'s> {
    fn new(name: &'static str, stream: &'s CudaStream) -> Order<'s> {
        Order { name, stream, guards: Vec::with_capacity(8), owners: Vec::new() }
    }

    /// Lets the run begin when the stream that owns an array is done.
    fn behind(&mut self, owner: &Arc<CudaStream>) -> Result<(), Error> {
        let is_known = self.owners.iter().any(|known| Arc::ptr_eq(known, owner));
        if Arc::ptr_eq(owner.context(), self.stream.context()) || is_known {
            return Ok(());
        }
        self.owners.push(owner.clone());
        self.stream.join(owner).map_err(|why| self.failed(why))
    }

    /// Lets the streams that own arrays go on when the run is done.
    fn before_owners(&mut self) -> Result<(), Error> {
        while let Some(owner) = self.owners.pop() {
            owner.join(self.stream).map_err(|why| self.failed(why))?;
        }
        Ok(())
    }

    fn failed(&self, why: DriverError) -> Error {
        words::driver(self.name, "ordering two streams", why.0)
    }
}

impl Drop for Order<'_> {
    /// What was queued before a failure uses the arrays too; a second failure changes nothing.
    fn drop(&mut self) {
        let _ = self.before_owners();
    }
}

/// A stage with its entries and its grid.
pub(super) struct Step<'a> {
    pub stage: Stage<'static>,
    loaded: &'a LoadedStage,
    grid: &'a StageGrid,
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
