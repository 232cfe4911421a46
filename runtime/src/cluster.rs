//! Clusters of points, the way to [`Ranges`](crate::Ranges). Goes in: points and labels. Comes
//! out: labels on a grid, sorted points, ranges of rows and centroids. It never computes distances.
//!
//! ```
//! use ndarray::{Array2, array};
//! use tilefold::Ranges;
//! use tilefold::cluster::{cluster_ranges_centroids, grid_cluster, sort_clusters};
//!
//! let x = array![[0.1_f32, 0.0], [5.2, 0.3], [0.4, 0.2], [5.0, 0.9]];
//! let labels = grid_cluster(x.view(), &[1.0])?;
//! let (x, labels) = sort_clusters(x.view(), labels.view())?;
//! let found = cluster_ranges_centroids(x.view(), labels.view(), None, None)?;
//! assert_eq!(found.ranges, [0..2, 2..4]);
//!
//! // Only clusters whose centroids are near meet each other.
//! let near = Array2::from_shape_fn((2, 2), |(a, b)| {
//!     let between = &found.centroids.row(a) - &found.centroids.row(b);
//!     between.dot(&between) < 4.0
//! });
//! let ranges = Ranges::from_matrix(&found.ranges, &found.ranges, near.view())?;
//! assert_eq!(ranges.pairs(), 8);
//! # Ok::<(), tilefold::Error>(())
//! ```

use std::cmp::Ordering;
use std::ops::Range;

use half::{bf16, f16};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::element::Element;
use crate::error::Error;
use crate::host::memory::zeros;
use crate::words;

/// The reals that coordinates are made of: those of [`Element`].
pub trait Coordinate: Element + Into<f64> {
    /// The nearest number of this type.
    fn nearest(value: f64) -> Self;
}

impl Coordinate for f16 {
    fn nearest(value: f64) -> f16 {
        f16::from_f64(value)
    }
}

impl Coordinate for bf16 {
    fn nearest(value: f64) -> bf16 {
        bf16::from_f64(value)
    }
}

impl Coordinate for f32 {
    fn nearest(value: f64) -> f32 {
        value as f32
    }
}

impl Coordinate for f64 {
    fn nearest(value: f64) -> f64 {
        value
    }
}

/// Labels points by the cell of a grid that they lie in, in any number of dimensions.
///
/// `size` is the width of a cell: one number, or one for each dimension. Labels count the cells
/// that have points from 0 on, in the order of the first coordinate, then of the second and so on.
/// A point belongs to the cell `floor(x / size)`, so a border belongs to the cell above it.
///
/// ```
/// use ndarray::array;
/// use tilefold::cluster::grid_cluster;
///
/// let x = array![[0.5_f64], [-0.5], [9.0], [0.0]];
/// assert_eq!(grid_cluster(x.view(), &[1.0])?, array![1, 0, 2, 1]);
/// # Ok::<(), tilefold::Error>(())
/// ```
///
/// # Errors
/// [`Clusters`](crate::Code::Clusters) for a point that is not finite or that float64
/// cannot count cells to, a size that is not positive
/// and finite, and a wrong number of sizes.
pub fn grid_cluster<T: Coordinate>(x: ArrayView2<T>, size: &[T]) -> Result<Array1<i64>, Error> {
    let size: Vec<f64> = size.iter().map(|&size| size.into()).collect();
    if size.len() != 1 && size.len() != x.ncols() {
        return Err(words::grid_sizes(size.len(), x.ncols()));
    }
    if let Some(&wrong) = size.iter().find(|size| !(size.is_finite() && **size > 0.0)) {
        return Err(words::grid_size(wrong));
    }
    let mut cells = Array2::<f64>::zeros(x.raw_dim());
    for (at, &value) in x.indexed_iter() {
        let value: f64 = value.into();
        if !value.is_finite() {
            return Err(words::not_finite("x", at, value));
        }
        let cell = (value / size[at.1 % size.len()]).floor();
        if cell.is_infinite() {
            return Err(words::grid_far(at, value, size[at.1 % size.len()]));
        }
        cells[at] = cell;
    }
    let compare = |a: usize, b: usize| cells.row(a).iter().partial_cmp(cells.row(b).iter());
    let compare = |a: &usize, b: &usize| compare(*a, *b).unwrap_or(Ordering::Equal);
    let mut order: Vec<usize> = (0..x.nrows()).collect();
    order.sort_unstable_by(compare);
    let (mut labels, mut label) = (Array1::zeros(x.nrows()), 0);
    for (place, row) in order.iter().enumerate() {
        label += i64::from(place > 0 && compare(&order[place - 1], row).is_ne());
        labels[*row] = label;
    }
    Ok(labels)
}

