//! The derivatives of every operation, of first and second order, against differences of the
//! oracle: its first argument is an array of i, the second of j, the third a parameter.

use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Axis, Formula, verify};
use tilefold_compiler::ops::Op;
use tilefold_compiler::passes::vjp;
use tilefold_tests::calls::{self, Call};
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;
use tilefold_tests::{finite, oracle};

/// Differences reach eleven digits of a smooth function.
const ALLOWED: f64 = 1e-7;
/// Steps of differences stay below this; `round` to two digits jumps every 0.01.
const MARGIN: f64 = 0.0025;

/// `out[i] = sum[j] op(x0[i], x1[j], x2)` on one row of each.
fn problem(call: &Call, rng: &mut Rng) -> Problem {
    let mut f = Formula::new(format!("{call:?}"));
    let axes = [Some(Axis::I), Some(Axis::J), None];
    let args: Vec<_> = call
        .dims
        .iter()
        .zip(axes)
        .enumerate()
        .map(|(n, (&dim, axis))| f.input(&format!("x{n}"), axis, dim).expect("a small dim"))
        .collect();
    let value = f.op(call.op, &args, &call.params).expect("the call fits");
    let sum = f.sum_over(Axis::J, value);
    f.output("out", Some(Axis::I), sum).expect("a value of i");
    let row = calls::smooth_sample(call, rng, MARGIN);
    Problem::new(f, 1, 1, |n, k| row[n][k])
}

/// The gradient of an output by every input, and the cotangent it is taken with.
fn gradient(p: &Problem, output: usize, rng: &mut Rng) -> Problem {
    let names: Vec<String> = p.formula.inputs.iter().map(|i| i.name.clone()).collect();
    let cotangent = p.cotangent(output, rng);
    let output = &p.formula.outputs[output].name;
    let formula = vjp(&p.formula, output, &names).unwrap_or_else(|e| panic!("{e}"));
    verify::verify(&formula).unwrap_or_else(|e| panic!("{}: {e}", p.formula.name));
    let mut gradient = p.with(formula);
    gradient.inputs.push(cotangent);
    gradient
}

fn dot(a: &[Matrix], b: &[Matrix]) -> f64 {
    let numbers = |all: &[Matrix]| all.iter().flat_map(|m| m.data.clone()).collect::<Vec<_>>();
    numbers(a).iter().zip(numbers(b)).map(|(a, b)| a * b).sum()
}

/// How far the slope that a gradient gives along a random line is from the slope of `output`.
fn fault(p: &Problem, output: usize, gradient: &Problem, rng: &mut Rng) -> Option<String> {
    let mut only = p.clone();
    only.formula.outputs = vec![p.formula.outputs[output].clone()];
    let mut line = p.inputs.clone();
    line.iter_mut().flat_map(|m| &mut m.data).for_each(|x| *x = rng.between(-1.0, 1.0));
    let cotangent = gradient.inputs.last().expect("the cotangent");
    let expected = finite::derivative(|step| {
        let mut moved = only.clone();
        for (input, along) in moved.inputs.iter_mut().zip(&line) {
            input.data.iter_mut().zip(&along.data).for_each(|(x, by)| *x += step * by);
        }
        dot(&values(&moved), std::slice::from_ref(cotangent))
    });
    let found = dot(&values(gradient), &line);
    let off = (found - expected).abs() / (1.0 + expected.abs());
    let right = off <= ALLOWED;
    (!right).then(|| format!("{} {output}: {expected:?}, not {found:?}", p.formula.name))
}

fn values(p: &Problem) -> Vec<Matrix> {
    oracle::evaluate(&p.formula, p.m, p.n, &p.inputs)
}

#[test]
fn first_and_second_derivatives_of_every_operation() {
    let mut rng = Rng::new(11);
    let mut wrong = Vec::new();
    for call in Op::ALL.iter().flat_map(|&op| calls::calls(op)) {
        let p = problem(&call, &mut rng);
        let once = gradient(&p, 0, &mut rng);
        wrong.extend(fault(&p, 0, &once, &mut rng));
        for output in 0..once.formula.outputs.len() {
            let twice = gradient(&once, output, &mut rng);
            wrong.extend(fault(&once, output, &twice, &mut rng).map(|why| format!("twice, {why}")));
        }
    }
    assert!(wrong.is_empty(), "{} derivatives are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
