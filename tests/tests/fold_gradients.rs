//! Derivatives of reductions, first and second, against differences of the oracle: with and
//! without a mask, over both indices, and where factors of a product are zero. The compiled and
//! the emulated gradient against the evaluator's.

use tilefold_compiler::ir::eval::{self, Matrix};
use tilefold_compiler::ir::{Axis, Dtype, Formula, Reduction, verify};
use tilefold_compiler::passes::vjp;
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::compare;
use tilefold_tests::emulated::{Emulated, Grid};
use tilefold_tests::finite;
use tilefold_tests::folds::takes_scalar;
use tilefold_tests::native::{self, Native};
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

const SMOOTH: &[Reducer] = &[
    Reducer::Sum,
    Reducer::Mean,
    Reducer::Var,
    Reducer::Prod,
    Reducer::LogSumExp,
    Reducer::LogSumExpWeight,
    Reducer::SoftMaxSum,
    Reducer::SoftArgMin,
    Reducer::SoftArgMax,
    Reducer::SumShiftExp,
    Reducer::SumShiftExpWeight,
    Reducer::Any,
    Reducer::All,
];

/// Folds `x[i] - y[j]` over an axis, where `p q` is not 0 if there is a mask.
fn formula(reducer: Reducer, axis: Axis, masked: bool) -> Formula {
    let mut f = Formula::new(format!("{reducer:?} over {axis}, masked: {masked}"));
    let dim = if takes_scalar(reducer) { 1 } else { 2 };
    let mut add = |name: &str, axis, dim| f.input(name, Some(axis), dim).expect("a small dim");
    let (x, y) = (add("x", Axis::I, dim), add("y", Axis::J, dim));
    let weight = (reducer.def().arity == 2).then(|| add("w", axis, 2));
    let keep = masked.then(|| (add("p", Axis::I, 1), add("q", Axis::J, 1)));
    let mut args = vec![f.sub(x, y)];
    args.extend(weight);
    let mask = keep.map(|(p, q)| f.mul(p, q));
    let fold = f.reduce(Reduction { reducer, axis, args, mask, k: 0 }).expect("it fits");
    f.output("out", Some(axis.other()), fold).expect("a row of the other index");
    f
}

fn problem(formula: Formula, m: usize, n: usize, mut value: impl FnMut() -> f64) -> Problem {
    let inputs = formula.inputs.clone();
    let other = formula.outputs[0].axis;
    Problem::new(formula, m, n, |input, row| match inputs[input].name.as_str() {
        "w" => 0.5 + row as f64 / 4.0,
        // Every row of the result folds something.
        "p" | "q" if inputs[input].axis == other => 1.0,
        "p" | "q" => f64::from(u8::from(row % 3 != 1)),
        _ => value(),
    })
}

/// The gradient of the output with respect to all inputs that are not masks.
fn gradient(p: &Problem, rng: &mut Rng) -> Problem {
    let kept = |name: &&String| *name != "p" && *name != "q";
    let names = p.formula.inputs.iter().map(|i| &i.name).filter(kept).cloned();
    let names: Vec<String> = names.collect();
    let output = &p.formula.outputs[0].name;
    let formula = vjp(&p.formula, output, &names).expect("differentiable");
    verify::verify(&formula).expect("a valid formula");
    let mut gradient = p.with(formula);
    gradient.inputs.push(p.cotangent(0, rng));
    gradient
}

/// Differences of the first output, for the inputs that the gradient has.
fn differences(p: &Problem, g: &Problem) -> Vec<Matrix> {
    let all = finite::gradient(p, 0, g.inputs.last().expect("the cotangent"));
    let wanted = |name: &str| g.formula.outputs.iter().any(|o| o.name == format!("d_{name}"));
    let named = p.formula.inputs.iter().zip(all);
    named.filter(|(input, _)| wanted(&input.name)).map(|(_, slope)| slope).collect()
}

fn evaluate(p: &Problem) -> Vec<Matrix> {
    eval::evaluate(&p.formula, p.m, p.n, &p.inputs).expect("the arrays fit")
}

