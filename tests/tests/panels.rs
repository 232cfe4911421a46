//! Sums over many components, which a CPU streams for a panel of columns: every reduction over
//! them, at every level of this CPU, against the oracle. Numbers are small integers, so that sums
//! are exact and ties abound; columns end inside a panel, rows inside a block.

use tilefold_compiler::emit;
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Accumulation, Axis, Dtype, ExprId, Formula, Reduction};
use tilefold_compiler::ops::Op;
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::compare;
use tilefold_tests::emulated::{Emulated, Grid};
use tilefold_tests::native::{self, Native};
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

/// A tile of 256 columns, a whole panel and three more.
const COLS: usize = 256 + 8 + 3;
const ROWS: usize = 37;

fn op(f: &mut Formula, op: Op, args: &[ExprId], params: &[i64]) -> ExprId {
    f.op(op, args, params).expect("it fits")
}

fn summed(f: &mut Formula, components: ExprId) -> ExprId {
    op(f, Op::Sum, &[components], &[])
}

/// A value of pairs made of x, y of 17 components and a parameter p of 17.
type Score = fn(&mut Formula, ExprId, ExprId, ExprId) -> ExprId;

/// Both orders of operands, products, a function, a parameter, slices, two sums at once.
const SCORES: &[(&str, Score)] = &[
    ("squared distance", |f, x, y, _| op(f, Op::SqDist, &[x, y], &[])),
    ("column minus row", |f, x, y, _| {
        let gap = f.sub(y, x);
        let gap = op(f, Op::Abs, &[gap], &[]);
        summed(f, gap)
    }),
    ("inner product", |f, x, y, _| op(f, Op::Dot, &[x, y], &[])),
    ("row minus column, weighted", |f, x, y, p| {
        let gap = f.sub(x, y);
        let gap = op(f, Op::Abs, &[gap], &[]);
        let weighted = f.mul(p, gap);
        summed(f, weighted)
    }),
    ("slices", |f, x, y, _| {
        let tail = op(f, Op::Extract, &[x], &[1, 16]);
        let head = op(f, Op::Extract, &[y], &[0, 16]);
        let sum = f.add(tail, head);
        let size = op(f, Op::Abs, &[sum], &[]);
        summed(f, size)
    }),
    ("two sums", |f, x, y, p| {
        let (a, b) = (op(f, Op::Dot, &[x, y], &[]), op(f, Op::SqDist, &[x, y], &[]));
        let first = op(f, Op::Elem, &[p], &[3]);
        let scaled = f.mul(a, first);
        f.add(scaled, b)
    }),
];

fn formula(n: usize, reducer: Reducer, masked: bool, acc: Accumulation) -> Formula {
    let (name, score) = SCORES[n % SCORES.len()];
    let mut f = Formula::new(format!("{} of {name}", reducer.def().name));
    f.acc = acc;
    let x = f.input("x", Some(Axis::I), 17).expect("short");
    let y = f.input("y", Some(Axis::J), 17).expect("short");
    let p = f.input("p", None, 17).expect("short");
    let b = f.input("b", Some(Axis::J), 3).expect("short");
    let value = score(&mut f, x, y, p);
    let value = f.scale(1.0 / 256.0, value);
    let mask = masked.then(|| {
        let (a, b) = (op(&mut f, Op::Elem, &[x], &[0]), op(&mut f, Op::Elem, &[y], &[0]));
        op(&mut f, Op::Lt, &[a, b], &[])
    });
    let def = reducer.def();
    let args = if def.arity == 2 { vec![value, b] } else { vec![value] };
    let k = if def.takes_k { 5 } else { 0 };
    let fold = f.reduce(Reduction { reducer, axis: Axis::J, args, mask, k }).expect("it fits");
    f.output("out", Some(Axis::I), fold).expect("a row of i");
    f
}

fn formulas() -> Vec<Formula> {
    let mut all = Vec::new();
    for (n, &reducer) in Reducer::ALL.iter().enumerate() {
        all.push(formula(n, reducer, false, Accumulation::Blocked));
        all.push(formula(n + 1, reducer, true, Accumulation::Blocked));
    }
    for (n, acc) in [Accumulation::Each, Accumulation::Fast].into_iter().enumerate() {
        all.push(formula(n, Reducer::Sum, false, acc));
        all.push(formula(n + 2, Reducer::SoftMaxSum, false, acc));
    }
    all
}

