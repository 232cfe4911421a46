//! Sizes of the inner loops, from a few facts of the stage. Numbers were measured; see
//! `benchmarks/` for how.

use crate::ir::{Accumulation, ExprId, Formula, Node, Stratum};
use crate::ops::Emit;
use crate::reduce::StateKind;

use super::panel::{self, Panel};
use super::{Places, Plan, Stage, accumulators, reduction, state_kind, streams, weight};

/// What the code is emitted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// C++ with vectors of rows.
    Cpu,
    /// CUDA C++ with a row or a few a thread.
    Cuda,
}

/// Most columns that blocked sums add up plainly, one after the other: `TF_CHAIN` of reduce.h.
pub const CHAIN: usize = 8;

/// Components of a value that a CPU's code writes out; longer ones are loops.
const UNROLLED: usize = 8;

/// The sizes of one stage on one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Vectors of rows a block where there are 32 vector registers; rows a thread on CUDA.
    pub rows_wide: usize,
    /// Vectors of rows a block where there are 16 vector registers.
    pub rows_narrow: usize,
    /// Vectors of rows whose code is interleaved, where there are 32 vector registers; on CUDA all
    /// of a block. It divides `rows_wide`.
    pub group_wide: usize,
    /// The same where there are 16 vector registers. It divides `rows_narrow`.
    pub group_narrow: usize,
    /// Columns that are streamed together where there are 32 vector registers: the panel family. 1
    /// where a pair is computed alone: the rows family. On CUDA those of one thread, in f32.
    pub columns_wide: usize,
    /// The same where there are 16 vector registers; on CUDA in f64.
    pub columns_narrow: usize,
    /// Columns of a tile, after which accumulators go back to memory.
    pub tile: usize,
    /// Columns that are summed plainly, before the block is added to a compensated sum.
    pub block: usize,
    /// Columns whose pairs are written out, on CUDA; 0 on the CPU, whose loop has one.
    pub cols: usize,
    /// Values of at most this many components are written out; longer ones are loops.
    pub unroll: usize,
    /// Threads a block, on CUDA.
    pub threads: usize,
}

/// Chooses the sizes.
pub fn choose(plan: &Plan, stage: &Stage, target: Target) -> Choice {
    let held = held_vectors(&plan.formula, stage) + contracted(&plan.formula, stage);
    let places = Places::new(plan, stage);
    match target {
        Target::Cpu if !streams(&plan.formula, stage, &places).is_empty() => {
            panel(held, cpu_block(plan, stage))
        }
        Target::Cpu => cpu_rows(plan, stage, held, Places::words(&places.row)),
        Target::Cuda => {
            if let Some(panel) = Panel::new(plan, stage) {
                return cuda_panel(plan, held, &panel);
            }
            let (row_words, col_words) = (Places::words(&places.row), Places::words(&places.col));
            // A thread has 255 registers; a row takes its words, its accumulators and temporaries.
            // Eight rows share the reads of a column; sorted lists lie in memory, and their rows
            // wait for each other.
            let listed = listed(&plan.formula, stage);
            let rows = match row_words + held {
                0..=4 if listed == 0 => 8,
                0..=8 if listed <= 16 => 4,
                0..=16 if listed <= 16 => 2,
                _ => 1,
            };
            let tile = shared_tile(col_words);
            // What is written out has to stay in the first-level cache of instructions.
            let cols = match rows * (row_words + col_words + held) {
                _ if tile < 8 => 1,
                0..=48 if rows <= 4 && only_sums(&plan.formula, stage) => 2 * CHAIN,
                0..=96 => 8,
                _ => 4,
            };
            let block = cuda_block(plan.formula.acc, cols, tile);
            Choice {
                rows_wide: rows,
                rows_narrow: rows,
                group_wide: rows,
                group_narrow: rows,
                columns_wide: 1,
                columns_narrow: 1,
                tile,
                block,
                cols,
                unroll: 12,
                threads: 128,
            }
        }
    }
}

/// The rows family of CPUs.
fn cpu_rows(plan: &Plan, stage: &Stage, held: usize, row_words: usize) -> Choice {
    // As many as the 32 registers hold accumulators of beside a group's temporaries; with 16,
    // accumulators are memory operands, and more rows share what is read of a column.
    let (rows_wide, rows_narrow) = match held {
        0..=2 => (8, 8),
        3 => (6, 8),
        4..=5 => (4, 4),
        6..=12 => (4, 2),
        _ => (2, 2),
    };
    let (most_wide, most_narrow) = if only_searches(&plan.formula, stage) {
        // What a search compares with stays in registers for a block of columns, and what passes is
        // taken up for a whole group.
        (2, 2)
    } else if listed(&plan.formula, stage) > 0 && (3..=UNROLLED).contains(&row_words) {
        // Differences that are written out are more than 16 registers hold.
        (4, 4)
    } else {
        (4, 8)
    };
    Choice {
        rows_wide,
        rows_narrow,
        group_wide: group(rows_wide, most_wide),
        group_narrow: group(rows_narrow, most_narrow),
        columns_wide: 1,
        columns_narrow: 1,
        tile: 256,
        block: cpu_block(plan, stage),
        cols: 0,
        unroll: UNROLLED,
        threads: 1,
    }
}

