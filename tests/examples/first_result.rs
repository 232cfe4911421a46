//! How long a formula takes that nobody has met: `cargo run --release -p tilefold-tests --example
//! first_result`. Each line is a process of its own: a first evaluation of 100 by 100 points,
//! interpreted, compiled, and compiled by an earlier process.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use ndarray::Array2;
use tilefold::{Axis, LazyTensor, Options, Tiers, evaluate};

const CACHE: &str = "TILEFOLD_CACHE";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, tier] = arguments.as_slice() {
        return one(tier);
    }
    let folder = std::env::temp_dir().join(format!("tilefold-first-{}", std::process::id()));
    for (what, tier) in [
        ("interpreted", "interpreted"),
        ("compiled", "jit"),
        ("compiled by an earlier process", "jit"),
    ] {
        println!("{what}: {}", run(&arguments[0], tier, &folder));
    }
    let _ = std::fs::remove_dir_all(folder);
}

fn run(program: &str, tier: &str, folder: &Path) -> String {
    let output = Command::new(program).arg(tier).env(CACHE, folder).output();
    let output = output.expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn one(tier: &str) {
    let tiers = if tier == "jit" { Tiers::JIT } else { Tiers::INTERPRETED };
    let points = |rows: usize, cols: usize, seed: usize| {
        Array2::from_shape_fn((rows, cols), |(r, c)| ((r * 7 + c * 3 + seed) % 101) as f32 / 101.0)
    };
    let (x, y, b) = (points(100, 3, 0), points(100, 3, 5), points(100, 1, 9));
    let start = Instant::now();
    let (x_i, y_j, b_j) =
        (LazyTensor::i(x.view()), LazyTensor::j(y.view()), LazyTensor::j(b.view()));
    let a_i = ((-(0.5_f32 * x_i.sqdist(&y_j))).exp() * b_j).sum(Axis::J);
    let options = Options::new().tiers(tiers).threads(1);
    let value = evaluate(&[&a_i]).options(options).run().expect("it runs");
    let first = start.elapsed();
    let gradient = a_i.vjp(LazyTensor::number(1.0), &x_i);
    let start = Instant::now();
    evaluate(&[&gradient]).options(options).run().expect("it runs");
    let (first, second) = (first.as_secs_f64() * 1e3, start.elapsed().as_secs_f64() * 1e3);
    println!("value {first:.2} ms, its gradient {second:.2} ms; {}", value.report());
}
