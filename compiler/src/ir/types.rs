//! Axes, strata and exact constants.

use std::fmt;

/// One of the two symbolic indices: `i` (targets, M rows) or `j` (sources, N rows).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Axis {
    /// The index of targets.
    I,
    /// The index of sources.
    J,
}

impl Axis {
    /// The other index.
    pub fn other(self) -> Axis {
        match self {
            Axis::I => Axis::J,
            Axis::J => Axis::I,
        }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Axis::I => "i",
            Axis::J => "j",
        })
    }
}

/// Where a value can be computed first: the set of indices it depends on, with constants told
/// apart from parameters.
///
/// `Const < Param < I, J < Pair`; [`Stratum::join`] is the least upper bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stratum {
    /// Known at compile time.
    Const,
    /// Known once a launch.
    Param,
    /// Known once a row of `i`.
    I,
    /// Known once a row of `j`.
    J,
    /// Known for each pair only.
    Pair,
}

impl Stratum {
    /// The stratum of an input or of a reduction's result indexed by `axis`.
    pub fn of(axis: Option<Axis>) -> Stratum {
        match axis {
            None => Stratum::Param,
            Some(Axis::I) => Stratum::I,
            Some(Axis::J) => Stratum::J,
        }
    }

    /// The smallest stratum that holds values of both.
    pub fn join(self, other: Stratum) -> Stratum {
        use Stratum::{I, J, Pair};
        match (self, other) {
            (I, J) | (J, I) => Pair,
            (a, b) => a.max(b),
        }
    }

    /// Whether a value of this stratum varies along `axis`.
    pub fn varies(self, axis: Axis) -> bool {
        self == Stratum::Pair || self == Stratum::of(Some(axis))
    }

    /// The stratum of a reduction over `axis` of a value of this stratum.
    pub fn without(self, axis: Axis) -> Stratum {
        match self {
            Stratum::Pair => Stratum::of(Some(axis.other())),
            s if s == Stratum::of(Some(axis)) => Stratum::Param,
            // Reducing a constant counts rows, so the result is known at launch only.
            Stratum::Const => Stratum::Param,
            s => s,
        }
    }

    /// Whether every value of `other` can be read where values of `self` are computed.
    pub fn holds(self, other: Stratum) -> bool {
        self.join(other) == self
    }
}

impl fmt::Display for Stratum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stratum::Const => "const",
            Stratum::Param => "param",
            Stratum::I => "i",
            Stratum::J => "j",
            Stratum::Pair => "ij",
        })
    }
}

/// What a value's components are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Reals in the formula's dtype.
    Real,
    /// Complex numbers. `dim` counts reals, here as everywhere: n numbers are 2n components, the
    /// real and the imaginary part of the first, then those of the second, and so on. Arrays hold
    /// them in the same order. Only inputs and `as_complex` are of this kind, and only `as_real`
    /// and outputs read it: see `ops/typed.rs`.
    Complex,
    /// Exact 64-bit integers: labels, row numbers, and their sums. See [`super::ints`].
    Int,
}

impl Kind {
    /// How many numbers of this kind `dim` components are.
    pub fn count(self, dim: usize) -> usize {
        match self {
            Kind::Complex => dim / 2,
            Kind::Real | Kind::Int => dim,
        }
    }

    /// The space of `dim` components, as formula files spell it.
    pub fn space(self, dim: usize) -> String {
        let field = match self {
            Kind::Real => "R",
            Kind::Complex => "C",
            Kind::Int => "int",
        };
        match self.count(dim) {
            1 => field.into(),
            n => format!("{field}^{n}"),
        }
    }
}

/// An exact float64 constant that can be hashed: equality is equality of bits, and every NaN is
/// the same one, for its sign and payload depend on the host.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Real(u64);

impl Real {
    /// Wraps a value.
    pub fn new(value: f64) -> Real {
        Real(if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() })
    }

    /// The value.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl fmt::Debug for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.get())
    }
}

/// How the sums of a formula are accumulated. A sum of N terms of which S is the sum of magnitudes
/// errs by at most so many units u of S, besides the errors of the terms; u is 2^-24 in f32 and
/// 2^-53 in f64, and N has no part in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Accumulation {
    /// The default: blocks of 8 terms in the dtype, added up with compensation. At most 9 u; at
    /// most 4 u where all terms are equal.
    #[default]
    Blocked,
    /// `acc f64`: every term is added to a total in float64, or to a compensated total where the
    /// dtype is f64. At most 1 u, which is the rounding of the result.
    Each,
    /// `acc fast`: a whole tile of columns (at most 256) in the dtype. At most 257 u.
    Fast,
}

impl Accumulation {
    /// Every accumulation that has a name.
    pub const NAMED: &[Accumulation] = &[Accumulation::Each, Accumulation::Fast];

    /// The name after `acc` in formula files; the default has none.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Accumulation::Blocked => None,
            Accumulation::Each => Some("f64"),
            Accumulation::Fast => Some("fast"),
        }
    }
}

/// The scalar type that a kernel computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dtype {
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
}

impl Dtype {
    /// Every dtype.
    pub const ALL: &[Dtype] = &[Dtype::F32, Dtype::F64];

    /// The name in formula files, symbols and messages.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
        }
    }
}

/// The scalar type of a kernel's arrays: what `dtype` in a formula file names.
///
/// 16-bit arrays are converted to f32 when rows and columns are packed, and results are rounded
/// once when they are written (to nearest, ties to even); everything between is f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Storage {
    /// 16-bit floats of IEEE 754: 11 bits of significand, up to 65504.
    F16,
    /// The upper half of a 32-bit float: 8 bits of significand.
    BF16,
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
}

impl Storage {
    /// Every type.
    pub const ALL: &[Storage] = &[Storage::F16, Storage::BF16, Storage::F32, Storage::F64];

    /// The name in formula files, symbols and messages.
    pub fn name(self) -> &'static str {
        match self {
            Storage::F16 => "f16",
            Storage::BF16 => "bf16",
            Storage::F32 => "f32",
            Storage::F64 => "f64",
        }
    }

    /// What kernels of such arrays compute with.
    pub fn computes(self) -> Dtype {
        match self {
            Storage::F16 | Storage::BF16 | Storage::F32 => Dtype::F32,
            Storage::F64 => Dtype::F64,
        }
    }
}

impl From<Dtype> for Storage {
    fn from(dtype: Dtype) -> Storage {
        match dtype {
            Dtype::F32 => Storage::F32,
            Dtype::F64 => Storage::F64,
        }
    }
}
