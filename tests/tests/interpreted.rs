//! The interpreter by itself: the same bits for any number of threads, sums within the bound that
//! the accumulation promises, long and deep formulas, and what it refuses.

use tilefold::{Code, Executor, Interpreted, Options};
use tilefold_compiler::ir::{Accumulation, Axis, Dtype, Formula, Reduction, Storage};
use tilefold_compiler::ops::Op;
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::compare;
use tilefold_tests::folds;
use tilefold_tests::interpreted;
use tilefold_tests::native;
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

/// Columns that several tasks fold, with partial states that are merged.
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let mut rng = Rng::new(21);
    for (axis, dtype) in [(Axis::J, Dtype::F32), (Axis::I, Dtype::F64)] {
        for formula in folds::formulas(axis) {
            let columns: Vec<f64> = (0..17_000).map(|_| rng.between(-2.0, 2.0)).collect();
            let problem = folds::on(&formula, axis, 3, &columns, &mut rng);
            let made = Interpreted::new(&formula, dtype.into()).expect("a short formula");
            let run = |threads: usize| {
                let options = Options::new().threads(threads);
                let run = interpreted::run_made(&made, &problem, dtype, &options);
                let (found, report) = run.expect("it runs");
                assert_eq!(report.executor, Executor::Interpreted);
                let bits = found.into_iter().flat_map(|m| m.data).map(f64::to_bits);
                bits.collect::<Vec<u64>>()
            };
            let one = run(1);
            for threads in [2, 3] {
                assert!(one == run(threads), "{} {} on {threads}", formula.name, dtype.name());
            }
        }
    }
}

fn sum_of_products(acc: Accumulation) -> Formula {
    let mut f = Formula::new("sum");
    f.acc = acc;
    let x = f.input("x", Some(Axis::I), 1).expect("a small dim");
    let y = f.input("y", Some(Axis::J), 1).expect("a small dim");
    let value = f.add(x, y);
    let sum = f.sum_over(Axis::J, value);
    f.output("a", Some(Axis::I), sum).expect("a row of i");
    f
}

/// The bounds of [`Accumulation`], on numbers whose sums lose bits.
#[test]
fn sums_keep_what_the_accumulation_promises() {
    let cases =
        [(Accumulation::Blocked, 9.0), (Accumulation::Each, 1.0), (Accumulation::Fast, 257.0)];
    let mut rng = Rng::new(22);
    for (acc, units) in cases {
        for count in [1, 7, 8, 9, 255, 256, 257, 100_003] {
            let draw = |input: usize, _: usize| match input {
                0 => 0.0,
                _ => rng.between(0.5, 1.0) * (-rng.between(0.0, 30.0)).exp2(),
            };
            let problem = Problem::new(sum_of_products(acc), 3, count, draw);
            for level in native::levels() {
                let options = Options::new().level(level);
                let problem = problem.rounded(Dtype::F32);
                let found = interpreted::run(&problem, Dtype::F32, &options).expect("it runs");
                let exact: f64 = problem.inputs[1].data.iter().sum();
                let off = (found[0].data[0] - exact).abs() / exact * f64::from(1 << 24);
                assert!(off <= units, "{acc:?} {count} {level}: {off} units");
            }
        }
    }
}

/// Every component of long vectors, in chains of instructions and in single ones.
#[test]
fn long_vectors_and_deep_formulas_run() {
    let mut rng = Rng::new(23);
    for dim in [1, 2, 3, 4, 5, 7, 40, 100] {
        let mut f = Formula::new("long");
        let x = f.input("x", Some(Axis::I), dim).expect("a small dim");
        let y = f.input("y", Some(Axis::J), dim).expect("a small dim");
        let distance = f.apply(Op::SqDist, &[x, y], &[]);
        let product = f.apply(Op::Dot, &[x, y], &[]);
        let gap = f.sub(x, y);
        let size = f.apply(Op::Abs, &[gap], &[]);
        let size = f.sum_components(size);
        let both = f.mul(distance, product);
        let all = f.add(both, size);
        let deep = (0..1000).fold(all, |v, _| f.apply(Op::Atan, &[v], &[]));
        for (name, value) in [("all", all), ("deep", deep)] {
            let sum = f.sum_over(Axis::J, value);
            f.output(name, Some(Axis::I), sum).expect("a row of i");
        }
        let p = Problem::between(f, 5, 30, &mut rng, -1.0, 1.0);
        let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
        let found = interpreted::run(&p, Dtype::F64, &Options::new()).expect("it runs");
        let gap = compare::worst(&p.formula, &expected, &found);
        assert!(gap.as_ref().is_none_or(|gap| gap.off < 1e-12), "{dim}: {gap:?}");
    }
}

