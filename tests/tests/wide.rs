//! Panels of large dimensions, and sums of many outputs that are added up a block of columns at a
//! time: emulated CUDA code and CPU code against the oracle. Dimensions end inside a chunk, columns
//! inside a block, rows inside a block of threads; scores rise from column to column, and from
//! panel to panel.

use tilefold_compiler::front;
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Dtype, Formula};
use tilefold_tests::compare;
use tilefold_tests::emulated::{Emulated, Grid};
use tilefold_tests::native::{self, Native};
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

/// Wide sums stand beside short ones, searches and other shifted sums; the gradients are wide.
const FORMULAS: &str = "tilefold 1;
formula gaussian<D: {17, 100}> dtype f32, f64 {
    x[i], y[j] : R^D;
    b[j] : R;
    a[i] = sum[j] exp(-0.1 * sqdist(x, y)) * b;
    grad a wrt x, y;
}
formula attention<D: {31}, E: {17, 70}> dtype f32, f64 {
    q[i], k[j] : R^D;
    v[j] : R^E;
    o[i] = sum[j] softmax(q | k) * v;
    grad o wrt q, v;
}
formula weighted dtype f32, f64 {
    x[i], y[j] : R^40;
    v[j] : R^33;
    c[j] : R;
    a[i] = softmaxsum[j]((x | y), v * c + v);
    top[i] = argmax[j] (x | y);
    total[i] = logsumexp[j] (x | y);
}
formula both dtype f32, f64 {
    x[i], y[j] : R^20;
    v[j] : R^64;
    a[i] = sum[j] sum(abs(x - y)) * v;
    near[i] = argkmin[j; 5 where (x | y) > 0] sqdist(x, y);
    lse[i] = logsumexp[j where (x | y) > 0] -sqdist(x, y);
    b[i] = sum[j] exp((x | y) / 200) * concat(x, y);
}
formula many dtype f32, f64 {
    x[i], y[j] : R^2;
    v[j] : R^33;
    w[i] : R^33;
    a[i] = sum[j] exp(-sqdist(x, y)) * (v * w - v);
    mean[i] = sum[j] softmax(-sqdist(x, y) / 8) * v;
    plain[i] = sum[j] (1 - sqdist(x, y));
}
formula nearest dtype f32, f64 {
    x[i], y[j] : R^784;
    rows[i] = argkmin[j; 5] sqdist(x, y);
    far[i] = max[j] sum(abs(x - y));
}";

/// The formulas and their derivatives.
fn formulas() -> Vec<Formula> {
    let units = front::parse("wide.fold", FORMULAS)
        .unwrap_or_else(|e| panic!("{}", e.render("wide.fold", FORMULAS)));
    let mut all = Vec::new();
    for instance in units.iter().flat_map(|unit| &unit.instances) {
        all.push(instance.formula.clone());
        all.extend(instance.derivatives.iter().map(|d| d.formula.clone()));
    }
    all
}

/// Small integers, so that sums of components are exact; with `edges` a NaN, infinities, and rows
/// whose scores rise.
fn problem(formula: &Formula, rows: usize, cols: usize, edges: bool) -> Problem {
    let mut rng = Rng::new(11);
    let dims: Vec<usize> = formula.inputs.iter().map(|input| input.dim).collect();
    Problem::new(formula.clone(), rows, cols, |input, entry| {
        let (row, component) = (entry / dims[input], entry % dims[input]);
        match (input, row, component) {
            (0, 5, 3) if edges => f64::NAN,
            (1, 66, 0) if edges => f64::INFINITY,
            (2, 1, 0) if edges => f64::NEG_INFINITY,
            // Scores rise with every column in this row, by a little or by much.
            (0, 7 | 9, _) => f64::from(component == 1) * if row == 7 { 1.0 } else { 30.0 },
            (1, _, 1) => row as f64 / 4.0,
            _ => rng.below(5) as f64 / 4.0 - 0.5,
        }
    })
}

/// The worst entry, if it is too far off.
fn gap(f: &Formula, dtype: Dtype, expected: &[Matrix], found: &[Matrix]) -> Option<compare::Gap> {
    let allowed = if dtype == Dtype::F32 { 4e-5 } else { 1e-13 };
    compare::worst(f, expected, found).filter(|gap| gap.off > allowed)
}

#[test]
fn emulated_panels_of_large_dimensions() {
    let formulas = formulas();
    let emulated = Emulated::build(&formulas, Dtype::ALL);
    let mut wrong = Vec::new();
    for (n, f) in formulas.iter().enumerate() {
        for (edges, rows, cols) in [(false, 130, 6), (false, 30, 64 * 4 + 13), (true, 12, 75)] {
            let p = problem(f, rows, cols, edges);
            let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
            for (&dtype, splits) in Dtype::ALL.iter().zip([2, 1]) {
                let grid = Grid { splits, seed: n as u64 };
                let found = emulated.run(n, dtype, &p, grid);
                let found = found.unwrap_or_else(|e| panic!("{}: {e}", f.name));
                wrong.extend(gap(f, dtype, &expected, &found).map(|g| {
                    format!("{}, {}, {rows} x {cols}, {edges}: {g}", f.name, dtype.name())
                }));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Rows one by one, where columns lie across the lanes, and in blocks.
#[test]
fn sums_of_many_outputs_on_cpus() {
    let mut all = formulas();
    all.retain(|f| f.name != "nearest");
    let mut wrong = Vec::new();
    for level in native::levels() {
        let some = if level == native::best() { 1 } else { 3 };
        let formulas: Vec<Formula> = all.iter().step_by(some).cloned().collect();
        let native = Native::quick(&formulas, Dtype::ALL, &[level]);
        for (n, f) in formulas.iter().enumerate() {
            for (edges, rows, cols) in [(false, 33, 6), (false, 10, 300), (true, 12, 75)] {
                let p = problem(f, rows, cols, edges);
                let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
                for &dtype in Dtype::ALL {
                    let both = native.run_both(n, dtype, level, &p).expect("it runs");
                    for (found, how) in both.iter().zip(["row by row", "in blocks"]) {
                        wrong.extend(gap(f, dtype, &expected, found).map(|g| {
                            let what = format!("{}, {}, {level} {how}", f.name, dtype.name());
                            format!("{what}, {rows} x {cols}, {edges}: {g}")
                        }));
                    }
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
