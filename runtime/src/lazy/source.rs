//! Arrays that other libraries own. Goes in: something that can be read for a while. Comes out: a
//! leaf of an expression, which is read whenever the expression is evaluated. It never copies.

use std::any::Any;
use std::collections::HashSet;
use std::panic::Location;
use std::sync::Arc;

use half::{bf16, f16};
use ndarray::ArrayViewD;

use super::flat::{Input, axis_of};
use super::node::{Leaf, What, mistake};
use super::{LazyTensor, leaf, words};
#[cfg(feature = "cuda")]
use crate::cuda::DeviceArray;
use crate::element::{Component, ComponentType, Dtype, Element};
use crate::error::Error;
use crate::kernel::Axis;
use crate::operand::{Operand, RawArray};

/// An array whose memory is not borrowed by the expressions that it is part of, as that of
/// [`LazyTensor::i`] is, but owned by another library, which may guard it by a lock.
///
/// It is read once for every evaluation. Its type of numbers and its shape must stay what they are.
pub trait Source: Any + Send + Sync {
    /// The array, for as long as the returned value lives.
    fn read(&self) -> Box<dyn Reading + '_>;

    /// Whether derivatives with respect to both are the same.
    fn is_same(&self, other: &dyn Source) -> bool;
}

/// A [`Source`] while it is read.
pub trait Reading {
    /// The numbers.
    fn view(&self) -> SourceView<'_>;
}

