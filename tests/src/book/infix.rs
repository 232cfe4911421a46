//! Values of a formula as people write them.

use tilefold_compiler::ir::{ExprId, Formula, Node, literals};
use tilefold_compiler::ops::Op;

/// How tightly an operator binds; calls and names bind tightest.
const SUM: u8 = 1;
const PRODUCT: u8 = 2;
const SIGN: u8 = 3;
const CALL: u8 = 4;

/// Most operations of a value that reads well in one line.
const LONGEST: f64 = 30.0;

/// The text of a value, or how long it would be.
pub fn short(f: &Formula, id: ExprId) -> String {
    let mut sizes = vec![0.0; f.len()];
    for id in f.ids() {
        let below: f64 = f.node(id).args().map(|a| sizes[a.index()]).sum();
        sizes[id.index()] = below + f64::from(f.node(id).args().next().is_some());
    }
    match sizes[id.index()] {
        size if size <= LONGEST => format!("`{}`", text(f, id)),
        _ => {
            let live = f.reachable([id]).into_iter().filter(|&live| live).count();
            format!("a formula of {live} values, some of which are used several times")
        }
    }
}

/// The text of a value.
fn text(f: &Formula, id: ExprId) -> String {
    spell(f, id).0
}

fn spell(f: &Formula, id: ExprId) -> (String, u8) {
    match f.node(id) {
        Node::Input(n) => (f.inputs[*n as usize].name.clone(), CALL),
        Node::Const(c) => (number(c.get()), if c.get() < 0.0 { SIGN } else { CALL }),
        Node::Pos(axis) => (format!("pos({axis})"), CALL),
        Node::Op(op, args, params) => operation(f, *op, args, params),
        Node::Reduce(r) => {
            let mask = r.mask.map_or_else(String::new, |m| format!(" where {}", text(f, m)));
            let args: Vec<String> = r.args.iter().map(|&a| text(f, a)).collect();
            let head = format!("{}[{}{mask}]", r.reducer.def().name, r.axis);
            (format!("{head}({})", args.join(", ")), CALL)
        }
    }
}

fn number(c: f64) -> String {
    if c.is_nan() { "nan".into() } else { format!("{c}") }
}

fn operation(f: &Formula, op: Op, args: &[ExprId], params: &[i64]) -> (String, u8) {
    let at_least = |id: ExprId, level: u8| match spell(f, id) {
        (text, found) if found >= level => text,
        (text, _) => format!("({text})"),
    };
    match op {
        Op::Add => (format!("{} + {}", at_least(args[0], SUM), at_least(args[1], SUM)), SUM),
        Op::Sub => (format!("{} - {}", at_least(args[0], SUM), at_least(args[1], PRODUCT)), SUM),
        Op::Mul => {
            (format!("{} * {}", at_least(args[0], PRODUCT), at_least(args[1], SIGN)), PRODUCT)
        }
        Op::Div => {
            (format!("{} / {}", at_least(args[0], PRODUCT), at_least(args[1], SIGN)), PRODUCT)
        }
        Op::Neg => (format!("-{}", at_least(args[0], CALL)), SIGN),
        Op::Inv => (format!("1 / {}", at_least(args[0], SIGN)), PRODUCT),
        _ => {
            let all = args.iter().map(|&a| text(f, a)).chain(literals(op, params));
            (format!("{}({})", op.def().name, all.collect::<Vec<_>>().join(", ")), CALL)
        }
    }
}
