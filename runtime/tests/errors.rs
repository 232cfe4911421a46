//! One test a refusal: the code, the names in the message, and the remedy.

mod fake;

use ndarray::{Array1, Array2, ArrayView2, s};
use tilefold::{Call, Code, Complex, Error, Kernel, Operand, Options, OutputMut, Policy, run, sys};

use fake::{I, J, Spec};

/// The error has the code, and its print has every word.
#[track_caller]
fn check(error: Error, code: Code, words: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.code(), code, "{text}");
    assert!(text.starts_with(&format!("error[{code}]: ")), "{text}");
    assert!(text.contains("\n  = help: "), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

fn ones(rows: usize, cols: usize) -> Array2<f32> {
    Array2::ones((rows, cols))
}

/// A call of `dot` with arrays of the given shapes.
fn dot(x: (usize, usize), y: (usize, usize)) -> Result<(), Error> {
    let (x, y) = (ones(x.0, x.1), ones(y.0, y.1));
    let call = Call::new(fake::dot::<f32>()).arg("x", &x).arg("y", &y).arg("gamma", &1.0_f32);
    call.run().map(drop)
}

/// A call of `dot` with one more argument in the place of `x`.
fn dot_x<'a>(x: impl Into<Operand<'a>>) -> Error {
    let y = ones(4, 2);
    let call = Call::new(fake::dot::<f32>()).arg("x", x).arg("y", &y).arg("gamma", &1.0_f32);
    call.run().unwrap_err()
}

#[test]
fn names_are_checked() {
    let x = ones(3, 2);
    let kernel = fake::dot::<f32>();
    let error = Call::new(kernel).arg("X", &x).run().unwrap_err();
    check(error, Code::UnknownArgument, &["dot: there is no argument `X`", "did you mean `x`?"]);
    let error = Call::new(kernel).arg("gammma", &x).run().unwrap_err();
    check(error, Code::UnknownArgument, &["did you mean `gamma`?"]);
    let error = Call::new(kernel).arg("points", &x).run().unwrap_err();
    check(error, Code::UnknownArgument, &["the arguments are `x`, `y` and `gamma`"]);
    let error = Call::new(kernel).arg("x", &x).run().unwrap_err();
    check(error, Code::MissingArgument, &["for `y` and `gamma`", "add .arg(\"y\", ...)"]);
    let error = Call::new(kernel).arg("x", &x).arg("x", &x).arg("z", &x).run().unwrap_err();
    check(error, Code::Repeated, &["`x` was passed twice"]);

    let call = || Call::new(kernel).arg("x", &x).arg("y", &x).arg("gamma", &1.0_f32);
    let (mut a, mut b) = (ones(3, 1), ones(3, 1));
    let error = call().out("b", &mut a).run_into().unwrap_err();
    check(error, Code::UnknownOutput, &["there is no output `b`", "the outputs are `a`"]);
    check(call().run_into().unwrap_err(), Code::MissingOutput, &["output `a`", ".out(\"a\""]);
    let error = call().out("a", &mut a).out("a", &mut b).run_into().unwrap_err();
    check(error, Code::Repeated, &["`a` was passed twice"]);
    let error = call().out("a", &mut a).run().unwrap_err();
    check(error, Code::Repeated, &["output `a`", "run_into()"]);

    let mut outputs = call().run().unwrap();
    check(outputs.take::<f32>("b").unwrap_err(), Code::UnknownOutput, &["the outputs are `a`"]);
    let error = outputs.take::<f64>("a").unwrap_err();
    check(error, Code::Dtype, &["output `a` holds f32, not f64", "take::<f32>(\"a\")"]);
    outputs.take::<f32>("a").unwrap();
    check(outputs.take::<f32>("a").unwrap_err(), Code::MissingOutput, &["`a` was already taken"]);
}

#[test]
fn counts_are_checked() {
    let x = ones(3, 2);
    let error = run(fake::dot::<f32>(), &[(&x).into()], [], None, &Options::new()).unwrap_err();
    check(error, Code::Count, &["1 arguments were passed, but it has 3", "`x`, `y` and `gamma`"]);
    let inputs = [(&x).into(), (&x).into(), (&1.0_f32).into()];
    let error = run(fake::dot::<f32>(), &inputs, [], None, &Options::new()).unwrap_err();
    check(error, Code::Count, &["0 outputs were passed, but it has 1", "pass `a`"]);
}

