//! Expressions on streams: results against plain loops and the interpreter, what is copied, taken
//! and waited for, and what is refused.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use tilefold::cuda::cudarc::driver::{CudaContext, CudaSlice, CudaStream, DevicePtr};
use tilefold::cuda::{DeviceArray, DeviceArrayMut, unavailable};
use tilefold::lazy::{Reading, Source, SourceView};
use tilefold::{Axis, Code, Complex, Error, Executor, LazyTensor, Options, Tier, Tiers};
use tilefold::{Policy, evaluate};
use tilefold_compiler::ir::Dtype;
use tilefold_tests::{driver, linked};

use super::bench::{Test, images};

pub const TESTS: &[Test] = &[
    Test::anywhere("an_expression_on_a_stream", an_expression_on_a_stream),
    Test::new("an_expression_without_pools", "pools=0", an_expression_without_pools),
    Test::anywhere("values_in_place", values_in_place),
    Test::anywhere("values_are_arrays_again", values_are_arrays_again),
    Test::anywhere("complex_arrays", complex_arrays),
    Test::anywhere("arrays_that_others_own", arrays_that_others_own),
    Test::anywhere("arrays_of_another_handle", arrays_of_another_handle),
    Test::new("hosts_and_devices_do_not_mix", "devices=2", hosts_and_devices_do_not_mix),
    Test::new("what_is_not_on_a_device", "", what_is_not_on_a_device),
    Test::new("an_expression_and_a_driver_that_fails", "", an_expression_and_a_driver_that_fails),
    Test::new("an_expression_in_little_memory", "memory=3000", an_expression_in_little_memory),
];

/// What needs a device: NVRTC makes code for one.
pub const ON_A_DEVICE: &[Test] =
    &[Test::anywhere("an_expression_that_nvrtc_compiles", an_expression_that_nvrtc_compiles)];

type Lazy<'a> = LazyTensor<'a, f64>;

/// A sum with two numbers beside it, the nearest row, and the gradient of the sum.
fn formulas<'a>(x: &Lazy<'a>, y: &Lazy<'a>, b: &Lazy<'a>, width: f64) -> [Lazy<'a>; 3] {
    let d = (x - y).square().sum_inner();
    let a = ((-&d * width).exp() * b * 3.5).sum(Axis::J);
    let gradient = a.vjp(&a, x);
    [a, d.argmin(Axis::J), gradient]
}

fn host(rows: usize, cols: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, cols), |(r, c)| ((r * 5 + c * 3 + rows) % 17) as f64 / 8.0 - 1.0)
}

fn copy(array: &Array2<f64>, stream: &Arc<CudaStream>) -> CudaSlice<f64> {
    stream.clone_htod(array.as_slice().expect("dense")).expect("room")
}

/// What the interpreter says of the same.
struct Expected {
    a: Array2<f64>,
    nearest: Array2<i64>,
    gradient: Array2<f64>,
}

fn expected(x: ArrayView2<f64>, y: ArrayView2<f64>, b: ArrayView2<f64>, width: f64) -> Expected {
    let values = formulas(&Lazy::i(x), &Lazy::j(y), &Lazy::j(b), width);
    let options = Options::new().tiers(Tiers::INTERPRETED).executor(Policy::Cpu);
    let mut found = evaluate(&values.each_ref()).options(options).run().unwrap();
    let sum = |i: usize| -> f64 {
        let d = |j: usize| (0..x.ncols()).map(|k| (x[[i, k]] - y[[j, k]]).powi(2)).sum::<f64>();
        (0..y.nrows()).map(|j| 3.5 * b[[j, 0]] * (-width * d(j)).exp()).sum()
    };
    let a = found.take(0).unwrap();
    close(&a, &Array2::from_shape_fn((x.nrows(), 1), |(i, _)| sum(i)));
    Expected { a, nearest: found.take(1).unwrap(), gradient: found.take(2).unwrap() }
}

