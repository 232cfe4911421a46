//! The driver of tests/driver. Goes in: settings, and programs that look for a CUDA driver. Comes
//! out: a folder where they find that one, and what it saw. It never runs anything itself.

use std::fs;
use std::path::{Path, PathBuf};

use libloading::Library;

use crate::native::include;
use crate::toolchain::{self, Product, Source};

/// The files, of which the first is compiled.
const FILES: &[(&str, &str)] = &[
    ("libcuda.cpp", include_str!("../driver/libcuda.cpp")),
    ("modules.h", include_str!("../driver/modules.h")),
    ("streams.h", include_str!("../driver/streams.h")),
    ("memory.h", include_str!("../driver/memory.h")),
    ("journal.h", include_str!("../driver/journal.h")),
];

const CANDLE: &str = include_str!("../driver/candle.cpp");

/// The libraries of CUDA that candle is linked to, and one with its kernels.
const LIBRARIES: &[&str] = &["candle", "cublas", "cublasLt", "cudart", "curand", "nvrtc"];

/// Puts the driver, and what candle needs besides, into a folder, to link with and for
/// `LD_LIBRARY_PATH`.
///
/// # Panics
/// As [`folder`].
pub fn with_candle(to: &Path) {
    let flags = "-std=c++20 -O1 -g -fPIC -fvisibility=hidden -Wall -Wextra -Werror";
    let flags = flags.split_whitespace().map(String::from).collect();
    let source = Source { name: "candle".into(), language: "cpp", text: CANDLE.into(), flags };
    let library = toolchain::build(Product::Library, &[source], &[]);
    fs::create_dir_all(to).expect("the target directory is writable");
    let put = |from: &Path, name: &str| {
        fs::copy(from, to.join(name)).expect("the target directory is writable");
    };
    for name in LIBRARIES {
        put(&library, &format!("lib{name}.so"));
    }
    let driver = folder().join("libcuda.so");
    put(&driver, "libcuda.so");
    let _ = fs::remove_file(to.join("libcuda.so.1"));
    // One file by two names is one library, as NVIDIA's is.
    fs::hard_link(to.join("libcuda.so"), to.join("libcuda.so.1"))
        .expect("the target directory is writable");
}

/// A folder with `libcuda.so` and `libcuda.so.1`, for `LD_LIBRARY_PATH`.
///
/// # Panics
/// When the compiler is missing or refuses the driver, with its words.
pub fn folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("driver");
    let fixed = "-std=c++20 -O1 -g -fPIC -fvisibility=hidden -Wall -Wextra -Werror";
    let mut flags: Vec<String> = fixed.split_whitespace().map(String::from).collect();
    flags.extend([&here, &toolchain::emulation(), &toolchain::headers()].map(|f| include(f)));
    // What is compiled again where a header is another.
    flags.push(format!("-DFAKE_CUDA_TEXT={:#x}", toolchain::hash(&FILES)));
    let source = Source { name: "libcuda".into(), language: "cpp", text: FILES[0].1.into(), flags };
    let library = toolchain::build(Product::Library, &[source], &["-ldl".into()]);
    let folder = library.with_extension("driver");
    fs::create_dir_all(&folder).expect("the target directory is writable");
    for name in ["libcuda.so", "libcuda.so.1"] {
        // One file by two names is one library, as NVIDIA's is. Another process may be faster.
        let _ = fs::hard_link(&library, folder.join(name));
        assert!(folder.join(name).exists(), "the target directory is writable");
    }
    folder
}

/// The driver that the program found, which must be that of tests/driver.
fn library() -> Library {
    // SAFETY: it has no constructors, and is loaded already.
    unsafe { Library::new("libcuda.so.1") }.expect("the driver is in LD_LIBRARY_PATH")
}

/// Whether the program found this driver, and not that of a device.
pub fn is_ours() -> bool {
    let library = library();
    // SAFETY: the symbol is looked for, and not called.
    let found = unsafe { library.get::<unsafe extern "C" fn() -> i64>("fake_cuda_calls") };
    found.is_ok()
}

/// Holds, where this driver tells, that nothing is left of what was allocated.
///
/// # Panics
/// When something is.
pub fn all_is_given_back() {
    assert!(!is_ours() || live() == 0, "{} allocations are left", live());
}

/// Makes the k-th call from now on fail with a code; 0: none.
pub fn fail(at: i64, code: i64) {
    // SAFETY: the function has this type in journal.h.
    unsafe { library().get::<unsafe extern "C" fn(i64, i64)>("fake_cuda_fail").unwrap()(at, code) }
}

/// Calls since [`fail`].
pub fn calls() -> i64 {
    // SAFETY: the function has this type in journal.h.
    unsafe { library().get::<unsafe extern "C" fn() -> i64>("fake_cuda_calls").unwrap()() }
}

/// Allocations that are not freed when all work is done.
pub fn live() -> i64 {
    // SAFETY: the function has this type in libcuda.cpp.
    unsafe { library().get::<unsafe extern "C" fn() -> i64>("fake_cuda_live").unwrap()() }
}

/// Bytes up to the last one that was written of the allocation at an address.
pub fn touched(data: u64) -> u64 {
    // SAFETY: the function has this type in memory.h.
    unsafe { library().get::<unsafe extern "C" fn(u64) -> u64>("fake_cuda_touched").unwrap()(data) }
}

/// What happened since the last time, one line each.
pub fn journal() -> Vec<String> {
    type Read = unsafe extern "C" fn(*mut u8, u64) -> u64;
    let library = library();
    let mut text = Vec::new();
    loop {
        // SAFETY: the function has this type in journal.h, and writes no more than it is given.
        let needed = unsafe {
            let read = library.get::<Read>("fake_cuda_journal").unwrap();
            read(text.as_mut_ptr(), text.len() as u64)
        } as usize;
        if needed <= text.len() {
            text.truncate(needed);
            return String::from_utf8_lossy(&text).lines().map(String::from).collect();
        }
        text.resize(needed, 0);
    }
}

/// What happens while `work` runs, where this driver tells.
pub fn notes_of(work: impl FnOnce()) -> Option<Vec<String>> {
    let is_ours = is_ours();
    if is_ours {
        journal();
    }
    work();
    is_ours.then(journal)
}

/// Lines of a journal that begin with a word.
pub fn count(journal: &[String], word: &str) -> usize {
    journal.iter().filter(|line| line.starts_with(word)).count()
}