#[test]
fn dtypes_are_checked() {
    let x = Array2::<f64>::ones((3, 2));
    let words = ["dot: `x` holds f64, but the formula was compiled for f32", "as f32", "for f64"];
    check(dot_x(&x), Code::Dtype, &words);
    let (x, y) = (ones(3, 1), ones(3, 1));
    let (mut dist, mut nearest) = (ones(3, 1), ones(3, 1));
    let call = Call::new(fake::argmin::<f32>()).arg("x", &x).arg("y", &y);
    let call = call.out("dist", &mut dist).out("nearest", &mut nearest);
    let words = ["`nearest` holds f32, but the formula was compiled for i64", "array of i64"];
    check(call.run_into().unwrap_err(), Code::Dtype, &words);
}

#[test]
fn integer_inputs_take_integers_only() {
    let labelled = || {
        let mut spec = fake::dot_spec::<f32>();
        (spec.values[0].kind, spec.values[2].kind) = (sys::TF_INDEX, sys::TF_INDEX);
        spec.kernel()
    };
    let (label, y) = (Array2::<i64>::ones((3, 2)), ones(4, 2));
    let call = |x: Operand<'static>| Call::new(labelled()).arg("x", x).arg("gamma", &1_i64);
    let real: &'static Array2<f32> = Box::leak(Box::new(ones(3, 2)));
    let words = ["`x` holds f32, but the formula was compiled for i64 there", "array of i64"];
    check(call(real.into()).arg("y", &y).run().unwrap_err(), Code::Dtype, &words);
    let label: &'static Array2<i64> = Box::leak(Box::new(label));
    let words = ["`y` holds i64, but the formula was compiled for f32 there", "as f32"];
    check(call(label.into()).arg("y", label).run().unwrap_err(), Code::Dtype, &words);
    // Views of any strides are labels too; here their shape does not fit.
    let narrow = label.slice(s![..;-1, ..1]);
    let words = ["`x` has 1 column, but the formula was compiled for 2"];
    check(call(narrow.into()).arg("y", &y).run().unwrap_err(), Code::Columns, &words);
}

/// `dot` whose x is one complex number a row, or whose x has `scalars` scalars a row.
fn complex_dot(scalars: u32) -> &'static Kernel {
    let mut spec = fake::dot_spec::<f32>();
    (spec.values[0].kind, spec.values[0].dim) = (sys::TF_COMPLEX, scalars);
    spec.kernel()
}

#[test]
fn complex_inputs_take_complex_numbers_only() {
    let y = ones(4, 2);
    let refused = |scalars: u32, x: Operand<'_>| {
        let call = Call::new(complex_dot(scalars)).arg("x", x).arg("y", &y);
        call.arg("gamma", &1.0_f32).run().unwrap_err()
    };
    let words = ["`x` holds f32, but the formula was compiled for Complex<f32> there", "not 2n"];
    check(refused(2, (&ones(3, 2)).into()), Code::Dtype, &words);
    let wrong = Array2::<Complex<f64>>::ones((3, 1));
    check(refused(2, (&wrong).into()), Code::Dtype, &["`x` holds Complex<f64>"]);
    let numbers = Array2::<Complex<f32>>::ones((3, 4));
    let words = ["`x` has 4 columns, but the formula was compiled for 1", "of 1 column"];
    check(refused(2, (&numbers).into()), Code::Columns, &words);
    let words = ["the stride of its columns is 2, not 1", "as_standard_layout"];
    check(refused(4, numbers.slice(s![.., ..;2]).into()), Code::Layout, &words);
    let words = ["`y` holds Complex<f32>, but the formula was compiled for f32 there"];
    let call = Call::new(fake::dot::<f32>()).arg("x", &y).arg("y", &numbers);
    check(call.arg("gamma", &1.0_f32).run().unwrap_err(), Code::Dtype, &words);
}

