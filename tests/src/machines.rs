//! The executors that a table of problems is tried on. Goes in: formulas, and whether they are
//! compiled. Comes out: the answer of each executor to a problem, with its name.

use tilefold::{Error, Interpreted, Level, Options};
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Dtype, Formula};

use crate::emulated::{Emulated, Grid};
use crate::interpreted;
use crate::native::{self, Native};
use crate::problem::Problem;

/// What computes.
pub enum Machines {
    /// Code for every level of this processor, and emulated CUDA code.
    Compiled(Native, Emulated),
    /// The interpreter, at the lowest and the best level of this processor: programs in float32
    /// and float64.
    Interpreted(Vec<[Interpreted; 2]>),
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

    /// The answer of the best level of this processor to a problem of formula `n`.
    ///
    /// # Errors
    /// What the runtime says.
    pub fn run(&self, n: usize, dtype: Dtype, problem: &Problem) -> Result<Vec<Matrix>, Error> {
        match self {
            Machines::Compiled(native, _) => native.run(n, dtype, native::best(), problem),
            Machines::Interpreted(made) => interpret(&made[n], dtype, problem, &Options::new()),
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
        let name = &problem.formula.name;
        let mut all = Vec::new();
        let mut levels: Vec<Level> = native::levels();
        if let Machines::Interpreted(_) = self {
            levels = [levels[0], native::best()].to_vec();
            levels.dedup();
        }
        for level in levels {
            let found = match self {
                Machines::Compiled(native, _) => {
                    let both = native.run_both(n, dtype, level, problem);
                    both.map(|found| ["", "in blocks at "].into_iter().zip(found).collect())
                }
                Machines::Interpreted(made) => {
                    let options = Options::new().level(level);
                    let found = interpret(&made[n], dtype, problem, &options);
                    found.map(|found| vec![("interpreted at ", found)])
                }
            };
            let found: Vec<_> = found.unwrap_or_else(|e| panic!("{name}: {e}"));
            let named = |(who, found)| (format!("{who}{level} {}", dtype.name()), found);
            all.extend(found.into_iter().map(named));
        }
        if let Machines::Compiled(_, emulated) = self {
            for &grid in grids {
                let found = emulated.run(n, dtype, problem, grid);
                let found = found.unwrap_or_else(|e| panic!("{name}: {e}"));
                all.push((format!("cuda {} with {} splits", dtype.name(), grid.splits), found));
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
