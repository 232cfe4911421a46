//! Sums of many outputs, as gradients and attention have: the same numbers of pairs times one
//! component after the other. Goes in: instructions, a sum each. Comes out: one instruction for
//! all outputs, and what it adds to the scratch of an accumulator. It never changes the order of
//! additions.
//!
//! The numbers of a block of columns are loaded once for a few outputs, whose sums over the block
//! stay in registers.

use std::collections::HashMap;
use std::ops::Range;

use super::acc::three;
use super::exec::{Packs, chunk};
use super::folds::{BLOCK, Folding, Scaled, Terms, Tile, joined};
use super::math::{Float, Isa, Vector, unrolled};
use super::program::{Binary, Fold, Instr, LANES, Operand, Wide};
use super::sums::VECTORS;

/// Joins sums of the same numbers times words of columns, or of sums of a row and a column.
pub(super) fn widened<T: Copy>(instrs: Vec<Instr<T>>) -> Vec<Instr<T>> {
    let pairs: HashMap<u32, [u32; 2]> = instrs.iter().filter_map(row_and_col).collect();
    let mut joined = Vec::with_capacity(instrs.len());
    // The last sum, and the instruction that it was.
    let mut open: Option<(Wide, Instr<T>)> = None;
    let close = |(wide, alone): (Wide, Instr<T>)| match wide.outputs {
        1 => alone,
        _ => Instr::Fold(Fold::Wide(wide)),
    };
    for instr in instrs {
        let Instr::Fold(fold) = &instr else {
            joined.push(instr);
            continue;
        };
        let next = one(fold, &pairs);
        match (&mut open, next) {
            (Some((wide, _)), Some(next)) if wide.takes(&next) => wide.outputs += 1,
            (_, next) => {
                joined.extend(open.take().map(close));
                match next {
                    Some(wide) => open = Some((wide, instr)),
                    None => joined.push(instr),
                }
            }
        }
    }
    joined.extend(open.map(close));
    joined
}

/// A register that is the sum of a word of rows and one of columns.
fn row_and_col<T: Copy>(instr: &Instr<T>) -> Option<(u32, [u32; 2])> {
    match *instr {
        Instr::Binary(Binary::Add, out, [Operand::Row(row), Operand::Col(col)])
        | Instr::Binary(Binary::Add, out, [Operand::Col(col), Operand::Row(row)]) => {
            Some((out, [row, col]))
        }
        _ => None,
    }
}

/// A sum of one output.
fn one<T: Copy>(fold: &Fold<T>, pairs: &HashMap<u32, [u32; 2]>) -> Option<Wide> {
    let Fold::Sum { acc, part, x, by: Some(by) } = fold else { return None };
    let word = |operand: &Operand<T>| match operand {
        Operand::Col(col) => Some((None, *col as usize)),
        Operand::Reg(reg) => pairs.get(reg).map(|&[row, col]| (Some(row as usize), col as usize)),
        _ => None,
    };
    let of = |x: &Operand<T>, by: &Operand<T>| {
        let Operand::Reg(x) = *x else { return None };
        let (row, col) = word(by)?;
        Some(Wide { acc: *acc, part: *part, outputs: 1, x, col, row })
    };
    of(x, by).or_else(|| of(by, x))
}

impl Wide {
    /// Whether a sum is that of the component after its last one.
    fn takes(&self, next: &Wide) -> bool {
        let row = self.row.map(|row| row + self.outputs);
        let [part, col] = [self.part, self.col].map(|first| first + self.outputs);
        *next == Wide { part, col, row, outputs: 1, ..self.clone() }
    }
}

