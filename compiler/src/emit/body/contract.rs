//! Contractions: sums of products of components of two values.
//!
//! A small one is written out, one component at a time. A large one is a nest of loops over the
//! axes that are kept and those that are summed over; its text is as short for a thousand terms as
//! for ten. Inside the nest every value is read by an index, so what is neither packed nor an input
//! is put into an array before.

use crate::emit::body::{Body, Index, number};
use crate::ir::{ExprId, Node};
use crate::ops::{Contraction, Emit, Stride};
use crate::schedule::{is_transparent, shifted_arg};

/// A contraction of more terms than this many times the longest value that is written out becomes
/// a nest of loops.
const NEST: usize = 16;

impl Body<'_> {
    /// The contraction that a value is, if this function computes it in a nest of loops.
    pub(super) fn nest(&self, id: ExprId) -> Option<Contraction> {
        let Node::Op(op, args, params) = self.plan.formula.node(id) else { return None };
        let Emit::Contract(rule) = op.def().emit else { return None };
        if self.is_leaf(id) {
            return None;
        }
        let contraction = rule(&self.dims(args), params);
        let terms = contraction.dim() * contraction.terms();
        (terms > NEST * self.unroll).then_some(contraction)
    }

    /// The lengths of some values.
    pub(super) fn dims(&self, args: &[ExprId]) -> Vec<usize> {
        args.iter().map(|&a| self.plan.formula.dim(a)).collect()
    }

    /// One component, written out.
    pub(super) fn products(
        &mut self,
        args: &[ExprId],
        c: &Contraction,
        component: usize,
    ) -> String {
        let (f, g) = c.start(component);
        self.sum_of(args, &Index::at(f), &Index::at(g), &c.steps())
    }

    /// The sum of the products of components that are some steps away, written out so that all
    /// terms but the first are fused multiply-adds.
    fn sum_of(
        &mut self,
        args: &[ExprId],
        f: &Index,
        g: &Index,
        steps: &[(usize, usize)],
    ) -> String {
        let mut sum: Option<String> = None;
        for &(of_f, of_g) in steps {
            let a = self.component(args[0], &f.shift(of_f));
            let b = self.component(args[1], &g.shift(of_g));
            sum = Some(match sum {
                None => self.write_op("V", "$0 * $1", &[a, b], &[]),
                Some(sum) => self.write_op("V", "$0 * $1 + $2", &[a, b, sum], &[]),
            });
        }
        sum.unwrap_or_else(|| number(0.0))
    }

    /// Calls `write` for every component of a large contraction, in loops over its kept axes.
    pub(super) fn contract(
        &mut self,
        id: ExprId,
        c: &Contraction,
        write: &mut impl FnMut(&mut Self, Index, String),
    ) {
        let plan = self.plan;
        let Node::Op(_, args, _) = plan.formula.node(id) else { return };
        args.iter().for_each(|&arg| self.make_readable(arg));
        let [mut out, mut f, mut g] = [(); 3].map(|()| Index::at(0));
        let mut width = c.dim();
        for &Stride { len, f: of_f, g: of_g } in &c.kept {
            width /= len;
            let k = self.open(len);
            out.loops.push((k, width));
            step(&mut f, k, of_f);
            step(&mut g, k, of_g);
        }
        let value = self.inner(args, f, g, c);
        write(self, out, value);
        c.kept.iter().rev().for_each(|axis| self.close(axis.len));
    }

    /// The sum over the axes that are not kept.
    fn inner(&mut self, args: &[ExprId], mut f: Index, mut g: Index, c: &Contraction) -> String {
        if c.terms() <= self.unroll {
            return self.sum_of(args, &f, &g, &c.steps());
        }
        // The neutral element of a sum is -0: it leaves the sign of a sum of -0 alone.
        let total = self.bind(&number(-0.0));
        for axis in &c.summed {
            let k = self.open(axis.len);
            step(&mut f, k, axis.f);
            step(&mut g, k, axis.g);
        }
        let (a, b) = (self.component(args[0], &f), self.component(args[1], &g));
        self.count(1.0);
        self.per_row(&format!("{total} = {a} * {b} + {total};"));
        c.summed.iter().rev().for_each(|axis| self.close(axis.len));
        total
    }

    /// Makes sure that a value can be read by any index, at no cost.
    fn make_readable(&mut self, id: ExprId) {
        let f = &self.plan.formula;
        if f.dim(id) == 1 {
            self.component(id, &Index::at(0));
            return;
        }
        match f.node(id) {
            Node::Op(op, args, params) if is_transparent(*op) => {
                match shifted_arg(f, f.dim(id), *op, args, params) {
                    Some(arg) => self.make_readable(arg),
                    None => _ = self.fill(id),
                }
            }
            _ if self.is_leaf(id) => {}
            _ => _ = self.fill(id),
        }
    }

    /// Puts every component of a value into an array; gives its name.
    pub(super) fn fill(&mut self, id: ExprId) -> String {
        if let Some(array) = self.array(id) {
            return array;
        }
        let name = format!("t{}", self.temps);
        self.temps += 1;
        let dim = self.plan.formula.dim(id);
        self.scratch += dim;
        let (rows, row) = if self.is_staged() { ("[G]", "[r]") } else { ("", "") };
        self.line(&format!("V {name}[{dim}]{rows};"));
        self.each(id, |body, index, value| {
            body.per_row(&format!("{name}[{index}]{row} = {value};"));
        });
        self.scopes.last_mut().expect("a scope is open").arrays.insert(id, name.clone());
        name
    }

    /// The array that holds a value, if one does.
    pub(super) fn array(&self, id: ExprId) -> Option<String> {
        self.scopes.iter().rev().find_map(|scope| scope.arrays.get(&id).cloned())
    }

    /// The text that reads an array.
    pub(super) fn entry(&self, array: &str, index: &Index) -> String {
        let row = if self.is_staged() { "[r]" } else { "" };
        format!("{array}[{index}]{row}")
    }
}

