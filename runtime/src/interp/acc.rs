//! Accumulators: the states of `templates/include/reduce.h` in Rust. Goes in: reductions that
//! share one. Comes out: neutral, merged and finished states. Sums keep the bound that
//! [`Accumulation`](tilefold_compiler::ir::Accumulation) documents: blocks in the dtype, added up
//! with compensation, and totals in float64. Ties go to the lowest row, NaN comes before every
//! number, and states are merged in the order of their columns.
//!
//! A *state* lives between blocks, as rows of [`LANES`] float64 numbers. During a tile of columns
//! an accumulator works in *scratch* of the dtype: `open` fills it from the state, `close` hands
//! it back; [`super::folds`] works in between.

use tilefold_compiler::ir::{ExprId, Formula};
use tilefold_compiler::reduce::StateKind;
use tilefold_compiler::schedule::{reads_top, reduction, state_kind, weight};

use super::exec::{chunk, chunk_mut};
use super::folds::Columns;
use super::math::Float;
use super::moments;
use super::program::LANES;

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
    pub state: usize,
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
    pub fn head(&self) -> usize {
        if self.kind == StateKind::ShiftedExp { 2 } else { 0 }
    }

    pub fn is_least(&self) -> bool {
        matches!(self.kind, StateKind::Min | StateKind::ArgMin | StateKind::KMin)
    }

    /// The value of an empty set.
    fn worst(&self) -> f64 {
        if self.is_least() { f64::INFINITY } else { f64::NEG_INFINITY }
    }

    /// Whether one value comes before another.
    #[inline(always)]
    pub fn first<T: Float>(&self, a: T, b: T) -> bool {
        if self.is_least() { a.before(b) } else { a.above(b) }
    }

    fn of<'s, T>(&self, state: &'s [T], row: usize) -> &'s [T; LANES] {
        chunk(state, (self.state + row) * LANES)
    }

    pub fn of_mut<'s, T>(&self, state: &'s mut [T], row: usize) -> &'s mut [T; LANES] {
        chunk_mut(state, (self.state + row) * LANES)
    }

    /// Scratch from row `row` on.
    #[inline(always)]
    pub fn scratch<'s, T>(&self, scratch: &'s mut [T], row: usize) -> &'s mut [T] {
        &mut scratch[(self.scratch + row) * LANES..]
    }

    /// Scratch of the sums of some components, three rows each.
    #[inline(always)]
    pub fn sums<'s, T>(&self, scratch: &'s mut [T], part: usize, count: usize) -> &'s mut [T] {
        &mut self.scratch(scratch, self.head() + 3 * part)[..3 * count * LANES]
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
    pub fn open<T: Float>(&self, scratch: &mut [T], state: &[f64]) {
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
                for e in 0..self.parts {
                    (0..LANES).for_each(|l| self.load_last(scratch, state, (e, l)));
                }
            }
            StateKind::Sum
            | StateKind::Mean
            | StateKind::Var
            | StateKind::Prod
            | StateKind::Count => {}
        }
    }

    /// The last entry of a lane's sorted list, and whether the list is not full.
    pub fn load_last<T: Float>(&self, scratch: &mut [T], state: &[f64], (e, l): (usize, usize)) {
        let last = self.of(state, (self.k - 1) * self.parts + e)[l];
        let at = self.of(state, (2 * self.k - 1) * self.parts + e)[l];
        self.scratch(scratch, e)[l] = T::from_f64(last);
        self.scratch(scratch, self.parts + e)[l] = T::truth(at < 0.0);
    }

    /// Ends the tile of these columns.
    pub fn close<T: Float>(&self, scratch: &mut [T], state: &mut [f64], tile: Columns) {
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
                        let is_finite = high[l].abs() <= T::LARGEST;
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
                    for l in 0..LANES {
                        if found[l] >= T::ZERO {
                            at[l] = tile.number(found[l].to_f64() as usize, l);
                        } else if !self.masked && at[l] < 0.0 {
                            // Nothing came before the neutral element: all values equal it.
                            at[l] = tile.number(0, l);
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
    pub fn totals<'s>(&self, state: &'s mut [f64], part: usize) -> &'s mut [f64] {
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
                        let here = [self.of(state, e)[l], self.of(state, self.parts + e)[l]];
                        if here[1] < 0.0 || self.precedes([values[l], rows[l]], here) {
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
                    let last = [last, self.k * self.parts + last].map(|n| self.of(state, n)[l]);
                    if at < 0.0 || last[1] >= 0.0 && !self.precedes([x, at], last) {
                        break;
                    }
                    self.insert(state, (e, l), x, at);
                }
            }
        }
    }

    /// Whether an entry, a value and its row, comes before another one: ties go to the lower row.
    fn precedes(&self, [a, at]: [f64; 2], [b, at_b]: [f64; 2]) -> bool {
        self.first(a, b) || at < at_b && !self.first(b, a)
    }

    /// Makes lane 0 of a state that of all lanes, which folded different columns of one row.
    pub fn gather<T: Float>(all: &[Acc], state: &mut [f64]) {
        let mut half = LANES / 2;
        while half > 0 {
            let mut other = state.to_vec();
            other.chunks_mut(LANES).for_each(|row| row.rotate_left(half));
            all.iter().for_each(|acc| acc.merge::<T>(state, &other));
            half /= 2;
        }
    }

    /// Puts an entry behind those that are not after it.
    pub fn insert(&self, state: &mut [f64], (e, l): (usize, usize), x: f64, at: f64) {
        let own = &mut state[self.state * LANES..];
        let (values, rows) = own.split_at_mut(self.k * self.parts * LANES);
        let place = |entry: usize| (entry * self.parts + e) * LANES + l;
        let mut here = place(self.k - 1);
        for entry in (0..self.k - 1).rev() {
            let before = place(entry);
            let there = [values[before], rows[before]];
            if there[1] >= 0.0 && !self.precedes([x, at], there) {
                break;
            }
            [values[here], rows[here]] = there;
            here = before;
        }
        [values[here], rows[here]] = [x, at];
    }

    /// A finished value of all lanes; `StateKind` says what the fields are.
    pub fn value<T: Float>(&self, state: &[f64], field: u32, component: usize) -> [f64; LANES] {
        let total = |part: usize| {
            let [high, low] = [0, 1].map(|n| self.of(state, self.head() + 2 * part + n));
            let finite = |l: usize| high[l].is_finite();
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

/// The part, the sum and the error of scratch.
#[inline(always)]
pub(super) fn three<T>(rows: &mut [T]) -> [&mut [T; LANES]; 3] {
    let (part, rest) = rows.split_at_mut(LANES);
    let (high, low) = rest.split_at_mut(LANES);
    [chunk_mut(part, 0), chunk_mut(high, 0), chunk_mut(low, 0)]
}

/// Adds a block to its sum (Dekker's Fast2Sum), or to the totals.
#[inline(always)]
pub(super) fn flush<T: Float>(rows: &mut [T], totals: &mut [f64], each: bool) {
    let [part, high, low] = three(rows);
    if each {
        for (l, &x) in part.iter().enumerate() {
            add_total::<T>(totals, l, x);
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
