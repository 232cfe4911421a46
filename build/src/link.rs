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

/// What the environment says about CUDA images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Images {
    /// None, though nvcc may be there.
    Off,
    /// For the usual GPUs that nvcc knows, if it is there.
    Usual,
    /// For these GPUs.
    For(Archs),
}

impl Images {
    /// Reads TILEFOLD_CUDA.
    pub fn wanted() -> Result<Images, Error> {
        Images::parse(&env::var(CUDA).unwrap_or_default())
    }

    fn parse(word: &str) -> Result<Images, Error> {
        match word {
            "off" | "0" => Ok(Images::Off),
            "" | "on" | "1" => Ok(Images::Usual),
            list => Archs::parse(list).map(Images::For),
        }
    }
}

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

/// What cargo writes into the root of its target folder: the first only where it made the folder
/// itself, which it does not where one was mounted.
const MARKS: [&str; 2] = ["CACHEDIR.TAG", ".rustc_info.json"];

/// Whether a folder is the root of a target folder.
pub fn is_target_folder(dir: &Path) -> bool {
    MARKS.iter().any(|mark| dir.join(mark).is_file())
}

/// Cargo's target folder, for a program at, or that writes to, `place`; without one the place.
pub fn target_folder(place: &Path) -> &Path {
    place.ancestors().find(|dir| is_target_folder(dir)).unwrap_or(place)
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
    let archs = match Images::wanted()? {
        Images::Off => return Ok(None),
        Images::Usual => None,
        Images::For(archs) => Some(archs),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_off_usual_or_listed() {
        assert_eq!(Images::parse("off").unwrap(), Images::Off);
        assert_eq!(Images::parse("").unwrap(), Images::Usual);
        assert_eq!(Images::parse("90").unwrap(), Images::For(Archs::parse("90").unwrap()));
        assert!(Images::parse("no").unwrap_err().to_string().contains("`no` is not a GPU"));
    }

    #[test]
    fn build_scripts_and_programs_of_one_target_folder_share_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        let out = target.join("x86_64-unknown-linux-gnu/debug/build/a-1/out");
        std::fs::create_dir_all(&out).unwrap();
        assert_eq!(target_folder(&out), out, "not a target folder");
        for mark in MARKS {
            std::fs::write(target.join(mark), "").unwrap();
            assert_eq!(target_folder(&out), target);
            assert_eq!(target_folder(&target.join("release/xtask")), target);
            assert_eq!(toolchain_folder(&out), target.join("toolchain"));
            std::fs::remove_file(target.join(mark)).unwrap();
        }
    }
}
