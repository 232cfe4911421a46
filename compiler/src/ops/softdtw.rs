//! Soft minima of components, and the soft dynamic time warping that they make.
//!
//! What goes in: nothing. What comes out: rooms of the op table. The programme (Cuturi and Blondel,
//! Soft-DTW: a Differentiable Loss Function for Time-Series, 2017) runs along anti-diagonals, each
//! of which is one vector, so the formula grows with the lengths and not with their product. The
//! soft minimum and its weights are closed under differentiation: there are derivatives of every
//! order, in the temperature too.

use crate::ir::{ExprId, Formula};

use super::{Emit, Grad, Op, OpDef, Part, Parts, pack_lists};

/// Most pairs of components that are compared.
const MAX_PAIRS: usize = 4096;

/// The shape of `params[0]` rows with a scalar temperature: the length of a row.
fn rows(dims: &[usize], params: &[i64]) -> Result<usize, String> {
    if dims[1] != 1 {
        let found = dims[1];
        return Err(format!("the temperature must be a scalar, but it has {found} components"));
    }
    match usize::try_from(params[0]) {
        Ok(rows @ 1..) if dims[0].is_multiple_of(rows) => Ok(dims[0] / rows),
        _ => Err(format!("{} components do not make {} rows", dims[0], params[0])),
    }
}

/// Column `l` of rows of length `len`.
fn column<T: Copy>(v: &[T], len: usize, l: usize) -> impl Iterator<Item = T> + Clone + '_ {
    v.iter().copied().skip(l).step_by(len)
}

/// The smallest number, moved to the nearest finite one; NaN if any is NaN.
fn shift(v: impl Iterator<Item = f64>) -> f64 {
    let least = |a: f64, b: f64| if b < a || b.is_nan() { b } else { a };
    v.reduce(least).unwrap_or(f64::NAN).clamp(f64::MIN, f64::MAX)
}

fn exponentials(v: impl Iterator<Item = f64> + Clone, t: f64) -> (f64, Vec<f64>, f64) {
    let shift = shift(v.clone());
    let terms: Vec<f64> = v.map(|x| libm::exp((shift - x) / t)).collect();
    let total = terms.iter().sum();
    (shift, terms, total)
}

fn soft_min(v: impl Iterator<Item = f64> + Clone, t: f64) -> f64 {
    let (shift, _, total) = exponentials(v, t);
    shift - t * libm::log(total)
}

/// The shift, the exponentials and their sum of one column, as code.
fn emit_exponentials(p: &mut dyn Parts, v: &[Part], t: Part) -> (Part, Vec<Part>, Part) {
    let least = v[1..].iter().fold(v[0], |a, &b| p.make("tf_min($0, $1)", &[a, b]));
    let shift = p.make("tf_max(tf_min($0, tf_c(TF_MAX)), tf_c(-TF_MAX))", &[least]);
    let terms: Vec<Part> =
        v.iter().map(|&x| p.make("tf_exp(($0 - $1) / $2)", &[shift, x, t])).collect();
    let total = terms[1..].iter().fold(terms[0], |a, &b| p.make("$0 + $1", &[a, b]));
    (shift, terms, total)
}

/// A row repeated.
fn tile(f: &mut Formula, v: ExprId, rows: i64) -> ExprId {
    let len = f.dim(v) as i64;
    if len == 1 {
        return v;
    }
    let list: Vec<i64> = (0..rows).flat_map(|_| 0..len).collect();
    f.apply(Op::Pick, &[v], &pack_lists(&[&list]))
}

/// The sum of the rows.
fn sum_rows(f: &mut Formula, v: ExprId, rows: i64) -> ExprId {
    let len = f.dim(v) as i64 / rows;
    let first = f.apply(Op::Extract, &[v], &[0, len]);
    (1..rows).fold(first, |sum, row| {
        let next = f.apply(Op::Extract, &[v], &[row * len, len]);
        f.add(sum, next)
    })
}

