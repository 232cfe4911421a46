//! Libraries from hand-made text: made once, shared, healed, and honest about failures.
#![cfg(unix)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use support::{Notes, Place, formula, formulas, objects_of_a_formula};
use tilefold_build::Error;
use tilefold_build::native::{self, Archive, Compiler, HOST};
use tilefold_build::progress::{Outcome, Silent, Summary};
use tilefold_build::text::{self, Text};

fn build(place: &Place, text: &Text) -> Result<(Vec<Archive>, Summary), Error> {
    text::write(&place.generated(), text, &Silent)?;
    native::build(&place.generated(), &text.libraries, &place.native(), &Silent)
}

/// Compiled, cached, archived, kept.
fn counts(summary: &Summary) -> [usize; 4] {
    [summary.compiled, summary.cached, summary.archived, summary.kept]
}

#[test]
fn archives_link_into_a_program() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path(), "good");
    let (archives, _) = build(&place, &formulas(&["gauss", "laplace"])).unwrap();
    let main = r#"#include "tf_abi.h"
#include <stdio.h>
extern const tf_kernel tf_gauss_0123_f32, tf_laplace_0123_f64;
int main(void) {
  const tf_kernel *kernels[] = {&tf_gauss_0123_f32, &tf_laplace_0123_f64};
  for (int k = 0; k < 2; k++) {
    int levels = 0;
    for (int l = 0; l < TF_LEVELS; l++)
      if (kernels[k]->stages->cpu[l] && kernels[k]->stages->cpu[l]->lanes) levels++;
    printf("%s %u %d\n", kernels[k]->name, kernels[k]->dtype, levels);
  }
}
"#;
    fs::write(dir.path().join("main.c"), main).unwrap();
    let program = dir.path().join("program");
    let compiler = Compiler::find(HOST).unwrap();
    let status = Command::new(compiler.path())
        .args(["-x", "c"])
        .arg(dir.path().join("main.c"))
        .args(["-x", "none", "-I"])
        .arg(place.generated().join("include"))
        .args(archives.iter().map(|a| &a.path))
        .arg("-o")
        .arg(&program)
        .status();
    assert!(status.unwrap().success());
    let output = Command::new(&program).output().unwrap();
    let levels = objects_of_a_formula() / 2 - 1;
    let expected = format!("gauss 0 {levels}\nlaplace 1 {levels}\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn the_second_build_compiles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path(), "good");
    let text = formulas(&["gauss", "laplace"]);
    let n = 2 * objects_of_a_formula();
    let (first, summary) = build(&place, &text).unwrap();
    assert_eq!(counts(&summary), [n, 0, 2, 0]);
    assert_eq!(place.compilations(), n);
    place.set_mode("fails");
    let (second, summary) = build(&place, &text).unwrap();
    assert_eq!(counts(&summary), [0, n, 0, 2]);
    assert_eq!(place.compilations(), n);
    assert_eq!(first, second);
}

#[test]
fn the_same_text_elsewhere_is_not_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path(), "good");
    let text = formula("gauss", 0);
    let (first, _) = build(&place, &text).unwrap();
    let elsewhere = dir.path().join("another place");
    text::write(&elsewhere, &text, &Silent).unwrap();
    let (second, summary) =
        native::build(&elsewhere, &text.libraries, &place.native(), &Silent).unwrap();
    assert_eq!(counts(&summary), [0, objects_of_a_formula(), 0, 1]);
    assert_eq!(first, second);
}

#[test]
fn only_what_a_change_reaches_is_compiled() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path(), "good");
    let n = objects_of_a_formula();
    let mut text = formulas(&["gauss", "laplace"]);
    build(&place, &text).unwrap();
    let cpp = text.files.get_mut("gauss/tf_gauss_0123.cpp").unwrap();
    cpp.push_str("int added;\n");
    let (_, summary) = build(&place, &text).unwrap();
    assert_eq!(counts(&summary), [n - 2, n + 2, 1, 1]);
    text.files.get_mut("include/tf_abi.h").unwrap().push_str("/* new */\n");
    let (_, summary) = build(&place, &text).unwrap();
    assert_eq!(counts(&summary)[..2], [2 * n, 0]);
    assert_eq!(place.archive_bytes().len(), 2, "archives of earlier texts are removed");
}

