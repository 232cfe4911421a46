//! Points go in; the nearest others of each come out. The only place that calls the kernel.

use std::time::{Duration, Instant};

use ndarray::{Array2, ArrayView2};
use tilefold_kernels::knn;

/// Calls are repeated for this long, so that one number stands for more than the first call.
const PATIENCE: Duration = Duration::from_millis(250);

/// The nearest others of each point.
#[derive(Debug)]
pub struct Neighbours {
    /// Row numbers, nearest first; row i holds those of point i.
    pub index: Array2<usize>,
    /// Squared distances, in the order of `index`.
    pub dist2: Array2<f32>,
    /// What computed them.
    pub executor: String,
    /// What they cost.
    pub timing: Timing,
}

/// The cost of one call of the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The median.
    pub seconds: f64,
    /// How many calls were timed.
    pub calls: usize,
}

/// Why there are no neighbours.
#[derive(Debug, thiserror::Error)]
pub enum NeighbourError {
    /// No point has another.
    #[error("found {points} digits, but neighbours need at least 2: give more digits")]
    TooFew {
        /// Points given.
        points: usize,
    },
    /// More neighbours were asked for than there are others, or none.
    #[error("k is {k}, but for {points} digits it must be from 1 to {}", points - 1)]
    NoSuchK {
        /// Neighbours asked for.
        k: usize,
        /// Points given.
        points: usize,
    },
    /// The kernel did not run.
    #[error(transparent)]
    Kernel(#[from] tilefold::Error),
    /// The kernel named a point that does not exist.
    #[error("the kernel gave row {found} as a neighbour of row {row}, but rows are 0 to {last}")]
    NoSuchRow {
        /// The point whose neighbour it should be.
        row: usize,
        /// What the kernel gave.
        found: i64,
        /// The last row there is.
        last: usize,
    },
}

/// The `k` nearest others of each point.
///
/// One neighbour more is asked for, because each point finds itself at distance 0.
pub fn nearest(points: ArrayView2<f32>, k: usize) -> Result<Neighbours, NeighbourError> {
    match points.nrows() {
        points @ 0..2 => return Err(NeighbourError::TooFew { points }),
        points if k == 0 || k >= points => return Err(NeighbourError::NoSuchK { k, points }),
        _ => {}
    }
    // Every digit is a query and a point.
    let args = knn::Args { q: points, p: points, k: k + 1 };
    let call = || Ok(knn::eval_with(&args, tilefold::Options::new())?);
    let ((found, report), timing) = timed(call)?;
    let (dist2, index) = without_self(found.dist2.view(), found.index.view())?;
    Ok(Neighbours { index, dist2, executor: report.executor.to_string(), timing })
}

/// The first answer, and the time of the median call.
fn timed<T>(call: impl Fn() -> Result<T, NeighbourError>) -> Result<(T, Timing), NeighbourError> {
    let start = Instant::now();
    let answer = call()?;
    let mut seconds = vec![start.elapsed().as_secs_f64()];
    while start.elapsed() < PATIENCE {
        let again = Instant::now();
        call()?;
        seconds.push(again.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let timing = Timing { seconds: seconds[seconds.len() / 2], calls: seconds.len() };
    Ok((answer, timing))
}

/// Leaves each point out of its own neighbours.
///
/// A point need not be its own first neighbour: its twins are as near and may come before it. With
/// more twins than entries it is not among them at all, and then the last entry goes.
fn without_self(
    dist2: ArrayView2<f32>,
    index: ArrayView2<i64>,
) -> Result<(Array2<f32>, Array2<usize>), NeighbourError> {
    let (rows, entries) = index.dim();
    let mut others = (Array2::zeros((rows, entries - 1)), Array2::zeros((rows, entries - 1)));
    for row in 0..rows {
        let mut kept = 0;
        for (&distance, &found) in dist2.row(row).iter().zip(index.row(row)) {
            let point = usize::try_from(found).ok().filter(|&point| point < rows);
            let point = point.ok_or(NeighbourError::NoSuchRow { row, found, last: rows - 1 })?;
            if point != row && kept < entries - 1 {
                others.0[[row, kept]] = distance;
                others.1[[row, kept]] = point;
                kept += 1;
            }
        }
    }
    Ok(others)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::data::{Digits, SHIPPED};
    use crate::dense;
    use crate::vote::Outcome;

    /// Pixels are whole numbers, so every sum is exact in f32 and the kernel has no rounding to
    /// be forgiven.
    #[test]
    fn agrees_with_the_dense_loop_and_finds_the_labels() {
        let digits = Digits::parse(SHIPPED).unwrap();
        let found = nearest(digits.pixels.view(), 10).unwrap();
        let (dist2, index) = dense::kmin(digits.pixels.view(), digits.pixels.view(), 11);
        let (dist2, index) = without_self(dist2.view(), index.view()).unwrap();
        assert_eq!(found.index, index);
        assert_eq!(found.dist2, dist2);
        // Counted with NumPy in integers too.
        assert_eq!(Outcome::new(&digits.labels, found.index.view()).correct(), 1770);
    }

    #[test]
    fn measures_by_hand() {
        let points = Array2::from_shape_fn((12, 64), |(row, pixel)| match pixel {
            7 => (row * row) as f32,
            _ => 3.0,
        });
        let found = nearest(points.view(), 10).unwrap();
        assert_eq!(found.index.row(0), array![1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        // Points 1 and 7 are equally far from point 5.
        assert_eq!(found.index.row(5), array![4, 6, 3, 2, 1, 7, 0, 8, 9, 10]);
        let distances = array![9.0, 11.0, 16.0, 21.0, 24.0, 24.0, 25.0, 39.0, 56.0, 75.0f32];
        assert_eq!(found.dist2.row(5), &distances * &distances);
        assert!(found.timing.calls > 0 && found.timing.seconds > 0.0);
    }

    #[test]
    fn a_twin_takes_the_place_of_the_point() {
        // Point 1 comes after its twin 0; point 2 is hidden by both of its twins.
        let dist2 = array![[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]];
        let index = array![[0, 1], [0, 1], [0, 1]];
        let (_, others) = without_self(dist2.view(), index.view()).unwrap();
        assert_eq!(others, array![[1], [0], [0]]);
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |k, points| {
            nearest(Array2::zeros((points, 64)).view(), k).expect_err("nobody is near").to_string()
        };
        assert_eq!(error(5, 5), "k is 5, but for 5 digits it must be from 1 to 4");
        assert_eq!(error(0, 5), "k is 0, but for 5 digits it must be from 1 to 4");
        assert_eq!(error(1, 1), "found 1 digits, but neighbours need at least 2: give more digits");
        let none = without_self(array![[0.0, 1.0]].view(), array![[0, -1]].view());
        let NeighbourError::NoSuchRow { row: 0, found: -1, last: 0 } = none.unwrap_err() else {
            panic!("another error")
        };
    }
}
