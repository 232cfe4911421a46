//! Ranges on a device: results against the oracle's under a mask, what is launched, copied and
//! taken, and what is refused.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayD, IxDyn};
use tilefold::cuda::cudarc::driver::{CudaContext, CudaSlice, CudaStream, DevicePtr};
use tilefold::cuda::{CudaKernel, DeviceArray, DeviceArrayMut};
use tilefold::{Axis, Call, Code, Executor, LazyTensor, Options, Policy, Ranges, Tiers, evaluate};
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{self, Dtype, Formula, Storage};
use tilefold_tests::native::run_kernel;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;
use tilefold_tests::{compare, driver, folds, linked, oracle};

use super::bench::{GAUSS, Test, formula, images, kernels, on_device, problem};

pub const TESTS: &[Test] = &[
    Test::anywhere("ranges_are_those_of_a_mask", ranges_are_those_of_a_mask),
    Test::anywhere("every_reduction_has_ranges", every_reduction_has_ranges),
    Test::new("ranges_of_a_small_device", "multiprocessors=1 resident=1", long_ranges_are_split),
    Test::anywhere("long_ranges_are_split", long_ranges_are_split),
    Test::new("ranges_on_a_stream", "", ranges_on_a_stream),
    Test::anywhere("ranges_with_batches", ranges_with_batches),
    Test::anywhere("expressions_with_ranges", expressions_with_ranges),
    Test::new("ranges_and_a_driver_that_fails", "", ranges_and_a_driver_that_fails),
];

type Blocks = Vec<(Range<usize>, Range<usize>)>;

/// Formulas of all families, where `{}` is a mask: one that folds pairs, sums of panels, those of
/// tensor cores, wide accumulators, several stages, row numbers, and those that bounds from tensor
/// cores are looked at for.
const BODIES: &[(&str, &str)] = &[
    ("x[i] : R^3; y[j] : R^3; b[j] : R^2; g : R;", "a[i] = sum[j{}] exp(-g*sqdist(x, y)) * b;"),
    ("x[i] : R^3; y[j] : R^3;", "a[i], at[i] = argmin[j{}] sqdist(x, y);"),
    ("x[i] : R^40; y[j] : R^40;", "a[i], at[i] = argmin[j{}] sqdist(x, y);"),
    ("x[i] : R^20; y[j] : R^20; b[j] : R^2;", "a[i] = sum[j{}] exp(-sqdist(x, y)) * b;"),
    ("x[i] : R^64; y[j] : R^64; b[j] : R^5;", "a[i] = sum[j{}] exp(-sqdist(x, y)) * b;"),
    ("x[i] : R^20; y[j] : R^20; b[j] : R^24;", "a[i] = sum[j{}] exp(-0.1 * sqdist(x, y)) * b;"),
    (
        "x[i] : R^3; y[j] : R^3;",
        "a[j] = sum[i{}] exp(-sqdist(x, y)); l[i] = logsumexp[j{}] dot(x, y);",
    ),
];

/// A body as a formula, and the same with a mask of K labels.
fn with_mask(n: usize, labels: usize) -> [Formula; 2] {
    let (inputs, body) = BODIES[n];
    let masked = body.replace("{}", " where dot(c, d) > 0");
    let labelled = format!("{inputs} c[i] : R^{labels}; d[j] : R^{labels}; {masked}");
    let plain = formula(&format!("sparse{n}"), &format!("{inputs} {}", body.replace("{}", "")));
    [plain, formula(&format!("masked{n}"), &labelled)]
}

/// The mask of blocks: a row has label k where it is in block k.
fn labels(blocks: &Blocks, m: usize, n: usize) -> [Matrix; 2] {
    let of = |rows: usize, within: &dyn Fn(usize, usize) -> bool| {
        let entry = |at: usize| f64::from(u8::from(within(at / blocks.len(), at % blocks.len())));
        let data = (0..rows * blocks.len()).map(entry).collect();
        Matrix { rows, cols: blocks.len(), data }
    };
    [of(m, &|row, k| blocks[k].0.contains(&row)), of(n, &|row, k| blocks[k].1.contains(&row))]
}

