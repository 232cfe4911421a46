//! What a panel of columns takes: all of it, step after step.
//!
//! In: the code of an entry, and the sizes that its text states. Out: the instructions that a
//! thread spends on one panel, and the pairs that it does meanwhile. Sums are made in a loop over
//! chunks of components, whose turns follow from the number of components; wide accumulators in a
//! loop over chunks of outputs, with one over blocks of columns inside: all of these are counted
//! with everything in them. Pairs are folded in a loop over blocks of columns, counted along its
//! shortest way through the block that reads most sums. All else is on the way round the loop over
//! panels.
//!
//! Where sums may come from tensor cores, an entry has both ways: a panel that is accepted takes
//! one, a panel that is not even tried the other, and a panel that is refused about both. Where a
//! search looks at bounds first, its loop over them is the fold of tensor cores; what it sums in
//! floats because of them is not counted.

use std::collections::{BTreeMap, BTreeSet};

use super::hot::{Graph, Turn};
use super::sass::Instruction;

/// Sizes that cuda_panel.cuh fixes: rows of a thread while sums are made, and threads across.
const GROUP: usize = 8;
const ACROSS: usize = 8;

/// Columns of a block of outputs (cuda_wide.cuh).
const BLOCK: usize = 8;

/// Components of long accumulators that a turn of their loops takes (reduce.h).
const ACCUMULATED: usize = 2;

/// Components that tensor cores take in a step, for sums and for bounds (cuda_mma.cuh).
const STEPS: [usize; 2] = [16, 32];

/// Who makes sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// tf_panel_sums.
    Floats,
    /// tf_mma_sums.
    TensorCores,
}

/// What the text of a stage says of its panels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sizes {
    /// Columns a thread.
    pub columns: usize,
    /// Columns that are folded in a turn.
    pub cols: usize,
    /// Packed scalars a column.
    pub col_words: usize,
    /// Outputs of a wide accumulator, and parts of columns that they are made of.
    pub outputs: usize,
    /// See `outputs`.
    pub output_parts: usize,
    /// Components and parts of rows, of columns and of parameters, sum by sum.
    pub sums: Vec<[usize; 4]>,
    /// Whether sums may come from tensor cores, or bounds of them.
    pub on_tensor_cores: bool,
    /// Whether it is bounds.
    pub bounds: bool,
}

impl Sizes {
    /// Columns of a panel: the pairs of a thread.
    pub fn pairs(&self) -> usize {
        self.columns * ACROSS
    }

    /// Bytes of shared memory that a component of a sum is read in.
    fn component_bytes(&self, [_, rows, cols, parameters]: [usize; 4], word: usize) -> usize {
        (rows * GROUP + cols * self.columns + parameters) * word
    }
}

/// What one panel takes; `None` if the loops are not those of cuda_panel.cuh.
pub fn turn(code: &[Instruction], sizes: &Sizes, word: usize, way: Way) -> Option<Turn> {
    let graph = Graph::new(code);
    let whole: BTreeMap<usize, Turn> =
        graph.loops.iter().map(|(&head, body)| (head, graph.count(body))).collect();
    let of_floats = float_loops(&graph, &whole, sizes, word)?;
    // The loop over panels is the innermost one around those; around it there may be one over
    // ranges.
    let around = |head: &usize| {
        of_floats.iter().all(|(inner, _)| inner != head && graph.loops[head].contains(inner))
    };
    let (&outer, _) =
        whole.iter().filter(|(head, _)| around(head)).min_by_key(|(_, turn)| turn.issued)?;
    // The innermost one that has any; one step is no loop.
    let steps = sizes.sums[0][0].div_ceil(STEPS[usize::from(sizes.bounds)]);
    let tensor_loops = whole.iter().filter(|(_, turn)| turn.tensor > 0 && steps > 1);
    let of_tensor_cores =
        tensor_loops.min_by_key(|(_, turn)| turn.issued).map(|(&head, _)| (head, steps));
    let of_tensor_cores: Vec<(usize, usize)> = of_tensor_cores.into_iter().collect();
    let has_tensor = |b: &usize| graph.count([b]).tensor > 0;
    let (taken, closed): (_, BTreeSet<usize>) = match way {
        Way::Floats => {
            (&of_floats, graph.loops[&outer].iter().copied().filter(has_tensor).collect())
        }
        Way::TensorCores => {
            let left = of_floats.iter().flat_map(|(head, _)| &graph.loops[head]);
            (&of_tensor_cores, left.copied().collect())
        }
    };
    let mut total = Turn::default();
    for &(head, turns) in taken {
        total.add(&whole[&head], turns);
    }
    let mut known: BTreeSet<usize> =
        of_floats.iter().chain(&of_tensor_cores).map(|&(head, _)| head).collect();
    if sizes.outputs > 0 {
        let (turn, head) = outputs(&graph, sizes, word, outer)?;
        total.add(&turn, 1);
        known.insert(head);
    }
    let one_step = graph.loops[&outer].iter().copied().find(has_tensor);
    let through = one_step.filter(|_| way == Way::TensorCores && steps == 1).unwrap_or(outer);
    let rest = graph.way_through(through, outer, &closed)?;
    // The loop over bounds has less work than the one that folds sums.
    let looks = way == Way::TensorCores && sizes.bounds;
    let inner = |head: &usize| known.iter().any(|k| graph.loops[k].contains(head));
    let fold = graph
        .loops
        .iter()
        .filter(|&(head, _)| *head != outer && !inner(head))
        .filter(|&(head, _)| whole[head].shared_bytes() > 0)
        .filter_map(|(&head, _)| Some((head, folded(&graph, sizes, word, head)?)))
        .filter(|(_, turn)| turn.shared_bytes() >= sizes.cols * sizes.sums.len() * word)
        .max_by_key(|(head, turn)| (looks && rest.contains(head), turn.work()))?;
    total.add(&fold.1, sizes.pairs() / sizes.cols);
    known.insert(fold.0);
    let counted = |b: &usize| known.iter().any(|head| graph.loops[head].contains(b));
    total.add(&graph.count(rest.iter().filter(|&b| !counted(b))), 1);
    Some(total)
}

