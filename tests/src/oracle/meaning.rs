//! What each operation means, by its canonical name.
//!
//! Written from the manual's words, with the host's own functions: nothing of the op table is read,
//! so a slip in a room of the table cannot hide here.

use std::f64::consts::PI;

use super::special;

/// Component `k` of a value; a scalar stands for every component.
fn at(v: &[f64], k: usize) -> f64 {
    if v.len() == 1 { v[0] } else { v[k] }
}

fn truth(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

/// Applies the operation called `name` to its arguments and literal parameters.
///
/// # Panics
/// When the name is unknown here: a new operation needs a meaning of its own.
pub fn apply(name: &str, args: &[&[f64]], params: &[i64]) -> Vec<f64> {
    if let Some(value) = super::complex::apply(name, args, params) {
        return value;
    }
    let dim = args.iter().map(|a| a.len()).max().unwrap_or(1);
    let scalar = |k: usize| match args {
        [a] => unary(name, at(a, k), params),
        [a, b] => binary(name, at(a, k), at(b, k)),
        [a, b, c] => ternary(name, at(a, k), at(b, k), at(c, k)),
        _ => None,
    };
    (0..dim)
        .map(scalar)
        .collect::<Option<Vec<f64>>>()
        .or_else(|| super::vectors::apply(name, args, params))
        .or_else(|| super::tensors::apply(name, args, params))
        .or_else(|| super::curves::apply(name, args, params))
        .unwrap_or_else(|| panic!("the oracle knows no operation called `{name}`"))
}

fn unary(name: &str, x: f64, p: &[i64]) -> Option<f64> {
    elementary(name, x, p).or_else(|| extended(name, x, p))
}

/// Functions that KeOps lacks.
fn extended(name: &str, x: f64, p: &[i64]) -> Option<f64> {
    let cube = |x: f64| x * x * x;
    Some(match name {
        "expm1" => x.exp_m1(),
        "log1p" => x.ln_1p(),
        "log2" => x.log2(),
        "log10" => x.log10(),
        "cbrt" => x.cbrt(),
        "tan" => x.tan(),
        "sinc" if x == 0.0 => 1.0,
        // of the distance to an even number
        "sinc" => (PI * (x - 2.0 * (0.5 * x).round())).sin() / (PI * x),
        "sinh" => x.sinh(),
        "cosh" => x.cosh(),
        "tanh" => x.tanh(),
        "asinh" => x.asinh(),
        "acosh" => x.acosh(),
        "atanh" => x.atanh(),
        "sigmoid" => 1.0 / (1.0 + (-x).exp()),
        "softplus" => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        "silu" | "gelu" if x == f64::NEG_INFINITY => 0.0,
        "silu" => x / (1.0 + (-x).exp()),
        "gelu" => x * special::normcdf(x),
        "gelu_tanh" => 0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044715 * cube(x))).tanh()),
        "erf" => special::erf(x),
        "erfc" => special::erfc(x),
        "normcdf" => special::normcdf(x),
        "lgamma" => special::lgamma(x),
        "digamma" => special::digamma(x),
        "trigamma" => special::polygamma(1, x),
        "polygamma" => special::polygamma(p[0] as i32, x),
        "trunc" => x.trunc(),
        "ceil" => x.ceil(),
        _ => return None,
    })
}

