//! The tables under `edges/` say what operations and their derivatives are where it is easy to be
//! wrong: of `ir::eval`, of code compiled for every level of this machine, of emulated CUDA code.
//!
//! A row is `operation[parameters] arguments = value : derivatives`, with a derivative for each
//! argument: the adjoint for a seed of ones. Components of vectors are separated by commas, `_`
//! is anything. Numbers are compared to a few units in the last place. A zero of a value that is
//! written `-0` has to have that sign, every other zero may have either.

use std::collections::BTreeMap;
use std::path::Path;

use tilefold::Options;
use tilefold_compiler::ir::eval::{self, Matrix};
use tilefold_compiler::ir::{Axis, Dtype, ExprId, Formula};
use tilefold_compiler::ops::Op;
use tilefold_compiler::passes::vjp;
use tilefold_tests::emulated::{Emulated, Grid};
use tilefold_tests::interpreted;
use tilefold_tests::native::{self, Native};
use tilefold_tests::problem::Problem;

/// Calls a formula: values, and the stages of one file, are limited.
const CALLS: usize = 8;

/// Units in the last place that a value and a derivative may be off.
const VALUE_ULPS: f64 = 8.0;
const SLOPE_ULPS: f64 = 32.0;

/// A row of a table.
struct Row {
    place: String,
    args: Vec<Vec<f64>>,
    value: Vec<Option<f64>>,
    slopes: Vec<Vec<Option<f64>>>,
}

/// An operation, its parameters and the length of each argument.
type Call = (Op, Vec<i64>, Vec<usize>);

fn numbers(text: &str) -> Vec<Option<f64>> {
    let number = |t: &str| match t {
        "_" => None,
        t => Some(t.parse().unwrap_or_else(|_| panic!("what number is `{t}`?"))),
    };
    text.split(',').map(number).collect()
}

fn row(place: &str, line: &str) -> (Call, Row) {
    let read = || {
        let (call, results) = line.split_once(" = ")?;
        let (value, slopes) = results.split_once(" : ")?;
        let (head, args) = call.split_once(' ')?;
        let (name, params) = head.trim_end_matches(']').split_once('[').unwrap_or((head, ""));
        let params = params.split(',').filter(|p| !p.is_empty());
        let params: Vec<i64> = params.map(|p| p.parse().ok()).collect::<Option<_>>()?;
        let args: Option<Vec<Vec<f64>>> =
            args.split(' ').map(|a| numbers(a).into_iter().collect()).collect();
        let slopes: Vec<_> = slopes.split(' ').map(numbers).collect();
        let row = Row { place: place.into(), args: args?, value: numbers(value), slopes };
        let dims = row.args.iter().map(Vec::len).collect();
        Some(((Op::by_name(name)?, params, dims), row))
    };
    read().unwrap_or_else(|| panic!("{place}: cannot read `{line}`"))
}

/// The rows of all tables, by call.
fn tables() -> BTreeMap<Call, Vec<Row>> {
    let mut all: BTreeMap<Call, Vec<Row>> = BTreeMap::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("edges");
    for entry in std::fs::read_dir(folder).expect("the tables") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let file = path.file_name().expect("a file").to_string_lossy().into_owned();
        for (n, line) in text.lines().enumerate() {
            if !line.is_empty() && !line.starts_with('#') {
                let (call, row) = row(&format!("{file}:{}: {line}", n + 1), line);
                all.entry(call).or_default().push(row);
            }
        }
    }
    all
}

#[test]
fn every_operation_has_a_row() {
    let tables = tables();
    let missing = |op: &&Op| !tables.keys().any(|(known, ..)| known == *op);
    let missing: Vec<&str> = Op::ALL.iter().filter(missing).map(|op| op.def().name).collect();
    assert!(missing.is_empty(), "no row in tests/edges for {missing:?}");
}

/// Calls that are computed together, in row `r` on the arguments of their `r`-th rows.
struct Sheet<'a> {
    calls: Vec<(&'a Call, &'a [Row])>,
    /// Output `n` is call `n`.
    values: Problem,
    /// Output `n` is the adjoint of input `n`.
    slopes: Problem,
}

impl<'a> Sheet<'a> {
    fn new(calls: Vec<(&'a Call, &'a [Row])>) -> Sheet<'a> {
        let mut f = Formula::new(format!("edges of {}", calls[0].0.0.def().name));
        let mut total: Option<ExprId> = None;
        for (n, ((op, params, dims), _)) in calls.iter().enumerate() {
            let input = |(k, &dim): (usize, &usize)| {
                f.input(&format!("x{n}_{k}"), Some(Axis::I), dim).expect("a small dim")
            };
            let args: Vec<ExprId> = dims.iter().enumerate().map(input).collect();
            let value = f.op(*op, &args, params).unwrap_or_else(|e| panic!("{e}"));
            // Of a complex result the table has the parts side by side.
            let value = f.apply(Op::AsReal, &[value], &[]);
            f.output(&format!("out{n}"), Some(Axis::I), value).expect("a value of i");
            let sum = f.sum_components(value);
            total = Some(total.map_or(sum, |total| f.add(total, sum)));
        }
        let mut whole = f.clone();
        whole.outputs.clear();
        whole.output("sum", Some(Axis::I), total.expect("a call")).expect("a value of i");
        let names: Vec<String> = whole.inputs.iter().map(|i| i.name.clone()).collect();
        let slopes = vjp(&whole, "sum", &names).expect("operations have derivatives");
        let count = calls.iter().map(|(_, rows)| rows.len()).max().unwrap_or(1);
        let problem = |formula: Formula| {
            let inputs = formula.inputs.clone();
            Problem::new(formula, count, 1, |n, entry| {
                let dim = inputs[n].dim;
                let place = inputs[n].name.strip_prefix('x').and_then(|at| at.split_once('_'));
                // The last input of the gradient is its seed.
                let Some((call, k)) = place else { return 1.0 };
                let rows = calls[call.parse::<usize>().expect("a number")].1;
                let row = &rows[(entry / dim).min(rows.len() - 1)];
                row.args[k.parse::<usize>().expect("a number")][entry % dim]
            })
        };
        let (values, slopes) = (problem(f), problem(slopes));
        Sheet { values, slopes, calls }
    }

    /// Where results differ from what the rows say.
    fn check(&self, dtype: Dtype, values: &[Matrix], slopes: &[Matrix]) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut input = 0;
        for ((call, rows), values) in self.calls.iter().zip(values) {
            for (r, row) in rows.iter().enumerate().filter(|(_, row)| holds(dtype, row)) {
                let found = &values.data[r * values.cols..][..values.cols];
                if !all_fit(dtype, VALUE_ULPS, true, &row.value, found) {
                    wrong.push(format!("{}: the value is {found:?}", row.place));
                }
                for (k, expected) in row.slopes.iter().enumerate() {
                    let slopes = &slopes[input + k];
                    let found = &slopes.data[r * slopes.cols..][..slopes.cols];
                    if !all_fit(dtype, SLOPE_ULPS, false, expected, found) {
                        wrong.push(format!("{}: derivative {k} is {found:?}", row.place));
                    }
                }
            }
            input += call.2.len();
        }
        wrong
    }
}

