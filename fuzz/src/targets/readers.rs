//! What is read from files and from memory that others wrote: the manifest of a generated folder,
//! files that formulas are recorded in, and descriptors of kernels. The first byte of an input says
//! which. Notes of the jit cache are not among them: they are compared, never parsed.

#![allow(unsafe_code)]

use std::ffi::{c_char, c_void};
use std::fs;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tilefold::record::{self, Outcome};
use tilefold::{Code, Kernel, sys};
use tilefold_build::manifest::{self, Manifest};
use tilefold_compiler::ir::{Axis, Formula, Storage};
use tilefold_tests::rng::Rng;

use super::{Target, lossy, signature};
use crate::choices::Choices;
use crate::mutate;

pub const TARGET: Target = Target {
    name: "readers",
    promise: "a manifest, record or descriptor is refused with its fault, or sound in every field",
    run,
    make: Some(make),
    reads_formulas: false,
};

fn run(bytes: &[u8]) -> Result<u64, String> {
    match bytes.split_first() {
        Some((b'm', text)) => read_manifest(&lossy(text)),
        Some((b'r', text)) => extend_record(text),
        Some((_, choices)) => descriptor(&mut Choices::new(choices)),
        None => Ok(0),
    }
}

fn read_manifest(text: &str) -> Result<u64, String> {
    let manifest = match Manifest::parse(text) {
        Ok(manifest) => manifest,
        Err((line, problem)) => {
            return match line >= 1 && line <= text.lines().count().max(1) && !problem.is_empty() {
                true => Ok(signature(problem.split('`').next())),
                false => Err(format!("line {line} says {problem:?}")),
            };
        }
    };
    let kernels = manifest.libraries.iter().flat_map(|library| &library.kernels);
    let paths =
        kernels.flat_map(|k| [&k.symbol, &k.name, &k.cpp, &k.desc].into_iter().chain(&k.cu));
    let names = manifest.libraries.iter().map(|library| &library.formula);
    if let Some(bad) =
        paths.chain(names).chain(manifest.files.keys()).find(|p| !manifest::is_plain(p))
    {
        return Err(format!("it leads out of its folder: {bad:?}"));
    }
    let again = Manifest::parse(&manifest.print());
    if again.as_ref() != Ok(&manifest) {
        return Err(format!("read, printed and read it is {again:?}"));
    }
    let kernels = |library: &manifest::Library| library.kernels.len().min(3);
    let shape: Vec<usize> = manifest.libraries.iter().take(3).map(kernels).collect();
    Ok(signature((shape, manifest.files.len().min(4))))
}

/// A formula that is recorded.
fn recorded() -> &'static Formula {
    static FORMULA: OnceLock<Formula> = OnceLock::new();
    FORMULA.get_or_init(|| {
        let mut f = Formula::new("recorded");
        let x = f.input("x", Some(Axis::J), 2).expect("a small dim");
        let square = f.square(x);
        let sum = f.sum_over(Axis::J, square);
        f.output("a", None, sum).expect("reduced over j");
        f
    })
}

/// A descriptor, or rarely, for writing files takes long, a record that has the formula, for one of
/// two types, and maybe something wrong.
fn make(rng: &mut Rng) -> Vec<u8> {
    if !rng.once_in(24) {
        return (0..40 + rng.below(120))
            .map(|n| if n == 0 { b'd' } else { rng.bits() as u8 })
            .collect();
    }
    let storage = *rng.pick(&[Storage::F32, Storage::F64]);
    let text = format!("r{}", record::source(recorded(), storage)).into_bytes();
    if rng.once_in(4) { text } else { mutate::input(rng, &[text]) }
}

