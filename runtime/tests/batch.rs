//! Batch dimensions on kernels written in Rust: broadcasting, strides, shapes, refusals.

mod fake;

use ndarray::{Array2, Array3, ArrayD, ArrayView2, ArrayViewD, Axis, Ix2, IxDyn, Slice, array, s};
use tilefold::{Call, Code, Error, Operand, Options, OutputMut, Policy, Ranges, run};

use fake::code::Real;

fn cpu(threads: usize) -> Options<'static> {
    Options::new().threads(threads).executor(Policy::Cpu)
}

/// Reals whose sums depend on the order.
fn rough<T: Real>(shape: &[usize]) -> ArrayD<T> {
    let mut seed = shape.iter().fold(7_u64, |seed, &len| seed * 31 + len as u64);
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        T::of((seed >> 33) as f64 / (1_u64 << 31) as f64 - 0.5)
    })
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>, code: Code, text: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().contains(text), "{error}\n{text}");
    assert!(!error.helps().is_empty(), "{error}");
}

/// The shape that shapes broadcast to, by the definition.
fn broadcast(shapes: &[&[usize]]) -> Vec<usize> {
    let rank = shapes.iter().map(|shape| shape.len()).max().unwrap();
    let at = |dim: usize| {
        let lens = shapes.iter().filter_map(|s| (dim + s.len()).checked_sub(rank).map(|at| s[at]));
        lens.fold(1, |all, len| if all == 1 { len } else { all })
    };
    (0..rank).map(at).collect()
}

/// Every item of a batch, as a matrix.
fn items<'v, T>(view: &'v ArrayViewD<T>, batch: &[usize]) -> Vec<ArrayView2<'v, T>> {
    let matrix = &view.shape()[view.ndim() - 2..];
    let whole = view.broadcast([batch, matrix].concat()).unwrap();
    let mut views = vec![whole];
    for _ in batch {
        views = views
            .into_iter()
            .flat_map(|view| {
                let len = view.len_of(Axis(0));
                (0..len).map(move |n| view.clone().index_axis_move(Axis(0), n)).collect::<Vec<_>>()
            })
            .collect();
    }
    views.into_iter().map(|view| view.into_dimensionality::<Ix2>().unwrap()).collect()
}

fn dot<T: Real>(
    inputs: [&ArrayViewD<T>; 3],
    ranges: Option<&Ranges>,
    options: Options,
) -> Result<ArrayD<T>, Error> {
    let [x, y, gamma] = inputs.map(|view| Operand::from(view.view()));
    let mut call = Call::new(fake::dot::<T>()).arg("x", x).arg("y", y).arg("gamma", gamma);
    if let Some(ranges) = ranges {
        call = call.ranges(ranges);
    }
    call.options(options).run()?.take_nd("a")
}

/// The items, one call each.
fn one_by_one<T: Real>(
    inputs: [&ArrayViewD<T>; 3],
    ranges: Option<&Ranges>,
) -> (Vec<usize>, Vec<T>) {
    let shapes = inputs.map(|view| &view.shape()[..view.ndim() - 2]);
    let batch = broadcast(&shapes);
    let [x, y, gamma] = inputs.map(|view| items(view, &batch));
    let each = x.into_iter().zip(y).zip(gamma).flat_map(|((x, y), gamma)| {
        let (x, y, gamma) = (x.into_dyn(), y.into_dyn(), gamma.into_dyn());
        dot([&x, &y, &gamma], ranges, cpu(1)).unwrap()
    });
    (batch, each.collect())
}

