//! The numbers that programs compute with, and their elementary functions. Goes in: a number.
//! Comes out: the same as from compiled code but for roundings, and right at zeros, infinities and
//! NaN. Nothing here branches, so that loops over lanes become vector instructions.
//!
//! Exponentials and logarithms are those of `templates/include/tf_math.h`: at most 2 units in the
//! last place, which the tests below measure.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::curves::{Curve, Lanes};
use super::exec::{chunk, chunk_mut};
use super::levels::Plain;
use crate::host::Real;

/// Numbers of a group: lanes that a sum keeps in registers, or that one exponential is of.
pub(super) const GROUP: usize = 16;

/// What an instruction level offers. Types that implement it are named where the level is known to
/// be supported, in `levels`.
pub(super) trait Isa: Sized {
    /// Whether there are fused products.
    const FMA: bool;
    /// Vectors that fit into registers.
    const REGISTERS: usize;
    type F32: Vector<f32>;
    type F64: Vector<f64>;

    /// Replaces the first arguments of a function by the results.
    fn curve(curve: Curve, x: &mut Lanes, y: &Lanes);

    #[inline(always)]
    fn exp2_f32(mut x: [f32; GROUP]) -> [f32; GROUP] {
        for x in &mut x {
            *x = Float::exp2::<Self>(*x);
        }
        x
    }
    #[inline(always)]
    fn exp_f32(mut x: [f32; GROUP]) -> [f32; GROUP] {
        for x in &mut x {
            *x = Float::exp::<Self>(*x);
        }
        x
    }
    #[inline(always)]
    fn exp2_f64(mut x: [f64; GROUP]) -> [f64; GROUP] {
        for x in &mut x {
            *x = Float::exp2::<Self>(*x);
        }
        x
    }
    #[inline(always)]
    fn exp_f64(mut x: [f64; GROUP]) -> [f64; GROUP] {
        for x in &mut x {
            *x = Float::exp::<Self>(*x);
        }
        x
    }
}

/// A vector register, where loops over lanes are not enough: many sums at once that stay in
/// registers while terms pass.
pub(super) trait Vector<T>: Copy {
    const WIDTH: usize;
    const ZERO: Self;

    /// The first numbers.
    fn load(from: &[T]) -> Self;
    /// Replaces the first numbers.
    fn store(self, to: &mut [T]);
    /// A number in all lanes.
    fn splat(from: &T) -> Self;
    fn add(self, b: Self) -> Self;
    fn sub(self, b: Self) -> Self;
    fn abs(self) -> Self;
    /// `self * b + c`, rounded as [`Float::mul_add`] does.
    fn mul_add(self, b: Self, c: Self) -> Self;
}

/// Repeats a block for n = 0, 1, ... below a constant of at most 8. Arrays of vectors stay in
/// registers only where all indices are constants, and the compiler unrolls no loop that it finds
/// too long.
macro_rules! unrolled {
    ($n:ident < $most:expr, $body:block) => {
        unrolled!($n < $most, $body, 0 1 2 3 4 5 6 7)
    };
    ($n:ident < $most:expr, $body:block, $($at:literal)*) => {
        $(
            if $at < $most {
                let $n: usize = $at;
                $body
            }
        )*
    };
}
pub(super) use unrolled;

/// Four numbers, where no level says what a vector is.
#[derive(Clone, Copy)]
pub(super) struct Four<T>([T; 4]);

impl<T: Float> Vector<T> for Four<T> {
    const WIDTH: usize = 4;
    const ZERO: Four<T> = Four([T::ZERO; 4]);

    #[inline(always)]
    fn load(from: &[T]) -> Four<T> {
        Four(*chunk(from, 0))
    }
    #[inline(always)]
    fn store(self, to: &mut [T]) {
        *chunk_mut(to, 0) = self.0;
    }
    #[inline(always)]
    fn splat(from: &T) -> Four<T> {
        Four([*from; 4])
    }
    #[inline(always)]
    fn add(mut self, b: Four<T>) -> Four<T> {
        for l in 0..4 {
            self.0[l] = self.0[l] + b.0[l];
        }
        self
    }
    #[inline(always)]
    fn sub(mut self, b: Four<T>) -> Four<T> {
        for l in 0..4 {
            self.0[l] = self.0[l] - b.0[l];
        }
        self
    }
    #[inline(always)]
    fn abs(mut self) -> Four<T> {
        for x in &mut self.0 {
            *x = x.abs();
        }
        self
    }
    #[inline(always)]
    fn mul_add(mut self, b: Four<T>, c: Four<T>) -> Four<T> {
        for l in 0..4 {
            self.0[l] = self.0[l].mul_add::<Plain>(b.0[l], c.0[l]);
        }
        self
    }
}

