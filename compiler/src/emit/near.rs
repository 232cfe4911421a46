//! What templates see of the ways to a pair, and of the norms that decide about them.

use serde::Serialize;

use crate::ir::ExprId;
use crate::schedule::{BOUND, Bound, Near, Place, Places, Plan, Stage, Target};

use super::body::{Body, Index, Text};

/// One way to a pair: the functions that go it.
#[derive(Serialize)]
pub struct WayView {
    /// The type that says so in C++.
    pub tag: &'static str,
    /// What is watched, see `StageView::watched`.
    pub watched: Vec<WatchedView>,
    /// What takes subnormal numbers for 0.
    pub flushed: Vec<WatchedView>,
    /// Lines of the function of a pair.
    pub pair: Vec<String>,
}

impl WayView {
    /// A way with these lines, of a stage that may be `watched`; its formula may be `relaxed`.
    pub fn new(tag: &'static str, pair: Text, watched: bool, relaxed: bool) -> WayView {
        let flushed = FLUSHED.into_iter().filter(|w| relaxed && calls(&pair, w.function));
        let watched = if watched { watched_in(&pair, relaxed) } else { Vec::new() };
        WayView { tag, watched, flushed: flushed.collect(), pair: pair.lines }
    }
}

/// A function that something else takes the name of: what watches its arguments, block by block,
/// for those that need more than one instruction; or the one instruction.
#[derive(Serialize)]
pub struct WatchedView {
    /// The function.
    pub function: &'static str,
    /// What takes its name, of cuda_reduce.cuh.
    pub watch: &'static str,
}

const WATCHED: [WatchedView; 4] = [
    WatchedView { function: "tf_exp2", watch: "tf_watched" },
    WatchedView { function: "tf_sqrt", watch: "tf_watched_root" },
    WatchedView { function: "tf_rsqrt", watch: "tf_watched_rsqrt" },
    WatchedView { function: "tf_inv", watch: "tf_watched_inverse" },
];

/// In formulas that allow it.
const FLUSHED: [WatchedView; 3] = [
    WatchedView { function: "tf_exp2", watch: "tf_flushed" },
    WatchedView { function: "tf_sqrt", watch: "tf_flushed_root" },
    WatchedView { function: "tf_inv", watch: "tf_flushed_inverse" },
];

/// Whether a line calls a function.
fn calls(pair: &Text, function: &str) -> bool {
    pair.lines.iter().any(|line| line.contains(&format!(" {function}(")))
}

/// The functions of a pair that are watched; none is that a relaxed formula flushes.
pub fn watched_in(pair: &Text, relaxed: bool) -> Vec<WatchedView> {
    let flushed = |w: &WatchedView| relaxed && FLUSHED.iter().any(|f| f.function == w.function);
    let is_watched = |w: &WatchedView| calls(pair, w.function) && !flushed(w);
    WATCHED.into_iter().filter(is_watched).collect()
}

/// The norms of a stage's rows and columns.
#[derive(Serialize)]
pub struct NormsView {
    /// Whether they are packed, in C++: not for few rows, nor where nothing is gained.
    pub when: &'static str,
    /// Whether there is a near way, in C++.
    pub near: Option<&'static str>,
    /// Most that norms of near pairs may be, in C++.
    pub reach: String,
    /// Most that norms may be where powers need no clamps; none where none do.
    pub bound: Option<f64>,
    /// Words of a row, in C++.
    pub row_words: String,
    /// Words of a column, in C++.
    pub col_words: String,
    /// The word of a row that is its norm.
    pub row: usize,
    /// The word of a column that is its norm.
    pub col: usize,
}

/// What a stage has of norms on a target, and the places with what they take.
pub struct Norms<'a> {
    /// The near way.
    pub near: Option<&'a Near>,
    /// The power without clamps.
    pub bound: Option<&'a Bound>,
    /// Where values are computed.
    pub places: Places,
}

/// Most words of a column that are kept for both ways: CUDA has a tile of 128 columns in 48 KiB.
const MAX_WORDS: usize = 48;

impl<'a> Norms<'a> {
    /// Those that pay; `plain` are the places without them. A CUDA panel has none.
    pub fn new(
        plan: &Plan,
        stage: &'a Stage,
        target: Target,
        plain: &Places,
        is_panel: bool,
    ) -> Norms<'a> {
        let of = |near: Option<&'a Near>, bound: Option<&'a Bound>| {
            let near_roots = near.iter().flat_map(|near| near.roots());
            let bound_roots = bound.iter().flat_map(|bound| [bound.row, bound.col]);
            let roots: Vec<ExprId> = bound_roots.chain(near_roots).collect();
            let places = match roots.is_empty() {
                true => plain.clone(),
                false => plain.clone().with(plan, stage, &roots),
            };
            Norms { near, bound, places }
        };
        let near = stage.near.as_ref().filter(|near| !is_panel && near.pays(target));
        let bound = stage.bound.as_ref().filter(|_| target == Target::Cpu);
        let norms = of(near, bound);
        match Places::words(&norms.places.col) <= MAX_WORDS {
            true => norms,
            false => of(None, bound),
        }
    }

    /// The ways beside the plain one; `start` starts the function of a pair that `pair` writes.
    pub fn ways<'b>(
        &self,
        start: impl Fn() -> Body<'b>,
        pair: impl Fn(Body<'b>) -> Text,
    ) -> Vec<(&'static str, Text)>
    where
        'a: 'b,
    {
        let near = self.near.map(|near| ("tf_near", pair(start().nearing(near))));
        let power = self.bound.map(|bound| bound.power);
        let bounded = power.map(|power| ("tf_bounded", pair(start().bounded(Some(power)))));
        near.into_iter().chain(bounded).collect()
    }

    /// What templates see; `body` is one of pairs.
    pub fn view(&self, plain: &Places, target: Target, mut body: Body<'_>) -> Option<NormsView> {
        let ids = self.near.map(|near| (near.row, near.col));
        let (row, col) = ids.or(self.bound.map(|bound| (bound.row, bound.col)))?;
        let word = |place: Place, id: ExprId| self.places.table(place)[&id].base;
        // On a CPU the last word of a column is the largest norm of those that are packed with it.
        let more = usize::from(target == Target::Cpu);
        let words = |place: Place, more: usize| {
            let [plain, all] = [plain, &self.places].map(|of| Places::words(of.table(place)));
            format!("NORMS ? {} : {plain}", all + more)
        };
        Some(NormsView {
            when: match target {
                Target::Cpu if self.near.is_some() => "ROWS > 1",
                Target::Cpu => "ROWS > 1 && TF_CLAMPS",
                // The pipe of float64 is as busy either way, and registers are scarce.
                Target::Cuda => "!TF_DOUBLE",
            },
            near: self.near.map(|_| match target {
                Target::Cpu => "NORMS && !TF_CLAMPS",
                Target::Cuda => "NORMS",
            }),
            reach: self
                .near
                .map_or(String::new(), |near| body.component(near.reach, &Index::at(0))),
            bound: self.bound.map(|_| BOUND),
            row_words: words(Place::Row, 0),
            col_words: words(Place::Col, more),
            row: word(Place::Row, row),
            col: word(Place::Col, col),
        })
    }
}
