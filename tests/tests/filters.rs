//! Searches that look at bounds from tensor cores first: by emulated threads and those of a device,
//! rows and values are, bit by bit, those of a kernel that makes every sum in floats. Data are made
//! so that many pairs are close to the border: ties, points far from the origin, clusters, norms of
//! many sizes, columns that are each better than all before, NaN and infinities.

use tilefold_compiler::emit;
use tilefold_compiler::ir::{Axis, Dtype, ExprId, Formula, Reduction, Storage};
use tilefold_compiler::ops::Op;
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::compare;
use tilefold_tests::device::{self, Runner};
use tilefold_tests::emulated::Grid;
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;
use tilefold_tests::sanitized::trials::{Layout, Trial};
use tilefold_tests::sanitized::{self, Code, Sanitizer, Watch};

/// A block of rows and some of another.
const ROWS: usize = 128 + 9;
/// Panels of 64 columns, and 13.
const COLS: usize = 64 * 5 + 13;

type Value = fn(&mut Formula, ExprId, ExprId, ExprId) -> ExprId;

/// A name, components, what is searched for, how many, and the value of x, y and a column's b.
const SEARCHES: &[(&str, usize, Reducer, usize, Value)] = &[
    ("nearest", 50, Reducer::ArgKMin, 10, |f, x, y, _| f.apply(Op::SqDist, &[x, y], &[])),
    ("the nearest", 24, Reducer::ArgMin, 0, |f, x, y, _| f.apply(Op::SqDist, &[y, x], &[])),
    ("farthest", 64, Reducer::KMax, 3, |f, x, y, _| f.apply(Op::SqDist, &[x, y], &[])),
    ("opposite", 33, Reducer::ArgKMin, 2, |f, x, y, _| {
        let sum = f.add(x, y);
        f.apply(Op::SqNorm2, &[sum], &[])
    }),
    ("most alike", 99, Reducer::ArgKMax, 4, |f, x, y, _| f.apply(Op::Dot, &[x, y], &[])),
    ("least unlike", 48, Reducer::ArgMin, 0, |f, x, y, b| {
        let product = f.apply(Op::Dot, &[x, y], &[]);
        f.sub(b, product)
    }),
    ("weighted", 32, Reducer::ArgMax, 0, |f, x, y, b| {
        let distance = f.apply(Op::SqDist, &[x, y], &[]);
        let scaled = f.scale(-0.3, distance);
        f.add(scaled, b)
    }),
    ("roots", 20, Reducer::ArgKMin, 5, root),
    ("least", 17, Reducer::Min, 0, root),
    ("greatest", 40, Reducer::Max, 0, |f, x, y, _| f.apply(Op::Dot, &[x, y], &[])),
];

fn root(f: &mut Formula, x: ExprId, y: ExprId, _: ExprId) -> ExprId {
    let distance = f.apply(Op::SqDist, &[x, y], &[]);
    f.apply(Op::Sqrt, &[distance], &[])
}

/// A search; with `in_floats`, one whose mask is true of all columns, which looks at no bounds.
fn search(n: usize, in_floats: bool) -> Formula {
    let (name, dim, reducer, k, value) = SEARCHES[n];
    let mut f = Formula::new(format!("{name} of {dim}, {in_floats}"));
    let x = f.input("x", Some(Axis::I), dim).expect("short");
    let y = f.input("y", Some(Axis::J), dim).expect("short");
    let b = f.input("b", Some(Axis::J), 1).expect("short");
    let ones = f.input("ones", Some(Axis::J), 1).expect("short");
    let value = value(&mut f, x, y, b);
    let both = match reducer {
        Reducer::ArgKMin => vec![Reducer::KMin, reducer],
        Reducer::ArgKMax => vec![Reducer::KMax, reducer],
        _ => vec![reducer],
    };
    for reducer in both {
        let mask = in_floats.then_some(ones);
        let r = Reduction { reducer, axis: Axis::J, args: vec![value], mask, k };
        let fold = f.reduce(r).expect("it fits");
        f.output(reducer.def().name, Some(Axis::I), fold).expect("a row of i");
    }
    f
}

