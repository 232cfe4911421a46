//! The wording of errors and notes of formulas that are compiled at run time. It never decides
//! what is an error.

use std::ffi::OsStr;
use std::fmt::Display;
use std::path::Path;

use crate::error::{Code, Error};
use crate::level::Level;

/// How many lines of a compiler's output are shown.
const LINES: usize = 20;

const INSTALL: &str =
    "install a C++17 compiler (Debian: `apt install g++`), or set TILEFOLD_CXX to one";
const OTHERWISE: &str = "or allow the interpreter, which needs no compiler";

pub(crate) fn no_limit(variable: &str, text: &OsStr, default: u64) -> String {
    format!(
        "{variable} is `{}`, which is no number of MiB; the folder keeps {default}",
        text.display()
    )
}

pub(crate) fn no_compiler(tried: &[&str]) -> Error {
    let tried = tried.join(", ");
    let message = format!("there is no C++ compiler: PATH has none of {tried}");
    Error::new(Code::NoCompiler, message).help(INSTALL).help(OTHERWISE)
}

pub(crate) fn missing_compiler(who: &str, named: &OsStr) -> Error {
    let message = format!("{who} names the C++ compiler `{}`, which is not there", named.display());
    Error::new(Code::NoCompiler, message)
        .help(format!("correct {who}, or leave it out to use the system's compiler"))
        .help(OTHERWISE)
}

pub(crate) fn failed(name: &str, command: &str, end: &str, output: &str) -> Error {
    let lines: Vec<&str> = output.trim_end().lines().collect();
    let shown: String = lines.iter().take(LINES).map(|line| format!("\n    {line}")).collect();
    let printed = match lines.len() {
        0 => "it printed nothing".to_owned(),
        n if n > LINES => format!("the first {LINES} lines it printed:{shown}"),
        _ => format!("it printed:{shown}"),
    };
    let message = format!("{name}: the C++ compiler failed ({end})\n  {command}\n  {printed}");
    Error::new(Code::Compilation, message)
        .help("try another compiler: set TILEFOLD_CXX to it")
        .help(OTHERWISE)
}

pub(crate) fn no_image(name: &str, output: &str) -> Error {
    let lines: String = output.lines().take(LINES).map(|line| format!("\n    {line}")).collect();
    Error::new(Code::Compilation, format!("{name}: NVRTC failed; it printed:{lines}"))
        .help("try another NVRTC: set TILEFOLD_NVRTC to its library")
        .help("use Policy::Auto or Policy::Cpu to run on the CPU")
}

pub(crate) fn nothing_written(name: &str) -> Error {
    let message = format!("{name}: the C++ compiler said that it succeeded but wrote nothing");
    Error::new(Code::Compilation, message)
        .help("check what TILEFOLD_CXX or CXX names")
        .help(OTHERWISE)
}

pub(crate) fn unloadable(name: &str, why: &dyn Display) -> Error {
    let message = format!("{name}: what the C++ compiler wrote cannot be loaded: {why}");
    Error::new(Code::Compilation, message)
        .help("check that the compiler makes code for this machine")
        .help("set TMPDIR to a folder that programs may be run from, if it is mounted noexec")
        .help(OTHERWISE)
}

pub(crate) fn no_workplace(name: &str, why: &dyn Display) -> Error {
    let message = format!("{name}: there is no folder to compile in: {why}");
    Error::new(Code::Compilation, message)
        .help("set TMPDIR to a folder that can be written and has room")
        .help(OTHERWISE)
}

pub(crate) fn too_large(why: &dyn Display) -> Error {
    Error::new(Code::Uncompilable, why.to_string()).help(OTHERWISE)
}

pub(crate) fn bad_name(name: &str) -> Error {
    let message = format!("`{}` is no name that code can have", name.escape_debug());
    Error::new(Code::Uncompilable, message)
        .help("use ASCII letters, digits and _, at most 100, and no digit first")
}

pub(crate) fn no_level(asked: Option<Level>) -> Error {
    let runs: Vec<&str> =
        Level::ALL.iter().filter(|level| level.is_supported()).map(|level| level.name()).collect();
    let runs = if runs.is_empty() { "none".to_owned() } else { runs.join(", ") };
    let asked = asked.map_or_else(String::new, |level| format!("{level} was asked for, but "));
    let message =
        format!("{asked}of the levels that formulas are compiled for, this CPU runs {runs}");
    Error::new(Code::Level, message).help("leave the level open").help(OTHERWISE)
}

// Notes.

pub(crate) fn not_kept(why: &str) -> String {
    format!("compiled for this process alone: {why}")
}

pub(crate) fn no_cuda_code(why: &str) -> String {
    format!("compiled without CUDA code: {why}")
}

pub(crate) fn no_folder() -> String {
    "the user has no cache folder; set TILEFOLD_CACHE to one".into()
}

pub(crate) fn unusable(path: &Path, why: &dyn Display) -> String {
    format!("{}: {why}", path.display())
}

pub(crate) fn strange_folder(path: &Path, owner: u32, user: u32) -> String {
    let path = path.display();
    format!(
        "{path} belongs to user {owner}, not to {user}, and compiled code is loaded from it; set \
         TILEFOLD_CACHE to a folder of your own"
    )
}

pub(crate) fn open_folder(path: &Path, mode: u32) -> String {
    let path = path.display();
    format!(
        "{path} can be written by others (mode {mode:o}), and compiled code is loaded from it; \
         run chmod go-w on it, or set TILEFOLD_CACHE to another folder"
    )
}

pub(crate) fn compiler_says(words: &str) -> String {
    format!("the compiler says: {words}")
}
