//! A share of `cargo xtask sanitize`: emitted code under sanitizers, on arrays that end where they
//! end. Compiling takes nearly all of the time; what was compiled once is not compiled again.

use tilefold_compiler::ir::Storage;
use tilefold_tests::native;
use tilefold_tests::sanitized::trials::{self, Trial};
use tilefold_tests::sanitized::{ARM, Code, Sanitizer, Watch};
use tilefold_tests::toolchain::Processor;

fn hold(sanitizer: Sanitizer, code: Code, storage: Storage, trials: &[Trial]) {
    let ran = trials::check(Watch { sanitizer, code, storage }, trials);
    let ran = ran.unwrap_or_else(|why| panic!("{why}"));
    assert!(ran * 10 > trials.len() * 7, "{ran} of {} ran", trials.len());
}

#[test]
fn cpu_code_stays_within_its_arrays() {
    let levels = native::levels();
    let watch = |level, storage, trials: &[Trial]| {
        hold(Sanitizer::Memory, Code::Cpu(level), storage, trials);
    };
    watch(native::best(), Storage::F32, &trials::shipped(Storage::F32, 4));
    watch(levels[0], Storage::F64, &trials::random(0..8));
}

/// No sanitizer watches it, but results are compared with the evaluator.
#[test]
fn code_for_arm_computes_what_is_shipped() {
    if !Processor::Arm.is_here() {
        return;
    }
    let (sanitizer, code) = ARM;
    let hold = |storage, trials: &[Trial]| hold(sanitizer, code, storage, trials);
    for storage in [Storage::F32, Storage::F64] {
        hold(storage, &trials::shipped(storage, 5));
    }
    for storage in [Storage::F16, Storage::BF16] {
        hold(storage, &trials::random(16..18));
    }
    hold(Storage::F64, &trials::random(0..16));
}

#[test]
fn cuda_code_stays_within_its_arrays() {
    hold(Sanitizer::Memory, Code::Cuda, Storage::F64, &trials::random(8..12));
}

/// Lists of tiles cut rows and columns anywhere, and end where they end.
#[test]
fn cuda_code_stays_within_lists_of_tiles() {
    hold(Sanitizer::Memory, Code::Tiles, Storage::F64, &trials::random(16..20));
}

/// Threads of a block are fibers that ThreadSanitizer knows of, and only barriers order them.
#[test]
fn cuda_code_has_the_barriers_that_it_needs() {
    hold(Sanitizer::Races, Code::Cuda, Storage::F64, &trials::random(12..16));
    hold(Sanitizer::Races, Code::Tiles, Storage::F64, &trials::random(16..18));
}
