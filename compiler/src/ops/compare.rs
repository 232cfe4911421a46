//! Signs, rounding, clamping, choices and comparisons, component by component.
//!
//! What goes in: nothing. What comes out: rooms of the op table. A truth value is a real: 1 is
//! true, 0 is false, and whatever is not 0 counts as true. Never a derivative with respect to a
//! condition: it is zero wherever it exists.

use crate::ir::{ExprId, Formula};

use super::{Emit, Grad, Op, OpDef, map1, map2, map3, same_or_one};

/// Integers up to this size are exact in float64.
const EXACT: i64 = 1 << 53;

/// Digits that `round` keeps; 10 to these powers is a normal number in float32 too.
const MIN_DIGITS: i64 = -30;
const MAX_DIGITS: i64 = 30;

fn truth(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

fn floor_mod(a: f64, m: f64, d: f64) -> f64 {
    a - m * libm::floor((a - d) / m)
}

fn clamp(x: f64, a: f64, b: f64) -> f64 {
    if x < a {
        a
    } else if x > b {
        b
    } else {
        x
    }
}

/// The shape rule of a component-wise operation with a literal interval.
fn interval(dims: &[usize], params: &[i64]) -> Result<usize, String> {
    let (a, b) = (params[0], params[1]);
    match [a, b].into_iter().find(|p| !(-EXACT..=EXACT).contains(p)) {
        Some(p) => Err(format!("the bound {p} is beyond {EXACT}, the largest exact integer")),
        None if a > b => Err(format!("the lower bound {a} is above the upper bound {b}")),
        None => Ok(dims[0]),
    }
}

fn round_shape(dims: &[usize], params: &[i64]) -> Result<usize, String> {
    match params[0] {
        MIN_DIGITS..=MAX_DIGITS => Ok(dims[0]),
        d => Err(format!("{d} digits are asked for, but {MIN_DIGITS} to {MAX_DIGITS} can be kept")),
    }
}

/// Absolute value.
pub const ABS: OpDef = OpDef {
    name: "abs",
    aliases: &["Abs"],
    doc: "Absolute value. The gradient at 0 is 0.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, f64::abs),
    grad: Grad::Vjp(|f, c, seed| {
        let sign = f.apply(Op::Sign, &[c.args[0]], &[]);
        vec![Some(f.mul(seed, sign))]
    }),
    emit: Emit::Map("tf_abs($0)"),
    expand: None,
    domain: &[(0.5, 2.0)],
};

/// Sign.
pub const SIGN: OpDef = OpDef {
    name: "sign",
    aliases: &["Sign"],
    doc: "-1, 0 or 1; NaN stays NaN.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| {
        map1(args, out, |a| if a.is_nan() { a } else { truth(a > 0.0) - truth(a < 0.0) });
    },
    grad: Grad::Zero,
    emit: Emit::Map("tf_sign($0)"),
    expand: None,
    domain: &[(0.5, 2.0)],
};

/// Unit step.
pub const STEP: OpDef = OpDef {
    name: "step",
    aliases: &["Step"],
    doc: "0 where f < 0, else 1; NaN stays NaN.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, |a| if a.is_nan() { a } else { truth(a >= 0.0) }),
    grad: Grad::Zero,
    emit: Emit::Map("tf_step($0)"),
    expand: None,
    domain: &[(0.5, 2.0)],
};

/// Rectifier.
pub const RELU: OpDef = OpDef {
    name: "relu",
    aliases: &["ReLU"],
    doc: "0 where f < 0, else f; NaN stays NaN. The gradient at 0 is 1.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, |a| if a < 0.0 { 0.0 } else { a }),
    grad: Grad::Vjp(|f, c, seed| {
        let step = f.apply(Op::Step, &[c.args[0]], &[]);
        vec![Some(f.mul(seed, step))]
    }),
    emit: Emit::Map("tf_relu($0)"),
    expand: None,
    domain: &[(0.5, 2.0)],
};

