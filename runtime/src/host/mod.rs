//! The CPU executor. Goes in: a kernel and a checked table. Comes out: outputs and a report. It
//! never folds in an order that depends on the number of threads.

#[cfg_attr(not(feature = "lazy"), allow(dead_code, reason = "programs are made by `interp`"))]
mod code;
mod fused;
mod grid;
pub(crate) mod memory;
mod pool;
mod stage;
#[cfg_attr(not(feature = "lazy"), allow(dead_code, reason = "programs are made by `interp`"))]
mod table;
mod tiles;

use std::time::Instant;

use smallvec::SmallVec;

#[cfg(feature = "lazy")]
pub(crate) use self::code::Packed;
pub(crate) use self::code::Program;
use self::grid::Limits;
use self::stage::Job;
pub(crate) use self::table::Table;
#[cfg(feature = "lazy")]
pub(crate) use self::table::{Real, Results};
use self::tiles::Tiles;
use crate::batch::Batch;
use crate::bind::Bound;
use crate::error::Error;
use crate::kernel::{CpuStage, Kernel, Map, Stage};
use crate::level;
use crate::options::Options;
use crate::ranges::Ranges;
use crate::report::{Executor, Report, StageReport, Tier};
use crate::words;

/// From this many items on they run beside each other, whatever their size.
const MANY_ITEMS: usize = 64;

/// Runs every stage, with compiled code.
pub(crate) fn run(kernel: &Kernel, bound: Bound, options: &Options) -> Result<Report, Error> {
    run_with(kernel, bound, options, Limits::DEFAULT)
}

/// As [`run`], with programs: `code` gives that of a stage, for that many rows, all of which fold
/// the same columns or not.
#[cfg(feature = "lazy")]
pub(crate) fn interpret<'p>(
    kernel: &Kernel,
    code: impl Fn(usize, usize, bool) -> CpuStage<'p>,
    mut bound: Bound,
    options: &Options,
) -> Result<Report, Error> {
    bound.batch_to_rows(kernel);
    let is_dense = bound.ranges.is_none();
    let stages: SmallVec<[CpuStage; 1]> = kernel
        .stages()
        .enumerate()
        .map(|(n, stage)| code(n, bound.sizes.of(stage.row_axis()), is_dense))
        .collect();
    run_stages((kernel, &stages), bound, Executor::Interpreted, options, Limits::DEFAULT)
}

fn run_with(
    kernel: &Kernel,
    mut bound: Bound,
    options: &Options,
    limits: Limits,
) -> Result<Report, Error> {
    let level = level::choose(kernel, options.level)?;
    bound.batch_to_rows(kernel);
    let is_dense = bound.ranges.is_none();
    let code = |stage: Stage| {
        let rows = bound.sizes.of(stage.row_axis());
        let few = if is_dense { stage.cpu_of_few(level, rows) } else { None };
        few.or_else(|| stage.cpu(level))
    };
    let stages: Option<SmallVec<[CpuStage; 1]>> = kernel.stages().map(code).collect();
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
    let ranges = bound.ranges.take();
    let jobs = jobs((kernel, stages), (&bound, ranges.as_ref()), options, limits)?;
    let mut temps = Vec::new();
    for (index, bytes) in bound.temps(kernel).collect::<Vec<_>>() {
        let mut buffer = memory::lines(kernel.name(), bytes, "temporaries")?;
        bound.place_temp(index, buffer.as_mut_ptr().cast());
        temps.push(buffer);
    }
    let has_programs = stages.iter().any(|code| matches!(code.map, Map::Program(_)));
    // SAFETY: `Bound` checked the caller's arrays against the kernel's values, and the caller
    // holds them borrowed while this runs; temporaries live in `temps` until the end.
    let table = unsafe { Table::new(kernel, bound.values, bound.batch, has_programs) };
    let mut clock = Clock { start, last: start };
    let mut work = || -> Result<Vec<StageReport>, Error> {
        jobs.iter().map(|job| timed(job, &table, limits, &mut clock)).collect()
    };
    let stages = if jobs.iter().any(|job| job.parallel || job.across) {
        pool::install(options.threads, work)??
    } else {
        work()?
    };
    let seconds = (clock.last - clock.start).as_secs_f64();
    Ok(Report { executor, tier: Tier::Linked, prepared: 0.0, stages, seconds, note: None })
}

/// The clock of a call. It is read once a stage: where that takes 60 ns, as in some virtual
/// machines, twice would be felt by small calls.
struct Clock {
    start: Instant,
    /// When the latest stage ended.
    last: Instant,
}

fn timed(
    job: &Job,
    table: &Table,
    limits: Limits,
    clock: &mut Clock,
) -> Result<StageReport, Error> {
    job.run(table, limits)?;
    let (rows, cols, pairs) = (job.tiles.rows(), job.tiles.cols(), job.tiles.pairs());
    let pairs = pairs.saturating_mul(table.items().unwrap_or(1) as u64);
    let now = Instant::now();
    let seconds = (now - clock.last).as_secs_f64();
    clock.last = now;
    Ok(StageReport::new((rows, cols, pairs), job.pair_ops, seconds))
}

