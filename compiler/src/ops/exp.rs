//! Powers, roots, exponentials and logarithms, component by component.
//!
//! What goes in: nothing. What comes out: rooms of the op table. Never a host's own
//! transcendental functions: `eval` takes them from `libm`.

use crate::ir::{ExprId, Formula};

use super::{Emit, Grad, Op, OpDef, map1, map2, same_or_one};

/// Exponents of `pow` are C++ `int`s.
const LOWEST_EXPONENT: i64 = i32::MIN as i64;
const HIGHEST_EXPONENT: i64 = i32::MAX as i64;

fn pow_shape(dims: &[usize], params: &[i64]) -> Result<usize, String> {
    match params[0] {
        LOWEST_EXPONENT..=HIGHEST_EXPONENT => Ok(dims[0]),
        n => Err(format!(
            "the exponent is {n}, but an integer exponent is {LOWEST_EXPONENT} to \
             {HIGHEST_EXPONENT}; use powf"
        )),
    }
}

/// `n * f^(n - 1)`. At the lowest exponent, `n - 1` is no exponent, so `f^n / f` stands for it.
fn pow_slope(f: &mut Formula, x: ExprId, n: i64, out: ExprId) -> ExprId {
    let power = match n {
        LOWEST_EXPONENT => f.div(out, x),
        _ => f.apply(Op::Pow, &[x], &[n - 1]),
    };
    f.scale(n as f64, power)
}

/// Power with a literal integer exponent.
pub const POW: OpDef = OpDef {
    name: "pow",
    aliases: &["Pow"],
    doc: "f to a literal integer power. Power 0 is 1 even for NaN; 0 to a negative power is \
          infinite.",
    arity: 1,
    params: 1,
    shape: pow_shape,
    eval: |args, params, out| map1(args, out, |a| libm::pow(a, params[0] as f64)),
    grad: Grad::Vjp(|f, c, seed| match c.params[0] {
        0 => vec![None],
        n => {
            let slope = pow_slope(f, c.args[0], n, c.out);
            vec![Some(f.mul(seed, slope))]
        }
    }),
    emit: Emit::Map("tf_powi($0, $p0)"),
    expand: None,
    domain: &[(0.5, 2.0)],
};

/// Power with any exponent.
pub const POWF: OpDef = OpDef {
    name: "powf",
    aliases: &["Powf"],
    doc: "f to the power g, component by component; a scalar is broadcast. A negative f with a \
          g that is no integer gives NaN; f^0 is 1 even for NaN.",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, libm::pow),
    grad: Grad::Vjp(|f, c, seed| {
        let (base, exponent) = (c.args[0], c.args[1]);
        let one = f.constant(1.0);
        let less = f.sub(exponent, one);
        let power = f.apply(Op::Powf, &[base, less], &[]);
        let by_base = f.mul(exponent, power);
        let log = f.apply(Op::Log, &[base], &[]);
        let by_exponent = f.mul(log, c.out);
        vec![Some(f.mul(seed, by_base)), Some(f.mul(seed, by_exponent))]
    }),
    emit: Emit::Map("tf_pow($0, $1)"),
    expand: None,
    domain: &[(0.5, 2.0), (-2.0, 2.0)],
};

/// Square root.
pub const SQRT: OpDef = OpDef {
    name: "sqrt",
    aliases: &["Sqrt"],
    doc: "Square root; NaN below 0. The gradient at 0 is 0, so that of norm2 at 0 is 0 too.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::sqrt),
    grad: Grad::Vjp(|f, c, seed| {
        let inverse = f.apply(Op::Rsqrt, &[c.args[0]], &[]);
        let half = f.scale(0.5, inverse);
        vec![Some(f.mul(seed, half))]
    }),
    emit: Emit::Map("tf_sqrt($0)"),
    expand: None,
    domain: &[(0.5, 2.0)],
};

