//! Arithmetic on the vectors of many systems at once. Goes in: arrays of `n` rows and one column
//! a right side, row after row, and one factor a system. Comes out: the same, or one number a
//! system. Sums are f64 whatever the arrays hold. It never decides anything.

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use super::Real;
use crate::error::Error;
use crate::words;

/// `n x columns` numbers that belong to `blocks * columns` systems: block `k` has `n / blocks`
/// rows, and system `k * columns + c` is column `c` of that block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub n: usize,
    pub columns: usize,
    pub blocks: usize,
}

impl Frame {
    pub fn systems(self) -> usize {
        self.blocks * self.columns
    }

    pub fn is_empty(self) -> bool {
        self.n == 0 || self.columns == 0
    }

    /// Which system each number of an array belongs to. Not for empty arrays.
    pub fn owners(self) -> impl Iterator<Item = usize> {
        let Frame { n, columns, blocks } = self;
        (0..blocks).flat_map(move |block| {
            let first = block * columns;
            (0..n / blocks).flat_map(move |_| first..first + columns)
        })
    }

    pub fn view<T>(self, data: &[T]) -> ArrayView2<'_, T> {
        ArrayView2::from_shape((self.n, self.columns), data).expect("a frame has one length")
    }

    pub fn view_mut<T>(self, data: &mut [T]) -> ArrayViewMut2<'_, T> {
        ArrayViewMut2::from_shape((self.n, self.columns), data).expect("a frame has one length")
    }

    pub fn zeros<T: Real>(self) -> Result<Vec<T>, Error> {
        zeros_vec(self.n, self.columns)
    }

    /// `a'b`, system by system.
    pub fn dots<T: Real>(self, a: &[T], b: &[T]) -> Vec<f64> {
        let mut sums = vec![0.0; self.systems()];
        for (system, (a, b)) in self.owners().zip(a.iter().zip(b)) {
            sums[system] += a.to_f64() * b.to_f64();
        }
        sums
    }

    /// `y = y + factor x`, rounded once.
    pub fn add<T: Real>(self, y: &mut [T], factors: &[f64], x: &[T]) {
        for (system, (y, x)) in self.owners().zip(y.iter_mut().zip(x)) {
            *y = T::from_f64(y.to_f64() + factors[system] * x.to_f64());
        }
    }

    /// `p = z + factor p`; without a factor, `p = 0`.
    pub fn turn<T: Real>(self, p: &mut [T], factors: &[Option<f64>], z: &[T]) {
        for (system, (p, z)) in self.owners().zip(p.iter_mut().zip(z)) {
            *p = match factors[system] {
                // Not `0 p`: what an earlier search left may be infinite.
                Some(0.0) => *z,
                Some(factor) => T::from_f64(z.to_f64() + factor * p.to_f64()),
                None => T::zero(),
            };
        }
    }
}

/// An array of zeros, or an error where there is no memory for it.
pub(super) fn zeros<T: Real>(rows: usize, cols: usize) -> Result<Array2<T>, Error> {
    let data = zeros_vec(rows, cols)?;
    Ok(Array2::from_shape_vec((rows, cols), data).expect("the length is that of the shape"))
}

fn zeros_vec<T: Real>(rows: usize, cols: usize) -> Result<Vec<T>, Error> {
    let length = rows.checked_mul(cols).ok_or_else(|| words::linear::no_memory(rows, cols))?;
    let mut data = Vec::new();
    data.try_reserve_exact(length).map_err(|_| words::linear::no_memory(rows, cols))?;
    data.resize(length, T::zero());
    Ok(data)
}

/// The exponent `e` for which `2^e <= value < 2^(e + 1)`, for a positive finite number.
pub(super) fn exponent(value: f64) -> i32 {
    // Subnormal numbers get their 52 bits of room first.
    let (value, shift) = match value < f64::MIN_POSITIVE {
        true => (value * (1_u64 << 52) as f64, 52),
        false => (value, 0),
    };
    ((value.to_bits() >> 52) as i32 & 0x7ff) - 1023 - shift
}

/// `2^e value`, rounded at most twice; exact where the result is a normal number.
pub(super) fn scale(value: f64, e: i32) -> f64 {
    let half = e / 2;
    value * 2_f64.powi(half) * 2_f64.powi(e - half)
}
