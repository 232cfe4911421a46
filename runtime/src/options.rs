//! How a call runs. Goes in: the caller's wishes. Comes out: a record of them. It never changes
//! the result beyond the choice of executor and level.

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

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}
