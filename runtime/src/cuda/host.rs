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
use crate::{sys, words};

/// A call with everything that can fail before the first launch behind it.
pub(crate) struct Prepared {
    loaded: Arc<CudaKernel>,
    stream: Arc<CudaStream>,
    plan: Plan,
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
    let plan = loaded.plan(bound.sizes)?;
    let stream = context.default_stream();
    let name = kernel.name();
    let array = |value: Value| {
        let rows = bound.sizes.of(value.axis);
        let bytes = dense_bytes(rows, &value);
        take(name, &stream, bytes.ok_or_else(|| words::overflow_value(kernel, &value, rows))?)
    };
    let inputs = kernel.inputs().map(array).collect::<Result<_, _>>()?;
    let outputs = kernel.outputs().map(array).collect::<Result<_, _>>()?;
    let workspace = take(name, &stream, plan.bytes)?;
    Ok(Prepared { loaded, stream, plan, inputs, outputs, workspace, start })
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
    /// Copies in, runs stage after stage, and copies out.
    pub fn run(mut self, mut bound: Bound, options: &Options) -> Result<Report, Error> {
        let kernel = self.loaded.kernel;
        let (stream, name) = (self.stream.clone(), kernel.name());
        let failed = |doing| move |why: DriverError| words::driver(name, doing, why.0);
        let host = bound.values.clone();
        for (index, (value, device)) in kernel.inputs().zip(&mut self.inputs).enumerate() {
            let gathered;
            let bytes = match dense(&host[index], &value) {
                Some(bytes) => bytes,
                None => {
                    gathered = gather(name, &host[index], &value)?;
                    &gathered
                }
            };
            stream.memcpy_htod(bytes, device).map_err(failed("copying in"))?;
            place_dense(&mut bound.values[index], &value, address(device, &stream));
        }
        let first = kernel.n_inputs() + kernel.n_temps();
        for (index, (value, device)) in kernel.outputs().zip(&self.outputs).enumerate() {
            place_dense(&mut bound.values[first + index], &value, address(device, &stream));
        }
        let workspace = address(&self.workspace, &stream);
        for (index, data) in self.plan.temp_addresses(workspace) {
            bound.place_temp(index, data);
        }
        let stages = self.stages(&bound, workspace, options)?;
        for (index, (value, device)) in kernel.outputs().zip(&self.outputs).enumerate() {
            let array = &host[first + index];
            let Some(bytes) = dense_bytes(array.rows as usize, &value).filter(|&n| n > 0) else {
                continue;
            };
            // SAFETY: `Bound` checked that the caller's output is dense and has this size; the
            // caller holds it borrowed for us alone.
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
    fn stages(
        &self,
        bound: &Bound,
        workspace: u64,
        options: &Options,
    ) -> Result<Vec<StageReport>, Error> {
        let kernel = self.loaded.kernel;
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
            reports.push(StageReport::new((rows, cols, pairs), stage.pair_ops(), seconds));
        }
        Ok(reports)
    }
}

/// The address of a slice that only its own stream uses, so that nothing needs to be recorded.
fn address(slice: &CudaSlice<u8>, stream: &CudaStream) -> u64 {
    slice.device_ptr(stream).0
}

/// Makes an entry of the table a dense device array.
fn place_dense(array: &mut sys::tf_array, value: &Value, address: u64) {
    array.data = address as usize as *mut _;
    array.row_stride = value.scalars() as i64;
    array.col_stride = 1;
}

/// The bytes of an input, if they lie row after row.
fn dense<'a>(array: &sys::tf_array, value: &Value) -> Option<&'a [u8]> {
    let bytes = dense_bytes(array.rows as usize, value)?;
    if bytes == 0 {
        return Some(&[]);
    }
    let rows = array.rows == 1 || array.row_stride == value.scalars() as i64;
    // SAFETY: `Bound` checked the array, the caller holds it borrowed for the run, and by its
    // strides it covers just these bytes; floats have no padding.
    (rows && array.col_stride == 1)
        .then(|| unsafe { slice::from_raw_parts(array.data.cast::<u8>(), bytes) })
}

/// A dense copy of an input.
fn gather(name: &str, array: &sys::tf_array, value: &Value) -> Result<Vec<u8>, Error> {
    let bytes = dense_bytes(array.rows as usize, value).unwrap_or(usize::MAX);
    let mut copy = Vec::new();
    let failed = |_| words::out_of_memory(name, bytes, "a dense copy");
    copy.try_reserve_exact(bytes).map_err(failed)?;
    let size = value.component.scalar_size();
    for row in 0..array.rows {
        for col in 0..value.scalars() as i64 {
            let offset = (row * array.row_stride + col * array.col_stride) as isize;
            // SAFETY: `Bound` checked the array; row and column are inside.
            let entry = unsafe {
                slice::from_raw_parts(array.data.cast::<u8>().offset(offset * size as isize), size)
            };
            copy.extend_from_slice(entry);
        }
    }
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, ArrayView2, s};

    use super::*;
    use crate::fake;
    use crate::operand::Operand;

    /// What would be copied to a device.
    fn bytes(view: ArrayView2<f32>) -> (bool, Vec<u8>) {
        let y = Array2::<f32>::ones((3, 2));
        let inputs = [Operand::from(view).raw, Operand::from(&y).raw, Operand::from(&1_f32).raw];
        let kernel = fake::dot::<f32>();
        let bound = Bound::inputs(kernel, &inputs, None).unwrap();
        let value = kernel.inputs().next().unwrap();
        match dense(&bound.values[0], &value) {
            Some(bytes) => (true, bytes.to_vec()),
            None => (false, gather("dot", &bound.values[0], &value).unwrap()),
        }
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
