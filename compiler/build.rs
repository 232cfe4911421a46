//! Names this version of the compiler by a hash of its sources, so that what was compiled from
//! text of another version is not taken for this one's. In: `src`. Out: TILEFOLD_SOURCES. It never
//! reads anything else, so the name is the same on every machine that has the same Rust.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=src");
    let mut files = Vec::new();
    read(Path::new("src"), &mut files).expect("the sources are readable");
    files.sort();
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    println!("cargo:rustc-env=TILEFOLD_SOURCES={:016x}", hasher.finish());
}

fn read(folder: &Path, files: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read(&path, files)?;
        } else {
            files.push((path.to_string_lossy().replace('\\', "/"), fs::read(&path)?));
        }
    }
    Ok(())
}
