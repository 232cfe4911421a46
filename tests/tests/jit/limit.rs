//! A folder of compiled formulas that may only take so much.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::place::{Answer, Place, answer};

pub const TESTS: &[(&str, fn())] = &[
    ("the_least_used_go_first", the_least_used_go_first),
    ("what_is_no_entry_stays", what_is_no_entry_stays),
    ("who_reads_is_not_disturbed", who_reads_is_not_disturbed),
    ("a_limit_that_is_no_number", a_limit_that_is_no_number),
];

/// Asks for a kernel in a process with this limit.
fn get(place: &Place, number: u32, mib: &str) -> Answer {
    let mut process = place.process(number);
    process.env("TILEFOLD_CACHE_MIB", mib);
    answer(number, &process.output().unwrap())
}

/// Makes entries larger by a file in the place of the library of each: nobody loads them.
fn filler(place: &Place, digit: char, mib: u64, age: Duration) -> PathBuf {
    let name: String = std::iter::repeat_n(digit, 64).collect();
    let library = place.cache().join(format!("{name}.so"));
    File::create(&library).unwrap().set_len(mib << 20).unwrap();
    let note = File::create(library.with_extension("ok")).unwrap();
    note.set_modified(SystemTime::now() - age).unwrap();
    library
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(3600 * hours)
}

fn is_whole(library: &Path) -> bool {
    library.is_file() && library.with_extension("ok").is_file()
}

fn is_gone(library: &Path) -> bool {
    ["so", "ok", "lock"].iter().all(|ending| !library.with_extension(ending).exists())
}

fn the_least_used_go_first() {
    let place = Place::new("good");
    get(&place, 1, "10");
    let first = place.files(".so").remove(0);
    let note = File::options().append(true).open(first.with_extension("ok")).unwrap();
    note.set_modified(SystemTime::now() - hours(9)).unwrap();
    let [a, b, c] = [('a', 7), ('b', 5), ('c', 3)].map(|(n, age)| filler(&place, n, 4, hours(age)));
    // It is the oldest, until it is used again.
    assert_eq!(get(&place, 1, "10").origin, "Cached");
    assert!([&a, &b, &c].into_iter().all(|path| is_whole(path)), "only who stores looks");
    assert_eq!(get(&place, 2, "10").origin, "Compiled");
    assert!(is_gone(&a) && is_whole(&b) && is_whole(&c) && is_whole(&first));
    assert_eq!([get(&place, 1, "10").origin, get(&place, 2, "10").origin], ["Cached", "Cached"]);
    // Without a limit nothing goes; with the smallest all but what is stored.
    filler(&place, 'a', 4, hours(7));
    assert_eq!(get(&place, 3, "0").origin, "Compiled");
    assert_eq!(place.files(".so").len(), 6);
    filler(&place, 'd', 2000, Duration::ZERO);
    assert_eq!(get(&place, 4, "").origin, "Compiled");
    assert_eq!(place.files(".so").len(), 1, "the usual limit is less than 2000 MiB");
    assert_eq!(get(&place, 4, "1").origin, "Cached");
    assert_eq!(place.litter(), 0);
}

fn what_is_no_entry_stays() {
    let place = Place::new("good");
    get(&place, 1, "1");
    let other = place.root().join("other");
    fs::create_dir(&other).unwrap();
    let big = |path: PathBuf| {
        let file = File::create(&path).unwrap();
        file.set_len(3 << 20).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        path
    };
    let name = |digit: &str| digit.repeat(64);
    let inside = place.cache();
    let mut stay: Vec<PathBuf> = [
        "thesis.so",
        "notes.ok",
        ".so",
        &format!("{}.so", &name("a")[1..]),
        &format!("{}0.ok", name("b")),
        &format!("{}.so", name("A")),
        &format!("{}.so.bak", name("c")),
        &format!("{}.txt", name("d")),
        &format!("x{}.so", name("e")),
    ]
    .map(|name| big(inside.join(name)))
    .into();
    // A link with the name of an entry, what it points at, and a folder with such a name.
    let target = big(other.join("target"));
    let link = inside.join(format!("{}.so", name("1")));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let folder = inside.join(format!("{}.ok", name("2")));
    fs::create_dir(&folder).unwrap();
    stay.extend([target, link, folder.clone(), big(folder.join("file"))]);
    let gone = filler(&place, '3', 3, hours(1));
    assert_eq!(get(&place, 2, "1").origin, "Compiled");
    for path in &stay {
        assert!(path.symlink_metadata().is_ok(), "{}", path.display());
    }
    assert!(is_gone(&gone));
}

fn who_reads_is_not_disturbed() {
    let place = Place::new("good");
    get(&place, 1, "1");
    // One process after the other asks for the formula, others push it out.
    thread::scope(|scope| {
        for first in [2, 20] {
            let place = &place;
            scope.spawn(move || {
                for number in first..first + 4 {
                    filler(place, 'f', 3, Duration::ZERO);
                    assert_eq!(get(place, number, "1").note, "");
                }
            });
        }
        for _ in 0..8 {
            assert_eq!(get(&place, 1, "1").note, "");
        }
    });
    assert_eq!(place.litter(), 0);
}

fn a_limit_that_is_no_number() {
    let place = Place::new("good");
    let found = get(&place, 1, "a lot");
    let note = "TILEFOLD_CACHE_MIB is `a lot`, which is no number of MiB; the folder keeps 1024";
    assert_eq!((found.origin.as_str(), found.note.as_str()), ("Compiled", note));
}
