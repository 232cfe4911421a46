//! Block-sparse reductions. Goes in: blocks of rows of `i` times rows of `j`. Comes out: for each
//! axis, runs of rows with the ranges of the other axis that they fold. It never holds a pair twice
//! and never knows M or N: a call compares them with its arrays.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{ArrayView1, ArrayView2};

use crate::error::Error;
use crate::kernel::Axis;
use crate::words;

/// Which pairs (i, j) a reduction folds: a union of blocks, rows times rows.
///
/// A reduction restricted to ranges is the reduction with all other pairs left out. A row without
/// any pair gets what a mask that leaves out everything gives: 0 for a sum, infinity for a minimum,
/// minus infinity for a maximum and for `logsumexp`, row number -1 for `argmin` and its kin,
/// (infinity, -1) for missing neighbours, NaN for means. Gradients are restricted to the same
/// pairs. With batch dimensions every item has the same ranges.
///
/// No pair may be named twice: a sum would count it twice (KeOps does) and a minimum would not, so
/// blocks that overlap are an error. Empty blocks are allowed. The order of blocks does not matter:
/// columns are folded in ascending order.
///
/// It is cheap to clone.
///
/// ```
/// use ndarray::array;
/// use tilefold::Ranges;
///
/// // Three clusters of targets, two of sources.
/// let (i, j) = ([0..10, 10..15, 15..40], [0..100, 100..300]);
/// let keep = array![[true, false], [true, true], [false, true]];
/// let ranges = Ranges::from_matrix(&i, &j, keep.view())?;
/// assert_eq!(ranges.pairs(), 10 * 100 + 5 * 300 + 25 * 200);
/// # Ok::<(), tilefold::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Ranges(Arc<[Half; 2]>);

/// Rows of one axis, each run with the ranges of the other axis that it folds. Runs are as long as
/// can be, sorted and apart; so are the ranges of a run, of which there is at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Half {
    runs: Vec<Range<usize>>,
    /// Run r has `cols[starts[r]..starts[r + 1]]`, the last one all that follow.
    starts: Vec<usize>,
    cols: Vec<Range<usize>>,
}

/// Rows of `i` and rows of `j`.
type Block = [Range<usize>; 2];

impl Ranges {
    /// From blocks: rows of `i` and rows of `j`, all pairs of which are folded.
    ///
    /// Memory grows with the number of blocks that meet each row, for both axes.
    ///
    /// ```
    /// use tilefold::Ranges;
    ///
    /// let band = (0..10).map(|i| (i..i + 1, i..i + 3));
    /// assert_eq!(Ranges::from_blocks(band)?.pairs(), 30);
    /// # Ok::<(), tilefold::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Ranges`](crate::Code::Ranges) for a range that ends before it starts, and for two
    /// blocks that share a pair.
    pub fn from_blocks(
        blocks: impl IntoIterator<Item = (Range<usize>, Range<usize>)>,
    ) -> Result<Ranges, Error> {
        let mut kept = Vec::new();
        for (i, j) in blocks {
            checked(Axis::I, &i)?;
            checked(Axis::J, &j)?;
            kept.push([i, j]);
        }
        Ranges::new(kept)
    }

    /// From clusters of rows and a matrix that says which cluster of `i` meets which cluster of
    /// `j`. Clusters come from [`cluster_ranges`](crate::cluster::cluster_ranges).
    ///
    /// # Errors
    /// [`Ranges`](crate::Code::Ranges) for a matrix of another shape, for a range that ends before
    /// it starts, and for clusters of one axis that overlap.
    pub fn from_matrix(
        i: &[Range<usize>],
        j: &[Range<usize>],
        keep: ArrayView2<bool>,
    ) -> Result<Ranges, Error> {
        if keep.dim() != (i.len(), j.len()) {
            return Err(words::ranges_matrix(keep.dim(), (i.len(), j.len())));
        }
        for (axis, clusters) in [(Axis::I, i), (Axis::J, j)] {
            clusters.iter().try_for_each(|cluster| checked(axis, cluster))?;
            apart(axis, clusters)?;
        }
        let kept = keep.indexed_iter().filter(|(_, kept)| **kept);
        Ranges::new(kept.map(|((a, b), _)| [i[a].clone(), j[b].clone()]).collect())
    }

