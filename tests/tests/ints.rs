//! Exact integers: labels and row numbers beyond what the reals of a dtype hold. The oracle against
//! `ir::eval`, compiled code of every level and emulated CUDA code, in float32 and float64; and all
//! 64 bits, which float64 arrays cannot hold, against Rust's own integers.

use ndarray::{Array1, Array2};
use tilefold::{Call, Code, Interpreted, Operand, Options, OutputMut, Policy};
use tilefold_compiler::ir::eval::{self, Matrix};
use tilefold_compiler::ir::{Axis, Dtype, Formula, Kind, verify};
use tilefold_compiler::passes::{optimize, vjp};
use tilefold_compiler::{emit, front};
use tilefold_tests::compare;
use tilefold_tests::device;
use tilefold_tests::emulated::Grid;
use tilefold_tests::machines::Machines;
use tilefold_tests::native::{self, Native};
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;
use tilefold_tests::toolchain::Processor;

/// Comparisons of every stratum. `w` is a power of two of the column, so that a sum says which
/// columns it took, exactly in float32.
const COMPARE: &str = "tilefold 1;
formula compare {
    a[i], b[j], p : int;
    w[j] : R;
    eq[i] = sum[j where a == b] w;
    ne[i] = sum[j where a != b] w;
    lt[i] = sum[j where a < b] w;
    le[i] = sum[j where a <= b] w;
    lit[i] = (a < 8388608) + 2*(a == -1) + 4*(a <= 9007199254740992) + 8*(-9007199254740991 < a);
    one[i] = (a < p) + 2*(p == a);
    cols = sum[j where b <= p] w;
    both[i] = sum[j where a < p && b != p] where(a == b, 2 * w, w);
}";

/// Sums and differences, written and compared; row numbers among them.
const SUMS: &str = "tilefold 1;
formula sums {
    a[i], b[j], p : int;
    w[j] : R;
    next[i] = a + 1 - p;
    minus[j] = -b;
    same[i] = p;
    row[i] = pos(i) + pos(i);
    gap[i] = sum[j where a - b < p] w;
    shift[i] = sum[j where a + p == p + b - 0] w;
    band[i] = sum[j where pos(j) <= pos(i) + 2 && pos(i) - pos(j) < 3] w;
    mixed[i] = sum[j where pos(j) - 4 < a] w;
    real[i] = a + 0.5;
}";

/// Row numbers of reductions, read in the same stage, in a later one, and component by component.
const FOUND: &str = "tilefold 1;
formula found {
    x[i], y[j] : R^2;
    w[j] : R;
    let d = sqdist(x, y);
    let at = argmin[j] d;
    let list = argkmin[j; 3] d;
    next[i] = at + 1;
    own[i] = at == pos(i);
    second[i] = list[1];
    joined[i] = concat(list[1:3], at);
    order[i] = list[0] < list[1];
    others[i] = sum[j where pos(j) != at && pos(j) != list[2]] w;
    hubs[j] = sum[i where pos(j) == at] 1;
    twin[i] = argmax[j where pos(j) != at] -d;
}";

/// Vectors of integers, short ones and one that is a loop.
const VECTORS: &str = "tilefold 1;
formula vectors {
    a[i], b[j] : int^3;
    u[i], v[j] : int^20;
    k[j] : int;
    w[j] : R;
    some[i] = sum[j where a[0] == b[0] || a[2] < b[1]] w;
    count[i] = sum[j] sum(a == b) * w;
    long[i] = sum[j] sum(u <= v) * w;
    moved[i] = concat(u[17:20], a);
    hot = sum[j] one_hot(k, 4) * w;
    real[i] = u - 1.5;
}";

const ALL: &[&str] = &[COMPARE, SUMS, FOUND, VECTORS];

fn formula(text: &str) -> Formula {
    let units = front::parse("a test", text).unwrap_or_else(|e| panic!("{}", e.render("", text)));
    units[0].instances[0].formula.clone()
}

/// Integers at the edges of limbs, and near each other; float64 holds them all.
fn edges(largest: f64) -> Vec<f64> {
    let mut all = vec![0.0];
    for exponent in [0, 22, 23, 24, 45, 46, 47, 52, 62] {
        let power = f64::powi(2.0, exponent);
        all.extend([power, power - 1.0, power + 1.0, -power, 1.0 - power, -power - 1.0]);
    }
    all.extend([-f64::powi(2.0, 63), f64::powi(2.0, 63) - 1024.0]);
    all.retain(|x| x.abs() <= largest);
    all
}

