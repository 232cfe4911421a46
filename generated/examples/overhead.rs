//! What a small call costs beside its arithmetic: the Gaussian convolution of 100 by 100 points in
//! 3 dimensions, on one thread, through the typed function, through an expression that finds the
//! same kernel, and through one that is kept and evaluated again.
//!
//! A call is timed with 100 columns and with 200: what the second hundred takes is the arithmetic
//! of a hundred (packing them, and the sums of 100 rows), and the rest is overhead: building the
//! expression and dropping it, finding the kernel, all checks, packing and writing the rows, memory
//! for the result, and the report. Prints medians of many calls, in microseconds, without the time
//! that it takes to look at the clock.

use std::time::{Duration, Instant};

use ndarray::Array2;
use tilefold::{Axis, Error, LazyTensor, Options};
use tilefold_kernels::gaussian_conv::{self, Args};

const ROWS: usize = 100;

fn main() -> Result<(), Error> {
    tilefold::register(tilefold_kernels::FORMULAS);
    let (once, twice) = (times(ROWS)?, times(2 * ROWS)?);
    println!("{:16} {:>8} {:>10} {:>8}", "", "call", "arithmetic", "overhead");
    for ((name, once), (_, twice)) in once.into_iter().zip(twice) {
        let (call, arithmetic) = (micros(once), micros(twice) - micros(once));
        println!("{name:16} {call:8.2} {arithmetic:10.2} {:8.2}", call - arithmetic);
    }
    Ok(())
}

/// The median time of each kind of call, with so many columns.
fn times(cols: usize) -> Result<[(&'static str, Duration); 3], Error> {
    let points = |rows: usize, cols: usize, seed: usize| {
        Array2::from_shape_fn((rows, cols), |(r, c)| ((r * 7 + c * 3 + seed) % 101) as f32 / 101.0)
    };
    let (x, y, b) = (points(ROWS, 3, 0), points(cols, 3, 5), points(cols, 1, 9));
    let (gamma, options) = (0.5_f32, Options::new().threads(1));
    let typed = || {
        let args = Args { x: x.view(), y: y.view(), b: b.view(), gamma };
        gaussian_conv::eval_with(&args, options).map(|(found, _)| found.a)
    };
    let build = || {
        let (x_i, y_j, b_j) =
            (LazyTensor::i(x.view()), LazyTensor::j(y.view()), LazyTensor::j(b.view()));
        let d_ij = (x_i - y_j).square().sum_inner();
        let k_ij = (-(gamma * d_ij)).exp();
        (k_ij * b_j).sum(Axis::J)
    };
    let kept = build();
    assert_eq!(typed()?, kept.eval_with(options)?, "both run the same kernel");
    Ok([
        ("typed function", median(&typed)?),
        ("expression", median(&|| build().eval_with(options))?),
        ("kept expression", median(&|| kept.eval_with(options))?),
    ])
}

/// The median time of a call.
fn median<T>(call: &dyn Fn() -> Result<T, Error>) -> Result<Duration, Error> {
    let (mut times, mut looks) = (Vec::new(), Vec::new());
    for _ in 0..20_001 {
        let start = Instant::now();
        call()?;
        let end = Instant::now();
        times.push(end - start);
        looks.push(end.elapsed());
    }
    let middle = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    Ok(middle(times).saturating_sub(middle(looks)))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
