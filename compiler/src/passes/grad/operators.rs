//! Derivatives inside expressions: KeOps' `Grad`, `Diff`, `GradMatrix`, `Divergence`, `Laplacian`,
//! `TraceOperator`, `AdjointOperator` and `SumLinOperator`.
//!
//! In go nodes of one formula, out comes a node of the same formula. A derivative is taken at one
//! row of each index along which the value or its seed varies, so under a sum it is the derivative
//! of the summand. A variable of another index has been reduced away: then its gradient has a
//! row for each row of that index, and is summed over those of the value. Dims fit, or it is a bug
//! of the caller.

use crate::ir::{ExprId, Formula};
use crate::ops::Op;

use super::forward;
use super::linear::{self, substitute};
use super::linearity;
use super::reverse::{Domain, Sweep};
use super::scratch::{component, scratch, scratch_one};
use super::{GradError, zeros};

/// The gradient of `sum(seed * value)` with respect to a variable; `seed` has the value's dim.
///
/// # Errors
/// See [`GradError`].
pub fn grad(
    f: &mut Formula,
    value: ExprId,
    variable: ExprId,
    seed: ExprId,
) -> Result<ExprId, GradError> {
    let dim = f.dim(variable);
    let found = scratch_one(f, |f| adjoint(f, value, variable, seed))?;
    Ok(found.unwrap_or_else(|| zeros(f, dim)))
}

/// The indices along which a value varies: those that a derivative is taken at one row of.
fn place(f: &Formula, id: ExprId) -> Domain {
    Domain::of_stratum(f.stratum(id))
}

fn adjoint(
    f: &mut Formula,
    value: ExprId,
    variable: ExprId,
    seed: ExprId,
) -> Result<Option<ExprId>, GradError> {
    let kept = place(f, value).join(place(f, seed));
    let found = Sweep::new(f, kept, &[variable]).run(value, kept, seed)?;
    Ok(found.into_iter().flatten().next())
}

/// The derivative of a value when variables move, each in a direction of its own dim.
///
/// # Errors
/// See [`GradError`].
pub fn diff(
    f: &mut Formula,
    value: ExprId,
    directions: &[(ExprId, ExprId)],
) -> Result<ExprId, GradError> {
    let dim = f.dim(value);
    let found = scratch_one(f, |f| forward::tangent(f, value, directions, false))?;
    Ok(found.unwrap_or_else(|| zeros(f, dim)))
}

/// The gradients of all components of a value, one after the other.
///
/// # Errors
/// See [`GradError`].
pub fn grad_matrix(f: &mut Formula, value: ExprId, variable: ExprId) -> Result<ExprId, GradError> {
    let (rows, dim) = (f.dim(value), f.dim(variable));
    let one = f.constant(1.0);
    let found = scratch(f, |f| {
        let row = |k| {
            let entry = component(f, value, k);
            let kept = place(f, value);
            let found = Sweep::new(f, kept, &[variable]).run(entry, kept, one)?;
            Ok(found.into_iter().flatten().next())
        };
        (0..rows).map(row).collect()
    })?;
    let mut all: Option<ExprId> = None;
    for row in found {
        let row = row.unwrap_or_else(|| zeros(f, dim));
        all = Some(all.map_or(row, |above| f.apply(Op::Concat, &[above, row], &[])));
    }
    Ok(all.unwrap_or_else(|| zeros(f, dim)))
}

/// The trace of the Jacobian of a value that has the variable's dim.
///
/// # Errors
/// See [`GradError`].
pub fn divergence(f: &mut Formula, value: ExprId, variable: ExprId) -> Result<ExprId, GradError> {
    let found = scratch_one(f, |f| {
        let kept = place(f, value);
        let direction = f.placeholder(f.dim(variable), f.stratum(variable));
        let found = forward::tangent(f, value, &[(variable, direction)], true)?;
        let one = f.constant(1.0);
        found.map(|tangent| linear::trace(f, tangent, direction, one, kept)).transpose()
    })?;
    Ok(found.unwrap_or_else(|| f.constant(0.0)))
}

/// The divergence of the gradient of a scalar.
///
/// # Errors
/// See [`GradError`].
pub fn laplacian(f: &mut Formula, value: ExprId, variable: ExprId) -> Result<ExprId, GradError> {
    let one = f.constant(1.0);
    let gradient = grad(f, value, variable, one)?;
    divergence(f, gradient, variable)
}

/// The trace of `diag(weight) M`, where the value is `M variable`; a scalar value stands for
/// a vector of its copies.
///
/// # Errors
/// When the value is not linear in the variable.
pub fn trace_operator(
    f: &mut Formula,
    value: ExprId,
    variable: ExprId,
    weight: ExprId,
) -> Result<ExprId, GradError> {
    linearity::check(f, value, variable)?;
    let kept = place(f, value).join(place(f, weight));
    let found = scratch_one(f, |f| linear::trace(f, value, variable, weight, kept).map(Some))?;
    Ok(found.unwrap_or_else(|| f.constant(0.0)))
}

/// `M^T seed`, where the value is `M variable`.
///
/// # Errors
/// When the value is not linear in the variable.
pub fn adjoint_operator(
    f: &mut Formula,
    value: ExprId,
    variable: ExprId,
    seed: ExprId,
) -> Result<ExprId, GradError> {
    linearity::check(f, value, variable)?;
    grad(f, value, variable, seed)
}

/// The sum of the entries of `diag(left) M diag(right)`, where the value is `M variable`.
///
/// # Errors
/// When the value is not linear in the variable.
pub fn sum_lin_operator(
    f: &mut Formula,
    value: ExprId,
    variable: ExprId,
    left: ExprId,
    right: ExprId,
) -> Result<ExprId, GradError> {
    linearity::check(f, value, variable)?;
    let dim = f.dim(variable);
    let right = super::widen(f, right, dim);
    let found = scratch_one(f, |f| {
        let applied = substitute(f, value, variable, right);
        Ok(Some(f.apply(Op::Dot, &[left, applied], &[])))
    })?;
    Ok(found.unwrap_or_else(|| f.constant(0.0)))
}

/// `root` with another value in the place of one of its nodes, which has the same dim.
pub fn replace(f: &mut Formula, root: ExprId, node: ExprId, value: ExprId) -> ExprId {
    substitute(f, root, node, value)
}
