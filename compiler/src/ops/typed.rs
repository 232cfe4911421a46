//! What operations and reductions mean on complex values: which operation on pairs of reals each
//! stands for.
//!
//! In go the nodes of arguments of which one at least is complex; out comes the node of the result,
//! or why there is none. A complex value is only ever an input or `as_complex` of pairs, and only
//! `as_real` reads it, so everything in between is real: passes, derivatives, reductions and
//! emission know nothing of complex numbers. A real argument beside a complex one is promoted, as
//! in Python; where its imaginary part of 0 would take part in products, it is left out instead, so
//! that `x * z` is `x re`, `x im` even where `z` is infinite.
//!
//! The names of KeOps' complex operations see pairs of reals. A complex value is such pairs, and
//! then their result is a complex value again; both at once are refused.

use crate::ir::{BuildError, ExprId, Formula, Kind, MAX_DIM, Node, Reduction};
use crate::reduce::Reducer;

use super::Op;
use super::cartesian::Cartesian;

type Result<T> = std::result::Result<T, BuildError>;

/// What an operation gives.
pub(crate) fn kind(op: Op) -> Kind {
    if op == Op::AsComplex { Kind::Complex } else { Kind::Real }
}

/// The pairs of reals of a complex value; a real value is itself.
pub(crate) fn as_real(f: &mut Formula, value: ExprId) -> ExprId {
    match f.node(value) {
        _ if f.kind(value) != Kind::Complex => value,
        Node::Op(Op::AsComplex, args, _) => args[0],
        _ => f.apply(Op::AsReal, &[value], &[]),
    }
}

/// The complex value of pairs of reals.
pub(crate) fn as_complex(f: &mut Formula, pairs: ExprId) -> ExprId {
    match f.node(pairs) {
        Node::Op(Op::AsReal, args, _) if f.kind(args[0]) == Kind::Complex => args[0],
        _ => f.apply(Op::AsComplex, &[pairs], &[]),
    }
}

/// What an operation means on complex values.
enum Meaning {
    /// An operation on pairs; a real argument gets imaginary parts of 0.
    Pairs(Op),
    /// An operation on pairs that gives reals.
    Measure(Op),
    /// The same operation on the reals that the pairs are made of.
    Parts,
    /// As [`Meaning::Parts`], and the result is real.
    Norm,
    /// Its own rule, for arguments whose shapes fit.
    Rule(fn(&mut Formula, &[ExprId], &[i64]) -> Result<ExprId>),
}

/// Every operation that has a meaning on complex values, by the names of the language.
const MEANINGS: &[(Op, Meaning)] = &[
    (Op::Neg, Meaning::Parts),
    (Op::Add, Meaning::Rule(|f, a, _| Ok(add(f, a[0], a[1])))),
    (Op::Sub, Meaning::Rule(|f, a, _| Ok(sub(f, a[0], a[1])))),
    (Op::Mul, Meaning::Rule(|f, a, _| Ok(mul(f, a[0], a[1])))),
    (Op::Div, Meaning::Rule(|f, a, _| Ok(div(f, a[0], a[1])))),
    (Op::Inv, Meaning::Pairs(Op::ComplexInv)),
    (Op::Square, Meaning::Pairs(Op::ComplexSquare)),
    (Op::Pow, Meaning::Pairs(Op::ComplexPow)),
    (Op::Sqrt, Meaning::Pairs(Op::ComplexSqrt)),
    (Op::Exp, Meaning::Pairs(Op::ComplexExp)),
    (Op::Log, Meaning::Pairs(Op::ComplexLog)),
    (Op::Conj, Meaning::Pairs(Op::ComplexConj)),
    (Op::Real, Meaning::Measure(Op::ComplexReal)),
    (Op::Imag, Meaning::Measure(Op::ComplexImag)),
    (Op::Abs, Meaning::Measure(Op::ComplexAbs)),
    (Op::Angle, Meaning::Measure(Op::ComplexAngle)),
    (Op::Eq, Meaning::Rule(|f, a, _| Ok(compared(f, a, Op::Eq, Op::And)))),
    (Op::Ne, Meaning::Rule(|f, a, _| Ok(compared(f, a, Op::Ne, Op::Or)))),
    (Op::Where, Meaning::Rule(|f, a, _| chosen(f, a, Op::Where))),
    (Op::IfElse, Meaning::Rule(|f, a, _| chosen(f, a, Op::IfElse))),
    (Op::Sum, Meaning::Pairs(Op::ComplexSum)),
    (Op::Dot, Meaning::Rule(|f, a, _| Ok(dot(f, a[0], a[1])))),
    (Op::SqNorm2, Meaning::Norm),
    (Op::Norm2, Meaning::Norm),
    (Op::Normalize, Meaning::Parts),
    (
        Op::SqDist,
        Meaning::Rule(|f, a, _| {
            let gap = sub(f, a[0], a[1]);
            let pairs = as_real(f, gap);
            Ok(f.apply(Op::SqNorm2, &[pairs], &[]))
        }),
    ),
    (Op::SumT, Meaning::Rule(|f, a, p| moved(f, a, Op::ComplexSumT, &[2 * p[0]]))),
    (Op::Elem, Meaning::Rule(|f, a, p| moved(f, a, Op::Extract, &[2 * p[0], 2]))),
    (Op::ElemT, Meaning::Rule(|f, a, p| moved(f, a, Op::ExtractT, &[2 * p[1], 2 * p[0]]))),
    (Op::Extract, Meaning::Rule(|f, a, p| moved(f, a, Op::Extract, &[2 * p[0], 2 * p[1]]))),
    (Op::ExtractT, Meaning::Rule(|f, a, p| moved(f, a, Op::ExtractT, &[2 * p[0], 2 * p[1]]))),
    (Op::Concat, Meaning::Rule(|f, a, _| moved(f, a, Op::Concat, &[]))),
    (Op::AsComplex, Meaning::Rule(|_, a, _| Ok(a[0]))),
];

