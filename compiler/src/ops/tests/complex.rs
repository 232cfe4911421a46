//! Operations that move components, on complex numbers: sizes and places count numbers, not reals.

use super::*;
use crate::ir::Kind;

fn moved(op: Op, params: &[i64], pairs: &[f64]) -> Vec<f64> {
    let mut f = Formula::new("f");
    let z = f.input_of("z", None, pairs.len(), Kind::Complex).expect("pairs");
    let out = f.apply(op, &[z], params);
    assert_eq!(f.kind(out), Kind::Complex, "{op:?}");
    f.output("out", None, out).expect("a parameter");
    evaluate(&f, 0, 0, &[row(pairs)]).expect("evaluates").remove(0).data
}

#[test]
fn complex_numbers_are_moved_whole() {
    let z = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    assert_eq!(moved(Op::Elem, &[1], &z), [3.0, 4.0]);
    assert_eq!(moved(Op::Elem, &[3], &z), [7.0, 8.0]);
    assert_eq!(moved(Op::ElemT, &[3, 1], &z[..2]), [0.0, 0.0, 1.0, 2.0, 0.0, 0.0]);
    assert_eq!(moved(Op::Extract, &[1, 3], &z), z[2..]);
    assert_eq!(moved(Op::ExtractT, &[1, 4], &z[..4]), [0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 0.0, 0.0]);
    assert_eq!(moved(Op::SumT, &[3], &z[..2]), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
}

#[test]
fn the_first_argument_of_an_inner_product_is_conjugated() {
    let inner = |complex_first: bool| {
        let mut f = Formula::new("f");
        let z = f.input_of("z", None, 4, Kind::Complex).expect("pairs");
        let b = f.input("b", None, 2).expect("reals");
        let args = if complex_first { [z, b] } else { [b, z] };
        let out = f.apply(Op::Dot, &args, &[]);
        f.output("out", None, out).expect("a parameter");
        let inputs = [row(&[1.0, 2.0, 3.0, 4.0]), row(&[5.0, 6.0])];
        evaluate(&f, 0, 0, &inputs).expect("evaluates").remove(0).data
    };
    assert_eq!(inner(true), [23.0, -34.0]);
    assert_eq!(inner(false), [23.0, 34.0]);
}
