//! The rules of simplification, line by line: both sides on special values, in float64 and
//! float32, what relaxed rules change, cost, termination and meaning.

use std::collections::BTreeSet;

use tilefold_compiler::ir::eval::{self, Matrix};
use tilefold_compiler::ir::{Axis, ExprId, Formula, Node, Reduction, canonical_text};
use tilefold_compiler::ops::{Emit, Op};
use tilefold_compiler::passes::pattern::{self, Letters};
use tilefold_compiler::passes::rules::{Change, Condition, Param, Pattern, Rule, letters, rules};
use tilefold_compiler::passes::{Fired, cost, optimize, settle, simplify, vjp};
use tilefold_compiler::reduce::{Reducer, Row};
use tilefold_tests::calls::calls;
use tilefold_tests::compare;
use tilefold_tests::generate::{self, Wish};
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

/// Where rules of algebra break, and some numbers of no kind.
const SPECIAL: &[f64] = &[
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    0.5,
    -3.0,
    0.1,
    -0.7,
    2.5,
    1e-3,
    7.0,
    1e300,
    -1e300,
    1e-300,
    f64::MIN_POSITIVE,
    5e-324,
    -5e-324,
    f64::MAX,
    1e30,
    1e-40,
    3e38,
];

/// Numbers that literals of rules are chosen from, besides those of each rule.
const NUMBERS: &[f64] =
    &[0.0, -0.0, 1.0, -1.0, 2.0, 0.25, 3.0, -2.5, 0.1, 1e300, f64::INFINITY, f64::NAN];

/// A rule at work: both sides as values of one formula.
struct Case<'a> {
    rule: &'a Rule,
    f: Formula,
    left: ExprId,
    right: ExprId,
}

/// What stands for the letters of a rule.
struct Setting {
    /// Dim of each letter for a value.
    dims: Vec<(char, usize)>,
    numbers: Vec<(char, f64)>,
    params: Vec<(char, i64)>,
    map: Option<(Op, Vec<i64>)>,
}

/// Every choice of one item for each key.
fn choices<T: Copy>(keys: &[char], items: &[T]) -> Vec<Vec<(char, T)>> {
    let extend = |all: Vec<Vec<(char, T)>>, &key: &char| {
        let with = |some: Vec<(char, T)>| {
            items.iter().map(move |&item| [some.clone(), vec![(key, item)]].concat())
        };
        all.into_iter().flat_map(with).collect()
    };
    keys.iter().fold(vec![Vec::new()], extend)
}

/// The letters of a rule, by kind.
fn kinds(rule: &Rule) -> [Vec<char>; 3] {
    let mut all = Vec::new();
    letters(&rule.left, &mut all);
    let all: BTreeSet<char> = all.into_iter().collect();
    let of = |set: &str| all.iter().copied().filter(|&c| set.contains(c)).collect();
    [of("xyzu"), of("cd"), of("klmn")]
}

fn arity_of_map(pattern: &Pattern) -> Option<usize> {
    match pattern {
        Pattern::Map(args) => Some(args.len()),
        _ => None,
    }
}

/// The operations that `map` stands for, each with literals that fit.
fn maps(rule: &Rule) -> Vec<Option<(Op, Vec<i64>)>> {
    let Some(arity) = arity_of_map(&rule.left) else { return vec![None] };
    let fits = |op: &&Op| matches!(op.def().emit, Emit::Map(_)) && op.def().arity == arity;
    let call = |op: &Op| (*op, calls(*op)[0].params.clone());
    Op::ALL.iter().filter(fits).map(|op| Some(call(op))).collect()
}

fn settings(rule: &Rule) -> Vec<Setting> {
    let [values, numbers, params] = kinds(rule);
    let mut all = Vec::new();
    for map in maps(rule) {
        let pairs: Vec<(char, usize)> = values.iter().map(|&letter| (letter, 2)).collect();
        for dims in choices(&values, &[1, 3]).into_iter().chain([pairs]) {
            for numbers in choices(&numbers, NUMBERS) {
                for params in choices(&params, &[0, 1, 2, 3, 7]) {
                    let (dims, numbers, map) = (dims.clone(), numbers.clone(), map.clone());
                    all.push(Setting { dims, numbers, params, map });
                }
            }
        }
    }
    all
}

