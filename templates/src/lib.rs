//! The text of tilefold's templates and headers, embedded so that the compiler needs no files.
//!
//! `*.hbs` is text that depends on a formula; everything under `include/` is real C, C++ or CUDA
//! that compiles alone. This crate decides nothing.

pub mod flags;

/// Handlebars templates by name; partials are named by `{{> name}}`.
pub const TEMPLATES: &[(&str, &str)] = &[
    ("banner", include_str!("../shared/banner.hbs")),
    ("stage", include_str!("../shared/stage.hbs")),
    ("words", include_str!("../shared/words.hbs")),
    ("states", include_str!("../shared/states.hbs")),
    ("fold", include_str!("../shared/fold.hbs")),
    ("stream", include_str!("../shared/stream.hbs")),
    ("look", include_str!("../shared/look.hbs")),
    ("outputs", include_str!("../shared/outputs.hbs")),
    ("panel", include_str!("../shared/panel.hbs")),
    ("home", include_str!("../shared/home.hbs")),
    ("kernel.cpp", include_str!("../cpu/kernel.cpp.hbs")),
    ("kernel.cu", include_str!("../cuda/kernel.cu.hbs")),
    ("kernel.c", include_str!("../abi/kernel.c.hbs")),
    ("wrapper.rs", include_str!("../rust/wrapper.rs.hbs")),
    ("call", include_str!("../rust/call.rs.hbs")),
];

/// Headers that emitted code includes, by file name.
pub const HEADERS: &[(&str, &str)] = &[
    ("cpu_filter.h", include_str!("../include/cpu_filter.h")),
    ("cpu_lists.h", include_str!("../include/cpu_lists.h")),
    ("cpu_search.h", include_str!("../include/cpu_search.h")),
    ("cpu_wide.h", include_str!("../include/cpu_wide.h")),
    ("cpu_rows.h", include_str!("../include/cpu_rows.h")),
    ("cuda_filter.cuh", include_str!("../include/cuda_filter.cuh")),
    ("cuda_mma.cuh", include_str!("../include/cuda_mma.cuh")),
    ("cuda_panel.cuh", include_str!("../include/cuda_panel.cuh")),
    ("cuda_reduce.cuh", include_str!("../include/cuda_reduce.cuh")),
    ("cuda_rows.cuh", include_str!("../include/cuda_rows.cuh")),
    ("cuda_wide.cuh", include_str!("../include/cuda_wide.cuh")),
    ("half.h", include_str!("../include/half.h")),
    ("kernel.h", include_str!("../include/kernel.h")),
    ("reduce.h", include_str!("../include/reduce.h")),
    ("statistics.h", include_str!("../include/statistics.h")),
    ("tf_abi.h", include_str!("../include/tf_abi.h")),
    ("tf_cpu.h", include_str!("../include/tf_cpu.h")),
    ("tf_cuda.cuh", include_str!("../include/tf_cuda.cuh")),
    ("tf_desc.h", include_str!("../include/tf_desc.h")),
    ("tf_gamma.h", include_str!("../include/tf_gamma.h")),
    ("tf_int.h", include_str!("../include/tf_int.h")),
    ("tf_math.h", include_str!("../include/tf_math.h")),
    ("tf_mma.cuh", include_str!("../include/tf_mma.cuh")),
    ("tf_pairs.h", include_str!("../include/tf_pairs.h")),
    ("tf_special.h", include_str!("../include/tf_special.h")),
];
