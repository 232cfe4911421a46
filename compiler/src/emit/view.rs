//! The structs that templates see. Every field is used; every branch was taken in Rust.

use serde::Serialize;

use crate::ir::{Accumulation, ExprId, Formula, Kind, ints};
use crate::passes::widths;
use crate::reduce::StateKind;
use crate::schedule::{
    CHAIN, Choice, Filter, Panel, Place, Places, Plan, Slot, Stage, Target, Wide, accumulators,
    choose, only_searches, reads_top, reduction, state_kind, streams, weight,
};

use super::blocks::Blocks;
use super::body::{Body, Index, Text, int_type, number};
use super::entries::{Loop, entries, notes, title, written_out};
use super::near::{Norms, NormsView, WayView, watched_in};
use super::panel::{FilterView, OutputsView, PanelView, outputs_view, panel_view};

/// One stage of a kernel file.
#[derive(Serialize)]
pub struct StageView {
    /// `s0`, `s1`, ...
    pub name: String,
    /// What it folds over what.
    pub title: String,
    /// One line a reduction and a written value.
    pub notes: Vec<String>,
    /// Vectors of rows a block, with 32 vector registers.
    pub rows_wide: usize,
    /// Vectors of rows a block, with 16 vector registers.
    pub rows_narrow: usize,
    /// Vectors of rows a group, with 32 vector registers.
    pub group_wide: usize,
    /// Vectors of rows a group, with 16 vector registers.
    pub group_narrow: usize,
    /// Sums over components that are computed for a panel of columns at once.
    pub streams: usize,
    /// Columns of a panel, with 32 vector registers; on CUDA those of a thread, in f32.
    pub columns_wide: usize,
    /// Columns of a panel, with 16 vector registers; on CUDA those of a thread, in f64.
    pub columns_narrow: usize,
    /// The sums of a panel on CUDA, and most parts of rows, columns and parameters of one.
    pub panel: Option<PanelView>,
    /// Whether what a row leaves in the workspace has another type than what a thread holds.
    pub apart: bool,
    /// Whether the stage is written for any number of rows: CPU code that reduces.
    pub template: bool,
    /// Whether an accumulator keeps lists that values wait for, on a CPU.
    pub lists: bool,
    /// Whether a block of columns is looked at first: a stage that only searches, on a CPU, or one
    /// that has bounds of its values.
    pub looks: bool,
    /// The bounds of a CPU.
    pub filter: Option<FilterView>,
    /// The entry of a CPU's table, or the macro that makes that of a GPU: which loop runs.
    pub entry: String,
    /// The entry for few rows, where it is another one.
    pub few: Option<String>,
    /// Columns of a tile.
    pub tile: usize,
    /// Columns that are summed plainly.
    pub block: String,
    /// Columns that are written out on CUDA; empty on a CPU.
    pub cols: String,
    /// 1 if functions are watched, block by block, for arguments that need more than they do.
    pub watched: usize,
    /// Threads of a block on CUDA.
    pub threads: usize,
    /// Scalars a launch.
    pub param_words: usize,
    /// Scalars a row.
    pub row_words: usize,
    /// Scalars a column.
    pub col_words: usize,
    /// Whether anything is folded.
    pub folds: bool,
    /// Bytes of the states of one CUDA thread, in f32 and f64.
    pub state_bytes_f32: usize,
    /// See `state_bytes_f32`.
    pub state_bytes_f64: usize,
    /// Bytes of the workspace of one thread that tensor cores need in f32, beside the states.
    pub tensor_bytes: usize,
    /// Accumulators.
    pub states: Vec<StateView>,
    /// Members of those that may refuse a block of columns.
    pub checked: Vec<String>,
    /// Lines of the functions.
    pub launch: Vec<String>,
    /// See `launch`.
    pub row: Vec<String>,
    /// See `launch`.
    pub col: Vec<String>,
    /// The wide accumulators of a CPU.
    pub outputs: Vec<OutputsView>,
    /// See `launch`; empty where nothing is streamed, and on CUDA.
    pub stream: Vec<String>,
    /// The ways to a pair: the plain one, and that of near pairs.
    pub ways: Vec<WayView>,
    /// The norms that decide about them.
    pub norms: Option<NormsView>,
    /// See `launch`.
    pub finish: Vec<String>,
    /// Operations a pair.
    #[serde(skip)]
    pub pair_ops: f64,
    /// Most numbers of one row that the arrays of a function hold.
    #[serde(skip)]
    pub scratch: usize,
}

