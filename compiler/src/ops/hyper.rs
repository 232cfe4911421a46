//! Hyperbolic functions and their inverses, component by component.
//!
//! What goes in: nothing. What comes out: rooms of the op table. Never a host's own
//! transcendental functions: `eval` takes them from `libm`.

use super::{Emit, Grad, Op, OpDef, map1, same_or_one};

/// Hyperbolic sine.
pub const SINH: OpDef = OpDef {
    name: "sinh",
    aliases: &["Sinh"],
    doc: "Hyperbolic sine, (e^f - e^-f) / 2.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::sinh),
    grad: Grad::Vjp(|f, c, seed| {
        let cosh = f.apply(Op::Cosh, c.args, &[]);
        vec![Some(f.mul(seed, cosh))]
    }),
    emit: Emit::Map("tf_sinh($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Hyperbolic cosine.
pub const COSH: OpDef = OpDef {
    name: "cosh",
    aliases: &["Cosh"],
    doc: "Hyperbolic cosine, (e^f + e^-f) / 2.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::cosh),
    grad: Grad::Vjp(|f, c, seed| {
        let sinh = f.apply(Op::Sinh, c.args, &[]);
        vec![Some(f.mul(seed, sinh))]
    }),
    emit: Emit::Map("tf_cosh($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Hyperbolic tangent.
pub const TANH: OpDef = OpDef {
    name: "tanh",
    aliases: &["Tanh"],
    doc: "Hyperbolic tangent, sinh(f) / cosh(f); -1 and 1 at the infinities.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::tanh),
    grad: Grad::Vjp(|f, c, seed| {
        let square = f.square(c.out);
        let one = f.constant(1.0);
        let slope = f.sub(one, square);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_tanh($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Inverse hyperbolic sine.
pub const ASINH: OpDef = OpDef {
    name: "asinh",
    aliases: &["Asinh"],
    doc: "Inverse hyperbolic sine, log(f + sqrt(f^2 + 1)).",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::asinh),
    grad: Grad::Vjp(|f, c, seed| {
        let one = f.constant(1.0);
        let root = f.apply(Op::Hypot, &[c.args[0], one], &[]);
        vec![Some(f.div(seed, root))]
    }),
    emit: Emit::Map("tf_asinh($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Inverse hyperbolic cosine.
pub const ACOSH: OpDef = OpDef {
    name: "acosh",
    aliases: &["Acosh"],
    doc: "Inverse hyperbolic cosine, log(f + sqrt(f^2 - 1)); NaN below 1. The gradient at 1 is \
          0, as that of sqrt at 0.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, acosh),
    grad: Grad::Vjp(|f, c, seed| {
        let one = f.constant(1.0);
        let (less, more) = (f.sub(c.args[0], one), f.add(c.args[0], one));
        // Two roots: the product of the factors would overflow.
        let less = f.apply(Op::Rsqrt, &[less], &[]);
        let more = f.apply(Op::Rsqrt, &[more], &[]);
        let slope = f.mul(less, more);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_acosh($0)"),
    expand: None,
    domain: &[(1.25, 3.0)],
};

/// NaN below 1, where `libm` looks at the square only.
fn acosh(x: f64) -> f64 {
    if x < 1.0 { f64::NAN } else { libm::acosh(x) }
}

/// Inverse hyperbolic tangent.
pub const ATANH: OpDef = OpDef {
    name: "atanh",
    aliases: &["Atanh"],
    doc: "Inverse hyperbolic tangent, log((1 + f) / (1 - f)) / 2; infinite at -1 and 1, NaN \
          beyond.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::atanh),
    grad: Grad::Vjp(|f, c, seed| {
        let square = f.square(c.args[0]);
        let one = f.constant(1.0);
        let divisor = f.sub(one, square);
        vec![Some(f.div(seed, divisor))]
    }),
    emit: Emit::Map("tf_atanh($0)"),
    expand: None,
    domain: &[(-0.8, 0.8)],
};