/// Lets an index run along a loop.
fn step(index: &mut Index, k: u32, stride: usize) {
    if stride > 0 {
        index.loops.push((k, stride));
    }
}

#[cfg(test)]
mod tests {
    use crate::emit::{EmitError, MAX_SCRATCH, kernel};
    use crate::ir::{Axis, Formula};
    use crate::ops::Op;

    /// The text for `out[i] = sum[j] op(outer)`, for an outer product of a row and a column.
    fn outer(side: usize, op: Option<Op>) -> Result<usize, EmitError> {
        let mut f = Formula::new("f");
        let x = f.input("x", Some(Axis::I), side).expect("valid");
        let y = f.input("y", Some(Axis::J), side).expect("valid");
        let product = f.apply(Op::TensorProd, &[x, y], &[]);
        let value = op.map_or(product, |op| f.apply(op, &[product], &[]));
        let sum = f.sum_over(Axis::J, value);
        f.output("out", Some(Axis::I), sum).expect("a row of i");
        kernel(&f, "f", "a test").map(|text| text.cpp.lines().count())
    }

    #[test]
    fn the_text_of_loops_does_not_grow_with_their_lengths() {
        assert_eq!(outer(20, None), outer(50, None));
        assert_eq!(outer(20, Some(Op::SqNorm2)), outer(50, Some(Op::SqNorm2)));
    }

    #[test]
    fn arrays_stay_small_enough_for_a_stack() {
        let words = 65 * 65;
        assert!(words > MAX_SCRATCH && outer(64, Some(Op::SqNorm2)).is_ok());
        let name = String::from("f");
        assert_eq!(outer(65, Some(Op::SqNorm2)), Err(EmitError::TooDeep { name, words }));
        assert!(outer(65, None).is_ok(), "what is folded at once needs no array");
    }
}
