//! What expressions mean, what is accepted, and that no text makes the parser fall over.

use std::collections::BTreeSet;

use crate::diag::{Diagnostics, code};
use crate::ir::{Axis, Node, canonical_text, key};
use crate::passes::{optimize, vjp};
use crate::reduce::Reducer;

use super::{Instance, Spec, Unit, Variable, instance, keops, parse};

/// Keeps inputs that an expression does not use.
const KEEP: &str = "let _ = x + y + b; let _ = u + v; let _ = g + h;";

/// The canonical text of `a = e` with a few inputs in scope.
fn meaning(expression: &str) -> String {
    let text = format!(
        "tilefold 1;\nformula f {{\n  x[j], y[j], b[j] : R;\n  u[j], v[j] : R^3;\n  g, h : R;\n  \
         {KEEP}\n  a = {expression};\n}}\n"
    );
    let units = parse("test", &text).unwrap_or_else(|e| panic!("{}", e.render("test", &text)));
    canonical_text(&units[0].instances[0].formula)
}

/// Each row: what a user writes, and the calls it stands for.
const MEANINGS: &[(&str, &str)] = &[
    // Python's precedence
    ("sum[j] -x**2", "sum[j] neg(square(x))"),
    ("sum[j] (-x)**2", "sum[j] square(neg(x))"),
    ("sum[j] x**-1", "sum[j] pow(x, -1)"),
    ("sum[j] x**-y**2", "sum[j] powf(x, neg(square(y)))"),
    ("sum[j] x**y**g", "sum[j] powf(x, powf(y, g))"),
    ("sum[j] 2**-1 * x", "sum[j] mul(pow(2, -1), x)"),
    ("sum[j] -x*y", "sum[j] mul(neg(x), y)"),
    ("sum[j] (x - y - b)", "sum[j] sub(sub(x, y), b)"),
    ("sum[j] x / y / b", "sum[j] div(div(x, y), b)"),
    ("sum[j] x * y / b * x", "sum[j] mul(div(mul(x, y), b), x)"),
    ("sum[j] - - x", "sum[j] neg(neg(x))"),
    ("sum[j] x * -y", "sum[j] mul(x, neg(y))"),
    ("sum[j] (u | v - u)", "sum[j] dot(u, sub(v, u))"),
    ("sum[j] exp(u | v)", "sum[j] exp(dot(u, v))"),
    ("sum[j] ((u | v) < x)", "sum[j] lt(dot(u, v), x)"),
    ("sum[j] (u | v < x)", "sum[j] lt(dot(u, v), x)"),
    (
        "sum[j] (x + y < b && x > y || x == b)",
        "sum[j] or(and(lt(add(x, y), b), lt(y, x)), eq(x, b))",
    ),
    ("sum[j] (x >= y)", "sum[j] le(y, x)"),
    ("sum[j] (x != y)", "sum[j] ne(x, y)"),
    // extrema of two, and of all components
    ("sum[j] max(x, y)", "sum[j] maximum(x, y)"),
    ("sum[j] Min(x, 0)", "sum[j] minimum(x, 0)"),
    ("sum[j] max(u)", "sum[j] max_of(u)"),
    // powers and quotients
    ("sum[j] x**1", "sum[j] x"),
    ("sum[j] x**2.0", "sum[j] square(x)"),
    ("sum[j] x**0.5", "sum[j] powf(x, 0.5)"),
    ("sum[j] x**3", "sum[j] pow(x, 3)"),
    ("sum[j] 1/x", "sum[j] inv(x)"),
    ("sum[j] x/3", "sum[j] div(x, 3)"),
    // constants keep their sign
    ("sum[j] -2 * x", "sum[j] mul(-2, x)"),
    ("sum[j] x * -inf", "sum[j] mul(x, -inf)"),
    ("sum[j] -(-3) * x", "sum[j] mul(3, x)"),
    ("sum[j] -IntCst(2) * x", "sum[j] mul(-2.0, x)"),
    // lists, and joining more than two values
    (
        "sum[j] TensorDot(u, v, Ind(3), [1+2], [0], [0])",
        "sum[j] tensordot(u, v, [3], [3], [0], [0])",
    ),
    ("sum[j] Kron(u, v, [3, 1], [1, 3])", "sum[j] kron(u, v, [3, 1], [1, 3])"),
    ("sum[j] tensordot(x, y, [], [], [], [])", "sum[j] tensordot(x, y, Ind(), [], [], [])"),
    ("sum[j] Concat(u, x, v, g)", "sum[j] concat(concat(concat(u, x), v), g)"),
    ("sum[j] outer(u, v)", "sum[j] TensorProd(u, v)"),
    // reductions bind like a product
    ("sum[j] x * y + 1", "add(sum[j] mul(x, y), 1)"),
    ("-g * logsumexp[j] x * y", "mul(neg(g), logsumexp[j] mul(x, y))"),
    ("g / sum[j] x", "div(g, sum[j] x)"),
    ("-sum[j] -x * y", "neg(sum[j] mul(neg(x), y))"),
    ("sum[j](x) / g", "sum[j] div(x, g)"),
    ("logsumexp[j](x, u)[1] * g", "mul(elem(logsumexp[j](x, u), 1), g)"),
    ("max[j] (x - y) * b", "max[j] mul(sub(x, y), b)"),
    ("sum[j where x < y && pos(j) > 0] b", "sum[j where and(lt(x, y), lt(0, pos(j)))] b"),
    ("kmin[j; 2 + 1 where x < 0] x * y", "kmin[j; 3 where lt(x, 0)] mul(x, y)"),
    ("sum[j] sum[j] x", "sum[j] (sum[j] x)"),
    // softmax is a factor of a sum
    ("sum[j] softmax(x) * u", "softmaxsum[j](x, u)"),
    ("sum[j] g * softmax(x) * u / h", "softmaxsum[j](x, div(mul(g, u), h))"),
    ("sum[j] -softmax(x)", "softmaxsum[j](x, -1)"),
    ("sum[j] softmax(x)", "softmaxsum[j](x, 1)"),
    ("sum[j where x < 0] u * softmax(y)", "softmaxsum[j where lt(x, 0)](y, u)"),
    // components
    ("sum[j] u[0] * v[1:3]", "sum[j] mul(elem(u, 0), extract(v, 1, 2))"),
    ("sum[j] u[:2]", "sum[j] extract(u, 0, 2)"),
    // KeOps' spellings
    ("sum[j] Exp(-g*SqDist(u,v))*b", "sum[j] mul(exp(mul(neg(g), sqdist(u, v))), b)"),
    ("sum[j] Var(0,1,1) * Vj(3,3) * Pm(5,1)", "sum[j] mul(mul(x, u), g)"),
    ("sum[j] IntInv(4) * x + RatCst(3,2)", "add(sum[j] mul(0.25, x), 1.5)"),
    ("sum[j] (Zero(3) + u)", "sum[j] add(sum_t(0, 3), u)"),
    ("Sum_Reduction(x*y, 0)", "sum[j] mul(x, y)"),
    ("KMin_Reduction(x, 3, 0)", "kmin[j; 3] x"),
    ("LogSumExp_Reduction(x, 0, u)", "logsumexp[j](x, u)"),
    ("SumSoftMaxWeight_Reduction(x, 0, u)", "softmaxsum[j](x, u)"),
];

