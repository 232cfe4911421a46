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
use super::{Gpu, load};
use crate::error::Error;
use crate::kernel::Kernel;
use crate::level::Level;
use crate::words;

/// Longer names are for attackers.
const LONGEST_NAME: usize = 100;

const KERNEL: &str = "kernel.cpp";
const DESCRIPTOR: &str = "kernel.c";
const OBJECT: &str = "descriptor.o";
const IMAGE: &str = "kernel.cubin";
const IMAGE_TEXT: &str = "image.s";
const IMAGE_OBJECT: &str = "image.o";

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
    gpu: Option<&'a Gpu>,
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
        (storage, level): (Storage, Level),
        compiler: &'a Compiler,
        gpu: Option<&'a Gpu>,
    ) -> Result<Job<'a>, Error> {
        let inputs = formula.inputs.iter().map(|input| &input.name);
        let mut names = inputs.chain(formula.outputs.iter().map(|output| &output.name));
        if let Some(name) = names.find(|name| !is_plain(name)) {
            return Err(words::jit::bad_name(name));
        }
        let name = if is_plain(&formula.name) { &formula.name } else { "formula" };
        let symbol = format!("{}_{}", emit::symbol(&key), storage.name());
        Ok(Job { formula, canonical, compiler, gpu, storage, name, key, symbol, level })
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
        part(self.gpu.map(Gpu::identity).unwrap_or_default().as_bytes());
        self.steps(None).iter().flatten().for_each(|argument| part(argument.as_bytes()));
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
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(|e| Trouble::Folder(words::jit::unusable(&path, &e)))
        };
        for (name, text) in HEADERS {
            write(name, text.as_bytes())?;
        }
        write(KERNEL, text.cpp.as_bytes())?;
        write(DESCRIPTOR, text.desc.as_bytes())?;
        let image = self.gpu.map(|gpu| gpu.image(&text.cu, self.dtype().kernel)).transpose();
        let image = image.map_err(|output| words::jit::no_image(self.name, &output))?;
        if let Some(image) = &image {
            write(IMAGE, image)?;
            write(IMAGE_TEXT, flags::image_text(&self.symbol, IMAGE).as_bytes())?;
        }
        for step in self.steps(image.map(|image| image.len())) {
            let arguments: Vec<&str> = step.iter().map(String::as_str).collect();
            self.compiler.run(folder, &arguments).map_err(|failure| self.failed(&failure))?;
        }
        let library = folder.join(LIBRARY);
        match library.is_file() {
            true => Ok(library),
            false => Err(words::jit::nothing_written(self.name).into()),
        }
    }

    fn dtype(&self) -> &'static flags::Dtype {
        flags::dtype(self.storage.name())
    }

    /// The arguments of each run of the compiler: the image, if there is one of so many bytes, the
    /// descriptor, then all of it.
    fn steps(&self, image: Option<usize>) -> Vec<Vec<String>> {
        let level = flags::level(self.level.name());
        let list = |parts: &[&[&str]]| parts.concat().into_iter().map(String::from).collect();
        let object = |name| ["-c", name, "-o"];
        let mut descriptor: Vec<String> =
            list(&[flags::DESCRIPTOR, self.dtype().descriptor, &[level.descriptor]]);
        descriptor.extend(image.map(|bytes| format!("-DTF_HAS_IMAGE={bytes}")));
        descriptor.extend(list(&[&object(DESCRIPTOR), &[OBJECT]]));
        // Kernels bring their own mathematics; without this the C++ library would be loaded too.
        let linking: &[&str] = if cfg!(target_os = "linux") { &["-Wl,--as-needed"] } else { &[] };
        let images: &[&str] = if image.is_some() { &[IMAGE_OBJECT] } else { &[] };
        let code = [flags::KERNEL, level.kernel, self.dtype().kernel].concat();
        let all = list(&[linking, &code, &["-shared", KERNEL, OBJECT], images, &["-o", LIBRARY]]);
        let assembled: Vec<String> = list(&[flags::IMAGE, &object(IMAGE_TEXT), &[IMAGE_OBJECT]]);
        image.map(|_| assembled).into_iter().chain([descriptor, all]).collect()
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
