//! A moment of `cargo xtask soak`. Alone in its process, whose memory and threads it counts.
#![cfg(target_os = "linux")]

use std::time::Duration;

use tilefold_fuzz::soak::soak;

#[test]
fn nothing_grows() {
    let soaked = soak(Duration::from_secs(5), 1, 12).unwrap_or_else(|why| panic!("{why}"));
    assert!(soaked.first.live > 0 && soaked.first.threads > 0, "{soaked:?}");
    println!("{soaked:?}");
}
