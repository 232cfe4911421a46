//! What a build tells while it runs.
//!
//! The build crate prints nothing itself: xtask draws bars, a build script stays silent.

use std::time::Duration;

/// Objects that are counted together: one formula, one dtype, one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The formula.
    pub formula: String,
    /// The scalar type of its arrays.
    pub dtype: &'static str,
    /// `x86-64-v3`, `neon`, `cuda` or `descriptor`.
    pub target: &'static str,
    /// How many objects it has.
    pub objects: usize,
}

/// How an object came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was in the cache and its hash is right.
    Cached,
    /// It was compiled.
    Compiled,
}

/// What a native build did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Objects that were compiled.
    pub compiled: usize,
    /// Objects taken from the cache.
    pub cached: usize,
    /// Archives that were written.
    pub archived: usize,
    /// Archives that were up to date.
    pub kept: usize,
    /// From start to end.
    pub elapsed: Duration,
}

/// Hears about a build. Called from several threads.
pub trait Progress: Sync {
    /// One line for people: a step left out, a lock waited for.
    fn note(&self, line: &str);
    /// The native build begins; `step` refers to these groups by index.
    fn start(&self, groups: &[Group]);
    /// One object of a group is there.
    fn step(&self, group: usize, outcome: Outcome);
    /// The native build ended well.
    fn finish(&self, summary: &Summary);
}

/// Says nothing.
pub struct Silent;

impl Progress for Silent {
    fn note(&self, _line: &str) {}
    fn start(&self, _groups: &[Group]) {}
    fn step(&self, _group: usize, _outcome: Outcome) {}
    fn finish(&self, _summary: &Summary) {}
}
