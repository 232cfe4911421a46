//! Squared distances as norms and an inner product, and powers that need no clamps: which formulas
//! have these ways, which pairs go them, and that what comes out is right on all ways, of code
//! compiled for every level and of emulated CUDA code.

use std::collections::BTreeMap;

use tilefold_compiler::front;
use tilefold_compiler::ir::{Dtype, Formula, canonical_text};
use tilefold_compiler::passes::optimize;
use tilefold_compiler::schedule::{Near, REACH, add_bounds, add_near, plan};
use tilefold_tests::compare;
use tilefold_tests::device;
use tilefold_tests::emulated::Grid;
use tilefold_tests::machines::Machines;
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;
use tilefold_tests::toolchain::Processor;

/// Two tiles of a CPU and a part of a block.
const COLS: usize = 512 + 8 + 3;
const ROWS: usize = 37;

/// Formulas of points x and y of `dims` components, a signal b, potentials h and numbers s and e.
fn formulas(dims: usize, statements: &str, word: &str) -> Vec<Formula> {
    let text = format!(
        "tilefold 1;\nformula f {word} {{ x[i], y[j] : R^{dims}; b[j] : R^2; h[j] : R; s : R; e : R;
        let _ = b; let _ = h; let _ = s; let _ = e; {statements} }}"
    );
    let units =
        front::parse("test", &text).unwrap_or_else(|errors| panic!("{}", errors.render("", &text)));
    let instance = &units[0].instances[0];
    let derived = instance.derivatives.iter().map(|d| d.formula.clone());
    std::iter::once(instance.formula.clone()).chain(derived).collect()
}

/// How many stages of a formula have a power that may need no clamps.
fn bounds(formula: &Formula) -> usize {
    let mut plan = plan(optimize(formula));
    add_near(&mut plan);
    add_bounds(&mut plan);
    plan.stages.iter().filter(|stage| stage.bound.is_some()).count()
}

#[test]
fn powers_of_distances_have_bounds() {
    for (dims, statements) in [
        (3, GAUSSIAN),
        (1, GAUSSIAN),
        (20, GAUSSIAN),
        (3, GRADIENT),
        (3, LAPLACE),
        (2, MATERN),
        (3, GROWTH),
        (4, FROM_COLUMNS),
    ] {
        let formula = &formulas(dims, statements, "")[0];
        assert_eq!(bounds(formula), 1, "{}", canonical_text(&optimize(formula)));
    }
    for statements in [SINKHORN, SOFTMAX, PLAIN_EXPONENT, "a[i] = sum[j] exp(-(x | y)) * b;"] {
        let formula = &formulas(3, statements, "")[0];
        assert_eq!(bounds(formula), 0, "{}", canonical_text(&optimize(formula)));
    }
}

/// The near ways of a formula's stages.
fn nears(formula: &Formula) -> Vec<Near> {
    let mut plan = plan(optimize(formula));
    add_near(&mut plan);
    plan.stages.into_iter().filter_map(|stage| stage.near).collect()
}

const GAUSSIAN: &str = "a[i] = sum[j] exp(-s * sqdist(x, y)) * b;";
const GROWTH: &str = "a[i] = sum[j] exp(sqdist(x, y) / (200 * e)) * b * h;";
const SINKHORN: &str = "l[i] = logsumexp[j] (h - s * sqdist(x, y)) / e;";
const SOFTMAX: &str = "m[i] = sum[j] softmax(-s * sqdist(x, y)) * b;";
const PLAIN_EXPONENT: &str = "a[i] = sum[j] exp(h - sqdist(2 * x, 2 * y)) * b;";
const FROM_COLUMNS: &str = "a[j] = sum[i] exp(-s * sqdist(x, y)) * x;";
const LAPLACE: &str = "a[i] = sum[j] exp(-s * norm2(x - y)) * b;";
const MATERN: &str = "let r = norm2(x - y) / s; a[i] = sum[j] (1 + r) * exp(-r) * b;";
const GRADIENT: &str = "a[i] = sum[j] exp(-s * sqdist(x, y)) * h * (x - y);";