/// `(out - v) / temperature`, where `out` is the soft minimum: the logarithms of the weights.
fn log_weights(f: &mut Formula, v: ExprId, t: ExprId, rows: i64) -> ExprId {
    let out = f.apply(Op::SoftMinRows, &[v, t], &[rows]);
    let out = tile(f, out, rows);
    let gap = f.sub(out, v);
    f.div(gap, t)
}

/// Soft minimum of rows.
pub const SOFT_MIN_ROWS: OpDef = OpDef {
    name: "softmin_rows",
    aliases: &[],
    doc: "Soft minimum, component by component, of the rows of a matrix of a literal number of \
          rows: -g log sum exp(-f_k / g) for a positive temperature g. With as many rows as \
          components it is the soft minimum of a vector. NaN where a row is NaN or g is 0.",
    arity: 2,
    params: 1,
    shape: rows,
    eval: |args, _, out| {
        let (len, t) = (out.len(), args[1][0]);
        for (l, o) in out.iter_mut().enumerate() {
            *o = soft_min(column(args[0], len, l), t);
        }
    },
    grad: Grad::Vjp(|f, c, seed| {
        let rows = c.params[0];
        let weights = f.apply(Op::SoftMinWeights, c.args, c.params);
        let seeds = tile(f, seed, rows);
        let of_rows = f.mul(seeds, weights);
        let logs = log_weights(f, c.args[0], c.args[1], rows);
        // The weights of what is infinitely large are 0, and so is their part of the derivative.
        let parts = f.mul(of_rows, logs);
        let zero = f.constant(0.0);
        let none = f.apply(Op::Eq, &[weights, zero], &[]);
        let parts = f.apply(Op::Where, &[none, zero, parts], &[]);
        vec![Some(of_rows), Some(f.sum_components(parts))]
    }),
    emit: Emit::Parts(|p, args, params| {
        let len = args[0].len() / params[0] as usize;
        let one = |l: usize| {
            let v: Vec<Part> = column(&args[0], len, l).collect();
            let (shift, _, total) = emit_exponentials(p, &v, args[1][0]);
            p.make("$0 - $1 * tf_log($2)", &[shift, args[1][0], total])
        };
        (0..len).map(one).collect()
    }),
    expand: None,
    domain: &[(-2.0, 2.0), (0.5, 2.0)],
};

/// Weights of a soft minimum.
pub const SOFT_MIN_WEIGHTS: OpDef = OpDef {
    name: "softmin_weights",
    aliases: &[],
    doc: "The derivative of softmin_rows by its rows: exp(-f_k / g) divided by its sum over the \
          rows, component by component.",
    arity: 2,
    params: 1,
    shape: |dims, params| rows(dims, params).map(|_| dims[0]),
    eval: |args, params, out| {
        let (len, t) = (out.len() / params[0] as usize, args[1][0]);
        for l in 0..len {
            let (_, terms, total) = exponentials(column(args[0], len, l), t);
            for (row, term) in terms.iter().enumerate() {
                out[row * len + l] = term / total;
            }
        }
    },
    grad: Grad::Vjp(|f, c, seed| {
        let (rows, t) = (c.params[0], c.args[1]);
        // Those of softmax(z) at z = -f / g.
        let weighted = f.mul(seed, c.out);
        let mean = sum_rows(f, weighted, rows);
        let mean = tile(f, mean, rows);
        let gap = f.sub(seed, mean);
        let of_scores = f.mul(c.out, gap);
        let scaled = f.div(of_scores, t);
        // The adjoints of the scores add up to 0, so z may be shifted to the logarithms.
        let logs = log_weights(f, c.args[0], t, rows);
        let parts = f.mul(scaled, logs);
        let zero = f.constant(0.0);
        let none = f.apply(Op::Eq, &[c.out, zero], &[]);
        let parts = f.apply(Op::Where, &[none, zero, parts], &[]);
        let of_temperature = f.sum_components(parts);
        vec![Some(f.neg(scaled)), Some(f.neg(of_temperature))]
    }),
    emit: Emit::Parts(|p, args, params| {
        let rows = params[0] as usize;
        let len = args[0].len() / rows;
        let mut out = vec![args[1][0]; args[0].len()];
        for l in 0..len {
            let v: Vec<Part> = column(&args[0], len, l).collect();
            let (_, terms, total) = emit_exponentials(p, &v, args[1][0]);
            for (row, term) in terms.into_iter().enumerate() {
                out[row * len + l] = p.make("$0 / $1", &[term, total]);
            }
        }
        out
    }),
    expand: None,
    domain: &[(-2.0, 2.0), (0.5, 2.0)],
};

