//! Derivatives of every operation, of every reduction and of random formulas: reverse and forward
//! mode against differences of the oracle, to third order, and against each other; operators
//! inside expressions against Jacobians by differences.

use tilefold_compiler::front::{self, Derivative};
use tilefold_compiler::ir::eval::{self, Matrix};
use tilefold_compiler::ir::{Formula, verify};
use tilefold_compiler::schedule;
use tilefold_compiler::{emit, ir};
use tilefold_tests::compare;
use tilefold_tests::derivatives::{derivative, gradient, inner, of_operations, of_reductions};
use tilefold_tests::finite;
use tilefold_tests::generate::{self, Wish};
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

/// What a row of the result is, given all inputs and the row's number.
type RowRule<'a> = &'a dyn Fn(&[Vec<f64>], usize) -> Vec<f64>;

/// Differences are less exact than derivatives.
const OF_DIFFERENCES: f64 = 1e-6;
/// Two ways to the same derivative.
const OF_ROUNDINGS: f64 = 1e-9;

/// What is wrong, with the formula that it is wrong for.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn arrays(&mut self, what: &str, p: &Problem, allowed: f64, expected: &[Matrix]) {
        verify::verify(&p.formula).unwrap_or_else(|e| panic!("{what}: {e}"));
        let found = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
        let own = eval::evaluate(&p.formula, p.m, p.n, &p.inputs).expect("the arrays fit");
        for (who, found, allowed) in [("", &found, allowed), (" by eval", &own, allowed)] {
            if let Some(gap) = compare::worst(&p.formula, expected, found)
                && (gap.off.is_nan() || gap.off > allowed)
            {
                let text = ir::canonical_text(&p.formula);
                self.0.push(format!("{}, {what}{who}: {gap}\n{text}", p.formula.name));
            }
        }
    }

    fn numbers(&mut self, what: &str, name: &str, expected: f64, found: f64) {
        let off = (expected - found).abs() / (1.0 + expected.abs());
        if off.is_nan() || off > OF_ROUNDINGS {
            self.0.push(format!("{name}, {what}: expected {expected}, found {found}"));
        }
    }

    fn finish(self) {
        let lines: String = self.0.iter().take(6).map(|w| format!("\n{w}")).collect();
        assert!(self.0.is_empty(), "{} derivatives are wrong:{lines}", self.0.len());
    }
}

fn value(p: &Problem) -> Vec<Matrix> {
    oracle::evaluate(&p.formula, p.m, p.n, &p.inputs)
}

/// Reverse and forward mode of a problem: forward mode against differences, and both against each
/// other, `<u, J t> = <J^T u, t>` for random `u` and `t`. Says whether the differences were exact
/// enough to compare with.
fn check(wrong: &mut Wrong, order: &str, p: &Problem, rng: &mut Rng) -> bool {
    let (reverse, forward) = (gradient(p, rng), derivative(p, rng));
    let t = &forward.inputs[p.inputs.len()..];
    let (slope, error) = finite::slope(p, t);
    let scale = 1.0 + slope.data.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
    let exact = error.data.iter().all(|e| *e < 0.1 * OF_DIFFERENCES * scale);
    if exact {
        wrong.arrays(&format!("{order}, forward"), &forward, OF_DIFFERENCES, &[slope]);
    }
    let u = reverse.inputs.last().expect("the cotangent");
    let moved = inner(std::slice::from_ref(u), &value(&forward));
    wrong.numbers(&format!("{order}, adjoint"), &p.formula.name, moved, inner(&value(&reverse), t));
    exact
}

/// [`check`] where differences have to be exact enough.
fn check_all(wrong: &mut Wrong, order: &str, p: &Problem, rng: &mut Rng) {
    assert!(check(wrong, order, p, rng), "{}, {order}: too steep for differences", p.formula.name);
}

fn to_second_order(problems: &[Problem]) {
    let (mut wrong, mut rng) = (Wrong::default(), Rng::new(12));
    for p in problems {
        check_all(&mut wrong, "first order", p, &mut rng);
        check_all(&mut wrong, "of the gradient", &gradient(p, &mut rng), &mut rng);
        check_all(&mut wrong, "of the forward derivative", &derivative(p, &mut rng), &mut rng);
    }
    wrong.finish();
}

#[test]
fn every_operation_to_second_order() {
    let problems = of_operations(&mut Rng::new(10));
    assert!(problems.len() > 150, "{}", problems.len());
    to_second_order(&problems);
}

