//! Points go in; the k nearest of each come out, by measuring every pair and sorting. The slow
//! reference of the kernel: it shares no code with it.

use ndarray::{Array2, ArrayView2};

/// The squared distances and row numbers of the `k` points of `p` nearest to each of `q`,
/// ascending, ties in row order.
pub fn kmin(q: ArrayView2<f32>, p: ArrayView2<f32>, k: usize) -> (Array2<f32>, Array2<i64>) {
    let points: Vec<Vec<f32>> = p.rows().into_iter().map(|row| row.to_vec()).collect();
    let mut dist2 = Array2::zeros((q.nrows(), k));
    let mut index = Array2::zeros((q.nrows(), k));
    for (i, query) in q.rows().into_iter().enumerate() {
        let query = query.to_vec();
        let mut all: Vec<(f32, usize)> =
            points.iter().map(|point| sqdist(&query, point)).zip(0..).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (entry, &(distance, j)) in all[..k].iter().enumerate() {
            dist2[[i, entry]] = distance;
            index[[i, entry]] = j as i64;
        }
    }
    (dist2, index)
}

fn sqdist(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}
