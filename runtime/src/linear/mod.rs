//! Linear operators that are never stored, and systems of them. Goes in: anything that multiplies
//! matrices from the left. Comes out: its combinations, and the solution of
//! `(alpha I + K) a = b` with a report of how well it is solved. It never forms a matrix.
//!
//! ```
//! use ndarray::{Array2, array};
//! use tilefold::linear::ConjugateGradients;
//!
//! let k: Array2<f64> = array![[2.0, 1.0], [1.0, 2.0]];
//! let b: Array2<f64> = array![[4.0], [5.0]];
//! let solution = ConjugateGradients::new().alpha(1.0).solve(&k, b.view())?;
//! assert!((&solution.x - &array![[0.875], [1.375]]).iter().all(|e| e.abs() < 1e-12));
//! assert!(solution.is_converged());
//! # Ok::<(), tilefold::Error>(())
//! ```

mod operators;
mod search;
mod solve;
mod vectors;

#[cfg(test)]
mod tests;

use ndarray::{ArrayView2, ArrayViewMut2, LinalgScalar};

use crate::element::Element;
use crate::error::Error;
use crate::words;

pub use self::operators::{Diagonal, FnOperator, Identity, Plus, Scaled, Transposed};
pub use self::solve::{ConjugateGradients, Solution, Status, System};

/// The reals that systems are solved in: `f32` and `f64`.
pub trait Real: Element + LinalgScalar {
    /// The relative residual that is asked for by default: `1e-5` in f32, `1e-6` in f64.
    const TOLERANCE: f64;

    /// The distance from 1 to the next number.
    const EPSILON: f64;

    /// The same number in f64.
    fn to_f64(self) -> f64;

    /// The nearest number of this type.
    fn from_f64(value: f64) -> Self;
}

impl Real for f32 {
    const TOLERANCE: f64 = 1e-5;
    const EPSILON: f64 = f32::EPSILON as f64;

    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn from_f64(value: f64) -> f32 {
        value as f32
    }
}

impl Real for f64 {
    const TOLERANCE: f64 = 1e-6;
    const EPSILON: f64 = f64::EPSILON;

    fn to_f64(self) -> f64 {
        self
    }

    fn from_f64(value: f64) -> f64 {
        value
    }
}

/// A matrix that is known by what it does to others.
///
/// Dense arrays are operators; [`FnOperator`] makes one of a closure, and three methods make one of
/// any type:
///
/// ```
/// use ndarray::{ArrayView2, ArrayViewMut2, array};
/// use tilefold::Error;
/// use tilefold::linear::LinearOperator;
///
/// /// `u u'`, without its n^2 entries.
/// struct Outer(Vec<f64>);
///
/// impl LinearOperator<f64> for Outer {
///     fn rows(&self) -> usize {
///         self.0.len()
///     }
///
///     fn cols(&self) -> usize {
///         self.0.len()
///     }
///
///     fn apply(&self, v: ArrayView2<f64>, mut out: ArrayViewMut2<f64>) -> Result<(), Error> {
///         let u = ArrayView2::from_shape((self.0.len(), 1), &self.0).expect("one column");
///         out.assign(&u.dot(&u.t().dot(&v)));
///         Ok(())
///     }
/// }
///
/// let v = array![[1.0], [1.0]];
/// assert_eq!(Outer(vec![1.0, 2.0]).product(v.view())?, array![[3.0], [6.0]]);
/// # Ok::<(), Error>(())
/// ```
pub trait LinearOperator<T: Real> {
    /// Its number of rows.
    fn rows(&self) -> usize;

    /// Its number of columns.
    fn cols(&self) -> usize;

    /// What is wrong with it, if anything: asked before its shape is relied on. By default nothing.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Writes `K v` to `out`. `v` has shape `(cols, E)` and `out` has shape `(rows, E)`, with any
    /// strides; what `out` held before does not count. [`Error::operator`] makes an error of one's
    /// own.
    fn apply(&self, v: ArrayView2<'_, T>, out: ArrayViewMut2<'_, T>) -> Result<(), Error>;

    /// Writes `K' v` to `out`, of shapes `(rows, E)` and `(cols, E)`. By default it is an error.
    fn apply_transpose(
        &self,
        _v: ArrayView2<'_, T>,
        _out: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        Err(words::linear::no_transpose())
    }

    /// If it is block-diagonal with equal blocks on the diagonal, how many they are: each block is
    /// then a system of its own, with steps of its own. It is 1 by default.
    fn blocks(&self) -> usize {
        1
    }

    /// `K v`; an error if `v` has another number of rows than the operator has columns.
    fn product(&self, v: ArrayView2<'_, T>) -> Result<ndarray::Array2<T>, Error> {
        self.check()?;
        if v.nrows() != self.cols() {
            return Err(words::linear::operand_rows(self.cols(), v.nrows()));
        }
        let mut out = vectors::zeros(self.rows(), v.ncols())?;
        self.apply(v, out.view_mut())?;
        Ok(out)
    }

    /// `c K`.
    fn scaled(self, c: T) -> Scaled<T, Self>
    where
        Self: Sized,
    {
        Scaled { operator: self, factor: c }
    }

    /// `K + L`; an error if the shapes differ.
    fn plus<L: LinearOperator<T>>(self, other: L) -> Result<Plus<Self, L>, Error>
    where
        Self: Sized,
    {
        let (left, right) = ((self.rows(), self.cols()), (other.rows(), other.cols()));
        match left == right {
            true => Ok(Plus { left: self, right: other }),
            false => Err(words::linear::sum_shapes(left, right)),
        }
    }

    /// `K + alpha I`; an error if it is not square.
    fn shifted(self, alpha: T) -> Result<Plus<Self, Scaled<T, Identity>>, Error>
    where
        Self: Sized,
    {
        let identity = Identity::new(self.rows());
        self.plus(LinearOperator::<T>::scaled(identity, alpha))
    }

    /// `K'`.
    fn transposed(self) -> Transposed<Self>
    where
        Self: Sized,
    {
        Transposed(self)
    }
}

impl<T: Real, K: LinearOperator<T> + ?Sized> LinearOperator<T> for &K {
    fn rows(&self) -> usize {
        (**self).rows()
    }

    fn cols(&self) -> usize {
        (**self).cols()
    }

    fn check(&self) -> Result<(), Error> {
        (**self).check()
    }

    fn apply(&self, v: ArrayView2<'_, T>, out: ArrayViewMut2<'_, T>) -> Result<(), Error> {
        (**self).apply(v, out)
    }

    fn apply_transpose(
        &self,
        v: ArrayView2<'_, T>,
        out: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        (**self).apply_transpose(v, out)
    }

    fn blocks(&self) -> usize {
        (**self).blocks()
    }
}
