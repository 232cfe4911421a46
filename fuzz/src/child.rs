//! The process that feeds a target, seen from both sides. The worker writes each input to a file
//! before it runs; when it dies or hangs, the parent reads there what it died of.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tilefold_fuzz::{Finding, Limits, Target};

use crate::Result;

/// What came of a worker.
pub struct Ended {
    /// Inputs that ran.
    pub runs: u64,
    /// Signatures that were met.
    pub signatures: usize,
    /// Processor time of the worker; zero if it did not live to tell.
    pub processor: Duration,
    /// What it found, if anything.
    pub finding: Option<Finding>,
}

/// The file with the input at hand: its number, its length, its bytes.
pub struct Current(File);

impl Current {
    /// A new file.
    pub fn create(path: &Path) -> Result<Current> {
        File::create(path).map(Current).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Writes an input down.
    pub fn write(&mut self, number: u64, input: &[u8]) -> Result {
        let mut bytes = number.to_le_bytes().to_vec();
        bytes.extend((input.len() as u64).to_le_bytes());
        bytes.extend(input);
        self.0.write_all_at(&bytes, 0).map_err(|e| format!("the input at hand: {e}"))
    }
}

/// The number of the input at hand, and the input.
fn read_current(path: &Path) -> Option<(u64, Vec<u8>)> {
    let bytes = fs::read(path).ok()?;
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let len = usize::try_from(number(8)?).ok()?;
    Some((number(0)?, bytes.get(16..16 + len)?.to_vec()))
}

/// Says how a worker ended, for [`work`].
pub fn tell(ended: &Ended) {
    let what = ended.finding.as_ref().map_or(String::new(), |f| f.what.replace('\n', "\u{1f}"));
    println!("{} {} {} {what}", ended.runs, ended.signatures, ended.processor.as_millis());
}

/// Processor time of this process so far; zero where `/proc` does not say.
pub fn processor() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in parentheses: the 12th and 13th word are hundredths of a second of the
    // program and of the kernel for it.
    let words = stat.rsplit_once(')').map_or("", |(_, words)| words).split_whitespace();
    let hundredths = words.skip(11).take(2).filter_map(|word| word.parse::<u64>().ok());
    Duration::from_millis(10 * hundredths.sum::<u64>())
}

/// Starts a worker and waits for it.
pub fn work(
    target: &'static Target,
    time: Duration,
    seed: u64,
    current: &Path,
    keep: bool,
) -> Result<Ended> {
    let mut child = program()?
        .args(["worker", target.name, &time.as_millis().to_string(), &seed.to_string()])
        .arg(current)
        .arg(if keep { "keep" } else { "-" })
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot start the worker: {e}"))?;
    let status = wait(&mut child, || read_current(current).map(|(number, _)| number))?;
    let at_hand = || read_current(current).unwrap_or_default();
    let ended = |what: String| {
        let (runs, input) = at_hand();
        let finding = Some(Finding { input, what });
        Ended { runs, signatures: 0, processor: Duration::ZERO, finding }
    };
    let Some(status) = status else { return Ok(ended("it does not end".into())) };
    let mut text = String::new();
    if let Some(mut out) = child.stdout.take() {
        std::io::Read::read_to_string(&mut out, &mut text).map_err(|e| e.to_string())?;
    }
    let mut words = text.trim_end_matches('\n').splitn(4, ' ');
    let mut count = || words.next().and_then(|word| word.parse::<u64>().ok());
    match (status.success(), count(), count(), count()) {
        (true, Some(runs), Some(signatures), Some(millis)) => {
            let what = words.next().unwrap_or("").replace('\u{1f}', "\n");
            let finding = (!what.is_empty()).then(|| Finding { input: at_hand().1, what });
            let processor = Duration::from_millis(millis);
            Ok(Ended { runs, signatures: signatures as usize, processor, finding })
        }
        _ => Ok(ended(format!("the process died ({status})"))),
    }
}

fn program() -> Result<Command> {
    let path = std::env::current_exe().map_err(|e| format!("where am I: {e}"))?;
    Ok(Command::new(path))
}

/// Waits for the end of a child; kills it, and gives nothing, when `progress` stands still.
fn wait<T: PartialEq>(child: &mut Child, progress: impl Fn() -> T) -> Result<Option<ExitStatus>> {
    let patience = Limits::new(true).time * 6;
    let (mut last, mut since) = (progress(), Instant::now());
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            return Ok(Some(status));
        }
        // A replay ends soon, a long run does not.
        thread::sleep(pause);
        pause = (2 * pause).min(Duration::from_millis(100));
        let now = progress();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if since.elapsed() > patience {
            child.kill().map_err(|e| e.to_string())?;
            child.wait().map_err(|e| e.to_string())?;
            return Ok(None);
        }
    }
}

/// Whether an input still breaks the promise, in a process of its own.
fn fails(target: &Target, input: &[u8], file: &Path) -> Result<bool> {
    fs::write(file, input).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut child = program()?
        .args(["replay", target.name])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("cannot start the replay: {e}"))?;
    Ok(wait(&mut child, || ())?.is_none_or(|status| !status.success()))
}

/// The input without the parts that do not matter: halves, quarters and so on are left out as long
/// as it still fails. What does not fail again is given back whole.
pub fn smallest(target: &Target, input: &[u8], tries: usize, file: &Path) -> Result<Vec<u8>> {
    let mut best = input.to_vec();
    if !fails(target, &best, file)? {
        return Ok(best);
    }
    let mut part = best.len().div_ceil(2).max(1);
    let mut left = tries;
    while left > 0 {
        let mut at = 0;
        let mut smaller = false;
        while at < best.len() && left > 0 {
            let mut shorter = best.clone();
            shorter.drain(at..(at + part).min(best.len()));
            left -= 1;
            match fails(target, &shorter, file)? {
                true => (best, smaller) = (shorter, true),
                false => at += part,
            }
        }
        match (smaller, part) {
            (false, 1) => break,
            (false, _) => part = part.div_ceil(2),
            (true, _) => (),
        }
    }
    Ok(best)
}

/// Adds inputs to the committed corpus: the short ones, as many as a corpus may have.
pub fn keep(target: &Target, inputs: &[Vec<u8>]) -> Result {
    const MOST: usize = 40;
    const LONGEST: usize = 600;
    let folder = target.folder();
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let there = fs::read_dir(&folder).map_or(0, Iterator::count);
    let short = inputs.iter().filter(|input| input.len() <= LONGEST);
    for input in short.take(MOST.saturating_sub(there)) {
        let path = folder.join(short_hash(input));
        File::create(&path)
            .and_then(|mut file| file.write_all(input))
            .map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

/// A short name for an input.
pub fn short_hash(input: &[u8]) -> String {
    // FNV-1a; names only have to differ.
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Runs something on the stack that a spawned thread of a user has: 2 MiB.
pub fn on_small_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, work);
        match thread.map(|t| t.join()) {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(why) => panic!("no thread: {why}"),
        }
    })
}
