//! What each reduction gives where folds are delicate, as a table: the numbers that are folded and
//! the result, written by hand. By the evaluator, by code compiled for every level, and by emulated
//! CUDA code, in float32 and float64.

use tilefold_compiler::ir::eval::{self, Matrix};
use tilefold_compiler::ir::{Axis, Dtype, ExprId, Formula, Reduction};
use tilefold_compiler::ops::Op;
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::device;
use tilefold_tests::emulated::Grid;
use tilefold_tests::machines::Machines;
use tilefold_tests::native::{self, Native};
use tilefold_tests::problem::Problem;
use tilefold_tests::toolchain::Processor;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;
const BIG: f64 = 3e38;
const TINY: f64 = 1e-38;
/// Subnormal in float32.
const LEAST: f64 = 1.0 / (1u128 << 127) as f64 / 1024.0;
const GREAT: f64 = (1u128 << 127) as f64;

/// Reduction, k, the folded numbers, the result. Weights are 1, 2, 3, ... by row.
type Row = (Reducer, usize, &'static [f64], &'static [f64]);

const TABLE: &[Row] = &[
    // -inf is neutral, +inf and NaN win.
    (Reducer::LogSumExp, 0, &[-INF], &[-INF]),
    (Reducer::LogSumExp, 0, &[-INF, -INF, -INF], &[-INF]),
    (Reducer::LogSumExp, 0, &[-INF, 2.0], &[2.0]),
    (Reducer::LogSumExp, 0, &[2.0, -INF], &[2.0]),
    (Reducer::LogSumExp, 0, &[INF], &[INF]),
    (Reducer::LogSumExp, 0, &[INF, INF], &[INF]),
    (Reducer::LogSumExp, 0, &[-INF, INF, 0.0], &[INF]),
    (Reducer::LogSumExp, 0, &[0.0, NAN], &[NAN]),
    (Reducer::LogSumExp, 0, &[NAN, -INF], &[NAN]),
    (Reducer::LogSumExp, 0, &[INF, NAN], &[NAN]),
    (Reducer::LogSumExp, 0, &[1000.0, -1000.0], &[1000.0]),
    (Reducer::LogSumExp, 0, &[-1000.0, -1e30], &[-1000.0]),
    (Reducer::LogSumExp, 0, &[1e30, -INF, 1e30], &[1e30]),
    (Reducer::LogSumExp, 0, &[-1e30, -INF, -1e30], &[-1e30]),
    (Reducer::LogSumExp, 0, &[1e30, INF], &[INF]),
    (Reducer::LogSumExp, 0, &[2097152.0; 300], &[2_097_157.703_782_474_6]),
    (Reducer::LogSumExp, 0, &[-2097152.0; 300], &[-2_097_146.296_217_525_4]),
    (Reducer::LogSumExp, 0, &[2097151.0, 1048575.0, 2097151.0], &[2_097_151.693_147_180_6]),
    (Reducer::LogSumExp, 0, &[1e30, NAN], &[NAN]),
    (Reducer::LogSumExpWeight, 0, &[-INF, 0.0], &[std::f64::consts::LN_2]),
    (Reducer::LogSumExpWeight, 0, &[-INF, -INF], &[-INF]),
    (Reducer::SoftMaxSum, 0, &[-INF, 0.0, -INF], &[2.0]),
    (Reducer::SoftMaxSum, 0, &[-INF, -INF], &[NAN]),
    (Reducer::SoftMaxSum, 0, &[0.0, 0.0, 0.0], &[2.0]),
    (Reducer::SoftMaxSum, 0, &[1e30, -INF, 1e30], &[2.0]),
    (Reducer::SoftMaxSum, 0, &[-1e30, -2e30, -1e30], &[2.0]),
    (Reducer::SumShiftExp, 0, &[-INF, 7.0, 7.0], &[2.0]),
    (Reducer::SumShiftExp, 0, &[1e30, -INF, 1e30], &[2.0]),
    (Reducer::SumShiftExp, 0, &[-INF, -INF], &[0.0]),
    (Reducer::SumShiftExpWeight, 0, &[-INF, 7.0, 7.0], &[5.0]),
    (Reducer::SumShiftExpWeight, 0, &[NAN, 7.0], &[NAN]),
    // Sums and means.
    (Reducer::Sum, 0, &[INF, 1.0], &[INF]),
    (Reducer::Sum, 0, &[INF, -INF], &[NAN]),
    (Reducer::Mean, 0, &[5.0], &[5.0]),
    (Reducer::Mean, 0, &[1.0, 2.0, 6.0], &[3.0]),
    (Reducer::Mean, 0, &[1e38, 1e38, 1e38], &[1e38]),
    (Reducer::Mean, 0, &[INF, 1.0], &[INF]),
    (Reducer::Mean, 0, &[INF, -INF], &[NAN]),
    (Reducer::Mean, 0, &[NAN, 1.0], &[NAN]),
    (Reducer::Var, 0, &[5.0], &[0.0]),
    (Reducer::Var, 0, &[1.0, 2.0, 6.0], &[14.0 / 3.0]),
    (Reducer::Var, 0, &[8388609.0, 8388610.0, 8388611.0], &[2.0 / 3.0]),
    (Reducer::Var, 0, &[8388609.0; 9], &[0.0]),
    (Reducer::Var, 0, &[-0.0, 0.0], &[0.0]),
    (Reducer::Var, 0, &[INF, 1.0], &[NAN]),
    (Reducer::Var, 0, &[1.0, -INF], &[NAN]),
    (Reducer::Var, 0, &[NAN, 1.0], &[NAN]),
    (Reducer::Var, 0, &[1.0, NAN], &[NAN]),
    // Products: nothing overflows on the way.
    (Reducer::Prod, 0, &[-3.0], &[-3.0]),
    (Reducer::Prod, 0, &[2.0, -3.0, 4.0], &[-24.0]),
    (Reducer::Prod, 0, &[BIG, BIG, 0.0], &[0.0]),
    (Reducer::Prod, 0, &[0.0, BIG, BIG], &[0.0]),
    (Reducer::Prod, 0, &[TINY, TINY, BIG, BIG, 0.5], &[4.5]),
    (Reducer::Prod, 0, &[BIG, 0.5, TINY, 0.5, BIG, 0.5, TINY], &[9.0 / 8.0]),
    (Reducer::Prod, 0, &[LEAST, GREAT, 2048.0], &[2.0]),
    (Reducer::Prod, 0, &[INF, 2.0, -1.0], &[-INF]),
    (Reducer::Prod, 0, &[INF, 0.0], &[NAN]),
    (Reducer::Prod, 0, &[0.0, INF], &[NAN]),
    (Reducer::Prod, 0, &[NAN, 0.0], &[NAN]),
    (Reducer::Prod, 0, &[0.0, NAN], &[NAN]),
    // Truth: 0 and -0 are false, all else is true.
    (Reducer::Any, 0, &[0.0, -0.0], &[0.0]),
    (Reducer::Any, 0, &[0.0, 0.0, 1e-30], &[1.0]),
    (Reducer::Any, 0, &[NAN, 0.0], &[1.0]),
    (Reducer::All, 0, &[1.0, -2.0, NAN, INF], &[1.0]),
    (Reducer::All, 0, &[1.0, -0.0], &[0.0]),
    (Reducer::Count, 0, &[0.0, 3.0, -0.0, NAN, -INF, 1.0], &[4.0]),
    (Reducer::Count, 0, &[0.0], &[0.0]),
    // Extrema: NaN comes first, ties go to the lowest row.
    (Reducer::Min, 0, &[INF, INF], &[INF]),
    (Reducer::Min, 0, &[3.0, NAN, 1.0], &[NAN]),
    (Reducer::Max, 0, &[3.0, NAN, INF], &[NAN]),
    (Reducer::Max, 0, &[-INF], &[-INF]),
    (Reducer::ArgMin, 0, &[2.0, 1.0, 1.0], &[1.0]),
    (Reducer::ArgMin, 0, &[INF, INF], &[0.0]),
    (Reducer::ArgMin, 0, &[-INF, NAN, NAN], &[1.0]),
    (Reducer::ArgMin, 0, &[0.0, -0.0], &[0.0]),
    (Reducer::ArgMax, 0, &[1.0, 2.0, 2.0], &[1.0]),
    (Reducer::ArgMax, 0, &[-INF, -INF], &[0.0]),
    (Reducer::ArgMax, 0, &[INF, NAN], &[1.0]),
    (Reducer::ArgMax, 0, &[-0.0, 0.0], &[0.0]),
    (Reducer::KMin, 2, &[3.0, 1.0, 2.0], &[1.0, 2.0]),
    (Reducer::KMin, 3, &[INF, NAN, -INF], &[NAN, -INF, INF]),
    (Reducer::ArgKMin, 3, &[1.0, 0.0, 1.0, 0.0], &[1.0, 3.0, 0.0]),
    (Reducer::ArgKMin, 2, &[INF, INF], &[0.0, 1.0]),
    (Reducer::ArgKMin, 3, &[5.0, NAN, 5.0, NAN], &[1.0, 3.0, 0.0]),
    (Reducer::KMax, 2, &[3.0, 1.0, 2.0], &[3.0, 2.0]),
    (Reducer::KMax, 3, &[INF, NAN, -INF], &[NAN, INF, -INF]),
    (Reducer::ArgKMax, 3, &[1.0, 0.0, 1.0, 0.0], &[0.0, 2.0, 1.0]),
    (Reducer::ArgKMax, 2, &[-INF, -INF], &[0.0, 1.0]),
    (Reducer::ArgKMax, 3, &[5.0, NAN, 5.0, NAN], &[1.0, 3.0, 0.0]),
    (Reducer::SoftArgMin, 0, &[0.0, 0.0, 0.0], &[1.0]),
    (Reducer::SoftArgMin, 0, &[1e30, 0.0, INF], &[1.0]),
    (Reducer::SoftArgMin, 0, &[INF, INF], &[NAN]),
    (Reducer::SoftArgMax, 0, &[-1000.0, 1000.0, 1000.0], &[1.5]),
    (Reducer::SoftArgMax, 0, &[0.0, NAN], &[NAN]),
];

