//! The op table: one list of names, one room per operation.
//!
//! `for_each_op!` is the only list. The enum, the lookup by name and the checks of the tests come
//! from it. Each operation's [`OpDef`] holds every fact on one screen: names, shape rule, meaning
//! in float64, derivative, emission, sampling domain. All fields are mandatory, so an operation
//! without a derivative has to say so.
//!
//! What goes in: nothing. What comes out: constants. This module never evaluates, differentiates
//! or emits by itself; it only says how.

pub mod analytic;
pub mod arith;
mod cartesian;
pub mod compare;
pub mod complex;
pub mod cost;
pub mod exp;
pub mod hyper;
pub mod ints;
pub mod layout;
pub mod logistic;
pub mod matrix;
pub mod pairs;
pub mod rounding;
pub mod scan;
pub mod softdtw;
pub mod special;
pub mod spline;
pub mod tensor;
pub mod trig;
pub(crate) mod typed;
pub mod vector;

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::ir::{ExprId, Formula, Node};

pub use tensor::{Contraction, Stride};

/// Calls the macro `$m` with the list of operations, in the order of the documentation.
///
/// One line an operation: variant = room. The room's `name` is the canonical spelling.
macro_rules! for_each_op {
    ($m:ident) => {
        $m! {
            // arithmetic, component by component
            Add = arith::ADD, Sub = arith::SUB, Mul = arith::MUL, Div = arith::DIV,
            Neg = arith::NEG, Inv = arith::INV, Square = arith::SQUARE,
            Pow = exp::POW, Powf = exp::POWF, Sqrt = exp::SQRT, Rsqrt = exp::RSQRT,
            Cbrt = exp::CBRT, Hypot = exp::HYPOT,
            Exp = exp::EXP, Exp2 = exp::EXP2, Expm1 = exp::EXPM1, Log = exp::LOG,
            Log1p = exp::LOG1P, Log2 = exp::LOG2, Log10 = exp::LOG10, XLogX = exp::XLOGX,
            Sin = trig::SIN, Cos = trig::COS, Tan = trig::TAN,
            Sinc = trig::SINC, SinXDivX = trig::SINXDIVX, SinXDivXPrime = trig::SINXDIVX_PRIME,
            Asin = trig::ASIN, Acos = trig::ACOS, Atan = trig::ATAN, Atan2 = trig::ATAN2,
            Sinh = hyper::SINH, Cosh = hyper::COSH, Tanh = hyper::TANH,
            Asinh = hyper::ASINH, Acosh = hyper::ACOSH, Atanh = hyper::ATANH,
            Sigmoid = logistic::SIGMOID, Softplus = logistic::SOFTPLUS, Silu = logistic::SILU,
            Gelu = logistic::GELU, GeluTanh = logistic::GELU_TANH,
            Erf = special::ERF, Erfc = special::ERFC, NormCdf = special::NORM_CDF,
            Lgamma = special::LGAMMA, Digamma = special::DIGAMMA,
            Polygamma = special::POLYGAMMA, Trigamma = special::TRIGAMMA,
            Abs = compare::ABS, Sign = compare::SIGN, Step = compare::STEP, Relu = compare::RELU,
            Floor = compare::FLOOR, Round = compare::ROUND, Mod = compare::MOD,
            Trunc = rounding::TRUNC, Ceil = rounding::CEIL, Fmod = rounding::FMOD,
            Minimum = compare::MINIMUM, Maximum = compare::MAXIMUM,
            Clamp = compare::CLAMP, ClampInt = compare::CLAMP_INT,
            DiffClampInt = compare::DIFF_CLAMP_INT, IfElse = compare::IF_ELSE,
            Where = compare::WHERE,
            Eq = compare::EQ, Ne = compare::NE, Lt = compare::LT, Le = compare::LE,
            And = compare::AND, Or = compare::OR,
            ToReal = ints::TO_REAL,
            // all components into one
            Sum = vector::SUM, MaxOf = vector::MAX_OF, MinOf = vector::MIN_OF,
            ArgMaxOf = vector::ARG_MAX_OF, ArgMinOf = vector::ARG_MIN_OF,
            Dot = vector::DOT, SqNorm2 = vector::SQNORM2, Norm2 = vector::NORM2,
            Normalize = vector::NORMALIZE, SqDist = vector::SQDIST,
            SqNormIso = vector::SQNORM_ISO, SqNormDiag = vector::SQNORM_DIAG,
            SymSqNorm = vector::SYM_SQNORM, WeightedSqNorm = vector::WEIGHTED_SQNORM,
            WeightedSqDist = vector::WEIGHTED_SQDIST,
            // components moved
            SumT = layout::SUM_T, Elem = layout::ELEM, ElemT = layout::ELEM_T,
            Extract = layout::EXTRACT, ExtractT = layout::EXTRACT_T, Concat = layout::CONCAT,
            OneHot = layout::ONE_HOT,
            Pick = layout::PICK, Scatter = layout::SCATTER, Reverse = layout::REVERSE,
            Transpose = layout::TRANSPOSE,
            // components one after the other
            CumSum = scan::CUM_SUM, CumProd = scan::CUM_PROD, Scan = scan::SCAN,
            Prod = scan::PROD, Mean = scan::MEAN,
            // small matrices and tensors, row-major
            MatVecMult = matrix::MAT_VEC_MULT, VecMatMult = matrix::VEC_MAT_MULT,
            TensorProd = matrix::TENSOR_PROD, MatMul = matrix::MAT_MUL,
            Trace = matrix::TRACE, Cross = matrix::CROSS, Cofactor = matrix::COFACTOR,
            Det = matrix::DET, Inverse = matrix::INVERSE, Solve = matrix::SOLVE,
            TensorDot = tensor::TENSOR_DOT, Kron = tensor::KRON,
            // functions of curves and series
            BSpline = spline::BSPLINE,
            SoftMinRows = softdtw::SOFT_MIN_ROWS, SoftMinWeights = softdtw::SOFT_MIN_WEIGHTS,
            SoftDtwSqDist = softdtw::SOFT_DTW_SQDIST,
            // complex numbers: their type
            Complex = complex::COMPLEX, Real = complex::REAL, Imag = complex::IMAG,
            Conj = complex::CONJ, Angle = complex::ANGLE, Exp1j = complex::EXP1J,
            AsComplex = complex::AS_COMPLEX, AsReal = complex::AS_REAL,
            // complex numbers: pairs of reals side by side
            Interleave = pairs::INTERLEAVE,
            ComplexReal = pairs::COMPLEX_REAL, ComplexImag = pairs::COMPLEX_IMAG,
            Real2Complex = pairs::REAL2COMPLEX, Imag2Complex = pairs::IMAG2COMPLEX,
            ComplexExp1j = analytic::COMPLEX_EXP1J,
            ComplexConj = pairs::COMPLEX_CONJ, ComplexAdd = pairs::COMPLEX_ADD,
            ComplexSubtract = pairs::COMPLEX_SUBTRACT, ComplexMult = pairs::COMPLEX_MULT,
            ComplexDivide = analytic::COMPLEX_DIVIDE, ComplexScal = pairs::COMPLEX_SCAL,
            ComplexRealScal = pairs::COMPLEX_REAL_SCAL, ComplexInv = analytic::COMPLEX_INV,
            ComplexSquare = pairs::COMPLEX_SQUARE, ComplexPow = analytic::COMPLEX_POW,
            ComplexSqrt = analytic::COMPLEX_SQRT, ComplexExp = analytic::COMPLEX_EXP,
            ComplexLog = analytic::COMPLEX_LOG,
            ComplexSquareAbs = analytic::COMPLEX_SQUARE_ABS, ComplexAbs = analytic::COMPLEX_ABS,
            ComplexAngle = analytic::COMPLEX_ANGLE,
            ComplexSum = pairs::COMPLEX_SUM, ComplexSumT = pairs::COMPLEX_SUM_T,
            ComplexDot = pairs::COMPLEX_DOT, BinaryScale = analytic::BINARY_SCALE,
        }
    };
}

