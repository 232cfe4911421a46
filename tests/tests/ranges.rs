//! Reductions restricted to ranges, and their gradients, against the same reductions with a mask
//! and against loops over the pairs.

use std::ops::Range;

use tilefold::{Code, Level, Options, Policy, Ranges};
use tilefold_compiler::front;
use tilefold_compiler::ir::eval::{self, Matrix};
use tilefold_compiler::ir::{Axis, Dtype, Formula, Reduction};
use tilefold_compiler::passes::{keep_pairs, vjp};
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::native::{self, Native};
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;
use tilefold_tests::{compare, folds};

fn cpu(level: Level, threads: usize) -> Options<'static> {
    Options::new().executor(Policy::Cpu).level(level).threads(threads)
}

/// The ranges of an array that is 1 where rows take part.
fn kept(keep: &Matrix) -> Vec<Range<usize>> {
    (0..keep.rows).filter(|&row| keep.data[row] != 0.0).map(|row| row..row + 1).collect()
}

/// The pairs that the mask `p q` keeps.
fn mask(problem: &Problem) -> Ranges {
    let input = |name: &str| {
        let place = problem.formula.inputs.iter().position(|input| input.name == name);
        &problem.inputs[place.expect("a masked formula")]
    };
    let (i, j) = (kept(input("p")), kept(input("q")));
    let blocks = i.iter().flat_map(|i| j.iter().map(|j| (i.clone(), j.clone())));
    Ranges::from_blocks(blocks).expect("rows of a mask are apart")
}

/// The problem without its mask, for a formula that has none.
fn unmasked(problem: &Problem, formula: Formula) -> Problem {
    let inputs = problem.formula.inputs.iter().zip(&problem.inputs);
    let inputs = inputs.filter(|(input, _)| input.name != "p" && input.name != "q");
    Problem { inputs: inputs.map(|(_, array)| array.clone()).collect(), formula, ..problem.clone() }
}

fn check(what: &str, allowed: f64, f: &Formula, expected: &[Matrix], found: &[Matrix]) {
    let gap = compare::worst(f, expected, found).filter(|gap| gap.off > allowed);
    assert!(gap.is_none(), "{what}: {}", gap.expect("a gap"));
}

#[test]
fn every_reduction_is_that_of_a_mask() {
    let both: Vec<Formula> = [Axis::I, Axis::J].into_iter().flat_map(folds::formulas).collect();
    let plain: Vec<Formula> = both.iter().step_by(2).cloned().collect();
    let masked: Vec<Formula> = both.iter().skip(1).step_by(2).cloned().collect();
    let native = Native::quick(&plain, &[Dtype::F32, Dtype::F64], &[native::best()]);
    let mut rng = Rng::new(61);
    for (n, (plain, masked)) in plain.iter().zip(&masked).enumerate() {
        for (m, n_cols) in [(9, 40), (150, 33), (3, 700)] {
            let mut problem = Problem::between(masked.clone(), m, n_cols, &mut rng, -1.0, 1.0);
            for (input, array) in masked.inputs.iter().zip(&mut problem.inputs) {
                if input.name == "p" || input.name == "q" {
                    array.data.fill_with(|| f64::from(u8::from(rng.below(3) > 0)));
                }
                if input.name == "w" {
                    array.data.fill_with(|| rng.between(0.5, 2.0));
                }
            }
            for (dtype, allowed) in [(Dtype::F32, 3e-6), (Dtype::F64, 1e-13)] {
                let problem = problem.rounded(dtype);
                let ranges = mask(&problem);
                let expected = oracle::evaluate(masked, problem.m, problem.n, &problem.inputs);
                let problem = unmasked(&problem, plain.clone());
                let run = |threads| {
                    let options = cpu(native::best(), threads);
                    native.run_in(n, dtype, options, Some(&ranges), &problem).expect("it runs")
                };
                let what = format!("{} {dtype:?} {m} x {n_cols}", plain.name);
                check(&what, allowed, plain, &expected, &run(1));
                assert_eq!(format!("{:?}", run(1)), format!("{:?}", run(3)), "{what}");
            }
        }
    }
}

const SMOOTH: &[Reducer] = &[
    Reducer::Sum,
    Reducer::Mean,
    Reducer::Var,
    Reducer::Prod,
    Reducer::Min,
    Reducer::Max,
    Reducer::KMin,
    Reducer::LogSumExp,
    Reducer::LogSumExpWeight,
    Reducer::SoftMaxSum,
    Reducer::SumShiftExp,
];

