//! A case on a CUDA device, where its arrays stay. In: a kernel and arrays of the host. Out: the
//! time of a run, and the first rows of its result. It never times a copy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ndarray::Array2;
use tilefold::cuda::cudarc::driver::{
    CudaContext, CudaSlice, CudaStream, DevicePtr, DeviceRepr, ValidAsZeroBits,
};
use tilefold::cuda::{CudaKernel, DeviceArray, DeviceArrayMut};
use tilefold::{Component, Kernel};

use crate::cases::ARRAYS;

/// Runs take at least so long together.
const LEAST: Duration = Duration::from_millis(100);

/// What runs on a device.
pub trait Runs {
    /// Seconds of a run, the mean of as many as take a tenth of a second.
    fn time(&mut self) -> Result<f64, String>;

    /// The first so many numbers of the result.
    fn result(&self, count: usize) -> Result<Vec<f64>, String>;
}

/// A kernel and everything that it reads and writes: numbers of `T`, and results of `R`.
struct OnDevice<T, R> {
    stream: Arc<CudaStream>,
    kernel: Arc<CudaKernel>,
    inputs: Vec<(CudaSlice<T>, (usize, usize))>,
    output: (CudaSlice<R>, (usize, usize)),
    workspace: CudaSlice<u8>,
    wide: fn(R) -> f64,
}

/// What is said of any failure.
fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Copies the arrays that a kernel takes to a device. `width` is that of the result.
pub fn prepare<T, R>(
    context: &Arc<CudaContext>,
    kernel: &'static Kernel,
    arrays: &[Array2<T>; 4],
    g: T,
    width: usize,
    wide: fn(R) -> f64,
) -> Result<Box<dyn Runs>, String>
where
    T: Component + DeviceRepr + Sync,
    R: Component + DeviceRepr + ValidAsZeroBits,
{
    let stream = context.new_stream().map_err(words)?;
    let kernel_there = CudaKernel::load(context, kernel).map_err(words)?;
    let mut inputs = Vec::new();
    for value in kernel.inputs() {
        let array = ARRAYS.iter().position(|&name| name == value.name);
        let (numbers, shape) = match array {
            Some(n) => (arrays[n].as_slice().ok_or("strided")?.to_vec(), arrays[n].dim()),
            None => (vec![g], (1, 1)),
        };
        inputs.push((stream.clone_htod(&numbers).map_err(words)?, shape));
    }
    let (m, n) = (arrays[0].nrows(), arrays[1].nrows());
    let output = (stream.alloc_zeros(m * width).map_err(words)?, (m, width));
    let bytes = kernel_there.workspace_bytes(m, n).map_err(words)?;
    let workspace = stream.alloc_zeros(bytes.max(1)).map_err(words)?;
    let mut made = OnDevice { stream, kernel: kernel_there, inputs, output, workspace, wide };
    made.run()?;
    Ok(Box::new(made))
}

impl<T, R> OnDevice<T, R>
where
    T: Component + DeviceRepr + Sync,
    R: Component + DeviceRepr,
{
    /// Queues a run, and waits until it is done.
    fn run(&mut self) -> Result<(), String> {
        let inputs = self.inputs.iter().map(|(slice, shape)| DeviceArray::new(slice, *shape));
        let inputs: Vec<_> = inputs.collect::<Result<_, _>>().map_err(words)?;
        let (slice, shape) = &mut self.output;
        let mut outputs = [DeviceArrayMut::new(slice, *shape).map_err(words)?];
        let workspace = &mut self.workspace;
        self.kernel
            .run_on_stream(&self.stream, &inputs, &mut outputs, None, workspace)
            .map_err(words)?;
        self.stream.synchronize().map_err(words)
    }
}

impl<T, R> Runs for OnDevice<T, R>
where
    T: Component + DeviceRepr + Sync,
    R: Component + DeviceRepr,
    CudaSlice<R>: DevicePtr<R>,
{
    fn time(&mut self) -> Result<f64, String> {
        let (start, mut runs) = (Instant::now(), 0);
        while start.elapsed() < LEAST {
            self.run()?;
            runs += 1;
        }
        Ok(start.elapsed().as_secs_f64() / f64::from(runs))
    }

    fn result(&self, count: usize) -> Result<Vec<f64>, String> {
        let (slice, (rows, width)) = &self.output;
        let part = slice.slice(..count.min(rows * width));
        let numbers = self.stream.clone_dtoh(&part).map_err(words)?;
        Ok(numbers.into_iter().map(self.wide).collect())
    }
}
