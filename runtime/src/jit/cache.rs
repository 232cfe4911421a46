//! The folder of compiled formulas. Goes in: the name of an entry. Comes out: a library whose bytes
//! are those that were stored. An entry is a library and a note with its length and hash, written
//! after it; without a right note there is no entry. It never uses a folder that somebody else can
//! write: loading a library is running it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::limit;
use super::make::Trouble;
use crate::files::{self, Lock};
use crate::words;

/// How the names of folders begin in which something is compiled.
const WORKPLACE: &str = ".tmp-";

/// The library in a workplace.
pub(super) const LIBRARY: &str = "kernel.so";
const NOTE: &str = "kernel.ok";

/// A folder that this process may trust.
pub(super) struct Folder {
    path: PathBuf,
}

/// A folder to compile in; removed when it is dropped.
pub(super) struct Workplace {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder if it is not there, and refuses it if others can write it.
    pub fn open(path: &Path) -> Result<Folder, String> {
        let path = files::absolute(path);
        files::make_own_folder(&path, true).map_err(|e| words::jit::unusable(&path, &e))?;
        let facts = fs::metadata(&path).map_err(|e| words::jit::unusable(&path, &e))?;
        trusted(&path, &facts)?;
        Ok(Folder { path })
    }

    /// The library of an entry, if it is whole.
    pub fn find(&self, entry: &str) -> Option<PathBuf> {
        let (library, note) = self.files(entry);
        let text = fs::read_to_string(&note).ok()?;
        let bytes = fs::read(&library).ok()?;
        if text != note_of(&bytes) {
            return None;
        }
        limit::touch(&note);
        Some(library)
    }

    /// Removes the entries that were not used for the longest time, until the others take at most
    /// so many bytes. An entry that was just stored stays.
    pub fn keep_to(&self, bytes: u64, stored: &str) {
        limit::keep_to(&self.path, bytes, stored);
    }

    /// Keeps others from compiling the same.
    pub fn lock(&self, entry: &str) -> io::Result<Lock> {
        Lock::take(&self.lock_file(entry))
    }

    /// Removes what killed processes left: workplaces whose entry nobody is compiling. The caller
    /// holds the lock of `entry`.
    pub fn sweep(&self, entry: &str, lock: &Lock) {
        for found in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = found.file_name();
            let name = name.to_string_lossy();
            let rest = name.strip_prefix(WORKPLACE);
            let Some((other, _)) = rest.and_then(|rest| rest.split_once('-')) else { continue };
            let (taken, kept_out) = match other == entry {
                true => (None, lock.is_exclusive()),
                false => {
                    let taken = Lock::try_take(&self.lock_file(other));
                    let kept_out = taken.is_some();
                    (taken, kept_out)
                }
            };
            if kept_out {
                // Litter is harmless if it stays.
                let _ = fs::remove_dir_all(found.path());
            }
            drop(taken);
        }
    }

    /// A folder to compile an entry in.
    pub fn workplace(&self, entry: &str) -> io::Result<Workplace> {
        let (process, n) = (std::process::id(), files::fresh_number());
        Workplace::make(self.path.join(format!("{WORKPLACE}{entry}-{process}-{n}")))
    }

    /// Moves the finished library of a workplace to its place.
    pub fn store(&self, entry: &str, workplace: &Workplace) -> io::Result<()> {
        let from = workplace.path.join(LIBRARY);
        fs::OpenOptions::new().write(true).open(&from)?.sync_all()?;
        let from_note = workplace.path.join(NOTE);
        files::write_new(&from_note, note_of(&fs::read(&from)?).as_bytes())?;
        let (library, note) = self.files(entry);
        fs::rename(from, library)?;
        fs::rename(from_note, note)?;
        files::sync_folder(&self.path);
        Ok(())
    }

    /// What went wrong with the folder.
    pub fn trouble(&self, e: &io::Error) -> Trouble {
        Trouble::Folder(words::jit::unusable(&self.path, e))
    }

    fn files(&self, entry: &str) -> (PathBuf, PathBuf) {
        FILES.map(|ending| self.path.join(format!("{entry}{ending}"))).into()
    }

    fn lock_file(&self, entry: &str) -> PathBuf {
        self.path.join(format!("{entry}{LOCK}"))
    }
}

/// How the names of an entry's library and of its note end.
pub(super) const FILES: [&str; 2] = [".so", ".ok"];
pub(super) const LOCK: &str = ".lock";

fn note_of(library: &[u8]) -> String {
    format!("{} {}\n", library.len(), blake3::hash(library).to_hex())
}

impl Workplace {
    /// A folder among the system's temporary ones, for this process alone.
    pub fn private() -> io::Result<Workplace> {
        use std::hash::{BuildHasher, RandomState};
        // The name cannot be guessed; and what is there already is not used.
        let random = RandomState::new().hash_one(std::process::id());
        let name = format!("tilefold-{random:016x}-{}", files::fresh_number());
        Workplace::make(std::env::temp_dir().join(name))
    }

    fn make(path: PathBuf) -> io::Result<Workplace> {
        files::make_own_folder(&path, false)?;
        Ok(Workplace { path: files::absolute(&path) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // Litter that stays is swept by a later process, or by the system.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Whether only this user, or the system's administrator, can write a folder.
#[cfg(unix)]
fn trusted(path: &Path, facts: &fs::Metadata) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    unsafe extern "C" {
        safe fn geteuid() -> u32;
    }
    const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
    const OTHERS_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    let (owner, user) = (facts.uid(), geteuid());
    if owner != user && owner != 0 {
        return Err(words::jit::strange_folder(path, owner, user));
    }
    if facts.mode() & GROUP_OR_OTHERS_WRITE != 0 {
        return Err(words::jit::open_folder(path, facts.mode() & 0o7777));
    }
    // Whoever can write a folder above can put another in the place of this one, unless it is
    // sticky, as that of temporary files is.
    let real = fs::canonicalize(path).map_err(|e| words::jit::unusable(path, &e))?;
    for above in real.ancestors().skip(1) {
        let mode = fs::metadata(above).map_err(|e| words::jit::unusable(above, &e))?.mode();
        if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
            return Err(words::jit::open_folder(above, mode & 0o7777));
        }
    }
    Ok(())
}

/// Elsewhere the user's cache folder is the user's by the system's rules.
#[cfg(not(unix))]
fn trusted(_: &Path, _: &fs::Metadata) -> Result<(), String> {
    Ok(())
}
