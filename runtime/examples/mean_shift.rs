//! Mean shift: every point climbs to the top of the density around it, which finds clusters without
//! being told how many there are.
//!
//!     cargo run --release -p tilefold --example mean_shift

mod data;

use ndarray::{Array2, array};
use tilefold::{Axis, Error, LazyTensor};

/// The mean of the samples around each point, with Gaussian weights.
fn means_around(x: &Array2<f64>, samples: &Array2<f64>, width: f64) -> Result<Array2<f64>, Error> {
    let s_j = LazyTensor::j(samples.view());
    let score = LazyTensor::i(x.view()).sqdist(&s_j) * (-0.5 / (width * width));
    // A mean with weights exp(score).
    score.sumsoftmaxweight(s_j, Axis::J).eval()
}

/// Moves each sample to the mean around it, until none moves.
fn climb(samples: &Array2<f64>, width: f64, rounds: usize) -> Result<Array2<f64>, Error> {
    let mut x = samples.clone();
    for _ in 0..rounds {
        let next = means_around(&x, samples, width)?;
        let step = (&next - &x).mapv(f64::abs).fold(0.0, |a: f64, &b| a.max(b));
        x = next;
        if step < 1e-4 * width {
            break;
        }
    }
    Ok(x)
}

/// Points that stand closer than `near` to an earlier one are that one.
fn distinct(points: &Array2<f64>, near: f64) -> Vec<[f64; 2]> {
    let mut tops: Vec<[f64; 2]> = Vec::new();
    for p in points.outer_iter() {
        let known = |top: &[f64; 2]| (top[0] - p[0]).hypot(top[1] - p[1]) < near;
        if !tops.iter().any(known) {
            tops.push([p[0], p[1]]);
        }
    }
    tops
}

fn run(n: usize) -> Result<(), Error> {
    let centers = array![[0.0, 0.0], [3.0, 0.0], [1.0, 2.5]];
    let samples = data::Random::new(7).around(&centers, 0.4, n);
    let tops = distinct(&climb(&samples, 0.5, 60)?, 0.25);
    println!("{n} points have {} tops: {tops:.2?}", tops.len());
    assert_eq!(tops.len(), centers.nrows());
    for center in centers.outer_iter() {
        let off = |top: &[f64; 2]| (top[0] - center[0]).hypot(top[1] - center[1]);
        let nearest = tops.iter().map(off).fold(f64::INFINITY, f64::min);
        assert!(nearest < 4.0 * 0.4 / (n as f64 / 3.0).sqrt(), "a top is off by {nearest}");
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    run(5_000)
}

#[test]
fn three_clusters_have_three_tops() {
    run(150).unwrap();
}
