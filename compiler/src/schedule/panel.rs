//! Panels of CUDA: sums over many components, for a block of rows and a panel of columns at once.
//!
//! In: the places of a stage. Out: the sums that are streamed through shared memory, what each of
//! them reads, how wide a panel is, and what is left to hand over otherwise. None where no sum can
//! be streamed: each component of what it reads has to be cheap to compute alone, since nothing
//! holds whole rows.

use crate::ir::{ExprId, Formula, Node};
use crate::ops::Emit;

use super::mma::{Products, on_tensor_cores, tensor_bytes};
use super::streams::{is_of_pair, streams};
use super::{Place, Places, Plan, Stage, Wide, is_transparent, shifted_arg};

/// Rows of a block, each of which one thread folds.
pub const ROWS: usize = 128;

/// Threads along the columns of a panel, each of which sums a few columns of some rows.
const ACROSS: usize = 8;

/// Most operands that the rows, columns and parameters of one sum consist of.
const MAX_OPERANDS: usize = 4;

/// Most sums of a stage.
const MAX_SUMS: usize = 4;

/// What a sum reads of a row, a column or the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// [`Place::Row`], [`Place::Col`] or [`Place::Launch`].
    pub place: Place,
    /// The value.
    pub id: ExprId,
    /// Its component for component 0 of the sum.
    pub offset: usize,
    /// How many components further the next one is: 1, or 0 for a scalar.
    pub step: usize,
}

/// A streamed sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// The sum.
    pub id: ExprId,
    /// What it adds up.
    pub arg: ExprId,
    /// How many components that has.
    pub dim: usize,
    /// What it reads.
    pub operands: Vec<Operand>,
}

impl Sum {
    /// What it reads of one place.
    pub fn operands_of(&self, place: Place) -> impl Iterator<Item = &Operand> {
        self.operands.iter().filter(move |p| p.place == place)
    }
}

/// The panels of a stage.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What is handed over beside the sums.
    pub places: Places,
    /// The sums.
    pub sums: Vec<Sum>,
    /// The sums of many outputs, if there are any.
    pub wide: Option<Wide>,
    /// Columns of a panel that one thread sums, in f32.
    pub columns_f32: usize,
    /// The same in f64.
    pub columns_f64: usize,
    /// What tensor cores compute in f32, if they do.
    pub on_tensor_cores: Option<Products>,
}

impl Panel {
    /// The panels of a stage, if it has any.
    pub fn new(plan: &Plan, stage: &Stage) -> Option<Panel> {
        let f = &plan.formula;
        let whole = Places::new(plan, stage);
        let sums: Vec<Sum> = streams(f, stage, &whole)
            .into_iter()
            .filter_map(|id| sum(plan, stage, &whole, id, f.node(id).args().next()?))
            .take(MAX_SUMS)
            .collect();
        if sums.is_empty() {
            return None;
        }
        let wide = Wide::all(plan, stage, &whole).into_iter().next();
        let ids: Vec<ExprId> = sums.iter().map(|s| s.id).collect();
        let places = Places::beside(plan, stage, &ids, wide.as_ref());
        let words = Places::words(&places.col);
        let outputs = wide.as_ref().map_or(0, |w| w.by.operands_of(Place::Col).count());
        let columns_f32 = columns(&sums, words, outputs * 32, 4, 8, 8)?;
        let columns_f64 = columns(&sums, words, outputs * 16, 8, 4, 4)?;
        let on_tensor_cores = on_tensor_cores(f, &whole, &sums, columns_f32);
        Some(Panel { places, sums, wide, columns_f32, columns_f64, on_tensor_cores })
    }

    /// Whether a search looks at bounds of the sums first.
    pub fn filters(&self) -> bool {
        self.on_tensor_cores.is_some_and(|products| products.filter.is_some())
    }

    /// Bytes of the workspace that tensor cores need of a thread, beside its states, in f32.
    pub fn tensor_bytes(&self) -> usize {
        self.on_tensor_cores.map_or(0, |products| tensor_bytes(products, self.sums[0].dim))
    }