#[test]
fn expressions_stand_for_the_calls_of_the_table() {
    for (written, calls) in MEANINGS {
        assert_eq!(meaning(written), meaning(calls), "`{written}` is not `{calls}`");
    }
}

#[test]
fn canonical_text_is_read_back() {
    for (written, _) in MEANINGS {
        let text = meaning(written);
        let kept = text.replace("}\n", &format!("  {KEEP}\n}}\n"));
        let units = parse("test", &kept).unwrap_or_else(|e| panic!("{}", e.render("test", &kept)));
        assert_eq!(canonical_text(&units[0].instances[0].formula), text, "`{written}`");
    }
}

#[test]
fn accumulations_are_part_of_the_text_and_reach_gradients() {
    let formula = |acc: &str| {
        let text = format!("tilefold 1;\nformula f{acc} {{\n  x[j] : R;\n  a = sum[j] x;\n}}\n");
        let units = parse("test", &text).unwrap_or_else(|e| panic!("{}", e.render("test", &text)));
        units[0].instances[0].formula.clone()
    };
    let mut keys = Vec::new();
    for acc in ["", " acc f64", " acc fast"] {
        let f = formula(acc);
        let text = canonical_text(&f);
        assert!(text.starts_with(&format!("tilefold 1;\nformula f{acc} {{")), "{text}");
        let again = &parse("test", &text).expect("canonical text is read back")[0].instances[0];
        assert_eq!(canonical_text(&again.formula), text);
        let gradient = vjp(&f, "a", &["x".into()]).expect("sums have gradients");
        assert_eq!((gradient.acc, optimize(&f).acc), (f.acc, f.acc));
        keys.push(key(&f).to_string());
    }
    keys.dedup();
    assert_eq!(keys.len(), 3);
}

