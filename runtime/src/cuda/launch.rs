//! Runs on the caller's stream. Goes in: device arrays, a workspace and a stream. Comes out:
//! launches in order. It never waits for the device and never allocates on it.

use std::sync::Arc;

use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaContext, CudaFunction, CudaStream, DevicePtrMut};
use cudarc::driver::{DriverError, SyncOnDrop, result};

use super::arrays::{DeviceArray, DeviceArrayMut, Memory, MemoryMut};
use super::module::{CudaKernel, LoadedStage};
use super::plan::{ALIGN, Arguments, Plan, Sparse, StageGrid, Work, extent};
use super::values::{copy_in, is_recording};
use crate::bind::Bound;
use crate::error::Error;
use crate::kernel::Stage;
use crate::operand::RawArray;
use crate::ranges::Ranges;
use crate::{sys, words};

impl CudaKernel {
    /// Queues a run on a stream and returns at once. Arrays come in the order of the formula.
    ///
    /// Nothing is allocated on the device: `workspace` has at least
    /// [`workspace_bytes`](CudaKernel::workspace_bytes) bytes, or those of
    /// [`workspace_bytes_for`](CudaKernel::workspace_bytes_for) where arrays have batch dimensions,
    /// and may be used again by later work on the same stream. `rows` is as in
    /// [`run`](crate::run()).
    ///
    /// A stream may record a run into a CUDA graph. Events of arrays are not part of one, so the
    /// context must not track them then (`CudaContext::disable_event_tracking` of cudarc).
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
        self.run_on(stream, (inputs, outputs), rows, None, workspace)
    }

    /// As [`run_on_stream`](CudaKernel::run_on_stream), with reductions restricted to ranges. The
    /// workspace has the bytes of [`workspace_bytes_for`](CudaKernel::workspace_bytes_for). The
    /// list of what each block of rows folds is made here, and copied to the workspace in pieces of
    /// at most 64 KiB, which the driver takes without waiting for the stream; so a graph cannot
    /// record it.
    ///
    /// ```no_run
    /// use tilefold::Ranges;
    /// use tilefold::cuda::cudarc::driver::{CudaSlice, CudaStream};
    /// use tilefold::cuda::{CudaKernel, DeviceArray, DeviceArrayMut};
    ///
    /// fn near(
    ///     kernel: &CudaKernel,
    ///     stream: &std::sync::Arc<CudaStream>,
    ///     (x, y): (&CudaSlice<f32>, &CudaSlice<f32>),
    /// ) -> Result<CudaSlice<f32>, Box<dyn std::error::Error>> {
    ///     let ranges = Ranges::from_blocks([(0..500, 0..800), (500..1000, 800..2000)])?;
    ///     let inputs = [DeviceArray::new(x, (1000, 3))?, DeviceArray::new(y, (2000, 3))?];
    ///     let bytes = kernel.workspace_bytes_for(&inputs, None, Some(&ranges))?;
    ///     let mut workspace = stream.alloc_zeros::<u8>(bytes)?;
    ///     let mut a = stream.alloc_zeros::<f32>(1000)?;
    ///     let mut outputs = [DeviceArrayMut::new(&mut a, (1000, 1))?];
    ///     let workspace = &mut workspace;
    ///     kernel.run_ranges_on_stream(stream, &ranges, &inputs, &mut outputs, None, workspace)?;
    ///     drop(outputs);
    ///     Ok(a)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`run_on_stream`](CudaKernel::run_on_stream), and as [`run`](crate::run()) for ranges
    /// that do not fit.
    pub fn run_ranges_on_stream<W: DevicePtrMut<u8>>(
        &self,
        stream: &CudaStream,
        ranges: &Ranges,
        inputs: &[DeviceArray<'_>],
        outputs: &mut [DeviceArrayMut<'_>],
        rows: Option<(usize, usize)>,
        workspace: &mut W,
    ) -> Result<(), Error> {
        self.run_on(stream, (inputs, outputs), rows, Some(ranges), workspace)
    }

    fn run_on<W: DevicePtrMut<u8>>(
        &self,
        stream: &CudaStream,
        (inputs, outputs): (&[DeviceArray<'_>], &mut [DeviceArrayMut<'_>]),
        rows: Option<(usize, usize)>,
        ranges: Option<&Ranges>,
        workspace: &mut W,
    ) -> Result<(), Error> {
        let mut order = self.order(stream)?;
        let inputs = inputs.iter().map(|input| self.place(input, &mut order));
        let inputs = inputs.collect::<Result<Vec<RawArray>, Error>>()?;
        let bytes = workspace.len();
        let address = self.place_workspace(workspace, &mut order)?;
        let mut bound = Bound::inputs(self.kernel, &inputs, rows)?;
        ranges.map_or(Ok(()), |ranges| bound.restrict(self.kernel, ranges))?;
        self.queue(order, bound, outputs, (address, bytes))
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

    /// Queues a run on inputs that were placed. The workspace is an address and its bytes.
    pub(crate) fn queue<'s>(
        &self,
        mut order: Order<'s>,
        mut bound: Bound,
        outputs: &'s mut [DeviceArrayMut<'_>],
        (address, bytes): (CUdeviceptr, usize),
    ) -> Result<(), Error> {
        let outputs = outputs.iter_mut().map(|output| self.place_mut(output, &mut order));
        let outputs = outputs.collect::<Result<Vec<RawArray>, Error>>()?;
        bound.outputs(self.kernel, &outputs)?;
        bound.batch_to_rows(self.kernel);
        let plan = self.plan(Work::of(&bound))?;
        if bytes < plan.bytes {
            return Err(self.small_workspace(bytes, plan.bytes));
        }
        for (index, data) in plan.temp_addresses(address) {
            bound.place_temp(index, data);
        }
        self.copy_lists(order.stream, &plan, address)?;
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
        let stages = self.kernel.stages().zip(&self.stages).zip(&plan.grids).zip(&plan.sparse);
        stages.map(|(((stage, loaded), grid), sparse)| Step {
            stage,
            loaded,
            grid,
            sparse: sparse.as_ref(),
        })
    }

    /// Copies tile lists to where the plan has them. Pieces are as large as CUDA takes without
    /// waiting: its guide names copies "from host to device of a memory block of 64 KB or less".
    pub(super) fn copy_lists(
        &self,
        stream: &CudaStream,
        plan: &Plan,
        workspace: CUdeviceptr,
    ) -> Result<(), Error> {
        let mut lists = plan.sparse.iter().flatten().peekable();
        if lists.peek().is_some() && is_recording(self.kernel.name(), stream)? {
            let why = "the stream records a graph, which would copy the list of ranges from memory \
                       of the host that is gone when it runs";
            let help = "run it while the stream does not record, or without ranges";
            return Err(words::device_argument(self.kernel.name(), why, help));
        }
        for Sparse { list, offset } in lists {
            let mut at = workspace + *offset as u64;
            for piece in list.table().chunks(64 << 10) {
                copy_in(self.kernel.name(), stream, at, piece)?;
                at += piece.len() as u64;
            }
        }
        Ok(())
    }

    /// Queues one stage, for every item: as many at a time as the plan says, where they follow each
    /// other. The arrays of `bound` are valid on the device, and `workspace` has the plan's bytes.
    pub(super) fn launch(
        &self,
        stream: &CudaStream,
        step: &Step,
        bound: &Bound,
        plan: &Plan,
        workspace: CUdeviceptr,
    ) -> Result<(), Error> {
        let Step { stage, loaded, grid, sparse } = step;
        if grid.row_blocks == 0 {
            return Ok(());
        }
        // This also gives back what cudarc noted when it could not make the stream wait.
        let bind = stream.context().bind_to_thread();
        bind.map_err(|why| words::driver(self.kernel.name(), "choosing its context", why.0))?;
        let size = extent(*stage, bound.sizes);
        let states = workspace + plan.states as u64;
        let facts = &loaded.facts;
        let launch = |values: &[sys::tf_array], items: u32| {
            let mut arguments = Arguments::new(values, size, grid, states);
            let mut blocks = (grid.row_blocks, grid.splits, items);
            let mut finishes = (grid.row_blocks, 1, items);
            if let Some(Sparse { list, offset }) = sparse {
                let at = workspace + *offset as u64;
                blocks = (list.folds.len() as u32, 1, items);
                finishes.0 = list.finishes.len() as u32;
                arguments = arguments.sparse(list.of_folds(at));
            }
            if let Some([dense, tiles]) = loaded.folds.as_ref().filter(|_| blocks.0 > 0) {
                let fold = if sparse.is_some() || items > 1 { tiles } else { dense };
                self.call(stream, fold, blocks, (facts.threads, facts.shared_bytes), &arguments)?;
            }
            if let Some(Sparse { list, offset }) = sparse {
                arguments = arguments.sparse(list.of_finishes(workspace + *offset as u64));
            }
            self.call(stream, &loaded.finish, finishes, (facts.threads, 0), &arguments)
        };
        let Some(batch) = &bound.batch else { return launch(&bound.values, 1) };
        let (run, steps) = batch.run();
        let mut values = bound.values.clone();
        for (to, step) in values.iter_mut().zip(steps) {
            to.item_bytes = step as i64;
        }
        let mut next = 0;
        while next < batch.items() {
            let items = (grid.items as usize).min(run - next % run);
            for (value, (to, first)) in values.iter_mut().zip(&bound.values).enumerate() {
                to.data = first.data.wrapping_byte_offset(batch.offset(value, next));
            }
            launch(&values, items as u32)?;
            next += items;
        }
        Ok(())
    }

    fn call(
        &self,
        stream: &CudaStream,
        entry: &CudaFunction,
        blocks: (u32, u32, u32),
        (threads, shared): (u32, u32),
        arguments: &Arguments,
    ) -> Result<(), Error> {
        let mut pointers = arguments.pointers();
        // SAFETY: the entry takes these arguments (`tf_cuda_stage`); `arguments` outlives the
        // call, which copies them; the arrays were checked by `Bound`, and lie on this device.
        unsafe {
            result::launch_kernel(
                entry.cu_function(),
                blocks,
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
    sparse: Option<&'a Sparse>,
}
