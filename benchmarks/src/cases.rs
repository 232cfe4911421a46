//! The cases: sizes, what each means in float64, and how many multiply-adds a pair needs at least.
//!
//! In: the name of a case. Out: its facts, and errors of results against float64. It never runs a
//! kernel.

/// What a pair contributes, and how pairs are folded. Arguments: x, y, b, e, g.
#[derive(Clone, Copy)]
pub enum Meaning {
    /// The sum of vectors.
    Sum(fn(&Pair<'_>, &mut [f64])),
    /// The logarithm of the sum of the exponentials of a score.
    LogSumExp(fn(&Pair<'_>) -> f64),
    /// The mean of b, weighted by the exponentials of a score.
    Softmax(fn(&Pair<'_>) -> f64),
    /// The rows of so many smallest distances.
    Nearest(usize),
}

/// One row and one column.
pub struct Pair<'a> {
    /// The row of x.
    pub x: &'a [f64],
    /// The row of y.
    pub y: &'a [f64],
    /// The row of b.
    pub b: &'a [f64],
    /// The row of e.
    pub e: f64,
    /// The parameter.
    pub g: f64,
}

impl Pair<'_> {
    /// The squared distance.
    pub fn d2(&self) -> f64 {
        self.x.iter().zip(self.y).map(|(x, y)| (x - y) * (x - y)).sum()
    }

    fn gauss(&self) -> f64 {
        (-self.g * self.d2()).exp()
    }
}

/// A case.
pub struct Case {
    /// Its name, in the table and in formulas/.
    pub name: &'static str,
    /// Rows of x and of y.
    pub rows: usize,
    /// The same on a CUDA device.
    pub device_rows: usize,
    /// Components of x and of y.
    pub dim: usize,
    /// Components of b; 0 if there is none.
    pub signal: usize,
    /// Whether there is an e, one number for each row.
    pub weighted: bool,
    /// The parameter, if there is one.
    pub g: Option<f64>,
    /// What it computes.
    pub meaning: Meaning,
    /// Multiply-adds that a pair needs at least, without exponentials, and its exponentials.
    /// `None` where other instructions bound the case: divisions, comparisons.
    pub work: Option<(f64, f64)>,
}

const GAUSS: Meaning = Meaning::Sum(|p, out| {
    let k = p.gauss();
    out.iter_mut().zip(p.b).for_each(|(out, b)| *out = k * b);
});

const GRADIENT: Meaning = Meaning::Sum(|p, out| {
    let k = -2.0 * p.g * p.gauss() * p.b[0] * p.e;
    out.iter_mut().zip(p.x.iter().zip(p.y)).for_each(|(out, (x, y))| *out = k * (x - y));
});

const MATERN32: Meaning = Meaning::Sum(|p, out| {
    let r = p.g * p.d2().sqrt() * 3.0_f64.sqrt();
    out[0] = (1.0 + r) * (-r).exp() * p.b[0];
});

const MATERN52: Meaning = Meaning::Sum(|p, out| {
    let r = p.g * p.d2().sqrt() * 5.0_f64.sqrt();
    out[0] = (1.0 + r + r * r / 3.0) * (-r).exp() * p.b[0];
});

const D3: Case = Case {
    name: "",
    rows: 20_000,
    device_rows: 1_000_000,
    dim: 3,
    signal: 1,
    weighted: false,
    g: Some(0.7),
    meaning: GAUSS,
    work: Some((4.0, 1.0)),
};

/// All cases.
pub const CASES: &[Case] = &[
    Case { name: "gauss_d3", ..D3 },
    Case { name: "gauss_d3_e3", signal: 3, work: Some((6.0, 1.0)), ..D3 },
    Case { name: "gauss_d3_grad", weighted: true, meaning: GRADIENT, work: Some((7.0, 1.0)), ..D3 },
    Case {
        name: "lse_d3",
        signal: 0,
        meaning: Meaning::LogSumExp(|p| -p.g * p.d2()),
        work: Some((4.0, 1.0)),
        ..D3
    },
    Case {
        name: "laplace_d3",
        meaning: Meaning::Sum(|p, out| out[0] = (-p.g * p.d2().sqrt()).exp() * p.b[0]),
        work: Some((6.0, 1.0)),
        ..D3
    },
    Case {
        name: "cauchy_d3",
        meaning: Meaning::Sum(|p, out| out[0] = p.b[0] / (1.0 + p.g * p.d2())),
        work: None,
        ..D3
    },
    Case { name: "matern32_d3", meaning: MATERN32, work: Some((7.0, 1.0)), ..D3 },
    Case { name: "matern52_d3", meaning: MATERN52, work: Some((8.0, 1.0)), ..D3 },
    Case {
        name: "argmin_d2",
        dim: 2,
        signal: 0,
        g: None,
        meaning: Meaning::Nearest(1),
        work: None,
        ..D3
    },
    Case { name: "knn10_d3", signal: 0, g: None, meaning: Meaning::Nearest(10), work: None, ..D3 },
    Case {
        name: "gauss_d100",
        rows: 5000,
        device_rows: 200_000,
        dim: 100,
        g: Some(0.1),
        work: Some((101.0, 1.0)),
        ..D3
    },
    Case {
        name: "knn10_d50",
        rows: 10_000,
        device_rows: 200_000,
        dim: 50,
        signal: 0,
        g: None,
        meaning: Meaning::Nearest(10),
        work: Some((50.0, 0.0)),
        ..D3
    },
    Case {
        name: "knn10_d784",
        rows: 3000,
        device_rows: 50_000,
        dim: 784,
        signal: 0,
        g: None,
        meaning: Meaning::Nearest(10),
        work: Some((784.0, 0.0)),
        ..D3
    },
    Case {
        name: "attention_d64",
        rows: 4000,
        device_rows: 100_000,
        dim: 64,
        signal: 64,
        g: Some(0.125),
        meaning: Meaning::Softmax(|p| p.g * p.x.iter().zip(p.y).map(|(x, y)| x * y).sum::<f64>()),
        work: Some((128.0, 1.0)),
        ..D3
    },
];

/// The arrays of a case, in float64.
pub struct Arrays {
    /// Rows of x and of y.
    pub rows: usize,
    /// The rows of x, one after the other.
    pub x: Vec<f64>,
    /// The rows of y.
    pub y: Vec<f64>,
    /// The rows of b.
    pub b: Vec<f64>,
    /// The numbers of e.
    pub e: Vec<f64>,
}

/// Names of the arrays that kernels take, in the order in which they are made.
pub const ARRAYS: [&str; 4] = ["x", "y", "b", "e"];

/// Rows of the results that are compared with float64.
pub const SAMPLE: usize = 40;

impl Case {
    /// Numbers of a row of the result.
    pub fn width(&self) -> usize {
        match self.meaning {
            Meaning::Sum(_) if self.weighted => self.dim,
            Meaning::Sum(_) | Meaning::Softmax(_) => self.signal,
            Meaning::LogSumExp(_) => 1,
            Meaning::Nearest(k) => k,
        }
    }

    /// The largest error of the first rows: for sums in units of the sum of magnitudes, for
    /// distances relative to the right ones, otherwise relative above 1 and absolute below.
    pub fn error(&self, arrays: &Arrays, found: &[f64]) -> f64 {
        let rows = found.chunks_exact(self.width()).take(SAMPLE).enumerate();
        rows.map(|(i, found)| self.row_error(arrays, i, found)).fold(0.0, worse)
    }

    fn row_error(&self, arrays: &Arrays, i: usize, found: &[f64]) -> f64 {
        let pair = |j: usize| Pair {
            x: &arrays.x[i * self.dim..][..self.dim],
            y: &arrays.y[j * self.dim..][..self.dim],
            b: &arrays.b[(j * self.signal).min(arrays.b.len())..][..self.signal],
            e: arrays.e[i],
            g: self.g.unwrap_or(0.0),
        };
        let (mut sums, mut sizes) = (vec![0.0; found.len()], vec![0.0; found.len()]);
        match self.meaning {
            Meaning::Sum(term) => {
                let mut terms = vec![0.0; found.len()];
                for j in 0..arrays.rows {
                    term(&pair(j), &mut terms);
                    sums.iter_mut().zip(&terms).for_each(|(sum, term)| *sum += term);
                    sizes.iter_mut().zip(&terms).for_each(|(size, term)| *size += term.abs());
                }
            }
            Meaning::LogSumExp(score) => {
                let sum: f64 = (0..arrays.rows).map(|j| score(&pair(j)).exp()).sum();
                (sums[0], sizes[0]) = (sum.ln(), sum.ln().abs().max(1.0));
            }
            Meaning::Softmax(score) => {
                let weights: Vec<f64> = (0..arrays.rows).map(|j| score(&pair(j)).exp()).collect();
                let total: f64 = weights.iter().sum();
                for (j, weight) in weights.iter().enumerate() {
                    for (c, b) in pair(j).b.iter().enumerate() {
                        sums[c] += weight / total * b;
                        sizes[c] += weight / total * b.abs();
                    }
                }
            }
            Meaning::Nearest(k) => {
                let mut all: Vec<f64> = (0..arrays.rows).map(|j| pair(j).d2()).collect();
                let nearest = k.min(all.len());
                let of_found = found.iter().map(|&j| all.get(j as usize).copied());
                let of_found: Vec<f64> = of_found.map(|d| d.unwrap_or(f64::NAN)).collect();
                all.select_nth_unstable_by(nearest - 1, f64::total_cmp);
                all[..nearest].sort_by(f64::total_cmp);
                return (0..k).map(|n| (of_found[n] - all[n]).abs() / all[n]).fold(0.0, worse);
            }
        }
        let parts = found.iter().zip(sums.iter().zip(&sizes));
        parts.map(|(found, (sum, size))| (found - sum).abs() / size).fold(0.0, worse)
    }
}

/// The larger error; NaN is the worst.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}
