//! Sums that CUDA kernels compute on tensor cores, in emulation: each inner product and squared
//! distance of two blocks of rows and some panels of columns keeps the promise of cuda_mma.cuh, and
//! panels for which tensor cores could not are the sums of floats, bit by bit.

use tilefold_compiler::emit;
use tilefold_compiler::ir::{Axis, Dtype, ExprId, Formula, Reduction, Storage};
use tilefold_compiler::ops::Op;
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::compare;
use tilefold_tests::device::{self, Runner};
use tilefold_tests::emulated::Grid;
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;
use tilefold_tests::sanitized::trials::{Layout, Trial};
use tilefold_tests::sanitized::{self, Code, Sanitizer, Watch};

/// A whole block, and one of 6.
const ROWS: usize = 128 + 6;
/// Two panels of 64 and one of 6, or five panels of 32.
const COLS: usize = 128 + 6;

/// A score, its components, the columns whose sums are looked at, and how they are added up.
const FORMULAS: &[(Op, usize, &[usize], Adds)] = &[
    (Op::Dot, 64, FEW, Adds::Together),
    (Op::Dot, 99, MANY, Adds::Masked),
    (Op::SqDist, 64, MANY, Adds::Masked),
    (Op::SqDist, 100, FEW, Adds::Together),
    (Op::SqDist, 262, MANY, Adds::Together),
];

/// Many outputs are added up together by a panel unless they are masked: then each is a word of a
/// packed column, and only panels of 32 columns have room for so many.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Adds {
    Together,
    Masked,
}
const FEW: &[usize] = &[0, 5, 17, 30, 47, 63, 64, 75, 101, 127, 128, 133];
const MANY: &[usize] = &{
    let mut all = [0; 70];
    let mut n = 0;
    while n < 70 {
        all[n] = n + if n < 35 { 0 } else { 64 };
        n += 1;
    }
    all
};

/// Columns of a panel in f32, as the text of the kernel has it: 8 threads are next to each other.
fn width(f: &Formula) -> usize {
    let text = emit::kernel(f, "f", "a test").expect("short").cu;
    let (_, columns) = text.split_once("COLUMNS = TF_K(").expect("a panel");
    let (columns, _) = columns.split_once(',').expect("one for each type");
    8 * columns.parse::<usize>().expect("a number")
}

/// `sum[j] score * e`, where row j of e is 1 at most once: values of pairs, one a component.
fn pairs(score: Op, dim: usize, columns: &[usize], adds: Adds) -> Formula {
    let mut f = Formula::new(format!("{} of {dim}", score.def().name));
    let x = f.input("x", Some(Axis::I), dim).expect("short");
    let y = f.input("y", Some(Axis::J), dim).expect("short");
    let e = f.input("e", Some(Axis::J), columns.len()).expect("short");
    let value = f.op(score, &[x, y], &[]).expect("it fits");
    let row = f.mul(value, e);
    // True of all columns.
    let mask = (adds == Adds::Masked).then(|| {
        let first = f.apply(Op::Elem, &[e], &[0]);
        let two = f.constant(2.0);
        f.apply(Op::Lt, &[first, two], &[])
    });
    let sum = Reduction { reducer: Reducer::Sum, axis: Axis::J, args: vec![row], mask, k: 0 };
    let sum = f.reduce(sum).expect("it fits");
    f.output("out", Some(Axis::I), sum).expect("a row of i");
    f
}

/// The sum as floats add it up, with products that are rounded and with products that are not.
fn floats(score: Op, x: &[f64], y: &[f64]) -> [f64; 2] {
    let mut sums = [0f32; 2];
    for (&x, &y) in x.iter().zip(y) {
        let (x, y) = (x as f32, y as f32);
        let (a, b) = if score == Op::Dot { (x, y) } else { (x - y, x - y) };
        sums = [sums[0] + a * b, a.mul_add(b, sums[1])];
    }
    sums.map(f64::from)
}

struct Fixture {
    built: Runner,
    formulas: Vec<Formula>,
    /// Columns of a panel.
    widths: Vec<usize>,
}

/// Compiles formulas.
type Make = fn(&[Formula], &[Storage]) -> Runner;

fn fixture(make: Make) -> Fixture {
    let formulas = FORMULAS.iter().map(|&(score, dim, cols, adds)| pairs(score, dim, cols, adds));
    let formulas: Vec<Formula> = formulas.collect();
    let widths: Vec<usize> = formulas.iter().map(width).collect();
    assert_eq!(widths, [64, 32, 32, 64, 64]);
    Fixture { built: make(&formulas, &[Storage::F32]), formulas, widths }
}

