//! From a formula to code. Goes in: a flat expression, or a formula that was made at run time, and
//! the tiers that are allowed. Comes out: a kernel, the order of its inputs, and which tier it is
//! of. What was found once is found at once the next time. It never runs a kernel by itself.

use std::borrow::Cow;
use std::collections::HashMap;
use std::env;
#[cfg(feature = "jit")]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use tilefold_compiler::ir::{self, Formula};
use tilefold_compiler::passes;

use super::flat::{Flat, Manner, Unbuilt};
use super::quick::Quick;
use super::{registry, words};
use crate::bind::Bound;
use crate::element::{Dtype, Element};
use crate::error::Error;
use crate::interp::Interpreted;
use crate::kernel::Kernel;
use crate::options::{Options, Policy, Tiers};
use crate::record;
use crate::report::{Report, Tier};
use crate::run::execute;

/// Most expressions that are remembered, and most formulas that were made.
pub(super) const MOST: usize = 1024;

/// An expression is compiled when this many operations of it were interpreted: that takes the
/// interpreter about as long as the compiler.
#[cfg(feature = "jit")]
const WORTH_COMPILING: f64 = 5e9;

/// A formula that was met before.
pub(super) struct Known {
    formula: Formula,
    storage: ir::Storage,
    /// The inputs in the order of the formula.
    plain: Vec<usize>,
    /// The kernel that is linked, and for each of its inputs the input of the formula.
    linked: Option<(&'static Kernel, Vec<usize>)>,
    interpreted: OnceLock<Result<Interpreted, Error>>,
    recorded: AtomicBool,
    /// For the CPU alone, and for the first device too.
    #[cfg(feature = "jit")]
    compiled: [OnceLock<Result<crate::jit::Ready, Error>>; 2],
    /// Operations a pair.
    #[cfg(feature = "jit")]
    pair_ops: f64,
    /// Operations that were interpreted.
    #[cfg(feature = "jit")]
    spent: AtomicU64,
}

/// Expressions by their structure.
type Table = HashMap<Box<[u32]>, Arc<Known>, Quick>;

static KNOWN: RwLock<Option<Table>> = RwLock::new(None);

/// Forgets what is known, as more formulas are linked now.
pub(super) fn forget() {
    *KNOWN.write().unwrap_or_else(PoisonError::into_inner) = None;
    #[cfg(feature = "text")]
    super::made::forget();
}

/// What is known of an expression.
pub(super) fn known<T: Element>(flat: &Flat<'_, T>, manner: Manner) -> Result<Arc<Known>, Error> {
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

/// Which tiers every expression may use, unless its options say otherwise. At first it is what
/// the environment variable `TILEFOLD_TIERS` lists (`linked,jit,interpreted`), or all.
///
/// ```
/// use tilefold::Tiers;
///
/// tilefold::allow(Tiers::LINKED | Tiers::INTERPRETED);
/// # tilefold::allow(Tiers::ALL);
/// ```
pub fn allow(tiers: Tiers) {
    ALLOWED.store(tiers.bits(), Ordering::Relaxed);
}

/// The tiers that [`allow`] said; before that, no bit.
static ALLOWED: AtomicU8 = AtomicU8::new(UNSAID);
const UNSAID: u8 = u8::MAX;

fn allowed() -> Result<Tiers, Error> {
    match ALLOWED.load(Ordering::Relaxed) {
        UNSAID => of_environment().clone(),
        bits => Ok(Tiers::of_bits(bits)),
    }
}

fn of_environment() -> &'static Result<Tiers, Error> {
    static TIERS: OnceLock<Result<Tiers, Error>> = OnceLock::new();
    TIERS.get_or_init(|| match env::var("TILEFOLD_TIERS") {
        Ok(list) if !list.trim().is_empty() => {
            Tiers::named(&list).ok_or_else(|| words::tiers(&list))
        }
        _ => Ok(Tiers::ALL),
    })
}

/// Code that is ready to run.
pub(crate) struct Code<'k> {
    pub kernel: &'k Kernel,
    /// For each input of the kernel, the input of the formula.
    pub order: &'k [usize],
    runner: Runner<'k>,
    pub tier: Tier,
    /// How long it took to have it.
    pub seconds: f64,
    note: Option<Cow<'static, str>>,
}

