//! The CPU executor. Goes in: a kernel and a checked table. Comes out: outputs and a report. It
//! never folds in an order that depends on the number of threads.

#[cfg_attr(not(feature = "lazy"), allow(dead_code, reason = "programs are made by `interp`"))]
mod code;
mod grid;
pub(crate) mod memory;
mod pool;
mod stage;
#[cfg_attr(not(feature = "lazy"), allow(dead_code, reason = "programs are made by `interp`"))]
mod table;

use std::time::Instant;

pub(crate) use self::code::{Packed, Program};
use self::grid::Limits;
use self::stage::Job;
pub(crate) use self::table::{Real, Results, Table};
use crate::bind::Bound;
use crate::error::Error;
use crate::kernel::{CpuStage, Kernel, Stage};
use crate::level;
use crate::options::Options;
use crate::report::{Executor, Report, StageReport};
use crate::words;

/// Runs every stage, with compiled code.
pub(crate) fn run(kernel: &Kernel, bound: Bound, options: &Options) -> Result<Report, Error> {
    run_with(kernel, bound, options, Limits::DEFAULT)
}

/// As [`run`], with programs: one for each stage.
#[cfg(feature = "lazy")]
pub(crate) fn interpret(
    kernel: &Kernel,
    stages: &[CpuStage],
    bound: Bound,
    options: &Options,
) -> Result<Report, Error> {
    run_stages((kernel, stages), bound, Executor::Interpreted, options, Limits::DEFAULT)
}

fn run_with(
    kernel: &Kernel,
    bound: Bound,
    options: &Options,
    limits: Limits,
) -> Result<Report, Error> {
    let level = level::choose(kernel, options.level)?;
    let stages = kernel.stages().map(|stage| stage.cpu(level)).collect::<Option<Vec<_>>>();
    let stages = stages.ok_or_else(|| words::no_level(kernel, Some(level)))?;
    run_stages((kernel, &stages), bound, Executor::Cpu(level), options, limits)
}

/// Runs every stage of a kernel, given the code of each.
fn run_stages(
    (kernel, stages): (&Kernel, &[CpuStage]),
    mut bound: Bound,
    executor: Executor,
    options: &Options,
    limits: Limits,
) -> Result<Report, Error> {
    let start = Instant::now();
    let jobs = jobs((kernel, stages), &bound, options, limits);
    let mut temps = Vec::new();
    for (index, bytes) in bound.temps(kernel).collect::<Vec<_>>() {
        let mut buffer = memory::lines(kernel.name(), bytes, "temporaries")?;
        bound.place_temp(index, buffer.as_mut_ptr().cast());
        temps.push(buffer);
    }
    // SAFETY: `Bound` checked the caller's arrays against the kernel's values, and the caller
    // holds them borrowed while this runs; temporaries live in `temps` until the end.
    let table = unsafe { Table::new(kernel, bound.values) };
    let work = || -> Result<Vec<StageReport>, Error> {
        jobs.iter().map(|job| timed(job, &table, limits)).collect()
    };
    let stages = if jobs.iter().any(|job| job.parallel) {
        pool::install(options.threads, work)??
    } else {
        work()?
    };
    let seconds = start.elapsed().as_secs_f64();
    Ok(Report { executor, stages, seconds, note: None })
}

fn timed(job: &Job, table: &Table, limits: Limits) -> Result<StageReport, Error> {
    let start = Instant::now();
    job.run(table, limits)?;
    let cols = if job.fold.is_some() { job.cols } else { 1 };
    Ok(StageReport::new(job.rows, cols, job.pair_ops, start.elapsed().as_secs_f64()))
}

fn jobs<'a>(
    (kernel, stages): (&'a Kernel, &[CpuStage<'a>]),
    bound: &Bound,
    options: &'a Options<'a>,
    limits: Limits,
) -> Vec<Job<'a>> {
    let job = |(stage, &code): (Stage, &CpuStage<'a>)| {
        let rows = bound.sizes.of(stage.row_axis());
        let fold = stage.col_axis().and(code.fold);
        let cols = if fold.is_some() { bound.sizes.of(stage.col_axis()) } else { 1 };
        let pair_ops = stage.pair_ops();
        let large = padded_ops(&code, rows, cols, pair_ops) >= limits.serial_ops;
        let parallel = large && options.threads != Some(1);
        Job { name: kernel.name(), code, fold, rows, cols, pair_ops, parallel, options }
    };
    kernel.stages().zip(stages).map(job).collect()
}

/// The operations of a stage. Lanes without a row work like the others.
fn padded_ops(code: &CpuStage, rows: usize, cols: usize, pair_ops: f64) -> f64 {
    let rows = rows.div_ceil(code.lanes) as f64 * code.lanes as f64;
    rows * cols as f64 * pair_ops.max(1.0)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};

    use super::*;
    use crate::fake;
    use crate::operand::{Operand, OutputMut};

    const TINY: Limits =
        Limits { serial_ops: 0.0, tasks: 16, chunk: 256, panel_bytes: 8 << 10, state_bytes: 640 };

    /// Small integers, whose sums are exact in any order.
    fn points(rows: usize, cols: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, cols), |(r, c)| ((r * 7 + c * 3) % 11) as f32 - 5.0)
    }

    fn dot(x: &Array2<f32>, y: &Array2<f32>, threads: usize, limits: Limits) -> Array1<f32> {
        let kernel = fake::dot::<f32>();
        let inputs = [Operand::from(x).raw, Operand::from(y).raw, Operand::from(&2.0_f32).raw];
        let mut bound = Bound::inputs(kernel, &inputs, None).unwrap();
        let mut a = Array1::from_elem(x.nrows(), f32::NAN);
        bound.outputs(kernel, &[OutputMut::from(&mut a).raw]).unwrap();
        run_with(kernel, bound, &Options::new().threads(threads), limits).unwrap();
        a
    }

    #[test]
    fn groups_and_panels_give_the_same_sums() {
        let shapes = [(5, 600), (5, 0), (1, 1), (3, 5000), (4, 256), (37, 257), (90, 3000)];
        // Miri runs the first ones: it is slow, and they take every path.
        let shapes = if cfg!(miri) { &shapes[..2] } else { &shapes };
        for &(rows, cols) in shapes {
            let (x, y) = (points(rows, 2), points(cols, 2));
            let expected = x.dot(&y.sum_axis(ndarray::Axis(0))) * 2.0;
            let grids = [
                Limits::DEFAULT,
                TINY,
                Limits { panel_bytes: 1, ..TINY },
                Limits { state_bytes: 1, ..TINY },
                Limits { tasks: 1, ..TINY },
            ];
            for (limits, threads) in grids.into_iter().flat_map(|l| [(l, 1), (l, 2), (l, 3)]) {
                assert_eq!(dot(&x, &y, threads, limits), expected, "{rows} {cols} {limits:?}");
            }
        }
    }
}
