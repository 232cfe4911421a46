//! A Gaussian sum over all pairs of points, and its gradient: the front page of KeOps.
//!
//!     cargo run --release -p tilefold --example front_page [M N]
//!
//! The page has M = 1,000,000 and N = 2,000,000. Memory is that of the arrays and results.

mod data;

use std::time::Instant;

use ndarray::Array2;
use tilefold::{Axis, Error, LazyTensor};

fn run(m: usize, n: usize) -> Result<(), Error> {
    let mut random = data::Random::new(1);
    let x = random.cube(m, 3).mapv(|v| v as f32);
    let y = random.cube(n, 3).mapv(|v| v as f32);

    let x_i = LazyTensor::i(x.view());
    let y_j = LazyTensor::j(y.view());
    let d_ij = (&x_i - &y_j).square().sum_inner();
    let k_ij = (-d_ij).exp();
    let a_i = k_ij.sum(Axis::J);
    let loss = a_i.square().sum(Axis::I);
    let gradient = loss.vjp(1, &x_i);

    let start = Instant::now();
    let a = a_i.eval()?;
    println!("{m} x {n} pairs: a_0 = {} after {:.2?}", a[[0, 0]], start.elapsed());
    let start = Instant::now();
    let g = gradient.eval()?;
    println!("gradient {} after {:.2?}", g.row(0), start.elapsed());
    check(&x, &y, &a, &g);
    Ok(())
}

/// Compares some rows with plain loops in float64.
fn check(x: &Array2<f32>, y: &Array2<f32>, a: &Array2<f32>, g: &Array2<f32>) {
    for i in (0..x.nrows()).step_by(x.nrows().div_ceil(7)) {
        let (mut sum, mut slope) = (0.0, [0.0; 3]);
        for y in y.outer_iter() {
            let d: [f64; 3] = std::array::from_fn(|c| f64::from(x[[i, c]]) - f64::from(y[c]));
            let k = (-d.iter().map(|d| d * d).sum::<f64>()).exp();
            sum += k;
            (0..3).for_each(|c| slope[c] -= 2.0 * d[c] * k);
        }
        let near = |found: f32, exact: f64, size: f64| {
            assert!((f64::from(found) - exact).abs() < 1e-5 * size, "{found} is not {exact}");
        };
        near(a[[i, 0]], sum, sum);
        // d/dx_i of sum_i a_i^2
        (0..3).for_each(|c| near(g[[i, c]], 2.0 * sum * slope[c], 2.0 * sum * sum));
    }
    println!("rows agree with loops in float64");
}

fn main() -> Result<(), Error> {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    match *sizes.as_slice() {
        [m, n] => run(m, n),
        _ => run(15_000, 30_000),
    }
}

#[test]
fn agrees_with_loops() {
    run(60, 90).unwrap();
}