/// What is left where a mask leaves no row.
const MASKED_OUT: &[(Reducer, f64)] = &[
    (Reducer::Sum, 0.0),
    (Reducer::Mean, NAN),
    (Reducer::Var, NAN),
    (Reducer::Prod, 1.0),
    (Reducer::Min, INF),
    (Reducer::Max, -INF),
    (Reducer::ArgMin, -1.0),
    (Reducer::ArgMax, -1.0),
    (Reducer::KMin, INF),
    (Reducer::ArgKMin, -1.0),
    (Reducer::KMax, -INF),
    (Reducer::ArgKMax, -1.0),
    (Reducer::LogSumExp, -INF),
    (Reducer::LogSumExpWeight, -INF),
    (Reducer::SoftMaxSum, NAN),
    (Reducer::SoftArgMin, NAN),
    (Reducer::SoftArgMax, NAN),
    (Reducer::SumShiftExp, 0.0),
    (Reducer::SumShiftExpWeight, 0.0),
    (Reducer::Any, 0.0),
    (Reducer::All, 1.0),
    (Reducer::Count, 0.0),
];

/// Folds `y` over j with every reduction that takes `k`, where `q` is not 0 if there is a mask. All
/// reductions in one stage: each of the others could disturb it.
fn formula(k: usize, masked: bool) -> Formula {
    let masks = if masked { " where q" } else { "" };
    let mut f = Formula::new(format!("k = {k}{masks}"));
    // A value of pairs: x is 0.
    let x = f.input("x", Some(Axis::I), 1).expect("a small dim");
    let y = f.input("y", Some(Axis::J), 1).expect("a small dim");
    let w = f.input("w", Some(Axis::J), 1).expect("a small dim");
    let q = f.input("q", Some(Axis::J), 1).expect("a small dim");
    let value = f.add(x, y);
    let mask = masked.then_some(q);
    for reducer in reducers(k) {
        let args = [value, w][..reducer.def().arity].to_vec();
        let fold = f.reduce(Reduction { reducer, axis: Axis::J, args, mask, k }).expect("it fits");
        f.output(&format!("{reducer:?}"), Some(Axis::I), fold).expect("a row of i");
    }
    f
}

