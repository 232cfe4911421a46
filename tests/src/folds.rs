//! Formulas that fold given numbers with every reduction, and the numbers that break folds.

use tilefold_compiler::ir::{Axis, ExprId, Formula, Reduction};
use tilefold_compiler::reduce::Reducer;

use crate::problem::Problem;
use crate::rng::Rng;

/// Reductions that are folded by one formula, which is also one stage: name, reduction, k.
type Group = &'static [(&'static str, Reducer, usize)];

/// Groups that share accumulators, and the same reductions apart from their kin.
const GROUPS: &[Group] = &[
    &[("sum", Reducer::Sum, 0), ("min", Reducer::Min, 0), ("max", Reducer::Max, 0)],
    &[
        ("min", Reducer::Min, 0),
        ("argmin", Reducer::ArgMin, 0),
        ("max", Reducer::Max, 0),
        ("argmax", Reducer::ArgMax, 0),
    ],
    &[("argmin", Reducer::ArgMin, 0), ("argmax", Reducer::ArgMax, 0)],
    &[
        ("kmin", Reducer::KMin, 3),
        ("argkmin", Reducer::ArgKMin, 3),
        ("nearest", Reducer::ArgKMin, 1),
    ],
    &[
        ("lse", Reducer::LogSumExp, 0),
        ("shifted", Reducer::SumShiftExp, 0),
        ("weighted", Reducer::LogSumExpWeight, 0),
        ("mean", Reducer::SoftMaxSum, 0),
        ("heavy", Reducer::SumShiftExpWeight, 0),
    ],
    &[("soft_first", Reducer::SoftArgMin, 0), ("soft_last", Reducer::SoftArgMax, 0)],
    &[
        ("total", Reducer::Sum, 0),
        ("average", Reducer::Mean, 0),
        ("variance", Reducer::Var, 0),
        ("product", Reducer::Prod, 0),
    ],
    &[("average", Reducer::Mean, 0)],
    &[("any", Reducer::Any, 0), ("all", Reducer::All, 0), ("count", Reducer::Count, 0)],
    &[
        ("kmax", Reducer::KMax, 3),
        ("argkmax", Reducer::ArgKMax, 3),
        ("farthest", Reducer::ArgKMax, 1),
    ],
];

/// Whether what a reduction folds has to be a scalar.
pub fn takes_scalar(reducer: Reducer) -> bool {
    let def = reducer.def();
    (def.shape)(&vec![2; def.arity], usize::from(def.takes_k)).is_err()
}

/// Whether `formula` folds scores, which are scalars, with weights.
pub fn takes_weight(formula: &Formula) -> bool {
    formula.inputs.iter().any(|i| i.name == "w")
}

/// One formula for each group, with and without a mask, over `axis`. Each folds `x[i] + y[j]`, of
/// two components or a scalar; the weight of two components is an array of the folded index.
pub fn formulas(axis: Axis) -> Vec<Formula> {
    let make = |group: &Group| [false, true].map(|masked| formula(group, axis, masked));
    GROUPS.iter().flat_map(make).collect()
}

fn formula(group: Group, axis: Axis, masked: bool) -> Formula {
    let mask = if masked { ", masked" } else { "" };
    let mut f = Formula::new(format!("{} over {axis}{mask}", group[0].0));
    let weighted = group.iter().any(|(_, reducer, _)| reducer.def().arity == 2);
    let dim = if group.iter().any(|(_, reducer, _)| takes_scalar(*reducer)) { 1 } else { 2 };
    let mut add = |name: &str, axis, dim| f.input(name, Some(axis), dim).expect("a small dim");
    let (x, y) = (add("x", Axis::I, dim), add("y", Axis::J, dim));
    let weight = weighted.then(|| add("w", axis, 2));
    let keep = masked.then(|| (add("p", Axis::I, 1), add("q", Axis::J, 1)));
    let value = f.add(x, y);
    let mask = keep.map(|(p, q)| f.mul(p, q));
    for &(name, reducer, k) in group {
        let args: Vec<ExprId> =
            [Some(value), weight].into_iter().flatten().take(reducer.def().arity).collect();
        let fold = f.reduce(Reduction { reducer, axis, args, mask, k }).expect("it fits");
        f.output(name, Some(axis.other()), fold).expect("a row for each other index");
    }
    f
}

