//! Expressions on a CUDA device. Goes in: arrays of a device, and evaluations with a stream. Comes
//! out: work that was queued, and its results on the device. It never copies an array to a device
//! or from it unless it is told to, and never waits but where a result goes to the host.

use std::panic::Location;
use std::sync::Arc;
use std::time::Instant;

use cudarc::driver::{CudaSlice, CudaStream, DevicePtrMut};
use ndarray::{Array2, ArrayD};

use super::evaluate::{Evaluation, gathered, is_in_parts};
use super::flat::{Flat, Input, Manner};
use super::node::{Leaf, mistake};
use super::source::{Held, device_shape};
use super::{LazyTensor, leaf, resolve, words};
use crate::bind::Bound;
use crate::cuda::{self, CudaKernel, DeviceArray, DeviceArrayMut, Order};
use crate::element::{Component, ComponentType, Dtype, Element};
use crate::error::{Code, Error};
use crate::kernel::Axis;
use crate::operand::RawArray;
use crate::options::Policy;
use crate::report::{Executor, Report, Tier};

/// Every number beside an expression has so many bytes of the workspace.
const NUMBER: usize = 16;

/// The numbers are in front of the rest of the workspace, which is aligned to this.
const ALIGN: usize = 256;

/// An array of an expression that lies on a device.
pub(crate) struct DeviceLeaf {
    array: DeviceArray<'static>,
    address: u64,
}

impl DeviceLeaf {
    /// Whether both are the same elements of the same memory.
    pub fn is_same(&self, other: &DeviceLeaf) -> bool {
        self.address == other.address && self.array.facts() == other.array.facts()
    }

    /// The array, which the expression keeps borrowed.
    pub fn array(&self) -> &DeviceArray<'static> {
        &self.array
    }
}

impl<'a, T: Element> LazyTensor<'a, T> {
    /// An array on a CUDA device: as [`i`](LazyTensor::i) and [`j`](LazyTensor::j) with an axis,
    /// and as [`param`](LazyTensor::param), of one row, without; with the batch dimensions that
    /// [`DeviceArray::batch`] gave it. It holds `T`, complex numbers of
    /// it, or `i64`. What is made of it is evaluated [`on`](crate::lazy::Evaluation::on) a stream.
    ///
    /// ```no_run
    /// use tilefold::cuda::{DeviceArray, cudarc::driver::CudaContext};
    /// use tilefold::{Axis, LazyTensor, evaluate};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let stream = CudaContext::new(0)?.new_stream()?;
    /// let x = stream.clone_htod(&vec![0.5_f32; 1000 * 3])?;
    /// let y = stream.clone_htod(&vec![0.25_f32; 2000 * 3])?;
    /// let x_i = LazyTensor::<f32>::device(DeviceArray::new(&x, (1000, 3))?, Some(Axis::I));
    /// let y_j = LazyTensor::device(DeviceArray::new(&y, (2000, 3))?, Some(Axis::J));
    /// let a_i = (-(x_i - y_j).square().sum_inner()).exp().sum(Axis::J);
    /// let mut values = evaluate(&[&a_i]).on(&stream).run()?;
    /// let a = values.take::<f32>(0)?;
    /// # let _ = a;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn device(array: DeviceArray<'a>, axis: Option<Axis>) -> LazyTensor<'a, T> {
        let at = Location::caller();
        let RawArray { component, rows, .. } = *array.facts();
        let is_entry = match component {
            ComponentType::Real(dtype) | ComponentType::Complex(dtype) => dtype == T::DTYPE,
            ComponentType::Index => true,
        };
        if !is_entry {
            return LazyTensor::from(mistake(words::source_type(component, T::TYPE, at)));
        }
        if axis.is_none() && rows != 1 {
            return LazyTensor::from(mistake(words::device_parameter(rows, at)));
        }
        let array = array.unbound();
        let address = array.address();
        let shape = device_shape(&array, axis);
        let array = Leaf::Device(Arc::new(DeviceLeaf { array, address }));
        leaf(Some(array), component, axis, &shape, at)
    }
}