#[test]
fn every_reduction_to_second_order() {
    to_second_order(&of_reductions(&mut Rng::new(11)));
}

#[test]
fn random_formulas() {
    let (mut wrong, mut rng, mut exact) = (Wrong::default(), Rng::new(13), 0);
    let problems: Vec<Problem> =
        (200..240).map(|number| generate::problem(number, Wish::Smooth)).collect();
    for p in &problems {
        exact += usize::from(check(&mut wrong, "random", p, &mut rng));
    }
    for p in &problems[..10] {
        let (reverse, forward) = (gradient(p, &mut rng), derivative(p, &mut rng));
        exact += usize::from(check(&mut wrong, "of a random gradient", &reverse, &mut rng));
        exact += usize::from(check(&mut wrong, "of a random derivative", &forward, &mut rng));
    }
    assert!(exact > 45, "differences were exact for {exact} of 60");
    wrong.finish();
}

fn parse(text: &str) -> (Formula, Vec<Derivative>) {
    let text = format!("tilefold 1; formula f {{ {text} }}");
    let units = front::parse("test", &text);
    let mut units = units.unwrap_or_else(|e| panic!("{}", e.render("test", &text)));
    let instance = units[0].instances.remove(0);
    (instance.formula, instance.derivatives)
}

fn problem(text: &str, rng: &mut Rng) -> Problem {
    let mut formula = parse(text).0;
    formula.name = text.into();
    Problem::between(formula, 3, 4, rng, 0.3, 1.2)
}

#[test]
fn compositions_to_third_order() {
    let (mut wrong, mut rng) = (Wrong::default(), Rng::new(14));
    for text in [
        "x[i], y[j] : R^2; g : R; a[i] = sum[j] exp(-g * sqdist(x, y));",
        "x[i], y[j] : R^2; a[i] = logsumexp[j] (x | y);",
        "x[i], y[j] : R; v[j] : R^2; a[i] = sum[j] softmax(x * y) * v;",
        "x[i], y[j] : R^2; a = sum[i] log(sum[j] norm2(x - y));",
    ] {
        let p = problem(text, &mut rng);
        let twice = [
            gradient(&gradient(&p, &mut rng), &mut rng),
            derivative(&gradient(&p, &mut rng), &mut rng),
            gradient(&derivative(&p, &mut rng), &mut rng),
            derivative(&derivative(&p, &mut rng), &mut rng),
        ];
        twice.iter().for_each(|p| check_all(&mut wrong, "third order", p, &mut rng));
    }
    wrong.finish();
}

/// Values of `x[i]`, `y[j]` and others, smooth in x, of three components.
const FIELDS: &[&str] = &[
    "exp(-sqdist(x, y)) * x",
    "sin(x * y)",
    "where(y < 0.75, x * x, cos(x) * x[0])",
    "ifelse(y - 0.75, matvecmult(A, x), y * x)",
    "concat(x[1:3] * y[0:2], norm2(x))",
    "matvecmult(A, x) / (1 + sqnorm2(x))",
    "vecmatmult(x * y, A) + normalize(x)",
    "tensorprod(x, y)[2:5]",
    "matvecmult(tensorprod(x, y), x)",
    "exp(x) * (x | y) - sqrt(x) * g",
    "max(x) * y + relu(x + 1) * relu(y - 0.75)",
    "x ** 3 - powf(x, y) * 2",
    "clamp(x, 0, 5) * atan2(x, y)",
    "sum_t(logsumexp[j] (x | y), 3) * x",
    "sum_t(x[0] * log(sum[j] exp(x | y)), 3)",
    "x / sum[j] (x | y) + x",
];

const DECLARED: &str = "x[i], y[j], e[i], u[i] : R^3; A[j] : R^9; g : R; \
                        let _ = g; let _ = A; let _ = y; let _ = u; let _ = e; let _ = x; ";

fn declared(output: &str, rng: &mut Rng) -> Problem {
    problem(&format!("{DECLARED}{output}"), rng)
}

/// The same arrays for another formula.
fn named(base: &Problem, output: String) -> Problem {
    let mut formula = parse(&format!("{DECLARED}{output}")).0;
    formula.name = output;
    base.with(formula)
}

