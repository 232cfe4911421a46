//! What is known of a value without computing it, for the conditions of rules. Every answer is
//! true for all inputs, NaN and infinities included, or it is `false`.

use crate::ir::{ExprId, Formula, Node};
use crate::ops::Op;
use crate::reduce::Reducer;

/// How far the analysis looks down: rules ask it of every node.
const DEPTH: usize = 12;

/// Whether a number and its reciprocal are normal powers of two, in f32 too.
pub fn is_power_of_two(value: f64) -> bool {
    value.to_bits() & ((1 << 52) - 1) == 0 && is_invertible(value)
}

/// Whether a number and its reciprocal are normal, in f32 too.
pub fn is_invertible(value: f64) -> bool {
    (1023 - 125..1023 + 125).contains(&((value.to_bits() >> 52) & 0x7ff))
}

/// Whether a value is not a product or quotient: such are taken apart by the passes that move
/// factors, so a square of one hides its factors.
pub fn is_no_product(f: &Formula, id: ExprId) -> bool {
    !matches!(f.node(id), Node::Op(Op::Mul | Op::Div | Op::Inv | Op::Neg | Op::SumT, ..))
}

/// Whether no component is ever -0.
pub fn never_minus_zero(f: &Formula, id: ExprId) -> bool {
    not_minus_zero(f, id, DEPTH)
}

/// Whether no component is ever -0 or less; NaN may be.
pub fn never_negative(f: &Formula, id: ExprId) -> bool {
    not_negative(f, id, DEPTH)
}

fn not_minus_zero(f: &Formula, id: ExprId, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    let of = |arg: &ExprId| not_minus_zero(f, *arg, depth);
    match f.node(id) {
        // A sum starts at 0, and rounding to nearest gives x - x = 0.
        Node::Reduce(r) if r.reducer == Reducer::Sum => true,
        Node::Op(Op::Add, args, _) => args.iter().any(of),
        Node::Op(Op::Where | Op::IfElse, args, _) => args[1..].iter().all(of),
        Node::Op(Op::SumT | Op::Elem | Op::Extract | Op::ElemT | Op::ExtractT, args, _) => {
            of(&args[0])
        }
        _ => not_negative(f, id, depth),
    }
}

fn not_negative(f: &Formula, id: ExprId, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    let of = |arg: &ExprId| not_negative(f, *arg, depth);
    match f.node(id) {
        Node::Const(c) => c.get().is_sign_positive(),
        Node::Pos(_) => true,
        Node::Reduce(r) => r.reducer == Reducer::Sum && of(&r.args[0]),
        Node::Input(_) => false,
        Node::Op(op, args, _) => match op {
            Op::Square | Op::Abs | Op::Exp | Op::Exp2 | Op::OneHot => true,
            Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::And | Op::Or | Op::Step => true,
            Op::DiffClampInt | Op::ArgMaxOf | Op::ArgMinOf => true,
            Op::Add | Op::Mul | Op::Concat => args.iter().all(of),
            Op::Where | Op::IfElse => args[1..].iter().all(of),
            Op::Sqrt | Op::Rsqrt | Op::Inv | Op::Sum | Op::MaxOf | Op::MinOf => of(&args[0]),
            Op::SumT | Op::Elem | Op::ElemT | Op::Extract | Op::ExtractT => of(&args[0]),
            // Anything else may be: a new operation is safe until it is listed above.
            _ => false,
        },
    }
}
