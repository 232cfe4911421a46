//! Conformance cases: formulas with inputs, expected values and gradients, one JSON file each (see
//! `tests/conformance/README.md`). Goes in: folders of cases. Comes out: for each case whether it
//! passed, with both numbers where it did not. The expected numbers are never computed here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use tilefold::Tiers;
use tilefold_compiler::front::{self, Spec, Variable};
use tilefold_compiler::ir::eval::{Matrix, evaluate};
use tilefold_compiler::ir::{Axis, Dtype, Formula};
use tilefold_compiler::passes;

use crate::compare::{Gap, worst};
use crate::device;
use crate::emulated::{Emulated, Grid};
use crate::lazy_cases;
use crate::native::{Native, best};
use crate::problem::Problem;

/// One file.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Its name.
    pub name: String,
    pub(crate) formula: String,
    pub(crate) variables: Vec<CaseVariable>,
    pub(crate) reduction: String,
    pub(crate) over: String,
    pub(crate) k: Option<usize>,
    pub(crate) weight: Option<String>,
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) inputs: BTreeMap<String, Vec<Vec<f64>>>,
    pub(crate) expected: Vec<Vec<f64>>,
    pub(crate) cotangent: Option<Vec<Vec<f64>>>,
    pub(crate) gradient: Option<BTreeMap<String, Vec<Vec<f64>>>>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CaseVariable {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) dim: usize,
}

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// The dense float64 evaluation of the IR.
    Evaluator,
    /// C++ code, through the runtime.
    Compiled,
    /// CUDA code, emulated on the CPU.
    Emulated,
    /// CUDA code, on a device of this machine.
    Device,
    /// An expression of `Genred` and `LazyTensor`, interpreted.
    Interpreted,
    /// An expression of `Genred` and `LazyTensor`, compiled when it is met.
    Jit,
    /// An expression of `Genred` and `LazyTensor`, written down, compiled from there and linked.
    Linked,
}

/// How a case went.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Value and gradient agree.
    Passed,
    /// What is wrong, one line each.
    Failed(Vec<String>),
}

/// Reads every `*.json` of a folder, in the order of their names.
///
/// # Errors
/// When the folder or a file cannot be read; the message names it.
pub fn read(folder: &Path) -> Result<Vec<Case>, String> {
    let at = |path: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let entries = fs::read_dir(folder).map_err(|e| at(folder, &e))?;
    let mut paths: Vec<_> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "json"));
    paths.sort();
    if paths.is_empty() {
        return Err(format!("{}: no *.json file", folder.display()));
    }
    let case = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).map_err(|e| at(path, &e))?;
        serde_json::from_str(&text).map_err(|e| at(path, &e))
    };
    paths.iter().map(case).collect()
}

/// Runs cases. `tolerance` is relative to 1 + the largest magnitude of an expected array.
pub fn run(cases: &[Case], dtype: Dtype, executor: Executor) -> Vec<Outcome> {
    let tiers = match executor {
        Executor::Interpreted => Some(Tiers::INTERPRETED),
        Executor::Jit => Some(Tiers::JIT),
        Executor::Linked => Some(Tiers::LINKED),
        Executor::Evaluator | Executor::Compiled | Executor::Emulated | Executor::Device => None,
    };
    if executor == Executor::Linked {
        lazy_cases::link(cases, dtype);
    }
    if let Some(tiers) = tiers {
        return match dtype {
            Dtype::F32 => lazy_cases::run(cases, tiers, |x| x as f32),
            Dtype::F64 => lazy_cases::run(cases, tiers, |x| x),
        };
    }
    // Kernels of value and gradient apart are compiled once; twice as many files take longer.
    let joint = [Executor::Emulated, Executor::Device].contains(&executor);
    let apart = !joint && dtype == Dtype::F64;
    let checks = |case: &Case| if apart { case.checks() } else { case.joint_check() };
    let built: Vec<Result<Vec<Check>, Outcome>> = cases.iter().map(checks).collect();
    let formulas: Vec<Formula> =
        built.iter().flatten().flatten().map(|c| c.problem.formula.clone()).collect();
    let machine = Machine::new(executor, &formulas, dtype);
    let mut next = 0;
    let outcome = |checks: Result<Vec<Check>, Outcome>| {
        let checks = match checks {
            Ok(checks) => checks,
            Err(outcome) => return outcome,
        };
        let mut wrong = Vec::new();
        for check in checks {
            wrong.extend(check.fault(&machine, next, dtype));
            next += 1;
        }
        if wrong.is_empty() { Outcome::Passed } else { Outcome::Failed(wrong) }
    };
    built.into_iter().map(outcome).collect()
}

/// The measure of `tests/conformance/README.md`.
pub fn tolerance(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F32 => 2e-4,
        Dtype::F64 => 1e-9,
    }
}

/// One formula of a case, and what has to come out.
struct Check {
    what: &'static str,
    problem: Problem,
    expected: Vec<Matrix>,
}

impl Check {
    fn fault(&self, machine: &Machine, n: usize, dtype: Dtype) -> Option<String> {
        let found = match machine.run(n, dtype, &self.problem) {
            Ok(found) => found,
            Err(why) => return Some(format!("{}: {why}", self.what)),
        };
        let gap: Gap = worst(&self.problem.formula, &self.expected, &found)?;
        (gap.off.is_nan() || gap.off > tolerance(dtype)).then(|| format!("{}: {gap}", self.what))
    }
}