fn check<T: Real + PartialEq + std::fmt::Debug>(
    x: ArrayViewD<T>,
    y: ArrayViewD<T>,
    gamma: ArrayViewD<T>,
) {
    let (m, n) = (x.shape()[x.ndim() - 2], y.shape()[y.ndim() - 2]);
    let blocks = [(0..m.min(1), 0..n / 2), (m / 2 + 1..m, n / 3..n)];
    let ranges = Ranges::from_blocks(blocks.into_iter().filter(|b| !b.0.is_empty())).unwrap();
    for ranges in [None, Some(&ranges)] {
        let (mut shape, expected) = one_by_one([&x, &y, &gamma], ranges);
        shape.extend([m, 1]);
        for threads in [1, 2, 3] {
            let found = dot([&x, &y, &gamma], ranges, cpu(threads)).unwrap();
            assert_eq!(found.shape(), shape);
            assert_eq!(found.into_raw_vec_and_offset().0, expected, "{shape:?}, {threads} threads");
        }
    }
}

#[test]
fn batches_broadcast_as_in_numpy() {
    let shapes: [[&[usize]; 3]; 12] = [
        [&[3], &[3], &[3]],
        [&[3], &[], &[]],
        [&[], &[4], &[]],
        [&[], &[], &[5]],
        [&[2, 1, 4], &[3, 1], &[]],
        [&[1], &[1], &[1]],
        [&[2, 3], &[2, 1], &[1]],
        [&[5, 1], &[1, 6], &[5, 6]],
        [&[2, 1, 1, 2], &[1, 3, 1, 1], &[2]],
        [&[0], &[], &[]],
        [&[2, 0], &[2, 1], &[]],
        [&[], &[], &[]],
    ];
    for [x, y, gamma] in shapes {
        for (m, n) in [(5, 9), (1, 300), (70, 3), (0, 4), (3, 0)] {
            let of = |batch: &[usize], rows, cols| [batch, &[rows, cols]].concat();
            let (x, y, gamma) = (of(x, m, 2), of(y, n, 2), of(gamma, 1, 1));
            check(rough::<f64>(&x).view(), rough(&y).view(), rough(&gamma).view());
            check(rough::<f32>(&x).view(), rough(&y).view(), rough(&gamma).view());
        }
    }
}

#[test]
fn work_is_shared_by_items_and_by_rows() {
    // Many small items, few large ones, many large ones.
    for (items, m, n) in [(1000, 4, 30), (3, 300, 500), (70, 100, 150), (2, 3, 60_000)] {
        let (x, y) = (rough::<f32>(&[items, m, 2]), rough::<f32>(&[items, n, 2]));
        let gamma = rough::<f32>(&[items, 1, 1]);
        check(x.view(), y.view(), gamma.view());
    }
}

#[test]
fn every_stride_is_read_in_place() {
    let (x, y) = (rough::<f64>(&[4, 6, 8, 4]), rough::<f64>(&[6, 30, 2]));
    let gamma = rough::<f64>(&[1, 1]);
    let row = x.slice(s![2, 3, 4, ..2]);
    let views = [
        x.slice(s![..;-1, .., ..;2, 1..3]).into_dyn(),
        x.slice(s![1..3, ..;-1, 2..3, ..;2]).into_dyn(),
        x.view().permuted_axes(IxDyn(&[2, 1, 0, 3])).slice_move(s![.., .., .., ..;-2]).into_dyn(),
        x.slice(s![0, .., .., ..2]).insert_axis(Axis(0)).into_dyn(),
        row.broadcast(IxDyn(&[3, 6, 5, 2])).unwrap(),
    ];
    for view in views {
        check(view.view(), y.slice(s![..;-1, ..;-3, ..;-1]).into_dyn(), gamma.view());
    }
}

#[test]
fn row_numbers_are_those_of_the_item() {
    // Also where items could follow each other as rows.
    let (x, y) = (rough::<f64>(&[7, 3, 1]), rough::<f64>(&[20, 1]));
    let call = Call::new(fake::argmin::<f64>()).arg("x", &x).arg("y", &y).options(cpu(2));
    let mut outputs = call.run().unwrap();
    let stage = &outputs.report().stages[0];
    assert_eq!((stage.rows, stage.pairs), (21, 21 * 20), "items without columns of their own");
    let nearest: ArrayD<i64> = outputs.take_nd("nearest").unwrap();
    for (at, &found) in nearest.indexed_iter() {
        let x = x[[at[0], at[1], 0]];
        let away = |j: &usize| (x - y[[*j, 0]]).abs();
        let expected = (0..20).min_by(|a, b| away(a).total_cmp(&away(b))).unwrap();
        assert_eq!(found, expected as i64);
    }
}

