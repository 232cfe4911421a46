//! Special functions, component by component: the error function and its kin, the logarithm of the
//! gamma function and its derivatives.
//!
//! What goes in: nothing. What comes out: rooms of the op table. Never a host's own
//! transcendental functions: `eval` takes them from `libm`, which lacks digamma and polygamma;
//! those come from the NIST Digital Library of Mathematical Functions (DLMF), chapter 5.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use crate::ir::{ExprId, Formula};

use super::{Emit, Grad, Op, OpDef, map1, same_or_one};

/// The highest derivative of digamma; its factor, a factorial, is a number of float32 too.
const MAX_ORDER: i64 = 30;

/// `factor e^(-x^2 / divisor)`
fn bell(f: &mut Formula, x: ExprId, factor: f64, divisor: f64) -> ExprId {
    let square = f.square(x);
    let scaled = f.scale(-1.0 / divisor, square);
    let exp = f.apply(Op::Exp, &[scaled], &[]);
    f.scale(factor, exp)
}

/// The density of a normal variable, `e^(-x^2 / 2) / sqrt(2 pi)`.
pub(super) fn normal_density(f: &mut Formula, x: ExprId) -> ExprId {
    bell(f, x, 0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2, 2.0)
}

/// Error function.
pub const ERF: OpDef = OpDef {
    name: "erf",
    aliases: &["Erf"],
    doc: "The error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to f; -1 and \
          1 at the infinities.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::erf),
    grad: Grad::Vjp(|f, c, seed| {
        let slope = bell(f, c.args[0], FRAC_2_SQRT_PI, 1.0);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_erf($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Complementary error function.
pub const ERFC: OpDef = OpDef {
    name: "erfc",
    aliases: &["Erfc"],
    doc: "1 - erf(f), with all digits where that vanishes; 2 and 0 at the infinities.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::erfc),
    grad: Grad::Vjp(|f, c, seed| {
        let slope = bell(f, c.args[0], -FRAC_2_SQRT_PI, 1.0);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_erfc($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// `erfc(-x / sqrt(2)) / 2`. What the quotient lost enters by the slope of erfc, which is steep.
pub(super) fn normcdf(x: f64) -> f64 {
    const LOW: f64 = -4.833_646_656_726_457e-17;
    let s = -x * FRAC_1_SQRT_2;
    let y = 0.5 * libm::erfc(s);
    if s.is_infinite() {
        return y;
    }
    let lost = libm::fma(-x, FRAC_1_SQRT_2, -s) - x * LOW;
    y - lost * 0.5 * FRAC_2_SQRT_PI * libm::exp(-s * s)
}

/// Cumulative normal distribution.
pub const NORM_CDF: OpDef = OpDef {
    name: "normcdf",
    aliases: &["NormCdf"],
    doc: "The cumulative distribution of a normal variable, erfc(-f / sqrt(2)) / 2; 0 and 1 at \
          the infinities.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, normcdf),
    grad: Grad::Vjp(|f, c, seed| {
        let slope = normal_density(f, c.args[0]);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_normcdf($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Logarithm of the gamma function.
pub const LGAMMA: OpDef = OpDef {
    name: "lgamma",
    aliases: &["LGamma", "lngamma"],
    doc: "log |gamma(f)|; infinite at 0, at the negative integers and at the infinities.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::lgamma),
    grad: Grad::Vjp(|f, c, seed| {
        let slope = f.apply(Op::Digamma, c.args, &[]);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_lgamma($0)"),
    expand: None,
    domain: &[(0.5, 4.0)],
};

/// The even Bernoulli numbers B(2), B(4), ...
const BERNOULLI: [f64; 10] = [
    1.0 / 6.0,
    -1.0 / 30.0,
    1.0 / 42.0,
    -1.0 / 30.0,
    5.0 / 66.0,
    -691.0 / 2730.0,
    7.0 / 6.0,
    -3617.0 / 510.0,
    43867.0 / 798.0,
    -174_611.0 / 330.0,
];

/// The sine of `pi x` for `x` of magnitude up to 1/2.
fn sin_pi(x: f64) -> f64 {
    libm::sin(PI * x)
}

/// `cot(pi x)`, with all digits near whole and half numbers.
fn cot_pi(x: f64) -> f64 {
    let off = x - libm::round(x);
    sin_pi(0.5 - off.abs()) / sin_pi(off)
}

/// Infinities are whole, as all large numbers are.
fn is_whole(x: f64) -> bool {
    libm::floor(x) == x
}

/// The reflection formula 5.5.4 leads to the right half, the recurrence 5.5.2 beyond 10, where ten
/// terms of the asymptotic series 5.11.2 reach the last bit.
fn digamma(x: f64) -> f64 {
    if x < 0.0 {
        return if is_whole(x) { f64::NAN } else { digamma(1.0 - x) - PI * cot_pi(x) };
    }
    // At a zero, the first step gives the infinity of its sign.
    let (mut y, mut sum) = (x, 0.0);
    while y < 10.0 {
        sum += 1.0 / y;
        y += 1.0;
    }
    let square = 1.0 / (y * y);
    let mut series = 0.0;
    for (k, b) in BERNOULLI.iter().enumerate().rev() {
        series = (series + b / (2 * k + 2) as f64) * square;
    }
    libm::log(y) - 0.5 / y - series - sum
}

/// Derivative of `lgamma`.
pub const DIGAMMA: OpDef = OpDef {
    name: "digamma",
    aliases: &["Digamma"],
    doc: "The derivative of log gamma(f). At 0 it is the infinity of the other sign, at the \
          negative integers and at -inf NaN.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, digamma),
    grad: Grad::Vjp(|f, c, seed| {
        let slope = f.apply(Op::Polygamma, c.args, &[1]);
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_digamma($0)"),
    expand: None,
    domain: &[(0.5, 4.0)],
};

/// `n! / x^(n + 1)` summed over x, x + 1, ... by the recurrence 5.15.5 and Euler's summation beyond
/// 10 + n; the reflection formula 5.15.6 leads to the right half.
fn polygamma(n: i32, x: f64) -> f64 {
    let odd = n % 2 == 1;
    if x < 0.0 {
        if is_whole(x) {
            let pole = odd && x.is_finite();
            return if pole { f64::INFINITY } else { f64::NAN };
        }
        let mirrored = polygamma(n, 1.0 - x);
        let turns = cot_pi_derivative(n, cot_pi(x)) * libm::pow(PI, f64::from(n + 1));
        return if odd { -mirrored - turns } else { mirrored - turns };
    }
    let power = |y: f64, k: i32| libm::pow(y, f64::from(-k));
    let (mut y, mut sum) = (x, 0.0);
    while y < f64::from(10 + n) {
        sum += power(y, n + 1);
        y += 1.0;
    }
    sum += power(y, n) / f64::from(n) + 0.5 * power(y, n + 1);
    let mut term = 0.5 * f64::from(n + 1) * power(y, n + 2);
    for (b, k) in BERNOULLI.iter().zip(1..) {
        sum += b * term;
        term *= f64::from(n + 2 * k) * f64::from(n + 2 * k + 1);
        term /= f64::from(2 * k + 1) * f64::from(2 * k + 2) * (y * y);
    }
    let factorial: f64 = (1..=n).map(f64::from).product();
    if odd { factorial * sum } else { -factorial * sum }
}

/// The n-th derivative of the cotangent, a polynomial in its value `c`: each step multiplies the
/// derivative of the last one by `-(1 + c^2)`.
fn cot_pi_derivative(n: i32, c: f64) -> f64 {
    let mut q = vec![0.0, 1.0];
    for _ in 0..n {
        let mut next = vec![0.0; q.len() + 1];
        for (k, a) in q.iter().enumerate().skip(1) {
            next[k - 1] -= k as f64 * a;
            next[k + 1] -= k as f64 * a;
        }
        q = next;
    }
    q.iter().rev().fold(0.0, |sum, a| sum * c + a)
}

fn order(dims: &[usize], params: &[i64]) -> Result<usize, String> {
    match params[0] {
        1..=MAX_ORDER => Ok(dims[0]),
        n => Err(format!("the order is {n}, but it is 1 to {MAX_ORDER}; order 0 is digamma")),
    }
}

/// Derivatives of `digamma`.
pub const POLYGAMMA: OpDef = OpDef {
    name: "polygamma",
    aliases: &["Polygamma"],
    doc: "The derivative of digamma of a literal order from 1 to 30; order 1 is trigamma. \
          Infinite at 0 and, for odd orders, at the negative integers, where even orders are \
          NaN, as all are at -inf. The gradient of order 30 is NaN.",
    arity: 1,
    params: 1,
    shape: order,
    eval: |args, p, out| map1(args, out, |x| polygamma(p[0] as i32, x)),
    grad: Grad::Vjp(|f, c, seed| {
        let slope = match c.params[0] {
            MAX_ORDER => f.constant(f64::NAN),
            n => f.apply(Op::Polygamma, c.args, &[n + 1]),
        };
        vec![Some(f.mul(seed, slope))]
    }),
    emit: Emit::Map("tf_polygamma($0, $p0)"),
    expand: None,
    domain: &[(1.0, 4.0)],
};

/// Second derivative of `lgamma`.
pub const TRIGAMMA: OpDef = OpDef {
    name: "trigamma",
    aliases: &["Trigamma"],
    doc: "The derivative of digamma: polygamma of order 1.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, |x| polygamma(1, x)),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| f.apply(Op::Polygamma, args, &[1])),
    domain: &[(1.0, 4.0)],
};

#[cfg(test)]
mod tests {
    use super::super::tests::{check_near, check_scalars};

    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;

    #[test]
    fn edges_are_those_of_the_docs() {
        check_scalars(&[
            ("digamma", &[], &[0.0], -INF),
            ("digamma", &[], &[-0.0], INF),
            ("digamma", &[], &[-1.0], NAN),
            ("digamma", &[], &[-4.0], NAN),
            ("digamma", &[], &[-INF], NAN),
            ("digamma", &[], &[INF], INF),
            ("polygamma", &[1], &[0.0], INF),
            ("polygamma", &[2], &[0.0], -INF),
            ("polygamma", &[1], &[-3.0], INF),
            ("polygamma", &[2], &[-3.0], NAN),
            ("polygamma", &[1], &[-INF], NAN),
            ("polygamma", &[2], &[-INF], NAN),
            ("trigamma", &[], &[-3.0], INF),
            ("lgamma", &[], &[-2.0], INF),
            ("lgamma", &[], &[-INF], INF),
            ("erf", &[], &[-INF], -1.0),
            ("erfc", &[], &[-INF], 2.0),
            ("normcdf", &[], &[-INF], 0.0),
            ("normcdf", &[], &[-1e300], 0.0),
            ("normcdf", &[], &[1e300], 1.0),
            ("normcdf", &[], &[INF], 1.0),
            ("normcdf", &[], &[0.0], 0.5),
            ("normcdf", &[], &[NAN], NAN),
        ]);
    }

    /// By mpmath 1.3 with 40 digits.
    #[test]
    fn values_are_those_of_many_digits() {
        check_near(
            5e-15,
            &[
                ("digamma", &[], &[-3.75], -1.6923885983113303),
                ("digamma", &[], &[-1.25], 3.714139120213528),
                ("digamma", &[], &[-0.375], 1.2139579020901001),
                ("digamma", &[], &[-0.25], 2.9141391202135276),
                ("digamma", &[], &[0.25], -4.2274535333762655),
                ("digamma", &[], &[1.5], 0.03648997397857652),
                ("digamma", &[], &[9.5], 2.1977378764029494),
                ("digamma", &[], &[40.0], 3.676327374034843),
                ("lgamma", &[], &[-2.5], -0.056243716497674054),
                ("lgamma", &[], &[-0.25], 1.589575312551186),
                ("lgamma", &[], &[0.5], 0.5723649429247001),
                ("lgamma", &[], &[3.75], 1.486815578593417),
                ("lgamma", &[], &[30.0], 71.25703896716801),
                ("trigamma", &[], &[-1.25], 19.181879647671607),
                ("trigamma", &[], &[-0.375], 10.512294284151519),
                ("trigamma", &[], &[0.25], 17.19732915450711),
                ("trigamma", &[], &[1.5], 0.9348022005446793),
                ("trigamma", &[], &[12.0], 0.08690187287176838),
                ("polygamma", &[2], &[-1.25], 123.72136678366236),
                ("polygamma", &[3], &[-0.375], 343.7782924908555),
                ("polygamma", &[2], &[0.5], -16.82879664423432),
                ("polygamma", &[5], &[-2.25], 492231.1355044701),
                ("polygamma", &[4], &[13.5], -0.00020904822258538706),
                ("polygamma", &[30], &[2.5], -1.2232990235199246e20),
                ("erf", &[], &[-2.0], -0.9953222650189527),
                ("erf", &[], &[-0.5], -0.5204998778130465),
                ("erf", &[], &[0.25], 0.27632639016823696),
                ("erf", &[], &[1.75], 0.9866716712191824),
                ("erfc", &[], &[-2.0], 1.9953222650189528),
                ("erfc", &[], &[0.25], 0.7236736098317631),
                ("erfc", &[], &[5.0], 1.537459794428035e-12),
                ("normcdf", &[], &[-30.0], 4.906713927148187e-198),
                ("normcdf", &[], &[-6.0], 9.86587645037698e-10),
                ("normcdf", &[], &[-2.0], 0.02275013194817921),
                ("normcdf", &[], &[-0.5], 0.3085375387259869),
                ("normcdf", &[], &[0.5], 0.6914624612740131),
                ("normcdf", &[], &[3.0], 0.9986501019683699),
            ],
        );
    }
}
