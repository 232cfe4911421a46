//! The canonical text of a formula, and its key.
//!
//! In goes a formula; out comes text that is itself a formula file, one `let` for each node, in
//! the function-call syntax: parsing it gives the same formula again. Only what the outputs need
//! is printed, in the order in which a walk from the outputs meets it, so the text depends on the
//! formula alone, not on the order in which its nodes were built. The names of inputs and outputs
//! are printed, for they are the call interface; the name of the formula and all documentation
//! are not. Never a simplification, never an address, a time or a path.

use std::fmt;
use std::fmt::Write as _;

use super::arena::{ExprId, Formula, Node, Reduction};
use super::types::Axis;

/// The identity of a formula: a hash of its canonical text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// The bytes of the hash.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The key of a formula.
pub fn key(f: &Formula) -> Key {
    Key(*blake3::hash(canonical_text(f).as_bytes()).as_bytes())
}

/// The canonical text of a formula.
pub fn canonical_text(f: &Formula) -> String {
    let mut text = String::from("tilefold 1;\nformula f {\n");
    for input in &f.inputs {
        let space = match input.dim {
            1 => String::from("R"),
            dim => format!("R^{dim}"),
        };
        line(&mut text, format_args!("{}{} : {space}", input.name, row(input.axis)));
    }
    let names = Names::new(f);
    for (id, name) in names.lets() {
        line(&mut text, format_args!("let {name} = {}", call(f, &names, id)));
    }
    for output in &f.outputs {
        let value = names.get(f, output.expr);
        line(&mut text, format_args!("{}{} = {value}", output.name, row(output.axis)));
    }
    text.push_str("}\n");
    text
}

fn line(text: &mut String, statement: fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  {statement};");
}

/// The index after a name: `[i]`, `[j]` or nothing.
fn row(axis: Option<Axis>) -> String {
    axis.map_or_else(String::new, |axis| format!("[{axis}]"))
}

/// How a node with a `let` of its own is computed.
fn call(f: &Formula, names: &Names, id: ExprId) -> String {
    match f.node(id) {
        Node::Op(op, args, params) => {
            let args = args.iter().map(|&a| names.get(f, a));
            let params = params.iter().map(i64::to_string);
            let list: Vec<String> = args.chain(params).collect();
            format!("{}({})", op.def().name, list.join(", "))
        }
        Node::Reduce(r) => fold(f, names, r),
        Node::Input(_) | Node::Const(_) | Node::Pos(_) => names.get(f, id),
    }
}

fn fold(f: &Formula, names: &Names, r: &Reduction) -> String {
    let def = r.reducer.def();
    let entries = if def.takes_k { format!("; {}", r.k) } else { String::new() };
    let mask = r.mask.map_or_else(String::new, |m| format!(" where {}", names.get(f, m)));
    let head = format!("{}[{}{entries}{mask}]", def.name, r.axis);
    let args: Vec<String> = r.args.iter().map(|&a| names.get(f, a)).collect();
    match args.as_slice() {
        [one] => format!("{head} {one}"),
        _ => format!("{head}({})", args.join(", ")),
    }
}

/// A number as it is read back to the same bits.
fn number(value: f64) -> String {
    match value {
        v if v.is_nan() => String::from("nan"),
        f64::INFINITY => String::from("inf"),
        f64::NEG_INFINITY => String::from("-inf"),
        v => format!("{v:?}"),
    }
}

/// The names of the nodes that get a `let`.
struct Names {
    prefix: String,
    order: Vec<ExprId>,
    /// The position in `order` of each node of the arena.
    rank: Vec<Option<usize>>,
}

impl Names {
    fn new(f: &Formula) -> Names {
        let order = walk(f);
        let mut rank = vec![None; f.len()];
        for (n, id) in order.iter().enumerate() {
            rank[id.index()] = Some(n);
        }
        Names { prefix: prefix(f), order, rank }
    }

    fn lets(&self) -> impl Iterator<Item = (ExprId, String)> + '_ {
        self.order.iter().enumerate().map(|(n, &id)| (id, format!("{}{n}", self.prefix)))
    }

    /// How an expression refers to a node.
    fn get(&self, f: &Formula, id: ExprId) -> String {
        match (f.node(id), self.rank[id.index()]) {
            (Node::Input(n), _) => f.inputs[*n as usize].name.clone(),
            (Node::Const(c), _) => number(c.get()),
            (Node::Pos(axis), _) => format!("pos({axis})"),
            (Node::Op(..) | Node::Reduce(_), rank) => {
                let n = rank.unwrap_or_else(|| panic!("internal: {id} was not walked"));
                format!("{}{n}", self.prefix)
            }
        }
    }
}

/// The operations and reductions that the outputs need, arguments first.
fn walk(f: &Formula) -> Vec<ExprId> {
    let mut order = Vec::new();
    let mut seen = vec![false; f.len()];
    let mut todo: Vec<(ExprId, bool)> = f.outputs.iter().rev().map(|o| (o.expr, false)).collect();
    while let Some((id, finished)) = todo.pop() {
        if finished {
            order.push(id);
            continue;
        }
        let named = matches!(f.node(id), Node::Op(..) | Node::Reduce(_));
        if named && !std::mem::replace(&mut seen[id.index()], true) {
            todo.push((id, true));
            let first = todo.len();
            todo.extend(f.node(id).args().map(|a| (a, false)));
            todo[first..].reverse();
        }
    }
    order
}

/// The letter of `let` names, lengthened until no input or output could have such a name.
fn prefix(f: &Formula) -> String {
    let names = f.inputs.iter().map(|i| &i.name).chain(f.outputs.iter().map(|o| &o.name));
    let longest = names.filter_map(|name| {
        let rest = name.strip_prefix('v')?.trim_end_matches(|c: char| c.is_ascii_digit());
        rest.chars().all(|c| c == '_').then_some(rest.len())
    });
    format!("v{}", "_".repeat(longest.max().map_or(0, |n| n + 1)))
}
