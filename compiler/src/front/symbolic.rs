//! Derivatives and linear operators inside expressions: `grad(f, v, e)`, `laplacian(f, v)` and
//! their kin, under KeOps' names too.
//!
//! In go a call and the values of its arguments; out comes a node. This module finds the variable,
//! checks dims and says where an error stands; [`crate::passes::operators`] does the mathematics.

use crate::diag::{Diagnostic, code};
use crate::ir::{ExprId, Kind, MAX_NODES, Node};
use crate::ops::{Op, typed};
use crate::passes::{GradError, operators};

use super::ast::{NodeId, NodeKind};
use super::calls::Call;
use super::value::{Evaluator, Value};
use super::{Result, gradients};

/// An operator of this module.
#[derive(Debug)]
pub struct Form {
    /// KeOps' name, and the one of formula files.
    names: [&'static str; 2],
    /// Fewest and most arguments.
    arity: [usize; 2],
    /// How it is called.
    usage: &'static str,
    operator: Operator,
}

#[derive(Clone, Copy, Debug)]
enum Operator {
    Grad,
    GradSaved,
    Diff,
    DiffSaved,
    GradMatrix,
    Divergence,
    Laplacian,
    Trace,
    Adjoint,
    SumLin,
    Factorize,
}

/// Every operator, in the order of the documentation.
const FORMS: &[Form] = &[
    form(["Grad", "grad"], [2, 3], "(f, v, e)", Operator::Grad),
    form(["Diff", "diff"], [3, 3], "(f, v, u)", Operator::Diff),
    form(["GradMatrix", "grad_matrix"], [2, 2], "(f, v)", Operator::GradMatrix),
    form(["Divergence", "divergence"], [2, 2], "(f, v)", Operator::Divergence),
    form(["Laplacian", "laplacian"], [2, 2], "(f, v)", Operator::Laplacian),
    form(["TraceOperator", "trace_operator"], [2, 3], "(f, v, w)", Operator::Trace),
    form(["AdjointOperator", "adjoint_operator"], [3, 3], "(f, v, u)", Operator::Adjoint),
    form(["SumLinOperator", "sum_lin_operator"], [2, 4], "(f, v, wl, wr)", Operator::SumLin),
    form(
        ["Grad_WithSavedForward", "grad_with_saved_forward"],
        [4, 4],
        "(f, v, e, f0)",
        Operator::GradSaved,
    ),
    form(
        ["Diff_WithSavedForward", "diff_with_saved_forward"],
        [4, 4],
        "(f, v, u, f0)",
        Operator::DiffSaved,
    ),
    // Equal nodes are one node, so what a value has in common with itself is computed once.
    form(["Factorize", "factorize"], [2, 2], "(f, g)", Operator::Factorize),
    form(["AutoFactorize", "auto_factorize"], [1, 1], "(f)", Operator::Factorize),
];

const fn form(
    names: [&'static str; 2],
    arity: [usize; 2],
    usage: &'static str,
    operator: Operator,
) -> Form {
    Form { names, arity, usage, operator }
}

/// The operator of a name.
pub fn find(name: &str) -> Option<&'static Form> {
    FORMS.iter().find(|form| form.names.contains(&name))
}

/// Every operator: KeOps' name, the one of formula files, how it is called, and what it is.
pub fn table() -> impl Iterator<Item = ([&'static str; 2], &'static str, &'static str)> {
    FORMS.iter().map(|form| (form.names, form.usage, form.operator.meaning()))
}

impl Operator {
    fn meaning(self) -> &'static str {
        match self {
            Operator::Grad => {
                "the gradient of (f | e) with respect to the variable v: the transposed derivative \
                 applied to e. Without e, f is a scalar and e is 1"
            }
            Operator::GradSaved => "`Grad`, which reads f0 where it needs f",
            Operator::Diff => "the derivative of f where v moves in the direction u",
            Operator::DiffSaved => "`Diff`, which reads f0 where it needs f",
            Operator::GradMatrix => {
                "the gradients of all components of f, one after the other: dim f times dim v \
                 components"
            }
            Operator::Divergence => "the sum of the derivatives of f_k with respect to v_k",
            Operator::Laplacian => "the divergence of the gradient of the scalar f",
            Operator::Trace => {
                "the trace of the matrix of f, which is linear in v, its rows weighted by w"
            }
            Operator::Adjoint => "the transposed matrix of f, which is linear in v, applied to u",
            Operator::SumLin => {
                "the sum of the entries of the matrix of f, which is linear in v, rows weighted by \
                 wl and columns by wr"
            }
            Operator::Factorize => "f: equal parts of a formula are always computed once",
        }
    }
}

/// Every name.
pub fn names() -> impl Iterator<Item = &'static str> {
    FORMS.iter().flat_map(|form| form.names)
}

