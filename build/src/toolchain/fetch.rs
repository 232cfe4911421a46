//! Gets tools from PyPI wheels.
//!
//! In: a folder and a [`Kit`]. Out: the kit, unpacked in a folder of its own, whose name holds its
//! version and the hash of its pins. Downloads go through pip, which checks every wheel against
//! its pinned hash and knows the user's mirror and proxy. All is done in a temporary folder that is
//! renamed at the end, under a lock: an interrupted fetch leaves nothing that is taken for a tool.
//! It never installs into a Python environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::pins::Pin;
use super::{Kit, left_nothing, run};
use crate::Error;
use crate::files;
use crate::lock::Lock;

/// The largest wheel has 62 MB: 10 minutes are a bad line of 100 kB/s.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(600);
const LOCAL_LIMIT: Duration = Duration::from_secs(120);

/// Where the kit's tool is once it is fetched to `dir`.
pub fn installed(dir: &Path, kit: Kit) -> PathBuf {
    home(dir, kit).join(kit.main_file())
}

/// Fetches a kit to `dir` unless it is there, and gives back the path of its tool. `say` hears one
/// line a step.
pub fn fetch(dir: &Path, kit: Kit, say: &mut dyn FnMut(&str)) -> Result<PathBuf, Error> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        return Err(Error::Target {
            problem: format!("{} can be fetched on x86-64 Linux with glibc only", kit.name()),
            help: "install it with your system's packages; `cargo xtask doctor` says where it is \
                   looked for"
                .into(),
        });
    }
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    fetch_with(Path::new(&python), dir, kit, say)
}

fn home(dir: &Path, kit: Kit) -> PathBuf {
    let mut hasher = blake3::Hasher::new();
    for pin in kit.pins() {
        hasher.update(requirement(pin).as_bytes());
    }
    let hash = hasher.finalize().to_hex();
    dir.join(format!("{}-{}-{}", kit.name(), kit.version(), &hash[..8]))
}

/// A line of a pip requirements file.
fn requirement(pin: &Pin) -> String {
    format!("{}=={} --hash=sha256:{}\n", pin.package, pin.version, pin.sha256)
}

fn fetch_with(
    python: &Path,
    dir: &Path,
    kit: Kit,
    say: &mut dyn FnMut(&str),
) -> Result<PathBuf, Error> {
    let tool = installed(dir, kit);
    let label = format!("{} {}", kit.name(), kit.version());
    if tool.exists() {
        say(&format!("{label} is in {}", tool.display()));
        return Ok(tool);
    }
    files::create_folder(dir)?;
    let waiting = || say(&format!("waiting for another fetch to {}", dir.display()));
    let lock = Lock::take(&dir.join(".tilefold-lock"), waiting)?;
    if tool.exists() {
        return Ok(tool);
    }
    let work = files::temporary(dir);
    let result = assemble(python, &work, kit, say).and_then(|tree| {
        let home = home(dir, kit);
        match fs::rename(&tree, &home) {
            // Where there are no locks, another fetch may have been faster.
            Err(_) if tool.exists() => Ok(()),
            renamed => renamed.map_err(Error::io("create", home)),
        }
    });
    // Whatever is left is litter, and the first error is the one to report.
    let _ = fs::remove_dir_all(&work);
    if lock.is_exclusive() {
        remove_leftovers(dir);
    }
    result?;
    say(&format!("{label} is ready: {}", tool.display()));
    Ok(tool)
}

/// Downloads, unpacks and checks a kit in `work`; gives back the tree to be renamed.
fn assemble(
    python: &Path,
    work: &Path,
    kit: Kit,
    say: &mut dyn FnMut(&str),
) -> Result<PathBuf, Error> {
    let tree = work.join("tree");
    files::create_folder(&tree)?;
    for pin in kit.pins() {
        say(&format!("fetching {} {} ({} MB)", pin.package, pin.version, pin.megabytes));
        let wheel = download(python, work, pin)?;
        unpack(python, &wheel, &tree)?;
    }
    for folder in kit.program_folders() {
        make_executable(&tree.join(folder))?;
    }
    let tool = tree.join(kit.main_file());
    if kit == Kit::Nvcc {
        run("nvcc", Command::new(&tool).arg("--version"), &tool, LOCAL_LIMIT)?;
    } else {
        fs::metadata(&tool).map_err(Error::io("find in the wheel", &tool))?;
    }
    Ok(tree)
}

/// Downloads one wheel; pip refuses it if its hash differs.
fn download(python: &Path, work: &Path, pin: &Pin) -> Result<PathBuf, Error> {
    let folder = work.join(pin.package);
    files::create_folder(&folder)?;
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, requirement(pin)).map_err(Error::io("write", &requirements))?;
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"])
        .args(["--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement"])
        .arg(&requirements)
        .arg("--dest")
        .arg(&folder);
    let subject = PathBuf::from(format!("{}=={}", pin.package, pin.version));
    let output = run("pip", &mut command, &subject, DOWNLOAD_LIMIT)?;
    let files = fs::read_dir(&folder).map_err(Error::io("read", &folder))?;
    let wheel = files.flatten().map(|entry| entry.path()).find(|path| is_wheel(path));
    wheel.ok_or_else(|| left_nothing("pip", &command, &subject, output))
}

