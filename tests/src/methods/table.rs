//! How the methods of LazyTensor are called: names, the place of `self`, names of operands and
//! literals, and which operations have no method. In: the op list. Out: one [`Method`] for each
//! operation that has one, in the order of the list. An operation of real values without literals
//! is a method of its own name unless a row says otherwise.

use tilefold_compiler::ops::{LISTS, Op};

/// One method.
#[derive(Clone)]
pub struct Method {
    /// The operation it applies.
    pub op: Op,
    /// Its name in Rust.
    pub name: &'static str,
    /// The operation's arguments in their order; one of them is `self`.
    pub args: &'static [&'static str],
    /// The operands in the order of the call, where that is not the order of the arguments.
    pub order: Option<&'static [&'static str]>,
    /// The literal parameters.
    pub literals: &'static [Literal],
    /// What it computes, where the operation's own sentence is not about the method.
    pub doc: Option<&'static str>,
    /// The rule of dims, where it cannot be found by trying.
    pub shape: Option<&'static str>,
    /// Whether the result, pairs of reals, is made complex.
    pub pairs: bool,
}

/// A literal parameter: its name, and how a caller writes it.
#[derive(Clone, Copy)]
pub enum Literal {
    /// Any integer.
    Int(&'static str),
    /// An index or a length.
    Size(&'static str),
    /// Several of them.
    List(&'static str),
    /// Several, or none for what the operation does without the list.
    OptionalList(&'static str),
}

impl Literal {
    /// The name of the parameter.
    pub fn name(self) -> &'static str {
        match self {
            Literal::Int(name)
            | Literal::Size(name)
            | Literal::List(name)
            | Literal::OptionalList(name) => name,
        }
    }
}

/// Operations without a method, by the reason.
const WITHOUT: &[(&str, &[Op])] = &[
    ("an operator of Rust", &[Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Neg]),
    (
        "a derivative or the adjoint of another operation",
        &[
            Op::SinXDivXPrime,
            Op::DiffClampInt,
            Op::SumT,
            Op::ElemT,
            Op::ExtractT,
            Op::Scatter,
            Op::Cofactor,
            Op::SoftMinWeights,
        ],
    ),
    ("`clamp` takes numbers", &[Op::ClampInt]),
    ("integers become reals where they meet reals", &[Op::ToReal]),
    (
        "`weightedsqnorm` tells them apart by the weight",
        &[Op::SqNormIso, Op::SqNormDiag, Op::SymSqNorm],
    ),
    (
        "complex values have a type, and the operations on reals know it",
        &[
            Op::Interleave,
            Op::ComplexReal,
            Op::ComplexImag,
            Op::ComplexExp1j,
            Op::ComplexConj,
            Op::ComplexAdd,
            Op::ComplexSubtract,
            Op::ComplexMult,
            Op::ComplexDivide,
            Op::ComplexScal,
            Op::ComplexRealScal,
            Op::ComplexInv,
            Op::ComplexSquare,
            Op::ComplexPow,
            Op::ComplexSqrt,
            Op::ComplexExp,
            Op::ComplexLog,
            Op::ComplexSquareAbs,
            Op::ComplexAbs,
            Op::ComplexAngle,
            Op::ComplexSum,
            Op::ComplexSumT,
            Op::ComplexDot,
            Op::BinaryScale,
        ],
    ),
];

/// A method of an operation under a name; names in `_inner` are of components where the plain name
/// is a reduction over rows, or means the matrix of all pairs.
const fn row(op: Op, name: &'static str, args: &'static [&'static str]) -> Method {
    Method { op, name, args, order: None, literals: &[], doc: None, shape: None, pairs: false }
}

impl Method {
    const fn literals(self, literals: &'static [Literal]) -> Method {
        Method { literals, ..self }
    }
    const fn doc(self, doc: &'static str) -> Method {
        Method { doc: Some(doc), ..self }
    }
    const fn shape(self, shape: &'static str) -> Method {
        Method { shape: Some(shape), ..self }
    }
}

const ONE: &[&str] = &["self"];
const TWO: &[&str] = &["self", "other"];
const FROM_COMPLEX: &str = "n complex → n reals";
const TO_COMPLEX: &str = "n reals → n complex";

use Literal::{Int, List, OptionalList, Size};

/// What the op list does not tell.
const ROWS: &[Method] = &[
    row(Op::Pow, "powi", ONE).literals(&[Int("exponent")]),
    row(Op::Powf, "powf", &["self", "exponent"]),
    row(Op::Atan2, "atan2", TWO),
    row(Op::Polygamma, "polygamma", ONE).literals(&[Int("order")]),
    row(Op::Round, "round", ONE).literals(&[Int("digits")]),
    row(Op::Mod, "modulo", &["self", "modulus", "offset"]),
    row(Op::Clamp, "clamp", &["self", "low", "high"]),
    row(Op::IfElse, "ifelse", &["self", "positive", "negative"]),
    row(Op::Where, "select", &["self", "nonzero", "zero"]),
    row(Op::Eq, "equal", TWO),
    row(Op::Ne, "not_equal", TWO),
    row(Op::Lt, "lt", TWO),
    row(Op::Lt, "gt", &["other", "self"]).doc("1 where f > g, else 0; NaN gives 0."),
    row(Op::Le, "le", TWO),
    row(Op::Le, "ge", &["other", "self"]).doc("1 where f >= g, else 0; NaN gives 0."),
    row(Op::Sum, "sum_inner", ONE),
    row(Op::MaxOf, "max_inner", ONE),
    row(Op::MinOf, "min_inner", ONE),
    row(Op::ArgMaxOf, "argmax_inner", ONE),
    row(Op::ArgMinOf, "argmin_inner", ONE),
    row(Op::Dot, "inner", TWO),
    row(Op::WeightedSqNorm, "weightedsqnorm", &["weight", "self"]).doc(
        "Squared norm of f with a weight s: s |f|^2 for a scalar s, the sum of s_k f_k^2 for a \
         vector, and of s_kl f_k f_l for a matrix, row by row.",
    ),
    Method {
        order: Some(&["other", "weight"]),
        shape: Some("1, n or n n for s, n for f and g → 1; a scalar f or g is broadcast"),
        ..row(Op::WeightedSqDist, "weightedsqdist", &["weight", "self", "other"])
    },
    row(Op::Elem, "elem", ONE).literals(&[Size("index")]),
    row(Op::Extract, "extract", ONE).literals(&[Size("start"), Size("len")]),
    row(Op::OneHot, "one_hot", ONE).literals(&[Size("len")]),
    row(Op::Pick, "pick", ONE)
        .literals(&[List("indices")])
        .shape("n → as many as `indices` are, each below n"),
    row(Op::Transpose, "transpose_inner", ONE).literals(&[Size("rows")]),
    row(Op::Scan, "scan", &["self", "terms"]).shape("n, n → n"),
    row(Op::Prod, "prod_inner", ONE),
    row(Op::Mean, "mean_inner", ONE),
    row(Op::MatVecMult, "matvecmult", &["self", "vector"]),
    row(Op::VecMatMult, "vecmatmult", &["self", "matrix"]),
    row(Op::MatMul, "matmul", TWO)
        .literals(&[Size("n"), Size("k"), Size("m")])
        .shape("n k, k m → n m"),
    row(Op::Cross, "cross", TWO).shape("3, 3 → 3"),
    row(Op::Solve, "solve_inner", &["self", "rhs"]).shape("n n, n → n, where n is at most 4"),
    row(Op::TensorDot, "tensordot", TWO)
        .literals(&[
            List("dims"),
            List("other_dims"),
            List("axes"),
            List("other_axes"),
            OptionalList("positions"),
        ])
        .doc(
            "Contraction of two tensors, row-major, of the axis lengths `dims` and `other_dims`, \
             along `axes` of f and `other_axes` of g. The kept axes of f, then those of g, are \
             moved to `positions` among the axes of the result; an empty list keeps their order. \
             Without contracted axes it is the outer product.",
        )
        .shape("the product of the kept lengths"),
    row(Op::Kron, "kron", TWO)
        .literals(&[List("dims"), List("other_dims")])
        .doc(
            "Kronecker product of two tensors, row-major, of the axis lengths `dims` and \
             `other_dims`, which are equally many: the axes of the result have the products of \
             the lengths.",
        )
        .shape("n, m → n m"),
    row(Op::BSpline, "bspline", &["self", "position"])
        .literals(&[Size("degree")])
        .shape("n, 1 → n - `degree` - 1"),
    row(Op::SoftMinRows, "softmin_rows", &["self", "temperature"])
        .literals(&[Size("rows")])
        .shape("n `rows`, 1 → n"),
    row(Op::SoftDtwSqDist, "softdtw_sqdist", &["self", "other", "temperature"])
        .shape("n, m, 1 → 1"),
    row(Op::Complex, "complex", &["self", "imag"])
        .shape("n reals, n reals → n complex; a scalar is broadcast"),
    row(Op::Real, "real", ONE).shape(FROM_COMPLEX),
    row(Op::Imag, "imag", ONE).shape(FROM_COMPLEX),
    row(Op::Conj, "conj", ONE).shape("n complex → n complex"),
    row(Op::Angle, "angle", ONE).shape(FROM_COMPLEX),
    row(Op::Exp1j, "exp1j", ONE).shape(TO_COMPLEX),
    row(Op::AsComplex, "as_complex", ONE).shape("2 n reals → n complex"),
    row(Op::AsReal, "as_real", ONE).shape("n complex → 2 n reals"),
    row(Op::Real2Complex, "real2complex", ONE)
        .doc("The complex numbers f, of imaginary part 0.")
        .shape(TO_COMPLEX),
    row(Op::Imag2Complex, "imag2complex", ONE)
        .doc("The complex numbers i f, of real part 0.")
        .shape(TO_COMPLEX),
];

/// The reason why an operation has no method, if it has none.
pub fn without(op: Op) -> Option<&'static str> {
    WITHOUT.iter().find(|(_, ops)| ops.contains(&op)).map(|(reason, _)| *reason)
}

/// The methods of an operation.
///
/// # Errors
/// When the table does not say how the operation is called: which row to write.
pub fn of(op: Op) -> Result<Vec<Method>, String> {
    let rows: Vec<Method> = ROWS.iter().filter(|row| row.op == op).cloned().collect();
    let def = op.def();
    let literals = if def.params == LISTS { 1 } else { def.params };
    match (without(op), rows.is_empty(), def.arity) {
        (Some(reason), false, _) => {
            Err(format!("{} has a row, and none because it is {reason}", def.name))
        }
        (Some(_), true, _) => Ok(Vec::new()),
        (None, false, _) => Ok(rows.into_iter().map(with_pairs).collect()),
        (None, true, 1) if literals == 0 => Ok(vec![row(op, def.name, ONE)]),
        (None, true, 2) if literals == 0 => Ok(vec![row(op, def.name, TWO)]),
        (None, true, _) => Err(format!(
            "{} needs a row that names its operands and literals, or a reason to have no method",
            def.name
        )),
    }
}

fn with_pairs(method: Method) -> Method {
    Method { pairs: matches!(method.op, Op::Real2Complex | Op::Imag2Complex), ..method }
}
