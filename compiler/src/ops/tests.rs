//! Laws that every room obeys, and the tables' checkers that the rooms' own tests use.

use std::collections::HashSet;

use super::*;
use crate::ir::eval::{Matrix, evaluate};
use crate::passes::vjp;

mod complex;
mod emitted;

/// One call of each operation at least: its name, dims and parameters.
const CALLS: &[(&str, &[usize], &[i64])] = &[
    ("add", &[3, 3], &[]),
    ("sub", &[3, 1], &[]),
    ("mul", &[1, 3], &[]),
    ("div", &[3, 3], &[]),
    ("div", &[1, 3], &[]),
    ("neg", &[3], &[]),
    ("inv", &[3], &[]),
    ("square", &[3], &[]),
    ("pow", &[2], &[3]),
    ("pow", &[2], &[-2]),
    ("pow", &[2], &[0]),
    ("powf", &[2, 2], &[]),
    ("powf", &[2, 1], &[]),
    ("sqrt", &[2], &[]),
    ("rsqrt", &[2], &[]),
    ("exp", &[2], &[]),
    ("exp2", &[2], &[]),
    ("log", &[2], &[]),
    ("expm1", &[2], &[]),
    ("log1p", &[2], &[]),
    ("log2", &[2], &[]),
    ("log10", &[2], &[]),
    ("xlogx", &[2], &[]),
    ("cbrt", &[2], &[]),
    ("hypot", &[3, 1], &[]),
    ("sin", &[2], &[]),
    ("cos", &[2], &[]),
    ("tan", &[2], &[]),
    ("sinc", &[4], &[]),
    ("sinh", &[2], &[]),
    ("cosh", &[2], &[]),
    ("tanh", &[2], &[]),
    ("asinh", &[2], &[]),
    ("acosh", &[2], &[]),
    ("atanh", &[2], &[]),
    ("sigmoid", &[2], &[]),
    ("softplus", &[2], &[]),
    ("silu", &[2], &[]),
    ("gelu", &[2], &[]),
    ("gelu_tanh", &[2], &[]),
    ("erf", &[2], &[]),
    ("erfc", &[2], &[]),
    ("normcdf", &[2], &[]),
    ("lgamma", &[2], &[]),
    ("digamma", &[2], &[]),
    ("trigamma", &[2], &[]),
    ("polygamma", &[2], &[1]),
    ("polygamma", &[2], &[4]),
    ("sinxdivx", &[4], &[]),
    ("sinxdivx_prime", &[4], &[]),
    ("asin", &[2], &[]),
    ("acos", &[2], &[]),
    ("atan", &[2], &[]),
    ("atan2", &[2, 2], &[]),
    ("abs", &[2], &[]),
    ("sign", &[2], &[]),
    ("step", &[2], &[]),
    ("relu", &[2], &[]),
    ("floor", &[2], &[]),
    ("round", &[2], &[0]),
    ("trunc", &[2], &[]),
    ("ceil", &[2], &[]),
    ("fmod", &[3, 1], &[]),
    ("minimum", &[6, 1], &[]),
    ("maximum", &[1, 6], &[]),
    ("mod", &[3, 1, 3], &[]),
    ("clamp", &[6, 6, 1], &[]),
    ("clamp_int", &[6], &[-1, 1]),
    ("diff_clamp_int", &[6], &[-1, 1]),
    ("ifelse", &[1, 3, 3], &[]),
    ("ifelse", &[3, 1, 3], &[]),
    ("where", &[3, 3, 1], &[]),
    ("eq", &[2, 2], &[]),
    ("ne", &[2, 2], &[]),
    ("lt", &[2, 2], &[]),
    ("le", &[2, 2], &[]),
    ("and", &[2, 2], &[]),
    ("or", &[2, 2], &[]),
    ("to_real", &[2], &[]),
    ("sum", &[4], &[]),
    ("max_of", &[4], &[]),
    ("min_of", &[1], &[]),
    ("min_of", &[4], &[]),
    ("arg_max_of", &[4], &[]),
    ("arg_min_of", &[4], &[]),
    ("dot", &[3, 3], &[]),
    ("dot", &[1, 3], &[]),
    ("sqnorm2", &[3], &[]),
    ("norm2", &[3], &[]),
    ("normalize", &[3], &[]),
    ("sqdist", &[3, 3], &[]),
    ("sqdist", &[3, 1], &[]),
    ("sqnormiso", &[1, 3], &[]),
    ("sqnormdiag", &[3, 3], &[]),
    ("symsqnorm", &[9, 3], &[]),
    ("symsqnorm", &[1, 1], &[]),
    ("weightedsqnorm", &[1, 3], &[]),
    ("weightedsqnorm", &[1, 1], &[]),
    ("weightedsqnorm", &[3, 3], &[]),
    ("weightedsqnorm", &[9, 3], &[]),
    ("weightedsqdist", &[1, 3, 3], &[]),
    ("weightedsqdist", &[3, 1, 3], &[]),
    ("weightedsqdist", &[9, 3, 3], &[]),
    ("sum_t", &[1], &[4]),
    ("elem", &[3], &[1]),
    ("elem_t", &[1], &[4, 2]),
    ("extract", &[5], &[1, 3]),
    ("extract_t", &[2], &[1, 4]),
    ("concat", &[2, 3], &[]),
    ("one_hot", &[1], &[4]),
    ("pick", &[3], &[4, 2, 0, 0, 1]),
    ("scatter", &[4], &[4, 2, 0, 0, 4, 1, 5]),
    ("reverse", &[3], &[]),
    ("transpose", &[6], &[2]),
    ("cumsum", &[4], &[]),
    ("cumprod", &[4], &[]),
    ("cumprod", &[1], &[]),
    ("scan", &[4, 4], &[]),
    ("scan", &[1, 1], &[]),
    ("prod", &[4], &[]),
    ("mean", &[3], &[]),
    ("matmul", &[6, 8], &[3, 2, 4]),
    ("trace", &[9], &[]),
    ("cross", &[3, 3], &[]),
    ("cofactor", &[9], &[]),
    ("cofactor", &[16], &[]),
    ("det", &[4], &[]),
    ("det", &[9], &[]),
    ("det", &[16], &[]),
    ("inverse", &[4], &[]),
    ("inverse", &[16], &[]),
    ("solve", &[16, 4], &[]),
    // 2 x 3 with 3 x 4, along the axis of 3
    ("tensordot", &[6, 12], &[2, 2, 3, 2, 3, 4, 1, 1, 1, 0]),
    // 2 x 3 x 2 with 2 x 2 x 3, along axes 2 and 1, and 0 and 1
    ("tensordot", &[12, 12], &[3, 2, 3, 2, 3, 2, 2, 3, 2, 2, 0, 2, 0, 1, 2, 1, 0]),
    // 2 x 3 x 4 with 3 x 5, permuted
    ("tensordot", &[24, 15], &[3, 2, 3, 4, 2, 3, 5, 1, 1, 1, 0, 3, 2, 0, 1]),
    // nothing contracted, everything contracted, numbers
    ("tensordot", &[2, 3], &[1, 2, 1, 3, 0, 0, 2, 1, 0]),
    ("tensordot", &[6, 6], &[2, 2, 3, 2, 3, 2, 2, 0, 1, 2, 1, 0]),
    ("tensordot", &[1, 1], &[0, 0, 0, 0]),
    ("kron", &[6, 4], &[2, 2, 3, 2, 2, 2]),
    ("bspline", &[5, 1], &[0]),
    ("bspline", &[7, 1], &[3]),
    ("softmin_rows", &[6, 1], &[3]),
    ("softmin_rows", &[4, 1], &[4]),
    ("softmin_weights", &[6, 1], &[3]),
    ("softmin_weights", &[6, 1], &[2]),
    ("softdtw_sqdist", &[4, 3, 1], &[]),
    ("softdtw_sqdist", &[1, 3, 1], &[]),
    ("softdtw_sqdist", &[3, 1, 1], &[]),
    ("matvecmult", &[6, 3], &[]),
    ("matvecmult", &[3, 3], &[]),
    ("vecmatmult", &[2, 6], &[]),
    ("tensorprod", &[2, 3], &[]),
    ("complex", &[3, 1], &[]),
    ("real", &[3], &[]),
    ("imag", &[3], &[]),
    ("conj", &[3], &[]),
    ("angle", &[3], &[]),
    ("exp1j", &[3], &[]),
    ("as_complex", &[4], &[]),
    ("as_real", &[4], &[]),
    ("interleave", &[3, 3], &[]),
    ("interleave", &[1, 3], &[]),
    ("complex_real", &[6], &[]),
    ("complex_imag", &[6], &[]),
    ("real2complex", &[3], &[]),
    ("imag2complex", &[3], &[]),
    ("complex_exp1j", &[3], &[]),
    ("complex_conj", &[6], &[]),
    ("complex_add", &[6, 6], &[]),
    ("complex_add", &[2, 6], &[]),
    ("complex_subtract", &[6, 2], &[]),
    ("complex_mult", &[6, 6], &[]),
    ("complex_mult", &[2, 6], &[]),
    ("complex_divide", &[6, 6], &[]),
    ("complex_divide", &[2, 6], &[]),
    ("complex_scal", &[6, 2], &[]),
    ("complex_real_scal", &[1, 6], &[]),
    ("complex_real_scal", &[6, 1], &[]),
    ("complex_inv", &[6], &[]),
    ("complex_square", &[6], &[]),
    ("complex_pow", &[4], &[5]),
    ("complex_pow", &[4], &[0]),
    ("complex_pow", &[4], &[-3]),
    ("complex_sqrt", &[6], &[]),
    ("complex_exp", &[6], &[]),
    ("complex_log", &[6], &[]),
    ("complex_square_abs", &[6], &[]),
    ("complex_abs", &[6], &[]),
    ("complex_angle", &[6], &[]),
    ("complex_sum", &[6], &[]),
    ("complex_sum_t", &[2], &[6]),
    ("complex_dot", &[6, 6], &[]),
    ("complex_dot", &[2, 6], &[]),
    ("binary_scale", &[3, 3], &[]),
];

