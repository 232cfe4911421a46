//! The laws of the monoids, on compiled code: however the columns are cut into parts, and in
//! whatever order neighbouring parts are merged, the result is the same; a neutral state changes
//! nothing.

use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Axis, Dtype, Formula};
use tilefold_tests::compare;
use tilefold_tests::folds;
use tilefold_tests::native::{self, Native};
use tilefold_tests::pieces::{self, Cut};
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

/// Partial sums of a tile are rounded apart: sums may differ by so much, all else not at all.
fn allowed(dtype: Dtype, output: &str) -> f64 {
    let exact = "min max argmin argmax kmin argkmin nearest kmax argkmax farthest any all count";
    let rounded = ["average", "variance", "product"].contains(&output);
    match dtype {
        _ if exact.split_whitespace().any(|name| name == output) => 0.0,
        Dtype::F32 => 4e-6,
        Dtype::F64 if rounded => 1e-13,
        Dtype::F64 => 1e-14,
    }
}

fn compare(
    dtype: Dtype,
    problem: &Problem,
    what: &str,
    expected: &[Matrix],
    found: &[Matrix],
) -> Vec<String> {
    let outputs = problem.formula.outputs.iter().zip(expected.iter().zip(found));
    let check = |(o, (e, f)): (&tilefold_compiler::ir::Output, (&Matrix, &Matrix))| {
        let mut only = problem.formula.clone();
        only.outputs = vec![o.clone()];
        let gap = compare::worst(&only, std::slice::from_ref(e), std::slice::from_ref(f))?;
        let far = gap.off > allowed(dtype, &o.name);
        let place = format!("{}, {what}, {}", problem.formula.name, dtype.name());
        far.then(|| format!("{place}: {gap}"))
    };
    outputs.filter_map(check).collect()
}

#[test]
fn results_do_not_depend_on_how_columns_are_cut() {
    let formulas: Vec<Formula> = folds::formulas(Axis::J);
    let native = Native::quick(&formulas, Dtype::ALL, &native::levels());
    let (mut rng, mut wrong) = (Rng::new(5), Vec::new());
    for (at, formula) in formulas.iter().enumerate() {
        for count in [3, 300, 1100] {
            for (what, columns) in folds::tables(count, &mut rng) {
                let problem = folds::on(formula, Axis::J, 3, &columns, &mut rng);
                for &dtype in Dtype::ALL {
                    for level in native::levels() {
                        let kernel = native.raw(at, dtype);
                        let whole = pieces::run(kernel, level, &problem, Cut::Whole);
                        let cuts = [Cut::WithNeutral, Cut::Random(&mut rng)];
                        for cut in cuts {
                            let found = pieces::run(kernel, level, &problem, cut);
                            wrong.extend(compare(dtype, &problem, &what, &whole, &found));
                        }
                    }
                }
            }
        }
    }
    let lines: String = wrong.iter().take(40).map(|w| format!("\n  {w}")).collect();
    assert!(wrong.is_empty(), "{} results differ:{lines}", wrong.len());
}
