//! The interpreter: runs any formula without a compiler, from the first call on. Goes in: a
//! formula and the type of its arrays. Comes out: a kernel, with programs in place of code, that
//! the CPU executor runs like compiled ones: the same grid, checks and threads.
//!
//! A formula is optimized and cut into stages by the compiler's passes. Each place of a stage
//! (launch, row, column, pair, result) becomes a program for a machine whose registers are tiles:
//! 64 rows times a few columns, which stay in first-level cache. One dispatch works on a whole
//! tile, with loops that the Rust compiler turned into vector instructions for several levels.
//! Where rows are few, a tile is one row times 64 times a few columns.
//!
//! The map: `program` is the instructions, `lower` (with `ints` and `codes`) writes them, `exec`,
//! `lanes`, `sums`, `math` and `curves` run them, `levels` picks the instructions of the processor,
//! `acc`, `folds`, `wide` and `moments` are the reductions, and `stage` joins all that to the
//! executor.

mod acc;
mod codes;
mod curves;
mod exec;
mod folds;
mod ints;
mod lanes;
#[allow(unsafe_code)]
mod levels;
mod lower;
mod math;
mod moments;
mod program;
mod stage;
mod sums;
mod wide;

use std::fmt;

use tilefold_compiler::ir::{Dtype, Formula, Storage};
use tilefold_compiler::passes;
use tilefold_compiler::schedule;

use self::math::Float;
use self::stage::{AtLevel, FEW_ROWS, StageProgram};
use crate::bind::Bound;
use crate::error::Error;
use crate::kernel::{Kernel, OwnedKernel};
use crate::level::Level;
use crate::operand::{Operand, OutputMut};
use crate::options::Options;
use crate::report::Report;
use crate::run::bind;
use crate::{host, words};

/// A formula that runs without being compiled.
///
/// It is made in milliseconds, and gives the same as compiled code but for roundings, with the
/// same bounds on them, at about half the speed. Results are bitwise equal for any number of
/// threads; like those of compiled code they depend on the instruction level, by roundings: levels
/// 1 and 2 have no fused products, and level 4 has exponentials of its own
/// ([`Options::level`] picks a level).
pub struct Interpreted {
    kernel: OwnedKernel,
    programs: Programs,
}

enum Programs {
    F32(Vec<StageProgram<f32>>),
    F64(Vec<StageProgram<f64>>),
}

impl Interpreted {
    /// Optimizes a formula and makes its programs, for arrays of a type.
    ///
    /// # Errors
    /// [`TooLong`](crate::Code::TooLong) where the programs would be, and
    /// [`Descriptor`](crate::Code::Descriptor) for names that are not distinct or hold zeros.
    pub fn new(formula: &Formula, storage: Storage) -> Result<Interpreted, Error> {
        let plan = schedule::plan(passes::optimize(formula));
        let (programs, pair_ops) = match storage.computes() {
            Dtype::F32 => {
                let all = programs::<f32>(&plan);
                all.map(|all| (ops(&all), all)).map(|(ops, all)| (Programs::F32(all), ops))
            }
            Dtype::F64 => {
                let all = programs::<f64>(&plan);
                all.map(|all| (ops(&all), all)).map(|(ops, all)| (Programs::F64(all), ops))
            }
        }
        .ok_or_else(|| words::too_long(&formula.name))?;
        let kernel = OwnedKernel::new(formula, &plan, storage, &pair_ops)?;
        Ok(Interpreted { kernel, programs })
    }

    /// What the arrays of a call must be.
    pub fn kernel(&self) -> &Kernel {
        self.kernel.kernel()
    }

    /// Runs on arrays given in the order of the inputs and outputs, as [`run`](crate::run())
    /// does; always on the CPU.
    ///
    /// # Errors
    /// As [`run`](crate::run()).
    pub fn run<'o>(
        &self,
        inputs: &[Operand],
        outputs: impl IntoIterator<Item = OutputMut<'o>>,
        rows: Option<(usize, usize)>,
        options: &Options,
    ) -> Result<Report, Error> {
        let outputs: Vec<OutputMut> = outputs.into_iter().collect();
        self.execute(bind(self.kernel(), inputs, &outputs, rows)?, options)
    }

    /// Runs a bound call. The caller keeps the arrays of `bound` borrowed for the whole call.
    pub(crate) fn execute(&self, bound: Bound, options: &Options) -> Result<Report, Error> {
        if options.is_cancelled() {
            return Err(words::cancelled(self.kernel().name()));
        }
        let level = match options.level {
            Some(level) if level.is_supported() => Some(level),
            Some(level) => return Err(words::no_level(self.kernel(), Some(level))),
            None => Level::ALL.iter().copied().rev().find(|level| level.is_supported()),
        };
        match &self.programs {
            Programs::F32(programs) => self.execute_at(programs, level, bound, options),
            Programs::F64(programs) => self.execute_at(programs, level, bound, options),
        }
    }

    fn execute_at<T: Float>(
        &self,
        programs: &[StageProgram<T>],
        level: Option<Level>,
        bound: Bound,
        options: &Options,
    ) -> Result<Report, Error> {
        let both =
            |program| [false, true].map(|across| AtLevel::<'_, T> { program, level, across });
        let at: Vec<_> = programs.iter().map(both).collect();
        let code = |stage: usize, rows: usize, is_dense: bool| {
            let few = is_dense && rows <= FEW_ROWS && programs[stage].folds;
            let at = &at[stage][usize::from(few)];
            at.program.stage(at)
        };
        host::interpret(self.kernel(), code, bound, options)
    }
}

impl fmt::Debug for Interpreted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Interpreted({:?})", self.kernel())
    }
}

/// The programs of every stage; nothing if one is too long.
fn programs<T: Float>(plan: &schedule::Plan) -> Option<Vec<StageProgram<T>>> {
    plan.stages.iter().map(|stage| StageProgram::new(plan, stage)).collect()
}

fn ops<T>(programs: &[StageProgram<T>]) -> Vec<f64> {
    programs.iter().map(|program| program.pair_ops).collect()
}
