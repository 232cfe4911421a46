//! Every operation, on numbers of its domain and at the edges: the oracle against `ir::eval`, code
//! compiled for every level of this CPU, and emulated CUDA code, in float32 and float64.

use tilefold_compiler::ir::eval::{self, Matrix};
use tilefold_compiler::ir::{Dtype, Formula};
use tilefold_compiler::ops::Op;
use tilefold_tests::accuracy::{self, Bound, SEVERAL};
use tilefold_tests::calls::{self, Call, EDGES, MILD_EDGES};
use tilefold_tests::device;
use tilefold_tests::emulated::Grid;
use tilefold_tests::machines::Machines;
use tilefold_tests::oracle::meaning;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;
use tilefold_tests::sheet::{self, Form, Sheet, sheets};
use tilefold_tests::toolchain::Processor;

fn is_exact(call: &Call) -> bool {
    accuracy::bound(call.op) == Bound::Exact
}

fn is_function(call: &Call) -> Option<f64> {
    match accuracy::bound(call.op) {
        Bound::Ulps(limit) => Some(limit),
        Bound::Exact | Bound::Several => None,
    }
}

/// How far results of a call may be off: units of the last place of the result, and of the
/// arguments' magnitude where terms cancel.
struct Tolerance {
    of_result: f64,
    of_arguments: f64,
    epsilon: f64,
    tiny: f64,
    single: bool,
}

impl Tolerance {
    fn new(call: &Call, form: Form, dtype: Dtype) -> Tolerance {
        let (epsilon, tiny) = match dtype {
            Dtype::F32 => (f64::from(f32::EPSILON), f64::from(f32::from_bits(1))),
            Dtype::F64 => (f64::EPSILON, f64::from_bits(1)),
        };
        // Factors leave the sum, and a division becomes a product with the reciprocal.
        let moved = if form == Form::Pair { 2.0 } else { 0.0 };
        let (of_result, of_arguments) = match is_function(call) {
            Some(limit) => (limit + 1.0, 0.0),
            None if is_exact(call) => (0.5 + moved, 0.0),
            None => (SEVERAL, SEVERAL),
        };
        Tolerance { of_result, of_arguments, epsilon, tiny, single: dtype == Dtype::F32 }
    }

    fn accepts(&self, magnitude: f64, expected: f64, found: f64) -> bool {
        if found == expected {
            return true;
        }
        let rounded = if self.single { f64::from(expected as f32) } else { expected };
        if !rounded.is_finite() {
            return found == rounded || (found.is_nan() && rounded.is_nan());
        }
        let ulp = (expected.abs() * self.epsilon).max(self.tiny);
        let allowed = self.of_result * ulp + self.of_arguments * self.epsilon * magnitude;
        (found - expected).abs() <= allowed
    }
}

/// The scale of what may cancel: at least 1, and the cube of the largest finite argument.
fn magnitude(args: &[&[f64]]) -> f64 {
    let finite = args.iter().flat_map(|a| a.iter()).filter(|x| x.is_finite());
    finite.fold(1.0, |a: f64, x| a.max(x.abs())).powi(3)
}

/// A result that is too far off.
struct Wrong {
    /// Operation and executor.
    who: String,
    what: String,
}

/// What runs the sheets of one form.
struct Runners {
    form: Form,
    sheets: Vec<Sheet>,
    machines: Machines,
    wrong: Vec<Wrong>,
}

impl Runners {
    fn new(form: Form, make: fn(&[Formula]) -> Machines) -> Runners {
        let all: Vec<Call> = Op::ALL.iter().flat_map(|&op| calls::calls(op)).collect();
        let sheets = sheets(&all, form);
        let formulas: Vec<Formula> = sheets.iter().map(|s| s.formula.clone()).collect();
        Runners { form, sheets, machines: make(&formulas), wrong: Vec::new() }
    }

    /// Compares every executor with the oracle, for those calls of sheet `at` that `which` picks.
    fn check(&mut self, at: usize, problem: &Problem, which: impl Fn(usize, &Call) -> bool) {
        for &dtype in Dtype::ALL {
            let problem = problem.rounded(dtype);
            let answers = self.answers(at, dtype, &problem);
            for n in 0..self.sheets[at].calls.len() {
                if which(n, &self.sheets[at].calls[n]) {
                    self.compare((at, n), dtype, &problem, &answers);
                }
            }
        }
    }

    fn answers(&self, at: usize, dtype: Dtype, problem: &Problem) -> Vec<(String, Vec<Matrix>)> {
        let mut all = self.machines.answers(at, dtype, problem, &[Grid::default()]);
        if dtype == Dtype::F64 {
            let found = eval::evaluate(&problem.formula, problem.m, problem.n, &problem.inputs);
            all.push(("eval".into(), found.expect("the arrays fit")));
        }
        all
    }

