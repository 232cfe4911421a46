//! The GPU that code is compiled for. Goes in: what the caller asks for. Comes out: a compute
//! capability and what compiles for it, or that there is neither. It never runs anything on a GPU.

use super::nvrtc::Nvrtc;
use crate::cuda;
use crate::options::{Options, Policy};
use crate::words;

/// A compute capability, and what compiles for it.
pub(super) struct Gpu {
    arch: String,
    nvrtc: &'static Nvrtc,
}

impl Gpu {
    /// The capability that is asked for, or the device's if the call may run there. An error is a
    /// note: why there is no code for a device that is there.
    pub fn find(asked: Option<(u32, u32)>, options: &Options) -> Result<Option<Gpu>, String> {
        let device = || {
            let all = cuda::devices();
            let device = all.into_iter().find(|device| device.ordinal == options.device)?;
            Some((device.compute.0.try_into().ok()?, device.compute.1.try_into().ok()?))
        };
        let compute: Option<(u32, u32)> = match (asked, options.policy) {
            (Some(asked), _) => Some(asked),
            (None, Policy::Cpu) => None,
            (None, Policy::Auto | Policy::Cuda) => device(),
        };
        let Some((major, minor)) = compute else { return Ok(None) };
        let nvrtc = Nvrtc::find().map_err(words::jit::no_cuda_code)?;
        Ok(Some(Gpu { arch: format!("sm_{major}{minor}"), nvrtc }))
    }

    /// The name of the architecture.
    pub fn arch(&self) -> &str {
        &self.arch
    }

    /// All that decides what an image is, but for the text.
    pub fn identity(&self) -> String {
        format!("{} {}", self.arch, self.nvrtc.identity())
    }

    /// The image of a text, or what the compiler printed.
    pub fn image(&self, text: &str, macros: &[&str]) -> Result<Vec<u8>, String> {
        self.nvrtc.compile(text, macros, &self.arch)
    }
}
