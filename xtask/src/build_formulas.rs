//! `cargo xtask build-formulas`: from formula files to generated text, Rust declarations and static
//! libraries.

use std::path::Path;

use tilefold_build::native::{self, Archs, Compiler, Cuda, HOST, Native};
use tilefold_build::progress::Progress;
use tilefold_build::text::{self, Changes};
use tilefold_build::toolchain::{self, Finding, Kit};
use tilefold_build::{Config, Error, Images, cache_folder, toolchain_folder};

use crate::bars::Bars;
use crate::{declarations, program, root};

/// Compiles the formulas/ folder to generated/ and to static libraries
///
/// Reads formulas/*.fold, writes the C++, CUDA and Rust text to generated/ (only files that
/// differ), and compiles it to objects in target/tilefold, which the build scripts of this
/// workspace link. What is up to date is not compiled again. Needs a C++17 compiler; without nvcc
/// the CUDA text is written but not compiled.
#[derive(clap::Args, Default)]
pub struct Arguments {
    /// Write nothing; fail and list the files if generated/ is not what the formulas say
    #[arg(long, conflicts_with_all = ["fetch_toolchain", "arch", "jobs"])]
    pub check: bool,
    /// First put nvcc and libclang under target/toolchain, from PyPI packages of pinned versions
    /// and hashes; needs no admin rights and, after the first time, no network
    #[arg(long)]
    pub fetch_toolchain: bool,
    /// GPU generations of the CUDA images: numbers for machine code, ptx for what drivers translate
    /// [default: TILEFOLD_CUDA, or those of 80,90,100,ptx80 that nvcc knows]
    #[arg(long, value_name = "LIST")]
    pub arch: Option<String>,
    /// How many compilers run at once [default: one a core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> crate::Result {
    let config = Config::new().root(root());
    let result = match arguments.check {
        true => check(&config),
        false => build(&config, arguments),
    };
    result.map_err(|e| e.to_string())
}

fn check(config: &Config) -> Result<(), Error> {
    config.check()?;
    declarations::check()?;
    println!("generated/ is what the formulas say");
    Ok(())
}

fn build(config: &Config, arguments: &Arguments) -> Result<(), Error> {
    let tools = toolchain_folder(&program());
    if arguments.fetch_toolchain {
        for kit in [Kit::Nvcc, Kit::Libclang] {
            toolchain::fetch(&tools, kit, &mut |line| println!("{line}"))?;
        }
    }
    // Before anything is written: a wrong list is a mistake in the command.
    let images = match &arguments.arch {
        Some(list) => Images::For(Archs::parse(list)?),
        None => Images::wanted()?,
    };
    let compiler = Compiler::find(HOST)?;
    let bars = Bars::new();
    let cuda = cuda(images, &tools, &bars)?;
    tell(&config.generate(&bars)?, &bars);
    declarations::update(&tools, &bars)?;
    let libraries = text::verify(&config.generated())?.libraries;
    let cache = cache_folder(&program());
    let native = Native {
        compiler,
        cuda,
        archives: cache.join("archives"),
        cache,
        jobs: arguments.jobs.map_or_else(cores, usize::from),
        limit: native::LIMIT,
    };
    native::build(&config.generated(), &libraries, &native, &bars).map(drop)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// nvcc for the GPUs asked for; a line that says so if images are left out.
fn cuda(images: Images, tools: &Path, bars: &Bars) -> Result<Option<Cuda>, Error> {
    let archs = match images {
        Images::Off => {
            bars.note("TILEFOLD_CUDA is off: CUDA images left out");
            return Ok(None);
        }
        Images::Usual => None,
        Images::For(archs) => Some(archs),
    };
    let nvcc = match toolchain::find_nvcc(tools) {
        Finding::Found(nvcc) => nvcc,
        // Images were asked for by name.
        missing if archs.is_some() => missing.into_tool()?,
        Finding::Missing { .. } => {
            bars.note(
                "nvcc not found: CUDA images left out; run `cargo xtask build-formulas \
                 --fetch-toolchain`",
            );
            return Ok(None);
        }
    };
    let (cuda, unknown) = Cuda::new(nvcc, archs)?;
    if !unknown.is_empty() {
        let (version, names) = (&cuda.nvcc.version, unknown.join(", "));
        bars.note(&format!("nvcc {version} does not know {names}: left out"));
    }
    Ok(Some(cuda))
}

fn tell(changes: &Changes, bars: &Bars) {
    match (changes.written.len(), changes.removed.len()) {
        (0, 0) => bars.note("generated/: nothing changed"),
        (written, removed) => {
            bars.note(&format!("generated/: {written} files written, {removed} removed"));
        }
    }
}
