//! Results are the same bits for any number of threads, in every run and in every process; and
//! linked code and code compiled at run time give the same: every shipped formula.

use std::collections::HashMap;
use std::process::Command;

use tilefold::{Interpreted, Kernel, Options, Policy, jit};
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{self, Formula, Storage};
use tilefold_tests::interpreted;
use tilefold_tests::native::run_kernel;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;
use tilefold_tests::sanitized::trials::shipped_formulas;

/// Many blocks of rows; few rows, whose columns are cut.
const SIZES: &[(usize, usize)] = &[(259, 1543), (3, 20_011)];

const THREADS: &[usize] = &[1, 2, 3, 7];

fn options(threads: usize) -> Options<'static> {
    Options::new().executor(Policy::Cpu).threads(threads)
}

fn problems(formula: &Formula, sizes: &[(usize, usize)]) -> Vec<Problem> {
    let problem = |&(m, n): &(usize, usize)| {
        Problem::between(formula.clone(), m, n, &mut Rng::new((m * n) as u64), 0.1, 1.1)
    };
    sizes.iter().map(problem).collect()
}

/// FNV-1a over the bits of all numbers.
fn hash(results: &[Matrix]) -> u64 {
    let bytes = results.iter().flat_map(|m| &m.data).flat_map(|x| x.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

/// The hash of a problem's results, which must be that of every number of threads, twice.
fn same(problem: &Problem, run: impl Fn(&Options) -> Vec<Matrix>) -> u64 {
    let one = hash(&run(&options(1)));
    for &threads in THREADS {
        let other = hash(&run(&options(threads)));
        assert_eq!(other, one, "{}, {threads} threads, run again", problem.formula.name);
    }
    one
}

/// The linked kernels, by the keys of their formulas.
fn linked(storage: Storage) -> HashMap<[u8; 32], &'static Kernel> {
    let formulas = tilefold_kernels::FORMULAS.iter().copied().flatten();
    let kernels = formulas.flat_map(|formula| formula.instances).filter_map(|instance| {
        let kernel = instance.kernel().expect("a sound descriptor");
        (instance.dtype().name() == storage.name()).then_some((*kernel.key(), kernel))
    });
    kernels.collect()
}

fn compiled(kernel: &'static Kernel, storage: Storage, p: &Problem) -> u64 {
    same(p, |o| run_kernel(kernel, storage, *o, None, p).unwrap_or_else(|e| panic!("{e}")))
}

/// A line for each kernel and size.
fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for storage in [Storage::F32, Storage::F64] {
        let kernels = linked(storage);
        for formula in shipped_formulas(storage) {
            let kernel = kernels[ir::key(&formula).bytes()];
            for p in problems(&formula, SIZES) {
                let hash = compiled(kernel, storage, &p);
                lines.push(format!("hash {} {} {hash:016x}", formula.name, storage.name()));
            }
        }
    }
    lines
}

const AGAIN: &str = "TILEFOLD_TEST_PRINT_HASHES";

/// This process, and one with another number of threads that prints its lines.
#[test]
fn threads_runs_and_processes_do_not_change_a_bit_of_linked_code() {
    if std::env::var_os(AGAIN).is_some() {
        return println!("\n{}", lines().join("\n"));
    }
    let name = "threads_runs_and_processes_do_not_change_a_bit_of_linked_code";
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture"])
        .envs([(AGAIN, "1"), ("RAYON_NUM_THREADS", "3")])
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let other: Vec<&str> = text.lines().filter(|line| line.starts_with("hash ")).collect();
    let own = lines();
    assert!(own.len() > 60, "{} results", own.len());
    assert_eq!(own, other);
}

/// Of every formula the first instance.
#[test]
fn code_compiled_at_run_time_gives_the_bits_of_linked_code() {
    let kernels = linked(Storage::F32);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let jit = jit::Jit::new().cache(folder.path());
    let mut formulas = shipped_formulas(Storage::F32);
    formulas.retain(|f| !f.inputs.iter().any(|input| input.name.starts_with("d_")));
    formulas.dedup_by(|a, b| a.name == b.name);
    assert!(formulas.len() > 8, "{} formulas", formulas.len());
    for formula in formulas {
        let ready = jit.kernel(&formula, Storage::F32, &options(1));
        let ready = ready.unwrap_or_else(|e| panic!("{}: {e}", formula.name));
        let linked = kernels[ir::key(&formula).bytes()];
        for p in problems(&formula, SIZES) {
            let hashes = [ready.kernel, linked].map(|k| compiled(k, Storage::F32, &p));
            assert_eq!(hashes[0], hashes[1], "{}", formula.name);
        }
    }
}

#[test]
fn threads_and_runs_do_not_change_a_bit_of_interpreted_programs() {
    for formula in shipped_formulas(Storage::F32) {
        let made = Interpreted::new(&formula, Storage::F32).expect("short enough");
        for p in problems(&formula, &[(131, 517)]) {
            same(&p, |o| interpreted::run_made(&made, &p, Storage::F32, o).expect("it runs").0);
        }
    }
}
