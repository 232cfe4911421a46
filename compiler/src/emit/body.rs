//! Expressions to lines of C++: the only place that spells expressions.
//!
//! One [`Body`] writes one function of a stage (one [`Place`]). The function of pairs is *staged*:
//! a component is `V t3[G]; TF_GROUP(r) t3[r] = ...;`, each operation for a group of vectors of rows before
//! the next operation, which is what keeps the pipes busy. The other functions run rarely and work
//! on one vector at a time, `const V t3 = ...;`, so that they compile quickly. Long values become
//! loops. The same text serves the CPU and CUDA. User names never appear.

use std::collections::HashMap;
use std::fmt;

use crate::ir::{ExprId, Formula, Node};
use crate::ops::{Emit, EmitParts, Op, Part, Parts};
use crate::schedule::{Place, Places, Plan, Slot, Stage, is_transparent};

/// Which component of a value: a number, or a loop variable plus a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Index {
    /// The loop `k<n>`, if any.
    pub loop_: Option<u32>,
    /// The number.
    pub offset: usize,
}

impl Index {
    /// A fixed component.
    pub fn at(offset: usize) -> Index {
        Index { loop_: None, offset }
    }

    fn shift(self, by: usize) -> Index {
        Index { offset: self.offset + by, ..self }
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.loop_, self.offset) {
            (None, n) => write!(f, "{n}"),
            (Some(k), 0) => write!(f, "k{k}"),
            (Some(k), n) => write!(f, "k{k} + {n}"),
        }
    }
}

/// Writes the lines of one function of one stage.
pub struct Body<'a> {
    plan: &'a Plan,
    stage: &'a Stage,
    places: &'a Places,
    place: Place,
    /// Longest value that is written out.
    unroll: usize,
    lines: Vec<String>,
    /// Lines before this one are inside fewer loops.
    depth: usize,
    /// Components already computed, innermost scope last.
    scopes: Vec<HashMap<(ExprId, Index), String>>,
    temps: u32,
    loops: u32,
    /// Operations written, weighted by how often their loop runs.
    ops: f64,
    weight: f64,
}

