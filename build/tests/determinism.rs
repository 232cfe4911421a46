//! The same formulas give the same bytes, whatever the locale, the time zone, the folder, the umask
//! and the environment. This program starts itself to generate in each of them.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tilefold_build::Config;
use tilefold_build::progress::Silent;

/// Set where this program has to generate instead of comparing.
const CHILD: &str = "TILEFOLD_GENERATE_IN";

/// Formula files with derivatives, several dtypes, documentation and nested reductions.
const FORMULAS: [&str; 3] = ["attention.fold", "laplacian.fold", "sinkhorn.fold"];

type Environment = &'static [(&'static str, &'static str)];

/// What differs: the folder, the umask and the environment.
const WORLDS: [(&str, &str, Environment); 5] = [
    ("plain", "022", &[]),
    ("turkish", "077", &[("LC_ALL", "tr_TR.UTF-8"), ("LANG", "tr_TR.UTF-8")]),
    ("tomorrow", "002", &[("TZ", "Pacific/Kiritimati"), ("SOURCE_DATE_EPOCH", "4102444800")]),
    ("a b;$(x) é", "022", &[("LC_ALL", "C"), ("HOME", "/nowhere"), ("USER", "somebody")]),
    ("much/deeper/down", "027", &[("RAYON_NUM_THREADS", "1"), ("RUST_BACKTRACE", "1")]),
];

fn main() {
    match env::var_os(CHILD) {
        Some(folder) => {
            let folder = PathBuf::from(folder);
            Config::new().root(&folder).generate(&Silent).unwrap_or_else(|e| panic!("{e}"));
        }
        None => compare(),
    }
}

fn compare() {
    let parent = tempfile::tempdir().expect("a folder");
    let mut first: Option<BTreeMap<PathBuf, Vec<u8>>> = None;
    for (name, umask, environment) in WORLDS {
        let found = generate(&parent.path().join(name), umask, environment);
        assert!(found.len() > 20, "{name}: {} files", found.len());
        match &first {
            None => first = Some(found),
            Some(first) => {
                let names = |files: &BTreeMap<PathBuf, Vec<u8>>| -> Vec<PathBuf> {
                    files.keys().cloned().collect()
                };
                assert_eq!(names(first), names(&found), "files in {name}");
                let differ: Vec<_> = found.iter().filter(|(p, t)| first[*p] != **t).collect();
                let paths: Vec<_> = differ.iter().map(|(path, _)| path).collect();
                assert!(differ.is_empty(), "in {name} other bytes in {paths:?}");
            }
        }
    }
    println!("the same bytes in {} worlds", WORLDS.len());
}

/// Generates in a folder with its own copy of the formulas; every file that is there then.
fn generate(
    folder: &Path,
    umask: &str,
    environment: &[(&str, &str)],
) -> BTreeMap<PathBuf, Vec<u8>> {
    let formulas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../formulas");
    fs::create_dir_all(folder.join("formulas")).expect("a folder");
    for name in FORMULAS {
        fs::copy(formulas.join(name), folder.join("formulas").join(name)).expect("a copy");
    }
    // The shell sets the umask, and nothing else: the program and its folder are no shell text.
    let status = Command::new("sh")
        .args(["-c", &format!("umask {umask} && exec \"$0\"")])
        .arg(env::current_exe().expect("this program"))
        .current_dir(folder)
        .env(CHILD, folder)
        .envs(environment.iter().copied())
        .status();
    assert!(status.expect("a shell").success(), "in {}", folder.display());
    let mut files = BTreeMap::new();
    walk(&folder.join("generated"), Path::new(""), &mut files);
    files
}

fn walk(folder: &Path, prefix: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("the generated folder") {
        let entry = entry.expect("an entry");
        let name = prefix.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => walk(&entry.path(), &name, files),
            false => {
                files.insert(name, fs::read(entry.path()).expect("a file"));
            }
        }
    }
}
