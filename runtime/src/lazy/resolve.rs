//! From an expression to code. Goes in: a flat expression and the tiers that are allowed. Comes
//! out: a kernel, the order of its inputs, and which tier it is of. What was found once is found
//! at once the next time. It never runs a kernel.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tilefold_compiler::ir::{self, Formula};
use tilefold_compiler::passes;

use super::flat::{Flat, Manner, Unbuilt};
use super::{registry, words};
use crate::element::{Dtype, Element};
use crate::error::Error;
use crate::kernel::Kernel;
use crate::record;

/// Most expressions that are remembered.
const MOST: usize = 1024;

/// An expression that was met before.
pub(super) struct Known {
    pub formula: Formula,
    pub storage: ir::Storage,
    /// The kernel that is linked, and for each of its inputs the input of the expression.
    linked: Option<(&'static Kernel, Vec<usize>)>,
}

/// Expressions by their structure.
type Table = HashMap<Box<[u8]>, Arc<Known>>;

static KNOWN: RwLock<Option<Table>> = RwLock::new(None);

/// Forgets what is known, as more formulas are linked now.
pub(super) fn forget() {
    *KNOWN.write().unwrap_or_else(PoisonError::into_inner) = None;
}

/// What is known of an expression.
pub(super) fn known<T: Element>(
    flat: &Flat<'_, '_, T>,
    manner: Manner,
) -> Result<Arc<Known>, Error> {
    let guard = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = guard.as_ref().and_then(|table| table.get(flat.structure.as_slice())) {
        return Ok(known.clone());
    }
    drop(guard);
    let known = Arc::new(Known::new(flat, manner)?);
    let mut guard = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let table = guard.get_or_insert_default();
    if table.len() >= MOST {
        table.clear();
    }
    table.insert(flat.structure.as_slice().into(), known.clone());
    Ok(known)
}

impl Known {
    fn new<T: Element>(flat: &Flat<'_, '_, T>, manner: Manner) -> Result<Known, Error> {
        let formula = flat.formula(manner).map_err(|why| match why {
            Unbuilt::Misfit(why) => words::unbuilt(&why),
            Unbuilt::Derivative(why) => words::no_derivative(&why),
        })?;
        let storage = match T::DTYPE {
            Dtype::F16 => ir::Storage::F16,
            Dtype::BF16 => ir::Storage::BF16,
            Dtype::F32 => ir::Storage::F32,
            Dtype::F64 => ir::Storage::F64,
        };
        let linked = linked(&formula, T::DTYPE)?;
        if linked.is_none() {
            record::missed(&formula, storage);
        }
        Ok(Known { formula, storage, linked })
    }

    /// The kernel to run, and for each of its inputs the input of the expression.
    pub fn kernel(&self) -> Result<(&'static Kernel, &[usize]), Error> {
        match &self.linked {
            Some((kernel, order)) => Ok((*kernel, order)),
            None => Err(words::no_executor(&self.formula, self.storage)),
        }
    }
}

fn linked(formula: &Formula, dtype: Dtype) -> Result<Option<(&'static Kernel, Vec<usize>)>, Error> {
    let lookup = passes::lookup(formula);
    let Some(instance) = registry::find(lookup.key.bytes(), dtype) else { return Ok(None) };
    let kernel = instance.kernel()?;
    let listed = instance.lookup().map_or(&[][..], |lookup| lookup.inputs);
    // Input `n` of the looked-up formula is input `listed[n]` of the kernel and `lookup.inputs[n]`
    // of the expression.
    let from = |input: usize| listed.iter().position(|&n| n == input).map(|n| lookup.inputs[n]);
    let order: Option<Vec<usize>> = (0..kernel.n_inputs()).map(from).collect();
    Ok(order.map(|order| (kernel, order)))
}
