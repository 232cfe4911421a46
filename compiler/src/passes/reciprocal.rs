//! Division by a value of a cheaper stratum becomes multiplication by its reciprocal, which is then
//! computed once a launch, row or column instead of once a pair.
//!
//! The quotient changes by an ulp at most, while divisors and their reciprocals are normal numbers.
//! So the rule leaves alone what decides a jump: whatever reaches a comparison, a rounding, a mask,
//! a condition or a search for row numbers keeps the division that the user wrote. Whether a value
//! is infinite does not hang on its last bit: such a comparison (gradients of `logsumexp` ask for
//! rows without weight) decides nothing.

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
        let all = (decides[id.index()] || jumps(node)) && !asks_for_infinity(f, node);
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

fn asks_for_infinity(f: &Formula, node: &Node) -> bool {
    let is_infinite = |&arg: &ExprId| f.as_const(arg).is_some_and(f64::is_infinite);
    match node {
        Node::Op(Op::Eq | Op::Ne | Op::Lt | Op::Le, args, _) => args.iter().any(is_infinite),
        _ => false,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::parse;
    use crate::ir::Stratum;
    use crate::passes::settle;

    /// How many pairs are divided in a formula's last derivative, or in the formula itself.
    fn divisions(body: &str) -> usize {
        let text = format!("tilefold 1; formula f {{ x[i], y[j], p : R; {body} }}");
        let units = parse("test", &text).unwrap_or_else(|e| panic!("{}", e.render("test", &text)));
        let instance = &units[0].instances[0];
        let formula = instance.derivatives.last().map_or(&instance.formula, |d| &d.formula);
        let settled = settle(formula);
        let divides = |&id: &ExprId| {
            matches!(settled.node(id), Node::Op(Op::Div, ..))
                && settled.stratum(id) == Stratum::Pair
        };
        settled.ids().filter(divides).count()
    }

    #[test]
    fn pairs_are_divided_only_where_the_last_bit_decides() {
        assert_eq!(divisions("a[i] = sum[j] exp((x - y) / p);"), 0);
        assert_eq!(divisions("a[i] = argmin[j] (x - y) / p;"), 1);
        assert_eq!(divisions("a[i] = sum[j where (x - y) / p < 1] y;"), 1);
        // The gradient asks whether logsumexp is -inf, which no last bit decides.
        assert_eq!(divisions("a[i] = logsumexp[j] (x - y) / p; grad a wrt x, y;"), 0);
    }
}
