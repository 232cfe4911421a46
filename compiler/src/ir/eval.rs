//! The meaning of a formula: a dense float64 evaluation, row by row, that every other executor is
//! compared with.
//!
//! In go a formula, the numbers of rows of both indices and one array for each input; out comes
//! one array for each output. Integers are float64 here, exact up to 2^53; an input beyond is
//! refused. Values of one index are computed once a row and stored, nested reductions among
//! them; pair values are computed again for each reduction that folds them and never stored, so
//! memory is linear in the rows. Nothing here is fast, and nothing panics on arrays that do not
//! fit.

use std::borrow::Cow;

use thiserror::Error;

use crate::ops::Op;
use crate::reduce::Row;

use super::arena::{ExprId, Formula, Input, Node, Reduction};
use super::types::{Axis, Kind, Stratum};

/// Rows of components, one row after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Number of rows.
    pub rows: usize,
    /// Number of components of a row.
    pub cols: usize,
    /// `rows * cols` numbers.
    pub data: Vec<f64>,
}

/// Why a formula cannot be evaluated on some arrays.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum EvalError {
    /// The arrays are not those that the formula takes.
    #[error("{0}")]
    Shape(String),
    /// A reduction has too few rows for a result to exist.
    #[error("{0}")]
    Rows(String),
    /// A value does not fit into memory.
    #[error("{0}")]
    Memory(String),
    /// An integer input holds something else, or an integer beyond 2^53.
    #[error("{0}")]
    Integer(String),
}

/// Evaluates every output of `f` for `m` rows of `i` and `n` rows of `j`.
///
/// # Errors
/// When an input has the wrong shape, a reduction has too few rows or a value does not fit into
/// memory.
pub fn evaluate(
    f: &Formula,
    m: usize,
    n: usize,
    inputs: &[Matrix],
) -> Result<Vec<Matrix>, EvalError> {
    check_inputs(f, m, n, inputs)?;
    let mut run = Run { f, sizes: [m, n], inputs, values: vec![None; f.len()] };
    let needed = f.reachable(f.outputs.iter().map(|o| o.expr));
    for id in f.ids().filter(|id| needed[id.index()] && f.stratum(*id) != Stratum::Pair) {
        let value = run.value(id)?;
        run.values[id.index()] = Some(value);
    }
    f.outputs.iter().map(|o| run.spread(o.expr, o.axis)).collect()
}

fn check_inputs(f: &Formula, m: usize, n: usize, inputs: &[Matrix]) -> Result<(), EvalError> {
    let (given, taken) = (inputs.len(), f.inputs.len());
    if given != taken {
        return Err(EvalError::Shape(format!("{given} arrays for {taken} inputs")));
    }
    f.inputs.iter().zip(inputs).try_for_each(|(input, matrix)| check_input(input, matrix, m, n))
}

fn check_input(input: &Input, matrix: &Matrix, m: usize, n: usize) -> Result<(), EvalError> {
    let rows = rows_of(Stratum::of(input.axis), [m, n]);
    let Matrix { rows: given, cols, data } = matrix;
    if (*given, *cols) != (rows, input.dim) {
        return Err(EvalError::Shape(format!(
            "`{}` is {given} x {cols}, but {rows} x {} is needed",
            input.name, input.dim
        )));
    }
    if given.checked_mul(*cols) != Some(data.len()) {
        return Err(EvalError::Shape(format!(
            "`{}` is {given} x {cols}, but holds {} numbers",
            input.name,
            data.len()
        )));
    }
    let exact = |v: &f64| v.abs() <= 2f64.powi(53) && v.fract() == 0.0;
    match data.iter().find(|v| input.kind == Kind::Int && !exact(v)) {
        None => Ok(()),
        Some(v) => Err(EvalError::Integer(format!(
            "`{}` holds {v:?}, but integers up to 2^53 can be evaluated",
            input.name
        ))),
    }
}

