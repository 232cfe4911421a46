//! Batch dimensions on compiled kernels: values and gradients against loops in float64, and the
//! cases in which KeOps is wrong.

use ndarray::{Array, ArrayD, ArrayViewD, Axis, IxDyn};
use tilefold::{Call, Element, Kernel, Level, Operand, Options, Policy, Ranges};
use tilefold_compiler::front;
use tilefold_compiler::ir::{Dtype, Formula};
use tilefold_tests::native::{self, Native};
use tilefold_tests::rng::Rng;

fn parsed(text: &str) -> Vec<Formula> {
    let units =
        front::parse("test.fold", text).unwrap_or_else(|d| panic!("{}", d.render("", text)));
    let instance = &units[0].instances[0];
    let derivatives = instance.derivatives.iter().map(|d| d.formula.clone());
    [instance.formula.clone()].into_iter().chain(derivatives).collect()
}

fn draw(shape: &[usize], rng: &mut Rng) -> ArrayD<f64> {
    // Numbers that float32 holds.
    ArrayD::from_shape_simple_fn(IxDyn(shape), || f64::from(rng.between(-1.0, 1.0) as f32))
}

fn cpu(level: Level, threads: usize) -> Options<'static> {
    Options::new().executor(Policy::Cpu).level(level).threads(threads)
}

/// Runs a kernel on arrays in the order of its inputs, and takes all outputs in float64.
fn run<T: Element + Into<f64>>(
    kernel: &'static Kernel,
    inputs: &[ArrayViewD<f64>],
    convert: impl Fn(f64) -> T,
    ranges: Option<&Ranges>,
    options: Options,
) -> Vec<ArrayD<f64>> {
    let arrays: Vec<ArrayD<T>> = inputs.iter().map(|view| view.mapv(&convert)).collect();
    let mut call = Call::new(kernel).options(options);
    for (value, array) in kernel.inputs().zip(&arrays) {
        call = call.arg(value.name, Operand::from(array));
    }
    if let Some(ranges) = ranges {
        call = call.ranges(ranges);
    }
    let mut found = call.run().expect("it runs");
    let names = kernel.outputs().map(|value| value.name);
    names.map(|name| found.take_nd::<T>(name).expect("a real").mapv(Into::into)).collect()
}

fn close(what: &str, found: &ArrayD<f64>, expected: &ArrayD<f64>, allowed: f64) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let scale = expected.iter().fold(1.0, |all: f64, x| all.max(x.abs()));
    for (at, expected) in expected.indexed_iter() {
        let off = (found[&at] - expected).abs() / scale;
        assert!(off <= allowed, "{what} {at:?}: {} instead of {expected}", found[&at]);
    }
}

const GAUSSIAN: &str = "tilefold 1;
formula gaussian dtype f32, f64 {
    x[i] : R^3;
    y[j] : R^3;
    b[j] : R^2;
    gamma : R;
    a[i] = sum[j] exp(-gamma * sqdist(x, y)) * b;
    grad a wrt x, y, b, gamma;
}
";

/// The batch; that of x, y, b, gamma and the cotangent; M and N.
type Case = (&'static [usize], [&'static [usize]; 5], usize, usize);

/// The convolution and its gradient for every item, by loops.
fn by_loops(
    batch: &[usize],
    inputs: &[ArrayViewD<f64>],
    keep: impl Fn(usize, usize) -> bool,
) -> Vec<ArrayD<f64>> {
    let (m, n) = (inputs[0].shape().iter().rev().nth(1), inputs[1].shape().iter().rev().nth(1));
    let (m, n) = (*m.expect("rows"), *n.expect("rows"));
    let zeros = |rows, cols| ArrayD::<f64>::zeros([batch, &[rows, cols]].concat());
    let mut out = [zeros(m, 2), zeros(m, 3), zeros(n, 3), zeros(n, 2), zeros(1, 1)];
    let wide: Vec<ArrayViewD<f64>> = inputs
        .iter()
        .map(|view| {
            let matrix = &view.shape()[view.ndim() - 2..];
            view.broadcast([batch, matrix].concat()).expect("it broadcasts")
        })
        .collect();
    let [x, y, b, gamma, e] = &wide[..] else { panic!("five inputs") };
    for item in Array::from_elem(IxDyn(batch), ()).indexed_iter().map(|(at, _)| at) {
        let at = |row: usize, col: usize| {
            let index = ndarray::Dimension::slice(&item);
            IxDyn(&[index, &[row, col]].concat())
        };
        let gamma = gamma[at(0, 0)];
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))).filter(|&(i, j)| keep(i, j))
        {
            let delta = [0, 1, 2].map(|d| x[at(i, d)] - y[at(j, d)]);
            let squared: f64 = delta.iter().map(|d| d * d).sum();
            let k = (-gamma * squared).exp();
            let seed: f64 = (0..2).map(|c| e[at(i, c)] * b[at(j, c)]).sum();
            for c in 0..2 {
                out[0][at(i, c)] += k * b[at(j, c)];
                out[3][at(j, c)] += k * e[at(i, c)];
            }
            for (d, delta) in delta.iter().enumerate() {
                out[1][at(i, d)] -= 2.0 * gamma * seed * k * delta;
                out[2][at(j, d)] += 2.0 * gamma * seed * k * delta;
            }
            out[4][at(0, 0)] -= seed * k * squared;
        }
    }
    out.into()
}

