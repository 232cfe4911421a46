//! For build scripts: compile a generated folder and tell cargo to link it.
//!
//! In: the folder, and what cargo says in the environment. Out: archives in OUT_DIR, and `cargo:`
//! lines on standard output. It never writes outside OUT_DIR and the object cache, and never
//! changes generated text.

use std::env;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::native::{self, Archs, Compiler, Cuda, Native};
use crate::progress::Silent;
use crate::text;
use crate::toolchain::{self, Finding};

/// What a native build reads from the environment.
const VARIABLES: &[&str] =
    &["CXX", "CXXFLAGS", "AR", "NVCC", "CUDA_HOME", "CUDA_PATH", "DOCS_RS", CACHE, CUDA];

/// Names the folder of the object cache.
const CACHE: &str = "TILEFOLD_BUILD_CACHE";

/// `off` leaves CUDA images out; a list of GPU generations replaces the usual one.
const CUDA: &str = "TILEFOLD_CUDA";

/// Compiles the kernels of a generated folder and prints the lines that link them. To be called
/// from a build script.
///
/// CUDA images are linked if nvcc is found; the variable TILEFOLD_CUDA says for which GPUs, or
/// `off`. On docs.rs there is nothing to link, and this does nothing.
pub fn link_generated(dir: impl AsRef<Path>) -> Result<(), Error> {
    let dir = dir.as_ref();
    println!("cargo:rerun-if-changed={}", dir.join(crate::manifest::FILE).display());
    for path in text::verify(dir)?.files.keys() {
        println!("cargo:rerun-if-changed={}", dir.join(path).display());
    }
    link(dir)
}

/// Compiles and links a folder without asking cargo to watch it.
pub(crate) fn link(dir: &Path) -> Result<(), Error> {
    for variable in VARIABLES {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let libraries = text::verify(dir)?.libraries;
    if libraries.is_empty() || env::var_os("DOCS_RS").is_some() {
        return Ok(());
    }
    let out = out_dir()?;
    let native = Native {
        compiler: Compiler::find(&env::var("TARGET").unwrap_or_else(|_| native::HOST.into()))?,
        cuda: cuda(&out)?,
        cache: cache_folder(&out),
        archives: out.clone(),
        jobs: jobs(),
        limit: native::LIMIT,
    };
    let (archives, _) = native::build(dir, &libraries, &native, &Silent)?;
    println!("cargo:rustc-link-search=native={}", out.display());
    for archive in archives {
        println!("cargo:rustc-link-lib=static={}", archive.name);
    }
    Ok(())
}

/// The object cache for a program at, or that writes to, `place`: TILEFOLD_BUILD_CACHE, or
/// `tilefold` in the target folder that holds `place`. Build scripts and xtask share it.
pub fn cache_folder(place: &Path) -> PathBuf {
    match env::var_os(CACHE).filter(|dir| !dir.is_empty()) {
        Some(dir) => dir.into(),
        None => target_folder(place).join("tilefold"),
    }
}

/// Where fetched tools are, for a program at, or that writes to, `place`.
pub fn toolchain_folder(place: &Path) -> PathBuf {
    target_folder(place).join("toolchain")
}

/// Cargo marks the root of its target folder.
fn target_folder(place: &Path) -> &Path {
    place.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file()).unwrap_or(place)
}

/// The folder that a build script writes to.
pub(crate) fn out_dir() -> Result<PathBuf, Error> {
    env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| Error::Target {
        problem: "OUT_DIR is not set".into(),
        help: "call this from a build script (build.rs), where cargo sets it".into(),
    })
}

/// nvcc and the GPUs to compile for. A machine without nvcc makes libraries without images.
fn cuda(out: &Path) -> Result<Option<Cuda>, Error> {
    let wish = env::var(CUDA).unwrap_or_default();
    let archs = match wish.as_str() {
        "off" | "0" => return Ok(None),
        "" | "on" | "1" => None,
        list => Some(Archs::parse(list)?),
    };
    match toolchain::find_nvcc(&toolchain_folder(out)) {
        Finding::Found(nvcc) => Cuda::new(nvcc, archs).map(|(cuda, _)| Some(cuda)),
        Finding::Missing { .. } => Ok(None),
    }
}

/// What cargo allows a build script, or one compiler a core.
fn jobs() -> usize {
    let given = env::var("NUM_JOBS").ok().and_then(|n| n.parse().ok());
    given.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1)
}