fn op(name: &str) -> Op {
    Op::by_name(name).unwrap_or_else(|| panic!("no operation {name}"))
}

fn eval(op: Op, params: &[i64], args: &[&[f64]]) -> Vec<f64> {
    let dims: Vec<usize> = args.iter().map(|a| a.len()).collect();
    let dim = (op.def().shape)(&dims, params).expect("the arguments fit");
    let mut out = vec![f64::NAN; dim];
    (op.def().eval)(args, params, &mut out);
    out
}

fn same(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || a.to_bits() == b.to_bits()
}

fn near(a: f64, b: f64, tolerance: f64) -> bool {
    same(a, b) || (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs()))
}

/// A row of a table of values: name, parameters, scalar arguments, result.
pub(super) type Scalar<'a> = (&'a str, &'a [i64], &'a [f64], f64);

/// Checks scalar results, to the bit.
pub(super) fn check_scalars(table: &[Scalar<'_>]) {
    for &(name, params, args, expected) in table {
        let args: Vec<&[f64]> = args.iter().map(std::slice::from_ref).collect();
        let found = eval(op(name), params, &args);
        assert!(same(found[0], expected), "{name}{args:?}{params:?}: {found:?}, not {expected:?}");
    }
}

/// Checks scalar results, relatively.
pub(super) fn check_near(tolerance: f64, table: &[Scalar<'_>]) {
    for &(name, params, args, expected) in table {
        let args: Vec<&[f64]> = args.iter().map(std::slice::from_ref).collect();
        let found = eval(op(name), params, &args)[0];
        let error = (found / expected - 1.0).abs();
        assert!(error <= tolerance, "{name}{args:?}{params:?}: {found:?}, not {expected:?}");
    }
}

/// A row of a table of values: name, parameters, arguments, result.
pub(super) type Vector<'a> = (&'a str, &'a [i64], &'a [&'a [f64]], &'a [f64]);

/// Checks vector results, to the bit.
pub(super) fn check_vectors(table: &[Vector<'_>]) {
    for &(name, params, args, expected) in table {
        let found = eval(op(name), params, args);
        let equal =
            found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| same(*a, *b));
        assert!(equal, "{name}{args:?}{params:?}: {found:?}, not {expected:?}");
    }
}

/// A row of a table of calls that do not fit: name, dims, parameters, message.
pub(super) type Refusal<'a> = (&'a str, &'a [usize], &'a [i64], &'a str);

/// Checks that calls are refused, with these messages.
pub(super) fn check_refusals(table: &[Refusal<'_>]) {
    for &(name, dims, params, expected) in table {
        let mut f = Formula::new("f");
        let args = declare(&mut f, dims);
        match f.op(op(name), &args, params) {
            Ok(_) => panic!("{name}{dims:?}{params:?} was accepted"),
            Err(found) => assert_eq!(found.to_string(), expected),
        }
    }
}

/// A row of a table of derivatives: name, parameters, scalar arguments, their adjoints.
pub(super) type Slope<'a> = (&'a str, &'a [i64], &'a [f64], &'a [f64]);

/// Checks the adjoints of scalar arguments for a seed of 1, to the bit; absent ones count as 0.
pub(super) fn check_slopes(table: &[Slope<'_>]) {
    for &(name, params, args, expected) in table {
        let rows: Vec<Vec<f64>> = args.iter().map(|&a| vec![a]).collect();
        let found = adjoints(op(name), params, &rows, &[1.0]).concat();
        let equal = found.iter().zip(expected).all(|(a, b)| same(*a, *b));
        assert!(equal, "{name}{args:?}{params:?}: {found:?}, not {expected:?}");
    }
}

fn declare(f: &mut Formula, dims: &[usize]) -> Vec<ExprId> {
    let name = |k: usize| format!("x{k}");
    let each = dims.iter().enumerate();
    each.map(|(k, &d)| f.input(&name(k), None, d).expect("a valid dim")).collect()
}

fn row(data: &[f64]) -> Matrix {
    Matrix { rows: 1, cols: data.len(), data: data.to_vec() }
}

/// The value of an operation as a formula: composites are expanded.
fn built(op: Op, params: &[i64], args: &[Vec<f64>]) -> Vec<f64> {
    let mut f = Formula::new("f");
    let dims: Vec<usize> = args.iter().map(Vec::len).collect();
    let inputs = declare(&mut f, &dims);
    let out = f.apply(op, &inputs, params);
    f.output("out", None, out).expect("a parameter");
    crate::ir::verify::verify(&f).expect("valid");
    let matrices: Vec<Matrix> = args.iter().map(|a| row(a)).collect();
    evaluate(&f, 0, 0, &matrices).expect("evaluates").remove(0).data
}

/// The adjoint of each argument, as the operation's rule gives it, broadcast or summed to the
/// argument's dim.
pub(super) fn adjoints(op: Op, params: &[i64], args: &[Vec<f64>], seed: &[f64]) -> Vec<Vec<f64>> {
    let mut f = Formula::new("f");
    let mut dims: Vec<usize> = args.iter().map(Vec::len).collect();
    dims.push(seed.len());
    let mut inputs = declare(&mut f, &dims);
    let seed_id = inputs.pop().expect("the seed");
    let out = f.apply(op, &inputs, params);
    let Grad::Vjp(rule) = op.def().grad else { panic!("{op:?} has no rule") };
    let found = rule(&mut f, &Call { args: &inputs, params, out }, seed_id);
    assert_eq!(found.len(), args.len(), "{op:?}: one adjoint for each argument");
    let zero = f.constant(0.0);
    for (k, adjoint) in found.into_iter().enumerate() {
        f.output(&format!("d{k}"), None, adjoint.unwrap_or(zero)).expect("a parameter");
    }
    let mut matrices: Vec<Matrix> = args.iter().map(|a| row(a)).collect();
    matrices.push(row(seed));
    let values = evaluate(&f, 0, 0, &matrices).expect("evaluates");
    values.into_iter().zip(args).map(|(v, a)| fit(v.data, a.len())).collect()
}

fn fit(adjoint: Vec<f64>, dim: usize) -> Vec<f64> {
    match (adjoint.len(), dim) {
        (found, dim) if found == dim => adjoint,
        (1, dim) => vec![adjoint[0]; dim],
        (_, 1) => vec![adjoint.iter().sum()],
        (found, dim) => panic!("an adjoint of {found} for an argument of {dim}"),
    }
}

/// Numbers that look random and are the same everywhere.
struct Sampler(u64);

impl Sampler {
    fn next(&mut self, (low, high): (f64, f64)) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        low + (high - low) * ((self.0 >> 11) as f64 / (1u64 << 53) as f64)
    }

    fn args(&mut self, op: Op, dims: &[usize]) -> Vec<Vec<f64>> {
        let each = dims.iter().zip(op.def().domain);
        let mut args: Vec<Vec<f64>> =
            each.map(|(&dim, &range)| (0..dim).map(|_| self.next(range)).collect()).collect();
        match op {
            // Knots increase, and a dominant diagonal keeps a matrix away from singular ones.
            Op::BSpline => {
                let knots = args[0].iter_mut().enumerate();
                knots.for_each(|(k, knot)| *knot = 0.6 * (k as f64 - 2.0) + 0.2 * *knot);
            }
            Op::Inverse | Op::Solve => {
                let side = args[0].len().isqrt();
                args[0].iter_mut().step_by(side + 1).for_each(|a| *a += 4.0);
            }
            _ => {}
        }
        args
    }
}

/// Calls `check` with sampled arguments for each call of the table.
fn for_each_call(mut check: impl FnMut(Op, &[i64], &[Vec<f64>], &mut Sampler)) {
    let mut sampler = Sampler(7);
    for &(name, dims, params) in CALLS {
        for _ in 0..20 {
            let args = sampler.args(op(name), dims);
            check(op(name), params, &args, &mut sampler);
        }
    }
}

fn slices(args: &[Vec<f64>]) -> Vec<&[f64]> {
    args.iter().map(Vec::as_slice).collect()
}

#[test]
fn every_operation_is_in_the_table_of_calls() {
    let called: HashSet<Op> = CALLS.iter().map(|c| op(c.0)).collect();
    let missing: Vec<&Op> = Op::ALL.iter().filter(|op| !called.contains(op)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn names_are_unique() {
    let mut seen = HashSet::new();
    for op in Op::ALL {
        let def = op.def();
        for name in [def.name].iter().chain(def.aliases) {
            assert!(seen.insert(*name), "{name} is used twice");
            assert_eq!(Op::by_name(name), Some(*op));
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(def.name.chars().all(plain), "{}", def.name);
    }
    assert_eq!(Op::by_name("no_such"), None);
}

#[test]
fn rooms_are_consistent() {
    for op in Op::ALL {
        let def = op.def();
        assert_eq!(def.domain.len(), def.arity, "{}", def.name);
        assert!(def.domain.iter().all(|(low, high)| low < high), "{}", def.name);
        if matches!(op, Op::Eq | Op::Ne | Op::Lt | Op::Le) {
            assert!(def.domain[0].1 < def.domain[1].0, "{} jumps where both are equal", def.name);
        }
        assert!(def.doc.ends_with('.'), "{}: {}", def.name, def.doc);
        let composite = def.expand.is_some();
        assert_eq!(matches!(def.grad, Grad::Expanded), composite, "{}", def.name);
        assert_eq!(matches!(def.emit, Emit::Expanded), composite, "{}", def.name);
        if let Emit::Map(code) = def.emit {
            let holes = (0..def.arity).map(|k| format!("${k}"));
            let holes: Vec<String> =
                holes.chain((0..def.params).map(|k| format!("$p{k}"))).collect();
            assert!(holes.iter().all(|hole| code.contains(hole)), "{}: {code}", def.name);
            let distinct: HashSet<&str> = code.split('$').skip(1).map(hole_name).collect();
            assert_eq!(distinct.len(), holes.len(), "{}: {code}", def.name);
        }
    }
}

fn hole_name(text: &str) -> &str {
    text.split(|c: char| c != 'p' && !c.is_ascii_digit()).next().unwrap_or("")
}

#[test]
fn the_built_formula_means_what_the_room_says() {
    for_each_call(|op, params, args, _| {
        let (direct, expanded) = (eval(op, params, &slices(args)), built(op, params, args));
        assert_eq!(direct.len(), expanded.len());
        let close = direct.iter().zip(&expanded).all(|(a, b)| near(*a, *b, 1e-14));
        assert!(close, "{op:?}{args:?}: {direct:?} and {expanded:?}");
    });
}

#[test]
fn composites_never_become_nodes() {
    for &(name, dims, params) in CALLS {
        let mut f = Formula::new("f");
        let args = declare(&mut f, dims);
        f.apply(op(name), &args, params);
        for id in f.ids() {
            if let crate::ir::Node::Op(inner, ..) = f.node(id) {
                assert!(inner.def().expand.is_none(), "{name} left {inner:?}");
            }
        }
    }
}

#[test]
fn derivatives_are_those_of_the_values() {
    const STEP: f64 = 1e-6;
    for_each_call(|op, params, args, sampler| {
        let out = eval(op, params, &slices(args));
        let seed: Vec<f64> = out.iter().map(|_| sampler.next((0.5, 2.0))).collect();
        let exact = match op.def().grad {
            Grad::Vjp(_) => adjoints(op, params, args, &seed),
            Grad::Zero => args.iter().map(|a| vec![0.0; a.len()]).collect(),
            Grad::Expanded => return,
        };
        let value = |args: &[Vec<f64>]| -> f64 {
            eval(op, params, &slices(args)).iter().zip(&seed).map(|(v, s)| v * s).sum()
        };
        for (k, arg) in args.iter().enumerate() {
            for c in 0..arg.len() {
                let moved = |by: f64| {
                    let mut args = args.to_vec();
                    args[k][c] += by;
                    value(&args)
                };
                let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                let rule = exact[k][c];
                assert!(near(rule, slope, 1e-6), "{op:?}{args:?} {k}.{c}: {rule} for {slope}");
            }
        }
    });
}

/// The sum of all adjoints of a call, for a seed that is an input, and the gradient of that sum.
fn twice(op: Op, params: &[i64], dims: &[usize]) -> (Formula, Formula) {
    let mut f = Formula::new("f");
    let args = declare(&mut f, dims);
    let out = f.apply(op, &args, params);
    f.output("out", None, out).expect("a parameter");
    let names: Vec<String> = f.inputs.iter().map(|i| i.name.clone()).collect();
    let mut first = vjp(&f, "out", &names).expect("a derivative");
    let adjoints: Vec<ExprId> = first.outputs.drain(..).map(|o| o.expr).collect();
    let sums: Vec<ExprId> = adjoints.into_iter().map(|a| first.sum_components(a)).collect();
    let total = sums.into_iter().reduce(|a, b| first.add(a, b)).expect("an argument");
    first.output("total", None, total).expect("a parameter");
    let second = vjp(&first, "total", &names).expect("a second derivative");
    (first, second)
}

#[test]
fn second_derivatives_are_those_of_the_first() {
    const STEP: f64 = 1e-6;
    for_each_call(|op, params, args, sampler| {
        let dims: Vec<usize> = args.iter().map(Vec::len).collect();
        let (first, second) = twice(op, params, &dims);
        let mut inputs: Vec<Matrix> = args.iter().map(|a| row(a)).collect();
        let seed = first.inputs.last().expect("the seed").dim;
        inputs.push(row(&(0..seed).map(|_| sampler.next((0.5, 2.0))).collect::<Vec<f64>>()));
        let total =
            |inputs: &[Matrix]| evaluate(&first, 0, 0, inputs).expect("evaluates")[0].data[0];
        let mut seeded = inputs.clone();
        seeded.push(row(&[1.0]));
        let exact = evaluate(&second, 0, 0, &seeded).expect("evaluates");
        // Differences of large numbers err by more, and by how much another step shows.
        let all = exact.iter().flat_map(|m| &m.data);
        let largest = all.fold(1.0, |most: f64, x| most.max(x.abs()));
        for (k, exact) in exact.iter().enumerate() {
            for (c, rule) in exact.data.iter().enumerate() {
                let moved = |by: f64| {
                    let mut inputs = inputs.clone();
                    inputs[k].data[c] += by;
                    total(&inputs)
                };
                let by = |step: f64| (moved(step) - moved(-step)) / (2.0 * step);
                let (slope, wide) = (by(STEP), by(2.0 * STEP));
                let unsure = 1e-5 * largest + 4.0 * (slope - wide).abs();
                let close = (rule - slope).abs() <= unsure;
                assert!(close, "{op:?}{args:?} {k}.{c}: {rule} for {slope}");
            }
        }
    });
}
