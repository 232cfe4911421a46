//! The formulas that were compiled ahead of time. Goes in: the tables of generated crates. Comes
//! out: the instance with a key. It never compiles, and never finds formulas by itself: a program
//! says which crates take part.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::element::Dtype;
use crate::formula::{Formula, Instance};

type Table = HashMap<([u8; 32], Dtype), &'static Instance>;

static LINKED: RwLock<Option<Table>> = RwLock::new(None);

/// Lets expressions run the formulas of a generated crate: pass its `FORMULAS`. Doing it again
/// changes nothing. Without it, expressions are compiled when they are met, or interpreted.
///
/// ```
/// tilefold::register(&[]);
/// ```
pub fn register(formulas: &[&[&'static Formula]]) {
    let mut guard = LINKED.write().unwrap_or_else(PoisonError::into_inner);
    let table = guard.get_or_insert_default();
    let before = table.len();
    let formulas = formulas.iter().flat_map(|module| module.iter());
    for instance in formulas.flat_map(|formula| formula.instances) {
        if let Some(lookup) = instance.lookup() {
            table.entry((*lookup.key, instance.dtype())).or_insert(instance);
        }
    }
    if table.len() > before {
        drop(guard);
        super::resolve::forget();
    }
}

/// The instance that was compiled from a formula.
pub(super) fn find(key: &[u8; 32], dtype: Dtype) -> Option<&'static Instance> {
    let guard = LINKED.read().unwrap_or_else(PoisonError::into_inner);
    guard.as_ref()?.get(&(*key, dtype)).copied()
}