/// Reciprocal square root.
pub const RSQRT: OpDef = OpDef {
    name: "rsqrt",
    aliases: &["Rsqrt"],
    doc: "1 / sqrt(f), but 0 at 0; NaN below 0. The gradient at 0 is 0.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, rsqrt),
    grad: Grad::Vjp(|f, c, seed| {
        let cube = f.apply(Op::Pow, &[c.out], &[3]);
        let slope = f.scale(-0.5, cube);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_rsqrt($0)"),
    expand: None,
    domain: &[(0.5, 2.0)],
};

/// `1 / sqrt(x)`, but 0 at 0.
pub(super) fn rsqrt(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { 1.0 / libm::sqrt(x) }
}

/// Exponential.
pub const EXP: OpDef = OpDef {
    name: "exp",
    aliases: &["Exp"],
    doc: "e to the power f.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::exp),
    grad: Grad::Vjp(|f, c, seed| vec![Some(f.mul(seed, c.out))]),
    emit: Emit::Map("tf_exp($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Exponential to base 2.
pub const EXP2: OpDef = OpDef {
    name: "exp2",
    aliases: &["Exp2"],
    doc: "2 to the power f.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::exp2),
    grad: Grad::Vjp(|f, c, seed| {
        let slope = f.scale(std::f64::consts::LN_2, c.out);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_exp2($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Natural logarithm.
pub const LOG: OpDef = OpDef {
    name: "log",
    aliases: &["Log"],
    doc: "Natural logarithm; -inf at 0, NaN below.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::log),
    grad: Grad::Vjp(|f, c, seed| vec![Some(f.div(seed, c.args[0]))]),
    emit: Emit::Map("tf_log($0)"),
    expand: None,
    domain: &[(0.5, 2.0)],
};

/// Entropy's summand.
pub const XLOGX: OpDef = OpDef {
    name: "xlogx",
    aliases: &["XLogX"],
    doc: "f * log(f), 0 at 0; NaN below. The gradient at 0 is -inf.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, |a| if a == 0.0 { 0.0 } else { a * libm::log(a) }),
    grad: Grad::Vjp(|f, c, seed| {
        let log = f.apply(Op::Log, &[c.args[0]], &[]);
        let one = f.constant(1.0);
        let slope = f.add(log, one);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_xlogx($0)"),
    expand: None,
    domain: &[(0.5, 2.0)],
};

/// Exponential less 1.
pub const EXPM1: OpDef = OpDef {
    name: "expm1",
    aliases: &["Expm1"],
    doc: "e^f - 1, with all digits near 0; -1 at -inf.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::expm1),
    grad: Grad::Vjp(|f, c, seed| {
        let slope = f.apply(Op::Exp, c.args, &[]);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_expm1($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Logarithm of 1 more.
pub const LOG1P: OpDef = OpDef {
    name: "log1p",
    aliases: &["Log1p"],
    doc: "log(1 + f), with all digits near 0; -inf at -1, NaN below.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::log1p),
    grad: Grad::Vjp(|f, c, seed| {
        let one = f.constant(1.0);
        let divisor = f.add(one, c.args[0]);
        vec![Some(f.div(seed, divisor))]
    }),
    emit: Emit::Map("tf_log1p($0)"),
    expand: None,
    domain: &[(-0.5, 2.0)],
};

/// Logarithm to base 2.
pub const LOG2: OpDef = OpDef {
    name: "log2",
    aliases: &["Log2"],
    doc: "Logarithm to base 2, exact at powers of 2; -inf at 0, NaN below.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::log2),
    grad: Grad::Vjp(|f, c, seed| {
        let divisor = f.scale(std::f64::consts::LN_2, c.args[0]);
        vec![Some(f.div(seed, divisor))]
    }),
    emit: Emit::Map("tf_log2($0)"),
    expand: None,
    domain: &[(0.5, 2.0)],
};

/// Logarithm to base 10.
pub const LOG10: OpDef = OpDef {
    name: "log10",
    aliases: &["Log10"],
    doc: "Logarithm to base 10; -inf at 0, NaN below.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::log10),
    grad: Grad::Vjp(|f, c, seed| {
        let divisor = f.scale(std::f64::consts::LN_10, c.args[0]);
        vec![Some(f.div(seed, divisor))]
    }),
    emit: Emit::Map("tf_log10($0)"),
    expand: None,
    domain: &[(0.5, 2.0)],
};

/// Cube root.
pub const CBRT: OpDef = OpDef {
    name: "cbrt",
    aliases: &["Cbrt"],
    doc: "Cube root, negative for negative f. The gradient at 0 is infinite.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::cbrt),
    grad: Grad::Vjp(|f, c, seed| {
        let square = f.square(c.out);
        let divisor = f.scale(3.0, square);
        vec![Some(f.div(seed, divisor))]
    }),
    emit: Emit::Map("tf_cbrt($0)"),
    expand: None,
    domain: &[(0.5, 2.0)],
};

/// Length of a vector of the plane.
pub const HYPOT: OpDef = OpDef {
    name: "hypot",
    aliases: &["Hypot"],
    doc: "sqrt(f^2 + g^2) without overflow; infinite where either is, even beside NaN, as IEEE \
          754 says. The gradient at the origin is 0, as that of norm2.",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, libm::hypot),
    grad: Grad::Vjp(|f, c, seed| {
        // The divisor at the origin is 1, for 0 / 0 is NaN.
        let one = f.constant(1.0);
        let divisor = f.apply(Op::Where, &[c.out, c.out, one], &[]);
        let scaled = f.div(seed, divisor);
        vec![Some(f.mul(scaled, c.args[0])), Some(f.mul(scaled, c.args[1]))]
    }),
    emit: Emit::Map("tf_hypot($0, $1)"),
    expand: None,
    domain: &[(0.5, 2.0), (-2.0, -0.5)],
};

#[cfg(test)]
mod tests {
    use super::super::tests::{check_refusals, check_scalars, check_slopes};
    use std::f64::consts::LN_2;

    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;

    #[test]
    fn edge_values() {
        check_scalars(&[
            ("pow", &[0], &[NAN], 1.0),
            ("pow", &[0], &[0.0], 1.0),
            ("pow", &[-1], &[0.0], INF),
            ("pow", &[-1], &[-0.0], -INF),
            ("pow", &[3], &[-2.0], -8.0),
            ("pow", &[2], &[NAN], NAN),
            ("pow", &[-2], &[INF], 0.0),
            ("powf", &[], &[-2.0, 0.5], NAN),
            ("powf", &[], &[NAN, 0.0], 1.0),
            ("powf", &[], &[0.0, -1.0], INF),
            ("powf", &[], &[-2.0, 3.0], -8.0),
            ("sqrt", &[], &[-1.0], NAN),
            ("sqrt", &[], &[INF], INF),
            ("rsqrt", &[], &[0.0], 0.0),
            ("rsqrt", &[], &[-0.0], 0.0),
            ("rsqrt", &[], &[-1.0], NAN),
            ("rsqrt", &[], &[INF], 0.0),
            ("rsqrt", &[], &[NAN], NAN),
            ("exp", &[], &[-INF], 0.0),
            ("exp", &[], &[1000.0], INF),
            ("exp2", &[], &[-3.0], 0.125),
            ("log", &[], &[0.0], -INF),
            ("log", &[], &[-1.0], NAN),
            ("xlogx", &[], &[0.0], 0.0),
            ("xlogx", &[], &[-0.0], 0.0),
            ("xlogx", &[], &[-1.0], NAN),
            ("xlogx", &[], &[INF], INF),
            ("xlogx", &[], &[NAN], NAN),
        ]);
    }

    #[test]
    fn edge_slopes() {
        check_slopes(&[
            ("pow", &[0], &[NAN], &[0.0]),
            ("pow", &[1], &[0.0], &[1.0]),
            ("pow", &[-1], &[0.0], &[-INF]),
            ("pow", &[i64::from(i32::MIN)], &[-1.0], &[-f64::from(i32::MIN)]),
            ("sqrt", &[], &[0.0], &[0.0]),
            ("rsqrt", &[], &[0.0], &[-0.0]),
            ("exp2", &[], &[0.0], &[LN_2]),
            ("log", &[], &[0.0], &[INF]),
            ("xlogx", &[], &[0.0], &[-INF]),
        ]);
    }

    #[test]
    fn refusals() {
        let why = |n: &str| {
            format!(
                "pow: the exponent is {n}, but an integer exponent is -2147483648 to 2147483647; \
                 use powf"
            )
        };
        check_refusals(&[
            ("pow", &[2], &[1 << 31], &why("2147483648")),
            ("pow", &[2], &[i64::MIN], &why("-9223372036854775808")),
            ("pow", &[2], &[], "pow takes 1 argument and 1 literal integer, but got 1 argument"),
            ("powf", &[2, 3], &[], "powf: dimensions 2 and 3 do not match"),
            ("exp", &[1, 1], &[], "exp takes 1 argument, but got 2 arguments"),
        ]);
    }
}