/// Blocks of any size, some of them single rows and columns, that share no pair.
fn blocks(m: usize, n: usize, rng: &mut Rng) -> Blocks {
    let mut blocks = Blocks::new();
    let mut row = rng.below(m / 8 + 1);
    while row < m {
        let end = (row + 1 + rng.below(m / 3 + 1)).min(m);
        let mut col = rng.below(n / 4 + 1);
        while col < n {
            let most = if rng.below(3) == 0 { 2 } else { n / 2 + 1 };
            let stop = (col + 1 + rng.below(most)).min(n);
            blocks.push((row..end, col..stop));
            col = stop + 1 + rng.below(n / 5 + 1);
        }
        row = end + if rng.below(2) == 0 { 0 } else { rng.below(m / 6 + 1) };
    }
    blocks
}

const CUDA: fn() -> Options<'static> = || Options::new().executor(Policy::Cuda);

fn ranges_are_those_of_a_mask() {
    let plain: Vec<Formula> = (0..BODIES.len()).map(|n| with_mask(n, 1)[0].clone()).collect();
    let native = images(&plain, &[Dtype::F32, Dtype::F64]);
    let mut rng = Rng::new(91);
    for (n, plain) in plain.iter().enumerate() {
        for (m, cols) in [(1, 1), (40, 300), (700, 90), (150, 1300)] {
            let blocks = blocks(m, cols, &mut rng);
            let ranges = Ranges::from_blocks(blocks.clone()).unwrap();
            let masked = with_mask(n, blocks.len().max(1))[1].clone();
            for (dtype, allowed) in [(Dtype::F32, 2e-5), (Dtype::F64, 1e-12)] {
                let problem = Problem::between(plain.clone(), m, cols, &mut rng, -1.0, 1.0);
                let problem = problem.rounded(dtype);
                let labels = match blocks.is_empty() {
                    true => [m, cols].map(|rows| Matrix { rows, cols: 1, data: vec![0.0; rows] }),
                    false => labels(&blocks, m, cols),
                };
                let inputs: Vec<Matrix> = problem.inputs.iter().cloned().chain(labels).collect();
                let expected = oracle::evaluate(&masked, m, cols, &inputs);
                let found = native.run_in(n, dtype, CUDA(), Some(&ranges), &problem).unwrap();
                let gap = compare::worst(plain, &expected, &found);
                let is_close = gap.as_ref().is_none_or(|gap| gap.off <= allowed);
                assert!(is_close, "{} {m} x {cols} {blocks:?}: {gap:?}", plain.name);
            }
        }
    }
    driver::all_is_given_back();
}

/// Every reduction over both axes, with rows that fold nothing.
fn every_reduction_has_ranges() {
    let both = [ir::Axis::I, ir::Axis::J].into_iter().flat_map(folds::formulas);
    let both: Vec<Formula> = both.collect();
    let plain: Vec<Formula> = both.iter().step_by(2).cloned().collect();
    let native = images(&plain, &[Dtype::F64]);
    let mut rng = Rng::new(92);
    for (n, (plain, masked)) in plain.iter().zip(both.iter().skip(1).step_by(2)).enumerate() {
        for (m, cols) in [(9, 40), (150, 33), (3, 700)] {
            let mut problem = Problem::between(masked.clone(), m, cols, &mut rng, -1.0, 1.0);
            let mut kept = Vec::new();
            for (input, array) in masked.inputs.iter().zip(&mut problem.inputs) {
                if input.name == "p" || input.name == "q" {
                    array.data.fill_with(|| f64::from(u8::from(rng.below(3) > 0)));
                    let is_kept = |row: &usize| array.data[*row] != 0.0;
                    let rows = (0..array.rows).filter(is_kept).map(|row| row..row + 1);
                    kept.push(rows.collect::<Vec<_>>());
                }
                if input.name == "w" {
                    array.data.fill_with(|| rng.between(0.5, 2.0));
                }
            }
            let pairs = kept[0].iter().flat_map(|i| kept[1].iter().map(|j| (i.clone(), j.clone())));
            let ranges = Ranges::from_blocks(pairs).unwrap();
            let expected = oracle::evaluate(masked, m, cols, &problem.inputs);
            let inputs = masked.inputs.iter().zip(&problem.inputs);
            let inputs = inputs.filter(|(input, _)| input.name != "p" && input.name != "q");
            let inputs = inputs.map(|(_, array)| array.clone()).collect();
            let problem = Problem { inputs, formula: plain.clone(), ..problem };
            let found = native.run_in(n, Dtype::F64, CUDA(), Some(&ranges), &problem).unwrap();
            let gap = compare::worst(plain, &expected, &found).filter(|gap| gap.off > 1e-12);
            assert!(gap.is_none(), "{} {m} x {cols}: {gap:?}", plain.name);
        }
    }
}

