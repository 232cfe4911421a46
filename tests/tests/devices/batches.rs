//! Batch dimensions on a device: results against the oracle's for each item, what is launched,
//! copied and taken, and what is refused.

use std::sync::Arc;

use ndarray::{ArrayD, ArrayViewD, Axis as Dim, IxDyn};
use tilefold::cuda::cudarc::driver::{CudaContext, CudaSlice, CudaStream, DevicePtr};
use tilefold::cuda::{CudaKernel, DeviceArray, DeviceArrayMut};
use tilefold::{Axis, Call, Code, Executor, LazyTensor, Operand, Options, Policy, Tiers, evaluate};
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Dtype, Kind};
use tilefold_tests::rng::Rng;
use tilefold_tests::{driver, linked};

use super::bench::{GAUSS, Test, check, dear, formulas, images, kernels, problem};

pub const TESTS: &[Test] = &[
    Test::anywhere("batches_are_items_of_the_oracle", batches_are_items_of_the_oracle),
    Test::new("batches_of_one_multiprocessor", "multiprocessors=1", on_one_multiprocessor),
    Test::new("batches_become_rows_or_launches", "", on_a_device),
    Test::anywhere("batches_on_a_stream", batches_on_a_stream),
    Test::anywhere("expressions_with_batches", expressions_with_batches),
    Test::anywhere("batches_that_do_not_fit", batches_that_do_not_fit),
];