/// Formulas are recorded in a file as somebody left it: it is refused and stays as it is, or keeps
/// all that it had.
fn extend_record(before: &[u8]) -> Result<u64, String> {
    // What this process has written is not looked for again, so every file has a name of its own.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let own = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let file = std::env::temp_dir().join(format!("tilefold-record-{own}.fold"));
    fs::write(&file, before).map_err(|e| format!("{}: {e}", file.display()))?;
    let found = record::append(&file, recorded(), Storage::F32);
    let after = fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let _ = fs::remove_file(&file);
    let keeps = match &found {
        Err(error) if error.code() != Code::Record || error.message().contains("internal") => {
            return Err(format!("an error of another kind: {error}"));
        }
        Err(_) | Ok(Outcome::Known) => after == before,
        // `, f32` is put in somewhere.
        Ok(Outcome::Extended) => {
            let same = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
            after.len() == before.len() + 5 && after.ends_with(&before[same..])
        }
        Ok(_) => after.starts_with(before.trim_ascii_end()) && after.len() > before.len(),
    };
    match keeps {
        true => Ok(signature(found.map_err(|e| e.message().len() / 8))),
        false => Err(format!("{found:?} leaves {:?}", lossy(&after))),
    }
}

unsafe extern "C" fn params(_: *const sys::tf_array, _: *mut c_void) {}
unsafe extern "C" fn pack(
    _: *const sys::tf_array,
    _: *const c_void,
    _: i64,
    _: i64,
    _: *mut c_void,
) {
}
unsafe extern "C" fn init(_: *mut c_void) {}
unsafe extern "C" fn block(
    _: *const c_void,
    _: *const c_void,
    _: *const c_void,
    _: i64,
    _: i64,
    _: i64,
    _: *mut c_void,
) {
}
unsafe extern "C" fn merge(_: *mut c_void, _: *const c_void) {}
unsafe extern "C" fn finish(
    _: *const sys::tf_array,
    _: *const c_void,
    _: *const c_void,
    _: *mut c_void,
    _: i64,
    _: i64,
) {
}

const NAMES: &[&[u8]] = &[b"x\0", b"y\0", b"gamma\0", b"a\0", b"\0", b"\xff\xfe\0", b"a b\0"];

fn name(choices: &mut Choices<'_>) -> *const c_char {
    match choices.below(24) {
        23 => ptr::null(),
        n => NAMES[n % NAMES.len()].as_ptr().cast(),
    }
}

/// A small number, or rarely any.
fn small(choices: &mut Choices<'_>, good: &[u32]) -> u32 {
    match choices.byte() {
        0..=219 => *choices.pick(good),
        _ => choices.number() as u32,
    }
}

/// A function that is there but for once in a while.
fn there<F>(choices: &mut Choices<'_>, function: F) -> Option<F> {
    (choices.byte() < 250).then_some(function)
}

fn cpu(choices: &mut Choices<'_>) -> sys::tf_cpu_stage {
    sys::tf_cpu_stage {
        lanes: small(choices, &[1, 4, 8, 16]),
        row_words: small(choices, &[0, 1, 3]),
        col_words: small(choices, &[0, 1, 3]),
        param_words: small(choices, &[0, 1]),
        state_bytes: u64::from(small(choices, &[0, 64, 128])),
        params: there(choices, params),
        rows: there(choices, pack),
        cols: there(choices, pack),
        init: there(choices, init),
        block: there(choices, block),
        merge: there(choices, merge),
        finish: there(choices, finish),
        few: ptr::null(),
        few_rows: 0,
    }
}

const MOST: usize = 5;

