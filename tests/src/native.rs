//! Formulas compiled for the CPU by the C++ compiler, loaded and run.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fs;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::RwLock;

use libloading::Library;
use tilefold::{
    Call, Complex, Component, Error, Kernel, Level, Options, Outputs, Policy, Ranges, sys,
};
use tilefold::{bf16, f16};
use tilefold_compiler::emit::{self, KernelText};
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{Dtype, Formula, Kind, Storage};
use tilefold_templates::flags;

use crate::held::{Held, Scalar, numbers};
use crate::problem::Problem;
use crate::toolchain::{self, Product, Source};

/// Instruction levels that this machine can run, the best one last.
pub fn levels() -> Vec<Level> {
    Level::ALL.iter().copied().filter(|level| level.is_supported()).collect()
}

/// The best instruction level of this machine.
pub fn best() -> Level {
    *levels().last().expect("some level runs on every machine that tilefold knows")
}

/// A shared library of compiled formulas. It stays loaded for ever, as kernels do.
pub struct Native {
    library: &'static Library,
    symbols: Vec<String>,
}

impl Native {
    /// Compiles every formula for every dtype and level, optimized as what is shipped.
    ///
    /// # Panics
    /// When a formula cannot be emitted or compiled.
    pub fn build<S: Copy + Into<Storage>>(
        formulas: &[Formula],
        dtypes: &[S],
        levels: &[Level],
    ) -> Native {
        let texts = texts(formulas);
        let symbols = texts.iter().map(|t| t.symbol.clone()).collect();
        let mut sources = Vec::new();
        for text in distinct(&texts) {
            for dtype in dtypes.iter().map(|&dtype| dtype.into()) {
                sources.push(descriptor(text, dtype, levels));
                sources.extend(levels.iter().map(|&level| code(text, dtype, level)));
            }
        }
        let path = toolchain::build(Product::Library, &sources, &[]);
        Native { library: load(&path), symbols }
    }

    /// The same for many small formulas: several a file, and less optimized, which takes half of
    /// the time.
    ///
    /// # Panics
    /// As [`Native::build`].
    pub fn quick<S: Copy + Into<Storage>>(
        formulas: &[Formula],
        dtypes: &[S],
        levels: &[Level],
    ) -> Native {
        Native::with_images(formulas, dtypes, levels, |_, _| None)
    }

    /// As [`Native::quick`], of one dtype for one level, whose code is told to leave something out;
    /// see cpu_filter.h.
    ///
    /// # Panics
    /// As [`Native::build`].
    pub fn leaving_out(formulas: &[Formula], dtype: Dtype, level: Level, what: u32) -> Native {
        let dtype: Storage = dtype.into();
        let texts = texts(formulas);
        let symbols = texts.iter().map(|t| t.symbol.clone()).collect();
        let mut sources = quick_code(&texts, dtype, level);
        sources.iter_mut().for_each(|s| s.flags.push(format!("-DTF_LEAVE_OUT={what}")));
        let described = |text: &&KernelText| descriptor(text, dtype, &[level]);
        sources.extend(distinct(&texts).iter().map(described));
        Native { library: load(&toolchain::build(Product::Library, &sources, &[])), symbols }
    }

    /// As [`Native::quick`], with the CUDA image that `image` has for a kernel: its file.
    pub(crate) fn with_images<S: Copy + Into<Storage>>(
        formulas: &[Formula],
        dtypes: &[S],
        levels: &[Level],
        image: impl Fn(&KernelText, Storage) -> Option<PathBuf>,
    ) -> Native {
        let texts = texts(formulas);
        let symbols = texts.iter().map(|t| t.symbol.clone()).collect();
        let (mut sources, mut images) = (Vec::new(), BTreeMap::<PathBuf, Vec<String>>::new());
        for dtype in dtypes.iter().map(|&dtype| dtype.into()) {
            for text in distinct(&texts) {
                let mut made = descriptor(text, dtype, levels);
                if let Some(file) = image(text, dtype) {
                    let bytes = fs::metadata(&file).map(|meta| meta.len());
                    let bytes = bytes.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
                    made.flags.push(format!("-DTF_HAS_IMAGE={bytes}"));
                    let name = format!("{}_{}_image", text.symbol, dtype.name());
                    images.entry(file).or_default().push(name);
                }
                sources.push(made);
            }
            sources.extend(levels.iter().flat_map(|&level| quick_code(&texts, dtype, level)));
        }
        sources.extend(images.iter().map(|(file, names)| image_of(file, names)));
        Native { library: load(&toolchain::build(Product::Library, &sources, &[])), symbols }
    }