/// The reductions that take `k`, or that take none where it is 0.
fn reducers(k: usize) -> impl Iterator<Item = Reducer> {
    Reducer::ALL.iter().copied().filter(move |r| r.def().takes_k == (k != 0))
}

/// Three rows that fold the same numbers; `kept` says which columns a mask keeps.
fn problem(formula: &Formula, columns: &[f64], kept: &dyn Fn(usize) -> bool) -> Problem {
    let names: Vec<String> = formula.inputs.iter().map(|i| i.name.clone()).collect();
    Problem::new(formula.clone(), 3, columns.len(), |input, row| match names[input].as_str() {
        "y" => columns[row],
        "w" => row as f64 + 1.0,
        "q" if kept(row) => 1.0,
        _ => 0.0,
    })
}

fn same(expected: f64, found: f64, dtype: Dtype) -> bool {
    let epsilon = if dtype == Dtype::F32 { 2.5e-7 } else { 4e-16 };
    match expected {
        e if e.is_nan() => found.is_nan(),
        e if !e.is_finite() || e == 0.0 => found == e,
        e => (found - e).abs() <= epsilon * e.abs(),
    }
}

struct Runners {
    machines: Machines,
    wrong: Vec<String>,
}

impl Runners {
    fn new(machines: Machines) -> Runners {
        Runners { machines, wrong: Vec::new() }
    }

