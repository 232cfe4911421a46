//! KeOps' spellings: formula strings, `Var(0, 3, 0)`, `IntCst(2)`, `Sum_Reduction(f, 0)`.
//!
//! In goes a formula string with its variables, as `Genred` takes them; out comes a formula. The
//! grammar and the operations are those of formula files; this module adds the forms that only
//! KeOps has, and the names of its reductions.

use std::collections::BTreeMap;

use crate::diag::{Diagnostic, Diagnostics, Span, code};
use crate::ir::{Axis, ExprId, Formula, Kind, Reduction};
use crate::ops::Op;
use crate::reduce::Reducer;

use super::ast::{Expr, NodeKind, Number};
use super::calls::Call;
use super::expand::Expanded;
use super::functions::Functions;
use super::instances::Dims;
use super::value::{Evaluator, InputFact, MAX_STEPS, Scope, Value, misfit};
use super::{Result, names, parse, scan};

/// A variable of a KeOps formula: `Vi`, `Vj` or `Pm` with its dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The name that the formula uses.
    pub name: String,
    /// The index of its rows; `None` for a parameter.
    pub axis: Option<Axis>,
    /// Columns.
    pub dim: usize,
}

/// A reduction as `Genred` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec<'a> {
    /// KeOps' name: `Sum`, `LogSumExp`, `Min_ArgMin`, `KMin` and so on.
    pub name: &'a str,
    /// The index that disappears.
    pub over: Axis,
    /// How many entries the `KMin` family keeps.
    pub k: Option<usize>,
    /// The formula that weighs `LogSumExp` and `SumSoftMaxWeight`.
    pub weight: Option<&'a str>,
}

/// KeOps' reductions: name, what comes out, and the names of the outputs.
const REDUCTIONS: &[(&str, &[(Reducer, &str)])] = &[
    ("Sum", &[(Reducer::Sum, "out")]),
    ("Min", &[(Reducer::Min, "out")]),
    ("Max", &[(Reducer::Max, "out")]),
    ("ArgMin", &[(Reducer::ArgMin, "out")]),
    ("ArgMax", &[(Reducer::ArgMax, "out")]),
    ("Min_ArgMin", &[(Reducer::Min, "out"), (Reducer::ArgMin, "index")]),
    ("Max_ArgMax", &[(Reducer::Max, "out"), (Reducer::ArgMax, "index")]),
    ("KMin", &[(Reducer::KMin, "out")]),
    ("ArgKMin", &[(Reducer::ArgKMin, "out")]),
    ("KMin_ArgKMin", &[(Reducer::KMin, "out"), (Reducer::ArgKMin, "index")]),
    ("LogSumExp", &[(Reducer::LogSumExp, "out")]),
    ("LogSumExpWeight", &[(Reducer::LogSumExpWeight, "out")]),
    ("SumSoftMaxWeight", &[(Reducer::SoftMaxSum, "out")]),
    ("SoftMax", &[(Reducer::SoftMaxSum, "out")]),
    ("Max_SumShiftExp", &[(Reducer::Max, "max"), (Reducer::SumShiftExp, "sum")]),
    ("Max_SumShiftExpWeight", &[(Reducer::Max, "max"), (Reducer::SumShiftExpWeight, "sum")]),
    // Names in KeOps' manner for what it has not.
    ("Mean", &[(Reducer::Mean, "out")]),
    ("Var", &[(Reducer::Var, "out")]),
    ("Prod", &[(Reducer::Prod, "out")]),
    ("KMax", &[(Reducer::KMax, "out")]),
    ("ArgKMax", &[(Reducer::ArgKMax, "out")]),
    ("KMax_ArgKMax", &[(Reducer::KMax, "out"), (Reducer::ArgKMax, "index")]),
    ("SoftArgMin", &[(Reducer::SoftArgMin, "out")]),
    ("SoftArgMax", &[(Reducer::SoftArgMax, "out")]),
    ("Any", &[(Reducer::Any, "out")]),
    ("All", &[(Reducer::All, "out")]),
    ("Count", &[(Reducer::Count, "out")]),
];

/// `Zero_Reduction(n, tag)`, n zeros a row: the only reduction that takes a number, not a formula.
const ZERO: &str = "Zero";

/// What ends the name of a reduction inside a formula string.
const SUFFIX: &str = "_Reduction";

/// Functions that only KeOps strings have.
const FORMS: &[(&str, &str)] = &[
    (
        "Var",
        "`Var(n, d, c)`: input number n, from 0, with d components; c is 0 for i, 1 for j, 2 for a \
         parameter",
    ),
    ("Vi", "`Vi(n, d)`: input number n, indexed by i"),
    ("Vj", "`Vj(n, d)`: input number n, indexed by j"),
    ("Pm", "`Pm(n, d)`: input number n, a parameter"),
    ("IntCst", "`IntCst(n)`: the integer n"),
    ("IntInv", "`IntInv(n)`: the number 1/n"),
    ("RatCst", "`RatCst(p, q)`: the number p/q, rounded once"),
    ("Zero", "`Zero(n)`: n zeros"),
    ("Ind", "`Ind(2, 3)`: the list `[2, 3]`"),
];

