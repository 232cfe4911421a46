//! What the scenarios share: how one is run, and kernels with images.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tilefold::cuda::cudarc::driver::{CudaSlice, CudaStream};
use tilefold::{Kernel, sys};
use tilefold_compiler::front;
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Dtype, Formula, Storage};
use tilefold_compiler::passes::vjp;
use tilefold_tests::native::Native;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;
use tilefold_tests::{compare, device, driver, emulated, oracle};

/// The variable that names the scenario of a process.
pub const SCENARIO: &str = "TILEFOLD_DEVICE_SCENARIO";

/// A process with the driver.
#[derive(Clone, Copy)]
pub struct Test {
    pub name: &'static str,
    /// Of the driver: tests/driver/libcuda.cpp has those that there are.
    pub settings: &'static str,
    pub run: fn(),
    /// What the driver says when it ends the process, where it has to.
    pub dies: Option<&'static str>,
    /// Whether it holds on a device as well.
    pub anywhere: bool,
}

impl Test {
    pub const fn new(name: &'static str, settings: &'static str, run: fn()) -> Test {
        Test { name, settings, run, dies: None, anywhere: false }
    }

    /// One that runs on a device as well, if there is one.
    pub const fn anywhere(name: &'static str, run: fn()) -> Test {
        Test { anywhere: true, ..Test::new(name, "", run) }
    }

    /// Runs it with the driver in a folder, or with that of a device, and says how long it took or
    /// what went wrong.
    pub fn passes(&self, folder: Option<&Path>) -> Result<Duration, String> {
        let start = Instant::now();
        let mut process = Command::new(std::env::current_exe().expect("a test knows its path"));
        process.env(SCENARIO, self.name).env("FAKE_CUDA", self.settings);
        process.env_remove("TILEFOLD_CUDA");
        folder.map(|folder| process.env("LD_LIBRARY_PATH", folder));
        let output = process.output().map_err(|why| why.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr);
        let right = match self.dies {
            None => output.status.success(),
            Some(words) => !output.status.success() && said.contains(words),
        };
        match right {
            true => Ok(start.elapsed()),
            false => Err(format!("{}\n{said}", output.status)),
        }
    }
}

/// Bodies of formula files: one stage and several, row numbers, long vectors, a result for no row,
/// a stage that reduces nothing.
const BODIES: &[(&str, &str)] = &[
    ("gauss", "x[i] : R^3; y[j] : R^3; b[j] : R^2; g : R; a[i] = sum[j] exp(-g*sqdist(x, y)) * b;"),
    ("nearest", "x[i] : R^3; y[j] : R^3; a[i], at[i] = argmin[j] sqdist(x, y);"),
    ("attention", "x[i] : R^4; y[j] : R^4; v[j] : R^3; a[i] = sum[j] softmax(dot(x, y)) * v;"),
    (
        "nested",
        "x[i] : R^2; y[j] : R^2; m[i] = logsumexp[j] -sqdist(x, y); \
         a[j] = sum[i] exp(-sqdist(x, y) - logsumexp[j] -sqdist(x, y));",
    ),
    ("wide", "x[i] : R^64; y[j] : R^64; b[j] : R^5; a[i] = sum[j] exp(-sqdist(x, y)) * b;"),
    ("rows", "x[i] : R; q : R^2; a[i] = x * q; b = sum[i] x;"),
];

/// Where `gauss` and `nested` are.
pub const GAUSS: usize = 0;
pub const NESTED: usize = 3;

/// A formula file's body.
pub fn formula(name: &str, body: &str) -> Formula {
    let text = format!("tilefold 1; formula {name} dtype f32, f64 {{ {body} }}");
    let units = front::parse(name, &text).unwrap_or_else(|e| panic!("{}", e.render(name, &text)));
    units[0].instances[0].formula.clone()
}

/// All formulas, and the gradient of the first.
pub fn formulas() -> &'static [Formula] {
    static ALL: OnceLock<Vec<Formula>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all: Vec<Formula> = BODIES.iter().map(|(name, body)| formula(name, body)).collect();
        let wrt = ["x", "b", "g"].map(String::from);
        let mut gradient = vjp(&all[GAUSS], "a", &wrt).expect("differentiable");
        gradient.name = "gradient".into();
        all.push(gradient);
        all
    })
}

/// Their kernels, with images for compute capability 9.0.
pub fn kernels() -> &'static Native {
    static ALL: OnceLock<Native> = OnceLock::new();
    ALL.get_or_init(|| images(formulas(), &[Dtype::F32, Dtype::F64]))
}

/// Kernels with images for the driver that there is. Those for a device are made as well where
/// they are asked for.
pub fn images<S: Copy + Into<Storage>>(formulas: &[Formula], dtypes: &[S]) -> Native {
    let is_ours = driver::is_ours();
    let on_device = std::env::var_os("TILEFOLD_TEST_DEVICE").is_some() || !is_ours;
    let on_device = on_device.then(|| device::build(formulas, dtypes));
    match on_device {
        Some(native) if !is_ours => native,
        _ => emulated::with_images(formulas, dtypes, (9, 0)),
    }
}

/// Formula `n` with random arrays that its type holds.
pub fn problem(n: usize, dtype: Dtype, m: usize, cols: usize) -> Problem {
    let mut rng = Rng::new(n as u64 + 7 * m as u64 + 31 * cols as u64);
    Problem::between(formulas()[n].clone(), m, cols, &mut rng, -1.0, 1.0).rounded(dtype)
}

/// Compares results with the oracle's.
pub fn check(problem: &Problem, dtype: Dtype, found: &[Matrix]) {
    let Problem { formula, m, n, inputs } = problem;
    let expected = oracle::evaluate(formula, *m, *n, inputs);
    let allowed = if dtype == Dtype::F32 { 2e-5 } else { 1e-12 };
    let gap = compare::worst(formula, &expected, found);
    assert!(gap.as_ref().is_none_or(|gap| gap.off <= allowed), "{}: {gap:?}", formula.name);
}

/// A kernel whose calls are never small: so many operations a pair.
pub fn dear(raw: &sys::tf_kernel) -> &'static Kernel {
    changed(raw, |stage| stage.pair_ops = 1e9)
}

/// A kernel with other stages.
pub fn changed(raw: &sys::tf_kernel, change: impl Fn(&mut sys::tf_stage)) -> &'static Kernel {
    // SAFETY: a descriptor has that many stages, which stay in place.
    let stages = unsafe { std::slice::from_raw_parts(raw.stages, raw.n_stages as usize) };
    let mut stages = stages.to_vec();
    stages.iter_mut().for_each(change);
    let raw = sys::tf_kernel { stages: stages.leak().as_ptr(), ..*raw };
    // SAFETY: as the descriptor it was made of.
    unsafe { Kernel::from_raw(Box::leak(Box::new(raw))) }.expect("a descriptor")
}

/// The inputs of a problem on a device, in f32.
pub fn on_device(problem: &Problem, stream: &std::sync::Arc<CudaStream>) -> Vec<CudaSlice<f32>> {
    let copy = |m: &Matrix| {
        let numbers: Vec<f32> = m.data.iter().map(|&x| x as f32).collect();
        stream.clone_htod(&numbers).expect("room for the inputs")
    };
    problem.inputs.iter().map(copy).collect()
}

/// Numbers of a device as float64.
pub fn matrix(rows: usize, cols: usize, numbers: Vec<f32>) -> Matrix {
    Matrix { rows, cols, data: numbers.into_iter().map(f64::from).collect() }
}
