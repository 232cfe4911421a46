//! Arrays of a problem in the type that a kernel reads. Goes in: a problem, and what runs on its
//! arrays. Comes out: the results as float64.

use ndarray::Array2;
use tilefold::{Complex, Component, Element, Error, Operand, OutputMut, Report, bf16, f16};
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Kind, Storage};

use crate::problem::Problem;

/// Calls `run` with the problem's arrays in a type, and with arrays for its results.
///
/// # Errors
/// What `run` says.
pub fn call(
    problem: &Problem,
    storage: Storage,
    run: impl FnMut(&[Operand<'_>], Vec<OutputMut<'_>>) -> Result<Report, Error>,
) -> Result<(Vec<Matrix>, Report), Error> {
    match storage {
        Storage::F16 => call_in::<f16>(problem, run),
        Storage::BF16 => call_in::<bf16>(problem, run),
        Storage::F32 => call_in::<f32>(problem, run),
        Storage::F64 => call_in::<f64>(problem, run),
    }
}

fn call_in<T: Scalar>(
    problem: &Problem,
    mut run: impl FnMut(&[Operand<'_>], Vec<OutputMut<'_>>) -> Result<Report, Error>,
) -> Result<(Vec<Matrix>, Report), Error> {
    let formula = &problem.formula;
    let inputs = formula.inputs.iter().zip(&problem.inputs);
    let inputs: Vec<Held<T>> = inputs.map(|(input, m)| Held::new(input.kind, m)).collect();
    let operands: Vec<_> = inputs.iter().map(Held::operand).collect();
    let outputs = formula.outputs.iter().map(|output| {
        let rows = [problem.m, problem.n, 1][output.axis.map_or(2, |axis| axis as usize)];
        let cols = formula.dim(output.expr);
        // What is left of it would be seen.
        let empty = Matrix { rows, cols, data: vec![-77.0; rows * cols] };
        Held::new(formula.kind(output.expr), &empty)
    });
    let mut outputs: Vec<Held<T>> = outputs.collect();
    let report = run(&operands, outputs.iter_mut().map(Held::output).collect())?;
    Ok((outputs.iter().map(Held::matrix).collect(), report))
}

/// A scalar that arrays of float64 convert to and from.
pub(crate) trait Scalar: Element {
    fn from_f64(x: f64) -> Self;
    fn to_f64(self) -> f64;
}

impl Scalar for f16 {
    fn from_f64(x: f64) -> f16 {
        f16::from_f64(x)
    }
    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Scalar for bf16 {
    fn from_f64(x: f64) -> bf16 {
        bf16::from_f64(x)
    }
    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Scalar for f32 {
    fn from_f64(x: f64) -> f32 {
        x as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Scalar for f64 {
    fn from_f64(x: f64) -> f64 {
        x
    }
    fn to_f64(self) -> f64 {
        self
    }
}

/// An input as the kernel reads it, or an output as it writes it.
pub(crate) enum Held<T> {
    Reals(Array2<T>),
    Complex(Array2<Complex<T>>),
    Integers(Array2<i64>),
}

impl<T: Scalar> Held<T> {
    pub fn new(kind: Kind, m: &Matrix) -> Held<T> {
        match kind {
            Kind::Real => Held::Reals(array(m, T::from_f64)),
            Kind::Complex => Held::Complex(complex_array(m)),
            Kind::Int => Held::Integers(array(m, |x| x as i64)),
        }
    }

    /// The array as an argument.
    pub fn operand(&self) -> Operand<'_> {
        match self {
            Held::Reals(array) => array.into(),
            Held::Complex(array) => array.into(),
            Held::Integers(array) => array.into(),
        }
    }

    /// The array as a result.
    pub fn output(&mut self) -> OutputMut<'_> {
        match self {
            Held::Reals(array) => array.into(),
            Held::Complex(array) => array.into(),
            Held::Integers(array) => array.into(),
        }
    }

    /// Its numbers, with the scalars of each entry side by side.
    pub fn matrix(&self) -> Matrix {
        match self {
            Held::Reals(array) => numbers(array, |x| [x.to_f64()]),
            Held::Complex(array) => numbers(array, |z| [z.re.to_f64(), z.im.to_f64()]),
            Held::Integers(array) => numbers(array, |row| [row as f64]),
        }
    }
}

/// The numbers of an array, by plain loops: tests run without optimization.
pub(crate) fn numbers<T: Component, const N: usize>(
    array: &Array2<T>,
    scalars: impl Fn(T) -> [f64; N],
) -> Matrix {
    let (rows, cols) = array.dim();
    let mut data = Vec::with_capacity(rows * cols * N);
    for &entry in array {
        data.extend_from_slice(&scalars(entry));
    }
    Matrix { rows, cols: cols * N, data }
}

fn array<T: Component>(m: &Matrix, convert: impl Fn(f64) -> T) -> Array2<T> {
    let mut data = Vec::with_capacity(m.data.len());
    for &number in &m.data {
        data.push(convert(number));
    }
    Array2::from_shape_vec((m.rows, m.cols), data).expect("a matrix has rows * cols numbers")
}

/// A column for each pair of columns.
fn complex_array<T: Scalar>(m: &Matrix) -> Array2<Complex<T>> {
    Array2::from_shape_fn((m.rows, m.cols / 2), |(r, c)| {
        let at = r * m.cols + 2 * c;
        Complex::new(T::from_f64(m.data[at]), T::from_f64(m.data[at + 1]))
    })
}