fn jobs<'a>(
    (kernel, stages): (&'a Kernel, &[CpuStage<'a>]),
    (bound, ranges): (&Bound, Option<&'a Ranges>),
    options: &'a Options<'a>,
    limits: Limits,
) -> Result<SmallVec<[Job<'a>; 1]>, Error> {
    let job = |(stage, &code): (Stage, &CpuStage<'a>)| {
        let (row_axis, col_axis) = (stage.row_axis(), stage.col_axis());
        let rows = bound.sizes.of(row_axis);
        let fold = col_axis.and(code.fold);
        let cols = if fold.is_some() { bound.sizes.of(col_axis) } else { 1 };
        let tiles = match (ranges, row_axis, fold) {
            (Some(ranges), Some(axis), Some(_)) => {
                Tiles::sparse(kernel.name(), code.lanes, (rows, cols), ranges.half(axis))?
            }
            _ => Tiles::dense(code.lanes, rows, cols),
        };
        let (name, pair_ops) = (kernel.name(), stage.pair_ops());
        let mut job =
            Job { name, code, fold, tiles, pair_ops, across: false, parallel: false, options };
        if options.threads != Some(1) {
            job.across = bound.batch.as_ref().is_some_and(|batch| across(&job, batch, limits));
            job.parallel = !job.across && job.padded_ops() >= limits.serial_ops;
        }
        Ok(job)
    };
    kernel.stages().zip(stages).map(job).collect()
}

/// Whether the items of a batch run beside each other instead of one after the other: they do if
/// there is enough work for threads but not in one item, or if there are many items. A number of
/// items at a time keep their packed columns, so these have to be small.
fn across(job: &Job, batch: &Batch, limits: Limits) -> bool {
    let (items, ops) = (batch.items(), job.padded_ops());
    let packed = job.tiles.cols().saturating_mul(job.code.col_bytes);
    items > 1
        && ops * items as f64 >= limits.serial_ops
        && (ops < limits.serial_ops || items >= MANY_ITEMS)
        && packed <= limits.panel_bytes / MANY_ITEMS
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};

    use super::*;
    use crate::fake;
    use crate::operand::{Operand, OutputMut};

    const TINY: Limits = Limits {
        serial_ops: 0.0,
        tasks: 16,
        large_state: 64,
        chunk: 256,
        panel_bytes: 8 << 10,
        state_bytes: 640,
    };

    /// Small integers, whose sums are exact in any order.
    fn points(rows: usize, cols: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, cols), |(r, c)| ((r * 7 + c * 3) % 11) as f32 - 5.0)
    }

    fn dot(
        (x, y): (&Array2<f32>, &Array2<f32>),
        ranges: Option<&Ranges>,
        threads: usize,
        limits: Limits,
    ) -> Array1<f32> {
        let kernel = fake::dot::<f32>();
        let inputs = [Operand::from(x).raw, Operand::from(y).raw, Operand::from(&2.0_f32).raw];
        let mut bound = Bound::inputs(kernel, &inputs, None).unwrap();
        ranges.map_or(Ok(()), |ranges| bound.restrict(kernel, ranges)).unwrap();
        let mut a = Array1::from_elem(x.nrows(), f32::NAN);
        bound.outputs(kernel, &[OutputMut::from(&mut a).raw]).unwrap();
        run_with(kernel, bound, &Options::new().threads(threads), limits).unwrap();
        a
    }

    /// Ways to cut a stage, with numbers of threads.
    fn cuts() -> impl Iterator<Item = (Limits, usize)> {
        let grids = [
            Limits::DEFAULT,
            TINY,
            Limits { panel_bytes: 1, ..TINY },
            Limits { state_bytes: 1, ..TINY },
            Limits { tasks: 1, ..TINY },
        ];
        grids.into_iter().flat_map(|limits| [(limits, 1), (limits, 2), (limits, 3)])
    }

    #[test]
    fn groups_and_panels_give_the_same_sums() {
        let shapes = [(5, 600), (5, 0), (1, 1), (3, 5000), (4, 256), (37, 257), (90, 3000)];
        // Miri runs the first ones: it is slow, and they take every path.
        let shapes = if cfg!(miri) { &shapes[..2] } else { &shapes };
        for &(rows, cols) in shapes {
            let (x, y) = (points(rows, 2), points(cols, 2));
            let expected = x.dot(&y.sum_axis(ndarray::Axis(0))) * 2.0;
            for (limits, threads) in cuts() {
                let found = dot((&x, &y), None, threads, limits);
                assert_eq!(found, expected, "{rows} {cols} {limits:?}");
            }
        }
    }

    #[test]
    fn groups_and_panels_keep_to_ranges() {
        // Runs of any length; ranges that begin and end anywhere, also far apart.
        let (rows, cols) = if cfg!(miri) { (13, 600) } else { (61, 3000) };
        let (x, y) = (points(rows, 2), points(cols, 2));
        for step in [1, 3, 50] {
            let blocks = (0..rows).step_by(step + 1).flat_map(|start| {
                let (run, first) = (start..(start + step).min(rows), start * 37 % cols);
                let few = [first..first + 1, first + 1..first + 9, first + 300..first + 700];
                few.map(|range| (run.clone(), range.start.min(cols)..range.end.min(cols)))
            });
            let blocks: Vec<_> = blocks.collect();
            let ranges = Ranges::from_blocks(blocks.iter().cloned()).unwrap();
            let mut expected = Array1::<f32>::zeros(rows);
            for (rows, cols) in blocks {
                for row in rows {
                    let sum = y.slice(ndarray::s![cols.clone(), ..]).sum_axis(ndarray::Axis(0));
                    expected[row] += 2.0 * x.row(row).dot(&sum);
                }
            }
            for (limits, threads) in cuts() {
                let found = dot((&x, &y), Some(&ranges), threads, limits);
                assert_eq!(found, expected, "{step} {limits:?}");
            }
        }
    }
}
