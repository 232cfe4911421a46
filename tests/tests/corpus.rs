//! The shipped formulas: they parse, stay few, and survive their canonical text.

use std::path::Path;

use tilefold_compiler::front::{self, Unit};
use tilefold_compiler::ir::{Formula, canonical_text};

fn corpus() -> Vec<Unit> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../formulas");
    let mut units = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the shipped formulas") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let name = path.file_name().expect("a file").to_string_lossy();
        let parsed = front::parse(&name, &text);
        units.extend(parsed.unwrap_or_else(|e| panic!("{}", e.render(&name, &text))));
    }
    units.sort_by(|a, b| a.name.cmp(&b.name));
    units
}

/// What a caller sees of a formula.
fn interface(f: &Formula) -> Vec<(String, String, usize)> {
    let inputs = f.inputs.iter().map(|i| (i.name.clone(), format!("{:?}", i.axis), i.dim));
    let outputs =
        f.outputs.iter().map(|o| (o.name.clone(), format!("{:?}", o.axis), f.dim(o.expr)));
    inputs.chain(outputs).collect()
}

#[test]
fn canonical_text_is_a_formula_file_of_the_same_formula() {
    for unit in corpus() {
        for instance in &unit.instances {
            let text = canonical_text(&instance.formula);
            let again = front::parse("canonical", &text)
                .unwrap_or_else(|e| panic!("{}: {}", unit.name, e.render("canonical", &text)));
            let again = &again[0].instances[0].formula;
            assert_eq!(canonical_text(again), text, "{}", unit.name);
            assert_eq!(interface(again), interface(&instance.formula), "{}", unit.name);
        }
    }
}

#[test]
fn everything_shipped_is_documented() {
    for unit in corpus() {
        assert!(!unit.doc.is_empty(), "{} has no text", unit.name);
        let formula = &unit.instances[0].formula;
        let inputs = formula.inputs.iter().map(|i| (&i.name, &i.doc));
        let outputs = formula.outputs.iter().map(|o| (&o.name, &o.doc));
        for (name, doc) in inputs.chain(outputs) {
            assert!(!doc.is_empty(), "{}: `{name}` has no text", unit.name);
        }
    }
}

#[test]
fn names_are_unique_and_kernels_few() {
    let units = corpus();
    let names: Vec<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    // Every one is compiled for several instruction sets, at every build.
    let kernels: usize = units.iter().map(|unit| unit.instances.len() * unit.dtypes.len()).sum();
    assert!(kernels <= 64, "{kernels} kernels are too many to ship");
}
