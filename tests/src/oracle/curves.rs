//! What B-splines and soft minima mean, by canonical name.

/// Applies an operation; `None` for a name that is not known here.
pub fn apply(name: &str, args: &[&[f64]], params: &[i64]) -> Option<Vec<f64>> {
    Some(match name {
        "bspline" => {
            let (knots, degree) = (args[0], params[0] as usize);
            (0..knots.len() - degree - 1).map(|k| spline(knots, args[1][0], k, degree)).collect()
        }
        "softmin_rows" => {
            columns(args[0], params[0]).iter().map(|c| soft_min(c, args[1][0])).collect()
        }
        "softmin_weights" => {
            let all: Vec<Vec<f64>> =
                columns(args[0], params[0]).iter().map(|c| weights(c, args[1][0])).collect();
            (0..params[0] as usize).flat_map(|row| all.iter().map(move |c| c[row])).collect()
        }
        "softdtw_sqdist" => vec![soft_dtw(args[0], args[1], args[2][0])],
        _ => return None,
    })
}

/// The recursion of Cox and de Boor, one basis function at a time.
fn spline(t: &[f64], x: f64, k: usize, degree: usize) -> f64 {
    if degree == 0 {
        return if t[k] <= x && x < t[k + 1] { 1.0 } else { 0.0 };
    }
    let ratio = |above: f64, below: f64| if below == 0.0 { 0.0 * above } else { above / below };
    let rising = ratio(x - t[k], t[k + degree] - t[k]);
    let falling = ratio(t[k + degree + 1] - x, t[k + degree + 1] - t[k + 1]);
    rising * spline(t, x, k, degree - 1) + falling * spline(t, x, k + 1, degree - 1)
}

/// The columns of a matrix of `rows` rows.
fn columns(v: &[f64], rows: i64) -> Vec<Vec<f64>> {
    let rows: Vec<&[f64]> = v.chunks(v.len() / rows as usize).collect();
    (0..rows[0].len()).map(|c| rows.iter().map(|row| row[c]).collect()).collect()
}

/// The exponentials of `(least - x) / t`, where the least number is moved to a finite one.
fn exponentials(v: &[f64], t: f64) -> (f64, Vec<f64>) {
    let nan = v.iter().copied().find(|x| x.is_nan());
    let least = nan.unwrap_or_else(|| v.iter().copied().fold(f64::INFINITY, f64::min));
    let least = least.clamp(f64::MIN, f64::MAX);
    (least, v.iter().map(|x| ((least - x) / t).exp()).collect())
}

fn soft_min(v: &[f64], t: f64) -> f64 {
    let (least, terms) = exponentials(v, t);
    least - t * terms.iter().sum::<f64>().ln()
}

fn weights(v: &[f64], t: f64) -> Vec<f64> {
    let (_, terms) = exponentials(v, t);
    let total: f64 = terms.iter().sum();
    terms.iter().map(|term| term / total).collect()
}

/// The soft minimum of the costs of every path is built up cell by cell, from the end of the series
/// to their start.
fn soft_dtw(x: &[f64], y: &[f64], t: f64) -> f64 {
    let (n, m) = (x.len(), y.len());
    let mut cost = vec![vec![0.0; m]; n];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            let next = [(i + 1, j + 1), (i + 1, j), (i, j + 1)];
            let inside = next.iter().filter(|(i, j)| *i < n && *j < m);
            let after: Vec<f64> = inside.map(|&(i, j)| cost[i][j]).collect();
            let rest = match after[..] {
                [] => 0.0,
                [only] => only,
                _ => soft_min(&after, t),
            };
            cost[i][j] = (x[i] - y[j]).powi(2) + rest;
        }
    }
    cost[0][0]
}
