//! A stage of few rows that are folded one by one. Goes in: its code, the table and the grid. Comes
//! out: its results in the table. Columns are packed where they are folded, a piece at a time, and
//! stay in the cache: with few rows, packed columns in memory would cost more than the fold. It
//! never lets the number of threads change the order of a fold.

use rayon::prelude::*;

use super::code::{Code, GROUP};
use super::grid::{Grid, Limits, POLL, Shape, TILE};
use super::memory::{Line, Lines, lines, lines_for, lines_of};
use super::stage::Job;
use super::tiles::Tiles;
use crate::error::Error;
use crate::kernel::{CpuStage, Fold};

/// More rows share packed columns, and tasks are rows times chunks.
const MOST_ROWS: usize = 8;

/// Packed columns at a time.
const PIECE_BYTES: usize = 64 << 10;

/// Whether a stage has code for single rows, and so few of them that it is run here.
pub(super) fn suits(code: &CpuStage, tiles: &Tiles) -> bool {
    code.lanes == 1 && tiles.blocks() <= MOST_ROWS
}

/// The packed rows, and how many lines each takes.
struct Rows<'a> {
    lines: &'a Lines,
    each: usize,
}

impl Rows<'_> {
    fn row(&self, row: usize) -> &Lines {
        &self.lines[row * self.each..][..self.each]
    }
}

impl Job<'_> {
    /// Tasks pack and fold chunks of columns for all rows; partial states are merged in order.
    pub(super) fn run_fused(&self, code: &Code, fold: &Fold, limits: Limits) -> Result<(), Error> {
        let (count, cols) = (self.tiles.rows(), self.tiles.cols());
        let (row_lines, state_lines) =
            (lines_of(self.code.row_bytes), lines_of(self.code.state_bytes));
        let chunk_lines = count * state_lines;
        let state_bytes = chunk_lines * size_of::<Line>();
        // All rows are one block; packed columns are small in any case, and so few rows need every
        // cut, however large their states are.
        let shape = Shape { blocks: 1, lanes: count, cols, col_bytes: 0, state_bytes };
        let unlimited = Limits { panel_bytes: usize::MAX, large_state: usize::MAX, ..limits };
        let grid = Grid::new(shape, unlimited);
        let packed = count * row_lines * size_of::<Line>();
        let mut packed = lines(self.name, packed, "packed rows")?;
        for row in 0..count {
            code.pack_rows(row..row + 1, &mut packed[row * row_lines..][..row_lines]);
        }
        let rows = Rows { lines: &packed, each: row_lines };
        let mut states = lines_for(self.name, grid.chunks, state_bytes, "partial states")?;
        let piece = (PIECE_BYTES / self.code.col_bytes.max(1) / TILE * TILE).clamp(TILE, POLL);
        let room = || {
            let cols = piece.min(cols.next_multiple_of(GROUP));
            lines_for(self.name, cols, self.code.col_bytes, "packed columns")
        };
        let task = |cols: &mut Lines, chunk: usize, states: &mut Lines| {
            let range = grid.slot_cols(0, chunk).unwrap_or_default();
            states.chunks_mut(state_lines).for_each(|state| code.init(fold, state));
            for start in range.clone().step_by(piece) {
                self.poll()?;
                let part = start..(start + piece).min(range.end);
                code.pack_cols(fold, part.clone(), cols);
                for (row, state) in states.chunks_mut(state_lines).enumerate() {
                    code.fold(fold, (row, rows.row(row)), (part.clone(), cols, start), state);
                }
            }
            Ok(())
        };
        if self.parallel {
            let chunks = states.par_chunks_mut(chunk_lines).enumerate();
            chunks.try_for_each_init(room, |cols, (chunk, states)| {
                task(cols.as_mut().map_err(|why| why.clone())?, chunk, states)
            })?;
        } else {
            let mut cols = room()?;
            let mut chunks = states.chunks_mut(chunk_lines).enumerate();
            chunks.try_for_each(|(chunk, states)| task(&mut cols, chunk, states))?;
        }
        let (totals, others) = states.split_at_mut(chunk_lines);
        for other in others.chunks(chunk_lines) {
            let pairs = totals.chunks_mut(state_lines).zip(other.chunks(state_lines));
            pairs.for_each(|(total, other)| code.merge(fold, total, other));
        }
        for (row, total) in totals.chunks_mut(state_lines).enumerate() {
            code.finish(row..row + 1, rows.row(row), total);
        }
        Ok(())
    }
}
