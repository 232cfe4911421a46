//! Gradients of smallest and largest values: all of the seed goes to the row that argmin, argmax or
//! argkmin gives. Against differences of the oracle where nothing ties, against tables where
//! something does; by compiled code of every level and emulated CUDA code, at first and second
//! order.

use tilefold_compiler::front;
use tilefold_compiler::ir::eval::{self, Matrix};
use tilefold_compiler::ir::{Axis, Dtype, Formula, Node, Reduction, Stratum, verify};
use tilefold_compiler::passes::{jvp, vjp};
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::compare;
use tilefold_tests::emulated::{Emulated, Grid};
use tilefold_tests::finite;
use tilefold_tests::native::{self, Native};
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

/// Outputs of every shape; values are far from ties, see [`spread`].
const SMOOTH: &str = "tilefold 1;
formula smooth {
    x[i], y[j] : R^3;
    g : R;
    near[i] = min[j] sqdist(x, y);
    far[j] = max[i] exp(-g * sqdist(x, y));
    each[i] = max[j] x * y;
    masked[i] = min[j where (x | y) > 0] (x - 2 * g * y);
    three[i] = kmin[j; 3] sqdist(x, y) * x;
    some[i] = kmin[j; 2 where (x | y) > 0] sqdist(x, g * y);
    two[j] = kmax[i; 2] sqdist(x, y) * y;
    outer = max[i] (min[j] sqdist(x, y));
    weighted[i] = (min[j] sqdist(x, y)) * (sum[j] exp(-g * sqdist(x, y)));
}";

fn formula(text: &str) -> Formula {
    let units = front::parse("a test", text).unwrap_or_else(|e| panic!("{}", e.render("", text)));
    units[0].instances[0].formula.clone()
}

/// The rows that every extremum of a formula is found at.
fn rows(f: &Formula) -> Formula {
    let mut rows = f.clone();
    rows.outputs.clear();
    for id in f.ids() {
        let Node::Reduce(r) = f.node(id) else { continue };
        let reducer = match r.reducer {
            Reducer::Min => Reducer::ArgMin,
            Reducer::Max => Reducer::ArgMax,
            Reducer::KMin => Reducer::ArgKMin,
            Reducer::KMax => Reducer::ArgKMax,
            _ => continue,
        };
        let found = rows.reduce(Reduction { reducer, ..r.clone() }).expect("it fits");
        let axis = match rows.stratum(found) {
            Stratum::I => Some(Axis::I),
            Stratum::J => Some(Axis::J),
            _ => None,
        };
        rows.output(&format!("row_{id}"), axis, found).expect("it fits");
    }
    rows
}

/// Random points that are far from ties: no step of a difference changes a row.
fn spread(f: &Formula, m: usize, n: usize, rng: &mut Rng) -> Problem {
    let rows = rows(f);
    loop {
        let p = Problem::new(f.clone(), m, n, |input, _| match f.inputs[input].axis {
            None => rng.between(0.1, 0.3),
            Some(_) => rng.between(0.5, 2.0) * *rng.pick(&[1.0, -1.0]),
        });
        let here = oracle(&p.with(rows.clone()));
        let far = (0..40).all(|_| {
            let mut moved = p.with(rows.clone());
            let numbers = moved.inputs.iter_mut().flat_map(|m| &mut m.data);
            numbers.for_each(|x| *x += rng.between(-1.0, 1.0) / 256.0);
            oracle(&moved) == here
        });
        if far {
            return p;
        }
    }
}

fn gradient(p: &Problem, output: usize, rng: &mut Rng) -> Problem {
    let names: Vec<String> = p.formula.inputs.iter().map(|i| i.name.clone()).collect();
    let name = &p.formula.outputs[output].name;
    let formula = vjp(&p.formula, name, &names).unwrap_or_else(|e| panic!("{name}: {e}"));
    verify::verify(&formula).expect("a gradient is a valid formula");
    let mut gradient = p.with(formula);
    gradient.formula.name = format!("gradient of {name}");
    gradient.inputs.push(p.cotangent(output, rng));
    gradient
}