/// `f32` or `f64`.
pub(super) trait Float:
    Real
    + Debug
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    const ZERO: Self;
    const ONE: Self;
    const HALF: Self;
    const INFINITY: Self;
    const LARGEST: Self;
    /// The inverse of the smallest normal number.
    const MOST_SCALE: f64;
    /// Whether a total in float64 needs a second word.
    const IS_DOUBLE: bool;
    type Vector<I: Isa>: Vector<Self>;

    fn abs(self) -> Self;
    fn sqrt(self) -> Self;
    fn floor(self) -> Self;
    fn trunc(self) -> Self;
    fn ceil(self) -> Self;
    /// `self * b + c`, rounded once where the level says that there is an instruction for it.
    fn mul_add<I: Isa>(self, b: Self, c: Self) -> Self;
    fn exp2<I: Isa>(self) -> Self;
    fn exp<I: Isa>(self) -> Self;
    fn exp2_group<I: Isa>(x: [Self; GROUP]) -> [Self; GROUP];
    fn exp_group<I: Isa>(x: [Self; GROUP]) -> [Self; GROUP];
    fn log<I: Isa>(self) -> Self;
    /// `2^n e^f` for the integer n nearest to this number, and a small f.
    fn exp_near<I: Isa>(self, f: Self) -> Self;
    /// Finite `x > 0` as `2^e m`, m between `sqrt(1/2)` and `sqrt(2)`: m and e.
    fn split(self) -> (Self, Self);
    /// `log(1 + f) - f + half` for this f of [`split`](Float::split) less 1, and half its square.
    fn log_series<I: Isa>(self, half: Self) -> Self;

    /// Whether it is NaN.
    #[inline(always)]
    fn is_nan(self) -> bool {
        self.partial_cmp(&self).is_none()
    }

    /// 1 or 0.
    #[inline(always)]
    fn truth(condition: bool) -> Self {
        if condition { Self::ONE } else { Self::ZERO }
    }

    /// Whether `self` comes before `b` in the order of minima: NaN first.
    #[inline(always)]
    fn before(self, b: Self) -> bool {
        (self < b) | (self.is_nan() & !b.is_nan())
    }

    /// Whether `self` comes before `b` in the order of maxima: NaN first.
    #[inline(always)]
    fn above(self, b: Self) -> bool {
        (self > b) | (self.is_nan() & !b.is_nan())
    }
}

/// `c[0] + c[1] x + c[2] x^2 + ...`
#[inline(always)]
pub(super) fn poly<T: Float, I: Isa, const N: usize>(x: T, c: [T; N]) -> T {
    let mut sum = c[N - 1];
    let mut k = N - 1;
    while k > 0 {
        k -= 1;
        sum = sum.mul_add::<I>(x, c[k]);
    }
    sum
}

