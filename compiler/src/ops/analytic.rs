//! Functions of complex numbers, on vectors of pairs of reals: quotients, powers, roots,
//! exponentials and absolute values. The rest of the arithmetic, and what pairs are, is in
//! [`super::pairs`].
//!
//! What goes in: nothing. What comes out: rooms of the op table.
//!
//! Absolute values are `hypot`, and quotients neither overflow nor underflow in between: dividend
//! and divisor are first multiplied by powers of two near the reciprocals of their sizes
//! (`binary_scale`), as Annex G of the C standard does it, and the quotient is scaled back. The
//! scale is piecewise constant and cancels, so derivatives treat it as a number. What is infinite
//! follows the real formulas: a quotient whose divisor is 0 or infinite is NaN in both parts.

use super::cartesian::{Cartesian, unit};
use super::pairs::{doubled, halved, interleaved, map, measure, measured, pair, parted, parted2};
use super::pairs::{same_or_pair, times};
use super::{Emit, Grad, OpDef, map2, same_or_one};

/// See [`BINARY_SCALE`].
fn binary_scale(a: f64, b: f64) -> f64 {
    let (a, b) = (a.abs(), b.abs());
    let size = if a > b || a.is_nan() { a } else { b };
    if size == 0.0 || !size.is_finite() {
        return 1.0;
    }
    libm::ldexp(1.0, -libm::ilogb(size).clamp(-1022, 1023))
}

fn quotient((a, b): (f64, f64), (c, d): (f64, f64)) -> (f64, f64) {
    let (t, s) = (binary_scale(a, b), binary_scale(c, d));
    let (c, d) = (c * s, d * s);
    let (re, im) = times((a * t, b * t), (c, -d));
    let square = c * c + d * d;
    (re / square * s / t, im / square * s / t)
}

fn inverse(c: f64, d: f64) -> (f64, f64) {
    let s = binary_scale(c, d);
    let (c, d) = (c * s, d * s);
    let square = c * c + d * d;
    (c / square * s, -d / square * s)
}

fn absolute(a: f64, b: f64) -> f64 {
    libm::hypot(a, b)
}

fn power(z: (f64, f64), n: i64) -> (f64, f64) {
    let (mut result, mut square, mut rest) = ((1.0, 0.0), z, n.unsigned_abs());
    let mut first = true;
    while rest > 0 {
        if rest & 1 == 1 {
            result = if first { square } else { times(result, square) };
            first = false;
        }
        rest >>= 1;
        square = times(square, square);
    }
    if n < 0 { inverse(result.0, result.1) } else { result }
}

/// Whether a number lies below the branch cut of `sqrt`, by the sign of a zero too.
fn is_below(b: f64) -> bool {
    b < 0.0 || 1.0 / b < 0.0
}

fn square_root(a: f64, b: f64) -> (f64, f64) {
    let h = 0.5 * a.abs() + 0.5 * absolute(a, b);
    let (t, u) = (libm::sqrt(h), b * (0.5 * super::exp::rsqrt(h)));
    let sign = if is_below(b) { -1.0 } else { 1.0 };
    if a < 0.0 { (u * sign, t * sign) } else { (t, u) }
}

/// Quotients.
pub const COMPLEX_DIVIDE: OpDef = OpDef {
    name: "complex_divide",
    aliases: &["ComplexDivide"],
    doc: "f / g, pair by pair, without overflow in between; one pair is broadcast. NaN where g \
          is 0 or infinite.",
    arity: 2,
    params: 0,
    shape: same_or_pair,
    eval: |args, _, out| interleaved(out, |k| quotient(pair(args[0], k), pair(args[1], k))),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| parted2(f, args, Cartesian::divided)),
    domain: &[(-2.0, 2.0), (0.5, 2.0)],
};