impl<'a> Body<'a> {
    /// Starts a function that computes values of `place`.
    pub fn new(
        plan: &'a Plan,
        stage: &'a Stage,
        places: &'a Places,
        place: Place,
        unroll: usize,
    ) -> Body<'a> {
        Body {
            plan,
            stage,
            places,
            place,
            unroll,
            lines: Vec::new(),
            depth: 0,
            scopes: vec![HashMap::new()],
            temps: 0,
            loops: 0,
            ops: 0.0,
            weight: 1.0,
        }
    }

    /// The place this function computes.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The lines, and the number of operations one run of them does.
    pub fn finish(self) -> (Vec<String>, f64) {
        (self.lines, self.ops)
    }

    /// Writes one line at the current depth.
    pub fn line(&mut self, text: &str) {
        self.lines.push(format!("{}{text}", "  ".repeat(self.depth)));
    }

    /// Calls `write` for every component: written out when the value is short, in one loop when it
    /// is long.
    pub fn each(&mut self, id: ExprId, mut write: impl FnMut(&mut Self, Index, String)) {
        let dim = self.plan.formula.dim(id);
        if dim > self.unroll && self.loopable(id) {
            self.repeat(id, dim, |body, index| {
                let value = body.component(id, index);
                write(body, index, value);
            });
        } else {
            for c in 0..dim {
                let value = self.component(id, Index::at(c));
                write(self, Index::at(c), value);
            }
        }
    }

    /// Writes one statement for every vector of rows.
    pub fn per_row(&mut self, text: &str) {
        let staged = if self.is_staged() { "TF_GROUP(r) " } else { "" };
        self.line(&format!("{staged}{text}"));
    }

    /// A new variable holding one component; the text that reads it.
    pub fn bind(&mut self, value: &str) -> String {
        let name = format!("t{}", self.temps);
        self.temps += 1;
        if self.is_staged() {
            self.line(&format!("V {name}[G];"));
            self.line(&format!("TF_GROUP(r) {name}[r] = {value};"));
            format!("{name}[r]")
        } else {
            self.line(&format!("V {name} = {value};"));
            name
        }
    }

    fn is_staged(&self) -> bool {
        self.place == Place::Pair
    }

    /// The C++ expression of one component, for vector `r` of rows.
    pub fn component(&mut self, id: ExprId, index: Index) -> String {
        let f = &self.plan.formula;
        let index = if f.dim(id) == 1 { Index::at(0) } else { index };
        if let Some(found) = self.scopes.iter().rev().find_map(|s| s.get(&(id, index))) {
            return found.clone();
        }
        let value = match f.node(id) {
            Node::Op(op, ..) if is_transparent(*op) => self.moved(id, index),
            _ if self.is_leaf(id) => self.leaf(id, index),
            Node::Op(op, args, params) => self.operation(id, *op, args, params, index),
            other => unreachable!("{id} = {other:?} is a leaf"),
        };
        self.remember(id, index, value.clone());
        value
    }

    fn remember(&mut self, id: ExprId, index: Index, value: String) {
        self.scopes.last_mut().expect("a scope is open").insert((id, index), value);
    }

    /// One loop over the components of `id`. What does not depend on the loop is computed before.
    fn repeat(&mut self, id: ExprId, dim: usize, write: impl FnOnce(&mut Self, Index)) {
        self.hoist_scalars(id);
        let k = self.loops;
        self.loops += 1;
        self.line(&format!("TF_LOOP for (int k{k} = 0; k{k} < {dim}; ++k{k}) {{"));
        self.depth += 1;
        self.scopes.push(HashMap::new());
        self.weight *= dim as f64;
        write(self, Index { loop_: Some(k), offset: 0 });
        self.weight /= dim as f64;
        self.scopes.pop();
        self.depth -= 1;
        self.line("}");
    }

    fn hoist_scalars(&mut self, id: ExprId) {
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            if self.plan.formula.dim(id) == 1 {
                self.component(id, Index::at(0));
            } else if !self.is_leaf(id) {
                todo.extend(self.plan.formula.node(id).args());
            }
        }
    }

    /// Whether component k of a value can be written with k a loop variable.
    fn loopable(&self, id: ExprId) -> bool {
        let f = &self.plan.formula;
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            match f.node(id) {
                _ if f.dim(id) == 1 => {}
                Node::Op(op, args, params) if is_transparent(*op) => {
                    match shifted_arg(f, f.dim(id), *op, args, params) {
                        Some(arg) => todo.push(arg),
                        None => return false,
                    }
                }
                _ if self.is_leaf(id) => {}
                Node::Op(op, args, _) if matches!(op.def().emit, Emit::Map(_)) => todo.extend(args),
                _ => return false,
            }
        }
        true
    }

    /// Whether this function reads the value from somewhere instead of computing it.
    fn is_leaf(&self, id: ExprId) -> bool {
        let node = self.plan.formula.node(id);
        let place = self.places.of(id);
        let handed = place != self.place && place != Place::Const;
        handed || !matches!(node, Node::Op(..)) || self.known(id).is_some()
    }

    fn known(&self, id: ExprId) -> Option<usize> {
        self.stage.known.iter().find(|(k, _)| *k == id).map(|(_, value)| *value)
    }

    fn leaf(&self, id: ExprId, index: Index) -> String {
        let place = self.places.of(id);
        let word = |slot: &Slot| index.shift(slot.base);
        // Pairs work on a group of the vectors of a block.
        let r = if self.is_staged() { "g + r" } else { "r" };
        match place {
            Place::Const => self.constant(id),
            Place::Launch if self.place != Place::Launch => {
                format!("tf_splat(p[{}])", word(&self.places.launch[&id]))
            }
            Place::Row if self.place != Place::Row => {
                format!("tf_load(x + (({}) * R + {r}) * W)", word(&self.places.row[&id]))
            }
            Place::Col if self.place != Place::Col => {
                format!("y.at({})", word(&self.places.col[&id]))
            }
            Place::Finish => {
                let (n, field) = self.places.result(&self.plan.formula, id);
                format!("A{n}::value(s.a{n}, {field}, {index}, r)")
            }
            Place::Launch | Place::Row | Place::Col | Place::Pair => self.read(id, index),
        }
    }

    fn constant(&self, id: ExprId) -> String {
        let value = self.plan.formula.as_const(id).expect("a constant leaf is a number");
        number(value)
    }

    /// Reads the arrays of the call.
    fn read(&self, id: ExprId, index: Index) -> String {
        let value = match self.plan.formula.node(id) {
            Node::Input(n) => *n as usize,
            Node::Pos(_) => return "tf_pos(i0, step, r)".into(),
            _ => self.known(id).expect("only inputs and earlier results are read"),
        };
        match self.place {
            Place::Launch => format!("tf_read_param(v[{value}], {index})"),
            _ => format!("tf_read(v[{value}], {index}, i0, i1, step, r)"),
        }
    }

    /// A component of a value that only moves components of others.
    fn moved(&mut self, id: ExprId, index: Index) -> String {
        let f = &self.plan.formula;
        let Node::Op(op, args, params) = f.node(id) else { unreachable!("only operations move") };
        let Emit::Move(source) = op.def().emit else {
            unreachable!("only moves are looked through")
        };
        let dims: Vec<usize> = args.iter().map(|&a| f.dim(a)).collect();
        match source(&dims, params, index.offset) {
            // Inside a loop the move is a shift (see `loopable`), so the loop variable stays.
            Some((n, component)) => {
                let arg = args[n];
                self.component(arg, Index { offset: component, ..index })
            }
            None => number(0.0),
        }
    }

    fn operation(
        &mut self,
        id: ExprId,
        op: Op,
        args: &[ExprId],
        params: &[i64],
        index: Index,
    ) -> String {
        match op.def().emit {
            Emit::Map(code) => {
                let values: Vec<String> = args.iter().map(|&a| self.component(a, index)).collect();
                self.write_op(code, &values, params)
            }
            Emit::Parts(_) if op == Op::Sum && self.is_long(args[0]) => self.long_sum(args[0]),
            Emit::Parts(rule) => self.parts(id, rule, args, params, index),
            Emit::Move(_) | Emit::Expanded => {
                unreachable!("moves are looked through, composites expanded when they are built")
            }
        }
    }

    fn is_long(&self, id: ExprId) -> bool {
        self.plan.formula.dim(id) > self.unroll && self.loopable(id)
    }

    /// The sum of the components of a long value, in one loop.
    fn long_sum(&mut self, arg: ExprId) -> String {
        let total = self.bind(&number(0.0));
        let dim = self.plan.formula.dim(arg);
        self.repeat(arg, dim, |body, index| {
            let value = body.component(arg, index);
            body.count(1.0);
            body.per_row(&format!("{total} = {total} + {value};"));
        });
        total
    }

    /// All components at once, by the operation's own rule.
    fn parts(
        &mut self,
        id: ExprId,
        rule: EmitParts,
        args: &[ExprId],
        params: &[i64],
        index: Index,
    ) -> String {
        let mut writer = Writer { body: self, values: Vec::new() };
        let parts: Vec<Vec<Part>> = args
            .iter()
            .map(|&a| {
                let dim = writer.body.plan.formula.dim(a);
                (0..dim).map(|c| writer.read(a, c)).collect()
            })
            .collect();
        let out = rule(&mut writer, &parts, params);
        let values = writer.values;
        for (c, part) in out.iter().enumerate() {
            self.remember(id, Index::at(c), values[part.0 as usize].clone());
        }
        values[out[index.offset].0 as usize].clone()
    }

    /// Writes one operation into a new temporary.
    fn write_op(&mut self, code: &str, values: &[String], params: &[i64]) -> String {
        self.count(cost(code));
        let mut text = code.to_string();
        for (n, param) in params.iter().enumerate() {
            text = text.replace(&format!("$p{n}"), &param.to_string());
        }
        // One pass, so that an argument's text is never searched for placeholders.
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find('$') {
            let n = rest[at + 1..at + 2].parse::<usize>().expect("$ is followed by a digit");
            out.push_str(&rest[..at]);
            out.push_str(&values[n]);
            rest = &rest[at + 2..];
        }
        out.push_str(rest);
        self.bind(&out)
    }

    /// Counts operations for reports.
    pub fn count(&mut self, ops: f64) {
        self.ops += ops * self.weight;
    }
}

