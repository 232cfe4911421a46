//! Which accumulators of a stage work block by block.
//!
//! In: a stage's sizes and accumulators. Out: answers for those that write types and lines. It
//! writes no text.

use crate::ir::{Accumulation, ExprId, Formula};
use crate::reduce::StateKind;
use crate::schedule::{CHAIN, Choice, Target, Wide, reduction, state_kind, weight};

/// Which accumulators work block by block: those of cuda_reduce.cuh, where the text writes blocks
/// of columns out and sums are flushed once a block, and wide ones.
#[derive(Clone, Copy)]
pub(super) struct Blocks<'a> {
    /// Whether there are any, on CUDA.
    pub any: bool,
    /// The accumulators whose sums are added up a block of columns at a time.
    wide: &'a [Wide],
    /// Rows times columns of a block.
    pub pairs: usize,
    /// Chains of additions that a block's sums have, and that join at its end.
    pub chains: usize,
    /// Values of at most this many components are written out.
    pub short: usize,
    /// How lists of values are told the column: those of a CPU keep what a block of columns gives.
    pub column: &'static str,
    /// Whether this is a CPU's.
    pub of_cpu: bool,
}

/// Most values of a block that a thread keeps in registers.
const MAX_KEPT: usize = 64;

/// Most components of an accumulator that are in registers for sure.
const MAX_UNDONE: usize = 8;

impl<'a> Blocks<'a> {
    pub fn new(f: &Formula, choice: &Choice, target: Target, wide: &'a [Wide]) -> Blocks<'a> {
        let any = target == Target::Cuda && choice.cols > 1 && f.acc == Accumulation::Blocked;
        let chains = if any { choice.cols.div_ceil(CHAIN) } else { 1 };
        let pairs = choice.rows_wide * choice.cols;
        let of_cpu = target == Target::Cpu;
        let column = if of_cpu { "tile, jj" } else { "tile + jj" };
        Blocks { any, wide, pairs, chains, short: choice.unroll, column, of_cpu }
    }

    /// Accumulator n, if it is wide.
    pub fn wide_of(self, n: usize) -> Option<&'a Wide> {
        self.wide.iter().find(|wide| wide.group == n)
    }

    /// Whether a search of E components keeps its values until the end of a block.
    pub fn keep(self, f: &Formula, group: &[ExprId]) -> bool {
        let r = reduction(f, group[0]);
        let searches = matches!(
            state_kind(f, group),
            StateKind::ArgMin | StateKind::ArgMax | StateKind::KMin | StateKind::KMax
        );
        self.any && searches && r.mask.is_none() && self.pairs * f.dim(r.args[0]) <= MAX_KEPT
    }

    /// Whether shifted sums are compared with their shift once a block. What is refused is done
    /// again, so that nothing of the stage may be in memory before its end.
    pub fn lag(self, f: &Formula, groups: &[Vec<ExprId>]) -> bool {
        let undone = |(n, group): (usize, &Vec<ExprId>)| match state_kind(f, group) {
            _ if self.wide_of(n).is_some() => true,
            StateKind::Sum | StateKind::Min | StateKind::Max | StateKind::ShiftedExp => {
                let weights = weight(f, group).map_or(0, |w| f.dim(w));
                weights + f.dim(reduction(f, group[0]).args[0]) <= MAX_UNDONE
            }
            _ => self.keep(f, group),
        };
        self.any && groups.iter().enumerate().all(undone)
    }

    /// The members of the accumulators that may refuse a block.
    pub fn refusing(self, f: &Formula, groups: &[Vec<ExprId>], watched: bool) -> Vec<String> {
        if !self.lag(f, groups) {
            return Vec::new();
        }
        let shifted = |n: &usize| state_kind(f, &groups[*n]) == StateKind::ShiftedExp;
        let names = (0..groups.len()).filter(shifted).map(|n| format!("a{n}"));
        names.chain(watched.then(|| "watch".into())).collect()
    }
}
