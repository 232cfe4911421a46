//! Looks for tools where people keep them.
//!
//! In: the environment and the folder of fetched tools. Out: a [`Finding`] each. A tool counts as
//! found when it runs and says its version. It never fetches anything.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Finding, Kit, installed};
use crate::native::{Compiler, HOST, Tool};
use crate::process;

/// A tool that says nothing to `--version` for this long is broken.
const VERSION_LIMIT: Duration = Duration::from_secs(30);

const FETCH: &str = "run `cargo xtask build-formulas --fetch-toolchain`";

/// Looks for the C++ compiler: CXX, c++, g++, clang++.
pub fn find_cxx() -> Finding {
    let compiler = Compiler::find(HOST).or_else(|first| {
        if std::env::var_os("CXX").is_some() {
            return Err(first);
        }
        let others = ["g++", "clang++"];
        others.iter().find_map(|name| Compiler::at(Path::new(name), HOST).ok()).ok_or(first)
    });
    match compiler {
        Ok(c) => {
            let (path, version) = (c.path().to_path_buf(), c.version().to_string());
            Finding::Found(Tool { path, version })
        }
        Err(e) => Finding::Missing {
            name: "the C++ compiler",
            why: e.to_string().lines().next().unwrap_or_default().to_string(),
            help: "install one (Debian: `apt install g++`, Fedora: `dnf install gcc-c++`, macOS: \
                   `xcode-select --install`), or set CXX"
                .into(),
        },
    }
}

/// Looks for nvcc: NVCC, CUDA_HOME, CUDA_PATH, PATH, /usr/local/cuda, the fetched one.
pub fn find_nvcc(fetched: &Path) -> Finding {
    nvcc(&Places::of_process(fetched))
}

/// Looks for libclang: LIBCLANG_PATH, the system's library folders, the fetched one.
pub fn find_libclang(fetched: &Path) -> Finding {
    libclang(&Places::of_process(fetched))
}

/// Where to look.
struct Places<'a> {
    var: &'a dyn Fn(&str) -> Option<OsString>,
    fetched: &'a Path,
    /// The root of the file system; another one in tests.
    root: &'a Path,
}