#[test]
fn functions_are_expanded() {
    let text = "tilefold 1;
        fn gauss(r2, g) = exp(-g * r2);
        fn twice(z) = 2 * half(z);
        fn half(z) = z / 2;
        formula f { x[j] : R^2; g : R; a = sum[j] gauss(sqnorm2(twice(x)), g); }
        formula g { x[j] : R^2; g : R; a = sum[j] exp(-g * sqnorm2(2 * (x / 2))); }";
    let units = parse("test", text).unwrap_or_else(|e| panic!("{}", e.render("test", text)));
    let texts = units.iter().map(|unit| canonical_text(&unit.instances[0].formula));
    let texts: Vec<String> = texts.collect();
    assert_eq!(texts[0], texts[1]);
}

#[test]
fn units_carry_what_the_file_says() {
    let text = "//! A file.\ntilefold 1;\n\n/// Line one.\n///\n///   Line three.\n\
        formula f<D: {1..=3, 8}, E: 1..=2> dtype f64 {\n  assert D == 2*E + 1 - 1;\n  \
        /// points\n  x[i], y[i] : R^(D, E);\n  /// the sum\n  s = sum[i] x * y;\n  \
        grad s wrt y;\n}\n";
    let units = parse("dir/f.fold", text).unwrap_or_else(|e| panic!("{}", e.render("f", text)));
    let unit = &units[0];
    assert_eq!((unit.file.as_str(), unit.span_line), ("dir/f.fold", 7));
    assert_eq!(unit.doc, "Line one.\n\n  Line three.");
    assert_eq!(unit.generics[0].values, [1, 2, 3, 8]);
    let dims: Vec<&[usize]> = unit.instances.iter().map(|i| i.dims.as_slice()).collect();
    assert_eq!(dims, [[2, 1]]);
    let formula = &unit.instances[0].formula;
    assert_eq!((formula.inputs[1].dim, formula.inputs[1].doc.as_str()), (2, "points"));
    assert_eq!(formula.outputs[0].doc, "the sum");
    assert_eq!(unit.instances[0].derivatives[0].wrt, ["y"]);
}

/// What `dyn` adds: sizes to try the formula with, and instances for sizes that nobody listed.
#[test]
fn open_dimensions_are_tried_and_made() {
    let text = "tilefold 1;\nformula f<D: {3, dyn}, E: {1, 2}, K: dyn> {\n  assert D == E + 2;\n  \
        x[i] : R^D;\n  y[j] : R^E;\n  \
        a[i] = sum[j] norm2(x) * norm2(y);\n  b[i] = kmin[j; K] norm2(x) * norm2(y);\n  \
        grad a wrt x;\n}\nformula g<D: {2, dyn}> { x[j] : R^D; a = sum[j] x[D - 2]; }\n";
    let units = parse("f.fold", text).unwrap_or_else(|e| panic!("{}", e.render("f.fold", text)));
    let open: Vec<bool> = units[0].generics.iter().map(|g| g.open).collect();
    assert_eq!(open, [true, false, true]);
    assert!(units[0].instances.is_empty(), "K has no members");
    let dims = |n: usize, list: fn(&Unit) -> &Vec<Instance>| -> Vec<Vec<usize>> {
        list(&units[n]).iter().map(|i| i.dims.clone()).collect()
    };
    let tried = dims(0, |unit| &unit.probes);
    assert!(tried.iter().all(|dims| dims[0] == dims[1] + 2), "{tried:?}");
    for (generic, sizes) in [(0, &[3, 4][..]), (1, &[1, 2]), (2, &[1, 2, 8, 64])] {
        for size in sizes {
            assert!(tried.iter().any(|dims| dims[generic] == *size), "{generic} {size}");
        }
    }
    assert_eq!(dims(1, |unit| &unit.instances), [[2]]);
    // One component is too few, and no mistake of the formula.
    assert!(dims(1, |unit| &unit.probes).iter().all(|dims| dims[0] > 2));
    assert_eq!(units[1].shapes().count(), 1 + units[1].probes.len());

    let made = instance(text, "f", &[4, 2, 9]).expect("the assertion holds");
    assert_eq!(made.formula.dim(made.formula.outputs[1].expr), 9);
    assert_eq!(made.derivatives[0].call, "vjp");
    let listed = instance(text, "g", &[2]).expect("it is listed");
    let canonical = |i: &Instance| canonical_text(&i.formula);
    assert_eq!(canonical(&listed), canonical(&units[1].instances[0]));
    let refused = |name: &str, dims: &[usize]| {
        let errors = instance(text, name, dims).expect_err("no such instance");
        assert!(!errors.render("f.fold", text).is_empty());
        (errors.0[0].code, errors.0[0].message.clone())
    };
    let cases: &[(&str, &[usize], &str, &str)] = &[
        ("f", &[5, 3, 1], "E0505", "`E` cannot be 3"),
        ("f", &[4, 1, 1], "E0304", "`f` has no instance D = 4, E = 1, K = 1"),
        ("f", &[3, 1, 0], "E0505", "`K` cannot be 0"),
        ("f", &[3, 1, 257], "E0301", "k is 257"),
        ("f", &[3, 1], "E0207", "`f` has 3 dimensions, but 2 sizes are given"),
        ("h", &[3], "E0201", "no formula `h`"),
        ("g", &[1], "E0305", ""),
    ];
    for (name, dims, code, message) in cases {
        let (found, said) = refused(name, dims);
        assert!(found == *code && said.contains(message), "{name} {dims:?}: {found} {said}");
    }
}