    /// From the six arrays of KeOps.
    ///
    /// Run k of `ranges_i` (one run a row: start, end) folds the rows `slices_i[k - 1]` to
    /// `slices_i[k]` of `redranges_j`, from 0 for the first run. The other three say the same with
    /// `i` and `j` exchanged, for reductions over `i`.
    ///
    /// ```
    /// use ndarray::array;
    /// use tilefold::Ranges;
    ///
    /// let (ranges_i, slices_i) = (array![[0, 4], [4, 6]], array![1, 2]);
    /// let redranges_j = array![[0, 5], [5, 9]];
    /// let (ranges_j, slices_j) = (array![[0, 5], [5, 9]], array![1, 2]);
    /// let redranges_i = array![[0, 4], [4, 6]];
    /// let over_j = (ranges_i.view(), slices_i.view(), redranges_j.view());
    /// let over_i = (ranges_j.view(), slices_j.view(), redranges_i.view());
    /// let ranges = Ranges::from_arrays(over_j, over_i)?;
    /// assert_eq!(ranges, Ranges::from_blocks([(0..4, 0..5), (4..6, 5..9)])?);
    /// # Ok::<(), tilefold::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Ranges`](crate::Code::Ranges) for arrays that do not fit each other, a range that is
    /// negative or ends before it starts, runs that overlap, slices that fall, a pair that is
    /// named twice, and halves that name different pairs.
    pub fn from_arrays(
        over_j: (ArrayView2<i64>, ArrayView1<i64>, ArrayView2<i64>),
        over_i: (ArrayView2<i64>, ArrayView1<i64>, ArrayView2<i64>),
    ) -> Result<Ranges, Error> {
        let ranges = Ranges::new(blocks(Axis::I, over_j)?)?;
        let mut other = blocks(Axis::J, over_i)?;
        other.iter_mut().for_each(|block| block.swap(0, 1));
        match difference(&ranges, &Ranges::new(other)?) {
            None => Ok(ranges),
            Some((i, j, first)) => Err(words::ranges_halves(i, j, first)),
        }
    }

    fn new(mut blocks: Vec<Block>) -> Result<Ranges, Error> {
        blocks.retain(|block| !block.iter().any(Range::is_empty));
        Ok(Ranges(Arc::new([Half::new(&blocks, 0)?, Half::new(&blocks, 1)?])))
    }

    /// The ranges of the transposed matrix: `i` and `j` exchanged.
    pub fn swap_axes(&self) -> Ranges {
        let [by_i, by_j] = &*self.0;
        Ranges(Arc::new([by_j.clone(), by_i.clone()]))
    }

    /// How many pairs there are.
    pub fn pairs(&self) -> u64 {
        self.half(Axis::I).pairs()
    }

    /// Runs of rows of an axis, in ascending order, with the ranges of the other axis that they
    /// fold. Neighbouring rows that fold the same are one run; rows that fold nothing are in none.
    ///
    /// ```
    /// use tilefold::{Axis, Ranges};
    ///
    /// let ranges = Ranges::from_blocks([(0..4, 2..5), (4..6, 2..5), (4..6, 7..9)])?;
    /// let runs: Vec<_> = ranges.runs(Axis::J).map(|(rows, cols)| (rows, cols.to_vec())).collect();
    /// assert_eq!(runs, [(2..5, vec![0..6]), (7..9, vec![4..6])]);
    /// # Ok::<(), tilefold::Error>(())
    /// ```
    pub fn runs(&self, axis: Axis) -> impl Iterator<Item = (Range<usize>, &[Range<usize>])> {
        let half = self.half(axis);
        (0..half.len()).map(|run| half.run(run))
    }

    /// What rows of an axis fold.
    pub(crate) fn half(&self, axis: Axis) -> &Half {
        &self.0[axis as usize]
    }

    /// The first row of an axis that no range reaches.
    pub(crate) fn end(&self, axis: Axis) -> usize {
        self.half(axis).runs.last().map_or(0, |run| run.end)
    }
}

