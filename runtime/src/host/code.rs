//! Calls into compiled CPU code. Goes in: a stage's functions, the table and buffers of the right
//! size. Comes out: what the function wrote. It is the only module that calls kernels.

use std::ops::Range;

use super::memory::Lines;
use crate::kernel::{CpuStage, Fold};
use crate::sys;

/// The table of values of one run.
///
/// Its arrays are valid for the whole run: inputs for reading, temporaries and outputs for
/// writing, and no other part of the program touches the latter meanwhile.
pub(super) struct Table(Vec<sys::tf_array>);

// SAFETY: threads share the table to read inputs and finished temporaries, and to write rows of
// results, where no two tasks have a row in common (`Code::finish`).
unsafe impl Sync for Table {}
// SAFETY: as above; nothing in it belongs to the thread that made it.
unsafe impl Send for Table {}

impl Table {
    /// # Safety
    /// Every array must be valid as the type says, until the table is dropped, with the shape
    /// that the kernel's value has.
    pub unsafe fn new(values: Vec<sys::tf_array>) -> Table {
        Table(values)
    }
}

/// A stage's functions with the table and the launch parameters.
///
/// Buffers are `Lines`; the callers size them by `stage`: `row_bytes`, `col_bytes` a column,
/// `param_bytes`, `state_bytes`. Columns begin at a multiple of the tile, which keeps every
/// pointer aligned to 64 bytes.
pub(super) struct Code<'a> {
    pub stage: CpuStage,
    pub table: &'a Table,
    pub params: &'a Lines,
    pub rows: usize,
}

impl Code<'_> {
    /// Computes the launch parameters.
    pub fn params(stage: &CpuStage, table: &Table, params: &mut Lines) {
        // SAFETY: the table is valid (`Table::new`); the buffer has `param_bytes`; the function
        // keeps the contract of `tf_abi.h` (`Kernel::from_raw`).
        unsafe { (stage.params)(table.0.as_ptr(), params.as_mut_ptr().cast()) }
    }

    /// The rows of a block.
    fn block_rows(&self, block: usize) -> (i64, i64) {
        let start = block * self.stage.lanes;
        (start as i64, (start + self.stage.lanes).min(self.rows) as i64)
    }

    /// Packs the rows of a block.
    pub fn pack_rows(&self, block: usize, rows: &mut Lines) {
        let (i0, i1) = self.block_rows(block);
        let params = self.params.as_ptr().cast();
        // SAFETY: as for `params`; i0 < i1 <= the stage's rows; the buffer has `row_bytes`.
        unsafe {
            (self.stage.rows)(self.table.0.as_ptr(), params, i0, i1, rows.as_mut_ptr().cast());
        }
    }

    /// Packs columns.
    pub fn pack_cols(&self, fold: &Fold, range: Range<usize>, cols: &mut Lines) {
        let (j0, j1) = (range.start as i64, range.end as i64);
        let params = self.params.as_ptr().cast();
        // SAFETY: as for `params`; the range is in the stage's columns; the buffer has
        // `col_bytes` for each of them.
        unsafe {
            (fold.cols)(self.table.0.as_ptr(), params, j0, j1, cols.as_mut_ptr().cast());
        }
    }

    /// Makes a state neutral.
    pub fn init(&self, fold: &Fold, state: &mut Lines) {
        // SAFETY: the buffer has `state_bytes`.
        unsafe { (fold.init)(state.as_mut_ptr().cast()) }
    }

    /// Folds columns, which are packed in `cols`, into the state of a block.
    pub fn fold(
        &self,
        fold: &Fold,
        (block, rows): (usize, &Lines),
        (range, cols): (Range<usize>, &Lines),
        state: &mut Lines,
    ) {
        let (i0, _) = self.block_rows(block);
        let (j0, j1) = (range.start as i64, range.end as i64);
        let params = self.params.as_ptr().cast();
        let (rows, cols) = (rows.as_ptr().cast(), cols.as_ptr().cast());
        // SAFETY: rows were packed for this block and columns for this range; the state was
        // made by `init`.
        unsafe { (fold.block)(params, rows, cols, i0, j0, j1, state.as_mut_ptr().cast()) }
    }

    /// Adds a state that folded later columns.
    pub fn merge(&self, fold: &Fold, state: &mut Lines, other: &Lines) {
        // SAFETY: both were made by `init` and are different memory.
        unsafe { (fold.merge)(state.as_mut_ptr().cast(), other.as_ptr().cast()) }
    }

    /// Writes the results of a block's rows.
    pub fn finish(&self, block: usize, rows: &Lines, state: &Lines) {
        let (i0, i1) = self.block_rows(block);
        let (values, params) = (self.table.0.as_ptr(), self.params.as_ptr().cast());
        let (rows, state) = (rows.as_ptr().cast(), state.as_ptr().cast());
        // SAFETY: as for `params`; the rows were packed for this block, and no other task has
        // the block, so that no one else writes these rows.
        unsafe { (self.stage.finish)(values, params, rows, state, i0, i1) }
    }
}
