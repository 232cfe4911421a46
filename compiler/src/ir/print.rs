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

use crate::ops::{LISTS, Op, lists};

use super::arena::{ExprId, Formula, Node, Reduction};
use super::types::Axis;

/// The identity of a formula: a hash of its canonical text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of the formula that has this canonical text.
    pub fn of_text(canonical: &str) -> Key {
        Key(*blake3::hash(canonical.as_bytes()).as_bytes())
    }

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
    Key::of_text(&canonical_text(f))
}

/// The canonical text of a formula.
pub fn canonical_text(f: &Formula) -> String {
    let acc = f.acc.name().map_or_else(String::new, |name| format!("acc {name} "));
    let relaxed = if f.relaxed { "relaxed " } else { "" };
    let mut text = format!("tilefold 1;\nformula f {acc}{relaxed}{{\n");
    for input in &f.inputs {
        let space = input.kind.space(input.dim);
        line(&mut text, format_args!("{}{} : {space}", input.name, row(input.axis)));
    }
    for name in unused(f) {
        line(&mut text, format_args!("let _ = {name}"));
    }
    let names = Names::new(f);
    for (id, name) in names.lets() {
        line(&mut text, format_args!("let {name} = {}", call(f, id, &|a| names.get(f, a))));
    }
    for output in &f.outputs {
        let value = names.get(f, output.expr);
        line(&mut text, format_args!("{}{} = {value}", output.name, row(output.axis)));
    }
    text.push_str("}\n");
    text
}

/// The inputs that no output needs: a formula file says so, or it is taken for a mistake.
fn unused(f: &Formula) -> impl Iterator<Item = &str> {
    let reachable = f.reachable(f.outputs.iter().map(|o| o.expr));
    let mut used = vec![false; f.inputs.len()];
    for id in f.ids().filter(|id| reachable[id.index()]) {
        if let Node::Input(n) = f.node(id) {
            used[*n as usize] = true;
        }
    }
    f.inputs.iter().zip(used).filter(|(_, used)| !used).map(|(input, _)| input.name.as_str())
}

fn line(text: &mut String, statement: fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  {statement};");
}

/// The index after a name: `[i]`, `[j]` or nothing.
fn row(axis: Option<Axis>) -> String {
    axis.map_or_else(String::new, |axis| format!("[{axis}]"))
}

/// One node in function-call syntax; `name` says how it refers to its arguments.
pub(crate) fn call(f: &Formula, id: ExprId, name: &dyn Fn(ExprId) -> String) -> String {
    match f.node(id) {
        Node::Op(op, args, params) => {
            let args = args.iter().map(|&a| name(a));
            let list: Vec<String> = args.chain(literals(*op, params)).collect();
            format!("{}({})", op.def().name, list.join(", "))
        }
        Node::Reduce(r) => fold(r, name),
        Node::Input(_) | Node::Const(_) | Node::Pos(_) => leaf(f, id).unwrap_or_default(),
    }
}

/// The literal parameters of an operation, as they are written.
pub fn literals(op: Op, params: &[i64]) -> Vec<String> {
    let numbers = |list: &[i64]| list.iter().map(i64::to_string).collect::<Vec<_>>();
    match op.def().params {
        LISTS => {
            let all = lists(params).unwrap_or_default();
            all.into_iter().map(|list| format!("[{}]", numbers(list).join(", "))).collect()
        }
        _ => numbers(params),
    }
}

fn fold(r: &Reduction, name: &dyn Fn(ExprId) -> String) -> String {
    let def = r.reducer.def();
    let entries = if def.takes_k { format!("; {}", r.k) } else { String::new() };
    let mask = r.mask.map_or_else(String::new, |m| format!(" where {}", name(m)));
    let head = format!("{}[{}{entries}{mask}]", def.name, r.axis);
    let args: Vec<String> = r.args.iter().map(|&a| name(a)).collect();
    match args.as_slice() {
        [one] => format!("{head} {one}"),
        _ => format!("{head}({})", args.join(", ")),
    }
}