fn elementary(name: &str, x: f64, p: &[i64]) -> Option<f64> {
    let or_at_zero = |value: f64, general: f64| if x == 0.0 { value } else { general };
    Some(match name {
        "neg" => -x,
        "to_real" => x,
        "inv" => 1.0 / x,
        "square" => x * x,
        "pow" => x.powi(p[0] as i32),
        "sqrt" => x.sqrt(),
        "rsqrt" => or_at_zero(0.0, 1.0 / x.sqrt()),
        "exp" => x.exp(),
        "exp2" => x.exp2(),
        "log" => x.ln(),
        "xlogx" => or_at_zero(0.0, x * x.ln()),
        "sin" => x.sin(),
        "cos" => x.cos(),
        "sinxdivx" => or_at_zero(1.0, x.sin() / x),
        "sinxdivx_prime" => sinc_slope(x),
        "asin" => x.asin(),
        "acos" => x.acos(),
        "atan" => x.atan(),
        "abs" => x.abs(),
        "floor" => x.floor(),
        "round" => round(x, p[0]),
        "diff_clamp_int" => truth(x >= p[0] as f64 && x <= p[1] as f64),
        "sign" | "step" | "relu" | "clamp_int" if x.is_nan() => x,
        "sign" => or_at_zero(0.0, x.signum()),
        "step" => or_at_zero(1.0, truth(x > 0.0)),
        "relu" => {
            if x < 0.0 {
                0.0
            } else {
                x
            }
        }
        "clamp_int" => x.max(p[0] as f64).min(p[1] as f64),
        _ => return None,
    })
}

fn binary(name: &str, a: f64, b: f64) -> Option<f64> {
    Some(match name {
        "add" => a + b,
        "sub" => a - b,
        "mul" => a * b,
        "div" => a / b,
        "powf" => a.powf(b),
        "atan2" => a.atan2(b),
        "hypot" => a.hypot(b),
        "binary_scale" => binary_scale(a.abs(), b.abs()),
        "fmod" => a % b,
        "minimum" | "maximum" if a.is_nan() || b.is_nan() => f64::NAN,
        "minimum" => a.min(b),
        "maximum" => a.max(b),
        "eq" => truth(a == b),
        "ne" => truth(a != b),
        "lt" => truth(a < b),
        "le" => truth(a <= b),
        "and" => truth(a != 0.0 && b != 0.0),
        "or" => truth(a != 0.0 || b != 0.0),
        _ => return None,
    })
}

fn ternary(name: &str, a: f64, b: f64, c: f64) -> Option<f64> {
    Some(match name {
        // f - m * floor((f - d) / m)
        "mod" => a - b * ((a - c) / b).floor(),
        "clamp" if a < b => b,
        "clamp" if a > c => c,
        "clamp" => a,
        "ifelse" => {
            if a >= 0.0 {
                b
            } else {
                c
            }
        }
        "where" => {
            if a == 0.0 {
                c
            } else {
                b
            }
        }
        _ => return None,
    })
}

/// `(x cos x - sin x) / x^2`, which is the sum over n of `(-1)^n 2n x^(2n-1) / (2n+1)!`.
fn sinc_slope(x: f64) -> f64 {
    if x.abs() > 1.5 || x.is_nan() {
        return x.cos() / x - x.sin() / (x * x);
    }
    let (mut sum, mut factorial, mut power) = (0.0, 1.0, x);
    for n in 1..16 {
        let twice = f64::from(2 * n);
        factorial *= twice * (twice + 1.0);
        let sign = if n % 2 == 0 { 1.0 } else { -1.0 };
        sum += sign * twice * power / factorial;
        power *= x * x;
    }
    sum
}

/// The power of two whose product with the larger number lies in [1, 2).
fn binary_scale(a: f64, b: f64) -> f64 {
    let size = if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) };
    let mut scale = 1.0;
    if size > 0.0 && size < f64::INFINITY {
        while size * scale >= 2.0 {
            scale *= 0.5;
        }
        while size * scale < 1.0 && scale < f64::powi(2.0, 1022) {
            scale *= 2.0;
        }
    }
    scale
}

/// Half away from zero, to `digits` decimals; a number without such decimals is its own rounding.
fn round(x: f64, digits: i64) -> f64 {
    let unit = 10f64.powi(digits.unsigned_abs() as i32);
    let rounded = if digits < 0 { (x / unit).round() * unit } else { (x * unit).round() / unit };
    if rounded.is_finite() { rounded } else { x }
}
