//! What a formula file says, before any name or shape is resolved.
//!
//! Built by [`super::parse`](mod@super::parse) and read by [`super::lower`]; every part knows where
//! it stands in the text. An expression is a flat list of nodes in which operands come before
//! operators, so nothing that walks or drops one recurs, however long the expression is.

use crate::diag::Span;
use crate::ir::Axis;

use super::Mode;

/// A formula file.
#[derive(Debug, Default)]
pub struct File {
    pub functions: Vec<Function>,
    pub formulas: Vec<FormulaDef>,
}

/// A name and where it stands.
#[derive(Clone, Debug)]
pub struct Ident {
    pub text: String,
    pub span: Span,
}

/// `fn name(params) = body;`
#[derive(Debug)]
pub struct Function {
    pub name: Ident,
    pub params: Vec<Ident>,
    pub body: Expr,
}

/// `formula name<generics> dtype … acc … relaxed { statements }`
#[derive(Debug)]
pub struct FormulaDef {
    pub doc: String,
    pub name: Ident,
    pub generics: Vec<GenericDef>,
    pub dtypes: Vec<Ident>,
    pub totals: Vec<Ident>,
    pub relaxed: bool,
    pub statements: Vec<Statement>,
}

/// `D: {1, 2, 8..=16}`, `D: dyn` or `D: {1, 2, dyn}`
#[derive(Debug)]
pub struct GenericDef {
    pub name: Ident,
    /// The members that are compiled: ranges of literals, both ends included.
    pub members: Vec<(u64, u64, Span)>,
    /// Where `dyn` stands.
    pub open: Vec<Span>,
}

/// One statement of a formula.
#[derive(Debug)]
pub enum Statement {
    /// `x[i], u[i] : R^D;`
    Input { doc: String, places: Vec<Place>, space: Space },
    /// `let k : R = …;`
    Let { name: Ident, space: Option<Space>, value: Expr },
    /// `assert D == E;`
    Assert { left: Size, right: Size, span: Span },
    /// `a[i] = …;`
    Output { doc: String, places: Vec<Place>, value: Expr, span: Span },
    /// `grad a wrt x, y;`
    Derivative(DerivativeDef),
}

/// `jvp vjp_a.d_x wrt x, y with value as name;`
#[derive(Debug)]
pub struct DerivativeDef {
    pub mode: Mode,
    /// The derivative whose output is differentiated, where it is named.
    pub of: Option<Ident>,
    pub output: Ident,
    pub wrt: Vec<Ident>,
    pub with_value: bool,
    pub name: Option<Ident>,
    pub span: Span,
}

/// A name with its index, `x[i]`.
#[derive(Debug)]
pub struct Place {
    pub name: Ident,
    pub axis: Option<Axis>,
}

/// `R^(D, E)`: the dimension is the product of the factors.
#[derive(Debug)]
pub struct Space {
    pub field: Field,
    pub factors: Vec<Size>,
    pub span: Span,
}

/// What the components are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Real,
    Complex,
    Int,
}

/// A sum of products of literals and dimensions.
#[derive(Debug)]
pub struct Size {
    /// Each with its sign.
    pub terms: Vec<(bool, Vec<Factor>)>,
    pub span: Span,
}

/// One factor of a [`Size`].
#[derive(Debug)]
pub enum Factor {
    Literal(u64),
    Name(Ident),
}

/// A position in [`Expr::nodes`].
pub type NodeId = usize;

/// An expression: operands come before the nodes that use them, and the last node is the value.
#[derive(Debug, Default)]
pub struct Expr {
    pub nodes: Vec<Node>,
}

impl Expr {
    /// Where the expression stands.
    pub fn span(&self) -> Span {
        self.nodes.last().map(|node| node.span).unwrap_or_default()
    }
}

/// One node of an expression.
#[derive(Debug)]
pub struct Node {
    pub kind: NodeKind,
    pub span: Span,
}

/// What a node is.
#[derive(Debug)]
pub enum NodeKind {
    /// `0.5`, `2`
    Number(Number),
    /// `2j`
    Imaginary(f64),
    /// `x`
    Name(String),
    /// `pos(i)`
    Pos(Axis),
    /// `[2, 3]`
    List(Vec<Size>),
    /// `-f`
    Minus(NodeId),
    /// `f * g`, and where the operator stands.
    Infix(Infix, Span, NodeId, NodeId),
    /// `f(a, b)`
    Call(Ident, Vec<NodeId>),
    /// `x[1]`
    Elem(NodeId, Size),
    /// `x[0:2]`
    Slice(NodeId, Option<Size>, Option<Size>),
    /// `(a, b)`, the operands of a weighted reduction.
    Pair(NodeId, NodeId),
    /// `kmin[j; K where c] f`
    Fold(Fold, NodeId),
}

/// A literal: its value, and the integer that was written, if one was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    pub value: f64,
    pub integer: Option<i64>,
}

/// The head of a reduction, `kmin[j; K where c]`.
#[derive(Debug)]
pub struct Fold {
    pub name: Ident,
    pub axis: Axis,
    pub keep: Option<Size>,
    pub mask: Option<NodeId>,
}

/// An operator between two operands, from the loosest to the tightest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Infix {
    Or,
    And,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// The inner product, `(x | y)`.
    Bar,
    Add,
    Sub,
    Mul,
    Div,
    Power,
}

impl Infix {
    /// How each is written.
    const SYMBOLS: &[(Infix, &str)] = &[
        (Infix::Or, "||"),
        (Infix::And, "&&"),
        (Infix::Eq, "=="),
        (Infix::Ne, "!="),
        (Infix::Lt, "<"),
        (Infix::Le, "<="),
        (Infix::Gt, ">"),
        (Infix::Ge, ">="),
        (Infix::Bar, "|"),
        (Infix::Add, "+"),
        (Infix::Sub, "-"),
        (Infix::Mul, "*"),
        (Infix::Div, "/"),
        (Infix::Power, "**"),
    ];

    /// The operator of a symbol.
    pub fn of(symbol: &str) -> Option<Infix> {
        Infix::SYMBOLS.iter().find(|(_, s)| *s == symbol).map(|&(infix, _)| infix)
    }

    /// How it is written.
    pub fn symbol(self) -> &'static str {
        Infix::SYMBOLS.iter().find(|(infix, _)| *infix == self).map_or("", |(_, s)| s)
    }
}
