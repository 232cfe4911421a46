//! Searches that look at bounds from tensor cores first: by emulated threads and those of a device,
//! rows and values are, bit by bit, those of a kernel that makes every sum in floats.

use tilefold_compiler::emit;
use tilefold_compiler::ir::{Axis, Dtype, Formula, Reduction, Storage};
use tilefold_compiler::ops::Op;
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::compare;
use tilefold_tests::device::{self, Runner};
use tilefold_tests::emulated::Grid;
use tilefold_tests::oracle;
use tilefold_tests::sanitized::trials::{Layout, Trial};
use tilefold_tests::sanitized::{self, Code, Sanitizer, Watch};
use tilefold_tests::searches::{
    COLS, DATA, ROWS, SEARCHES, Value, is_exact, problem, root, search, searches,
};

#[test]
fn searches_look_at_bounds_first() {
    for (n, (name, ..)) in SEARCHES.iter().enumerate() {
        for in_floats in [false, true] {
            let text = emit::kernel(&search(n, in_floats), "f", "a test").expect("short").cu;
            assert_eq!(text.contains("TF_FILTER_ENTRY("), !in_floats, "{name}");
        }
    }
}

fn check(make: fn(&[Formula], &[Storage]) -> Runner) {
    let formulas: Vec<Formula> =
        (0..SEARCHES.len()).flat_map(|n| [false, true].map(|floats| search(n, floats))).collect();
    let runner = make(&formulas, &[Storage::F32]);
    let grids = [(1, 0), (2, 5), (1, 9)].map(|(splits, seed)| Grid { splits, seed });
    let cases = (0..SEARCHES.len()).flat_map(|n| DATA.iter().map(move |data| (n, data)));
    for ((n, (what, draw)), grid) in cases.zip(grids.into_iter().cycle()) {
        let who = format!("{} of {what}, {grid:?}", SEARCHES[n].0);
        let run = |at: usize| {
            let p = problem(formulas[at].clone(), ROWS, COLS, *draw);
            runner.run(at, Dtype::F32, &p, grid).expect(&who)
        };
        if runner.runs() {
            compare::assert_same(&who, &formulas[2 * n], &run(2 * n + 1), &run(2 * n));
        }
    }
}

#[test]
fn what_emulated_threads_find_is_what_floats_find() {
    check(Runner::emulated);
}

#[test]
fn what_a_device_finds_is_what_floats_find() {
    if device::is_here() {
        check(Runner::device);
    }
}

/// Sums of small integers are exact, so that the rows are those of the oracle.
fn check_rows(make: fn(&[Formula], &[Storage]) -> Runner) {
    let formulas = searches();
    let dtypes = [Storage::F32, Storage::F16, Storage::F64];
    let runner = make(&formulas, &dtypes);
    let shapes = [(ROWS, COLS), (1, 200), (130, 65), (5, 10)];
    let exact = formulas.iter().enumerate().filter(|(n, _)| is_exact(*n));
    for (n, f) in exact.filter(|_| runner.runs()) {
        for (shape, dtype) in shapes.into_iter().zip(dtypes.into_iter().cycle()) {
            let p = problem(f.clone(), shape.0, shape.1, |rng, _, _, _| rng.below(3) as f64);
            let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
            let who = format!("{}, {shape:?}, {dtype:?}", SEARCHES[n].0);
            let found = runner.run(n, dtype, &p, Grid { splits: 1, seed: 3 }).expect(&who);
            compare::assert_same(&who, f, &expected, &found);
        }
    }
}

#[test]
fn rows_are_those_of_the_oracle() {
    check_rows(Runner::emulated);
}

#[test]
fn rows_on_a_device_are_those_of_the_oracle() {
    if device::is_here() {
        check_rows(Runner::device);
    }
}

#[test]
fn sanitizers_are_silent() {
    // Components that fill no chunk, and columns that no packed word belongs to or one.
    let trials: Vec<Trial> = [1, 3, 5]
        .map(|n| {
            let p = problem(search(n, false), ROWS, 64 * 2 + 5, DATA[0].1);
            Trial::new(p, Layout::Dense, 1, false)
        })
        .into();
    for sanitizer in [Sanitizer::Memory, Sanitizer::Races] {
        let watch = Watch { sanitizer, code: Code::Cuda, storage: Storage::F32 };
        let report = sanitized::run(watch, &trials);
        assert!(report.is_ok(), "{}", report.unwrap_err());
    }
}

/// What never falls, or never rises, where a sum does.
#[test]
fn only_values_that_follow_their_sum_are_bounded() {
    let values: &[(&str, bool, Value)] = &[
        ("a root", true, root),
        ("an exponential", false, |f, x, y, _| {
            let distance = f.apply(Op::SqDist, &[x, y], &[]);
            let distance = f.apply(Op::Neg, &[distance], &[]);
            f.apply(Op::Exp, &[distance], &[])
        }),
        ("times a column", false, |f, x, y, b| {
            let product = f.apply(Op::Dot, &[x, y], &[]);
            f.mul(product, b)
        }),
        ("a quarter", true, |f, x, y, _| {
            let product = f.apply(Op::Dot, &[x, y], &[]);
            f.scale(0.25, product)
        }),
        ("plus a column", true, |f, x, y, b| {
            let product = f.apply(Op::Dot, &[x, y], &[]);
            f.add(product, b)
        }),
        ("less a row", true, |f, x, y, _| {
            let first = f.apply(Op::Elem, &[x], &[0]);
            let product = f.apply(Op::Dot, &[x, y], &[]);
            f.sub(product, first)
        }),
    ];
    for &(name, expected, value) in values {
        let mut f = Formula::new(name);
        let x = f.input("x", Some(Axis::I), 64).expect("short");
        let y = f.input("y", Some(Axis::J), 64).expect("short");
        let b = f.input("b", Some(Axis::J), 1).expect("short");
        let value = value(&mut f, x, y, b);
        let reducer = Reducer::ArgMin;
        let r = Reduction { reducer, axis: Axis::J, args: vec![value], mask: None, k: 0 };
        let fold = f.reduce(r).expect("it fits");
        f.output("out", Some(Axis::I), fold).expect("a row of i");
        let text = emit::kernel(&f, "f", "a test").expect("short").cu;
        assert_eq!(text.contains("TF_FILTER_ENTRY("), expected, "{name}");
    }
}
