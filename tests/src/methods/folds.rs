//! The reductions of LazyTensor: a method for each row of the reduction table, and for the pairs
//! of a value and its row. In: the table. Out: Rust text.

use std::fmt::Write;

use tilefold_compiler::reduce::{Reducer, Row};

use crate::book::shapes;

use super::example::numbers;
use super::signature::call;
use super::{HEAD, paragraph};

/// One method.
struct Fold {
    /// Its name in Rust.
    name: &'static str,
    /// What it computes: one reduction, or a value and its row.
    reducers: &'static [Reducer],
    /// What it computes, where that is two reductions.
    doc: Option<&'static str>,
}

const fn fold(name: &'static str, reducers: &'static [Reducer]) -> Fold {
    Fold { name, reducers, doc: None }
}

/// Every method, in the order of the documentation.
const FOLDS: &[Fold] = &[
    fold("sum", &[Reducer::Sum]),
    fold("mean", &[Reducer::Mean]),
    fold("var", &[Reducer::Var]),
    fold("prod", &[Reducer::Prod]),
    fold("min", &[Reducer::Min]),
    fold("max", &[Reducer::Max]),
    fold("argmin", &[Reducer::ArgMin]),
    fold("argmax", &[Reducer::ArgMax]),
    Fold {
        doc: Some("The values of min and the rows of argmin, in one pass."),
        ..fold("min_argmin", &[Reducer::Min, Reducer::ArgMin])
    },
    Fold {
        doc: Some("The values of max and the rows of argmax, in one pass."),
        ..fold("max_argmax", &[Reducer::Max, Reducer::ArgMax])
    },
    fold("kmin", &[Reducer::KMin]),
    fold("argkmin", &[Reducer::ArgKMin]),
    Fold {
        doc: Some("The values of kmin and the rows of argkmin, in one pass."),
        ..fold("kmin_argkmin", &[Reducer::KMin, Reducer::ArgKMin])
    },
    fold("kmax", &[Reducer::KMax]),
    fold("argkmax", &[Reducer::ArgKMax]),
    Fold {
        doc: Some("The values of kmax and the rows of argkmax, in one pass."),
        ..fold("kmax_argkmax", &[Reducer::KMax, Reducer::ArgKMax])
    },
    fold("logsumexp", &[Reducer::LogSumExp]),
    fold("logsumexp_weighted", &[Reducer::LogSumExpWeight]),
    fold("sumsoftmaxweight", &[Reducer::SoftMaxSum]),
    fold("softargmin", &[Reducer::SoftArgMin]),
    fold("softargmax", &[Reducer::SoftArgMax]),
    fold("any", &[Reducer::Any]),
    fold("all", &[Reducer::All]),
    fold("count", &[Reducer::Count]),
];

/// Reductions without a method, by the reason.
const WITHOUT: &[(&str, &[Reducer])] = &[(
    "half of a logsumexp that KeOps' strings can ask for",
    &[Reducer::SumShiftExp, Reducer::SumShiftExpWeight],
)];

/// The names of the methods.
pub fn names() -> impl Iterator<Item = &'static str> {
    FOLDS.iter().map(|fold| fold.name)
}

/// The file of reductions.
///
/// # Errors
/// When a reduction has neither a method nor a reason to have none.
pub fn text() -> Result<String, String> {
    for &reducer in Reducer::ALL {
        let has = FOLDS.iter().any(|fold| fold.reducers == [reducer]);
        let has_not = WITHOUT.iter().any(|(_, all)| all.contains(&reducer));
        if has == has_not {
            let name = reducer.def().name;
            return Err(format!("{name}: write a method, or why there is none, and not both"));
        }
    }
    let mut text = format!("{HEAD}\n//!\n//! Reductions over the rows of i or j.\n\n{USES}");
    text.push_str("\nimpl<'a, T: Element> LazyTensor<'a, T> {\n");
    for (n, fold) in FOLDS.iter().enumerate() {
        if n > 0 {
            text.push('\n');
        }
        documentation(&mut text, fold);
        function(&mut text, fold);
    }
    text.push_str("}\n");
    Ok(text)
}

const USES: &str = "\
use std::panic::Location;

use tilefold_compiler::reduce::Reducer;

use crate::lazy::node::fold;
use crate::lazy::{IntoLazy, LazyTensor};
use crate::{Axis, Element};
";

fn documentation(text: &mut String, fold: &Fold) {
    let first = fold.reducers[0].def();
    paragraph(text, fold.doc.unwrap_or(first.doc));
    text.push_str("    ///\n");
    let letters = match first.arity {
        1 => "",
        _ => "x is this tensor, w is `weight`. ",
    };
    let shape = shapes::of_reduction(fold.reducers[0]).replace("k n, entry by entry", "`k` n");
    paragraph(text, &format!("{letters}Components: {shape}."));
    let alias = first.name;
    text.push_str("    ///\n");
    for line in example(fold) {
        let _ = writeln!(text, "{}", format!("    /// {line}").trim_end());
    }
    if fold.reducers.len() == 1 && alias != fold.name {
        let _ = writeln!(text, "    #[doc(alias = \"{alias}\")]");
    }
}

