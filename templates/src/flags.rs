//! What a compiler must be told with the emitted text: the flags of every kernel, those of each
//! instruction level, and those of each scalar type. They are documented in `kernel.h`, `tf_cpu.h`
//! and `tf_desc.h`, whose macros they define. It never finds or runs a compiler.

/// For C++ kernels. They are plain functions on arrays: no exceptions, no errno, products fused
/// into sums. `-fno-fast-math` undoes what CXXFLAGS may say: accuracy is promised.
pub const KERNEL: &[&str] = &[
    "-std=c++17",
    "-O2",
    "-fno-fast-math",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-exceptions",
    "-fno-rtti",
    "-fPIC",
    "-ffunction-sections",
];

/// Makes an object of one stage of a C++ kernel; without it the object has all.
pub fn stage(n: usize) -> String {
    format!("-DTF_STAGE={n}")
}

/// For descriptors. They are C, whatever the driver's name: in C++ their constants would stay in
/// the object.
pub const DESCRIPTOR: &[&str] = &["-x", "c", "-std=c11", "-O2", "-fPIC"];

/// For the text of [`image_text`], which has no preprocessor lines.
pub const IMAGE: &[&str] = &["-x", "assembler"];

/// The assembler text that makes `<symbol>_image` and `<symbol>_image_end` of a CUDA image. The
/// file goes by its bare name: the assembler runs in its folder, so that the text is the same on
/// every machine.
pub fn image_text(symbol: &str, file: &str) -> String {
    format!(
        "\t.section .rodata\n\t.balign 64\n\
         \t.globl {symbol}_image\n{symbol}_image:\n\t.incbin \"{file}\"\n\
         \t.globl {symbol}_image_end\n{symbol}_image_end:\n\t.byte 0\n\
         \t.section .note.GNU-stack,\"\",%progbits\n"
    )
}

/// An instruction level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The name that people see.
    pub name: &'static str,
    /// What a kernel is compiled with.
    pub kernel: &'static [&'static str],
    /// Tells the descriptor that the level's code is linked.
    pub descriptor: &'static str,
}

/// Every level, in the order of `TF_LEVEL_*` in `tf_abi.h`.
pub const LEVELS: &[Level] = &[
    Level {
        name: "x86-64-v2",
        kernel: &["-march=x86-64-v2", "-DTF_VB=16"],
        descriptor: "-DTF_HAS_V2=1",
    },
    Level {
        name: "x86-64-v3",
        kernel: &["-march=x86-64-v3", "-DTF_VB=32"],
        descriptor: "-DTF_HAS_V3=1",
    },
    Level {
        name: "x86-64-v4",
        kernel: &["-march=x86-64-v4", "-DTF_VB=64"],
        descriptor: "-DTF_HAS_V4=1",
    },
    Level {
        name: "neon",
        kernel: &["-march=armv8-a", "-DTF_VB=16"],
        descriptor: "-DTF_HAS_NEON=1",
    },
];

/// A scalar type of arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dtype {
    /// As in formula files and symbols.
    pub name: &'static str,
    /// What C++ and CUDA text is compiled with: what it computes with, what arrays hold.
    pub kernel: &'static [&'static str],
    /// What a descriptor is compiled with.
    pub descriptor: &'static [&'static str],
}

/// Every scalar type.
pub const DTYPES: &[Dtype] = &[
    Dtype {
        name: "f16",
        kernel: &["-DTF_REAL_T=float", "-DTF_STORE_F16=1"],
        descriptor: &["-DTF_DOUBLE=0", "-DTF_STORE_F16=1"],
    },
    Dtype {
        name: "bf16",
        kernel: &["-DTF_REAL_T=float", "-DTF_STORE_BF16=1"],
        descriptor: &["-DTF_DOUBLE=0", "-DTF_STORE_BF16=1"],
    },
    Dtype { name: "f32", kernel: &["-DTF_REAL_T=float"], descriptor: &["-DTF_DOUBLE=0"] },
    Dtype { name: "f64", kernel: &["-DTF_REAL_T=double"], descriptor: &["-DTF_DOUBLE=1"] },
];

/// The level of a name.
///
/// # Panics
/// When there is none, which is a bug of the caller: names are those of [`LEVELS`].
pub fn level(name: &str) -> &'static Level {
    let found = LEVELS.iter().find(|level| level.name == name);
    found.unwrap_or_else(|| panic!("internal: no flags for the level {name}"))
}

/// The scalar type of a name.
///
/// # Panics
/// When there is none, which is a bug of the caller: names are those of [`DTYPES`].
pub fn dtype(name: &str) -> &'static Dtype {
    let found = DTYPES.iter().find(|dtype| dtype.name == name);
    found.unwrap_or_else(|| panic!("internal: no flags for the dtype {name}"))
}
