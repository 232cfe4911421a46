//! Loops over the numbers of a tile. Goes in: a function of one to three numbers and its operands.
//! Comes out: a register. Functions are types with an inlined method, not closures: a closure that
//! is called in several places is compiled by itself, for any processor, with a call of the C
//! library for each fused product.

use super::exec::{Arg, chunk, chunk_mut};
use super::math::{Float, GROUP, Isa};
use super::program::LANES;

/// Where a function finds the number of a lane.
pub(super) trait Get<T>: Copy {
    fn get(self, lane: usize) -> T;
}

/// One number for all lanes.
#[derive(Clone, Copy)]
pub(super) struct Same<T>(T);

impl<T: Float> Get<T> for Same<T> {
    #[inline(always)]
    fn get(self, _: usize) -> T {
        self.0
    }
}

impl<T: Float> Get<T> for &[T; LANES] {
    #[inline(always)]
    fn get(self, lane: usize) -> T {
        self[lane]
    }
}

/// A function of one number.
pub(super) trait One {
    fn of<T: Float, I: Isa>(x: T) -> T;

    /// The same of all lanes.
    #[inline(always)]
    fn lanes<T: Float, I: Isa>(out: &mut [T; LANES], x: &[T; LANES]) {
        for l in 0..LANES {
            out[l] = Self::of::<T, I>(x[l]);
        }
    }
}

/// A function of two numbers.
pub(super) trait Two {
    fn of<T: Float, I: Isa>(x: T, y: T) -> T;

    /// The same of all lanes.
    #[inline(always)]
    fn lanes<T: Float, I: Isa>(out: &mut [T; LANES], x: impl Get<T>, y: impl Get<T>) {
        for (l, out) in out.iter_mut().enumerate() {
            *out = Self::of::<T, I>(x.get(l), y.get(l));
        }
    }
}

/// A function of three numbers.
pub(super) trait Three {
    fn of<T: Float, I: Isa>(x: T, y: T, z: T) -> T;
}

/// A type for each function.
macro_rules! functions {
    ($($kind:ident: $name:ident($($x:ident),*) = $value:expr;)*) => {
        $(
            pub(super) struct $name;
            impl $kind for $name {
                #[inline(always)]
                fn of<T: Float, I: Isa>($($x: T),*) -> T {
                    $value
                }
            }
        )*
    };
}

functions! {
    One: Copied(x) = x;
    One: Neg(x) = -x;
    One: Inv(x) = T::ONE / x;
    One: Square(x) = x * x;
    One: Abs(x) = x.abs();
    One: Sign(x) = {
        let sign = if x < T::ZERO { -T::ONE } else { x * T::ZERO };
        if x > T::ZERO { T::ONE } else { sign }
    };
    One: Step(x) = {
        let step = if x >= T::ZERO { T::ONE } else { x };
        if x < T::ZERO { T::ZERO } else { step }
    };
    One: Relu(x) = if x < T::ZERO { T::ZERO } else { x };
    One: Floor(x) = x.floor();
    One: Trunc(x) = x.trunc();
    One: Ceil(x) = x.ceil();
    One: Sqrt(x) = x.sqrt();
    One: Rsqrt(x) = if x == T::ZERO { T::ZERO } else { T::ONE / x.sqrt() };
    One: Log(x) = x.log::<I>();
    One: XLogX(x) = if x == T::ZERO { T::ZERO } else { x * x.log::<I>() };
    Two: Add(x, y) = x + y;
    Two: Sub(x, y) = x - y;
    Two: Mul(x, y) = x * y;
    Two: Div(x, y) = x / y;
    Two: Min(x, y) = {
        let less = if x < y { x } else { y };
        if x.is_nan() { x } else { less }
    };
    Two: Max(x, y) = {
        let more = if x > y { x } else { y };
        if x.is_nan() { x } else { more }
    };
    Two: Eq(x, y) = T::truth(x == y);
    Two: Ne(x, y) = T::truth(x != y);
    Two: Lt(x, y) = T::truth(x < y);
    Two: Le(x, y) = T::truth(x <= y);
    Two: And(x, y) = T::truth((x != T::ZERO) & (y != T::ZERO));
    Two: Or(x, y) = T::truth((x != T::ZERO) | (y != T::ZERO));
    Two: OneHot(x, k) = T::truth(k == (x + T::HALF).trunc());
    Two: EqOrNan(x, y) = T::truth((x == y) | x.is_nan());
    Three: MulAdd(x, y, z) = x.mul_add::<I>(y, z);
    Three: SquareAdd(x, y, z) = {
        let total = x + y;
        total.mul_add::<I>(total, z)
    };
    Three: Where(c, x, y) = if c != T::ZERO { x } else { y };
    Three: IfElse(c, x, y) = if c >= T::ZERO { x } else { y };
    Three: Clamp(x, low, high) = {
        let most = if x > high { high } else { x };
        if x < low { low } else { most }
    };
    Three: Mod(x, m, d) = x - m * ((x - d) / m).floor();
}

