//! Exact integers: which operations keep them, compare them, read them as reals, or refuse them.
//!
//! In goes an operation or reduction and its arguments; out come the arguments as it reads them, or
//! why it does not. Integers come from `int` inputs, `pos(i)`, `pos(j)` and the row numbers of
//! argmin and its kin. They stay integers through `+`, `-` and moves of components, a literal
//! integer among them; comparisons of integers are exact in every dtype. Whatever is continuous
//! reads the nearest real: [`Op::ToReal`] is put in front of it here. What jumps (`mod`, `floor`,
//! `argmin`, a comparison with a real) would turn that rounding into a wrong result in silence, so
//! it asks for `to_real` in the text.
//!
//! Never a value, never how integers are emitted.

use crate::ops::{Emit, Grad, Op, typed};

use super::arena::{ExprId, Facts, Formula, Node, Reduction};
use super::build::BuildError;
use super::types::Kind;

/// Bits of the magnitude of an `int` input.
pub const INPUT_BITS: u32 = 63;
/// Bits of the magnitude of a row number. The runtime refuses more rows.
pub const ROW_BITS: u32 = 45;
/// Bits of the largest magnitude that emitted code compares exactly: 23 bits for each of the two
/// lower limbs, and as many for the top one.
pub const MAX_BITS: u32 = 69;
/// Integers of at most so many bits take two limbs, others three.
const TWO_LIMBS: u32 = 46;

/// What an operation does with integers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Copies components.
    Move,
    /// Gives an exact truth value.
    Compare,
    /// Gives the exact integer.
    Add,
    /// Gives the nearest real.
    Convert,
    /// Reads the nearest real.
    Round,
    /// Reads reals only.
    Refuse,
}

fn use_of(op: Op, dims: &[usize], params: &[i64], dim: usize) -> Use {
    match op {
        Op::Eq | Op::Ne | Op::Lt | Op::Le => Use::Compare,
        Op::Add | Op::Sub | Op::Neg => Use::Add,
        Op::ToReal => Use::Convert,
        // Rounding to the nearest real keeps the sign, and whatever a vector has a component for.
        Op::And | Op::Or | Op::Sign | Op::Step | Op::OneHot => Use::Round,
        Op::AsReal | Op::AsComplex => Use::Round,
        Op::Mod => Use::Refuse,
        _ => match (&op.def().emit, &op.def().grad) {
            // A move among zeros makes reals: the zeros are.
            (Emit::Move(source), _) if (0..dim).all(|c| source(dims, params, c).is_some()) => {
                Use::Move
            }
            (_, Grad::Zero) => Use::Refuse,
            (_, Grad::Vjp(_) | Grad::Expanded) => Use::Round,
        },
    }
}

/// How a call of an operation uses integers; the arguments fit its shape rule.
fn use_in(f: &Formula, op: Op, args: &[ExprId], params: &[i64]) -> Use {
    let dims: Vec<usize> = args.iter().map(|&a| f.dim(a)).collect();
    let dim = (op.def().shape)(&dims, params).unwrap_or(0);
    use_of(op, &dims, params, dim)
}

/// Limbs of an integer in emitted code: scalars that hold 23 bits each.
pub fn limbs(f: &Formula, id: ExprId) -> usize {
    if f.bits(id) <= TWO_LIMBS { 2 } else { 3 }
}

/// The literal integer behind a handle.
pub fn literal(f: &Formula, id: ExprId) -> Option<i64> {
    let value = f.as_const(id)?;
    let exact = value.abs() <= 2f64.powi(53) && value as i64 as f64 == value;
    exact.then_some(value as i64)
}

/// Bits of the magnitude of an integer or of a literal one.
fn magnitude(f: &Formula, id: ExprId) -> Option<u32> {
    match f.kind(id) {
        Kind::Int => Some(f.bits(id)),
        Kind::Complex => None,
        Kind::Real => literal(f, id).map(|n| u64::BITS - n.unsigned_abs().leading_zeros()),
    }
}

/// Refuses to compare integers with complex numbers, whose parts are real.
pub(super) fn check_complex(f: &Formula, op: Op, args: &[ExprId]) -> Result<(), BuildError> {
    let is = |kind: Kind| args.iter().any(|&id| f.kind(id) == kind);
    let compares = matches!(op, Op::Eq | Op::Ne | Op::Lt | Op::Le);
    match compares && is(Kind::Int) && is(Kind::Complex) {
        true => Err(refuse(&format!("{} compares an integer with a real", op.def().name))),
        false => Ok(()),
    }
}

