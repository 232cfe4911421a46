//! The checks of what every other room relies on.
//!
//! In goes a formula; out comes the first broken invariant, in words. Nothing is changed. The
//! invariants:
//!
//! - an input node names an input, and an input has 1 to [`MAX_DIM`] columns;
//! - names of inputs and outputs are identifiers, and no two of them are equal;
//! - arguments of a node have smaller ids than the node, so there is no cycle;
//! - no two nodes are equal;
//! - operations and reductions have as many arguments and parameters as their rooms say;
//! - dims follow the rooms' shape rules and are 1 to [`MAX_DIM`]; a mask is a scalar;
//! - the stratum of a node is the join of its arguments', without the axis that a reduction folds;
//! - only the reductions that say so give row numbers, and no node reads row numbers;
//! - there is no composite: those were expanded when they were built;
//! - `k` is given where the reduction takes it, and is 0 elsewhere;
//! - an output exists and its axis holds its value.

use std::collections::HashSet;

use super::arena::{ExprId, Formula, Node, Reduction};
use super::build::MAX_DIM;
use super::types::{Kind, Stratum};

/// Checks every invariant of this module's text.
///
/// # Errors
/// The first one that does not hold.
pub fn verify(f: &Formula) -> Result<(), String> {
    names(f)?;
    let mut seen = HashSet::new();
    for id in f.ids() {
        let node = f.node(id);
        arguments(f, id).and_then(|()| facts(f, id)).map_err(|why| format!("{id}: {why}"))?;
        if !seen.insert(node) {
            return Err(format!("{id}: {node:?} is already there"));
        }
    }
    outputs(f)
}

fn names(f: &Formula) -> Result<(), String> {
    let mut seen = HashSet::new();
    let inputs = f.inputs.iter().map(|i| &i.name);
    for name in inputs.chain(f.outputs.iter().map(|o| &o.name)) {
        let mut chars = name.chars();
        let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !starts || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("the name `{}` is no identifier", name.escape_debug()));
        }
        if !seen.insert(name) {
            return Err(format!("the name `{name}` is used twice"));
        }
    }
    Ok(())
}

fn arguments(f: &Formula, id: ExprId) -> Result<(), String> {
    let node = f.node(id);
    if let Some(later) = node.args().find(|a| *a >= id) {
        return Err(format!("the argument {later} does not come first"));
    }
    match node.args().find(|&a| f.kind(a) == Kind::Index) {
        Some(index) => Err(format!("the argument {index} is a row number")),
        None => Ok(()),
    }
}

/// Computes the dim, stratum and kind of a node again and compares.
fn facts(f: &Formula, id: ExprId) -> Result<(), String> {
    let real = |dim, stratum| (dim, stratum, Kind::Real);
    let join = f.node(id).args().fold(Stratum::Const, |s, a| s.join(f.stratum(a)));
    let expected = match f.node(id) {
        Node::Input(index) => {
            let known = f.inputs.get(*index as usize);
            let input = known.ok_or_else(|| format!("there is no input {index}"))?;
            real(input.dim, Stratum::of(input.axis))
        }
        Node::Const(_) => real(1, Stratum::Const),
        Node::Pos(axis) => real(1, Stratum::of(Some(*axis))),
        Node::Op(op, args, params) => {
            let def = op.def();
            count(def.name, "arguments", args.len(), def.arity)?;
            count(def.name, "parameters", params.len(), def.params)?;
            if def.expand.is_some() {
                return Err(format!("the composite {} was not expanded", def.name));
            }
            let dim = (def.shape)(&dims(f, args), params);
            real(dim.map_err(|why| format!("{}: {why}", def.name))?, join)
        }
        Node::Reduce(r) => (fold_dim(f, r)?, join.without(r.axis), kind(r)),
    };
    let found = (f.dim(id), f.stratum(id), f.kind(id));
    if found != expected {
        return Err(format!("dim, stratum and kind are {found:?} instead of {expected:?}"));
    }
    match found.0 {
        1..=MAX_DIM => Ok(()),
        dim => Err(format!("{dim} components, but a value has 1 to {MAX_DIM}")),
    }
}

fn dims(f: &Formula, args: &[ExprId]) -> Vec<usize> {
    args.iter().map(|&a| f.dim(a)).collect()
}

fn count(name: &str, what: &str, found: usize, expected: usize) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{name} has {found} {what} instead of {expected}")),
    }
}

fn fold_dim(f: &Formula, r: &Reduction) -> Result<usize, String> {
    let def = r.reducer.def();
    count(def.name, "arguments", r.args.len(), def.arity)?;
    if !def.takes_k && r.k != 0 {
        return Err(format!("{} takes no k, but k is {}", def.name, r.k));
    }
    if let Some(mask) = r.mask.filter(|&mask| f.dim(mask) != 1) {
        return Err(format!("the mask {mask} has {} components", f.dim(mask)));
    }
    (def.shape)(&dims(f, &r.args), r.k).map_err(|why| format!("{}: {why}", def.name))
}

fn kind(r: &Reduction) -> Kind {
    if r.reducer.def().index { Kind::Index } else { Kind::Real }
}

fn outputs(f: &Formula) -> Result<(), String> {
    for output in &f.outputs {
        let name = &output.name;
        if output.expr.index() >= f.len() {
            return Err(format!("the output `{name}` is {}, which is not there", output.expr));
        }
        let (place, value) = (Stratum::of(output.axis), f.stratum(output.expr));
        if !place.holds(value) {
            return Err(format!("the output `{name}` is {value}, which {place} does not hold"));
        }
    }
    Ok(())
}