fn close(found: &Array2<f64>, expected: &Array2<f64>) {
    assert_eq!(found.dim(), expected.dim());
    let scale = expected.iter().fold(1.0, |a: f64, x| a.max(x.abs()));
    let worst = (found - expected).iter().fold(0.0, |a: f64, x| a.max(x.abs()));
    assert!(worst <= 1e-12 * scale, "{worst:e} of {scale:e}");
}

/// Compiles what `expected` evaluates, with images, and lets expressions find it.
fn link() {
    let (x, y, b) = (host(3, 3), host(4, 3), host(4, 1));
    let formulas = linked::recorded(|| drop(expected(x.view(), y.view(), b.view(), 0.5)));
    let native = images(&formulas, &[Dtype::F64]);
    linked::register(&native, &formulas, Dtype::F64.into());
}

/// Arrays on the host and on a device.
struct Bench {
    hosts: [Array2<f64>; 3],
    slices: [CudaSlice<f64>; 3],
}

impl Bench {
    fn new(m: usize, n: usize, stream: &Arc<CudaStream>) -> Bench {
        let hosts = [host(m, 3), host(n, 3), host(n, 1)];
        let slices = hosts.each_ref().map(|array| copy(array, stream));
        Bench { hosts, slices }
    }

    fn expressions(&self, width: f64) -> [Lazy<'_>; 3] {
        let leaf = |n: usize, axis| {
            let array = DeviceArray::new(&self.slices[n], self.hosts[n].dim()).unwrap();
            Lazy::device(array, Some(axis))
        };
        formulas(&leaf(0, Axis::I), &leaf(1, Axis::J), &leaf(2, Axis::J), width)
    }

    fn expected(&self, width: f64) -> Expected {
        let [x, y, b] = self.hosts.each_ref().map(|array| array.view());
        expected(x, y, b, width)
    }
}

/// How many lines there are of copies to the device, of memory, and of waits.
fn counts(journal: &[String]) -> [usize; 4] {
    ["copy", "allocate", "free", "wait"].map(|word| driver::count(journal, word))
}

fn an_expression_on_a_stream() {
    link();
    let stream = CudaContext::new(0).unwrap().new_stream().unwrap();
    for (m, n) in [(1, 1), (1100, 7), (3, 900)] {
        let bench = Bench::new(m, n, &stream);
        let expressions = bench.expressions(0.7);
        let mut values = None;
        let run = || evaluate(&expressions.each_ref()).on(&stream).run().unwrap();
        if let Some(notes) = driver::notes_of(|| values = Some(run())) {
            // Two numbers in one copy; three values and a workspace, which is given back.
            assert_eq!(counts(&notes), [1, 4, 1, 0], "{notes:?}");
            assert_eq!(driver::count(&notes, "copy 32 bytes to the device on stream 1"), 1);
            let launches: Vec<_> = notes.iter().filter(|line| line.starts_with("launch")).collect();
            assert!(!launches.is_empty() && launches.iter().all(|l| l.contains("on stream 1 ")));
        }
        let mut values = values.expect("it ran");
        let report = values.report();
        assert_eq!((report.executor, report.tier), (Executor::Cuda(0), Tier::Linked));

        let expected = bench.expected(0.7);
        assert_eq!(values.shape(2).unwrap(), (m, 3));
        close(&values.to_host(0).unwrap(), &expected.a);
        assert_eq!(values.to_host::<i64>(1).unwrap(), expected.nearest);
        let gradient = values.take::<f64>(2).unwrap();
        let gradient = Array2::from_shape_vec((m, 3), stream.clone_dtoh(&gradient).unwrap());
        close(&gradient.unwrap(), &expected.gradient);
        assert_eq!(values.to_host::<f64>(2).unwrap_err().code(), Code::UnknownOutput);
        assert_eq!(values.take::<f64>(1).unwrap_err().code(), Code::Dtype);
        assert_eq!(values.to_host::<f64>(3).unwrap_err().code(), Code::UnknownOutput);
    }
    driver::all_is_given_back();
}

