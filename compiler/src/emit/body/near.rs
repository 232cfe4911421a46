//! Other ways to a pair: another value in place of one, and powers that are normal numbers.

use crate::emit::body::Body;
use crate::ir::ExprId;
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

    /// What is computed where a value is asked for.
    pub(super) fn on_way(&self, id: ExprId) -> ExprId {
        self.near.filter(|near| near.plain == id).map_or(id, |near| near.value)
    }
}
