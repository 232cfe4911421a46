//! The loop in which an entry spends its time, and what one turn of it takes.
//!
//! In: the code of an entry. Out: the instructions of one turn of its hottest loop, by the pipe
//! that runs them. Loops are natural loops of the graph of basic blocks (Aho, Lam, Sethi, Ullman,
//! *Compilers*, 9.6). A turn is the shortest way round that enters no other loop: repairs and
//! insertions, which branches lead to, are not on it.

use std::collections::{BTreeMap, BTreeSet};

use super::sass::Instruction;

/// A range of instructions that runs from its first to its last.
pub(super) struct Block {
    /// Indices of instructions.
    pub(super) code: std::ops::Range<usize>,
    next: Vec<usize>,
}

/// Instructions of one turn, by pipe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turn {
    /// All of them: each takes an issue slot.
    pub issued: usize,
    /// Additions, products and fused ones in float32.
    pub fma: usize,
    /// Comparisons, selections, logic, integers.
    pub alu: usize,
    /// exp2, log2, reciprocals and roots.
    pub mufu: usize,
    /// Conversions that share the pipe of `mufu`.
    pub conversions: usize,
    /// Float64.
    pub fp64: usize,
    /// Products of 16 x 16 and 16 x 8 halves on tensor cores, by a warp.
    pub tensor: usize,
    /// Reads of shared memory of 4, 8 and 16 bytes.
    pub shared: [usize; 3],
    /// Reads and writes of local memory: spills and arrays.
    pub local: usize,
}

impl Turn {
    /// Bytes of shared memory that one turn reads.
    pub fn shared_bytes(&self) -> usize {
        self.shared[0] * 4 + self.shared[1] * 8 + self.shared[2] * 16
    }

    /// Arithmetic of all kinds.
    pub fn work(&self) -> usize {
        self.fma + self.mufu + self.fp64 + self.alu
    }

    /// Adds another one, some times.
    pub fn add(&mut self, other: &Turn, times: usize) {
        self.issued += other.issued * times;
        self.fma += other.fma * times;
        self.alu += other.alu * times;
        self.mufu += other.mufu * times;
        self.conversions += other.conversions * times;
        self.fp64 += other.fp64 * times;
        self.tensor += other.tensor * times;
        self.local += other.local * times;
        let reads = self.shared.iter_mut().zip(other.shared);
        reads.for_each(|(mine, theirs)| *mine += theirs * times);
    }
}

/// One turn of the loop with most work in it, of those that read the tile of columns; `None` where
/// there is none.
pub fn turn(code: &[Instruction]) -> Option<Turn> {
    turns(code).into_iter().max_by_key(Turn::work)
}

/// One turn of each loop that reads the tile of columns.
pub fn turns(code: &[Instruction]) -> Vec<Turn> {
    let graph = Graph::new(code);
    let turns = graph.loops.keys().filter_map(|&head| graph.turn(head));
    turns.filter(|turn| turn.shared_bytes() > 0).collect()
}

/// The blocks of an entry and its loops.
pub(super) struct Graph<'a> {
    code: &'a [Instruction],
    pub(super) blocks: Vec<Block>,
    /// By their heads; all blocks of the loop.
    pub(super) loops: BTreeMap<usize, BTreeSet<usize>>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(code: &'a [Instruction]) -> Graph<'a> {
        let blocks = blocks(code);
        let loops = loops(&blocks);
        Graph { code, blocks, loops }
    }

    /// The shortest way round a loop that enters no other loop.
    pub(super) fn turn(&self, head: usize) -> Option<Turn> {
        Some(self.count(&shortest(&self.blocks, head, &self.open(head))?))
    }

    /// The same through the block that reads most of shared memory: one column alone may be a
    /// shorter way.
    pub(super) fn turn_through_most(&self, head: usize) -> Option<Turn> {
        let open = self.open(head);
        let most = *open.iter().max_by_key(|&&b| self.count([&b]).shared.iter().sum::<usize>())?;
        // Every way round passes the head: one that did not would be a loop inside.
        Some(self.count(&shortest(&self.blocks, most, &open)?))
    }

    /// The blocks of a loop that are in no loop inside it.
    fn open(&self, head: usize) -> BTreeSet<usize> {
        let body = &self.loops[&head];
        let inner = |b: &usize| {
            let mut others = self.loops.iter().filter(|&(&h, _)| h != head && body.contains(&h));
            others.any(|(_, other)| other.contains(b))
        };
        body.iter().copied().filter(|b| !inner(b)).collect()
    }

    /// The shortest way round a loop; it may pass through others, but not through `closed` blocks.
    pub(super) fn way(&self, head: usize, closed: &BTreeSet<usize>) -> Option<Vec<usize>> {
        self.way_through(head, head, closed)
    }

    /// The same through a block that is in no other loop.
    pub(super) fn way_through(
        &self,
        block: usize,
        head: usize,
        closed: &BTreeSet<usize>,
    ) -> Option<Vec<usize>> {
        shortest(&self.blocks, block, &self.loops[&head].difference(closed).copied().collect())
    }

    /// What some blocks take.
    pub(super) fn count<'b>(&self, of: impl IntoIterator<Item = &'b usize>) -> Turn {
        let code = of.into_iter().flat_map(|&b| &self.code[self.blocks[b].code.clone()]);
        count(code)
    }
}

