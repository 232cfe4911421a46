//! Every fixture under `errors/` gives exactly the errors that its first lines announce, and the
//! rendered text is a snapshot.
//!
//! `// expect: E0201 "part of the message" at "text of the span"` announces one error; `at
//! nothing` an empty span. `// pad: 300000` appends that many blanks to the text.

use std::collections::BTreeSet;
use std::path::Path;

use tilefold_compiler::diag::{CODES, Diagnostic};
use tilefold_compiler::front;

#[derive(Debug)]
struct Expected {
    code: String,
    message: String,
    at: Option<String>,
}

/// The text between the quotes that follow, and the rest.
fn quoted(text: &str) -> Option<(String, &str)> {
    let rest = text.trim_start().strip_prefix('"')?;
    let (inside, rest) = rest.split_once("\" at ").or_else(|| rest.rsplit_once('"'))?;
    Some((inside.replace("\\u{202e}", "\u{202e}"), rest))
}

fn expectation(line: &str) -> Option<Expected> {
    let rest = line.strip_prefix("// expect: ")?;
    let (code, rest) = rest.split_once(' ')?;
    let (message, rest) = quoted(rest)?;
    let at = quoted(rest).map(|(at, _)| at);
    assert!(at.is_some() || rest == "nothing", "what does `{rest}` mean?");
    Some(Expected { code: code.into(), message, at })
}

fn expectations(text: &str) -> Vec<Expected> {
    let lines = text.lines().filter(|line| line.starts_with("// expect"));
    lines.map(|l| expectation(l).unwrap_or_else(|| panic!("cannot read `{l}`"))).collect()
}

/// The text of a fixture, as long as it says.
fn read(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("a fixture is UTF-8");
    let pad = text.lines().find_map(|line| line.strip_prefix("// pad: "));
    let pad: usize = pad.map_or(0, |n| n.parse().expect("a number of blanks"));
    text + &" ".repeat(pad)
}

fn fits(text: &str, expected: &Expected, found: &Diagnostic) -> bool {
    let at = found.span.clone().map(|span| &text[span]).filter(|at| !at.is_empty());
    found.code == expected.code
        && found.message.contains(&expected.message)
        && at == expected.at.as_deref()
}

#[test]
fn fixtures_give_the_errors_they_announce() {
    let mut wrong = Vec::new();
    insta::glob!("..", "errors/*.fold", |path| {
        let text = read(path);
        let name = path.file_name().expect("a file").to_string_lossy();
        let rendered = check(&name, &text).unwrap_or_else(|why| {
            wrong.push(why);
            String::new()
        });
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../snapshots");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("errors", rendered));
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The rendered errors of a fixture, or how they differ from what it announces.
fn check(name: &str, text: &str) -> Result<String, String> {
    let expected = expectations(text);
    let Err(errors) = front::parse(name, text) else {
        return Err(format!("{name} has no error"));
    };
    let rendered = errors.render(name, text);
    let same = expected.len() == errors.0.len()
        && expected.iter().zip(&errors.0).all(|(e, d)| fits(text, e, d));
    match same {
        true => Ok(rendered),
        false => Err(format!("{name}: expected {expected:#?}, found\n{rendered}")),
    }
}

#[test]
fn every_code_has_a_fixture() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("errors");
    let mut covered = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("the folder of fixtures") {
        let path = entry.expect("an entry").path();
        covered.extend(expectations(&read(&path)).into_iter().map(|e| e.code));
    }
    let codes: BTreeSet<String> = CODES.iter().map(|(code, _)| (*code).to_owned()).collect();
    assert_eq!(covered, codes, "left: codes of fixtures; right: codes of the table");
}

#[test]
fn every_snapshot_has_a_fixture() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(root.join("snapshots")).expect("the folder of snapshots") {
        let file = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let fixture = file.strip_prefix("errors@").and_then(|name| name.strip_suffix(".snap"));
        if let Some(fixture) = fixture {
            assert!(root.join("errors").join(fixture).exists(), "{file} has no fixture");
        }
    }
}

#[test]
fn codes_are_in_order_and_unique() {
    let ids: Vec<&str> = CODES.iter().map(|(id, _)| *id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}
