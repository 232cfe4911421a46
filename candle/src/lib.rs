//! Reductions of symbolic matrices on candle tensors, with gradients.
//!
//! A candle tensor becomes a variable of a formula by [`lazy_i`](TensorExt::lazy_i),
//! [`lazy_j`](TensorExt::lazy_j) or [`lazy_param`](TensorExt::lazy_param), without a copy. From
//! there on it is a [`tilefold::LazyTensor`] like any other, with the same operators and methods.
//! [`tensor`](LazyTensorExt::tensor) works a reduction out and gives a candle tensor back, through
//! which `backward` finds its way to all tensors of the formula, however many they are:
//!
//! ```
//! use candle_core::{DType, Device, Result, Var};
//! use tilefold_candle::{Axis, LazyTensorExt, TensorExt};
//!
//! # fn main() -> Result<()> {
//! let x = Var::randn(0_f32, 1.0, (100, 3), &Device::Cpu)?;
//! let y = Var::randn(0_f32, 1.0, (200, 3), &Device::Cpu)?;
//!
//! let x_i = x.lazy_i::<f32>()?; // symbolic: (100, 1, 3)
//! let y_j = y.lazy_j()?; // symbolic: (1, 200, 3)
//! let d_ij = (x_i - y_j).square().sum_inner(); // squared distances, never stored
//! let k_ij = (-d_ij).exp();
//! let a_i = k_ij.sum(Axis::J).tensor()?; // a tensor: (100, 1)
//!
//! let gradients = a_i.sqr()?.sum_all()?.backward()?;
//! assert_eq!(gradients.get(&x).unwrap().dims(), [100, 3]);
//! # Ok(())
//! # }
//! ```
//!
//! What is promised:
//! - a gradient is a formula of its own, found symbolically, and works tile by tile like the value;
//!   those of all tensors come from one pass;
//! - tensors that are no variables, and depend on none, cost nothing in `backward`;
//! - second derivatives are right where candle keeps graphs of gradients (with
//!   `CANDLE_GRAD_DO_NOT_DETACH=1`); where it does not, gradients have no graph at all, so that
//!   no part of a second derivative can be missing unnoticed;
//! - `f16`, `bf16`, `f32` and `f64` with any strides and offsets, `i64` for labels; other types are
//!   errors, and so are tensors on different devices;
//! - tensors are read under candle's locks: while a formula runs, or is queued on a device, who
//!   wants to write one waits.
//!
//! # CUDA
//!
//! With the feature `candle-cuda` the same lines work on tensors of a CUDA device: kernels read
//! candle's memory where it is, run on the stream of candle's device, and leave values and
//! gradients in memory that candle owns. Nothing is copied but the numbers beside an expression,
//! and nothing waits. A formula has to be linked with CUDA code, or compiled when it is met (the
//! feature `jit`); ranges are not on a device yet, and say so. The items of a batch follow each
//! other there, and the gradient of a tensor that several items share is refused: copy it to each
//! (`broadcast_as`, then `contiguous`), and candle adds up. Without the feature a tensor on a
//! device is an error.
//!
//! Candle compiles its own kernels with nvcc, and links CUDA's libraries so that a program does not
//! start without them: the page on `LazyTensor` says what a build needs. **No device has run
//! this**; the tests run it on a driver written for them.
//!
//! The map: `source` makes tensors readable for formulas, `nary` makes operations of any number of
//! inputs for candle, `tensor` brings both together; `device` is the same for CUDA, `matrix` the
//! shapes there, `no_device` what stands for them without the feature.

#[cfg_attr(not(feature = "candle-cuda"), path = "no_device.rs")]
mod device;
#[cfg(any(test, feature = "candle-cuda"))]
mod matrix;
mod nary;
mod source;
mod tensor;

pub use tilefold::Axis;

pub use self::source::TensorExt;
pub use self::tensor::{LazyTensorExt, Manner, Number};

/// A symbolic matrix on candle tensors.
pub type LazyTensor<T> = tilefold::LazyTensor<'static, T>;