impl fmt::Debug for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [by_i, by_j] = &*self.0;
        write!(f, "Ranges({} pairs, {} runs of i, ", self.pairs(), by_i.len())?;
        write!(f, "{} of j)", by_j.len())
    }
}

impl Half {
    /// A sweep along one side of the blocks, with those that are open sorted by their other side.
    fn new(blocks: &[Block], side: usize) -> Result<Half, Error> {
        let mut opening: Vec<&Block> = blocks.iter().collect();
        let mut closing = opening.clone();
        opening.sort_by_key(|block| block[side].start);
        closing.sort_by_key(|block| block[side].end);
        let (mut opening, mut closing) = (opening.iter().peekable(), closing.iter().peekable());
        let mut cuts: Vec<usize> =
            blocks.iter().flat_map(|block| [block[side].start, block[side].end]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let (mut half, mut open) = (Half::default(), BTreeMap::<usize, &Block>::new());
        for cut in cuts.windows(2) {
            while let Some(block) = closing.next_if(|block| block[side].end == cut[0]) {
                open.remove(&block[1 - side].start);
            }
            while let Some(&block) = opening.next_if(|block| block[side].start == cut[0]) {
                let other = &block[1 - side];
                let before = open.range(..other.end).next_back();
                if let Some((_, &near)) = before.filter(|(_, b)| b[1 - side].end > other.start) {
                    return Err(words::ranges_twice(near, block));
                }
                open.insert(other.start, block);
            }
            half.push(cut[0]..cut[1], open.values().map(|block| &block[1 - side]));
        }
        Ok(half)
    }

    /// Adds a run behind all others.
    fn push<'a>(&mut self, run: Range<usize>, cols: impl Iterator<Item = &'a Range<usize>>) {
        let first = self.cols.len();
        for range in cols {
            match self.cols[first..].last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => self.cols.push(range.clone()),
            }
        }
        if self.cols.len() == first {
            return;
        }
        let (before, added) = self.cols.split_at(first);
        match (self.runs.last_mut(), self.starts.last()) {
            (Some(last), Some(&start)) if last.end == run.start && before[start..] == *added => {
                last.end = run.end;
                self.cols.truncate(first);
            }
            _ => {
                self.runs.push(run);
                self.starts.push(first);
            }
        }
    }

    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// A run and its ranges.
    pub fn run(&self, run: usize) -> (Range<usize>, &[Range<usize>]) {
        let end = self.starts.get(run + 1).copied().unwrap_or(self.cols.len());
        (self.runs[run].clone(), &self.cols[self.starts[run]..end])
    }

    pub fn pairs(&self) -> u64 {
        let runs = (0..self.len()).map(|run| self.run(run));
        let pairs = |(rows, cols): (Range<usize>, &[Range<usize>])| {
            let cols: usize = cols.iter().map(Range::len).sum();
            (rows.len() as u64).saturating_mul(cols as u64)
        };
        runs.map(pairs).fold(0, u64::saturating_add)
    }
}

fn checked(axis: Axis, range: &Range<usize>) -> Result<(), Error> {
    match range.start <= range.end {
        true => Ok(()),
        false => Err(words::ranges_reversed(axis, range.start as i128, range.end as i128)),
    }
}

/// Ranges of one axis share no row.
fn apart(axis: Axis, ranges: &[Range<usize>]) -> Result<(), Error> {
    let mut sorted: Vec<&Range<usize>> = ranges.iter().filter(|range| !range.is_empty()).collect();
    sorted.sort_by_key(|range| range.start);
    match sorted.windows(2).find(|pair| pair[0].end > pair[1].start) {
        None => Ok(()),
        Some(pair) => Err(words::ranges_overlap(axis, pair[0], pair[1])),
    }
}

