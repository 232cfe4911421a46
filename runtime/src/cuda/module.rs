//! Loaded kernels. Goes in: a context and a kernel. Comes out: its entries on that device, loaded
//! once. It never launches.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::sys::{CUdevice_attribute, CUfunction_attribute, CUresult};
use cudarc::driver::{CudaContext, CudaFunction, CudaModule, DriverError};
use cudarc::nvrtc::Ptx;

use super::arrays::DeviceArray;
use super::device::unavailable;
use super::plan::{Plan, Work};
use crate::bind::{Bound, Sizes};
use crate::error::Error;
use crate::kernel::{CudaStage, Kernel, Stage};
use crate::operand::RawArray;
use crate::ranges::Ranges;
use crate::words;

/// A kernel whose CUDA code is loaded into a context.
pub struct CudaKernel {
    pub(super) kernel: &'static Kernel,
    pub(super) context: Arc<CudaContext>,
    pub(super) stages: Vec<LoadedStage>,
}

/// The entries of a stage.
pub(super) struct LoadedStage {
    pub facts: CudaStage<'static>,
    /// That of a dense launch and that of a list of tiles; absent when nothing is reduced.
    pub folds: Option<[CudaFunction; 2]>,
    pub finish: CudaFunction,
    /// Blocks that fold that the whole device holds at once.
    resident: usize,
}

impl CudaKernel {
    /// Loads a kernel into a context, or finds it loaded: each pair is loaded once in a program,
    /// and stays.
    ///
    /// # Errors
    /// [`NoImage`](crate::Code::NoImage) if the kernel has no code for this device, and
    /// [`Device`](crate::Code::Device) for what the driver reports.
    pub fn load(
        context: &Arc<CudaContext>,
        kernel: &'static Kernel,
    ) -> Result<Arc<CudaKernel>, Error> {
        type Loaded = BTreeMap<(usize, usize), Arc<CudaKernel>>;
        static LOADED: Mutex<Loaded> = Mutex::new(BTreeMap::new());
        // Both live as long as the entry: the entry owns the context, and kernels are static.
        let key = (context.cu_ctx() as usize, std::ptr::from_ref(kernel) as usize);
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = loaded.get(&key) {
            return Ok(found.clone());
        }
        let fresh = Arc::new(CudaKernel::load_anew(context, kernel)?);
        loaded.insert(key, fresh.clone());
        Ok(fresh)
    }

    fn load_anew(context: &Arc<CudaContext>, kernel: &'static Kernel) -> Result<CudaKernel, Error> {
        if let Some(why) = unavailable() {
            return Err(words::no_device(kernel.name(), why));
        }
        if !kernel.has_image() {
            return Err(words::no_image(kernel));
        }
        let failed = |doing| move |why: DriverError| words::driver(kernel.name(), doing, why.0);
        let device = || {
            let name = context.name().unwrap_or_else(|_| "this device".to_owned());
            let compute = context.compute_capability();
            let compute = compute.map(|(major, minor)| format!("{major}.{minor}"));
            let compute = compute.unwrap_or_else(|_| "unknown".to_owned());
            format!("{name} (compute capability {compute})")
        };
        let module = context.load_module(Ptx::from_binary(kernel.image().to_vec()));
        let module = module.map_err(|why| match why.0 {
            CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU
            | CUresult::CUDA_ERROR_INVALID_IMAGE
            | CUresult::CUDA_ERROR_INVALID_PTX
            | CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION => {
                words::unusable_image(kernel, &device(), why.0)
            }
            other => words::driver(kernel.name(), "loading its code", other),
        })?;
        let count = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        let count = context.attribute(count).map_err(failed("asking for multiprocessors"))?;
        let multiprocessors = usize::try_from(count).unwrap_or(1).max(1);
        let load = |stage: Stage<'static>| load_stage(kernel, &module, stage, multiprocessors);
        let stages = kernel.stages().map(load).collect::<Result<_, _>>()?;
        Ok(CudaKernel { kernel, context: context.clone(), stages })
    }

