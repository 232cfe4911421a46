//! Work that leaves nothing behind but its results, put in their shortest form.
//!
//! In goes a piece of work that may build any nodes, placeholders among them; out come its
//! results, rebuilt node by node with the identities of [`tidy`], while everything else that was
//! built is dropped. The identities are exact for every IEEE value, but for the sign of a zero
//! that is added, and that n copies are summed by one product.

use std::collections::BTreeMap;

use crate::ir::{ExprId, Formula, Node};
use crate::ops::{Emit, Op};

use super::super::rewrite::keep;
use super::widen;

/// Runs `work` and keeps what its results need.
///
/// # Panics
/// When a result needs a placeholder that `work` made: then the rule that it used is not linear.
pub fn scratch<E>(
    f: &mut Formula,
    work: impl FnOnce(&mut Formula) -> Result<Vec<Option<ExprId>>, E>,
) -> Result<Vec<Option<ExprId>>, E> {
    let mark = f.len();
    let found = work(f);
    let made = f.cut(mark);
    let results = found?;
    let mut live = vec![false; made.len()];
    let mut todo: Vec<ExprId> = results.iter().flatten().copied().collect();
    while let Some(id) = todo.pop() {
        let Some(at) = id.index().checked_sub(mark) else { continue };
        if !std::mem::replace(&mut live[at], true) {
            todo.extend(made[at].args());
        }
    }
    let mut renamed: Vec<Option<ExprId>> = vec![None; made.len()];
    let new = |renamed: &[Option<ExprId>], id: ExprId| match id.index().checked_sub(mark) {
        None => id,
        Some(at) => renamed[at].expect("arguments come first"),
    };
    for (at, node) in made.into_iter().enumerate().filter(|(at, _)| live[*at]) {
        assert!(!is_placeholder(f, &node), "internal: a rule is not linear in its seed");
        let node = node.map_args(|id| new(&renamed, id));
        renamed[at] = Some(tidy(f, node));
    }
    Ok(results.into_iter().map(|r| r.map(|id| new(&renamed, id))).collect())
}

fn is_placeholder(f: &Formula, node: &Node) -> bool {
    matches!(node, Node::Input(n) if *n as usize >= f.inputs.len())
}

/// [`scratch`] for one result.
pub fn scratch_one<E>(
    f: &mut Formula,
    work: impl FnOnce(&mut Formula) -> Result<Option<ExprId>, E>,
) -> Result<Option<ExprId>, E> {
    let all = scratch(f, |f| work(f).map(|found| vec![found]))?;
    Ok(all.into_iter().flatten().next())
}

/// Adds a node in its shortest form.
fn tidy(f: &mut Formula, node: Node) -> ExprId {
    let Node::Op(op, mut args, params) = node else { return keep(f, node) };
    strip_copies(f, op, &mut args, &params);
    identity(f, op, &args, &params).unwrap_or_else(|| f.apply(op, &args, &params))
}

/// A scalar that is copied for an operation that would broadcast it is not copied.
fn strip_copies(f: &Formula, op: Op, args: &mut [ExprId], params: &[i64]) {
    let def = op.def();
    if !matches!(def.emit, Emit::Map(_)) || args.len() < 2 {
        return;
    }
    let mut dims: Vec<usize> = args.iter().map(|&a| f.dim(a)).collect();
    let whole = (def.shape)(&dims, params);
    for k in 0..args.len() {
        if let Some(scalar) = inner(f, args[k], Op::SumT) {
            let dim = std::mem::replace(&mut dims[k], 1);
            if (def.shape)(&dims, params) == whole {
                args[k] = scalar;
            } else {
                dims[k] = dim;
            }
        }
    }
}

/// The first argument of a node, if the node is one operation.
fn inner(f: &Formula, id: ExprId, wanted: Op) -> Option<ExprId> {
    match f.node(id) {
        Node::Op(found, args, _) if *found == wanted => Some(args[0]),
        _ => None,
    }
}

