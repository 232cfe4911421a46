//! Random formulas: the oracle against `ir::eval`, compiled float64 code and emulated CUDA code,
//! and their gradients against differences of the oracle.
//!
//! What a formula costs, in CPU seconds of a core of 2023 with g++: 0.001 to draw and evaluate it,
//! 0.006 to emit it, 0.3 to compile it quickly, 0.5 as shipped (`-O2`), 0.6 emulated. The numbers
//! of formulas below keep the whole file under three CPU minutes; what was compiled once is not
//! compiled again. `TILEFOLD_RANDOM=2000` compiles and emulates as many instead, in half an hour.

use tilefold::Options;
use tilefold_compiler::emit;
use tilefold_compiler::ir::eval::{self, Matrix};
use tilefold_compiler::ir::{Axis, Dtype, Formula, Reduction, verify};
use tilefold_compiler::passes::vjp;
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::compare::{self, without_ties};
use tilefold_tests::device;
use tilefold_tests::emulated::{Emulated, Grid};
use tilefold_tests::finite;
use tilefold_tests::generate::{self, Wish};
use tilefold_tests::interpreted;
use tilefold_tests::native::{self, Native};
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

const ALLOWED: f64 = 1e-9;
/// Differences are less exact than derivatives.
const ALLOWED_OF_GRADIENTS: f64 = 1e-6;

/// How many formulas are compiled at a time.
const BATCH: u64 = 120;

/// The formulas that are compiled or emulated, batch by batch: `few` of them, or as many as
/// `TILEFOLD_RANDOM` says.
fn batches(few: u64) -> impl Iterator<Item = Vec<Problem>> {
    let asked = std::env::var("TILEFOLD_RANDOM").ok();
    let all = asked.map_or(few, |n| n.parse().expect("TILEFOLD_RANDOM is a number"));
    (0..all)
        .step_by(BATCH as usize)
        .map(move |first| problems(first..all.min(first + BATCH), Wish::Any))
}

/// Answers that are too far off.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn check(
        &mut self,
        who: &str,
        allowed: f64,
        f: &Formula,
        expected: &[Matrix],
        found: &[Matrix],
    ) {
        if let Some(gap) = compare::worst(f, expected, found)
            && gap.off > allowed
        {
            self.0.push(format!(
                "{}, {who}: {gap}\n{}",
                f.name,
                tilefold_compiler::ir::canonical_text(f)
            ));
        }
    }

    fn finish(self) {
        let lines: String = self.0.iter().take(6).map(|w| format!("\n{w}")).collect();
        assert!(self.0.is_empty(), "{} answers are wrong:{lines}", self.0.len());
    }
}

fn oracle(p: &Problem) -> Vec<Matrix> {
    oracle::evaluate(&p.formula, p.m, p.n, &p.inputs)
}

fn evaluate(p: &Problem) -> Vec<Matrix> {
    eval::evaluate(&p.formula, p.m, p.n, &p.inputs).expect("the arrays fit")
}

fn problems(numbers: std::ops::Range<u64>, wish: Wish) -> Vec<Problem> {
    numbers.map(|n| generate::problem(n, wish)).collect()
}

fn formulas(problems: &[Problem]) -> Vec<Formula> {
    problems.iter().map(|p| p.formula.clone()).collect()
}

#[test]
fn evaluation_agrees_with_the_oracle() {
    let mut wrong = Wrong::default();
    for p in problems(0..2000, Wish::Any) {
        verify::verify(&p.formula).expect("the generator builds valid formulas");
        let expected = oracle(&p);
        wrong.check("eval", ALLOWED, &p.formula, &expected, &evaluate(&p));
    }
    wrong.finish();
}

/// Checks compiled code against the oracle.
fn check_compiled(problems: &[Problem], native: &Native) {
    let mut wrong = Wrong::default();
    for (n, p) in problems.iter().enumerate() {
        let found = native.run(n, Dtype::F64, native::best(), p).expect("it runs");
        let expected = oracle(p);
        let found = without_ties(p, &expected, found);
        wrong.check("compiled", ALLOWED, &p.formula, &expected, &found);
    }
    wrong.finish();
}

#[test]
fn compiled_code_agrees_with_the_oracle() {
    for problems in batches(120) {
        let native = Native::quick(&formulas(&problems), &[Dtype::F64], &[native::best()]);
        check_compiled(&problems, &native);
    }
}

#[test]
fn code_compiled_as_shipped_agrees_with_the_oracle() {
    let problems = problems(300..340, Wish::Any);
    let native = Native::build(&formulas(&problems), &[Dtype::F64], &[native::best()]);
    check_compiled(&problems, &native);
}

#[test]
fn the_interpreter_agrees_with_the_oracle() {
    let mut wrong = Wrong::default();
    for p in problems(0..2000, Wish::Any) {
        let found = interpreted::run(&p, Dtype::F64, &Options::new()).expect("it runs");
        let expected = oracle(&p);
        let is_off = compare::worst(&p.formula, &expected, &found).is_some_and(|g| g.off > ALLOWED);
        let found = if is_off { without_ties(&p, &expected, found) } else { found };
        wrong.check("interpreted", ALLOWED, &p.formula, &expected, &found);
    }
    wrong.finish();
}