impl StageView {
    /// Lines of the functions.
    pub fn lines(&self) -> usize {
        let ways = self.ways.iter().map(|way| &way.pair);
        let bodies = [&self.launch, &self.row, &self.col, &self.stream, &self.finish];
        bodies.into_iter().chain(ways).map(Vec::len).sum()
    }
}

/// One accumulator of a stage.
#[derive(Serialize)]
pub struct StateView {
    /// Its C++ type.
    #[serde(rename = "type")]
    pub type_: String,
    /// The type of what a CUDA thread holds of it, where that is not the same.
    pub held: Option<String>,
    /// The name of the type of what a thread holds.
    pub thread: String,
    /// The name of the type in the stage.
    pub alias: String,
    /// The name of the member.
    pub field: String,
    /// The type of its state.
    pub member: String,
}

/// Works out one stage for one target.
pub fn stage(plan: &Plan, n: usize, target: Target) -> StageView {
    let stage = &plan.stages[n];
    let f = &plan.formula;
    let panel = if target == Target::Cuda { Panel::new(plan, stage) } else { None };
    let plain = panel.as_ref().map_or_else(|| Places::new(plan, stage), |p| p.places.clone());
    let norms = Norms::new(plan, stage, target, &plain, panel.is_some());
    let places = &norms.places;
    let (template, choice) = sizes(plan, stage, target);
    let streams = streamed(plan, stage, &plain, target, panel.as_ref());
    let on_cpu = if template { Wide::all(plan, stage, &plain) } else { Vec::new() };
    let wide = panel.as_ref().map_or(&on_cpu[..], |p| p.wide.as_slice());
    let blocks = Blocks::new(f, &choice, target, wide);
    let groups = places.accumulators();
    let lag = blocks.lag(f, groups);
    let states: Vec<StateView> =
        groups.iter().enumerate().map(|(n, g)| state(f, n, g, blocks, lag, template)).collect();
    let body = |place| Body::new(plan, stage, places, place, choice.unroll);
    let [launch, row, col] = packed(f, &plain, places, body);
    let tensor_bytes = panel.as_ref().map_or(0, Panel::tensor_bytes);
    let stream = body(Place::Pair).stream(if target == Target::Cpu { &streams } else { &[] });
    let relaxed = target == Target::Cuda && f.relaxed;
    let start = || body(Place::Pair).reading(&streams).flushing(relaxed);
    let pair_of = |way| pair(f, places, blocks, way);
    let pair = pair_of(start());
    let watched = lag && !watched_in(&pair, relaxed).is_empty();
    let scratch = [&launch, &row, &col, &pair].map(|text| text.scratch);
    let pair_ops = stream.ops + pair.ops;
    let ways = std::iter::once(("tf_plain", pair)).chain(norms.ways(start, pair_of));
    let ways = ways.map(|(tag, pair)| WayView::new(tag, pair, watched, relaxed));
    let finish = finish(plan, stage, places, body(Place::Finish));
    let outputs = on_cpu.iter().map(|wide| outputs_view(wide, body(Place::Pair)));
    let (filter, looks) = looks(plan, stage, target, panel.as_ref(), &plain, &streams);
    let name = format!("s{n}");
    let run = Loop::new(!streams.is_empty(), tensor_bytes > 0, looks);
    let (entry, few) = entries(stage, &name, target, run);
    StageView {
        name,
        title: title(stage),
        notes: notes(plan, stage),
        rows_wide: choice.rows_wide,
        rows_narrow: choice.rows_narrow,
        group_wide: choice.group_wide,
        group_narrow: choice.group_narrow,
        streams: streams.len(),
        columns_wide: choice.columns_wide,
        columns_narrow: choice.columns_narrow,
        apart: states.iter().any(|state| state.held.is_some()),
        panel: panel.as_ref().map(|p| panel_view(p, body)),
        template,
        lists: template && stage.reductions.iter().any(|&id| reduction(f, id).k > 0),
        looks,
        filter,
        entry,
        few,
        tile: choice.tile,
        block: if choice.block == choice.cols { "COLS".into() } else { choice.block.to_string() },
        cols: written_out(choice.cols, blocks.chains),
        watched: usize::from(watched),
        threads: choice.threads,
        param_words: Places::words(&places.launch),
        row_words: Places::words(&places.row),
        col_words: Places::words(&places.col),
        folds: stage.cols.is_some(),
        tensor_bytes,
        state_bytes_f32: state_bytes(plan, n, 4),
        state_bytes_f64: state_bytes(plan, n, 8),
        checked: blocks.refusing(f, groups, watched),
        states,
        launch: launch.lines,
        row: row.lines,
        col: col.lines,
        pair_ops,
        stream: stream.lines,
        outputs: outputs.collect(),
        ways: ways.collect(),
        norms: norms.view(&plain, target, body(Place::Pair)),
        scratch: scratch.into_iter().fold(finish.scratch, usize::max),
        finish: finish.lines,
    }
}