/// Largest integer below.
pub const FLOOR: OpDef = OpDef {
    name: "floor",
    aliases: &["Floor"],
    doc: "Largest integer that is at most f.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, libm::floor),
    grad: Grad::Zero,
    emit: Emit::Map("tf_floor($0)"),
    expand: None,
    domain: &[(0.2, 0.8)],
};

/// Rounding to decimal digits.
pub const ROUND: OpDef = OpDef {
    name: "round",
    aliases: &["Round"],
    doc: "f rounded to a literal number of decimal digits, which may be negative; halves go away \
          from zero.",
    arity: 1,
    params: 1,
    shape: round_shape,
    eval: |args, params, out| {
        let unit = libm::pow(10.0, params[0] as f64);
        map1(args, out, |a| libm::round(a * unit) / unit);
    },
    grad: Grad::Zero,
    emit: Emit::Map("tf_round($0, $p0)"),
    expand: None,
    domain: &[(0.1, 0.4)],
};

/// Remainder with an offset.
pub const MOD: OpDef = OpDef {
    name: "mod",
    aliases: &["Mod"],
    doc: "f - m * floor((f - d) / m) for the arguments f, m, d: in [d, d + m) for a positive m, \
          in (d + m, d] for a negative one, NaN for 0. d has no gradient.",
    arity: 3,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map3(args, out, floor_mod),
    grad: Grad::Vjp(|f, c, seed| {
        let (a, m, d) = (c.args[0], c.args[1], c.args[2]);
        let shifted = f.sub(a, d);
        let ratio = f.div(shifted, m);
        let turns = f.apply(Op::Floor, &[ratio], &[]);
        let scaled = f.mul(seed, turns);
        vec![Some(seed), Some(f.neg(scaled)), None]
    }),
    emit: Emit::Map("tf_mod($0, $1, $2)"),
    expand: None,
    domain: &[(1.2, 1.8), (0.9, 1.1), (-0.1, 0.1)],
};

/// Restriction to an interval.
pub const CLAMP: OpDef = OpDef {
    name: "clamp",
    aliases: &["Clamp"],
    doc: "a where f < a, else b where f > b, else f, for the arguments f, a, b; NaN stays NaN. \
          The gradient to f is 1 on the closed interval, outside it goes to the bound.",
    arity: 3,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map3(args, out, clamp),
    grad: Grad::Vjp(|f, c, seed| {
        let (x, a, b) = (c.args[0], c.args[1], c.args[2]);
        let zero = f.constant(0.0);
        let below = f.apply(Op::Lt, &[x, a], &[]);
        let above = f.apply(Op::Lt, &[b, x], &[]);
        let not_above = f.apply(Op::Where, &[above, zero, seed], &[]);
        let only_above = f.apply(Op::Where, &[above, seed, zero], &[]);
        vec![
            Some(f.apply(Op::Where, &[below, zero, not_above], &[])),
            Some(f.apply(Op::Where, &[below, seed, zero], &[])),
            Some(f.apply(Op::Where, &[below, zero, only_above], &[])),
        ]
    }),
    emit: Emit::Map("tf_clamp($0, $1, $2)"),
    expand: None,
    domain: &[(-2.0, 2.0), (-0.9, -0.4), (0.4, 0.9)],
};

