//! The CUDA executor against a stand-in for the driver (`driver/libcuda.c`): arguments, grids,
//! copies, fallbacks, and a failure at every single call. It shows that the calls are the ones
//! that were meant, and nothing about a real device.
//!
//! Where there is a real driver, or no C compiler, these tests say that they were skipped.

#![cfg(all(feature = "cuda", target_os = "linux"))]

mod fake;

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use libloading::Library;
use ndarray::{Array2, s};
use tilefold::cuda::cudarc::driver::CudaContext;
use tilefold::cuda::{CudaKernel, DeviceArray, DeviceArrayMut, devices, unavailable};
use tilefold::{Call, Code, Error, Executor, Kernel, Options, Outputs, Policy};

/// The counters of the stand-in. One test at a time holds them.
struct Driver(&'static Library);

impl Driver {
    fn get(&self, name: &str) -> i64 {
        // SAFETY: the counters of `libcuda.c` have this signature.
        unsafe { self.0.get::<unsafe extern "C" fn() -> i64>(name).unwrap()() }
    }

    /// Makes the k-th call from now on fail.
    fn fail(&self, at: i64, code: i64) {
        // SAFETY: the function of `libcuda.c` has this signature.
        unsafe { self.0.get::<unsafe extern "C" fn(i64, i64)>("stand_in_fail").unwrap()(at, code) }
    }
}

/// Builds and loads the stand-in, once. The driver is then found by its soname.
fn driver() -> Option<(Driver, MutexGuard<'static, ()>)> {
    static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    match LIBRARY.get_or_init(build) {
        Ok(library) => {
            assert_eq!(unavailable(), None);
            let driver = Driver(library);
            driver.fail(0, 0);
            Some((driver, guard))
        }
        Err(why) => {
            eprintln!("skipped: {why}");
            None
        }
    }
}

fn build() -> Result<Library, String> {
    // SAFETY: loading NVIDIA's driver, if it is there, has no effect that matters here.
    if unsafe { Library::new("libcuda.so.1") }.is_ok() {
        return Err("there is a real driver".to_owned());
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libcuda-stand-in.so");
    let compiled = Command::new("cc")
        .args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"])
        .arg("-Wl,-soname,libcuda.so.1")
        .arg("-I")
        .arg(here.join("../templates/include"))
        .arg(here.join("tests/driver/libcuda.c"))
        .arg("-o")
        .arg(&output)
        .status();
    match compiled {
        Err(why) => Err(format!("no C compiler: {why}")),
        Ok(status) => {
            assert!(status.success(), "libcuda.c does not compile");
            // SAFETY: it has no initialisers.
            unsafe { Library::new(&output) }.map_err(|why| why.to_string())
        }
    }
}

/// `dot` with an image, and so many operations a pair that no call is small.
fn dot(image: &'static [u8]) -> &'static Kernel {
    let mut spec = fake::dot_spec::<f32>();
    (spec.kernel.image, spec.kernel.image_bytes) = (image.as_ptr(), image.len() as u64);
    spec.stages[0].pair_ops = 1e9;
    spec.kernel()
}

fn points(rows: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, 2), |(r, c)| ((r * 5 + c * 3) % 17) as f32 - 8.0)
}

fn call(
    kernel: &'static Kernel,
    x: &Array2<f32>,
    y: &Array2<f32>,
    policy: Policy,
) -> Result<Outputs, Error> {
    let call = Call::new(kernel).arg("x", x).arg("y", y).arg("gamma", &0.5_f32);
    call.options(Options::new().executor(policy).threads(1)).run()
}

#[test]
fn the_device_is_listed() {
    let Some(_driver) = driver() else { return };
    let devices = devices();
    assert_eq!(devices.len(), 1);
    assert_eq!((&*devices[0].name, devices[0].compute.0), ("stand-in", 9));
    assert_eq!((devices[0].multiprocessors, devices[0].memory), (3, 1 << 30));
}

#[test]
fn both_executors_agree() {
    let Some((driver, _guard)) = driver() else { return };
    let (kernel, live) = (dot(b"image"), driver.get("stand_in_live"));
    for (rows, cols) in [(1, 1), (3, 5000), (128, 256), (1000, 700), (5, 0), (0, 5)] {
        let (x, y) = (points(rows), points(cols));
        let mut cuda = call(kernel, &x, &y, Policy::Cuda).unwrap();
        assert_eq!(cuda.report().executor, Executor::Cuda(0));
        assert_eq!((cuda.report().stages[0].rows, cuda.report().stages[0].cols), (rows, cols));
        let mut cpu = call(kernel, &x, &y, Policy::Cpu).unwrap();
        assert_eq!(cuda.take::<f32>("a"), cpu.take::<f32>("a"), "{rows} x {cols}");
    }
    assert_eq!(driver.get("stand_in_live"), live, "all device memory was given back");
}

#[test]
fn strided_inputs_and_outputs_in_place() {
    let Some(_driver) = driver() else { return };
    let (whole, y) = (points(60), points(40));
    let x = whole.slice(s![..;-3, ..;-1]);
    let mut a = Array2::from_elem((22, 1), 7.0_f32);
    let call = Call::new(dot(b"image")).arg("x", x).arg("y", &y).arg("gamma", &0.5_f32);
    let call = call.out("a", a.slice_mut(s![1..21, ..]));
    call.options(Options::new().executor(Policy::Cuda)).run_into().unwrap();
    let dense = self::call(dot(b"image"), &x.to_owned(), &y, Policy::Cpu).unwrap().take("a");
    let dense: Array2<f32> = dense.unwrap();
    assert_eq!(a.slice(s![1..21, ..]), dense);
    assert_eq!((a[[0, 0]], a[[21, 0]]), (7.0, 7.0));
}

#[test]
fn auto_takes_the_device_where_it_can() {
    let Some(_driver) = driver() else { return };
    let (x, y) = (points(9), points(9));
    let auto = call(dot(b"image"), &x, &y, Policy::Auto).unwrap();
    assert_eq!((auto.report().executor, &auto.report().note), (Executor::Cuda(0), &None));

    let auto = call(dot(b"other"), &x, &y, Policy::Auto).unwrap();
    let note = auto.report().note.clone().unwrap();
    assert!(note.contains("its CUDA code does not load on stand-in"), "{note}");
    assert!(note.contains("CUDA_ERROR_NO_BINARY_FOR_GPU"), "{note}");
    let error = call(dot(b"other"), &x, &y, Policy::Cuda).unwrap_err();
    assert_eq!(error.code(), Code::NoImage, "{error}");

    let auto = call(fake::dot::<f32>(), &x, &y, Policy::Auto).unwrap();
    assert!(auto.report().note.as_ref().unwrap().contains("compiled without CUDA code"));
    let mut small = fake::dot_spec::<f32>();
    (small.kernel.image, small.kernel.image_bytes) = (b"image".as_ptr(), 5);
    let auto = call(small.clone().kernel(), &x, &y, Policy::Auto).unwrap();
    assert_eq!(auto.report().note.as_deref(), Some("the call is small"));
    small.stages[0].cpu = [std::ptr::null(); 4];
    let auto = call(small.kernel(), &x, &y, Policy::Auto).unwrap();
    assert_eq!(auto.report().executor, Executor::Cuda(0), "there is no CPU code");

    let options = Options::new().executor(Policy::Cuda).device(3);
    let call = Call::new(dot(b"image")).arg("x", &x).arg("y", &y).arg("gamma", &0.5_f32);
    let error = call.options(options).run().unwrap_err();
    assert_eq!(error.code(), Code::NoDevice);
    assert!(error.message().contains("device 3 was asked for, but there are 1"), "{error}");
}

#[test]
fn a_stream_is_never_waited_for_and_nothing_is_allocated() {
    let Some((driver, _guard)) = driver() else { return };
    let (m, n) = (300, 900);
    let (x, y) = (points(m), points(n));
    let expected: Array2<f32> =
        call(dot(b"image"), &x, &y, Policy::Cpu).unwrap().take("a").unwrap();

    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let kernel = CudaKernel::load(&context, dot(b"image")).unwrap();
    let device_x = stream.clone_htod(x.as_slice().unwrap()).unwrap();
    let device_y = stream.clone_htod(y.as_slice().unwrap()).unwrap();
    let gamma = stream.clone_htod(&[0.5_f32]).unwrap();
    let mut a = stream.alloc_zeros::<f32>(m).unwrap();
    let bytes = kernel.workspace_bytes(m, n).unwrap();
    let mut workspace = stream.alloc_zeros::<u8>(bytes).unwrap();
    let inputs = [
        DeviceArray::new(&device_x, (m, 2)).unwrap(),
        DeviceArray::new(&device_y, (n, 2)).unwrap(),
        DeviceArray::new(&gamma, (1, 1)).unwrap(),
    ];
    let before = (driver.get("stand_in_syncs"), driver.get("stand_in_allocations"));
    let mut outputs = [DeviceArrayMut::new(&mut a, (m, 1)).unwrap()];
    kernel.run_on_stream(&stream, &inputs, &mut outputs, None, &mut workspace).unwrap();
    let after = (driver.get("stand_in_syncs"), driver.get("stand_in_allocations"));
    assert_eq!(before, after);

    let mut small = stream.alloc_zeros::<u8>(bytes - 1).unwrap();
    let error = kernel.run_on_stream(&stream, &inputs, &mut outputs, None, &mut small);
    let error = error.unwrap_err();
    assert_eq!(error.code(), Code::DeviceArgument);
    assert!(error.message().contains(&format!("but needs {bytes}")), "{error}");
    let mut odd = stream.alloc_zeros::<u8>(bytes + 8).unwrap();
    let mut odd = odd.slice_mut(8..);
    let error = kernel.run_on_stream(&stream, &inputs, &mut outputs, None, &mut odd);
    assert!(error.unwrap_err().to_string().contains("align it to 256 bytes"));
    drop(outputs);
    assert_eq!(stream.clone_dtoh(&a).unwrap(), expected.into_raw_vec_and_offset().0);

    let error = DeviceArray::new(&device_x, (m + 1, 2)).unwrap_err();
    assert_eq!(error.code(), Code::DeviceArgument);
    assert!(error.message().contains("600 elements were passed as an array of shape (301, 2)"));
    let error = DeviceArrayMut::new(&mut a, (usize::MAX, 2)).unwrap_err();
    assert_eq!(error.code(), Code::DeviceArgument);
}

#[test]
fn a_kernel_is_loaded_once() {
    let Some((driver, _guard)) = driver() else { return };
    let kernel = dot(b"image");
    let first = CudaKernel::load(&CudaContext::new(0).unwrap(), kernel).unwrap();
    let context = CudaContext::new(0).unwrap();
    driver.fail(0, 0);
    let second = CudaKernel::load(&context, kernel).unwrap();
    assert_eq!(driver.get("stand_in_calls"), 0);
    assert!(std::ptr::eq(&*first, &*second));
    assert_eq!(format!("{second:?}"), "CudaKernel(dot on cuda:0)");
}

#[test]
fn every_failure_of_the_driver_is_an_error() {
    let Some((driver, _guard)) = driver() else { return };
    let (x, y) = (points(70), points(300));
    let mut expected = call(dot(b"image"), &x, &y, Policy::Cpu).unwrap();
    let expected: Array2<f32> = expected.take("a").unwrap();
    for (code, policy) in [(2, Policy::Cuda), (719, Policy::Cuda), (700, Policy::Auto)] {
        let mut failures = 0;
        for at in 1.. {
            // A new kernel, so that loading is part of the sweep.
            let kernel = dot(b"image");
            driver.fail(at, code);
            let result = call(kernel, &x, &y, policy);
            let reached = driver.get("stand_in_calls") >= at;
            driver.fail(0, 0);
            match result {
                Ok(mut outputs) => assert_eq!(outputs.take::<f32>("a").unwrap(), expected),
                Err(error) => {
                    let expected = [Code::Device, Code::OutOfMemory, Code::NoDevice, Code::NoImage];
                    assert!(expected.contains(&error.code()), "call {at}: {error}");
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
}
