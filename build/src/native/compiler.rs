//! The C++ compiler and the instruction levels it compiles for.
//!
//! In: a target. Out: commands with the flags that every kernel shares. The compiler is looked for
//! once a build (CXX, CXXFLAGS and cc's own search), since finding out its family takes a process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tilefold_templates::flags;

use crate::Error;
use crate::process;

/// The platform that this crate was compiled for.
pub const HOST: &str = env!("TILEFOLD_HOST");

/// A compiler that says nothing to `--version` for this long is broken.
const VERSION_LIMIT: Duration = Duration::from_secs(30);

const HELP: &str = "install a C++17 compiler (Debian: `apt install g++`), or set CXX to one; \
                    `cargo xtask doctor` says what is found";

/// A set of CPU instructions that kernels are compiled for; the runtime picks the best at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// x86-64-v2: SSE4.2.
    V2,
    /// x86-64-v3: AVX2 and FMA.
    V3,
    /// x86-64-v4: AVX-512.
    V4,
    /// ARMv8 with NEON.
    Neon,
}

impl Level {
    /// The levels of a target, lowest first.
    pub fn of_target(target: &str) -> Result<&'static [Level], Error> {
        match target.split('-').next() {
            Some("x86_64") => Ok(&[Level::V2, Level::V3, Level::V4]),
            Some("aarch64" | "arm64") => Ok(&[Level::Neon]),
            _ => Err(Error::Target {
                problem: format!("no CPU kernels for {target}: there are x86_64 and aarch64"),
                help: "build for one of these, or without linked kernels".into(),
            }),
        }
    }

    /// The name that progress shows.
    pub fn name(self) -> &'static str {
        match self {
            Level::V2 => "x86-64-v2",
            Level::V3 => "x86-64-v3",
            Level::V4 => "x86-64-v4",
            Level::Neon => "neon",
        }
    }

    /// The compiler's flags, and what tells the descriptor that the level's code is linked.
    pub fn flags(self) -> &'static flags::Level {
        flags::level(self.name())
    }
}

/// A C++ compiler, found and asked for its version.
pub struct Compiler {
    tool: cc::Tool,
    archiver: PathBuf,
    version: String,
    target: String,
}

impl Compiler {
    /// The compiler for `target`: CXX, or the system's by any of its names.
    pub fn find(target: &str) -> Result<Compiler, Error> {
        Compiler::new(target, None).or_else(|first| match std::env::var_os("CXX") {
            Some(_) => Err(first),
            None => ["g++", "clang++"]
                .iter()
                .find_map(|name| Compiler::at(Path::new(name), target).ok())
                .ok_or(first),
        })
    }

    /// A particular compiler.
    pub fn at(path: &Path, target: &str) -> Result<Compiler, Error> {
        Compiler::new(target, Some(path))
    }

    fn new(target: &str, path: Option<&Path>) -> Result<Compiler, Error> {
        let mut build = cc::Build::new();
        build
            .cpp(true)
            .target(target)
            .host(HOST)
            .opt_level(2)
            .debug(false)
            .pic(true)
            .warnings(false)
            // Flags of rustc would tell build scripts and xtask apart; they share their objects.
            .inherit_rustflags(false)
            .cargo_metadata(false)
            .cargo_warnings(false)
            .out_dir(std::env::temp_dir());
        if let Some(path) = path {
            // Before cc probes it: a missing compiler gets our message.
            version_of(path)?;
            build.compiler(path);
        }
        let tool = build.try_get_compiler().map_err(|e| missing("c++", &e.to_string()))?;
        if tool.is_like_msvc() {
            return Err(Error::Target {
                problem: format!("{} is MSVC, kernels need GCC or Clang", tool.path().display()),
                help: "set CXX to clang++ and build for a -gnu target".into(),
            });
        }
        let archiver = build.try_get_archiver().map_err(|e| missing("ar", &e.to_string()))?;
        let archiver = PathBuf::from(archiver.get_program());
        let version = version_of(tool.path())?;
        Ok(Compiler { tool, archiver, version, target: target.to_string() })
    }

    /// Its path, as it is run.
    pub fn path(&self) -> &Path {
        self.tool.path()
    }

    /// The first line of what it says about its version.
    pub fn version(&self) -> &str {
        self.version.lines().next().unwrap_or_default()
    }

    /// The platform it compiles for.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Everything about it that decides what it makes.
    pub fn identity(&self) -> String {
        let args: Vec<_> = self.tool.args().iter().map(|a| a.to_string_lossy()).collect();
        format!("{}\n{}\n{}", self.path().display(), self.version, args.join("\n"))
    }

    /// The archiver that belongs to it.
    pub fn archiver(&self) -> &Path {
        &self.archiver
    }

    /// Compiles a kernel's C++ text at a level.
    pub fn cpu(&self, level: Level) -> Command {
        let mut command = self.tool.to_command();
        command.args(flags::KERNEL).args(level.flags().kernel);
        command
    }

    /// Compiles a descriptor.
    pub fn descriptor(&self) -> Command {
        let mut command = self.tool.to_command();
        command.args(flags::DESCRIPTOR);
        command
    }

    /// Assembles a text that has no preprocessor lines.
    pub fn assembler(&self) -> Command {
        let mut command = self.tool.to_command();
        command.args(flags::IMAGE);
        command
    }

    /// Whether bytes look like an object of the target.
    pub fn is_object(&self, bytes: &[u8]) -> bool {
        if self.target.contains("-apple-") {
            bytes.starts_with(&[0xcf, 0xfa, 0xed, 0xfe])
        } else if self.target.contains("-windows-") {
            !bytes.is_empty()
        } else {
            bytes.starts_with(b"\x7fELF")
        }
    }
}

fn missing(program: &str, problem: &str) -> Error {
    let source = std::io::Error::new(std::io::ErrorKind::NotFound, problem.trim_end().to_string());
    Error::NotFound { tool: "the C++ compiler", program: program.into(), source, help: HELP }
}

fn version_of(path: &Path) -> Result<String, Error> {
    let mut command = Command::new(path);
    command.arg("--version");
    let done = process::run(&mut command, VERSION_LIMIT).map_err(|source| Error::NotFound {
        tool: "the C++ compiler",
        program: path.display().to_string(),
        source,
        help: HELP,
    })?;
    match done.status {
        Some(_) => Ok(done.output),
        None => Err(Error::Timeout {
            tool: "the C++ compiler",
            limit: VERSION_LIMIT,
            command: process::command_line(&command),
            output: done.tail(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_the_target() {
        let levels = |target| Level::of_target(target).unwrap();
        assert_eq!(levels("x86_64-unknown-linux-gnu"), [Level::V2, Level::V3, Level::V4]);
        assert_eq!(levels("aarch64-apple-darwin"), [Level::Neon]);
        let error = Level::of_target("riscv64gc-unknown-linux-gnu").unwrap_err().to_string();
        assert!(error.contains("riscv64gc") && error.contains("x86_64 and aarch64"), "{error}");
    }

    #[test]
    fn a_missing_compiler_says_how_to_get_one() {
        let error = Compiler::at(Path::new("/nonexistent/c++"), HOST).err().unwrap().to_string();
        assert!(error.contains("cannot start the C++ compiler `/nonexistent/c++`"), "{error}");
        assert!(error.contains("install a C++17 compiler"), "{error}");
    }
}
