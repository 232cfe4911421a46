//! Compiled formulas. Goes in: the address of a descriptor. Comes out: a [`Kernel`] whose every
//! field has been checked, with safe ways to read it. It never runs code and never reads arrays.

mod check;
mod cpu;
#[cfg(feature = "cuda")]
mod gpu;
#[cfg(feature = "lazy")]
mod owned;

use std::ffi::{CStr, c_char};
use std::fmt;
use std::ops::Range;
use std::slice;

use crate::element::{ComponentType, Dtype};
use crate::error::Error;
use crate::level::Level;
use crate::{sys, words};

pub(crate) use self::cpu::{CpuStage, Fold, Map};
#[cfg(feature = "cuda")]
pub(crate) use self::gpu::CudaStage;
#[cfg(feature = "lazy")]
pub(crate) use self::owned::OwnedKernel;

// SAFETY: a descriptor is constant data for the whole life of the program (the contract of
// `Kernel::from_raw` and `Instance::new`), so that threads can only read it.
unsafe impl Send for sys::tf_kernel {}
// SAFETY: as above.
unsafe impl Sync for sys::tf_kernel {}

/// A symbolic index: `i` counts targets (M of them), `j` counts sources (N of them).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Axis {
    /// The index of targets.
    I,
    /// The index of sources.
    J,
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Axis::I => "i",
            Axis::J => "j",
        })
    }
}

/// An input, a temporary or an output of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'k> {
    /// The name in the formula.
    pub name: &'k str,
    /// The index of its rows; `None` is one row.
    pub axis: Option<Axis>,
    /// Columns, each of one component.
    pub dim: usize,
    /// What its entries are.
    pub component: ComponentType,
}

impl Value<'_> {
    /// Columns as kernels count them: two for each complex number.
    pub(crate) fn scalars(&self) -> usize {
        self.dim * self.component.scalars()
    }
}

/// One pass of a kernel: for every row, a fold over all columns.
#[derive(Clone, Copy)]
pub struct Stage<'k> {
    kernel: &'k Kernel,
    raw: &'k sys::tf_stage,
}

/// A compiled formula in one dtype, ready to run.
///
/// A value of this type is a descriptor that passed every check of [`Kernel::from_raw`].
#[repr(transparent)]
pub struct Kernel(sys::tf_kernel);

impl Kernel {
    /// Checks a descriptor: magic, ABI version, size, dtype, counts, pointers, names and the
    /// consistency of every stage.
    ///
    /// # Errors
    /// [`NotAKernel`](crate::Code::NotAKernel), [`AbiVersion`](crate::Code::AbiVersion) or
    /// [`Descriptor`](crate::Code::Descriptor), with the field in the message.
    ///
    /// # Safety
    /// `raw` is null, or points at 12 readable bytes. If those are the magic, the version and
    /// the size of this crate's `tf_kernel`, then they begin a descriptor that tilefold's
    /// compiler made: its counts match its tables, its names end in a zero, its functions keep
    /// the contract of `tf_abi.h`, and all of it stays in place, unchanged, for the rest of the
    /// program.
    pub unsafe fn from_raw(raw: *const sys::tf_kernel) -> Result<&'static Kernel, Error> {
        // SAFETY: the caller's promise is the one that `check` asks for.
        unsafe { check::kernel(raw)? };
        // SAFETY: `check` found the pointer aligned and not null; the caller keeps the target in
        // place for ever; `Kernel` is transparent over it.
        Ok(unsafe { &*raw.cast::<Kernel>() })
    }

    /// Checks that the kernel was compiled from the formula whose key is given.
    ///
    /// # Errors
    /// [`Key`](crate::Code::Key), naming both.
    pub fn expect_key(&self, key: &[u8; 32]) -> Result<(), Error> {
        if &self.0.key == key { Ok(()) } else { Err(words::key(self, key)) }
    }

    /// The name that the user gave the formula.
    pub fn name(&self) -> &str {
        // SAFETY: checked not to be null and to be UTF-8; ends in a zero and stays in place
        // (`from_raw`).
        unsafe { checked_text(self.0.name) }
    }

    /// The key: a hash of the text.
    pub fn key(&self) -> &[u8; 32] {
        &self.0.key
    }

    /// The key in hexadecimal digits.
    pub fn key_hex(&self) -> String {
        hex(&self.0.key)
    }

    /// The canonical text of the formula.
    pub fn text(&self) -> &str {
        // SAFETY: checked not to be null; ends in a zero and stays in place (`from_raw`).
        unsafe { text(self.0.text) }
    }

    /// The type of the reals that the kernel reads and writes.
    pub fn dtype(&self) -> Dtype {
        match self.0.dtype {
            sys::TF_F16 => Dtype::F16,
            sys::TF_BF16 => Dtype::BF16,
            sys::TF_F32 => Dtype::F32,
            _ => Dtype::F64,
        }
    }

    /// The arrays that a call passes, in order.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = Value<'_>> {
        self.read(0..self.n_inputs())
    }

    /// The arrays that a call gives back, in order.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = Value<'_>> {
        self.read(self.n_inputs() + self.n_temps()..self.raw_values().len())
    }

    /// The passes, in the order that they run in.
    pub fn stages(&self) -> impl ExactSizeIterator<Item = Stage<'_>> {
        // SAFETY: `from_raw` promises `n_stages` stages at `stages`, while the kernel is there.
        let raw = unsafe { slice::from_raw_parts(self.0.stages, self.0.n_stages as usize) };
        raw.iter().map(move |raw| Stage { kernel: self, raw })
    }

    /// Whether the kernel has CUDA code.
    pub fn has_image(&self) -> bool {
        !self.0.image.is_null()
    }

    /// Whether every stage has CPU code of a level.
    pub fn has_level(&self, level: Level) -> bool {
        self.stages().all(|stage| !stage.raw.cpu[level.index()].is_null())
    }

    /// Inputs, temporaries and outputs: the order of the table that stages work on.
    pub(crate) fn values(&self) -> impl ExactSizeIterator<Item = Value<'_>> {
        self.read(0..self.raw_values().len())
    }

    pub(crate) fn n_inputs(&self) -> usize {
        self.0.n_inputs as usize
    }

    pub(crate) fn n_temps(&self) -> usize {
        self.0.n_temps as usize
    }

    pub(crate) fn n_outputs(&self) -> usize {
        self.0.n_outputs as usize
    }

    fn raw_values(&self) -> &[sys::tf_value] {
        let n = self.n_inputs() + self.n_temps() + self.n_outputs();
        // SAFETY: `from_raw` promises that many values at `values`, while the kernel is there.
        unsafe { slice::from_raw_parts(self.0.values, n) }
    }

    fn read(&self, range: Range<usize>) -> impl ExactSizeIterator<Item = Value<'_>> {
        let (dtype, temps) = (self.dtype(), self.n_inputs()..self.n_inputs() + self.n_temps());
        let first = range.start;
        // What a stage leaves for a later one is not rounded to 16 bits.
        let of = move |index: usize| match temps.contains(&(first + index)) {
            true => dtype.computes(),
            false => dtype,
        };
        self.raw_values()[range].iter().enumerate().map(move |(index, raw)| Value {
            // SAFETY: as for the kernel's name.
            name: unsafe { checked_text(raw.name) },
            axis: axis(raw.axis),
            dim: raw.dim as usize / component(raw, of(index)).scalars(),
            component: component(raw, of(index)),
        })
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({} {} {})", self.name(), self.dtype(), &self.key_hex()[..12])
    }
}