/// The functions that only KeOps strings have, each with its meaning.
pub fn forms() -> &'static [(&'static str, &'static str)] {
    FORMS
}

/// KeOps' reductions: each name with what it computes.
pub fn reductions() -> impl Iterator<Item = (&'static str, Vec<Reducer>)> {
    REDUCTIONS.iter().map(|(name, all)| (*name, all.iter().map(|(r, _)| *r).collect()))
}

/// Whether a name is a function that only KeOps strings have.
pub fn is_form(name: &str) -> bool {
    let reduction = |name| find(name).is_some() || name == ZERO;
    FORMS.iter().any(|(form, _)| *form == name) || name.strip_suffix(SUFFIX).is_some_and(reduction)
}

type Outputs = &'static [(Reducer, &'static str)];

fn find(name: &str) -> Option<Outputs> {
    REDUCTIONS.iter().find(|(known, _)| *known == name).map(|&(_, outputs)| outputs)
}

/// Reads a KeOps formula string. The outputs are `out`, with `index` for the pairs of values and
/// rows, and `max` and `sum` for `Max_SumShiftExp`.
///
/// # Errors
/// When the string is not an expression, a name is unknown, shapes do not fit, or the reduction
/// is not known. Spans point into `expr`.
pub fn keops(
    expr: &str,
    vars: &[Variable],
    reduction: &Spec<'_>,
) -> std::result::Result<Formula, Diagnostics> {
    let tree = read(expr)?;
    let weight = reduction.weight.map(read).transpose().map_err(in_weight)?;
    let functions = Functions::default();
    let dims = Dims::new(&[], &[]);
    let mut steps = MAX_STEPS;
    let mut evaluator = Evaluator {
        formula: Formula::new("keops"),
        inputs: Vec::new(),
        axes: Vec::new(),
        functions: &functions,
        dims: &dims,
        later: BTreeMap::new(),
        steps: &mut steps,
        expanded: Expanded::default(),
        spans: BTreeMap::new(),
    };
    let vars = with_slots(vars, &tree)?;
    let mut scope = Scope::default();
    for (n, var) in vars.iter().enumerate() {
        names::check_foreign(&var.name)?;
        if vars[..n].iter().any(|other| other.name == var.name) {
            let message = format!("the variable `{}` is listed twice", var.name);
            return Diagnostic::global(code::DUPLICATE, message).fail();
        }
        let value = evaluator.variable(var)?;
        scope.define(&var.name, Some(Value::Expr(value)));
    }
    let results = match reduction.name {
        ZERO => vec![("out", evaluator.zero_rows(&tree, &scope)?)],
        name => {
            let mut args = vec![evaluator.root(&tree, &scope)?];
            if let Some(tree) = &weight {
                args.push(evaluator.root(tree, &scope).map_err(in_weight)?);
            }
            let k = reduction.k.unwrap_or(0);
            evaluator.fold_keops(name, &args, reduction.over, k, tree.span())?
        }
    };
    // One row for each of the other index, also where nothing varies along it: the call says how
    // many.
    let axis = Some(reduction.over.other());
    for (name, value) in results {
        let output = evaluator.formula.output(name, axis, value);
        output.map_err(|e| misfit(&e, tree.span()))?;
    }
    Ok(evaluator.formula)
}

fn read(text: &str) -> Result<Expr> {
    scan::scan(text)?;
    parse::lone(text)
}

/// Errors in the weight have no place in the main expression.
fn in_weight(mut errors: Diagnostics) -> Diagnostics {
    for error in &mut errors.0 {
        error.span = None;
        error.related.clear();
        error.notes.push(String::from("this concerns the weight formula"));
    }
    errors
}

/// The variables, with those that the formula declares on the spot, as `Var(2, 3, 0)` where only
/// two variables are named.
fn with_slots(vars: &[Variable], tree: &Expr) -> Result<Vec<Variable>> {
    let mut slots: BTreeMap<usize, Variable> = BTreeMap::new();
    for node in &tree.nodes {
        let NodeKind::Call(name, args) = &node.kind else { continue };
        let literal = |n: usize| match args.get(n).map(|&id| &tree.nodes[id].kind) {
            Some(NodeKind::Number(number)) => number.integer,
            _ => None,
        };
        let axis = match (name.text.as_str(), literal(2)) {
            ("Var", Some(0)) | ("Vi", _) => Some(Axis::I),
            ("Var", Some(1)) | ("Vj", _) => Some(Axis::J),
            ("Var", Some(2)) | ("Pm", _) => None,
            _ => continue,
        };
        if let (Some(slot), Some(dim)) = (literal(0), literal(1)) {
            let (slot, dim) = (slot as usize, dim as usize);
            let fresh = Variable { name: format!("var{slot}"), axis, dim };
            slots.entry(slot).or_insert(fresh);
        }
    }
    let mut all = vars.to_vec();
    all.extend(slots.into_iter().filter(|(slot, _)| *slot >= vars.len()).map(|(_, var)| var));
    Ok(all)
}

