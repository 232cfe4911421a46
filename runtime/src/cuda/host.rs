//! Host arrays on a device. Goes in: a bound call. Comes out: filled outputs and a report. It
//! copies in, runs, and copies out; it waits for the device.

use std::slice;
use std::sync::Arc;
use std::time::Instant;

use cudarc::driver::sys::CUresult;
use cudarc::driver::{CudaContext, CudaSlice, CudaStream, DevicePtr, DriverError};

use super::device::{self, unavailable};
use super::module::CudaKernel;
use super::plan::{Plan, extent};
use crate::bind::{Bound, dense_bytes};
use crate::error::Error;
use crate::kernel::{Kernel, Value};
use crate::options::Options;
use crate::report::{Executor, Report, StageReport, Tier};
use crate::words;

/// A call with everything that can fail before the first launch behind it.
pub(crate) struct Prepared {
    loaded: Arc<CudaKernel>,
    stream: Arc<CudaStream>,
    plan: Plan,
    /// The call with dense arrays on the device, whose addresses are not in it yet.
    bound: Bound,
    inputs: Vec<CudaSlice<u8>>,
    outputs: Vec<CudaSlice<u8>>,
    workspace: CudaSlice<u8>,
    start: Instant,
}

/// Finds the device, loads the kernel and takes device memory.
pub(crate) fn prepare(
    kernel: &'static Kernel,
    bound: &Bound,
    options: &Options,
) -> Result<Prepared, Error> {
    let start = Instant::now();
    if !kernel.has_image() {
        return Err(words::no_image(kernel));
    }
    if let Some(why) = unavailable() {
        return Err(words::no_device(kernel.name(), why));
    }
    let count = device::count();
    if options.device >= count {
        let why = format!("device {} was asked for, but there are {count}", options.device);
        return Err(words::no_device(kernel.name(), why));
    }
    let context = CudaContext::new(options.device)
        .map_err(|why| words::driver(kernel.name(), "opening the device", why.0))?;
    let loaded = CudaKernel::load(&context, kernel)?;
    let (stream, name) = (context.default_stream(), kernel.name());
    let mut bound = bound.clone();
    let inputs = kernel.inputs().enumerate().map(|(index, value)| {
        let bytes = make_dense(&mut bound, index, &value);
        take(name, &stream, bytes.ok_or_else(|| overflow(kernel, &value, &bound))?)
    });
    let inputs = inputs.collect::<Result<_, Error>>()?;
    let outputs = kernel.outputs().map(|value| {
        let bytes = output_bytes(&bound, &value);
        take(name, &stream, bytes.ok_or_else(|| overflow(kernel, &value, &bound))?)
    });
    let outputs = outputs.collect::<Result<_, Error>>()?;
    bound.batch_to_rows(kernel);
    let plan = loaded.plan((bound.sizes, bound.items()))?;
    let workspace = take(name, &stream, plan.bytes)?;
    Ok(Prepared { loaded, stream, plan, bound, inputs, outputs, workspace, start })
}

/// Gives an input the strides of a dense copy, and says how many bytes that has.
fn make_dense(bound: &mut Bound, index: usize, value: &Value) -> Option<usize> {
    let array = &mut bound.values[index];
    (array.row_stride, array.col_stride) = (value.scalars() as i64, 1);
    let bytes = dense_bytes(array.rows as usize, value)?;
    bound.batch.as_mut().map_or(Some(bytes), |batch| batch.pack(index, bytes))
}

/// The bytes of an output, for all items.
fn output_bytes(bound: &Bound, value: &Value) -> Option<usize> {
    dense_bytes(bound.sizes.of(value.axis), value)?.checked_mul(bound.items())
}

fn overflow(kernel: &Kernel, value: &Value, bound: &Bound) -> Error {
    words::overflow_value(kernel, value, bound.sizes.of(value.axis))
}

/// Device memory for arrays or a workspace, of at least a byte.
pub(crate) fn take(
    name: &str,
    stream: &Arc<CudaStream>,
    bytes: usize,
) -> Result<CudaSlice<u8>, Error> {
    // SAFETY: inputs are copied to it, and kernels write the rest, before anything is read.
    unsafe { stream.alloc::<u8>(bytes.max(1)) }.map_err(|why| out_of(name, bytes, why))
}

/// Why there is no device memory.
pub(super) fn out_of(name: &str, bytes: usize, why: DriverError) -> Error {
    match why.0 {
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => words::out_of_memory(name, bytes, "device arrays"),
        other => words::driver(name, "taking memory", other),
    }
}

