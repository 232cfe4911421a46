//! Calls into the code of a stage, compiled or interpreted. Goes in: the stage, the table and
//! buffers of the right size. Comes out: what the code wrote. It is the only module that calls
//! compiled functions.

use std::ops::Range;

use super::grid::TILE;
use super::memory::{self, Line, Lines, lines_of};
use super::table::{Results, Table};
use crate::kernel::{CpuStage, Fold, Map};
use crate::sys;

/// Packed columns take the room of a multiple of this many.
pub(super) const GROUP: usize = sys::TF_GROUP as usize;

/// A stage's code that was made at run time: the functions of `tf_cpu_stage` in Rust.
///
/// Buffers are those of [`CpuStage`]: what one function packs, the others get.
pub(crate) trait Program: Send + Sync {
    /// Computes the launch parameters.
    fn params(&self, table: &Table, params: &mut [Line]);
    /// Packs the rows of a block.
    fn rows(&self, table: &Table, params: &[Line], block: Range<usize>, rows: &mut [Line]);
    /// Packs columns.
    fn cols(&self, table: &Table, params: &[Line], range: Range<usize>, cols: &mut [Line]);
    /// Makes a state neutral.
    fn init(&self, state: &mut [Line]);
    /// Folds columns into the state of a block. `packed.cols` begins `packed.skip` columns before
    /// the range.
    fn block(&self, packed: Packed, range: Range<usize>, state: &mut [Line]);
    /// Adds a state that folded later columns.
    fn merge(&self, state: &mut [Line], other: &[Line]);
    /// Writes the results of a block's rows.
    fn finish(&self, table: &Table, packed: Packed, state: &[Line], results: &mut Results);
}

/// What pairs and results read. A block that is finished has no columns.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a> {
    pub params: &'a [Line],
    pub rows: &'a [Line],
    pub cols: &'a [Line],
    /// Columns at the start of `cols` that are not to be folded; fewer than a tile.
    pub skip: usize,
}

/// A stage's code with the table and the launch parameters.
///
/// Buffers are `Lines`; the callers size them by `stage`: `row_bytes`, `col_bytes` a column,
/// `param_bytes`, `state_bytes`. Packed columns begin at a multiple of the tile, at a multiple of
/// 64 bytes, and take the room of a multiple of [`GROUP`] columns. A fold may begin at any of them,
/// but where there is one lane, at multiples of that.
pub(super) struct Code<'a> {
    pub stage: CpuStage<'a>,
    pub table: &'a Table,
    pub params: &'a Lines,
}

