//! The tile list of a stage on a device. Goes in: runs of rows with their ranges, and launch facts.
//! Comes out: the tables that its two launches read, as they lie in device memory. It never holds
//! an address: tables are found from where the list begins.

use std::ops::Range;

use super::plan::{TILES_A_SPLIT, WAVES};
use crate::kernel::CudaStage;
use crate::ranges::Half;
use crate::sys;

/// What the blocks of a sparse stage do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TileList {
    /// Each block that folds, and what it leaves a partial state of.
    pub folds: Vec<[i64; 6]>,
    /// Each block of rows that is finished, and the partial states of it.
    pub finishes: Vec<[i64; 6]>,
    /// Start and end of every range.
    ranges: Vec<[i64; 2]>,
}

/// A part of a run's ranges: the first one, how many, and the columns of them that count.
struct Part {
    ranges: Range<usize>,
    cols: Range<usize>,
}

// `[i64; 6]` is a `tf_tile`.
const _: () = assert!(size_of::<sys::tf_tile>() == 6 * 8);

impl TileList {
    /// `resident` is how many blocks the whole device holds at once. `None`: too many rows.
    pub fn new(half: &Half, rows: usize, facts: &CudaStage, resident: usize) -> Option<TileList> {
        let blocks_of = |rows: &Range<usize>| rows.len().div_ceil(facts.rows_per_block);
        let tiles_of = |cols: &[Range<usize>]| -> usize {
            cols.iter().map(|range| range.len().div_ceil(facts.tile_cols)).sum()
        };
        let runs = || (0..half.len()).map(|run| half.run(run));
        let work = |(rows, cols): (Range<usize>, &[Range<usize>])| {
            blocks_of(&rows).saturating_mul(tiles_of(cols))
        };
        let all = runs().map(work).fold(0, usize::saturating_add);
        let tiles_a_part = all.div_ceil(resident.saturating_mul(WAVES).max(1)).max(TILES_A_SPLIT);
        let mut list = TileList::default();
        let (mut end, mut first) = (0, 0);
        for (rows, cols) in runs() {
            list.push(end..rows.start, &[], facts)?;
            end = rows.end;
            let parts = parts(first, cols, tiles_of(cols), tiles_a_part, facts.tile_cols);
            list.push(rows, &parts, facts)?;
            list.ranges.try_reserve(cols.len()).ok()?;
            list.ranges.extend(cols.iter().map(|range| [range.start as i64, range.end as i64]));
            first += cols.len();
        }
        list.push(end..rows, &[], facts)?;
        let fits = |n: usize| i32::try_from(n).is_ok();
        (fits(list.folds.len()) && fits(list.finishes.len())).then_some(list)
    }

    /// Adds rows, with what each block of them folds.
    fn push(&mut self, rows: Range<usize>, parts: &[Part], facts: &CudaStage) -> Option<()> {
        let blocks = rows.len().div_ceil(facts.rows_per_block);
        self.finishes.try_reserve(blocks).ok()?;
        self.folds.try_reserve(blocks.checked_mul(parts.len())?).ok()?;
        for start in rows.clone().step_by(facts.rows_per_block) {
            let end = start.saturating_add(facts.rows_per_block).min(rows.end);
            let tile = |first: usize, count: usize, cols: &Range<usize>| {
                [start, end, first, count, cols.start, cols.end].map(|n| n as i64)
            };
            self.finishes.push(tile(self.folds.len(), parts.len(), &(0..0)));
            let folds = parts.iter().map(|p| tile(p.ranges.start, p.ranges.len(), &p.cols));
            self.folds.extend(folds);
        }
        Some(())
    }

    /// The bytes of all tables.
    pub fn bytes(&self) -> usize {
        8 * (6 * (self.folds.len() + self.finishes.len()) + 2 * self.ranges.len())
    }

    /// The tables, one after the other.
    pub fn table(&self) -> Vec<u8> {
        let tiles = self.folds.iter().chain(&self.finishes).flatten();
        tiles.chain(self.ranges.iter().flatten()).flat_map(|n| n.to_ne_bytes()).collect()
    }

    /// What the launch that folds reads, of a list that lies at an address.
    pub fn of_folds(&self, address: u64) -> sys::tf_tiles {
        let ranges = address + 8 * 6 * (self.folds.len() + self.finishes.len()) as u64;
        sys::tf_tiles {
            at: address as usize as *const _,
            ranges: ranges as usize as *const _,
            states: self.folds.len() as i64,
        }
    }

    /// What the launch that finishes reads.
    pub fn of_finishes(&self, address: u64) -> sys::tf_tiles {
        let at = address + 8 * 6 * self.folds.len() as u64;
        sys::tf_tiles { at: at as usize as *const _, ..self.of_folds(address) }
    }
}

