//! The launches of a kernel, by the rules of `tf_cuda_stage` in tf_abi.h.

use std::ffi::{CStr, c_char};

use tilefold::sys;

use crate::rng::Rng;
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
    /// What its blocks do, of a sparse launch.
    pub list: Option<List>,
}

/// A list of tiles, as `tf_tiles` points at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// A `tf_tile` a block.
    pub tiles: Vec<[i64; 6]>,
    /// Start and end of each range of columns.
    pub ranges: Vec<[i64; 2]>,
    /// Partial states that an item leaves.
    pub states: usize,
}

impl List {
    /// What a kernel is given; it may read the list while that lives.
    pub fn raw(&self) -> sys::tf_tiles {
        sys::tf_tiles {
            at: self.tiles.as_ptr().cast(),
            ranges: self.ranges.as_ptr().cast(),
            states: self.states as i64,
        }
    }
}

/// Every launch of a kernel, in order.
pub fn launches(kernel: &sys::tf_kernel, table: &Table, grid: Grid) -> Vec<Launch> {
    stages(kernel).iter().flat_map(|stage| of_stage(stage, table, grid)).collect()
}

/// The same by lists of tiles: rows, columns and what a block folds of them are cut anywhere, and
/// each row meets all columns in order. There is room for the states of so many items.
pub fn sparse_launches(
    kernel: &sys::tf_kernel,
    table: &Table,
    items: usize,
    rng: &mut Rng,
) -> Vec<Launch> {
    let mut all = Vec::new();
    for stage in stages(kernel) {
        let dense = of_stage(stage, table, Grid { splits: 1, seed: rng.bits() });
        match <[Launch; 2]>::try_from(dense) {
            Ok(dense) => all.extend(in_tiles(stage, dense, items, rng)),
            Err(nothing_is_folded) => all.extend(nothing_is_folded),
        }
    }
    all
}

fn in_tiles(
    stage: &sys::tf_stage,
    [fold, finish]: [Launch; 2],
    items: usize,
    rng: &mut Rng,
) -> Vec<Launch> {
    let (rows, cols) = (fold.n_rows as usize, fold.n_cols as usize);
    let (mut folds, mut finishes) = (List::default(), List::default());
    let mut row = 0;
    while row < rows {
        let end = row + 1 + rng.below((stage.cuda.rows_per_block as usize).min(rows - row));
        let (before, first) = (folds.tiles.len(), folds.ranges.len());
        let mut col = 0;
        while col < cols {
            let stop = col + 1 + rng.below(cols - col);
            folds.ranges.push([col as i64, stop as i64]);
            col = stop;
        }
        let cut = rng.below(cols + 1);
        for part in [0..cut, cut..cols].into_iter().filter(|part| !part.is_empty()) {
            let [from, to] = [part.start, part.end].map(|n| n as i64);
            let of_row = &folds.ranges[first..];
            let skipped = of_row.iter().take_while(|range| range[1] <= from).count();
            let count = of_row[skipped..].iter().take_while(|range| range[0] < to).count();
            let [row, end, at, count] = [row, end, first + skipped, count].map(|n| n as i64);
            folds.tiles.push([row, end, at, count, from, to]);
        }
        let states = folds.tiles.len() - before;
        let [from, to, at, count] = [row, end, before, states].map(|n| n as i64);
        finishes.tiles.push([from, to, at, count, 0, 0]);
        row = end;
    }
    let code = &stage.cuda;
    (folds.states, finishes.states) = (folds.tiles.len(), folds.tiles.len());
    let bytes = code.state_bytes as usize * code.threads as usize * folds.states * items;
    let launch = |entry, list: List, of: Launch| Launch {
        entry,
        grid: (list.tiles.len() as u32, 1),
        cols_per_split: 0,
        splits: 1,
        list: Some(list),
        ..of
    };
    let mut all = Vec::new();
    if !folds.tiles.is_empty() {
        let fold = Launch { new_workspace: Some(bytes), ..fold };
        all.push(launch(text(code.tiles_entry), folds, fold));
    }
    all.push(launch(finish.entry, finishes, finish));
    all
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
        list: None,
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
        list: None,
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