impl Stage<'_> {
    /// The index of the results' rows; `None` is one row.
    pub fn row_axis(self) -> Option<Axis> {
        axis(self.raw.row_axis)
    }

    /// The index that is reduced; `None` if nothing is.
    pub fn col_axis(self) -> Option<Axis> {
        axis(self.raw.col_axis)
    }

    /// Fewer columns than this are an error.
    pub fn least_cols(self) -> usize {
        self.raw.least_cols as usize
    }

    /// Operations a pair.
    pub fn pair_ops(self) -> f64 {
        self.raw.pair_ops
    }

    /// Whether later stages read what this one writes.
    pub(crate) fn leaves_temporaries(self) -> bool {
        let (writes, outputs) = (self.raw.writes, self.kernel.n_inputs() + self.kernel.n_temps());
        // SAFETY: the check found the pointer not null; `from_raw` promises the count.
        let writes = unsafe { slice::from_raw_parts(writes, self.raw.n_writes as usize) };
        writes.iter().any(|&value| (value as usize) < outputs)
    }

    /// Whether the row numbers of the results are read as reals.
    pub(crate) fn uses_row_pos(self) -> bool {
        self.raw.uses_pos & 1 != 0
    }

    /// Whether the row numbers of the reduced index are read as reals.
    pub(crate) fn uses_col_pos(self) -> bool {
        self.raw.uses_pos & 2 != 0
    }

    /// The code for one instruction level.
    pub(crate) fn cpu(self, level: Level) -> Option<CpuStage<'static>> {
        CpuStage::new(self.raw_cpu(level)?, self.kernel.dtype().computes().size())
    }

    /// The code for that few rows, all of which fold the same columns, where they have their own.
    pub(crate) fn cpu_of_few(self, level: Level, rows: usize) -> Option<CpuStage<'static>> {
        let raw = self.raw_cpu(level).filter(|raw| rows <= raw.few_rows as usize)?;
        // SAFETY: as for the stage's code.
        CpuStage::new(unsafe { raw.few.as_ref()? }, self.kernel.dtype().computes().size())
    }

    fn raw_cpu(self, level: Level) -> Option<&'static sys::tf_cpu_stage> {
        // SAFETY: a stage pointer is null or a `tf_cpu_stage` that stays in place (`from_raw`).
        unsafe { self.raw.cpu[level.index()].as_ref() }
    }
}

impl fmt::Debug for Stage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |axis: Option<Axis>| axis.map_or("1".to_owned(), |a| a.to_string());
        write!(f, "Stage({} x {})", name(self.row_axis()), name(self.col_axis()))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn component(raw: &sys::tf_value, dtype: Dtype) -> ComponentType {
    match raw.kind {
        sys::TF_INDEX => ComponentType::Index,
        sys::TF_COMPLEX => ComponentType::Complex(dtype),
        _ => ComponentType::Real(dtype),
    }
}

fn axis(raw: u32) -> Option<Axis> {
    match raw {
        sys::TF_AXIS_I => Some(Axis::I),
        sys::TF_AXIS_J => Some(Axis::J),
        _ => None,
    }
}

/// A name that every call reads, without looking at each byte again.
///
/// # Safety
/// As for [`text`], and the check found it to be UTF-8.
unsafe fn checked_text<'a>(raw: *const c_char) -> &'a str {
    // SAFETY: the caller's promise.
    unsafe { str::from_utf8_unchecked(CStr::from_ptr(raw).to_bytes()) }
}

/// # Safety
/// `raw` is not null, ends in a zero, and stays in place as long as the result is used.
unsafe fn text<'a>(raw: *const c_char) -> &'a str {
    // SAFETY: the caller's promise. The check refuses text that is not UTF-8.
    unsafe { CStr::from_ptr(raw) }.to_str().unwrap_or_default()
}
