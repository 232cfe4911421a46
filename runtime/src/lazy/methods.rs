//! Methods.

use std::panic::Location;

use tilefold_compiler::ops::Op;
use tilefold_compiler::reduce::Reducer;

use super::{LazyTensor, apply, node};
use crate::element::Element;
use crate::kernel::Axis;

#[allow(missing_docs)]
impl<'a, T: Element> LazyTensor<'a, T> {
    #[track_caller]
    pub fn exp(&self) -> LazyTensor<'a, T> {
        apply(Op::Exp, &[self], &[], Location::caller())
    }

    #[track_caller]
    pub fn square(&self) -> LazyTensor<'a, T> {
        apply(Op::Square, &[self], &[], Location::caller())
    }

    #[track_caller]
    pub fn sum_inner(&self) -> LazyTensor<'a, T> {
        apply(Op::Sum, &[self], &[], Location::caller())
    }

    #[track_caller]
    pub fn sum(&self, axis: Axis) -> LazyTensor<'a, T> {
        node::fold(Reducer::Sum, axis.into(), &[self], (None, 0), Location::caller())
    }

    #[track_caller]
    pub fn min(&self, axis: Axis) -> LazyTensor<'a, T> {
        node::fold(Reducer::Min, axis.into(), &[self], (None, 0), Location::caller())
    }

    #[track_caller]
    pub fn argmin(&self, axis: Axis) -> LazyTensor<'a, T> {
        node::fold(Reducer::ArgMin, axis.into(), &[self], (None, 0), Location::caller())
    }
}
