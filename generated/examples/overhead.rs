//! What a small call costs: the Gaussian convolution of 100 by 100 points in 3 dimensions, through
//! the typed function and through an expression that finds the same kernel, on one thread. Prints
//! the median of many calls, in microseconds.

use std::time::Instant;

use ndarray::Array2;
use tilefold::{Axis, LazyTensor, Options};
use tilefold_kernels::gaussian_conv::{self, Args};

fn main() -> Result<(), tilefold::Error> {
    tilefold::register(tilefold_kernels::FORMULAS);
    let points = |rows: usize, cols: usize, seed: usize| {
        Array2::from_shape_fn((rows, cols), |(r, c)| ((r * 7 + c * 3 + seed) % 101) as f32 / 101.0)
    };
    let (x, y, b) = (points(100, 3, 0), points(100, 3, 5), points(100, 1, 9));
    let (gamma, options) = (0.5_f32, Options::new().threads(1));

    let typed = || {
        let args = Args { x: x.view(), y: y.view(), b: b.view(), gamma };
        gaussian_conv::eval_with(&args, options).map(|(found, _)| found.a)
    };
    let expression = || {
        let (x_i, y_j, b_j) =
            (LazyTensor::i(x.view()), LazyTensor::j(y.view()), LazyTensor::j(b.view()));
        let d_ij = (x_i - y_j).square().sum_inner();
        let k_ij = (-(gamma * d_ij)).exp();
        (k_ij * b_j).sum(Axis::J).eval_with(options)
    };
    assert_eq!(typed()?, expression()?, "both run the same kernel");
    println!("typed function: {:.2} us", median(&typed)?);
    println!("expression:     {:.2} us", median(&expression)?);
    Ok(())
}

/// The median time of a call, in microseconds.
fn median<T>(call: &dyn Fn() -> Result<T, tilefold::Error>) -> Result<f64, tilefold::Error> {
    let mut times = Vec::new();
    for _ in 0..20_001 {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2].as_secs_f64() * 1e6)
}