impl<'e, 'a, T: Element> Evaluation<'e, 'a, T> {
    /// Evaluates on a stream of a CUDA device, whatever the policy says: the work is queued, and
    /// nothing waits for it. All arrays are of that device ([`LazyTensor::device`]); numbers beside
    /// expressions are copied there, in one copy, with each evaluation.
    ///
    /// Ranges are copied there as lists of what blocks of rows fold, with each evaluation. The
    /// kernels are those that are linked with CUDA code, or that the feature `jit` compiles for the
    /// device.
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// # use ndarray::Array2;
    /// # use tilefold::cuda::cudarc::driver::CudaStream;
    /// use tilefold::{Error, LazyTensor, evaluate};
    ///
    /// fn on_the_host(
    ///     value: &LazyTensor<'_, f32>,
    ///     stream: &Arc<CudaStream>,
    /// ) -> Result<Array2<f32>, Error> {
    ///     let values = evaluate(&[value]).on(stream).run()?;
    ///     values.to_host(0)
    /// }
    /// ```
    pub fn on<'s>(self, stream: &'s Arc<CudaStream>) -> OnStream<'e, 'a, 's, T> {
        OnStream { evaluation: self, stream }
    }
}

/// An evaluation on a stream. See [`Evaluation::on`](crate::lazy::Evaluation::on).
#[must_use = "an evaluation does nothing until it is run"]
pub struct OnStream<'e, 'a, 's, T> {
    evaluation: Evaluation<'e, 'a, T>,
    stream: &'s Arc<CudaStream>,
}

/// What an evaluation needs before it can be queued.
struct Ready<'e, T> {
    /// The sources are read until the work is queued.
    held: Held<'e>,
    flat: Flat<'e, T>,
    kernel: Arc<CudaKernel>,
    /// For each input of the kernel, the input of the expression.
    order: Vec<usize>,
    tier: Tier,
    prepared: f64,
    /// Whether no pass moved a sum out of the pairs.
    keeps_pairs: bool,
}