fn is_wheel(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "whl")
}

fn unpack(python: &Path, wheel: &Path, tree: &Path) -> Result<(), Error> {
    let mut command = Command::new(python);
    command.args(["-m", "zipfile", "-e"]).arg(wheel).arg(tree);
    run("python3 -m zipfile", &mut command, wheel, LOCAL_LIMIT)?;
    // A wheel and its content do not have to be on the disk at once.
    files::remove(wheel)
}

#[cfg(unix)]
fn make_executable(folder: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(folder).map_err(Error::io("find in the wheels", folder))? {
        let path = entry.map_err(Error::io("read", folder))?.path();
        if path.is_file() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                .map_err(Error::io("make executable", &path))?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_executable(_folder: &Path) -> Result<(), Error> {
    Ok(())
}

/// Removes what killed fetches left. Only under the lock.
fn remove_leftovers(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(files::TEMPORARY) {
            // Harmless if it stays.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::toolchain::find::tests::write_script;

    /// A python3 whose pip writes down what it is asked for and whose zipfile unpacks an nvcc.
    const PYTHON: &str = r#"
here=$(dirname "$0")
echo "$*" >> "$here/calls"
if [ "$2" = pip ]; then
    for last; do :; done
    while [ "$1" != --requirement ]; do shift; done
    cat "$2" >> "$here/asked"
    touch "$last/some.whl"
else
    mkdir -p "$5/nvidia/cu13/bin" "$5/nvidia/cu13/nvvm/bin"
    printf '#!/bin/sh\necho V13.0.88\n' > "$5/nvidia/cu13/bin/nvcc"
fi"#;

    fn lines(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn every_pin_is_asked_for_once_with_its_hash() {
        let dir = tempfile::tempdir().unwrap();
        let python = dir.path().join("bin/python3");
        write_script(&python, PYTHON);
        let into = dir.path().join("tools");
        let mut said = Vec::new();
        let tool =
            fetch_with(&python, &into, Kit::Nvcc, &mut |line| said.push(line.to_string())).unwrap();
        assert_eq!(tool, installed(&into, Kit::Nvcc));
        assert!(Command::new(&tool).status().unwrap().success(), "nvcc may run");
        let asked = lines(&dir.path().join("bin/asked"));
        let pins: Vec<_> =
            Kit::Nvcc.pins().iter().map(|pin| requirement(pin).trim_end().to_string()).collect();
        assert_eq!(asked, pins);
        let calls = lines(&dir.path().join("bin/calls"));
        assert!(calls[0].contains("--no-deps") && calls[0].contains("--require-hashes"));
        assert_eq!(said.len(), pins.len() + 1, "{said:?}");
        assert!(said[0].starts_with("fetching nvidia-cuda-nvcc 13.0.88 (37 MB)"), "{said:?}");
        assert_eq!(names(&into).len(), 2, "the kit and the lock: {:?}", names(&into));

        fetch_with(&python, &into, Kit::Nvcc, &mut |line| said.push(line.to_string())).unwrap();
        assert_eq!(lines(&dir.path().join("bin/calls")).len(), calls.len(), "nothing to do");
    }

    #[test]
    fn a_failed_download_leaves_no_tool() {
        let dir = tempfile::tempdir().unwrap();
        let python = dir.path().join("bin/python3");
        write_script(&python, "echo 'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES' >&2; exit 1");
        let into = dir.path().join("tools");
        let error = fetch_with(&python, &into, Kit::Libclang, &mut |_| ()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("pip failed (exit status: 1) on libclang==18.1.1"), "{error}");
        assert!(error.contains("DO NOT MATCH THE HASHES"), "{error}");
        assert!(error.contains("-m pip download"), "{error}");
        assert_eq!(names(&into), [".tilefold-lock"]);
    }

    #[test]
    fn a_killed_fetch_is_cleaned_up_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let python = dir.path().join("bin/python3");
        write_script(&python, PYTHON);
        let left = dir.path().join(format!("{}1-0/tree/nvidia", files::TEMPORARY));
        fs::create_dir_all(&left).unwrap();
        fetch_with(&python, dir.path(), Kit::Nvcc, &mut |_| ()).unwrap();
        assert!(!left.exists());
    }

    #[test]
    fn without_python_the_error_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let python = dir.path().join("no-python");
        let error = fetch_with(&python, dir.path(), Kit::Nvcc, &mut |_| ()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("cannot start pip") && error.contains("no-python"), "{error}");
    }

    #[test]
    fn a_wheel_without_its_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let python = dir.path().join("bin/python3");
        write_script(&python, PYTHON);
        let error = fetch_with(&python, dir.path(), Kit::Libclang, &mut |_| ()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("cannot find in the wheel"), "{error}");
        assert!(!installed(dir.path(), Kit::Libclang).exists());
    }
}
