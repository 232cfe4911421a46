//! `cargo xtask cuda-check`: what the machine code of CUDA kernels takes, without a GPU.

mod budget;
mod hot;
mod kernels;
mod panel;
mod sass;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use tilefold_build::toolchain::{Finding, find_nvcc};
use tilefold_build::toolchain_folder;

use crate::{program, root};
use kernels::{Measured, Tools};

/// Formulas that are counted on every run.
const BENCHMARKS: &str = "xtask/cuda/benchmarks.fold";
const BUDGETS: &str = "xtask/cuda/budgets.txt";

/// Counts what the machine code of CUDA kernels takes, and holds it to a budget
///
/// Compiles the benchmark formulas and the shipped ones with nvcc, reads the machine code with
/// cuobjdump and prints for each kernel, stage and GPU generation: instructions a pair in the
/// hottest loop and the pipes that run them, registers, local memory, 16-byte reads of shared
/// memory, and the pairs a clock and multiprocessor that this allows at most. Fails where a number
/// is worse than in xtask/cuda/budgets.txt. Needs nvcc, but no GPU: nothing is run.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only the benchmark formulas, in float32, for the first generation
    #[arg(long)]
    quick: bool,
    /// Only kernels whose name begins so
    #[arg(long, default_value = "")]
    only: String,
    /// GPU generations
    #[arg(long, value_name = "LIST", default_value = "90,80")]
    arch: String,
    /// Write what is measured into the budget
    #[arg(long)]
    update: bool,
}

/// The check as it is part of `cargo xtask test`: where nvcc is missing it says so.
pub fn quick() -> crate::Result {
    match find_nvcc(&toolchain_folder(&program())) {
        Finding::Found(_) => {
            let arch = "90".into();
            run(&Arguments { quick: true, only: String::new(), arch, update: false })
        }
        missing => {
            println!("skipped: {missing}");
            Ok(())
        }
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> crate::Result {
    let nvcc = find_nvcc(&toolchain_folder(&program())).into_tool().map_err(|e| e.to_string())?;
    let first = arguments.arch.split(',').next().unwrap_or_default();
    let archs = if arguments.quick { first } else { &arguments.arch };
    let tools = Tools::new(nvcc, archs)?;
    let mut all = kernels::kernels(Path::new(BENCHMARKS))?;
    if arguments.quick {
        all.retain(|k| k.dtype == tilefold_build::manifest::Dtype::F32);
    } else {
        all.extend(kernels::kernels(Path::new("formulas"))?);
    }
    all.retain(|k| k.name.starts_with(&arguments.only));
    println!("nvcc {}: {} kernels", tools.cuda.nvcc.version, all.len());
    let measured = kernels::measure(&tools, &all)?;
    table(&measured);
    let over = budget::over_limits(&measured);
    if !over.is_empty() {
        return Err(format!("over a limit:\n  {}", over.join("\n  ")));
    }
    let path = root().join(BUDGETS);
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut held = budget::read(&text).map_err(|e| format!("{BUDGETS}: {e}"))?;
    if arguments.update {
        // What is measured in full leaves nothing of kernels that are gone.
        if !arguments.quick && arguments.only.is_empty() {
            held.clear();
        }
        budget::update(&mut held, &measured);
        return fs::write(&path, budget::print(&held))
            .map_err(|e| format!("{}: {e}", path.display()));
    }
    let (worse, better) = budget::compare(&held, &measured);
    if better > 0 {
        println!("{better} numbers are better than the budget: `cargo xtask cuda-check --update`");
    }
    match worse.is_empty() {
        true => Ok(()),
        false => Err(format!("worse than {BUDGETS}:\n  {}", worse.join("\n  "))),
    }
}

/// One line a kernel, dtype, stage and generation; counts of instructions are per pair.
fn table(measured: &[Measured]) {
    let heads = ["instr", "FMA", "ALU", "MUFU", "FP64", "HMMA", "LDS16"];
    let heads = heads.iter().chain(&["regs", "stack", "local", "bound"]);
    let heads: String = heads.map(|head| format!("{head:>7}")).collect();
    println!("{:<36} {:<6}{heads} limit", "kernel", "arch");
    for m in measured {
        let t = &m.turn;
        let counts = [t.issued, t.fma, t.alu, t.mufu, t.fp64, t.tensor, t.shared[2]];
        let counts = counts.map(|n| format!("{:>7.2}", n as f64 / m.pairs)).concat();
        let (bound, limit) = m.bound();
        println!(
            "{:<36} {:<6}{counts}{:>7}{:>7}{:>7}{bound:>7.2} {limit}",
            format!("{} {} {}", m.kernel, m.dtype, m.stage),
            m.arch,
            m.registers,
            m.stack,
            m.local,
        );
    }
}
