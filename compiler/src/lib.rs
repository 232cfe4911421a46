//! The tilefold compiler: text in, text out.
//!
//! It never does IO, starts a process, reads a clock or the environment, and never panics on what
//! a user wrote.

#[cfg(feature = "emit")]
pub mod emit;
pub mod ir;
pub mod ops;
pub mod passes;
pub mod reduce;
pub mod schedule;
