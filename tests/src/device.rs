//! CUDA code on a device of this machine, compiled by nvcc. Goes in: formulas and problems. Comes
//! out: kernels and their answers. It never emulates anything.
//!
//! `TILEFOLD_TEST_DEVICE=90` compiles for compute capability 9.0 whatever devices there are. Where
//! there is none, nothing runs: another machine, which needs no compiler, runs the same tests with
//! the same variable, once it has the test programs and target/debug/tilefold-tests.

use std::env;

use tilefold::cuda;
use tilefold::{Error, Options, Policy};
use tilefold_build::native::Archs;
use tilefold_compiler::emit::KernelText;
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Formula, Storage};

use crate::emulated::{Emulated, Grid};
use crate::native::{Native, distinct, include, real_macros, texts};
use crate::problem::Problem;
use crate::toolchain::{self, Source};

/// Kernels an image: nvcc takes longer to start than for most of them.
const KERNELS_PER_IMAGE: usize = 8;

/// Whether kernels are to be compiled for a device. Where they are not, this is said.
pub fn is_here() -> bool {
    match (env::var("TILEFOLD_TEST_DEVICE"), cuda::unavailable()) {
        (Err(_), Some(why)) => {
            println!("not run on a device: {why}");
            false
        }
        _ => true,
    }
}

/// Whether there is a device to run them.
pub fn runs() -> bool {
    cuda::unavailable().is_none()
}

/// What runs CUDA code: a device or the emulation of one.
pub enum Runner {
    /// On the CPU.
    Emulated(Emulated),
    /// On device 0.
    Device(Native),
}

impl Runner {
    /// Kernels for the emulation.
    pub fn emulated(formulas: &[Formula], dtypes: &[Storage]) -> Runner {
        Runner::Emulated(Emulated::build(formulas, dtypes))
    }

    /// Kernels for a device.
    pub fn device(formulas: &[Formula], dtypes: &[Storage]) -> Runner {
        Runner::Device(build(formulas, dtypes))
    }

    /// Whether there is what runs them.
    pub fn runs(&self) -> bool {
        matches!(self, Runner::Emulated(_)) || runs()
    }

    /// Runs formula `n`, which has to be the problem's. A device chooses the grid for itself.
    ///
    /// # Errors
    /// What the emulation or the runtime says.
    pub fn run(
        &self,
        n: usize,
        dtype: impl Into<Storage>,
        problem: &Problem,
        grid: Grid,
    ) -> Result<Vec<Matrix>, String> {
        match self {
            Runner::Emulated(emulated) => emulated.run(n, dtype, problem, grid),
            Runner::Device(native) => run(native, n, dtype, problem).map_err(|e| e.to_string()),
        }
    }
}

/// The GPU generation that code is for.
fn generation() -> String {
    let of_device = || {
        let devices = cuda::devices();
        let (major, minor) = devices.first().expect("`is_here` said so").compute;
        format!("{major}{minor}")
    };
    env::var("TILEFOLD_TEST_DEVICE").unwrap_or_else(|_| of_device())
}

/// Compiles every formula for every dtype, as what is shipped, for a device alone.
///
/// # Panics
/// When a formula cannot be emitted or compiled.
pub fn build<S: Copy + Into<Storage>>(formulas: &[Formula], dtypes: &[S]) -> Native {
    let texts = texts(formulas);
    let texts = distinct(&texts);
    let dtypes: Vec<Storage> = dtypes.iter().map(|&dtype| dtype.into()).collect();
    let groups: Vec<(Storage, &[&KernelText])> = dtypes
        .iter()
        .flat_map(|&dtype| texts.chunks(KERNELS_PER_IMAGE).map(move |group| (dtype, group)))
        .collect();
    let images =
        toolchain::parallel(&groups, |(dtype, group)| toolchain::image(&source(group, *dtype)));
    Native::with_images(formulas, &dtypes, &[], |text, dtype| {
        let has = |(of, group): &(Storage, &[&KernelText])| {
            *of == dtype && group.iter().any(|kernel| kernel.symbol == text.symbol)
        };
        groups.iter().position(has).map(|at| images[at].clone())
    })
}

/// Several kernels of one image, each in a namespace of its own.
fn source(group: &[&KernelText], dtype: Storage) -> Source {
    let archs = Archs::parse(&generation()).unwrap_or_else(|e| panic!("{e}"));
    let mut flags: Vec<String> = archs.flags();
    flags.push(include(&toolchain::headers()));
    flags.extend(real_macros(dtype));
    let mut text = String::from("#include \"tf_cuda.cuh\"\n#include \"cuda_filter.cuh\"\n");
    for kernel in group {
        text += &format!("namespace in_{} {{\n{}}}\n", kernel.symbol, kernel.cu);
    }
    Source { name: group[0].symbol.clone(), language: "cu", text, flags }
}

/// Runs formula `n`, which has to be the problem's, on device 0.
///
/// # Errors
/// What the runtime says.
pub fn run(
    native: &Native,
    n: usize,
    dtype: impl Into<Storage>,
    problem: &Problem,
) -> Result<Vec<Matrix>, Error> {
    native.run_in(n, dtype, Options::new().executor(Policy::Cuda), None, problem)
}
