//! Kernels with images for the driver of tests/driver. Goes in: formulas. Comes out: a library of
//! emulated kernels, and compiled formulas whose images are files that name it. It never runs them.

use std::ffi::CStr;
use std::path::{Path, PathBuf};

use tilefold::sys;
use tilefold_compiler::ir::{Formula, Storage};

use crate::native::{Native, best, descriptor_of, load, texts};
use crate::table::stages;
use crate::toolchain::{self, Product, Source};

use super::{Launches, sources};

/// Compiles formulas for the CPU, and beside them emulated CUDA code for devices of a compute
/// capability.
///
/// # Panics
/// When a formula cannot be emitted or compiled.
pub fn with_images<S: Copy + Into<Storage>>(
    formulas: &[Formula],
    dtypes: &[S],
    compute: (u32, u32),
) -> Native {
    let texts = texts(formulas);
    let parts = dtypes.iter().map(|&dtype| {
        let dtype: Storage = dtype.into();
        let (descriptors, code): (Vec<Source>, Vec<Source>) =
            sources(&texts, dtype, Launches::All, &[]).into_iter().partition(|s| s.language == "c");
        let descriptors = load(&toolchain::build(Product::Library, &descriptors, &[]));
        (dtype, descriptors, toolchain::build(Product::Library, &code, &[]))
    });
    let parts: Vec<_> = parts.collect();
    Native::with_images(formulas, dtypes, &[best()], |text, dtype| {
        let (_, descriptors, code) = parts.iter().find(|part| part.0 == dtype)?;
        // SAFETY: a descriptor of a library that stays loaded.
        let kernel = unsafe { &*descriptor_of(descriptors, &text.symbol, dtype) };
        Some(image(kernel, code, compute, &text.symbol))
    })
}

/// A file of the text that tests/driver/modules.h reads.
fn image(
    kernel: &sys::tf_kernel,
    code: &Path,
    (major, minor): (u32, u32),
    symbol: &str,
) -> PathBuf {
    let arrays = kernel.n_inputs + kernel.n_temps + kernel.n_outputs;
    let library = code.display();
    let mut text = format!("emulated CUDA image\nsm {major} {minor}\nlibrary {library}\n");
    for stage in stages(kernel) {
        for entry in [stage.cuda.rows_entry, stage.cuda.tiles_entry, stage.cuda.finish_entry] {
            if entry.is_null() {
                continue;
            }
            // SAFETY: names of a descriptor end in a zero and stay in place.
            let name = unsafe { CStr::from_ptr(entry) }.to_string_lossy();
            text += &format!("entry {name} {arrays}\n");
        }
    }
    text.push('\0');
    let file = code.with_extension(format!("{symbol}-{:016x}", toolchain::hash(&text)));
    toolchain::put(&file, &text);
    file
}