/// What a stage hands to the next is not rounded to 16 bits, and outputs of both indices and of
/// none come out of one call.
#[test]
fn stages_and_all_kinds_of_outputs() {
    let mut f = Formula::new("outputs");
    let x = f.input("x", Some(Axis::I), 2).expect("a small dim");
    let y = f.input("y", Some(Axis::J), 2).expect("a small dim");
    let distance = f.apply(Op::SqDist, &[x, y], &[]);
    let reduce = |f: &mut Formula, reducer, axis, arg| {
        let fold = Reduction { reducer, axis, args: vec![arg], mask: None, k: 0 };
        f.reduce(fold).expect("it fits")
    };
    let scores = reduce(&mut f, Reducer::LogSumExp, Axis::J, distance);
    let gap = f.sub(distance, scores);
    let share = f.apply(Op::Exp, &[gap], &[]);
    let columns = f.sum_over(Axis::I, share);
    let total = f.sum_over(Axis::J, columns);
    let nearest = reduce(&mut f, Reducer::ArgMin, Axis::I, distance);
    for (name, axis, value) in [
        ("scores", Some(Axis::I), scores),
        ("columns", Some(Axis::J), columns),
        ("total", None, total),
        ("nearest", Some(Axis::J), nearest),
        ("copy", Some(Axis::I), x),
    ] {
        f.output(name, axis, value).expect("it fits");
    }
    let p = Problem::between(f, 130, 300, &mut Rng::new(24), -1.0, 1.0);
    let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
    let found = interpreted::run(&p, Dtype::F64, &Options::new()).expect("it runs");
    let gap = compare::worst(&p.formula, &expected, &found);
    assert!(gap.as_ref().is_none_or(|gap| gap.off < 1e-12), "{gap:?}");
}

/// Sums over components and of many outputs: small integers, so that they are exact.
fn sums(dim: usize) -> Formula {
    let mut f = Formula::new(format!("sums of {dim}"));
    let x = f.input("x", Some(Axis::I), dim).expect("short");
    let y = f.input("y", Some(Axis::J), dim).expect("short");
    let gap = f.sub(x, y);
    let size = f.apply(Op::Abs, &[gap], &[]);
    let product = f.mul(x, y);
    let squares = f.apply(Op::SqDist, &[x, y], &[]);
    let [sizes, products] = [size, product].map(|value| f.apply(Op::Sum, &[value], &[]));
    let [gaps, values] = [gap, y].map(|by| f.mul(products, by));
    let totals = [squares, sizes, products, gaps, values].map(|value| f.sum_over(Axis::J, value));
    for (n, total) in totals.into_iter().enumerate() {
        f.output(&format!("out{n}"), Some(Axis::I), total).expect("a row of i");
    }
    f
}

#[test]
fn sums_over_components_are_right_around_blocks_of_all_sizes() {
    let shapes = [(1, 70), (32, 5), (33, 1), (40, 3), (64, 259), (65, 31)];
    for dim in [1, 2, 3, 16, 17, 33, 100, 129] {
        let f = sums(dim);
        for (m, n) in shapes {
            let mut rng = Rng::new(26);
            let p = Problem::new(f.clone(), m, n, |_, _| rng.below(7) as f64 - 3.0);
            let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
            for &dtype in Dtype::ALL {
                let made = Interpreted::new(&f, dtype.into()).expect("a short formula");
                for level in native::levels() {
                    let options = Options::new().level(level);
                    let found = interpreted::run_made(&made, &p, dtype, &options);
                    let found = found.expect("it runs").0;
                    assert_eq!(found, expected, "{dim}: {m} x {n}, {dtype:?}, {level}");
                }
            }
        }
    }
}

#[test]
fn a_formula_beyond_the_limit_is_refused() {
    let mut f = Formula::new("huge");
    let x = f.input("x", Some(Axis::I), 1 << 16).expect("the largest dim");
    let y = f.input("y", Some(Axis::J), 1 << 16).expect("the largest dim");
    let mut value = f.add(x, y);
    for _ in 0..10 {
        value = f.apply(Op::Exp, &[value], &[]);
    }
    let sum = f.sum_over(Axis::J, value);
    f.output("a", Some(Axis::I), sum).expect("a row of i");
    let error = Interpreted::new(&f, Storage::F32).expect_err("too long");
    assert_eq!(error.code(), Code::TooLong);
}
