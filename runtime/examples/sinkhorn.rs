//! Optimal transport between two clouds of points with equal weights, for the cost |x - y|^2 / 2
//! and a little entropy, by Sinkhorn's iteration on logarithms.
//!
//!     cargo run --release -p tilefold --example sinkhorn

mod data;

use ndarray::Array2;
use tilefold::{Axis, Error, LazyTensor};

/// `-epsilon log mean_j exp((g_j - |x_i - y_j|^2 / 2) / epsilon)`, a smooth minimum.
fn soft_minimum(
    x: &Array2<f64>,
    y: &Array2<f64>,
    g: &Array2<f64>,
    epsilon: f64,
) -> Result<Array2<f64>, Error> {
    let cost = LazyTensor::i(x.view()).sqdist(LazyTensor::j(y.view())) / 2;
    let score = (LazyTensor::j(g.view()) - cost) / epsilon;
    let count = (y.nrows() as f64).ln();
    Ok(score.logsumexp(Axis::J).eval()?.mapv(|s| epsilon * (count - s)))
}

fn run(n: usize, rounds: usize) -> Result<(), Error> {
    let epsilon = 0.05;
    let mut random = data::Random::new(5);
    // The second cloud is the first one, moved.
    let x = random.cube(n, 2);
    let y = random.cube(n, 2) + &ndarray::array![[0.5, -0.25]];
    // The dual potentials, each from the other.
    let mut g = Array2::zeros((n, 1));
    let mut f = soft_minimum(&x, &y, &g, epsilon)?;
    for _ in 0..rounds {
        g = soft_minimum(&y, &x, &f, epsilon)?;
        f = soft_minimum(&x, &y, &g, epsilon)?;
    }

    // The plan, P_ij = exp((f_i + g_j - C_ij) / epsilon) / (m n), is never stored.
    let (x_i, y_j) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
    let (f_i, g_j) = (LazyTensor::i(f.view()), LazyTensor::j(g.view()));
    let cost = x_i.sqdist(&y_j) / 2;
    let plan = ((f_i + g_j - cost) / epsilon).exp() / (n as f64 * n as f64);
    let rows = plan.sum(Axis::J).eval()? * n as f64;
    let columns = plan.sum(Axis::I).eval()? * n as f64;
    let worst = |sums: &Array2<f64>| sums.iter().fold(0.0, |w: f64, s| w.max((s - 1.0).abs()));
    println!(
        "{n} x {n} points, {rounds} rounds: marginals are off by {:.1e} and {:.1e}",
        worst(&rows),
        worst(&columns)
    );
    assert!(worst(&rows) < 1e-9 && worst(&columns) < 0.05);

    // Where the mass of all points goes, on average: the clouds are a translation apart.
    let moved = (plan * (y_j - x_i)).sum(Axis::J).sum(Axis::I).eval()?;
    println!("the mass moves by {moved}");
    let difference =
        y.mean_axis(ndarray::Axis(0)).unwrap() - x.mean_axis(ndarray::Axis(0)).unwrap();
    assert!(moved.row(0).iter().zip(&difference).all(|(m, d)| (m - d).abs() < 1e-2));
    Ok(())
}

fn main() -> Result<(), Error> {
    run(5_000, 30)
}

#[test]
fn the_plan_has_its_marginals() {
    run(80, 40).unwrap();
}
