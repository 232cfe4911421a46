//! Evaluation. Goes in: expressions without pairs, and how to run them. Comes out: arrays and a
//! report. It never computes; executors do.

use std::any::Any;
use std::panic::Location;

use ndarray::{Array1, Array2, ArrayBase, ArrayView2, Data, Ix1, Ix2};
use num_complex::Complex;
use tilefold_compiler::ir::{Accumulation, Stratum};

use super::flat::{Flat, Manner};
use super::node::What;
use super::source::Held;
use super::{LazyTensor, resolve, words};
use crate::bind::Bound;
use crate::call;
use crate::element::{Component, ComponentType, Element};
use crate::error::{Code, Error};
use crate::kernel::Axis;
use crate::operand::RawArray;
use crate::options::Options;
use crate::ranges::Ranges;
use crate::report::Report;
use crate::run::execute;

/// Evaluates several expressions in one go: what they have in common is worked out once.
///
/// ```no_run
/// use ndarray::array;
/// use tilefold::{Axis, LazyTensor, evaluate};
///
/// let (x, y) = (array![[0.0], [4.0]], array![[1.0], [3.0]]);
/// let (x, y) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
/// let d = (x - y).square();
/// let mut found = evaluate(&[&d.min(Axis::J), &d.argmin(Axis::J)]).run()?;
/// assert_eq!(found.take::<f64>(0)?, array![[1.0], [1.0]]);
/// assert_eq!(found.take::<i64>(1)?, array![[0], [1]]);
/// # Ok::<(), tilefold::Error>(())
/// ```
pub fn evaluate<'e, 'a, T: Element>(values: &[&'e LazyTensor<'a, T>]) -> Evaluation<'e, 'a, T> {
    Evaluation {
        roots: values.to_vec(),
        options: Options::new(),
        rows: None,
        ranges: None,
        manner: Manner::default(),
    }
}

/// An evaluation, put together step by step. See [`evaluate`].
#[must_use = "an evaluation does nothing until it is run"]
pub struct Evaluation<'e, 'a, T> {
    roots: Vec<&'e LazyTensor<'a, T>>,
    options: Options<'e>,
    rows: Option<(usize, usize)>,
    ranges: Option<&'e Ranges>,
    manner: Manner,
}

impl<'e, T: Element> Evaluation<'e, '_, T> {
    /// Says how to run.
    pub fn options(mut self, options: Options<'e>) -> Self {
        self.options = options;
        self
    }

    /// Says M and N, the rows of `i` and of `j`. It is needed only where no array has an axis.
    pub fn rows(mut self, m: usize, n: usize) -> Self {
        self.rows = Some((m, n));
        self
    }

    /// Restricts every reduction to blocks of pairs, named by ranges of rows: what is outside of
    /// them is not worked out. Rows without a block get what a reduction of nothing gives.
    pub fn ranges(mut self, ranges: &'e Ranges) -> Self {
        self.ranges = Some(ranges);
        self
    }

    /// Sums each term in float64 (or compensated, where the type is `f64`): the error of a sum is
    /// the rounding of the result. Slower than the default, whose error is at most 9 units of
    /// rounding times the sum of magnitudes.
    pub fn exact_sums(mut self) -> Self {
        self.manner.acc = Accumulation::Each;
        self
    }

    /// Sums up to 256 terms plainly before they are added to a total: faster, with an error of up
    /// to 257 units of rounding times the sum of magnitudes.
    pub fn fast_sums(mut self) -> Self {
        self.manner.acc = Accumulation::Fast;
        self
    }

    /// Allows simplifications that are not exact for every value, such as `x / x` to 1.
    pub fn relaxed(mut self) -> Self {
        self.manner.relaxed = true;
        self
    }

    /// Runs, and makes an array for every value.
    ///
    /// # Errors
    /// The first mistake of the expressions; values that vary with pairs; arrays that do not fit
    /// each other; no executor that may run them; and as [`run`](crate::run()).
    #[track_caller]
    pub fn run(self) -> Result<Values, Error> {
        if let Some(error) = self.roots.iter().find_map(|root| root.mistake()) {
            return Err(error.clone());
        }
        let pairs = |root: &&&LazyTensor<'_, T>| root.node.facts.stratum == Stratum::Pair;
        if let Some(root) = self.roots.iter().find(pairs) {
            return Err(words::unreduced(root));
        }
        if self.roots.iter().any(|root| matches!(root.node.what, What::Masked(_))) {
            return Err(words::masked("eval", Location::caller()));
        }
        let flat = Flat::new(&self.roots, self.manner);
        let known = resolve::known(&flat, self.manner)?;
        let (kernel, order) = known.kernel()?;
        let held = Held::new(&flat.inputs);
        let raw = |&n: &usize| held.raw(n, &flat.inputs[n]);
        let inputs = order.iter().map(raw).collect::<Result<Vec<RawArray>, Error>>()?;
        let mut bound = Bound::inputs(kernel, &inputs, self.rows)?;
        match self.ranges {
            None => (),
            Some(ranges) if self.manner.pairs => bound.restrict_pairs(kernel, ranges)?,
            Some(ranges) => match bound.restrict(kernel, ranges) {
                // A sum left the pairs: the formula again, in which none does.
                Err(why) if why.code() == Code::RangesKernel => {
                    let manner = Manner { pairs: true, ..self.manner };
                    return Evaluation { manner, ..self }.run();
                }
                checked => checked?,
            },
        }
        let mut arrays = Vec::with_capacity(self.roots.len());
        let mut outputs = Vec::with_capacity(self.roots.len());
        for value in kernel.outputs() {
            let (array, raw) = call::make(kernel, &value, &bound)?;
            arrays.push((value.component, Some(array)));
            outputs.push(raw);
        }
        bound.outputs(kernel, &outputs)?;
        let report = execute(kernel, bound, &self.options)?;
        Ok(Values { arrays, report })
    }
}