#[test]
fn values_and_gradients_are_those_of_loops() {
    let formulas = parsed(GAUSSIAN);
    let dtypes = [Dtype::F32, Dtype::F64];
    let native = Native::build(&formulas, &dtypes, &native::levels());
    let mut rng = Rng::new(71);
    let cases: [Case; 7] = [
        (&[3], [&[3], &[3], &[3], &[3], &[3]], 20, 33),
        (&[3], [&[3], &[], &[1], &[], &[3]], 20, 33),
        (&[4], [&[], &[], &[], &[4], &[4]], 5, 40),
        (&[2, 3], [&[2, 1], &[3], &[2, 3], &[1, 1], &[2, 3]], 9, 17),
        (&[5, 2], [&[5, 1], &[5, 2], &[1, 2], &[5, 1], &[]], 1, 70),
        (&[40], [&[40], &[], &[], &[], &[40]], 1, 30),
        (&[2], [&[2], &[2], &[2], &[2], &[2]], 90, 140),
    ];
    for (batch, shapes, m, n) in cases {
        let rows = [(m, 3), (n, 3), (n, 2), (1, 1), (m, 2)];
        let inputs = shapes.iter().zip(rows);
        let inputs: Vec<ArrayD<f64>> =
            inputs.map(|(s, (r, c))| draw(&[*s, &[r, c]].concat(), &mut rng)).collect();
        let views: Vec<ArrayViewD<f64>> = inputs.iter().map(|array| array.view()).collect();
        let blocks = [(0..m / 2, 0..n / 3), (0..m / 2, n / 2..n - 1), (m / 2..m, n / 3..n)];
        let ranges = Ranges::from_blocks(blocks.clone()).expect("apart");
        let within =
            |i: usize, j: usize| blocks.iter().any(|b| b.0.contains(&i) && b.1.contains(&j));
        let dense = by_loops(batch, &views, |_, _| true);
        let sparse = by_loops(batch, &views, within);
        for (expected, ranges) in [(&dense, None), (&sparse, Some(&ranges))] {
            for (level, dtype) in native::levels().into_iter().flat_map(|l| dtypes.map(|d| (l, d)))
            {
                let all = |threads| {
                    let each = |n: usize, inputs: &[ArrayViewD<f64>]| {
                        let kernel = native.kernel(n, dtype);
                        let options = cpu(level, threads);
                        match dtype {
                            Dtype::F32 => run(kernel, inputs, |x| x as f32, ranges, options),
                            Dtype::F64 => run(kernel, inputs, |x| x, ranges, options),
                        }
                    };
                    // Without the cotangent's dimensions the value may have fewer than the rest.
                    let mut found = each(0, &views[..4]);
                    found.extend(each(1, &views));
                    found
                };
                let found = all(1);
                let allowed = if dtype == Dtype::F32 { 2e-5 } else { 1e-12 };
                for (n, (found, expected)) in found.iter().zip(expected).enumerate() {
                    close(&format!("{batch:?} {dtype:?} {level} {n}"), found, expected, allowed);
                }
                for threads in [2, 3] {
                    assert_eq!(all(threads), found, "{threads} threads");
                }
            }
        }
    }
}

/// KeOps issue 366: a parameter with batch dimensions gave zeros for all items but the first.
#[test]
fn a_batched_parameter_reaches_every_item() {
    let text = "tilefold 1;
formula f dtype f64 {
    x[i] : R;
    y[j] : R;
    p : R;
    a[i] = sum[j] exp(-p * square(x - y));
    grad a wrt p;
}
";
    let native = Native::quick(&parsed(text), &[Dtype::F64], &[native::best()]);
    let mut rng = Rng::new(72);
    let (x, y) = (draw(&[1, 5, 1], &mut rng), draw(&[1, 4, 1], &mut rng));
    let (p, e) = (draw(&[3, 1, 1], &mut rng), draw(&[1, 5, 1], &mut rng));
    let kernel = |n| native.kernel(n, Dtype::F64);
    let options = cpu(native::best(), 2);
    let inputs = [x.view(), y.view(), p.view(), e.view()];
    let a = &run(kernel(0), &inputs[..3], |x| x, None, options)[0];
    let d_p = &run(kernel(1), &inputs, |x| x, None, options)[0];
    assert_eq!((a.shape(), d_p.shape()), (&[3, 5, 1][..], &[3, 1, 1][..]));
    for item in 0..3 {
        let (p, mut slope) = (p[[item, 0, 0]], 0.0);
        for i in 0..5 {
            let terms = (0..4).map(|j| (x[[0, i, 0]] - y[[0, j, 0]]).powi(2));
            let (sum, change) = terms.fold((0.0, 0.0), |(sum, change), squared| {
                let k = f64::exp(-p * squared);
                (sum + k, change - squared * k)
            });
            assert!((a[[item, i, 0]] - sum).abs() < 1e-14);
            slope += e[[0, i, 0]] * change;
        }
        assert!((d_p[[item, 0, 0]] - slope).abs() < 1e-14);
    }
}

