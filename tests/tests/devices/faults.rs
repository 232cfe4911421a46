//! Drivers that are missing, old or empty, devices that are small, and calls that fail.

use tilefold::cuda::cudarc::driver::CudaContext;
use tilefold::cuda::{CudaKernel, DeviceArray, DeviceArrayMut, devices, unavailable};
use tilefold::{Code, Options, Policy};
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Dtype, Storage};
use tilefold_tests::driver;
use tilefold_tests::native::run_kernel;

use super::bench::{GAUSS, Test, check, dear, kernels, matrix, on_device, problem};

pub const TESTS: &[Test] = &[
    Test::new("no_device", "init=100", no_device),
    Test::new("a_driver_that_does_not_start", "init=999", a_driver_that_does_not_start),
    Test::new("the_stub_of_the_toolkit", "init=34", the_stub_of_the_toolkit),
    Test::new("an_old_driver", "version=11020", an_old_driver),
    Test::new("little_memory", "memory=20000", little_memory),
    Test::new(
        "every_failure_of_the_driver_is_an_error",
        "",
        every_failure_of_the_driver_is_an_error,
    ),
    Test::new("every_failure_on_a_stream_is_an_error", "", every_failure_on_a_stream_is_an_error),
];

/// Refuses calls on a device, and says why; lets the CPU do what may go there.
fn refuses(why: &str) {
    assert!(unavailable().unwrap().contains(why), "{:?}", unavailable());
    assert!(devices().is_empty());
    let problem = problem(GAUSS, Dtype::F32, 5, 6);
    let kernel = dear(kernels().raw(GAUSS, Dtype::F32));
    let run = |policy| {
        let options = Options::new().executor(policy);
        run_kernel(kernel, Storage::F32, options, None, &problem)
    };
    let error = run(Policy::Cuda).unwrap_err();
    assert_eq!(error.code(), Code::NoDevice);
    assert!(error.message().contains(why), "{error}");
    check(&problem, Dtype::F32, &run(Policy::Auto).unwrap());
}

fn no_device() {
    refuses("the driver is there, but it finds no device");
}

fn a_driver_that_does_not_start() {
    refuses("the driver does not start (cuInit gives 999)");
}

fn the_stub_of_the_toolkit() {
    refuses("the toolkit's stub: take its folder out of LD_LIBRARY_PATH");
}

fn an_old_driver() {
    refuses("the driver is of CUDA 11.2, but 11.4 or later is needed");
}

/// What does not fit is an error that says how much was asked for, or goes to the CPU.
fn little_memory() {
    let problem = problem(GAUSS, Dtype::F32, 3000, 30);
    let kernel = dear(kernels().raw(GAUSS, Dtype::F32));
    let run = |policy| {
        let options = Options::new().executor(policy);
        run_kernel(kernel, Storage::F32, options, None, &problem)
    };
    let error = run(Policy::Cuda).unwrap_err();
    assert_eq!(error.code(), Code::OutOfMemory);
    assert!(error.message().contains("36000 bytes"), "{error}");
    check(&problem, Dtype::F32, &run(Policy::Auto).unwrap());
    CudaContext::new(0).unwrap().synchronize().unwrap();
    assert_eq!(driver::live(), 0, "what was taken before is given back");
}

const EXPECTED: [Code; 4] = [Code::Device, Code::OutOfMemory, Code::NoDevice, Code::NoImage];

/// Lets every call fail in turn, until a run has fewer calls; a result must be right.
fn sweep(code: i64, mut run: impl FnMut() -> Result<Vec<Matrix>, tilefold::Error>) {
    let problem = problem(GAUSS, Dtype::F32, 7, 40);
    let mut failures = 0;
    for at in 1.. {
        driver::fail(at, code);
        let result = run();
        let reached = driver::calls() >= at;
        driver::fail(0, 0);
        match result {
            Ok(found) => check(&problem, Dtype::F32, &found),
            Err(error) => {
                assert!(EXPECTED.contains(&error.code()), "call {at}: {error}");
                failures += 1;
            }
        }
        if !reached {
            assert!(at > 30, "the sweep reached the end: {at} calls");
            break;
        }
    }
    assert!(failures > 3, "code {code}: {failures} failures");
}

fn every_failure_of_the_driver_is_an_error() {
    assert!(unavailable().is_none() && EXPECTED.contains(&Code::Device));
    let problem = problem(GAUSS, Dtype::F32, 7, 40);
    for (code, policy) in [(2, Policy::Cuda), (719, Policy::Cuda), (700, Policy::Auto)] {
        sweep(code, || {
            // A new kernel, so that loading is part of the sweep.
            let kernel = dear(kernels().raw(GAUSS, Dtype::F32));
            let options = Options::new().executor(policy);
            run_kernel(kernel, Storage::F32, options, None, &problem)
        });
    }
}

/// The caller's own calls do not fail: each is made when the driver is well.
fn every_failure_on_a_stream_is_an_error() {
    let problem = problem(GAUSS, Dtype::F32, 7, 40);
    let context = CudaContext::new(0).unwrap();
    let (stream, other) = (context.new_stream().unwrap(), context.new_stream().unwrap());
    let inputs = on_device(&problem, &other);
    let arrays = inputs.iter().zip(&problem.inputs);
    let arrays: Vec<_> =
        arrays.map(|(x, m)| DeviceArray::new(x, (m.rows, m.cols)).unwrap()).collect();
    let bytes = CudaKernel::load(&context, kernels().kernel(GAUSS, Dtype::F32)).unwrap();
    let bytes = bytes.workspace_bytes(7, 40).unwrap();
    let mut workspace = stream.alloc_zeros::<u8>(bytes).unwrap();
    let mut failures = 0;
    for at in 1.. {
        let mut a = stream.alloc_zeros::<f32>(14).unwrap();
        let mut outputs = [DeviceArrayMut::new(&mut a, (7, 2)).unwrap()];
        let kernel = dear(kernels().raw(GAUSS, Dtype::F32));
        driver::fail(at, 719);
        let run = CudaKernel::load(&context, kernel).and_then(|kernel| {
            kernel.run_on_stream(&stream, &arrays, &mut outputs, None, &mut workspace)
        });
        let reached = driver::calls() >= at;
        driver::fail(0, 0);
        drop(outputs);
        match run {
            Ok(()) => {
                let late = context.check_err();
                let found = stream.clone_dtoh(&a).unwrap();
                check(&problem, Dtype::F32, &[matrix(7, 2, found)]);
                assert!(late.is_ok() || reached, "{late:?}");
            }
            Err(error) => {
                assert!(EXPECTED.contains(&error.code()), "call {at}: {error}");
                failures += 1;
                // What cudarc could not say at the time is said now, and not later.
                let _ = context.check_err();
            }
        }
        if !reached {
            break;
        }
    }
    assert!(failures > 10, "{failures} failures");
}
