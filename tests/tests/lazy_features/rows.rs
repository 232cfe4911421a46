//! What KeOps' LazyTensor can do with values of a pair, in Rust: one row an operation, with the
//! spelling of KeOps, ours, and the meaning as plain arithmetic. In: a row of i and a row of j.
//! Out: the value that every expression has there. `docs/lazytensor.md` shows these rows.

use tilefold::LazyTensor;

use tilefold_tests::oracle::meaning::apply;

/// An expression of `x`, a variable of i, and `y`, a variable of j, of three components each.
pub type Ours = for<'a> fn(&LazyTensor<'a, f64>, &LazyTensor<'a, f64>) -> LazyTensor<'a, f64>;

/// One row.
pub struct Row {
    /// As KeOps writes it; empty where it cannot.
    pub keops: &'static str,
    /// As Rust writes it.
    pub text: &'static str,
    /// The expression.
    pub ours: Ours,
    /// Its value for a row of i and a row of j.
    pub naive: fn(&[f64], &[f64]) -> Vec<f64>,
}

macro_rules! rows {
    ($($keops:literal, |$x:ident, $y:ident| $ours:expr, $naive:expr;)*) => {
        &[$(Row {
            keops: $keops,
            text: stringify!($ours),
            ours: |$x, $y| $ours,
            naive: $naive,
        },)*]
    };
}

/// Component by component of one value.
fn each(v: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
    v.iter().map(|&v| f(v)).collect()
}

/// Component by component of two values.
fn both(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}