impl<'e, 'a, T: Element> OnStream<'e, 'a, '_, T> {
    /// The bytes of workspace that [`run_into`](OnStream::run_into) needs.
    ///
    /// # Errors
    /// As [`run`](OnStream::run).
    #[track_caller]
    pub fn workspace_bytes(&self) -> Result<usize, Error> {
        let ready = self.ready()?;
        let own = ready.kernel.workspace_of(self.bound(&ready)?)?;
        Ok(ready.numbers_bytes() + own)
    }

    /// Queues the work, and makes an array on the device for every value. Their memory and the
    /// workspace are taken and given back in the order of the stream, where the device has memory
    /// pools. It returns before the work is done.
    ///
    /// # Errors
    /// As [`Evaluation::run`](crate::lazy::Evaluation::run), and
    /// [`DeviceArgument`](crate::Code::DeviceArgument) for arrays of the host or of another device,
    /// [`NoImage`](crate::Code::NoImage) or
    /// [`NoExecutor`](crate::Code::NoExecutor) without CUDA code for the formula, and
    /// [`Device`](crate::Code::Device) for what the driver reports.
    #[track_caller]
    pub fn run(self) -> Result<DeviceValues, Error> {
        let start = Instant::now();
        let ready = self.ready()?;
        let bound = self.bound(&ready)?;
        let (kernel, stream) = (ready.kernel.kernel(), self.stream);
        let own = ready.kernel.workspace_of(bound.clone())?;
        let mut workspace = cuda::take(kernel.name(), stream, ready.numbers_bytes() + own)?;
        let (batch, items) = (bound.batch_shape(), bound.items());
        let slot = |(value, root): (crate::Value<'_>, &&LazyTensor<'a, T>)| {
            let shape = (bound.sizes.of(value.axis), value.dim);
            let all = (items * shape.0, shape.1);
            let slice = cuda::Slice::take(kernel.name(), stream, value.component, all)?;
            let (own, worked_out) = (root.node.batch.clone(), root.node.extent().into());
            Ok(Slot { component: value.component, own, worked_out, shape, slice: Some(slice) })
        };
        let slots = kernel.outputs().zip(&self.evaluation.roots).map(slot);
        let mut slots = slots.collect::<Result<Vec<Slot>, Error>>()?;
        let outputs = slots.iter_mut().filter_map(|slot| {
            let Slot { component, shape: (rows, cols), slice, .. } = slot;
            let array = slice.as_mut()?.array_mut(*component, (items * *rows, *cols));
            Some(array.and_then(|array| array.batch(batch)))
        });
        let mut outputs = outputs.collect::<Result<Vec<_>, Error>>()?;
        self.queue(&ready, &mut outputs, &mut workspace)?;
        drop(outputs);
        let report = self.report(&ready, start);
        // Without pools cudarc waits before it gives memory back, which is not to be here.
        let has_pools = stream.context().has_async_alloc();
        let workspace = (!has_pools).then_some(workspace);
        let batch = batch.to_vec();
        Ok(DeviceValues { slots, batch, stream: stream.clone(), report, _workspace: workspace })
    }

    /// Queues the work, and takes no memory of the device: the values go to `outputs`, in order.
    /// Where there are batch dimensions each has those of the call ([`DeviceArrayMut::batch`]), and
    /// a gradient with respect to an array that several items share comes as a part for each item.
    /// The workspace, aligned to 256 bytes, may be used again by later work on the stream.
    ///
    /// # Errors
    /// As [`run`](OnStream::run), and [`DeviceArgument`](crate::Code::DeviceArgument) for a
    /// workspace of less than [`workspace_bytes`](OnStream::workspace_bytes).
    #[track_caller]
    pub fn run_into<W: DevicePtrMut<u8>>(
        self,
        outputs: &mut [DeviceArrayMut<'_>],
        workspace: &mut W,
    ) -> Result<Report, Error> {
        let start = Instant::now();
        let ready = self.ready()?;
        self.queue(&ready, outputs, workspace)?;
        Ok(self.report(&ready, start))
    }

    #[track_caller]
    fn ready(&self) -> Result<Ready<'e, T>, Error> {
        let Evaluation { roots, options, .. } = &self.evaluation;
        self.evaluation.check()?;
        if options.is_cancelled() {
            return Err(crate::words::cancelled("expression"));
        }
        let ready = self.ready_in(roots, self.evaluation.manner)?;
        match self.bound(&ready) {
            // A sum left the pairs: the formula again, in which none does.
            Err(why) if why.code() == Code::RangesKernel => {
                self.ready_in(roots, Manner { pairs: true, ..self.evaluation.manner })
            }
            _ => Ok(ready),
        }
    }

    fn ready_in(
        &self,
        roots: &[&'e LazyTensor<'a, T>],
        manner: Manner,
    ) -> Result<Ready<'e, T>, Error> {
        let options = &self.evaluation.options;
        let flat = Flat::new(roots, manner);
        let held = Held::new(&flat.inputs);
        for (n, input) in flat.inputs.iter().enumerate() {
            held.device(n, input)?;
        }
        let known = resolve::known(&flat, manner)?;
        let device = self.stream.context().ordinal();
        let code = known.code(flat.pairs(), &options.executor(Policy::Cuda).device(device))?;
        let kernel = code.native().ok_or_else(words::programs_on_a_device)?;
        let (order, tier, prepared) = (code.order.to_vec(), code.tier, code.seconds);
        let kernel = CudaKernel::load(self.stream.context(), kernel)?;
        Ok(Ready { held, flat, kernel, order, tier, prepared, keeps_pairs: manner.pairs })
    }

    /// The arrays by their addresses, checked against each other.
    fn bound(&self, ready: &Ready<'e, T>) -> Result<Bound, Error> {
        let mut inputs = Vec::with_capacity(ready.order.len());
        for array in ready.arrays()? {
            inputs.push(match array {
                Some(array) => {
                    RawArray { data: array.address() as usize as *mut _, ..array.facts().clone() }
                }
                // A number, wherever the workspace will be.
                None => RawArray::dense(ALIGN as *mut _, T::TYPE, 1, 1),
            });
        }
        self.bind(ready, &inputs)
    }

    fn bind(&self, ready: &Ready<'e, T>, inputs: &[RawArray]) -> Result<Bound, Error> {
        let kernel = ready.kernel.kernel();
        let mut bound = Bound::inputs(kernel, inputs, self.evaluation.rows)?;
        match self.evaluation.ranges {
            None => (),
            Some(ranges) if ready.keeps_pairs => bound.restrict_pairs(kernel, ranges)?,
            Some(ranges) => bound.restrict(kernel, ranges)?,
        }
        Ok(bound)
    }

    fn queue<W: DevicePtrMut<u8>>(
        &self,
        ready: &Ready<'e, T>,
        outputs: &mut [DeviceArrayMut<'_>],
        workspace: &mut W,
    ) -> Result<(), Error> {
        let kernel = &*ready.kernel;
        let bytes = workspace.len();
        let arrays = ready.arrays()?;
        let mut order: Order<'_> = kernel.order(self.stream)?;
        let (front, mut numbers) = (ready.numbers_bytes(), Vec::new());
        let address = kernel.place_workspace(workspace, &mut order)?;
        if bytes < front {
            let needed = front + kernel.workspace_of(self.bound(ready)?)?;
            return Err(kernel.small_workspace(bytes, needed));
        }
        let mut inputs = Vec::with_capacity(arrays.len());
        for (array, &input) in arrays.iter().zip(&ready.order) {
            inputs.push(match (array, ready.flat.inputs[input]) {
                (Some(array), _) => kernel.place(array, &mut order)?,
                (None, Input::Number(&number)) => {
                    let at = address as usize + numbers.len();
                    numbers.extend(bytes_of(number));
                    RawArray::dense(at as *mut _, T::TYPE, 1, 1)
                }
                (None, Input::Array(..)) => unreachable!("an array is on a device, or refused"),
            });
        }
        if !numbers.is_empty() {
            cuda::put_numbers(kernel.kernel().name(), self.stream, address, &numbers)?;
        }
        let rest = (address + front as u64, bytes - front);
        kernel.queue(order, self.bind(ready, &inputs)?, outputs, rest)
    }

    fn report(&self, ready: &Ready<'e, T>, start: Instant) -> Report {
        Report {
            executor: Executor::Cuda(self.stream.context().ordinal()),
            tier: ready.tier,
            prepared: ready.prepared,
            stages: Vec::new(),
            seconds: start.elapsed().as_secs_f64(),
            note: Some("queued on a stream, and not waited for".into()),
        }
    }
}

