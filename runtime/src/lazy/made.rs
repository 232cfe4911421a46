//! Formulas of files, made for sizes that are known at run time only. Goes in: a formula with its
//! text, and sizes. Comes out: what runs it: its names and shapes, and code of the tiers that
//! expressions have. What was made once is found at once the next time. It never makes what was
//! compiled for these sizes, and never keeps more than a number of formulas.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use smallvec::SmallVec;
use tilefold_compiler::front::{self, Instance};
use tilefold_compiler::{passes, schedule};

use super::quick::Quick;
use super::resolve::{Code, Known, MOST};
use crate::element::Dtype;
use crate::error::{self, Error};
use crate::kernel::{Kernel, OwnedKernel};
use crate::open::OpenFormula;
use crate::options::{Options, Policy};
use crate::words;

/// A formula that was made for its sizes.
pub(crate) struct MadeFormula {
    open: &'static OpenFormula,
    dims: Box<[usize]>,
    known: Known,
    /// Names and shapes as the file has them: those of a linked kernel may be others. No code.
    interface: OwnedKernel,
}

/// By the address of the formula, the dtype and the sizes.
type Table = HashMap<Box<[usize]>, Arc<MadeFormula>, Quick>;

static MADE: RwLock<Option<Table>> = RwLock::new(None);

/// Forgets what was made, as more formulas are linked now.
pub(super) fn forget() {
    *MADE.write().unwrap_or_else(PoisonError::into_inner) = None;
}

/// A formula for these sizes, one for each generic, and how many seconds it took to make it.
pub(crate) fn made(
    open: &'static OpenFormula,
    dtype: Dtype,
    dims: &[(&str, usize)],
) -> Result<(Arc<MadeFormula>, f64), Error> {
    let start = Instant::now();
    let mut key: SmallVec<[usize; 8]> = SmallVec::new();
    key.extend([std::ptr::from_ref(open) as usize, dtype as usize]);
    key.extend(dims.iter().map(|&(_, size)| size));
    let guard = MADE.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(made) = guard.as_ref().and_then(|table| table.get(key.as_slice())) {
        return Ok((made.clone(), 0.0));
    }
    drop(guard);
    let made = Arc::new(MadeFormula::new(open, dtype, &key[2..])?);
    let mut guard = MADE.write().unwrap_or_else(PoisonError::into_inner);
    let table = guard.get_or_insert_default();
    if table.len() >= MOST {
        table.clear();
    }
    // Whoever was first: what it has compiled by now is not thrown away.
    let made = table.entry(key.as_slice().into()).or_insert(made).clone();
    Ok((made, start.elapsed().as_secs_f64()))
}

impl MadeFormula {
    fn new(open: &'static OpenFormula, dtype: Dtype, dims: &[usize]) -> Result<MadeFormula, Error> {
        let instance = front::instance(open.text, open.name, dims)
            .map_err(|why| words::open::text(open, dims, &why))?;
        let Instance { formula, derivatives, .. } = instance;
        let formula = match open.derivative {
            None => Some(formula),
            Some(title) => derivatives.into_iter().find(|d| d.title == title).map(|d| d.formula),
        };
        let formula = formula.ok_or_else(|| words::open::no_derivative(open))?;
        let known = Known::of(formula, dtype)?;
        let plan = schedule::plan(passes::optimize(known.formula()));
        let no_ops = vec![0.0; plan.stages.len()];
        let interface = OwnedKernel::new(known.formula(), &plan, known.storage(), &no_ops)?;
        Ok(MadeFormula { open, dims: dims.into(), known, interface })
    }

    /// What the arrays of a call must be. It has no code.
    pub fn kernel(&self) -> &Kernel {
        self.interface.kernel()
    }

    /// Code of the first tier that is allowed and has any, for a call of so many pairs.
    pub fn code(&self, pairs: f64, options: &Options) -> Result<Code<'_>, Error> {
        self.known.code(pairs, options).map_err(|why| match why.code() {
            error::Code::NoExecutor => {
                let on_cuda = options.policy == Policy::Cuda;
                words::open::no_executor(self.open, &self.dims, on_cuda)
            }
            _ => why,
        })
    }
}

impl fmt::Debug for MadeFormula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MadeFormula({:?})", self.kernel())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::Formula;

    static NORMS: Formula =
        Formula { name: "norms", file: "norms.fold", generics: &["D"], instances: &[] };
    static OPEN: OpenFormula = OpenFormula {
        compiled: &NORMS,
        text: "tilefold 1; formula norms<D: dyn> { y[j] : R^D; a = sum[j] sqnorm2(y); }",
        name: "norms",
        derivative: None,
        members: &[None],
        dtypes: &[Dtype::F32, Dtype::F64],
    };

    fn of(dtype: Dtype, size: usize) -> Arc<MadeFormula> {
        made(&OPEN, dtype, &[("y", size)]).expect("a formula of any size").0
    }

    #[test]
    fn formulas_are_made_once_and_few_are_kept() {
        let first = of(Dtype::F64, 5);
        assert!(Arc::ptr_eq(&first, &of(Dtype::F64, 5)));
        for other in [of(Dtype::F32, 5), of(Dtype::F64, 6)] {
            assert!(!Arc::ptr_eq(&first, &other));
        }
        for size in 1..=MOST + 5 {
            of(Dtype::F32, size);
        }
        let kept = MADE.read().unwrap().as_ref().map_or(0, Table::len);
        assert!((1..=MOST).contains(&kept), "{kept}");
        // It was thrown away, but who holds it may go on.
        assert!(!Arc::ptr_eq(&first, &of(Dtype::F64, 5)));
        assert_eq!(first.kernel().inputs().next().unwrap().dim, 5);
    }
}
