//! Arrays of the caller. Goes in: ndarray views, slices, scalars or raw parts. Comes out: an
//! address, a shape and strides, without a copy. It never reads the numbers.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr;

use ndarray::{ArrayBase, ArrayView, ArrayViewMut, Data, DataMut, Dimension};

use crate::batch::Dim;
use crate::element::{Component, ComponentType};

/// How many axes the caller's array has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    Scalar,
    Vector,
    Matrix,
}

/// An array without its lifetime. A vector is one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawArray {
    pub data: *mut c_void,
    pub component: ComponentType,
    pub rank: Rank,
    pub rows: usize,
    pub cols: usize,
    pub row_stride: isize,
    pub col_stride: isize,
    /// What is in front of rows and columns, the outermost first; only matrices have it.
    pub batch: Box<[Dim]>,
}

impl RawArray {
    /// A dense matrix, row after row.
    pub fn dense(
        data: *mut c_void,
        component: ComponentType,
        rows: usize,
        cols: usize,
    ) -> RawArray {
        let row_stride = isize::try_from(cols).unwrap_or(isize::MAX);
        RawArray {
            data,
            component,
            rank: Rank::Matrix,
            rows,
            cols,
            row_stride,
            col_stride: 1,
            batch: Box::default(),
        }
    }

    /// Any array: a scalar, a vector, a matrix, or a matrix behind batch dimensions.
    fn new<T: Component>(data: *const T, shape: &[usize], strides: &[isize]) -> RawArray {
        let array = RawArray::dense(data.cast_mut().cast(), T::TYPE, 1, 1);
        match (shape, strides) {
            (&[.., rows, cols], &[.., row_stride, col_stride]) => {
                let dims = shape.iter().zip(strides).take(shape.len() - 2);
                let batch = dims.map(|(&len, &stride)| Dim { len, stride }).collect();
                RawArray { rows, cols, row_stride, col_stride, batch, ..array }
            }
            (&[rows], &[row_stride]) => RawArray { rank: Rank::Vector, rows, row_stride, ..array },
            _ => RawArray { rank: Rank::Scalar, ..array },
        }
    }

    /// The rows as items of a batch; none if they are not so many, or are items already.
    #[cfg(feature = "cuda")]
    pub fn batched(self, shape: &[usize]) -> Option<RawArray> {
        let items = shape.iter().try_fold(1_usize, |items, &len| items.checked_mul(len))?;
        if items == 0 || !self.rows.is_multiple_of(items) || !self.batch.is_empty() {
            return None;
        }
        let rows = self.rows / items;
        let mut stride = self.row_stride.wrapping_mul(rows as isize);
        let dim = |&len: &usize| {
            let dim = Dim { len, stride };
            // What wraps is outside of memory, and is refused when the array is bound.
            stride = stride.wrapping_mul(len as isize);
            dim
        };
        let mut batch: Box<[Dim]> = shape.iter().rev().map(dim).collect();
        batch.reverse();
        Some(RawArray { rows, batch, ..self })
    }

    /// As [`RawArray::new`], of a parameter: a vector behind batch dimensions.
    #[cfg(feature = "lazy")]
    fn parameter<T: Component>(data: *const T, shape: &[usize], strides: &[isize]) -> RawArray {
        let (Some((&len, shape)), Some((&stride, strides))) =
            (shape.split_last(), strides.split_last())
        else {
            return RawArray::new(data, shape, strides);
        };
        if shape.is_empty() {
            return RawArray::new(data, &[len], &[stride]);
        }
        RawArray::new(data, &[shape, &[1, len]].concat(), &[strides, &[0, stride]].concat())
    }
}

/// An array that a kernel reads.
///
/// It is made from a 2-d view with any strides (also negative and zero ones: nothing is copied),
/// from a 1-d view (a parameter, or an `i` or `j` variable of one column), or from a reference
/// to a scalar (a parameter of one column).
///
/// A view of more than two axes has batch dimensions in front of its rows and columns (1 row where
/// it is a parameter). Those of all arguments broadcast as in NumPy, and the kernel runs for each
/// item by itself: row numbers count from 0 in each. Its numbers are `f32` or `f64` as the kernel
/// computes, `Complex` of these for a complex variable, whose rows have to be contiguous, or
/// `i64` for an integer one.
///
/// ```
/// use ndarray::{Array2, Array3, s};
/// use tilefold::Operand;
///
/// let points = Array2::<f32>::zeros((10, 4));
/// let reversed = Operand::from(points.slice(s![..;-1, 1..]));
/// let whole = Operand::from(&points);
/// let gamma = Operand::from(&0.5_f32);
/// let items = Array3::<f32>::zeros((2, 10, 4));
/// let batch = Operand::from(&items);
/// # let _ = (reversed, whole, gamma, batch);
/// ```
#[derive(Clone, Debug)]
pub struct Operand<'a> {
    pub(crate) raw: RawArray,
    life: PhantomData<&'a ()>,
}

// SAFETY: it is a shared borrow of numbers, by another name.
unsafe impl Send for Operand<'_> {}
// SAFETY: as above.
unsafe impl Sync for Operand<'_> {}