fn blocks(code: &[Instruction]) -> Vec<Block> {
    let index = |at: u64| code.iter().position(|i| i.at == at);
    let mut starts = BTreeSet::from([0]);
    for (n, i) in code.iter().enumerate() {
        if i.jumps() {
            starts.extend(i.target().and_then(index));
        }
        if i.jumps() || !i.falls_through() {
            starts.insert(n + 1);
        }
    }
    let starts: Vec<usize> = starts.into_iter().filter(|&s| s < code.len()).collect();
    let block_of = |n: usize| starts.binary_search(&n).ok();
    let ends = starts.iter().skip(1).copied().chain([code.len()]);
    let range = |(&start, end): (&usize, usize)| {
        let last = &code[end - 1];
        let jump = last.jumps().then(|| last.target().and_then(index)).flatten();
        let next = jump.into_iter().chain(last.falls_through().then_some(end));
        Block { code: start..end, next: next.filter_map(block_of).collect() }
    };
    starts.iter().zip(ends).map(range).collect()
}

/// Natural loops: the head, and all blocks of the loop.
fn loops(blocks: &[Block]) -> BTreeMap<usize, BTreeSet<usize>> {
    let dominators = dominators(blocks);
    let mut found: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (from, block) in blocks.iter().enumerate() {
        for &head in block.next.iter().filter(|&&to| dominators[from].contains(&to)) {
            // A branch to itself is how an entry ends.
            if head == from && block.code.len() == 1 {
                continue;
            }
            let body = found.entry(head).or_insert_with(|| BTreeSet::from([head]));
            let mut todo = vec![from];
            while let Some(b) = todo.pop() {
                if body.insert(b) {
                    todo.extend((0..blocks.len()).filter(|&p| blocks[p].next.contains(&b)));
                }
            }
        }
    }
    found
}

/// For every block, those that every way to it goes through; none for what cannot be reached.
fn dominators(blocks: &[Block]) -> Vec<BTreeSet<usize>> {
    let mut found: Vec<Option<BTreeSet<usize>>> = vec![None; blocks.len()];
    found[0] = Some(BTreeSet::from([0]));
    let mut changed = true;
    while changed {
        changed = false;
        for (from, block) in blocks.iter().enumerate() {
            let Some(through) = found[from].clone() else { continue };
            for &to in block.next.iter().filter(|&&to| to != 0) {
                let mut new = match &found[to] {
                    Some(old) => old.intersection(&through).copied().collect(),
                    None => through.clone(),
                };
                new.insert(to);
                if found[to].as_ref() != Some(&new) {
                    found[to] = Some(new);
                    changed = true;
                }
            }
        }
    }
    found.into_iter().map(Option::unwrap_or_default).collect()
}

/// The way with fewest instructions from `head` back to it, inside `open`.
fn shortest(blocks: &[Block], head: usize, open: &BTreeSet<usize>) -> Option<Vec<usize>> {
    let mut best: BTreeMap<usize, (usize, Option<usize>)> = BTreeMap::from([(head, (0, None))]);
    let mut todo = BTreeSet::from([(0, head)]);
    let mut last: Option<(usize, usize)> = None;
    while let Some((cost, b)) = todo.pop_first() {
        let cost = cost + blocks[b].code.len();
        for &to in &blocks[b].next {
            if to == head && last.is_none_or(|(least, _)| cost < least) {
                last = Some((cost, b));
            }
            if open.contains(&to) && best.get(&to).is_none_or(|&(least, _)| cost < least) {
                best.insert(to, (cost, Some(b)));
                todo.insert((cost, to));
            }
        }
    }
    let mut way = Vec::new();
    let mut at = Some(last?.1);
    while let Some(b) = at {
        way.push(b);
        at = best[&b].1;
    }
    Some(way)
}

fn count<'a>(code: impl Iterator<Item = &'a Instruction>) -> Turn {
    let mut turn = Turn::default();
    for i in code {
        turn.issued += 1;
        match i.name() {
            "FFMA" | "FADD" | "FMUL" | "FFMA2" | "FADD2" | "FMUL2" | "HFMA2" | "HADD2"
            | "HMUL2" => turn.fma += 1,
            "MUFU" => turn.mufu += 1,
            "F2F" | "F2I" | "I2F" | "FRND" => turn.conversions += 1,
            "DFMA" | "DADD" | "DMUL" | "DSETP" | "DMNMX" => turn.fp64 += 1,
            "HMMA" => turn.tensor += 1,
            "LDS" if i.op.contains(".128") => turn.shared[2] += 1,
            "LDS" if i.op.contains(".64") => turn.shared[1] += 1,
            "LDS" => turn.shared[0] += 1,
            "LDL" | "STL" => turn.local += 1,
            "BRA" | "BSSY" | "BSYNC" | "NOP" | "STS" | "LDG" | "STG" | "LDC" | "LDCU" | "VOTE" => {}
            name if name.starts_with('U') => {}
            _ => turn.alu += 1,
        }
    }
    turn
}
