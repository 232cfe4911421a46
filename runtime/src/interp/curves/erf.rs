//! The error function and its kin. Goes in and comes out: a number.

use std::f64::consts::FRAC_1_SQRT_2;

use super::super::math::{Float, Isa, poly};
use super::exps::{LOWER, exp_lifted};
use super::{at_least, at_most, product, sum};

/// erf for |x| < 15/16.
#[inline(always)]
pub fn erf_near<I: Isa>(x: f64) -> f64 {
    x + x * poly::<f64, I, _>(
        x * x,
        [
            0.128_379_167_095_512_56,
            -0.376_126_389_031_836_8,
            0.112_837_916_709_514_33,
            -0.026_866_170_644_362_836,
            0.005_223_977_617_177_416,
            -0.000_854_832_649_847_547_7,
            0.000_120_553_118_102_191_68,
            -1.492_508_691_500_864_5e-05,
            1.645_206_992_351_832e-06,
            -1.624_669_575_507_124e-07,
            1.389_742_536_171_208_1e-08,
            -8.150_920_480_293_475e-10,
        ],
    )
}

/// An odd polynomial near 0, then 1 - 2^p.
#[inline(always)]
pub fn erf<I: Isa>(x: f64) -> f64 {
    let ax = x.abs();
    let p = poly::<f64, I, _>(
        at_most(5.95, ax),
        [
            -3.621_490_283_843_262e-07,
            -1.627_903_172_129_700_1,
            -0.918_467_230_144_503_6,
            -0.148_211_742_167_557_97,
            0.027_476_215_347_712_052,
            0.000_483_109_654_832_938_27,
            -0.002_649_737_904_629_936,
            0.001_019_127_259_509_133_2,
            -0.000_135_990_098_684_328_62,
            -5.868_630_181_816_880_6e-05,
            4.453_834_557_008_102e-05,
            -1.609_192_611_957_047e-05,
            3.938_993_385_448_374e-06,
            -6.939_646_991_188_697e-07,
            8.757_125_637_791_999e-08,
            -7.558_168_449_695_494e-09,
            4.009_161_633_649_983e-10,
            -9.872_023_044_115_252e-12,
        ],
    );
    let far = (1.0 - Float::exp2::<I>(p)).copysign(x);
    if ax < 0.9375 { erf_near::<I>(x) } else { far }
}

/// 2^64 erfc(s + s_lo) for s > 0.4, where h + l is the square of s + s_lo: e^-(h + l) times a
/// polynomial in (s - 3) / (s + 3) over 1 + 2 s (after M. M. Shepherd and J. G. Laframboise, Math.
/// Comp. 36, 1981), with second words.
#[inline(always)]
pub fn erfc_lifted<I: Isa>([s, s_lo]: [f64; 2], [h, l]: [f64; 2]) -> f64 {
    let t = (s - 3.0) / (s + 3.0);
    let g = poly::<f64, I, _>(
        t,
        [
            0.253_008_058_269_729_66,
            -0.135_621_106_124_581_06,
            -0.047_562_294_353_452_314,
            0.129_645_158_702_745_9,
            -0.119_273_663_415_208_94,
            0.068_308_027_344_539_49,
            -0.023_770_514_921_076_326,
            0.002_529_391_806_073_178_4,
            0.001_888_690_388_619_652_5,
            -0.000_779_832_172_250_947_3,
            -0.000_105_159_999_896_424_07,
            0.000_125_098_738_058_664_15,
            4.950_294_538_659_832e-06,
            -2.009_812_644_739_923e-05,
            -7.334_744_093_565_692e-07,
            3.466_024_093_832_888_7e-06,
            3.594_783_655_428_567e-07,
            -6.057_038_517_801_283e-07,
            -1.428_195_057_272_412_2e-07,
            9.006_439_911_451_64e-08,
            4.034_896_770_610_409_4e-08,
            -6.052_268_017_592_54e-09,
            -6.259_663_809_021_093e-09,
            -9.635_026_405_521_902e-10,
        ],
    );
    let n = g + 1.0;
    let n_lo = 1.0 - n + g;
    let (d, d_lo) = sum(s + s, 1.0);
    let inverse = 1.0 / d;
    let q = n * inverse;
    let (p, p_lo) = product::<I>(q, d);
    let q_lo = (n - p - p_lo + (n_lo - q * (d_lo + s_lo + s_lo))) * inverse;
    let (e, e_lo) = exp_lifted::<I>(-h, -l);
    let (p, p_lo) = product::<I>(e, q);
    p + (p_lo + (e * q_lo + e_lo * q))
}

#[inline(always)]
pub fn erfc<I: Isa>(x: f64) -> f64 {
    let ax = x.abs();
    let s = at_most(27.5, ax);
    let (h, l) = product::<I>(s, s);
    let y = erfc_lifted::<I>([s, 0.0], [h, l]) * LOWER;
    let far = if x < 0.0 { 2.0 - y } else { y };
    if ax < 0.4375 { 1.0 - erf_near::<I>(x) } else { far }
}

/// The cumulative distribution of a normal variable, erfc(-x / sqrt(2)) / 2, as the first word
/// times the second.
#[inline(always)]
pub fn norm_cdf_lifted<I: Isa>(x: f64) -> (f64, f64) {
    let a = at_most(38.8, x.abs());
    let (h, l) = product::<I>(a, a);
    let (s, s_lo) = product::<I>(a, FRAC_1_SQRT_2);
    let s_lo = s_lo + a * -4.833_646_656_726_457e-17;
    let y = erfc_lifted::<I>([s, s_lo], [h * 0.5, l * 0.5]) * 0.5;
    let erf = erf_near::<I>(s) * 0.5;
    let (left, near) = (x < 0.0, s < 0.4375);
    let lifted = if near { (0.5 - erf) * 1.844_674_407_370_955_2e19 } else { y };
    let right = if near { erf + 0.5 } else { 1.0 - y * LOWER };
    (if left { lifted } else { right }, if left { LOWER } else { 1.0 })
}

#[inline(always)]
pub fn norm_cdf<I: Isa>(x: f64) -> f64 {
    let (y, lower) = norm_cdf_lifted::<I>(x);
    y * lower
}

/// x times the distribution; below the bound it is -0.
#[inline(always)]
pub fn gelu<I: Isa>(x: f64) -> f64 {
    let bounded = at_least(-50.0, x);
    let (y, lower) = norm_cdf_lifted::<I>(bounded);
    bounded * y * lower
}
