//! The nodes of expressions. Goes in: an operation or a reduction and its operands. Comes out: a
//! node that knows its shape, or one that carries the first mistake, with the place in the
//! caller's code. It never reads numbers and never panics.
//!
//! Nodes are immutable and shared; an expression is a graph without cycles. The shape rules are
//! those of formulas ([`standin`]); a thread remembers their answers, as a program builds the
//! same few expressions again and again.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::mem;
use std::panic::Location;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use tilefold_compiler::ir::standin::{self, StandIn};
use tilefold_compiler::ir::{Axis, BuildError, Facts, Kind, Real, Reduction, Stratum};
use tilefold_compiler::ops::Op;
use tilefold_compiler::reduce::Reducer;

#[cfg(feature = "cuda")]
use super::device::DeviceLeaf;
#[cfg(feature = "text")]
use super::genred::Function;
use super::quick::Quick;
use super::source::Source;
use super::{IntoLazy, LazyTensor, words};
use crate::element::{ComponentType, Element};
use crate::error::Error;
use crate::operand::Operand;

/// One node of an expression, without the lifetime of its arrays, which the [`LazyTensor`] that
/// hands it out keeps.
pub(crate) struct Node<T> {
    pub what: What<T>,
    pub facts: Facts,
    /// Rows of `i` and of `j`, where an array says so.
    pub rows: [Option<usize>; 2],
    /// The dimensions in front of rows and columns.
    pub batch: Box<[usize]>,
}

/// What a node is.
pub(crate) enum What<T> {
    /// An array.
    Array(Leaf),
    /// A number that is passed with every call, so that formulas differ in no number.
    Number(T),
    /// A number that is part of the formula.
    Const(f64),
    /// The row numbers of an axis.
    Pos(Axis),
    /// An operation with its literal integers.
    Op(Op, Args<T>, Box<[i64]>),
    /// A value and the condition under which a fold takes it.
    Masked(Args<T>),
    /// A fold over an axis.
    Fold(Fold<T>),
    /// An output of a formula that was written as text.
    #[cfg(feature = "text")]
    Call(Arc<Function>, usize, Args<T>),
    /// A derivative.
    Derivative(Derivative<T>),
    /// The first mistake.
    Mistake(Error),
}

