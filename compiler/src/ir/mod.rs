//! The intermediate representation: the one meeting point of formula files, `LazyTensor` and
//! KeOps strings.
//!
//! A [`Formula`] is a list of inputs, an arena of hash-consed expression nodes and a list of
//! outputs. Every value is a vector, of reals or of exact integers ([`Kind`]), whose length (`dim`)
//! is known. A value lives in one [`Stratum`]: constant, parameter, `i`, `j` or pair, the smallest
//! place where it can be computed. A reduction is a node like any other: `sum[j] e` maps a pair
//! value to an `i` value, so reductions nest, and a gradient is again a formula.
//! [`crate::schedule`] later cuts nested reductions into kernels.
//!
//! Invariants (checked by [`verify`]):
//! - a node's arguments have smaller ids than the node;
//! - equal nodes have equal ids, so common subexpressions are shared by construction;
//! - shapes follow the op's rule; an argument of dim 1 is broadcast where the rule says so;
//! - an output's stratum fits its axis, so no output is larger than M or N rows.
//!
//! This module never reads text, never emits text other than the canonical print, and never
//! decides how a formula is computed.

mod anonymous;
mod arena;
mod build;
pub mod eval;
mod index;
mod inline;
pub mod ints;
mod print;
pub mod standin;
mod types;
pub mod verify;

pub use anonymous::anonymous;
pub use arena::{ExprId, Facts, Formula, Input, Node, Output, Reduction};
pub use build::{BuildError, MAX_DIM, MAX_NODES};
pub use inline::inline;
pub use print::{Key, canonical_text, key, literals};
pub(crate) use print::{call, leaf};
pub use types::{Accumulation, Axis, Dtype, Kind, Real, Storage, Stratum};
