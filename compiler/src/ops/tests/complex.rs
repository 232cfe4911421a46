//! Operations that move components, on complex numbers: sizes and places count numbers, not reals.

use super::*;
use crate::ir::{Kind, MAX_DIM};

fn moved(op: Op, params: &[i64], pairs: &[f64]) -> Vec<f64> {
    let mut f = Formula::new("f");
    let z = f.input_of("z", None, pairs.len(), Kind::Complex).expect("pairs");
    let out = f.apply(op, &[z], params);
    assert_eq!(f.kind(out), Kind::Complex, "{op:?}");
    f.output("out", None, out).expect("a parameter");
    evaluate(&f, 0, 0, &[row(pairs)]).expect("evaluates").remove(0).data
}

/// An operation on 1 + 2i, 3 + 4i and two reals, in one order or the other.
fn with_reals(op: Op, reals: [f64; 2], complex_first: bool) -> Vec<f64> {
    let mut f = Formula::new("f");
    let z = f.input_of("z", None, 4, Kind::Complex).expect("pairs");
    let b = f.input("b", None, 2).expect("reals");
    let out = f.apply(op, &if complex_first { [z, b] } else { [b, z] }, &[]);
    f.output("out", None, out).expect("a parameter");
    let inputs = [row(&[1.0, 2.0, 3.0, 4.0]), row(&reals)];
    evaluate(&f, 0, 0, &inputs).expect("evaluates").remove(0).data
}

