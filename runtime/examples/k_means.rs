//! Lloyd's algorithm: groups points around k centers.
//!
//!     cargo run --release -p tilefold --example k_means

mod data;

use ndarray::{Array2, s};
use tilefold::{Axis, Error, LazyTensor, evaluate};

/// The nearest center of each point, and the sum of the squared distances to them.
fn nearest(x: &Array2<f64>, centers: &Array2<f64>) -> Result<(Array2<i64>, f64), Error> {
    let d_ij = LazyTensor::i(x.view()).sqdist(LazyTensor::j(centers.view()));
    let (distance, label) = d_ij.min_argmin(Axis::J);
    let mut found = evaluate(&[&label, &distance.sum(Axis::I)]).run()?;
    Ok((found.take(0)?, found.take::<f64>(1)?[[0, 0]]))
}

/// The mean of the points with each label: i counts centers, j counts points.
fn means(x: &Array2<f64>, labels: &Array2<i64>, k: usize) -> Result<Array2<f64>, Error> {
    let member = LazyTensor::pos(Axis::I).equal(LazyTensor::j(labels.view()));
    let mean = LazyTensor::j(x.view()).masked(member).mean(Axis::J);
    evaluate(&[&mean]).rows(k, x.nrows()).run()?.take(0)
}

struct Clusters {
    centers: Array2<f64>,
    labels: Array2<i64>,
    /// After each round.
    inertia: Vec<f64>,
}

fn k_means(x: &Array2<f64>, mut centers: Array2<f64>, rounds: usize) -> Result<Clusters, Error> {
    let (mut labels, first) = nearest(x, &centers)?;
    let mut inertia = vec![first];
    for _ in 0..rounds {
        // A center without points has no mean and stays where it is.
        let moved = means(x, &labels, centers.nrows())?;
        centers.zip_mut_with(&moved, |c, &m| *c = if m.is_nan() { *c } else { m });
        let (found, sum) = nearest(x, &centers)?;
        labels = found;
        inertia.push(sum);
    }
    Ok(Clusters { centers, labels, inertia })
}

fn run(n: usize, k: usize) -> Result<(), Error> {
    // True centers on a circle, points close to them, starts at the first points of each.
    let angle = |row: usize| row as f64 / k as f64 * std::f64::consts::TAU;
    let truth = Array2::from_shape_fn((k, 2), |(row, col)| {
        if col == 0 { 4.0 * angle(row).cos() } else { 4.0 * angle(row).sin() }
    });
    let x = data::Random::new(3).around(&truth, 0.2, n);
    let found = k_means(&x, x.slice(s![..k, ..]).to_owned(), 10)?;

    let last = found.inertia[found.inertia.len() - 1];
    println!("{n} points, {k} centers: inertia {:.1} to {last:.1}", found.inertia[0]);
    assert!(found.inertia.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-12)));
    let off = (&found.centers - &truth).mapv(f64::abs).fold(0.0, |a: f64, &b| a.max(b));
    println!("centers are off by at most {off:.4}");
    assert!(off < 2.0 / (n as f64 / k as f64).sqrt());
    assert!(found.labels.iter().enumerate().all(|(row, &label)| label == (row % k) as i64));
    Ok(())
}

fn main() -> Result<(), Error> {
    run(200_000, 12)
}

#[test]
fn finds_the_centers() {
    run(300, 5).unwrap();
}
