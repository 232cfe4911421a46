//! All components of a vector into one: sums, extrema, inner products, norms.
//!
//! What goes in: nothing. What comes out: rooms of the op table. Norms and products are
//! composites: they expand into sums of component-wise operations, so no kernel ever sees them,
//! yet their `eval` is written by itself and the tests compare the two.

use super::exp::rsqrt;
use super::{Emit, Grad, Op, OpDef, Part, Parts, at, same_or_one};

fn to_one(_: &[usize], _: &[i64]) -> Result<usize, String> {
    Ok(1)
}

/// The shape rule of inner products and distances: dims that fit, to one number.
fn pair_to_one(dims: &[usize], params: &[i64]) -> Result<usize, String> {
    same_or_one(dims, params).map(|_| 1)
}

/// Folds the components from the left, so that products feed fused multiply-adds.
fn fold(p: &mut dyn Parts, parts: &[Part], code: &'static str) -> Part {
    parts[1..].iter().fold(parts[0], |acc, &x| p.make(code, &[acc, x]))
}

/// The index of the first component that equals the extremum or is NaN: walks from the last to
/// the first, so that the first one that hits stays.
fn arg_fold(p: &mut dyn Parts, parts: &[Part], code: &'static str) -> Part {
    let extremum = fold(p, parts, code);
    let last = p.constant((parts.len() - 1) as f64);
    parts[..parts.len() - 1].iter().enumerate().rev().fold(last, |later, (k, &x)| {
        let hit = p.make("tf_or(tf_eq($0, $1), tf_ne($0, $0))", &[x, extremum]);
        let here = p.constant(k as f64);
        p.make("tf_where($0, $1, $2)", &[hit, here, later])
    })
}

/// The index of the first NaN, else of the first largest `sign * value`.
fn arg_best(v: &[f64], sign: f64) -> usize {
    let better = |x: f64, y: f64| x > y || (x.is_nan() && !y.is_nan());
    (1..v.len()).fold(0, |best, k| if better(sign * v[k], sign * v[best]) { k } else { best })
}

