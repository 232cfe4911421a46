//! What can go wrong while building: every message names the file or the command, and the remedy.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a build failed.
///
/// `Debug` prints the same text as `Display`, so that `fn main() -> Result<(), Error>` in a build
/// script shows the message and not a data structure.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The formulas folder, or a file in it, cannot be used.
    #[error("{path}: {problem}\n  help: {help}", path = path.display())]
    Formulas {
        /// The offending path.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        help: String,
    },
    /// The compiler refused one or more formulas.
    #[error("{rendered}{count} formula file(s) could not be compiled")]
    Diagnostics {
        /// Every diagnostic, rendered.
        rendered: String,
        /// How many files had some.
        count: usize,
    },
    /// Two formula files produce the same thing.
    #[error("{what} comes from both {first} and {second}\n  help: rename one of the formulas")]
    Clash {
        /// The formula or file made twice.
        what: String,
        /// The first source.
        first: String,
        /// The second source.
        second: String,
    },
    /// Generated text on disk is not what the formulas say.
    #[error("{dir} is not up to date:\n{list}  help: run {command}", dir = dir.display())]
    Stale {
        /// The generated folder.
        dir: PathBuf,
        /// One line a file.
        list: String,
        /// The command that mends it.
        command: String,
    },
    /// The file system refused.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The manifest of a generated folder cannot be read.
    #[error("{path}:{line}: {problem}\n  help: run {REGENERATE}", path = path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A program could not be started.
    #[error("cannot start {tool} `{program}`: {source}\n  help: {help}")]
    NotFound {
        /// What it is.
        tool: &'static str,
        /// The program that was tried.
        program: String,
        /// The system's answer.
        source: io::Error,
        /// How to get it.
        help: &'static str,
    },
    /// A program ran and did not do its work.
    #[error("{tool} {problem} on {subject}\n  command: {command}\n{output}")]
    Tool {
        /// What it is.
        tool: &'static str,
        /// What it did: `failed (exit status: 1)`, `wrote nothing`.
        problem: String,
        /// The text it worked on.
        subject: String,
        /// The command line, quoted for a shell.
        command: String,
        /// The last lines it printed, indented.
        output: String,
    },
    /// A program did not end in time and was killed.
    #[error("{tool} was killed after {limit:?} without an end\n  command: {command}\n{output}")]
    Timeout {
        /// What it is.
        tool: &'static str,
        /// The time it had.
        limit: Duration,
        /// The command line, quoted for a shell.
        command: String,
        /// The last lines it printed, indented.
        output: String,
    },
    /// Kernels cannot be built for this platform or GPU.
    #[error("{problem}\n  help: {help}")]
    Target {
        /// What is asked and what there is.
        problem: String,
        /// What to do.
        help: String,
    },
    /// Rust declarations cannot be made.
    #[error("cannot make Rust declarations of the C headers: {problem}\n  help: {help}")]
    Bindings {
        /// What went wrong.
        problem: String,
        /// What to do.
        help: String,
    },
}

/// The command that makes a generated folder anew.
pub const REGENERATE: &str = "`cargo xtask build-formulas`";

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// Wraps an error of the file system; made for `map_err`.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { action, path, source }
    }
}
