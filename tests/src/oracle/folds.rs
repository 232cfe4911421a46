//! What each reduction means, on the list of rows that take part.

use tilefold_compiler::reduce::Reducer;

/// One row that takes part: its number, the folded value and the weight (empty where there is
/// none).
pub struct Row {
    /// Number along the reduced index.
    pub number: usize,
    /// The folded value.
    pub value: Vec<f64>,
    /// The weight.
    pub weight: Vec<f64>,
}

/// Folds `rows`, which come in increasing order; `dim` is the length of the folded value and
/// `weights` that of the weight.
pub fn fold(reducer: Reducer, rows: &[Row], dim: usize, weights: usize, k: usize) -> Vec<f64> {
    let each = |f: &dyn Fn(Vec<(f64, usize)>) -> f64| -> Vec<f64> {
        (0..dim).map(|c| f(rows.iter().map(|r| (r.value[c], r.number)).collect())).collect()
    };
    let scores: Vec<f64> = rows.iter().map(|r| r.value[0]).collect();
    let weight = |c: usize| -> Vec<f64> { rows.iter().map(|r| r.weight[c]).collect() };
    match reducer {
        Reducer::Sum => each(&|list| list.iter().map(|e| e.0).sum()),
        Reducer::Min => each(&|list| sorted(list, 1.0).first().map_or(f64::INFINITY, |e| e.0)),
        Reducer::Max => each(&|list| sorted(list, -1.0).first().map_or(f64::NEG_INFINITY, |e| e.0)),
        Reducer::ArgMin => each(&|list| number(sorted(list, 1.0).first())),
        Reducer::ArgMax => each(&|list| number(sorted(list, -1.0).first())),
        Reducer::KMin => entries(rows, dim, k, 1.0, |e| e.map_or(f64::INFINITY, |e| e.0)),
        Reducer::ArgKMin => entries(rows, dim, k, 1.0, number),
        Reducer::KMax => entries(rows, dim, k, -1.0, |e| e.map_or(f64::NEG_INFINITY, |e| e.0)),
        Reducer::ArgKMax => entries(rows, dim, k, -1.0, number),
        Reducer::Mean => each(&|list| average(list.iter().map(|e| e.0))),
        Reducer::Var => each(&|list| {
            // About the median, where squares of the mean cancel little.
            let center = sorted(list.clone(), 1.0).get(list.len() / 2).map_or(0.0, |e| e.0);
            let distances = || list.iter().map(|e| e.0 - center);
            average(distances().map(|d| d * d)) - average(distances()).powi(2)
        }),
        Reducer::Prod => each(&|list| product(list.iter().map(|e| e.0).collect())),
        Reducer::Any => each(&|list| truth(list.iter().any(|e| e.0 != 0.0))),
        Reducer::All => each(&|list| truth(list.iter().all(|e| e.0 != 0.0))),
        Reducer::Count => each(&|list| list.iter().map(|e| truth(e.0 != 0.0)).sum()),
        Reducer::LogSumExp => vec![log_sum(&scores, &vec![1.0; rows.len()])],
        Reducer::LogSumExpWeight => (0..weights).map(|c| log_sum(&scores, &weight(c))).collect(),
        Reducer::SoftMaxSum => {
            let total = shifted(&scores, &vec![1.0; rows.len()]);
            (0..weights).map(|c| shifted(&scores, &weight(c)) / total).collect()
        }
        Reducer::SumShiftExp => vec![shifted(&scores, &vec![1.0; rows.len()])],
        Reducer::SumShiftExpWeight => (0..weights).map(|c| shifted(&scores, &weight(c))).collect(),
        Reducer::SoftArgMin => vec![soft_row(rows, &scores.iter().map(|x| -x).collect::<Vec<_>>())],
        Reducer::SoftArgMax => vec![soft_row(rows, &scores)],
    }
}

fn average(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

fn truth(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}

/// Multiplies large factors by small ones, so that the product of finite factors never leaves the
/// range of float64 before the end.
fn product(mut factors: Vec<f64>) -> f64 {
    factors.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let mut rest = std::collections::VecDeque::from(factors);
    let mut product = 1.0f64;
    while !rest.is_empty() {
        let factor = if product.abs() >= 1.0 { rest.pop_front() } else { rest.pop_back() };
        product *= factor.unwrap_or(1.0);
    }
    product
}

fn soft_row(rows: &[Row], scores: &[f64]) -> f64 {
    let numbers: Vec<f64> = rows.iter().map(|r| r.number as f64).collect();
    shifted(scores, &numbers) / shifted(scores, &vec![1.0; rows.len()])
}

/// NaN first, then the smallest `sign * value`, then the lowest row.
fn sorted(mut list: Vec<(f64, usize)>, sign: f64) -> Vec<(f64, usize)> {
    list.sort_by(|a, b| {
        let rank = |e: &(f64, usize)| if e.0.is_nan() { 0 } else { 1 };
        let by_value = (sign * a.0).partial_cmp(&(sign * b.0));
        rank(a)
            .cmp(&rank(b))
            .then(by_value.unwrap_or(std::cmp::Ordering::Equal))
            .then(a.1.cmp(&b.1))
    });
    list
}

fn number(entry: Option<&(f64, usize)>) -> f64 {
    entry.map_or(-1.0, |e| e.1 as f64)
}

/// Entry `e` of component `c` stands at `e * dim + c`.
fn entries(
    rows: &[Row],
    dim: usize,
    k: usize,
    sign: f64,
    pick: impl Fn(Option<&(f64, usize)>) -> f64,
) -> Vec<f64> {
    let mut out = vec![0.0; k * dim];
    for c in 0..dim {
        let list = sorted(rows.iter().map(|r| (r.value[c], r.number)).collect(), sign);
        for e in 0..k {
            out[e * dim + c] = pick(list.get(e));
        }
    }
    out
}

/// The largest finite score, or the finite number nearest to the largest score.
fn largest(scores: &[f64]) -> f64 {
    scores.iter().copied().fold(f64::NEG_INFINITY, f64::max).clamp(f64::MIN, f64::MAX)
}

/// `sum exp(score - max score) weight`.
fn shifted(scores: &[f64], weights: &[f64]) -> f64 {
    let top = largest(scores);
    scores.iter().zip(weights).map(|(s, w)| (s - top).exp() * w).sum()
}

fn log_sum(scores: &[f64], weights: &[f64]) -> f64 {
    largest(scores) + shifted(scores, weights).ln()
}
