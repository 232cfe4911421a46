//! From an expression to a formula. Goes in: the roots of a graph of nodes. Comes out: its arrays
//! and numbers, in order, a text of bytes that is the same for expressions of the same structure,
//! and, where nobody knows that structure yet, the formula. It never runs anything.

use std::collections::HashMap;
use std::sync::Arc;

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

/// An expression whose nodes have numbers: operands before their users.
pub(super) struct Flat<'e, 'a, T> {
    nodes: Vec<&'e Node<'a, T>>,
    /// The operands of all nodes, one after the other.
    args: Vec<u32>,
    roots: Vec<u32>,
    /// What the formula reads, in the order of its inputs.
    pub inputs: Vec<Input<'e, 'a, T>>,
    /// The structure: everything that the formula depends on.
    pub structure: Vec<u8>,
}

/// What a formula reads.
#[derive(Clone, Copy)]
pub(super) enum Input<'e, 'a, T> {
    Array(&'e Leaf<'a>, &'e Node<'a, T>),
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

/// The number of each node that was met.
type Numbers<'a, T> = HashMap<*const Node<'a, T>, u32, Quick>;

/// How the sums of a formula are worked out, and which rules may simplify it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Manner {
    pub acc: Accumulation,
    pub relaxed: bool,
    /// Whether reductions of pairs stay so, for ranges ([`passes::keep_pairs`]).
    pub pairs: bool,
}

impl<'e, 'a, T: Element> Flat<'e, 'a, T> {
    pub fn new(roots: &[&'e LazyTensor<'a, T>], manner: Manner) -> Flat<'e, 'a, T> {
        let mut flat = Flat {
            nodes: Vec::with_capacity(16),
            args: Vec::with_capacity(32),
            roots: Vec::with_capacity(roots.len()),
            inputs: Vec::with_capacity(4),
            structure: Vec::with_capacity(512),
        };
        let acc = manner.acc as u8;
        let flags = [manner.relaxed, manner.pairs].map(u8::from);
        flat.structure.extend([T::DTYPE as u8, acc, flags[0], flags[1]]);
        let mut numbers: Numbers<'a, T> = HashMap::with_capacity_and_hasher(16, Quick::default());
        for root in roots {
            let root = flat.number(&root.node, &mut numbers);
            flat.roots.push(root);
            flat.structure.push(b'=');
            flat.structure.extend(root.to_le_bytes());
        }
        flat
    }

    /// Numbers a node and all that it reads. A loop, as chains may be long.
    fn number(&mut self, root: &'e Arc<Node<'a, T>>, numbers: &mut Numbers<'a, T>) -> u32 {
        let mut todo: Vec<(&'e Node<'a, T>, bool)> = vec![(root, false)];
        while let Some((node, read)) = todo.pop() {
            if numbers.contains_key(&std::ptr::from_ref(node)) {
                continue;
            }
            if !read && node.args().next().is_some() {
                todo.push((node, true));
                let first = todo.len();
                todo.extend(node.args().map(|arg| (&*arg.node, false)));
                todo[first..].reverse();
                continue;
            }
            let number = self.add(node, numbers);
            numbers.insert(node, number);
        }
        numbers[&Arc::as_ptr(root)]
    }

    fn add(&mut self, node: &'e Node<'a, T>, numbers: &Numbers<'a, T>) -> u32 {
        if let Some(same) = self.same_array(node) {
            return same;
        }
        let first = self.args.len();
        self.args.extend(node.args().map(|arg| numbers[&Arc::as_ptr(&arg.node)]));
        self.describe(node, first);
        match &node.what {
            What::Array(leaf) => self.inputs.push(Input::Array(leaf, node)),
            What::Number(number) => self.inputs.push(Input::Number(number)),
            _ => (),
        }
        self.nodes.push(node);
        self.nodes.len() as u32 - 1
    }

    /// The node of an array that was met before: one array is one input.
    fn same_array(&self, node: &Node<'a, T>) -> Option<u32> {
        if !matches!(node.what, What::Array(_)) {
            return None;
        }
        self.nodes.iter().position(|other| other.is_same_leaf(node)).map(|n| n as u32)
    }

    /// Adds a node to the structure; its operands begin at `first`.
    fn describe(&mut self, node: &Node<'a, T>, first: usize) {
        let (out, args) = (&mut self.structure, &self.args[first..]);
        match &node.what {
            What::Array(_) | What::Number(_) => {
                out.extend([b'x', node.facts.stratum as u8, node.facts.kind as u8]);
                out.extend((node.facts.dim as u32).to_le_bytes());
            }
            What::Const(value) => {
                out.push(b'c');
                out.extend(value.to_bits().to_le_bytes());
            }
            What::Pos(axis) => out.extend([b'p', *axis as u8]),
            What::Op(op, _, params) => {
                out.push(b'o');
                out.extend((*op as u16).to_le_bytes());
                out.extend((params.len() as u32).to_le_bytes());
                params.iter().for_each(|p| out.extend(p.to_le_bytes()));
            }
            What::Fold(fold) => {
                let masked = u8::from(fold.mask.is_some());
                out.extend([b'f', fold.reducer as u8, fold.axis as u8, masked]);
                out.extend((fold.k as u64).to_le_bytes());
            }
            #[cfg(feature = "text")]
            What::Call(function, n, _) => {
                out.push(b't');
                out.extend(function.key.bytes());
                out.extend((*n as u32).to_le_bytes());
            }
            What::Derivative(derivative) => out.extend([b'd', derivative.kind as u8]),
            What::Masked(_) => out.push(b'm'),
            What::Mistake(_) => out.push(b'!'),
        }
        out.extend((args.len() as u32).to_le_bytes());
        args.iter().for_each(|arg| out.extend(arg.to_le_bytes()));
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
                Input::Array(_, node) => {
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

/// The axis of the rows of a value that does not vary with pairs.
pub(super) fn axis_of(stratum: Stratum) -> Option<Axis> {
    match stratum {
        Stratum::I => Some(Axis::I),
        Stratum::J => Some(Axis::J),
        Stratum::Const | Stratum::Param | Stratum::Pair => None,
    }
}

fn reduction<T>(fold: &Fold<'_, T>, mut args: Vec<ExprId>) -> Reduction {
    let mask = fold.mask.is_some().then(|| args.pop()).flatten();
    Reduction { reducer: fold.reducer, axis: fold.axis, args, mask, k: fold.k }
}

fn derive<T>(
    f: &mut Formula,
    derivative: &Derivative<'_, T>,
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
