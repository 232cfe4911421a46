//! The CPU executor on kernels written in Rust: layouts, cuts, threads, reports.

mod fake;

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use ndarray::{Array1, Array2, ArrayView2, Axis, ShapeBuilder, array, s};
use tilefold::{Call, Code, Executor, Kernel, Level, Operand, Options, OutputMut, Policy, run};

use fake::code::Real;

/// Reals whose sums depend on the order.
fn rough<T: Real>(rows: usize, cols: usize) -> Array2<T> {
    let mut seed = (rows * 31 + cols) as u64 + 1;
    Array2::from_shape_simple_fn((rows, cols), || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        T::of((seed >> 33) as f64 / (1_u64 << 31) as f64 - 0.5)
    })
}

fn cpu(threads: usize) -> Options<'static> {
    Options::new().threads(threads).executor(Policy::Cpu)
}

fn dot<T: Real>(x: ArrayView2<T>, y: ArrayView2<T>, options: Options) -> Array2<T> {
    let gamma = T::of(0.5);
    let call = Call::new(fake::dot::<T>()).arg("x", x).arg("y", y).arg("gamma", &gamma);
    call.options(options).run().unwrap().take("a").unwrap()
}

/// `0.5 * sum_j <x_i, y_j>` in float64.
fn oracle<T: Real>(x: ArrayView2<T>, y: ArrayView2<T>) -> Array1<f64> {
    let (x, y) = (x.mapv(T::get), y.mapv(T::get));
    x.dot(&y.sum_axis(Axis(0))) * 0.5
}

fn assert_close<T: Real>(found: &Array2<T>, expected: &Array1<f64>, tolerance: f64) {
    assert_eq!(found.dim(), (expected.len(), 1));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found.get() - expected).abs() <= tolerance, "{} vs {expected}", found.get());
    }
}

#[test]
fn sums_agree_with_the_oracle() {
    for rows in [0, 1, 3, 4, 5, 8, 61] {
        for cols in [0, 1, 255, 256, 300, 1025] {
            let (x, y) = (rough::<f32>(rows, 2), rough::<f32>(cols, 2));
            assert_close(&dot(x.view(), y.view(), cpu(2)), &oracle(x.view(), y.view()), 1e-4);
            let (x, y) = (rough::<f64>(rows, 2), rough::<f64>(cols, 2));
            assert_close(&dot(x.view(), y.view(), cpu(2)), &oracle(x.view(), y.view()), 1e-12);
        }
    }
}

#[test]
fn every_stride_is_read_in_place() {
    let whole = rough::<f32>(40, 6);
    let row = rough::<f32>(1, 2);
    let fortran =
        Array2::from_shape_vec((40, 2).f(), rough::<f32>(80, 1).into_raw_vec_and_offset().0);
    let fortran = fortran.unwrap();
    let views = [
        whole.slice(s![.., 1..3]),
        whole.slice(s![..;-1, ..2]),
        whole.slice(s![..;3, 4..;-1]),
        whole.slice(s![5..30;-2, ..;-4]),
        row.broadcast((17, 2)).unwrap(),
        fortran.view(),
        fortran.slice(s![..;-7, ..;-1]),
    ];
    for x in views {
        for y in views {
            assert_eq!(x.ncols(), 2);
            let dense = dot(x.as_standard_layout().view(), y.as_standard_layout().view(), cpu(1));
            assert_eq!(dot(x, y, cpu(2)), dense);
        }
    }
}

#[test]
fn vectors_and_scalars_are_columns_and_parameters() {
    let (x, y) = (rough::<f64>(9, 1), rough::<f64>(300, 1));
    let kernel = fake::argmin::<f64>();
    let columns = Call::new(kernel).arg("x", &x).arg("y", &y).run().unwrap().take("dist");
    let columns: Array2<f64> = columns.unwrap();
    let (x, y) = (x.column(0), y.column(0));
    let reversed = y.slice(s![..;-1]);
    let mut vectors = Call::new(kernel).arg("x", x).arg("y", reversed).run().unwrap();
    assert_eq!(columns, vectors.take::<f64>("dist").unwrap());

    let (x, y) = (rough::<f64>(5, 2), rough::<f64>(7, 2));
    let dot = |gamma: Operand| {
        let call = Call::new(fake::dot::<f64>()).arg("x", &x).arg("y", &y).arg("gamma", gamma);
        call.run().unwrap().take::<f64>("a").unwrap()
    };
    let scalar = dot(Operand::from(&0.25));
    assert_eq!(scalar, dot(Operand::from(&[0.25][..])));
    assert_eq!(scalar, dot(Operand::from(&array![0.25])));
    assert_eq!(scalar, dot(Operand::from(&array![[0.25]])));
}

