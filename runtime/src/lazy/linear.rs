//! Expressions as linear operators. Goes in: an expression with one component for each pair. Comes
//! out: products with it. It never forms the matrix.

use ndarray::{ArrayView2, ArrayViewD, ArrayViewMut2};

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

/// `K v`, a sum over `j`, and `K' v`, a sum over `i`. With batch dimensions it is the matrix with
/// these matrices on its diagonal: the rows of `v` are those of the first one, then of the next.
///
/// ```
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
        self.items().saturating_mul(LazyTensor::rows(self, Axis::I).unwrap_or(1))
    }

    fn cols(&self) -> usize {
        self.items().saturating_mul(LazyTensor::rows(self, Axis::J).unwrap_or(1))
    }

    fn blocks(&self) -> usize {
        self.items()
    }

    fn check(&self) -> Result<(), Error> {
        self.check_matrix("linear operator")
    }

    fn apply(&self, v: ArrayView2<'_, T>, out: ArrayViewMut2<'_, T>) -> Result<(), Error> {
        self.check_matrix("apply")?;
        self.fold_with(v, Axis::J, out)
    }

    fn apply_transpose(
        &self,
        v: ArrayView2<'_, T>,
        out: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        self.check_matrix("apply_transpose")?;
        self.fold_with(v, Axis::I, out)
    }
}

impl<T: Element> LazyTensor<'_, T> {
    /// How many matrices there are.
    fn items(&self) -> usize {
        self.batch().iter().fold(1, |items, &len| items.saturating_mul(len))
    }

    /// The sums over an axis of the matrices times the rows of `v`, matrix after matrix.
    fn fold_with(
        &self,
        v: ArrayView2<'_, T>,
        axis: Axis,
        mut out: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        let leaf = |array: ArrayViewD<'_, T>| match axis {
            Axis::I => (self * LazyTensor::i(array)).sum(axis).eval_nd(),
            Axis::J => (self * LazyTensor::j(array)).sum(axis).eval_nd(),
        };
        let (items, columns) = (self.items(), v.ncols());
        if items == 0 || columns == 0 {
            return Ok(());
        }
        let mut shape = self.batch().to_vec();
        shape.extend([v.nrows() / items, columns]);
        let found = v.to_shape(shape).map_err(|_| words::batched(self.batch(), v.dim()))?;
        let product = leaf(found.view())?;
        let product = product.to_shape(out.dim());
        out.assign(&product.map_err(|_| words::batched(self.batch(), v.dim()))?);
        Ok(())
    }
}
