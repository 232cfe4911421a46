//! Files that appear whole or not at all.
//!
//! In: a path and bytes. Out: the file, written beside its place and renamed into it. It never
//! truncates a file in place, and never touches one whose bytes are already right.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Error;

/// How the names of files that are being written begin; what is left of a killed build goes by it.
pub const TEMPORARY: &str = ".tilefold-tmp-";

/// Whether a write must survive the machine's power as well as the process's end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// Synced to the disk before the rename.
    Yes,
    /// Readers check a hash, so a torn file is found and made anew.
    No,
}

/// A name for a file in `dir` that no other writer uses.
pub fn temporary(dir: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    dir.join(format!("{TEMPORARY}{}-{n}", std::process::id()))
}

/// Puts `bytes` at `path` by a rename.
pub fn write(path: &Path, bytes: &[u8], durable: Durable) -> Result<(), Error> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let temp = temporary(dir);
    let result = write_new(&temp, bytes, durable).and_then(|()| fs::rename(&temp, path));
    if result.is_err() {
        // The first error is the one to report; a leftover goes with the next build.
        let _ = fs::remove_file(&temp);
    }
    result.map_err(Error::io("write", path))?;
    if durable == Durable::Yes {
        sync_folder(dir);
    }
    Ok(())
}

/// Puts `bytes` at `path` unless they are there; says whether it wrote.
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<bool, Error> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    if let Some(dir) = path.parent() {
        create_folder(dir)?;
    }
    write(path, bytes, Durable::Yes)?;
    Ok(true)
}

/// Makes a folder and those above it.
pub fn create_folder(dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(Error::io("create the folder", dir))
}

/// Removes a file; a missing one is fine.
pub fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Removes what killed writers left in `dir`. Only under the lock that its writers hold.
pub fn remove_temporaries(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            // It is litter: harmless if it stays.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn write_new(path: &Path, bytes: &[u8], durable: Durable) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    if durable == Durable::Yes {
        file.sync_all()?;
    }
    Ok(())
}

/// Makes renames in `dir` durable. Some systems cannot open folders, and order renames themselves.
fn sync_folder(dir: &Path) {
    if let Ok(folder) = File::open(dir) {
        let _ = folder.sync_all();
    }
}
