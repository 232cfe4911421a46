//! The CUDA code of a kernel. Goes in: a descriptor. Comes out: the image, and how to launch each
//! stage. It never launches.

use std::ffi::c_char;
use std::slice;

use super::{Kernel, Stage, text};

/// How one stage is launched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CudaStage<'k> {
    /// Absent when nothing is reduced.
    pub rows_entry: Option<&'k str>,
    /// The same for a list of tiles.
    pub tiles_entry: Option<&'k str>,
    pub finish_entry: &'k str,
    pub threads: u32,
    pub rows_per_block: usize,
    pub tile_cols: usize,
    pub shared_bytes: u32,
    /// Workspace for one thread of one block.
    pub state_bytes: usize,
}

impl Kernel {
    /// The CUDA code; empty if there is none.
    pub(crate) fn image(&self) -> &[u8] {
        if self.0.image.is_null() {
            return &[];
        }
        // SAFETY: `from_raw` promises `image_bytes` bytes at `image`, as long as the kernel is
        // there; the check refuses lengths over `isize::MAX`.
        unsafe { slice::from_raw_parts(self.0.image, self.0.image_bytes as usize) }
    }
}

impl<'k> Stage<'k> {
    /// The launch facts; `None` if there are none.
    pub(crate) fn cuda(self) -> Option<CudaStage<'k>> {
        let raw = &self.raw.cuda;
        let entry = |name: *const c_char| {
            // SAFETY: not null here; ends in a zero and stays in place (`from_raw`).
            (!name.is_null()).then(|| unsafe { text(name) })
        };
        Some(CudaStage {
            rows_entry: entry(raw.rows_entry),
            tiles_entry: entry(raw.tiles_entry),
            finish_entry: entry(raw.finish_entry)?,
            threads: raw.threads,
            rows_per_block: (raw.rows_per_block as usize).max(1),
            tile_cols: (raw.tile_cols as usize).max(1),
            shared_bytes: raw.shared_bytes,
            state_bytes: usize::try_from(raw.state_bytes).ok()?,
        })
    }
}
