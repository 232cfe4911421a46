//! Components of a vector one after the other: running sums and products, recurrences.
//!
//! What goes in: nothing. What comes out: rooms of the op table. Derivatives run the recurrence
//! backwards; none divides by a component, so they are right where components are 0.

use crate::ir::{ExprId, Formula};

use super::{Emit, Grad, Op, OpDef, Part, Parts};

/// The components of `seed` summed from the last to each: the adjoint of a running sum.
fn backwards(f: &mut Formula, op: Op, args: &[ExprId]) -> ExprId {
    let turned: Vec<ExprId> = args.iter().map(|&a| f.apply(Op::Reverse, &[a], &[])).collect();
    let run = f.apply(op, &turned, &[]);
    f.apply(Op::Reverse, &[run], &[])
}

/// The solution `c` of `c_k = seed_k + a_(k+1) c_(k+1)`, from the last component to the first.
fn recur_backwards(f: &mut Formula, a: ExprId, seed: ExprId) -> ExprId {
    let n = f.dim(a) as i64;
    // Factor k + 1 belongs to component k; the first factor is not used by either direction.
    let first = f.apply(Op::Elem, &[a], &[0]);
    let rest = f.apply(Op::Extract, &[a], &[1, n - 1]);
    let factors = f.apply(Op::Concat, &[rest, first], &[]);
    backwards(f, Op::Scan, &[factors, seed])
}

/// The components before the last, after a first one that is given.
fn delayed(f: &mut Formula, first: f64, v: ExprId) -> ExprId {
    let n = f.dim(v) as i64;
    let first = f.constant(first);
    let rest = f.apply(Op::Extract, &[v], &[0, n - 1]);
    f.apply(Op::Concat, &[first, rest], &[])
}

/// Folds from the left and keeps every step.
fn running(p: &mut dyn Parts, parts: &[Part], code: &'static str) -> Vec<Part> {
    let mut out = vec![parts[0]];
    for (k, &part) in parts.iter().enumerate().skip(1) {
        out.push(p.make(code, &[out[k - 1], part]));
    }
    out
}

fn same(dims: &[usize], _: &[i64]) -> Result<usize, String> {
    Ok(dims[0])
}

/// Running sum.
pub const CUM_SUM: OpDef = OpDef {
    name: "cumsum",
    aliases: &[],
    doc: "Component k is the sum of the components up to k.",
    arity: 1,
    params: 0,
    shape: same,
    eval: |args, _, out| {
        out[0] = args[0][0];
        for k in 1..out.len() {
            out[k] = out[k - 1] + args[0][k];
        }
    },
    grad: Grad::Vjp(|f, _, seed| vec![Some(backwards(f, Op::CumSum, &[seed]))]),
    emit: Emit::Parts(|p, args, _| running(p, &args[0], "$0 + $1")),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Running product.
pub const CUM_PROD: OpDef = OpDef {
    name: "cumprod",
    aliases: &[],
    doc: "Component k is the product of the components up to k. The gradient is exact where \
          components are 0.",
    arity: 1,
    params: 0,
    shape: same,
    eval: |args, _, out| {
        out[0] = args[0][0];
        for k in 1..out.len() {
            out[k] = out[k - 1] * args[0][k];
        }
    },
    grad: Grad::Vjp(|f, c, seed| {
        if f.dim(seed) == 1 {
            return vec![Some(seed)];
        }
        // Component l is in every product from l on: those before it, times what follows.
        let before = delayed(f, 1.0, c.out);
        let after = recur_backwards(f, c.args[0], seed);
        vec![Some(f.mul(before, after))]
    }),
    emit: Emit::Parts(|p, args, _| running(p, &args[0], "$0 * $1")),
    expand: None,
    domain: &[(-2.0, 2.0)],
};

/// Linear recurrence.
pub const SCAN: OpDef = OpDef {
    name: "scan",
    aliases: &[],
    doc: "Linear recurrence: component 0 is g_0, and component k is f_k times component k - 1, \
          plus g_k. f_0 is not used.",
    arity: 2,
    params: 0,
    shape: |dims, _| match dims[0] == dims[1] {
        true => Ok(dims[0]),
        false => Err(format!("dimensions {} and {} do not match", dims[0], dims[1])),
    },
    eval: |args, _, out| {
        out[0] = args[1][0];
        for k in 1..out.len() {
            out[k] = args[0][k] * out[k - 1] + args[1][k];
        }
    },
    grad: Grad::Vjp(|f, c, seed| {
        let n = f.dim(seed) as i64;
        if n == 1 {
            return vec![None, Some(seed)];
        }
        let adjoint = recur_backwards(f, c.args[0], seed);
        let before = f.apply(Op::Extract, &[c.out], &[0, n - 1]);
        let after = f.apply(Op::Extract, &[adjoint], &[1, n - 1]);
        let products = f.mul(after, before);
        let of_factors = f.apply(Op::ExtractT, &[products], &[1, n]);
        vec![Some(of_factors), Some(adjoint)]
    }),
    emit: Emit::Parts(|p, args, _| {
        let mut out = vec![args[1][0]];
        for k in 1..args[1].len() {
            out.push(p.make("$0 * $1 + $2", &[args[0][k], out[k - 1], args[1][k]]));
        }
        out
    }),
    expand: None,
    domain: &[(-1.5, 1.5), (-2.0, 2.0)],
};

/// Product of the components.
pub const PROD: OpDef = OpDef {
    name: "prod",
    aliases: &[],
    doc: "Product of the components. The gradient is exact where components are 0.",
    arity: 1,
    params: 0,
    shape: |_, _| Ok(1),
    eval: |args, _, out| out[0] = args[0].iter().product(),
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let last = f.dim(args[0]) as i64 - 1;
        let all = f.apply(Op::CumProd, args, &[]);
        f.apply(Op::Elem, &[all], &[last])
    }),
    domain: &[(-2.0, 2.0)],
};

