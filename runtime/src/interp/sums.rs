//! Sums of terms over packed words: distances and inner products. Goes in: the terms of a
//! sum, rows and columns. Comes out: a register of sums. It never changes the order of additions:
//! the terms of a pair are added one after the other into one number, by fused products where the
//! level has them, as compiled code does.
//!
//! Some vectors of rows times some columns are summed at once, in registers, while terms pass: a
//! row that is loaded serves all these columns, a column all rows. Long sums are cut into parts, so
//! that the rows of a part stay in first-level cache while the columns of the tile pass.

use std::ops::Range;

use super::exec::{Others, Packs};
use super::math::{Float, Isa, Vector, unrolled};
use super::program::{LANES, Link, Operand, Run};

/// Vectors of rows whose sums are in registers, for each of some columns.
pub(super) const VECTORS: usize = 4;

/// Bytes of rows that stay in first-level cache, which has 32 KiB or more.
const PART_BYTES: usize = 24 << 10;

/// Most terms of a part.
const MOST_TERMS: usize = 128;

/// How a sum makes its terms.
pub(super) trait Add {
    /// Whether terms are sums themselves. Where no instruction repeats a number for nothing, that
    /// takes as much as one of these, so that a number should serve many rows.
    const TALL: bool;

    /// The sum with one more term.
    fn add<T, V: Vector<T>>(x: V, y: V, sum: V) -> V;
}

/// Adds `x * y`.
pub(super) struct Product;

impl Add for Product {
    const TALL: bool = false;

    #[inline(always)]
    fn add<T, V: Vector<T>>(x: V, y: V, sum: V) -> V {
        x.mul_add(y, sum)
    }
}

/// Adds `(x + y)^2`.
pub(super) struct Square;

impl Add for Square {
    const TALL: bool = true;

    #[inline(always)]
    fn add<T, V: Vector<T>>(x: V, y: V, sum: V) -> V {
        let total = x.add(y);
        total.mul_add(total, sum)
    }
}

/// Adds `|x + y|`.
pub(super) struct Gap;

impl Add for Gap {
    const TALL: bool = true;

    #[inline(always)]
    fn add<T, V: Vector<T>>(x: V, y: V, sum: V) -> V {
        sum.add(x.add(y).abs())
    }
}

/// Terms in their order, those of a row and a column in runs.
pub(super) fn links<T: Copy>(terms: &[[Operand<T>; 2]]) -> Vec<Link<T>> {
    let mut links: Vec<Link<T>> = Vec::new();
    for term in terms {
        let [Operand::Row(row), Operand::Col(col)] = *term else {
            links.push(Link::Any(*term));
            continue;
        };
        let [row, col] = [row, col].map(|word| word as usize);
        let run = match links.last_mut() {
            Some(Link::Run(run)) => Some(run),
            _ => None,
        };
        if !run.is_some_and(|run| run.takes(row, col)) {
            links.push(Link::Run(Run { row, col, steps: [1, 1], terms: 1 }));
        }
    }
    links
}

impl Run {
    /// Takes a term if it goes on with it. The second one decides how far words lie apart.
    fn takes(&mut self, row: usize, col: usize) -> bool {
        if let (1, Some(of_rows), Some(of_cols)) =
            (self.terms, row.checked_sub(self.row), col.checked_sub(self.col))
        {
            self.steps = [of_rows, of_cols];
        }
        let goes_on = [row, col] == self.words(self.terms);
        self.terms += usize::from(goes_on);
        goes_on
    }

    /// The words of a term.
    fn words(&self, term: usize) -> [usize; 2] {
        [self.row + term * self.steps[0], self.col + term * self.steps[1]]
    }

    /// The same terms in parts of about equal length.
    #[inline(always)]
    fn parts<T>(&self) -> impl Iterator<Item = Run> {
        let most = (PART_BYTES / (LANES * size_of::<T>())).min(MOST_TERMS);
        let each = self.terms.div_ceil(self.terms.div_ceil(most));
        (0..self.terms).step_by(each).map(move |start| {
            let [row, col] = self.words(start);
            Run { row, col, steps: self.steps, terms: each.min(self.terms - start) }
        })
    }
}

/// The sums of a tile.
#[inline(always)]
pub(super) fn chain<T: Float, I: Isa, A: Add>(
    out: &mut [T],
    links: &[Link<T>],
    packs: &Packs<'_, T>,
    cols: usize,
) {
    let mut begins = true;
    for link in links {
        match link {
            Link::Run(run) => {
                for part in run.parts::<T>() {
                    run_of::<T, I, A>(out, &part, packs, cols, begins);
                    begins = false;
                }
            }
            Link::Any(term) => any::<T, I, A>(out, term, packs, cols, begins),
        }
        begins = false;
    }
}

