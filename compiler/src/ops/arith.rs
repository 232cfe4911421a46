//! Arithmetic, component by component.

use super::{Emit, Grad, OpDef, map1, map2, same_or_one};

/// Sum of two values.
pub const ADD: OpDef = OpDef {
    name: "add",
    aliases: &["Add"],
    doc: "f + g, component by component; a scalar is broadcast.",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, |a, b| a + b),
    grad: Grad::Vjp(|_, _, seed| vec![Some(seed), Some(seed)]),
    emit: Emit::Map("$0 + $1"),
    expand: None,
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// Difference of two values.
pub const SUB: OpDef = OpDef {
    name: "sub",
    aliases: &["Subtract"],
    doc: "f - g, component by component; a scalar is broadcast.",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, |a, b| a - b),
    grad: Grad::Vjp(|f, _, seed| vec![Some(seed), Some(f.neg(seed))]),
    emit: Emit::Map("$0 - $1"),
    expand: None,
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// Product of two values.
pub const MUL: OpDef = OpDef {
    name: "mul",
    aliases: &["Mult"],
    doc: "f * g, component by component; a scalar is broadcast.",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, |a, b| a * b),
    grad: Grad::Vjp(|f, c, seed| vec![Some(f.mul(seed, c.args[1])), Some(f.mul(seed, c.args[0]))]),
    emit: Emit::Map("$0 * $1"),
    expand: None,
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// Quotient of two values.
pub const DIV: OpDef = OpDef {
    name: "div",
    aliases: &["Divide"],
    doc: "f / g, component by component; a scalar is broadcast. 1/0 is infinite, 0/0 is NaN.",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, |a, b| a / b),
    grad: Grad::Vjp(|f, c, seed| {
        let by_f = f.div(seed, c.args[1]);
        let quotient = f.mul(by_f, c.out);
        vec![Some(by_f), Some(f.neg(quotient))]
    }),
    emit: Emit::Map("$0 / $1"),
    expand: None,
    domain: &[(-2.0, 2.0), (0.5, 2.0)],
};

/// Negation.
pub const NEG: OpDef = OpDef {
    name: "neg",
    aliases: &["Minus"],
    doc: "-f.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, |a| -a),
    grad: Grad::Vjp(|f, _, seed| vec![Some(f.neg(seed))]),
    emit: Emit::Map("-$0"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Reciprocal.
pub const INV: OpDef = OpDef {
    name: "inv",
    aliases: &["Inv"],
    doc: "1 / f. The reciprocal of a signed zero is the infinity of that sign.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, |a| 1.0 / a),
    grad: Grad::Vjp(|f, c, seed| {
        let square = f.square(c.out);
        let scaled = f.mul(seed, square);
        vec![Some(f.neg(scaled))]
    }),
    emit: Emit::Map("tf_inv($0)"),
    expand: None,
    domain: &[(0.5, 2.0)],
};

/// Square.
pub const SQUARE: OpDef = OpDef {
    name: "square",
    aliases: &["Square"],
    doc: "f * f.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, |a| a * a),
    grad: Grad::Vjp(|f, c, seed| {
        let double = f.scale(2.0, c.args[0]);
        vec![Some(f.mul(seed, double))]
    }),
    emit: Emit::Map("$0 * $0"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};