fn function(text: &mut String, fold: &Fold) {
    let first = fold.reducers[0].def();
    let mut parameters = vec!["&self".to_string()];
    parameters.extend((first.arity == 2).then(|| "weight: impl IntoLazy<'a, T>".to_string()));
    parameters.extend(first.takes_k.then(|| "k: usize".to_string()));
    parameters.push("axis: Axis".to_string());
    let result = match fold.reducers.len() {
        1 => "LazyTensor<'a, T>",
        _ => "(LazyTensor<'a, T>, LazyTensor<'a, T>)",
    };
    text.push_str("    #[track_caller]\n");
    *text +=
        &call(&format!("    pub fn {}", fold.name), &parameters, &format!(" -> {result} {{"), 4);
    let args = if first.arity == 2 { "&[self, &weight.into_lazy()]" } else { "&[self]" };
    let k = if first.takes_k { "k" } else { "0" };
    let folded = |reducer: &Reducer| {
        let all =
            [&format!("Reducer::{reducer:?}"), "axis.into()", args, &format!("(None, {k})"), "at"];
        all.map(String::from).to_vec()
    };
    match fold.reducers {
        [one] => {
            let mut all = folded(one);
            all[4] = "Location::caller()".into();
            *text += &call("        fold", &all, "", 8);
        }
        several => {
            text.push_str("        let at = Location::caller();\n");
            for (name, reducer) in ["values", "rows"].iter().zip(several) {
                *text += &call(&format!("        let {name} = fold"), &folded(reducer), ";", 8);
            }
            text.push_str("        (values, rows)\n");
        }
    }
    text.push_str("    }\n");
}

/// Three rows of two components, and of one for scores.
const VALUES: [[f64; 2]; 3] = [[1.5, -2.0], [0.5, 4.0], [3.0, -1.0]];
/// Weights of the rows, two components each.
const WEIGHTS: [[f64; 2]; 3] = [[1.0, 0.5], [2.0, 1.0], [0.25, 3.0]];
/// Entries that are kept.
const K: usize = 2;

fn example(fold: &Fold) -> Vec<String> {
    let first = fold.reducers[0].def();
    let wide = (first.shape)(&vec![2; first.arity], K).is_ok();
    let columns = if wide { 2 } else { 1 };
    let values: Vec<Vec<f64>> = VALUES.iter().map(|row| row[..columns].to_vec()).collect();
    let rows: Vec<Row> = (0..VALUES.len())
        .map(|n| {
            let mut args = vec![values[n].clone()];
            args.extend((first.arity == 2).then(|| WEIGHTS[n].to_vec()));
            Row { index: n as i64, args }
        })
        .collect();
    let mut lines = vec!["```".to_string(), "use ndarray::array;".into()];
    lines.push("use tilefold::{Axis, LazyTensor};".into());
    lines.push(String::new());
    lines.push(format!("let x = array!{values:?};"));
    let mut given = Vec::new();
    if first.arity == 2 {
        lines.push(format!("let w = array!{WEIGHTS:?};"));
        given.push("LazyTensor::j(w.view())".to_string());
    }
    given.extend(first.takes_k.then(|| K.to_string()));
    given.push("Axis::J".into());
    lines.push("let x = LazyTensor::j(x.view());".into());
    let called = format!("x.{}({})", fold.name, given.join(", "));
    match fold.reducers {
        [one] => {
            lines.push(format!("let e = {called}{};", evaluated(*one)));
            lines.extend(compared(*one, "e", &rows).lines().map(String::from));
        }
        several => {
            lines.push(format!("let (values, rows) = {called};"));
            for (name, &reducer) in ["values", "rows"].iter().zip(several) {
                lines.push(format!("let {name} = {name}{};", evaluated(reducer)));
                lines.extend(compared(reducer, name, &rows).lines().map(String::from));
            }
        }
    }
    lines.push("# Ok::<(), tilefold::Error>(())".into());
    lines.push("```".into());
    lines
}

fn evaluated(reducer: Reducer) -> &'static str {
    if reducer.def().index { ".eval_index()?" } else { ".eval()?" }
}

/// Lines that check a result against what the table says.
fn compared(reducer: Reducer, name: &str, rows: &[Row]) -> String {
    let def = reducer.def();
    let dims: Vec<usize> = rows[0].args.iter().map(Vec::len).collect();
    let k = if def.takes_k { K } else { 0 };
    let mut out = vec![0.0; (def.shape)(&dims, k).unwrap_or(0)];
    (def.eval)(rows, k, &mut out);
    let exact = out.iter().all(|v| (v * 1e4).fract() == 0.0);
    match (def.index, exact) {
        (true, _) => {
            let rows: Vec<i64> = out.iter().map(|&v| v as i64).collect();
            format!("assert_eq!({name}, array![{rows:?}]);")
        }
        (false, true) => format!("assert_eq!({name}, array![{out:?}]);"),
        (false, false) => {
            let out = numbers(&out);
            format!(
                "let expected = array![[{out}]];\n\
                 assert!(({name} - expected).iter().all(|gap: &f64| gap.abs() < 1e-9));"
            )
        }
    }
}
