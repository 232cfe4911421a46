//! Activations of neural networks: the logistic function and its kin, component by component.
//!
//! What goes in: nothing. What comes out: rooms of the op table. Derivatives are written so that
//! they have their limits at the infinities too. Never a host's own transcendental functions:
//! `eval` takes them from `libm`.

use crate::ir::{ExprId, Formula};

use super::special::normcdf;
use super::{Emit, Grad, Op, OpDef, map1, same_or_one};

/// Beyond it, `x` times what `silu` and `gelu` multiply it with is 0 on the left, and the slope is
/// 0 or 1, in every dtype.
const FLAT: i64 = 1000;

/// `1 / (1 + e^-x)`, without overflow and with all digits on both sides.
fn sigmoid(x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

/// `log(1 + e^x)`, without overflow.
fn softplus(x: f64) -> f64 {
    let most = if x < 0.0 { 0.0 } else { x };
    most + libm::log1p(libm::exp(-x.abs()))
}

/// `x share(x)`, whose limit at `-inf` is -0.
fn times_share(x: f64, share: fn(f64) -> f64) -> f64 {
    if x < -(FLAT as f64) { -0.0 } else { x * share(x) }
}

/// `x` where it matters, so that a product with what vanishes there is no NaN.
fn bounded(f: &mut Formula, x: ExprId) -> ExprId {
    f.apply(Op::ClampInt, &[x], &[-FLAT, FLAT])
}

/// Logistic function.
pub const SIGMOID: OpDef = OpDef {
    name: "sigmoid",
    aliases: &["Sigmoid"],
    doc: "The logistic function 1 / (1 + e^-f); 0 and 1 at the infinities.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, sigmoid),
    grad: Grad::Vjp(|f, c, seed| {
        let one = f.constant(1.0);
        let rest = f.sub(one, c.out);
        let slope = f.mul(c.out, rest);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_sigmoid($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Smooth rectifier.
pub const SOFTPLUS: OpDef = OpDef {
    name: "softplus",
    aliases: &["Softplus"],
    doc: "log(1 + e^f), a smooth relu; 0 at -inf.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, softplus),
    grad: Grad::Vjp(|f, c, seed| {
        let slope = f.apply(Op::Sigmoid, c.args, &[]);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_softplus($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Rectifier weighted by the logistic function.
pub const SILU: OpDef = OpDef {
    name: "silu",
    aliases: &["SiLU"],
    doc: "f * sigmoid(f), also known as swish; -0 at -inf. The gradient at the infinities is 0 \
          and 1.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, |x| times_share(x, sigmoid)),
    grad: Grad::Vjp(|f, c, seed| {
        let share = f.apply(Op::Sigmoid, c.args, &[]);
        let one = f.constant(1.0);
        let rest = f.sub(one, share);
        let change = f.mul(share, rest);
        let x = bounded(f, c.args[0]);
        let product = f.mul(x, change);
        let slope = f.add(share, product);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_silu($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Rectifier weighted by the normal distribution.
pub const GELU: OpDef = OpDef {
    name: "gelu",
    aliases: &["GELU"],
    doc: "f * normcdf(f), the exact form, f * (1 + erf(f / sqrt(2))) / 2; -0 at -inf. The \
          gradient at the infinities is 0 and 1.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, |x| times_share(x, normcdf)),
    grad: Grad::Vjp(|f, c, seed| {
        let share = f.apply(Op::NormCdf, c.args, &[]);
        let x = bounded(f, c.args[0]);
        let change = super::special::normal_density(f, x);
        let product = f.mul(x, change);
        let slope = f.add(share, product);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_gelu($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Approximation of `gelu` by a hyperbolic tangent.
pub const GELU_TANH: OpDef = OpDef {
    name: "gelu_tanh",
    aliases: &["GELUTanh"],
    doc: "f * (1 + tanh(sqrt(2 / pi) * (f + 0.044715 f^3))) / 2, the approximation of gelu \
          that some networks were trained with; NaN at -inf.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, |x| x * sigmoid(GELU_SLOPE * (x + GELU_CUBE * x * x * x))),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        // (1 + tanh(z)) / 2 is sigmoid(2 z)
        let x = args[0];
        let cube = f.apply(Op::Pow, &[x], &[3]);
        let bent = f.scale(GELU_CUBE, cube);
        let sum = f.add(x, bent);
        let z = f.scale(GELU_SLOPE, sum);
        let share = f.apply(Op::Sigmoid, &[z], &[]);
        f.mul(x, share)
    }),
    domain: &[(-2.0, 2.0)],
};

/// `2 sqrt(2 / pi)`
const GELU_SLOPE: f64 = 1.595_769_121_605_731;

/// D. Hendrycks and K. Gimpel, arXiv:1606.08415.
const GELU_CUBE: f64 = 0.044_715;
