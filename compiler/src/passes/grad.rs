//! Reverse-mode symbolic differentiation: a formula in, the formula of its vector-Jacobian
//! product out.
//!
//! The sweep walks nodes from users to arguments and keeps, for every node, its adjoint in each
//! *domain*: the set of indices over which the uses of the node are spread. A value that does not
//! vary along an index of its domain is used once for each row of that index, so its adjoint is
//! summed over that index. Entering a reduction adds the reduced index to the domain. Broadcast
//! arguments are handled here too, once for all operations.
//!
//! The result refers to finished reductions where it needs them (`exp(x - logsumexp x)`), as
//! ordinary nested nodes; it is itself a formula and can be differentiated again.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::ir::{Axis, ExprId, Formula, Node, Output, Reduction, Stratum};
use crate::ops::{Call, Grad, Op};
use crate::reduce::ReduceGrad;

/// Why a formula has no vector-Jacobian product.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum GradError {
    /// `grad` names an output that is not there.
    #[error("`{0}` is not an output of this formula; the outputs are {1}")]
    UnknownOutput(String, String),
    /// `wrt` names an input that is not there.
    #[error("`{0}` is not an input of this formula; the inputs are {1}")]
    UnknownInput(String, String),
    /// The path crosses a reduction without a derivative.
    #[error("`{0}` has no derivative; {1}")]
    NotDifferentiable(&'static str, &'static str),
    /// A name that the gradient formula needs is taken.
    #[error("the gradient needs the name `{0}` for its own input or output; rename yours")]
    NameTaken(String),
}

/// The gradient of `sum(output * d_output)` with respect to the inputs `wrt`, where `d_output` is
/// a new input with the shape of the output. The outputs of the result are called `d_<input>` and
/// have the inputs' shapes.
///
/// # Errors
/// See [`GradError`].
pub fn vjp(formula: &Formula, output: &str, wrt: &[String]) -> Result<Formula, GradError> {
    let out = formula.outputs.iter().find(|o| o.name == output).ok_or_else(|| {
        GradError::UnknownOutput(output.into(), list(formula.outputs.iter().map(|o| &o.name)))
    })?;
    let inputs = targets(formula, wrt)?;
    let mut f = formula.clone();
    f.outputs.clear();
    let cotangent = format!("d_{output}");
    check_free(formula, &cotangent)?;
    let dim = f.dim(out.expr);
    let seed = f.input(&cotangent, out.axis, dim).expect("an output's dim is a valid input dim");
    f.inputs.last_mut().expect("just added").doc = format!("gradient with respect to `{output}`");

    let mut sweep = Sweep { f, adjoints: BTreeMap::new() };
    sweep.add(out.expr, Domain::of(out.axis), seed);
    sweep.run(out.expr)?;
    for n in inputs {
        let expr = sweep.total(n);
        let input = &sweep.f.inputs[n];
        let name = format!("d_{}", input.name);
        check_free(formula, &name)?;
        let doc = format!("gradient with respect to `{}`", input.name);
        let axis = input.axis;
        sweep.f.outputs.push(Output { name, doc, axis, expr });
    }
    Ok(sweep.f)
}

fn targets(formula: &Formula, wrt: &[String]) -> Result<Vec<usize>, GradError> {
    let find = |name: &String| {
        formula.inputs.iter().position(|i| &i.name == name).ok_or_else(|| {
            GradError::UnknownInput(name.clone(), list(formula.inputs.iter().map(|i| &i.name)))
        })
    };
    wrt.iter().map(find).collect()
}

fn check_free(formula: &Formula, name: &str) -> Result<(), GradError> {
    let taken = formula.inputs.iter().map(|i| &i.name).any(|n| n == name);
    if taken { Err(GradError::NameTaken(name.into())) } else { Ok(()) }
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

/// Whether a value is the number 0 in every component, whatever the inputs are.
fn is_zero(f: &Formula, mut id: ExprId) -> bool {
    loop {
        match f.node(id) {
            Node::Const(c) => return c.get() == 0.0,
            Node::Op(Op::SumT | Op::ElemT | Op::ExtractT | Op::Elem | Op::Extract, args, _) => {
                id = args[0];
            }
            Node::Input(_) | Node::Pos(_) | Node::Op(..) | Node::Reduce(_) => return false,
        }
    }
}

/// The indices over which the uses of a value are spread.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Domain {
    i: bool,
    j: bool,
}

impl Domain {
    fn of(axis: Option<Axis>) -> Domain {
        Domain { i: axis == Some(Axis::I), j: axis == Some(Axis::J) }
    }

    fn of_stratum(s: Stratum) -> Domain {
        Domain { i: s.varies(Axis::I), j: s.varies(Axis::J) }
    }

