//! How a call runs. Goes in: the caller's wishes. Comes out: a record of them. It never changes
//! the result beyond the choice of executor and level.

use std::ops::BitOr;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::level::Level;

/// Which executor may run a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// CUDA for large calls if there is a device and code for it, else the CPU. The report says
    /// which one ran, and why.
    #[default]
    Auto,
    /// The CPU only.
    Cpu,
    /// CUDA only: without a device the call is an error.
    Cuda,
}

/// Where code for an expression may come from; a set. What is allowed is tried from left to right:
/// linked, jit, interpreted.
///
/// ```
/// use tilefold::{Options, Tiers};
///
/// // An error, rather than a slower way, where a formula was not compiled ahead of time.
/// let frozen = Options::new().tiers(Tiers::LINKED);
/// let portable = Options::new().tiers(Tiers::LINKED | Tiers::INTERPRETED);
/// # let _ = (frozen, portable);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tiers(u8);

impl Tiers {
    /// Compiled ahead of time and linked, see `register`.
    pub const LINKED: Tiers = Tiers(1);
    /// Compiled by the machine's C++ compiler when it is first met; needs the feature `jit`.
    pub const JIT: Tiers = Tiers(2);
    /// Interpreted: always there, at about half the speed.
    pub const INTERPRETED: Tiers = Tiers(4);
    /// All of them: the default. Small calls are interpreted rather than compiled.
    pub const ALL: Tiers = Tiers(7);

    /// The set that a list names, as `linked,jit`.
    #[cfg(feature = "lazy")]
    pub(crate) fn named(list: &str) -> Option<Tiers> {
        let tier = |name: &str| match name.trim() {
            "linked" => Some(Tiers::LINKED),
            "jit" => Some(Tiers::JIT),
            "interpreted" => Some(Tiers::INTERPRETED),
            "all" => Some(Tiers::ALL),
            _ => None,
        };
        list.split(',').map(tier).try_fold(Tiers(0), |all, tier| Some(all | tier?))
    }

    #[cfg(feature = "lazy")]
    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    #[cfg(feature = "lazy")]
    pub(crate) fn of_bits(bits: u8) -> Tiers {
        Tiers(bits & Tiers::ALL.0)
    }

    /// Whether all of `other` is allowed.
    pub const fn contains(self, other: Tiers) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Tiers {
    type Output = Tiers;

    fn bitor(self, other: Tiers) -> Tiers {
        Tiers(self.0 | other.0)
    }
}

/// Wishes for one call.
///
/// ```
/// use std::sync::atomic::AtomicBool;
/// use tilefold::{Options, Policy};
///
/// let stop = AtomicBool::new(false);
/// let options = Options::new().threads(4).cancel(&stop).executor(Policy::Cpu);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    pub(crate) threads: Option<usize>,
    pub(crate) cancel: Option<&'a AtomicBool>,
    pub(crate) level: Option<Level>,
    pub(crate) policy: Policy,
    pub(crate) device: usize,
    pub(crate) tiers: Option<Tiers>,
}

impl<'a> Options<'a> {
    /// All CPU threads, no cancellation, the best level, [`Policy::Auto`], CUDA device 0.
    pub fn new() -> Options<'a> {
        Options::default()
    }

    /// How many CPU threads may work; 0 is all of rayon's current pool. The result does not
    /// depend on it.
    pub fn threads(mut self, threads: usize) -> Options<'a> {
        self.threads = Some(threads).filter(|&n| n > 0);
        self
    }

    /// A flag that stops the call soon after it becomes true. The call is then an error, and its
    /// outputs hold numbers without meaning. Launched CUDA work runs to the end of its stage.
    pub fn cancel(mut self, flag: &'a AtomicBool) -> Options<'a> {
        self.cancel = Some(flag);
        self
    }

    /// The instruction level to use, instead of the best one.
    pub fn level(mut self, level: Level) -> Options<'a> {
        self.level = Some(level);
        self
    }

    /// Which executor may run the call.
    pub fn executor(mut self, policy: Policy) -> Options<'a> {
        self.policy = policy;
        self
    }

    /// The CUDA device, counted from 0.
    pub fn device(mut self, ordinal: usize) -> Options<'a> {
        self.device = ordinal;
        self
    }

    /// Where code for an expression may come from, instead of what `allow` says for the whole
    /// program. Kernels that are called directly are there already.
    pub fn tiers(mut self, tiers: Tiers) -> Options<'a> {
        self.tiers = Some(tiers);
        self
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}