/// Folds `c g (x[i] - y[j])^2` over an axis, where `p q` is not 0 if there is a mask.
fn smooth(reducer: Reducer, axis: Axis, masked: bool) -> Formula {
    let mut f = Formula::new(format!("{reducer:?} over {axis}"));
    let mut add = |name: &str, axis, dim| f.input(name, axis, dim).expect("a small dim");
    let (x, y) = (add("x", Some(Axis::I), 1), add("y", Some(Axis::J), 1));
    let (g, c) = (add("g", None, 1), add("c", Some(axis), 1));
    let weight = (reducer.def().arity == 2).then(|| add("w", Some(axis), 2));
    let keep = masked.then(|| (add("p", Some(Axis::I), 1), add("q", Some(Axis::J), 1)));
    let between = f.sub(x, y);
    let scaled = f.mul(g, between);
    let bent = f.mul(scaled, between);
    let mut args = vec![f.mul(bent, c)];
    args.extend(weight);
    let (mask, k) = (keep.map(|(p, q)| f.mul(p, q)), usize::from(reducer.def().takes_k));
    let fold = f.reduce(Reduction { reducer, axis, args, mask, k }).expect("it fits");
    f.output("out", Some(axis.other()), fold).expect("a row of the other index");
    f
}

#[test]
fn gradients_are_those_of_a_mask() {
    let cases = || SMOOTH.iter().flat_map(|&r| [Axis::I, Axis::J].map(|axis| (r, axis)));
    let wrt = &["x", "y", "g", "c"].map(String::from);
    let plain = cases()
        .map(|(r, axis)| vjp(&keep_pairs(&smooth(r, axis, false)), "out", wrt).expect("smooth"));
    let plain: Vec<Formula> = plain.collect();
    let masked: Vec<Formula> =
        cases().map(|(r, axis)| vjp(&smooth(r, axis, true), "out", wrt).expect("smooth")).collect();
    assert!(plain.iter().all(|f| f.outputs.len() == wrt.len()));
    let native = Native::quick(&plain, &[Dtype::F64], &[native::best()]);
    let mut rng = Rng::new(62);
    for (n, ((reducer, axis), (plain, masked))) in
        cases().zip(plain.iter().zip(&masked)).enumerate()
    {
        let (m, cols) = (23, 31);
        let mut problem = Problem::between(masked.clone(), m, cols, &mut rng, -1.0, 1.0);
        for (input, array) in masked.inputs.iter().zip(&mut problem.inputs) {
            match input.name.as_str() {
                // Every row of the result folds something.
                "p" | "q" if input.axis != Some(axis) => array.data.fill(1.0),
                "p" | "q" => array.data.fill_with(|| f64::from(u8::from(rng.below(3) > 0))),
                "w" => array.data.fill_with(|| rng.between(0.5, 2.0)),
                _ => (),
            }
        }
        let ranges = mask(&problem);
        let expected = eval::evaluate(masked, m, cols, &problem.inputs).expect("the arrays fit");
        let problem = unmasked(&problem, plain.clone());
        let options = cpu(native::best(), 2);
        let found = native.run_in(n, Dtype::F64, options, Some(&ranges), &problem);
        let what = format!("{reducer:?} over {axis}");
        let found = found.unwrap_or_else(|why| panic!("{what}: {why}"));
        check(&what, 1e-11, plain, &expected, &found);
    }
}

const GAUSSIAN: &str = "tilefold 1;
formula gaussian dtype f32, f64 {
    x[i] : R^3;
    y[j] : R^3;
    b[j] : R^2;
    gamma : R;
    a[i] = sum[j] exp(-gamma * sqdist(x, y)) * b;
    grad a wrt x, y, b, gamma;
}
";

fn parsed(text: &str) -> Vec<Formula> {
    let units =
        front::parse("test.fold", text).unwrap_or_else(|d| panic!("{}", d.render("", text)));
    let instance = &units[0].instances[0];
    let derivatives = instance.derivatives.iter().map(|d| d.formula.clone());
    [instance.formula.clone()].into_iter().chain(derivatives).collect()
}

/// The convolution and its gradient, by loops over the pairs of ranges.
fn by_loops(
    p: &Problem,
    cotangent: &Matrix,
    blocks: &[(Range<usize>, Range<usize>)],
) -> Vec<Matrix> {
    let (x, y, b, gamma) = (&p.inputs[0], &p.inputs[1], &p.inputs[2], p.inputs[3].data[0]);
    let zeros = |m: &Matrix| Matrix { data: vec![0.0; m.data.len()], ..m.clone() };
    let mut a = zeros(cotangent);
    let (mut dx, mut dy, mut db, mut dg) = (zeros(x), zeros(y), zeros(b), 0.0);
    for (rows, cols) in blocks {
        for i in rows.clone() {
            for j in cols.clone() {
                let delta = [0, 1, 2].map(|d| x.data[3 * i + d] - y.data[3 * j + d]);
                let squared: f64 = delta.iter().map(|d| d * d).sum();
                let k = (-gamma * squared).exp();
                let mut e = 0.0;
                for c in 0..2 {
                    a.data[2 * i + c] += k * b.data[2 * j + c];
                    db.data[2 * j + c] += k * cotangent.data[2 * i + c];
                    e += cotangent.data[2 * i + c] * b.data[2 * j + c];
                }
                dg -= e * k * squared;
                for (d, delta) in delta.iter().enumerate() {
                    dx.data[3 * i + d] -= 2.0 * gamma * e * k * delta;
                    dy.data[3 * j + d] += 2.0 * gamma * e * k * delta;
                }
            }
        }
    }
    vec![a, dx, dy, db, Matrix { rows: 1, cols: 1, data: vec![dg] }]
}

