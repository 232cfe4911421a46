//! Small matrices held by one row of components, row-major.
//!
//! What goes in: nothing. What comes out: rooms of the op table. The number of rows or columns of
//! a matrix is never given: the vector that it meets says it.

use super::{Emit, Grad, Op, OpDef, Part, Parts};

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

/// `sum a_k b_k`, written so that all terms but the first are fused multiply-adds.
fn inner(p: &mut dyn Parts, pairs: impl Iterator<Item = (Part, Part)>) -> Option<Part> {
    pairs.fold(None, |acc, (a, b)| {
        Some(match acc {
            None => p.make("$0 * $1", &[a, b]),
            Some(sum) => p.make("$0 * $1 + $2", &[a, b, sum]),
        })
    })
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
    emit: Emit::Parts(|p, args, _| {
        let rows = args[0].chunks(args[1].len());
        rows.filter_map(|row| inner(p, row.iter().copied().zip(args[1].iter().copied()))).collect()
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
    emit: Emit::Parts(|p, args, _| {
        let columns = args[1].len() / args[0].len();
        let column = |l: usize| args[1].iter().copied().skip(l).step_by(columns);
        (0..columns).filter_map(|l| inner(p, args[0].iter().copied().zip(column(l)))).collect()
    }),
    expand: None,
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// Outer product.
pub const TENSOR_PROD: OpDef = OpDef {
    name: "tensorprod",
    aliases: &["TensorProd"],
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
    emit: Emit::Parts(|p, args, _| {
        let (f, g) = (&args[0], &args[1]);
        let pairs = f.iter().flat_map(|&a| g.iter().map(move |&b| (a, b)));
        pairs.map(|(a, b)| p.make("$0 * $1", &[a, b])).collect()
    }),
    expand: None,
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

#[cfg(test)]
mod tests {
    use super::super::tests::{check_refusals, check_vectors};

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
        ]);
    }
}