/// Reciprocals.
pub const COMPLEX_INV: OpDef = OpDef {
    name: "complex_inv",
    aliases: &[],
    doc: "1 / f, pair by pair, without overflow in between. NaN where f is 0, and in those parts \
          where f is infinite; the other part is 0 then.",
    arity: 1,
    params: 0,
    shape: same_or_pair,
    eval: |args, _, out| map(args, out, inverse),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| parted(f, args, Cartesian::inverse)),
    domain: &[(0.5, 2.0)],
};

/// Integer powers.
pub const COMPLEX_POW: OpDef = OpDef {
    name: "complex_pow",
    aliases: &[],
    doc: "f to a literal integer power, pair by pair, by repeated squaring. Power 0 is 1; 0 and \
          infinities to a negative power are NaN.",
    arity: 1,
    params: 1,
    shape: same_or_pair,
    eval: |args, params, out| map(args, out, |a, b| power((a, b), params[0])),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, params| parted(f, args, |z, f| z.power(f, params[0]))),
    domain: &[(0.5, 2.0)],
};

/// Square roots.
pub const COMPLEX_SQRT: OpDef = OpDef {
    name: "complex_sqrt",
    aliases: &[],
    doc: "The principal square root of each pair: its real part is not negative, and where it is \
          0 the imaginary part has the sign of the imaginary part of f, of a zero too. The \
          gradient at 0 is 0.",
    arity: 1,
    params: 0,
    shape: same_or_pair,
    eval: |args, _, out| map(args, out, square_root),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| parted(f, args, Cartesian::root)),
    domain: &[(0.5, 2.0)],
};

/// Exponentials.
pub const COMPLEX_EXP: OpDef = OpDef {
    name: "complex_exp",
    aliases: &["ComplexExp"],
    doc: "e to the power f, pair by pair.",
    arity: 1,
    params: 0,
    shape: same_or_pair,
    eval: |args, _, out| {
        map(args, out, |a, b| (libm::exp(a) * libm::cos(b), libm::exp(a) * libm::sin(b)))
    },
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| parted(f, args, Cartesian::exp)),
    domain: &[(-2.0, 2.0)],
};

/// Points of the unit circle.
pub const COMPLEX_EXP1J: OpDef = OpDef {
    name: "complex_exp1j",
    aliases: &["ComplexExp1j"],
    doc: "The pairs cos f, sin f of reals f.",
    arity: 1,
    params: 0,
    shape: doubled,
    eval: |args, _, out| interleaved(out, |k| (libm::cos(args[0][k]), libm::sin(args[0][k]))),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| unit(f, args[0]).join(f)),
    domain: &[(-2.0, 2.0)],
};

/// Logarithms.
pub const COMPLEX_LOG: OpDef = OpDef {
    name: "complex_log",
    aliases: &[],
    doc: "The principal logarithm of each pair: the log of its absolute value, and its angle in \
          [-pi, pi].",
    arity: 1,
    params: 0,
    shape: same_or_pair,
    eval: |args, _, out| map(args, out, |a, b| (libm::log(absolute(a, b)), libm::atan2(b, a))),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| parted(f, args, Cartesian::log)),
    domain: &[(0.5, 2.0)],
};

/// Squared absolute values.
pub const COMPLEX_SQUARE_ABS: OpDef = OpDef {
    name: "complex_square_abs",
    aliases: &["ComplexSquareAbs"],
    doc: "The squared absolute value of each pair.",
    arity: 1,
    params: 0,
    shape: halved,
    eval: |args, _, out| measure(args, out, |a, b| a * a + b * b),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| measured(f, args, Cartesian::square_abs)),
    domain: &[(-2.0, 2.0)],
};

/// Absolute values.
pub const COMPLEX_ABS: OpDef = OpDef {
    name: "complex_abs",
    aliases: &["ComplexAbs"],
    doc: "The absolute value of each pair, without overflow in between. The gradient at 0 is 0.",
    arity: 1,
    params: 0,
    shape: halved,
    eval: |args, _, out| measure(args, out, absolute),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| measured(f, args, Cartesian::abs)),
    domain: &[(0.5, 2.0)],
};

