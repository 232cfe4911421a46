//! Formulas that allow rounding measure distances in widths: where the passes do it, where not, and
//! that what comes out is right, of code compiled for every level and of emulated CUDA code.

use tilefold_compiler::front;
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Dtype, Formula, canonical_text};
use tilefold_compiler::passes::settle;
use tilefold_tests::compare;
use tilefold_tests::emulated::Grid;
use tilefold_tests::machines::Machines;
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

/// Two tiles and a part of a block.
const COLS: usize = 256 + 8 + 3;
const ROWS: usize = 37;

/// Formulas of points x and y, a signal b and a width s.
fn formulas(statements: &str, word: &str) -> Vec<Formula> {
    let text = format!(
        "tilefold 1;\nformula f {word} {{ x[i], y[j] : R^3; b[j] : R^2; s : R;\n{statements} }}"
    );
    let units =
        front::parse("test", &text).unwrap_or_else(|errors| panic!("{}", errors.render("", &text)));
    let instance = &units[0].instances[0];
    let derived = instance.derivatives.iter().map(|d| d.formula.clone());
    std::iter::once(instance.formula.clone()).chain(derived).collect()
}

/// Whether the differences of pairs are those of scaled points.
fn scaled(formula: &Formula) -> (bool, bool) {
    let text = canonical_text(&settle(formula));
    let line = |what: &str| text.lines().any(|line| line.ends_with(what));
    (line("= sub(x, y);"), text.contains("sqrt("))
}

const GAUSSIAN: &str = "a[i] = sum[j] exp(-sqdist(x, y) / (2 * square(s))) * b; grad a wrt x;";
const SCORES: &str = "let q = -square(s) * sqdist(x, y);
    l[i] = logsumexp[j] q; m[i] = sum[j] softmax(q) * b;";
/// Roots and reciprocals, which are one instruction on a GPU.
const ROOTS: &str = "a[i] = sum[j] exp(-sqrt(sqdist(x, y)) / s) * b; grad a wrt x;";
const INVERSES: &str = "a[i] = sum[j] inv(1 + square(s) * sqdist(x, y)) * b; grad a wrt x;";

#[test]
fn they_are_measured_in_widths_where_that_is_allowed_and_saves_something() {
    for formula in formulas(GAUSSIAN, "relaxed").iter().chain(&formulas(SCORES, "relaxed")) {
        assert_eq!(scaled(formula), (false, true), "{}", canonical_text(&settle(formula)));
    }
    for (what, statements, word) in [
        ("nothing allows it", GAUSSIAN, ""),
        ("s may be negative", "a[i] = sum[j] exp(-s * sqdist(x, y)) * b;", "relaxed"),
        ("the power may rise", "a[i] = sum[j] exp(square(s) * sqdist(x, y)) * b;", "relaxed"),
        (
            "the distance is needed",
            "let d = sqdist(x, y); a[i] = sum[j] exp(-square(s) * d) * cos(d) * b;",
            "relaxed",
        ),
        (
            "a width for each row",
            "a[i] = sum[j] exp(-sqdist(x, y) * square(x[0])) * s * b;",
            "relaxed",
        ),
    ] {
        let formula = &formulas(statements, word)[0];
        assert_eq!(scaled(formula), (true, false), "{what}: {}", canonical_text(&settle(formula)));
    }
}

/// Points near the origin, some of them equal, and what a row of `x` is at `edge`.
fn problem(formula: &Formula, width: f64, edge: f64) -> Problem {
    let mut rng = Rng::new(17);
    Problem::new(formula.clone(), ROWS, COLS, |input, entry| match (input, entry) {
        (0, 16) => edge,
        (0 | 1, _) => rng.below(9) as f64 / 4.0 - 1.0,
        (3, _) => width,
        _ => rng.between(-1.0, 1.0),
    })
}

#[test]
fn what_comes_out_is_right() {
    let all = [GAUSSIAN, SCORES, ROOTS, INVERSES];
    let all: Vec<Formula> = all.iter().flat_map(|all| formulas(all, "relaxed")).collect();
    let machines = Machines::compiled(&all);
    for (at, formula) in all.iter().enumerate() {
        // A width of 0 or inf makes all powers 0, or all 1; where it is 0.01 they are subnormal.
        for width in [0.5, 1.0, 3.0, 0.07, f64::INFINITY] {
            for edge in [0.25, 2.0, f64::INFINITY, f64::NAN] {
                if width.is_infinite() && (edge.is_infinite() || formula.outputs.len() > 1) {
                    continue;
                }
                let p = problem(formula, width, edge);
                let expected = oracle::evaluate(formula, p.m, p.n, &p.inputs);
                for dtype in [Dtype::F32, Dtype::F64] {
                    let grid = Grid { splits: 2, seed: 3 };
                    for (who, found) in machines.answers(at, dtype, &p, &[grid]) {
                        check(dtype, &format!("{who}, {width}, {edge}"), &p, &expected, &found);
                    }
                }
            }
        }
    }
}

fn check(dtype: Dtype, who: &str, p: &Problem, expected: &[Matrix], found: &[Matrix]) {
    let allowed = if dtype == Dtype::F32 { 2e-5 } else { 1e-13 };
    let gap = compare::worst(&p.formula, expected, found).filter(|gap| gap.off > allowed);
    let gap = gap.map_or(String::new(), |g| format!("{dtype:?}, {who}: {g}"));
    assert_eq!(gap, "", "{}", canonical_text(&p.formula));
}
