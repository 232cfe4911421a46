//! Expressions of complex values: what they mean, against numbers of num-complex, by the evaluator,
//! compiled code and emulated CUDA code; and their gradients, against differences.
//!
//! Among them is everything that KeOps gets wrong or refuses: `z * 2`, `z * (1 + 2j)`, `(z | w)`,
//! `z ** 2`, `1 / z`, `log(z)`, `z[0]`, `sqnorm2(z)`, and a real value plus a complex number.

use num_complex::Complex64 as Z;
use tilefold_compiler::front;
use tilefold_compiler::ir::eval::{self, Matrix};
use tilefold_compiler::ir::{Dtype, Formula, canonical_text, verify};
use tilefold_compiler::passes::vjp;
use tilefold_tests::compare;
use tilefold_tests::emulated::{Emulated, Grid};
use tilefold_tests::finite;
use tilefold_tests::native::{self, Native};
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

/// One row of numbers: `z[i], w[j] : C^2`, `c[j] : C`, `x[j] : R^2`, `s[i] : R`, `p : C`.
struct Row {
    z: [Z; 2],
    w: [Z; 2],
    c: Z,
    x: [f64; 2],
    s: f64,
    p: Z,
}

type Meaning = fn(&Row) -> Vec<Z>;

const I: Z = Z::new(0.0, 1.0);

fn r(x: f64) -> Z {
    Z::new(x, 0.0)
}

fn each(v: [Z; 2], f: impl Fn(Z) -> Z) -> Vec<Z> {
    v.map(f).to_vec()
}

fn both(v: [Z; 2], w: [Z; 2], f: impl Fn(Z, Z) -> Z) -> Vec<Z> {
    vec![f(v[0], w[0]), f(v[1], w[1])]
}

fn truth(yes: bool) -> Z {
    r(f64::from(u8::from(yes)))
}

