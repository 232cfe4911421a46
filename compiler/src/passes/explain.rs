//! What the passes do to a formula, as text for people: operations a pair step by step, and the
//! rules that were applied.

use std::fmt::Write;

use crate::ir::{ExprId, Formula, Node};

use super::cost::{self, Cost, cost};
use super::trace;

/// Explains what [`super::optimize`] does. An operation is an addition, or as many as it is worth.
pub fn explain(formula: &Formula) -> String {
    let mut out = String::from("operations, in additions:\n");
    let (tree, shared) = everything_at_every_pair(formula);
    let _ = writeln!(out, "  as written, everything at every pair: {tree}");
    let _ = writeln!(out, "  common subexpressions shared: {shared}");
    let _ = writeln!(out, "  hoisted to rows, columns and launches: {}", cost(formula));
    for step in trace(formula).1 {
        let _ = writeln!(out, "  after {} ({}): {}", step.pass, step.doc, step.cost);
        for (name, times) in &step.fired {
            let _ = match times {
                1 => writeln!(out, "    {name}"),
                _ => writeln!(out, "    {name}, {times} times"),
            };
        }
    }
    out
}

/// Operations of all that is folded if nothing is hoisted: with every value computed again for
/// each reader, and with every value computed once.
fn everything_at_every_pair(f: &Formula) -> (f64, f64) {
    let operations = |id: ExprId| {
        let Cost { pair, row, launch } = cost::of_node(f, id);
        pair + row + launch
    };
    let live = f.reachable(f.outputs.iter().map(|o| o.expr));
    let mut trees = vec![0.0; f.len()];
    let mut folded = vec![false; f.len()];
    let mut tree = 0.0;
    for id in f.ids().filter(|id| live[id.index()]) {
        let node = f.node(id);
        let below: f64 = node.args().map(|a| trees[a.index()]).sum();
        let all = operations(id) + below;
        match node {
            // What is folded is finished: whoever reads it reads a row.
            Node::Reduce(_) => tree += all,
            _ => trees[id.index()] = all,
        }
    }
    for id in f.ids().rev().filter(|id| live[id.index()]) {
        let reduces = matches!(f.node(id), Node::Reduce(_));
        if reduces || folded[id.index()] {
            f.node(id).args().for_each(|a| folded[a.index()] = true);
        }
        folded[id.index()] |= reduces;
    }
    (tree, f.ids().filter(|id| folded[id.index()]).map(operations).sum())
}
