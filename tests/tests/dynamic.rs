//! Formulas made when they are called (`dyn`): values and derivatives against dense loops, the
//! tiers that run them, what calls take besides arrays, what is refused, and what is remembered.

use std::env;
use std::fs;
use std::process::Command;
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;

use ndarray::{Array2, Array3};
use tilefold::{
    Code, Dtype, Element, Error, Formula, OpenFormula, Operand, Options, Policy, Ranges, Report,
    Tier, Tiers, record,
};
use tilefold_compiler::front;
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{self, Storage};
use tilefold_tests::linked::link;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;
use tilefold_tests::{compare, oracle};

const TEXT: &str = "tilefold 1;

fn k(r2, g) = exp(-g * r2);

formula gauss<D: {2, dyn}, E: {1, 3}> dtype f32, f64 {
    x[i], y[j] : R^D;
    b[j] : R^E;
    g : R;
    a[i] = sum[j] k(sqdist(x, y), g) * b;
    grad a wrt x, y, b, g;
    jvp d_x wrt x as hessian_vector;
}

formula scores<D: dyn, F: dyn> dtype f64 {
    assert F == D + 1;
    x[i] : R^D;
    y[j] : R^D;
    w[j] : R^F;
    v : R^D;
    l[i] = logsumexp[j] (x - v | y);
    m[j] = max[i] (x | y);
    s = sum[i] sum[j] w * norm2(x);
    grad l wrt x, v;
}

formula near<K: dyn> {
    x[i], y[j] : R^2;
    n[i] = argkmin[j; K] sqdist(x, y);
    d[i] = kmin[j; K] sqdist(x, y);
}

formula fifth<D: dyn> {
    x[i], y[j] : R^D;
    a[i] = sum[j] (x[5] - y[5])**2 * sum(x);
}

formula count<D: dyn> {
    y[j] : R^D;
    a = sum[j] where(pos(j) <= 2, sum(y), 0);
}
";

type Members = &'static [Option<&'static [usize]>];

/// What a wrapper would have of a formula of which nothing is compiled.
fn open(name: &'static str, derivative: Option<&'static str>) -> &'static OpenFormula {
    let (generics, members, dtypes): (&'static [&'static str], Members, &'static [Dtype]) =
        match name {
            "gauss" => (&["D", "E"], &[None, Some(&[1, 3])], &[Dtype::F32, Dtype::F64]),
            "scores" => (&["D", "F"], &[None, None], &[Dtype::F64]),
            "near" => (&["K"], &[None], &[Dtype::F32, Dtype::F64]),
            _ => (&["D"], &[None], &[Dtype::F32, Dtype::F64]),
        };
    let file = "formulas/test.fold";
    let compiled = Box::leak(Box::new(Formula { name, file, generics, instances: &[] }));
    Box::leak(Box::new(OpenFormula { compiled, text: TEXT, name, derivative, members, dtypes }))
}

/// The formula that a file has for these sizes.
fn formula(open: &OpenFormula, dims: &[usize]) -> ir::Formula {
    let found = front::instance(open.text, open.name, dims);
    let found = found.unwrap_or_else(|d| panic!("{}", d.render("test.fold", open.text)));
    match open.derivative {
        None => found.formula,
        Some(title) => {
            let mut all = found.derivatives.into_iter();
            all.find(|d| d.title == title).expect("asked for").formula
        }
    }
}

/// Calls a formula by the names of its arrays.
fn run<T: Element + Into<f64>>(
    open: &'static OpenFormula,
    dims: &[usize],
    problem: &Problem,
    convert: impl Fn(f64) -> T,
    options: Options,
) -> Result<(Vec<Matrix>, Report), Error> {
    let f = &problem.formula;
    let dims: Vec<(&str, usize)> =
        open.compiled.generics.iter().copied().zip(dims.iter().copied()).collect();
    let array = |m: &Matrix| {
        let data = m.data.iter().map(|&x| convert(x)).collect();
        Array2::from_shape_vec((m.rows, m.cols), data).expect("a whole array")
    };
    let arrays: Vec<Array2<T>> = problem.inputs.iter().map(array).collect();
    let mut call = open.call(T::DTYPE, &dims)?.options(options);
    for (input, array) in f.inputs.iter().zip(&arrays) {
        call = call.arg(&input.name, Operand::from(array));
    }
    let mut found = call.run()?;
    let outputs = f.outputs.iter().map(|output| {
        let data: Array2<f64> = match f.kind(output.expr) {
            ir::Kind::Int => found.take::<i64>(&output.name)?.mapv(|v| v as f64),
            _ => found.take::<T>(&output.name)?.mapv(Into::into),
        };
        let (rows, cols) = data.dim();
        Ok(Matrix { rows, cols, data: data.into_iter().collect() })
    });
    Ok((outputs.collect::<Result<_, Error>>()?, found.report().clone()))
}

