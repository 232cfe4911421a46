//! Programs: what one place of a stage computes, as a list of instructions over registers. Goes
//! in: instructions whose results are all different registers. Comes out: the same with as few
//! registers as lifetimes allow. It never computes.
//!
//! A register is a *tile*: [`LANES`] rows times some columns, one number for each pair. One
//! instruction works on a whole tile, so that its dispatch is paid once for hundreds of numbers.

use tilefold_compiler::ops::Op;

use super::curves::Curve;

/// Rows of a tile, and of a block.
pub(super) const LANES: usize = 64;

/// What an instruction reads: a number for each pair, row, column or launch, or a literal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operand<T> {
    /// A register.
    Reg(u32),
    /// Word of the packed rows.
    Row(u32),
    /// Word of a packed column.
    Col(u32),
    /// Word of the launch parameters.
    Param(u32),
    /// A literal.
    Number(T),
}

impl<T> Operand<T> {
    /// Whether all rows of a column have the same number.
    pub fn is_number(&self) -> bool {
        matches!(self, Operand::Col(_) | Operand::Param(_) | Operand::Number(_))
    }

    /// Whether it needs no register.
    pub fn is_packed(&self) -> bool {
        !matches!(self, Operand::Reg(_))
    }
}

/// Functions of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Copy,
    Neg,
    Inv,
    Square,
    Abs,
    Sign,
    Step,
    Relu,
    Floor,
    Trunc,
    Ceil,
    Sqrt,
    Rsqrt,
    Exp,
    Exp2,
    Log,
    XLogX,
}

/// Functions of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    Eq,
    Ne,
    Lt,
    Le,
    And,
    Or,
    /// Whether the second is the integer nearest to the first.
    OneHot,
    /// Whether they are equal or the first is NaN.
    EqOrNan,
    /// `exp2(a * b)`.
    ScaledExp2,
}

/// Functions of three numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ternary {
    /// `a * b + c`.
    MulAdd,
    /// `(a + b)^2 + c`.
    SquareAdd,
    /// b where a is not 0, else c.
    Where,
    /// b where a is at least 0, else c.
    IfElse,
    Clamp,
    /// `a - b floor((a - c) / b)`.
    Mod,
}

/// How a [`Instr::Chain`] makes its terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Term {
    /// `a * b`.
    Product,
    /// `(a + b)^2`.
    Square,
    /// `|a + b|`.
    Gap,
}

/// A part of a [`Instr::Chain`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Link<T> {
    /// Terms of a row and a column each.
    Run(Run),
    /// A term of any packed operands.
    Any([Operand<T>; 2]),
}

/// Terms of a word of rows and one of columns, whose words lie evenly apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub row: usize,
    pub col: usize,
    /// Words from one row to the next, and from one column to the next.
    pub steps: [usize; 2],
    pub terms: usize,
}

/// Sums of products with the same register.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wide {
    pub acc: usize,
    /// The first component.
    pub part: usize,
    pub outputs: usize,
    pub x: u32,
    /// Word of columns for the first component; those of others follow.
    pub col: usize,
    /// Word of rows that is added to it.
    pub row: Option<usize>,
}

/// An operation without an instruction of its own: its meaning in float64, pair by pair.
#[derive(Clone, Debug)]
pub(super) struct Eval<T> {
    pub op: Op,
    pub params: Vec<i64>,
    /// The components of each argument.
    pub args: Vec<Vec<Operand<T>>>,
    pub outs: Vec<u32>,
}

/// One step. Those after `Eval` have to do with arrays and are never part of pairs.
#[derive(Clone, Debug)]
pub(super) enum Instr<T> {
    Unary(Unary, u32, Operand<T>),
    Binary(Binary, u32, [Operand<T>; 2]),
    Ternary(Ternary, u32, [Operand<T>; 3]),
    /// A function of one number, or of two.
    Curve(Curve, u32, [Operand<T>; 2]),
    /// The sum of terms over packed operands, without registers in between.
    Chain(Term, u32, Vec<Link<T>>),
    Eval(Box<Eval<T>>),
    /// The nearest real of an integer of three limbs, rounded once.
    Join(u32, [Operand<T>; 3]),
    Fold(Fold<T>),
    /// Reals of an array: value, column.
    Read(u32, usize, usize),
    /// Integers of an array, cut into limbs: value, column.
    ReadLimbs(Vec<u32>, usize, usize),
    /// Row numbers, cut into limbs.
    Pos(Vec<u32>),
    /// A finished reduction: accumulator, field, component.
    Result(u32, usize, u32, usize),
    /// The same for row numbers and counts.
    ResultLimbs(Vec<u32>, usize, usize),
    /// Packs a word.
    Store(usize, Operand<T>),
    /// Writes reals to an array: value, column.
    Write(usize, usize, Operand<T>),
    /// Writes integers to an array: value, column.
    WriteLimbs(usize, usize, Vec<Operand<T>>),
}

