//! Division by a value of a cheaper stratum becomes multiplication by its reciprocal, which is then
//! computed once a launch, row or column instead of once a pair.
//!
//! The quotient changes by an ulp at most, while divisors and their reciprocals are normal numbers.
//! So the rule leaves alone what decides a jump: whatever reaches a comparison, a rounding, a mask,
//! a condition or a search for row numbers keeps the division that the user wrote.

use crate::ir::{ExprId, Formula, Node};
use crate::ops::{Grad, Op};
use crate::reduce::ReduceGrad;

use super::rewrite::{keep, rewrite};
use super::simplify::Fired;

/// See the module's text.
pub fn reciprocal(formula: &Formula, fired: &mut Fired) -> Formula {
    let decides = decides_a_jump(formula);
    rewrite(formula, |f, id, node| match node {
        Node::Op(Op::Div, args, _) if !decides[id.index()] && is_cheaper(f, args[1], args[0]) => {
            *fired.entry("division to reciprocal").or_default() += 1;
            let inverse = f.apply(Op::Inv, &[args[1]], &[]);
            f.mul(args[0], inverse)
        }
        other => keep(f, other),
    })
}

fn is_cheaper(f: &Formula, divisor: ExprId, dividend: ExprId) -> bool {
    let (below, above) = (f.stratum(divisor), f.stratum(dividend));
    below < above && above.holds(below)
}

/// The nodes whose last bit may decide a value elsewhere.
fn decides_a_jump(f: &Formula) -> Vec<bool> {
    let mut decides = vec![false; f.len()];
    for id in f.ids().rev() {
        let node = f.node(id);
        let all = decides[id.index()] || jumps(node);
        let first = match node {
            Node::Op(Op::IfElse | Op::Where, args, _) => Some(args[0]),
            Node::Reduce(r) => r.mask,
            _ => None,
        };
        for arg in node.args().filter(|&arg| all || first == Some(arg)) {
            decides[arg.index()] = true;
        }
    }
    decides
}

/// Whether a node is not continuous in its arguments: piecewise constant operations, `mod`, row
/// numbers, counts and truth values.
fn jumps(node: &Node) -> bool {
    match node {
        Node::Op(op, ..) => *op == Op::Mod || matches!(op.def().grad, Grad::Zero),
        Node::Reduce(r) => matches!(r.reducer.def().grad, ReduceGrad::Zero),
        Node::Input(_) | Node::Const(_) | Node::Pos(_) => false,
    }
}
