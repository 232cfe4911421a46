//! Small matrices held by one row of components, row-major.
//!
//! What goes in: nothing. What comes out: rooms of the op table. The number of rows or columns of
//! a matrix is given only where neither a vector that it meets nor its being square says it.
//! Determinants, inverses and solutions are polynomials of cofactors and at most one division by
//! the determinant, so their derivatives are exact wherever they exist.

use crate::ir::{ExprId, Formula};

use super::{Contraction, Emit, Grad, Op, OpDef, Stride, pack_lists};

/// How many vectors of `vector` components make the matrix.
fn quotient(matrix: usize, vector: usize) -> Result<usize, String> {
    match matrix % vector {
        0 => Ok(matrix / vector),
        _ => Err(format!(
            "a matrix of {matrix} components does not fit a vector of {vector}: {matrix} is no \
             multiple of {vector}"
        )),
    }
}

/// Matrix times vector.
pub const MAT_VEC_MULT: OpDef = OpDef {
    name: "matvecmult",
    aliases: &["MatVecMult"],
    doc: "A matrix of n x p components times a vector of p: out_k = sum_l a_kl b_l.",
    arity: 2,
    params: 0,
    shape: |dims, _| quotient(dims[0], dims[1]),
    eval: |args, _, out| {
        for (o, row) in out.iter_mut().zip(args[0].chunks(args[1].len())) {
            *o = row.iter().zip(args[1]).map(|(a, b)| a * b).sum();
        }
    },
    grad: Grad::Vjp(|f, c, seed| {
        vec![
            Some(f.apply(Op::TensorProd, &[seed, c.args[1]], &[])),
            Some(f.apply(Op::VecMatMult, &[seed, c.args[0]], &[])),
        ]
    }),
    emit: Emit::Contract(|dims, _| {
        let (rows, columns) = (dims[0] / dims[1], dims[1]);
        Contraction::new(
            &[Stride { len: rows, f: columns, g: 0 }],
            &[Stride { len: columns, f: 1, g: 1 }],
        )
    }),
    expand: None,
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// Vector times matrix.
pub const VEC_MAT_MULT: OpDef = OpDef {
    name: "vecmatmult",
    aliases: &["VecMatMult"],
    doc: "A vector of n components times a matrix of n x p: out_l = sum_k b_k a_kl.",
    arity: 2,
    params: 0,
    shape: |dims, _| quotient(dims[1], dims[0]),
    eval: |args, _, out| {
        let columns = out.len();
        for (l, o) in out.iter_mut().enumerate() {
            let column = args[1].iter().skip(l).step_by(columns);
            *o = args[0].iter().zip(column).map(|(b, a)| b * a).sum();
        }
    },
    grad: Grad::Vjp(|f, c, seed| {
        vec![
            Some(f.apply(Op::MatVecMult, &[c.args[1], seed], &[])),
            Some(f.apply(Op::TensorProd, &[c.args[0], seed], &[])),
        ]
    }),
    emit: Emit::Contract(|dims, _| {
        let (rows, columns) = (dims[0], dims[1] / dims[0]);
        Contraction::new(
            &[Stride { len: columns, f: 0, g: 1 }],
            &[Stride { len: rows, f: 1, g: columns }],
        )
    }),
    expand: None,
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// Outer product.
pub const TENSOR_PROD: OpDef = OpDef {
    name: "tensorprod",
    aliases: &["TensorProd", "outer"],
    doc: "Outer product, row by row: out_kl = f_k g_l.",
    arity: 2,
    params: 0,
    shape: |dims, _| Ok(dims[0] * dims[1]),
    eval: |args, _, out| {
        for (row, a) in out.chunks_mut(args[1].len()).zip(args[0]) {
            for (o, b) in row.iter_mut().zip(args[1]) {
                *o = a * b;
            }
        }
    },
    grad: Grad::Vjp(|f, c, seed| {
        vec![
            Some(f.apply(Op::MatVecMult, &[seed, c.args[1]], &[])),
            Some(f.apply(Op::VecMatMult, &[c.args[0], seed], &[])),
        ]
    }),
    emit: Emit::Contract(|dims, _| {
        let (of_f, of_g) =
            (Stride { len: dims[0], f: 1, g: 0 }, Stride { len: dims[1], f: 0, g: 1 });
        Contraction::new(&[of_f, of_g], &[])
    }),
    expand: None,
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// Product of two matrices.
pub const MAT_MUL: OpDef = OpDef {
    name: "matmul",
    aliases: &[],
    doc: "Product of a matrix of n x k components and one of k x m, for literal n, k, m.",
    arity: 2,
    params: 3,
    shape: |dims, params| {
        let side = |p: i64| usize::try_from(p).ok().filter(|&p| p > 0).unwrap_or(usize::MAX);
        let [n, k, m] = [0, 1, 2].map(|at| side(params[at]));
        let sides = [("first", n, k, dims[0]), ("second", k, m, dims[1])];
        match sides.iter().find(|(_, rows, cols, dim)| rows.checked_mul(*cols) != Some(*dim)) {
            None => Ok(n * m),
            Some((which, _, _, dim)) => {
                let (rows, cols) = if *which == "first" { (0, 1) } else { (1, 2) };
                Err(format!(
                    "the {which} matrix has {dim} components, not {} x {}",
                    params[rows], params[cols]
                ))
            }
        }
    },
    eval: |args, params, out| {
        let (k, m) = (params[1] as usize, params[2] as usize);
        for (at, o) in out.iter_mut().enumerate() {
            let row = &args[0][at / m * k..][..k];
            *o = row.iter().enumerate().map(|(l, a)| a * args[1][l * m + at % m]).sum();
        }
    },
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, p| {
        let lists = pack_lists(&[&[p[0], p[1]], &[p[1], p[2]], &[1], &[0]]);
        f.apply(Op::TensorDot, args, &lists)
    }),
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// Sum of the diagonal.
pub const TRACE: OpDef = OpDef {
    name: "trace",
    aliases: &[],
    doc: "Sum of the diagonal of a square matrix.",
    arity: 1,
    params: 0,
    shape: |dims, _| side(dims[0]).map(|_| 1),
    eval: |args, _, out| {
        let n = args[0].len().isqrt();
        out[0] = args[0].iter().step_by(n + 1).sum();
    },
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let n = f.dim(args[0]).isqrt();
        let diagonal: Vec<usize> = (0..n).map(|k| k * (n + 1)).collect();
        let diagonal = pick(f, args[0], &diagonal);
        f.sum_components(diagonal)
    }),
    domain: &[(-2.0, 2.0)],
};

/// Vector product.
pub const CROSS: OpDef = OpDef {
    name: "cross",
    aliases: &[],
    doc: "Vector product of two vectors of 3 components.",
    arity: 2,
    params: 0,
    shape: |dims, _| match dims.iter().find(|&&d| d != 3) {
        None => Ok(3),
        Some(d) => Err(format!("a vector product takes vectors of 3 components, not of {d}")),
    },
    eval: |args, _, out| {
        for (k, o) in out.iter_mut().enumerate() {
            let (l, m) = ((k + 1) % 3, (k + 2) % 3);
            *o = args[0][l] * args[1][m] - args[0][m] * args[1][l];
        }
    },
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let next = args.iter().map(|&v| pick(f, v, &[1, 2, 0])).collect::<Vec<_>>();
        let last = args.iter().map(|&v| pick(f, v, &[2, 0, 1])).collect::<Vec<_>>();
        let (plus, minus) = (f.mul(next[0], last[1]), f.mul(last[0], next[1]));
        f.sub(plus, minus)
    }),
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// Side of a square matrix.
fn side(dim: usize) -> Result<usize, String> {
    match dim.isqrt() {
        n if n * n == dim => Ok(n),
        _ => Err(format!("a matrix of {dim} components is not square")),
    }
}

