//! Batch dimensions of expressions: values and gradients against loops over the items, in every
//! way that arrays can be broadcast.

use ndarray::{Array, Array1, Array2, Array3, ArrayD, Axis as Dim, IxDyn, s};
use tilefold::{Axis, Code, LazyTensor, evaluate};
use tilefold_tests::rng::Rng;

fn random(rng: &mut Rng, shape: &[usize]) -> ArrayD<f64> {
    Array::from_shape_fn(IxDyn(shape), |_| rng.between(-1.0, 1.0))
}

/// One item: the Gaussian sum and its gradients, in loops.
struct Item {
    a: Array2<f64>,
    d_x: Array2<f64>,
    d_y: Array2<f64>,
    d_g: Array1<f64>,
}

fn item(x: &Array2<f64>, y: &Array2<f64>, g: &Array1<f64>, e: &Array2<f64>) -> Item {
    let (m, n, d) = (x.nrows(), y.nrows(), x.ncols());
    let mut found = Item {
        a: Array2::zeros((m, 1)),
        d_x: Array2::zeros((m, d)),
        d_y: Array2::zeros((n, d)),
        d_g: Array1::zeros(d),
    };
    for i in 0..m {
        for j in 0..n {
            let gap: Vec<f64> = (0..d).map(|c| x[[i, c]] - y[[j, c]]).collect();
            let weighted: f64 = (0..d).map(|c| g[c] * gap[c] * gap[c]).sum();
            let k = (-weighted).exp();
            found.a[[i, 0]] += k;
            for c in 0..d {
                let slope = -2.0 * g[c] * gap[c] * k * e[[i, 0]];
                found.d_x[[i, c]] += slope;
                found.d_y[[j, c]] -= slope;
                found.d_g[c] -= gap[c] * gap[c] * k * e[[i, 0]];
            }
        }
    }
    found
}

/// The matrix of an item of an array whose batch dimensions are broadcast to `[a, b]`.
fn of_item(array: &ArrayD<f64>, tail: usize, at: [usize; 2]) -> ArrayD<f64> {
    let mut view = array.view();
    let batch = array.ndim() - tail;
    for at in at.into_iter().skip(2 - batch) {
        let len = view.len_of(Dim(0));
        view = view.index_axis_move(Dim(0), if len == 1 { 0 } else { at });
    }
    view.to_owned()
}

/// Adds an item's gradient to that of an array whose batch dimensions are broadcast.
fn add(total: &mut ArrayD<f64>, tail: usize, at: [usize; 2], part: &ArrayD<f64>) {
    let mut view = total.view_mut();
    let batch = view.ndim() - tail;
    for at in at.into_iter().skip(2 - batch) {
        let len = view.len_of(Dim(0));
        view = view.index_axis_move(Dim(0), if len == 1 { 0 } else { at });
    }
    view += part;
}

fn close(found: &ArrayD<f64>, expected: &ArrayD<f64>, what: &str) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let off = (found - expected).iter().fold(0.0, |worst: f64, gap| worst.max(gap.abs()));
    assert!(off < 1e-12, "{what} is off by {off:e}");
}

/// Values and gradients for batch dimensions in front of x, y, the parameter and the seed.
fn check(batches: [&[usize]; 4], whole: [usize; 2]) {
    let (m, n, d) = (5, 7, 3);
    let mut rng = Rng::new(11);
    let mut make = |batch: &[usize], own: &[usize]| random(&mut rng, &[batch, own].concat());
    let x = make(batches[0], &[m, d]);
    let y = make(batches[1], &[n, d]);
    let g = make(batches[2], &[d]);
    let e = make(batches[3], &[m, 1]);

    let x_i = LazyTensor::i(x.view());
    let y_j = LazyTensor::j(y.view());
    let g_p = LazyTensor::param(g.view());
    let a = (-(&x_i - &y_j).weightedsqnorm(&g_p)).exp().sum(Axis::J);
    let seed = LazyTensor::i(e.view());
    let gradients = [&x_i, &y_j, &g_p].map(|variable| a.vjp(&seed, variable));

    let mut expected = [x.clone(), y.clone(), g.clone()].map(|array| array * 0.0);
    for at in (0..whole[0]).flat_map(|p| (0..whole[1]).map(move |q| [p, q])) {
        let two = |array: &ArrayD<f64>| {
            of_item(array, 2, at).into_dimensionality::<ndarray::Ix2>().expect("a matrix")
        };
        let g = of_item(&g, 1, at).into_dimensionality().expect("a vector");
        let item = item(&two(&x), &two(&y), &g, &two(&e));
        add(&mut expected[0], 2, at, &item.d_x.into_dyn());
        add(&mut expected[1], 2, at, &item.d_y.into_dyn());
        add(&mut expected[2], 1, at, &item.d_g.into_dyn());
        let value = a.eval_nd().expect("it runs");
        let own = batches[..3].iter().map(|b| b.len()).max().unwrap_or(0);
        assert_eq!(value.ndim(), own + 2);
        close(&of_item(&value, 2, at), &item.a.into_dyn(), "the value");
    }
    // One by one, and all in one call with the value.
    for ((gradient, expected), name) in gradients.iter().zip(&expected).zip(["x", "y", "g"]) {
        let found = gradient.eval_nd().expect("it runs");
        // The gradient of a parameter has one row.
        let found = match name {
            "g" => found.index_axis_move(Dim(g.ndim() - 1), 0),
            _ => found,
        };
        close(&found, expected, &format!("d_{name} of {batches:?}"));
    }
    let [d_x, d_y, d_g] = &gradients;
    let mut all = evaluate(&[&a, d_x, d_y, d_g]).run().expect("it runs");
    close(&all.take_nd(0).unwrap(), &a.eval_nd().unwrap(), "the value among gradients");
    close(&all.take_nd(2).unwrap(), &expected[1], "d_y among others");
}