/// A problem with integers drawn from `pool`, and powers of two for `w`.
fn problem(formula: &Formula, m: usize, n: usize, pool: &[f64], rng: &mut Rng) -> Problem {
    let (names, kinds): (Vec<String>, Vec<Kind>) =
        formula.inputs.iter().map(|i| (i.name.clone(), i.kind)).unzip();
    Problem::new(formula.clone(), m, n, |input, entry| match kinds[input] {
        Kind::Real if names[input] == "w" => f64::powi(2.0, entry as i32 % 12),
        Kind::Real | Kind::Complex => rng.between(-4.0, 4.0).round(),
        Kind::Int if names[input] == "k" => entry as f64 - 1.0,
        Kind::Int => *rng.pick(pool),
    })
}

struct Runners {
    formulas: Vec<Formula>,
    machines: Machines,
}

impl Runners {
    fn new(texts: &[&str], make: fn(&[Formula]) -> Machines) -> Runners {
        let formulas: Vec<Formula> = texts.iter().map(|text| formula(text)).collect();
        let machines = make(&formulas);
        Runners { formulas, machines }
    }

    /// Every executor gives what the oracle gives, to the bit.
    fn check(&self, at: usize, problem: &Problem, evaluates: bool) {
        let Problem { formula: f, m, n, inputs } = problem;
        if evaluates {
            let expected = oracle::evaluate(f, *m, *n, inputs);
            for f in [f, &optimize(f)] {
                verify::verify(f).expect("valid");
                let found = eval::evaluate(f, *m, *n, inputs).expect("the arrays fit");
                same(f, "eval", &expected, &found);
            }
        }
        for &dtype in Dtype::ALL {
            let precision = match dtype {
                Dtype::F32 => oracle::Precision::Single,
                Dtype::F64 => oracle::Precision::Double,
            };
            let expected = oracle::evaluate_in(precision, f, *m, *n, inputs);
            let grid = Grid { splits: 2, seed: 3 };
            for (who, found) in self.machines.answers(at, dtype, problem, &[grid]) {
                same(f, &who, &expected, &found);
            }
        }
    }
}

#[track_caller]
fn same(f: &Formula, who: &str, expected: &[Matrix], found: &[Matrix]) {
    let gap = compare::worst(f, expected, found);
    assert!(gap.is_none(), "{} by {who}: {}", f.name, gap.expect("there is one"));
}

#[test]
fn integers_are_exact_by_every_executor() {
    check_exact(Machines::compiled);
}

#[test]
fn interpreted_integers_are_exact() {
    check_exact(Machines::interpreted);
}

fn check_exact(make: fn(&[Formula]) -> Machines) {
    let (runners, mut rng) = (Runners::new(ALL, make), Rng::new(11));
    // Sums of three stay exact in the oracle's float64.
    let exact = edges(f64::powi(2.0, 51));
    for at in 0..runners.formulas.len() {
        for (m, n) in [(70, 20), (3, 300), (1, 4)] {
            let problem = problem(&runners.formulas[at], m, n, &exact, &mut rng);
            runners.check(at, &problem, true);
        }
    }
    // Nothing is summed here: the evaluator takes no integers beyond 2^53, but the oracle does.
    let problem = problem(&runners.formulas[0], 90, 20, &edges(f64::INFINITY), &mut rng);
    runners.check(0, &problem, false);
}

