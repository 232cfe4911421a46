//! Instruction levels of CPU code. Goes in: what this CPU has. Comes out: which level to run.
//! It never changes what is computed.

use std::fmt;

use crate::error::Error;
use crate::kernel::Kernel;
use crate::{sys, words};

/// A set of CPU instructions that code was compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// x86-64-v2: SSE4.2.
    V2,
    /// x86-64-v3: AVX2 and FMA.
    V3,
    /// x86-64-v4: AVX-512 F, BW, CD, DQ and VL.
    V4,
    /// 64-bit ARM with NEON.
    Neon,
}

impl Level {
    /// Every level, in increasing order.
    pub const ALL: &'static [Level] = &[Level::V2, Level::V3, Level::V4, Level::Neon];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Level::V2 => "x86-64-v2",
            Level::V3 => "x86-64-v3",
            Level::V4 => "x86-64-v4",
            Level::Neon => "neon",
        }
    }

    /// Whether the CPU that runs this can run code of this level.
    pub fn is_supported(self) -> bool {
        supported(self)
    }

    pub(crate) const fn index(self) -> usize {
        (match self {
            Level::V2 => sys::TF_LEVEL_V2,
            Level::V3 => sys::TF_LEVEL_V3,
            Level::V4 => sys::TF_LEVEL_V4,
            Level::Neon => sys::TF_LEVEL_NEON,
        }) as usize
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The asked level, or the highest that both the CPU and every stage of the kernel have.
pub(crate) fn choose(kernel: &Kernel, asked: Option<Level>) -> Result<Level, Error> {
    let usable = |level: &Level| level.is_supported() && kernel.has_level(*level);
    match asked {
        Some(level) => Some(level).filter(usable),
        None => Level::ALL.iter().copied().rev().find(usable),
    }
    .ok_or_else(|| words::no_level(kernel, asked))
}

#[cfg(target_arch = "x86_64")]
fn supported(level: Level) -> bool {
    use std::arch::is_x86_feature_detected as has;
    let v2 = || has!("sse4.2") && has!("ssse3") && has!("popcnt") && has!("cmpxchg16b");
    let v3 = || {
        let vectors = has!("avx") && has!("avx2") && has!("fma") && has!("f16c");
        let bits = has!("bmi1") && has!("bmi2") && has!("lzcnt") && has!("movbe");
        vectors && bits && v2()
    };
    let v4 = || {
        let wide = has!("avx512f") && has!("avx512bw") && has!("avx512cd");
        wide && has!("avx512dq") && has!("avx512vl") && v3()
    };
    match level {
        Level::V2 => v2(),
        Level::V3 => v3(),
        Level::V4 => v4(),
        Level::Neon => false,
    }
}

#[cfg(target_arch = "aarch64")]
fn supported(level: Level) -> bool {
    level == Level::Neon && std::arch::is_aarch64_feature_detected!("neon")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn supported(_: Level) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn levels_include_the_lower_ones() {
        assert!(!Level::V4.is_supported() || Level::V3.is_supported());
        assert!(!Level::V3.is_supported() || Level::V2.is_supported());
        assert!(!Level::Neon.is_supported());
    }

    #[test]
    fn indices_fill_the_table() {
        let indices: Vec<usize> = Level::ALL.iter().map(|l| l.index()).collect();
        assert_eq!(indices, (0..sys::TF_LEVELS as usize).collect::<Vec<_>>());
    }
}