#[test]
fn searches_look_at_bounds_first() {
    for (n, (name, ..)) in SEARCHES.iter().enumerate() {
        for in_floats in [false, true] {
            let text = emit::kernel(&search(n, in_floats), "f", "a test").expect("short").cu;
            assert_eq!(text.contains("TF_FILTER_ENTRY("), !in_floats, "{name}");
        }
    }
}

/// What rows and columns hold, by row and component.
type Draw = fn(&mut Rng, bool, usize, usize) -> f64;

const DATA: &[(&str, Draw)] = &[
    ("normal", |rng, _, _, _| rng.normal()),
    ("far from the origin", |rng, _, _, _| 1000.0 + rng.normal()),
    // Many points are the same one.
    ("ties", |_, is_row, row, k| f64::from(u8::from((row % 5 + k) % 3 == usize::from(is_row)))),
    ("few values", |rng, _, _, _| rng.below(3) as f64 - 1.0),
    ("clusters", |rng, _, row, _| [1e3, -1e3, 7.0][row % 3] + 1e-3 * rng.normal()),
    ("norms of many sizes", |rng, _, row, _| 10f64.powi(row as i32 % 7 - 3) * rng.normal()),
    ("each column nearer", |_, is_row, row, k| match is_row {
        true => 0.01 * (row % 7) as f64,
        false => (COLS - row) as f64 * if k % 2 == 0 { 1.0 } else { 0.25 },
    }),
    ("each column farther", |_, is_row, row, _| if is_row { 0.5 } else { 0.1 * row as f64 }),
    ("columns beyond halves", |rng, is_row, row, _| match is_row {
        false if row % 64 == 3 || row > 200 => 1e6 * rng.normal(),
        _ => rng.normal(),
    }),
    ("NaN and infinities", |rng, is_row, row, k| match (is_row, row, k) {
        (true, 5, 2) | (false, 70 | 131 | 200, 7) => f64::NAN,
        (false, 90 | 140, 3) => f64::INFINITY,
        (false, 150, 4) => f64::NEG_INFINITY,
        // A row of the second block, whose other rows are numbers.
        (true, 130, 1) => 1e30,
        _ => rng.normal(),
    }),
    ("nothing but NaN in columns", |rng, is_row, row, _| match is_row {
        false if row % 2 == 0 => f64::NAN,
        _ => rng.normal(),
    }),
    ("small", |rng, _, _, _| 1e-8 * rng.normal()),
    ("too small", |rng, _, _, _| 1e-25 * rng.normal()),
    ("too large", |rng, _, _, _| 1e17 * rng.normal()),
    ("zeros", |_, _, _, _| 0.0),
    ("sparse", |rng, _, _, _| if rng.below(8) == 0 { rng.normal() } else { 0.0 }),
];

fn problem(formula: Formula, rows: usize, cols: usize, draw: Draw) -> Problem {
    let mut rng = Rng::new(31);
    let dim = formula.inputs[0].dim;
    Problem::new(formula, rows, cols, |input, entry| {
        let value = match input {
            0 | 1 => draw(&mut rng, input == 0, entry / dim, entry % dim),
            2 => [0.0, 0.5, -2.0][entry % 3],
            _ => 1.0,
        };
        f64::from(value as f32)
    })
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
    let formulas: Vec<Formula> = (0..SEARCHES.len()).map(|n| search(n, false)).collect();
    let dtypes = [Storage::F32, Storage::F16, Storage::F64];
    let runner = make(&formulas, &dtypes);
    let shapes = [(ROWS, COLS), (1, 200), (130, 65), (5, 10)];
    // Roots and weights are no numbers of f16.
    let inexact = ["weighted", "roots", "least"];
    let exact = formulas.iter().enumerate().filter(|(n, _)| !inexact.contains(&SEARCHES[*n].0));
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