/// The identities, one equation each.
fn identity(f: &mut Formula, op: Op, args: &[ExprId], params: &[i64]) -> Option<ExprId> {
    let is = |f: &Formula, id: ExprId, value: f64| constant(f, id) == Some(value);
    let fits = |f: &Formula, kept: ExprId, other: ExprId| f.dim(kept) >= f.dim(other);
    match (op, args) {
        // x + 0 == x, but for the sign of zero
        (Op::Add, &[x, z]) | (Op::Add, &[z, x]) if is(f, z, 0.0) && fits(f, x, z) => Some(x),
        (Op::Sub, &[x, z]) if is(f, z, 0.0) && fits(f, x, z) => Some(x),
        // x + x == 2 x
        (Op::Add, &[x, y]) if x == y => Some(f.scale(2.0, x)),
        // two parts of a vector side by side are a vector
        (Op::Add, &[x, y]) => sum(f, x, y),
        // x - (-y) == x + y
        (Op::Sub, &[x, y]) => inner(f, y, Op::Neg).map(|y| f.add(x, y)),
        // x 1 == x
        (Op::Mul, &[x, one]) | (Op::Mul, &[one, x]) if is(f, one, 1.0) && fits(f, x, one) => {
            Some(x)
        }
        (Op::Div, &[x, one]) if is(f, one, 1.0) && fits(f, x, one) => Some(x),
        // -1 x == -x
        (Op::Mul, &[x, one]) | (Op::Mul, &[one, x]) if is(f, one, -1.0) && fits(f, x, one) => {
            Some(f.neg(x))
        }
        // -(-x) == x
        (Op::Neg, &[x]) => match f.as_const(x) {
            Some(number) => Some(f.constant(-number)),
            None => inner(f, x, Op::Neg),
        },
        // a choice of two equal values
        (Op::Where | Op::IfElse, &[c, x, y]) if x == y && fits(f, x, c) => Some(x),
        // one component, summed or copied; the sum of n copies is n times one
        (Op::Sum, &[x]) if f.dim(x) == 1 => Some(x),
        (Op::Sum, &[x]) => inner(f, x, Op::SumT).map(|one| f.scale(f.dim(x) as f64, one)),
        (Op::SumT, &[x]) if params[0] == 1 => Some(x),
        (Op::Extract | Op::ExtractT, &[x]) => part(f, op, x, params),
        (Op::Elem, &[x]) => Some(component(f, x, params[0] as usize)),
        // a unit vector picks a row, or puts one
        (Op::VecMatMult, &[u, m]) => {
            let ((s, k), row) = (unit(f, u)?, f.dim(m) / f.dim(u));
            let row = f.apply(Op::Extract, &[m], &[(k * row) as i64, row as i64]);
            Some(scaled(f, s, row))
        }
        (Op::TensorProd, &[u, v]) => {
            let ((s, k), row) = (unit(f, u)?, f.dim(v));
            let (row, whole) = (scaled(f, s, v), (row * f.dim(u)) as i64);
            Some(f.apply(Op::ExtractT, &[row], &[(k * f.dim(v)) as i64, whole]))
        }
        _ => None,
    }
}

/// A scalar among zeros, and where it is.
fn unit(f: &Formula, id: ExprId) -> Option<(ExprId, usize)> {
    match f.node(id) {
        Node::Op(Op::ElemT, args, params) => Some((args[0], params[1] as usize)),
        _ => None,
    }
}

fn scaled(f: &mut Formula, factor: ExprId, x: ExprId) -> ExprId {
    tidy(f, Node::Op(Op::Mul, vec![factor, x], vec![]))
}

/// The number behind a scalar or behind its copies.
pub fn constant(f: &Formula, id: ExprId) -> Option<f64> {
    f.as_const(inner(f, id, Op::SumT).unwrap_or(id))
}