macro_rules! make_enum {
    ($($variant:ident = $family:ident :: $room:ident,)*) => {
        /// An operation. What it means is in its room, see [`Op::def`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the room documents the operation")]
        pub enum Op { $($variant,)* }

        impl Op {
            /// Every operation, in the order of the documentation.
            pub const ALL: &[Op] = &[$(Op::$variant,)*];

            /// The operation's room.
            pub fn def(self) -> &'static OpDef {
                match self { $(Op::$variant => &$family::$room,)* }
            }
        }
    };
}
for_each_op!(make_enum);

impl Op {
    /// Finds an operation by its name in formula files or by a KeOps spelling.
    pub fn by_name(name: &str) -> Option<Op> {
        static BY_NAME: OnceLock<HashMap<&'static str, Op>> = OnceLock::new();
        let by_name = BY_NAME.get_or_init(|| {
            let mut by_name = HashMap::new();
            for &op in Op::ALL {
                let def = op.def();
                for &name in def.aliases.iter().chain([&def.name]) {
                    by_name.entry(name).or_insert(op);
                }
            }
            by_name
        });
        by_name.get(name).copied()
    }
}

/// Everything known of one operation.
pub struct OpDef {
    /// Canonical spelling, lower case.
    pub name: &'static str,
    /// Other accepted spellings: KeOps' first.
    pub aliases: &'static [&'static str],
    /// One sentence: what it computes, and its edge values.
    pub doc: &'static str,
    /// Number of arguments.
    pub arity: usize,
    /// Number of literal integers after the arguments, or [`LISTS`].
    pub params: usize,
    /// Dims of the arguments and parameters to the dim of the result, or why they do not fit.
    pub shape: fn(&[usize], &[i64]) -> Result<usize, String>,
    /// The meaning in float64. An argument of length 1 is broadcast where `shape` allows it.
    /// Transcendental functions come from `libm`, so that every host computes the same bits.
    pub eval: fn(&[&[f64]], &[i64], &mut [f64]),
    /// The vector-Jacobian product.
    pub grad: Grad,
    /// How the emitted code spells it.
    pub emit: Emit,
    /// A composite is replaced by its expansion when it is built and never becomes a node; its
    /// `grad` and `emit` then come from the expansion.
    pub expand: Option<Expand>,
    /// Where each argument may be sampled so that value and derivative are well defined.
    pub domain: &'static [(f64, f64)],
}

