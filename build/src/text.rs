//! A folder of generated text, kept equal to what the formulas say.
//!
//! In: every text of a build. Out: the same texts on disk, the manifest last. Only files that
//! differ are written; files that an earlier manifest lists and this build lacks are removed. It
//! never touches a file that it did not make.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::Error;
use crate::error::REGENERATE;
use crate::files::{self, Durable};
use crate::lock::Lock;
use crate::manifest::{self, Library, Manifest};
use crate::progress::Progress;

/// The lock file of a generated folder.
const LOCK: &str = ".tilefold-lock";
/// Lists the files that a running build is about to make, so that a killed one owns them too.
const PENDING: &str = ".tilefold-pending";

/// Everything that is generated from a set of formula files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// Path relative to the generated folder, and text.
    pub files: BTreeMap<String, String>,
    /// What to compile from them.
    pub libraries: Vec<Library>,
    /// Which formula file a path or a formula came from, for messages.
    origins: BTreeMap<String, String>,
}

/// What writing a folder changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files that were made or replaced.
    pub written: Vec<String>,
    /// Files that were removed.
    pub removed: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Missing,
    Differs,
    Orphan,
}

struct Difference {
    path: String,
    kind: Kind,
}

impl Text {
    /// Text whose origin does not matter.
    pub fn new(files: BTreeMap<String, String>, libraries: Vec<Library>) -> Text {
        Text { files, libraries, origins: BTreeMap::new() }
    }

    /// Adds what the formula file `from` generates. A file that several make (a header) must be the
    /// same text.
    pub fn join(&mut self, other: Text, from: &str) -> Result<(), Error> {
        for library in other.libraries {
            let formula = format!("formula {}", library.formula);
            if self.libraries.iter().any(|l| l.formula == library.formula) {
                return Err(self.clash(formula, from));
            }
            self.origins.insert(formula, from.into());
            self.libraries.push(library);
        }
        for (path, text) in other.files {
            match self.files.get(&path) {
                Some(old) if *old != text => return Err(self.clash(path, from)),
                Some(_) => {}
                None => {
                    self.origins.insert(path.clone(), from.into());
                    self.files.insert(path, text);
                }
            }
        }
        Ok(())
    }

    fn clash(&self, what: String, second: &str) -> Error {
        let first = self.origins.get(&what).cloned().unwrap_or_else(|| "tilefold itself".into());
        Error::Clash { what, first, second: second.into() }
    }

    /// The texts and their manifest, checked for paths that could not be written everywhere.
    fn with_manifest(&self) -> Result<BTreeMap<String, String>, Error> {
        let mut folded: BTreeMap<String, &str> = BTreeMap::new();
        for path in self.files.keys() {
            if !manifest::is_plain(path) {
                return Err(Error::Formulas {
                    path: path.into(),
                    problem: "not a plain relative path".into(),
                    help: "name formulas and their files with letters, digits and _".into(),
                });
            }
            if let Some(first) = folded.insert(path.to_lowercase(), path) {
                // Some file systems do not tell case apart; one file would replace the other.
                let what = "the same path without regard to case".to_string();
                return Err(Error::Clash { what, first: first.into(), second: path.clone() });
            }
        }
        let mut files = self.files.clone();
        let manifest = Manifest::new(&self.libraries, &self.files);
        files.insert(manifest::FILE.to_string(), manifest.print());
        Ok(files)
    }
}

/// Makes `dir` hold exactly these texts, besides files that are not tilefold's.
pub fn write(dir: &Path, text: &Text, progress: &dyn Progress) -> Result<Changes, Error> {
    let wanted = text.with_manifest()?;
    if differences(dir, &wanted)?.is_empty() {
        // Nothing to write, so a read-only checkout is as good as any.
        return Ok(Changes::default());
    }
    files::create_folder(dir)?;
    let lock = Lock::take(&dir.join(LOCK), || {
        progress.note(&format!("waiting for another build of {}", dir.display()));
    })?;
    let differences = differences(dir, &wanted)?;
    if lock.is_exclusive() {
        remove_litter(dir, &wanted);
    }
    let new: String = differences.iter().map(|d| format!("{}\n", d.path)).collect();
    files::write(&dir.join(PENDING), new.as_bytes(), Durable::Yes)?;
    let mut changes = Changes::default();
    let (manifest, texts): (Vec<_>, Vec<_>) =
        differences.into_iter().partition(|d| d.path == manifest::FILE);
    for difference in texts.into_iter().chain(manifest) {
        let path = dir.join(&difference.path);
        if difference.kind == Kind::Orphan {
            files::remove(&path)?;
            remove_empty_folders(dir, &path);
            changes.removed.push(difference.path);
        } else if files::write_if_changed(&path, wanted[&difference.path].as_bytes())? {
            changes.written.push(difference.path);
        }
    }
    files::remove(&dir.join(PENDING))?;
    Ok(changes)
}

