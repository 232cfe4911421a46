//! Trigonometric functions and their inverses. Goes in and comes out: a number, as in the parent.
//! Sines, cosines and tangents stop at `FAR`.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2, PI};

use super::super::math::{Isa, poly};
use super::{ROUNDER, flipped, product};

/// x = n pi/2 + r + r_lo for 0 <= x <= FAR; the low bits of the last are those of n.
#[inline(always)]
pub fn quarters(x: f64) -> (f64, f64, u64) {
    let k = x * FRAC_2_PI + ROUNDER;
    let n = k - ROUNDER;
    // pi/2 in four parts, n times the first three exact
    let a = x - n * 1.570_796_310_901_641_8 - n * 1.589_325_471_229_585_7e-08;
    let b = n * 6.123_233_932_053_594e-17;
    let hi = a - b;
    let lo = a - hi - b - n * 6.368_317_163_510_95e-25;
    let r = hi + lo;
    (r, hi - r + lo, k.to_bits())
}

/// Sine and cosine for 0 <= x <= FAR.
#[inline(always)]
pub fn sin_cos<I: Isa>(x: f64) -> (f64, f64) {
    let (r, _, q) = quarters(x);
    let z = r * r;
    let s = poly::<f64, I, _>(
        z,
        [
            -0.166_666_666_666_666_66,
            0.008_333_333_333_331_293,
            -0.000_198_412_698_370_594_6,
            2.755_731_621_053_196_6e-06,
            -2.505_114_888_344_684_5e-08,
            1.591_911_045_547_391_5e-10,
        ],
    );
    let s = r + r * z * s;
    let c = poly::<f64, I, _>(
        z,
        [
            1.0,
            -0.5,
            0.041_666_666_666_666_664,
            -0.001_388_888_888_888_705_5,
            2.480_158_729_845_053_2e-05,
            -2.755_731_715_365_367e-07,
            2.087_612_695_129_588_3e-09,
            -1.138_148_473_495_167e-11,
        ],
    );
    let odd = q & 1 != 0;
    let (sine, cosine) = (if odd { c } else { s }, if odd { s } else { c });
    (flipped(sine, q >> 1 & 1), flipped(cosine, q.wrapping_add(1) >> 1 & 1))
}

#[inline(always)]
pub fn sin<I: Isa>(x: f64) -> f64 {
    flipped(sin_cos::<I>(x.abs()).0, x.to_bits() >> 63)
}

#[inline(always)]
pub fn cos<I: Isa>(x: f64) -> f64 {
    sin_cos::<I>(x.abs()).1
}

#[inline(always)]
pub fn sin_x_div_x<I: Isa>(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { sin::<I>(x) / x }
}

#[inline(always)]
pub fn tan<I: Isa>(x: f64) -> f64 {
    let (r, r_lo, q) = quarters(x.abs());
    let z = r * r;
    let p = poly::<f64, I, _>(
        z,
        [
            0.333_333_333_333_333_8,
            0.133_333_333_333_252_62,
            0.053_968_253_972_959_59,
            0.021_869_488_397_756_397,
            0.008_863_237_945_509_516,
            0.003_592_100_673_396_674,
            0.001_456_046_749_532_598_7,
            0.000_588_859_960_314_821_9,
            0.000_243_762_883_990_315_42,
            8.354_012_921_471_989e-05,
            6.723_609_448_962_335e-05,
            -2.562_733_804_633_975_5e-05,
            4.861_098_215_935_650_6e-05,
            -2.425_227_786_484_541e-05,
            9.792_246_904_059_347e-06,
        ],
    );
    // tan(r + r_lo) = t + t_lo, and the cotangent of odd quarters with a second word too
    let w = r * z * p + r_lo * ((z * 0.666_666_7 + 1.0) * z + 1.0);
    let t = r + w;
    let t_lo = r - t + w;
    let inverse = -1.0 / t;
    let (h, l) = product::<I>(inverse, t);
    let off = h + 1.0 + l + inverse * t_lo;
    let y = if q & 1 != 0 { inverse + inverse * off } else { t };
    flipped(y, x.to_bits() >> 63)
}

/// What pi/2 is more than its nearest number.
const FRAC_PI_2_LOW: f64 = 6.123_233_995_736_766e-17;

