//! Symbolic differentiation: a formula in, the formula of a derivative out.
//!
//! [`vjp`] is reverse mode, [`jvp`] forward mode, both on whole formulas. Inside expressions,
//! [`operators`] differentiates one value with respect to others. Everything rests on the rules
//! of the tables of operations and reductions, one a row, which give adjoints of arguments
//! ([`reverse`]); forward mode is their transpose ([`forward`]), and so are the operators of
//! linear algebra ([`linear`]). Results refer to finished reductions where they need them
//! (`exp(x - logsumexp x)`), as ordinary nested nodes, and can be differentiated again.
//!
//! Adjoints and tangents are vectors of reals. That of a complex value holds the derivatives with
//! respect to the real and the imaginary parts, in their order: the gradient of a real function `L`
//! of `z = x + iy` is `dL/dx + i dL/dy`, as in PyTorch.
//!
//! Nothing here knows the name of an operation whose derivative it takes, and no zero is built:
//! what does not depend on a variable has no adjoint and no tangent.

mod forward;
mod linear;
mod linearity;
pub mod operators;
mod reverse;
mod scratch;

use thiserror::Error;

use crate::ir::{Axis, ExprId, Formula, Kind, Output};
use crate::ops::{Op, typed};

use reverse::{Domain, Sweep};

/// Why a derivative does not exist.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum GradError {
    /// The derivative is asked of an output that is not there.
    #[error("`{0}` is not an output of this formula; the outputs are {1}")]
    UnknownOutput(String, String),
    /// `wrt` names an input that is not there.
    #[error("`{0}` is not an input of this formula; the inputs are {1}")]
    UnknownInput(String, String),
    /// The input or output holds integers.
    #[error("`{0}` holds integers, which have no derivative")]
    Integer(String),
    /// A name that the derivative needs is taken.
    #[error("the derivative needs the name `{0}` for its own input or output; rename yours")]
    NameTaken(String),
    /// An operator of linear algebra meets something that is not linear.
    #[error("`{what}` is not linear in the variable")]
    NotLinear {
        /// The operation or reduction.
        what: &'static str,
        /// Where it is.
        node: ExprId,
    },
    /// An operator of linear algebra meets a value without its variable.
    #[error("the value does not depend on the variable, so it is not linear in it")]
    Independent,
    /// One value stands for a place, and a reduction runs over all places of the same index.
    #[error(
        "the derivative is taken at one row of {axis}, but `{what}` runs over all rows of {axis}"
    )]
    ManyRows {
        /// The reduction.
        what: &'static str,
        /// The index.
        axis: Axis,
        /// Where it is.
        node: ExprId,
    },
    /// The derivative has too many nodes.
    #[error("the derivative is too large; use smaller dimensions or split the formula")]
    TooLarge,
}

/// Most nodes that a formula and its derivative may have together.
const MAX_DERIVED: usize = 20 * crate::ir::MAX_NODES;

fn check_size(f: &Formula) -> Result<(), GradError> {
    if f.len() > MAX_DERIVED { Err(GradError::TooLarge) } else { Ok(()) }
}

/// The gradient of `sum(output * d_output)` with respect to the inputs `wrt`, where `d_output` is
/// a new input with the shape of the output. The outputs of the result are called `d_<input>` and
/// have the inputs' shapes. A name that a formula has already, for it is a derivative itself,
/// gets a number: `d2_a`, `d3_a`.
///
/// # Errors
/// See [`GradError`].
pub fn vjp(formula: &Formula, output: &str, wrt: &[String]) -> Result<Formula, GradError> {
    let out = find_output(formula, output)?;
    let inputs = targets(formula, wrt)?;
    check_reals(formula, out, &inputs)?;
    let mut f = formula.clone();
    f.outputs.clear();
    let cotangent = fresh(&f, "d", output);
    let seed = declare(&mut f, &cotangent, out.axis, out.expr);
    f.inputs.last_mut().expect("just added").doc = format!("gradient with respect to `{output}`");

    let variables: Vec<ExprId> = inputs.iter().map(|&n| f.input_expr(n)).collect();
    let adjoints = adjoints(&mut f, out.expr, out.axis, seed, &variables)?;
    for (n, expr) in inputs.into_iter().zip(adjoints) {
        let axis = f.inputs[n].axis;
        let name = fresh(&f, "d", &f.inputs[n].name);
        let doc = format!("gradient with respect to `{}`", f.inputs[n].name);
        f.outputs.push(Output { name, doc, axis, expr });
    }
    checked(f)
}

