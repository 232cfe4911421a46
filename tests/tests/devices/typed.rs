//! Host arrays on a device: results, copies, memory, which device, and when the CPU takes over.

use ndarray::{Array2, s};
use tilefold::cuda::{devices, unavailable};
use tilefold::{Call, Code, Executor, Options, Policy, bf16};
use tilefold_compiler::ir::{Dtype, Storage};
use tilefold_tests::native::run_kernel;
use tilefold_tests::{driver, emulated};

use super::bench::{
    GAUSS, Test, changed, check, dear, formula, formulas, images, kernels, problem,
};

pub const TESTS: &[Test] = &[
    Test::new(
        "devices_are_listed",
        "devices=2 compute=90,80 memory=1000,2000000",
        devices_are_listed,
    ),
    Test::anywhere("results_are_those_of_the_oracle", results_are_those_of_the_oracle),
    Test::new("without_memory_pools", "pools=0", results_are_those_of_the_oracle),
    Test::new("one_multiprocessor", "multiprocessors=1 resident=1", halves_are_converted),
    Test::anywhere("strided_inputs_and_outputs_in_place", strided_inputs_and_outputs_in_place),
    Test::new("the_device_that_is_asked_for", "devices=2", the_device_that_is_asked_for),
    Test::new("auto_takes_the_device_where_it_can", "", auto_takes_the_device_where_it_can),
    Test::anywhere("shared_memory_is_asked_for", shared_memory_is_asked_for),
    Test::anywhere("threads_share_a_device", threads_share_a_device),
];

fn devices_are_listed() {
    assert_eq!(unavailable(), None);
    let found = devices();
    let facts: Vec<_> = found.iter().map(|d| (d.ordinal, d.compute, d.memory)).collect();
    assert_eq!(facts, [(0, (9, 0), 1000), (1, (8, 0), 2_000_000)]);
    assert_eq!((&*found[1].name, found[1].multiprocessors), ("emulated device 1", 3));
}

/// Every formula, with one row and block and with several, empty ones too.
fn results_are_those_of_the_oracle() {
    let cuda = Options::new().executor(Policy::Cuda);
    for (n, formula) in formulas().iter().enumerate() {
        let sizes = [(1, 1), (3, 1700), (260, 70), (1100, 5), (0, 5)];
        for (m, cols) in sizes {
            let dtype = if (n + m) % 2 == 0 { Dtype::F32 } else { Dtype::F64 };
            let problem = problem(n, dtype, m, cols);
            let kernel = kernels().kernel(n, dtype);
            let found = run_kernel(kernel, dtype.into(), cuda, None, &problem);
            let found = found.unwrap_or_else(|e| panic!("{}: {e}", formula.name));
            check(&problem, dtype, &found);
        }
    }
    driver::all_is_given_back();
    if driver::is_ours() {
        let journal = driver::journal();
        assert_eq!(driver::count(&journal, "load a module"), 2 * formulas().len());
        assert!(journal.iter().all(|line| !line.contains("stream ") || line.contains("stream 0")));
    }
}

/// 16-bit arrays, one block a device.
fn halves_are_converted() {
    let body = "x[i] : R^3; y[j] : R^3; b[j] : R^2; a[i] = sum[j] exp(-sqdist(x, y)) * b;";
    let formulas = [formula("halves", body)];
    let native = images(&formulas, &[Storage::BF16]);
    let kernel = native.kernel(0, Storage::BF16);
    let array = |rows: usize, cols: usize| {
        Array2::from_shape_fn((rows, cols), |(r, c)| bf16::from_f32(((r + c) % 7) as f32 / 4.0))
    };
    let (x, y, b) = (array(40, 3), array(300, 3), array(300, 2));
    let call = |policy| {
        let call = Call::new(kernel).arg("x", &x).arg("y", &y).arg("b", &b);
        call.options(Options::new().executor(policy)).run().unwrap()
    };
    let (mut cuda, mut cpu) = (call(Policy::Cuda), call(Policy::Cpu));
    assert_eq!(cuda.report().executor, Executor::Cuda(0));
    let (cuda, cpu) = (cuda.take::<bf16>("a").unwrap(), cpu.take::<bf16>("a").unwrap());
    for (a, b) in cuda.iter().zip(&cpu) {
        assert!((a.to_f32() - b.to_f32()).abs() <= b.to_f32().abs() / 128.0, "{a} {b}");
    }
}

fn points(rows: usize, cols: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, cols), |(r, c)| ((r * 5 + c * 3) % 17) as f32 / 8.0 - 1.0)
}