/// Complex expressions and what they mean.
const COMPLEX: &[(&str, Meaning)] = &[
    // what KeOps gets wrong
    ("z * 2", |n| each(n.z, |z| z * 2.0)),
    ("2.5 * z", |n| each(n.z, |z| z * 2.5)),
    ("z * (1 + 2j)", |n| each(n.z, |z| z * Z::new(1.0, 2.0))),
    ("z | w", |n| vec![n.z[0].conj() * n.w[0] + n.z[1].conj() * n.w[1]]),
    ("z ** 2", |n| each(n.z, |z| z * z)),
    ("1 / z", |n| each(n.z, |z| 1.0 / z)),
    ("log(z)", |n| each(n.z, |z| z.ln())),
    ("z[0]", |n| vec![n.z[0]]),
    ("x + (1 - 2j)", |n| n.x.map(|x| x + Z::new(1.0, -2.0)).to_vec()),
    ("(3j) - x", |n| n.x.map(|x| 3.0 * I - x).to_vec()),
    // arithmetic and promotion
    ("z + w", |n| both(n.z, n.w, |z, w| z + w)),
    ("z - c", |n| each(n.z, |z| z - n.c)),
    ("c - z", |n| each(n.z, |z| n.c - z)),
    ("z * w", |n| both(n.z, n.w, |z, w| z * w)),
    ("p * w", |n| each(n.w, |w| n.p * w)),
    ("z / w", |n| both(n.z, n.w, |z, w| z / w)),
    ("z / c", |n| each(n.z, |z| z / n.c)),
    ("c / z", |n| each(n.z, |z| n.c / z)),
    ("-z", |n| each(n.z, |z| -z)),
    ("z + s", |n| each(n.z, |z| z + n.s)),
    ("x - z", |n| vec![n.x[0] - n.z[0], n.x[1] - n.z[1]]),
    ("c + x", |n| n.x.map(|x| n.c + x).to_vec()),
    ("z - x", |n| vec![n.z[0] - n.x[0], n.z[1] - n.x[1]]),
    ("s * z", |n| each(n.z, |z| n.s * z)),
    ("c * x", |n| n.x.map(|x| n.c * x).to_vec()),
    ("z * x", |n| vec![n.z[0] * n.x[0], n.z[1] * n.x[1]]),
    ("z / s", |n| each(n.z, |z| z / n.s)),
    ("c / x", |n| n.x.map(|x| n.c / x).to_vec()),
    ("x / c", |n| n.x.map(|x| x / n.c).to_vec()),
    ("s / z", |n| each(n.z, |z| n.s / z)),
    ("z ** 3", |n| each(n.z, |z| z * z * z)),
    ("z ** -2", |n| each(n.z, |z| 1.0 / (z * z))),
    ("z ** 0", |n| each(n.z, |_| r(1.0))),
    ("z ** 1", |n| n.z.to_vec()),
    ("-1j * z", |n| each(n.z, |z| -I * z)),
    ("1e-1j + 2", |_| vec![Z::new(2.0, 0.1)]),
    // functions
    ("exp(z)", |n| each(n.z, |z| z.exp())),
    ("exp(2j * s)", |n| vec![(2.0 * I * n.s).exp()]),
    ("exp1j(x)", |n| n.x.map(|x| (I * x).exp()).to_vec()),
    ("cis(s)", |n| vec![Z::from_polar(1.0, n.s)]),
    ("sqrt(z)", |n| each(n.z, |z| z.sqrt())),
    ("square(z)", |n| each(n.z, |z| z * z)),
    ("inv(c)", |n| vec![1.0 / n.c]),
    ("conj(z)", |n| each(n.z, |z| z.conj())),
    ("normalize(z)", |n| {
        let norm = (n.z[0].norm_sqr() + n.z[1].norm_sqr()).sqrt();
        each(n.z, |z| z / norm)
    }),
    ("complex(x, s)", |n| n.x.map(|x| Z::new(x, n.s)).to_vec()),
    ("as_complex(x)", |n| vec![Z::new(n.x[0], n.x[1])]),
    ("as_complex(2 * as_real(z))", |n| each(n.z, |z| 2.0 * z)),
    ("as_complex(ComplexMult(as_real(z), as_real(w)))", |n| both(n.z, n.w, |z, w| z * w)),
    // sums and components
    ("sum(z)", |n| vec![n.z[0] + n.z[1]]),
    ("sum(c * x)", |n| vec![n.c * n.x[0] + n.c * n.x[1]]),
    ("dot(z, x)", |n| vec![n.z[0].conj() * n.x[0] + n.z[1].conj() * n.x[1]]),
    ("dot(x, z)", |n| vec![n.x[0] * n.z[0] + n.x[1] * n.z[1]]),
    ("z[0:2] * w[1]", |n| each(n.z, |z| z * n.w[1])),
    ("concat(c, z[1])", |n| vec![n.c, n.z[1]]),
    ("concat(x, c)[1:3]", |n| vec![r(n.x[1]), n.c]),
    ("elem_t(c, 2, 1)", |n| vec![r(0.0), n.c]),
    ("extract_t(c, 0, 2)", |n| vec![n.c, r(0.0)]),
    ("sum_t(c, 2)", |n| vec![n.c; 2]),
    ("where(s > 1, z, w)", |n| if n.s > 1.0 { n.z.to_vec() } else { n.w.to_vec() }),
    ("ifelse(s - 1, c, 1)", |n| vec![if n.s >= 1.0 { n.c } else { r(1.0) }]),
    // derivatives inside expressions: the gradient is d/dx + i d/dy
    ("grad(sqnorm2(z), z)", |n| each(n.z, |z| 2.0 * z)),
    ("grad(exp(z), z, w)", |n| both(n.z, n.w, |z, w| z.exp().conj() * w)),
    ("Grad(sqdist(z, w), w)", |n| both(n.z, n.w, |z, w| 2.0 * (w - z))),
    ("diff(z ** 2, z, w)", |n| both(n.z, n.w, |z, w| 2.0 * z * w)),
    ("diff(c * x, x, x)", |n| n.x.map(|x| n.c * x).to_vec()),
    // KeOps' names on complex values
    ("ComplexMult(z, w)", |n| both(n.z, n.w, |z, w| z * w)),
    ("ComplexAdd(z, c)", |n| each(n.z, |z| z + n.c)),
    ("ComplexSubtract(z, w)", |n| both(n.z, n.w, |z, w| z - w)),
    ("ComplexDivide(z, w)", |n| both(n.z, n.w, |z, w| z / w)),
    ("ComplexRealScal(s, z)", |n| each(n.z, |z| n.s * z)),
    ("ComplexScal(c, z)", |n| each(n.z, |z| n.c * z)),
    ("ComplexExp(z)", |n| each(n.z, |z| z.exp())),
    ("Conj(z)", |n| each(n.z, |z| z.conj())),
    ("ComplexSum(z)", |n| vec![n.z[0] + n.z[1]]),
    ("ComplexSumT(c, 4)", |n| vec![n.c; 2]),
];

