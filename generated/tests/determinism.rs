//! Results are the same bits for any number of threads, from run to run and from process to
//! process: every shipped kernel, on more rows and columns than one thread takes at a time.

use std::fmt::Write as _;
use std::process::Command;

use ndarray::Array2;
use tilefold::{Call, ComponentType, Dtype, Kernel, Operand, Options, Outputs, Policy};

/// Rows of i and of j.
const SIZES: [usize; 2] = [259, 1543];

enum Array {
    F32(Array2<f32>),
    F64(Array2<f64>),
}

impl Array {
    /// Numbers in (0.1, 1.1), different everywhere.
    fn new(dtype: Dtype, rows: usize, cols: usize, salt: usize) -> Array {
        let number = |(r, c): (usize, usize)| {
            0.1 + ((r * 7919 + c * 104_729 + salt * 1299) % 10_007) as f64 / 10_007.0
        };
        match dtype {
            Dtype::F64 => Array::F64(Array2::from_shape_fn((rows, cols), number)),
            _ => Array::F32(Array2::from_shape_fn((rows, cols), |at| number(at) as f32)),
        }
    }

    fn operand(&self) -> Operand<'_> {
        match self {
            Array::F32(array) => array.into(),
            Array::F64(array) => array.into(),
        }
    }
}

/// FNV-1a over bits.
fn mix(hash: u64, bits: u64) -> u64 {
    bits.to_le_bytes().iter().fold(hash, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

fn hash_of(kernel: &Kernel, mut outputs: Outputs) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for value in kernel.outputs() {
        let name = value.name;
        let bits: Vec<u64> = match value.component {
            ComponentType::Real(Dtype::F64) => {
                let array = outputs.take::<f64>(name).expect("f64");
                array.iter().map(|v| v.to_bits()).collect()
            }
            ComponentType::Real(_) => {
                let array = outputs.take::<f32>(name).expect("f32");
                array.iter().map(|v| u64::from(v.to_bits())).collect()
            }
            ComponentType::Index => {
                let array = outputs.take::<i64>(name).expect("i64");
                array.iter().map(|&v| v as u64).collect()
            }
            other => panic!("{name} holds {other}"),
        };
        hash = bits.into_iter().fold(hash, mix);
    }
    hash
}

fn run(kernel: &'static Kernel, threads: usize) -> u64 {
    let inputs: Vec<(&str, Array)> = kernel
        .inputs()
        .enumerate()
        .map(|(n, v)| {
            let rows = v.axis.map_or(1, |axis| SIZES[axis as usize]);
            (v.name, Array::new(kernel.dtype(), rows, v.dim, n))
        })
        .collect();
    let options = Options::new().executor(Policy::Cpu).threads(threads);
    let call = Call::new(kernel).options(options).rows(SIZES[0], SIZES[1]);
    let call = inputs.iter().fold(call, |call, (name, a)| call.arg(name, a.operand()));
    let outputs = call.run().unwrap_or_else(|e| panic!("{e}"));
    hash_of(kernel, outputs)
}

/// Prints a line a kernel, which [`processes_do_not_change_a_bit`] compares.
#[test]
fn threads_and_runs_do_not_change_a_bit() {
    let mut lines = String::new();
    for formula in tilefold_kernels::FORMULAS.iter().copied().flatten() {
        for instance in formula.instances {
            let kernel = instance.kernel().expect("a sound descriptor");
            let one = run(kernel, 1);
            for threads in [1, 2, 3, 7, 16] {
                assert_eq!(run(kernel, threads), one, "{kernel:?} on {threads} threads");
            }
            let _ = writeln!(lines, "hash {kernel:?} {one:016x}");
        }
    }
    println!("{lines}");
}

#[test]
fn processes_do_not_change_a_bit() {
    let run = |threads: &str| -> Vec<String> {
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "threads_and_runs_do_not_change_a_bit", "--nocapture"])
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text.lines().filter(|line| line.starts_with("hash ")).map(str::to_owned).collect()
    };
    let (one, three) = (run("1"), run("3"));
    assert!(one.len() > 30, "{} kernels", one.len());
    assert_eq!(one, three);
}
