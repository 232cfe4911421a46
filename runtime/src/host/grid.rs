//! How a stage is cut into tasks. Goes in: rows, columns and the sizes of the kernel's blocks.
//! Comes out: row blocks, column chunks, panels and groups. It never looks at the number of
//! threads, so that the same call folds in the same order everywhere.

use std::ops::Range;

/// Kernels fold columns in tiles of this many; every cut is a multiple of it.
pub(super) const TILE: usize = 256;

/// A task never folds more columns than this between two looks at the cancel flag.
pub(super) const POLL: usize = 64 * TILE;

/// The limits that a grid keeps, and when threads are worth their start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Stages of fewer operations run on the calling thread.
    pub serial_ops: f64,
    /// Columns are cut until there are about this many tasks, a quarter of them where states are
    /// large.
    pub tasks: usize,
    /// States of more bytes a row are large: sorted lists, which each cut fills anew, and totals of
    /// many outputs, of which there are more blocks of rows.
    pub large_state: usize,
    /// Columns are not cut finer than this.
    pub chunk: usize,
    /// Bytes of packed columns at a time.
    pub panel_bytes: usize,
    /// Bytes of partial states at a time.
    pub state_bytes: usize,
}

impl Limits {
    pub const DEFAULT: Limits = Limits {
        serial_ops: 1e6,
        tasks: 256,
        large_state: 64,
        chunk: 32 * TILE,
        // Together they stay well below 64 MiB, which is what a call may take besides its arrays.
        panel_bytes: 24 << 20,
        state_bytes: 16 << 20,
    };
}

/// The sizes that a grid depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub blocks: usize,
    /// Rows of a block.
    pub lanes: usize,
    pub cols: usize,
    pub col_bytes: usize,
    /// Of a block.
    pub state_bytes: usize,
}

/// The tasks of a stage: row blocks times column chunks. Chunks come in panels, whose columns are
/// packed together; row blocks come in groups, whose partial states are in memory together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    /// Blocks of `lanes` rows.
    pub blocks: usize,
    /// Columns of the stage.
    pub cols: usize,
    /// Columns of a chunk, a multiple of [`TILE`].
    pub chunk: usize,
    /// Chunks; at least one, which is empty if there are no columns.
    pub chunks: usize,
    /// Chunks of a panel.
    pub panel: usize,
    /// Row blocks of a group.
    pub group: usize,
}

impl Grid {
    pub fn new(shape: Shape, limits: Limits) -> Grid {
        let Shape { blocks, lanes, cols, col_bytes, state_bytes } = shape;
        let state_bytes = state_bytes.max(1);
        let most_states = (limits.state_bytes / state_bytes).max(1);
        let is_large = state_bytes / lanes.max(1) > limits.large_state;
        let tasks = if is_large { limits.tasks / 4 } else { limits.tasks };
        let wanted = tasks.div_ceil(blocks.max(1)).min(most_states);
        let panel_cols = floor(limits.panel_bytes / col_bytes.max(1)).max(TILE);
        let chunk = ceil(cols.div_ceil(wanted)).max(limits.chunk).min(panel_cols);
        let chunks = cols.div_ceil(chunk).max(1);
        let panel = (panel_cols / chunk).min(chunks);
        let grid = Grid { blocks, cols, chunk, chunks, panel, group: blocks };
        Grid { group: (most_states / grid.slots()).clamp(1, blocks.max(1)), ..grid }
    }

    /// Whether a row block is folded by one task, which needs no merge.
    pub fn is_whole(&self) -> bool {
        self.chunks == 1
    }

    pub fn panels(&self) -> usize {
        self.chunks.div_ceil(self.panel)
    }

    /// States that a row block keeps: one for each chunk of a panel, and with several panels one
    /// more for what the earlier ones gave.
    pub fn slots(&self) -> usize {
        if self.panels() == 1 { self.panel } else { self.panel + 1 }
    }

    /// The columns of a panel.
    pub fn panel_cols(&self, panel: usize) -> Range<usize> {
        let start = panel * self.panel * self.chunk;
        start.min(self.cols)..start.saturating_add(self.panel * self.chunk).min(self.cols)
    }

    /// The columns that go to a slot in a panel, if the slot is used there. Slot 0 keeps the
    /// total: the first panel folds its first chunk into it, later ones leave it alone.
    pub fn slot_cols(&self, panel: usize, slot: usize) -> Option<Range<usize>> {
        let chunk = if panel == 0 { slot } else { slot.checked_sub(1)? };
        let index = panel * self.panel + chunk;
        let used = chunk < self.panel && index < self.chunks;
        used.then(|| {
            let start = index * self.chunk;
            start..start.saturating_add(self.chunk).min(self.cols)
        })
    }

