//! Reductions at work. Goes in: tiles of numbers. Comes out: what they add to the scratch and the
//! states of accumulators. Inner loops are as in `exec`.

use std::ops::Range;

use tilefold_compiler::ir::Accumulation;

use super::acc::{Acc, flush, three};
use super::exec::{Arg, Others, Packs, chunk, chunk_mut};
use super::lanes::{ExpOfGap, Two};
use super::math::{Float, Isa, Vector, unrolled};
use super::moments;
use super::program::{Fold, LANES};
use super::sums::VECTORS;

/// Columns between two looks at the state.
pub(super) const TILE: usize = 256;

/// Columns that a sum adds up plainly, before they are added to it with compensation.
pub(super) const BLOCK: usize = 8;

/// Reductions at work on the tiles of a block.
pub(super) struct Folding<'a, T> {
    pub accs: &'a [Acc],
    pub sums: Accumulation,
    pub scratch: &'a mut [T],
    pub state: &'a mut [f64],
    /// What all tiles since `open` fold.
    pub tile: Columns,
    /// Columns of them that came before this tile.
    pub past: usize,
}

/// Numbers of the columns that tiles fold.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    /// That of the first one.
    pub first: usize,
    /// Whether a tile's column is [`LANES`] columns of one row.
    pub across: bool,
}

impl Columns {
    /// The number of a lane's column.
    #[inline(always)]
    pub fn number(self, col: usize, lane: usize) -> f64 {
        (if self.across { self.first + col * LANES + lane } else { self.first + col }) as f64
    }
}

/// What a tile hands to a fold.
pub(super) struct Tile<'a, T> {
    pub others: Others<'a, T>,
    pub packs: Packs<'a, T>,
    pub cols: usize,
}

