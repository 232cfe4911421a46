//! Formulas from KeOps' strings. Goes in: the string, its variables, and the reduction, as
//! KeOps' `Genred` takes them. Comes out: a function of expressions. It never evaluates Python,
//! or anything else but the formula language.

use std::panic::Location;
use std::sync::Arc;

use tilefold_compiler::front::{self, Spec};
use tilefold_compiler::ir::{self, Facts, Formula, Stratum};

use super::node::{Node, What, mistake, shared};
use super::{LazyTensor, words};
use crate::element::Element;
use crate::error::Error;
use crate::kernel::Axis;

/// A reduction of a formula, both written as KeOps writes them.
///
/// ```
/// use ndarray::array;
/// use tilefold::{Axis, Genred, LazyTensor};
///
/// let aliases = ["x = Vi(1)", "y = Vj(1)", "g = Pm(1)"];
/// let conv = Genred::new("Exp(-g * SqDist(x, y))", &aliases, "Sum", Axis::J)?;
/// let (x, y) = (array![[0.0], [1.0]], array![[0.0], [2.0]]);
/// let inputs = [LazyTensor::i(x.view()), LazyTensor::j(y.view()), LazyTensor::number(0.5)];
/// let a = conv.call(&inputs).eval()?;
/// assert!((a[[1, 0]] - 2.0 * (-0.5_f64).exp()).abs() < 1e-15);
///
/// let wrong = Genred::new("Exp(-g * SqDist(x, z))", &aliases, "Sum", Axis::J).unwrap_err();
/// assert!(wrong.to_string().contains("`z`"));
/// # Ok::<(), tilefold::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Genred {
    function: Arc<Function>,
}

/// A formula that expressions may contain.
#[derive(Debug)]
pub(crate) struct Function {
    pub formula: Formula,
    /// The identity of the formula.
    pub key: ir::Key,
}

/// What KeOps' `Genred` takes besides formula and variables.
#[derive(Clone, Copy, Debug)]
pub struct Reduction<'s> {
    spec: Spec<'s>,
}

impl<'s> Reduction<'s> {
    /// KeOps' name of the reduction (`Sum`, `LogSumExp`, `KMin_ArgKMin` ..), and the axis that
    /// disappears.
    pub fn new(name: &'s str, over: Axis) -> Reduction<'s> {
        Reduction { spec: Spec { name, over: over.into(), k: None, weight: None } }
    }

    /// How many entries the `KMin` family keeps: KeOps' `opt_arg`.
    pub fn k(mut self, k: usize) -> Reduction<'s> {
        self.spec.k = Some(k);
        self
    }

    /// The formula that weighs `LogSumExp` and `SumSoftMaxWeight`: KeOps' `formula2`.
    pub fn weight(mut self, formula: &'s str) -> Reduction<'s> {
        self.spec.weight = Some(formula);
        self
    }
}

impl Genred {
    /// A formula, its variables (`"x = Vi(3)"`, `"y = Vj(1, 3)"`, `"g = Pm(1)"`), the name of the
    /// reduction and the axis that disappears.
    ///
    /// # Errors
    /// [`Text`](crate::Code::Text), with the diagnostics of the formula language, which point
    /// into the string.
    pub fn new(
        formula: &str,
        aliases: &[&str],
        reduction: &str,
        over: Axis,
    ) -> Result<Genred, Error> {
        Genred::with(formula, aliases, Reduction::new(reduction, over))
    }

    /// As [`new`](Genred::new), for reductions that take more than an axis.
    ///
    /// # Errors
    /// As [`new`](Genred::new).
    pub fn with(
        formula: &str,
        aliases: &[&str],
        reduction: Reduction<'_>,
    ) -> Result<Genred, Error> {
        let variables = front::aliases(aliases).map_err(|why| words::text(&why, "aliases", ""))?;
        let formula = front::keops(formula, &variables, &reduction.spec)
            .map_err(|why| words::text(&why, "formula", formula))?;
        let key = ir::key(&formula);
        Ok(Genred { function: Arc::new(Function { formula, key }) })
    }

    /// The names of the variables, in the order in which [`call`](Genred::call) takes them.
    pub fn variables(&self) -> impl ExactSizeIterator<Item = &str> {
        self.function.formula.inputs.iter().map(|input| input.name.as_str())
    }

    /// The reduction of these inputs; of a pair, as `Min_ArgMin` gives, the first.
    #[track_caller]
    pub fn call<'a, T: Element>(&self, inputs: &[LazyTensor<'a, T>]) -> LazyTensor<'a, T> {
        self.output(0, inputs, Location::caller())
    }

    /// Every result of the reduction of these inputs: two for `Min_ArgMin` and its like.
    #[track_caller]
    pub fn call_all<'a, T: Element>(&self, inputs: &[LazyTensor<'a, T>]) -> Vec<LazyTensor<'a, T>> {
        let at = Location::caller();
        (0..self.function.formula.outputs.len()).map(|n| self.output(n, inputs, at)).collect()
    }

    fn output<'a, T: Element>(
        &self,
        n: usize,
        inputs: &[LazyTensor<'a, T>],
        at: &'static Location<'static>,
    ) -> LazyTensor<'a, T> {
        LazyTensor::from(self.node(n, inputs, at).unwrap_or_else(mistake))
    }

    fn node<'a, T: Element>(
        &self,
        n: usize,
        inputs: &[LazyTensor<'a, T>],
        at: &'static Location<'static>,
    ) -> Result<Node<T>, Error> {
        let formula = &self.function.formula;
        if inputs.len() != formula.inputs.len() {
            return Err(words::inputs(self.variables(), inputs.len(), at));
        }
        for (declared, given) in formula.inputs.iter().zip(inputs) {
            if let Some(error) = given.mistake() {
                return Err(error.clone());
            }
            if matches!(given.node.what, What::Masked(_)) {
                return Err(words::masked("Genred", at));
            }
            let found = given.node.facts;
            let fits = (found.dim, found.kind) == (declared.dim, declared.kind)
                && Stratum::of(declared.axis).holds(found.stratum);
            if !fits {
                return Err(words::input(declared, given, at));
            }
        }
        let all: Vec<&LazyTensor<'a, T>> = inputs.iter().collect();
        let mut extent = shared("Genred", &all, at)?;
        let output = &formula.outputs[n];
        for axis in [ir::Axis::I, ir::Axis::J] {
            if output.axis != Some(axis) {
                extent.rows[axis as usize] = None;
            }
        }
        let facts = Facts { stratum: Stratum::of(output.axis), ..formula.facts(output.expr) };
        let args = inputs.iter().map(|input| input.clone().unbound()).collect();
        let what = What::Call(self.function.clone(), n, args);
        Ok(Node { what, facts, rows: extent.rows, batch: extent.batch })
    }
}