/// Real expressions of complex values.
const REAL: &[(&str, Meaning)] = &[
    ("sqnorm2(z)", |n| vec![r(n.z[0].norm_sqr() + n.z[1].norm_sqr())]),
    ("norm2(z)", |n| vec![r((n.z[0].norm_sqr() + n.z[1].norm_sqr()).sqrt())]),
    ("sqdist(z, w)", |n| vec![r((n.z[0] - n.w[0]).norm_sqr() + (n.z[1] - n.w[1]).norm_sqr())]),
    ("sqdist(z, s)", |n| vec![r((n.z[0] - n.s).norm_sqr() + (n.z[1] - n.s).norm_sqr())]),
    ("abs(z)", |n| each(n.z, |z| r(z.norm()))),
    ("angle(z)", |n| each(n.z, |z| r(z.arg()))),
    ("arg(x)", |n| n.x.map(|x| r(Z::new(x, 0.0).arg())).to_vec()),
    ("real(z)", |n| each(n.z, |z| r(z.re))),
    ("im(z)", |n| each(n.z, |z| r(z.im))),
    ("imag(complex(0, x))", |n| n.x.map(r).to_vec()),
    ("real(complex(0, x))", |n| n.x.map(|_| r(0.0)).to_vec()),
    ("imag(x)", |n| n.x.map(|_| r(0.0)).to_vec()),
    ("re(x)", |n| n.x.map(r).to_vec()),
    ("diff(abs(z), z, w)", |n| both(n.z, n.w, |z, w| r((z.conj() * w).re / z.norm()))),
    ("grad(x * z, x, z)", |n| vec![r(n.z[0].norm_sqr()), r(n.z[1].norm_sqr())]),
    ("z == w", |n| both(n.z, n.w, |z, w| truth(z == w))),
    ("z != z", |n| both(n.z, n.z, |z, w| truth(z != w))),
    ("z != x", |n| vec![truth(n.z[0] != r(n.x[0])), truth(n.z[1] != r(n.x[1]))]),
    ("real(z) == re(z)", |_| vec![r(1.0); 2]),
    ("ComplexReal(z)", |n| each(n.z, |z| r(z.re))),
    ("ComplexImag(z)", |n| each(n.z, |z| r(z.im))),
    ("ComplexAbs(z)", |n| each(n.z, |z| r(z.norm()))),
    ("ComplexSquareAbs(z)", |n| each(n.z, |z| r(z.norm_sqr()))),
    ("ComplexAngle(z)", |n| each(n.z, |z| r(z.arg()))),
    ("as_real(c)", |n| vec![r(n.c.re), r(n.c.im)]),
    ("Real2Complex(x)", |n| vec![r(n.x[0]), r(0.0), r(n.x[1]), r(0.0)]),
    ("Imag2Complex(s)", |n| vec![r(0.0), r(n.s)]),
    ("ComplexExp1j(s)", |n| vec![r(n.s.cos()), r(n.s.sin())]),
];

const INPUTS: &str = "z[i] : C^2; w[j] : C^2; c[j] : C; x[j] : R^2; s[i] : R; p : C; \
                      let _ = z; let _ = w; let _ = c; let _ = x; let _ = s; let _ = p;";

/// Expressions a formula.
const GROUP: usize = 12;

fn parse(text: &str) -> Formula {
    let units = front::parse("complex", text);
    let units = units.unwrap_or_else(|e| panic!("{}", e.render("complex", text)));
    let formula = units[0].instances[0].formula.clone();
    verify::verify(&formula).expect("the front end builds valid formulas");
    formula
}

/// One output for each expression, its sum over j.
fn formula(expressions: &[(&str, Meaning)]) -> Formula {
    let output = |(n, (text, _)): (usize, &(&str, Meaning))| format!("a{n}[i] = sum[j] ({text});");
    let outputs: String = expressions.iter().enumerate().map(output).collect();
    parse(&format!("tilefold 1; formula f {{ {INPUTS} {outputs} }}"))
}