fn check(open: &'static OpenFormula, dims: &[usize], tier: Tier, options: Options, rng: &mut Rng) {
    let problem = Problem::between(formula(open, dims), 9, 40, rng, -1.0, 1.0);
    let expected = |p: &Problem| oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
    let what = format!("{} {:?} {dims:?}", open.name, open.derivative);
    let hold = |p: &Problem, (found, report): (Vec<Matrix>, Report), allowed: f64| {
        assert_eq!(report.tier, tier, "{what}");
        let gap = compare::worst(&p.formula, &expected(p), &found);
        let gap = gap.filter(|gap| gap.off > allowed);
        assert!(gap.is_none(), "{what}: {}", gap.expect("a gap"));
    };
    hold(&problem, run(open, dims, &problem, |v| v, options).expect("it runs"), 1e-12);
    if open.dtypes.contains(&Dtype::F32) {
        let problem = problem.rounded(ir::Dtype::F32);
        let found = run(open, dims, &problem, |v| v as f32, options).expect("it runs");
        hold(&problem, found, 1e-5);
    }
}

const INTERPRETED: Tiers = Tiers::INTERPRETED;

#[test]
fn values_and_derivatives_of_any_size_are_those_of_dense_loops() {
    let mut rng = Rng::new(81);
    let options = Options::new().tiers(INTERPRETED);
    for derivative in [None, Some("vjp_a"), Some("hessian_vector")] {
        let gauss = open("gauss", derivative);
        for dims in [[1, 1], [2, 3], [3, 1], [7, 3], [33, 1], [100, 3]] {
            check(gauss, &dims, Tier::Interpreted, options, &mut rng);
        }
    }
    for derivative in [None, Some("vjp_l")] {
        for dims in [[1, 2], [4, 5], [20, 21]] {
            check(open("scores", derivative), &dims, Tier::Interpreted, options, &mut rng);
        }
    }
    for k in [1, 2, 5, 40] {
        check(open("near", None), &[k], Tier::Interpreted, options, &mut rng);
    }
}

/// What is linked anew makes the program forget what it made.
static LINKING: Mutex<()> = Mutex::new(());

/// Code that another crate linked is found, whatever its names and the order of its arrays are.
#[test]
fn a_linked_formula_is_found_for_a_size_that_is_not_listed() {
    let _alone = LINKING.lock().unwrap_or_else(PoisonError::into_inner);
    let gauss = open("gauss", None);
    let mut rng = Rng::new(82);
    let problem = Problem::between(formula(gauss, &[6, 1]), 9, 40, &mut rng, -1.0, 1.0);
    let before = run(gauss, &[6, 1], &problem, |v| v, Options::new()).expect("it runs");
    assert_eq!(before.1.tier, Tier::Interpreted);
    let other = "tilefold 1;
        formula other dtype f64 {
            scale : R;
            weight[j] : R;
            source[j], target[i] : R^6;
            total[i] = sum[j] weight * Exp(-(scale * SqDist(target, source)));
        }";
    let units = front::parse("other.fold", other).unwrap_or_else(|d| panic!("{d:?}"));
    link(&[units[0].instances[0].formula.clone()], Storage::F64);
    let (found, report) = run(gauss, &[6, 1], &problem, |v| v, Options::new()).expect("it runs");
    assert_eq!(report.tier, Tier::Linked, "{report}");
    let off = compare::worst(&problem.formula, &before.0, &found);
    assert!(off.is_none_or(|gap| gap.off < 1e-13));
    // Mistakes are said in the names of the formula that was called.
    let (x, y) = (Array2::<f64>::zeros((3, 6)), Array2::<f64>::zeros((4, 5)));
    let call = gauss.call(Dtype::F64, &[("x", 6), ("b", 1)]).expect("it is made");
    let b = Array2::<f64>::zeros((4, 1));
    let error = call.arg("x", &x).arg("y", &y).arg("b", &b).arg("g", &1.0).run().unwrap_err();
    assert!(error.message().contains("gauss: `y` has 5 columns"), "{error}");
}

