//! The programs that a build needs, where they are, and how to get the ones that are missing.
//!
//! In: the environment and a folder for fetched tools. Out: the C++ compiler, nvcc and libclang
//! with their versions, or for each the command that gets it. [`fetch`] puts nvcc and libclang
//! from pinned PyPI wheels into that folder, without administrator rights. It never changes the
//! environment, never uses a wheel whose hash is not the pinned one, and never leaves half a tool.

mod fetch;
mod find;
mod pins;

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::Error;
use crate::native::{Cuda, Tool};
use crate::process;

pub use fetch::{fetch, installed};
pub use find::{find_cxx, find_libclang, find_nvcc};

/// Tools that can be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kit {
    /// nvcc with everything that makes a fatbin, and the disassemblers for checks of its code.
    Nvcc,
    /// libclang, which makes Rust declarations of C headers.
    Libclang,
}

/// Where a tool is, or how to get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is there and says its version.
    Found(Tool),
    /// It is not there, or does not run.
    Missing {
        /// What is missing.
        name: &'static str,
        /// Where it was looked for, and what was wrong there.
        why: String,
        /// The command that gets it.
        help: String,
    },
}

impl Finding {
    /// The tool, if it is there.
    pub fn tool(&self) -> Option<&Tool> {
        match self {
            Finding::Found(tool) => Some(tool),
            Finding::Missing { .. } => None,
        }
    }

    /// The tool, or an error that says how to get it.
    pub fn into_tool(self) -> Result<Tool, Error> {
        match self {
            Finding::Found(tool) => Ok(tool),
            Finding::Missing { name, why, help } => {
                Err(Error::Target { problem: format!("{name} is missing: {why}"), help })
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Found(tool) => write!(f, "{} ({})", tool.path.display(), tool.version),
            Finding::Missing { name, why, help } => {
                write!(f, "{name} is missing: {why}\n  help: {help}")
            }
        }
    }
}

/// The three tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// The C++ compiler of the CPU kernels.
    pub cxx: Finding,
    /// The compiler of the CUDA images.
    pub nvcc: Finding,
    /// The library behind the Rust declarations.
    pub libclang: Finding,
}

impl Toolchain {
    /// Looks for all three; `fetched` is the folder that [`fetch`] fills.
    pub fn find(fetched: &Path) -> Toolchain {
        Toolchain { cxx: find_cxx(), nvcc: find_nvcc(fetched), libclang: find_libclang(fetched) }
    }
}

