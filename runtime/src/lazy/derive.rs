//! Derivatives of expressions. Goes in: a value, variables, and seeds or directions. Comes out:
//! expressions, which are differentiated symbolically when they are evaluated and may be
//! differentiated again. It never differentiates by itself.

use std::collections::HashSet;
use std::panic::Location;
use std::sync::Arc;

use tilefold_compiler::ir::{Facts, Stratum};

use super::node::{Derivative, DerivativeKind, Extent, Node, What, mistake, shared};
use super::{LazyTensor, words};
use crate::element::Element;
use crate::error::Error;

impl<'a, T: Element> LazyTensor<'a, T> {
    /// The gradient of `sum(self * seed)` with respect to a variable, which is a `LazyTensor` that
    /// was made from an array or a number: the vector-Jacobian product of a finished value. The
    /// seed is like this value, the gradient like the variable.
    ///
    /// ```
    /// use ndarray::array;
    /// use tilefold::{Axis, LazyTensor};
    ///
    /// let (x, y) = (array![[1.0], [2.0]], array![[0.0], [5.0]]);
    /// let (x_i, y_j) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
    /// let a_i = (&x_i - &y_j).square().sum(Axis::J);
    /// let ones = array![[1.0], [1.0]];
    /// let gradient = a_i.vjp(LazyTensor::i(ones.view()), &x_i);
    /// assert_eq!(gradient.eval()?, array![[-6.0], [-2.0]]);
    /// # Ok::<(), tilefold::Error>(())
    /// ```
    #[track_caller]
    pub fn vjp(
        &self,
        seed: impl super::IntoLazy<'a, T>,
        variable: &LazyTensor<'a, T>,
    ) -> LazyTensor<'a, T> {
        let at = Location::caller();
        let seed = seed.into_lazy();
        let made = || {
            finished("vjp", self, at)?;
            let of = [self, &seed, variable];
            first_mistake("vjp", &of, at)?;
            alike("vjp", ("the seed", &seed), ("the value", self), at)?;
            is_variable("vjp", (self, variable), at)?;
            let batch = shared("vjp", &of, at)?.batch;
            derivative(DerivativeKind::Vjp, &of, variable.node.facts, variable, batch)
        };
        LazyTensor::from(made().unwrap_or_else(mistake))
    }

    /// The derivative of this value when variables move, each in a direction like it: the
    /// Jacobian-vector product of a finished value.
    ///
    /// ```
    /// use ndarray::array;
    /// use tilefold::{Axis, LazyTensor};
    ///
    /// let (x, y) = (array![[1.0], [2.0]], array![[0.0], [5.0]]);
    /// let (x_i, y_j) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
    /// let a_i = (&x_i - &y_j).square().sum(Axis::J);
    /// let step = array![[1.0], [0.5]];
    /// let change = a_i.jvp(&[(&x_i, &LazyTensor::i(step.view()))]);
    /// assert_eq!(change.eval()?, array![[-6.0], [-1.0]]);
    /// # Ok::<(), tilefold::Error>(())
    /// ```
    #[track_caller]
    pub fn jvp(
        &self,
        directions: &[(&LazyTensor<'a, T>, &LazyTensor<'a, T>)],
    ) -> LazyTensor<'a, T> {
        let at = Location::caller();
        let made = || {
            finished("jvp", self, at)?;
            self.moved("jvp", DerivativeKind::Jvp, directions, at)
        };
        LazyTensor::from(made().unwrap_or_else(mistake))
    }

    /// The gradient of `sum(self * seed)` with respect to a variable at one pair: KeOps' `grad`
    /// inside a formula. Under a sum it is the gradient of each summand.
    #[track_caller]
    pub fn grad(
        &self,
        variable: &LazyTensor<'a, T>,
        seed: impl super::IntoLazy<'a, T>,
    ) -> LazyTensor<'a, T> {
        self.at_a_pair("grad", DerivativeKind::Grad, Some(&seed.into_lazy()), variable)
    }

    /// The derivative at one pair when variables move, each in a direction like it: KeOps' `diff`.
    #[track_caller]
    pub fn diff(
        &self,
        directions: &[(&LazyTensor<'a, T>, &LazyTensor<'a, T>)],
    ) -> LazyTensor<'a, T> {
        let made = self.moved("diff", DerivativeKind::Diff, directions, Location::caller());
        LazyTensor::from(made.unwrap_or_else(mistake))
    }

    /// The gradients of all components at one pair, one after the other: `dim` times the
    /// variable's components.
    #[track_caller]
    pub fn grad_matrix(&self, variable: &LazyTensor<'a, T>) -> LazyTensor<'a, T> {
        self.at_a_pair("grad_matrix", DerivativeKind::GradMatrix, None, variable)
    }

    /// The trace of the Jacobian at one pair of a value with as many components as the variable.
    #[track_caller]
    pub fn divergence(&self, variable: &LazyTensor<'a, T>) -> LazyTensor<'a, T> {
        self.at_a_pair("divergence", DerivativeKind::Divergence, None, variable)
    }

    /// The divergence of the gradient at one pair of a scalar.
    #[track_caller]
    pub fn laplacian(&self, variable: &LazyTensor<'a, T>) -> LazyTensor<'a, T> {
        self.at_a_pair("laplacian", DerivativeKind::Laplacian, None, variable)
    }

    /// The trace of the matrix of a value that is linear in the variable.
    #[track_caller]
    pub fn trace_operator(&self, variable: &LazyTensor<'a, T>) -> LazyTensor<'a, T> {
        self.at_a_pair("trace_operator", DerivativeKind::Trace, None, variable)
    }

    /// The transposed matrix of a value that is linear in the variable, applied to a seed.
    #[track_caller]
    pub fn adjoint_operator(
        &self,
        variable: &LazyTensor<'a, T>,
        seed: impl super::IntoLazy<'a, T>,
    ) -> LazyTensor<'a, T> {
        self.at_a_pair(
            "adjoint_operator",
            DerivativeKind::Adjoint,
            Some(&seed.into_lazy()),
            variable,
        )
    }

    fn moved(
        &self,
        name: &str,
        kind: DerivativeKind,
        directions: &[(&LazyTensor<'a, T>, &LazyTensor<'a, T>)],
        at: &'static Location<'static>,
    ) -> Result<Node<T>, Error> {
        let mut of = vec![self];
        for &(variable, direction) in directions {
            first_mistake(name, &[variable, direction], at)?;
            is_variable(name, (self, variable), at)?;
            alike(name, ("the direction", direction), ("the variable", variable), at)?;
            of.extend([variable, direction]);
        }
        first_mistake(name, &of, at)?;
        let batch = shared(name, &of, at)?.batch;
        derivative(kind, &of, self.node.facts, self, batch)
    }

    #[track_caller]
    fn at_a_pair(
        &self,
        name: &str,
        kind: DerivativeKind,
        seed: Option<&LazyTensor<'a, T>>,
        variable: &LazyTensor<'a, T>,
    ) -> LazyTensor<'a, T> {
        let at = Location::caller();
        let made = || {
            let of: Vec<_> = [Some(self), seed, Some(variable)].into_iter().flatten().collect();
            first_mistake(name, &of, at)?;
            is_variable(name, (self, variable), at)?;
            if let Some(seed) = seed {
                alike_in_dim(name, ("the seed", seed), ("the value", self), at)?;
            }
            let Extent { mut rows, batch } = shared(name, &of, at)?;
            let (value, var) = (self.node.facts, variable.node.facts);
            let square = kind == DerivativeKind::Divergence
                || (kind == DerivativeKind::Trace && value.dim != 1);
            if square && value.dim != var.dim {
                return Err(words::unlike(
                    name,
                    ("the value", self),
                    ("the variable", variable),
                    at,
                ));
            }
            if kind == DerivativeKind::Laplacian && value.dim != 1 {
                return Err(words::unlike(
                    name,
                    ("the value", self),
                    ("a scalar", &LazyTensor::constant(0.0)),
                    at,
                ));
            }
            let place = of.iter().fold(Stratum::Param, |s, x| s.join(x.node.facts.stratum));
            let dim = match kind {
                DerivativeKind::Grad | DerivativeKind::Adjoint => var.dim,
                DerivativeKind::GradMatrix => value.dim.saturating_mul(var.dim),
                _ => 1,
            };
            for axis in [super::ir::Axis::I, super::ir::Axis::J] {
                if !place.varies(axis) {
                    rows[axis as usize] = None;
                }
            }
            let facts = Facts::real(dim, place);
            let node = derivative(kind, &of, facts, self, batch)?;
            Ok(LazyTensor::from(node).with_rows(rows))
        };
        made().unwrap_or_else(|error| LazyTensor::from(mistake(error)))
    }

    fn with_rows(mut self, rows: [Option<usize>; 2]) -> LazyTensor<'a, T> {
        if let Some(node) = std::sync::Arc::get_mut(&mut self.node) {
            node.rows = rows;
        }
        self
    }
}