impl<T: Float> Folding<'_, T> {
    /// Begins a tile of columns at a column.
    pub fn open(&mut self, first: usize) {
        (self.tile.first, self.past) = (first, 0);
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
            Accumulation::Blocked => BLOCK,
            Accumulation::Fast => TILE,
        }
    }

    /// One step of a reduction.
    #[inline(always)]
    pub fn fold<I: Isa>(&mut self, fold: &Fold<T>, tile: Tile<'_, T>) {
        let arg = |operand| tile.others.arg(&tile.packs, operand);
        let cols = tile.cols;
        match fold {
            Fold::Sum { acc, part, x, by } => {
                let by = by.as_ref().map(arg);
                self.sum::<I>(*acc, *part, arg(x), by, cols);
            }
            Fold::Wide(wide) => self.wide::<I>(wide, &tile),
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
    fn sum<I: Isa>(
        &mut self,
        acc: usize,
        part: usize,
        x: Arg<'_, T>,
        by: Option<Arg<'_, T>>,
        cols: usize,
    ) {
        let at = (acc, part);
        match (x, by) {
            (Arg::Lanes(x, step), None) => self.sum_of::<I>(at, Numbers(x, step), cols),
            (Arg::Lanes(x, of_x), Some(Arg::Number(y, of_y)))
            | (Arg::Number(y, of_y), Some(Arg::Lanes(x, of_x))) => {
                self.sum_of::<I>(at, Scaled([x, y], [of_x, of_y]), cols);
            }
            (Arg::Lanes(x, of_x), Some(Arg::Lanes(y, of_y))) => {
                self.sum_of::<I>(at, Products([x, y], [of_x, of_y]), cols);
            }
            (Arg::Number(x, of_x), Some(Arg::Number(y, of_y))) => {
                self.sum_of::<I>(at, OfColumns([x, y], [of_x, of_y]), cols);
            }
            (Arg::Number(x, of_x), None) => {
                self.sum_of::<I>(at, OfColumns([x, &[T::ONE]], [of_x, 0]), cols);
            }
        }
    }

    #[inline(always)]
    fn sum_of<I: Isa>(&mut self, at: (usize, usize), x: impl Terms<T>, cols: usize) {
        let from = self.whole(cols);
        if from > 0 {
            blocks::<T, I>(self.accs[at.0].sums(self.scratch, at.1, 1), x, from);
        }
        self.rest::<I>(at, x, from..cols);
    }

    /// Columns that are whole blocks, whose sums never leave registers.
    #[inline(always)]
    pub fn whole(&self, cols: usize) -> usize {
        match self.sums {
            Accumulation::Blocked if self.past.is_multiple_of(BLOCK) => cols - cols % BLOCK,
            _ => 0,
        }
    }

    /// The same for columns that begin or end in a block.
    #[inline(always)]
    pub fn rest<I: Isa>(
        &mut self,
        (acc, part): (usize, usize),
        x: impl Terms<T>,
        cols: Range<usize>,
    ) {
        let (acc, each) = (&self.accs[acc], self.sums == Accumulation::Each);
        let (block, past, mut from) = (self.block(), self.past, cols.start);
        let rows = acc.sums(self.scratch, part, 1);
        while from < cols.end {
            let to = (from + block - (past + from) % block).min(cols.end);
            some::<T, I>(chunk_mut(rows, 0), x, from..to);
            if (past + to).is_multiple_of(block) {
                flush(rows, acc.totals(self.state, part), each);
            }
            from = to;
        }
    }

    #[inline(always)]
    fn k_extrema(
        &mut self,
        acc: usize,
        e: usize,
        x: Arg<'_, T>,
        mask: Option<Arg<'_, T>>,
        cols: usize,
    ) {
        let (parts, least) = (self.accs[acc].parts, self.accs[acc].is_least());
        let (mut held, mut other) = ([T::ZERO; LANES], [T::ZERO; LANES]);
        for c in 0..cols {
            let x = x.lanes(c, &mut held);
            let own = self.accs[acc].scratch(self.scratch, 0);
            let (last, open) = (chunk(own, e * LANES), chunk(own, (parts + e) * LANES));
            let wanted = match least {
                true => wanted::<T, true>(x, last, open),
                false => wanted::<T, false>(x, last, open),
            };
            if wanted != [0; LANES] {
                let taken = mask.map(|mask| mask.lanes(c, &mut other));
                self.insert((acc, e), (x, &wanted), taken, c);
            }
        }
    }

    /// Puts numbers of a column into the lists that want them.
    #[inline(never)]
    fn insert(
        &mut self,
        (acc, e): (usize, usize),
        (x, wanted): (&[T; LANES], &[u8; LANES]),
        taken: Option<&[T; LANES]>,
        col: usize,
    ) {
        let acc = &self.accs[acc];
        for (n, some) in wanted.as_chunks::<8>().0.iter().enumerate() {
            if *some == [0; 8] {
                continue;
            }
            for l in (8 * n..8 * n + 8).filter(|&l| wanted[l] != 0) {
                if taken.is_none_or(|mask| mask[l] != T::ZERO) {
                    let at = self.tile.number(self.past + col, l);
                    acc.insert(self.state, (e, l), x[l].to_f64(), at);
                    acc.load_last(self.scratch, self.state, (e, l));
                }
            }
        }
    }

    /// Raises the shift where a score of the tile exceeds it by more than 1, rescales what was
    /// summed, and replaces the scores by the terms exp(score - shift).
    #[inline(always)]
    pub fn exps<I: Isa>(&mut self, acc: usize, score: Arg<'_, T>, out: &mut [T], cols: usize) {
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
            self.raise::<I>(at, &most);
            shift = *chunk(self.accs[at].scratch(self.scratch, 0), 0);
        }
        for c in 0..cols {
            let q = score.lanes(c, &mut held);
            ExpOfGap::lanes::<T, I>(chunk_mut(out, c * LANES), q, &shift);
        }
        self.sum::<I>(at, 0, Arg::Lanes(out, LANES), None, cols);
    }

    fn raise<I: Isa>(&mut self, acc: usize, most: &[T; LANES]) {
        let acc = &self.accs[acc];
        let own = acc.scratch(self.scratch, 0);
        let (shift, rest) = own.split_at_mut(2 * LANES);
        let mut scale = [T::ONE; LANES];
        for l in 0..LANES {
            let to = if most[l] < T::LARGEST { most[l] } else { T::LARGEST };
            if most[l] - shift[l] > T::ONE {
                scale[l] = (shift[l] - to).exp::<I>();
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

/// Numbers, or products of two, that a sum adds up.
pub(super) trait Terms<T>: Copy {
    /// Adds the terms of a column to the sums of a vector of lanes.
    fn add<V: Vector<T>>(self, sum: V, at: usize, col: usize) -> V;
}

#[derive(Clone, Copy)]
struct Numbers<'a, T>(&'a [T], usize);

impl<T: Float> Terms<T> for Numbers<'_, T> {
    #[inline(always)]
    fn add<V: Vector<T>>(self, sum: V, at: usize, col: usize) -> V {
        sum.add(V::load(&self.0[col * self.1 + at..]))
    }
}

/// Numbers of lanes times those of columns.
#[derive(Clone, Copy)]
pub(super) struct Scaled<'a, T>(pub [&'a [T]; 2], pub [usize; 2]);