#[test]
fn two_targets_are_two_reductions_of_one_value() {
    let pairs = [("argmin", "min", "argmin"), ("argmax", "max", "argmax")];
    for (written, values, rows) in pairs {
        let of = |body: String| {
            let text = format!("tilefold 1; formula f {{ x[i], y[j] : R; {body} }}");
            let units = parse("test", &text).unwrap_or_else(|e| panic!("{e}"));
            canonical_text(&units[0].instances[0].formula)
        };
        let both = of(format!("d[i], l[i] = {written}[j where x < y] x * y;"));
        let apart = of(format!(
            "d[i] = {values}[j where x < y] x * y; l[i] = {rows}[j where x < y] x * y;"
        ));
        assert_eq!(both, apart);
    }
    let of = |body: &str| {
        let text = format!("tilefold 1; formula f {{ x[i], y[j] : R; {body} }}");
        canonical_text(
            &parse("test", &text).unwrap_or_else(|e| panic!("{e}"))[0].instances[0].formula,
        )
    };
    let apart = of("d[i] = kmin[j; 3] x * y; l[i] = argkmin[j; 3] x * y;");
    assert_eq!(of("d[i], l[i] = kmin[j; 3] x * y;"), apart);
    assert_eq!(of("d[i], l[i] = argkmin[j; 3] x * y;"), apart);
    assert_eq!(of("d[i], l[i] = KMin_ArgKMin_Reduction(x * y, 3, 0);"), apart);
}

#[test]
fn hostile_names_are_names() {
    let names = "i j R C int let \
        grad jvp assert formula fn where wrt dtype acc dyn tilefold pos sum \
        exp softmax class template operator typename namespace nullptr __global__ __shared__ \
        threadIdx blockIdx printf main type match mut impl dyn async await yield macro_rules T V";
    for name in names.split_whitespace() {
        let text = format!(
            "tilefold 1; formula {} {{ {name}[j] : R^2; a = sum[j] {name}[0] * {name}; }}",
            name.to_ascii_lowercase().trim_start_matches('_')
        );
        let units = parse("test", &text).unwrap_or_else(|e| panic!("{}", e.render("test", &text)));
        assert_eq!(units[0].instances[0].formula.inputs[0].name, name);
    }
}

/// The code of the first error of an expression of `x[j]`.
fn refusal(expression: &str) -> &'static str {
    let text = format!("tilefold 1; formula f {{ x[j] : R; a = sum[j] {expression}; }}");
    match parse("test", &text) {
        Ok(_) => "accepted",
        Err(errors) => {
            assert!(!errors.render("test", &text).is_empty());
            errors.0[0].code
        }
    }
}