impl Case {
    /// The value, and the gradient if the case has one.
    fn checks(&self) -> Result<Vec<Check>, Outcome> {
        let formula = self.build()?;
        let problem = Problem {
            m: self.m,
            n: self.n,
            inputs: formula.inputs.iter().map(|i| matrix(&self.inputs[&i.name])).collect(),
            formula,
        };
        let dims: Vec<usize> =
            problem.formula.outputs.iter().map(|o| problem.formula.dim(o.expr)).collect();
        let expected = columns(&self.expected, &dims);
        let mut checks = Vec::new();
        if let (Some(cotangent), Some(gradient)) = (&self.cotangent, &self.gradient) {
            checks.push(self.gradient_check(&problem, cotangent, gradient)?);
        }
        checks.push(Check { what: "value", problem, expected });
        Ok(checks)
    }

    /// The value and the gradient, out of one formula.
    fn joint_check(&self) -> Result<Vec<Check>, Outcome> {
        let mut checks = self.checks()?;
        if checks.len() == 1 {
            return Ok(checks);
        }
        let (value, gradient) = (checks.remove(1), checks.remove(0));
        let mut problem = gradient.problem;
        // A gradient's formula begins with the nodes of the formula that is differentiated.
        problem.formula.outputs.splice(0..0, value.problem.formula.outputs);
        let expected = [value.expected, gradient.expected].concat();
        Ok(vec![Check { what: "value and gradient", problem, expected }])
    }

    fn build(&self) -> Result<Formula, Outcome> {
        let axis = |kind: &str| match kind {
            "i" => Some(Axis::I),
            "j" => Some(Axis::J),
            _ => None,
        };
        let variable =
            |v: &CaseVariable| Variable { name: v.name.clone(), axis: axis(&v.kind), dim: v.dim };
        let variables: Vec<Variable> = self.variables.iter().map(variable).collect();
        let spec = Spec {
            name: &self.reduction,
            over: axis(&self.over).unwrap_or(Axis::J),
            k: self.k,
            weight: self.weight.as_deref(),
        };
        front::keops(&self.formula, &variables, &spec)
            .map_err(|errors| Outcome::Failed(vec![errors.render(&self.name, &self.formula)]))
    }

    fn gradient_check(
        &self,
        problem: &Problem,
        cotangent: &[Vec<f64>],
        gradient: &BTreeMap<String, Vec<Vec<f64>>>,
    ) -> Result<Check, Outcome> {
        let wrt: Vec<String> = gradient.keys().cloned().collect();
        let output = &problem.formula.outputs[0].name;
        let formula = passes::vjp(&problem.formula, output, &wrt)
            .map_err(|e| Outcome::Failed(vec![format!("gradient: {e}")]))?;
        let mut problem = problem.with(formula);
        problem.inputs.push(matrix(cotangent));
        let expected = wrt.iter().map(|name| matrix(&gradient[name])).collect();
        Ok(Check { what: "gradient", problem, expected })
    }
}

pub(crate) fn matrix(rows: &[Vec<f64>]) -> Matrix {
    let cols = rows.first().map_or(0, Vec::len);
    Matrix { rows: rows.len(), cols, data: rows.concat() }
}

/// Splits the columns of an array among outputs.
pub(crate) fn columns(rows: &[Vec<f64>], dims: &[usize]) -> Vec<Matrix> {
    let mut start = 0;
    let part = |&cols: &usize| {
        let data = rows.iter().flat_map(|row| row[start..start + cols].to_vec()).collect();
        start += cols;
        Matrix { rows: rows.len(), cols, data }
    };
    dims.iter().map(part).collect()
}

/// An executor with all formulas ready.
enum Machine {
    Evaluator,
    Compiled(Native),
    Emulated(Emulated),
    Device(Native),
}

impl Machine {
    fn new(executor: Executor, formulas: &[Formula], dtype: Dtype) -> Machine {
        match executor {
            Executor::Evaluator => Machine::Evaluator,
            Executor::Compiled => Machine::Compiled(Native::build(formulas, &[dtype], &[best()])),
            Executor::Emulated => Machine::Emulated(Emulated::build(formulas, &[dtype])),
            Executor::Device => Machine::Device(device::build(formulas, &[dtype])),
            Executor::Interpreted | Executor::Jit | Executor::Linked => {
                unreachable!("`run` has done these")
            }
        }
    }

    fn run(&self, n: usize, dtype: Dtype, problem: &Problem) -> Result<Vec<Matrix>, String> {
        match self {
            Machine::Evaluator => {
                let Problem { formula, m, n, inputs } = problem.rounded(dtype);
                let mut found = evaluate(&formula, m, n, &inputs).map_err(|e| e.to_string())?;
                if dtype == Dtype::F32 {
                    let all = found.iter_mut().flat_map(|m| &mut m.data);
                    all.for_each(|x| *x = f64::from(*x as f32));
                }
                Ok(found)
            }
            Machine::Compiled(native) => {
                native.run(n, dtype, best(), problem).map_err(|e| e.to_string())
            }
            Machine::Device(native) => {
                device::run(native, n, dtype, problem).map_err(|e| e.to_string())
            }
            Machine::Emulated(emulated) => emulated.run(n, dtype, problem, Grid::default()),
        }
    }
}
