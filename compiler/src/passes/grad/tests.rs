//! Derivatives in their canonical text: what a person would write.

use crate::front::parse;
use crate::ir::{Axis, Formula, canonical_text};
use crate::ops::Op;

use super::{GradError, MAX_DERIVED, check_size, linearity, vjp};

/// The lines that a derivative adds to the declarations, as `a; b; c`.
fn derived(body: &str) -> String {
    let text = format!("tilefold 1; formula f {{ {body} }}");
    let units = parse("test", &text).unwrap_or_else(|e| panic!("{}", e.render("test", &text)));
    let instance = &units[0].instances[0];
    let formula = instance.derivatives.last().map_or(&instance.formula, |d| &d.formula);
    let text = canonical_text(formula);
    let lines = text.lines().skip(2).map(str::trim).filter(|l| !l.contains(" : ") && *l != "}");
    lines.filter(|l| !l.starts_with("let _")).collect::<Vec<_>>().join(" ")
}

/// Checks tables of formulas and the lines that are left of their derivatives.
fn check(table: &[(&str, &str)]) {
    for (body, expected) in table {
        assert_eq!(derived(body), *expected, "{body}");
    }
}

#[test]
fn forward_mode_is_what_one_would_write() {
    check(&[
        (
            "x[i] : R^3; a[i] = exp(x); jvp a wrt x;",
            "let v0 = exp(x); let v1 = mul(t_x, v0); t_a[i] = v1;",
        ),
        (
            "x[i], z[i] : R^3; a[i] = x*z; jvp a wrt x, z;",
            "let v0 = mul(t_x, z); let v1 = mul(t_z, x); let v2 = add(v0, v1); t_a[i] = v2;",
        ),
        ("x[i] : R^3; g : R; a[i] = g*x; jvp a wrt g;", "let v0 = mul(t_g, x); t_a[i] = v0;"),
        ("x[i], z[i] : R^3; a[i] = x/z; jvp a wrt x;", "let v0 = div(t_x, z); t_a[i] = v0;"),
        ("x[i], z[i] : R^3; a[i] = x - z; jvp a wrt x, z;", "let v0 = sub(t_x, t_z); t_a[i] = v0;"),
        (
            "x[i], z[i] : R^3; a[i] = concat(x, z); jvp a wrt x, z;",
            "let v0 = concat(t_x, t_z); t_a[i] = v0;",
        ),
        ("x[i] : R^3; a[i] = x[1:3]; jvp a wrt x;", "let v0 = extract(t_x, 1, 2); t_a[i] = v0;"),
        (
            "x[i] : R^3; a[i] = norm2(x); jvp a wrt x;",
            "let v0 = mul(2.0, x); let v1 = mul(t_x, v0); let v2 = sum(v1); let v3 = square(x); \
             let v4 = sum(v3); let v5 = rsqrt(v4); let v6 = mul(0.5, v5); let v7 = mul(v2, v6); \
             t_a[i] = v7;",
        ),
        (
            "A[i] : R^6; x[i] : R^3; a[i] = matvecmult(A, x); jvp a wrt A, x;",
            "let v0 = matvecmult(t_A, x); let v1 = matvecmult(A, t_x); let v2 = add(v0, v1); \
             t_a[i] = v2;",
        ),
        (
            "x[i] : R^2; z[i] : R^3; a[i] = tensorprod(x, z); jvp a wrt x, z;",
            "let v0 = tensorprod(t_x, z); let v1 = tensorprod(x, t_z); let v2 = add(v0, v1); \
             t_a[i] = v2;",
        ),
        (
            "c[i], x[i], z[i] : R^2; a[i] = ifelse(c, x, z); jvp a wrt x;",
            "let v0 = ifelse(c, t_x, 0.0); t_a[i] = v0;",
        ),
        // A piecewise constant value does not move, and neither does what is not asked for.
        (
            "x[i], z[i] : R^2; a[i] = floor(x) * z; jvp a wrt x;",
            "let v0 = sum_t(0.0, 2); t_a[i] = v0;",
        ),
    ]);
}

