//! Every reduction on numbers that break folds: ties, NaN, infinities, rows of masks that keep
//! nothing, more columns than a tile, none at all. The oracle against `ir::eval`, compiled code of
//! every level, and emulated CUDA code with one split and with several.

use std::iter::Cycle;
use std::slice;

use tilefold_compiler::ir::eval::{self, Matrix};
use tilefold_compiler::ir::{Axis, Dtype, Formula, Reduction};
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::compare;
use tilefold_tests::device;
use tilefold_tests::emulated::Grid;
use tilefold_tests::folds;
use tilefold_tests::machines::Machines;
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;
use tilefold_tests::toolchain::Processor;

/// Row counts beside the edges of vectors and tiles.
const COUNTS: &[usize] = &[1, 7, 129, 257, 700];

/// Sums in float32 of up to 700 numbers, and in float64.
fn allowed(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F32 => 4e-6,
        Dtype::F64 => 1e-13,
    }
}

struct Runners {
    machines: Machines,
    /// Every problem is launched in the next way.
    grids: Cycle<slice::Iter<'static, Grid>>,
    wrong: Vec<String>,
}

const GRIDS: &[Grid] =
    &[Grid { splits: 1, seed: 0 }, Grid { splits: 3, seed: 5 }, Grid { splits: 64, seed: 0 }];

impl Runners {
    fn new(machines: Machines) -> Runners {
        Runners { machines, grids: GRIDS.iter().cycle(), wrong: Vec::new() }
    }

    fn check(&mut self, at: usize, what: &str, problem: &Problem) {
        let Problem { formula, m, n, inputs } = problem;
        let expected = oracle::evaluate(formula, *m, *n, inputs);
        let found = eval::evaluate(formula, *m, *n, inputs).expect("the arrays fit");
        self.compare(what, "eval", problem, 1e-13, &expected, &found);
        for &dtype in Dtype::ALL {
            let expected = oracle::evaluate_in(precision(dtype), formula, *m, *n, inputs);
            let grid = *self.grids.next().expect("an endless list");
            for (who, found) in self.machines.answers(at, dtype, problem, &[grid]) {
                self.compare(what, &who, problem, allowed(dtype), &expected, &found);
            }
        }
    }

    fn compare(
        &mut self,
        what: &str,
        who: &str,
        problem: &Problem,
        allowed: f64,
        expected: &[Matrix],
        found: &[Matrix],
    ) {
        if let Some(gap) = compare::worst(&problem.formula, expected, found)
            && gap.off > allowed
        {
            let name = &problem.formula.name;
            self.wrong.push(format!("{name}, {what}, {} x {}, {who}: {gap}", problem.m, problem.n));
        }
    }

    fn finish(self) {
        let lines: String = self.wrong.iter().take(40).map(|w| format!("\n  {w}")).collect();
        assert!(self.wrong.is_empty(), "{} answers are wrong:{lines}", self.wrong.len());
    }
}

fn precision(dtype: Dtype) -> oracle::Precision {
    match dtype {
        Dtype::F32 => oracle::Precision::Single,
        Dtype::F64 => oracle::Precision::Double,
    }
}

/// Makes what computes.
type Make = fn(&[Formula]) -> Machines;

fn on_tables(make: Make, axis: Axis, counts: &[usize]) {
    let formulas = folds::formulas(axis);
    let (mut runners, mut rng) = (Runners::new(make(&formulas)), Rng::new(3));
    for (at, formula) in formulas.iter().enumerate() {
        let least = formula.ids().filter_map(|id| least_rows(formula, id)).max().unwrap_or(0);
        for &count in counts.iter().filter(|&&count| count >= least) {
            for (what, columns) in folds::tables(count, &mut rng) {
                let problem = folds::on(formula, axis, 3, &columns, &mut rng);
                runners.check(at, &what, &problem);
            }
        }
    }
    runners.finish();
}

fn least_rows(formula: &Formula, id: tilefold_compiler::ir::ExprId) -> Option<usize> {
    match formula.node(id) {
        tilefold_compiler::ir::Node::Reduce(r) => Some((r.reducer.def().least_rows)(r.k)),
        _ => None,
    }
}

#[test]
fn tables_over_j() {
    on_tables(Machines::compiled, Axis::J, COUNTS);
}

#[test]
fn tables_over_i() {
    on_tables(Machines::compiled, Axis::I, &[5, 300]);
}

fn one(reducer: Reducer, k: usize) -> Formula {
    let mut f = Formula::new(format!("{} with k = {k}", reducer.def().name));
    let x = f.input("x", Some(Axis::I), 1).expect("a small dim");
    let y = f.input("y", Some(Axis::J), 1).expect("a small dim");
    let value = f.add(x, y);
    let args = vec![value; reducer.def().arity];
    let fold =
        f.reduce(Reduction { reducer, axis: Axis::J, args, mask: None, k }).expect("it fits");
    f.output("out", Some(Axis::I), fold).expect("a row of i");
    f
}

