//! nvcc compiles every shipped CUDA text, and what it spills stays within a budget. Where nvcc is
//! missing the test says so: `cargo xtask build-formulas --fetch-toolchain` gets it.

use std::path::{Path, PathBuf};
use std::process::Command;

use tilefold_build::toolchain::{Finding, find_nvcc};
use tilefold_build::toolchain_folder;
use tilefold_tests::toolchain::parallel;

/// Bytes that an entry may spill. The sums spill nothing; the rare insertion of k smallest keeps a
/// few values on the stack.
const BUDGET: u32 = 64;

/// Kernels that hold more than a thread has registers for, until they get tiles of their own.
///
/// The five nearest in ten dimensions spill on the path of an insertion alone, as all of their
/// kind. Ten components and three signals: the assembler stays at 80 registers, although more are
/// free, and reads eight spilled words for sixteen pairs of 29 instructions each.
const OVER: &[(&str, u32)] = &[
    ("attention_D16_E16_vjp_o", 600),
    ("attention_D64_E64_vjp_o", 300),
    ("knn_D10_K5", 96),
    ("gaussian_conv_D10_E3", 104),
];

/// The CUDA texts of the shipped formulas.
fn texts(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("generated/ is readable") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            texts(&path, found);
        } else if path.extension().is_some_and(|e| e == "cu") {
            found.push(path);
        }
    }
}

/// What ptxas says of spills, line by line; `None` when it does not compile.
fn spills(nvcc: &Path, include: &Path, text: &Path) -> Result<Vec<String>, String> {
    let scratch = std::env::temp_dir().join(format!(
        "tilefold-spills-{}-{}",
        std::process::id(),
        text.file_name().expect("a file").to_string_lossy()
    ));
    let mut command = Command::new(nvcc);
    command.args(["-cubin", "-std=c++17", "-O3", "-arch=sm_90", "-Xptxas=-v", "-DTF_REAL_T=float"]);
    command.arg("-I").arg(include).arg("-o").arg(&scratch).arg(text);
    let output = command.output().map_err(|e| format!("{}: {e}", nvcc.display()))?;
    let _ = std::fs::remove_file(&scratch);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(format!("{}: {said}", text.display()));
    }
    let lines: Vec<String> =
        said.lines().filter(|l| l.contains("spill stores")).map(str::to_string).collect();
    match lines.len() {
        0 => Err(format!("{}: ptxas says nothing of spills: {said}", text.display())),
        _ => Ok(lines),
    }
}

/// The bytes in `168 bytes stack frame, 304 bytes spill stores, 560 bytes spill loads`.
fn spilled(line: &str) -> u32 {
    let part = line.split(',').find(|part| part.contains("spill stores")).unwrap_or_default();
    let number = part.split_whitespace().next().and_then(|n| n.parse().ok());
    number.unwrap_or_else(|| panic!("cannot read `{line}`"))
}

#[test]
fn shipped_kernels_stay_within_their_spill_budget() {
    let program = std::env::current_exe().expect("this program has a path");
    let nvcc = match find_nvcc(&toolchain_folder(&program)) {
        Finding::Found(tool) => tool.path,
        missing => {
            println!("skipped: {missing}");
            return;
        }
    };
    let generated = Path::new(env!("CARGO_MANIFEST_DIR")).join("../generated");
    let mut found = Vec::new();
    texts(&generated.join("kernels"), &mut found);
    assert!(found.len() > 20, "the shipped formulas have CUDA texts");
    let include = generated.join("include");
    let said = parallel(&found, |text| spills(&nvcc, &include, text));
    let mut wrong = Vec::new();
    for (text, said) in found.iter().zip(said) {
        let lines = said.unwrap_or_else(|why| panic!("{why}"));
        let name = text.file_stem().and_then(|s| s.to_str()).expect("a name");
        let budget = OVER.iter().find(|(n, _)| *n == name).map_or(BUDGET, |(_, bytes)| *bytes);
        for line in lines.iter().filter(|line| spilled(line) > budget) {
            wrong.push(format!("{name}: {}, the budget is {budget} bytes", line.trim()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