#[test]
fn forward_mode_of_reductions_is_a_reduction() {
    check(&[
        (
            "x[i], y[j] : R^2; a[i] = sum[j where x[0] < y[0]] x*y; jvp a wrt x;",
            "let v0 = mul(t_x, y); let v1 = elem(x, 0); let v2 = elem(y, 0); let v3 = lt(v1, v2); \
             let v4 = sum[j where v3] v0; t_a[i] = v4;",
        ),
        (
            "x[i], y[j] : R; a[i] = logsumexp[j] x*y; jvp a wrt y;",
            "let v0 = mul(t_y, x); let v1 = mul(x, y); let v2 = logsumexp[j] v1; \
             let v3 = eq(v2, -inf); let v4 = where(v3, 0.0, v2); let v5 = sub(v1, v4); \
             let v6 = exp(v5); let v7 = mul(v0, v6); let v8 = sum[j] v7; t_a[i] = v8;",
        ),
        (
            "s[j] : R; v[j] : R^2; a = softmaxsum[j](s, v); jvp a wrt v;",
            "let v_0 = logsumexp[j] s; let v_1 = eq(v_0, -inf); let v_2 = where(v_1, 0.0, v_0); \
             let v_3 = sub(s, v_2); let v_4 = exp(v_3); let v_5 = mul(t_v, v_4); \
             let v_6 = sum[j] v_5; t_a = v_6;",
        ),
    ]);
}

#[test]
fn operators_cost_what_a_person_would_spend() {
    check(&[
        // (4 r^2 - 2 D) exp(-r^2)
        (
            "x[i], y[j] : R^3; a[i] = sum[j] laplacian(exp(-sqdist(x, y)), x);",
            "let v0 = sub(x, y); let v1 = mul(2.0, v0); let v2 = square(v0); let v3 = sum(v2); \
             let v4 = neg(v3); let v5 = exp(v4); let v6 = mul(v5, v1); let v7 = mul(v1, v6); \
             let v8 = sum(v7); let v9 = neg(v5); let v10 = mul(v9, 2.0); let v11 = mul(3.0, v10); \
             let v12 = add(v8, v11); let v13 = sum[j] v12; a[i] = v13;",
        ),
        (
            "x[i] : R^2; y[j] : R^2; a[i] = sum[j] GradMatrix(x*y, x); let _ = x;",
            "let v0 = elem(y, 0); let v1 = elem_t(v0, 2, 0); let v2 = elem(y, 1); \
             let v3 = elem_t(v2, 2, 1); let v4 = concat(v1, v3); let v5 = sum[j] v4; a[i] = v5;",
        ),
        (
            "A[j] : R^4; x[i] : R^2; a[i] = sum[j] divergence(matvecmult(A, x), x); let _ = x;",
            "let v0 = elem(A, 0); let v1 = elem(A, 3); let v2 = add(v0, v1); let v3 = sum[j] v2; \
             a[i] = v3;",
        ),
        (
            "x[i] : R^3; y[j] : R^3; a[i] = sum[j] trace_operator(x*y, x); let _ = x;",
            "let v0 = sum(y); let v1 = sum[j] v0; a[i] = v1;",
        ),
        (
            "x[i] : R^3; y[j] : R^3; a[i] = sum[j] SumLinOperator(x*y, x); let _ = x;",
            "let v0 = sum(y); let v1 = sum[j] v0; a[i] = v1;",
        ),
        (
            "x[i] : R^3; y[j] : R^3; a[i] = sum[j] AdjointOperator(dot(x, y), x, 2); let _ = x;",
            "let v0 = mul(2.0, y); let v1 = sum[j] v0; a[i] = v1;",
        ),
    ]);
}

#[test]
fn adjoints_are_summed_over_all_uses() {
    check(&[
        (
            "x[i], y[j] : R; let _ = y; a[i] = sum[j] x; grad a wrt x;",
            "let v0 = sum[j] d_a; d_x[i] = v0;",
        ),
        (
            "x[i], y[j] : R; let _ = x; a[i] = sum[j] y; grad a wrt y;",
            "let v0 = sum[i] d_a; d_y[j] = v0;",
        ),
        (
            "x[i], y[j], p : R; let _ = x + y; a[i] = sum[j] p; grad a wrt p;",
            "let v0 = sum[i] d_a; let v1 = sum[j] v0; d_p = v1;",
        ),
        ("x[i], y[j] : R; let _ = y; a = sum[i] x; grad a wrt x;", "d_x[i] = d_a;"),
        (
            "x[i], y[j] : R; p : R; let _ = x; a[i] = p * max[j] y; grad a wrt p;",
            "let v0 = sum[i] d_a; let v1 = max[j] y; let v2 = mul(v0, v1); d_p = v2;",
        ),
    ]);
}