/// The batch, and that of each input in turn.
type Case = (&'static [usize], &'static [&'static [usize]]);

const CASES: &[Case] = &[
    (&[3], &[&[3]]),
    (&[3], &[&[3], &[]]),
    (&[3], &[&[], &[3], &[1]]),
    (&[2, 3], &[&[2, 1], &[3], &[2, 3], &[]]),
    (&[2, 3], &[&[], &[2, 3], &[]]),
    (&[0], &[&[0], &[]]),
];

fn random(shape: &[usize], rng: &mut Rng) -> ArrayD<f32> {
    ArrayD::from_shape_simple_fn(IxDyn(shape), || rng.between(-1.0, 1.0) as f32)
}

/// The matrix of an item of an array that is broadcast to a batch.
fn item(array: &ArrayD<f32>, batch: &[usize], at: &[usize]) -> Matrix {
    let own = &array.shape()[array.ndim() - 2..];
    let mut view = array.broadcast([batch, own].concat()).expect("it broadcasts");
    for &at in at {
        view = view.index_axis_move(Dim(0), at);
    }
    Matrix { rows: own[0], cols: own[1], data: view.iter().map(|&x| f64::from(x)).collect() }
}

/// The arrays of a formula, with the batch dimensions of a case.
fn arrays(n: usize, case: &Case, (m, cols): (usize, usize), rng: &mut Rng) -> Vec<ArrayD<f32>> {
    let inputs = formulas()[n].inputs.iter().zip(case.1.iter().cycle());
    let array = |(input, batch): (&tilefold_compiler::ir::Input, &&[usize])| {
        let rows = [m, cols, 1][input.axis.map_or(2, |axis| axis as usize)];
        random(&[*batch, &[rows, input.dim]].concat(), rng)
    };
    inputs.map(array).collect()
}

/// Every index of a batch.
fn indices(batch: &[usize]) -> Vec<Vec<usize>> {
    let all = ArrayD::from_elem(IxDyn(batch), ());
    all.indexed_iter().map(|(at, ())| ndarray::Dimension::slice(&at).to_vec()).collect()
}

/// Compares the results of all items with the oracle's. They come with their batch dimensions.
fn check_items(
    n: usize,
    (m, cols): (usize, usize),
    batch: &[usize],
    inputs: &[ArrayD<f32>],
    found: &[ArrayD<f32>],
) {
    for at in indices(batch) {
        let mut problem = problem(n, Dtype::F32, m, cols);
        problem.inputs = inputs.iter().map(|array| item(array, batch, &at)).collect();
        let found: Vec<Matrix> = found.iter().map(|array| item(array, batch, &at)).collect();
        check(&problem, Dtype::F32, &found);
    }
}

/// The results of a call with arrays of the host, as float32, and its report.
fn on_host_arrays(
    n: usize,
    inputs: &[ArrayD<f32>],
    policy: Policy,
) -> (Vec<ArrayD<f32>>, tilefold::Report) {
    let kernel = kernels().kernel(n, Dtype::F32);
    let mut call = Call::new(kernel).options(Options::new().executor(policy));
    for (value, array) in kernel.inputs().zip(inputs) {
        call = call.arg(value.name, Operand::from(array));
    }
    let mut outputs = call.run().unwrap();
    let formula = &formulas()[n];
    let taken = formula.outputs.iter().map(|output| match formula.kind(output.expr) {
        Kind::Int => outputs.take_nd::<i64>(&output.name).unwrap().mapv(|row| row as f32),
        _ => outputs.take_nd::<f32>(&output.name).unwrap(),
    });
    let taken = taken.collect();
    let report = outputs.report().clone();
    (taken, report)
}

fn batches_are_items_of_the_oracle() {
    let mut rng = Rng::new(81);
    for n in 0..formulas().len() {
        for case in CASES {
            for sizes in [(1, 1), (7, 300), (140, 9)] {
                let inputs = arrays(n, case, sizes, &mut rng);
                let (found, report) = on_host_arrays(n, &inputs, Policy::Cuda);
                assert_eq!(report.executor, Executor::Cuda(0));
                let shape = |array: &ArrayD<f32>| array.shape()[..array.ndim() - 2].to_vec();
                assert!(found.iter().all(|array| shape(array) == case.0), "{case:?}");
                check_items(n, sizes, case.0, &inputs, &found);
            }
        }
    }
    driver::all_is_given_back();
}

fn on_a_device() {
    batches_become_rows_or_launches(&[20]);
}

/// It is full of 8 blocks, so that 20 items are launched in three parts of about the same size.
fn on_one_multiprocessor() {
    batches_become_rows_or_launches(&[7, 7, 6]);
}

/// Items whose columns are the same are rows of one item; others are launched together where they
/// are one step apart. `twenty` is how 20 of them are.
fn batches_become_rows_or_launches(twenty: &[usize]) {
    let mut rng = Rng::new(82);
    let cases: [(Case, &[usize]); 7] = [
        ((&[50], &[&[50], &[], &[], &[]]), &[1]),
        ((&[5, 4], &[&[5, 4], &[], &[], &[]]), &[1]),
        ((&[3, 4], &[&[3, 4], &[3, 1], &[3, 1], &[]]), &[3]),
        ((&[4], &[&[4], &[], &[4], &[4]]), &[4]),
        ((&[2, 3], &[&[2, 3], &[3], &[2, 1], &[]]), &[3, 3]),
        ((&[2, 1, 3], &[&[2, 1, 3], &[2, 1, 3], &[2, 1, 3], &[2, 1, 3]]), &[6]),
        ((&[4, 5], &[&[4, 5], &[4, 5], &[4, 5], &[]]), twenty),
    ];
    for (case, launches) in cases {
        let inputs = arrays(GAUSS, &case, (9, 40), &mut rng);
        driver::journal();
        let (found, report) = on_host_arrays(GAUSS, &inputs, Policy::Cuda);
        let journal = driver::journal();
        let fold = |items: usize| if items > 1 { "_tiles" } else { "_rows" };
        let pair = |&items: &usize| [fold(items), "_finish"].map(|entry| (entry, items));
        let expected = launches.iter().flat_map(pair);
        let expected = expected.map(|(entry, n)| format!("{entry} of 1 x 1 x {n} blocks"));
        let queued = journal.iter().filter(|note| note.starts_with("launch"));
        assert!(
            queued.clone().count() == 2 * launches.len()
                && queued.zip(expected).all(|(note, blocks)| note.contains(&blocks)),
            "{case:?}: {launches:?} {journal:?}"
        );
        let pairs = case.0.iter().product::<usize>() as u64 * 9 * 40;
        assert_eq!(report.stages.iter().map(|stage| stage.pairs).sum::<u64>(), pairs);
        check_items(GAUSS, (9, 40), case.0, &inputs, &found);
    }
    // What is small for one item is large for many, and runs on the device by itself.
    let inputs = arrays(GAUSS, &(&[3], &[&[3]]), (9, 40), &mut rng);
    let kernel = dear(kernels().raw(GAUSS, Dtype::F32));
    let mut call = Call::new(kernel);
    for (value, array) in kernel.inputs().zip(&inputs) {
        call = call.arg(value.name, Operand::from(array));
    }
    let report = call.run().unwrap().report().clone();
    assert_eq!((report.executor, report.note), (Executor::Cuda(0), None));
}

/// Copies an array, and says what it is there.
fn copy(array: &ArrayD<f32>, stream: &Arc<CudaStream>) -> CudaSlice<f32> {
    stream.clone_htod(array.as_slice().expect("dense")).expect("room")
}

fn view<'a>(slice: &'a CudaSlice<f32>, array: &ArrayD<f32>) -> DeviceArray<'a> {
    let (batch, own) = array.shape().split_at(array.ndim() - 2);
    let rows = batch.iter().product::<usize>() * own[0];
    DeviceArray::new(slice, (rows, own[1])).unwrap().batch(batch).unwrap()
}