/// The loops that add up components in floats, each with its turns.
fn float_loops(
    graph: &Graph<'_>,
    whole: &BTreeMap<usize, Turn>,
    sizes: &Sizes,
    word: usize,
) -> Option<Vec<(usize, usize)>> {
    let depth = if word == 8 { 4 } else { 8 };
    let mut found: Vec<(usize, usize)> = Vec::new();
    for &sum in &sizes.sums {
        let bytes = sizes.component_bytes(sum, word);
        let [dim, ..] = sum;
        for (turns, read) in [(dim / depth, bytes * depth), (dim % depth, bytes)] {
            if turns == 0 {
                continue;
            }
            let of_sum = |head: &usize| {
                let turn = &whole[head];
                let known = found.iter().any(|(known, _)| known == head);
                turn.shared_bytes() == read && turn.work() >= read / word && !known
            };
            let head = *graph.loops.keys().find(|head| of_sum(head))?;
            found.push((head, turns));
        }
    }
    Some(found)
}

/// All that is done for the outputs of a wide accumulator, and the head of the loop over them.
fn outputs(graph: &Graph<'_>, sizes: &Sizes, word: usize, outer: usize) -> Option<(Turn, usize)> {
    let each = if word == 8 { 2 } else { 4 };
    let read = BLOCK * (GROUP + each * sizes.output_parts) * word;
    let inside = |head: usize| graph.loops[&outer].contains(&head) && head != outer;
    let work = |head: usize| graph.count(&graph.loops[&head]);
    let block = graph.loops.keys().copied().find(|&head| {
        inside(head) && work(head).shared_bytes() == read && work(head).work() > BLOCK * GROUP
    })?;
    let around = |head: &usize| inside(*head) && *head != block;
    let chunk = graph
        .loops
        .keys()
        .copied()
        .filter(|head| around(head) && graph.loops[head].contains(&block))
        .min_by_key(|&head| work(head).issued)?;
    let nested = |b: &usize| {
        let mut loops = graph.loops.iter();
        loops.any(|(&h, body)| h != chunk && graph.loops[&chunk].contains(&h) && body.contains(b))
    };
    let mut turn = graph.count(graph.loops[&chunk].iter().filter(|b| !nested(b)));
    turn.add(&work(block), sizes.pairs() / BLOCK);
    let mut total = Turn::default();
    total.add(&turn, sizes.outputs.div_ceil(each * ACROSS));
    Some((total, chunk))
}

/// One turn of a loop that folds columns: its shortest way through the block that reads most sums,
/// which enters no other loop unless it has to. A loop over components that lies on the way takes
/// as many turns as it needs to read a column's words, or one for every two accumulators.
fn folded(graph: &Graph<'_>, sizes: &Sizes, word: usize, head: usize) -> Option<Turn> {
    if let Some(plain) = graph.turn_through_most(head) {
        return Some(plain);
    }
    let way = graph.way(head, &BTreeSet::new())?;
    let mut total = graph.count(&way);
    for &inner in graph.loops.keys().filter(|&&h| h != head && way.contains(&h)) {
        let Some(turn) = graph.turn(inner) else { continue };
        let turns = match turn.shared_bytes() {
            0 => sizes.col_words.div_ceil(ACCUMULATED),
            read => (sizes.col_words * word).div_ceil(read),
        };
        total.add(&turn, turns.saturating_sub(1));
    }
    Some(total)
}