/// Side of a square matrix that is small enough for cofactors.
fn small_side(dim: usize) -> Result<usize, String> {
    match side(dim)? {
        n @ 1..=4 => Ok(n),
        n => Err(format!("the matrix is {n} x {n}, but at most 4 x 4 is taken")),
    }
}

fn pick(f: &mut Formula, v: ExprId, indices: &[usize]) -> ExprId {
    let indices: Vec<i64> = indices.iter().map(|&k| k as i64).collect();
    f.apply(Op::Pick, &[v], &pack_lists(&[&indices]))
}

/// Component `k` is `v[0][k] v[1][k] - v[2][k] v[3][k]`, for indices into a matrix.
type Minors = [Vec<usize>; 4];

/// The 2 x 2 minors that are the cofactors of a 3 x 3 matrix: rows and columns are taken in
/// cyclic order, which is the sign.
fn minors_of_3() -> Minors {
    let entry = |k: usize, down: usize, right: usize| (k / 3 + down) % 3 * 3 + (k + right) % 3;
    [(1, 1), (2, 2), (1, 2), (2, 1)].map(|(d, r)| (0..9).map(|k| entry(k, d, r)).collect())
}

/// Pairs of columns of a 4 x 4 matrix.
const PAIRS: [(usize, usize); 6] = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];

