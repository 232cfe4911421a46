//! The program behind `cargo xtask fuzz`. In: what to do, as xtask passes it. Out: a line a target
//! with executions a second, and a file for every finding, as small as it gets, with the command
//! that replays it. It feeds the target in a process of its own, which may die.

mod child;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use tilefold_fuzz::{Finding, Limits, Session, TARGETS, Target, driver};

use child::{Current, Ended};

/// A target is given up after so many findings.
const MOST_FINDINGS: usize = 5;
/// Tries to make a finding smaller.
const TRIES: usize = 400;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["run", seconds, seed, keep, jobs, targets @ ..] => {
            let numbers = number(seconds).and_then(|seconds| Ok((seconds, number(seed)?)));
            let keep = *keep == "keep";
            numbers.and_then(|(seconds, seed)| run(jobs, Run { seconds, seed, keep }, targets))
        }
        ["worker", target, seconds, seed, current, keep] => {
            worker(target, seconds, seed, current, *keep == "keep")
        }
        ["replay", target, file] => replay(target, Path::new(file)),
        ["soak", seconds, seed] => soak(seconds, seed),
        _ => Err(
            "usage: run SECONDS SEED keep|- JOBS [TARGET..] | replay TARGET FILE | soak SECONDS \
                  SEED"
                .into(),
        ),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

type Result<T = ()> = std::result::Result<T, String>;

fn number(text: &str) -> Result<u64> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn named(name: &str) -> Result<&'static Target> {
    let names: Vec<&str> = TARGETS.iter().map(|t| t.name).collect();
    Target::named(name).ok_or_else(|| format!("no target `{name}`; there are {}", names.join(", ")))
}

fn limits() -> Limits {
    Limits::new(true)
}

/// How a target is run.
#[derive(Clone, Copy)]
struct Run {
    seconds: u64,
    seed: u64,
    keep: bool,
}

fn run(jobs: &str, run: Run, targets: &[&str]) -> Result {
    let jobs = number(jobs)?.max(1);
    let targets: Vec<&Target> = match targets {
        [] => TARGETS.iter().collect(),
        names => names.iter().map(|name| named(name)).collect::<Result<_>>()?,
    };
    let mut findings = 0;
    for target in targets {
        findings += one_target(target, jobs, run)?;
    }
    match findings {
        0 => Ok(()),
        1 => Err("1 finding".into()),
        n => Err(format!("{n} findings")),
    }
}

/// What came of one target, or of a part of its processes.
#[derive(Default)]
struct Counts {
    runs: u64,
    signatures: usize,
    processor: Duration,
    findings: usize,
}