/// atan(a / b) for a, b >= 0: pi/2 and pi/4 less the arc tangent of a ratio below tan(pi/8).
#[inline(always)]
pub fn atan_ratio<I: Isa>(a: f64, b: f64) -> f64 {
    let (big, mid) = (a > 2.414_213_562_373_095 * b, a > 0.414_213_562_373_095 * b);
    let over = if mid { a - b } else { a };
    let under = if mid { a + b } else { b };
    let t = (if big { -b } else { over }) / (if big { a } else { under });
    let z = t * t;
    let turn = if mid { 1.0 } else { 0.0 };
    let turn = if big { 2.0 } else { turn };
    let p = poly::<f64, I, _>(
        z,
        [
            -0.333_333_333_333_333_3,
            0.199_999_999_999_961_35,
            -0.142_857_142_847_487_43,
            0.111_111_110_202_321_24,
            -0.090_909_047_420_623_22,
            0.076_921_864_142_517_68,
            -0.066_645_509_558_085_56,
            0.058_584_533_767_723_72,
            -0.050_868_834_077_494_12,
            0.039_269_338_157_022_18,
            -0.019_219_233_913_727_336,
        ],
    );
    turn * (FRAC_PI_2 / 2.0) + (t + (t * z * p + turn * (FRAC_PI_2_LOW / 2.0)))
}

#[inline(always)]
pub fn atan<I: Isa>(x: f64) -> f64 {
    atan_ratio::<I>(x.abs(), 1.0).copysign(x)
}

#[inline(always)]
pub fn atan2<I: Isa>(y: f64, x: f64) -> f64 {
    let (a, b) = (y.abs(), x.abs());
    let endless = (a == f64::INFINITY) & (b == f64::INFINITY);
    let none = (a == 0.0) & (b == 0.0);
    let a = if endless { 1.0 } else { a };
    let b = if endless | none { 1.0 } else { b };
    // Keeps sums finite; what a small one loses then is below the rounding of the ratio.
    let large = 1.071_508_607_186_267_3e301;
    let shrink = if (a > large) | (b > large) { 0.0625 } else { 1.0 };
    let r = atan_ratio::<I>(a * shrink, b * shrink);
    let left = PI - (r - 2.0 * FRAC_PI_2_LOW);
    (if x.is_sign_negative() { left } else { r }).copysign(y)
}

/// asin(s) = s + more for s = x in [0, 1/2], or s = sqrt((1 - x) / 2) if x is above 1/2.
#[inline(always)]
pub fn asin_half<I: Isa>(x: f64, big: bool) -> (f64, f64) {
    let z = if big { (1.0 - x) * 0.5 } else { x * x };
    let s = if big { z.sqrt() } else { x };
    let p = poly::<f64, I, _>(
        z,
        [
            0.166_666_666_666_666_69,
            0.074_999_999_999_980_82,
            0.044_642_857_146_857_09,
            0.030_381_944_106_381_384,
            0.022_372_174_069_959_71,
            0.017_352_368_660_148_835,
            0.013_971_544_247_767_838,
            0.011_476_140_458_656_01,
            0.010_341_531_199_742_278,
            0.005_380_898_142_380_02,
            0.017_600_526_893_606_153,
            -0.015_151_681_810_425_79,
            0.028_955_266_012_466_452,
        ],
    );
    (s, s * z * p)
}

#[inline(always)]
pub fn asin<I: Isa>(x: f64) -> f64 {
    let big = x.abs() > 0.5;
    let (s, more) = asin_half::<I>(x.abs(), big);
    // pi/2 - 2 s is exact but for one rounding, and what remains is small
    let left = FRAC_PI_2 - (s + s) - (more + more - FRAC_PI_2_LOW);
    (if big { left } else { s + more }).copysign(x)
}

#[inline(always)]
pub fn acos<I: Isa>(x: f64) -> f64 {
    let big = x.abs() > 0.5;
    let (s, more) = asin_half::<I>(x.abs(), big);
    let p = s + more;
    let small = FRAC_PI_2 - (flipped(p, x.to_bits() >> 63) - FRAC_PI_2_LOW);
    let left = PI - (p + p - 2.0 * FRAC_PI_2_LOW);
    let far = if x < 0.0 { left } else { p + p };
    if big { far } else { small }
}