/// The rows in the order of their labels; rows of one label stay in their order.
///
/// `x.select(Axis(0), &order)` sorts any array that goes with the points, and row `k` of a result
/// on sorted points belongs to row `order[k]` of the points as they were.
///
/// ```
/// use ndarray::array;
/// use tilefold::cluster::cluster_order;
///
/// assert_eq!(cluster_order(array![1, 0, 2, 0].view()), [1, 3, 0, 2]);
/// ```
pub fn cluster_order(labels: ArrayView1<i64>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by_key(|&row| labels[row]);
    order
}

/// Points and labels, sorted by label; points of one label stay in their order.
///
/// ```
/// use ndarray::array;
/// use tilefold::cluster::sort_clusters;
///
/// let (x, labels) = sort_clusters(array![[3.0], [1.0], [2.0]].view(), array![1, 0, 1].view())?;
/// assert_eq!(x, array![[1.0], [3.0], [2.0]]);
/// assert_eq!(labels, array![0, 1, 1]);
/// # Ok::<(), tilefold::Error>(())
/// ```
///
/// # Errors
/// [`Clusters`](crate::Code::Clusters) for another number of labels than of points.
pub fn sort_clusters<T: Clone>(
    x: ArrayView2<T>,
    labels: ArrayView1<i64>,
) -> Result<(Array2<T>, Array1<i64>), Error> {
    same_rows("labels", labels.len(), x.nrows())?;
    let order = cluster_order(labels);
    Ok((x.select(Axis(0), &order), labels.select(Axis(0), &order)))
}

/// The rows of each cluster, once points are sorted by label.
///
/// `count` is the number of clusters; without it there are as many as the largest label needs. A
/// label that no point has gives an empty range.
///
/// ```
/// use ndarray::array;
/// use tilefold::cluster::cluster_ranges;
///
/// assert_eq!(cluster_ranges(array![0, 0, 2].view(), None)?, [0..2, 2..2, 2..3]);
/// # Ok::<(), tilefold::Error>(())
/// ```
///
/// # Errors
/// [`Clusters`](crate::Code::Clusters) for labels that are negative or not below `count`;
/// [`OutOfMemory`](crate::Code::OutOfMemory) for labels that need more ranges than memory holds.
pub fn cluster_ranges(
    labels: ArrayView1<i64>,
    count: Option<usize>,
) -> Result<Vec<Range<usize>>, Error> {
    let count = counted(labels, count)?;
    let mut sizes = room::<i64>(count)?;
    labels.iter().for_each(|&label| sizes[label as usize] += 1);
    let mut ranges = Vec::new();
    ranges.try_reserve_exact(count).map_err(|_| words::clusters_memory(count))?;
    let mut start = 0;
    for size in sizes {
        ranges.push(start..start + size as usize);
        start += size as usize;
    }
    Ok(ranges)
}

