//! Systems `(alpha I + K) a = b` by conjugate gradients. Goes in: an operator, right sides,
//! wishes. Comes out: the solutions, with a report for each of them. It never returns what is not
//! solved, unless asked to, and never trusts a residual that it did not compute from the solution.

use std::fmt;

use ndarray::{Array2, ArrayView2};

use super::search::Search;
use super::vectors::Frame;
use super::{LinearOperator, Real};
use crate::error::Error;
use crate::words;

/// The method of conjugate gradients, for symmetric positive definite operators.
///
/// Every column of `b` (and every block of a block-diagonal operator) is a system with steps and an
/// end of its own. A system is solved if the norm of `b - (alpha I + K) a`, computed from `a`, is
/// at most the larger of the relative tolerance times the norm of `b` and the absolute one.
///
/// A call costs one product `K p` an iteration for all systems together, and one more whenever
/// residuals are computed anew: once, as a rule. It holds four arrays of the shape of `b`.
#[derive(Clone, Copy)]
pub struct ConjugateGradients<'a, T: Real> {
    pub(super) alpha: f64,
    pub(super) relative: f64,
    pub(super) absolute: f64,
    pub(super) iterations: Option<usize>,
    pub(super) preconditioner: Option<&'a dyn LinearOperator<T>>,
    pub(super) best: bool,
}

impl<T: Real> Default for ConjugateGradients<'_, T> {
    fn default() -> Self {
        ConjugateGradients {
            alpha: 0.0,
            relative: T::TOLERANCE,
            absolute: 0.0,
            iterations: None,
            preconditioner: None,
            best: false,
        }
    }
}

impl<'a, T: Real> ConjugateGradients<'a, T> {
    /// `alpha` 0, a relative tolerance of `1e-5` in f32 and `1e-6` in f64, an absolute one of 0,
    /// no preconditioner.
    pub fn new() -> Self {
        ConjugateGradients::default()
    }

    /// The multiple of the identity that is added to the operator.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// The norm of the residual to reach, relative to that of the right side.
    pub fn tolerance(mut self, relative: f64) -> Self {
        self.relative = relative;
        self
    }

    /// The norm of the residual to reach, if that is more than what the relative one asks for.
    pub fn absolute_tolerance(mut self, absolute: f64) -> Self {
        self.absolute = absolute;
        self
    }

    /// The most iterations that a system may take. By default it is ten times the number of
    /// unknowns, but not more than 10000.
    pub fn iterations(mut self, most: usize) -> Self {
        self.iterations = Some(most);
        self
    }

    /// An approximate inverse of `alpha I + K`, symmetric and positive definite: its product is
    /// formed once an iteration. [`Diagonal::jacobi`](super::Diagonal::jacobi) is the simplest.
    pub fn preconditioner(mut self, inverse: &'a dyn LinearOperator<T>) -> Self {
        self.preconditioner = Some(inverse);
        self
    }

    /// Returns the iterate of the smallest residual where a system is not solved, instead of an
    /// error. [`Solution::systems`] says which ones are not. A column of `b` that is not finite
    /// gives NaN.
    pub fn best_iterate(mut self) -> Self {
        self.best = true;
        self
    }

    /// The solution of `(alpha I + K) a = b`, one column a right side.
    ///
    /// A right side of zeros has the solution 0, after no iteration.
    ///
    /// # Errors
    /// If the operator is not square, `b` has another number of rows, a setting is negative or
    /// NaN, or an application of the operator fails; and, without
    /// [`best_iterate`](Self::best_iterate), if a system is not solved: because the operator is not
    /// positive definite, the limit of iterations is reached, rounding keeps the residual up, or a
    /// number is not finite.
    pub fn solve<K>(&self, operator: &K, b: ArrayView2<'_, T>) -> Result<Solution<T>, Error>
    where
        K: LinearOperator<T> + ?Sized,
    {
        let frame = self.check(operator, b)?;
        let mut search = Search::new(self, operator, b, frame)?;
        if !frame.is_empty() {
            search.run()?;
        }
        search.finish()
    }

    fn check<K>(&self, operator: &K, b: ArrayView2<'_, T>) -> Result<Frame, Error>
    where
        K: LinearOperator<T> + ?Sized,
    {
        operator.check()?;
        let (n, cols, blocks) = (operator.rows(), operator.cols(), operator.blocks());
        if n != cols {
            return Err(words::linear::not_square(n, cols));
        }
        if b.nrows() != n {
            return Err(words::linear::operand_rows(n, b.nrows()));
        }
        if blocks == 0 || !n.is_multiple_of(blocks) {
            return Err(words::linear::blocks(n, blocks));
        }
        if let Some(inverse) = self.preconditioner {
            inverse.check()?;
            if (inverse.rows(), inverse.cols()) != (n, n) {
                return Err(words::linear::preconditioner_shape(n, inverse.rows(), inverse.cols()));
            }
        }
        if !self.alpha.is_finite() {
            return Err(words::linear::setting("alpha", self.alpha, "finite"));
        }
        for (name, value) in [("tolerance", self.relative), ("absolute_tolerance", self.absolute)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(words::linear::setting(name, value, "finite and not negative"));
            }
        }
        Ok(Frame { n, columns: b.ncols(), blocks })
    }
}

impl<T: Real> fmt::Debug for ConjugateGradients<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConjugateGradients")
            .field("alpha", &self.alpha)
            .field("tolerance", &self.relative)
            .field("absolute_tolerance", &self.absolute)
            .field("iterations", &self.iterations)
            .field("preconditioner", &self.preconditioner.is_some())
            .field("best_iterate", &self.best)
            .finish()
    }
}

/// What solving gave: the solutions, and how good each of them is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Solution<T> {
    /// The solutions, one column a right side.
    pub x: Array2<T>,
    /// The systems: the columns of the first block, then those of the next.
    pub systems: Vec<System>,
}

impl<T> Solution<T> {
    /// Whether every system is solved. It is, unless the best iterate was asked for.
    pub fn is_converged(&self) -> bool {
        self.systems.iter().all(|system| system.status == Status::Converged)
    }

    /// The iterations of the system that took most; 0 if there is none.
    pub fn iterations(&self) -> usize {
        self.systems.iter().map(|system| system.iterations).max().unwrap_or(0)
    }
}

/// How the search for one solution ended.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct System {
    /// The block of the operator, 0 if it is not block-diagonal.
    pub block: usize,
    /// The column of the right side.
    pub column: usize,
    /// How many iterations were done.
    pub iterations: usize,
    /// The norm of `b - (alpha I + K) a`, computed from the returned solution.
    pub residual: f64,
    /// The norm that was to be reached.
    pub target: f64,
    /// Why the search ended.
    pub status: Status,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// The residual is small enough.
    Converged,
    /// The limit of iterations was reached first.
    IterationLimit,
    /// Rounding keeps the residual from getting smaller.
    Stagnated,
    /// A direction `p` was met with `p' (alpha I + K) p <= 0`.
    NotPositive,
    /// A residual `r` was met with `r' P r <= 0` for the preconditioner `P`.
    PreconditionerNotPositive,
    /// A number is NaN or infinite: in `b`, in the operator, or by overflow.
    NotFinite,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Converged => "it converged",
            Status::IterationLimit => "the limit of iterations was reached",
            Status::Stagnated => "rounding keeps the residual from getting smaller",
            Status::NotPositive => "the operator is not positive definite",
            Status::PreconditionerNotPositive => "the preconditioner is not positive definite",
            Status::NotFinite => "a number is not finite",
        })
    }
}
