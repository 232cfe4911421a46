//! Runs compilers: argument vectors, a time limit, and the end of what they print.
//!
//! In: a command. Out: its status and the last lines of its output. It never goes through a shell,
//! never keeps more than 64 KiB of output, and leaves no process behind when the time is over.

use std::collections::VecDeque;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How many lines of output an error shows.
const LINES: usize = 40;
/// How many bytes of output are kept.
const BYTES: usize = 64 << 10;

/// How a command ended.
pub struct Finished {
    /// Its status; `None` if it was killed because its time was over.
    pub status: Option<ExitStatus>,
    /// The end of what it wrote to both streams.
    pub output: String,
}

impl Finished {
    /// Whether it ended by itself and well.
    pub fn is_success(&self) -> bool {
        self.status.is_some_and(|s| s.success())
    }

    /// The last lines of output, indented, for an error.
    pub fn tail(&self) -> String {
        let lines: Vec<&str> = self.output.trim_end().lines().collect();
        if lines.is_empty() {
            return "  it printed nothing".into();
        }
        let skipped = lines.len().saturating_sub(LINES);
        let mut out = match skipped {
            0 => String::from("  it printed:"),
            _ => format!("  the last {LINES} lines it printed:"),
        };
        for line in &lines[skipped..] {
            out.push_str("\n    ");
            out.push_str(line);
        }
        out
    }
}

/// Runs a command to its end, or kills it and its children when `limit` is over.
pub fn run(command: &mut Command, limit: Duration) -> std::io::Result<Finished> {
    // One pipe, so that the streams keep their order.
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    // Compilers translate their messages; errors and tests want one language.
    command.env("LC_ALL", "C");
    own_group(command);
    let spawned = command.spawn();
    // The command holds the pipe's other end open as long as it has it.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = spawned?;
    let output = Arc::new(Mutex::new(VecDeque::new()));
    let collector = collect(reader, &output);
    let status = wait(&mut child, limit)?;
    // A grandchild may hold the pipe after its parent's end; its words are not waited for.
    let patience = Instant::now() + Duration::from_secs(1);
    while !collector.is_finished() && Instant::now() < patience {
        thread::sleep(Duration::from_millis(1));
    }
    let bytes: Vec<u8> =
        output.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
    Ok(Finished { status, output: String::from_utf8_lossy(&bytes).into_owned() })
}

/// The command line as a person would paste it into a shell.
pub fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|w| quote(&w.to_string_lossy())).collect();
    let line = words.join(" ");
    match command.get_current_dir() {
        Some(dir) => format!("cd {} && {line}", quote(&dir.to_string_lossy())),
        None => line,
    }
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=./,:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn collect(
    mut stream: impl Read + Send + 'static,
    output: &Arc<Mutex<VecDeque<u8>>>,
) -> thread::JoinHandle<()> {
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        // An error of the pipe ends the words, not the command.
        while let Ok(n @ 1..) = stream.read(&mut chunk) {
            let mut kept = output.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(&chunk[..n]);
            let surplus = kept.len().saturating_sub(BYTES);
            kept.drain(..surplus);
        }
    })
}

/// Waits with naps that grow with the command's age, so that they cost at most 3% of its time.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let age = start.elapsed();
        if age >= limit {
            kill_group(child);
            child.wait()?;
            return Ok(None);
        }
        thread::sleep((age / 32).clamp(Duration::from_millis(1), Duration::from_millis(25)));
    }
}

/// Puts the command in a process group of its own, so that `kill_group` reaches what it starts.
fn own_group(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    let _ = command;
}

#[cfg(unix)]
fn kill_group(child: &mut Child) {
    unsafe extern "C" {
        fn kill(pid: i32, signal: i32) -> i32;
    }
    const SIGKILL: i32 = 9;
    // The child leads its group, and its id is not reused before it is waited for.
    let group = -(child.id() as i32);
    // SAFETY: `kill` takes two integers and touches no memory of this process.
    unsafe { kill(group, SIGKILL) };
}

#[cfg(not(unix))]
fn kill_group(child: &mut Child) {
    // It may have ended by itself in the meantime.
    let _ = child.kill();
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn keeps_the_end_of_both_streams() {
        let done = run(&mut sh("seq 1 200; echo oops >&2; exit 3"), Duration::from_secs(30));
        let done = done.unwrap();
        assert_eq!(done.status.and_then(|s| s.code()), Some(3));
        assert!(!done.is_success());
        let tail = done.tail();
        assert!(tail.starts_with("  the last 40 lines it printed:\n"), "{tail}");
        assert_eq!(tail.lines().count(), 41);
        assert!(tail.contains("oops"), "{tail}");
    }

    #[test]
    fn a_flood_of_output_does_not_fill_the_memory() {
        let flood = "head -c 50000000 /dev/zero | tr '\\0' x; echo; echo end";
        let done = run(&mut sh(flood), Duration::from_secs(60)).unwrap();
        assert!(done.is_success());
        assert!(done.output.len() <= BYTES);
        assert!(done.output.ends_with("end\n"));
    }

    #[test]
    fn what_hangs_is_killed_with_its_children() {
        let start = Instant::now();
        let script = "echo started; sleep 300 & echo $!; wait";
        let done = run(&mut sh(script), Duration::from_millis(300)).unwrap();
        assert!(done.status.is_none());
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        let stat = format!("/proc/{}/stat", done.output.lines().nth(1).unwrap());
        // Death takes a moment, and who inherits the dead may be slow to bury them.
        let is_gone = || std::fs::read_to_string(&stat).map_or(true, |s| s.contains(") Z "));
        while !is_gone() {
            assert!(start.elapsed() < Duration::from_secs(10), "{stat} is still there");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn command_lines_can_be_pasted() {
        let mut command = Command::new("c++");
        command.args(["-O2", "a b", "it's", "$(x)", ""]).current_dir("/tmp/x y");
        assert_eq!(command_line(&command), r"cd '/tmp/x y' && c++ -O2 'a b' 'it'\''s' '$(x)' ''");
    }
}