    /// Every row of one output has to be `expected`, by every executor.
    fn check(&mut self, at: usize, problem: &Problem, results: &[(Reducer, Vec<f64>)]) {
        let Problem { formula, m, n, inputs } = problem;
        let found = eval::evaluate(formula, *m, *n, inputs).expect("the arrays fit");
        self.compare("eval", problem, Dtype::F64, results, &found);
        for &dtype in Dtype::ALL {
            let grids = [1, 2].map(|splits| Grid { splits, seed: 0 });
            for (who, found) in self.machines.answers(at, dtype, problem, &grids) {
                self.compare(&who, problem, dtype, results, &found);
            }
        }
    }

    fn compare(
        &mut self,
        who: &str,
        problem: &Problem,
        dtype: Dtype,
        results: &[(Reducer, Vec<f64>)],
        found: &[Matrix],
    ) {
        for (reducer, expected) in results {
            let name = format!("{reducer:?}");
            let at = problem.formula.outputs.iter().position(|o| o.name == name);
            let found = &found[at.expect("an output for each reduction")];
            let right = |row: &[f64]| expected.iter().zip(row).all(|(e, f)| same(*e, *f, dtype));
            if found.cols != expected.len() || !found.data.chunks(found.cols).all(right) {
                let (dtype, columns) = (dtype.name(), &problem.inputs[1].data);
                self.wrong.push(format!(
                    "{name} {} of {columns:?}, {who} {dtype}: {expected:?} {:?}",
                    problem.formula.name, found.data
                ));
            }
        }
    }

    fn finish(self) {
        let lines: String = self.wrong.iter().take(30).map(|w| format!("\n  {w}")).collect();
        assert!(self.wrong.is_empty(), "{} answers are wrong:{lines}", self.wrong.len());
    }
}

/// The rows of the table, with and without columns around them that a mask leaves out; and masks
/// that leave nothing.
fn check_table(make: fn(&[Formula]) -> Machines) {
    let ks = [0, 2, 3];
    let formulas: Vec<Formula> =
        ks.iter().flat_map(|&k| [false, true].map(|masked| formula(k, masked))).collect();
    let mut runners = Runners::new(make(&formulas));
    for (at, k) in ks.into_iter().enumerate() {
        let (plain, masked) = (&formulas[2 * at], &formulas[2 * at + 1]);
        for &(reducer, _, columns, expected) in TABLE.iter().filter(|row| row.1 == k) {
            let result = [(reducer, expected.to_vec())];
            runners.check(2 * at, &problem(plain, columns, &|_| true), &result);
            if by_number(reducer) {
                continue;
            }
            let spread: Vec<f64> = columns.iter().flat_map(|&v| [NAN, v, INF, -INF, 0.0]).collect();
            let rows = reducer.def().index && reducer != Reducer::Count;
            let number = |&v: &f64| if rows { 5.0 * v + 1.0 } else { v };
            let result = [(reducer, expected.iter().map(number).collect())];
            runners.check(2 * at + 1, &problem(masked, &spread, &|row| row % 5 == 1), &result);
        }
        let left = |reducer| {
            let row = MASKED_OUT.iter().find(|(r, _)| *r == reducer);
            (reducer, vec![row.expect("a row for each reduction").1; k.max(1)])
        };
        let nothing: Vec<_> = reducers(k).map(left).collect();
        for columns in [&[NAN, 1.0, INF, -INF, 0.0][..], &[0.0; 300]] {
            runners.check(2 * at + 1, &problem(masked, columns, &|_| false), &nothing);
        }
    }
    runners.finish();
}

