//! The driver of tests/driver itself: it ends a program that touches memory which it must not, and
//! leaves undone what nobody waits for.

use tilefold::cuda::cudarc::driver::{CudaContext, DevicePtr, result, sys::CUdeviceptr};
use tilefold::cuda::{CudaKernel, DeviceArray, DeviceArrayMut};
use tilefold_compiler::ir::Dtype;

use super::bench::{GAUSS, Test, kernels};

pub const TESTS: &[Test] = &[
    dies("the_host_reads_device_memory", "", "on device 0 is touched, from the host", host_reads),
    dies("a_row_too_many", "", "on device 0 is touched, outside of it", || run(300, false)),
    dies("a_row_too_many_within_a_page", "", "was overwritten at byte 8", || run(1, false)),
    dies("a_run_after_a_free", "", "on device 0 is touched, which is freed", || run(10, true)),
    dies(
        "memory_of_another_device",
        "devices=2",
        "on device 0 is touched, from another device",
        || run_elsewhere(1),
    ),
    Test::new("nothing_is_done_before_somebody_waits", "", nothing_is_done_before_somebody_waits),
];

const fn dies(name: &'static str, settings: &'static str, words: &'static str, run: fn()) -> Test {
    Test { dies: Some(words), ..Test::new(name, settings, run) }
}

fn host_reads() {
    let stream = CudaContext::new(0).unwrap().default_stream();
    let x = stream.alloc_zeros::<f32>(10).unwrap();
    let address = x.device_ptr(&stream).0 as usize as *const f32;
    // SAFETY: none: that is what has to be found.
    println!("{}", unsafe { address.read_volatile() });
}

/// Says that an output has 2000 rows more than it has, or frees it before the run is done.
fn run(rows: usize, freed: bool) {
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let array = |len: usize| stream.alloc_zeros::<f32>(len).unwrap();
    // The first one lies highest: what is behind it is nobody's.
    let a = array(rows * 2);
    let (x, y, b, g) = (array(3 * 2300), array(12), array(8), array(1));
    let said = if freed { rows } else { rows + 1 };
    let said = if rows == 300 { rows + 2000 } else { said };
    let kernel = CudaKernel::load(&context, kernels().kernel(GAUSS, Dtype::F32)).unwrap();
    let mut workspace = stream.alloc_zeros(kernel.workspace_bytes(said, 4).unwrap()).unwrap();
    let inputs = [
        DeviceArray::new(&x, (said, 3)).unwrap(),
        DeviceArray::new(&y, (4, 3)).unwrap(),
        DeviceArray::new(&b, (4, 2)).unwrap(),
        DeviceArray::new(&g, (1, 1)).unwrap(),
    ];
    let address = a.device_ptr(&stream).0;
    // SAFETY: none: the address has fewer rows, or none any more.
    let mut outputs = [unsafe { DeviceArrayMut::from_raw_parts::<f32>(address, (said, 2)) }];
    kernel.run_on_stream(&stream, &inputs, &mut outputs, None, &mut workspace).unwrap();
    if freed {
        free(a.leak());
    } else {
        drop(a);
    }
    context.synchronize().unwrap();
}

/// Frees memory at once, as `cuMemFree` may.
fn free(address: CUdeviceptr) {
    // SAFETY: it is allocated; the run that still reads it is what has to be found.
    unsafe { result::free_sync(address) }.unwrap();
}

/// Runs on a device with an address of device 0.
fn run_elsewhere(device: usize) {
    let (here, there) = (CudaContext::new(0).unwrap(), CudaContext::new(device).unwrap());
    let x = here.default_stream().alloc_zeros::<f32>(300).unwrap();
    let stream = there.default_stream();
    let address = x.device_ptr(&here.default_stream()).0;
    let array = |len: usize| stream.alloc_zeros::<f32>(len).unwrap();
    let (y, b, g, mut a) = (array(12), array(8), array(1), array(200));
    let kernel = CudaKernel::load(&there, kernels().kernel(GAUSS, Dtype::F32)).unwrap();
    let mut workspace = stream.alloc_zeros(kernel.workspace_bytes(100, 4).unwrap()).unwrap();
    let inputs = [
        // SAFETY: none: it is memory of another device.
        unsafe { DeviceArray::from_raw_parts::<f32>(address, (100, 3), (3, 1)) },
        DeviceArray::new(&y, (4, 3)).unwrap(),
        DeviceArray::new(&b, (4, 2)).unwrap(),
        DeviceArray::new(&g, (1, 1)).unwrap(),
    ];
    let mut outputs = [DeviceArrayMut::new(&mut a, (100, 2)).unwrap()];
    kernel.run_on_stream(&stream, &inputs, &mut outputs, None, &mut workspace).unwrap();
    there.synchronize().unwrap();
}

fn nothing_is_done_before_somebody_waits() {
    let context = CudaContext::new(0).unwrap();
    let (one, two) = (context.new_stream().unwrap(), context.new_stream().unwrap());
    let x = one.clone_htod(&[1.0_f32; 8]).unwrap();
    one.synchronize().unwrap();
    let address = x.device_ptr(&one).0;
    let mut read = [0.0_f32; 8];
    // SAFETY: both ranges are as long as the array; no event orders them.
    unsafe {
        result::memcpy_htod_async(address, &[2.0_f32; 8], one.cu_stream()).unwrap();
        result::memcpy_dtoh_async(&mut read, address, two.cu_stream()).unwrap();
    }
    assert_eq!(read, [1.0; 8], "the other stream's copy is not done");
    two.join(&one).unwrap();
    // SAFETY: as above.
    unsafe { result::memcpy_dtoh_async(&mut read, address, two.cu_stream()).unwrap() };
    assert_eq!(read, [2.0; 8]);
}