fn oracle(p: &Problem) -> Vec<Matrix> {
    oracle::evaluate(&p.formula, p.m, p.n, &p.inputs)
}

#[track_caller]
fn close(p: &Problem, who: &str, allowed: f64, expected: &[Matrix], found: &[Matrix]) {
    if let Some(gap) = compare::worst(&p.formula, expected, found) {
        assert!(gap.off <= allowed, "{}, {who}: {gap}", p.formula.name);
    }
}

/// The evaluator, every level and the emulation, against the oracle.
fn everywhere(problems: &[Problem], allowed: [f64; 2]) {
    let formulas: Vec<Formula> = problems.iter().map(|p| p.formula.clone()).collect();
    let native = Native::quick(&formulas, Dtype::ALL, &native::levels());
    let emulated = Emulated::build(&formulas, Dtype::ALL);
    for (n, p) in problems.iter().enumerate() {
        let found = eval::evaluate(&p.formula, p.m, p.n, &p.inputs).expect("the arrays fit");
        close(p, "eval", 1e-13, &oracle(p), &found);
        for &dtype in Dtype::ALL {
            let p = p.rounded(dtype);
            let (expected, allowed) = (oracle(&p), allowed[usize::from(dtype == Dtype::F64)]);
            for level in native::levels() {
                let both = native.run_both(n, dtype, level, &p).unwrap_or_else(|e| panic!("{e}"));
                for found in &both {
                    close(&p, &format!("{level} {}", dtype.name()), allowed, &expected, found);
                }
            }
            let found = emulated.run(n, dtype, &p, Grid { splits: 2, seed: 1 });
            let found = found.unwrap_or_else(|e| panic!("{e}"));
            close(&p, &format!("cuda {}", dtype.name()), allowed, &expected, &found);
        }
    }
}

#[test]
fn gradients_agree_with_differences_of_the_oracle() {
    let (f, mut rng) = (formula(SMOOTH), Rng::new(21));
    let p = spread(&f, 5, 9, &mut rng);
    let gradients: Vec<Problem> =
        (0..f.outputs.len()).map(|output| gradient(&p, output, &mut rng)).collect();
    for (output, g) in gradients.iter().enumerate() {
        let expected = finite::gradient(&p, output, g.inputs.last().expect("the cotangent"));
        close(g, "differences", 1e-8, &expected, &oracle(g));
    }
    everywhere(&gradients, [1e-5, 1e-13]);
}

#[test]
fn gradients_of_gradients_agree_with_differences_of_the_oracle() {
    let (f, mut rng) = (formula(SMOOTH), Rng::new(22));
    let p = spread(&f, 4, 7, &mut rng);
    let mut twice = Vec::new();
    for output in 0..f.outputs.len() {
        let once = gradient(&p, output, &mut rng);
        for wrt in 0..once.formula.outputs.len() {
            let g = gradient(&once, wrt, &mut rng);
            let expected = finite::gradient(&once, wrt, g.inputs.last().expect("the cotangent"));
            close(&g, "differences", 1e-7, &expected, &oracle(&g));
            // Two of each are enough for the compiler.
            if wrt == 1 {
                twice.push(g);
            }
        }
    }
    everywhere(&twice, [1e-4, 1e-12]);
}