impl Evaluator<'_> {
    /// Declares a variable.
    fn variable(&mut self, var: &Variable) -> Result<ExprId> {
        let built = self.formula.input(&var.name, var.axis, var.dim);
        let value = built.map_err(|e| Diagnostic::global(code::DIM_LIMIT, e.to_string()))?;
        self.inputs.push(InputFact { value, axis: var.axis, dim: var.dim, kind: Kind::Real });
        self.axes.extend(var.axis);
        Ok(value)
    }

    fn root(&mut self, tree: &Expr, scope: &Scope<'_>) -> Result<ExprId> {
        let value = self.value(tree, scope)?;
        self.expr(&value, tree.span())
    }

    /// Applies a reduction of KeOps; gives each result with its name.
    fn fold_keops(
        &mut self,
        name: &str,
        args: &[ExprId],
        axis: Axis,
        k: usize,
        span: Span,
    ) -> Result<Vec<(&'static str, ExprId)>> {
        self.rows(axis, span)?;
        let name = match (name, args.len()) {
            ("LogSumExp", 2) => "LogSumExpWeight",
            _ => name,
        };
        let outputs = match find(name) {
            Some(outputs) => outputs,
            None => return unknown_reduction(name, span).fail(),
        };
        let arity = outputs.iter().map(|(reducer, _)| reducer.def().arity).max().unwrap_or(1);
        let mut results = Vec::new();
        for &(reducer, output) in outputs {
            let def = reducer.def();
            if args.len() != arity {
                let message = match arity {
                    1 => format!("`{name}` does not take a weight"),
                    _ => format!("`{name}` needs a weight"),
                };
                return Diagnostic::new(code::ARITY, message, span).fail();
            }
            if def.takes_k != (k != 0) {
                let message = match def.takes_k {
                    true => format!("`{name}` needs k, the number of entries to keep"),
                    false => format!("`{name}` does not take k"),
                };
                return Diagnostic::new(code::ARITY, message, span).fail();
            }
            let args = args[..def.arity].to_vec();
            let reduction = Reduction { reducer, axis, args, mask: None, k };
            let built = self.formula.reduce(reduction);
            results.push((output, built.map_err(|e| misfit(&e, span))?));
        }
        Ok(results)
    }

    /// The value of a form that only KeOps strings have.
    pub fn keops_form(&mut self, call: &Call<'_>) -> Result<Value> {
        match call.name.text.as_str() {
            "IntCst" => {
                call.arity(1)?;
                Ok(integer(call.integer(0)?))
            }
            "IntInv" => {
                call.arity(1)?;
                self.ratio(call, 1, call.integer(0)?)
            }
            "RatCst" => {
                call.arity(2)?;
                self.ratio(call, call.integer(0)?, call.integer(1)?)
            }
            "Ind" => {
                let items = (0..call.args.len()).map(|n| call.integer(n));
                Ok(Value::List(items.collect::<Result<_>>()?))
            }
            "Zero" => {
                call.arity(1)?;
                self.zeros(call, call.integer(0)?)
            }
            "Var" => {
                call.arity(3)?;
                let axis = match call.integer(2)? {
                    0 => Some(Axis::I),
                    1 => Some(Axis::J),
                    2 => None,
                    _ => return category(call.span(2)).fail(),
                };
                self.slot(call, axis)
            }
            "Vi" => self.slot_of(call, Some(Axis::I)),
            "Vj" => self.slot_of(call, Some(Axis::J)),
            "Pm" => self.slot_of(call, None),
            name => {
                let name = name.strip_suffix(SUFFIX).unwrap_or(name);
                self.reduction_form(call, name)
            }
        }
    }

    /// `n` zeros.
    fn zeros(&mut self, call: &Call<'_>, n: i64) -> Result<Value> {
        let zero = self.formula.constant(0.0);
        match n {
            1 => Ok(integer(0)),
            n => {
                let built = self.formula.op(Op::SumT, &[zero], &[n]);
                Ok(Value::Expr(self.built(built, call.done, &[])?))
            }
        }
    }

    /// What the reduction `Zero` gives: as many zeros as the expression, a literal, says.
    fn zero_rows(&mut self, tree: &Expr, scope: &Scope<'_>) -> Result<ExprId> {
        let Value::Number(Number { integer: Some(n), .. }) = self.value(tree, scope)? else {
            return Diagnostic::new(code::LITERAL, "`Zero` takes a literal integer", tree.span())
                .help("write how many zeros a row has, as in `Zero_Reduction(3, 0)`")
                .fail();
        };
        let zero = self.formula.constant(0.0);
        let built = self.formula.op(Op::SumT, &[zero], &[n]);
        built.map_err(|e| misfit(&e, tree.span()).into())
    }

    fn ratio(&mut self, call: &Call<'_>, p: i64, q: i64) -> Result<Value> {
        if q == 0 {
            return Diagnostic::new(code::LITERAL, "the denominator is zero", call.span).fail();
        }
        Ok(Value::Number(Number { value: p as f64 / q as f64, integer: None }))
    }

    fn slot_of(&mut self, call: &Call<'_>, axis: Option<Axis>) -> Result<Value> {
        call.arity(2)?;
        self.slot(call, axis)
    }

    /// `Var(slot, dim, category)`: the input at a position, checked against its declaration.
    fn slot(&mut self, call: &Call<'_>, axis: Option<Axis>) -> Result<Value> {
        let (slot, dim) = (call.integer(0)?, call.integer(1)?);
        let input = usize::try_from(slot).ok().and_then(|slot| self.inputs.get(slot));
        let Some(input) = input else {
            let message = format!("there is no input number {slot}");
            return Diagnostic::new(code::VARIABLE, message, call.span(0))
                .label(format!("{} inputs are declared, counted from 0", self.inputs.len()))
                .fail();
        };
        let real = input.kind == Kind::Real;
        if real && input.axis == axis && input.dim as i64 == dim {
            return Ok(Value::Expr(input.value));
        }
        let declared = match real {
            true => format!("R^{}", input.dim),
            false => input.kind.space(input.dim),
        };
        let describe = |axis: Option<Axis>, space: &str| match axis {
            Some(axis) => format!("[{axis}] : {space}"),
            None => format!(" : {space}"),
        };
        let name = &self.formula.inputs[slot as usize].name;
        Diagnostic::new(
            code::VARIABLE,
            format!(
                "input {slot} is declared `{name}{}`, but used as `{name}{}`",
                describe(input.axis, &declared),
                describe(axis, &format!("R^{dim}"))
            ),
            call.span,
        )
        .fail()
    }

    /// `KMin_Reduction(f, K, tag)`, `LogSumExp_Reduction(f, tag, g)`.
    fn reduction_form(&mut self, call: &Call<'_>, name: &str) -> Result<Value> {
        if name == ZERO {
            call.arity(2)?;
            if !(0..=1).contains(&call.integer(1)?) {
                return category(call.span(1)).fail();
            }
            return self.zeros(call, call.integer(0)?);
        }
        let takes_k =
            find(name).is_some_and(|outputs| outputs.iter().any(|(r, _)| r.def().takes_k));
        let tag = 1 + usize::from(takes_k);
        if call.args.len() <= tag || call.args.len() > tag + 2 {
            return call.arity(tag + 1).map(|()| Value::List(Vec::new()));
        }
        let mut args = vec![self.argument(call, 0)?];
        if call.args.len() == tag + 2 {
            args.push(self.argument(call, tag + 1)?);
        }
        let k = if takes_k { call.integer(1)? } else { 0 };
        let axis = match call.integer(tag)? {
            0 => Axis::J,
            1 => Axis::I,
            _ => return category(call.span(tag)).fail(),
        };
        let k = usize::try_from(k).unwrap_or(0);
        let results = self.fold_keops(name, &args, axis, k, call.span)?;
        match results[..] {
            [(_, a), (_, b)] => Ok(Value::Both(a, b)),
            _ => Ok(Value::Expr(results[0].1)),
        }
    }
}

fn integer(value: i64) -> Value {
    Value::Number(Number { value: value as f64, integer: Some(value) })
}

fn category(span: Span) -> Diagnostic {
    Diagnostic::new(code::VARIABLE, "no such category", span)
        .label("0 is i, 1 is j, 2 is a parameter")
        .note("after a reduction the category is the index that remains: 0 or 1")
}

fn unknown_reduction(name: &str, span: Span) -> Diagnostic {
    let diagnostic =
        Diagnostic::new(code::UNKNOWN_REDUCTION, format!("unknown reduction `{name}`"), span);
    let known: Vec<&str> = REDUCTIONS.iter().map(|(name, _)| *name).collect();
    let list = known.join(", ");
    names::suggest(diagnostic, name, known).note(format!("the reductions are {list}"))
}