/// Whether a dtype has the arguments of a row, so that its results are those of the row.
fn holds(dtype: Dtype, row: &Row) -> bool {
    let exact = |x: &f64| x.is_nan() || f64::from(*x as f32) == *x;
    dtype != Dtype::F32 || row.args.iter().flatten().all(exact)
}

fn all_fit(dtype: Dtype, ulps: f64, signed: bool, expected: &[Option<f64>], found: &[f64]) -> bool {
    let mut pairs = expected.iter().zip(found);
    let fit = |(e, f): (&Option<f64>, &f64)| e.is_none_or(|e| fits(dtype, ulps, signed, e, *f));
    expected.len() == found.len() && pairs.all(fit)
}

fn fits(dtype: Dtype, ulps: f64, signed: bool, expected: f64, found: f64) -> bool {
    let (epsilon, tiny) = match dtype {
        Dtype::F32 => (f64::from(f32::EPSILON), f64::from(f32::from_bits(1))),
        Dtype::F64 => (f64::EPSILON, f64::from_bits(1)),
    };
    let rounded = if dtype == Dtype::F32 { f64::from(expected as f32) } else { expected };
    if !rounded.is_finite() {
        return found == rounded || (found.is_nan() && rounded.is_nan());
    }
    if expected == 0.0 {
        let sign = !signed || expected.is_sign_positive() || found.is_sign_negative();
        return found == 0.0 && sign;
    }
    (found - expected).abs() <= ulps * (expected.abs() * epsilon).max(tiny)
}

#[test]
fn the_interpreter_agrees_with_the_tables() {
    let tables = tables();
    let rows: Vec<(&Call, &[Row])> = tables.iter().map(|(c, rows)| (c, rows.as_slice())).collect();
    let mut wrong = Vec::new();
    for calls in rows.chunks(CALLS) {
        let sheet = Sheet::new(calls.to_vec());
        for &dtype in Dtype::ALL {
            for level in native::levels() {
                let run = |p| interpreted::run(p, dtype, &Options::new().level(level));
                let [values, slopes] =
                    [&sheet.values, &sheet.slopes].map(|p| run(p).expect("it runs"));
                let found = sheet.check(dtype, &values, &slopes);
                let who = format!("{level} {}", dtype.name());
                wrong.extend(found.into_iter().map(|what| format!("{who}: {what}")));
            }
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{} results are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_executor_agrees_with_the_tables() {
    let tables = tables();
    let rows: Vec<(&Call, &[Row])> = tables.iter().map(|(c, rows)| (c, rows.as_slice())).collect();
    let sheets: Vec<Sheet<'_>> = rows.chunks(CALLS).map(|c| Sheet::new(c.to_vec())).collect();
    let problems = sheets.iter().flat_map(|s| [&s.values, &s.slopes]);
    let formulas: Vec<Formula> = problems.map(|p| p.formula.clone()).collect();
    let native = Native::quick(&formulas, Dtype::ALL, &native::levels());
    let emulated = Emulated::build(&formulas, Dtype::ALL);
    let mut wrong = Vec::new();
    for (n, sheet) in sheets.iter().enumerate() {
        let mut check =
            |who: String, dtype: Dtype, run: &dyn Fn(usize, &Problem) -> Vec<Matrix>| {
                let (values, slopes) = (run(2 * n, &sheet.values), run(2 * n + 1, &sheet.slopes));
                let found = sheet.check(dtype, &values, &slopes);
                wrong.extend(found.into_iter().map(|what| format!("{who}: {what}")));
            };
        check("eval".into(), Dtype::F64, &|_, p| {
            eval::evaluate(&p.formula, p.m, p.n, &p.inputs).expect("the arrays fit")
        });
        for &dtype in Dtype::ALL {
            for level in native::levels() {
                check(format!("{level} {}", dtype.name()), dtype, &|at, p| {
                    native.run(at, dtype, level, p).unwrap_or_else(|e| panic!("{e}"))
                });
            }
            check(format!("cuda {}", dtype.name()), dtype, &|at, p| {
                emulated.run(at, dtype, p, Grid::default()).unwrap_or_else(|e| panic!("{e}"))
            });
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{} results are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
