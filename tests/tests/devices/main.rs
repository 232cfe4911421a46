//! The host's side of CUDA code, against the driver of tests/driver, which runs the kernels' text
//! on the CPU: results, streams, memory, contexts, errors. It proves nothing about a device.
//!
//! Its own main: the test runs itself once for each scenario, as a process that finds that driver
//! and no other. A scenario passes where its process ends well, or as it says that it must end.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
mod batches;
#[cfg(target_os = "linux")]
mod bench;
#[cfg(target_os = "linux")]
mod expressions;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod graphs;
#[cfg(target_os = "linux")]
mod guards;
#[cfg(target_os = "linux")]
mod sparse;
#[cfg(target_os = "linux")]
mod streams;
#[cfg(target_os = "linux")]
mod typed;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let tests = [
        typed::TESTS,
        streams::TESTS,
        graphs::TESTS,
        batches::TESTS,
        sparse::TESTS,
        expressions::TESTS,
        faults::TESTS,
        guards::TESTS,
    ];
    let tests = tests.concat();
    if let Some(name) = std::env::var_os(bench::SCENARIO) {
        let found = tests.iter().find(|test| name == test.name);
        (found.expect("a scenario of this table").run)();
        return ExitCode::SUCCESS;
    }
    // Arguments are cargo's: a filter, as for any test.
    let filter = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let (folder, mut failed) = (tilefold_tests::driver::folder(), 0);
    for test in tests.iter().filter(|test| test.name.contains(&filter)) {
        match test.passes(&folder) {
            Ok(time) => println!("test {} ... ok ({time:?})", test.name),
            Err(why) => {
                println!("test {} ... FAILED\n{why}", test.name);
                failed += 1;
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    println!("tests skipped: the driver of the tests is written for Linux");
    ExitCode::SUCCESS
}
