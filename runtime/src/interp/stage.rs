//! A stage as programs. Goes in: a plan. Comes out: what `host` calls to pack rows and columns,
//! fold tiles of pairs and write results, in the layout that [`Places`] gives packed values.

use std::ops::Range;

use tilefold_compiler::ir::{Accumulation, ExprId, Kind, Node};
use tilefold_compiler::reduce::StateKind;
use tilefold_compiler::schedule::{Place, Places, Plan, Stage, reduction, weight};

use super::acc::Acc;
use super::exec::{Door, Machine, Packs};
use super::folds::{Columns, Folding, TILE};
use super::levels;
use super::lower::Lower;
use super::math::Float;
use super::program::{Binary, Code, Fold, Instr, LANES, Operand, Ternary};
use crate::host::memory::{Line, floats, floats_mut, lines_of};
use crate::host::{Packed, Program, Results, Table};
use crate::kernel::{self, CpuStage, Map};
use crate::level::Level;

/// The registers of a tile of pairs should stay in first-level cache.
const REGISTER_BYTES: usize = 24 << 10;

/// Most columns of a tile.
const MOST_COLS: usize = 32;

/// Up to so many rows are folded one by one. A block of them takes as long as 37, when all is in
/// the cache.
pub(super) const FEW_ROWS: usize = LANES / 2;

/// Lines between registers. Instructions read and write the same places of several registers in
/// turn, and a processor takes a load for one of what was just stored where the last 12 bits of
/// both addresses are equal: registers must not lie almost a multiple of 4096 bytes apart. Worth a
/// factor of 3 for an exponential on Zen 4.
const APART: usize = 17;

/// More bytes of registers than this are refused.
const MOST_BYTES: usize = 64 << 20;

/// The programs of one stage.
pub(super) struct StageProgram<T> {
    launch: Code<T>,
    row: Code<T>,
    col: Code<T>,
    pair: Code<T>,
    /// Pairs of one row and columns in all lanes.
    across: Code<T>,
    finish: Code<T>,
    accs: Vec<Acc>,
    sums: Accumulation,
    /// Words of the launch, of a row and of a column.
    words: [usize; 3],
    /// Columns of a tile of pairs.
    tile: usize,
    pub folds: bool,
    /// Operations of a pair.
    pub pair_ops: f64,
}

impl<T: Float> StageProgram<T> {
    /// Makes the programs; nothing if one of them is too long.
    pub fn new(plan: &Plan, stage: &Stage) -> Option<StageProgram<T>> {
        let f = &plan.formula;
        let places = Places::new(plan, stage);
        let lower = |place| Lower::new(plan, stage, &places, place);
        let mut accs: Vec<Acc> = Vec::new();
        for group in places.accumulators() {
            accs.push(Acc::new(f, group, &accs));
        }
        let packed = |place| {
            let mut lower: Lower<'_, T> = lower(place);
            pack(&mut lower);
            lower.finish()
        };
        let folded = |mut lower: Lower<'_, T>| {
            for (n, acc) in accs.iter().enumerate() {
                fold(&mut lower, n, acc);
            }
            lower.finish()
        };
        let pair = folded(lower(Place::Pair))?;
        let across = folded(Lower::across(plan, stage, &places))?;
        let mut finish = lower(Place::Finish);
        write(&mut finish);
        let column = LANES * size_of::<T>() * pair.registers.max(across.registers).max(1);
        if column > MOST_BYTES {
            return None;
        }
        let most = (REGISTER_BYTES / column).clamp(1, MOST_COLS);
        Some(StageProgram {
            launch: packed(Place::Launch)?,
            row: packed(Place::Row)?,
            col: packed(Place::Col)?,
            pair,
            across,
            finish: finish.finish()?,
            accs,
            sums: f.acc,
            words: [Place::Launch, Place::Row, Place::Col].map(|p| Places::words(places.table(p))),
            tile: 1 << most.ilog2(),
            folds: stage.cols.is_some(),
            pair_ops: pair_ops(plan, &places),
        })
    }

    /// The stage as `host` sees it.
    pub fn stage<'p>(&self, at: &'p AtLevel<'_, T>) -> CpuStage<'p> {
        let [_, state] = Acc::sizes(&self.accs);
        let [launch, row, col] = self.words.map(|words| words * size_of::<T>());
        CpuStage {
            lanes: if at.across { 1 } else { LANES },
            row_bytes: row * LANES,
            col_bytes: col,
            param_bytes: launch,
            state_bytes: state * LANES * size_of::<f64>(),
            map: Map::Program(at),
            fold: self.folds.then_some(kernel::Fold::Program(at)),
        }
    }
}