/// Restriction to a literal interval.
pub const CLAMP_INT: OpDef = OpDef {
    name: "clamp_int",
    aliases: &["ClampInt"],
    doc: "clamp with literal integer bounds; NaN stays NaN. The gradient is 1 on the closed \
          interval.",
    arity: 1,
    params: 2,
    shape: interval,
    eval: |args, p, out| map1(args, out, |x| clamp(x, p[0] as f64, p[1] as f64)),
    grad: Grad::Vjp(|f, c, seed| {
        let inside = f.apply(Op::DiffClampInt, c.args, c.params);
        vec![Some(f.mul(seed, inside))]
    }),
    emit: Emit::Map("tf_clamp($0, tf_c($p0), tf_c($p1))"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Membership of a literal interval.
pub const DIFF_CLAMP_INT: OpDef = OpDef {
    name: "diff_clamp_int",
    aliases: &["DiffClampInt"],
    doc: "1 where f is in the closed interval of two literal integers, else 0; NaN gives 0.",
    arity: 1,
    params: 2,
    shape: interval,
    eval: |args, p, out| {
        map1(args, out, |x| truth(p[0] as f64 <= x && x <= p[1] as f64));
    },
    grad: Grad::Zero,
    emit: Emit::Map("tf_inside($0, tf_c($p0), tf_c($p1))"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Choice by sign.
pub const IF_ELSE: OpDef = OpDef {
    name: "ifelse",
    aliases: &["IfElse"],
    doc: "g where f >= 0, else h, for the arguments f, g, h; a NaN in f takes h. f has no \
          gradient.",
    arity: 3,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map3(args, out, |f, g, h| if f >= 0.0 { g } else { h }),
    grad: Grad::Vjp(|f, c, seed| {
        let zero = f.constant(0.0);
        vec![
            None,
            Some(f.apply(Op::IfElse, &[c.args[0], seed, zero], &[])),
            Some(f.apply(Op::IfElse, &[c.args[0], zero, seed], &[])),
        ]
    }),
    emit: Emit::Map("tf_ifelse($0, $1, $2)"),
    expand: None,
    domain: &[(0.5, 2.0), (-2.0, 2.0), (-2.0, 2.0)],
};

/// Choice by truth value.
pub const WHERE: OpDef = OpDef {
    name: "where",
    aliases: &["Where"],
    doc: "a where c is not 0, else b, for the arguments c, a, b; a NaN in c takes a. c has no \
          gradient.",
    arity: 3,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map3(args, out, |c, a, b| if c != 0.0 { a } else { b }),
    grad: Grad::Vjp(|f, c, seed| {
        let zero = f.constant(0.0);
        vec![
            None,
            Some(f.apply(Op::Where, &[c.args[0], seed, zero], &[])),
            Some(f.apply(Op::Where, &[c.args[0], zero, seed], &[])),
        ]
    }),
    emit: Emit::Map("tf_where($0, $1, $2)"),
    expand: None,
    domain: &[(0.5, 2.0), (-2.0, 2.0), (-2.0, 2.0)],
};

/// Smaller of two.
pub const MINIMUM: OpDef = OpDef {
    name: "minimum",
    aliases: &["Minimum"],
    doc: "The smaller of f and g, component by component; NaN if either is NaN. Where they are \
          equal, the result is g, and the gradient goes to f. min(f, g) says the same.",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, |a, b| if a < b || a.is_nan() { a } else { b }),
    grad: Grad::Vjp(|f, c, seed| {
        let other = f.apply(Op::Lt, &[c.args[1], c.args[0]], &[]);
        pick_adjoints(f, other, seed)
    }),
    emit: Emit::Map("tf_min($0, $1)"),
    expand: None,
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// Larger of two.
pub const MAXIMUM: OpDef = OpDef {
    name: "maximum",
    aliases: &["Maximum"],
    doc: "The larger of f and g, component by component; NaN if either is NaN. Where they are \
          equal, the result is g, and the gradient goes to f. max(f, g) says the same.",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, |a, b| if a > b || a.is_nan() { a } else { b }),
    grad: Grad::Vjp(|f, c, seed| {
        let other = f.apply(Op::Lt, &[c.args[0], c.args[1]], &[]);
        pick_adjoints(f, other, seed)
    }),
    emit: Emit::Map("tf_max($0, $1)"),
    expand: None,
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// The seed for the second argument where `other` holds, else for the first.
fn pick_adjoints(f: &mut Formula, other: ExprId, seed: ExprId) -> Vec<Option<ExprId>> {
    let zero = f.constant(0.0);
    vec![
        Some(f.apply(Op::Where, &[other, zero, seed], &[])),
        Some(f.apply(Op::Where, &[other, seed, zero], &[])),
    ]
}

/// Where comparisons do not jump: the first argument is always the smaller one.
const APART: &[(f64, f64)] = &[(-2.0, -0.5), (0.5, 2.0)];

/// Equality.
pub const EQ: OpDef = OpDef {
    name: "eq",
    aliases: &["Equal"],
    doc: "1 where f = g, else 0; NaN equals nothing.",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, |a, b| truth(a == b)),
    grad: Grad::Zero,
    emit: Emit::Map("tf_eq($0, $1)"),
    expand: None,
    domain: APART,
};

/// Inequality.
pub const NE: OpDef = OpDef {
    name: "ne",
    aliases: &["NotEqual"],
    doc: "1 where f and g differ, else 0; NaN differs from everything.",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, |a, b| truth(a != b)),
    grad: Grad::Zero,
    emit: Emit::Map("tf_ne($0, $1)"),
    expand: None,
    domain: APART,
};

/// Strict order.
pub const LT: OpDef = OpDef {
    name: "lt",
    aliases: &["LessThan"],
    doc: "1 where f < g, else 0; NaN gives 0.",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, |a, b| truth(a < b)),
    grad: Grad::Zero,
    emit: Emit::Map("tf_lt($0, $1)"),
    expand: None,
    domain: APART,
};

/// Order.
pub const LE: OpDef = OpDef {
    name: "le",
    aliases: &["LessOrEqual"],
    doc: "1 where f <= g, else 0; NaN gives 0.",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, |a, b| truth(a <= b)),
    grad: Grad::Zero,
    emit: Emit::Map("tf_le($0, $1)"),
    expand: None,
    domain: APART,
};

