//! Contractions of tensors held by one row of components, row-major.
//!
//! What goes in: nothing. What comes out: rooms of the op table, and [`Contraction`], which says
//! which components meet in a sum of products. The lengths of the axes are literal lists, checked
//! when the node is built; no kernel ever looks at them.

use crate::ir::MAX_DIM;

use super::{Emit, Grad, LISTS, Op, OpDef, lists, pack_lists};

/// Most axes of a tensor. The longest vector has 16 axes that are longer than 1.
const MAX_RANK: usize = 64;

/// One axis that two tensors run along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stride {
    /// Its length.
    pub len: usize,
    /// How many components of the first argument a step passes; 0 where it does not move.
    pub f: usize,
    /// The same of the second argument.
    pub g: usize,
}

/// A sum of products: component `k` of the result, whose digits run along `kept`, is the sum over
/// `summed` of the product of a component of each argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contraction {
    /// Axes of the result, the slowest first.
    pub kept: Vec<Stride>,
    /// Axes that are summed over, the slowest first.
    pub summed: Vec<Stride>,
}

impl Contraction {
    /// A contraction along some axes. Axes that are walked as one become one, axes of length 1
    /// disappear; the order of components and terms stays.
    pub fn new(kept: &[Stride], summed: &[Stride]) -> Contraction {
        Contraction { kept: merged(kept), summed: merged(summed) }
    }

    /// Components of the result.
    pub fn dim(&self) -> usize {
        count(&self.kept)
    }

    /// Products summed into each of them.
    pub fn terms(&self) -> usize {
        count(&self.summed)
    }

    /// The components of both arguments that component `k` of the result starts at.
    pub fn start(&self, k: usize) -> (usize, usize) {
        let mut rest = k;
        self.kept.iter().rev().fold((0, 0), |(f, g), axis| {
            let digit = rest % axis.len;
            rest /= axis.len;
            (f + digit * axis.f, g + digit * axis.g)
        })
    }

    /// How far the terms of one component are from its start, in the order of the sum.
    pub fn steps(&self) -> Vec<(usize, usize)> {
        self.summed.iter().fold(vec![(0, 0)], |all, axis| {
            let along = |(f, g): (usize, usize)| {
                (0..axis.len).map(move |n| (f + n * axis.f, g + n * axis.g))
            };
            all.into_iter().flat_map(along).collect()
        })
    }

    /// The meaning in float64.
    pub fn eval(&self, f: &[f64], g: &[f64], out: &mut [f64]) {
        let steps = self.steps();
        for (k, o) in out.iter_mut().enumerate() {
            let (at_f, at_g) = self.start(k);
            *o = steps.iter().map(|(df, dg)| f[at_f + df] * g[at_g + dg]).sum();
        }
    }
}

fn count(axes: &[Stride]) -> usize {
    axes.iter().map(|axis| axis.len).product()
}

fn merged(axes: &[Stride]) -> Vec<Stride> {
    let mut out: Vec<Stride> = Vec::new();
    for &axis in axes.iter().filter(|axis| axis.len > 1) {
        match out.last_mut() {
            Some(last) if last.f == axis.len * axis.f && last.g == axis.len * axis.g => {
                *last = Stride { len: last.len * axis.len, ..axis };
            }
            _ => out.push(axis),
        }
    }
    out
}

/// The lists of a `tensordot`, which fit.
struct Tensors {
    dims: [Vec<usize>; 2],
    /// The contracted axes of both arguments, pair by pair.
    contracted: [Vec<usize>; 2],
    /// Where each axis goes: the kept ones of the first argument, then those of the second.
    perm: Vec<usize>,
}

