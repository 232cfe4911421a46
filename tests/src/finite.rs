//! Derivatives by differences of the oracle: an answer that no symbolic rule has touched.

use tilefold_compiler::ir::Formula;
use tilefold_compiler::ir::eval::Matrix;

use crate::oracle;
use crate::problem::Problem;

/// The widest step; each refinement halves it.
const STEP: f64 = 1.0 / 512.0;
/// Central differences at this many steps are extrapolated to step 0 (Romberg's table).
const LEVELS: usize = 4;

/// The gradient of `sum(output * cotangent)` with respect to every input, in the inputs' shapes.
/// The functions have to be smooth around the inputs.
pub fn gradient(problem: &Problem, output: usize, cotangent: &Matrix) -> Vec<Matrix> {
    let mut inputs = problem.inputs.clone();
    let mut all = Vec::new();
    for n in 0..inputs.len() {
        let mut slope = inputs[n].clone();
        for at in 0..slope.data.len() {
            let center = inputs[n].data[at];
            slope.data[at] = derivative(|step| {
                inputs[n].data[at] = center + step;
                weighted(problem, &inputs, output, cotangent)
            });
            inputs[n].data[at] = center;
        }
        all.push(slope);
    }
    all
}

fn weighted(problem: &Problem, inputs: &[Matrix], output: usize, cotangent: &Matrix) -> f64 {
    let only = keep_output(&problem.formula, output);
    let found = oracle::evaluate(&only, problem.m, problem.n, inputs);
    found[0].data.iter().zip(&cotangent.data).map(|(a, b)| a * b).sum()
}

fn keep_output(formula: &Formula, output: usize) -> Formula {
    let mut only = formula.clone();
    only.outputs = vec![formula.outputs[output].clone()];
    only
}

/// The derivative of the first output when the inputs move in `directions`, and how far the last
/// two columns of each entry's table are apart, which is more than its error.
pub fn slope(problem: &Problem, directions: &[Matrix]) -> (Matrix, Matrix) {
    let at = |step: f64| {
        let mut inputs = problem.inputs.clone();
        for (input, direction) in inputs.iter_mut().zip(directions) {
            input.data.iter_mut().zip(&direction.data).for_each(|(x, t)| *x += step * t);
        }
        oracle::evaluate(&keep_output(&problem.formula, 0), problem.m, problem.n, &inputs).remove(0)
    };
    let steps = (0..LEVELS).flat_map(|level| {
        let step = STEP / f64::powi(2.0, level as i32);
        [step, -step]
    });
    let moved: Vec<Matrix> = steps.map(at).collect();
    let (mut slope, mut error) = (moved[0].clone(), moved[0].clone());
    let entries = slope.data.iter_mut().zip(&mut error.data);
    for (k, (slope, error)) in entries.enumerate() {
        // The table asks for the values in the order in which they were computed.
        let mut values = moved.iter().map(|m| m.data[k]);
        let row = table(|_| values.next().expect("two values a level"));
        *slope = row[LEVELS - 1];
        *error = (row[LEVELS - 1] - row[LEVELS - 2]).abs();
    }
    (slope, error)
}

/// The derivative of `f` at 0. Central differences err by a series in the even powers of the step,
/// so each column of the table cancels one more power.
pub fn derivative(f: impl FnMut(f64) -> f64) -> f64 {
    table(f)[LEVELS - 1]
}

/// The last row of Romberg's table.
fn table(mut f: impl FnMut(f64) -> f64) -> Vec<f64> {
    let mut central = |step: f64| (f(step) - f(-step)) / (2.0 * step);
    let mut row: Vec<f64> = Vec::new();
    for level in 0..LEVELS {
        let mut next = vec![central(STEP / f64::powi(2.0, level as i32))];
        for (column, above) in row.iter().enumerate() {
            let factor = f64::powi(4.0, column as i32 + 1);
            next.push((factor * next[column] - above) / (factor - 1.0));
        }
        row = next;
    }
    row
}

#[cfg(test)]
mod tests {
    use super::derivative;

    #[test]
    fn extrapolation_reaches_eleven_digits() {
        let slope = derivative(|x| (1.3 + x).exp() * (2.0 * x).cos());
        assert!((slope / 1.3f64.exp() - 1.0).abs() < 1e-11, "{slope}");
    }
}
