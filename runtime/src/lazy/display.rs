//! What expressions look like. Goes in: an expression. Comes out: its shape and its formula, cut
//! where it is long. It never evaluates.

use std::fmt;

use tilefold_compiler::ir;

use super::LazyTensor;
use super::node::{Node, What};
use crate::element::Element;
use crate::error::count;
use crate::kernel::Axis;

/// Deeper operations are printed as `..`.
const DEPTH: usize = 12;

impl<T: Element> fmt::Display for LazyTensor<'_, T> {
    /// `LazyTensor<f32> i: 100 rows, j: 200 rows, 1 component: exp(neg(sum(square(sub(i, j)))))`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(mistake) = self.mistake() {
            return write!(f, "LazyTensor<{}> with a mistake: {mistake}", T::DTYPE);
        }
        write!(f, "LazyTensor<{}>", T::DTYPE)?;
        if !self.batch().is_empty() {
            write!(f, " batch {:?},", self.batch())?;
        }
        for axis in [Axis::I, Axis::J] {
            if let Some(rows) = self.rows(axis) {
                write!(f, " {axis}: {},", count(rows, "row"))?;
            }
        }
        write!(f, " {}: ", count(self.dim(), "component"))?;
        spell(f, &self.node, DEPTH)
    }
}

impl<T: Element> fmt::Debug for LazyTensor<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn spell<T: Element>(f: &mut fmt::Formatter<'_>, node: &Node<T>, depth: usize) -> fmt::Result {
    if depth == 0 {
        return f.write_str("..");
    }
    match &node.what {
        What::Array(_) => match node.facts.stratum {
            ir::Stratum::I => f.write_str("i"),
            ir::Stratum::J => f.write_str("j"),
            _ => f.write_str("p"),
        },
        What::Number(_) => f.write_str("number"),
        What::Const(value) => write!(f, "{value}"),
        What::Pos(axis) => write!(f, "pos({axis})"),
        What::Op(op, args, params) => {
            write!(f, "{}(", op.def().name)?;
            list(f, args, depth)?;
            params.iter().try_for_each(|param| write!(f, ", {param}"))?;
            f.write_str(")")
        }
        What::Masked(args) => {
            f.write_str("masked(")?;
            list(f, args, depth)?;
            f.write_str(")")
        }
        What::Fold(fold) => {
            write!(f, "{}[{}](", fold.reducer.def().name, fold.axis)?;
            list(f, &fold.args, depth)?;
            if let Some(mask) = &fold.mask {
                f.write_str(" where ")?;
                spell(f, &mask.node, depth - 1)?;
            }
            f.write_str(")")
        }
        #[cfg(feature = "text")]
        What::Call(_, n, args) => {
            write!(f, "genred{n}(")?;
            list(f, args, depth)?;
            f.write_str(")")
        }
        What::Derivative(derivative) => {
            write!(f, "{:?}(", derivative.kind)?;
            list(f, &derivative.args, depth)?;
            f.write_str(")")
        }
        What::Mistake(error) => write!(f, "{error}"),
    }
}

fn list<T: Element>(
    f: &mut fmt::Formatter<'_>,
    args: &[LazyTensor<'_, T>],
    depth: usize,
) -> fmt::Result {
    for (n, arg) in args.iter().enumerate() {
        if n > 0 {
            f.write_str(", ")?;
        }
        spell(f, &arg.node, depth - 1)?;
    }
    Ok(())
}
