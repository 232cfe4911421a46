//! Reductions at work. Goes in: tiles of numbers. Comes out: what they add to the scratch and the
//! states of accumulators. Inner loops are as in `exec`.

use std::ops::Range;

use tilefold_compiler::ir::Accumulation;

use super::acc::{Acc, flush};
use super::exec::{Arg, GROUP, Others, Packs, chunk, chunk_mut};
use super::lanes::{ExpOfGap, both};
use super::math::Float;
use super::moments;
use super::program::{Fold, LANES};

/// Columns between two looks at the state.
pub(super) const TILE: usize = 256;

/// Reductions at work on the tiles of a block.
pub(super) struct Folding<'a, T> {
    pub accs: &'a [Acc],
    pub sums: Accumulation,
    pub scratch: &'a mut [T],
    pub state: &'a mut [f64],
    /// Number of the first column of all tiles since `open`.
    pub tile: usize,
    /// Columns of them that came before this tile.
    pub past: usize,
}

/// What a tile hands to a fold.
pub(super) struct Tile<'a, T> {
    pub others: Others<'a, T>,
    pub packs: Packs<'a, T>,
    pub cols: usize,
}

impl<T: Float> Folding<'_, T> {
    /// Begins a tile of columns at a column.
    pub fn open(&mut self, tile: usize) {
        (self.tile, self.past) = (tile, 0);
        self.accs.iter().for_each(|acc| acc.open(self.scratch, self.state));
    }

    /// Ends it.
    pub fn close(&mut self) {
        self.accs.iter().for_each(|acc| acc.close(self.scratch, self.state, self.tile));
    }

    /// Columns that are summed plainly.
    #[inline(always)]
    fn block(&self) -> usize {
        match self.sums {
            Accumulation::Each => 1,
            Accumulation::Blocked => 8,
            Accumulation::Fast => TILE,
        }
    }

    /// One step of a reduction.
    #[inline(always)]
    pub fn fold<const FMA: bool>(&mut self, fold: &Fold<T>, tile: Tile<'_, T>) {
        let arg = |operand| tile.others.arg(&tile.packs, operand);
        let cols = tile.cols;
        match fold {
            Fold::Sum { acc, part, x, by } => {
                let by = by.as_ref().map(arg);
                self.sum::<FMA>(*acc, *part, arg(x), by, cols);
            }
            Fold::Rows { acc, mask } => {
                let acc = &self.accs[*acc];
                let rows = acc.of_mut(self.state, 2 * acc.parts);
                count(rows, mask.as_ref().map(arg), cols);
            }
            Fold::Var { acc, xs, mask } => {
                let acc = &self.accs[*acc];
                let state = &mut self.state[acc.state * LANES..];
                let all = xs.iter().map(arg);
                moments::var(state, acc.parts, all, mask.as_ref().map(arg), cols);
            }
            Fold::Prod { acc, part, x } => {
                let acc = &self.accs[*acc];
                let state = &mut self.state[acc.state * LANES..];
                moments::prod(state, acc.parts, *part, arg(x), cols);
            }
            Fold::Extremum { acc, part, x } => {
                let acc = &self.accs[*acc];
                let best = chunk_mut(acc.scratch(self.scratch, *part), 0);
                extremum(acc.is_least(), best, arg(x), cols);
            }
            Fold::ArgExtremum { acc, part, x, mask } => {
                let (acc, past) = (&self.accs[*acc], self.past);
                let own = acc.scratch(self.scratch, 0);
                let rows = [0, 1, 2].map(|n| (n * acc.parts + part) * LANES);
                let mask = mask.as_ref().map(arg);
                if acc.is_least() {
                    arg_extremum::<T, true>(own, rows, arg(x), mask, (past, cols));
                } else {
                    arg_extremum::<T, false>(own, rows, arg(x), mask, (past, cols));
                }
            }
            Fold::KExtrema { acc, part, x, mask } => {
                self.k_extrema(*acc, *part, arg(x), mask.as_ref().map(arg), cols);
            }
            Fold::Count { acc, part, x, mask } => {
                let acc = &self.accs[*acc];
                let (x, mask) = (arg(x), mask.as_ref().map(arg));
                let (mut held, mut other) = ([T::ZERO; LANES], [T::ZERO; LANES]);
                for c in 0..cols {
                    let x = x.lanes(c, &mut held);
                    let taken = mask.map(|mask| mask.lanes(c, &mut other));
                    for l in 0..LANES {
                        let taken = taken.is_none_or(|mask| mask[l] != T::ZERO);
                        let row = if x[l] == T::ZERO { acc.parts + part } else { *part };
                        if taken {
                            self.state[(acc.state + row) * LANES + l] += 1.0;
                        }
                    }
                }
            }
            // It writes a register: `exps`.
            Fold::Exps { .. } => {}
        }
    }

    /// Adds numbers, or products of two, to a sum.
    #[inline(always)]
    fn sum<const FMA: bool>(
        &mut self,
        acc: usize,
        part: usize,
        x: Arg<'_, T>,
        by: Option<Arg<'_, T>>,
        cols: usize,
    ) {
        let (acc, each) = (&self.accs[acc], self.sums == Accumulation::Each);
        let (block, past) = (self.block(), self.past);
        let rows = &mut acc.scratch(self.scratch, acc.head() + 3 * part)[..3 * LANES];
        let mut from = 0;
        while from < cols {
            let to = (from + block - (past + from) % block).min(cols);
            terms::<T, FMA>(chunk_mut(rows, 0), x, by, from..to);
            if (past + to).is_multiple_of(block) {
                flush(rows, acc.totals(self.state, part), each);
            }
            from = to;
        }
    }

    fn k_extrema(
        &mut self,
        acc: usize,
        e: usize,
        x: Arg<'_, T>,
        mask: Option<Arg<'_, T>>,
        cols: usize,
    ) {
        let acc = &self.accs[acc];
        let (mut held, mut other) = ([T::ZERO; LANES], [T::ZERO; LANES]);
        for c in 0..cols {
            let x = x.lanes(c, &mut held);
            let taken = mask.map(|mask| mask.lanes(c, &mut other));
            let last: &[T; LANES] = chunk(acc.scratch(self.scratch, e), 0);
            let last = *last;
            let open: &[T; LANES] = chunk(acc.scratch(self.scratch, acc.parts + e), 0);
            let wanted = |l: usize| acc.first(x[l], last[l]) | (open[l] != T::ZERO);
            if !(0..LANES).fold(false, |any, l| any | wanted(l)) {
                continue;
            }
            let wanted: [bool; LANES] = std::array::from_fn(wanted);
            let taken = |l: usize| taken.is_none_or(|mask| mask[l] != T::ZERO);
            for l in (0..LANES).filter(|&l| wanted[l] && taken(l)) {
                let at = (self.tile + self.past + c) as f64;
                acc.insert(self.state, (e, l), x[l].to_f64(), at);
            }
            acc.load_last(self.scratch, self.state, e);
        }
    }

    /// Raises the shift where a score of the tile exceeds it by more than 1, rescales what was
    /// summed, and replaces the scores by the terms exp(score - shift).
    #[inline(always)]
    pub fn exps<const FMA: bool>(
        &mut self,
        acc: usize,
        score: Arg<'_, T>,
        out: &mut [T],
        cols: usize,
    ) {
        let at = acc;
        let acc = &self.accs[at];
        let (mut held, mut most) = ([T::ZERO; LANES], [-T::INFINITY; LANES]);
        for c in 0..cols {
            let q = score.lanes(c, &mut held);
            for l in 0..LANES {
                most[l] = if q[l] > most[l] { q[l] } else { most[l] };
            }
        }
        let own = acc.scratch(self.scratch, 0);
        let mut shift: [T; LANES] = *chunk(own, 0);
        let top: &mut [T; LANES] = chunk_mut(own, LANES);
        for l in 0..LANES {
            top[l] = if most[l] > top[l] { most[l] } else { top[l] };
        }
        let higher = |l: usize| most[l] - shift[l] > T::ONE;
        if (0..LANES).fold(false, |any, l| any | higher(l)) {
            self.raise::<FMA>(at, &most);
            shift = *chunk(self.accs[at].scratch(self.scratch, 0), 0);
        }
        for c in 0..cols {
            let q = score.lanes(c, &mut held);
            both::<T, FMA, ExpOfGap>(chunk_mut(out, c * LANES), q, &shift);
        }
        self.sum::<FMA>(at, 0, Arg::Lanes(out, LANES), None, cols);
    }

    fn raise<const FMA: bool>(&mut self, acc: usize, most: &[T; LANES]) {
        let acc = &self.accs[acc];
        let own = acc.scratch(self.scratch, 0);
        let (shift, rest) = own.split_at_mut(2 * LANES);
        let mut scale = [T::ONE; LANES];
        for l in 0..LANES {
            let to = if most[l] < T::LARGEST { most[l] } else { T::LARGEST };
            if most[l] - shift[l] > T::ONE {
                scale[l] = (shift[l] - to).exp::<FMA>();
                shift[l] = to;
            }
        }
        for part in 0..acc.parts {
            for row in rest[3 * part * LANES..][..3 * LANES].chunks_mut(LANES) {
                row.iter_mut().zip(&scale).for_each(|(x, &scale)| *x = *x * scale);
            }
            for row in acc.totals(self.state, part).chunks_mut(LANES) {
                row.iter_mut().zip(&scale).for_each(|(x, scale)| *x *= scale.to_f64());
            }
        }
    }
}