/// The minors of rows 0 and 1, then those of rows 2 and 3, of a 4 x 4 matrix.
fn minors_of_4() -> Minors {
    let all: Vec<(usize, usize, usize)> =
        [0, 8].iter().flat_map(|&row| PAIRS.map(|(l, m)| (row, l, m))).collect();
    let list = |entry: fn((usize, usize, usize)) -> usize| all.iter().map(|&k| entry(k)).collect();
    [
        list(|(row, l, _)| row + l),
        list(|(row, _, m)| row + 4 + m),
        list(|(row, _, m)| row + m),
        list(|(row, l, _)| row + 4 + l),
    ]
}

/// The three terms of each cofactor of a 4 x 4 matrix: indices of entries of the other row of the
/// same half, and of minors of the other half, those of [`minors_of_4`] and then their negatives.
fn terms_of_4() -> [(Vec<usize>, Vec<usize>); 3] {
    [0, 1, 2].map(|term| {
        let one = |k: usize| {
            let (row, column) = (k / 4, k % 4);
            let columns: Vec<usize> = (0..4).filter(|&c| c != column).collect();
            let left: Vec<usize> =
                columns.iter().copied().filter(|&c| c != columns[term]).collect();
            let pair = PAIRS.iter().position(|&p| p == (left[0], left[1])).unwrap_or(0);
            let half = if row < 2 { 6 } else { 0 };
            let negative = if (row + column + term) % 2 == 1 { 12 } else { 0 };
            ((row ^ 1) * 4 + columns[term], half + pair + negative)
        };
        (0..16).map(one).unzip()
    })
}

fn minors(a: &[f64], m: &Minors) -> Vec<f64> {
    let term = |k: usize| a[m[0][k]] * a[m[1][k]] - a[m[2][k]] * a[m[3][k]];
    (0..m[0].len()).map(term).collect()
}

fn cofactors(a: &[f64]) -> Vec<f64> {
    match a.len() {
        1 => vec![1.0],
        4 => vec![a[3], -a[2], -a[1], a[0]],
        9 => minors(a, &minors_of_3()),
        _ => {
            let half = minors(a, &minors_of_4());
            let all: Vec<f64> = half.iter().copied().chain(half.iter().map(|m| -m)).collect();
            let [first, second, third] = terms_of_4();
            let term = |(e, m): &(Vec<usize>, Vec<usize>), k: usize| a[e[k]] * all[m[k]];
            (0..16).map(|k| term(&first, k) + term(&second, k) + term(&third, k)).collect()
        }
    }
}

fn determinant(a: &[f64]) -> f64 {
    let n = a.len().isqrt();
    a[..n].iter().zip(cofactors(a)).map(|(a, c)| a * c).sum()
}

fn minor_nodes(f: &mut Formula, a: ExprId, m: &Minors) -> ExprId {
    let [p, q, r, s] = [0, 1, 2, 3].map(|n| pick(f, a, &m[n]));
    let (plus, minus) = (f.mul(p, q), f.mul(r, s));
    f.sub(plus, minus)
}

fn cofactors_of_4(f: &mut Formula, a: ExprId) -> ExprId {
    let half = minor_nodes(f, a, &minors_of_4());
    let negative = f.neg(half);
    let all = f.apply(Op::Concat, &[half, negative], &[]);
    let [first, second, third] = terms_of_4().map(|(entries, minors)| {
        let (entry, minor) = (pick(f, a, &entries), pick(f, all, &minors));
        f.mul(entry, minor)
    });
    let two = f.add(first, second);
    f.add(two, third)
}

/// Matrix of cofactors.
pub const COFACTOR: OpDef = OpDef {
    name: "cofactor",
    aliases: &[],
    doc: "The matrix of cofactors of a square matrix of 1 to 4 rows, the derivative of det.",
    arity: 1,
    params: 0,
    shape: |dims, _| small_side(dims[0]).map(|n| n * n),
    eval: |args, _, out| out.copy_from_slice(&cofactors(args[0])),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let a = args[0];
        match f.dim(a) {
            1 => f.constant(1.0),
            4 => {
                let ends = [3, 0].map(|k| f.apply(Op::Elem, &[a], &[k]));
                let middle = pick(f, a, &[2, 1]);
                let middle = f.neg(middle);
                let start = f.apply(Op::Concat, &[ends[0], middle], &[]);
                f.apply(Op::Concat, &[start, ends[1]], &[])
            }
            9 => minor_nodes(f, a, &minors_of_3()),
            _ => cofactors_of_4(f, a),
        }
    }),
    domain: &[(-2.0, 2.0)],
};

