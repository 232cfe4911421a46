//! Candle's CUDA tensors in formulas, against the driver of tests/driver: the real candle-core and
//! cudarc on emulated kernels. It proves nothing about a device. `cargo xtask candle-cuda --run`
//! links it, and lets it find that driver.

use candle_core::{Device, Result, Tensor, Var};
use ndarray::{Array2, array};
use tilefold::{Ranges, record};
use tilefold_candle::{Axis, LazyTensor, LazyTensorExt, Manner, TensorExt};
use tilefold_compiler::ir::Dtype;
use tilefold_tests::{driver, emulated, linked};

/// Sums of Gaussians with a number beside them.
fn gauss(x: &Tensor, y: &Tensor, b: &Tensor) -> Result<LazyTensor<f64>> {
    let d = (x.lazy_i::<f64>()? - y.lazy_j()?).square().sum_inner();
    Ok(((-d * 0.7).exp() * b.lazy_j()?).sum(Axis::J))
}

/// The same with scales of both sides and of components: more inputs than candle's graph takes.
fn scaled(inputs: &[Var]) -> Result<LazyTensor<f64>> {
    let [x, y, b, s, t] = inputs else { unreachable!("five") };
    let d = (x.lazy_i::<f64>()? * t.lazy_param()? - y.lazy_j()?).square().sum_inner();
    Ok(((-d * 0.7).exp() * b.lazy_j()? * s.lazy_i()?).sum(Axis::J))
}

fn nearest(x: &Tensor, y: &Tensor) -> Result<LazyTensor<f64>> {
    Ok((x.lazy_i::<f64>()? - y.lazy_j()?).square().sum_inner().argmin(Axis::J))
}

fn numbers(shape: &[usize], seed: usize) -> Tensor {
    let count = shape.iter().product::<usize>();
    let number = |n: usize| ((n * 5 + seed * 3) % 17) as f64 / 8.0 - 1.0;
    Tensor::from_vec((0..count).map(number).collect(), shape, &Device::Cpu).unwrap()
}

fn variables(shapes: &[&[usize]], device: &Device) -> Vec<Var> {
    let variable = |(seed, shape): (usize, &&[usize])| {
        Var::from_tensor(&numbers(shape, seed).to_device(device).unwrap()).unwrap()
    };
    shapes.iter().enumerate().map(variable).collect()
}

const GAUSS: &[&[usize]] = &[&[9, 3], &[20, 3], &[20, 1]];
const BATCH: &[&[usize]] = &[&[2, 9, 3], &[2, 20, 3], &[2, 20, 1]];
const SCALED: &[&[usize]] = &[&[9, 3], &[20, 3], &[20, 1], &[9, 1], &[3]];

/// A value and the gradients of the sum of its entries, on the host.
fn work_out(value: &Tensor, variables: &[Var]) -> Vec<Vec<f64>> {
    let gradients = value.backward().unwrap();
    let all = variables.iter().map(|v| gradients.get(v).expect("a gradient"));
    let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    [value].into_iter().chain(all).map(flat).collect()
}

/// What the interpreter says of everything here; what it is asked is compiled for a device.
fn expected() -> Vec<Vec<Vec<f64>>> {
    let on_host = || {
        let (g, b, s) = (GAUSS, BATCH, SCALED);
        let [g, b, s] = [g, b, s].map(|shapes| variables(shapes, &Device::Cpu));
        nearest(&g[0], &g[1]).unwrap().tensor().unwrap();
        [
            work_out(&gauss(&g[0], &g[1], &g[2]).unwrap().tensor().unwrap(), &g),
            work_out(&gauss(&b[0], &b[1], &b[2]).unwrap().tensor().unwrap(), &b),
            work_out(&scaled(&s).unwrap().tensor().unwrap(), &s),
        ]
    };
    let mut found = Vec::new();
    let formulas = linked::recorded(|| found = on_host().to_vec());
    let native = emulated::with_images(&formulas, &[Dtype::F64], (9, 0));
    linked::register(&native, &formulas, Dtype::F64.into());
    record::to(None);
    found
}

#[track_caller]
fn close(found: &[Vec<f64>], expected: &[Vec<f64>]) {
    assert_eq!(found.len(), expected.len());
    for (n, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "{n}");
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "{n}: {a} and {b}");
        }
    }
}

#[track_caller]
fn refused<T>(result: Result<T>, words: &str) {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => assert!(error.to_string().contains(words), "{error}"),
    }
}

/// How many lines there are of copies, of memory that is taken, and of waits.
fn counts() -> [usize; 3] {
    let journal = driver::journal();
    ["copy", "allocate", "wait"].map(|word| driver::count(&journal, word))
}

