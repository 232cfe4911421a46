//! The machine's C++ compiler. Goes in: its name, or nothing. Comes out: where it is, what tells it
//! from others, and its runs. It is identified by its file alone: path, size and time of change of
//! what the name leads to. It never goes through a shell.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use crate::error::Error;
use crate::{files, words};

/// What names the compiler, in this order.
const VARIABLES: [&str; 2] = ["TILEFOLD_CXX", "CXX"];

/// The names that compilers go by.
const NAMES: [&str; 3] = ["c++", "g++", "clang++"];

/// More of what it prints is not kept.
const OUTPUT: u64 = 16 << 10;

/// A compiler that is there.
pub(super) struct Compiler {
    program: PathBuf,
    arguments: Vec<OsString>,
    /// The files that it is made of: itself, and what it is told to run.
    identity: String,
}

/// A run that did not succeed.
pub(super) struct Failure {
    /// The command, as a person would paste it into a shell.
    pub command: String,
    /// How it ended.
    pub end: String,
    /// The beginning of what it printed.
    pub output: String,
}

impl Compiler {
    /// The one that is asked for, or that a variable names, or that PATH has.
    pub fn find(asked: Option<&OsStr>) -> Result<Compiler, Error> {
        if let Some(asked) = asked {
            return Compiler::named(asked)
                .ok_or_else(|| words::jit::missing_compiler("Jit::compiler", asked));
        }
        for variable in VARIABLES {
            let Some(value) = env::var_os(variable).filter(|value| !value.is_empty()) else {
                continue;
            };
            return Compiler::named(&value)
                .ok_or_else(|| words::jit::missing_compiler(variable, &value));
        }
        let found = NAMES.iter().find_map(|name| Compiler::named(OsStr::new(name)));
        found.ok_or_else(|| words::jit::no_compiler(&NAMES))
    }

    /// A path or a name, or one with arguments, as in `ccache g++`.
    fn named(words: &OsStr) -> Option<Compiler> {
        if let Some(program) = locate(words) {
            return Some(Compiler::new(program, Vec::new()));
        }
        let mut words = words.to_str()?.split_whitespace();
        let program = locate(OsStr::new(words.next()?))?;
        Some(Compiler::new(program, words.map(OsString::from).collect()))
    }

    fn new(program: PathBuf, arguments: Vec<OsString>) -> Compiler {
        let mut identity = format!("{}\n{}", program.display(), file(&program));
        for argument in &arguments {
            let found = locate(argument).map(|path| file(&path)).unwrap_or_default();
            identity += &format!("\n{} {found}", argument.display());
        }
        Compiler { program, arguments, identity }
    }

    /// What tells it from others.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Runs it in a folder.
    pub fn run(&self, folder: &Path, arguments: &[&str]) -> Result<(), Failure> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(arguments).current_dir(folder);
        // Compilers translate their messages; errors want one language.
        command.env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let (end, output) = match spawn_and_wait(&mut command) {
            Ok((status, _)) if status.success() => return Ok(()),
            Ok((status, output)) => (status.to_string(), output),
            Err(e) => (e.to_string(), String::new()),
        };
        Err(Failure { command: line(&command), end, output })
    }
}

fn spawn_and_wait(command: &mut Command) -> io::Result<(std::process::ExitStatus, String)> {
    let mut child = command.spawn()?;
    let mut output = Vec::new();
    if let Some(mut stream) = child.stderr.take() {
        // What fails here is told by the end of the process.
        let _ = stream.by_ref().take(OUTPUT).read_to_end(&mut output);
        let _ = io::copy(&mut stream, &mut io::sink());
    }
    let status = child.wait()?;
    Ok((status, String::from_utf8_lossy(&output).into_owned()))
}

/// The command line; what is not plain is quoted.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quote = |word: &OsStr| {
        let word = word.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=./,:@%".contains(c);
        match !word.is_empty() && word.chars().all(plain) {
            true => word.into_owned(),
            false => format!("'{}'", word.replace('\'', r"'\''")),
        }
    };
    words.map(quote).collect::<Vec<_>>().join(" ")
}

/// The program of a name: a path, or the first of that name in PATH.
fn locate(name: &OsStr) -> Option<PathBuf> {
    let path = Path::new(name);
    if path.components().count() > 1 {
        return is_program(path).then(|| files::absolute(path));
    }
    let mut file_name = name.to_os_string();
    if !env::consts::EXE_SUFFIX.is_empty() && path.extension().is_none() {
        file_name.push(env::consts::EXE_SUFFIX);
    }
    let folders = env::var_os("PATH")?;
    // A relative folder is another one for every current folder.
    let folders = env::split_paths(&folders).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(&file_name)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    let Ok(facts) = fs::metadata(path) else { return false };
    #[cfg(unix)]
    let runs = std::os::unix::fs::PermissionsExt::mode(&facts.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let runs = true;
    facts.is_file() && runs
}

/// The file that a path leads to: where it is, its size, and when it was changed.
fn file(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let facts = fs::metadata(&path).ok();
    let size = facts.as_ref().map_or(0, fs::Metadata::len);
    let changed = facts.and_then(|facts| facts.modified().ok());
    let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{} {size} {}", path.display(), changed.map_or(0, |time| time.as_nanos()))
}