impl Evaluator<'_> {
    /// The value of a call.
    pub fn symbolic(&mut self, call: &Call<'_>, form: &'static Form) -> Result<Value> {
        let found = call.args.len();
        if !(form.arity[0]..=form.arity[1]).contains(&found) {
            let [least, most] = form.arity;
            let expected =
                if least == most { least.to_string() } else { format!("{least} to {most}") };
            let plural = if most == 1 { "" } else { "s" };
            let name = &call.name.text;
            let message = format!("`{name}` takes {expected} argument{plural}, but got {found}");
            return Diagnostic::new(code::ARITY, message, call.span)
                .help(format!("write `{name}{}`", form.usage))
                .fail();
        }
        if self.formula.len() >= MAX_NODES {
            let message = format!("the formula has more than {MAX_NODES} nodes");
            return Diagnostic::new(code::SIZE_LIMIT, message, call.span)
                .help("use smaller dimensions, or split it into several formulas")
                .fail();
        }
        let before = self.formula.len();
        let value = self.argument(call, 0)?;
        if self.formula.kind(value) == Kind::Int {
            let message = "integers have no derivative";
            return Diagnostic::new(code::NO_GRADIENT, message, call.span(0)).fail();
        }
        let result = match form.operator {
            Operator::Factorize => self.apply_operator(call, form.operator, value)?,
            operator if self.takes_complex(call) => self.of_complex(call, operator, value)?,
            operator => self.apply_operator(call, operator, value)?,
        };
        self.charge(self.formula.len().saturating_sub(before), call.span)?;
        Ok(Value::Expr(result))
    }

    fn takes_complex(&self, call: &Call<'_>) -> bool {
        let all = (0..call.args.len()).flat_map(|n| members(call, n));
        all.into_iter().any(|id| self.is_of(call.done.value(id), Kind::Complex))
    }

    /// A derivative of or by a complex value, which is one of the reals that it is made of. The
    /// gradient by a complex variable is `d/dx + i d/dy`.
    fn of_complex(&mut self, call: &Call<'_>, operator: Operator, value: ExprId) -> Result<ExprId> {
        let name = &call.name.text;
        let reals = match self.formula.kind(value) {
            Kind::Complex => self.formula.apply(Op::AsReal, &[value], &[]),
            _ => value,
        };
        match operator {
            Operator::Grad => {
                let variable = self.variable_of(call, call.args[1], value)?;
                if call.args.len() < 3 && reals != value {
                    let message = format!("`{name}` needs a seed, for the value is complex");
                    return Diagnostic::new(code::SHAPE, message, call.span(0))
                        .help(format!("write `{name}(f, v, e)` with a complex e"))
                        .fail();
                }
                let seed = self.seed(call, self.formula.dim(value))?;
                self.same_kind(call, 2, seed, (value, "the value"))?;
                let seed = typed::as_real(&mut self.formula, seed);
                let found = operators::grad(&mut self.formula, reals, variable, seed);
                let found = self.derived(call, found)?;
                Ok(self.as_kind_of(found, variable))
            }
            Operator::Diff => {
                let mut directions = self.directions(call, value)?;
                for (variable, direction) in &mut directions {
                    self.same_kind(call, 2, *direction, (*variable, "the variable"))?;
                    *direction = typed::as_real(&mut self.formula, *direction);
                }
                let found = operators::diff(&mut self.formula, reals, &directions);
                let found = self.derived(call, found)?;
                Ok(self.as_kind_of(found, value))
            }
            _ => {
                let message = format!("`{name}`: not defined for complex values");
                Diagnostic::new(code::COMPLEX, message, call.name.span)
                    .help("differentiate real(f) and imag(f), with real variables x and y of z")
                    .fail()
            }
        }
    }

    fn as_kind_of(&mut self, reals: ExprId, like: ExprId) -> ExprId {
        match self.formula.kind(like) {
            Kind::Complex => typed::as_complex(&mut self.formula, reals),
            _ => reals,
        }
    }

    fn same_kind(
        &self,
        call: &Call<'_>,
        n: usize,
        id: ExprId,
        (like, what): (ExprId, &str),
    ) -> Result<()> {
        let [found, wanted] = [id, like].map(|id| match self.formula.kind(id) {
            Kind::Complex => "complex",
            _ => "real",
        });
        if found == wanted || n >= call.args.len() {
            return Ok(());
        }
        let message =
            format!("`{}`: argument {} is {found}, but {what} is {wanted}", call.name.text, n + 1);
        Diagnostic::new(code::COMPLEX, message, call.span(n))
            .label(found)
            .help("write `complex(x, 0)` for a real, real(z) for a complex value")
            .fail()
    }

    fn apply_operator(
        &mut self,
        call: &Call<'_>,
        operator: Operator,
        value: ExprId,
    ) -> Result<ExprId> {
        let dim = self.formula.dim(value);
        if let Operator::Factorize = operator {
            for n in 1..call.args.len() {
                self.argument(call, n)?;
            }
            return Ok(value);
        }
        if let Operator::Diff | Operator::DiffSaved = operator {
            let directions = self.directions(call, value)?;
            let found = operators::diff(&mut self.formula, value, &directions);
            let found = self.derived(call, found)?;
            return self.with_saved(call, operator, value, found);
        }
        let variable = self.variable_of(call, call.args[1], value)?;
        let own = self.formula.dim(variable);
        let found = match operator {
            Operator::Grad | Operator::GradSaved => {
                let seed = self.seed(call, dim)?;
                operators::grad(&mut self.formula, value, variable, seed)
            }
            Operator::GradMatrix => operators::grad_matrix(&mut self.formula, value, variable),
            Operator::Divergence => {
                self.fits(call, 0, dim, &[own], "the variable")?;
                operators::divergence(&mut self.formula, value, variable)
            }
            Operator::Laplacian => {
                if dim != 1 {
                    return misfit(call, 0, format!("{dim} components, but a scalar is needed"));
                }
                operators::laplacian(&mut self.formula, value, variable)
            }
            Operator::Trace => {
                self.fits(call, 0, dim, &[1, own], "the variable")?;
                let weight = self.optional(call, 2, own, "the variable")?;
                operators::trace_operator(&mut self.formula, value, variable, weight)
            }
            Operator::Adjoint => {
                let seed = self.sized(call, 2, dim, "the value")?;
                operators::adjoint_operator(&mut self.formula, value, variable, seed)
            }
            Operator::SumLin => {
                let left = self.optional(call, 2, dim, "the value")?;
                let right = self.optional(call, 3, own, "the variable")?;
                operators::sum_lin_operator(&mut self.formula, value, variable, left, right)
            }
            Operator::Diff | Operator::DiffSaved | Operator::Factorize => Ok(value),
        };
        let found = self.derived(call, found)?;
        self.with_saved(call, operator, value, found)
    }

    /// Says where in the text a derivative does not exist.
    fn derived(
        &self,
        call: &Call<'_>,
        found: std::result::Result<ExprId, GradError>,
    ) -> Result<ExprId> {
        let what = &call.name.text;
        found.map_err(|e| gradients::explain(&e, what, call.span, &self.spans).into())
    }

    /// Puts the saved result in the place of the value that was differentiated.
    fn with_saved(
        &mut self,
        call: &Call<'_>,
        operator: Operator,
        value: ExprId,
        found: ExprId,
    ) -> Result<ExprId> {
        if !matches!(operator, Operator::GradSaved | Operator::DiffSaved) {
            return Ok(found);
        }
        let dim = self.formula.dim(value);
        let saved = self.sized(call, 3, dim, "the value")?;
        let (own, other) = (self.formula.stratum(value), self.formula.stratum(saved));
        if !own.holds(other) {
            let message = format!("the saved value varies with {other}, but the value with {own}");
            return Diagnostic::new(code::PLACE, message, call.span(3)).fail();
        }
        Ok(operators::replace(&mut self.formula, found, value, saved))
    }

    /// The variable that a derivative is taken with respect to: an input, or a name.
    fn variable_of(&mut self, call: &Call<'_>, at: NodeId, value: ExprId) -> Result<ExprId> {
        let wrong = |label: &str| {
            let message = format!("`{}` needs a variable to differentiate by", call.name.text);
            Diagnostic::new(code::WRT, message, call.done.span(at))
                .label(label)
                .help("write the name of an input, or of a `let` that takes part in the value")
        };
        let Value::Expr(id) = call.done.value(at) else {
            return wrong("no variable").fail();
        };
        if self.formula.kind(*id) == Kind::Int {
            return wrong("integers").fail();
        }
        if matches!(self.formula.node(*id), Node::Input(_)) {
            return Ok(*id);
        }
        if !matches!(call.done.kind(at), NodeKind::Name(_)) {
            return wrong("an expression").fail();
        }
        if self.formula.kind(*id) == Kind::Complex {
            return wrong("complex, and no input").fail();
        }
        if !self.formula.reachable([value])[id.index()] {
            return wrong("the value does not contain it").fail();
        }
        Ok(*id)
    }

    /// Variables and directions, one of each or a pair of each.
    fn directions(&mut self, call: &Call<'_>, value: ExprId) -> Result<Vec<(ExprId, ExprId)>> {
        let (variables, directions) = (members(call, 1), members(call, 2));
        if variables.len() != directions.len() {
            let message = format!(
                "{} variable{} for {} direction{}",
                variables.len(),
                if variables.len() == 1 { "" } else { "s" },
                directions.len(),
                if directions.len() == 1 { "" } else { "s" },
            );
            return Diagnostic::new(code::ARITY, message, call.span(2))
                .help("write `diff(f, (x, y), (u, w))` for two")
                .fail();
        }
        let mut list = Vec::new();
        for (at, to) in variables.into_iter().zip(directions) {
            let variable = self.variable_of(call, at, value)?;
            let direction = self.node(call.done, to)?;
            let (own, found) = (self.formula.dim(variable), self.formula.dim(direction));
            if own != found {
                let message = format!(
                    "`{}`: the direction has {found} components, but the variable {own}",
                    call.name.text
                );
                return Diagnostic::new(code::SHAPE, message, call.done.span(to))
                    .related(call.done.span(at), format!("{own} components"))
                    .fail();
            }
            list.push((variable, direction));
        }
        Ok(list)
    }

    /// What the gradient is multiplied with; a scalar needs none.
    fn seed(&mut self, call: &Call<'_>, dim: usize) -> Result<ExprId> {
        if call.args.len() > 2 {
            return self.sized(call, 2, dim, "the value");
        }
        if dim == 1 {
            return Ok(self.formula.constant(1.0));
        }
        let name = &call.name.text;
        let message = format!("`{name}` needs a seed, for the value has {dim} components");
        Diagnostic::new(code::SHAPE, message, call.span(0))
            .help(format!("write `{name}(f, v, e)` with an e of {dim} components"))
            .note("`grad_matrix(f, v)` gives the gradients of all components")
            .fail()
    }

    /// An argument of a dim.
    fn sized(&mut self, call: &Call<'_>, n: usize, dim: usize, like: &str) -> Result<ExprId> {
        let id = self.argument(call, n)?;
        self.fits(call, n, self.formula.dim(id), &[dim], like)?;
        Ok(id)
    }

    /// An argument that may be left out, be a scalar, or have the dim of something.
    fn optional(&mut self, call: &Call<'_>, n: usize, dim: usize, like: &str) -> Result<ExprId> {
        if n >= call.args.len() {
            return Ok(self.formula.constant(1.0));
        }
        let id = self.argument(call, n)?;
        self.fits(call, n, self.formula.dim(id), &[1, dim], like)?;
        Ok(id)
    }

    fn fits(
        &self,
        call: &Call<'_>,
        n: usize,
        found: usize,
        wanted: &[usize],
        like: &str,
    ) -> Result<()> {
        if wanted.contains(&found) {
            return Ok(());
        }
        let most = wanted.last().copied().unwrap_or(1);
        misfit(call, n, format!("{found} components, but {like} {most}"))
    }
}

/// An argument, or the members of a pair.
fn members(call: &Call<'_>, n: usize) -> Vec<NodeId> {
    match call.done.kind(call.args[n]) {
        NodeKind::Pair(a, b) => vec![*a, *b],
        _ => vec![call.args[n]],
    }
}

fn misfit<T>(call: &Call<'_>, n: usize, why: String) -> Result<T> {
    let message = format!("`{}`: argument {} has {why}", call.name.text, n + 1);
    Diagnostic::new(code::SHAPE, message, call.span(n)).fail()
}
