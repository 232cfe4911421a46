//! The wording of errors about ranges and clusters.

use std::ops::Range;

use crate::error::{Code, Error, count as counted};
use crate::kernel::{Axis, Kernel};

fn ranges(message: String) -> Error {
    Error::new(Code::Ranges, format!("ranges: {message}"))
}

fn other(axis: Axis) -> Axis {
    match axis {
        Axis::I => Axis::J,
        Axis::J => Axis::I,
    }
}

pub(crate) fn ranges_reversed(axis: Axis, start: i128, end: i128) -> Error {
    let what = if start.min(end) < 0 { "has a negative row" } else { "ends before it starts" };
    ranges(format!("the range {start}..{end} of {axis} {what}"))
        .help("a range is its first row and the row after its last one, counted from 0")
}

pub(crate) fn ranges_overlap(axis: Axis, a: &Range<usize>, b: &Range<usize>) -> Error {
    ranges(format!("{a:?} and {b:?} of {axis} overlap"))
        .help("clusters share no row; use Ranges::from_blocks for blocks that share rows")
}

pub(crate) fn ranges_twice(a: &[Range<usize>; 2], b: &[Range<usize>; 2]) -> Error {
    let pair = [0, 1].map(|side| a[side].start.max(b[side].start));
    let text = |block: &[Range<usize>; 2]| format!("({:?}, {:?})", block[0], block[1]);
    let (a, b) = (text(a), text(b));
    ranges(format!("the blocks {a} and {b} share the pair ({}, {})", pair[0], pair[1]))
        .help("name every pair once: a sum would count it twice")
}

pub(crate) fn ranges_matrix(found: (usize, usize), clusters: (usize, usize)) -> Error {
    let (i, j) = clusters;
    let there = counted(i, "cluster");
    ranges(format!(
        "the matrix has shape ({}, {}), but there are {there} of i and {j} of j",
        found.0, found.1
    ))
    .help(format!("pass a matrix of shape ({i}, {j}): rows for i, columns for j"))
}

pub(crate) fn ranges_columns(axis: Axis, name: &str, found: (usize, usize)) -> Error {
    ranges(format!("`{name}` of {axis} has shape ({}, {}), not (n, 2)", found.0, found.1))
        .help("pass one range a row: its first row and the row after its last one")
}

pub(crate) fn ranges_slices(axis: Axis, slices: usize, runs: usize) -> Error {
    ranges(format!("there are {}, but {runs} ranges of {axis}", counted(slices, "slice")))
        .help("pass one slice for each range: where its list ends in `redranges`")
}

pub(crate) fn ranges_slice(axis: Axis, slice: i64, start: usize, end: usize) -> Error {
    ranges(format!(
        "slices of {axis}: {slice}, after {start}, but it has to be from {start} to {end}"
    ))
    .help("slices rise, and count ranges of `redranges`")
}

pub(crate) fn ranges_unused(axis: Axis, end: usize, cols: usize) -> Error {
    let other = other(axis);
    ranges(format!("slices of {axis} end at {end}, but there are {cols} ranges of {other}"))
        .help("the last slice is the number of ranges in `redranges`")
}

/// A pair that is in the half for rows of `i` (`first`), or in the other one, but not in both.
pub(crate) fn ranges_halves(i: usize, j: usize, first: bool) -> Error {
    let (there, missing) = if first { ("i", "j") } else { ("j", "i") };
    ranges(format!(
        "the pair ({i}, {j}) is in the ranges of {there}'s rows, but not in those of {missing}'s \
         rows"
    ))
    .help("both halves name the same pairs; Ranges::from_blocks makes one from the other")
}

pub(crate) fn ranges_outside(kernel: &Kernel, axis: Axis, end: usize, rows: usize) -> Error {
    let message =
        format!("{}: ranges of {axis} end at {end}, but there are {rows} rows", kernel.name());
    Error::new(Code::RangesOutside, message)
        .help("make the ranges for these arrays, sorted as the clusters are")
}

pub(crate) fn ranges_kernel(kernel: &Kernel, axis: Axis) -> Error {
    let message = format!(
        "{}: a sum over {axis} was taken out of the pairs and is one number for all rows, so that \
         ranges cannot restrict it",
        kernel.name()
    );
    Error::new(Code::RangesKernel, message).help(format!(
        "let what is summed over {axis} depend on the other index, or mask the pairs"
    ))
}

// Clusters.

fn clusters(message: String) -> Error {
    Error::new(Code::Clusters, format!("clusters: {message}"))
}

pub(crate) fn grid_sizes(found: usize, dim: usize) -> Error {
    let (found, dim) = (counted(found, "size"), counted(dim, "dimension"));
    clusters(format!("{found} of cells were passed for {dim}"))
        .help("pass one size, or one for each dimension")
}

pub(crate) fn grid_size(size: f64) -> Error {
    clusters(format!("a cell cannot be {size} wide"))
        .help("pass a size that is positive and finite")
}

pub(crate) fn grid_far((row, col): (usize, usize), value: f64, size: f64) -> Error {
    clusters(format!("`x` has {value} at row {row}, column {col}, too far for cells {size} wide"))
        .help("pass larger cells")
}

pub(crate) fn not_finite(name: &str, (row, col): (usize, usize), value: f64) -> Error {
    clusters(format!("`{name}` has {value} at row {row}, column {col}, which lies in no cell"))
        .help("leave such points out")
}

pub(crate) fn cluster_rows(name: &str, found: usize, points: usize) -> Error {
    let (found, points) = (counted(found, "row"), counted(points, "point"));
    clusters(format!("`{name}` has {found}, but there are {points}")).help("pass one a point")
}

pub(crate) fn label_negative(row: usize, label: i64) -> Error {
    clusters(format!("label {label} of row {row} is negative"))
        .help("labels count from 0; leave points without a cluster out")
}

pub(crate) fn label_large(label: usize, count: usize) -> Error {
    clusters(format!("there is a label {label}, but {}", counted(count, "cluster")))
        .help(format!("ask for at least {} clusters, or for None", label.saturating_add(1)))
}

pub(crate) fn labels_fall(row: usize, before: i64, label: i64) -> Error {
    clusters(format!("the label of row {row} is {label}, after {before}"))
        .help("sort the points first: sort_clusters")
}

pub(crate) fn clusters_memory(count: usize) -> Error {
    let message = format!("clusters: no memory for {} numbers", count);
    Error::new(Code::OutOfMemory, message).help("use labels that count from 0 without large gaps")
}
