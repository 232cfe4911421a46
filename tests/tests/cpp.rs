//! The C++ programs of the tests: the accuracy of the CPU prelude at every level of this machine,
//! the CUDA prelude in emulation, and the emulation's own check that it finds seeded bugs.

use std::path::{Path, PathBuf};
use std::process::Command;

use tilefold_tests::toolchain::Processor;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_path_buf()
}

/// Compiles a program of `tests/` with the given flags.
fn compile(source: &str, name: &str, flags: &str) -> PathBuf {
    compile_for(Processor::Own, source, name, flags)
}

fn compile_for(processor: Processor, source: &str, name: &str, flags: &str) -> PathBuf {
    let program = std::env::temp_dir().join(format!("tilefold-{}-{name}", std::process::id()));
    let mut command = Command::new(processor.compiler("cpp"));
    command.current_dir(root()).args(flags.split_whitespace());
    command.args(["-I", "templates/include", source, "-o"]).arg(&program);
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    program
}

/// Exit code and everything that was printed.
fn run(program: &Path, args: &[&str]) -> (Option<i32>, String) {
    run_on(Processor::Own, program, args)
}

fn run_on(processor: Processor, program: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = processor.start(program).args(args).output().expect("it starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[cfg(target_arch = "x86_64")]
const LEVELS: &[(&str, u32)] = &[("x86-64-v2", 16), ("x86-64-v3", 32), ("x86-64-v4", 64)];
#[cfg(not(target_arch = "x86_64"))]
const LEVELS: &[(&str, u32)] = &[NEON];

const NEON: (&str, u32) = ("armv8-a", 16);

#[test]
fn functions_of_the_cpu_prelude_are_accurate() {
    // An emulator takes minutes; on ARM, `ops.rs` holds functions to the same bounds.
    for (march, bytes) in LEVELS {
        for real in ["float", "double"] {
            let flags = format!(
                "-O2 -std=c++17 -ffp-contract=fast -fno-math-errno -fno-trapping-math \
                 -march={march} -DTF_VB={bytes} -DTF_REAL_T={real}"
            );
            let program = compile("tests/cpp/ulp.cpp", &format!("ulp-{march}-{real}"), &flags);
            let (code, said) = run(&program, &["20000"]);
            let _ = std::fs::remove_file(&program);
            assert_eq!(code, Some(0), "{march} {real}:\n{said}");
        }
    }
}

/// Every conversion of 16-bit reals: at every level, by instructions and by integer arithmetic, and
/// as CUDA code.
#[test]
fn conversions_of_halves_are_right() {
    let own = LEVELS.iter().map(|&level| (Processor::Own, level));
    let arm = Processor::Arm.is_here().then_some((Processor::Arm, NEON));
    let levels: Vec<_> = own.chain(arm).collect();
    for store in ["F16", "BF16"] {
        let common = format!("-O2 -Wall -Wextra -DTF_REAL_T=float -DTF_STORE_{store}=1");
        let mut ways = vec![(Processor::Own, "emulated".into(), EMULATION.to_owned())];
        for &(processor, (march, bytes)) in &levels {
            let flags = format!("-std=c++17 -march={march} -DTF_VB={bytes}");
            let portable = format!("{flags} -DTF_HALF_PORTABLE=1");
            ways.push((processor, format!("{march}-portable"), portable));
            ways.push((processor, march.to_owned(), flags));
        }
        for (processor, name, flags) in ways {
            let (name, flags) = (format!("half-{store}-{name}"), format!("{flags} {common}"));
            let program = compile_for(processor, "tests/cpp/half.cpp", &name, &flags);
            let (code, said) = run_on(processor, &program, &[]);
            let _ = std::fs::remove_file(&program);
            assert_eq!(code, Some(0), "{name}:\n{said}");
        }
    }
}

const EMULATION: &str = "-std=c++20 -O1 -g -Wall -Wextra -include tests/emulation/tf_emulate.h";

#[test]
fn functions_of_the_cuda_prelude_are_right() {
    for real in ["float", "double"] {
        let flags = format!("{EMULATION} -DTF_REAL_T={real}");
        let program = compile("tests/emulation/prelude.cpp", &format!("prelude-{real}"), &flags);
        let (code, said) = run(&program, &[]);
        let _ = std::fs::remove_file(&program);
        assert_eq!(code, Some(0), "{real}:\n{said}");
    }
}

/// With both numbers of products that tensor cores are known to add up at once.
#[test]
fn words_of_tensor_cores_are_right() {
    for terms in [8, 16] {
        let flags = format!("{EMULATION} -DTF_REAL_T=float -DTF_EMULATE_MMA_TERMS={terms}");
        let program = compile("tests/emulation/mma.cpp", &format!("mma-{terms}"), &flags);
        let (code, said) = run(&program, &[]);
        let _ = std::fs::remove_file(&program);
        assert_eq!(code, Some(0), "{terms} terms:\n{said}");
    }
}

/// What the plain build has to say of each bug: exit code and a part of what it prints.
const PLAIN: &[(&str, i32, &str)] = &[
    ("none", 0, ""),
    ("no-barrier-before-use", 1, ""),
    ("no-barrier-after-use", 1, ""),
    ("barrier-under-condition", 2, "divergent barrier"),
    ("barriers-of-two-branches", 2, "divergent barrier"),
    ("shared-past-end", 1, ""),
    ("shared-never-written", 1, ""),
    ("splits-share-a-state", 1, ""),
];

/// What AddressSanitizer and UndefinedBehaviorSanitizer have to say.
const SANITIZED: &[(&str, i32, &str)] = &[
    ("none", 0, ""),
    ("shared-past-end", 1, "use-after-poison"),
    ("global-past-end", 1, "heap-buffer-overflow"),
    ("misaligned-vector", 1, "misaligned address"),
];

fn finds(name: &str, flags: &str, table: &[(&str, i32, &str)]) {
    let flags = format!("{EMULATION} {flags}");
    let program = compile("tests/emulation/driver.cpp", name, &flags);
    for (bug, code, part) in table {
        let (found, said) = run(&program, &[bug]);
        assert_eq!(found, Some(*code), "{name}, {bug}:\n{said}");
        assert!(said.contains(part), "{name}, {bug}: `{part}` is not in\n{said}");
    }
    let _ = std::fs::remove_file(&program);
}

#[test]
fn the_emulation_finds_seeded_bugs() {
    finds("plain", "", PLAIN);
    finds("asan", "-fsanitize=address,undefined -fno-sanitize-recover=all", SANITIZED);
}
