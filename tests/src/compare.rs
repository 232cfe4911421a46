//! How far two arrays are apart.

use std::fmt;

use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Formula, Kind};

use crate::oracle;
use crate::problem::Problem;
use crate::rng::Rng;

/// The place where two arrays differ most.
#[derive(Clone, Debug, PartialEq)]
pub struct Gap {
    /// The output's name.
    pub output: String,
    /// Row and column.
    pub at: (usize, usize),
    /// What is right.
    pub expected: f64,
    /// What came out.
    pub found: f64,
    /// Their distance in the measure that was asked for; infinite when one is NaN or infinite and
    /// the other is not the same.
    pub off: f64,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gap { output, at: (row, col), expected, found, off } = self;
        write!(
            f,
            "{output}[{row}, {col}]: expected {expected:?}, found {found:?}, off by {off:.1e}"
        )
    }
}

/// The distance of two numbers, 0 when both are NaN or the same infinity.
fn distance(expected: f64, found: f64) -> f64 {
    match (expected.is_finite(), found.is_finite()) {
        (true, true) => (expected - found).abs(),
        _ if expected == found || (expected.is_nan() && found.is_nan()) => 0.0,
        _ => f64::INFINITY,
    }
}

/// The largest distance relative to 1 + the largest finite magnitude of the expected array; row
/// numbers have to be equal.
pub fn worst(formula: &Formula, expected: &[Matrix], found: &[Matrix]) -> Option<Gap> {
    assert_eq!(expected.len(), found.len(), "number of outputs of {}", formula.name);
    let outputs = formula.outputs.iter().zip(expected.iter().zip(found));
    let gaps = outputs.filter_map(|(o, (e, f))| match formula.kind(o.expr) {
        Kind::Int => array(&o.name, e, f, |e, f| if e == f { 0.0 } else { f64::INFINITY }),
        Kind::Real | Kind::Complex => relative(&o.name, e, f),
    });
    gaps.max_by(|a, b| a.off.total_cmp(&b.off))
}

/// Asserts that outputs are the expected ones to the last bit; NaN equals NaN.
///
/// # Panics
/// If they are not: with `who` and the place where they differ most.
pub fn assert_same(who: &str, formula: &Formula, expected: &[Matrix], found: &[Matrix]) {
    let gap = worst(formula, expected, found);
    assert!(gap.is_none(), "{who}: {}", gap.map_or(String::new(), |gap| gap.to_string()));
}

/// The largest distance of two arrays relative to 1 + the largest finite magnitude of the first.
pub fn relative(output: &str, expected: &Matrix, found: &Matrix) -> Option<Gap> {
    let finite = expected.data.iter().filter(|x| x.is_finite());
    let scale = 1.0 + finite.fold(0.0, |a: f64, x| a.max(x.abs()));
    array(output, expected, found, |e, f| distance(e, f) / scale)
}

/// The largest distance of two arrays by a measure of two numbers, if it is not 0.
pub fn array(
    output: &str,
    expected: &Matrix,
    found: &Matrix,
    measure: impl Fn(f64, f64) -> f64,
) -> Option<Gap> {
    let shape = |m: &Matrix| (m.rows, m.cols);
    assert_eq!(shape(expected), shape(found), "shape of {output}");
    let cols = expected.cols;
    let all = expected.data.iter().zip(&found.data).enumerate();
    let gaps = all.map(|(k, (&expected, &found))| Gap {
        output: output.into(),
        at: (k / cols, k % cols),
        expected,
        found,
        off: measure(expected, found),
    });
    gaps.filter(|gap| gap.off > 0.0).max_by(|a, b| a.off.total_cmp(&b.off))
}

/// The distance in units of the last place of `expected`, with `digits` bits of mantissa (24 or
/// 53) and the smallest subnormal number `tiny`.
pub fn ulps(digits: i32, tiny: f64, expected: f64, found: f64) -> f64 {
    let exponent = expected.abs().log2().floor();
    let ulp =
        if expected == 0.0 { tiny } else { (exponent - f64::from(digits - 1)).exp2().max(tiny) };
    distance(expected, found) / ulp
}

/// Where values tie but for their last bits, the row that comes first hangs on roundings. `found`
/// with such row numbers replaced: those that the oracle gives up when inputs move a little.
pub fn without_ties(p: &Problem, expected: &[Matrix], mut found: Vec<Matrix>) -> Vec<Matrix> {
    let mut rng = Rng::new(8);
    for _ in 0..24 {
        let mut moved = p.clone();
        let numbers = moved.inputs.iter_mut().flat_map(|m| &mut m.data);
        numbers.for_each(|x| *x *= 1.0 + rng.between(-1.0, 1.0) * 1e-12);
        for (n, other) in
            oracle::evaluate(&moved.formula, moved.m, moved.n, &moved.inputs).iter().enumerate()
        {
            if p.formula.kind(p.formula.outputs[n].expr) == Kind::Int {
                for (at, row) in other.data.iter().enumerate() {
                    if *row != expected[n].data[at] {
                        found[n].data[at] = expected[n].data[at];
                    }
                }
            }
        }
    }
    found
}
