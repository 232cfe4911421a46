//! Kernel density estimation: how dense are points, at other points?
//!
//!     cargo run --release -p tilefold --example kernel_density

mod data;

use std::f64::consts::TAU;

use ndarray::{Array2, array};
use tilefold::{Axis, Error, LazyTensor};

/// The logarithm of the density at `x`, estimated from `samples` with a Gaussian of a width.
fn log_density(x: &Array2<f64>, samples: &Array2<f64>, width: f64) -> Result<Array2<f64>, Error> {
    let (n, dim) = (samples.nrows() as f64, samples.ncols() as f64);
    let (x_i, s_j) = (LazyTensor::i(x.view()), LazyTensor::j(samples.view()));
    let score = x_i.sqdist(s_j) * (-0.5 / (width * width));
    // The log of a sum of exponentials keeps its digits where the density underflows.
    Ok(score.logsumexp(Axis::J).eval()? - n.ln() - 0.5 * dim * (TAU * width * width).ln())
}

fn run(n: usize, side: usize) -> Result<(), Error> {
    let centers = array![[-1.0, 0.0], [1.0, 0.5]];
    let (spread, width) = (0.4, 0.15);
    let samples = data::Random::new(2).around(&centers, spread, n);

    let step = 8.0 / side as f64;
    let at = |k: usize| (k as f64 + 0.5) * step - 4.0;
    let grid = Array2::from_shape_fn((side * side, 2), |(row, col)| {
        at(if col == 0 { row / side } else { row % side })
    });
    let density = log_density(&grid, &samples, width)?.mapv(f64::exp);

    let total = density.sum() * step * step;
    println!("{n} samples, {} points: the density sums to {total:.6}", grid.nrows());
    assert!((total - 1.0).abs() < 1e-3);

    // On average an estimate is the true density, blurred: variances add up.
    let variance = spread * spread + width * width;
    let expected = |x: ndarray::ArrayView1<f64>| -> f64 {
        let near = |c: ndarray::ArrayView1<f64>| {
            (-(&x - &c).mapv(|d| d * d).sum() / (2.0 * variance)).exp()
        };
        centers.outer_iter().map(near).sum::<f64>() / (2.0 * TAU * variance)
    };
    let off: f64 =
        grid.outer_iter().zip(&density).map(|(x, d)| (d - expected(x)).abs()).sum::<f64>();
    println!("mean distance from the density it estimates: {:.4}", off * step * step);
    assert!(off * step * step < 5.0 / (n as f64).sqrt());
    Ok(())
}

fn main() -> Result<(), Error> {
    run(20_000, 100)
}

#[test]
fn estimates_a_mixture() {
    run(300, 40).unwrap();
}
