//! The meaning of a formula: a dense float64 evaluation, row by row, that every other executor is
//! compared with.
//!
//! In go a formula, the numbers of rows of both indices and one array for each input; out comes one
//! array for each output, row numbers as exact reals. Values of one index are computed once a row
//! and stored, nested reductions among them; pair values are computed again for each reduction
//! that folds them and never stored, so memory is linear in the rows. Nothing here is fast, and
//! nothing panics on arrays that do not fit.

use std::borrow::Cow;

use thiserror::Error;

use crate::ops::Op;
use crate::reduce::Row;

use super::arena::{ExprId, Formula, Input, Node, Reduction};
use super::types::{Axis, Stratum};

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
    Ok(())
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
