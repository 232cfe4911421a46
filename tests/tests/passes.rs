//! The passes keep what a formula means: `ir::eval` before and after, pass by pass, on random
//! formulas, on their gradients, and where zeros, infinities and NaN meet.

use tilefold_compiler::ir::eval::{self, Matrix};
use tilefold_compiler::ir::{Axis, ExprId, Formula, canonical_text, verify};
use tilefold_compiler::ops::Op;
use tilefold_compiler::passes::{Fired, LAST, PIPELINE, settle, vjp};
use tilefold_tests::compare;
use tilefold_tests::generate::{self, Wish};
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

const ALLOWED: f64 = 1e-10;

fn evaluate(p: &Problem) -> Vec<Matrix> {
    eval::evaluate(&p.formula, p.m, p.n, &p.inputs).expect("the arrays fit")
}

/// Runs the pipeline step by step; says which step changed the answers, if one did.
fn changed_by(problem: &Problem, expected: &[Matrix]) -> Option<String> {
    let mut formula = problem.formula.clone();
    for pass in PIPELINE.iter().chain([&LAST]) {
        let next = (pass.run)(&formula, &mut Fired::new());
        if let Err(why) = verify::verify(&next) {
            return Some(format!("{} breaks the formula: {why}", pass.name));
        }
        let found = evaluate(&problem.with(next.clone()));
        if let Some(gap) = compare::worst(&next, expected, &found)
            && gap.off > ALLOWED
        {
            let (before, after) = (canonical_text(&formula), canonical_text(&next));
            return Some(format!("{}: {gap}\n{before}{after}", pass.name));
        }
        formula = next;
    }
    None
}

#[test]
fn every_pass_keeps_the_meaning_of_random_formulas() {
    for number in 0..1000 {
        let p = generate::problem(number, Wish::Any);
        let wrong = changed_by(&p, &evaluate(&p));
        assert!(wrong.is_none(), "{}: {}", p.formula.name, wrong.unwrap_or_default());
    }
}

#[test]
fn every_pass_keeps_the_meaning_of_gradients() {
    let mut rng = Rng::new(8);
    for number in 0..200 {
        let p = generate::problem(number, Wish::Smooth);
        let names: Vec<String> = p.formula.inputs.iter().map(|i| i.name.clone()).collect();
        let gradient = vjp(&p.formula, &p.formula.outputs[0].name, &names).expect("smooth");
        let mut g = p.with(gradient);
        g.inputs.push(p.cotangent(0, &mut rng));
        let wrong = changed_by(&g, &evaluate(&g));
        assert!(wrong.is_none(), "{}: {}", p.formula.name, wrong.unwrap_or_default());
    }
}

#[test]
fn the_pipeline_has_a_fixed_point() {
    for number in 0..300 {
        let once = settle(&generate::problem(number, Wish::Any).formula);
        let twice = settle(&once);
        assert_eq!(canonical_text(&once), canonical_text(&twice), "random {number}");
    }
}

/// A pair value from a row value, a column value, a parameter and a number.
type Build = fn(&mut Formula, [ExprId; 3]) -> ExprId;

/// Expressions that rules of algebra, but not of floating point, would shorten.
const TRAPS: &[(&str, Build)] = &[
    ("x - x", |f, [x, ..]| f.sub(x, x)),
    ("0 * x", |f, [x, ..]| f.scale(0.0, x)),
    ("x / x", |f, [x, ..]| f.div(x, x)),
    ("x * y / y", |f, [x, y, _]| {
        let product = f.mul(x, y);
        f.div(product, y)
    }),
    ("x + 0", |f, [x, ..]| {
        let zero = f.constant(0.0);
        f.add(x, zero)
    }),
    ("1 * x * 1", |f, [x, ..]| {
        let scaled = f.scale(1.0, x);
        let one = f.constant(1.0);
        f.mul(scaled, one)
    }),
    ("-(-x)", |f, [x, ..]| {
        let once = f.neg(x);
        f.neg(once)
    }),
    ("exp(g x) y", |f, [x, y, g]| {
        let product = f.mul(g, x);
        let gap = f.sub(product, y);
        let scaled = f.mul(g, gap);
        let exp = f.apply(Op::Exp, &[scaled], &[]);
        f.mul(exp, y)
    }),
    ("x^0 y", |f, [x, y, _]| {
        let power = f.apply(Op::Pow, &[x], &[0]);
        f.mul(power, y)
    }),
];

#[test]
fn the_passes_do_not_repair_infinities_and_nan() {
    let edges = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, -2.0];
    for (what, build) in TRAPS {
        let mut f = Formula::new(*what);
        let x = f.input("x", Some(Axis::I), 1).expect("a small dim");
        let y = f.input("y", Some(Axis::J), 1).expect("a small dim");
        let g = f.input("g", None, 1).expect("a small dim");
        let pair = build(&mut f, [x, y, g]);
        let value = f.mul(pair, y);
        let sum = f.sum_over(Axis::J, value);
        f.output("out", Some(Axis::I), sum).expect("a row of i");
        for y in edges {
            for g in edges {
                let p = Problem::new(f.clone(), edges.len(), 1, |k, entry| match k {
                    0 => edges[entry],
                    1 => y,
                    _ => g,
                });
                let wrong = changed_by(&p, &evaluate(&p));
                assert!(wrong.is_none(), "{what}, y = {y}, g = {g}: {wrong:?}");
            }
        }
    }
}
