//! From a formula to a library. Goes in: a formula, a type of arrays, a level, a compiler and a
//! folder. Comes out: a shared library in that folder. Everything that decides its bytes is in
//! [`Job::entry`]. It never writes outside the folder.

use std::fs;
use std::path::{Path, PathBuf};

use tilefold_compiler::emit;
use tilefold_compiler::ir::{Formula, Key, Storage};
use tilefold_templates::{HEADERS, flags};

use super::cache::{LIBRARY, Workplace};
use super::compiler::{Compiler, Failure};
use super::load;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::level::Level;
use crate::words;

/// Longer names are for attackers.
const LONGEST_NAME: usize = 100;

const KERNEL: &str = "kernel.cpp";
const DESCRIPTOR: &str = "kernel.c";
const OBJECT: &str = "descriptor.o";

/// What compilers print when the folder is to blame, in the words of the C library.
const FOLDER_WORDS: [&str; 4] = [
    "No space left on device",
    "Disk quota exceeded",
    "Read-only file system",
    "Permission denied",
];

/// Why there is no library in a folder.
pub(super) enum Trouble {
    /// Another folder may do.
    Folder(String),
    /// No folder will do.
    Job(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Job(error)
    }
}

/// A kernel to make.
pub(super) struct Job<'a> {
    formula: &'a Formula,
    canonical: &'a str,
    compiler: &'a Compiler,
    storage: Storage,
    /// What the descriptor and messages call it.
    pub name: &'a str,
    /// The formula's key.
    pub key: Key,
    /// The symbol of the descriptor.
    pub symbol: String,
    /// The level to compile for.
    pub level: Level,
}

impl<'a> Job<'a> {
    /// A job, if its names can be written in a descriptor.
    pub fn new(
        formula: &'a Formula,
        canonical: &'a str,
        key: Key,
        storage: Storage,
        level: Level,
        compiler: &'a Compiler,
    ) -> Result<Job<'a>, Error> {
        let inputs = formula.inputs.iter().map(|input| &input.name);
        let mut names = inputs.chain(formula.outputs.iter().map(|output| &output.name));
        if let Some(name) = names.find(|name| !is_plain(name)) {
            return Err(words::jit::bad_name(name));
        }
        let name = if is_plain(&formula.name) { &formula.name } else { "formula" };
        let symbol = format!("{}_{}", emit::symbol(&key), storage.name());
        Ok(Job { formula, canonical, compiler, storage, name, key, symbol, level })
    }

    /// The name of what comes out: a hash of all that decides it.
    pub fn entry(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            // Lengths are hashed too, so that neighbours cannot run into each other.
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        part(b"tilefold jit 1");
        part(super::edition().as_bytes());
        part(self.canonical.as_bytes());
        part(self.name.as_bytes());
        part(self.compiler.identity().as_bytes());
        part(std::env::consts::OS.as_bytes());
        self.steps().iter().flatten().for_each(|argument| part(argument.as_bytes()));
        hasher.finalize().to_hex().to_string()
    }

    /// Compiles it in a folder, which has nothing in it, and gives the library.
    pub fn compile(&self, folder: &Path) -> Result<PathBuf, Trouble> {
        let text = {
            let mut formula = self.formula.clone();
            formula.name = self.name.into();
            emit::kernel(&formula, self.name, "a formula met at run time")
                .map_err(|e| words::jit::too_large(&e))?
        };
        let texts = [(KERNEL, text.cpp.as_str()), (DESCRIPTOR, text.desc.as_str())];
        for (name, text) in HEADERS.iter().chain(&texts) {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|e| Trouble::Folder(words::jit::unusable(&path, &e)))?;
        }
        for step in self.steps() {
            self.compiler.run(folder, &step).map_err(|failure| self.failed(&failure))?;
        }
        let library = folder.join(LIBRARY);
        match library.is_file() {
            true => Ok(library),
            false => Err(words::jit::nothing_written(self.name).into()),
        }
    }

    /// The arguments of each run of the compiler: first the descriptor, then all of it.
    fn steps(&self) -> [Vec<&'static str>; 2] {
        let level = flags::level(self.level.name());
        let dtype = flags::dtype(self.storage.name());
        let mut descriptor = flags::DESCRIPTOR.to_vec();
        descriptor.extend(dtype.descriptor);
        descriptor.extend([level.descriptor, "-c", DESCRIPTOR, "-o", OBJECT]);
        let mut kernel = flags::KERNEL.to_vec();
        kernel.extend(level.kernel.iter().chain(dtype.kernel));
        kernel.extend(["-shared", KERNEL, OBJECT, "-o", LIBRARY]);
        // Kernels bring their own mathematics; without this the C++ library would be loaded too.
        if cfg!(target_os = "linux") {
            kernel.insert(0, "-Wl,--as-needed");
        }
        [descriptor, kernel]
    }

    fn failed(&self, failure: &Failure) -> Trouble {
        match FOLDER_WORDS.iter().find(|words| failure.output.contains(**words)) {
            Some(words) => Trouble::Folder(words::jit::compiler_says(words)),
            None => Trouble::Job(words::jit::failed(
                self.name,
                &failure.command,
                &failure.end,
                &failure.output,
            )),
        }
    }
}

/// Compiles and loads a kernel for this process alone, leaving no file behind.
pub(super) fn privately(job: &Job) -> Result<&'static Kernel, Error> {
    let workplace = Workplace::private().map_err(|e| words::jit::no_workplace(job.name, &e))?;
    let library = job.compile(workplace.path()).map_err(|trouble| match trouble {
        Trouble::Job(error) => error,
        Trouble::Folder(why) => words::jit::no_workplace(job.name, &why),
    })?;
    load::kernel(&library, job)
}

/// Whether a name is an identifier of C.
fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let rest = bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    first && rest && name.len() <= LONGEST_NAME
}
