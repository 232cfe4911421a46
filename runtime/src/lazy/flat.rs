//! From an expression to a formula. Goes in: the roots of a graph of nodes. Comes out: its arrays
//! and numbers, in order, a list of words that is the same for expressions of the same structure,
//! and, where nobody knows that structure yet, the formula. It never runs anything.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;
#[cfg(feature = "text")]
use tilefold_compiler::ir;
use tilefold_compiler::ir::{
    Accumulation, Axis, BuildError, ExprId, Formula, Kind, Reduction, Stratum,
};
use tilefold_compiler::passes::{self, GradError, operators};

use super::LazyTensor;
use super::node::{Derivative, DerivativeKind, Fold, Leaf, Node, What};
use super::quick::Quick;
use crate::element::Element;

/// An expression whose nodes have numbers: operands before their users. Small ones, of a dozen
/// nodes, take no memory but the stack's.
pub(super) struct Flat<'e, T> {
    nodes: SmallVec<[&'e Node<T>; 16]>,
    /// The operands of all nodes, one after the other.
    args: SmallVec<[u32; 32]>,
    roots: SmallVec<[u32; 2]>,
    /// What the formula reads, in the order of its inputs.
    pub inputs: SmallVec<[Input<'e, T>; 6]>,
    /// The structure: everything that the formula depends on.
    pub structure: Vec<u32>,
}

/// What a formula reads.
#[derive(Clone, Copy)]
pub(super) enum Input<'e, T> {
    /// An array, its node, and the number of that.
    Array(&'e Leaf, &'e Node<T>, u32),
    Number(&'e T),
}

/// Why there is no formula.
pub(super) enum Unbuilt {
    Misfit(BuildError),
    Derivative(GradError),
}

impl From<BuildError> for Unbuilt {
    fn from(error: BuildError) -> Unbuilt {
        Unbuilt::Misfit(error)
    }
}

impl From<GradError> for Unbuilt {
    fn from(error: GradError) -> Unbuilt {
        Unbuilt::Derivative(error)
    }
}

/// How the sums of a formula are worked out, and which rules may simplify it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Manner {
    pub acc: Accumulation,
    pub relaxed: bool,
    /// Whether reductions of pairs stay so, for ranges ([`passes::keep_pairs`]).
    pub pairs: bool,
}

/// The way through the nodes.
struct Walk<'e, T> {
    todo: SmallVec<[Step<'e, T>; 16]>,
    /// The numbers of nodes whose users are not finished.
    done: SmallVec<[u32; 32]>,
    shared: Shared<T>,
}

enum Step<'e, T> {
    /// To a node, which may have been met before if it is shared.
    Enter(&'e Node<T>, bool),
    /// From a node all of whose operands are done.
    Leave(&'e Node<T>, bool),
}

impl<'e, T> Step<'e, T> {
    /// To a node: what only one node reads is met only once.
    fn to(tensor: &'e LazyTensor<'_, T>) -> Step<'e, T> {
        Step::Enter(&tensor.node, Arc::strong_count(&tensor.node) > 1)
    }
}

/// The numbers of nodes that may be met again.
struct Shared<T> {
    few: SmallVec<[(*const Node<T>, u32); 16]>,
    /// All of them, where there are more than a search is good for.
    many: HashMap<*const Node<T>, u32, Quick>,
}

impl<T> Shared<T> {
    fn get(&self, node: *const Node<T>) -> Option<u32> {
        match self.many.is_empty() {
            true => self.few.iter().find(|(known, _)| *known == node).map(|&(_, number)| number),
            false => self.many.get(&node).copied(),
        }
    }

    fn insert(&mut self, node: *const Node<T>, number: u32) {
        if self.few.len() < self.few.inline_size() {
            self.few.push((node, number));
            return;
        }
        if self.many.is_empty() {
            self.many.extend(self.few.iter().copied());
        }
        self.many.insert(node, number);
    }
}

