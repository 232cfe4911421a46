//! Reductions: the states of `templates/include/reduce.h` in Rust. Goes in: tiles of numbers.
//! Comes out: finished values. Sums keep the bound that `Accumulation` documents: blocks in the
//! dtype, added up with compensation, and totals in float64. Ties go to the lowest row, NaN comes
//! before every number, and states are merged in the order of their columns.
//!
//! A *state* lives between blocks, as rows of [`LANES`] float64 numbers. During a tile of columns
//! an accumulator works in *scratch* of the dtype: `open` fills it from the state, `close` hands
//! it back.

use tilefold_compiler::ir::{Accumulation, ExprId, Formula};
use tilefold_compiler::reduce::StateKind;
use tilefold_compiler::schedule::{reads_top, reduction, state_kind, weight};

use super::exec::{Arg, GROUP, Others, Packs, chunk, chunk_mut};
use super::math::Float;
use super::moments;
use super::program::{Fold, LANES};

/// Columns between two looks at the state.
pub(super) const TILE: usize = 256;

/// One accumulator of a stage.
#[derive(Clone, Debug)]
pub(super) struct Acc {
    pub kind: StateKind,
    /// Components; of shifted sums, one more than the weight has.
    pub parts: usize,
    /// Entries that are kept.
    pub k: usize,
    pub masked: bool,
    /// Whether the largest score itself is read.
    pub top: bool,
    /// Where its scratch and its state begin, in rows of [`LANES`] numbers.
    scratch: usize,
    state: usize,
}

impl Acc {
    /// The accumulator that a group of reductions shares, in order after `before`.
    pub fn new(f: &Formula, group: &[ExprId], before: &[Acc]) -> Acc {
        let r = reduction(f, group[0]);
        let kind = state_kind(f, group);
        let parts = match kind {
            StateKind::ShiftedExp => 1 + weight(f, group).map_or(0, |w| f.dim(w)),
            _ => f.dim(r.args[0]),
        };
        let last = before.last();
        Acc {
            kind,
            parts,
            k: r.k,
            masked: r.mask.is_some(),
            top: reads_top(f, group),
            scratch: last.map_or(0, |acc| acc.scratch + acc.scratch_rows()),
            state: last.map_or(0, |acc| acc.state + acc.state_rows()),
        }
    }

    fn scratch_rows(&self) -> usize {
        match self.kind {
            StateKind::Sum | StateKind::Mean => 3 * self.parts,
            StateKind::ShiftedExp => 2 + 3 * self.parts,
            StateKind::Min | StateKind::Max => self.parts,
            StateKind::ArgMin | StateKind::ArgMax => 3 * self.parts,
            StateKind::KMin | StateKind::KMax => 2 * self.parts,
            StateKind::Var | StateKind::Prod | StateKind::Count => 0,
        }
    }

    fn state_rows(&self) -> usize {
        match self.kind {
            StateKind::Sum => 2 * self.parts,
            StateKind::Mean | StateKind::Var => 2 * self.parts + 1,
            StateKind::ShiftedExp => 2 + 2 * self.parts,
            StateKind::Min | StateKind::Max => self.parts,
            StateKind::Prod | StateKind::Count | StateKind::ArgMin | StateKind::ArgMax => {
                2 * self.parts
            }
            StateKind::KMin | StateKind::KMax => 2 * self.parts * self.k,
        }
    }

    /// Rows of scratch and of state that accumulators take together.
    pub fn sizes(all: &[Acc]) -> [usize; 2] {
        all.last()
            .map_or([0, 0], |acc| [acc.scratch + acc.scratch_rows(), acc.state + acc.state_rows()])
    }

    /// Rows in front of the sums: the shift and the largest score.
    fn head(&self) -> usize {
        if self.kind == StateKind::ShiftedExp { 2 } else { 0 }
    }

    fn is_least(&self) -> bool {
        matches!(self.kind, StateKind::Min | StateKind::ArgMin | StateKind::KMin)
    }

