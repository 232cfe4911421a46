//! What KeOps' LazyTensor can do, row by row, against loops in float64: operators, functions,
//! vectors, complex numbers and reductions, in tables. Every generated method is in a row, and the
//! page for users has every row. The rules around them are in `lazy_rules.rs`.

mod folds;
mod rows;

use std::collections::BTreeSet;
use std::path::Path;

use ndarray::{Array2, ArrayView2, s};
use tilefold::{Axis, LazyTensor, evaluate};
use tilefold_compiler::ops::Op;
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::methods;
use tilefold_tests::oracle;

use folds::{FOLDS, Fold, K};
use rows::{ALL, Row};

type Lazy<'a> = LazyTensor<'a, f64>;

const M: usize = 5;
const N: usize = 7;

/// Multiples of a quarter in (0, 2), so that some entries of `x` and `y` are equal.
fn quarters(rows: usize, step: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, 3), |(r, c)| 0.25 * ((r * step + 3 * c) % 7 + 1) as f64)
}

fn inputs() -> (Array2<f64>, Array2<f64>) {
    (quarters(M, 2), quarters(N, 3))
}

fn row(array: &Array2<f64>, r: usize) -> Vec<f64> {
    array.row(r).to_vec()
}

#[track_caller]
fn close(found: ArrayView2<f64>, expected: ArrayView2<f64>, what: &str) {
    assert_eq!(found.dim(), expected.dim(), "{what}");
    for ((at, f), e) in found.indexed_iter().zip(expected) {
        let same = f == e || (f.is_nan() && e.is_nan());
        let near = (f - e).abs() <= 1e-12 * (1.0 + e.abs());
        assert!(same || near, "{what} at {at:?}: found {f:?}, expected {e:?}");
    }
}

/// The sum over j of what a row says, for every i.
fn naive_sum(row_of: &Row, x: &Array2<f64>, y: &Array2<f64>) -> Array2<f64> {
    let at = |i: usize, j: usize| (row_of.naive)(&row(x, i), &row(y, j));
    let dim = at(0, 0).len();
    let mut sums = Array2::zeros((x.nrows(), dim));
    for (i, mut sum) in sums.outer_iter_mut().enumerate() {
        for j in 0..y.nrows() {
            sum.iter_mut().zip(at(i, j)).for_each(|(s, v)| *s += v);
        }
    }
    sums
}

fn check_rows(rows: &[Row]) {
    let (x, y) = inputs();
    for row_of in rows {
        let value = (row_of.ours)(&LazyTensor::i(x.view()), &LazyTensor::j(y.view()));
        // What does not vary along i or j says nothing of their numbers of rows.
        let sum = value.sum(Axis::J) + LazyTensor::i(x.slice(s![.., ..1])) * 0.0;
        let found = evaluate(&[&sum]).rows(M, N).run().and_then(|mut values| values.take(0));
        let found: Array2<f64> = found.unwrap_or_else(|why| panic!("{}: {why}", row_of.text));
        close(found.view(), naive_sum(row_of, &x, &y).view(), row_of.text);
    }
}

#[test]
fn operators_are_arithmetic() {
    check_rows(rows::OPERATORS);
}

#[test]
fn functions_are_those_of_components() {
    check_rows(rows::FUNCTIONS);
}

#[test]
fn vectors_are_folded_moved_and_multiplied() {
    check_rows(rows::VECTORS);
}

#[test]
fn complex_numbers_are_complex() {
    check_rows(rows::COMPLEX);
}

#[test]
fn every_method_is_called_here() {
    let rows = ALL.iter().flat_map(|(_, rows)| *rows).map(|row| row.text);
    let calls: Vec<&str> = rows.chain(FOLDS.iter().map(|fold| fold.text)).collect();
    let ops = Op::ALL.iter().flat_map(|&op| methods::of(op).unwrap_or_default());
    let names: BTreeSet<&str> = ops.map(|method| method.name).chain(methods::folds()).collect();
    let is_called = |name: &str| calls.iter().any(|text| text.contains(&format!(".{name}(")));
    let missing: Vec<&&str> = names.iter().filter(|name| !is_called(name)).collect();
    assert!(missing.is_empty(), "nothing here calls {missing:?}");
    assert!(names.len() > 120, "{} methods", names.len());
}

/// The rows as a table of the page; a bar would end a cell.
fn table<'t>(rows: impl Iterator<Item = (&'t str, &'t str)>) -> String {
    let cell = |text: &str| match text {
        "" => String::new(),
        text => format!("`{}`", text.replace('|', "\\|")),
    };
    let mut table = String::from("| KeOps | tilefold |\n|---|---|\n");
    for (keops, ours) in rows {
        table += &format!("| {} | {} |\n", cell(keops), cell(ours));
    }
    table
}

