//! Where each value of a stage is computed, and what one place hands to the next.
//!
//! A stage has five places: once a launch, once a row, once a column, once a pair, and once a row
//! after the fold. A value computed in a cheaper place and read in a dearer one gets *slots*:
//! scalars of the packed launch values, row block or column.

use std::collections::BTreeMap;

use crate::ir::{Axis, ExprId, Formula, Kind, Node, Reduction, Stratum, ints};
use crate::ops::{Emit, Op};
use crate::reduce::{Reducer, StateKind};

use super::{Plan, Stage, Wide, reduction};

/// Where a value is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Written into the code.
    Const,
    /// Once a launch.
    Launch,
    /// Once a row, before the fold.
    Row,
    /// Once a column.
    Col,
    /// Once a pair.
    Pair,
    /// Once a row, after the fold: it reads a finished reduction of this stage.
    Finish,
}

/// A value handed from a cheaper place to a dearer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// First scalar.
    pub base: usize,
    /// Number of scalars.
    pub words: usize,
}

/// The places and slots of one stage.
#[derive(Clone, Debug)]
pub struct Places {
    places: Vec<Option<Place>>,
    accumulators: Vec<Vec<ExprId>>,
    /// Launch values that other places read.
    pub launch: BTreeMap<ExprId, Slot>,
    /// Row values that pairs or the finish read.
    pub row: BTreeMap<ExprId, Slot>,
    /// Column values that pairs read.
    pub col: BTreeMap<ExprId, Slot>,
}

impl Places {
    /// Works out the places of one stage of a plan.
    pub fn new(plan: &Plan, stage: &Stage) -> Places {
        Places::beside(plan, stage, &[], None)
    }

    /// The same where some sums of pairs, and a wide accumulator, read rows and columns by
    /// themselves: what only they read is not handed over.
    pub fn beside(plan: &Plan, stage: &Stage, sums: &[ExprId], wide: Option<&Wide>) -> Places {
        let mut places = Places {
            places: assign(plan, stage, &[]),
            accumulators: accumulators(&plan.formula, stage),
            launch: BTreeMap::new(),
            row: BTreeMap::new(),
            col: BTreeMap::new(),
        };
        places.hand_over(plan, stage, sums, wide);
        places
    }

    /// Adds what pairs read of more values, after all that is handed over already.
    pub fn with(mut self, plan: &Plan, stage: &Stage, roots: &[ExprId]) -> Places {
        let before = std::mem::replace(&mut self.places, assign(plan, stage, roots));
        let f = &plan.formula;
        for &id in roots {
            self.read(f, id, Place::Pair, false);
        }
        for id in f.ids().filter(|id| before[id.index()].is_none()) {
            if let (Some(place), Node::Op(op, args, _)) = (self.places[id.index()], f.node(id))
                && !is_transparent(*op)
            {
                args.iter().for_each(|&arg| self.read(f, arg, place, false));
            }
        }
        self
    }

    /// Where a value of this stage is computed.
    pub fn of(&self, id: ExprId) -> Place {
        self.places[id.index()].expect("the stage reads this value")
    }

    /// Whether the stage computes or reads this value at all.
    pub fn has(&self, id: ExprId) -> bool {
        self.places[id.index()].is_some()
    }

    /// Reductions that share one accumulator, in order.
    pub fn accumulators(&self) -> &[Vec<ExprId>] {
        &self.accumulators
    }

    /// Where a finished reduction of this stage is read: accumulator and field.
    pub fn result(&self, f: &Formula, id: ExprId) -> (usize, u32) {
        let n = self.accumulators.iter().position(|g| g.contains(&id)).expect("folded here");
        (n, reduction(f, id).reducer.def().emit.field)
    }

    /// What a place hands to dearer ones.
    pub fn table(&self, place: Place) -> &BTreeMap<ExprId, Slot> {
        match place {
            Place::Launch => &self.launch,
            Place::Row => &self.row,
            Place::Col => &self.col,
            other => unreachable!("{other:?} hands nothing over"),
        }
    }

