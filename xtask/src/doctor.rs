//! `cargo xtask doctor`: what this machine has, and how to get what it lacks.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tilefold_build::native::{HOST, Level};
use tilefold_build::toolchain::{Finding, Toolchain};
use tilefold_build::{cache_folder, process, toolchain_folder};

use crate::program;

/// Says what is found on this machine, what is missing, and how to get it
///
/// Looks for the C++ compiler (needed), nvcc (for CUDA images), libclang (only if the C header
/// changes), the CUDA driver, its devices, and the instructions of the CPU. Fails only if something
/// that is needed is missing.
#[derive(clap::Args)]
pub struct Arguments {}

/// Runs the command.
pub fn run(_arguments: &Arguments) -> crate::Result {
    let tools = Toolchain::find(&toolchain_folder(&program()));
    let findings = [
        ("C++ compiler", tools.cxx.to_string()),
        ("nvcc", tools.nvcc.to_string()),
        ("libclang", tools.libclang.to_string()),
        ("CUDA devices", devices()),
        ("CPU", cpu()),
        ("object cache", cache(&cache_folder(&program()))),
    ];
    print!("{}", findings.map(|(name, text)| paragraph(name, &text)).concat());
    match tools.cxx {
        Finding::Found(_) => Ok(()),
        Finding::Missing { .. } => Err("kernels cannot be built without a C++ compiler".into()),
    }
}

/// One finding; its further lines are indented below.
fn paragraph(name: &str, text: &str) -> String {
    let heads = std::iter::once(name).chain(std::iter::repeat(""));
    heads.zip(text.lines()).map(|(head, line)| format!("{head:<14}{}\n", line.trim())).collect()
}

/// The devices and the driver's version, as the driver's own tool tells them.
fn devices() -> String {
    let mut command = Command::new("nvidia-smi");
    command.args(["--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader"]);
    let missing = "programs run on the CPU; for a GPU, install NVIDIA's driver";
    match process::run(&mut command, Duration::from_secs(20)) {
        Ok(done) if done.is_success() => {
            let devices = done.output.lines().map(describe_device);
            devices.collect::<Vec<_>>().join("\n")
        }
        Ok(done) => format!("the driver does not answer: {}\nhelp: {missing}", done.output.trim()),
        Err(_) => format!("no driver found (nvidia-smi is not there)\nhelp: {missing}"),
    }
}

/// `NVIDIA H200, 9.0, 580.95` with names for the numbers.
fn describe_device(line: &str) -> String {
    match line.split(", ").collect::<Vec<_>>()[..] {
        [name, capability, driver] => {
            let sm = capability.replace('.', "");
            format!("{name} (sm_{sm}), driver {driver}")
        }
        _ => line.to_string(),
    }
}

/// The best instruction level that both this CPU and the kernels have.
fn cpu() -> String {
    let levels = match Level::of_target(HOST) {
        Ok(levels) => levels,
        Err(e) => return e.to_string(),
    };
    match levels.iter().rev().find(|&&level| runs(level)) {
        Some(level) => format!("runs kernels of level {}", level.name()),
        None => format!(
            "is older than {}, the lowest level of kernels: formulas are interpreted",
            levels[0].name()
        ),
    }
}

#[cfg(target_arch = "x86_64")]
fn runs(level: Level) -> bool {
    macro_rules! has {
        ($($feature:tt)*) => { $(std::arch::is_x86_feature_detected!($feature))&&* };
    }
    match level {
        Level::V2 => has!("sse3" "ssse3" "sse4.1" "sse4.2" "popcnt"),
        Level::V3 => has!("avx" "avx2" "bmi1" "bmi2" "f16c" "fma" "lzcnt" "movbe"),
        Level::V4 => runs(Level::V3) && has!("avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl"),
        Level::Neon => false,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn runs(level: Level) -> bool {
    cfg!(target_arch = "aarch64") && level == Level::Neon
}

fn cache(folder: &Path) -> String {
    let objects = std::fs::read_dir(folder.join("objects")).into_iter().flatten().flatten();
    let sizes: Vec<u64> = objects
        .filter(|e| e.path().extension().is_some_and(|e| e == "o"))
        .filter_map(|e| Some(e.metadata().ok()?.len()))
        .collect();
    let mib = sizes.iter().sum::<u64>() as f64 / f64::from(1 << 20);
    format!("{} ({} objects, {mib:.1} MiB)", folder.display(), sizes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_paragraphs() {
        let text = paragraph("nvcc", "nvcc is missing: why\n  help: how");
        assert_eq!(text, "nvcc          nvcc is missing: why\n              help: how\n");
    }

    #[test]
    fn devices_are_named_as_nvcc_names_them() {
        assert_eq!(
            describe_device("NVIDIA H200, 9.0, 580.95"),
            "NVIDIA H200 (sm_90), driver 580.95"
        );
        assert_eq!(describe_device("[N/A]"), "[N/A]");
    }
}
