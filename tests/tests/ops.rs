//! Every operation, on numbers of its domain and at the edges: the oracle against `ir::eval`, code
//! compiled for every level of this CPU, and emulated CUDA code, in float32 and float64.

use tilefold::Level;
use tilefold_compiler::ir::Dtype;
use tilefold_compiler::ir::eval::{self, Matrix};
use tilefold_compiler::ops::Op;
use tilefold_tests::calls::{self, Call, EDGES, MILD_EDGES};
use tilefold_tests::emulated::{Emulated, Grid};
use tilefold_tests::native::{self, Native};
use tilefold_tests::oracle::meaning;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;
use tilefold_tests::sheet::{Form, Sheet, sheets};

/// Operations that are one rounding, or none, of the exact result.
const EXACT: &str = "add sub mul div neg inv square sqrt abs sign step relu floor clamp clamp_int \
                     diff_clamp_int ifelse where eq ne lt le and or max_of min_of arg_max_of \
                     arg_min_of sum_t elem elem_t extract extract_t concat one_hot tensorprod";

/// Operations of one function of the prelude, which may be off by so many units.
const FUNCTIONS: &[(&str, f64)] = &[
    ("rsqrt", 2.0),
    ("exp", 2.0),
    ("exp2", 2.0),
    ("log", 2.0),
    ("sin", 2.0),
    ("cos", 2.0),
    ("asin", 4.0),
    ("acos", 4.0),
    ("atan", 4.0),
    ("atan2", 4.0),
    ("powf", 4.0),
];

/// Everything else is several roundings.
const SEVERAL: f64 = 12.0;

fn is_exact(call: &Call) -> bool {
    EXACT.split_whitespace().any(|name| name == call.op.def().name)
}

fn is_function(call: &Call) -> Option<f64> {
    FUNCTIONS.iter().find(|(name, _)| *name == call.op.def().name).map(|(_, limit)| *limit)
}

/// How far a result may be off: units of the last place of the result, and of the arguments'
/// magnitude where terms cancel.
fn allowed(call: &Call, form: Form, dtype: Dtype, args: &[&[f64]], expected: f64) -> f64 {
    let (epsilon, tiny) = match dtype {
        Dtype::F32 => (f64::from(f32::EPSILON), f64::from(f32::from_bits(1))),
        Dtype::F64 => (f64::EPSILON, f64::from_bits(1)),
    };
    let ulp = (expected.abs() * epsilon).max(tiny);
    // Factors leave the sum, and a division becomes a product with the reciprocal.
    let moved = if form == Form::Pair { 2.0 } else { 0.0 };
    match is_function(call) {
        Some(limit) => (limit + 1.0) * ulp,
        None if is_exact(call) => (0.5 + moved) * ulp,
        None => {
            let largest = args.iter().flat_map(|a| a.iter()).fold(1.0, |a: f64, x| a.max(x.abs()));
            let magnitude = if largest.is_finite() { largest.powi(3) } else { 0.0 };
            SEVERAL * (ulp + epsilon * magnitude)
        }
    }
}

fn agrees(allowed: f64, dtype: Dtype, expected: f64, found: f64) -> bool {
    let rounded = if dtype == Dtype::F32 { f64::from(expected as f32) } else { expected };
    match rounded.is_finite() {
        true => (found - expected).abs() <= allowed,
        false => found == rounded || (found.is_nan() && rounded.is_nan()),
    }
}

/// What runs the sheets of one form.
struct Runners {
    form: Form,
    sheets: Vec<Sheet>,
    native: Native,
    emulated: Emulated,
}

impl Runners {
    fn new(form: Form) -> Runners {
        let all: Vec<Call> = Op::ALL.iter().flat_map(|&op| calls::calls(op)).collect();
        let sheets = sheets(&all, form);
        let formulas: Vec<_> = sheets.iter().map(|s| s.formula.clone()).collect();
        let native = Native::build(&formulas, Dtype::ALL, &native::levels());
        Runners { form, sheets, native, emulated: Emulated::build(&formulas, Dtype::ALL) }
    }

    /// Compares every executor with the oracle on `rows` for call `n` of sheet `at`.
    fn check(&self, at: usize, n: usize, rows: &[Vec<Vec<f64>>], wrong: &mut Vec<String>) {
        let problem = self.sheets[at].problem(n, rows);
        for &dtype in Dtype::ALL {
            let problem = problem.rounded(dtype);
            for (who, found) in self.answers(at, dtype, &problem) {
                self.compare(at, n, dtype, &who, rows, &found[n], wrong);
            }
        }
        let found = eval::evaluate(&problem.formula, problem.m, problem.n, &problem.inputs);
        let found = found.expect("the arrays fit");
        self.compare(at, n, Dtype::F64, "eval", rows, &found[n], wrong);
    }

