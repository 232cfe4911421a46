//! Formulas with compiled instances. Goes in: the dimensions and the dtype of a call. Comes out:
//! the kernel compiled for them, or an error that names what was compiled. Generated wrappers
//! hold one [`Formula`] each. It never compiles.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::element::Dtype;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::{sys, words};

/// A formula of a formula file, and what was compiled of it.
///
/// ```no_run
/// use ndarray::{Array2, ArrayView2};
/// use tilefold::{Call, Dtype, Element, Error, Formula, Instance, select, sys};
///
/// unsafe extern "C" {
///     static tf_1f2e_f32: sys::tf_kernel;
/// }
/// # const KEY: [u8; 32] = [0; 32];
///
/// // SAFETY: tilefold's compiler made the descriptor.
/// static INSTANCES: [Instance; 1] =
///     [unsafe { Instance::new(&[3], Dtype::F32, KEY, &tf_1f2e_f32) }];
/// static CONV: Formula = Formula {
///     name: "conv",
///     file: "formulas/conv.fold",
///     generics: &["D"],
///     instances: &INSTANCES,
/// };
///
/// fn conv<T: Element>(x: ArrayView2<T>, y: ArrayView2<T>) -> Result<Array2<T>, Error> {
///     let kernel = select(&CONV, T::DTYPE, &[("x", x.ncols())])?;
///     Call::new(kernel).arg("x", x).arg("y", y).run()?.take("a")
/// }
/// ```
#[derive(Debug)]
pub struct Formula {
    /// The name in the formula file.
    pub name: &'static str,
    /// The formula file, as the user knows it.
    pub file: &'static str,
    /// The names of the dimensions, `D` and so on.
    pub generics: &'static [&'static str],
    /// What was compiled.
    pub instances: &'static [Instance],
}

/// A kernel compiled for one choice of dimensions and one dtype.
#[derive(Debug)]
pub struct Instance {
    dims: &'static [usize],
    dtype: Dtype,
    key: [u8; 32],
    raw: RawKernel,
    kernel: OnceLock<&'static Kernel>,
    lookup: Option<Lookup>,
}

/// Under which key expressions find an instance.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "lazy"), allow(dead_code, reason = "only expressions look it up"))]
pub(crate) struct Lookup {
    /// A key that names and spellings do not change.
    pub key: &'static [u8; 32],
    /// For each input of the formula with that key, the input of the instance.
    pub inputs: &'static [usize],
}

#[derive(Debug)]
struct RawKernel(*const sys::tf_kernel);

// SAFETY: the target is constant for the whole program (`Instance::new`).
unsafe impl Send for RawKernel {}
// SAFETY: as above.
unsafe impl Sync for RawKernel {}

impl Instance {
    /// Names a descriptor, the dimensions it was compiled for (one for each generic), and the
    /// key of the formula. The descriptor is read and checked on first use.
    ///
    /// # Safety
    /// As for [`Kernel::from_raw`].
    pub const unsafe fn new(
        dims: &'static [usize],
        dtype: Dtype,
        key: [u8; 32],
        raw: *const sys::tf_kernel,
    ) -> Instance {
        let raw = RawKernel(raw);
        Instance { dims, dtype, key, raw, kernel: OnceLock::new(), lookup: None }
    }

    /// Lets expressions find the instance: under the key of the formula without names, whose
    /// inputs are those of the instance in this order.
    pub const fn listed(mut self, key: &'static [u8; 32], inputs: &'static [usize]) -> Instance {
        self.lookup = Some(Lookup { key, inputs });
        self
    }

    #[cfg(feature = "lazy")]
    pub(crate) fn lookup(&self) -> Option<&Lookup> {
        self.lookup.as_ref()
    }

    /// The dimensions, one for each generic.
    pub fn dims(&self) -> &'static [usize] {
        self.dims
    }

    /// The type that the kernel computes in.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The kernel, checked once.
    ///
    /// # Errors
    /// As [`Kernel::from_raw`], and if key or dtype are not the expected ones.
    pub fn kernel(&self) -> Result<&'static Kernel, Error> {
        if let Some(&kernel) = self.kernel.get() {
            return Ok(kernel);
        }
        // SAFETY: the promise given to `new`.
        let kernel = unsafe { Kernel::from_raw(self.raw.0)? };
        kernel.expect_key(&self.key)?;
        if kernel.dtype() != self.dtype {
            let (found, expected) = (kernel.dtype(), self.dtype);
            let why = format!("`dtype` is {found}, but the caller was made for {expected}");
            return Err(words::descriptor(kernel.name(), why));
        }
        Ok(self.kernel.get_or_init(|| kernel))
    }
}

/// The kernel compiled for these dimensions and this dtype. For each generic, in order, `dims` has
/// an argument whose columns give it, and their number.
///
/// # Errors
/// [`Instance`](crate::Code::Instance) if there is none, naming what there is; else as
/// [`Instance::kernel`].
pub fn select(
    formula: &Formula,
    dtype: Dtype,
    dims: &[(&str, usize)],
) -> Result<&'static Kernel, Error> {
    if let Some(instance) = formula.fitting(dims).find(|instance| instance.dtype == dtype) {
        return instance.kernel();
    }
    let compiled: BTreeSet<Dtype> = formula.fitting(dims).map(Instance::dtype).collect();
    if compiled.is_empty() {
        Err(no_instance(formula, dims))
    } else {
        Err(words::no_dtype(formula, &compiled, dtype))
    }
}

impl Formula {
    /// The instances of these dimensions.
    pub(crate) fn fitting<'s>(
        &self,
        dims: &'s [(&str, usize)],
    ) -> impl Iterator<Item = &'static Instance> + use<'s> {
        let fits =
            |instance: &&Instance| instance.dims.iter().eq(dims.iter().map(|(_, value)| value));
        self.instances.iter().filter(fits)
    }

    /// The members of a generic that were compiled.
    pub(crate) fn compiled(&self, generic: usize) -> BTreeSet<usize> {
        self.instances.iter().filter_map(|instance| instance.dims.get(generic).copied()).collect()
    }
}

/// Says which dimension has no instance, or that only the combination has none.
fn no_instance(formula: &Formula, dims: &[(&str, usize)]) -> Error {
    for (index, (&generic, dim)) in formula.generics.iter().zip(dims).enumerate() {
        let compiled = formula.compiled(index);
        if !compiled.contains(&dim.1) {
            return words::no_dim(formula, generic, &compiled, *dim);
        }
    }
    words::no_combination(formula, dims)
}