/// How many rows are stored for a value.
fn rows_of(stratum: Stratum, [m, n]: [usize; 2]) -> usize {
    match stratum {
        Stratum::Const | Stratum::Param => 1,
        Stratum::I => m,
        Stratum::J => n,
        Stratum::Pair => 0,
    }
}

fn zeros(rows: usize, dim: usize) -> Result<Vec<f64>, EvalError> {
    let why = || EvalError::Memory(format!("{rows} rows of {dim} numbers do not fit into memory"));
    let len = rows.checked_mul(dim).ok_or_else(why)?;
    let mut data = Vec::new();
    data.try_reserve_exact(len).map_err(|_| why())?;
    data.resize(len, 0.0);
    Ok(data)
}

/// Row numbers of both indices; the one along which a value does not vary is ignored.
type At = [usize; 2];

/// The values computed so far, by node. Pair values stay `None`.
struct Run<'a> {
    f: &'a Formula,
    sizes: [usize; 2],
    inputs: &'a [Matrix],
    values: Vec<Option<Cow<'a, [f64]>>>,
}

impl<'a> Run<'a> {
    /// Every row of a value whose arguments are computed.
    fn value(&self, id: ExprId) -> Result<Cow<'a, [f64]>, EvalError> {
        let dim = self.f.dim(id);
        let rows = rows_of(self.f.stratum(id), self.sizes);
        Ok(match self.f.node(id) {
            Node::Input(index) => Cow::Borrowed(&self.inputs[*index as usize].data),
            Node::Const(c) => Cow::Owned(vec![c.get()]),
            Node::Pos(_) => {
                let mut all = zeros(rows, 1)?;
                all.iter_mut().enumerate().for_each(|(row, v)| *v = row as f64);
                Cow::Owned(all)
            }
            Node::Op(op, args, params) => {
                let mut all = zeros(rows, dim)?;
                for (row, out) in all.chunks_mut(dim).enumerate() {
                    self.op(*op, args, params, out, |a| self.stored(a, [row; 2]));
                }
                Cow::Owned(all)
            }
            Node::Reduce(reduction) => {
                let mut all = zeros(rows, dim)?;
                self.reduce(reduction, dim, &mut all)?;
                Cow::Owned(all)
            }
        })
    }

    /// One row of an operation.
    fn op<'v>(
        &self,
        op: Op,
        args: &[ExprId],
        params: &[i64],
        out: &mut [f64],
        get: impl Fn(ExprId) -> &'v [f64],
    ) {
        let args: Vec<&[f64]> = args.iter().map(|&a| get(a)).collect();
        (op.def().eval)(&args, params, out);
    }

    /// One row of a value that is not a pair value.
    fn stored(&self, id: ExprId, at: At) -> &[f64] {
        let row = match self.f.stratum(id) {
            Stratum::J => at[1],
            Stratum::I => at[0],
            Stratum::Const | Stratum::Param | Stratum::Pair => 0,
        };
        let dim = self.f.dim(id);
        self.values[id.index()].as_deref().map_or(&[], |all| &all[row * dim..][..dim])
    }

    /// Every row of a reduction.
    fn reduce(&self, r: &Reduction, dim: usize, all: &mut [f64]) -> Result<(), EvalError> {
        let def = r.reducer.def();
        let (folded, least) = (self.sizes[r.axis as usize], (def.least_rows)(r.k));
        if folded < least {
            return Err(EvalError::Rows(format!(
                "{}[{}]: {folded} rows, but at least {least} are needed",
                def.name, r.axis
            )));
        }
        let mut pairs = Pairs::new(self, r.args.iter().copied().chain(r.mask))?;
        for (other, out) in all.chunks_mut(dim).enumerate() {
            let mut rows = Vec::new();
            for index in 0..folded {
                let at = match r.axis {
                    Axis::I => [index, other],
                    Axis::J => [other, index],
                };
                pairs.compute(at);
                if r.mask.is_none_or(|mask| pairs.get(mask, at)[0] != 0.0) {
                    let args = r.args.iter().map(|&a| pairs.get(a, at).to_vec()).collect();
                    rows.push(Row { index: index as i64, args });
                }
            }
            (def.eval)(&rows, r.k, out);
        }
        Ok(())
    }

    /// An output: a value of a smaller stratum is copied into each row.
    fn spread(&self, id: ExprId, axis: Option<Axis>) -> Result<Matrix, EvalError> {
        let (rows, cols) = (rows_of(Stratum::of(axis), self.sizes), self.f.dim(id));
        let mut data = zeros(rows, cols)?;
        for (row, out) in data.chunks_mut(cols).enumerate() {
            out.copy_from_slice(self.stored(id, [row; 2]));
        }
        Ok(Matrix { rows, cols, data })
    }
}

