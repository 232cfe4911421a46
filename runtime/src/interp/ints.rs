//! Exact integers in programs: limbs of 23 bits, lowest first, in numbers of the dtype, as in
//! emitted code (`templates/include/tf_int.h` says why that is exact). Goes in: an operation on
//! integers. Comes out: instructions on their limbs.

use tilefold_compiler::ir::{ExprId, Kind, Node, ints};
use tilefold_compiler::ops::Op;

use super::lower::Lower;
use super::math::Float;
use super::program::{Binary, Instr, Operand, Ternary, Unary};

/// Bits of a limb.
const BITS: u32 = 23;

/// 2^23
const LIMB: f64 = (1_i64 << BITS) as f64;

/// An integer of 64 bits as two or three limbs; the top one has the sign.
pub(super) fn cut(value: i64, limbs: usize) -> [f64; 3] {
    let low = |value: i64| (value & ((1 << BITS) - 1)) as f64;
    match limbs {
        2 => [low(value), (value >> BITS) as f64, 0.0],
        _ => [low(value), low(value >> BITS), (value >> (2 * BITS)) as f64],
    }
}

/// The integer of some limbs, modulo 2^64.
pub(super) fn join(limbs: &[f64]) -> i64 {
    let shifted = |(n, &limb): (usize, &f64)| (limb as i64).wrapping_shl(BITS * n as u32);
    limbs.iter().enumerate().map(shifted).fold(0, i64::wrapping_add)
}

/// The double nearest to an integer of three limbs; rounded to odd where it is rounded again to
/// float32 (Boldo and Melquiond, Emulation of FMA and correctly rounded sums, 2008).
pub(super) fn nearest([low, middle, top]: [f64; 3], to_odd: bool) -> f64 {
    let low = middle * LIMB + low;
    let high = top * (LIMB * LIMB);
    let sum = high + low;
    // Exact: high is 0, or at least as large as low.
    let rest = low - (sum - high);
    if !to_odd || rest == 0.0 || sum.to_bits() & 1 == 1 {
        return sum;
    }
    let away = (rest > 0.0) == (sum > 0.0);
    f64::from_bits(if away { sum.to_bits() + 1 } else { sum.to_bits() - 1 })
}