impl<T: Element> Ready<'_, T> {
    /// The arrays in the order of the kernel's inputs; `None` is a number.
    fn arrays(&self) -> Result<Vec<Option<DeviceArray<'_>>>, Error> {
        let array = |&n: &usize| self.held.device(n, &self.flat.inputs[n]);
        self.order.iter().map(array).collect()
    }

    /// Bytes of the workspace in front, for the numbers.
    fn numbers_bytes(&self) -> usize {
        let numbers = self.flat.inputs.iter().filter(|input| matches!(input, Input::Number(_)));
        (numbers.count() * NUMBER).next_multiple_of(ALIGN)
    }
}

/// A number as a device reads it, in its place.
fn bytes_of<T: Element>(number: T) -> [u8; NUMBER] {
    let [value, _] = number.parts();
    let mut bytes = [0; NUMBER];
    match T::DTYPE {
        Dtype::F16 => bytes[..2].copy_from_slice(&half::f16::from_f64(value).to_ne_bytes()),
        Dtype::BF16 => bytes[..2].copy_from_slice(&half::bf16::from_f64(value).to_ne_bytes()),
        Dtype::F32 => bytes[..4].copy_from_slice(&(value as f32).to_ne_bytes()),
        Dtype::F64 => bytes[..8].copy_from_slice(&value.to_ne_bytes()),
    }
    bytes
}

/// The values of an evaluation on a stream, on its device. The work that makes them may not be
/// done: what reads them on the same stream, or through cudarc on another one, comes after it.
///
/// All of them have the batch dimensions of the call, one item after the other; a value that varies
/// along fewer is repeated.
pub struct DeviceValues {
    slots: Vec<Slot>,
    batch: Vec<usize>,
    stream: Arc<CudaStream>,
    report: Report,
    _workspace: Option<CudaSlice<u8>>,
}

struct Slot {
    component: ComponentType,
    /// The batch dimensions of the value.
    own: Box<[usize]>,
    /// Those that it was worked out for: a gradient is summed over the rest.
    worked_out: Box<[usize]>,
    shape: (usize, usize),
    slice: Option<cuda::Slice>,
}

impl DeviceValues {
    /// Rows and columns of an item of a value, counted from 0; complex numbers count once.
    ///
    /// # Errors
    /// For a value that is not there.
    pub fn shape(&self, index: usize) -> Result<(usize, usize), Error> {
        let slot = self.slots.get(index);
        slot.map(|slot| slot.shape).ok_or_else(|| words::no_value(index, self.slots.len()))
    }