/// Cuts the ranges of a run, which are numbered from `first` on, into parts of whole tiles that
/// differ in one tile at most.
fn parts(
    first: usize,
    cols: &[Range<usize>],
    tiles: usize,
    tiles_a_part: usize,
    tile_cols: usize,
) -> Vec<Part> {
    let count = tiles.div_ceil(tiles_a_part);
    let ends = (1..=count).map(|part| tiles / count * part + (tiles % count).min(part));
    let (mut range, mut before) = (0, 0);
    let mut from = cols.first().map_or(0, |range| range.start);
    let part = |end: usize| {
        let start = range;
        // `before` tiles lie in front of the range.
        while before + cols[range].len().div_ceil(tile_cols) < end {
            before += cols[range].len().div_ceil(tile_cols);
            range += 1;
        }
        let within = (end - before).saturating_mul(tile_cols);
        let to = cols[range].start.saturating_add(within).min(cols[range].end);
        let part = Part { ranges: first + start..first + range + 1, cols: from..to };
        from = to;
        if to == cols[range].end {
            before += cols[range].len().div_ceil(tile_cols);
            range += 1;
        }
        part
    };
    ends.map(part).collect()
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::*;
    use crate::{Axis, Ranges};

    const FACTS: CudaStage = CudaStage {
        rows_entry: Some("rows"),
        tiles_entry: Some("tiles"),
        finish_entry: "finish",
        threads: 4,
        rows_per_block: 4,
        tile_cols: 8,
        shared_bytes: 0,
        state_bytes: 32,
    };

    /// Every pair that the launches of a list fold, by row and column; checks the order.
    fn pairs(list: &TileList, rows: usize) -> Vec<(i64, i64)> {
        let (mut pairs, mut end, mut state) = (Vec::new(), 0, 0);
        for &[row, rows_end, first, count, ..] in &list.finishes {
            assert!(row == end && row < rows_end && rows_end - row <= 4);
            assert_eq!(first, state, "states follow each other");
            (end, state) = (rows_end, first + count);
            let mut last = -1;
            for fold in &list.folds[first as usize..state as usize] {
                let [from, to, first, count, col, cols_end] = *fold;
                assert!((from, to) == (row, rows_end) && count > 0);
                for range in &list.ranges[first as usize..(first + count) as usize] {
                    let (start, end) = (range[0].max(col), range[1].min(cols_end));
                    assert!(last < start && start < end, "{fold:?} {range:?}");
                    last = end - 1;
                    pairs.extend((row..rows_end).flat_map(|i| (start..end).map(move |j| (i, j))));
                }
            }
        }
        assert_eq!((end, state as usize), (rows as i64, list.folds.len()));
        pairs.sort_unstable();
        pairs
    }

    #[test]
    fn every_pair_is_folded_once_and_in_order() {
        let all = [
            vec![],
            vec![(0..9, 0..200)],
            vec![(3..4, 5..6), (3..4, 7..8), (3..4, 9..40), (10..12, 0..100), (11..30, 150..151)],
            vec![(0..1, 0..8), (1..2, 0..9), (2..31, 8..72), (2..31, 80..88), (2..31, 90..200)],
            (0..31).map(|i| (i..i + 1, 3 * i..3 * i + 100)).collect(),
        ];
        for blocks in all {
            let ranges = Ranges::from_blocks(blocks.clone()).unwrap();
            let mut expected: Vec<(i64, i64)> = Vec::new();
            for (i, j) in &blocks {
                let pair = |i: usize| j.clone().map(move |j| (i as i64, j as i64));
                expected.extend(i.clone().flat_map(pair));
            }
            expected.sort_unstable();
            for resident in [0, 1, 2, 5, 1000] {
                let list = TileList::new(ranges.half(Axis::I), 31, &FACTS, resident).unwrap();
                assert_eq!(pairs(&list, 31), expected, "{blocks:?} {resident}");
                assert_eq!(list.table().len(), list.bytes());
            }
        }
    }

    #[test]
    fn long_rows_are_split_and_short_ones_are_not() {
        let ranges = Ranges::from_blocks([(0..4, 0..8000), (4..8, 0..8)]).unwrap();
        let folds = |resident| {
            TileList::new(ranges.half(Axis::I), 8, &FACTS, resident).unwrap().folds.len()
        };
        // 1000 tiles and one: 4 waves of so many blocks, but 4 tiles a part at least.
        assert_eq!([folds(1), folds(10), folds(100), folds(10_000)], [4 + 1, 39 + 1, 251, 251]);
        let none = Ranges::from_blocks([]).unwrap();
        let list = TileList::new(none.half(Axis::I), 9, &FACTS, 7).unwrap();
        assert_eq!((list.folds.len(), list.finishes.len(), list.bytes()), (0, 3, 144));
        let far = Ranges::from_blocks([(0..1, 0..usize::MAX)]).unwrap();
        let list = TileList::new(far.half(Axis::I), 1, &FACTS, 1);
        assert_eq!(list.map(|list| list.folds.len()), Some(4));
    }

    #[test]
    fn tables_are_found_from_the_address() {
        let ranges = Ranges::from_blocks([(0..9, 0..3), (12..13, 0..3)]).unwrap();
        let list = TileList::new(ranges.half(Axis::I), 14, &FACTS, 1).unwrap();
        assert_eq!((list.folds.len(), list.finishes.len()), (4, 6));
        let (folds, finishes) = (list.of_folds(4096), list.of_finishes(4096));
        assert_eq!((folds.at as usize, folds.ranges as usize), (4096, 4096 + 480));
        assert_eq!((finishes.at as usize, finishes.ranges as usize), (4096 + 192, 4096 + 480));
        assert_eq!(list.table()[8 * 6 * 4..][..16], [0_i64, 4].map(i64::to_ne_bytes).concat());
    }
}