fn stage(choices: &mut Choices<'_>, writes: &[u32], code: &sys::tf_cpu_stage) -> sys::tf_stage {
    let mut level = || if choices.below(3) == 0 { ptr::null() } else { ptr::from_ref(code) };
    let cpu = [level(), level(), level(), level()];
    sys::tf_stage {
        row_axis: small(choices, &[0, 1, 2]),
        col_axis: small(choices, &[0, 1, 2]),
        least_cols: small(choices, &[0, 1]),
        uses_pos: small(choices, &[0, 1, 3]),
        // Counts never exceed their tables: the contract of `from_raw`.
        n_writes: (choices.below(4)).min(writes.len()) as u32,
        writes: if choices.byte() > 250 { ptr::null() } else { writes.as_ptr() },
        pair_ops: *choices.pick(&[4.0, 0.0, -1.0, f64::NAN, f64::INFINITY]),
        cpu,
        cuda: sys::tf_cuda_stage {
            rows_entry: name(choices),
            tiles_entry: name(choices),
            finish_entry: name(choices),
            threads: small(choices, &[128, 32]),
            rows_per_block: small(choices, &[128]),
            tile_cols: small(choices, &[64]),
            shared_bytes: small(choices, &[0]),
            state_bytes: u64::from(small(choices, &[8])),
        },
    }
}

fn descriptor(choices: &mut Choices<'_>) -> Result<u64, String> {
    let value = |choices: &mut Choices<'_>| sys::tf_value {
        name: name(choices),
        axis: small(choices, &[0, 1, 2]),
        dim: small(choices, &[1, 2, 3]),
        kind: small(choices, &[0, 1, 2]),
    };
    let counts = [choices.below(3), choices.below(2), choices.below(3)];
    let values: Vec<_> = (0..counts.iter().sum()).map(|_| value(choices)).collect();
    let writes: Vec<u32> = (0..3).map(|_| small(choices, &[1, 2, 3, 4])).collect();
    let code = cpu(choices);
    let stages: Vec<_> =
        (0..1 + choices.below(2)).map(|_| stage(choices, &writes, &code)).collect();
    let image = [0_u8; 16];
    let has_image = choices.below(3) == 0;
    let raw = sys::tf_kernel {
        magic: if choices.byte() > 250 { choices.number() as u32 } else { sys::TF_MAGIC },
        abi_version: small(choices, &[sys::TF_ABI_VERSION]),
        size: small(choices, &[size_of::<sys::tf_kernel>() as u32]),
        dtype: small(choices, &[0, 1, 2, 3]),
        key: [7; 32],
        name: name(choices),
        text: name(choices),
        n_inputs: counts[0] as u32,
        n_temps: counts[1] as u32,
        n_outputs: counts[2] as u32,
        n_stages: choices.below(MOST).min(stages.len()) as u32,
        values: if choices.byte() > 250 { ptr::null() } else { values.as_ptr() },
        stages: if choices.byte() > 250 { ptr::null() } else { stages.as_ptr() },
        image: if has_image { image.as_ptr() } else { ptr::null() },
        image_bytes: u64::from(small(choices, &[if has_image { 16 } else { 0 }])),
    };
    // SAFETY: the descriptor and its tables outlive this function's use of the kernel; counts do
    // not exceed tables; strings end in a zero. No code of it is ever run.
    match unsafe { Kernel::from_raw(&raw) } {
        Err(error) => {
            let known = [Code::NotAKernel, Code::AbiVersion, Code::Descriptor];
            if !known.contains(&error.code()) || error.helps().is_empty() {
                return Err(format!("an error of another kind: {error}"));
            }
            let shape: String = error.message().chars().filter(char::is_ascii_lowercase).collect();
            Ok(signature(shape))
        }
        Ok(kernel) => sound(kernel, &counts),
    }
}

/// What was taken can be asked for everything.
fn sound(kernel: &Kernel, counts: &[usize; 3]) -> Result<u64, String> {
    let named: Vec<_> = kernel.inputs().chain(kernel.outputs()).collect();
    let fine = named.iter().all(|value| value.dim > 0 && !value.name.is_empty());
    if !fine || kernel.outputs().len() != counts[2] || kernel.inputs().len() != counts[0] {
        return Err(format!("an unsound descriptor is taken: {kernel:?}"));
    }
    let axes: Vec<_> = named.iter().map(|value| (value.axis, value.component)).collect();
    Ok(signature(format!("{axes:?}")))
}
