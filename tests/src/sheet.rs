//! Formulas that hold many calls of operations at once, so that few files have to be compiled.

use tilefold_compiler::ir::{Axis, ExprId, Formula};

use crate::calls::Call;
use crate::problem::Problem;

/// Calls a formula: values, and the stages of one file, are limited.
const CALLS: usize = 10;

/// Where the calls of a sheet are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Once a row: every argument is an array of i.
    Row,
    /// Once a pair, under a sum over j: the first argument is an array of i, the second of j, the
    /// third a parameter. A single argument meets a zero of j.
    Pair,
}

/// A formula whose output `n` is the call `n`.
pub struct Sheet {
    /// The formula.
    pub formula: Formula,
    /// The calls.
    pub calls: Vec<Call>,
    form: Form,
}

/// Sheets for all calls.
pub fn sheets(calls: &[Call], form: Form) -> Vec<Sheet> {
    calls.chunks(CALLS).map(|group| sheet(group, form)).collect()
}

fn sheet(calls: &[Call], form: Form) -> Sheet {
    let mut f = Formula::new(format!("{form:?} of {}", calls[0].op.def().name));
    for (n, call) in calls.iter().enumerate() {
        let args: Vec<ExprId> =
            call.dims.iter().enumerate().map(|(k, &dim)| argument(&mut f, form, k, dim)).collect();
        let value = match (form, args.as_slice()) {
            (Form::Pair, &[only]) => {
                let zero = input(&mut f, "zero", Some(Axis::J), 1);
                let met = f.add(only, zero);
                f.op(call.op, &[met], &call.params)
            }
            _ => f.op(call.op, &args, &call.params),
        };
        let value = value.unwrap_or_else(|e| panic!("{call:?}: {e}"));
        let value = if form == Form::Pair { f.sum_over(Axis::J, value) } else { value };
        f.output(&format!("out{n}"), Some(Axis::I), value).expect("a value of i");
    }
    Sheet { formula: f, calls: calls.to_vec(), form }
}

fn argument(f: &mut Formula, form: Form, place: usize, dim: usize) -> ExprId {
    let axis = match (form, place) {
        (Form::Row, _) | (Form::Pair, 0) => Some(Axis::I),
        (Form::Pair, 1) => Some(Axis::J),
        (Form::Pair, _) => None,
    };
    input(f, &name(place, dim), axis, dim)
}

fn name(place: usize, dim: usize) -> String {
    format!("{}{dim}", ["a", "b", "c"][place])
}

fn input(f: &mut Formula, name: &str, axis: Option<Axis>, dim: usize) -> ExprId {
    match f.inputs.iter().position(|i| i.name == name) {
        Some(n) => f.input_expr(n),
        None => f.input(name, axis, dim).expect("a small dim"),
    }
}

impl Sheet {
    /// The problem in which call `n` gets `rows` as its arguments. In pair form all but the first
    /// argument come from the first row, so the answers are those of [`Sheet::met`].
    pub fn problem(&self, n: usize, rows: &[Vec<Vec<f64>>]) -> Problem {
        let call = &self.calls[n];
        let cols = if self.form == Form::Row { rows.len() } else { 1 };
        let place = |input: &str| (0..call.dims.len()).find(|&k| name(k, call.dims[k]) == input);
        let places: Vec<Option<usize>> =
            self.formula.inputs.iter().map(|i| place(&i.name)).collect();
        let zero = |k: usize| self.formula.inputs[k].name == "zero";
        Problem::new(self.formula.clone(), rows.len(), cols, |k, entry| match places[k] {
            Some(at) => rows[entry / call.dims[at]][at][entry % call.dims[at]],
            None if zero(k) => 0.0,
            None => 0.75,
        })
    }

    /// The arguments that row `n` of [`Sheet::problem`] meets.
    pub fn met<'a>(&self, rows: &'a [Vec<Vec<f64>>], n: usize) -> Vec<&'a [f64]> {
        let other = if self.form == Form::Row { n } else { 0 };
        let pick = |k: usize| rows[if k == 0 { n } else { other }][k].as_slice();
        (0..rows[n].len()).map(pick).collect()
    }
}