#[test]
fn complex_numbers_are_moved_whole() {
    let z = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    assert_eq!(moved(Op::Elem, &[1], &z), [3.0, 4.0]);
    assert_eq!(moved(Op::Elem, &[3], &z), [7.0, 8.0]);
    assert_eq!(moved(Op::ElemT, &[3, 2], &z[..2]), [0.0, 0.0, 0.0, 0.0, 1.0, 2.0]);
    assert_eq!(moved(Op::Extract, &[2, 2], &z), z[4..]);
    assert_eq!(moved(Op::ExtractT, &[2, 4], &z[..4]), [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(moved(Op::SumT, &[3], &z[..2]), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
}

#[test]
fn a_limit_of_reals_is_half_of_complex_numbers() {
    let mut f = Formula::new("f");
    let z = f.input_of("z", None, 2, Kind::Complex).expect("pairs");
    let x = f.input("x", None, MAX_DIM).expect("reals");
    let most = MAX_DIM as i64 / 2;
    let repeated = |f: &mut Formula, n: i64| f.op(Op::SumT, &[z], &[n]).map(|id| f.dim(id));
    assert_eq!(repeated(&mut f, most), Ok(MAX_DIM));
    let why = repeated(&mut f, most + 1).expect_err("too many").to_string();
    assert_eq!(why, "sum_t: the result would have 32769 complex components, the limit is 32768");
    let pairs = f.op(Op::AsComplex, &[x], &[]).map(|id| f.dim(id));
    assert_eq!(pairs, Ok(MAX_DIM));
}

#[test]
fn the_first_argument_of_an_inner_product_is_conjugated() {
    assert_eq!(with_reals(Op::Dot, [5.0, 6.0], true), [23.0, -34.0]);
    assert_eq!(with_reals(Op::Dot, [5.0, 6.0], false), [23.0, 34.0]);
}

#[test]
fn reals_are_added_to_real_parts() {
    let of = |op: Op, complex_first: bool| with_reals(op, [5.0, 8.0], complex_first);
    assert_eq!(of(Op::Add, true), [6.0, 2.0, 11.0, 4.0]);
    assert_eq!(of(Op::Add, false), [6.0, 2.0, 11.0, 4.0]);
    assert_eq!(of(Op::Sub, true), [-4.0, 2.0, -5.0, 4.0]);
    assert_eq!(of(Op::Sub, false), [4.0, -2.0, 5.0, -4.0]);
}

#[test]
fn complex_vectors_are_divided_number_by_number() {
    let quotient = |divisor: &[f64]| {
        let mut f = Formula::new("f");
        let z = f.input_of("z", None, 4, Kind::Complex).expect("pairs");
        let b = f.input("b", None, divisor.len()).expect("reals");
        let out = f.apply(Op::Div, &[z, b], &[]);
        f.output("out", None, out).expect("a parameter");
        let inputs = [row(&[1.0, 2.0, 3.0, 4.0]), row(divisor)];
        evaluate(&f, 0, 0, &inputs).expect("evaluates").remove(0).data
    };
    assert_eq!(quotient(&[2.0, -4.0]), [0.5, 1.0, -0.75, -1.0]);
    assert_eq!(quotient(&[2.0]), [0.5, 1.0, 1.5, 2.0]);
}

#[test]
fn pairs_of_reals_stay_reals_until_they_are_called_complex() {
    let mut f = Formula::new("f");
    let x = f.input("x", None, 4).expect("reals");
    let z = f.input_of("z", None, 4, Kind::Complex).expect("pairs");
    let (reals, pairs) = (f.apply(Op::AsReal, &[x], &[]), f.apply(Op::AsReal, &[z], &[]));
    assert_eq!([f.kind(reals), f.kind(pairs)], [Kind::Real; 2]);
    let made = typed::as_complex(&mut f, reals);
    assert_eq!((f.kind(made), f.dim(made)), (Kind::Complex, 4));
    assert_eq!(typed::as_complex(&mut f, pairs), z);
}

#[test]
fn products_of_two_complex_vectors_are_conjugated_too() {
    let mut f = Formula::new("f");
    let z = f.input_of("z", None, 4, Kind::Complex).expect("pairs");
    let w = f.input_of("w", None, 4, Kind::Complex).expect("pairs");
    let out = f.apply(Op::Dot, &[z, w], &[]);
    f.output("out", None, out).expect("a parameter");
    let inputs = [row(&[1.0, 2.0, 3.0, 4.0]), row(&[5.0, 6.0, -7.0, 8.0])];
    let found = evaluate(&f, 0, 0, &inputs).expect("evaluates").remove(0).data;
    // (1 - 2i)(5 + 6i) + (3 - 4i)(-7 + 8i)
    assert_eq!(found, [28.0, 48.0]);
}

/// What each fold says of a complex value, or of a complex second argument.
#[test]
fn folds_of_complex_values_say_what_to_do() {
    use crate::ir::{Axis, Reduction};
    use crate::reduce::Reducer;
    let fold = |reducer: Reducer, kinds: &[Kind]| {
        let mut f = Formula::new("f");
        f.input("x", Some(Axis::I), 1).expect("valid");
        let input = |(n, kind): (usize, &Kind)| {
            let dim = if *kind == Kind::Complex { 2 } else { 1 };
            f.input_of(&format!("y{n}"), Some(Axis::J), dim, *kind).expect("valid")
        };
        let args = kinds.iter().enumerate().map(input).collect();
        let k = if reducer.def().takes_k { 1 } else { 0 };
        let r = Reduction { reducer, axis: Axis::J, args, mask: None, k };
        f.reduce(r).map(|id| f.kind(id)).map_err(|e| e.to_string())
    };
    let (z, x) = (Kind::Complex, Kind::Real);
    for (reducer, kinds) in
        [(Reducer::Sum, &[z][..]), (Reducer::Mean, &[z]), (Reducer::SoftMaxSum, &[x, z])]
    {
        assert_eq!(fold(reducer, kinds), Ok(Kind::Complex), "{reducer:?}");
    }
    for (reducer, kinds, help) in [
        (Reducer::Prod, &[z][..], "write `exp(sum[j] log(z))`"),
        (Reducer::Var, &[z], "add those of real(z) and imag(z)"),
        (Reducer::Any, &[z], "compare it, as in `z != 0`"),
        (Reducer::All, &[z], "compare it, as in `z != 0`"),
        (Reducer::Count, &[z], "compare it, as in `z != 0`"),
        (Reducer::Min, &[z], "complex numbers have no order"),
        (Reducer::ArgKMax, &[z], "complex numbers have no order"),
        (Reducer::LogSumExp, &[z], "complex numbers have no order"),
        (Reducer::SoftMaxSum, &[z, x], "use real(z) or abs(z)"),
        (Reducer::LogSumExpWeight, &[x, z], "write `log(sum[j] exp(s) * w)`"),
    ] {
        let found = fold(reducer, kinds).expect_err("no meaning");
        assert!(found.contains(help), "{reducer:?}: {found}");
    }
}