/// The Jacobian of each row of the first output with respect to the same row of the first input.
fn jacobians(p: &Problem) -> Vec<Vec<Vec<f64>>> {
    let (dim, own) = (value(p)[0].cols, p.inputs[0].cols);
    let entry = |row: usize, k: usize, l: usize| {
        finite::derivative(|step| {
            let mut near = p.clone();
            near.inputs[0].data[row * own + l] += step;
            value(&near)[0].data[row * dim + k]
        })
    };
    let jacobian = |row| (0..dim).map(|k| (0..own).map(|l| entry(row, k, l)).collect()).collect();
    (0..p.m).map(jacobian).collect()
}

fn rows(data: Vec<Vec<f64>>) -> [Matrix; 1] {
    [Matrix { rows: data.len(), cols: data[0].len(), data: data.concat() }]
}

/// The summand of a sum over j, and a sum that is finished.
const PLACES: [&str; 2] = ["a[i] = sum[j] {}(F{});", "a[i] = {}(sum[j] F{});"];

#[test]
fn operators_are_those_of_the_jacobian() {
    let (mut wrong, mut rng) = (Wrong::default(), Rng::new(15));
    for field in FIELDS {
        let base = declared(&format!("a[i] = sum[j] ({field});"), &mut rng);
        let jacobian = jacobians(&base);
        let (e, u) = (base.inputs[2].data.clone(), base.inputs[3].data.clone());
        let (d, at) = (3, |data: &[f64], i: usize, k: usize| data[3 * i + k]);
        for place in PLACES {
            let mut apply = |name: &str, rest: &str, expected: Vec<Vec<f64>>| {
                let text = place.replacen("{}", name, 1).replacen("{}", rest, 1);
                let text = text.replace('F', &format!("({field})"));
                let p = named(&base, text);
                wrong.arrays("operator", &p, OF_DIFFERENCES, &rows(expected));
            };
            let each = |f: RowRule<'_>| -> Vec<Vec<f64>> {
                jacobian.iter().enumerate().map(|(i, j)| f(j, i)).collect()
            };
            apply(
                "Grad",
                ", x, e",
                each(&|j, i| {
                    (0..d).map(|l| (0..d).map(|k| j[k][l] * at(&e, i, k)).sum()).collect()
                }),
            );
            apply(
                "Diff",
                ", x, u",
                each(&|j, i| {
                    (0..d).map(|k| (0..d).map(|l| j[k][l] * at(&u, i, l)).sum()).collect()
                }),
            );
            apply("grad_matrix", ", x", each(&|j, _| j.concat()));
            apply("divergence", ", x", each(&|j, _| vec![(0..d).map(|k| j[k][k]).sum()]));
        }
    }
    wrong.finish();
}

#[test]
fn laplacians_are_sums_of_second_derivatives() {
    let (mut wrong, mut rng) = (Wrong::default(), Rng::new(16));
    for field in [
        "exp(-sqdist(x, y))",
        "norm2(x - y)",
        "x[0] * x[1] * x[2] + sin(x | y)",
        "where(y[0] < 0.75, sqnorm2(x), dot(matvecmult(A, x), x))",
        "sum(powf(x, y))",
        "1 / (1 + sqdist(x, y))",
        "logsumexp[j] (x | y)",
    ] {
        for place in PLACES {
            let with = |name: &str, rest: &str| {
                let text = place.replacen("{}", name, 1).replacen("{}", rest, 1);
                format!("{DECLARED}{}", text.replace('F', &format!("({field})")))
            };
            let p = problem(&with("laplacian", ", x"), &mut rng);
            let first = p.with(parse(&with("grad", ", x")).0);
            let trace = |j: &Vec<Vec<f64>>| vec![(0..3).map(|k| j[k][k]).sum()];
            let expected: Vec<Vec<f64>> = jacobians(&first).iter().map(trace).collect();
            wrong.arrays("laplacian", &p, OF_DIFFERENCES, &rows(expected));
        }
    }
    wrong.finish();
}

/// Values that are linear in `x[i]`, of three components or of one.
const LINEAR: &[&str] = &[
    "x",
    "-x * y + (x | y) * y",
    "x / y - 2 * x",
    "where(y < 1, x * y, matvecmult(A, x))",
    "ifelse(y - 1, x[0] * y, x)",
    "concat(x[1:3], x[0])",
    "vecmatmult(x, A)",
    "tensorprod(x, y)[3:6]",
    "matvecmult(tensorprod(y, x), y)",
    "sum_t(sum(x), 3) + sum_t(0, 3)",
    "one_hot(1, 3) * x[2]",
    "(x | y)",
    "softmaxsum[j](y[0], x * y)",
];

