//! Sums over components on CUDA, for a few rows and columns a thread.
//!
//! One function reads the operands of a row or column, component by component, into shared memory;
//! another adds one component to the sums of `G` rows and `C` columns that lie in registers.

use crate::emit::body::{Body, Index, Text};
use crate::schedule::{Operand, Place, Sum, Wide};

impl<'a> Body<'a> {
    /// Writes component `k0` of every operand of this function's place into `to`.
    pub fn reads(mut self, sum: &Sum) -> Text {
        self.loops = 1;
        for (n, operand) in sum.operands_of(self.place).enumerate() {
            let index = along(operand);
            let value = match self.place {
                Place::Launch => {
                    let base = self.places.launch[&operand.id].base;
                    format!("p[{}]", index.shift(base))
                }
                _ => format!("tf_lane({}, 0)", self.component(operand.id, &index)),
            };
            self.line(&format!("to[{n}] = {value};"));
        }
        self.finish()
    }

    /// Adds a component to the sums `z` of C columns and G rows.
    pub fn terms(mut self, sum: &'a Sum) -> Text {
        self.operands = &sum.operands;
        self.line("TF_COLUMNS(c) {");
        self.depth += 1;
        let value = self.component(sum.arg, &Index { loops: vec![(0, 1)], offset: 0 });
        self.count(1.0);
        self.per_row(&format!("z[c][r] = z[c][r] + {value};"));
        self.depth -= 1;
        self.line("}");
        self.ops *= sum.dim as f64;
        self.finish()
    }

    /// Adds a component times the numbers `w` to the outputs `part` of G rows.
    pub fn outputs(mut self, wide: &'a Wide) -> Text {
        self.operands = &wide.by.operands;
        self.is_wide = true;
        let value = self.component(wide.by.arg, &Index { loops: vec![(0, 1)], offset: 0 });
        self.per_row(&format!("part[r] = part[r] + w[r] * {value};"));
        self.finish()
    }

    /// The register that holds an operand.
    pub(super) fn operand(&self, id: crate::ir::ExprId, index: &Index) -> String {
        let place = self.places.of(id);
        let of_place = self.operands.iter().filter(|p| p.place == place);
        let n = of_place.clone().position(|p| p.id == id && along(p) == *index);
        let n = n.expect("every operand of a sum is listed");
        match place {
            Place::Row => format!("x[{n}][r]"),
            Place::Col if self.is_wide => format!("y[{n}]"),
            Place::Col => format!("y[{n}][c]"),
            _ => format!("q[{n}]"),
        }
    }
}

/// Component `k0` of a sum, as a component of an operand.
fn along(operand: &Operand) -> Index {
    match operand.step {
        0 => Index::at(operand.offset),
        step => Index { loops: vec![(0, step)], offset: operand.offset },
    }
}
