//! What is run under sanitizers: the shipped formulas with their derivatives, and random formulas,
//! at sizes where loops end early, in several layouts, on ordinary numbers and on the others.

use std::fs;
use std::ops::Range;
use std::path::Path;

use tilefold_compiler::front;
use tilefold_compiler::ir::eval::{self, Matrix};
use tilefold_compiler::ir::{Formula, Kind, Storage};

use crate::compare;
use crate::generate::{self, Wish};
use crate::problem::Problem;
use crate::rng::Rng;

use super::{Watch, run};

/// How the entries of inputs lie in memory. Complex numbers are never reversed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Row by row without gaps.
    Dense,
    /// With gaps between entries and rows, aligned no better than an entry.
    Spaced,
    /// The same, backwards.
    Reversed,
}

/// A problem, and how it is run.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Formula and arrays.
    pub problem: Problem,
    /// Where its inputs lie.
    pub layout: Layout,
    /// Picks the cuts of rows and columns, or the grid.
    pub seed: u64,
    /// Whether few rows are part of a block, on a CPU, as if they had no code of their own.
    pub in_blocks: bool,
    /// Whether its results have to be those of the evaluator.
    pub is_ordinary: bool,
}

impl Trial {
    /// A trial in which few rows have code of their own.
    pub fn new(problem: Problem, layout: Layout, seed: u64, is_ordinary: bool) -> Trial {
        Trial { problem, layout, seed, in_blocks: false, is_ordinary }
    }
}

/// Rows of i and of j: none, one, a few, and more than blocks, tiles and vectors hold.
const SIZES: &[(usize, usize)] = &[(0, 3), (1, 1), (3, 0), (5, 259), (70, 13)];

/// Numbers that sums, comparisons and conversions must survive, though nothing says to what.
const STRANGE: &[f64] =
    &[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e30, -1e30, 1e-42, -1.5, 2e9, 1e19];

const LAYOUTS: [Layout; 3] = [Layout::Dense, Layout::Spaced, Layout::Reversed];

/// Every `step`th of the shipped formulas for arrays of a type, and their derivatives, everywhere.
pub fn shipped(storage: Storage, step: usize) -> Vec<Trial> {
    let mut trials = Vec::new();
    for formula in shipped_formulas(storage).into_iter().step_by(step) {
        let mut rng = Rng::new(trials.len() as u64);
        for (n, &(rows, cols)) in SIZES.iter().enumerate() {
            let problem = Problem::between(formula.clone(), rows, cols, &mut rng, 0.1, 1.1);
            let layout = LAYOUTS[n % 3];
            trials.push(Trial::new(problem, layout, rng.bits(), true));
        }
        trials.push(strange(formula, &mut rng));
    }
    trials
}

/// The shipped formulas for arrays of a type, and their derivatives.
pub fn shipped_formulas(storage: Storage) -> Vec<Formula> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../formulas");
    let entries = fs::read_dir(folder).expect("the shipped formulas");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let mut formulas = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("UTF-8");
        let units = front::parse("shipped", &text).expect("the shipped formulas are right");
        for unit in units.into_iter().filter(|unit| unit.dtypes.contains(&storage)) {
            for instance in unit.instances {
                formulas.push(instance.formula);
                formulas.extend(instance.derivatives.into_iter().map(|d| d.formula));
            }
        }
    }
    formulas
}

/// Random formulas: on their own numbers and rows, then on more rows, then on strange numbers.
pub fn random(numbers: Range<u64>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for number in numbers {
        let mut rng = Rng::new(number);
        let problem = generate::problem(number, Wish::Any);
        let formula = problem.formula.clone();
        let layout = *rng.pick(&LAYOUTS);
        trials.push(Trial::new(problem, layout, rng.bits(), true));
        let (rows, cols) = *rng.pick(SIZES);
        let problem = Problem::between(formula.clone(), rows, cols, &mut rng, -2.0, 2.0);
        let layout = *rng.pick(&LAYOUTS);
        trials.push(Trial::new(problem, layout, rng.bits(), false));
        trials.push(strange(formula, &mut rng));
    }
    trials
}

fn strange(formula: Formula, rng: &mut Rng) -> Trial {
    let kinds: Vec<Kind> = formula.inputs.iter().map(|input| input.kind).collect();
    let problem = Problem::new(formula, 19, 37, |input, _| match kinds[input] {
        Kind::Int => rng.below(5) as f64,
        Kind::Real | Kind::Complex => *rng.pick(STRANGE),
    });
    Trial::new(problem, Layout::Dense, rng.bits(), false)
}

/// How far results in a type may be from the evaluator's, as `compare::worst` measures it.
fn allowed(storage: Storage) -> f64 {
    match storage {
        Storage::F64 => 1e-9,
        Storage::F32 => 2e-4,
        Storage::F16 => 2e-2,
        Storage::BF16 => 1e-1,
    }
}

/// Runs trials under a sanitizer and compares the ordinary ones with the evaluator; how many ran.
///
/// # Errors
/// What the sanitizer reports, or what is wrong.
pub fn check(watch: Watch, trials: &[Trial]) -> Result<usize, String> {
    let rounded = |trial: &Trial| {
        let problem = trial.problem.rounded(watch.storage);
        Trial { problem, ..trial.clone() }
    };
    let trials: Vec<Trial> = trials.iter().map(rounded).collect();
    let results = run(watch, &trials)?;
    let mut ran = 0;
    for (Trial { problem: p, is_ordinary, .. }, found) in trials.iter().zip(results) {
        let Some(found) = found else { continue };
        ran += 1;
        if *is_ordinary {
            let expected = eval::evaluate(&p.formula, p.m, p.n, &p.inputs);
            let expected = expected.map_err(|e| format!("{}: {e}", p.formula.name))?;
            differs(p, watch.storage, &expected, found)
                .map_or(Ok(()), |gap| Err(format!("{watch:?}: {}: {gap}", p.formula.name)))?;
        }
    }
    Ok(ran)
}

fn differs(
    p: &Problem,
    storage: Storage,
    expected: &[Matrix],
    found: Vec<Matrix>,
) -> Option<compare::Gap> {
    let is_far = |found: &[Matrix]| {
        let gap = compare::worst(&p.formula, expected, found)?;
        (gap.off.is_nan() || gap.off > allowed(storage)).then_some(gap)
    };
    is_far(&found)?;
    is_far(&compare::without_ties(p, expected, found))
}