/// Both types. `$bits` is as wide; `$digits` are those of the mantissa after the point.
macro_rules! float {
    (
        $t:ident, $bits:ident, $digits:literal, $double:literal, $vector:ident,
        exp2: $exp2:expr, $exp2_range:expr, $exp2_group:ident,
        exp: $exp:expr, $exp_range:expr, $ln2:expr, $exp_group:ident,
        log: $log:expr, $log_ln2:expr, $root:expr, $tiny:expr, $bias:literal
    ) => {
        impl Float for $t {
            const ZERO: $t = 0.0;
            const ONE: $t = 1.0;
            const HALF: $t = 0.5;
            const INFINITY: $t = $t::INFINITY;
            const LARGEST: $t = $t::MAX;
            const MOST_SCALE: f64 = 1.0 / ($t::MIN_POSITIVE as f64);
            const IS_DOUBLE: bool = $double;
            type Vector<I: Isa> = I::$vector;

            #[inline(always)]
            fn abs(self) -> $t {
                $t::abs(self)
            }
            #[inline(always)]
            fn sqrt(self) -> $t {
                $t::sqrt(self)
            }
            #[inline(always)]
            fn floor(self) -> $t {
                $t::floor(self)
            }
            #[inline(always)]
            fn trunc(self) -> $t {
                $t::trunc(self)
            }
            #[inline(always)]
            fn ceil(self) -> $t {
                $t::ceil(self)
            }
            #[inline(always)]
            fn mul_add<I: Isa>(self, b: $t, c: $t) -> $t {
                if I::FMA { $t::mul_add(self, b, c) } else { self * b + c }
            }
            #[inline(always)]
            fn exp2<I: Isa>(self) -> $t {
                const ROUNDER: $t = (3_u64 << ($digits - 1)) as $t;
                let (low, high) = $exp2_range;
                let x = if self < low { low } else { self };
                let x = if x > high { high } else { x };
                let k = x + ROUNDER;
                let f = x - (k - ROUNDER);
                scaled::$t::<I>(x, k, f * poly::<$t, I, _>(f, $exp2))
            }
            #[inline(always)]
            fn exp<I: Isa>(self) -> $t {
                const ROUNDER: $t = (3_u64 << ($digits - 1)) as $t;
                let (low, high) = $exp_range;
                let x = if self < low { low } else { self };
                let x = if x > high { high } else { x };
                let k = Float::mul_add::<I>(x, std::$t::consts::LOG2_E, ROUNDER);
                let n = k - ROUNDER;
                // log 2 in two parts, n times the first exact
                let (first, second): ($t, $t) = $ln2;
                let f = Float::mul_add::<I>(-n, first, x);
                let f = Float::mul_add::<I>(-n, second, f);
                scaled::$t::<I>(x, k, f * poly::<$t, I, _>(f, $exp))
            }
            #[inline(always)]
            fn exp2_group<I: Isa>(x: [$t; GROUP]) -> [$t; GROUP] {
                I::$exp2_group(x)
            }
            #[inline(always)]
            fn exp_group<I: Isa>(x: [$t; GROUP]) -> [$t; GROUP] {
                I::$exp_group(x)
            }
            #[inline(always)]
            fn exp_near<I: Isa>(self, f: $t) -> $t {
                const ROUNDER: $t = (3_u64 << ($digits - 1)) as $t;
                scaled::$t::<I>(self, self + ROUNDER, f * poly::<$t, I, _>(f, $exp))
            }
            #[inline(always)]
            fn split(self) -> ($t, $t) {
                let (scale, less): ($t, $t) = $tiny;
                let tiny = self < $t::MIN_POSITIVE;
                let v = (if tiny { self * scale } else { self }).to_bits();
                let (one, root): ($bits, $t) = ((1.0 as $t).to_bits(), $root);
                let biased = v.wrapping_add(one).wrapping_sub(root.to_bits()) >> $digits;
                let m = $t::from_bits(v.wrapping_add(one).wrapping_sub(biased << $digits));
                (m, biased as i32 as $t - $bias + if tiny { less } else { 0.0 })
            }
            #[inline(always)]
            fn log_series<I: Isa>(self, half: $t) -> $t {
                let s = self / (self + 2.0);
                let z = s * s;
                s * (half + z * poly::<$t, I, _>(z, $log))
            }
            #[inline(always)]
            fn log<I: Isa>(self) -> $t {
                let x = self;
                let (m, e) = x.split();
                let f = m - 1.0;
                let half = f * f * 0.5;
                let (first, second): ($t, $t) = $log_ln2;
                let low = Float::mul_add::<I>(e, second, f.log_series::<I>(half));
                let y = Float::mul_add::<I>(e, first, -(half - low - f));
                let below = if x < 0.0 { $t::NAN } else { x };
                let edge = if x == 0.0 { -$t::INFINITY } else { below };
                if (x > 0.0) & (x < $t::INFINITY) { y } else { edge }
            }
        }
    };
}

/// `2^n (1 + tail)` for the low bits of `k`, which hold the integer n near x: all but a factor
/// 2^64 or 2^-64 goes into the exponent field, the rest is a product that overflows or underflows
/// as it should.
mod scaled {
    use super::{Float, Isa};

    /// 2^64
    const LARGE: f64 = 18_446_744_073_709_551_616.0;

    #[inline(always)]
    pub fn f32<I: Isa>(x: f32, k: f32, tail: f32) -> f32 {
        let rest = if x < 0.0 { 1.0 / LARGE as f32 } else { LARGE as f32 };
        let field = k.to_bits() << 23;
        let bits = field.wrapping_add(2 * 1_f32.to_bits()).wrapping_sub(rest.to_bits());
        let whole = f32::from_bits(bits);
        Float::mul_add::<I>(whole, tail, whole) * rest
    }

    #[inline(always)]
    pub fn f64<I: Isa>(x: f64, k: f64, tail: f64) -> f64 {
        let rest = if x < 0.0 { 1.0 / LARGE } else { LARGE };
        let field = k.to_bits() << 52;
        let bits = field.wrapping_add(2 * 1_f64.to_bits()).wrapping_sub(rest.to_bits());
        let whole = f64::from_bits(bits);
        Float::mul_add::<I>(whole, tail, whole) * rest
    }
}

