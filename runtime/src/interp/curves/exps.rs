//! Exponentials that carry a second word, hyperbolic functions and the logistic family. Goes in and
//! comes out: a number, or two words of one.

use std::f64::consts::LOG2_E;

use super::super::math::{Float, Isa, poly};
use super::{ROUNDER, at_least, at_most};

/// 2^n for whole n that are exponents of normal numbers.
#[inline(always)]
pub fn pow2(n: f64) -> f64 {
    f64::from_bits(((n + ROUNDER).to_bits() << 52).wrapping_add(1_f64.to_bits()))
}

/// a 2^n for whole n up to 1.08 times the largest exponent.
#[inline(always)]
pub fn times_pow2(a: f64, n: f64) -> f64 {
    let first = at_most(1000.0, at_least(-1000.0, n));
    a * pow2(first) * pow2(n - first)
}

/// e^(x + c) = 2^n (1 + f + r), |f| at most log(2) / 2, r a rest of f^2/2 and what f lost. c is at
/// most a unit of x.
#[inline(always)]
pub fn exp_split<I: Isa>(x: f64, c: f64) -> (f64, f64, f64) {
    let n = x * LOG2_E + ROUNDER - ROUNDER;
    // log 2 in two parts, n times the first exact
    let a = x - n * 0.693_147_180_558_298_7;
    let b = n * 1.646_594_958_289_708_2e-12;
    let f = a - b;
    let lost = a - f - b + c;
    let p = poly::<f64, I, _>(
        f,
        [
            0.5,
            0.166_666_666_666_666_77,
            0.041_666_666_666_666_67,
            0.008_333_333_333_321_456,
            0.001_388_888_888_887_891_5,
            0.000_198_412_698_865_595_63,
            2.480_158_734_141_945_6e-05,
            2.755_724_375_486_223_3e-06,
            2.755_725_611_413_395_7e-07,
            2.510_920_592_483_612e-08,
            2.092_100_987_026_084e-09,
        ],
    );
    let p = f * f * p;
    (n, f, p + (lost + lost * (f + p)))
}

/// 1 + f + r as two words, for those of [`exp_split`].
#[inline(always)]
pub fn one_more(f: f64, r: f64) -> (f64, f64) {
    let u = f + 1.0;
    let v = 1.0 - u + f + r;
    let h = u + v;
    (h, u - h + v)
}

/// Results that may be subnormal are computed 2^64 times as large, and lowered at the end.
const LIFT: f64 = 64.0;
pub const LOWER: f64 = 5.421_010_862_427_522e-20;

/// 2^64 e^(x + c) as two words, for x <= 0.
#[inline(always)]
pub fn exp_lifted<I: Isa>(x: f64, c: f64) -> (f64, f64) {
    let (n, f, r) = exp_split::<I>(at_least(-752.0, x), c);
    let scale = pow2(n + LIFT);
    let (h, l) = one_more(f, r);
    (h * scale, l * scale)
}

#[inline(always)]
pub fn expm1<I: Isa>(x: f64) -> f64 {
    let (n, f, r) = exp_split::<I>(at_most(711.0, at_least(-60.0, x)), 0.0);
    // 2^n (1 - 2^-n + f + r); the first sum is exact, for |1 - 2^-n| is 0 or exceeds |f|
    let s = 1.0 - pow2(-at_most(1000.0, n));
    let t = s + f;
    if x == 0.0 { x } else { times_pow2(t + (s - t + f + r), n) }
}

/// e^|x| / 8 as two words, and its reciprocal over 64: halves that neither overflow nor cancel.
#[inline(always)]
pub fn half_exponentials<I: Isa>(x: f64) -> (f64, f64, f64) {
    let (n, f, r) = exp_split::<I>(at_most(711.0, x.abs()), 0.0);
    let scale = pow2(n - 3.0);
    let (h, l) = one_more(f, r);
    let (h, l) = (h * scale, l * scale);
    let inverse = 0.015625 / h;
    (h, l, inverse - inverse * inverse * l * 64.0)
}

#[inline(always)]
pub fn cosh<I: Isa>(x: f64) -> f64 {
    let (h, l, down) = half_exponentials::<I>(x);
    (h + (down + l)) * 4.0
}

#[inline(always)]
pub fn sinh<I: Isa>(x: f64) -> f64 {
    let (h, l, down) = half_exponentials::<I>(x);
    let z = x * x;
    let far = h - down;
    let y = (far + (h - far - down + l)) * 4.0;
    let p = poly::<f64, I, _>(
        z,
        [
            0.166_666_666_666_666_82,
            0.008_333_333_333_316_4,
            0.000_198_412_699_004_448_94,
            2.755_722_899_558_957_8e-06,
            2.511_454_369_143_05e-08,
        ],
    );
    if x.abs() < 0.35 { x + x * z * p } else { y.copysign(x) }
}

#[inline(always)]
pub fn tanh<I: Isa>(x: f64) -> f64 {
    let ax = x.abs();
    let z = ax * ax;
    let p = poly::<f64, I, _>(
        z,
        [
            -0.333_333_333_333_332_87,
            0.133_333_333_333_245_26,
            -0.053_968_253_962_471_89,
            0.021_869_488_347_336_277,
            -0.008_863_231_948_164_074,
            0.003_592_085_241_674_244_5,
            -0.001_455_498_079_483_109_7,
            0.000_588_256_536_516_419,
            -0.000_232_894_952_050_477_3,
            8.260_840_131_778_526e-05,
            -1.905_181_434_512_106_5e-05,
        ],
    );
    let e = Float::exp::<I>(at_most(40.0, ax + ax));
    let far = 1.0 - 2.0 / (e + 1.0);
    (if ax < 0.55 { ax + ax * z * p } else { far }).copysign(x)
}

/// 1 / (1 + e^-x) = n / (1 + e), e = e^-|x|, n = 1 or e, as the first word times the second.
#[inline(always)]
pub fn sigmoid_lifted<I: Isa>(x: f64) -> (f64, f64) {
    let (n, n_lo) = exp_lifted::<I>(-x.abs(), 0.0);
    let left = x < 0.0;
    let (e, e_lo) = (n * LOWER, n_lo * LOWER);
    let d = e + 1.0;
    let d_lo = 1.0 - d + e + e_lo;
    let lower = if left { LOWER } else { 1.0 };
    let y = (if left { n } else { 1.0 }) / d;
    let share = y * lower;
    let rest = (if left { n_lo } else { 0.0 }) - y * d_lo;
    (y + rest * (if left { 1.0 - share } else { share }), lower)
}

#[inline(always)]
pub fn sigmoid<I: Isa>(x: f64) -> f64 {
    let (y, lower) = sigmoid_lifted::<I>(x);
    y * lower
}

/// x sigmoid(x); below the bound it is -0.
#[inline(always)]
pub fn silu<I: Isa>(x: f64) -> f64 {
    let bounded = at_least(-752.0, x);
    let (y, lower) = sigmoid_lifted::<I>(bounded);
    bounded * y * lower
}
