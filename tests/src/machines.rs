//! The executors that a table of problems is tried on. Goes in: formulas, and whether they are
//! compiled. Comes out: the answer of each executor to a problem, with its name.

use tilefold::{Error, Interpreted, Level, Options};
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Dtype, Formula};

use crate::device;
use crate::emulated::{Emulated, Grid};
use crate::interpreted;
use crate::native::{self, Native};
use crate::problem::Problem;
use crate::sanitized::trials::{Layout, Trial};
use crate::sanitized::{Code, Sanitizer, Watch, Watched};

/// What computes.
pub enum Machines {
    /// Code for every level of this processor, and emulated CUDA code.
    Compiled(Native, Emulated),
    /// The interpreter, at the lowest and the best level of this processor: programs in float32
    /// and float64.
    Interpreted(Vec<[Interpreted; 2]>),
    /// NEON code, which an emulator of a 64-bit ARM processor runs: programs in float32 and
    /// float64.
    Arm([Watched; 2]),
    /// CUDA code on a device, see [`device`].
    Device(Native),
}

impl Machines {
    /// Compiles formulas in both dtypes.
    pub fn compiled(formulas: &[Formula]) -> Machines {
        let native = Native::quick(formulas, Dtype::ALL, &native::levels());
        Machines::Compiled(native, Emulated::build(formulas, Dtype::ALL))
    }

    /// Makes programs in both dtypes; nothing is compiled.
    ///
    /// # Panics
    /// When a formula is too long.
    pub fn interpreted(formulas: &[Formula]) -> Machines {
        let made = |f: &Formula| {
            [Dtype::F32, Dtype::F64].map(|dtype| {
                Interpreted::new(f, dtype.into()).unwrap_or_else(|e| panic!("{}: {e}", f.name))
            })
        };
        Machines::Interpreted(formulas.iter().map(made).collect())
    }

    /// Compiles formulas for an ARM processor, in both dtypes.
    pub fn arm(formulas: &[Formula]) -> Machines {
        let (sanitizer, code) = (Sanitizer::None, Code::Cpu(Level::Neon));
        Machines::Arm([Dtype::F32, Dtype::F64].map(|dtype| {
            Watched::build(Watch { sanitizer, code, storage: dtype.into() }, formulas)
        }))
    }

    /// Compiles formulas for a device, in both dtypes.
    pub fn device(formulas: &[Formula]) -> Machines {
        Machines::Device(device::build(formulas, Dtype::ALL))
    }

    /// The answer of the best level of this processor to a problem of formula `n`.
    ///
    /// # Errors
    /// What the runtime says.
    ///
    /// # Panics
    /// For another processor, on which there is no runtime.
    pub fn run(&self, n: usize, dtype: Dtype, problem: &Problem) -> Result<Vec<Matrix>, Error> {
        match self {
            Machines::Compiled(native, _) => native.run(n, dtype, native::best(), problem),
            Machines::Interpreted(made) => interpret(&made[n], dtype, problem, &Options::new()),
            Machines::Arm(_) => panic!("no runtime of this processor runs it"),
            Machines::Device(native) => device::run(native, n, dtype, problem),
        }
    }

    /// The answers to a problem of formula `n`; emulated launches are `grids`.
    ///
    /// # Panics
    /// When an executor refuses the problem.
    pub fn answers(
        &self,
        n: usize,
        dtype: Dtype,
        problem: &Problem,
        grids: &[Grid],
    ) -> Vec<(String, Vec<Matrix>)> {
        let mut all = Vec::new();
        let mut add = |who: String, found: Result<Vec<Matrix>, String>| {
            let found = found.unwrap_or_else(|e| panic!("{}: {who}: {e}", problem.formula.name));
            all.push((who, found));
        };
        match self {
            Machines::Compiled(native, emulated) => {
                for level in native::levels() {
                    let who = format!("{level} {}", dtype.name());
                    let [plain, in_blocks] = match native.run_both(n, dtype, level, problem) {
                        Ok(both) => both.map(Ok),
                        Err(e) => [(); 2].map(|()| Err(e.to_string())),
                    };
                    add(who.clone(), plain);
                    add(format!("in blocks at {who}"), in_blocks);
                }
                for &grid in grids {
                    let who = format!("cuda {} with {} splits", dtype.name(), grid.splits);
                    add(who, emulated.run(n, dtype, problem, grid).map_err(|e| e.to_string()));
                }
            }
            Machines::Interpreted(made) => {
                let mut levels = vec![native::levels()[0], native::best()];
                levels.dedup();
                for level in levels {
                    let options = Options::new().level(level);
                    let found = interpret(&made[n], dtype, problem, &options);
                    let who = format!("interpreted at {level} {}", dtype.name());
                    add(who, found.map_err(|e| e.to_string()));
                }
            }
            Machines::Device(native) if device::runs() => {
                let found = device::run(native, n, dtype, problem).map_err(|e| e.to_string());
                add(format!("cuda {} on a device", dtype.name()), found);
            }
            Machines::Device(_) => {}
            Machines::Arm(programs) => {
                let program = &programs[usize::from(dtype == Dtype::F64)];
                let trials = [false, true].map(|in_blocks| Trial {
                    in_blocks,
                    ..Trial::new(problem.clone(), Layout::Dense, n as u64, true)
                });
                let found = program.run(trials.iter().map(|trial| (n, trial)));
                let found = found.unwrap_or_else(|e| panic!("{}: {e}", problem.formula.name));
                for (trial, found) in trials.iter().zip(found) {
                    let how = if trial.in_blocks { "in blocks at " } else { "" };
                    let who = format!("{how}{} {}", Level::Neon, dtype.name());
                    add(who, found.ok_or("too few rows".into()));
                }
            }
        }
        all
    }
}

fn interpret(
    made: &[Interpreted; 2],
    dtype: Dtype,
    problem: &Problem,
    options: &Options,
) -> Result<Vec<Matrix>, Error> {
    let made = &made[usize::from(dtype == Dtype::F64)];
    interpreted::run_made(made, problem, dtype, options).map(|(found, _)| found)
}
