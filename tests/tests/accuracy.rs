//! The errors of sums keep the bounds that [`Accumulation`] promises, whatever the numbers are and
//! however many: in units of rounding of the dtype, times the sum of magnitudes. Blocked sums get
//! the 4 units here that numbers met in practice need, not the 9 of their worst case.

use ndarray::Array2;
use tilefold::{Call, Element, Level, Options, Policy};
use tilefold_compiler::ir::{Accumulation, Axis, Dtype, Formula, Reduction};
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::emulated::{Emulated, Grid};
use tilefold_tests::native::{self, Native};
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

/// Every accumulation, and how many units of error it may make.
const MODES: &[(Accumulation, f64)] = &[
    (Accumulation::Blocked, 4.0),
    // One rounding, and what 2^53 leaves of a million float64 additions.
    (Accumulation::Each, 1.001),
    (Accumulation::Fast, 64.0),
];

const COUNTS: &[usize] = &[1, 2, 31, 32, 33, 255, 256, 257, 1_000, 100_000];

/// Half the distance from 1 to the next number.
fn unit(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F32 => f64::powi(2.0, -24),
        Dtype::F64 => f64::powi(2.0, -53),
    }
}

/// Folds `x + y` over j.
fn formula(reducer: Reducer, acc: Accumulation) -> Formula {
    of_dim(1, reducer, acc)
}

fn of_dim(dim: usize, reducer: Reducer, acc: Accumulation) -> Formula {
    let mut f = Formula::new(format!("{reducer:?}, {acc:?}, {dim}"));
    let x = f.input("x", Some(Axis::I), dim).expect("a small dim");
    let y = f.input("y", Some(Axis::J), dim).expect("a small dim");
    let value = f.add(x, y);
    let fold = Reduction { reducer, axis: Axis::J, args: vec![value], mask: None, k: 0 };
    let folded = f.reduce(fold).expect("a scalar");
    f.output("out", Some(Axis::I), folded).expect("a row of i");
    f.acc = acc;
    f
}

fn sums() -> Vec<Formula> {
    MODES.iter().map(|&(acc, _)| formula(Reducer::Sum, acc)).collect()
}

/// Data sets that the dtype holds, by name.
fn data(count: usize, dtype: Dtype) -> Vec<(&'static str, Vec<f64>)> {
    let mut rng = Rng::new(9);
    let round = |x: f64| if dtype == Dtype::F32 { f64::from(x as f32) } else { x };
    let mut numbers = |f: &mut dyn FnMut(&mut Rng, usize) -> f64| -> Vec<f64> {
        (0..count).map(|k| round(f(&mut rng, k))).collect()
    };
    let share = |k: usize| (k + 1) as f64 / count as f64;
    let tiny = if dtype == Dtype::F32 { 1e-40 } else { 1e-310 };
    vec![
        ("ones", numbers(&mut |_, _| 1.0)),
        ("tenths", numbers(&mut |_, _| 0.1)),
        // Of all float32 numbers, the one whose sum of 8 rounds worst: by 2.5 units.
        ("near 1.6", numbers(&mut |_, _| round(1.6) + 14.0 * unit(dtype))),
        ("uniform", numbers(&mut |rng, _| rng.unit())),
        ("normal", numbers(&mut |rng, _| rng.normal())),
        ("alternating", numbers(&mut |_, k| if k % 2 == 0 { 1e8 } else { -1e8 + 8.0 })),
        ("ascending", numbers(&mut |_, k| share(k))),
        ("descending", numbers(&mut |_, k| 1.0 - share(k) + share(0))),
        ("subnormal", numbers(&mut |rng, _| tiny * rng.unit())),
        ("one huge", numbers(&mut |rng, k| if k == count / 3 { 1e9 } else { rng.unit() })),
        ("harmonic", numbers(&mut |_, k| 1.0 / (k + 1) as f64)),
        ("negative zeros", numbers(&mut |_, _| -0.0)),
        ("mixed signs", numbers(&mut |rng, _| rng.between(-1.0, 1.0))),
    ]
}

/// The sum in two float64.
fn exact(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut sum, mut rest) = (0.0, 0.0);
    for x in numbers {
        let next = sum + x;
        rest += if f64::abs(sum) >= x.abs() { (sum - next) + x } else { (x - next) + sum };
        sum = next;
    }
    (sum, rest)
}

/// The error of a sum in units of the dtype times the sum of magnitudes.
fn error(numbers: &[f64], dtype: Dtype, found: f64) -> f64 {
    let (sum, rest) = exact(numbers.iter().copied());
    let magnitudes: f64 = numbers.iter().map(|x| x.abs()).sum();
    let error = ((found - sum) - rest).abs();
    if error == 0.0 { 0.0 } else { error / magnitudes / unit(dtype) }
}