/// The derivative of an output when the inputs `wrt` move, in the direction of new inputs
/// `t_<input>` with the inputs' shapes. The only output of the result is called `t_<output>` and
/// has the output's shape. Names are numbered as those of [`vjp`].
///
/// # Errors
/// See [`GradError`].
pub fn jvp(formula: &Formula, output: &str, wrt: &[String]) -> Result<Formula, GradError> {
    let out = find_output(formula, output)?;
    let inputs = targets(formula, wrt)?;
    check_reals(formula, out, &inputs)?;
    let mut f = formula.clone();
    f.outputs.clear();
    let mut directions = Vec::new();
    for n in inputs {
        let variable = f.input_expr(n);
        let (name, axis) = (f.inputs[n].name.clone(), f.inputs[n].axis);
        let fresh = fresh(&f, "t", &name);
        let direction = declare(&mut f, &fresh, axis, variable);
        f.inputs.last_mut().expect("just added").doc = format!("direction in which `{name}` moves");
        directions.push((variable, direction));
    }
    let expr = tangent(&mut f, out.expr, &directions)?;
    let doc = format!("derivative of `{output}` in that direction");
    let name = fresh(&f, "t", output);
    f.outputs.push(Output { name, doc, axis: out.axis, expr });
    checked(f)
}

/// The gradients of `sum(value * seed)` with respect to variables, as values of the same formula:
/// what [`vjp`] makes outputs of. The value has a row for each row of `axis`, and the seed is like
/// it; each gradient is like its variable.
///
/// # Errors
/// See [`GradError`].
pub fn adjoints(
    f: &mut Formula,
    value: ExprId,
    axis: Option<Axis>,
    seed: ExprId,
    variables: &[ExprId],
) -> Result<Vec<ExprId>, GradError> {
    let like: Vec<_> = variables.iter().map(|&v| (f.dim(v), f.kind(v))).collect();
    let seed = typed::as_real(f, seed);
    let found = Sweep::new(f, Domain::default(), variables).run(value, Domain::of(axis), seed)?;
    let full = |(adjoint, (dim, kind)): (Option<ExprId>, _)| {
        let reals = adjoint.unwrap_or_else(|| zeros(f, dim));
        typed_as(f, reals, kind)
    };
    Ok(found.into_iter().zip(like).map(full).collect())
}

/// The derivative of a value when variables move, each in a direction like it, as a value of the
/// same formula: what [`jvp`] makes an output of.
///
/// # Errors
/// See [`GradError`].
pub fn tangent(
    f: &mut Formula,
    value: ExprId,
    directions: &[(ExprId, ExprId)],
) -> Result<ExprId, GradError> {
    let (dim, kind) = (f.dim(value), f.kind(value));
    let real = |&(variable, direction): &(ExprId, ExprId)| (variable, typed::as_real(f, direction));
    let directions: Vec<_> = directions.iter().map(real).collect();
    let found = forward::tangent(f, value, &directions, false)?;
    let reals = found.unwrap_or_else(|| zeros(f, dim));
    Ok(typed_as(f, reals, kind))
}

