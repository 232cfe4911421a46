//! Expressions as matrices: transposition, and the trait of linear operators. Goes in: an
//! expression with one component for each pair. Comes out: its transpose, or products with it. It
//! never forms the matrix.

use std::collections::HashMap;
use std::sync::Arc;

use ndarray::{ArrayView2, ArrayViewMut2};
use tilefold_compiler::ir::{self, Facts, Stratum};

use super::node::{Derivative, Fold, Node, What};
use super::{LazyTensor, words};
use crate::element::Element;
use crate::error::Error;
use crate::kernel::Axis;
use crate::linear::{LinearOperator, Real};

impl<'a, T: Element> LazyTensor<'a, T> {
    /// The transpose: `i` and `j` change places in everything that the expression is made of, its
    /// arrays too. The variable `x.t()` is what a derivative of the transpose is taken by.
    ///
    /// ```no_run
    /// use ndarray::array;
    /// use tilefold::LazyTensor;
    ///
    /// let (x, y) = (array![[1.0], [2.0]], array![[5.0], [7.0], [8.0]]);
    /// let k = LazyTensor::j(y.view()) - LazyTensor::i(x.view());
    /// assert_eq!(k.t().shape(), [3, 2, 1]);
    /// assert_eq!(k.t().dot(&array![1.0, 0.0])?, array![4.0, 6.0, 7.0]);
    /// # Ok::<(), tilefold::Error>(())
    /// ```
    #[doc(alias = "T")]
    #[doc(alias = "transpose")]
    pub fn t(&self) -> LazyTensor<'a, T> {
        let mut turned: HashMap<*const Node<'a, T>, LazyTensor<'a, T>> = HashMap::new();
        // A loop, as chains may be long. A node is met twice: before and after what it reads.
        let mut todo = vec![(self, false)];
        while let Some((tensor, read)) = todo.pop() {
            let node = &*tensor.node;
            if turned.contains_key(&std::ptr::from_ref(node)) {
                continue;
            }
            if !read && node.args().next().is_some() {
                todo.push((tensor, true));
                todo.extend(node.args().map(|arg| (arg, false)));
                continue;
            }
            let of = |arg: &LazyTensor<'a, T>| turned[&Arc::as_ptr(&arg.node)].clone();
            let made = LazyTensor::from(swapped(node, of));
            turned.insert(node, made);
        }
        turned[&Arc::as_ptr(&self.node)].clone()
    }

    /// Refuses what has several components for each pair.
    pub(super) fn check_matrix(&self, name: &str) -> Result<(), Error> {
        match self.mistake() {
            Some(error) => Err(error.clone()),
            None if self.dim() == 1 => Ok(()),
            None => Err(words::not_a_matrix(name, self)),
        }
    }
}

/// A node with the axes exchanged; `of` gives what became of the nodes that it reads.
fn swapped<'a, T: Element>(
    node: &Node<'a, T>,
    of: impl Fn(&LazyTensor<'a, T>) -> LazyTensor<'a, T>,
) -> Node<'a, T> {
    let all = |args: &[LazyTensor<'a, T>]| args.iter().map(&of).collect::<Vec<_>>();
    let what = match &node.what {
        What::Array(operand) => What::Array(*operand),
        What::Number(number) => What::Number(*number),
        What::Const(value) => What::Const(*value),
        What::Pos(axis) => What::Pos(axis.other()),
        What::Op(op, args, params) => What::Op(*op, all(args), params.clone()),
        What::Fold(fold) => What::Fold(Fold {
            reducer: fold.reducer,
            axis: fold.axis.other(),
            args: all(&fold.args),
            mask: fold.mask.as_ref().map(&of),
            k: fold.k,
        }),
        What::Derivative(derivative) => {
            What::Derivative(Derivative { kind: derivative.kind, args: all(&derivative.args) })
        }
        What::Mistake(error) => What::Mistake(error.clone()),
    };
    let stratum = match node.facts.stratum {
        Stratum::I => Stratum::of(Some(ir::Axis::J)),
        Stratum::J => Stratum::of(Some(ir::Axis::I)),
        same @ (Stratum::Const | Stratum::Param | Stratum::Pair) => same,
    };
    let [rows, cols] = node.rows;
    let facts = Facts { stratum, ..node.facts };
    Node { what, facts, rows: [cols, rows], batch: node.batch.clone() }
}

/// `K v`, a sum over `j`, and `K' v`, a sum over `i`.
///
/// ```no_run
/// use ndarray::array;
/// use tilefold::LazyTensor;
/// use tilefold::linear::ConjugateGradients;
///
/// let x = array![[0.0], [1.0], [3.0]];
/// let k = (-(LazyTensor::i(x.view()) - LazyTensor::j(x.view())).square()).exp();
/// let b = array![[1.0], [2.0], [3.0]];
/// let a = ConjugateGradients::new().alpha(0.1).solve(&k, b.view())?.x;
/// let again = k.dot(&a)? + &a * 0.1;
/// assert!((again - b).iter().all(|gap: &f64| gap.abs() < 1e-5));
/// # Ok::<(), tilefold::Error>(())
/// ```
impl<T: Element + Real> LinearOperator<T> for LazyTensor<'_, T> {
    fn rows(&self) -> usize {
        LazyTensor::rows(self, Axis::I).unwrap_or(1)
    }

    fn cols(&self) -> usize {
        LazyTensor::rows(self, Axis::J).unwrap_or(1)
    }

    fn apply(&self, v: ArrayView2<'_, T>, mut out: ArrayViewMut2<'_, T>) -> Result<(), Error> {
        self.check_matrix("apply")?;
        out.assign(&(self * LazyTensor::j(v)).sum(Axis::J).eval()?);
        Ok(())
    }

    fn apply_transpose(
        &self,
        v: ArrayView2<'_, T>,
        mut out: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        self.check_matrix("apply_transpose")?;
        out.assign(&(self * LazyTensor::i(v)).sum(Axis::I).eval()?);
        Ok(())
    }
}