/// The values of an evaluation, in its order.
pub struct Values {
    arrays: Vec<(ComponentType, Option<Box<dyn Any + Send + Sync>>)>,
    report: Report,
}

impl Values {
    /// Moves a value out, counted from 0.
    ///
    /// # Errors
    /// For a value that was taken before or that is not there, and for another type.
    pub fn take<C: Component>(&mut self, index: usize) -> Result<Array2<C>, Error> {
        let count = self.arrays.len();
        let missing = || words::no_value(index, count);
        let (component, array) = self.arrays.get_mut(index).ok_or_else(missing)?;
        if *component != C::TYPE {
            return Err(words::value_type(index, *component, C::TYPE));
        }
        let array = array.take().ok_or_else(missing)?.downcast::<Array2<C>>();
        array.map(|array| *array).map_err(|_| missing())
    }

    /// What ran.
    pub fn report(&self) -> &Report {
        &self.report
    }
}

impl<T: Element> LazyTensor<'_, T> {
    /// Works the expression out: one row for each row of the axis along which it varies, or one
    /// row where it varies along none.
    ///
    /// # Errors
    /// As [`Evaluation::run`], and when the values are not reals: see
    /// [`eval_index`](LazyTensor::eval_index) and [`eval_complex`](LazyTensor::eval_complex).
    pub fn eval(&self) -> Result<Array2<T>, Error> {
        self.eval_with(Options::new())
    }

    /// [`eval`](LazyTensor::eval) with options.
    ///
    /// # Errors
    /// As [`eval`](LazyTensor::eval), and when the call is cancelled.
    pub fn eval_with(&self, options: Options<'_>) -> Result<Array2<T>, Error> {
        evaluate(&[self]).options(options).run()?.take(0)
    }

    /// [`eval`](LazyTensor::eval) for row numbers, counts and other integers.
    ///
    /// # Errors
    /// As [`Evaluation::run`], and when the values are not integers.
    pub fn eval_index(&self) -> Result<Array2<i64>, Error> {
        evaluate(&[self]).run()?.take(0)
    }

    /// [`eval`](LazyTensor::eval) for complex numbers.
    ///
    /// # Errors
    /// As [`Evaluation::run`], and when the values are not complex.
    pub fn eval_complex(&self) -> Result<Array2<Complex<T>>, Error> {
        evaluate(&[self]).run()?.take(0)
    }

    /// The product of the matrix with a vector (N), or with the columns of a matrix (N, E):
    /// `sum_j K_ij v_j`.
    ///
    /// ```no_run
    /// use ndarray::array;
    /// use tilefold::LazyTensor;
    ///
    /// let (x, y) = (array![[0.0], [1.0]], array![[0.0], [2.0]]);
    /// let k = (LazyTensor::i(x.view()) - LazyTensor::j(y.view())).square();
    /// assert_eq!(k.dot(&array![1.0, 10.0])?, array![40.0, 11.0]);
    /// # Ok::<(), tilefold::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Evaluation::run`], and when the matrix has more than one component.
    pub fn dot<R: RightSide<T>>(&self, v: &R) -> Result<R::Output, Error> {
        self.check_matrix("dot")?;
        let v_j = LazyTensor::j(v.columns());
        (self * v_j).sum(Axis::J).eval().map(R::output)
    }
}

/// A vector or a matrix that a [`LazyTensor`] is multiplied with.
pub trait RightSide<T> {
    /// The product: as many axes.
    type Output;

    /// The columns.
    fn columns(&self) -> ArrayView2<'_, T>;

    /// The product from its columns.
    fn output(columns: Array2<T>) -> Self::Output;
}

impl<T: Element, S: Data<Elem = T>> RightSide<T> for ArrayBase<S, Ix1> {
    type Output = Array1<T>;

    fn columns(&self) -> ArrayView2<'_, T> {
        self.view().insert_axis(ndarray::Axis(1))
    }

    fn output(columns: Array2<T>) -> Array1<T> {
        columns.into_iter().collect()
    }
}

impl<T: Element, S: Data<Elem = T>> RightSide<T> for ArrayBase<S, Ix2> {
    type Output = Array2<T>;

    fn columns(&self) -> ArrayView2<'_, T> {
        self.view()
    }

    fn output(columns: Array2<T>) -> Array2<T> {
        columns
    }
}