#[test]
fn tiers_and_policies_hold() {
    let gauss = open("gauss", None);
    let mut rng = Rng::new(83);
    let problem = Problem::between(formula(gauss, &[4, 1]), 5, 6, &mut rng, -1.0, 1.0);
    let refuse = |options| run(gauss, &[4, 1], &problem, |v| v, options).unwrap_err();
    let error = refuse(Options::new().tiers(Tiers::LINKED));
    assert_eq!(
        error.to_string(),
        "error[T073]: gauss is not linked for D = 4, E = 1, and nothing else may run it\n  \
         = help: list D = 4, E = 1 in formulas/test.fold and run cargo xtask build-formulas\n  \
         = help: or allow Tiers::INTERPRETED, or Tiers::JIT"
    );
    let error = refuse(Options::new().executor(Policy::Cuda));
    assert_eq!(error.code(), Code::NoExecutor);
    assert!(error.helps()[0].contains("list D = 4, E = 1 in formulas/test.fold"), "{error}");
    let stop = std::sync::atomic::AtomicBool::new(true);
    assert_eq!(refuse(Options::new().cancel(&stop)).code(), Code::Cancelled);
    let run = |threads| {
        let options = Options::new().tiers(INTERPRETED).threads(threads);
        run(gauss, &[4, 1], &problem, |v| v, options).expect("it runs").0
    };
    let bits = |m: Vec<Matrix>| m.into_iter().flat_map(|m| m.data).map(f64::to_bits);
    assert!(bits(run(1)).eq(bits(run(3))));
}

/// Runs in a process of its own, whose cache of compiled code is a folder of the test.
#[test]
#[ignore = "run by `a_size_is_compiled_at_run_time`"]
fn compiled_at_run_time() {
    let mut rng = Rng::new(84);
    let options = Options::new().tiers(Tiers::JIT);
    check(open("gauss", None), &[5, 3], Tier::Jit, options, &mut rng);
    check(open("gauss", Some("vjp_a")), &[5, 1], Tier::Jit, options, &mut rng);
}

#[test]
fn a_size_is_compiled_at_run_time() {
    let cache = tempfile::tempdir().expect("a writable place");
    let ran = Command::new(env::current_exe().expect("a path"))
        .args(["--exact", "compiled_at_run_time", "--ignored"])
        .env("TILEFOLD_CACHE", cache.path())
        .env_remove("TILEFOLD_TIERS")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn what_is_made_is_recorded() {
    let _alone = LINKING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a writable place");
    let file = folder.path().join("met.fold");
    let gauss = open("gauss", None);
    let mut rng = Rng::new(85);
    let problem = Problem::between(formula(gauss, &[11, 1]), 5, 6, &mut rng, -1.0, 1.0);
    record::to(Some(&file));
    let first = run(gauss, &[11, 1], &problem, |v| v, Options::new()).expect("it runs");
    record::to(None);
    let text = fs::read_to_string(&file).expect("it was written");
    assert!(text.contains("R^11;"), "{text}");
    assert!(first.1.prepared > 0.0);
    let again = run(gauss, &[11, 1], &problem, |v| v, Options::new()).expect("it runs");
    assert_eq!(first.0[0].data, again.0[0].data);
}

#[test]
fn threads_may_meet_a_size_at_once() {
    let near = open("near", None);
    let start = Barrier::new(4);
    let x = Array2::from_shape_fn((3, 2), |(r, c)| (r + c) as f64);
    let y = Array2::from_shape_fn((1200, 2), |(r, c)| (r * (c + 1)) as f64);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                for k in (1..=256).step_by(17) {
                    let call = near.call(Dtype::F64, &[("K", k)]).expect("it is made");
                    let found = call.arg("x", &x).arg("y", &y).run();
                    let n = found.expect("it runs").take::<i64>("n").expect("integers");
                    assert!(n.row(0).iter().copied().eq(0..k as i64), "K = {k}");
                }
            });
        }
    });
}