fn strided_inputs_and_outputs_in_place() {
    let kernel = kernels().kernel(GAUSS, Dtype::F32);
    let (whole, y, b) = (points(60, 6), points(40, 3), points(40, 2));
    let x = whole.slice(s![..;-3, ..;-2]);
    let mut a = Array2::from_elem((22, 2), 7.0_f32);
    let call = Call::new(kernel).arg("x", x).arg("y", &y).arg("b", &b).arg("g", &0.5_f32);
    let call = call.out("a", a.slice_mut(s![1..21, ..]));
    call.options(Options::new().executor(Policy::Cuda)).run_into().unwrap();
    let dense = x.to_owned();
    let call = Call::new(kernel).arg("x", &dense).arg("y", &y).arg("b", &b).arg("g", &0.5_f32);
    let mut same = call.options(Options::new().executor(Policy::Cuda)).run().unwrap();
    assert_eq!(a.slice(s![1..21, ..]), same.take::<f32>("a").unwrap());
    assert!(a.row(0).iter().chain(a.row(21)).all(|&a| a == 7.0));
}

fn the_device_that_is_asked_for() {
    let (kernel, problem) = (kernels().kernel(GAUSS, Dtype::F32), problem(0, Dtype::F32, 9, 30));
    let run = |device| {
        let options = Options::new().executor(Policy::Cuda).device(device);
        run_kernel(kernel, Storage::F32, options, None, &problem)
    };
    for device in [1, 0, 1] {
        check(&problem, Dtype::F32, &run(device).unwrap());
        let journal = driver::journal();
        let launches: Vec<_> = journal.iter().filter(|l| l.starts_with("launch")).collect();
        let end = format!("of device {device}");
        assert!(launches.len() == 2 && launches.iter().all(|l| l.ends_with(&end)), "{journal:?}");
    }
    let error = run(2).unwrap_err();
    assert_eq!(error.code(), Code::NoDevice);
    assert!(error.message().contains("device 2 was asked for, but there are 2"), "{error}");
    driver::all_is_given_back();
}

fn auto_takes_the_device_where_it_can() {
    let (x, y, b) = (points(9, 3), points(9, 3), points(9, 2));
    let run = |kernel, options: Options| {
        let call = Call::new(kernel).arg("x", &x).arg("y", &y).arg("b", &b).arg("g", &0.5_f32);
        call.options(options).run()
    };
    let auto = |kernel| run(kernel, Options::new()).unwrap().report().clone();
    let raw = kernels().raw(GAUSS, Dtype::F32);
    let report = auto(dear(raw));
    assert_eq!((report.executor, report.note), (Executor::Cuda(0), None));
    let report = auto(kernels().kernel(GAUSS, Dtype::F32));
    assert_eq!(report.note.as_deref(), Some("the call is small"));

    let native = emulated::with_images(&formulas()[..1], &[Dtype::F32], (8, 6));
    let other = dear(native.raw(0, Dtype::F32));
    let note = auto(other).note.unwrap();
    let why = "its CUDA code does not load on emulated device 0 (compute capability 9.0): \
               CUDA_ERROR_NO_BINARY_FOR_GPU";
    assert!(note.contains(why), "{note}");
    let error = run(other, Options::new().executor(Policy::Cuda)).unwrap_err();
    assert_eq!(error.code(), Code::NoImage, "{error}");

    let bare = tilefold::sys::tf_kernel { image: std::ptr::null(), image_bytes: 0, ..*raw };
    let bare = dear(&bare);
    assert!(auto(bare).note.unwrap().contains("compiled without CUDA code"));
    let error = run(bare, Options::new().executor(Policy::Cuda)).unwrap_err();
    assert_eq!(error.code(), Code::NoImage, "{error}");
    let error = run(dear(raw), Options::new().executor(Policy::Cuda).device(3)).unwrap_err();
    assert_eq!(error.code(), Code::NoDevice, "{error}");
}

/// More than 48 KiB of dynamic shared memory must be asked for, and no device has 300 KiB.
fn shared_memory_is_asked_for() {
    let problem = problem(GAUSS, Dtype::F32, 5, 40);
    let run = |bytes| {
        let raw = kernels().raw(GAUSS, Dtype::F32);
        let kernel = changed(raw, |stage| stage.cuda.shared_bytes = bytes);
        let cuda = Options::new().executor(Policy::Cuda);
        run_kernel(kernel, Storage::F32, cuda, None, &problem)
    };
    for bytes in [0, 48 << 10, 100 << 10] {
        check(&problem, Dtype::F32, &run(bytes).unwrap());
    }
    let error = run(300 << 10).unwrap_err();
    assert!(error.message().contains("failed at asking for shared memory"), "{error}");
}

/// Calls from several threads at a time load one module, and do not disturb each other.
fn threads_share_a_device() {
    let kernel = kernels().kernel(GAUSS, Dtype::F32);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for turn in 0..3 {
                    let problem = problem(GAUSS, Dtype::F32, 20 + thread, 100 + turn);
                    let cuda = Options::new().executor(Policy::Cuda);
                    let found = run_kernel(kernel, Storage::F32, cuda, None, &problem).unwrap();
                    check(&problem, Dtype::F32, &found);
                }
            });
        }
    });
    assert!(!driver::is_ours() || driver::count(&driver::journal(), "load a module") == 1);
    driver::all_is_given_back();
}
