//! The rules around LazyTensor's operations: what may stand beside what, what is broadcast, which
//! mistakes are made and where they are reported, products, derivatives, types of arrays.

use ndarray::{Array, Array1, Array2, ArrayView2, array, s};
use num_complex::Complex;
use tilefold::{Axis, Code, LazyTensor, bf16, evaluate, f16};

type Lazy<'a> = LazyTensor<'a, f64>;

fn grid(rows: usize, cols: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, cols), |(r, c)| ((r * 5 + c * 3) % 11) as f64 * 0.25 - 1.0)
}

#[track_caller]
fn close(found: ArrayView2<f64>, expected: ArrayView2<f64>) {
    assert_eq!(found.dim(), expected.dim());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= 1e-12 * (1.0 + e.abs()), "found {found}, expected {expected}");
    }
}

/// `sum_j f(x_i, y_j)` for rows of one component.
fn loops(x: &Array2<f64>, y: &Array2<f64>, f: impl Fn(&[f64], &[f64]) -> f64) -> Array2<f64> {
    let sum = |i: usize| y.outer_iter().map(|y| f(&x.row(i).to_vec(), &y.to_vec())).sum::<f64>();
    Array2::from_shape_fn((x.nrows(), 1), |(i, _)| sum(i))
}

#[test]
fn values_references_and_numbers_stand_on_both_sides() {
    let (x, y) = (grid(4, 1), grid(3, 1));
    let expected = loops(&x, &y, |x, y| 2.0 * (x[0] - y[0]) / 3.0 + 0.5);
    let (x, y): (Lazy, Lazy) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
    let all = [
        2.0 * (x.clone() - y.clone()) / 3.0 + 0.5,
        2.0 * (x.clone() - &y) / 3.0 + 0.5,
        2.0 * (&x - y.clone()) / 3.0 + 0.5,
        2 * (&x - &y) / 3 + 0.5,
        0.5 + 2 * (-(&y - &x)) * (1.0 / 3.0),
        0.5 - (2 * (&y - &x) / 3),
        (&x - &y) * LazyTensor::number(2.0) / LazyTensor::constant(3.0) + 0.5,
    ];
    for value in &all {
        close(value.sum(Axis::J).eval().unwrap().view(), expected.view());
    }
}

#[test]
fn parameters_are_arrays_beside_variables() {
    let (x, y, p) = (grid(4, 3), grid(5, 3), array![0.5, -1.0, 2.0]);
    let weighted = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).zip([0.5, -1.0, 2.0]).map(|((x, y), p)| p * x * y).sum()
    };
    let expected = loops(&x, &y, weighted);
    let found = (LazyTensor::i(x.view()) * LazyTensor::param(p.view())) | LazyTensor::j(y.view());
    close(found.sum(Axis::J).eval().unwrap().view(), expected.view());
}

#[test]
fn a_scalar_is_broadcast_to_a_vector() {
    let (x, y) = (grid(4, 1), grid(5, 3));
    let found = (LazyTensor::i(x.view()) * LazyTensor::j(y.view())).sum(Axis::J).eval().unwrap();
    let expected = x.dot(&y.sum_axis(ndarray::Axis(0)).insert_axis(ndarray::Axis(0)));
    close(found.view(), expected.view());
}

#[test]
fn one_row_is_no_parameter() {
    let (x, y) = (grid(1, 2), grid(1, 2));
    let d = LazyTensor::i(x.view()).sqdist(LazyTensor::j(y.view()));
    assert_eq!((d.rows(Axis::I), d.rows(Axis::J)), (Some(1), Some(1)));
    close(d.sum(Axis::J).eval().unwrap().view(), array![[0.0]].view());
}

#[test]
fn zero_times_a_value_keeps_its_nan_and_its_shape() {
    let (x, zero) = (array![[1.0], [f64::NAN], [f64::INFINITY]], 0);
    let found = (zero * LazyTensor::j(x.view())).sum(Axis::J).eval().unwrap();
    assert!(found[[0, 0]].is_nan());
}

#[test]
fn shape_and_text_say_what_an_expression_is() {
    let (x, y) = (grid(4, 3), grid(5, 3));
    let (x, y): (Lazy, Lazy) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
    let d = x.sqdist(&y);
    assert_eq!((x.shape(), d.shape()), (vec![4, 1, 3], vec![4, 5, 1]));
    assert_eq!((x.dim(), d.dim(), d.t().shape()), (3, 1, vec![5, 4, 1]));
    let (shown, debug) = (d.to_string(), format!("{d:?}"));
    assert!(shown.contains("sqdist") && debug.contains("sqdist"), "{shown}\n{debug}");
}