/// Determinant.
pub const DET: OpDef = OpDef {
    name: "det",
    aliases: &[],
    doc: "Determinant of a square matrix of 1 to 4 rows. Its derivatives hold at singular \
          matrices too.",
    arity: 1,
    params: 0,
    shape: |dims, _| small_side(dims[0]).map(|_| 1),
    eval: |args, _, out| out[0] = determinant(args[0]),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let n = f.dim(args[0]).isqrt() as i64;
        let cofactors = f.apply(Op::Cofactor, args, &[]);
        let [row, of_row] = [args[0], cofactors].map(|m| f.apply(Op::Extract, &[m], &[0, n]));
        f.apply(Op::Dot, &[row, of_row], &[])
    }),
    domain: &[(-2.0, 2.0)],
};

/// The transpose of the matrix of cofactors.
fn adjugate(f: &mut Formula, a: ExprId) -> ExprId {
    let n = f.dim(a).isqrt() as i64;
    let cofactors = f.apply(Op::Cofactor, &[a], &[]);
    f.apply(Op::Transpose, &[cofactors], &[n])
}

/// Inverse.
pub const INVERSE: OpDef = OpDef {
    name: "inverse",
    aliases: &[],
    doc: "Inverse of a square matrix of 1 to 4 rows, by cofactors: infinite or NaN at singular \
          matrices.",
    arity: 1,
    params: 0,
    shape: |dims, _| small_side(dims[0]).map(|n| n * n),
    eval: |args, _, out| {
        let (n, det, cofactors) = (args[0].len().isqrt(), determinant(args[0]), cofactors(args[0]));
        for (k, o) in out.iter_mut().enumerate() {
            *o = cofactors[k % n * n + k / n] / det;
        }
    },
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let (adjugate, det) = (adjugate(f, args[0]), f.apply(Op::Det, args, &[]));
        f.div(adjugate, det)
    }),
    domain: &[(0.5, 2.0)],
};

/// Solution of a system of linear equations.
pub const SOLVE: OpDef = OpDef {
    name: "solve",
    aliases: &[],
    doc: "The x with f x = g for a square matrix f of 1 to 4 rows and a vector g, by Cramer's \
          rule: infinite or NaN at singular matrices.",
    arity: 2,
    params: 0,
    shape: |dims, _| match small_side(dims[0])? {
        n if n == dims[1] => Ok(n),
        n => Err(format!("a matrix of {n} x {n} and a vector of {}; give {n}", dims[1])),
    },
    eval: |args, _, out| {
        let (n, det, cofactors) = (args[1].len(), determinant(args[0]), cofactors(args[0]));
        for (k, o) in out.iter_mut().enumerate() {
            let column = cofactors.iter().skip(k).step_by(n);
            *o = column.zip(args[1]).map(|(c, b)| c * b).sum::<f64>() / det;
        }
    },
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let (adjugate, det) = (adjugate(f, args[0]), f.apply(Op::Det, &args[..1], &[]));
        let product = f.apply(Op::MatVecMult, &[adjugate, args[1]], &[]);
        f.div(product, det)
    }),
    domain: &[(0.5, 2.0), (-2.0, 2.0)],
};

#[cfg(test)]
mod tests {
    use super::super::Op;
    use super::super::tests::{adjoints, check_refusals, check_vectors};
    use crate::ir::Formula;
    use crate::ir::eval::{Matrix, evaluate};
    use crate::passes::vjp;

    const INF: f64 = f64::INFINITY;

    #[test]
    fn the_derivative_of_a_determinant_holds_at_singular_matrices() {
        let rank_two = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
        let mut f = Formula::new("f");
        let a = f.input("a", None, 9).expect("valid");
        let det = f.apply(Op::Det, &[a], &[]);
        f.output("d", None, det).expect("a parameter");
        let gradient = vjp(&f, "d", &["a".to_string()]).expect("differentiable");
        let row = |data: &[f64]| Matrix { rows: 1, cols: data.len(), data: data.to_vec() };
        let found = evaluate(&gradient, 0, 0, &[row(&rank_two), row(&[1.0])]).expect("fits");
        assert_eq!(found[0].data, [-3.0, 6.0, -3.0, 6.0, -12.0, 6.0, -3.0, 6.0, -3.0]);
    }

