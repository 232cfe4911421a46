//! Formulas with run-time dimensions (`dyn`). Goes in: the sizes and the dtype of a call. Comes
//! out: a call of the kernel that was compiled for them, or of the formula made for them now, from
//! the text of its file. It never makes what is compiled.

use std::collections::BTreeSet;

use crate::call::Call;
use crate::element::Dtype;
use crate::error::Error;
use crate::formula::Formula;
use crate::words;

/// A formula of a formula file that takes sizes which were not compiled: `<D: {2, 3, dyn}>`.
///
/// Generated wrappers hold one for each call of such a formula. Sizes that are listed run as they
/// do for any other formula. For others the formula is made when they are first met, which needs
/// the feature `text`, and runs as expressions do: linked, if a registered formula computes it,
/// else compiled (feature `jit`), else interpreted. What was made is kept.
///
/// ```
/// use ndarray::{Array2, ArrayView2};
/// use tilefold::{Dtype, Element, Error, Formula, OpenFormula};
///
/// static NORMS: Formula =
///     Formula { name: "norms", file: "norms.fold", generics: &["D"], instances: &[] };
/// static OPEN: OpenFormula = OpenFormula {
///     compiled: &NORMS,
///     text: "tilefold 1; formula norms<D: dyn> { x[i], y[j] : R^D; a[i] = sum[j] sqdist(x, y); }",
///     name: "norms",
///     derivative: None,
///     members: &[None],
///     dtypes: &[Dtype::F32, Dtype::F64],
/// };
///
/// fn norms<T: Element>(x: ArrayView2<T>, y: ArrayView2<T>) -> Result<Array2<T>, Error> {
///     OPEN.call(T::DTYPE, &[("x", x.ncols())])?.arg("x", x).arg("y", y).run()?.take("a")
/// }
///
/// # if cfg!(feature = "text") {
/// let a = norms(Array2::<f64>::zeros((4, 5)).view(), Array2::ones((7, 5)).view())?;
/// assert_eq!(a, Array2::from_elem((4, 1), 35.0));
/// # }
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct OpenFormula {
    /// What was compiled.
    pub compiled: &'static Formula,
    /// The text of the formula file.
    pub text: &'static str,
    /// The name of the formula in it.
    pub name: &'static str,
    /// The derivative that is called, by its title among all kernels of the formula; `None` for
    /// the value.
    pub derivative: Option<&'static str>,
    /// For each generic its members; `None` where it is `dyn`.
    pub members: &'static [Option<&'static [usize]>],
    /// The types of arrays that the formula is for.
    pub dtypes: &'static [Dtype],
}

impl OpenFormula {
    /// A call for these dimensions and this dtype. `dims` is as in [`select`](crate::select).
    ///
    /// # Errors
    /// [`Instance`](crate::Code::Instance) for a dtype or a size that the formula does not have,
    /// naming what it has, and for a size that is not compiled where the program was built without
    /// the feature `text`; [`Text`](crate::Code::Text), with the diagnostics of the formula
    /// language, where the formula does not exist for these sizes; else as
    /// [`Instance::kernel`](crate::Instance::kernel).
    pub fn call<'a>(
        &'static self,
        dtype: Dtype,
        dims: &[(&str, usize)],
    ) -> Result<Call<'a>, Error> {
        if let Some(instance) = self.compiled.fitting(dims).find(|i| i.dtype() == dtype) {
            return Ok(Call::new(instance.kernel()?));
        }
        if !self.dtypes.contains(&dtype) {
            let known: BTreeSet<Dtype> = self.dtypes.iter().copied().collect();
            return Err(words::no_dtype(self.compiled, &known, dtype));
        }
        let generics = self.compiled.generics.iter().zip(self.members);
        for ((generic, members), &dim) in generics.zip(dims) {
            let Some(members) = members else { continue };
            if !members.contains(&dim.1) {
                let known = members.iter().copied().collect();
                return Err(words::no_dim(self.compiled, generic, &known, dim));
            }
        }
        self.made(dtype, dims)
    }

    #[cfg(feature = "text")]
    fn made<'a>(&'static self, dtype: Dtype, dims: &[(&str, usize)]) -> Result<Call<'a>, Error> {
        use tilefold_compiler::ir::MAX_DIM;

        for (generic, &dim) in self.compiled.generics.iter().zip(dims) {
            if !(1..=MAX_DIM).contains(&dim.1) {
                return Err(words::open::size(self, generic, dim, MAX_DIM));
            }
        }
        crate::lazy::made(self, dtype, dims).map(|(made, seconds)| Call::made(made, seconds))
    }

    #[cfg(not(feature = "text"))]
    fn made<'a>(&'static self, _: Dtype, dims: &[(&str, usize)]) -> Result<Call<'a>, Error> {
        Err(words::open::without_text(self, dims))
    }
}