impl Tensors {
    fn new(dims: &[usize], params: &[i64]) -> Result<Tensors, String> {
        let (dims_fg, contracted, perm) = match lists(params)?[..] {
            [df, dg, cf, cg] => ([df, dg], [cf, cg], None),
            [df, dg, cf, cg, perm] => ([df, dg], [cf, cg], Some(perm)),
            ref other => {
                return Err(format!(
                    "{} lists follow the arguments, but there are 4 or 5: the axes of both, the \
                     contracted axes of both, and the permutation of the result's axes",
                    other.len()
                ));
            }
        };
        let first = axes("first", dims_fg[0], dims[0])?;
        let second = axes("second", dims_fg[1], dims[1])?;
        let cf = chosen("first", contracted[0], first.len())?;
        let cg = chosen("second", contracted[1], second.len())?;
        if cf.len() != cg.len() {
            return Err(format!(
                "{} axes of the first argument are contracted with {} of the second",
                cf.len(),
                cg.len()
            ));
        }
        if let Some((&a, &b)) = cf.iter().zip(&cg).find(|(a, b)| first[**a] != second[**b]) {
            return Err(format!(
                "axis {a} of the first argument has length {}, but axis {b} of the second, which \
                 it is contracted with, has length {}",
                first[a], second[b]
            ));
        }
        let rank = first.len() + second.len() - 2 * cf.len();
        let perm = match perm {
            None => (0..rank).collect(),
            Some(perm) => permutation(perm, rank)?,
        };
        Ok(Tensors { dims: [first, second], contracted: [cf, cg], perm })
    }

    /// The lists of a node, which were checked when it was built.
    fn known(params: &[i64]) -> Tensors {
        let dims = |list: &[i64]| list.iter().map(|&n| n as usize).product();
        let all = lists(params).unwrap_or_default();
        let dims: Vec<usize> = all.iter().take(2).map(|list| dims(list)).collect();
        Tensors::new(&dims, params).unwrap_or_else(|why| panic!("internal: tensordot: {why}"))
    }

    /// The axes of an argument that are not contracted, in order.
    fn kept(&self, n: usize) -> Vec<usize> {
        (0..self.dims[n].len()).filter(|axis| !self.contracted[n].contains(axis)).collect()
    }

    /// The lengths of the result's axes.
    fn result(&self) -> Vec<usize> {
        let lens = (0..2).flat_map(|n| self.kept(n).into_iter().map(move |a| self.dims[n][a]));
        placed(lens.zip(self.perm.iter().copied()))
    }

    fn contraction(&self) -> Contraction {
        let steps: Vec<Vec<usize>> = self.dims.iter().map(|dims| row_major(dims)).collect();
        let of_f = self.kept(0).into_iter().map(|a| (self.dims[0][a], steps[0][a], 0));
        let of_g = self.kept(1).into_iter().map(|a| (self.dims[1][a], 0, steps[1][a]));
        let kept = of_f.chain(of_g).map(|(len, f, g)| Stride { len, f, g });
        let pairs = self.contracted[0].iter().zip(&self.contracted[1]);
        let summed: Vec<Stride> = pairs
            .map(|(&a, &b)| Stride { len: self.dims[0][a], f: steps[0][a], g: steps[1][b] })
            .collect();
        Contraction::new(&placed(kept.zip(self.perm.iter().copied())), &summed)
    }

