//! What a text includes, to the bottom.
//!
//! In: a C, C++ or CUDA file of the generated folder. Out: a digest of it and of every header that
//! it names in quotes. It never runs the preprocessor: headers inside `#if` count too, which at
//! worst compiles once too often. Headers in angle brackets belong to the compiler's version.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;

/// The texts of one generated folder, each read once.
pub struct Texts {
    folders: Vec<PathBuf>,
    read: HashMap<PathBuf, Option<Text>>,
}

#[derive(Clone)]
struct Text {
    hash: String,
    includes: Vec<String>,
}

impl Texts {
    /// Texts whose quoted headers lie beside them or in `folders`.
    pub fn new(folders: Vec<PathBuf>) -> Texts {
        Texts { folders, read: HashMap::new() }
    }

    /// A digest of `path` and all it includes. The same for the same texts in another folder.
    pub fn digest(&mut self, path: &Path) -> Result<String, Error> {
        // Read again by name, for the error.
        if self.text(path).is_none() {
            fs::read_to_string(path).map_err(Error::io("read", path))?;
        }
        let mut found = BTreeMap::new();
        let mut todo = vec![(String::from("."), path.to_path_buf())];
        let mut seen = BTreeSet::new();
        while let Some((name, path)) = todo.pop() {
            let Some(text) = self.text(&path) else {
                found.insert(name, "missing".to_string());
                continue;
            };
            found.insert(name, text.hash);
            if seen.insert(path.clone()) {
                todo.extend(text.includes.into_iter().map(|name| {
                    let place = self.resolve(&path, &name);
                    (name, place)
                }));
            }
        }
        let lines: String = found.iter().map(|(name, hash)| format!("{name} {hash}\n")).collect();
        Ok(blake3::hash(lines.as_bytes()).to_hex().to_string())
    }

    fn text(&mut self, path: &Path) -> Option<Text> {
        let read = |path: &PathBuf| fs::read_to_string(path).ok().map(|t| Text::of(&t));
        self.read.entry(path.to_path_buf()).or_insert_with_key(read).clone()
    }

    /// Where the compiler finds a quoted header; beside the includer if nowhere.
    fn resolve(&self, includer: &Path, name: &str) -> PathBuf {
        let beside = includer.with_file_name(name);
        let others = self.folders.iter().map(|f| f.join(name));
        let mut places = std::iter::once(beside.clone()).chain(others);
        places.find(|p| p.is_file()).unwrap_or(beside)
    }
}

impl Text {
    fn of(text: &str) -> Text {
        let includes = text.lines().filter_map(included).map(String::from).collect();
        Text { hash: blake3::hash(text.as_bytes()).to_hex().to_string(), includes }
    }
}

/// The header that a line includes in quotes.
fn included(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("include")?;
    Some(rest.trim_start().strip_prefix('"')?.split_once('"')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(dir: &Path) -> String {
        Texts::new(vec![dir.join("include")]).digest(&dir.join("k/a.cpp")).unwrap()
    }

    fn put(dir: &Path, path: &str, text: &str) {
        fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
        fs::write(dir.join(path), text).unwrap();
    }

    #[test]
    fn follows_quoted_includes_only() {
        for (line, name) in [
            ("#include \"tf.h\"", Some("tf.h")),
            ("  #  include \"a/b.h\" // why", Some("a/b.h")),
            ("#include <stdint.h>", None),
            ("// #include \"x.h\"", None),
            ("#includes \"x.h\"", None),
        ] {
            assert_eq!(included(line), name, "{line}");
        }
    }

    #[test]
    fn any_header_changes_the_digest_and_the_place_does_not() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [one.path(), two.path()] {
            put(dir, "k/a.cpp", "#include \"tf_cpu.h\"\n");
            put(dir, "include/tf_cpu.h", "#include \"tf_abi.h\"\n#include \"tf_cpu.h\"\n");
            put(dir, "include/tf_abi.h", "int x;\n");
        }
        let before = digest(one.path());
        assert_eq!(before, digest(two.path()));
        put(two.path(), "include/tf_abi.h", "int y;\n");
        let changed = digest(two.path());
        assert_ne!(before, changed);
        fs::remove_file(two.path().join("include/tf_abi.h")).unwrap();
        let missing = digest(two.path());
        assert!(missing != before && missing != changed);
        // A header beside the text comes before the one in the include folder.
        put(one.path(), "k/tf_cpu.h", "\n");
        assert_ne!(before, digest(one.path()));
    }

    #[test]
    fn a_missing_text_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = Texts::new(vec![]).digest(&dir.path().join("no.cpp")).unwrap_err();
        assert!(error.to_string().contains("cannot read") && error.to_string().contains("no.cpp"));
    }
}
