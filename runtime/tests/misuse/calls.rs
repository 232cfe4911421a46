//! Bad calls of a good kernel.

use std::ptr;
use std::sync::atomic::AtomicBool;

use ndarray::{Array1, Array2, s};
use tilefold::{Call, Code, Complex, Error, Kernel, Level, Operand, Options, OutputMut};
use tilefold::{Policy, Ranges, bf16, f16, run, sys};

use crate::{Bench, fake, misuse, refused};
use fake::{I, J, ONE, Spec};

/// `dot` with another x.
fn with_x<'a>(b: &'a Bench, x: impl Into<Operand<'a>>) -> Result<(), Error> {
    let call = Call::new(fake::dot::<f32>()).arg("x", x).arg("y", &b.y).arg("gamma", &b.gamma);
    call.out("a", b.output()).run_into().map(drop)
}

/// `dot` with another y.
fn with_y<'a>(b: &'a Bench, y: impl Into<Operand<'a>>) -> Result<(), Error> {
    let call = Call::new(fake::dot::<f32>()).arg("x", &b.x).arg("y", y).arg("gamma", &b.gamma);
    call.out("a", b.output()).run_into().map(drop)
}

/// `dot` with another gamma.
fn with_gamma<'a>(b: &'a Bench, gamma: impl Into<Operand<'a>>) -> Result<(), Error> {
    let call = Call::new(fake::dot::<f32>()).arg("x", &b.x).arg("y", &b.y).arg("gamma", gamma);
    call.out("a", b.output()).run_into().map(drop)
}

/// `dot` with another output.
fn with_out<'a>(b: &'a Bench, out: impl Into<OutputMut<'a>>) -> Result<(), Error> {
    right(b).out("a", out).run_into().map(drop)
}

/// `dot` with everything but its output.
fn right(b: &Bench) -> Call<'_> {
    Call::new(fake::dot::<f32>()).arg("x", &b.x).arg("y", &b.y).arg("gamma", &b.gamma)
}

fn with_options(b: &Bench, options: Options<'_>) -> Result<(), Error> {
    right(b).options(options).out("a", b.output()).run_into().map(drop)
}

fn with_ranges(b: &Bench, blocks: &[[usize; 4]]) -> Result<(), Error> {
    let ranges = Ranges::from_blocks(blocks.iter().map(|&[a, b, c, d]| (a..b, c..d)))?;
    right(b).ranges(&ranges).out("a", b.output()).run_into().map(drop)
}

/// x by address, shape and strides.
fn raw_x<T: tilefold::Component>(
    b: &Bench,
    data: *const T,
    shape: (usize, usize),
    strides: (isize, isize),
) -> Result<(), Error> {
    // SAFETY: every call with it is refused unread; that is what is tested.
    with_x(b, unsafe { Operand::from_raw_parts(data, shape, strides) })
}

/// `dot` whose x holds labels, or one complex number a row.
fn dot_of(kind: u32) -> &'static Kernel {
    let mut spec = fake::dot_spec::<f32>();
    spec.values[0].kind = kind;
    spec.kernel()
}

fn of_kind<'a>(b: &'a Bench, kind: u32, x: impl Into<Operand<'a>>) -> Result<(), Error> {
    let call = Call::new(dot_of(kind)).arg("x", x).arg("y", &b.y).arg("gamma", &b.gamma);
    call.out("a", b.output()).run_into().map(drop)
}

/// The nearest point, with outputs of choice.
fn nearest<'a>(
    b: &'a Bench,
    y: &'a Array2<f32>,
    dist: impl Into<OutputMut<'a>>,
    index: impl Into<OutputMut<'a>>,
) -> Result<(), Error> {
    let x = b.x.slice(s![.., ..1]);
    let call = Call::new(fake::argmin::<f32>()).arg("x", x).arg("y", y);
    call.out("dist", dist).out("nearest", index).run_into().map(drop)
}