#[test]
fn what_only_an_exponent_reads_has_a_near_way() {
    for statements in [GAUSSIAN, GROWTH, SINKHORN, SOFTMAX, PLAIN_EXPONENT, FROM_COLUMNS] {
        for word in ["", "relaxed"] {
            for formula in formulas(3, statements, word) {
                assert_eq!(nears(&formula).len(), 1, "{}", canonical_text(&formula));
            }
        }
    }
    let in_widths = &formulas(3, "m[i] = logsumexp[j] -square(s) * sqdist(x, y);", "relaxed")[0];
    assert_eq!(nears(in_widths), [], "{}", canonical_text(&optimize(in_widths)));
    for (what, dims, statements) in [
        ("no exponent", 3, "a[i] = sum[j] sqdist(x, y) * b;"),
        ("the root of a small distance would be off", 3, "a[i] = sum[j] exp(-norm2(x - y)) * b;"),
        ("the distance itself is needed", 3, "a[i] = sum[j] exp(-sqdist(x, y)) * sqdist(x, y);"),
        ("the difference is needed", 3, GRADIENT),
        ("a width for each row", 3, "a[i] = sum[j] exp(-sqdist(x, y) * square(x[0])) * b;"),
        ("one component", 1, GAUSSIAN),
        ("many components", 16, GAUSSIAN),
        ("points of pairs", 3, "a[i] = sum[j] exp(-sqdist(x * h, y)) * b;"),
        ("row numbers have no mean", 3, "a[i] = sum[j] exp(-sqdist(x, y + pos(j))) * b;"),
        ("ties have to be exact", 3, "a[i] = argmin[j] sqdist(x, y);"),
    ] {
        let formula = &formulas(dims, statements, "")[0];
        assert_eq!(nears(formula), [], "{what}: {}", canonical_text(&optimize(formula)));
    }
}

/// How points lie: where their middle is, how far they spread, and what one row and one column are.
const LAYOUTS: &[(f64, f64, f64, f64)] = &[
    // Near ones, anywhere.
    (0.0, 1.0, 0.25, 0.25),
    (1000.0, 1.0, 1000.25, 1000.25),
    (-3.0, 0.01, -3.0, -3.0),
    // A column that is far from its tile, or a row from its block.
    (0.5, 1.0, 0.5, 9.0),
    (0.5, 1.0, -9.0, 0.5),
    // All are: exponents are small still, too large for normal numbers, and both.
    (0.0, 4.0, 0.0, 0.0),
    (0.0, 20.0, 0.0, 0.0),
    (0.0, 4.0, 0.0, 60.0),
    // What is no number is near nothing.
    (0.0, 1.0, f64::NAN, 0.0),
    (0.0, 1.0, 0.0, f64::INFINITY),
];

fn problem(formula: &Formula, dims: usize, layout: (f64, f64, f64, f64), e: f64) -> Problem {
    let (middle, spread, row, col) = layout;
    let mut rng = Rng::new(17);
    Problem::new(formula.clone(), ROWS, COLS, |input, entry| match (input, entry / dims) {
        (0, 5) => row,
        // The first tile has no such column, and no mean is taken of it.
        (1, 300) => col,
        // What float32 holds, so that equal points are equal.
        (0 | 1, _) => middle + spread * rng.below(64) as f64 / 64.0,
        (4, _) => 0.7,
        (5, _) => e,
        _ => rng.between(-1.0, 1.0),
    })
}

#[test]
fn what_comes_out_is_right() {
    check_by_every_way(Machines::compiled, 1);
}

#[test]
fn what_comes_out_on_arm_is_right() {
    if Processor::Arm.is_here() {
        check_by_every_way(Machines::arm, 5);
    }
}

#[test]
fn what_comes_out_on_a_device_is_right() {
    if device::is_here() {
        check_by_every_way(Machines::device, 1);
    }
}

/// Every `step`th formula, in every layout.
fn check_by_every_way(make: fn(&[Formula]) -> Machines, step: usize) {
    let cases = [
        (2, GAUSSIAN),
        (8, GAUSSIAN),
        (3, SINKHORN),
        (5, SOFTMAX),
        (3, PLAIN_EXPONENT),
        (3, GROWTH),
        (4, FROM_COLUMNS),
        (1, GAUSSIAN),
        (20, GRADIENT),
        (3, LAPLACE),
        (2, MATERN),
    ];
    let of = |&(dims, statements): &(usize, &str)| {
        let plain = formulas(dims, statements, "").into_iter();
        plain.chain(formulas(dims, statements, "relaxed")).map(move |f| (dims, f))
    };
    let all: Vec<(usize, Formula)> = cases.iter().flat_map(of).step_by(step).collect();
    let machines = make(&all.iter().map(|(_, f)| f.clone()).collect::<Vec<_>>());
    for (at, (dims, formula)) in all.iter().enumerate() {
        for &layout in LAYOUTS {
            // With a large factor outside, little is near; with none, norms may be anything.
            for e in [1.0, 0.03, 1e30] {
                if layout.1 + layout.3.abs() > 10.0 && e < 1.0 {
                    // Powers that grow are too large there.
                    continue;
                }
                let p = problem(formula, *dims, layout, e);
                for dtype in [Dtype::F32, Dtype::F64] {
                    let p = p.rounded(dtype);
                    let expected = oracle::evaluate(formula, p.m, p.n, &p.inputs);
                    let allowed = if dtype == Dtype::F32 { 4e-6 } else { 1e-14 };
                    for (who, found) in
                        machines.answers(at, dtype, &p, &[Grid { splits: 2, seed: 3 }])
                    {
                        let gap = compare::worst(formula, &expected, &found);
                        let gap = gap.filter(|gap| gap.off > allowed);
                        let gap =
                            gap.map_or(String::new(), |g| format!("{who}, {layout:?}, {e}: {g}"));
                        assert_eq!(gap, "", "{}", canonical_text(formula));
                    }
                }
            }
        }
    }
}

