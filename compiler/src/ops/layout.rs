//! Components moved: copied, picked, sliced, joined.
//!
//! What goes in: nothing. What comes out: rooms of the op table. An index that is not in the
//! vector is refused when the node is built, from both ends, so no kernel ever checks one.

use crate::ir::MAX_DIM;

use super::{Emit, Grad, LISTS, Op, OpDef, lists, pack_lists};

/// A literal length.
fn length(n: i64) -> Result<usize, String> {
    match usize::try_from(n) {
        Ok(len @ 1..=MAX_DIM) => Ok(len),
        _ => Err(format!("the length is {n}, but a vector has 1 to {MAX_DIM} components")),
    }
}

/// A literal index into a vector of `dim` components.
fn position(m: i64, dim: usize) -> Result<usize, String> {
    match usize::try_from(m) {
        Ok(index) if index < dim => Ok(index),
        _ => Err(format!(
            "the index is {m}, but a vector of {dim} components has indices 0 to {}",
            dim - 1
        )),
    }
}

/// A literal slice of `len` components, from `start` on, of a vector of `dim`.
fn slice(start: i64, len: usize, dim: usize) -> Result<(), String> {
    match usize::try_from(start) {
        Ok(first) if first <= dim && len <= dim - first => Ok(()),
        _ => Err(format!(
            "{len} components from index {start} on do not lie in a vector of {dim} components"
        )),
    }
}

fn scalar(dim: usize) -> Result<(), String> {
    match dim {
        1 => Ok(()),
        n => Err(format!("the argument must be a scalar, but it has {n} components")),
    }
}