fn truth(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

/// A one-argument function by its name in the oracle.
fn named(name: &str, v: &[f64]) -> Vec<f64> {
    apply(name, &[v], &[])
}

/// Operators, with numbers on both sides.
pub const OPERATORS: &[Row] = rows! {
    "x + y", |x, y| x + y, |x, y| both(x, y, |a, b| a + b);
    "x - y", |x, y| x - y, |x, y| both(x, y, |a, b| a - b);
    "x * y", |x, y| x * y, |x, y| both(x, y, |a, b| a * b);
    "x / y", |x, y| x / y, |x, y| both(x, y, |a, b| a / b);
    "x + 2.5", |x, _y| x + 2.5, |x, _| each(x, |a| a + 2.5);
    "2.5 + x", |x, _y| 2.5 + x, |x, _| each(x, |a| 2.5 + a);
    "x - 2.5", |x, _y| x - 2.5, |x, _| each(x, |a| a - 2.5);
    "2.5 - x", |x, _y| 2.5 - x, |x, _| each(x, |a| 2.5 - a);
    "x * 2.5", |x, _y| x * 2.5, |x, _| each(x, |a| a * 2.5);
    "2.5 * x", |x, _y| 2.5 * x, |x, _| each(x, |a| 2.5 * a);
    "x / 2.5", |x, _y| x / 2.5, |x, _| each(x, |a| a / 2.5);
    "2.5 / x", |x, _y| 2.5 / x, |x, _| each(x, |a| 2.5 / a);
    "x + 2", |x, _y| x + 2, |x, _| each(x, |a| a + 2.0);
    "3 * x", |x, _y| 3 * x, |x, _| each(x, |a| 3.0 * a);
    "1 / x", |x, _y| 1 / x, |x, _| each(x, |a| 1.0 / a);
    "-x", |x, _y| -x, |x, _| each(x, |a| -a);
    "abs(x - y)", |x, y| (x - y).abs(), |x, y| both(x, y, |a, b| (a - b).abs());
    "x ** 2", |x, _y| x.square(), |x, _| each(x, |a| a * a);
    "x ** 3", |x, _y| x.powi(3), |x, _| each(x, |a| a * a * a);
    "x ** -2", |x, _y| x.powi(-2), |x, _| each(x, |a| 1.0 / (a * a));
    "x ** 0.5", |x, _y| x.sqrt(), |x, _| each(x, f64::sqrt);
    "x ** -0.5", |x, _y| x.rsqrt(), |x, _| each(x, |a| 1.0 / a.sqrt());
    "x ** 1.7", |x, _y| x.powf(1.7), |x, _| each(x, |a| a.powf(1.7));
    "x ** y", |x, y| x.powf(y), |x, y| both(x, y, f64::powf);
    "x | y", |x, y| x | y, |x, y| apply("dot", &[x, y], &[]);
    "x < y", |x, y| x.lt(y), |x, y| both(x, y, |a, b| truth(a < b));
    "x <= y", |x, y| x.le(y), |x, y| both(x, y, |a, b| truth(a <= b));
    "x > y", |x, y| x.gt(y), |x, y| both(x, y, |a, b| truth(a > b));
    "x >= y", |x, y| x.ge(y), |x, y| both(x, y, |a, b| truth(a >= b));
    "x == y", |x, y| x.equal(y), |x, y| both(x, y, |a, b| truth(a == b));
    "x != y", |x, y| x.not_equal(y), |x, y| both(x, y, |a, b| truth(a != b));
    "x < 1", |x, _y| x.lt(1), |x, _| each(x, |a| truth(a < 1.0));
    "x[1]", |x, _y| x.elem(1), |x, _| vec![x[1]];
    "x[:, :, 1:3]", |x, _y| x.slice(1..3), |x, _| x[1..3].to_vec();
    "x[:, :, :2]", |x, _y| x.slice(..2), |x, _| x[..2].to_vec();
};

/// Functions, component by component.
pub const FUNCTIONS: &[Row] = rows! {
    "x.exp()", |x, _y| x.exp(), |x, _| each(x, f64::exp);
    "x.log()", |x, _y| x.log(), |x, _| each(x, f64::ln);
    "x.xlogx()", |x, _y| x.xlogx(), |x, _| each(x, |a| a * a.ln());
    "x.cos()", |x, _y| x.cos(), |x, _| each(x, f64::cos);
    "x.sin()", |x, _y| x.sin(), |x, _| each(x, f64::sin);
    "x.sinxdivx()", |x, _y| x.sinxdivx(), |x, _| each(x, |a| a.sin() / a);
    "x.sinc()", |x, _y| x.sinc(), |x, _| named("sinc", x);
    "(x / 2).asin()", |x, _y| (x / 2).asin(), |x, _| each(x, |a| (a / 2.0).asin());
    "(x / 2).acos()", |x, _y| (x / 2).acos(), |x, _| each(x, |a| (a / 2.0).acos());
    "x.atan()", |x, _y| x.atan(), |x, _| each(x, f64::atan);
    "x.atan2(y)", |x, y| x.atan2(y), |x, y| both(x, y, f64::atan2);
    "x.sqrt()", |x, _y| x.sqrt(), |x, _| each(x, f64::sqrt);
    "x.rsqrt()", |x, _y| x.rsqrt(), |x, _| each(x, |a| 1.0 / a.sqrt());
    "x.square()", |x, _y| x.square(), |x, _| each(x, |a| a * a);
    "x.power(y)", |x, y| x.powf(y), |x, y| both(x, y, f64::powf);
    "(x - 1).abs()", |x, _y| (x - 1).abs(), |x, _| each(x, |a| (a - 1.0).abs());
    "(x - 1).sign()", |x, _y| (x - 1).sign(), |x, _| each(x, |a| truth(a > 1.0) - truth(a < 1.0));
    "(x - 1).step()", |x, _y| (x - 1).step(), |x, _| each(x, |a| truth(a >= 1.0));
    "(x - 1).relu()", |x, _y| (x - 1).relu(), |x, _| each(x, |a| (a - 1.0).max(0.0));
    "x.clamp(0.4, 1.1)", |x, _y| x.clamp(0.4, 1.1), |x, _| each(x, |a| a.clamp(0.4, 1.1));
    "x.clamp(0, 1)", |x, _y| x.clamp(0, 1), |x, _| each(x, |a| a.clamp(0.0, 1.0));
    "(x - y).ifelse(x, y)", |x, y| (x - y).ifelse(x, y), |x, y| both(x, y, f64::max);
    "x.mod(0.5, 0.1)", |x, _y| x.modulo(0.5, 0.1), |x, _| apply("mod", &[x, &[0.5], &[0.1]], &[]);
    "(x / 3).round(1)", |x, _y| (x / 3).round(1),
        |x, _| each(x, |a| (a / 3.0 * 10.0).round() / 10.0);
    "", |x, y| x.minimum(y), |x, y| both(x, y, f64::min);
    "", |x, y| x.maximum(y), |x, y| both(x, y, f64::max);
    "", |x, y| x.hypot(y), |x, y| both(x, y, f64::hypot);
    "", |x, y| x.fmod(y), |x, y| both(x, y, |a, b| a % b);
    "", |x, y| x.lt(y).select(x, y), |x, y| both(x, y, f64::min);
    "", |x, y| x.lt(y).and(x.lt(1)), |x, y| both(x, y, |a, b| truth(a < b && a < 1.0));
    "", |x, y| x.lt(y).or(x.lt(1)), |x, y| both(x, y, |a, b| truth(a < b || a < 1.0));
    "", |x, _y| x.inv(), |x, _| each(x, |a| 1.0 / a);
    "", |x, _y| x.cbrt(), |x, _| each(x, f64::cbrt);
    "", |x, _y| x.exp2(), |x, _| each(x, f64::exp2);
    "", |x, _y| x.expm1(), |x, _| each(x, f64::exp_m1);
    "", |x, _y| x.log1p(), |x, _| each(x, f64::ln_1p);
    "", |x, _y| x.log2(), |x, _| each(x, f64::log2);
    "", |x, _y| x.log10(), |x, _| each(x, f64::log10);
    "", |x, _y| x.floor(), |x, _| each(x, f64::floor);
    "", |x, _y| x.ceil(), |x, _| each(x, f64::ceil);
    "", |x, _y| x.trunc(), |x, _| each(x, f64::trunc);
    "", |x, _y| (x / 2).tan(), |x, _| each(x, |a| (a / 2.0).tan());
    "", |x, _y| x.sinh(), |x, _| each(x, f64::sinh);
    "", |x, _y| x.cosh(), |x, _| each(x, f64::cosh);
    "", |x, _y| x.tanh(), |x, _| each(x, f64::tanh);
    "", |x, _y| x.asinh(), |x, _| each(x, f64::asinh);
    "", |x, _y| (x + 1).acosh(), |x, _| each(x, |a| (a + 1.0).acosh());
    "", |x, _y| (x / 2).atanh(), |x, _| each(x, |a| (a / 2.0).atanh());
    "", |x, _y| x.sigmoid(), |x, _| named("sigmoid", x);
    "", |x, _y| x.softplus(), |x, _| named("softplus", x);
    "", |x, _y| x.silu(), |x, _| named("silu", x);
    "", |x, _y| x.gelu(), |x, _| named("gelu", x);
    "", |x, _y| x.gelu_tanh(), |x, _| named("gelu_tanh", x);
    "", |x, _y| x.erf(), |x, _| named("erf", x);
    "", |x, _y| x.erfc(), |x, _| named("erfc", x);
    "", |x, _y| x.normcdf(), |x, _| named("normcdf", x);
    "", |x, _y| x.lgamma(), |x, _| named("lgamma", x);
    "", |x, _y| x.digamma(), |x, _| named("digamma", x);
    "", |x, _y| x.trigamma(), |x, _| named("trigamma", x);
    "", |x, _y| x.polygamma(2), |x, _| apply("polygamma", &[x], &[2]);
};

/// Norms, components moved, small matrices.
pub const VECTORS: &[Row] = rows! {
    "x.sum(-1)", |x, _y| x.sum_inner(), |x, _| vec![x.iter().sum()];
    "x.min(-1)", |x, _y| x.min_inner(), |x, _| named("min_of", x);
    "x.max(-1)", |x, _y| x.max_inner(), |x, _| named("max_of", x);
    "x.argmin(-1)", |x, _y| x.argmin_inner(), |x, _| named("arg_min_of", x);
    "x.argmax(-1)", |x, _y| x.argmax_inner(), |x, _| named("arg_max_of", x);
    "(x | y)", |x, y| x.inner(y), |x, y| vec![both(x, y, |a, b| a * b).iter().sum()];
    "x.sqnorm2()", |x, _y| x.sqnorm2(), |x, _| vec![each(x, |a| a * a).iter().sum()];
    "x.norm2()", |x, _y| x.norm2(), |x, _| named("norm2", x);
    "x.norm(-1)", |x, _y| x.norm2(), |x, _| named("norm2", x);
    "x.normalize()", |x, _y| x.normalize(), |x, _| {
        let norm = named("norm2", x)[0];
        each(x, |a| a / norm)
    };
    "x.sqdist(y)", |x, y| x.sqdist(y), |x, y| apply("sqdist", &[x, y], &[]);
    "x.weightedsqnorm(y)", |x, y| x.weightedsqnorm(y), |x, y| apply("weightedsqnorm", &[y, x], &[]);
    "x.weightedsqdist(y, 0.5)", |x, y| x.weightedsqdist(y, 0.5), |x, y| {
        apply("weightedsqdist", &[&[0.5], x, y], &[])
    };
    "x.elem(2)", |x, _y| x.elem(2), |x, _| vec![x[2]];
    "x.extract(1, 2)", |x, _y| x.extract(1, 2), |x, _| x[1..3].to_vec();
    "x[0].one_hot(4)", |x, _y| x.elem(0).one_hot(4), |x, _| apply("one_hot", &[&x[..1]], &[4]);
    "x.concat(y)", |x, y| x.concat(y), |x, y| [x, y].concat();
    "LazyTensor.cat((x, y, x), -1)", |x, y| LazyTensor::concatenate(&[x, y, x]), |x, y| {
        [x, y, x].concat()
    };
    "x.tensorprod(y)", |x, y| x.tensorprod(y), |x, y| apply("tensorprod", &[x, y], &[]);
    "x.tensorprod(x).matvecmult(y)", |x, y| x.tensorprod(x).matvecmult(y), |x, y| {
        let inner: f64 = both(x, y, |a, b| a * b).iter().sum();
        each(x, |a| a * inner)
    };
    "y.vecmatmult(x.tensorprod(y))", |x, y| y.vecmatmult(x.tensorprod(y)), |x, y| {
        let inner: f64 = both(x, y, |a, b| a * b).iter().sum();
        each(y, |a| a * inner)
    };
    "x.keops_tensordot(y, (3,), (1, 3), (0,), (1,))",
        |x, y| x.tensordot(y, &[3], &[1, 3], &[0], &[1], &[]), |x, y| apply("dot", &[x, y], &[]);
    "x.keops_kron(y, (3,), (3,))", |x, y| x.kron(y, &[3], &[3]), |x, y| {
        apply("tensorprod", &[x, y], &[])
    };
    "x.bspline(y, 1)", |x, y| x.cumsum().bspline(y.elem(0), 1), |x, y| {
        apply("bspline", &[&named("cumsum", x), &y[..1]], &[1])
    };
    "x.softdtw_sqdist(y, 0.5)", |x, y| x.softdtw_sqdist(y, 0.5), |x, y| {
        apply("softdtw_sqdist", &[x, y, &[0.5]], &[])
    };
    "", |x, _y| x.prod_inner(), |x, _| vec![x.iter().product()];
    "", |x, _y| x.mean_inner(), |x, _| vec![x.iter().sum::<f64>() / 3.0];
    "", |x, _y| x.cumsum(), |x, _| named("cumsum", x);
    "", |x, _y| x.cumprod(), |x, _| named("cumprod", x);
    "", |x, y| x.scan(y), |x, y| apply("scan", &[x, y], &[]);
    "", |x, _y| x.reverse(), |x, _| named("reverse", x);
    "", |x, _y| x.pick(&[2, 0, 0, 1]), |x, _| vec![x[2], x[0], x[0], x[1]];
    "", |x, y| x.tensorprod(y).transpose_inner(3), |x, y| apply("tensorprod", &[y, x], &[]);
    "", |x, y| x.matmul(y, 3, 1, 3), |x, y| apply("tensorprod", &[x, y], &[]);
    "", |x, y| x.tensorprod(y).trace(), |x, y| apply("dot", &[x, y], &[]);
    "", |x, y| x.cross(y), |x, y| apply("cross", &[x, y], &[]);
    "", |x, y| x.concat(y.elem(0)).det(), |x, y| vec![x[0] * y[0] - x[1] * x[2]];
    "", |x, y| x.concat(y.elem(0) + 9).inverse(), |x, y| {
        let d = y[0] + 9.0;
        each(&[d, -x[1], -x[2], x[0]], |a| a / (x[0] * d - x[1] * x[2]))
    };
    "", |x, y| x.concat(y.elem(0) + 9).solve_inner(y.slice(..2)), |x, y| {
        apply("solve", &[&[x[0], x[1], x[2], y[0] + 9.0], &y[..2]], &[])
    };
    "", |x, y| x.softmin_rows(y.elem(1), 3), |x, y| apply("softmin_rows", &[x, &y[1..2]], &[3]);
};

/// Complex numbers, given back as real and imaginary parts in turn.
pub const COMPLEX: &[Row] = rows! {
    "x.real2complex()", |x, _y| x.real2complex().as_real(), |x, _| named("real2complex", x);
    "x.imag2complex()", |x, _y| x.imag2complex().as_real(), |x, _| named("imag2complex", x);
    "x.exp1j()", |x, _y| x.exp1j().as_real(), |x, _| named("exp1j", x);
    "z = x + 1j * y", |x, y| x.complex(y).as_real(), |x, y| apply("complex", &[x, y], &[]);
    "z.real", |x, y| x.complex(y).real(), |x, _| x.to_vec();
    "z.imag", |x, y| x.complex(y).imag(), |_, y| y.to_vec();
    "z.conj()", |x, y| x.complex(y).conj().as_real(), |x, y| {
        apply("complex", &[x, &each(y, |a| -a)], &[])
    };
    "z.abs()", |x, y| x.complex(y).abs(), |x, y| both(x, y, f64::hypot);
    "z.angle()", |x, y| x.complex(y).angle(), |x, y| both(y, x, f64::atan2);
    "z.exp()", |x, y| x.complex(y).exp().as_real(), |x, y| {
        named("complex_exp", &apply("complex", &[x, y], &[]))
    };
    "z.sum(-1)", |x, y| x.complex(y).sum_inner().as_real(), |x, y| {
        vec![x.iter().sum(), y.iter().sum()]
    };
    "z + w", |x, y| (x.complex(y) + y.exp1j()).as_real(), |x, y| {
        let w = named("exp1j", y);
        both(&apply("complex", &[x, y], &[]), &w, |a, b| a + b)
    };
    "z - w", |x, y| (x.complex(y) - y.exp1j()).as_real(), |x, y| {
        let w = named("exp1j", y);
        both(&apply("complex", &[x, y], &[]), &w, |a, b| a - b)
    };
    "z * w", |x, y| (x.complex(y) * y.exp1j()).as_real(), |x, y| {
        apply("complex_mult", &[&apply("complex", &[x, y], &[]), &named("exp1j", y)], &[])
    };
    "z / w", |x, y| (x.complex(y) / y.exp1j()).as_real(), |x, y| {
        apply("complex_divide", &[&apply("complex", &[x, y], &[]), &named("exp1j", y)], &[])
    };
    "z * 2.5", |x, y| (x.complex(y) * 2.5).as_real(), |x, y| {
        each(&apply("complex", &[x, y], &[]), |a| a * 2.5)
    };
    "r - z", |x, y| (x - x.complex(y)).as_real(), |x, y| {
        apply("complex", &[&each(x, |_| 0.0), &each(y, |a| -a)], &[])
    };
    "z ** 2", |x, y| x.complex(y).square().as_real(), |x, y| {
        named("complex_square", &apply("complex", &[x, y], &[]))
    };
    "1 / z", |x, y| (1 / x.complex(y)).as_real(), |x, y| {
        named("complex_inv", &apply("complex", &[x, y], &[]))
    };
    "z.log()", |x, y| x.complex(y).log().as_real(), |x, y| {
        named("complex_log", &apply("complex", &[x, y], &[]))
    };
    "z | w", |x, y| (x.complex(y) | x.complex(y)).as_real(), |x, y| {
        vec![x.iter().chain(y).map(|a| a * a).sum(), 0.0]
    };
    "z.sqnorm2()", |x, y| x.complex(y).sqnorm2(), |x, y| {
        vec![x.iter().chain(y).map(|a| a * a).sum()]
    };
    "z[0]", |x, y| x.complex(y).elem(0).as_real(), |x, y| vec![x[0], y[0]];
    "", |x, _y| x.concat(x.elem(0)).as_complex().imag(), |x, _| vec![x[1], x[0]];
};

/// Every row, by what the rows are about.
pub const ALL: &[(&str, &[Row])] = &[
    ("Operators", OPERATORS),
    ("Functions of components", FUNCTIONS),
    ("Vectors", VECTORS),
    ("Complex numbers", COMPLEX),
];
