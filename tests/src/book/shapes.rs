//! Shape rules in words: the rule is tried on small dims and compared with patterns.

use tilefold_compiler::ir::literals;
use tilefold_compiler::ops::{LISTS, Op, same_or_one};
use tilefold_compiler::reduce::Reducer;

use crate::calls::calls;

/// Dims and literals that are tried.
const DIMS: usize = 9;
const DIMS_OF_ONE: usize = 26;
const LITERALS: std::ops::Range<i64> = -1..6;

type Guess = fn(&[usize], &[i64]) -> Option<usize>;

fn literal(n: i64) -> Option<usize> {
    usize::try_from(n).ok().filter(|&n| n > 0)
}

fn within(n: i64, dim: usize) -> Option<()> {
    usize::try_from(n).ok().filter(|&n| n < dim).map(drop)
}

fn quotient(matrix: usize, vector: usize) -> Option<usize> {
    matrix.is_multiple_of(vector).then(|| matrix / vector)
}

fn root(matrix: usize) -> Option<usize> {
    (1..=matrix).find(|n| n * n == matrix)
}

/// The common dim of pairs, of which one may be broadcast.
fn pairs(dims: &[usize]) -> Option<usize> {
    let largest = *dims.iter().max()?;
    dims.iter().all(|&d| d % 2 == 0 && (d == largest || d == 2)).then_some(largest)
}

/// What a rule may be, in words, for a number of arguments and literals.
const PATTERNS: &[(usize, usize, &str, Guess)] = &[
    (1, 0, "n → n, component by component", |d, _| Some(d[0])),
    (1, 0, "n → 1", |_, _| Some(1)),
    (1, 0, "2 n → 2 n, pair by pair", |d, _| pairs(d)),
    (1, 0, "2 n → n", |d, _| pairs(d).map(|n| n / 2)),
    (1, 0, "2 n → 2", |d, _| pairs(d).map(|_| 2)),
    (1, 0, "n → 2 n", |d, _| Some(2 * d[0])),
    (1, 0, "n n → 1", |d, _| root(d[0]).map(|_| 1)),
    (1, 0, "n n → n n", |d, _| root(d[0]).map(|_| d[0])),
    (1, 0, "n n → 1, where n is at most 4", |d, _| root(d[0]).filter(|&n| n <= 4).map(|_| 1)),
    (1, 0, "n n → n n, where n is at most 4", |d, _| {
        root(d[0]).filter(|&n| n <= 4).map(|_| d[0])
    }),
    (1, 1, "n → n, component by component", |d, _| Some(d[0])),
    (1, 1, "n → n, component by component, where k >= 1", |d, p| (p[0] >= 1).then_some(d[0])),
    (1, 1, "2 n → 2 n, pair by pair", |d, _| pairs(d)),
    (1, 1, "n k → n k", |d, p| literal(p[0]).and_then(|k| quotient(d[0], k)).map(|_| d[0])),
    (1, 1, "1 → k", |d, p| literal(p[0]).filter(|_| d[0] == 1)),
    (1, 1, "n → 1, where 0 <= k < n", |d, p| within(p[0], d[0]).map(|()| 1)),
    (1, 2, "n → n, component by component, where k <= l", |d, p| (p[0] <= p[1]).then_some(d[0])),
    (1, 2, "1 → k, where 0 <= l < k", |d, p| {
        literal(p[0]).filter(|&n| d[0] == 1 && within(p[1], n).is_some())
    }),
    (1, 2, "n → l, where 0 <= k and k + l <= n", |d, p| {
        literal(p[1]).filter(|&l| p[0] >= 0 && p[0] as usize + l <= d[0])
    }),
    (1, 2, "n → l, where 0 <= k and k + n <= l", |d, p| {
        literal(p[1]).filter(|&l| p[0] >= 0 && p[0] as usize + d[0] <= l)
    }),
    (2, 0, "n, n → n, component by component; a scalar is broadcast", |d, _| {
        same_or_one(d, &[]).ok()
    }),
    (2, 0, "n, n → 1; a scalar is broadcast", |d, _| same_or_one(d, &[]).ok().map(|_| 1)),
    (2, 0, "n, n → 1", |d, _| (d[0] == d[1]).then_some(1)),
    (2, 0, "1, n → 1", |d, _| (d[0] == 1).then_some(1)),
    (2, 0, "n n, n → 1", |d, _| (d[0] == d[1] * d[1]).then_some(1)),
    (2, 0, "1, n → 1, or n, n → 1, or n n, n → 1", |d, _| {
        [1, d[1], d[1] * d[1]].contains(&d[0]).then_some(1)
    }),
    (2, 0, "2 n, 2 n → 2 n, pair by pair; one pair is broadcast", |d, _| pairs(d)),
    (2, 0, "n, n → 2 n; a scalar is broadcast", |d, _| same_or_one(d, &[]).ok().map(|n| 2 * n)),
    (2, 0, "n, m → n + m", |d, _| Some(d[0] + d[1])),
    (2, 0, "n, m → n m", |d, _| Some(d[0] * d[1])),
    (2, 0, "n m, m → n", |d, _| quotient(d[0], d[1])),
    (2, 0, "n, n m → m", |d, _| quotient(d[1], d[0])),
    (2, 0, "1, n → n, or n, 1 → n", |d, _| d.contains(&1).then(|| d[0].max(d[1]))),
    (3, 0, "n, n, n → n, component by component; a scalar is broadcast", |d, _| {
        same_or_one(d, &[]).ok()
    }),
    (3, 0, "m, n, n → 1, where m is 1, n or n n; a scalar g or h is broadcast", |d, _| {
        let n = same_or_one(&d[1..], &[]).ok()?;
        [1, n, n * n].contains(&d[0]).then_some(1)
    }),
];