/// The bounds of a CPU, and whether a stage looks at columns before it takes pairs up.
fn looks(
    plan: &Plan,
    stage: &Stage,
    target: Target,
    panel: Option<&Panel>,
    places: &Places,
    streams: &[ExprId],
) -> (Option<FilterView>, bool) {
    if target == Target::Cuda {
        return (None, panel.is_some_and(Panel::filters));
    }
    let filter = Filter::new(plan, stage, places, streams).as_ref().map(FilterView::new);
    let searches = streams.is_empty() && only_searches(&plan.formula, stage);
    let looks = filter.is_some() || searches;
    (filter, looks)
}

/// Whether a stage is written for any number of rows, and its sizes: one row is alone then.
fn sizes(plan: &Plan, stage: &Stage, target: Target) -> (bool, Choice) {
    let choice = choose(plan, stage, target);
    let alone = Choice { rows_wide: 1, rows_narrow: 1, group_wide: 1, group_narrow: 1, ..choice };
    let template = target == Target::Cpu && stage.cols.is_some();
    (template, if template && stage.rows.is_none() { alone } else { choice })
}

/// The sums that are computed for a panel of columns at once.
fn streamed(
    plan: &Plan,
    stage: &Stage,
    places: &Places,
    target: Target,
    panel: Option<&Panel>,
) -> Vec<ExprId> {
    match (target, panel) {
        (Target::Cpu, _) => streams(&plan.formula, stage, places),
        (Target::Cuda, Some(panel)) => panel.sums.iter().map(|s| s.id).collect(),
        (Target::Cuda, None) => Vec::new(),
    }
}

/// The sizes that the descriptor needs of the CUDA variant.
pub fn cuda_choice(plan: &Plan, n: usize) -> Choice {
    choose(plan, &plan.stages[n], Target::Cuda)
}

/// Bytes of the workspace of one thread, in f32 and in f64.
pub fn workspace_bytes(plan: &Plan, n: usize) -> (usize, usize) {
    let tensor_bytes = Panel::new(plan, &plan.stages[n]).map_or(0, |p| p.tensor_bytes());
    (state_bytes(plan, n, 4) + tensor_bytes, state_bytes(plan, n, 8))
}

/// Bytes that hold the states of one CUDA thread, for scalars of `t` bytes: each array of a state
/// rounded up to 8 bytes. The emitted code asserts that it is enough.
fn state_bytes(plan: &Plan, n: usize, t: usize) -> usize {
    let stage = &plan.stages[n];
    let f = &plan.formula;
    let rows = cuda_choice(plan, n).rows_wide;
    let reals = |words: usize| (words * t).next_multiple_of(8);
    // A total is a float64, with its error beside it where the scalars are float64 too.
    let totals = if t == 8 { 16 } else { 8 };
    let bytes = |group: &Vec<ExprId>| {
        let r = reduction(f, group[0]);
        let e = f.dim(r.args[0]) * rows;
        let weights = weight(f, group).map_or(0, |w| f.dim(w));
        match state_kind(f, group) {
            StateKind::Sum => totals * e,
            StateKind::Mean => totals * e + 8 * rows,
            StateKind::Var => 16 * e + 8 * rows,
            StateKind::Prod | StateKind::Count => 16 * e,
            StateKind::Min | StateKind::Max => reals(e),
            StateKind::ArgMin | StateKind::ArgMax => reals(e) + 8 * e,
            StateKind::KMin | StateKind::KMax => reals(e * r.k) + 8 * e * r.k,
            StateKind::ShiftedExp => {
                let tops = if reads_top(f, group) { rows } else { 1 };
                reals(rows) + reals(tops) + totals * (1 + weights) * rows
            }
        }
    };
    let total: usize = accumulators(f, stage).iter().map(bytes).sum();
    total.max(8)
}

