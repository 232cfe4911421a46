//! Products taken apart into factors, sorted by stratum, and put together again.
//!
//! Regrouping changes the rounding of a product by an ulp a factor, never its meaning.

use crate::ir::{ExprId, Formula, Kind, Node, Stratum};
use crate::ops::Op;

use super::facts::never_negative;

/// Most parts of a product that is taken apart. A value that is used twice is two factors, and one
/// that is made of such values, again and again, has no end of them.
const MOST: usize = 200;

/// A product, taken apart: the product of `over` divided by the product of `under`.
#[derive(Default)]
pub struct Product {
    over: Vec<ExprId>,
    under: Vec<ExprId>,
    negative: bool,
}

impl Product {
    /// Takes `id` apart through multiplications, divisions, negations, copies of a scalar, and sums
    /// over components: `sum(a x) = a sum(x)`. The product of the factors may be a scalar where
    /// `id` is a vector of copies. What has more than [`MOST`] parts is one factor.
    pub fn of(f: &mut Formula, id: ExprId) -> Product {
        let whole = Product { over: vec![id], ..Product::default() };
        Product::taken_apart(f, id, &mut { MOST }).unwrap_or(whole)
    }

    /// The same; `left` parts may be met.
    fn taken_apart(f: &mut Formula, id: ExprId, left: &mut usize) -> Option<Product> {
        let mut product = Product::default();
        let mut todo = vec![(id, false)];
        while let Some((id, inverse)) = todo.pop() {
            *left = left.checked_sub(1)?;
            match f.node(id) {
                Node::Op(Op::Mul, args, _) => {
                    todo.extend(args.iter().rev().map(|&a| (a, inverse)));
                }
                Node::Op(Op::Div, args, _) => {
                    todo.push((args[1], !inverse));
                    todo.push((args[0], inverse));
                }
                Node::Op(Op::Inv, args, _) => todo.push((args[0], !inverse)),
                Node::Op(Op::SumT, args, _) => todo.push((args[0], inverse)),
                Node::Op(Op::Neg, args, _) => {
                    product.negative = !product.negative;
                    todo.push((args[0], inverse));
                }
                &Node::Op(Op::Sum, ref args, _) => {
                    let arg = args[0];
                    product.join(Product::of_sum(f, id, arg, left)?, inverse);
                }
                _ if inverse => product.under.push(id),
                _ => product.over.push(id),
            }
        }
        Some(product)
    }

    /// The factors of `sum`, which is that over components of `arg`: scalars that vary with pairs
    /// leave it. Others stay: numbers that a user gave may be infinite, and those of pairs are
    /// where multiplications cost most.
    fn of_sum(f: &mut Formula, sum: ExprId, arg: ExprId, left: &mut usize) -> Option<Product> {
        let whole = Product { over: vec![sum], ..Product::default() };
        if f.dim(arg) == 1 || f.kind(arg) != Kind::Real {
            return Some(whole);
        }
        let product = Product::taken_apart(f, arg, left)?;
        let leaves = |id: &ExprId| f.dim(*id) == 1 && f.stratum(*id) == Stratum::Pair;
        let factors = || product.over.iter().chain(&product.under);
        if !factors().any(leaves) || factors().all(|&id| f.dim(id) == 1) {
            return Some(whole);
        }
        let (inside, mut outside) = product.split(|id| !leaves(&id));
        let body = inside.build(f);
        outside.push(f.apply(Op::Sum, &[body], &[]));
        Some(outside)
    }

    /// Multiplies by a product, or divides by it.
    fn join(&mut self, other: Product, inverse: bool) {
        let (over, under) =
            if inverse { (other.under, other.over) } else { (other.over, other.under) };
        self.over.extend(over);
        self.under.extend(under);
        self.negative ^= other.negative;
    }

    /// Multiplies by one more factor.
    pub fn push(&mut self, factor: ExprId) {
        self.over.push(factor);
    }

    /// Moves the factors that `keep` refuses, and the sign, into a product of their own.
    pub fn split(self, keep: impl Fn(ExprId) -> bool) -> (Product, Product) {
        let (over, over_out) = self.over.into_iter().partition(|&id| keep(id));
        let (under, under_out) = self.under.into_iter().partition(|&id| keep(id));
        (
            Product { over, under, negative: false },
            Product { over: over_out, under: under_out, negative: self.negative },
        )
    }