/// The weighted mean of each cluster's points, which need not be sorted.
///
/// Without `weights` every point weighs 1. Means are computed in float64. A cluster of weight 0,
/// an empty one too, has NaN for its centroid.
///
/// ```
/// use ndarray::array;
/// use tilefold::cluster::cluster_centroids;
///
/// let x = array![[0.0_f32], [4.0], [7.0]];
/// let weights = array![1.0, 3.0, 1.0];
/// let means = cluster_centroids(x.view(), array![0, 0, 1].view(), None, Some(weights.view()))?;
/// assert_eq!(means, array![[3.0], [7.0]]);
/// # Ok::<(), tilefold::Error>(())
/// ```
///
/// # Errors
/// As [`cluster_ranges`], and for another number of labels or weights than of points.
pub fn cluster_centroids<T: Coordinate>(
    x: ArrayView2<T>,
    labels: ArrayView1<i64>,
    count: Option<usize>,
    weights: Option<ArrayView1<T>>,
) -> Result<Array2<T>, Error> {
    means(x, labels, counted(labels, count)?, weights).map(|(centroids, _)| centroids)
}

/// Clusters of sorted points.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters<T> {
    /// The rows of each.
    pub ranges: Vec<Range<usize>>,
    /// The weighted mean of each, a row a cluster.
    pub centroids: Array2<T>,
    /// The weight of each: the sum of its points' weights.
    pub weights: Array1<T>,
}

/// Ranges, centroids and weights in one step, for points sorted by label.
///
/// ```
/// use ndarray::array;
/// use tilefold::cluster::cluster_ranges_centroids;
///
/// let x = array![[0.0_f64, 2.0], [4.0, 2.0], [7.0, 0.0]];
/// let found = cluster_ranges_centroids(x.view(), array![0, 0, 1].view(), None, None)?;
/// assert_eq!(found.ranges, [0..2, 2..3]);
/// assert_eq!(found.centroids, array![[2.0, 2.0], [7.0, 0.0]]);
/// assert_eq!(found.weights, array![2.0, 1.0]);
/// # Ok::<(), tilefold::Error>(())
/// ```
///
/// # Errors
/// As [`cluster_centroids`], and [`Clusters`](crate::Code::Clusters) for labels that fall.
pub fn cluster_ranges_centroids<T: Coordinate>(
    x: ArrayView2<T>,
    labels: ArrayView1<i64>,
    count: Option<usize>,
    weights: Option<ArrayView1<T>>,
) -> Result<Clusters<T>, Error> {
    let ranges = cluster_ranges(labels, count)?;
    if let Some(row) = (1..labels.len()).find(|&row| labels[row - 1] > labels[row]) {
        return Err(words::labels_fall(row, labels[row - 1], labels[row]));
    }
    let (centroids, weights) = means(x, labels, ranges.len(), weights)?;
    Ok(Clusters { ranges, centroids, weights })
}

fn means<T: Coordinate>(
    x: ArrayView2<T>,
    labels: ArrayView1<i64>,
    count: usize,
    weights: Option<ArrayView1<T>>,
) -> Result<(Array2<T>, Array1<T>), Error> {
    same_rows("labels", labels.len(), x.nrows())?;
    weights.map_or(Ok(()), |weights| same_rows("weights", weights.len(), x.nrows()))?;
    let dim = x.ncols();
    let mut total = room::<f64>(count)?;
    let mut sums = room::<f64>(count.saturating_mul(dim))?;
    for (row, (point, &label)) in x.rows().into_iter().zip(labels).enumerate() {
        let weight: f64 = weights.map_or(1.0, |weights| weights[row].into());
        let label = label as usize;
        total[label] += weight;
        for (sum, &coordinate) in sums[label * dim..].iter_mut().zip(point) {
            let coordinate: f64 = coordinate.into();
            *sum += weight * coordinate;
        }
    }
    let mean = |(label, d): (usize, usize)| T::nearest(sums[label * dim + d] / total[label]);
    let centroids = Array2::from_shape_fn((count, dim), mean);
    Ok((centroids, total.into_iter().map(T::nearest).collect()))
}

