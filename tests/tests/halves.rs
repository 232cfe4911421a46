//! Kernels of 16-bit arrays: they compute exactly what the kernels of float32 compute on the same
//! numbers, and round once; and that is near what the evaluator says. Compiled for every level, and
//! emulated CUDA code; values and gradients, with results that pass from stage to stage.

use ndarray::Array2;
use tilefold::{Call, Level, Options, Policy, bf16, f16};
use tilefold_compiler::front;
use tilefold_compiler::ir::eval::{self, Matrix};
use tilefold_compiler::ir::{Dtype, Formula, Kind, Storage};
use tilefold_compiler::passes::vjp;
use tilefold_tests::emulated::{Emulated, Grid};
use tilefold_tests::interpreted;
use tilefold_tests::native::{self, Native};
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

const HALVES: &[Storage] = &[Storage::F16, Storage::BF16];

/// Formula files' bodies: one stage and several, all places of a value, row numbers, long vectors.
const BODIES: &[(&str, &str)] = &[
    ("gauss", "x[i] : R^3; y[j] : R^3; b[j] : R^2; g : R; a[i] = sum[j] exp(-g*sqdist(x, y)) * b;"),
    ("attention", "x[i] : R^4; y[j] : R^4; v[j] : R^3; a[i] = sum[j] softmax(dot(x, y)) * v;"),
    (
        "nested",
        "x[i] : R^2; y[j] : R^2; m[i] = logsumexp[j] -sqdist(x, y); \
         a[j] = sum[i] exp(-sqdist(x, y) - logsumexp[j] -sqdist(x, y));",
    ),
    ("nearest", "x[i] : R^3; y[j] : R^3; a[i], at[i] = argmin[j] sqdist(x, y);"),
    ("moments", "x[i] : R; y[j] : R^2; w : R^2; a[i] = var[j] x*y*w; m[i] = mean[j] x*y*w;"),
    ("long", "x[i] : R^40; y[j] : R^40; a[i] = sum[j] x * y;"),
    ("rows", "x[i] : R; q : R^2; a[i] = x * q; b = sum[i] x;"),
];

fn formulas() -> Vec<Formula> {
    let parse = |&(name, body): &(&str, &str)| {
        let text = format!("tilefold 1; formula {name} dtype f16, bf16 {{ {body} }}");
        let units =
            front::parse(name, &text).unwrap_or_else(|e| panic!("{}", e.render(name, &text)));
        assert_eq!(units[0].dtypes, HALVES);
        units[0].instances[0].formula.clone()
    };
    let mut all: Vec<Formula> = BODIES.iter().map(parse).collect();
    for (at, output, wrt) in [(0, "a", ["x", "b", "g"]), (1, "a", ["x", "y", "v"])] {
        let wrt = wrt.map(String::from);
        let mut gradient = vjp(&all[at], output, &wrt).expect("differentiable");
        gradient.name = format!("gradient of {}", all[at].name);
        all.push(gradient);
    }
    all
}

/// One 16-bit type, as `half` rounds to it.
fn round(storage: Storage, x: f64) -> f64 {
    match storage {
        Storage::F16 => f16::from_f32(x as f32).into(),
        Storage::BF16 => bf16::from_f32(x as f32).into(),
        Storage::F32 | Storage::F64 => x,
    }
}

/// The largest relative error of one rounding, and the largest absolute one below normal numbers.
fn unit(storage: Storage) -> (f64, f64) {
    match storage {
        Storage::F16 => (f64::powi(2.0, -11), f64::powi(2.0, -25)),
        Storage::BF16 => (f64::powi(2.0, -8), f64::powi(2.0, -134)),
        Storage::F32 | Storage::F64 => (0.0, 0.0),
    }
}

/// Every output of `single`, rounded; row numbers stay.
fn rounded(storage: Storage, formula: &Formula, single: &[Matrix]) -> Vec<Matrix> {
    let one = |(o, m): (&tilefold_compiler::ir::Output, &Matrix)| {
        let real = formula.kind(o.expr) == Kind::Real;
        let data = m.data.iter().map(|&x| if real { round(storage, x) } else { x }).collect();
        Matrix { data, ..*m }
    };
    formula.outputs.iter().zip(single).map(one).collect()
}

fn same(a: &[Matrix], b: &[Matrix]) -> bool {
    let equal = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
    a.iter().zip(b).all(|(a, b)| a.data.iter().zip(&b.data).all(equal))
}

/// Ordinary numbers, and numbers whose results overflow, underflow and are not finite in f16.
fn problems(formula: &Formula, rng: &mut Rng) -> Vec<Problem> {
    let mut all = vec![
        Problem::between(formula.clone(), 37, 300, rng, -1.0, 1.0),
        Problem::between(formula.clone(), 3, 5, rng, -300.0, 300.0),
        Problem::between(formula.clone(), 3, 5, rng, -1e-4, 1e-4),
    ];
    let edges = [65504.0, -65504.0, 6e-8, f64::INFINITY, f64::NAN, 0.0, -0.0, 1.0];
    all.push(Problem::new(formula.clone(), 8, 8, |input, entry| edges[(input + entry) % 8]));
    all
}

