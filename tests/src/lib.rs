//! The harness of the tests that cross crates.
//!
//! A [`problem::Problem`] is a formula with arrays. It can be answered by the [`oracle`] (which
//! knows nothing of the compiler's tables), by `ir::eval`, by compiled CPU code ([`native`]), by
//! compiled CPU code driven piece by piece ([`pieces`]), and by CUDA code, on the CPU
//! ([`emulated`]) and on a device ([`device`]). [`compare`] says how far two answers are apart.

pub mod accuracy;
pub mod book;
pub mod calls;
pub mod compare;
pub mod conformance;
pub mod derivatives;
pub mod device;
pub mod driver;
pub mod emulated;
pub mod finite;
pub mod folds;
pub mod generate;
pub mod held;
pub mod interpreted;
pub mod lazy_cases;
pub mod linked;
pub mod machines;
pub mod methods;
pub mod native;
pub mod oracle;
pub mod pieces;
pub mod problem;
pub mod rng;
pub mod sanitized;
pub mod searches;
pub mod sheet;
mod table;
pub mod toolchain;