/// The arguments as an operation reads them; `None` where it is the identity.
pub(super) fn fit(
    f: &mut Formula,
    op: Op,
    args: &[ExprId],
    params: &[i64],
) -> Result<Option<Vec<ExprId>>, BuildError> {
    let is_int = |&id: &ExprId| f.kind(id) == Kind::Int;
    if !args.iter().any(is_int) {
        return Ok((op != Op::ToReal).then(|| args.to_vec()));
    }
    let whole = args.iter().all(|&id| magnitude(f, id).is_some());
    let all = args.iter().all(is_int);
    let name = op.def().name;
    Ok(Some(match use_in(f, op, args, params) {
        Use::Convert => args.to_vec(),
        Use::Move if all => args.to_vec(),
        Use::Compare | Use::Add if whole => args.to_vec(),
        Use::Move | Use::Add | Use::Round => args.iter().map(|&id| f.to_real(id)).collect(),
        Use::Compare => return Err(refuse(&format!("{name} compares an integer with a real"))),
        Use::Refuse => return Err(refuse(&format!("{name} reads reals, but got an integer"))),
    }))
}

/// Turns the integers that a reduction folds into reals.
pub(super) fn fit_reduction(f: &mut Formula, r: &mut Reduction) -> Result<(), BuildError> {
    let def = r.reducer.def();
    if def.index && r.args.iter().any(|&id| f.kind(id) == Kind::Int) {
        return Err(refuse(&format!("{} searches reals, but got integers", def.name)));
    }
    for id in r.args.iter_mut().chain(&mut r.mask) {
        *id = f.to_real(*id);
    }
    Ok(())
}

fn refuse(what: &str) -> BuildError {
    BuildError::Place(format!(
        "{what}; `to_real(…)` gives the nearest real, which is not exact beyond 2**24 in f32"
    ))
}

/// What is known of an operation's result, from arguments that [`fit`] gave.
pub(super) fn facts(
    f: &Formula,
    op: Op,
    args: &[ExprId],
    params: &[i64],
    dim: usize,
) -> Result<Facts, String> {
    let stratum = f.join(args.iter().copied());
    let integers = args.iter().any(|&id| f.kind(id) == Kind::Int);
    if !integers {
        return Ok(Facts { kind: typed::kind(op), ..Facts::real(dim, stratum) });
    }
    let most = args.iter().filter_map(|&id| magnitude(f, id)).max().unwrap_or(0);
    match use_in(f, op, args, params) {
        Use::Move => Ok(Facts::int(dim, stratum, most)),
        Use::Add => match most + u32::from(args.len() > 1) {
            bits if bits <= MAX_BITS => Ok(Facts::int(dim, stratum, bits)),
            _ => Err(format!(
                "{}: the sum of more than 64 integers may not fit; `to_real(…)` gives the nearest \
                 real of each",
                op.def().name
            )),
        },
        _ => Ok(Facts { kind: typed::kind(op), ..Facts::real(dim, stratum) }),
    }
}

/// The integer that a node reads though it takes reals, if there is one. Every argument is there.
pub(super) fn misread(f: &Formula, node: &Node) -> Option<ExprId> {
    let is_int = |id: &ExprId| f.kind(*id) == Kind::Int;
    let integer = node.args().find(is_int)?;
    let takes = match node {
        Node::Op(op, args, params) => {
            let whole = args.iter().all(|&id| magnitude(f, id).is_some());
            match use_in(f, *op, args, params) {
                Use::Convert => true,
                Use::Move => args.iter().all(is_int),
                Use::Compare | Use::Add => whole,
                Use::Round | Use::Refuse => false,
            }
        }
        Node::Input(_) | Node::Const(_) | Node::Pos(_) | Node::Reduce(_) => false,
    };
    (!takes).then_some(integer)
}

#[cfg(test)]
mod tests {
    use super::super::types::Axis;
    use super::super::verify::verify;
    use super::*;
    use crate::reduce::Reducer;

    fn start() -> (Formula, [ExprId; 4]) {
        let mut f = Formula::new("f");
        let label = f.input_of("label", Some(Axis::I), 3, Kind::Int).expect("a small dim");
        let x = f.input("x", Some(Axis::J), 3).expect("a small dim");
        let (i, j) = (f.pos(Axis::I), f.pos(Axis::J));
        (f, [label, x, i, j])
    }

