//! `x - y`, of a row and a column, becomes `x + (-y)`, which is the same number.
//!
//! The negation is done where `y` is, once a row or a column. A pair then adds a packed vector and
//! a broadcast scalar, in whichever order an instruction wants them: a processor subtracts what is
//! in memory from what is in a register, but not the other way round.

use crate::ir::{Formula, Kind, Node, Stratum};
use crate::ops::Op;

use super::rewrite::{keep, rewrite};
use super::simplify::Fired;

/// See the module's text.
pub fn signs(formula: &Formula, fired: &mut Fired) -> Formula {
    rewrite(formula, |f, _, node| match node {
        Node::Op(Op::Sub, args, _)
            if matches!(
                (f.stratum(args[0]), f.stratum(args[1])),
                (Stratum::I, Stratum::J) | (Stratum::J, Stratum::I)
            ) && args.iter().all(|&arg| f.kind(arg) == Kind::Real) =>
        {
            *fired.entry("negated once a row or column").or_default() += 1;
            let negative = f.apply(Op::Neg, &[args[1]], &[]);
            f.apply(Op::Add, &[args[0], negative], &[])
        }
        other => keep(f, other),
    })
}
