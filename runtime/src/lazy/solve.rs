//! Systems of symbolic matrices. Goes in: an expression with one
//! number a pair, and right sides. Comes out:
//! solutions, and the gradients of solutions.
//! It never iterates; `linear` does.

use ndarray::{Array2, ArrayD, ArrayView2, ArrayViewD};

use super::{LazyTensor, RightSide, words};
use crate::error::Error;
use crate::kernel::Axis;
use crate::linear::{ConjugateGradients, Real};

impl<'a, T: Real> LazyTensor<'a, T> {
    /// The solution of `(alpha I + K) a = b` by conjugate gradients, for a symmetric positive
    /// definite matrix `K_ij` and a right side of M rows: a vector, or a matrix of columns.
    ///
    /// It is that of [`ConjugateGradients`] with its usual tolerance. For other settings and
    /// for a report, pass the matrix to that.
    ///
    /// ```
    /// use ndarray::{Array1, array};
    /// use tilefold::LazyTensor;
    ///
    /// // Kernel ridge regression: the weights of the kernel's bumps.
    /// let (x, values) = (array![[0.0], [1.0], [2.5]], array![1.0, 3.0, 2.0]);
    /// let (x_i, x_j) = (LazyTensor::i(x.view()), LazyTensor::j(x.view()));
    /// let k_ij = (-(x_i - x_j).square().sum_inner()).exp();
    /// let weights: Array1<f64> = k_ij.solve(&values, 0.1)?;
    /// let gap = k_ij.dot(&weights)? + &weights * 0.1 - &values;
    /// assert!(gap.iter().all(|gap| gap.abs() < 1e-5));
    /// # Ok::<(), tilefold::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`ConjugateGradients::solve`] and [`Evaluation::run`](super::Evaluation::run).
    pub fn solve<R: RightSide<T>>(&self, b: &R, alpha: f64) -> Result<R::Output, Error> {
        let solver = ConjugateGradients::new().alpha(alpha);
        let solution = solver.solve(self, b.columns())?;
        Ok(R::output(solution.x))
    }

    /// [`solve`](LazyTensor::solve) for batch dimensions: right sides of shape `(B.., M, E)`, with
    /// those of the matrices. Each of them is a system of its own.
    ///
    /// ```
    /// use ndarray::Array;
    /// use tilefold::LazyTensor;
    ///
    /// let x = Array::from_shape_fn((2, 5, 1), |(b, i, _)| (3 * b + i) as f64 / 2.0);
    /// let (x_i, x_j) = (LazyTensor::i(x.view()), LazyTensor::j(x.view()));
    /// let k_ij = (-(x_i - x_j).square().sum_inner()).exp();
    /// let a = k_ij.solve_nd(Array::ones((2, 5, 3)).view().into_dyn(), 1.0)?;
    /// assert_eq!(a.shape(), [2, 5, 3]);
    /// # Ok::<(), tilefold::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`solve`](LazyTensor::solve), and if the batch dimensions differ.
    pub fn solve_nd(&self, b: ArrayViewD<'_, T>, alpha: f64) -> Result<ArrayD<T>, Error> {
        self.check_matrix("solve_nd")?;
        let [batch @ .., rows, columns] = b.shape() else {
            return Err(words::right_sides(self.batch(), b.shape()));
        };
        if batch != self.batch() {
            return Err(words::right_sides(self.batch(), b.shape()));
        }
        let stacked = (batch.iter().product::<usize>() * rows, *columns);
        let Ok(right) = b.to_shape(stacked) else {
            return Err(words::right_sides(self.batch(), b.shape()));
        };
        let solution = ConjugateGradients::new().alpha(alpha).solve(self, right.view())?;
        let found = solution.x.into_shape_with_order(b.raw_dim());
        found.map_err(|_| words::right_sides(self.batch(), b.shape()))
    }

    /// What the gradients of a loss through a solution `a` of `(alpha I + K) a = b` need: `seed` is
    /// the gradient with respect to `a`, and `solver` has the `alpha` of that solution. It solves
    /// one more system.
    ///
    /// With `l = (alpha I + K)^-1 seed`, the gradient with respect to `b` is `l`, and that with
    /// respect to a variable of `K` is that of `-sum_ij l_i K_ij a_j`.
    ///
    /// ```
    /// use ndarray::{Array2, array};
    /// use tilefold::LazyTensor;
    /// use tilefold::linear::ConjugateGradients;
    ///
    /// // The gradient of `sum(a)`, where `(I + K) a = b`, with respect to the points.
    /// let (x, b) = (array![[0.0_f64], [1.0], [2.5]], array![[1.0], [3.0], [2.0]]);
    /// let (x_i, x_j) = (LazyTensor::i(x.view()), LazyTensor::j(x.view()));
    /// let k_ij = (-(&x_i - &x_j).square().sum_inner()).exp();
    /// let solver = ConjugateGradients::new().alpha(1.0);
    /// let a = solver.solve(&k_ij, b.view())?.x;
    /// let adjoint = k_ij.solve_vjp(a.view(), Array2::ones(a.dim()).view(), &solver)?;
    /// let gradient = adjoint.gradient(&x_i)? + adjoint.gradient(&x_j)?;
    /// assert!(gradient.sum().abs() < 1e-5, "moving all points changes nothing");
    /// # Ok::<(), tilefold::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`solve`](LazyTensor::solve), if `a` and `seed` differ in shape, and for batch
    /// dimensions.
    pub fn solve_vjp<'s>(
        &'s self,
        a: ArrayView2<'s, T>,
        seed: ArrayView2<'_, T>,
        solver: &ConjugateGradients<'_, T>,
    ) -> Result<SolveAdjoint<'s, T>, Error> {
        if !self.batch().is_empty() {
            return Err(words::right_sides(self.batch(), &[a.nrows(), a.ncols()]));
        }
        if a.dim() != seed.dim() {
            return Err(words::seed_shape(a.dim(), seed.dim()));
        }
        let b = solver.solve(self, seed)?.x;
        let minus = b.mapv(|value| T::zero() - value);
        Ok(SolveAdjoint { matrix: self.clone(), a, b, minus })
    }
}

/// Gradients through the solution of a system; see [`LazyTensor::solve_vjp`].
pub struct SolveAdjoint<'s, T> {
    matrix: LazyTensor<'s, T>,
    a: ArrayView2<'s, T>,
    b: Array2<T>,
    minus: Array2<T>,
}

impl<T: Real> SolveAdjoint<'_, T> {
    /// The gradient with respect to the right side.
    pub fn b(&self) -> ArrayView2<'_, T> {
        self.b.view()
    }

    /// The gradient with respect to `alpha`.
    pub fn alpha(&self) -> f64 {
        self.a.iter().zip(&self.minus).map(|(a, l)| a.to_f64() * l.to_f64()).sum()
    }

    /// The gradient with respect to a variable of the matrix. An array that is both an `i`- and a
    /// `j`-variable has the sum of both gradients.
    ///
    /// # Errors
    /// As [`LazyTensor::vjp`] and [`Evaluation::run`](super::Evaluation::run).
    pub fn gradient(&self, variable: &LazyTensor<'_, T>) -> Result<Array2<T>, Error> {
        let product = (&self.matrix * LazyTensor::j(self.a)).sum(Axis::J);
        product.vjp(LazyTensor::i(self.minus.view()), variable).eval()
    }
}
