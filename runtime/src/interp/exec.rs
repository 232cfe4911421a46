//! Instructions at work. Goes in: a program, packed operands and registers. Comes out: registers,
//! states of reductions, and whatever the instructions write. It never allocates but for
//! operations that have no instruction.
//!
//! Everything is inlined into [`run`], so that `levels` compiles it once for each instruction
//! level. Sums are kept for [`GROUP`] lanes at a time, in a few vector registers.

use tilefold_compiler::ops::Op;

use super::curves::{Curve, Lanes};
use super::folds::{Folding, Tile};
use super::ints;
use super::lanes::{self, column, each, each2, each3};
use super::math::{Float, Isa};
use super::program::{Binary, Code, Eval, Fold, Instr, LANES, Operand, Term, Ternary, Unary};
use super::sums::{self, Gap, Product, Square};

/// What programs of rows, columns and launches do with arrays; pairs have none of it.
pub(super) trait Door<T> {
    fn read(&mut self, value: usize, col: usize, out: &mut [T; LANES]);
    fn read_integers(&mut self, value: usize, col: usize, out: &mut [i64; LANES]);
    /// The number of the first row.
    fn first(&self) -> usize;
    fn result(&mut self, acc: usize, field: u32, component: usize, out: &mut [T; LANES]);
    fn result_index(&mut self, acc: usize, component: usize, out: &mut [i64; LANES]);
    fn store(&mut self, word: usize, from: &[T; LANES]);
    fn write(&mut self, value: usize, col: usize, from: &[T; LANES]);
    fn write_integers(&mut self, value: usize, col: usize, from: &[i64; LANES]);
}

/// Packed operands of a tile. `cols` begins at its first column.
///
/// A tile of one row and many columns has them the other way around: `rows` are its columns, in
/// groups of [`LANES`], and `cols` is its row.
#[derive(Clone, Copy)]
pub(super) struct Packs<'a, T> {
    pub params: &'a [T],
    pub rows: &'a [T],
    /// Numbers between the rows of one column of the tile and those of the next; 0 where they are
    /// the same.
    pub row_step: usize,
    pub cols: &'a [T],
    pub col_words: usize,
}

/// What a program runs on.
pub(super) struct Machine<'a, T> {
    pub packs: Packs<'a, T>,
    /// All registers, `stride` numbers each.
    pub registers: &'a mut [T],
    pub stride: usize,
    /// Columns of the tile.
    pub cols: usize,
    /// Lanes that operations without an instruction are computed for.
    pub active: usize,
    /// The states of reductions, in programs of pairs.
    pub folding: Option<Folding<'a, T>>,
    /// Arrays, in the other programs.
    pub door: Option<&'a mut dyn Door<T>>,
}

/// An operand of a tile: lanes of column c begin at `c * step`, or its one number is there.
#[derive(Clone, Copy)]
pub(super) enum Arg<'a, T> {
    Lanes(&'a [T], usize),
    Number(&'a [T], usize),
}

impl<'a, T: Float> Arg<'a, T> {
    /// All lanes of a column.
    #[inline(always)]
    pub fn lanes(self, col: usize, spread: &'a mut [T; LANES]) -> &'a [T; LANES] {
        match self {
            Arg::Lanes(data, step) => chunk(data, col * step),
            Arg::Number(data, step) => {
                *spread = [data[col * step]; LANES];
                spread
            }
        }
    }
}

/// N numbers from a place on.
#[inline(always)]
pub(super) fn chunk<T, const N: usize>(data: &[T], at: usize) -> &[T; N] {
    data[at..].first_chunk().expect("registers and packed words are whole")
}

/// As [`chunk`].
#[inline(always)]
pub(super) fn chunk_mut<T, const N: usize>(data: &mut [T], at: usize) -> &mut [T; N] {
    data[at..].first_chunk_mut().expect("registers and packed words are whole")
}

/// All registers but the one that is written.
#[derive(Clone, Copy)]
pub(super) struct Others<'a, T> {
    before: &'a [T],
    after: &'a [T],
    stride: usize,
}

impl<'a, T: Float> Others<'a, T> {
    /// Where there are only packed operands.
    pub const NONE: Others<'static, T> = Others { before: &[], after: &[], stride: 0 };

    /// A register by itself.
    #[inline(always)]
    pub fn register(self, reg: u32) -> &'a [T] {
        let at = reg as usize * self.stride;
        match at.checked_sub(self.before.len()) {
            None => &self.before[at..],
            Some(past) => &self.after[past - self.stride..],
        }
    }

    /// Where none is written.
    pub fn all(registers: &'a [T], stride: usize) -> Others<'a, T> {
        Others { before: registers, after: &[], stride }
    }

    #[inline(always)]
    pub fn arg(self, packs: &Packs<'a, T>, operand: &'a Operand<T>) -> Arg<'a, T> {
        match operand {
            Operand::Reg(reg) => Arg::Lanes(self.register(*reg), LANES),
            Operand::Row(word) => Arg::Lanes(&packs.rows[*word as usize * LANES..], packs.row_step),
            Operand::Col(word) => Arg::Number(&packs.cols[*word as usize..], packs.col_words),
            Operand::Param(word) => Arg::Number(&packs.params[*word as usize..], 0),
            Operand::Number(x) => Arg::Number(std::slice::from_ref(x), 0),
        }
    }
}

