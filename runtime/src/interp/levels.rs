//! Instruction levels. Goes in: a program and what it runs on. Comes out: the same, run by code
//! that was compiled for the level. This is the only place of the interpreter that needs `unsafe`:
//! for functions with instructions that not every processor has.

use super::curves::{self, Curve, Lanes};
use super::exec::{self, Machine};
use super::math::{Float, Four, Isa};
use super::program::Code;
use crate::level::Level;

/// What every processor has.
pub(super) struct Plain;

impl Isa for Plain {
    // 64-bit ARM always has NEON, which has fused products.
    const FMA: bool = cfg!(target_arch = "aarch64");
    // Four numbers may take two registers.
    const REGISTERS: usize = 8;
    type F32 = Four<f32>;
    type F64 = Four<f64>;

    fn curve(curve: Curve, x: &mut Lanes, y: &Lanes) {
        curves::run::<Plain>(curve, x, y);
    }
}

/// Runs a program on one tile, at a level that the processor supports; `None` is what every
/// processor has.
pub(super) fn run<T: Float>(level: Option<Level>, code: &Code<T>, m: &mut Machine<'_, T>) {
    debug_assert!(level.is_none_or(Level::is_supported), "callers look first");
    match level {
        // SAFETY: `Interpreted::run` took the level from those that are supported.
        #[cfg(all(target_arch = "x86_64", not(test)))]
        Some(Level::V4) => unsafe { v4(code, m) },
        // SAFETY: as above.
        #[cfg(all(target_arch = "x86_64", not(test)))]
        Some(Level::V3) => unsafe { v3(code, m) },
        // SAFETY: as above.
        #[cfg(all(target_arch = "x86_64", not(test)))]
        Some(Level::V2) => unsafe { v2(code, m) },
        _ => exec::run::<T, Plain>(code, m),
    }
}

/// One function a level. The tests inside this crate are of other things, and compile what every
/// processor has: each level takes the compiler as long as the rest of the crate.
#[cfg(all(target_arch = "x86_64", not(test)))]
macro_rules! levels {
    ($($name:ident, $isa:ty, $features:literal;)*) => {
        $(
            #[target_feature(enable = $features)]
            fn $name<T: Float>(code: &Code<T>, m: &mut Machine<'_, T>) {
                exec::run::<T, $isa>(code, m);
            }
        )*
    };
}

#[cfg(all(target_arch = "x86_64", not(test)))]
levels! {
    v2, Plain, "sse4.2,ssse3,popcnt";
    v3, wide::V3, "avx2,fma,f16c,bmi1,bmi2,lzcnt,movbe,popcnt";
    v4, wide::V4, "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,lzcnt,popcnt";
}

