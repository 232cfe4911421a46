//! Finds equal nodes: a table of the positions of an arena's nodes, by their hash.
//!
//! In go nodes in the order of the arena; out comes the position of an equal one. The nodes stay in
//! the arena alone. The hash is the same in every process, and nothing is ever iterated.

use std::hash::{Hash, Hasher};

use super::arena::{ExprId, Node};

/// A slot without a node.
const FREE: u32 = u32::MAX;

/// Positions of nodes, in open addressing with linear probing. At least half of the slots are free.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    slots: Vec<u32>,
    used: usize,
}

impl Index {
    /// The node of the arena that is equal to this one.
    pub fn find(&self, nodes: &[Node], node: &Node) -> Option<ExprId> {
        let place = self.probe(node, |at| nodes[at as usize] == *node)?;
        let at = self.slots[place];
        (at != FREE).then_some(ExprId(at))
    }

    /// Enters the last node of the arena, which is new.
    pub fn push(&mut self, nodes: &[Node]) {
        if 2 * (self.used + 1) > self.slots.len() {
            self.slots = vec![FREE; (2 * self.slots.len()).max(64)];
            (0..nodes.len() - 1).for_each(|at| self.enter(nodes, at));
        }
        self.enter(nodes, nodes.len() - 1);
        self.used += 1;
    }

    /// Takes the last node of the arena out. What came later than another node never stands in that
    /// one's way, so its slot is simply free again.
    pub fn pop(&mut self, nodes: &[Node]) {
        let Some(last) = nodes.last() else { return };
        let position = (nodes.len() - 1) as u32;
        if let Some(place) = self.probe(last, |at| at == position) {
            self.slots[place] = FREE;
            self.used -= 1;
        }
    }

    fn enter(&mut self, nodes: &[Node], at: usize) {
        if let Some(place) = self.probe(&nodes[at], |_| false) {
            self.slots[place] = at as u32;
        }
    }

    /// The first slot of a node's sequence that is wanted, or free; nothing in an empty table.
    fn probe(&self, node: &Node, wanted: impl Fn(u32) -> bool) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut hasher = Folded::default();
        node.hash(&mut hasher);
        let mut place = hasher.finish() as usize & mask;
        while self.slots[place] != FREE && !wanted(self.slots[place]) {
            place = (place + 1) & mask;
        }
        Some(place)
    }
}

/// A hash by folded multiplications, as in wyhash: each word is mixed in by a product of 128 bits
/// whose halves are joined.
#[derive(Default)]
struct Folded(u64);

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xa076_1d64_78bd_642f;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Op;

    fn node(n: u32) -> Node {
        match n % 3 {
            0 => Node::Input(n),
            1 => Node::Op(Op::Add, vec![ExprId(n), ExprId(n / 2)], Vec::new()),
            _ => Node::Op(Op::Elem, vec![ExprId(n)], vec![n.into()]),
        }
    }

    #[test]
    fn nodes_are_found_until_they_are_taken_out() {
        let (mut nodes, mut index) = (Vec::new(), Index::default());
        assert_eq!(index.find(&nodes, &node(0)), None);
        for round in 0..3 {
            for n in nodes.len() as u32..1000 {
                assert_eq!(index.find(&nodes, &node(n)), None, "{n} in round {round}");
                nodes.push(node(n));
                index.push(&nodes);
            }
            for n in 0..1000 {
                assert_eq!(index.find(&nodes, &node(n)), Some(ExprId(n)));
            }
            while nodes.len() > 300 * round {
                index.pop(&nodes);
                nodes.pop();
            }
        }
    }

    #[test]
    fn few_nodes_share_the_start_of_their_sequence() {
        let start = |n: u32| {
            let mut hasher = Folded::default();
            node(n).hash(&mut hasher);
            hasher.finish() & 0xffff
        };
        let starts: std::collections::BTreeSet<u64> = (0..8192).map(start).collect();
        // A random function would give 7,700 of 65,536.
        assert!(starts.len() > 7000, "{}", starts.len());
    }
}