/// The pair values that one reduction needs, at one pair.
struct Pairs<'a> {
    run: &'a Run<'a>,
    /// Pair nodes, arguments first.
    nodes: Vec<ExprId>,
    /// Where the value of each node of the arena starts in `data`.
    starts: Vec<usize>,
    data: Vec<f64>,
}

impl<'a> Pairs<'a> {
    fn new(run: &'a Run<'a>, roots: impl Iterator<Item = ExprId>) -> Result<Pairs<'a>, EvalError> {
        let f = run.f;
        let mut needed = vec![false; f.len()];
        roots.for_each(|id| needed[id.index()] = true);
        for id in f.ids().rev() {
            if needed[id.index()] && f.stratum(id) == Stratum::Pair {
                f.node(id).args().for_each(|a| needed[a.index()] = true);
            }
        }
        let pair = |id: &ExprId| needed[id.index()] && f.stratum(*id) == Stratum::Pair;
        let nodes: Vec<ExprId> = f.ids().filter(pair).collect();
        let mut starts = vec![0; f.len()];
        let mut len = 0;
        for id in &nodes {
            starts[id.index()] = len;
            len += f.dim(*id);
        }
        Ok(Pairs { run, nodes, starts, data: zeros(1, len)? })
    }

    fn compute(&mut self, at: At) {
        let run = self.run;
        for &id in &self.nodes {
            // Only operations join the two indices; whatever else there is, is stored.
            if let Node::Op(op, args, params) = run.f.node(id) {
                let (done, rest) = self.data.split_at_mut(self.starts[id.index()]);
                let out = &mut rest[..run.f.dim(id)];
                run.op(*op, args, params, out, |a| pick(run, &self.starts, done, a, at));
            }
        }
    }

    fn get(&self, id: ExprId, at: At) -> &[f64] {
        pick(self.run, &self.starts, &self.data, id, at)
    }
}

