//! How exact every operation is, for the tests that check it and for the book of operations.

use std::fmt;

use tilefold_compiler::ops::Op;

/// The error of an operation on numbers of the kernel's own type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// The exact result, rounded once or not at all.
    Exact,
    /// One function, off by at most so many units of the last place of the exact result.
    Ulps(f64),
    /// Several roundings: up to [`SEVERAL`] units of the last place of the result and of the
    /// arguments' third powers, within the domain where it is sampled.
    Several,
}

/// See [`Bound::Several`].
pub const SEVERAL: f64 = 12.0;

/// Operations that are one rounding, or none, of the exact result.
const EXACT: &str = "add sub mul div neg inv square sqrt abs sign step relu floor trunc ceil fmod \
                     clamp clamp_int diff_clamp_int ifelse where minimum maximum eq ne lt le and \
                     or to_real max_of min_of arg_max_of arg_min_of sum_t elem elem_t extract \
                     extract_t concat one_hot pick reverse transpose tensorprod kron complex \
                     real imag conj as_complex as_real \
                     interleave complex_real complex_imag real2complex imag2complex complex_conj \
                     complex_add complex_subtract complex_real_scal complex_sum_t";

/// Operations of one function of the prelude, which may be off by so many units.
const FUNCTIONS: &[(&str, f64)] = &[
    ("rsqrt", 2.0),
    ("exp", 2.0),
    ("exp2", 2.0),
    ("log", 2.0),
    ("sin", 2.0),
    ("cos", 2.0),
    ("tan", 2.0),
    ("asin", 2.0),
    ("acos", 2.0),
    ("atan", 2.0),
    ("atan2", 2.0),
    ("powf", 2.0),
    ("expm1", 2.0),
    ("log1p", 2.0),
    ("log2", 2.0),
    ("log10", 2.0),
    ("cbrt", 2.0),
    ("hypot", 2.0),
    ("sigmoid", 2.0),
    ("softplus", 2.0),
    ("silu", 3.0),
    ("sinh", 2.0),
    ("cosh", 2.0),
    ("tanh", 2.0),
];

fn exact() -> impl Iterator<Item = &'static str> {
    EXACT.split_whitespace()
}

/// The bound of an operation; what is in no table is several roundings.
pub fn bound(op: Op) -> Bound {
    let name = op.def().name;
    let function = FUNCTIONS.iter().find(|(known, _)| *known == name);
    match function {
        Some(&(_, limit)) => Bound::Ulps(limit),
        None if exact().any(|known| known == name) => Bound::Exact,
        None => Bound::Several,
    }
}

/// Names in the tables that are no operations.
pub fn strangers() -> Vec<&'static str> {
    let names = exact().chain(FUNCTIONS.iter().map(|(name, _)| *name));
    names.filter(|name| Op::by_name(name).is_none_or(|op| op.def().name != *name)).collect()
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Exact => f.write_str("exact: at most one rounding"),
            Bound::Ulps(limit) => write!(f, "at most {limit} units of the last place"),
            Bound::Several => f.write_str("several roundings"),
        }
    }
}