/// The register that is written, and the others.
#[inline(always)]
pub(super) fn split<T>(all: &mut [T], out: u32, stride: usize) -> (&mut [T], Others<'_, T>) {
    let (before, rest) = all.split_at_mut(out as usize * stride);
    let (out, after) = rest.split_at_mut(stride);
    (out, Others { before, after, stride })
}

/// Runs a program on one tile.
#[inline(always)]
pub(super) fn run<T: Float, I: Isa>(code: &Code<T>, m: &mut Machine<'_, T>) {
    for instr in &code.instrs {
        match instr {
            Instr::Unary(op, out, a) => {
                let (out, others) = split(m.registers, *out, m.stride);
                unary::<T, I>(*op, out, others.arg(&m.packs, a), m.cols);
            }
            Instr::Binary(op, out, [a, b]) => {
                let (out, others) = split(m.registers, *out, m.stride);
                let (a, b) = (others.arg(&m.packs, a), others.arg(&m.packs, b));
                binary::<T, I>(*op, out, a, b, m.cols);
            }
            Instr::Ternary(op, out, args) => {
                let (out, others) = split(m.registers, *out, m.stride);
                let args = args.each_ref().map(|arg| others.arg(&m.packs, arg));
                ternary::<T, I>(*op, out, args, m.cols);
            }
            Instr::Curve(curve, out, args) => {
                let (out, others) = split(m.registers, *out, m.stride);
                let args = args.each_ref().map(|arg| others.arg(&m.packs, arg));
                drawn::<T, I>(*curve, out, args, m.cols);
            }
            Instr::Chain(term, out, links) => {
                let (out, _) = split(m.registers, *out, m.stride);
                match term {
                    Term::Product => sums::chain::<T, I, Product>(out, links, &m.packs, m.cols),
                    Term::Square => sums::chain::<T, I, Square>(out, links, &m.packs, m.cols),
                    Term::Gap => sums::chain::<T, I, Gap>(out, links, &m.packs, m.cols),
                }
            }
            Instr::Fold(Fold::Exps { acc, out, score }) => {
                if let Some(folding) = &mut m.folding {
                    let (out, others) = split(m.registers, *out, m.stride);
                    let score = others.arg(&m.packs, score);
                    folding.exps::<I>(*acc, score, out, m.cols);
                }
            }
            Instr::Fold(fold) => {
                if let Some(folding) = &mut m.folding {
                    let others = Others::all(m.registers, m.stride);
                    folding.fold::<I>(fold, Tile { others, packs: m.packs, cols: m.cols });
                }
            }
            Instr::Eval(eval) => evaluate(eval, m),
            Instr::Join(out, limbs) => join(*out, limbs, m),
            Instr::Read(..)
            | Instr::ReadLimbs(..)
            | Instr::Pos(_)
            | Instr::Result(..)
            | Instr::ResultLimbs(..)
            | Instr::Store(..)
            | Instr::Write(..)
            | Instr::WriteLimbs(..) => pass(instr, m),
        }
    }
}

#[inline(always)]
fn unary<T: Float, I: Isa>(op: Unary, out: &mut [T], a: Arg<T>, cols: usize) {
    match op {
        Unary::Copy => each::<T, I, lanes::Copied>(out, a, cols),
        Unary::Neg => each::<T, I, lanes::Neg>(out, a, cols),
        Unary::Inv => each::<T, I, lanes::Inv>(out, a, cols),
        Unary::Square => each::<T, I, lanes::Square>(out, a, cols),
        Unary::Abs => each::<T, I, lanes::Abs>(out, a, cols),
        Unary::Sign => each::<T, I, lanes::Sign>(out, a, cols),
        Unary::Step => each::<T, I, lanes::Step>(out, a, cols),
        Unary::Relu => each::<T, I, lanes::Relu>(out, a, cols),
        Unary::Floor => each::<T, I, lanes::Floor>(out, a, cols),
        Unary::Trunc => each::<T, I, lanes::Trunc>(out, a, cols),
        Unary::Ceil => each::<T, I, lanes::Ceil>(out, a, cols),
        Unary::Sqrt => each::<T, I, lanes::Sqrt>(out, a, cols),
        Unary::Rsqrt => each::<T, I, lanes::Rsqrt>(out, a, cols),
        Unary::Exp => each::<T, I, lanes::Exp>(out, a, cols),
        Unary::Exp2 => each::<T, I, lanes::Exp2>(out, a, cols),
        Unary::Log => each::<T, I, lanes::Log>(out, a, cols),
        Unary::XLogX => each::<T, I, lanes::XLogX>(out, a, cols),
    }
}

