//! Processes that die, or meet a full disk, at every change they make to the file system.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use super::place::{Place, RECORD, answer};

pub const TESTS: &[(&str, fn())] = &[
    ("death_at_every_change", death_at_every_change),
    ("a_full_disk_at_every_change", a_full_disk_at_every_change),
    ("death_while_compiling", death_while_compiling),
    ("recording_survives_death", || recording_survives("kill")),
    ("recording_survives_a_full_disk", || recording_survives("full")),
];

/// More changes than are made.
const MANY: usize = 200;

struct Faults {
    library: PathBuf,
    kind: &'static str,
}

impl Faults {
    fn new(folder: &Path, kind: &'static str) -> Faults {
        let library = folder.join("fault.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/tests/support/fault.c");
        let mut command = Command::new("c++");
        command.args(["-shared", "-fPIC", "-x", "c", "-o"]).arg(&library).arg(source);
        assert!(command.status().unwrap().success());
        Faults { library, kind }
    }

    fn run(&self, mut process: Command, k: usize) -> Output {
        process.env("LD_PRELOAD", &self.library).env("TF_FAULT_KIND", self.kind);
        process.env("TF_FAULT", k.to_string()).output().unwrap()
    }
}

/// A place whose compiler gives out a library that was made before.
fn quick_place() -> Place {
    let place = Place::new("good");
    place.get(1);
    place.set_library(&fs::read(&place.files(".so")[0]).unwrap());
    place.set_mode("copy");
    place
}

/// Runs `once(k)` for k = 1, 2, ... until no fault came 10 times in a row.
fn sweep(kind: &str, least: usize, mut once: impl FnMut(usize) -> bool) {
    let (mut calm, mut struck) = (0, 0);
    for k in 1..MANY {
        match once(k) {
            true => (calm, struck) = (0, struck + 1),
            false => calm += 1,
        }
        if calm == 10 {
            println!("  {kind}: {struck} faults");
            assert!(struck >= least, "the faults did not reach the process");
            return;
        }
    }
    panic!("more than {MANY} changes");
}

fn death_at_every_change() {
    let place = quick_place();
    let faults = Faults::new(place.root(), "kill");
    sweep("kill", 30, |k| {
        fs::remove_dir_all(place.cache()).unwrap();
        let output = faults.run(place.process(1), k);
        let killed = output.status.signal() == Some(9);
        if !killed {
            answer(1, &output);
        }
        // The next one heals, the one after it finds.
        let next = place.get(1);
        assert!(next.note.is_empty(), "fault {k}: {next:?}");
        assert!(next.origin == "Cached" || place.litter() == 0, "fault {k} left litter");
        assert_eq!(place.get(1).origin, "Cached", "fault {k}");
        killed
    });
}

fn a_full_disk_at_every_change() {
    let place = quick_place();
    let faults = Faults::new(place.root(), "full");
    let mut notes = 0;
    sweep("full", 30, |k| {
        fs::remove_dir_all(place.cache()).unwrap();
        // One failure is never fatal: there is a temporary folder to go to.
        let struck = answer(1, &faults.run(place.process(1), k));
        notes += usize::from(struck.note.contains("No space left on device"));
        let next = place.get(1);
        assert!(next.note.is_empty(), "fault {k}: {next:?}");
        assert_eq!(place.get(1).origin, "Cached", "fault {k}");
        !struck.note.is_empty()
    });
    assert!(notes >= 30, "{notes}");
}

fn death_while_compiling() {
    let place = Place::new("slow");
    let mut first = place.process(1).spawn().unwrap();
    let second = place.process(1).spawn().unwrap();
    thread::sleep(Duration::from_millis(250));
    // One of them compiles, the other waits for the lock.
    first.kill().unwrap();
    first.wait().unwrap();
    let second = answer(1, &second.wait_with_output().unwrap());
    assert_eq!((second.origin.as_str(), second.note.as_str()), ("Compiled", ""));
    assert_eq!((place.get(1).origin.as_str(), place.litter()), ("Cached", 0));
    // Litter of one formula is swept when another is compiled.
    let mut third = place.process(2).spawn().unwrap();
    thread::sleep(Duration::from_millis(250));
    third.kill().unwrap();
    third.wait().unwrap();
    place.get(3);
    assert_eq!(place.litter(), 0);
}

fn recording_survives(kind: &'static str) {
    let place = Place::new("good");
    let faults = Faults::new(place.root(), kind);
    let folder = place.root().join("formulas");
    let file = folder.join("recorded.fold");
    let process = |number| {
        let mut process = place.process(number);
        process.env(RECORD, &file);
        process
    };
    assert!(process(1).status().unwrap().success());
    let old = fs::read_to_string(&file).unwrap();
    assert!(process(2).status().unwrap().success());
    let new = fs::read_to_string(&file).unwrap();
    sweep(kind, 4, |k| {
        fs::write(&file, &old).unwrap();
        let output = faults.run(process(2), k);
        let found = fs::read_to_string(&file).unwrap();
        assert!([&old, &new].contains(&&found), "fault {k} left {found}");
        assert!(!output.status.success() || found == new, "fault {k}");
        // The next one writes it, and leaves nothing of what the dead one began.
        assert!(process(2).status().unwrap().success());
        assert_eq!(fs::read_to_string(&file).unwrap(), new);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "fault {k} left litter");
        !output.status.success()
    });
}