/// Blocks that share no pair: clusters of rows, each with some ranges of columns, some rows and
/// columns in none.
fn blocks(m: usize, n: usize, step: usize, rng: &mut Rng) -> Vec<(Range<usize>, Range<usize>)> {
    let mut blocks = Vec::new();
    let mut row = 0;
    while row < m {
        let rows = row..(row + 1 + rng.below(step)).min(m);
        row = rows.end + if rng.below(4) == 0 { 3 } else { 0 };
        let mut col = rng.below(n / 2 + 1);
        while col < n && rng.below(5) > 0 {
            let cols = col..(col + 1 + rng.below(n / 3 + 1)).min(n);
            col = cols.end + rng.below(n / 4 + 1);
            blocks.push((rows.clone(), cols));
        }
    }
    blocks
}

#[test]
fn clusters_give_what_loops_over_their_pairs_give() {
    let formulas = parsed(GAUSSIAN);
    let dtypes = [(Dtype::F32, 2e-5), (Dtype::F64, 1e-12)];
    let native = Native::build(&formulas, &dtypes.map(|(dtype, _)| dtype), &native::levels());
    let mut rng = Rng::new(63);
    for (m, n, step) in [(70, 50, 9), (300, 200, 150), (5, 3000, 3), (900, 7, 1), (2, 40_000, 2)] {
        let forward = Problem::between(formulas[0].clone(), m, n, &mut rng, -1.0, 1.0);
        let mut forward = forward.rounded(Dtype::F32);
        forward.inputs[3].data[0] = 0.75;
        let mut cotangent = forward.cotangent(0, &mut rng);
        cotangent.data.iter_mut().for_each(|x| *x = f64::from(*x as f32));
        let mut backward = forward.with(formulas[1].clone());
        backward.inputs.push(cotangent.clone());
        let blocks = blocks(m, n, step, &mut rng);
        let ranges = Ranges::from_blocks(blocks.iter().cloned()).expect("they share no pair");
        let expected = by_loops(&forward, &cotangent, &blocks);
        for (dtype, allowed) in dtypes {
            for level in native::levels() {
                let run = |n, problem: &Problem, threads| {
                    let options = cpu(level, threads);
                    native.run_in(n, dtype, options, Some(&ranges), problem).expect("it runs")
                };
                let all =
                    |threads| [run(0, &forward, threads), run(1, &backward, threads)].concat();
                let found = all(1);
                let what = format!("{dtype:?} {level} {m} x {n}");
                check(&what, allowed, &formulas[0], &expected[..1], &found[..1]);
                check(&what, allowed, &formulas[1], &expected[1..], &found[1..]);
                for threads in [2, 3] {
                    assert!(all(threads) == found, "{what}: {threads} threads differ from one");
                }
            }
        }
    }
}

/// Rows that no level folds one by one: few rows without ranges are, and then the last bits differ.
#[test]
fn all_pairs_give_the_bits_of_no_ranges() {
    let formulas = parsed(GAUSSIAN);
    let levels = native::levels();
    let native = Native::build(&formulas[..1], &[Dtype::F32], &levels);
    let mut rng = Rng::new(64);
    for (m, n) in [(300, 1000), (500, 30_000)] {
        let problem = Problem::between(formulas[0].clone(), m, n, &mut rng, 0.0, 1.0);
        let problem = problem.rounded(Dtype::F32);
        let all = Ranges::from_blocks([(0..m, 0..n / 3), (0..m, n / 3..n)]).expect("apart");
        for &level in &levels {
            let run = |ranges| native.run_in(0, Dtype::F32, cpu(level, 2), ranges, &problem);
            assert!(run(Some(&all)).expect("it runs") == run(None).expect("it runs"), "{level}");
        }
    }
}