impl Fixture {
    /// Runs a formula on what `draw` gives for rows (true) and columns, by row and component.
    /// Checks the promise, and tells of each panel of the first block if a sum is not of floats.
    fn run(&self, n: usize, draw: &mut dyn FnMut(bool, usize, usize) -> f64) -> Vec<bool> {
        let (score, dim, columns, _) = FORMULAS[n];
        let width = self.widths[n];
        let p = Problem::new(self.formulas[n].clone(), ROWS, COLS, |input, entry| match input {
            2 => f64::from(columns[entry % columns.len()] == entry / columns.len()),
            _ => f64::from(draw(input == 0, entry / dim, entry % dim) as f32),
        });
        let found = self.built.run(n, Dtype::F32, &p, Grid { splits: 1, seed: 7 });
        let found = found.unwrap_or_else(|e| panic!("{e}")).remove(0);
        let mut differ = vec![false; COLS.div_ceil(width)];
        for (at, &found) in found.data.iter().enumerate() {
            let (i, j) = (at / columns.len(), columns[at % columns.len()]);
            let (x, y) = (&p.inputs[0].data[i * dim..][..dim], &p.inputs[1].data[j * dim..][..dim]);
            let term = |k: usize| match score {
                Op::Dot => x[k] * y[k],
                _ => (x[k] - y[k]).powi(2),
            };
            let exact: f64 = (0..dim).map(term).sum();
            let size: f64 = (0..dim).map(|k| term(k).abs()).sum();
            let promise = if score == Op::Dot { dim } else { 2 * (dim + 2) };
            // What floats cannot hold they round to their least ones, term by term.
            let allowed = promise as f64 * 2f64.powi(-24) * size + dim as f64 * 2f64.powi(-149);
            let off = (found - exact).abs();
            assert!(off <= allowed, "{} of {dim}: {found}, not {exact}", score.def().name);
            let is_first = i < 128;
            differ[j / width] |= is_first && !floats(score, x, y).contains(&found);
        }
        differ
    }

    /// Runs every formula of a score; `expect` says of which panels, by first column and width, the
    /// tensor cores make the sums.
    fn check(
        &self,
        what: &str,
        score: Op,
        expect: Expect,
        draw: &mut dyn FnMut(bool, usize, usize) -> f64,
    ) {
        for n in (0..FORMULAS.len()).filter(|&n| FORMULAS[n].0 == score) {
            let (_, dim, columns, _) = FORMULAS[n];
            let width = self.widths[n];
            for (panel, &differs) in self.run(n, draw).iter().enumerate() {
                // Some panels have no column that is looked at.
                let is_seen = columns.iter().any(|j| j / width == panel);
                let wrong = is_seen && differs != expect(panel * width, width);
                assert!(!wrong, "{what}, {} of {dim}, panel {panel}: {differs}", score.def().name);
            }
        }
    }
}

/// Opposite signs of the means, so that no pair of a row and a column is close.
fn apart(rng: &mut Rng, is_row: bool) -> f64 {
    rng.normal() + if is_row { 0.8 } else { -0.8 }
}

type Expect = fn(usize, usize) -> bool;
const ALWAYS: Expect = |_, _| true;
const NEVER: Expect = |_, _| false;

