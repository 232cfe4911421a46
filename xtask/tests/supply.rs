//! What this workspace is built from: licences, versions, and that nothing speaks to a network
//! but pip, which is only started when it is asked for. `deny.toml` says the same to cargo-deny,
//! which also knows advisories.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use xtask::root;

/// Licences that the dual licence of this workspace may be combined with, as in `deny.toml`.
const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "CC0-1.0",
    "Unlicense",
    "Unicode-3.0",
];

/// What must be there once: two copies of these have types that do not fit each other.
const ONCE: &[&str] = &["ndarray", "half", "cudarc", "num-complex", "rayon-core"];

/// What would speak to a network.
const NETWORK: &[&str] = &[
    "reqwest",
    "ureq",
    "hyper",
    "curl",
    "attohttpc",
    "isahc",
    "rustls",
    "native-tls",
    "openssl",
    "tokio",
    "git2",
    "minreq",
];

fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        // All platforms: what this one does not compile may have to be downloaded.
        .args(["metadata", "--locked", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    all["packages"].as_array().expect("packages").clone()
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or("")
}

/// Whether one alternative of an expression of SPDX is made of allowed licences only.
fn is_allowed(expression: &str) -> bool {
    // Old crates write `/` for OR; parentheses stand around alternatives.
    let expression = expression.replace('/', " OR ");
    let all = |part: &str| {
        let known = |licence: &str| LICENCES.contains(&licence.trim());
        part.split(" AND ").all(|l| {
            let l = l.trim();
            match l.strip_prefix('(').and_then(|l| l.strip_suffix(')')) {
                Some(inner) => inner.split(" OR ").any(known),
                None => known(l),
            }
        })
    };
    match expression.contains(") AND") || expression.contains("AND (") {
        true => all(&expression),
        false => expression.split(" OR ").any(all),
    }
}

#[test]
fn every_licence_is_allowed() {
    let refused: Vec<String> = packages()
        .iter()
        .filter(|package| !is_allowed(text(package, "license")))
        .map(|package| format!("{} ({})", text(package, "name"), text(package, "license")))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
    for bad in ["GPL-3.0-only", "", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND SSPL-1.0"] {
        assert!(!is_allowed(bad), "{bad}");
    }
}

#[test]
fn deny_toml_allows_the_same_licences() {
    let deny = fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let start = deny.find("allow = [").expect("a list of licences");
    let list = &deny[start..start + deny[start..].find(']').expect("its end")];
    let listed: BTreeSet<&str> = list.split('"').skip(1).step_by(2).collect();
    assert_eq!(listed, LICENCES.iter().copied().collect());
    for name in ONCE {
        assert!(deny.contains(&format!("\"{name}\"")), "{name} is not in deny.toml");
    }
}

#[test]
fn nothing_is_there_twice_that_must_not_be() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        let list = versions.entry(text(&package, "name").to_owned()).or_default();
        list.push(text(&package, "version").to_owned());
    }
    for name in ONCE {
        assert_eq!(versions.get(*name).map(Vec::len), Some(1), "{name}: {:?}", versions.get(*name));
    }
    let spoken: Vec<&&str> = NETWORK.iter().filter(|n| versions.contains_key(**n)).collect();
    assert!(spoken.is_empty(), "these speak to a network: {spoken:?}");
}

#[test]
fn everything_comes_from_the_registry_with_a_hash() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    for package in lock.split("[[package]]").skip(1) {
        let name = package.lines().find(|line| line.starts_with("name")).unwrap_or("");
        if let Some(source) = package.lines().find(|line| line.starts_with("source")) {
            assert!(source.contains("\"registry+"), "{name}: {source}");
            assert!(package.contains("\nchecksum = \""), "{name} has no checksum");
        }
    }
}

/// Versions as numbers.
fn version(text: &str) -> Vec<u64> {
    text.split('.').filter_map(|part| part.parse().ok()).collect()
}

#[test]
fn nothing_needs_a_newer_rust_than_is_declared() {
    let packages = packages();
    let ours = packages.iter().filter(|package| package["source"].is_null());
    let declared: BTreeSet<&str> = ours.map(|package| text(package, "rust_version")).collect();
    assert_eq!(declared.len(), 1, "every crate declares the same version: {declared:?}");
    let least = version(declared.first().expect("a version"));
    assert!(least >= vec![1, 85], "edition 2024 needs 1.85: {least:?}");
    let newer: Vec<String> = packages
        .iter()
        .filter(|package| version(text(package, "rust_version")) > least)
        .map(|package| format!("{} {}", text(package, "name"), text(package, "rust_version")))
        .collect();
    assert!(newer.is_empty(), "these need a newer Rust: {newer:?}");
}

/// Source files below a folder.
fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
            found.push((name, fs::read_to_string(&path).expect("UTF-8")));
        }
    }
}

/// Tools are fetched by one command, behind one flag; nothing that a build runs starts pip.
#[test]
fn builds_touch_no_network_unless_asked() {
    let mut files = Vec::new();
    for folder in
        ["build", "compiler/src", "runtime/src", "templates/src", "xtask/src", "generated"]
    {
        sources(&root().join(folder), &mut files);
    }
    let with = |word: &str| -> Vec<&str> {
        let holds = files.iter().filter(|(_, text)| text.contains(word));
        holds.map(|(name, _)| name.as_str()).collect()
    };
    for word in ["std::net", "TcpStream", "UdpSocket", "\"curl\"", "\"wget\""] {
        assert_eq!(with(word), Vec::<&str>::new(), "{word}");
    }
    let pip = with("\"pip\"");
    // The second installs the libraries that `cargo xtask bench` compares with.
    let who = ["build/src/toolchain/fetch.rs", "xtask/src/bench.rs"];
    assert_eq!(pip, who, "who starts pip");
    assert_eq!(with("toolchain::fetch("), ["xtask/src/build_formulas.rs"], "who fetches");
    let command = fs::read_to_string(root().join("xtask/src/build_formulas.rs")).expect("a file");
    let (before, _) = command.split_once("toolchain::fetch(").expect("the call");
    assert!(
        before.trim_end().ends_with("{") && before.contains("if arguments.fetch_toolchain {"),
        "the call is behind the flag"
    );
}