/// Adds terms of some columns to the part of a sum. A group of lanes stays in registers.
#[inline(always)]
fn terms<T: Float, const FMA: bool>(
    part: &mut [T; LANES],
    x: Arg<'_, T>,
    by: Option<Arg<'_, T>>,
    cols: Range<usize>,
) {
    for at in (0..LANES).step_by(GROUP) {
        let mut sum: [T; GROUP] = *chunk(&*part, at);
        match (x, by) {
            (Arg::Lanes(x, step), None) => {
                for c in cols.clone() {
                    let x: &[T; GROUP] = chunk(x, c * step + at);
                    for l in 0..GROUP {
                        sum[l] = sum[l] + x[l];
                    }
                }
            }
            (Arg::Lanes(x, of_x), Some(Arg::Number(y, of_y)))
            | (Arg::Number(y, of_y), Some(Arg::Lanes(x, of_x))) => {
                for c in cols.clone() {
                    let (x, y): (&[T; GROUP], T) = (chunk(x, c * of_x + at), y[c * of_y]);
                    for l in 0..GROUP {
                        sum[l] = x[l].mul_add::<FMA>(y, sum[l]);
                    }
                }
            }
            (Arg::Lanes(x, of_x), Some(Arg::Lanes(y, of_y))) => {
                for c in cols.clone() {
                    let x: &[T; GROUP] = chunk(x, c * of_x + at);
                    let y: &[T; GROUP] = chunk(y, c * of_y + at);
                    for l in 0..GROUP {
                        sum[l] = x[l].mul_add::<FMA>(y[l], sum[l]);
                    }
                }
            }
            (Arg::Number(x, of_x), by) => {
                for c in cols.clone() {
                    let by = match by {
                        Some(Arg::Number(y, of_y)) => y[c * of_y],
                        _ => T::ONE,
                    };
                    for sum in &mut sum {
                        *sum = x[c * of_x].mul_add::<FMA>(by, *sum);
                    }
                }
            }
        }
        *chunk_mut(part, at) = sum;
    }
}