impl<'a> Operand<'a> {
    fn new(raw: RawArray) -> Operand<'a> {
        Operand { raw, life: PhantomData }
    }

    /// An `i`- or a `j`-variable of any rank, if it is one that kernels can read.
    #[cfg(feature = "lazy")]
    pub(crate) fn variable<T: Component, D: Dimension>(
        view: &ArrayView<'a, T, D>,
    ) -> Option<Operand<'a>> {
        let raw = || RawArray::new(view.as_ptr(), view.shape(), view.strides());
        (view.ndim() > 0).then(|| Operand::new(raw()))
    }

    /// A parameter of any rank, a row of numbers behind batch dimensions, if it is one that kernels
    /// can read.
    #[cfg(feature = "lazy")]
    pub(crate) fn parameter<T: Component, D: Dimension>(
        view: &ArrayView<'a, T, D>,
    ) -> Option<Operand<'a>> {
        let raw = RawArray::parameter(view.as_ptr(), view.shape(), view.strides());
        Some(Operand::new(raw))
    }

    /// The same array without its lifetime. Whoever keeps it has to keep the borrow as well.
    #[cfg(feature = "lazy")]
    pub(crate) fn unbound(self) -> Operand<'static> {
        Operand::new(self.raw)
    }

    /// Whether both are the same elements of the same memory in the same order.
    #[cfg(feature = "lazy")]
    pub(crate) fn is_same(&self, other: &Operand<'_>) -> bool {
        self.raw == other.raw
    }

    /// A matrix by address, for adapters of other array libraries. Strides count elements.
    ///
    /// # Safety
    /// For `'a`, every element that shape and strides reach must be readable and not be
    /// written by anyone.
    pub unsafe fn from_raw_parts<T: Component>(
        data: *const T,
        shape: (usize, usize),
        strides: (isize, isize),
    ) -> Operand<'a> {
        Operand::new(RawArray::new(data, &[shape.0, shape.1], &[strides.0, strides.1]))
    }
}

impl<'a, T: Component, D: Dimension> From<ArrayView<'a, T, D>> for Operand<'a> {
    fn from(view: ArrayView<'a, T, D>) -> Operand<'a> {
        Operand::new(RawArray::new(view.as_ptr(), view.shape(), view.strides()))
    }
}

impl<'a, T: Component, S: Data<Elem = T>, D: Dimension> From<&'a ArrayBase<S, D>> for Operand<'a> {
    fn from(array: &'a ArrayBase<S, D>) -> Operand<'a> {
        array.view().into()
    }
}

impl<'a, T: Component> From<&'a [T]> for Operand<'a> {
    fn from(slice: &'a [T]) -> Operand<'a> {
        Operand::new(RawArray::new(slice.as_ptr(), &[slice.len()], &[1]))
    }
}

impl<'a, T: Component> From<&'a T> for Operand<'a> {
    fn from(scalar: &'a T) -> Operand<'a> {
        Operand::new(RawArray::new(ptr::from_ref(scalar), &[], &[]))
    }
}

/// An array that a kernel writes. It must be dense: row after row, without gaps. Where arguments
/// have batch dimensions it has those that they broadcast to, in front of its rows.
///
/// ```
/// use ndarray::Array2;
/// use tilefold::OutputMut;
///
/// let mut nearest = Array2::<i64>::zeros((10, 1));
/// let output = OutputMut::from(&mut nearest);
/// # let _ = output;
/// ```
#[derive(Debug)]
pub struct OutputMut<'a> {
    pub(crate) raw: RawArray,
    life: PhantomData<&'a mut ()>,
}

// SAFETY: it is a unique borrow of numbers, by another name.
unsafe impl Send for OutputMut<'_> {}
// SAFETY: nothing can be done with a shared reference to it.
unsafe impl Sync for OutputMut<'_> {}

impl<'a> OutputMut<'a> {
    fn new(raw: RawArray) -> OutputMut<'a> {
        OutputMut { raw, life: PhantomData }
    }

    /// A dense matrix by address, for adapters of other array libraries.
    ///
    /// # Safety
    /// For `'a`, `shape.0 * shape.1` elements at `data` must be writable, and no one else may
    /// read or write them.
    pub unsafe fn from_raw_parts<T: Component>(
        data: *mut T,
        shape: (usize, usize),
    ) -> OutputMut<'a> {
        OutputMut::new(RawArray::dense(data.cast(), T::TYPE, shape.0, shape.1))
    }
}

impl<'a, T: Component, D: Dimension> From<ArrayViewMut<'a, T, D>> for OutputMut<'a> {
    fn from(mut view: ArrayViewMut<'a, T, D>) -> OutputMut<'a> {
        let data = view.as_mut_ptr();
        OutputMut::new(RawArray::new(data, view.shape(), view.strides()))
    }
}

impl<'a, T: Component, S: DataMut<Elem = T>, D: Dimension> From<&'a mut ArrayBase<S, D>>
    for OutputMut<'a>
{
    fn from(array: &'a mut ArrayBase<S, D>) -> OutputMut<'a> {
        array.view_mut().into()
    }
}
