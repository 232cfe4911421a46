//! Compiled CPU code driven directly, with the columns of each block of rows folded in pieces.
//!
//! The runtime picks one partition of the columns; the laws of the monoids have to hold for all of
//! them. Here the caller picks: columns are cut into parts, each folded into a state of its own, in
//! one go or several, and neighbouring parts are merged in any order.

use std::ffi::c_void;

use tilefold::{Level, sys};
use tilefold_compiler::ir::eval::Matrix;

use crate::problem::Problem;
use crate::rng::Rng;
use crate::table::{Memory, Table, stages};

/// How the columns of a block are cut.
pub enum Cut<'a> {
    /// One state, one call.
    Whole,
    /// One state, one call; a neutral state is merged before and after.
    WithNeutral,
    /// Parts, calls and the order of merges at random; and whether rows are few.
    Random(&'a mut Rng),
}

/// Runs every stage of a descriptor at one level.
///
/// # Panics
/// When the kernel lacks the level or has too few columns.
pub fn run(
    kernel: &sys::tf_kernel,
    level: Level,
    problem: &Problem,
    mut cut: Cut<'_>,
) -> Vec<Matrix> {
    let mut table = Table::new(kernel, problem);
    let values = table.raw();
    for stage in stages(kernel) {
        let place = Level::ALL.iter().position(|&l| l == level).expect("a known level");
        // SAFETY: a stage has code for a level, or null.
        let code = unsafe { stage.cpu[place].as_ref() }.expect("the kernel has this level");
        let few = match &mut cut {
            // SAFETY: null, or the stage's code for few rows.
            Cut::Random(rng) => unsafe { code.few.as_ref() }.filter(|_| rng.below(2) == 0),
            _ => None,
        };
        let code = few.unwrap_or(code);
        let rows = table.size(stage.row_axis);
        let folds = stage.col_axis != sys::TF_AXIS_NONE;
        let cols = if folds { table.size(stage.col_axis) } else { 0 };
        assert!(cols >= stage.least_cols as usize, "{cols} columns are too few");
        Stage::new(code, kernel, &values, cols).run(rows, &mut cut);
    }
    table.outputs()
}

/// One stage whose launch values and columns are packed.
struct Stage<'a> {
    code: &'a sys::tf_cpu_stage,
    values: &'a [sys::tf_array],
    word: usize,
    cols: usize,
    params: Memory,
    packed: Memory,
}

impl<'a> Stage<'a> {
    fn new(
        code: &'a sys::tf_cpu_stage,
        kernel: &sys::tf_kernel,
        values: &'a [sys::tf_array],
        cols: usize,
    ) -> Stage<'a> {
        let word = if kernel.dtype == sys::TF_F64 { 8 } else { 4 };
        let params = Memory::new(code.param_words as usize * word);
        let room = cols.next_multiple_of(sys::TF_GROUP as usize);
        let packed = Memory::new(room * code.col_words as usize * word);
        let mut stage = Stage { code, values, word, cols, params, packed };
        let (v, p) = (values.as_ptr(), stage.params.address());
        // SAFETY: the table fits the kernel, and the memory is as large as the descriptor says.
        unsafe {
            code.params.expect("an entry")(v, p);
            code.cols.expect("an entry")(v, p, 0, cols as i64, stage.packed.address());
        }
        stage
    }

    fn run(&mut self, rows: usize, cut: &mut Cut<'_>) {
        let lanes = self.code.lanes as usize;
        for i0 in (0..rows).step_by(lanes) {
            let i1 = rows.min(i0 + lanes);
            let mut x = Memory::new(self.code.row_words as usize * lanes * self.word);
            let (v, p, x) = (self.values.as_ptr(), self.params.address(), x.address());
            // SAFETY: as in `new`; the rows exist.
            unsafe { self.code.rows.expect("an entry")(v, p, i0 as i64, i1 as i64, x) };
            let mut state = self.fold(i0, x, cut);
            let finish = self.code.finish.expect("an entry");
            // SAFETY: as above.
            unsafe { finish(v, p, x, state.address(), i0 as i64, i1 as i64) };
        }
    }

    fn fold(&mut self, i0: usize, x: *mut c_void, cut: &mut Cut<'_>) -> Memory {
        let whole = [vec![0, self.cols]];
        match cut {
            Cut::Whole => self.part(i0, x, &whole[0]),
            Cut::WithNeutral => {
                let part = self.part(i0, x, &whole[0]);
                let (first, last) = (self.part(i0, x, &[0]), self.part(i0, x, &[0]));
                self.join(vec![first, part, last], |_| 1)
            }
            Cut::Random(rng) => {
                // One row's columns lie in groups, which are not cut.
                let group = if self.code.lanes == 1 { sys::TF_GROUP as usize } else { 1 };
                let parts = parts(rng, self.cols, group);
                let states = parts.iter().map(|cuts| self.part(i0, x, cuts)).collect();
                self.join(states, |count| rng.below(count))
            }
        }
    }

    /// The state of the columns between the first and the last cut, folded call by call.
    fn part(&mut self, i0: usize, x: *mut c_void, cuts: &[usize]) -> Memory {
        let mut state = Memory::new(self.code.state_bytes as usize);
        // SAFETY: the state is as large and aligned as the descriptor says.
        unsafe { self.code.init.expect("an entry")(state.address()) };
        for call in cuts.windows(2) {
            let y = self.packed.offset(call[0] * self.code.col_words as usize * self.word);
            let (j0, j1) = (call[0] as i64, call[1] as i64);
            let block = self.code.block.expect("an entry");
            // SAFETY: rows and columns are packed, and the state was initialised.
            unsafe { block(self.params.address(), x, y, i0 as i64, j0, j1, state.address()) };
        }
        state
    }

    /// Merges neighbours until one state is left; `pick` says which one of so many to start with.
    fn join(&self, mut states: Vec<Memory>, mut pick: impl FnMut(usize) -> usize) -> Memory {
        while states.len() > 1 {
            let at = pick(states.len() - 1).min(states.len() - 2);
            let mut later = states.remove(at + 1);
            // SAFETY: both are states of this stage, of neighbouring columns.
            unsafe { self.code.merge.expect("an entry")(states[at].address(), later.address()) };
        }
        states.remove(0)
    }
}

/// Random cuts of `0..cols` into parts that touch, each with cuts of its own, at multiples of
/// `group`. Some are empty.
fn parts(rng: &mut Rng, cols: usize, group: usize) -> Vec<Vec<usize>> {
    let count = 1 + rng.below(5);
    let mut cuts: Vec<usize> = (0..count).map(|_| rng.below(cols + 1) / group * group).collect();
    cuts.extend([0, cols]);
    cuts.sort_unstable();
    let part = |ends: &[usize]| {
        let mut calls = vec![ends[0], ends[1]];
        let within = ends[1] - ends[0] + 1;
        calls.extend((0..rng.below(3)).map(|_| ends[0] + rng.below(within) / group * group));
        calls.sort_unstable();
        calls
    };
    cuts.windows(2).map(part).collect()
}