/// Packs everything that a place hands over.
fn pack<T: Float>(lower: &mut Lower<'_, T>) {
    let f = &lower.plan.formula;
    let mut slots: Vec<_> = lower.places.table(lower.place).iter().collect();
    slots.sort_by_key(|(_, slot)| slot.base);
    for (&id, slot) in slots {
        for k in 0..f.dim(id) {
            let limbs = match f.kind(id) {
                Kind::Real | Kind::Complex => vec![lower.component(id, k)],
                Kind::Int => lower.integer(id, k),
            };
            for (n, limb) in limbs.into_iter().enumerate() {
                lower.push(Instr::Store(slot.base + n * f.dim(id) + k, limb));
            }
        }
    }
}

/// Writes the results of a row.
fn write<T: Float>(lower: &mut Lower<'_, T>) {
    let f = &lower.plan.formula;
    for &(value, id) in &lower.stage.writes {
        for k in 0..f.dim(id) {
            let instr = match f.kind(id) {
                Kind::Real | Kind::Complex => Instr::Write(value, k, lower.component(id, k)),
                Kind::Int => Instr::WriteLimbs(value, k, lower.integer(id, k)),
            };
            lower.push(instr);
        }
    }
}

/// Folds the arguments of one accumulator. Pairs that a mask leaves out contribute the neutral
/// element where there is one.
fn fold<T: Float>(lower: &mut Lower<'_, T>, n: usize, acc: &Acc) {
    let f = &lower.plan.formula;
    let group: &[ExprId] = &lower.places.accumulators()[n];
    let r = reduction(f, group[0]);
    let mask = r.mask.map(|mask| lower.component(mask, 0));
    if acc.kind == StateKind::ShiftedExp {
        return shifted_exps(lower, n, r.args[0], weight(f, group), mask);
    }
    let neutral = |lower: &mut Lower<'_, T>, x: Operand<T>, number: f64| match mask {
        Some(mask) => {
            lower.ternary(Ternary::Where, [mask, x, Operand::Number(T::from_f64(number))])
        }
        None => x,
    };
    let mut xs = Vec::new();
    for part in 0..acc.parts {
        let fold = match acc.kind {
            StateKind::Sum | StateKind::Mean => {
                let factors = lower.factors(r.args[0]).filter(|_| mask.is_none());
                let (x, by) = match factors {
                    Some((a, b)) => {
                        let (a, b) = (lower.component(a, part), lower.component(b, part));
                        (a, Some(b))
                    }
                    None => (lower.component(r.args[0], part), None),
                };
                Fold::Sum { acc: n, part, x: neutral(lower, x, 0.0), by }
            }
            kind => {
                let x = lower.component(r.args[0], part);
                match kind {
                    StateKind::Prod => Fold::Prod { acc: n, part, x: neutral(lower, x, 1.0) },
                    StateKind::Min => {
                        Fold::Extremum { acc: n, part, x: neutral(lower, x, f64::INFINITY) }
                    }
                    StateKind::Max => {
                        Fold::Extremum { acc: n, part, x: neutral(lower, x, f64::NEG_INFINITY) }
                    }
                    StateKind::ArgMin | StateKind::ArgMax => {
                        Fold::ArgExtremum { acc: n, part, x, mask }
                    }
                    StateKind::KMin | StateKind::KMax => Fold::KExtrema { acc: n, part, x, mask },
                    StateKind::Count => Fold::Count { acc: n, part, x, mask },
                    _ => {
                        xs.push(x);
                        continue;
                    }
                }
            }
        };
        lower.push(Instr::Fold(fold));
    }
    match acc.kind {
        StateKind::Mean => lower.push(Instr::Fold(Fold::Rows { acc: n, mask })),
        StateKind::Var => lower.push(Instr::Fold(Fold::Var { acc: n, xs, mask })),
        _ => {}
    }
}