enum Runner<'k> {
    Native(&'static Kernel),
    Program(&'k Interpreted),
}

impl Code<'_> {
    /// The kernel, if it is compiled.
    #[cfg(feature = "cuda")]
    pub fn native(&self) -> Option<&'static Kernel> {
        match self.runner {
            Runner::Native(kernel) => Some(kernel),
            Runner::Program(_) => None,
        }
    }

    /// Runs a bound call. The caller keeps the arrays of `bound` borrowed for the whole call.
    pub fn execute(&self, bound: Bound, options: &Options) -> Result<Report, Error> {
        let report = match self.runner {
            Runner::Native(kernel) => execute(kernel, bound, options)?,
            Runner::Program(program) => program.execute(bound, options)?,
        };
        let note = self.note.clone().or(report.note);
        Ok(Report { tier: self.tier, prepared: self.seconds, note, ..report })
    }
}

impl Known {
    fn new<T: Element>(flat: &Flat<'_, T>, manner: Manner) -> Result<Known, Error> {
        let formula = flat.formula(manner).map_err(|why| match why {
            Unbuilt::Misfit(why) => words::unbuilt(&why),
            Unbuilt::Derivative(why) => words::no_derivative(&why),
        })?;
        Known::of(formula, T::DTYPE)
    }

    /// What is known of a formula that nobody met.
    pub fn of(formula: Formula, dtype: Dtype) -> Result<Known, Error> {
        let storage = match dtype {
            Dtype::F16 => ir::Storage::F16,
            Dtype::BF16 => ir::Storage::BF16,
            Dtype::F32 => ir::Storage::F32,
            Dtype::F64 => ir::Storage::F64,
        };
        let linked = linked(&formula, dtype)?;
        Ok(Known {
            plain: (0..formula.inputs.len()).collect(),
            linked,
            interpreted: OnceLock::new(),
            recorded: AtomicBool::new(false),
            #[cfg(feature = "jit")]
            compiled: [OnceLock::new(), OnceLock::new()],
            #[cfg(feature = "jit")]
            pair_ops: passes::cost(&formula).pair.max(1.0),
            #[cfg(feature = "jit")]
            spent: AtomicU64::new(0),
            formula,
            storage,
        })
    }

    /// The formula.
    #[cfg(feature = "text")]
    pub fn formula(&self) -> &Formula {
        &self.formula
    }

    /// What arrays hold.
    #[cfg(feature = "text")]
    pub fn storage(&self) -> ir::Storage {
        self.storage
    }

