//! The size of the folder of compiled formulas. Goes in: the folder and a number of bytes. Comes
//! out: a folder whose entries take no more, those gone that were not used for the longest time.
//! It removes files with the names of entries and nothing else, and never one that somebody is
//! compiling.

use std::collections::HashMap;
use std::env;
use std::fs::{self, DirEntry, File};
use std::path::Path;
use std::time::SystemTime;

use super::cache::{FILES, LOCK};
use crate::files::Lock;
use crate::words;

/// Says how many MiB a folder keeps; 0 is no limit.
const VARIABLE: &str = "TILEFOLD_CACHE_MIB";

/// MiB that a folder keeps if nobody says more: some ten thousand formulas.
const DEFAULT: u64 = 1024;

/// Whoever holds its lock removes entries. Others need not.
const TURN: &str = "limit.lock";

/// Letters of an entry's name, which are hexadecimal digits.
const NAME: usize = 64;

/// The limit in bytes: the one that is asked for, else the environment's, else the usual one, with
/// a note if the environment's is no number.
pub(super) fn bytes(asked: Option<u64>) -> (u64, Option<String>) {
    let of_environment = || match env::var_os(VARIABLE) {
        Some(text) if !text.is_empty() => match text.to_str().map(|text| text.trim().parse()) {
            Some(Ok(number)) => (number, None),
            _ => (DEFAULT, Some(words::jit::no_limit(VARIABLE, &text, DEFAULT))),
        },
        _ => (DEFAULT, None),
    };
    let (mib, note) = asked.map_or_else(of_environment, |asked| (asked, None));
    (if mib == 0 { u64::MAX } else { mib.saturating_mul(1 << 20) }, note)
}

/// Notes that an entry is used now. Where that is not allowed it seems older than it is.
pub(super) fn touch(note: &Path) {
    let file = File::options().append(true).open(note);
    let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
}

/// What an entry takes.
struct Found {
    bytes: u64,
    used: SystemTime,
}

/// Removes the entries that were not used for the longest time, but for one, until the others take
/// at most so many bytes. What cannot be removed stays.
pub(super) fn keep_to(folder: &Path, limit: u64, stays: &str) {
    let Some(_turn) = Lock::try_take(&folder.join(TURN)) else { return };
    let mut entries: HashMap<String, Found> = HashMap::new();
    for (name, ending, file) in files(folder) {
        let Ok(facts) = file.metadata() else { continue };
        let used = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let entry = entries.entry(name).or_insert(Found { bytes: 0, used });
        entry.bytes += facts.len();
        // The note says when the entry was used.
        if ending == FILES[1] {
            entry.used = used;
        }
    }
    let mut total: u64 = entries.values().map(|found| found.bytes).sum();
    let mut oldest: Vec<(SystemTime, String, u64)> = entries
        .into_iter()
        .filter(|(name, _)| name != stays)
        .map(|(name, found)| (found.used, name, found.bytes))
        .collect();
    oldest.sort_unstable();
    for (_, name, bytes) in oldest {
        if total <= limit {
            return;
        }
        if remove(folder, &name) {
            total -= bytes;
        }
    }
}

/// Removes an entry, unless somebody is compiling it or its library is in use where that matters.
fn remove(folder: &Path, name: &str) -> bool {
    let path = |ending| folder.join(format!("{name}{ending}"));
    let Some(lock) = Lock::try_take(&path(LOCK)) else { return false };
    let gone = FILES.iter().all(|ending| match fs::remove_file(path(ending)) {
        Ok(()) => true,
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    });
    lock.remove(&path(LOCK));
    gone
}

/// The files of entries in a folder: names, endings, and what the folder says of them. Links and
/// folders are none, whatever they are called.
fn files(folder: &Path) -> impl Iterator<Item = (String, &'static str, DirEntry)> {
    let found = fs::read_dir(folder).into_iter().flatten().flatten();
    found.filter_map(|file| {
        let text = file.file_name().into_string().ok()?;
        let ending = FILES.into_iter().find(|ending| text.ends_with(ending))?;
        let name = text.strip_suffix(ending)?;
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let is_entry = name.len() == NAME && name.bytes().all(is_hex);
        // Not that of what a link points at.
        let is_file = file.file_type().is_ok_and(|kind| kind.is_file());
        (is_entry && is_file).then(|| (name.to_owned(), ending, file))
    })
}
