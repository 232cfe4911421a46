//! Symbolic matrices on arrays. Goes in: arrays of the caller, and mathematics on them. Comes
//! out: an expression, which is worked out when it is evaluated, tile by tile. An M x N matrix
//! is never stored, and arrays are never copied.
//!
//! ```
//! use ndarray::{Array2, array};
//! use tilefold::{Axis, LazyTensor};
//!
//! let x = array![[0.0], [1.0]];
//! let y = array![[0.0], [1.0], [3.0]];
//! let (x_i, y_j) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
//! let d_ij = (x_i - y_j).square().sum_inner();
//! let k_ij = (-d_ij).exp();
//! let a_i: Array2<f64> = k_ij.sum(Axis::J).eval()?;
//! assert!((a_i[[0, 0]] - (1.0 + (-1.0_f64).exp() + (-9.0_f64).exp())).abs() < 1e-15);
//! # Ok::<(), tilefold::Error>(())
//! ```
//!
//! The map: `node` has nodes and their shapes, `source` arrays that others own, `device` arrays and
//! evaluations on a CUDA device, `operators` the
//! operators of Rust, `methods` one method an operation (generated), `components` slices and
//! joins, `swap` the transpose, `linear` products, `solve` systems, `derive` derivatives, `genred`
//! formulas from strings, `flat` turns an expression into a formula, `resolve` finds code for it,
//! `evaluate` runs it. `made` finds code in the same way for formulas of files whose sizes are
//! known at run time only.

mod components;
mod derive;
#[cfg(feature = "cuda")]
mod device;
mod display;
mod evaluate;
mod flat;
#[cfg(feature = "text")]
mod genred;
mod linear;
mod literals;
#[cfg(feature = "text")]
mod made;
mod methods;
mod node;
mod operators;
mod quick;
mod registry;
mod resolve;
mod solve;
mod source;
mod swap;
mod words;

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use ndarray::{ArrayView, Dimension};
use num_complex::Complex;
use tilefold_compiler::ir::{self, Facts, Stratum, ints};

use crate::element::{Component, ComponentType, Element};
use crate::error::Error;
use crate::kernel::Axis;
use crate::operand::Operand;

#[cfg(feature = "cuda")]
pub use self::device::{DeviceValues, OnStream};
pub use self::evaluate::{Evaluation, RightSide, Values, evaluate};
#[cfg(feature = "text")]
pub use self::genred::{Genred, Reduction};
#[cfg(feature = "text")]
pub(crate) use self::made::{MadeFormula, made};
pub use self::operators::IntoLazy;
pub use self::registry::register;
pub use self::resolve::allow;
pub use self::solve::SolveAdjoint;
pub use self::source::{Reading, Source, SourceView};

use self::node::{Leaf, Node, What};

/// A symbolic matrix, or what is left of one after a reduction: for each row `i`, each row `j`, or
/// each pair of them, a vector of `dim` components.
///
/// It is made from arrays with [`i`](LazyTensor::i), [`j`](LazyTensor::j) and
/// [`param`](LazyTensor::param), combined with operators and methods, reduced over an [`Axis`],
/// and worked out by [`eval`](LazyTensor::eval). Cloning it copies a pointer. Operands are
/// broadcast: a vector of one component fits any, and so does what does not vary along an axis.
///
/// It borrows its arrays for as long as it is used, not until the end of its scope:
///
/// ```
/// use ndarray::array;
/// use tilefold::{Axis, LazyTensor};
///
/// let mut x = array![[0.0], [1.0]];
/// for _ in 0..3 {
///     let (x_i, x_j) = (LazyTensor::i(x.view()), LazyTensor::j(x.view()));
///     let step = (x_j - x_i).mean(Axis::J).eval()?;
///     x += &step;
/// }
/// assert_eq!(x, array![[0.5], [0.5]]);
/// # Ok::<(), tilefold::Error>(())
/// ```
///
/// ```compile_fail,E0502
/// use ndarray::array;
/// use tilefold::LazyTensor;
///
/// let mut x = array![[0.0], [1.0]];
/// let x_i = LazyTensor::i(x.view()).exp();
/// x[[0, 0]] = 5.0;
/// println!("{x_i}");
/// ```
///
/// Building an expression never fails: the first mistake, say two dimensions that do not fit, is
/// kept, and comes out of `eval` as an [`Error`] that points at the line that made it.
#[must_use = "an expression does nothing until it is evaluated"]
pub struct LazyTensor<'a, T> {
    /// Without the lifetime, which `arrays` keeps: an expression that is dropped reads no array, so
    /// an array may change while an expression of it is in scope but no longer used.
    node: Arc<Node<T>>,
    arrays: PhantomData<&'a ()>,
}

