//! Evaluation. Goes in: expressions without pairs, and how to run them. Comes out: arrays and a
//! report. It never computes; executors do.

use std::any::Any;
use std::panic::Location;

use ndarray::{Array1, Array2, ArrayBase, ArrayD, ArrayView1, ArrayView2, ArrayViewD};
use ndarray::{Data, Ix1, Ix2};
use num_complex::Complex;
use smallvec::SmallVec;
use tilefold_compiler::ir::{Accumulation, Stratum};

use super::flat::{Flat, Manner};
use super::node::What;
use super::source::Held;
use super::{LazyTensor, resolve, words};
use crate::bind::Bound;
use crate::call::{self, Made};
use crate::element::{Component, ComponentType, Element};
use crate::error::{Code, Error};
use crate::kernel::Axis;
use crate::operand::RawArray;
use crate::options::Options;
use crate::ranges::Ranges;
use crate::report::Report;

/// Evaluates several expressions in one go: what they have in common is worked out once.
///
/// ```
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
        roots: SmallVec::from_slice(values),
        options: Options::new(),
        rows: None,
        ranges: None,
        manner: Manner::default(),
    }
}

/// An evaluation, put together step by step. See [`evaluate`].
#[must_use = "an evaluation does nothing until it is run"]
pub struct Evaluation<'e, 'a, T> {
    pub(super) roots: SmallVec<[&'e LazyTensor<'a, T>; 1]>,
    pub(super) options: Options<'e>,
    pub(super) rows: Option<(usize, usize)>,
    pub(super) ranges: Option<&'e Ranges>,
    pub(super) manner: Manner,
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
        self.check()?;
        let flat = Flat::new(&self.roots, self.manner);
        let known = resolve::known(&flat, self.manner)?;
        let code = known.code(flat.pairs(), &self.options)?;
        let kernel = code.kernel;
        let held = Held::new(&flat.inputs);
        let raw = |&n: &usize| held.raw(n, &flat.inputs[n]);
        let inputs = code.order.iter().map(raw);
        let inputs = inputs.collect::<Result<SmallVec<[RawArray; 4]>, Error>>()?;
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
        let made = kernel.outputs().map(|value| call::make(kernel, &value, &bound));
        let made: SmallVec<[Made; 1]> = made.collect::<Result<_, Error>>()?;
        bound.outputs(kernel, made.iter().map(|(_, raw)| raw))?;
        let slots = made.into_iter().zip(&self.roots).map(|((array, raw), root)| Slot {
            component: raw.component,
            batch: root.node.batch.clone(),
            worked_out: root.node.extent().into(),
            array: Some(array),
        });
        let slots = slots.collect();
        let batch = bound.batch_shape().to_vec();
        let report = code.execute(bound, &self.options)?;
        Ok(Values { slots, batch, report })
    }

    /// Refuses what cannot be worked out at all.
    #[track_caller]
    pub(super) fn check(&self) -> Result<(), Error> {
        if let Some(error) = self.roots.iter().find_map(|root| root.mistake()) {
            return Err(error.clone());
        }
        let pairs = |root: &&&LazyTensor<'_, T>| root.node.facts.stratum == Stratum::Pair;
        if let Some(root) = self.roots.iter().find(pairs) {
            return Err(words::unreduced(root));
        }
        match self.roots.iter().any(|root| matches!(root.node.what, What::Masked(_))) {
            true => Err(words::masked("eval", Location::caller())),
            false => Ok(()),
        }
    }
}

/// The values of an evaluation, in its order.
pub struct Values {
    slots: SmallVec<[Slot; 1]>,
    /// The batch dimensions of the call, which all arrays have.
    batch: Vec<usize>,
    report: Report,
}

struct Slot {
    component: ComponentType,
    /// The batch dimensions of the value.
    batch: Box<[usize]>,
    /// Those that it was worked out for: a gradient is summed over the rest.
    worked_out: Box<[usize]>,
    /// An `Array2`, or an `ArrayD` if the call had batch dimensions.
    array: Option<Box<dyn Any + Send + Sync>>,
}

impl Values {
    /// Moves a value out, counted from 0.
    ///
    /// # Errors
    /// For a value that was taken before or that is not there, for another type, and for a value
    /// with batch dimensions.
    pub fn take<C: Component>(&mut self, index: usize) -> Result<Array2<C>, Error> {
        if let Some(slot) = self.slots.get(index)
            && !slot.batch.is_empty()
        {
            return Err(words::batched_value(&slot.batch));
        }
        if self.batch.is_empty() {
            return self.take_as::<C, _>(index);
        }
        let array = self.take_nd::<C>(index)?.into_dimensionality();
        array.map_err(|_| words::no_value(index, self.slots.len()))
    }

