//! The validator of ranges, against a set of pairs. Input is a stream of choices: blocks, clusters
//! with a matrix, or the six arrays of KeOps.

use std::collections::BTreeSet;
use std::ops::Range;

use ndarray::{Array1, Array2};
use tilefold::{Axis, Code, Error, Ranges};

use super::{Target, signature};
use crate::choices::Choices;

pub const TARGET: Target = Target {
    name: "ranges",
    promise: "ranges are refused, or hold exactly the pairs that were named",
    run,
    make: None,
    reads_formulas: false,
};

type Block = (Range<usize>, Range<usize>);

fn run(bytes: &[u8]) -> Result<u64, String> {
    let mut choices = Choices::new(bytes);
    match choices.below(3) {
        0 => blocks(&mut choices),
        1 => matrix(&mut choices),
        _ => arrays(&mut choices),
    }
}

/// Mostly small; sometimes backwards or huge.
fn range(choices: &mut Choices<'_>) -> Range<usize> {
    let start = choices.size();
    match choices.byte() {
        // Through the end of numbers.
        255 => start..usize::MAX,
        254 => start..start.wrapping_sub(1),
        len => start..start.wrapping_add(usize::from(len) % 6),
    }
}

fn blocks(choices: &mut Choices<'_>) -> Result<u64, String> {
    let mut named = Vec::new();
    while choices.more() && named.len() < 40 {
        named.push((range(choices), range(choices)));
    }
    compare(Ranges::from_blocks(named.iter().cloned()), &named, "blocks")
}

fn matrix(choices: &mut Choices<'_>) -> Result<u64, String> {
    let mut clusters = |n: usize| -> Vec<Range<usize>> {
        let mut start = 0;
        let each = (0..n).map(|_| match choices.below(8) {
            0 => range(choices),
            len => {
                let cluster = start..start + len - 1;
                start = cluster.end;
                cluster
            }
        });
        each.collect()
    };
    let (i, j) = (clusters(5), clusters(4));
    let shape = (5 + usize::from(choices.byte() == 255), 4 - usize::from(choices.byte() == 255));
    let keep = Array2::from_shape_fn(shape, |_| choices.below(3) != 0);
    let ranges = Ranges::from_matrix(&i, &j, keep.view());
    if shape != (5, 4) {
        return match ranges {
            Err(error) => refused(&error),
            Ok(_) => Err("a matrix of another shape is taken".into()),
        };
    }
    let backwards = |r: &Range<usize>| r.end < r.start;
    if i.iter().chain(&j).any(backwards) && ranges.is_ok() {
        return Err("a range that ends before it starts is taken".into());
    }
    let pairs = i.iter().enumerate().flat_map(|(a, i)| {
        let keep = &keep;
        let row = j.iter().enumerate().filter(move |&(b, _)| keep[[a, b]]);
        row.map(move |(_, j)| (i.clone(), j.clone()))
    });
    let named: Vec<Block> = pairs.collect();
    match ranges {
        // Clusters that overlap are refused, whether or not they are kept.
        Err(error) => refused(&error),
        ranges => compare(ranges, &named, "matrix"),
    }
}

fn arrays(choices: &mut Choices<'_>) -> Result<u64, String> {
    let mut half = || {
        let runs = choices.below(4);
        let reds = choices.below(5);
        let width = if choices.byte() == 255 { 3 } else { 2 };
        let table = |rows: usize, choices: &mut Choices<'_>| {
            let mut start = 0;
            let mut table = Array2::zeros((rows, width));
            for mut row in table.rows_mut() {
                let odd = choices.byte() > 240;
                row[0] = if odd { choices.number() } else { start };
                row[1] = if odd {
                    choices.number()
                } else {
                    row[0].saturating_add(choices.below(3) as i64)
                };
                start = row[1].max(0);
            }
            table
        };
        let (ranges, reds) = (table(runs, choices), table(reds, choices));
        let count = runs + choices.below(20) / 19;
        let slices: Array1<i64> = (0..count).map(|_| choices.number()).collect();
        (ranges, slices, reds)
    };
    let (a, b) = (half(), half());
    let over_j = (a.0.view(), a.1.view(), a.2.view());
    let over_i = (b.0.view(), b.1.view(), b.2.view());
    match Ranges::from_arrays(over_j, over_i) {
        Err(error) => refused(&error),
        Ok(ranges) => {
            let mut named: Vec<Block> = Vec::new();
            let mut from = 0;
            for (run, &to) in a.0.rows().into_iter().zip(&a.1) {
                for red in from..to {
                    let red = a.2.row(red as usize);
                    named
                        .push((run[0] as usize..run[1] as usize, red[0] as usize..red[1] as usize));
                }
                from = to;
            }
            compare(Ok(ranges), &named, "arrays")
        }
    }
}

fn refused(error: &Error) -> Result<u64, String> {
    if error.code() != Code::Ranges || error.helps().is_empty() {
        return Err(format!("an error of another kind: {error}"));
    }
    let shape: String = error.message().chars().filter(char::is_ascii_lowercase).collect();
    Ok(signature(shape))
}

/// The pairs of all blocks one by one, if they are few, and whether one is named twice.
fn pairs(blocks: &[Block]) -> Option<(BTreeSet<(usize, usize)>, bool)> {
    let mut all = BTreeSet::new();
    let mut twice = false;
    for (i, j) in blocks.iter().filter(|(i, j)| !i.is_empty() && !j.is_empty()) {
        if i.len() > 64 || j.len() > 64 {
            return None;
        }
        for i in i.clone() {
            for j in j.clone() {
                twice |= !all.insert((i, j));
            }
        }
    }
    Some((all, twice))
}

fn compare(found: Result<Ranges, Error>, named: &[Block], how: &str) -> Result<u64, String> {
    let backwards = named.iter().any(|(i, j)| i.end < i.start || j.end < j.start);
    let expected = pairs(named);
    let ranges = match found {
        Err(error) => {
            let wrong = matches!(&expected, Some((_, false))) && !backwards && how == "blocks";
            return match wrong {
                true => Err(format!("good blocks are refused: {error}\n{named:?}")),
                false => refused(&error),
            };
        }
        Ok(ranges) => ranges,
    };
    if backwards {
        return Err(format!("a range that ends before it starts is taken: {named:?}"));
    }
    if ranges.swap_axes().swap_axes() != ranges || ranges.swap_axes().pairs() != ranges.pairs() {
        return Err("exchanging the axes twice is not nothing".into());
    }
    let Some((expected, twice)) = expected else { return Ok(signature((how, "large"))) };
    if twice {
        return Err(format!("a pair that is named twice is taken: {named:?}"));
    }
    if ranges.pairs() != expected.len() as u64 {
        return Err(format!("{} pairs, not {}: {named:?}", ranges.pairs(), expected.len()));
    }
    for axis in [Axis::I, Axis::J] {
        let mut found = BTreeSet::new();
        for (rows, cols) in ranges.runs(axis) {
            for (row, col) in
                rows.flat_map(|row| cols.iter().cloned().flatten().map(move |c| (row, c)))
            {
                found.insert(if axis == Axis::I { (row, col) } else { (col, row) });
            }
        }
        if found != expected {
            return Err(format!("the runs of {axis} hold other pairs: {named:?}"));
        }
    }
    Ok(signature((how, expected.len(), ranges.runs(Axis::I).count(), ranges.runs(Axis::J).count())))
}