#[test]
fn linear_operators_are_those_of_the_matrix() {
    let (mut wrong, mut rng) = (Wrong::default(), Rng::new(17));
    for field in LINEAR {
        let base = declared(&format!("a[i] = sum[j] ({field});"), &mut rng);
        let matrices = jacobians(&base);
        let (e, u, n) = (base.inputs[2].data.clone(), base.inputs[3].data.clone(), 3);
        let dim = value(&base)[0].cols;
        let mut apply = |call: &str, expected: RowRule<'_>| {
            let text = format!("a[i] = sum[j] {};", call.replace('F', &format!("({field})")));
            let p = named(&base, text);
            let all = matrices.iter().enumerate().map(|(i, m)| expected(m, i)).collect();
            wrong.arrays("linear", &p, OF_DIFFERENCES, &rows(all));
        };
        // A scalar stands for three copies of itself.
        let of = |m: &[Vec<f64>], k: usize, l: usize| m[if dim == 1 { 0 } else { k }][l];
        apply("TraceOperator(F, x)", &|m, _| vec![(0..n).map(|k| of(m, k, k)).sum()]);
        apply("trace_operator(F, x, e)", &|m, i| {
            vec![(0..n).map(|k| e[3 * i + k] * of(m, k, k)).sum()]
        });
        apply("SumLinOperator(F, x)", &|m, _| vec![m.iter().flatten().sum()]);
        apply("sum_lin_operator(F, x, 2, u)", &|m, i| {
            let row = |r: &Vec<f64>| -> f64 { (0..n).map(|l| r[l] * u[3 * i + l]).sum() };
            vec![m.iter().map(|r| 2.0 * row(r)).sum()]
        });
        let seed = if dim == 1 { "e[0]" } else { "e" };
        apply(&format!("AdjointOperator(F, x, {seed})"), &|m, i| {
            (0..n).map(|l| (0..dim).map(|k| m[k][l] * e[3 * i + k]).sum()).collect()
        });
    }
    wrong.finish();
}

#[test]
fn operators_are_differentiable_again() {
    let (mut wrong, mut rng) = (Wrong::default(), Rng::new(18));
    for output in [
        "a[i] = sum[j] Grad(exp(-sqdist(x, y)) * x, x, e);",
        "a[i] = sum[j] Diff(sin(x * y), (x, y), (u, e));",
        "a[i] = sum[j] divergence(exp(-sqdist(x, y)) * x, x);",
        "a[i] = laplacian(logsumexp[j] (x | y), x);",
        "a[i] = sum[j] grad_matrix(matvecmult(A, x * x), x);",
        "a[j] = grad(sum[j] exp(x | y), y, sum(e));",
        "let s = x * y; a[i] = sum[j] grad(sin(s) * s, s, e);",
        "a[i] = sum[j] trace_operator(where(y < 0.75, A[0:3] * x, x), x, e);",
    ] {
        check_all(&mut wrong, "of an operator", &declared(output, &mut rng), &mut rng);
    }
    wrong.finish();
}

/// KeOps' outer forms: the derivative of a finished reduction is a reduction over the index that
/// the variable does not have.
#[test]
fn derivatives_of_finished_reductions() {
    let mut rng = Rng::new(19);
    for (outer, inner) in [
        ("a[i] = Grad(Sum_Reduction(sin(x*y), 0), x, e);", "a[i] = sum[j] Grad(sin(x*y), x, e);"),
        ("a[j] = Grad(Sum_Reduction(sin(x*y), 0), y, e);", "a[j] = sum[i] Grad(sin(x*y), y, e);"),
        ("a[i] = Diff(Sum_Reduction(sin(x*y), 0), x, u);", "a[i] = sum[j] Diff(sin(x*y), x, u);"),
        (
            "let l = logsumexp[j] (x | y); a[i] = Grad_WithSavedForward(l, x, e[0], l);",
            "a[i] = sum[j] e[0] * y * exp((x | y) - logsumexp[j] (x | y));",
        ),
        ("a[i] = sum[j] Factorize(sin(x*y) + sin(x*y), x*y);", "a[i] = sum[j] 2*sin(x*y);"),
        ("a[i] = sum[j] AutoFactorize(sin(x*y)) * 2;", "a[i] = sum[j] 2*sin(x*y);"),
        ("a[i] = sum[j] grad(grad(x + y, x, e), x, u);", "a[i] = sum[j] 0*y;"),
    ] {
        let (p, q) = (declared(outer, &mut rng), declared(inner, &mut rng));
        let q = Problem { formula: q.formula, ..p.clone() };
        let mut wrong = Wrong::default();
        wrong.arrays("finished", &p, OF_ROUNDINGS, &value(&q));
        wrong.finish();
    }
}