#[test]
fn results_are_those_of_the_table() {
    check_table(Machines::compiled);
}

#[test]
fn interpreted_results_are_those_of_the_table() {
    check_table(Machines::interpreted);
}

/// Whether the value depends on the numbers of the rows, by itself or through the weights.
fn by_number(reducer: Reducer) -> bool {
    let composite = [Reducer::SoftArgMin, Reducer::SoftArgMax].contains(&reducer);
    composite || reducer.def().arity == 2
}

#[test]
fn more_entries_than_rows_are_an_error() {
    let formula = formula(3, false);
    let native = Native::build(std::slice::from_ref(&formula), &[Dtype::F64], &[native::best()]);
    let problem = problem(&formula, &[1.0, 2.0], &|_| true);
    let error = eval::evaluate(&formula, 3, 2, &problem.inputs).expect_err("two rows");
    assert!(matches!(error, eval::EvalError::Rows(_)), "{error}");
    let error = native.run(0, Dtype::F64, native::best(), &problem).expect_err("two rows");
    assert!(error.to_string().contains("at least 3"), "{error}");
}

/// 2^24 is where float32 stops telling integers apart.
#[test]
fn row_numbers_and_counts_are_exact_beyond_what_float32_holds() {
    let (first, last, count) = ((1 << 24) + 1, (1 << 24) + 3, (1 << 24) + 101);
    let mut f = Formula::new("far rows");
    let x = f.input("x", Some(Axis::I), 1).expect("a small dim");
    let y = f.input("y", Some(Axis::J), 1).expect("a small dim");
    let value = f.add(x, y);
    let zero = f.constant(0.0);
    let is_zero = f.apply(Op::Eq, &[value, zero], &[]);
    let cases: &[(Reducer, ExprId, usize, &[i32])] = &[
        (Reducer::ArgMin, value, 0, &[first]),
        (Reducer::ArgMax, value, 0, &[last]),
        (Reducer::ArgKMin, value, 2, &[first, 0]),
        (Reducer::ArgKMax, value, 2, &[last, 0]),
        (Reducer::Count, value, 0, &[2]),
        (Reducer::Count, is_zero, 0, &[count - 2]),
    ];
    for (n, &(reducer, value, k, _)) in cases.iter().enumerate() {
        let args = vec![value];
        let fold = Reduction { reducer, axis: Axis::J, args, mask: None, k };
        let fold = f.reduce(fold).expect("it fits");
        f.output(&format!("o{n}"), Some(Axis::I), fold).expect("a row of i");
    }
    let native = Native::build(std::slice::from_ref(&f), &[Dtype::F32], &native::levels());
    let problem = Problem::new(f, 1, count as usize, |input, row| match (input, row as i32) {
        (1, row) if row == first => -1.0,
        (1, row) if row == last => 1.0,
        _ => 0.0,
    });
    for level in native::levels() {
        let found = native.run(0, Dtype::F32, level, &problem).expect("it runs");
        for ((reducer, _, _, expected), found) in cases.iter().zip(found) {
            let expected: Vec<f64> = expected.iter().map(|&n| f64::from(n)).collect();
            assert_eq!(found.data, expected, "{reducer:?} {level}");
        }
    }
}

#[test]
fn results_on_a_device_are_those_of_the_table() {
    if device::is_here() {
        check_table(Machines::device);
    }
}

#[test]
fn results_on_arm_are_those_of_the_table() {
    if Processor::Arm.is_here() {
        check_table(Machines::arm);
    }
}