fn sum(f: &mut Formula, x: ExprId, y: ExprId) -> Option<ExprId> {
    if let Some(y) = inner(f, y, Op::Neg) {
        // x + (-y) == x - y
        return Some(f.sub(x, y));
    }
    if let Some(x) = inner(f, x, Op::Neg) {
        return Some(f.sub(y, x));
    }
    let part = |f: &Formula, id: ExprId| match f.node(id) {
        Node::Op(Op::ExtractT, args, params) => Some((params[0] as usize, args[0])),
        _ => None,
    };
    let ((p, x), (q, y), n) = (part(f, x)?, part(f, y)?, f.dim(x));
    match (f.dim(x), f.dim(y)) {
        (a, b) if p == 0 && q == a && a + b == n => Some(f.apply(Op::Concat, &[x, y], &[])),
        (a, b) if q == 0 && p == b && a + b == n => Some(f.apply(Op::Concat, &[y, x], &[])),
        _ => None,
    }
}

/// A part that is the whole, and a part of what was just put there.
fn part(f: &mut Formula, op: Op, x: ExprId, params: &[i64]) -> Option<ExprId> {
    let (start, len) = (params[0] as usize, params[1] as usize);
    if start == 0 && len == f.dim(x) {
        return Some(x);
    }
    if op == Op::ExtractT {
        return None;
    }
    match f.node(x).clone() {
        Node::Op(Op::ExtractT, args, inside) => {
            (inside[0] as usize == start && f.dim(args[0]) == len).then_some(args[0])
        }
        Node::Op(Op::Concat, args, _) => match (f.dim(args[0]), f.dim(args[1])) {
            (a, _) if start == 0 && len == a => Some(args[0]),
            (a, b) if start == a && len == b => Some(args[1]),
            _ => None,
        },
        Node::Op(Op::SumT, args, _) => Some(widen(f, args[0], len)),
        _ => None,
    }
}

/// Component `c` of a value, taken as early as it can be: `(a + b)[1]` is `a[1] + b[1]`.
pub fn component(f: &mut Formula, id: ExprId, c: usize) -> ExprId {
    let mut known: BTreeMap<(ExprId, usize), ExprId> = BTreeMap::new();
    let mut todo = vec![(id, c)];
    while let Some(&(id, c)) = todo.last() {
        let needed = needed(f, id, c);
        let missing = needed.iter().flatten().filter(|key| !known.contains_key(*key));
        let missing: Vec<(ExprId, usize)> = missing.copied().collect();
        if missing.is_empty() {
            let parts = needed.map(|all| all.iter().map(|key| known[key]).collect());
            let value = take(f, id, c, parts);
            known.insert((id, c), value);
            todo.pop();
        }
        todo.extend(missing);
    }
    known[&(id, c)]
}

/// The components that component `c` is made of; `None` where it has to be taken from the value.
fn needed(f: &Formula, id: ExprId, c: usize) -> Option<Vec<(ExprId, usize)>> {
    let Node::Op(op, args, params) = f.node(id) else { return None };
    if f.dim(id) == 1 {
        return None;
    }
    let at = |&arg: &ExprId| (arg, if f.dim(arg) == 1 { 0 } else { c });
    match op.def().emit {
        Emit::Move(from) => {
            let dims: Vec<usize> = args.iter().map(|&a| f.dim(a)).collect();
            let source = from(&dims, params, c);
            Some(source.map(|(arg, at)| (args[arg], at)).into_iter().collect())
        }
        Emit::Map(_) => Some(args.iter().map(at).collect()),
        Emit::Parts(_) | Emit::Contract(_) | Emit::Expanded => None,
    }
}