fn problem(formula: Formula, rows: [usize; 2], rng: &mut Rng) -> Problem {
    Problem::between(formula, rows[0], rows[1], rng, 0.3, 1.8).rounded(Dtype::F32)
}

/// Numbers on both sides of the axes; none of them near 0.
fn signed(mut problem: Problem, rng: &mut Rng) -> Problem {
    let all = problem.inputs.iter_mut().flat_map(|m| &mut m.data);
    all.for_each(|x| *x *= if rng.once_in(2) { -1.0 } else { 1.0 });
    problem
}

fn row(problem: &Problem, i: usize, j: usize) -> Row {
    let real = |n: usize, row: usize| {
        let m: &Matrix = &problem.inputs[n];
        &m.data[row * m.cols..][..m.cols]
    };
    let pairs = |n: usize, row: usize| real(n, row).chunks(2).map(|p| Z::new(p[0], p[1]));
    let two = |n: usize, row: usize| {
        let all: Vec<Z> = pairs(n, row).collect();
        [all[0], all[1]]
    };
    let one = |n: usize, row: usize| pairs(n, row).next().expect("a number");
    let x = real(3, j);
    Row {
        z: two(0, i),
        w: two(1, j),
        c: one(2, j),
        x: [x[0], x[1]],
        s: real(4, i)[0],
        p: one(5, 0),
    }
}

/// The sums of what the expressions mean; the imaginary parts are left out where they are real.
fn expected(expressions: &[(&str, Meaning)], complex: bool, problem: &Problem) -> Vec<Matrix> {
    let output = |(_, meaning): &(&str, Meaning)| {
        let mut data = Vec::new();
        let mut cols = 0;
        for i in 0..problem.m {
            let terms = (0..problem.n).map(|j| meaning(&row(problem, i, j)));
            let sum = terms.reduce(|a, b| a.iter().zip(&b).map(|(a, b)| a + b).collect());
            let sum = sum.expect("a row of j");
            let scalars =
                sum.iter().flat_map(|z| if complex { vec![z.re, z.im] } else { vec![z.re] });
            let start = data.len();
            data.extend(scalars);
            cols = data.len() - start;
        }
        Matrix { rows: problem.m, cols, data }
    };
    expressions.iter().map(output).collect()
}

