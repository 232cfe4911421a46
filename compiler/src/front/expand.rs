//! Calls of a file's own functions.
//!
//! In go a call and its arguments; out comes the value of the function's body. Bodies read nothing
//! but their arguments and the dimensions, so a call that was expanded before has the same value
//! again. It counts as if it were expanded anew: what a file may ask for does not depend on how it
//! is worked out.

use std::collections::HashMap;

use crate::diag::{Diagnostic, code};
use crate::ir::MAX_NODES;

use super::Result;
use super::calls::Call;
use super::functions;
use super::value::{Evaluator, MAX_CALLS, Scope, Value};

/// Most calls that an error inside functions points at, from the inside out.
const MAX_TRACE: usize = 4;

/// Most calls that are remembered, over all of an instance.
const MAX_KNOWN: usize = 1 << 12;

/// The calls that were expanded.
#[derive(Default)]
pub struct Expanded {
    /// By the place of the function's name in the text, and the arguments.
    known: HashMap<(usize, Vec<[u64; 3]>), Known>,
    /// How many calls are being expanded.
    depth: usize,
    /// The most calls that were nested in the one at hand.
    deepest: usize,
}

/// What came of a call.
struct Known {
    value: Value,
    /// The nodes of expressions that were evaluated.
    steps: usize,
    /// How deep calls are nested, this one included.
    depth: usize,
}

/// Words that are equal for equal arguments only; nothing for lists, which few functions take.
fn words(value: &Value) -> Option<[u64; 3]> {
    let index = |id: crate::ir::ExprId| id.index() as u64;
    Some(match value {
        Value::Expr(id) => [0, index(*id), 0],
        Value::Number(number) => match number.integer {
            Some(integer) => [1, number.value.to_bits(), integer as u64],
            None => [2, number.value.to_bits(), 0],
        },
        Value::Softmax { score, weight: None } => [3, index(*score), 0],
        Value::Softmax { score, weight: Some(weight) } => [4, index(*score), index(*weight)],
        Value::Pair(a, b) => [5, index(*a), index(*b)],
        Value::Both(a, b) => [6, index(*a), index(*b)],
        Value::List(_) => return None,
    })
}

impl Evaluator<'_> {
    /// The value of a call of a function of the file.
    pub fn expand(&mut self, call: &Call<'_>) -> Result<Value> {
        let functions = self.functions;
        let Some(function) = functions.get(&call.name.text) else {
            return Ok(Value::List(Vec::new()));
        };
        functions::check_arity(function, call.args.len(), call.span)?;
        if self.expanded.depth >= MAX_CALLS {
            let message = format!("calls are nested more than {MAX_CALLS} deep");
            return Diagnostic::new(code::NESTING_LIMIT, message, call.span)
                .help("name parts of the formula with `let`")
                .fail();
        }
        let arguments = (0..call.args.len()).map(|n| words(call.value(n))).collect::<Option<_>>();
        let key = arguments.map(|arguments| (function.name.span.start, arguments));
        if let Some(value) = key.as_ref().and_then(|key| self.again(key)) {
            return Ok(value);
        }
        let mut scope = Scope::default();
        for (n, param) in function.params.iter().enumerate() {
            scope.define(&param.text, Some(call.value(n).clone()));
        }
        let (depth, steps) = (self.expanded.depth, *self.steps);
        let outer = std::mem::replace(&mut self.expanded.deepest, depth + 1);
        self.expanded.depth += 1;
        let value = self.value(&function.body, &scope);
        self.expanded.depth = depth;
        let deepest = self.expanded.deepest;
        self.expanded.deepest = deepest.max(outer);
        if let (Some(key), Ok(value)) = (key, &value)
            && self.expanded.known.len() < MAX_KNOWN
        {
            let (steps, depth) = (steps - *self.steps, deepest - depth);
            self.expanded.known.insert(key, Known { value: value.clone(), steps, depth });
        }
        value.map_err(|mut errors| {
            for error in errors.0.iter_mut().filter(|error| error.related.len() < MAX_TRACE) {
                error
                    .related
                    .push((call.span.into(), format!("in this call of `{}`", call.name.text)));
            }
            errors
        })
    }

    /// The value of a call that was expanded before, unless a limit would be met inside it: then it
    /// is expanded again, so that the error says where.
    fn again(&mut self, key: &(usize, Vec<[u64; 3]>)) -> Option<Value> {
        let Expanded { known, depth, deepest } = &mut self.expanded;
        let known = known.get(key)?;
        let left = self.steps.checked_sub(known.steps)?;
        if *depth + known.depth > MAX_CALLS || self.formula.len() >= MAX_NODES {
            return None;
        }
        *self.steps = left;
        *deepest = (*deepest).max(*depth + known.depth);
        Some(known.value.clone())
    }
}
