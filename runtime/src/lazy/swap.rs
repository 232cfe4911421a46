//! Transposition. Goes in: an expression. Comes out: the same one with `i` and `j` exchanged: its
//! arrays of targets are sources, and its reductions run over the other axis. It never touches
//! arrays.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;

use tilefold_compiler::ir::{self, Facts, Stratum};

use super::node::{Args, Derivative, Fold, Node, What, mistake};
use super::{LazyTensor, words};
use crate::element::Element;

impl<'a, T: Element> LazyTensor<'a, T> {
    /// The transposed matrix: `i` and `j` are exchanged.
    ///
    /// ```
    /// use ndarray::array;
    /// use tilefold::{Axis, LazyTensor};
    ///
    /// let (x, y) = (array![[0.0], [1.0]], array![[0.0], [2.0], [5.0]]);
    /// let k = (LazyTensor::i(x.view()) - LazyTensor::j(y.view())).square();
    /// assert_eq!((k.shape(), k.t().shape()), (vec![2, 3, 1], vec![3, 2, 1]));
    /// assert_eq!(k.t().sum(Axis::J).eval()?, k.sum(Axis::I).eval()?);
    /// # Ok::<(), tilefold::Error>(())
    /// ```
    #[track_caller]
    pub fn t(&self) -> LazyTensor<'a, T> {
        let at = Location::caller();
        let mut swapped: HashMap<*const Node<T>, LazyTensor<'a, T>> = HashMap::new();
        let mut todo = vec![(self, false)];
        while let Some((tensor, ready)) = todo.pop() {
            let key = Arc::as_ptr(&tensor.node);
            if swapped.contains_key(&key) {
                continue;
            }
            if !ready {
                todo.push((tensor, true));
                todo.extend(tensor.node.args().map(|arg| (arg, false)));
                continue;
            }
            let find = |arg: &LazyTensor<'a, T>| swapped[&Arc::as_ptr(&arg.node)].clone();
            let what = other_way(&tensor.node.what, &find);
            let made = what.map(|what| like(&tensor.node, what));
            let made = made.unwrap_or_else(|| mistake(words::no_transpose(at)));
            swapped.insert(key, LazyTensor::from(made));
        }
        swapped[&Arc::as_ptr(&self.node)].clone()
    }
}

fn like<T>(node: &Node<T>, what: What<T>) -> Node<T> {
    let [i, j] = node.rows;
    let stratum = match node.facts.stratum {
        Stratum::I => Stratum::J,
        Stratum::J => Stratum::I,
        same => same,
    };
    let facts = Facts { stratum, ..node.facts };
    Node { what, facts, rows: [j, i], batch: node.batch.clone() }
}

/// A node with the axes exchanged; `None` for a formula that was written as text, whose axes are
/// those that were declared.
fn other_way<'a, T: Element>(
    what: &What<T>,
    find: &dyn Fn(&LazyTensor<'a, T>) -> LazyTensor<'a, T>,
) -> Option<What<T>> {
    let all = |args: &[LazyTensor<'a, T>]| {
        args.iter().map(|arg| find(arg).unbound()).collect::<Args<T>>()
    };
    Some(match what {
        What::Array(array) => What::Array(array.clone()),
        What::Number(number) => What::Number(*number),
        What::Const(value) => What::Const(*value),
        What::Pos(axis) => What::Pos(ir::Axis::other(*axis)),
        What::Op(op, args, params) => What::Op(*op, all(args), params.clone()),
        What::Masked(args) => What::Masked(all(args)),
        What::Fold(fold) => What::Fold(Fold {
            reducer: fold.reducer,
            axis: fold.axis.other(),
            args: all(&fold.args),
            mask: fold.mask.as_ref().map(|mask| find(mask).unbound()),
            k: fold.k,
        }),
        #[cfg(feature = "text")]
        What::Call(..) => return None,
        What::Derivative(derivative) => {
            let (kind, args) = (derivative.kind, all(&derivative.args));
            What::Derivative(Derivative { kind, args, extent: derivative.extent.clone() })
        }
        What::Mistake(error) => What::Mistake(error.clone()),
    })
}