impl<'e, T: Element> Flat<'e, T> {
    pub fn new(roots: &[&'e LazyTensor<'_, T>], manner: Manner) -> Flat<'e, T> {
        let mut flat = Flat {
            nodes: SmallVec::new(),
            args: SmallVec::new(),
            roots: SmallVec::new(),
            inputs: SmallVec::new(),
            structure: Vec::with_capacity(96),
        };
        let [relaxed, pairs] = [manner.relaxed, manner.pairs].map(u8::from);
        let manner = [T::DTYPE as u8, manner.acc as u8, relaxed, pairs];
        flat.structure.push(u32::from_le_bytes(manner));
        let (todo, done) = (SmallVec::new(), SmallVec::new());
        let shared = Shared { few: SmallVec::new(), many: HashMap::default() };
        let mut walk = Walk { todo, done, shared };
        for root in roots {
            walk.todo.push(Step::Enter(&root.node, roots.len() > 1));
            flat.walk(&mut walk);
            let root = walk.done.pop().unwrap_or_default();
            flat.roots.push(root);
            flat.structure.extend([u32::from(b'='), root]);
        }
        flat
    }

    /// Numbers nodes and all that they read. A loop, as chains may be long.
    fn walk(&mut self, walk: &mut Walk<'e, T>) {
        while let Some(step) = walk.todo.pop() {
            let (node, is_shared, n_args) = match step {
                Step::Enter(node, is_shared) => {
                    if is_shared && let Some(number) = walk.shared.get(node) {
                        walk.done.push(number);
                        continue;
                    }
                    let (args, mask) = node.operands();
                    if !args.is_empty() || mask.is_some() {
                        walk.todo.push(Step::Leave(node, is_shared));
                        mask.into_iter().for_each(|mask| walk.todo.push(Step::to(mask)));
                        args.iter().rev().for_each(|arg| walk.todo.push(Step::to(arg)));
                        continue;
                    }
                    (node, is_shared, 0)
                }
                Step::Leave(node, is_shared) => {
                    let (args, mask) = node.operands();
                    (node, is_shared, args.len() + usize::from(mask.is_some()))
                }
            };
            let first = walk.done.len() - n_args;
            let number = self.add(node, &walk.done[first..]);
            walk.done.truncate(first);
            walk.done.push(number);
            if is_shared {
                walk.shared.insert(node, number);
            }
        }
    }

    fn add(&mut self, node: &'e Node<T>, args: &[u32]) -> u32 {
        let number = self.nodes.len() as u32;
        match &node.what {
            What::Array(leaf) => {
                // One array is one input.
                let mut known = self.inputs.iter();
                let same = known.find_map(|input| match *input {
                    Input::Array(_, other, at) if other.is_same_leaf(node) => Some(at),
                    _ => None,
                });
                if let Some(same) = same {
                    return same;
                }
                self.inputs.push(Input::Array(leaf, node, number));
            }
            What::Number(number) => self.inputs.push(Input::Number(number)),
            _ => (),
        }
        args.iter().for_each(|&arg| self.args.push(arg));
        self.describe(node, args);
        self.nodes.push(node);
        number
    }

    /// Adds a node to the structure. Its first word says how many follow.
    fn describe(&mut self, node: &Node<T>, args: &[u32]) {
        let out = &mut self.structure;
        let head = |tag: u8, [a, b, c]: [u8; 3]| u32::from_le_bytes([tag, a, b, c]);
        let n_args = args.len() as u32;
        match &node.what {
            What::Array(_) | What::Number(_) => {
                let (stratum, kind) = (node.facts.stratum as u8, node.facts.kind as u8);
                out.extend([head(b'x', [stratum, kind, 0]), node.facts.dim as u32]);
            }
            What::Const(value) => {
                let [low, high] = words(value.to_bits());
                out.extend([head(b'c', [0; 3]), low, high]);
            }
            What::Pos(axis) => out.push(head(b'p', [*axis as u8, 0, 0])),
            What::Op(op, _, params) => {
                let [low, high] = (*op as u16).to_le_bytes();
                out.extend([head(b'o', [low, high, 0]), n_args, params.len() as u32]);
                params.iter().for_each(|&param| out.extend(words(param as u64)));
            }
            What::Fold(fold) => {
                let masked = u8::from(fold.mask.is_some());
                let [low, high] = words(fold.k as u64);
                let what = [fold.reducer as u8, fold.axis as u8, masked];
                out.extend([head(b'f', what), n_args, low, high]);
            }
            #[cfg(feature = "text")]
            What::Call(function, n, _) => {
                out.extend([head(b't', [0; 3]), n_args, *n as u32]);
                let (key, _) = function.key.bytes().as_chunks::<4>();
                out.extend(key.iter().map(|&word| u32::from_le_bytes(word)));
            }
            What::Derivative(derivative) => {
                out.extend([head(b'd', [derivative.kind as u8, 0, 0]), n_args]);
            }
            What::Masked(_) => out.extend([head(b'm', [0; 3]), n_args]),
            What::Mistake(_) => out.push(head(b'!', [0; 3])),
        }
        out.extend_from_slice(args);
    }

    /// How many pairs an evaluation goes over, where arrays say so.
    pub fn pairs(&self) -> f64 {
        let rows = |axis: Axis| self.nodes.iter().find_map(|node| node.rows[axis as usize]);
        let batch = self.nodes.iter().map(|node| node.batch.iter().product::<usize>()).max();
        let of = |axis| rows(axis).unwrap_or(1) as f64;
        of(Axis::I) * of(Axis::J) * batch.unwrap_or(1) as f64
    }

    /// The formula: inputs `x0`, `x1` and so on, outputs `a0`, `a1` and so on.
    pub fn formula(&self, manner: Manner) -> Result<Formula, Unbuilt> {
        let mut f = Formula::new("expression");
        (f.acc, f.relaxed) = (manner.acc, manner.relaxed);
        for input in 0..self.inputs.len() {
            let (axis, dim, kind) = match self.inputs[input] {
                Input::Array(_, node, _) => {
                    (axis_of(node.facts.stratum), node.facts.dim, node.facts.kind)
                }
                Input::Number(_) => (None, 1, Kind::Real),
            };
            f.input_of(&format!("x{input}"), axis, dim, kind)?;
        }
        let mut ids: Vec<ExprId> = Vec::with_capacity(self.nodes.len());
        let mut inputs = 0;
        let mut rest = self.args.as_slice();
        for node in &self.nodes {
            let (args, after) = rest.split_at(node.args().count());
            rest = after;
            let args: Vec<ExprId> = args.iter().map(|&arg| ids[arg as usize]).collect();
            let id = match &node.what {
                What::Array(_) | What::Number(_) => {
                    inputs += 1;
                    f.input_expr(inputs - 1)
                }
                What::Const(value) => f.constant(*value),
                What::Pos(axis) => f.pos(*axis),
                What::Op(op, _, params) => f.op(*op, &args, params)?,
                What::Fold(fold) => {
                    let plain = reduction(fold, args);
                    let kept =
                        if manner.pairs { passes::keep_pairs_of(&mut f, plain) } else { plain };
                    f.reduce(kept)?
                }
                #[cfg(feature = "text")]
                What::Call(function, n, _) => {
                    let kept = manner.pairs.then(|| passes::keep_pairs(&function.formula));
                    let g = kept.as_ref().unwrap_or(&function.formula);
                    ir::inline(&mut f, g, g.outputs[*n].expr, &args)?
                }
                What::Derivative(derivative) => derive(&mut f, derivative, &args)?,
                What::Masked(_) | What::Mistake(_) => {
                    unreachable!("`evaluate` refuses mistakes, `fold` takes masks apart")
                }
            };
            ids.push(id);
        }
        for (n, &root) in self.roots.iter().enumerate() {
            let axis = axis_of(self.nodes[root as usize].facts.stratum);
            f.output(&format!("a{n}"), axis, ids[root as usize])?;
        }
        Ok(f)
    }
}