#[inline(always)]
fn binary<T: Float, I: Isa>(op: Binary, out: &mut [T], a: Arg<T>, b: Arg<T>, cols: usize) {
    match op {
        Binary::Add => each2::<T, I, lanes::Add>(out, a, b, cols),
        Binary::Sub => each2::<T, I, lanes::Sub>(out, a, b, cols),
        Binary::Mul => each2::<T, I, lanes::Mul>(out, a, b, cols),
        Binary::Div => each2::<T, I, lanes::Div>(out, a, b, cols),
        Binary::Min => each2::<T, I, lanes::Min>(out, a, b, cols),
        Binary::Max => each2::<T, I, lanes::Max>(out, a, b, cols),
        Binary::Eq => each2::<T, I, lanes::Eq>(out, a, b, cols),
        Binary::Ne => each2::<T, I, lanes::Ne>(out, a, b, cols),
        Binary::Lt => each2::<T, I, lanes::Lt>(out, a, b, cols),
        Binary::Le => each2::<T, I, lanes::Le>(out, a, b, cols),
        Binary::And => each2::<T, I, lanes::And>(out, a, b, cols),
        Binary::Or => each2::<T, I, lanes::Or>(out, a, b, cols),
        Binary::OneHot => each2::<T, I, lanes::OneHot>(out, a, b, cols),
        Binary::EqOrNan => each2::<T, I, lanes::EqOrNan>(out, a, b, cols),
        Binary::ScaledExp2 => each2::<T, I, lanes::ScaledExp2>(out, a, b, cols),
    }
}

#[inline(always)]
fn ternary<T: Float, I: Isa>(op: Ternary, out: &mut [T], args: [Arg<T>; 3], cols: usize) {
    match op {
        Ternary::MulAdd => each3::<T, I, lanes::MulAdd>(out, args, cols),
        Ternary::SquareAdd => each3::<T, I, lanes::SquareAdd>(out, args, cols),
        Ternary::Where => each3::<T, I, lanes::Where>(out, args, cols),
        Ternary::IfElse => each3::<T, I, lanes::IfElse>(out, args, cols),
        Ternary::Clamp => each3::<T, I, lanes::Clamp>(out, args, cols),
        Ternary::Mod => each3::<T, I, lanes::Mod>(out, args, cols),
    }
}

/// A function of all columns, in float64.
#[inline(always)]
fn drawn<T: Float, I: Isa>(curve: Curve, out: &mut [T], args: [Arg<T>; 2], cols: usize) {
    let mut held = [T::ZERO; LANES];
    for col in 0..cols {
        let [mut x, mut y] = [[0.0; LANES]; 2];
        for (wide, arg) in [&mut x, &mut y].into_iter().zip(args) {
            let lanes = arg.lanes(col, &mut held);
            for l in 0..LANES {
                wide[l] = lanes[l].to_f64();
            }
        }
        let mut found = x;
        I::curve(curve, &mut found, &y);
        if curve.most() < f64::INFINITY {
            far(curve, &x, &mut found);
        }
        let out = column(out, col);
        for l in 0..LANES {
            out[l] = T::from_f64(found[l]);
        }
    }
}

/// Leaves numbers that a function does not take to the operation's meaning.
fn far(curve: Curve, x: &Lanes, found: &mut Lanes) {
    for (found, x) in found.iter_mut().zip(x).filter(|(_, x)| x.abs() > curve.most()) {
        (curve.op().def().eval)(&[&[*x]], &[], std::slice::from_mut(found));
    }
}

