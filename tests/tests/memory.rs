//! What an evaluation takes besides its arrays: less than 64 MiB, however many rows there are.
//! Alone in its process, as it reads the process's peak.
#![cfg(target_os = "linux")]

use std::fs;

use ndarray::Array2;
use tilefold::{Axis, LazyTensor, Options, Tier, Tiers, evaluate};

/// The most memory that the process ever had, in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    let kib = line.trim().trim_end_matches("kB").trim().parse::<usize>().expect("a number");
    kib << 10
}

#[test]
fn evaluations_take_little_besides_their_arrays() {
    let folder = std::env::temp_dir().join(format!("tilefold-memory-{}", std::process::id()));
    // SAFETY: the only test of this process has started no thread yet.
    unsafe { std::env::set_var("TILEFOLD_CACHE", &folder) };
    for (m, n) in [(16, 4_000_000), (4_000_000, 16), (3_000, 60_000)] {
        let points = |rows: usize| {
            Array2::from_shape_fn((rows, 3), |(r, c)| ((r * 7 + c * 3) % 101) as f32 / 101.0)
        };
        let (x, y) = (points(m), points(n));
        // Touched before, so that only the call adds to the peak.
        let result = Array2::<f32>::ones((m, 1));
        let before = peak();
        let d = LazyTensor::i(x.view()).sqdist(LazyTensor::j(y.view()));
        let sum = (-d).exp().sum(Axis::J);
        let options = Options::new().tiers(Tiers::JIT);
        let mut values = evaluate(&[&sum]).options(options).run().expect("it runs");
        assert_eq!(values.report().tier, Tier::Jit);
        let found = values.take::<f32>(0).expect("it is real");
        let taken = peak() - before;
        assert_eq!(found.dim(), result.dim());
        let output = found.len() * size_of::<f32>();
        assert!(taken < output + (64 << 20), "{m} x {n} took {} MiB", taken >> 20);
    }
    // What is left in a temporary folder does no harm.
    let _ = fs::remove_dir_all(folder);
}