/// Answers to a problem: whose, how far they may be off, and they.
type Answers = Vec<(&'static str, f64, Vec<Matrix>)>;

fn evaluated(problem: &Problem) -> Answers {
    let found = eval::evaluate(&problem.formula, problem.m, problem.n, &problem.inputs);
    vec![("eval", 1e-14, found.expect("the arrays fit"))]
}

/// By compiled code.
fn machines(formulas: &[Formula]) -> impl Fn(usize, &Problem) -> Answers + use<> {
    let level = native::best();
    let native = Native::quick(formulas, Dtype::ALL, &[level]);
    let emulated = Emulated::build(formulas, &[Dtype::F64]);
    move |n, problem| {
        let run = |dtype| native.run(n, dtype, level, problem).expect("it runs");
        let found = emulated.run(n, Dtype::F64, problem, Grid::default()).expect("it runs");
        vec![
            ("f64", 1e-14, run(Dtype::F64)),
            ("f32", 2e-5, run(Dtype::F32)),
            ("cuda", 1e-14, found),
        ]
    }
}

fn check<A: Fn(usize, &Problem) -> Answers>(
    expressions: &[(&str, Meaning)],
    complex: bool,
    make: impl Fn(&[Formula]) -> A,
) {
    let mut rng = Rng::new(11);
    let groups: Vec<&[(&str, Meaning)]> = expressions.chunks(GROUP).collect();
    let formulas: Vec<Formula> = groups.iter().map(|g| formula(g)).collect();
    let answers = make(&formulas);
    let mut wrong = Vec::new();
    for (n, (group, f)) in groups.iter().zip(&formulas).enumerate() {
        let again = parse(&canonical_text(f));
        assert_eq!(canonical_text(&again), canonical_text(f));
        let problem = signed(problem(f.clone(), [5, 3], &mut rng), &mut rng);
        let right = expected(group, complex, &problem);
        let mut compare = |who: &str, allowed: f64, found: Vec<Matrix>| {
            for (k, (text, _)) in group.iter().enumerate() {
                let only = |all: &[Matrix]| vec![all[k].clone()];
                let mut one = f.clone();
                one.outputs = vec![f.outputs[k].clone()];
                if let Some(gap) = compare::worst(&one, &only(&right), &only(&found))
                    && gap.off > allowed
                {
                    wrong.push(format!("{text}, {who}: {gap}"));
                }
            }
        };
        for (who, allowed, found) in answers(n, &problem) {
            compare(who, allowed, found);
        }
    }
    assert!(wrong.is_empty(), "{} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_evaluator_has_complex_arithmetic() {
    check(COMPLEX, true, |_| |_, problem: &Problem| evaluated(problem));
    check(REAL, false, |_| |_, problem: &Problem| evaluated(problem));
}

#[test]
fn complex_expressions() {
    check(COMPLEX, true, machines);
}

#[test]
fn real_expressions_of_complex_values() {
    check(REAL, false, machines);
}

/// Formulas of complex inputs and outputs, to differentiate.
const SMOOTH: &[&str] = &[
    "a[i] = sum[j] z * w / c;",
    "a[i] = sum[j] exp(-sqdist(z, w) * s) * (z | w);",
    "a[i] = sum[j] log(z + c) * sqrt(w * p);",
    "a[i] = sum[j] abs(z - 3 * w) * exp(1j * angle(z));",
    "a[i] = sum[j] (z ** 3 + 1 / w + x / c) * conj(p);",
    "a[i] = sum[j] softmax(s * x[0]) * (z * w);",
    "a[i] = exp(logsumexp[j] real(z[0] * c)) * sum[j where x[0] > 1] z * x;",
    "a[j] = sum[i] p ** -2 * concat(z, c)[1:3] / norm2(z);",
    "a = sum[i] sum[j] normalize(z + w);",
    "a[i] = mean[j] z * c;",
    "a[i] = sum[j] exp(1j * pos(j) * s) * z;",
];

fn gradient(problem: &Problem, rng: &mut Rng) -> Problem {
    let names: Vec<String> = problem.formula.inputs.iter().map(|i| i.name.clone()).collect();
    let output = &problem.formula.outputs[0].name;
    let formula = vjp(&problem.formula, output, &names).expect("it is differentiable");
    verify::verify(&formula).expect("a gradient is a valid formula");
    for (input, output) in problem.formula.inputs.iter().zip(&formula.outputs) {
        assert_eq!((input.dim, input.kind), (formula.dim(output.expr), formula.kind(output.expr)));
    }
    let mut gradient = problem.with(formula);
    gradient.inputs.push(problem.cotangent(0, rng));
    gradient
}

#[test]
fn gradients_agree_with_differences() {
    let mut rng = Rng::new(12);
    let mut wrong = Vec::new();
    let mut problems = Vec::new();
    for text in SMOOTH {
        let f = parse(&format!("tilefold 1; formula f {{ {INPUTS} {text} }}"));
        let value = problem(f, [2, 3], &mut rng);
        let once = gradient(&value, &mut rng);
        let twice = gradient(&once, &mut rng);
        for (order, of, derived) in [("first", &value, &once), ("second", &once, &twice)] {
            let cotangent = derived.inputs.last().expect("the cotangent");
            let right = finite::gradient(of, 0, cotangent);
            let found = oracle::evaluate(&derived.formula, derived.m, derived.n, &derived.inputs);
            if let Some(gap) = compare::worst(&derived.formula, &right, &found)
                && gap.off > 1e-7
            {
                wrong.push(format!("{text} {order} order: {gap}"));
            }
        }
        problems.push(once);
    }
    let formulas: Vec<Formula> = problems.iter().map(|p| p.formula.clone()).collect();
    let native = Native::quick(&formulas, &[Dtype::F64], &[native::best()]);
    for (n, p) in problems.iter().enumerate() {
        let right = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
        let found = native.run(n, Dtype::F64, native::best(), p).expect("it runs");
        if let Some(gap) = compare::worst(&p.formula, &right, &found)
            && gap.off > 1e-12
        {
            wrong.push(format!("{} compiled: {gap}", SMOOTH[n]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
