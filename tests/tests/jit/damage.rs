//! Entries that are damaged, folders that cannot be used, compilers that fail.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::place::{Place, answer, refusal};

pub const TESTS: &[(&str, fn())] = &[
    ("damaged_entries_are_made_anew", damaged_entries_are_made_anew),
    ("a_folder_that_may_not_be_written", a_folder_that_may_not_be_written),
    ("a_folder_that_others_can_write", a_folder_that_others_can_write),
    ("a_full_folder", a_full_folder),
    ("no_folder_at_all", no_folder_at_all),
    ("no_compiler", no_compiler),
    ("compilers_that_fail", compilers_that_fail),
];

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn damaged_entries_are_made_anew() {
    let place = Place::new("good");
    place.get(1);
    place.get(2);
    let [a, b] = place.files(".so").try_into().unwrap();
    let whole = fs::read(&a).unwrap();
    let note = |path: &Path| path.with_extension("ok");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    // Files are replaced, not changed in place: a running process may have them mapped.
    let put = |path: &Path, bytes: &[u8]| {
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let damages: [(&str, &dyn Fn()); 8] = [
        ("truncated", &|| put(&a, &whole[..whole.len() / 2])),
        ("empty", &|| put(&a, b"")),
        ("flipped", &|| put(&a, &flipped)),
        ("text", &|| put(&a, b"#!/bin/sh\n")),
        ("gone", &|| fs::remove_file(&a).unwrap()),
        ("no note", &|| fs::remove_file(note(&a)).unwrap()),
        ("another note", &|| put(&note(&a), b"1 00\n")),
        // Whole, and of another formula.
        ("foreign", &|| {
            put(&a, &fs::read(&b).unwrap());
            put(&note(&a), &fs::read(note(&b)).unwrap());
        }),
    ];
    for (what, damage) in damages {
        damage();
        let origins = [place.get(1).origin, place.get(2).origin];
        assert!(origins.contains(&"Compiled".into()), "{what}: {origins:?}");
        assert_eq!([place.get(1).origin, place.get(2).origin], ["Cached", "Cached"], "{what}");
        assert_eq!(place.litter(), 0);
    }
    // Something is where the entry should be that cannot be replaced.
    fs::remove_file(&a).unwrap();
    fs::create_dir(&a).unwrap();
    fs::write(a.join("file"), "").unwrap();
    let answers = [place.get(1), place.get(2)];
    assert!(answers.iter().any(|answer| answer.note.contains("directory")), "{answers:?}");
}

/// A process that permissions bind, though the test may run as root.
fn bound(place: &Place, program: &Path, number: u32) -> Command {
    let mut command = Command::new(program);
    for (name, value) in place.process(number).get_envs() {
        command.env(name, value.unwrap());
    }
    command.env_remove("TILEFOLD_CXX").env_remove("CXX");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|facts| facts.uid() == 0)
}

