//! The reductions of KeOps' LazyTensor in Rust, and those that KeOps lacks. In: a value of a pair
//! and a weight. Out: what is left after the reduction over j.

use tilefold::{Axis, LazyTensor};
use tilefold_compiler::reduce::Reducer;

type Lazy<'a> = LazyTensor<'a, f64>;

/// One reduction, or two in one pass.
pub struct Fold {
    /// As KeOps writes it; empty where it cannot.
    pub keops: &'static str,
    /// As Rust writes it.
    pub text: &'static str,
    /// The reductions of a value `x` with the weight `w`.
    pub ours: for<'a> fn(&Lazy<'a>, &Lazy<'a>) -> Vec<Lazy<'a>>,
    /// What they are, in order.
    pub reducers: &'static [Reducer],
}

/// Entries that the k smallest and largest keep.
pub const K: usize = 3;

/// Reductions as the methods give them.
trait Several<'a> {
    fn several(self) -> Vec<Lazy<'a>>;
}

impl<'a> Several<'a> for Lazy<'a> {
    fn several(self) -> Vec<Lazy<'a>> {
        vec![self]
    }
}

impl<'a> Several<'a> for (Lazy<'a>, Lazy<'a>) {
    fn several(self) -> Vec<Lazy<'a>> {
        vec![self.0, self.1]
    }
}

macro_rules! folds {
    ($($keops:literal, |$x:ident, $w:ident| $ours:expr, [$($reducer:ident),*];)*) => {
        &[$(Fold {
            keops: $keops,
            text: stringify!($ours),
            ours: |$x, $w| $ours.several(),
            reducers: &[$(Reducer::$reducer),*],
        },)*]
    };
}

/// Every reduction.
pub const FOLDS: &[Fold] = folds! {
    "x.sum(axis=1)", |x, _w| x.sum(Axis::J), [Sum];
    "x.min(axis=1)", |x, _w| x.min(Axis::J), [Min];
    "x.max(axis=1)", |x, _w| x.max(Axis::J), [Max];
    "x.argmin(axis=1)", |x, _w| x.argmin(Axis::J), [ArgMin];
    "x.argmax(axis=1)", |x, _w| x.argmax(Axis::J), [ArgMax];
    "x.min_argmin(axis=1)", |x, _w| x.min_argmin(Axis::J), [Min, ArgMin];
    "x.max_argmax(axis=1)", |x, _w| x.max_argmax(Axis::J), [Max, ArgMax];
    "x.Kmin(3, axis=1)", |x, _w| x.kmin(3, Axis::J), [KMin];
    "x.argKmin(3, axis=1)", |x, _w| x.argkmin(3, Axis::J), [ArgKMin];
    "x.Kmin_argKmin(3, axis=1)", |x, _w| x.kmin_argkmin(3, Axis::J), [KMin, ArgKMin];
    "x.logsumexp(axis=1)", |x, _w| x.logsumexp(Axis::J), [LogSumExp];
    "x.logsumexp(axis=1, weight=w)",
        |x, w| x.logsumexp_weighted(w, Axis::J), [LogSumExpWeight];
    "x.sumsoftmaxweight(w, axis=1)", |x, w| x.sumsoftmaxweight(w, Axis::J), [SoftMaxSum];
    "", |x, _w| x.mean(Axis::J), [Mean];
    "", |x, _w| x.var(Axis::J), [Var];
    "", |x, _w| x.prod(Axis::J), [Prod];
    "", |x, _w| x.kmax(3, Axis::J), [KMax];
    "", |x, _w| x.argkmax(3, Axis::J), [ArgKMax];
    "", |x, _w| x.kmax_argkmax(3, Axis::J), [KMax, ArgKMax];
    "", |x, _w| x.softargmin(Axis::J), [SoftArgMin];
    "", |x, _w| x.softargmax(Axis::J), [SoftArgMax];
    "", |x, _w| x.any(Axis::J), [Any];
    "", |x, _w| x.all(Axis::J), [All];
    "", |x, _w| x.count(Axis::J), [Count];
};