fn take(f: &mut Formula, id: ExprId, c: usize, parts: Option<Vec<ExprId>>) -> ExprId {
    match (f.node(id).clone(), parts) {
        (Node::Op(op, _, params), Some(parts)) => match (&op.def().emit, parts.as_slice()) {
            (Emit::Move(_), [from]) => *from,
            (Emit::Move(_), _) => f.constant(0.0),
            _ => tidy(f, Node::Op(op, parts, params)),
        },
        _ if f.dim(id) == 1 => id,
        _ => f.apply(Op::Elem, &[id], &[c as i64]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Axis, Stratum, canonical_text, verify};

    #[test]
    fn only_results_stay() {
        let mut f = Formula::new("f");
        let x = f.input("x", Some(Axis::I), 3).expect("valid");
        let before = f.len();
        let kept = scratch_one(&mut f, |f| {
            let hole = f.placeholder(3, Stratum::Pair);
            f.square(hole);
            let (double, back) = (f.add(x, x), f.neg(x));
            f.neg(double);
            let twice = f.neg(back);
            let copies = zeros_and(f, twice);
            Ok::<_, ()>(Some(copies))
        });
        assert_eq!(kept, Ok(Some(x)));
        assert_eq!(f.len(), before + 3, "-x, 0 and its copies, which were found superfluous");
        assert_eq!(verify::verify(&f).map(|()| f.outputs.len()), Ok(0));
        assert!(scratch_one(&mut f, |_| Err::<Option<ExprId>, _>(())).is_err());
    }

    fn zeros_and(f: &mut Formula, x: ExprId) -> ExprId {
        let zeros = super::super::zeros(f, 3);
        f.add(x, zeros)
    }

    #[test]
    fn superfluous_operations_are_left_out() {
        let mut f = Formula::new("f");
        let x = f.input("x", Some(Axis::I), 3).expect("valid");
        let y = f.input("y", Some(Axis::I), 2).expect("valid");
        let s = f.input("s", None, 1).expect("valid");
        let [zero, one, minus] = [0.0, 1.0, -1.0].map(|c| f.constant(c));
        let zeros = super::super::zeros(&mut f, 3);
        let ones = f.apply(Op::SumT, &[one], &[3]);
        let (negative, negative_s) = (f.neg(x), f.neg(s));
        let (head, tail) =
            (f.apply(Op::ExtractT, &[x], &[0, 5]), f.apply(Op::ExtractT, &[y], &[3, 5]));
        let inside = f.apply(Op::ExtractT, &[x], &[1, 5]);
        let whole = f.apply(Op::Concat, &[x, y], &[]);
        let copies = f.apply(Op::SumT, &[s], &[3]);
        let (double, thrice) = (f.scale(2.0, x), f.scale(3.0, s));
        let (sum, gap, back) = (f.add(x, s), f.sub(x, s), f.sub(s, x));
        let two = f.constant(2.0);
        let minus_two = f.constant(-2.0);
        for (op, args, params, expected) in [
            (Op::Add, vec![x, zeros], vec![], x),
            (Op::Add, vec![zero, x], vec![], x),
            (Op::Sub, vec![x, zero], vec![], x),
            (Op::Add, vec![x, x], vec![], double),
            (Op::Sub, vec![x, negative_s], vec![], sum),
            (Op::Add, vec![x, negative_s], vec![], gap),
            (Op::Add, vec![negative, s], vec![], back),
            (Op::Mul, vec![x, one], vec![], x),
            (Op::Mul, vec![ones, x], vec![], x),
            (Op::Div, vec![x, ones], vec![], x),
            (Op::Mul, vec![minus, x], vec![], negative),
            (Op::Mul, vec![x, minus], vec![], negative),
            (Op::Neg, vec![negative], vec![], x),
            (Op::Neg, vec![two], vec![], minus_two),
            (Op::Where, vec![s, x, x], vec![], x),
            (Op::IfElse, vec![s, x, x], vec![], x),
            (Op::Sum, vec![s], vec![], s),
            (Op::Sum, vec![copies], vec![], thrice),
            (Op::SumT, vec![s], vec![1], s),
            (Op::Extract, vec![x], vec![0, 3], x),
            (Op::ExtractT, vec![x], vec![0, 3], x),
            (Op::Extract, vec![inside], vec![1, 3], x),
            (Op::Extract, vec![whole], vec![0, 3], x),
            (Op::Extract, vec![whole], vec![3, 2], y),
            (Op::Add, vec![head, tail], vec![], whole),
            (Op::Add, vec![tail, head], vec![], whole),
        ] {
            let what = format!("{op:?}{args:?}{params:?}");
            assert_eq!(tidy(&mut f, Node::Op(op, args, params)), expected, "{what}");
        }
        // These stay: they are wider than what is kept, or take another part.
        for (op, args, params) in [
            (Op::Add, vec![s, zeros], vec![]),
            (Op::Sub, vec![s, zeros], vec![]),
            (Op::Mul, vec![s, ones], vec![]),
            (Op::Div, vec![s, ones], vec![]),
            (Op::Where, vec![x, s, s], vec![]),
            (Op::Sub, vec![zero, x], vec![]),
            (Op::Extract, vec![inside], vec![0, 3]),
            (Op::Extract, vec![inside], vec![1, 2]),
            (Op::Extract, vec![whole], vec![0, 2]),
            (Op::Extract, vec![whole], vec![2, 2]),
            (Op::Extract, vec![whole], vec![3, 1]),
            (Op::ExtractT, vec![inside], vec![1, 7]),
            (Op::SumT, vec![s], vec![2]),
            (Op::Sum, vec![x], vec![]),
        ] {
            let found = tidy(&mut f, Node::Op(op, args.clone(), params.clone()));
            let what = format!("{op:?}{args:?}{params:?}");
            assert_eq!(*f.node(found), Node::Op(op, args, params), "{what}");
        }
    }

    #[test]
    fn unit_vectors_pick_and_put_rows() {
        let mut f = Formula::new("f");
        let x = f.input("x", Some(Axis::I), 3).expect("valid");
        let y = f.input("y", Some(Axis::I), 2).expect("valid");
        let s = f.input("s", None, 1).expect("valid");
        let matrix = f.input("m", None, 6).expect("valid");
        let unit = f.apply(Op::ElemT, &[s], &[3, 1]);
        // The second of three rows.
        let placed_x = f.mul(s, x);
        let placed_x = f.apply(Op::ExtractT, &[placed_x], &[3, 9]);
        let placed_y = f.mul(s, y);
        let placed_y = f.apply(Op::ExtractT, &[placed_y], &[2, 6]);
        let (picked_row, picked_one) =
            (f.apply(Op::Extract, &[matrix], &[2, 2]), f.apply(Op::Extract, &[x], &[1, 1]));
        let (picked_row, picked_one) = (f.mul(s, picked_row), f.mul(s, picked_one));
        for (op, args, expected) in [
            (Op::TensorProd, [unit, x], placed_x),
            (Op::TensorProd, [unit, y], placed_y),
            (Op::VecMatMult, [unit, matrix], picked_row),
            (Op::VecMatMult, [unit, x], picked_one),
        ] {
            let found = tidy(&mut f, Node::Op(op, args.to_vec(), vec![]));
            assert_eq!(found, expected, "{op:?}{args:?}");
        }
    }

    #[test]
    fn components_are_taken_early() {
        let mut f = Formula::new("f");
        let x = f.input("x", Some(Axis::I), 2).expect("valid");
        let g = f.input("g", None, 1).expect("valid");
        let scaled = f.mul(g, x);
        let long = f.apply(Op::Concat, &[scaled, x], &[]);
        let exp = f.apply(Op::Exp, &[long], &[]);
        let found = component(&mut f, exp, 1);
        f.output("a", Some(Axis::I), found).expect("fits");
        let text = canonical_text(&f);
        assert!(
            text.contains("let v0 = elem(x, 1);\n  let v1 = mul(g, v0);\n  let v2 = exp(v1);"),
            "{text}"
        );
    }
}
