//! Formulas compiled at run time: by one process of many, in a folder that is damaged, full, not
//! to be written or not to be trusted, by compilers that are missing or fail, and by processes that
//! die at every change they make to the file system.
//!
//! Its own main: the test runs itself as the processes that ask for kernels.

use std::process::ExitCode;

#[cfg(unix)]
mod damage;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod faults;
#[cfg(unix)]
mod limit;
#[cfg(unix)]
mod place;
#[cfg(unix)]
mod sharing;

#[cfg(unix)]
fn main() -> ExitCode {
    if let Some(code) = place::ask() {
        return code;
    }
    let mut tests: Vec<(&str, fn())> =
        sharing::TESTS.iter().chain(damage::TESTS).chain(limit::TESTS).copied().collect();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    tests.extend(faults::TESTS);
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    println!("tests skipped: faults are injected with glibc's loader");
    // Arguments are cargo's: a filter, as for any test.
    let filter = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    for (name, test) in tests.into_iter().filter(|(name, _)| name.contains(&filter)) {
        let start = std::time::Instant::now();
        test();
        println!("test {name} ... ok ({:?})", start.elapsed());
    }
    ExitCode::SUCCESS
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    println!("tests skipped: the compiler of the tests is a shell script");
    ExitCode::SUCCESS
}
