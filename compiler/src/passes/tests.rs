//! What the passes make of formulas, step by step, against texts that were read; and what they know
//! of values.

use std::fmt::Write;

use crate::front::parse;
use crate::ir::eval::{Matrix, evaluate};
use crate::ir::{Axis, Formula, Node, Stratum, canonical_text};
use crate::ops::Op;

use super::{Fired, explain, facts, keep_pairs, optimize, simplify};

/// Formulas, one a line, each with what becomes of it.
const OPTIMIZED: &str = include_str!("tests/optimized.txt");

fn formula(body: &str) -> Formula {
    let (options, body) = match body.strip_prefix("relaxed ") {
        Some(body) => ("relaxed", body),
        None => ("", body),
    };
    let text = format!("tilefold 1; formula f {options} {{ {body} }}");
    let units = parse("test", &text).unwrap_or_else(|e| panic!("{}", e.render("test", &text)));
    let instance = &units[0].instances[0];
    instance.derivatives.last().map_or(&instance.formula, |d| &d.formula).clone()
}

/// Set `TILEFOLD_PRINT` to see all texts as they are now.
#[test]
fn formulas_become_what_one_would_write() {
    let mut found = String::new();
    for body in OPTIMIZED.lines().filter(|line| !line.is_empty() && !line.starts_with(' ')) {
        let formula = formula(body);
        let _ = writeln!(found, "{body}");
        for line in explain(&formula).lines().skip(1) {
            let _ = writeln!(found, "  {line}");
        }
        let text = canonical_text(&optimize(&formula));
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|l| l.starts_with("let ") || l.contains("] = ")) {
            let _ = writeln!(found, "    = {line}");
        }
        found.push('\n');
    }
    if std::env::var_os("TILEFOLD_PRINT").is_some() {
        println!("{found}");
    }
    for (found, expected) in found.lines().zip(OPTIMIZED.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.trim_end(), OPTIMIZED.trim_end());
}

/// Values that are used twice have twice the factors at each step: products of them are not taken
/// apart to the end.
#[test]
fn products_without_end_are_left_alone() {
    for step in ["(v * sum(y)) * v", "sum(x * v) * v", "sum(x * exp(y)) / v"] {
        let lets: String = (1..60)
            .map(|n| format!("let v{n} = {}; ", step.replace("v", &format!("v{}", n - 1))))
            .collect();
        let text = format!("x[i], y[j] : R^3; let v0 = (x | y); {lets} a[i] = sum[j] v59;");
        let size = |f: Formula| {
            let live = f.reachable(f.outputs.iter().map(|o| o.expr));
            live.into_iter().filter(|&live| live).count()
        };
        let (written, made) = (size(formula(&text)), size(optimize(&formula(&text))));
        assert!(made < 2 * written, "{step}: {made} values of {written}");
    }
}

/// Expressions of x, y : R^2 and u : R, and whether they are never -0, and never below.
const FACTS: &[(&str, bool, bool)] = &[
    ("x", false, false),
    ("1.5", true, true),
    ("-1.5", false, false),
    ("pos(i)", true, true),
    ("square(x)", true, true),
    ("abs(x)", true, true),
    ("exp(x)", true, true),
    ("exp2(x)", true, true),
    ("one_hot(u, 3)", true, true),
    ("x < y", true, true),
    ("x <= y", true, true),
    ("x == y", true, true),
    ("x != y", true, true),
    ("step(x)", true, true),
    ("sign(x)", false, false),
    ("argmax(x)", true, true),
    ("square(x) + abs(y)", true, true),
    ("square(x) + y", true, false),
    ("x + y", false, false),
    ("x + abs(y)", true, false),
    ("square(x) * abs(y)", true, true),
    ("square(x) * y", false, false),
    ("concat(square(x), abs(y))", true, true),
    ("concat(square(x), y)", false, false),
    ("where(u < 0, square(x), abs(y))", true, true),
    ("where(u < 0, square(x), y)", false, false),
    ("where(u < 0, y + 1, abs(y))", true, false),
    ("where(abs(u), x, y)", false, false),
    ("sqrt(abs(x))", true, true),
    ("sqrt(x)", false, false),
    ("rsqrt(abs(x))", true, true),
    ("inv(abs(x))", true, true),
    ("inv(x)", false, false),
    ("sum(square(x))", true, true),
    ("sum(x)", false, false),
    ("max(square(x))", true, true),
    ("min(square(x))", true, true),
    ("min(x)", false, false),
    ("elem(square(x), 0)", true, true),
    ("elem(x, 0)", false, false),
    ("elem(x + 1, 0)", true, false),
    ("extract(abs(x), 0, 1)", true, true),
    ("extract(x + 1, 0, 1)", true, false),
    ("extract(x, 0, 1)", false, false),
    ("-square(x)", false, false),
    ("log(x)", false, false),
];