    /// Whether nothing is left, not even a sign.
    pub fn is_one(&self) -> bool {
        self.over.is_empty() && self.under.is_empty() && !self.negative
    }

    /// The product without its sign, if it is never above 0; NaN may be.
    pub fn opposite(mut self, f: &mut Formula) -> Option<Product> {
        for id in self.over.iter_mut().chain(&mut self.under) {
            match f.node(*id) {
                Node::Const(c) if c.get().is_sign_negative() => {
                    self.negative = !self.negative;
                    *id = f.constant(-c.get());
                }
                _ if never_negative(f, *id) => {}
                _ => return None,
            }
        }
        self.negative.then_some(Product { negative: false, ..self })
    }

    /// Replaces a factor that is there once; says whether it did.
    pub fn swap(&mut self, old: ExprId, new: ExprId) -> bool {
        let mut places = self.over.iter_mut().filter(|id| **id == old);
        match (places.next(), places.next()) {
            (Some(place), None) if !self.under.contains(&old) => {
                *place = new;
                true
            }
            _ => false,
        }
    }

    /// Number of factors.
    pub fn len(&self) -> usize {
        self.over.len() + self.under.len()
    }

    /// Puts the factors together, the lowest stratum innermost: scalars stratum by stratum, then
    /// vectors stratum by stratum, so that no multiplication happens later or wider than it must.
    pub fn build(&self, f: &mut Formula) -> ExprId {
        let mut groups: Vec<(bool, Stratum, ExprId)> = Vec::new();
        for vector in [false, true] {
            for s in [Stratum::Const, Stratum::Param, Stratum::I, Stratum::J, Stratum::Pair] {
                let pick = |f: &Formula, ids: &[ExprId]| -> Vec<ExprId> {
                    let fits = |id: &ExprId| f.stratum(*id) == s && (f.dim(*id) > 1) == vector;
                    ids.iter().copied().filter(fits).collect()
                };
                let (over, under) = (pick(f, &self.over), pick(f, &self.under));
                if let Some(id) = quotient(f, &over, &under) {
                    groups.push((vector, s, id));
                }
            }
        }
        let built = join(f, groups).unwrap_or_else(|| f.constant(1.0));
        self.signed(f, built)
    }

    fn signed(&self, f: &mut Formula, built: ExprId) -> ExprId {
        if self.negative { f.neg(built) } else { built }
    }
}

/// Copies a scalar into `dim` components, if it is not that long already.
pub fn widen(f: &mut Formula, id: ExprId, dim: usize) -> ExprId {
    if f.dim(id) == dim { id } else { f.apply(Op::SumT, &[id], &[dim as i64]) }
}

/// Joins groups: within one stratum the scalar joins the vector (both are hoisted together);
/// the rest is multiplied from the lowest stratum up, scalars before vectors.
fn join(f: &mut Formula, groups: Vec<(bool, Stratum, ExprId)>) -> Option<ExprId> {
    let mut rest: Vec<(bool, Stratum, ExprId)> = Vec::new();
    for (vector, s, id) in groups {
        let scalar = rest.iter().position(|g| vector && s != Stratum::Pair && g.1 == s && !g.0);
        match scalar {
            Some(at) => {
                let (_, _, factor) = rest.remove(at);
                rest.push((true, s, f.mul(factor, id)));
            }
            None => rest.push((vector, s, id)),
        }
    }
    rest.sort_by_key(|g| (g.0, g.1));
    let mut ids = rest.into_iter().map(|g| g.2);
    let first = ids.next()?;
    Some(ids.fold(first, |acc, id| f.mul(acc, id)))
}

fn quotient(f: &mut Formula, over: &[ExprId], under: &[ExprId]) -> Option<ExprId> {
    let over = over.iter().copied().reduce(|a, b| f.mul(a, b));
    let under = under.iter().copied().reduce(|a, b| f.mul(a, b));
    match (over, under) {
        (over, None) => over,
        (Some(a), Some(b)) => Some(f.div(a, b)),
        (None, Some(b)) => Some(f.apply(Op::Inv, &[b], &[])),
    }
}