/// An operation by its meaning in float64.
fn evaluate<T: Float>(eval: &Eval<T>, m: &mut Machine<'_, T>) {
    let mut args: Vec<Vec<f64>> = eval.args.iter().map(|arg| vec![0.0; arg.len()]).collect();
    let mut out = vec![0.0; eval.outs.len()];
    let body = eval.op.def().eval;
    for at in 0..m.cols * LANES {
        let (col, lane) = (at / LANES, at % LANES);
        if lane >= m.active {
            continue;
        }
        let others = Others { before: m.registers, after: &[], stride: m.stride };
        for (numbers, operands) in args.iter_mut().zip(&eval.args) {
            for (number, operand) in numbers.iter_mut().zip(operands) {
                *number = match others.arg(&m.packs, operand) {
                    Arg::Lanes(data, step) => data[col * step + lane].to_f64(),
                    Arg::Number(data, step) => data[col * step].to_f64(),
                };
            }
        }
        let slices: Vec<&[f64]> = args.iter().map(Vec::as_slice).collect();
        out.fill(0.0);
        body(&slices, &eval.params, &mut out);
        for (&reg, &x) in eval.outs.iter().zip(&out) {
            // The scale of a subnormal number would not be finite in float32.
            let x = if eval.op == Op::BinaryScale { x.min(T::MOST_SCALE) } else { x };
            m.registers[reg as usize * m.stride + at] = T::from_f64(x);
        }
    }
}

/// The nearest real of an integer.
fn join<T: Float>(out: u32, limbs: &[Operand<T>; 3], m: &mut Machine<'_, T>) {
    let (out, others) = split(m.registers, out, m.stride);
    let limbs = limbs.each_ref().map(|limb| others.arg(&m.packs, limb));
    for col in 0..m.cols {
        let mut spread = [[T::ZERO; LANES]; 3];
        let [a, b, c] = &mut spread;
        let all = [limbs[0].lanes(col, a), limbs[1].lanes(col, b), limbs[2].lanes(col, c)];
        for (l, out) in column(out, col).iter_mut().enumerate() {
            let limbs = all.map(|limb| limb[l].to_f64());
            *out = T::from_f64(ints::nearest(limbs, !T::IS_DOUBLE));
        }
    }
}

/// What goes through the door.
fn pass<T: Float>(instr: &Instr<T>, m: &mut Machine<'_, T>) {
    let Some(door) = &mut m.door else { return };
    let stride = m.stride;
    let mut whole = [0_i64; LANES];
    let mut spread = [T::ZERO; LANES];
    let others = Others { before: m.registers, after: &[], stride };
    match instr {
        Instr::Store(word, from) => {
            door.store(*word, others.arg(&m.packs, from).lanes(0, &mut spread));
        }
        Instr::Write(value, col, from) => {
            door.write(*value, *col, others.arg(&m.packs, from).lanes(0, &mut spread));
        }
        Instr::WriteLimbs(value, col, limbs) => {
            let mut all = vec![[0.0; LANES]; limbs.len()];
            for (all, limb) in all.iter_mut().zip(limbs) {
                let lanes = others.arg(&m.packs, limb).lanes(0, &mut spread);
                *all = lanes.map(T::to_f64);
            }
            for (l, whole) in whole.iter_mut().enumerate() {
                let limbs: Vec<f64> = all.iter().map(|limb| limb[l]).collect();
                *whole = ints::join(&limbs);
            }
            door.write_integers(*value, *col, &whole);
        }
        Instr::Read(out, value, col) => {
            door.read(*value, *col, chunk_mut(m.registers, *out as usize * stride));
        }
        Instr::Result(out, acc, field, component) => {
            let out = chunk_mut(m.registers, *out as usize * stride);
            door.result(*acc, *field, *component, out);
        }
        Instr::ReadLimbs(outs, value, col) => {
            door.read_integers(*value, *col, &mut whole);
            cut(outs, &whole, m);
        }
        Instr::Pos(outs) => {
            let first = door.first() as i64;
            whole.iter_mut().zip(first..).for_each(|(whole, row)| *whole = row);
            cut(outs, &whole, m);
        }
        Instr::ResultLimbs(outs, acc, component) => {
            door.result_index(*acc, *component, &mut whole);
            cut(outs, &whole, m);
        }
        Instr::Unary(..)
        | Instr::Binary(..)
        | Instr::Ternary(..)
        | Instr::Curve(..)
        | Instr::Chain(..)
        | Instr::Eval(_)
        | Instr::Join(..)
        | Instr::Fold(_) => {}
    }
}

/// Integers into registers, limb by limb.
fn cut<T: Float>(outs: &[u32], whole: &[i64; LANES], m: &mut Machine<'_, T>) {
    for (l, &whole) in whole.iter().enumerate() {
        let limbs = ints::cut(whole, outs.len());
        for (&out, limb) in outs.iter().zip(limbs) {
            m.registers[out as usize * m.stride + l] = T::from_f64(limb);
        }
    }
}