/// Every formula has code, whether or not it is compiled here.
#[test]
fn every_formula_is_emitted() {
    for p in problems(0..2000, Wish::Any) {
        emit::kernel(&p.formula, &p.formula.name, "a test").expect("small enough");
    }
}

/// `out[j] = argmax[i] x`, where x does not vary with j.
#[test]
fn row_numbers_are_copied_along_the_other_index() {
    let mut f = Formula::new("row numbers");
    let x = f.input("x", Some(Axis::I), 2).expect("a small dim");
    f.input("y", Some(Axis::J), 1).expect("a small dim");
    let (reducer, axis, args) = (Reducer::ArgMax, Axis::I, vec![x]);
    let rows = f.reduce(Reduction { reducer, axis, args, mask: None, k: 0 }).expect("it fits");
    f.output("row", Some(Axis::J), rows).expect("one row number for all j");
    f.output("same", None, rows).expect("one row number");
    let p = Problem::new(f, 3, 40, |_, entry| [0.0, 1.0, 5.0, -1.0, 2.0, 0.5][entry % 6]);
    let expected = oracle(&p);
    assert_eq!(expected[0].data[..2], [1.0, 0.0]);
    let formulas = formulas(std::slice::from_ref(&p));
    let native = Native::build(&formulas, &[Dtype::F64], &[native::best()]);
    assert_eq!(native.run(0, Dtype::F64, native::best(), &p).expect("it runs"), expected);
    let emulated = Emulated::build(&formulas, &[Dtype::F64]);
    assert_eq!(emulated.run(0, Dtype::F64, &p, Grid::default()).expect("it runs"), expected);
}

#[test]
fn emulated_code_agrees_with_the_oracle() {
    for problems in batches(60) {
        let emulated = Emulated::build(&formulas(&problems), &[Dtype::F64]);
        let mut wrong = Wrong::default();
        for (n, p) in problems.iter().enumerate() {
            let found = emulated.run(n, Dtype::F64, p, Grid { splits: 2, seed: n as u64 });
            let expected = oracle(p);
            let found = without_ties(p, &expected, found.expect("it runs"));
            wrong.check("cuda", ALLOWED, &p.formula, &expected, &found);
        }
        wrong.finish();
    }
}

#[test]
fn code_on_a_device_agrees_with_the_oracle() {
    if !device::is_here() {
        return;
    }
    for problems in batches(240) {
        let native = device::build(&formulas(&problems), &[Dtype::F64]);
        let mut wrong = Wrong::default();
        for (n, p) in problems.iter().enumerate().filter(|_| device::runs()) {
            let found = device::run(&native, n, Dtype::F64, p).expect("it runs");
            let expected = oracle(p);
            let found = without_ties(p, &expected, found);
            wrong.check("on a device", ALLOWED, &p.formula, &expected, &found);
        }
        wrong.finish();
    }
}

/// The gradient of the first output with respect to every input, as a problem.
fn gradient(p: &Problem, rng: &mut Rng) -> Problem {
    let names: Vec<String> = p.formula.inputs.iter().map(|i| i.name.clone()).collect();
    let output = &p.formula.outputs[0].name;
    let formula =
        vjp(&p.formula, output, &names).unwrap_or_else(|e| panic!("{}: {e}", p.formula.name));
    let mut gradient = p.with(formula);
    gradient.inputs.push(p.cotangent(0, rng));
    gradient
}

#[test]
fn gradients_agree_with_differences_of_the_oracle() {
    let (mut rng, mut wrong) = (Rng::new(6), Wrong::default());
    let problems = problems(0..60, Wish::Smooth);
    let gradients: Vec<Problem> = problems.iter().map(|p| gradient(p, &mut rng)).collect();
    let native = Native::quick(&formulas(&gradients), &[Dtype::F64], &[native::best()]);
    for (n, (p, g)) in problems.iter().zip(&gradients).enumerate() {
        verify::verify(&g.formula).expect("a gradient is a valid formula");
        let cotangent = g.inputs.last().expect("the cotangent");
        let expected = finite::gradient(p, 0, cotangent);
        let f = &g.formula;
        wrong.check("gradient, oracle", ALLOWED_OF_GRADIENTS, f, &expected, &oracle(g));
        let found = native.run(n, Dtype::F64, native::best(), g).expect("it runs");
        wrong.check("gradient, compiled", ALLOWED, f, &oracle(g), &found);
    }
    wrong.finish();
}

#[test]
fn gradients_of_gradients_agree_with_differences_of_the_oracle() {
    let (mut rng, mut wrong) = (Rng::new(7), Wrong::default());
    for p in problems(100..130, Wish::Smooth) {
        let once = gradient(&p, &mut rng);
        let twice = gradient(&once, &mut rng);
        let cotangent = twice.inputs.last().expect("the cotangent");
        let expected = finite::gradient(&once, 0, cotangent);
        wrong.check("twice", ALLOWED_OF_GRADIENTS, &twice.formula, &expected, &oracle(&twice));
    }
    wrong.finish();
}
