//! Files that several processes share. Goes in: paths and bytes. Comes out: files that are there
//! whole or not at all, and locks that end with their process, however it ends. It never changes
//! a file in place.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A lock that others are kept out by until it is dropped.
#[must_use]
pub(crate) struct Lock {
    file: Option<File>,
}

impl Lock {
    /// Waits for the lock of a file, which is made if it is not there. Only who holds the lock
    /// removes the file ([`Lock::remove`]).
    #[cfg(any(feature = "jit", not(unix)))]
    pub fn take(path: &Path) -> io::Result<Lock> {
        loop {
            let lock = Lock::of(open(path)?)?;
            if lock.is_of(path) {
                return Ok(lock);
            }
        }
    }

    /// Waits for the lock of a folder, which leaves no file behind where folders can be locked.
    pub fn take_folder(folder: &Path) -> io::Result<Lock> {
        #[cfg(unix)]
        return Lock::of(File::open(folder)?);
        #[cfg(not(unix))]
        Lock::take(&folder.join(".tilefold-lock"))
    }

    fn of(file: File) -> io::Result<Lock> {
        match file.lock() {
            Ok(()) => Ok(Lock { file: Some(file) }),
            // Some network file systems have no locks. Files are renamed into their places, so two
            // writers only do the same work twice.
            Err(e) if e.kind() == io::ErrorKind::Unsupported => Ok(Lock { file: None }),
            Err(e) => Err(e),
        }
    }

    /// The lock, if nobody has it.
    #[cfg(feature = "jit")]
    pub fn try_take(path: &Path) -> Option<Lock> {
        let file = open(path).ok()?;
        file.try_lock().ok()?;
        Some(Lock { file: Some(file) }).filter(|lock| lock.is_of(path))
    }

    /// Whether the file is still at its path: somebody may have removed it while this waited, and
    /// then the lock keeps out nobody.
    #[cfg(all(unix, feature = "jit"))]
    fn is_of(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let Some(file) = &self.file else { return true };
        let same = |held: fs::Metadata| {
            let found = fs::metadata(path).ok()?;
            Some((held.dev(), held.ino()) == (found.dev(), found.ino()))
        };
        file.metadata().ok().and_then(same).unwrap_or(false)
    }

    /// Elsewhere a file that is open stays.
    #[cfg(not(unix))]
    fn is_of(&self, _: &Path) -> bool {
        true
    }

    /// Removes the file of the lock: whoever waits for it makes a new one.
    #[cfg(feature = "jit")]
    pub fn remove(self, path: &Path) {
        if cfg!(unix) && self.is_exclusive() {
            // An empty file is harmless if it stays.
            let _ = fs::remove_file(path);
        }
    }

    /// Whether others are really kept out.
    pub fn is_exclusive(&self) -> bool {
        self.file.is_some()
    }
}

#[cfg(any(feature = "jit", not(unix)))]
fn open(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

/// A number that nobody else in this process gets.
pub(crate) fn fresh_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Makes a file that must not be there yet, on the disk when this returns.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Replaces a file, or makes it: readers see the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (process, n) = (std::process::id(), fresh_number());
    let temporary = folder_of(path).join(format!("{}{process}-{n}", temporary_names(path)));
    let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    sync_folder(folder_of(path));
    written
}

/// Removes what killed processes left of their attempts to replace a file. Only under a lock that
/// they would hold.
pub(crate) fn sweep(path: &Path) {
    let names = temporary_names(path);
    for entry in fs::read_dir(folder_of(path)).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&names) {
            // Litter is harmless if it stays.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn temporary_names(path: &Path) -> String {
    format!(".{}.tmp-", path.file_name().unwrap_or_default().to_string_lossy())
}

/// The folder that holds a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Makes renames in a folder durable. Some systems cannot open folders, and order renames
/// themselves.
pub(crate) fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// Makes a folder that is this user's alone, and those above it.
#[cfg(feature = "jit")]
pub(crate) fn make_own_folder(path: &Path, recursive: bool) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(recursive).create(path)
}

/// A path that does not depend on the current folder.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