fn shifted_exps<T: Float>(
    lower: &mut Lower<'_, T>,
    n: usize,
    score: ExprId,
    weight: Option<ExprId>,
    mask: Option<Operand<T>>,
) {
    let left_out = |lower: &mut Lower<'_, T>, x: Operand<T>, number: T| match mask {
        Some(mask) => lower.ternary(Ternary::Where, [mask, x, Operand::Number(number)]),
        None => x,
    };
    let score = lower.component(score, 0);
    let score = left_out(lower, score, -T::INFINITY);
    let out = lower.fresh();
    lower.push(Instr::Fold(Fold::Exps { acc: n, out, score }));
    let Some(weight) = weight else { return };
    for k in 0..lower.plan.formula.dim(weight) {
        let (term, weight) = (Operand::Reg(out), lower.component(weight, k));
        let (x, by) = match mask {
            None => (term, Some(weight)),
            Some(_) => {
                let product = lower.binary(Binary::Mul, term, weight);
                (left_out(lower, product, T::ZERO), None)
            }
        };
        lower.push(Instr::Fold(Fold::Sum { acc: n, part: 1 + k, x, by }));
    }
}

/// Operations of a pair, as reports count them.
fn pair_ops(plan: &Plan, places: &Places) -> f64 {
    let f = &plan.formula;
    let dims = |args: &[ExprId]| -> Vec<usize> { args.iter().map(|&arg| f.dim(arg)).collect() };
    let at_pairs = |id: &ExprId| places.has(*id) && places.of(*id) == Place::Pair;
    let computed: f64 = f
        .ids()
        .filter(at_pairs)
        .map(|id| match f.node(id) {
            Node::Op(op, args, params) => op.cost(&dims(args), params, f.dim(id)),
            Node::Input(_) | Node::Const(_) | Node::Pos(_) | Node::Reduce(_) => 0.0,
        })
        .sum();
    let folded = places.accumulators().iter().map(|group| {
        let r = reduction(f, group[0]);
        match r.reducer.def().emit.state {
            StateKind::ShiftedExp => 12.0 + 2.0 * weight(f, group).map_or(0, |w| f.dim(w)) as f64,
            _ => f.dim(r.args[0]) as f64,
        }
    });
    computed + folded.sum::<f64>()
}

/// A stage's programs at an instruction level.
pub(super) struct AtLevel<'a, T> {
    pub program: &'a StageProgram<T>,
    pub level: Option<Level>,
    /// Whether rows are folded one by one, with columns in all lanes: where they are few.
    pub across: bool,
}