/// A derivative with the value that it is the derivative of, first among its outputs, so that one
/// call computes both and what they have in common is computed once.
///
/// # Errors
/// When a name of the derivative is that of the output.
pub fn with_value(
    derivative: Formula,
    formula: &Formula,
    output: &str,
) -> Result<Formula, GradError> {
    let value = find_output(formula, output)?.clone();
    let mut f = derivative;
    // A derivative's arena begins with the nodes of the formula.
    f.outputs.insert(0, value);
    checked(f)
}

fn find_output<'a>(formula: &'a Formula, output: &str) -> Result<&'a Output, GradError> {
    formula.outputs.iter().find(|o| o.name == output).ok_or_else(|| {
        GradError::UnknownOutput(output.into(), list(formula.outputs.iter().map(|o| &o.name)))
    })
}

fn targets(formula: &Formula, wrt: &[String]) -> Result<Vec<usize>, GradError> {
    let find = |name: &String| {
        formula.inputs.iter().position(|i| &i.name == name).ok_or_else(|| {
            GradError::UnknownInput(name.clone(), list(formula.inputs.iter().map(|i| &i.name)))
        })
    };
    wrt.iter().map(find).collect()
}

fn check_reals(formula: &Formula, out: &Output, inputs: &[usize]) -> Result<(), GradError> {
    let inputs = inputs.iter().map(|&n| &formula.inputs[n]).map(|i| (&i.name, i.kind));
    let mut all = inputs.chain([(&out.name, formula.kind(out.expr))]);
    match all.find(|(_, kind)| *kind == Kind::Int) {
        Some((name, _)) => Err(GradError::Integer(name.clone())),
        None => Ok(()),
    }
}

/// `d_x`, or `d2_x` where that is taken, and so on.
fn fresh(f: &Formula, prefix: &str, name: &str) -> String {
    let free = |candidate: &String| {
        let inputs = f.inputs.iter().map(|i| &i.name);
        !inputs.chain(f.outputs.iter().map(|o| &o.name)).any(|n| n == candidate)
    };
    let numbered = (2..).map(|n| format!("{prefix}{n}_{name}"));
    let mut all = std::iter::once(format!("{prefix}_{name}")).chain(numbered);
    all.find(free).unwrap_or_default()
}

fn declare(f: &mut Formula, name: &str, axis: Option<Axis>, like: ExprId) -> ExprId {
    let (dim, kind) = (f.dim(like), f.kind(like));
    f.input_of(name, axis, dim, kind).expect("what a value is, an input can be")
}

/// A derivative as the type of what it is the derivative of.
fn typed_as(f: &mut Formula, reals: ExprId, kind: Kind) -> ExprId {
    if kind == Kind::Complex { typed::as_complex(f, reals) } else { reals }
}

/// A derivative, once its names are known to be different.
fn checked(f: Formula) -> Result<Formula, GradError> {
    check_size(&f)?;
    let names = f.inputs.iter().map(|i| &i.name).chain(f.outputs.iter().map(|o| &o.name));
    let mut names: Vec<&String> = names.collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(GradError::NameTaken(pair[0].clone())),
        None => Ok(f),
    }
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

/// A vector of zeros.
fn zeros(f: &mut Formula, dim: usize) -> ExprId {
    let zero = f.constant(0.0);
    widen(f, zero, dim)
}

/// Copies a scalar into `dim` components, if it is not that long already.
fn widen(f: &mut Formula, id: ExprId, dim: usize) -> ExprId {
    if f.dim(id) == dim { id } else { f.apply(Op::SumT, &[id], &[dim as i64]) }
}

/// Undoes a broadcast: an adjoint that is too long is summed, one that is too short is copied.
fn fit(f: &mut Formula, adjoint: ExprId, dim: usize) -> ExprId {
    match (dim, f.dim(adjoint)) {
        (1, n) if n > 1 => f.sum_components(adjoint),
        (n, 1) if n > 1 => f.apply(Op::SumT, &[adjoint], &[n as i64]),
        _ => adjoint,
    }
}

#[cfg(test)]
mod tests;
