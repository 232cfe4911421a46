//! The operators of Rust. Goes in: expressions, references to them and numbers, on either side.
//! Comes out: an expression. It never decides what an operation means.

use std::ops::{Add, BitOr, Div, Mul, Neg, Sub};
use std::panic::Location;

use half::{bf16, f16};
use tilefold_compiler::ops::Op;

use super::LazyTensor;
use super::node::apply_to;
use crate::element::Element;

/// What may stand beside a [`LazyTensor`]: another one, a reference to one, a number of its type
/// (passed with every evaluation, see [`LazyTensor::number`]), or an `i32` (part of the formula,
/// see [`LazyTensor::constant`]).
///
/// ```
/// use tilefold::{IntoLazy, LazyTensor};
///
/// fn twice<'a>(x: impl IntoLazy<'a, f32>) -> LazyTensor<'a, f32> {
///     2 * x.into_lazy()
/// }
/// assert_eq!(twice(0.5).dim(), 1);
/// ```
pub trait IntoLazy<'a, T> {
    /// The operand as an expression.
    fn into_lazy(self) -> LazyTensor<'a, T>;
}

impl<'a, T> IntoLazy<'a, T> for LazyTensor<'a, T> {
    fn into_lazy(self) -> LazyTensor<'a, T> {
        self
    }
}

impl<'a, T> IntoLazy<'a, T> for &LazyTensor<'a, T> {
    fn into_lazy(self) -> LazyTensor<'a, T> {
        self.clone()
    }
}

impl<'a, T: Element> IntoLazy<'a, T> for T {
    fn into_lazy(self) -> LazyTensor<'a, T> {
        LazyTensor::number(self)
    }
}

impl<'a, T: Element> IntoLazy<'a, T> for i32 {
    fn into_lazy(self) -> LazyTensor<'a, T> {
        LazyTensor::constant(f64::from(self))
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $op:ident,)*) => {$(
        impl<'a, T: Element, R: IntoLazy<'a, T>> $trait<R> for LazyTensor<'a, T> {
            type Output = LazyTensor<'a, T>;

            #[track_caller]
            fn $method(self, right: R) -> LazyTensor<'a, T> {
                apply_to(Op::$op, [self, right.into_lazy()], Location::caller())
            }
        }

        impl<'a, T: Element, R: IntoLazy<'a, T>> $trait<R> for &LazyTensor<'a, T> {
            type Output = LazyTensor<'a, T>;

            #[track_caller]
            fn $method(self, right: R) -> LazyTensor<'a, T> {
                apply_to(Op::$op, [self.clone(), right.into_lazy()], Location::caller())
            }
        }

        impl<'a, T: Element> $trait<LazyTensor<'a, T>> for i32 {
            type Output = LazyTensor<'a, T>;

            #[track_caller]
            fn $method(self, right: LazyTensor<'a, T>) -> LazyTensor<'a, T> {
                apply_to(Op::$op, [self.into_lazy(), right], Location::caller())
            }
        }

        impl<'a, T: Element> $trait<&LazyTensor<'a, T>> for i32 {
            type Output = LazyTensor<'a, T>;

            #[track_caller]
            fn $method(self, right: &LazyTensor<'a, T>) -> LazyTensor<'a, T> {
                apply_to(Op::$op, [self.into_lazy(), right.clone()], Location::caller())
            }
        }

        operators!(left $trait $method $op: f16 bf16 f32 f64);
    )*};
    (left $trait:ident $method:ident $op:ident: $($scalar:ident)*) => {$(
        impl<'a> $trait<LazyTensor<'a, $scalar>> for $scalar {
            type Output = LazyTensor<'a, $scalar>;

            #[track_caller]
            fn $method(self, right: LazyTensor<'a, $scalar>) -> LazyTensor<'a, $scalar> {
                apply_to(Op::$op, [self.into_lazy(), right], Location::caller())
            }
        }

        impl<'a> $trait<&LazyTensor<'a, $scalar>> for $scalar {
            type Output = LazyTensor<'a, $scalar>;

            #[track_caller]
            fn $method(self, right: &LazyTensor<'a, $scalar>) -> LazyTensor<'a, $scalar> {
                apply_to(Op::$op, [self.into_lazy(), right.clone()], Location::caller())
            }
        }
    )*};
}

operators! {
    Add add Add,
    Sub sub Sub,
    Mul mul Mul,
    Div div Div,
    // As in KeOps: `x | y` is the scalar product.
    BitOr bitor Dot,
}

impl<'a, T: Element> Neg for LazyTensor<'a, T> {
    type Output = LazyTensor<'a, T>;

    #[track_caller]
    fn neg(self) -> LazyTensor<'a, T> {
        apply_to(Op::Neg, [self], Location::caller())
    }
}

impl<'a, T: Element> Neg for &LazyTensor<'a, T> {
    type Output = LazyTensor<'a, T>;

    #[track_caller]
    fn neg(self) -> LazyTensor<'a, T> {
        apply_to(Op::Neg, [self.clone()], Location::caller())
    }
}