/// Mean of the components.
pub const MEAN: OpDef = OpDef {
    name: "mean",
    aliases: &[],
    doc: "Sum of the components divided by their number.",
    arity: 1,
    params: 0,
    shape: |_, _| Ok(1),
    eval: |args, _, out| out[0] = args[0].iter().sum::<f64>() / args[0].len() as f64,
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, _| {
        let count = f.constant(f.dim(args[0]) as f64);
        let sum = f.sum_components(args[0]);
        f.div(sum, count)
    }),
    domain: &[(-2.0, 2.0)],
};

#[cfg(test)]
mod tests {
    use super::super::Op;
    use super::super::tests::{adjoints, check_refusals, check_vectors};

    const INF: f64 = f64::INFINITY;

    #[test]
    fn edge_values() {
        check_vectors(&[
            ("cumsum", &[], &[&[1.0, 2.0, INF, -INF]], &[1.0, 3.0, INF, f64::NAN]),
            ("cumsum", &[], &[&[-0.0]], &[-0.0]),
            ("cumprod", &[], &[&[2.0, 0.0, -3.0, INF]], &[2.0, 0.0, -0.0, f64::NAN]),
            ("scan", &[], &[&[f64::NAN, 2.0, 3.0], &[1.0, 0.0, 0.5]], &[1.0, 2.0, 6.5]),
            ("prod", &[], &[&[2.0, -0.0, 3.0]], &[-0.0]),
            ("mean", &[], &[&[1.0, 2.0, 4.5]], &[2.5]),
        ]);
    }

    #[test]
    fn derivatives_of_products_hold_at_zeros() {
        let seed = [1.0, 1.0, 1.0];
        let at = |v: [f64; 3]| adjoints(Op::CumProd, &[], &[v.to_vec()], &seed).remove(0);
        // The derivatives of a + a b + a b c.
        assert_eq!(at([0.0, 5.0, 7.0]), [1.0 + 5.0 + 35.0, 0.0, 0.0]);
        assert_eq!(at([2.0, 0.0, 7.0]), [1.0, 2.0 + 14.0, 0.0]);
        assert_eq!(at([2.0, 0.0, 0.0]), [1.0, 2.0, 0.0]);
    }

    #[test]
    fn refusals() {
        check_refusals(&[
            ("scan", &[3, 2], &[], "scan: dimensions 3 and 2 do not match"),
            ("scan", &[1, 2], &[], "scan: dimensions 1 and 2 do not match"),
        ]);
    }
}
