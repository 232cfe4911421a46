//! One builder at a time in a folder.
//!
//! In: the path of a lock file. Out: a guard; the system releases it when its process ends, however
//! it ends. It never deletes the lock file: another process may hold a lock on it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use crate::Error;

/// An exclusive lock, held until it is dropped.
pub struct Lock {
    file: Option<File>,
}

impl Lock {
    /// Takes the lock, calling `waiting` first if somebody else holds it.
    pub fn take(path: &Path, waiting: impl FnOnce()) -> Result<Lock, Error> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(Error::io("open the lock file", path))?;
        let locked = match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock()
            }
            Err(TryLockError::Error(e)) => Err(e),
        };
        match locked {
            Ok(()) => Ok(Lock { file: Some(file) }),
            // Some network file systems have no locks. Every file is renamed into its place, so two
            // builders only do the same work twice.
            Err(e) if e.kind() == io::ErrorKind::Unsupported => Ok(Lock { file: None }),
            Err(e) => Err(Error::io("lock", path)(e)),
        }
    }

    /// Whether others are really kept out.
    pub fn is_exclusive(&self) -> bool {
        self.file.is_some()
    }
}
