//! Trigonometric functions, component by component.
//!
//! What goes in: nothing. What comes out: rooms of the op table. Never a host's own
//! transcendental functions: `eval` takes them from `libm`.

use std::f64::consts::PI;

use crate::ir::{ExprId, Formula};

use super::{Emit, Grad, Op, OpDef, map1, map2, same_or_one};

/// Sine.
pub const SIN: OpDef = OpDef {
    name: "sin",
    aliases: &["Sin"],
    doc: "Sine of f in radians; NaN at infinity.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::sin),
    grad: Grad::Vjp(|f, c, seed| {
        let cos = f.apply(Op::Cos, &[c.args[0]], &[]);
        vec![Some(f.mul(seed, cos))]
    }),
    emit: Emit::Map("tf_sin($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Cosine.
pub const COS: OpDef = OpDef {
    name: "cos",
    aliases: &["Cos"],
    doc: "Cosine of f in radians; NaN at infinity.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::cos),
    grad: Grad::Vjp(|f, c, seed| {
        let sin = f.apply(Op::Sin, &[c.args[0]], &[]);
        let scaled = f.mul(seed, sin);
        vec![Some(f.neg(scaled))]
    }),
    emit: Emit::Map("tf_cos($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Tangent.
pub const TAN: OpDef = OpDef {
    name: "tan",
    aliases: &["Tan"],
    doc: "Tangent of f in radians; NaN at infinity.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::tan),
    grad: Grad::Vjp(|f, c, seed| {
        let square = f.square(c.out);
        let one = f.constant(1.0);
        let slope = f.add(one, square);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_tan($0)"),
    expand: None,
    domain: &[(-1.2, 1.2)],
};

/// `sin(x) / x`, 1 at 0.
fn sinxdivx(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { libm::sin(x) / x }
}

/// `(x cos x - sin x) / x^2`. Below 1 the difference cancels, so the Taylor series
/// `sum (-1)^k 2k x^(2k-1) / (2k+1)!` stands for it; ten terms reach the last bit.
fn sinxdivx_prime(x: f64) -> f64 {
    if x.abs() >= 1.0 || x.is_nan() {
        return (libm::cos(x) - libm::sin(x) / x) / x;
    }
    let mut power = x;
    let mut sum = 0.0;
    for k in 1..=10 {
        let n = f64::from(2 * k);
        power /= -(n * (n + 1.0));
        sum += n * power;
        power *= x * x;
    }
    sum
}

/// Cardinal sine.
pub const SINXDIVX: OpDef = OpDef {
    name: "sinxdivx",
    aliases: &["SinXDivX"],
    doc: "sin(f) / f, 1 at 0; NaN at infinity. The gradient at 0 is 0.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, sinxdivx),
    grad: Grad::Vjp(|f, c, seed| {
        let slope = f.apply(Op::SinXDivXPrime, &[c.args[0]], &[]);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_sinxdivx($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// `sin(pi x) / (pi x)`, 1 at 0 and 0 at the other whole numbers.
fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let whole = libm::round(x);
    let sine = libm::sin(PI * (x - whole)) / (PI * x);
    // no -0
    (if libm::fmod(whole, 2.0) == 0.0 { sine } else { -sine }) + 0.0
}

/// Normalised cardinal sine.
pub const SINC: OpDef = OpDef {
    name: "sinc",
    aliases: &["Sinc"],
    doc: "sin(pi f) / (pi f), the normalised cardinal sine: 1 at 0, 0 at the other whole numbers, \
          NaN at infinity. The gradient at 0 is 0.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, sinc),
    grad: Grad::Vjp(|f, c, seed| {
        let angle = f.scale(PI, c.args[0]);
        let slope = f.apply(Op::SinXDivXPrime, &[angle], &[]);
        let scaled = f.scale(PI, slope);
        vec![Some(f.mul(seed, scaled))]
    }),
    emit: Emit::Map("tf_sinc($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Derivative of the cardinal sine.
pub const SINXDIVX_PRIME: OpDef = OpDef {
    name: "sinxdivx_prime",
    aliases: &["SinXDivXPrime"],
    doc: "Derivative of sinxdivx: (f cos f - sin f) / f^2, 0 at 0; NaN at infinity.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, sinxdivx_prime),
    grad: Grad::Vjp(|f, c, seed| {
        let slope = sinxdivx_second(f, c.args[0], c.out);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_sinxdivx_prime($0)"),
    expand: None,
    domain: &[(0.5, 2.0)],
};

/// The second derivative of the cardinal sine: `-sinxdivx - 2 sinxdivx' / x`, and -1/3 at 0.
///
/// The divisor at 0 is 1, for a NaN in the branch that is not taken would return in its gradient.
fn sinxdivx_second(f: &mut Formula, x: ExprId, prime: ExprId) -> ExprId {
    let one = f.constant(1.0);
    let divisor = f.apply(Op::Where, &[x, x, one], &[]);
    let ratio = f.div(prime, divisor);
    let twice = f.scale(-2.0, ratio);
    let value = f.apply(Op::SinXDivX, &[x], &[]);
    let general = f.sub(twice, value);
    let at_zero = f.constant(-1.0 / 3.0);
    f.apply(Op::Where, &[x, general, at_zero], &[])
}

/// `rsqrt(1 - x^2)`.
fn asin_slope(f: &mut Formula, x: ExprId) -> ExprId {
    let square = f.square(x);
    let one = f.constant(1.0);
    let rest = f.sub(one, square);
    f.apply(Op::Rsqrt, &[rest], &[])
}

/// Inverse sine.
pub const ASIN: OpDef = OpDef {
    name: "asin",
    aliases: &["Asin"],
    doc: "Inverse sine; NaN outside [-1, 1]. The gradient at -1 and 1 is 0.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::asin),
    grad: Grad::Vjp(|f, c, seed| {
        let slope = asin_slope(f, c.args[0]);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_asin($0)"),
    expand: None,
    domain: &[(-0.8, 0.8)],
};

/// Inverse cosine.
pub const ACOS: OpDef = OpDef {
    name: "acos",
    aliases: &["Acos"],
    doc: "Inverse cosine; NaN outside [-1, 1]. The gradient at -1 and 1 is 0.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::acos),
    grad: Grad::Vjp(|f, c, seed| {
        let slope = asin_slope(f, c.args[0]);
        let scaled = f.mul(seed, slope);
        vec![Some(f.neg(scaled))]
    }),
    emit: Emit::Map("tf_acos($0)"),
    expand: None,
    domain: &[(-0.8, 0.8)],
};

/// Inverse tangent.
pub const ATAN: OpDef = OpDef {
    name: "atan",
    aliases: &["Atan"],
    doc: "Inverse tangent.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::atan),
    grad: Grad::Vjp(|f, c, seed| {
        let square = f.square(c.args[0]);
        let one = f.constant(1.0);
        let divisor = f.add(one, square);
        vec![Some(f.div(seed, divisor))]
    }),
    emit: Emit::Map("tf_atan($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Angle of a point of the plane.
pub const ATAN2: OpDef = OpDef {
    name: "atan2",
    aliases: &["Atan2"],
    doc: "Angle of the point (g, f), in [-pi, pi]; a scalar is broadcast. The gradient at the \
          origin is NaN.",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, libm::atan2),
    grad: Grad::Vjp(|f, c, seed| {
        let (y, x) = (c.args[0], c.args[1]);
        let (yy, xx) = (f.square(y), f.square(x));
        let radius = f.add(yy, xx);
        let scaled = f.div(seed, radius);
        let by_x = f.mul(scaled, y);
        vec![Some(f.mul(scaled, x)), Some(f.neg(by_x))]
    }),
    emit: Emit::Map("tf_atan2($0, $1)"),
    expand: None,
    domain: &[(0.5, 2.0), (0.5, 2.0)],
};

#[cfg(test)]
mod tests {
    use super::super::tests::{check_refusals, check_scalars, check_slopes};
    use super::{PI, sinxdivx, sinxdivx_prime};

    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;

    #[test]
    fn edge_values() {
        check_scalars(&[
            ("sin", &[], &[INF], NAN),
            ("cos", &[], &[-INF], NAN),
            ("sin", &[], &[-0.0], -0.0),
            ("sinxdivx", &[], &[0.0], 1.0),
            ("sinxdivx", &[], &[-0.0], 1.0),
            ("sinxdivx", &[], &[INF], NAN),
            ("sinxdivx", &[], &[NAN], NAN),
            ("sinxdivx_prime", &[], &[0.0], 0.0),
            ("sinxdivx_prime", &[], &[INF], NAN),
            ("sinxdivx_prime", &[], &[NAN], NAN),
            ("sinxdivx_prime", &[], &[1e-300], -1e-300 / 3.0),
            ("asin", &[], &[1.5], NAN),
            ("acos", &[], &[-1.0], PI),
            ("atan", &[], &[INF], PI / 2.0),
            ("atan2", &[], &[0.0, -1.0], PI),
            ("atan2", &[], &[-0.0, -1.0], -PI),
            ("atan2", &[], &[0.0, 0.0], 0.0),
        ]);
    }

    #[test]
    fn edge_slopes() {
        check_slopes(&[
            ("sinxdivx", &[], &[0.0], &[0.0]),
            ("sinxdivx_prime", &[], &[0.0], &[-1.0 / 3.0]),
            ("sinxdivx_prime", &[], &[-0.0], &[-1.0 / 3.0]),
            ("asin", &[], &[1.0], &[0.0]),
            ("acos", &[], &[-1.0], &[-0.0]),
            ("atan", &[], &[INF], &[0.0]),
            ("atan2", &[], &[0.0, 0.0], &[NAN, NAN]),
        ]);
    }

    #[test]
    fn the_series_meets_the_quotient() {
        // At 1 the quotient loses two bits at most, so it can judge the series just below.
        let (below, above) = (sinxdivx_prime(1.0 - f64::EPSILON), sinxdivx_prime(1.0));
        assert!((below - above).abs() < 4.0 * f64::EPSILON, "{below} and {above}");
        for k in 1..40 {
            let x = f64::from(k) / 20.0;
            let h = 1e-5;
            let slope = (sinxdivx(x + h) - sinxdivx(x - h)) / (2.0 * h);
            assert!((sinxdivx_prime(x) - slope).abs() < 1e-10, "{x}");
            assert_eq!(sinxdivx_prime(-x), -sinxdivx_prime(x));
        }
    }

    #[test]
    fn refusals() {
        check_refusals(&[
            ("atan2", &[2, 3], &[], "atan2: dimensions 2 and 3 do not match"),
            ("sin", &[], &[], "sin takes 1 argument, but got 0 arguments"),
        ]);
    }
}