#[test]
fn facts_are_those_of_the_table() {
    for &(expr, plain, positive) in FACTS {
        let f = formula(&format!("x[i], y[i] : R^2; u[i] : R; let _ = x + y + u; a[i] = {expr};"));
        let id = f.outputs[0].expr;
        let found = (facts::never_minus_zero(&f, id), facts::never_negative(&f, id));
        assert_eq!(found, (plain, positive), "{expr}");
    }
    let fold = |fold: &str| {
        let f = formula(&format!("x[i], y[j] : R; a[i] = {fold};"));
        let id = f.outputs[0].expr;
        (facts::never_minus_zero(&f, id), facts::never_negative(&f, id))
    };
    assert_eq!(fold("sum[j] x * y"), (true, false));
    assert_eq!(fold("sum[j] exp(x * y)"), (true, true));
    // The largest of zeros may be -0.
    assert_eq!(fold("max[j] x * y"), (false, false));
}

#[test]
fn rules_are_applied_to_long_formulas_in_one_round() {
    let mut f = Formula::new("f");
    let x = f.input("x", Some(Axis::I), 2).expect("valid");
    let one = f.constant(1.0);
    let (mut long, mut short) = (x, x);
    for _ in 0..100 {
        short = f.apply(Op::Sin, &[short], &[]);
        long = f.apply(Op::Sin, &[long], &[]);
        long = f.apply(Op::Mul, &[long, one], &[]);
    }
    let mut plain = f.clone();
    f.output("a", Some(Axis::I), long).expect("rows of i");
    plain.output("a", Some(Axis::I), short).expect("rows of i");
    let mut fired = Fired::new();
    assert_eq!(canonical_text(&simplify(&f, &mut fired)), canonical_text(&plain));
    assert_eq!(fired, Fired::from([("mul_one", 100)]));
}

/// `x z` and `y z` are read twice until the powers of 0 are gone, so the first sum of products
/// becomes a product of a sum in the second round.
#[test]
fn rules_are_counted_over_all_rounds() {
    let f = formula(
        "relaxed x[i], y[i], z[i] : R; a[i] = maximum(x*z + y*z, pow(x*z, 0) + pow(y*z, 0)) \
         - maximum(x*y + x*exp(z), y);",
    );
    let mut fired = Fired::new();
    let found = canonical_text(&simplify(&f, &mut fired));
    let expected = [("compute constants", 1), ("distribute_add", 2), ("pow_zero", 2)];
    assert_eq!(fired, Fired::from(expected), "{found}");
}

/// Folds of x[i] and y[j], and where the mask of each varies once pairs are kept.
const KEPT: &[(&str, Option<Stratum>)] = &[
    ("sum[j] x * y", Some(Stratum::Pair)),
    ("sum[j] x", Some(Stratum::Pair)),
    ("sum[j where y < 1] x * y", Some(Stratum::Pair)),
    ("sum[j where x < 1] y", Some(Stratum::Pair)),
    ("sum[j where x < y] x * y", Some(Stratum::Pair)),
    ("sum[j where x < y] y", Some(Stratum::Pair)),
    ("sum[j] y", None),
    ("sum[j where y < 1] y", Some(Stratum::J)),
];

#[test]
fn folds_of_pairs_stay_so_and_mean_the_same() {
    let of = |data: &[f64]| Matrix { rows: data.len(), cols: 1, data: data.to_vec() };
    for &(fold, expected) in KEPT {
        let f = formula(&format!("x[i], y[j] : R; let _ = x; let _ = y; a[i] = {fold};"));
        let kept = keep_pairs(&f);
        let masks = |f: &Formula| -> Vec<Option<Stratum>> {
            let live = f.reachable(f.outputs.iter().map(|o| o.expr));
            let folds = f.ids().filter(|id| live[id.index()]).filter_map(|id| match f.node(id) {
                Node::Reduce(r) => Some(r.mask.map(|mask| f.stratum(mask))),
                _ => None,
            });
            folds.collect()
        };
        assert_eq!(masks(&kept), [expected], "{fold}");
        if masks(&f) == [expected] {
            assert_eq!(canonical_text(&kept), canonical_text(&f), "{fold}");
        }
        let rows = [of(&[0.5, -2.0, 1.5]), of(&[0.25, 3.0])];
        let values = [&f, &kept].map(|f| evaluate(f, 3, 2, &rows).expect("it fits"));
        assert_eq!(values[0][0].data, values[1][0].data, "{fold}");
    }
}
