//! The example in a method's documentation: a call on a few readable numbers, and what comes out
//! according to the op list. In: a method. Out: lines of Rust that run as a doctest.

use tilefold_compiler::ir::eval::{Matrix, evaluate};
use tilefold_compiler::ir::{ExprId, Formula, Kind};
use tilefold_compiler::ops::{Op, lists, same_or_one};

use crate::calls::{Call, calls, is_smooth, sample};
use crate::rng::Rng;

use super::signature::operands;
use super::table::{Literal, Method};

/// One list for each argument, and the literals.
type Shown = (Op, &'static [&'static [f64]], &'static [i64]);

/// Calls that say more than numbers drawn from the operation's domain would.
const SHOWN: &[Shown] = &[
    (Op::Pow, &[&[1.5, -2.0]], &[3]),
    (Op::Abs, &[&[-1.5, 2.0]], &[]),
    (Op::Sign, &[&[-1.5, 2.0]], &[]),
    (Op::Step, &[&[-1.5, 2.0]], &[]),
    (Op::Relu, &[&[-1.5, 2.0]], &[]),
    (Op::Floor, &[&[-1.5, 2.7]], &[]),
    (Op::Trunc, &[&[-1.5, 2.7]], &[]),
    (Op::Ceil, &[&[-1.5, 2.7]], &[]),
    (Op::Round, &[&[-1.34, 0.26]], &[1]),
    (Op::Mod, &[&[7.5, -1.0], &[3.0], &[0.0]], &[]),
    (Op::Fmod, &[&[7.5, -1.0], &[3.0]], &[]),
    (Op::Clamp, &[&[-1.5, 0.3], &[-1.0], &[1.0]], &[]),
    (Op::IfElse, &[&[-1.5, 2.0], &[3.0, 4.0], &[0.0]], &[]),
    (Op::Where, &[&[0.0, 2.0], &[3.0, 4.0], &[-1.0]], &[]),
    (Op::Eq, &[&[1.0, 2.0], &[1.0, 3.0]], &[]),
    (Op::Ne, &[&[1.0, 2.0], &[1.0, 3.0]], &[]),
    (Op::Lt, &[&[1.0, 3.0], &[2.0, 3.0]], &[]),
    (Op::Le, &[&[1.0, 3.0], &[2.0, 3.0]], &[]),
    (Op::And, &[&[0.0, 2.0], &[3.0, 4.0]], &[]),
    (Op::Or, &[&[0.0, 2.0], &[0.0, 4.0]], &[]),
    (Op::Atan2, &[&[1.0, -1.0], &[0.0, -2.0]], &[]),
    (Op::Sinc, &[&[0.5, 1.0]], &[]),
    (Op::Polygamma, &[&[1.0, 2.5]], &[2]),
    (Op::Elem, &[&[1.5, 2.5, 3.5]], &[1]),
    (Op::Extract, &[&[1.5, 2.5, 3.5, 4.5]], &[1, 2]),
    (Op::OneHot, &[&[1.0]], &[3]),
    (Op::Pick, &[&[1.5, 2.5, 3.5]], &[4, 2, 0, 0, 1]),
    (Op::Concat, &[&[1.0, 2.0], &[3.0, 4.0]], &[]),
    (Op::Reverse, &[&[1.0, 2.0, 3.0]], &[]),
    (Op::Transpose, &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]], &[2]),
    (Op::CumSum, &[&[1.0, 2.0, 3.0]], &[]),
    (Op::CumProd, &[&[2.0, 3.0, 4.0]], &[]),
    (Op::Scan, &[&[0.0, 0.5, 0.5], &[1.0, 1.0, 1.0]], &[]),
    (Op::MatMul, &[&[1.0, 2.0, 3.0, 4.0], &[1.0, -1.0]], &[2, 2, 1]),
    (Op::MatVecMult, &[&[1.0, 2.0, 3.0, 4.0], &[1.0, -1.0]], &[]),
    (Op::VecMatMult, &[&[1.0, -1.0], &[1.0, 2.0, 3.0, 4.0]], &[]),
    (Op::TensorProd, &[&[1.0, 2.0], &[3.0, 4.0]], &[]),
    (Op::Trace, &[&[1.0, 2.0, 3.0, 4.0]], &[]),
    (Op::Cross, &[&[1.0, 0.0, 0.0], &[0.0, 1.0, 0.0]], &[]),
    (Op::Det, &[&[1.0, 2.0, 3.0, 4.0]], &[]),
    (Op::Inverse, &[&[1.0, 2.0, 3.0, 4.0]], &[]),
    (Op::Solve, &[&[1.0, 2.0, 3.0, 4.0], &[5.0, 11.0]], &[]),
    (
        Op::TensorDot,
        &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]],
        &[2, 2, 3, 2, 3, 2, 1, 1, 1, 0],
    ),
    (Op::Kron, &[&[1.0, 2.0], &[1.0, 0.0, -1.0]], &[1, 2, 1, 3]),
    (Op::BSpline, &[&[0.0, 1.0, 2.0, 3.0, 4.0], &[1.25]], &[1]),
    (Op::SoftMinRows, &[&[1.0, 2.0, 3.0, 0.5], &[0.5]], &[2]),
    (Op::SoftDtwSqDist, &[&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 4.0], &[0.1]], &[]),
    (Op::WeightedSqNorm, &[&[0.5, 2.0], &[3.0, -1.0]], &[]),
    (Op::WeightedSqDist, &[&[0.5, 2.0], &[3.0, -1.0], &[1.0, 1.0]], &[]),
];