impl<T: Float> Folding<'_, T> {
    /// Adds a tile to all outputs of a wide sum.
    #[inline(always)]
    pub fn wide<I: Isa>(&mut self, wide: &Wide, tile: &Tile<'_, T>) {
        let x = tile.others.register(wide.x);
        let whole = self.whole(tile.cols);
        let many = if I::REGISTERS >= 32 { 4 } else { 2 };
        let each = if wide.row.is_some() { many / 2 } else { many };
        let mut done = 0;
        while done < wide.outputs {
            let count = if wide.outputs - done < each { 1 } else { each };
            let at = Wide {
                part: wide.part + done,
                col: wide.col + done,
                row: wide.row.map(|row| row + done),
                ..*wide
            };
            let acc = &self.accs[wide.acc];
            let sums = acc.sums(self.scratch, at.part, count);
            match (at.row, count) {
                (None, 4) => outputs::<T, I, 4, false>(sums, x, &at, &tile.packs, whole),
                (None, 2) => outputs::<T, I, 2, false>(sums, x, &at, &tile.packs, whole),
                (None, _) => outputs::<T, I, 1, false>(sums, x, &at, &tile.packs, whole),
                (Some(_), 2) => outputs::<T, I, 2, true>(sums, x, &at, &tile.packs, whole),
                (Some(_), _) => outputs::<T, I, 1, true>(sums, x, &at, &tile.packs, whole),
            }
            done += count;
        }
        if whole < tile.cols {
            self.ends::<I>(wide, x, &tile.packs, whole..tile.cols);
        }
    }

    /// The same for columns that begin or end in a block, output by output.
    #[inline(always)]
    fn ends<I: Isa>(&mut self, wide: &Wide, x: &[T], packs: &Packs<'_, T>, cols: Range<usize>) {
        for n in 0..wide.outputs {
            let at = (wide.acc, wide.part + n);
            let terms = Scaled([x, &packs.cols[wide.col + n..]], [LANES, packs.col_words]);
            match wide.row {
                None => self.rest::<I>(at, terms, cols.clone()),
                Some(row) => {
                    let row = chunk(packs.rows, (row + n) * LANES);
                    self.rest::<I>(at, Shifted(terms, row), cols.clone());
                }
            }
        }
    }
}

/// Numbers of lanes times sums of those of a column and of a row.
#[derive(Clone, Copy)]
struct Shifted<'a, T>(Scaled<'a, T>, &'a [T; LANES]);

impl<T: Float> Terms<T> for Shifted<'_, T> {
    #[inline(always)]
    fn add<V: Vector<T>>(self, sum: V, at: usize, col: usize) -> V {
        let Scaled([x, y], [of_x, of_y]) = self.0;
        let by = V::load(&self.1[at..]).add(V::splat(&y[col * of_y]));
        V::load(&x[col * of_x + at..]).mul_add(by, sum)
    }
}

/// Adds whole blocks of columns to N outputs. `ROW` tells that a row is added to each column.
#[inline(always)]
fn outputs<T: Float, I: Isa, const N: usize, const ROW: bool>(
    sums: &mut [T],
    x: &[T],
    wide: &Wide,
    packs: &Packs<'_, T>,
    cols: usize,
) {
    let width = T::Vector::<I>::WIDTH;
    for at in (0..LANES).step_by(VECTORS * width) {
        let mut rows = [[T::Vector::<I>::ZERO; VECTORS]; N];
        if let (true, Some(row)) = (ROW, wide.row) {
            unrolled!(n < N, {
                unrolled!(r < VECTORS, {
                    rows[n][r] = Vector::load(&packs.rows[(row + n) * LANES + at + r * width..]);
                });
            });
        }
        for start in (0..cols).step_by(BLOCK) {
            let mut part = [[T::Vector::<I>::ZERO; VECTORS]; N];
            for c in start..start + BLOCK {
                let x = &x[c * LANES + at..][..VECTORS * width];
                let numbers: &[T; N] = chunk(packs.cols, wide.col + c * packs.col_words);
                unrolled!(n < N, {
                    let number = &numbers[n];
                    unrolled!(r < VECTORS, {
                        let y = T::Vector::<I>::splat(number);
                        let by = if ROW { rows[n][r].add(y) } else { y };
                        let x = T::Vector::<I>::load(&x[r * width..]);
                        part[n][r] = x.mul_add(by, part[n][r]);
                    });
                });
            }
            unrolled!(n < N, {
                let [_, high, low] = three(&mut sums[3 * n * LANES..][..3 * LANES]);
                unrolled!(r < VECTORS, {
                    let (high, low) = (&mut high[at + r * width..], &mut low[at + r * width..]);
                    let [sum, error] = joined(Vector::load(high), Vector::load(low), part[n][r]);
                    sum.store(high);
                    error.store(low);
                });
            });
        }
    }
}