/// Kernels for many dimensions pack and fold columns in their own way.
#[test]
fn many_dimensions_keep_to_ranges() {
    let formulas = |mask: &str| {
        parsed(&format!(
            "tilefold 1;\nformula f dtype f32, f64 {{\n    x[i] : R^70;\n    y[j] : R^70;\n    \
             b[j] : R^2;\n    a[i] = sum[j{mask}] exp(-sqdist(x, y) / 50) * b;\n    \
             n[i] = min[j{mask}] dot(x, y);\n}}\n"
        ))
    };
    let (plain, masked) = (formulas(""), formulas(" where (pos(i) < 13) == (pos(j) < 301)"));
    let dtypes = [(Dtype::F32, 1e-5), (Dtype::F64, 1e-13)];
    let native = Native::quick(&plain, &dtypes.map(|(dtype, _)| dtype), &[native::best()]);
    let mut rng = Rng::new(66);
    let (m, n) = (21, 333);
    let ranges = Ranges::from_blocks([(0..13, 0..301), (13..m, 301..n)]).expect("apart");
    let problem = Problem::between(plain[0].clone(), m, n, &mut rng, -1.0, 1.0);
    let problem = problem.rounded(Dtype::F32);
    let expected = eval::evaluate(&masked[0], m, n, &problem.inputs).expect("the arrays fit");
    for (dtype, allowed) in dtypes {
        let options = cpu(native::best(), 2);
        let found = native.run_in(0, dtype, options, Some(&ranges), &problem).expect("it runs");
        check(&format!("{dtype:?}"), allowed, &plain[0], &expected, &found);
    }
}

/// A fold over j and its gradient, with and without the mask that two blocks are.
fn pair_of((fold, body, wrt): (&str, &str, &str)) -> [Vec<Formula>; 2] {
    ["", " where (pos(i) < 2) == (pos(j) < 3)"].map(|mask| {
        parsed(&format!(
            "tilefold 1;\nformula f dtype f64 {{\n    x[i] : R;\n    y[j] : R;\n    p : R;\n    \
             let _ = x * y * p;\n    a[i] = {fold}[j{mask}] ({body});\n    grad a wrt {wrt};\n}}\n"
        ))
    })
}

#[test]
fn sums_that_left_the_pairs_are_refused() {
    // What varies along one index only would be summed once for all rows of the other.
    let bodies = [
        ("sum", "p * x * y", "x"),
        ("sum", "exp(p * y)", "y"),
        ("sum", "exp(x - y) + x * y", "x"),
        ("sum", "exp(x - y) + p * x", "p"),
        ("sum", "exp(x - y) + p * y", "p"),
        ("sum", "exp(x - y) * y", "y"),
        ("sum", "p * x", "x"),
        ("sum", "p", "p"),
        ("mean", "exp(x)", "x"),
        ("mean", "x * y", "y"),
    ];
    let of = |masked: usize| -> Vec<Formula> {
        bodies.iter().flat_map(|&fold| pair_of(fold)[masked].clone()).collect()
    };
    let kept = bodies.iter().flat_map(|&fold| {
        let (forward, wrt) = (keep_pairs(&pair_of(fold)[0][0]), fold.2);
        let backward = vjp(&forward, "a", &[String::from(wrt)]).expect("smooth");
        [forward, backward]
    });
    let (plain, masked, kept) = (of(0), of(1), kept.collect::<Vec<_>>());
    let native = Native::quick(&[&plain[..], &kept].concat(), &[Dtype::F64], &[native::best()]);
    let mut rng = Rng::new(65);
    let ranges = Ranges::from_blocks([(0..2, 0..3), (2..5, 3..6)]).expect("apart");
    // What does not vary with pairs where it is written is no reduction of pairs.
    let one_axis = [2, 3, 14, 15];
    let mut refused = Vec::new();
    for (n, (plain, masked)) in plain.iter().zip(&masked).enumerate() {
        let problem = Problem::between(plain.clone(), 5, 6, &mut rng, 0.0, 1.0);
        let expected = eval::evaluate(masked, 5, 6, &problem.inputs).expect("the arrays fit");
        let run = |n| native.run_in(n, Dtype::F64, cpu(native::best(), 1), Some(&ranges), &problem);
        match run(n) {
            Ok(found) => check(&format!("formula {n}"), 1e-12, plain, &expected, &found),
            Err(why) => {
                assert_eq!(why.code(), Code::RangesKernel, "{why}");
                refused.push(n);
            }
        }
        let found = run(bodies.len() * 2 + n);
        if one_axis.contains(&n) {
            assert_eq!(found.unwrap_err().code(), Code::RangesKernel);
        } else {
            let found = found.expect("its reductions keep to pairs");
            check(&format!("formula {n} that keeps pairs"), 1e-12, plain, &expected, &found);
        }
    }
    assert_eq!(refused, [0, 1, 2, 3, 9, 14, 15, 17, 19]);
}