#[test]
fn threads_do_not_change_a_bit() {
    let bits = |a: &Array2<f32>| a.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    // Many row blocks; few rows and many columns; a last block and a last tile that are not full.
    for (rows, cols) in [(3000, 500), (1, 70_001), (10, 40_000), (257, 8193)] {
        let (x, y) = (rough::<f32>(rows, 2), rough::<f32>(cols, 2));
        let expected = bits(&dot(x.view(), y.view(), cpu(1)));
        for threads in [2, 3, 8] {
            let found = dot(x.view(), y.view(), cpu(threads));
            assert_eq!(bits(&found), expected, "{rows} x {cols}, {threads} threads");
        }
        assert_eq!(bits(&dot(x.view(), y.view(), Options::new())), expected);
    }
}

#[test]
fn stages_leave_temporaries_for_later_ones() {
    let kernel = fake::chain::<f64>();
    for (rows, cols) in [(5, 3), (300, 1000), (2, 20_000), (0, 4), (4, 0)] {
        let (x, y) = (rough::<f64>(rows, 1), rough::<f64>(cols, 1));
        let gamma = 0.5;
        let call = Call::new(kernel).arg("x", &x).arg("y", &y).arg("gamma", &gamma);
        let mut outputs = call.options(cpu(3)).run().unwrap();
        let t = &y.column(0) * (gamma * x.sum());
        let a = &x.column(0) * (gamma * t.sum());
        assert_close(&outputs.take::<f64>("a").unwrap(), &a, 1e-7);
        let s: Array2<f64> = outputs.take("s").unwrap();
        assert_close(&s, &array![gamma * gamma * t.sum()], 1e-7);
        assert_close(&outputs.take::<f64>("twice").unwrap(), &(a * 2.0), 1e-7);
        let shapes: Vec<_> = outputs.report().stages.iter().map(|s| (s.rows, s.cols)).collect();
        assert_eq!(shapes, [(cols, rows), (rows, cols), (1, cols), (rows, 1)]);
    }
}

#[test]
fn ties_go_to_the_lowest_index_across_chunks() {
    let x = rough::<f32>(3, 1);
    let far = |(j, _)| if j % 20_000 == 123 { 9.0_f32 } else { -9.0 };
    let y = Array2::from_shape_fn((50_000, 1), far);
    let call = Call::new(fake::argmin::<f32>()).arg("x", &x).arg("y", &y).options(cpu(4));
    let nearest: Array2<i64> = call.run().unwrap().take("nearest").unwrap();
    let expected = x.mapv(|x| if x > 0.0 { 123 } else { 0 });
    assert_eq!(nearest, expected);
}

#[test]
fn rows_can_be_said_where_no_argument_has_them() {
    let kernel = fake::positions::<f64>();
    let a = |m, n| -> Array2<f64> {
        Call::new(kernel).rows(m, n).options(cpu(2)).run().unwrap().take("a").unwrap()
    };
    assert_eq!(a(3, 5), array![[10.0], [11.0], [12.0]]);
    let n = 1_000_000;
    assert_eq!(a(2, n)[[1, 0]], (n * (n - 1) / 2) as f64 + 1.0);
    assert_eq!(a(0, 7).dim(), (0, 1));
}

#[test]
fn results_go_into_the_callers_arrays() {
    let (x, y) = (rough::<f32>(11, 1), rough::<f32>(13, 1));
    let kernel = fake::argmin::<f32>();
    let mut expected = Call::new(kernel).arg("x", &x).arg("y", &y).run().unwrap();
    let expected: (Array2<f32>, Array2<i64>) =
        (expected.take("dist").unwrap(), expected.take("nearest").unwrap());

    // A block of rows of a larger array is dense too, and a column may be a vector.
    let mut dist = Array2::from_elem((20, 1), -1.0_f32);
    let mut nearest = Array1::from_elem(11, -5_i64);
    let call = Call::new(kernel).arg("x", &x).arg("y", &y);
    let call = call.out("nearest", &mut nearest).out("dist", dist.slice_mut(s![4..15, ..]));
    call.run_into().unwrap();
    assert_eq!(dist.slice(s![4..15, ..]), expected.0);
    assert_eq!(nearest, expected.1.column(0));
    assert!(dist.slice(s![..4, ..]).iter().chain(dist.slice(s![15.., ..])).all(|&d| d == -1.0));

    let (mut dist, mut nearest) = (Array2::zeros((11, 1)), Array2::<i64>::zeros((11, 1)));
    let outputs = [OutputMut::from(&mut dist), OutputMut::from(&mut nearest)];
    run(kernel, &[(&x).into(), (&y).into()], outputs, None, &cpu(1)).unwrap();
    assert_eq!((dist, nearest), expected);
}

#[test]
fn a_set_flag_stops_before_the_start() {
    let stop = AtomicBool::new(true);
    let (x, y) = (rough::<f32>(3, 2), rough::<f32>(3, 2));
    let call = Call::new(fake::dot::<f32>()).arg("x", &x).arg("y", &y).arg("gamma", &1.0_f32);
    let error = call.options(cpu(2).cancel(&stop)).run().unwrap_err();
    assert_eq!(error.code(), Code::Cancelled);
}

