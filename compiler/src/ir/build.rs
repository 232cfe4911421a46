//! The only way to make a node: shapes are checked here, so the other rooms may rely on them.

use thiserror::Error;

use crate::ops::{LISTS, Op, OpDef, typed};
use crate::reduce::Reducer;

use super::arena::{ExprId, Facts, Formula, Input, Node, Output, Reduction};
use super::ints;
use super::types::{Axis, Kind, Real, Stratum};

/// Most components one value may have, and most nodes one formula may have.
///
/// They bound time and memory of a compilation whose text comes from a stranger.
pub const MAX_DIM: usize = 1 << 16;
/// See [`MAX_DIM`].
pub const MAX_NODES: usize = 20_000;

/// Why a node cannot be made. The message names the operation and both sides.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum BuildError {
    /// The shapes do not fit the operation.
    #[error("{0}")]
    Shape(String),
    /// The number of arguments or literal parameters is wrong.
    #[error("{0}")]
    Arity(String),
    /// A value is used where its kind or stratum does not fit.
    #[error("{0}")]
    Place(String),
    /// An operation or a reduction has no meaning for complex values: which, and what to write.
    #[error("{0}; {1}")]
    Complex(String, &'static str),
    /// The formula outgrew a limit.
    #[error("{0}")]
    Limit(String),
}

impl Formula {
    /// Declares an input of reals and returns its value.
    ///
    /// # Errors
    /// When `dim` is zero or beyond [`MAX_DIM`].
    pub fn input(
        &mut self,
        name: &str,
        axis: Option<Axis>,
        dim: usize,
    ) -> Result<ExprId, BuildError> {
        self.input_of(name, axis, dim, Kind::Real)
    }

    /// Declares an input of some kind and returns its value. `dim` counts reals: n complex numbers
    /// are 2n.
    ///
    /// # Errors
    /// When `dim` is zero or beyond [`MAX_DIM`], or odd where the input is complex.
    pub fn input_of(
        &mut self,
        name: &str,
        axis: Option<Axis>,
        dim: usize,
        kind: Kind,
    ) -> Result<ExprId, BuildError> {
        if kind == Kind::Complex && !dim.is_multiple_of(2) {
            return Err(BuildError::Shape(format!(
                "`{name}` has {dim} columns, but a complex number has two"
            )));
        }
        if dim == 0 || dim > MAX_DIM {
            return Err(BuildError::Limit(format!(
                "`{name}` has {dim} columns, but a variable has 1 to {MAX_DIM}"
            )));
        }
        self.inputs.push(Input { name: name.into(), doc: String::new(), axis, dim, kind });
        Ok(self.input_expr(self.inputs.len() - 1))
    }

    /// The value of `inputs[n]`.
    ///
    /// # Panics
    /// When there is no such input, which is a bug of the caller.
    pub fn input_expr(&mut self, n: usize) -> ExprId {
        let Input { axis, dim, kind, .. } = self.inputs[n];
        let stratum = Stratum::of(axis);
        let facts = match kind {
            Kind::Real | Kind::Complex => Facts { kind, ..Facts::real(dim, stratum) },
            Kind::Int => Facts::int(dim, stratum, ints::INPUT_BITS),
        };
        self.intern(Node::Input(n as u32), facts)
    }

    /// A number.
    pub fn constant(&mut self, value: f64) -> ExprId {
        let facts = Facts::real(1, Stratum::Const);
        self.intern(Node::Const(Real::new(value)), facts)
    }

    /// The global row number along `axis`, an integer.
    pub fn pos(&mut self, axis: Axis) -> ExprId {
        let facts = Facts::int(1, Stratum::of(Some(axis)), ints::ROW_BITS);
        self.intern(Node::Pos(axis), facts)
    }

    /// Applies an operation of the op table.
    ///
    /// # Errors
    /// When the arguments do not fit the operation's rule; the message names both sides.
    pub fn op(&mut self, op: Op, args: &[ExprId], params: &[i64]) -> Result<ExprId, BuildError> {
        if self.len() >= MAX_NODES {
            return Err(BuildError::Limit(format!(
                "the formula has more than {MAX_NODES} nodes; split it into several formulas"
            )));
        }
        self.unlimited_op(op, args, params)
    }

