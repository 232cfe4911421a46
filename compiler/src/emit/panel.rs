//! What templates see of the panels of a CUDA stage, its streamed sums and its wide accumulator,
//! and of the wide accumulators and the filter of a CPU.

use serde::Serialize;

use crate::schedule::{Filter, Form, Panel, Place, Side, Sum, Wide};

use super::body::Body;

/// The sums of a panel on CUDA.
#[derive(Serialize)]
pub struct PanelView {
    /// Whether tensor cores compute the sum in f32.
    pub on_tensor_cores: bool,
    /// 1 if they compute squared distances, 0 if inner products.
    pub is_distance: usize,
    /// 1 if the distances are those from what columns are with the other sign.
    pub is_negated: usize,
    /// 1 if a search looks at what sums are not below first, -1 at what they are not above; else 0.
    pub bounds: i8,
    /// Most parts of a row that one of them reads.
    pub row_parts: usize,
    /// Most parts of a column.
    pub col_parts: usize,
    /// Most parameters.
    pub launch_parts: usize,
    /// One by one.
    pub sums: Vec<SumView>,
    /// The wide accumulator.
    pub wide: Option<WideView>,
}

/// A wide accumulator of a panel on CUDA.
#[derive(Serialize)]
pub struct WideView {
    /// Its member.
    pub field: String,
    /// Outputs.
    pub dim: usize,
    /// Sums of its state that come before those of the outputs.
    pub first: usize,
    /// Parts of a row.
    pub row_parts: usize,
    /// Parts of a column.
    pub col_parts: usize,
    /// Lines of the functions.
    pub row: Vec<String>,
    /// See `row`.
    pub col: Vec<String>,
    /// See `row`.
    pub terms: Vec<String>,
}

/// A wide accumulator on a CPU.
#[derive(Serialize)]
pub struct OutputsView {
    /// Its member.
    pub field: String,
    /// Lines of the function that adds up a block of columns.
    pub lines: Vec<String>,
}

/// The sum of a search on a CPU that looks at bounds first.
#[derive(Serialize)]
pub struct FilterView {
    /// Components.
    pub dim: usize,
    /// The word of a row that is its first component.
    pub row: usize,
    /// The same of a column.
    pub col: usize,
    /// An input that has a row for each column.
    pub counted: usize,
    /// See [`PanelView`].
    pub is_distance: usize,
    /// See [`PanelView`].
    pub is_negated: usize,
    /// See [`PanelView`].
    pub bounds: i8,
}

impl FilterView {
    /// What templates see of a filter.
    pub fn new(filter: &Filter) -> FilterView {
        let Filter { form, side, dim, row, col, counted } = *filter;
        FilterView {
            dim,
            row,
            col,
            counted,
            is_distance: is_distance(form),
            is_negated: is_negated(form),
            bounds: bounds(side),
        }
    }
}

fn is_distance(form: Form) -> usize {
    usize::from(form != Form::InnerProduct)
}

fn is_negated(form: Form) -> usize {
    usize::from(form == Form::SquaredSum)
}

fn bounds(side: Side) -> i8 {
    match side {
        Side::Below => 1,
        Side::Above => -1,
    }
}

/// One sum of a panel.
#[derive(Serialize)]
pub struct SumView {
    /// Its number.
    pub n: usize,
    /// Components.
    pub dim: usize,
    /// Parts of a row.
    pub row_parts: usize,
    /// Parts of a column.
    pub col_parts: usize,
    /// Parameters.
    pub launch_parts: usize,
    /// Lines of the functions.
    pub row: Vec<String>,
    /// See `row`.
    pub col: Vec<String>,
    /// See `row`.
    pub launch: Vec<String>,
    /// See `row`.
    pub terms: Vec<String>,
}

/// What templates see of a wide accumulator on a CPU; `body` is that of pairs.
pub fn outputs_view(wide: &Wide, body: Body<'_>) -> OutputsView {
    OutputsView { field: format!("a{}", wide.group), lines: body.block_outputs(wide).lines }
}

/// Works out what templates see; `body` starts a function of a place.
pub fn panel_view<'a>(panel: &'a Panel, body: impl Fn(Place) -> Body<'a>) -> PanelView {
    let wide = |wide: &'a Wide| WideView {
        field: format!("a{}", wide.group),
        dim: wide.by.dim,
        first: usize::from(wide.number.is_none()),
        row_parts: wide.by.operands_of(Place::Row).count(),
        col_parts: wide.by.operands_of(Place::Col).count(),
        row: body(Place::Row).reads(&wide.by).lines,
        col: body(Place::Col).reads(&wide.by).lines,
        terms: body(Place::Pair).outputs(wide).lines,
    };
    let view = |(n, sum): (usize, &'a Sum)| SumView {
        n,
        dim: sum.dim,
        row_parts: sum.operands_of(Place::Row).count(),
        col_parts: sum.operands_of(Place::Col).count(),
        launch_parts: sum.operands_of(Place::Launch).count(),
        row: body(Place::Row).reads(sum).lines,
        col: body(Place::Col).reads(sum).lines,
        launch: body(Place::Launch).reads(sum).lines,
        terms: body(Place::Pair).terms(sum).lines,
    };
    let form = panel.on_tensor_cores.map(|products| products.form);
    PanelView {
        on_tensor_cores: form.is_some(),
        is_distance: form.map_or(0, is_distance),
        is_negated: form.map_or(0, is_negated),
        bounds: panel.on_tensor_cores.and_then(|products| products.filter).map_or(0, bounds),
        row_parts: panel.most_operands(Place::Row),
        col_parts: panel.most_operands(Place::Col),
        launch_parts: panel.most_operands(Place::Launch),
        sums: panel.sums.iter().enumerate().map(view).collect(),
        wide: panel.wide.as_ref().map(wide),
    }
}
