//! The launches of a kernel, by the rules of `tf_cuda_stage` in tf_abi.h.

use std::ffi::{CStr, c_char};

use tilefold::sys;

use crate::table::{Table, stages};

use super::Grid;

/// One launch.
pub struct Launch {
    /// The kernel's name.
    pub entry: &'static CStr,
    /// Blocks of rows, and splits.
    pub grid: (u32, u32),
    /// Threads a block.
    pub threads: u32,
    /// Dynamic shared memory.
    pub shared_bytes: u64,
    /// Rows of the stage.
    pub n_rows: i64,
    /// Columns of the stage.
    pub n_cols: i64,
    /// Columns that one split folds.
    pub cols_per_split: i64,
    /// Number of splits; 0 when nothing is folded.
    pub splits: i32,
    /// Order of threads and blocks.
    pub seed: u64,
    /// The size of the workspace, where a new one is needed.
    pub new_workspace: Option<usize>,
}

/// Every launch of a kernel, in order.
pub fn launches(kernel: &sys::tf_kernel, table: &Table, grid: Grid) -> Vec<Launch> {
    stages(kernel).iter().flat_map(|stage| of_stage(stage, table, grid)).collect()
}

fn of_stage(stage: &sys::tf_stage, table: &Table, grid: Grid) -> Vec<Launch> {
    let (rows, code) = (table.size(stage.row_axis), &stage.cuda);
    if rows == 0 {
        return Vec::new();
    }
    let blocks = rows.div_ceil(code.rows_per_block as usize);
    let finish = Launch {
        entry: text(code.finish_entry),
        grid: (blocks as u32, 1),
        threads: code.threads,
        shared_bytes: 0,
        n_rows: rows as i64,
        n_cols: 0,
        cols_per_split: 0,
        splits: 0,
        seed: grid.seed,
        new_workspace: None,
    };
    if code.rows_entry.is_null() {
        return vec![finish];
    }
    let cols = table.size(stage.col_axis);
    assert!(cols >= stage.least_cols as usize, "{cols} columns are too few");
    let tile = code.tile_cols as usize;
    let tiles = cols.div_ceil(tile).max(1);
    let cols_per_split = tile * tiles.div_ceil(grid.splits.max(1));
    let splits = cols.div_ceil(cols_per_split).max(1);
    let threads = code.threads as usize * blocks * splits;
    let fold = Launch {
        entry: text(code.rows_entry),
        grid: (blocks as u32, splits as u32),
        shared_bytes: u64::from(code.shared_bytes),
        n_cols: cols as i64,
        cols_per_split: cols_per_split as i64,
        splits: splits as i32,
        new_workspace: Some(code.state_bytes as usize * threads),
        ..finish
    };
    let finish = Launch {
        n_cols: fold.n_cols,
        cols_per_split: fold.cols_per_split,
        splits: fold.splits,
        ..finish
    };
    vec![fold, finish]
}

fn text(name: *const c_char) -> &'static CStr {
    // SAFETY: names of a descriptor end in a zero and stay in place.
    unsafe { CStr::from_ptr(name) }
}