impl Prepared {
    /// Copies in, runs stage after stage, and copies out. `host` is the call that was prepared.
    pub fn run(mut self, host: Bound, options: &Options) -> Result<Report, Error> {
        let kernel = self.loaded.kernel;
        let (stream, name) = (self.stream.clone(), kernel.name());
        let failed = |doing| move |why: DriverError| words::driver(name, doing, why.0);
        for (index, (value, device)) in kernel.inputs().zip(&mut self.inputs).enumerate() {
            let gathered;
            let bytes = match dense(&host, index, &value) {
                Some(bytes) => bytes,
                None => {
                    gathered = gather(name, &host, index, &value)?;
                    &gathered
                }
            };
            stream.memcpy_htod(bytes, device).map_err(failed("copying in"))?;
            self.bound.values[index].data = address(device, &stream) as usize as *mut _;
        }
        let first = kernel.n_inputs() + kernel.n_temps();
        for (index, device) in self.outputs.iter().enumerate() {
            self.bound.values[first + index].data = address(device, &stream) as usize as *mut _;
        }
        let workspace = address(&self.workspace, &stream);
        for (index, data) in self.plan.temp_addresses(workspace) {
            self.bound.place_temp(index, data);
        }
        let stages = self.stages(workspace, options)?;
        for (index, (value, device)) in kernel.outputs().zip(&self.outputs).enumerate() {
            let array = &host.values[first + index];
            let Some(bytes) = output_bytes(&host, &value).filter(|&bytes| bytes > 0) else {
                continue;
            };
            // SAFETY: `Bound` checked that the caller's output is dense and has this size, with all
            // items; the caller holds it borrowed for us alone.
            let target = unsafe { slice::from_raw_parts_mut(array.data.cast::<u8>(), bytes) };
            let result = stream.memcpy_dtoh(&device.slice(..bytes), target);
            result.map_err(failed("copying out"))?;
        }
        stream.synchronize().map_err(failed("waiting for the results"))?;
        let executor = Executor::Cuda(self.loaded.context.ordinal());
        let seconds = self.start.elapsed().as_secs_f64();
        Ok(Report { executor, tier: Tier::Linked, prepared: 0.0, stages, seconds, note: None })
    }

    /// Runs the stages, waiting for each, so that the report has their times.
    fn stages(&self, workspace: u64, options: &Options) -> Result<Vec<StageReport>, Error> {
        let (kernel, bound) = (self.loaded.kernel, &self.bound);
        let mut reports = Vec::with_capacity(self.plan.grids.len());
        let wait = || {
            let result = self.stream.synchronize();
            result.map_err(|why| words::driver(kernel.name(), "waiting for a stage", why.0))
        };
        wait()?;
        for step in self.loaded.steps(&self.plan) {
            if options.is_cancelled() {
                return Err(words::cancelled(kernel.name()));
            }
            let start = Instant::now();
            self.loaded.launch(&self.stream, &step, bound, &self.plan, workspace)?;
            wait()?;
            let stage = step.stage;
            let (rows, cols) = extent(stage, bound.sizes);
            let cols = if stage.col_axis().is_some() { cols } else { 1 };
            let seconds = start.elapsed().as_secs_f64();
            let pairs = (rows as u64).saturating_mul(cols as u64);
            let pairs = pairs.saturating_mul(bound.items() as u64);
            reports.push(StageReport::new((rows, cols, pairs), stage.pair_ops(), seconds));
        }
        Ok(reports)
    }
}

/// The address of a slice that only its own stream uses, so that nothing needs to be recorded.
fn address(slice: &CudaSlice<u8>, stream: &CudaStream) -> u64 {
    slice.device_ptr(stream).0
}

/// The bytes of an input, if it is one item that lies row after row.
fn dense<'a>(host: &'a Bound, index: usize, value: &Value) -> Option<&'a [u8]> {
    let array = &host.values[index];
    let bytes = dense_bytes(array.rows as usize, value)?;
    if bytes == 0 {
        return Some(&[]);
    }
    let rows = array.rows == 1 || array.row_stride == value.scalars() as i64;
    // SAFETY: `Bound` checked the array, the caller holds it borrowed for the run, and by its
    // strides it covers just these bytes; floats have no padding.
    (host.batch.is_none() && rows && array.col_stride == 1)
        .then(|| unsafe { slice::from_raw_parts(array.data.cast::<u8>(), bytes) })
}