/// Conjunction.
pub const AND: OpDef = OpDef {
    name: "and",
    aliases: &["And"],
    doc: "1 where neither f nor g is 0, else 0; NaN counts as true.",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, |a, b| truth(a != 0.0 && b != 0.0)),
    grad: Grad::Zero,
    emit: Emit::Map("tf_and($0, $1)"),
    expand: None,
    domain: &[(0.5, 2.0), (0.5, 2.0)],
};

/// Disjunction.
pub const OR: OpDef = OpDef {
    name: "or",
    aliases: &["Or"],
    doc: "0 where both f and g are 0, else 1; NaN counts as true.",
    arity: 2,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map2(args, out, |a, b| truth(a != 0.0 || b != 0.0)),
    grad: Grad::Zero,
    emit: Emit::Map("tf_or($0, $1)"),
    expand: None,
    domain: &[(0.5, 2.0), (0.5, 2.0)],
};

#[cfg(test)]
mod tests {
    use super::super::tests::{check_refusals, check_scalars, check_slopes};

    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;

    #[test]
    fn edge_values_of_one_argument() {
        check_scalars(&[
            ("abs", &[], &[-0.0], 0.0),
            ("abs", &[], &[-INF], INF),
            ("sign", &[], &[-0.0], 0.0),
            ("sign", &[], &[-INF], -1.0),
            ("sign", &[], &[NAN], NAN),
            ("step", &[], &[-0.0], 1.0),
            ("step", &[], &[-1e-300], 0.0),
            ("step", &[], &[NAN], NAN),
            ("relu", &[], &[-INF], 0.0),
            ("relu", &[], &[NAN], NAN),
            ("floor", &[], &[-0.5], -1.0),
            ("round", &[0], &[0.5], 1.0),
            ("round", &[0], &[-0.5], -1.0),
            ("round", &[0], &[2.5], 3.0),
            ("round", &[2], &[0.125], 0.13),
            ("round", &[-2], &[150.0], 200.0),
            ("round", &[1], &[NAN], NAN),
            ("round", &[1], &[-INF], -INF),
            ("clamp_int", &[0, 2], &[-1.0], 0.0),
            ("clamp_int", &[0, 2], &[INF], 2.0),
            ("clamp_int", &[1, 1], &[5.0], 1.0),
            ("clamp_int", &[0, 2], &[NAN], NAN),
            ("diff_clamp_int", &[0, 2], &[2.0], 1.0),
            ("diff_clamp_int", &[0, 2], &[-0.1], 0.0),
            ("diff_clamp_int", &[0, 2], &[NAN], 0.0),
        ]);
    }

