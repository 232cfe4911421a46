//! Generated folders: written whole, only where they differ, and without leftovers.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::SystemTime;

use support::{formula, formulas};
use tilefold_build::Error;
use tilefold_build::manifest::{self, Manifest};
use tilefold_build::progress::Silent;
use tilefold_build::text::{self, Changes, Text};

/// Every file below `dir`, with its text; the lock file is no one's text.
fn read(dir: &Path) -> BTreeMap<String, String> {
    fn walk(dir: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
            } else if name != ".tilefold-lock" {
                found.insert(name, fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(dir, "", &mut found);
    found
}

fn write(dir: &Path, text: &Text) -> Changes {
    text::write(dir, text, &Silent).unwrap()
}

#[test]
fn holds_exactly_the_texts_and_the_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let text = formulas(&["gauss", "laplace"]);
    let changes = write(dir.path(), &text);
    assert_eq!(changes.written.len(), text.files.len() + 1);
    assert_eq!(changes.written.last().map(String::as_str), Some(manifest::FILE));
    let mut found = read(dir.path());
    let manifest = Manifest::parse(&found.remove(manifest::FILE).unwrap()).unwrap();
    assert_eq!(found, text.files);
    assert_eq!(manifest, Manifest::new(&text.libraries, &text.files));
    assert_eq!(text::verify(dir.path()).unwrap(), manifest);
}

#[test]
fn writes_only_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let text = formulas(&["gauss", "laplace"]);
    write(dir.path(), &text);
    let time = |path: &str| fs::metadata(dir.path().join(path)).unwrap().modified().unwrap();
    let before: Vec<SystemTime> = text.files.keys().map(|p| time(p)).collect();
    assert_eq!(write(dir.path(), &text), Changes::default());
    let mut other = text.clone();
    other.files.insert("gauss/tf_gauss_0123.cpp".into(), "int x;\n".into());
    let changes = write(dir.path(), &other);
    assert_eq!(changes.written, ["gauss/tf_gauss_0123.cpp", manifest::FILE]);
    let after: Vec<SystemTime> = text.files.keys().map(|p| time(p)).collect();
    assert_eq!(before.iter().zip(&after).filter(|(b, a)| b != a).count(), 1);
}

#[test]
fn removes_what_has_no_formula_any_more_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &formulas(&["gauss", "laplace"]));
    fs::write(dir.path().join("README.md"), "by hand").unwrap();
    fs::write(dir.path().join("gauss/notes.txt"), "by hand").unwrap();
    let changes = write(dir.path(), &formulas(&["cauchy"]));
    assert_eq!(changes.removed.len(), 6, "{changes:?}");
    let found = read(dir.path());
    assert!(!dir.path().join("laplace").exists());
    assert_eq!(found["README.md"], "by hand");
    assert_eq!(found["gauss/notes.txt"], "by hand");
    assert_eq!(found.len(), formulas(&["cauchy"]).files.len() + 3);
}

#[test]
fn check_lists_each_kind_of_difference_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &formulas(&["gauss", "laplace"]));
    text::check(dir.path(), &formulas(&["gauss", "laplace"])).unwrap();
    fs::write(dir.path().join("gauss/tf_gauss_0123.c"), "edited").unwrap();
    let before = read(dir.path());
    let error = text::check(dir.path(), &formulas(&["gauss", "cauchy"])).unwrap_err().to_string();
    for line in [
        "gauss/tf_gauss_0123.c differs from its formula",
        "laplace/tf_laplace_0123.cpp has no formula any more",
        "cauchy/tf_cauchy_0123.cpp is missing",
        "manifest.toml differs from its formula",
        "help: run `cargo xtask build-formulas`",
    ] {
        assert!(error.contains(line), "{line} is not in\n{error}");
    }
    assert_eq!(read(dir.path()), before);
}

#[test]
fn a_manifest_with_merge_conflicts_is_replaced_and_owns_nothing() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &formulas(&["gauss"]));
    let path = dir.path().join(manifest::FILE);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("<<<<<<< HEAD\n{text}")).unwrap();
    let error = text::verify(dir.path()).unwrap_err().to_string();
    assert!(error.contains("manifest.toml:1: unknown line"), "{error}");
    let changes = write(dir.path(), &formulas(&["laplace"]));
    assert_eq!(changes.removed, [""; 0]);
    text::verify(dir.path()).unwrap();
}

#[test]
fn a_text_edited_by_hand_is_not_linked() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &formulas(&["gauss"]));
    fs::write(dir.path().join("include/tiny.h"), "#define X\n").unwrap();
    fs::remove_file(dir.path().join("gauss/tf_gauss_0123.cu")).unwrap();
    let error = text::verify(dir.path()).unwrap_err().to_string();
    assert!(error.contains("include/tiny.h is not the text that was generated"), "{error}");
    assert!(error.contains("gauss/tf_gauss_0123.cu: No such file"), "{error}");
    let missing = text::verify(&dir.path().join("nowhere")).unwrap_err().to_string();
    assert!(missing.contains("manifest.toml is missing"), "{missing}");
}

#[test]
fn two_formulas_of_one_name_clash() {
    let mut text = Text::default();
    text.join(formula("gauss", 0), "a.fold").unwrap();
    let error = text.clone().join(formula("gauss", 1), "b.fold").unwrap_err().to_string();
    assert!(error.contains("formula gauss comes from both a.fold and b.fold"), "{error}");
    let mut other = formula("laplace", 0);
    other.files.insert("include/tiny.h".into(), "different".into());
    let error = text.join(other, "b.fold").unwrap_err().to_string();
    assert!(error.contains("include/tiny.h comes from both a.fold and b.fold"), "{error}");
    let dir = tempfile::tempdir().unwrap();
    let mut text = formula("gauss", 0);
    text.join(formula("Gauss", 0), "b.fold").unwrap();
    let error = text::write(dir.path(), &text, &Silent).unwrap_err();
    assert!(matches!(error, Error::Clash { .. }), "{error}");
}

#[test]
fn paths_that_leave_the_folder_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for bad in ["../x.cpp", "/tmp/x.cpp", "a/../../x.cpp", "a b.cpp", ".hidden"] {
        let mut text = formula("gauss", 0);
        text.files.insert(bad.into(), String::new());
        let error = text::write(&dir.path().join("g"), &text, &Silent).unwrap_err().to_string();
        assert!(error.contains("not a plain relative path"), "{bad}: {error}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_in_the_way_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("include/tiny.h/x")).unwrap();
    let error = text::write(dir.path(), &formula("gauss", 0), &Silent).unwrap_err().to_string();
    assert!(error.contains("cannot write") && error.contains("include/tiny.h"), "{error}");
    fs::remove_dir_all(dir.path().join("include/tiny.h")).unwrap();
    write(dir.path(), &formula("gauss", 0));
    assert_eq!(read(dir.path()).len(), formula("gauss", 0).files.len() + 1);
}

#[test]
fn writers_take_turns() {
    let dir = tempfile::tempdir().unwrap();
    let texts = [formulas(&["gauss", "laplace"]), formulas(&["gauss", "cauchy"])];
    thread::scope(|scope| {
        for n in 0..8 {
            let text = &texts[n % 2];
            scope.spawn(|| write(dir.path(), text));
        }
    });
    let found = read(dir.path());
    let whole = texts
        .iter()
        .any(|text| text::check(dir.path(), text).is_ok() && found.len() == text.files.len() + 1);
    assert!(whole, "{:?}", found.keys());
}
