//! What templates see of the ways to a pair.

use serde::Serialize;

use crate::ir::ExprId;
use crate::schedule::{Near, Place, Places, Target};

use super::body::{Body, Index, Text};

/// One way to a pair: the functions that go it.
#[derive(Serialize)]
pub struct WayView {
    /// What their names begin with.
    pub prefix: &'static str,
    /// Which pairs they are for.
    pub pairs: &'static str,
    /// Whether powers of two are watched, see `StageView::watched`.
    pub watched: bool,
    /// Whether powers of two that would be subnormal count as 0.
    pub flushed: bool,
    /// Lines of the function of a pair.
    pub pair: Vec<String>,
}

impl WayView {
    /// A way with these lines. Powers of two may be `watched`, or `flushed`, where there are any.
    pub fn new(is_near: bool, pair: Text, watched: bool, flushed: bool) -> WayView {
        let powers = has_powers(&pair);
        let (prefix, pairs) = if is_near { ("near_", "near pair") } else { ("", "pair") };
        let (watched, flushed) = (watched && powers, flushed && powers);
        WayView { prefix, pairs, watched, flushed, pair: pair.lines }
    }
}

/// Whether there are powers of two that may be subnormal.
pub fn has_powers(pair: &Text) -> bool {
    pair.lines.iter().any(|line| line.contains("tf_exp2("))
}

/// Which pairs are near, and what only they read.
#[derive(Serialize)]
pub struct NearView {
    /// Whether there are any, in C++: not for few rows, nor in float64 on CUDA.
    pub when: &'static str,
    /// Words of a row, in C++.
    pub row_words: String,
    /// Words of a column, in C++.
    pub col_words: String,
    /// The word of a row that is its norm.
    pub row: usize,
    /// The word of a column that is its norm.
    pub col: usize,
    /// Most that both may be, in C++.
    pub reach: String,
}

/// Works out what templates see; `plain` are the places without the near way, `body` is one of
/// pairs.
pub fn near_view(
    near: &Near,
    plain: &Places,
    places: &Places,
    target: Target,
    mut body: Body<'_>,
) -> NearView {
    let word = |place: Place, id: ExprId| places.table(place)[&id].base;
    // On a CPU the last word of a column is the largest norm of those that are packed with it.
    let more = usize::from(target == Target::Cpu);
    let words = |place: Place, more: usize| {
        let [plain, all] = [plain, places].map(|of| Places::words(of.table(place)));
        format!("NEAR ? {} : {plain}", all + more)
    };
    NearView {
        when: match target {
            Target::Cpu if near.pays_without_clamps() => "ROWS > 1",
            Target::Cpu => "ROWS > 1 && TF_LEVEL < 4",
            // The pipe of float64 is as busy either way, and registers are scarce.
            Target::Cuda => "!TF_DOUBLE",
        },
        row_words: words(Place::Row, 0),
        col_words: words(Place::Col, more),
        row: word(Place::Row, near.row),
        col: word(Place::Col, near.col),
        reach: body.component(near.reach, &Index::at(0)),
    }
}