impl<'a, T> LazyTensor<'a, T> {
    /// The same expression as a part of a node. Whoever calls this keeps the arrays borrowed.
    fn unbound(self) -> LazyTensor<'static, T> {
        LazyTensor { node: self.node, arrays: PhantomData }
    }
}

impl<T> Clone for LazyTensor<'_, T> {
    fn clone(&self) -> Self {
        LazyTensor { node: self.node.clone(), arrays: PhantomData }
    }
}

/// Whoever calls this keeps the arrays of the node borrowed for the lifetime.
impl<T> From<Node<T>> for LazyTensor<'_, T> {
    fn from(node: Node<T>) -> Self {
        LazyTensor { node: Arc::new(node), arrays: PhantomData }
    }
}

/// What an array in an expression over `T` may hold: `T`, complex numbers of it, or `i64` labels.
pub trait Entry<T>: Component {}

impl<T: Element> Entry<T> for T {}
impl<T: Element> Entry<T> for Complex<T> {}
impl<T: Element> Entry<T> for i64 {}

impl<'a, T: Element> LazyTensor<'a, T> {
    /// A variable of the targets: an array of shape `(M, D)`, or `(B.., M, D)` with batch
    /// dimensions; a 1-d array is M rows of one component. Strides may be any.
    #[track_caller]
    pub fn i<C: Entry<T>, D: Dimension>(array: ArrayView<'a, C, D>) -> LazyTensor<'a, T> {
        LazyTensor::variable(array, Axis::I, Location::caller())
    }

    /// A variable of the sources: an array of shape `(N, D)`, or `(B.., N, D)` with batch
    /// dimensions; a 1-d array is N rows of one component. Strides may be any.
    #[track_caller]
    pub fn j<C: Entry<T>, D: Dimension>(array: ArrayView<'a, C, D>) -> LazyTensor<'a, T> {
        LazyTensor::variable(array, Axis::J, Location::caller())
    }

    /// A parameter, the same for all rows: an array of shape `(D)`, or `(B.., D)` with batch
    /// dimensions.
    #[track_caller]
    pub fn param<C: Entry<T>, D: Dimension>(array: ArrayView<'a, C, D>) -> LazyTensor<'a, T> {
        let operand = Operand::parameter(&array).map(|operand| Leaf::View(operand.unbound()));
        leaf(operand, C::TYPE, None, array.shape(), Location::caller())
    }

    /// A number that is passed with every evaluation: expressions that differ in such numbers only
    /// are one formula, which is compiled once. Where a number stands beside a `LazyTensor` in an
    /// operator or a method, it is made into this.
    pub fn number(value: T) -> LazyTensor<'a, T> {
        LazyTensor::scalar(What::Number(value), Stratum::Param)
    }

    /// A number that is part of the formula, in float64: other numbers make other formulas. Whole
    /// numbers written as `i32` beside a `LazyTensor` are made into this.
    pub fn constant(value: f64) -> LazyTensor<'a, T> {
        LazyTensor::scalar(What::Const(value), Stratum::Const)
    }

    /// The row numbers of an axis, from 0: exact integers of one component.
    pub fn pos(axis: Axis) -> LazyTensor<'a, T> {
        let stratum = Stratum::of(Some(axis.into()));
        let facts = Facts { bits: ints::ROW_BITS, kind: ir::Kind::Int, ..Facts::real(1, stratum) };
        let what = What::Pos(axis.into());
        LazyTensor::from(Node { what, facts, rows: [None; 2], batch: Box::new([]) })
    }

