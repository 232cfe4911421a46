//! The descriptor of a kernel: what the runtime must know before it calls anything.

use serde::Serialize;

use crate::ir::{Axis, Key, Kind};
use crate::schedule::Plan;

use super::Banner;
use super::view::{cuda_choice, workspace_bytes};

/// What `kernel.c.hbs` sees.
#[derive(Serialize)]
pub struct DescView<'a> {
    #[serde(flatten)]
    banner: Banner<'a>,
    symbol: &'a str,
    formula: &'a str,
    key: String,
    text: Vec<&'a str>,
    values: Vec<ValueView>,
    n_inputs: usize,
    n_temps: usize,
    n_outputs: usize,
    n_stages: usize,
    stages: Vec<StageDesc>,
}

#[derive(Serialize)]
struct ValueView {
    name: String,
    axis: &'static str,
    dim: usize,
    kind: &'static str,
}

#[derive(Serialize)]
struct StageDesc {
    name: String,
    row_axis: &'static str,
    col_axis: &'static str,
    least_cols: usize,
    uses_pos: u32,
    n_writes: usize,
    writes: String,
    pair_ops: String,
    rows_entry: String,
    tiles_entry: String,
    cuda: CudaDesc,
}

#[derive(Serialize)]
struct CudaDesc {
    threads: usize,
    rows_per_block: usize,
    tile: usize,
    state_bytes_f32: usize,
    state_bytes_f64: usize,
}

/// Fills the view.
pub fn view<'a>(
    banner: &Banner<'a>,
    symbol: &'a str,
    key: &Key,
    canonical: &'a str,
    formula: &'a str,
    plan: &Plan,
    pair_ops: &[f64],
) -> DescView<'a> {
    let values = plan.values.iter().map(|v| ValueView {
        name: v.name.clone(),
        axis: axis(v.axis),
        dim: v.dim,
        kind: match v.kind {
            Kind::Real => "TF_REAL",
            Kind::Complex => "TF_COMPLEX",
            Kind::Int => "TF_INDEX",
        },
    });
    DescView {
        banner: *banner,
        symbol,
        formula,
        key: bytes(&key.to_string()),
        text: canonical.lines().collect(),
        values: values.collect(),
        n_inputs: plan.n_inputs,
        n_temps: plan.n_temps,
        n_outputs: plan.values.len() - plan.n_inputs - plan.n_temps,
        n_stages: plan.stages.len(),
        stages: (0..plan.stages.len()).map(|n| stage(plan, symbol, n, pair_ops[n])).collect(),
    }
}

/// Hexadecimal digits as a list of bytes, in C and in Rust.
pub fn bytes(digits: &str) -> String {
    let byte = |n: usize| format!("0x{}", &digits[n..n + 2]);
    (0..digits.len()).step_by(2).map(byte).collect::<Vec<_>>().join(", ")
}

fn stage(plan: &Plan, symbol: &str, n: usize, pair_ops: f64) -> StageDesc {
    let stage = &plan.stages[n];
    let choice = cuda_choice(plan, n);
    let (state_bytes_f32, state_bytes_f64) = workspace_bytes(plan, n);
    let entry = |kind: &str| match stage.cols {
        Some(_) => format!("TF_ENTRY(\"{symbol}\", \"s{n}_{kind}\")"),
        None => "0".into(),
    };
    let writes: Vec<String> = stage.writes.iter().map(|(v, _)| v.to_string()).collect();
    StageDesc {
        name: format!("s{n}"),
        row_axis: axis(stage.rows),
        col_axis: axis(stage.cols),
        least_cols: stage.least_cols(&plan.formula),
        uses_pos: stage.uses_pos(plan),
        n_writes: writes.len(),
        writes: writes.join(", "),
        pair_ops: format!("{pair_ops:?}"),
        rows_entry: entry("rows"),
        tiles_entry: entry("tiles"),
        cuda: CudaDesc {
            threads: choice.threads,
            rows_per_block: choice.threads * choice.rows_wide,
            tile: choice.tile,
            state_bytes_f32,
            state_bytes_f64,
        },
    }
}

fn axis(axis: Option<Axis>) -> &'static str {
    match axis {
        Some(Axis::I) => "TF_AXIS_I",
        Some(Axis::J) => "TF_AXIS_J",
        None => "TF_AXIS_NONE",
    }
}
