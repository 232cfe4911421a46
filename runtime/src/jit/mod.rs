//! Formulas compiled when they are first met. Goes in: a formula and the type of its arrays. Comes
//! out: a [`Kernel`] that the machine's C++ compiler made of the same text that is compiled ahead
//! of time, with the same flags, so that its results are those of a linked one, bit for bit.
//!
//! What was compiled is kept, in a folder that all programs of a user share: the one that
//! `TILEFOLD_CACHE` names, else `tilefold/jit` in the user's cache folder. The compiler is the one
//! that `TILEFOLD_CXX` or `CXX` names, else `c++`, `g++` or `clang++`. The folder may be deleted
//! at any time. Compiled code stays loaded until the program ends.
//!
//! The folder keeps at most 1 GiB of libraries, or as many MiB as `TILEFOLD_CACHE_MIB` says (0 is
//! no limit). Whoever stores one more removes those that were not used for the longest time; who
//! has one loaded keeps it, who wants it again compiles it again. What is no entry of the cache is
//! never removed.
//!
//! Where a CUDA device is, the kernel also gets code for it, by NVRTC: the library is looked for as
//! the system looks for libraries, or where `TILEFOLD_NVRTC` says. Every shipped formula has been
//! compiled so, and an expression with its gradient has run on a device.
//!
//! It never runs a shell, never puts text of a formula into a command line or a file name, never
//! loads a file from a folder that somebody else can write, and never runs a compiler to find out
//! what it is.

mod cache;
mod compiler;
#[cfg(feature = "cuda")]
mod gpu;
mod limit;
mod load;
mod make;
#[cfg(feature = "cuda")]
mod nvrtc;

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use tilefold_compiler::emit::SOURCES;
use tilefold_compiler::ir::{self, Formula, Storage};
use tilefold_templates::{HEADERS, TEMPLATES};

use self::cache::Folder;
use self::compiler::Compiler;
#[cfg(feature = "cuda")]
use self::gpu::Gpu;
use self::make::{Job, Trouble};
use crate::error::Error;
use crate::kernel::Kernel;
use crate::level::Level;
use crate::options::{Options, Policy};
use crate::{sys, words};

/// Names the folder of compiled formulas.
pub(crate) const CACHE: &str = "TILEFOLD_CACHE";

/// Where a compiled kernel was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// In this process.
    Loaded,
    /// In the folder of compiled formulas.
    Cached,
    /// Nowhere: it was compiled.
    Compiled,
}

/// A kernel that is ready to run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ready {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Where it was found.
    pub origin: Origin,
    /// How long that took.
    pub seconds: f64,
    /// Why it could not be kept for later programs, or has no code for a device that is there.
    pub note: Option<String>,
}

/// How formulas are compiled and where they are kept.
///
/// ```
/// use tilefold::jit::{Jit, Origin};
/// use tilefold::{Code, Options};
/// use tilefold_compiler::ir::{Axis, Formula, Storage};
///
/// let mut f = Formula::new("squares");
/// let x = f.input("x", Some(Axis::J), 1).unwrap();
/// let square = f.square(x);
/// let sum = f.sum_over(Axis::J, square);
/// f.output("a", None, sum).unwrap();
///
/// let folder = std::env::temp_dir().join(format!("doc-{}", std::process::id()));
/// let jit = Jit::new().cache(&folder);
/// match jit.kernel(&f, Storage::F32, &Options::new()) {
///     Ok(ready) => assert_eq!(ready.origin, Origin::Compiled),
///     Err(e) => assert_eq!(e.code(), Code::NoCompiler, "{e}"),
/// }
/// # let _ = std::fs::remove_dir_all(folder);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jit {
    cache: Option<PathBuf>,
    compiler: Option<OsString>,
    compute: Option<(u32, u32)>,
    limit: Option<u64>,
}

/// Compiles a formula as the environment says; see [`Jit::kernel`].
///
/// # Errors
/// Those of [`Jit::kernel`].
pub fn kernel(formula: &Formula, storage: Storage, options: &Options) -> Result<Ready, Error> {
    Jit::new().kernel(formula, storage, options)
}

/// What is loaded already, by formula, type of arrays, level and kind of GPU.
type Loaded = HashMap<(ir::Key, Storage, Level, Option<String>), Slot>;

type Slot = Arc<Mutex<Option<&'static Kernel>>>;

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