    fn scalar(what: What<T>, stratum: Stratum) -> LazyTensor<'a, T> {
        let facts = Facts::real(1, stratum);
        LazyTensor::from(Node { what, facts, rows: [None; 2], batch: Box::new([]) })
    }

    fn variable<C: Entry<T>, D: Dimension>(
        array: ArrayView<'a, C, D>,
        axis: Axis,
        at: &'static Location<'static>,
    ) -> LazyTensor<'a, T> {
        let operand = Operand::variable(&array).map(|operand| Leaf::View(operand.unbound()));
        leaf(operand, C::TYPE, Some(axis), array.shape(), at)
    }

    /// Components of each vector; complex numbers count once.
    pub fn dim(&self) -> usize {
        self.node.facts.kind.count(self.node.facts.dim)
    }

    /// How many rows an axis has, if an array says so and the value varies along it.
    pub fn rows(&self, axis: Axis) -> Option<usize> {
        self.node.rows[ir::Axis::from(axis) as usize]
    }

    /// The dimensions in front of rows and columns.
    pub fn batch(&self) -> &[usize] {
        &self.node.batch
    }

    /// The shape, as NumPy would see it: the batch, the rows of `i` and of `j` (1 where the value
    /// does not vary along them), the components.
    pub fn shape(&self) -> Vec<usize> {
        let rows = |axis| self.rows(axis).unwrap_or(1);
        let own = [rows(Axis::I), rows(Axis::J), self.dim()];
        self.node.batch.iter().copied().chain(own).collect()
    }

    /// The first mistake that was made on the way to this expression. [`eval`](LazyTensor::eval)
    /// gives it too.
    pub fn mistake(&self) -> Option<&Error> {
        match &self.node.what {
            What::Mistake(error) => Some(error),
            _ => None,
        }
    }
}

/// An array as an expression, if kernels can read an array of its rank.
fn leaf<'a, T: Element>(
    array: Option<Leaf>,
    component: ComponentType,
    axis: Option<Axis>,
    shape: &[usize],
    at: &'static Location<'static>,
) -> LazyTensor<'a, T> {
    let Some(array) = array else {
        return LazyTensor::from(node::mistake(words::rank(shape, at)));
    };
    let mut rows = [None; 2];
    let (columns, batch) = match (axis, shape) {
        (None, []) => (1, &[][..]),
        (None, [batch @ .., columns]) => (*columns, batch),
        (Some(axis), []) => return LazyTensor::from(node::mistake(words::no_rows(axis, at))),
        (Some(axis), [len]) => {
            rows[ir::Axis::from(axis) as usize] = Some(*len);
            (1, &[][..])
        }
        (Some(axis), [batch @ .., len, columns]) => {
            rows[ir::Axis::from(axis) as usize] = Some(*len);
            (*columns, batch)
        }
    };
    let (kind, bits, dim) = match component {
        ComponentType::Real(_) => (ir::Kind::Real, 0, columns),
        ComponentType::Complex(_) => (ir::Kind::Complex, 0, columns.saturating_mul(2)),
        ComponentType::Index => (ir::Kind::Int, ints::INPUT_BITS, columns),
    };
    if dim == 0 || dim > ir::MAX_DIM {
        return LazyTensor::from(node::mistake(words::columns(columns, at)));
    }
    let facts = Facts { kind, bits, ..Facts::real(dim, Stratum::of(axis.map(ir::Axis::from))) };
    LazyTensor::from(Node { what: What::Array(array), facts, rows, batch: batch.into() })
}

impl From<Axis> for ir::Axis {
    fn from(axis: Axis) -> ir::Axis {
        match axis {
            Axis::I => ir::Axis::I,
            Axis::J => ir::Axis::J,
        }
    }
}

impl From<ir::Axis> for Axis {
    fn from(axis: ir::Axis) -> Axis {
        match axis {
            ir::Axis::I => Axis::I,
            ir::Axis::J => Axis::J,
        }
    }
}
