//! Rebuilds a formula bottom-up, one node at a time: what every rewriting pass has in common.

use crate::ir::{ExprId, Formula, Node};

/// Copies what `formula`'s outputs reach into a new formula. `rule` makes the new node for each
/// old one, given the old id; the node's arguments are already renamed to the new formula.
pub fn rewrite(
    formula: &Formula,
    mut rule: impl FnMut(&mut Formula, ExprId, Node) -> ExprId,
) -> Formula {
    let mut new = Formula::new(formula.name.clone());
    new.doc.clone_from(&formula.doc);
    new.inputs.clone_from(&formula.inputs);
    new.relaxed = formula.relaxed;
    new.acc = formula.acc;
    let live = formula.reachable(formula.outputs.iter().map(|o| o.expr));
    let mut renamed: Vec<Option<ExprId>> = vec![None; formula.len()];
    for id in formula.ids().filter(|id| live[id.index()]) {
        let new_arg = |arg: ExprId| renamed[arg.index()].expect("arguments come first");
        let node = formula.node(id).clone().map_args(new_arg);
        renamed[id.index()] = Some(rule(&mut new, id, node));
    }
    for output in &formula.outputs {
        let expr = renamed[output.expr.index()].expect("outputs are live");
        new.outputs.push(crate::ir::Output { expr, ..output.clone() });
    }
    new
}

/// Adds a node whose arguments already live in `f`, without any rewriting.
pub fn keep(f: &mut Formula, node: Node) -> ExprId {
    match node {
        Node::Input(n) => f.input_expr(n as usize),
        Node::Const(c) => f.constant(c.get()),
        Node::Pos(axis) => f.pos(axis),
        Node::Op(op, args, params) => f.apply(op, &args, &params),
        Node::Reduce(r) => f.fold(r),
    }
}