/// Sum of the components.
pub const SUM: OpDef = OpDef {
    name: "sum",
    aliases: &["Sum"],
    doc: "Sum of the components.",
    arity: 1,
    params: 0,
    shape: to_one,
    eval: |args, _, out| out[0] = args[0].iter().sum(),
    grad: Grad::Vjp(|_, _, seed| vec![Some(seed)]),
    emit: Emit::Parts(|p, args, _| vec![fold(p, &args[0], "$0 + $1")]),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Largest component.
pub const MAX_OF: OpDef = OpDef {
    name: "max_of",
    aliases: &["Max", "max"],
    doc: "Largest component; NaN if any is NaN. The gradient goes to the component of arg_max_of.",
    arity: 1,
    params: 0,
    shape: to_one,
    eval: |args, _, out| out[0] = args[0][arg_best(args[0], 1.0)],
    grad: Grad::Vjp(|f, c, seed| {
        let n = f.dim(c.args[0]) as i64;
        let index = f.apply(Op::ArgMaxOf, c.args, &[]);
        let hot = f.apply(Op::OneHot, &[index], &[n]);
        vec![Some(f.mul(seed, hot))]
    }),
    emit: Emit::Parts(|p, args, _| vec![fold(p, &args[0], "tf_max($0, $1)")]),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Smallest component.
pub const MIN_OF: OpDef = OpDef {
    name: "min_of",
    aliases: &["Min", "min"],
    doc: "Smallest component; NaN if any is NaN. The gradient goes to the component of arg_min_of.",
    arity: 1,
    params: 0,
    shape: to_one,
    eval: |args, _, out| out[0] = args[0][arg_best(args[0], -1.0)],
    grad: Grad::Vjp(|f, c, seed| {
        let n = f.dim(c.args[0]) as i64;
        let index = f.apply(Op::ArgMinOf, c.args, &[]);
        let hot = f.apply(Op::OneHot, &[index], &[n]);
        vec![Some(f.mul(seed, hot))]
    }),
    emit: Emit::Parts(|p, args, _| vec![fold(p, &args[0], "tf_min($0, $1)")]),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Position of the largest component.
pub const ARG_MAX_OF: OpDef = OpDef {
    name: "arg_max_of",
    aliases: &["ArgMax", "argmax"],
    doc: "Position of the largest component as a real, from 0: the first NaN if there is one, \
          else the first among ties.",
    arity: 1,
    params: 0,
    shape: to_one,
    eval: |args, _, out| out[0] = arg_best(args[0], 1.0) as f64,
    grad: Grad::Zero,
    emit: Emit::Parts(|p, args, _| vec![arg_fold(p, &args[0], "tf_max($0, $1)")]),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Position of the smallest component.
pub const ARG_MIN_OF: OpDef = OpDef {
    name: "arg_min_of",
    aliases: &["ArgMin", "argmin"],
    doc: "Position of the smallest component as a real, from 0: the first NaN if there is one, \
          else the first among ties.",
    arity: 1,
    params: 0,
    shape: to_one,
    eval: |args, _, out| out[0] = arg_best(args[0], -1.0) as f64,
    grad: Grad::Zero,
    emit: Emit::Parts(|p, args, _| vec![arg_fold(p, &args[0], "tf_min($0, $1)")]),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Inner product.
pub const DOT: OpDef = OpDef {
    name: "dot",
    aliases: &["Scalprod"],
    doc: "Inner product; a scalar is broadcast.",
    arity: 2,
    params: 0,
    shape: pair_to_one,
    eval: |args, _, out| {
        let n = args[0].len().max(args[1].len());
        out[0] = (0..n).map(|k| at(args[0], k) * at(args[1], k)).sum();
    },
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let product = f.mul(args[0], args[1]);
        f.sum_components(product)
    }),
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// Squared Euclidean norm.
pub const SQNORM2: OpDef = OpDef {
    name: "sqnorm2",
    aliases: &["SqNorm2", "sqnorm"],
    doc: "Sum of the squared components.",
    arity: 1,
    params: 0,
    shape: to_one,
    eval: |args, _, out| out[0] = args[0].iter().map(|a| a * a).sum(),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let square = f.square(args[0]);
        f.sum_components(square)
    }),
    domain: &[(-2.0, 2.0)],
};

/// Euclidean norm.
pub const NORM2: OpDef = OpDef {
    name: "norm2",
    aliases: &["Norm2", "norm"],
    doc: "Euclidean norm. The gradient at 0 is 0.",
    arity: 1,
    params: 0,
    shape: to_one,
    eval: |args, _, out| out[0] = libm::sqrt(args[0].iter().map(|a| a * a).sum()),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let square = f.apply(Op::SqNorm2, args, &[]);
        f.apply(Op::Sqrt, &[square], &[])
    }),
    domain: &[(0.5, 2.0)],
};

/// Direction of a vector.
pub const NORMALIZE: OpDef = OpDef {
    name: "normalize",
    aliases: &["Normalize"],
    doc: "f divided by its Euclidean norm; 0 at 0.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| {
        let scale = rsqrt(args[0].iter().map(|a| a * a).sum());
        for (o, a) in out.iter_mut().zip(args[0]) {
            *o = scale * a;
        }
    },
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let square = f.apply(Op::SqNorm2, args, &[]);
        let scale = f.apply(Op::Rsqrt, &[square], &[]);
        f.mul(scale, args[0])
    }),
    domain: &[(0.5, 2.0)],
};

/// Squared Euclidean distance.
pub const SQDIST: OpDef = OpDef {
    name: "sqdist",
    aliases: &["SqDist"],
    doc: "Squared Euclidean distance; a scalar is broadcast.",
    arity: 2,
    params: 0,
    shape: pair_to_one,
    eval: |args, _, out| {
        let n = args[0].len().max(args[1].len());
        out[0] = (0..n).map(|k| at(args[0], k) - at(args[1], k)).map(|d| d * d).sum();
    },
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let gap = f.sub(args[0], args[1]);
        f.apply(Op::SqNorm2, &[gap], &[])
    }),
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

fn iso_shape(dims: &[usize], _: &[i64]) -> Result<usize, String> {
    match dims[0] {
        1 => Ok(1),
        s => Err(format!("the weight must be a scalar, but it has {s} components")),
    }
}

fn diag_shape(dims: &[usize], _: &[i64]) -> Result<usize, String> {
    match (dims[0], dims[1]) {
        (s, n) if s == n => Ok(1),
        (s, n) => Err(format!("{s} weights for a vector of {n} components; give {n}")),
    }
}