/// The lines that compute and pack what pairs read: once a launch, a row and a column.
/// What norms are for lies after the words of `plain` places.
fn packed<'a>(
    f: &Formula,
    plain: &Places,
    places: &Places,
    body: impl Fn(Place) -> Body<'a>,
) -> [Text; 3] {
    let launch = |at: Index, v: &str| format!("p[{at}] = tf_lane({v}, 0);");
    let row = |at: Index, v: &str| format!("tf_store(x + (({at}) * R + r) * W, {v});");
    let col =
        |at: Index, v: &str| format!("tf_pack(y + ({at}) * word_stride, lane_stride, n, {v});");
    [
        pack(f, body(Place::Launch), places, usize::MAX, launch),
        pack(f, body(Place::Row), places, Places::words(&plain.row), row),
        pack(f, body(Place::Col), places, Places::words(&plain.col), col),
    ]
}

/// The lines that compute and pack everything one place hands over; from word `plain` on they are
/// those that norms are for.
fn pack(
    f: &Formula,
    mut body: Body<'_>,
    places: &Places,
    plain: usize,
    store: impl Fn(Index, &str) -> String,
) -> Text {
    let mut slots: Vec<_> =
        places.table(body.place()).iter().map(|(&id, &slot)| (slot, id)).collect();
    slots.sort_by_key(|(slot, _)| slot.base);
    let write = |body: &mut Body<'_>, (slot, id): (Slot, ExprId)| {
        let word = |index: &Index, n: usize| index.shift(slot.base + n * f.dim(id));
        body.each(id, |body, index, value| match f.kind(id) {
            Kind::Real | Kind::Complex => body.line(&store(word(&index, 0), &value)),
            Kind::Int => {
                let held = body.bind_as(int_type(f, id), &value);
                for n in 0..ints::limbs(f, id) {
                    body.line(&store(word(&index, n), &format!("{held}.limb[{n}]")));
                }
            }
        });
    };
    let (all, more): (Vec<_>, Vec<_>) = slots.into_iter().partition(|(s, _)| s.base < plain);
    all.into_iter().for_each(|slot| write(&mut body, slot));
    if !more.is_empty() {
        body.block("if (NORMS) {", |body| more.into_iter().for_each(|slot| write(body, slot)));
    }
    body.finish()
}

/// The C++ type of an accumulator shared by `group`.
fn state(
    f: &Formula,
    n: usize,
    group: &[ExprId],
    blocks: Blocks<'_>,
    lag: bool,
    template: bool,
) -> StateView {
    let r = reduction(f, group[0]);
    let e = f.dim(r.args[0]);
    let weights = weight(f, group).map_or(0, |w| f.dim(w));
    let masked = r.mask.is_some();
    let each = f.acc == Accumulation::Each;
    let top = reads_top(f, group);
    let kept = blocks.keep(f, group);
    let type_ = match state_kind(f, group) {
        StateKind::Sum if blocks.chains > 1 => {
            format!("tf_sum<{e}, R, {each}, COLS / {CHAIN}>")
        }
        StateKind::Sum => format!("tf_sum<{e}, R, {each}>"),
        StateKind::Mean => format!("tf_mean<{e}, R, {each}>"),
        StateKind::Var => format!("tf_var<{e}, R>"),
        StateKind::Prod => format!("tf_prod<{e}, R, TILE>"),
        StateKind::Min => format!("tf_extremum<{e}, R, 1>"),
        StateKind::Max => format!("tf_extremum<{e}, R, -1>"),
        StateKind::ArgMin if kept => format!("tf_arg_block<{e}, R, 1, COLS>"),
        StateKind::ArgMax if kept => format!("tf_arg_block<{e}, R, -1, COLS>"),
        StateKind::ArgMin => format!("tf_arg_extremum<{e}, R, 1, {masked}>"),
        StateKind::ArgMax => format!("tf_arg_extremum<{e}, R, -1, {masked}>"),
        StateKind::KMin if template => format!("tf_k_lanes<{e}, {}, R, 1, {masked}>", r.k),
        StateKind::KMax if template => format!("tf_k_lanes<{e}, {}, R, -1, {masked}>", r.k),
        StateKind::KMin => format!("tf_kmin<{e}, {}, R>", r.k),
        StateKind::KMax => format!("tf_kmin<{e}, {}, R, -1>", r.k),
        StateKind::ShiftedExp if lag => format!("tf_exp_block<{weights}, R, {top}, COLS>"),
        StateKind::ShiftedExp => format!("tf_shifted_exp<{weights}, R, {top}, {each}>"),
        StateKind::Count => format!("tf_count<{e}, R>"),
    };
    let wide = blocks.wide_of(n);
    let held = match state_kind(f, group) {
        _ if template => None,
        StateKind::KMin if kept => Some(format!("tf_k_block<{e}, {}, R, 1, COLS>", r.k)),
        StateKind::KMax if kept => Some(format!("tf_k_block<{e}, {}, R, -1, COLS>", r.k)),
        _ if wide.is_none() => None,
        StateKind::ShiftedExp if lag => {
            Some(format!("tf_wide_exp<tf_exp_block<0, R, {top}, COLS>, COLS, true>"))
        }
        StateKind::ShiftedExp => {
            Some(format!("tf_wide_exp<tf_shifted_exp<0, R, {top}, {each}>, COLS, false>"))
        }
        _ => Some("tf_wide_sum<COLS>".into()),
    };
    let type_ = match (wide, state_kind(f, group)) {
        (None, _) => type_,
        (_, StateKind::ShiftedExp) if template => {
            format!("tf_wide_exp<{weights}, R, {top}, BLOCK>")
        }
        (_, StateKind::ShiftedExp) => format!("tf_shifted_exp<{weights}, R, {top}, {each}>"),
        _ if template => format!("tf_wide_sum<{e}, R, BLOCK>"),
        _ => type_,
    };
    let thread = if held.is_some() { format!("H{n}") } else { format!("A{n}") };
    let of = if template { "typename " } else { "" };
    let member = format!("{of}{thread}::State");
    StateView { type_, held, thread, alias: format!("A{n}"), field: format!("a{n}"), member }
}