fn a_folder_that_may_not_be_written() {
    let place = Place::new("good");
    mode(place.root(), 0o755);
    // The program itself may lie where others cannot reach it.
    let program = place.root().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let run = |number| bound(&place, &program, number).output().unwrap();
    fs::create_dir(place.cache()).unwrap();
    if is_root() {
        std::os::unix::fs::chown(place.cache(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    mode(&place.cache(), 0o755);
    assert_eq!(answer(1, &run(1)).origin, "Compiled");
    mode(&place.cache(), 0o555);
    // What is there is found; what is not is compiled beside it, and the report says so.
    assert_eq!(answer(1, &run(1)).origin, "Cached");
    let cold = answer(2, &run(2));
    assert_eq!(cold.origin, "Compiled");
    assert!(cold.note.contains("for this process alone: "), "{cold:?}");
    assert!(cold.note.contains("Permission denied"), "{cold:?}");
    assert_eq!(place.files(".so").len(), 1);
    mode(&place.cache(), 0o755);
    // Nor can it be made.
    let mut process = bound(&place, &program, 1);
    process.env("TILEFOLD_CACHE", "/proc/nowhere/cache");
    let homeless = answer(1, &process.output().unwrap());
    assert!(homeless.note.contains("/proc/nowhere/cache: "), "{homeless:?}");
}

fn a_folder_that_others_can_write() {
    let place = Place::new("good");
    assert_eq!(place.get(1).origin, "Compiled");
    assert_eq!(fs::metadata(place.cache()).unwrap().mode() & 0o777, 0o700);
    for open in [0o777, 0o770, 0o1777] {
        mode(&place.cache(), open);
        let answer = place.get(1);
        assert_eq!(answer.origin, "Compiled");
        assert!(answer.note.contains("can be written by others"), "{answer:?}");
        assert!(answer.note.contains("chmod go-w"), "{answer:?}");
    }
    mode(&place.cache(), 0o755);
    assert_eq!(place.get(1).origin, "Cached");
    // Nor may they put another folder in its place.
    mode(place.root(), 0o777);
    let answer = place.get(1);
    assert!(answer.note.contains("can be written by others (mode 777)"), "{answer:?}");
    mode(place.root(), 0o1777);
    assert_eq!(place.get(1).origin, "Cached");
    if is_root() {
        std::os::unix::fs::chown(place.cache(), Some(NOBODY), None).unwrap();
        let answer = place.get(1);
        assert!(answer.note.contains("belongs to user 65534, not to 0"), "{answer:?}");
    } else {
        println!("  1 check skipped: only root can give a folder away");
    }
}

fn a_full_folder() {
    let place = Place::new("full");
    let answer = place.get(1);
    assert!(answer.note.contains("No space left on device"), "{answer:?}");
    assert_eq!((place.files(".so").len(), place.litter()), (0, 0));
    assert_eq!(place.get(1).note, "");
}

fn no_folder_at_all() {
    let place = Place::new("good");
    let mut process = place.process(1);
    for variable in ["TILEFOLD_CACHE", "XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"] {
        process.env_remove(variable);
    }
    let homeless = answer(1, &process.output().unwrap());
    assert!(homeless.note.contains("set TILEFOLD_CACHE"), "{homeless:?}");
    // The user's folder is the default.
    process.env("HOME", place.root());
    assert_eq!(answer(1, &process.output().unwrap()).note, "");
    let folders = [".cache/tilefold/jit", "Library/Caches/tilefold/jit"];
    assert!(folders.iter().any(|folder| place.root().join(folder).is_dir()));
}

fn no_compiler() {
    let place = Place::new("good");
    let mut process = place.process(1);
    process.env("TILEFOLD_CXX", "/nonexistent/c++");
    let error = refusal(&process.output().unwrap());
    assert!(error.contains("error[T080]: TILEFOLD_CXX names"), "{error}");
    assert!(error.contains("`/nonexistent/c++`, which is not there"), "{error}");
    process.env_remove("TILEFOLD_CXX").env("CXX", "no-such-compiler -O2");
    let error = refusal(&process.output().unwrap());
    assert!(error.contains("CXX names the C++ compiler `no-such-compiler -O2`"), "{error}");
    process.env_remove("CXX").env("PATH", place.root());
    let error = refusal(&process.output().unwrap());
    assert!(error.contains("PATH has none of c++, g++, clang++"), "{error}");
    assert!(error.contains("help: install a C++17 compiler"), "{error}");
    // A file that is no program.
    process.env("TILEFOLD_CXX", place.root().join("tools/mode"));
    assert!(refusal(&process.output().unwrap()).contains("which is not there"));
}

fn compilers_that_fail() {
    let place = Place::new("good");
    for (mode, words) in [
        ("fails", &["the C++ compiler failed (exit status: 1)", "there is no such thing"][..]),
        ("silent", &["said that it succeeded but wrote nothing"]),
        ("garbage", &["what the C++ compiler wrote cannot be loaded: "]),
    ] {
        place.set_mode(mode);
        let error = refusal(&place.process(1).output().unwrap());
        assert!(error.starts_with("error[T081]: gaussian: "), "{mode}: {error}");
        assert!(words.iter().all(|word| error.contains(word)), "{mode}: {error}");
        assert!(error.contains("help: "), "{mode}: {error}");
        if mode == "fails" {
            // The command to repeat, and the first of 101 lines.
            assert!(error.contains("c++ -Wl,--as-needed -std=c++17 -O2"), "{error}");
            assert!(error.contains("\n    19\n") && !error.contains("\n    20\n"), "{error}");
        }
        assert_eq!((place.files(".so").len(), place.litter()), (0, 0), "{mode}");
    }
    place.set_mode("good");
    assert_eq!(place.get(1).origin, "Compiled");
}