fn points(rows: usize) -> Array2<f32> {
    Array2::ones((rows, 1))
}

/// Two variables of j.
fn weighted() -> &'static Kernel {
    let parts: [&[_]; 3] =
        [&[("x", I, 1, 0), ("y", J, 1, 0), ("w", J, 1, 0)], &[], &[("a", I, 1, 0)]];
    let code = fake::code::Product::<f32, 0, 1, 3, 0, 1>::cpu();
    Spec::new::<f32>("weighted", parts).stage((I, J), &[3], code).kernel()
}

fn of_rows(b: &Bench, y: usize, w: usize, said: Option<(usize, usize)>) -> Result<(), Error> {
    let (x, y, w) = (points(3), points(y), points(w));
    let call = Call::new(weighted()).arg("x", &x).arg("y", &y).arg("w", &w).out("a", b.output());
    match said {
        Some((m, n)) => call.rows(m, n),
        None => call,
    }
    .run_into()
    .map(drop)
}

fn positions<T: fake::code::Real>(m: usize, n: usize) -> Result<(), Error> {
    Call::new(fake::positions::<T>()).rows(m, n).run().map(drop)
}

/// A level that no code of the kernel has.
fn at_missing_level(b: &Bench) -> Result<(), Error> {
    let mut spec = fake::dot_spec::<f32>();
    spec.stages[0].cpu = [ptr::null(); 4];
    let call = Call::new(spec.kernel()).arg("x", &b.x).arg("y", &b.y).arg("gamma", &b.gamma);
    call.out("a", b.output()).run_into().map(drop)
}

