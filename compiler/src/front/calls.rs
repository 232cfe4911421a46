//! Calls: operations of the table, functions of the file, `softmax`, and what has no meaning yet.
//!
//! In go a name and its arguments; out comes a value. Names of operations and reductions come
//! from their tables, so a new row there is callable here without a change.

use crate::diag::{Diagnostic, Span, code};
use crate::ir::{ExprId, Kind};
use crate::ops::{LISTS, Op, pack_lists};
use crate::reduce::Reducer;

use super::ast::{Fold, Ident, NodeId};
use super::functions::Functions;
use super::instances::Dims;
use super::value::{Done, Evaluator, Value};
use super::{Result, keops, names, symbolic};

/// Whether a name is a function of the language.
pub fn is_known(name: &str) -> bool {
    Op::by_name(name).is_some()
        || name == "softmax"
        || keops::is_form(name)
        || symbolic::find(name).is_some()
}

/// Whether a name is a reduction.
pub fn is_reduction(name: &str) -> bool {
    reducer_names().any(|known| known == name)
}

/// Checks that a name can be called, without looking at the arguments.
pub fn check_known(name: &Ident, functions: &Functions<'_>) -> Result<()> {
    let text = name.text.as_str();
    if is_known(text) {
        return Ok(());
    }
    if text == "pos" {
        return Diagnostic::new(code::INDEX, "`pos` takes an index", name.span)
            .help("write `pos(i)` or `pos(j)`")
            .fail();
    }
    let diagnostic =
        Diagnostic::new(code::UNKNOWN_FUNCTION, format!("unknown function `{text}`"), name.span);
    if is_reduction(text) {
        return diagnostic
            .label("a reduction needs an index")
            .help(format!("write `{text}[j] …` to reduce over j"))
            .fail();
    }
    let operations = Op::ALL.iter().map(|op| op.def());
    let spellings = operations.flat_map(|def| def.aliases.iter().copied().chain([def.name]));
    let mut candidates: Vec<&str> = symbolic::names().chain(["softmax"]).collect();
    candidates.extend(spellings.chain(functions.names()));
    names::suggest(diagnostic.label("not defined"), text, candidates).fail()
}

/// The reduction of a name that takes this many arguments.
pub fn reducer(name: &str, arity: usize) -> Option<Reducer> {
    Reducer::ALL.iter().copied().find(|r| r.def().name == name && r.def().arity == arity)
}

fn reducer_names() -> impl Iterator<Item = &'static str> {
    Reducer::ALL.iter().map(|r| r.def().name)
}

/// Why no reduction fits.
pub fn no_reducer(fold: &Fold, found: usize, span: Span) -> Diagnostic {
    let name = fold.name.text.as_str();
    if !is_reduction(name) {
        let message = format!("unknown reduction `{name}`");
        let diagnostic = Diagnostic::new(code::UNKNOWN_REDUCTION, message, fold.name.span);
        let mut known: Vec<&str> = reducer_names().collect();
        known.dedup();
        return names::suggest(diagnostic, name, reducer_names())
            .note(format!("the reductions are {}", known.join(", ")));
    }
    let (expected, form) = match found {
        1 => ("2 operands", format!("write `{name}[{}](a, b)`", fold.axis)),
        _ => ("1 operand", format!("write `{name}[{}] a`", fold.axis)),
    };
    Diagnostic::new(code::ARITY, format!("`{name}` takes {expected}, but got {found}"), span)
        .help(form)
}

/// How many entries a reduction keeps: `K` in `kmin[j; K]`, 0 where it keeps one.
pub fn entries(fold: &Fold, reducer: Reducer, dims: &Dims<'_>) -> Result<usize> {
    let name = &fold.name;
    match (&fold.keep, reducer.def().takes_k) {
        (Some(size), true) => dims.count(size),
        (None, false) => Ok(0),
        (None, true) => {
            let message = format!("`{}` needs the number of entries to keep", name.text);
            Diagnostic::new(code::ARITY, message, name.span)
                .help(format!("write `{}[{}; 10]`", name.text, fold.axis))
                .fail()
        }
        (Some(size), false) => {
            let message = format!("`{}` does not take a number of entries", name.text);
            let takers = Reducer::ALL.iter().map(|r| r.def()).filter(|def| def.takes_k);
            let names: Vec<&str> = takers.map(|def| def.name).collect();
            Diagnostic::new(code::ARITY, message, size.span)
                .help(format!("only {} do", names.join(", ")))
                .fail()
        }
    }
}

/// A call that is being evaluated.
pub struct Call<'a> {
    /// The name, as it is called.
    pub name: &'a Ident,
    /// What is known of the operands.
    pub done: &'a Done<'a>,
    /// The arguments.
    pub args: &'a [NodeId],
    /// The whole call.
    pub span: Span,
}