/// One test, as the driver and what is linked are the program's.
#[test]
fn tensors_of_a_device() {
    let expected = expected();
    let device = Device::new_cuda_with_stream(0).unwrap();
    on_the_stream_of_candle(&device, &expected[0]);
    batches(&device, &expected[1]);
    more_inputs_than_an_operation_of_candle_has(&device, &expected[2]);
    any_strides_and_offsets(&device, &expected[0]);
    row_numbers_are_integers(&device);
    ranges_of_pairs(&device);
    refusals(&device);
    assert_eq!(driver::live(), 0);
}

fn on_the_stream_of_candle(device: &Device, expected: &[Vec<f64>]) {
    let v = variables(GAUSS, device);
    driver::journal();
    let value = gauss(&v[0], &v[1], &v[2]).unwrap().tensor().unwrap();
    assert!(value.device().same_device(device));
    assert_eq!(value.dims(), [9, 1]);
    // One copy, of the number; memory for the value and for the workspace; nothing waits.
    assert_eq!(counts(), [1, 2, 0]);
    let gradients = value.backward().unwrap();
    assert_eq!(counts()[2], 0);
    drop(gradients);
    close(&work_out(&value, &v), expected);
}

fn batches(device: &Device, expected: &[Vec<f64>]) {
    let v = variables(BATCH, device);
    let value = gauss(&v[0], &v[1], &v[2]).unwrap().tensor().unwrap();
    assert_eq!(value.dims(), [2, 9, 1]);
    close(&work_out(&value, &v), expected);
}

fn more_inputs_than_an_operation_of_candle_has(device: &Device, expected: &[Vec<f64>]) {
    let v = variables(SCALED, device);
    close(&work_out(&scaled(&v).unwrap().tensor().unwrap(), &v), expected);
}

fn any_strides_and_offsets(device: &Device, expected: &[Vec<f64>]) {
    let v = variables(GAUSS, device);
    // The transpose of the points, behind something else.
    let points = numbers(GAUSS[0], 0).t().unwrap().contiguous().unwrap();
    let wide = Tensor::cat(&[numbers(&[3, 4], 9), points], 1).unwrap().to_device(device).unwrap();
    let x = wide.narrow(1, 4, 9).unwrap().t().unwrap();
    assert!(!x.is_contiguous());
    let value = gauss(&x, &v[1], &v[2]).unwrap().tensor().unwrap();
    close(&[value.flatten_all().unwrap().to_vec1().unwrap()], &expected[..1]);
}

fn row_numbers_are_integers(device: &Device) {
    let (x, y) = (numbers(&[9, 3], 0), numbers(&[20, 3], 1));
    let rows = |x: &Tensor, y: &Tensor| {
        let rows = nearest(x, y).unwrap().tensor().unwrap();
        rows.flatten_all().unwrap().to_vec1::<i64>().unwrap()
    };
    let found = rows(&x.to_device(device).unwrap(), &y.to_device(device).unwrap());
    assert_eq!(found, rows(&x, &y));
}

fn ranges_of_pairs(device: &Device) {
    let ranges = Ranges::from_blocks([(0..4, 0..7), (4..9, 5..20)]).unwrap();
    let manner = Manner::new().ranges(&ranges);
    let [there, here] = [device, &Device::Cpu].map(|device| {
        let v = variables(GAUSS, device);
        let value = gauss(&v[0], &v[1], &v[2]).unwrap().tensor_as(&manner).unwrap();
        value.flatten_all().unwrap().to_vec1::<f64>().unwrap()
    });
    close(&[there], &[here]);
}

fn refusals(device: &Device) {
    let v = variables(GAUSS, device);
    let here = numbers(&[20, 3], 1);
    refused(gauss(&v[0], &here, &v[2]).unwrap().tensor(), "one of shape [20, 3] on Cpu");
    let again = Device::new_cuda_with_stream(0).unwrap();
    let other = here.to_device(&again).unwrap();
    refused(gauss(&v[0], &other, &v[2]).unwrap().tensor(), "two `Device`s made of one GPU");

    let host: &'static Array2<f64> = Box::leak(Box::new(array![[1.0, 2.0, 3.0]]));
    let mixed = v[0].lazy_i::<f64>().unwrap() - LazyTensor::j(host.view());
    refused(mixed.square().sum(Axis::J).tensor(), "is on the host");
    let batch = numbers(&[3, 2, 3], 0).to_device(device).unwrap();
    refused(batch.transpose(0, 1).unwrap().lazy_i::<f64>(), "contiguous()");
    refused(v[0].lazy_i::<f32>(), "f64, not f32");
    // The value is the same for shared tensors; their gradients are not worked out.
    let items = variables(BATCH, device);
    let value = gauss(&items[0], &v[1], &v[2]).unwrap().tensor().unwrap();
    assert_eq!(value.dims(), [2, 9, 1]);
    refused(value.backward(), "several items of a batch share");
}
