//! Complex arithmetic on vectors of 2n reals that hold n complex numbers, real and imaginary parts
//! in turn: KeOps' complex operations, and what [`super::typed`] needs besides.
//!
//! What goes in: nothing. What comes out: rooms of the op table. One complex number, a vector of 2,
//! is broadcast. Nearly all are composites of real operations, so derivatives of any order follow;
//! only parts move (`interleave`, `complex_real`, `complex_imag`). Functions are in
//! [`super::analytic`].

use crate::ir::{ExprId, Formula};

use super::cartesian::Cartesian;
use super::{Emit, Grad, Op, OpDef, at, same_or_one};

/// The shape rule of a vector of pairs.
pub(super) fn even(dim: usize) -> Result<usize, String> {
    match dim % 2 {
        0 => Ok(dim),
        _ => Err(format!("{dim} components are no pairs of real and imaginary parts")),
    }
}

/// Pairs of the same length, or one pair (broadcast).
pub(super) fn same_or_pair(dims: &[usize], _: &[i64]) -> Result<usize, String> {
    dims.iter().try_for_each(|&d| even(d).map(|_| ()))?;
    let dim = dims.iter().copied().max().unwrap_or(2);
    match dims.iter().find(|&&d| d != dim && d != 2) {
        None => Ok(dim),
        Some(other) => Err(format!("{} and {} complex numbers do not match", other / 2, dim / 2)),
    }
}

/// As many reals as there are pairs.
pub(super) fn halved(dims: &[usize], _: &[i64]) -> Result<usize, String> {
    even(dims[0]).map(|dim| dim / 2)
}

/// As many pairs as there are reals.
pub(super) fn doubled(dims: &[usize], _: &[i64]) -> Result<usize, String> {
    Ok(2 * dims[0])
}

/// Number `k` of a vector of pairs; one pair stands for every number.
pub(super) fn pair(v: &[f64], k: usize) -> (f64, f64) {
    let k = if v.len() == 2 { 0 } else { k };
    (v[2 * k], v[2 * k + 1])
}

/// As many pairs as there are components, of two vectors of which one may be a scalar.
pub(super) fn same_or_one_doubled(dims: &[usize], params: &[i64]) -> Result<usize, String> {
    same_or_one(dims, params).map(|n| 2 * n)
}

/// Fills a vector of pairs.
pub(super) fn interleaved(out: &mut [f64], value: impl Fn(usize) -> (f64, f64)) {
    for (k, pair) in out.chunks_mut(2).enumerate() {
        (pair[0], pair[1]) = value(k);
    }
}

pub(super) fn map(args: &[&[f64]], out: &mut [f64], f: impl Fn(f64, f64) -> (f64, f64)) {
    interleaved(out, |k| {
        let (a, b) = pair(args[0], k);
        f(a, b)
    });
}

/// Fills a vector of reals that belong to pairs.
pub(super) fn measure(args: &[&[f64]], out: &mut [f64], f: impl Fn(f64, f64) -> f64) {
    for (k, o) in out.iter_mut().enumerate() {
        let (a, b) = pair(args[0], k);
        *o = f(a, b);
    }
}

fn plus((a, b): (f64, f64), (c, d): (f64, f64), sign: f64) -> (f64, f64) {
    (a + sign * c, b + sign * d)
}

/// Number `k` of a real scalar times a vector of pairs, in either order.
fn real_times(args: &[&[f64]], k: usize) -> (f64, f64) {
    let (factor, pairs) = if args[0].len() == 1 { (args[0], args[1]) } else { (args[1], args[0]) };
    let (a, b) = pair(pairs, k);
    (factor[0] * a, factor[0] * b)
}

pub(super) fn times((a, b): (f64, f64), (c, d): (f64, f64)) -> (f64, f64) {
    (a * c - b * d, a * d + b * c)
}

/// Expands an operation on the parts of its first argument.
pub(super) fn parted(
    f: &mut Formula,
    args: &[ExprId],
    map: impl Fn(Cartesian, &mut Formula) -> Cartesian,
) -> ExprId {
    let z = Cartesian::of(f, args[0]);
    map(z, f).join(f)
}

/// As [`parted`], for two arguments.
pub(super) fn parted2(
    f: &mut Formula,
    args: &[ExprId],
    map: impl Fn(Cartesian, &mut Formula, Cartesian) -> Cartesian,
) -> ExprId {
    let (z, w) = (Cartesian::of(f, args[0]), Cartesian::of(f, args[1]));
    map(z, f, w).join(f)
}

