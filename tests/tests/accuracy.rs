//! The error of float32 sums does not grow with the number of columns. A tile of at most 256
//! columns is summed in float32 and tiles in float64, so the error is at most that of one tile: 256
//! units of 2^-24 times the sum of magnitudes if every rounding went the same way. A quarter of
//! that is allowed here, whatever the numbers are and however many.

use tilefold::Level;
use tilefold_compiler::ir::{Axis, Dtype, Formula};
use tilefold_tests::emulated::{Emulated, Grid};
use tilefold_tests::native::{self, Native};
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

/// 64 units of 2^-24.
const BOUND: f64 = 3.9e-6;

const COUNTS: &[usize] = &[1, 2, 31, 32, 33, 255, 256, 257, 1_000, 100_000, 1_000_000];

/// Sums over j of y, the same in every row of i.
fn formula() -> Formula {
    let mut f = Formula::new("sum of y");
    let x = f.input("x", Some(Axis::I), 1).expect("a small dim");
    let y = f.input("y", Some(Axis::J), 1).expect("a small dim");
    let value = f.add(x, y);
    let sum = f.sum_over(Axis::J, value);
    f.output("out", Some(Axis::I), sum).expect("a row of i");
    f
}

/// Data sets, by name.
fn data(count: usize) -> Vec<(&'static str, Vec<f64>)> {
    let mut rng = Rng::new(9);
    let mut numbers = |f: &mut dyn FnMut(&mut Rng, usize) -> f64| -> Vec<f64> {
        (0..count).map(|k| f64::from(f(&mut rng, k) as f32)).collect()
    };
    let share = |k: usize| (k + 1) as f64 / count as f64;
    vec![
        ("ones", numbers(&mut |_, _| 1.0)),
        ("tenths", numbers(&mut |_, _| 0.1)),
        ("uniform", numbers(&mut |rng, _| rng.unit())),
        ("normal", numbers(&mut |rng, _| rng.normal())),
        ("alternating", numbers(&mut |_, k| if k % 2 == 0 { 1e8 } else { -1e8 + 8.0 })),
        ("ascending", numbers(&mut |_, k| share(k))),
        ("descending", numbers(&mut |_, k| 1.0 - share(k) + share(0))),
        ("subnormal", numbers(&mut |rng, _| 1e-40 * rng.unit())),
        ("one huge", numbers(&mut |rng, k| if k == count / 3 { 1e9 } else { rng.unit() })),
        ("harmonic", numbers(&mut |_, k| 1.0 / (k + 1) as f64)),
        ("negative zeros", numbers(&mut |_, _| -0.0)),
        ("mixed signs", numbers(&mut |rng, _| rng.between(-1.0, 1.0))),
    ]
}

/// The sum to twice the bits of float64, rounded.
fn exact(numbers: &[f64]) -> f64 {
    let (mut sum, mut rest) = (0.0, 0.0);
    for &x in numbers {
        let next = sum + x;
        rest += if f64::abs(sum) >= x.abs() { (sum - next) + x } else { (x - next) + sum };
        sum = next;
    }
    sum + rest
}

/// The error of the first row in units of the sum of magnitudes.
fn error(numbers: &[f64], found: f64) -> f64 {
    let magnitudes: f64 = numbers.iter().map(|x| x.abs()).sum();
    let tiny = f64::from(f32::from_bits(1));
    (found - exact(numbers)).abs() / (magnitudes + tiny)
}

fn problem(numbers: &[f64]) -> Problem {
    Problem::new(formula(), 2, numbers.len(), |k, entry| if k == 0 { -0.0 } else { numbers[entry] })
}

fn report(mut wrong: Vec<String>) {
    wrong.truncate(40);
    assert!(wrong.is_empty(), "errors over {BOUND:e}:\n{}", wrong.join("\n"));
}

#[test]
fn compiled_sums() {
    let native = Native::build(&[formula()], &[Dtype::F32], &native::levels());
    let mut wrong = Vec::new();
    for &count in COUNTS {
        for (name, numbers) in data(count) {
            let problem = problem(&numbers);
            let mut check = |level: Level| {
                let found = native.run(0, Dtype::F32, level, &problem).expect("it runs");
                let error = error(&numbers, found[0].data[1]);
                if error.is_nan() || error > BOUND {
                    wrong.push(format!("{name}, {count} columns, {level}: {error:.1e}"));
                }
            };
            native::levels().into_iter().for_each(&mut check);
        }
    }
    report(wrong);
}

#[test]
fn emulated_sums() {
    let emulated = Emulated::build(&[formula()], &[Dtype::F32]);
    let mut wrong = Vec::new();
    for &count in COUNTS.iter().filter(|&&count| count <= 100_000) {
        for (name, numbers) in data(count) {
            for splits in [1, 7] {
                let grid = Grid { splits, seed: 0 };
                let found = emulated.run(0, Dtype::F32, &problem(&numbers), grid).expect("it runs");
                let error = error(&numbers, found[0].data[1]);
                if error.is_nan() || error > BOUND {
                    wrong.push(format!("{name}, {count} columns, {splits} splits: {error:.1e}"));
                }
            }
        }
    }
    report(wrong);
}