/// Exponentials of one number, for which a level may have better instructions.
macro_rules! exponentials {
    ($($name:ident = $of:ident, $group:ident;)*) => {
        $(
            pub(super) struct $name;
            impl One for $name {
                #[inline(always)]
                fn of<T: Float, I: Isa>(x: T) -> T {
                    x.$of::<I>()
                }
                #[inline(always)]
                fn lanes<T: Float, I: Isa>(out: &mut [T; LANES], x: &[T; LANES]) {
                    for at in (0..LANES).step_by(GROUP) {
                        *chunk_mut(out, at) = T::$group::<I>(*chunk(x, at));
                    }
                }
            }
        )*
    };
}

/// The same of a product or a difference.
macro_rules! exponentials_of_two {
    ($($name:ident($x:ident, $y:ident) = $argument:expr, $of:ident, $group:ident;)*) => {
        $(
            pub(super) struct $name;
            impl Two for $name {
                #[inline(always)]
                fn of<T: Float, I: Isa>($x: T, $y: T) -> T {
                    ($argument).$of::<I>()
                }
                #[inline(always)]
                fn lanes<T: Float, I: Isa>(
                    out: &mut [T; LANES],
                    x: impl Get<T>,
                    y: impl Get<T>,
                ) {
                    for at in (0..LANES).step_by(GROUP) {
                        let mut arguments = [T::ZERO; GROUP];
                        for (l, argument) in arguments.iter_mut().enumerate() {
                            let ($x, $y) = (x.get(at + l), y.get(at + l));
                            *argument = $argument;
                        }
                        *chunk_mut(out, at) = T::$group::<I>(arguments);
                    }
                }
            }
        )*
    };
}

exponentials! {
    Exp = exp, exp_group;
    Exp2 = exp2, exp2_group;
}

exponentials_of_two! {
    ScaledExp2(x, y) = x * y, exp2, exp2_group;
    ExpOfGap(x, y) = x - y, exp, exp_group;
}

/// The lanes of one column of a register.
#[inline(always)]
pub(super) fn column<T: Float>(out: &mut [T], col: usize) -> &mut [T; LANES] {
    chunk_mut(out, col * LANES)
}

/// `f(x)` of all columns.
#[inline(always)]
pub(super) fn each<T: Float, I: Isa, F: One>(out: &mut [T], a: Arg<T>, cols: usize) {
    match a {
        Arg::Lanes(a, step) => {
            for c in 0..cols {
                F::lanes::<T, I>(column(out, c), chunk(a, c * step));
            }
        }
        Arg::Number(a, step) => {
            for c in 0..cols {
                column(out, c).fill(F::of::<T, I>(a[c * step]));
            }
        }
    }
}

/// `f(x, y)` of all columns.
#[inline(always)]
pub(super) fn each2<T: Float, I: Isa, F: Two>(out: &mut [T], a: Arg<T>, b: Arg<T>, cols: usize) {
    match (a, b) {
        (Arg::Lanes(a, of_a), Arg::Lanes(b, of_b)) => {
            for c in 0..cols {
                let (x, y): (&[T; LANES], &[T; LANES]) = (chunk(a, c * of_a), chunk(b, c * of_b));
                F::lanes::<T, I>(column(out, c), x, y);
            }
        }
        (Arg::Lanes(a, of_a), Arg::Number(b, of_b)) => {
            for c in 0..cols {
                let x: &[T; LANES] = chunk(a, c * of_a);
                F::lanes::<T, I>(column(out, c), x, Same(b[c * of_b]));
            }
        }
        (Arg::Number(a, of_a), Arg::Lanes(b, of_b)) => {
            for c in 0..cols {
                let y: &[T; LANES] = chunk(b, c * of_b);
                F::lanes::<T, I>(column(out, c), Same(a[c * of_a]), y);
            }
        }
        (Arg::Number(a, of_a), Arg::Number(b, of_b)) => {
            for c in 0..cols {
                column(out, c).fill(F::of::<T, I>(a[c * of_a], b[c * of_b]));
            }
        }
    }
}

/// `f(x, y, z)` of all columns.
#[inline(always)]
pub(super) fn each3<T: Float, I: Isa, F: Three>(
    out: &mut [T],
    [a, b, c]: [Arg<T>; 3],
    cols: usize,
) {
    let [mut x, mut y, mut z] = [[T::ZERO; LANES]; 3];
    for col in 0..cols {
        let (x, y, z) = (a.lanes(col, &mut x), b.lanes(col, &mut y), c.lanes(col, &mut z));
        let out = column(out, col);
        for l in 0..LANES {
            out[l] = F::of::<T, I>(x[l], y[l], z[l]);
        }
    }
}