/// Where the results of a program of rows or columns go.
enum Out<'a, 'r, T> {
    Launch(&'a mut [T]),
    /// Packed rows, or columns in all lanes.
    Lanes(&'a mut [T]),
    /// Packed columns, words of one beside each other, and how many columns there are.
    Cols(&'a mut [T], usize, usize),
    Results(&'a mut Results<'r>),
}

/// The arrays and buffers of one such program.
struct Arrays<'a, 'r, T> {
    table: &'a Table,
    first: usize,
    accs: &'a [Acc],
    state: &'a [f64],
    out: Out<'a, 'r, T>,
}

impl<T: Float> Door<T> for Arrays<'_, '_, T> {
    fn read(&mut self, value: usize, col: usize, out: &mut [T; LANES]) {
        self.table.reals(value, col, self.first, out);
    }

    fn read_integers(&mut self, value: usize, col: usize, out: &mut [i64; LANES]) {
        self.table.integers(value, col, self.first, out);
    }

    fn first(&self) -> usize {
        self.first
    }

    fn result(&mut self, acc: usize, field: u32, component: usize, out: &mut [T; LANES]) {
        *out = self.accs[acc].value::<T>(self.state, field, component).map(T::from_f64);
    }

    fn result_index(&mut self, acc: usize, component: usize, out: &mut [i64; LANES]) {
        *out = self.accs[acc].index(self.state, component);
    }

    fn store(&mut self, word: usize, from: &[T; LANES]) {
        match &mut self.out {
            Out::Launch(to) => to[word] = from[0],
            Out::Lanes(to) => to[word * LANES..][..LANES].copy_from_slice(from),
            Out::Cols(to, words, cols) => {
                for (column, &x) in to.chunks_mut(*words).zip(&from[..*cols]) {
                    column[word] = x;
                }
            }
            // Programs of results store nothing.
            Out::Results(_) => {}
        }
    }

    fn write(&mut self, value: usize, col: usize, from: &[T; LANES]) {
        if let Out::Results(results) = &mut self.out {
            results.reals(value, col, from);
        }
    }

    fn write_integers(&mut self, value: usize, col: usize, from: &[i64; LANES]) {
        if let Out::Results(results) = &mut self.out {
            results.integers(value, col, from);
        }
    }
}

impl<T: Float> AtLevel<'_, T> {
    /// Runs a program that has no pairs; `active` lanes matter.
    fn map(&self, code: &Code<T>, packed: Packed, active: usize, arrays: &mut Arrays<'_, '_, T>) {
        self.map_in(&mut self.registers(code), code, packed, active, arrays);
    }

    fn registers(&self, code: &Code<T>) -> Vec<Line> {
        vec![Line::ZERO; lines_of(code.registers * LANES * size_of::<T>())]
    }

    /// The same, with registers that were used before.
    fn map_in(
        &self,
        registers: &mut [Line],
        code: &Code<T>,
        packed: Packed,
        active: usize,
        arrays: &mut Arrays<'_, '_, T>,
    ) {
        if code.instrs.is_empty() {
            return;
        }
        let mut machine = Machine {
            packs: self.packs(packed),
            registers: floats_mut(registers),
            stride: LANES,
            cols: 1,
            active,
            folding: None,
            door: Some(arrays),
        };
        levels::run(self.level, code, &mut machine);
    }

    /// Folds a range of columns. `packs` begins with them.
    fn fold(&self, code: &Code<T>, packs: Packs<'_, T>, range: Range<usize>, state: &mut [f64]) {
        let program = self.program;
        let stride = program.tile * LANES + APART * size_of::<Line>() / size_of::<T>();
        let lines = |numbers: usize| vec![Line::ZERO; lines_of(numbers * size_of::<T>())];
        let mut registers = lines(code.registers * stride);
        let mut scratch = lines(Acc::sizes(&program.accs)[0] * LANES);
        let mut machine = Machine {
            packs,
            registers: floats_mut(&mut registers),
            stride,
            cols: 0,
            active: LANES,
            folding: Some(Folding {
                accs: &program.accs,
                sums: program.sums,
                scratch: floats_mut(&mut scratch),
                state,
                tile: Columns { first: range.start, across: self.across },
                past: 0,
            }),
            door: None,
        };
        // What a column of a tile holds of them.
        let each = if self.across { LANES } else { 1 };
        let cols = range.len() / each;
        for start in (0..cols).step_by(TILE) {
            let end = (start + TILE).min(cols);
            let first = range.start + start * each;
            machine.folding.iter_mut().for_each(|folding| folding.open(first));
            for at in (start..end).step_by(program.tile) {
                machine.cols = (end - at).min(program.tile);
                machine.packs.cols = &packs.cols[at * packs.col_words..];
                machine.packs.rows = &packs.rows[at * packs.row_step..];
                levels::run(self.level, code, &mut machine);
                let cols = machine.cols;
                machine.folding.iter_mut().for_each(|folding| folding.past += cols);
            }
            machine.folding.iter_mut().for_each(Folding::close);
        }
    }

    fn packs<'p>(&self, packed: Packed<'p>) -> Packs<'p, T> {
        Packs {
            params: floats(packed.params),
            rows: floats(packed.rows),
            row_step: 0,
            cols: floats(packed.cols),
            col_words: self.program.words[2],
        }
    }