/// Memory that is not of a pool is given back with the values, as that waits.
fn an_expression_without_pools() {
    link();
    let stream = CudaContext::new(0).unwrap().new_stream().unwrap();
    let bench = Bench::new(9, 30, &stream);
    let expressions = bench.expressions(0.2);
    driver::journal();
    let values = evaluate(&expressions.each_ref()).on(&stream).run().unwrap();
    let journal = driver::journal();
    assert_eq!(counts(&journal), [1, 4, 0, 0], "{journal:?}");
    close(&values.to_host(0).unwrap(), &bench.expected(0.2).a);
    drop((values, expressions));
    drop(bench);
    driver::all_is_given_back();
}

fn an_expression_that_nvrtc_compiles() {
    let stream = CudaContext::new(0).unwrap().new_stream().unwrap();
    let bench = Bench::new(1100, 70, &stream);
    let expressions = bench.expressions(0.7);
    let options = Options::new().tiers(Tiers::JIT);
    let values = evaluate(&expressions.each_ref()).options(options).on(&stream).run().unwrap();
    assert_eq!((values.report().executor, values.report().tier), (Executor::Cuda(0), Tier::Jit));
    let expected = bench.expected(0.7);
    close(&values.to_host(0).unwrap(), &expected.a);
    assert_eq!(values.to_host::<i64>(1).unwrap(), expected.nearest);
    close(&values.to_host(2).unwrap(), &expected.gradient);
}

