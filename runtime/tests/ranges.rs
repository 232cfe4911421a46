//! Ranges on kernels written in Rust: what rows without pairs get, several stages, and refusals.

mod fake;

use std::sync::atomic::AtomicBool;

use ndarray::{Array2, array};
use tilefold::{Call, Code, Error, Options, Policy, Ranges};

fn column(rows: usize, value: impl Fn(usize) -> f64) -> Array2<f64> {
    Array2::from_shape_fn((rows, 1), |(row, _)| value(row))
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>, code: Code, text: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().contains(text), "{error}\n{text}");
    assert!(!error.helps().is_empty(), "{error}");
}

#[test]
fn rows_without_pairs_get_the_neutral_element() {
    let (x, y) = (column(9, |i| i as f64), column(700, |j| 9.0 - (j % 10) as f64));
    let ranges = Ranges::from_blocks([(1..3, 600..650), (1..3, 5..8), (7..8, 699..700)]).unwrap();
    let call = Call::new(fake::argmin::<f64>()).arg("x", &x).arg("y", &y).ranges(&ranges);
    let mut found = call.run().unwrap();
    // Row numbers are those of y; ties go to the lowest one.
    let nearest = found.take::<i64>("nearest").unwrap();
    assert_eq!(nearest.into_raw_vec_and_offset().0, [-1, 608, 7, -1, -1, -1, -1, 699, -1]);
    let dist = found.take::<f64>("dist").unwrap().into_raw_vec_and_offset().0;
    let inf = f64::INFINITY;
    assert_eq!(dist, [inf, 0.0, 0.0, inf, inf, inf, inf, 7.0, inf]);
    let stage = &found.report().stages[0];
    assert_eq!((stage.rows, stage.cols, stage.pairs), (9, 700, 2 * 53 + 1));
}

#[test]
fn no_pairs_and_no_rows_are_fine() {
    let (x, y) = (column(3, |_| 1.0), column(4, |_| 1.0));
    let none = Ranges::from_blocks([]).unwrap();
    let run = |x: &Array2<f64>, y: &Array2<f64>| {
        let call = Call::new(fake::argmin::<f64>()).arg("x", x).arg("y", y).ranges(&none);
        call.run().and_then(|mut found| found.take::<i64>("nearest"))
    };
    assert_eq!(run(&x, &y).unwrap(), array![[-1], [-1], [-1]]);
    assert_eq!(run(&column(0, |_| 0.0), &y).unwrap().len(), 0);
    refused(run(&x, &column(0, |_| 0.0)), Code::TooFewColumns, "is empty (N = 0)");
}

#[test]
fn positions_are_those_of_the_whole_arrays() {
    let ranges = Ranges::from_blocks([(0..6, 10..12), (6..7, 300..301)]).unwrap();
    let call = Call::new(fake::positions::<f64>()).rows(8, 301).ranges(&ranges);
    let a = call.run().unwrap().take::<f64>("a").unwrap();
    assert_eq!(a, array![[21.0], [21.0], [21.0], [21.0], [21.0], [21.0], [300.0], [0.0]]);
}

