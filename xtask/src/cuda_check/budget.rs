//! The committed numbers, one a line: `KERNEL DTYPE STAGE ARCH NUMBER VALUE`.
//!
//! In: the file, and what was measured. Out: what is worse, with both numbers, or the file anew.

use std::collections::BTreeMap;

use super::kernels::{FLOATS, Measured, NEAR};

/// What a line begins with, without its value.
pub type Key = [String; 5];

/// What is held to: name, whether more is worse, and the value.
fn numbers(m: &Measured) -> [(&'static str, bool, f64); 5] {
    // Hundredths: what is printed is what is compared.
    let instructions = (m.instructions() * 100.0).round() / 100.0;
    [
        ("instructions", true, instructions),
        ("registers", true, f64::from(m.registers)),
        ("local", true, m.local as f64),
        ("hot_local", true, m.turn.local as f64),
        ("wide_reads", false, m.turn.shared[2] as f64),
    ]
}

/// Instructions a pair in float32 on sm_90 that no budget may go beyond: those that the kernels are
/// designed for, with something for the loop around them, where pairs go the plain way and where
/// they go the near one. Where tensor cores make sums, it is the way with them that is held to it.
const LIMITS: &[(&str, f64, Option<f64>)] = &[
    ("gaussian_D3", 10.2, Some(6.8)),
    ("gaussian_D3_vjp_a", 13.6, None),
    ("gaussian_D100", 40.0, None),
    ("log_density", 9.7, Some(7.8)),
    ("relaxed_gaussian", 8.9, Some(6.6)),
    ("relaxed_gaussian_vjp_a", 12.0, None),
    ("relaxed_log_density", 8.6, None),
    ("relaxed_laplacian", 10.5, None),
    ("relaxed_cauchy", 9.5, None),
    ("closest", 5.5, None),
    ("ten_nearest_D3", 8.5, None),
    ("ten_nearest_D50", 12.0, None),
    ("ten_nearest_D784", 100.0, None),
];

/// What takes more than its limit, which nothing raises but a change of this file.
pub fn over_limits(all: &[Measured]) -> Vec<String> {
    let over = |m: &Measured| {
        let &(_, plain, near) = LIMITS.iter().find(|(kernel, ..)| *kernel == m.kernel)?;
        let limit = if m.stage.ends_with(NEAR) { near? } else { plain };
        let [(_, _, found), ..] = numbers(m);
        let held = m.dtype == "f32" && m.arch == "sm_90" && !m.stage.ends_with(FLOATS);
        (held && found > limit).then(|| {
            let key = key(m, "instructions").join(" ");
            format!("{key}: {found}, the limit is {limit}")
        })
    };
    all.iter().filter_map(over).collect()
}

fn key(m: &Measured, number: &str) -> Key {
    [&m.kernel, m.dtype, &m.stage, &m.arch, number].map(str::to_string)
}

const HEAD: &str = "\
# Written by `cargo xtask cuda-check --update`: what the machine code of CUDA kernels may take.
# KERNEL DTYPE STAGE ARCH NUMBER VALUE. Per pair of the hottest loop: instructions. Per thread:
# registers; local, the reads and writes of local memory in the whole entry; hot_local, those in
# the hottest loop. At least: wide_reads, 16-byte reads of shared memory in a turn of that loop.
";

/// Reads the file.
pub fn read(text: &str) -> Result<BTreeMap<Key, f64>, String> {
    let mut budget = BTreeMap::new();
    for (n, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [first, ..] if first.starts_with('#') => {}
            [kernel, dtype, stage, arch, number, value] => {
                let value = value.parse().map_err(|_| wrong(n, line))?;
                let key = [kernel, dtype, stage, arch, number].map(|w| w.to_string());
                if budget.insert(key, value).is_some() {
                    return Err(format!("line {}: `{line}` is there twice", n + 1));
                }
            }
            _ => return Err(wrong(n, line)),
        }
    }
    Ok(budget)
}

fn wrong(n: usize, line: &str) -> String {
    format!("line {}: `{line}` is not KERNEL DTYPE STAGE ARCH NUMBER VALUE", n + 1)
}

/// Puts what was measured in place of what was held to.
pub fn update(budget: &mut BTreeMap<Key, f64>, all: &[Measured]) {
    for m in all {
        for (name, _, value) in numbers(m) {
            budget.insert(key(m, name), value);
        }
    }
}

/// The file's text.
pub fn print(budget: &BTreeMap<Key, f64>) -> String {
    let mut text = HEAD.to_string();
    for (key, value) in budget {
        text.push_str(&format!("{} {value}\n", key.join(" ")));
    }
    text
}

/// What is worse than the budget, or not in it; and how many numbers are better.
pub fn compare(budget: &BTreeMap<Key, f64>, all: &[Measured]) -> (Vec<String>, usize) {
    let (mut worse, mut better) = (Vec::new(), 0);
    for m in all {
        for (name, more_is_worse, value) in numbers(m) {
            let key = key(m, name);
            let Some(&held) = budget.get(&key) else {
                worse.push(format!("{}: {value}, and no budget", key.join(" ")));
                continue;
            };
            if value != held && (value > held) == more_is_worse {
                worse.push(format!("{}: {value}, the budget is {held}", key.join(" ")));
            } else if value != held {
                better += 1;
            }
        }
    }
    (worse, better)
}