fn values_in_place() {
    link();
    let stream = CudaContext::new(0).unwrap().new_stream().unwrap();
    let bench = Bench::new(300, 70, &stream);
    let expressions = bench.expressions(1.5);
    let asked = |roots: &[&Lazy<'_>]| evaluate(roots).on(&stream).workspace_bytes().unwrap();
    let bytes = asked(&expressions.each_ref());
    // SAFETY: it is written before it is read.
    let mut workspace = unsafe { stream.alloc::<u8>(bytes) }.unwrap();
    let mut a = stream.alloc_zeros::<f64>(300).unwrap();
    let mut nearest = stream.alloc_zeros::<i64>(300).unwrap();
    let mut gradient = stream.alloc_zeros::<f64>(900).unwrap();
    for turn in 0..2 {
        let mut outputs = [
            DeviceArrayMut::new(&mut a, (300, 1)).unwrap(),
            DeviceArrayMut::new(&mut nearest, (300, 1)).unwrap(),
            DeviceArrayMut::new(&mut gradient, (300, 3)).unwrap(),
        ];
        let run = evaluate(&expressions.each_ref()).on(&stream);
        let notes = driver::notes_of(|| {
            run.run_into(&mut outputs, &mut workspace).unwrap();
        });
        assert!(notes.is_none_or(|notes| counts(&notes) == [1, 0, 0, 0]), "turn {turn}");
        let mut small = workspace.slice_mut(..bytes - 1);
        let run = evaluate(&expressions.each_ref()).on(&stream);
        let error = run.run_into(&mut outputs, &mut small).unwrap_err();
        assert_eq!(error.code(), Code::DeviceArgument, "{error}");
        let mut tiny = workspace.slice_mut(..8);
        let run = evaluate(&expressions.each_ref()).on(&stream);
        let error = run.run_into(&mut outputs, &mut tiny).unwrap_err();
        assert!(error.message().contains(&format!("8 bytes, but needs {bytes}")), "{error}");
    }
    let expected = bench.expected(1.5);
    close(&Array2::from_shape_vec((300, 1), stream.clone_dtoh(&a).unwrap()).unwrap(), &expected.a);
    assert_eq!(stream.clone_dtoh(&nearest).unwrap(), expected.nearest.into_raw_vec_and_offset().0);
    if !driver::is_ours() {
        return;
    }
    let used = driver::touched(workspace.device_ptr(&stream).0) as usize;
    assert!(used <= bytes && bytes - used < 256, "{bytes} bytes asked, {used} used");
}

/// The values of one expression, on one stream, are arrays of the next, on another.
fn values_are_arrays_again() {
    link();
    let context = CudaContext::new(0).unwrap();
    let (one, two) = (context.new_stream().unwrap(), context.new_stream().unwrap());
    let bench = Bench::new(40, 40, &one);
    let first = evaluate(&bench.expressions(0.4).each_ref()).on(&one).run().unwrap();
    let leaf = |n: usize, axis| {
        let array = DeviceArray::new(&bench.slices[n], bench.hosts[n].dim()).unwrap();
        Lazy::device(array, Some(axis))
    };
    let b = Lazy::device(first.array(0).unwrap(), Some(Axis::J));
    let next = formulas(&leaf(0, Axis::I), &leaf(1, Axis::J), &b, 0.4);
    let second = evaluate(&next.each_ref()).on(&two).run().unwrap();
    drop(first);
    one.synchronize().unwrap();
    let [x, y, _] = bench.hosts.each_ref().map(|array| array.view());
    let a = bench.expected(0.4).a;
    close(&second.to_host(0).unwrap(), &expected(x, y, a.view(), 0.4).a);
}

fn complex_arrays() {
    fn sum<'a>(x: LazyTensor<'a, f64>, y: LazyTensor<'a, f64>) -> LazyTensor<'a, f64> {
        (x * y).sum(Axis::J)
    }
    let complex = |rows: usize| {
        Array2::from_shape_fn((rows, 1), |(r, _)| Complex::new(r as f64 - 2.0, (r % 3) as f64))
    };
    let (x, y) = (complex(5), complex(7));
    let on_host = || {
        let options = Options::new().tiers(Tiers::INTERPRETED).executor(Policy::Cpu);
        let root = sum(Lazy::i(x.view()), Lazy::j(y.view()));
        evaluate(&[&root]).options(options).run().unwrap().take::<Complex<f64>>(0).unwrap()
    };
    let formulas = linked::recorded(|| drop(on_host()));
    let native = images(&formulas, &[Dtype::F64]);
    linked::register(&native, &formulas, Dtype::F64.into());

    let stream = CudaContext::new(0).unwrap().default_stream();
    let parts = |array: &Array2<Complex<f64>>| -> Vec<f64> {
        array.iter().flat_map(|z| [z.re, z.im]).collect()
    };
    let (u, v) = (stream.clone_htod(&parts(&x)).unwrap(), stream.clone_htod(&parts(&y)).unwrap());
    let leaf = |slice, rows, axis| {
        Lazy::device(DeviceArray::complex(slice, (rows, 1)).unwrap(), Some(axis))
    };
    let root = sum(leaf(&u, 5, Axis::I), leaf(&v, 7, Axis::J));
    let mut values = evaluate(&[&root]).on(&stream).run().unwrap();
    assert_eq!(values.to_host::<Complex<f64>>(0).unwrap(), on_host());
    let found = stream.clone_dtoh(&values.take::<f64>(0).unwrap()).unwrap();
    assert_eq!(found, parts(&on_host()));
}

/// A matrix of another library: a part of its memory, column after column.
struct Theirs(CudaSlice<f64>, (usize, usize));

impl Source for Theirs {
    fn read(&self) -> Box<dyn Reading + '_> {
        Box::new(self)
    }

    fn is_same(&self, other: &dyn Source) -> bool {
        let other = (other as &dyn std::any::Any).downcast_ref::<Theirs>();
        other.is_some_and(|other| std::ptr::eq(other, self))
    }
}

impl Reading for &Theirs {
    fn view(&self) -> SourceView<'_> {
        let array = DeviceArray::strided(&self.0, 5, self.1, (1, self.1.0));
        SourceView::Device(array.expect("5 elements before the matrix"))
    }
}