    /// As [`take`](Values::take), with the batch dimensions in front of rows and columns, if there
    /// are any.
    ///
    /// # Errors
    /// For a value that was taken before or that is not there, and for another type.
    pub fn take_nd<C: Component>(&mut self, index: usize) -> Result<ArrayD<C>, Error> {
        if self.batch.is_empty() {
            return self.take_as::<C, Array2<C>>(index).map(Array2::into_dyn);
        }
        let array: ArrayD<C> = self.take_as::<C, _>(index)?;
        let Slot { batch, worked_out, .. } = &self.slots[index];
        match **batch == *self.batch {
            true => Ok(array),
            false => Ok(gathered(array, batch, worked_out)),
        }
    }

    fn take_as<C: Component, A: 'static>(&mut self, index: usize) -> Result<A, Error> {
        let count = self.slots.len();
        let missing = || words::no_value(index, count);
        let slot = self.slots.get_mut(index).ok_or_else(missing)?;
        if slot.component != C::TYPE {
            return Err(words::value_type(index, slot.component, C::TYPE));
        }
        let array = slot.array.take().ok_or_else(missing)?.downcast();
        array.map(|array| *array).map_err(|_| missing())
    }

    /// What ran.
    pub fn report(&self) -> &Report {
        &self.report
    }
}

/// A value of its own batch dimensions, from one with those of the call: along a dimension that the
/// value does not have it is repeated, so one item says it all; but a gradient that was worked
/// out for several items is their sum, in float64.
pub(super) fn gathered<C: Component>(
    array: ArrayD<C>,
    batch: &[usize],
    worked_out: &[usize],
) -> ArrayD<C> {
    let rank = array.ndim() - 2;
    let mut array = array;
    for at in 0..rank {
        let len = |shape: &[usize]| {
            let missing = rank - shape.len();
            if at < missing { 1 } else { shape[at - missing] }
        };
        let axis = ndarray::Axis(at);
        if array.len_of(axis) == len(batch) {
            continue;
        }
        array = match len(worked_out) {
            1 => array.select(axis, &[0]),
            _ => array.map_axis(axis, sum).insert_axis(axis),
        };
    }
    // What the value does not have has one item now.
    for _ in 0..rank - batch.len() {
        array = array.index_axis_move(ndarray::Axis(0), 0);
    }
    array
}

/// Whether a value of batch dimensions is a sum over some of those that it was worked out for.
#[cfg(feature = "cuda")]
pub(super) fn is_in_parts(batch: &[usize], worked_out: &[usize]) -> bool {
    let own = batch.iter().rev().chain(std::iter::repeat(&1));
    worked_out.iter().rev().zip(own).any(|(all, own)| all != own)
}

fn sum<C: Component>(numbers: ArrayView1<'_, C>) -> C {
    let add = |[a, b]: [f64; 2], x: &C| {
        let [re, im] = x.parts();
        [a + re, b + im]
    };
    C::of_parts(numbers.iter().fold([0.0; 2], add))
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

    /// [`eval`](LazyTensor::eval) with the batch dimensions in front of rows and columns.
    ///
    /// ```
    /// use ndarray::Array;
    /// use tilefold::{Axis, LazyTensor};
    ///
    /// // Five sets of targets, one set of sources.
    /// let x = Array::<f64, _>::ones((5, 4, 3));
    /// let y = Array::<f64, _>::zeros((7, 3));
    /// let d = LazyTensor::i(x.view()).sqdist(LazyTensor::j(y.view()));
    /// let a = d.sum(Axis::J).eval_nd()?;
    /// assert_eq!(a, Array::from_elem((5, 4, 1), 21.0).into_dyn());
    /// # Ok::<(), tilefold::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`eval`](LazyTensor::eval).
    pub fn eval_nd(&self) -> Result<ArrayD<T>, Error> {
        evaluate(&[self]).run()?.take_nd(0)
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
    /// ```
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

    /// [`dot`](LazyTensor::dot) with matrices behind batch dimensions, (B.., N, E), which are
    /// broadcast with those of this matrix.
    ///
    /// # Errors
    /// As [`dot`](LazyTensor::dot).
    pub fn dot_nd(&self, v: ArrayViewD<'_, T>) -> Result<ArrayD<T>, Error> {
        self.check_matrix("dot_nd")?;
        (self * LazyTensor::j(v)).sum(Axis::J).eval_nd()
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
