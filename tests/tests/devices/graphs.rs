//! Graphs that record runs: they repeat what was recorded on whatever is in the arrays then.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use tilefold::cuda::cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use tilefold::cuda::cudarc::driver::{CudaContext, CudaGraph, CudaSlice, CudaStream};
use tilefold::cuda::{CudaKernel, DeviceArray, DeviceArrayMut};
use tilefold::{Axis, Code, LazyTensor, Options, Policy, Ranges, Tiers, evaluate};
use tilefold_compiler::ir::Dtype;
use tilefold_tests::{driver, linked};

use super::bench::{GAUSS, Test, check, images, kernels, matrix, on_device, problem};

pub const TESTS: &[Test] = &[
    Test::anywhere("a_graph_of_a_typed_run", a_graph_of_a_typed_run),
    Test::anywhere("a_graph_of_an_expression", a_graph_of_an_expression),
];

/// A stream whose arrays have no events.
fn stream() -> Arc<CudaStream> {
    let context = CudaContext::new(0).unwrap();
    // SAFETY: all work is on one stream.
    unsafe { context.disable_event_tracking() };
    context.new_stream().unwrap()
}

/// What is recorded while `run` runs.
fn graph(stream: &Arc<CudaStream>, run: impl FnOnce()) -> CudaGraph {
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).unwrap();
    let notes = driver::notes_of(run).unwrap_or_default();
    for word in ["wait", "allocate", "free", "copy"] {
        assert_eq!(driver::count(&notes, word), 0, "{notes:?}");
    }
    stream.end_capture(CUgraphInstantiate_flags(0)).unwrap().expect("a graph")
}

fn a_graph_of_a_typed_run() {
    let stream = stream();
    let (m, n) = (300, 70);
    let mut problem = problem(GAUSS, Dtype::F32, m, n);
    let kernel = CudaKernel::load(stream.context(), kernels().kernel(GAUSS, Dtype::F32)).unwrap();
    let mut slices = on_device(&problem, &stream);
    let width = problem.formula.dim(problem.formula.outputs[0].expr);
    let mut a = stream.alloc_zeros::<f32>(m * width).unwrap();
    let ranges = Ranges::from_blocks([(0..m, 0..n)]).unwrap();
    let bytes = {
        let shapes = problem.inputs.iter().map(|x| (x.rows, x.cols));
        let inputs = slices.iter().zip(shapes).map(|(x, shape)| DeviceArray::new(x, shape));
        let inputs: Vec<_> = inputs.map(Result::unwrap).collect();
        kernel.workspace_bytes_for(&inputs, None, Some(&ranges)).unwrap()
    };
    let mut workspace = stream.alloc_zeros::<u8>(bytes).unwrap();
    let graph = graph(&stream, || {
        let shapes = problem.inputs.iter().map(|x| (x.rows, x.cols));
        let inputs = slices.iter().zip(shapes).map(|(x, shape)| DeviceArray::new(x, shape));
        let inputs: Vec<_> = inputs.map(Result::unwrap).collect();
        let mut outputs = [DeviceArrayMut::new(&mut a, (m, width)).unwrap()];
        kernel.run_on_stream(&stream, &inputs, &mut outputs, None, &mut workspace).unwrap();
        let error = kernel
            .run_ranges_on_stream(&stream, &ranges, &inputs, &mut outputs, None, &mut workspace)
            .unwrap_err();
        assert_eq!(error.code(), Code::DeviceArgument, "{error}");
        assert!(error.message().contains("records a graph"), "{error}");
    });
    for turn in 1..3 {
        problem.inputs[0].data.iter_mut().for_each(|x| *x /= f64::from(turn));
        let numbers: Vec<f32> = problem.inputs[0].data.iter().map(|&x| x as f32).collect();
        problem.inputs[0].data = numbers.iter().map(|&x| f64::from(x)).collect();
        stream.memcpy_htod(&numbers, &mut slices[0]).unwrap();
        graph.launch().unwrap();
        let found = matrix(m, width, stream.clone_dtoh(&a).unwrap());
        check(&problem, Dtype::F32, &[found]);
    }
}

type Lazy<'a> = LazyTensor<'a, f64>;

/// A sum with two numbers beside it.
fn sum<'a>(x: &Lazy<'a>, y: &Lazy<'a>) -> Lazy<'a> {
    ((x - y).square().sum_inner() * -0.75 + 2.0).exp().sum(Axis::J)
}

fn interpreted(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Array2<f64> {
    let options = Options::new().tiers(Tiers::INTERPRETED).executor(Policy::Cpu);
    let sum = sum(&Lazy::i(x), &Lazy::j(y));
    evaluate(&[&sum]).options(options).run().unwrap().take(0).unwrap()
}

/// Numbers are in the graph, wherever they were when it was recorded.
fn a_graph_of_an_expression() {
    let host = |rows: usize| Array2::from_shape_fn((rows, 3), |(r, c)| ((r * 5 + c) % 7) as f64);
    let (x, y) = (host(40), host(33));
    let formulas = linked::recorded(|| drop(interpreted(x.view(), y.view())));
    let native = images(&formulas, &[Dtype::F64]);
    linked::register(&native, &formulas, Dtype::F64.into());
    let stream = stream();
    let copy = |array: &Array2<f64>| stream.clone_htod(array.as_slice().unwrap()).unwrap();
    let (mut on_x, on_y): (CudaSlice<f64>, CudaSlice<f64>) = (copy(&x), copy(&y));
    let mut a = stream.alloc_zeros::<f64>(40).unwrap();
    let graph = {
        let leaf = |slice, rows, axis| {
            Lazy::device(DeviceArray::new(slice, (rows, 3)).unwrap(), Some(axis))
        };
        let sum = sum(&leaf(&on_x, 40, Axis::I), &leaf(&on_y, 33, Axis::J));
        let bytes = evaluate(&[&sum]).on(&stream).workspace_bytes().unwrap();
        let mut workspace = stream.alloc_zeros::<u8>(bytes).unwrap();
        let graph = graph(&stream, || {
            let mut outputs = [DeviceArrayMut::new(&mut a, (40, 1)).unwrap()];
            evaluate(&[&sum]).on(&stream).run_into(&mut outputs, &mut workspace).unwrap();
        });
        // The graph writes to it until the program ends.
        std::mem::forget(workspace);
        graph
    };
    for scale in [1.0, 0.25] {
        let scaled = &x * scale;
        stream.memcpy_htod(scaled.as_slice().unwrap(), &mut on_x).unwrap();
        graph.launch().unwrap();
        let found = stream.clone_dtoh(&a).unwrap();
        let expected = interpreted(scaled.view(), y.view());
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{found} {expected}");
        }
    }
}