/// Runs one target for some seconds, in several processes at a time; the number of findings.
fn one_target(target: &'static Target, jobs: u64, run: Run) -> Result<usize> {
    let folder = std::env::temp_dir().join(format!("tilefold-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let start = Instant::now();
    let counts = thread::scope(|scope| -> Result<Counts> {
        // Seeds of two jobs never meet.
        let one = |job: u64| {
            let own = folder.join(job.to_string());
            move || one_job(target, Run { seed: run.seed + (job << 32), ..run }, &own)
        };
        let jobs: Vec<_> = (0..jobs).map(|job| scope.spawn(one(job))).collect();
        let mut all = Counts::default();
        for job in jobs {
            let counts = job.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            all.runs += counts.runs;
            all.signatures = all.signatures.max(counts.signatures);
            all.processor += counts.processor;
            all.findings += counts.findings;
        }
        Ok(all)
    })?;
    let time = start.elapsed().as_secs_f64();
    let processor = counts.processor.as_secs_f64();
    println!(
        "{:<10} {:>10} inputs in {time:>6.1} s and {processor:>6.1} s of a core, {:>8.0} a second \
         of it, {:>5} signatures, {} findings (seed {}, {jobs} at a time)",
        target.name,
        counts.runs,
        counts.runs as f64 / processor,
        counts.signatures,
        counts.findings,
        run.seed
    );
    let _ = fs::remove_dir_all(&folder);
    Ok(counts.findings)
}

/// Feeds a target in one process after the other: a new one where the last one found something.
fn one_job(target: &'static Target, run: Run, folder: &Path) -> Result<Counts> {
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let current = folder.join(target.name);
    let start = Instant::now();
    let (mut counts, mut kinds) = (Counts::default(), Vec::new());
    for seed in run.seed.. {
        let left = Duration::from_secs(run.seconds).saturating_sub(start.elapsed());
        if left.is_zero() || counts.findings == MOST_FINDINGS {
            break;
        }
        let ended = child::work(target, left, seed, &current, run.keep)?;
        counts.runs += ended.runs;
        counts.signatures = counts.signatures.max(ended.signatures);
        counts.processor += ended.processor;
        let Some(finding) = ended.finding else { break };
        let kind: String = finding.what.chars().filter(|c| !c.is_ascii_digit()).take(120).collect();
        if !kinds.contains(&kind) {
            kinds.push(kind);
            counts.findings += 1;
            report(target, seed, finding, folder)?;
        }
    }
    Ok(counts)
}

/// Makes a finding small, writes it down and says how to see it again.
fn report(target: &'static Target, seed: u64, finding: Finding, folder: &Path) -> Result {
    let input = child::smallest(target, &finding.input, TRIES, &folder.join("smaller"))?;
    let place = findings_folder();
    fs::create_dir_all(&place).map_err(|e| format!("{}: {e}", place.display()))?;
    let path = place.join(format!("{}-{}", target.name, child::short_hash(&input)));
    fs::write(&path, &input).map_err(|e| format!("{}: {e}", path.display()))?;
    println!("FOUND by {} with seed {seed}: {}", target.name, finding.what.trim());
    println!("  promise: {}", target.promise);
    println!("  input:   {} bytes in {}", input.len(), path.display());
    println!("  replay:  cargo xtask fuzz {} --replay {}", target.name, path.display());
    Ok(())
}

/// Beside the profiles of cargo's target folder.
fn findings_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.ancestors().nth(2).unwrap_or(Path::new(".")).join("fuzz-findings")
}

fn replay(target: &str, file: &Path) -> Result {
    let target = named(target)?;
    let input = fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
    // Silences panics, whose message is shown below.
    let _session = Session::new(target, 0, limits());
    let found = child::on_small_stack(|| driver::once(target, &input, limits()));
    match found {
        Ok(_) => {
            println!("{}: the promise holds: {}", file.display(), target.promise);
            Ok(())
        }
        Err(finding) => Err(format!("{}: {}", file.display(), finding.what)),
    }
}

/// Work of a pass of a long soak.
const SOAKED: u64 = 60;

fn soak(seconds: &str, seed: &str) -> Result {
    let time = Duration::from_secs(number(seconds)?);
    let soaked = tilefold_fuzz::soak::soak(time, number(seed)?, SOAKED)?;
    println!("{} passes of {} calls", soaked.passes, soaked.calls / soaked.passes);
    for (when, held) in [("after two passes", soaked.first), ("in the end", soaked.last)] {
        println!(
            "{when:<17} {:>9} KiB allocated, {:>9} KiB resident, {} files, {} threads",
            held.live >> 10,
            held.resident >> 10,
            held.handles,
            held.threads
        );
    }
    Ok(())
}

/// Feeds a target until the time is up or something is found.
fn worker(target: &str, seconds: &str, seed: &str, current: &str, keep: bool) -> Result {
    let target = named(target)?;
    let millis = number(seconds)?;
    let seed = number(seed)?;
    let mut current = Current::create(Path::new(current))?;
    let ended = child::on_small_stack(move || -> Result<Ended> {
        let mut session = Session::new(target, seed, limits());
        session.new = keep.then(Vec::new);
        let start = Instant::now();
        let mut finding = None;
        while finding.is_none() && start.elapsed() < Duration::from_millis(millis) {
            for _ in 0..16 {
                let input = session.next_input();
                current.write(session.runs, &input)?;
                finding = session.run(input).err();
                if finding.is_some() {
                    break;
                }
            }
        }
        if let Some(new) = &session.new {
            child::keep(target, new)?;
        }
        let (runs, signatures) = (session.runs, session.signatures());
        Ok(Ended { runs, signatures, processor: child::processor(), finding })
    })?;
    child::tell(&ended);
    Ok(())
}