/// Levels 3 and 4. Exponentials of level 4 take instructions of AVX-512 that the Rust compiler does
/// not find, as in `templates/include/tf_math.h`.
#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::asm;
    use std::arch::x86_64::*;
    use std::mem::transmute;

    use super::super::curves::{self, Curve, Lanes};
    use super::super::exec::{chunk, chunk_mut};
    use super::super::math::{GROUP, Isa, Vector};

    /// Level 3. Only `super::v3`, and tests that ask for the level first, name it.
    pub struct V3;

    /// Level 4. Only `super::v4`, and tests that ask for the level first, name it.
    pub struct V4;

    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    fn curve_3(curve: Curve, x: &mut Lanes, y: &Lanes) {
        curves::run::<V3>(curve, x, y);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,bmi1,bmi2")]
    fn curve_4(curve: Curve, x: &mut Lanes, y: &Lanes) {
        curves::run::<V4>(curve, x, y);
    }

    impl Isa for V3 {
        const FMA: bool = true;
        const REGISTERS: usize = 16;
        type F32 = Eight;
        type F64 = Quad;

        fn curve(curve: Curve, x: &mut Lanes, y: &Lanes) {
            // SAFETY: who names this type knows that the processor has the level.
            unsafe { curve_3(curve, x, y) }
        }
    }

    /// A vector register of a level, which only that level's type names.
    macro_rules! vectors {
        ($($name:ident = $t:ident x $width:literal, $register:ident, $own:ident,
            $load:ident, $store:ident, $splat:ident, $add:ident, $sub:ident, $and:ident,
            $fma:ident;)*) => {
            $(
                #[derive(Clone, Copy)]
                pub struct $name($register);

                impl Vector<$t> for $name {
                    const WIDTH: usize = $width;
                    const ZERO: $name = {
                        let zeros = [0 as $t; $width];
                        // SAFETY: as many bits, any of which are numbers.
                        $name(unsafe { transmute::<[$t; $width], $register>(zeros) })
                    };

                    #[inline(always)]
                    fn load(from: &[$t]) -> $name {
                        let from: &[$t; $width] = chunk(from, 0);
                        // SAFETY: as many numbers; who names the level knows that the processor
                        // has it.
                        $name(unsafe { $load(from.as_ptr()) })
                    }
                    #[inline(always)]
                    fn store(self, to: &mut [$t]) {
                        let to: &mut [$t; $width] = chunk_mut(to, 0);
                        // SAFETY: as for `load`.
                        unsafe { $store(to.as_mut_ptr(), self.0) }
                    }
                    #[inline(always)]
                    fn splat(from: &$t) -> $name {
                        // SAFETY: as for `load`.
                        $name(unsafe { $splat(*$own(from)) })
                    }
                    #[inline(always)]
                    fn add(self, b: $name) -> $name {
                        // SAFETY: as for `load`.
                        $name(unsafe { $add(self.0, b.0) })
                    }
                    #[inline(always)]
                    fn sub(self, b: $name) -> $name {
                        // SAFETY: as for `load`.
                        $name(unsafe { $sub(self.0, b.0) })
                    }
                    #[inline(always)]
                    fn abs(self) -> $name {
                        let all_but_sign = $t::from_bits(!(-(0 as $t)).to_bits());
                        // SAFETY: as for `load`.
                        $name(unsafe { $and(self.0, $splat(all_but_sign)) })
                    }
                    #[inline(always)]
                    fn mul_add(self, b: $name, c: $name) -> $name {
                        // SAFETY: as for `load`.
                        $name(unsafe { $fma(self.0, b.0, c.0) })
                    }
                }
            )*
        };
    }

    vectors! {
        Eight = f32 x 8, __m256, shared, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps,
            _mm256_add_ps, _mm256_sub_ps, _mm256_and_ps, _mm256_fmadd_ps;
        Quad = f64 x 4, __m256d, shared, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_set1_pd,
            _mm256_add_pd, _mm256_sub_pd, _mm256_and_pd, _mm256_fmadd_pd;
        Sixteen = f32 x 16, __m512, own, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps,
            _mm512_add_ps, _mm512_sub_ps, _mm512_and_ps, _mm512_fmadd_ps;
        Octet = f64 x 8, __m512d, own, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_set1_pd,
            _mm512_add_pd, _mm512_sub_pd, _mm512_and_pd, _mm512_fmadd_pd;
    }

    /// Instructions share a register that holds the number.
    #[inline(always)]
    fn shared<T>(number: &T) -> &T {
        number
    }

    /// An instruction of AVX-512 repeats a number in memory for nothing, but a register that
    /// several share takes one more, on the pipes of additions. So each reads through a pointer of
    /// its own, as far as the compiler knows. Worth 25 % of squared distances on Zen 4.
    #[inline(always)]
    fn own<T>(number: &T) -> &T {
        let mut at: *const T = number;
        // SAFETY: there is no instruction, and the pointer stays as it is.
        unsafe {
            asm!("/* {0} */", inout(reg) at, options(readonly, nostack, preserves_flags));
            &*at
        }
    }

    /// `2^(n / 32)`.
    const STEPS_F32: [u32; 32] = [
        0x3f80_0000,
        0x3f82_cd87,
        0x3f85_aac3,
        0x3f88_980f,
        0x3f8b_95c2,
        0x3f8e_a43a,
        0x3f91_c3d3,
        0x3f94_f4f0,
        0x3f98_37f0,
        0x3f9b_8d3a,
        0x3f9e_f532,
        0x3fa2_7043,
        0x3fa5_fed7,
        0x3fa9_a15b,
        0x3fad_583f,
        0x3fb1_23f6,
        0x3fb5_04f3,
        0x3fb8_fbaf,
        0x3fbd_08a4,
        0x3fc1_2c4d,
        0x3fc5_672a,
        0x3fc9_b9be,
        0x3fce_248c,
        0x3fd2_a81e,
        0x3fd7_44fd,
        0x3fdb_fbb8,
        0x3fe0_ccdf,
        0x3fe5_b907,
        0x3fea_c0c7,
        0x3fef_e4ba,
        0x3ff5_257d,
        0x3ffa_83b3,
    ];

    /// `2^(n / 16)`.
    const STEPS_F64: [u64; 16] = [
        0x3ff0_0000_0000_0000,
        0x3ff0_b558_6cf9_890f,
        0x3ff1_72b8_3c7d_517b,
        0x3ff2_387a_6e75_6238,
        0x3ff3_06fe_0a31_b715,
        0x3ff3_dea6_4c12_3422,
        0x3ff4_bfda_d536_2a27,
        0x3ff5_ab07_dd48_5429,
        0x3ff6_a09e_667f_3bcd,
        0x3ff7_a114_73eb_0187,
        0x3ff8_ace5_422a_a0db,
        0x3ff9_c491_82a3_f090,
        0x3ffa_e89f_995a_d3ad,
        0x3ffc_199b_dd85_529c,
        0x3ffd_5818_dcfb_a487,
        0x3ffe_a4af_a2a4_90da,
    ];

    /// Adding them leaves multiples of 1/32 and of 1/16.
    const ROUNDER_F32: f32 = (3 << 22) as f32 / 32.0;
    const ROUNDER_F64: f64 = (3_i64 << 51) as f64 / 16.0;

    /// Lanes of a vector.
    type Floats = [f32; 16];
    type Doubles = [f64; 8];

    /// `2^n (1 + tail)` for the low bits of `k`, which hold n in steps of 1/32.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn scale_f32(n: __m512, k: __m512, tail: __m512) -> __m512 {
        // SAFETY: 32 numbers are two vectors of 16.
        let [low, high]: [__m512; 2] = unsafe { transmute(STEPS_F32) };
        let step = _mm512_permutex2var_ps(low, _mm512_castps_si512(k), high);
        _mm512_scalef_ps(_mm512_fmadd_ps(step, tail, step), n)
    }

    /// As [`scale_f32`], in steps of 1/16.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn scale_f64(n: __m512d, k: __m512d, tail: __m512d) -> __m512d {
        // SAFETY: 16 numbers are two vectors of 8.
        let [low, high]: [__m512d; 2] = unsafe { transmute(STEPS_F64) };
        let step = _mm512_permutex2var_pd(low, _mm512_castpd_si512(k), high);
        _mm512_scalef_pd(_mm512_fmadd_pd(step, tail, step), n)
    }

    /// `c[0] + c[1] x + c[2] x^2 + ...`
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn poly_f64<const N: usize>(x: __m512d, c: [f64; N]) -> __m512d {
        let mut sum = _mm512_set1_pd(c[N - 1]);
        let mut k = N - 1;
        while k > 0 {
            k -= 1;
            sum = _mm512_fmadd_pd(sum, x, _mm512_set1_pd(c[k]));
        }
        sum
    }

    /// Infinities leave no fraction and need no bounds.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    fn exp2_f32(x: Floats) -> Floats {
        // SAFETY: 16 numbers are a vector of 16.
        let x: __m512 = unsafe { transmute(x) };
        let f = _mm512_reduce_ps::<0x59>(x);
        let k = _mm512_add_round_ps::<DOWN>(x, _mm512_set1_ps(ROUNDER_F32));
        let slope = _mm512_set1_ps(0.693_123_76);
        let tail = _mm512_mul_ps(f, _mm512_fmadd_ps(f, _mm512_set1_ps(0.242_652_7), slope));
        // SAFETY: as above.
        unsafe { transmute(scale_f32(x, k, tail)) }
    }

    /// Rounds down and raises no exception.
    const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    fn exp2_f64(x: Doubles) -> Doubles {
        // SAFETY: 8 numbers are a vector of 8.
        let x: __m512d = unsafe { transmute(x) };
        let f = _mm512_reduce_pd::<0x49>(x);
        let k = _mm512_add_round_pd::<DOWN>(x, _mm512_set1_pd(ROUNDER_F64));
        let series = [
            0.693_147_180_559_937_7,
            0.240_226_506_961_464_05,
            0.055_504_108_419_490_98,
            0.009_618_140_804_573_431,
            0.001_333_074_204_343_808_4,
            0.000_157_362_932_051_217_27,
        ];
        let tail = _mm512_mul_pd(f, poly_f64(f, series));
        // SAFETY: as above.
        unsafe { transmute(scale_f64(x, k, tail)) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    fn exp_f32(x: Floats) -> Floats {
        // SAFETY: 16 numbers are a vector of 16.
        let x: __m512 = unsafe { transmute(x) };
        let rounder = _mm512_set1_ps(ROUNDER_F32);
        let k = _mm512_fmadd_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E), rounder);
        let n = _mm512_sub_ps(k, rounder);
        // log 2 in two parts, n times the first exact
        let f = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693_115_23), x);
        let f = _mm512_fnmadd_ps(n, _mm512_set1_ps(3.194_618_3e-5), f);
        // Where n alone decides, f may be anything: at most 1 in magnitude, also for NaN.
        let f = _mm512_range_ps::<2>(f, _mm512_set1_ps(1.0));
        let slope = _mm512_set1_ps(1.000_014_8);
        let tail = _mm512_mul_ps(f, _mm512_fmadd_ps(f, _mm512_set1_ps(0.500_011_1), slope));
        // SAFETY: as above.
        unsafe { transmute(scale_f32(n, k, tail)) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    fn exp_f64(x: Doubles) -> Doubles {
        // SAFETY: 8 numbers are a vector of 8.
        let x: __m512d = unsafe { transmute(x) };
        let rounder = _mm512_set1_pd(ROUNDER_F64);
        let k = _mm512_fmadd_pd(x, _mm512_set1_pd(std::f64::consts::LOG2_E), rounder);
        let n = _mm512_sub_pd(k, rounder);
        let f = _mm512_fnmadd_pd(n, _mm512_set1_pd(0.693_147_180_558_298_7), x);
        let f = _mm512_fnmadd_pd(n, _mm512_set1_pd(1.646_594_958_289_708_2e-12), f);
        let f = _mm512_range_pd::<2>(f, _mm512_set1_pd(1.0));
        let series = [
            1.0,
            0.499_999_999_999_996_1,
            0.166_666_666_644_016_66,
            0.041_666_666_692_745_116,
            0.008_333_472_422_249_244,
            0.001_388_860_294_593_629_9,
        ];
        let tail = _mm512_mul_pd(f, poly_f64(f, series));
        // SAFETY: as above.
        unsafe { transmute(scale_f64(n, k, tail)) }
    }

    /// Both halves of a group.
    #[inline(always)]
    fn halves(x: [f64; GROUP]) -> [Doubles; 2] {
        // SAFETY: 16 numbers are twice 8.
        unsafe { transmute(x) }
    }

    /// A group of two halves.
    #[inline(always)]
    fn joined(x: [Doubles; 2]) -> [f64; GROUP] {
        // SAFETY: as for `halves`.
        unsafe { transmute(x) }
    }

    impl Isa for V4 {
        const FMA: bool = true;
        const REGISTERS: usize = 32;
        type F32 = Sixteen;
        type F64 = Octet;

        fn curve(curve: Curve, x: &mut Lanes, y: &Lanes) {
            // SAFETY: who names this type knows that the processor has the level.
            unsafe { curve_4(curve, x, y) }
        }

        #[inline(always)]
        fn exp2_f32(x: Floats) -> Floats {
            // SAFETY: as above.
            unsafe { exp2_f32(x) }
        }
        #[inline(always)]
        fn exp_f32(x: Floats) -> Floats {
            // SAFETY: as above.
            unsafe { exp_f32(x) }
        }
        #[inline(always)]
        fn exp2_f64(x: [f64; GROUP]) -> [f64; GROUP] {
            let [a, b] = halves(x);
            // SAFETY: as above.
            joined(unsafe { [exp2_f64(a), exp2_f64(b)] })
        }
        #[inline(always)]
        fn exp_f64(x: [f64; GROUP]) -> [f64; GROUP] {
            let [a, b] = halves(x);
            // SAFETY: as above.
            joined(unsafe { [exp_f64(a), exp_f64(b)] })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{curves, math};
    use super::*;

    fn check<I: Isa>() {
        math::tests::check_level::<I>();
        curves::tests::check_level::<I>();
    }

    #[test]
    fn functions_of_every_level_are_near_what_they_mean() {
        check::<Plain>();
        #[cfg(target_arch = "x86_64")]
        {
            if Level::V3.is_supported() {
                check::<wide::V3>();
            }
            if Level::V4.is_supported() {
                check::<wide::V4>();
            }
        }
    }
}