/// The sum of all pairs.
fn summed(f: &mut Formula, pairs: ExprId) -> ExprId {
    Cartesian::of(f, pairs).each(f, Op::Sum, &[]).join(f)
}

/// As [`parted`], for a real of each pair.
pub(super) fn measured(
    f: &mut Formula,
    args: &[ExprId],
    map: impl Fn(Cartesian, &mut Formula) -> ExprId,
) -> ExprId {
    let z = Cartesian::of(f, args[0]);
    map(z, f)
}

/// Two vectors in turn.
pub const INTERLEAVE: OpDef = OpDef {
    name: "interleave",
    aliases: &[],
    doc: "Two vectors in turn: f_0, g_0, f_1, g_1 and so on; a scalar is broadcast.",
    arity: 2,
    params: 0,
    shape: same_or_one_doubled,
    eval: |args, _, out| interleaved(out, |k| (at(args[0], k), at(args[1], k))),
    grad: Grad::Vjp(|f, _, seed| {
        let parts = Cartesian::of(f, seed);
        vec![Some(parts.re), Some(parts.im)]
    }),
    emit: Emit::Move(|dims, _, c| Some((c % 2, if dims[c % 2] == 1 { 0 } else { c / 2 }))),
    expand: None,
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// The real parts.
pub const COMPLEX_REAL: OpDef = OpDef {
    name: "complex_real",
    aliases: &["ComplexReal"],
    doc: "The real part of each pair: f_0, f_2, f_4 and so on.",
    arity: 1,
    params: 0,
    shape: halved,
    eval: |args, _, out| measure(args, out, |a, _| a),
    grad: Grad::Vjp(|f, _, seed| {
        let zero = f.constant(0.0);
        vec![Some(f.apply(Op::Interleave, &[seed, zero], &[]))]
    }),
    emit: Emit::Move(|_, _, c| Some((0, 2 * c))),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// The imaginary parts.
pub const COMPLEX_IMAG: OpDef = OpDef {
    name: "complex_imag",
    aliases: &["ComplexImag"],
    doc: "The imaginary part of each pair: f_1, f_3, f_5 and so on.",
    arity: 1,
    params: 0,
    shape: halved,
    eval: |args, _, out| measure(args, out, |_, b| b),
    grad: Grad::Vjp(|f, _, seed| {
        let zero = f.constant(0.0);
        vec![Some(f.apply(Op::Interleave, &[zero, seed], &[]))]
    }),
    emit: Emit::Move(|_, _, c| Some((0, 2 * c + 1))),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Reals as pairs.
pub const REAL2COMPLEX: OpDef = OpDef {
    name: "real2complex",
    aliases: &["Real2Complex"],
    doc: "Pairs with the real parts f and the imaginary parts 0.",
    arity: 1,
    params: 0,
    shape: doubled,
    eval: |args, _, out| interleaved(out, |k| (args[0][k], 0.0)),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let zero = f.constant(0.0);
        f.apply(Op::Interleave, &[args[0], zero], &[])
    }),
    domain: &[(-2.0, 2.0)],
};

/// Imaginary numbers as pairs.
pub const IMAG2COMPLEX: OpDef = OpDef {
    name: "imag2complex",
    aliases: &["Imag2Complex"],
    doc: "Pairs with the real parts 0 and the imaginary parts f.",
    arity: 1,
    params: 0,
    shape: doubled,
    eval: |args, _, out| interleaved(out, |k| (0.0, args[0][k])),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let zero = f.constant(0.0);
        f.apply(Op::Interleave, &[zero, args[0]], &[])
    }),
    domain: &[(-2.0, 2.0)],
};

/// Conjugates.
pub const COMPLEX_CONJ: OpDef = OpDef {
    name: "complex_conj",
    aliases: &["Conj"],
    doc: "The conjugate of each pair: the imaginary part is negated.",
    arity: 1,
    params: 0,
    shape: same_or_pair,
    eval: |args, _, out| map(args, out, |a, b| (a, -b)),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| parted(f, args, Cartesian::conj)),
    domain: &[(-2.0, 2.0)],
};

