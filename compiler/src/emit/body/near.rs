//! Other ways to a pair: another value in place of one, powers that are normal numbers, and
//! quotients by reciprocals that are one instruction.

use crate::emit::body::Body;
use crate::ir::{ExprId, Kind};
use crate::ops::Op;
use crate::schedule::Near;

impl<'a> Body<'a> {
    /// Lets this function, one of pairs, go the near way.
    pub fn nearing(mut self, near: &'a Near) -> Body<'a> {
        self.near = Some(near);
        self.bounded(near.power)
    }

    /// Lets this function, one of pairs, take a power as a normal number.
    pub fn bounded(mut self, power: Option<ExprId>) -> Body<'a> {
        self.normal = power;
        self
    }

    /// Lets this function, one of pairs, divide by way of reciprocals.
    pub fn flushing(mut self, flushes: bool) -> Body<'a> {
        self.flushes = flushes;
        self
    }

    /// The C++ of an operation, which else is `code`.
    pub(super) fn on_way_to(&self, id: ExprId, op: Op, code: &'static str) -> &'static str {
        match op {
            _ if self.normal == Some(id) => "tf_exp2_normal($0)",
            Op::Div if self.flushes && self.plan.formula.kind(id) == Kind::Real => {
                "$0 * tf_inv($1)"
            }
            _ => code,
        }
    }

    /// What is computed where a value is asked for.
    pub(super) fn on_way(&self, id: ExprId) -> ExprId {
        self.near.filter(|near| near.plain == id).map_or(id, |near| near.value)
    }
}