    /// The descriptor of formula `n`.
    pub fn raw(&self, n: usize, dtype: impl Into<Storage>) -> &'static sys::tf_kernel {
        // SAFETY: a descriptor of a library that stays loaded.
        unsafe { &*descriptor_of(self.library, &self.symbols[n], dtype.into()) }
    }

    /// Formula `n`, checked by the runtime.
    ///
    /// # Panics
    /// When the runtime refuses the descriptor.
    pub fn kernel(&self, n: usize, dtype: impl Into<Storage>) -> &'static Kernel {
        // SAFETY: the descriptor was emitted by the compiler and compiled as it asks for; its
        // library stays loaded.
        let kernel = unsafe { Kernel::from_raw(self.raw(n, dtype)) };
        kernel.unwrap_or_else(|e| panic!("{}: {e}", self.symbols[n]))
    }

    /// Formula `n` as if it had no code of its own for few rows: they are part of a block.
    ///
    /// # Panics
    /// When the runtime refuses the descriptor.
    pub fn kernel_in_blocks(&self, n: usize, dtype: impl Into<Storage>) -> &'static Kernel {
        self.kernel_with(n, dtype, |_, code| sys::tf_cpu_stage {
            few: std::ptr::null(),
            few_rows: 0,
            ..code
        })
    }

    /// Formula `n`, whose folds at a level take column j for column `FAR + j`: no array has so many
    /// rows.
    ///
    /// # Panics
    /// When the runtime refuses the descriptor.
    pub fn kernel_far(&self, n: usize, dtype: Dtype, level: Level) -> &'static Kernel {
        self.kernel_with(n, dtype, |of, code| {
            if of != level {
                return code;
            }
            // SAFETY: null, or the code for few rows, which stays in place.
            let few = unsafe { code.few.as_ref() }.map(|&few| {
                let code = sys::tf_cpu_stage { block: Some(far::<true>), ..few };
                AHEAD.write().expect("no test panics here").1 = few.block;
                &raw const *Box::leak(Box::new(code))
            });
            AHEAD.write().expect("no test panics here").0 = code.block;
            let few = few.unwrap_or(std::ptr::null());
            sys::tf_cpu_stage { block: Some(far::<false>), few, ..code }
        })
    }

    /// Formula `n` with the CPU code that `change` makes of its own.
    fn kernel_with(
        &self,
        n: usize,
        dtype: impl Into<Storage>,
        change: impl Fn(Level, sys::tf_cpu_stage) -> sys::tf_cpu_stage,
    ) -> &'static Kernel {
        let mut kernel = *self.raw(n, dtype);
        // SAFETY: the descriptor was emitted by the compiler: the count is right.
        let stages = unsafe { slice::from_raw_parts(kernel.stages, kernel.n_stages as usize) };
        let mut stages = stages.to_vec();
        for (&level, code) in
            stages.iter_mut().flat_map(|stage| Level::ALL.iter().zip(&mut stage.cpu))
        {
            // SAFETY: null, or the code of a level, which stays in place.
            let Some(&blocks) = (unsafe { code.as_ref() }) else { continue };
            *code = Box::leak(Box::new(change(level, blocks)));
        }
        kernel.stages = Vec::leak(stages).as_ptr();
        // SAFETY: the same descriptor, but for what every descriptor may lack and for what calls
        // its own code.
        let kernel = unsafe { Kernel::from_raw(Box::leak(Box::new(kernel))) };
        kernel.unwrap_or_else(|e| panic!("{}: {e}", self.symbols[n]))
    }

    /// Runs formula `n` both ways: by [`Native::kernel`] and by [`Native::kernel_in_blocks`].
    ///
    /// # Errors
    /// What the runtime says.
    pub fn run_both(
        &self,
        n: usize,
        dtype: Dtype,
        level: Level,
        problem: &Problem,
    ) -> Result<[Vec<Matrix>; 2], Error> {
        let options = || Options::new().executor(Policy::Cpu).level(level);
        let blocks = self.kernel_in_blocks(n, dtype);
        Ok([
            self.run(n, dtype, level, problem)?,
            run_kernel(blocks, dtype.into(), options(), None, problem)?,
        ])
    }

    /// Runs formula `n`, which has to be the problem's, through the runtime.
    ///
    /// # Errors
    /// What the runtime says.
    pub fn run(
        &self,
        n: usize,
        dtype: impl Into<Storage>,
        level: Level,
        problem: &Problem,
    ) -> Result<Vec<Matrix>, Error> {
        let options = Options::new().executor(Policy::Cpu).level(level);
        self.run_in(n, dtype, options, None, problem)
    }

    /// As [`Native::run`], with options and ranges.
    ///
    /// # Errors
    /// What the runtime says.
    pub fn run_in(
        &self,
        n: usize,
        dtype: impl Into<Storage>,
        options: Options,
        ranges: Option<&Ranges>,
        problem: &Problem,
    ) -> Result<Vec<Matrix>, Error> {
        let dtype = dtype.into();
        run_kernel(self.kernel(n, dtype), dtype, options, ranges, problem)
    }
}