impl Jit {
    /// The folder and the compiler that the environment names.
    pub fn new() -> Jit {
        Jit::default()
    }

    /// The folder of compiled formulas. It is made if it is not there. What others can write is
    /// not used: the kernel is then compiled for this process alone.
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Jit {
        self.cache = Some(folder.into());
        self
    }

    /// How many MiB of libraries the folder keeps, whatever `TILEFOLD_CACHE_MIB` says; 0 is no
    /// limit. It is looked at when one more is stored, which stays in any case.
    pub fn cache_mib(mut self, limit: u64) -> Jit {
        self.limit = Some(limit);
        self
    }

    /// The C++ compiler: a path, or a name in PATH, and maybe arguments after it.
    pub fn compiler(mut self, compiler: impl Into<OsString>) -> Jit {
        self.compiler = Some(compiler.into());
        self
    }

    /// The compute capability to compile CUDA code for, as (9, 0), whether such a device is there
    /// or not. Without this, code is compiled for the device that the options name, if it is there
    /// and the policy is not [`Policy::Cpu`].
    #[cfg(feature = "cuda")]
    pub fn compute(mut self, major: u32, minor: u32) -> Jit {
        self.compute = Some((major, minor));
        self
    }

    /// The kernel of a formula for arrays of a type: the one that this process has loaded, whoever
    /// asked for it; else one from the folder; else a new one. Of several threads and processes
    /// that want the same one, one compiles and the others wait.
    ///
    /// It has CPU code for one instruction level: the one that `options` ask for, or the best of
    /// this machine; and CUDA code for at most one kind of GPU.
    ///
    /// What is missing but not needed costs time, no result: without a folder that can be used the
    /// kernel is compiled in a temporary one, without NVRTC it has no CUDA code unless the policy
    /// asks for it. [`Ready::note`] says why, and so does a `tracing` event.
    ///
    /// # Errors
    /// [`NoCompiler`](crate::Code::NoCompiler) without a C++ compiler,
    /// [`Compilation`](crate::Code::Compilation) if it fails, with what it printed,
    /// [`Uncompilable`](crate::Code::Uncompilable) for a formula whose code would be too long, and
    /// [`Level`](crate::Code::Level) if this machine cannot run the code.
    pub fn kernel(
        &self,
        formula: &Formula,
        storage: Storage,
        options: &Options,
    ) -> Result<Ready, Error> {
        let start = Instant::now();
        let (mut gpu, mut note) = (None, None);
        match Gpu::find(self.compute, options) {
            Ok(found) => gpu = found,
            Err(why) => note = Some(why),
        }
        let mut ready = self.for_gpu(formula, storage, options, gpu.as_ref());
        if let (Err(why), Some(_), Policy::Auto | Policy::Cpu) = (&ready, &gpu, options.policy) {
            note = Some(words::jit::no_cuda_code(why.message()));
            ready = self.for_gpu(formula, storage, options, None);
        }
        let mut ready = ready?;
        ready.seconds = start.elapsed().as_secs_f64();
        let notes: Vec<String> = note.into_iter().chain(ready.note).collect();
        ready.note = Some(notes.join("; ")).filter(|note| !note.is_empty());
        let Ready { origin, seconds, note, .. } = &ready;
        if let Some(note) = note {
            tracing::warn!(formula = ready.kernel.name(), "{note}");
        }
        tracing::debug!(formula = ready.kernel.name(), ?origin, seconds, "jit kernel");
        Ok(ready)
    }