/// A scalar copied.
pub const SUM_T: OpDef = OpDef {
    name: "sum_t",
    aliases: &["SumT"],
    doc: "A scalar copied into each component of a vector of a literal length.",
    arity: 1,
    params: 1,
    shape: |dims, params| scalar(dims[0]).and_then(|()| length(params[0])),
    eval: |args, _, out| out.fill(args[0][0]),
    grad: Grad::Vjp(|f, _, seed| vec![Some(f.sum_components(seed))]),
    emit: Emit::Move(|_, _, _| Some((0, 0))),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// One component.
pub const ELEM: OpDef = OpDef {
    name: "elem",
    aliases: &["Elem"],
    doc: "The component at a literal index, from 0.",
    arity: 1,
    params: 1,
    shape: |dims, params| position(params[0], dims[0]).map(|_| 1),
    eval: |args, params, out| out[0] = args[0][params[0] as usize],
    grad: Grad::Vjp(|f, c, seed| {
        let n = f.dim(c.args[0]) as i64;
        vec![Some(f.apply(Op::ElemT, &[seed], &[n, c.params[0]]))]
    }),
    emit: Emit::Move(|_, params, _| Some((0, params[0] as usize))),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// A scalar among zeros.
pub const ELEM_T: OpDef = OpDef {
    name: "elem_t",
    aliases: &["ElemT"],
    doc: "A vector of a literal length that is f at a literal index and 0 elsewhere.",
    arity: 1,
    params: 2,
    shape: |dims, params| {
        scalar(dims[0])?;
        let n = length(params[0])?;
        position(params[1], n).map(|_| n)
    },
    eval: |args, params, out| {
        out.fill(0.0);
        out[params[1] as usize] = args[0][0];
    },
    grad: Grad::Vjp(|f, c, seed| vec![Some(f.apply(Op::Elem, &[seed], &[c.params[1]]))]),
    emit: Emit::Move(|_, params, c| (c == params[1] as usize).then_some((0, 0))),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// A slice.
pub const EXTRACT: OpDef = OpDef {
    name: "extract",
    aliases: &["Extract"],
    doc: "The components from a literal index on, as many as a literal length says.",
    arity: 1,
    params: 2,
    shape: |dims, params| {
        let len = length(params[1])?;
        slice(params[0], len, dims[0]).map(|()| len)
    },
    eval: |args, params, out| {
        out.copy_from_slice(&args[0][params[0] as usize..][..params[1] as usize]);
    },
    grad: Grad::Vjp(|f, c, seed| {
        let n = f.dim(c.args[0]) as i64;
        vec![Some(f.apply(Op::ExtractT, &[seed], &[c.params[0], n]))]
    }),
    emit: Emit::Move(|_, params, c| Some((0, params[0] as usize + c))),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// A vector among zeros.
pub const EXTRACT_T: OpDef = OpDef {
    name: "extract_t",
    aliases: &["ExtractT"],
    doc: "A vector of a literal length that holds f from a literal index on and is 0 elsewhere.",
    arity: 1,
    params: 2,
    shape: |dims, params| {
        let n = length(params[1])?;
        slice(params[0], dims[0], n).map(|()| n)
    },
    eval: |args, params, out| {
        out.fill(0.0);
        out[params[0] as usize..][..args[0].len()].copy_from_slice(args[0]);
    },
    grad: Grad::Vjp(|f, c, seed| {
        let d = f.dim(c.args[0]) as i64;
        vec![Some(f.apply(Op::Extract, &[seed], &[c.params[0], d]))]
    }),
    emit: Emit::Move(|dims, params, c| {
        let at = c.checked_sub(params[0] as usize)?;
        (at < dims[0]).then_some((0, at))
    }),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Two vectors in a row.
pub const CONCAT: OpDef = OpDef {
    name: "concat",
    aliases: &["Concat"],
    doc: "The components of f, then those of g.",
    arity: 2,
    params: 0,
    shape: |dims, _| Ok(dims[0] + dims[1]),
    eval: |args, _, out| {
        let (left, right) = out.split_at_mut(args[0].len());
        left.copy_from_slice(args[0]);
        right.copy_from_slice(args[1]);
    },
    grad: Grad::Vjp(|f, c, seed| {
        let (a, b) = (f.dim(c.args[0]) as i64, f.dim(c.args[1]) as i64);
        vec![
            Some(f.apply(Op::Extract, &[seed], &[0, a])),
            Some(f.apply(Op::Extract, &[seed], &[a, b])),
        ]
    }),
    emit: Emit::Move(|dims, _, c| match c.checked_sub(dims[0]) {
        None => Some((0, c)),
        Some(at) => Some((1, at)),
    }),
    expand: None,
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// A position as a vector.
pub const ONE_HOT: OpDef = OpDef {
    name: "one_hot",
    aliases: &["OneHot"],
    doc: "A vector of a literal length that is 1 at the index f + 0.5, cut to an integer, and 0 \
          elsewhere; all 0 where that index is not in the vector or f is NaN.",
    arity: 1,
    params: 1,
    shape: |dims, params| scalar(dims[0]).and_then(|()| length(params[0])),
    eval: |args, _, out| {
        let index = libm::trunc(args[0][0] + 0.5);
        for (k, o) in out.iter_mut().enumerate() {
            *o = if index == k as f64 { 1.0 } else { 0.0 };
        }
    },
    grad: Grad::Zero,
    emit: Emit::Parts(|p, args, params| {
        (0..params[0])
            .map(|k| {
                let index = p.constant(k as f64);
                p.make("tf_onehot($0, $1)", &[args[0][0], index])
            })
            .collect()
    }),
    expand: None,
    domain: &[(0.0, 2.4)],
};

/// The indices that `pick` takes.
fn picked(dim: usize, params: &[i64]) -> Result<usize, String> {
    match lists(params)?[..] {
        [[]] => Err("the list of indices is empty".into()),
        [indices] => {
            indices.iter().try_for_each(|&m| position(m, dim).map(|_| ()))?;
            length(indices.len() as i64)
        }
        ref other => Err(format!("{} lists follow the argument, but there is 1", other.len())),
    }
}

/// The indices of a node, which were checked when it was built.
fn indices(params: &[i64]) -> impl Iterator<Item = usize> + '_ {
    let all = lists(params).unwrap_or_default();
    all.first().copied().unwrap_or_default().iter().map(|&m| m as usize)
}

/// Components by their indices.
pub const PICK: OpDef = OpDef {
    name: "pick",
    aliases: &[],
    doc: "The components at a literal list of indices, from 0, in the order of the list; an index \
          may occur several times.",
    arity: 1,
    params: LISTS,
    shape: |dims, params| picked(dims[0], params),
    eval: |args, params, out| {
        for (o, m) in out.iter_mut().zip(indices(params)) {
            *o = args[0][m];
        }
    },
    grad: Grad::Vjp(|f, c, seed| {
        let n = [f.dim(c.args[0]) as i64];
        let list: Vec<i64> = indices(c.params).map(|m| m as i64).collect();
        vec![Some(f.apply(Op::Scatter, &[seed], &pack_lists(&[&list, &n])))]
    }),
    emit: Emit::Move(|_, params, c| indices(params).nth(c).map(|m| (0, m))),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Components added at their indices.
pub const SCATTER: OpDef = OpDef {
    name: "scatter",
    aliases: &[],
    doc: "The adjoint of pick, for a literal list of indices and a list that holds a length: a \
          vector of that length in which component k of f is added at the index k of the list, \
          and 0 where there is none.",
    arity: 1,
    params: LISTS,
    shape: |dims, params| match lists(params)?[..] {
        [indices, &[n]] if indices.len() == dims[0] => {
            let n = length(n)?;
            picked(n, &pack_lists(&[indices])).map(|_| n)
        }
        [indices, &[_]] => Err(format!("{} indices for {} components", indices.len(), dims[0])),
        _ => Err("a list of indices and a list of one length follow the argument".into()),
    },
    eval: |args, params, out| {
        let mut first = vec![true; out.len()];
        out.fill(0.0);
        for (m, a) in indices(params).zip(args[0]) {
            out[m] = if std::mem::take(&mut first[m]) { *a } else { out[m] + a };
        }
    },
    grad: Grad::Vjp(|f, c, seed| {
        let list: Vec<i64> = indices(c.params).map(|m| m as i64).collect();
        vec![Some(f.apply(Op::Pick, &[seed], &pack_lists(&[&list])))]
    }),
    emit: Emit::Parts(|p, args, params| {
        let n = params.last().map_or(0, |&n| n as usize);
        let mut sums = vec![None; n];
        for (m, &part) in indices(params).zip(&args[0]) {
            sums[m] = Some(match sums[m] {
                None => part,
                Some(sum) => p.make("$0 + $1", &[sum, part]),
            });
        }
        sums.into_iter().map(|sum| sum.unwrap_or_else(|| p.constant(0.0))).collect()
    }),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Components from the last to the first.
pub const REVERSE: OpDef = OpDef {
    name: "reverse",
    aliases: &[],
    doc: "The components from the last to the first.",
    arity: 1,
    params: 0,
    shape: |dims, _| Ok(dims[0]),
    eval: |args, _, out| {
        for (o, a) in out.iter_mut().rev().zip(args[0]) {
            *o = *a;
        }
    },
    grad: Grad::Vjp(|f, _, seed| vec![Some(f.apply(Op::Reverse, &[seed], &[]))]),
    emit: Emit::Move(|dims, _, c| Some((0, dims[0] - 1 - c))),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Rows and columns exchanged.
pub const TRANSPOSE: OpDef = OpDef {
    name: "transpose",
    aliases: &[],
    doc: "The transpose of a matrix of a literal number of rows, row by row.",
    arity: 1,
    params: 1,
    shape: |dims, params| match usize::try_from(params[0]) {
        Ok(rows) if rows > 0 && dims[0].is_multiple_of(rows) => Ok(dims[0]),
        _ => Err(format!("{} components do not make {} rows", dims[0], params[0])),
    },
    eval: |args, params, out| {
        let rows = params[0] as usize;
        let columns = out.len() / rows;
        for (k, o) in out.iter_mut().enumerate() {
            *o = args[0][k % rows * columns + k / rows];
        }
    },
    grad: Grad::Vjp(|f, c, seed| {
        let columns = f.dim(seed) as i64 / c.params[0];
        vec![Some(f.apply(Op::Transpose, &[seed], &[columns]))]
    }),
    emit: Emit::Move(|dims, params, c| {
        let rows = params[0] as usize;
        Some((0, c % rows * (dims[0] / rows) + c / rows))
    }),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

#[cfg(test)]
mod tests {
    use super::super::tests::{check_refusals, check_vectors};

    #[test]
    fn edge_values() {
        let v: &[f64] = &[1.0, 2.0, 3.0];
        check_vectors(&[
            ("sum_t", &[3], &[&[7.0]], &[7.0; 3]),
            ("elem", &[0], &[v], &[1.0]),
            ("elem", &[2], &[v], &[3.0]),
            ("elem_t", &[3, 2], &[&[7.0]], &[0.0, 0.0, 7.0]),
            ("extract", &[0, 3], &[v], v),
            ("extract", &[2, 1], &[v], &[3.0]),
            ("extract_t", &[1, 4], &[v], &[0.0, 1.0, 2.0, 3.0]),
            ("concat", &[], &[v, &[4.0]], &[1.0, 2.0, 3.0, 4.0]),
            ("pick", &[4, 2, 0, 0, 1], &[v], &[3.0, 1.0, 1.0, 2.0]),
            ("scatter", &[4, 2, 0, 0, 2, 1, 4], &[&[1.0, 2.0, 3.0, -0.0]], &[5.0, 0.0, 1.0, 0.0]),
            ("scatter", &[1, 1, 1, 2], &[&[-0.0]], &[0.0, -0.0]),
            ("reverse", &[], &[v], &[3.0, 2.0, 1.0]),
            ("transpose", &[1], &[v], v),
            ("transpose", &[2], &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]], &[1., 4., 2., 5., 3., 6.]),
            ("one_hot", &[2], &[&[1.0]], &[0.0, 1.0]),
            ("one_hot", &[2], &[&[-0.7]], &[1.0, 0.0]),
            ("one_hot", &[2], &[&[0.5]], &[0.0, 1.0]),
            ("one_hot", &[2], &[&[2.0]], &[0.0, 0.0]),
            ("one_hot", &[2], &[&[-1.6]], &[0.0, 0.0]),
            ("one_hot", &[2], &[&[f64::NAN]], &[0.0, 0.0]),
            ("one_hot", &[2], &[&[f64::INFINITY]], &[0.0, 0.0]),
        ]);
    }

    #[test]
    fn refusals() {
        let index = |m: i64| {
            format!("elem: the index is {m}, but a vector of 3 components has indices 0 to 2")
        };
        let length = |op: &str, n: i64| {
            format!("{op}: the length is {n}, but a vector has 1 to 65536 components")
        };
        let slice = |op: &str, start: i64, len: usize, dim: usize| {
            format!(
                "{op}: {len} components from index {start} on do not lie in a vector of {dim} \
                 components"
            )
        };
        check_refusals(&[
            (
                "pick",
                &[2],
                &[2, 0, 2],
                "pick: the index is 2, but a vector of 2 components has indices 0 to 1",
            ),
            ("pick", &[2], &[0], "pick: the list of indices is empty"),
            ("pick", &[2], &[1, 0, 1, 0], "pick: 2 lists follow the argument, but there is 1"),
            ("pick", &[2], &[2, 0], "pick: [2, 0] are no lists with their lengths"),
            ("pick", &[2], &[-1], "pick: [-1] are no lists with their lengths"),
            ("scatter", &[2], &[1, 0, 1, 3], "scatter: 1 indices for 2 components"),
            (
                "scatter",
                &[1],
                &[1, 3, 1, 3],
                "scatter: the index is 3, but a vector of 3 components has indices 0 to 2",
            ),
            (
                "scatter",
                &[1],
                &[1, 0],
                "scatter: a list of indices and a list of one length follow the argument",
            ),
            ("scatter", &[1], &[1, 0, 1, 0], &length("scatter", 0)),
            ("transpose", &[6], &[4], "transpose: 6 components do not make 4 rows"),
            ("transpose", &[6], &[0], "transpose: 6 components do not make 0 rows"),
            ("elem", &[3], &[3], &index(3)),
            ("elem", &[3], &[-1], &index(-1)),
            ("elem", &[3], &[i64::MIN], &index(i64::MIN)),
            ("sum_t", &[1], &[0], &length("sum_t", 0)),
            ("sum_t", &[2], &[3], "sum_t: the argument must be a scalar, but it has 2 components"),
            ("one_hot", &[1], &[65537], &length("one_hot", 65537)),
            ("one_hot", &[1], &[-1], &length("one_hot", -1)),
            ("elem_t", &[1], &[0, 0], &length("elem_t", 0)),
            (
                "elem_t",
                &[1],
                &[2, -1],
                "elem_t: the index is -1, but a vector of 2 components has indices 0 to 1",
            ),
            ("extract", &[3], &[2, 2], &slice("extract", 2, 2, 3)),
            ("extract", &[3], &[-1, 2], &slice("extract", -1, 2, 3)),
            ("extract", &[3], &[i64::MAX, 1], &slice("extract", i64::MAX, 1, 3)),
            ("extract", &[3], &[0, 0], &length("extract", 0)),
            ("extract_t", &[2], &[1, 2], &slice("extract_t", 1, 2, 2)),
            ("extract_t", &[2], &[-1, 4], &slice("extract_t", -1, 2, 4)),
            (
                "concat",
                &[65536, 1],
                &[],
                "concat: the result would have 65537 components, the limit is 65536",
            ),
        ]);
    }
}
