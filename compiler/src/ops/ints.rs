//! Where exact integers become reals.
//!
//! What goes in: nothing. What comes out: rooms of the op table. Which operations keep integers is
//! said in [`crate::ir::ints`].

use super::{Emit, Grad, OpDef, map1, same_or_one};

/// The nearest real of an integer.
pub const TO_REAL: OpDef = OpDef {
    name: "to_real",
    aliases: &[],
    doc: "The real nearest to an integer, ties to even: exact up to 2^24 in f32 and 2^53 in f64. A \
          real is itself.",
    arity: 1,
    params: 0,
    shape: same_or_one,
    eval: |args, _, out| map1(args, out, |a| a),
    // Of a real, which is itself; the sweep drops what would reach an integer.
    grad: Grad::Vjp(|_, _, seed| vec![Some(seed)]),
    emit: Emit::Map("tf_to_real($0)"),
    expand: None,
    domain: &[(-2.0, 2.0)],
};
