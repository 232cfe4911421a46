//! Sums that CUDA kernels compute on tensor cores, in emulation: each inner product and each squared
//! distance of two blocks of rows and some panels of columns keeps the promise of cuda_mma.cuh, and
//! panels for which tensor cores could not are the sums of floats, bit by bit.

use tilefold_compiler::ir::{Axis, Dtype, Formula};
use tilefold_compiler::ops::Op;
use tilefold_tests::emulated::{Emulated, Grid};
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

/// A whole block, and one of 6.
const ROWS: usize = 128 + 6;
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
    /// the promise, and says for each panel of the first block whether any sum is not that of floats.
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
            let is_first = i < 128;
            differ[j / width(columns)] |= is_first && !floats(score, x, y).contains(&found);
        }
        differ
    }

    /// Runs every formula of a score; `expect` says of which panels, by first column and width, tensor
    /// cores make the sums.
    fn check(
        &self,
        what: &str,
        score: Op,
        expect: Expect,
        draw: &mut dyn FnMut(bool, usize, usize) -> f64,
    ) {
        for n in (0..FORMULAS.len()).filter(|&n| FORMULAS[n].0 == score) {
            let (_, dim, columns) = FORMULAS[n];
            let width = width(columns);
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

#[test]
fn distances_keep_their_promise() {
    let fixture = fixture();
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
fn inner_products_keep_their_promise() {
    let fixture = fixture();
    let check = |what, expect: Expect, draw: &mut dyn FnMut(bool, usize, usize) -> f64| {
        fixture.check(what, Op::Dot, expect, draw);
    };
    let rng = &mut Rng::new(12);
    check("normal", ALWAYS, &mut |_, _, _| rng.normal());
    check("far from the origin", ALWAYS, &mut |_, _, _| 1000.0 + rng.normal());
    check("of two sizes", ALWAYS, &mut |x, _, _| if x { 1e-7 } else { 1e9 } * rng.normal());
    // Zeros are no small numbers, and neither are numbers that are nearly as small as can be.
    check("sparse", ALWAYS, &mut |_, _, k| if k % 3 == 0 { 0.0 } else { rng.normal() });
    let wide = |x: bool, k: usize, r: f64| (1.5 + r) * if x == (k % 2 == 0) { 1e-3 } else { 1e3 };
    check("of wide range", ALWAYS, &mut |x, _, k| wide(x, k, rng.unit()));
    // Products of about 1, whose factors no two halves have.
    let wider = |x: bool, k: usize, r: f64| (1.5 + r) * if x == (k % 2 == 0) { 1e-6 } else { 1e6 };
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
