//! Attention without the N x N matrix of weights, and with a causal mask.
//!
//!     cargo run --release -p tilefold --example attention

mod data;

use ndarray::{Array2, Axis as Dimension};
use tilefold::{Axis, Error, LazyTensor};

/// `softmax(q k' / sqrt(d)) v`, over all rows of `k` or over those up to the query's own.
fn attention(
    q: &Array2<f32>,
    k: &Array2<f32>,
    v: &Array2<f32>,
    causal: bool,
) -> Result<Array2<f32>, Error> {
    let (q_i, k_j, v_j) =
        (LazyTensor::i(q.view()), LazyTensor::j(k.view()), LazyTensor::j(v.view()));
    let mut score = (q_i | k_j) / (q.ncols() as f32).sqrt();
    if causal {
        score = score.masked(LazyTensor::pos(Axis::J).le(LazyTensor::pos(Axis::I)));
    }
    score.sumsoftmaxweight(v_j, Axis::J).eval()
}

/// One row of the same, in float64.
fn row(q: &Array2<f32>, k: &Array2<f32>, v: &Array2<f32>, i: usize, last: usize) -> Vec<f64> {
    let scale = (q.ncols() as f64).sqrt();
    let dot = |j: usize| -> f64 {
        let pairs = q.row(i).into_iter().zip(k.row(j));
        pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() / scale
    };
    let scores: Vec<f64> = (0..=last).map(dot).collect();
    let top = scores.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
    let total: f64 = weights.iter().sum();
    let column = |c: usize| -> f64 {
        weights.iter().enumerate().map(|(j, w)| w * f64::from(v[[j, c]])).sum()
    };
    (0..v.ncols()).map(|c| column(c) / total).collect()
}

fn run(n: usize, dim: usize) -> Result<(), Error> {
    let mut random = data::Random::new(6);
    let mut draw = || Array2::from_shape_simple_fn((n, dim), || random.normal() as f32);
    let (q, k, v) = (draw(), draw(), draw());
    for causal in [false, true] {
        let out = attention(&q, &k, &v, causal)?;
        for i in (0..n).step_by(n.div_ceil(5)) {
            let exact = row(&q, &k, &v, i, if causal { i } else { n - 1 });
            let near = |(a, b): (&f32, &f64)| (f64::from(*a) - b).abs() < 1e-5;
            assert!(out.index_axis(Dimension(0), i).iter().zip(&exact).all(near), "row {i}");
        }
        let kind = if causal { "causal" } else { "full" };
        println!("{n} tokens of {dim}, {kind}: rows agree with float64");
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    run(4_096, 64)
}

#[test]
fn agrees_with_softmax() {
    run(50, 8).unwrap();
}
