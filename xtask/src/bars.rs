//! Shows a build on the terminal: a bar a formula, dtype and target, and a line when it is done.
//!
//! In: what the build tells. Out: bars on standard error if it is a terminal, plain lines if not.
//! What is taken from the cache gets no bar.

use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tilefold_build::progress::{Group, Outcome, Progress, Summary};

/// The bars of one build.
pub struct Bars {
    screen: MultiProgress,
    rows: Mutex<Vec<Row>>,
}

struct Row {
    group: Group,
    done: usize,
    compiled: usize,
    /// There from the first compilation to the last.
    bar: Option<ProgressBar>,
}

impl Row {
    fn name(&self) -> String {
        let Group { formula, dtype, target, .. } = &self.group;
        format!("{formula} {dtype} {target}")
    }
}

impl Default for Bars {
    fn default() -> Bars {
        Bars::new()
    }
}

impl Bars {
    /// No bars yet.
    pub fn new() -> Bars {
        Bars { screen: MultiProgress::new(), rows: Mutex::new(Vec::new()) }
    }

    fn line(&self, text: &str) {
        // Bars are hidden where there is no terminal; then the line goes out by itself.
        if self.screen.is_hidden() || self.screen.println(text).is_err() {
            eprintln!("{text}");
        }
    }

    fn new_bar(&self, row: &Row) -> ProgressBar {
        let style = ProgressStyle::with_template("{prefix:<44} [{bar:24}] {pos}/{len}")
            .expect("the template is well formed")
            .progress_chars("=> ");
        let bar = ProgressBar::new(row.group.objects as u64).with_style(style);
        let bar = self.screen.add(bar.with_prefix(row.name()));
        bar.set_position(row.done as u64);
        bar
    }
}

impl Progress for Bars {
    fn note(&self, line: &str) {
        self.line(line);
    }

    fn start(&self, groups: &[Group]) {
        let row = |group: &Group| Row { group: group.clone(), done: 0, compiled: 0, bar: None };
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) =
            groups.iter().map(row).collect();
    }

    fn step(&self, group: usize, outcome: Outcome) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(row) = rows.get_mut(group) else { return };
        row.done += 1;
        if outcome == Outcome::Compiled {
            row.compiled += 1;
            if row.bar.is_none() {
                row.bar = Some(self.new_bar(row));
            }
        }
        let Some(bar) = &row.bar else { return };
        bar.set_position(row.done as u64);
        if row.done == row.group.objects {
            bar.finish_and_clear();
            self.line(&format!("compiled {} ({} objects)", row.name(), row.compiled));
        }
    }

    fn finish(&self, summary: &Summary) {
        let Summary { compiled, cached, archived, kept, elapsed } = summary;
        self.line(&format!(
            "{} libraries ({archived} new): {compiled} objects compiled, {cached} from the cache, \
             in {:.1} s",
            archived + kept,
            elapsed.as_secs_f64()
        ));
    }
}
