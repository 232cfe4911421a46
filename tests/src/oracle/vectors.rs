//! What the operations on whole vectors and small matrices mean, by canonical name.

/// Applies an operation on vectors; `None` for a name that is not known here.
pub fn apply(name: &str, args: &[&[f64]], params: &[i64]) -> Option<Vec<f64>> {
    layout(name, args, params)
        .or_else(|| moved(name, args, params))
        .or_else(|| running(name, args))
        .or_else(|| product(name, args))
        .or_else(|| to_one(name, args).map(|value| vec![value]))
        .or_else(|| (name == "normalize").then(|| normalize(args[0])))
}

/// Components copied and picked.
fn layout(name: &str, args: &[&[f64]], params: &[i64]) -> Option<Vec<f64>> {
    let v = args[0];
    let p: Vec<usize> = params.iter().map(|&n| n as usize).collect();
    Some(match name {
        "sum_t" => vec![v[0]; p[0]],
        "elem" => vec![v[p[0]]],
        "elem_t" => (0..p[0]).map(|k| if k == p[1] { v[0] } else { 0.0 }).collect(),
        "extract" => v[p[0]..p[0] + p[1]].to_vec(),
        "extract_t" => {
            let mut out = vec![0.0; p[1]];
            out[p[0]..p[0] + v.len()].copy_from_slice(v);
            out
        }
        "concat" => [v, args[1]].concat(),
        "one_hot" => {
            let place = (v[0] + 0.5).trunc();
            (0..p[0]).map(|k| if k as f64 == place { 1.0 } else { 0.0 }).collect()
        }
        _ => return None,
    })
}

/// Components by lists of indices, and rows and columns exchanged. A list in `params` stands behind
/// its length.
fn moved(name: &str, args: &[&[f64]], params: &[i64]) -> Option<Vec<f64>> {
    let v = args[0];
    Some(match name {
        "pick" => params[1..].iter().map(|&k| v[k as usize]).collect(),
        "scatter" => {
            let (places, len) = (&params[1..=v.len()], params[params.len() - 1] as usize);
            let at = |c: usize| places.iter().zip(v).filter(move |(k, _)| **k as usize == c);
            (0..len).map(|c| at(c).map(|(_, x)| *x).reduce(|a, b| a + b).unwrap_or(0.0)).collect()
        }
        "reverse" => v.iter().rev().copied().collect(),
        "transpose" => {
            let rows: Vec<&[f64]> = v.chunks(v.len() / params[0] as usize).collect();
            (0..rows[0].len()).flat_map(|c| rows.iter().map(move |row| row[c])).collect()
        }
        _ => return None,
    })
}

/// Sums, products and recurrences along a vector.
fn running(name: &str, args: &[&[f64]]) -> Option<Vec<f64>> {
    let v = args[0];
    let up_to = |f: &dyn Fn(&[f64]) -> f64| (1..=v.len()).map(|n| f(&v[..n])).collect();
    Some(match name {
        "cumsum" => up_to(&|head| head.iter().copied().reduce(|a, b| a + b).unwrap_or(0.0)),
        "cumprod" => up_to(&|head| head.iter().product()),
        "scan" => {
            let mut out = vec![args[1][0]];
            for (a, b) in v.iter().zip(args[1]).skip(1) {
                out.push(a * out[out.len() - 1] + b);
            }
            out
        }
        "prod" => vec![v.iter().product()],
        "mean" => vec![v.iter().sum::<f64>() / v.len() as f64],
        _ => return None,
    })
}

/// Products of vectors and row-major matrices.
fn product(name: &str, args: &[&[f64]]) -> Option<Vec<f64>> {
    Some(match name {
        "matvecmult" => {
            let (matrix, vector) = (args[0], args[1]);
            let cols = vector.len();
            let entry = |r: usize| (0..cols).map(|c| matrix[r * cols + c] * vector[c]).sum();
            (0..matrix.len() / cols).map(entry).collect()
        }
        "vecmatmult" => {
            let (vector, matrix) = (args[0], args[1]);
            let (rows, cols) = (vector.len(), matrix.len() / vector.len());
            let entry = |c: usize| (0..rows).map(|r| vector[r] * matrix[r * cols + c]).sum();
            (0..cols).map(entry).collect()
        }
        "tensorprod" => {
            let mut out = Vec::new();
            for a in args[0] {
                for b in args[1] {
                    out.push(a * b);
                }
            }
            out
        }
        _ => return None,
    })
}

fn to_one(name: &str, args: &[&[f64]]) -> Option<f64> {
    let v = args[0];
    Some(match name {
        "sum" => v.iter().sum(),
        "max_of" => v[first_largest(v)],
        "arg_max_of" => first_largest(v) as f64,
        "min_of" => v[first_largest(&negated(v))],
        "arg_min_of" => first_largest(&negated(v)) as f64,
        "dot" => pairs(v, args[1]).map(|(a, b)| a * b).sum(),
        "sqnorm2" => squares(v),
        "norm2" => squares(v).sqrt(),
        "sqdist" => pairs(v, args[1]).map(|(a, b)| (a - b) * (a - b)).sum(),
        "sqnormiso" => v[0] * squares(args[1]),
        "sqnormdiag" | "symsqnorm" | "weightedsqnorm" => weighted(v, args[1]),
        "weightedsqdist" => {
            let gap: Vec<f64> = pairs(args[1], args[2]).map(|(a, b)| a - b).collect();
            weighted(v, &gap)
        }
        _ => return None,
    })
}

/// Components side by side; a scalar stands for every component.
fn pairs<'a>(a: &'a [f64], b: &'a [f64]) -> impl Iterator<Item = (f64, f64)> + 'a {
    let pick = |v: &[f64], k: usize| v[if v.len() == 1 { 0 } else { k }];
    (0..a.len().max(b.len())).map(move |k| (pick(a, k), pick(b, k)))
}

fn negated(v: &[f64]) -> Vec<f64> {
    v.iter().map(|x| -x).collect()
}

fn squares(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum()
}

/// The first NaN, else the first of the largest.
fn first_largest(v: &[f64]) -> usize {
    if let Some(nan) = v.iter().position(|x| x.is_nan()) {
        return nan;
    }
    let largest = v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    v.iter().position(|&x| x == largest).unwrap_or(0)
}

/// The quadratic form of `v`, `v . (weight v)`; the weight is a scalar, a diagonal or a matrix.
fn weighted(weight: &[f64], v: &[f64]) -> f64 {
    let n = v.len();
    if weight.len() == 1 {
        return weight[0] * squares(v);
    }
    let full = weight.len() > n;
    let row = |k: usize| (0..n).map(|l| weight[k * n + l] * v[l]).sum::<f64>();
    (0..n).map(|k| v[k] * if full { row(k) } else { weight[k] * v[k] }).sum()
}

fn normalize(v: &[f64]) -> Vec<f64> {
    let norm = squares(v).sqrt();
    v.iter().map(|x| if norm == 0.0 { 0.0 } else { x / norm }).collect()
}
