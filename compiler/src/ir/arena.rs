//! The formula and its hash-consed arena of nodes.

use std::fmt;

use crate::ops::Op;
use crate::reduce::Reducer;

use super::index::Index;
use super::types::{Accumulation, Axis, Kind, Real, Stratum};

/// A handle to a node of one [`Formula`]. Prints as `v12` in dumps, errors and emitted code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExprId(pub(crate) u32);

impl ExprId {
    /// The position of the node in the arena.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for ExprId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl fmt::Display for ExprId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// One reduction node: fold `args` over `axis`, where `mask` (if any) is not zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduction {
    /// Which fold, see [`crate::reduce`].
    pub reducer: Reducer,
    /// The index that disappears.
    pub axis: Axis,
    /// The folded value, and the weight for the reductions that take one.
    pub args: Vec<ExprId>,
    /// Pairs where this is zero are left out.
    pub mask: Option<ExprId>,
    /// How many entries `kmin` keeps; 0 for every other reduction.
    pub k: usize,
}

/// One expression node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// The value of `Formula::inputs[n]`.
    Input(u32),
    /// A number, dim 1.
    Const(Real),
    /// The global row number along an axis, dim 1.
    Pos(Axis),
    /// An operation with its literal integer parameters.
    Op(Op, Vec<ExprId>, Vec<i64>),
    /// A fold over one axis.
    Reduce(Reduction),
}

impl Node {
    /// The same node with other arguments, which are asked for in their order.
    pub fn map_args(self, mut new: impl FnMut(ExprId) -> ExprId) -> Node {
        match self {
            Node::Op(op, args, params) => Node::Op(op, args.into_iter().map(new).collect(), params),
            Node::Reduce(r) => Node::Reduce(Reduction {
                args: r.args.into_iter().map(&mut new).collect(),
                mask: r.mask.map(new),
                ..r
            }),
            leaf @ (Node::Input(_) | Node::Const(_) | Node::Pos(_)) => leaf,
        }
    }

    /// The nodes this one reads, in order.
    pub fn args(&self) -> impl Iterator<Item = ExprId> + '_ {
        let (args, mask): (&[ExprId], Option<ExprId>) = match self {
            Node::Input(_) | Node::Const(_) | Node::Pos(_) => (&[], None),
            Node::Op(_, args, _) => (args, None),
            Node::Reduce(r) => (&r.args, r.mask),
        };
        args.iter().copied().chain(mask)
    }
}

/// One named array that a formula reads: a row per `i`, a row per `j`, or one row (a parameter).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The user's name.
    pub name: String,
    /// The `///` text, without the slashes; empty when there is none.
    pub doc: String,
    /// The index of its rows; `None` for a parameter.
    pub axis: Option<Axis>,
    /// Columns.
    pub dim: usize,
    /// What its numbers are.
    pub kind: Kind,
}

/// One named array that a formula computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The user's name.
    pub name: String,
    /// The `///` text, without the slashes; empty when there is none.
    pub doc: String,
    /// The index of its rows; `None` for a single row.
    pub axis: Option<Axis>,
    /// Its value, of a stratum that `axis` holds.
    pub expr: ExprId,
}

/// A formula: inputs, expressions, outputs. See the module's text for the invariants.
#[derive(Clone, Debug, Default)]
pub struct Formula {
    /// The user's name of the formula.
    pub name: String,
    /// The `///` text, without the slashes; empty when there is none.
    pub doc: String,
    /// Arrays read, in call order.
    pub inputs: Vec<Input>,
    /// Arrays computed, in order.
    pub outputs: Vec<Output>,
    /// Whether rules may apply that are not exact for every IEEE value, see
    /// [`crate::passes::rules`].
    pub relaxed: bool,
    /// How sums are accumulated.
    pub acc: Accumulation,
    nodes: Vec<Node>,
    facts: Vec<Facts>,
    index: Index,
}

/// What is known of a node without evaluating it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Length of the value.
    pub dim: usize,
    /// The smallest place where it can be computed.
    pub stratum: Stratum,
    /// Reals, complex numbers or integers.
    pub kind: Kind,
    /// Bits of the largest magnitude of an integer; 0 for reals.
    pub bits: u32,
}

