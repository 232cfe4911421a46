//! Conformance cases through expressions: the string goes to `Genred`, the arrays to `LazyTensor`,
//! gradients to `vjp`. Goes in: cases, a type and the tiers that may run them. Comes out: for each
//! case whether it passed. The expected numbers are never computed here.

use ndarray::Array2;
use tilefold::lazy::Reduction;
use tilefold::{Axis, Code, Element, Genred, LazyTensor, Options, Policy, Tiers, evaluate};
use tilefold_compiler::front;
use tilefold_compiler::ir::Dtype;
use tilefold_compiler::ir::eval::Matrix;

use crate::conformance::{Case, CaseVariable, Outcome, columns, matrix, tolerance};
use crate::{compare, linked};

/// Runs cases on arrays of `T`, to which `round` rounds.
pub fn run<T: Element + Into<f64>>(
    cases: &[Case],
    tiers: Tiers,
    round: fn(f64) -> T,
) -> Vec<Outcome> {
    cases.iter().map(|case| Run::new(case, tiers, round).outcome()).collect()
}

/// Records the formulas of the cases, compiles the record, and links it.
///
/// # Panics
/// When the record cannot be written, read or compiled.
pub fn link(cases: &[Case], dtype: Dtype) {
    let formulas = linked::recorded(|| match dtype {
        Dtype::F32 => drop(run(cases, Tiers::INTERPRETED, |x| x as f32)),
        Dtype::F64 => drop(run(cases, Tiers::INTERPRETED, |x| x)),
    });
    linked::link(&formulas, dtype.into());
}

struct Run<'c, T> {
    case: &'c Case,
    options: Options<'static>,
    inputs: Vec<Array2<T>>,
    cotangent: Option<Array2<T>>,
    wrong: Vec<String>,
}

fn array<T>(rows: &[Vec<f64>], round: fn(f64) -> T) -> Array2<T> {
    let cols = rows.first().map_or(0, Vec::len);
    let data = rows.iter().flatten().map(|&x| round(x)).collect();
    Array2::from_shape_vec((rows.len(), cols), data).expect("rows of one length")
}

/// Whether the formula file that an error shows is one: none has a formula with an index that no
/// input has.
fn is_linkable(error: &tilefold::Error) -> bool {
    let start = "tilefold 1;";
    let source = error.helps().iter().find_map(|help| help.find(start).map(|at| &help[at..]));
    source.is_some_and(|source| front::parse("shown.fold", source).is_ok())
}

impl<'c, T: Element + Into<f64>> Run<'c, T> {
    fn new(case: &'c Case, tiers: Tiers, round: fn(f64) -> T) -> Run<'c, T> {
        Run {
            case,
            options: Options::new().tiers(tiers).executor(Policy::Cpu),
            inputs: case.variables.iter().map(|v| array(&case.inputs[&v.name], round)).collect(),
            cotangent: case.cotangent.as_deref().map(|rows| array(rows, round)),
            wrong: Vec::new(),
        }
    }

    fn outcome(mut self) -> Outcome {
        if let Err(error) = self.check() {
            self.wrong.push(error.to_string());
        }
        match self.wrong.is_empty() {
            true => Outcome::Passed,
            false => Outcome::Failed(self.wrong),
        }
    }

    fn check(&mut self) -> Result<(), tilefold::Error> {
        let case = self.case;
        let over = if case.over == "i" { Axis::I } else { Axis::J };
        let mut reduction = Reduction::new(&case.reduction, over);
        reduction = case.k.map_or(reduction, |k| reduction.k(k));
        reduction = case.weight.as_deref().map_or(reduction, |w| reduction.weight(w));
        let alias = |v: &CaseVariable| {
            let kind = match v.kind.as_str() {
                "i" => "Vi",
                "j" => "Vj",
                _ => "Pm",
            };
            format!("{} = {kind}({})", v.name, v.dim)
        };
        let aliases: Vec<String> = case.variables.iter().map(alias).collect();
        let aliases: Vec<&str> = aliases.iter().map(String::as_str).collect();
        let genred = Genred::with(&case.formula, &aliases, reduction)?;

        let inputs = self.inputs.clone();
        let leaves: Vec<LazyTensor<'_, T>> = case
            .variables
            .iter()
            .zip(&inputs)
            .map(|(v, array)| match v.kind.as_str() {
                "i" => LazyTensor::i(array.view()),
                "j" => LazyTensor::j(array.view()),
                _ => LazyTensor::param(array.row(0)),
            })
            .collect();
        let values = genred.call_all(&leaves);
        let dims: Vec<usize> = values.iter().map(LazyTensor::dim).collect();
        let expected = columns(&case.expected, &dims);
        self.compare("value", &values, &expected)?;
        let (Some(cotangent), Some(gradient)) = (self.cotangent.clone(), &case.gradient) else {
            return Ok(());
        };
        let seed = match over {
            Axis::J => LazyTensor::i(cotangent.view()),
            Axis::I => LazyTensor::j(cotangent.view()),
        };
        let (mut gradients, mut expected) = (Vec::new(), Vec::new());
        for (v, leaf) in case.variables.iter().zip(&leaves) {
            if let Some(rows) = gradient.get(&v.name) {
                gradients.push(values[0].vjp(&seed, leaf));
                expected.push(matrix(rows));
            }
        }
        self.compare("gradient", &gradients, &expected)
    }

    fn compare(
        &mut self,
        what: &str,
        values: &[LazyTensor<'_, T>],
        expected: &[Matrix],
    ) -> Result<(), tilefold::Error> {
        let roots: Vec<&LazyTensor<'_, T>> = values.iter().collect();
        let (m, n) = (self.case.m, self.case.n);
        let run = |options| evaluate(&roots).options(options).rows(m, n).run();
        let mut found = match run(self.options) {
            Err(error) if error.code() == Code::NoExecutor && !is_linkable(&error) => {
                run(self.options.tiers(Tiers::INTERPRETED))?
            }
            found => found?,
        };
        let dtype = if T::DTYPE == tilefold::Dtype::F64 { Dtype::F64 } else { Dtype::F32 };
        for (index, expected) in expected.iter().enumerate() {
            let (found, allowed): (Vec<f64>, f64) = match found.take::<T>(index) {
                Ok(array) => (array.into_iter().map(Into::into).collect(), tolerance(dtype)),
                Err(_) => {
                    let rows = found.take::<i64>(index)?;
                    (rows.into_iter().map(|row| row as f64).collect(), 0.0)
                }
            };
            if found.len() != expected.data.len() {
                self.wrong.push(format!("{what} {index} has {} numbers", found.len()));
                continue;
            }
            let found = Matrix { data: found, ..*expected };
            let gap = compare::relative(&format!("{what} {index}"), expected, &found);
            self.wrong.extend(
                gap.filter(|gap| gap.off.is_nan() || gap.off > allowed).map(|gap| gap.to_string()),
            );
        }
        Ok(())
    }
}