/// Puts a text that is not in a generated folder at `path`, whole; says whether it was another.
pub fn write_file(path: &Path, text: &str) -> Result<bool, Error> {
    files::write_if_changed(path, text.as_bytes())
}

/// An error that lists what differs between `dir` and these texts. Writes nothing.
pub fn check(dir: &Path, text: &Text) -> Result<(), Error> {
    let differences = differences(dir, &text.with_manifest()?)?;
    if differences.is_empty() {
        return Ok(());
    }
    let line = |d: &Difference| match d.kind {
        Kind::Missing => format!("  {} is missing\n", d.path),
        Kind::Differs => format!("  {} differs from its formula\n", d.path),
        Kind::Orphan => format!("  {} has no formula any more\n", d.path),
    };
    let list = differences.iter().map(line).collect();
    Err(Error::Stale { dir: dir.into(), list, command: REGENERATE.into() })
}

/// Reads the manifest of `dir` and checks the hash of every text that it lists.
pub fn verify(dir: &Path) -> Result<Manifest, Error> {
    let Some(manifest) = Manifest::read(dir)? else {
        let list = format!("  {} is missing\n", manifest::FILE);
        return Err(Error::Stale { dir: dir.into(), list, command: REGENERATE.into() });
    };
    let mut list = String::new();
    for (path, hash) in &manifest.files {
        match fs::read(dir.join(path)) {
            Ok(bytes) if blake3::hash(&bytes).to_hex().as_str() == hash => {}
            Ok(_) => list.push_str(&format!("  {path} is not the text that was generated\n")),
            Err(e) => list.push_str(&format!("  {path}: {e}\n")),
        }
    }
    match list.is_empty() {
        true => Ok(manifest),
        false => Err(Error::Stale { dir: dir.into(), list, command: REGENERATE.into() }),
    }
}

fn differences(dir: &Path, wanted: &BTreeMap<String, String>) -> Result<Vec<Difference>, Error> {
    let mut found = Vec::new();
    for (path, text) in wanted {
        let kind = match fs::read(dir.join(path)) {
            Ok(old) if old == text.as_bytes() => continue,
            Ok(_) => Kind::Differs,
            Err(_) => Kind::Missing,
        };
        found.push(Difference { path: path.clone(), kind });
    }
    for path in owned(dir) {
        if !wanted.contains_key(&path) && dir.join(&path).exists() {
            found.push(Difference { path, kind: Kind::Orphan });
        }
    }
    Ok(found)
}

/// The files that earlier builds made. A manifest that cannot be read owns nothing: rather a file
/// too many than one removed on the word of damaged text.
fn owned(dir: &Path) -> BTreeSet<String> {
    let manifest = Manifest::read(dir).ok().flatten().unwrap_or_default();
    let pending = fs::read_to_string(dir.join(PENDING)).unwrap_or_default();
    let pending = pending.lines().filter(|p| manifest::is_plain(p)).map(String::from);
    manifest.files.into_keys().chain(pending).collect()
}

/// Removes what killed builds left half-written. Only under the lock.
fn remove_litter(dir: &Path, wanted: &BTreeMap<String, String>) {
    let owned = owned(dir);
    for path in wanted.keys().chain(&owned) {
        let path = dir.join(path);
        files::remove_temporaries(path.parent().unwrap_or(dir));
        if !path.exists() {
            remove_empty_folders(dir, &path);
        }
    }
}

/// Removes the folders between `path` and `dir` that its removal left empty.
fn remove_empty_folders(dir: &Path, path: &Path) {
    for folder in path.ancestors().skip(1).take_while(|f| *f != dir) {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
}
