//! Pairs per second of the shipped formulas on one core, at each instruction level of this machine:
//! `cargo run --release -p tilefold-kernels --example rates`.

use ndarray::Array2;
use tilefold::{Element, Error, Level, Options, Policy, Report};
use tilefold_kernels::{attention, gaussian_conv, knn, nearest, softmin};

/// Rows of i and of j.
const ROWS: usize = 20_000;

/// Numbers between 0 and 1 that look random and are the same everywhere.
fn numbers<T: Element + From<f32>>(rows: usize, cols: usize, seed: u32) -> Array2<T> {
    let mut state = seed;
    Array2::from_shape_fn((rows, cols), |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        T::from((state >> 8) as f32 / 16_777_216.0)
    })
}

/// Prints the median rate of five calls, in pairs of all stages per second.
fn rate(name: &str, level: Level, call: impl Fn(Options<'_>) -> Result<Report, Error>) {
    let options = || Options::new().executor(Policy::Cpu).threads(1).level(level);
    let mut rates: Vec<f64> = (0..5)
        .map(|_| {
            let report = call(options()).unwrap_or_else(|e| panic!("{name}: {e}"));
            let pairs: u64 = report.stages.iter().map(|s| s.pairs).sum();
            pairs as f64 / report.seconds / 1e9
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    println!("{name:<28} {level:<10} {:>8.3} Gpairs/s", rates[2]);
}

fn main() {
    for level in Level::ALL.iter().copied().filter(|level| level.is_supported()) {
        let (x, y) = (numbers::<f32>(ROWS, 3, 1), numbers::<f32>(ROWS, 3, 2));
        let b = numbers::<f32>(ROWS, 1, 3);
        let args = gaussian_conv::Args { x: x.view(), y: y.view(), b: b.view(), gamma: 0.7 };
        rate("gaussian D=3 f32", level, |o| gaussian_conv::eval_with(&args, o).map(|r| r.1));
        rate("gaussian D=3 f32, 4 gradients", level, |o| {
            gaussian_conv::vjp_with(&args, b.view(), o).map(|r| r.1)
        });
        let (u, v) = (numbers::<f64>(ROWS, 3, 1), numbers::<f64>(ROWS, 3, 2));
        let w = numbers::<f64>(ROWS, 1, 3);
        let wide = gaussian_conv::Args { x: u.view(), y: v.view(), b: w.view(), gamma: 0.7 };
        rate("gaussian D=3 f64", level, |o| gaussian_conv::eval_with(&wide, o).map(|r| r.1));
        let half =
            softmin::Args { x: x.view(), y: y.view(), g: b.view(), logb: b.view(), eps: 0.1 };
        rate("softmin D=3 f32", level, |o| softmin::eval_with(&half, o).map(|r| r.1));
        let one = nearest::Args { x: x.view(), y: y.view() };
        rate("nearest D=3 f32", level, |o| nearest::eval_with(&one, o).map(|r| r.1));
        let ten = knn::Args { q: x.view(), p: y.view(), k: 10 };
        rate("10 nearest D=3 f32", level, |o| knn::eval_with(&ten, o).map(|r| r.1));
        let (q, k) = (numbers::<f32>(4000, 64, 4), numbers::<f32>(4000, 64, 5));
        let heads = attention::Args { q: q.view(), k: k.view(), v: k.view(), scale: 0.125 };
        rate("attention D=E=64 f32", level, |o| attention::eval_with(&heads, o).map(|r| r.1));
    }
}