fn check_distances(fixture: &Fixture) {
    let check = |what, expect: Expect, draw: &mut dyn FnMut(bool, usize, usize) -> f64| {
        fixture.check(what, Op::SqDist, expect, draw);
    };
    let rng = &mut Rng::new(11);
    check("normal", ALWAYS, &mut |x, _, _| apart(rng, x));
    check("far from the origin", ALWAYS, &mut |x, _, _| 1000.0 + apart(rng, x));
    for scale in [1e-8, 1e12] {
        check("scaled", ALWAYS, &mut |x, _, _| scale * apart(rng, x));
    }
    check("far columns", ALWAYS, &mut |x, _, _| rng.normal() + if x { 0.0 } else { 1e9 });
    // From column 64 on they are so far that their halves would be infinite; that panel tells.
    let far = |x: bool, row: usize, r: f64| if !x && row >= 64 { 1e6 + r } else { r };
    check("farther columns", |first, _| first != 64, &mut |x, row, _| far(x, row, apart(rng, x)));
    // Columns that have fewer bits in their halves than the rows, from small ones to the centre.
    let near = |x: bool, row: usize, r: f64| {
        if x { 9.0 + r } else { 9.0 + r * 0.1f64.powi(row as i32 % 9) }
    };
    check("columns at the centre", NEVER, &mut |x, row, _| near(x, row, 1.0));
    check("columns near the centre", ALWAYS, &mut |x, row, _| near(x, row, rng.normal()));

    // Norms of a panel that differ: no pair is close, though some are to the largest norm.
    let sizes = |x: bool, row: usize| if x { 1.0 } else { 10f64.powi(row as i32 % 3) };
    check("columns of many sizes", ALWAYS, &mut |x, row, _| sizes(x, row) * apart(rng, x));

    // Two clusters: differences are small, norms are not.
    let cluster = |row: usize, r: f64| if row.is_multiple_of(2) { 1000.0 + r } else { r - 1000.0 };
    check("clusters", NEVER, &mut |_, row, _| cluster(row, rng.normal()));
    check("nothing", NEVER, &mut |_, _, _| 0.0);
    check("one point", NEVER, &mut |_, _, k| 0.1 * k as f64);
    for scale in [1e-30, 1e-15, 1e16] {
        check("extreme", NEVER, &mut |x, _, _| scale * apart(rng, x));
    }
    // A row that is a column: one pair refuses its panel, and the next panel is not tried.
    let mut twin = vec![0.0; 512];
    let mut close = |x: bool, row: usize, k: usize| {
        let value = apart(rng, x);
        if x && row == 3 {
            twin[k] = value;
        }
        if !x && row == 5 { twin[k] } else { value }
    };
    check("a twin", |first, width| first >= 2 * width, &mut close);
}

#[test]
fn distances_keep_their_promise() {
    check_distances(&fixture(Runner::emulated));
}

fn check_products(fixture: &Fixture) {
    let check = |what, expect: Expect, draw: &mut dyn FnMut(bool, usize, usize) -> f64| {
        fixture.check(what, Op::Dot, expect, draw);
    };
    let rng = &mut Rng::new(12);
    check("normal", ALWAYS, &mut |_, _, _| rng.normal());
    check("far from the origin", ALWAYS, &mut |_, _, _| 1000.0 + rng.normal());
    check("of two sizes", ALWAYS, &mut |x, _, _| if x { 1e-7 } else { 1e9 } * rng.normal());
    // Zeros are no small numbers, and neither are numbers that are nearly as small as can be.
    check("sparse", ALWAYS, &mut |_, _, k| if k % 3 == 0 { 0.0 } else { rng.normal() });
    let wide =
        |x: bool, k: usize, r: f64| (1.5 + r) * if x == k.is_multiple_of(2) { 1e-3 } else { 1e3 };
    check("of wide range", ALWAYS, &mut |x, _, k| wide(x, k, rng.unit()));
    // Products of about 1, whose factors no two halves have.
    let wider =
        |x: bool, k: usize, r: f64| (1.5 + r) * if x == k.is_multiple_of(2) { 1e-6 } else { 1e6 };
    check("of wider range", NEVER, &mut |x, _, k| wider(x, k, rng.unit()));
    // Only columns from 64 on; it is for their panel to be refused, and the next one.
    let late = |x: bool, row: usize, k: usize| !x && row == 64 && k == 7;
    check(
        "a small number",
        |first, width| first < 64 || first >= 64 + 2 * width,
        &mut |x, row, k| {
            if late(x, row, k) { 1e-7 } else { rng.normal() }
        },
    );
    check("nothing", NEVER, &mut |_, _, _| 0.0);
    for scale in [1e-15, 1e16] {
        check("extreme", NEVER, &mut |_, _, _| scale * rng.normal());
    }
}

#[test]
fn inner_products_keep_their_promise() {
    check_products(&fixture(Runner::emulated));
}

#[test]
fn sums_on_a_device_keep_their_promise() {
    if device::is_here() {
        let fixture = fixture(Runner::device);
        if fixture.built.runs() {
            check_distances(&fixture);
            check_products(&fixture);
        }
    }
}

/// Integers whose sums floats and halves hold exactly, rows and columns apart; with `edges`, a NaN
/// in a row of the second block, and an infinity in a column of the second panel.
fn integers(formula: Formula, rows: usize, cols: usize, edges: bool) -> Problem {
    let mut rng = Rng::new(41);
    Problem::new(formula, rows, cols, |input, entry| match (input, entry / 64) {
        (0, 130) if edges && entry % 64 == 16 => f64::NAN,
        (1, 70) if edges && entry % 64 == 2 => f64::INFINITY,
        (0, _) => 1.0 + rng.below(4) as f64,
        (1, _) => -2.0 - rng.below(3) as f64,
        _ => 1.0 + rng.below(4) as f64,
    })
}