/// Angles.
pub const COMPLEX_ANGLE: OpDef = OpDef {
    name: "complex_angle",
    aliases: &["ComplexAngle"],
    doc: "The angle of each pair, in [-pi, pi]. The gradient at 0 is NaN.",
    arity: 1,
    params: 0,
    shape: halved,
    eval: |args, _, out| measure(args, out, |a, b| libm::atan2(b, a)),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| measured(f, args, Cartesian::angle)),
    domain: &[(0.5, 2.0)],
};

/// The power of two that brings two numbers near 1.
pub const BINARY_SCALE: OpDef = OpDef {
    name: "binary_scale",
    aliases: &[],
    doc: "2^-e for the exponent e of the larger of |f| and |g|, so that it times the larger lies \
          in [1, 2), or below it where it is subnormal in the dtype; 1 where it is 0, infinite or \
          NaN.",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, binary_scale),
    grad: Grad::Zero,
    emit: Emit::Map("tf_binary_scale($0, $1)"),
    expand: None,
    domain: &[(1.1, 1.9), (1.1, 1.9)],
};

#[cfg(test)]
mod tests {
    use super::super::Op;
    use super::super::tests::{check_scalars, check_vectors};
    use crate::ir::eval::{Matrix, evaluate};
    use crate::ir::{Formula, Kind};
    use crate::passes::vjp;
    use std::f64::consts::PI;

    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;
    const BIG: f64 = 1e300;
    const TINY: f64 = 1e-310;

    #[test]
    fn edge_values() {
        check_vectors(&[
            ("complex_divide", &[], &[&[BIG, BIG], &[BIG, BIG]], &[1.0, 0.0]),
            ("complex_divide", &[], &[&[TINY, 0.0], &[0.0, TINY]], &[0.0, -1.0]),
            ("complex_divide", &[], &[&[0.0, 0.0], &[0.0, 0.0]], &[NAN, NAN]),
            ("complex_divide", &[], &[&[1.0, 0.0], &[0.0, 0.0]], &[NAN, NAN]),
            ("complex_divide", &[], &[&[1.0, 0.0], &[INF, 0.0]], &[NAN, NAN]),
            ("complex_divide", &[], &[&[INF, 1.0], &[2.0, 2.0]], &[INF, -INF]),
            ("complex_divide", &[], &[&[1.0, NAN], &[2.0, 2.0]], &[NAN, NAN]),
            ("complex_inv", &[], &[&[0.0, 2.0]], &[0.0, -0.5]),
            ("complex_inv", &[], &[&[INF, -1.0]], &[NAN, 0.0]),
            ("complex_inv", &[], &[&[0.0, 0.0]], &[NAN, NAN]),
            ("complex_inv", &[], &[&[TINY, TINY]], &[INF, -INF]),
            ("complex_sqrt", &[], &[&[-3.0, 4.0]], &[1.0, 2.0]),
            ("complex_sqrt", &[], &[&[-3.0, -4.0]], &[1.0, -2.0]),
            ("complex_sqrt", &[], &[&[-4.0, -0.0]], &[0.0, -2.0]),
            ("complex_abs", &[], &[&[3.0 * BIG, 4.0 * BIG]], &[5.0 * BIG]),
            ("complex_abs", &[], &[&[-0.0, 0.0]], &[0.0]),
            ("complex_abs", &[], &[&[-INF, 1.0]], &[INF]),
            ("complex_abs", &[], &[&[INF, NAN]], &[INF]),
            (
                "complex_abs",
                &[],
                &[&[3.0 * f64::from_bits(1), 4.0 * f64::from_bits(1)]],
                &[5.0 * f64::from_bits(1)],
            ),
            ("complex_square_abs", &[], &[&[3.0, -4.0]], &[25.0]),
            ("complex_angle", &[], &[&[-1.0, 0.0]], &[PI]),
            ("complex_angle", &[], &[&[-1.0, -0.0]], &[-PI]),
            ("complex_angle", &[], &[&[0.0, 0.0]], &[0.0]),
            ("complex_sqrt", &[], &[&[-4.0, 0.0]], &[0.0, 2.0]),
            ("complex_sqrt", &[], &[&[-4.0, -0.0]], &[0.0, -2.0]),
            ("complex_sqrt", &[], &[&[4.0, 0.0]], &[2.0, 0.0]),
            ("complex_sqrt", &[], &[&[0.0, 0.0]], &[0.0, 0.0]),
            ("complex_sqrt", &[], &[&[3.0, NAN]], &[NAN, NAN]),
            ("complex_log", &[], &[&[-1.0, 0.0]], &[0.0, PI]),
            ("complex_log", &[], &[&[0.0, 0.0]], &[-INF, 0.0]),
            ("complex_exp", &[], &[&[0.0, 0.0]], &[1.0, 0.0]),
            ("complex_exp", &[], &[&[-INF, 1.0]], &[0.0, 0.0]),
            ("complex_exp", &[], &[&[1000.0, 0.0]], &[INF, NAN]),
            ("complex_pow", &[0], &[&[NAN, 1.0]], &[1.0, 0.0]),
            ("complex_pow", &[1], &[&[5.0, 7.0]], &[5.0, 7.0]),
            ("complex_pow", &[4], &[&[0.0, 1.0]], &[1.0, -0.0]),
            ("complex_pow", &[-1], &[&[0.0, 0.0]], &[NAN, NAN]),
        ]);
        check_scalars(&[
            ("binary_scale", &[], &[0.0, -0.0], 1.0),
            ("binary_scale", &[], &[NAN, 8.0], 1.0),
            ("binary_scale", &[], &[8.0, NAN], 1.0),
            ("binary_scale", &[], &[1.0, INF], 1.0),
            ("binary_scale", &[], &[-8.5, 3.0], 0.125),
            ("binary_scale", &[], &[0.75, 0.25], 2.0),
            ("binary_scale", &[], &[f64::MAX, 1.0], f64::MIN_POSITIVE / 2.0),
            ("binary_scale", &[], &[f64::from_bits(1), 0.0], 1.0 / f64::MIN_POSITIVE),
        ]);
    }

