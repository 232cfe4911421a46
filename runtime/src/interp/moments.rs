//! Variances and products: states in float64 that have no scratch. Goes in: tiles of numbers.
//! Comes out: their states. A variance is worked out tile by tile, in two passes over the tile,
//! and tiles are merged by Chan, Golub and LeVeque (Algorithms for computing the sample variance,
//! 1983). Products keep exponents apart, so that nothing overflows before the end.

use super::exec::Arg;
use super::math::Float;
use super::program::LANES;

/// A row of a state.
type Row = [f64; LANES];

/// `to += from`.
pub(super) fn add(to: &mut Row, from: &Row) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

/// Folds all components of a tile. The state has means, sums of squared distances from them, and
/// the number of rows.
pub(super) fn var<'a, T: Float>(
    state: &mut [f64],
    parts: usize,
    xs: impl Iterator<Item = Arg<'a, T>>,
    mask: Option<Arg<'a, T>>,
    cols: usize,
) {
    let taken = |c: usize| -> Row {
        let mut held = [T::ZERO; LANES];
        match mask {
            None => [1.0; LANES],
            Some(mask) => mask.lanes(c, &mut held).map(|m| T::truth(m != T::ZERO).to_f64()),
        }
    };
    let mut rows = [0.0; LANES];
    (0..cols).for_each(|c| add(&mut rows, &taken(c)));
    let before: Row = row(state, 2 * parts);
    for (e, x) in xs.enumerate() {
        let values = |c: usize| -> Row {
            let mut held = [T::ZERO; LANES];
            x.lanes(c, &mut held).map(T::to_f64)
        };
        let sum_of = |term: &dyn Fn(usize, f64) -> f64| -> Row {
            let mut sum = [0.0; LANES];
            for c in 0..cols {
                let (values, taken) = (values(c), taken(c));
                for l in (0..LANES).filter(|&l| taken[l] != 0.0) {
                    sum[l] += term(l, values[l]);
                }
            }
            sum
        };
        let near = first_of(cols, &values, &taken);
        let sum = sum_of(&|l, x| x - near[l]);
        let mean: Row = std::array::from_fn(|l| sum[l] / rows[l]);
        let squares = sum_of(&|l, x| (x - near[l] - mean[l]) * (x - near[l] - mean[l]));
        let mean: Row = std::array::from_fn(|l| near[l] + mean[l]);
        for l in 0..LANES {
            join(
                state,
                [e * LANES + l, (parts + e) * LANES + l],
                [mean[l], squares[l]],
                [before[l], rows[l]],
            );
        }
    }
    for (l, rows) in rows.iter().enumerate() {
        state[2 * parts * LANES + l] += rows;
    }
}

/// The first finite value of each lane that takes part: what is measured from it has lost what all
/// values have in common.
fn first_of(cols: usize, values: &dyn Fn(usize) -> Row, taken: &dyn Fn(usize) -> Row) -> Row {
    let mut first = [0.0; LANES];
    for c in (0..cols).rev() {
        let (values, taken) = (values(c), taken(c));
        for l in (0..LANES).filter(|&l| taken[l] != 0.0 && values[l].is_finite()) {
            first[l] = values[l];
        }
    }
    first
}

fn row(state: &[f64], n: usize) -> Row {
    std::array::from_fn(|l| state[n * LANES + l])
}

/// Adds rows with a mean and squared distances to those before.
fn join(
    state: &mut [f64],
    [at_mean, at_squares]: [usize; 2],
    [mean, squares]: [f64; 2],
    [before, rows]: [f64; 2],
) {
    if rows == 0.0 {
        return;
    }
    if before == 0.0 {
        (state[at_mean], state[at_squares]) = (mean, squares);
        return;
    }
    let share = rows / (before + rows);
    let gap = mean - state[at_mean];
    state[at_mean] += gap * share;
    state[at_squares] += squares + gap * gap * share * before;
}

