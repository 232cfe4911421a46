//! Few rows, whose columns lie across the lanes: every reduction, at every level of this CPU, for
//! numbers of rows and columns around those of vectors, against the oracle; and the same bits for
//! any number of threads. Numbers are small integers, so that sums are exact and ties abound.

use tilefold::{Interpreted, Level, Options, Policy};
use tilefold_compiler::emit;
use tilefold_compiler::front;
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Accumulation, Axis, Dtype, ExprId, Formula, Reduction};
use tilefold_compiler::ops::Op;
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::compare;
use tilefold_tests::interpreted;
use tilefold_tests::native::{self, Native};
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

const K: usize = 5;

fn op(f: &mut Formula, op: Op, args: &[ExprId], params: &[i64]) -> ExprId {
    f.op(op, args, params).expect("it fits")
}

/// A reduction of squared distances, or of their components, in `dims` dimensions.
fn formula(reducer: Reducer, dims: usize, masked: bool, rows: Option<Axis>) -> Formula {
    let def = reducer.def();
    let mut f = Formula::new(format!("{} {dims} {masked} {rows:?}", def.name));
    let x = f.input("x", rows, dims).expect("short");
    let y = f.input("y", Some(Axis::J), dims).expect("short");
    let b = f.input("b", Some(Axis::J), 3).expect("short");
    let distance = op(&mut f, Op::SqDist, &[x, y], &[]);
    let value = f.scale(1.0 / 256.0, distance);
    let mask = masked.then(|| {
        let first = [x, y].map(|v| op(&mut f, Op::Elem, &[v], &[0]));
        op(&mut f, Op::Lt, &first, &[])
    });
    let args = if def.arity == 2 { vec![value, b] } else { vec![value] };
    let k = if def.takes_k { K } else { 0 };
    let fold = f.reduce(Reduction { reducer, axis: Axis::J, args, mask, k }).expect("it fits");
    f.output("out", rows, fold).expect("a row of i");
    f
}

/// Every reduction, with and without a mask, of pairs that are short and that are streamed, and
/// where there is only one row.
fn formulas() -> Vec<Formula> {
    let all = Reducer::ALL.iter().enumerate().flat_map(|(n, &reducer)| {
        let dims = if n % 2 == 0 { 2 } else { 17 };
        let alone = (n % 3 == 0).then(|| formula(reducer, 2, n % 2 == 0, None));
        let both = [false, true];
        let both =
            both.map(|m| formula(reducer, if m { 19 - dims } else { dims }, m, Some(Axis::I)));
        both.into_iter().chain(alone)
    });
    let mut all: Vec<Formula> = all.collect();
    for acc in [Accumulation::Each, Accumulation::Fast] {
        for reducer in [Reducer::Sum, Reducer::SoftMaxSum, Reducer::ArgKMin] {
            let mut f = formula(reducer, 2, false, Some(Axis::I));
            f.acc = acc;
            all.push(f);
        }
    }
    all
}

/// Small integers, weights above 0; with `edges`, a NaN and infinities among rows and columns.
fn problem(formula: &Formula, (m, n): (usize, usize), edges: bool) -> Problem {
    let mut rng = Rng::new(41);
    let dims = formula.inputs[0].dim;
    Problem::new(formula.clone(), m, n, |input, entry| match (input, entry / dims) {
        (0, 1) if edges && entry % dims == 0 => f64::NAN,
        (0, 2) if edges && entry % dims == 0 => f64::INFINITY,
        (1, at) if edges && at + 2 == n && entry % dims == 1 => f64::INFINITY,
        (2, _) => 1.0 + rng.below(4) as f64,
        _ => rng.below(7) as f64 - 3.0,
    })
}

fn check(dtype: Dtype, who: &str, p: &Problem, expected: &[Matrix], found: &[Matrix]) {
    let allowed = if dtype == Dtype::F32 { 2e-6 } else { 4e-14 };
    let gap = compare::worst(&p.formula, expected, found).filter(|gap| gap.off > allowed);
    let gap = gap.map_or(String::new(), |g| {
        format!("{}, {} x {}, {dtype:?}, {who}: {g}", p.formula.name, p.m, p.n)
    });
    assert_eq!(gap, "");
}

#[test]
fn every_reduction_of_few_rows() {
    let all = formulas();
    // Around lanes and panels; a tile of 16 lanes has 4096 columns.
    let shapes = [(1, 1), (3, 7), (4, 63), (1, 300), (15, 64), (16, 129), (64, 40), (2, 4200)];
    for level in native::levels() {
        let some = if level == native::best() { 1 } else { 4 };
        let formulas: Vec<Formula> = all.iter().step_by(some).cloned().collect();
        let native = Native::quick(&formulas, Dtype::ALL, &[level]);
        for (n, f) in formulas.iter().enumerate() {
            let least = if f.name.contains("kmin") || f.name.contains("kmax") { K } else { 1 };
            for (m, cols) in shapes {
                let m = if f.inputs[0].axis.is_none() { 1 } else { m };
                let p = problem(f, (m, cols.max(least)), cols % 2 == 0);
                let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
                for &dtype in Dtype::ALL {
                    let both = native.run_both(n, dtype, level, &p).expect("it runs");
                    check(dtype, level.name(), &p, &expected, &both[0]);
                    check(dtype, &format!("{level} in blocks"), &p, &expected, &both[1]);
                }
            }
        }
    }
}