impl Theirs {
    fn new(array: &Array2<f64>, stream: &Arc<CudaStream>) -> Arc<Theirs> {
        let columns = array.t().into_iter().copied();
        let numbers: Vec<f64> = [f64::NAN; 5].into_iter().chain(columns).collect();
        Arc::new(Theirs(stream.clone_htod(&numbers).unwrap(), array.dim()))
    }
}

fn arrays_that_others_own() {
    link();
    let stream = CudaContext::new(0).unwrap().new_stream().unwrap();
    let hosts = [host(30, 3), host(20, 3), host(20, 1)];
    let [x, y, b] = hosts.each_ref().map(|array| Theirs::new(array, &stream));
    let values = {
        let [x, y, b] = [(x.clone(), Axis::I), (y, Axis::J), (b, Axis::J)]
            .map(|(source, axis)| Lazy::source(source, Some(axis)));
        let values = formulas(&x, &y, &b, 0.6);
        let error = values[0].eval().unwrap_err();
        assert!(error.message().contains("DeviceArray(30 x 3 f64) is on a device"), "{error}");
        evaluate(&values.each_ref()).on(&stream).run().unwrap()
    };
    let [u, v, w] = hosts.each_ref().map(|array| array.view());
    let expected = expected(u, v, w, 0.6);
    close(&values.to_host(0).unwrap(), &expected.a);
    close(&values.to_host(2).unwrap(), &expected.gradient);
    for (offset, shape, strides) in [(6, (30, 3), (1, 30)), (0, (2, 2), (usize::MAX, 1))] {
        let error = DeviceArray::strided(&x.0, offset, shape, strides).unwrap_err();
        assert_eq!(error.code(), Code::DeviceArgument, "{error}");
    }
    assert!(DeviceArray::strided(&x.0, 5, (30, 3), (1, 30)).is_ok());
    assert!(DeviceArray::strided(&x.0, 500, (0, 3), (1, 30)).is_ok());
}

/// Arrays of another handle of the same device, as another library's are.
fn arrays_of_another_handle() {
    link();
    let (one, two) = (CudaContext::new(0).unwrap(), CudaContext::new(0).unwrap());
    let (theirs, ours) = (one.default_stream(), two.new_stream().unwrap());
    let bench = Bench::new(20, 30, &theirs);
    let values = evaluate(&bench.expressions(0.3).each_ref()).on(&ours).run().unwrap();
    let expected = bench.expected(0.3);
    drop(bench);
    theirs.synchronize().unwrap();
    close(&values.to_host(0).unwrap(), &expected.a);
}

fn hosts_and_devices_do_not_mix() {
    link();
    let (here, there) = (CudaContext::new(0).unwrap(), CudaContext::new(1).unwrap());
    let stream = here.default_stream();
    let (bench, other) = (Bench::new(4, 5, &stream), Bench::new(4, 5, &there.default_stream()));
    let leaf = |bench: &'static Bench, n: usize, axis| {
        let array = DeviceArray::new(&bench.slices[n], bench.hosts[n].dim()).unwrap();
        Lazy::device(array, Some(axis))
    };
    let (bench, other): (&'static Bench, &'static Bench) =
        (Box::leak(Box::new(bench)), Box::leak(Box::new(other)));
    let (x, y, b) = (leaf(bench, 0, Axis::I), leaf(bench, 1, Axis::J), leaf(bench, 2, Axis::J));
    let on = |values: [Lazy<'_>; 3]| evaluate(&values.each_ref()).on(&stream).run().map(drop);
    let refused = |result: Result<(), Error>, words: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.code(), Code::DeviceArgument, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    let host_y = Lazy::j(bench.hosts[1].view());
    let words = "an array of 5 x 3 numbers is on the host, but the evaluation runs on a device";
    refused(on(formulas(&x, &host_y, &b, 0.5)), words);
    let words = "cuda:0, but an argument is on cuda:1";
    refused(on(formulas(&x, &leaf(other, 1, Axis::J), &b, 0.5)), words);
    let on_host = formulas(&x, &y, &b, 0.5)[0].eval().map(drop);
    let words = "DeviceArray(4 x 3 f64) is on a device, but the evaluation runs on the host";
    refused(on_host, words);
    on(formulas(&x, &y, &b, 0.5)).unwrap();
}

