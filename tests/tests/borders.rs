//! Borders between the parts: what a crate must not depend on, and that committed text is fresh.

use std::path::Path;
use std::process::Command;

use tilefold_build::Config;

/// Names of the packages that a crate needs to run, with some features.
fn needs(package: &str, features: &[&str]) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["tree", "--offline", "--edges", "normal", "--prefix", "none"]).args(features);
    command.args(["--package", package]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    text.lines().filter_map(|l| l.split_whitespace().next()).map(str::to_string).collect()
}

/// A package, its features, and lists of what it does not need.
type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a [&'a str]]);

/// Expressions bring the core of the compiler, strings its parser, compiling at run time its
/// templates: each only what it needs, and none of them what builds.
#[test]
fn a_program_that_ships_brings_what_it_uses() {
    let parser = ["pest", "pest_derive"];
    let templates = ["handlebars", "tilefold-templates"];
    let compiler = ["tilefold-compiler"];
    let tools = ["bindgen", "cc", "tilefold-build"];
    let bare = ["--no-default-features"];
    let jit = ["--features", "jit"];
    let text = ["--features", "text"];
    let table: [Row<'_>; 5] = [
        ("tilefold", &bare, &[&compiler, &parser, &templates, &tools]),
        ("tilefold", &[], &[&parser, &templates, &tools]),
        // Handlebars has a parser of its own need.
        ("tilefold", &jit, &[&tools]),
        ("tilefold", &text, &[&templates, &tools]),
        ("tilefold-kernels", &[], &[&parser, &templates, &tools]),
    ];
    for (package, features, lists) in table {
        let found = needs(package, features);
        assert!(found.contains(&"ndarray".to_string()), "{package} {features:?} needs {found:?}");
        for absent in lists.concat() {
            assert!(!found.contains(&absent.to_string()), "{package} {features:?} needs {absent}");
        }
    }
}

#[test]
fn generated_text_is_what_the_formulas_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let config = Config::new().root(root).formulas("formulas").out_dir("generated");
    config.check().unwrap_or_else(|e| panic!("{e}"));
}
