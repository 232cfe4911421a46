//! Complex arithmetic as formulas over real and imaginary parts: what the rooms of
//! [`super::pairs`] expand into.
//!
//! In go the nodes of parts; out come nodes of parts, made of real operations only. Nothing here
//! knows of types, of shapes that do not fit, or of numbers.

use crate::ir::{ExprId, Formula, Node};

use super::Op;

/// Complex numbers by their parts, each a vector of reals.
#[derive(Clone, Copy)]
pub struct Cartesian {
    pub re: ExprId,
    pub im: ExprId,
}

impl Cartesian {
    /// Takes pairs apart. What was just put together is not looked through here: a derivative may
    /// be asked with respect to the pairs.
    pub fn of(f: &mut Formula, pairs: ExprId) -> Cartesian {
        let re = f.apply(Op::ComplexReal, &[pairs], &[]);
        Cartesian { re, im: f.apply(Op::ComplexImag, &[pairs], &[]) }
    }

    /// Puts pairs together.
    pub fn join(self, f: &mut Formula) -> ExprId {
        if let (Node::Op(Op::ComplexReal, re, _), Node::Op(Op::ComplexImag, im, _)) =
            (f.node(self.re), f.node(self.im))
            && re == im
        {
            return re[0];
        }
        f.apply(Op::Interleave, &[self.re, self.im], &[])
    }

    /// Applies an operation to both parts.
    pub fn each(self, f: &mut Formula, op: Op, params: &[i64]) -> Cartesian {
        Cartesian { re: f.apply(op, &[self.re], params), im: f.apply(op, &[self.im], params) }
    }

    pub fn zip(self, f: &mut Formula, op: Op, other: Cartesian) -> Cartesian {
        Cartesian {
            re: f.apply(op, &[self.re, other.re], &[]),
            im: f.apply(op, &[self.im, other.im], &[]),
        }
    }

    /// Multiplies both parts by a real.
    pub fn scaled(self, f: &mut Formula, factor: ExprId) -> Cartesian {
        Cartesian { re: f.mul(factor, self.re), im: f.mul(factor, self.im) }
    }

    /// Divides both parts by a real.
    pub fn over(self, f: &mut Formula, divisor: ExprId) -> Cartesian {
        Cartesian { re: f.div(self.re, divisor), im: f.div(self.im, divisor) }
    }

    pub fn conj(self, f: &mut Formula) -> Cartesian {
        Cartesian { im: f.neg(self.im), ..self }
    }

    pub fn times(self, f: &mut Formula, other: Cartesian) -> Cartesian {
        let (ac, bd) = (f.mul(self.re, other.re), f.mul(self.im, other.im));
        let (ad, bc) = (f.mul(self.re, other.im), f.mul(self.im, other.re));
        Cartesian { re: f.sub(ac, bd), im: f.add(ad, bc) }
    }

    /// `re^2 - im^2` as a product, which cancels less.
    pub fn squared(self, f: &mut Formula) -> Cartesian {
        let (sum, gap) = (f.add(self.re, self.im), f.sub(self.re, self.im));
        let product = f.mul(self.re, self.im);
        Cartesian { re: f.mul(gap, sum), im: f.add(product, product) }
    }

    fn scale(self, f: &mut Formula) -> ExprId {
        f.apply(Op::BinaryScale, &[self.re, self.im], &[])
    }

    pub fn square_abs(self, f: &mut Formula) -> ExprId {
        let (a, b) = (f.square(self.re), f.square(self.im));
        f.add(a, b)
    }

    pub fn abs(self, f: &mut Formula) -> ExprId {
        f.apply(Op::Hypot, &[self.re, self.im], &[])
    }

    /// Brought near 1 by a power of two: the parts, the power, and the squared absolute value.
    fn near_one(self, f: &mut Formula) -> (Cartesian, ExprId, ExprId) {
        let s = self.scale(f);
        let near = self.scaled(f, s);
        let square = near.square_abs(f);
        (near, s, square)
    }

    pub fn inverse(self, f: &mut Formula) -> Cartesian {
        let (near, s, square) = self.near_one(f);
        near.conj(f).over(f, square).scaled(f, s)
    }

