//! A hash for small keys of this process. Goes in: a few words. Comes out: a hash, fast. It never
//! hashes what strangers choose: it does not resist them.
//!
//! The function is that of rustc (`rustc-hash`): rotate, xor, multiply.

use std::hash::{BuildHasherDefault, Hasher};

/// Builds the hashers of a map.
pub(super) type Quick = BuildHasherDefault<QuickHasher>;

/// See the module's text.
#[derive(Default)]
pub(super) struct QuickHasher(u64);

impl Hasher for QuickHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|&word| self.write_u64(u64::from_le_bytes(word)));
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x51_7c_c1_b7_27_22_0a_95);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        // Maps take the upper bits as a tag and the lower ones as a place.
        self.0.rotate_left(26)
    }
}