/// Adds a part of a run to what is there, or begins with it.
#[inline(always)]
fn run_of<T: Float, I: Isa, A: Add>(
    out: &mut [T],
    run: &Run,
    packs: &Packs<'_, T>,
    cols: usize,
    begins: bool,
) {
    let mut done = 0;
    if run.steps[1] == 1 && packs.row_step == 0 {
        done = if I::REGISTERS >= 32 {
            grouped::<T, I, A, VECTORS, 4>(out, run, packs, cols, begins)
        } else if A::TALL && I::REGISTERS >= 16 {
            grouped::<T, I, A, 8, 1>(out, run, packs, cols, begins)
        } else {
            grouped::<T, I, A, VECTORS, 2>(out, run, packs, cols, begins)
        };
    }
    if done < cols {
        one_by_one::<T, I, A>(out, run, packs, done..cols, begins);
    }
}

/// The same for groups of C columns; gives how many columns they are.
#[inline(always)]
fn grouped<T: Float, I: Isa, A: Add, const R: usize, const C: usize>(
    out: &mut [T],
    run: &Run,
    packs: &Packs<'_, T>,
    cols: usize,
    begins: bool,
) -> usize {
    let (rows, step) = (&packs.rows[run.row * LANES..], run.steps[0] * LANES);
    let whole = cols - cols % C;
    for first in (0..whole).step_by(C) {
        let mut numbers: [&[T]; C] = [&[]; C];
        unrolled!(c < C, {
            numbers[c] = &packs.cols[run.col + (first + c) * packs.col_words..][..run.terms];
        });
        columns::<T, I, A, R, C>(&mut out[first * LANES..], rows, step, numbers, begins);
    }
    whole
}

/// The same for columns by themselves, and for those of a tile of one row.
#[inline(always)]
fn one_by_one<T: Float, I: Isa, A: Add>(
    out: &mut [T],
    run: &Run,
    packs: &Packs<'_, T>,
    cols: Range<usize>,
    begins: bool,
) {
    let mut numbers = [T::ZERO; MOST_TERMS];
    let mut known = false;
    for c in cols {
        // The only column of a tile of one row is the same for all.
        if !known {
            let column = &packs.cols[run.col + c * packs.col_words..];
            for (n, number) in numbers[..run.terms].iter_mut().enumerate() {
                *number = column[n * run.steps[1]];
            }
            known = packs.col_words == 0;
        }
        let rows = &packs.rows[run.row * LANES + c * packs.row_step..];
        let (out, step) = (&mut out[c * LANES..], run.steps[0] * LANES);
        columns::<T, I, A, VECTORS, 1>(out, rows, step, [&numbers[..run.terms]], begins);
    }
}

/// The same for C columns, whose numbers are given; rows lie a step apart.
#[inline(always)]
fn columns<T: Float, I: Isa, A: Add, const R: usize, const C: usize>(
    out: &mut [T],
    rows: &[T],
    step: usize,
    mut numbers: [&[T]; C],
    begins: bool,
) {
    let width = T::Vector::<I>::WIDTH;
    let out = &mut out[..C * LANES];
    let terms = numbers[0].len();
    unrolled!(c < C, { numbers[c] = &numbers[c][..terms] });
    for at in (0..LANES).step_by(R * width) {
        let mut sums = [[T::Vector::<I>::ZERO; R]; C];
        if !begins {
            unrolled!(c < C, {
                unrolled!(r < R, {
                    sums[c][r] = Vector::load(&out[c * LANES + at + r * width..]);
                });
            });
        }
        // A run has a term. The compiler copies all sums in a loop that may not be entered.
        let mut n = 0;
        loop {
            let row = &rows[n * step + at..][..R * width];
            unrolled!(c < C, {
                let number = &numbers[c][n];
                unrolled!(r < R, {
                    let x = T::Vector::<I>::load(&row[r * width..]);
                    sums[c][r] = A::add(x, Vector::splat(number), sums[c][r]);
                });
            });
            n += 1;
            if n >= terms {
                break;
            }
        }
        unrolled!(c < C, {
            unrolled!(r < R, {
                sums[c][r].store(&mut out[c * LANES + at + r * width..]);
            });
        });
    }
}

/// Adds one term of any operands.
#[inline(always)]
fn any<T: Float, I: Isa, A: Add>(
    out: &mut [T],
    [a, b]: &[Operand<T>; 2],
    packs: &Packs<'_, T>,
    cols: usize,
    begins: bool,
) {
    let (a, b) = (Others::NONE.arg(packs, a), Others::NONE.arg(packs, b));
    for c in 0..cols {
        let (mut x, mut y) = ([T::ZERO; LANES], [T::ZERO; LANES]);
        let (x, y) = (a.lanes(c, &mut x), b.lanes(c, &mut y));
        let out = &mut out[c * LANES..][..LANES];
        for at in (0..LANES).step_by(T::Vector::<I>::WIDTH) {
            let zero = T::Vector::<I>::ZERO;
            let sum = if begins { zero } else { Vector::load(&out[at..]) };
            A::add(Vector::load(&x[at..]), Vector::load(&y[at..]), sum).store(&mut out[at..]);
        }
    }
}
