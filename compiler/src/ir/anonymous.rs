//! A formula without its names.
//!
//! In goes a formula; out come the same formula with inputs that are numbered in the order in
//! which a walk from the outputs meets them, and where each was before. Two formulas that differ
//! in names, in the order of their inputs, in inputs that nothing needs and in how sums are
//! accumulated where nothing is summed are one formula then, node for node: an expression of arrays
//! finds the formula of a file.

use super::arena::{ExprId, Formula, Input, Node, Output};
use super::print::walk;
use super::types::Accumulation;

/// See the module's text. The second value says for each input which of `f`'s it is.
pub fn anonymous(f: &Formula) -> (Formula, Vec<usize>) {
    let order = meeting_order(f);
    let mut new = Formula::new("anonymous");
    (new.relaxed, new.acc) = (f.relaxed, f.acc);
    let mut number = vec![0; f.inputs.len()];
    for (n, &old) in order.iter().enumerate() {
        number[old] = n as u32;
        let name = format!("x{n}");
        new.inputs.push(Input { name, doc: String::new(), ..f.inputs[old].clone() });
    }
    let mut renamed: Vec<Option<ExprId>> = vec![None; f.len()];
    let known = |new: &mut Formula, renamed: &[Option<ExprId>], id: ExprId| {
        renamed[id.index()].unwrap_or_else(|| {
            let leaf = match f.node(id) {
                Node::Input(n) => Node::Input(number[*n as usize]),
                leaf => leaf.clone(),
            };
            new.intern(leaf, f.facts(id))
        })
    };
    for id in walk(f) {
        let node = f.node(id).clone().map_args(|arg| known(&mut new, &renamed, arg));
        renamed[id.index()] = Some(new.intern(node, f.facts(id)));
    }
    for (n, output) in f.outputs.iter().enumerate() {
        let expr = known(&mut new, &renamed, output.expr);
        new.outputs.push(Output { name: format!("a{n}"), doc: String::new(), expr, ..*output });
    }
    if !new.has_sums() {
        new.acc = Accumulation::default();
    }
    (new, order)
}

/// The inputs that outputs need, in the order of a walk that visits arguments in their order.
fn meeting_order(f: &Formula) -> Vec<usize> {
    let mut seen = vec![false; f.len()];
    let mut order = Vec::new();
    let mut todo: Vec<ExprId> = f.outputs.iter().rev().map(|o| o.expr).collect();
    while let Some(id) = todo.pop() {
        if std::mem::replace(&mut seen[id.index()], true) {
            continue;
        }
        if let Node::Input(n) = f.node(id) {
            order.push(*n as usize);
        }
        let first = todo.len();
        todo.extend(f.node(id).args());
        todo[first..].reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Axis, key};
    use crate::ops::Op;

    fn gaussian(names: [&str; 2], swapped: bool) -> Formula {
        let mut f = Formula::new(names[0]);
        let spare = f.input("spare", None, 2).expect("valid");
        let mut declare = |n: usize| {
            let axis = [Axis::I, Axis::J][n];
            f.input(names[n], Some(axis), 3).expect("valid")
        };
        let (x, y) = if swapped {
            let y = declare(1);
            (declare(0), y)
        } else {
            (declare(0), declare(1))
        };
        let _ = f.apply(Op::Exp, &[spare], &[]);
        let d = f.apply(Op::SqDist, &[x, y], &[]);
        let sum = f.sum_over(Axis::J, d);
        f.output(names[0], Some(Axis::I), sum).expect("fits");
        f
    }

    #[test]
    fn names_and_order_of_inputs_do_not_matter() {
        let (first, order) = anonymous(&gaussian(["x", "y"], false));
        let (second, swapped) = anonymous(&gaussian(["target", "source"], true));
        assert_eq!((order, swapped), (vec![1, 2], vec![2, 1]), "the spare input is left out");
        assert_eq!(key(&first), key(&second));
    }
}