fn series(dims: &[usize], _: &[i64]) -> Result<usize, String> {
    match (dims[0] * dims[1], dims[2]) {
        (1..=MAX_PAIRS, 1) => Ok(1),
        (_, 1) => {
            Err(format!("{} x {} pairs of components, the limit is {MAX_PAIRS}", dims[0], dims[1]))
        }
        (_, n) => Err(format!("the temperature must be a scalar, but it has {n} components")),
    }
}

fn soft_dtw(x: &[f64], y: &[f64], t: f64) -> f64 {
    let mut above: Vec<f64> = Vec::new();
    for a in x {
        let mut row: Vec<f64> = Vec::new();
        for (j, b) in y.iter().enumerate() {
            let before = [
                j.checked_sub(1).and_then(|j| above.get(j)).copied(),
                above.get(j).copied(),
                row.last().copied(),
            ];
            let before: Vec<f64> = before.into_iter().flatten().collect();
            let start = match before[..] {
                [] => 0.0,
                [only] => only,
                _ => soft_min(before.into_iter(), t),
            };
            row.push((a - b) * (a - b) + start);
        }
        above = row;
    }
    above.last().copied().unwrap_or(f64::NAN)
}

/// The cells of an anti-diagonal: rows `first..end`, where row and column add up to its number.
fn cells(diagonal: usize, n: usize, m: usize) -> (usize, usize) {
    ((diagonal + 1).saturating_sub(m), n.min(diagonal + 1))
}

/// Squared distances along an anti-diagonal.
fn distances(f: &mut Formula, [x, y]: [ExprId; 2], diagonal: usize) -> ExprId {
    let (first, end) = cells(diagonal, f.dim(x), f.dim(y));
    let rows: Vec<i64> = (first..end).map(|row| row as i64).collect();
    let columns: Vec<i64> = (first..end).map(|row| (diagonal - row) as i64).collect();
    let a = f.apply(Op::Pick, &[x], &pack_lists(&[&rows]));
    let b = f.apply(Op::Pick, &[y], &pack_lists(&[&columns]));
    let gap = f.sub(a, b);
    f.square(gap)
}

/// The soft minimum over the cells that lead to each cell of an anti-diagonal: three inside, one
/// on the border.
fn leading(
    f: &mut Formula,
    [last, before]: [(usize, ExprId); 2],
    t: ExprId,
    [start, end]: [usize; 2],
    inner: [usize; 2],
) -> ExprId {
    let part = |f: &mut Formula, (first, v): (usize, ExprId), row: usize, len: usize| {
        f.apply(Op::Extract, &[v], &[(row - first) as i64, len as i64])
    };
    let len = inner[1].saturating_sub(inner[0]);
    let mut parts = Vec::new();
    if start < inner[0] {
        // The first row: from the left.
        parts.push(part(f, last, start, 1));
    }
    if len > 0 {
        let corner = part(f, before, inner[0] - 1, len);
        let above = part(f, last, inner[0] - 1, len);
        let left = part(f, last, inner[0], len);
        let pair = f.apply(Op::Concat, &[corner, above], &[]);
        let all = f.apply(Op::Concat, &[pair, left], &[]);
        parts.push(f.apply(Op::SoftMinRows, &[all, t], &[3]));
    }
    if inner[1].max(inner[0]) < end {
        // The first column: from above.
        parts.push(part(f, last, end - 2, 1));
    }
    parts.into_iter().reduce(|a, b| f.apply(Op::Concat, &[a, b], &[])).unwrap_or(t)
}