/// The lines of a pair: every accumulator folds its arguments.
fn pair(f: &Formula, places: &Places, blocks: Blocks<'_>, mut body: Body<'_>) -> Text {
    let lag = if blocks.lag(f, places.accumulators()) { ", y.slot" } else { "" };
    for (n, group) in places.accumulators().iter().enumerate() {
        let r = reduction(f, group[0]);
        let mask = r.mask.map(|m| body.component(m, &Index::at(0)));
        let kind = state_kind(f, group);
        let chained = blocks.chains > 1 && kind == StateKind::Sum;
        let slot = if chained || blocks.keep(f, group) { ", y.slot" } else { "" };
        if let Some(wide) = blocks.wide_of(n) {
            let number = match wide.number {
                Some(number) => body.component(number, &Index::at(0)),
                None if blocks.of_cpu => body.component(r.args[0], &Index::at(0)),
                None => shifted_exp(&mut body, n, r.args[0], None, None, lag),
            };
            body.count(2.0 * wide.by.dim as f64);
            body.per_row(&match blocks.of_cpu {
                true => format!("a.a{n}.keep(jj % BLOCK, g + r, {number});"),
                false => format!("a.a{n}.keep({number}, y.slot);"),
            });
            continue;
        }
        match kind {
            StateKind::ShiftedExp => {
                let weight = weight(f, group);
                let plain = lag.is_empty() || mask.is_some() || reads_top(f, group);
                let fits = |d: &ExprId| f.relaxed && !plain && f.dim(*d) <= blocks.short;
                match widths::distance(f, r.args[0]).filter(fits) {
                    Some(difference) => shifted_distance(&mut body, n, difference, weight),
                    None => {
                        shifted_exp(&mut body, n, r.args[0], weight, mask.as_deref(), lag);
                    }
                }
            }
            _ => {
                body.each(r.args[0], |body, index, value| {
                    body.count(1.0);
                    body.per_row(&add(
                        kind,
                        n,
                        &index,
                        &value,
                        mask.as_deref(),
                        slot,
                        blocks.column,
                    ));
                });
                // These count the rows that take part, once for all components.
                let state = match kind {
                    StateKind::Mean => String::new(),
                    StateKind::Var => format!("s.a{n}, "),
                    _ => continue,
                };
                body.per_row(&match mask {
                    None => format!("a.a{n}.count({state}g + r);"),
                    Some(m) => format!("a.a{n}.count_if({state}g + r, {m});"),
                });
            }
        }
    }
    body.finish()
}