    /// Scalars of one slot table.
    pub fn words(table: &BTreeMap<ExprId, Slot>) -> usize {
        table.values().map(|s| s.words).sum()
    }

    /// Gives slots to every value that is read in a dearer place than its own.
    fn hand_over(&mut self, plan: &Plan, stage: &Stage, sums: &[ExprId], wide: Option<&Wide>) {
        let f = &plan.formula;
        let apart = |reader, arg| wide.is_some_and(|w| w.reads(reader, arg));
        let inside = inside(f, stage, sums, apart);
        // What is folded is read by the pair, even where it does not vary with the pair; what is
        // written is read by the finish.
        let args = |r: ExprId| f.node(r).args().filter(move |&arg| !apart(r, arg));
        let folded = stage.reductions.iter().flat_map(|&r| args(r));
        let written = stage.writes.iter().map(|&(_, id)| id);
        for id in folded.collect::<Vec<_>>() {
            self.read(f, id, Place::Pair, false);
        }
        for id in written.collect::<Vec<_>>() {
            self.read(f, id, Place::Finish, false);
        }
        for id in f.ids() {
            let Some(place) = self.places[id.index()] else { continue };
            if stage.known.iter().any(|&(k, _)| k == id) || stage.reductions.contains(&id) {
                continue;
            }
            if let Node::Op(op, args, _) = f.node(id)
                && !is_transparent(*op)
            {
                for &arg in args.iter().filter(|&&arg| !apart(id, arg)) {
                    self.read(f, arg, place, inside[id.index()] && place == Place::Pair);
                }
            }
        }
    }

    /// Notes that `id` is read in `reader`. Moves of components are looked through, so that what
    /// they move is handed over once and by its own name. A reader that is `inside` a sum gets
    /// nothing but parameters.
    fn read(&mut self, f: &Formula, id: ExprId, reader: Place, inside: bool) {
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            if let Node::Op(op, args, _) = f.node(id)
                && is_transparent(*op)
            {
                todo.extend(args);
                continue;
            }
            let place = self.of(id);
            let table = match place {
                _ if place == reader => continue,
                Place::Row | Place::Col if inside => continue,
                Place::Launch => &mut self.launch,
                Place::Row => &mut self.row,
                Place::Col => &mut self.col,
                Place::Const | Place::Pair | Place::Finish => continue,
            };
            let base = Places::words(table);
            table.entry(id).or_insert(Slot { base, words: f.dim(id) * scalars(f, id) });
        }
    }
}

/// What only `sums` read, and they themselves, and what is read `apart` by its reader.
fn inside(
    f: &Formula,
    stage: &Stage,
    sums: &[ExprId],
    apart: impl Fn(ExprId, ExprId) -> bool + Copy,
) -> Vec<bool> {
    let mut inside = vec![true; f.len()];
    let mut todo: Vec<ExprId> = stage.writes.iter().map(|&(_, id)| id).collect();
    let args = |id: ExprId| f.node(id).args().filter(move |&arg| !apart(id, arg));
    todo.extend(stage.reductions.iter().flat_map(|&r| args(r)));
    while let Some(id) = todo.pop() {
        let summed = sums.contains(&id);
        if summed || !std::mem::replace(&mut inside[id.index()], false) {
            continue;
        }
        if !stage.known.iter().any(|&(k, _)| k == id) {
            todo.extend(args(id));
        }
    }
    inside
}

/// Whether an operation only moves components: reading its result is reading its argument.
pub fn is_transparent(op: Op) -> bool {
    matches!(op.def().emit, Emit::Move(_))
}

/// The argument that a move copies in order, if it does: component c is component s + c for all c,
/// or the one component of a scalar.
pub fn shifted_arg(
    f: &Formula,
    dim: usize,
    op: Op,
    args: &[ExprId],
    params: &[i64],
) -> Option<ExprId> {
    let Emit::Move(source) = op.def().emit else { return None };
    let dims: Vec<usize> = args.iter().map(|&a| f.dim(a)).collect();
    let (arg, start) = source(&dims, params, 0)?;
    let in_order = |c: usize| {
        let offset = if dims[arg] == 1 { 0 } else { start + c };
        source(&dims, params, c) == Some((arg, offset))
    };
    (0..dim).all(in_order).then_some(args[arg])
}

