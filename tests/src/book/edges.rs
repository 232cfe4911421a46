//! What operations and reductions give at the edges, by evaluating them.

use tilefold_compiler::ir::literals;
use tilefold_compiler::ops::Op;
use tilefold_compiler::reduce::{Reducer, Row};

use crate::calls::{Call, calls};

/// The edges, with their names.
const EDGES: &[(&str, f64)] = &[
    ("0", 0.0),
    ("-0", -0.0),
    ("1", 1.0),
    ("-1", -1.0),
    ("inf", f64::INFINITY),
    ("-inf", f64::NEG_INFINITY),
    ("NaN", f64::NAN),
];

fn number(value: f64) -> String {
    match value {
        v if v.is_nan() => "NaN".into(),
        v if v == v.trunc() && v.abs() < 1e15 => format!("{v:.0}"),
        v if v.abs() < 1e-3 => format!("{v:.3e}…"),
        v => {
            let short = format!("{v:.6}");
            if short.parse() == Ok(v) { short } else { format!("{v:.6}…") }
        }
    }
}

fn vector(values: &[f64]) -> String {
    let all: Vec<String> = values.iter().map(|&v| number(v)).collect();
    match all.as_slice() {
        [one] => one.clone(),
        _ => format!("({})", all.join(", ")),
    }
}

fn apply(op: Op, args: &[Vec<f64>], params: &[i64]) -> Option<Vec<f64>> {
    let dims: Vec<usize> = args.iter().map(Vec::len).collect();
    let mut out = vec![0.0; (op.def().shape)(&dims, params).ok()?];
    let args: Vec<&[f64]> = args.iter().map(Vec::as_slice).collect();
    (op.def().eval)(&args, params, &mut out);
    Some(out)
}

/// Lines about an operation: a table for component-wise operations of two arguments, else one line
/// in which the first component of the first argument goes through the edges.
pub fn of(op: Op) -> Vec<String> {
    let all = calls(op);
    // A scalar reads best where the operation works on any number of components alike.
    let one = vec![1; op.def().arity];
    let literals = &all[all.len() - 1].params;
    let any = |dim: usize| (op.def().shape)(&vec![dim; op.def().arity], literals) == Ok(dim);
    let call = match literals.len() == op.def().params && any(1) && any(3) {
        true => &Call { op, dims: one, params: literals.clone() },
        false => &all[all.len() / 2],
    };
    let component_wise = || {
        (op.def().shape)(&[3, 3], literals) == Ok(3) && (op.def().shape)(&[1, 3], literals) == Ok(3)
    };
    match op.def().arity {
        2 if literals.is_empty() && component_wise() => vec![table(op)],
        _ => line(call).into_iter().collect(),
    }
}

fn line(call: &Call) -> Option<String> {
    // Other components are numbers that no two edges share.
    let mut args: Vec<Vec<f64>> = Vec::new();
    for (n, &dim) in call.dims.iter().enumerate() {
        args.push((0..dim).map(|k| [2.0, 3.0, 5.0][(n + k) % 3]).collect());
    }
    let mut results = Vec::new();
    for &(name, edge) in EDGES {
        args[0][0] = edge;
        let out = apply(call.op, &args, &call.params)?;
        results.push(format!("{name} → {}", vector(&out)));
    }
    let others = |(n, arg): (usize, &Vec<f64>)| {
        let start = usize::from(n == 0);
        let shown: Vec<String> = arg[start..].iter().map(|&v| number(v)).collect();
        match (n, shown.len()) {
            (0, 0) => "x".into(),
            (0, _) => format!("(x, {})", shown.join(", ")),
            (_, 1) => shown[0].clone(),
            _ => format!("({})", shown.join(", ")),
        }
    };
    let mut shown: Vec<String> = args.iter().enumerate().map(others).collect();
    shown.extend(literals(call.op, &call.params));
    let at = match (args.len(), args[0].len(), call.params.len()) {
        (1, 1, 0) => String::new(),
        _ => format!("`{}({})` at x: ", call.op.def().name, shown.join(", ")),
    };
    Some(format!("{at}{}", results.join(", ")))
}

/// Rows are the first argument, columns the second.
fn table(op: Op) -> String {
    let heads: Vec<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    let mut out = String::from("f down, g across\n\n");
    out +=
        &format!("  | f \\ g | {} |\n  |---{}|\n", heads.join(" | "), "|---".repeat(heads.len()));
    for &(name, f) in EDGES {
        let cell = |&(_, g): &(&str, f64)| {
            apply(op, &[vec![f], vec![g]], &[]).map_or_else(String::new, |v| vector(&v))
        };
        let cells: Vec<String> = EDGES.iter().map(cell).collect();
        out += &format!("  | **{name}** | {} |\n", cells.join(" | "));
    }
    out
}

fn fold(reducer: Reducer, values: &[f64]) -> String {
    let def = reducer.def();
    let k = if def.takes_k { 2 } else { 0 };
    let row = |(n, &v): (usize, &f64)| Row {
        index: n as i64,
        args: if def.arity == 1 { vec![vec![v]] } else { vec![vec![v], vec![2.0]] },
    };
    let rows: Vec<Row> = values.iter().enumerate().map(row).collect();
    let mut out = vec![0.0; (def.shape)(&vec![1; def.arity], k).unwrap_or(1)];
    (def.eval)(&rows, k, &mut out);
    vector(&out)
}

/// What a reduction of no rows gives.
pub fn empty(reducer: Reducer) -> String {
    let def = reducer.def();
    let least = (def.least_rows)(2);
    let masked = fold(reducer, &[]);
    match (least, def.takes_k) {
        (0, _) => masked,
        (_, false) => {
            format!("fewer than {least} rows are an error; {masked} where a mask leaves none")
        }
        (_, true) => format!("fewer than k rows are an error; {masked} where a mask leaves none"),
    }
}

/// Lines about a reduction of two or three rows.
pub fn of_reduction(reducer: Reducer) -> Vec<String> {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let weight = if reducer.def().arity == 2 { ", all weights 2" } else { "" };
    let rows: &[&[f64]] =
        &[&[1.0, 1.0], &[-0.0, -0.0], &[1.0, nan], &[1.0, inf], &[-inf, -inf], &[inf, -inf]];
    let line = |row: &&[f64]| format!("{} → {}", vector(row), fold(reducer, row));
    let all: Vec<String> = rows.iter().map(line).collect();
    vec![format!("of two rows{weight}: {}", all.join(", "))]
}
