//! Launch grids and workspace. Goes in: row counts, launch facts of the stages, and how many
//! blocks a device holds at once. Comes out: grids and offsets. It is plain arithmetic: the same
//! numbers give the same plan, so that results on one kind of device do not change.

use std::ffi::c_void;
use std::ptr;

use super::tiles::TileList;
use crate::bind::{Bound, Sizes, dense_bytes};
use crate::kernel::{CudaStage, Kernel, Stage};
use crate::ranges::Ranges;
use crate::sys;

/// A device is full when every place for a block is taken this many times.
pub(super) const WAVES: usize = 4;

/// Bytes of a row's state from which on it is a list. Every split fills its own, and a column is
/// taken up the less often the longer they are: so these fill the places for blocks once.
const LIST_BYTES: usize = 64;

/// A split folds at least this many tiles of columns.
pub(super) const TILES_A_SPLIT: usize = 4;

/// The hardware's limit of the second grid axis.
const MOST_SPLITS: usize = 65_535;

/// That of the third.
const MOST_ITEMS: usize = 65_535;

/// Offsets into the workspace are multiples of this.
pub(super) const ALIGN: usize = 256;

/// The grid of one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StageGrid {
    pub row_blocks: u32,
    /// 0 if nothing is reduced.
    pub splits: u32,
    /// A multiple of the stage's tile.
    pub cols_per_split: i64,
    /// Most items of a batch that are launched together.
    pub items: u32,
}

impl StageGrid {
    /// `resident` is how many blocks of an item the device holds at once. `None`: too many rows.
    pub fn new(rows: usize, cols: usize, facts: &CudaStage, resident: usize) -> Option<StageGrid> {
        let row_blocks = rows.div_ceil(facts.rows_per_block);
        let row_blocks = u32::try_from(row_blocks).ok().filter(|&n| n <= i32::MAX as u32)?;
        if facts.rows_entry.is_none() {
            return Some(StageGrid { row_blocks, splits: 0, cols_per_split: 0, items: 1 });
        }
        let tiles = cols.div_ceil(facts.tile_cols).max(1);
        let rows_of_thread = facts.rows_per_block / (facts.threads as usize).max(1);
        let is_list = facts.state_bytes > LIST_BYTES * rows_of_thread.max(1);
        let waves = if is_list { 1 } else { WAVES };
        let filling = resident.saturating_mul(waves).div_ceil(row_blocks.max(1) as usize);
        let wanted = filling.min(tiles / TILES_A_SPLIT).clamp(1, MOST_SPLITS);
        let tiles_a_split = tiles.div_ceil(wanted);
        Some(StageGrid {
            row_blocks,
            splits: u32::try_from(tiles.div_ceil(tiles_a_split)).ok()?,
            cols_per_split: i64::try_from(tiles_a_split.checked_mul(facts.tile_cols)?).ok()?,
            items: 1,
        })
    }

    /// Blocks that fold.
    fn blocks(&self) -> Option<usize> {
        (self.row_blocks as usize).checked_mul(self.splits as usize)
    }
}

/// How many items of so many blocks are launched together, of a run that follow each other: as
/// many as fill the device, in launches of about the same size.
fn together(run: usize, blocks: usize, resident: usize) -> usize {
    let filling = resident.saturating_mul(WAVES) / blocks.max(1);
    let most = filling.clamp(1, MOST_ITEMS);
    let launches = run.div_ceil(most).max(1);
    run.div_ceil(launches).max(1)
}

/// What a run on a device is for.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub sizes: Sizes,
    pub items: usize,
    /// How many items a launch may have ([`Batch::run`](crate::batch::Batch::run)).
    pub run: usize,
    /// Which pairs are folded; all of them if there are none.
    pub ranges: Option<&'a Ranges>,
}