/// A step of a reduction: what a tile adds to the accumulator of that number.
#[derive(Clone, Debug)]
pub(super) enum Fold<T> {
    /// Adds numbers, or products of two, to the sum of a component.
    Sum {
        acc: usize,
        part: usize,
        x: Operand<T>,
        by: Option<Operand<T>>,
    },
    /// Adds to components that follow each other, to each the same numbers times its word.
    Wide(Wide),
    /// Counts the rows that take part in a mean.
    Rows {
        acc: usize,
        mask: Option<Operand<T>>,
    },
    /// All components of a variance.
    Var {
        acc: usize,
        xs: Vec<Operand<T>>,
        mask: Option<Operand<T>>,
    },
    Prod {
        acc: usize,
        part: usize,
        x: Operand<T>,
    },
    Extremum {
        acc: usize,
        part: usize,
        x: Operand<T>,
    },
    ArgExtremum {
        acc: usize,
        part: usize,
        x: Operand<T>,
        mask: Option<Operand<T>>,
    },
    KExtrema {
        acc: usize,
        part: usize,
        x: Operand<T>,
        mask: Option<Operand<T>>,
    },
    Count {
        acc: usize,
        part: usize,
        x: Operand<T>,
        mask: Option<Operand<T>>,
    },
    /// Raises the shift to the scores and gives the terms; their sum is folded too.
    Exps {
        acc: usize,
        out: u32,
        score: Operand<T>,
    },
}

impl<T: Copy> Instr<T> {
    /// Calls `f` with every operand that may be a register.
    fn operands(&mut self, f: &mut dyn FnMut(&mut Operand<T>)) {
        match self {
            Instr::Fold(Fold::Wide(wide)) => {
                let mut x = Operand::Reg(wide.x);
                f(&mut x);
                if let Operand::Reg(home) = x {
                    wide.x = home;
                }
            }
            Instr::Unary(_, _, a) | Instr::Store(_, a) | Instr::Write(_, _, a) => f(a),
            Instr::Binary(_, _, args) | Instr::Curve(_, _, args) => args.iter_mut().for_each(f),
            Instr::Ternary(_, _, args) | Instr::Join(_, args) => args.iter_mut().for_each(f),
            Instr::Eval(eval) => eval.args.iter_mut().flatten().for_each(f),
            Instr::WriteLimbs(_, _, limbs) => limbs.iter_mut().for_each(f),
            Instr::Fold(fold) => fold.operands(f),
            Instr::Chain(..)
            | Instr::Read(..)
            | Instr::ReadLimbs(..)
            | Instr::Pos(_)
            | Instr::Result(..)
            | Instr::ResultLimbs(..) => {}
        }
    }

    /// The registers that it writes.
    fn outs(&mut self) -> &mut [u32] {
        match self {
            Instr::Unary(_, out, _)
            | Instr::Binary(_, out, _)
            | Instr::Ternary(_, out, _)
            | Instr::Curve(_, out, _)
            | Instr::Chain(_, out, _)
            | Instr::Join(out, _)
            | Instr::Read(out, ..)
            | Instr::Result(out, ..)
            | Instr::Fold(Fold::Exps { out, .. }) => std::slice::from_mut(out),
            Instr::Eval(eval) => &mut eval.outs,
            Instr::ReadLimbs(outs, ..) | Instr::Pos(outs) | Instr::ResultLimbs(outs, ..) => outs,
            Instr::Fold(_) | Instr::Store(..) | Instr::Write(..) | Instr::WriteLimbs(..) => &mut [],
        }
    }