    /// The reciprocal times a real.
    pub fn under(self, f: &mut Formula, dividend: ExprId) -> Cartesian {
        let (near, s, square) = self.near_one(f);
        near.conj(f).over(f, square).scaled(f, dividend).scaled(f, s)
    }

    pub fn divided(self, f: &mut Formula, other: Cartesian) -> Cartesian {
        let (near, s, square) = other.near_one(f);
        let t = self.scale(f);
        let conj = near.conj(f);
        self.scaled(f, t).times(f, conj).over(f, square).scaled(f, s).over(f, t)
    }

    pub fn power(self, f: &mut Formula, n: i64) -> Cartesian {
        let (mut result, mut square) = (None::<Cartesian>, self);
        let bits = n.unsigned_abs();
        for at in 0..u64::BITS - bits.leading_zeros() {
            if at > 0 {
                square = square.squared(f);
            }
            if bits >> at & 1 == 1 {
                result = Some(result.map_or(square, |r| r.times(f, square)));
            }
        }
        match result {
            Some(power) if n < 0 => power.inverse(f),
            Some(power) => power,
            None => {
                let n = f.dim(self.re) as i64;
                let (one, zero) = (f.constant(1.0), f.constant(0.0));
                let ones = Cartesian { re: one, im: zero };
                ones.each(f, Op::SumT, &[n])
            }
        }
    }

    /// The principal root: `t + i im / 2t` with `t^2 = (|re| + |z|) / 2` where the real part is not
    /// negative, and with the parts swapped, of the sign of `im`, where it is. W. Kahan, Branch
    /// Cuts for Complex Elementary Functions, 1987. The gradient at 0 is 0, as that of the real
    /// root.
    pub fn root(self, f: &mut Formula) -> Cartesian {
        let (zero, half) = (f.constant(0.0), f.constant(0.5));
        let (one, minus_one) = (f.constant(1.0), f.constant(-1.0));
        let left = f.apply(Op::Lt, &[self.re, zero], &[]);
        let negated = f.neg(self.re);
        let size = f.apply(Op::Where, &[left, negated, self.re], &[]);
        let (size, abs) = (f.mul(half, size), self.abs(f));
        let abs = f.mul(half, abs);
        let h = f.add(size, abs);
        let (t, inverse) = (f.apply(Op::Sqrt, &[h], &[]), f.apply(Op::Rsqrt, &[h], &[]));
        let inverse = f.mul(half, inverse);
        let u = f.mul(self.im, inverse);
        // A zero has the sign of its reciprocal.
        let reciprocal = f.apply(Op::Inv, &[self.im], &[]);
        let negative = f.apply(Op::Lt, &[self.im, zero], &[]);
        let negative_zero = f.apply(Op::Lt, &[reciprocal, zero], &[]);
        let below = f.apply(Op::Or, &[negative, negative_zero], &[]);
        let sign = f.apply(Op::Where, &[below, minus_one, one], &[]);
        let (swapped_re, swapped_im) = (f.mul(u, sign), f.mul(t, sign));
        Cartesian {
            re: f.apply(Op::Where, &[left, swapped_re, t], &[]),
            im: f.apply(Op::Where, &[left, swapped_im, u], &[]),
        }
    }

    pub fn exp(self, f: &mut Formula) -> Cartesian {
        let radius = f.apply(Op::Exp, &[self.re], &[]);
        unit(f, self.im).scaled(f, radius)
    }

    pub fn log(self, f: &mut Formula) -> Cartesian {
        let abs = self.abs(f);
        Cartesian { re: f.apply(Op::Log, &[abs], &[]), im: self.angle(f) }
    }

    pub fn angle(self, f: &mut Formula) -> ExprId {
        f.apply(Op::Atan2, &[self.im, self.re], &[])
    }
}

/// `cos x + i sin x`.
pub fn unit(f: &mut Formula, x: ExprId) -> Cartesian {
    Cartesian { re: f.apply(Op::Cos, &[x], &[]), im: f.apply(Op::Sin, &[x], &[]) }
}