impl Code<'_> {
    /// Computes the launch parameters.
    pub fn params(stage: &CpuStage, table: &Table, params: &mut Lines) {
        match stage.map {
            // SAFETY: the table is valid (`Table::new`); the buffer has `param_bytes`; the
            // function keeps the contract of `tf_abi.h` (`Kernel::from_raw`).
            Map::Native(map) => unsafe {
                (map.params)(table.as_ptr(), params.as_mut_ptr().cast());
            },
            Map::Program(program) => program.params(table, memory::cleared(params)),
        }
    }

    /// Packs the rows of a block: at least one, at most `lanes`, of the stage's rows.
    pub fn pack_rows(&self, range: Range<usize>, rows: &mut Lines) {
        match self.stage.map {
            Map::Native(map) => {
                let (params, out) = (self.params.as_ptr().cast(), rows.as_mut_ptr().cast());
                let (i0, i1) = (range.start as i64, range.end as i64);
                // SAFETY: as for `params`; i0 < i1 <= the stage's rows; the buffer has
                // `row_bytes`.
                unsafe { (map.rows)(self.table.as_ptr(), params, i0, i1, out) }
            }
            Map::Program(program) => {
                // SAFETY: `Code::params` filled them.
                let params = unsafe { memory::filled(self.params) };
                program.rows(self.table, params, range, memory::cleared(rows));
            }
        }
    }

    /// Packs columns.
    pub fn pack_cols(&self, fold: &Fold, range: Range<usize>, cols: &mut Lines) {
        match fold {
            Fold::Native(fold) => {
                let (params, out) = (self.params.as_ptr().cast(), cols.as_mut_ptr().cast());
                let (j0, j1) = (range.start as i64, range.end as i64);
                // SAFETY: as for `params`; the range is in the stage's columns; the buffer has
                // `col_bytes` for each of them, up to a multiple of `GROUP`.
                unsafe { (fold.cols)(self.table.as_ptr(), params, j0, j1, out) }
            }
            Fold::Program(program) => {
                // SAFETY: `Code::params` filled them.
                let params = unsafe { memory::filled(self.params) };
                program.cols(self.table, params, range, memory::cleared(cols));
            }
        }
    }

    /// Makes a state neutral.
    pub fn init(&self, fold: &Fold, state: &mut Lines) {
        match fold {
            // SAFETY: the buffer has `state_bytes`.
            Fold::Native(fold) => unsafe { (fold.init)(state.as_mut_ptr().cast()) },
            Fold::Program(program) => program.init(memory::cleared(state)),
        }
    }

    /// Folds columns into the state of the block whose first row is `i0`. `cols` holds packed
    /// columns from column `first` on, a multiple of the tile, up to the range's end at least.
    pub fn fold(
        &self,
        fold: &Fold,
        (i0, rows): (usize, &Lines),
        (range, cols, first): (Range<usize>, &Lines, usize),
        state: &mut Lines,
    ) {
        let tile = (range.start - first) / TILE * TILE;
        let cols = &cols[lines_of(tile * self.stage.col_bytes)..];
        let skip = range.start - first - tile;
        match fold {
            Fold::Native(fold) => {
                let (i0, j0, j1) = (i0 as i64, range.start as i64, range.end as i64);
                let params = self.params.as_ptr().cast();
                let (rows, cols) = (rows.as_ptr().cast(), cols.as_ptr().cast::<u8>());
                let cols = cols.wrapping_add(skip * self.stage.col_bytes).cast();
                // SAFETY: rows were packed for this block and columns for this range; the state
                // was made by `init`.
                unsafe { (fold.block)(params, rows, cols, i0, j0, j1, state.as_mut_ptr().cast()) }
            }
            Fold::Program(program) => {
                let used = (skip + range.len()).next_multiple_of(GROUP);
                let used = lines_of(used * self.stage.col_bytes);
                // SAFETY: `pack_rows`, `pack_cols` and `init` filled them.
                let (packed, state) =
                    unsafe { (self.packed(rows, &cols[..used]), memory::filled_mut(state)) };
                program.block(Packed { skip, ..packed }, range, state);
            }
        }
    }

    /// Adds a state that folded later columns.
    pub fn merge(&self, fold: &Fold, state: &mut Lines, other: &Lines) {
        match fold {
            // SAFETY: both were made by `init` and are different memory.
            Fold::Native(fold) => unsafe {
                (fold.merge)(state.as_mut_ptr().cast(), other.as_ptr().cast());
            },
            Fold::Program(program) => {
                // SAFETY: both were made by `init`.
                let (state, other) = unsafe { (memory::filled_mut(state), memory::filled(other)) };
                program.merge(state, other);
            }
        }
    }

    /// Writes the results of a block's rows, which uses the state up. Where nothing is folded the
    /// state is empty.
    pub fn finish(&self, range: Range<usize>, rows: &Lines, state: &mut Lines) {
        match self.stage.map {
            Map::Native(map) => {
                let (values, params) = (self.table.as_ptr(), self.params.as_ptr().cast());
                let (rows, state) = (rows.as_ptr().cast(), state.as_mut_ptr().cast());
                let (i0, i1) = (range.start as i64, range.end as i64);
                // SAFETY: as for `params`; the rows were packed for this block, and no other task
                // has these rows, so that no one else writes them.
                unsafe { (map.finish)(values, params, rows, state, i0, i1) }
            }
            Map::Program(program) => {
                // SAFETY: `pack_rows` and `init` filled them; no other task has the block.
                let (packed, state, mut results) = unsafe {
                    let results = Results::new(self.table, range);
                    (self.packed(rows, &[]), memory::filled(state), results)
                };
                program.finish(self.table, packed, state, &mut results);
            }
        }
    }

    /// # Safety
    /// All of it is filled.
    unsafe fn packed<'b>(&'b self, rows: &'b Lines, cols: &'b Lines) -> Packed<'b> {
        // SAFETY: `Code::params` filled the parameters; the caller's promise for the others.
        let [params, rows, cols] =
            unsafe { [self.params, rows, cols].map(|lines| memory::filled(lines)) };
        Packed { params, rows, cols, skip: 0 }
    }
}