fn what_is_not_on_a_device() {
    link();
    let stream = CudaContext::new(0).unwrap().default_stream();
    let bench = Bench::new(4, 5, &stream);
    let values = bench.expressions(0.5);
    let run = |options| evaluate(&values.each_ref()).options(options).on(&stream).run().map(drop);
    run(Options::new()).unwrap();
    let error = run(Options::new().tiers(Tiers::INTERPRETED)).unwrap_err();
    assert_eq!(error.code(), Code::NoExecutor, "{error}");
    let stop = std::sync::atomic::AtomicBool::new(true);
    assert_eq!(run(Options::new().cancel(&stop)).unwrap_err().code(), Code::Cancelled);

    let array = || DeviceArray::new(&bench.slices[0], (4, 3)).unwrap();
    let code = |tensor: &LazyTensor<'_, f64>| tensor.mistake().map(Error::code);
    assert_eq!(code(&Lazy::device(array(), None)), Some(Code::ParameterRows));
    let wrong = LazyTensor::<f32>::device(array(), Some(Axis::I));
    assert_eq!(wrong.mistake().map(Error::code), Some(Code::Dtype));
    // A formula that nobody compiled, and one that was compiled without CUDA code.
    let x = Lazy::device(array(), Some(Axis::I));
    let root = (&x - Lazy::device(array(), Some(Axis::J))).abs().sum(Axis::J);
    let linked = Options::new().tiers(Tiers::LINKED);
    let error = evaluate(&[&root]).options(linked).on(&stream).run().map(drop).unwrap_err();
    assert_eq!(error.code(), Code::NoExecutor, "{error}");
    let on_host = host(2, 3);
    let formulas = linked::recorded(|| {
        let (x, y) = (Lazy::i(on_host.view()), Lazy::j(on_host.view()));
        let options = Options::new().tiers(Tiers::INTERPRETED);
        (x - y).abs().sum(Axis::J).eval_with(options).unwrap();
    });
    linked::link(&formulas, Dtype::F64.into());
    let error = evaluate(&[&root]).options(linked).on(&stream).run().map(drop).unwrap_err();
    assert_eq!(error.code(), Code::NoImage, "{error}");
}

fn an_expression_and_a_driver_that_fails() {
    link();
    assert_eq!(unavailable(), None);
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let bench = Bench::new(5, 20, &context.new_stream().unwrap());
    let (expressions, expected) = (bench.expressions(0.5), bench.expected(0.5));
    let mut failures = 0;
    for at in 1.. {
        driver::fail(at, 719);
        let run = evaluate(&expressions.each_ref()).on(&stream).run();
        let found = run.and_then(|values| values.to_host(0));
        let reached = driver::calls() >= at;
        driver::fail(0, 0);
        let _ = context.check_err();
        match found {
            Ok(found) => close(&found, &expected.a),
            Err(error) => {
                let codes = [Code::Device, Code::NoDevice, Code::NoImage];
                assert!(codes.contains(&error.code()), "call {at}: {error}");
                failures += 1;
            }
        }
        if !reached {
            break;
        }
    }
    assert!(failures > 20, "{failures} failures");
}

fn an_expression_in_little_memory() {
    link();
    let stream = CudaContext::new(0).unwrap().default_stream();
    let bench = Bench::new(40, 8, &stream);
    let values = bench.expressions(0.5);
    let error = evaluate(&values.each_ref()).on(&stream).run().map(drop).unwrap_err();
    assert_eq!(error.code(), Code::OutOfMemory, "{error}");
    drop(values);
    drop(bench);
    driver::all_is_given_back();
}