/// Parts of long ranges are merged in order; the report counts the pairs.
fn long_ranges_are_split() {
    let (m, n) = (600, 5000);
    let problem = problem(GAUSS, Dtype::F32, m, n);
    let blocks = vec![(0..3, 7..4900), (3..590, 0..1), (3..590, 3000..3001), (590..600, 1..5000)];
    let ranges = Ranges::from_blocks(blocks.clone()).unwrap();
    let kernel = kernels().kernel(GAUSS, Dtype::F32);
    let mut found = Vec::new();
    let run = || run_kernel(kernel, Storage::F32, CUDA(), Some(&ranges), &problem).unwrap();
    if let Some(notes) = driver::notes_of(|| found = run()) {
        let launches: Vec<_> = notes.iter().filter(|line| line.starts_with("launch")).collect();
        assert_eq!(launches.len(), 2, "{notes:?}");
        assert!(launches[0].contains("_tiles of ") && launches[1].contains("_finish of "));
    }
    let (x, y, b, g) =
        (&problem.inputs[0], &problem.inputs[1], &problem.inputs[2], problem.inputs[3].data[0]);
    let mut expected = Matrix { rows: m, cols: 2, data: vec![0.0; 2 * m] };
    for (rows, cols) in &blocks {
        for (i, j) in rows.clone().flat_map(|i| cols.clone().map(move |j| (i, j))) {
            let d: f64 = (0..3).map(|k| (x.data[3 * i + k] - y.data[3 * j + k]).powi(2)).sum();
            for k in 0..2 {
                expected.data[2 * i + k] += (-g * d).exp() * b.data[2 * j + k];
            }
        }
    }
    let gap = compare::worst(&problem.formula, &[expected], &found);
    assert!(gap.as_ref().is_none_or(|gap| gap.off <= 2e-5), "{gap:?}");

    let host = |at: usize| {
        let Matrix { rows, cols, data } = &problem.inputs[at];
        let numbers = data.iter().map(|&x| x as f32).collect();
        Array2::from_shape_vec((*rows, *cols), numbers).unwrap()
    };
    let (x, y, b, g) = (host(0), host(1), host(2), g as f32);
    let call = Call::new(kernel).arg("x", &x).arg("y", &y).arg("b", &b).arg("g", &g);
    let report = call.ranges(&ranges).options(CUDA()).run().unwrap().report().clone();
    assert_eq!(report.executor, Executor::Cuda(0));
    assert_eq!(report.stages[0].pairs, ranges.pairs());
}

/// Device arrays of a call, with room for its results.
struct Bench {
    kernel: Arc<CudaKernel>,
    inputs: Vec<CudaSlice<f32>>,
    shapes: Vec<(usize, usize)>,
    a: CudaSlice<f32>,
}

impl Bench {
    fn new(problem: &Problem, stream: &Arc<CudaStream>) -> Bench {
        let kernel = kernels().kernel(GAUSS, Dtype::F32);
        Bench {
            kernel: CudaKernel::load(stream.context(), kernel).unwrap(),
            inputs: on_device(problem, stream),
            shapes: problem.inputs.iter().map(|m| (m.rows, m.cols)).collect(),
            a: stream.alloc_zeros(2 * problem.m).unwrap(),
        }
    }

    fn run(
        &mut self,
        stream: &CudaStream,
        ranges: &Ranges,
        workspace: &mut CudaSlice<u8>,
    ) -> Result<(), tilefold::Error> {
        let arrays = self.inputs.iter().zip(&self.shapes);
        let arrays: Vec<_> =
            arrays.map(|(x, &shape)| DeviceArray::new(x, shape).unwrap()).collect();
        let mut a = [DeviceArrayMut::new(&mut self.a, (self.shapes[0].0, 2)).unwrap()];
        self.kernel.run_ranges_on_stream(stream, ranges, &arrays, &mut a, None, workspace)
    }

    fn bytes(&self, ranges: &Ranges) -> Result<usize, tilefold::Error> {
        let arrays = self.inputs.iter().zip(&self.shapes);
        let arrays: Vec<_> =
            arrays.map(|(x, &shape)| DeviceArray::new(x, shape).unwrap()).collect();
        self.kernel.workspace_bytes_for(&arrays, None, Some(ranges))
    }
}

