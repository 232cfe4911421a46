//! The checks of a descriptor. Goes in: its address. Comes out: nothing, or an error that names
//! the field. It reads no field before the ones that vouch for it: magic, version, size, counts.

use std::collections::HashSet;
use std::ffi::{CStr, c_char};
use std::{mem, slice};

use super::axis;
use super::cpu::CpuStage;
use crate::element::Dtype;
use crate::error::Error;
use crate::{sys, words};

/// More entries than this are a sign of a damaged descriptor.
const MOST_VALUES: u64 = 1 << 16;
const MOST_LANES: u32 = 1 << 16;

/// Checks everything that the rest of the crate relies on.
///
/// # Safety
/// The promise of [`super::Kernel::from_raw`].
pub(super) unsafe fn kernel(raw: *const sys::tf_kernel) -> Result<(), Error> {
    if raw.is_null() {
        return Err(words::not_a_kernel("its address is null"));
    }
    if !raw.is_aligned() {
        return Err(words::not_a_kernel("its address is not a multiple of 8"));
    }
    // SAFETY: not null, aligned, and the caller promises at least these three fields.
    let (magic, version, size) = unsafe { ((*raw).magic, (*raw).abi_version, (*raw).size) };
    if magic != sys::TF_MAGIC {
        return Err(words::not_a_kernel(&format!(
            "it begins with {magic:#010x}, but a descriptor begins with {:#010x}",
            sys::TF_MAGIC
        )));
    }
    if version != sys::TF_ABI_VERSION {
        return Err(words::abi_version(version));
    }
    let expected = mem::size_of::<sys::tf_kernel>();
    if size as usize != expected {
        return Err(words::descriptor(
            "?",
            format!("`size` is {size} bytes, but this runtime expects {expected}"),
        ));
    }
    // SAFETY: magic, version and size are right, so the caller promises a whole descriptor.
    let raw = unsafe { &*raw };
    let name = string(raw.name).map_err(|why| words::descriptor("?", format!("`name` {why}")))?;
    contents(raw).map_err(|why| words::descriptor(name, why))
}

/// Everything below the top level's first fields.
fn contents(raw: &sys::tf_kernel) -> Result<(), String> {
    let dtype = header(raw)?;
    let values = values(raw)?;
    // SAFETY: `header` found the pointer not null; `from_raw`'s caller promises the count.
    let stages = unsafe { slice::from_raw_parts(raw.stages, raw.n_stages as usize) };
    let mut written = vec![false; values.len()];
    for (index, stage) in stages.iter().enumerate() {
        let at = |why: String| format!("stage {index}: {why}");
        writes(raw, values, stage, &mut written).map_err(at)?;
        cpu(stage, dtype).map_err(at)?;
        if !raw.image.is_null() {
            cuda(stage).map_err(at)?;
        }
    }
    match (raw.n_inputs as usize..values.len()).find(|&index| !written[index]) {
        None => Ok(()),
        Some(index) => Err(format!("no stage writes value {index}")),
    }
}

/// Counts, dtype and the pointers of the top level.
fn header(raw: &sys::tf_kernel) -> Result<Dtype, String> {
    string(raw.text).map_err(|why| format!("`text` {why}"))?;
    let dtype = Dtype::from_raw(raw.dtype)
        .ok_or_else(|| format!("`dtype` is {}, but 0 to 3 are known", raw.dtype))?;
    if raw.n_outputs == 0 {
        return Err("`n_outputs` is 0".to_owned());
    }
    if raw.n_stages == 0 {
        return Err("`n_stages` is 0".to_owned());
    }
    let n = u64::from(raw.n_inputs) + u64::from(raw.n_temps) + u64::from(raw.n_outputs);
    if n > MOST_VALUES || u64::from(raw.n_stages) > MOST_VALUES {
        return Err(format!("it has {n} values and {} stages", raw.n_stages));
    }
    if raw.values.is_null() || raw.stages.is_null() {
        return Err("`values` or `stages` is null".to_owned());
    }
    if raw.image.is_null() != (raw.image_bytes == 0) || raw.image_bytes > isize::MAX as u64 {
        return Err(format!("`image` does not fit `image_bytes` = {}", raw.image_bytes));
    }
    Ok(dtype)
}

/// Names, axes, dims and kinds.
fn values(raw: &sys::tf_kernel) -> Result<&[sys::tf_value], String> {
    let inputs = raw.n_inputs as usize;
    let outputs = inputs + raw.n_temps as usize;
    // SAFETY: `header` found the pointer not null; `from_raw`'s caller promises the count.
    let values = unsafe { slice::from_raw_parts(raw.values, outputs + raw.n_outputs as usize) };
    let mut seen = HashSet::new();
    for (index, value) in values.iter().enumerate() {
        let name = string(value.name).map_err(|why| format!("the name of value {index} {why}"))?;
        let part = usize::from(index >= inputs) + usize::from(index >= outputs);
        if part != 1 && !seen.insert((part, name)) {
            return Err(format!("two values are called `{name}`"));
        }
        if value.axis > sys::TF_AXIS_NONE {
            return Err(format!("`{name}` has axis {}", value.axis));
        }
        if value.dim == 0 {
            return Err(format!("`{name}` has 0 columns"));
        }
        if ![sys::TF_REAL, sys::TF_INDEX, sys::TF_COMPLEX].contains(&value.kind) {
            return Err(format!("`{name}` has kind {}", value.kind));
        }
        if value.kind == sys::TF_COMPLEX && !value.dim.is_multiple_of(2) {
            return Err(format!("`{name}` is complex, but has {} scalars a row", value.dim));
        }
    }
    Ok(values)
}