#[test]
fn interpreted_tables() {
    on_tables(Machines::interpreted, Axis::J, COUNTS);
    on_tables(Machines::interpreted, Axis::I, &[5, 300]);
}

#[test]
fn more_entries_than_a_tile_has_columns() {
    many_entries(Machines::compiled);
    many_entries(Machines::interpreted);
}

fn many_entries(make: Make) {
    let formulas = [one(Reducer::KMin, 150), one(Reducer::ArgKMin, 150)];
    let (mut runners, mut rng) = (Runners::new(make(&formulas)), Rng::new(4));
    for (at, formula) in formulas.iter().enumerate() {
        for count in [150, 400] {
            for (what, columns) in folds::tables(count, &mut rng) {
                let problem = folds::on(formula, Axis::J, 3, &columns, &mut rng);
                runners.check(at, &what, &problem);
            }
        }
    }
    runners.finish();
}

#[test]
fn no_columns_give_the_neutral_element_or_an_error() {
    no_columns(Machines::compiled);
    no_columns(Machines::interpreted);
}

fn no_columns(make: Make) {
    let takes_k = |r: &Reducer| if r.def().takes_k { 2 } else { 0 };
    let formulas: Vec<Formula> = Reducer::ALL.iter().map(|r| one(*r, takes_k(r))).collect();
    let mut runners = Runners::new(make(&formulas));
    for (at, (formula, reducer)) in formulas.iter().zip(Reducer::ALL).enumerate() {
        let problem = Problem::new(formula.clone(), 3, 0, |_, _| 1.0);
        if (reducer.def().least_rows)(takes_k(reducer)) == 0 {
            runners.check(at, "no columns", &problem);
            continue;
        }
        let name = reducer.def().name;
        let eval = eval::evaluate(formula, 3, 0, &problem.inputs);
        assert!(matches!(eval, Err(eval::EvalError::Rows(_))), "{name}: {eval:?}");
        let run = runners.machines.run(at, Dtype::F32, &problem);
        let error = run.expect_err(name);
        assert!(error.to_string().contains("at least"), "{name}: {error}");
    }
    runners.finish();
}

#[test]
fn no_rows_give_empty_results() {
    no_rows(Machines::compiled);
    no_rows(Machines::interpreted);
}

fn no_rows(make: Make) {
    let formulas = [one(Reducer::Sum, 0), one(Reducer::ArgMin, 0)];
    let mut runners = Runners::new(make(&formulas));
    for (at, formula) in formulas.iter().enumerate() {
        let problem = Problem::new(formula.clone(), 0, 3, |_, _| 1.0);
        runners.check(at, "no rows", &problem);
    }
    runners.finish();
}

/// What is built for a composite means what its room and the definition say.
#[test]
fn composites_are_their_expansions() {
    let mut rng = Rng::new(6);
    let composites = Reducer::ALL.iter().filter(|r| r.def().expand.is_some());
    for &reducer in composites {
        let formula = one(reducer, 0);
        for (what, columns) in folds::tables(9, &mut rng) {
            let problem = folds::on(&formula, Axis::J, 1, &columns, &mut rng);
            let found = eval::evaluate(&formula, 1, 9, &problem.inputs).expect("the arrays fit");
            let found = found[0].data[0];
            let row = |(index, value): (usize, &f64)| tilefold_compiler::reduce::Row {
                index: index as i64,
                args: vec![vec![*value]],
            };
            let rows: Vec<_> = columns.iter().enumerate().map(row).collect();
            let mut room = [0.0];
            (reducer.def().eval)(&rows, 0, &mut room);
            let meant = oracle::fold_numbers(reducer, &columns)[0];
            for other in [room[0], meant] {
                let same = (found - other).abs() <= 1e-14 * (1.0 + other.abs());
                let name = reducer.def().name;
                assert!(same || (found.is_nan() && other.is_nan()), "{name} of {what}: {found}");
            }
        }
    }
}

#[test]
fn tables_on_a_device() {
    if device::is_here() {
        on_tables(Machines::device, Axis::J, COUNTS);
        on_tables(Machines::device, Axis::I, &[5, 300]);
        many_entries(Machines::device);
        no_columns(Machines::device);
        no_rows(Machines::device);
    }
}

#[test]
fn tables_on_arm() {
    if Processor::Arm.is_here() {
        on_tables(Machines::arm, Axis::J, &[7, 257]);
        no_rows(Machines::arm);
    }
}
