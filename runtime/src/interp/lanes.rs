//! Loops over the numbers of a tile. Goes in: a function of one to three numbers and its operands.
//! Comes out: a register. Functions are types with an inlined method, not closures: a closure that
//! is called in several places is compiled by itself, for any processor, with a call of the C
//! library for each fused product.

use super::exec::{Arg, chunk, chunk_mut};
use super::math::Float;
use super::program::LANES;

/// A function of one number.
pub(super) trait One {
    fn of<T: Float, const FMA: bool>(x: T) -> T;
}

/// A function of two numbers.
pub(super) trait Two {
    fn of<T: Float, const FMA: bool>(x: T, y: T) -> T;
}

/// A function of three numbers.
pub(super) trait Three {
    fn of<T: Float, const FMA: bool>(x: T, y: T, z: T) -> T;
}

/// A type for each function.
macro_rules! functions {
    ($($kind:ident: $name:ident($($x:ident),*) = $value:expr;)*) => {
        $(
            pub(super) struct $name;
            impl $kind for $name {
                #[inline(always)]
                fn of<T: Float, const FMA: bool>($($x: T),*) -> T {
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
    One: Exp(x) = x.exp::<FMA>();
    One: Exp2(x) = x.exp2::<FMA>();
    One: Log(x) = x.log::<FMA>();
    One: XLogX(x) = if x == T::ZERO { T::ZERO } else { x * x.log::<FMA>() };
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
    Two: ScaledExp2(x, y) = (x * y).exp2::<FMA>();
    Two: ExpOfGap(x, y) = (x - y).exp::<FMA>();
    Three: MulAdd(x, y, z) = x.mul_add::<FMA>(y, z);
    Three: SquareAdd(x, y, z) = {
        let total = x + y;
        total.mul_add::<FMA>(total, z)
    };
    Three: Where(c, x, y) = if c != T::ZERO { x } else { y };
    Three: IfElse(c, x, y) = if c >= T::ZERO { x } else { y };
    Three: Clamp(x, low, high) = {
        let most = if x > high { high } else { x };
        if x < low { low } else { most }
    };
    Three: Mod(x, m, d) = x - m * ((x - d) / m).floor();
}

/// The lanes of one column of a register.
#[inline(always)]
pub(super) fn column<T: Float>(out: &mut [T], col: usize) -> &mut [T; LANES] {
    chunk_mut(out, col * LANES)
}

/// `f(x)` of all columns.
#[inline(always)]
pub(super) fn each<T: Float, const FMA: bool, F: One>(out: &mut [T], a: Arg<T>, cols: usize) {
    match a {
        Arg::Lanes(a, step) => {
            for c in 0..cols {
                let (out, x) = (column(out, c), chunk::<T, LANES>(a, c * step));
                for l in 0..LANES {
                    out[l] = F::of::<T, FMA>(x[l]);
                }
            }
        }
        Arg::Number(a, step) => {
            for c in 0..cols {
                column(out, c).fill(F::of::<T, FMA>(a[c * step]));
            }
        }
    }
}

/// `f(x, y)` of lanes.
#[inline(always)]
pub(super) fn both<T: Float, const FMA: bool, F: Two>(
    out: &mut [T; LANES],
    x: &[T; LANES],
    y: &[T; LANES],
) {
    for l in 0..LANES {
        out[l] = F::of::<T, FMA>(x[l], y[l]);
    }
}

/// `f(x, y)` of all columns.
#[inline(always)]
pub(super) fn each2<T: Float, const FMA: bool, F: Two>(
    out: &mut [T],
    a: Arg<T>,
    b: Arg<T>,
    cols: usize,
) {
    match (a, b) {
        (Arg::Lanes(a, of_a), Arg::Lanes(b, of_b)) => {
            for c in 0..cols {
                both::<T, FMA, F>(column(out, c), chunk(a, c * of_a), chunk(b, c * of_b));
            }
        }
        (Arg::Lanes(a, of_a), Arg::Number(b, of_b)) => {
            for c in 0..cols {
                let (out, x, y) = (column(out, c), chunk::<T, LANES>(a, c * of_a), b[c * of_b]);
                for l in 0..LANES {
                    out[l] = F::of::<T, FMA>(x[l], y);
                }
            }
        }
        (Arg::Number(a, of_a), Arg::Lanes(b, of_b)) => {
            for c in 0..cols {
                let (out, x, y) = (column(out, c), a[c * of_a], chunk::<T, LANES>(b, c * of_b));
                for l in 0..LANES {
                    out[l] = F::of::<T, FMA>(x, y[l]);
                }
            }
        }
        (Arg::Number(a, of_a), Arg::Number(b, of_b)) => {
            for c in 0..cols {
                column(out, c).fill(F::of::<T, FMA>(a[c * of_a], b[c * of_b]));
            }
        }
    }
}

/// `f(x, y, z)` of all columns.
#[inline(always)]
pub(super) fn each3<T: Float, const FMA: bool, F: Three>(
    out: &mut [T],
    [a, b, c]: [Arg<T>; 3],
    cols: usize,
) {
    let [mut x, mut y, mut z] = [[T::ZERO; LANES]; 3];
    for col in 0..cols {
        let (x, y, z) = (a.lanes(col, &mut x), b.lanes(col, &mut y), c.lanes(col, &mut z));
        let out = column(out, col);
        for l in 0..LANES {
            out[l] = F::of::<T, FMA>(x[l], y[l], z[l]);
        }
    }
}
