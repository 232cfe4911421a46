//! `cargo xtask fuzz`: hostile input for everything that reads, for as long as one likes.

use std::path::PathBuf;

use crate::cargo;

/// Feeds hostile input to formula text, canonical text, the pipeline, LazyTensor, readers, ranges
///
/// Inputs come from a seed, a committed corpus and generators; any toolchain will do. Prints how
/// many ran in a second. What breaks a promise is made as small as it gets and written below
/// target/, with the command that replays it. `cargo xtask test` runs a moment of this.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only these targets: text, canonical, pipeline, lazy, readers, ranges
    targets: Vec<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Other seeds make other inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Processes at a time, each with inputs of its own
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Add inputs that did something new to the corpus in fuzz/corpus
    #[arg(long)]
    keep: bool,
    /// Run one input of the target again, from a file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seconds", "seed", "keep", "jobs"])]
    replay: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> crate::Result {
    let mut line = vec!["run", "--profile", "fuzz", "--package", "tilefold-fuzz", "--"];
    let (seconds, seed) = (arguments.seconds.to_string(), arguments.seed.to_string());
    let jobs = arguments.jobs.to_string();
    let file = arguments.replay.as_ref().map(|path| path.display().to_string());
    let targets = arguments.targets.iter().map(String::as_str);
    match &file {
        Some(file) => {
            if arguments.targets.len() != 1 {
                return Err("--replay needs the name of one target".into());
            }
            line.push("replay");
            line.extend(targets);
            line.push(file);
        }
        None => {
            let keep = if arguments.keep { "keep" } else { "-" };
            line.extend(["run", &seconds, &seed, keep, &jobs]);
            line.extend(targets);
        }
    }
    cargo(&line)
}