/// The operations on pairs whose result is pairs, which KeOps' names call directly.
const PAIRS_TO_PAIRS: &[Op] = &[
    Op::ComplexConj,
    Op::ComplexAdd,
    Op::ComplexSubtract,
    Op::ComplexMult,
    Op::ComplexDivide,
    Op::ComplexScal,
    Op::ComplexRealScal,
    Op::ComplexInv,
    Op::ComplexSquare,
    Op::ComplexPow,
    Op::ComplexSqrt,
    Op::ComplexExp,
    Op::ComplexLog,
    Op::ComplexSum,
    Op::ComplexSumT,
    Op::ComplexDot,
];

/// The operations on pairs whose result is reals.
const PAIRS_TO_REALS: &[Op] =
    &[Op::ComplexReal, Op::ComplexImag, Op::ComplexSquareAbs, Op::ComplexAbs, Op::ComplexAngle];

/// Applies an operation to arguments of which one at least is complex.
///
/// # Errors
/// When the operation has no meaning for them, or when shapes do not fit.
pub(crate) fn apply(f: &mut Formula, op: Op, args: &[ExprId], params: &[i64]) -> Result<ExprId> {
    if PAIRS_TO_PAIRS.contains(&op) || PAIRS_TO_REALS.contains(&op) {
        return apply_to_pairs(f, op, args, params);
    }
    let Some((_, meaning)) = MEANINGS.iter().find(|(known, _)| *known == op) else {
        let name = op.def().name;
        return Err(BuildError::Complex(format!("{name}: {UNDEFINED}"), remedy(op)));
    };
    check_counts(f, op, args, params)?;
    match *meaning {
        Meaning::Pairs(inner) => {
            let args: Vec<ExprId> = args.iter().map(|&a| promoted(f, a)).collect();
            let pairs = f.apply(inner, &args, params);
            Ok(as_complex(f, pairs))
        }
        Meaning::Measure(inner) => {
            let args: Vec<ExprId> = args.iter().map(|&a| as_real(f, a)).collect();
            Ok(f.apply(inner, &args, params))
        }
        Meaning::Parts => moved(f, args, op, params),
        Meaning::Norm => {
            let pairs = as_real(f, args[0]);
            Ok(f.apply(op, &[pairs], params))
        }
        Meaning::Rule(rule) => rule(f, args, params),
    }
}

/// Checks shapes by the operation's own rule, which then counts numbers, not reals.
fn check_counts(f: &Formula, op: Op, args: &[ExprId], params: &[i64]) -> Result<()> {
    let def = op.def();
    let counts: Vec<usize> = match op {
        Op::AsComplex => args.iter().map(|&a| f.dim(a)).collect(),
        _ => args.iter().map(|&a| f.count(a)).collect(),
    };
    let count = (def.shape)(&counts, params)
        .map_err(|why| BuildError::Shape(format!("{}: {why}", def.name)))?;
    match 2 * count {
        dim if dim > MAX_DIM && op != Op::AsComplex => Err(BuildError::Limit(format!(
            "{}: the result would have {count} complex components, the limit is {}",
            def.name,
            MAX_DIM / 2
        ))),
        _ => Ok(()),
    }
}