#[test]
fn the_first_mistake_is_carried_to_the_end_and_names_its_line() {
    let (x, y) = (grid(4, 3), grid(5, 2));
    let (x, y): (Lazy, Lazy) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
    let line = line!() + 1;
    let wrong = &x - &y;
    let later = (wrong.exp() + y.elem(7)).sum_inner().sum(Axis::J);
    let why = later.eval().unwrap_err();
    assert_eq!(why.code(), Code::Expression);
    // As docs/lazytensor.md shows it.
    let expected = format!(
        "error[T070]: sub at tests/tests/lazy_rules.rs:{line}:17: dimensions 2 and 3 do not match\n\
         \x20 \
         = help: operand 1 is a value a row of i, R^3, 4 rows of i\n  \
         = help: operand 2 is a value a row of j, R^2, 5 rows of j"
    );
    assert_eq!(why.to_string(), expected);
    assert!(later.mistake().is_some());
}

/// Every mistake, where it is made and what the message says of both sides.
#[test]
fn mistakes_name_both_sides() {
    let (x, y, z) = (grid(4, 3), grid(5, 2), grid(6, 3));
    let (x, y): (Lazy, Lazy) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
    let z: Lazy = LazyTensor::i(z.view());
    let complex = x.exp1j();
    let all: [(Lazy, Code, &[&str]); 13] = [
        (x.exp() * y.exp(), Code::Expression, &["mul", "3", "2"]),
        (&x + &z, Code::Rows, &["add", "4", "6"]),
        (&x | &y, Code::Expression, &["dot", "3", "2"]),
        (x.elem(3), Code::Expression, &["elem", "3", "0 to 2"]),
        (x.slice(2..5), Code::Expression, &["extract", "3 components", "index 2"]),
        (x.slice(2..2), Code::Expression, &["extract", "0"]),
        (x.elem(usize::MAX), Code::Expression, &["elem", "0 to 2"]),
        (LazyTensor::concatenate(&[]), Code::Expression, &["concat", "2", "0"]),
        (x.matvecmult(&y), Code::Expression, &["matvecmult", "3", "2"]),
        (x.one_hot(4), Code::Expression, &["one_hot", "scalar", "3"]),
        (complex.lt(&complex), Code::Expression, &["lt", "no order"]),
        (x.logsumexp(Axis::J), Code::Expression, &["logsumexp", "3"]),
        (x.kmin(1000, Axis::I), Code::Expression, &["kmin", "1000", "256"]),
    ];
    for (value, code, parts) in all {
        let why = value.sum(Axis::J).eval().expect_err("a mistake");
        let text = why.to_string();
        assert_eq!(why.code(), code, "{text}");
        for part in parts.iter().chain(&["lazy_rules.rs"]) {
            assert!(text.contains(part), "{text} lacks {part}");
        }
    }
}

#[test]
fn pairs_are_reduced_before_they_are_evaluated() {
    let (x, y) = (grid(4, 3), grid(5, 3));
    let why = LazyTensor::i(x.view()).sqdist(LazyTensor::j(y.view())).eval().unwrap_err();
    assert_eq!(why.code(), Code::Unreduced);
    assert!(why.to_string().contains("4 x 5"), "{why}");
}

#[test]
fn more_entries_than_rows_are_refused() {
    let (x, y) = (grid(4, 3), grid(2, 3));
    let d = LazyTensor::i(x.view()).sqdist(LazyTensor::j(y.view()));
    let why = d.argkmin(3, Axis::J).eval_index().unwrap_err();
    assert!(why.to_string().contains('3') && why.to_string().contains('2'), "{why}");
}

#[test]
fn no_rows_give_what_the_reduction_says() {
    let (x, y) = (grid(3, 2), grid(0, 2));
    let d = LazyTensor::i(x.view()).sqdist(LazyTensor::j(y.view()));
    assert_eq!(d.sum(Axis::J).eval().unwrap(), Array2::<f64>::zeros((3, 1)));
    assert_eq!(d.min(Axis::J).eval().unwrap(), Array2::from_elem((3, 1), f64::INFINITY));
    assert!(d.argmin(Axis::J).eval_index().is_err());
    assert_eq!(d.sum(Axis::I).eval().unwrap().dim(), (0, 1));
}