    #[test]
    fn integers_stay_integers_through_sums_and_moves() {
        let (mut f, [label, _, i, j]) = start();
        let three = f.constant(3.0);
        let band = f.add(i, three);
        let gap = f.sub(band, j);
        let one = f.apply(Op::Elem, &[label], &[1]);
        let both = f.apply(Op::Concat, &[label, one], &[]);
        for (id, dim, bits, n) in
            [(i, 1, 45, 2), (band, 1, 46, 2), (gap, 1, 47, 3), (one, 1, 63, 3), (both, 4, 63, 3)]
        {
            assert_eq!((f.kind(id), f.dim(id), f.bits(id)), (Kind::Int, dim, bits));
            assert_eq!(limbs(&f, id), n);
        }
        assert_eq!(verify(&f), Ok(()));
    }

    #[test]
    fn comparisons_of_integers_are_truth_values() {
        let (mut f, [label, _, i, _]) = start();
        let seven = f.constant(-7.0);
        for op in [Op::Eq, Op::Ne, Op::Lt, Op::Le] {
            for args in [[label, i], [seven, label], [i, seven]] {
                let id = f.apply(op, &args, &[]);
                assert_eq!((f.kind(id), f.bits(id)), (Kind::Real, 0));
                assert_eq!(f.node(id), &Node::Op(op, args.to_vec(), vec![]));
            }
        }
        assert_eq!(verify(&f), Ok(()));
    }

    #[test]
    fn what_is_continuous_reads_the_nearest_real() {
        let (mut f, [label, x, i, _]) = start();
        let real = f.to_real(label);
        assert_eq!(f.apply(Op::ToReal, &[label], &[]), real);
        assert_eq!(f.apply(Op::ToReal, &[x], &[]), x);
        let half = f.constant(0.5);
        for (op, args) in [(Op::Mul, [label, x]), (Op::Add, [label, x]), (Op::Concat, [label, x])] {
            let id = f.apply(op, &args, &[]);
            assert_eq!(f.node(id), &Node::Op(op, vec![real, args[1]], vec![]));
        }
        let shifted = f.add(i, half);
        assert_eq!(f.kind(shifted), Kind::Real);
        let wide = f.apply(Op::ExtractT, &[label], &[1, 5]);
        assert_eq!(f.kind(wide), Kind::Real);
        let args = vec![label];
        let sum = Reduction { reducer: Reducer::Sum, axis: Axis::J, args, mask: Some(i), k: 0 };
        let sum = f.reduce(sum).expect("fits");
        assert_eq!(f.node(sum).args().next(), Some(real));
        assert_eq!(verify(&f), Ok(()));
    }

    #[test]
    fn what_jumps_asks_for_a_conversion() {
        let (mut f, [label, x, i, j]) = start();
        let half = f.constant(0.5);
        let rounding = "; `to_real(…)` gives the nearest real, which is not exact beyond 2**24 in \
                        f32";
        for (op, args, params, why) in [
            (Op::Lt, vec![label, x], vec![], "lt compares an integer with a real"),
            (Op::Eq, vec![half, i], vec![], "eq compares an integer with a real"),
            (Op::Floor, vec![i], vec![], "floor reads reals, but got an integer"),
            (Op::Mod, vec![i, half, half], vec![], "mod reads reals, but got an integer"),
            (Op::ArgMaxOf, vec![label], vec![], "arg_max_of reads reals, but got an integer"),
        ] {
            let found = f.op(op, &args, &params);
            assert_eq!(found, Err(BuildError::Place(format!("{why}{rounding}"))));
        }
        let search =
            Reduction { reducer: Reducer::ArgMin, axis: Axis::J, args: vec![j], mask: None, k: 0 };
        let why = format!("argmin searches reals, but got integers{rounding}");
        assert_eq!(f.reduce(search), Err(BuildError::Place(why)));
    }

    #[test]
    fn sums_that_may_not_fit_are_refused() {
        let (mut f, [label, ..]) = start();
        let mut total = label;
        for _ in INPUT_BITS..MAX_BITS {
            total = f.op(Op::Add, &[total, total], &[]).expect("64 labels fit");
        }
        let found = f.op(Op::Add, &[total, label], &[]);
        assert!(matches!(found, Err(BuildError::Limit(_))), "{found:?}");
    }
}