/// Sums.
pub const COMPLEX_ADD: OpDef = OpDef {
    name: "complex_add",
    aliases: &["ComplexAdd"],
    doc: "f + g, pair by pair; one pair is broadcast.",
    arity: 2,
    params: 0,
    shape: same_or_pair,
    eval: |args, _, out| interleaved(out, |k| plus(pair(args[0], k), pair(args[1], k), 1.0)),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| parted2(f, args, |z, f, w| z.zip(f, Op::Add, w))),
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// Differences.
pub const COMPLEX_SUBTRACT: OpDef = OpDef {
    name: "complex_subtract",
    aliases: &["ComplexSubtract"],
    doc: "f - g, pair by pair; one pair is broadcast.",
    arity: 2,
    params: 0,
    shape: same_or_pair,
    eval: |args, _, out| interleaved(out, |k| plus(pair(args[0], k), pair(args[1], k), -1.0)),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| parted2(f, args, |z, f, w| z.zip(f, Op::Sub, w))),
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// Products.
pub const COMPLEX_MULT: OpDef = OpDef {
    name: "complex_mult",
    aliases: &["ComplexMult"],
    doc: "f g, pair by pair; one pair is broadcast.",
    arity: 2,
    params: 0,
    shape: same_or_pair,
    eval: |args, _, out| interleaved(out, |k| times(pair(args[0], k), pair(args[1], k))),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| parted2(f, args, Cartesian::times)),
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// One number times many.
pub const COMPLEX_SCAL: OpDef = OpDef {
    name: "complex_scal",
    aliases: &["ComplexScal"],
    doc: "One complex number times a vector of them, in either order.",
    arity: 2,
    params: 0,
    shape: |dims, params| match same_or_pair(dims, params)? {
        _ if dims.contains(&2) => same_or_pair(dims, params),
        _ => Err("one of the arguments must be a single complex number".into()),
    },
    eval: |args, _, out| interleaved(out, |k| times(pair(args[0], k), pair(args[1], k))),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| parted2(f, args, Cartesian::times)),
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// A real times pairs.
pub const COMPLEX_REAL_SCAL: OpDef = OpDef {
    name: "complex_real_scal",
    aliases: &["ComplexRealScal"],
    doc: "A real scalar times a vector of pairs, in either order.",
    arity: 2,
    params: 0,
    shape: |dims, _| match (dims[0], dims[1]) {
        (1, n) | (n, 1) => even(n),
        _ => Err("one of the arguments must be a real scalar".into()),
    },
    eval: |args, _, out| interleaved(out, |k| real_times(args, k)),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| f.mul(args[0], args[1])),
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// Squares.
pub const COMPLEX_SQUARE: OpDef = OpDef {
    name: "complex_square",
    aliases: &[],
    doc: "f^2, pair by pair.",
    arity: 1,
    params: 0,
    shape: same_or_pair,
    eval: |args, _, out| map(args, out, |a, b| ((a - b) * (a + b), 2.0 * (a * b))),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| parted(f, args, Cartesian::squared)),
    domain: &[(-2.0, 2.0)],
};

/// Sum of all numbers.
pub const COMPLEX_SUM: OpDef = OpDef {
    name: "complex_sum",
    aliases: &["ComplexSum"],
    doc: "The sum of the pairs, one pair.",
    arity: 1,
    params: 0,
    shape: |dims, _| even(dims[0]).map(|_| 2),
    eval: |args, _, out| {
        out[0] = args[0].iter().step_by(2).sum();
        out[1] = args[0].iter().skip(1).step_by(2).sum();
    },
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| summed(f, args[0])),
    domain: &[(-2.0, 2.0)],
};

/// One number copied.
pub const COMPLEX_SUM_T: OpDef = OpDef {
    name: "complex_sum_t",
    aliases: &["ComplexSumT"],
    doc: "One pair copied into a vector of a literal, even length.",
    arity: 1,
    params: 1,
    shape: |dims, params| match (dims[0], usize::try_from(params[0])) {
        (2, Ok(n)) if n > 0 => even(n),
        (2, _) => {
            Err(format!("the length is {}, but a vector has 2 components or more", params[0]))
        }
        (d, _) => Err(format!("the argument must be one pair, but it has {d} components")),
    },
    eval: |args, _, out| interleaved(out, |_| pair(args[0], 0)),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, params| {
        let z = Cartesian::of(f, args[0]);
        z.each(f, Op::SumT, &[params[0] / 2]).join(f)
    }),
    domain: &[(-2.0, 2.0)],
};

