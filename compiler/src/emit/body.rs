//! Expressions to lines of C++: the only place that spells expressions.
//!
//! One [`Body`] writes one function of a stage (one [`Place`]). The function of pairs is
//! *staged*: a component is `V t3[G]; TF_GROUP(r) t3[r] = ...;`, each operation for a group of
//! vectors of rows before the next operation, which is what keeps the pipes busy. The other
//! functions run rarely and work on one vector at a time, `const V t3 = ...;`, so that they
//! compile quickly. Long values become loops, and so do large contractions ([`contract`]). The
//! same text serves the CPU and CUDA. User names never appear.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::ir::{ExprId, Formula, Kind, Node, ints};
use crate::ops::{Emit, EmitParts, Op, Part, Parts, cost};
use crate::schedule::{
    Near, Operand, Place, Places, Plan, Slot, Stage, is_transparent, shifted_arg,
};

mod contract;
mod near;
mod panel;
mod stream;

/// Which component of a value: loop variables times their strides, plus a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Index {
    /// Loops `k<n>` and how many components a step of each passes.
    pub loops: Vec<(u32, usize)>,
    /// The number.
    pub offset: usize,
}

impl Index {
    /// A fixed component.
    pub fn at(offset: usize) -> Index {
        Index { loops: Vec::new(), offset }
    }

    /// The component `by` further.
    pub fn shift(&self, by: usize) -> Index {
        Index { offset: self.offset + by, ..self.clone() }
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (k, stride)) in self.loops.iter().enumerate() {
            f.write_str(if n > 0 { " + " } else { "" })?;
            match stride {
                1 => write!(f, "k{k}")?,
                stride => write!(f, "k{k} * {stride}")?,
            }
        }
        match (self.loops.is_empty(), self.offset) {
            (true, n) => write!(f, "{n}"),
            (false, 0) => Ok(()),
            (false, n) => write!(f, " + {n}"),
        }
    }
}

/// What is computed inside one loop.
#[derive(Default)]
struct Scope {
    /// Components: the text that reads them.
    values: HashMap<(ExprId, Index), String>,
    /// Values of which every component is in an array: its name.
    arrays: HashMap<ExprId, String>,
}

/// The text of one function.
pub struct Text {
    /// Its lines.
    pub lines: Vec<String>,
    /// Operations that one run does.
    pub ops: f64,
    /// Numbers of one row that its arrays hold.
    pub scratch: usize,
}