/// The interpreter folds up to 32 rows one by one.
#[test]
fn every_reduction_interpreted() {
    // Around its lanes, and around a tile and its pieces.
    let shapes = [(1, 1), (3, 63), (32, 64), (1, 65), (2, 300), (1, 17_000), (33, 65), (70, 9)];
    for (nth, f) in formulas().iter().enumerate() {
        let least = if f.name.contains("kmin") || f.name.contains("kmax") { K } else { 1 };
        for (m, n) in shapes {
            let m = if f.inputs[0].axis.is_none() { 1 } else { m };
            let p = problem(f, (m, n.max(least)), n % 2 == 0);
            let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
            for &dtype in Dtype::ALL {
                let made = Interpreted::new(f, dtype.into()).expect("a short formula");
                let run = |options: &Options| {
                    interpreted::run_made(&made, &p, dtype, options).expect("it runs").0
                };
                // A third of the formulas for every level, and all for the best one.
                let others = native::levels().into_iter().enumerate();
                let levels = others.filter(|(at, _)| (at + nth).is_multiple_of(3));
                for level in levels.map(|(_, level)| level).chain([native::best()]) {
                    let found = run(&Options::new().level(level));
                    check(dtype, &format!("{level} interpreted"), &p, &expected, &found);
                }
            }
        }
    }
}

/// A row has its own number in every lane, whatever comes after it.
#[test]
fn row_numbers_are_those_of_rows_and_columns() {
    let text = "tilefold 1;
        formula numbers {
            x[i], y[j] : R;
            a[i] = sum[j where pos(j) != pos(i) && pos(j) < 20] y * x;
            b[i] = sum[j] (pos(j) - 3 * pos(i)) * y;
        }";
    let units = front::parse("a test", text).unwrap_or_else(|e| panic!("{}", e.render("", text)));
    let f = &units[0].instances[0].formula;
    let native = Native::quick(std::slice::from_ref(f), Dtype::ALL, &[native::best()]);
    for (m, n) in [(1, 40), (7, 5), (20, 333)] {
        let mut rng = Rng::new(3);
        let p = Problem::new(f.clone(), m, n, |_, _| rng.below(7) as f64 - 3.0);
        let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
        for &dtype in Dtype::ALL {
            let both = native.run_both(0, dtype, native::best(), &p).expect("it runs");
            both.iter().for_each(|found| check(dtype, "numbers", &p, &expected, found));
            let found = interpreted::run(&p, dtype, &Options::new()).expect("it runs");
            check(dtype, "numbers interpreted", &p, &expected, &found);
        }
    }
}

#[test]
fn of_no_columns_there_are_neutral_elements() {
    let formulas = [Reducer::Sum, Reducer::Min, Reducer::Max, Reducer::Prod, Reducer::LogSumExp]
        .map(|reducer| formula(reducer, 2, false, Some(Axis::I)));
    let native = Native::quick(&formulas, Dtype::ALL, &[native::best()]);
    for (n, f) in formulas.iter().enumerate() {
        let p = problem(f, (3, 0), false);
        let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
        for &dtype in Dtype::ALL {
            let found = native.run(n, dtype, native::best(), &p).expect("it runs");
            check(dtype, "empty", &p, &expected, &found);
            let found = interpreted::run(&p, dtype, &Options::new()).expect("it runs");
            check(dtype, "empty interpreted", &p, &expected, &found);
        }
    }
}

fn threaded(native: &Native, n: usize, level: Level, threads: usize, p: &Problem) -> Vec<Matrix> {
    let options = Options::new().executor(Policy::Cpu).level(level).threads(threads);
    native.run_in(n, Dtype::F32, options, None, p).expect("it runs")
}

#[test]
fn bits_do_not_depend_on_threads() {
    let reducers = [Reducer::Sum, Reducer::Var, Reducer::ArgMin, Reducer::ArgKMin];
    let formulas = reducers.map(|reducer| formula(reducer, 3, false, Some(Axis::I)));
    let native = Native::quick(&formulas, &[Dtype::F32], &[native::best()]);
    let mut rng = Rng::new(8);
    // Several chunks of columns, packed and folded together and apart.
    for m in [1, 8, 9, 30] {
        for (n, f) in formulas.iter().enumerate() {
            let p = Problem::new(f.clone(), m, 50_001, |_, _| f64::from(rng.normal() as f32));
            let one = threaded(&native, n, native::best(), 1, &p);
            for threads in [2, 3] {
                let found = threaded(&native, n, native::best(), threads, &p);
                assert_eq!(found, one, "{} {m} {threads}", f.name);
            }
            let blocks = native.kernel_in_blocks(n, Dtype::F32);
            let options = Options::new().executor(Policy::Cpu);
            let blocks = native::run_kernel(blocks, Dtype::F32.into(), options, None, &p);
            let gap = compare::worst(f, &blocks.expect("it runs"), &one);
            let off = gap.map_or(0.0, |gap| gap.off);
            assert!(off <= 4e-7, "{} {m}: {off}", f.name);
        }
    }
}

#[test]
fn stages_that_reduce_have_code_for_few_rows() {
    for f in formulas() {
        let text = emit::kernel(&f, "f", "a test").expect("short");
        assert!(text.cpp.contains("tf_cpu_row<"), "{}", f.name);
        assert!(!text.cu.contains("tf_cpu_row"), "{}", f.name);
    }
}
