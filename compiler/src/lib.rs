//! The tilefold compiler: text in, text out.
//!
//! It never does IO, starts a process, reads a clock or the environment, and never panics on what
//! a user wrote.

pub mod diag;
#[cfg(feature = "emit")]
pub mod emit;
#[cfg(feature = "text")]
pub mod front;
pub mod ir;
pub mod ops;
pub mod passes;
pub mod reduce;
pub mod schedule;
