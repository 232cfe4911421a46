//! A formula together with arrays to run it on.

use tilefold::{bf16, f16};
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Axis, Formula, Kind, Storage};

use crate::rng::Rng;

/// A formula and arrays that fit it.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The formula.
    pub formula: Formula,
    /// Rows of i.
    pub m: usize,
    /// Rows of j.
    pub n: usize,
    /// One array for each input.
    pub inputs: Vec<Matrix>,
}

impl Problem {
    /// Fills every input with `draw(input, entry)`.
    pub fn new(
        formula: Formula,
        m: usize,
        n: usize,
        mut draw: impl FnMut(usize, usize) -> f64,
    ) -> Problem {
        let shape = |axis: Option<Axis>| [m, n, 1][axis.map_or(2, |a| a as usize)];
        let inputs = formula.inputs.iter().enumerate().map(|(k, input)| {
            let (rows, cols) = (shape(input.axis), input.dim);
            let data = (0..rows * cols).map(|entry| draw(k, entry)).collect();
            Matrix { rows, cols, data }
        });
        let inputs = inputs.collect();
        Problem { formula, m, n, inputs }
    }

    /// Fills every input with numbers between two bounds.
    pub fn between(
        formula: Formula,
        m: usize,
        n: usize,
        rng: &mut Rng,
        low: f64,
        high: f64,
    ) -> Problem {
        Problem::new(formula, m, n, |_, _| rng.between(low, high))
    }

    /// The same problem with inputs that a dtype holds exactly.
    pub fn rounded(&self, dtype: impl Into<Storage>) -> Problem {
        let round: fn(f64) -> f64 = match dtype.into() {
            Storage::F16 => |x| f16::from_f64(x).into(),
            Storage::BF16 => |x| bf16::from_f64(x).into(),
            Storage::F32 => |x| f64::from(x as f32),
            Storage::F64 => |x| x,
        };
        let mut rounded = self.clone();
        let inputs = rounded.inputs.iter_mut().zip(&self.formula.inputs);
        let reals = inputs.filter(|(_, input)| input.kind != Kind::Int);
        reals.flat_map(|(m, _)| &mut m.data).for_each(|x| *x = round(*x));
        rounded
    }

    /// The same arrays for a formula with the same inputs.
    pub fn with(&self, formula: Formula) -> Problem {
        Problem { formula, ..self.clone() }
    }

    /// Random numbers of an output's shape.
    pub fn cotangent(&self, output: usize, rng: &mut Rng) -> Matrix {
        let (axis, expr) = (self.formula.outputs[output].axis, self.formula.outputs[output].expr);
        let rows = [self.m, self.n, 1][axis.map_or(2, |a| a as usize)];
        let cols = self.formula.dim(expr);
        let data = (0..rows * cols).map(|_| rng.between(-1.0, 1.0)).collect();
        Matrix { rows, cols, data }
    }
}