/// The value of a node at a pair: computed for it, or stored.
fn pick<'v>(run: &'v Run<'_>, starts: &[usize], data: &'v [f64], id: ExprId, at: At) -> &'v [f64] {
    match run.f.stratum(id) {
        Stratum::Pair => &data[starts[id.index()]..][..run.f.dim(id)],
        Stratum::Const | Stratum::Param | Stratum::I | Stratum::J => run.stored(id, at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reduce::Reducer;

    const I: Option<Axis> = Some(Axis::I);
    const J: Option<Axis> = Some(Axis::J);
    const INF: f64 = f64::INFINITY;

    fn matrix(cols: usize, data: &[f64]) -> Matrix {
        Matrix { rows: data.len() / cols, cols, data: data.to_vec() }
    }

    /// Inputs x[i], y[j] and a parameter g, all of dim 1.
    fn start() -> (Formula, [ExprId; 3]) {
        let mut f = Formula::new("f");
        let ids = [("x", I), ("y", J), ("g", None)];
        let ids = ids.map(|(name, axis)| f.input(name, axis, 1).expect("valid"));
        (f, ids)
    }

    fn run(f: &Formula, x: &[f64], y: &[f64], g: f64) -> Result<Vec<Vec<f64>>, EvalError> {
        super::super::verify::verify(f).expect("valid");
        let inputs = [matrix(1, x), matrix(1, y), matrix(1, &[g])];
        let out = evaluate(f, x.len(), y.len(), &inputs)?;
        Ok(out.into_iter().map(|m| m.data).collect())
    }

    fn fold(f: &mut Formula, reducer: Reducer, axis: Axis, args: &[ExprId]) -> ExprId {
        masked(f, reducer, axis, args, None)
    }

    fn masked(
        f: &mut Formula,
        reducer: Reducer,
        axis: Axis,
        args: &[ExprId],
        mask: Option<ExprId>,
    ) -> ExprId {
        let k = if reducer.def().takes_k { 2 } else { 0 };
        f.reduce(Reduction { reducer, axis, args: args.to_vec(), mask, k }).expect("fits")
    }

    #[test]
    fn sums_over_both_axes_with_an_epilogue() {
        let (mut f, [x, y, g]) = start();
        let product = f.mul(x, y);
        let scaled = f.mul(g, product);
        let rows = f.sum_over(Axis::J, scaled);
        let columns = f.sum_over(Axis::I, scaled);
        let total = f.sum_over(Axis::I, rows);
        let after = f.add(rows, x);
        f.output("rows", I, after).expect("fits");
        f.output("columns", J, columns).expect("fits");
        f.output("total", None, total).expect("fits");
        f.output("spread", I, g).expect("fits");
        let found = run(&f, &[1.0, 2.0], &[3.0, 4.0, 5.0], 10.0);
        let expected =
            [vec![121.0, 242.0], vec![90.0, 120.0, 150.0], vec![360.0], vec![10.0, 10.0]];
        assert_eq!(found, Ok(expected.to_vec()));
    }

    #[test]
    fn vectors_keep_their_rows() {
        let mut f = Formula::new("f");
        let x = f.input("x", I, 2).expect("valid");
        let y = f.input("y", J, 2).expect("valid");
        let distance = f.apply(Op::SqDist, &[x, y], &[]);
        let weighted = f.mul(distance, y);
        let sum = f.sum_over(Axis::J, weighted);
        f.output("a", I, sum).expect("fits");
        let inputs = [matrix(2, &[0.0, 0.0, 1.0, 2.0]), matrix(2, &[1.0, 0.0, 0.0, 3.0])];
        let found = evaluate(&f, 2, 2, &inputs);
        assert_eq!(found, Ok(vec![matrix(2, &[1.0, 27.0, 4.0, 6.0])]));
    }

    #[test]
    fn a_reduction_inside_a_pair_is_computed_first() {
        // Softmax written out: sum[j] exp(x y - max[j] x y) / sum[j] of the same is 1.
        let (mut f, [x, y, _]) = start();
        let product = f.mul(x, y);
        let top = fold(&mut f, Reducer::Max, Axis::J, &[product]);
        let gap = f.sub(product, top);
        let weight = f.apply(Op::Exp, &[gap], &[]);
        let total = f.sum_over(Axis::J, weight);
        let share = f.div(weight, total);
        let one = f.sum_over(Axis::J, share);
        f.output("one", I, one).expect("fits");
        f.output("top", I, top).expect("fits");
        let found = run(&f, &[1.0, -2.0], &[3.0, 4.0], 0.0).expect("evaluates");
        assert_eq!(found[1], [4.0, -6.0]);
        assert!(found[0].iter().all(|v| (v - 1.0).abs() < 1e-15), "{found:?}");
    }

    #[test]
    fn values_that_do_not_vary_are_folded_once_a_row() {
        let (mut f, [x, _, g]) = start();
        let one = f.constant(1.0);
        let count = f.sum_over(Axis::J, one);
        let same = f.sum_over(Axis::J, x);
        let parameter = f.sum_over(Axis::I, g);
        f.output("count", None, count).expect("fits");
        f.output("same", I, same).expect("fits");
        f.output("parameter", J, parameter).expect("fits");
        let found = run(&f, &[1.0, 2.0], &[0.0; 3], 5.0);
        assert_eq!(found, Ok(vec![vec![3.0], vec![3.0, 6.0], vec![10.0; 3]]));
    }

    #[test]
    fn positions_and_masks() {
        let (mut f, [_, y, _]) = start();
        let (i, j) = (f.pos(Axis::I), f.pos(Axis::J));
        let earlier = f.apply(Op::Lt, &[j, i], &[]);
        let sum = masked(&mut f, Reducer::Sum, Axis::J, &[y], Some(earlier));
        let best = masked(&mut f, Reducer::ArgMin, Axis::J, &[y], Some(earlier));
        let near = masked(&mut f, Reducer::KMin, Axis::J, &[y], Some(earlier));
        for (name, value) in [("sum", sum), ("best", best), ("near", near)] {
            f.output(name, I, value).expect("fits");
        }
        let found = run(&f, &[0.0; 4], &[7.0, 5.0, 5.0], 0.0);
        let near = vec![INF, INF, 7.0, INF, 5.0, 7.0, 5.0, 5.0];
        let expected = vec![vec![0.0, 7.0, 12.0, 17.0], vec![-1.0, 0.0, 1.0, 1.0], near];
        assert_eq!(found, Ok(expected));
    }

    #[test]
    fn row_numbers_of_the_reduced_axis() {
        let (mut f, [x, y, _]) = start();
        let distance = f.apply(Op::SqDist, &[x, y], &[]);
        let by_j = fold(&mut f, Reducer::ArgMin, Axis::J, &[distance]);
        let by_i = fold(&mut f, Reducer::ArgKMin, Axis::I, &[distance]);
        f.output("by_j", I, by_j).expect("fits");
        f.output("by_i", J, by_i).expect("fits");
        let found = run(&f, &[0.0, 10.0, 4.0], &[9.0, 1.0], 0.0);
        assert_eq!(found, Ok(vec![vec![1.0, 0.0, 1.0], vec![1.0, 2.0, 0.0, 2.0]]));
    }

    #[test]
    fn nan_reaches_sums_and_extrema() {
        let (mut f, [x, y, _]) = start();
        let sum = f.add(x, y);
        for reducer in [Reducer::Sum, Reducer::Min, Reducer::Max, Reducer::LogSumExp] {
            let value = fold(&mut f, reducer, Axis::J, &[sum]);
            f.output(reducer.def().name, I, value).expect("fits");
        }
        let found = run(&f, &[0.0], &[1.0, f64::NAN, INF], 0.0).expect("evaluates");
        assert!(found.iter().all(|v| v[0].is_nan()), "{found:?}");
    }

    #[test]
    fn no_rows() {
        let (mut f, [x, y, _]) = start();
        let sum = f.add(x, y);
        for reducer in [Reducer::Sum, Reducer::Min, Reducer::Max, Reducer::LogSumExp] {
            let value = fold(&mut f, reducer, Axis::J, &[sum]);
            f.output(reducer.def().name, I, value).expect("fits");
        }
        let neutral = vec![vec![0.0], vec![INF], vec![-INF], vec![-INF]];
        assert_eq!(run(&f, &[1.0], &[], 0.0), Ok(neutral));
        assert_eq!(run(&f, &[], &[], 0.0), Ok(vec![vec![]; 4]));
        for (reducer, rows, message) in [
            (Reducer::ArgMin, 0, "argmin[j]: 0 rows, but at least 1 are needed"),
            (Reducer::KMin, 1, "kmin[j]: 1 rows, but at least 2 are needed"),
        ] {
            let mut f = f.clone();
            let value = fold(&mut f, reducer, Axis::J, &[sum]);
            f.output("more", I, value).expect("fits");
            assert_eq!(
                run(&f, &[1.0], &vec![0.0; rows], 0.0),
                Err(EvalError::Rows(message.into()))
            );
        }
    }

    #[test]
    fn arrays_that_do_not_fit_are_refused() {
        let (mut f, [x, ..]) = start();
        f.output("a", I, x).expect("fits");
        let [one, two] = [matrix(1, &[0.0]), matrix(1, &[0.0; 2])];
        let torn = Matrix { rows: 2, cols: 1, data: vec![0.0] };
        let wide = Matrix { rows: 2, cols: 2, data: vec![0.0; 4] };
        for (inputs, message) in [
            (vec![two.clone()], "1 arrays for 3 inputs"),
            (vec![one.clone(), one.clone(), one.clone()], "`x` is 1 x 1, but 2 x 1 is needed"),
            (vec![wide, one.clone(), one.clone()], "`x` is 2 x 2, but 2 x 1 is needed"),
            (vec![two.clone(), two.clone(), one.clone()], "`y` is 2 x 1, but 1 x 1 is needed"),
            (vec![two.clone(), one.clone(), two.clone()], "`g` is 2 x 1, but 1 x 1 is needed"),
            (vec![torn, one.clone(), one.clone()], "`x` is 2 x 1, but holds 1 numbers"),
        ] {
            let found = evaluate(&f, 2, 1, &inputs);
            assert_eq!(found, Err(EvalError::Shape(message.into())));
        }
    }

    #[test]
    fn integers_are_exact_beyond_float32() {
        let mut f = Formula::new("f");
        let [label, other] = [("label", I), ("other", J)]
            .map(|(name, axis)| f.input_of(name, axis, 1, Kind::Int).expect("valid"));
        let same = f.apply(Op::Eq, &[label, other], &[]);
        let one = f.constant(1.0);
        let count = masked(&mut f, Reducer::Sum, Axis::J, &[one], Some(same));
        let next = f.add(label, one);
        f.output("count", I, count).expect("fits");
        f.output("next", I, next).expect("fits");
        super::super::verify::verify(&f).expect("valid");
        let (big, huge) = (2f64.powi(24), 2f64.powi(53));
        let inputs = [matrix(1, &[big, -huge]), matrix(1, &[big, big + 1.0, -huge])];
        let found = evaluate(&f, 2, 3, &inputs).expect("evaluates");
        assert_eq!(found[0].data, [1.0, 1.0]);
        assert_eq!(found[1].data, [big + 1.0, 1.0 - huge]);
        for (wrong, message) in [
            (0.5, "`label` holds 0.5, but integers up to 2^53 can be evaluated"),
            (2.0 * huge, "`label` holds 1.8014398509481984e16, but integers up to 2^53 can be"),
            (f64::NAN, "`label` holds NaN, but"),
        ] {
            let inputs = [matrix(1, &[big, wrong]), inputs[1].clone()];
            let found = evaluate(&f, 2, 3, &inputs).expect_err("no such integer");
            assert!(found.to_string().starts_with(message), "{found}");
        }
    }

    #[test]
    fn values_beyond_memory_are_refused() {
        let mut f = Formula::new("f");
        let row = f.pos(Axis::I);
        let wide = f.apply(Op::SumT, &[row], &[100]);
        f.output("a", I, wide).expect("fits");
        let found = evaluate(&f, usize::MAX / 2, 0, &[]);
        assert!(matches!(found, Err(EvalError::Memory(_))), "{found:?}");
    }

    #[test]
    fn depth_is_no_limit() {
        let (mut f, [x, y, _]) = start();
        let pair = f.add(x, y);
        let top = (0..19_000).fold(pair, |v, _| f.neg(v));
        let sum = f.sum_over(Axis::J, top);
        f.output("a", I, sum).expect("fits");
        assert_eq!(run(&f, &[1.0], &[2.0, 3.0], 0.0), Ok(vec![vec![7.0]]));
    }
}