    /// The gradient of the sum of both parts, or of the one real, of an operation at one number.
    fn slope(op: Op, z: [f64; 2]) -> Vec<f64> {
        let mut f = Formula::new("f");
        let input = f.input_of("z", None, 2, Kind::Complex).expect("valid");
        let value = f.op(op, &[input], &[]).expect("fits");
        let dim = f.dim(value);
        f.output("a", None, value).expect("a parameter");
        let g = vjp(&f, "a", &["z".into()]).expect("differentiable");
        let row = |data: &[f64]| Matrix { rows: 1, cols: data.len(), data: data.to_vec() };
        let inputs = [row(&z), row(&vec![1.0; dim])];
        evaluate(&g, 0, 0, &inputs).expect("evaluates").remove(0).data
    }

    #[test]
    fn edge_slopes() {
        assert_eq!(slope(Op::Abs, [0.0, 0.0]), [0.0, 0.0]);
        let [x, y] = slope(Op::Abs, [3.0 * BIG, -4.0 * BIG])[..] else { panic!("two parts") };
        assert!((x - 0.6).abs() < 1e-15 && (y + 0.8).abs() < 1e-15, "{x} {y}");
        assert_eq!(slope(Op::Sqrt, [0.0, 0.0]), [0.0, 0.0]);
        // (2 sqrt z)^-1 = -i/4, i/4 and 1/4: on the cut from the side of the sign of the zero.
        assert_eq!(slope(Op::Sqrt, [-4.0, 0.0]), [-0.25, 0.25]);
        assert_eq!(slope(Op::Sqrt, [-4.0, -0.0]), [0.25, -0.25]);
        assert_eq!(slope(Op::Sqrt, [4.0, 0.0]), [0.25, 0.25]);
        assert!(slope(Op::Inv, [0.0, 0.0]).iter().all(|x| x.is_nan()));
        assert!(slope(Op::Angle, [0.0, 0.0]).iter().all(|x| x.is_nan()));
    }
}