/// The halves of a long word.
fn words(long: u64) -> [u32; 2] {
    [long as u32, (long >> 32) as u32]
}

/// The axis of the rows of a value that does not vary with pairs.
pub(super) fn axis_of(stratum: Stratum) -> Option<Axis> {
    match stratum {
        Stratum::I => Some(Axis::I),
        Stratum::J => Some(Axis::J),
        Stratum::Const | Stratum::Param | Stratum::Pair => None,
    }
}

fn reduction<T>(fold: &Fold<T>, mut args: Vec<ExprId>) -> Reduction {
    let mask = fold.mask.is_some().then(|| args.pop()).flatten();
    Reduction { reducer: fold.reducer, axis: fold.axis, args, mask, k: fold.k }
}

fn derive<T>(
    f: &mut Formula,
    derivative: &Derivative<T>,
    args: &[ExprId],
) -> Result<ExprId, GradError> {
    let pairs = || args[1..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>();
    match (derivative.kind, args) {
        (DerivativeKind::Vjp, &[value, seed, variable]) => {
            let axis = axis_of(derivative.args[0].node.facts.stratum);
            let found = passes::adjoints(f, value, axis, seed, &[variable])?;
            Ok(found[0])
        }
        (DerivativeKind::Jvp, &[value, ..]) => passes::tangent(f, value, &pairs()),
        (DerivativeKind::Grad, &[value, seed, variable]) => {
            operators::grad(f, value, variable, seed)
        }
        (DerivativeKind::Diff, &[value, ..]) => operators::diff(f, value, &pairs()),
        (DerivativeKind::GradMatrix, &[value, variable]) => {
            operators::grad_matrix(f, value, variable)
        }
        (DerivativeKind::Divergence, &[value, variable]) => {
            operators::divergence(f, value, variable)
        }
        (DerivativeKind::Laplacian, &[value, variable]) => operators::laplacian(f, value, variable),
        (DerivativeKind::Trace, &[value, variable]) => {
            let one = f.constant(1.0);
            operators::trace_operator(f, value, variable, one)
        }
        (DerivativeKind::Adjoint, &[value, seed, variable]) => {
            operators::adjoint_operator(f, value, variable, seed)
        }
        (kind, _) => unreachable!("`derive` gives {kind:?} its operands"),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::evaluate;

    #[test]
    fn shared_nodes_are_met_once() {
        // 2^70 ways lead to the array. With few shared nodes, and with more than a search is for.
        for depth in [3, 16, 17, 70] {
            let x = array![[1.0_f64]];
            let mut kept = vec![LazyTensor::i(x.view())];
            for n in 0..depth {
                kept.push(&kept[n] * &kept[n]);
            }
            let (last, first) = (&kept[depth], &kept[1]);
            let flat = Flat::new(&[last], Manner::default());
            assert_eq!((flat.nodes.len(), flat.inputs.len()), (depth + 1, 1));
            let flat = Flat::new(&[last, first, last], Manner::default());
            assert_eq!(flat.nodes.len(), depth + 1);
            assert_eq!(*flat.roots, [depth as u32, 1, depth as u32]);
            let mut found = evaluate(&[last, first]).run().unwrap();
            assert_eq!([found.take::<f64>(0), found.take(1)].map(Result::unwrap), [&x, &x]);
        }
    }

    #[test]
    fn structures_differ_where_formulas_do() {
        let (x, y) = (array![[1.0_f64]], array![[2.0_f64]]);
        let leaf = || (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
        let structure = |e: LazyTensor<'_, f64>| Flat::new(&[&e], Manner::default()).structure;
        let made = |n: usize| {
            let (x, y) = leaf();
            structure(match n {
                0 => x + y,
                1 => y + x,
                2 => x - y,
                3 => x.clone() + x,
                4 => x + 1,
                5 => x + 2,
                6 => x + 2.0,
                7 => (x + y).sum(crate::Axis::J),
                8 => (x + y).sum(crate::Axis::I),
                9 => (x + y).max(crate::Axis::I),
                10 => LazyTensor::pos(crate::Axis::I) + x,
                _ => x.powi(3),
            })
        };
        for n in 0..12 {
            for other in 0..12 {
                assert_eq!(made(n) == made(other), n == other, "{n} {other}");
            }
        }
        // Not where only numbers or addresses do.
        assert_eq!(structure(leaf().0 + 2.0), structure(LazyTensor::i(y.view()) + 3.0));
    }
}
