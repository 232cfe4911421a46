//! Ways to pick and join components that the list of operations has under other names. Goes in:
//! expressions. Comes out: an expression of `extract`s and `concat`s.

use std::ops::{Bound, RangeBounds};
use std::panic::Location;

use tilefold_compiler::ops::Op;

use super::LazyTensor;
use super::literals::size;
use super::node::apply;
use crate::element::Element;

impl<'a, T: Element> LazyTensor<'a, T> {
    /// The components in a range, from 0: `x[k:l]` of NumPy along the last axis. An empty range,
    /// or one that leaves the vector, is a mistake.
    ///
    /// ```
    /// use ndarray::array;
    /// use tilefold::{Axis, LazyTensor};
    ///
    /// let x = array![[1.5, 2.5, 3.5, 4.5]];
    /// let x = LazyTensor::j(x.view());
    /// assert_eq!(x.slice(1..3).sum(Axis::J).eval()?, array![[2.5, 3.5]]);
    /// assert_eq!(x.slice(..=1).sum(Axis::J).eval()?, array![[1.5, 2.5]]);
    /// assert!(x.slice(3..5).sum(Axis::J).eval().is_err());
    /// # Ok::<(), tilefold::Error>(())
    /// ```
    #[track_caller]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> LazyTensor<'a, T> {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.dim(),
        };
        let len = end.saturating_sub(start);
        apply(Op::Extract, &[self], &[size(start), size(len)], Location::caller())
    }

    /// The components of several expressions, one after the other.
    ///
    /// ```
    /// use ndarray::array;
    /// use tilefold::{Axis, LazyTensor};
    ///
    /// let (x, y) = (array![[1.0, 2.0]], array![[3.0]]);
    /// let (x, y) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
    /// let joined = LazyTensor::concatenate(&[&x, &y, &x]);
    /// assert_eq!(joined.sum(Axis::J).eval()?, array![[1.0, 2.0, 3.0, 1.0, 2.0]]);
    /// # Ok::<(), tilefold::Error>(())
    /// ```
    #[track_caller]
    pub fn concatenate(parts: &[&LazyTensor<'a, T>]) -> LazyTensor<'a, T> {
        let at = Location::caller();
        match parts {
            // Refused as a call without operands.
            [] => apply(Op::Concat, &[], &[], at),
            [first, rest @ ..] => rest
                .iter()
                .fold((*first).clone(), |all, part| apply(Op::Concat, &[&all, part], &[], at)),
        }
    }
}