    fn arrays<'a, 'r>(
        &'a self,
        table: &'a Table,
        first: usize,
        out: Out<'a, 'r, T>,
    ) -> Arrays<'a, 'r, T> {
        Arrays { table, first, accs: &self.program.accs, state: &[], out }
    }
}

const NOTHING: Packed<'static> = Packed { params: &[], rows: &[], cols: &[], skip: 0 };

impl<T: Float> Program for AtLevel<'_, T> {
    fn params(&self, table: &Table, params: &mut [Line]) {
        let mut arrays = self.arrays(table, 0, Out::Launch(floats_mut(params)));
        self.map(&self.program.launch, NOTHING, 1, &mut arrays);
    }

    fn rows(&self, table: &Table, params: &[Line], block: Range<usize>, rows: &mut [Line]) {
        let mut arrays = self.arrays(table, block.start, Out::Lanes(floats_mut(rows)));
        let packed = Packed { params, ..NOTHING };
        self.map(&self.program.row, packed, block.len(), &mut arrays);
    }

    fn cols(&self, table: &Table, params: &[Line], range: Range<usize>, cols: &mut [Line]) {
        let (words, all) = (self.program.words[2], floats_mut(cols));
        if words == 0 {
            return;
        }
        let (packed, code) = (Packed { params, ..NOTHING }, &self.program.col);
        let mut registers = self.registers(code);
        for (start, part) in range.clone().step_by(LANES).zip(all.chunks_mut(words * LANES)) {
            let count = (range.end - start).min(LANES);
            let out = if self.across { Out::Lanes(part) } else { Out::Cols(part, words, count) };
            let mut arrays = self.arrays(table, start, out);
            self.map_in(&mut registers, code, packed, count, &mut arrays);
        }
    }

    fn init(&self, state: &mut [Line]) {
        let state = floats_mut(state);
        self.program.accs.iter().for_each(|acc| acc.init::<T>(state));
    }

    fn block(&self, packed: Packed, range: Range<usize>, state: &mut [Line]) {
        let (mut packs, state) = (self.packs(packed), floats_mut(state));
        packs.cols = &packs.cols[packed.skip * packs.col_words..];
        if !self.across {
            return self.fold(&self.program.pair, packs, range, state);
        }
        let code = &self.program.across;
        (packs.rows, packs.cols) = (packs.cols, packs.rows);
        (packs.row_step, packs.col_words) = (packs.col_words * LANES, 0);
        let rest = range.len() % LANES;
        let whole = range.start..range.end - rest;
        self.fold(code, packs, whole.clone(), state);
        if rest > 0 {
            // Lanes without a column keep what they have.
            let kept = state.to_vec();
            packs.rows = &packs.rows[whole.len() / LANES * packs.row_step..];
            self.fold(code, packs, whole.end..whole.end + LANES, state);
            for (row, kept) in state.chunks_mut(LANES).zip(kept.chunks(LANES)) {
                row[rest..].copy_from_slice(&kept[rest..]);
            }
        }
    }

    fn merge(&self, state: &mut [Line], other: &[Line]) {
        let (state, other) = (floats_mut(state), floats(other));
        self.program.accs.iter().for_each(|acc| acc.merge::<T>(state, other));
    }

    fn finish(&self, table: &Table, packed: Packed, state: &[Line], results: &mut Results) {
        let rows = results.rows();
        let mut arrays = self.arrays(table, rows.start, Out::Results(results));
        let mut gathered = Vec::new();
        arrays.state = floats(state);
        if self.across {
            gathered.extend_from_slice(arrays.state);
            Acc::gather::<T>(&self.program.accs, &mut gathered);
            arrays.state = &gathered;
        }
        self.map(&self.program.finish, packed, rows.len(), &mut arrays);
    }
}
