//! The targets, one file each. In: bytes. Out: a signature, which says what came of them, or what
//! promise was broken.

mod canonical;
mod lazy;
mod pipeline;
mod ranges;
mod readers;
mod text;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use tilefold_tests::rng::Rng;

use crate::driver::files;

/// Something that takes hostile input.
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// What must hold for every input.
    pub promise: &'static str,
    /// Runs one input: its signature, or the broken promise.
    pub run: fn(&[u8]) -> Result<u64, String>,
    /// Makes an input from scratch, for what mutations would hardly hit.
    pub make: Option<fn(&mut Rng) -> Vec<u8>>,
    /// Whether inputs are formula files, so that those of the repository are seeds.
    pub reads_formulas: bool,
}

/// Every target.
pub static TARGETS: [Target; 6] = [
    text::TARGET,
    canonical::TARGET,
    pipeline::TARGET,
    lazy::TARGET,
    readers::TARGET,
    ranges::TARGET,
];

impl Target {
    /// The target of that name.
    pub fn named(name: &str) -> Option<&'static Target> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Where its corpus lies.
    pub fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name)
    }

    /// The committed corpus, and the formula files of this repository if it reads those.
    pub fn corpus(&self) -> Vec<Vec<u8>> {
        let mut all = files(&self.folder(), None);
        if self.reads_formulas {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
            for folder in ["formulas", "tests/formulas", "tests/errors"] {
                all.extend(files(&root.join(folder), Some("fold")));
            }
        }
        all
    }
}

/// A hash of anything.
fn signature(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Text from bytes; what is no UTF-8 is replaced.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