#[test]
fn stages_and_outputs_of_every_axis_have_items() {
    let (x, y) = (rough::<f64>(&[4, 1, 30, 1]), rough::<f64>(&[3, 50, 1]));
    let gamma = rough::<f64>(&[4, 3, 1, 1]);
    let chain = |x: Operand, y: Operand, gamma: Operand, threads| {
        let call = Call::new(fake::chain::<f64>()).arg("x", x).arg("y", y).arg("gamma", gamma);
        call.options(cpu(threads)).run().unwrap()
    };
    let outputs = ["a", "s", "twice"];
    for threads in [1, 2, 3] {
        let mut found = chain((&x).into(), (&y).into(), (&gamma).into(), threads);
        let pairs: Vec<u64> = found.report().stages.iter().map(|stage| stage.pairs).collect();
        assert_eq!(pairs, [12 * 1500, 12 * 1500, 12 * 50, 12 * 30]);
        let found = outputs.map(|name| found.take_nd::<f64>(name).unwrap());
        assert_eq!(
            found.each_ref().map(|a| a.shape().to_vec()),
            [vec![4, 3, 30, 1], vec![4, 3, 1, 1], vec![4, 3, 30, 1]]
        );
        for (b, c) in (0..4).flat_map(|b| (0..3).map(move |c| (b, c))) {
            let (x, y) = (x.slice(s![b, 0, .., ..]), y.slice(s![c, .., ..]));
            let mut one = chain(x.into(), y.into(), (&gamma[[b, c, 0, 0]]).into(), 1);
            for (name, all) in outputs.iter().zip(&found) {
                let item = all.slice(s![b, c, .., ..]);
                assert_eq!(one.take::<f64>(name).unwrap(), item, "{name} of {b}, {c}");
            }
        }
    }
}

#[test]
fn results_go_into_the_callers_arrays() {
    let (x, y, gamma) = (rough::<f32>(&[3, 5, 2]), rough::<f32>(&[7, 2]), 0.5_f32);
    let expected = {
        let gamma = array![[gamma]].into_dyn();
        dot([&x.view(), &y.view(), &gamma.view()], None, cpu(1)).unwrap()
    };
    let inputs = [Operand::from(&x), Operand::from(&y), Operand::from(&gamma)];
    let mut a = Array3::<f32>::zeros((3, 5, 1));
    run(fake::dot::<f32>(), &inputs, [OutputMut::from(&mut a)], None, &cpu(2)).unwrap();
    assert_eq!(a.view().into_dyn(), expected);

    let into =
        |output: OutputMut| run(fake::dot::<f32>(), &inputs, [output], None, &cpu(1)).map(drop);
    let shape = Code::OutputShape;
    let text = "output `a` has shape (3, 4, 1), but the result has (3, 5, 1)";
    refused(into((&mut Array3::<f32>::zeros((3, 4, 1))).into()), shape, text);
    let text = "has shape (5, 1), but the result has (3, 5, 1)";
    refused(into((&mut Array2::<f32>::zeros((5, 1))).into()), shape, text);
    let text = "has shape (1, 3, 5, 1), but the result has (3, 5, 1)";
    refused(into((&mut ArrayD::<f32>::zeros(IxDyn(&[1, 3, 5, 1]))).into()), shape, text);
    let mut wide = Array3::<f32>::zeros((6, 5, 1));
    let mut gaps = wide.view_mut();
    gaps.slice_axis_inplace(Axis(0), Slice::new(0, None, 2));
    refused(into(gaps.into()), Code::OutputLayout, "or gaps between its items");
}

