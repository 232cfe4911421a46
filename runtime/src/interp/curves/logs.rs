//! Logarithms that carry a second word, and the inverse hyperbolic functions made of them. Goes in
//! and comes out: a number, or two words of one.

use std::f64::consts::LN_2;

use super::super::math::{Float, Isa, poly};
use super::exps::{LOWER, exp_lifted, pow2};
use super::{at_most, product, sum, upper};

/// What a logarithm gives where its argument is not a finite number above 0.
#[inline(always)]
pub fn log_edges(x: f64, y: f64) -> f64 {
    let below = if x < 0.0 { f64::NAN } else { x };
    let edge = if x == 0.0 { f64::NEG_INFINITY } else { below };
    if (x > 0.0) & (x < f64::INFINITY) { y } else { edge }
}

/// e log 2 + log(1 + f) + more, |more| small.
#[inline(always)]
pub fn log_sum<I: Isa>(e: f64, f: f64, more: f64) -> f64 {
    let half = f * f * 0.5;
    // log 2 in two parts, e times the first exact
    let tail = e * 1.908_214_929_270_587_7e-10 + more;
    let low = f.log_series::<I>(half) + tail;
    e * 0.693_147_180_369_123_8 - (half - low - f)
}

/// About 1 / (1 + f), to 1/25, for a logarithm's f.
#[inline(always)]
pub fn log_slope(f: f64) -> f64 {
    (0.85 * f - 1.0) * f + 1.0
}

/// log(u + l) for finite u > 0, l at most a unit of u.
#[inline(always)]
pub fn log_pair<I: Isa>(u: f64, l: f64) -> f64 {
    let (m, e) = u.split();
    let f = m - 1.0;
    let scaled = l * pow2(-at_most(120.0, e));
    log_sum::<I>(e, f, scaled * log_slope(f))
}

/// log(1 + x + c) for finite x > -1, c at most a unit of x.
#[inline(always)]
pub fn log1p_pair<I: Isa>(x: f64, c: f64) -> f64 {
    let (u, l) = sum(1.0, x);
    let (m, e) = u.split();
    let near = e == 0.0;
    let f = if near { x } else { m - 1.0 };
    let scaled = (l + c) * pow2(-at_most(120.0, e));
    log_sum::<I>(e, f, (if near { c } else { scaled }) * log_slope(f))
}

#[inline(always)]
pub fn log1p<I: Isa>(x: f64) -> f64 {
    let y = log1p_pair::<I>(x, 0.0);
    let below = if x < -1.0 { f64::NAN } else { x };
    let edge = if x == -1.0 { f64::NEG_INFINITY } else { below };
    if (x > -1.0) & (x < f64::INFINITY) & (x != 0.0) { y } else { edge }
}

/// log(1 + e^x)
#[inline(always)]
pub fn softplus<I: Isa>(x: f64) -> f64 {
    let (e, e_lo) = exp_lifted::<I>(-x.abs(), 0.0);
    let above = if x < 0.0 { 0.0 } else { x };
    above + log1p_pair::<I>(e * LOWER, e_lo * LOWER)
}

/// The logarithm to a base with 1 / log(base) = by + by_lo, where the products of e, and of upper
/// halves, with the first words are exact. The last two are the logarithm of 2.
#[inline(always)]
pub fn log_base<I: Isa>(x: f64, [by, by_lo, per_two, per_two_lo]: [f64; 4]) -> f64 {
    let (m, e) = x.split();
    let f = m - 1.0;
    let half = f * f * 0.5;
    let rest = f.log_series::<I>(half) - half;
    let first = upper(f);
    let (p, whole) = (first * by, e * per_two);
    let y = whole + p;
    let low = (f - first) * by + (f * by_lo + rest * (by + by_lo) + e * per_two_lo);
    log_edges(x, y + (whole - y + p + low))
}

#[inline(always)]
pub fn log2<I: Isa>(x: f64) -> f64 {
    log_base::<I>(x, [1.442_695_051_431_655_9, -1.054_269_247_642_913_8e-08, 1.0, 0.0])
}

#[inline(always)]
pub fn log10<I: Isa>(x: f64) -> f64 {
    log_base::<I>(
        x,
        [
            0.434_294_484_555_721_3,
            -2.652_469_455_307_855_3e-09,
            0.301_029_995_664_066_5,
            -8.532_344_317_057_107e-14,
        ],
    )
}

// Inverse hyperbolic functions.

/// The square root of h + l as two words.
#[inline(always)]
pub fn sqrt_pair<I: Isa>(h: f64, l: f64) -> (f64, f64) {
    let root = h.sqrt();
    let (p, p_lo) = product::<I>(root, root);
    (root, if root > 0.0 { (h - p - p_lo + l) * 0.5 / root } else { 0.0 })
}

/// Beyond it sqrt(x^2 + 1) is |x|; squares are finite below.
const LONG: f64 = 1.152_921_504_606_847e18;

#[inline(always)]
pub fn asinh<I: Isa>(x: f64) -> f64 {
    let ax = x.abs();
    let z = ax * ax;
    let p = poly::<f64, I, _>(
        z,
        [
            -0.166_666_666_666_666_1,
            0.074_999_999_999_844,
            -0.044_642_857_127_803,
            0.030_381_943_714_652_814,
            -0.022_372_138_303_713_127,
            0.017_352_385_951_539_515,
            -0.013_960_220_664_104_092,
            0.011_512_897_563_574_084,
            -0.009_533_725_705_351_824,
            0.007_464_347_960_479_996,
            -0.004_745_382_032_339_88,
            0.001_716_515_216_442_083_7,
        ],
    );
    let big = ax > LONG;
    let a = if big { 1.0 } else { ax };
    let (h, l) = product::<I>(a, a);
    let (w, w_lo) = sum(h, 1.0);
    let (root, root_lo) = sqrt_pair::<I>(w, w_lo + l);
    let (u, u_lo) = sum(a, root);
    let finite = at_most(f64::MAX, ax);
    let far = log_pair::<I>(if big { finite } else { u }, if big { 0.0 } else { u_lo + root_lo });
    let far = if big { far + LN_2 } else { far };
    let y = if ax < 0.5 { ax + ax * z * p } else { far };
    if ax < f64::INFINITY { y.copysign(x) } else { x }
}

#[inline(always)]
pub fn acosh<I: Isa>(x: f64) -> f64 {
    let big = x > LONG;
    let a = if big { 2.0 } else { x };
    let t = a - 1.0;
    let (d, d_lo) = sum(a, 1.0);
    let (h, l) = product::<I>(t, d);
    let (root, root_lo) = sqrt_pair::<I>(h, l + t * d_lo);
    let (g, g_lo) = sum(t, root);
    let near = log1p_pair::<I>(g, g_lo + root_lo);
    let y = if big { Float::log::<I>(x) + LN_2 } else { near };
    if x < 1.0 { f64::NAN } else { y }
}

#[inline(always)]
pub fn atanh<I: Isa>(x: f64) -> f64 {
    let ax = x.abs();
    let (d, d_lo) = sum(1.0, -ax);
    let q = (ax + ax) / d;
    let (p, p_lo) = product::<I>(q, d);
    let q_lo = (ax + ax - p - p_lo - q * d_lo) / d;
    let y = log1p_pair::<I>(q, q_lo) * 0.5;
    let below = if ax < 1.0 { ax } else { f64::NAN };
    let edge = if ax == 1.0 { f64::INFINITY } else { below };
    (if (ax > 0.0) & (ax < 1.0) { y } else { edge }).copysign(x)
}
