//! Instruction levels. Goes in: a program and what it runs on. Comes out: the same, run by code
//! that was compiled for the level. This is the only place of the interpreter that needs `unsafe`:
//! a function that uses instructions which not every processor has.

use super::exec::{self, Machine};
use super::math::Float;
use super::program::Code;
use crate::level::Level;

/// Runs a program on one tile, at a level that the processor supports; `None` is what every
/// processor has.
pub(super) fn run<T: Float>(level: Option<Level>, code: &Code<T>, m: &mut Machine<'_, T>) {
    debug_assert!(level.is_none_or(Level::is_supported), "callers look first");
    match level {
        // SAFETY: `Interpreted::run` took the level from those that are supported.
        #[cfg(target_arch = "x86_64")]
        Some(Level::V4) => unsafe { v4(code, m) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Some(Level::V3) => unsafe { v3(code, m) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Some(Level::V2) => unsafe { v2(code, m) },
        // 64-bit ARM always has NEON, which has fused products.
        _ => exec::run::<T, { cfg!(target_arch = "aarch64") }>(code, m),
    }
}

/// One function a level.
#[cfg(target_arch = "x86_64")]
macro_rules! levels {
    ($($name:ident, $fma:literal, $features:literal;)*) => {
        $(
            #[target_feature(enable = $features)]
            fn $name<T: Float>(code: &Code<T>, m: &mut Machine<'_, T>) {
                exec::run::<T, $fma>(code, m);
            }
        )*
    };
}

#[cfg(target_arch = "x86_64")]
levels! {
    v2, false, "sse4.2,ssse3,popcnt";
    v3, true, "avx2,fma,f16c,bmi1,bmi2,lzcnt,movbe,popcnt";
    v4, true, "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,lzcnt,popcnt";
}