    /// [`Formula::op`] without the limit of nodes: an expansion or a derivative of a formula
    /// within the limit is finished, however close to the limit it began.
    fn unlimited_op(
        &mut self,
        op: Op,
        args: &[ExprId],
        params: &[i64],
    ) -> Result<ExprId, BuildError> {
        let def = op.def();
        self.check_call(def, args, params)?;
        ints::check_complex(self, op, args)?;
        if op != Op::AsReal && args.iter().any(|&a| self.kind(a) == Kind::Complex) {
            return typed::apply(self, op, args, params);
        }
        let dims: Vec<usize> = args.iter().map(|&a| self.dim(a)).collect();
        let dim = (def.shape)(&dims, params)
            .map_err(|why| BuildError::Shape(format!("{}: {why}", def.name)))?;
        if dim == 0 || dim > MAX_DIM {
            return Err(BuildError::Limit(format!(
                "{}: the result would have {dim} components, the limit is {MAX_DIM}",
                def.name
            )));
        }
        let Some(args) = ints::fit(self, op, args, params)? else { return Ok(args[0]) };
        if let Some(expand) = def.expand {
            return Ok(expand(self, &args, params));
        }
        let facts = ints::facts(self, op, &args, params, dim).map_err(BuildError::Limit)?;
        Ok(self.intern(Node::Op(op, args, params.to_vec()), facts))
    }

    /// The nearest real of an integer; other numbers are themselves.
    pub fn to_real(&mut self, id: ExprId) -> ExprId {
        match self.kind(id) {
            Kind::Real | Kind::Complex => id,
            Kind::Int => {
                let facts = Facts::real(self.dim(id), self.stratum(id));
                self.intern(Node::Op(Op::ToReal, vec![id], Vec::new()), facts)
            }
        }
    }

    /// Applies an operation to arguments that are known to fit, as in derivatives and passes.
    ///
    /// # Panics
    /// When they do not fit, which is a bug of the caller.
    pub fn apply(&mut self, op: Op, args: &[ExprId], params: &[i64]) -> ExprId {
        self.unlimited_op(op, args, params).unwrap_or_else(|e| panic!("internal: {e}"))
    }

    /// Folds over an axis.
    ///
    /// # Errors
    /// When the arguments do not fit the reduction; the message names both sides.
    pub fn reduce(&mut self, mut reduction: Reduction) -> Result<ExprId, BuildError> {
        let def = reduction.reducer.def();
        if reduction.args.len() != def.arity || (reduction.k != 0 && !def.takes_k) {
            let (k, taken) = (usize::from(reduction.k != 0), usize::from(def.takes_k));
            return Err(BuildError::Arity(format!(
                "{} takes {}, but got {}",
                def.name,
                count(def.arity, taken),
                count(reduction.args.len(), k)
            )));
        }
        ints::fit_reduction(self, &mut reduction)?;
        let all = reduction.args.iter().copied().chain(reduction.mask);
        if all.clone().any(|id| self.kind(id) == Kind::Complex) {
            return typed::reduce(self, reduction);
        }
        let dims: Vec<usize> = reduction.args.iter().map(|&a| self.dim(a)).collect();
        let dim = (def.shape)(&dims, reduction.k)
            .map_err(|why| BuildError::Shape(format!("{}: {why}", def.name)))?;
        if dim > MAX_DIM {
            return Err(BuildError::Limit(format!(
                "{}: the result would have {dim} components, the limit is {MAX_DIM}",
                def.name
            )));
        }
        if let Some(mask) = reduction.mask
            && self.dim(mask) != 1
        {
            let found = self.dim(mask);
            return Err(BuildError::Shape(format!(
                "{}: the condition after `where` must be a scalar, but it has {found} components",
                def.name
            )));
        }
        if let Some(expand) = def.expand {
            return Ok(expand(self, &reduction));
        }
        let stratum = self.join(all).without(reduction.axis);
        let facts = match def.index {
            true => Facts::int(dim, stratum, ints::ROW_BITS),
            false => Facts::real(dim, stratum),
        };
        Ok(self.intern(Node::Reduce(reduction), facts))
    }

    /// Folds arguments that are known to fit, as in derivatives and passes: [`Formula::apply`] for
    /// reductions.
    ///
    /// # Panics
    /// When they do not fit, which is a bug of the caller.
    pub fn fold(&mut self, reduction: Reduction) -> ExprId {
        self.reduce(reduction).unwrap_or_else(|e| panic!("internal: {e}"))
    }