/// What [`Native::kernel_far`] adds to the number of a column: rows pass 2^31 soon.
pub const FAR: i64 = (1 << 31) - 192;

type Block = Option<
    unsafe extern "C" fn(*const c_void, *const c_void, *const c_void, i64, i64, i64, *mut c_void),
>;

/// The fold of the kernel that [`Native::kernel_far`] made last: of blocks, and of few rows.
static AHEAD: RwLock<(Block, Block)> = RwLock::new((None, None));

/// A fold that begins [`FAR`] columns later.
///
/// # Safety
/// As the fold itself: the columns are where they were.
unsafe extern "C" fn far<const FEW: bool>(
    params: *const c_void,
    rows: *const c_void,
    cols: *const c_void,
    i0: i64,
    j0: i64,
    j1: i64,
    state: *mut c_void,
) {
    let both = *AHEAD.read().expect("no test panics here");
    let block = if FEW { both.1 } else { both.0 }.expect("a kernel was made");
    // SAFETY: the caller's promise.
    unsafe { block(params, rows, cols, i0, j0 + FAR, j1 + FAR, state) }
}

/// Runs a kernel of the problem's formula through the runtime.
///
/// # Errors
/// What the runtime says.
pub fn run_kernel(
    kernel: &'static Kernel,
    dtype: Storage,
    options: Options,
    ranges: Option<&Ranges>,
    problem: &Problem,
) -> Result<Vec<Matrix>, Error> {
    let how = (options, ranges);
    match dtype {
        Storage::F16 => run::<f16>(kernel, how, problem),
        Storage::BF16 => run::<bf16>(kernel, how, problem),
        Storage::F32 => run::<f32>(kernel, how, problem),
        Storage::F64 => run::<f64>(kernel, how, problem),
    }
}

/// The code of every formula for one level, several a file.
pub(crate) fn quick_code(texts: &[KernelText], dtype: Storage, level: Level) -> Vec<Source> {
    distinct(texts).chunks(KERNELS_PER_FILE).map(|group| joined(group, dtype, level)).collect()
}

/// The text of every formula.
pub(crate) fn texts(formulas: &[Formula]) -> Vec<KernelText> {
    toolchain::parallel(formulas, |f| {
        emit::kernel(f, &f.name, "a test").unwrap_or_else(|e| panic!("{}: {e}", f.name))
    })
}

/// Each text once: equal formulas have equal symbols.
pub(crate) fn distinct(texts: &[KernelText]) -> Vec<&KernelText> {
    let mut all: Vec<&KernelText> = texts.iter().collect();
    all.sort_by(|a, b| a.symbol.cmp(&b.symbol));
    all.dedup_by(|a, b| a.symbol == b.symbol);
    all
}

pub(crate) fn load(path: &Path) -> &'static Library {
    // SAFETY: the library has no constructors.
    let library = unsafe { Library::new(path) };
    Box::leak(Box::new(library.unwrap_or_else(|e| panic!("{}: {e}", path.display()))))
}