#[test]
fn a_flag_stops_a_run_in_any_shape() {
    // Without the flag each of these takes minutes: a stride of 0 makes large arrays from one row.
    let row = rough::<f32>(1, 2);
    for (rows, cols, threads) in
        [(5, 1 << 31, 1), (5, 1 << 31, 2), (1 << 20, 1 << 20, 2), (1 << 28, 1000, 2)]
    {
        let stop = AtomicBool::new(false);
        let kernel: &'static Kernel = fake::positions::<f64>();
        let result = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(30));
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
            });
            let options = cpu(threads).cancel(&stop);
            if rows < 1 << 28 {
                Call::new(kernel).rows(rows, cols).options(options).run().map(drop)
            } else {
                let x = row.broadcast((rows, 2)).unwrap();
                let y = row.broadcast((cols, 2)).unwrap();
                let call = Call::new(fake::dot::<f32>()).arg("x", x).arg("y", y);
                call.arg("gamma", &1.0_f32).options(options).run().map(drop)
            }
        });
        assert_eq!(result.unwrap_err().code(), Code::Cancelled, "{rows} x {cols}");
    }
}

#[test]
fn the_report_says_what_ran() {
    let (x, y) = (rough::<f32>(12, 2), rough::<f32>(10, 2));
    let call = Call::new(fake::dot::<f32>()).arg("x", &x).arg("y", &y).arg("gamma", &1.0_f32);
    let outputs = call.options(cpu(1)).run().unwrap();
    let report = outputs.report();
    assert_eq!(report.stages.len(), 1);
    assert_eq!((report.stages[0].pairs, report.stages[0].ops), (120, 480.0));
    assert!(report.seconds >= report.stages[0].seconds);
    assert!(report.to_string().contains("12 x 10: 1.20e2 pairs"), "{report}");
    let Executor::Cpu(level) = report.executor else { panic!("{report}") };
    assert!(level.is_supported());
}

#[test]
fn the_best_level_that_the_kernel_has_is_chosen() {
    let best = *Level::ALL.iter().rev().find(|level| level.is_supported()).unwrap();
    let (x, y) = (rough::<f32>(2, 2), rough::<f32>(2, 2));
    let level = |kernel: &'static Kernel, options: Options| {
        let call = Call::new(kernel).arg("x", &x).arg("y", &y).arg("gamma", &1.0_f32);
        Ok(call.options(options).run()?.report().executor)
    };
    assert_eq!(level(fake::dot::<f32>(), cpu(1)), Ok(Executor::Cpu(best)));
    for &asked in Level::ALL {
        let found = level(fake::dot::<f32>(), cpu(1).level(asked));
        match asked.is_supported() {
            true => assert_eq!(found, Ok(Executor::Cpu(asked))),
            false => assert_eq!(found.map_err(|e: tilefold::Error| e.code()), Err(Code::Level)),
        }
    }
    let mut spec = fake::dot_spec::<f32>();
    spec.stages[0].cpu = [std::ptr::null(); 4];
    let error = level(spec.kernel(), cpu(1)).unwrap_err();
    assert_eq!(error.code(), Code::Level);
    assert!(error.message().contains("code for none"), "{error}");
}

/// A complex number is two scalars: the kernel is that of the dot product of pairs.
#[test]
fn complex_arrays_are_read_in_place() {
    let mut spec = fake::dot_spec::<f64>();
    (spec.values[0].kind, spec.values[1].kind) =
        (tilefold::sys::TF_COMPLEX, tilefold::sys::TF_COMPLEX);
    let kernel = spec.kernel();
    let numbers = Array2::from_shape_fn((9, 3), |(r, c)| {
        tilefold::Complex::new((r * 3 + c) as f64, 0.5 * r as f64 - c as f64)
    });
    let (x, y) = (numbers.slice(s![..;-2, 1..2]), numbers.slice(s![1..5, 2..]));
    let call = Call::new(kernel).arg("x", x).arg("y", y).arg("gamma", &1.0_f64);
    let found: Array2<f64> = call.run().unwrap().take("a").unwrap();
    for (row, z) in x.iter().enumerate() {
        let expected: f64 = y.iter().map(|w| z.re * w.re + z.im * w.im).sum();
        assert_eq!(found[[row, 0]], expected);
    }
    // A vector of numbers is one column of them.
    let column = numbers.column(1);
    let call = Call::new(kernel).arg("x", column).arg("y", y).arg("gamma", &1.0_f64);
    let again: Array2<f64> = call.run().unwrap().take("a").unwrap();
    assert_eq!(again[[8, 0]], found[[0, 0]]);
}

#[test]
fn stages_take_the_time_of_the_call() {
    let (x, y) = (rough::<f64>(300, 1), rough::<f64>(200, 1));
    let call = Call::new(fake::chain::<f64>()).arg("x", &x).arg("y", &y).arg("gamma", &0.5_f64);
    let outputs = call.options(cpu(1)).run().unwrap();
    let report = outputs.report();
    let sum: f64 = report.stages.iter().map(|stage| stage.seconds).sum();
    assert_eq!(report.stages.len(), 4);
    assert!((sum - report.seconds).abs() < 1e-9 && report.seconds > 0.0, "{report}");
}
