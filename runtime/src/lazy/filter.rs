//! Reductions of some of the pairs. Goes in: a reduction and a condition. Comes out: the reduction
//! of the pairs where the condition holds. It never looks at the condition's values.

use std::panic::Location;

use super::node::{What, fold, mistake};
use super::{IntoLazy, LazyTensor, words};
use crate::element::Element;

impl<'a, T: Element> LazyTensor<'a, T> {
    /// This reduction of those pairs where the condition, one component, is not 0: `sum[j where c]`
    /// of formula files. NaN counts as true. It belongs right behind the reduction; behind anything
    /// else it is a mistake. A NaN or a pole where a pair is left out does no harm, nor does it to
    /// derivatives.
    ///
    /// ```no_run
    /// use ndarray::array;
    /// use tilefold::{Axis, LazyTensor};
    ///
    /// let x = array![[0.0], [1.0], [4.0]];
    /// let (x_i, x_j) = (LazyTensor::i(x.view()), LazyTensor::j(x.view()));
    /// let others = LazyTensor::pos(Axis::I).not_equal(LazyTensor::pos(Axis::J));
    /// let nearest = (x_i - x_j).abs().min(Axis::J).filter(others);
    /// assert_eq!(nearest.eval()?, array![[1.0], [1.0], [3.0]]);
    /// # Ok::<(), tilefold::Error>(())
    /// ```
    #[track_caller]
    pub fn filter(&self, condition: impl IntoLazy<'a, T>) -> LazyTensor<'a, T> {
        let at = Location::caller();
        let condition = condition.into_lazy();
        match &self.node.what {
            What::Mistake(_) => self.clone(),
            What::Fold(f) if f.mask.is_none() => {
                let args: Vec<&LazyTensor<'a, T>> = f.args.iter().collect();
                fold(f.reducer, f.axis, &args, (Some(&condition), f.k), at)
            }
            What::Fold(_) => LazyTensor::from(mistake(words::filtered_twice(at))),
            _ => LazyTensor::from(mistake(words::not_a_reduction(self, at))),
        }
    }
}
