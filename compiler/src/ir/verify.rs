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
//! - integers come from inputs, positions, row numbers and what keeps them (see [`super::ints`]),
//!   and only operations that take integers read them;
//! - only inputs and `as_complex` are complex, of an even dim, and only `as_real` reads them;
//! - there is no composite: those were expanded when they were built;
//! - `k` is given where the reduction takes it, and is 0 elsewhere;
//! - an output exists and its axis holds its value.

use std::collections::HashSet;

use super::arena::{ExprId, Formula, Node, Reduction};
use super::build::MAX_DIM;
use super::ints;
use super::types::{Kind, Stratum};
use crate::ops::{LISTS, Op};

/// Checks every invariant of this module's text.
///
/// # Errors
/// The first one that does not hold.
pub fn verify(f: &Formula) -> Result<(), String> {
    names(f)?;
    for id in f.ids() {
        arguments(f, id).and_then(|()| facts(f, id)).map_err(|why| format!("{id}: {why}"))?;
        if f.find(f.node(id)) != Some(id) {
            return Err(format!("{id}: {:?} is already there", f.node(id)));
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
    if let Some(integer) = ints::misread(f, node) {
        return Err(format!("the argument {integer} is an integer"));
    }
    let reads_complex = matches!(node, Node::Op(Op::AsReal, ..));
    match node.args().find(|&a| f.kind(a) == Kind::Complex && !reads_complex) {
        Some(complex) => Err(format!("the argument {complex} is complex")),
        None => Ok(()),
    }
}

/// Computes the dim, stratum, kind and bits of a node again and compares.
fn facts(f: &Formula, id: ExprId) -> Result<(), String> {
    let real = |dim, stratum| (dim, stratum, Kind::Real, 0);
    let int = |dim, stratum, bits| (dim, stratum, Kind::Int, bits);
    let join = f.node(id).args().fold(Stratum::Const, |s, a| s.join(f.stratum(a)));
    let expected = match f.node(id) {
        Node::Input(index) => {
            let known = f.inputs.get(*index as usize);
            let input = known.ok_or_else(|| format!("there is no input {index}"))?;
            if input.kind == Kind::Complex && !input.dim.is_multiple_of(2) {
                return Err(format!("{} columns are no complex numbers", input.dim));
            }
            match input.kind {
                Kind::Real | Kind::Complex => (input.dim, Stratum::of(input.axis), input.kind, 0),
                Kind::Int => int(input.dim, Stratum::of(input.axis), ints::INPUT_BITS),
            }
        }
        Node::Const(_) => real(1, Stratum::Const),
        Node::Pos(axis) => int(1, Stratum::of(Some(*axis)), ints::ROW_BITS),
        Node::Op(op, args, params) => {
            let def = op.def();
            count(def.name, "arguments", args.len(), def.arity)?;
            if def.params != LISTS {
                count(def.name, "parameters", params.len(), def.params)?;
            }
            if def.expand.is_some() {
                return Err(format!("the composite {} was not expanded", def.name));
            }
            let dim = (def.shape)(&dims(f, args), params);
            let dim = dim.map_err(|why| format!("{}: {why}", def.name))?;
            let facts = ints::facts(f, *op, args, params, dim)?;
            (dim, join, facts.kind, facts.bits)
        }
        Node::Reduce(r) if r.reducer.def().index => {
            int(fold_dim(f, r)?, join.without(r.axis), ints::ROW_BITS)
        }
        Node::Reduce(r) => real(fold_dim(f, r)?, join.without(r.axis)),
    };
    let found = (f.dim(id), f.stratum(id), f.kind(id), f.bits(id));
    if found != expected {
        return Err(format!("dim, stratum, kind and bits are {found:?}, not {expected:?}"));
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
    if def.expand.is_some() {
        return Err(format!("the composite {} was not expanded", def.name));
    }
    count(def.name, "arguments", r.args.len(), def.arity)?;
    if !def.takes_k && r.k != 0 {
        return Err(format!("{} takes no k, but k is {}", def.name, r.k));
    }
    if let Some(mask) = r.mask.filter(|&mask| f.dim(mask) != 1) {
        return Err(format!("the mask {mask} has {} components", f.dim(mask)));
    }
    (def.shape)(&dims(f, &r.args), r.k).map_err(|why| format!("{}: {why}", def.name))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::arena::{Facts, Input, Output};
    use crate::ir::types::{Axis, Real};
    use crate::reduce::Reducer;

    /// `a[i] = sum[j] dot(x, y)`; its nodes are x, y, their product, its sum, the reduction.
    fn valid() -> Formula {
        let mut f = Formula::new("f");
        let x = f.input("x", Some(Axis::I), 3).expect("valid");
        let y = f.input("y", Some(Axis::J), 3).expect("valid");
        let dot = f.apply(Op::Dot, &[x, y], &[]);
        let sum = f.sum_over(Axis::J, dot);
        f.output("a", Some(Axis::I), sum).expect("fits");
        f
    }

    const X: ExprId = ExprId(0);
    const Y: ExprId = ExprId(1);
    const DOT: ExprId = ExprId(3);

    fn fold(reducer: Reducer, args: &[ExprId], mask: Option<ExprId>, k: usize) -> Node {
        Node::Reduce(Reduction { reducer, axis: Axis::J, args: args.to_vec(), mask, k })
    }

    #[test]
    fn what_is_built_is_valid() {
        assert_eq!(verify(&Formula::new("empty")), Ok(()));
        let mut f = valid();
        assert_eq!(verify(&f), Ok(()));
        let best = f.reduce(Reduction {
            reducer: Reducer::ArgKMin,
            axis: Axis::I,
            args: vec![X],
            mask: Some(DOT),
            k: 2,
        });
        f.output("best", Some(Axis::J), best.expect("fits")).expect("fits");
        f.pos(Axis::J);
        assert_eq!(verify(&f), Ok(()));
    }

    #[test]
    fn broken_nodes_are_found() {
        use Stratum::{Const, I, Pair, Param};
        let op = |op, args: &[ExprId], params: &[i64]| Node::Op(op, args.to_vec(), params.to_vec());
        let (r, n) = (Facts::real, |dim, stratum| Facts::int(dim, stratum, 45));
        let facts = "dim, stratum, kind and bits are ";
        let table = [
            (Node::Input(7), r(3, I), "there is no input 7"),
            (op(Op::Neg, &[ExprId(5)], &[]), r(3, I), "the argument v5 does not come first"),
            (op(Op::Neg, &[X, Y], &[]), r(3, Pair), "neg has 2 arguments instead of 1"),
            (op(Op::Neg, &[X], &[1]), r(3, I), "neg has 1 parameters instead of 0"),
            (op(Op::Dot, &[X, Y], &[]), r(1, Pair), "the composite dot was not expanded"),
            (op(Op::Elem, &[X], &[-1]), r(1, I), "elem: the index is -1"),
            (op(Op::Neg, &[X], &[]), r(2, I), &format!("{facts}(2, I, Real, 0), not (3,")),
            (op(Op::Neg, &[X], &[]), r(3, Pair), &format!("{facts}(3, Pair, Real, 0), not")),
            (op(Op::Neg, &[X], &[]), n(3, I), &format!("{facts}(3, I, Int, 45), not")),
            (Node::Const(Real::new(1.0)), r(1, Param), &format!("{facts}(1, Param, ")),
            (Node::Pos(Axis::I), r(1, Const), &format!("{facts}(1, Const, Real, 0), not")),
            (Node::Pos(Axis::I), Facts::int(1, I, 9), &format!("{facts}(1, I, Int, 9), not")),
            (fold(Reducer::ArgMin, &[DOT], None, 0), r(1, I), &format!("{facts}(1, I, Real, ")),
            (fold(Reducer::Sum, &[DOT, DOT], None, 0), r(1, I), "sum has 2 arguments instead of"),
            (fold(Reducer::Sum, &[DOT], None, 2), r(1, I), "sum takes no k, but k is 2"),
            (fold(Reducer::Sum, &[DOT], Some(Y), 0), r(1, I), "the mask v1 has 3 components"),
            (fold(Reducer::KMin, &[DOT], None, 0), r(1, I), "kmin: k is 0"),
        ];
        for (node, facts, why) in table {
            let mut f = valid();
            f.intern(node, facts);
            let found = verify(&f).expect_err(why);
            assert!(found.starts_with(&format!("v5: {why}")), "{found}, not {why}");
        }
    }

    #[test]
    fn integers_are_not_read_as_reals() {
        let mut f = valid();
        let index = fold(Reducer::ArgMin, &[DOT], None, 0);
        let id = f.intern(index, Facts::int(1, Stratum::I, 45));
        assert_eq!(verify(&f), Ok(()));
        let broken = [
            Node::Op(Op::Exp, vec![id], vec![]),
            Node::Op(Op::Lt, vec![id, X], vec![]),
            Node::Op(Op::Concat, vec![X, id], vec![]),
            fold(Reducer::Sum, &[id], None, 0),
        ];
        for read in broken {
            let mut f = f.clone();
            f.intern(read, Facts::real(1, Stratum::I));
            assert_eq!(verify(&f), Err(format!("v6: the argument {id} is an integer")));
        }
    }

    #[test]
    fn broken_names_and_outputs_are_found() {
        let output =
            |name: &str, axis, expr| Output { name: name.into(), doc: String::new(), axis, expr };
        let i = Some(Axis::I);
        for (broken, why) in [
            (output("a", i, X), "the name `a` is used twice"),
            (output("x", i, X), "the name `x` is used twice"),
            (output("", i, X), "the name `` is no identifier"),
            (output("2b", i, X), "the name `2b` is no identifier"),
            (output("b\n", i, X), "the name `b\\n` is no identifier"),
            (output("b", i, ExprId(9)), "the output `b` is v9, which is not there"),
            (output("b", i, DOT), "the output `b` is ij, which i does not hold"),
            (output("b", None, X), "the output `b` is i, which param does not hold"),
        ] {
            let mut f = valid();
            f.outputs.push(broken);
            assert_eq!(verify(&f), Err(why.to_string()));
        }
    }

    #[test]
    fn inputs_are_compared_with_their_nodes() {
        let mut f = valid();
        f.inputs[1] = Input { axis: None, ..f.inputs[1].clone() };
        assert!(verify(&f).is_err_and(|why| why.starts_with("v1: dim, stratum, kind and bits")));
        let mut f = valid();
        f.inputs[1].kind = Kind::Int;
        assert!(verify(&f).is_err_and(|why| why.starts_with("v1: dim, stratum, kind and bits")));
        let mut f = valid();
        f.inputs[0].dim = 0;
        assert!(verify(&f).is_err_and(|why| why.starts_with("v0: dim, stratum, kind and bits")));
    }
}
