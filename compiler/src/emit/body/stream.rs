//! Sums over components, for a panel of columns at once.
//!
//! Columns are innermost, so that a row is loaded once for all of them; a column's operations are
//! staged over the vectors of rows as everywhere. The sums of a column are added up in the order of
//! components, as they are where a pair is computed alone: the bits are the same.

use crate::emit::body::{Body, Index, Text, number};
use crate::ir::{ExprId, Node};
use crate::schedule::{Place, Wide};

impl<'a> Body<'a> {
    /// Lets this function, the one of pairs, read sums that [`Body::stream`] computed.
    pub fn reading(mut self, streams: &'a [ExprId]) -> Body<'a> {
        debug_assert_eq!(self.place, Place::Pair);
        self.streams = streams;
        self
    }

    /// The text that reads a streamed sum, if the value is one.
    pub(super) fn streamed(&self, id: ExprId) -> Option<String> {
        let n = self.streams.iter().position(|&s| s == id)?;
        Some(format!("z[{n}][r]"))
    }

    /// Writes the function that computes the sums, of `C` columns from `ys` on, into `z`.
    pub fn stream(mut self, streams: &[ExprId]) -> Text {
        self.is_streaming = true;
        let mut ahead = 0;
        for (n, &id) in streams.iter().enumerate() {
            let f = &self.plan.formula;
            let Node::Op(_, args, _) = f.node(id) else { unreachable!("a sum is an operation") };
            let (arg, dim) = (args[0], f.dim(args[0]));
            let (zero, before) = (number(0.0), ahead);
            ahead += dim;
            self.line(&format!("V z{n}[C][G];"));
            self.line(&format!("TF_COLUMNS(c) TF_GROUP(r) z{n}[c][r] = {zero};"));
            let k = self.open(dim);
            self.line(&format!("Y::ahead(ys, C * (COL_WORDS + {before} + k{k}));"));
            self.columns(|body| {
                let value = body.component(arg, &Index { loops: vec![(k, 1)], offset: 0 });
                body.count(1.0);
                body.per_row(&format!("z{n}[c][r] = z{n}[c][r] + {value};"));
            });
            self.close(dim);
            self.line(&format!("TF_COLUMNS(c) TF_GROUP(r) z[c][{n}][r] = z{n}[c][r];"));
        }
        self.finish()
    }

    /// Writes the function that adds a block of columns to the outputs of a wide accumulator.
    pub fn block_outputs(mut self, wide: &Wide) -> Text {
        self.is_streaming = true;
        let (n, by) = (wide.group, &wide.by);
        let k = self.open(by.dim);
        self.line("V part[G];");
        self.per_row(&format!("part[r] = {};", number(0.0)));
        self.columns(|body| {
            let value = body.component(by.id, &Index { loops: vec![(k, 1)], offset: 0 });
            let mut values = ["w[c][r]".to_string(), value];
            body.read_from_memory("$0 * $1", &mut values);
            let [number, value] = values;
            body.per_row(&format!("part[r] = part[r] + {number} * {value};"));
        });
        self.per_row(&format!("a.a{n}.join(s.a{n}, k{k}, g + r, part[r]);"));
        self.close(by.dim);
        self.finish()
    }

    /// What is done for each of `C` columns from `ys` on, of which one is `y`.
    fn columns(&mut self, write: impl FnOnce(&mut Self)) {
        self.block("TF_COLUMNS(c) {", |body| {
            body.line("const Y y = {ys, c * COL_WORDS};");
            write(body);
        });
    }

    /// Lets the operand of an instruction that can read a column's scalar from memory do so.
    pub(super) fn read_from_memory(&self, code: &str, values: &mut [String]) {
        let order: &[usize] = match code {
            "$0 + $1" | "$0 * $1" => &[1, 0],
            "$0 - $1" => &[1],
            _ => return,
        };
        let of_column = |n: &&usize| values[**n].starts_with("y.at(");
        if let Some(&n) = order.iter().find(of_column).filter(|_| self.is_streaming) {
            values[n] = values[n].replacen("y.at(", "y.each(", 1);
        }
    }
}
