//! Descriptors that are made at run time, for formulas that are interpreted. Goes in: a plan.
//! Comes out: a [`Kernel`] that lives as long as its owner and passed every check. It has no code.

use std::ffi::{CString, c_char};
use std::ptr;

use tilefold_compiler::ir::{self, Formula, Kind, Storage};
use tilefold_compiler::schedule::Plan;

use super::{Kernel, check};
use crate::error::Error;
use crate::{sys, words};

/// A descriptor and everything that it points at.
pub(crate) struct OwnedKernel {
    raw: Box<sys::tf_kernel>,
    /// What `raw` points at.
    _parts: Parts,
}

struct Parts {
    _names: Vec<CString>,
    values: Vec<sys::tf_value>,
    stages: Vec<sys::tf_stage>,
    _writes: Vec<Vec<u32>>,
}

// SAFETY: nothing is changed after `new`, and all of it is ordinary memory of the owner.
unsafe impl Send for OwnedKernel {}
// SAFETY: as above.
unsafe impl Sync for OwnedKernel {}

impl OwnedKernel {
    /// The descriptor of a formula and of the plan that its optimized form has. `pair_ops` holds
    /// the operations of a pair, stage by stage.
    ///
    /// # Errors
    /// [`Descriptor`](crate::Code::Descriptor) for names that a descriptor cannot hold.
    pub fn new(
        formula: &Formula,
        plan: &Plan,
        storage: Storage,
        pair_ops: &[f64],
    ) -> Result<OwnedKernel, Error> {
        let mut names = Vec::new();
        let mut keep = |text: &str| -> Result<*const c_char, Error> {
            let text = CString::new(text).map_err(|_| {
                words::descriptor(&formula.name, "a name holds a zero byte".to_owned())
            })?;
            names.push(text);
            // A CString's bytes stay where they are when it moves.
            Ok(names.last().map_or(ptr::null(), |text| text.as_ptr()))
        };
        let name = keep(if formula.name.is_empty() { "formula" } else { &formula.name })?;
        let text = keep(&ir::canonical_text(formula))?;
        let mut values = Vec::new();
        for value in &plan.values {
            let kind = match value.kind {
                Kind::Real => sys::TF_REAL,
                Kind::Int => sys::TF_INDEX,
                Kind::Complex => sys::TF_COMPLEX,
            };
            let (axis, dim) = (axis(value.axis), value.dim as u32);
            values.push(sys::tf_value { name: keep(&value.name)?, axis, dim, kind });
        }
        let writes: Vec<Vec<u32>> = plan
            .stages
            .iter()
            .map(|stage| stage.writes.iter().map(|&(value, _)| value as u32).collect())
            .collect();
        let stages = plan.stages.iter().zip(pair_ops).zip(&writes);
        let stages: Vec<sys::tf_stage> = stages
            .map(|((stage, &pair_ops), writes)| sys::tf_stage {
                row_axis: axis(stage.rows),
                col_axis: axis(stage.cols),
                least_cols: stage.least_cols(&plan.formula) as u32,
                uses_pos: stage.uses_pos(plan),
                n_writes: writes.len() as u32,
                writes: writes.as_ptr(),
                pair_ops,
                cpu: [ptr::null(); sys::TF_LEVELS as usize],
                cuda: NO_CUDA,
            })
            .collect();
        let parts = Parts { _names: names, values, stages, _writes: writes };
        let raw = Box::new(sys::tf_kernel {
            magic: sys::TF_MAGIC,
            abi_version: sys::TF_ABI_VERSION,
            size: size_of::<sys::tf_kernel>() as u32,
            dtype: match storage {
                Storage::F16 => sys::TF_F16,
                Storage::BF16 => sys::TF_BF16,
                Storage::F32 => sys::TF_F32,
                Storage::F64 => sys::TF_F64,
            },
            key: *ir::key(formula).bytes(),
            name,
            text,
            n_inputs: plan.n_inputs as u32,
            n_temps: plan.n_temps as u32,
            n_outputs: (plan.values.len() - plan.n_inputs - plan.n_temps) as u32,
            n_stages: plan.stages.len() as u32,
            values: parts.values.as_ptr(),
            stages: parts.stages.as_ptr(),
            image: ptr::null(),
            image_bytes: 0,
        });
        // SAFETY: the descriptor is whole: its counts are those of the tables above, which live
        // in `parts`, and it has no functions.
        unsafe { check::kernel(&raw const *raw)? };
        Ok(OwnedKernel { raw, _parts: parts })
    }

    /// The kernel.
    pub fn kernel(&self) -> &Kernel {
        // SAFETY: `new` checked the descriptor, `Kernel` is transparent over it, and what it
        // points at lives as long as `self`.
        unsafe { &*(&raw const *self.raw).cast::<Kernel>() }
    }
}

const NO_CUDA: sys::tf_cuda_stage = sys::tf_cuda_stage {
    rows_entry: ptr::null(),
    tiles_entry: ptr::null(),
    finish_entry: ptr::null(),
    threads: 0,
    rows_per_block: 0,
    tile_cols: 0,
    shared_bytes: 0,
    state_bytes: 0,
};

fn axis(axis: Option<ir::Axis>) -> u32 {
    match axis {
        Some(ir::Axis::I) => sys::TF_AXIS_I,
        Some(ir::Axis::J) => sys::TF_AXIS_J,
        None => sys::TF_AXIS_NONE,
    }
}
