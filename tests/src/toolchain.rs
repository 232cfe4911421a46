//! Starts the C++ compiler, and remembers what it made.
//!
//! Objects and libraries lie under cargo's target directory and are named by a hash of everything
//! that goes into them, so a second run of the tests compiles nothing.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, id};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock};
use std::thread;

use tilefold_build::toolchain::find_nvcc;
use tilefold_build::toolchain_folder;
use tilefold_templates::HEADERS;

/// One source file and how it is compiled.
#[derive(Clone, Debug, Hash)]
pub struct Source {
    /// What to call it in messages.
    pub name: String,
    /// `c`, `cpp` or `cu`, the language. What nvcc makes of the last is no object: it is an image.
    pub language: &'static str,
    /// Its text.
    pub text: String,
    /// Flags of the compiler.
    pub flags: Vec<String>,
}

/// What objects are linked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Product {
    /// A shared library.
    Library,
    /// A program.
    Program,
}

/// Which processor code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// The one that the tests run on.
    Own,
    /// 64-bit ARM, as a program that qemu runs. Both it and the cross compiler are packages of
    /// Debian: `apt-get install g++-aarch64-linux-gnu qemu-user`.
    Arm,
}

impl Processor {
    /// The compiler of a language, `c`, `cpp` or `cu`.
    pub fn compiler(self, language: &str) -> OsString {
        match (self, language) {
            // Whichever it is: a machine that runs images may have none.
            (_, "cu") => "nvcc".into(),
            (Processor::Own, "c") => env::var_os("CC").unwrap_or_else(|| "cc".into()),
            (Processor::Own, _) => env::var_os("CXX").unwrap_or_else(|| "c++".into()),
            (Processor::Arm, "c") => "aarch64-linux-gnu-gcc".into(),
            (Processor::Arm, _) => "aarch64-linux-gnu-g++".into(),
        }
    }

    /// A command that runs a program, to which arguments can be added.
    pub fn start(self, program: &Path) -> Command {
        // ThreadSanitizer does not start where addresses are too random for its shadow.
        let mut command = Command::new("setarch");
        command.arg("-R");
        if self == Processor::Arm {
            command.args(["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]);
        }
        command.arg(program);
        command
    }

    /// Whether there is what makes and runs its programs. Where there is not, this is said.
    pub fn is_here(self) -> bool {
        let starts = |program: &OsString| {
            let output = Command::new(program).arg("--version").output();
            output.is_ok_and(|output| output.status.success())
        };
        let mut needed = vec![self.compiler("c"), self.compiler("cpp")];
        if self == Processor::Arm {
            needed.push("qemu-aarch64".into());
        }
        let missing: Vec<OsString> = needed.into_iter().filter(|p| !starts(p)).collect();
        if !missing.is_empty() {
            println!("not run for {self:?}: {missing:?} missing");
        }
        missing.is_empty()
    }
}

/// For code that runs once, on little data: compiling it is all that it costs. What may be
/// uninitialized is guessed worse than by the optimizations that shipped code gets.
pub(crate) const QUICK: [&str; 2] = ["-Og", "-Wno-maybe-uninitialized"];

/// Compiles sources, as many at a time as there are cores, and links them.
///
/// # Panics
/// When the compiler is missing or refuses a source, with its words.
pub fn build(product: Product, sources: &[Source], link_flags: &[String]) -> PathBuf {
    build_for(Processor::Own, product, sources, link_flags)
}

/// The same for a processor.
///
/// # Panics
/// As [`build`].
pub fn build_for(
    processor: Processor,
    product: Product,
    sources: &[Source],
    link_flags: &[String],
) -> PathBuf {
    let folder = folder();
    let objects: Vec<PathBuf> = sources.iter().map(|s| object(processor, s, &folder)).collect();
    let made = folder.join(format!("{:016x}", hash(&(&objects, product, link_flags))));
    // A machine without compilers runs what another one linked.
    if !made.exists() {
        let both: Vec<(&Source, &PathBuf)> = sources.iter().zip(&objects).collect();
        parallel(&both, |(source, made)| compile(processor, source, made));
        let mut command = Command::new(processor.compiler("cpp"));
        if product == Product::Library {
            command.arg("-shared");
        }
        command.args(&objects).args(link_flags);
        run(&mut command, &made, "linking");
    }
    made
}

/// The folder of tilefold's headers, written there first.
pub fn headers() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let write = || {
        let folder = folder().join(format!("include-{:016x}", hash(&HEADERS)));
        fs::create_dir_all(&folder).expect("the target directory is writable");
        for (name, text) in HEADERS {
            put(&folder.join(name), text);
        }
        folder
    };
    FOLDER.get_or_init(write).clone()
}

/// The headers that let g++ run CUDA text, see tests/emulation.
pub fn emulation() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("emulation")
}

