//! The loop. Goes in: a target, its corpus, a seed and limits. Comes out: counts and findings. It
//! catches panics; what ends the process (an overflow of the stack, an abort) is found by the
//! program around it, for which the input at hand is written down first.

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use tilefold_tests::rng::Rng;

use crate::targets::Target;
use crate::{memory, mutate};

/// Most inputs that are kept for mutation.
const POOL: usize = 4000;

/// What one input may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Wall-clock time, twice in a row: the machine may be busy once.
    pub time: Duration,
    /// Bytes above what was in use before.
    pub memory: usize,
}

impl Limits {
    /// Limits for code that was compiled with (`true`) or without optimization.
    pub fn new(optimized: bool) -> Limits {
        let time = Duration::from_secs(if optimized { 5 } else { 60 });
        Limits { time, memory: 1 << 30 }
    }
}

/// An input that broke a promise, and how.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The input.
    pub input: Vec<u8>,
    /// What happened.
    pub what: String,
}

/// One run of one target.
pub struct Session {
    target: &'static Target,
    limits: Limits,
    rng: Rng,
    corpus: Vec<Vec<u8>>,
    pool: Vec<Vec<u8>>,
    seen: HashSet<u64>,
    /// How many inputs ran.
    pub runs: u64,
    /// Inputs whose signature was new, in the order in which they were met, where somebody asks for
    /// them: in an hour they come to a gigabyte.
    pub new: Option<Vec<Vec<u8>>>,
}

impl Session {
    /// A session on the corpus of the target.
    pub fn new(target: &'static Target, seed: u64, limits: Limits) -> Session {
        silence();
        let mut hasher = DefaultHasher::new();
        target.name.hash(&mut hasher);
        let rng = Rng::new(seed ^ hasher.finish());
        let (corpus, seen) = (target.corpus(), HashSet::new());
        let pool = corpus.clone();
        Session { target, limits, rng, corpus, pool, seen, runs: 0, new: None }
    }

    /// How many inputs the corpus has. They are the first that [`next_input`](Self::next_input)
    /// gives.
    pub fn corpus(&self) -> usize {
        self.corpus.len()
    }

    /// The next input; it depends on the seed and on what was met before.
    pub fn next_input(&mut self) -> Vec<u8> {
        if let Some(input) = self.corpus.get(self.runs as usize) {
            return input.clone();
        }
        match self.target.make {
            Some(make) if self.rng.once_in(3) => make(&mut self.rng),
            _ => mutate::input(&mut self.rng, &self.pool),
        }
    }

    /// Runs one input.
    ///
    /// # Errors
    /// If it broke a promise.
    pub fn run(&mut self, input: Vec<u8>) -> Result<(), Finding> {
        let signature = once(self.target, &input, self.limits)?;
        self.runs += 1;
        let is_new = self.seen.insert(signature);
        if is_new && self.runs > self.corpus.len() as u64 {
            if self.pool.len() < POOL {
                self.pool.push(input.clone());
            } else {
                let at = self.rng.below(POOL);
                self.pool[at] = input.clone();
            }
            if let Some(new) = &mut self.new {
                new.push(input);
            }
        }
        Ok(())
    }

    /// How many signatures were met.
    pub fn signatures(&self) -> usize {
        self.seen.len()
    }
}

/// Runs one input of a target once; its signature.
///
/// # Errors
/// If it broke a promise.
pub fn once(target: &Target, input: &[u8], limits: Limits) -> Result<u64, Finding> {
    let finding = |what: String| Finding { input: input.to_vec(), what };
    let before = memory::reset();
    let start = Instant::now();
    let found = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let (time, bytes) = (start.elapsed(), memory::peak().saturating_sub(before));
    let signature = match found {
        Ok(found) => found.map_err(finding)?,
        Err(_) => return Err(finding(format!("panic: {}", last_panic()))),
    };
    if bytes > limits.memory {
        return Err(finding(format!("it took {} MiB of memory", bytes >> 20)));
    }
    if time > limits.time {
        let again = Instant::now();
        let _ = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
        if again.elapsed() > limits.time {
            return Err(finding(format!("it took {:.1} s", time.as_secs_f64())));
        }
    }
    Ok(signature)
}

/// The files of a folder, by name; none if there is no folder.
pub fn files(folder: &Path, extension: Option<&str>) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            extension.is_none() || path.extension().and_then(|e| e.to_str()) == extension
        })
        .collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

static LAST: Mutex<String> = Mutex::new(String::new());

/// Keeps panics off the screen, and remembers the last.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shown = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // A failing test of this crate is no finding.
            let is_test = std::thread::current().name().is_some_and(|name| name.contains("::"));
            if is_test {
                shown(info);
            }
            *LAST.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
        }));
    });
}

fn last_panic() -> String {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
