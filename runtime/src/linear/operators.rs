//! Operators that are given, and combinations of operators. Goes in: arrays, closures, numbers,
//! operators. Comes out: operators. It never stores a product.

use std::fmt;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, ArrayBase, ArrayView1, ArrayView2, ArrayViewMut2, Data, Ix2, Zip};

use super::{LinearOperator, Real, vectors};
use crate::error::Error;
use crate::words;

impl<T: Real, S: Data<Elem = T>> LinearOperator<T> for ArrayBase<S, Ix2> {
    fn rows(&self) -> usize {
        self.nrows()
    }

    fn cols(&self) -> usize {
        self.ncols()
    }

    fn apply(&self, v: ArrayView2<'_, T>, mut out: ArrayViewMut2<'_, T>) -> Result<(), Error> {
        general_mat_mul(T::one(), self, &v, T::zero(), &mut out);
        Ok(())
    }

    fn apply_transpose(
        &self,
        v: ArrayView2<'_, T>,
        mut out: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        general_mat_mul(T::one(), &self.t(), &v, T::zero(), &mut out);
        Ok(())
    }
}

type Product<'a, T> =
    Box<dyn Fn(ArrayView2<'_, T>, ArrayViewMut2<'_, T>) -> Result<(), Error> + 'a>;

/// An operator whose product is a closure.
///
/// ```
/// use ndarray::{Array2, array};
/// use tilefold::linear::{FnOperator, LinearOperator};
///
/// // Differences of neighbours, and their transpose.
/// let d = FnOperator::new(2, 3, |v, mut out| {
///     out.assign(&(&v.slice(ndarray::s![1.., ..]) - &v.slice(ndarray::s![..-1, ..])));
///     Ok(())
/// });
/// let v: Array2<f64> = array![[1.0], [4.0], [9.0]];
/// assert_eq!(d.product(v.view())?, array![[3.0], [5.0]]);
/// # Ok::<(), tilefold::Error>(())
/// ```
pub struct FnOperator<'a, T> {
    rows: usize,
    cols: usize,
    product: Product<'a, T>,
    transpose: Transpose<'a, T>,
}

enum Transpose<'a, T> {
    None,
    Same,
    Other(Product<'a, T>),
}

impl<'a, T: Real> FnOperator<'a, T> {
    /// An operator of the given shape without a transpose: `product(v, out)` writes `K v`.
    pub fn new<F>(rows: usize, cols: usize, product: F) -> FnOperator<'a, T>
    where
        F: Fn(ArrayView2<'_, T>, ArrayViewMut2<'_, T>) -> Result<(), Error> + 'a,
    {
        FnOperator { rows, cols, product: Box::new(product), transpose: Transpose::None }
    }

    /// An operator of `n` rows and columns that is its own transpose.
    pub fn symmetric<F>(n: usize, product: F) -> FnOperator<'a, T>
    where
        F: Fn(ArrayView2<'_, T>, ArrayViewMut2<'_, T>) -> Result<(), Error> + 'a,
    {
        FnOperator { transpose: Transpose::Same, ..FnOperator::new(n, n, product) }
    }

    /// The same operator, with a transpose: `product(v, out)` writes `K' v`.
    pub fn transpose_with<F>(mut self, product: F) -> FnOperator<'a, T>
    where
        F: Fn(ArrayView2<'_, T>, ArrayViewMut2<'_, T>) -> Result<(), Error> + 'a,
    {
        self.transpose = Transpose::Other(Box::new(product));
        self
    }
}

impl<T: Real> LinearOperator<T> for FnOperator<'_, T> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn cols(&self) -> usize {
        self.cols
    }

    fn apply(&self, v: ArrayView2<'_, T>, out: ArrayViewMut2<'_, T>) -> Result<(), Error> {
        (self.product)(v, out)
    }

    fn apply_transpose(
        &self,
        v: ArrayView2<'_, T>,
        out: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        match &self.transpose {
            Transpose::None => Err(words::linear::no_transpose()),
            Transpose::Same => (self.product)(v, out),
            Transpose::Other(product) => product(v, out),
        }
    }
}

impl<T> fmt::Debug for FnOperator<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FnOperator({} x {})", self.rows, self.cols)
    }
}

/// The identity.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    n: usize,
}

impl Identity {
    /// The identity of `n` rows and columns.
    pub fn new(n: usize) -> Identity {
        Identity { n }
    }
}

impl<T: Real> LinearOperator<T> for Identity {
    fn rows(&self) -> usize {
        self.n
    }

    fn cols(&self) -> usize {
        self.n
    }

    fn apply(&self, v: ArrayView2<'_, T>, mut out: ArrayViewMut2<'_, T>) -> Result<(), Error> {
        out.assign(&v);
        Ok(())
    }

    fn apply_transpose(
        &self,
        v: ArrayView2<'_, T>,
        out: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        self.apply(v, out)
    }
}