#[test]
fn shapes_are_checked() {
    for cols in [0, 1, 3] {
        let words = [&*format!("`y` has {cols} column"), "compiled for 2", "of 2 columns"];
        check(dot((3, 2), (4, cols)).unwrap_err(), Code::Columns, &words);
    }
    check(dot_x(&Array1::<f32>::ones(3)), Code::Rank, &["`x` is 1-d", "of shape (M, 2)"]);
    check(dot_x(&1.0_f32), Code::Rank, &["`x` is a scalar", "an i-variable of 2 columns"]);
    let (x, y, gamma) = (ones(3, 2), ones(3, 2), ones(2, 1));
    let call = || Call::new(fake::dot::<f32>()).arg("x", &x).arg("y", &y);
    let error = call().arg("gamma", &gamma).run().unwrap_err();
    check(error, Code::ParameterRows, &["`gamma` is a parameter of 1 row, but has 2 rows"]);
    let error = call().arg("gamma", gamma.column(0)).run().unwrap_err();
    check(error, Code::Columns, &["`gamma` has 2 columns"]);
}

#[test]
fn rows_are_checked() {
    let parts: [&[_]; 3] =
        [&[("x", I, 1, 0), ("y", J, 1, 0), ("w", J, 1, 0)], &[], &[("a", I, 1, 0)]];
    let code = fake::code::Product::<f32, 0, 1, 3, 0, 1>::cpu();
    let kernel = Spec::new::<f32>("weighted", parts).stage((I, J), &[3], code).kernel();
    let (x, y, w) = (ones(3, 1), ones(5, 1), ones(4, 1));
    let error = Call::new(kernel).arg("x", &x).arg("y", &y).arg("w", &w).run().unwrap_err();
    let words = ["weighted: `y` has 5 rows, but `w` has 4 rows", "both are j-variables"];
    check(error, Code::Rows, &words);

    let call = || Call::new(kernel).arg("x", &x).arg("y", &y).arg("w", &y);
    call().rows(3, 5).run().unwrap();
    let error = call().rows(3, 6).run().unwrap_err();
    check(error, Code::Rows, &["`y` has 5 rows, but the call says N = 6"]);

    let error = Call::new(fake::positions::<f32>()).run().unwrap_err();
    check(error, Code::RowsUnknown, &["no argument is an i-variable, so M is open", ".rows(m, n)"]);
}

#[test]
fn addresses_and_strides_are_checked() {
    let data = [0.0_f32; 64];
    let start = data.as_ptr();
    // SAFETY: never read: each of these is refused.
    let operand = |data, shape, strides| unsafe { Operand::from_raw_parts(data, shape, strides) };
    let odd = start.cast::<u8>().wrapping_add(1).cast();
    check(dot_x(operand(odd, (2, 2), (2, 1))), Code::Layout, &["`x` lies at 0x", "to 4 bytes"]);
    let null = std::ptr::null();
    check(dot_x(operand(null, (2, 2), (2, 1))), Code::Layout, &["`x` lies at 0x0"]);
    for strides in [(isize::MAX, 1), (isize::MIN, 1), (0, isize::MAX), (-(1 << 62), 1)] {
        let words = ["`x`: strides (", "reach outside of memory"];
        check(dot_x(operand(start, (1 << 40, 2), strides)), Code::Layout, &words);
    }
}

#[test]
fn empty_reductions_without_a_neutral_result_are_refused() {
    let (x, y) = (ones(3, 1), ones(0, 1));
    let error = Call::new(fake::argmin::<f32>()).arg("x", &x).arg("y", &y).run().unwrap_err();
    let words = ["nearest_point: the reduction over j is empty (N = 0)", "at least 1 row"];
    check(error, Code::TooFewColumns, &words);
    // Without rows there is no result to miss.
    let outputs = Call::new(fake::argmin::<f32>()).arg("x", &y).arg("y", &y).run();
    assert_eq!(outputs.unwrap().take::<i64>("nearest").unwrap().dim(), (0, 1));

    let mut spec = fake::dot_spec::<f32>();
    spec.stages[0].least_cols = 5;
    let (x, y) = (ones(3, 2), ones(4, 2));
    let call = Call::new(spec.kernel()).arg("x", &x).arg("y", &y).arg("gamma", &1.0_f32);
    check(call.run().unwrap_err(), Code::TooFewColumns, &["picks 5 of N = 4", "at least 5 rows"]);
}

