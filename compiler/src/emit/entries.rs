//! How C++ calls the loops of a stage, and what is said of it.
//!
//! In: a stage and the choices made for it. Out: the macros, initializers and comments that a
//! kernel file prints. It never chooses.

use crate::schedule::{CHAIN, Plan, Stage, Target, reduction};

/// How many columns CUDA writes out, as C++ says it.
pub fn written_out(cols: usize, chains: usize) -> String {
    match cols {
        0 => String::new(),
        // Two chains of float64 sums would take all registers.
        CHAIN.. if chains > 1 => format!("TF_K({cols}, {CHAIN})"),
        cols => cols.to_string(),
    }
}

/// Which loop runs a stage.
#[derive(Clone, Copy)]
pub enum Loop {
    /// A pair at a time.
    Rows,
    /// A block of columns at a time, and pairs where it may matter; on a CPU.
    Search,
    /// Sums of a panel of pairs first.
    Panels,
    /// The same on tensor cores.
    TensorCores,
    /// Bounds, on tensor cores or of integers on a CPU, and sums of the pairs that they do not rule
    /// out.
    Filter,
}

impl Loop {
    /// That of a stage with streamed sums or without, on tensor cores or not, which looks at
    /// blocks first or does not.
    pub fn new(streams: bool, on_tensor_cores: bool, looks: bool) -> Loop {
        match (streams, on_tensor_cores) {
            (false, _) if looks => Loop::Search,
            (false, _) => Loop::Rows,
            (true, _) if looks => Loop::Filter,
            (true, false) => Loop::Panels,
            (true, true) => Loop::TensorCores,
        }
    }
}

/// The macro that makes the entries of CUDA, or the entry of a CPU's table and that for few rows:
/// a stage that reduces has one, or is it.
pub fn entries(stage: &Stage, name: &str, target: Target, run: Loop) -> (String, Option<String>) {
    let code = match (target, run) {
        (Target::Cuda, Loop::Rows | Loop::Search) => return ("TF_ROWS_ENTRY".into(), None),
        (Target::Cuda, Loop::Panels) => return ("TF_PANEL_ENTRY".into(), None),
        (Target::Cuda, Loop::TensorCores) => return ("TF_MMA_ENTRY".into(), None),
        (Target::Cuda, Loop::Filter) => return ("TF_FILTER_ENTRY".into(), None),
        (Target::Cpu, Loop::Rows) => "tf_rows_loop",
        (Target::Cpu, Loop::Search) => "tf_search_loop",
        (Target::Cpu, _) => "tf_panel_loop",
    };
    let entry = |rows: &str, name: &str, few: &str| {
        format!("tf_cpu_entry<{rows}<{name}, {code}<{name}>>>({few})")
    };
    match (stage.cols, stage.rows) {
        (Some(_), Some(_)) => {
            let few = entry("tf_cpu_row", &format!("{name}_row"), "nullptr");
            let of_many = match run {
                Loop::Filter => format!("tf_cpu_entry<tf_cpu_filtered<{name}>>(&{name}_few)"),
                _ => entry("tf_cpu_rows", name, &format!("&{name}_few")),
            };
            (of_many, Some(few))
        }
        (Some(_), None) => (entry("tf_cpu_row", name, "nullptr"), None),
        (None, _) => (entry("tf_cpu_rows", name, "nullptr"), None),
    }
}

/// What a stage folds over what.
pub fn title(stage: &Stage) -> String {
    let rows = stage.rows.map_or("one row".into(), |a| format!("rows {a}"));
    match stage.cols {
        Some(axis) => format!("{rows}, folded over {axis}"),
        None => format!("{rows}, nothing folded"),
    }
}

/// One line a reduction and a written value.
pub fn notes(plan: &Plan, stage: &Stage) -> Vec<String> {
    let f = &plan.formula;
    let folds = stage.reductions.iter().map(|&id| {
        let r = reduction(f, id);
        format!("{id} = {} of {:?}", r.reducer.def().name, r.args)
    });
    let writes = stage.writes.iter().map(|(value, id)| format!("value {value} = {id}"));
    folds.chain(writes).collect()
}