/// Scalars that a component takes where it is handed over.
fn scalars(f: &Formula, id: ExprId) -> usize {
    match f.kind(id) {
        Kind::Real | Kind::Complex => 1,
        Kind::Int => ints::limbs(f, id),
    }
}

/// The places of what a stage computes, and of `roots`.
fn assign(plan: &Plan, stage: &Stage, roots: &[ExprId]) -> Vec<Option<Place>> {
    let f = &plan.formula;
    let mut places: Vec<Option<Place>> = vec![None; f.len()];
    let mut todo: Vec<ExprId> = stage.writes.iter().map(|&(_, id)| id).collect();
    todo.extend(stage.reductions.iter().flat_map(|&r| f.node(r).args()));
    todo.extend(roots);
    let is_known = |id: ExprId| stage.known.iter().any(|&(k, _)| k == id);
    // Mark what this stage computes; results of other stages are leaves.
    let mut live = vec![false; f.len()];
    while let Some(id) = todo.pop() {
        if std::mem::replace(&mut live[id.index()], true) || is_known(id) {
            continue;
        }
        if !stage.reductions.contains(&id) {
            todo.extend(f.node(id).args());
        }
    }
    for id in f.ids().filter(|id| live[id.index()]) {
        let own = stage.reductions.contains(&id);
        let after = !is_known(id)
            && !own
            && f.node(id).args().any(|a| places[a.index()] == Some(Place::Finish));
        places[id.index()] =
            Some(if own || after { Place::Finish } else { place(stage, f.stratum(id)) });
    }
    places
}

fn place(stage: &Stage, s: Stratum) -> Place {
    let varies = |axis: Option<Axis>| axis.is_some_and(|a| s.varies(a));
    match (s, varies(stage.rows), varies(stage.cols)) {
        (Stratum::Const, ..) => Place::Const,
        (_, false, false) => Place::Launch,
        (_, true, false) => Place::Row,
        (_, false, true) => Place::Col,
        (_, true, true) => Place::Pair,
    }
}

/// Reductions of a stage that share one accumulator: same state, value, mask and k, and no two
/// different weights.
pub fn accumulators(f: &Formula, stage: &Stage) -> Vec<Vec<ExprId>> {
    let mut groups: Vec<Vec<ExprId>> = Vec::new();
    for &id in &stage.reductions {
        let fits = |group: &Vec<ExprId>| group.iter().all(|&other| share(f, other, id));
        match groups.iter_mut().find(|g| fits(g)) {
            Some(group) => group.push(id),
            None => groups.push(vec![id]),
        }
    }
    groups
}

fn share(f: &Formula, a: ExprId, b: ExprId) -> bool {
    let (ra, rb) = (reduction(f, a), reduction(f, b));
    let state = |r: &Reduction| r.reducer.def().emit.state.family();
    let weights = match (ra.args.get(1), rb.args.get(1)) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    let same = ra.args[0] == rb.args[0] && ra.mask == rb.mask && ra.k == rb.k;
    state(ra) == state(rb) && same && weights
}

/// The weight of a group of reductions, if any of them has one.
pub fn weight(f: &Formula, group: &[ExprId]) -> Option<ExprId> {
    group.iter().find_map(|&id| reduction(f, id).args.get(1).copied())
}

/// Whether a group of shifted sums needs the maximum itself.
pub fn reads_top(f: &Formula, group: &[ExprId]) -> bool {
    let shifted = [Reducer::SumShiftExp, Reducer::SumShiftExpWeight];
    group.iter().any(|&id| shifted.contains(&reduction(f, id).reducer))
}

/// The state of a group: the one that serves all its members.
pub fn state_kind(f: &Formula, group: &[ExprId]) -> StateKind {
    let kind = |id: &ExprId| reduction(f, *id).reducer.def().emit.state;
    let first = kind(&group[0]);
    if group.iter().all(|id| kind(id) == first) { first } else { first.family() }
}