/// Nothing waits or is taken; lists are copied in pieces; the workspace is what is used.
fn ranges_on_a_stream() {
    let stream = CudaContext::new(0).unwrap().new_stream().unwrap();
    let problem = problem(GAUSS, Dtype::F32, 3000, 40);
    // A list of more than 64 KiB, and one of a few ranges.
    let single = (0..3000).map(|i| (i..i + 1, i % 30..i % 30 + 9)).collect();
    let few = vec![(0..1000, 3..40), (1500..3000, 0..1)];
    let mut bench = Bench::new(&problem, &stream);
    for (blocks, copies) in [(single, 6), (few, 1)] {
        let blocks: Blocks = blocks;
        let ranges = Ranges::from_blocks(blocks).unwrap();
        let bytes = bench.bytes(&ranges).unwrap();
        // SAFETY: it is written before it is read.
        let mut workspace = unsafe { stream.alloc::<u8>(bytes) }.unwrap();
        driver::journal();
        bench.run(&stream, &ranges, &mut workspace).unwrap();
        let journal = driver::journal();
        let counts = ["wait", "allocate", "free", "copy", "launch"];
        let counts = counts.map(|word| driver::count(&journal, word));
        assert_eq!(counts, [0, 0, 0, copies, 2], "{journal:?}");
        let a = stream.clone_dtoh(&bench.a).unwrap();
        let kernel = kernels().kernel(GAUSS, Dtype::F32);
        let cpu = Options::new().executor(Policy::Cpu);
        let expected = run_kernel(kernel, Storage::F32, cpu, Some(&ranges), &problem).unwrap();
        for (a, expected) in a.iter().zip(&expected[0].data) {
            assert!((f64::from(*a) - expected).abs() < 1e-5, "{a} {expected}");
        }
        let used = driver::touched(workspace.device_ptr(&stream).0) as usize;
        assert!(used <= bytes && bytes - used < 256, "{bytes} bytes asked, {used} used");
        let mut small = stream.alloc_zeros::<u8>(bytes - 1).unwrap();
        let error = bench.run(&stream, &ranges, &mut small).unwrap_err();
        assert_eq!(error.code(), Code::DeviceArgument, "{error}");
    }
    let outside = Ranges::from_blocks([(0..3001, 0..1)]).unwrap();
    assert_eq!(bench.bytes(&outside).unwrap_err().code(), Code::RangesOutside);
}

fn ranges_and_a_driver_that_fails() {
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let problem = problem(GAUSS, Dtype::F32, 30, 40);
    let ranges = Ranges::from_blocks([(0..9, 3..40), (15..30, 0..1)]).unwrap();
    let mut bench = Bench::new(&problem, &stream);
    let mut workspace = stream.alloc_zeros::<u8>(bench.bytes(&ranges).unwrap()).unwrap();
    let mut failures = 0;
    for at in 1.. {
        driver::fail(at, 719);
        let run = bench.run(&stream, &ranges, &mut workspace);
        let reached = driver::calls() >= at;
        driver::fail(0, 0);
        let _ = context.check_err();
        if let Err(error) = run {
            assert_eq!(error.code(), Code::Device, "call {at}: {error}");
            failures += 1;
        }
        if !reached {
            break;
        }
    }
    assert!(failures >= 3, "{failures} failures: a copy and two launches at least");
}

/// Every item has the same ranges, and rows count from 0 in each.
fn ranges_with_batches() {
    let mut rng = Rng::new(93);
    let mut draw = |shape: &[usize]| {
        ArrayD::from_shape_simple_fn(IxDyn(shape), || rng.between(-1.0, 1.0) as f32)
    };
    let (x, y) = (draw(&[2, 1, 50, 3]), draw(&[3, 40, 3]));
    let blocks = [(0..20, 3..9), (0..20, 30..40), (33..50, 8..40)];
    let ranges = Ranges::from_blocks(blocks.clone()).unwrap();
    let kernel = kernels().kernel(1, Dtype::F32);
    assert_eq!(kernel.name(), "nearest");
    let call = Call::new(kernel).arg("x", &x).arg("y", &y).ranges(&ranges).options(CUDA());
    let mut found = call.run().unwrap();
    assert_eq!(found.report().stages[0].pairs, 6 * ranges.pairs());
    let at = found.take_nd::<i64>("at").unwrap();
    for (index, &row) in at.indexed_iter() {
        let (p, q, i) = (index[0], index[1], index[2]);
        let within = blocks.iter().filter(|block| block.0.contains(&i));
        let d = |j: usize| (0..3).map(|k| (x[[p, 0, i, k]] - y[[q, j, k]]).powi(2)).sum::<f32>();
        let nearest =
            within.flat_map(|block| block.1.clone()).min_by(|&a, &b| d(a).total_cmp(&d(b)));
        assert_eq!(row, nearest.map_or(-1, |row| row as i64), "{index:?}");
    }
}