#[test]
fn folds_over_an_index_that_is_kept_have_rows_of_their_own() {
    check(&[
        (
            "x[i], y[j] : R^2; a[i] = sum[j] divergence(x * (sum[j] (x | y)), x);",
            "let v0 = sum[j] y; let v1 = mul(x, v0); let v2 = sum(v1); let v3 = mul(x, y); \
             let v4 = sum(v3); let v5 = sum[j] v4; let v6 = mul(2.0, v5); let v7 = add(v2, v6); \
             let v8 = sum[j] v7; a[i] = v8;",
        ),
        (
            "x[i], y[j] : R^2; let _ = x; a[i] = divergence(sum[j] x * y, x);",
            "let v0 = sum(y); let v1 = sum[j] v0; a[i] = v1;",
        ),
        (
            "x[i] : R^2; y[j], p : R^2; let _ = p; \
             a[i] = sum[j] divergence(y * (sum[j] p * y), p) * x;",
            "let v0 = elem(y, 0); let v1 = elem_t(1.0, 2, 0); let v2 = mul(v1, y); \
             let v3 = sum[j] v2; let v4 = elem(v3, 0); let v5 = mul(v0, v4); let v6 = elem(y, 1); \
             let v7 = elem_t(1.0, 2, 1); let v8 = mul(v7, y); let v9 = sum[j] v8; \
             let v10 = elem(v9, 1); let v11 = mul(v6, v10); let v12 = add(v5, v11); \
             let v13 = mul(v12, x); let v14 = sum[j] v13; a[i] = v14;",
        ),
    ]);
}

/// Values of x[i] : R^2, y[j] : R^2 and p : R, and what is not linear in x.
const LINEAR: &[(&str, Option<&str>)] = &[
    ("x", None),
    ("2 * x - x / p", None),
    ("-x", None),
    ("sum(x) * x[0]", Some("mul")),
    ("sum[j] (x | y)", None),
    ("concat(x, x[0])", None),
    ("cumsum(x)", None),
    ("where(p < 0, x, 2 * x)", None),
    ("where(x < 0, x, 2 * x)", Some("lt")),
    ("x + 0", None),
    ("x + 1", Some("add")),
    ("x + p", Some("add")),
    ("x * x", Some("mul")),
    ("p / x", Some("div")),
    ("pow(x, 3)", Some("pow")),
    ("square(x)", Some("square")),
    ("abs(x)", Some("abs")),
    ("relu(x)", Some("relu")),
    ("cbrt(x)", Some("cbrt")),
    ("clamp(x, -1, 1)", Some("clamp")),
    ("clamp(x, -100, 100)", Some("clamp")),
    ("sin(x)", Some("sin")),
    ("max(x)", Some("max_of")),
    ("sum[j] x * y", None),
    ("mean[j] x", None),
    ("sum[j where y[0] < 0] x", None),
    ("softmaxsum[j](y[0], x)", None),
    ("sum[j where x[0]] x", Some("sum")),
    ("softmaxsum[j](x[0], y)", Some("softmaxsum")),
    ("max[j] x * y", Some("max")),
    ("prod[j] x", Some("prod")),
    ("logsumexp[j] x[0] * y[0]", Some("logsumexp")),
    ("var[j] x * y", Some("var")),
];

#[test]
fn linear_is_what_is_additive_and_homogeneous() {
    let read = |value: &str| {
        let inputs = "x[i] : R^2; y[j] : R^2; p : R; let _ = x + y + p;";
        let text = format!("tilefold 1; formula f {{ {inputs} a[i] = {value}; }}");
        let units = parse("test", &text).unwrap_or_else(|e| panic!("{}", e.render("test", &text)));
        units[0].instances[0].formula.clone()
    };
    let found = |value: &str| {
        let mut f = read(value);
        let x = f.input_expr(0);
        linearity::check(&f, f.outputs[0].expr, x)
    };
    for &(value, expected) in LINEAR {
        match (found(value), expected) {
            (Ok(()), None) => {}
            (Err(GradError::NotLinear { what, .. }), Some(expected)) => {
                assert_eq!(what, expected, "{value}");
            }
            (found, _) => panic!("{value}: {found:?}"),
        }
    }
    assert_eq!(found("sum[j] y"), Err(GradError::Independent));
    assert_eq!(found("1"), Err(GradError::Independent));
    assert_eq!(found("0"), Ok(()));
}

#[test]
fn derivatives_have_a_largest_size() {
    let mut f = Formula::new("f");
    let mut top = f.input("x", Some(Axis::I), 1).expect("valid");
    while f.len() < MAX_DERIVED {
        top = f.apply(Op::Neg, &[top], &[]);
    }
    assert_eq!(check_size(&f), Ok(()));
    f.output("a", Some(Axis::I), top).expect("rows of i");
    let found = vjp(&f, "a", &["x".into()]).map(|_| ());
    assert_eq!(found, Err(GradError::TooLarge));
}
