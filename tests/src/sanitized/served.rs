//! A program of kernels that stays open. Goes in: problems, one at a time. Comes out: their
//! results. An emulator takes longer to start, and to translate code, than to run a problem.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A program that runs.
pub struct Served {
    child: Child,
    problems: Option<ChildStdin>,
    results: ChildStdout,
}

impl Served {
    /// Starts it.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(mut command: Command) -> Served {
        command.args(["/dev/stdin", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let results = child.stdout.take().expect("it is piped");
        Served { problems: child.stdin.take(), child, results }
    }

    /// The results of a problem, which are so many bytes.
    ///
    /// # Errors
    /// When the program ended, with its status.
    pub fn answer(&mut self, problem: &[u8], bytes: usize) -> Result<Vec<u8>, String> {
        let mut results = vec![0; bytes];
        self.exchange(problem, &mut results)
            .map_err(|e| format!("{e}, and it ended: {:?}", self.child.wait()))?;
        Ok(results)
    }

    fn exchange(&mut self, problem: &[u8], results: &mut [u8]) -> io::Result<()> {
        let problems = self.problems.as_mut().expect("it is open until it is dropped");
        problems.write_all(problem)?;
        self.results.read_exact(results)
    }
}

impl Drop for Served {
    /// It ends where problems end.
    fn drop(&mut self) {
        self.problems = None;
        let _ = self.child.wait();
    }
}