misuse! { refused;
    // names and counts
    misuse_unknown_argument UnknownArgument |b| right(b).arg("z", &b.x).run().map(drop),
    misuse_argument_in_capitals UnknownArgument |b| right(b).arg("X", &b.x).run().map(drop),
    misuse_output_as_argument UnknownArgument |b| right(b).arg("a", &b.x).run().map(drop),
    misuse_empty_name UnknownArgument |b| right(b).arg("", &b.x).run().map(drop),
    misuse_no_arguments MissingArgument
        |b| Call::new(fake::dot::<f32>()).out("a", b.output()).run_into().map(drop),
    misuse_argument_missing MissingArgument
        |b| Call::new(fake::dot::<f32>()).arg("x", &b.x).arg("y", &b.y).run().map(drop),
    misuse_argument_twice Repeated |b| right(b).arg("x", &b.x).run().map(drop),
    misuse_unknown_output UnknownOutput
        |b| right(b).out("b", b.output()).run_into().map(drop),
    misuse_argument_as_output UnknownOutput
        |b| right(b).out("x", b.output()).run_into().map(drop),
    misuse_no_output MissingOutput |b| right(b).run_into().map(drop),
    misuse_output_twice Repeated
        |b| right(b).out("a", b.output()).out("a", b.output_at(8, (3, 1))).run_into().map(drop),
    misuse_output_for_run Repeated |b| right(b).out("a", b.output()).run().map(drop),
    misuse_output_taken_twice MissingOutput |b| {
        let mut outputs = right(b).run()?;
        outputs.take::<f32>("a")?;
        outputs.take::<f32>("a").map(drop)
    },
    misuse_output_taken_as_other_type Dtype
        |b| right(b).run()?.take::<f64>("a").map(drop),
    misuse_too_few_inputs Count |b| {
        run(fake::dot::<f32>(), &[(&b.x).into()], [b.output()], None, &Options::new()).map(drop)
    },
    misuse_too_many_inputs Count |b| {
        let inputs = [&b.x, &b.x, &b.x, &b.y].map(Operand::from);
        run(fake::dot::<f32>(), &inputs, [b.output()], None, &Options::new()).map(drop)
    },
    misuse_too_many_outputs Count |b| {
        let inputs = [(&b.x).into(), (&b.y).into(), (&b.gamma).into()];
        let outputs = [b.output(), b.output_at(8, (3, 1))];
        run(fake::dot::<f32>(), &inputs, outputs, None, &Options::new()).map(drop)
    },

    // types of numbers
    misuse_f64_for_f32 Dtype |b| with_x(b, &Array2::<f64>::ones((3, 2))),
    misuse_f16_for_f32 Dtype |b| with_x(b, &Array2::from_elem((3, 2), f16::ONE)),
    misuse_bf16_for_f32 Dtype |b| with_x(b, &Array2::from_elem((3, 2), bf16::ONE)),
    misuse_integers_for_f32 Dtype |b| with_x(b, &Array2::<i64>::ones((3, 2))),
    misuse_complex_for_real Dtype
        |b| with_x(b, &Array2::from_elem((3, 2), Complex::new(1.0_f32, 0.0))),
    misuse_types_mixed Dtype |b| with_y(b, &Array2::<f64>::ones((4, 2))),
    misuse_f64_for_parameter Dtype |b| with_gamma(b, &0.5_f64),
    misuse_real_for_labels Dtype |b| of_kind(b, sys::TF_INDEX, &b.x),
    misuse_real_for_complex Dtype |b| of_kind(b, sys::TF_COMPLEX, &b.x),
    misuse_complex_of_other_width Dtype
        |b| of_kind(b, sys::TF_COMPLEX, &Array2::from_elem((3, 1), Complex::new(1.0_f64, 0.0))),
    misuse_output_of_f64 Dtype |b| with_out(b, &mut Array2::<f64>::ones((3, 1))),
    misuse_output_of_integers Dtype |b| with_out(b, &mut Array2::<i64>::ones((3, 1))),
    misuse_rows_into_reals Dtype
        |b| nearest(b, &points(4), b.output(), b.output_at(8, (3, 1))),

    // shapes
    misuse_too_few_columns Columns |b| with_x(b, b.x.slice(s![.., ..1])),
    misuse_too_many_columns Columns |b| with_x(b, &Array2::<f32>::ones((3, 3))),
    misuse_no_columns Columns |b| with_x(b, &Array2::<f32>::ones((3, 0))),
    misuse_columns_of_the_other_variable Columns |b| with_y(b, &Array2::<f32>::ones((4, 7))),
    misuse_transposed_points Columns |b| with_y(b, b.y.t()),
    misuse_long_parameter Columns |b| with_gamma(b, &Array1::<f32>::ones(2)),
    misuse_empty_parameter Columns |b| with_gamma(b, &Array1::<f32>::ones(0)),
    misuse_complex_as_pairs_of_columns Columns
        |b| of_kind(b, sys::TF_COMPLEX, &Array2::from_elem((3, 2), Complex::new(1.0_f32, 0.0))),
    misuse_vector_for_matrix Rank |b| with_x(b, &Array1::<f32>::ones(3)),
    misuse_scalar_for_matrix Rank |b| with_x(b, &1.0_f32),
    misuse_matrix_for_parameter ParameterRows |b| with_gamma(b, &Array2::<f32>::ones((2, 1))),
    misuse_no_row_for_parameter ParameterRows |b| with_gamma(b, &Array2::<f32>::ones((0, 1))),
    misuse_rows_of_two_variables Rows |b| of_rows(b, 5, 4, None),
    misuse_rows_said_wrong Rows |b| of_rows(b, 5, 5, Some((3, 6))),
    misuse_targets_said_wrong Rows |b| of_rows(b, 5, 5, Some((2, 5))),
    misuse_rows_unknown RowsUnknown |_| Call::new(fake::positions::<f32>()).run().map(drop),
    misuse_nearest_of_none TooFewColumns |b| {
        nearest(b, &points(0), b.output(), &mut Array2::<i64>::zeros((3, 1)))
    },
    misuse_more_neighbours_than_points TooFewColumns |b| {
        let mut spec = fake::dot_spec::<f32>();
        spec.stages[0].least_cols = 5;
        let call = Call::new(spec.kernel()).arg("x", &b.x).arg("y", &b.y).arg("gamma", &b.gamma);
        call.out("a", b.output()).run_into().map(drop)
    },

    // addresses and strides
    misuse_null_input Layout |b| raw_x::<f32>(b, ptr::null(), (3, 2), (2, 1)),
    misuse_null_parameter Layout |b| {
        // SAFETY: refused unread.
        with_gamma(b, unsafe { Operand::from_raw_parts::<f32>(ptr::null(), (1, 1), (1, 1)) })
    },
    misuse_null_output Layout |b| {
        // SAFETY: refused unread.
        with_out(b, unsafe { OutputMut::from_raw_parts(ptr::null_mut::<f32>(), (3, 1)) })
    },
    misuse_misaligned_input Layout
        |b| raw_x(b, b.x.as_ptr().cast::<u8>().wrapping_add(1).cast::<f32>(), (2, 2), (2, 1)),
    misuse_misaligned_output Layout |b| {
        let odd = b.x.as_ptr().cast_mut().cast::<u8>().wrapping_add(2).cast::<f32>();
        // SAFETY: refused unwritten.
        with_out(b, unsafe { OutputMut::from_raw_parts(odd, (3, 1)) })
    },
    misuse_stride_past_memory Layout |b| raw_x(b, b.x.as_ptr(), (3, 2), (isize::MAX, 1)),
    misuse_stride_below_memory Layout |b| raw_x(b, b.x.as_ptr(), (3, 2), (isize::MIN, 1)),
    misuse_column_stride_past_memory Layout |b| raw_x(b, b.x.as_ptr(), (3, 2), (0, isize::MAX)),
    misuse_complex_with_gaps Layout |b| {
        let numbers = Array2::from_elem((3, 4), Complex::new(1.0_f32, 0.0));
        let mut spec = fake::dot_spec::<f32>();
        (spec.values[0].kind, spec.values[0].dim) = (sys::TF_COMPLEX, 4);
        let x = numbers.slice(s![.., ..;2]);
        let call = Call::new(spec.kernel()).arg("x", x).arg("y", &b.y).arg("gamma", &b.gamma);
        call.out("a", b.output()).run_into().map(drop)
    },

    // sizes
    misuse_negative_rows Overflow |_| positions::<f64>(usize::MAX, 1),
    misuse_pairs_past_63_bits Overflow |_| positions::<f64>(1 << 40, 1 << 30),
    misuse_more_rows_than_numbers Overflow |_| positions::<f64>(1 << 46, 1),
    misuse_positions_past_f32 Positions |_| positions::<f32>(1, (1 << 24) + 2),
    misuse_target_positions_past_f32 Positions |_| positions::<f32>((1 << 24) + 2, 1),
    misuse_result_past_memory OutOfMemory |_| positions::<f64>(1 << 45, 1),

    // outputs
    misuse_output_too_short OutputShape |b| with_out(b, b.output_at(0, (2, 1))),
    misuse_output_too_long OutputShape |b| with_out(b, b.output_at(0, (4, 1))),
    misuse_output_too_wide OutputShape |b| with_out(b, b.output_at(0, (3, 2))),
    misuse_output_without_columns OutputShape |b| with_out(b, b.output_at(0, (3, 0))),
    misuse_output_transposed OutputShape |b| with_out(b, b.output_at(0, (1, 3))),
    misuse_output_vector_too_short OutputShape |b| with_out(b, &mut Array1::<f32>::ones(2)),
    misuse_output_with_gaps OutputLayout
        |b| with_out(b, Array2::<f32>::ones((6, 2)).slice_mut(s![..3, ..1])),
    misuse_output_backwards OutputLayout
        |b| with_out(b, Array2::<f32>::ones((3, 1)).slice_mut(s![..;-1, ..])),
    misuse_output_is_input Overlap |b| {
        let call = right_but_x(b, b.in_output(0, (3, 2)));
        call.out("a", b.output()).run_into().map(drop)
    },
    misuse_output_ends_in_input Overlap |b| {
        let call = right_but_x(b, b.in_output(2, (3, 2)));
        call.out("a", b.output()).run_into().map(drop)
    },
    misuse_output_starts_in_input Overlap |b| {
        let call = right_but_x(b, b.in_output(-5, (3, 2)));
        call.out("a", b.output()).run_into().map(drop)
    },
    misuse_output_is_parameter Overlap |b| with_gamma(b, b.in_output(1, (1, 1))),
    misuse_outputs_share_memory Overlap |b| {
        let mut rows = [0_i64; 8];
        let start = rows.as_mut_ptr();
        // SAFETY: inside of `rows`; the call is refused.
        let (dist, index) = unsafe {
            let dist = OutputMut::from_raw_parts(start.cast::<f32>(), (3, 1));
            (dist, OutputMut::from_raw_parts(start.add(1), (3, 1)))
        };
        nearest(b, &points(4), dist, index)
    },

    // executors
    misuse_level_without_code Level at_missing_level,
    misuse_level_of_another_machine Level |b| {
        let other = if cfg!(target_arch = "aarch64") { Level::V3 } else { Level::Neon };
        with_options(b, Options::new().level(other))
    },
    misuse_cancelled_before_start Cancelled
        |b| with_options(b, Options::new().cancel(&AtomicBool::new(true))),

    // ranges
    misuse_range_past_targets RangesOutside |b| with_ranges(b, &[[0, 4, 0, 4]]),
    misuse_range_past_sources RangesOutside |b| with_ranges(b, &[[0, 3, 0, 5]]),
    misuse_range_at_the_end_of_numbers RangesOutside
        |b| with_ranges(b, &[[usize::MAX - 1, usize::MAX, 0, 1]]),
    misuse_range_backwards Ranges |b| with_ranges(b, &[[2, 1, 0, 4]]),
    misuse_ranges_under_a_total RangesKernel ranges_under_a_total,
    misuse_pair_named_twice Ranges |b| with_ranges(b, &[[0, 2, 0, 4], [1, 3, 3, 4]]),
}