/// As [`OpDef::params`]: lists of literal integers follow the arguments, as many as the shape rule
/// takes. A node holds each list as its length and then its items, see [`lists`].
pub const LISTS: usize = usize::MAX;

/// Takes the parameters of an operation with [`LISTS`] apart.
///
/// # Errors
/// When a list is longer than what is left.
pub fn lists(params: &[i64]) -> Result<Vec<&[i64]>, String> {
    let mut rest = params;
    let mut found = Vec::new();
    while let Some((&len, items)) = rest.split_first() {
        let len = usize::try_from(len).ok().filter(|&len| len <= items.len());
        let len = len.ok_or_else(|| format!("{params:?} are no lists with their lengths"))?;
        let (list, after) = items.split_at(len);
        found.push(list);
        rest = after;
    }
    Ok(found)
}

/// The parameters of a node for some lists: the inverse of [`lists`].
pub fn pack_lists(lists: &[&[i64]]) -> Vec<i64> {
    let with_length = |list: &&[i64]| [&[list.len() as i64], *list].concat();
    lists.iter().flat_map(with_length).collect()
}

/// Builds the expansion of a composite from its arguments and parameters, which fit.
pub type Expand = fn(&mut Formula, &[ExprId], &[i64]) -> ExprId;

/// See [`Emit::Move`].
pub type EmitMove = fn(&[usize], &[i64], usize) -> Option<(usize, usize)>;

/// Writes the components of a result, given those of the arguments and the parameters.
pub type EmitParts = fn(&mut dyn Parts, &[Vec<Part>], &[i64]) -> Vec<Part>;

/// One call of an operation, as a derivative sees it.
pub struct Call<'a> {
    /// The arguments.
    pub args: &'a [ExprId],
    /// The literal parameters.
    pub params: &'a [i64],
    /// The result.
    pub out: ExprId,
}