/// Compiles one CUDA text to a fatbin, past the cache of a native build: for checks of its code.
/// `output` appears whole or not at all.
pub fn nvcc_fatbin(
    cuda: &Cuda,
    source: &Path,
    output: &Path,
    includes: &[&Path],
    flags: &[&str],
    limit: Duration,
) -> Result<(), Error> {
    let dir = output.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = crate::files::temporary(dir);
    let mut command = cuda.fatbin();
    command.args(flags);
    for dir in includes {
        command.arg("-I").arg(dir);
    }
    command.arg("-o").arg(&temporary).arg(source);
    let result = run("nvcc", &mut command, source, limit).and_then(|printed| {
        if std::fs::metadata(&temporary).map_or(0, |meta| meta.len()) == 0 {
            return Err(left_nothing("nvcc", &command, source, printed));
        }
        std::fs::rename(&temporary, output).map_err(Error::io("write", output))
    });
    if result.is_err() {
        // It is there only if nvcc failed after it began to write.
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

/// The error of a tool that says it succeeded, without its file.
fn left_nothing(tool: &'static str, command: &Command, subject: &Path, output: String) -> Error {
    Error::Tool {
        tool,
        problem: "ended well but left no file".into(),
        subject: subject.display().to_string(),
        command: process::command_line(command),
        output,
    }
}

/// Runs a tool; anything but success is an error that shows how to repeat it. Gives back the end of
/// what it printed.
fn run(
    tool: &'static str,
    command: &mut Command,
    subject: &Path,
    limit: Duration,
) -> Result<String, Error> {
    let done = process::run(command, limit).map_err(|source| Error::NotFound {
        tool,
        program: command.get_program().to_string_lossy().into_owned(),
        source,
        help: "`cargo xtask doctor` says what is found on this machine",
    })?;
    let output = done.tail();
    let command = process::command_line(command);
    match done.status {
        Some(status) if status.success() => Ok(output),
        Some(status) => Err(Error::Tool {
            tool,
            problem: format!("failed ({status})"),
            subject: subject.display().to_string(),
            command,
            output,
        }),
        None => Err(Error::Timeout { tool, limit, command, output }),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::native::Archs;
    use std::fs;
    use std::path::PathBuf;

    const LIMIT: Duration = Duration::from_secs(20);

    /// A folder with a text and a compiler that runs `script`.
    fn compiler(script: &str) -> (tempfile::TempDir, Cuda) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nvcc");
        find::tests::write_script(&path, script);
        fs::write(dir.path().join("k.cu"), "text").unwrap();
        let nvcc = Tool { path, version: "13.0.88".into() };
        (dir, Cuda { nvcc, archs: Archs::default() })
    }

    fn compile(dir: &Path, cuda: &Cuda) -> Result<(), Error> {
        let include = PathBuf::from("in clude");
        nvcc_fatbin(cuda, &dir.join("k.cu"), &dir.join("k.fatbin"), &[&include], &["-w"], LIMIT)
    }

    /// The output goes to the word after -o.
    const WRITES: &str = r#"while [ "$1" != -o ]; do shift; done; printf '%s' "$*" > "$2""#;

    #[test]
    fn a_good_compiler_leaves_its_file() {
        let (dir, cuda) = compiler(WRITES);
        compile(dir.path(), &cuda).unwrap();
        let wrote = fs::read_to_string(dir.path().join("k.fatbin")).unwrap();
        assert!(wrote.ends_with("k.cu"), "{wrote}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "no temporary is left");
    }

    #[test]
    fn a_failing_compiler_shows_its_words_and_leaves_the_old_file() {
        let script = "echo 'k.cu(3): error: no' >&2; exit 2";
        let (dir, cuda) = compiler(&format!("({WRITES}); {script}"));
        fs::write(dir.path().join("k.fatbin"), "old").unwrap();
        let error = compile(dir.path(), &cuda).unwrap_err().to_string();
        assert!(error.contains("nvcc failed (exit status: 2) on"), "{error}");
        assert!(error.contains("k.cu(3): error: no"), "{error}");
        assert!(error.contains("code=compute_80 -w -I 'in clude' -o"), "{error}");
        assert_eq!(fs::read_to_string(dir.path().join("k.fatbin")).unwrap(), "old");
        let left = fs::read_dir(dir.path()).unwrap().flatten();
        let left: Vec<_> = left.map(|e| e.file_name().into_string().unwrap()).collect();
        assert!(!left.iter().any(|n| n.starts_with(crate::files::TEMPORARY)), "{left:?}");
    }

    #[test]
    fn a_compiler_that_writes_nothing_is_an_error() {
        let (dir, cuda) = compiler("exit 0");
        let error = compile(dir.path(), &cuda).unwrap_err().to_string();
        assert!(error.contains("nvcc ended well but left no file on"), "{error}");
        assert!(!dir.path().join("k.fatbin").exists());
    }

    #[test]
    fn a_missing_compiler_says_so() {
        let (dir, mut cuda) = compiler("exit 0");
        cuda.nvcc.path = dir.path().join("gone");
        let error = compile(dir.path(), &cuda).unwrap_err().to_string();
        assert!(error.contains("cannot start nvcc"), "{error}");
        assert!(error.contains("cargo xtask doctor"), "{error}");
    }
}