/// KeOps issue 382: one row of i in each item, and a batch dimension that j does not have.
#[test]
fn items_of_one_row_share_columns() {
    let text = "tilefold 1;
formula f dtype f64 {
    x[i] : R^2;
    y[j] : R^2;
    near[i] = argmin[j] sqdist(x, y);
}
";
    let native = Native::quick(&parsed(text), &[Dtype::F64], &[native::best()]);
    let mut rng = Rng::new(73);
    let (batch, heads, codes) = (64, 32, 256);
    let x = draw(&[batch, heads, 1, 2], &mut rng);
    let c = draw(&[batch, 1, codes, 2], &mut rng);
    let call = Call::new(native.kernel(0, Dtype::F64)).arg("x", &x).arg("y", &c);
    let mut found = call.options(cpu(native::best(), 2)).run().expect("it runs");
    // The heads of an item are rows, so that its codes are packed once.
    let stage = &found.report().stages[0];
    assert_eq!((stage.rows, stage.pairs), (heads, (batch * heads * codes) as u64));
    let near = found.take_nd::<i64>("near").expect("row numbers");
    assert_eq!(near.shape(), [batch, heads, 1, 1]);
    for (at, &near) in near.indexed_iter() {
        let away = |code: usize| -> f64 {
            let between = |d| x[[at[0], at[1], 0, d]] - c[[at[0], 0, code, d]];
            (0..2).map(|d: usize| between(d).powi(2)).sum()
        };
        let least = (0..codes).map(away).fold(f64::INFINITY, f64::min);
        assert!(away(near as usize) - least < 1e-15);
    }
}

#[test]
fn row_numbers_in_formulas_count_in_each_item() {
    let text = "tilefold 1;
formula f dtype f64 {
    x[i] : R;
    y[j] : R;
    a[i] = sum[j where pos(j) <= pos(i)] (x * y + pos(i));
}
";
    let native = Native::quick(&parsed(text), &[Dtype::F64], &[native::best()]);
    let mut rng = Rng::new(74);
    let (x, y) = (draw(&[3, 6, 1], &mut rng), draw(&[5, 1], &mut rng));
    let kernel = native.kernel(0, Dtype::F64);
    let found = &run(kernel, &[x.view(), y.view()], |x| x, None, cpu(native::best(), 1))[0];
    for (at, found) in found.indexed_iter() {
        let i = at[1];
        let y: f64 =
            (0..5).filter(|&j| j <= i).map(|j| x[[at[0], i, 0]] * y[[j, 0]] + i as f64).sum();
        assert!((found - y).abs() < 1e-14, "{at:?}");
    }
}

#[test]
fn memory_does_not_grow_with_the_number_of_calls() {
    let native = Native::quick(&parsed(GAUSSIAN)[..1], &[Dtype::F32], &[native::best()]);
    let mut rng = Rng::new(75);
    let shapes: [&[usize]; 4] = [&[20, 30, 3], &[20, 200, 3], &[200, 2], &[20, 1, 1]];
    let inputs: Vec<_> = shapes.iter().map(|s| draw(s, &mut rng).mapv(|x| x as f32)).collect();
    let ranges = Ranges::from_blocks((0..30).map(|i| (i..i + 1, i..i + 100))).expect("apart");
    let kernel = native.kernel(0, Dtype::F32);
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
        text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number")
    };
    let call = || {
        let mut call = Call::new(kernel).ranges(&ranges).options(cpu(native::best(), 2));
        for (value, array) in kernel.inputs().zip(&inputs) {
            call = call.arg(value.name, array);
        }
        call.run().expect("it runs").take_nd::<f32>("a").expect("a real").sum_axis(Axis(0))
    };
    (0..50).for_each(|_| drop(call()));
    let before = resident();
    (0..300).for_each(|_| drop(call()));
    assert!(resident() <= before + 256, "{} pages after {before}", resident());
}