fn sym_shape(dims: &[usize], _: &[i64]) -> Result<usize, String> {
    match (dims[0], dims[1]) {
        (s, n) if s == n * n => Ok(1),
        (s, n) => Err(format!(
            "a matrix of {s} components for a vector of {n}; give {n} x {n} = {}",
            n * n
        )),
    }
}

/// Which weighted norm takes `s` weights for `n` components: a scalar, else one for each
/// component, else a symmetric matrix.
fn weighted(s: usize, n: usize) -> Result<Op, String> {
    match s {
        1 => Ok(Op::SqNormIso),
        _ if s == n => Ok(Op::SqNormDiag),
        _ if s == n * n => Ok(Op::SymSqNorm),
        _ => Err(format!(
            "{s} weights for a vector of {n} components; give 1, {n} or {n} x {n} = {}",
            n * n
        )),
    }
}

fn sym_eval(s: &[f64], f: &[f64]) -> f64 {
    let row = |k: usize| s[k * f.len()..].iter().zip(f).map(|(a, b)| a * b).sum::<f64>();
    f.iter().enumerate().map(|(k, x)| x * row(k)).sum()
}

fn weighted_eval(s: &[f64], f: &[f64]) -> f64 {
    match s.len() {
        n if n == 1 || n == f.len() => f.iter().enumerate().map(|(k, x)| at(s, k) * (x * x)).sum(),
        _ => sym_eval(s, f),
    }
}

/// Squared norm with one weight.
pub const SQNORM_ISO: OpDef = OpDef {
    name: "sqnormiso",
    aliases: &["SqNormIso"],
    doc: "s * sqnorm2(f) for a scalar s and a vector f.",
    arity: 2,
    params: 0,
    shape: iso_shape,
    eval: |args, _, out| out[0] = args[0][0] * args[1].iter().map(|a| a * a).sum::<f64>(),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let square = f.apply(Op::SqNorm2, &args[1..], &[]);
        f.mul(args[0], square)
    }),
    domain: &[(0.5, 2.0), (-2.0, 2.0)],
};

/// Squared norm with a weight for each component.
pub const SQNORM_DIAG: OpDef = OpDef {
    name: "sqnormdiag",
    aliases: &["SqNormDiag"],
    doc: "Sum of s_k f_k^2 for two vectors of the same length.",
    arity: 2,
    params: 0,
    shape: diag_shape,
    eval: |args, _, out| out[0] = weighted_eval(args[0], args[1]),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let square = f.square(args[1]);
        f.apply(Op::Dot, &[args[0], square], &[])
    }),
    domain: &[(0.5, 2.0), (-2.0, 2.0)],
};

/// Quadratic form.
pub const SYM_SQNORM: OpDef = OpDef {
    name: "symsqnorm",
    aliases: &["SymSqNorm"],
    doc: "Sum of s_kl f_k f_l for a matrix s, row by row, and a vector f.",
    arity: 2,
    params: 0,
    shape: sym_shape,
    eval: |args, _, out| out[0] = sym_eval(args[0], args[1]),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let product = f.apply(Op::MatVecMult, args, &[]);
        f.apply(Op::Dot, &[args[1], product], &[])
    }),
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// Squared norm with any kind of weight.
pub const WEIGHTED_SQNORM: OpDef = OpDef {
    name: "weightedsqnorm",
    aliases: &["WeightedSqNorm"],
    doc: "Squared norm of f with weight s: a scalar as in sqnormiso, else a vector as in \
          sqnormdiag, else a matrix as in symsqnorm.",
    arity: 2,
    params: 0,
    shape: |dims, _| weighted(dims[0], dims[1]).map(|_| 1),
    eval: |args, _, out| out[0] = weighted_eval(args[0], args[1]),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let norm = weighted(f.dim(args[0]), f.dim(args[1]));
        f.apply(norm.unwrap_or(Op::SqNormIso), args, &[])
    }),
    domain: &[(0.5, 2.0), (-2.0, 2.0)],
};