fn check(what: &str, allowed: f64, f: &Formula, expected: &[Matrix], found: &[Matrix]) {
    let gap = compare::worst(f, expected, found).filter(|gap| gap.off > allowed);
    assert!(gap.is_none(), "{what}: {}", gap.expect("a gap"));
}

/// Points where everything is smooth, and points where factors are zero: one in some rows, two or
/// three in others.
fn problems(rng: &mut Rng) -> Vec<Problem> {
    let mut all = Vec::new();
    for &reducer in SMOOTH {
        for axis in [Axis::I, Axis::J] {
            for masked in [false, true] {
                let f = formula(reducer, axis, masked);
                all.push(problem(f, 4, 5, || rng.between(-1.5, 1.5)));
            }
        }
    }
    let values = [1.0, 2.0, 1.0, 3.0, 0.5, -1.0, 2.0];
    for masked in [false, true] {
        for start in 0..values.len() {
            let f = formula(Reducer::Prod, Axis::J, masked);
            let mut at = start;
            all.push(problem(f, 3, 4, || {
                at += 1;
                values[at % values.len()]
            }));
        }
    }
    all
}

#[test]
fn first_and_second_derivatives_are_those_of_differences() {
    let mut rng = Rng::new(21);
    for p in problems(&mut rng) {
        let once = gradient(&p, &mut rng);
        let name = p.formula.name.as_str();
        check(name, 1e-7, &once.formula, &differences(&p, &once), &evaluate(&once));
        let twice = gradient(&once, &mut rng);
        let what = format!("{name}, second order");
        check(&what, 1e-6, &twice.formula, &differences(&once, &twice), &evaluate(&twice));
    }
}

#[test]
fn compiled_gradients_are_those_of_the_evaluator() {
    let mut rng = Rng::new(22);
    // Over one index with a mask and over the other without.
    let one = |p: &&Problem| {
        let name = &p.formula.name;
        name.contains("over j, masked: true") || name.contains("over i, masked: false")
    };
    let all = problems(&mut rng);
    let all: Vec<Problem> = all.iter().filter(one).map(|p| gradient(p, &mut rng)).collect();
    // One formula for each name: the others differ in their numbers.
    let mut formulas: Vec<Formula> = all.iter().map(|p| p.formula.clone()).collect();
    formulas.dedup_by(|a, b| a.name == b.name);
    let native = Native::quick(&formulas, Dtype::ALL, &[native::best()]);
    let emulated = Emulated::build(&formulas, &[Dtype::F64]);
    for p in &all {
        let at = formulas.iter().position(|f| f.name == p.formula.name).expect("built");
        let (name, expected) = (p.formula.name.as_str(), evaluate(p));
        for (dtype, allowed) in [(Dtype::F32, 3e-6), (Dtype::F64, 1e-13)] {
            let found = native.run(at, dtype, native::best(), p).expect("it runs");
            check(name, allowed, &p.formula, &expected, &found);
        }
        let found = emulated.run(at, Dtype::F64, p, Grid { splits: 2, seed: 1 }).expect("it runs");
        check(name, 1e-13, &p.formula, &expected, &found);
    }
}

/// The factors beside a zero, where the product of the others is large or small.
#[test]
fn the_gradient_of_a_product_is_exact_beside_zeros() {
    let f = formula(Reducer::Prod, Axis::J, false);
    let mut p = Problem::new(f, 1, 3, |_, _| 0.0);
    let columns = [[-0.0, 0.0], [-3.0, -1e200], [-5.0, -1e100]];
    p.inputs[1].data = columns.concat();
    let formula = vjp(&p.formula, "out", &["y".into()]).expect("differentiable");
    let mut g = p.with(formula);
    g.inputs.push(Matrix { rows: 1, cols: 2, data: vec![1.0, 1.0] });
    let found = evaluate(&g);
    // x - y are the factors 0, 3, 5 and 0, 1e200, 1e100.
    let right = |e: f64, f: f64| (e - f).abs() <= 1e-15 * e.abs();
    let expected = [-15.0, -1e300, 0.0, 0.0, 0.0, 0.0];
    let same = expected.iter().zip(&found[0].data).all(|(e, f)| right(*e, *f));
    assert!(same, "{:?}", found[0].data);
}
