//! What an operation or a reduction would give, without a formula.
//!
//! In go an operation and what is known of its arguments; out comes what is known of its result,
//! or why there is none, by the very rules that build formulas. So an expression that is put
//! together step by step, as a `LazyTensor` is, finds a mistake in the step that makes it. Never a
//! node that anyone keeps.

use crate::ops::Op;

use super::arena::{ExprId, Facts, Formula, Node, Reduction};
use super::build::BuildError;
use super::types::{Real, Stratum};

/// An argument of which only so much is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StandIn {
    /// A number, exactly: a literal integer may take part in exact integers.
    Number(Real),
    /// Any value of these facts.
    Value(Facts),
}

impl StandIn {
    /// What is known of it.
    pub fn facts(self) -> Facts {
        match self {
            StandIn::Number(_) => Facts::real(1, Stratum::Const),
            StandIn::Value(facts) => facts,
        }
    }

    fn place(self, f: &mut Formula) -> ExprId {
        match self {
            StandIn::Number(number) => f.constant(number.get()),
            StandIn::Value(facts) => {
                // No two are the same node, as no input has such a number.
                let number = u32::MAX - f.len() as u32;
                f.intern(Node::Input(number), facts)
            }
        }
    }
}

/// The facts of an operation's result.
///
/// # Errors
/// As [`Formula::op`].
pub fn of_op(op: Op, args: &[StandIn], params: &[i64]) -> Result<Facts, BuildError> {
    let mut f = Formula::default();
    let args: Vec<ExprId> = args.iter().map(|arg| arg.place(&mut f)).collect();
    let id = f.op(op, &args, params)?;
    Ok(f.facts(id))
}

/// The facts of a reduction's result. `like` names the reduction; its arguments are not read.
///
/// # Errors
/// As [`Formula::reduce`].
pub fn of_reduction(
    like: &Reduction,
    args: &[StandIn],
    mask: Option<StandIn>,
) -> Result<Facts, BuildError> {
    let mut f = Formula::default();
    let args = args.iter().map(|arg| arg.place(&mut f)).collect();
    let mask = mask.map(|mask| mask.place(&mut f));
    let id = f.reduce(Reduction { args, mask, ..like.clone() })?;
    Ok(f.facts(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Axis, Kind};
    use crate::reduce::Reducer;

    fn value(dim: usize, stratum: Stratum) -> StandIn {
        StandIn::Value(Facts::real(dim, stratum))
    }

    #[test]
    fn rules_are_those_of_formulas() {
        let (x, y) = (value(3, Stratum::I), value(3, Stratum::J));
        assert_eq!(of_op(Op::SqDist, &[x, y], &[]), Ok(Facts::real(1, Stratum::Pair)));
        let wrong = of_op(Op::Add, &[x, value(4, Stratum::J)], &[]).unwrap_err();
        assert_eq!(wrong.to_string(), "add: dimensions 3 and 4 do not match");
        let argmin =
            Reduction { reducer: Reducer::ArgMin, axis: Axis::J, args: vec![], mask: None, k: 0 };
        let found = of_reduction(&argmin, &[value(2, Stratum::Pair)], None).unwrap();
        assert_eq!((found.kind, found.dim, found.stratum), (Kind::Int, 2, Stratum::I));
        let two = StandIn::Number(Real::new(2.0));
        let shifted = of_op(Op::Add, &[StandIn::Value(found), two], &[]).unwrap();
        assert_eq!(shifted.kind, Kind::Int, "a literal integer keeps integers");
    }
}
