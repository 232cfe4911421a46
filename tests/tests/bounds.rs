//! Searches that look at bounds from integers first: at every level of this processor, rows and
//! values are, bit by bit, those of the same code without bounds, and those of integers without the
//! instructions of their own that some processors have.

use tilefold::{Level, Options, Policy};
use tilefold_compiler::emit;
use tilefold_compiler::ir::{Dtype, Storage};
use tilefold_tests::native::{self, Native};
use tilefold_tests::problem::Problem;
use tilefold_tests::sanitized::trials::{Layout, Trial};
use tilefold_tests::sanitized::{self, Code, Sanitizer, Watch};
use tilefold_tests::searches::{COLS, DATA, ROWS, SEARCHES, is_exact, problem, search, searches};
use tilefold_tests::{compare, oracle};

/// What cpu_filter.h leaves out: all bounds, and an instruction that level 4 may have.
fn left_out(level: Level) -> &'static [u32] {
    if level == Level::V4 { &[2, 1] } else { &[2] }
}

#[test]
fn searches_have_bounds() {
    for (n, (name, ..)) in SEARCHES.iter().enumerate() {
        for in_floats in [false, true] {
            let text = emit::kernel(&search(n, in_floats), "f", "a test").expect("short").cpp;
            assert_eq!(text.contains("tf_cpu_filtered<"), !in_floats, "{name}");
        }
    }
}

fn check(dtype: Dtype, level: Level) {
    let formulas = searches();
    let made = |what| Native::leaving_out(&formulas, dtype, level, what);
    let code = made(0);
    let others: Vec<Native> = left_out(level).iter().map(|&what| made(what)).collect();
    for (n, formula) in formulas.iter().enumerate() {
        for (what, draw) in DATA {
            let who = format!("{} of {what}, {dtype:?}, {level}", SEARCHES[n].0);
            let p = problem(formula.clone(), ROWS, COLS, *draw);
            let run = |code: &Native| code.run(n, dtype, level, &p).expect(&who);
            let found = run(&code);
            for other in &others {
                compare::assert_same(&who, formula, &run(other), &found);
            }
        }
    }
}

#[test]
fn what_is_found_is_what_is_found_without_bounds() {
    native::levels().into_iter().for_each(|level| check(Dtype::F32, level));
}

#[test]
fn the_same_in_f64() {
    native::levels().into_iter().for_each(|level| check(Dtype::F64, level));
}

/// Sums of small integers are exact, so that the rows are those of the oracle.
#[test]
fn rows_are_those_of_the_oracle() {
    let (formulas, levels) = (searches(), native::levels());
    let code = Native::quick(&formulas, Dtype::ALL, &levels);
    for (n, f) in formulas.iter().enumerate().filter(|(n, _)| is_exact(*n)) {
        // One row, few rows, a block, some columns of a panel, tiles.
        for (m, cols) in [(1, 200), (9, 65), (64, 5), (150, 17), (70, 600)] {
            let p =
                problem(f.clone(), m, cols.max(SEARCHES[n].3), |rng, _, _, _| rng.below(3) as f64);
            let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
            for (&level, &dtype) in
                levels.iter().flat_map(|l| Dtype::ALL.iter().map(move |d| (l, d)))
            {
                let who = format!("{}, {m} x {cols}, {dtype:?}, {level}", SEARCHES[n].0);
                let found = code.run(n, dtype, level, &p).expect(&who);
                compare::assert_same(&who, f, &expected, &found);
            }
        }
    }
}

#[test]
fn sanitizers_are_silent() {
    // NaN, infinities, what is too large for a scale or too small; columns that end inside a panel.
    let of = |what: &str| DATA.iter().find(|(name, _)| *name == what).expect("a name").1;
    let trials: Vec<Trial> = [(0, "normal"), (1, "NaN and infinities"), (4, "too large")]
        .map(|(n, what)| {
            let p = problem(search(n, false), ROWS, 64 * 2 + 5, of(what));
            Trial::new(p, Layout::Dense, 1, false)
        })
        .into();
    let storages = [Storage::F32, Storage::F64, Storage::F16];
    for (level, storage) in native::levels().into_iter().rev().zip(storages) {
        let (sanitizer, code) = (Sanitizer::Memory, Code::Cpu(level));
        let report = sanitized::run(Watch { sanitizer, code, storage }, &trials);
        assert!(report.is_ok(), "{}", report.unwrap_err());
    }
}

/// One thread or many, whole or in pieces: each row has the same bits.
#[test]
fn threads_change_nothing() {
    let formula = search(0, false);
    let code = Native::quick(std::slice::from_ref(&formula), &[Dtype::F32], &[native::best()]);
    let p: Problem = problem(formula.clone(), 300, 2000, DATA[0].1);
    let run = |threads: usize| {
        let options = Options::new().executor(Policy::Cpu).threads(threads);
        code.run_in(0, Dtype::F32, options, None, &p).expect("it runs")
    };
    compare::assert_same("threads", &formula, &run(1), &run(3));
}
