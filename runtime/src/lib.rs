//! Runs reductions of symbolic matrices that tilefold compiled ahead of time: for every target
//! `i`, a fold of a formula over all sources `j`, without the M x N matrix.
//!
//! The program that uses this crate needs no compiler and no CUDA toolkit. Plain arrays go in
//! (views of `ndarray` with any strides, without a copy; slices on a CUDA device), and arrays
//! come out:
//!
//! ```
//! use ndarray::{Array2, ArrayView2};
//! use tilefold::{Call, Error, Kernel, Options};
//!
//! fn convolve(
//!     kernel: &'static Kernel,
//!     x: ArrayView2<f32>,
//!     y: ArrayView2<f32>,
//!     b: ArrayView2<f32>,
//! ) -> Result<Array2<f32>, Error> {
//!     let mut outputs = Call::new(kernel)
//!         .arg("x", x)
//!         .arg("y", y)
//!         .arg("b", b)
//!         .arg("gamma", &0.5_f32)
//!         .options(Options::new().threads(4))
//!         .run()?;
//!     println!("{}", outputs.report());
//!     outputs.take("a")
//! }
//! ```
//!
//! Generated crates wrap this in one typed function a formula ([`select`] finds the instance for
//! the dimensions at hand); [`Call`] is the way by names, [`run`](run()) the way by position, and
//! `cuda` the way on a stream of one's own.
//!
//! What is promised:
//! - shapes, types, strides, addresses, sizes, the descriptor and its key are checked before a
//!   kernel starts, and a refusal is an [`Error`] that names both sides and the remedy;
//! - CPU results are the same, bit for bit, for any number of threads, and CUDA results from run
//!   to run on one kind of device;
//! - memory grows with M + N, never with M x N;
//! - user input never causes a panic.
//!
//! The map: `sys` is the C descriptor, `kernel` checks it, `operand` holds the caller's arrays,
//! `bind` checks them against a kernel, `run` picks an executor, `host` and `cuda` are the two,
//! `interp` makes programs that `host` runs in the place of compiled code, `call`, `formula` and
//! `open` are the ways in, `ranges` names the pairs of block-sparse reductions and `cluster` finds
//! them, `batch` broadcasts, `linear` solves systems, and `words` has every error message. Unsafe
//! code is in `kernel`, `host` and `cuda`, in the unsafe constructors of `operand` and `formula`,
//! and where `interp` calls code that was compiled for the instructions of this processor.

#![deny(unsafe_code)]

#[cfg(test)]
extern crate self as tilefold;

// Written by bindgen and its formatter.
#[rustfmt::skip]
pub mod sys;

mod batch;
mod bind;
mod call;
pub mod cluster;
#[cfg(feature = "cuda")]
#[allow(unsafe_code)]
pub mod cuda;
mod element;
mod error;
#[cfg(feature = "lazy")]
mod files;
#[allow(unsafe_code)]
mod formula;
#[allow(unsafe_code)]
mod host;
#[cfg(feature = "lazy")]
mod interp;
#[cfg(feature = "jit")]
#[allow(unsafe_code)]
pub mod jit;
#[allow(unsafe_code)]
mod kernel;
#[cfg(feature = "lazy")]
pub mod lazy;
mod level;
pub mod linear;
mod open;
#[allow(unsafe_code)]
mod operand;
mod options;
mod ranges;
#[cfg(feature = "lazy")]
pub mod record;
mod report;
mod run;
mod words;

// The examples of the page are tests.
#[cfg(all(doctest, feature = "lazy"))]
#[doc = include_str!("../../docs/lazytensor.md")]
struct Page;

#[cfg(test)]
#[path = "../tests/fake/mod.rs"]
#[allow(unsafe_code)]
mod fake;

/// The 16-bit floats that arrays may hold.
pub use half::{bf16, f16};
/// The arrays of generated wrappers, so that their users need not depend on ndarray themselves.
pub use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2};
/// The numbers of complex arrays; the derivative with respect to one is `dL/dre + i dL/dim`.
pub use num_complex::Complex;

pub use self::call::{Call, Outputs};
pub use self::element::{Component, ComponentType, Dtype, Element};
pub use self::error::{Code, Error};
pub use self::formula::{Formula, Instance, select};
#[cfg(feature = "lazy")]
pub use self::interp::Interpreted;
pub use self::kernel::{Axis, Kernel, Stage, Value};
#[cfg(feature = "text")]
pub use self::lazy::Genred;
#[cfg(feature = "lazy")]
pub use self::lazy::{IntoLazy, LazyTensor, allow, evaluate, register};
pub use self::level::Level;
pub use self::open::OpenFormula;
pub use self::operand::{Operand, OutputMut};
pub use self::options::{Options, Policy, Tiers};
pub use self::ranges::Ranges;
pub use self::report::{Executor, Report, StageReport, Tier};
pub use self::run::run;