impl<T: Float> Lower<'_, T> {
    /// The limbs of a component of an integer, as many as its bits need.
    pub fn integer(&mut self, id: ExprId, k: usize) -> Vec<Operand<T>> {
        let f = &self.plan.formula;
        let k = if f.dim(id) == 1 { 0 } else { k };
        if let Some(found) = self.limbs.get(&(id, k)) {
            return found.clone();
        }
        let count = ints::limbs(f, id);
        let value = match (self.moved(id, k), f.node(id)) {
            (Some((arg, component)), _) => {
                let limbs = self.whole(arg, component);
                self.widened(limbs, count)
            }
            (None, Node::Op(op, args, _)) if !self.is_leaf(id) => {
                let args: Vec<_> = args
                    .iter()
                    .map(|&arg| {
                        let limbs = self.whole(arg, k);
                        self.widened(limbs, count)
                    })
                    .collect();
                self.total(*op, &args, count)
            }
            _ => self.integer_leaf(id, k, count),
        };
        self.limbs.insert((id, k), value.clone());
        value
    }

    /// The limbs of an integer or of a literal one.
    fn whole(&mut self, id: ExprId, k: usize) -> Vec<Operand<T>> {
        let f = &self.plan.formula;
        match (f.kind(id), ints::literal(f, id)) {
            (Kind::Real, Some(value)) => {
                let count = if value.unsigned_abs() < 1 << 45 { 2 } else { 3 };
                let limbs = cut(value, count);
                limbs[..count].iter().map(|&limb| Operand::Number(T::from_f64(limb))).collect()
            }
            _ => self.integer(id, k),
        }
    }

    fn integer_leaf(&mut self, id: ExprId, k: usize, count: usize) -> Vec<Operand<T>> {
        let f = &self.plan.formula;
        if let Some((word, base)) = self.handed(id) {
            return (0..count).map(|n| word((base + n * f.dim(id) + k) as u32)).collect();
        }
        let outs: Vec<u32> = (0..count).map(|_| self.fresh()).collect();
        let limbs = outs.iter().map(|&out| Operand::Reg(out)).collect();
        let instr = match (f.node(id), self.known(id)) {
            (Node::Input(n), _) => Instr::ReadLimbs(outs, *n as usize, k),
            (Node::Pos(_), _) => Instr::Pos(outs),
            (_, Some(value)) => Instr::ReadLimbs(outs, value, k),
            (_, None) => Instr::ResultLimbs(outs, self.places.result(f, id).0, k),
        };
        self.push(instr);
        limbs
    }

    /// The same integer with at least so many limbs.
    fn widened(&mut self, limbs: Vec<Operand<T>>, count: usize) -> Vec<Operand<T>> {
        if limbs.len() >= count {
            return limbs;
        }
        let mut middle = limbs[1];
        let top = self.carry(&mut middle);
        vec![limbs[0], middle, top]
    }

    /// Brings a limb back to [0, 2^23); what it held above is the result.
    fn carry(&mut self, limb: &mut Operand<T>) -> Operand<T> {
        let scaled = self.binary(Binary::Mul, *limb, Operand::Number(T::from_f64(1.0 / LIMB)));
        let above = self.unary(Unary::Floor, scaled);
        let less = Operand::Number(T::from_f64(-LIMB));
        *limb = self.ternary(Ternary::MulAdd, [above, less, *limb]);
        above
    }

    /// A sum, a difference or a negation, with carries.
    fn total(&mut self, op: Op, args: &[Vec<Operand<T>>], count: usize) -> Vec<Operand<T>> {
        let limb = |lower: &mut Self, n: usize| match (op, args) {
            (Op::Add, [a, b]) => lower.binary(Binary::Add, a[n], b[n]),
            (Op::Sub, [a, b]) => lower.binary(Binary::Sub, a[n], b[n]),
            _ => lower.binary(Binary::Sub, Operand::Number(T::ZERO), args[0][n]),
        };
        let mut limbs: Vec<Operand<T>> = (0..count).map(|n| limb(self, n)).collect();
        for n in 0..count - 1 {
            let above = self.carry(&mut limbs[n]);
            limbs[n + 1] = self.binary(Binary::Add, limbs[n + 1], above);
        }
        limbs
    }

    /// A real from integers: a comparison, or the nearest real.
    pub fn of_integers(&mut self, op: Op, args: &[ExprId], k: usize) -> Operand<T> {
        let mut limbs: Vec<Vec<Operand<T>>> = args.iter().map(|&arg| self.whole(arg, k)).collect();
        let compare = match op {
            Op::Eq => Binary::Eq,
            Op::Ne => Binary::Ne,
            Op::Lt => Binary::Lt,
            Op::Le => Binary::Le,
            _ => return self.near_real(&limbs[0]),
        };
        let count = limbs.iter().map(Vec::len).max().unwrap_or(2);
        for all in &mut limbs {
            *all = self.widened(std::mem::take(all), count);
        }
        let gap = self.gap(&limbs[0], &limbs[1]);
        self.binary(compare, gap, Operand::Number(T::ZERO))
    }

    /// A real with the sign of a - b, 0 where they are equal.
    fn gap(&mut self, a: &[Operand<T>], b: &[Operand<T>]) -> Operand<T> {
        let [low, middle] = [0, 1].map(|n| self.binary(Binary::Sub, a[n], b[n]));
        let limb = Operand::Number(T::from_f64(LIMB));
        let rest = self.ternary(Ternary::MulAdd, [middle, limb, low]);
        if a.len() == 2 {
            return rest;
        }
        let top = self.binary(Binary::Sub, a[2], b[2]);
        self.ternary(Ternary::Where, [top, top, rest])
    }

    fn near_real(&mut self, limbs: &[Operand<T>]) -> Operand<T> {
        match *limbs {
            [low, middle, top] => {
                let out = self.fresh();
                self.push(Instr::Join(out, [low, middle, top]));
                Operand::Reg(out)
            }
            _ => {
                let limb = Operand::Number(T::from_f64(LIMB));
                self.ternary(Ternary::MulAdd, [limbs[1], limb, limbs[0]])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limbs_hold_every_integer() {
        let some = [0, 1, -1, 1 << 22, -(1 << 23), (1 << 44) + 5, -(1 << 44) - 7];
        for value in some {
            assert_eq!(join(&cut(value, 2)[..2]), value);
        }
        for value in some.into_iter().chain([i64::MAX, i64::MIN, i64::MAX - 1, 3 << 60]) {
            let limbs = cut(value, 3);
            assert_eq!(join(&limbs), value);
            assert!(limbs[..2].iter().all(|limb| (0.0..LIMB).contains(limb)));
            assert_eq!(nearest(limbs, false), value as f64);
            assert_eq!(nearest(limbs, true) as f32, value as f32);
        }
    }
}
