//! The book of operations is what the tables say, every name of KeOps is known, and the examples of
//! the language reference compile.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tilefold_compiler::diag::Diagnostics;
use tilefold_compiler::emit;
use tilefold_compiler::front::{self, Spec, Variable};
use tilefold_compiler::ir::{Axis, Formula, canonical_text};
use tilefold_compiler::ops::Op;
use tilefold_tests::accuracy::{self, Bound};
use tilefold_tests::book;

/// Names of KeOps that the compiler does not accept yet.
const PENDING: &[&str] = &[];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_path_buf()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn the_book_is_what_the_tables_say() {
    let fresh = read(book::PATH) == book::text();
    assert!(fresh, "{} is out of date; run `cargo xtask book`", book::PATH);
}

#[test]
fn the_book_is_the_same_every_time() {
    assert_eq!(book::text(), book::text());
}

/// Names and calls of `keops_names.txt`.
fn keops_names() -> Vec<(String, String)> {
    let text = read("tests/keops_names.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let parts = lines.map(|l| l.split_once(' ').unwrap_or_else(|| panic!("no call: {l}")));
    parts.map(|(name, call)| (name.to_string(), call.to_string())).collect()
}

/// The call on its own where it is a reduction, else under a sum over j.
fn compile(name: &str, call: &str) -> Result<Formula, Diagnostics> {
    let variable =
        |(name, axis, dim): (&str, Option<Axis>, usize)| Variable { name: name.into(), axis, dim };
    let (i, j) = (Some(Axis::I), Some(Axis::J));
    let variables = [
        ("x", i, 3),
        ("y", j, 3),
        ("t", i, 1),
        ("s", j, 1),
        ("p", None, 1),
        ("m", j, 9),
        ("z", j, 6),
        ("c", j, 2),
    ];
    if name.ends_with("_Reduction") || name.ends_with("_WithSavedForward") {
        let inputs: Vec<String> = variables
            .iter()
            .map(|(name, axis, dim)| match axis {
                Some(axis) => format!("{name}[{axis}] : R^{dim}; let _ = {name};"),
                None => format!("{name} : R^{dim}; let _ = {name};"),
            })
            .collect();
        let targets =
            if name.contains("_Arg") || name.contains("SumShiftExp") { ", b[i]" } else { "" };
        let text =
            format!("tilefold 1; formula f {{ {} a[i]{targets} = {call}; }}", inputs.concat());
        let units = front::parse(name, &text)?;
        return Ok(units[0].instances[0].formula.clone());
    }
    let sum = Spec { name: "Sum", over: Axis::J, k: None, weight: None };
    front::keops(call, &variables.map(variable), &sum)
}

#[test]
fn every_name_of_keops_is_accepted() {
    let names = keops_names();
    let unique: BTreeSet<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names.len(), unique.len()), (112, 112), "99 names of formulas, 13 of reductions");
    let mut missing = Vec::new();
    for (name, call) in &names {
        assert!(call.contains(&format!("{name}(")), "{call} does not call {name}");
        match compile(name, call) {
            // What is accepted is also compiled.
            Ok(formula) => drop(emit::kernel(&formula, name, "a test").expect("small enough")),
            Err(_) if PENDING.contains(&name.as_str()) => missing.push(name.as_str()),
            Err(why) => panic!("{name} is not accepted:\n{}", why.render(name, call)),
        }
    }
    missing.sort_unstable();
    assert_eq!(missing, PENDING, "left: names that are missing; right: those known to be");
}

#[test]
fn the_book_lists_every_name_that_is_accepted() {
    let text = book::text();
    let pending = |name: &str| PENDING.contains(&name);
    for (name, _) in keops_names().iter().filter(|(name, _)| !pending(name)) {
        let short = name.strip_suffix("_Reduction").unwrap_or(name);
        let listed = text.contains(&format!("`{short}`")) || text.contains(&format!("`{short}("));
        assert!(listed, "the book does not list {name}");
    }
    for op in Op::ALL {
        assert!(text.contains(&format!("\n### {}\n", op.def().name)), "{op:?}");
    }
}

#[test]
fn bounds_are_of_operations_and_no_tighter_than_what_is_measured() {
    assert_eq!(accuracy::strangers(), [""; 0], "names that are no operations");
    // `unary("exp", 2, ...` of the program that measures the prelude.
    let program = read("tests/cpp/ulp.cpp");
    for op in Op::ALL {
        let Bound::Ulps(limit) = accuracy::bound(*op) else { continue };
        // Some functions are others under another name.
        let name = match op.def().name {
            "powf" => "pow",
            "angle" | "complex_angle" => "atan2",
            "exp1j" | "complex_exp1j" => "sin",
            name => name,
        };
        let rows = ["unary", "binary"].map(|kind| format!("{kind}(\"{name}\", "));
        let start = rows.iter().find_map(|row| Some(program.find(row)? + row.len()));
        let start = start.unwrap_or_else(|| panic!("{name} is not measured"));
        let measured = program[start..].split(',').next().expect("a bound");
        let measured: f64 = measured.parse().unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(measured <= limit, "{name} is measured up to {measured}, promised {limit}");
    }
}

/// The fenced blocks of a page that start with this word.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut block: Option<String> = None;
    for line in page.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (Some(_), Some(_)) => all.extend(block.take()),
            (Some(text), None) => *text += &format!("{line}\n"),
            (None, Some(word)) if word == language => block = Some(String::new()),
            (None, _) => {}
        }
    }
    all
}

/// A block that declares no formula is the inside of one, or functions before one.
fn whole(block: &str) -> String {
    match block {
        _ if block.contains("tilefold 1;") => block.into(),
        _ if block.contains("formula ") => format!("tilefold 1;\n{block}"),
        _ => format!("tilefold 1;\nformula example {{\n{block}}}\n"),
    }
}

#[test]
fn examples_of_the_language_reference_compile() {
    let page = read("docs/language.md");
    let examples = blocks(&page, "fold");
    assert!(examples.len() >= 10, "{} examples", examples.len());
    for example in examples {
        let text = whole(&example);
        let units = front::parse("language.md", &text)
            .unwrap_or_else(|e| panic!("{}", e.render("language.md", &text)));
        for unit in units {
            for instance in &unit.instances {
                emit::kernel(&instance.formula, &unit.name, "an example").expect("small enough");
                for derivative in &instance.derivatives {
                    emit::kernel(&derivative.formula, &unit.name, "an example").expect("small");
                }
                let canonical = canonical_text(&instance.formula);
                let again = front::parse("canonical", &canonical).expect("a formula file");
                assert_eq!(canonical_text(&again[0].instances[0].formula), canonical);
            }
        }
    }
}

#[test]
fn examples_of_errors_fail_with_the_code_they_name() {
    let page = read("docs/language.md");
    let examples = blocks(&page, "fold-error");
    assert!(!examples.is_empty());
    for example in examples {
        let code = example.trim_start_matches("// ").split(':').next().unwrap_or_default();
        let text = whole(&example);
        let errors = front::parse("language.md", &text).expect_err(&text);
        assert_eq!(errors.0[0].code, code, "{}", errors.render("language.md", &text));
    }
}