/// A formula of [`formulas`] whose folded numbers are `columns`, in each component from another
/// start; every row folds the same numbers.
pub fn on(formula: &Formula, axis: Axis, rows: usize, columns: &[f64], rng: &mut Rng) -> Problem {
    let (m, n) = if axis == Axis::J { (rows, columns.len()) } else { (columns.len(), rows) };
    let inputs = formula.inputs.clone();
    Problem::new(formula.clone(), m, n, |k, entry| {
        let (input, row) = (&inputs[k], entry / inputs[k].dim);
        match input.name.as_str() {
            "w" => rng.between(0.5, 2.0),
            // Half of the pairs take part; the first row of the other index keeps none.
            "p" | "q" if input.axis != Some(axis) => {
                if row == 0 {
                    0.0
                } else {
                    1.0
                }
            }
            "p" | "q" => rng.below(2) as f64,
            _ if input.axis == Some(axis) => {
                columns[(row + 7 * (entry % input.dim)) % columns.len()]
            }
            _ => 0.0,
        }
    })
}

/// Numbers to fold, with a name: ties, signed zeros, NaN, infinities, wide ranges. All are exact in
/// float32.
pub fn tables(count: usize, rng: &mut Rng) -> Vec<(String, Vec<f64>)> {
    let inf = f64::INFINITY;
    let mut few = |values: &[f64]| (0..count).map(|_| *rng.pick(values)).collect::<Vec<f64>>();
    let all = |value: f64| vec![value; count];
    let with = |place: usize, value: f64, other: f64| {
        (0..count).map(|k| if k == place { value } else { other + (k % 11) as f64 }).collect()
    };
    let tables: Vec<(&str, Vec<f64>)> = vec![
        ("ties", few(&[1.0, 2.0, 3.0])),
        ("many values", few(&std::array::from_fn::<f64, 200, _>(|k| k as f64 / 8.0 - 9.0))),
        ("ascending", (0..count).map(|k| k as f64 / 64.0).collect()),
        ("descending", (0..count).map(|k| -(k as f64) / 64.0).collect()),
        ("all equal", all(-2.5)),
        ("signed zeros", few(&[0.0, -0.0])),
        ("all NaN", all(f64::NAN)),
        ("all +inf", all(inf)),
        ("all -inf", all(-inf)),
        ("some +inf", few(&[inf, 1.0, 4.0])),
        ("some -inf", few(&[-inf, 1.0, 4.0])),
        ("both infinities", few(&[-inf, inf, 0.5])),
        ("some NaN", few(&[f64::NAN, 1.0, inf, 2.0, -inf])),
        ("first NaN", with(0, f64::NAN, 0.0)),
        ("last NaN", with(count - 1, f64::NAN, 0.0)),
        ("last least", with(count - 1, -1.0, 0.0)),
        ("one finite", with(count / 2, 3.0, inf)),
        ("one above -inf", with(count / 2, 3.0, -inf)),
        ("far apart", few(&[1e30, 1e-30, 0.0])),
        ("far below", few(&[-1e30, -3.0])),
        ("high", few(&[1000.0, 1001.0, 1003.5])),
        ("low", few(&[-1000.0, -1001.0, -1003.5])),
        ("one largest", with(count / 2, f64::from(f32::MAX), 0.0)),
        ("one lowest", with(count / 2, f64::from(f32::MIN), 0.0)),
    ];
    tables.into_iter().map(|(name, numbers)| (name.into(), numbers)).collect()
}