#[test]
fn long_texts_neither_recur_nor_explode() {
    let nested = |n: usize, open: &str, close: &str| {
        refusal(&format!("{}x{}", open.repeat(n), close.repeat(n)))
    };
    assert_eq!(nested(200, "(", ")"), "accepted");
    assert_eq!(nested(200, "exp(", ")"), "accepted");
    assert_eq!(nested(100_000, "(", ")"), code::NESTING_LIMIT);
    assert_eq!(nested(100_000, "(", ""), code::NESTING_LIMIT);
    assert_eq!(nested(5_000, "-", ""), "accepted");
    assert_eq!(nested(25_000, "-", ""), code::SIZE_LIMIT);
    assert_eq!(nested(4_000, "sum[j] ", ""), "accepted");
    assert_eq!(nested(25_000, "x + ", ""), code::SIZE_LIMIT);
    assert_eq!(nested(25_000, "x ** ", ""), code::SIZE_LIMIT);
    assert_eq!(nested(25_000, "x < ", ""), code::CHAIN);
    assert_eq!(nested(25_000, "", "[0]"), code::SIZE_LIMIT);
    assert_eq!(nested(10_000, "x[j where x] ", ""), code::UNEXPECTED);
}

#[test]
fn deep_texts_do_not_overflow_a_small_stack() {
    for (open, close) in [("(", ")"), ("exp(", ")"), ("sum[j where ", "] x"), ("(1, ", ")")] {
        for depth in [8, 64, 128, 192, 250] {
            let text = format!("{}x{}", open.repeat(depth), close.repeat(depth));
            let parsed =
                std::thread::Builder::new().stack_size(256 << 10).spawn(move || refusal(&text));
            let outcome = parsed.expect("a thread").join().expect("no overflow");
            // Unoptimised frames are too large for the deepest ones, which is an error then.
            let refused = [code::NESTING_LIMIT, code::PAIR];
            assert!(outcome == "accepted" || refused.contains(&outcome), "{outcome}");
        }
    }
}

#[test]
fn no_change_of_a_text_makes_the_parser_panic() {
    let text = "tilefold 1;\n/// Doc.\nfn g(r) = exp(-r**2);\nformula f<D: {1, 2}> dtype f32 {\n  \
        x[i], y[j] : R^D; e : R;\n  let k : R = g(norm2(x - y)) / e;\n  \
        d[i], l[i] = argmin[j where k < 1] (x | y)[0];\n  \
        o[i] = e * sum[j] softmax(k) * y[:1];\n  grad o wrt x;\n}\n";
    assert!(parse("test", text).is_ok());
    let pieces =
        ["", "(", ")", "]", "}", ";", "i", "0", "[j]", "**", "|", ",", "=", "sum[j] ", "\u{e9}"];
    for at in (0..text.len()).filter(|&at| text.is_char_boundary(at)) {
        for (n, piece) in pieces.iter().enumerate() {
            // Every third position for each piece keeps the test quick.
            if (at + n) % 3 == 0 {
                let changed = format!("{}{piece}{}", &text[..at], &text[at + 1..]);
                if let Err(errors) = parse("test", &changed) {
                    assert!(!errors.0.is_empty(), "an error without a reason: {changed}");
                    assert!(!errors.render("test", &changed).is_empty());
                }
            }
        }
    }
}

fn variables() -> Vec<Variable> {
    let var = |name: &str, axis, dim| Variable { name: name.into(), axis, dim };
    vec![var("x", Some(Axis::I), 3), var("y", Some(Axis::J), 3), var("b", Some(Axis::J), 2)]
}

fn spec(name: &str) -> Spec<'_> {
    let k = (name.contains("KMin") || name.contains("KMax")).then_some(4);
    let weight = name.ends_with("Weight").then_some("2*b");
    Spec { name, over: Axis::J, k, weight }
}

