//! The tile list of a stage. Goes in: its rows and columns, and the ranges that restrict them.
//! Comes out: blocks of rows with the columns that each folds. A dense stage is one run of rows
//! that folds one range, and costs no memory.

use std::ops::Range;
use std::slice;

use crate::error::Error;
use crate::ranges::Half;
use crate::words;

/// Blocks of at most `lanes` rows. Each row is in one block.
pub(super) struct Tiles<'a> {
    lanes: usize,
    rows: usize,
    /// All columns, once.
    cols: Range<usize>,
    /// None where every row folds all columns.
    runs: Option<Vec<Run<'a>>>,
    blocks: usize,
    pairs: u64,
}

/// Rows that fold the same columns.
struct Run<'a> {
    rows: Range<usize>,
    /// The number of its first block.
    first: usize,
    cols: &'a [Range<usize>],
}

impl<'a> Tiles<'a> {
    /// Every row folds every column.
    pub fn dense(lanes: usize, rows: usize, cols: usize) -> Tiles<'a> {
        let pairs = (rows as u64).saturating_mul(cols as u64);
        Tiles { lanes, rows, cols: 0..cols, runs: None, blocks: rows.div_ceil(lanes), pairs }
    }

    /// Rows fold the ranges of `half`, all of which lie inside of rows and columns, and the
    /// others nothing.
    pub fn sparse(
        name: &str,
        lanes: usize,
        (rows, cols): (usize, usize),
        half: &'a Half,
    ) -> Result<Tiles<'a>, Error> {
        let mut runs: Vec<Run<'a>> = Vec::new();
        let most = half.len().saturating_mul(2).saturating_add(1);
        let bytes = most.saturating_mul(size_of::<Run>());
        let failed = |_| words::out_of_memory(name, bytes, "a tile list");
        runs.try_reserve_exact(most).map_err(failed)?;
        let (mut first, mut end) = (0, 0);
        let mut push = |rows: Range<usize>, cols: &'a [Range<usize>]| {
            if !rows.is_empty() {
                let blocks = rows.len().div_ceil(lanes);
                runs.push(Run { rows, first, cols });
                first += blocks;
            }
        };
        for (rows, cols) in (0..half.len()).map(|run| half.run(run)) {
            push(end..rows.start, &[]);
            end = rows.end;
            push(rows, cols);
        }
        push(end..rows, &[]);
        Ok(Tiles {
            lanes,
            rows,
            cols: 0..cols,
            runs: Some(runs),
            blocks: first,
            pairs: half.pairs(),
        })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn cols(&self) -> usize {
        self.cols.len()
    }

    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// Rows times the columns that they fold.
    pub fn pairs(&self) -> u64 {
        self.pairs
    }

    /// The columns of a block, on average.
    pub fn mean_cols(&self) -> f64 {
        match &self.runs {
            None => self.cols.len() as f64,
            Some(_) if self.rows == 0 => 0.0,
            Some(_) => self.pairs as f64 / self.rows as f64,
        }
    }

    /// The rows of a block, and the ranges of columns that it folds, in order.
    pub fn block(&self, block: usize) -> (Range<usize>, &[Range<usize>]) {
        let (run, first, cols) = match &self.runs {
            None => (0..self.rows, 0, slice::from_ref(&self.cols)),
            Some(runs) => {
                let run = &runs[runs.partition_point(|run| run.first <= block) - 1];
                (run.rows.clone(), run.first, run.cols)
            }
        };
        let start = run.start + (block - first) * self.lanes;
        (start..(start + self.lanes).min(run.end), cols)
    }
}

/// The parts of sorted ranges that lie in `window`, in order.
pub(super) fn clip(
    ranges: &[Range<usize>],
    window: Range<usize>,
) -> impl Iterator<Item = Range<usize>> {
    let first = ranges.partition_point(|range| range.end <= window.start);
    let inside = ranges[first..]
        .iter()
        .map(move |range| range.start.max(window.start)..range.end.min(window.end));
    inside.take_while(|range| range.start < range.end)
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::*;
    use crate::Axis;
    use crate::ranges::Ranges;

    #[test]
    fn blocks_cover_every_row_once() {
        let ranges = Ranges::from_blocks([(3..4, 0..5), (4..13, 2..9), (20..29, 7..8)]).unwrap();
        let sparse = Tiles::sparse("f", 4, (31, 9), ranges.half(Axis::I)).unwrap();
        let found: Vec<_> = (0..sparse.blocks()).map(|block| sparse.block(block)).collect();
        let (a, b, c) = (&[0..5][..], &[2..9][..], &[7..8][..]);
        let expected = [
            (0..3, &[][..]),
            (3..4, a),
            (4..8, b),
            (8..12, b),
            (12..13, b),
            (13..17, &[]),
            (17..20, &[]),
            (20..24, c),
            (24..28, c),
            (28..29, c),
            (29..31, &[]),
        ];
        assert_eq!(found, expected);
        assert_eq!(sparse.pairs(), 5 + 63 + 9);

        let dense = Tiles::dense(4, 9, 5);
        let found: Vec<_> = (0..dense.blocks()).map(|block| dense.block(block)).collect();
        let all = &[0..5][..];
        assert_eq!(found, [(0..4, all), (4..8, all), (8..9, all)]);
        assert_eq!((dense.pairs(), dense.mean_cols()), (45, 5.0));

        let none = Ranges::from_blocks([]).unwrap();
        let sparse = Tiles::sparse("f", 4, (5, 9), none.half(Axis::I)).unwrap();
        assert_eq!((sparse.blocks(), sparse.pairs(), sparse.mean_cols()), (2, 0, 0.0));
        assert_eq!(Tiles::sparse("f", 4, (0, 9), none.half(Axis::I)).unwrap().blocks(), 0);
    }

    #[test]
    fn ranges_are_clipped_to_windows() {
        let ranges = [2..5, 7..9, 12..20];
        let clipped = |window| clip(&ranges, window).collect::<Vec<_>>();
        assert_eq!(clipped(0..30), ranges);
        assert_eq!(clipped(3..13), [3..5, 7..9, 12..13]);
        assert_eq!(clipped(5..7), []);
        assert_eq!(clipped(8..8), []);
        assert_eq!(clipped(20..30), []);
        assert!(clip(&[], 0..3).next().is_none());
        assert_eq!(clip(&[0..0], 0..0).count(), 0);
    }
}
