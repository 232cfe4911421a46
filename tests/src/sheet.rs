//! Formulas that hold many calls of operations at once, so that few files have to be compiled.

use tilefold_compiler::ir::eval::Matrix;
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

/// What the names of arguments begin with.
const PLACES: [&str; 3] = ["a", "b", "c"];

fn name(place: usize, dim: usize) -> String {
    format!("{}{dim}", PLACES[place])
}

fn input(f: &mut Formula, name: &str, axis: Option<Axis>, dim: usize) -> ExprId {
    match f.inputs.iter().position(|i| i.name == name) {
        Some(n) => f.input_expr(n),
        None => f.input(name, axis, dim).expect("a small dim"),
    }
}

impl Sheet {
    /// A problem with `rows` rows of i, and as many of j in row form or one in pair form. Component
    /// `k` of row `r` of the arrays that stand at place `p` in calls is `draw(p, r, k)`.
    pub fn problem(
        &self,
        rows: usize,
        mut draw: impl FnMut(usize, usize, usize) -> f64,
    ) -> Problem {
        let cols = if self.form == Form::Row { rows } else { 1 };
        let inputs = self.formula.inputs.clone();
        Problem::new(self.formula.clone(), rows, cols, |n, entry| {
            let place = PLACES.iter().position(|&p| inputs[n].name.starts_with(p));
            let dim = inputs[n].dim;
            // Adding -0 changes nothing, not even the sign of a zero.
            place.map_or(-0.0, |p| draw(p, entry / dim, entry % dim))
        })
    }

    /// The arrays that hold the arguments of call `n` of a problem of this sheet.
    ///
    /// # Panics
    /// When the problem is of another sheet.
    pub fn arrays<'a>(&self, problem: &'a Problem, n: usize) -> Vec<&'a Matrix> {
        let array = |(place, &dim): (usize, &usize)| {
            let called = name(place, dim);
            let at = self.formula.inputs.iter().position(|i| i.name == called);
            &problem.inputs[at.expect("the sheet has the arguments of its calls")]
        };
        self.calls[n].dims.iter().enumerate().map(array).collect()
    }
}

/// The arguments at a row of such arrays; a parameter has one row.
pub fn args<'a>(arrays: &[&'a Matrix], row: usize) -> Vec<&'a [f64]> {
    let value = |array: &&'a Matrix| {
        let row = if array.rows == 1 { 0 } else { row };
        &array.data[row * array.cols..][..array.cols]
    };
    arrays.iter().map(value).collect()
}
