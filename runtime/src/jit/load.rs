//! Compiled libraries in this process. Goes in: the path of a library that this user's compiler
//! made. Comes out: the kernel in it, checked. A library is never unloaded.

use std::mem::ManuallyDrop;
use std::path::Path;

use libloading::Library;

use super::make::Job;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::{sys, words};

/// Loads the kernel of a job.
pub(super) fn kernel(path: &Path, job: &Job) -> Result<&'static Kernel, Error> {
    let fail = |why: &dyn std::fmt::Display| words::jit::unloadable(job.name, why);
    // SAFETY: the library was compiled from tilefold's text in a folder that only this user can
    // write (`cache::trusted`), and its bytes are those that were stored. It has no constructors
    // of its own.
    let library = unsafe { open(path) }.map_err(|e| fail(&e))?;
    let library = ManuallyDrop::new(library);
    let symbol = format!("{}\0", job.symbol);
    // SAFETY: the symbol is a descriptor; only its address is taken.
    let raw = unsafe { library.get::<*const sys::tf_kernel>(symbol.as_bytes()) };
    let raw: *const sys::tf_kernel = *raw.map_err(|e| fail(&e))?;
    // SAFETY: the compiler made the descriptor, from text of this version, and its library stays
    // loaded for ever.
    let kernel = unsafe { Kernel::from_raw(raw)? };
    kernel.expect_key(job.key.bytes())?;
    match kernel.has_level(job.level) {
        true => Ok(kernel),
        false => Err(fail(&format_args!("it has no code for {}", job.level))),
    }
}

/// Resolves every symbol at once: what is missing is an error here, not in a run.
///
/// # Safety
/// That of [`Library::new`].
#[cfg(unix)]
unsafe fn open(path: &Path) -> Result<Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: the caller's promise.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
}

/// # Safety
/// That of [`Library::new`].
#[cfg(not(unix))]
unsafe fn open(path: &Path) -> Result<Library, libloading::Error> {
    // SAFETY: the caller's promise.
    unsafe { Library::new(path) }
}
