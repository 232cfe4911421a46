//! Formula and schedule to text: C++ for the CPU, CUDA C++, and the C descriptor.
//!
//! Decisions are taken in Rust ([`view`], [`body`], [`crate::schedule`]); templates print. The same
//! formula gives the same bytes on every machine. User names reach the descriptor as C strings
//! (they are plain ASCII identifiers); no other user text is emitted.

#[cfg(feature = "text")]
mod artifact;
mod blocks;
pub mod body;
mod desc;
mod entries;
#[cfg(feature = "text")]
mod names;
mod near;
mod panel;
#[cfg(feature = "text")]
mod rust;
pub mod view;

use std::sync::OnceLock;

use handlebars::Handlebars;
use serde::Serialize;
use thiserror::Error;
use tilefold_templates::TEMPLATES;

use crate::ir::{Formula, Key, canonical_text, key};
use crate::passes::{Fired, trace};
use crate::schedule::{MAX_SHARED_WORDS, Plan, Target, add_bounds, add_near, plan};

#[cfg(feature = "text")]
pub use artifact::{Artifact, KernelFiles, Library, artifact};
use view::StageView;

/// Most lines of C++ one kernel may have. Beyond it a compiler would take minutes.
pub const MAX_LINES: usize = 60_000;

/// Most numbers that intermediate results of one pair may keep in arrays. They lie on the stack of
/// a thread, for several vectors of rows.
pub const MAX_SCRATCH: usize = 4096;

/// Most nodes of a formula that is emitted on the stack of the caller, whatever is on it already.
const SMALL: usize = 64;

/// Why a formula cannot be emitted.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum EmitError {
    /// The code would be too long.
    #[error(
        "`{name}` needs {lines} lines of C++, the limit is {MAX_LINES}; use smaller dimensions or \
         split the formula"
    )]
    TooLong {
        /// The formula.
        name: String,
        /// What it would need.
        lines: usize,
    },
    /// A column of a pair would be too long.
    #[error(
        "`{name}` reads {words} numbers of each column at every pair, the limit is \
         {MAX_SHARED_WORDS}; use smaller dimensions"
    )]
    TooWide {
        /// The formula.
        name: String,
        /// What it would need.
        words: usize,
    },
    /// Intermediate results would not fit on a stack.
    #[error(
        "`{name}` keeps {words} numbers of intermediate results at once, the limit is \
         {MAX_SCRATCH}; use smaller dimensions or split the formula"
    )]
    TooDeep {
        /// The formula.
        name: String,
        /// What it would need.
        words: usize,
    },
}

/// The text of one kernel. It serves every dtype and instruction level through macros, see
/// `templates/include/kernel.h` and `tf_desc.h`.
#[derive(Clone, Debug)]
pub struct KernelText {
    /// `tf_` and 32 hexadecimal digits of the key: the prefix of every exported symbol.
    pub symbol: String,
    /// Canonical text, whose hash is the key.
    pub canonical: String,
    /// C++ for the CPU.
    pub cpp: String,
    /// CUDA C++.
    pub cu: String,
    /// C descriptor.
    pub desc: String,
    /// What the passes did, and how often.
    pub fired: Fired,
    /// What was decided.
    pub plan: Plan,
    /// Operations a pair, stage by stage.
    pub pair_ops: Vec<f64>,
}

/// The prefix of every symbol that a formula's code exports.
pub fn symbol(key: &Key) -> String {
    format!("tf_{}", &key.to_string()[..32])
}

/// Names this version of the compiler: where it is the same, and the templates and headers are, a
/// formula gives the same text.
pub const SOURCES: &str = env!("TILEFOLD_SOURCES");

/// Emits one formula. `title` and `source` go into the banner: the instance's name and the path
/// of the formula file.
///
/// # Errors
/// When the code would be too long.
pub fn kernel(formula: &Formula, title: &str, source: &str) -> Result<KernelText, EmitError> {
    if formula.len() <= SMALL {
        return emit(formula, title, source);
    }
    // Expressions are walked recursively; a deep one needs more stack than a small thread has.
    std::thread::scope(|scope| {
        let work = || emit(formula, title, source);
        let thread = std::thread::Builder::new().stack_size(256 << 20).spawn_scoped(scope, work);
        match thread.map(|t| t.join()) {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => work(),
        }
    })
}

