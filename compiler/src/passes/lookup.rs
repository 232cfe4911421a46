//! The key under which a formula is looked up among compiled ones.
//!
//! In goes a formula; out come a key that neither names nor spellings change, and the order in
//! which the looked-up formula takes its inputs. `(x - y)^2` and `square(x - y)` have one such
//! key; a formula that differs in more than the simplifier knows has another, which is no harm:
//! then it is compiled. Never the key that a descriptor carries, which is that of the exact text.

use crate::ir::{Formula, Key, anonymous, key};

use super::settle;

/// The identity of a formula up to names, the order of inputs, and simplification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The key.
    pub key: Key,
    /// Which of the formula's inputs each input of the looked-up formula is. Inputs that nothing
    /// needs are left out.
    pub inputs: Vec<usize>,
}

/// See [`Lookup`].
pub fn lookup(f: &Formula) -> Lookup {
    let (plain, order) = anonymous(f);
    let (settled, again) = anonymous(&settle(&plain));
    Lookup { key: key(&settled), inputs: again.into_iter().map(|n| order[n]).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Axis, ExprId};
    use crate::ops::Op;

    fn sums(make: impl Fn(&mut Formula, ExprId, ExprId, ExprId) -> ExprId) -> Formula {
        let mut f = Formula::new("f");
        let g = f.input("gamma", None, 1).expect("valid");
        let x = f.input("x", Some(Axis::I), 3).expect("valid");
        let y = f.input("y", Some(Axis::J), 3).expect("valid");
        let k = make(&mut f, g, x, y);
        let sum = f.sum_over(Axis::J, k);
        f.output("a", Some(Axis::I), sum).expect("fits");
        f
    }

    #[test]
    fn spellings_of_one_formula_are_one() {
        let first = sums(|f, g, x, y| {
            let d = f.apply(Op::SqDist, &[x, y], &[]);
            let minus = f.neg(g);
            let scaled = f.mul(minus, d);
            f.apply(Op::Exp, &[scaled], &[])
        });
        let second = sums(|f, g, x, y| {
            let gap = f.sub(x, y);
            let product = f.mul(gap, gap);
            let d = f.sum_components(product);
            let scaled = f.mul(d, g);
            let minus = f.neg(scaled);
            f.apply(Op::Exp, &[minus], &[])
        });
        let other = sums(|f, _, x, y| f.apply(Op::SqDist, &[x, y], &[]));
        let (first, second, other) = (lookup(&first), lookup(&second), lookup(&other));
        assert_eq!(first.key, second.key);
        assert_ne!(first.key, other.key);
        assert_eq!(first.inputs.len(), 3);
        assert_eq!(other.inputs, [1, 2]);
    }
}