/// One component into one accumulator. Pairs that a mask leaves out contribute the neutral element
/// where there is one, and are never candidates where row numbers are kept.
fn add(
    kind: StateKind,
    n: usize,
    index: &Index,
    value: &str,
    mask: Option<&str>,
    slot: &str,
    column: &str,
) -> String {
    let masked = |neutral: f64| match mask {
        Some(m) => format!("tf_where({m}, {value}, {})", number(neutral)),
        None => value.to_string(),
    };
    let candidate = |place: &str| match mask {
        None => format!("a.a{n}.add({index}, g + r, {value}{place});"),
        Some(m) => format!("a.a{n}.add_if({index}, g + r, {value}, {m}{place});"),
    };
    let always = |value: String| format!("a.a{n}.add({index}, g + r, {value}{slot});");
    match kind {
        StateKind::Sum | StateKind::Mean => always(masked(0.0)),
        StateKind::Prod => always(masked(1.0)),
        StateKind::Min => always(masked(f64::INFINITY)),
        StateKind::Max => always(masked(f64::NEG_INFINITY)),
        StateKind::Var | StateKind::Count => candidate(""),
        StateKind::ArgMin | StateKind::ArgMax => candidate(&format!("{slot}, jj")),
        StateKind::KMin | StateKind::KMax => match mask {
            None => format!("a.a{n}.add(s.a{n}, {index}, g + r, {value}{slot}, {column});"),
            Some(m) => format!("a.a{n}.add_if(s.a{n}, {index}, g + r, {value}, {m}, {column});"),
        },
        StateKind::ShiftedExp => unreachable!("scores and weights are folded together"),
    }
}

fn shifted_exp(
    body: &mut Body<'_>,
    n: usize,
    score: ExprId,
    weight: Option<ExprId>,
    mask: Option<&str>,
    slot: &str,
) -> String {
    let score = body.component(score, &Index::at(0));
    let score = match mask {
        Some(m) => format!("tf_where({m}, {score}, {})", number(f64::NEG_INFINITY)),
        None => score,
    };
    let terms = body.bind(&score);
    let all = terms.trim_end_matches("[r]");
    body.count(12.0);
    body.line(&format!("a.a{n}.terms(s.a{n}, g, {all}{slot});"));
    weighted(body, n, &terms, weight, mask);
    terms
}

/// As `shifted_exp`, of a score that is minus a squared distance: its squares are added up from the
/// shift on.
fn shifted_distance(body: &mut Body<'_>, n: usize, difference: ExprId, weight: Option<ExprId>) {
    let terms = body.bind(&format!("a.a{n}.from(g + r, y.slot)"));
    body.each(difference, |body, _, value| {
        body.count(2.0);
        body.per_row(&format!("{terms} = {value} * {value} + {terms};"));
    });
    let all = terms.trim_end_matches("[r]");
    body.count(10.0);
    body.line(&format!("a.a{n}.measured(s.a{n}, g, {all}, y.slot);"));
    weighted(body, n, &terms, weight, None);
}

/// Adds the terms times each component of a weight.
fn weighted(
    body: &mut Body<'_>,
    n: usize,
    terms: &str,
    weight: Option<ExprId>,
    mask: Option<&str>,
) {
    let Some(weight) = weight else { return };
    body.each(weight, |body, index, value| {
        body.count(2.0);
        let product = format!("{terms} * {value}");
        let product = match mask {
            Some(m) => format!("tf_where({m}, {product}, {})", number(0.0)),
            None => product,
        };
        body.per_row(&format!("a.a{n}.add({index}, g + r, {product});"));
    });
}

/// The lines that write the results of a row.
fn finish(plan: &Plan, stage: &Stage, places: &Places, mut body: Body<'_>) -> Text {
    let f = &plan.formula;
    for &(value, id) in &stage.writes {
        let of = if value < plan.n_inputs + plan.n_temps { "_temp" } else { "" };
        match f.kind(id) {
            Kind::Real | Kind::Complex => body.each(id, |body, index, v| {
                body.line(&format!("tf_write{of}(v[{value}], {index}, i0, i1, step, r, {v});"));
            }),
            Kind::Int if !stage.reductions.contains(&id) => body.each(id, |body, index, v| {
                body.line(&format!("tf_write_int(v[{value}], {index}, i0, i1, step, r, {v});"));
            }),
            Kind::Int => {
                let (n, _) = places.result(f, id);
                let dim = f.dim(id);
                body.line(&format!(
                    "for (int k = 0; k < {dim}; ++k) \
                     tf_write_index<A{n}>(v[{value}], k, i0, i1, step, r, s.a{n});"
                ));
            }
        }
    }
    body.finish()
}