/// Operations that are shown on complex numbers, which they are about.
const OF_COMPLEX: &[Op] = &[Op::Real, Op::Imag, Op::Conj, Op::Angle, Op::AsReal];

/// The example's lines, fences included.
///
/// # Errors
/// When the operation does not take the call that was chosen for it.
pub fn lines(method: &Method) -> Result<Vec<String>, String> {
    let (call, args) = shown(method.op);
    let (value, kind) = result(method, &call, &args)?;
    let mut lines = vec!["```".to_string(), "use ndarray::array;".to_string()];
    lines.push("use tilefold::{Axis, LazyTensor};".into());
    lines.push(String::new());
    let (mut spelled, mut arrays) = (Vec::new(), Vec::new());
    let others = operands(method);
    for (&name, arg) in method.args.iter().zip(&args) {
        // A number may stand for a scalar; it is one for every operand but the first.
        let number = arg.len() == 1 && name != "self";
        let variable = match name {
            "self" => "x",
            _ if number => "",
            _ => ["y", "z"][others.iter().position(|other| *other == name).unwrap_or(0)],
        };
        if !number {
            arrays.push(format!("let {variable} = array![[{}]];", numbers(arg)));
        }
        spelled.push(match name {
            _ if number => format!("{:?}", arg[0]),
            "self" => variable.to_string(),
            _ => format!("LazyTensor::j({variable}.view())"),
        });
    }
    let place = |name: &str| method.args.iter().position(|arg| *arg == name).unwrap_or(0);
    let mut given: Vec<String> =
        operands(method).iter().map(|name| spelled[place(name)].clone()).collect();
    given.extend(literals(method, &call.params));
    let complex = if is_of_complex(method.op) { ".as_complex()" } else { "" };
    let real = if kind == Kind::Complex { ".as_real()" } else { "" };
    let axis = if arrays.len() == 1 { "j" } else { "i" };
    arrays.sort();
    lines.extend(arrays);
    lines.push(format!("let x = LazyTensor::{axis}(x.view()){complex};"));
    lines.push(format!("let e = x.{}({}){real};", method.name, given.join(", ")));
    lines.push("let e = e.sum(Axis::J).eval()?;".into());
    lines.push(format!("let expected = array![[{}]];", numbers(&value)));
    lines.push("assert!((e - expected).iter().all(|gap: &f64| gap.abs() < 1e-9));".into());
    lines.push("# Ok::<(), tilefold::Error>(())".into());
    lines.push("```".into());
    Ok(lines)
}

fn is_of_complex(op: Op) -> bool {
    OF_COMPLEX.contains(&op)
}

/// Numbers as Rust spells them, to 10 decimals.
pub fn numbers(values: &[f64]) -> String {
    let rounded = |v: f64| (v * 1e10).round() / 1e10 + 0.0;
    values.iter().map(|&v| format!("{:?}", rounded(v))).collect::<Vec<_>>().join(", ")
}