#[test]
fn positions_must_be_exact() {
    let kernel = fake::positions::<f32>();
    let exact = (1 << 24) + 1;
    let error = Call::new(kernel).rows(1, exact + 1).run().unwrap_err();
    let words = ["reads pos(j) as f32", "exact for 16777217 rows, but N = 16777218", "for f64"];
    check(error, Code::Positions, &words);
    let error = Call::new(kernel).rows(exact + 1, 1).run().unwrap_err();
    check(error, Code::Positions, &["pos(i)", "M = 16777218"]);
    Call::new(kernel).rows(1, exact).run().unwrap();
    Call::new(fake::positions::<f64>()).rows(1, exact + 1).run().unwrap();
}

#[test]
fn sizes_that_overflow_are_refused() {
    let kernel = fake::positions::<f64>();
    let run = |m, n| Call::new(kernel).rows(m, n).run().unwrap_err();
    check(run(1 << 40, 1 << 30), Code::Overflow, &["1099511627776 x 1073741824 pairs"]);
    check(run(usize::MAX, 1), Code::Overflow, &["M = 18446744073709551615", "63 bits"]);
    check(run(1 << 46, 1), Code::Overflow, &["M = 70368744177664, but row numbers go up to"]);
    check(run(1, (1 << 45) + 1), Code::Overflow, &["N = 35184372088833", "blocks of rows"]);
    check(run(1 << 45, 1), Code::OutOfMemory, &["positions: no memory for", "output `a`"]);
    let row = ones(1, 2);
    let (cell, far) = (ones(1, 1), fake::argmin::<f32>());
    let tall = cell.broadcast((1 << 60, 1)).unwrap();
    let error = Call::new(far).arg("x", tall).arg("y", &cell).run().unwrap_err();
    check(error, Code::Overflow, &["`nearest` of 1152921504606846976 x 1 i64 does not fit"]);
    let wide = row.broadcast((1 << 45, 2)).unwrap();
    check(dot_x(wide), Code::OutOfMemory, &["dot: no memory for 140737488355328 bytes"]);
}

#[test]
fn temporaries_and_packed_columns_may_not_fit() {
    let (x, y) = (ones(1, 2), ones(1, 2));
    let wide = y.broadcast((1 << 45, 2)).unwrap();
    let call = Call::new(fake::dot::<f32>()).arg("x", &x).arg("y", wide).arg("gamma", &1.0_f32);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        // Columns come in panels, so that a number of them that no memory holds still runs.
        let error = call.options(Options::new().cancel(&stop)).run().unwrap_err();
        check(error, Code::Cancelled, &["dot: the run was cancelled"]);
    });
    let column = ones(1, 1);
    let wide = column.broadcast((1 << 45, 1)).unwrap();
    let call = Call::new(fake::chain::<f32>()).arg("x", &column).arg("y", wide);
    let error = call.arg("gamma", &1.0_f32).run().unwrap_err();
    check(error, Code::OutOfMemory, &["chain: no memory for 140737488355328 bytes of temp"]);
}

#[test]
fn outputs_are_checked() {
    let (x, y) = (ones(3, 2), ones(4, 2));
    let into = |output: OutputMut| {
        let call = Call::new(fake::dot::<f32>()).arg("x", &x).arg("y", &y).arg("gamma", &1.0_f32);
        call.out("a", output).run_into().unwrap_err()
    };
    for shape in [(2, 1), (4, 1), (3, 2), (3, 0), (1, 3)] {
        let words = [&*format!("`a` has shape {shape:?}"), "the result has (3, 1)"];
        check(into((&mut Array2::<f32>::ones(shape)).into()), Code::OutputShape, &words);
    }
    let words = ["has shape (2, 1), but the result has (3, 1)"];
    check(into((&mut Array1::<f32>::ones(2)).into()), Code::OutputShape, &words);
    let mut wide = ones(6, 2);
    let gaps = wide.slice_mut(s![..3, ..1]);
    check(into(gaps.into()), Code::OutputLayout, &["`a` has strides (2, 1), but needs (1, 1)"]);
    let backwards = wide.slice_mut(s![..3;-1, ..1]);
    check(into(backwards.into()), Code::OutputLayout, &["`a` has strides (-2, 1)"]);
}