    /// Compares the results of call `n` of sheet `at`. What is right is worked out once for all
    /// executors: that takes longer than they do.
    fn compare(
        &mut self,
        (at, n): (usize, usize),
        dtype: Dtype,
        problem: &Problem,
        answers: &[(String, Vec<Matrix>)],
    ) {
        let (sheet, call) = (&self.sheets[at], &self.sheets[at].calls[n]);
        let name = call.op.def().name;
        let tolerance = Tolerance::new(call, self.form, dtype);
        let rows = answers.iter().map(|(_, found)| found[n].rows).max().unwrap_or(0);
        let arrays = sheet.arrays(problem, n);
        for row in 0..rows {
            let args = sheet::args(&arrays, row);
            let expected = meaning::apply(name, &args, &call.params);
            let magnitude = magnitude(&args);
            for (who, found) in answers {
                let found = &found[n].data[row * found[n].cols..][..found[n].cols];
                let right = |(e, f): (&f64, &f64)| tolerance.accepts(magnitude, *e, *f);
                if !expected.iter().zip(found).all(right) {
                    let who = format!("{name} {:?} {who}", self.form);
                    let what =
                        format!("{args:?}, {:?} is {expected:?}, not {found:?}", call.params);
                    self.wrong.push(Wrong { who, what });
                }
            }
        }
    }

    /// Panics where anything is wrong, with an example for each operation and executor.
    fn finish(mut self) {
        let count = self.wrong.len();
        self.wrong.sort_by(|a, b| a.who.cmp(&b.who));
        self.wrong.dedup_by(|a, b| a.who == b.who);
        let lines = self.wrong.iter().map(|w| format!("\n  {}: {}", w.who, w.what));
        assert!(count == 0, "{count} results are wrong, such as{}", lines.collect::<String>());
    }
}

/// Numbers of the domains, a call at a time.
fn on_domains(runners: &mut Runners, rows: usize) {
    let mut rng = Rng::new(1);
    for at in 0..runners.sheets.len() {
        for n in 0..runners.sheets[at].calls.len() {
            let sheet = &runners.sheets[at];
            let call = &sheet.calls[n];
            let problem =
                sheet.problem(rows, |place, _, k| calls::component(call, place, k, &mut rng));
            runners.check(at, &problem, |k, _| k == n);
        }
    }
}

/// Every combination of edges for three arguments in row form, some in pair form. Components of
/// vectors take the edges that follow.
fn at_edges(runners: &mut Runners, edges: &[f64], fits: impl Fn(&Call) -> bool) {
    let (form, mut rng) = (runners.form, Rng::new(2));
    let count = edges.len();
    let all = count.pow(3);
    let (repeats, rows) = if form == Form::Row { (1, all) } else { (25, 70) };
    for at in 0..runners.sheets.len() {
        // What nobody looks at is not run.
        let repeats = if runners.sheets[at].calls.iter().any(&fits) { repeats } else { 0 };
        for _ in 0..repeats {
            let shuffled: Vec<usize> = (0..rows).map(|_| rng.below(all)).collect();
            let problem = runners.sheets[at].problem(rows, |place, row, k| {
                let row = if form == Form::Row { row } else { shuffled[row] };
                edges[(row / count.pow(place as u32) + 5 * k) % count]
            });
            runners.check(at, &problem, |_, call| fits(call));
        }
    }
}

/// Whether results are right at every edge: where there are several roundings, they may overflow in
/// between. In pair form that holds for a division, which is a product with the reciprocal.
fn takes_every_edge(form: Form, call: &Call) -> bool {
    let one_step = is_exact(call) || is_function(call).is_some();
    one_step && !(form == Form::Pair && call.op == Op::Div)
}

/// Whether results at the milder edges are those of the definition in whatever order it is
/// computed. A minor of an infinite matrix is not: `inf (2 - 1)` is infinite, `2 inf - inf` NaN.
/// Soft-DTW has no meaning for a temperature below 0. Their edges are rows of `tests/edges`.
fn takes_mild_edges(call: &Call) -> bool {
    !matches!(call.op, Op::Cofactor | Op::SoftDtwSqDist)
}

/// The kernels are compiled once and run on everything.
fn check(form: Form, make: fn(&[Formula]) -> Machines) {
    let mut runners = Runners::new(form, make);
    on_domains(&mut runners, 70);
    at_edges(&mut runners, EDGES, |call| takes_every_edge(form, call));
    at_edges(&mut runners, MILD_EDGES, takes_mild_edges);
    let finite: Vec<f64> = MILD_EDGES.iter().copied().filter(|x| !x.is_infinite()).collect();
    at_edges(&mut runners, &finite, |call| call.op == Op::Cofactor);
    runners.finish();
}

#[test]
fn rows_of_numbers() {
    check(Form::Row, Machines::compiled);
}

#[test]
fn pairs_of_numbers() {
    check(Form::Pair, Machines::compiled);
}

#[test]
fn interpreted_rows() {
    check(Form::Row, Machines::interpreted);
}

#[test]
fn interpreted_pairs() {
    check(Form::Pair, Machines::interpreted);
}

#[test]
fn rows_on_a_device() {
    if device::is_here() {
        check(Form::Row, Machines::device);
    }
}

#[test]
fn pairs_on_a_device() {
    if device::is_here() {
        check(Form::Pair, Machines::device);
    }
}

/// Every combination of edges; pairs are those of the other tests on ARM.
#[test]
fn rows_on_arm() {
    if Processor::Arm.is_here() {
        check(Form::Row, Machines::arm);
    }
}
