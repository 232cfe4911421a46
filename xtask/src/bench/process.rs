//! A program that answers questions, one line each.
//!
//! In: a command line. Out: answers. It never looks at what they mean.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running program. It ends when this is dropped.
pub struct Process {
    name: &'static str,
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a program.
    pub fn start(name: &'static str, mut command: Command) -> Result<Process, String> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("cannot start {command:?}: {e}"))?;
        let missing = || format!("{name} has no pipe");
        let questions = Some(child.stdin.take().ok_or_else(missing)?);
        let answers = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        Ok(Process { name, child, questions, answers })
    }

    /// What follows `ok` in the answer; an error if it starts with anything else.
    pub fn ask(&mut self, question: &str) -> Result<String, String> {
        let gone = |e: std::io::Error| format!("{} ended at `{question}`: {e}", self.name);
        let questions = self.questions.as_mut().expect("open until it is dropped");
        writeln!(questions, "{question}").map_err(gone)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).map_err(gone)?;
        let answer = answer.trim_end();
        match answer.strip_prefix("ok") {
            Some(rest) => Ok(rest.trim_start().into()),
            None if answer.is_empty() => Err(format!("{} ended at `{question}`", self.name)),
            None => Err(answer.strip_prefix("no ").unwrap_or(answer).into()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its questions is the end of the program.
        self.questions = None;
        _ = self.child.wait();
    }
}