pub(crate) fn descriptor_of(
    library: &'static Library,
    symbol: &str,
    dtype: Storage,
) -> *const sys::tf_kernel {
    let name = format!("{symbol}_{}\0", dtype.name());
    // SAFETY: the symbol is a descriptor; only its address is taken.
    let found = unsafe { library.get::<*const sys::tf_kernel>(name.as_bytes()) };
    *found.unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The C descriptor, for the levels that are linked beside it.
pub(crate) fn descriptor(text: &KernelText, dtype: Storage, levels: &[Level]) -> Source {
    let mut flags = vec!["-O1".into(), "-fPIC".into(), include(&toolchain::headers())];
    flags.extend(flags::dtype(dtype.name()).descriptor.iter().map(|s| s.to_string()));
    flags.extend(levels.iter().map(|l| flags::level(l.name()).descriptor.to_string()));
    Source { name: text.symbol.clone(), language: "c", text: text.desc.clone(), flags }
}

/// The image that descriptors name: whatever is in the file.
fn image_of(file: &Path, names: &[String]) -> Source {
    let label = |name: &String| format!("\".global {name}\\n{name}:\\n\"\n");
    let labels: String = names.iter().map(label).collect();
    let text = format!(
        "__asm__(\".section .rodata\\n.balign 64\\n\"\n{labels}\
         \".incbin \\\"{}\\\"\\n.byte 0\\n.previous\\n\");\n",
        file.display()
    );
    Source { name: names[0].clone(), language: "c", text, flags: vec!["-fPIC".into()] }
}

/// Kernels a file of [`Native::quick`].
const KERNELS_PER_FILE: usize = 8;

/// Several kernels in one file, each in a namespace of its own.
fn joined(group: &[&KernelText], dtype: Storage, level: Level) -> Source {
    let mut source = code(group[0], dtype, level);
    source.flags.extend(toolchain::QUICK.map(String::from));
    source.text = String::from("#include \"tf_cpu.h\"\n#include \"cpu_filter.h\"\n");
    for kernel in group {
        source.text += &format!("namespace in_{} {{\n{}}}\n", kernel.symbol, kernel.cpp);
    }
    source
}

/// The code of a formula for one level, optimized as what is shipped.
pub(crate) fn code(text: &KernelText, dtype: Storage, level: Level) -> Source {
    let fixed = "-O2 -std=c++17 -ffp-contract=fast -fno-math-errno -fno-trapping-math \
                 -fno-exceptions -fno-rtti -fPIC -Wall -Wextra -Werror -Wno-unused-variable \
                 -Wno-unused-but-set-variable";
    let mut flags: Vec<String> = fixed.split_whitespace().map(String::from).collect();
    flags.extend(flags::level(level.name()).kernel.iter().map(|s| s.to_string()));
    flags.extend(real_macros(dtype));
    flags.push(include(&toolchain::headers()));
    Source { name: text.symbol.clone(), language: "cpp", text: text.cpp.clone(), flags }
}

/// What chooses the scalar types in C++ and CUDA text.
pub(crate) fn real_macros(dtype: Storage) -> Vec<String> {
    flags::dtype(dtype.name()).kernel.iter().map(|s| s.to_string()).collect()
}

pub(crate) fn include(folder: &Path) -> String {
    format!("-I{}", folder.display())
}

fn run<T: Scalar>(
    kernel: &'static Kernel,
    (options, ranges): (Options, Option<&Ranges>),
    problem: &Problem,
) -> Result<Vec<Matrix>, Error> {
    let inputs = || problem.formula.inputs.iter().zip(&problem.inputs);
    let arrays: Vec<Held<T>> = inputs().map(|(input, m)| Held::new(input.kind, m)).collect();
    let mut call = Call::new(kernel).rows(problem.m, problem.n).options(options);
    if let Some(ranges) = ranges {
        call = call.ranges(ranges);
    }
    for ((input, _), array) in inputs().zip(&arrays) {
        call = call.arg(&input.name, array.operand());
    }
    let mut results = call.run()?;
    let f = &problem.formula;
    let take = |o: &tilefold_compiler::ir::Output| match f.kind(o.expr) {
        Kind::Real => matrix(&mut results, &o.name, |x: T| [x.to_f64()]),
        Kind::Complex => {
            matrix(&mut results, &o.name, |z: Complex<T>| [z.re.to_f64(), z.im.to_f64()])
        }
        Kind::Int => matrix(&mut results, &o.name, |row: i64| [row as f64]),
    };
    f.outputs.iter().map(take).collect()
}

/// An output, with the scalars of each of its entries side by side.
fn matrix<T: Component, const N: usize>(
    results: &mut Outputs,
    name: &str,
    scalars: impl Fn(T) -> [f64; N],
) -> Result<Matrix, Error> {
    Ok(numbers(&results.take::<T>(name)?, scalars))
}