/// Writes the lines of one function of one stage.
pub struct Body<'a> {
    plan: &'a Plan,
    stage: &'a Stage,
    places: &'a Places,
    place: Place,
    /// Longest value that is written out.
    unroll: usize,
    /// The way of near pairs, where this function goes it.
    near: Option<&'a Near>,
    /// The power that is a normal number on the way of this function.
    normal: Option<ExprId>,
    /// Whether reciprocals are one instruction.
    flushes: bool,
    /// Sums that are computed already when a pair is.
    streams: &'a [ExprId],
    /// Whether columns are those of a CPU's panel.
    is_streaming: bool,
    /// What the sums of a CUDA panel read, where this is the function that adds them up.
    operands: &'a [Operand],
    /// Whether it adds up the outputs of a wide accumulator.
    is_wide: bool,
    lines: Vec<String>,
    /// Lines before this one are inside fewer loops.
    depth: usize,
    /// What is computed already, innermost scope last.
    scopes: Vec<Scope>,
    temps: u32,
    loops: u32,
    /// Numbers that arrays hold.
    scratch: usize,
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
            near: None,
            normal: None,
            flushes: false,
            streams: &[],
            is_streaming: false,
            operands: &[],
            is_wide: false,
            lines: Vec::new(),
            depth: 0,
            scopes: vec![Scope::default()],
            temps: 0,
            loops: 0,
            scratch: 0,
            ops: 0.0,
            weight: 1.0,
        }
    }

    /// The place this function computes.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The lines, and what one run of them takes.
    pub fn finish(self) -> Text {
        Text { lines: self.lines, ops: self.ops, scratch: self.scratch }
    }

    /// Writes one line at the current depth.
    pub fn line(&mut self, text: &str) {
        self.lines.push(format!("{}{text}", "  ".repeat(self.depth)));
    }

    /// Calls `write` for every component: written out when the value is short, in one loop when it
    /// is long.
    pub fn each(&mut self, id: ExprId, mut write: impl FnMut(&mut Self, Index, String)) {
        let dim = self.plan.formula.dim(id);
        if let Some(contraction) = self.nest(id) {
            self.contract(id, &contraction, &mut write);
        } else if dim > self.unroll && self.loopable(id) {
            self.repeat(id, dim, |body, index| {
                let value = body.component(id, &index);
                write(body, index, value);
            });
        } else {
            for c in 0..dim {
                let value = self.component(id, &Index::at(c));
                write(self, Index::at(c), value);
            }
        }
    }

    /// Writes a block of lines, whose values are read in it alone.
    pub fn block(&mut self, head: &str, write: impl FnOnce(&mut Self)) {
        self.line(head);
        self.depth += 1;
        self.scopes.push(Scope::default());
        write(self);
        self.scopes.pop();
        self.depth -= 1;
        self.line("}");
    }

    /// Writes one statement for every vector of rows.
    pub fn per_row(&mut self, text: &str) {
        let staged = if self.is_staged() { "TF_GROUP(r) " } else { "" };
        self.line(&format!("{staged}{text}"));
    }

    /// A new variable holding one real component; the text that reads it.
    pub fn bind(&mut self, value: &str) -> String {
        self.bind_as("V", value)
    }

    /// A new variable of a C++ type; the text that reads it.
    pub fn bind_as(&mut self, type_: &str, value: &str) -> String {
        let name = format!("t{}", self.temps);
        self.temps += 1;
        if self.is_staged() {
            self.line(&format!("{type_} {name}[G];"));
            self.line(&format!("TF_GROUP(r) {name}[r] = {value};"));
            format!("{name}[r]")
        } else {
            self.line(&format!("{type_} {name} = {value};"));
            name
        }
    }

    fn is_staged(&self) -> bool {
        self.place == Place::Pair
    }

    /// The C++ expression of one component, for vector `r` of rows.
    pub fn component(&mut self, id: ExprId, index: &Index) -> String {
        let f = &self.plan.formula;
        let id = self.on_way(id);
        let index = if f.dim(id) == 1 { &Index::at(0) } else { index };
        let key = (id, index.clone());
        if let Some(found) = self.scopes.iter().rev().find_map(|s| s.values.get(&key)) {
            return found.clone();
        }
        if let Some(array) = self.array(id) {
            return self.entry(&array, index);
        }
        if let Some(sum) = self.streamed(id) {
            return sum;
        }
        let value = match f.node(id) {
            Node::Op(op, ..) if is_transparent(*op) => self.moved(id, index),
            _ if self.is_leaf(id) => self.leaf(id, index),
            Node::Op(op, args, params) => self.operation(id, *op, args, params, index),
            other => unreachable!("{id} = {other:?} is a leaf"),
        };
        self.remember(id, index.clone(), value.clone());
        value
    }

    fn remember(&mut self, id: ExprId, index: Index, value: String) {
        self.scopes.last_mut().expect("a scope is open").values.insert((id, index), value);
    }

    /// One loop over the components of `id`. What does not depend on the loop is computed before.
    fn repeat(&mut self, id: ExprId, dim: usize, write: impl FnOnce(&mut Self, Index)) {
        self.hoist(id);
        let k = self.open(dim);
        write(self, Index { loops: vec![(k, 1)], offset: 0 });
        self.close(dim);
    }

    /// Opens a loop; gives the number of its variable.
    fn open(&mut self, len: usize) -> u32 {
        let k = self.loops;
        self.loops += 1;
        self.line(&format!("TF_LOOP for (int k{k} = 0; k{k} < {len}; ++k{k}) {{"));
        self.depth += 1;
        self.scopes.push(Scope::default());
        self.weight *= len as f64;
        k
    }

    /// Closes the loop that was opened last.
    fn close(&mut self, len: usize) {
        self.weight /= len as f64;
        self.scopes.pop();
        self.depth -= 1;
        self.line("}");
    }

    /// Computes what a loop over the components of `id` reads and what does not vary with them.
    fn hoist(&mut self, id: ExprId) {
        let (mut todo, mut seen) = (vec![id], HashSet::from([id]));
        while let Some(id) = todo.pop() {
            if self.plan.formula.dim(id) == 1 {
                self.component(id, &Index::at(0));
            } else if self.nest(id).is_some() {
                self.fill(id);
            } else if !self.is_leaf(id) {
                todo.extend(self.plan.formula.node(id).args().filter(|&a| seen.insert(a)));
            }
        }
    }

    /// Whether component k of a value can be written with k a loop variable.
    fn loopable(&self, id: ExprId) -> bool {
        let f = &self.plan.formula;
        let (mut todo, mut seen) = (vec![id], HashSet::new());
        while let Some(id) = todo.pop() {
            if !seen.insert(id) {
                continue;
            }
            match f.node(id) {
                _ if f.dim(id) == 1 || self.nest(id).is_some() => {}
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

    fn leaf(&self, id: ExprId, index: &Index) -> String {
        let place = self.places.of(id);
        // Pairs work on a group of the vectors of a block.
        let r = if self.is_staged() { "g + r" } else { "r" };
        match place {
            Place::Const => self.constant(id),
            _ if !self.operands.is_empty() => self.operand(id, index),
            Place::Launch if self.place != Place::Launch => {
                self.handed(id, index, &self.places.launch[&id], |at| format!("tf_splat(p[{at}])"))
            }
            Place::Row if self.place != Place::Row => {
                self.handed(id, index, &self.places.row[&id], |at| {
                    format!("tf_load(x + (({at}) * R + {r}) * W)")
                })
            }
            Place::Col if self.place != Place::Col => {
                self.handed(id, index, &self.places.col[&id], |at| format!("y.at({at})"))
            }
            Place::Finish => {
                let f = &self.plan.formula;
                let (n, field) = self.places.result(f, id);
                match f.kind(id) {
                    Kind::Real | Kind::Complex => {
                        format!("A{n}::value(s.a{n}, {field}, {index}, r)")
                    }
                    Kind::Int => format!("tf_index<A{n}>(s.a{n}, {index}, r)"),
                }
            }
            Place::Launch | Place::Row | Place::Col | Place::Pair => self.read(id, index),
        }
    }

    /// A component out of its slot, where an integer lies limb by limb.
    fn handed(
        &self,
        id: ExprId,
        index: &Index,
        slot: &Slot,
        word: impl Fn(Index) -> String,
    ) -> String {
        let f = &self.plan.formula;
        match f.kind(id) {
            Kind::Real | Kind::Complex => word(index.shift(slot.base)),
            Kind::Int => {
                let limb = |n: usize| word(index.shift(slot.base + n * f.dim(id)));
                let limbs: Vec<String> = (0..ints::limbs(f, id)).map(limb).collect();
                format!("{}({})", int_type(f, id), limbs.join(", "))
            }
        }
    }

    fn constant(&self, id: ExprId) -> String {
        let value = self.plan.formula.as_const(id).expect("a constant leaf is a number");
        number(value)
    }

    /// Reads the arrays of the call.
    fn read(&self, id: ExprId, index: &Index) -> String {
        let f = &self.plan.formula;
        let (value, of) = match f.node(id) {
            Node::Input(n) => (*n as usize, ""),
            Node::Pos(_) => return "tf_pos(i0, step, r)".into(),
            _ => match self.known(id).expect("only inputs and earlier results are read") {
                // A point amid the rows of an input.
                value if value < self.plan.n_inputs => {
                    return format!("tf_centre(v[{value}], {index})");
                }
                // Results of earlier stages are kept as they were computed, whatever inputs hold.
                value => (value, "_temp"),
            },
        };
        let (read, param) = match f.kind(id) {
            Kind::Real | Kind::Complex => (format!("tf_read{of}"), format!("tf_read_param{of}")),
            Kind::Int => {
                let type_ = int_type(f, id);
                (format!("tf_read_int<{type_}>"), format!("tf_read_int_param<{type_}>"))
            }
        };
        match self.place {
            Place::Launch => format!("{param}(v[{value}], {index})"),
            _ => format!("{read}(v[{value}], {index}, i0, i1, step, r)"),
        }
    }

    /// A component of a value that only moves components of others.
    fn moved(&mut self, id: ExprId, index: &Index) -> String {
        let f = &self.plan.formula;
        let Node::Op(op, args, params) = f.node(id) else { unreachable!("only operations move") };
        let Emit::Move(source) = op.def().emit else {
            unreachable!("only moves are looked through")
        };
        let dims: Vec<usize> = args.iter().map(|&a| f.dim(a)).collect();
        match source(&dims, params, index.offset) {
            // Inside a loop the move is a shift (see `loopable`), so the loop variable stays.
            Some((n, component)) => {
                self.component(args[n], &Index { offset: component, ..index.clone() })
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
        index: &Index,
    ) -> String {
        match op.def().emit {
            Emit::Map(code) => {
                let code = self.on_way_to(id, op, code);
                let values = self.operands(args, index);
                let f = &self.plan.formula;
                let type_ = match f.kind(id) {
                    Kind::Real | Kind::Complex => "V",
                    Kind::Int => int_type(f, id),
                };
                self.write_op(type_, code, &values, params)
            }
            Emit::Parts(_) if op == Op::Sum && self.is_long(args[0]) => self.long_sum(args[0]),
            Emit::Parts(rule) => self.parts(id, rule, args, params, index.offset),
            Emit::Contract(rule) => match self.nest(id) {
                Some(_) => {
                    let array = self.fill(id);
                    self.entry(&array, index)
                }
                None => self.products(args, &rule(&self.dims(args), params), index.offset),
            },
            Emit::Move(_) | Emit::Expanded => {
                unreachable!("moves are looked through, composites expanded when they are built")
            }
        }
    }

    /// The same component of each argument. A number among integers is an integer.
    fn operands(&mut self, args: &[ExprId], index: &Index) -> Vec<String> {
        let f = &self.plan.formula;
        let integers = args.iter().any(|&a| f.kind(a) == Kind::Int);
        let operand = |&a: &ExprId| match ints::literal(f, a).filter(|_| integers) {
            Some(n) => int_number(n),
            None => self.component(a, index),
        };
        args.iter().map(operand).collect()
    }

    fn is_long(&self, id: ExprId) -> bool {
        self.plan.formula.dim(id) > self.unroll && self.loopable(id)
    }

    /// The sum of the components of a long value, in one loop.
    fn long_sum(&mut self, arg: ExprId) -> String {
        let total = self.bind(&number(0.0));
        let dim = self.plan.formula.dim(arg);
        self.repeat(arg, dim, |body, index| {
            let value = body.component(arg, &index);
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
        component: usize,
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
        values[out[component].0 as usize].clone()
    }

    /// Writes one operation into a new temporary.
    fn write_op(&mut self, type_: &str, code: &str, values: &[String], params: &[i64]) -> String {
        self.count(cost::of_code(code));
        if let Some(sum) = self.added_from_memory(code, values) {
            return self.bind_as(type_, &sum);
        }
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
        self.bind_as(type_, &out)
    }

    /// Counts operations for reports.
    pub fn count(&mut self, ops: f64) {
        self.ops += ops * self.weight;
    }
}

/// Where the rules of [`Emit::Parts`] write.
struct Writer<'a, 'b> {
    body: &'a mut Body<'b>,
    values: Vec<String>,
}

impl Writer<'_, '_> {
    fn read(&mut self, id: ExprId, component: usize) -> Part {
        let value = self.body.component(id, &Index::at(component));
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
        let value = self.body.write_op("V", code, &values, &[]);
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

/// The C++ type of an integer value.
pub fn int_type(f: &Formula, id: ExprId) -> &'static str {
    match ints::limbs(f, id) {
        2 => "tf_int2",
        _ => "tf_int3",
    }
}

/// An integer of all lanes as a C++ expression; literals have at most 53 bits.
fn int_number(value: i64) -> String {
    let type_ = if value.unsigned_abs() < 1 << 45 { "tf_int2" } else { "tf_int3" };
    format!("tf_int_c<{type_}>({value})")
}
