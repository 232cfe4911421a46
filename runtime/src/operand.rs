//! Arrays of the caller. Goes in: ndarray views, slices, scalars or raw parts. Comes out: an
//! address, a shape and strides, without a copy. It never reads the numbers.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr;

use ndarray::{ArrayBase, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};
#[cfg(feature = "lazy")]
use ndarray::{ArrayView, Dimension};
use ndarray::{Data, DataMut, Ix1, Ix2};

use crate::element::{Component, ComponentType};

/// How many axes the caller's array has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    Scalar,
    Vector,
    Matrix,
}

/// An array without its lifetime. A vector is one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawArray {
    pub data: *mut c_void,
    pub component: ComponentType,
    pub rank: Rank,
    pub rows: usize,
    pub cols: usize,
    pub row_stride: isize,
    pub col_stride: isize,
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
        RawArray { data, component, rank: Rank::Matrix, rows, cols, row_stride, col_stride: 1 }
    }

    fn matrix<T: Component>(data: *const T, shape: (usize, usize), strides: &[isize]) -> RawArray {
        RawArray {
            data: data.cast_mut().cast(),
            component: T::TYPE,
            rank: Rank::Matrix,
            rows: shape.0,
            cols: shape.1,
            row_stride: strides[0],
            col_stride: strides[1],
        }
    }

    fn vector<T: Component>(data: *const T, len: usize, stride: isize) -> RawArray {
        RawArray {
            data: data.cast_mut().cast(),
            component: T::TYPE,
            rank: Rank::Vector,
            rows: len,
            cols: 1,
            row_stride: stride,
            col_stride: 1,
        }
    }

    fn scalar<T: Component>(data: *const T) -> RawArray {
        RawArray { rank: Rank::Scalar, ..RawArray::vector(data, 1, 1) }
    }
}

/// An array that a kernel reads.
///
/// It is made from a 2-d view with any strides (also negative and zero ones: nothing is copied),
/// from a 1-d view (a parameter, or an `i` or `j` variable of one column), or from a reference
/// to a scalar (a parameter of one column). Its numbers are `f32` or `f64` as the kernel
/// computes, `Complex` of these for a complex variable, whose rows have to be contiguous, or
/// `i64` for an integer one.
///
/// ```
/// use ndarray::{Array2, s};
/// use tilefold::Operand;
///
/// let points = Array2::<f32>::zeros((10, 4));
/// let reversed = Operand::from(points.slice(s![..;-1, 1..]));
/// let whole = Operand::from(&points);
/// let gamma = Operand::from(&0.5_f32);
/// # let _ = (reversed, whole, gamma);
/// ```
#[derive(Clone, Copy, Debug)]
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
        view: ArrayView<'a, T, D>,
    ) -> Option<Operand<'a>> {
        match view.ndim() {
            1 => view.into_dimensionality::<Ix1>().ok().map(Operand::from),
            2 => view.into_dimensionality::<Ix2>().ok().map(Operand::from),
            _ => None,
        }
    }

    /// A parameter of any rank, if it is one that kernels can read.
    #[cfg(feature = "lazy")]
    pub(crate) fn parameter<T: Component, D: Dimension>(
        view: ArrayView<'a, T, D>,
    ) -> Option<Operand<'a>> {
        match view.ndim() {
            0 => Some(Operand::new(RawArray::scalar(view.as_ptr()))),
            1 => view.into_dimensionality::<Ix1>().ok().map(Operand::from),
            _ => None,
        }
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
        Operand::new(RawArray::matrix(data, shape, &[strides.0, strides.1]))
    }
}

impl<'a, T: Component> From<ArrayView2<'a, T>> for Operand<'a> {
    fn from(view: ArrayView2<'a, T>) -> Operand<'a> {
        Operand::new(RawArray::matrix(view.as_ptr(), view.dim(), view.strides()))
    }
}

impl<'a, T: Component> From<ArrayView1<'a, T>> for Operand<'a> {
    fn from(view: ArrayView1<'a, T>) -> Operand<'a> {
        Operand::new(RawArray::vector(view.as_ptr(), view.len(), view.strides()[0]))
    }
}

impl<'a, T: Component, S: Data<Elem = T>> From<&'a ArrayBase<S, Ix2>> for Operand<'a> {
    fn from(array: &'a ArrayBase<S, Ix2>) -> Operand<'a> {
        array.view().into()
    }
}

impl<'a, T: Component, S: Data<Elem = T>> From<&'a ArrayBase<S, Ix1>> for Operand<'a> {
    fn from(array: &'a ArrayBase<S, Ix1>) -> Operand<'a> {
        array.view().into()
    }
}

impl<'a, T: Component> From<&'a [T]> for Operand<'a> {
    fn from(slice: &'a [T]) -> Operand<'a> {
        Operand::new(RawArray::vector(slice.as_ptr(), slice.len(), 1))
    }
}

impl<'a, T: Component> From<&'a T> for Operand<'a> {
    fn from(scalar: &'a T) -> Operand<'a> {
        Operand::new(RawArray::scalar(ptr::from_ref(scalar)))
    }
}

/// An array that a kernel writes. It must be dense: row after row, without gaps.
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

impl<'a, T: Component> From<ArrayViewMut2<'a, T>> for OutputMut<'a> {
    fn from(mut view: ArrayViewMut2<'a, T>) -> OutputMut<'a> {
        let data = view.as_mut_ptr();
        OutputMut::new(RawArray::matrix(data, view.dim(), view.strides()))
    }
}

impl<'a, T: Component> From<ArrayViewMut1<'a, T>> for OutputMut<'a> {
    fn from(mut view: ArrayViewMut1<'a, T>) -> OutputMut<'a> {
        let data = view.as_mut_ptr();
        OutputMut::new(RawArray::vector(data, view.len(), view.strides()[0]))
    }
}

impl<'a, T: Component, S: DataMut<Elem = T>> From<&'a mut ArrayBase<S, Ix2>> for OutputMut<'a> {
    fn from(array: &'a mut ArrayBase<S, Ix2>) -> OutputMut<'a> {
        array.view_mut().into()
    }
}

impl<'a, T: Component, S: DataMut<Elem = T>> From<&'a mut ArrayBase<S, Ix1>> for OutputMut<'a> {
    fn from(array: &'a mut ArrayBase<S, Ix1>) -> OutputMut<'a> {
        array.view_mut().into()
    }
}
