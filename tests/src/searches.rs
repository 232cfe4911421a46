//! Searches that look at bounds of their values first, and data that lie close to the border: ties,
//! points far from the origin, clusters, norms of many sizes, columns that are each better than all
//! before, NaN and infinities.

use tilefold_compiler::ir::{Axis, ExprId, Formula, Reduction};
use tilefold_compiler::ops::Op;
use tilefold_compiler::reduce::Reducer;

use crate::problem::Problem;
use crate::rng::Rng;

/// A block of rows and some of another.
pub const ROWS: usize = 128 + 9;
/// Panels of 64 columns, and 13.
pub const COLS: usize = 64 * 5 + 13;

/// The value of x, y and a column's b.
pub type Value = fn(&mut Formula, ExprId, ExprId, ExprId) -> ExprId;

/// A name, components, what is searched for, how many, and the value of x, y and a column's b.
pub const SEARCHES: &[(&str, usize, Reducer, usize, Value)] = &[
    ("nearest", 50, Reducer::ArgKMin, 10, |f, x, y, _| f.apply(Op::SqDist, &[x, y], &[])),
    ("the nearest", 24, Reducer::ArgMin, 0, |f, x, y, _| f.apply(Op::SqDist, &[y, x], &[])),
    ("farthest", 64, Reducer::KMax, 3, |f, x, y, _| f.apply(Op::SqDist, &[x, y], &[])),
    ("opposite", 33, Reducer::ArgKMin, 2, |f, x, y, _| {
        let sum = f.add(x, y);
        f.apply(Op::SqNorm2, &[sum], &[])
    }),
    ("most alike", 99, Reducer::ArgKMax, 4, |f, x, y, _| f.apply(Op::Dot, &[x, y], &[])),
    ("least unlike", 48, Reducer::ArgMin, 0, |f, x, y, b| {
        let product = f.apply(Op::Dot, &[x, y], &[]);
        f.sub(b, product)
    }),
    ("weighted", 32, Reducer::ArgMax, 0, |f, x, y, b| {
        let distance = f.apply(Op::SqDist, &[x, y], &[]);
        let scaled = f.scale(-0.3, distance);
        f.add(scaled, b)
    }),
    ("roots", 20, Reducer::ArgKMin, 5, root),
    ("least", 17, Reducer::Min, 0, root),
    ("greatest", 40, Reducer::Max, 0, |f, x, y, _| f.apply(Op::Dot, &[x, y], &[])),
];

/// All of them, with bounds.
pub fn searches() -> Vec<Formula> {
    (0..SEARCHES.len()).map(|n| search(n, false)).collect()
}

/// Whether values of small integers are exact: roots and weights are no numbers of f16, nor of f32.
pub fn is_exact(n: usize) -> bool {
    !["weighted", "roots", "least"].contains(&SEARCHES[n].0)
}

/// The distance of x and y.
pub fn root(f: &mut Formula, x: ExprId, y: ExprId, _: ExprId) -> ExprId {
    let distance = f.apply(Op::SqDist, &[x, y], &[]);
    f.apply(Op::Sqrt, &[distance], &[])
}

/// A search; with `in_floats`, one whose mask is true of all columns, which looks at no bounds.
///
/// # Panics
/// Never: it fits.
pub fn search(n: usize, in_floats: bool) -> Formula {
    let (name, dim, reducer, k, value) = SEARCHES[n];
    let mut f = Formula::new(format!("{name} of {dim}, {in_floats}"));
    let x = f.input("x", Some(Axis::I), dim).expect("short");
    let y = f.input("y", Some(Axis::J), dim).expect("short");
    let b = f.input("b", Some(Axis::J), 1).expect("short");
    let ones = f.input("ones", Some(Axis::J), 1).expect("short");
    let value = value(&mut f, x, y, b);
    let both = match reducer {
        Reducer::ArgKMin => vec![Reducer::KMin, reducer],
        Reducer::ArgKMax => vec![Reducer::KMax, reducer],
        _ => vec![reducer],
    };
    for reducer in both {
        let mask = in_floats.then_some(ones);
        let r = Reduction { reducer, axis: Axis::J, args: vec![value], mask, k };
        let fold = f.reduce(r).expect("it fits");
        f.output(reducer.def().name, Some(Axis::I), fold).expect("a row of i");
    }
    f
}

/// What rows and columns hold, by row and component.
pub type Draw = fn(&mut Rng, bool, usize, usize) -> f64;

/// What they are called, and what they are.
pub const DATA: &[(&str, Draw)] = &[
    ("normal", |rng, _, _, _| rng.normal()),
    ("far from the origin", |rng, _, _, _| 1000.0 + rng.normal()),
    // Many points are the same one.
    ("ties", |_, is_row, row, k| f64::from(u8::from((row % 5 + k) % 3 == usize::from(is_row)))),
    ("few values", |rng, _, _, _| rng.below(3) as f64 - 1.0),
    ("clusters", |rng, _, row, _| [1e3, -1e3, 7.0][row % 3] + 1e-3 * rng.normal()),
    ("norms of many sizes", |rng, _, row, _| 10f64.powi(row as i32 % 7 - 3) * rng.normal()),
    ("each column nearer", |_, is_row, row, k| match is_row {
        true => 0.01 * (row % 7) as f64,
        false => (COLS - row) as f64 * if k % 2 == 0 { 1.0 } else { 0.25 },
    }),
    ("each column farther", |_, is_row, row, _| if is_row { 0.5 } else { 0.1 * row as f64 }),
    ("columns beyond halves", |rng, is_row, row, _| match is_row {
        false if row % 64 == 3 || row > 200 => 1e6 * rng.normal(),
        _ => rng.normal(),
    }),
    ("NaN and infinities", |rng, is_row, row, k| match (is_row, row, k) {
        (true, 5, 2) | (false, 70 | 131 | 200, 7) => f64::NAN,
        (false, 90 | 140, 3) => f64::INFINITY,
        (false, 150, 4) => f64::NEG_INFINITY,
        // A row of the second block, whose other rows are numbers.
        (true, 130, 1) => 1e30,
        _ => rng.normal(),
    }),
    ("nothing but NaN in columns", |rng, is_row, row, _| match is_row {
        false if row % 2 == 0 => f64::NAN,
        _ => rng.normal(),
    }),
    ("small", |rng, _, _, _| 1e-8 * rng.normal()),
    ("too small", |rng, _, _, _| 1e-25 * rng.normal()),
    ("too large", |rng, _, _, _| 1e17 * rng.normal()),
    ("zeros", |_, _, _, _| 0.0),
    // Near each other, and norms whose sum is no number.
    ("almost too large", |rng, _, row, _| [1.9e18, -1.9e18][row % 2] * (1.0 + 1e-3 * rng.normal())),
    ("sparse", |rng, _, _, _| if rng.below(8) == 0 { rng.normal() } else { 0.0 }),
];

/// A problem of a search whose rows and columns hold `draw`, as f32 has it.
pub fn problem(formula: Formula, rows: usize, cols: usize, draw: Draw) -> Problem {
    let mut rng = Rng::new(31);
    let dim = formula.inputs[0].dim;
    Problem::new(formula, rows, cols, |input, entry| {
        let value = match input {
            0 | 1 => draw(&mut rng, input == 0, entry / dim, entry % dim),
            2 => [0.0, 0.5, -2.0][entry % 3],
            _ => 1.0,
        };
        f64::from(value as f32)
    })
}