/// Arrays of the device: nothing waits, is copied or taken, and the workspace is what is used.
fn batches_on_a_stream() {
    let stream = CudaContext::new(0).unwrap().new_stream().unwrap();
    let mut rng = Rng::new(83);
    for n in (0..formulas().len()).filter(|&n| formulas()[n].name != "nearest") {
        for case in CASES.iter().filter(|case| !case.0.contains(&0)) {
            let (formula, sizes) = (&formulas()[n], (130, 50));
            let inputs = arrays(n, case, sizes, &mut rng);
            let slices: Vec<_> = inputs.iter().map(|array| copy(array, &stream)).collect();
            let views: Vec<_> = slices.iter().zip(&inputs).map(|(s, a)| view(s, a)).collect();
            let kernel = kernels().kernel(n, Dtype::F32);
            let kernel = CudaKernel::load(stream.context(), kernel).unwrap();
            let bytes = kernel.workspace_bytes_for(&views, None, None).unwrap();
            // SAFETY: it is written before it is read.
            let mut workspace = unsafe { stream.alloc::<u8>(bytes.max(1)) }.unwrap();
            let shapes = formula.outputs.iter().map(|output| {
                let rows = [sizes.0, sizes.1, 1][output.axis.map_or(2, |axis| axis as usize)];
                [case.0, &[rows, formula.dim(output.expr)]].concat()
            });
            let shapes: Vec<Vec<usize>> = shapes.collect();
            let room = |shape: &Vec<usize>| stream.alloc_zeros(shape.iter().product()).unwrap();
            let mut made: Vec<CudaSlice<f32>> = shapes.iter().map(room).collect();
            let outputs = made.iter_mut().zip(&shapes).map(|(slice, shape)| {
                let (cols, rows) = (shape[shape.len() - 1], shape[..shape.len() - 1].iter());
                let array = DeviceArrayMut::new(slice, (rows.product(), cols)).unwrap();
                array.batch(case.0).unwrap()
            });
            let mut outputs: Vec<_> = outputs.collect();
            let run = || {
                kernel.run_on_stream(&stream, &views, &mut outputs, None, &mut workspace).unwrap();
            };
            let notes = driver::notes_of(run).unwrap_or_default();
            drop(outputs);
            for word in ["wait", "allocate", "free", "copy"] {
                assert_eq!(driver::count(&notes, word), 0, "{notes:?}");
            }
            let found = made.iter().zip(&shapes).map(|(slice, shape)| {
                let numbers = stream.clone_dtoh(slice).unwrap();
                ArrayD::from_shape_vec(IxDyn(shape), numbers).unwrap()
            });
            let found: Vec<ArrayD<f32>> = found.collect();
            check_items(n, sizes, case.0, &inputs, &found);
            if !driver::is_ours() {
                continue;
            }
            let used = driver::touched(workspace.device_ptr(&stream).0) as usize;
            // Tensor cores do not write all that they may need.
            let is_tight = bytes - used < 256 || formula.name == "wide";
            assert!(used <= bytes && is_tight, "{bytes} bytes asked, {used} used");
        }
    }
}

type Lazy<'a> = LazyTensor<'a, f64>;

/// A sum, its gradients in all arrays, and the nearest row.
fn values<'a>(x: &Lazy<'a>, y: &Lazy<'a>, g: &Lazy<'a>) -> [Lazy<'a>; 5] {
    let d = (x - y).square().sum_inner();
    let a = (-&d * g).exp().sum(Axis::J);
    let [d_x, d_y, d_g] = [x, y, g].map(|variable| a.vjp(&a, variable));
    [a, d_x, d_y, d_g, d.argmin(Axis::J)]
}