fn reduced(score: Op, reducer: Reducer, masked: bool) -> Formula {
    let def = reducer.def();
    let mut f = Formula::new(format!("{} of {}", def.name, score.def().name));
    let x = f.input("x", Some(Axis::I), 64).expect("short");
    let y = f.input("y", Some(Axis::J), 64).expect("short");
    let b = f.input("b", Some(Axis::J), 3).expect("short");
    let value = f.op(score, &[x, y], &[]).expect("it fits");
    let value = f.scale(1.0 / 1024.0, value);
    let mask = masked.then(|| {
        let first = f.apply(Op::Elem, &[x], &[0]);
        let second = f.apply(Op::Elem, &[y], &[0]);
        let sum = f.add(first, second);
        let zero = f.constant(0.0);
        f.apply(Op::Lt, &[sum, zero], &[])
    });
    let args = if def.arity == 2 { vec![value, b] } else { vec![value] };
    let k = if def.takes_k { 5 } else { 0 };
    let fold = f.reduce(Reduction { reducer, axis: Axis::J, args, mask, k }).expect("it fits");
    f.output("out", Some(Axis::I), fold).expect("a row of i");
    f
}

/// Runs a formula on integers; the result has to be the oracle's.
fn check_integers(built: &Runner, n: usize, dtype: Storage, p: &Problem, splits: usize) {
    let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
    let name = &p.formula.name;
    let found = built.run(n, dtype, p, Grid { splits, seed: n as u64 });
    let found = found.unwrap_or_else(|e| panic!("{name}, {dtype:?}: {e}"));
    let allowed = match dtype {
        Storage::F16 => 1e-3,
        Storage::F64 => 1e-14,
        _ => 1e-5,
    };
    let wrong = compare::worst(&p.formula, &expected, &found).filter(|gap| gap.off > allowed);
    let wrong = wrong.map_or(String::new(), |gap| format!("{name}, {dtype:?}: {gap}"));
    assert_eq!(wrong, "");
}

/// Every reduction of such sums, on tensor cores: the sums, or bounds of them where it searches
/// and no mask leaves pairs out. What searches for row numbers under a mask needs sums in floats.
fn check_reductions(make: Make) {
    let score = |n: usize| [Op::Dot, Op::SqDist][n % 2];
    let one = |(n, &reducer): (usize, &Reducer)| reduced(score(n), reducer, n % 3 == 0);
    let formulas: Vec<Formula> = Reducer::ALL.iter().enumerate().map(one).collect();
    let with_rows = ["argmin", "argmax", "argkmin", "argkmax", "kmin", "kmax"];
    for (n, (f, reducer)) in formulas.iter().zip(Reducer::ALL).enumerate() {
        let text = emit::kernel(f, "f", "a test").expect("short").cu;
        let name = reducer.def().name;
        let finds_rows = with_rows.contains(&name);
        let is_filter = n % 3 != 0 && (finds_rows || ["min", "max"].contains(&name));
        assert_eq!(text.contains("TF_FILTER_ENTRY("), is_filter, "{}", f.name);
        assert_eq!(text.contains("TF_MMA_ENTRY("), !finds_rows && !is_filter, "{}", f.name);
    }
    let built = make(&formulas, &[Storage::F32]);
    for (n, f) in formulas.iter().enumerate().filter(|_| built.runs()) {
        check_integers(&built, n, Storage::F32, &integers(f.clone(), 131, 71, false), 2);
        check_integers(&built, n, Storage::F32, &integers(f.clone(), 132, 71, true), 1);
    }
}

#[test]
fn every_reduction_of_sums_on_tensor_cores() {
    check_reductions(Runner::emulated);
}

#[test]
fn every_reduction_and_dtype_on_a_device() {
    if device::is_here() {
        check_reductions(Runner::device);
        check_dtypes(Runner::device);
    }
}

fn check_dtypes(make: Make) {
    let formulas = [Op::Dot, Op::SqDist].map(|score| reduced(score, Reducer::Sum, false));
    let dtypes = [Storage::F32, Storage::F64, Storage::F16, Storage::BF16];
    let built = make(&formulas, &dtypes);
    for (n, f) in formulas.iter().enumerate().filter(|_| built.runs()) {
        for &dtype in &dtypes[..3] {
            for (rows, cols, splits) in [(129, 200, 3), (1, 1, 1), (3, 65, 2), (130, 2, 1)] {
                check_integers(&built, n, dtype, &integers(f.clone(), rows, cols, false), splits);
            }
        }
        // Nothing to fold, and nobody to fold it.
        for (rows, cols) in [(5, 0), (0, 5)] {
            check_integers(&built, n, Storage::F32, &integers(f.clone(), rows, cols, false), 1);
        }
    }
}

