//! Which instruction stands for a step of an operation. Goes in: the C++ expression by which
//! emitted code spells the step. Comes out: the instruction, if there is one; steps without one
//! are computed in float64, by the operation's meaning.

use super::curves::Curve;
use super::program::{Binary, Ternary, Unary};

/// An instruction that waits for its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Make {
    Unary(Unary),
    Binary(Binary),
    Ternary(Ternary),
    Curve(Curve),
}

/// Each argument is read once, in order; `$0` twice is a square or a test for NaN.
const CODES: &[(&str, Make)] = &[
    ("$0 + $1", Make::Binary(Binary::Add)),
    ("$0 - $1", Make::Binary(Binary::Sub)),
    ("$0 * $1", Make::Binary(Binary::Mul)),
    ("$0 / $1", Make::Binary(Binary::Div)),
    ("$0 * $1 + $2", Make::Ternary(Ternary::MulAdd)),
    ("-$0", Make::Unary(Unary::Neg)),
    ("tf_inv($0)", Make::Unary(Unary::Inv)),
    ("$0 * $0", Make::Unary(Unary::Square)),
    ("tf_abs($0)", Make::Unary(Unary::Abs)),
    ("tf_sign($0)", Make::Unary(Unary::Sign)),
    ("tf_step($0)", Make::Unary(Unary::Step)),
    ("tf_relu($0)", Make::Unary(Unary::Relu)),
    ("tf_floor($0)", Make::Unary(Unary::Floor)),
    ("tf_trunc($0)", Make::Unary(Unary::Trunc)),
    ("tf_ceil($0)", Make::Unary(Unary::Ceil)),
    ("tf_sqrt($0)", Make::Unary(Unary::Sqrt)),
    ("tf_rsqrt($0)", Make::Unary(Unary::Rsqrt)),
    ("tf_exp($0)", Make::Unary(Unary::Exp)),
    ("tf_exp2($0)", Make::Unary(Unary::Exp2)),
    ("tf_log($0)", Make::Unary(Unary::Log)),
    ("tf_xlogx($0)", Make::Unary(Unary::XLogX)),
    ("tf_min($0, $1)", Make::Binary(Binary::Min)),
    ("tf_max($0, $1)", Make::Binary(Binary::Max)),
    ("tf_eq($0, $1)", Make::Binary(Binary::Eq)),
    ("tf_ne($0, $1)", Make::Binary(Binary::Ne)),
    ("tf_lt($0, $1)", Make::Binary(Binary::Lt)),
    ("tf_le($0, $1)", Make::Binary(Binary::Le)),
    ("tf_and($0, $1)", Make::Binary(Binary::And)),
    ("tf_or($0, $1)", Make::Binary(Binary::Or)),
    ("tf_onehot($0, $1)", Make::Binary(Binary::OneHot)),
    ("tf_or(tf_eq($0, $1), tf_ne($0, $0))", Make::Binary(Binary::EqOrNan)),
    ("tf_where($0, $1, $2)", Make::Ternary(Ternary::Where)),
    ("tf_ifelse($0, $1, $2)", Make::Ternary(Ternary::IfElse)),
    ("tf_clamp($0, $1, $2)", Make::Ternary(Ternary::Clamp)),
    ("tf_mod($0, $1, $2)", Make::Ternary(Ternary::Mod)),
    ("tf_sin($0)", Make::Curve(Curve::Sin)),
    ("tf_cos($0)", Make::Curve(Curve::Cos)),
    ("tf_tan($0)", Make::Curve(Curve::Tan)),
    ("tf_sinxdivx($0)", Make::Curve(Curve::SinXDivX)),
    ("tf_asin($0)", Make::Curve(Curve::Asin)),
    ("tf_acos($0)", Make::Curve(Curve::Acos)),
    ("tf_atan($0)", Make::Curve(Curve::Atan)),
    ("tf_expm1($0)", Make::Curve(Curve::Expm1)),
    ("tf_sinh($0)", Make::Curve(Curve::Sinh)),
    ("tf_cosh($0)", Make::Curve(Curve::Cosh)),
    ("tf_tanh($0)", Make::Curve(Curve::Tanh)),
    ("tf_sigmoid($0)", Make::Curve(Curve::Sigmoid)),
    ("tf_silu($0)", Make::Curve(Curve::Silu)),
    ("tf_softplus($0)", Make::Curve(Curve::Softplus)),
    ("tf_log1p($0)", Make::Curve(Curve::Log1p)),
    ("tf_log2($0)", Make::Curve(Curve::Log2)),
    ("tf_log10($0)", Make::Curve(Curve::Log10)),
    ("tf_asinh($0)", Make::Curve(Curve::Asinh)),
    ("tf_acosh($0)", Make::Curve(Curve::Acosh)),
    ("tf_atanh($0)", Make::Curve(Curve::Atanh)),
    ("tf_cbrt($0)", Make::Curve(Curve::Cbrt)),
    ("tf_erf($0)", Make::Curve(Curve::Erf)),
    ("tf_erfc($0)", Make::Curve(Curve::Erfc)),
    ("tf_normcdf($0)", Make::Curve(Curve::NormCdf)),
    ("tf_gelu($0)", Make::Curve(Curve::Gelu)),
    ("tf_atan2($0, $1)", Make::Curve(Curve::Atan2)),
    ("tf_pow($0, $1)", Make::Curve(Curve::Powf)),
    ("tf_hypot($0, $1)", Make::Curve(Curve::Hypot)),
];

/// The instruction for an expression.
pub(super) fn of_code(code: &str) -> Option<Make> {
    CODES.iter().find(|(known, _)| *known == code).map(|(_, make)| *make)
}

#[cfg(test)]
mod tests {
    use tilefold_compiler::ops::{Emit, Op};

    use super::*;

    /// A code that no operation has is a misspelt or an old one.
    #[test]
    fn every_code_of_one_component_is_an_operations() {
        let spelt = |op: &Op| match op.def().emit {
            Emit::Map(code) => Some(code),
            Emit::Move(_) | Emit::Parts(_) | Emit::Contract(_) | Emit::Expanded => None,
        };
        let spelt: Vec<&str> = Op::ALL.iter().filter_map(spelt).collect();
        let steps = ["$0 * $1 + $2", "tf_onehot($0, $1)", "tf_or(tf_eq($0, $1), tf_ne($0, $0))"];
        for (code, _) in CODES {
            assert!(spelt.contains(code) || steps.contains(code), "{code}");
        }
    }
}
