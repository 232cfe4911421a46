//! Gaussian-process regression: a curve through noisy measurements, by conjugate gradients.
//!
//!     cargo run --release -p tilefold --example gaussian_process

mod data;

use ndarray::Array2;
use tilefold::linear::ConjugateGradients;
use tilefold::{Error, LazyTensor};

/// The covariance of a smooth function between two sets of points.
fn covariance<'a>(x: &'a Array2<f64>, y: &'a Array2<f64>, length: f64) -> LazyTensor<'a, f64> {
    let d_ij = LazyTensor::i(x.view()).sqdist(LazyTensor::j(y.view()));
    (d_ij * (-0.5 / (length * length))).exp()
}

fn truth(x: &Array2<f64>) -> Array2<f64> {
    x.mapv(|x| (9.0 * x).sin() + 0.5 * (23.0 * x).cos())
}

fn run(n: usize) -> Result<(), Error> {
    let mut random = data::Random::new(4);
    let (noise, length) = (0.1, 0.05);
    let x = random.cube(n, 1);
    let measured = truth(&x).mapv(|y| y + noise * random.normal());

    // (noise^2 I + K) a = y, and the mean at new points is K a.
    let k = covariance(&x, &x, length);
    let solver = ConjugateGradients::new().alpha(noise * noise);
    let solution = solver.solve(&k, measured.view())?;
    let at = Array2::from_shape_fn((200, 1), |(row, _)| 0.05 + 0.9 * row as f64 / 199.0);
    let mean = covariance(&at, &x, length).dot(&solution.x)?;

    let off = (&mean - &truth(&at)).mapv(|d| d * d).mean().unwrap_or(f64::NAN).sqrt();
    let (iterations, residual) = (solution.iterations(), solution.systems[0].residual);
    println!(
        "{n} measurements with an error of {noise}: {iterations} iterations to {residual:.1e}"
    );
    println!("the curve is off by {off:.4}");
    assert!(off < 5.0 * noise / (n as f64 * length).sqrt());
    Ok(())
}

fn main() -> Result<(), Error> {
    run(5_000)
}

#[test]
fn a_curve_is_found_in_noise() {
    run(200).unwrap();
}