#[test]
fn every_dtype_and_small_problems() {
    check_dtypes(Runner::emulated);
}

/// Two blocks of rows, two splits; one panel for tensor cores, one that they refuse.
#[test]
fn sanitizers_are_silent() {
    let formulas = [Op::Dot, Op::SqDist].map(|score| reduced(score, Reducer::Sum, false));
    let mut trials: Vec<Trial> = formulas
        .into_iter()
        .map(|f| Trial::new(integers(f, 132, 64 * 3 + 7, true), Layout::Dense, 3, false))
        .collect();
    // Components that fill no step of 16: there is nothing to read past the last row's.
    let mut rng = Rng::new(5);
    for score in [Op::Dot, Op::SqDist] {
        let formula = pairs(score, 99, FEW, Adds::Together);
        let problem = Problem::between(formula, 132, 64 * 3 + 7, &mut rng, -1.0, 1.0);
        trials.push(Trial::new(problem.rounded(Dtype::F32), Layout::Dense, 3, false));
    }
    for sanitizer in [Sanitizer::Memory, Sanitizer::Races] {
        let watch = Watch { sanitizer, code: Code::Cuda, storage: Storage::F32 };
        let report = sanitized::run(watch, &trials);
        assert!(report.is_ok(), "{}", report.unwrap_err());
    }
}

/// What is a contraction of rows and columns, and what is not.
#[test]
fn only_long_contractions_are_on_tensor_cores() {
    type Score = fn(&mut Formula, ExprId, ExprId, ExprId) -> ExprId;
    let scores: &[(&str, bool, Score)] = &[
        ("inner product", true, |f, x, y, _| f.apply(Op::Dot, &[y, x], &[])),
        ("squared distance", true, |f, x, y, _| f.apply(Op::SqDist, &[y, x], &[])),
        ("square of a sum", true, |f, x, y, _| {
            let sum = f.add(x, y);
            f.apply(Op::SqNorm2, &[sum], &[])
        }),
        ("weighted rows", true, |f, x, y, p| {
            let weighted = f.mul(p, x);
            f.apply(Op::Dot, &[weighted, y], &[])
        }),
        ("slices", true, |f, x, y, _| {
            let [x, y] = [x, y].map(|side| f.apply(Op::Extract, &[side], &[2, 64]));
            f.apply(Op::SqDist, &[x, y], &[])
        }),
        ("short slices", false, |f, x, y, _| {
            let [x, y] = [x, y].map(|side| f.apply(Op::Extract, &[side], &[2, 63]));
            f.apply(Op::SqDist, &[x, y], &[])
        }),
        ("magnitudes", false, |f, x, y, _| {
            let gap = f.sub(x, y);
            let gap = f.apply(Op::Abs, &[gap], &[]);
            f.apply(Op::Sum, &[gap], &[])
        }),
        ("weighted squares", false, |f, x, y, p| {
            let gap = f.sub(x, y);
            let square = f.square(gap);
            f.apply(Op::Dot, &[p, square], &[])
        }),
        ("two sums", false, |f, x, y, _| {
            let product = f.apply(Op::Dot, &[x, y], &[]);
            let distance = f.apply(Op::SqDist, &[x, y], &[]);
            f.mul(product, distance)
        }),
        ("a scalar and a vector", false, |f, x, y, _| {
            let first = f.apply(Op::Elem, &[x], &[0]);
            f.apply(Op::SqDist, &[first, y], &[])
        }),
    ];
    for &(name, expected, score) in scores {
        let mut f = Formula::new(name);
        let x = f.input("x", Some(Axis::I), 66).expect("short");
        let y = f.input("y", Some(Axis::J), 66).expect("short");
        let p = f.input("p", None, 66).expect("short");
        let value = score(&mut f, x, y, p);
        let value = f.apply(Op::Exp, &[value], &[]);
        let sum = f.sum_over(Axis::J, value);
        f.output("out", Some(Axis::I), sum).expect("a row of i");
        let text = emit::kernel(&f, "f", "a test").expect("short").cu;
        assert_eq!(text.contains("TF_MMA_ENTRY("), expected, "{name}");
    }
}