/// The text of every header of the emulation, which objects depend on.
pub fn emulation_text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let names = ["fiber.h", "block.h", "warp.h", "tf_emulate.h", "tf_dense.h"];
        let read = |name| fs::read_to_string(emulation().join(name)).expect("a committed header");
        names.map(read).concat()
    })
}

/// Where what is made of a source lies.
fn object(processor: Processor, source: &Source, folder: &Path) -> PathBuf {
    let compiler = processor.compiler(source.language);
    let key = hash(&(source, &compiler, HEADERS, emulation_text()));
    folder.join(format!("{key:016x}.o"))
}

/// Compiles a source, unless that was done.
fn compile(processor: Processor, source: &Source, made: &Path) {
    if !made.exists() {
        let file = made.with_extension(source.language);
        put(&file, &source.text);
        let mut command = match source.language {
            "cu" => nvcc(),
            language => Command::new(processor.compiler(language)),
        };
        command.args(&source.flags);
        if source.language != "cu" {
            command.arg("-c");
        }
        run(command.arg(&file), made, &source.name);
    }
}

/// nvcc, with which images are made.
fn nvcc() -> Command {
    let program = env::current_exe().expect("a test knows its own path");
    let found = find_nvcc(&toolchain_folder(&program)).into_tool();
    Command::new(found.unwrap_or_else(|e| panic!("{e}")).path)
}

/// Makes an image of a CUDA source; gives back its file.
///
/// # Panics
/// When nvcc is missing or refuses the source, with its words.
pub fn image(source: &Source) -> PathBuf {
    let made = object(Processor::Own, source, &folder());
    compile(Processor::Own, source, &made);
    made
}

/// Runs a command that makes a file, which appears whole or not at all.
fn run(command: &mut Command, made: &Path, what: &str) {
    let partial = unique(made);
    command.arg("-o").arg(&partial);
    let _slot = Slot::take();
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {command:?}\n{words}");
    fs::rename(&partial, made).expect("the target directory is writable");
}

pub(crate) fn put(file: &Path, text: &str) {
    let partial = unique(file);
    fs::write(&partial, text).expect("the target directory is writable");
    fs::rename(&partial, file).expect("the target directory is writable");
}

/// A name beside `file` that no other thread or process uses.
fn unique(file: &Path) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    file.with_extension(format!("{}-{n}", id()))
}

/// `<target>/<profile>/tilefold-tests`: test programs lie in `<target>/<profile>/deps`.
fn folder() -> PathBuf {
    let program = env::current_exe().expect("a test knows its own path");
    let profile = program.ancestors().nth(2).expect("tests lie in target/<profile>/deps");
    let folder = profile.join("tilefold-tests");
    fs::create_dir_all(&folder).expect("the target directory is writable");
    folder
}

/// The hash that names what was made.
pub(crate) fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, |n| n.get())
}

/// Applies `work` to every item on as many threads as there are cores.
pub fn parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(n) else { return done };
            done.push((n, work(item)));
        }
    };
    let mut all: Vec<(usize, R)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(worker)).collect();
        let join = |t: thread::ScopedJoinHandle<'_, _>| {
            t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().flat_map(join).collect()
    });
    all.sort_by_key(|(n, _)| *n);
    all.into_iter().map(|(_, result)| result).collect()
}

/// A place among the compilers that run at a time, in all threads together.
struct Slot;

static BUSY: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

impl Slot {
    fn take() -> Slot {
        let free = |busy: &mut usize| *busy >= cores();
        let lock = BUSY.0.lock().unwrap_or_else(|e| e.into_inner());
        let mut busy = BUSY.1.wait_while(lock, free).unwrap_or_else(|e| e.into_inner());
        *busy += 1;
        Slot
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *BUSY.0.lock().unwrap_or_else(|e| e.into_inner()) -= 1;
        BUSY.1.notify_one();
    }
}
