//! From an optimized formula to a [`Plan`]: which kernels run, over which rows and columns, and
//! where every value is computed. Plain data, printed by `explain`; templates never decide.
//!
//! A formula becomes a list of *stages*. A stage has a row axis and at most one column axis; it
//! folds its reductions over the columns of each row in one pass and then writes values. Nested
//! reductions become earlier stages whose results are temporaries, one row per row.

mod bounds;
mod choose;
mod explain;
mod filter;
mod mma;
mod near;
mod panel;
mod places;
mod streams;
mod wide;

use crate::ir::{Axis, ExprId, Formula, Kind, Node, Stratum};
use crate::ops::Op;

pub use bounds::{BOUND, Bound, add_bounds};
pub use choose::{CHAIN, Choice, MAX_SHARED_WORDS, Target, choose, only_searches};
pub use explain::explain;
pub use filter::Filter;
pub use mma::{Form, Products, Side};
pub use near::{Near, REACH, add_near};
pub use panel::{Operand, Panel, Sum};
pub use places::{
    Place, Places, Slot, accumulators, is_transparent, reads_top, shifted_arg, state_kind, weight,
};
pub use streams::streams;
pub use wide::Wide;

/// A formula cut into stages.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The optimized formula.
    pub formula: Formula,
    /// Inputs, temporaries, outputs, in the order of the descriptor's table.
    pub values: Vec<Value>,
    /// How many of `values` are inputs.
    pub n_inputs: usize,
    /// How many of `values` are temporaries.
    pub n_temps: usize,
    /// The stages, in the order they run.
    pub stages: Vec<Stage>,
}

/// One array of the descriptor's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Name for messages; temporaries are called `t0`, `t1`, ...
    pub name: String,
    /// Index of its rows, `None` for one row.
    pub axis: Option<Axis>,
    /// Columns.
    pub dim: usize,
    /// Reals, complex numbers or integers.
    pub kind: Kind,
}

/// One pass over rows and columns.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Index of the rows; `None` is a single row.
    pub rows: Option<Axis>,
    /// Index that is reduced; `None` when the stage only maps rows.
    pub cols: Option<Axis>,
    /// The reduction nodes that are folded.
    pub reductions: Vec<ExprId>,
    /// What is written once a row is folded: index into [`Plan::values`], and the expression.
    pub writes: Vec<(usize, ExprId)>,
    /// Results of earlier stages that this one may read: reduction node to value. A mean whose
    /// value is an input stands for a point amid its rows, see [`add_near`].
    pub known: Vec<(ExprId, usize)>,
    /// Another way to a number of pairs, where [`add_near`] found one.
    pub near: Option<Near>,
    /// A power of pairs that may need no clamps, where [`add_bounds`] found one.
    pub bound: Option<Bound>,
}

/// Cuts an optimized formula into stages.
pub fn plan(formula: Formula) -> Plan {
    let levels = levels(&formula);
    let mut stages = group(&formula, &levels);
    let mut values: Vec<Value> = formula
        .inputs
        .iter()
        .map(|i| Value { name: i.name.clone(), axis: i.axis, dim: i.dim, kind: i.kind })
        .collect();
    let n_inputs = values.len();
    let homes = output_homes(&formula, &mut stages);

    let temps = temporaries(&formula, &stages, &homes);
    let mut known: Vec<(ExprId, usize)> = Vec::new();
    for (n, &id) in temps.iter().enumerate() {
        let axis = stages.iter().find(|s| s.reductions.contains(&id)).and_then(|s| s.rows);
        known.push((id, values.len()));
        let (dim, kind) = (formula.dim(id), formula.kind(id));
        values.push(Value { name: format!("t{n}"), axis, dim, kind });
    }
    for output in &formula.outputs {
        let (dim, kind) = (formula.dim(output.expr), formula.kind(output.expr));
        values.push(Value { name: output.name.clone(), axis: output.axis, dim, kind });
    }
    for (at, stage) in stages.iter_mut().enumerate() {
        let own = |id: &ExprId| stage.reductions.contains(id);
        stage.writes =
            known.iter().copied().filter(|(id, _)| own(id)).map(|(id, v)| (v, id)).collect();
        let outputs = formula.outputs.iter().enumerate().filter(|(n, _)| homes[*n] == at);
        stage.writes.extend(outputs.map(|(n, o)| (n_inputs + temps.len() + n, o.expr)));
        stage.known = known.iter().copied().filter(|(id, _)| !own(id)).collect();
    }
    let n_temps = temps.len();
    Plan { formula, values, n_inputs, n_temps, stages }
}

/// For every node, how many reductions deep it is: a reduction is one deeper than what it reads.
fn levels(f: &Formula) -> Vec<usize> {
    let mut levels = vec![0; f.len()];
    for id in f.ids() {
        let node = f.node(id);
        let below = node.args().map(|a| levels[a.index()]).max().unwrap_or(0);
        levels[id.index()] = below + usize::from(matches!(node, Node::Reduce(_)));
    }
    levels
}

