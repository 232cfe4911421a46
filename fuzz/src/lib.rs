//! Hostile input for everything that reads: six targets, and the loop that feeds them.
//!
//! In: a seed and a committed corpus. Out: how many inputs ran, and every input that made a target
//! panic, break a promise, take too long or take too much memory. The same seed makes the same
//! inputs on every machine; there is no instrumentation, so any toolchain will do. What a target
//! says of an input (its *signature*: which codes, which operations) stands in for coverage: an
//! input whose signature is new is mutated further.
//!
//! `cargo xtask fuzz` runs this for as long as one likes, in a process of its own; the tests run
//! it for a moment and replay the corpus.

pub mod choices;
pub mod driver;
pub mod memory;
pub mod mutate;
pub mod soak;
pub mod targets;
pub mod tokens;

pub use driver::{Finding, Limits, Session};
pub use targets::{TARGETS, Target};

/// Every allocation of a program that links this crate is counted.
#[global_allocator]
static COUNTED: memory::Counted = memory::Counted;
