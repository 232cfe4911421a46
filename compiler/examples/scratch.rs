//! scratch
#![allow(missing_docs)]
use tilefold_compiler::{emit, ir::*, ops::Op, passes, reduce::Reducer};
fn main() {
    let mut f = Formula::new("gauss");
    let x = f.input("x", Some(Axis::I), 3).unwrap();
    let y = f.input("y", Some(Axis::J), 3).unwrap();
    let b = f.input("b", Some(Axis::J), 1).unwrap();
    let g = f.input("g", None, 1).unwrap();
    let s = f.op(Op::SqDist, &[x, y], &[]).unwrap();
    let gs = f.mul(g, s);
    let n = f.neg(gs);
    let k = f.op(Op::Exp, &[n], &[]).unwrap();
    let kb = f.mul(k, b);
    let a = f.sum_over(Axis::J, kb);
    f.output("a", Some(Axis::I), a).unwrap();
    let dir = std::env::args().nth(1).unwrap();
    let v = passes::vjp(&f, "a", &["x".into(), "y".into(), "b".into(), "g".into()]).unwrap();
    let mut h = Formula::new("lse");
    let x = h.input("x", Some(Axis::I), 3).unwrap();
    let y = h.input("y", Some(Axis::J), 3).unwrap();
    let s = h.op(Op::SqDist, &[x, y], &[]).unwrap();
    let n = h.neg(s);
    for (name, red, k) in [
        ("l", Reducer::LogSumExp, 0),
        ("m", Reducer::Min, 0),
        ("am", Reducer::ArgMin, 0),
        ("km", Reducer::KMin, 3),
        ("ak", Reducer::ArgKMin, 3),
    ] {
        let r = h
            .reduce(Reduction { reducer: red, axis: Axis::J, args: vec![n], mask: None, k })
            .unwrap();
        h.output(name, Some(Axis::I), r).unwrap();
    }
    for (name, f) in [("gauss", &f), ("vjp", &v), ("lse", &h)] {
        let t = emit::kernel(f, name, "scratch").unwrap();
        std::fs::write(format!("{dir}/{name}.cpp"), &t.cpp).unwrap();
        std::fs::write(format!("{dir}/{name}.cu"), &t.cu).unwrap();
        std::fs::write(format!("{dir}/{name}.c"), &t.desc).unwrap();
        println!("{}", t.canonical);
    }
}