    /// The batch dimensions of the call, which lie in front of rows and columns of every value.
    pub fn batch(&self) -> &[usize] {
        &self.batch
    }

    /// A value as an array on the device, for another expression or kernel.
    ///
    /// # Errors
    /// For a value that was taken before or that is not there, and for the gradient with respect to
    /// an array that several items share: it is a sum over them ([`to_host_nd`]), whose parts lie
    /// on the device.
    ///
    /// [`to_host_nd`]: DeviceValues::to_host_nd
    pub fn array(&self, index: usize) -> Result<DeviceArray<'_>, Error> {
        let (slot, slice) = self.slot(index)?;
        self.check_whole(index)?;
        slice.array(slot.component, self.all(slot))?.batch(&self.batch)
    }

    /// Moves a value out, row after row. Complex numbers are reals, the parts side by side. A value
    /// without rows comes as one element that means nothing.
    ///
    /// # Errors
    /// As [`array`](DeviceValues::array), and for another type.
    pub fn take<C: Component>(&mut self, index: usize) -> Result<CudaSlice<C>, Error> {
        let (slot, _) = self.slot(index)?;
        self.check_whole(index)?;
        let holds = match slot.component {
            ComponentType::Complex(dtype) => ComponentType::Real(dtype),
            other => other,
        };
        if holds != C::TYPE {
            return Err(words::value_type(index, holds, C::TYPE));
        }
        let slice = self.slots[index].slice.take().and_then(cuda::Slice::into_slice);
        slice.ok_or_else(|| words::no_value(index, self.slots.len()))
    }

    /// Waits for a value, and copies it to the host.
    ///
    /// # Errors
    /// For a value that was taken before or that is not there, for another type, for a value with
    /// batch dimensions, and for what went wrong on the device since the work was queued.
    pub fn to_host<C: Component>(&self, index: usize) -> Result<Array2<C>, Error> {
        match self.slots.get(index) {
            Some(slot) if !slot.own.is_empty() => Err(words::batched_value(&slot.own)),
            _ => {
                let array = self.to_host_nd::<C>(index)?.into_dimensionality();
                array.map_err(|_| words::no_value(index, self.slots.len()))
            }
        }
    }

    /// As [`to_host`](DeviceValues::to_host), with the batch dimensions of the value in front of
    /// rows and columns, if it has any. A gradient with respect to an array that several items
    /// share is added up in float64.
    ///
    /// # Errors
    /// As [`to_host`](DeviceValues::to_host), but for batch dimensions.
    pub fn to_host_nd<C: Component>(&self, index: usize) -> Result<ArrayD<C>, Error> {
        let (slot, slice) = self.slot(index)?;
        if slot.component != C::TYPE {
            return Err(words::value_type(index, slot.component, C::TYPE));
        }
        let (rows, cols) = self.all(slot);
        let host = slice.to_host::<C>("expression", &self.stream, rows * cols)?;
        let shape = [&self.batch[..], &[slot.shape.0, slot.shape.1]].concat();
        let array = ArrayD::from_shape_vec(shape, host);
        let array = array.map_err(|_| words::no_value(index, self.slots.len()))?;
        match *slot.own == *self.batch {
            true => Ok(array),
            false => Ok(gathered(array, &slot.own, &slot.worked_out)),
        }
    }

    /// What was queued: times are those of the host.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Rows and columns of a value with all its items.
    fn all(&self, slot: &Slot) -> (usize, usize) {
        (self.batch.iter().product::<usize>() * slot.shape.0, slot.shape.1)
    }

    /// Refuses a value that lies on the device in parts that are to be added.
    fn check_whole(&self, index: usize) -> Result<(), Error> {
        let Slot { own, worked_out, .. } = &self.slots[index];
        match is_in_parts(own, worked_out) {
            true => Err(words::parts_of_a_sum(index, own, &self.batch)),
            false => Ok(()),
        }
    }

    fn slot(&self, index: usize) -> Result<(&Slot, &cuda::Slice), Error> {
        let slot = self.slots.get(index);
        let found = slot.and_then(|slot| slot.slice.as_ref().map(|slice| (slot, slice)));
        found.ok_or_else(|| words::no_value(index, self.slots.len()))
    }
}