/// A node that needs no name of its own.
pub(crate) fn leaf(f: &Formula, id: ExprId) -> Option<String> {
    match f.node(id) {
        Node::Input(n) => Some(f.inputs[*n as usize].name.clone()),
        Node::Const(c) => Some(number(c.get())),
        Node::Pos(axis) => Some(format!("pos({axis})")),
        Node::Op(..) | Node::Reduce(_) => None,
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
        leaf(f, id).unwrap_or_else(|| {
            let rank = self.rank[id.index()];
            let n = rank.unwrap_or_else(|| panic!("internal: {id} was not walked"));
            format!("{}{n}", self.prefix)
        })
    }
}

/// The operations and reductions that the outputs need, arguments first.
pub(super) fn walk(f: &Formula) -> Vec<ExprId> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reduce::Reducer;

    fn reduce(f: &mut Formula, reducer: Reducer, args: &[ExprId]) -> ExprId {
        let k = if reducer.def().takes_k { 3 } else { 0 };
        let args = args.to_vec();
        f.reduce(Reduction { reducer, axis: Axis::J, args, mask: None, k }).expect("fits")
    }

    /// A formula with inputs of every kind, of the given names.
    fn start(names: [&str; 3]) -> (Formula, [ExprId; 3]) {
        let mut f = Formula::new("anything");
        let x = f.input(names[0], Some(Axis::I), 3).expect("valid");
        let y = f.input(names[1], Some(Axis::J), 3).expect("valid");
        let g = f.input(names[2], None, 1).expect("valid");
        (f, [x, y, g])
    }

    #[test]
    fn gaussian() {
        let (mut f, [x, y, g]) = start(["x", "y", "gamma"]);
        f.doc = "Not printed.".into();
        let d = f.apply(Op::SqDist, &[x, y], &[]);
        let unused = f.square(d);
        let minus = f.neg(g);
        let scaled = f.mul(minus, d);
        let k = f.apply(Op::Exp, &[scaled], &[]);
        let sum = f.sum_over(Axis::J, k);
        f.output("a", Some(Axis::I), sum).expect("fits");
        assert!(f.len() > unused.index());
        let expected = "tilefold 1;
formula f {
  x[i] : R^3;
  y[j] : R^3;
  gamma : R;
  let v0 = neg(gamma);
  let v1 = sub(x, y);
  let v2 = square(v1);
  let v3 = sum(v2);
  let v4 = mul(v0, v3);
  let v5 = exp(v4);
  let v6 = sum[j] v5;
  a[i] = v6;
}
";
        assert_eq!(canonical_text(&f), expected);
    }

    #[test]
    fn reductions_masks_and_parameters() {
        let (mut f, [x, y, g]) = start(["x", "y", "g"]);
        let two = f.apply(Op::Extract, &[y], &[0, 2]);
        let (i, j) = (f.pos(Axis::I), f.pos(Axis::J));
        let mask = f.apply(Op::Lt, &[j, i], &[]);
        let near = Reduction {
            reducer: Reducer::KMin,
            axis: Axis::J,
            args: vec![two],
            mask: Some(mask),
            k: 10,
        };
        let near = f.reduce(near).expect("fits");
        let count = Reduction { mask: Some(mask), ..of(&mut f, Reducer::Sum, 1.0) };
        let count = f.reduce(count).expect("fits");
        let best = reduce(&mut f, Reducer::ArgKMin, &[g]);
        let score = reduce(&mut f, Reducer::LogSumExpWeight, &[g, x]);
        let lowest = Reduction { axis: Axis::I, ..of(&mut f, Reducer::Min, -2.0) };
        let lowest = f.reduce(lowest).expect("fits");
        for (name, value) in [("a", near), ("b", count), ("c", best), ("d", score)] {
            f.output(name, Some(Axis::I), value).expect("fits");
        }
        f.output("e", None, lowest).expect("fits");
        f.output("h", Some(Axis::J), y).expect("fits");
        let expected = "tilefold 1;
formula f {
  x[i] : R^3;
  y[j] : R^3;
  g : R;
  let v0 = extract(y, 0, 2);
  let v1 = lt(pos(j), pos(i));
  let v2 = kmin[j; 10 where v1] v0;
  let v3 = sum[j where v1] 1.0;
  let v4 = argkmin[j; 3] g;
  let v5 = logsumexp[j](g, x);
  let v6 = min[i] -2.0;
  a[i] = v2;
  b[i] = v3;
  c[i] = v4;
  d[i] = v5;
  e = v6;
  h[j] = y;
}
";
        assert_eq!(canonical_text(&f), expected);
    }

    fn of(f: &mut Formula, reducer: Reducer, value: f64) -> Reduction {
        let args = vec![f.constant(value)];
        Reduction { reducer, axis: Axis::J, args, mask: None, k: 0 }
    }

    #[test]
    fn numbers_are_read_back_to_the_same_bits() {
        let inf = f64::INFINITY;
        let table = [(f64::NAN, "nan"), (-f64::NAN, "nan"), (inf, "inf"), (-inf, "-inf")];
        for (value, text) in table {
            assert_eq!(number(value), text);
        }
        for (value, text) in [
            (-0.0, "-0.0"),
            (-2.0, "-2.0"),
            (0.1, "0.1"),
            (1e300, "1e300"),
            (5e-324, "5e-324"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(number(value), text);
            assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()));
        }
    }

    #[test]
    fn names_of_lets_avoid_those_of_the_user() {
        let cases = [
            (["x", "y", "g"], "v0"),
            (["v0", "y", "g"], "v_0"),
            (["x", "v", "g"], "v_0"),
            (["v_12", "v1", "g"], "v__0"),
            (["vx0", "v_y", "g"], "v0"),
        ];
        for (names, expected) in cases {
            let (mut f, [x, ..]) = start(names);
            let square = f.square(x);
            f.output("a", Some(Axis::I), square).expect("fits");
            let text = canonical_text(&f);
            let first = format!("let {expected} = square({});", names[0]);
            assert!(text.contains(&first), "{text}");
        }
    }

    /// `exp(g) * x + log(g)`, its halves built in either order, under some names.
    fn sample(swapped: bool, name: &str, output: &str, number: f64) -> Formula {
        let (mut f, [x, _, g]) = start(["x", "y", "g"]);
        f.name = name.into();
        let mut parts = [Op::Exp, Op::Log];
        if swapped {
            parts.reverse();
        }
        let mut built = parts.map(|op| f.apply(op, &[g], &[]));
        if swapped {
            built.reverse();
        }
        let product = f.mul(built[0], x);
        let scaled = f.scale(number, built[1]);
        let total = f.add(product, scaled);
        f.output(output, Some(Axis::I), total).expect("fits");
        f
    }

    #[test]
    fn the_key_depends_on_the_formula_alone() {
        let base = key(&sample(false, "f", "a", 2.0));
        assert_eq!(base, key(&sample(true, "other", "a", 2.0)));
        assert_ne!(base, key(&sample(false, "f", "b", 2.0)));
        assert_ne!(base, key(&sample(false, "f", "a", 2.0000000000000004)));
        let mut relaxed = sample(false, "f", "a", 2.0);
        relaxed.relaxed = true;
        assert_ne!(base, key(&relaxed));
        assert!(canonical_text(&relaxed).contains("formula f relaxed {\n"));
        let hex = base.to_string();
        assert_eq!(hex.len(), 64);
        assert_eq!(hex[..2], format!("{:02x}", base.bytes()[0]));
    }

    #[test]
    fn shared_nodes_of_a_deep_formula_are_printed_once() {
        let (mut f, [x, ..]) = start(["x", "y", "g"]);
        let top = (0..10_000).fold(x, |v, _| f.add(v, v));
        f.output("a", Some(Axis::I), top).expect("fits");
        assert_eq!(canonical_text(&f).matches("let v").count(), 10_000);
    }
}