impl<T: Float> Terms<T> for Scaled<'_, T> {
    #[inline(always)]
    fn add<V: Vector<T>>(self, sum: V, at: usize, col: usize) -> V {
        let x = V::load(&self.0[0][col * self.1[0] + at..]);
        x.mul_add(V::splat(&self.0[1][col * self.1[1]]), sum)
    }
}

#[derive(Clone, Copy)]
struct Products<'a, T>([&'a [T]; 2], [usize; 2]);

impl<T: Float> Terms<T> for Products<'_, T> {
    #[inline(always)]
    fn add<V: Vector<T>>(self, sum: V, at: usize, col: usize) -> V {
        let [x, y] = [0, 1].map(|n| V::load(&self.0[n][col * self.1[n] + at..]));
        x.mul_add(y, sum)
    }
}

/// Products of columns, which are the same for all lanes.
#[derive(Clone, Copy)]
struct OfColumns<'a, T>([&'a [T]; 2], [usize; 2]);

impl<T: Float> Terms<T> for OfColumns<'_, T> {
    #[inline(always)]
    fn add<V: Vector<T>>(self, sum: V, _: usize, col: usize) -> V {
        let [x, y] = [0, 1].map(|n| V::splat(&self.0[n][col * self.1[n]]));
        x.mul_add(y, sum)
    }
}

/// Adds terms of some columns to the part of a sum. Some vectors of lanes stay in registers.
#[inline(always)]
fn some<T: Float, I: Isa>(part: &mut [T; LANES], x: impl Terms<T>, cols: Range<usize>) {
    let width = T::Vector::<I>::WIDTH;
    for at in (0..LANES).step_by(VECTORS * width) {
        let mut sums = [T::Vector::<I>::ZERO; VECTORS];
        unrolled!(r < VECTORS, { sums[r] = Vector::load(&part[at + r * width..]) });
        for c in cols.clone() {
            unrolled!(r < VECTORS, { sums[r] = x.add(sums[r], at + r * width, c) });
        }
        unrolled!(r < VECTORS, { sums[r].store(&mut part[at + r * width..]) });
    }
}

/// Adds the terms of whole blocks of columns to a sum and its error.
#[inline(always)]
fn blocks<T: Float, I: Isa>(rows: &mut [T], x: impl Terms<T>, cols: usize) {
    let [_, high, low] = three(rows);
    let width = T::Vector::<I>::WIDTH;
    for at in (0..LANES).step_by(VECTORS * width) {
        let mut sums = [T::Vector::<I>::ZERO; VECTORS];
        let mut errors = sums;
        unrolled!(r < VECTORS, {
            sums[r] = Vector::load(&high[at + r * width..]);
            errors[r] = Vector::load(&low[at + r * width..]);
        });
        for start in (0..cols).step_by(BLOCK) {
            let mut part = [T::Vector::<I>::ZERO; VECTORS];
            for c in start..start + BLOCK {
                unrolled!(r < VECTORS, { part[r] = x.add(part[r], at + r * width, c) });
            }
            unrolled!(r < VECTORS, { [sums[r], errors[r]] = joined(sums[r], errors[r], part[r]) });
        }
        unrolled!(r < VECTORS, {
            sums[r].store(&mut high[at + r * width..]);
            errors[r].store(&mut low[at + r * width..]);
        });
    }
}

/// A sum and its error with the terms of a block (Dekker's Fast2Sum).
#[inline(always)]
pub(super) fn joined<T, V: Vector<T>>(sum: V, error: V, part: V) -> [V; 2] {
    let next = sum.add(part);
    [next, error.add(part.sub(next.sub(sum)))]
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

/// Which lanes have a number that comes before the last entry of their list, or a list that is not
/// full. Bytes, as those are vectors at once.
#[inline(always)]
fn wanted<T: Float, const LEAST: bool>(
    x: &[T; LANES],
    last: &[T; LANES],
    open: &[T; LANES],
) -> [u8; LANES] {
    let mut wanted = [0; LANES];
    for l in 0..LANES {
        wanted[l] = u8::from(first::<T, LEAST>(x[l], last[l]) | (open[l] != T::ZERO));
    }
    wanted
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