/// One half of KeOps' arrays, whose runs are rows of `axis`, as blocks of (run, columns).
fn blocks(
    axis: Axis,
    (runs, slices, cols): (ArrayView2<i64>, ArrayView1<i64>, ArrayView2<i64>),
) -> Result<Vec<Block>, Error> {
    let other = match axis {
        Axis::I => Axis::J,
        Axis::J => Axis::I,
    };
    let (runs, cols) = (pairs(axis, "ranges", runs)?, pairs(other, "redranges", cols)?);
    apart(axis, &runs)?;
    if slices.len() != runs.len() {
        return Err(words::ranges_slices(axis, slices.len(), runs.len()));
    }
    let (mut blocks, mut start) = (Vec::with_capacity(cols.len()), 0);
    for (run, &slice) in runs.iter().zip(&slices) {
        let end = usize::try_from(slice).ok().filter(|end| (start..=cols.len()).contains(end));
        let end = end.ok_or_else(|| words::ranges_slice(axis, slice, start, cols.len()))?;
        blocks.extend(cols[start..end].iter().map(|range| [run.clone(), range.clone()]));
        start = end;
    }
    match start == cols.len() {
        true => Ok(blocks),
        false => Err(words::ranges_unused(axis, start, cols.len())),
    }
}

/// Rows of (start, end).
fn pairs(axis: Axis, name: &str, array: ArrayView2<i64>) -> Result<Vec<Range<usize>>, Error> {
    if array.ncols() != 2 && array.nrows() > 0 {
        return Err(words::ranges_columns(axis, name, array.dim()));
    }
    let range = |row: ArrayView1<i64>| {
        let (start, end) = (row[0], row[1]);
        match (usize::try_from(start), usize::try_from(end)) {
            (Ok(from), Ok(to)) if from <= to => Ok(from..to),
            _ => Err(words::ranges_reversed(axis, start.into(), end.into())),
        }
    };
    array.rows().into_iter().map(range).collect()
}

/// A pair that only one of two has, and whether it is the first one.
fn difference(a: &Ranges, b: &Ranges) -> Option<(usize, usize, bool)> {
    if a == b {
        return None;
    }
    let (a, b) = (a.half(Axis::I), b.half(Axis::I));
    lone(a, b).map(|(i, j)| (i, j, true)).or(lone(b, a).map(|(i, j)| (i, j, false)))
}

/// A pair of `a` that `b` lacks.
fn lone(a: &Half, b: &Half) -> Option<(usize, usize)> {
    (0..a.len()).find_map(|run| {
        let (rows, cols) = a.run(run);
        let mut row = rows.start;
        while row < rows.end {
            let at = b.runs.partition_point(|other| other.end <= row);
            let met = (at < b.len()).then(|| b.run(at)).filter(|(other, _)| other.start <= row);
            let Some((other, found)) = met else { return Some((row, cols[0].start)) };
            if let Some(col) = cols.iter().find_map(|range| outside(range, found)) {
                return Some((row, col));
            }
            row = other.end;
        }
        None
    })
}

/// The first column of a range that none of sorted ranges has.
fn outside(range: &Range<usize>, sorted: &[Range<usize>]) -> Option<usize> {
    let at = sorted.partition_point(|other| other.end <= range.start);
    match sorted.get(at) {
        Some(other) if other.start <= range.start => (other.end < range.end).then_some(other.end),
        _ => Some(range.start),
    }
}

#[cfg(test)]
#[allow(clippy::reversed_empty_ranges, clippy::single_range_in_vec_init)]
mod tests {
    use std::collections::BTreeSet;

    use ndarray::{Array1, Array2, array};

    use super::*;
    use crate::error::Code;

    fn refused<T: fmt::Debug>(result: Result<T, Error>, text: &str) {
        let error = result.unwrap_err();
        assert_eq!(error.code(), Code::Ranges, "{error}");
        assert!(error.message().contains(text), "{error}\n{text}");
        assert!(!error.helps().is_empty(), "{error}");
    }

    /// Every pair, from the runs of an axis.
    fn listed(ranges: &Ranges, axis: Axis) -> BTreeSet<(usize, usize)> {
        let (mut pairs, mut end) = (BTreeSet::new(), 0);
        for (rows, cols) in ranges.runs(axis) {
            assert!(end <= rows.start && !rows.is_empty() && !cols.is_empty());
            assert!(cols.windows(2).all(|w| w[0].end < w[1].start));
            end = rows.end;
            for row in rows {
                for col in cols.iter().cloned().flatten() {
                    let pair = if axis == Axis::I { (row, col) } else { (col, row) };
                    assert!(pairs.insert(pair), "{pair:?} twice");
                }
            }
        }
        pairs
    }