/// Adds a variance of later rows.
pub(super) fn merge_var(state: &mut [f64], other: &[f64], parts: usize) {
    for l in 0..LANES {
        let at_rows = 2 * parts * LANES + l;
        let rows = [state[at_rows], other[at_rows]];
        for e in 0..parts {
            let at = [e * LANES + l, (parts + e) * LANES + l];
            join(state, at, at.map(|at| other[at]), rows);
        }
        state[at_rows] += other[at_rows];
    }
}

/// `x = significand 2^exponent` with a significand in [1, 2); zeros, subnormal numbers, infinities
/// and NaN are their own significands.
fn normal(x: f64) -> (f64, f64) {
    let field = x.to_bits() >> 52 & 2047;
    if field == 0 || field == 2047 {
        return (x, 0.0);
    }
    (f64::from_bits(x.to_bits() & !(2047 << 52) | 1023 << 52), field as f64 - 1023.0)
}

/// Multiplies a component by a tile's numbers. The state has significands, then exponents.
pub(super) fn prod<T: Float>(
    state: &mut [f64],
    parts: usize,
    part: usize,
    x: Arg<'_, T>,
    cols: usize,
) {
    let mut held = [T::ZERO; LANES];
    for c in 0..cols {
        let x = x.lanes(c, &mut held);
        for (l, x) in x.iter().enumerate() {
            // Subnormal numbers of float64 become normal ones first.
            let x = x.to_f64();
            let tiny = x.abs() < f64::MIN_POSITIVE;
            let (factor, by) = normal(if tiny { x * TWO_64 } else { x });
            let by = if tiny && x != 0.0 { by - 64.0 } else { by };
            times(state, [part * LANES + l, (parts + part) * LANES + l], [factor, by]);
        }
    }
}

/// 2^64
const TWO_64: f64 = 18_446_744_073_709_551_616.0;

fn times(state: &mut [f64], [at, at_exponent]: [usize; 2], [factor, by]: [f64; 2]) {
    let (significand, more) = normal(state[at] * factor);
    state[at] = significand;
    state[at_exponent] += by + more;
}

/// Multiplies by a product of later rows.
pub(super) fn merge_prod(state: &mut [f64], other: &[f64], parts: usize) {
    for at in 0..parts * LANES {
        let places = [at, parts * LANES + at];
        times(state, places, places.map(|at| other[at]));
    }
}

/// `x 2^exponent`, rounded once.
pub(super) fn scaled(x: f64, exponent: f64) -> f64 {
    let n = exponent.clamp(-5000.0, 5000.0);
    // x is below 2. All steps but the last are exact, for only that one leaves the range.
    if n > 1023.0 {
        return x * 1023_f64.exp2() * (n - 1023.0).min(1000.0).exp2();
    }
    if n >= -1022.0 {
        return x * n.exp2();
    }
    // Down to 2^-969 exactly, so that only the last factor rounds.
    x * (-969_f64).exp2() * (n + 969.0).max(-1000.0).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_numbers_are_rounded_once() {
        for x in [1.0, 1.5, -1.999_999_999_999_999_8, 1.000_000_000_000_000_2, 0.0, -0.0] {
            for n in [-5000, -1075, -1074, -1060, -1023, -1022, -970, -1, 0, 1, 1023, 1024, 5000] {
                // Halving is exact above the subnormal numbers, so one product rounds.
                let half = n.clamp(-1000, 1000);
                let rest = n - half;
                let expected =
                    x * f64::from(half).exp2() * f64::from(rest.clamp(-1000, 1000)).exp2();
                assert_eq!(scaled(x, f64::from(n)).to_bits(), expected.to_bits(), "{x} {n}");
            }
        }
        assert!(scaled(f64::NAN, 3.0).is_nan());
        assert_eq!(scaled(f64::INFINITY, -5000.0), f64::INFINITY);
    }
}