/// The rule for one setting, if it applies there. Values are rows of i, or of j below a reduction.
fn case<'a>(rule: &'a Rule, setting: &Setting, relaxed: bool) -> Option<Case<'a>> {
    let folds = matches!(rule.left, Pattern::Fold(..));
    let axis = if folds { Axis::J } else { Axis::I };
    let mut f = Formula::new(rule.name.clone());
    f.relaxed = relaxed;
    let mut chosen = Letters { map: setting.map.clone(), ..Letters::default() };
    for &(letter, dim) in &setting.dims {
        let input = f.input(&letter.to_string(), Some(axis), dim).expect("a small dim");
        let must = |wanted| rule.conditions.contains(&(wanted, letter));
        let value = if must(Condition::NeverNegative) {
            f.apply(Op::Abs, &[input], &[])
        } else if must(Condition::NeverMinusZero) {
            let zero = f.constant(0.0);
            f.add(input, zero)
        } else {
            input
        };
        chosen.values.push((letter, value));
    }
    for &(letter, number) in &setting.numbers {
        let number = f.constant(number);
        chosen.values.push((letter, number));
    }
    chosen.params.clone_from(&setting.params);
    let args = vec![f.constant(0.0)];
    chosen.fold = Some(Reduction { reducer: Reducer::Sum, axis: Axis::J, args, mask: None, k: 0 });
    let left = pattern::instance(&mut f, &rule.left, chosen)?;
    let right = pattern::apply(&mut f, rule, left)?;
    Some(Case { rule, f, left, right })
}

/// A value for given rows of the inputs, rounded after every operation. Reductions fold all rows.
fn value(f: &Formula, id: ExprId, rows: &[Vec<Vec<f64>>], at: usize, single: bool) -> Vec<f64> {
    let round = |v: f64| if single { f64::from(v as f32) } else { v };
    let mut out = vec![0.0; f.dim(id)];
    match f.node(id) {
        Node::Input(n) => out.clone_from(&rows[at][*n as usize]),
        Node::Const(c) => out[0] = c.get(),
        Node::Pos(_) => out[0] = at as f64,
        Node::Op(op, args, params) => {
            let args: Vec<Vec<f64>> = args.iter().map(|&a| value(f, a, rows, at, single)).collect();
            let args: Vec<&[f64]> = args.iter().map(Vec::as_slice).collect();
            (op.def().eval)(&args, params, &mut out);
        }
        Node::Reduce(r) => {
            let row =
                |at| Row { index: at as i64, args: vec![value(f, r.args[0], rows, at, single)] };
            let all: Vec<Row> = (0..rows.len()).map(row).collect();
            (r.reducer.def().eval)(&all, r.k, &mut out);
        }
    }
    out.into_iter().map(round).collect()
}

/// Rows of special values for the inputs of a formula: all of them in the first input, and every
/// pair of two.
fn special_rows(f: &Formula, rng: &mut Rng, single: bool) -> Vec<Vec<Vec<f64>>> {
    let count = SPECIAL.len();
    let round = |v: f64| if single { f64::from(v as f32) } else { v };
    let pairs = if f.inputs.len() > 1 { count * count } else { count };
    let row = |n: usize| {
        let component = |input: usize, k: usize| {
            round(match (input, k) {
                (0, 0) => SPECIAL[n % count],
                (1, 0) => SPECIAL[n / count % count],
                _ => *rng.pick(SPECIAL),
            })
        };
        rows_of(f, component)
    };
    let mut rows: Vec<Vec<Vec<f64>>> = (0..pairs).map(row).collect();
    // Components whose sum is a zero.
    rows.push(rows_of(f, |_, k| [1.0, -1.0, 0.0][k % 3]));
    rows
}

fn rows_of(f: &Formula, mut component: impl FnMut(usize, usize) -> f64) -> Vec<Vec<f64>> {
    let inputs = f.inputs.iter().enumerate();
    inputs.map(|(n, input)| (0..input.dim).map(|k| component(n, k)).collect()).collect()
}