#[test]
fn damaged_objects_and_archives_are_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path(), "good");
    let text = formula("gauss", 0);
    let (archives, _) = build(&place, &text).unwrap();
    let whole = place.archive_bytes();
    let object = fs::read_dir(place.objects())
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "o"))
        .unwrap();
    let bytes = fs::read(&object).unwrap();
    for sixteenth in 0..16 {
        fs::write(&object, &bytes[..bytes.len() * sixteenth / 16]).unwrap();
        let (_, summary) = build(&place, &text).unwrap();
        assert_eq!(counts(&summary), [1, objects_of_a_formula() - 1, 0, 1]);
        assert_eq!(fs::read(&object).unwrap(), bytes);
    }
    let mut flipped = whole[0].1.clone();
    flipped[1000] ^= 4;
    for damage in [&whole[0].1[..100], b"", &flipped] {
        fs::write(&archives[0].path, damage).unwrap();
        let (_, summary) = build(&place, &text).unwrap();
        assert_eq!(counts(&summary), [0, objects_of_a_formula(), 1, 0]);
        assert_eq!(place.archive_bytes(), whole);
    }
}

#[test]
fn failures_show_the_command_and_what_it_printed_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for (mode, words) in [
        ("fails", "the C++ compiler failed (exit status: 1) on "),
        ("silent", "said that it succeeded but wrote nothing"),
        ("garbage", "said that it succeeded but wrote something else than an object"),
    ] {
        let place = Place::new(&dir.path().join(mode), mode);
        let text = formula("gauss", 0);
        let error = build(&place, &text).unwrap_err().to_string();
        for part in [words, "tf_gauss_0123", "command: ", " -march=", " -c ", "-DTF_"] {
            assert!(error.contains(part), "{part} is not in\n{error}");
        }
        if mode == "fails" {
            assert!(error.contains("the last 40 lines it printed:"), "{error}");
            assert!(error.contains("    tiny.cpp:3: error: there is no such thing"), "{error}");
            assert_eq!(error.lines().count(), 43, "{error}");
        }
        assert_eq!(fs::read_dir(place.objects()).unwrap().count(), 0, "{mode} left files");
        assert!(place.archive_bytes().is_empty());
        place.set_mode("good");
        let (_, summary) = build(&place, &text).unwrap();
        assert_eq!(counts(&summary), [objects_of_a_formula(), 0, 1, 0]);
    }
}

#[test]
fn a_compiler_that_hangs_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path(), "hangs");
    let text = formula("gauss", 0);
    text::write(&place.generated(), &text, &Silent).unwrap();
    let mut native = place.native();
    native.limit = Duration::from_millis(300);
    let start = Instant::now();
    let error = native::build(&place.generated(), &text.libraries, &native, &Silent).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(error.to_string().contains("killed after 300ms"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_compiler_without_version_or_start_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("c++");
    fs::write(&text, "no program").unwrap();
    for path in [Path::new("/nonexistent/c++"), &text] {
        let error = Compiler::at(path, HOST).err().unwrap().to_string();
        assert!(error.contains("cannot start the C++ compiler"), "{error}");
        assert!(error.contains("help: install a C++17 compiler"), "{error}");
    }
}

#[test]
fn builders_at_once_compile_each_object_once() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path(), "slow");
    let text = formulas(&["gauss", "laplace"]);
    text::write(&place.generated(), &text, &Silent).unwrap();
    let notes = Notes::default();
    let built: Vec<_> = thread::scope(|scope| {
        let one = || {
            native::build(&place.generated(), &text.libraries, &place.native(), &notes).unwrap().0
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(place.compilations(), 2 * objects_of_a_formula());
    assert!(built.iter().all(|archives| *archives == built[0]));
    let lines = notes.lines.into_inner().unwrap();
    assert!(lines.iter().any(|l| l.contains("waiting for another build in ")), "{lines:?}");
    let steps = notes.steps.into_inner().unwrap();
    let compiled = steps.iter().filter(|(_, o)| *o == Outcome::Compiled).count();
    assert_eq!((steps.len(), compiled), (8 * objects_of_a_formula(), place.compilations()));
}

#[test]
fn progress_counts_by_formula_dtype_and_target() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path(), "good");
    let text = formula("gauss", 0);
    text::write(&place.generated(), &text, &Silent).unwrap();
    let notes = Notes::default();
    native::build(&place.generated(), &text.libraries, &place.native(), &notes).unwrap();
    let groups = notes.groups.into_inner().unwrap();
    assert_eq!(groups.len(), objects_of_a_formula());
    assert!(groups.iter().all(|g| g.formula == "gauss" && g.objects == 1));
    assert!(groups.iter().any(|g| g.dtype == "f64" && g.target == "descriptor"));
}

#[test]
fn folders_with_odd_names_are_only_folders() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a b", "a;touch b", "$(touch b)", "-o", "é'\"", "line\nbreak", "a:b,c=d"] {
        let place = Place::new(&dir.path().join(name), "good");
        let (archives, _) = build(&place, &formula("gauss", 0)).unwrap();
        assert!(archives[0].path.is_file(), "{name}");
    }
    assert!(!Path::new("b").exists());
}
