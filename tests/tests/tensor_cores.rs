//! Sums that CUDA kernels compute on tensor cores, in emulation: each inner product and each squared
//! distance of two blocks of rows and some panels of columns keeps the promise of cuda_mma.cuh, and
//! panels for which tensor cores could not are the sums of floats, bit by bit.

use tilefold_compiler::ir::{Axis, Dtype, Formula};
use tilefold_compiler::ops::Op;
use tilefold_tests::emulated::{Emulated, Grid};
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

/// A whole block, and one of 22.
const ROWS: usize = 128 + 22;
/// Two panels of 64 and one of 6, or five panels of 32.
const COLS: usize = 128 + 6;

/// A score, its components, and the columns whose sums are looked at. Each of them is a word of a
/// packed column: few leave room for panels of 64 columns, many for panels of 32.
const FORMULAS: &[(Op, usize, &[usize])] = &[
    (Op::Dot, 64, FEW),
    (Op::Dot, 100, MANY),
    (Op::SqDist, 64, MANY),
    (Op::SqDist, 100, FEW),
    (Op::SqDist, 260, FEW),
];
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

fn width(columns: &[usize]) -> usize {
    if columns.len() > 16 { 32 } else { 64 }
}

/// `sum[j] score * e`, where row j of e is 1 at most once: values of pairs, one a component.
fn pairs(score: Op, dim: usize, columns: &[usize]) -> Formula {
    let mut f = Formula::new(format!("{} of {dim}", score.def().name));
    let x = f.input("x", Some(Axis::I), dim).expect("short");
    let y = f.input("y", Some(Axis::J), dim).expect("short");
    let e = f.input("e", Some(Axis::J), columns.len()).expect("short");
    let value = f.op(score, &[x, y], &[]).expect("it fits");
    let row = f.mul(value, e);
    let sum = f.sum_over(Axis::J, row);
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
    built: Emulated,
    formulas: Vec<Formula>,
}

fn fixture() -> Fixture {
    let formulas = FORMULAS.iter().map(|&(score, dim, columns)| pairs(score, dim, columns));
    let formulas: Vec<Formula> = formulas.collect();
    Fixture { built: Emulated::build(&formulas, &[Dtype::F32]), formulas }
}

impl Fixture {
    /// Runs a formula on what `draw` gives for rows (true) and columns, by row and component. Checks
    /// the promise, and says for each panel whether any sum is not that of floats.
    fn run(&self, n: usize, draw: &mut dyn FnMut(bool, usize, usize) -> f64) -> Vec<bool> {
        let (score, dim, columns) = FORMULAS[n];
        let p = Problem::new(self.formulas[n].clone(), ROWS, COLS, |input, entry| match input {
            2 => f64::from(columns[entry % columns.len()] == entry / columns.len()),
            _ => f64::from(draw(input == 0, entry / dim, entry % dim) as f32),
        });
        let found = self.built.run(n, Dtype::F32, &p, Grid { splits: 1, seed: 7 });
        let found = found.unwrap_or_else(|e| panic!("{e}")).remove(0);
        let mut differ = vec![false; COLS.div_ceil(width(columns))];
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
            differ[j / width(columns)] |= !floats(score, x, y).contains(&found);
        }
        differ
    }

    /// Runs every formula of a score; `expect` says of which panels tensor cores make the sums.
    fn check(
        &self,
        what: &str,
        score: Op,
        expect: impl Fn(usize) -> bool,
        draw: &mut dyn FnMut(bool, usize, usize) -> f64,
    ) {
        for n in (0..FORMULAS.len()).filter(|&n| FORMULAS[n].0 == score) {
            let differ = self.run(n, draw);
            // Some panels have no column that is looked at.
            let (_, dim, columns) = FORMULAS[n];
            for (panel, &differs) in differ.iter().enumerate() {
                let is_seen = columns.iter().any(|j| j / width(columns) == panel);
                let wrong = is_seen && differs != expect(panel);
                assert!(!wrong, "{what}, {} of {dim}, panel {panel}: {differs}", score.def().name);
            }
        }
    }
}

/// Opposite signs of the means, so that no pair of a row and a column is close.
fn apart(rng: &mut Rng, is_row: bool) -> f64 {
    rng.normal() + if is_row { 0.4 } else { -0.4 }
}

#[test]
fn distances_keep_their_promise() {
    let fixture = fixture();
    let rng = &mut Rng::new(11);
    let (always, never) = (|_| true, |_| false);
    fixture.check("normal", Op::SqDist, always, &mut |x, _, _| apart(rng, x));
    fixture.check("far away", Op::SqDist, always, &mut |x, _, _| 1000.0 + apart(rng, x));
    for scale in [1e-8, 1e12] {
        fixture.check("scaled", Op::SqDist, always, &mut |x, _, _| scale * apart(rng, x));
    }
    // Columns that are farther than rows are from each other need another scale, which the first
    // panel tells.
    let far = |x: bool, r: f64| if x { r } else { 1e5 + r };
    fixture.check("far columns", Op::SqDist, |n| n > 0, &mut |x, _, _| far(x, rng.normal()));

    // Two clusters: the differences are small, and their sizes are not.
    let cluster = |row: usize, r: f64| if row.is_multiple_of(2) { 1000.0 + r } else { -1000.0 + r };
    fixture.check("clusters", Op::SqDist, never, &mut |_, row, _| cluster(row, rng.normal()));
    // One close pair in a panel is enough, and the next one is not tried.
    let mut twin = Vec::new();
    let mut close = |x: bool, row: usize, k: usize| {
        let value = apart(rng, x);
        if x && row == 3 {
            twin.resize(k, 0.0);
            twin.push(value);
        }
        if !x && row == 5 { twin[k] } else { value }
    };
    for n in (0..FORMULAS.len()).filter(|&n| FORMULAS[n].0 == Op::SqDist) {
        let _ = fixture.run(n, &mut close);
    }
    fixture.check("nothing", Op::SqDist, never, &mut |_, _, _| 0.0);
    fixture.check("one point", Op::SqDist, never, &mut |_, _, k| 0.1 * k as f64);
    for scale in [1e-21, 1e-15, 1e16] {
        fixture.check("extreme", Op::SqDist, never, &mut |x, _, _| scale * apart(rng, x));
    }
}