/// The rule of an operation.
pub fn of(op: Op) -> String {
    let def = op.def();
    if def.params == LISTS {
        return examples(op);
    }
    let fits = |guess: Guess| {
        each(def.arity, def.params, &mut |dims, params| {
            (def.shape)(dims, params).ok() == guess(dims, params)
        })
    };
    let known = PATTERNS.iter().find(|(arity, params, _, guess)| {
        (*arity, *params) == (def.arity, def.params) && fits(*guess)
    });
    match known {
        Some((_, _, words, _)) => (*words).to_string(),
        None => examples(op),
    }
}

/// Whether a test holds for all small dims and literals.
fn each(arity: usize, params: usize, test: &mut dyn FnMut(&[usize], &[i64]) -> bool) -> bool {
    let literals: Vec<i64> = LITERALS.collect();
    let most = if arity == 1 { DIMS_OF_ONE } else { DIMS };
    let (dims, choices) = (most.pow(arity as u32), literals.len().pow(params as u32));
    (0..dims).all(|n| {
        let dims: Vec<usize> = (0..arity).map(|a| 1 + n / most.pow(a as u32) % most).collect();
        (0..choices).all(|c| {
            let pick = |a: usize| literals[c / literals.len().pow(a as u32) % literals.len()];
            test(&dims, &(0..params).map(pick).collect::<Vec<_>>())
        })
    })
}

/// Calls that fit, for a rule without a short pattern.
fn examples(op: Op) -> String {
    let example = |call: &crate::calls::Call| {
        let dims: Vec<String> = call.dims.iter().map(usize::to_string).collect();
        let params = literals(op, &call.params);
        let out = (op.def().shape)(&call.dims, &call.params).unwrap_or(0);
        match params.as_slice() {
            [] => format!("{} → {out}", dims.join(", ")),
            _ => format!("{} → {out} with {}", dims.join(", "), params.join(", ")),
        }
    };
    let all: Vec<String> = calls(op).iter().map(example).collect();
    format!("for example {}", all.join("; "))
}

/// The rule of a reduction.
pub fn of_reduction(reducer: Reducer) -> String {
    let def = reducer.def();
    let k = if def.takes_k { 2 } else { 0 };
    let guesses: &[(&str, Guess)] = match def.arity {
        1 => &[
            ("n → n", |d, _| Some(d[0])),
            ("1 → 1", |d, _| (d[0] == 1).then_some(1)),
            ("n → 1", |_, _| Some(1)),
            ("n → k n, entry by entry", |d, _| Some(2 * d[0])),
        ],
        _ => &[
            ("1, n → n", |d, _| (d[0] == 1).then_some(d[1])),
            ("n, n → n", |d, _| (d[0] == d[1]).then_some(d[0])),
        ],
    };
    let fits = |guess: Guess| {
        each(def.arity, 0, &mut |dims, _| (def.shape)(dims, k).ok() == guess(dims, &[]))
    };
    let known = guesses.iter().find(|(_, guess)| fits(*guess));
    known.map_or_else(|| "by its own rule".into(), |(words, _)| (*words).to_string())
}