    /// The parameters of the contraction that is the adjoint of argument `n`: the result's adjoint
    /// meets the other argument along the axes that came from it. What is left are axes of `n`, in
    /// some order; the permutation puts them back.
    fn adjoint(&self, n: usize) -> Vec<i64> {
        let other = 1 - n;
        let split = self.perm.split_at(self.kept(0).len());
        let (mine, others) = if n == 0 { split } else { (split.1, split.0) };
        let mut of_seed: Vec<(usize, usize)> = mine.iter().copied().zip(self.kept(n)).collect();
        let pairs = self.contracted[other].iter().copied();
        let mut of_other: Vec<(usize, usize)> =
            pairs.zip(self.contracted[n].iter().copied()).collect();
        of_seed.sort_unstable();
        of_other.sort_unstable();
        let seed = [self.result(), others.to_vec()];
        let arg = [self.dims[other].clone(), self.kept(other)];
        let goes = |list: &[(usize, usize)]| -> Vec<usize> { list.iter().map(|p| p.1).collect() };
        let ([first, second], perm) = match n {
            0 => ([seed, arg], [goes(&of_seed), goes(&of_other)].concat()),
            _ => ([arg, seed], [goes(&of_other), goes(&of_seed)].concat()),
        };
        let perm = if perm.is_sorted() { None } else { Some(&perm) };
        let all = [&first[0], &second[0], &first[1], &second[1]].into_iter().chain(perm);
        let all: Vec<Vec<i64>> = all.map(|l| l.iter().map(|&n| n as i64).collect()).collect();
        pack_lists(&all.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

/// The lengths of an argument's axes.
fn axes(which: &str, list: &[i64], dim: usize) -> Result<Vec<usize>, String> {
    let len = |&n: &i64| match usize::try_from(n) {
        Ok(len @ 1..=MAX_DIM) => Ok(len),
        _ => Err(format!("an axis of the {which} argument has length {n}; lengths are 1 or more")),
    };
    if list.len() > MAX_RANK {
        let found = list.len();
        return Err(format!("the {which} argument has {found} axes, the limit is {MAX_RANK}"));
    }
    let lens: Vec<usize> = list.iter().map(len).collect::<Result<_, _>>()?;
    match lens.iter().try_fold(1usize, |all, &len| all.checked_mul(len)) {
        Some(found) if found == dim => Ok(lens),
        _ => Err(format!(
            "the {which} argument has {dim} components, which axes of lengths {list:?} do not make"
        )),
    }
}

/// Axes that are named, each once.
fn chosen(which: &str, list: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let mut out = Vec::new();
    for &n in list {
        match usize::try_from(n).ok().filter(|&axis| axis < rank) {
            None => {
                return Err(format!(
                    "there is no axis {n}: the {which} argument has {rank} axes, counted from 0"
                ));
            }
            Some(axis) if out.contains(&axis) => {
                return Err(format!("axis {axis} of the {which} argument is contracted twice"));
            }
            Some(axis) => out.push(axis),
        }
    }
    Ok(out)
}

fn permutation(list: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let mut sorted = list.to_vec();
    sorted.sort_unstable();
    match sorted.iter().copied().eq(0..rank as i64) {
        true => Ok(list.iter().map(|&n| n as usize).collect()),
        false => Err(format!("{list:?} is no permutation of the {rank} axes of the result")),
    }
}

/// Puts each value at its position.
fn placed<T>(values: impl Iterator<Item = (T, usize)>) -> Vec<T> {
    let mut all: Vec<(T, usize)> = values.collect();
    all.sort_by_key(|(_, position)| *position);
    all.into_iter().map(|(value, _)| value).collect()
}

/// How many components a step along each axis passes.
fn row_major(dims: &[usize]) -> Vec<usize> {
    (0..dims.len()).map(|axis| dims[axis + 1..].iter().product()).collect()
}

/// Contraction of two tensors, as numpy's `tensordot`.
pub const TENSOR_DOT: OpDef = OpDef {
    name: "tensordot",
    aliases: &["TensorDot"],
    doc: "Contraction of two tensors, row-major, for the lists of the lengths of their axes, of \
          the contracted axes of each, and optionally of where the axes of the result go: the \
          kept axes of f, then those of g, are moved to these positions. Without contracted axes \
          it is the outer product.",
    arity: 2,
    params: LISTS,
    shape: |dims, params| Ok(Tensors::new(dims, params)?.result().iter().product()),
    eval: |args, params, out| Tensors::known(params).contraction().eval(args[0], args[1], out),
    grad: Grad::Vjp(|f, c, seed| {
        let tensors = Tensors::known(c.params);
        vec![
            Some(f.apply(Op::TensorDot, &[seed, c.args[1]], &tensors.adjoint(0))),
            Some(f.apply(Op::TensorDot, &[c.args[0], seed], &tensors.adjoint(1))),
        ]
    }),
    emit: Emit::Contract(|_, params| Tensors::known(params).contraction()),
    expand: None,
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

/// Kronecker product of two tensors, as numpy's `kron`.
pub const KRON: OpDef = OpDef {
    name: "kron",
    aliases: &["Kron"],
    doc: "Kronecker product of two tensors, row-major, for the lists of the lengths of their \
          axes, which are equally many: the axes of the result have the products of the lengths.",
    arity: 2,
    params: LISTS,
    shape: |dims, params| kron_lists(dims, params).map(|()| dims[0] * dims[1]),
    eval: |args, params, out| {
        let all = lists(params).unwrap_or_default();
        let lens = |n: usize| -> Vec<usize> { all[n].iter().map(|&n| n as usize).collect() };
        let [df, dg] = [lens(0), lens(1)];
        for (at_f, a) in args[0].iter().enumerate() {
            for (at_g, b) in args[1].iter().enumerate() {
                let (mut f, mut g, mut at, mut step) = (at_f, at_g, 0, 1);
                for (lf, lg) in df.iter().zip(&dg).rev() {
                    at += step * (f % lf * lg + g % lg);
                    (f, g, step) = (f / lf, g / lg, step * lf * lg);
                }
                out[at] = a * b;
            }
        }
    },
    grad: Grad::Expanded,
    emit: Emit::Expanded,
    expand: Some(|f, args, params| {
        let all = lists(params).unwrap_or_default();
        let rank = all[0].len() as i64;
        let perm: Vec<i64> = (0..rank).map(|k| 2 * k).chain((0..rank).map(|k| 2 * k + 1)).collect();
        f.apply(Op::TensorDot, args, &pack_lists(&[all[0], all[1], &[], &[], &perm]))
    }),
    domain: &[(-2.0, 2.0), (-2.0, 2.0)],
};

fn kron_lists(dims: &[usize], params: &[i64]) -> Result<(), String> {
    match lists(params)?[..] {
        [df, dg] if df.len() == dg.len() => {
            axes("first", df, dims[0])?;
            axes("second", dg, dims[1]).map(|_| ())
        }
        [df, dg] => Err(format!(
            "the first argument has {} axes and the second {}; give both equally many, of length 1 \
             where there is none",
            df.len(),
            dg.len()
        )),
        ref other => Err(format!(
            "{} lists follow the arguments, but there are 2: the axes of both",
            other.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{adjoints, check_refusals, check_vectors};
    use super::super::{Op, pack_lists};
    use super::{Contraction, Stride};

    #[test]
    fn values() {
        let a: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let b: &[f64] = &[1.0, 0.0, 0.0, 1.0, 2.0, 3.0];
        let lists = |all: &[&[i64]]| pack_lists(all);
        check_vectors(&[
            // The product of a 2 x 3 and a 3 x 2 matrix, and its transpose.
            ("tensordot", &lists(&[&[2, 3], &[3, 2], &[1], &[0]]), &[a, b], &[7., 11., 16., 23.]),
            (
                "tensordot",
                &lists(&[&[2, 3], &[3, 2], &[1], &[0], &[1, 0]]),
                &[a, b],
                &[7.0, 16.0, 11.0, 23.0],
            ),
            ("tensordot", &lists(&[&[6], &[6], &[0], &[0]]), &[a, b], &[33.0]),
            (
                "tensordot",
                &lists(&[&[2], &[2], &[], &[]]),
                &[&[1., 2.], &[3., 4.]],
                &[3., 4., 6., 8.],
            ),
            ("kron", &lists(&[&[1, 2], &[2, 1]]), &[&[1., 2.], &[3., 4.]], &[3., 6., 4., 8.]),
        ]);
    }

    /// Axis k of the result before the permutation is axis `perm[k]` after it.
    #[test]
    fn a_permutation_says_where_axes_go() {
        let lens = pack_lists(&[&[2, 3, 4], &[1], &[], &[], &[2, 0, 1, 3]]);
        let f: Vec<f64> = (0..24).map(f64::from).collect();
        let mut out = vec![0.0; 24];
        (Op::TensorDot.def().eval)(&[&f, &[1.0]], &lens, &mut out);
        for (a, b, c) in [(0, 0, 0), (1, 2, 3), (1, 0, 2), (0, 2, 1)] {
            assert_eq!(out[(b * 4 + c) * 2 + a], f[(a * 3 + b) * 4 + c]);
        }
    }

    #[test]
    fn axes_that_are_walked_as_one_become_one() {
        let axis = |len, f, g| Stride { len, f, g };
        let c = Contraction::new(
            &[axis(2, 12, 0), axis(1, 7, 7), axis(3, 4, 0), axis(4, 1, 0), axis(5, 0, 1)],
            &[axis(1, 1, 1)],
        );
        assert_eq!(c.kept, [axis(24, 1, 0), axis(5, 0, 1)]);
        assert_eq!((c.dim(), c.terms(), c.start(119)), (120, 1, (23, 4)));
    }

    #[test]
    fn an_adjoint_of_a_scalar_is_the_other_factor() {
        let found = adjoints(Op::TensorDot, &[0, 0, 0, 0], &[vec![2.0], vec![3.0]], &[5.0]);
        assert_eq!(found, [[15.0], [10.0]]);
    }

    #[test]
    fn refusals() {
        let refuse = |lists: &[&[i64]], why: &str| {
            let message = format!("tensordot: {why}");
            check_refusals(&[("tensordot", &[6, 6], &pack_lists(lists), &message)]);
        };
        refuse(
            &[&[2, 3], &[3, 2], &[1]],
            "3 lists follow the arguments, but there are 4 or 5: the axes of both, the contracted \
             axes of both, and the permutation of the result's axes",
        );
        refuse(
            &[&[2, 2], &[3, 2], &[1], &[0]],
            "the first argument has 6 components, which axes of lengths [2, 2] do not make",
        );
        refuse(
            &[&[2, 3], &[65536, 65536, 65536, 65536], &[1], &[0]],
            "the second argument has 6 components, which axes of lengths [65536, 65536, 65536, \
             65536] do not make",
        );
        refuse(
            &[&[2, -3], &[3, 2], &[1], &[0]],
            "an axis of the first argument has length -3; lengths are 1 or more",
        );
        refuse(
            &[&[2, 3], &[3, 2], &[2], &[0]],
            "there is no axis 2: the first argument has 2 axes, counted from 0",
        );
        refuse(
            &[&[2, 3], &[3, 2], &[1], &[-1]],
            "there is no axis -1: the second argument has 2 axes, counted from 0",
        );
        refuse(
            &[&[2, 3], &[3, 2], &[1, 1], &[0, 1]],
            "axis 1 of the first argument is contracted twice",
        );
        refuse(
            &[&[2, 3], &[3, 2], &[1], &[0, 1]],
            "1 axes of the first argument are contracted with 2 of the second",
        );
        refuse(
            &[&[2, 3], &[3, 2], &[0], &[0]],
            "axis 0 of the first argument has length 2, but axis 0 of the second, which it is \
             contracted with, has length 3",
        );
        refuse(
            &[&[2, 3], &[3, 2], &[1], &[0], &[0, 2]],
            "[0, 2] is no permutation of the 2 axes of the result",
        );
        refuse(&[&[1; 65], &[], &[], &[]], "the first argument has 65 axes, the limit is 64");
        let most = [1; 64];
        let why = format!(
            "the first argument has 6 components, which axes of lengths {most:?} do not make"
        );
        refuse(&[&most, &[], &[], &[]], &why);
        check_refusals(&[
            (
                "tensordot",
                &[300, 300],
                &pack_lists(&[&[300], &[300], &[], &[]]),
                "tensordot: the result would have 90000 components, the limit is 65536",
            ),
            (
                "kron",
                &[4, 4],
                &pack_lists(&[&[2, 2], &[4]]),
                "kron: the first argument has 2 axes and the second 1; give both equally many, of \
                 length 1 where there is none",
            ),
            (
                "kron",
                &[4, 4],
                &pack_lists(&[&[4]]),
                "kron: 1 lists follow the arguments, but there are 2: the axes of both",
            ),
        ]);
    }
}
