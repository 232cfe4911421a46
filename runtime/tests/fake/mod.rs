//! Kernels written in Rust, in the place of compiled ones. They keep the contract of `tf_abi.h`
//! and abort the test where the runtime breaks its side: order of merges, alignment, lanes.

#![allow(dead_code)]

pub mod code;

use std::ffi::{CString, c_char};
use std::ptr;

use tilefold::{Dtype, Element, Kernel, sys};

use self::code::{ArgMin, Positions, Product, Real, Twice};

pub const I: u32 = sys::TF_AXIS_I;
pub const J: u32 = sys::TF_AXIS_J;
pub const ONE: u32 = sys::TF_AXIS_NONE;

/// A descriptor in parts that a test can spoil before it is leaked.
#[derive(Clone)]
pub struct Spec {
    pub kernel: sys::tf_kernel,
    pub values: Vec<sys::tf_value>,
    pub stages: Vec<sys::tf_stage>,
}

impl Spec {
    pub fn new<T: Element>(name: &str, parts: [&[(&str, u32, u32, u32)]; 3]) -> Spec {
        let counts = parts.map(|part| part.len() as u32);
        let value = |&(name, axis, dim, kind): &(&str, u32, u32, u32)| sys::tf_value {
            name: leak(name),
            axis,
            dim,
            kind,
        };
        let kernel = sys::tf_kernel {
            magic: sys::TF_MAGIC,
            abi_version: sys::TF_ABI_VERSION,
            size: size_of::<sys::tf_kernel>() as u32,
            dtype: if T::DTYPE == Dtype::F32 { sys::TF_F32 } else { sys::TF_F64 },
            key: [7; 32],
            name: leak(name),
            text: leak("text of the formula"),
            n_inputs: counts[0],
            n_temps: counts[1],
            n_outputs: counts[2],
            n_stages: 0,
            values: ptr::null(),
            stages: ptr::null(),
            image: ptr::null(),
            image_bytes: 0,
        };
        Spec { kernel, values: parts.concat().iter().map(value).collect(), stages: Vec::new() }
    }

    pub fn stage(mut self, axes: (u32, u32), writes: &[u32], cpu: sys::tf_cpu_stage) -> Spec {
        let cpu: *const sys::tf_cpu_stage = Box::leak(Box::new(cpu));
        self.stages.push(sys::tf_stage {
            row_axis: axes.0,
            col_axis: axes.1,
            least_cols: 0,
            uses_pos: 0,
            n_writes: writes.len() as u32,
            writes: Box::leak(writes.to_vec().into_boxed_slice()).as_ptr(),
            pair_ops: 4.0,
            cpu: [cpu; 4],
            cuda: sys::tf_cuda_stage {
                rows_entry: if axes.1 == ONE { ptr::null() } else { leak("rows") },
                tiles_entry: if axes.1 == ONE { ptr::null() } else { leak("tiles") },
                finish_entry: leak("finish"),
                threads: 128,
                rows_per_block: 128,
                tile_cols: 64,
                shared_bytes: 0,
                state_bytes: 8,
            },
        });
        self.kernel.n_stages += 1;
        self
    }

    /// The descriptor, in place for ever.
    pub fn leak(mut self) -> *const sys::tf_kernel {
        self.kernel.values = Box::leak(self.values.into_boxed_slice()).as_ptr();
        self.kernel.stages = Box::leak(self.stages.into_boxed_slice()).as_ptr();
        Box::leak(Box::new(self.kernel))
    }

    pub fn kernel(self) -> &'static Kernel {
        // SAFETY: the parts were made by this module and stay in place.
        unsafe { Kernel::from_raw(self.leak()) }.unwrap()
    }
}

pub fn leak(text: &str) -> *const c_char {
    CString::new(text).unwrap().into_raw()
}

/// `a_i = gamma * sum_j <x_i, y_j>` with 2-d points.
pub fn dot_spec<T: Real>() -> Spec {
    let inputs = [("x", I, 2, 0), ("y", J, 2, 0), ("gamma", ONE, 1, 0)];
    let spec = Spec::new::<T>("dot", [&inputs, &[], &[("a", I, 1, 0)]]);
    spec.stage((I, J), &[3], Product::<T, 0, 1, 3, 2, 2>::cpu())
}

pub fn dot<T: Real>() -> &'static Kernel {
    dot_spec::<T>().kernel()
}

/// `t_j = gamma sum_i x_i y_j`, then `a_i = gamma sum_j x_i t_j`, `s = gamma sum_j gamma t_j`
/// and `twice_i = 2 a_i`, which reduces nothing.
pub fn chain<T: Real>() -> &'static Kernel {
    let inputs = [("x", I, 1, 0), ("y", J, 1, 0), ("gamma", ONE, 1, 0)];
    let outputs = [("a", I, 1, 0), ("s", ONE, 1, 0), ("twice", I, 1, 0)];
    Spec::new::<T>("chain", [&inputs, &[("t", J, 1, 0)], &outputs])
        .stage((J, I), &[3], Product::<T, 1, 0, 3, 2, 1>::cpu())
        .stage((I, J), &[4], Product::<T, 0, 3, 4, 2, 1>::cpu())
        .stage((ONE, J), &[5], Product::<T, 2, 3, 5, 2, 1>::cpu())
        .stage((I, ONE), &[6], Twice::<T, 4, 6>::cpu())
        .kernel()
}

/// `dist_i, nearest_i = argmin_j |x_i - y_j|`.
pub fn argmin<T: Real>() -> &'static Kernel {
    let inputs = [("x", I, 1, 0), ("y", J, 1, 0)];
    let outputs = [("dist", I, 1, 0), ("nearest", I, 1, sys::TF_INDEX)];
    let spec = Spec::new::<T>("nearest_point", [&inputs, &[], &outputs]);
    let mut spec = spec.stage((I, J), &[2, 3], ArgMin::<T>::cpu());
    spec.stages[0].least_cols = 1;
    spec.kernel()
}

/// `a_i = pos(i) + sum_j pos(j)`: no inputs at all.
pub fn positions<T: Real>() -> &'static Kernel {
    let spec = Spec::new::<T>("positions", [&[], &[], &[("a", I, 1, 0)]]);
    let mut spec = spec.stage((I, J), &[0], Positions::<T>::cpu());
    spec.stages[0].uses_pos = 3;
    spec.kernel()
}