    #[test]
    fn edge_values_of_several_arguments() {
        check_scalars(&[
            ("mod", &[], &[-1.0, 3.0, 0.0], 2.0),
            ("mod", &[], &[4.0, 3.0, -1.0], 1.0),
            ("mod", &[], &[1.0, -3.0, 0.0], -2.0),
            ("mod", &[], &[1.0, 0.0, 0.0], NAN),
            ("clamp", &[], &[5.0, 2.0, 1.0], 1.0),
            ("clamp", &[], &[1.5, 2.0, 1.0], 2.0),
            ("clamp", &[], &[NAN, 0.0, 1.0], NAN),
            ("ifelse", &[], &[-0.0, 1.0, 2.0], 1.0),
            ("ifelse", &[], &[NAN, 1.0, 2.0], 2.0),
            ("where", &[], &[-0.0, 1.0, 2.0], 2.0),
            ("where", &[], &[NAN, 1.0, 2.0], 1.0),
            ("eq", &[], &[NAN, NAN], 0.0),
            ("eq", &[], &[0.0, -0.0], 1.0),
            ("ne", &[], &[NAN, NAN], 1.0),
            ("lt", &[], &[NAN, 1.0], 0.0),
            ("lt", &[], &[1.0, 1.0], 0.0),
            ("lt", &[], &[-INF, INF], 1.0),
            ("le", &[], &[1.0, 1.0], 1.0),
            ("le", &[], &[1.0, NAN], 0.0),
            ("and", &[], &[NAN, 2.0], 1.0),
            ("and", &[], &[1.0, -0.0], 0.0),
            ("or", &[], &[0.0, -0.0], 0.0),
            ("or", &[], &[0.0, NAN], 1.0),
        ]);
    }

    #[test]
    fn edge_slopes() {
        check_slopes(&[
            ("abs", &[], &[0.0], &[0.0]),
            ("relu", &[], &[0.0], &[1.0]),
            ("clamp_int", &[0, 2], &[0.0], &[1.0]),
            ("clamp_int", &[0, 2], &[2.0], &[1.0]),
            ("clamp_int", &[0, 2], &[2.1], &[0.0]),
            ("clamp", &[], &[1.0, 1.0, 2.0], &[1.0, 0.0, 0.0]),
            ("clamp", &[], &[2.0, 1.0, 2.0], &[1.0, 0.0, 0.0]),
            ("clamp", &[], &[0.0, 1.0, 2.0], &[0.0, 1.0, 0.0]),
            ("clamp", &[], &[3.0, 1.0, 2.0], &[0.0, 0.0, 1.0]),
            ("clamp", &[], &[1.5, 2.0, 1.0], &[0.0, 1.0, 0.0]),
            ("ifelse", &[], &[0.0, NAN, NAN], &[0.0, 1.0, 0.0]),
            ("ifelse", &[], &[NAN, 1.0, 1.0], &[0.0, 0.0, 1.0]),
            ("where", &[], &[0.0, 1.0, 1.0], &[0.0, 0.0, 1.0]),
            ("mod", &[], &[7.5, 3.0, 0.0], &[1.0, -2.0, 0.0]),
        ]);
    }

    #[test]
    fn refusals() {
        check_refusals(&[
            ("round", &[1], &[31], "round: 31 digits are asked for, but -30 to 30 can be kept"),
            ("clamp_int", &[1], &[3, 1], "clamp_int: the lower bound 3 is above the upper bound 1"),
            (
                "diff_clamp_int",
                &[1],
                &[i64::MIN, 0],
                "diff_clamp_int: the bound -9223372036854775808 is beyond 9007199254740992, the \
                 largest exact integer",
            ),
            ("mod", &[2, 1, 3], &[], "mod: dimensions 2 and 3 do not match"),
            ("where", &[3, 2, 1], &[], "where: dimensions 2 and 3 do not match"),
        ]);
    }
}