/// Vectors of a group, which divide those of a block.
fn group(rows: usize, most: usize) -> usize {
    (1..=most).rev().find(|&group| rows.is_multiple_of(group)).unwrap_or(1)
}

/// The panel family of CUDA: a thread folds one row, whose sums it reads from shared memory.
fn cuda_panel(plan: &Plan, held: usize, panel: &Panel) -> Choice {
    let short = held + Places::words(&panel.places.col) <= 32;
    let cols = if short || panel.wide.is_some() { 8 } else { 4 };
    Choice {
        rows_wide: 1,
        rows_narrow: 1,
        group_wide: 1,
        group_narrow: 1,
        columns_wide: panel.columns_f32,
        columns_narrow: panel.columns_f64,
        tile: panel.tile(),
        block: cuda_block(plan.formula.acc, cols, panel.tile()),
        cols,
        unroll: 12,
        threads: panel::ROWS,
    }
}

/// Columns of a block on CUDA: those that are written out, where there are several.
fn cuda_block(acc: Accumulation, cols: usize, tile: usize) -> usize {
    match acc {
        Accumulation::Blocked if cols > 1 => cols,
        acc => block(acc, tile),
    }
}

/// The panel family of CPUs: every sum over components is a register for each vector of rows and
/// each column of a panel, and there are 16 of them, or 8, whose latencies hide each other's. Few
/// rows and many columns where a row holds much through the fold.
fn panel(held: usize, block: usize) -> Choice {
    let (rows_wide, columns_wide) = if held <= 5 { (4, 4) } else { (2, 8) };
    Choice {
        rows_wide,
        rows_narrow: 2,
        group_wide: rows_wide,
        group_narrow: 2,
        columns_wide,
        columns_narrow: 4,
        tile: 256,
        block,
        cols: 0,
        unroll: UNROLLED,
        threads: 1,
    }
}

/// Columns of a block on a CPU. Sorted lists keep the values of at most [`CHAIN`] columns, whatever
/// sums beside them promise; where nothing is summed, that many are looked at together.
fn cpu_block(plan: &Plan, stage: &Stage) -> usize {
    let block = block(plan.formula.acc, 256);
    match listed(&plan.formula, stage) {
        _ if only_searches(&plan.formula, stage) => CHAIN,
        0 => block,
        _ => block.min(CHAIN),
    }
}

/// Columns of a block; [`Accumulation`] promises a bound that follows from it.
fn block(acc: Accumulation, tile: usize) -> usize {
    match acc {
        Accumulation::Each => 1,
        Accumulation::Blocked => tile.min(CHAIN),
        Accumulation::Fast => tile,
    }
}

/// Columns of a tile in the shared memory that a block has without asking: 48 KiB, in f64.
fn shared_tile(col_words: usize) -> usize {
    let fits = MAX_SHARED_WORDS / col_words.max(1);
    match fits {
        128.. => 128,
        0..8 => fits.max(1),
        _ => 1 << fits.ilog2(),
    }
}

/// Most scalars a column may hand to a pair, so that one column fits in shared memory.
pub const MAX_SHARED_WORDS: usize = (48 << 10) / 8;

/// Whether a stage has accumulators of plain sums alone.
fn only_sums(f: &Formula, stage: &Stage) -> bool {
    let groups = accumulators(f, stage);
    f.acc == Accumulation::Blocked
        && groups.iter().all(|group| state_kind(f, group) == StateKind::Sum)
}

/// Whether a stage looks for the rows of smallest or largest values, and for nothing else.
pub fn only_searches(f: &Formula, stage: &Stage) -> bool {
    let groups = accumulators(f, stage);
    let searches = |kind| matches!(kind, StateKind::ArgMin | StateKind::ArgMax);
    !groups.is_empty() && groups.iter().all(|group| searches(state_kind(f, group)))
}

/// Entries a row that sorted lists keep.
fn listed(f: &Formula, stage: &Stage) -> usize {
    stage.reductions.iter().map(|&id| reduction(f, id).k).max().unwrap_or(0)
}

/// Scalars a row of long contractions of pairs, which may be kept in arrays.
fn contracted(f: &Formula, stage: &Stage) -> usize {
    let args = stage.reductions.iter().flat_map(|&id| f.node(id).args());
    let read = f.reachable(args);
    let long = |id: &ExprId| {
        let Node::Op(op, ..) = f.node(*id) else { return false };
        let contracts = matches!(op.def().emit, Emit::Contract(_));
        contracts && f.stratum(*id) == Stratum::Pair && f.dim(*id) >= LONG
    };
    f.ids().filter(|id| read[id.index()]).filter(long).map(|id| f.dim(id)).sum()
}

/// See [`contracted`]: shorter ones stay in registers, if there are any.
const LONG: usize = 32;

/// Scalars a row that stay in registers through the fold.
fn held_vectors(f: &Formula, stage: &Stage) -> usize {
    let held = |group: &Vec<ExprId>| {
        let first = reduction(f, group[0]);
        // Float64 numbers and counts take several vectors a component.
        let vectors = match first.reducer.def().emit.state {
            StateKind::Prod => 3,
            StateKind::Var => 6,
            StateKind::Count => 2,
            _ => 1,
        };
        vectors * f.dim(first.args[0]) + weight(f, group).map_or(0, |w| f.dim(w))
    };
    accumulators(f, stage).iter().map(held).sum()
}
