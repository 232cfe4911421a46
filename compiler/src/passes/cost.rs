//! What a formula costs: operations in units of an addition, by how often they are done.
//!
//! A value is counted where it can be computed first, so the cost of a formula falls when a value
//! moves to a cheaper stratum. Costs are compared pair by pair first: a million pairs outweigh any
//! number of operations a row.

use std::fmt;
use std::ops::{Add, AddAssign};

use crate::ir::{ExprId, Formula, Node, Stratum};

/// Operations a pair, a row or column, and a launch; ordered in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Cost {
    /// For each pair.
    pub pair: f64,
    /// For each row or column.
    pub row: f64,
    /// Once.
    pub launch: f64,
}

impl Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost {
            pair: self.pair + other.pair,
            row: self.row + other.row,
            launch: self.launch + other.launch,
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        *self = *self + other;
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { pair, row, launch } = self;
        write!(f, "{pair} a pair, {row} a row or column, {launch} a launch")
    }
}

/// The cost of everything that the outputs need. A value that is used twice is counted once.
pub fn cost(f: &Formula) -> Cost {
    let live = f.reachable(f.outputs.iter().map(|o| o.expr));
    let ids = f.ids().filter(|id| live[id.index()]);
    ids.fold(Cost::default(), |sum, id| sum + of_node(f, id))
}

/// The cost of one node, without its arguments.
pub fn of_node(f: &Formula, id: ExprId) -> Cost {
    match f.node(id) {
        Node::Input(_) | Node::Const(_) | Node::Pos(_) => Cost::default(),
        Node::Op(op, args, params) => {
            let dims: Vec<usize> = args.iter().map(|&a| f.dim(a)).collect();
            at(f.stratum(id), op.cost(&dims, params, f.dim(id)))
        }
        // Every pair is visited, also where the folded value does not vary with it.
        Node::Reduce(r) => {
            let folded: usize = r.args.iter().map(|&a| f.dim(a)).sum();
            let place = r.args.iter().fold(Stratum::of(Some(r.axis)), |s, &a| s.join(f.stratum(a)));
            at(place, (folded * r.k.max(1)) as f64)
        }
    }
}

fn at(stratum: Stratum, operations: f64) -> Cost {
    let none = Cost::default();
    match stratum {
        Stratum::Const => none,
        Stratum::Param => Cost { launch: operations, ..none },
        Stratum::I | Stratum::J => Cost { row: operations, ..none },
        Stratum::Pair => Cost { pair: operations, ..none },
    }
}
