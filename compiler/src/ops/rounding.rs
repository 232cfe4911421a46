//! Whole numbers and remainders, component by component.
//!
//! What goes in: nothing. What comes out: rooms of the op table.

use super::{Emit, Grad, Op, OpDef, map1, map2, same_or_one};

/// Whole part.
pub const TRUNC: OpDef = OpDef {
    name: "trunc",
    aliases: &["Trunc"],
    doc: "f without its fraction: the nearest integer towards 0, with the sign of f.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::trunc),
    grad: Grad::Zero,
    emit: Emit::Map("tf_trunc($0)"),
    expand: None,
    domain: &[(0.2, 0.8)],
};

/// Smallest integer above.
pub const CEIL: OpDef = OpDef {
    name: "ceil",
    aliases: &["Ceil"],
    doc: "Smallest integer that is at least f; -0 for f in (-1, 0).",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::ceil),
    grad: Grad::Zero,
    emit: Emit::Map("tf_ceil($0)"),
    expand: None,
    domain: &[(0.2, 0.8)],
};

/// Remainder of the division towards 0.
pub const FMOD: OpDef = OpDef {
    name: "fmod",
    aliases: &["Fmod"],
    doc: "f - g * trunc(f / g), exactly: C's fmod, with the sign of f. NaN where g is 0 or f \
          is infinite; f where g is infinite. The gradient to g is -trunc(f / g).",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, libm::fmod),
    grad: Grad::Vjp(|f, c, seed| {
        let ratio = f.div(c.args[0], c.args[1]);
        let turns = f.apply(Op::Trunc, &[ratio], &[]);
        let scaled = f.mul(seed, turns);
        vec![Some(seed), Some(f.neg(scaled))]
    }),
    emit: Emit::Map("tf_fmod($0, $1)"),
    expand: None,
    domain: &[(1.3, 1.7), (0.9, 1.1)],
};
