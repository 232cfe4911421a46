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
mod moments;
mod prod;
mod sum;
#[cfg(test)]
mod tests;
mod truth;

use crate::ir::{ExprId, Formula, Reduction};

/// Calls the macro `$m` with the list of reductions, in the order of the documentation.
///
/// One line a reduction: variant = room. The room's `name` is the spelling in formula files; the
/// grammar (`front/parse/formula.pest`) has to know it too, which a test checks.
macro_rules! for_each_reducer {
    ($m:ident) => {
        $m! {
            Sum = sum::SUM, Mean = moments::MEAN, Var = moments::VAR, Prod = prod::PROD,
            Min = extrema::MIN, Max = extrema::MAX,
            ArgMin = extrema::ARG_MIN, ArgMax = extrema::ARG_MAX,
            KMin = kmin::KMIN, ArgKMin = kmin::ARG_KMIN,
            KMax = kmin::KMAX, ArgKMax = kmin::ARG_KMAX,
            LogSumExp = logsumexp::LOG_SUM_EXP, LogSumExpWeight = logsumexp::LOG_SUM_EXP_WEIGHT,
            SoftMaxSum = logsumexp::SOFT_MAX_SUM,
            SoftArgMin = logsumexp::SOFT_ARG_MIN, SoftArgMax = logsumexp::SOFT_ARG_MAX,
            SumShiftExp = logsumexp::SUM_SHIFT_EXP,
            SumShiftExpWeight = logsumexp::SUM_SHIFT_EXP_WEIGHT,
            Any = truth::ANY, All = truth::ALL, Count = truth::COUNT,
        }
    };
}

macro_rules! make_enum {
    ($($variant:ident = $family:ident :: $room:ident,)*) => {
        /// Which fold a reduction node is. What it means is in its room, see [`Reducer::def`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the room documents the reduction")]
        pub enum Reducer { $($variant,)* }

        impl Reducer {
            /// Every reduction, in the order of the documentation.
            pub const ALL: &[Reducer] = &[$(Reducer::$variant,)*];

            /// The reduction's room.
            pub fn def(self) -> &'static ReduceDef {
                match self { $(Reducer::$variant => &$family::$room,)* }
            }
        }
    };
}
for_each_reducer!(make_enum);

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
    /// Whether the result is 64-bit integers: row numbers, or a count of rows.
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
    /// The accumulator in `reduce.h` and the field of its finished value; of a composite, those of
    /// the reduction that it expands to.
    pub emit: ReduceEmit,
    /// A composite is replaced by its expansion when it is built and never becomes a node.
    pub expand: Option<fn(&mut Formula, &Reduction) -> ExprId>,
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
    /// Row numbers, counts and truth values: the derivative is zero wherever it exists.
    Zero,
    /// The expansion has the derivative.
    Expanded,
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
    /// Sum in blocks, with totals in more digits; field 0.
    Sum,
    /// That sum and the number of rows; field 0 is the sum, field 1 the mean.
    Mean,
    /// Number of rows, mean and sum of squared distances from it, in float64; field 0 is the
    /// variance.
    Var,
    /// Product with a separate exponent; field 0.
    Prod,
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
    /// The k largest values and their rows; field 0 is the values, field 1 the rows.
    KMax,
    /// Running maximum and shifted sums of exp(x) and, where there is a weight, of exp(x) w. Field
    /// 0: log of the plain sum; 1: the plain sum; 2: log of the weighted sums; 3: the weighted sums
    /// divided by the plain one; 4: the weighted sums.
    ShiftedExp,
    /// Rows where the value is true and where it is not, as 64-bit integers. Field 0: how many are
    /// true; 1: whether any is; 2: whether all are.
    Count,
}

impl StateKind {
    /// Whether the state holds sums, which [`crate::ir::Accumulation`] is about.
    pub fn sums(self) -> bool {
        match self {
            StateKind::Sum | StateKind::Mean | StateKind::ShiftedExp => true,
            StateKind::Min
            | StateKind::Max
            | StateKind::ArgMin
            | StateKind::ArgMax
            | StateKind::KMin
            | StateKind::KMax
            | StateKind::Var
            | StateKind::Prod
            | StateKind::Count => false,
        }
    }

    /// The state that can stand in for this one: a search for the smallest value and its row also
    /// has the value, a mean also has the sum.
    pub fn family(self) -> StateKind {
        match self {
            StateKind::Sum => StateKind::Mean,
            StateKind::Min => StateKind::ArgMin,
            StateKind::Max => StateKind::ArgMax,
            other => other,
        }
    }
}

/// The number of rows that a reduction folds, as a real: what a mean divides by.
fn rows_of(f: &mut Formula, r: &Reduction) -> ExprId {
    let one = f.constant(1.0);
    let counted = Reduction { reducer: Reducer::Sum, args: vec![one], ..r.clone() };
    f.fold(counted)
}
