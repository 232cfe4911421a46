//! What the drivers read: a problem's arrays, and what to do with them.

use tilefold::{Level, sys};

use crate::emulated::{Grid, Launch, launches, sparse_launches};
use crate::rng::Rng;
use crate::table::{Table, stages};

use super::Code;
use super::trials::Trial;

/// Whether every stage has the rows that it needs.
pub fn fits(kernel: &sys::tf_kernel, table: &Table) -> bool {
    stages(kernel)
        .iter()
        .all(|s| s.col_axis == sys::TF_AXIS_NONE || table.size(s.col_axis) >= s.least_cols as usize)
}

/// Appends a problem of the kernel whose descriptor has this name.
pub fn write(
    to: &mut Vec<u8>,
    code: Code,
    (name, kernel): (&str, &sys::tf_kernel),
    table: &Table,
    trial: &Trial,
) {
    text(to, name.as_bytes());
    let count = table.values.len();
    numbers(to, &[trial.problem.m, trial.problem.n]);
    numbers(to, &[kernel.n_inputs as usize, table.n_outputs(), count, trial.layout as usize]);
    let items = if code == Code::Tiles { ITEMS } else { 1 };
    numbers(to, &[items]);
    for value in &table.values {
        numbers(to, &[value.rows, value.cols, value.data.word(), usize::from(value.pairs)]);
        to.extend(value.data.bytes());
    }
    let mut rng = Rng::new(trial.seed);
    match code {
        Code::Cpu(level) | Code::Shipped(level) => pieces(to, level, trial.in_blocks, &mut rng),
        Code::Cuda => {
            let grid = Grid { splits: 1 + rng.below(3), seed: rng.bits() };
            launch_all(to, &launches(kernel, table, grid));
        }
        Code::Tiles => launch_all(to, &sparse_launches(kernel, table, items, &mut rng)),
    }
}

/// Items of a batch that the entry for lists of tiles does at once.
const ITEMS: usize = 2;

/// A level, whether few rows have no code of their own, the rows of the first block, and the shares
/// of the columns where they are cut.
fn pieces(to: &mut Vec<u8>, level: Level, in_blocks: bool, rng: &mut Rng) {
    let place = Level::ALL.iter().position(|&l| l == level).expect("a known level");
    let mut cuts: Vec<f64> = (0..rng.below(3)).map(|_| rng.unit()).collect();
    cuts.extend([0.0, 1.0]);
    cuts.sort_by(f64::total_cmp);
    numbers(to, &[place, usize::from(in_blocks), 1 + rng.below(64), cuts.len()]);
    to.extend(cuts.iter().flat_map(|share| share.to_ne_bytes()));
}

fn launch_all(to: &mut Vec<u8>, launches: &[Launch]) {
    numbers(to, &[launches.len()]);
    launches.iter().for_each(|l| launch(to, l));
}

fn launch(to: &mut Vec<u8>, l: &Launch) {
    text(to, l.entry.to_bytes());
    let (x, y) = l.grid;
    let sizes = [u64::from(x), u64::from(y), u64::from(l.threads), l.shared_bytes];
    let counts = [l.n_rows, l.n_cols, l.cols_per_split, i64::from(l.splits)].map(|n| n as u64);
    let memory = l.new_workspace.map_or([0, 0], |bytes| [1, bytes as u64]);
    for n in sizes.into_iter().chain(counts).chain([l.seed]).chain(memory) {
        to.extend(n.to_ne_bytes());
    }
    let (tiles, ranges) = match &l.list {
        Some(list) => (list.tiles.as_flattened(), list.ranges.as_flattened()),
        None => Default::default(),
    };
    for table in [tiles, ranges] {
        numbers(to, &[table.len()]);
        to.extend(table.iter().flat_map(|n| n.to_ne_bytes()));
    }
    numbers(to, &[l.list.as_ref().map_or(0, |list| list.states)]);
}

fn text(to: &mut Vec<u8>, text: &[u8]) {
    numbers(to, &[text.len()]);
    to.extend(text);
}

fn numbers(to: &mut Vec<u8>, numbers: &[usize]) {
    to.extend(numbers.iter().flat_map(|&n| (n as u64).to_ne_bytes()));
}