    /// A sum over an axis, for derivatives and passes.
    pub fn sum_over(&mut self, axis: Axis, arg: ExprId) -> ExprId {
        let args = vec![arg];
        self.fold(Reduction { reducer: Reducer::Sum, axis, args, mask: None, k: 0 })
    }

    /// Declares an output.
    ///
    /// # Errors
    /// When the value varies along an index that `axis` is not.
    pub fn output(
        &mut self,
        name: &str,
        axis: Option<Axis>,
        expr: ExprId,
    ) -> Result<(), BuildError> {
        let (place, value) = (Stratum::of(axis), self.stratum(expr));
        if !place.holds(value) {
            let index = if value.varies(Axis::J) && axis != Some(Axis::J) { "j" } else { "i" };
            return Err(BuildError::Place(format!(
                "`{name}` would hold one value for each {index}; reduce over {index} first"
            )));
        }
        self.outputs.push(Output { name: name.into(), doc: String::new(), axis, expr });
        Ok(())
    }

    pub(super) fn join(&self, ids: impl Iterator<Item = ExprId>) -> Stratum {
        ids.fold(Stratum::Const, |s, id| s.join(self.stratum(id)))
    }

    fn check_call(&self, def: &OpDef, args: &[ExprId], params: &[i64]) -> Result<(), BuildError> {
        // The shape rule counts lists.
        let fits = def.params == LISTS || params.len() == def.params;
        if args.len() != def.arity || !fits {
            return Err(BuildError::Arity(format!(
                "{} takes {}, but got {}",
                def.name,
                count(def.arity, def.params),
                count(args.len(), params.len())
            )));
        }
        Ok(())
    }
}

fn count(args: usize, params: usize) -> String {
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match params {
        0 | LISTS => plural(args, "argument"),
        _ => format!("{} and {}", plural(args, "argument"), plural(params, "literal integer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> (Formula, ExprId) {
        let mut f = Formula::new("f");
        let x = f.input("x", Some(Axis::I), 3).expect("valid");
        let top = (f.len()..MAX_NODES).fold(x, |v, _| f.op(Op::Neg, &[v], &[]).expect("fits"));
        (f, top)
    }

    #[test]
    fn the_limit_of_nodes_stops_users_but_not_derivatives() {
        let (mut f, top) = full();
        assert_eq!(f.len(), MAX_NODES);
        for op in [Op::Exp, Op::Norm2] {
            let found = f.op(op, &[top], &[]);
            assert!(matches!(found, Err(BuildError::Limit(_))), "{found:?}");
        }
        let norm = f.apply(Op::Norm2, &[top], &[]);
        assert_eq!(f.dim(norm), 1);
    }

    #[test]
    fn reductions_take_what_their_room_says() {
        let mut f = Formula::new("f");
        let x = f.input("x", Some(Axis::J), 3).expect("valid");
        let s = f.pos(Axis::J);
        for (reducer, args, k, message) in [
            (Reducer::Sum, vec![], 0, "sum takes 1 argument, but got 0 arguments"),
            (
                Reducer::Sum,
                vec![x],
                2,
                "sum takes 1 argument, but got 1 argument and 1 literal integer",
            ),
            (
                Reducer::LogSumExpWeight,
                vec![s],
                0,
                "logsumexp takes 2 arguments, but got 1 argument",
            ),
            (Reducer::KMin, vec![x], 0, "kmin: k is 0, but 1 to 256 entries can be kept"),
            (
                Reducer::LogSumExp,
                vec![x],
                0,
                "logsumexp: the score must be a scalar, but it has 3 components",
            ),
        ] {
            let found = f.reduce(Reduction { reducer, axis: Axis::J, args, mask: None, k });
            assert_eq!(found.map_err(|e| e.to_string()), Err(message.into()));
        }
    }

    #[test]
    fn equal_nodes_are_one() {
        let mut f = Formula::new("f");
        assert_eq!(f.constant(f64::NAN), f.constant(-f64::NAN));
        assert_ne!(f.constant(0.0), f.constant(-0.0));
        let x = f.input("x", None, 2).expect("valid");
        assert_eq!(f.apply(Op::SqNorm2, &[x], &[]), f.apply(Op::SqNorm2, &[x], &[]));
    }
}
