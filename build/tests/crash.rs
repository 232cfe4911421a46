//! Builders that die, or meet a full disk, at every change they make to the file system; builders
//! in a folder that they may not write; several builders at once.
//!
//! Its own main: the test runs itself as the builder, with `support/fault.c` preloaded.

mod support;

use std::process::ExitCode;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn main() -> ExitCode {
    // Arguments are cargo's: a filter, as for any test.
    let argument = std::env::args().nth(1).unwrap_or_default();
    match std::env::var("TF_BUILDER").as_deref() {
        Ok("text") => linux::write_text(&argument),
        Ok("native") => linux::build_native(&argument),
        _ => linux::all(argument.trim_start_matches("--nocapture")),
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn main() -> ExitCode {
    println!("1 test skipped: faults are injected with glibc's loader");
    ExitCode::SUCCESS
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod linux {
    use std::fs;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::path::{Path, PathBuf};
    use std::process::{Command, ExitCode, Output};
    use std::thread;
    use std::time::{Duration, Instant};

    use tilefold_build::native::{self, Compiler, HOST};
    use tilefold_build::progress::Silent;
    use tilefold_build::text::{self, Text};

    use super::support::{Place, formula, formulas, objects_of_a_formula};

    /// More changes than any builder here makes.
    const MANY: usize = 400;

    /// Runs the tests whose name contains `filter`.
    pub fn all(filter: &str) -> ExitCode {
        let tests: [(&str, fn()); 6] = [
            ("text_survives_death_at_every_change", text_survives_death),
            ("text_survives_a_full_disk_at_every_change", text_survives_a_full_disk),
            ("objects_survive_death_at_every_change", objects_survive_death),
            ("objects_survive_a_full_disk_at_every_change", objects_survive_a_full_disk),
            ("processes_at_once_share_the_work", processes_share_the_work),
            ("folders_that_may_not_be_written_are_named", folders_are_named),
        ];
        for (name, test) in tests.into_iter().filter(|(name, _)| name.contains(filter)) {
            let start = Instant::now();
            test();
            println!("test {name} ... ok ({:?})", start.elapsed());
        }
        ExitCode::SUCCESS
    }

    // ---- the builder ----

    fn end(result: Result<(), tilefold_build::Error>) -> ExitCode {
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("{e}");
                ExitCode::FAILURE
            }
        }
    }

    /// Before and after a change of formulas: one stays, one changes, one goes, one comes.
    fn old_text() -> Text {
        let mut text = formulas(&["gauss", "laplace"]);
        text.join(formula("matern", 0), "matern.fold").unwrap();
        text
    }

    fn new_text() -> Text {
        let mut text = formulas(&["gauss", "cauchy"]);
        text.join(formula("matern", 1), "matern.fold").unwrap();
        text
    }

    pub fn write_text(dir: &str) -> ExitCode {
        end(text::write(Path::new(dir), &new_text(), &Silent).map(drop))
    }

    pub fn build_native(root: &str) -> ExitCode {
        let place = Place::at(Path::new(root));
        let libraries = text::verify(&place.generated()).unwrap().libraries;
        end(native::build(&place.generated(), &libraries, &place.native(), &Silent).map(drop))
    }

    fn builder(what: &str, place: &Path) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env("TF_BUILDER", what).arg(place);
        command
    }

    // ---- faults ----

    struct Faults {
        library: PathBuf,
        kind: &'static str,
    }

    impl Faults {
        fn new(dir: &Path, kind: &'static str) -> Faults {
            let library = dir.join("fault.so");
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/fault.c");
            let compiler = Compiler::find(HOST).unwrap();
            let mut command = Command::new(compiler.path());
            command.args(["-shared", "-fPIC", "-x", "c", "-o"]).arg(&library).arg(source);
            assert!(command.status().unwrap().success());
            Faults { library, kind }
        }

        fn run(&self, mut builder: Command, k: usize) -> Output {
            builder.env("LD_PRELOAD", &self.library).env("TF_FAULT_KIND", self.kind);
            builder.env("TF_FAULT", k.to_string()).output().unwrap()
        }

        /// Whether the fault came; if not, there were fewer changes than that.
        fn struck(&self, output: &Output) -> bool {
            match self.kind {
                "kill" => output.status.signal() == Some(9),
                _ => !output.status.success(),
            }
        }
    }

    /// Runs `once(k)` from the first change on until the builder comes through `calm` times in a
    /// row: some failures (syncing a folder, removing litter) do not fail a build.
    fn sweep(what: &str, mut once: impl FnMut(usize) -> bool) {
        let mut calm = 0;
        let mut struck = 0;
        for k in 1..MANY {
            match once(k) {
                true => (calm, struck) = (0, struck + 1),
                false => calm += 1,
            }
            if calm == 20 {
                println!("  {what}: {struck} faults");
                assert!(struck >= 10, "the faults did not reach the builder");
                return;
            }
        }
        panic!("{what} makes more than {MANY} changes");
    }

    fn text_survives(kind: &'static str) {
        let dir = tempfile::tempdir().unwrap();
        let faults = Faults::new(dir.path(), kind);
        let (old, new) = (old_text(), new_text());
        sweep(kind, |k| {
            let place = dir.path().join(k.to_string());
            text::write(&place, &old, &Silent).unwrap();
            let output = faults.run(builder("text", &place), k);
            for (path, text) in old.files.iter().chain(&new.files) {
                let found = fs::read_to_string(place.join(path)).ok();
                let whole = [old.files.get(path), new.files.get(path)];
                assert!(whole.contains(&found.as_ref()), "fault {k} left half of {path}: {text}");
            }
            if output.status.success() {
                text::check(&place, &new).unwrap();
            }
            // Whatever happened, the next build is right, and forgets what there was.
            let last = formula("student", 0);
            text::write(&place, &last, &Silent).unwrap();
            text::check(&place, &last).unwrap();
            assert_eq!(files_below(&place), last.files.len() + 2, "fault {k} left litter");
            assert!(!place.join("cauchy").exists(), "fault {k} left an empty folder");
            faults.struck(&output)
        });
    }

    fn files_below(dir: &Path) -> usize {
        let entries = fs::read_dir(dir).unwrap().map(|e| e.unwrap());
        entries.map(|e| if e.path().is_dir() { files_below(&e.path()) } else { 1 }).sum()
    }

    fn text_survives_death() {
        text_survives("kill");
    }

    fn text_survives_a_full_disk() {
        text_survives("full");
    }

    /// An object of this machine's format, to hand out in place of compiling.
    fn any_object() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path(), "good");
        let text = formula("gauss", 0);
        text::write(&place.generated(), &text, &Silent).unwrap();
        native::build(&place.generated(), &text.libraries, &place.native(), &Silent).unwrap();
        let mut objects = fs::read_dir(place.objects()).unwrap().map(|e| e.unwrap().path());
        fs::read(objects.find(|p| p.extension().is_some_and(|e| e == "o")).unwrap()).unwrap()
    }

    fn objects_survive(kind: &'static str) {
        let dir = tempfile::tempdir().unwrap();
        let faults = Faults::new(dir.path(), kind);
        let object = any_object();
        let text = formula("gauss", 0);
        let place = Place::new(&dir.path().join("place"), "copy");
        place.set_object(&object);
        text::write(&place.generated(), &text, &Silent).unwrap();
        native::build(&place.generated(), &text.libraries, &place.native(), &Silent).unwrap();
        let expected = place.archive_bytes();
        sweep(kind, |k| {
            fs::remove_dir_all(place.objects()).unwrap();
            fs::remove_dir_all(place.archives()).unwrap();
            let output = faults.run(builder("native", &dir.path().join("place")), k);
            let (_, summary) =
                native::build(&place.generated(), &text.libraries, &place.native(), &Silent)
                    .unwrap();
            assert_eq!(summary.compiled + summary.cached, objects_of_a_formula());
            assert_eq!(place.archive_bytes(), expected, "fault {k}");
            faults.struck(&output)
        });
    }

    fn objects_survive_death() {
        objects_survive("kill");
    }

    fn objects_survive_a_full_disk() {
        objects_survive("full");
    }

    // ---- several builders ----

    fn processes_share_the_work() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path(), "slow");
        let text = formulas(&["gauss", "laplace"]);
        text::write(&place.generated(), &text, &Silent).unwrap();
        let mut builders: Vec<_> =
            (0..8).map(|_| builder("native", dir.path()).spawn().unwrap()).collect();
        // One of them dies, with the lock or waiting for it; the others go on.
        thread::sleep(Duration::from_millis(300));
        builders[0].kill().unwrap();
        let statuses: Vec<_> = builders.iter_mut().map(|b| b.wait().unwrap()).collect();
        assert!(statuses[1..].iter().all(|s| s.success()), "{statuses:?}");
        let n = 2 * objects_of_a_formula();
        // What the dead one had begun is compiled once more: at most one object a thread.
        assert!((n..=n + 2).contains(&place.compilations()), "{}", place.compilations());
        assert_eq!(place.archive_bytes().len(), 2);
    }

    // ---- permissions ----

    fn folders_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let locked = dir.path().join("locked");
        fs::create_dir(&locked).unwrap();
        let mode = |path: &Path, mode| {
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(path, permissions).unwrap();
        };
        mode(dir.path(), 0o755);
        // The program itself may lie where others cannot reach it.
        let program = dir.path().join("builder");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let build = || {
            let mut command = Command::new(&program);
            command.env("TF_BUILDER", "text").arg(&locked);
            // Permissions do not bind root.
            if is_root() {
                command.uid(65534).gid(65534);
            }
            command.output().unwrap()
        };
        mode(&locked, 0o555);
        let output = build();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("locked/") && message.contains("Permission denied"), "{message}");
        assert_eq!(files_below(&locked), 0);
        // A folder that is up to date need not be written.
        mode(&locked, 0o755);
        text::write(&locked, &new_text(), &Silent).unwrap();
        mode(&locked, 0o555);
        let output = build();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        mode(&locked, 0o755);
    }

    fn is_root() -> bool {
        std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0
    }
}