/// Rows and columns of [`single`]: so few rows are folded one by one where a CPU may do that.
const FEW: usize = 8;

/// Points of which a signal picks the pairs of one column, whose point is also that of row 7.
fn single(formula: &Formula, dims: usize, spread: f64, seed: u64) -> Problem {
    let points = |seed| {
        let mut rng = Rng::new(seed);
        move || 100.0 + spread * rng.between(-1.0, 1.0)
    };
    let (mut x, mut y, column) = (points(2 * seed), points(2 * seed + 1), seed as usize % FEW);
    let y: Vec<f64> = (0..FEW * dims).map(|_| y()).collect();
    Problem::new(formula.clone(), FEW, FEW, |input, entry| match input {
        0 if entry / dims == 7 => y[column * dims + entry % dims],
        0 => x(),
        1 => y[entry],
        3 => f64::from(u8::from(entry == column)),
        _ => 0.45,
    })
}

/// Powers of single pairs, for points whose norms are within reach and beyond it. One row alone
/// goes the plain way, and a block that goes it too, or takes powers without clamps, has the same
/// bits; on CUDA the power of equal points tells, which is 1 where it is that of a difference.
fn check_near_powers(make: fn(&[Formula]) -> Machines) {
    let of_dims = |dims| formulas(dims, "a[i] = sum[j] exp2(-s * sqdist(x, y)) * h;", "").remove(0);
    let all: Vec<(usize, Formula)> = [2, 3, 8].into_iter().map(|d| (d, of_dims(d))).collect();
    let machines = make(&all.iter().map(|(_, f)| f.clone()).collect::<Vec<_>>());
    for (at, (dims, formula)) in all.iter().enumerate() {
        for (is_near, reach) in [(true, 0.4 * REACH), (false, 8.0 * REACH)] {
            let spread = (reach / (0.45 * *dims as f64)).sqrt();
            // Executors, and whether all that was seen of them is the plain way.
            let mut plain: BTreeMap<String, bool> = BTreeMap::new();
            for (seed, &dtype) in (0..40).flat_map(|n| Dtype::ALL.iter().map(move |d| (n, d))) {
                let p = single(formula, *dims, spread, seed).rounded(dtype);
                let expected = oracle::evaluate(formula, p.m, p.n, &p.inputs);
                let unit = f64::powi(2.0, if dtype == Dtype::F32 { -24 } else { -53 });
                let exponent = 2.0 * REACH * (3 * dims + 7) as f64;
                let allowed = (exponent * std::f64::consts::LN_2 + 4.0) * unit;
                let answers = machines.answers(at, dtype, &p, &[Grid { splits: 1, seed: 3 }]);
                for (n, (who, found)) in answers.iter().enumerate() {
                    let pairs = found[0].data.iter().zip(&expected[0].data);
                    let worst = pairs.map(|(f, e)| (f / e - 1.0).abs()).fold(0.0, f64::max);
                    assert!(!is_near || worst <= allowed, "{who}, {dims}: {worst:e}, {allowed:e}");
                    *plain.entry(who.clone()).or_insert(true) &= match who.strip_prefix("in blocks")
                    {
                        // After the answer row by row.
                        Some(_) => found[0].data == answers[n - 1].1[0].data,
                        None => found[0].data[7] == 1.0,
                    };
                }
            }
            for (who, found) in plain {
                // The unit for powers of a device does not tell exponents near 0 apart.
                if is_near && who.ends_with("on a device") {
                    continue;
                }
                let goes_near =
                    who.starts_with("in blocks at x86-64-v4") || who.starts_with("cuda f32");
                assert_eq!(
                    found,
                    !(is_near && goes_near),
                    "{who}, {dims} components, near: {is_near}"
                );
            }
        }
    }
}

#[test]
fn near_powers_are_as_exact_as_they_are_said_to_be() {
    check_near_powers(Machines::compiled);
}

#[test]
fn near_powers_on_a_device_are_as_exact() {
    if device::is_here() {
        check_near_powers(Machines::device);
    }
}
