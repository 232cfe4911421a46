//! How fast the interpreter is: `cargo run --release -p tilefold-tests --example interpreter`.
//!
//! For some formulas: what it takes to make the programs, and pairs a second of the interpreter
//! and of compiled code, in turns on one thread and on the same arrays. Both are medians of the
//! time that the thread was given, so that other work on the machine counts little. Arguments: how
//! many rows, a part of the names of the formulas that are wanted, and a level other than the best.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use tilefold::{Error, Interpreted, Level, Operand, Options, OutputMut, Policy, Report};
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

fn nearest(dim: usize) -> Formula {
    formula("SqDist(x, y) + b", dim, "ArgKMin", Some(10))
}

/// As many values as keys have components.
fn attention(dim: usize) -> Formula {
    let variable = |name: &str, axis| Variable { name: name.into(), axis: Some(axis), dim };
    let variables = [variable("q", Axis::I), variable("k", Axis::J), variable("v", Axis::J)];
    let spec = Spec { name: "SumSoftMaxWeight", over: Axis::J, k: None, weight: Some("v") };
    front::keops("(q | k)", &variables, &spec).expect("a formula")
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
        ("its gradient by x, D = 100", gradient(&formula(gaussian, 100, "Sum", None), "x")),
        ("inner products, D = 100", formula("Exp(g * (x | y)) * b", 100, "Sum", None)),
        ("attention, D = 64", attention(64)),
        ("laplacian in L1, D = 100", formula("Exp(-g * Sum(Abs(x - y))) * b", 100, "Sum", None)),
        ("cauchy, D = 3", formula("Inv(IntCst(1) + SqDist(x, y)) * b", 3, "Sum", None)),
        ("logsumexp, D = 3", formula("-g * SqDist(x, y)", 3, "LogSumExp", None)),
        ("argmin, D = 2", formula("SqDist(x, y) + b", 2, "ArgMin", None)),
        ("10 nearest, D = 3", nearest(3)),
        ("10 nearest, D = 50", nearest(50)),
        ("10 nearest, D = 100", nearest(100)),
        ("10 nearest, D = 784", nearest(784)),
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
    let level = arguments.next().map_or(best(), |n| level_of(&n));
    let native = Native::build(&formulas, Dtype::ALL, &[level]);
    for (n, (name, f)) in cases.into_iter().enumerate() {
        let problem = Problem::between(f, size, size, &mut Rng::new(1), 0.0, 1.0);
        for &dtype in Dtype::ALL {
            compare(name, (&native, n, level), &problem, dtype);
        }
    }
}

fn level_of(name: &str) -> Level {
    let level = Level::ALL.iter().copied().find(|level| level.name() == name);
    level.expect("the name of a level, as x86-64-v3")
}

fn compare(
    name: &str,
    (native, n, level): (&Native, usize, Level),
    problem: &Problem,
    dtype: Dtype,
) {
    let start = Instant::now();
    let made = Interpreted::new(&problem.formula, dtype.into()).expect("a short formula");
    let making = start.elapsed().as_secs_f64() * 1e3;
    let options = Options::new().threads(1).executor(Policy::Cpu).level(level);
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