impl Call<'_> {
    /// Checks the number of arguments.
    pub fn arity(&self, expected: usize) -> Result<()> {
        let found = self.args.len();
        if found == expected {
            return Ok(());
        }
        let plural = if expected == 1 { "" } else { "s" };
        let message =
            format!("`{}` takes {expected} argument{plural}, but got {found}", self.name.text);
        Diagnostic::new(code::ARITY, message, self.span).fail()
    }

    /// An argument.
    pub fn value(&self, n: usize) -> &Value {
        self.done.value(self.args[n])
    }

    /// Where an argument stands.
    pub fn span(&self, n: usize) -> Span {
        self.done.span(self.args[n])
    }

    /// An argument that has to be a list of literal integers.
    pub fn list(&self, n: usize) -> Result<&[i64]> {
        match self.value(n) {
            Value::List(items) => Ok(items),
            _ => Diagnostic::new(
                code::LITERAL_ARGUMENT,
                format!("argument {} of `{}` must be a list of integers", n + 1, self.name.text),
                self.span(n),
            )
            .label("not a list, such as `[2, 3]`")
            .fail(),
        }
    }

    /// An argument that has to be a literal integer.
    pub fn integer(&self, n: usize) -> Result<i64> {
        match self.value(n) {
            Value::Number(number) if number.integer.is_some() => {
                Ok(number.integer.unwrap_or_default())
            }
            _ => Diagnostic::new(
                code::LITERAL_ARGUMENT,
                format!("argument {} of `{}` must be a literal integer", n + 1, self.name.text),
                self.span(n),
            )
            .label("not an integer known when the formula is compiled")
            .fail(),
        }
    }
}

impl Evaluator<'_> {
    /// The value of a call.
    pub fn call(
        &mut self,
        name: &Ident,
        done: &Done<'_>,
        args: &[NodeId],
        span: Span,
    ) -> Result<Value> {
        let call = Call { name, done, args, span };
        if self.functions.get(&name.text).is_some() {
            return self.expand(&call);
        }
        check_known(name, self.functions)?;
        if name.text == "softmax" {
            return self.softmax(&call);
        }
        match (Op::by_name(&name.text), symbolic::find(&name.text)) {
            (Some(op), _) => self.operation(&call, op),
            (None, Some(form)) => self.symbolic(&call, form),
            (None, None) => self.keops_form(&call),
        }
    }

    /// An argument as a node.
    pub fn argument(&mut self, call: &Call<'_>, n: usize) -> Result<ExprId> {
        self.expr(call.value(n), call.span(n))
    }

    fn softmax(&mut self, call: &Call<'_>) -> Result<Value> {
        call.arity(1)?;
        let score = self.argument(call, 0)?;
        if self.formula.kind(score) == Kind::Complex {
            return Diagnostic::new(
                code::COMPLEX,
                "the score of `softmax` must be real, but it is complex",
                call.span(0),
            )
            .label("complex")
            .help("use real(z), imag(z) or abs(z)")
            .fail();
        }
        match self.formula.dim(score) {
            1 => Ok(Value::Softmax { score, weight: None }),
            dim => Diagnostic::new(
                code::SHAPE,
                format!("the score of `softmax` must be a scalar, but it has {dim} components"),
                call.span(0),
            )
            .label(format!("{dim} components"))
            .help("a softmax runs over the rows of a sum, not over components")
            .fail(),
        }
    }

    fn operation(&mut self, call: &Call<'_>, op: Op) -> Result<Value> {
        let found = call.args.len();
        let op = of_two(op, found);
        let def = op.def();
        let fits = match def.params {
            LISTS => found > def.arity,
            params => found == def.arity + params,
        };
        if op == Op::Concat && found > 2 {
            return self.concat(call);
        }
        if !fits {
            return self.wrong_arity(call, op).fail();
        }
        let mut args = Vec::with_capacity(def.arity);
        for n in 0..def.arity {
            args.push(self.argument(call, n)?);
        }
        let literals = def.arity..found;
        let params: Vec<i64> = match def.params {
            LISTS => {
                let lists = literals.map(|n| call.list(n)).collect::<Result<Vec<_>>>()?;
                pack_lists(&lists)
            }
            _ => literals.map(|n| call.integer(n)).collect::<Result<_>>()?,
        };
        let built = self.formula.op(op, &args, &params);
        Ok(Value::Expr(self.built(built, call.done, &call.args[..def.arity])?))
    }

    /// `concat` of more than two values: one after the other.
    fn concat(&mut self, call: &Call<'_>) -> Result<Value> {
        let mut all = self.argument(call, 0)?;
        for n in 1..call.args.len() {
            let next = self.argument(call, n)?;
            let built = self.formula.op(Op::Concat, &[all, next], &[]);
            all = self.built(built, call.done, &call.args[n..=n])?;
        }
        Ok(Value::Expr(all))
    }

    fn wrong_arity(&self, call: &Call<'_>, op: Op) -> Diagnostic {
        let def = op.def();
        let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let expected = match def.params {
            0 => plural(def.arity, "argument"),
            LISTS => format!("{} and lists of integers", plural(def.arity, "argument")),
            params => format!(
                "{} and {}",
                plural(def.arity, "argument"),
                plural(params, "literal integer")
            ),
        };
        let found = call.args.len();
        let message = format!("`{}` takes {expected}, but got {found}", call.name.text);
        let diagnostic = Diagnostic::new(code::ARITY, message, call.span).note(def.doc);
        match op {
            Op::MaxOf => diagnostic.help("`max(a, b)` is the larger of two; nest it for more"),
            Op::MinOf => diagnostic.help("`min(a, b)` is the smaller of two; nest it for more"),
            _ => diagnostic,
        }
    }
}

/// `min(a, b)` and `max(a, b)` are component by component; of one argument they are its least and
/// its greatest component.
fn of_two(op: Op, arguments: usize) -> Op {
    match (op, arguments) {
        (Op::MaxOf, 2) => Op::Maximum,
        (Op::MinOf, 2) => Op::Minimum,
        _ => op,
    }
}