    /// Code of the first tier that is allowed and has any, for a call of so many pairs.
    pub fn code(&self, pairs: f64, options: &Options) -> Result<Code<'_>, Error> {
        let tiers = match options.tiers {
            Some(tiers) => tiers,
            None => allowed()?,
        };
        // A compiler may make the CUDA code that a linked kernel lacks.
        let lacks = |kernel: &Kernel| options.policy == Policy::Cuda && !kernel.has_image();
        if let Some((kernel, order)) = &self.linked
            && tiers.contains(Tiers::LINKED)
            && !(lacks(kernel) && compiles_for_cuda(tiers))
        {
            return Ok(Code {
                kernel,
                order,
                runner: Runner::Native(kernel),
                tier: Tier::Linked,
                seconds: 0.0,
                note: None,
            });
        }
        self.record();
        if options.policy == Policy::Cuda {
            return self.for_cuda(tiers, options);
        }
        self.unlinked(tiers, pairs, options)
    }

    /// Writes the formula down, once, if the program is to.
    fn record(&self) {
        if !self.recorded.load(Ordering::Relaxed) && record::is_on() {
            record::missed(&self.formula, self.storage);
            self.recorded.store(true, Ordering::Relaxed);
        }
    }

    #[cfg(feature = "jit")]
    fn unlinked(&self, tiers: Tiers, pairs: f64, options: &Options) -> Result<Code<'_>, Error> {
        let may_interpret = tiers.contains(Tiers::INTERPRETED);
        if !tiers.contains(Tiers::JIT) {
            return self.interpreted(may_interpret, None);
        }
        let is_compiled = self.slot(options).is_some_and(|slot| slot.get().is_some());
        if may_interpret && !is_compiled {
            let ops = pairs * self.pair_ops;
            let before = self.spent.fetch_add(ops as u64, Ordering::Relaxed);
            if before as f64 + ops < WORTH_COMPILING {
                return self.interpreted(true, None);
            }
        }
        match self.compile(options) {
            Ok(code) => Ok(code),
            // Without a compiler the interpreter does the work, and the report says why.
            Err(why) if may_interpret => {
                self.interpreted(true, Some(format!("not compiled: {}", why.message()).into()))
            }
            Err(why) => Err(why),
        }
    }

    #[cfg(not(feature = "jit"))]
    fn unlinked(&self, tiers: Tiers, _: f64, _: &Options) -> Result<Code<'_>, Error> {
        self.interpreted(tiers.contains(Tiers::INTERPRETED), None)
    }

    /// Code for a device that is there: only the compiler makes it.
    #[cfg(all(feature = "jit", feature = "cuda"))]
    fn for_cuda(&self, tiers: Tiers, options: &Options) -> Result<Code<'_>, Error> {
        match compiles_for_cuda(tiers) {
            true => self.compile(options),
            false => Err(words::not_linked_for_cuda(&self.formula, self.storage)),
        }
    }

    #[cfg(not(all(feature = "jit", feature = "cuda")))]
    fn for_cuda(&self, _: Tiers, _: &Options) -> Result<Code<'_>, Error> {
        Err(words::not_linked_for_cuda(&self.formula, self.storage))
    }

    /// Where what is compiled is kept, but for levels and devices that are asked for.
    #[cfg(feature = "jit")]
    fn slot(&self, options: &Options) -> Option<&OnceLock<Result<crate::jit::Ready, Error>>> {
        let is_usual = options.level.is_none() && options.device == 0;
        is_usual.then(|| &self.compiled[usize::from(options.policy != Policy::Cpu)])
    }

    /// Code by the machine's compiler.
    #[cfg(feature = "jit")]
    fn compile(&self, options: &Options) -> Result<Code<'_>, Error> {
        let start = Instant::now();
        let compile = || crate::jit::kernel(&self.formula, self.storage, options);
        let ready = match self.slot(options) {
            Some(slot) => slot.get_or_init(compile).clone()?,
            None => compile()?,
        };
        Ok(Code {
            kernel: ready.kernel,
            order: &self.plain,
            runner: Runner::Native(ready.kernel),
            tier: Tier::Jit,
            seconds: start.elapsed().as_secs_f64(),
            note: ready.note.map(Cow::Owned),
        })
    }

    fn interpreted(
        &self,
        allowed: bool,
        note: Option<Cow<'static, str>>,
    ) -> Result<Code<'_>, Error> {
        if !allowed {
            return Err(words::no_executor(&self.formula, self.storage));
        }
        let start = Instant::now();
        let make = || Interpreted::new(&self.formula, self.storage);
        let program = self.interpreted.get_or_init(make).as_ref().map_err(Error::clone)?;
        Ok(Code {
            kernel: program.kernel(),
            order: &self.plain,
            runner: Runner::Program(program),
            tier: Tier::Interpreted,
            seconds: start.elapsed().as_secs_f64(),
            note,
        })
    }
}

/// Whether code for a device can be made now.
fn compiles_for_cuda(tiers: Tiers) -> bool {
    #[cfg(all(feature = "jit", feature = "cuda"))]
    let there_is_one = crate::cuda::unavailable().is_none();
    #[cfg(not(all(feature = "jit", feature = "cuda")))]
    let there_is_one = false;
    there_is_one && tiers.contains(Tiers::JIT)
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
