//! One stage on the CPU. Goes in: its code, the table and the grid. Comes out: its results in the
//! table. It never lets the number of threads change the order of a fold.

use std::ops::Range;

use rayon::prelude::*;

use super::code::{Code, GROUP};
use super::fused;
use super::grid::{Grid, Limits, POLL, Shape};
use super::memory::{Buffer, Line, Lines, lines, lines_for, lines_of};
use super::table::Table;
use super::tiles::{Tiles, clip};
use crate::error::Error;
use crate::kernel::{CpuStage, Fold};
use crate::options::Options;
use crate::words;

/// A task folds at least this many operations, so that tasks are worth their cost.
const TASK_OPS: f64 = 1e5;

/// A stage and how to run it.
pub(super) struct Job<'a> {
    /// The formula, for messages.
    pub name: &'a str,
    pub code: CpuStage<'a>,
    /// Absent when nothing is reduced.
    pub fold: Option<Fold<'a>>,
    pub tiles: Tiles<'a>,
    pub pair_ops: f64,
    /// Whether items run beside each other, each on one thread.
    pub across: bool,
    /// Whether an item's tasks run beside each other.
    pub parallel: bool,
    pub options: &'a Options<'a>,
}

/// Packed rows and a state, for one task at a time, in one piece of memory.
struct Scratch {
    lines: Buffer,
    /// How many lines are packed rows.
    rows: usize,
}

impl Scratch {
    /// Packed rows and the state.
    fn split(&mut self) -> (&mut Lines, &mut Lines) {
        self.lines.split_at_mut(self.rows)
    }
}

