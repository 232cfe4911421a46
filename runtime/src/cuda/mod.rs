//! The CUDA executor. Goes in: a kernel with a CUDA image and arrays of the host or of a device.
//! Comes out: launches on a stream, or filled outputs. It never panics without a driver, never
//! takes device memory behind the caller's back in [`CudaKernel::run_on_stream`], and never
//! waits there.
//!
//! How far it was tested: everything here runs in the tests against a driver written for them
//! (`tests/driver`), which runs the text of the kernels on the CPU, keeps streams apart, and guards
//! memory; and what holds on any driver on a device, where there is one. It has run on an H100:
//! docs/cuda.md.
//!
//! Arrays and streams may come from several `CudaContext`s of one device: work on them is ordered.
//!
//! ```
//! use std::error::Error;
//! use tilefold::Kernel;
//! use tilefold::cuda::{CudaKernel, DeviceArray, DeviceArrayMut, cudarc::driver::CudaContext};
//!
//! fn on_a_stream(kernel: &'static Kernel) -> Result<Vec<f32>, Box<dyn Error>> {
//!     if let Some(why) = tilefold::cuda::unavailable() {
//!         return Err(why.into());
//!     }
//!     let context = CudaContext::new(0)?;
//!     let stream = context.new_stream()?;
//!     let (m, n) = (1000, 2000);
//!     let x = stream.clone_htod(&vec![0.5_f32; m * 3])?;
//!     let y = stream.clone_htod(&vec![0.25_f32; n * 3])?;
//!     let mut a = stream.alloc_zeros::<f32>(m)?;
//!
//!     let kernel = CudaKernel::load(&context, kernel)?;
//!     let mut workspace = stream.alloc_zeros::<u8>(kernel.workspace_bytes(m, n)?)?;
//!     let inputs = [DeviceArray::new(&x, (m, 3))?, DeviceArray::new(&y, (n, 3))?];
//!     let mut outputs = [DeviceArrayMut::new(&mut a, (m, 1))?];
//!     kernel.run_on_stream(&stream, &inputs, &mut outputs, None, &mut workspace)?;
//!     drop(outputs);
//!     Ok(stream.clone_dtoh(&a)?)
//! }
//! ```

mod arrays;
mod device;
mod host;
mod launch;
mod module;
mod plan;
mod tiles;
#[cfg_attr(
    not(feature = "lazy"),
    allow(dead_code, reason = "expressions have results of any type")
)]
mod values;

pub use cudarc;

pub use self::arrays::{DeviceArray, DeviceArrayMut};
pub(crate) use self::device::is_there;
pub use self::device::{DeviceInfo, devices, unavailable};
pub(crate) use self::host::{Prepared, prepare};
#[cfg(feature = "lazy")]
pub(crate) use self::launch::Order;
pub use self::module::CudaKernel;
#[cfg(feature = "lazy")]
pub(crate) use self::{
    host::take,
    values::{Slice, put_numbers},
};