#[test]
fn kernels_of_halves_are_those_of_float32_rounded_once() {
    let formulas = formulas();
    let levels = native::levels();
    let single = Native::build(&formulas, &[Dtype::F32], &levels);
    let native = Native::build(&formulas, HALVES, &levels);
    let single_cuda = Emulated::build(&formulas, &[Dtype::F32]);
    let emulated = Emulated::build(&formulas, HALVES);
    let mut rng = Rng::new(31);
    for (at, formula) in formulas.iter().enumerate() {
        for problem in problems(formula, &mut rng) {
            for &storage in HALVES {
                let problem = problem.rounded(storage);
                let what = |who: &str| format!("{} {who} {}", formula.name, storage.name());
                let mut best = Vec::new();
                for &level in &levels {
                    let wide = single.run(at, Dtype::F32, level, &problem).expect("it runs");
                    let found = native.run(at, storage, level, &problem).expect("it runs");
                    let expected = rounded(storage, formula, &wide);
                    assert!(same(&expected, &found), "{}", what(level.name()));
                    best = found;
                }
                for grid in [Grid { splits: 1, seed: 0 }, Grid { splits: 3, seed: 5 }] {
                    let wide = single_cuda.run(at, Dtype::F32, &problem, grid).expect("it runs");
                    let found = emulated.run(at, storage, &problem, grid).expect("it runs");
                    assert!(same(&rounded(storage, formula, &wide), &found), "{}", what("cuda"));
                }
                near_the_evaluator(storage, &problem, &best);
            }
        }
    }
}

#[test]
fn interpreted_halves_are_float32_rounded_once() {
    let mut rng = Rng::new(31);
    for formula in formulas() {
        for problem in problems(&formula, &mut rng) {
            for &storage in HALVES {
                let problem = problem.rounded(storage);
                let run = |storage: Storage| {
                    interpreted::run(&problem, storage, &Options::new()).expect("it runs")
                };
                let (wide, found) = (run(Storage::F32), run(storage));
                let expected = rounded(storage, &formula, &wide);
                assert!(same(&expected, &found), "{} {}", formula.name, storage.name());
                near_the_evaluator(storage, &problem, &found);
            }
        }
    }
}

/// Where the exact result is finite and not near the border of overflow, the error is that of one
/// rounding and of float32 arithmetic.
fn near_the_evaluator(storage: Storage, problem: &Problem, found: &[Matrix]) {
    let Problem { formula, m, n, inputs } = problem;
    let exact = eval::evaluate(formula, *m, *n, inputs).expect("the arrays fit");
    let (relative, absolute) = unit(storage);
    let greatest = if storage == Storage::F16 { 65000.0 } else { 3e38 };
    for (o, (exact, found)) in formula.outputs.iter().zip(exact.iter().zip(found)) {
        let scale = exact.data.iter().filter(|x| x.is_finite());
        let scale = scale.fold(0.0, |a: f64, x| a.max(x.abs()));
        for (e, f) in exact.data.iter().zip(&found.data) {
            if e.is_finite() && scale < greatest && formula.kind(o.expr) == Kind::Real {
                let allowed = relative * e.abs() + absolute + 2e-5 * scale;
                assert!((e - f).abs() <= allowed, "{} {}: {e} {f}", formula.name, o.name);
            }
        }
    }
}

#[test]
fn arrays_of_halves_go_in_and_out() {
    let text = "tilefold 1; formula scaled dtype f16 { x[i] : R^2; s : R; a[i] = s * x; }";
    let units = front::parse("scaled", text).unwrap_or_else(|e| panic!("{}", e.render("", text)));
    let formula = units[0].instances[0].formula.clone();
    let native = Native::build(&[formula], &[Storage::F16], &native::levels());
    let kernel = native.kernel(0, Storage::F16);
    let x = Array2::from_shape_fn((5, 4), |(r, c)| f16::from_f32((r * 4 + c) as f32));
    let view = x.slice(ndarray::s![..;-1, 1..3]);
    let s = f16::from_f32(0.5);
    let run = |level: Level| {
        let options = Options::new().executor(Policy::Cpu).level(level);
        let call = Call::new(kernel).arg("x", view).arg("s", &s).options(options);
        call.run().and_then(|mut found| found.take::<f16>("a"))
    };
    for level in native::levels() {
        let found = run(level).expect("it runs");
        assert_eq!(found, view.mapv(|v| f16::from_f32(0.5 * v.to_f32())));
    }
    // The types of arrays are checked.
    let wide = Array2::<f32>::zeros((5, 2));
    let error = Call::new(kernel).arg("x", &wide).arg("s", &s).run().expect_err("f32 for f16");
    assert!(error.to_string().contains("f16"), "{error}");
    let bits = Array2::<bf16>::zeros((5, 2));
    let error = Call::new(kernel).arg("x", &bits).arg("s", &s).run().expect_err("bf16 for f16");
    assert!(error.to_string().contains("bf16"), "{error}");
}