/// Inner products.
pub const COMPLEX_DOT: OpDef = OpDef {
    name: "complex_dot",
    aliases: &[],
    doc: "The Hermitian inner product, the sum of conj(f_k) g_k; one pair is broadcast.",
    arity: 2,
    params: 0,
    shape: |dims, params| same_or_pair(dims, params).map(|_| 2),
    eval: |args, _, out| {
        let n = args[0].len().max(args[1].len()) / 2;
        let terms = (0..n).map(|k| {
            let (a, b) = pair(args[0], k);
            times((a, -b), pair(args[1], k))
        });
        (out[0], out[1]) = terms.fold((0.0, 0.0), |s, t| plus(s, t, 1.0));
    },
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let product = parted2(f, args, |z, f, w| {
            let conj = z.conj(f);
            conj.times(f, w)
        });
        summed(f, product)
    }),
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

#[cfg(test)]
mod tests {
    use super::super::tests::{check_refusals, check_vectors};

    const NAN: f64 = f64::NAN;

    #[test]
    fn values() {
        let z: &[f64] = &[1.0, 2.0, 3.0, -4.0];
        check_vectors(&[
            ("interleave", &[], &[&[1.0, 2.0], &[3.0]], &[1.0, 3.0, 2.0, 3.0]),
            ("complex_real", &[], &[z], &[1.0, 3.0]),
            ("complex_imag", &[], &[z], &[2.0, -4.0]),
            ("imag2complex", &[], &[&[5.0]], &[0.0, 5.0]),
            ("complex_conj", &[], &[&[1.0, 0.0]], &[1.0, -0.0]),
            ("complex_mult", &[], &[z, &[0.0, 1.0]], &[-2.0, 1.0, 4.0, 3.0]),
            ("complex_scal", &[], &[&[0.0, 1.0], z], &[-2.0, 1.0, 4.0, 3.0]),
            ("complex_real_scal", &[], &[z, &[2.0]], &[2.0, 4.0, 6.0, -8.0]),
            ("complex_sum", &[], &[z], &[4.0, -2.0]),
            ("complex_sum_t", &[4], &[&[1.0, NAN]], &[1.0, NAN, 1.0, NAN]),
            ("complex_dot", &[], &[z, z], &[30.0, 0.0]),
            ("complex_dot", &[], &[&[0.0, 1.0], z], &[-2.0, -4.0]),
        ]);
    }

    #[test]
    fn refusals() {
        let odd = |n: usize| format!("{n} components are no pairs of real and imaginary parts");
        check_refusals(&[
            ("complex_conj", &[3], &[], &format!("complex_conj: {}", odd(3))),
            ("complex_real", &[1], &[], &format!("complex_real: {}", odd(1))),
            ("as_complex", &[5], &[], &format!("as_complex: {}", odd(5))),
            ("complex_sum", &[7], &[], &format!("complex_sum: {}", odd(7))),
            ("complex_mult", &[4, 3], &[], &format!("complex_mult: {}", odd(3))),
            ("complex_mult", &[4, 6], &[], "complex_mult: 2 and 3 complex numbers do not match"),
            ("complex_dot", &[6, 4], &[], "complex_dot: 2 and 3 complex numbers do not match"),
            (
                "complex_scal",
                &[4, 4],
                &[],
                "complex_scal: one of the arguments must be a single complex number",
            ),
            (
                "complex_real_scal",
                &[2, 4],
                &[],
                "complex_real_scal: one of the arguments must be a real scalar",
            ),
            (
                "complex_sum_t",
                &[2],
                &[0],
                "complex_sum_t: the length is 0, but a vector has 2 components or more",
            ),
            (
                "complex_sum_t",
                &[2],
                &[-2],
                "complex_sum_t: the length is -2, but a vector has 2 components or more",
            ),
            (
                "complex_sum_t",
                &[4],
                &[4],
                "complex_sum_t: the argument must be one pair, but it has 4 components",
            ),
            ("interleave", &[2, 3], &[], "interleave: dimensions 2 and 3 do not match"),
            (
                "real2complex",
                &[40_000],
                &[],
                "real2complex: the result would have 80000 components, the limit is 65536",
            ),
        ]);
    }
}