fn on_the_host(arrays: [ArrayViewD<'_, f64>; 3]) -> (Vec<ArrayD<f64>>, ArrayD<i64>) {
    let [x, y, g] = arrays;
    let values = values(&Lazy::i(x), &Lazy::j(y), &Lazy::param(g));
    let options = Options::new().tiers(Tiers::INTERPRETED).executor(Policy::Cpu);
    let mut found = evaluate(&values.each_ref()).options(options).run().unwrap();
    ((0..4).map(|n| found.take_nd(n).unwrap()).collect(), found.take_nd(4).unwrap())
}

fn expressions_with_batches() {
    let mut rng = Rng::new(84);
    let mut draw =
        |shape: &[usize]| ArrayD::from_shape_simple_fn(IxDyn(shape), || rng.between(-1.0, 1.0));
    let plain = [draw(&[4, 2]), draw(&[5, 2]), draw(&[1])];
    let formulas = linked::recorded(|| drop(on_the_host(plain.each_ref().map(|a| a.view()))));
    let native = images(&formulas, &[Dtype::F64]);
    linked::register(&native, &formulas, Dtype::F64.into());

    let stream = CudaContext::new(0).unwrap().new_stream().unwrap();
    let cases: [[&[usize]; 3]; 4] =
        [[&[3], &[3], &[3]], [&[3], &[], &[]], [&[], &[2, 1], &[3]], [&[2, 3], &[1, 3], &[1, 1]]];
    for case in cases {
        let tails: [&[usize]; 3] = [&[6, 2], &[40, 2], &[1]];
        let host = [0, 1, 2].map(|n| draw(&[case[n], tails[n]].concat()));
        let (expected, nearest) = on_the_host(host.each_ref().map(|array| array.view()));
        let slices = host
            .each_ref()
            .map(|array| stream.clone_htod(array.as_slice().expect("dense")).expect("room"));
        let leaf = |n: usize, axis| {
            let columns = host[n].shape()[host[n].ndim() - 1];
            let array = DeviceArray::new(&slices[n], (host[n].len() / columns, columns));
            Lazy::device(array.unwrap().batch(case[n]).unwrap(), axis)
        };
        let [x, y, g] = [leaf(0, Some(Axis::I)), leaf(1, Some(Axis::J)), leaf(2, None)];
        let roots = values(&x, &y, &g);
        let found = evaluate(&roots.each_ref()).on(&stream).run().unwrap();
        for (n, expected) in expected.iter().enumerate() {
            let found: ArrayD<f64> = found.to_host_nd(n).unwrap();
            assert_eq!(found.shape(), expected.shape(), "value {n} of {case:?}");
            let off = (&found - expected).iter().fold(0.0, |all: f64, x| all.max(x.abs()));
            let scale = expected.iter().fold(1.0, |all: f64, x| all.max(x.abs()));
            assert!(off < 1e-12 * scale, "value {n} of {case:?}: {off:e} of {scale:e}");
        }
        assert_eq!(found.to_host_nd::<i64>(4).unwrap(), nearest);
        let batch = found.batch().to_vec();
        assert_eq!(expected[0].shape()[..batch.len()], batch);
        assert_eq!(found.to_host::<f64>(0).unwrap_err().code(), Code::Batch);
        // A gradient is there as it is, or it is refused as the parts of a sum.
        for (n, expected) in expected.iter().enumerate().skip(1) {
            let is_whole =
                expected.ndim() == batch.len() + 2 && expected.shape()[..batch.len()] == batch;
            assert_eq!(
                found.array(n).map(drop).map_err(|e| e.code()),
                match is_whole {
                    true => Ok(()),
                    false => Err(Code::Batch),
                }
            );
        }
        // Values are arrays again, with their dimensions.
        let again = Lazy::device(found.array(0).unwrap(), Some(Axis::I));
        assert_eq!(again.batch(), batch);
    }
}

fn batches_that_do_not_fit() {
    let stream = CudaContext::new(0).unwrap().default_stream();
    let slice = stream.alloc_zeros::<f32>(60).unwrap();
    let array = || DeviceArray::new(&slice, (20, 3)).unwrap();
    let refused = |result: Result<DeviceArray<'_>, tilefold::Error>, words: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.code(), Code::DeviceArgument, "{error}");
        assert!(error.message().contains(words), "{error}");
    };
    refused(array().batch(&[3]), "20 rows are no batch of shape [3]");
    refused(array().batch(&[0]), "20 rows are no batch of shape [0]");
    refused(array().batch(&[usize::MAX, 2]), "no batch");
    let again = array().batch(&[5]).and_then(|array| array.batch(&[2]));
    refused(again, "it has batch dimensions, and was to get [2]");
    assert!(array().batch(&[5, 4]).is_ok() && array().batch(&[]).is_ok());

    let kernel = kernels().kernel(GAUSS, Dtype::F32);
    let kernel = CudaKernel::load(stream.context(), kernel).unwrap();
    let number = || DeviceArray::new(&slice, (1, 1)).unwrap();
    let pair = || DeviceArray::new(&slice, (20, 2)).unwrap();
    let inputs = [array().batch(&[5]).unwrap(), array().batch(&[4]).unwrap(), pair(), number()];
    let error = kernel.workspace_bytes_for(&inputs, None, None).unwrap_err();
    assert_eq!(error.code(), Code::Batch, "{error}");
    let inputs = [array().batch(&[5]).unwrap(), array(), pair(), number()];
    let bytes = kernel.workspace_bytes_for(&inputs, None, None).unwrap();
    let mut workspace = stream.alloc_zeros::<u8>(bytes).unwrap();
    let mut a = stream.alloc_zeros::<f32>(40).unwrap();
    for (shape, fits) in [(&[5][..], true), (&[], false), (&[1, 5], false), (&[2], false)] {
        let output = DeviceArrayMut::new(&mut a, (20, 2)).unwrap().batch(shape).unwrap();
        let run = kernel.run_on_stream(&stream, &inputs, &mut [output], None, &mut workspace);
        assert_eq!(run.map_err(|e| e.code()), if fits { Ok(()) } else { Err(Code::OutputShape) });
    }
}
