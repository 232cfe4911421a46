//! Borders between the parts: what a crate must not depend on, and that committed text is fresh.

use std::path::Path;
use std::process::Command;

use tilefold_build::Config;

/// Names of the packages that a crate needs to run.
fn needs(package: &str) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--all-features"]);
    command.args(["--package", package]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    text.lines().filter_map(|l| l.split_whitespace().next()).map(str::to_string).collect()
}

#[test]
fn a_program_that_ships_needs_no_compiler() {
    for package in ["tilefold", "tilefold-kernels"] {
        let found = needs(package);
        assert!(found.contains(&"ndarray".to_string()), "{package} needs {found:?}");
        for absent in ["pest", "pest_derive", "handlebars", "tilefold-compiler", "bindgen", "cc"] {
            assert!(!found.contains(&absent.to_string()), "{package} needs {absent}");
        }
    }
}

#[test]
fn generated_text_is_what_the_formulas_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let config = Config::new().root(root).formulas("formulas").out_dir("generated");
    config.check().unwrap_or_else(|e| panic!("{e}"));
}