/// A dense copy of an input: the items that it has of its own, one after the other.
fn gather(name: &str, host: &Bound, index: usize, value: &Value) -> Result<Vec<u8>, Error> {
    let array = &host.values[index];
    let items: Vec<isize> = match &host.batch {
        None => vec![0],
        Some(batch) => batch.own_offsets(index).collect(),
    };
    let bytes = dense_bytes(array.rows as usize, value).and_then(|n| n.checked_mul(items.len()));
    let mut copy = Vec::new();
    let failed = |_| words::out_of_memory(name, bytes.unwrap_or(usize::MAX), "a dense copy");
    copy.try_reserve_exact(bytes.unwrap_or(usize::MAX)).map_err(failed)?;
    let size = value.component.scalar_size();
    let entries = |first: *const u8, copy: &mut Vec<u8>| {
        for row in 0..array.rows {
            for col in 0..value.scalars() as i64 {
                let offset = (row * array.row_stride + col * array.col_stride) as isize;
                // SAFETY: `Bound` checked the array with all its items; the item, the row and the
                // column are inside.
                let entry =
                    unsafe { slice::from_raw_parts(first.offset(offset * size as isize), size) };
                copy.extend_from_slice(entry);
            }
        }
    };
    for item in items {
        entries(array.data.cast::<u8>().wrapping_offset(item), &mut copy);
    }
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, ArrayD, ArrayView, ArrayView2, ArrayViewD, Dimension, IxDyn, s};

    use super::*;
    use crate::fake;
    use crate::operand::Operand;

    /// What would be copied to a device, and how many bytes there are for it.
    fn copied<D: Dimension>(x: ArrayView<f32, D>, y: ArrayViewD<f32>) -> (bool, Vec<u8>, usize) {
        let inputs = [Operand::from(x).raw, Operand::from(y).raw, Operand::from(&1_f32).raw];
        let kernel = fake::dot::<f32>();
        let mut bound = Bound::inputs(kernel, &inputs, None).unwrap();
        let value = kernel.inputs().next().unwrap();
        let (is_dense, bytes) = match dense(&bound, 0, &value) {
            Some(bytes) => (true, bytes.to_vec()),
            None => (false, gather("dot", &bound, 0, &value).unwrap()),
        };
        let room = make_dense(&mut bound, 0, &value).unwrap();
        (is_dense, bytes, room)
    }

    fn bytes(view: ArrayView2<f32>) -> (bool, Vec<u8>) {
        let (is_dense, bytes, room) = copied(view, ArrayD::ones(IxDyn(&[3, 2])).view());
        assert_eq!(bytes.len(), room);
        (is_dense, bytes)
    }

    #[test]
    fn items_that_an_array_has_of_its_own_are_copied_once() {
        let y = ArrayD::ones(IxDyn(&[2, 5, 3, 3, 2]));
        let x = ArrayD::from_shape_fn(IxDyn(&[2, 1, 3, 4, 2]), |at| {
            at.slice().iter().fold(0.0, |all, &n| 10.0 * all + n as f32)
        });
        let (is_dense, bytes, room) = copied(x.view(), y.view());
        let expected: Vec<u8> = x.iter().flat_map(|v| v.to_ne_bytes()).collect();
        assert_eq!((is_dense, &bytes, room), (false, &expected, expected.len()));
        // Repeated by its own strides, backwards, and every second item.
        let repeated = x.broadcast(IxDyn(&[2, 5, 3, 4, 2])).unwrap();
        let (_, bytes, room) = copied(repeated, y.view());
        assert_eq!((&bytes, room), (&expected, expected.len()));
        let some = x.slice_each_axis(|axis| match axis.axis.index() {
            2 => ndarray::Slice::new(0, None, -2),
            _ => ndarray::Slice::from(..),
        });
        let y = ArrayD::ones(IxDyn(&[2, 5, 2, 3, 2]));
        let (_, bytes, room) = copied(some.view(), y.view());
        let expected: Vec<u8> = some.iter().flat_map(|v| v.to_ne_bytes()).collect();
        assert_eq!((&bytes, room), (&expected, expected.len()));
        let none = ArrayD::<f32>::ones(IxDyn(&[0, 4, 2]));
        let y = ArrayD::ones(IxDyn(&[3, 2]));
        assert!(copied(none.view(), y.view()).1.is_empty());
    }

    #[test]
    fn strided_inputs_are_copied_row_after_row() {
        let whole = Array2::from_shape_fn((5, 4), |(r, c)| (10 * r + c) as f32);
        let cases = [
            (whole.slice(s![.., ..2]), false),
            (whole.slice(s![..;-2, 1..3]), false),
            (whole.slice(s![1..2, 2..]), true),
            (whole.slice(s![..0, ..2]), true),
            (whole.slice(s![1..3, ..;-2]), false),
        ];
        for (view, is_dense) in cases {
            let expected: Vec<u8> = view.iter().flat_map(|v| v.to_ne_bytes()).collect();
            assert_eq!(bytes(view), (is_dense, expected));
        }
        let pairs = Array2::from_shape_fn((5, 2), |(r, c)| (10 * r + c) as f32);
        assert!(bytes(pairs.view()).0);
        assert!(!bytes(pairs.row(1).broadcast((9, 2)).unwrap()).0);
    }
}
