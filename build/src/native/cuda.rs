//! CUDA images: one fatbin a kernel and dtype, put into an object by the assembler.
//!
//! In: nvcc and the list of GPU generations. Out: commands, and the text that wraps a fatbin. It
//! never links CUDA's runtime: an image is data that the driver loads.

use std::fmt;
use std::process::Command;
use std::time::Duration;

use super::{Tool, run_tool};
use crate::Error;

/// How a fatbin begins.
pub const FATBIN_MAGIC: [u8; 4] = [0x50, 0xed, 0x55, 0xba];

/// One GPU generation, as machine code or as PTX that drivers translate for later ones.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Arch {
    Code(String),
    Ptx(String),
}

/// The GPU generations that an image holds code for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archs(Vec<Arch>);

impl Default for Archs {
    /// Ampere, Hopper and Blackwell data-centre GPUs, and PTX for everything from Ampere on.
    fn default() -> Archs {
        Archs::parse("80,90,100,ptx80").expect("the default list is well formed")
    }
}

impl Archs {
    /// Reads `80,sm_90,compute_80`: numbers and `sm_` are machine code, `ptx` and `compute_` PTX.
    pub fn parse(list: &str) -> Result<Archs, Error> {
        list.split(',').map(|item| Arch::parse(item.trim())).collect::<Result<_, _>>().map(Archs)
    }

    /// What nvcc is told to make a fatbin for them.
    pub fn flags(&self) -> Vec<String> {
        let generation = |arch: &Arch| {
            let code = match arch {
                Arch::Code(n) => format!("sm_{n}"),
                Arch::Ptx(n) => format!("compute_{n}"),
            };
            format!("-gencode=arch={},code={code}", arch.virtual_name())
        };
        let fixed = ["-fatbin", "-std=c++17", "-O3"].map(String::from);
        fixed.into_iter().chain(self.0.iter().map(generation)).collect()
    }

    /// The generations that a toolkit knows, and the names of the others.
    fn known_to(&self, listed: &str) -> (Archs, Vec<String>) {
        // Variants (90a) are not listed; who knows the generation knows them.
        let plain = |arch: &Arch| arch.virtual_name().trim_end_matches(['a', 'f']).to_string();
        let known = |arch: &&Arch| listed.split_whitespace().any(|l| l == plain(arch));
        let (yes, no): (Vec<_>, Vec<_>) = self.0.iter().partition(known);
        (Archs(yes.into_iter().cloned().collect()), no.iter().map(|a| a.to_string()).collect())
    }
}

impl Arch {
    fn parse(item: &str) -> Result<Arch, Error> {
        let (number, make): (&str, fn(String) -> Arch) =
            match (item.strip_prefix("compute_"), item.strip_prefix("ptx")) {
                (Some(rest), _) | (_, Some(rest)) => (rest, Arch::Ptx),
                _ => (item.strip_prefix("sm_").unwrap_or(item), Arch::Code),
            };
        let digits = number.trim_end_matches(['a', 'f']);
        let whole = digits.parse::<u32>().is_ok_and(|n| (50..1000).contains(&n));
        match whole && number.len() - digits.len() <= 1 {
            true => Ok(make(number.to_string())),
            false => Err(Error::Target {
                problem: format!("`{item}` is not a GPU generation"),
                help: "write a list like 80,90,100,ptx80: code for sm_80, sm_90 and sm_100, and \
                       PTX for later GPUs"
                    .into(),
            }),
        }
    }

    fn virtual_name(&self) -> String {
        let (Arch::Code(n) | Arch::Ptx(n)) = self;
        format!("compute_{n}")
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arch::Code(n) => write!(f, "sm_{n}"),
            Arch::Ptx(n) => write!(f, "ptx{n}"),
        }
    }
}

impl fmt::Display for Archs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(|a| a.to_string()).collect();
        f.write_str(&names.join(","))
    }
}

/// nvcc and what to make with it.
#[derive(Clone, Debug)]
pub struct Cuda {
    /// nvcc.
    pub nvcc: Tool,
    /// For which GPUs.
    pub archs: Archs,
}

impl Cuda {
    /// For the GPUs of a list, all of which nvcc must know; without a list, for the default ones
    /// that it knows. Also gives back the names of those it does not.
    pub fn new(nvcc: Tool, archs: Option<Archs>) -> Result<(Cuda, Vec<String>), Error> {
        let mut command = Command::new(&nvcc.path);
        command.arg("--list-gpu-arch");
        let listed = run_tool("nvcc", &nvcc.path, &mut command, Duration::from_secs(60))?.output;
        let (known, unknown) = archs.clone().unwrap_or_default().known_to(&listed);
        if known.0.is_empty() || (archs.is_some() && !unknown.is_empty()) {
            return Err(Error::Target {
                problem: format!(
                    "nvcc {} at {} cannot compile for {}",
                    nvcc.version,
                    nvcc.path.display(),
                    unknown.join(", ")
                ),
                help: format!(
                    "it knows {}",
                    listed.split_whitespace().collect::<Vec<_>>().join(" ")
                ),
            });
        }
        Ok((Cuda { nvcc, archs: known }, unknown))
    }

    /// Everything about it that decides what it makes.
    pub fn identity(&self) -> String {
        format!("{}\n{}\n{}", self.nvcc.path.display(), self.nvcc.version, self.archs)
    }

    /// Compiles a kernel's CUDA text to a fatbin.
    pub fn fatbin(&self) -> Command {
        let mut command = Command::new(&self.nvcc.path);
        command.args(self.archs.flags());
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_generations() {
        assert_eq!(Archs::default().to_string(), "sm_80,sm_90,sm_100,ptx80");
        let archs = Archs::parse("90a, sm_120,compute_80").unwrap();
        assert_eq!(archs.to_string(), "sm_90a,sm_120,ptx80");
        for bad in ["", "80,", "sm_", "9x", "80;rm", "-gencode", "5", "99999", "80aa"] {
            let error = Archs::parse(bad).unwrap_err().to_string();
            assert!(error.contains("is not a GPU generation"), "{bad}: {error}");
        }
    }

    #[test]
    fn an_old_toolkit_leaves_out_what_it_lacks() {
        let (known, missing) = Archs::default().known_to("compute_75\ncompute_80\ncompute_90\n");
        assert_eq!(known.to_string(), "sm_80,sm_90,ptx80");
        assert_eq!(missing, ["sm_100"]);
        let (known, _) = Archs::parse("90a,100f").unwrap().known_to("compute_90 compute_90a");
        assert_eq!(known.to_string(), "sm_90a");
    }

    #[test]
    fn every_generation_reaches_nvcc() {
        let nvcc = Tool { path: "nvcc".into(), version: "13".into() };
        let cuda = Cuda { nvcc, archs: Archs::parse("90,ptx80").unwrap() };
        let line = crate::process::command_line(&cuda.fatbin());
        assert_eq!(
            line,
            "nvcc -fatbin -std=c++17 -O3 -gencode=arch=compute_90,code=sm_90 \
             -gencode=arch=compute_80,code=compute_80"
        );
    }
}
