//! A plan as text for people: where every value is computed, what is handed over, and the sizes.

use std::fmt::Write;

use crate::ir::{Axis, ExprId, call, leaf};

use super::{
    CHAIN, Filter, Panel, Place, Places, Plan, Products, REACH, Stage, Target, choose, streams,
};

const PLACES: &[Place] = &[Place::Launch, Place::Row, Place::Col, Place::Pair, Place::Finish];

/// What a place is called, and why a value is computed there.
fn title(place: Place, stage: &Stage) -> String {
    let alone = |axis: Option<Axis>| axis.map_or("no index".into(), |a| format!("{a} alone"));
    match place {
        Place::Const => "never (a number)".into(),
        Place::Launch => "once a launch (varies with no index)".into(),
        Place::Row => format!("once a row (varies with {})", alone(stage.rows)),
        Place::Col => format!("once a column (varies with {})", alone(stage.cols)),
        Place::Pair => "once a pair (varies with both indices)".into(),
        Place::Finish => "once a row, at the end (needs what was folded)".into(),
    }
}

/// Explains a plan. `pair_ops` holds the operations a pair, stage by stage.
pub fn explain(plan: &Plan, pair_ops: &[f64]) -> String {
    let mut out = String::new();
    for (n, stage) in plan.stages.iter().enumerate() {
        let rows = stage.rows.map_or("one row".into(), |a| format!("a row for each {a}"));
        let cols = stage.cols.map_or("nothing folded".into(), |a| format!("folded over {a}"));
        let _ = writeln!(out, "stage s{n}: {rows}, {cols}");
        places(&mut out, plan, stage);
        sizes(&mut out, plan, stage, pair_ops[n]);
    }
    out
}

fn places(out: &mut String, plan: &Plan, stage: &Stage) {
    let f = &plan.formula;
    let name = |id: ExprId| leaf(f, id).unwrap_or_else(|| id.to_string());
    let places = Places::new(plan, stage);
    for &place in PLACES {
        let here: Vec<ExprId> =
            f.ids().filter(|&id| places.has(id) && places.of(id) == place).collect();
        if here.is_empty() {
            continue;
        }
        let _ = writeln!(out, "  {}:", title(place, stage));
        for id in here {
            let known = stage.known.iter().find(|(k, _)| *k == id);
            let text = match known {
                Some((_, value)) => format!("{} (an earlier stage)", plan.values[*value].name),
                None => call(f, id, &name),
            };
            let slot = match place {
                Place::Launch | Place::Row | Place::Col => places.table(place).get(&id),
                Place::Const | Place::Pair | Place::Finish => None,
            };
            let packed = slot.map_or(String::new(), |s| format!("  -> {} words", s.words));
            let _ = writeln!(out, "    {id} = {text}{packed}");
        }
    }
    for (value, id) in &stage.writes {
        let _ = writeln!(out, "  writes {} = {id}", plan.values[*value].name);
    }
}

fn sizes(out: &mut String, plan: &Plan, stage: &Stage, pair_ops: f64) {
    let cpu = choose(plan, stage, Target::Cpu);
    let cuda = choose(plan, stage, Target::Cuda);
    let _ = writeln!(out, "  operations a pair: {pair_ops}");
    let _ = writeln!(
        out,
        "  cpu: {} vectors of rows a block ({} with 16 registers), tiles of {} columns, sums of {}",
        cpu.rows_wide, cpu.rows_narrow, cpu.tile, cpu.block
    );
    if let Some(near) = &stage.near {
        let targets = [(Target::Cpu, "cpu"), (Target::Cuda, "cuda in f32")];
        let pays = targets.iter().filter(|(target, _)| near.pays(*target)).map(|(_, name)| *name);
        let _ = writeln!(
            out,
            "  {}, near pairs: {} by norms, which are at most {REACH}, and an inner product",
            pays.collect::<Vec<_>>().join(", "),
            near.plain
        );
    }
    let places = Places::new(plan, stage);
    let sums = streams(&plan.formula, stage, &places);
    if !sums.is_empty() {
        let names: Vec<String> = sums.iter().map(ExprId::to_string).collect();
        let _ = writeln!(
            out,
            "  cpu: panels of {} columns ({} with 16 registers) for the sums {}",
            cpu.columns_wide,
            cpu.columns_narrow,
            names.join(", ")
        );
    }
    if let Some(Filter { form, .. }) = Filter::new(plan, stage, &places, &sums) {
        let _ = writeln!(
            out,
            "  cpu: bounds of {form} from integers; what they do not rule out is summed in floats"
        );
    }
    let chain = if cuda.block == cuda.cols { cuda.block.min(CHAIN) } else { cuda.block };
    let _ = writeln!(
        out,
        "  cuda: {} rows a thread, {} threads a block, tiles of {} columns, sums of {chain}",
        cuda.rows_wide, cuda.threads, cuda.tile
    );
    if let Some(panel) = Panel::new(plan, stage) {
        let sums: Vec<String> = panel.sums.iter().map(|s| s.id.to_string()).collect();
        let _ = writeln!(
            out,
            "  cuda: panels of 8 rows and {} columns a thread ({} in f64) for the sums {}",
            panel.columns_f32,
            panel.columns_f64,
            sums.join(", ")
        );
        if let Some(Products { form, filter }) = panel.on_tensor_cores {
            let _ = match filter {
                None => writeln!(
                    out,
                    "  cuda: {form} on tensor cores in f32, panel by panel where they are exact \
                     enough"
                ),
                Some(_) => writeln!(
                    out,
                    "  cuda: bounds of {form} on tensor cores in f32; what they do not rule out is \
                     summed in floats"
                ),
            };
        }
    }
}
