//! Expressions as linear operators. Goes in: an expression with one component for each pair. Comes
//! out: products with it. It never forms the matrix.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::{LazyTensor, words};
use crate::element::Element;
use crate::error::Error;
use crate::kernel::Axis;
use crate::linear::{LinearOperator, Real};

impl<T: Element> LazyTensor<'_, T> {
    /// Refuses what has several components for each pair.
    pub(super) fn check_matrix(&self, name: &str) -> Result<(), Error> {
        match self.mistake() {
            Some(error) => Err(error.clone()),
            None if self.dim() == 1 => Ok(()),
            None => Err(words::not_a_matrix(name, self)),
        }
    }
}

/// `K v`, a sum over `j`, and `K' v`, a sum over `i`.
///
/// ```no_run
/// use ndarray::array;
/// use tilefold::LazyTensor;
/// use tilefold::linear::ConjugateGradients;
///
/// let x = array![[0.0], [1.0], [3.0]];
/// let k = (-(LazyTensor::i(x.view()) - LazyTensor::j(x.view())).square()).exp();
/// let b = array![[1.0], [2.0], [3.0]];
/// let a = ConjugateGradients::new().alpha(0.1).solve(&k, b.view())?.x;
/// let again = k.dot(&a)? + &a * 0.1;
/// assert!((again - b).iter().all(|gap: &f64| gap.abs() < 1e-5));
/// # Ok::<(), tilefold::Error>(())
/// ```
impl<T: Element + Real> LinearOperator<T> for LazyTensor<'_, T> {
    fn rows(&self) -> usize {
        LazyTensor::rows(self, Axis::I).unwrap_or(1)
    }

    fn cols(&self) -> usize {
        LazyTensor::rows(self, Axis::J).unwrap_or(1)
    }

    fn check(&self) -> Result<(), Error> {
        self.check_matrix("linear operator")?;
        match self.batch() {
            [] => Ok(()),
            batch => Err(words::batched(batch)),
        }
    }

    fn apply(&self, v: ArrayView2<'_, T>, mut out: ArrayViewMut2<'_, T>) -> Result<(), Error> {
        self.check_matrix("apply")?;
        out.assign(&(self * LazyTensor::j(v)).sum(Axis::J).eval()?);
        Ok(())
    }

    fn apply_transpose(
        &self,
        v: ArrayView2<'_, T>,
        mut out: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        self.check_matrix("apply_transpose")?;
        out.assign(&(self * LazyTensor::i(v)).sum(Axis::I).eval()?);
        Ok(())
    }
}