fn problem(formula: &Formula, numbers: &[f64]) -> Problem {
    let draw = |k: usize, entry: usize| if k == 0 { -0.0 } else { numbers[entry] };
    Problem::new(formula.clone(), 2, numbers.len(), draw)
}

/// A line where the error is above the bound.
fn judge(what: &str, error: f64, bound: f64) -> Option<String> {
    (error.is_nan() || error > bound).then(|| format!("{what}: {error:.2} units of {bound}"))
}

fn report(mut wrong: Vec<String>) {
    wrong.truncate(40);
    assert!(wrong.is_empty(), "errors over their bounds:\n{}", wrong.join("\n"));
}

#[test]
fn compiled_sums() {
    let formulas = sums();
    let native = Native::build(&formulas, Dtype::ALL, &native::levels());
    let mut wrong = Vec::new();
    for &dtype in Dtype::ALL {
        for (count, (name, numbers)) in
            COUNTS.iter().flat_map(|&count| data(count, dtype).into_iter().map(move |d| (count, d)))
        {
            for (at, &(acc, bound)) in MODES.iter().enumerate() {
                let problem = problem(&formulas[at], &numbers);
                for level in native::levels() {
                    let both = native.run_both(at, dtype, level, &problem).expect("it runs");
                    for (found, how) in both.iter().zip(["", ", in blocks"]) {
                        let error = error(&numbers, dtype, found[0].data[1]);
                        let dtype = dtype.name();
                        let what = format!("{name}, {count} of {dtype}, {acc:?}, {level}{how}");
                        wrong.extend(judge(&what, error, bound));
                    }
                }
            }
        }
    }
    report(wrong);
}

/// What emulated code for a GPU makes of sums of `dim` components.
fn emulated(dim: usize, gpu: &str, counts: &[usize]) -> Vec<String> {
    let formulas: Vec<Formula> =
        MODES.iter().map(|&(acc, _)| of_dim(dim, Reducer::Sum, acc)).collect();
    let emulated = Emulated::build_for(&formulas, Dtype::ALL, &[gpu]);
    let mut wrong = Vec::new();
    for &dtype in Dtype::ALL {
        for (count, (name, numbers)) in
            counts.iter().flat_map(|&count| data(count, dtype).into_iter().map(move |d| (count, d)))
        {
            for (at, &(acc, bound)) in MODES.iter().enumerate() {
                let draw =
                    |k: usize, entry: usize| if k == 0 { -0.0 } else { numbers[entry / dim] };
                let problem = Problem::new(formulas[at].clone(), 2, count, draw);
                let grid = Grid { splits: 3, seed: 0 };
                let found = emulated.run(at, dtype, &problem, grid).expect("it runs");
                let what = format!("{name}, {count} of {}, {acc:?}, {dim}, {gpu}", dtype.name());
                for &sum in &found[0].data[dim..] {
                    wrong.extend(judge(&what, error(&numbers, dtype, sum), bound));
                }
            }
        }
    }
    wrong
}

/// GPUs that add float64 quickly and others add up a tile in different ways, and so do stages that
/// write out 8 columns, of 1 component, and 16, of 3.
#[test]
fn emulated_sums() {
    let mut wrong = emulated(1, "-DTF_FAST_DOUBLE=1", &[1, 33, 257, 1_000, 30_000]);
    wrong.extend(emulated(1, "-DTF_FAST_DOUBLE=0", &[1, 33, 257, 3_000]));
    wrong.extend(emulated(3, "-DTF_FAST_DOUBLE=1", &[1, 33, 257, 3_000]));
    wrong.extend(emulated(3, "-DTF_FAST_DOUBLE=0", &[1, 33, 257, 3_000]));
    report(wrong);
}

/// The sum over all of `y`.
fn sum<T: Element>(native: &Native, dtype: Dtype, level: Level, y: &Array2<T>, zero: T) -> T {
    let options = Options::new().executor(Policy::Cpu).level(level);
    let x = Array2::from_elem((1, 1), zero);
    let call = Call::new(native.kernel(0, dtype)).rows(1, y.nrows()).options(options);
    let mut results = call.arg("x", &x).arg("y", y).run().expect("it runs");
    results.take::<T>("out").expect("the output")[[0, 0]]
}

