//! What a formula computes, in a name and in a line. Goes in: a formula. Comes out: text for
//! people, of bounded length. It never decides anything: two formulas may have one description.

use tilefold_compiler::ir::{ExprId, Formula, Node, literals};
use tilefold_compiler::ops::Op;

/// Operations that a name mentions.
const MENTIONED: usize = 2;

/// Operations that say little about a formula.
const PLAIN: &[Op] = &[Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Neg, Op::Inv, Op::Sum];

/// Most operations of a formula that reads well in one line.
const SHORT: usize = 24;

/// `sum_exp_sqdist`: the outermost reduction of the first output, and the operations that come
/// first on the way down.
pub(super) fn name(f: &Formula) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut fold = None;
    let mut seen = vec![false; f.len()];
    let mut todo: Vec<ExprId> = f.outputs.first().map(|output| output.expr).into_iter().collect();
    while let Some(id) = todo.pop() {
        if std::mem::replace(&mut seen[id.index()], true) {
            continue;
        }
        let word = match f.node(id) {
            Node::Reduce(r) => {
                fold.get_or_insert(r.reducer.def().name);
                None
            }
            Node::Op(..) if sqdist(f, id).is_some() => Some("sqdist"),
            Node::Op(op, ..) => Some(op.def().name).filter(|_| !PLAIN.contains(op)),
            Node::Input(_) | Node::Const(_) | Node::Pos(_) => None,
        };
        words.extend(word.filter(|word| !words.contains(word)));
        let first = todo.len();
        match sqdist(f, id) {
            Some(args) => todo.extend(args),
            None => todo.extend(f.node(id).args()),
        }
        todo[first..].reverse();
        if words.len() == MENTIONED && fold.is_some() {
            break;
        }
    }
    words.truncate(MENTIONED);
    words.insert(0, fold.unwrap_or("map"));
    words.join("_")
}

/// `` `a = sum[j](exp(-p * sqdist(x, y)) * b)` ``, or how long that would be.
pub(super) fn doc(f: &Formula) -> String {
    let mut sizes = vec![0_usize; f.len()];
    for id in f.ids() {
        let below = f.node(id).args().map(|arg| sizes[arg.index()]);
        sizes[id.index()] = below.fold(1, usize::saturating_add);
    }
    let size = f.outputs.iter().map(|o| sizes[o.expr.index()]).fold(0, usize::saturating_add);
    if size > 2 * SHORT {
        let live = f.reachable(f.outputs.iter().map(|o| o.expr)).into_iter().filter(|&live| live);
        return format!("{} of {} values", name(f), live.count());
    }
    let outputs = f.outputs.iter().map(|o| format!("`{} = {}`", o.name, spell(f, o.expr)));
    outputs.collect::<Vec<_>>().join(", ")
}

/// The arguments of a squared distance, which formulas have in three operations.
fn sqdist(f: &Formula, id: ExprId) -> Option<[ExprId; 2]> {
    let only = |id: ExprId, wanted: Op| match f.node(id) {
        Node::Op(op, args, _) if *op == wanted => Some(args.as_slice()),
        _ => None,
    };
    let square = only(id, Op::Sum)?[0];
    let gap = only(square, Op::Square)?[0];
    only(gap, Op::Sub)?.try_into().ok()
}

fn spell(f: &Formula, id: ExprId) -> String {
    if let Some([x, y]) = sqdist(f, id) {
        return format!("sqdist({}, {})", spell(f, x), spell(f, y));
    }
    let list = |args: &[ExprId]| args.iter().map(|&arg| spell(f, arg)).collect::<Vec<_>>();
    match f.node(id) {
        Node::Input(n) => f.inputs[*n as usize].name.clone(),
        Node::Const(value) => value.get().to_string(),
        Node::Pos(axis) => format!("pos({axis})"),
        Node::Op(op, args, params) => {
            let args = list(args);
            let sign = match op {
                Op::Add => "+",
                Op::Sub => "-",
                Op::Mul => "*",
                Op::Div => "/",
                _ => {
                    let all: Vec<String> = args.into_iter().chain(literals(*op, params)).collect();
                    return format!("{}({})", op.def().name, all.join(", "));
                }
            };
            format!("({} {sign} {})", args[0], args[1])
        }
        Node::Reduce(r) => {
            let mask = r.mask.map_or_else(String::new, |m| format!(" where {}", spell(f, m)));
            let k = if r.k > 0 { format!("; {}", r.k) } else { String::new() };
            let args = list(&r.args).join(", ");
            format!("{}[{}{k}{mask}]({args})", r.reducer.def().name, r.axis)
        }
    }
}