#[test]
fn values_and_gradients_of_every_broadcast() {
    check([&[2, 3], &[2, 3], &[2, 3], &[2, 3]], [2, 3]);
    check([&[3], &[2, 1], &[], &[2, 3]], [2, 3]);
    check([&[], &[2, 3], &[1, 3], &[2, 3]], [2, 3]);
    check([&[2, 1], &[3], &[2, 3], &[3]], [2, 3]);
    check([&[1, 1], &[], &[3], &[2, 3]], [2, 3]);
    check([&[], &[], &[], &[]], [1, 1]);
    check([&[], &[], &[], &[3]], [1, 3]);
}

#[test]
fn a_summed_gradient_is_no_operand() {
    let (x, y) = (Array3::<f64>::zeros((4, 5, 2)), Array2::<f64>::zeros((6, 2)));
    let (x_i, y_j) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
    let a = x_i.sqdist(&y_j).sum(Axis::J);
    let summed = a.vjp(LazyTensor::number(1.0), &y_j);
    assert_eq!(summed.batch(), [0_usize; 0]);
    let error = (&summed * 2.0).eval_nd().unwrap_err();
    assert_eq!(error.code(), Code::Derivative);
    assert!(error.to_string().contains("summed over batch dimensions"), "{error}");
    assert_eq!(summed.eval().unwrap().dim(), (6, 2));
    // That of x has all dimensions, and goes on.
    assert_eq!((a.vjp(LazyTensor::number(1.0), &x_i) * 2.0).eval_nd().unwrap().shape(), [4, 5, 2]);
}

#[test]
fn batches_are_checked() {
    let (x, y) = (Array3::<f64>::zeros((4, 5, 2)), Array3::<f64>::zeros((3, 6, 2)));
    let d = LazyTensor::i(x.view()).sqdist(LazyTensor::j(y.view()));
    let error = d.sum(Axis::J).eval_nd().unwrap_err();
    assert_eq!(error.code(), Code::Batch);
    assert!(error.to_string().contains("[4] and [3]"), "{error}");
    let one = LazyTensor::i(x.view()).sqdist(LazyTensor::j(y.slice(s![0, .., ..])));
    let error = one.sum(Axis::J).eval().unwrap_err();
    assert_eq!(error.code(), Code::Batch);
    assert!(error.to_string().contains("eval_nd"), "{error}");
}

#[test]
fn products_with_matrices_behind_batch_dimensions() {
    let mut rng = Rng::new(5);
    let (x, y) = (random(&mut rng, &[3, 4, 2]), random(&mut rng, &[5, 2]));
    let v = random(&mut rng, &[2, 1, 5, 3]);
    let k = LazyTensor::i(x.view()).sqdist(LazyTensor::j(y.view()));
    let found = k.dot_nd(v.view()).unwrap();
    assert_eq!(found.shape(), [2, 3, 4, 3]);
    for ((p, q, i, c), value) in found.into_dimensionality::<ndarray::Ix4>().unwrap().indexed_iter()
    {
        let distance = |j: usize| (0..2).map(|d| (x[[q, i, d]] - y[[j, d]]).powi(2)).sum::<f64>();
        let expected: f64 = (0..5).map(|j| distance(j) * v[[p, 0, j, c]]).sum();
        assert!((value - expected).abs() < 1e-12);
    }
}
