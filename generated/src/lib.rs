//! The formulas that tilefold ships, compiled ahead of time: one module a formula, with typed
//! arguments, values and gradients.
//!
//! ```
//! use ndarray::array;
//! use tilefold_kernels::gaussian_conv::{self, Args};
//!
//! // a_i = sum_j exp(-gamma |x_i - y_j|^2) b_j
//! let x = array![[0.0, 0.0, 0.0]];
//! let y = array![[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]];
//! let b = array![[1.0], [2.0]];
//! let args = Args { x: x.view(), y: y.view(), b: b.view(), gamma: 0.5 };
//! let a = gaussian_conv::eval(&args)?.a;
//! assert!((a[[0, 0]] - (1.0 + 2.0 * (-0.5_f64).exp())).abs() < 1e-12);
//!
//! // The gradient of sum(a * d_a) with respect to every argument.
//! let d_a = array![[1.0]];
//! let vjp = gaussian_conv::vjp(&args, d_a.view())?;
//! assert_eq!(vjp.d_y.dim(), (2, 3));
//! # Ok::<(), tilefold::Error>(())
//! ```
#![allow(clippy::all, reason = "the modules are generated")]

include!("../formulas.rs");