#[test]
fn an_output_may_not_lie_in_an_input_of_another_item() {
    let mut memory = rough::<f64>(&[4, 3, 1]);
    let pointer = memory.as_mut_ptr();
    let y = rough::<f64>(&[2, 1]);
    // Item 2 of x is where item 0 of the output would be.
    // SAFETY: both lie inside of `memory`; the call is refused before it reads or writes.
    let (x, dist) = unsafe {
        let x = ArrayViewD::from_shape_ptr(IxDyn(&[3, 3, 1]), pointer);
        let dist = ndarray::ArrayViewMutD::from_shape_ptr(IxDyn(&[3, 3, 1]), pointer.add(6));
        (Operand::from(x), OutputMut::from(dist))
    };
    let mut nearest = Array3::<i64>::zeros((3, 3, 1));
    let outputs = [dist, OutputMut::from(&mut nearest)];
    let result = run(fake::argmin::<f64>(), &[x, (&y).into()], outputs, None, &cpu(1));
    refused(result, Code::Overlap, "output `dist` shares memory with `x`");
}

#[test]
fn what_does_not_fit_is_refused() {
    let x = |shape: &[usize]| rough::<f32>(shape);
    let run = |a: &ArrayD<f32>, b: &ArrayD<f32>, c: &ArrayD<f32>, options| {
        dot([&a.view(), &b.view(), &c.view()], None, options)
    };
    let gamma = x(&[1, 1]);
    refused(
        run(&x(&[3, 5, 2]), &x(&[4, 7, 2]), &gamma, cpu(1)),
        Code::Batch,
        "`x` has batch dimensions [3], but `y` has [4], which do not broadcast",
    );
    refused(
        run(&x(&[1, 2, 5, 2]), &x(&[2, 7, 2]), &x(&[3, 4, 1, 1]), cpu(1)),
        Code::Batch,
        "`x` has batch dimensions [1, 2], but `gamma` has [3, 4]",
    );
    refused(run(&x(&[0, 5, 2]), &x(&[2, 7, 2]), &gamma, cpu(1)), Code::Batch, "[0]");
    refused(run(&x(&[3, 5, 3]), &x(&[7, 2]), &gamma, cpu(1)), Code::Columns, "`x` has 3 columns");
    refused(
        run(&x(&[3, 5, 2]), &x(&[7, 2]), &x(&[3, 1]), cpu(1)),
        Code::ParameterRows,
        "`gamma` is a parameter of 1 row, but has 3",
    );
    let one = array![[1.0_f32, 1.0]];
    let endless = one.broadcast(IxDyn(&[1 << 59, 5, 2])).unwrap();
    let y = x(&[7, 2]);
    let result = dot([&endless, &y.view(), &gamma.view()], None, cpu(1));
    refused(result, Code::Overflow, "do not fit in memory");

    let x = x(&[3, 5, 2]);
    let call = || {
        let gamma = &0.5_f32;
        Call::new(fake::dot::<f32>()).arg("x", &x).arg("y", &y).arg("gamma", gamma)
    };
    let mut outputs = call().run().unwrap();
    assert_eq!(outputs.report().note, None);
    refused(outputs.take::<f32>("a"), Code::Batch, "output `a` has batch dimensions [3]");
    refused(outputs.take_nd::<f64>("a"), Code::Dtype, "holds f32, not f64");
    refused(outputs.take_nd::<f32>("b"), Code::UnknownOutput, "no output `b`");
    assert_eq!(outputs.take_nd::<f32>("a").unwrap().shape(), [3, 5, 1]);
    refused(outputs.take_nd::<f32>("a"), Code::MissingOutput, "already taken");
    let outside = Ranges::from_blocks([(0..6, 0..1)]).unwrap();
    refused(call().ranges(&outside).run(), Code::RangesOutside, "end at 6, but there are 5 rows");
}

#[test]
fn without_dimensions_take_nd_has_two_axes() {
    let (x, y) = (rough::<f32>(&[5, 2]), rough::<f32>(&[7, 2]));
    let gamma = array![[0.5_f32]].into_dyn();
    let found = dot([&x.view(), &y.view(), &gamma.view()], None, cpu(1)).unwrap();
    assert_eq!(found.shape(), [5, 1]);
}