fn apply_to_pairs(f: &mut Formula, op: Op, args: &[ExprId], params: &[i64]) -> Result<ExprId> {
    let is_pairs = |f: &Formula, a: ExprId| {
        f.kind(a) == Kind::Complex || (op == Op::ComplexRealScal && f.dim(a) == 1)
    };
    if args.iter().any(|&a| !is_pairs(f, a)) {
        return Err(BuildError::Complex(
            format!("{}: complex values and pairs of reals are mixed", op.def().name),
            "write `as_complex(x)` for the pairs, or `complex(x, 0)` for a real",
        ));
    }
    let args: Vec<ExprId> = args.iter().map(|&a| as_real(f, a)).collect();
    let result = f.op(op, &args, params)?;
    Ok(if PAIRS_TO_PAIRS.contains(&op) { as_complex(f, result) } else { result })
}

/// What to write instead.
fn remedy(op: Op) -> &'static str {
    match op {
        Op::Lt
        | Op::Le
        | Op::MaxOf
        | Op::MinOf
        | Op::ArgMaxOf
        | Op::ArgMinOf
        | Op::Sign
        | Op::Step
        | Op::Relu
        | Op::Clamp
        | Op::ClampInt
        | Op::DiffClampInt => "complex numbers have no order; use abs(z), real(z) or imag(z)",
        Op::And | Op::Or => "write `z != 0`",
        Op::Powf => {
            "the power of or by a complex number takes a literal integer exponent; others are \
             `exp(w * log(z))`"
        }
        Op::Complex => "the parts of a complex number are real",
        Op::Exp1j | Op::ComplexExp1j | Op::Sin | Op::Cos => "write it with `exp(1j * z)`",
        Op::Real2Complex | Op::Imag2Complex => "the value is complex already; its parts are reals",
        _ => "use it on real(z), imag(z) or abs(z)",
    }
}

/// Pairs of reals: those of a complex value, or of reals with imaginary parts of 0.
fn promoted(f: &mut Formula, value: ExprId) -> ExprId {
    match f.kind(value) {
        Kind::Complex => as_real(f, value),
        _ => f.apply(Op::Real2Complex, &[value], &[]),
    }
}

/// The parts of a complex value; `None` where it is real.
fn parts(f: &mut Formula, value: ExprId) -> Option<Cartesian> {
    if f.kind(value) != Kind::Complex {
        return None;
    }
    let pairs = as_real(f, value);
    Some(Cartesian::of(f, pairs))
}

fn joined(f: &mut Formula, z: Cartesian) -> ExprId {
    let pairs = z.join(f);
    as_complex(f, pairs)
}

/// An operation that moves whole numbers, with the parameters that move their pairs.
fn moved(f: &mut Formula, args: &[ExprId], op: Op, params: &[i64]) -> Result<ExprId> {
    let args: Vec<ExprId> = args.iter().map(|&a| promoted(f, a)).collect();
    let pairs = f.op(op, &args, params)?;
    Ok(as_complex(f, pairs))
}

fn add(f: &mut Formula, a: ExprId, b: ExprId) -> ExprId {
    match (parts(f, a), parts(f, b)) {
        (Some(z), None) | (None, Some(z)) => {
            let real = if f.kind(a) == Kind::Complex { b } else { a };
            let re = if real == b { f.add(z.re, real) } else { f.add(real, z.re) };
            joined(f, Cartesian { re, ..z })
        }
        _ => on_pairs(f, Op::ComplexAdd, Op::Add, a, b),
    }
}

fn sub(f: &mut Formula, a: ExprId, b: ExprId) -> ExprId {
    match (parts(f, a), parts(f, b)) {
        (Some(z), None) => {
            let re = f.sub(z.re, b);
            joined(f, Cartesian { re, ..z })
        }
        (None, Some(w)) => {
            let negative = w.conj(f);
            let re = f.sub(a, w.re);
            joined(f, Cartesian { re, ..negative })
        }
        _ => on_pairs(f, Op::ComplexSubtract, Op::Sub, a, b),
    }
}

/// A sum or a difference of two complex values. Where they are equally long, it is that of the
/// reals that their pairs are made of, which nothing has to take apart.
fn on_pairs(f: &mut Formula, op: Op, plain: Op, a: ExprId, b: ExprId) -> ExprId {
    let args = [as_real(f, a), as_real(f, b)];
    let same = f.dim(args[0]) == f.dim(args[1]);
    let pairs = f.apply(if same { plain } else { op }, &args, &[]);
    as_complex(f, pairs)
}

fn mul(f: &mut Formula, a: ExprId, b: ExprId) -> ExprId {
    let (real, complex) = match (f.kind(a), f.kind(b)) {
        (Kind::Complex, Kind::Complex) => {
            let args = [as_real(f, a), as_real(f, b)];
            let pairs = f.apply(Op::ComplexMult, &args, &[]);
            return as_complex(f, pairs);
        }
        (Kind::Complex, _) => (b, a),
        _ => (a, b),
    };
    let pairs = as_real(f, complex);
    if f.dim(real) == 1 {
        let scaled = f.mul(real, pairs);
        return as_complex(f, scaled);
    }
    let scaled = Cartesian::of(f, pairs).scaled(f, real);
    joined(f, scaled)
}