#[test]
fn the_page_shows_every_row() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/lazytensor.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let mut tables: Vec<String> =
        ALL.iter().map(|(_, rows)| table(rows.iter().map(|row| (row.keops, row.text)))).collect();
    tables.push(table(FOLDS.iter().map(|fold| (fold.keops, fold.text))));
    for table in tables {
        assert!(page.contains(&table), "docs/lazytensor.md lacks this table:\n{table}");
    }
}

/// What is left of the value `(x - y)^2`, or of its sum, after the loop over j that `fold` says.
fn naive_fold(
    reducer: Reducer,
    value: fn(&[f64], &[f64]) -> Vec<f64>,
    (x, y): (&Array2<f64>, &Array2<f64>),
) -> Array2<f64> {
    let k = if reducer.def().takes_k { K } else { 0 };
    let rows = (0..x.nrows()).map(|i| {
        let taken = |j: usize| oracle::folds::Row {
            number: j,
            value: value(&row(x, i), &row(y, j)),
            weight: row(y, j),
        };
        let taken: Vec<oracle::folds::Row> = (0..y.nrows()).map(taken).collect();
        oracle::folds::fold(reducer, &taken, taken[0].value.len(), 3, k)
    });
    let rows: Vec<Vec<f64>> = rows.collect();
    Array2::from_shape_vec((x.nrows(), rows[0].len()), rows.concat()).expect("equal rows")
}

fn squares(x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).collect()
}

fn distance(x: &[f64], y: &[f64]) -> Vec<f64> {
    vec![squares(x, y).iter().sum()]
}

fn check_fold(fold: &Fold, value: &Lazy, w: &Lazy, expected: &[Array2<f64>]) {
    let found = (fold.ours)(value, w);
    let together: Vec<&Lazy> = found.iter().collect();
    let mut values = evaluate(&together).run().unwrap_or_else(|why| panic!("{}: {why}", fold.text));
    for (n, expected) in expected.iter().enumerate() {
        let found = match fold.reducers[n].def().index {
            true => values.take::<i64>(n).expect("rows").mapv(|row| row as f64),
            false => values.take::<f64>(n).expect("reals"),
        };
        close(found.view(), expected.view(), fold.text);
    }
}

#[test]
fn reductions_are_loops() {
    let (x, y) = inputs();
    let (x_i, y_j): (Lazy, Lazy) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
    let (vector, scalar) = ((&x_i - &y_j).square(), x_i.sqdist(&y_j));
    for fold in FOLDS {
        let of = |value| -> Vec<Array2<f64>> {
            fold.reducers.iter().map(|&r| naive_fold(r, value, (&x, &y))).collect()
        };
        check_fold(fold, &scalar, &y_j, &of(distance));
        // Scores are scalars.
        if (fold.ours)(&vector, &y_j)[0].mistake().is_none() {
            check_fold(fold, &vector, &y_j, &of(squares));
        }
    }
}

#[test]
fn reductions_over_i_are_those_of_the_transpose() {
    let (x, y) = inputs();
    let (x_i, y_j): (Lazy, Lazy) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
    let d = x_i.sqdist(&y_j);
    for fold in FOLDS {
        let of = |&r: &Reducer| naive_fold(r, distance, (&y, &x));
        let expected: Vec<Array2<f64>> = fold.reducers.iter().map(of).collect();
        // The transpose of a sum over j is a sum over i of the transpose.
        let w = LazyTensor::i(x.view());
        check_fold(fold, &d.t(), &w.t(), &expected);
    }
    let over_i = naive_fold(Reducer::Sum, distance, (&y, &x));
    close(d.sum(Axis::I).eval().unwrap().view(), over_i.view(), "sum over i");
    let nearest = naive_fold(Reducer::ArgMin, distance, (&y, &x));
    assert_eq!(d.argmin(Axis::I).eval_index().unwrap().mapv(|row| row as f64), nearest);
}

#[test]
fn a_reduction_may_leave_out_pairs() {
    let (x, y) = inputs();
    let (x_i, y_j): (Lazy, Lazy) = (LazyTensor::i(x.view()), LazyTensor::j(y.view()));
    let d = x_i.sqdist(&y_j);
    let found = (1 / &d).masked(d.not_equal(0)).sum(Axis::J).eval().unwrap();
    let value = |x: &[f64], y: &[f64]| match distance(x, y)[0] {
        0.0 => vec![0.0],
        d => vec![1.0 / d],
    };
    close(found.view(), naive_fold(Reducer::Sum, value, (&x, &y)).view(), "masked");
}
