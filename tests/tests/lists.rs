//! Sorted lists: many candidates at once, NaN and infinities among them, lists longer than what is
//! folded, and rows beyond 2^31, against the oracle. On a CPU at every level, in blocks and one by
//! one; by emulated CUDA threads and those of a device, where values wait for each other.

use tilefold::{Options, Policy};
use tilefold_compiler::ir::{Axis, Dtype, ExprId, Formula, Reduction, Storage};
use tilefold_compiler::ops::Op;
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::compare;
use tilefold_tests::device::{self, Runner};
use tilefold_tests::emulated::Grid;
use tilefold_tests::native::{self, FAR, Native};
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

const DTYPES: [Dtype; 2] = [Dtype::F32, Dtype::F64];

/// The k first values of `x * y`, component by component, and their rows. Products of small
/// integers are exact.
fn formula(largest: bool, k: usize, dims: usize) -> Formula {
    first("products", largest, k, dims, Formula::mul)
}

/// The same of what `value` makes of x and y.
fn first(
    what: &str,
    largest: bool,
    k: usize,
    dims: usize,
    value: fn(&mut Formula, ExprId, ExprId) -> ExprId,
) -> Formula {
    let mut f = Formula::new(format!("first {k} of {dims} {what} {largest}"));
    let x = f.input("x", Some(Axis::I), dims).expect("short");
    let y = f.input("y", Some(Axis::J), dims).expect("short");
    let value = value(&mut f, x, y);
    let both =
        if largest { [Reducer::KMax, Reducer::ArgKMax] } else { [Reducer::KMin, Reducer::ArgKMin] };
    for reducer in both {
        let r = Reduction { reducer, axis: Axis::J, args: vec![value], mask: None, k };
        let fold = f.reduce(r).expect("it fits");
        f.output(reducer.def().name, Some(Axis::I), fold).expect("a row of i");
    }
    f
}

fn formulas() -> Vec<Formula> {
    let sizes = [(1, 1), (2, 2), (3, 1), (10, 1), (10, 3), (40, 1)];
    let both = |(k, dims)| [false, true].map(|largest| formula(largest, k, dims));
    sizes.into_iter().flat_map(both).collect()
}

/// Which numbers the columns hold.
#[derive(Clone, Copy, Debug)]
enum Columns {
    /// Few values, so that ties abound.
    Ties,
    /// Every one is before all that came before.
    Descending,
    /// The same, but for five that tie.
    Steps,
    /// One in eight is NaN or infinite.
    Edges,
    /// Nothing but NaN.
    Nan,
}

const COLUMNS: [Columns; 5] =
    [Columns::Ties, Columns::Descending, Columns::Steps, Columns::Edges, Columns::Nan];

fn problem(f: &Formula, (m, n): (usize, usize), columns: Columns) -> Problem {
    let mut rng = Rng::new(7);
    let dims = f.inputs[0].dim;
    let fall = if f.name.ends_with("true") { 1.0 } else { -1.0 };
    Problem::new(f.clone(), m, n, |input, entry| match (input, columns) {
        (0, Columns::Descending | Columns::Steps) => 1.0,
        (0, _) => rng.below(5) as f64 - 1.0,
        (_, Columns::Ties) => rng.below(9) as f64,
        (_, Columns::Descending) => fall * (entry / dims) as f64,
        (_, Columns::Steps) => fall * (entry / dims / 5) as f64,
        (_, Columns::Nan) => f64::NAN,
        (_, Columns::Edges) => match rng.below(32) {
            0 | 1 => f64::NAN,
            2 => f64::INFINITY,
            3 => f64::NEG_INFINITY,
            other => other as f64,
        },
    })
}

#[test]
fn lists_are_those_of_a_sort() {
    let formulas = formulas();
    let levels = native::levels();
    let built = Native::build(&formulas, &DTYPES, &levels);
    for (n, f) in formulas.iter().enumerate() {
        for columns in COLUMNS {
            for shape in [(130, 701), (3, 300), (33, 43)] {
                let p = problem(f, shape, columns);
                let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
                for &level in &levels {
                    for dtype in DTYPES {
                        let who = format!("{} {columns:?} {shape:?} {level:?} {dtype:?}", f.name);
                        let found = built.run_both(n, dtype, level, &p).expect(&who);
                        for found in &found {
                            compare::assert_same(&who, f, &expected, found);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn rows_may_be_numbered_beyond_32_bits() {
    let formulas: Vec<Formula> = [false, true].map(|largest| formula(largest, 10, 1)).into();
    let levels = native::levels();
    let built = Native::build(&formulas, &DTYPES, &levels);
    for (n, f) in formulas.iter().enumerate() {
        for columns in [Columns::Ties, Columns::Descending, Columns::Edges] {
            // In blocks, and one by one.
            for shape in [(200, 701), (2, 701)] {
                let p = problem(f, shape, columns);
                let mut expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
                expected[1].data.iter_mut().for_each(|row| *row += FAR as f64);
                for &level in &levels {
                    for dtype in DTYPES {
                        // The kernel that was made last is the one that runs.
                        let far = built.kernel_far(n, dtype, level);
                        let who = format!("{} {columns:?} {shape:?} {level:?} {dtype:?}", f.name);
                        let options = Options::new().executor(Policy::Cpu).level(level);
                        let found = native::run_kernel(far, dtype.into(), options, None, &p);
                        compare::assert_same(&who, f, &expected, &found.expect(&who));
                    }
                }
            }
        }
    }
}

/// Roots of products: a block whose roots have no short way, as those of 0, is done column by
/// column.
fn roots(largest: bool) -> Formula {
    first("roots", largest, 10, 1, |f, x, y| {
        let product = f.mul(x, y);
        f.apply(Op::Sqrt, &[product], &[])
    })
}

/// Columns fill some tiles of a thread, and the last one with some that fill no block.
fn by_threads(make: fn(&[Formula], &[Storage]) -> Runner) {
    let formulas: Vec<Formula> = formulas().into_iter().chain([false, true].map(roots)).collect();
    let runner = make(&formulas, &DTYPES.map(Storage::from));
    let grids = [(1, 0), (3, 5), (64, 0)].map(|(splits, seed)| Grid { splits, seed });
    let cases = formulas.iter().enumerate().flat_map(|f| COLUMNS.map(|columns| (f, columns)));
    for (((n, f), columns), grid) in cases.zip(grids.into_iter().cycle()) {
        let mut p = problem(f, (130, 701), columns);
        if f.name.contains("roots") {
            // Products of squares have exact roots.
            let entries = p.inputs.iter_mut().flat_map(|input| &mut input.data);
            entries.for_each(|x| *x *= *x);
        }
        let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
        for dtype in DTYPES.into_iter().filter(|_| runner.runs()) {
            let who = format!("{} {columns:?} {dtype:?} {grid:?}", f.name);
            let found = runner.run(n, dtype, &p, grid).expect(&who);
            compare::assert_same(&who, f, &expected, &found);
        }
    }
}

#[test]
fn lists_of_emulated_threads_are_those_of_a_sort() {
    by_threads(Runner::emulated);
}

#[test]
fn lists_on_a_device_are_those_of_a_sort() {
    if device::is_here() {
        by_threads(Runner::device);
    }
}