fn div(f: &mut Formula, a: ExprId, b: ExprId) -> ExprId {
    match (parts(f, a), parts(f, b)) {
        (Some(_), None) if f.dim(b) == 1 => {
            let pairs = as_real(f, a);
            let quotient = f.div(pairs, b);
            as_complex(f, quotient)
        }
        (Some(z), None) => {
            let quotient = z.over(f, b);
            joined(f, quotient)
        }
        (None, Some(w)) => {
            let quotient = w.under(f, a);
            joined(f, quotient)
        }
        _ => {
            let args = [as_real(f, a), as_real(f, b)];
            let pairs = f.apply(Op::ComplexDivide, &args, &[]);
            as_complex(f, pairs)
        }
    }
}

/// The sum of `conj(a) b`, as `numpy.vdot`: that of a vector with itself is its squared norm.
fn dot(f: &mut Formula, a: ExprId, b: ExprId) -> ExprId {
    let product = match (parts(f, a), parts(f, b)) {
        (Some(_), Some(_)) => {
            let args = [as_real(f, a), as_real(f, b)];
            let pairs = f.apply(Op::ComplexDot, &args, &[]);
            return as_complex(f, pairs);
        }
        (Some(z), None) => {
            let conj = z.conj(f);
            let conj = joined(f, conj);
            mul(f, conj, b)
        }
        _ => mul(f, a, b),
    };
    let pairs = as_real(f, product);
    let sum = f.apply(Op::ComplexSum, &[pairs], &[]);
    as_complex(f, sum)
}

/// A comparison of both parts.
fn compared(f: &mut Formula, args: &[ExprId], op: Op, join: Op) -> ExprId {
    let (a, b) = (promoted(f, args[0]), promoted(f, args[1]));
    let (z, w) = (Cartesian::of(f, a), Cartesian::of(f, b));
    let re = f.apply(op, &[z.re, w.re], &[]);
    let im = f.apply(op, &[z.im, w.im], &[]);
    f.apply(join, &[re, im], &[])
}

/// One of two values by a real condition.
fn chosen(f: &mut Formula, args: &[ExprId], op: Op) -> Result<ExprId> {
    if f.kind(args[0]) == Kind::Complex {
        let what = format!("{}: the condition is complex", op.def().name);
        return Err(BuildError::Complex(what, CONDITION));
    }
    let (a, b) = (promoted(f, args[1]), promoted(f, args[2]));
    let (z, w) = (Cartesian::of(f, a), Cartesian::of(f, b));
    let re = f.apply(op, &[args[0], z.re, w.re], &[]);
    let im = f.apply(op, &[args[0], z.im, w.im], &[]);
    Ok(joined(f, Cartesian { re, im }))
}

const CONDITION: &str = "compare it, as in `z != 0` or `abs(z) > 0`";

/// Folds values of which one at least is complex.
///
/// # Errors
/// When the reduction is not linear in them, or when shapes do not fit.
pub(crate) fn reduce(f: &mut Formula, mut r: Reduction) -> Result<ExprId> {
    let name = r.reducer.def().name;
    let refuse = |what: &str, help| Err(BuildError::Complex(format!("{name}: {what}"), help));
    if r.mask.is_some_and(|mask| f.kind(mask) == Kind::Complex) {
        return refuse("the condition is complex", CONDITION);
    }
    let folded = match r.reducer {
        Reducer::Sum | Reducer::Mean => 0,
        Reducer::SoftMaxSum => 1,
        Reducer::LogSumExpWeight if f.kind(r.args[0]) != Kind::Complex => {
            return refuse(
                "not defined for complex weights",
                "write `log(sum[j] exp(s) * w)`, or use `softmax(s) * w` in a sum",
            );
        }
        Reducer::Prod => return refuse(UNDEFINED, "write `exp(sum[j] log(z))`"),
        Reducer::Var => return refuse(UNDEFINED, "add those of real(z) and imag(z)"),
        Reducer::Any | Reducer::All | Reducer::Count => return refuse(UNDEFINED, CONDITION),
        _ => return refuse(UNDEFINED, FOLDS),
    };
    if r.args[..folded].iter().any(|&score| f.kind(score) == Kind::Complex) {
        return refuse("the score is complex", "a score is real: use real(z) or abs(z)");
    }
    r.args[folded] = as_real(f, r.args[folded]);
    let pairs = f.reduce(r)?;
    Ok(as_complex(f, pairs))
}

const UNDEFINED: &str = "not defined for complex values";
const FOLDS: &str = "complex numbers have no order; fold abs(z), real(z) or imag(z)";