fn expand(f: &mut Formula, args: &[ExprId], _: &[i64]) -> ExprId {
    let (x, y, t) = (args[0], args[1], args[2]);
    let (n, m) = (f.dim(x), f.dim(y));
    let first = distances(f, [x, y], 0);
    let (mut before, mut last) = ((0, first), (0, first));
    for diagonal in 1..n + m - 1 {
        let (start, end) = cells(diagonal, n, m);
        let cost = distances(f, [x, y], diagonal);
        // Inside are neither row 0 nor column 0, which is row `diagonal`.
        let inner = [start.max(1), end.min(diagonal)];
        let lead = leading(f, [last, before], t, [start, end], inner);
        let cell = f.add(cost, lead);
        (before, last) = (last, (start, cell));
    }
    last.1
}

/// Soft dynamic time warping.
pub const SOFT_DTW_SQDIST: OpDef = OpDef {
    name: "softdtw_sqdist",
    aliases: &["SoftDTW_SqDist"],
    doc: "Soft dynamic time warping of two series of numbers with squared differences and a \
          positive temperature: the soft minimum over all ways to walk through both, forwards and \
          without leaving out a number, of the sum of the differences met. NaN for a temperature \
          of 0, unless one of the series is a single number.",
    arity: 3,
    params: 0,
    shape: series,
    eval: |args, _, out| out[0] = soft_dtw(args[0], args[1], args[2][0]),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(expand),
    domain: &[(-2.0, 2.0), (-2.0, 2.0), (0.5, 2.0)],
};

#[cfg(test)]
mod tests {
    use super::super::tests::{check_refusals, check_vectors};

    #[test]
    fn values() {
        let ln2 = std::f64::consts::LN_2;
        check_vectors(&[
            ("softmin_rows", &[1], &[&[3.0, -1.0], &[0.5]], &[3.0, -1.0]),
            ("softmin_rows", &[2], &[&[3.0, 3.0], &[0.5]], &[3.0 - 0.5 * ln2]),
            ("softmin_rows", &[2], &[&[3.0, f64::INFINITY], &[0.5]], &[3.0]),
            ("softmin_rows", &[2], &[&[f64::INFINITY; 2], &[0.5]], &[f64::INFINITY]),
            ("softmin_rows", &[2], &[&[f64::NEG_INFINITY, 0.0], &[0.5]], &[f64::NEG_INFINITY]),
            ("softmin_rows", &[2], &[&[f64::NAN, 0.0], &[0.5]], &[f64::NAN]),
            ("softmin_rows", &[2], &[&[1e300, -1e300], &[1e-3]], &[-1e300]),
            ("softmin_weights", &[2], &[&[3.0, 3.0], &[0.5]], &[0.5, 0.5]),
            ("softmin_weights", &[2], &[&[-1e300, f64::INFINITY], &[0.5]], &[1.0, 0.0]),
            ("softdtw_sqdist", &[], &[&[3.0], &[1.0], &[1.0]], &[4.0]),
            ("softdtw_sqdist", &[], &[&[3.0], &[1.0, 2.0, 3.0], &[0.0]], &[5.0]),
            // Three ways: over the corner, or over either side.
            ("softdtw_sqdist", &[], &[&[0.0, 0.0], &[0.0, 0.0], &[1.0]], &[-libm::log(3.0)]),
        ]);
    }

    #[test]
    fn refusals() {
        check_refusals(&[
            ("softmin_rows", &[6, 1], &[4], "softmin_rows: 6 components do not make 4 rows"),
            ("softmin_rows", &[6, 1], &[0], "softmin_rows: 6 components do not make 0 rows"),
            (
                "softmin_weights",
                &[6, 2],
                &[2],
                "softmin_weights: the temperature must be a scalar, but it has 2 components",
            ),
            (
                "softdtw_sqdist",
                &[6, 6, 2],
                &[],
                "softdtw_sqdist: the temperature must be a scalar, but it has 2 components",
            ),
            (
                "softdtw_sqdist",
                &[64, 65, 1],
                &[],
                "softdtw_sqdist: 64 x 65 pairs of components, the limit is 4096",
            ),
        ]);
    }
}
