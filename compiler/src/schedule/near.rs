//! Squared distances of points that lie near each other: `|x - y|^2` as norms and an inner product.
//!
//! In: a plan. Out: for each stage whose pairs take powers of a multiple `f |x - y|^2`, another way
//! to that number, for c a point amid the columns: `X + Y - 2 f (x - c) (y - c)` with
//! `X = f |x - c|^2` and `Y = f |y - c|^2`, which rows and columns have of their own. A pair takes
//! one multiply-add a component instead of a subtraction and a multiply-add.
//!
//! The result is off by a few roundings of `|X| + |Y|`, as differences are of points so far apart,
//! where those may be relatively closer. To an exponent only the first matters, so pairs go this
//! way where norms are at most a constant ([`REACH`]): it is found out as the code runs, for each
//! tile of columns, and where it does not hold, or is not known (NaN), pairs take differences. It
//! never changes what the plain way computes.

use crate::ir::{ExprId, Formula, Kind, Node, Reduction};
use crate::ops::Op;
use crate::passes::widths;
use crate::reduce::{Reducer, StateKind};

use super::streams::{STREAMED, is_of_pair};
use super::{Place, Places, Plan, Stage, Target, state_kind};

/// Most that `|X|` and `|Y|` may be. The number has a magnitude of at most `4 REACH` then, and is
/// off by at most `2 REACH (3 D + 7)` units of rounding in D components: `x - c` and `y - c` have
/// one each, X and Y `D + 3`, the products 3, and sums are at most twice `|X| + |Y|`. Differences
/// may be off by `4 REACH (D + 3)` units there.
pub const REACH: f64 = 2.0;

/// Components of the points. A distance of fewer costs as much by differences; one of more is
/// streamed.
const DIMS: std::ops::Range<usize> = 2..STREAMED;

/// Most components for which a CPU is faster. It adds beside its multiply-adds, so that a long
/// distance by differences takes no longer; measured on Zen 4, where 10 components are even.
const MOST_OF_CPU: usize = 8;

/// Another way to a number of pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// What the plain way computes: `f |x - y|^2`.
    pub plain: ExprId,
    /// The same number.
    pub value: ExprId,
    /// `X`, of a row.
    pub row: ExprId,
    /// `Y`, of a column.
    pub col: ExprId,
    /// Most that both may be.
    pub reach: ExprId,
    /// The power of two that alone reads the number, if one does: it is a normal number then.
    pub power: Option<ExprId>,
    /// Components of the points.
    pub dim: usize,
}

impl Near {
    /// Whether this way is so much faster that a second loop is worth compiling. On a CPU it is
    /// with AVX-512; below, powers without clamps are worth more, see `bounds.rs`.
    pub fn pays(&self, target: Target) -> bool {
        target == Target::Cuda || (self.power.is_some() && self.dim <= MOST_OF_CPU)
    }

    /// What pairs read on this way. The norms come first.
    pub fn roots(&self) -> [ExprId; 4] {
        [self.row, self.col, self.value, self.reach]
    }
}

/// What `f |x - y|^2` is made of.
struct Distance {
    /// The multiple itself.
    plain: ExprId,
    /// `f` is this with a sign, or the sign alone.
    factor: Option<ExprId>,
    sign: f64,
    /// What the exponent multiplies it by besides.
    outer: Vec<ExprId>,
    power: Option<ExprId>,
}

/// Looks for a near way in every stage of a plan. Its values are new ones of the formula.
pub fn add_near(plan: &mut Plan) {
    for n in 0..plan.stages.len() {
        let near = near(plan, n);
        plan.stages[n].near = near;
    }
}

fn near(plan: &mut Plan, n: usize) -> Option<Near> {
    let stage = &plan.stages[n];
    stage.rows.and(stage.cols)?;
    let places = Places::new(plan, stage);
    let readers = Readers::of(&plan.formula, stage, &places);
    let f = &plan.formula;
    let (difference, distance) = f.ids().find_map(|id| {
        let difference = difference(f, &places, id).filter(|&d| DIMS.contains(&f.dim(d)))?;
        Some((difference, readers.distance(f, &places, id)?))
    })?;
    let near = write(plan, n, &places, difference, &distance)?;
    // A difference that is needed anyway costs nothing.
    let is_needed = reads(&plan.formula, &plan.stages[n], &near, difference);
    (!is_needed).then_some(near)
}

