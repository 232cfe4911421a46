//! Classifies handwritten digits by the vote of their nearest neighbours.
//!
//!     cargo run --release -p tilefold --example nearest_neighbours

use ndarray::{Array2, ArrayView2, s};
use tilefold::{Axis, Error, LazyTensor};

/// 1797 rows of 64 pixels and a label; the README beside it says where they come from.
const DIGITS: &str = include_str!("../../examples/digits/data/digits.csv");

fn digits() -> Array2<f32> {
    let numbers = DIGITS.split_whitespace().flat_map(|line| line.split(','));
    let numbers: Vec<f32> = numbers.map(|n| n.parse().expect("a number")).collect();
    Array2::from_shape_vec((numbers.len() / 65, 65), numbers).expect("65 numbers a line")
}

/// The most frequent label among the `k` nearest of the known rows, for each row of `x`.
fn classify(
    x: ArrayView2<f32>,
    known: ArrayView2<f32>,
    labels: &[usize],
    k: usize,
) -> Result<Vec<usize>, Error> {
    let d_ij = LazyTensor::i(x).sqdist(LazyTensor::j(known));
    let nearest = d_ij.argkmin(k, Axis::J).eval_index()?;
    let vote = |rows: ndarray::ArrayView1<i64>| {
        let mut votes = [0; 10];
        rows.iter().for_each(|&row| votes[labels[row as usize]] += 1);
        (0..10).max_by_key(|&label| (votes[label], std::cmp::Reverse(label))).unwrap_or(0)
    };
    Ok(nearest.outer_iter().map(vote).collect())
}

fn run(unknown: usize) -> Result<(), Error> {
    let digits = digits();
    let labels: Vec<usize> = digits.column(64).iter().map(|&label| label as usize).collect();
    let pixels = digits.slice(s![.., ..64]);
    let (x, known) = pixels.split_at(ndarray::Axis(0), unknown);
    let found = classify(x, known, &labels[unknown..], 5)?;
    let right = found.iter().zip(&labels).filter(|(found, label)| found == label).count();
    println!("{right} of {unknown} digits are recognised by {} others", known.nrows());
    assert!(right * 10 >= unknown * 9);
    Ok(())
}

fn main() -> Result<(), Error> {
    run(897)
}

#[test]
fn recognises_digits() {
    run(100).unwrap();
}
