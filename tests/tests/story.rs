//! What becomes of a formula, from source to code, as text for people: one story a fixture, and the
//! C++ and CUDA text of its first instance. Review a change of the compiler by the diff of these.

use std::fs;

use tilefold_compiler::front::{self, Mode, Unit};
use tilefold_compiler::ir::Formula;
use tilefold_compiler::{emit, passes, schedule};

/// Calls `check` with every fixture's name and text, in a setting where snapshots lie beside them.
fn each_fixture(check: impl Fn(&str, &str)) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        insta::glob!("../formulas", "*.fold", |path| {
            let name = path.file_stem().and_then(|s| s.to_str()).expect("a name");
            let text = fs::read_to_string(path).expect("a readable fixture");
            check(name, &text);
        });
    });
}

fn parse(name: &str, text: &str) -> Vec<Unit> {
    let file = format!("{name}.fold");
    front::parse(&file, text).unwrap_or_else(|e| panic!("{}", e.render(&file, text)))
}

fn chapter(out: &mut String, title: &str, formula: &Formula) {
    let kernel = emit::kernel(formula, title, "a fixture").expect("small enough");
    let plan = schedule::explain(&kernel.plan, &kernel.pair_ops);
    *out += &format!("----- {title}: canonical text\n{}\n", kernel.canonical);
    *out += &format!("----- {title}: passes\n{}\n", passes::explain(formula));
    *out += &format!("----- {title}: strata and schedule\n{plan}\n");
}

#[test]
fn stories() {
    each_fixture(|name, text| {
        let mut out = format!("----- source\n{text}\n");
        for unit in parse(name, text) {
            for instance in &unit.instances {
                chapter(&mut out, &unit.name, &instance.formula);
                for d in &instance.derivatives {
                    let title = match (d.mode, d.with_value) {
                        (Mode::Reverse, false) => format!("gradient of {}", d.output),
                        _ => d.title.clone(),
                    };
                    chapter(&mut out, &title, &d.formula);
                }
            }
        }
        insta::assert_snapshot!("story", out);
    });
}

#[test]
fn emission() {
    each_fixture(|name, text| {
        let units = parse(name, text);
        let formula = &units[0].instances[0].formula;
        let kernel = emit::kernel(formula, name, "a fixture").expect("small enough");
        insta::assert_snapshot!("cpp", kernel.cpp);
        insta::assert_snapshot!("cu", kernel.cu);
        insta::assert_snapshot!("c", kernel.desc);
    });
}

/// Reading the canonical text back gives the same text, so it is a wire format.
#[test]
fn canonical_text_is_read_back() {
    each_fixture(|name, text| {
        for unit in parse(name, text) {
            for instance in &unit.instances {
                let printed = tilefold_compiler::ir::canonical_text(&instance.formula);
                let again = parse(name, &printed);
                let read = &again[0].instances[0].formula;
                assert_eq!(tilefold_compiler::ir::canonical_text(read), printed, "{name}");
            }
        }
    });
}