float!(
    f32, u32, 23, false, F32,
    exp2: [
        std::f32::consts::LN_2, 0.240_226_45, 0.055_503_59, 0.009_618_834, 0.001_339_130_2,
        0.000_152_412_85,
    ],
    (-151.0, 129.0),
    exp2_f32,
    exp: [1.0, 0.499_999_9, 0.166_665_21, 0.041_668_963, 0.008_368_67, 0.001_378_246_5],
    (-105.0, 89.0),
    (0.693_115_23, 3.194_618_3e-5),
    exp_f32,
    log: [0.666_666_7, 0.399_995_5, 0.285_896_72, 0.225_757_88],
    (0.693_138_1, 9.058_001e-6),
    std::f32::consts::FRAC_1_SQRT_2,
    (16_777_216.0, -24.0),
    127.0
);

float!(
    f64, u64, 52, true, F64,
    exp2: [
        std::f64::consts::LN_2, 0.240_226_506_959_101_36, 0.055_504_108_664_822_33,
        0.009_618_129_107_592_587, 0.001_333_355_814_635_863_4, 0.000_154_035_304_587_545_44,
        1.525_273_382_889_338_2e-5, 1.321_543_456_316_610_4e-6, 1.017_807_659_831_869_4e-7,
        7.073_894_180_568_734_5e-9, 4.451_517_988_099_611e-10,
    ],
    (-1076.0, 1025.0),
    exp2_f64,
    exp: [
        1.0, 0.500_000_000_000_001_1, 0.166_666_666_666_664_24, 0.041_666_666_666_527_05,
        0.008_333_333_333_487_052, 0.001_388_888_894_431_367_7, 0.000_198_412_695_224_647_95,
        2.480_149_248_278_168e-5, 2.755_757_229_283_005_3e-6, 2.763_044_448_323_744_4e-7,
        2.500_448_967_744_857_4e-8,
    ],
    (-746.0, 710.0),
    (0.693_147_180_558_298_7, 1.646_594_958_289_708_2e-12),
    exp_f64,
    log: [
        0.666_666_666_666_667, 0.399_999_999_998_998_27, 0.285_714_286_259_392_16,
        0.222_222_111_340_871_58, 0.181_828_894_029_385_12, 0.153_317_084_237_107_38,
        0.146_166_397_714_146_83,
    ],
    (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10),
    std::f64::consts::FRAC_1_SQRT_2,
    (9_007_199_254_740_992.0, -53.0),
    1023.0
);

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Units of the last of `digits` places between two numbers.
    fn ulps(found: f64, right: f64, digits: i32, least: f64) -> f64 {
        let unit = (right.abs().log2().floor() - f64::from(digits)).exp2().max(least);
        (found - right).abs() / unit
    }

    fn check<T: Float, I: Isa>(digits: i32, least: f64, points: &[f64]) {
        type Case<T> = (&'static str, fn([T; GROUP]) -> [T; GROUP], fn(f64) -> f64);
        let cases: [Case<T>; 3] = [
            ("exp", T::exp_group::<I>, f64::exp),
            ("exp2", T::exp2_group::<I>, f64::exp2),
            ("log", |x| x.map(T::log::<I>), f64::ln),
        ];
        for (name, body, right) in cases {
            for (l, &x) in points.iter().enumerate() {
                let x = T::from_f64(x);
                let right = right(x.to_f64());
                let rounded = T::from_f64(right).to_f64();
                let mut group = [T::ONE; GROUP];
                group[l % GROUP] = x;
                let found = body(group)[l % GROUP].to_f64();
                if !rounded.is_finite() || rounded == 0.0 {
                    let same = found == rounded || (found.is_nan() && rounded.is_nan());
                    assert!(same, "{name}({x:?}) = {found}, not {right}");
                    continue;
                }
                let off = ulps(found, right, digits, least);
                assert!(off <= 2.0, "{name}({x:?}) = {found}, not {right}: {off} ulps");
            }
        }
    }

    fn points(most: f64) -> Vec<f64> {
        let many = if cfg!(miri) { 50 } else { 40_000 };
        let spread = (0..many).map(|k| (f64::from(k) / f64::from(many) * 2.0 - 1.0) * most);
        let small = (0..many).map(|k| (f64::from(k) * 0.01 - 150.0).exp2());
        let special = [0.0, -0.0, 1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        let least = [f64::MIN_POSITIVE, f64::from(f32::MIN_POSITIVE), 1e-40, 1e-310];
        let far = [most * 2.0, -most * 2.0, 1e30, -1e30, f64::MAX, f64::MIN];
        spread.chain(small).chain(special).chain(least).chain(far).collect()
    }

    /// Panics where a function of a level is further than 2 units from the right value.
    pub fn check_level<I: Isa>() {
        check::<f32, I>(23, f64::from(f32::from_bits(1)), &points(160.0));
        check::<f64, I>(52, f64::from_bits(1), &points(1100.0));
    }
}