#[test]
fn keops_reductions_have_their_outputs() {
    let outputs = |name: &str| -> Vec<(String, usize)> {
        let formula = keops("SqDist(x,y)", &variables(), &spec(name));
        let formula = formula.unwrap_or_else(|e| panic!("{name}: {e}"));
        let dim = |o: &crate::ir::Output| (o.name.clone(), formula.dim(o.expr));
        formula.outputs.iter().map(dim).collect()
    };
    let named = |list: &[(&str, usize)]| -> Vec<(String, usize)> {
        list.iter().map(|&(name, dim)| (name.to_owned(), dim)).collect()
    };
    for name in ["Sum", "Min", "Max", "ArgMin", "ArgMax", "LogSumExp"] {
        assert_eq!(outputs(name), named(&[("out", 1)]), "{name}");
    }
    assert_eq!(outputs("KMin"), named(&[("out", 4)]));
    assert_eq!(outputs("ArgKMin"), named(&[("out", 4)]));
    assert_eq!(outputs("Min_ArgMin"), named(&[("out", 1), ("index", 1)]));
    assert_eq!(outputs("KMin_ArgKMin"), named(&[("out", 4), ("index", 4)]));
    assert_eq!(outputs("LogSumExpWeight"), named(&[("out", 2)]));
    assert_eq!(outputs("SumSoftMaxWeight"), named(&[("out", 2)]));
    assert_eq!(outputs("Max_SumShiftExp"), named(&[("max", 1), ("sum", 1)]));
    assert_eq!(outputs("Max_SumShiftExpWeight"), named(&[("max", 1), ("sum", 2)]));
    assert_eq!(outputs("KMax"), named(&[("out", 4)]));
    assert_eq!(outputs("ArgKMax"), named(&[("out", 4)]));
    assert_eq!(outputs("KMax_ArgKMax"), named(&[("out", 4), ("index", 4)]));
    for name in ["Mean", "Var", "Prod", "Any", "All", "Count", "SoftArgMin", "SoftArgMax"] {
        assert_eq!(outputs(name), named(&[("out", 1)]), "{name}");
    }
}

#[test]
fn zero_reductions_take_a_number() {
    let formula = keops("3", &variables(), &spec("Zero")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(formula.dim(formula.outputs[0].expr), 3);
    let formula = keops("x + Zero_Reduction(3, 0)", &variables(), &spec("Sum"));
    formula.unwrap_or_else(|e| panic!("{e}"));
    for (text, expected) in [("x", code::LITERAL), ("0", code::SHAPE), ("0.5", code::LITERAL)] {
        let errors = keops(text, &variables(), &spec("Zero")).expect_err(text);
        assert_eq!(errors.0[0].code, expected, "{text}");
    }
    let errors = keops("Zero_Reduction(2, 2)", &variables(), &spec("Sum")).expect_err("no tag");
    assert_eq!(errors.0[0].code, code::VARIABLE);
}

#[test]
fn keops_variables_may_be_declared_on_the_spot() {
    let formula = keops("SqDist(x,y)*Var(3,1,2) + Vj(4,1) + x|y", &variables(), &spec("Sum"));
    let formula = formula.unwrap_or_else(|e| panic!("{e}"));
    let inputs: Vec<(&str, Option<Axis>)> =
        formula.inputs.iter().map(|input| (input.name.as_str(), input.axis)).collect();
    assert_eq!(inputs[3..], [("var3", None), ("var4", Some(Axis::J))]);
}

#[test]
fn keops_errors_point_into_the_string() {
    let fail = |expr: &str, spec: Spec<'_>| -> Diagnostics {
        keops(expr, &variables(), &spec).expect_err(expr)
    };
    let errors = fail("Exp(-SqDits(x,y))", spec("Sum"));
    assert_eq!(errors.0[0].span, Some(5..11));
    assert_eq!(errors.0[0].helps, ["did you mean `SqDist`?"]);
    assert_eq!(fail("x+b", spec("Sum")).0[0].code, code::SHAPE);
    assert_eq!(fail("x", spec("Summ")).0[0].code, code::UNKNOWN_REDUCTION);
    assert_eq!(fail("x", Spec { k: Some(3), ..spec("Sum") }).0[0].code, code::ARITY);
    assert_eq!(fail("x", Spec { k: None, ..spec("KMin") }).0[0].code, code::ARITY);
    assert_eq!(fail("x[0]", Spec { weight: Some("b+x"), ..spec("LogSumExp") }).0[0].span, None);
    let named = |name: &str| {
        let var = Variable { name: name.into(), axis: Some(Axis::J), dim: 1 };
        keops("1", &[var.clone(), var], &spec("Sum")).expect_err(name).0[0].code
    };
    assert_eq!(named("x"), code::DUPLICATE);
    for name in ["", "1x", "x y", "x;", "x[i] : R;\n y", "\u{e9}", "self", "nan", &"x".repeat(65)] {
        assert_eq!(named(name), code::BAD_NAME, "{name:?}");
    }
    assert_eq!(fail("__import__('os')", spec("Sum")).0[0].code, code::UNEXPECTED);
    assert_eq!(fail("Grad(x,y,b)", spec("Sum")).0[0].code, code::SHAPE);
    assert_eq!(fail("x; formula g {}", spec("Sum")).0[0].code, code::UNEXPECTED);
}

