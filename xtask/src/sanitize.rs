//! `cargo xtask sanitize`: emitted code under sanitizers, on arrays of exactly their size.

use std::time::Instant;

use tilefold_compiler::ir::Storage;
use tilefold_tests::native;
use tilefold_tests::sanitized::trials::{self, Trial};
use tilefold_tests::sanitized::{ARM, Code, Sanitizer, Watch};
use tilefold_tests::toolchain::Processor;

/// Runs emitted code under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer
///
/// The shipped formulas with their derivatives in every type, and random formulas in f64: C++ for
/// every level of this processor, and emulated CUDA, launched densely and by lists of tiles.
/// Arrays, packed rows and columns and states end where the descriptor says; sizes are none, one
/// and ragged, inputs have gaps or run backwards, and hold NaN, infinities and huge numbers too.
/// Ordinary results are compared with the compiler's evaluation. Needs g++ or clang with their
/// sanitizers. Where qemu and a cross compiler are installed, NEON code runs too, which nothing
/// watches. `cargo xtask test` runs a share of this.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many random formulas
    #[arg(long, default_value_t = 48)]
    random: u64,
    /// The first of them
    #[arg(long, default_value_t = 100)]
    first: u64,
    /// Without the shipped formulas
    #[arg(long)]
    only_random: bool,
}

/// Random formulas a program.
const BATCH: u64 = 48;

/// Runs the command.
pub fn run(arguments: &Arguments) -> crate::Result {
    let cpu = native::levels().into_iter().map(|level| (Sanitizer::Memory, Code::Cpu(level)));
    let cuda = [Sanitizer::Memory, Sanitizer::Races]
        .into_iter()
        .flat_map(|sanitizer| [Code::Cuda, Code::Tiles].map(|code| (sanitizer, code)));
    let arm = Processor::Arm.is_here().then_some(ARM);
    for (sanitizer, code) in cpu.chain(cuda).chain(arm) {
        if !arguments.only_random {
            for storage in [Storage::F32, Storage::F64, Storage::F16, Storage::BF16] {
                let shipped = trials::shipped(storage, 1);
                if !shipped.is_empty() {
                    watch(Watch { sanitizer, code, storage }, "shipped", &shipped)?;
                }
            }
        }
        let last = arguments.first + arguments.random;
        for first in (arguments.first..last).step_by(BATCH as usize) {
            let numbers = first..last.min(first + BATCH);
            let what = format!("random {}..{}", numbers.start, numbers.end);
            let watched = Watch { sanitizer, code, storage: Storage::F64 };
            watch(watched, &what, &trials::random(numbers))?;
        }
    }
    Ok(())
}

fn watch(watch: Watch, what: &str, trials: &[Trial]) -> crate::Result {
    let start = Instant::now();
    let ran = trials::check(watch, trials)?;
    let who = match watch.code {
        Code::Cpu(level) | Code::Shipped(level) => level.to_string(),
        Code::Cuda => "cuda".into(),
        Code::Tiles => "cuda tiles".into(),
    };
    println!(
        "{:<7} {who:<10} {:<5} {what:<16} {ran:>5} of {:>5} calls ran, 0 reports, {:>6.1} s",
        format!("{:?}", watch.sanitizer).to_lowercase(),
        watch.storage.name(),
        trials.len(),
        start.elapsed().as_secs_f64(),
    );
    Ok(())
}