/// Any 64 bits, small numbers and neighbours among them.
fn integers(count: usize, rng: &mut Rng) -> Vec<i64> {
    let mut word = || rng.below(1 << 16) as u64;
    let mut all = vec![i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
    while all.len() < count {
        let bits = word() << 48 | word() << 32 | word() << 16 | word();
        let number = (bits as i64) >> (word() % 64);
        all.extend([number, number.wrapping_add(1)]);
    }
    all.truncate(count);
    all
}

const SIXTY_FOUR: &str = "tilefold 1;
formula sixty_four {
    a[i], b[j] : int;
    w[j] : R;
    lt[i] = sum[j where a < b] w;
    eq[i] = sum[j where a == b] w;
    near[i] = sum[j where a - b <= b + b] w;
    next[i] = a + a - 1;
    real[i] = to_real(a);
    pair[i] = max[j] (a - b);
    sum[i] = to_real(a + a + a);
}";

#[test]
fn all_sixty_four_bits_count() {
    let native = Native::build(&[formula(SIXTY_FOUR)], Dtype::ALL, &native::levels());
    let mut rng = Rng::new(12);
    for _ in 0..20 {
        let (a, b) = (integers(100, &mut rng), integers(22, &mut rng));
        check_64::<f32>(&native, Dtype::F32, &a, &b, |x| x as f32);
        check_64::<f64>(&native, Dtype::F64, &a, &b, |x| x as f64);
    }
}

fn check_64<T>(native: &Native, dtype: Dtype, a: &[i64], b: &[i64], real: fn(i128) -> T)
where
    T: tilefold::Element + PartialOrd + std::fmt::Debug + std::ops::Add<Output = T>,
{
    let w: Vec<T> = (0..b.len()).map(|j| real(1 << j)).collect();
    for level in native::levels() {
        let call = Call::new(native.kernel(0, dtype))
            .arg("a", a)
            .arg("b", b)
            .arg("w", w.as_slice())
            .options(Options::new().executor(Policy::Cpu).level(level));
        let mut found = call.run().expect("it runs");
        let next = found.take::<i64>("next").expect("integers");
        let mut of = |name: &str| found.take::<T>(name).expect("reals").column(0).to_owned();
        let columns = REALS.map(&mut of);
        same_64(&format!("{level}"), (a, b), &w, &columns, &next, real);
    }
    let made = Interpreted::new(&formula(SIXTY_FOUR), dtype.into()).expect("a short formula");
    let mut columns = REALS.map(|_| Array1::from_elem(a.len(), real(0)));
    let mut next = Array2::from_elem((a.len(), 1), 0);
    let [lt, eq, near, real_, pair, sum] = &mut columns;
    let outputs: [OutputMut<'_>; 7] = [
        lt.into(),
        eq.into(),
        near.into(),
        (&mut next).into(),
        real_.into(),
        pair.into(),
        sum.into(),
    ];
    let inputs = [Operand::from(a), Operand::from(b), Operand::from(w.as_slice())];
    made.run(&inputs, outputs, None, &Options::new()).expect("it runs");
    same_64("the interpreter", (a, b), &w, &columns, &next, real);
}

/// The outputs of [`SIXTY_FOUR`] that are reals.
const REALS: [&str; 6] = ["lt", "eq", "near", "real", "pair", "sum"];

/// Compares the outputs of [`SIXTY_FOUR`] with Rust's own integers.
fn same_64<T>(
    who: &str,
    (a, b): (&[i64], &[i64]),
    w: &[T],
    columns: &[Array1<T>; 6],
    next: &Array2<i64>,
    real: fn(i128) -> T,
) where
    T: tilefold::Element + PartialOrd + std::fmt::Debug + std::ops::Add<Output = T>,
{
    let sum = |keep: &dyn Fn(i128) -> bool| {
        (0..b.len()).filter(|&j| keep(i128::from(b[j]))).fold(real(0), |t, j| t + w[j])
    };
    for (i, &small) in a.iter().enumerate() {
        let a = i128::from(small);
        let largest = b.iter().map(|&b| real(a - i128::from(b)));
        let expected = [
            sum(&|b| a < b),
            sum(&|b| a == b),
            sum(&|b| a - b <= b + b),
            real(a),
            largest.reduce(|x, y| if x < y { y } else { x }).expect("there are columns"),
            real(3 * a),
        ];
        for ((name, column), expected) in REALS.iter().zip(columns).zip(expected) {
            assert_eq!(column[i], expected, "{name} of {a} by {who}, {}", T::DTYPE);
        }
        // Written as int64 wraps.
        let wrapped = small.wrapping_add(small).wrapping_sub(1);
        assert_eq!(next[[i, 0]], wrapped, "next of {a} by {who}");
    }
}

/// More rows than float32 has integers.
const MANY: usize = (1 << 24) + 5;

#[test]
fn row_numbers_are_exact_beyond_float32() {
    let texts = "tilefold 1;
formula rows dtype f32 {
    label[i] : int;
    y[j] : R;
    here[i] = sum[j where pos(j) == label] y;
    before[i] = sum[j where pos(j) < label] y;
    best[i] = argmax[j where pos(j) != label] y;
    past[i] = (argmax[j where pos(j) != label] y) + 1 > label;
    top[i] = max[j] y;
}";
    let f = formula(texts);
    let gradient = vjp(&f, "top", &["y".into()]).expect("it has a gradient");
    let native = Native::build(&[f.clone(), gradient.clone()], &[Dtype::F32], &[native::best()]);
    let last = MANY - 1;
    // Ones and zeros at the end: 2^24 itself is no neighbour of 2^24 + 1 in float32.
    let y = |j: usize| match j {
        _ if j == last - 1 => 3.0,
        _ if j == last => 2.0,
        _ if j >= 1 << 24 => 1.0,
        _ => 0.0,
    };
    let labels = [(1 << 24) + 1, last - 1, last];
    let p = Problem::new(f, labels.len(), MANY, |input, entry| match input {
        0 => labels[entry] as f64,
        _ => y(entry),
    });
    let found = native.run(0, Dtype::F32, native::best(), &p).expect("it runs");
    assert_eq!(found[0].data, [1.0, 3.0, 2.0]);
    assert_eq!(found[1].data, [1.0, 3.0, 6.0]);
    assert_eq!(found[2].data, [last - 1, last, last - 1].map(|row| row as f64));
    assert_eq!(found[3].data, [1.0, 1.0, 0.0]);
    let mut p = p.with(gradient);
    p.inputs.push(Matrix { rows: 3, cols: 1, data: vec![1.0, 10.0, 100.0] });
    let found = native.run(1, Dtype::F32, native::best(), &p).expect("it runs").remove(0);
    let chosen: Vec<(usize, f64)> =
        found.data.iter().copied().enumerate().filter(|(_, v)| *v != 0.0).collect();
    assert_eq!(chosen, [(last - 1, 111.0)]);
}

#[test]
fn row_numbers_as_reals_have_to_be_exact() {
    let f = formula(
        "tilefold 1;
formula rows dtype f32 {
    label[i] : int;
    y[j] : R;
    mean[i] = sum[j where pos(j) == label] to_real(pos(j));
    let _ = y;
}",
    );
    let native = Native::build(&[f], &[Dtype::F32], &[native::best()]);
    let label = [1 << 24];
    let run = |rows: usize| {
        let y = Array1::<f32>::zeros(rows);
        let call = Call::new(native.kernel(0, Dtype::F32)).arg("label", &label[..]);
        call.arg("y", &y).run().and_then(|mut found| found.take::<f32>("mean"))
    };
    assert_eq!(run((1 << 24) + 1).expect("every row number is a float32")[[0, 0]], 16_777_216.0);
    let error = run((1 << 24) + 2).expect_err("2^24 + 1 is no float32");
    assert_eq!(error.code(), Code::Positions);
}

/// The typed arguments of a formula: integers are `i64` whatever the dtype.
#[test]
fn wrappers_take_arrays_of_i64() {
    let wrapper = |text: &str| {
        let units = front::parse("test", text).expect("it parses");
        let artifact = emit::artifact(&units, "test.fold", text).expect("small enough");
        artifact.files[&artifact.wrapper].clone()
    };
    let text = wrapper(COMPARE);
    for line in [
        "pub struct Args<'a, T> {",
        "pub a: ArrayView2<'a, i64>,",
        "pub p: i64,",
        "pub w: ArrayView2<'a, T>,",
        ".arg(\"p\", &args.p)",
        "pub eq: Array2<T>,",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let only =
        "tilefold 1; formula f { a[i], b[j] : int; n[i] = sum[j where a == b] 1; c[i] = -a; }";
    let text = wrapper(only);
    for line in [
        "pub struct Args<'a> {",
        "args: &Args<'_>)",
        "eval_call::<T>(args)?",
        "pub n: Array2<T>,",
        "pub c: Array2<i64>,",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn integers_have_no_gradient() {
    let f = formula(SUMS);
    let wrt = |output: &str, input: &str| vjp(&f, output, &[input.into()]).map(drop);
    let why = |name: &str| format!("`{name}` holds integers, which have no derivative");
    assert_eq!(wrt("gap", "a").map_err(|e| e.to_string()), Err(why("a")));
    assert_eq!(wrt("next", "w").map_err(|e| e.to_string()), Err(why("next")));
    // The weights of a sum that integers choose have one.
    let gradient = vjp(&f, "gap", &["w".into()]).expect("w is real");
    let p = problem(&f, 6, 9, &edges(f64::powi(2.0, 51)), &mut Rng::new(13));
    let mut g = p.with(gradient);
    g.inputs.push(Matrix { rows: 6, cols: 1, data: vec![1.0; 6] });
    let found = oracle::evaluate(&g.formula, 6, 9, &g.inputs);
    let (a, b, limit) = (&p.inputs[0].data, &p.inputs[1].data, p.inputs[2].data[0]);
    for (j, found) in found[0].data.iter().enumerate() {
        let count = a.iter().filter(|a| *a - b[j] < limit).count();
        assert_eq!(*found, count as f64);
    }
}

#[test]
fn views_of_any_strides_are_labels() {
    let native = Native::build(&[formula(SIXTY_FOUR)], &[Dtype::F64], &[native::best()]);
    let wide = Array2::from_shape_fn((9, 4), |(r, c)| i64::MAX - (r * 4 + c) as i64);
    let (a, b) = (wide.column(2), wide.row(3));
    let w = Array1::<f64>::ones(4);
    let call = Call::new(native.kernel(0, Dtype::F64));
    let call = call.arg("a", a).arg("b", b.slice(ndarray::s![..;-1])).arg("w", &w);
    let found = call.run().expect("it runs").take::<f64>("lt").expect("reals");
    for (i, a) in a.iter().enumerate() {
        assert_eq!(found[[i, 0]], b.iter().filter(|b| *a < **b).count() as f64);
    }
    assert_eq!(formula(SIXTY_FOUR).inputs[0].axis, Some(Axis::I));
}

#[test]
fn integers_are_exact_on_a_device() {
    if device::is_here() {
        check_exact(Machines::device);
    }
}

#[test]
fn integers_are_exact_on_arm() {
    if Processor::Arm.is_here() {
        check_exact(Machines::arm);
    }
}