fn derivative<'a, T: Element>(
    kind: DerivativeKind,
    of: &[&LazyTensor<'a, T>],
    facts: Facts,
    like: &LazyTensor<'a, T>,
    batch: Box<[usize]>,
) -> Result<Node<T>, Error> {
    let args = of.iter().map(|&arg| arg.clone().unbound()).collect();
    let own = match kind {
        DerivativeKind::Vjp => like.node.batch.clone(),
        _ => batch.clone(),
    };
    let what = What::Derivative(Derivative { kind, args, extent: batch });
    Ok(Node { what, facts, rows: like.node.rows, batch: own })
}

fn first_mistake<T: Element>(
    name: &str,
    of: &[&LazyTensor<'_, T>],
    at: &'static Location<'static>,
) -> Result<(), Error> {
    match of.iter().find_map(|arg| arg.mistake()) {
        Some(error) => Err(error.clone()),
        None if of.iter().any(|arg| matches!(arg.node.what, What::Masked(_))) => {
            Err(words::masked(name, at))
        }
        None if of.iter().any(|arg| arg.node.is_summed()) => Err(words::summed_gradient(name, at)),
        None => Ok(()),
    }
}

fn finished<T: Element>(
    name: &str,
    value: &LazyTensor<'_, T>,
    at: &'static Location<'static>,
) -> Result<(), Error> {
    match value.node.facts.stratum {
        Stratum::Pair => Err(words::not_finished(name, value, at)),
        _ => Ok(()),
    }
}

/// Whether a value can be differentiated with respect to a tensor: it is an array or a number, and
/// the value reads it. A derivative of zero for another array, say that of the matrix before it
/// was transposed, would be a mistake in silence.
fn is_variable<T: Element>(
    name: &str,
    (value, variable): (&LazyTensor<'_, T>, &LazyTensor<'_, T>),
    at: &'static Location<'static>,
) -> Result<(), Error> {
    let leaf = &variable.node;
    if !matches!(leaf.what, What::Array(_) | What::Number(_)) {
        return Err(words::not_a_variable(name, variable, at));
    }
    let (mut seen, mut todo) = (HashSet::new(), vec![value]);
    while let Some(tensor) = todo.pop() {
        if tensor.node.is_same_leaf(leaf) {
            return Ok(());
        }
        if seen.insert(Arc::as_ptr(&tensor.node)) {
            todo.extend(tensor.node.args());
        }
    }
    Err(words::not_read(name, variable, at))
}

/// Whether a seed or a direction is like what it belongs to.
fn alike<T: Element>(
    name: &str,
    (first, left): (&str, &LazyTensor<'_, T>),
    (second, right): (&str, &LazyTensor<'_, T>),
    at: &'static Location<'static>,
) -> Result<(), Error> {
    let (a, b) = (left.node.facts, right.node.facts);
    let fits =
        (a.dim, a.kind) == (b.dim, b.kind) && b.stratum.join(Stratum::Param).holds(a.stratum);
    match fits {
        true => Ok(()),
        false => Err(words::unlike(name, (first, left), (second, right), at)),
    }
}

fn alike_in_dim<T: Element>(
    name: &str,
    (first, left): (&str, &LazyTensor<'_, T>),
    (second, right): (&str, &LazyTensor<'_, T>),
    at: &'static Location<'static>,
) -> Result<(), Error> {
    let (a, b) = (left.node.facts, right.node.facts);
    match (a.dim, a.kind) == (b.dim, b.kind) {
        true => Ok(()),
        false => Err(words::unlike(name, (first, left), (second, right), at)),
    }
}