impl Job<'_> {
    /// Runs the stage for every item.
    pub fn run(&self, table: &Table, limits: Limits) -> Result<(), Error> {
        let Some(items) = table.items() else { return self.run_item(table, limits) };
        let item = |cursor: &mut Table, item| {
            cursor.move_to(table, item);
            self.run_item(cursor, limits)
        };
        if self.across {
            let item_ops = (self.padded_ops()).max(1.0);
            let tasks = (0..items).into_par_iter();
            let tasks = tasks.with_min_len((TASK_OPS / item_ops).ceil() as usize);
            return tasks.try_for_each_init(|| table.cursor(), item);
        }
        let mut cursor = table.cursor();
        (0..items).try_for_each(|index| item(&mut cursor, index))
    }

    /// The operations of an item. Lanes without a row work like the others.
    pub fn padded_ops(&self) -> f64 {
        let lanes = self.tiles.blocks() as f64 * self.code.lanes as f64;
        lanes * self.tiles.mean_cols() * self.pair_ops.max(1.0)
    }

    fn run_item(&self, table: &Table, limits: Limits) -> Result<(), Error> {
        self.poll()?;
        if self.tiles.rows() == 0 {
            return Ok(());
        }
        let mut params = lines(self.name, self.code.param_bytes, "parameters")?;
        Code::params(&self.code, table, &mut params);
        let code = Code { stage: self.code, table, params: &params };
        let shape = Shape {
            blocks: self.tiles.blocks(),
            lanes: self.code.lanes,
            cols: self.tiles.cols(),
            col_bytes: self.code.col_bytes,
            state_bytes: self.code.state_bytes,
        };
        match self.fold {
            None => self.run_rows(&code),
            Some(fold) if fused::suits(&self.code, &self.tiles) => {
                self.run_fused(&code, &fold, limits)
            }
            Some(fold) => {
                let grid = Grid::new(shape, limits);
                let bytes = self.code.col_bytes;
                let room = grid.panel_cols(0).len().next_multiple_of(GROUP);
                let mut cols = lines_for(self.name, room, bytes, "packed columns")?;
                if grid.is_whole() {
                    self.run_whole(&code, &fold, &grid, &mut cols)
                } else {
                    self.run_split(&code, &fold, &grid, &mut cols)
                }
            }
        }
    }

    /// Nothing is reduced: every block of rows is packed and finished.
    fn run_rows(&self, code: &Code) -> Result<(), Error> {
        self.each_block(1.0, |scratch, block| {
            let ((range, _), (rows, state)) = (self.tiles.block(block), scratch.split());
            code.pack_rows(range.clone(), rows);
            code.finish(range, rows, state);
            Ok(())
        })
    }

    /// One task folds all columns of a row block and finishes it.
    fn run_whole(
        &self,
        code: &Code,
        fold: &Fold,
        grid: &Grid,
        cols: &mut Lines,
    ) -> Result<(), Error> {
        self.pack(code, fold, 0..grid.cols, cols)?;
        self.each_block(self.tiles.mean_cols(), |scratch, block| {
            let (rows, state) = scratch.split();
            self.fold(code, fold, (block, rows), (0..grid.cols, cols, 0), state)?;
            code.finish(self.tiles.block(block).0, rows, state);
            Ok(())
        })
    }

    /// Tasks fold chunks of columns into partial states, which are merged in order.
    fn run_split(
        &self,
        code: &Code,
        fold: &Fold,
        grid: &Grid,
        cols: &mut Lines,
    ) -> Result<(), Error> {
        let (slots, state_lines) = (grid.slots(), lines_of(self.code.state_bytes));
        let slot_bytes = state_lines * size_of::<Line>();
        let mut states = lines_for(self.name, grid.group * slots, slot_bytes, "partial states")?;
        for (index, group) in grid.groups().enumerate() {
            let states = &mut states[..group.len() * slots * state_lines];
            for panel in 0..grid.panels() {
                if index == 0 || grid.panels() > 1 {
                    self.pack(code, fold, grid.panel_cols(panel), cols)?;
                }
                let start = grid.panel_cols(panel).start;
                let chunk_cols = self.tiles.mean_cols() / grid.chunks as f64;
                self.each_state(states, state_lines, chunk_cols, |scratch, task, state| {
                    let (block, slot) = (group.start + task / slots, task % slots);
                    let Some(range) = grid.slot_cols(panel, slot) else { return Ok(()) };
                    let (rows, _) = scratch.split();
                    self.fold(code, fold, (block, rows), (range, cols, start), state)
                })?;
                let last = panel + 1 == grid.panels();
                let merges = slots as f64;
                self.each_state(states, slots * state_lines, merges, |scratch, task, states| {
                    let (total, others) = states.split_at_mut(state_lines);
                    for (slot, other) in others.chunks(state_lines).enumerate() {
                        if grid.slot_cols(panel, slot + 1).is_some() {
                            code.merge(fold, total, other);
                        }
                    }
                    if last {
                        let (range, _) = self.tiles.block(group.start + task);
                        let (rows, _) = scratch.split();
                        code.pack_rows(range.clone(), rows);
                        code.finish(range, rows, total);
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// Packs columns, in parallel pieces.
    fn pack(
        &self,
        code: &Code,
        fold: &Fold,
        range: Range<usize>,
        cols: &mut Lines,
    ) -> Result<(), Error> {
        let piece = |index: usize, piece: &mut Lines| {
            self.poll()?;
            let start = range.start + index * POLL;
            code.pack_cols(fold, start..(start + POLL).min(range.end), piece);
            Ok(())
        };
        let piece_lines = lines_of(POLL * self.code.col_bytes);
        if piece_lines == 0 {
            return Ok(());
        }
        let used = lines_of(range.len().next_multiple_of(GROUP) * self.code.col_bytes);
        let cols = &mut cols[..used];
        if self.parallel {
            let pieces = cols.par_chunks_mut(piece_lines).enumerate();
            pieces.try_for_each(|(index, lines)| piece(index, lines))
        } else {
            cols.chunks_mut(piece_lines).enumerate().try_for_each(|(index, l)| piece(index, l))
        }
    }

    /// Packs a block's rows and folds what it has of the columns in `range` into a new state.
    /// `cols` holds packed columns from column `first` on.
    fn fold(
        &self,
        code: &Code,
        fold: &Fold,
        (block, rows): (usize, &mut Lines),
        (range, cols, first): (Range<usize>, &Lines, usize),
        state: &mut Lines,
    ) -> Result<(), Error> {
        let (block, ranges) = self.tiles.block(block);
        code.pack_rows(block.clone(), rows);
        code.init(fold, state);
        for range in clip(ranges, range) {
            for start in range.clone().step_by(POLL) {
                self.poll()?;
                let part = start..(start + POLL).min(range.end);
                code.fold(fold, (block.start, rows), (part, cols, first), state);
            }
        }
        Ok(())
    }

    /// An error if the caller cancelled.
    pub fn poll(&self) -> Result<(), Error> {
        if self.options.is_cancelled() { Err(words::cancelled(self.name)) } else { Ok(()) }
    }

    fn scratch(&self) -> Result<Scratch, Error> {
        let (rows, state) = (self.code.row_bytes, self.code.state_bytes);
        let bytes =
            lines_of(rows).saturating_add(lines_of(state)).saturating_mul(size_of::<Line>());
        let lines = lines(self.name, bytes, "packed rows and a state")?;
        Ok(Scratch { lines, rows: lines_of(rows) })
    }

    /// How many row blocks of `cols` columns make a task.
    fn blocks_a_task(&self, cols: f64) -> usize {
        let block_ops = (self.code.lanes as f64 * cols.max(1.0) * self.pair_ops).max(1.0);
        (TASK_OPS / block_ops).ceil() as usize
    }

    /// Calls `work` for every row block, which folds that many columns on average.
    fn each_block(
        &self,
        cols: f64,
        work: impl Fn(&mut Scratch, usize) -> Result<(), Error> + Sync,
    ) -> Result<(), Error> {
        let blocks = self.tiles.blocks();
        if !self.parallel {
            let mut scratch = self.scratch()?;
            return (0..blocks).try_for_each(|block| {
                self.poll()?;
                work(&mut scratch, block)
            });
        }
        let tasks = (0..blocks).into_par_iter().with_min_len(self.blocks_a_task(cols));
        tasks.try_for_each_init(
            || self.scratch(),
            |scratch, block| {
                self.poll()?;
                work(scratch.as_mut().map_err(|why| why.clone())?, block)
            },
        )
    }

    /// Calls `work` for every piece of `states`, with its number.
    fn each_state(
        &self,
        states: &mut Lines,
        piece: usize,
        cols: f64,
        work: impl Fn(&mut Scratch, usize, &mut Lines) -> Result<(), Error> + Sync,
    ) -> Result<(), Error> {
        if !self.parallel {
            let mut scratch = self.scratch()?;
            let mut pieces = states.chunks_mut(piece).enumerate();
            return pieces.try_for_each(|(task, state)| {
                self.poll()?;
                work(&mut scratch, task, state)
            });
        }
        let tasks = states.par_chunks_mut(piece).enumerate();
        tasks.with_min_len(self.blocks_a_task(cols)).try_for_each_init(
            || self.scratch(),
            |scratch, (task, state)| {
                self.poll()?;
                work(scratch.as_mut().map_err(|why| why.clone())?, task, state)
            },
        )
    }
}
