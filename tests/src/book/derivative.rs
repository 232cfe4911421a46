//! Derivatives as text: the vector-Jacobian product of one call on fresh inputs, simplified.

use tilefold_compiler::ir::{Axis, BuildError, ExprId, Formula, Kind, Reduction, literals};
use tilefold_compiler::ops::{Grad, Op};
use tilefold_compiler::passes::{Fired, simplify, vjp};
use tilefold_compiler::reduce::{ReduceGrad, Reducer};

use crate::calls::{Call, calls};

use super::infix;

const NAMES: [&str; 5] = ["f", "g", "h", "u", "v"];

/// A line for each argument, or one that says why there is none.
pub fn of(op: Op) -> Vec<String> {
    if matches!(op.def().grad, Grad::Zero) {
        return vec!["zero wherever it exists".into()];
    }
    let all = calls(op);
    // Dims of 1 read best, where the operation takes them and means something.
    let call = all.iter().find(|c| c.dims.iter().any(|&d| d > 1)).unwrap_or(&all[0]);
    let wise = call.params.len() == op.def().params
        && (op.def().shape)(&vec![1; op.def().arity], &call.params) == Ok(1)
        && (op.def().shape)(&vec![3; op.def().arity], &call.params) == Ok(3);
    let call = if wise {
        let dims = vec![1; op.def().arity];
        &Call { op, dims, params: all[all.len() - 1].params.clone() }
    } else {
        call
    };
    let mut lines = adjoints(call);
    if !wise || !call.params.is_empty() {
        let shown = spelled(call);
        lines.iter_mut().for_each(|line| *line = format!("{line} for {shown}"));
    }
    lines
}

fn start(call: &Call, axis: Option<Axis>) -> (Formula, Vec<ExprId>) {
    let mut f = Formula::new("book");
    let dims = call.dims.iter().enumerate();
    let args = dims.map(|(n, &dim)| f.input(NAMES[n], axis, dim).expect("a small dim")).collect();
    (f, args)
}

/// The call with the dims of its arguments.
fn spelled(call: &Call) -> String {
    let args = call.dims.iter().enumerate().map(|(n, dim)| match dim {
        1 => format!("{} : R", NAMES[n]),
        _ => format!("{} : R^{dim}", NAMES[n]),
    });
    let params = literals(call.op, &call.params);
    format!("`{}({})`", call.op.def().name, args.chain(params).collect::<Vec<_>>().join(", "))
}

/// `f`: its adjoint.
fn adjoints(call: &Call) -> Vec<String> {
    let (mut f, args) = start(call, None);
    match typed(&mut f, call, &args) {
        Ok(value) => {
            f.output("e", None, value).expect("a parameter");
            gradients(&f)
        }
        Err(why) => vec![format!("none: {why}")],
    }
}

/// A call on reals or, where it takes none, on the complex values that they make, as reals.
fn typed(f: &mut Formula, call: &Call, args: &[ExprId]) -> Result<ExprId, BuildError> {
    let on_reals = f.op(call.op, args, &call.params);
    let value = on_reals.or_else(|_| {
        let pairs: Result<Vec<ExprId>, BuildError> =
            args.iter().map(|&arg| f.op(Op::AsComplex, &[arg], &[])).collect();
        f.op(call.op, &pairs?, &call.params)
    })?;
    match f.kind(value) {
        Kind::Complex => f.op(Op::AsReal, &[value], &[]),
        Kind::Real | Kind::Int => Ok(value),
    }
}

fn gradients(f: &Formula) -> Vec<String> {
    let names: Vec<String> = f.inputs.iter().map(|i| i.name.clone()).collect();
    let gradient = match vjp(f, "e", &names) {
        Ok(gradient) => simplify(&gradient, &mut Fired::new()),
        Err(why) => return vec![format!("none: {why}")],
    };
    let mut gradient = gradient;
    if let Some(seed) = gradient.inputs.iter_mut().find(|i| i.name == "d_e") {
        seed.name = "e".into();
    }
    let line = |(n, name): (usize, &String)| {
        format!("{name}: {}", infix::short(&gradient, gradient.outputs[n].expr))
    };
    names.iter().enumerate().map(line).collect()
}

/// What a composite is replaced by.
pub fn expansion(call: &Call) -> Option<String> {
    let (mut f, args) = start(call, None);
    let value = typed(&mut f, call, &args).ok()?;
    Some(format!("{} is {}", spelled(call), infix::short(&f, value)))
}

/// The gradient of a reduction over j with respect to what it folds.
pub fn of_reduction(reducer: Reducer) -> Vec<String> {
    let def = reducer.def();
    match def.grad {
        ReduceGrad::Zero => return vec!["zero wherever it exists".into()],
        ReduceGrad::Vjp(_) | ReduceGrad::Expanded => {}
    }
    let mut f = Formula::new("book");
    let k = if def.takes_k { 2 } else { 0 };
    let name = |n: usize| NAMES[n];
    let args = (0..def.arity).map(|n| f.input(name(n), Some(Axis::J), 1).expect("a scalar"));
    let args = args.collect();
    let value = f.reduce(Reduction { reducer, axis: Axis::J, args, mask: None, k });
    f.output("e", None, value.expect("scalars fit")).expect("a parameter");
    gradients(&f)
}
