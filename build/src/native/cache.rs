//! Objects by the hash of what they are made from.
//!
//! In: a key. Out: a file whose bytes are those that were stored. Every object has a note beside it
//! with its length and hash, written after it; an object without a right note does not exist.
//! It never trusts a file because of its name.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::files::{self, Durable};
use crate::lock::Lock;

/// A folder of objects that every build on this machine can share.
pub struct Cache {
    objects: PathBuf,
    lock: PathBuf,
}

/// A file of the cache, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: PathBuf,
    /// The blake3 hash of its bytes.
    pub hash: String,
    /// How many bytes it has.
    pub len: usize,
}

/// Collects everything that an object depends on.
pub struct Key(blake3::Hasher);

impl Key {
    /// Starts a key; `kind` keeps objects of different making apart.
    pub fn new(kind: &str) -> Key {
        let mut key = Key(blake3::Hasher::new());
        key.part("tilefold object 1").part(kind);
        key
    }

    /// Adds one thing. Lengths are hashed too, so neighbours cannot run into each other.
    pub fn part(&mut self, bytes: impl AsRef<[u8]>) -> &mut Key {
        let bytes = bytes.as_ref();
        self.0.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        self
    }

    /// The key, in hexadecimal.
    pub fn finish(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

impl Cache {
    /// The cache at `root`. Makes nothing yet.
    pub fn at(root: &Path) -> Cache {
        Cache { objects: root.join("objects"), lock: root.join("lock") }
    }

    /// The folder that holds the objects.
    pub fn objects(&self) -> &Path {
        &self.objects
    }

    /// Keeps other builders out, and sweeps up after killed ones.
    pub fn lock(&self, waiting: impl FnOnce()) -> Result<Lock, Error> {
        files::create_folder(&self.objects)?;
        let lock = Lock::take(&self.lock, waiting)?;
        if lock.is_exclusive() {
            files::remove_temporaries(&self.objects);
        }
        Ok(lock)
    }

    /// A name for a file that is being made.
    pub fn temporary(&self) -> PathBuf {
        files::temporary(&self.objects)
    }

    /// The file stored under a key, if it is whole.
    pub fn find(&self, key: &str, extension: &str) -> Option<Entry> {
        checked(&self.path(key, extension))
    }

    /// Moves a finished file to its place.
    pub fn store(&self, key: &str, extension: &str, temporary: &Path) -> Result<Entry, Error> {
        store(temporary, &self.path(key, extension))
    }

    fn path(&self, key: &str, extension: &str) -> PathBuf {
        self.objects.join(format!("{key}.{extension}"))
    }
}

/// A stored file, if its note says what it holds.
pub fn checked(path: &Path) -> Option<Entry> {
    let note = fs::read_to_string(note_of(path)).ok()?;
    let entry = Entry::of(path, &fs::read(path).ok()?);
    (note == entry.note()).then_some(entry)
}

/// Moves a finished file to `path` and writes its note.
pub fn store(temporary: &Path, path: &Path) -> Result<Entry, Error> {
    let bytes = fs::read(temporary).map_err(Error::io("read", temporary))?;
    fs::rename(temporary, path).map_err(Error::io("write", path))?;
    let entry = Entry::of(path, &bytes);
    files::write(&note_of(path), entry.note().as_bytes(), Durable::No)?;
    Ok(entry)
}

/// Removes a stored file and its note.
pub fn discard(path: &Path) -> Result<(), Error> {
    files::remove(&note_of(path))?;
    files::remove(path)
}

fn note_of(path: &Path) -> PathBuf {
    let mut note = path.as_os_str().to_os_string();
    note.push(".ok");
    note.into()
}

impl Entry {
    fn of(path: &Path, bytes: &[u8]) -> Entry {
        let hash = blake3::hash(bytes).to_hex().to_string();
        Entry { path: path.to_path_buf(), hash, len: bytes.len() }
    }

    fn note(&self) -> String {
        format!(
            "{} {}
",
            self.len, self.hash
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(cache: &Cache, key: &str) -> Entry {
        fs::create_dir_all(cache.objects()).unwrap();
        let temporary = cache.temporary();
        fs::write(&temporary, b"\x7fELF object").unwrap();
        cache.store(key, "o", &temporary).unwrap()
    }

    #[test]
    fn what_is_stored_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        assert_eq!(cache.find("k", "o"), None);
        let entry = stored(&cache, "k");
        assert_eq!(cache.find("k", "o"), Some(entry));
        assert_eq!(cache.find("k", "fatbin"), None);
    }

    #[test]
    fn damage_is_not_found() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        let whole = b"\x7fELF object";
        let mut flipped = whole.to_vec();
        flipped[5] ^= 1;
        for bytes in [&whole[..4], b"", &flipped, b"\x7fELF object+"] {
            let entry = stored(&cache, "k");
            fs::write(&entry.path, bytes).unwrap();
            assert_eq!(cache.find("k", "o"), None, "{bytes:?}");
        }
        let entry = stored(&cache, "k");
        fs::write(note_of(&entry.path), "").unwrap();
        assert_eq!(cache.find("k", "o"), None);
        fs::remove_file(note_of(&entry.path)).unwrap();
        assert_eq!(cache.find("k", "o"), None);
    }

    #[test]
    fn parts_do_not_run_together() {
        let key = |parts: &[&str]| {
            let mut key = Key::new("o");
            for part in parts {
                key.part(part);
            }
            key.finish()
        };
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
    }
}
