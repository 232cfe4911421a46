//! Instructions at work. Goes in: a program, packed operands and registers. Comes out: registers,
//! states of reductions, and whatever the instructions write. It never allocates but for
//! operations that have no instruction.
//!
//! Everything is inlined into [`run`], so that `levels` compiles it once for each instruction
//! level. Inner loops have [`GROUP`] steps, which become a few vector instructions.

use tilefold_compiler::ops::Op;

use super::folds::{Folding, Tile};
use super::ints;
use super::math::Float;
use super::program::{Binary, Code, Eval, Fold, Instr, LANES, Operand, Term, Ternary, Unary};

/// Lanes of an inner loop.
pub(super) const GROUP: usize = 16;

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
#[derive(Clone, Copy)]
pub(super) struct Packs<'a, T> {
    pub params: &'a [T],
    pub rows: &'a [T],
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
    #[inline(always)]
    pub fn arg(self, packs: &Packs<'a, T>, operand: &'a Operand<T>) -> Arg<'a, T> {
        match operand {
            Operand::Reg(reg) => {
                let at = *reg as usize * self.stride;
                let data = match at.checked_sub(self.before.len()) {
                    None => &self.before[at..],
                    Some(past) => &self.after[past - self.stride..],
                };
                Arg::Lanes(data, LANES)
            }
            Operand::Row(word) => Arg::Lanes(&packs.rows[*word as usize * LANES..], 0),
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
pub(super) fn run<T: Float, const FMA: bool>(code: &Code<T>, m: &mut Machine<'_, T>) {
    for instr in &code.instrs {
        match instr {
            Instr::Unary(op, out, a) => {
                let (out, others) = split(m.registers, *out, m.stride);
                unary::<T, FMA>(*op, out, others.arg(&m.packs, a), m.cols);
            }
            Instr::Binary(op, out, [a, b]) => {
                let (out, others) = split(m.registers, *out, m.stride);
                let (a, b) = (others.arg(&m.packs, a), others.arg(&m.packs, b));
                binary::<T, FMA>(*op, out, a, b, m.cols);
            }
            Instr::Ternary(op, out, args) => {
                let (out, others) = split(m.registers, *out, m.stride);
                let args = args.each_ref().map(|arg| others.arg(&m.packs, arg));
                ternary::<T, FMA>(*op, out, args, m.cols);
            }
            Instr::Chain(term, out, terms) => {
                let (out, _) = split(m.registers, *out, m.stride);
                match term {
                    Term::Product => {
                        chain(out, terms, &m.packs, m.cols, |a, b, sum| a.mul_add::<FMA>(b, sum))
                    }
                    Term::Square => chain(out, terms, &m.packs, m.cols, |a, b, sum| {
                        let total = a + b;
                        total.mul_add::<FMA>(total, sum)
                    }),
                }
            }
            Instr::Fold(Fold::Exps { acc, out, score }) => {
                if let Some(folding) = &mut m.folding {
                    let (out, others) = split(m.registers, *out, m.stride);
                    let score = others.arg(&m.packs, score);
                    folding.exps::<FMA>(*acc, score, out, m.cols);
                }
            }
            Instr::Fold(fold) => {
                if let Some(folding) = &mut m.folding {
                    let others = Others { before: m.registers, after: &[], stride: m.stride };
                    folding.fold::<FMA>(fold, Tile { others, packs: m.packs, cols: m.cols });
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

/// The lanes of one column of a register.
#[inline(always)]
fn column<T: Float>(out: &mut [T], col: usize) -> &mut [T; LANES] {
    chunk_mut(out, col * LANES)
}

#[inline(always)]
fn put<T: Float>(out: &mut [T; LANES], f: impl Fn(usize) -> T) {
    for at in (0..LANES).step_by(GROUP) {
        let mut group = [T::ZERO; GROUP];
        for (l, x) in group.iter_mut().enumerate() {
            *x = f(at + l);
        }
        *chunk_mut(out, at) = group;
    }
}

#[inline(always)]
fn each<T: Float>(out: &mut [T], a: Arg<T>, cols: usize, f: impl Fn(T) -> T) {
    match a {
        Arg::Lanes(a, step) => {
            for c in 0..cols {
                let x: &[T; LANES] = chunk(a, c * step);
                put(column(out, c), |l| f(x[l]));
            }
        }
        Arg::Number(a, step) => {
            for c in 0..cols {
                column(out, c).fill(f(a[c * step]));
            }
        }
    }
}

#[inline(always)]
fn each2<T: Float>(out: &mut [T], a: Arg<T>, b: Arg<T>, cols: usize, f: impl Fn(T, T) -> T) {
    match (a, b) {
        (Arg::Lanes(a, of_a), Arg::Lanes(b, of_b)) => {
            for c in 0..cols {
                let (x, y): (&[T; LANES], &[T; LANES]) = (chunk(a, c * of_a), chunk(b, c * of_b));
                put(column(out, c), |l| f(x[l], y[l]));
            }
        }
        (Arg::Lanes(a, of_a), Arg::Number(b, of_b)) => {
            for c in 0..cols {
                let (x, y): (&[T; LANES], T) = (chunk(a, c * of_a), b[c * of_b]);
                put(column(out, c), |l| f(x[l], y));
            }
        }
        (Arg::Number(a, of_a), Arg::Lanes(b, of_b)) => {
            for c in 0..cols {
                let (x, y): (T, &[T; LANES]) = (a[c * of_a], chunk(b, c * of_b));
                put(column(out, c), |l| f(x, y[l]));
            }
        }
        (Arg::Number(a, of_a), Arg::Number(b, of_b)) => {
            for c in 0..cols {
                column(out, c).fill(f(a[c * of_a], b[c * of_b]));
            }
        }
    }
}

#[inline(always)]
fn each3<T: Float>(out: &mut [T], [a, b, c]: [Arg<T>; 3], cols: usize, f: impl Fn(T, T, T) -> T) {
    let [mut x, mut y, mut z] = [[T::ZERO; LANES]; 3];
    for col in 0..cols {
        let (x, y) = (a.lanes(col, &mut x), b.lanes(col, &mut y));
        let z = c.lanes(col, &mut z);
        put(column(out, col), |l| f(x[l], y[l], z[l]));
    }
}

#[inline(always)]
fn unary<T: Float, const FMA: bool>(op: Unary, out: &mut [T], a: Arg<T>, cols: usize) {
    match op {
        Unary::Copy => each(out, a, cols, |x| x),
        Unary::Neg => each(out, a, cols, |x| -x),
        Unary::Inv => each(out, a, cols, |x| T::ONE / x),
        Unary::Square => each(out, a, cols, |x| x * x),
        Unary::Abs => each(out, a, cols, T::abs),
        Unary::Sign => each(out, a, cols, |x| {
            let sign = if x < T::ZERO { -T::ONE } else { x * T::ZERO };
            if x > T::ZERO { T::ONE } else { sign }
        }),
        Unary::Step => each(out, a, cols, |x| {
            let step = if x >= T::ZERO { T::ONE } else { x };
            if x < T::ZERO { T::ZERO } else { step }
        }),
        Unary::Relu => each(out, a, cols, |x| if x < T::ZERO { T::ZERO } else { x }),
        Unary::Floor => each(out, a, cols, T::floor),
        Unary::Trunc => each(out, a, cols, T::trunc),
        Unary::Ceil => each(out, a, cols, T::ceil),
        Unary::Sqrt => each(out, a, cols, T::sqrt),
        Unary::Rsqrt => {
            each(out, a, cols, |x| if x == T::ZERO { T::ZERO } else { T::ONE / x.sqrt() })
        }
        Unary::Exp => each(out, a, cols, T::exp::<FMA>),
        Unary::Exp2 => each(out, a, cols, T::exp2::<FMA>),
        Unary::Log => each(out, a, cols, T::log::<FMA>),
        Unary::XLogX => {
            each(out, a, cols, |x| if x == T::ZERO { T::ZERO } else { x * x.log::<FMA>() })
        }
    }
}

#[inline(always)]
fn binary<T: Float, const FMA: bool>(op: Binary, out: &mut [T], a: Arg<T>, b: Arg<T>, cols: usize) {
    match op {
        Binary::Add => each2(out, a, b, cols, |x, y| x + y),
        Binary::Sub => each2(out, a, b, cols, |x, y| x - y),
        Binary::Mul => each2(out, a, b, cols, |x, y| x * y),
        Binary::Div => each2(out, a, b, cols, |x, y| x / y),
        Binary::Min => each2(out, a, b, cols, |x, y| {
            let less = if x < y { x } else { y };
            if x.is_nan() { x } else { less }
        }),
        Binary::Max => each2(out, a, b, cols, |x, y| {
            let more = if x > y { x } else { y };
            if x.is_nan() { x } else { more }
        }),
        Binary::Eq => each2(out, a, b, cols, |x, y| T::truth(x == y)),
        Binary::Ne => each2(out, a, b, cols, |x, y| T::truth(x != y)),
        Binary::Lt => each2(out, a, b, cols, |x, y| T::truth(x < y)),
        Binary::Le => each2(out, a, b, cols, |x, y| T::truth(x <= y)),
        Binary::And => each2(out, a, b, cols, |x, y| T::truth((x != T::ZERO) & (y != T::ZERO))),
        Binary::Or => each2(out, a, b, cols, |x, y| T::truth((x != T::ZERO) | (y != T::ZERO))),
        Binary::OneHot => {
            let half = T::from_f64(0.5);
            each2(out, a, b, cols, |x, k| T::truth(k == (x + half).trunc()));
        }
        Binary::EqOrNan => each2(out, a, b, cols, |x, y| T::truth((x == y) | x.is_nan())),
        Binary::ScaledExp2 => each2(out, a, b, cols, |x, y| (x * y).exp2::<FMA>()),
    }
}

#[inline(always)]
fn ternary<T: Float, const FMA: bool>(op: Ternary, out: &mut [T], args: [Arg<T>; 3], cols: usize) {
    match op {
        Ternary::MulAdd => each3(out, args, cols, |x, y, z| x.mul_add::<FMA>(y, z)),
        Ternary::SquareAdd => each3(out, args, cols, |x, y, z| {
            let total = x + y;
            total.mul_add::<FMA>(total, z)
        }),
        Ternary::Where => each3(out, args, cols, |c, x, y| if c != T::ZERO { x } else { y }),
        Ternary::IfElse => each3(out, args, cols, |c, x, y| if c >= T::ZERO { x } else { y }),
        Ternary::Clamp => each3(out, args, cols, |x, low, high| {
            let most = if x > high { high } else { x };
            if x < low { low } else { most }
        }),
        Ternary::Mod => each3(out, args, cols, |x, m, d| x - m * ((x - d) / m).floor()),
    }
}

/// A sum of terms over packed operands. Terms of a row and a column, the usual ones, are taken
/// four at a time.
#[inline(always)]
fn chain<T: Float>(
    out: &mut [T],
    terms: &[[Operand<T>; 2]],
    packs: &Packs<'_, T>,
    cols: usize,
    term: impl Fn(T, T, T) -> T + Copy,
) {
    for c in 0..cols {
        column(out, c).fill(T::ZERO);
    }
    let mut rest = terms;
    while !rest.is_empty() {
        let done = match rest {
            [a, b, c, d, ..] if links(&[a, b, c, d]) => link(out, [a, b, c, d], packs, cols, term),
            [a, b, c] if links(&[a, b, c]) => link(out, [a, b, c], packs, cols, term),
            [a, b, ..] if links(&[a, b]) => link(out, [a, b], packs, cols, term),
            [a, ..] if links(&[a]) => link(out, [a], packs, cols, term),
            [a, ..] => loose(out, a, packs, cols, term),
            [] => 1,
        };
        rest = &rest[done..];
    }
}

/// Whether all terms are of a row and a column.
#[inline(always)]
fn links<T>(terms: &[&[Operand<T>; 2]]) -> bool {
    terms.iter().all(|term| matches!(term, [Operand::Row(_), Operand::Col(_)]))
}

/// Adds N terms of rows and columns; gives N.
#[inline(always)]
fn link<T: Float, const N: usize>(
    out: &mut [T],
    terms: [&[Operand<T>; 2]; N],
    packs: &Packs<'_, T>,
    cols: usize,
    term: impl Fn(T, T, T) -> T,
) -> usize {
    let rows: [&[T; LANES]; N] = terms.map(|term| match term[0] {
        Operand::Row(word) => chunk(packs.rows, word as usize * LANES),
        _ => chunk(packs.rows, 0),
    });
    let words: [usize; N] = terms.map(|term| match term[1] {
        Operand::Col(word) => word as usize,
        _ => 0,
    });
    for c in 0..cols {
        let numbers = words.map(|word| packs.cols[c * packs.col_words + word]);
        let out = column(out, c);
        for at in (0..LANES).step_by(GROUP) {
            let mut sum: [T; GROUP] = *chunk(&*out, at);
            for n in 0..N {
                for (l, sum) in sum.iter_mut().enumerate() {
                    *sum = term(rows[n][at + l], numbers[n], *sum);
                }
            }
            *chunk_mut(out, at) = sum;
        }
    }
    N
}

/// Adds one term of any operands; gives 1.
#[inline(always)]
fn loose<T: Float>(
    out: &mut [T],
    [a, b]: &[Operand<T>; 2],
    packs: &Packs<'_, T>,
    cols: usize,
    term: impl Fn(T, T, T) -> T,
) -> usize {
    let none = Others { before: &[], after: &[], stride: 0 };
    let (a, b) = (none.arg(packs, a), none.arg(packs, b));
    for c in 0..cols {
        let (mut x, mut y) = ([T::ZERO; LANES], [T::ZERO; LANES]);
        let (x, y) = (a.lanes(c, &mut x), b.lanes(c, &mut y));
        let out = column(out, c);
        for l in 0..LANES {
            out[l] = term(x[l], y[l], out[l]);
        }
    }
    1
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
