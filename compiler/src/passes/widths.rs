//! In relaxed formulas, `exp2(-p |x - y|^2)` becomes `exp2(-|s x - s y|^2)` with `s = sqrt(p)`: a
//! width is multiplied into rows and columns once, and not into the distance of every pair.
//!
//! It rounds points as if each had moved by 2^-24 of its distance from the origin (in f32), which
//! matters where points lie many widths away from it: that is why formulas have to allow it. In a
//! sum of products of such a power with `x - y`, as gradients are, the difference is replaced too,
//! so that pairs have one difference. A score `-p |x - y|^2` of logsumexp and its kin becomes
//! `-ln2 |s x - s y|^2` with `s = sqrt(p log2 e)`, which a GPU takes as the exponent of a power of
//! two. Nothing is done where `p` may be negative, or where the plain difference would still be
//! needed.

use std::collections::BTreeMap;
use std::f64::consts::{LN_2, LOG2_E};

use crate::ir::{ExprId, Formula, Kind, Node, Reduction, Stratum};
use crate::ops::Op;
use crate::reduce::{Reducer, StateKind};

use super::cost::cost;
use super::products::{Product, widen};
use super::rewrite::{keep, rewrite};
use super::simplify::Fired;

/// `x - y` in widths, and what it has to be multiplied with to be `x - y`.
#[derive(Clone, Copy)]
struct Scaled {
    difference: ExprId,
    width: ExprId,
}

/// See the module's text.
pub fn widths(formula: &Formula, fired: &mut Fired) -> Formula {
    if !formula.relaxed {
        return formula.clone();
    }
    let mut known: BTreeMap<ExprId, Scaled> = BTreeMap::new();
    let new = rewrite(formula, |f, _, node| match node {
        Node::Op(Op::Exp2, ref args, _) => match power(f, args[0], &mut known) {
            Some(power) => power,
            None => keep(f, node),
        },
        Node::Reduce(r) if r.reducer == Reducer::Sum => sum(f, r, &known),
        Node::Reduce(mut r) if r.reducer.def().emit.state == StateKind::ShiftedExp => {
            if let Some(score) = score(f, r.args[0], &mut known) {
                r.args[0] = score;
            }
            f.fold(r)
        }
        other => keep(f, other),
    });
    if known.is_empty() || cost(&new).pair > cost(formula).pair {
        return formula.clone();
    }
    *fired.entry("distances in widths").or_default() += known.len();
    new
}

/// `exp2(arg)`, if `arg` is such a product.
fn power(f: &mut Formula, arg: ExprId, known: &mut BTreeMap<ExprId, Scaled>) -> Option<ExprId> {
    let distance = distance_in_widths(f, arg, 1.0, known)?;
    let exponent = f.neg(distance);
    Some(f.apply(Op::Exp2, &[exponent], &[]))
}

/// The score of a sum of exponentials, if it is such a product.
fn score(f: &mut Formula, arg: ExprId, known: &mut BTreeMap<ExprId, Scaled>) -> Option<ExprId> {
    if distance(f, arg).is_some() {
        return None;
    }
    let distance = distance_in_widths(f, arg, LOG2_E, known)?;
    let factor = f.constant(-LN_2);
    Some(f.mul(factor, distance))
}

/// The difference `d` of a score `-ln2 |d|^2`.
pub fn distance(f: &Formula, score: ExprId) -> Option<ExprId> {
    let Node::Op(Op::Mul, args, _) = f.node(score) else { return None };
    let is_ln2 = matches!(f.node(args[0]), Node::Const(c) if c.get() == -LN_2);
    if is_ln2 { f.root_of_squared_norm(args[1]) } else { None }
}

/// `|s x - s y|^2` of `-p |x - y|^2`, with `s = sqrt(unit p)`.
fn distance_in_widths(
    f: &mut Formula,
    arg: ExprId,
    unit: f64,
    known: &mut BTreeMap<ExprId, Scaled>,
) -> Option<ExprId> {
    let stratum = f.stratum(arg);
    if f.dim(arg) != 1 || stratum != Stratum::Pair {
        return None;
    }
    let (inside, outside) = Product::of(f, arg).split(|id| f.stratum(id) > Stratum::Param);
    let mut inverse = outside.opposite(f)?;
    let square = if inside.len() == 1 { inside.build(f) } else { return None };
    let plain = f.root_of_squared_norm(square)?;
    let Node::Op(Op::Sub, args, _) = f.node(plain) else { return None };
    let (x, y) = (args[0], args[1]);
    let is_point = |id| f.kind(id) == Kind::Real && f.stratum(id) != Stratum::Pair;
    if !is_point(x) || !is_point(y) {
        return None;
    }
    if unit != 1.0 {
        inverse.push(f.constant(unit));
    }
    let inverse = inverse.build(f);
    let scale = f.apply(Op::Sqrt, &[inverse], &[]);
    let (x, y) = (f.mul(scale, x), f.mul(scale, y));
    let difference = f.sub(x, y);
    // 0 where it is 1 / 0: all powers are the same then, and gradients are 0.
    let width = f.apply(Op::Rsqrt, &[inverse], &[]);
    known.insert(plain, Scaled { difference, width });
    Some(f.squared_norm(difference))
}

fn sum(f: &mut Formula, r: Reduction, known: &BTreeMap<ExprId, Scaled>) -> ExprId {
    let dim = f.dim(r.args[0]);
    let mut product = Product::of(f, r.args[0]);
    let swaps = known.iter().filter(|(plain, scaled)| product.swap(**plain, scaled.difference));
    let widths: Vec<ExprId> = swaps.map(|(_, scaled)| scaled.width).collect();
    let Some(width) = widths.into_iter().reduce(|a, b| f.mul(a, b)) else {
        return keep(f, Node::Reduce(r));
    };
    let built = product.build(f);
    let arg = widen(f, built, dim);
    let sum = f.fold(Reduction { args: vec![arg], ..r });
    f.mul(width, sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Axis;

    #[test]
    fn squares_of_components_are_no_distance() {
        let mut f = Formula::new("f");
        let x = f.input("x", Some(Axis::I), 3).expect("valid");
        let y = f.input("y", Some(Axis::J), 3).expect("valid");
        let d = f.sub(x, y);
        let squares = f.square(d);
        let sum = f.apply(Op::Sum, &[squares], &[]);
        let factor = f.constant(-LN_2);
        let [each, all] = [squares, sum].map(|value| f.mul(factor, value));
        assert_eq!((distance(&f, each), distance(&f, all)), (None, Some(d)));
    }
}