/// Axes of a stage and the values that it writes.
fn writes(
    raw: &sys::tf_kernel,
    values: &[sys::tf_value],
    stage: &sys::tf_stage,
    written: &mut [bool],
) -> Result<(), String> {
    if stage.row_axis > sys::TF_AXIS_NONE || stage.col_axis > sys::TF_AXIS_NONE {
        return Err(format!("axes {} and {}", stage.row_axis, stage.col_axis));
    }
    if stage.col_axis == stage.row_axis && stage.col_axis != sys::TF_AXIS_NONE {
        return Err("its rows are the reduced index".to_owned());
    }
    if !(stage.pair_ops.is_finite() && stage.pair_ops >= 0.0) {
        return Err(format!("`pair_ops` is {}", stage.pair_ops));
    }
    if stage.n_writes == 0 || stage.n_writes as usize > values.len() || stage.writes.is_null() {
        return Err(format!("`n_writes` is {}, `writes` is {:?}", stage.n_writes, stage.writes));
    }
    // SAFETY: not null; `from_raw`'s caller promises the count.
    let writes = unsafe { slice::from_raw_parts(stage.writes, stage.n_writes as usize) };
    for &index in writes {
        if index < raw.n_inputs || index as usize >= values.len() {
            return Err(format!(
                "it writes value {index}, but temporaries and outputs are {}..{}",
                raw.n_inputs,
                values.len()
            ));
        }
        if axis(values[index as usize].axis) != axis(stage.row_axis) {
            return Err(format!("it writes value {index}, whose rows have another axis"));
        }
        if mem::replace(&mut written[index as usize], true) {
            return Err(format!("value {index} is written twice"));
        }
    }
    Ok(())
}

/// The code of every level that is there.
fn cpu(stage: &sys::tf_stage, dtype: Dtype) -> Result<(), String> {
    for (level, &code) in stage.cpu.iter().enumerate() {
        // SAFETY: null, or a `tf_cpu_stage` by the promise of `from_raw`'s caller.
        let Some(raw) = (unsafe { code.as_ref() }) else { continue };
        let reduces = stage.col_axis != sys::TF_AXIS_NONE;
        cpu_code(raw, reduces, dtype).map_err(|why| format!("level {level}: {why}"))?;
        // SAFETY: as above.
        let Some(few) = (unsafe { raw.few.as_ref() }) else { continue };
        let at = |why: &str| format!("level {level}, few rows: {why}");
        cpu_code(few, reduces, dtype).map_err(|why| at(&why))?;
        if !reduces {
            return Err(at("the stage does not reduce"));
        }
        if few.lanes != 1 || !few.few.is_null() {
            return Err(at(&format!("`lanes` is {}, or `few` is not null", few.lanes)));
        }
        if few.param_words != raw.param_words {
            return Err(at("`param_words` is not that of many rows"));
        }
    }
    Ok(())
}

/// Sizes and functions of a stage at one level.
fn cpu_code(raw: &sys::tf_cpu_stage, reduces: bool, dtype: Dtype) -> Result<(), String> {
    if raw.lanes == 0 || raw.lanes > MOST_LANES {
        return Err(format!("`lanes` is {}", raw.lanes));
    }
    if !raw.state_bytes.is_multiple_of(64) {
        return Err(format!("`state_bytes` is {}, not a multiple of 64", raw.state_bytes));
    }
    if raw.params.is_none() || raw.rows.is_none() || raw.finish.is_none() {
        return Err("`params`, `rows` or `finish` is null".to_owned());
    }
    let Some(code) = CpuStage::new(raw, dtype.size()) else {
        return Err("its sizes overflow".to_owned());
    };
    if reduces && code.fold.is_none() {
        return Err("`cols`, `init`, `block` or `merge` is null, but the stage reduces".to_owned());
    }
    if reduces && code.state_bytes == 0 {
        return Err("`state_bytes` is 0, but the stage reduces".to_owned());
    }
    Ok(())
}

/// The launch facts; asked for only if there is an image.
fn cuda(stage: &sys::tf_stage) -> Result<(), String> {
    let reduces = stage.col_axis != sys::TF_AXIS_NONE;
    let raw = &stage.cuda;
    string(raw.finish_entry).map_err(|why| format!("`finish_entry` {why}"))?;
    for (name, entry) in [("rows_entry", raw.rows_entry), ("tiles_entry", raw.tiles_entry)] {
        if entry.is_null() == reduces {
            return Err(format!("`{name}` must be there exactly if the stage reduces"));
        }
        if reduces {
            string(entry).map_err(|why| format!("`{name}` {why}"))?;
        }
    }
    if !(1..=1024).contains(&raw.threads) {
        return Err(format!("`threads` is {}, not in 1..=1024", raw.threads));
    }
    if raw.rows_per_block == 0 || (reduces && raw.tile_cols == 0) {
        return Err("`rows_per_block` or `tile_cols` is 0".to_owned());
    }
    Ok(())
}

/// A name that is not null, not empty and UTF-8.
fn string(raw: *const c_char) -> Result<&'static str, &'static str> {
    if raw.is_null() {
        return Err("is null");
    }
    // SAFETY: not null; `from_raw`'s caller promises that strings end in a zero and stay.
    match unsafe { CStr::from_ptr(raw) }.to_str() {
        Ok("") => Err("is empty"),
        Ok(text) => Ok(text),
        Err(_) => Err("is not UTF-8"),
    }
}
