//! What the special functions mean, from their series (numbers are those of the NIST Digital
//! Library of Mathematical Functions), with the host's own elementary functions.

use std::f64::consts::{FRAC_2_SQRT_PI, PI, SQRT_2};
use std::sync::OnceLock;

/// How much smaller the root of 2 is than float64 says, relative to it.
const ROOT_LOW: f64 = 6.835_808_657_661_922e-17;

const EULER: f64 = 0.577_215_664_901_532_9;

/// `e^(-x^2)`; what the square lost enters by a factor.
fn bell(x: f64) -> f64 {
    let square = x * x;
    let lost = if square.is_finite() { x.mul_add(x, -square) } else { 0.0 };
    (-square).exp() * (1.0 - lost)
}

/// 7.6.2, whose terms have one sign, and 7.9.1 where it would take too many.
pub fn erf(x: f64) -> f64 {
    if x.abs() > 2.5 {
        return (1.0 - erfc(x.abs())).copysign(x);
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..80 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    FRAC_2_SQRT_PI * bell(x) * sum
}

/// The continued fraction 7.9.1 from the inside out, but near 0.
pub fn erfc(x: f64) -> f64 {
    if x < 2.0 {
        return if x < -2.5 { 2.0 - erfc(-x) } else { 1.0 - erf(x) };
    }
    let fraction = (1..400).rev().fold(x, |inner, n| x + 0.5 * f64::from(n) / inner);
    bell(x) / (PI.sqrt() * fraction)
}

/// The probability that a normal variable is at most `x`.
pub fn normcdf(x: f64) -> f64 {
    let s = -x / SQRT_2;
    let lost = if s.abs() < 1e3 { s.mul_add(-SQRT_2, -x) / SQRT_2 + s * ROOT_LOW } else { 0.0 };
    let y = 0.5 * erfc(s);
    y - 0.5 * FRAC_2_SQRT_PI * bell(s) * lost
}

/// `zeta(k) - 1` for k from 2 on.
fn zeta_less_one() -> &'static [f64] {
    static TABLE: OnceLock<Vec<f64>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let zeta = |k: i32| {
            let last = 200.0f64;
            let head: f64 = (2..200).rev().map(|m| f64::from(m).powi(-k)).sum();
            let k = f64::from(k);
            let next = k / 12.0 / last - k * (k + 1.0) * (k + 2.0) / 720.0 / last.powi(3);
            head + last.powf(-k) * (last / (k - 1.0) + 0.5 + next)
        };
        (2..70).map(zeta).collect()
    })
}

/// `x` between 1/2 and 3/2 and the whole number that leads there, for `x > 0`.
fn reduced(x: f64) -> (f64, u32) {
    let steps = (x - 0.5).floor().max(0.0);
    (x - steps, steps as u32)
}

/// 5.7.3 between 1/2 and 3/2, the recurrence below 30, Stirling's series 5.11.1 beyond, and the
/// reflection formula 5.5.3.
pub fn lgamma(x: f64) -> f64 {
    if x.is_infinite() || (x <= 0.0 && x.floor() == x) {
        return f64::INFINITY;
    }
    if x < 0.0 {
        return (PI / (PI * (x - x.round())).sin().abs()).ln() - lgamma(1.0 - x);
    }
    if x < 0.5 {
        return lgamma(x + 1.0) - x.ln();
    }
    if x > 30.0 {
        let tail = (1.0 / 12.0 - 1.0 / (360.0 * x * x)) / x + 1.0 / (1260.0 * x.powi(5));
        return (x - 0.5) * x.ln() - x + 0.5 * (2.0 * PI).ln() + tail;
    }
    let (base, steps) = reduced(x);
    let z = base - 1.0;
    let series = (2i32..).zip(zeta_less_one()).map(|(k, c)| c * (-z).powi(k) / f64::from(k));
    let factors = (0..steps).map(|k| (base + f64::from(k)).ln());
    series.sum::<f64>() + z * (1.0 - EULER) - z.ln_1p() + factors.sum::<f64>()
}

/// The derivative of what [`lgamma`] is, piece by piece.
pub fn digamma(x: f64) -> f64 {
    if x == 0.0 {
        return -1.0 / x;
    }
    if x < 0.0 {
        let pole = x.is_infinite() || x.floor() == x;
        let off = PI * (x - x.round());
        return if pole { f64::NAN } else { digamma(1.0 - x) - PI / off.tan() };
    }
    if x < 0.5 {
        return digamma(x + 1.0) - 1.0 / x;
    }
    if x > 30.0 {
        let square = x.powi(-2);
        return x.ln() - 0.5 / x - square / 12.0 + square * square / 120.0 - square.powi(3) / 252.0;
    }
    let (base, steps) = reduced(x);
    let z = base - 1.0;
    let series = (1i32..).zip(zeta_less_one()).map(|(k, c)| -c * (-z).powi(k));
    let factors = (0..steps).map(|k| 1.0 / (base + f64::from(k)));
    series.sum::<f64>() + (1.0 - EULER) - 1.0 / base + factors.sum::<f64>()
}

/// 5.15.1: `(-1)^(n + 1) n!` times the sum of `1 / (x + k)^(n + 1)`, its far terms as an integral
/// with two corrections. Below 0 the sum runs over the terms of both signs, up to far ones.
pub fn polygamma(n: i32, x: f64) -> f64 {
    if x.is_nan() || x == f64::NEG_INFINITY || (x < 0.0 && x.floor() == x && n % 2 == 0) {
        return f64::NAN;
    }
    let sign = if n % 2 == 1 { 1.0 } else { -1.0 };
    let factorial: f64 = (1..=n).map(f64::from).product();
    if x == 0.0 {
        return sign * x.powi(-n - 1);
    }
    let (first, far) = (x, 3000.0);
    let terms = if first < far { (far - first).ceil() as u32 } else { 0 };
    let near: f64 = (0..terms).rev().map(|k| (first + f64::from(k)).powi(-n - 1)).sum();
    let y = first + f64::from(terms);
    let tail = y.powi(-n) * (1.0 / f64::from(n) + 0.5 / y + f64::from(n + 1) / (12.0 * y * y));
    sign * factorial * (near + tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of tables: DLMF 7.23, Abramowitz and Stegun 6.
    #[test]
    fn values_of_tables() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 4e-15 * (1.0 + b.abs()), "{a} {b}");
        near(erf(0.5), 0.520_499_877_813_046_5);
        near(erf(3.0), 0.999_977_909_503_001_4);
        near(erfc(2.0) * 1e3, 4.677_734_981_047_266);
        near(lgamma(0.5), 0.5 * PI.ln());
        near(lgamma(10.0), 362_880f64.ln());
        near(lgamma(-0.5), (2.0 * PI.sqrt()).ln());
        near(lgamma(40.0), (1..40).map(|k| f64::from(k).ln()).sum());
        near(digamma(1.0), -EULER);
        near(digamma(0.5), -EULER - 4f64.ln());
        near(polygamma(1, 1.0), PI * PI / 6.0);
        near(polygamma(1, 0.5), PI * PI / 2.0);
        near(polygamma(3, 1.0), PI.powi(4) / 15.0);
    }
}
