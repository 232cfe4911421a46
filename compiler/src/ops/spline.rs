//! B-splines: the basis functions of a vector of knots.
//!
//! What goes in: nothing. What comes out: a room of the op table. The recursion of de Boor, Cox and
//! Mansfield (de Boor, A Practical Guide to Splines, chapter IX) is written in operations that have
//! derivatives, so the basis has those of every order, in the knots too.

use crate::ir::{ExprId, Formula};

use super::{Emit, Grad, Op, OpDef};

/// Highest degree. The numbers of operations and of roundings grow with it.
const MAX_DEGREE: usize = 32;

fn basis_shape(dims: &[usize], params: &[i64]) -> Result<usize, String> {
    let (knots, at) = (dims[0], dims[1]);
    let degree = match usize::try_from(params[0]) {
        Ok(degree @ 0..=MAX_DEGREE) => degree,
        _ => return Err(format!("the degree is {}, but it is 0 to {MAX_DEGREE}", params[0])),
    };
    match (at, knots.checked_sub(degree + 1)) {
        (1, Some(count @ 1..)) => Ok(count),
        (1, _) => Err(format!(
            "{knots} knots make no basis of degree {degree}, which takes {} or more",
            degree + 2
        )),
        (n, _) => Err(format!("the argument must be a scalar, but it has {n} components")),
    }
}

fn basis(knots: &[f64], x: f64, degree: usize) -> Vec<f64> {
    let inside = |t: &[f64]| if t[0] <= x && x < t[1] { 1.0 } else { 0.0 };
    let mut values: Vec<f64> = knots.windows(2).map(inside).collect();
    for d in 1..=degree {
        let inverse: Vec<f64> = knots.windows(d + 1).map(|t| inverse_gap(t[d] - t[0])).collect();
        let blend = |k: usize| {
            let rising = (x - knots[k]) * inverse[k] * values[k];
            rising + (knots[k + d + 1] - x) * inverse[k + 1] * values[k + 1]
        };
        values = (0..values.len() - 1).map(blend).collect();
    }
    values
}

/// The reciprocal of a gap between knots, 0 where they coincide.
fn inverse_gap(gap: f64) -> f64 {
    if gap == 0.0 { 0.0 } else { 1.0 / gap }
}

/// [`inverse_gap`] of each component. The gap is replaced where it is 0, so that its derivative is
/// 0 there and not 0 times infinity.
fn inverse_gaps(f: &mut Formula, gap: ExprId) -> ExprId {
    let [zero, one] = [0.0, 1.0].map(|c| f.constant(c));
    let none = f.apply(Op::Eq, &[gap, zero], &[]);
    let safe = f.apply(Op::Where, &[none, one, gap], &[]);
    let inverse = f.apply(Op::Inv, &[safe], &[]);
    f.apply(Op::Where, &[none, zero, inverse], &[])
}

fn part(f: &mut Formula, v: ExprId, start: usize, len: usize) -> ExprId {
    match f.dim(v) {
        n if n == len => v,
        _ => f.apply(Op::Extract, &[v], &[start as i64, len as i64]),
    }
}

fn expand(f: &mut Formula, args: &[ExprId], params: &[i64]) -> ExprId {
    let (knots, x, degree) = (args[0], args[1], params[0] as usize);
    let n = f.dim(knots);
    let (left, right) = (part(f, knots, 0, n - 1), part(f, knots, 1, n - 1));
    let (from, to) = (f.apply(Op::Le, &[left, x], &[]), f.apply(Op::Lt, &[x, right], &[]));
    let mut values = f.mul(from, to);
    for d in 1..=degree {
        // One function of degree d - 1 starts at each of these knots, and ends d knots later.
        let count = n - d;
        let (first, last) = (part(f, knots, 0, count), part(f, knots, d, count));
        let gap = f.sub(last, first);
        let inverse = inverse_gaps(f, gap);
        let (rise, fall) = (f.sub(x, first), f.sub(last, x));
        let (rise, fall) = (f.mul(rise, inverse), f.mul(fall, inverse));
        let (rise, fall) = (f.mul(rise, values), f.mul(fall, values));
        let (rise, fall) = (part(f, rise, 0, count - 1), part(f, fall, 1, count - 1));
        values = f.add(rise, fall);
    }
    values
}

/// Basis of B-splines.
pub const BSPLINE: OpDef = OpDef {
    name: "bspline",
    aliases: &["BSpline"],
    doc: "All B-splines of a literal degree on n knots, at a scalar: n - degree - 1 numbers. Of \
          degree 0 is the indicator of knot <= x < next knot, 0 for NaN; quotients at knots that \
          coincide are 0. Infinite or NaN x gives NaN for degrees from 1 on. Derivatives in x and \
          in the knots are those from the right.",
    arity: 2,
    params: 1,
    shape: basis_shape,
    eval: |args, params, out| {
        out.copy_from_slice(&basis(args[0], args[1][0], params[0] as usize));
    },
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(expand),
    domain: &[(-1.0, 1.0), (-1.0, 1.0)],
};

#[cfg(test)]
mod tests {
    use super::super::tests::{check_refusals, check_vectors};

    #[test]
    fn values() {
        let knots: &[f64] = &[0.0, 1.0, 2.0, 3.0];
        check_vectors(&[
            ("bspline", &[0], &[knots, &[1.0]], &[0.0, 1.0, 0.0]),
            ("bspline", &[0], &[knots, &[3.0]], &[0.0; 3]),
            ("bspline", &[0], &[knots, &[-0.5]], &[0.0; 3]),
            ("bspline", &[0], &[knots, &[f64::NAN]], &[0.0; 3]),
            ("bspline", &[1], &[knots, &[1.25]], &[0.75, 0.25]),
            ("bspline", &[2], &[knots, &[1.5]], &[0.75]),
            ("bspline", &[2], &[knots, &[0.5]], &[0.125]),
            ("bspline", &[2], &[knots, &[f64::INFINITY]], &[f64::NAN]),
            // Bernstein polynomials: every inner gap is empty.
            ("bspline", &[2], &[&[0., 0., 0., 1., 1., 1.], &[0.25]], &[0.5625, 0.375, 0.0625]),
            ("bspline", &[2], &[&[0., 0., 0., 1., 1., 1.], &[0.0]], &[1.0, 0.0, 0.0]),
        ]);
    }

    #[test]
    fn refusals() {
        check_refusals(&[
            (
                "bspline",
                &[3, 1],
                &[2],
                "bspline: 3 knots make no basis of degree 2, which takes 4 or more",
            ),
            ("bspline", &[3, 1], &[-1], "bspline: the degree is -1, but it is 0 to 32"),
            ("bspline", &[99, 1], &[33], "bspline: the degree is 33, but it is 0 to 32"),
            (
                "bspline",
                &[3, 2],
                &[1],
                "bspline: the argument must be a scalar, but it has 2 components",
            ),
        ]);
    }
}
