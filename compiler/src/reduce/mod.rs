//! The table of reductions: one room per fold over an axis.
//!
//! A reduction is a monoid with typed state: neutral element, lift, merge, finish. The state and
//! its four functions are C++ in `templates/include/reduce.h`, shared by every target; this table
//! holds what the compiler must know: names, shapes, meaning in float64, the gradient of the
//! finished value, and how its state is spelled.
//!
//! What goes in: nothing. What comes out: constants. Row numbers are 64-bit integers, never
//! floats; ties go to the lowest row.

mod extrema;
mod kmin;
mod logsumexp;
mod sum;

use crate::ir::{ExprId, Formula, Reduction};

/// Which fold a reduction node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the room documents the reduction")]
pub enum Reducer {
    Sum,
    Min,
    Max,
    ArgMin,
    ArgMax,
    KMin,
    ArgKMin,
    LogSumExp,
    LogSumExpWeight,
    SoftMaxSum,
    SumShiftExp,
}

impl Reducer {
    /// Every reduction, in the order of the documentation.
    pub const ALL: &[Reducer] = &[
        Reducer::Sum,
        Reducer::Min,
        Reducer::Max,
        Reducer::ArgMin,
        Reducer::ArgMax,
        Reducer::KMin,
        Reducer::ArgKMin,
        Reducer::LogSumExp,
        Reducer::LogSumExpWeight,
        Reducer::SoftMaxSum,
        Reducer::SumShiftExp,
    ];

    /// The reduction's room.
    pub fn def(self) -> &'static ReduceDef {
        match self {
            Reducer::Sum => &sum::SUM,
            Reducer::Min => &extrema::MIN,
            Reducer::Max => &extrema::MAX,
            Reducer::ArgMin => &extrema::ARG_MIN,
            Reducer::ArgMax => &extrema::ARG_MAX,
            Reducer::KMin => &kmin::KMIN,
            Reducer::ArgKMin => &kmin::ARG_KMIN,
            Reducer::LogSumExp => &logsumexp::LOG_SUM_EXP,
            Reducer::LogSumExpWeight => &logsumexp::LOG_SUM_EXP_WEIGHT,
            Reducer::SoftMaxSum => &logsumexp::SOFT_MAX_SUM,
            Reducer::SumShiftExp => &logsumexp::SUM_SHIFT_EXP,
        }
    }
}

/// Everything known of one reduction.
pub struct ReduceDef {
    /// Spelling in formula files, before `[j]`.
    pub name: &'static str,
    /// One sentence: what it computes, and what an empty set gives.
    pub doc: &'static str,
    /// Number of arguments: 1, or 2 where a weight is taken.
    pub arity: usize,
    /// Whether `k` is given, as in `kmin[j; 10]`.
    pub takes_k: bool,
    /// Whether the result is row numbers.
    pub index: bool,
    /// Dims of the arguments and `k` to the dim of the result, or why they do not fit.
    pub shape: fn(&[usize], usize) -> Result<usize, String>,
    /// Fewest rows for which the result exists, given `k`; fewer are an error at the call.
    pub least_rows: fn(usize) -> usize,
    /// The meaning in float64: `rows` holds, for each row that the mask lets pass, its number and
    /// its arguments, in increasing order of the number. Row numbers are written as f64.
    pub eval: fn(&[Row], usize, &mut [f64]),
    /// The vector-Jacobian product of the finished value.
    pub grad: ReduceGrad,
    /// The accumulator in `reduce.h` and the field of its finished value.
    pub emit: ReduceEmit,
}

/// One row that a reduction folds.
pub struct Row {
    /// Its number along the reduced axis.
    pub index: i64,
    /// Its arguments.
    pub args: Vec<Vec<f64>>,
}

/// The derivative of a reduction.
pub enum ReduceGrad {
    /// Adjoints of the arguments, at each pair, given the reduction, its finished value and the
    /// adjoint of that value. The sweep applies the mask.
    Vjp(fn(&mut Formula, &Reduction, ExprId, ExprId) -> Vec<Option<ExprId>>),
    /// Row numbers: the derivative is zero.
    Zero,
    /// There is none yet; the text says what to use instead.
    None(&'static str),
}

/// How emitted C++ spells a reduction.
///
/// Reductions of one stage with the same accumulator, arguments and mask share one state.
pub struct ReduceEmit {
    /// The state in `reduce.h`.
    pub state: StateKind,
    /// Which finished field of the state is this reduction's value.
    pub field: u32,
}

/// The states of `reduce.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StateKind {
    /// Sum in blocks, with totals in more digits.
    Sum,
    /// Smallest value, NaN first.
    Min,
    /// Largest value, NaN first.
    Max,
    /// Smallest value and its row; field 0 is the value, field 1 the row.
    ArgMin,
    /// Largest value and its row; field 0 is the value, field 1 the row.
    ArgMax,
    /// The k smallest values and their rows; field 0 is the values, field 1 the rows.
    KMin,
    /// Running maximum and shifted sums of exp(x) and, where there is a weight, of exp(x) w. Field
    /// 0: log of the plain sum; 1: the plain sum; 2: log of the weighted sums; 3: the weighted sums
    /// divided by the plain one.
    ShiftedExp,
}

impl StateKind {
    /// Whether the state holds sums, which [`crate::ir::Accumulation`] is about.
    pub fn sums(self) -> bool {
        match self {
            StateKind::Sum | StateKind::ShiftedExp => true,
            StateKind::Min
            | StateKind::Max
            | StateKind::ArgMin
            | StateKind::ArgMax
            | StateKind::KMin => false,
        }
    }

    /// The state that can stand in for this one: a search for the smallest value and its row also
    /// has the value.
    pub fn family(self) -> StateKind {
        match self {
            StateKind::Min => StateKind::ArgMin,
            StateKind::Max => StateKind::ArgMax,
            other => other,
        }
    }
}