/// The number of clusters, once every label is known to be below it.
fn counted(labels: ArrayView1<i64>, count: Option<usize>) -> Result<usize, Error> {
    if let Some((row, &label)) = labels.iter().enumerate().find(|(_, label)| **label < 0) {
        return Err(words::label_negative(row, label));
    }
    // Labels are not negative, and no label is the largest number of clusters.
    let needed = labels.iter().max().map_or(0, |&label| (label as usize).saturating_add(1));
    match count {
        Some(count) if count < needed => Err(words::label_large(needed - 1, count)),
        Some(count) => Ok(count),
        None => Ok(needed),
    }
}

fn same_rows(name: &str, found: usize, points: usize) -> Result<(), Error> {
    if found == points { Ok(()) } else { Err(words::cluster_rows(name, found, points)) }
}

fn room<T: crate::element::Component>(len: usize) -> Result<Vec<T>, Error> {
    zeros(len).ok_or_else(|| words::clusters_memory(len))
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use ndarray::{array, s};

    use super::*;
    use crate::error::Code;

    fn refused<T: std::fmt::Debug>(result: Result<T, Error>, text: &str) {
        let error = result.unwrap_err();
        assert_eq!(error.code(), Code::Clusters, "{error}");
        assert!(error.message().contains(text), "{error}\n{text}");
        assert!(!error.helps().is_empty(), "{error}");
    }

    /// Points of many cells in four dimensions.
    fn points(rows: usize) -> Array2<f64> {
        let mut seed = 7_u64;
        Array2::from_shape_simple_fn((rows, 4), || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
            (seed >> 40) as f64 / (1_u64 << 24) as f64 * 5000.0 - 2500.0
        })
    }

    #[test]
    fn cells_do_not_collide() {
        // More than 2^10 cells along each of four axes.
        let mut x = points(2000);
        let twin = x.slice(s![..1000, ..]).mapv(|v| v.floor() + 0.5);
        x.slice_mut(s![1000.., ..]).assign(&twin);
        let labels = grid_cluster(x.view(), &[1.0]).unwrap();
        let cell = |row: usize| x.row(row).mapv(f64::floor).to_vec();
        for a in (0..2000).step_by(31) {
            for b in 0..2000 {
                let order = cell(a).partial_cmp(&cell(b)).unwrap();
                assert_eq!(labels[a].cmp(&labels[b]), order, "{a} {b}");
            }
        }
        let mut used: Vec<i64> = labels.to_vec();
        used.sort_unstable();
        used.dedup();
        assert!(used.iter().enumerate().all(|(at, &label)| label == at as i64));
    }

    #[test]
    fn grids_take_one_size_or_one_a_dimension() {
        let x = array![[0.0_f32, 9.0], [3.0, 0.0], [-0.0, 8.0], [1e30, -1e38]];
        assert_eq!(grid_cluster(x.view(), &[4.0]).unwrap(), array![1, 0, 1, 2]);
        assert_eq!(grid_cluster(x.view(), &[1.0, 100.0]).unwrap(), array![0, 1, 0, 2]);
        assert_eq!(grid_cluster(x.view(), &[1e-38]).unwrap().len(), 4);
        let huge = array![[f64::MAX], [1e10], [-f64::MAX]];
        assert_eq!(grid_cluster(huge.view(), &[1.0]).unwrap(), array![2, 1, 0]);
        assert_eq!(grid_cluster(x.slice(s![..0, ..]), &[1.0]).unwrap().len(), 0);
        assert_eq!(grid_cluster(x.slice(s![.., ..0]), &[1.0]).unwrap(), array![0, 0, 0, 0]);
        let halves = x.mapv(half::f16::from_f32);
        assert_eq!(grid_cluster(halves.slice(s![..3, ..]), &[f16::ONE]).unwrap().len(), 3);
    }

    #[test]
    fn what_is_no_grid_is_refused() {
        let x = array![[0.0, f64::NAN]];
        refused(grid_cluster(x.view(), &[1.0]), "`x` has NaN at row 0, column 1");
        let x = array![[0.0], [f64::INFINITY]];
        refused(grid_cluster(x.view(), &[1.0]), "`x` has inf at row 1, column 0");
        for size in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            refused(grid_cluster(x.slice(s![..1, ..]), &[size]), "a cell cannot be");
        }
        let far = array![[1e10]];
        refused(grid_cluster(far.view(), &[1e-300]), "too far for cells 0.000");
        refused(grid_cluster(x.view(), &[]), "0 sizes of cells were passed for 1 dimension");
        refused(grid_cluster(x.view(), &[1.0, 2.0]), "2 sizes of cells were passed for 1 dim");
    }

    #[test]
    fn sorting_is_stable_and_ranges_follow() {
        let labels = Array1::from_shape_fn(500, |row| (row * 7 % 13) as i64);
        let order = cluster_order(labels.view());
        let ranges = cluster_ranges(labels.view(), Some(15)).unwrap();
        assert_eq!(
            (ranges.len(), ranges[13].clone(), ranges[14].clone()),
            (15, 500..500, 500..500)
        );
        for (label, range) in ranges.iter().enumerate() {
            let rows = &order[range.clone()];
            assert!(rows.windows(2).all(|w| w[0] < w[1]));
            assert!(rows.iter().all(|&row| labels[row] == label as i64));
        }
        let x = Array2::from_shape_fn((500, 2), |(row, _)| row);
        let (sorted, by_label) = sort_clusters(x.view(), labels.view()).unwrap();
        assert!(sorted.column(0).iter().eq(&order) && by_label.iter().is_sorted());
    }

    #[test]
    fn centroids_are_weighted_means() {
        let x = points(300).mapv(|v| v as f32);
        let labels = Array1::from_shape_fn(300, |row| (row * row % 5) as i64);
        let weights = Array1::from_shape_fn(300, |row| (row % 3) as f32);
        let found = cluster_centroids(x.view(), labels.view(), Some(6), Some(weights.view()));
        let found = found.unwrap();
        for label in 0..5 {
            for d in 0..4 {
                let rows = || (0..300).filter(|&row| labels[row] == label as i64);
                let sum: f64 = rows().map(|r| f64::from(weights[r]) * f64::from(x[(r, d)])).sum();
                let weight: f64 = rows().map(|r| f64::from(weights[r])).sum();
                assert_eq!(found[(label, d)].is_nan(), weight == 0.0);
                assert!(weight == 0.0 || found[(label, d)] == (sum / weight) as f32);
            }
        }
        assert!(found.row(5).iter().all(|v| v.is_nan()), "an empty cluster has no centre");
        let none = cluster_centroids(x.slice(s![..0, ..]), Array1::zeros(0).view(), None, None);
        assert_eq!(none.unwrap().dim(), (0, 4));
    }

    #[test]
    fn labels_that_fit_nothing_are_refused() {
        let x = array![[1.0_f32], [2.0]];
        let of = |labels: &[i64], count| cluster_ranges(ArrayView1::from(labels), count);
        refused(of(&[0, -1], None), "label -1 of row 1 is negative");
        refused(of(&[0, 3], Some(3)), "there is a label 3, but 3 clusters");
        let huge = of(&[i64::MAX], None).unwrap_err();
        assert_eq!(huge.code(), Code::OutOfMemory);
        let short = array![0];
        refused(
            cluster_centroids(x.view(), short.view(), None, None),
            "`labels` has 1 row, but there are 2 points",
        );
        refused(sort_clusters(x.view(), short.view()), "`labels` has 1 row");
        let weights = array![1.0, 1.0, 1.0];
        refused(
            cluster_ranges_centroids(x.view(), array![0, 1].view(), None, Some(weights.view())),
            "`weights` has 3 rows, but there are 2 points",
        );
        refused(
            cluster_ranges_centroids(x.view(), array![1, 0].view(), None, None),
            "the label of row 1 is 0, after 1",
        );
    }
}