    /// The kernel.
    pub fn kernel(&self) -> &'static Kernel {
        self.kernel
    }

    /// The bytes of workspace that a run with M = `m` and N = `n` needs, without batch dimensions
    /// and ranges: [`workspace_bytes_for`](CudaKernel::workspace_bytes_for) knows of those.
    ///
    /// # Errors
    /// [`Overflow`](crate::Code::Overflow) for sizes that the device cannot count.
    pub fn workspace_bytes(&self, m: usize, n: usize) -> Result<usize, Error> {
        Ok(self.plan(Work { sizes: Sizes { i: m, j: n }, items: 1, run: 1, ranges: None })?.bytes)
    }

    /// The bytes of workspace that a run on these arrays needs, given in the order of the formula,
    /// restricted to ranges if there are any. `rows` is as in [`run`](crate::run()).
    ///
    /// # Errors
    /// As [`run`](crate::run()) for arrays and ranges that do not fit, and
    /// [`Overflow`](crate::Code::Overflow) for sizes that the device cannot count.
    pub fn workspace_bytes_for(
        &self,
        inputs: &[DeviceArray<'_>],
        rows: Option<(usize, usize)>,
        ranges: Option<&Ranges>,
    ) -> Result<usize, Error> {
        let inputs: Vec<RawArray> = inputs.iter().map(DeviceArray::raw).collect();
        let mut bound = Bound::inputs(self.kernel, &inputs, rows)?;
        ranges.map_or(Ok(()), |ranges| bound.restrict(self.kernel, ranges))?;
        self.workspace_of(bound)
    }

    /// The bytes of workspace that a call needs.
    pub(crate) fn workspace_of(&self, mut bound: Bound) -> Result<usize, Error> {
        bound.batch_to_rows(self.kernel);
        Ok(self.plan(Work::of(&bound))?.bytes)
    }

    pub(super) fn plan(&self, work: Work<'_>) -> Result<Plan, Error> {
        let stages = self.stages.iter().map(|stage| (stage.facts, stage.resident));
        Plan::new(self.kernel, work, stages)
            .ok_or_else(|| words::overflow_pairs(self.kernel, work.sizes.i, work.sizes.j))
    }
}

impl fmt::Debug for CudaKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CudaKernel({} on cuda:{})", self.kernel.name(), self.context.ordinal())
    }
}

fn load_stage(
    kernel: &'static Kernel,
    module: &Arc<CudaModule>,
    stage: Stage<'static>,
    multiprocessors: usize,
) -> Result<LoadedStage, Error> {
    let failed = |doing| move |why: DriverError| words::driver(kernel.name(), doing, why.0);
    let facts = stage.cuda().ok_or_else(|| words::no_image(kernel))?;
    let find = |entry: &str| module.load_function(entry).map_err(failed("looking for an entry"));
    let folds = match (facts.rows_entry, facts.tiles_entry) {
        (Some(rows), Some(tiles)) => Some([find(rows)?, find(tiles)?]),
        _ => None,
    };
    let mut resident = multiprocessors;
    if let Some(folds) = &folds {
        // More than 48 KiB must be asked for, and the kernel's own arrays count.
        if facts.shared_bytes > 0 {
            let which = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            let bytes = i32::try_from(facts.shared_bytes).unwrap_or(i32::MAX);
            for fold in folds {
                fold.set_attribute(which, bytes).map_err(failed("asking for shared memory"))?;
            }
        }
        let blocks = folds[0].occupancy_max_active_blocks_per_multiprocessor(
            facts.threads,
            facts.shared_bytes as usize,
            None,
        );
        resident *= (blocks.map_err(failed("asking for occupancy"))? as usize).max(1);
    }
    Ok(LoadedStage { facts, folds, finish: find(facts.finish_entry)?, resident })
}
