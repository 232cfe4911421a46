//! A second meaning of formulas, independent of the compiler's.
//!
//! In goes a formula and its arrays, out come its outputs in float64, computed the simplest way
//! there is: every value of every node is materialised for all pairs it varies over, and reductions
//! loop over them. Only the nodes of the formula are read: never the op table's rules, the strata,
//! or `ir::eval`.

mod complex;
mod curves;
pub mod folds;
pub mod meaning;
mod special;
mod tensors;
mod vectors;

use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Axis, ExprId, Formula, Kind, Node, Reduction};
use tilefold_compiler::reduce::Reducer;

use folds::Row;

/// How results of operations are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Not at all: float64.
    Double,
    /// To float32 after each node, which then overflows and underflows where a float32 kernel does.
    Single,
}

impl Precision {
    fn round(self, value: f64) -> f64 {
        match self {
            Precision::Double => value,
            Precision::Single => f64::from(value as f32),
        }
    }
}

/// All values of one node: `rows[0]` rows of i by `rows[1]` rows of j, 1 where it does not vary.
struct Dense {
    rows: [usize; 2],
    dim: usize,
    data: Vec<f64>,
}

impl Dense {
    fn at(&self, i: usize, j: usize) -> &[f64] {
        let i = if self.rows[0] == 1 { 0 } else { i };
        let j = if self.rows[1] == 1 { 0 } else { j };
        &self.data[(i * self.rows[1] + j) * self.dim..][..self.dim]
    }
}

struct Oracle<'a> {
    f: &'a Formula,
    sizes: [usize; 2],
    inputs: &'a [Matrix],
    precision: Precision,
    values: Vec<Option<Dense>>,
}

/// Every output of `f` for `m` rows of i and `n` rows of j.
pub fn evaluate(f: &Formula, m: usize, n: usize, inputs: &[Matrix]) -> Vec<Matrix> {
    evaluate_in(Precision::Double, f, m, n, inputs)
}

/// [`evaluate`] with results rounded.
pub fn evaluate_in(
    precision: Precision,
    f: &Formula,
    m: usize,
    n: usize,
    inputs: &[Matrix],
) -> Vec<Matrix> {
    let values = f.ids().map(|_| None).collect();
    let mut oracle = Oracle { f, sizes: [m, n], inputs, precision, values };
    f.outputs.iter().map(|o| oracle.output(o.expr, o.axis)).collect()
}

/// What a reduction of scalars without weights gives, also one that never becomes a node.
pub fn fold_numbers(reducer: Reducer, values: &[f64]) -> Vec<f64> {
    let row = |(number, value): (usize, &f64)| Row { number, value: vec![*value], weight: vec![] };
    let rows: Vec<Row> = values.iter().enumerate().map(row).collect();
    folds::fold(reducer, &rows, 1, 0, 0)
}

impl Oracle<'_> {
    fn output(&mut self, id: ExprId, axis: Option<Axis>) -> Matrix {
        self.need(id);
        let value = self.get(id);
        let rows = axis.map_or(1, |a| self.sizes[a as usize]);
        let data = (0..rows).flat_map(|row| value.at(row, row)).copied().collect();
        Matrix { rows, cols: value.dim, data }
    }

    fn get(&self, id: ExprId) -> &Dense {
        self.values[id.index()].as_ref().expect("arguments come first")
    }

    /// Computes a node and what it reads.
    fn need(&mut self, id: ExprId) {
        let mut todo = vec![id];
        while let Some(&id) = todo.last() {
            let missing: Vec<ExprId> =
                self.f.node(id).args().filter(|a| self.values[a.index()].is_none()).collect();
            if missing.is_empty() {
                todo.pop();
                if self.values[id.index()].is_none() {
                    self.values[id.index()] = Some(self.node(id));
                }
            }
            todo.extend(missing);
        }
    }

    fn node(&self, id: ExprId) -> Dense {
        match self.f.node(id) {
            Node::Input(n) => {
                let axis = self.f.inputs[*n as usize].axis;
                let matrix = &self.inputs[*n as usize];
                let rows = along(axis, matrix.rows);
                Dense { rows, dim: matrix.cols, data: matrix.data.clone() }
            }
            Node::Const(c) => {
                Dense { rows: [1, 1], dim: 1, data: vec![self.precision.round(c.get())] }
            }
            Node::Pos(axis) => {
                let count = self.sizes[*axis as usize];
                let data = (0..count).map(|row| row as f64).collect();
                Dense { rows: along(Some(*axis), count), dim: 1, data }
            }
            Node::Op(op, args, params) => {
                let args: Vec<&Dense> = args.iter().map(|&a| self.get(a)).collect();
                self.map(op.def().name, &args, params, id)
            }
            Node::Reduce(r) => self.reduce(r, id),
        }
    }

    /// A result as its kind holds it: integers are exact.
    fn round(&self, id: ExprId, value: f64) -> f64 {
        match self.f.kind(id) {
            Kind::Real | Kind::Complex => self.precision.round(value),
            Kind::Int => value,
        }
    }

    fn map(&self, name: &str, args: &[&Dense], params: &[i64], id: ExprId) -> Dense {
        let rows = [0, 1].map(|axis| joint(args.iter().map(|a| a.rows[axis])));
        let mut data = Vec::new();
        for i in 0..rows[0] {
            for j in 0..rows[1] {
                let values: Vec<&[f64]> = args.iter().map(|a| a.at(i, j)).collect();
                let out = meaning::apply(name, &values, params);
                data.extend(out.into_iter().map(|x| self.round(id, x)));
            }
        }
        Dense { rows, dim: self.f.dim(id), data }
    }

    fn reduce(&self, r: &Reduction, id: ExprId) -> Dense {
        let args: Vec<&Dense> = r.args.iter().map(|&a| self.get(a)).collect();
        let mask = r.mask.map(|m| self.get(m));
        let other = r.axis.other() as usize;
        let all = args.iter().copied().chain(mask);
        let count = joint(all.map(|a| a.rows[other]));
        let weights = args.get(1).map_or(0, |w| w.dim);
        let mut data = Vec::new();
        for row in 0..count {
            let taken: Vec<Row> =
                (0..self.sizes[r.axis as usize])
                    .map(|folded| {
                        if r.axis == Axis::J {
                            (folded, row, folded)
                        } else {
                            (folded, folded, row)
                        }
                    })
                    .filter(|&(_, i, j)| mask.is_none_or(|m| m.at(i, j)[0] != 0.0))
                    .map(|(number, i, j)| Row {
                        number,
                        value: args[0].at(i, j).to_vec(),
                        weight: args.get(1).map_or(Vec::new(), |w| w.at(i, j).to_vec()),
                    })
                    .collect();
            let out = folds::fold(r.reducer, &taken, args[0].dim, weights, r.k);
            data.extend(out.into_iter().map(|x| self.round(id, x)));
        }
        let mut rows = [1, 1];
        rows[other] = count;
        Dense { rows, dim: self.f.dim(id), data }
    }
}

/// Rows of a value that reads values of `counts` rows, of which those of one row are repeated.
fn joint(counts: impl Iterator<Item = usize>) -> usize {
    counts.fold(1, |all, count| if all == 1 { count } else { all })
}

fn along(axis: Option<Axis>, count: usize) -> [usize; 2] {
    match axis {
        None => [1, 1],
        Some(Axis::I) => [count, 1],
        Some(Axis::J) => [1, count],
    }
}
