//! One static library a formula.
//!
//! In: the objects of a formula. Out: `lib<name>.a`, where the name ends in a hash of the members:
//! two builds never write different bytes to one file, and libraries of one formula in two crates
//! do not hide each other. It never writes an archive that is already there and whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::cache::{self, Entry, Key};
use super::compiler::Compiler;
use super::run_tool;
use crate::Error;
use crate::files;

/// How the names of archives begin.
const PREFIX: &str = "libtilefold_";

/// The static library of a formula.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The formula.
    pub formula: String,
    /// The name for the linker: the file is `lib<name>.a`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// The archive of these members, before it exists.
pub fn plan(dir: &Path, formula: &str, members: &[Entry]) -> Archive {
    let mut key = Key::new("archive");
    for member in members {
        key.part(member.path.file_name().unwrap_or_default().as_encoded_bytes());
        key.part(&member.hash);
    }
    let name = format!("tilefold_{formula}_{}", &key.finish()[..16]);
    let path = dir.join(format!("lib{name}.a"));
    Archive { formula: formula.to_string(), name, path }
}

impl Archive {
    /// Whether it is there and whole.
    pub fn is_made(&self) -> bool {
        cache::checked(&self.path).is_some()
    }

    /// Writes it.
    pub fn make(
        &self,
        compiler: &Compiler,
        members: &[Entry],
        limit: Duration,
    ) -> Result<(), Error> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let temporary = files::temporary(dir);
        let mut command = Command::new(compiler.archiver());
        // D: no dates, owners or modes in the archive. Apple's ar has it as a variable.
        let apple = compiler.target().contains("-apple-");
        command.arg(if apple { "crs" } else { "crsD" }).env("ZERO_AR_DATE", "1");
        command.arg(&temporary).args(members.iter().map(|m| &m.path));
        run_tool("the archiver", &self.path, &mut command, limit)?;
        cache::store(&temporary, &self.path).map(drop)
    }
}

/// Removes archives of earlier builds from `dir`. Only under the lock that its writers hold.
pub fn remove_others(dir: &Path, archives: &[Archive]) -> Result<(), Error> {
    files::remove_temporaries(dir);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let is_archive = path.extension().is_some_and(|e| e == "a");
        if ours && is_archive && !archives.iter().any(|a| a.path == path) {
            cache::discard(&path)?;
        }
    }
    Ok(())
}
