//! What the operations on tensors and square matrices mean, by canonical name: every entry by its
//! multi-index.

/// Applies an operation on tensors; `None` for a name that is not known here.
pub fn apply(name: &str, args: &[&[f64]], params: &[i64]) -> Option<Vec<f64>> {
    let a = args[0];
    let n = a.len().isqrt();
    Some(match name {
        "tensordot" => tensordot(args[0], args[1], &lists(params)),
        "kron" => kron(args[0], args[1], &lists(params)),
        "matmul" => {
            let [n, k, m] = [0, 1, 2].map(|at| params[at] as usize);
            let entry =
                |r: usize, c: usize| (0..k).map(|l| a[r * k + l] * args[1][l * m + c]).sum();
            (0..n).flat_map(|r| (0..m).map(move |c| (r, c))).map(|(r, c)| entry(r, c)).collect()
        }
        "trace" => vec![(0..n).map(|k| a[k * n + k]).sum()],
        "cross" => {
            let (f, g) = (a, args[1]);
            vec![f[1] * g[2] - f[2] * g[1], f[2] * g[0] - f[0] * g[2], f[0] * g[1] - f[1] * g[0]]
        }
        "cofactor" => (0..n * n).map(|k| cofactor(a, n, k / n, k % n)).collect(),
        "det" => vec![det(a, n)],
        "inverse" => (0..n * n).map(|k| cofactor(a, n, k % n, k / n) / det(a, n)).collect(),
        "solve" => {
            let row = |r: usize| (0..n).map(|c| cofactor(a, n, c, r) * args[1][c]).sum::<f64>();
            (0..n).map(|r| row(r) / det(a, n)).collect()
        }
        _ => return None,
    })
}

/// Lists that stand behind their lengths.
fn lists(params: &[i64]) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    let mut rest = params.iter().map(|&n| n as usize);
    while let Some(len) = rest.next() {
        all.push(rest.by_ref().take(len).collect());
    }
    all
}

/// All multi-indices of a tensor, in row-major order.
fn indices(dims: &[usize]) -> Vec<Vec<usize>> {
    dims.iter().fold(vec![vec![]], |all, &len| {
        all.into_iter().flat_map(|at| (0..len).map(move |k| [&at[..], &[k]].concat())).collect()
    })
}

fn place(dims: &[usize], at: &[usize]) -> usize {
    dims.iter().zip(at).fold(0, |place, (len, k)| place * len + k)
}

/// Every pair of entries of which the contracted indices agree is one term.
fn tensordot(f: &[f64], g: &[f64], lists: &[Vec<usize>]) -> Vec<f64> {
    let [df, dg, cf, cg] = [0, 1, 2, 3].map(|n| &lists[n]);
    let free = |at: &[usize], contracted: &[usize]| -> Vec<usize> {
        (0..at.len()).filter(|axis| !contracted.contains(axis)).map(|axis| at[axis]).collect()
    };
    let order = |kept: Vec<usize>| match lists.get(4) {
        None => kept,
        Some(perm) => {
            let mut moved = kept.clone();
            kept.iter().zip(perm).for_each(|(&k, &to)| moved[to] = k);
            moved
        }
    };
    let dims = order([free(df, cf), free(dg, cg)].concat());
    let mut out = vec![None; dims.iter().product()];
    for at_f in indices(df) {
        for at_g in indices(dg) {
            if cf.iter().zip(cg).all(|(&a, &b)| at_f[a] == at_g[b]) {
                let term = f[place(df, &at_f)] * g[place(dg, &at_g)];
                let to = place(&dims, &order([free(&at_f, cf), free(&at_g, cg)].concat()));
                out[to] = Some(out[to].map_or(term, |sum: f64| sum + term));
            }
        }
    }
    out.into_iter().map(|sum| sum.unwrap_or(0.0)).collect()
}

fn kron(f: &[f64], g: &[f64], lists: &[Vec<usize>]) -> Vec<f64> {
    let (df, dg) = (&lists[0], &lists[1]);
    let dims: Vec<usize> = df.iter().zip(dg).map(|(a, b)| a * b).collect();
    let entry = |at: Vec<usize>| {
        let of_f: Vec<usize> = at.iter().zip(dg).map(|(k, len)| k / len).collect();
        let of_g: Vec<usize> = at.iter().zip(dg).map(|(k, len)| k % len).collect();
        f[place(df, &of_f)] * g[place(dg, &of_g)]
    };
    indices(&dims).into_iter().map(entry).collect()
}

/// Laplace's expansion along the first row.
fn det(a: &[f64], n: usize) -> f64 {
    match n {
        0 => 1.0,
        1 => a[0],
        _ => (0..n).map(|c| a[c] * cofactor(a, n, 0, c)).reduce(|a, b| a + b).unwrap_or(0.0),
    }
}

/// The determinant without a row and a column, with the sign of a chessboard.
fn cofactor(a: &[f64], n: usize, row: usize, column: usize) -> f64 {
    let keeps = |k: &usize| k / n != row && k % n != column;
    let minor: Vec<f64> = (0..n * n).filter(keeps).map(|k| a[k]).collect();
    let sign = if (row + column).is_multiple_of(2) { 1.0 } else { -1.0 };
    sign * det(&minor, n - 1)
}
