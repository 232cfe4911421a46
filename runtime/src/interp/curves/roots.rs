//! Roots and powers. Goes in and comes out: a number.

use std::f64::consts::{LN_2, LOG2_E};

use super::super::math::{Float, Isa, poly};
use super::exps::pow2;
use super::{ROUNDER, at_least, at_most, flipped, product};

/// x = 2^(3 q) m 2^k, k = -1, 0, 1; a guess of few bits, whose cube is exact, and what is left of
/// the cube root of 1 + d by its series.
#[inline(always)]
pub fn cbrt<I: Isa>(x: f64) -> f64 {
    let ax = x.abs();
    let (m, e) = ax.split();
    let q = e * (1.0 / 3.0) + ROUNDER - ROUNDER;
    let k = e - q * 3.0;
    let root = if k < 0.0 { 0.793_700_525_984_099_8 } else { 1.0 };
    let root = if k > 0.0 { 1.259_921_049_894_873_2 } else { root };
    let guess = poly::<f64, I, _>(
        m,
        [
            0.398_359_777_281_477_4,
            1.197_036_470_554_014_9,
            -1.186_958_229_860_098_7,
            0.971_006_689_373_063_8,
            -0.514_798_411_357_361_7,
            0.155_732_236_091_162_55,
            -0.020_378_655_670_677_717,
        ],
    );
    let g = f64::from_bits((guess * root).to_bits() & !0xf_ffff_ffff);
    let scaled = if k < 0.0 { m * 0.5 } else { m };
    let scaled = if k > 0.0 { m + m } else { scaled };
    let cube = g * g * g;
    let d = (scaled - cube) / cube;
    let series = [1.0 / 3.0, -1.0 / 9.0, 5.0 / 81.0, -10.0 / 243.0, 22.0 / 729.0];
    let more = d * poly::<f64, I, _>(d, series);
    let y = ((g + g * more) * pow2(q)).copysign(x);
    if (ax > 0.0) & (ax < f64::INFINITY) { y } else { x }
}

/// What C's hypot gives: infinite beside NaN too.
#[inline(always)]
pub fn hypot<I: Isa>(x: f64, y: f64) -> f64 {
    let (ax, ay) = (x.abs(), y.abs());
    let top = if ax > ay { ax } else { ay };
    let (large, small) = (top > 3.273_390_607_896_142e150, top < 3.439_552_567_074_349_4e-136);
    let (up, down) = (4.149_515_568_880_993e180, 2.409_919_865_102_884e-181);
    let shrink = if small { up } else { 1.0 };
    let shrink = if large { down } else { shrink };
    let grow = if small { down } else { 1.0 };
    let grow = if large { up } else { grow };
    let (a, b) = (ax * shrink, ay * shrink);
    let r = Float::mul_add::<I>(a, a, b * b).sqrt() * grow;
    if (ax == f64::INFINITY) | (ay == f64::INFINITY) { f64::INFINITY } else { r }
}

/// a^y for finite a > 0: the logarithm and its product with y carry a second word.
#[inline(always)]
pub fn pow_positive<I: Isa>(a: f64, y: f64) -> f64 {
    let (m, e) = a.split();
    // s = (m - 1) / (m + 1), z = s^2
    let d = m + 1.0;
    let d_lo = m - (d - 1.0);
    let inv = 1.0 / d;
    let s = (m - 1.0) * inv;
    let (p, p_lo) = product::<I>(s, d);
    let s_lo = (m - 1.0 - p - p_lo - s * d_lo) * inv;
    let (z, z_lo) = product::<I>(s, s);
    let z_lo = z_lo + (s + s) * s_lo;
    // log2 m = s (c0 + z (c1 + z tail))
    let tail = z * poly::<f64, I, _>(
        z,
        [
            0.577_078_016_355_585_3,
            0.412_198_583_111_207_2,
            0.320_598_897_943_898_9,
            0.262_308_195_231_961_47,
            0.221_952_475_919_479_06,
            0.192_394_474_791_825_45,
            0.168_570_219_669_114_87,
            0.171_984_469_380_088_85,
        ],
    );
    let (c1, c0) = (0.961_796_693_925_975_6, 2.0 * LOG2_E);
    let u = c1 + tail;
    let u_lo = tail - (u - c1) + 5.057_761_664_812_590_7e-17;
    let (v, v_lo) = product::<I>(u, z);
    let v_lo = v_lo + (u * z_lo + u_lo * z);
    let w = c0 + v;
    let w_lo = v - (w - c0) + (v_lo + 4.071_054_748_186_206_6e-17);
    let (g, g_lo) = product::<I>(w, s);
    let g_lo = g_lo + (w * s_lo + w_lo * s);
    let log = e + g;
    let log_lo = g - (log - e) + g_lo;
    // 2^(y log); a product out of range decides alone
    let (t, t_lo) = product::<I>(y, log);
    let t_lo = t_lo + y * log_lo;
    let hi = at_most(1025.0, at_least(-1076.0, t));
    let f = hi - (hi + ROUNDER - ROUNDER) + if hi == t { t_lo } else { 0.0 };
    hi.exp_near::<I>(f * LN_2)
}

/// What C's pow gives.
#[inline(always)]
pub fn pow<I: Isa>(x: f64, y: f64) -> f64 {
    let (a, half) = (x.abs(), y * 0.5);
    let whole = y.trunc() == y;
    let odd = whole & (half.trunc() != half);
    let r = pow_positive::<I>(a, y);
    // 0 and infinity to a power, and to its inverse
    let zero_or_inf = if (a == 0.0) == (y < 0.0) { f64::INFINITY } else { 0.0 };
    let r = if (a == 0.0) | (a == f64::INFINITY) { zero_or_inf } else { r };
    let r = if (x.is_nan()) | (y.is_nan()) { x + y } else { r };
    let r = if (x < 0.0) & (a < f64::INFINITY) & !whole { f64::NAN } else { r };
    let r = flipped(r, if odd { x.to_bits() >> 63 } else { 0 });
    let unit = (x == 1.0) | (y == 0.0) | ((x == -1.0) & (y.abs() == f64::INFINITY));
    if unit { 1.0 } else { r }
}