impl<'a> Places<'a> {
    fn of_process(fetched: &'a Path) -> Places<'a> {
        Places { var: &|name| std::env::var_os(name), fetched, root: Path::new("/") }
    }

    /// A variable that is set to something.
    fn var(&self, name: &str) -> Option<PathBuf> {
        (self.var)(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    fn on_path(&self, program: &str) -> Option<PathBuf> {
        let program = format!("{program}{}", std::env::consts::EXE_SUFFIX);
        let path = (self.var)("PATH")?;
        std::env::split_paths(&path).map(|dir| dir.join(&program)).find(|file| file.is_file())
    }
}

fn nvcc(places: &Places) -> Finding {
    let name = format!("nvcc{}", std::env::consts::EXE_SUFFIX);
    let mut why = Vec::new();
    if let Some(set) = places.var("NVCC") {
        // Who sets it wants this one and no other.
        let path = places.on_path(&set.to_string_lossy()).unwrap_or(set);
        match ask_nvcc(&path) {
            Ok(tool) => return Finding::Found(tool),
            Err(problem) => return missing_nvcc(format!("NVCC is {}, {problem}", path.display())),
        }
    }
    let in_var =
        |var: &str| places.var(var).map(|dir| (var.to_string(), dir.join("bin").join(&name)));
    let candidates = [
        in_var("CUDA_HOME"),
        in_var("CUDA_PATH"),
        places.on_path("nvcc").map(|path| ("PATH".to_string(), path)),
        Some(("".into(), places.root.join("usr/local/cuda/bin").join(&name))),
        Some(("".into(), installed(places.fetched, Kit::Nvcc))),
    ];
    for (origin, path) in candidates.into_iter().flatten() {
        if origin.is_empty() && !path.exists() {
            continue;
        }
        match ask_nvcc(&path) {
            Ok(tool) => return Finding::Found(tool),
            Err(problem) => why.push(format!("{} {problem}", path.display())),
        }
    }
    why.push("it is in none of NVCC, CUDA_HOME, CUDA_PATH, PATH, /usr/local/cuda".into());
    missing_nvcc(why.join("; "))
}

fn missing_nvcc(why: String) -> Finding {
    let help = format!("{FETCH}, or install the CUDA toolkit and set NVCC to its nvcc");
    Finding::Missing { name: "nvcc", why, help }
}

/// Asks nvcc for its version, or says what is wrong with it.
fn ask_nvcc(path: &Path) -> Result<Tool, String> {
    let mut command = Command::new(path);
    command.arg("--version");
    let done =
        process::run(&mut command, VERSION_LIMIT).map_err(|e| format!("does not start ({e})"))?;
    if !done.is_success() {
        return Err("does not say its version".into());
    }
    // "Cuda compilation tools, release 13.0, V13.0.88"
    let version = done.output.split_whitespace().find_map(|word| {
        let digits = word.strip_prefix('V')?;
        digits.starts_with(|c: char| c.is_ascii_digit()).then(|| digits.to_string())
    });
    let version = version.ok_or("is not nvcc: it says no version")?;
    Ok(Tool { path: path.to_path_buf(), version })
}

fn libclang(places: &Places) -> Finding {
    let help = format!(
        "{FETCH}, or install it (Debian: `apt install libclang-dev`) and set LIBCLANG_PATH to its \
         folder if it is in an unusual one"
    );
    if let Some(set) = places.var("LIBCLANG_PATH") {
        return match in_folder(&set).or_else(|| is_libclang(&set).then(|| set.clone())) {
            Some(path) => found_libclang(path),
            None => Finding::Missing {
                name: "libclang",
                why: format!("LIBCLANG_PATH is {}, which holds none", set.display()),
                help,
            },
        };
    }
    if let Some(path) = library_folders(places.root).iter().find_map(|dir| in_folder(dir)) {
        return found_libclang(path);
    }
    let path = installed(places.fetched, Kit::Libclang);
    if path.is_file() {
        return Finding::Found(Tool { path, version: Kit::Libclang.version().into() });
    }
    let why = "it is in none of LIBCLANG_PATH and the system's library folders".into();
    Finding::Missing { name: "libclang", why, help }
}

/// Folders where distributions put libclang, the newest LLVM first.
fn library_folders(root: &Path) -> Vec<PathBuf> {
    let entries = |dir: &str| {
        let listed = std::fs::read_dir(root.join(dir)).into_iter().flatten().flatten();
        listed.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let number = |path: &Path| name(path).strip_prefix("llvm-").and_then(|n| n.parse::<u32>().ok());
    let mut llvm = entries("usr/lib");
    llvm.retain(|path| number(path).is_some());
    llvm.sort_by_key(|path| std::cmp::Reverse(number(path)));
    let mut folders: Vec<PathBuf> = llvm.iter().map(|path| path.join("lib")).collect();
    let mut multiarch = entries("usr/lib");
    multiarch.retain(|path| name(path).ends_with("-linux-gnu"));
    multiarch.sort();
    folders.extend(multiarch);
    let plain = [
        "usr/lib64",
        "usr/lib",
        "usr/local/lib",
        "opt/homebrew/opt/llvm/lib",
        "Library/Developer/CommandLineTools/usr/lib",
    ];
    folders.extend(plain.iter().map(|dir| root.join(dir)));
    folders
}

/// The libclang of a folder; of several, the last by name.
fn in_folder(dir: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    entries.filter(|path| is_libclang(path)).max()
}

/// libclang.so, libclang-14.so.1, libclang.dylib; not libclang-cpp.so.
fn is_libclang(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(rest) = name.strip_prefix("libclang") else { return false };
    let rest = rest
        .strip_prefix('-')
        .map_or(rest, |r| r.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.'));
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    (rest.starts_with("so") || rest == "dylib" || rest == "dll") && path.is_file()
}

fn found_libclang(path: PathBuf) -> Finding {
    let version = version_in_path(&path);
    Finding::Found(Tool { path, version })
}

/// The longest number in the file's real name, or in its folders' names.
fn version_in_path(path: &Path) -> String {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let numbers = |name: &str| {
        let words = name.split(|c: char| !c.is_ascii_digit() && c != '.');
        let words = words.map(|word| word.trim_matches('.').to_string());
        words.filter(|word| !word.is_empty()).max_by_key(String::len)
    };
    let names = real.iter().rev().map(|name| name.to_string_lossy().into_owned());
    let version = names.take(3).find_map(|name| numbers(&name));
    version.unwrap_or_else(|| "version unknown".into())
}

#[cfg(all(test, unix))]
pub(super) mod tests {
    use super::*;
    use std::fs;

    /// Writes a program. Another process makes the file: a writer's handle that a test beside this
    /// one inherits would make it busy.
    pub fn write_script(path: &Path, script: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = path.with_extension("text");
        fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
        let done = Command::new("install").args(["-m", "755"]).arg(&text).arg(path).status();
        assert!(done.unwrap().success());
        fs::remove_file(&text).unwrap();
    }

    fn fake_nvcc(path: &Path, version: &str) {
        let words = format!("Cuda compilation tools, release 13.0, V{version}");
        write_script(path, &format!("echo 'nvcc: NVIDIA (R)'; echo '{words}'"));
    }

    fn look(root: &Path, vars: &[(&str, &Path)], with: impl Fn(&Places) -> Finding) -> Finding {
        let var = |name: &str| {
            vars.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_os_str().to_owned())
        };
        with(&Places { var: &var, fetched: &root.join("fetched"), root })
    }

    fn path_of(finding: &Finding) -> &Path {
        &finding.tool().unwrap_or_else(|| panic!("{finding}")).path
    }

    #[test]
    fn nvcc_is_looked_for_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let at = |name: &str| root.join(name).join("bin/nvcc");
        let (home, on_path) = (root.join("home"), root.join("path/bin"));
        let vars: &[(&str, &Path)] = &[("CUDA_HOME", &home), ("PATH", &on_path)];

        fake_nvcc(&installed(&root.join("fetched"), Kit::Nvcc), "13.0.1");
        let found = look(root, &[], nvcc);
        assert_eq!(found.tool().unwrap().version, "13.0.1");

        fake_nvcc(&at("usr/local/cuda"), "13.0.2");
        assert_eq!(path_of(&look(root, vars, nvcc)), at("usr/local/cuda"));
        fake_nvcc(&at("path"), "13.0.3");
        assert_eq!(path_of(&look(root, vars, nvcc)), at("path"));
        fake_nvcc(&at("home"), "13.0.4");
        assert_eq!(path_of(&look(root, vars, nvcc)), at("home"));
        let nvcc_var = at("usr/local/cuda");
        let vars: &[(&str, &Path)] = &[("CUDA_HOME", &home), ("NVCC", &nvcc_var)];
        assert_eq!(path_of(&look(root, vars, nvcc)), at("usr/local/cuda"));
    }

    #[test]
    fn an_nvcc_that_is_set_but_broken_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fake_nvcc(&root.join("usr/local/cuda/bin/nvcc"), "13.0.2");
        let broken = root.join("broken");
        write_script(&broken, "exit 1");
        for (path, problem) in
            [(&broken, "does not say its version"), (&root.join("gone"), "does not start")]
        {
            let text = look(root, &[("NVCC", path)], nvcc).to_string();
            assert!(text.contains(&format!("NVCC is {}", path.display())), "{text}");
            assert!(text.contains(problem), "{text}");
            assert!(text.contains("--fetch-toolchain"), "{text}");
        }
    }

    #[test]
    fn without_nvcc_there_is_a_command_that_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other/bin/nvcc");
        write_script(&other, "echo 'some other program 7'");
        let home = dir.path().join("other");
        let finding = look(dir.path(), &[("CUDA_HOME", &home)], nvcc);
        let text = finding.to_string();
        assert!(text.contains("is not nvcc: it says no version"), "{text}");
        assert!(text.contains("none of NVCC, CUDA_HOME, CUDA_PATH, PATH"), "{text}");
        let error = finding.into_tool().unwrap_err().to_string();
        assert!(error.contains("help: run `cargo xtask build-formulas"), "{error}");
    }

    #[test]
    fn libclang_is_told_from_its_neighbours() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert!(look(root, &[], libclang).tool().is_none());
        let touch = |name: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        };
        touch("usr/lib/llvm-14/lib/libclang-cpp.so.14");
        assert!(look(root, &[], libclang).tool().is_none());
        let fetched = touch(installed(&root.join("fetched"), Kit::Libclang).to_str().unwrap());
        assert_eq!(look(root, &[], libclang).tool().unwrap().path, fetched);
        let old = touch("usr/lib/llvm-9/lib/libclang.so");
        assert_eq!(path_of(&look(root, &[], libclang)), old);
        let system = touch("usr/lib/llvm-14/lib/libclang-14.so.14.0.6");
        let found = look(root, &[], libclang);
        assert_eq!((path_of(&found), found.tool().unwrap().version.as_str()), (&*system, "14.0.6"));
        let set = old.parent().unwrap();
        let found = look(root, &[("LIBCLANG_PATH", set)], libclang);
        assert_eq!((path_of(&found), found.tool().unwrap().version.as_str()), (&*old, "9"));
        let empty = root.join("empty");
        let text = look(root, &[("LIBCLANG_PATH", &empty)], libclang).to_string();
        assert!(text.contains("LIBCLANG_PATH is") && text.contains("which holds none"), "{text}");
    }

    #[test]
    fn this_machine_has_a_cxx_compiler() {
        let finding = find_cxx();
        let tool = finding.tool().unwrap_or_else(|| panic!("{finding}"));
        assert!(tool.version.chars().any(|c| c.is_ascii_digit()), "{finding}");
    }
}
