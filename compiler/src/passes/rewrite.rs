//! Rebuilds a formula bottom-up, one node at a time: what every rewriting pass has in common.

use crate::ir::{ExprId, Formula, Node, Reduction};

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
        let node = rename(formula.node(id), &renamed);
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

fn rename(node: &Node, renamed: &[Option<ExprId>]) -> Node {
    let new = |id: &ExprId| renamed[id.index()].expect("arguments come first");
    match node {
        Node::Op(op, args, params) => Node::Op(*op, args.iter().map(new).collect(), params.clone()),
        Node::Reduce(r) => Node::Reduce(Reduction {
            args: r.args.iter().map(new).collect(),
            mask: r.mask.as_ref().map(new),
            ..r.clone()
        }),
        leaf => leaf.clone(),
    }
}
