//! Whether a value is linear in a variable, and where it is not.
//!
//! The tables do not say which operations are linear, for that follows from what they mean: an
//! operation is taken for linear in some of its arguments if its float64 meaning is additive and
//! homogeneous at several places, far from each other and outside of its domain too.

use crate::ir::{ExprId, Formula, Node, Reduction};
use crate::ops::Op;
use crate::reduce::Row;

use super::GradError;
use super::scratch::constant;

/// Magnitudes of the places where linearity is tried.
const SCALES: [f64; 5] = [0.3, 1.0, 3.7, 21.0, 400.0];
/// Rows that a reduction folds in a trial.
const ROWS: usize = 3;

/// Checks that `root` is linear in `variable`. A value that does not depend on it is linear if it
/// is zero.
pub fn check(f: &Formula, root: ExprId, variable: ExprId) -> Result<(), GradError> {
    let below = f.reachable([root]);
    let mut depends = vec![false; f.len()];
    for id in f.ids().filter(|id| below[id.index()]) {
        let varies: Vec<bool> = f.node(id).args().map(|a| depends[a.index()]).collect();
        let dependent = id == variable || varies.contains(&true);
        depends[id.index()] = dependent;
        if !dependent || id == variable {
            continue;
        }
        let (what, linear) = match f.node(id) {
            Node::Op(op, args, params) => (op.def().name, is_linear(f, *op, args, params, &varies)),
            Node::Reduce(r) => (r.reducer.def().name, folds_linearly(f, r, &varies)),
            Node::Input(_) | Node::Const(_) | Node::Pos(_) => continue,
        };
        if !linear {
            return Err(GradError::NotLinear { what, node: id });
        }
    }
    match depends[root.index()] || constant(f, root) == Some(0.0) {
        true => Ok(()),
        false => Err(GradError::Independent),
    }
}

/// Numbers that look random and are the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn between(&mut self, low: f64, high: f64) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        low + (high - low) * ((self.0 >> 11) as f64 / (1u64 << 53) as f64)
    }

    fn vector(&mut self, dim: usize, low: f64, high: f64) -> Vec<f64> {
        (0..dim).map(|_| self.between(low, high)).collect()
    }
}

fn is_linear(f: &Formula, op: Op, args: &[ExprId], params: &[i64], varies: &[bool]) -> bool {
    let def = op.def();
    let dims: Vec<usize> = args.iter().map(|&a| f.dim(a)).collect();
    let Ok(dim) = (def.shape)(&dims, params) else { return false };
    let mut numbers = Numbers(17);
    SCALES.iter().all(|&scale| {
        let mut draw = |k: usize, first: &[Vec<f64>]| match (varies[k], constant(f, args[k])) {
            (true, _) => numbers.vector(dims[k], -scale, scale),
            (false, Some(value)) => vec![value; dims[k]],
            (false, None) => match first.get(k) {
                Some(same) => same.clone(),
                None => numbers.vector(dims[k], def.domain[k].0, def.domain[k].1),
            },
        };
        let a: Vec<Vec<f64>> = (0..args.len()).map(|k| draw(k, &[])).collect();
        let b: Vec<Vec<f64>> = (0..args.len()).map(|k| draw(k, &a)).collect();
        let value = |args: &[Vec<f64>]| {
            let slices: Vec<&[f64]> = args.iter().map(Vec::as_slice).collect();
            let mut out = vec![f64::NAN; dim];
            (def.eval)(&slices, params, &mut out);
            out
        };
        let sum = combined(&a, &b, varies);
        agree(&value(&a), &value(&b), &value(&sum))
    })
}

fn folds_linearly(f: &Formula, r: &Reduction, varies: &[bool]) -> bool {
    let def = r.reducer.def();
    if varies.len() > r.args.len() && varies[r.args.len()] {
        return false; // a mask
    }
    let dims: Vec<usize> = r.args.iter().map(|&a| f.dim(a)).collect();
    let Ok(dim) = (def.shape)(&dims, r.k) else { return false };
    let (rows, mut numbers) = (ROWS.max((def.least_rows)(r.k)), Numbers(23));
    SCALES.iter().all(|&scale| {
        let row = |numbers: &mut Numbers| -> Vec<Vec<f64>> {
            dims.iter().map(|&d| numbers.vector(d, -scale, scale)).collect()
        };
        let a: Vec<Vec<Vec<f64>>> = (0..rows).map(|_| row(&mut numbers)).collect();
        let mut b: Vec<Vec<Vec<f64>>> = (0..rows).map(|_| row(&mut numbers)).collect();
        for (a, b) in a.iter().zip(&mut b) {
            (0..dims.len()).filter(|&k| !varies[k]).for_each(|k| b[k].clone_from(&a[k]));
        }
        let value = |args: Vec<Vec<Vec<f64>>>| {
            let numbered = args.into_iter().enumerate();
            let rows: Vec<Row> = numbered.map(|(n, args)| Row { index: n as i64, args }).collect();
            let mut out = vec![0.0; dim];
            (def.eval)(&rows, r.k, &mut out);
            out
        };
        let sum = a.iter().zip(&b).map(|(a, b)| combined(a, b, varies)).collect();
        let (of_a, of_b) = (value(a), value(b));
        agree(&of_a, &of_b, &value(sum))
    })
}

/// `2 a - 3 b` in the arguments that vary, which the others share.
fn combined(a: &[Vec<f64>], b: &[Vec<f64>], varies: &[bool]) -> Vec<Vec<f64>> {
    let each = a.iter().zip(b).zip(varies);
    each.map(|((a, b), &varies)| match varies {
        true => a.iter().zip(b).map(|(a, b)| 2.0 * a - 3.0 * b).collect(),
        false => a.clone(),
    })
    .collect()
}

fn agree(a: &[f64], b: &[f64], sum: &[f64]) -> bool {
    let largest = a.iter().chain(b).fold(1e-300, |m: f64, x| m.max(x.abs()));
    a.iter().zip(b).zip(sum).all(|((a, b), s)| (2.0 * a - 3.0 * b - s).abs() <= 1e-9 * largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_all_over_their_interval() {
        let drawn = Numbers(17).vector(100, -2.0, 6.0);
        assert!(drawn.iter().all(|x| (-2.0..6.0).contains(x)), "{drawn:?}");
        for quarter in [-2.0, 0.0, 2.0, 4.0] {
            let within = drawn.iter().filter(|x| (quarter..quarter + 2.0).contains(*x)).count();
            assert!((10..50).contains(&within), "{within} of 100 from {quarter} on");
        }
    }
}