/// `d` of a `|d|^2`, for d the sum or difference of a value of rows and one of columns.
pub(super) fn difference(f: &Formula, places: &Places, id: ExprId) -> Option<ExprId> {
    let d = f.root_of_squared_norm(id)?;
    let Node::Op(Op::Add | Op::Sub, args, _) = f.node(d) else { return None };
    let is_side = |&arg: &ExprId| f.dim(arg) == f.dim(d) && f.kind(arg) == Kind::Real;
    let fits = places.has(id) && args.iter().all(is_side);
    let sides = fits.then(|| [places.of(args[0]), places.of(args[1])])?;
    matches!(sides, [Place::Row, Place::Col] | [Place::Col, Place::Row]).then_some(d)
}

/// The sides of a difference `d`, of rows and of columns, about a point amid the columns; and
/// whether it is their sum.
pub(super) fn sides(
    plan: &mut Plan,
    n: usize,
    places: &Places,
    d: ExprId,
) -> Option<([ExprId; 2], bool)> {
    let Node::Op(op, args, _) = plan.formula.node(d).clone() else { return None };
    let [row, col] = match places.of(args[0]) {
        Place::Row => [args[0], args[1]],
        _ => [args[1], args[0]],
    };
    let centre = at_centre(plan, n, places, col)?;
    let f = &mut plan.formula;
    let is_sum = op == Op::Add;
    let row = if is_sum { f.add(row, centre) } else { f.sub(row, centre) };
    Some(([row, f.sub(col, centre)], is_sum))
}

/// Which values of pairs, and which reductions, read each value.
struct Readers(Vec<Vec<ExprId>>);

impl Readers {
    fn of(f: &Formula, stage: &Stage, places: &Places) -> Readers {
        let mut readers = vec![Vec::new(); f.len()];
        let of_pair = f.ids().filter(|&id| is_of_pair(places, id));
        for id in of_pair.chain(stage.reductions.iter().copied()) {
            f.node(id).args().for_each(|arg| readers[arg.index()].push(id));
        }
        Readers(readers)
    }

    /// The multiple of a squared distance that is read by exponentials alone, along with what may
    /// be added to it.
    fn distance(&self, f: &Formula, places: &Places, square: ExprId) -> Option<Distance> {
        let mut at = square;
        let mut found =
            Distance { plain: at, factor: None, sign: 1.0, outer: Vec::new(), power: None };
        let mut is_added_to = false;
        loop {
            let readers = &self.0[at.index()];
            if !readers.is_empty() && readers.iter().all(|&reader| is_score(f, reader, at)) {
                // A score in widths is added up from its shift on, which costs no more.
                return widths::distance(f, at).is_none().then_some(found);
            }
            let &[reader] = readers.as_slice() else { return None };
            match f.node(reader) {
                Node::Op(op @ (Op::Exp2 | Op::Exp), ..) => {
                    found.power = (!is_added_to && *op == Op::Exp2).then_some(reader);
                    return Some(found);
                }
                Node::Op(Op::Neg, ..) if is_added_to => {}
                Node::Op(Op::Neg, ..) => (found.plain, found.sign) = (reader, -found.sign),
                Node::Op(Op::Mul, args, _) if f.dim(reader) == 1 => {
                    let by = if args[0] == at { args[1] } else { args[0] };
                    if !matches!(places.of(by), Place::Launch | Place::Const) {
                        return None;
                    }
                    match is_added_to {
                        true => found.outer.push(by),
                        // Passes gather what varies with nothing.
                        false if found.factor.is_some() => return None,
                        false => (found.plain, found.factor) = (reader, Some(by)),
                    }
                }
                Node::Op(Op::Add | Op::Sub, ..) if f.dim(reader) == 1 => is_added_to = true,
                _ => return None,
            }
            at = reader;
        }
    }
}