fn shown(op: Op) -> (Call, Vec<Vec<f64>>) {
    if let Some((_, args, params)) = SHOWN.iter().find(|shown| shown.0 == op) {
        let dims = args.iter().map(|arg| arg.len()).collect();
        let args = args.iter().map(|arg| arg.to_vec()).collect();
        return (Call { op, dims, params: params.to_vec() }, args);
    }
    let call = fitting(op);
    let args = readable(&call);
    (call, args)
}

/// A short call that fits, of more than scalars where there is one.
fn fitting(op: Op) -> Call {
    let def = op.def();
    if is_of_complex(op) {
        return Call { op, dims: vec![2], params: Vec::new() };
    }
    let pair = vec![2; def.arity];
    if def.arity == 3 && (def.shape)(&pair, &[]) == same_or_one(&pair, &[]) {
        return Call { op, dims: vec![2, 1, 1], params: Vec::new() };
    }
    if def.params == 0 && (def.shape)(&pair, &[]).is_ok() {
        return Call { op, dims: pair, params: Vec::new() };
    }
    let all = calls(op);
    let size = |call: &&Call| call.dims.iter().sum::<usize>();
    let longer = all.iter().filter(|call| size(call) > def.arity).min_by_key(size);
    longer.unwrap_or(&all[0]).clone()
}

/// Numbers of one decimal from the operation's domain, away from where it jumps or bends.
fn readable(call: &Call) -> Vec<Vec<f64>> {
    let mut rng = Rng::new(7);
    let inside = |place: usize, v: f64| {
        let (low, high) = call.op.def().domain.get(place).copied().unwrap_or((0.5, 1.0));
        low <= v && v <= high
    };
    loop {
        let mut args = sample(call, &mut rng);
        args.iter_mut().flatten().for_each(|v| *v = (*v * 10.0).round() / 10.0 + 0.0);
        let fits = |(place, arg): (usize, &Vec<f64>)| arg.iter().all(|&v| inside(place, v));
        let all_fit = args.iter().enumerate().all(fits);
        if all_fit && args.iter().flatten().all(|&v| v != 0.0) && is_smooth(call, &args, 0.04) {
            return args;
        }
    }
}

/// What comes out, as reals, and what kind it is.
fn result(method: &Method, call: &Call, args: &[Vec<f64>]) -> Result<(Vec<f64>, Kind), String> {
    let mut f = Formula::new("example");
    let said = |e: &dyn std::fmt::Display| format!("{}: {e}", method.name);
    let mut ids: Vec<ExprId> = Vec::new();
    for (n, arg) in args.iter().enumerate() {
        let id = f.input(&format!("x{n}"), None, arg.len()).map_err(|e| said(&e))?;
        ids.push(match is_of_complex(call.op) {
            true => f.op(Op::AsComplex, &[id], &[]).map_err(|e| said(&e))?,
            false => id,
        });
    }
    let mut value = f.op(call.op, &ids, &call.params).map_err(|e| said(&e))?;
    if method.pairs {
        value = f.op(Op::AsComplex, &[value], &[]).map_err(|e| said(&e))?;
    }
    let kind = f.kind(value);
    if kind == Kind::Complex {
        value = f.op(Op::AsReal, &[value], &[]).map_err(|e| said(&e))?;
    }
    f.output("e", None, value).map_err(|e| said(&e))?;
    let inputs: Vec<Matrix> =
        args.iter().map(|arg| Matrix { rows: 1, cols: arg.len(), data: arg.clone() }).collect();
    let mut all = evaluate(&f, 1, 1, &inputs).map_err(|e| said(&e))?;
    Ok((all.remove(0).data, kind))
}

fn literals(method: &Method, params: &[i64]) -> Vec<String> {
    match method.literals {
        [Literal::List(_), ..] => {
            let mut all = lists(params).unwrap_or_default();
            all.resize(method.literals.len(), &[]);
            all.iter().map(|list| format!("&{list:?}")).collect()
        }
        _ => params.iter().map(i64::to_string).collect(),
    }
}