    /// The row blocks of a group.
    pub fn groups(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (blocks, group) = (self.blocks, self.group);
        (0..blocks).step_by(group).map(move |start| start..(start + group).min(blocks))
    }
}

fn floor(cols: usize) -> usize {
    cols / TILE * TILE
}

fn ceil(cols: usize) -> usize {
    cols.div_ceil(TILE).max(1).saturating_mul(TILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(rows: usize, cols: usize, limits: Limits) -> Grid {
        Grid::new(shape(rows, cols, 64), limits)
    }

    fn shape(rows: usize, cols: usize, state_bytes: usize) -> Shape {
        Shape { blocks: rows.div_ceil(4), lanes: 4, cols, col_bytes: 8, state_bytes }
    }

    const SMALL: Limits = Limits {
        serial_ops: 0.0,
        tasks: 16,
        large_state: 64,
        chunk: TILE,
        panel_bytes: 8 * 3 * TILE,
        state_bytes: 64 * 10,
    };

    #[test]
    fn many_rows_are_not_cut_along_columns() {
        let grid = grid(4 * 256, 1_000_000, Limits::DEFAULT);
        assert!(grid.is_whole());
        assert_eq!((grid.blocks, grid.group, grid.panels()), (256, 256, 1));
    }

    #[test]
    fn large_states_are_cut_less() {
        let chunks = |bytes| Grid::new(shape(4 * 64, 1_000_000, bytes), Limits::DEFAULT).chunks;
        assert_eq!((chunks(4 * 64), chunks(4 * 65)), (4, 1));
        assert_eq!(Grid::new(shape(4, 4_000_000, 4 * 300), Limits::DEFAULT).chunks, 64);
    }

    #[test]
    fn few_rows_are_cut_along_columns() {
        let grid = grid(3, 4_000_000, Limits::DEFAULT);
        assert_eq!((grid.blocks, grid.chunks, grid.chunk), (1, 253, 15_872));
        let short = self::grid(3, 20_000, Limits::DEFAULT);
        assert_eq!((short.chunks, short.chunk), (3, 8192));
    }

    #[test]
    fn empty_and_tiny_sizes_have_one_chunk() {
        for (rows, cols) in [(0, 0), (0, 9), (9, 0), (1, 1)] {
            let grid = grid(rows, cols, Limits::DEFAULT);
            assert_eq!((grid.chunks, grid.slots(), grid.panels()), (1, 1, 1));
            assert_eq!(grid.groups().count(), usize::from(rows > 0));
        }
    }

    #[test]
    fn every_column_is_folded_once_and_in_order() {
        for rows in [1, 4, 5, 100] {
            for cols in [0, 1, 255, 256, 257, 5000, 12_345] {
                for limits in [SMALL, Limits::DEFAULT, Limits { panel_bytes: 1, ..SMALL }] {
                    let grid = grid(rows, cols, limits);
                    let mut next = 0;
                    for panel in 0..grid.panels() {
                        let packed = grid.panel_cols(panel);
                        assert_eq!(packed.start, next.min(cols));
                        for slot in 0..grid.slots() {
                            let Some(range) = grid.slot_cols(panel, slot) else { continue };
                            assert_eq!(range.start, next, "{grid:?}");
                            assert_eq!(range.start % TILE, 0);
                            assert!(packed.start <= range.start && range.end <= packed.end);
                            next = range.end;
                        }
                        assert!(panel == 0 || grid.slot_cols(panel, 0).is_none());
                    }
                    assert_eq!(next, cols);
                }
            }
        }
    }

    #[test]
    fn memory_is_bounded() {
        let grid = grid(1000, 100_000, SMALL);
        assert!(grid.panel * grid.chunk * 8 <= SMALL.panel_bytes);
        assert!(grid.group * grid.slots() * 64 <= SMALL.state_bytes);
        assert_eq!(grid.groups().map(|g| g.len()).sum::<usize>(), 250);
        let huge = Shape {
            blocks: usize::MAX / 2,
            lanes: 1,
            cols: i64::MAX as usize,
            col_bytes: 1 << 40,
            state_bytes: 1 << 40,
        };
        assert_eq!(Grid::new(huge, Limits::DEFAULT).chunk, TILE);
    }
}
