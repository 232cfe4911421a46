//! Requests for gradients: `grad a wrt x, y;`.
//!
//! In goes a request and the finished formula; out comes the same request, known to make sense:
//! the output and the inputs are there, they depend on each other, the names that the gradient
//! introduces are free, and the reductions on the way have gradients. The gradient itself is
//! derived by [`crate::passes`].

use std::collections::BTreeMap;

use crate::diag::{Diagnostic, Span, code};
use crate::ir::{ExprId, Formula, Kind, Node};
use crate::ops::Grad;
use crate::reduce::ReduceGrad;

use super::ast::Ident;
use super::{GradRequest, Result, names};

/// `grad output wrt …;` as it is written.
pub struct Request<'a> {
    /// The output.
    pub output: &'a Ident,
    /// The inputs.
    pub wrt: &'a [Ident],
    /// The whole statement.
    pub span: Span,
    /// The requests that were checked before.
    pub before: &'a [GradRequest],
}

/// What a request is checked against.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The finished formula.
    pub formula: &'a Formula,
    /// Its inputs.
    pub inputs: &'a [(&'a Ident, ExprId)],
    /// The names that are taken, and where.
    pub places: &'a BTreeMap<&'a str, Span>,
}

impl Request<'_> {
    /// Checks that the gradient exists and that its names are free.
    pub fn check(&self, facts: Facts<'_>) -> Result<GradRequest> {
        let (output, formula) = (self.output, facts.formula);
        let Some(target) = formula.outputs.iter().find(|o| o.name == output.text) else {
            let outputs = formula.outputs.iter().map(|o| o.name.as_str());
            return unknown(output, "an output", outputs).fail();
        };
        if formula.kind(target.expr) == Kind::Int {
            let message = format!("`{}` holds integers, which have no gradient", output.text);
            return Diagnostic::new(code::NO_GRADIENT, message, output.span).fail();
        }
        let reachable = formula.reachable([target.expr]);
        let mut sources = Vec::new();
        for (n, name) in self.wrt.iter().enumerate() {
            sources.push(self.source(name, facts, &reachable)?);
            if self.asked_before(n) {
                let message =
                    format!("the gradient with respect to `{}` is asked twice", name.text);
                return Diagnostic::new(code::DUPLICATE, message, name.span).fail();
            }
            free(name, facts)?;
        }
        free(output, facts)?;
        self.differentiable(formula, target.expr, &sources)?;
        let wrt = self.wrt.iter().map(|w| w.text.clone()).collect();
        Ok(GradRequest { output: output.text.clone(), wrt })
    }

    /// The input that the gradient is taken with respect to.
    fn source(&self, name: &Ident, facts: Facts<'_>, reachable: &[bool]) -> Result<ExprId> {
        let Some((_, id)) = facts.inputs.iter().find(|(input, _)| input.text == name.text) else {
            let inputs = facts.inputs.iter().map(|(input, _)| input.text.as_str());
            return unknown(name, "an input", inputs).fail();
        };
        if facts.formula.kind(*id) == Kind::Int {
            let message = format!("`{}` holds integers, which have no gradient", name.text);
            return Diagnostic::new(code::NO_GRADIENT, message, name.span)
                .help("delete it from the list")
                .fail();
        }
        if reachable[id.index()] {
            return Ok(*id);
        }
        let message = format!("`{}` does not depend on `{}`", self.output.text, name.text);
        Diagnostic::new(code::GRADIENT_NAME, message, name.span)
            .label("the gradient would be zero")
            .help("delete it from the list")
            .fail()
    }

    /// Whether an input was named already, here or in an earlier request for the same output.
    fn asked_before(&self, n: usize) -> bool {
        let name = &self.wrt[n].text;
        let earlier = self.before.iter().filter(|g| g.output == self.output.text);
        earlier.flat_map(|g| &g.wrt).any(|w| w == name)
            || self.wrt[..n].iter().any(|w| w.text == *name)
    }

    /// Checks that no reduction on the way from the inputs to the output lacks a gradient.
    fn differentiable(&self, formula: &Formula, root: ExprId, sources: &[ExprId]) -> Result<()> {
        let reachable = formula.reachable([root]);
        let mut varies = vec![false; formula.len()];
        for id in formula.ids().filter(|id| reachable[id.index()]) {
            let through = |args: &[ExprId]| args.iter().any(|arg| varies[arg.index()]);
            let value = match formula.node(id) {
                Node::Op(op, args, _) => !matches!(op.def().grad, Grad::Zero) && through(args),
                Node::Reduce(r) => match r.reducer.def().grad {
                    ReduceGrad::Vjp(_) => through(&r.args),
                    ReduceGrad::Zero => false,
                    ReduceGrad::None(instead) if through(&r.args) => {
                        let message = format!("`{}` has no gradient", r.reducer.def().name);
                        return Diagnostic::new(code::NO_GRADIENT, message, self.span)
                            .help(instead)
                            .fail();
                    }
                    ReduceGrad::None(_) => false,
                },
                Node::Input(_) => sources.contains(&id),
                Node::Const(_) | Node::Pos(_) => false,
            };
            varies[id.index()] = value;
        }
        Ok(())
    }
}

fn unknown<'a>(
    name: &Ident,
    what: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let message = format!("`{}` is not {what}", name.text);
    let diagnostic = Diagnostic::new(code::GRADIENT_NAME, message, name.span);
    names::suggest(diagnostic, &name.text, candidates)
}

/// Checks that the name that a gradient introduces for an array is not taken.
fn free(name: &Ident, facts: Facts<'_>) -> Result<()> {
    let introduced = format!("d_{}", name.text);
    let Some(place) = facts.places.get(introduced.as_str()) else { return Ok(()) };
    Diagnostic::new(
        code::DUPLICATE,
        format!("the gradient introduces the name `{introduced}`, which is taken"),
        name.span,
    )
    .related(*place, "defined here")
    .help("rename it")
    .fail()
}
