//! The near way to a pair: another value in place of one, and powers that are normal numbers.

use crate::emit::body::Body;
use crate::ir::ExprId;
use crate::ops::Op;
use crate::schedule::Near;

impl<'a> Body<'a> {
    /// Lets this function, one of pairs, go the near way, if there is one.
    pub fn nearing(mut self, near: Option<&'a Near>) -> Body<'a> {
        self.near = near;
        self
    }

    /// What is computed where a value is asked for.
    pub(super) fn on_way(&self, id: ExprId) -> ExprId {
        self.near.filter(|near| near.plain == id).map_or(id, |near| near.value)
    }

    /// The code of an operation, if it is another one on this way.
    pub(super) fn near_code(&self, op: Op, args: &[ExprId]) -> Option<&'static str> {
        let near = self.near.filter(|near| near.is_power && op == Op::Exp2)?;
        (args[0] == near.plain).then_some("tf_exp2_normal($0)")
    }
}
