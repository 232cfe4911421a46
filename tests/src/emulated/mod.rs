//! CUDA code, run on the CPU by the emulation of tests/emulation, launch by launch as the CUDA
//! executor does it.

mod image;
mod launch;

use std::ffi::{CStr, c_char, c_void};

use libloading::Library;
use tilefold::sys;
use tilefold_compiler::emit::KernelText;
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Formula, Storage};

use crate::native::{descriptor, descriptor_of, distinct, include, load, real_macros, texts};
use crate::problem::Problem;
use crate::table::{Memory, Table};
use crate::toolchain::{self, Product, Source};

pub use image::with_images;
pub(crate) use launch::{Launch, List, launches, sparse_launches};

/// Kernels a translation unit: the headers of the emulation take longer than most kernels.
const KERNELS_PER_FILE: usize = 12;

/// How stages are launched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grid {
    /// Parts that the columns are split into, as far as whole tiles go; 0 is the same as 1.
    pub splits: usize,
    /// Order of threads and blocks; results must not depend on it.
    pub seed: u64,
}

/// A shared library of CUDA kernels for each dtype. They stay loaded for ever.
pub struct Emulated {
    libraries: Vec<(Storage, &'static Library)>,
    symbols: Vec<String>,
}

impl Emulated {
    /// Compiles every formula for every dtype.
    ///
    /// # Panics
    /// When a formula cannot be emitted or compiled.
    pub fn build<S: Copy + Into<Storage>>(formulas: &[Formula], dtypes: &[S]) -> Emulated {
        Emulated::build_for(formulas, dtypes, &[])
    }

    /// The same with macros of `tf_cuda.cuh` that tell one GPU from another, as compiler flags.
    ///
    /// # Panics
    /// As [`Emulated::build`].
    pub fn build_for<S: Copy + Into<Storage>>(
        formulas: &[Formula],
        dtypes: &[S],
        macros: &[&str],
    ) -> Emulated {
        let dtypes: Vec<Storage> = dtypes.iter().map(|&dtype| dtype.into()).collect();
        let texts = texts(formulas);
        let symbols = texts.iter().map(|t| t.symbol.clone()).collect();
        let library = |&dtype: &Storage| {
            let sources = sources(&texts, dtype, Launches::Dense, macros);
            (dtype, load(&toolchain::build(Product::Library, &sources, &[])))
        };
        Emulated { libraries: toolchain::parallel(&dtypes, library), symbols }
    }

    /// Runs formula `n`, which has to be the problem's.
    ///
    /// # Errors
    /// What the emulation says of a kernel that breaks a rule of CUDA.
    pub fn run(
        &self,
        n: usize,
        dtype: impl Into<Storage>,
        problem: &Problem,
        grid: Grid,
    ) -> Result<Vec<Matrix>, String> {
        let dtype = dtype.into();
        let found = self.libraries.iter().find(|(d, _)| *d == dtype);
        let library = found.expect("the dtype was built").1;
        let raw = descriptor_of(library, &self.symbols[n], dtype);
        // SAFETY: a descriptor of a library that stays loaded.
        let kernel = unsafe { &*raw };
        let mut table = Table::new(kernel, problem);
        let values = table.raw();
        let mut workspace = Memory::new(0);
        for launch in launches(kernel, &table, grid) {
            if let Some(bytes) = launch.new_workspace {
                workspace = Memory::new(bytes);
            }
            start(library, &launch, &values, workspace.address())?;
        }
        Ok(table.outputs())
    }
}

/// `tf_emulate_request` of tf_emulate.h.
#[repr(C)]
struct Request {
    kernel: *mut c_void,
    values: *const sys::tf_array,
    n_values: u32,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    threads: u32,
    shared_bytes: u64,
    shared_limit: u64,
    n_rows: i64,
    n_cols: i64,
    cols_per_split: i64,
    workspace: *mut c_void,
    seed: u64,
    splits: i32,
    tiles: sys::tf_tiles,
}

/// No list: the launch is dense.
const DENSE: sys::tf_tiles =
    sys::tf_tiles { at: std::ptr::null(), ranges: std::ptr::null(), states: 0 };

fn start(
    library: &'static Library,
    launch: &Launch,
    values: &[sys::tf_array],
    workspace: *mut c_void,
) -> Result<(), String> {
    type Start = unsafe extern "C" fn(*const Request, *mut c_char, u64) -> i32;
    let address = |name: &CStr| {
        // SAFETY: the symbol is a function; only its address is taken.
        let found = unsafe { library.get::<*mut c_void>(name.to_bytes_with_nul()) };
        *found.unwrap_or_else(|e| panic!("{name:?}: {e}"))
    };
    let request = Request {
        kernel: address(launch.entry),
        values: values.as_ptr(),
        n_values: values.len() as u32,
        grid_x: launch.grid.0,
        grid_y: launch.grid.1,
        grid_z: 1,
        threads: launch.threads,
        shared_bytes: launch.shared_bytes,
        shared_limit: 0,
        n_rows: launch.n_rows,
        n_cols: launch.n_cols,
        cols_per_split: launch.cols_per_split,
        workspace,
        seed: launch.seed,
        splits: launch.splits,
        tiles: launch.list.as_ref().map_or(DENSE, List::raw),
    };
    let mut error = [0 as c_char; 256];
    // SAFETY: the function has this type in tf_emulate.h, the request is its struct, and arrays and
    // workspace are as large as the descriptor says.
    let status = unsafe {
        let run = std::mem::transmute::<*mut c_void, Start>(address(c"tf_emulate_launch"));
        run(&request, error.as_mut_ptr(), error.len() as u64)
    };
    // SAFETY: the function ends what it writes with a zero.
    let words = unsafe { CStr::from_ptr(error.as_ptr()) };
    if status == 0 { Ok(()) } else { Err(words.to_string_lossy().into_owned()) }
}

/// Which entries of kernels are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Launches {
    /// All of them.
    All,
    /// Not those of sparse launches, see tests/emulation/tf_dense.h.
    Dense,
}

/// Descriptors and CUDA text for one dtype. Each kernel lies in a namespace of its own, so that
/// several can share a file.
pub(crate) fn sources(
    texts: &[KernelText],
    dtype: Storage,
    entries: Launches,
    extra_flags: &[&str],
) -> Vec<Source> {
    let texts = distinct(texts);
    let mut all: Vec<Source> = texts.iter().map(|t| descriptor(t, dtype, &[])).collect();
    let headers = include(&toolchain::headers());
    let force = toolchain::emulation().join("tf_emulate.h").display().to_string();
    let fixed = "-std=c++20 -fPIC -Wall -Wextra -Werror -Wno-unused-variable \
                 -Wno-unused-but-set-variable -include";
    for group in texts.chunks(KERNELS_PER_FILE) {
        let mut flags: Vec<String> = fixed.split_whitespace().map(String::from).collect();
        flags.extend([force.clone(), headers.clone()]);
        flags.extend(toolchain::QUICK.map(String::from));
        flags.extend(real_macros(dtype));
        flags.extend(extra_flags.iter().map(|&f| f.into()));
        let mut text = String::from("#include \"tf_cuda.cuh\"\n#include \"cuda_filter.cuh\"\n");
        if entries == Launches::Dense {
            let header = toolchain::emulation().join("tf_dense.h");
            text += &format!("#include \"{}\"\n", header.display());
        }
        for kernel in group {
            text += &format!("namespace in_{} {{\n{}}}\n", kernel.symbol, kernel.cu);
        }
        let name = group[0].symbol.clone();
        all.push(Source { name, language: "cpp", text, flags });
    }
    all
}