type Lazy<'a> = LazyTensor<'a, f64>;

/// A sum with its gradient, the nearest row, and a sum that passes take out of the pairs.
fn values<'a>(x: &Lazy<'a>, y: &Lazy<'a>) -> [Lazy<'a>; 4] {
    let d = (x - y).square().sum_inner();
    let a = (-&d * 0.3).exp().sum(Axis::J);
    let gradient = a.vjp(&a, y);
    [a, gradient, d.argmin(Axis::J), (x * y).sum(Axis::J)]
}

fn expressions_with_ranges() {
    let host = |rows: usize| {
        Array2::from_shape_fn((rows, 2), |(r, c)| ((r * 5 + c * 3 + rows) % 17) as f64 / 8.0 - 1.0)
    };
    let (x, y) = (host(70), host(40));
    let ranges = Ranges::from_blocks([(0..20, 3..9), (0..20, 30..40), (33..50, 8..40)]).unwrap();
    let on_host = |root: &Lazy<'_>, ranges: Option<&Ranges>| {
        let options = Options::new().tiers(Tiers::INTERPRETED).executor(Policy::Cpu);
        let roots = [root];
        let evaluation = evaluate(&roots).options(options);
        match ranges {
            Some(ranges) => evaluation.ranges(ranges).run().unwrap(),
            None => evaluation.run().unwrap(),
        }
    };
    let roots = values(&Lazy::i(x.view()), &Lazy::j(y.view()));
    // The last one is linked as it is, and as it is where ranges restrict it.
    let formulas = linked::recorded(|| {
        roots.iter().for_each(|root| drop(on_host(root, Some(&ranges))));
        drop(on_host(&roots[3], None));
    });
    let native = images(&formulas, &[Dtype::F64]);
    linked::register(&native, &formulas, Dtype::F64.into());

    let stream = CudaContext::new(0).unwrap().new_stream().unwrap();
    let slices = [&x, &y].map(|array| stream.clone_htod(array.as_slice().unwrap()).unwrap());
    let leaf = |n: usize, rows: usize, axis| {
        Lazy::device(DeviceArray::new(&slices[n], (rows, 2)).unwrap(), Some(axis))
    };
    let on_device = values(&leaf(0, 70, Axis::I), &leaf(1, 40, Axis::J));
    for n in [0, 1, 3] {
        let expected = on_host(&roots[n], Some(&ranges)).take::<f64>(0).unwrap();
        let mut found = None;
        let run = || evaluate(&[&on_device[n]]).ranges(&ranges).on(&stream).run().unwrap();
        let notes = driver::notes_of(|| found = Some(run()));
        assert_eq!(driver::count(&notes.unwrap_or_default(), "wait"), 0);
        let found = found.expect("it ran").to_host::<f64>(0).unwrap();
        let off = (&found - &expected).iter().fold(0.0, |all: f64, x| all.max(x.abs()));
        assert!(found.dim() == expected.dim() && off < 1e-11, "value {n}: {off:e}");
    }
    let found = evaluate(&[&on_device[2]]).ranges(&ranges).on(&stream).run().unwrap();
    let expected = on_host(&roots[2], Some(&ranges)).take::<i64>(0).unwrap();
    assert_eq!(found.to_host::<i64>(0).unwrap(), expected);
    assert!(expected.iter().any(|&row| row == -1), "rows that fold nothing");
    let outside = Ranges::from_blocks([(0..71, 0..1)]).unwrap();
    let error = evaluate(&[&on_device[0]]).ranges(&outside).on(&stream).run().map(drop);
    assert_eq!(error.unwrap_err().code(), Code::RangesOutside);
}