/// The argument that a move copies in order, if it does: component c is component s + c for all c,
/// or the one component of a scalar.
fn shifted_arg(f: &Formula, dim: usize, op: Op, args: &[ExprId], params: &[i64]) -> Option<ExprId> {
    let Emit::Move(source) = op.def().emit else { return None };
    let dims: Vec<usize> = args.iter().map(|&a| f.dim(a)).collect();
    let (arg, start) = source(&dims, params, 0)?;
    let in_order = |c: usize| {
        let offset = if dims[arg] == 1 { 0 } else { start + c };
        source(&dims, params, c) == Some((arg, offset))
    };
    (0..dim).all(in_order).then_some(args[arg])
}

/// Where the rules of [`Emit::Parts`] write.
struct Writer<'a, 'b> {
    body: &'a mut Body<'b>,
    values: Vec<String>,
}

impl Writer<'_, '_> {
    fn read(&mut self, id: ExprId, component: usize) -> Part {
        let value = self.body.component(id, Index::at(component));
        self.keep(value)
    }

    fn keep(&mut self, value: String) -> Part {
        self.values.push(value);
        Part(self.values.len() as u32 - 1)
    }
}

impl Parts for Writer<'_, '_> {
    fn constant(&mut self, value: f64) -> Part {
        self.keep(number(value))
    }

    fn make(&mut self, code: &'static str, args: &[Part]) -> Part {
        let values: Vec<String> = args.iter().map(|p| self.values[p.0 as usize].clone()).collect();
        let value = self.body.write_op(code, &values, &[]);
        self.keep(value)
    }
}

/// A number as a C++ expression of all lanes: decimal digits that read back to the same float64.
pub fn number(value: f64) -> String {
    match value {
        v if v.is_nan() => "tf_c(TF_NAN)".into(),
        f64::INFINITY => "tf_c(TF_INF)".into(),
        f64::NEG_INFINITY => "tf_c(-TF_INF)".into(),
        v => format!("tf_c({v:?})"),
    }
}

/// Rough cost of an operation in additions, for reports and for the choice to run serially.
fn cost(code: &str) -> f64 {
    match code {
        c if c.contains("exp") || c.contains("log") => 10.0,
        c if c.contains("sin") || c.contains("cos") || c.contains("tan") => 20.0,
        c if c.contains("pow") => 40.0,
        c if c.contains('/') || c.contains("sqrt") || c.contains("tf_inv") => 5.0,
        _ => 1.0,
    }
}