/// Squared distance with any kind of weight.
pub const WEIGHTED_SQDIST: OpDef = OpDef {
    name: "weightedsqdist",
    aliases: &["WeightedSqDist"],
    doc: "weightedsqnorm of f - g with weight s, for the arguments s, f, g.",
    arity: 3,
    params: 0,
    shape: |dims, params| weighted(dims[0], same_or_one(&dims[1..], params)?).map(|_| 1),
    eval: |args, _, out| {
        let n = args[1].len().max(args[2].len());
        let gap: Vec<f64> = (0..n).map(|k| at(args[1], k) - at(args[2], k)).collect();
        out[0] = weighted_eval(args[0], &gap);
    },
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let gap = f.sub(args[1], args[2]);
        f.apply(Op::WeightedSqNorm, &[args[0], gap], &[])
    }),
    domain: &[(0.5, 2.0), (-2.0, 2.0), (-2.0, 2.0)],
};

#[cfg(test)]
mod tests {
    use super::super::Op;
    use super::super::tests::{adjoints, check_refusals, check_vectors};

    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;

    #[test]
    fn edge_values() {
        check_vectors(&[
            ("sum", &[], &[&[1.0, NAN]], &[NAN]),
            ("sum", &[], &[&[1.0, INF, 2.0]], &[INF]),
            ("max_of", &[], &[&[1.0, 3.0, 2.0]], &[3.0]),
            ("max_of", &[], &[&[1.0, NAN, INF]], &[NAN]),
            ("min_of", &[], &[&[NAN, -INF]], &[NAN]),
            ("min_of", &[], &[&[-INF, -INF]], &[-INF]),
            ("arg_max_of", &[], &[&[1.0, 3.0, 3.0]], &[1.0]),
            ("arg_max_of", &[], &[&[INF, NAN, NAN]], &[1.0]),
            ("arg_min_of", &[], &[&[2.0, 0.0, -0.0]], &[1.0]),
            ("arg_min_of", &[], &[&[-INF, NAN]], &[1.0]),
            ("normalize", &[], &[&[0.0, 0.0]], &[0.0, 0.0]),
            ("normalize", &[], &[&[3.0, 0.0]], &[1.0, 0.0]),
            ("norm2", &[], &[&[3.0, -4.0]], &[5.0]),
            ("sqdist", &[], &[&[1.0], &[1.0, 2.0, 4.0]], &[10.0]),
            ("dot", &[], &[&[2.0], &[1.0, 2.0]], &[6.0]),
            ("symsqnorm", &[], &[&[1.0, 2.0, 3.0, 4.0], &[1.0, 10.0]], &[451.0]),
            ("weightedsqnorm", &[], &[&[2.0], &[3.0]], &[18.0]),
            ("weightedsqnorm", &[], &[&[1.0, 2.0], &[1.0, 10.0]], &[201.0]),
            ("weightedsqdist", &[], &[&[2.0], &[1.0, 2.0], &[0.0]], &[10.0]),
        ]);
    }

    #[test]
    fn the_gradient_of_an_extremum_goes_to_the_first() {
        let arg = [vec![5.0, 1.0, 5.0, 1.0]];
        assert_eq!(adjoints(Op::MaxOf, &[], &arg, &[2.0]), [[2.0, 0.0, 0.0, 0.0]]);
        assert_eq!(adjoints(Op::MinOf, &[], &arg, &[2.0]), [[0.0, 2.0, 0.0, 0.0]]);
    }

    #[test]
    fn refusals() {
        let weights = "5 weights for a vector of 2 components; give 1, 2 or 2 x 2 = 4";
        check_refusals(&[
            ("dot", &[2, 3], &[], "dot: dimensions 2 and 3 do not match"),
            ("sqdist", &[3, 2], &[], "sqdist: dimensions 2 and 3 do not match"),
            (
                "sqnormiso",
                &[2, 2],
                &[],
                "sqnormiso: the weight must be a scalar, but it has 2 components",
            ),
            (
                "sqnormdiag",
                &[3, 2],
                &[],
                "sqnormdiag: 3 weights for a vector of 2 components; give 2",
            ),
            (
                "symsqnorm",
                &[2, 2],
                &[],
                "symsqnorm: a matrix of 2 components for a vector of 2; give 2 x 2 = 4",
            ),
            ("weightedsqnorm", &[5, 2], &[], &format!("weightedsqnorm: {weights}")),
            ("weightedsqdist", &[5, 1, 2], &[], &format!("weightedsqdist: {weights}")),
            ("weightedsqdist", &[1, 3, 2], &[], "weightedsqdist: dimensions 2 and 3 do not match"),
        ]);
    }
}
