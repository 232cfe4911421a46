//! What this core can do at most: multiply-adds a second and bytes read a second.
//!
//! In: an instruction level. Out: rates. It knows nothing of formulas.

use std::hint::black_box;

use tilefold::Level;

use crate::seconds;

/// Independent sums: enough to hide the latency of two units of four cycles.
const SUMS: usize = 12;
const STEPS: usize = 20_000_000;

#[cfg(target_arch = "x86_64")]
macro_rules! multiply_adds {
    ($name:ident, $feature:literal, $set:path, $fma:path) => {
        #[target_feature(enable = $feature)]
        fn $name() {
            let (a, b) = ($set(black_box(0.999)), $set(black_box(0.001)));
            let mut sums = [$set(1.0); SUMS];
            for _ in 0..STEPS {
                sums.iter_mut().for_each(|sum| *sum = $fma(*sum, a, b));
            }
            black_box(sums);
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod loops {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    use super::{STEPS, SUMS};

    multiply_adds!(f32_v4, "avx512f", _mm512_set1_ps, _mm512_fmadd_ps);
    multiply_adds!(f64_v4, "avx512f", _mm512_set1_pd, _mm512_fmadd_pd);
    multiply_adds!(f32_v3, "avx2,fma", _mm256_set1_ps, _mm256_fmadd_ps);
    multiply_adds!(f64_v3, "avx2,fma", _mm256_set1_pd, _mm256_fmadd_pd);

    /// Runs the loop of a level; says how many lanes a vector has.
    pub fn run(level: super::Level, double: bool) -> Option<f64> {
        if !level.is_supported() {
            return None;
        }
        // SAFETY: the level is supported, which includes the features of its loops.
        unsafe {
            match (level, double) {
                (super::Level::V4, false) => f32_v4(),
                (super::Level::V4, true) => f64_v4(),
                (super::Level::V3, false) => f32_v3(),
                (super::Level::V3, true) => f64_v3(),
                _ => return None,
            }
        }
        Some(if level == super::Level::V4 { 16.0 } else { 8.0 } / if double { 2.0 } else { 1.0 })
    }
}

/// Multiply-adds of scalars a second on one core, where the level has them.
pub fn multiply_adds(level: Level, double: bool) -> Option<f64> {
    #[cfg(not(target_arch = "x86_64"))]
    let run = |_, _| -> Option<f64> { None };
    #[cfg(target_arch = "x86_64")]
    let run = loops::run;
    let once = || {
        let start = seconds();
        run(level, double).map(|lanes| lanes * (SUMS * STEPS) as f64 / (seconds() - start))
    };
    // The best of three: what a busy neighbour takes away is no limit.
    (0..3).filter_map(|_| once()).reduce(f64::max)
}

/// Bytes a second that one core reads from memory.
pub fn bandwidth() -> f64 {
    let data = vec![1_u64; 32 << 20];
    let once = || {
        let start = seconds();
        black_box(black_box(&data).iter().fold(0_u64, |sum, &n| sum.wrapping_add(n)));
        (data.len() * size_of::<u64>()) as f64 / (seconds() - start)
    };
    (0..3).map(|_| once()).fold(0.0, f64::max)
}