    /// Small numbers, the same ones for every run.
    fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        move |below| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        }
    }

    #[test]
    fn both_halves_hold_the_blocks_pairs() {
        for seed in 0..300 {
            let mut number = numbers(seed);
            let (mut blocks, mut pairs) = (Vec::new(), BTreeSet::new());
            for _ in 0..number(12) {
                let (i, j) = (number(20), number(20));
                let block = (i..i + number(6), j..j + number(6));
                let of = |block: &(Range<usize>, Range<usize>)| -> Vec<_> {
                    block.0.clone().flat_map(|i| block.1.clone().map(move |j| (i, j))).collect()
                };
                if of(&block).iter().all(|pair| !pairs.contains(pair)) {
                    pairs.extend(of(&block));
                    blocks.push(block);
                } else {
                    let twice = blocks.iter().cloned().chain([block]);
                    refused(Ranges::from_blocks(twice), "share the pair");
                }
            }
            let ranges = Ranges::from_blocks(blocks.clone()).unwrap();
            assert_eq!(listed(&ranges, Axis::I), pairs);
            assert_eq!(listed(&ranges, Axis::J), pairs);
            assert_eq!(ranges.pairs() as usize, pairs.len());
            assert_eq!(ranges.swap_axes().swap_axes(), ranges);
            let swapped = blocks.iter().rev().map(|(i, j)| (j.clone(), i.clone()));
            assert_eq!(Ranges::from_blocks(swapped).unwrap(), ranges.swap_axes());
            let (end_i, end_j) = (pairs.iter().map(|p| p.0 + 1), pairs.iter().map(|p| p.1 + 1));
            assert_eq!(ranges.end(Axis::I), end_i.max().unwrap_or(0));
            assert_eq!(ranges.end(Axis::J), end_j.max().unwrap_or(0));
            let single = pairs.iter().map(|&(i, j)| (i..i + 1, j..j + 1));
            assert_eq!(Ranges::from_blocks(single).unwrap(), ranges, "the form is unique");
        }
    }

    #[test]
    fn matrices_of_clusters_are_blocks() {
        let (i, j) = ([0..3, 7..9, 3..3, 3..7], [10..12, 0..10]);
        let keep = array![[true, false], [true, true], [true, true], [false, false]];
        let ranges = Ranges::from_matrix(&i, &j, keep.view()).unwrap();
        let blocks = [(0..3, 10..12), (7..9, 10..12), (7..9, 0..10)];
        assert_eq!(ranges, Ranges::from_blocks(blocks).unwrap());
        let runs: Vec<_> = ranges.runs(Axis::I).collect();
        assert_eq!(runs, [(0..3, &[10..12][..]), (7..9, &[0..12][..])]);

        refused(
            Ranges::from_matrix(&i, &j, keep.t()),
            "the matrix has shape (2, 4), but there are 4 clusters of i and 2 of j",
        );
        refused(
            Ranges::from_matrix(&[0..4, 3..6], &[0..1], Array2::from_elem((2, 1), false).view()),
            "0..4 and 3..6 of i overlap",
        );
        let reversed = Ranges::from_matrix(&[0..4], &[5..1], Array2::default((1, 1)).view());
        refused(reversed, "the range 5..1 of j ends before it starts");
    }

    type Arrays = (Array2<i64>, Array1<i64>, Array2<i64>);

    fn arrays(over_j: &Arrays, over_i: &Arrays) -> Result<Ranges, Error> {
        let views = |half: &Arrays| (half.0.clone(), half.1.clone(), half.2.clone());
        let (a, b) = (views(over_j), views(over_i));
        let over_j = (a.0.view(), a.1.view(), a.2.view());
        Ranges::from_arrays(over_j, (b.0.view(), b.1.view(), b.2.view()))
    }

    fn good() -> (Arrays, Arrays) {
        let over_j = (array![[5, 9], [0, 5]], array![1, 3], array![[3, 7], [9, 10], [0, 3]]);
        let over_i =
            (array![[3, 7], [0, 3], [9, 10]], array![1, 2, 3], array![[5, 9], [0, 5], [0, 5]]);
        (over_j, over_i)
    }

    #[test]
    fn keops_arrays_are_read_in_any_order() {
        let (over_j, over_i) = good();
        let blocks = [(5..9, 3..7), (0..5, 9..10), (0..5, 0..3)];
        assert_eq!(arrays(&over_j, &over_i).unwrap(), Ranges::from_blocks(blocks).unwrap());
        let none = (Array2::zeros((0, 2)), Array1::zeros(0), Array2::zeros((0, 2)));
        assert_eq!(arrays(&none, &none).unwrap().pairs(), 0);
    }

    #[test]
    fn keops_arrays_that_contradict_themselves_are_refused() {
        let spoilt = |spoil: &dyn Fn(&mut Arrays, &mut Arrays), text: &str| {
            let (mut over_j, mut over_i) = good();
            spoil(&mut over_j, &mut over_i);
            refused(arrays(&over_j, &over_i), text);
        };
        spoilt(&|a, _| a.0[(0, 0)] = 4, "0..5 and 4..9 of i overlap");
        spoilt(&|_, b| b.0[(1, 1)] = 4, "0..4 and 3..7 of j overlap");
        spoilt(&|a, _| a.2[(2, 0)] = -1, "the range -1..3 of j has a negative row");
        spoilt(&|_, b| b.2[(0, 1)] = 4, "the range 5..4 of i ends before it starts");
        spoilt(&|a, _| a.1[0] = 4, "slices of i: 4, after 0, but it has to be from 0 to 3");
        spoilt(&|a, _| a.1[1] = 0, "slices of i: 0, after 1, but it has to be from 1 to 3");
        spoilt(&|_, b| b.1[0] = -1, "slices of j: -1");
        spoilt(&|a, _| a.1[1] = 2, "slices of i end at 2, but there are 3 ranges of j");
        spoilt(&|a, _| a.1 = array![1, 3, 3], "there are 3 slices, but 2 ranges of i");
        spoilt(&|a, _| a.0 = array![[1], [2]], "`ranges` of i has shape (2, 1)");
        spoilt(&|_, b| b.2 = Array2::zeros((3, 3)), "`redranges` of i has shape (3, 3)");
        spoilt(&|a, _| a.2[(2, 1)] = 10, "share the pair (0, 9)");
        spoilt(
            &|a, _| a.2[(0, 1)] = 6,
            "the pair (5, 6) is in the ranges of j's rows, but not in those of i's rows",
        );
        spoilt(
            &|_, b| b.2[(1, 1)] = 3,
            "the pair (3, 0) is in the ranges of i's rows, but not in those of j's rows",
        );
    }

    #[test]
    fn blocks_that_share_a_pair_are_named() {
        refused(
            Ranges::from_blocks([(0..5, 0..5), (4..9, 4..9)]),
            "the blocks (0..5, 0..5) and (4..9, 4..9) share the pair (4, 4)",
        );
        refused(Ranges::from_blocks([(0..2, 1..3), (0..2, 1..3)]), "share the pair (0, 1)");
        assert!(Ranges::from_blocks([(0..5, 0..5), (2..3, 2..2), (5..9, 0..9)]).is_ok());
    }

    #[test]
    fn memory_follows_the_blocks_not_the_rows() {
        let far = usize::MAX - 1;
        let ranges = Ranges::from_blocks([(0..far, 0..far)]).unwrap();
        assert_eq!((ranges.pairs(), ranges.half(Axis::I).len()), (u64::MAX, 1));
        // A band of single rows: neighbours in the other half are one range.
        let band = (0..20_000).map(|i| (i..i + 1, i..i + 101));
        let half = Ranges::from_blocks(band).unwrap().half(Axis::J).clone();
        assert_eq!((half.len(), half.cols.len()), (20_100, 20_100));
    }
}
