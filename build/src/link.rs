//! For build scripts: compile a generated folder and tell cargo to link it.
//!
//! In: the folder, and what cargo says in the environment. Out: archives in OUT_DIR, and `cargo:`
//! lines on standard output. It never writes outside OUT_DIR and the object cache, and never
//! changes generated text.

use std::env;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::native::{self, Compiler, Native};
use crate::progress::Silent;
use crate::text;

/// What a native build reads from the environment.
const VARIABLES: &[&str] =
    &["CXX", "CXXFLAGS", "AR", "NVCC", "CUDA_HOME", "CUDA_PATH", "DOCS_RS", CACHE];

/// Names the folder of the object cache.
const CACHE: &str = "TILEFOLD_BUILD_CACHE";

/// Compiles the kernels of a generated folder and prints the lines that link them. To be called
/// from a build script.
///
/// On docs.rs there is nothing to link, and this does nothing.
pub fn link_generated(dir: impl AsRef<Path>) -> Result<(), Error> {
    let dir = dir.as_ref();
    for variable in VARIABLES {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    if env::var_os("DOCS_RS").is_some() {
        return Ok(());
    }
    println!("cargo:rerun-if-changed={}", dir.join(crate::manifest::FILE).display());
    let manifest = text::verify(dir)?;
    for path in manifest.files.keys() {
        println!("cargo:rerun-if-changed={}", dir.join(path).display());
    }
    if manifest.libraries.is_empty() {
        return Ok(());
    }
    let out = out_dir()?;
    let native = Native {
        compiler: Compiler::find(&env::var("TARGET").unwrap_or_else(|_| native::HOST.into()))?,
        cuda: None,
        cache: cache_folder(&out),
        archives: out.clone(),
        jobs: jobs(),
        limit: native::LIMIT,
    };
    let (archives, _) = native::build(dir, &manifest.libraries, &native, &Silent)?;
    println!("cargo:rustc-link-search=native={}", out.display());
    for archive in archives {
        println!("cargo:rustc-link-lib=static={}", archive.name);
    }
    Ok(())
}

/// The object cache for a program at, or that writes to, `place`: TILEFOLD_BUILD_CACHE, or
/// `tilefold` in the target folder that holds `place`. Build scripts and xtask share it.
pub fn cache_folder(place: &Path) -> PathBuf {
    if let Some(dir) = env::var_os(CACHE).filter(|dir| !dir.is_empty()) {
        return dir.into();
    }
    // Cargo marks the root of its target folder.
    let target = place.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    target.unwrap_or(place).join("tilefold")
}

/// The folder that a build script writes to.
pub(crate) fn out_dir() -> Result<PathBuf, Error> {
    env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| Error::Target {
        problem: "OUT_DIR is not set".into(),
        help: "call this from a build script (build.rs), where cargo sets it".into(),
    })
}

/// What cargo allows a build script, or one compiler a core.
fn jobs() -> usize {
    let given = env::var("NUM_JOBS").ok().and_then(|n| n.parse().ok());
    given.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1)
}
