//! The numbers that arrays hold. Goes in: a Rust type. Comes out: the tag that descriptors and
//! messages use for it. It never converts numbers.

use std::fmt;

use num_complex::Complex;

use crate::sys;

/// The real type of a kernel's inputs and outputs.
///
/// Kernels of 16-bit reals compute in 32 bits: inputs are converted exactly, and results are
/// rounded once, to nearest with ties to even. What is too large becomes infinite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dtype {
    /// 16-bit floats of IEEE 754.
    F16,
    /// The upper half of 32-bit floats.
    BF16,
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
}

impl Dtype {
    /// The name in formula files and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Dtype::F16 => "f16",
            Dtype::BF16 => "bf16",
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
        }
    }

    /// Bytes of one number.
    pub const fn size(self) -> usize {
        match self {
            Dtype::F16 | Dtype::BF16 => 2,
            Dtype::F32 => 4,
            Dtype::F64 => 8,
        }
    }

    /// What kernels of this type compute with: packed values and temporaries hold it.
    pub const fn computes(self) -> Dtype {
        match self {
            Dtype::F16 | Dtype::BF16 | Dtype::F32 => Dtype::F32,
            Dtype::F64 => Dtype::F64,
        }
    }

    /// How many positions are exact in what kernels compute with: every row number below it is.
    pub(crate) const fn exact_positions(self) -> u64 {
        match self {
            Dtype::F16 | Dtype::BF16 | Dtype::F32 => (1 << 24) + 1,
            Dtype::F64 => (1 << 53) + 1,
        }
    }

    pub(crate) fn from_raw(raw: u32) -> Option<Dtype> {
        match raw {
            sys::TF_F32 => Some(Dtype::F32),
            sys::TF_F64 => Some(Dtype::F64),
            sys::TF_F16 => Some(Dtype::F16),
            sys::TF_BF16 => Some(Dtype::BF16),
            _ => None,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What one entry of an array is: a real, a complex number, or an exact integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ComponentType {
    /// A real of the given type.
    Real(Dtype),
    /// A complex number whose parts are of the given type.
    Complex(Dtype),
    /// A 64-bit integer: a label, or a row number as `argmin` gives it (-1 is none).
    Index,
}

impl ComponentType {
    /// Bytes of one entry.
    pub const fn size(self) -> usize {
        match self {
            ComponentType::Real(dtype) => dtype.size(),
            ComponentType::Complex(dtype) => 2 * dtype.size(),
            ComponentType::Index => 8,
        }
    }

    /// How many scalars one entry is, as kernels see it.
    pub(crate) const fn scalars(self) -> usize {
        match self {
            ComponentType::Complex(_) => 2,
            ComponentType::Real(_) | ComponentType::Index => 1,
        }
    }

    /// Bytes of one scalar, and what they are aligned to.
    pub(crate) const fn scalar_size(self) -> usize {
        self.size() / self.scalars()
    }
}

impl fmt::Display for ComponentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ComponentType::Real(dtype) => f.write_str(dtype.name()),
            ComponentType::Complex(dtype) => write!(f, "Complex<{dtype}>"),
            ComponentType::Index => f.write_str("i64"),
        }
    }
}

mod sealed {
    use half::{bf16, f16};
    use num_complex::Complex;

    /// What the library itself does with numbers.
    pub trait Sealed: Sized {
        /// The real and the imaginary part.
        fn parts(self) -> [f64; 2];
        /// The number with these parts, rounded once.
        fn of_parts(parts: [f64; 2]) -> Self;
    }

    macro_rules! reals {
        ($($real:ident: $to:expr, $from:expr;)*) => {$(
            impl Sealed for $real {
                fn parts(self) -> [f64; 2] {
                    [$to(self), 0.0]
                }

                fn of_parts([real, _]: [f64; 2]) -> $real {
                    $from(real)
                }
            }
        )*};
    }

    reals! {
        f16: f64::from, f16::from_f64;
        bf16: f64::from, bf16::from_f64;
        f32: f64::from, |real| real as f32;
        f64: |real| real, |real| real;
        i64: |int| int as f64, |real| real as i64;
    }

    impl<T: super::Element> Sealed for Complex<T> {
        fn parts(self) -> [f64; 2] {
            [self.re.parts()[0], self.im.parts()[0]]
        }

        fn of_parts([re, im]: [f64; 2]) -> Complex<T> {
            Complex { re: T::of_parts([re, 0.0]), im: T::of_parts([im, 0.0]) }
        }
    }
}

/// A type that arrays hold: a real type, `Complex` of one, or `i64` (labels and row numbers).
pub trait Component: sealed::Sealed + Copy + Default + Send + Sync + 'static {
    /// The tag of this type.
    const TYPE: ComponentType;
}

/// A real type: `f16`, `bf16`, `f32` or `f64`.
pub trait Element: Component {
    /// The tag of this type.
    const DTYPE: Dtype;
}

impl Component for half::f16 {
    const TYPE: ComponentType = ComponentType::Real(Dtype::F16);
}

impl Component for half::bf16 {
    const TYPE: ComponentType = ComponentType::Real(Dtype::BF16);
}

impl Component for f32 {
    const TYPE: ComponentType = ComponentType::Real(Dtype::F32);
}

impl Component for f64 {
    const TYPE: ComponentType = ComponentType::Real(Dtype::F64);
}

impl Component for i64 {
    const TYPE: ComponentType = ComponentType::Index;
}

impl Element for half::f16 {
    const DTYPE: Dtype = Dtype::F16;
}

impl Element for half::bf16 {
    const DTYPE: Dtype = Dtype::BF16;
}

// `Complex` is `repr(C)`: the real part, then the imaginary one, as kernels expect it.
impl<T: Element> Component for Complex<T> {
    const TYPE: ComponentType = ComponentType::Complex(T::DTYPE);
}

impl Element for f32 {
    const DTYPE: Dtype = Dtype::F32;
}

impl Element for f64 {
    const DTYPE: Dtype = Dtype::F64;
}
