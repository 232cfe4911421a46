//! Device arrays on streams of the caller: nothing waits, nothing is allocated, what must be
//! ordered is, and the workspace is what is used.

use std::sync::Arc;

use tilefold::Code;
use tilefold::cuda::cudarc::driver::{CudaContext, CudaSlice, CudaStream, DevicePtr};
use tilefold::cuda::{CudaKernel, DeviceArray, DeviceArrayMut};
use tilefold_compiler::ir::Dtype;
use tilefold_compiler::ir::eval::Matrix;
use tilefold_tests::driver;
use tilefold_tests::problem::Problem;

use super::bench::{GAUSS, NESTED, Test, check, kernels, matrix, on_device, problem};

pub const TESTS: &[Test] = &[
    Test::anywhere("a_stream_is_never_waited_for", a_stream_is_never_waited_for),
    Test::new("the_workspace_is_what_is_used", "", the_workspace_is_what_is_used),
    Test::anywhere("streams_are_ordered_by_events", streams_are_ordered_by_events),
    Test::anywhere("contexts_of_a_device_are_ordered", contexts_of_a_device_are_ordered),
    Test::new("arguments_of_other_devices", "devices=2", arguments_of_other_devices),
    Test::new("a_kernel_is_loaded_once", "", a_kernel_is_loaded_once),
    Test::anywhere("bad_arguments", bad_arguments),
];

/// Arrays of a problem and of its results on a stream.
struct Bench {
    problem: Problem,
    kernel: Arc<CudaKernel>,
    inputs: Vec<CudaSlice<f32>>,
    outputs: Vec<(CudaSlice<f32>, usize, usize)>,
    workspace: CudaSlice<u8>,
}

impl Bench {
    fn new(n: usize, m: usize, cols: usize, stream: &Arc<CudaStream>) -> Bench {
        let problem = problem(n, Dtype::F32, m, cols);
        let kernel = CudaKernel::load(stream.context(), kernels().kernel(n, Dtype::F32)).unwrap();
        let inputs = on_device(&problem, stream);
        let outputs = problem.formula.outputs.iter().map(|output| {
            let rows = [m, cols, 1][output.axis.map_or(2, |axis| axis as usize)];
            let dim = problem.formula.dim(output.expr);
            (stream.alloc_zeros(rows * dim).unwrap(), rows, dim)
        });
        let outputs = outputs.collect();
        let bytes = kernel.workspace_bytes(m, cols).unwrap();
        // SAFETY: it is written before it is read.
        let workspace = unsafe { stream.alloc(bytes.max(1)) }.unwrap();
        Bench { problem, kernel, inputs, outputs, workspace }
    }

    fn run(&mut self, stream: &CudaStream) -> Result<(), tilefold::Error> {
        let matrices = self.inputs.iter().zip(&self.problem.inputs);
        let inputs: Vec<_> =
            matrices.map(|(x, m)| DeviceArray::new(x, (m.rows, m.cols)).unwrap()).collect();
        let mut outputs: Vec<_> = (self.outputs.iter_mut())
            .map(|(a, rows, cols)| DeviceArrayMut::new(a, (*rows, *cols)).unwrap())
            .collect();
        self.kernel.run_on_stream(stream, &inputs, &mut outputs, None, &mut self.workspace)
    }

    fn results(&self, stream: &Arc<CudaStream>) -> Vec<Matrix> {
        let copied = |(a, rows, cols): &(CudaSlice<f32>, usize, usize)| {
            matrix(*rows, *cols, stream.clone_dtoh(a).unwrap())
        };
        self.outputs.iter().map(copied).collect()
    }
}

fn a_stream_is_never_waited_for() {
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    for (n, m, cols) in [(GAUSS, 1100, 60), (NESTED, 70, 90)] {
        let mut bench = Bench::new(n, m, cols, &stream);
        let notes = driver::notes_of(|| bench.run(&stream).unwrap());
        assert!(notes.as_ref().is_none_or(|notes| !notes.is_empty()));
        for line in notes.iter().flatten() {
            assert!(line.starts_with("launch ") && line.contains("on stream 1 "), "{line}");
        }
        // Again, with the same memory, before the first is done.
        bench.run(&stream).unwrap();
        check(&bench.problem, Dtype::F32, &bench.results(&stream));
    }
    let notes = driver::notes_of(|| drop((stream, context)));
    assert_eq!(notes.map_or(0, |notes| driver::count(&notes, "wait for")), 0);
}

/// The last byte of a workspace is written, but for what the alignment of its parts may leave.
fn the_workspace_is_what_is_used() {
    let stream = CudaContext::new(0).unwrap().new_stream().unwrap();
    for (n, m, cols) in [(GAUSS, 1, 1), (GAUSS, 5, 1700), (NESTED, 70, 90), (NESTED, 3, 2)] {
        let mut bench = Bench::new(n, m, cols, &stream);
        bench.run(&stream).unwrap();
        check(&bench.problem, Dtype::F32, &bench.results(&stream));
        let (address, _guard) = bench.workspace.device_ptr(&stream);
        let (asked, used) = (bench.workspace.len(), driver::touched(address) as usize);
        assert!(used <= asked && asked - used < 256, "{asked} bytes asked, {used} used");
    }
}