/// What a node reads: most have one or two operands, which need no memory of their own.
pub(crate) type Args<T> = SmallVec<[LazyTensor<'static, T>; 2]>;

/// An array of an expression.
#[derive(Clone)]
pub(crate) enum Leaf {
    /// That the caller lends.
    View(Operand<'static>),
    /// That another library owns; its numbers and its shape when it was met.
    Source(Arc<dyn Source>, ComponentType, Box<[usize]>),
    /// On a CUDA device.
    #[cfg(feature = "cuda")]
    Device(Arc<DeviceLeaf>),
}

impl Leaf {
    /// Whether both are one input of a formula, and one variable of its derivatives.
    pub fn is_same(&self, other: &Leaf) -> bool {
        match (self, other) {
            (Leaf::View(a), Leaf::View(b)) => a.is_same(b),
            (Leaf::Source(a, ..), Leaf::Source(b, ..)) => a.is_same(&**b),
            #[cfg(feature = "cuda")]
            (Leaf::Device(a), Leaf::Device(b)) => a.is_same(b),
            _ => false,
        }
    }
}

/// A reduction of an expression.
pub(crate) struct Fold<T> {
    pub reducer: Reducer,
    pub axis: Axis,
    pub args: Args<T>,
    pub mask: Option<LazyTensor<'static, T>>,
    pub k: usize,
}

/// A derivative of an expression.
pub(crate) struct Derivative<T> {
    pub kind: DerivativeKind,
    /// The value, then what the kind says.
    pub args: Args<T>,
    /// The batch dimensions that it is worked out for. A gradient has those of its variable, over
    /// the rest it is summed.
    pub extent: Box<[usize]>,
}

/// Which derivative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum DerivativeKind {
    /// Of the finished value: `args` are the value, the seed and the variable.
    Vjp,
    /// Of the finished value: `args` are the value, and pairs of a variable and its direction.
    Jvp,
    /// Of the value at one pair: `args` are the value, the seed and the variable.
    Grad,
    /// Of the value at one pair: `args` are the value, and pairs of a variable and its direction.
    Diff,
    /// `args` are the value and the variable.
    GradMatrix,
    /// As above.
    Divergence,
    /// As above.
    Laplacian,
    /// As above.
    Trace,
    /// `args` are the value, the seed and the variable.
    Adjoint,
}

impl<T> Node<T> {
    /// The nodes that this one reads, in order. Whoever calls this keeps the arrays borrowed.
    pub fn args<'s, 'a: 's>(&'s self) -> impl Iterator<Item = &'s LazyTensor<'a, T>>
    where
        T: 'a,
    {
        let (args, mask): (&[LazyTensor<'a, T>], _) = self.operands();
        args.iter().chain(mask)
    }

    /// As [`Node::args`]: all but a mask, and the mask of a fold.
    pub fn operands(&self) -> (&[LazyTensor<'static, T>], Option<&LazyTensor<'static, T>>) {
        match &self.what {
            What::Op(_, args, _) | What::Masked(args) => (args, None),
            #[cfg(feature = "text")]
            What::Call(_, _, args) => (args, None),
            What::Fold(fold) => (&fold.args, fold.mask.as_ref()),
            What::Derivative(derivative) => (&derivative.args, None),
            What::Array(_) | What::Number(_) | What::Const(_) | What::Pos(_) | What::Mistake(_) => {
                (&[], None)
            }
        }
    }

    /// Whether both are the same number, or read the same array in the same way.
    pub fn is_same_leaf(&self, other: &Node<T>) -> bool {
        match (&self.what, &other.what) {
            (What::Array(a), What::Array(b)) => a.is_same(b) && self.facts == other.facts,
            _ => std::ptr::eq(self, other),
        }
    }

    /// The batch dimensions that the value is worked out for.
    pub fn extent(&self) -> &[usize] {
        match &self.what {
            What::Derivative(derivative) => &derivative.extent,
            _ => &self.batch,
        }
    }

    /// Whether it is a gradient that is summed over batch dimensions once it is worked out.
    pub fn is_summed(&self) -> bool {
        matches!(&self.what, What::Derivative(derivative) if derivative.extent != self.batch)
    }

    /// Moves the nodes that this one reads out of it, if it reads any.
    fn take_operands(&mut self) -> Option<(Args<T>, Option<LazyTensor<'static, T>>)> {
        let args = match &mut self.what {
            What::Op(_, args, _) | What::Masked(args) => args,
            #[cfg(feature = "text")]
            What::Call(_, _, args) => args,
            What::Fold(fold) => return Some((mem::take(&mut fold.args), fold.mask.take())),
            What::Derivative(derivative) => &mut derivative.args,
            What::Array(_) | What::Number(_) | What::Const(_) | What::Pos(_) | What::Mistake(_) => {
                return None;
            }
        };
        Some((mem::take(args), None))
    }

    fn stand_in(&self) -> StandIn {
        match self.what {
            What::Const(value) => StandIn::Number(Real::new(value)),
            _ => StandIn::Value(self.facts),
        }
    }
}

/// Nodes are dropped within each other to this depth.
const MOST_DEEP: u32 = 100;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// A long chain of operations must not be dropped by a recursion as long.
impl<T> Drop for Node<T> {
    fn drop(&mut self) {
        let Some(operands) = self.take_operands() else { return };
        let depth = DEPTH.get();
        if depth < MOST_DEEP {
            DEPTH.set(depth + 1);
            drop(operands);
            DEPTH.set(depth);
            return;
        }
        let mut todo = vec![operands];
        while let Some((args, mask)) = todo.pop() {
            let nodes = args.into_iter().chain(mask).filter_map(|arg| Arc::into_inner(arg.node));
            todo.extend(nodes.filter_map(|mut node| node.take_operands()));
        }
    }
}

/// Most answers of shape rules that a thread remembers.
const MOST_KNOWN: usize = 4096;

type Facted = Result<Facts, BuildError>;

/// What the facts of a result depend on, where it is small enough to be remembered.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Question {
    what: Asked,
    args: [Option<StandIn>; 3],
    params: [Option<i64>; 2],
}

/// Of what tells most questions apart: this is done for every node.
impl Hash for Question {
    fn hash<H: Hasher>(&self, to: &mut H) {
        to.write_u64(match self.what {
            Asked::Op(op) => op as u64,
            Asked::Fold(reducer, axis, _) => 1 << 32 | (reducer as u64) << 8 | axis as u64,
        });
        for arg in self.args.iter().flatten() {
            to.write_u64(match arg {
                StandIn::Number(number) => number.get().to_bits(),
                StandIn::Value(of) => {
                    (of.dim as u64) << 8 | (of.stratum as u64) << 4 | of.kind as u64
                }
            });
        }
        self.params.iter().flatten().for_each(|&param| to.write_u64(param as u64));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Op(Op),
    /// Whether the last argument is a mask.
    Fold(Reducer, Axis, bool),
}

thread_local! {
    static KNOWN: RefCell<HashMap<Question, Facted, Quick>> = RefCell::default();
}

/// The facts of a result: remembered, or worked out.
fn facts<T>(what: Asked, args: &[&LazyTensor<'_, T>], params: &[i64]) -> Facted {
    let stand_ins = || args.iter().map(|arg| arg.node.stand_in());
    let worked_out = || answer(what, &stand_ins().collect::<Vec<_>>(), params);
    if args.len() > 3 || params.len() > 2 {
        return worked_out();
    }
    let mut question = Question { what, args: [None; 3], params: [None; 2] };
    question.args.iter_mut().zip(stand_ins()).for_each(|(slot, arg)| *slot = Some(arg));
    question.params.iter_mut().zip(params).for_each(|(slot, &param)| *slot = Some(param));
    KNOWN.with_borrow_mut(|known| {
        if let Some(facts) = known.get(&question) {
            return facts.clone();
        }
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        let facts = worked_out();
        known.insert(question, facts.clone());
        facts
    })
}

fn answer(what: Asked, args: &[StandIn], params: &[i64]) -> Facted {
    match what {
        Asked::Op(op) => standin::of_op(op, args, params),
        Asked::Fold(reducer, axis, masked) => {
            let (args, mask) = match args.split_last() {
                Some((mask, args)) if masked => (args, Some(*mask)),
                _ => (args, None),
            };
            let k = params.first().map_or(0, |&k| usize::try_from(k).unwrap_or(usize::MAX));
            let like = Reduction { reducer, axis, args: Vec::new(), mask: None, k };
            standin::of_reduction(&like, args, mask)
        }
    }
}

/// Applies an operation to operands. A mistake among them is passed on; a new one is kept with
/// `at`, the place in the caller's code.
pub(crate) fn apply<'a, T: Element>(
    op: Op,
    args: &[&LazyTensor<'a, T>],
    params: &[i64],
    at: &'static Location<'static>,
) -> LazyTensor<'a, T> {
    match shape(op.def().name, Asked::Op(op), args, params, at) {
        Ok(shape) => {
            let args = args.iter().map(|&arg| arg.clone().unbound()).collect();
            shape.node(What::Op(op, args, params.into()))
        }
        Err(mistaken) => mistaken,
    }
}

/// As [`apply`], of operands that nobody else needs.
pub(super) fn apply_to<'a, T: Element, const N: usize>(
    op: Op,
    args: [LazyTensor<'a, T>; N],
    at: &'static Location<'static>,
) -> LazyTensor<'a, T> {
    match shape(op.def().name, Asked::Op(op), &args.each_ref(), &[], at) {
        Ok(shape) => {
            let args = args.into_iter().map(LazyTensor::unbound).collect();
            shape.node(What::Op(op, args, Box::default()))
        }
        Err(mistaken) => mistaken,
    }
}

impl<'a, T: Element> LazyTensor<'a, T> {
    /// This value where a condition holds (a scalar that is not 0): a reduction of it leaves out
    /// the other pairs, as if they were not there. Nothing but a reduction can be done with it.
    ///
    /// ```
    /// use ndarray::array;
    /// use tilefold::{Axis, LazyTensor};
    ///
    /// // The distance to the nearest other point.
    /// let x = array![[0.0], [1.0], [5.0]];
    /// let (x_i, x_j) = (LazyTensor::<f64>::i(x.view()), LazyTensor::j(x.view()));
    /// let d = x_i.sqdist(x_j);
    /// let other = LazyTensor::pos(Axis::I).not_equal(LazyTensor::pos(Axis::J));
    /// assert_eq!(d.masked(other).min(Axis::J).eval()?, array![[1.0], [1.0], [16.0]]);
    /// # Ok::<(), tilefold::Error>(())
    /// ```
    #[track_caller]
    pub fn masked(&self, condition: impl IntoLazy<'a, T>) -> LazyTensor<'a, T> {
        let at = Location::caller();
        let condition = condition.into_lazy();
        let made = || {
            let of = [self, &condition];
            if let Some(error) = of.iter().find_map(|arg| arg.mistake()) {
                return Err(error.clone());
            }
            if condition.node.facts.dim != 1 || condition.node.facts.kind == Kind::Complex {
                return Err(words::not_a_condition(&condition, at));
            }
            let Extent { rows, batch } = shared("masked", &of, at)?;
            let stratum = self.node.facts.stratum.join(condition.node.facts.stratum);
            let facts = Facts { stratum, ..self.node.facts };
            let what = What::Masked(smallvec![self.clone().unbound(), condition.clone().unbound()]);
            Ok(Node { what, facts, rows, batch })
        };
        LazyTensor::from(made().unwrap_or_else(mistake))
    }
}

/// Folds operands over an axis, where the mask is not zero. A masked operand brings its mask.
pub(crate) fn fold<'a, T: Element>(
    reducer: Reducer,
    axis: Axis,
    args: &[&LazyTensor<'a, T>],
    (mask, k): (Option<&LazyTensor<'a, T>>, usize),
    at: &'static Location<'static>,
) -> LazyTensor<'a, T> {
    if let [first, rest @ ..] = args
        && let What::Masked(of) = &first.node.what
        && let [value, condition] = of.as_slice()
        && mask.is_none()
    {
        let args: Vec<&LazyTensor<'a, T>> =
            [value].into_iter().chain(rest.iter().copied()).collect();
        return fold(reducer, axis, &args, (Some(condition), k), at);
    }
    let all: SmallVec<[&LazyTensor<'a, T>; 3]> = args.iter().copied().chain(mask).collect();
    let asked = Asked::Fold(reducer, axis, mask.is_some());
    let params = [i64::try_from(k).unwrap_or(i64::MAX)];
    match shape(reducer.def().name, asked, &all, &params, at) {
        Ok(mut shape) => {
            shape.rows[axis as usize] = None;
            let args = args.iter().map(|&arg| arg.clone().unbound()).collect();
            let mask = mask.map(|mask| mask.clone().unbound());
            shape.node(What::Fold(Fold { reducer, axis, args, mask, k }))
        }
        Err(mistaken) => mistaken,
    }
}

/// What a node is but for its operation.
struct Shape {
    facts: Facts,
    rows: [Option<usize>; 2],
    batch: Box<[usize]>,
}

impl Shape {
    fn node<'a, T>(self, what: What<T>) -> LazyTensor<'a, T> {
        let Shape { facts, rows, batch } = self;
        LazyTensor::from(Node { what, facts, rows, batch })
    }
}

/// The shape of what comes out of operands, or the first mistake.
fn shape<'a, T: Element>(
    name: &str,
    asked: Asked,
    args: &[&LazyTensor<'a, T>],
    params: &[i64],
    at: &'static Location<'static>,
) -> Result<Shape, LazyTensor<'a, T>> {
    let mistaken = |error| Err(LazyTensor::from(mistake(error)));
    if let Some(&first) = args.iter().find(|arg| arg.mistake().is_some()) {
        return Err(first.clone());
    }
    if args.iter().any(|arg| matches!(arg.node.what, What::Masked(_))) {
        return mistaken(words::masked(name, at));
    }
    if args.iter().any(|arg| arg.node.is_summed()) {
        return mistaken(words::summed_gradient(name, at));
    }
    let Extent { rows, batch } = match shared(name, args, at) {
        Ok(extent) => extent,
        Err(error) => return mistaken(error),
    };
    match facts(asked, args, params) {
        Ok(facts) => Ok(Shape { facts, rows, batch }),
        Err(why) => mistaken(words::misfit(name, &why, args, at)),
    }
}

/// The rows of `i` and `j`, and the batch dimensions in front of them.
pub(crate) struct Extent {
    pub rows: [Option<usize>; 2],
    pub batch: Box<[usize]>,
}

/// The extent that operands have in common.
pub(crate) fn shared<T: Element>(
    name: &str,
    args: &[&LazyTensor<'_, T>],
    at: &'static Location<'static>,
) -> Result<Extent, Error> {
    let mut all = Extent { rows: [None; 2], batch: Box::new([]) };
    for arg in args {
        for axis in [Axis::I, Axis::J] {
            let at_axis = &mut all.rows[axis as usize];
            match (*at_axis, arg.node.rows[axis as usize]) {
                (Some(first), Some(second)) if first != second => {
                    return Err(words::rows(name, axis, first, second, at));
                }
                (None, some) => *at_axis = some,
                _ => (),
            }
        }
        if all.batch != arg.node.batch {
            all.batch = broadcast(&all.batch, &arg.node.batch)
                .ok_or_else(|| words::batch(name, &all.batch, &arg.node.batch, at))?;
        }
    }
    Ok(all)
}

/// NumPy's rule: dimensions are aligned at the right, and 1 fits any.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Option<Box<[usize]>> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[usize], n: usize| {
        let missing = rank - shape.len();
        if n < missing { 1 } else { shape[n - missing] }
    };
    (0..rank)
        .map(|n| match (dim(a, n), dim(b, n)) {
            (x, y) if x == y => Some(x),
            (1, x) | (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// A node that only carries a mistake.
pub(crate) fn mistake<T>(error: Error) -> Node<T> {
    let facts = Facts::real(1, Stratum::Const);
    Node { what: What::Mistake(error), facts, rows: [None; 2], batch: Box::new([]) }
}