fn emit(formula: &Formula, title: &str, source: &str) -> Result<KernelText, EmitError> {
    let canonical = canonical_text(formula);
    let digest = key(formula);
    let symbol = symbol(&digest);
    let (optimized, steps) = trace(formula);
    let mut fired = Fired::new();
    for (name, times) in steps.into_iter().flat_map(|step| step.fired) {
        *fired.entry(name).or_default() += times;
    }
    let mut plan = plan(optimized);
    add_near(&mut plan);
    add_bounds(&mut plan);
    let cpu = stages(&plan, Target::Cpu);
    let lines: usize = cpu.iter().map(StageView::lines).sum();
    if lines > MAX_LINES {
        return Err(EmitError::TooLong { name: formula.name.clone(), lines });
    }
    if let Some(words) = cpu.iter().map(|s| s.col_words).find(|&words| words > MAX_SHARED_WORDS) {
        return Err(EmitError::TooWide { name: formula.name.clone(), words });
    }
    let cuda = stages(&plan, Target::Cuda);
    if let Some(words) = cpu.iter().chain(&cuda).map(|s| s.scratch).find(|&s| s > MAX_SCRATCH) {
        return Err(EmitError::TooDeep { name: formula.name.clone(), words });
    }
    let pair_ops: Vec<f64> = cpu.iter().map(|s| s.pair_ops).collect();
    let banner = Banner { source, title };
    let desc = desc::view(&banner, &symbol, &digest, &canonical, &formula.name, &plan, &pair_ops);
    Ok(KernelText {
        cpp: render("kernel.cpp", &FileView::new(&banner, &symbol, &plan, cpu)),
        cu: render("kernel.cu", &FileView::new(&banner, &symbol, &plan, cuda)),
        desc: render("kernel.c", &desc),
        symbol,
        canonical,
        fired,
        plan,
        pair_ops,
    })
}

fn stages(plan: &Plan, target: Target) -> Vec<StageView> {
    (0..plan.stages.len()).map(|n| view::stage(plan, n, target)).collect()
}

/// What every file's head says.
#[derive(Serialize, Clone, Copy)]
pub(crate) struct Banner<'a> {
    source: &'a str,
    title: &'a str,
}

/// A file with all stages of a kernel.
#[derive(Serialize)]
struct FileView<'a> {
    #[serde(flatten)]
    banner: Banner<'a>,
    symbol: &'a str,
    n_values: usize,
    panels: bool,
    on_tensor_cores: bool,
    filters: bool,
    stages: Vec<StageView>,
}

impl<'a> FileView<'a> {
    fn new(
        banner: &Banner<'a>,
        symbol: &'a str,
        plan: &Plan,
        stages: Vec<StageView>,
    ) -> FileView<'a> {
        let panels = stages.iter().any(|s| s.panel.is_some());
        let on_tensor_cores = stages.iter().any(|s| s.tensor_bytes > 0);
        let n_values = plan.values.len();
        let filters = stages.iter().any(|s| s.filter.is_some());
        FileView { banner: *banner, symbol, n_values, panels, on_tensor_cores, filters, stages }
    }
}

/// Renders an embedded template.
///
/// # Panics
/// When the template and the view do not agree, which is a bug that the tests catch.
pub(crate) fn render(template: &str, view: &impl Serialize) -> String {
    static REGISTRY: OnceLock<Handlebars<'static>> = OnceLock::new();
    let registry = REGISTRY.get_or_init(|| {
        let mut registry = Handlebars::new();
        registry.set_strict_mode(true);
        registry.register_escape_fn(handlebars::no_escape);
        for (name, text) in TEMPLATES {
            registry
                .register_template_string(name, with_parts(text))
                .unwrap_or_else(|e| panic!("internal: template {name}: {e}"));
        }
        registry
    });
    registry.render(template, view).unwrap_or_else(|e| panic!("internal: {e}"))
}

/// A template with the text of others where it names them, as in `{{> stage}}` on a line of its
/// own. Handlebars would copy all that a part can see each time it is printed.
fn with_parts(text: &str) -> String {
    let mut whole = String::new();
    for line in text.split_inclusive('\n') {
        let name = line.trim_end().strip_prefix("{{> ").and_then(|rest| rest.strip_suffix("}}"));
        let part = TEMPLATES.iter().find(|(known, _)| name == Some(*known));
        match part {
            Some((_, part)) => whole.push_str(&with_parts(part)),
            None => whole.push_str(line),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Axis;
    use crate::ops::Op;

    #[test]
    fn small_formulas_need_little_stack() {
        let mut f = Formula::new("f");
        let mut x = f.input("x", Some(Axis::J), 3).expect("a small dim");
        while f.len() < SMALL - 1 {
            x = f.apply(Op::Sin, &[x], &[]);
        }
        let sum = f.sum_over(Axis::J, x);
        f.output("a", None, sum).expect("a place");
        assert_eq!(f.len(), SMALL);
        let work = move || kernel(&f, "f", "f.fold").map(|text| text.symbol);
        let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(work);
        let done = thread.expect("a thread").join().expect("enough stack");
        assert!(done.is_ok_and(|symbol| symbol.starts_with("tf_")));
    }

    #[test]
    fn templates_are_whole() {
        for (name, text) in TEMPLATES {
            assert!(!with_parts(text).contains("{{>"), "{name}");
        }
    }
}