#[test]
fn forward_mode_agrees_with_differences_of_the_oracle() {
    let (f, mut rng) = (formula(SMOOTH), Rng::new(23));
    let p = spread(&f, 5, 9, &mut rng);
    let names: Vec<String> = f.inputs.iter().map(|i| i.name.clone()).collect();
    let directions = Problem::between(f.clone(), 5, 9, &mut rng, -1.0, 1.0).inputs;
    let at = |step: f64, output: usize, entry: usize| {
        let mut moved = p.clone();
        for (input, direction) in moved.inputs.iter_mut().zip(&directions) {
            input.data.iter_mut().zip(&direction.data).for_each(|(x, d)| *x += step * d);
        }
        oracle(&moved)[output].data[entry]
    };
    for (output, o) in f.outputs.iter().enumerate() {
        let mut t = p.with(jvp(&f, &o.name, &names).expect("it has a derivative"));
        t.inputs.extend(directions.iter().cloned());
        let found = oracle(&t).remove(0);
        let mut expected = found.clone();
        for (entry, slope) in expected.data.iter_mut().enumerate() {
            *slope = finite::derivative(|step| at(step, output, entry));
        }
        close(&t, "differences", 1e-8, &[expected], &[found]);
    }
}

/// Values of one row, by column; the seed is 1.
const TIES: &str = "tilefold 1;
formula ties {
    x[i], y[j], keep[j] : R;
    let _ = x;
    least[i] = min[j] y;
    most[i] = max[j] y;
    kept[i] = min[j where keep] y;
    two[i] = kmin[j; 2] y;
    top[i] = kmax[j; 2] y;
    kept_two[i] = kmin[j; 2 where keep] y;
}";

#[test]
fn ties_nan_and_masks_send_the_seed_to_the_row_that_is_reported() {
    let f = formula(TIES);
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    // Columns, which are kept, and for each output the columns that get a seed of 1.
    type Case = ([f64; 4], [f64; 4], [&'static [usize]; 6]);
    let table: &[Case] = &[
        ([2.0, 1.0, 1.0, 3.0], [1.0, 0.0, 1.0, 1.0], [&[1], &[3], &[2], &[1, 2], &[0, 3], &[0, 2]]),
        ([5.0; 4], [0.0, 1.0, 1.0, 1.0], [&[0], &[0], &[1], &[0, 1], &[0, 1], &[1, 2]]),
        (
            [0.0, -0.0, nan, nan],
            [1.0, 1.0, 0.0, 0.0],
            [&[2], &[2], &[0], &[2, 3], &[2, 3], &[0, 1]],
        ),
        ([inf, inf, -inf, -inf], [0.0; 4], [&[2], &[0], &[], &[2, 3], &[0, 1], &[]]),
        ([inf; 4], [0.0, 0.0, 0.0, 1.0], [&[0], &[0], &[3], &[0, 1], &[0, 1], &[3]]),
    ];
    let mut problems = Vec::new();
    for (y, keep, chosen) in table {
        for (output, chosen) in chosen.iter().enumerate() {
            let p = Problem::new(f.clone(), 1, 4, |input, at| [&[0.0; 4], y, keep][input][at]);
            let name = &f.outputs[output].name;
            let mut g = p.with(vjp(&f, name, &["y".into()]).expect("it has a gradient"));
            g.formula.name = format!("gradient of {name} at {y:?}");
            let ones = g.formula.inputs.last().expect("the cotangent").dim;
            g.inputs.push(Matrix { rows: 1, cols: ones, data: vec![1.0; ones] });
            let expected = [0, 1, 2, 3].map(|j| f64::from(chosen.contains(&j)));
            assert_eq!(oracle(&g)[0].data, expected, "{}", g.formula.name);
            problems.push(g);
        }
    }
    everywhere(&problems, [0.0; 2]);
}

#[test]
fn value_and_row_come_out_of_one_accumulator() {
    let mut f = formula(SMOOTH);
    let gradient = vjp(&f, "near", &["x".into()]).expect("it has a gradient");
    let near = f.outputs.remove(0);
    f = gradient;
    f.outputs.push(near);
    let text = tilefold_compiler::emit::kernel(&f, "near", "a test").expect("small enough");
    assert_eq!(text.cpp.matches("typedef tf_arg_extremum<1, R, 1, false> A0;").count(), 1);
    assert_eq!(text.cpp.matches("tf_extremum<").count(), 0, "{}", text.cpp);
}