/// A kernel whose first stage leaves one number for all rows.
fn ranges_under_a_total(b: &Bench) -> Result<(), Error> {
    let inputs = [("x", I, 1, 0), ("y", J, 1, 0), ("gamma", ONE, 1, 0)];
    let parts: [&[_]; 3] = [&inputs, &[("t", ONE, 1, 0)], &[("a", I, 1, 0)]];
    let kernel = Spec::new::<f32>("total", parts)
        .stage((ONE, J), &[3], fake::code::Product::<f32, 2, 1, 3, 2, 1>::cpu())
        .stage((I, J), &[4], fake::code::Product::<f32, 0, 1, 4, 2, 1>::cpu())
        .kernel();
    let ranges = Ranges::from_blocks([(0..3, 0..4)])?;
    let (x, y) = (points(3), points(4));
    let call = Call::new(kernel).arg("x", &x).arg("y", &y).arg("gamma", &b.gamma);
    call.ranges(&ranges).out("a", b.output()).run_into().map(drop)
}

fn right_but_x<'a>(b: &'a Bench, x: Operand<'a>) -> Call<'a> {
    Call::new(fake::dot::<f32>()).arg("x", x).arg("y", &b.y).arg("gamma", &b.gamma)
}

/// Without a device or without an image, whichever is missing first.
#[test]
fn misuse_cuda_without_device() {
    let bench = Bench::new();
    let before = bench.numbers();
    let options = Options::new().executor(Policy::Cuda).device(99);
    let error = with_options(&bench, options).unwrap_err();
    assert!([Code::NoDevice, Code::NoImage].contains(&error.code()), "{error}");
    assert_eq!(before, bench.numbers());
}