    /// The value of an empty set.
    fn worst(&self) -> f64 {
        if self.is_least() { f64::INFINITY } else { f64::NEG_INFINITY }
    }

    /// Whether one value comes before another.
    #[inline(always)]
    fn first<T: Float>(&self, a: T, b: T) -> bool {
        if self.is_least() { a.before(b) } else { a.above(b) }
    }

    fn of<'s, T>(&self, state: &'s [T], row: usize) -> &'s [T; LANES] {
        chunk(state, (self.state + row) * LANES)
    }

    fn of_mut<'s, T>(&self, state: &'s mut [T], row: usize) -> &'s mut [T; LANES] {
        chunk_mut(state, (self.state + row) * LANES)
    }

    /// Scratch from row `row` on.
    #[inline(always)]
    fn scratch<'s, T>(&self, scratch: &'s mut [T], row: usize) -> &'s mut [T] {
        &mut scratch[(self.scratch + row) * LANES..]
    }

    /// Makes a state neutral.
    pub fn init<T: Float>(&self, state: &mut [f64]) {
        let rows = self.state_rows();
        let all = &mut state[self.state * LANES..][..rows * LANES];
        all.fill(0.0);
        match self.kind {
            StateKind::ShiftedExp => all[..2 * LANES].fill(-T::LARGEST.to_f64()),
            StateKind::Prod => all[..self.parts * LANES].fill(1.0),
            StateKind::Min
            | StateKind::Max
            | StateKind::ArgMin
            | StateKind::ArgMax
            | StateKind::KMin
            | StateKind::KMax => {
                let entries = self.parts * self.k.max(1) * LANES;
                all.fill(-1.0);
                all[..entries].fill(self.worst());
            }
            StateKind::Sum | StateKind::Mean | StateKind::Var | StateKind::Count => {}
        }
    }

    /// Begins a tile of columns.
    fn open<T: Float>(&self, scratch: &mut [T], state: &[f64]) {
        let own = self.scratch(scratch, 0);
        own[..self.scratch_rows() * LANES].fill(T::ZERO);
        let mut load = |to: usize, from: usize| {
            for (to, &from) in own[to * LANES..].iter_mut().zip(self.of(state, from)) {
                *to = T::from_f64(from);
            }
        };
        match self.kind {
            StateKind::ShiftedExp => [0, 1].into_iter().for_each(|row| load(row, row)),
            StateKind::Min | StateKind::Max => (0..self.parts).for_each(|e| load(e, e)),
            StateKind::ArgMin | StateKind::ArgMax => {
                (0..self.parts).for_each(|e| load(e, e));
                for e in 0..self.parts {
                    let empty = self.of(state, self.parts + e).map(|at| T::truth(at < 0.0));
                    *chunk_mut(own, (2 * self.parts + e) * LANES) = empty;
                    own[(self.parts + e) * LANES..][..LANES].fill(-T::ONE);
                }
            }
            StateKind::KMin | StateKind::KMax => {
                (0..self.parts).for_each(|e| self.load_last(scratch, state, e));
            }
            StateKind::Sum
            | StateKind::Mean
            | StateKind::Var
            | StateKind::Prod
            | StateKind::Count => {}
        }
    }

    /// The last entry of a sorted list, and whether the list is not full.
    fn load_last<T: Float>(&self, scratch: &mut [T], state: &[f64], e: usize) {
        let last = self.of(state, (self.k - 1) * self.parts + e).map(T::from_f64);
        let at = self.of(state, (2 * self.k - 1) * self.parts + e);
        let open = at.map(|at| T::truth(at < 0.0));
        *chunk_mut(self.scratch(scratch, e), 0) = last;
        *chunk_mut(self.scratch(scratch, self.parts + e), 0) = open;
    }

    /// Ends the tile that began at column `tile`.
    fn close<T: Float>(&self, scratch: &mut [T], state: &mut [f64], tile: usize) {
        let own = self.scratch(scratch, 0);
        match self.kind {
            StateKind::Sum | StateKind::Mean | StateKind::ShiftedExp => {
                for row in 0..self.head() {
                    let from: &[T; LANES] = chunk(own, row * LANES);
                    *self.of_mut(state, row) = from.map(T::to_f64);
                }
                for part in 0..self.parts {
                    let rows = &mut own[(self.head() + 3 * part) * LANES..][..3 * LANES];
                    let totals = self.totals(state, part);
                    flush(rows, totals, false);
                    let [_, high, low] = three(rows);
                    for l in 0..LANES {
                        let is_finite = high[l] - high[l] == T::ZERO;
                        add_total::<T>(totals, l, high[l]);
                        add_total::<T>(totals, l, if is_finite { low[l] } else { T::ZERO });
                    }
                }
            }
            StateKind::Min | StateKind::Max => {
                for e in 0..self.parts {
                    let from: &[T; LANES] = chunk(own, e * LANES);
                    *self.of_mut(state, e) = from.map(T::to_f64);
                }
            }
            StateKind::ArgMin | StateKind::ArgMax => {
                for e in 0..self.parts {
                    let best: &[T; LANES] = chunk(own, e * LANES);
                    let found: &[T; LANES] = chunk(own, (self.parts + e) * LANES);
                    *self.of_mut(state, e) = best.map(T::to_f64);
                    let at = self.of_mut(state, self.parts + e);
                    for (at, found) in at.iter_mut().zip(found) {
                        if *found >= T::ZERO {
                            *at = tile as f64 + found.to_f64();
                        } else if !self.masked && *at < 0.0 {
                            // Nothing came before the neutral element: all values equal it.
                            *at = tile as f64;
                        }
                    }
                }
            }
            StateKind::KMin
            | StateKind::KMax
            | StateKind::Var
            | StateKind::Prod
            | StateKind::Count => {}
        }
    }

    /// The total of a sum and its rounding error.
    #[inline(always)]
    fn totals<'s>(&self, state: &'s mut [f64], part: usize) -> &'s mut [f64] {
        &mut state[(self.state + self.head() + 2 * part) * LANES..][..2 * LANES]
    }

    /// Adds a state that folded later columns.
    pub fn merge<T: Float>(&self, state: &mut [f64], other: &[f64]) {
        match self.kind {
            StateKind::Sum | StateKind::Mean => {
                for part in 0..self.parts {
                    self.merge_totals(state, other, part, [&[1.0; LANES]; 2]);
                }
                if self.kind == StateKind::Mean {
                    moments::add(
                        self.of_mut(state, 2 * self.parts),
                        self.of(other, 2 * self.parts),
                    );
                }
            }
            StateKind::ShiftedExp => self.merge_shifted(state, other),
            StateKind::Min | StateKind::Max => {
                for e in 0..self.parts {
                    let theirs = self.of(other, e);
                    for (a, &b) in self.of_mut(state, e).iter_mut().zip(theirs) {
                        *a = if self.first(b, *a) { b } else { *a };
                    }
                }
            }
            StateKind::ArgMin | StateKind::ArgMax => {
                for e in 0..self.parts {
                    let (values, rows) = (self.of(other, e), self.of(other, self.parts + e));
                    for l in (0..LANES).filter(|&l| rows[l] >= 0.0) {
                        let empty = self.of(state, self.parts + e)[l] < 0.0;
                        if empty || self.first(values[l], self.of(state, e)[l]) {
                            self.of_mut(state, e)[l] = values[l];
                            self.of_mut(state, self.parts + e)[l] = rows[l];
                        }
                    }
                }
            }
            StateKind::KMin | StateKind::KMax => self.merge_lists(state, other),
            StateKind::Var => {
                let [own, others] = [self.state * LANES; 2];
                moments::merge_var(&mut state[own..], &other[others..], self.parts);
            }
            StateKind::Prod => {
                let [own, others] = [self.state * LANES; 2];
                moments::merge_prod(&mut state[own..], &other[others..], self.parts);
            }
            StateKind::Count => {
                for row in 0..2 * self.parts {
                    moments::add(self.of_mut(state, row), self.of(other, row));
                }
            }
        }
    }

    /// Total l becomes `a[l]` times itself plus `b[l]` times the other.
    fn merge_totals(
        &self,
        state: &mut [f64],
        other: &[f64],
        part: usize,
        [a, b]: [&[f64; LANES]; 2],
    ) {
        let [theirs, their_low] = [0, 1].map(|n| self.of(other, self.head() + 2 * part + n));
        let (high, low) = self.totals(state, part).split_at_mut(LANES);
        for l in 0..LANES {
            let (x, y) = (high[l] * a[l], theirs[l] * b[l]);
            high[l] = x + y;
            let back = high[l] - x;
            low[l] = low[l] * a[l] + their_low[l] * b[l] + ((x - (high[l] - back)) + (y - back));
        }
    }

    fn merge_shifted(&self, state: &mut [f64], other: &[f64]) {
        let (mine, theirs) = (*self.of(state, 0), *self.of(other, 0));
        let (mut to, mut a, mut b) = (mine, [1.0; LANES], [1.0; LANES]);
        // Both may be the neutral element, whose difference from itself is 0.
        let scale = |from: f64, to: f64| if from == to { 1.0 } else { (from - to).exp() };
        for l in 0..LANES {
            to[l] = if mine[l] < theirs[l] { theirs[l] } else { mine[l] };
            (a[l], b[l]) = (scale(mine[l], to[l]), scale(theirs[l], to[l]));
        }
        for part in 0..self.parts {
            self.merge_totals(state, other, part, [&a, &b]);
        }
        *self.of_mut(state, 0) = to;
        let tops = self.of(other, 1);
        for (top, &their) in self.of_mut(state, 1).iter_mut().zip(tops) {
            *top = if *top < their { their } else { *top };
        }
    }

    fn merge_lists(&self, state: &mut [f64], other: &[f64]) {
        for e in 0..self.parts {
            for l in 0..LANES {
                for entry in 0..self.k {
                    let row = entry * self.parts + e;
                    let x = self.of(other, row)[l];
                    let at = self.of(other, self.k * self.parts + row)[l];
                    let last = (self.k - 1) * self.parts + e;
                    let full = self.of(state, self.k * self.parts + last)[l] >= 0.0;
                    if at < 0.0 || full && !self.first(x, self.of(state, last)[l]) {
                        break;
                    }
                    self.insert(state, (e, l), x, at);
                }
            }
        }
    }

    /// Puts an entry behind those that are not after it; ties stay behind what is there, which
    /// has lower rows.
    fn insert(&self, state: &mut [f64], (e, l): (usize, usize), x: f64, at: f64) {
        let rows = self.k * self.parts;
        let mut entry = self.k - 1;
        while entry > 0 {
            let before = (entry - 1) * self.parts + e;
            let (value, row) = (self.of(state, before)[l], self.of(state, rows + before)[l]);
            if row >= 0.0 && !self.first(x, value) {
                break;
            }
            self.of_mut(state, before + self.parts)[l] = value;
            self.of_mut(state, rows + before + self.parts)[l] = row;
            entry -= 1;
        }
        self.of_mut(state, entry * self.parts + e)[l] = x;
        self.of_mut(state, rows + entry * self.parts + e)[l] = at;
    }

    /// A finished value of all lanes; `StateKind` says what the fields are.
    pub fn value<T: Float>(&self, state: &[f64], field: u32, component: usize) -> [f64; LANES] {
        let total = |part: usize| {
            let [high, low] = [0, 1].map(|n| self.of(state, self.head() + 2 * part + n));
            let finite = |l: usize| high[l] - high[l] == 0.0;
            std::array::from_fn(|l| if finite(l) { high[l] + low[l] } else { high[l] })
        };
        let by = |a: [f64; LANES], f: &dyn Fn(usize, f64) -> f64| -> [f64; LANES] {
            std::array::from_fn(|l| f(l, a[l]))
        };
        match self.kind {
            StateKind::Sum => total(component),
            StateKind::Mean => {
                let rows = self.of(state, 2 * self.parts);
                let sum = total(component);
                if field == 0 { sum } else { by(sum, &|l, sum| sum / rows[l]) }
            }
            StateKind::ShiftedExp => {
                let (shift, top) = (self.of(state, 0), self.of(state, 1));
                let plain: [f64; LANES] = total(0);
                let sum = if field < 2 { plain } else { total(1 + component) };
                by(sum, &|l, sum| match field {
                    0 | 2 => shift[l] + sum.ln(),
                    3 => sum / plain[l],
                    _ if self.top => sum * (shift[l] - top[l].min(T::LARGEST.to_f64())).exp(),
                    _ => sum,
                })
            }
            StateKind::Var => {
                let rows = self.of(state, 2 * self.parts);
                by(*self.of(state, self.parts + component), &|l, squares| squares / rows[l])
            }
            StateKind::Prod => {
                let exponents = self.of(state, self.parts + component);
                by(*self.of(state, component), &|l, x| moments::scaled(x, exponents[l]))
            }
            StateKind::Count => {
                let (hits, misses) =
                    (self.of(state, component), self.of(state, self.parts + component));
                std::array::from_fn(|l| {
                    let truth = if field == 1 { hits[l] != 0.0 } else { misses[l] == 0.0 };
                    if truth { 1.0 } else { 0.0 }
                })
            }
            // Entry n of component c of a list lies at n * parts + c, as in the result.
            StateKind::Min
            | StateKind::Max
            | StateKind::ArgMin
            | StateKind::ArgMax
            | StateKind::KMin
            | StateKind::KMax => *self.of(state, component),
        }
    }

    /// Row numbers or counts of all lanes.
    pub fn index(&self, state: &[f64], component: usize) -> [i64; LANES] {
        let row = match self.kind {
            StateKind::Count => component,
            _ => self.parts * self.k.max(1) + component,
        };
        self.of(state, row).map(|at| at as i64)
    }
}

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
                    arg_extremum(own, rows, arg(x), mask, (past, cols), T::before);
                } else {
                    arg_extremum(own, rows, arg(x), mask, (past, cols), T::above);
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
            let out: &mut [T; LANES] = chunk_mut(out, c * LANES);
            for l in (0..LANES).step_by(GROUP) {
                let mut group = [T::ZERO; GROUP];
                for (n, x) in group.iter_mut().enumerate() {
                    *x = (q[l + n] - shift[l + n]).exp::<FMA>();
                }
                *chunk_mut(out, l) = group;
            }
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

/// The part, the sum and the error of scratch.
#[inline(always)]
fn three<T>(rows: &mut [T]) -> [&mut [T; LANES]; 3] {
    let (part, rest) = rows.split_at_mut(LANES);
    let (high, low) = rest.split_at_mut(LANES);
    [chunk_mut(part, 0), chunk_mut(high, 0), chunk_mut(low, 0)]
}

/// Adds a block to its sum (Dekker's Fast2Sum), or to the totals.
#[inline(always)]
fn flush<T: Float>(rows: &mut [T], totals: &mut [f64], each: bool) {
    let [part, high, low] = three(rows);
    if each {
        for l in 0..LANES {
            add_total::<T>(totals, l, part[l]);
        }
    } else {
        for l in 0..LANES {
            let sum = high[l] + part[l];
            low[l] = low[l] + (part[l] - (sum - high[l]));
            high[l] = sum;
        }
    }
    part.fill(T::ZERO);
}

/// Adds a number to total l, whose rounding error is kept where the dtype is float64 (Knuth's
/// TwoSum).
#[inline(always)]
fn add_total<T: Float>(totals: &mut [f64], l: usize, x: T) {
    let (a, x) = (totals[l], x.to_f64());
    let sum = a + x;
    if T::IS_DOUBLE {
        let back = sum - a;
        totals[LANES + l] += (a - (sum - back)) + (x - back);
    }
    totals[l] = sum;
}

/// Adds terms of some columns to the part of a sum.
#[inline(always)]
fn terms<T: Float, const FMA: bool>(
    part: &mut [T; LANES],
    x: Arg<'_, T>,
    by: Option<Arg<'_, T>>,
    cols: std::ops::Range<usize>,
) {
    match (x, by) {
        (Arg::Lanes(x, step), None) => groups(part, cols, |c, at, sum| {
            let x: &[T; GROUP] = chunk(x, c * step + at);
            for l in 0..GROUP {
                sum[l] = sum[l] + x[l];
            }
        }),
        (Arg::Lanes(x, of_x), Some(Arg::Number(y, of_y)))
        | (Arg::Number(y, of_y), Some(Arg::Lanes(x, of_x))) => groups(part, cols, |c, at, sum| {
            let (x, y): (&[T; GROUP], T) = (chunk(x, c * of_x + at), y[c * of_y]);
            for l in 0..GROUP {
                sum[l] = x[l].mul_add::<FMA>(y, sum[l]);
            }
        }),
        (Arg::Lanes(x, of_x), Some(Arg::Lanes(y, of_y))) => groups(part, cols, |c, at, sum| {
            let x: &[T; GROUP] = chunk(x, c * of_x + at);
            let y: &[T; GROUP] = chunk(y, c * of_y + at);
            for l in 0..GROUP {
                sum[l] = x[l].mul_add::<FMA>(y[l], sum[l]);
            }
        }),
        (Arg::Number(x, of_x), by) => groups(part, cols, |c, _, sum| {
            let by = match by {
                Some(Arg::Number(y, of_y)) => y[c * of_y],
                _ => T::ONE,
            };
            for sum in sum {
                *sum = x[c * of_x].mul_add::<FMA>(by, *sum);
            }
        }),
    }
}

/// Calls `add` for every column and group of lanes; a group stays in registers.
#[inline(always)]
fn groups<T: Float>(
    part: &mut [T; LANES],
    cols: std::ops::Range<usize>,
    add: impl Fn(usize, usize, &mut [T; GROUP]),
) {
    for at in (0..LANES).step_by(GROUP) {
        let mut sum: [T; GROUP] = *chunk(&*part, at);
        for c in cols.clone() {
            add(c, at, &mut sum);
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

/// `rows` are where the value, its column and whether there is none yet lie in `own`.
#[inline(always)]
fn arg_extremum<T: Float>(
    own: &mut [T],
    rows: [usize; 3],
    x: Arg<'_, T>,
    mask: Option<Arg<'_, T>>,
    (past, cols): (usize, usize),
    comes_first: impl Fn(T, T) -> bool,
) {
    let [mut best, mut at, mut none]: [[T; LANES]; 3] = rows.map(|row| *chunk(own, row));
    let (mut held, mut other) = ([T::ZERO; LANES], [T::ZERO; LANES]);
    for c in 0..cols {
        let x = x.lanes(c, &mut held);
        let here = T::from_f64((past + c) as f64);
        match mask {
            None => {
                for l in 0..LANES {
                    let first = comes_first(x[l], best[l]);
                    best[l] = if first { x[l] } else { best[l] };
                    at[l] = if first { here } else { at[l] };
                }
            }
            Some(mask) => {
                let mask = mask.lanes(c, &mut other);
                for l in 0..LANES {
                    let first = comes_first(x[l], best[l]) | (none[l] != T::ZERO);
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