    /// Whether it is there for more than its registers.
    fn acts(&self) -> bool {
        matches!(self, Instr::Fold(_) | Instr::Store(..) | Instr::Write(..) | Instr::WriteLimbs(..))
    }
}

impl<T: Copy> Fold<T> {
    fn operands(&mut self, f: &mut dyn FnMut(&mut Operand<T>)) {
        match self {
            Fold::Sum { x, by, .. } => {
                f(x);
                by.iter_mut().for_each(f);
            }
            // Its register is the instruction's to name.
            Fold::Wide(_) => {}
            Fold::Rows { mask, .. } => mask.iter_mut().for_each(f),
            Fold::Var { xs, mask, .. } => xs.iter_mut().chain(mask).for_each(f),
            Fold::Prod { x, .. } | Fold::Extremum { x, .. } | Fold::Exps { score: x, .. } => f(x),
            Fold::ArgExtremum { x, mask, .. }
            | Fold::KExtrema { x, mask, .. }
            | Fold::Count { x, mask, .. } => {
                f(x);
                mask.iter_mut().for_each(f);
            }
        }
    }
}

/// Instructions, and how many registers they use.
#[derive(Clone, Debug)]
pub(super) struct Code<T> {
    pub instrs: Vec<Instr<T>>,
    pub registers: usize,
}

impl<T: Copy> Code<T> {
    /// Drops what nobody reads and lets registers be used again. `registers` are all different.
    pub fn new(mut instrs: Vec<Instr<T>>, registers: u32) -> Code<T> {
        let last = last_uses(&mut instrs, registers);
        let mut homes = vec![u32::MAX; registers as usize];
        let (mut free, mut used) = (Vec::new(), 0);
        for (at, instr) in instrs.iter_mut().enumerate() {
            let mut ended = Vec::new();
            for out in instr.outs() {
                let home = free.pop().unwrap_or_else(|| {
                    used += 1;
                    used - 1
                });
                homes[*out as usize] = home;
                if last[*out as usize].is_none() {
                    ended.push(home);
                }
                *out = home;
            }
            // What ends here is free for the next instruction, never for this one's own results.
            instr.operands(&mut |operand| {
                if let Operand::Reg(reg) = operand {
                    let home = homes[*reg as usize];
                    if last[*reg as usize] == Some(at) && !ended.contains(&home) {
                        ended.push(home);
                    }
                    *reg = home;
                }
            });
            free.extend(ended);
        }
        Code { instrs, registers: used as usize }
    }
}

/// The instruction that reads each register last; removes those whose results nobody reads.
fn last_uses<T: Copy>(instrs: &mut Vec<Instr<T>>, registers: u32) -> Vec<Option<usize>> {
    let mut read = vec![false; registers as usize];
    let mut kept: Vec<bool> = Vec::with_capacity(instrs.len());
    for instr in instrs.iter_mut().rev() {
        let keep = instr.acts() || instr.outs().iter().any(|&out| read[out as usize]);
        if keep {
            instr.operands(&mut |operand| {
                if let Operand::Reg(reg) = operand {
                    read[*reg as usize] = true;
                }
            });
        }
        kept.push(keep);
    }
    let mut kept = kept.into_iter().rev();
    instrs.retain(|_| kept.next().unwrap_or(true));
    let mut last = vec![None; registers as usize];
    for (at, instr) in instrs.iter_mut().enumerate() {
        instr.operands(&mut |operand| {
            if let Operand::Reg(reg) = operand {
                last[*reg as usize] = Some(at);
            }
        });
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_used_again_but_never_for_a_result_and_its_arguments() {
        let reg = Operand::<f32>::Reg;
        let mut instrs = vec![Instr::Unary(Unary::Neg, 0, Operand::Row(0))];
        for n in 1..50 {
            instrs.push(Instr::Binary(Binary::Add, n, [reg(n - 1), reg(n - 1)]));
        }
        instrs.push(Instr::Unary(Unary::Exp, 50, reg(3)));
        instrs.push(Instr::Store(0, reg(49)));
        let code = Code::new(instrs, 51);
        assert_eq!((code.instrs.len(), code.registers), (51, 2), "the unread result is gone");
        for instr in &code.instrs {
            if let Instr::Binary(_, out, args) = instr {
                assert!(!args.contains(&reg(*out)));
            }
        }
    }
}