#[test]
fn strides_are_those_of_the_view() {
    let whole = grid(9, 6);
    let (x, y) = (whole.slice(s![..;-2, ..;2]), whole.slice(s![1..;3, ..3]));
    let found = LazyTensor::i(x).sqdist(LazyTensor::j(y)).sum(Axis::J).eval().unwrap();
    let (x, y) = (x.to_owned(), y.to_owned());
    let dense = LazyTensor::i(x.view()).sqdist(LazyTensor::j(y.view())).sum(Axis::J);
    assert_eq!(found, dense.eval().unwrap());
}

#[test]
fn a_product_with_a_vector_or_a_matrix_is_a_linear_operator() {
    let (x, y, v) = (grid(4, 3), grid(5, 3), grid(5, 2));
    let k = (-LazyTensor::i(x.view()).sqdist(LazyTensor::j(y.view()))).exp();
    let dense = Array2::from_shape_fn((4, 5), |(i, j)| {
        (-(&x.row(i) - &y.row(j)).mapv(|d| d * d).sum()).exp()
    });
    close(k.dot(&v).unwrap().view(), dense.dot(&v).view());
    let column: Array1<f64> = k.dot(&v.column(0)).unwrap();
    close(column.insert_axis(ndarray::Axis(1)).view(), dense.dot(&v.slice(s![.., ..1])).view());
    let u = grid(4, 1);
    close(k.t().dot(&u).unwrap().view(), dense.t().dot(&u).view());
    let why = LazyTensor::i(x.view()).dot(&v).unwrap_err();
    assert!(why.to_string().contains("one component"), "{why}");
    let why = k.dot(&u).unwrap_err();
    assert!(why.to_string().contains('4') && why.to_string().contains('5'), "{why}");
}

#[test]
fn gradients_are_differences() {
    let (x, y, b) = (grid(4, 2), grid(5, 2), grid(5, 1));
    let loss = |x: &Array2<f64>| -> f64 {
        let k = (-LazyTensor::i(x.view()).sqdist(LazyTensor::j(y.view()))).exp();
        k.dot(&b).unwrap().mapv(|a| a * a).sum()
    };
    let (x_i, y_j, b_j): (Lazy, Lazy, Lazy) =
        (LazyTensor::i(x.view()), LazyTensor::j(y.view()), LazyTensor::j(b.view()));
    let a_i = ((-x_i.sqdist(&y_j)).exp() * b_j).sum(Axis::J);
    let gradient = a_i.vjp(2 * &a_i, &x_i).eval().unwrap();
    let step = 1e-6;
    for (at, g) in gradient.indexed_iter() {
        let (mut up, mut down) = (x.clone(), x.clone());
        up[at] += step;
        down[at] -= step;
        let slope = (loss(&up) - loss(&down)) / (2.0 * step);
        assert!((g - slope).abs() < 1e-7, "at {at:?}: {g} is not {slope}");
    }
    // The same by the sum of squares, and along a direction.
    let total = a_i.square().sum(Axis::I);
    close(total.vjp(1.0, &x_i).eval().unwrap().view(), gradient.view());
    let way = grid(4, 2);
    let along = total.jvp(&[(&x_i, &LazyTensor::i(way.view()))]).eval().unwrap();
    close(along.view(), array![[(&gradient * &way).sum()]].view());
}

/// Zeros that vary like a value, for what is compared with a value at each pair.
fn zero<'a>(like: &Lazy<'a>) -> Lazy<'a> {
    LazyTensor::constant(0.0) * like
}

#[test]
fn derivatives_at_a_pair_are_those_of_the_formula() {
    let (x, y) = (grid(4, 3), grid(5, 3));
    let (x_i, y_j): (Lazy, Lazy) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
    let d = x_i.sqdist(&y_j);
    let sum = |value: Lazy| value.sum(Axis::J).eval().unwrap();
    // d |x - y|^2 / dx = 2 (x - y)
    let slope = sum(2 * (&x_i - &y_j));
    close(sum(d.grad(&x_i, 1.0)).view(), slope.view());
    close(sum(d.grad_matrix(&x_i)).view(), slope.view());
    close(sum(d.diff(&[(&x_i, &x_i)])).view(), sum((2 * (&x_i - &y_j)) | &x_i).view());
    close(sum(d.laplacian(&x_i)).view(), Array2::from_elem((4, 1), 6.0 * 5.0).view());
    let cubes = x_i.powi(3) + &y_j;
    close(sum(cubes.divergence(&x_i)).view(), sum(3 * x_i.square().sum_inner() + zero(&d)).view());
    let linear = &x_i * &y_j;
    close(sum(linear.trace_operator(&x_i)).view(), sum(y_j.sum_inner() + zero(&d)).view());
    close(sum(linear.adjoint_operator(&x_i, &y_j)).view(), sum(y_j.square() + zero(&x_i)).view());
}

