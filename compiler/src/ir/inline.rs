//! One formula inside another.
//!
//! In go a formula, one of its outputs, and a value for each of its inputs; out comes the value of
//! that output as a node of the other formula. Never an output that is left over.

use super::arena::{ExprId, Formula, Node};
use super::build::BuildError;

/// Adds what the value `root` of `g` needs to `f`, with `inputs` in the place of `g`'s.
///
/// # Errors
/// When an operation does not fit the inputs, or `f` grows too large.
///
/// # Panics
/// When there are fewer inputs than `g` has, which is a bug of the caller.
pub fn inline(
    f: &mut Formula,
    g: &Formula,
    root: ExprId,
    inputs: &[ExprId],
) -> Result<ExprId, BuildError> {
    let live = g.reachable([root]);
    let mut made: Vec<Option<ExprId>> = vec![None; g.len()];
    for id in g.ids().filter(|id| live[id.index()]) {
        let new = |arg: ExprId| made[arg.index()].expect("arguments come first");
        let node = match g.node(id).clone().map_args(new) {
            Node::Input(n) => inputs[n as usize],
            Node::Const(c) => f.constant(c.get()),
            Node::Pos(axis) => f.pos(axis),
            Node::Op(op, args, params) => f.op(op, &args, &params)?,
            Node::Reduce(r) => f.reduce(r)?,
        };
        made[id.index()] = Some(node);
    }
    Ok(made[root.index()].expect("the root is live"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Axis, canonical_text};
    use crate::ops::Op;

    #[test]
    fn a_formula_of_values_is_the_formula_itself() {
        let mut g = Formula::new("g");
        let x = g.input("x", Some(Axis::I), 2).expect("valid");
        let y = g.input("y", Some(Axis::J), 2).expect("valid");
        let d = g.apply(Op::SqDist, &[x, y], &[]);
        let sum = g.sum_over(Axis::J, d);
        g.output("a", Some(Axis::I), sum).expect("fits");
        let mut f = Formula::new("f");
        let inputs = [("x", Axis::I), ("y", Axis::J)]
            .map(|(name, axis)| f.input(name, Some(axis), 2).expect("valid"));
        let root = inline(&mut f, &g, sum, &inputs).expect("fits");
        f.output("a", Some(Axis::I), root).expect("fits");
        assert_eq!(canonical_text(&f), canonical_text(&g));
    }
}