    fn with(self, axis: Axis) -> Domain {
        Domain { i: self.i || axis == Axis::I, j: self.j || axis == Axis::J }
    }
}

struct Sweep {
    f: Formula,
    adjoints: BTreeMap<(ExprId, Domain), ExprId>,
}

impl Sweep {
    /// Visits everything `root` reads, users before arguments.
    ///
    /// The adjoint of a node is summed into the node's own stratum before its rule is applied, so
    /// the chain below a value of `i` is worked out once a row, not once a pair.
    fn run(&mut self, root: ExprId) -> Result<(), GradError> {
        for id in (0..=root.0).rev().map(ExprId) {
            let home = Domain::of_stratum(self.f.stratum(id));
            let node = self.f.node(id).clone();
            match node {
                Node::Op(op, args, params) => {
                    if let Some(seed) = self.collect(id, home) {
                        self.through_op(
                            op,
                            &Call { args: &args, params: &params, out: id },
                            home,
                            seed,
                        );
                    }
                }
                Node::Reduce(r) => {
                    if let Some(seed) = self.collect(id, home) {
                        self.through_reduction(&r, id, home, seed)?;
                    }
                }
                Node::Input(_) | Node::Const(_) | Node::Pos(_) => {}
            }
        }
        Ok(())
    }

    fn through_op(&mut self, op: Op, call: &Call<'_>, home: Domain, seed: ExprId) {
        let Grad::Vjp(rule) = op.def().grad else { return };
        let adjoints = rule(&mut self.f, call, seed);
        for (&arg, adjoint) in call.args.iter().zip(adjoints) {
            if let Some(adjoint) = adjoint {
                self.add(arg, home, adjoint);
            }
        }
    }

    fn through_reduction(
        &mut self,
        r: &Reduction,
        out: ExprId,
        home: Domain,
        seed: ExprId,
    ) -> Result<(), GradError> {
        let def = r.reducer.def();
        let rule = match def.grad {
            ReduceGrad::Vjp(rule) => rule,
            ReduceGrad::Zero => return Ok(()),
            ReduceGrad::None(instead) => {
                return Err(GradError::NotDifferentiable(def.name, instead));
            }
        };
        let adjoints = rule(&mut self.f, r, out, seed);
        for (&arg, adjoint) in r.args.iter().zip(adjoints) {
            let Some(mut adjoint) = adjoint else { continue };
            if let Some(mask) = r.mask {
                let zero = self.f.constant(0.0);
                adjoint = self.f.apply(Op::Where, &[mask, adjoint, zero], &[]);
            }
            self.add(arg, home.with(r.axis), adjoint);
        }
        Ok(())
    }

    /// Adds to the adjoint of `id`, after undoing a broadcast of components.
    fn add(&mut self, id: ExprId, domain: Domain, adjoint: ExprId) {
        // A constant has no adjoint that anybody reads, and a zero adds nothing to an adjoint.
        if self.f.stratum(id) == Stratum::Const || is_zero(&self.f, adjoint) {
            return;
        }
        let (dim, found) = (self.f.dim(id), self.f.dim(adjoint));
        let adjoint = match (dim, found) {
            (1, n) if n > 1 => self.f.sum_components(adjoint),
            (n, 1) if n > 1 => self.f.apply(Op::SumT, &[adjoint], &[n as i64]),
            _ => adjoint,
        };
        let total = match self.adjoints.get(&(id, domain)) {
            Some(&before) => self.f.add(before, adjoint),
            None => adjoint,
        };
        self.adjoints.insert((id, domain), total);
    }

    /// The adjoint of `id` in the domain `home`: adjoints of wider domains are summed over the
    /// indices that `home` lacks.
    fn collect(&mut self, id: ExprId, home: Domain) -> Option<ExprId> {
        let mut total: Option<ExprId> = None;
        for i in [false, true] {
            for j in [false, true] {
                let Some(&adjoint) = self.adjoints.get(&(id, Domain { i, j })) else { continue };
                let mut adjoint = adjoint;
                if j && !home.j {
                    adjoint = self.f.sum_over(Axis::J, adjoint);
                }
                if i && !home.i {
                    adjoint = self.f.sum_over(Axis::I, adjoint);
                }
                total = Some(total.map_or(adjoint, |t| self.f.add(t, adjoint)));
            }
        }
        total
    }

    /// The gradient with respect to an input: zeros of its shape where nothing reads it.
    fn total(&mut self, n: usize) -> ExprId {
        let id = self.f.input_expr(n);
        let home = Domain::of(self.f.inputs[n].axis);
        let dim = self.f.inputs[n].dim;
        self.collect(id, home).unwrap_or_else(|| {
            let zero = self.f.constant(0.0);
            if dim == 1 { zero } else { self.f.apply(Op::SumT, &[zero], &[dim as i64]) }
        })
    }
}