#[test]
fn stages_use_the_half_of_their_rows() {
    let kernel = fake::chain::<f64>();
    let (m, n) = (40, 300);
    let (x, y) = (column(m, |i| (i % 5) as f64 - 2.0), column(n, |j| (j % 7) as f64 - 3.0));
    let blocks = [(0..10, 0..120), (10..12, 7..8), (10..40, 130..290)];
    let ranges = Ranges::from_blocks(blocks.clone()).unwrap();
    let call = |threads| {
        let call = Call::new(kernel).arg("x", &x).arg("y", &y).arg("gamma", &0.5_f64);
        let options = Options::new().threads(threads).executor(Policy::Cpu);
        call.ranges(&ranges).options(options).run().unwrap()
    };
    let pairs: Vec<(usize, usize)> = blocks
        .iter()
        .flat_map(|(i, j)| i.clone().flat_map(|i| j.clone().map(move |j| (i, j))))
        .collect();
    let (mut t, mut a) = (vec![0.0; n], vec![0.0; m]);
    pairs.iter().for_each(|&(i, j)| t[j] += 0.5 * x[(i, 0)] * y[(j, 0)]);
    pairs.iter().for_each(|&(i, j)| a[i] += 0.5 * x[(i, 0)] * t[j]);
    let mut found = call(1);
    assert_eq!(found.take::<f64>("a").unwrap().into_raw_vec_and_offset().0, a);
    // A parameter sums over all rows of a finished stage.
    let total: f64 = t.iter().map(|t| 0.5 * 0.5 * t).sum();
    assert_eq!(found.take::<f64>("s").unwrap(), array![[total]]);
    let counted: Vec<u64> = found.report().stages.iter().map(|stage| stage.pairs).collect();
    assert_eq!(counted, [pairs.len() as u64, pairs.len() as u64, n as u64, m as u64]);
    for threads in [2, 3] {
        assert_eq!(call(threads).take::<f64>("a").unwrap().into_raw_vec_and_offset().0, a);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (x, y) = (column(5, |_| 1.0), column(7, |_| 1.0));
    let run = |blocks: &[_], options| {
        let ranges = Ranges::from_blocks(blocks.iter().cloned()).unwrap();
        let call = Call::new(fake::argmin::<f64>()).arg("x", &x).arg("y", &y);
        call.ranges(&ranges).options(options).run().map(drop)
    };
    let cpu = Options::new();
    let outside = Code::RangesOutside;
    refused(run(&[(0..6, 0..1)], cpu), outside, "ranges of i end at 6, but there are 5 rows");
    refused(run(&[(0..5, 3..8)], cpu), outside, "ranges of j end at 8, but there are 7 rows");
    assert!(run(&[(0..5, 0..7)], cpu).is_ok());
    assert!(run(&[(9..9, 0..usize::MAX)], cpu).is_ok(), "an empty block has no pair");
    let stop = AtomicBool::new(true);
    refused(run(&[(0..5, 0..7)], cpu.cancel(&stop)), Code::Cancelled, "cancelled");

    let ranges = Ranges::from_blocks([(0..5, 0..7)]).unwrap();
    let call = Call::new(fake::argmin::<f64>()).arg("x", &x).arg("y", &y).ranges(&ranges);
    let note = call.run().unwrap().report().note.clone();
    assert_eq!(note, None);
}

/// What the interpreter makes of an expression and of its gradient, against loops over the pairs.
#[cfg(feature = "lazy")]
#[test]
fn expressions_keep_to_pairs_that_passes_would_leave() {
    use ndarray::ArrayView2;
    use tilefold::{Axis, LazyTensor, evaluate};

    let (x, y) = (column(50, |i| (i % 7) as f64 - 3.0), column(90, |j| (j % 5) as f64 - 1.0));
    let e = column(50, |i| (i % 3) as f64 + 1.0);
    let blocks = [(0..20, 3..40), (20..21, 0..90), (25..50, 41..77)];
    let ranges = Ranges::from_blocks(blocks.clone()).unwrap();
    let pairs: Vec<(usize, usize)> = blocks
        .iter()
        .flat_map(|(i, j)| i.clone().flat_map(|i| j.clone().map(move |j| (i, j))))
        .collect();
    fn i<'a>(view: ArrayView2<'a, f64>) -> LazyTensor<'a, f64> {
        LazyTensor::i(view)
    }
    let (x_i, y_j, e_i) = (i(x.view()), LazyTensor::j(y.view()), i(e.view()));
    // The sum of the product is a product of sums, where every row has all columns.
    let a = (&x_i * &y_j).sum(Axis::J);
    let (d_x, d_y) = (a.vjp(&e_i, &x_i), a.vjp(&e_i, &y_j));
    let mean = (&x_i * &y_j).mean(Axis::J);
    let d_mean = mean.vjp(&e_i, &x_i);
    let far = (&x_i - &y_j).abs().argmin(Axis::J);
    let values = [&a, &d_x, &d_y, &mean, &d_mean, &far];
    let mut found = evaluate(&values).ranges(&ranges).run().unwrap();
    let mut expected = [50, 50, 90].map(|rows| Array2::<f64>::zeros((rows, 1)));
    let mut count = vec![0.0; 50];
    for &(i, j) in &pairs {
        expected[0][(i, 0)] += x[(i, 0)] * y[(j, 0)];
        expected[1][(i, 0)] += e[(i, 0)] * y[(j, 0)];
        expected[2][(j, 0)] += e[(i, 0)] * x[(i, 0)];
        count[i] += 1.0;
    }
    for (n, expected) in expected.iter().enumerate() {
        let gap = &found.take::<f64>(n).unwrap() - expected;
        assert!(gap.iter().all(|gap| gap.abs() < 1e-12), "value {n}");
    }
    for (n, sums) in [(3, &expected[0]), (4, &expected[1])] {
        let found = found.take::<f64>(n).unwrap();
        for i in 0..50 {
            let mean = sums[(i, 0)] / count[i];
            let gap = (found[(i, 0)] - mean).abs();
            assert!(gap < 1e-12 || (count[i] == 0.0 && !found[(i, 0)].is_normal()), "{n}, {i}");
        }
    }
    let far = found.take::<i64>(5).unwrap();
    for i in 0..50 {
        let away = |j: &usize| (x[(i, 0)] - y[(*j, 0)]).abs();
        let mine = pairs.iter().filter(|pair| pair.0 == i).map(|pair| pair.1);
        let nearest = mine.min_by(|a, b| away(a).total_cmp(&away(b)));
        assert_eq!(far[(i, 0)], nearest.map_or(-1, |j| j as i64), "{i}");
    }
}
