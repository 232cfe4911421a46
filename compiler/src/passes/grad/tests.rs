//! Derivatives in their canonical text: what a person would write.

use crate::front::parse;
use crate::ir::canonical_text;

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

#[test]
fn dump() {
    for body in [
        "x[i] : R^3; a[i] = exp(x); jvp a wrt x;",
        "x[i], z[i] : R^3; a[i] = x*z; jvp a wrt x, z;",
        "x[i] : R^3; z[i] : R; a[i] = x*z; jvp a wrt x, z;",
        "x[i], z[i] : R^3; a[i] = x/z; jvp a wrt x, z;",
        "x[i], z[i] : R^3; a[i] = concat(x, z); jvp a wrt x, z;",
        "x[i] : R^3; a[i] = norm2(x); jvp a wrt x;",
        "x[i] : R^6; z[i] : R^3; a[i] = matvecmult(x, z); jvp a wrt x, z;",
        "x[i] : R^2; z[i] : R^3; a[i] = tensorprod(x, z); jvp a wrt x, z;",
        "x[i] : R^2; z[i] : R^2; a[i] = where(x, z, sin(x)); jvp a wrt x, z;",
        "x[i] : R^2; a[i] = max_of(x); jvp a wrt x;",
        "x[i], y[j] : R^2; a[i] = sum[j] exp(-sqdist(x, y)); jvp a wrt x, y;",
        "x[i], y[j] : R; a[i] = logsumexp[j] x*y; jvp a wrt x, y;",
        "x[i], y[j] : R; v[j] : R^2; a[i] = sum[j] softmax(x*y) * v; jvp a wrt x, y, v;",
        "x[i], y[j] : R; v[j] : R^2; a[i] = sum[j] softmax(x*y) * v; grad a wrt x, y, v;",
        "x[i], y[j] : R^3; a[i] = sum[j] laplacian(exp(-sqdist(x, y)), x);",
        "x[i], y[j] : R^3; a[i] = sum[j] divergence(exp(-sqdist(x, y))*x, x);",
        "x[i], y[j] : R^3; a[i] = sum[j] grad_matrix(x*x*y, x);",
        "x[i], y[j] : R^3; a[i] = laplacian(logsumexp[j] -sqdist(x,y), x);",
        "x[i], y[j] : R^3; e[i] : R; a[j] = grad(sum[j] exp(-sqdist(x,y)), y, e);",
        "x[i], y[j] : R^3; e[i] : R; a[i] = sum[j] exp(-sqdist(x,y)); grad a wrt x; jvp d_x wrt x;",
        "x[i], y[j] : R^3; A[j]: R^9; a[i] = sum[j] divergence(matvecmult(A, x), x);",
    ] {
        println!("{body}\n   {}", derived(body));
    }
}
