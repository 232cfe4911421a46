//! The wheels that [`super::fetch`] takes from PyPI: data, and nothing else.
//!
//! CUDA 13.0 is the oldest toolkit whose wheels unpack into one working tree; its PTX (ISA 9.0) is
//! accepted by every driver that runs CUDA 13. The disassemblers have no 13.0 wheels; they read
//! older code. To move a pin, download the wheel, check the new nvcc on the corpus, and put its
//! `sha256sum` here.

use super::Kit;

/// One wheel, for Linux on x86-64.
pub struct Pin {
    pub package: &'static str,
    pub version: &'static str,
    /// Of the wheel file, in hexadecimal.
    pub sha256: &'static str,
    /// Size of the download, for people.
    pub megabytes: u32,
}

const NVCC: &[Pin] = &[
    Pin {
        package: "nvidia-cuda-nvcc",
        version: "13.0.88",
        sha256: "56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03",
        megabytes: 37,
    },
    Pin {
        package: "nvidia-nvvm",
        version: "13.0.88",
        sha256: "c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0",
        megabytes: 62,
    },
    Pin {
        package: "nvidia-cuda-crt",
        version: "13.0.88",
        sha256: "2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4",
        megabytes: 1,
    },
    Pin {
        package: "nvidia-cuda-runtime",
        version: "13.0.96",
        sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        megabytes: 3,
    },
    Pin {
        package: "nvidia-cuda-cuobjdump",
        version: "13.2.86",
        sha256: "d332c2ffe78e703ca0a3894be927f83124244e2acf0d792b8c12b4362d44d837",
        megabytes: 1,
    },
    Pin {
        package: "nvidia-cuda-nvdisasm",
        version: "13.2.86",
        sha256: "53606e719ecae07a2335f95902d5a1393a0cc1c317499ee7ffcf628a44385f2c",
        megabytes: 5,
    },
];

const LIBCLANG: &[Pin] = &[Pin {
    package: "libclang",
    version: "18.1.1",
    sha256: "c533091d8a3bbf7460a00cb6c1a71da93bffe148f172c7d03b1c31fbf8aa2a0b",
    megabytes: 25,
}];

impl Kit {
    /// Its wheels; the first one gives it its version.
    pub(super) fn pins(self) -> &'static [Pin] {
        match self {
            Kit::Nvcc => NVCC,
            Kit::Libclang => LIBCLANG,
        }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Kit::Nvcc => "nvcc",
            Kit::Libclang => "libclang",
        }
    }

    /// The version that is fetched.
    pub fn version(self) -> &'static str {
        self.pins()[0].version
    }

    /// The file that the kit is for, in its unpacked wheels.
    pub(super) fn main_file(self) -> &'static str {
        match self {
            Kit::Nvcc => "nvidia/cu13/bin/nvcc",
            Kit::Libclang => "libclang-18.1.1.data/platlib/clang/native/libclang.so",
        }
    }

    /// Folders of programs: wheels lose the permission to run.
    pub(super) fn program_folders(self) -> &'static [&'static str] {
        match self {
            Kit::Nvcc => &["nvidia/cu13/bin", "nvidia/cu13/nvvm/bin"],
            Kit::Libclang => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_exact() {
        for kit in [Kit::Nvcc, Kit::Libclang] {
            for pin in kit.pins() {
                assert_eq!(pin.sha256.len(), 64, "{}", pin.package);
                assert!(pin.sha256.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')));
                assert!(pin.version.split('.').all(|n| n.parse::<u32>().is_ok()));
                assert!(pin.megabytes > 0);
            }
            assert!(kit.main_file().contains("cu13") || kit.main_file().contains(kit.version()));
        }
    }
}
