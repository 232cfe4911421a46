//! The host's side of CUDA code, against the driver of tests/driver, which runs the kernels' text
//! on the CPU: results, streams, memory, contexts, errors. It proves nothing about a device, so
//! what holds on any driver runs on a device as well, where there is one.
//!
//! Its own main: the test runs itself once for each scenario, as a process that finds that driver
//! and no other. A scenario passes where its process ends well, or as it says that it must end.

use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;

use tilefold_tests::device;

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
        let found = tests.iter().chain(expressions::ON_A_DEVICE).find(|test| name == test.name);
        (found.expect("a scenario of this table").run)();
        return ExitCode::SUCCESS;
    }
    // Arguments are cargo's: a filter, as for any test.
    let filter = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let (folder, mut failed) = (OnceLock::new(), 0);
    let mut run = |name: &str, test: &bench::Test, folder: Option<&Path>| match test.passes(folder)
    {
        Ok(time) => println!("test {name} ... ok ({time:?})"),
        Err(why) => {
            println!("test {name} ... FAILED\n{why}");
            failed += 1;
        }
    };
    for test in tests.iter().filter(|test| test.name.contains(&filter)) {
        run(test.name, test, Some(folder.get_or_init(tilefold_tests::driver::folder)));
    }
    let on_a_device = tests.iter().chain(expressions::ON_A_DEVICE);
    for test in on_a_device.filter(|test| test.anywhere && device::runs()) {
        let name = format!("{}_on_a_device", test.name);
        if name.contains(&filter) {
            run(&name, test, None);
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    println!("tests skipped: the driver of the tests is written for Linux");
    ExitCode::SUCCESS
}
