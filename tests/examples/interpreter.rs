//! How fast the interpreter is: `cargo run --release -p tilefold-tests --example interpreter`.
//!
//! For some formulas: what it takes to make the programs, and pairs a second of the interpreter
//! and of compiled code, in turns on one thread and on the same arrays. Both are medians of the
//! time that the thread was given, so that other work on the machine counts little. Arguments: how
//! many rows, and a part of the names of the formulas that are wanted.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use tilefold::{Error, Interpreted, Operand, Options, OutputMut, Policy, Report};
use tilefold_compiler::front::{self, Spec, Variable};
use tilefold_compiler::ir::{Axis, Dtype, Formula};
use tilefold_compiler::passes::vjp;
use tilefold_tests::held;
use tilefold_tests::native::{Native, best};
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

const ROUNDS: usize = 7;

fn formula(text: &str, dim: usize, reduction: &str, k: Option<usize>) -> Formula {
    let variable = |name: &str, axis, dim| Variable { name: name.into(), axis, dim };
    let variables = [
        variable("x", Some(Axis::I), dim),
        variable("y", Some(Axis::J), dim),
        variable("b", Some(Axis::J), 1),
        variable("g", None, 1),
    ];
    let spec = Spec { name: reduction, over: Axis::J, k, weight: None };
    front::keops(text, &variables, &spec).expect("a formula")
}

fn main() {
    let gaussian = "Exp(-g * SqDist(x, y)) * b";
    let gradient = |f: &Formula, wrt: &str| {
        vjp(f, &f.outputs[0].name, &[wrt.to_string()]).expect("it has a derivative")
    };
    let three = formula(gaussian, 3, "Sum", None);
    let cases = [
        ("gaussian, D = 3", three.clone()),
        ("gaussian, D = 50", formula(gaussian, 50, "Sum", None)),
        ("gaussian, D = 100", formula(gaussian, 100, "Sum", None)),
        ("its gradient by x, D = 3", gradient(&three, "x")),
        ("cauchy, D = 3", formula("Inv(IntCst(1) + SqDist(x, y)) * b", 3, "Sum", None)),
        ("logsumexp, D = 3", formula("-g * SqDist(x, y)", 3, "LogSumExp", None)),
        ("argmin, D = 2", formula("SqDist(x, y) + b", 2, "ArgMin", None)),
        ("10 nearest, D = 3", formula("SqDist(x, y) + b", 3, "ArgKMin", Some(10))),
        ("sine, D = 3", formula("Sin(SqDist(x, y)) * b", 3, "Sum", None)),
        ("tanh, D = 3", formula("Tanh(SqDist(x, y)) * b", 3, "Sum", None)),
        ("log1p, D = 3", formula("Log1p(SqDist(x, y)) * b", 3, "Sum", None)),
        ("erf, D = 3", formula("Erf(SqDist(x, y)) * b", 3, "Sum", None)),
        ("power, D = 3", formula("Powf(SqDist(x, y), g) * b", 3, "Sum", None)),
    ];
    let mut arguments = std::env::args().skip(1);
    let size = arguments.next().map_or(10_000, |n| n.parse().expect("a number of rows"));
    let wanted = arguments.next().unwrap_or_default();
    let cases: Vec<_> = cases.into_iter().filter(|(name, _)| name.contains(&wanted)).collect();
    let formulas: Vec<Formula> = cases.iter().map(|(_, f)| f.clone()).collect();
    let native = Native::build(&formulas, Dtype::ALL, &[best()]);
    for (n, (name, f)) in cases.into_iter().enumerate() {
        let problem = Problem::between(f, size, size, &mut Rng::new(1), 0.0, 1.0);
        for &dtype in Dtype::ALL {
            compare(name, n, &native, &problem, dtype);
        }
    }
}

fn compare(name: &str, n: usize, native: &Native, problem: &Problem, dtype: Dtype) {
    let start = Instant::now();
    let made = Interpreted::new(&problem.formula, dtype.into()).expect("a short formula");
    let making = start.elapsed().as_secs_f64() * 1e3;
    let options = Options::new().threads(1).executor(Policy::Cpu);
    let kernel = native.kernel(n, dtype);
    let pairs = (problem.m * problem.n) as f64;
    let (mut ours, mut compiled) = (Vec::new(), Vec::new());
    let rows = Some((problem.m, problem.n));
    for _ in 0..ROUNDS {
        ours.push(seconds(problem, dtype, |inputs, outputs| {
            made.run(inputs, outputs, rows, &options)
        }));
        compiled.push(seconds(problem, dtype, |inputs, outputs| {
            tilefold::run(kernel, inputs, outputs, rows, &options)
        }));
    }
    let [ours, compiled] = [ours, compiled].map(median);
    println!(
        "{name:26} {}: made in {making:.2} ms; {:.2} of {:.2} Gpairs/s: {:.0} %",
        dtype.name(),
        pairs / ours / 1e9,
        pairs / compiled / 1e9,
        100.0 * compiled / ours
    );
}

/// What a call takes of this thread's time.
fn seconds(
    problem: &Problem,
    dtype: Dtype,
    call: impl Fn(&[Operand<'_>], Vec<OutputMut<'_>>) -> Result<Report, Error>,
) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    };
    let mut taken = 0.0;
    let timed = |inputs: &[Operand<'_>], outputs: Vec<OutputMut<'_>>| {
        let start = now();
        let report = call(inputs, outputs);
        taken = now() - start;
        report
    };
    held::call(problem, dtype.into(), timed).expect("it runs");
    taken
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