/// A diagonal matrix, such as the preconditioner of Jacobi.
#[derive(Clone, Debug)]
pub struct Diagonal<T> {
    entries: Array1<T>,
}

impl<T: Real> Diagonal<T> {
    /// The diagonal matrix of these entries.
    pub fn new(entries: Array1<T>) -> Diagonal<T> {
        Diagonal { entries }
    }

    /// Jacobi's preconditioner of `alpha I + K`: the inverse of its diagonal, where `diagonal` is
    /// that of `K`.
    pub fn jacobi(diagonal: ArrayView1<'_, T>, alpha: f64) -> Diagonal<T> {
        Diagonal { entries: diagonal.mapv(|d| T::from_f64(1.0 / (alpha + d.to_f64()))) }
    }
}

impl<T: Real> LinearOperator<T> for Diagonal<T> {
    fn rows(&self) -> usize {
        self.entries.len()
    }

    fn cols(&self) -> usize {
        self.entries.len()
    }

    fn apply(&self, v: ArrayView2<'_, T>, out: ArrayViewMut2<'_, T>) -> Result<(), Error> {
        let entries = self.entries.view().insert_axis(ndarray::Axis(1));
        Zip::from(out).and(v).and_broadcast(entries).for_each(|out, &v, &d| *out = d * v);
        Ok(())
    }

    fn apply_transpose(
        &self,
        v: ArrayView2<'_, T>,
        out: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        self.apply(v, out)
    }
}

/// A multiple of an operator; see [`LinearOperator::scaled`].
#[derive(Clone, Copy, Debug)]
pub struct Scaled<T, K> {
    pub(super) operator: K,
    pub(super) factor: T,
}

impl<T: Real, K: LinearOperator<T>> LinearOperator<T> for Scaled<T, K> {
    fn rows(&self) -> usize {
        self.operator.rows()
    }

    fn cols(&self) -> usize {
        self.operator.cols()
    }

    fn check(&self) -> Result<(), Error> {
        self.operator.check()
    }

    fn apply(&self, v: ArrayView2<'_, T>, mut out: ArrayViewMut2<'_, T>) -> Result<(), Error> {
        self.operator.apply(v, out.view_mut())?;
        out.mapv_inplace(|value| self.factor * value);
        Ok(())
    }

    fn apply_transpose(
        &self,
        v: ArrayView2<'_, T>,
        mut out: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        self.operator.apply_transpose(v, out.view_mut())?;
        out.mapv_inplace(|value| self.factor * value);
        Ok(())
    }

    fn blocks(&self) -> usize {
        self.operator.blocks()
    }
}

/// The sum of two operators; see [`LinearOperator::plus`].
#[derive(Clone, Copy, Debug)]
pub struct Plus<K, L> {
    pub(super) left: K,
    pub(super) right: L,
}

impl<T: Real, K: LinearOperator<T>, L: LinearOperator<T>> LinearOperator<T> for Plus<K, L> {
    fn rows(&self) -> usize {
        self.left.rows()
    }

    fn cols(&self) -> usize {
        self.left.cols()
    }

    fn check(&self) -> Result<(), Error> {
        self.left.check()?;
        self.right.check()
    }

    fn apply(&self, v: ArrayView2<'_, T>, mut out: ArrayViewMut2<'_, T>) -> Result<(), Error> {
        let mut term = vectors::zeros(out.nrows(), out.ncols())?;
        self.left.apply(v, out.view_mut())?;
        self.right.apply(v, term.view_mut())?;
        out.zip_mut_with(&term, |out, &term| *out = *out + term);
        Ok(())
    }

    fn apply_transpose(
        &self,
        v: ArrayView2<'_, T>,
        mut out: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        let mut term = vectors::zeros(out.nrows(), out.ncols())?;
        self.left.apply_transpose(v, out.view_mut())?;
        self.right.apply_transpose(v, term.view_mut())?;
        out.zip_mut_with(&term, |out, &term| *out = *out + term);
        Ok(())
    }
}

/// The transpose of an operator; see [`LinearOperator::transposed`].
#[derive(Clone, Copy, Debug)]
pub struct Transposed<K>(pub(super) K);

impl<T: Real, K: LinearOperator<T>> LinearOperator<T> for Transposed<K> {
    fn rows(&self) -> usize {
        self.0.cols()
    }

    fn cols(&self) -> usize {
        self.0.rows()
    }

    fn check(&self) -> Result<(), Error> {
        self.0.check()
    }

    fn apply(&self, v: ArrayView2<'_, T>, out: ArrayViewMut2<'_, T>) -> Result<(), Error> {
        self.0.apply_transpose(v, out)
    }

    fn apply_transpose(
        &self,
        v: ArrayView2<'_, T>,
        out: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        self.0.apply(v, out)
    }

    fn blocks(&self) -> usize {
        self.0.blocks()
    }
}