#[test]
fn ten_million_terms() {
    let formulas = [formula(Reducer::Sum, Accumulation::Blocked)];
    let native = Native::build(&formulas, &[Dtype::F32], &native::levels());
    let mut state = 1u32;
    let random = Array2::from_shape_simple_fn((10_000_000, 1), || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0
    });
    let equal = |count: usize, x: f32| Array2::from_elem((count, 1), x);
    let mut wrong = Vec::new();
    for (name, y) in
        [("ones", equal(30_000_000, 1.0)), ("tenths", equal(10_000_000, 0.1)), ("uniform", random)]
    {
        let (total, rest) = exact(y.iter().map(|&x| f64::from(x)));
        for level in native::levels() {
            let found = f64::from(sum(&native, Dtype::F32, level, &y, -0.0));
            let error = ((found - total) - rest).abs() / total / unit(Dtype::F32);
            wrong.extend(judge(&format!("{name}, {level}"), error, 4.0));
        }
    }
    report(wrong);
}

#[test]
fn infinities_and_nan_pass_through_sums() {
    /// A name, numbers at places, and the sum.
    type Row<'a> = (&'a str, &'a [(usize, f64)], f64);
    let formulas = sums();
    let native = Native::build(&formulas, Dtype::ALL, &native::levels());
    let emulated = Emulated::build(&formulas, Dtype::ALL);
    let inf = f64::INFINITY;
    let cases: [Row<'_>; 5] = [
        ("inf", &[(7, inf)], inf),
        ("-inf twice", &[(0, -inf), (290, -inf)], -inf),
        ("inf and -inf", &[(3, inf), (280, -inf)], f64::NAN),
        ("NaN", &[(100, f64::NAN)], f64::NAN),
        ("inf, NaN", &[(5, inf), (6, f64::NAN)], f64::NAN),
    ];
    for (name, places, expected) in cases {
        let mut numbers = vec![0.5; 300];
        places.iter().for_each(|&(at, x)| numbers[at] = x);
        for (at, formula) in formulas.iter().enumerate() {
            let problem = problem(formula, &numbers);
            for &dtype in Dtype::ALL {
                let grid = Grid { splits: 2, seed: 0 };
                let mut all = vec![emulated.run(at, dtype, &problem, grid).expect("it runs")];
                for level in native::levels() {
                    all.push(native.run(at, dtype, level, &problem).expect("it runs"));
                }
                for found in all {
                    let found = found[0].data[0];
                    let same = found == expected || (found.is_nan() && expected.is_nan());
                    assert!(same, "{name}, {}: {found}, not {expected}", dtype.name());
                }
            }
        }
    }
}

/// Scores that make the shift of logsumexp rise at every column, rarely, or never.
fn scores(count: usize) -> Vec<(&'static str, Vec<f64>)> {
    let mut rng = Rng::new(4);
    let step = |k: usize| k as f64 / count as f64;
    let mut numbers = |f: &mut dyn FnMut(&mut Rng, usize) -> f64| -> Vec<f64> {
        (0..count).map(|k| f64::from(f(&mut rng, k) as f32)).collect()
    };
    vec![
        ("equal", numbers(&mut |_, _| 0.1)),
        ("slowly ascending", numbers(&mut |_, k| step(k))),
        ("ascending", numbers(&mut |_, k| 40.0 * step(k))),
        ("descending", numbers(&mut |_, k| -40.0 * step(k))),
        ("normal", numbers(&mut |rng, _| 3.0 * rng.normal())),
    ]
}

/// The error of a logsumexp L in units of the dtype times 1 + |L|.
fn log_error(numbers: &[f64], dtype: Dtype, found: f64) -> f64 {
    let top = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (sum, rest) = exact(numbers.iter().map(|x| (x - top).exp()));
    let value = top + (sum + rest).ln();
    (found - value).abs() / (1.0 + value.abs()) / unit(dtype)
}

#[test]
fn shifted_sums() {
    let formulas: Vec<Formula> =
        MODES.iter().map(|&(acc, _)| formula(Reducer::LogSumExp, acc)).collect();
    let native = Native::build(&formulas, Dtype::ALL, &native::levels());
    let emulated = Emulated::build(&formulas, Dtype::ALL);
    let mut wrong = Vec::new();
    for count in [3, 1_000, 100_000] {
        for (name, numbers) in scores(count) {
            for (at, &(acc, bound)) in MODES.iter().enumerate() {
                let problem = problem(&formulas[at], &numbers);
                for &dtype in Dtype::ALL {
                    let mut judge = |place: &str, found: f64| {
                        let error = log_error(&numbers, dtype, found);
                        let what = format!("{name}, {count} of {}, {acc:?}, {place}", dtype.name());
                        wrong.extend(judge(&what, error, bound.max(4.0)));
                    };
                    for level in native::levels() {
                        let found = native.run(at, dtype, level, &problem).expect("it runs");
                        judge(level.name(), found[0].data[0]);
                    }
                    if count < 100_000 {
                        let grid = Grid { splits: 3, seed: 0 };
                        let found = emulated.run(at, dtype, &problem, grid).expect("it runs");
                        judge("emulated", found[0].data[0]);
                    }
                }
            }
        }
    }
    report(wrong);
}
