//! From generated text to static libraries.
//!
//! In: a generated folder, its libraries, and tools. Out: one archive a formula. Objects live in a
//! cache that is keyed by everything they depend on, so a second build compiles nothing, whoever
//! runs it. It never prints: a [`Progress`] hears what happens.

mod archive;
mod cache;
mod compiler;
mod cuda;
mod includes;
mod objects;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub use archive::Archive;
pub use compiler::{Compiler, HOST, Level};
pub use cuda::{Archs, Cuda};

use crate::Error;
use crate::files;
use crate::lock::Lock;
use crate::manifest::Library;
use crate::process::{self, Finished};
use crate::progress::{Outcome, Progress, Summary};
use cache::{Cache, Entry};
use objects::{Object, Workshop};

/// How long one compiler may take.
pub const LIMIT: Duration = Duration::from_secs(300);

/// A program that the build runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Where it is.
    pub path: PathBuf,
    /// What it says about its version.
    pub version: String,
}

/// How to compile a generated folder.
pub struct Native {
    /// The C++ compiler.
    pub compiler: Compiler,
    /// nvcc, if images are made.
    pub cuda: Option<Cuda>,
    /// The folder of objects, shared by all builds.
    pub cache: PathBuf,
    /// The folder that the archives go to.
    pub archives: PathBuf,
    /// How many compilers run at once.
    pub jobs: usize,
    /// How long one compiler may take.
    pub limit: Duration,
}

/// Compiles the libraries of the generated folder `dir`.
pub fn build(
    dir: &Path,
    libraries: &[Library],
    native: &Native,
    progress: &dyn Progress,
) -> Result<(Vec<Archive>, Summary), Error> {
    let start = Instant::now();
    let absolute = |path: &Path| std::path::absolute(path).map_err(Error::io("find", path));
    let (dir, archives_dir) = (absolute(dir)?, absolute(&native.archives)?);
    let cache = Cache::at(&absolute(&native.cache)?);
    let workshop = Workshop {
        dir: &dir,
        compiler: &native.compiler,
        levels: Level::of_target(native.compiler.target())?,
        cuda: native.cuda.as_ref(),
        cache: &cache,
        limit: native.limit,
    };
    let (objects, groups) = workshop.objects(libraries)?;
    progress.start(&groups);
    let (entries, mut summary) = make_all(&workshop, &objects, native.jobs, progress)?;
    let mut archives = Vec::new();
    let mut members = Vec::new();
    for (index, library) in libraries.iter().enumerate() {
        let of_library = objects.iter().zip(&entries).filter(|(o, _)| o.library == index);
        members.push(of_library.map(|(_, e)| e.clone()).collect::<Vec<Entry>>());
        archives.push(archive::plan(&archives_dir, &library.formula, &members[index]));
    }
    summary.archived = archive_all(native, &archives_dir, &archives, &members, progress)?;
    summary.kept = archives.len() - summary.archived;
    summary.elapsed = start.elapsed();
    progress.finish(&summary);
    Ok((archives, summary))
}

/// Every object, in order. Takes the lock only if something must be compiled.
fn make_all(
    workshop: &Workshop,
    objects: &[Object],
    jobs: usize,
    progress: &dyn Progress,
) -> Result<(Vec<Entry>, Summary), Error> {
    let mut found: Vec<Option<Entry>> = objects.iter().map(|o| workshop.find(o)).collect();
    let mut summary = Summary::default();
    for (object, _) in objects.iter().zip(&found).filter(|(_, f)| f.is_some()) {
        progress.step(object.group, Outcome::Cached);
        summary.cached += 1;
    }
    let missing: Vec<usize> = (0..objects.len()).filter(|&i| found[i].is_none()).collect();
    if !missing.is_empty() {
        let objects_dir = workshop.cache.objects().display().to_string();
        let waiting = || progress.note(&format!("waiting for another build in {objects_dir}"));
        let _lock = workshop.cache.lock(waiting)?;
        // Descriptors that name their image come when the images are there.
        let (last, first): (Vec<_>, Vec<_>) =
            missing.into_iter().partition(|&i| objects[i].is_last());
        for round in [first, last] {
            let wanted: Vec<&Object> = round.iter().map(|&i| &objects[i]).collect();
            let made = compile(workshop, &wanted, jobs, progress)?;
            for (index, (entry, outcome)) in round.into_iter().zip(made) {
                match outcome {
                    Outcome::Cached => summary.cached += 1,
                    Outcome::Compiled => summary.compiled += 1,
                }
                found[index] = Some(entry);
            }
        }
    }
    Ok((found.into_iter().flatten().collect(), summary))
}

/// Compiles on `jobs` threads. The first error stops those that have not begun, and is reported.
fn compile(
    workshop: &Workshop,
    objects: &[&Object],
    jobs: usize,
    progress: &dyn Progress,
) -> Result<Vec<(Entry, Outcome)>, Error> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let results = Mutex::new(Vec::new());
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(object) = objects.get(index) else { break };
            let result = workshop.make(object);
            match &result {
                Ok((_, outcome)) => progress.step(object.group, *outcome),
                Err(_) => failed.store(true, Ordering::Relaxed),
            }
            results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs.max(1).min(objects.len()) {
            scope.spawn(work);
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    // By index, so that of several errors the same one is reported each time.
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Runs a tool; anything but success is an error that shows how to repeat it. Gives back how
/// it ended.
fn run_tool(
    tool: &'static str,
    subject: &Path,
    command: &mut Command,
    limit: Duration,
) -> Result<Finished, Error> {
    let done = process::run(command, limit).map_err(|source| Error::NotFound {
        tool,
        program: command.get_program().to_string_lossy().into_owned(),
        source,
        help: "`cargo xtask doctor` says what is found on this machine",
    })?;
    let command_line = process::command_line(command);
    match done.status {
        Some(status) if status.success() => Ok(done),
        Some(status) => Err(Error::Tool {
            tool,
            problem: format!("failed ({status})"),
            subject: subject.display().to_string(),
            command: command_line,
            output: done.tail(),
        }),
        None => Err(Error::Timeout { tool, limit, command: command_line, output: done.tail() }),
    }
}

/// Writes the archives that are missing or damaged; says how many.
fn archive_all(
    native: &Native,
    dir: &Path,
    archives: &[Archive],
    members: &[Vec<Entry>],
    progress: &dyn Progress,
) -> Result<usize, Error> {
    let is_missing = |(archive, _): &(&Archive, &Vec<Entry>)| !archive.is_made();
    if !archives.iter().zip(members).any(|a| is_missing(&a)) {
        return Ok(0);
    }
    files::create_folder(dir)?;
    let waiting = || progress.note(&format!("waiting for another build in {}", dir.display()));
    let lock = Lock::take(&dir.join(".tilefold-lock"), waiting)?;
    if lock.is_exclusive() {
        archive::remove_others(dir, archives)?;
    }
    let missing: Vec<_> = archives.iter().zip(members).filter(is_missing).collect();
    for (archive, members) in &missing {
        archive.make(&native.compiler, members, native.limit)?;
    }
    Ok(missing.len())
}