/// The numbers of a [`Source`], with any strides.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SourceView<'a> {
    /// 16-bit floats of IEEE 754.
    F16(ArrayViewD<'a, f16>),
    /// The upper half of 32-bit floats.
    BF16(ArrayViewD<'a, bf16>),
    /// 32-bit floats.
    F32(ArrayViewD<'a, f32>),
    /// 64-bit floats.
    F64(ArrayViewD<'a, f64>),
    /// Exact integers.
    I64(ArrayViewD<'a, i64>),
    /// On a CUDA device: what is made of it is evaluated `on` a stream. The reading is held until
    /// the work is queued.
    #[cfg(feature = "cuda")]
    Device(DeviceArray<'a>),
}

macro_rules! each {
    ($view:expr, $name:ident => $body:expr, $array:ident => $device:expr) => {
        match $view {
            SourceView::F16($name) => $body,
            SourceView::BF16($name) => $body,
            SourceView::F32($name) => $body,
            SourceView::F64($name) => $body,
            SourceView::I64($name) => $body,
            #[cfg(feature = "cuda")]
            SourceView::Device($array) => $device,
        }
    };
}

impl<'a> SourceView<'a> {
    fn component(&self) -> ComponentType {
        match self {
            SourceView::F16(_) => ComponentType::Real(Dtype::F16),
            SourceView::BF16(_) => ComponentType::Real(Dtype::BF16),
            SourceView::F32(_) => ComponentType::Real(Dtype::F32),
            SourceView::F64(_) => ComponentType::Real(Dtype::F64),
            SourceView::I64(_) => ComponentType::Index,
            #[cfg(feature = "cuda")]
            SourceView::Device(array) => array.facts().component,
        }
    }

    /// The shape.
    #[cfg_attr(not(feature = "cuda"), allow(unused_variables, reason = "only devices ask"))]
    fn shape(&self, axis: Option<Axis>) -> Box<[usize]> {
        each!(self, view => view.shape().into(), array => device_shape(array, axis))
    }

    fn operand(self, axis: Option<Axis>) -> Option<Operand<'a>> {
        fn made<'a, C: Component>(
            view: ArrayViewD<'a, C>,
            axis: Option<Axis>,
        ) -> Option<Operand<'a>> {
            match axis {
                Some(_) => Operand::variable(&view),
                None => Operand::parameter(&view),
            }
        }
        each!(self, view => made(view, axis), _array => None)
    }

    /// Whether kernels can read it.
    fn readable(self, axis: Option<Axis>) -> bool {
        #[cfg(feature = "cuda")]
        if let SourceView::Device(array) = &self {
            return axis.is_some() || array.facts().rows == 1;
        }
        self.operand(axis).is_some()
    }
}

/// The shape of an array on a device. A parameter is a row of a matrix there.
#[cfg(feature = "cuda")]
pub(super) fn device_shape(array: &DeviceArray<'_>, axis: Option<Axis>) -> Box<[usize]> {
    let facts = array.facts();
    let batch = facts.batch.iter().map(|dim| dim.len);
    let rows = (axis.is_some() || facts.rows != 1).then_some(facts.rows);
    batch.chain(rows).chain([facts.cols]).collect()
}

impl<'a, T: Element> LazyTensor<'a, T> {
    /// An array that another library owns: as [`i`](LazyTensor::i) and [`j`](LazyTensor::j) with an
    /// axis, and as [`param`](LazyTensor::param) without. Its numbers are `T` or `i64`.
    #[track_caller]
    pub fn source(source: Arc<dyn Source>, axis: Option<Axis>) -> LazyTensor<'a, T> {
        let at = Location::caller();
        let reading = source.read();
        let view = reading.view();
        let (component, shape) = (view.component(), view.shape(axis));
        let is_readable = view.readable(axis);
        drop(reading);
        if component != T::TYPE && component != ComponentType::Index {
            return LazyTensor::from(mistake(words::source_type(component, T::TYPE, at)));
        }
        let array = Leaf::Source(source, component, shape.clone());
        leaf(is_readable.then_some(array), component, axis, &shape, at)
    }

    /// The variables and parameters of the expression that were made by
    /// [`source`](LazyTensor::source), each once, in the order in which they are met.
    pub fn sources(&self) -> Vec<(LazyTensor<'a, T>, Arc<dyn Source>)> {
        let mut found: Vec<(LazyTensor<'a, T>, Arc<dyn Source>)> = Vec::new();
        let (mut seen, mut todo) = (HashSet::new(), vec![self]);
        while let Some(tensor) = todo.pop() {
            if !seen.insert(Arc::as_ptr(&tensor.node)) {
                continue;
            }
            if let What::Array(Leaf::Source(source, ..)) = &tensor.node.what {
                let facts = tensor.node.facts;
                let mut known = found.iter();
                if !known.any(|(leaf, s)| leaf.node.facts == facts && s.is_same(&**source)) {
                    found.push((tensor.clone(), source.clone()));
                }
            }
            let first = todo.len();
            todo.extend(tensor.node.args());
            todo[first..].reverse();
        }
        found
    }
}

/// The sources among the inputs of an evaluation, held while it runs.
pub(super) struct Held<'r> {
    /// With the numbers of the inputs, which rise.
    readings: Vec<(usize, Box<dyn Reading + 'r>)>,
}

impl<'r> Held<'r> {
    pub fn new<T: Element>(inputs: &[Input<'r, T>]) -> Held<'r> {
        let reading = |(n, input): (usize, &Input<'r, T>)| match *input {
            Input::Array(Leaf::Source(source, ..), ..) => Some((n, source.read())),
            Input::Array(..) | Input::Number(_) => None,
        };
        Held { readings: inputs.iter().enumerate().filter_map(reading).collect() }
    }

    /// The address of input `n`.
    ///
    /// # Errors
    /// If a source is no longer what it was, and if an array lies on a device.
    pub fn raw<T: Element>(&self, n: usize, input: &Input<'_, T>) -> Result<RawArray, Error> {
        match *input {
            Input::Number(number) => Ok(Operand::from(number).raw),
            Input::Array(Leaf::View(operand), ..) => Ok(operand.raw.clone()),
            Input::Array(Leaf::Source(_, component, shape), node, _) => {
                let axis = axis_of(node.facts.stratum).map(Axis::from);
                let view = self.view(n, *component, shape, axis)?;
                #[cfg(feature = "cuda")]
                if let SourceView::Device(array) = &view {
                    return Err(words::on_a_device(array));
                }
                let operand = view.operand(axis).map(|operand| operand.raw);
                operand.ok_or_else(|| words::rank(shape, Location::caller()))
            }
            #[cfg(feature = "cuda")]
            Input::Array(Leaf::Device(leaf), ..) => Err(words::on_a_device(leaf.array())),
        }
    }

    /// Input `n` on a device; `None` if it is a number.
    ///
    /// # Errors
    /// If a source is no longer what it was, and if an array lies on the host.
    #[cfg(feature = "cuda")]
    pub fn device<T: Element>(
        &self,
        n: usize,
        input: &Input<'_, T>,
    ) -> Result<Option<DeviceArray<'_>>, Error> {
        let node = match *input {
            Input::Number(_) => return Ok(None),
            Input::Array(Leaf::Device(leaf), ..) => return Ok(Some(leaf.array().clone())),
            Input::Array(Leaf::Source(_, component, shape), node, _) => {
                let axis = axis_of(node.facts.stratum).map(Axis::from);
                match self.view(n, *component, shape, axis)? {
                    SourceView::Device(array) => return Ok(Some(array)),
                    _ => node,
                }
            }
            Input::Array(Leaf::View(_), node, _) => node,
        };
        Err(words::on_the_host(node.rows, node.facts.dim, &node.batch))
    }

    /// The source that is input `n`.
    fn view(
        &self,
        n: usize,
        component: ComponentType,
        shape: &[usize],
        axis: Option<Axis>,
    ) -> Result<SourceView<'_>, Error> {
        let (_, reading) = &self.readings[self.readings.partition_point(|(at, _)| *at < n)];
        let view = reading.view();
        let (found, found_shape) = (view.component(), view.shape(axis));
        match found == component && *found_shape == *shape {
            true => Ok(view),
            false => Err(words::source_changed((found, &found_shape), component, shape)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::RwLock;

    use ndarray::{ArrayD, IxDyn, arr2};

    use super::*;
    use crate::Code;

    /// An array behind a lock, with an identity.
    struct Locked(u32, RwLock<ArrayD<f64>>);

    impl Locked {
        fn new(id: u32, rows: usize, columns: usize) -> Arc<Locked> {
            Arc::new(Locked(id, RwLock::new(ArrayD::ones(IxDyn(&[rows, columns])))))
        }
    }

    impl Source for Locked {
        fn read(&self) -> Box<dyn Reading + '_> {
            Box::new(self.1.read().unwrap())
        }

        fn is_same(&self, other: &dyn Source) -> bool {
            (other as &dyn Any).downcast_ref::<Locked>().is_some_and(|other| other.0 == self.0)
        }
    }

    impl Reading for std::sync::RwLockReadGuard<'_, ArrayD<f64>> {
        fn view(&self) -> SourceView<'_> {
            SourceView::F64((**self).view())
        }
    }

    #[test]
    fn a_source_has_the_shape_of_its_array() {
        let x = LazyTensor::<f64>::source(Locked::new(0, 3, 2), Some(Axis::I));
        assert_eq!((x.rows(Axis::I), x.rows(Axis::J), x.dim()), (Some(3), None, 2));
        let p = LazyTensor::<f64>::source(
            Arc::new(Locked(0, RwLock::new(ArrayD::ones(IxDyn(&[4]))))),
            None,
        );
        assert_eq!((p.rows(Axis::I), p.dim()), (None, 4));
        let wrong = LazyTensor::<f32>::source(Locked::new(0, 3, 2), Some(Axis::I));
        assert_eq!(wrong.mistake().map(Error::code), Some(Code::Dtype));
        let none = LazyTensor::<f64>::source(Locked::new(0, 3, 0), Some(Axis::I));
        assert_eq!(none.mistake().map(Error::code), Some(Code::Columns));
    }

    #[test]
    fn sources_are_found_once_each() {
        let (x, y) = (Locked::new(0, 3, 2), Locked::new(1, 4, 2));
        let leaf = |source: &Arc<Locked>, axis| LazyTensor::<f64>::source(source.clone(), axis);
        let x_i = leaf(&x, Some(Axis::I));
        let view = arr2(&[[1.0, 2.0]]);
        let sum = &x_i * &x_i + leaf(&x, Some(Axis::I)) * leaf(&y, Some(Axis::J))
            - leaf(&x, Some(Axis::J)) * LazyTensor::j(view.view());
        assert!(sum.mistake().is_some(), "4 and 3 rows of j");
        let sum = &x_i * &x_i + leaf(&x, Some(Axis::I)) * leaf(&y, Some(Axis::J))
            - LazyTensor::param(view.row(0));
        let found: Vec<(u32, Option<usize>)> = sum
            .sources()
            .iter()
            .map(|(leaf, source)| {
                let source = (&**source as &dyn Any).downcast_ref::<Locked>().unwrap();
                (source.0, leaf.rows(Axis::J))
            })
            .collect();
        assert_eq!(found, [(0, None), (1, Some(4))]);
    }

    #[test]
    fn a_source_that_changes_its_shape_is_refused() {
        let x = Locked::new(0, 3, 2);
        let x_i = LazyTensor::<f64>::source(x.clone(), Some(Axis::I));
        let input = match &x_i.node.what {
            What::Array(leaf) => Input::Array(leaf, &x_i.node, 0),
            _ => unreachable!("it is an array"),
        };
        let inputs = [input];
        let raw = || Held::new(&inputs).raw(0, &inputs[0]);
        assert!(raw().is_ok());
        *x.1.write().unwrap() = ArrayD::ones(IxDyn(&[2, 3]));
        assert_eq!(raw().unwrap_err().code(), Code::Rank);
    }
}