fn same_bits(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Compares both sides at special values; calls `differ` with both numbers where their bits differ.
fn compare_sides(case: &Case<'_>, single: bool, mut differ: impl FnMut(f64, f64)) {
    let mut rng = Rng::new(3);
    let rows = special_rows(&case.f, &mut rng, single);
    let folds = matches!(case.rule.left, Pattern::Fold(..));
    let groups: Vec<&[Vec<Vec<f64>>]> =
        if folds { rows.windows(3).collect() } else { rows.chunks(1).collect() };
    for rows in groups {
        let left = value(&case.f, case.left, rows, 0, single);
        let right = value(&case.f, case.right, rows, 0, single);
        for (&a, &b) in left.iter().zip(&right).filter(|(a, b)| !same_bits(**a, **b)) {
            differ(a, b);
        }
    }
}

/// Every rule in every setting where it applies.
fn each_case(wanted: impl Fn(&Rule) -> bool, mut check: impl FnMut(&Case<'_>, bool)) {
    for rule in rules().iter().filter(|r| wanted(r)) {
        let cases: Vec<Case<'_>> =
            settings(rule).iter().filter_map(|s| case(rule, s, true)).collect();
        assert!(!cases.is_empty(), "{} applies nowhere", rule.text);
        for case in &cases {
            [false, true].into_iter().for_each(|single| check(case, single));
        }
    }
}

#[test]
fn exact_rules_keep_every_bit() {
    let mut wrong = Vec::new();
    each_case(Rule::is_exact, |case, single| {
        compare_sides(case, single, |a, b| {
            wrong.push(format!("{}: {a:?} becomes {b:?} (f32: {single})", case.rule.text));
        });
    });
    wrong.dedup_by(|a, b| a.split(':').next() == b.split(':').next());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a rule says that it may change one number to the other.
fn is_declared(changes: &[Change], a: f64, b: f64, single: bool) -> bool {
    let may = |change| changes.contains(&change);
    if a.is_nan() || b.is_nan() {
        return may(Change::Nan);
    }
    if !a.is_finite() || !b.is_finite() {
        return may(Change::Nan) || may(Change::Range);
    }
    if a == 0.0 && b == 0.0 {
        return may(Change::Zero) || may(Change::Range);
    }
    let epsilon = if single { f64::from(f32::EPSILON) } else { f64::EPSILON };
    // A logarithm of 700 is off by 700 units of what it is the logarithm of.
    let near = (a - b).abs() <= 1024.0 * epsilon * a.abs().max(b.abs());
    may(Change::Range) || (near && may(Change::Rounding))
}

#[test]
fn relaxed_rules_change_what_they_say_and_something() {
    let mut wrong = Vec::new();
    let mut changed = BTreeSet::new();
    each_case(
        |r| !r.is_exact(),
        |case, single| {
            compare_sides(case, single, |a, b| {
                changed.insert(case.rule.name.clone());
                if !is_declared(&case.rule.changes, a, b, single) {
                    wrong.push(format!("{}: {a:?} becomes {b:?} (f32: {single})", case.rule.text));
                }
            });
        },
    );
    wrong.dedup_by(|a, b| a.split(':').next() == b.split(':').next());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let idle: Vec<&str> = rules()
        .iter()
        .filter(|r| !r.is_exact() && !changed.contains(&r.name))
        .map(|r| r.text.as_str())
        .collect();
    assert!(idle.is_empty(), "exact rules among the relaxed ones:\n{}", idle.join("\n"));
}

#[test]
fn relaxed_rules_hold_for_ordinary_numbers() {
    let mut rng = Rng::new(4);
    for rule in rules().iter().filter(|r| !r.is_exact()) {
        let ordinary =
            |s: &Setting| s.numbers.iter().all(|(_, c)| c.abs() > 1e-3 && c.abs() < 10.0);
        for setting in settings(rule).iter().filter(|s| ordinary(s)) {
            let Some(case) = case(rule, setting, true) else { continue };
            let rows: Vec<Vec<Vec<f64>>> =
                (0..3).map(|_| rows_of(&case.f, |_, _| rng.between(0.3, 2.0))).collect();
            let left = value(&case.f, case.left, &rows, 0, false);
            let right = value(&case.f, case.right, &rows, 0, false);
            for (a, b) in left.iter().zip(&right) {
                assert!((a - b).abs() <= 1e-13 * (1.0 + a.abs()), "{}: {a}, {b}", rule.text);
            }
        }
    }
}

/// Whether both measures of a rule's end hold in every setting where the pass applies it, and that
/// it does apply it somewhere.
#[test]
fn no_rule_raises_the_cost_and_every_rule_is_applied() {
    let mut applied: BTreeSet<&str> = BTreeSet::new();
    for rule in rules() {
        for setting in settings(rule) {
            let Some(Case { mut f, left, .. }) = case(rule, &setting, !rule.is_exact()) else {
                continue;
            };
            // A second reader of everything below: nothing vanishes then.
            for shared in [false, true] {
                f.outputs.clear();
                f.output("out", Some(Axis::I), left).expect("a value of i");
                for (n, id) in f.ids().enumerate().filter(|_| shared).collect::<Vec<_>>() {
                    let axis = if f.stratum(id).varies(Axis::J) { Axis::J } else { Axis::I };
                    f.output(&format!("out{n}"), Some(axis), id).expect("a row");
                }
                let mut fired = Fired::new();
                let simple = simplify(&f, &mut fired);
                assert!(cost(&simple) <= cost(&f), "{}: {}", rule.text, canonical_text(&f));
                applied.extend(fired.keys());
                let mut again = Fired::new();
                let twice = simplify(&simple, &mut again);
                assert_eq!(canonical_text(&simple), canonical_text(&twice), "{}", rule.text);
                assert!(again.is_empty(), "{}: {again:?}", rule.text);
            }
        }
    }
    let idle: Vec<&str> = rules()
        .iter()
        .filter(|r| !applied.contains(r.name.as_str()))
        .map(|r| r.text.as_str())
        .collect();
    assert!(idle.is_empty(), "never applied:\n{}", idle.join("\n"));
}

/// Such a rule is applied only where it lowers the cost, so it cannot go on for ever either.
#[test]
fn rules_that_do_not_shrink_are_few_and_known() {
    let grow: Vec<&str> =
        rules().iter().filter(|r| !r.shrinks()).map(|r| r.name.as_str()).collect();
    let known = [
        "div_power_of_two",
        "pow_two",
        "pow_minus_one",
        "map_copies",
        "fold_sum_copies",
        "fold_min_copies",
        "fold_max_copies",
        "sum_neg",
        "fold_neg",
        "div_number",
        "div_div",
        "div_by_div",
        "scalar_out_of_sum",
        "divisor_out_of_sum",
        "inv_exp",
        "div_exp",
    ];
    assert_eq!(grow, known);
}

/// Literals on the left are compared, so a rule can never match what it cannot build.
#[test]
fn sums_of_literals_stand_on_the_right_only() {
    fn has_sum(p: &Pattern) -> bool {
        match p {
            Pattern::Op(_, args, params) => {
                params.iter().any(|p| matches!(p, Param::Sum(..))) || args.iter().any(has_sum)
            }
            Pattern::Map(args) => args.iter().any(has_sum),
            Pattern::Fold(_, arg) => has_sum(arg),
            Pattern::OfParam(_) => true,
            Pattern::Any(_) | Pattern::Const(_) | Pattern::Number(_) => false,
        }
    }
    assert!(rules().iter().all(|r| !has_sum(&r.left)));
}

fn evaluate(p: &Problem) -> Vec<Matrix> {
    eval::evaluate(&p.formula, p.m, p.n, &p.inputs).expect("the arrays fit")
}

/// Random formulas, and gradients of some.
fn random(numbers: std::ops::Range<u64>) -> impl Iterator<Item = Problem> {
    numbers.flat_map(|number| {
        let any = generate::problem(number, Wish::Any);
        let smooth = generate::problem(number, Wish::Smooth);
        let mut rng = Rng::new(number);
        let names: Vec<String> = smooth.formula.inputs.iter().map(|i| i.name.clone()).collect();
        let gradient = vjp(&smooth.formula, &smooth.formula.outputs[0].name, &names);
        let mut gradient = smooth.with(gradient.expect("smooth"));
        gradient.inputs.push(smooth.cotangent(0, &mut rng));
        [any, gradient]
    })
}

#[test]
fn simplified_random_formulas_keep_every_bit() {
    for (number, p) in random(0..400).enumerate() {
        let simple = p.with(simplify(&p.formula, &mut Fired::new()));
        let mut rng = Rng::new(number as u64);
        for special in [false, true] {
            let (mut p, mut simple) = (p.clone(), simple.clone());
            if special {
                let all = p.inputs.iter_mut().flat_map(|m| &mut m.data);
                for x in all {
                    *x = if rng.once_in(3) { *rng.pick(SPECIAL) } else { *x };
                }
                simple.inputs.clone_from(&p.inputs);
            }
            let (before, after) = (evaluate(&p), evaluate(&simple));
            let numbers =
                |all: &[Matrix]| all.iter().flat_map(|m| m.data.clone()).collect::<Vec<_>>();
            for (a, b) in numbers(&before).into_iter().zip(numbers(&after)) {
                let texts = || canonical_text(&p.formula) + &canonical_text(&simple.formula);
                assert!(same_bits(a, b), "{number}: {a:?} becomes {b:?}\n{}", texts());
            }
        }
    }
}

#[test]
fn random_formulas_end_and_never_cost_more() {
    for relaxed in [false, true] {
        for (number, mut p) in random(0..100).enumerate() {
            p.formula.relaxed = relaxed;
            let simple = simplify(&p.formula, &mut Fired::new());
            assert!(cost(&simple) <= cost(&p.formula), "{number}: {}", canonical_text(&p.formula));
            let mut again = Fired::new();
            let twice = simplify(&simple, &mut again);
            assert!(again.is_empty(), "{number}: {again:?}\n{}", canonical_text(&twice));
            let once = settle(&p.formula);
            assert_eq!(canonical_text(&once), canonical_text(&settle(&once)), "{number}");
        }
    }
}

/// Chains in which one rule makes room for the next, as long as a formula may be.
#[test]
fn long_formulas_are_simplified_in_time() {
    type Link = fn(&mut Formula, ExprId, ExprId, usize) -> ExprId;
    let links: [(&str, Link); 5] = [
        ("neg", |f, x, _, _| f.neg(x)),
        ("copies", |f, x, _, n| {
            let copies = f.apply(Op::SumT, &[x], &[2 + (n % 2) as i64]);
            let first = f.apply(Op::Elem, &[copies], &[1]);
            f.square(first)
        }),
        ("common factor", |f, x, y, n| {
            let number = f.constant(n as f64);
            let other = f.add(x, number);
            let product = f.mul(y, other);
            let scaled = f.mul(y, x);
            f.add(product, scaled)
        }),
        ("exponentials", |f, x, y, n| {
            let exp = f.apply(Op::Exp, &[y], &[]);
            let scaled = f.scale(n as f64, exp);
            f.mul(x, scaled)
        }),
        ("quotients", |f, x, y, _| f.div(x, y)),
    ];
    for (what, link) in links {
        let start = std::time::Instant::now();
        let mut f = Formula::new(what);
        f.relaxed = true;
        let x = f.input("x", Some(Axis::I), 1).expect("a small dim");
        let y = f.input("y", Some(Axis::J), 1).expect("a small dim");
        let mut value = x;
        for n in 0.. {
            value = link(&mut f, value, y, n);
            if f.len() > 5000 {
                break;
            }
        }
        let sum = f.sum_over(Axis::J, value);
        f.output("out", Some(Axis::I), sum).expect("a row of i");
        let mut fired = Fired::new();
        let simple = simplify(&f, &mut fired);
        assert!(cost(&simple) <= cost(&f), "{what}");
        let seconds = start.elapsed().as_secs_f64();
        assert!(seconds < 60.0, "{what}: {seconds} s, {fired:?}");
        println!("{what}: {seconds:.2} s, {} of {} nodes", simple.len(), f.len());
    }
}

#[test]
fn relaxed_random_formulas_keep_their_meaning_on_ordinary_numbers() {
    for (number, p) in random(0..400).enumerate() {
        let mut relaxed = p.clone();
        relaxed.formula.relaxed = true;
        relaxed.formula = optimize(&relaxed.formula);
        let gap = compare::worst(&relaxed.formula, &evaluate(&p), &evaluate(&relaxed));
        let off = gap.as_ref().map_or(0.0, |gap| gap.off);
        let texts = || canonical_text(&p.formula) + &canonical_text(&relaxed.formula);
        assert!(off < 1e-9, "{number}: {}\n{}", gap.expect("a gap"), texts());
    }
}