/// Without its name in the grammar a reduction would parse as a subscript wherever what follows
/// could be the second operand of an operator.
#[test]
fn the_grammar_has_the_names_of_the_table_of_reductions() {
    let grammar = include_str!("parse/formula.pest");
    let (_, rule) = grammar.split_once("\nreducer = @{").expect("the rule");
    let (rule, _) = rule.split_once('}').expect("its end");
    let written: BTreeSet<&str> = rule.split('"').skip(1).step_by(2).collect();
    let table: BTreeSet<&str> = Reducer::ALL.iter().map(|r| r.def().name).collect();
    assert_eq!(written, table);
}

#[test]
fn composite_reductions_are_expanded() {
    for (name, node) in [("softargmin", "softmaxsum[j]"), ("softargmax", "softmaxsum[j]")] {
        let text =
            format!("tilefold 1; formula f {{ x[i], y[j] : R; a[i] = {name}[j] -(x*y)**2; }}");
        let units = parse("test", &text).unwrap_or_else(|e| panic!("{}", e.render("test", &text)));
        let canonical = canonical_text(&units[0].instances[0].formula);
        assert!(canonical.contains(node), "{canonical}");
    }
}

#[test]
fn every_reduction_of_the_table_has_a_place_in_the_grammar() {
    for reducer in Reducer::ALL {
        let def = reducer.def();
        let k = if def.takes_k { "; 2" } else { "" };
        let operand = if def.arity == 2 { "(x, y)" } else { "-x" };
        if def.expand.is_some() {
            continue;
        }
        let text = format!(
            "tilefold 1; formula f {{ x[j], y[j] : R; let _ = y; a = {}[j{k}] {operand}; }}",
            def.name
        );
        let units = parse("test", &text).unwrap_or_else(|e| panic!("{}", e.render("test", &text)));
        let formula = &units[0].instances[0].formula;
        let found = match formula.node(formula.outputs[0].expr) {
            Node::Reduce(reduction) => Some(reduction.reducer),
            _ => None,
        };
        assert_eq!(found, Some(*reducer));
    }
}

/// A call that was expanded before is not expanded again, but counts as if it were.
#[test]
fn known_calls_meet_the_same_limits() {
    let chain = |letter: char, of: &str, len: usize| -> String {
        let call = |n: usize| match n {
            0 => format!("{of}(x)"),
            n => format!("{letter}{}(x)", n - 1),
        };
        (0..len).map(|n| format!("fn {letter}{n}(x) = {};\n", call(n))).collect()
    };
    let found = |value: &str, outer: usize| {
        let functions = chain('s', "square", 40) + &chain('t', "s39", outer);
        let text = format!("tilefold 1;\n{functions}formula f {{ x[j] : R; a = sum[j] {value}; }}");
        parse("test", &text).map(|units| canonical_text(&units[0].instances[0].formula))
    };
    for before in ["0", "s39(x)", "s20(x)"] {
        assert!(found(&format!("({before} + t23(x))"), 24).is_ok(), "{before}");
        let errors = found(&format!("({before} + t24(x))"), 25).expect_err("65 calls");
        assert_eq!(errors.0[0].code, code::NESTING_LIMIT);
        assert!(errors.0[0].related[0].1.contains("`s1`"), "{errors:?}");
    }
    let twice: String =
        (1..30).map(|n| format!("fn f{n}(x) = f{}(x) + f{}(x);\n", n - 1, n - 1)).collect();
    let text = |n: usize| {
        let functions = format!("fn f0(x) = x;\n{twice}");
        format!("tilefold 1;\n{functions}formula f {{ x[j] : R; a = sum[j] f{n}(x); }}")
    };
    // 4 * 2^n - 2 nodes of expressions, two for the sum.
    assert!(parse("test", &text(17)).is_ok());
    let errors = parse("test", &text(18)).expect_err("more than a million");
    assert_eq!((errors.0[0].code, errors.0[0].related.len()), (code::SIZE_LIMIT, 4));
}