impl Facts {
    /// The facts of a real value.
    pub fn real(dim: usize, stratum: Stratum) -> Facts {
        Facts { dim, stratum, kind: Kind::Real, bits: 0 }
    }

    /// The facts of an integer value whose magnitude has at most so many bits.
    pub fn int(dim: usize, stratum: Stratum, bits: u32) -> Facts {
        Facts { dim, stratum, kind: Kind::Int, bits }
    }
}

impl Formula {
    /// An empty formula.
    pub fn new(name: impl Into<String>) -> Formula {
        Formula { name: name.into(), ..Formula::default() }
    }

    /// The node behind a handle.
    pub fn node(&self, id: ExprId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Number of nodes in the arena, reachable or not.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether the arena has no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Every handle, arguments before users.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = ExprId> + use<> {
        (0..self.nodes.len() as u32).map(ExprId)
    }

    /// Length of the value.
    pub fn dim(&self, id: ExprId) -> usize {
        self.facts[id.index()].dim
    }

    /// The smallest place where the value can be computed.
    pub fn stratum(&self, id: ExprId) -> Stratum {
        self.facts[id.index()].stratum
    }

    /// All that is known of the value.
    pub fn facts(&self, id: ExprId) -> Facts {
        self.facts[id.index()]
    }

    /// Reals, complex numbers or integers.
    pub fn kind(&self, id: ExprId) -> Kind {
        self.facts[id.index()].kind
    }

    /// Bits of the largest magnitude that an integer value can have; 0 for others.
    pub fn bits(&self, id: ExprId) -> u32 {
        self.facts[id.index()].bits
    }

    /// Length of the value in numbers of its kind: half of [`Formula::dim`] where it is complex.
    pub fn count(&self, id: ExprId) -> usize {
        self.kind(id).count(self.dim(id))
    }

    /// Whether anything is summed over rows, so that [`Formula::acc`] matters.
    pub fn has_sums(&self) -> bool {
        self.nodes.iter().any(|node| match node {
            Node::Reduce(r) => r.reducer.def().emit.state.sums(),
            _ => false,
        })
    }

    /// The constant behind a handle, if it is one.
    pub fn as_const(&self, id: ExprId) -> Option<f64> {
        match self.node(id) {
            Node::Const(c) => Some(c.get()),
            _ => None,
        }
    }

    /// The ids reachable from `roots`, marked in a vector indexed by id.
    pub fn reachable(&self, roots: impl IntoIterator<Item = ExprId>) -> Vec<bool> {
        let mut seen = vec![false; self.nodes.len()];
        let mut todo: Vec<ExprId> = roots.into_iter().collect();
        while let Some(id) = todo.pop() {
            if !std::mem::replace(&mut seen[id.index()], true) {
                todo.extend(self.node(id).args());
            }
        }
        seen
    }

    /// The handle of a node, if it is there already.
    pub(crate) fn find(&self, node: &Node) -> Option<ExprId> {
        self.index.find(&self.nodes, node)
    }

    /// A value that stands for another one while a derivative is worked out. It is of no input, so
    /// it has to be gone, by [`Formula::cut`], when the formula is used.
    pub(crate) fn placeholder(&mut self, dim: usize, stratum: Stratum) -> ExprId {
        let number = u32::MAX - self.nodes.len() as u32;
        self.intern(Node::Input(number), Facts::real(dim, stratum))
    }

    /// Removes every node from position `len` on, and gives them in order.
    pub(crate) fn cut(&mut self, len: usize) -> Vec<Node> {
        for last in (len..self.nodes.len()).rev() {
            self.index.pop(&self.nodes[..=last]);
        }
        self.facts.truncate(len);
        self.nodes.split_off(len)
    }

    /// Adds a node whose facts were checked, or finds the equal one that is already there.
    pub(super) fn intern(&mut self, node: Node, facts: Facts) -> ExprId {
        if let Some(id) = self.find(&node) {
            return id;
        }
        let id = ExprId(self.nodes.len() as u32);
        self.nodes.push(node);
        self.index.push(&self.nodes);
        self.facts.push(facts);
        id
    }
}
