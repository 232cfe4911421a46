//! The table that people read. In: rows. Out: lines on standard output. It never computes a rate.

use super::{Limits, Row};

const GIGA: f64 = 1e9;

/// What was measured, on what.
pub fn head(limits: Option<&Limits>, place: &str, threads: usize) {
    println!("{place}, {threads} thread{}", if threads == 1 { "" } else { "s" });
    if let Some(limits) = limits {
        let peak =
            |n: Option<f64>| n.map_or("not measured".into(), |n| format!("{:.1} G/s", n / GIGA));
        let [single, double] = limits.multiply_adds.map(peak);
        println!("multiply-adds of one core: f32 {single}, f64 {double}");
        println!("memory of one core: {:.1} GB/s", limits.bandwidth / GIGA);
    }
    println!();
    println!(
        "{:<15} {:<4} {:>7} {:>9} {:>8} {:>7} {:>9} {:>7}  \
         others: Mpairs/s (ours to theirs), error",
        "case", "", "rows", "Mpairs/s", "spread", "limit", "error", "peak MB"
    );
}

/// One case. Rates are per core.
pub fn line(row: &Row) {
    let mega = |rate: f64| rate / row.threads as f64 / 1e6;
    let limit = row.limit.map_or("-".into(), |l| format!("{:.0} %", 100.0 * row.pairs_per_s / l));
    let peak = row.peak_bytes.map_or("-".into(), |b| format!("{:.0}", b as f64 / 1e6));
    let [slow, fast] = row.spread;
    let spread = format!("{:.0} %", 100.0 * (fast - slow) / row.pairs_per_s);
    let peers = row.peers.iter().map(|(name, &rate)| {
        let (ratio, error) = (row.pairs_per_s / rate, row.peer_errors[name]);
        format!("  {name} {:.1} ({ratio:.2}x) {error:.1e}", mega(rate))
    });
    println!(
        "{:<15} {:<4} {:>7} {:>9.1} {spread:>8} {limit:>7} {:>9.1e} {peak:>7}{}",
        row.case,
        row.dtype,
        row.m,
        mega(row.pairs_per_s),
        row.error,
        peers.collect::<String>()
    );
}

/// A library that does not take part in a case.
pub fn note(case: &str, peer: &str, why: &str) {
    println!("{case}: {peer} {why}");
}
