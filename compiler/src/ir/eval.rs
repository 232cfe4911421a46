//! The dense float64 meaning of a formula.