impl<'a> Work<'a> {
    /// That of a call.
    pub fn of(bound: &'a Bound) -> Work<'a> {
        let run = bound.batch.as_ref().map_or(1, |batch| batch.run().0);
        Work { sizes: bound.sizes, items: bound.items(), run, ranges: bound.ranges.as_ref() }
    }
}

/// The tile list of a sparse stage, and where it lies in the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sparse {
    pub list: TileList,
    pub offset: usize,
}

/// Everything that a run on a device needs to know before its first launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub grids: Vec<StageGrid>,
    /// For each stage, what ranges make of it.
    pub sparse: Vec<Option<Sparse>>,
    /// The index in the table and the offset in the workspace of each temporary.
    pub temps: Vec<(usize, usize)>,
    /// The offset of the partial states, which all stages share.
    pub states: usize,
    /// The size of the workspace.
    pub bytes: usize,
}

impl Plan {
    /// `stages` are the launch facts with the number of resident blocks. All items have their
    /// temporaries; those of a launch have their partial states, which the next one takes over.
    /// `None`: a size overflows.
    pub fn new(
        kernel: &'static Kernel,
        Work { sizes, items, run, ranges }: Work<'_>,
        stages: impl Iterator<Item = (CudaStage<'static>, usize)>,
    ) -> Option<Plan> {
        let mut next = 0_usize;
        let mut temps = Vec::with_capacity(kernel.n_temps());
        let values = kernel.values().enumerate().skip(kernel.n_inputs()).take(kernel.n_temps());
        for (index, value) in values {
            temps.push((index, next));
            let bytes = dense_bytes(sizes.of(value.axis), &value)?;
            let bytes = bytes.checked_mul(items)?;
            next = next.checked_add(bytes)?.checked_next_multiple_of(ALIGN)?;
        }
        let (mut grids, mut sparse, mut states) = (Vec::new(), Vec::new(), 0);
        for (stage, (facts, resident)) in kernel.stages().zip(stages) {
            let (rows, cols) = extent(stage, sizes);
            let share = resident.div_ceil(run.max(1));
            let mut grid = StageGrid::new(rows, cols, &facts, share)?;
            let half = match (ranges, stage.row_axis(), stage.col_axis()) {
                (Some(ranges), Some(axis), Some(_)) => Some(ranges.half(axis)),
                _ => None,
            };
            let list = match half {
                Some(half) => Some(TileList::new(half, rows, &facts, share)?),
                None => None,
            };
            let blocks = match &list {
                Some(list) => list.folds.len(),
                None => grid.blocks()?,
            };
            let launched = if blocks == 0 { grid.row_blocks as usize } else { blocks };
            let together = together(run, launched, resident);
            grid.items = u32::try_from(together).ok()?;
            states = facts
                .state_bytes
                .checked_mul(facts.threads as usize)?
                .checked_mul(blocks)?
                .checked_mul(together)?
                .max(states);
            let offset = next;
            let bytes = list.as_ref().map_or(0, TileList::bytes);
            next = next.checked_add(bytes)?.checked_next_multiple_of(ALIGN)?;
            sparse.push(list.map(|list| Sparse { list, offset }));
            grids.push(grid);
        }
        Some(Plan { grids, sparse, temps, states: next, bytes: next.checked_add(states)? })
    }
}

impl Plan {
    /// Where each temporary lies in a workspace, with its index in the table.
    pub fn temp_addresses(&self, workspace: u64) -> impl Iterator<Item = (usize, *mut c_void)> {
        self.temps.iter().map(move |&(index, offset)| {
            (index, (workspace as usize).wrapping_add(offset) as *mut c_void)
        })
    }
}

/// Rows and columns of a stage; no columns if nothing is reduced.
pub(super) fn extent(stage: Stage, sizes: Sizes) -> (usize, usize) {
    (sizes.of(stage.row_axis()), stage.col_axis().map_or(0, |axis| sizes.of(Some(axis))))
}

/// The arguments of the entries of a stage, kept in place while the driver copies them.
pub(super) struct Arguments<'a> {
    values: &'a [sys::tf_array],
    rows: i64,
    cols: i64,
    cols_per_split: i64,
    splits: i32,
    workspace: u64,
    tiles: sys::tf_tiles,
}