/// Whether a reader of `arg` is a sum of exponentials of which it is the score, and nothing else.
fn is_score(f: &Formula, reader: ExprId, arg: ExprId) -> bool {
    let Node::Reduce(r) = f.node(reader) else { return false };
    let is_sum = state_kind(f, &[reader]) == StateKind::ShiftedExp;
    is_sum && r.args[0] == arg && r.args[1..].iter().chain(&r.mask).all(|&other| other != arg)
}

/// Writes the near way of a distance, whose difference is `d`.
fn write(plan: &mut Plan, n: usize, places: &Places, d: ExprId, of: &Distance) -> Option<Near> {
    let ([row, col], is_sum) = sides(plan, n, places, d)?;
    let two = if is_sum { 2.0 } else { -2.0 };
    let f = &mut plan.formula;
    let times = |f: &mut Formula, number: f64, value: ExprId| {
        let factor = match of.factor {
            Some(factor) if number == 1.0 => factor,
            Some(factor) => f.scale(number, factor),
            None => f.constant(number),
        };
        f.mul(factor, value)
    };
    let scaled = |f: &mut Formula, side: ExprId| {
        let norm = f.squared_norm(side);
        times(f, of.sign, norm)
    };
    let norms = [scaled(f, row), scaled(f, col)];
    let row = times(f, two * of.sign, row);
    let mut value = f.add(norms[0], norms[1]);
    // One multiply-add after the other.
    for k in 0..f.dim(d) as i64 {
        let [x, y] = [row, col].map(|side| f.apply(Op::Elem, &[side], &[k]));
        let product = f.mul(x, y);
        value = f.add(value, product);
    }
    let most = f.constant(REACH);
    let reach = of.outer.iter().fold(most, |reach, &by| {
        let size = f.apply(Op::Abs, &[by], &[]);
        f.div(reach, size)
    });
    let ([row, col], dim) = (norms, f.dim(d));
    Some(Near { plain: of.plain, value, row, col, reach, power: of.power, dim })
}

/// What a value of columns is at a point amid them. The means of inputs that it reads become known
/// to the stage: they need not be exact, see `tf_centre` of kernel.h.
fn at_centre(plan: &mut Plan, n: usize, places: &Places, id: ExprId) -> Option<ExprId> {
    if places.of(id) != Place::Col {
        return Some(id);
    }
    if plan.formula.kind(id) != Kind::Real {
        return None;
    }
    match plan.formula.node(id).clone() {
        Node::Input(input) => {
            let axis = plan.stages[n].cols?;
            let (args, mask) = (vec![id], None);
            let mean =
                plan.formula.fold(Reduction { reducer: Reducer::Mean, axis, args, mask, k: 0 });
            let known = &mut plan.stages[n].known;
            if !known.iter().any(|&(id, _)| id == mean) {
                known.push((mean, input as usize));
            }
            Some(mean)
        }
        Node::Op(op, args, params) => {
            let at = |arg| at_centre(plan, n, places, arg);
            let args = args.into_iter().map(at).collect::<Option<Vec<_>>>()?;
            Some(plan.formula.apply(op, &args, &params))
        }
        _ => None,
    }
}

/// Whether a stage that goes the near way reads a value before its own results are folded.
fn reads(f: &Formula, stage: &Stage, near: &Near, value: ExprId) -> bool {
    let mut seen = vec![false; f.len()];
    let mut todo: Vec<ExprId> = stage.reductions.iter().flat_map(|&id| f.node(id).args()).collect();
    while let Some(id) = todo.pop() {
        let id = if id == near.plain { near.value } else { id };
        let is_known = stage.known.iter().any(|&(k, _)| k == id);
        if !std::mem::replace(&mut seen[id.index()], true) && !is_known {
            todo.extend(f.node(id).args());
        }
    }
    seen[value.index()]
}