/// Arrays of one stream, a run on another, results read on a third.
fn streams_are_ordered_by_events() {
    let context = CudaContext::new(0).unwrap();
    let [one, two, three] = [(); 3].map(|()| context.new_stream().unwrap());
    let mut bench = Bench::new(NESTED, 70, 90, &one);
    bench.run(&two).unwrap();
    check(&bench.problem, Dtype::F32, &bench.results(&three));
    // What is dropped is freed when the run is done with it, not before.
    bench.run(&two).unwrap();
    bench.inputs.clear();
    one.synchronize().unwrap();
    check(&bench.problem, Dtype::F32, &bench.results(&three));
    drop(bench);
    context.synchronize().unwrap();
    driver::all_is_given_back();
}

/// Two handles of one context know nothing of each other's streams, so cudarc orders nothing.
fn contexts_of_a_device_are_ordered() {
    let (one, two) = (CudaContext::new(0).unwrap(), CudaContext::new(0).unwrap());
    let (stream, other) = (one.default_stream(), two.new_stream().unwrap());
    let mut bench = Bench::new(NESTED, 70, 90, &stream);
    bench.run(&other).unwrap();
    check(&bench.problem, Dtype::F32, &bench.results(&stream));
    bench.run(&other).unwrap();
    bench.inputs.clear();
    stream.synchronize().unwrap();
    check(&bench.problem, Dtype::F32, &bench.results(&stream));
}

fn arguments_of_other_devices() {
    let (here, there) = (CudaContext::new(0).unwrap(), CudaContext::new(1).unwrap());
    let mut bench = Bench::new(GAUSS, 5, 6, &here.default_stream());
    let elsewhere = there.default_stream();
    let refused = |result: Result<(), tilefold::Error>, what: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.code(), Code::DeviceArgument, "{error}");
        let words = format!("the kernel is loaded on cuda:0, but {what} is on cuda:1");
        assert!(error.message().contains(&words), "{error}");
    };
    refused(bench.run(&elsewhere), "the stream");
    let x = std::mem::replace(&mut bench.inputs[0], elsewhere.alloc_zeros(15).unwrap());
    refused(bench.run(&here.default_stream()), "an argument");
    bench.inputs[0] = x;
    let a = std::mem::replace(&mut bench.outputs[0].0, elsewhere.alloc_zeros(10).unwrap());
    refused(bench.run(&here.default_stream()), "an output");
    bench.outputs[0].0 = a;
    let enough = elsewhere.alloc_zeros(bench.workspace.len()).unwrap();
    let workspace = std::mem::replace(&mut bench.workspace, enough);
    refused(bench.run(&here.default_stream()), "the workspace");
    bench.workspace = workspace;
    bench.run(&here.default_stream()).unwrap();
    check(&bench.problem, Dtype::F32, &bench.results(&here.default_stream()));
    assert_eq!(driver::count(&driver::journal(), "launch"), 2);
}

fn a_kernel_is_loaded_once() {
    let kernel = kernels().kernel(GAUSS, Dtype::F32);
    let first = CudaKernel::load(&CudaContext::new(0).unwrap(), kernel).unwrap();
    let context = CudaContext::new(0).unwrap();
    driver::fail(0, 0);
    let second = CudaKernel::load(&context, kernel).unwrap();
    assert_eq!(driver::calls(), 0);
    assert!(std::ptr::eq(&*first, &*second));
    assert_eq!(format!("{second:?}"), "CudaKernel(gauss on cuda:0)");
    drop((context, first, second));
    assert_eq!(driver::count(&driver::journal(), "context of device 0 destroyed"), 0);
}

fn bad_arguments() {
    let stream = CudaContext::new(0).unwrap().new_stream().unwrap();
    let mut bench = Bench::new(GAUSS, 300, 900, &stream);
    let bytes = bench.workspace.len();
    let mut run = |workspace: CudaSlice<u8>| {
        bench.workspace = workspace;
        bench.run(&stream).unwrap_err()
    };
    let error = run(stream.alloc_zeros(bytes - 1).unwrap());
    assert_eq!(error.code(), Code::DeviceArgument);
    assert!(error.message().contains(&format!("but needs {bytes}")), "{error}");
    assert!(!driver::is_ours() || driver::count(&driver::journal(), "launch") == 0);

    let mut long = stream.alloc_zeros::<u8>(bytes + 8).unwrap();
    let mut odd = long.slice_mut(8..);
    let matrices = bench.inputs.iter().zip(&bench.problem.inputs);
    let inputs: Vec<_> =
        matrices.map(|(x, m)| DeviceArray::new(x, (m.rows, m.cols)).unwrap()).collect();
    let mut outputs = [DeviceArrayMut::new(&mut bench.outputs[0].0, (300, 2)).unwrap()];
    let error = bench.kernel.run_on_stream(&stream, &inputs, &mut outputs, None, &mut odd);
    assert!(error.unwrap_err().to_string().contains("align it to 256 bytes"));
    drop(outputs);

    let error = DeviceArray::new(&bench.inputs[0], (301, 3)).unwrap_err();
    assert_eq!(error.code(), Code::DeviceArgument);
    assert!(error.message().contains("900 elements were passed as an array of shape (301, 3)"));
    let error = DeviceArrayMut::new(&mut bench.outputs[0].0, (usize::MAX, 2)).unwrap_err();
    assert_eq!(error.code(), Code::DeviceArgument);
}