/// The derivative of an operation.
pub enum Grad {
    /// Adjoints of the arguments given the adjoint of the result (`None` where an argument has
    /// none). An adjoint may have dim 1 where the argument has dim n, and the other way round:
    /// the reverse sweep broadcasts or sums it.
    Vjp(fn(&mut Formula, &Call<'_>, ExprId) -> Vec<Option<ExprId>>),
    /// Piecewise constant: the derivative is zero wherever it exists.
    Zero,
    /// The expansion has the derivative.
    Expanded,
}

/// How emitted C++ spells an operation.
pub enum Emit {
    /// One component of the result from the same component of each argument: `$0`, `$1`, `$2` are
    /// the arguments, `$p0`, `$p1` the literal parameters.
    Map(&'static str),
    /// Component `c` of the result is a component of an argument (argument, component), or 0. The
    /// function gets the arguments' dims, the literal parameters and `c`. Moves cost nothing and
    /// are looked through.
    Move(EmitMove),
    /// The components of the result from all components of the arguments.
    Parts(EmitParts),
    /// Sums of products of components of two arguments, as the [`Contraction`] for the arguments'
    /// dims and the literal parameters says: written out when it is small, loops when it is not.
    Contract(fn(&[usize], &[i64]) -> Contraction),
    /// The expansion is emitted.
    Expanded,
}

/// A scalar in emitted code; what it stands for is known to the [`Parts`] that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Part(pub u32);

/// Where [`Emit::Parts`] writes scalars to.
pub trait Parts {
    /// A number.
    fn constant(&mut self, value: f64) -> Part;
    /// A C++ expression over `$0`, `$1`, `$2`.
    fn make(&mut self, code: &'static str, args: &[Part]) -> Part;
}

/// The shape rule of component-wise operations: all dims equal, or 1 (broadcast).
pub fn same_or_one(dims: &[usize], _: &[i64]) -> Result<usize, String> {
    let dim = dims.iter().copied().max().unwrap_or(1);
    match dims.iter().find(|&&d| d != dim && d != 1) {
        None => Ok(dim),
        Some(other) => Err(format!("dimensions {} and {dim} do not match", other)),
    }
}

/// Evaluates a component-wise operation of one argument.
pub(crate) fn map1(args: &[&[f64]], out: &mut [f64], f: impl Fn(f64) -> f64) {
    for (k, o) in out.iter_mut().enumerate() {
        *o = f(at(args[0], k));
    }
}

/// Evaluates a component-wise operation of two arguments.
pub(crate) fn map2(args: &[&[f64]], out: &mut [f64], f: impl Fn(f64, f64) -> f64) {
    for (k, o) in out.iter_mut().enumerate() {
        *o = f(at(args[0], k), at(args[1], k));
    }
}

/// Evaluates a component-wise operation of three arguments.
pub(crate) fn map3(args: &[&[f64]], out: &mut [f64], f: impl Fn(f64, f64, f64) -> f64) {
    for (k, o) in out.iter_mut().enumerate() {
        *o = f(at(args[0], k), at(args[1], k), at(args[2], k));
    }
}

/// Component `k` of a value that may be broadcast.
fn at(v: &[f64], k: usize) -> f64 {
    if v.len() == 1 { v[0] } else { v[k] }
}

/// Shorthands for derivatives, passes and expansions: each applies one operation to arguments
/// that are known to fit (see [`Formula::apply`]).
#[allow(missing_docs, reason = "each is named after its operation")]
impl Formula {
    pub fn add(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.apply(Op::Add, &[a, b], &[])
    }
    pub fn sub(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.apply(Op::Sub, &[a, b], &[])
    }
    pub fn mul(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.apply(Op::Mul, &[a, b], &[])
    }
    pub fn div(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.apply(Op::Div, &[a, b], &[])
    }
    pub fn neg(&mut self, a: ExprId) -> ExprId {
        self.apply(Op::Neg, &[a], &[])
    }
    pub fn square(&mut self, a: ExprId) -> ExprId {
        self.apply(Op::Square, &[a], &[])
    }
    /// Multiplies by a number.
    pub fn scale(&mut self, factor: f64, a: ExprId) -> ExprId {
        let c = self.constant(factor);
        self.mul(c, a)
    }
    /// Sums the components of one value.
    pub fn sum_components(&mut self, a: ExprId) -> ExprId {
        self.apply(Op::Sum, &[a], &[])
    }
    /// `|v|^2`.
    pub fn squared_norm(&mut self, v: ExprId) -> ExprId {
        let squares = self.square(v);
        if self.dim(squares) == 1 { squares } else { self.sum_components(squares) }
    }
}

/// The same, recognized.
impl Formula {
    /// `v` of a `v^2`, component by component, in either spelling.
    pub fn root_of_square(&self, id: ExprId) -> Option<ExprId> {
        match self.node(id) {
            Node::Op(Op::Square, args, _) => Some(args[0]),
            Node::Op(Op::Mul, args, _) if args[0] == args[1] => Some(args[0]),
            _ => None,
        }
    }
    /// `v` of a `|v|^2`.
    pub fn root_of_squared_norm(&self, id: ExprId) -> Option<ExprId> {
        match self.node(id) {
            Node::Op(Op::Sum, args, _) => self.root_of_square(args[0]),
            _ if self.dim(id) == 1 => self.root_of_square(id),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
