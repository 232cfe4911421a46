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
        let (n, by) = (wide.group, &wide.by);
        let k = self.open(by.dim);
        self.line("V part[G];");
        self.per_row(&format!("part[r] = {};", number(0.0)));
        self.columns(|body| {
            let value = body.component(by.id, &Index { loops: vec![(k, 1)], offset: 0 });
            body.per_row(&format!("part[r] = part[r] + w[c][r] * {value};"));
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

    /// The text of an addition that lets its instruction read a column's scalar from memory, if the
    /// operation is one. What it adds to is a packed row: a product might become one operation with
    /// the addition elsewhere.
    pub(super) fn added_from_memory(&self, code: &str, values: &[String]) -> Option<String> {
        if !self.is_streaming || code != "$0 + $1" {
            return None;
        }
        let [a, b] = values else { return None };
        let (row, column) = if a.starts_with("tf_load(") { (a, b) } else { (b, a) };
        let word = column.strip_prefix("y.at(")?.strip_suffix(')')?;
        let fits = row.starts_with("tf_load(") && !word.contains(')');
        fits.then(|| format!("y.plus({row}, {word})"))
    }
}
