//! Elementary functions as instructions. Goes in: 64 numbers, of one or two arguments. Comes out:
//! the function of each. Nothing here branches, so that loops over lanes become vector
//! instructions.
//!
//! They are the functions of float64 in `templates/include` (`tf_math.h`, `tf_pairs.h` and
//! `tf_special.h`), which give their sources: at most 2 units in the last place off where
//! `docs/operations.md` says so. Programs of float32 use them too and round the result, which
//! leaves little more than half a unit.

mod erf;
mod exps;
mod logs;
mod roots;
mod trig;

use tilefold_compiler::ops::Op;

use self::{erf::*, exps::*, logs::*, roots::*, trig::*};
use super::math::Isa;
use super::program::LANES;

/// The lanes of an argument, and then of the result.
pub(super) type Lanes = [f64; LANES];

/// Functions of one number and of two, by the operation that they stand for. Those with a bound
/// ask the operation itself for numbers that are larger.
macro_rules! curves {
    (
        one { $($one:ident = $f:ident $(up to $most:expr)?;)* }
        two { $($two:ident = $g:ident;)* }
    ) => {
        /// A function.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Curve {
            $($one,)*
            $($two,)*
        }

        impl Curve {
            #[cfg(test)]
            const ALL: &[Curve] = &[$(Curve::$one,)* $(Curve::$two,)*];

            /// The operation that says what it means.
            pub fn op(self) -> Op {
                match self {
                    $(Curve::$one => Op::$one,)*
                    $(Curve::$two => Op::$two,)*
                }
            }

            /// The largest magnitude that [`run`] takes.
            pub fn most(self) -> f64 {
                match self {
                    $($(Curve::$one => $most,)?)*
                    _ => f64::INFINITY,
                }
            }
        }

        /// Replaces the first arguments by the results.
        #[inline(always)]
        pub(super) fn run<I: Isa>(curve: Curve, x: &mut Lanes, y: &Lanes) {
            match curve {
                $(Curve::$one => for x in x { *x = $f::<I>(*x) },)*
                $(Curve::$two => for (x, &y) in x.iter_mut().zip(y) { *x = $g::<I>(*x, y) },)*
            }
        }
    };
}

curves! {
    one {
        Sin = sin up to FAR;
        Cos = cos up to FAR;
        Tan = tan up to FAR;
        SinXDivX = sin_x_div_x up to FAR;
        Asin = asin;
        Acos = acos;
        Atan = atan;
        Expm1 = expm1;
        Sinh = sinh;
        Cosh = cosh;
        Tanh = tanh;
        Sigmoid = sigmoid;
        Silu = silu;
        Softplus = softplus;
        Log1p = log1p;
        Log2 = log2;
        Log10 = log10;
        Asinh = asinh;
        Acosh = acosh;
        Atanh = atanh;
        Cbrt = cbrt;
        Erf = erf;
        Erfc = erfc;
        NormCdf = norm_cdf;
        Gelu = gelu;
    }
    two {
        Atan2 = atan2;
        Powf = pow;
        Hypot = hypot;
    }
}

/// Beyond it multiples of pi/2 are not exact.
const FAR: f64 = 1e8;

/// Adding it leaves an integer in the low bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// The larger bound or number; NaN stays.
#[inline(always)]
fn at_least(low: f64, x: f64) -> f64 {
    if low > x { low } else { x }
}

/// The smaller bound or number; NaN stays.
#[inline(always)]
fn at_most(high: f64, x: f64) -> f64 {
    if high < x { high } else { x }
}

/// Flips the sign where the lowest bit is 1.
#[inline(always)]
fn flipped(x: f64, bit: u64) -> f64 {
    f64::from_bits(x.to_bits() ^ (bit << 63))
}

// Two words are h + l, where l is at most about a unit of h.

/// The upper half of the digits: products of two of them are exact.
#[inline(always)]
fn upper(a: f64) -> f64 {
    f64::from_bits(a.to_bits() & !0x7ff_ffff)
}

/// a b, exactly but for underflow (T. J. Dekker, 1971).
#[inline(always)]
fn product<I: Isa>(a: f64, b: f64) -> (f64, f64) {
    let h = a * b;
    if I::FMA {
        return (h, a.mul_add(b, -h));
    }
    let (ah, bh) = (upper(a), upper(b));
    let (al, bl) = (a - ah, b - bh);
    (h, ah * bh - h + ah * bl + al * bh + al * bl)
}

/// a + b, exactly (O. Moeller and D. E. Knuth).
#[inline(always)]
fn sum(a: f64, b: f64) -> (f64, f64) {
    let h = a + b;
    let c = h - a;
    (h, a - (h - c) + (b - c))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn points() -> Vec<f64> {
        let many = if cfg!(miri) { 64 } else { 640 };
        let spread = (0..many).map(|k| (f64::from(k) / f64::from(many) * 2.0 - 1.0) * 30.0);
        let near_one = (0..many).map(|k| f64::from(k) / f64::from(many) * 2.5 - 1.25);
        let scales = (0..64).flat_map(|k| [1.0, -1.0].map(|sign| sign * f64::from(k - 32).exp2()));
        let edges = [0.0, 1.0, 1e8, 1e9, 1e300, f64::MAX, 5e-324, 1e-310, f64::INFINITY];
        let edges = edges.into_iter().flat_map(|x| [x, -x]).chain([f64::NAN; 2]);
        spread.chain(near_one).chain(scales).chain(edges).collect()
    }

    /// Panics where a function of a level is further than 4 units from what the operation means.
    pub fn check_level<I: Isa>() {
        let points = points();
        for &curve in Curve::ALL {
            let (op, mut rest) = (curve.op(), points.iter().rev().step_by(7).cycle());
            for x in points.chunks(LANES).filter_map(|x| x.first_chunk::<LANES>()) {
                let y: Lanes = std::array::from_fn(|_| *rest.next().expect("a cycle"));
                let mut found = *x;
                I::curve(curve, &mut found, &y);
                for l in (0..LANES).filter(|&l| x[l].abs() <= curve.most()) {
                    let mut right = [0.0];
                    let args: [&[f64]; 2] = [&[x[l]], &[y[l]]];
                    (op.def().eval)(&args[..op.def().arity], &[], &mut right);
                    let unit = (right[0].abs() * f64::EPSILON).max(f64::from_bits(1));
                    let near = (found[l] - right[0]).abs() <= 4.0 * unit;
                    let same = found[l] == right[0] || (found[l].is_nan() && right[0].is_nan());
                    assert!(
                        near || same,
                        "{curve:?}({args:?}) = {:e}, not {:e}",
                        found[l],
                        right[0]
                    );
                }
            }
        }
    }
}