impl<'a> Arguments<'a> {
    pub fn new(
        values: &'a [sys::tf_array],
        (rows, cols): (usize, usize),
        grid: &StageGrid,
        workspace: u64,
    ) -> Arguments<'a> {
        let tiles = sys::tf_tiles { at: ptr::null(), ranges: ptr::null(), states: 0 };
        Arguments {
            values,
            rows: rows as i64,
            cols: cols as i64,
            cols_per_split: grid.cols_per_split,
            splits: grid.splits as i32,
            workspace,
            tiles,
        }
    }

    /// The same for a launch of a list.
    pub fn sparse(self, tiles: sys::tf_tiles) -> Arguments<'a> {
        Arguments { cols_per_split: 0, splits: 1, tiles, ..self }
    }

    /// One address an argument, as `cuLaunchKernel` takes them.
    pub fn pointers(&self) -> [*mut c_void; 7] {
        [
            self.values.as_ptr().cast_mut().cast(),
            ptr::from_ref(&self.rows).cast_mut().cast(),
            ptr::from_ref(&self.cols).cast_mut().cast(),
            ptr::from_ref(&self.cols_per_split).cast_mut().cast(),
            ptr::from_ref(&self.splits).cast_mut().cast(),
            ptr::from_ref(&self.workspace).cast_mut().cast(),
            ptr::from_ref(&self.tiles).cast_mut().cast(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    const FACTS: CudaStage = CudaStage {
        rows_entry: Some("rows"),
        tiles_entry: Some("tiles"),
        finish_entry: "finish",
        threads: 128,
        rows_per_block: 512,
        tile_cols: 64,
        shared_bytes: 0,
        state_bytes: 32,
    };

    /// An H200: 132 multiprocessors, here of 4 blocks each.
    const RESIDENT: usize = 132 * 4;

    fn grid(rows: usize, cols: usize) -> StageGrid {
        StageGrid::new(rows, cols, &FACTS, RESIDENT).unwrap()
    }

    #[test]
    fn many_rows_need_no_split() {
        let whole =
            StageGrid { row_blocks: 2112, splits: 1, cols_per_split: 64 * 15_625, items: 1 };
        assert_eq!(grid(512 * 2112, 1_000_000), whole);
        assert_eq!(grid(512 * 2111, 1_000_000).splits, 2);
    }

    #[test]
    fn few_rows_are_split_to_four_waves() {
        let few = grid(1000, 1_000_000);
        assert_eq!((few.row_blocks, few.splits, few.cols_per_split), (2, 1042, 15 * 64));
        assert!(few.splits as usize * 2 * 10 >= 9 * WAVES * RESIDENT, "about four waves");
    }

    #[test]
    fn a_split_has_at_least_four_tiles() {
        assert_eq!(grid(1, 64 * 7).splits, 1);
        assert_eq!(grid(1, 64 * 8).splits, 2);
        assert_eq!(grid(1, 64 * 8).cols_per_split, 64 * 4);
        assert_eq!((grid(1, 0).splits, grid(1, 0).cols_per_split), (1, 64));
    }

    #[test]
    fn lists_are_split_to_one_wave() {
        let grid = |bytes| {
            let facts = CudaStage { state_bytes: 4 * bytes, ..FACTS };
            StageGrid::new(1000, 1_000_000, &facts, RESIDENT).unwrap().splits
        };
        assert_eq!((grid(LIST_BYTES), grid(LIST_BYTES + 1)), (1042, 261));
    }

    #[test]
    fn splits_cover_all_columns_and_none_is_empty() {
        for rows in [1, 600, 5000, 300_000, 2_000_000] {
            for cols in [1, 63, 64, 65, 1000, 12_345, 999_999, 40_000_000] {
                let grid = grid(rows, cols);
                let (splits, width) = (i64::from(grid.splits), grid.cols_per_split);
                assert_eq!(width % 64, 0);
                assert!((splits - 1) * width < cols as i64 && splits * width >= cols as i64);
                assert!(splits == 1 || width >= 4 * 64);
                assert!(splits <= 65_535);
            }
        }
    }

    #[test]
    fn a_stage_without_columns_is_one_launch() {
        let facts = CudaStage { rows_entry: None, tile_cols: 0, ..FACTS };
        let grid = StageGrid::new(513, 0, &facts, RESIDENT).unwrap();
        assert_eq!(grid, StageGrid { row_blocks: 2, splits: 0, cols_per_split: 0, items: 1 });
        assert_eq!(grid.blocks(), Some(0));
    }

    #[test]
    fn sizes_past_the_hardware_are_refused() {
        assert_eq!(StageGrid::new(usize::MAX, 1, &FACTS, RESIDENT), None);
        assert_eq!(StageGrid::new(512 << 31, 1, &FACTS, RESIDENT), None);
        assert_eq!(
            StageGrid::new(1, usize::MAX, &FACTS, usize::MAX).map(|g| g.splits),
            Some(65_535)
        );
    }

    #[test]
    fn the_workspace_holds_temporaries_and_the_largest_states() {
        let kernel = fake::chain::<f32>();
        let sizes = Sizes { i: 1000, j: 300 };
        let facts = kernel.stages().map(|stage| (stage.cuda().unwrap(), 8));
        let work = Work { sizes, items: 1, run: 1, ranges: None };
        let plan = Plan::new(kernel, work, facts).unwrap();
        // One temporary of 300 f32; then 8 bytes for each of 128 threads of a block.
        assert_eq!(plan.temps, [(3, 0)]);
        assert_eq!(plan.states, 1280);
        let blocks: Vec<_> = plan.grids.iter().map(|g| (g.row_blocks, g.splits)).collect();
        assert_eq!(blocks, [(3, 4), (8, 1), (1, 1), (8, 0)]);
        assert_eq!(plan.bytes, 1280 + 8 * 128 * 12);
    }

    #[test]
    fn arguments_are_passed_by_address_in_order() {
        let array = |rows| sys::tf_array {
            data: ptr::null_mut(),
            rows,
            row_stride: 3,
            col_stride: 1,
            item_bytes: 0,
        };
        let values = [array(5), array(7)];
        let grid = StageGrid { row_blocks: 9, splits: 4, cols_per_split: 640, items: 1 };
        let arguments = Arguments::new(&values, (11, 13), &grid, 0xdead_beef);
        let [table, rows, cols, width, splits, workspace, tiles] = arguments.pointers();
        // SAFETY: the addresses of live values of these types.
        unsafe {
            assert_eq!((*table.cast::<[sys::tf_array; 2]>()).map(|a| a.rows), [5, 7]);
            assert_eq!((*rows.cast::<i64>(), *cols.cast::<i64>()), (11, 13));
            assert_eq!((*width.cast::<i64>(), *splits.cast::<i32>()), (640, 4));
            assert_eq!(*workspace.cast::<u64>(), 0xdead_beef);
            assert!((*tiles.cast::<sys::tf_tiles>()).at.is_null());
        }
        let list = sys::tf_tiles { at: 64 as *const _, ranges: 96 as *const _, states: 7 };
        let arguments = arguments.sparse(list);
        let [.., width, splits, _, tiles] = arguments.pointers();
        // SAFETY: as above.
        unsafe {
            assert_eq!((*width.cast::<i64>(), *splits.cast::<i32>()), (0, 1));
            let tiles = *tiles.cast::<sys::tf_tiles>();
            assert_eq!((tiles.ranges, tiles.states), (list.ranges, 7));
        }
    }
}