    /// Most operands of one place that a sum has.
    pub fn most_operands(&self, place: Place) -> usize {
        self.sums.iter().map(|s| s.operands_of(place).count()).max().unwrap_or(0)
    }

    /// Columns of the widest panel: those of all dtypes divide it.
    pub fn tile(&self) -> usize {
        ACROSS * self.columns_f32.max(self.columns_f64)
    }
}

/// Columns a thread, at most `most`, so that everything fits into the 48 KiB of shared memory that
/// a block has without asking; `depth` components of scalars of `t` bytes are read at once. The
/// sums take the place of the components that they were made of. Wide accumulators take `outputs`
/// words a column, and one a row; where there are none, C++ has an array of one word all the same.
fn columns(
    sums: &[Sum],
    words: usize,
    outputs: usize,
    t: usize,
    most: usize,
    depth: usize,
) -> Option<usize> {
    let fits = |&c: &usize| {
        let width = c * ACROSS;
        let operand = |p: &Operand| match p.place {
            Place::Row => ROWS + 4,
            Place::Col => width + 4,
            _ => 1,
        };
        let chunk = |s: &Sum| s.operands.iter().map(operand).sum::<usize>() * 2 * depth;
        let chunks = sums.iter().map(chunk).max().unwrap_or(0);
        let table = if outputs > 0 { outputs * (width + 4) + ROWS } else { 1 };
        (chunks.max(sums.len() * width * ROWS) + words * width + table) * t <= 48 << 10
    };
    [8, 4, 2, 1].into_iter().filter(|&c| c <= most).find(fits)
}

/// The sum of the components of `arg`, called `id`, with what it reads, if every operand can be
/// read component by component.
pub(super) fn sum(
    plan: &Plan,
    stage: &Stage,
    places: &Places,
    id: ExprId,
    arg: ExprId,
) -> Option<Sum> {
    let f = &plan.formula;
    let mut operands = Vec::new();
    let start = (arg, 0, usize::from(f.dim(arg) > 1));
    let mut todo = vec![start];
    while let Some((id, offset, step)) = todo.pop() {
        match f.node(id) {
            Node::Op(op, args, params) if is_transparent(*op) => {
                let Emit::Move(source) = op.def().emit else { return None };
                let dims: Vec<usize> = args.iter().map(|&a| f.dim(a)).collect();
                let (n, component) = source(&dims, params, offset)?;
                let step = if dims[n] == 1 { 0 } else { step };
                todo.push((args[n], component, step));
            }
            _ if !is_of_pair(places, id) => {
                let operand = Operand { place: places.of(id), id, offset, step };
                if operand.place != Place::Const && !operands.contains(&operand) {
                    operands.push(operand);
                }
            }
            node => {
                let index = |a: ExprId| if f.dim(a) == 1 { (a, 0, 0) } else { (a, offset, step) };
                todo.extend(node.args().map(index));
            }
        }
    }
    let cheap = |p: &Operand| p.place == Place::Launch || is_cheap(f, stage, places, p.id);
    let fits = operands.len() <= MAX_OPERANDS && operands.iter().all(cheap);
    fits.then(|| Sum { id, arg, dim: f.dim(arg), operands })
}

/// Whether one component takes a few operations on components of what is read.
fn is_cheap(f: &Formula, stage: &Stage, places: &Places, id: ExprId) -> bool {
    let place = places.of(id);
    let mut todo = vec![id];
    while let Some(id) = todo.pop() {
        if places.of(id) != place || stage.known.iter().any(|&(k, _)| k == id) {
            continue;
        }
        match f.node(id) {
            Node::Op(op, args, params) if is_transparent(*op) => {
                if f.dim(id) > 1 && shifted_arg(f, f.dim(id), *op, args, params).is_none() {
                    return false;
                }
                todo.extend(args);
            }
            Node::Op(op, args, _) if matches!(op.def().emit, Emit::Map(_)) => todo.extend(args),
            Node::Op(..) => return false,
            _ => {}
        }
    }
    true
}