/// What a mask or a choice leaves out may have a pole; the derivative does not see it.
#[test]
fn poles_that_do_not_count() {
    for (text, expected) in [
        ("a[i] = sum[j where pos(i) != pos(j)] 1 / (x - y);", [-1.25, -2.0, -1.25]),
        ("a[i] = sum[j] where(pos(i) != pos(j), 1 / (x - y), 0);", [-1.25, -2.0, -1.25]),
        ("a[i] = sum[j] ifelse(eq(x, y) - 1, 0, 1 / (x - y));", [-1.25, -2.0, -1.25]),
        ("a[i] = logsumexp[j where x != y] log(abs(x - y));", [-2.0 / 3.0, 0.0, 2.0 / 3.0]),
        ("a[i] = sum[j] (where(x < 1, x, log(x - 1)) + y);", [3.0, f64::INFINITY, 3.0]),
        ("a[i] = sum[j] where(x < 1, x * x, sqrt(x - 1) + x);", [0.0, 3.0, 4.5]),
    ] {
        let text = format!("x[i], y[j] : R; let _ = y; {text}");
        for (order, mode) in [("reverse", "grad"), ("forward", "jvp")] {
            let (_, derivatives) = parse(&format!("{text} {mode} a wrt x;"));
            let formula = derivatives[0].formula.clone();
            let numbers = |k: usize, entry: usize| if k == 2 { 1.0 } else { entry as f64 };
            let p = Problem::new(formula, 3, 3, numbers);
            let found = eval::evaluate(&p.formula, p.m, p.n, &p.inputs).expect("the arrays fit");
            for found in [&found[0], &value(&p)[0]] {
                let near = |(a, b): (&f64, &f64)| a == b || (a - b).abs() < 1e-14;
                let all = found.data.iter().zip(&expected).all(near);
                assert!(all, "{text} {order}: {:?}, not {expected:?}", found.data);
            }
        }
        let (_, derivatives) = parse(&format!("{text} grad a wrt x; grad d_x wrt x;"));
        let p = Problem::new(derivatives[1].formula.clone(), 3, 3, |k, entry| match k {
            0 | 1 => entry as f64,
            _ => 1.0,
        });
        let finite = value(&p)[0].data.iter().filter(|x| x.is_finite()).count();
        assert!(finite >= 2, "{text}: {:?}", value(&p));
    }
}

/// Derivatives where a value has none, or one that a formula would get wrong.
#[test]
fn derivatives_at_the_edges() {
    let (inf, zero) = (f64::INFINITY, [0.0, 0.0]);
    for (text, numbers, expected) in [
        ("a[i] = sinxdivx(x);", [0.0, -0.0], zero),
        ("a[i] = norm2(x);", [0.0, -2.0], [0.0, -1.0]),
        ("a[i] = sum[j] norm2(x - y) * 0.5;", zero, zero),
        ("a[i] = sqrt(x);", [0.0, 4.0], [0.0, 0.25]),
        ("a[i] = rsqrt(x);", [0.0, 1.0], [0.0, -0.5]),
        ("a[i] = xlogx(x);", [0.0, 1.0], [-inf, 1.0]),
        ("a[i] = abs(x);", [0.0, -1.0], [0.0, -1.0]),
        ("a[i] = relu(x);", [0.0, -1.0], [1.0, 0.0]),
        ("a[i] = logsumexp[j] (x + y);", [-inf, 0.0], [0.0, 1.0]),
        ("a[i] = logsumexp[j where x < y] x * y;", [1.0, 2.0], zero),
        ("a[i] = exp(logsumexp[j] (x - y));", [-inf, 0.0], [0.0, 2.0]),
    ] {
        for mode in ["grad", "jvp"] {
            let text = format!("x[i], y[j] : R; let _ = y; {text} {mode} a wrt x;");
            let p = Problem::new(parse(&text).1[0].formula.clone(), 2, 2, |k, entry| match k {
                0 => numbers[entry],
                1 => 0.0,
                _ => 1.0,
            });
            let found = eval::evaluate(&p.formula, p.m, p.n, &p.inputs).expect("the arrays fit");
            let near = |(a, b): (&f64, &f64)| a == b || (a - b).abs() < 1e-14;
            let all = found[0].data.iter().zip(&expected).all(near);
            assert!(all, "{text}: {:?}, not {expected:?}", found[0].data);
        }
    }
}