    fn for_gpu(
        &self,
        formula: &Formula,
        storage: Storage,
        options: &Options,
        gpu: Option<&Gpu>,
    ) -> Result<Ready, Error> {
        let level = level(options.level)?;
        let canonical = ir::canonical_text(formula);
        let key = ir::Key::of_text(&canonical);
        let slot = {
            let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
            let loaded = loaded.get_or_insert_default();
            let arch = gpu.map(|gpu| gpu.arch().to_owned());
            Arc::clone(loaded.entry((key, storage, level, arch)).or_default())
        };
        // Held while compiling: threads that want the same kernel wait here.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = *slot {
            return Ok(Ready { kernel, origin: Origin::Loaded, seconds: 0.0, note: None });
        }
        let compiler = Compiler::find(self.compiler.as_deref())?;
        let job = Job::new(formula, &canonical, key, (storage, level), &compiler, gpu)?;
        let (kernel, origin, note) = self.obtain(&job)?;
        *slot = Some(kernel);
        Ok(Ready { kernel, origin, seconds: 0.0, note })
    }

    fn obtain(&self, job: &Job) -> Result<(&'static Kernel, Origin, Option<String>), Error> {
        let shared = self.folder().and_then(|path| Folder::open(&path));
        let (limit, note) = limit::bytes(self.limit);
        let why = match shared.map(|folder| from_folder(&folder, job, limit)) {
            Ok(Ok((kernel, origin))) => return Ok((kernel, origin, note)),
            Ok(Err(Trouble::Job(error))) => return Err(error),
            Ok(Err(Trouble::Folder(why))) | Err(why) => why,
        };
        let kernel = make::privately(job)?;
        Ok((kernel, Origin::Compiled, Some(words::jit::not_kept(&why))))
    }

    /// The folder that the caller or the environment names, or the user's.
    fn folder(&self) -> Result<PathBuf, String> {
        let named = self.cache.clone().or_else(|| env::var_os(CACHE).map(PathBuf::from));
        let named = named.filter(|path| !path.as_os_str().is_empty());
        named.or_else(user_folder).ok_or_else(words::jit::no_folder)
    }
}

/// A kernel from the folder of compiled formulas, put there if need be.
fn from_folder(
    folder: &Folder,
    job: &Job,
    limit: u64,
) -> Result<(&'static Kernel, Origin), Trouble> {
    let entry = job.entry();
    let find = || folder.find(&entry).and_then(|path| load::kernel(&path, job).ok());
    if let Some(kernel) = find() {
        return Ok((kernel, Origin::Cached));
    }
    let lock = folder.lock(&entry).map_err(|e| folder.trouble(&e))?;
    // Somebody may have compiled it in the meantime.
    if let Some(kernel) = find() {
        return Ok((kernel, Origin::Cached));
    }
    folder.sweep(&entry, &lock);
    let workplace = folder.workplace(&entry).map_err(|e| folder.trouble(&e))?;
    let library = job.compile(workplace.path())?;
    // What cannot be loaded is not kept.
    let kernel = load::kernel(&library, job).map_err(|e| Trouble::Folder(e.message().into()))?;
    folder.store(&entry, &workplace).map_err(|e| folder.trouble(&e))?;
    folder.keep_to(limit, &entry);
    Ok((kernel, Origin::Compiled))
}

/// The level that is asked for, or the best that this machine runs.
fn level(asked: Option<Level>) -> Result<Level, Error> {
    let found = match asked {
        Some(level) => Some(level).filter(|level| level.is_supported()),
        None => Level::ALL.iter().copied().rev().find(|level| level.is_supported()),
    };
    found.ok_or_else(|| words::jit::no_level(asked))
}

/// Everything but the formula and the compiler that decides what is compiled.
fn edition() -> &'static blake3::Hash {
    static EDITION: OnceLock<blake3::Hash> = OnceLock::new();
    EDITION.get_or_init(|| {
        let mut hasher = blake3::Hasher::new();
        let texts = TEMPLATES.iter().chain(HEADERS).flat_map(|(name, text)| [*name, *text]);
        for part in [env!("CARGO_PKG_VERSION"), SOURCES].into_iter().chain(texts) {
            hasher.update(&part.len().to_le_bytes()).update(part.as_bytes());
        }
        hasher.update(&sys::TF_ABI_VERSION.to_le_bytes());
        hasher.finalize()
    })
}

/// The user's cache folder, as the platform has it.
fn user_folder() -> Option<PathBuf> {
    let variable = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = |rest| variable("HOME").map(|home: PathBuf| home.join(rest));
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_vendor = "apple") {
        home("Library/Caches")
    } else {
        variable("XDG_CACHE_HOME").or_else(|| home(".cache"))
    };
    base.map(|base| base.join("tilefold").join("jit"))
}

/// The place of the GPU in a program built without CUDA.
#[cfg(not(feature = "cuda"))]
enum Gpu {}

#[cfg(not(feature = "cuda"))]
impl Gpu {
    fn find(_: Option<(u32, u32)>, _: &Options) -> Result<Option<Gpu>, String> {
        Ok(None)
    }

    fn arch(&self) -> &str {
        match *self {}
    }

    fn identity(&self) -> String {
        match *self {}
    }

    fn image(&self, _: &str, _: &[&str]) -> Result<Vec<u8>, String> {
        match *self {}
    }
}