#[test]
fn calls_take_rows_ranges_batches_and_arrays_for_results() {
    // No input has rows of i.
    let count = open("count", None);
    let y = Array2::from_shape_fn((5, 3), |(r, c)| (r + c) as f64);
    let call = || count.call(Dtype::F64, &[("y", 3)]).expect("it is made").arg("y", &y);
    let a = call().rows(4, 5).run().expect("it runs").take::<f64>("a").expect("reals");
    assert_eq!(a, ndarray::array![[18.0]]);
    assert_eq!(call().rows(4, 6).run().unwrap_err().code(), Code::Rows);
    let mut into = Array2::<f64>::zeros((1, 1));
    let report = call().rows(4, 5).out("a", &mut into).run_into().expect("it runs");
    assert_eq!((into, report.tier), (a, Tier::Interpreted));
    let mut narrow = Array2::<f64>::zeros((1, 3));
    let error = call().rows(4, 5).out("a", &mut narrow).run_into().unwrap_err();
    assert_eq!(error.code(), Code::OutputShape);

    let gauss = open("gauss", None);
    let number = |b: usize, r: usize, c: usize| ((b * 5 + r * 7 + c * 3) % 11) as f64 / 9.0;
    let x = Array3::from_shape_fn((2, 4, 5), |(b, r, c)| number(b, r, c));
    let y = Array2::from_shape_fn((6, 5), |(r, c)| number(3, r, c));
    let b = Array2::from_shape_fn((6, 1), |(r, _)| number(4, r, 0));
    let pair = |item: usize, i: usize, j: usize| {
        let d: f64 = (0..5).map(|c| (x[[item, i, c]] - y[[j, c]]).powi(2)).sum();
        (-0.5 * d).exp() * b[[j, 0]]
    };
    let call = || {
        let call = gauss.call(Dtype::F64, &[("x", 5), ("b", 1)]).expect("it is made");
        call.arg("x", Operand::from(&x)).arg("y", &y).arg("b", &b).arg("g", &0.5)
    };
    let dense = call().run().expect("it runs").take_nd::<f64>("a").expect("reals");
    let ranges = Ranges::from_blocks([(0..1, 0..2), (1..4, 1..6)]).expect("apart");
    let sparse = call().ranges(&ranges).run().expect("it runs").take_nd::<f64>("a");
    let sparse = sparse.expect("reals");
    for (item, i) in (0..2).flat_map(|item| (0..4).map(move |i| (item, i))) {
        let all: f64 = (0..6).map(|j| pair(item, i, j)).sum();
        assert!((dense[[item, i, 0]] - all).abs() < 1e-14);
        let kept = if i == 0 { 0..2 } else { 1..6 };
        let some: f64 = kept.map(|j| pair(item, i, j)).sum();
        assert!((sparse[[item, i, 0]] - some).abs() < 1e-14);
    }
}

fn refusal(open: &'static OpenFormula, dtype: Dtype, dims: &[(&str, usize)], code: Code) -> String {
    let error = open.call(dtype, dims).err().expect("it is refused");
    assert_eq!(error.code(), code, "{error}");
    error.to_string()
}

#[test]
fn what_cannot_be_made_is_said() {
    let gauss = open("gauss", None);
    assert_eq!(
        refusal(gauss, Dtype::F64, &[("x", 5), ("b", 2)], Code::Instance),
        "error[T031]: gauss was compiled for E in {1, 3}, but `b` has 2 columns\n  \
         = help: add 2 to E in formulas/test.fold and run cargo xtask build-formulas"
    );
    let text = refusal(gauss, Dtype::F16, &[("x", 5), ("b", 1)], Code::Instance);
    assert!(text.contains("compiled for dtype f32, f64, but the arrays hold f16"), "{text}");
    assert_eq!(
        refusal(gauss, Dtype::F32, &[("x", 0), ("b", 1)], Code::Instance),
        "error[T031]: gauss: `x` has 0 columns, and D is their number, but dimensions go from 1 to \
         65536\n  = help: pass an array of 1 to 65536 columns"
    );
    let text = refusal(open("near", None), Dtype::F32, &[("K", 65537)], Code::Instance);
    assert!(text.contains("near: K is 65537, but dimensions go from 1 to 65536"), "{text}");
    let scores = open("scores", None);
    let text = refusal(scores, Dtype::F64, &[("x", 4), ("w", 4)], Code::Text);
    for part in ["scores cannot be made for D = 4, F = 4", "E0304", "assert F == D + 1"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let text = refusal(open("fifth", None), Dtype::F64, &[("x", 3)], Code::Text);
    for part in ["fifth cannot be made for D = 3", "E0305", "formulas/test.fold:"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let text = refusal(open("gauss", Some("vjp_b")), Dtype::F64, &[("x", 3), ("b", 1)], Code::Text);
    assert!(text.contains("asks for no derivative `vjp_b`"), "{text}");
    assert!(open("fifth", None).call(Dtype::F64, &[("x", 6)]).is_ok());
}