/// A saved result takes the place of the reduction, which is then not folded again.
#[test]
fn a_saved_result_saves_a_pass() {
    let text = |call: &str| format!("x[i], y[j] : R^3; l[i] : R; let _ = l; a[i] = {call};");
    let stages = |call: &str| {
        let kernel = emit::kernel(&parse(&text(call)).0, "", "").expect("small");
        kernel.plan.stages.len()
    };
    assert_eq!(stages("grad(logsumexp[j] (x | y), x)"), 2);
    assert_eq!(stages("Grad_WithSavedForward(logsumexp[j] (x | y), x, 1, l)"), 1);
}

/// Value and gradient in one call fold less than apart.
#[test]
fn value_and_gradient_share_their_passes() {
    for (text, fewer_stages) in [
        ("x[i], y[j] : R^3; b[j] : R; a[i] = sum[j] exp(-sqdist(x, y)) * b;", 1),
        ("x[i], y[j] : R^3; a[i] = logsumexp[j] (x | y);", 1),
        ("x[i], y[j] : R^3; v[j] : R^2; a[i] = sum[j] softmax(x | y) * v;", 1),
        ("x[i], y[j] : R^3; a = sum[i] logsumexp[j] (x | y);", 1),
    ] {
        for mode in ["grad", "jvp"] {
            let wrt = format!("{text} {mode} a wrt x, y; {mode} a wrt x, y with value;");
            let (formula, derivatives) = parse(&wrt);
            let cost = |f: &Formula| {
                let kernel = emit::kernel(f, "", "").expect("small");
                let plan = schedule::explain(&kernel.plan, &kernel.pair_ops);
                (kernel.plan.stages.len(), kernel.pair_ops.iter().sum::<f64>(), plan)
            };
            let (alone, apart) = (cost(&formula), cost(&derivatives[0].formula));
            let both = cost(&derivatives[1].formula);
            let saved = alone.0 + apart.0 - both.0;
            assert!(saved >= fewer_stages, "{wrt}: {} and {}\n{}", alone.0, apart.0, both.2);
            assert!(both.1 < alone.1 + apart.1, "{wrt}: {} {} {}", alone.1, apart.1, both.1);
            // The first output is the value.
            let mut rng = Rng::new(20);
            let p = Problem::between(derivatives[1].formula.clone(), 3, 4, &mut rng, 0.3, 1.2);
            let inputs = p.inputs[..formula.inputs.len()].to_vec();
            let plain = Problem { formula, inputs, ..p };
            assert_eq!(value(&p)[0], value(&plain)[0], "{wrt}");
        }
    }
}

#[test]
fn derivatives_of_derivatives_are_asked_by_name() {
    let (_, derivatives) = parse(
        "x[i], y[j] : R^2; b[j] : R; a[i] = sum[j] exp(-sqdist(x, y)) * b; c[i] = sum[j] (x | y); \
         grad a wrt x, b; \
         grad c wrt x; \
         jvp vjp_a.d_x wrt x, d_a; \
         grad vjp_a.d_x wrt y with value as curvature; \
         jvp a wrt x; \
         grad jvp_a.t_a wrt b;",
    );
    let described: Vec<String> = derivatives
        .iter()
        .map(|d| {
            let inputs: Vec<&str> = d.formula.inputs.iter().map(|i| i.name.as_str()).collect();
            let outputs: Vec<&str> = d.formula.outputs.iter().map(|o| o.name.as_str()).collect();
            format!("{} {}: {} -> {}", d.call, d.title, inputs.join(" "), outputs.join(" "))
        })
        .collect();
    assert_eq!(
        described,
        [
            "vjp_a vjp_a: x y b d_a -> d_x d_b",
            "vjp_c vjp_c: x y b d_c -> d_x",
            "jvp_d_x jvp_d_x: x y b d_a t_x t_d_a -> t_d_x",
            "curvature curvature: x y b d_a d_d_x -> d_x d_y",
            "jvp_a jvp_a: x y b t_x -> t_a",
            "vjp_t_a vjp_t_a: x y b t_x d_t_a -> d_b",
        ]
    );
}