#[test]
fn arrays_may_be_complex_or_integers() {
    let z = array![[Complex::new(1.0, 2.0)], [Complex::new(-0.5, 0.25)]];
    let (z_i, z_j): (Lazy, Lazy) = (LazyTensor::i(z.view()), LazyTensor::j(z.view()));
    let found = (z_i * z_j.conj()).sum(Axis::J).eval_complex().unwrap();
    let total = z.sum().conj();
    for (f, z) in found.iter().zip(&z) {
        assert!((f - z * total).norm() < 1e-12);
    }
    let labels = array![[3_i64], [1], [3], [i64::MAX]];
    let (l_i, l_j): (Lazy, Lazy) = (LazyTensor::i(labels.view()), LazyTensor::j(labels.view()));
    assert_eq!(l_i.equal(l_j).count(Axis::J).eval_index().unwrap(), array![[2], [1], [2], [1]]);
}

#[test]
fn narrow_types_are_computed_in_f32() {
    fn distances<T: tilefold::Element>(x: &Array2<f64>, make: fn(f64) -> T) -> Array2<T> {
        let x = x.mapv(make);
        LazyTensor::i(x.view()).sqdist(LazyTensor::j(x.view())).sum(Axis::J).eval().unwrap()
    }
    let x = grid(6, 3);
    let exact = distances(&x, |v| v);
    let off = |found: Array2<f64>| (found / &exact - 1.0).fold(0.0, |a: f64, b| a.max(b.abs()));
    assert!(off(distances(&x, |v| v as f32).mapv(f64::from)) < 1e-6);
    assert!(off(distances(&x, f16::from_f64).mapv(f64::from)) < 1e-3);
    assert!(off(distances(&x, bf16::from_f64).mapv(f64::from)) < 8e-3);
}

#[test]
fn several_values_are_worked_out_together() {
    let (x, y) = (grid(4, 3), grid(5, 3));
    let d = LazyTensor::i(x.view()).sqdist(LazyTensor::j(y.view()));
    let (nearest, row) = d.min_argmin(Axis::J);
    let mut found = evaluate(&[&nearest, &row, &d.sum(Axis::J)]).run().unwrap();
    assert_eq!(found.take::<f64>(0).unwrap(), nearest.eval().unwrap());
    assert_eq!(found.take::<i64>(1).unwrap(), row.eval_index().unwrap());
    assert_eq!(found.take::<f64>(2).unwrap(), d.sum(Axis::J).eval().unwrap());
    assert!(found.take::<f64>(2).is_err() && found.take::<f64>(3).is_err());
    let _: Array<f64, ndarray::Ix2> = nearest.eval().unwrap();
}

#[test]
fn a_reduction_is_a_value_again() {
    let (x, y) = (grid(4, 3), grid(5, 3));
    let (x_i, y_j): (Lazy, Lazy) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
    // softmax: the weights of each i sum to 1
    let score = &x_i | &y_j;
    let weights = (&score - score.logsumexp(Axis::J)).exp();
    close(weights.sum(Axis::J).eval().unwrap().view(), Array2::ones((4, 1)).view());
    // the mean over i of the smallest distance over j
    let nearest = x_i.sqdist(&y_j).min(Axis::J);
    let mean = nearest.mean(Axis::I).eval().unwrap();
    close(mean.view(), array![[nearest.eval().unwrap().mean().unwrap()]].view());
}

#[test]
fn a_gradient_by_what_is_not_there_is_an_error() {
    let (x, y) = (grid(4, 3), grid(5, 3));
    let (x_i, y_j): (Lazy, Lazy) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
    let k = x_i.sqdist(&y_j);
    // The rows of the transposed matrix are those of y.
    let rows = k.t().sum(Axis::J);
    let error = rows.vjp(1.0, &x_i).eval().unwrap_err();
    assert_eq!(error.code(), Code::Derivative);
    assert!(error.to_string().contains("does not contain the variable"), "{error}");
    let by_x = rows.vjp(1.0, &x_i.t()).eval().unwrap();
    close(by_x.view(), k.sum(Axis::J).vjp(1.0, &x_i).eval().unwrap().view());
    let other = LazyTensor::number(2.0);
    assert_eq!(rows.jvp(&[(&other, &other)]).eval().unwrap_err().code(), Code::Derivative);
}
