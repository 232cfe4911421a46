//! The formula files of a folder.
//!
//! In: a folder, or one `.fold` file. Out: their text, sorted by name. It never reads anything that
//! does not end in `.fold`, and never more than [`MAX_BYTES`] of one file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;

/// The longest formula file that is read.
pub const MAX_BYTES: u64 = 1 << 20;

/// One formula file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path as messages and generated text show it: relative, with `/`.
    pub name: String,
    /// Its path on disk.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// Reads the formula files at `root/formulas`, a folder (searched to the bottom) or a single file.
pub fn read_formulas(root: &Path, formulas: &Path) -> Result<Vec<Source>, Error> {
    let path = root.join(formulas);
    let meta = fs::metadata(&path).map_err(|e| unusable(&path, &e))?;
    let mut found = Vec::new();
    if meta.is_dir() {
        search(&path, &mut found)?;
        if found.is_empty() {
            return Err(Error::Formulas {
                path,
                problem: "no formula file (*.fold) in this folder".into(),
                help: "put one there: examples are in the formulas folder of tilefold".into(),
            });
        }
    } else if is_formula(&path) {
        found.push(path);
    } else {
        return Err(Error::Formulas {
            path,
            problem: "neither a folder nor a formula file (*.fold)".into(),
            help: "name the folder that holds the formula files".into(),
        });
    }
    let mut sources = found.into_iter().map(|p| read(root, p)).collect::<Result<Vec<_>, _>>()?;
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sources)
}

fn is_formula(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "fold")
}

fn search(dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(|e| unusable(dir, &e))? {
        let entry = entry.map_err(|e| unusable(dir, &e))?;
        let path = entry.path();
        // The type of the entry itself: links to folders are not followed, so there are no rings.
        let kind = entry.file_type().map_err(|e| unusable(&path, &e))?;
        if is_formula(&path) {
            found.push(path);
        } else if kind.is_dir() && !entry.file_name().to_string_lossy().starts_with('.') {
            search(&path, found)?;
        }
    }
    Ok(())
}

fn read(root: &Path, path: PathBuf) -> Result<Source, Error> {
    let meta = fs::metadata(&path).map_err(|e| unusable(&path, &e))?;
    if !meta.is_file() {
        return Err(Error::Formulas {
            problem: format!("a {} whose name ends in .fold", kind_name(&meta)),
            help: "only formula files end in .fold: rename it".into(),
            path,
        });
    }
    if meta.len() > MAX_BYTES {
        return Err(Error::Formulas {
            problem: format!("{} bytes, where a formula file has at most {MAX_BYTES}", meta.len()),
            help: "split it into several files".into(),
            path,
        });
    }
    let bytes = fs::read(&path).map_err(|e| unusable(&path, &e))?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => {
            let at = e.utf8_error().valid_up_to();
            let line = 1 + e.as_bytes()[..at].iter().filter(|&&b| b == b'\n').count();
            return Err(Error::Formulas {
                problem: format!("not UTF-8: byte {at}, on line {line}"),
                help: "save it as UTF-8".into(),
                path,
            });
        }
    };
    Ok(Source { name: display_name(root, &path), path, text })
}

fn kind_name(meta: &fs::Metadata) -> &'static str {
    if meta.is_dir() { "folder" } else { "special file" }
}

/// The path relative to `root` with `/`, so that generated text is the same on every machine.
fn display_name(root: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(root).unwrap_or_else(|_| match path.file_name() {
        // Outside the root: the folder's name would be this machine's.
        Some(name) => Path::new(name),
        None => path,
    });
    let parts: Vec<_> = relative.iter().map(|p| p.to_string_lossy()).collect();
    parts.join("/")
}

fn unusable(path: &Path, e: &io::Error) -> Error {
    let help = match e.kind() {
        io::ErrorKind::NotFound => "create it, or give the path of the folder of formula files",
        io::ErrorKind::PermissionDenied => "make it readable for the user who builds",
        _ => "check the path and the disk",
    };
    Error::Formulas {
        path: path.to_path_buf(),
        problem: format!("cannot be read: {e}"),
        help: help.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(root: &Path, formulas: &str) -> String {
        match read_formulas(root, Path::new(formulas)) {
            Ok(found) => panic!("read {} files", found.len()),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn reads_sorted_with_relative_names() {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in [("f/b.fold", "b"), ("f/a/z.fold", "z"), ("f/.git/x.fold", "x")] {
            fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            fs::write(dir.path().join(path), text).unwrap();
        }
        fs::write(dir.path().join("f/readme.md"), "no formula").unwrap();
        let found = read_formulas(dir.path(), Path::new("f/")).unwrap();
        let names: Vec<_> = found.iter().map(|s| (s.name.as_str(), s.text.as_str())).collect();
        assert_eq!(names, [("f/a/z.fold", "z"), ("f/b.fold", "b")]);
        let one = read_formulas(dir.path(), Path::new("f/b.fold")).unwrap();
        assert_eq!(one.len(), 1);
    }

    #[test]
    fn every_bad_input_has_a_message_and_a_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert!(message(root, "nowhere").contains("help: create it"));
        fs::create_dir(root.join("empty")).unwrap();
        assert!(message(root, "empty").contains("no formula file (*.fold)"));
        fs::write(root.join("notes.txt"), "").unwrap();
        assert!(message(root, "notes.txt").contains("neither a folder nor"));
        fs::create_dir_all(root.join("d/gauss.fold")).unwrap();
        assert!(message(root, "d").contains("a folder whose name ends in .fold"));
        fs::create_dir(root.join("latin")).unwrap();
        fs::write(root.join("latin/x.fold"), b"tilefold 1;\n// caf\xe9\n").unwrap();
        assert!(message(root, "latin").contains("not UTF-8: byte 18, on line 2"));
        fs::create_dir(root.join("big")).unwrap();
        fs::write(root.join("big/x.fold"), vec![b' '; MAX_BYTES as usize + 1]).unwrap();
        assert!(message(root, "big").contains("1048577 bytes"));
    }

    #[cfg(unix)]
    #[test]
    fn a_broken_link_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("x.fold")).unwrap();
        let text = message(dir.path(), ".");
        assert!(text.contains("x.fold") && text.contains("cannot be read"), "{text}");
    }
}
