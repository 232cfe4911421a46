//! What operations on complex numbers mean, by canonical name: textbook formulas on a type of
//! pairs, without any care for overflow.

use std::ops::{Add, Div, Mul, Sub};

/// A complex number.
#[derive(Clone, Copy)]
struct Z(f64, f64);

impl Add for Z {
    type Output = Z;
    fn add(self, w: Z) -> Z {
        Z(self.0 + w.0, self.1 + w.1)
    }
}

impl Sub for Z {
    type Output = Z;
    fn sub(self, w: Z) -> Z {
        Z(self.0 - w.0, self.1 - w.1)
    }
}

impl Mul for Z {
    type Output = Z;
    fn mul(self, w: Z) -> Z {
        Z(self.0 * w.0 - self.1 * w.1, self.0 * w.1 + self.1 * w.0)
    }
}

impl Div for Z {
    type Output = Z;
    fn div(self, w: Z) -> Z {
        let (product, square) = (self * w.conj(), w.0 * w.0 + w.1 * w.1);
        if square.is_infinite() {
            return Z(f64::NAN, f64::NAN);
        }
        Z(product.0 / square, product.1 / square)
    }
}

impl Z {
    fn conj(self) -> Z {
        Z(self.0, -self.1)
    }

    fn inv(self) -> Z {
        let square = self.0 * self.0 + self.1 * self.1;
        Z(self.0 / square, -self.1 / square)
    }

    fn abs(self) -> f64 {
        self.0.hypot(self.1)
    }

    fn angle(self) -> f64 {
        self.1.atan2(self.0)
    }

    fn exp(self) -> Z {
        Z(self.0.exp() * self.1.cos(), self.0.exp() * self.1.sin())
    }

    fn log(self) -> Z {
        Z(self.abs().ln(), self.angle())
    }

    /// The root whose square it is and whose real part is not negative. An infinite imaginary part
    /// leaves one part unknown.
    fn sqrt(self) -> Z {
        let (inf, size) = (f64::INFINITY, self.abs());
        match self {
            Z(a, b) if b.is_infinite() && a >= 0.0 => return Z(inf, f64::NAN),
            Z(a, b) if b.is_infinite() && a < 0.0 => return Z(f64::NAN, b),
            Z(a, b) if a.is_infinite() && !b.is_nan() => {
                return if a > 0.0 { Z(inf, 0.0) } else { Z(0.0, inf.copysign(b)) };
            }
            _ => {}
        }
        let (re, im) = (((size + self.0) / 2.0).sqrt(), ((size - self.0) / 2.0).sqrt());
        Z(re, im.copysign(self.1))
    }

    fn pow(self, n: i64) -> Z {
        let power = (0..n.unsigned_abs()).map(|_| self).reduce(Z::mul).unwrap_or(Z(1.0, 0.0));
        if n < 0 { power.inv() } else { power }
    }
}

fn numbers(v: &[f64]) -> Vec<Z> {
    v.chunks(2).map(|pair| Z(pair[0], pair[1])).collect()
}

fn flat(numbers: impl IntoIterator<Item = Z>) -> Vec<f64> {
    numbers.into_iter().flat_map(|z| [z.0, z.1]).collect()
}

/// Applies an operation of complex numbers; `None` for a name that is not known here.
pub fn apply(name: &str, args: &[&[f64]], params: &[i64]) -> Option<Vec<f64>> {
    of_reals(name, args).or_else(|| {
        let name = name.strip_prefix("complex_")?;
        match args {
            [z] => unary(name, &numbers(z), params),
            [a, b] if a.len() == 1 || b.len() == 1 => {
                let (factor, z) = if a.len() == 1 { (a[0], b) } else { (b[0], a) };
                Some(z.iter().map(|x| factor * x).collect())
            }
            [z, w] => binary(name, &numbers(z), &numbers(w)),
            _ => None,
        }
    })
}

/// What reads reals, or takes no notice of pairs.
fn of_reals(name: &str, args: &[&[f64]]) -> Option<Vec<f64>> {
    let v = args[0];
    let each = |f: fn(f64) -> Z| Some(flat(v.iter().map(|&x| f(x))));
    match name {
        "real" | "conj" | "as_real" | "as_complex" => Some(v.to_vec()),
        "imag" => Some(vec![0.0; v.len()]),
        "angle" => Some(v.iter().map(|&x| Z(x, 0.0).angle()).collect()),
        "exp1j" | "complex_exp1j" => each(|x| Z(x.cos(), x.sin())),
        "real2complex" => each(|x| Z(x, 0.0)),
        "imag2complex" => each(|x| Z(0.0, x)),
        "complex" | "interleave" => {
            let n = v.len().max(args[1].len());
            let at = |v: &[f64], k: usize| if v.len() == 1 { v[0] } else { v[k] };
            Some(flat((0..n).map(|k| Z(at(v, k), at(args[1], k)))))
        }
        _ => None,
    }
}

fn unary(name: &str, z: &[Z], params: &[i64]) -> Option<Vec<f64>> {
    let each = |f: &dyn Fn(Z) -> Z| Some(flat(z.iter().map(|&z| f(z))));
    let measure = |f: fn(Z) -> f64| Some(z.iter().map(|&z| f(z)).collect());
    match name {
        "real" => measure(|z| z.0),
        "imag" => measure(|z| z.1),
        "abs" => measure(Z::abs),
        "square_abs" => measure(|z| z.0 * z.0 + z.1 * z.1),
        "angle" => measure(Z::angle),
        "conj" => each(&Z::conj),
        "inv" => each(&Z::inv),
        "square" => each(&|z| z * z),
        "pow" => each(&|z| z.pow(params[0])),
        "sqrt" => each(&Z::sqrt),
        "exp" => each(&Z::exp),
        "log" => each(&Z::log),
        "sum" => Some(flat([z.iter().fold(Z(0.0, 0.0), |sum, &z| sum + z)])),
        "sum_t" => Some(flat(vec![z[0]; params[0] as usize / 2])),
        _ => None,
    }
}

fn binary(name: &str, z: &[Z], w: &[Z]) -> Option<Vec<f64>> {
    let at = |v: &[Z], k: usize| if v.len() == 1 { v[0] } else { v[k] };
    let n = z.len().max(w.len());
    let each = |f: fn(Z, Z) -> Z| (0..n).map(|k| f(at(z, k), at(w, k))).collect::<Vec<Z>>();
    Some(flat(match name {
        "add" => each(|z, w| z + w),
        "subtract" => each(|z, w| z - w),
        "mult" | "scal" => each(|z, w| z * w),
        "divide" => each(|z, w| z / w),
        "dot" => vec![each(|z, w| z.conj() * w).into_iter().fold(Z(0.0, 0.0), |sum, z| sum + z)],
        _ => return None,
    }))
}