#[test]
fn outputs_may_not_share_memory() {
    let mut data = [1.0_f32; 64];
    let start = data.as_mut_ptr();
    let y = ones(4, 2);
    let overlaps = |x_first: usize, strides: (isize, isize), a_first: usize| {
        // SAFETY: all inside of `data`; where they overlap, the call is refused unread.
        let (x, a) = unsafe {
            let x = Operand::from_raw_parts::<f32>(start.add(x_first), (3, 2), strides);
            (x, OutputMut::from_raw_parts(start.add(a_first), (3, 1)))
        };
        let call = Call::new(fake::dot::<f32>()).arg("x", x).arg("y", &y).arg("gamma", &1.0_f32);
        match call.out("a", a).run_into() {
            Ok(_) => false,
            Err(error) => {
                let words = ["dot: output `a` shares memory with `x`", "another array for `a`"];
                check(error, Code::Overlap, &words);
                true
            }
        }
    };
    assert!(overlaps(0, (2, 1), 0));
    assert!(overlaps(0, (2, 1), 5));
    assert!(!overlaps(0, (2, 1), 6));
    assert!(overlaps(3, (2, 1), 1));
    assert!(!overlaps(3, (2, 1), 0));
    assert!(overlaps(20, (-10, 1), 0), "a negative stride reaches down");
    assert!(!overlaps(20, (-8, 1), 0));
    assert!(overlaps(0, (1, 20), 20), "a column stride reaches up");
    assert!(!overlaps(0, (0, 1), 2), "a stride of zero stays");

    // Two outputs may not share memory either.
    let (x, y) = (ones(3, 1), ones(3, 1));
    let mut memory = [0_i64; 8];
    let start = memory.as_mut_ptr();
    // SAFETY: inside of `memory`; the call is refused.
    let (dist, nearest) = unsafe {
        let dist = OutputMut::from_raw_parts(start.cast::<f32>(), (3, 1));
        (dist, OutputMut::from_raw_parts(start.add(1), (3, 1)))
    };
    let call = Call::new(fake::argmin::<f32>()).arg("x", &x).arg("y", &y);
    let error = call.out("dist", dist).out("nearest", nearest).run_into().unwrap_err();
    check(error, Code::Overlap, &["output `nearest` shares memory with `dist`"]);
}

#[test]
fn cuda_without_a_device_is_an_error_and_auto_is_not() {
    let (x, y) = (ones(3, 2), ones(4, 2));
    let call = |policy| {
        let call = Call::new(fake::dot::<f32>()).arg("x", &x).arg("y", &y).arg("gamma", &1.0_f32);
        call.options(Options::new().executor(policy)).run()
    };
    let error = call(Policy::Cuda).unwrap_err();
    assert!([Code::NoDevice, Code::NoImage].contains(&error.code()), "{error}");
    assert!(error.to_string().contains("Policy::Auto"), "{error}");
    let outputs = call(Policy::Auto).unwrap();
    assert_eq!(outputs.report().note, None, "nobody missed a device");
    assert_eq!(call(Policy::Cpu).unwrap().report().note, None);
}

#[test]
fn views_of_other_lifetimes_do() {
    // An operand lives as long as its data, not as the view that it was made from.
    let data = ones(3, 2);
    let operand = {
        let view: ArrayView2<f32> = data.view();
        Operand::from(view)
    };
    let call = Call::new(fake::dot::<f32>()).arg("x", operand.clone()).arg("y", operand);
    call.arg("gamma", &1.0_f32).run().unwrap();
}

#[test]
fn a_kernel_says_what_it_is() {
    let kernel = fake::chain::<f64>();
    assert_eq!((kernel.name(), kernel.text()), ("chain", "text of the formula"));
    assert_eq!(kernel.key_hex(), "07".repeat(32));
    assert_eq!(format!("{kernel:?}"), "Kernel(chain f64 070707070707)");
    assert_eq!(kernel.inputs().map(|v| v.name).collect::<Vec<_>>(), ["x", "y", "gamma"]);
    assert_eq!(kernel.outputs().map(|v| v.name).collect::<Vec<_>>(), ["a", "s", "twice"]);
    let stages: Vec<String> = kernel.stages().map(|stage| format!("{stage:?}")).collect();
    assert_eq!(stages, ["Stage(j x i)", "Stage(i x j)", "Stage(1 x j)", "Stage(i x 1)"]);
}
