//! Operations that make, take apart or recognise complex values: the rooms of the complex type.
//!
//! What goes in: nothing. What comes out: rooms of the op table. Here an operation says what it
//! means on reals, which are complex numbers without an imaginary part; what it means on a complex
//! value is in [`super::typed`], and the arithmetic itself, on reals side by side, in
//! [`super::pairs`].

use super::pairs::{even, interleaved, same_or_one_doubled};
use super::{Emit, Grad, Op, OpDef, at, map1, map2, same_or_one};

/// A complex value from its parts.
pub const COMPLEX: OpDef = OpDef {
    name: "complex",
    aliases: &[],
    doc: "The complex numbers f + i g for two reals or vectors of reals; a scalar is broadcast.",
    arity: 2,
    params: 0,
    shape: same_or_one_doubled,
    eval: |args, _, out| interleaved(out, |k| (at(args[0], k), at(args[1], k))),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let pairs = f.apply(Op::Interleave, args, &[]);
        f.apply(Op::AsComplex, &[pairs], &[])
    }),
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// The real part.
pub const REAL: OpDef = OpDef {
    name: "real",
    aliases: &["re"],
    doc: "The real part of each complex number; a real is its own.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, |a| a),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|_, args, _| args[0]),
    domain: &[(-2.0, 2.0)],
};

/// The imaginary part.
pub const IMAG: OpDef = OpDef {
    name: "imag",
    aliases: &["im"],
    doc: "The imaginary part of each complex number; that of a real is 0.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |_, _, out| out.fill(0.0),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let (zero, n) = (f.constant(0.0), f.dim(args[0]) as i64);
        if n == 1 { zero } else { f.apply(Op::SumT, &[zero], &[n]) }
    }),
    domain: &[(-2.0, 2.0)],
};

/// The complex conjugate.
pub const CONJ: OpDef = OpDef {
    name: "conj",
    aliases: &[],
    doc: "The conjugate of each complex number; a real is its own.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, |a| a),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|_, args, _| args[0]),
    domain: &[(-2.0, 2.0)],
};

/// The angle of a complex number.
pub const ANGLE: OpDef = OpDef {
    name: "angle",
    aliases: &["arg"],
    doc: "The angle of each complex number, in [-pi, pi]; that of a real is 0, pi where it is \
          negative. The gradient at 0 is NaN.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(&[&[0.0], args[0]], out, libm::atan2),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let zero = f.constant(0.0);
        f.apply(Op::Atan2, &[zero, args[0]], &[])
    }),
    domain: &[(0.5, 2.0)],
};

/// A point of the unit circle.
pub const EXP1J: OpDef = OpDef {
    name: "exp1j",
    aliases: &["cis"],
    doc: "The complex numbers cos f + i sin f, for reals f.",
    arity: 1,
    params: 0,
    shape: |dims, _| Ok(2 * dims[0]),
    eval: |args, _, out| interleaved(out, |k| (libm::cos(args[0][k]), libm::sin(args[0][k]))),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let pairs = f.apply(Op::ComplexExp1j, args, &[]);
        f.apply(Op::AsComplex, &[pairs], &[])
    }),
    domain: &[(-2.0, 2.0)],
};

/// Pairs of reals as complex numbers.
pub const AS_COMPLEX: OpDef = OpDef {
    name: "as_complex",
    aliases: &["view_as_complex"],
    doc: "A vector of 2n reals, real and imaginary parts in turn, as n complex numbers.",
    arity: 1,
    params: 0,
    shape: |dims, _| even(dims[0]),
    eval: |args, _, out| out.copy_from_slice(args[0]),
    grad: Grad::Vjp(|_, _, seed| vec![Some(seed)]),
    emit: Emit::Move(|_, _, c| Some((0, c))),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Complex numbers as pairs of reals.
pub const AS_REAL: OpDef = OpDef {
    name: "as_real",
    aliases: &["view_as_real"],
    doc: "n complex numbers as a vector of 2n reals, real and imaginary parts in turn; reals stay \
          as they are.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| out.copy_from_slice(args[0]),
    grad: Grad::Vjp(|_, _, seed| vec![Some(seed)]),
    emit: Emit::Move(|_, _, c| Some((0, c))),
    expand: None,
    domain: &[(-2.0, 2.0)],
};