/// Counts the columns that a mask lets pass.
fn count<T: Float>(rows: &mut [f64; LANES], mask: Option<Arg<'_, T>>, cols: usize) {
    let Some(mask) = mask else {
        rows.iter_mut().for_each(|rows| *rows += cols as f64);
        return;
    };
    let mut held = [T::ZERO; LANES];
    for c in 0..cols {
        let mask = mask.lanes(c, &mut held);
        for l in 0..LANES {
            rows[l] += if mask[l] != T::ZERO { 1.0 } else { 0.0 };
        }
    }
}

#[inline(always)]
fn extremum<T: Float>(least: bool, best: &mut [T; LANES], x: Arg<'_, T>, cols: usize) {
    let mut held = [T::ZERO; LANES];
    for c in 0..cols {
        let x = x.lanes(c, &mut held);
        for l in 0..LANES {
            let first = if least { x[l].before(best[l]) } else { x[l].above(best[l]) };
            best[l] = if first { x[l] } else { best[l] };
        }
    }
}

/// Whether one value comes before another.
#[inline(always)]
fn first<T: Float, const LEAST: bool>(a: T, b: T) -> bool {
    if LEAST { a.before(b) } else { a.above(b) }
}

/// `rows` are where the value, its column and whether there is none yet lie in `own`.
#[inline(always)]
fn arg_extremum<T: Float, const LEAST: bool>(
    own: &mut [T],
    rows: [usize; 3],
    x: Arg<'_, T>,
    mask: Option<Arg<'_, T>>,
    (past, cols): (usize, usize),
) {
    let [mut best, mut at, mut none]: [[T; LANES]; 3] = rows.map(|row| *chunk(own, row));
    let (mut held, mut other) = ([T::ZERO; LANES], [T::ZERO; LANES]);
    for c in 0..cols {
        let x = x.lanes(c, &mut held);
        let here = T::from_f64((past + c) as f64);
        match mask {
            None => {
                for l in 0..LANES {
                    let first = first::<T, LEAST>(x[l], best[l]);
                    best[l] = if first { x[l] } else { best[l] };
                    at[l] = if first { here } else { at[l] };
                }
            }
            Some(mask) => {
                let mask = mask.lanes(c, &mut other);
                for l in 0..LANES {
                    let first = first::<T, LEAST>(x[l], best[l]) | (none[l] != T::ZERO);
                    let first = first & (mask[l] != T::ZERO);
                    best[l] = if first { x[l] } else { best[l] };
                    at[l] = if first { here } else { at[l] };
                    none[l] = if first { T::ZERO } else { none[l] };
                }
            }
        }
    }
    for (row, all) in rows.into_iter().zip([best, at, none]) {
        *chunk_mut(own, row) = all;
    }
}