    #[test]
    fn adjoints_of_products_are_products() {
        let args = [vec![1.0, 2.0, 3.0, 4.0], vec![5.0, 6.0]];
        let found = adjoints(Op::MatVecMult, &[], &args, &[1.0, 10.0]);
        assert_eq!(found, [vec![5.0, 6.0, 50.0, 60.0], vec![31.0, 42.0]]);
    }

    #[test]
    fn values() {
        let a: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        check_vectors(&[
            ("matvecmult", &[], &[a, &[1.0, 10.0, 100.0]], &[321.0, 654.0]),
            ("matvecmult", &[], &[a, &[1.0]], a),
            ("vecmatmult", &[], &[&[1.0, 10.0], a], &[41.0, 52.0, 63.0]),
            ("vecmatmult", &[], &[&[1.0, 10.0], &[3.0, 4.0]], &[43.0]),
            ("vecmatmult", &[], &[&[2.0], &[f64::INFINITY]], &[f64::INFINITY]),
            ("tensorprod", &[], &[&[1.0, 2.0], &[3.0, 0.0]], &[3.0, 0.0, 6.0, 0.0]),
            ("tensorprod", &[], &[&[f64::NAN], &[0.0]], &[f64::NAN]),
            ("matmul", &[2, 3, 1], &[a, &[1.0, 10.0, 100.0]], &[321.0, 654.0]),
            ("trace", &[], &[&[1.0, 2.0, 3.0, 4.0]], &[5.0]),
            ("cross", &[], &[&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]], &[-3.0, 6.0, -3.0]),
            ("cofactor", &[], &[&[7.0]], &[1.0]),
            ("det", &[], &[&[1.0, 2.0, 3.0, 4.0]], &[-2.0]),
            ("det", &[], &[&[2.0, 0.0, 1.0, 1.0, 3.0, 2.0, 1.0, 1.0, 4.0]], &[18.0]),
            (
                "det",
                &[],
                &[&[0., 0., 0., 1., 2., 0., 0., 0., 0., 3., 0., 0., 5., 0., 7., 0.]],
                &[-42.0],
            ),
            ("inverse", &[], &[&[1.0, 2.0, 3.0, 4.0]], &[-2.0, 1.0, 1.5, -0.5]),
            ("inverse", &[], &[&[4.0]], &[0.25]),
            ("inverse", &[], &[&[1.0, 1.0, 1.0, 1.0]], &[INF, -INF, -INF, INF]),
            ("inverse", &[], &[&[0.0; 4]], &[f64::NAN, f64::NAN, f64::NAN, f64::NAN]),
            ("solve", &[], &[&[1.0, 2.0, 3.0, 4.0], &[5.0, 11.0]], &[1.0, 2.0]),
        ]);
    }

    #[test]
    fn refusals() {
        let why = "a matrix of 7 components does not fit a vector of 2: 7 is no multiple of 2";
        check_refusals(&[
            ("matvecmult", &[7, 2], &[], &format!("matvecmult: {why}")),
            ("vecmatmult", &[2, 7], &[], &format!("vecmatmult: {why}")),
            (
                "tensorprod",
                &[65536, 2],
                &[],
                "tensorprod: the result would have 131072 components, the limit is 65536",
            ),
            (
                "matmul",
                &[6, 6],
                &[2, 3, 3],
                "matmul: the second matrix has 6 components, not 3 x 3",
            ),
            ("matmul", &[6, 6], &[0, 3, 3], "matmul: the first matrix has 6 components, not 0 x 3"),
            (
                "matmul",
                &[6, 6],
                &[i64::MAX, 3, 2],
                "matmul: the first matrix has 6 components, not 9223372036854775807 x 3",
            ),
            ("trace", &[6], &[], "trace: a matrix of 6 components is not square"),
            ("det", &[8], &[], "det: a matrix of 8 components is not square"),
            ("inverse", &[25], &[], "inverse: the matrix is 5 x 5, but at most 4 x 4 is taken"),
            ("solve", &[4, 3], &[], "solve: a matrix of 2 x 2 and a vector of 3; give 2"),
            (
                "cross",
                &[3, 2],
                &[],
                "cross: a vector product takes vectors of 3 components, not of 2",
            ),
        ]);
    }
}