/// Small integers, weights above 0; with `edges`, a NaN in one row, an infinity in another and in
/// one column.
fn problem(formula: Formula, rows: usize, cols: usize, edges: bool) -> Problem {
    let mut rng = Rng::new(41);
    Problem::new(formula, rows, cols, |input, entry| match (input, entry / 17) {
        (0, 5) if edges && entry % 17 == 16 => f64::NAN,
        (0, 6) if edges && entry % 17 == 0 => f64::INFINITY,
        (1, 262) if edges && entry % 17 == 2 => f64::INFINITY,
        (3, _) => 1.0 + rng.below(4) as f64,
        _ => rng.below(7) as f64 - 3.0,
    })
}

fn check(dtype: Dtype, who: &str, p: &Problem, expected: &[Matrix], found: &[Matrix]) {
    let allowed = if dtype == Dtype::F32 { 2e-6 } else { 1e-14 };
    let gap = compare::worst(&p.formula, expected, found).filter(|gap| gap.off > allowed);
    let gap = gap.map_or(String::new(), |g| format!("{}, {dtype:?}, {who}: {g}", p.formula.name));
    assert_eq!(gap, "");
}

#[test]
fn every_reduction_of_streamed_sums() {
    let all = formulas();
    for &level in &native::levels() {
        // What is special to a level are sizes; a few reductions are enough to meet them.
        let few = if level == native::best() { 1 } else { 5 };
        let formulas: Vec<Formula> = all.iter().step_by(few).cloned().collect();
        let native = Native::quick(&formulas, Dtype::ALL, &[level]);
        for (n, f) in formulas.iter().enumerate() {
            for edges in [false, true] {
                let p = problem(f.clone(), ROWS, COLS, edges);
                let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
                for &dtype in Dtype::ALL {
                    let found = native.run(n, dtype, level, &p).expect("it runs");
                    check(dtype, level.name(), &p, &expected, &found);
                }
            }
        }
    }
}

/// Columns end inside a panel of CUDA code, rows inside its second block.
#[test]
fn every_reduction_of_the_sums_of_cuda_panels() {
    let formulas = formulas();
    let emulated = Emulated::build(&formulas, Dtype::ALL);
    for (n, f) in formulas.iter().enumerate() {
        for (edges, rows, cols) in [(false, 131, 64 * 5 + 3), (true, ROWS, COLS)] {
            let p = problem(f.clone(), rows, cols, edges);
            let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
            for (&dtype, splits) in Dtype::ALL.iter().zip([1, 2]) {
                let found = emulated.run(n, dtype, &p, Grid { splits, seed: n as u64 });
                let found = found.unwrap_or_else(|e| panic!("{}: {e}", f.name));
                check(dtype, "emulated CUDA", &p, &expected, &found);
            }
        }
    }
}

#[test]
fn sums_of_many_components_are_streamed() {
    for (n, f) in formulas().iter().enumerate() {
        let text = emit::kernel(f, "f", "a test").expect("short");
        // Every other formula has a mask.
        let (reducer, score) = f.name.split_once(" of ").expect("of something");
        let searches = ["min", "max", "argmin", "argmax", "kmin", "kmax", "argkmin", "argkmax"];
        let is_product = ["squared distance", "inner product"].contains(&score);
        let bounded = n % 2 == 0 && is_product && searches.contains(&reducer);
        let [on_cpu, on_cuda] = match bounded {
            true => ["tf_cpu_filtered<s0>", "TF_FILTER_ENTRY("],
            false => ["tf_panel_loop<s0>", "TF_PANEL_ENTRY("],
        };
        assert!(text.cpp.contains(on_cpu), "{}", f.name);
        assert!(text.cu.contains(on_cuda), "{}", f.name);
    }
    let mut f = Formula::new("short");
    let x = f.input("x", Some(Axis::I), 15).expect("short");
    let y = f.input("y", Some(Axis::J), 15).expect("short");
    let distance = op(&mut f, Op::SqDist, &[x, y], &[]);
    let sum = f.sum_over(Axis::J, distance);
    f.output("out", Some(Axis::I), sum).expect("a row of i");
    let text = emit::kernel(&f, "f", "a test").expect("short");
    assert!(!text.cpp.contains("STREAMS") && !text.cu.contains("STREAMS"));
}
