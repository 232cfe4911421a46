//! What ran. Goes in: facts measured by an executor. Comes out: a record with a short print. It
//! never influences a run.

use std::borrow::Cow;
use std::fmt;

use crate::level::Level;

/// Where a call ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Executor {
    /// On the CPU, with code of the given level.
    Cpu(Level),
    /// On the CPU, by the interpreter.
    Interpreted,
    /// On the CUDA device of the given number.
    Cuda(usize),
}

impl fmt::Display for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Executor::Cpu(level) => write!(f, "cpu {level}"),
            Executor::Interpreted => f.write_str("cpu interpreted"),
            Executor::Cuda(device) => write!(f, "cuda:{device}"),
        }
    }
}

/// Where the code of a call came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// It was compiled ahead of time and linked.
    Linked,
    /// The machine's C++ compiler made it, in this process or an earlier one.
    Jit,
    /// There is none: the formula was interpreted.
    Interpreted,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tier::Linked => "linked",
            Tier::Jit => "jit",
            Tier::Interpreted => "interpreted",
        })
    }
}

/// What one stage did.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct StageReport {
    /// Rows of the results, of one item where there are batch dimensions.
    pub rows: usize,
    /// Columns that were reduced; 1 if nothing was.
    pub cols: usize,
    /// Rows times columns, or as many of these pairs as ranges leave, of all items.
    pub pairs: u64,
    /// Wall time, since the end of the stage before or the start of the call.
    pub seconds: f64,
    /// Operations, by the count of the schedule.
    pub ops: f64,
}

impl StageReport {
    pub(crate) fn new(
        (rows, cols, pairs): (usize, usize, u64),
        pair_ops: f64,
        seconds: f64,
    ) -> StageReport {
        StageReport { rows, cols, pairs, seconds, ops: pairs as f64 * pair_ops }
    }
}

/// What a call did.
///
/// It prints as a line for the call and a line for each stage:
///
/// ```text
/// cpu x86-64-v4, linked: 12.41 ms
///   10000 x 10000: 1.00e8 pairs, 12.30 ms, 8.13 Gpairs/s, 97.6 Gop/s
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Where it ran.
    pub executor: Executor,
    /// Where its code came from.
    pub tier: Tier,
    /// Seconds that it took to find or to make the code, before the call.
    pub prepared: f64,
    /// Every stage, in order.
    pub stages: Vec<StageReport>,
    /// Wall time of the whole call.
    pub seconds: f64,
    /// Why a way was not taken that the options would have let and this machine has: CUDA, or
    /// compiled code.
    pub note: Option<Cow<'static, str>>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {:.2} ms", self.executor, self.tier, self.seconds * 1e3)?;
        if self.prepared > 0.0 {
            write!(f, " after {:.2} ms for the code", self.prepared * 1e3)?;
        }
        if let Some(note) = &self.note {
            write!(f, " ({note})")?;
        }
        self.stages.iter().try_for_each(|stage| write!(f, "\n  {stage}"))
    }
}

impl fmt::Display for StageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StageReport { rows, cols, pairs, seconds, ops } = self;
        write!(f, "{rows} x {cols}: {:.2e} pairs, {:.2} ms", *pairs as f64, seconds * 1e3)?;
        if *seconds > 0.0 {
            let giga = 1e9 * seconds;
            write!(f, ", {:.2} Gpairs/s, {:.1} Gop/s", *pairs as f64 / giga, ops / giga)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_a_line_a_stage() {
        let mut report = Report {
            executor: Executor::Cpu(Level::V4),
            tier: Tier::Linked,
            prepared: 0.0,
            stages: vec![StageReport::new((10_000, 10_000, 100_000_000), 12.0, 0.0125)],
            seconds: 0.0126,
            note: None,
        };
        let stage = "10000 x 10000: 1.00e8 pairs, 12.50 ms, 8.00 Gpairs/s, 96.0 Gop/s";
        assert_eq!(report.to_string(), format!("cpu x86-64-v4, linked: 12.60 ms\n  {stage}"));
        report.note = Some("no CUDA driver".into());
        assert!(
            report.to_string().starts_with("cpu x86-64-v4, linked: 12.60 ms (no CUDA driver)\n")
        );
        let empty = StageReport::new((0, 5, 0), 1.0, 0.0);
        assert_eq!(empty.to_string(), "0 x 5: 0.00e0 pairs, 0.00 ms");
    }
}