    fn answers(&self, at: usize, dtype: Dtype, problem: &Problem) -> Vec<(String, Vec<Matrix>)> {
        let on = |level: Level| {
            let found = self.native.run(at, dtype, level, problem);
            (level.name().into(), found.unwrap_or_else(|e| panic!("{e}")))
        };
        let mut all: Vec<(String, Vec<Matrix>)> = native::levels().into_iter().map(on).collect();
        let found = self.emulated.run(at, dtype, problem, Grid::default());
        all.push(("cuda".into(), found.unwrap_or_else(|e| panic!("{e}"))));
        all
    }

    #[allow(clippy::too_many_arguments, reason = "all of it names what is wrong")]
    fn compare(
        &self,
        at: usize,
        n: usize,
        dtype: Dtype,
        who: &str,
        rows: &[Vec<Vec<f64>>],
        found: &Matrix,
        wrong: &mut Vec<String>,
    ) {
        let (sheet, call) = (&self.sheets[at], &self.sheets[at].calls[n]);
        let round = |x: &f64| if dtype == Dtype::F32 { f64::from(*x as f32) } else { *x };
        for (row, found) in found.data.chunks(found.cols).enumerate() {
            let args: Vec<Vec<f64>> =
                sheet.met(rows, row).iter().map(|a| a.iter().map(round).collect()).collect();
            let args: Vec<&[f64]> = args.iter().map(Vec::as_slice).collect();
            let expected = meaning::apply(call.op.def().name, &args, &call.params);
            for (c, (&expected, &found)) in expected.iter().zip(found).enumerate() {
                let allowed = allowed(call, self.form, dtype, &args, expected);
                if !agrees(allowed, dtype, expected, found) {
                    wrong.push(format!(
                        "{} {:?} {}{:?} of {args:?}, component {c}: expected {expected:?}, {who} \
                         {} found {found:?}, allowed {allowed:.1e}",
                        call.op.def().name,
                        self.form,
                        if call.params.is_empty() { "" } else { "with " },
                        call.params,
                        dtype.name(),
                    ));
                }
            }
        }
    }

    fn all(&self, mut each: impl FnMut(usize, usize, &Call)) {
        for (at, sheet) in self.sheets.iter().enumerate() {
            for (n, call) in sheet.calls.iter().enumerate() {
                each(at, n, call);
            }
        }
    }
}

fn report(wrong: &[String]) {
    let shown = wrong.iter().take(40).map(|w| format!("\n  {w}")).collect::<String>();
    assert!(wrong.is_empty(), "{} results are wrong:{shown}", wrong.len());
}

fn on_domains(form: Form, rows: usize) {
    let runners = Runners::new(form);
    let (mut rng, mut wrong) = (Rng::new(1), Vec::new());
    runners.all(|at, n, call| {
        let rows: Vec<_> = (0..rows).map(|_| calls::sample(call, &mut rng)).collect();
        runners.check(at, n, &rows, &mut wrong);
    });
    report(&wrong);
}

fn at_edges(form: Form) {
    let runners = Runners::new(form);
    let (mut rng, mut wrong) = (Rng::new(2), Vec::new());
    runners.all(|at, n, call| {
        let single = is_exact(call) || is_function(call).is_some();
        // In pair form a division is a product with the reciprocal, which may overflow.
        let mild = !single || (form == Form::Pair && call.op == Op::Div);
        let mut rows = calls::edge_rows(call, if mild { MILD_EDGES } else { EDGES });
        match form {
            Form::Row => runners.check(at, n, &rows, &mut wrong),
            Form::Pair => {
                for _ in 0..12 {
                    rng.shuffle(&mut rows);
                    runners.check(at, n, &rows[..rows.len().min(100)], &mut wrong);
                }
            }
        }
    });
    report(&wrong);
}

#[test]
fn rows_of_numbers_from_the_domains() {
    on_domains(Form::Row, 70);
}

#[test]
fn pairs_of_numbers_from_the_domains() {
    on_domains(Form::Pair, 70);
}

#[test]
fn rows_of_numbers_at_the_edges() {
    at_edges(Form::Row);
}

#[test]
fn pairs_of_numbers_at_the_edges() {
    at_edges(Form::Pair);
}
