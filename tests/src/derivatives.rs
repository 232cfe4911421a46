//! Formulas to differentiate: one for each call of each operation and for each reduction, and the
//! problems that derivatives of a problem are.

use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Axis, ExprId, Formula, Reduction};
use tilefold_compiler::ops::Op;
use tilefold_compiler::passes::{jvp, vjp};
use tilefold_compiler::reduce::{ReduceGrad, Reducer};

use crate::calls::{self, Call};
use crate::problem::Problem;
use crate::rng::Rng;

/// More than differences move an argument by.
const MARGIN: f64 = 0.0021;

/// Every call of every operation, summed over one `j`: the first argument is of `i`, the second of
/// `j`, the third a parameter. The numbers are away from kinks.
pub fn of_operations(rng: &mut Rng) -> Vec<Problem> {
    let all = Op::ALL.iter().flat_map(|&op| calls::calls(op));
    all.map(|call| of_call(&call, rng)).collect()
}

fn of_call(call: &Call, rng: &mut Rng) -> Problem {
    let def = call.op.def();
    let mut f = Formula::new(format!("{}{:?}{:?}", def.name, call.dims, call.params));
    let axes = [Some(Axis::I), Some(Axis::J), None];
    let inputs = call
        .dims
        .iter()
        .enumerate()
        .map(|(k, &dim)| f.input(&format!("x{k}"), axes[k % 3], dim).expect("a small dim"));
    let inputs: Vec<ExprId> = inputs.collect();
    let value = f.op(call.op, &inputs, &call.params).expect("the call fits");
    let sum = f.sum_over(Axis::J, value);
    f.output("out", Some(Axis::I), sum).expect("a row of i");
    let args = calls::smooth_sample(call, rng, MARGIN);
    Problem::new(f, 1, 1, |k, entry| args[k][entry])
}

/// Every reduction that has a derivative, over both indices, with and without a mask. The folded
/// numbers are apart, so that ranks do not change within a difference.
pub fn of_reductions(rng: &mut Rng) -> Vec<Problem> {
    let differentiable = |r: &&Reducer| matches!(r.def().grad, ReduceGrad::Vjp(_));
    let mut all = Vec::new();
    for &reducer in Reducer::ALL.iter().filter(differentiable) {
        for axis in [Axis::J, Axis::I] {
            for masked in [false, true] {
                all.push(of_reduction(reducer, axis, masked, rng));
            }
        }
    }
    all
}

fn of_reduction(reducer: Reducer, axis: Axis, masked: bool, rng: &mut Rng) -> Problem {
    let def = reducer.def();
    let mask = if masked { ", masked" } else { "" };
    let mut f = Formula::new(format!("{} over {axis}{mask}", def.name));
    let k = if def.takes_k { 2 } else { 0 };
    let mut dims = vec![2; def.arity];
    if (def.shape)(&dims, k).is_err() {
        dims[0] = 1;
    }
    let mut add = |name: &str, axis, dim| f.input(name, axis, dim).expect("a small dim");
    let x = add("x", Some(axis.other()), dims[0]);
    let y = add("y", Some(axis), dims[0]);
    let p = add("p", None, 1);
    let w = (def.arity > 1).then(|| add("w", Some(axis), dims[1]));
    let product = f.mul(x, y);
    let value = f.mul(p, product);
    let weight = w.map(|w| f.mul(w, x));
    let cut = f.constant(1.5);
    let row = f.pos(axis);
    let row = f.to_real(row);
    let mask = masked.then(|| f.apply(Op::Lt, &[cut, row], &[]));
    let args = [Some(value), weight].into_iter().flatten().collect();
    let fold = f.reduce(Reduction { reducer, axis, args, mask, k }).expect("it fits");
    f.output("out", Some(axis.other()), fold).expect("reduced");
    let (m, n) = if axis == Axis::J { (2, 5) } else { (5, 2) };
    // y goes through 0.7, 1.4, 2.1, ... in another order for each component.
    let folded: Vec<usize> = vec![3, 0, 4, 1, 2];
    Problem::new(f, m, n, |input, entry| match input {
        1 => {
            let (row, component) = (entry / dims[0], entry % dims[0]);
            0.7 * (1 + folded[(row + 2 * component) % 5]) as f64 + rng.between(-0.1, 0.1)
        }
        _ => rng.between(0.5, 1.0),
    })
}

/// The gradient of the first output with respect to every input, with random cotangents.
pub fn gradient(p: &Problem, rng: &mut Rng) -> Problem {
    let names: Vec<String> = p.formula.inputs.iter().map(|i| i.name.clone()).collect();
    let formula = vjp(&p.formula, &p.formula.outputs[0].name, &names);
    let mut gradient = p.with(formula.unwrap_or_else(|e| panic!("{}: {e}", p.formula.name)));
    gradient.inputs.push(p.cotangent(0, rng));
    gradient
}

/// The derivative of the first output in a random direction of every input.
pub fn derivative(p: &Problem, rng: &mut Rng) -> Problem {
    let names: Vec<String> = p.formula.inputs.iter().map(|i| i.name.clone()).collect();
    let formula = jvp(&p.formula, &p.formula.outputs[0].name, &names);
    let mut derivative = p.with(formula.unwrap_or_else(|e| panic!("{}: {e}", p.formula.name)));
    let directions = p.inputs.iter().map(|input| Matrix {
        data: input.data.iter().map(|_| rng.between(-1.0, 1.0)).collect(),
        ..input.clone()
    });
    derivative.inputs.extend(directions.collect::<Vec<_>>());
    derivative
}

/// The sum of products of the entries of arrays.
pub fn inner(a: &[Matrix], b: &[Matrix]) -> f64 {
    let all = a.iter().zip(b).flat_map(|(a, b)| a.data.iter().zip(&b.data));
    all.map(|(a, b)| a * b).sum()
}