/// One stage for the live reductions of one level, row axis and column axis.
fn group(f: &Formula, levels: &[usize]) -> Vec<Stage> {
    let live = f.reachable(f.outputs.iter().map(|o| o.expr));
    let reductions = f.ids().filter(|id| live[id.index()]).filter_map(|id| match f.node(id) {
        Node::Reduce(r) => Some((levels[id.index()], row_axis(f.stratum(id)), r.axis, id)),
        _ => None,
    });
    let mut sorted: Vec<_> = reductions.collect();
    sorted.sort();
    let mut stages: Vec<Stage> = Vec::new();
    let mut last = None;
    for (level, rows, cols, id) in sorted {
        if last != Some((level, rows, cols)) {
            stages.push(Stage::new(rows, Some(cols)));
            last = Some((level, rows, cols));
        }
        stages.last_mut().expect("just pushed").reductions.push(id);
    }
    stages
}

fn row_axis(s: Stratum) -> Option<Axis> {
    match s {
        Stratum::I => Some(Axis::I),
        Stratum::J => Some(Axis::J),
        Stratum::Const | Stratum::Param | Stratum::Pair => None,
    }
}

/// The stage that writes each output: the last one that folds something the output reads, when its
/// rows are the output's; otherwise a stage of its own that only maps rows.
fn output_homes(f: &Formula, stages: &mut Vec<Stage>) -> Vec<usize> {
    let folded = stages.len();
    let mut homes = Vec::new();
    for output in &f.outputs {
        let reads = f.reachable([output.expr]);
        let used = |s: &Stage| s.reductions.iter().any(|r| reads[r.index()]);
        let last = stages[..folded].iter().rposition(used);
        let fits = last.filter(|&at| {
            let direct = direct_reductions(f, output.expr);
            let earlier = |r: &ExprId| stages[..at].iter().any(|s| s.reductions.contains(r));
            stages[at].rows == output.axis
                && direct.iter().all(|r| stages[at].reductions.contains(r) || earlier(r))
        });
        let own = |s: &Stage| s.cols.is_none() && s.rows == output.axis;
        homes.push(match fits {
            Some(at) => at,
            None => stages.iter().position(own).unwrap_or_else(|| {
                stages.push(Stage::new(output.axis, None));
                stages.len() - 1
            }),
        });
    }
    homes
}

/// The reductions that an expression reads without another reduction in between.
fn direct_reductions(f: &Formula, root: ExprId) -> Vec<ExprId> {
    let mut seen = vec![false; f.len()];
    let (mut todo, mut found) = (vec![root], Vec::new());
    while let Some(id) = todo.pop() {
        if std::mem::replace(&mut seen[id.index()], true) {
            continue;
        }
        match f.node(id) {
            Node::Reduce(_) => found.push(id),
            node => todo.extend(node.args()),
        }
    }
    found
}

/// The reductions whose results another stage reads, in id order.
fn temporaries(f: &Formula, stages: &[Stage], homes: &[usize]) -> Vec<ExprId> {
    let mut needed: Vec<ExprId> = Vec::new();
    for (at, stage) in stages.iter().enumerate() {
        let args = stage.reductions.iter().flat_map(|&r| f.node(r).args());
        let outputs = f.outputs.iter().zip(homes).filter(|(_, home)| **home == at);
        for root in args.chain(outputs.map(|(o, _)| o.expr)) {
            let foreign = |r: &ExprId| !stage.reductions.contains(r);
            needed.extend(direct_reductions(f, root).into_iter().filter(foreign));
        }
    }
    needed.sort();
    needed.dedup();
    needed
}

impl Stage {
    fn new(rows: Option<Axis>, cols: Option<Axis>) -> Stage {
        let (reductions, writes, known) = (Vec::new(), Vec::new(), Vec::new());
        Stage { rows, cols, reductions, writes, known, near: None, bound: None }
    }

    /// Fewest columns for which every result exists.
    pub fn least_cols(&self, f: &Formula) -> usize {
        self.reductions
            .iter()
            .map(|&id| reduction(f, id))
            .map(|r| (r.reducer.def().least_rows)(r.k))
            .max()
            .unwrap_or(0)
    }

    /// Bit 0: the stage reads the number of its rows as a real; bit 1: of its columns.
    pub fn uses_pos(&self, plan: &Plan) -> u32 {
        let f = &plan.formula;
        let places = Places::new(plan, self);
        let is_real_pos = |id: ExprId| match f.node(id) {
            Node::Op(Op::ToReal, args, _) => matches!(f.node(args[0]), Node::Pos(_)),
            _ => false,
        };
        let reads = |place: Place, wanted: Option<Axis>| {
            let mut pos = f.ids().filter(|&id| is_real_pos(id) && places.has(id));
            pos.any(|id| places.of(id) == place && f.stratum(id) == Stratum::of(wanted))
        };
        u32::from(self.rows.is_some() && reads(Place::Row, self.rows))
            | u32::from(self.cols.is_some() && reads(Place::Col, self.cols)) << 1
    }
}

/// The reduction behind a node that is known to be one.
pub fn reduction(f: &Formula, id: ExprId) -> &crate::ir::Reduction {
    match f.node(id) {
        Node::Reduce(r) => r,
        other => unreachable!("{id} is a reduction, not {other:?}"),
    }
}
