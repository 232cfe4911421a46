//! Runs the cases of `cargo xtask bench`, one command a line of standard input.
//!
//! In: a folder, a level (or `best`), a number of threads, and `cpu` or `cuda`; then the commands
//! that [`Session::obey`] lists. Out: one line a command. It never knows what other programs
//! measure; their arrays are the files that it wrote.

mod cases;
mod device;
mod limits;

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

use std::sync::Arc;

use cases::{ARRAYS, Arrays, CASES, Case, SAMPLE};
use ndarray::Array2;
use tilefold::cuda::cudarc::driver::CudaContext;
use tilefold::{Call, Dtype, Element, Kernel, Level, Options, Policy};

/// The compiled formulas.
#[allow(clippy::all, dead_code, reason = "the modules are generated, and called by name only")]
mod compiled {
    include!(concat!(env!("OUT_DIR"), "/formulas.rs"));
}

/// Processor time of this process: another one that shares the core does not count.
fn seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The arrays of a case in the type that the kernel reads.
enum Typed {
    F32([Array2<f32>; 4], f32),
    F64([Array2<f64>; 4], f64),
}

struct Prepared {
    case: &'static Case,
    dtype: Dtype,
    kernel: &'static Kernel,
    arrays: Arrays,
    typed: Typed,
    on_device: Option<Box<dyn device::Runs>>,
}

struct Session {
    folder: PathBuf,
    level: Level,
    threads: usize,
    /// What runs the cases, if it is a CUDA device.
    device: Option<Arc<CudaContext>>,
    prepared: Option<Prepared>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, level, threads, device] = &arguments[..] else {
        eprintln!("usage: tilefold-benchmarks FOLDER LEVEL THREADS cpu|cuda");
        std::process::exit(2);
    };
    let device = (device == "cuda").then(|| {
        opened().unwrap_or_else(|why| {
            eprintln!("no CUDA device: {why}");
            std::process::exit(2);
        })
    });
    let best = Level::ALL.iter().copied().rfind(|l| l.is_supported());
    let named = Level::ALL.iter().copied().find(|l| l.name() == level && l.is_supported());
    let Some(level) = (if level == "best" { best } else { named }) else {
        eprintln!("this machine does not run code of level `{level}`");
        std::process::exit(2);
    };
    let threads = threads.parse().unwrap_or(1);
    let mut session = Session { folder: folder.into(), level, threads, device, prepared: None };
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = session.obey(&words).unwrap_or_else(|why| format!("no {why}"));
        println!("{}", answer.replace('\n', " "));
        if std::io::stdout().flush().is_err() {
            return;
        }
    }
}

/// The first CUDA device.
fn opened() -> Result<Arc<CudaContext>, String> {
    match tilefold::cuda::unavailable() {
        Some(why) => Err(why.into()),
        None => CudaContext::new(0).map_err(|e| e.to_string()),
    }
}

impl Session {
    /// The commands:
    ///
    /// - `cases`: `ok` and, for each case, `NAME:ROWS:DIM:SIGNAL:G`
    /// - `limits`: `ok LEVEL`, multiply-adds a second in f32 and f64, bytes a second
    /// - `device`: `ok` and the name of the CUDA device
    /// - `prepare CASE DTYPE ROWS`: writes the arrays, runs once; `ok ERROR` and the multiply-adds
    ///   of a pair, or `-`
    /// - `run`: `ok SECONDS`
    /// - `memory`: `ok KIB`, the most that was resident since the last such command, or `ok -`
    /// - `check FILE`: `ok ERROR` of the results that another program wrote
    fn obey(&mut self, words: &[&str]) -> Result<String, String> {
        match words {
            ["cases"] => {
                let rows = |c: &Case| if self.device.is_some() { c.device_rows } else { c.rows };
                let line = |c: &Case| {
                    let g = c.g.map_or("-".into(), |g| g.to_string());
                    format!(" {}:{}:{}:{}:{g}", c.name, rows(c), c.dim, c.signal)
                };
                Ok(format!("ok{}", CASES.iter().map(line).collect::<String>()))
            }
            ["limits"] => {
                let number = |n: Option<f64>| n.map_or("-".into(), |n| n.to_string());
                let [single, double] = [false, true].map(|d| limits::multiply_adds(self.level, d));
                let bytes = limits::bandwidth();
                Ok(format!("ok {} {} {} {bytes}", self.level, number(single), number(double)))
            }
            ["device"] => {
                let context = self.device.as_ref().ok_or("it runs on the CPU")?;
                Ok(format!("ok {}", context.name().map_err(|e| e.to_string())?))
            }
            ["prepare", case, dtype, rows] => self.prepare(case, dtype, rows),
            ["run"] => {
                let (seconds, _) = self.run()?;
                Ok(format!("ok {seconds}"))
            }
            ["memory"] => {
                let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
                let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
                // Linux begins to count again. Where it may not, the peak is that of the process.
                _ = std::fs::write("/proc/self/clear_refs", "5");
                Ok(format!("ok {}", peak.map_or("-", |kib| kib.trim().trim_end_matches(" kB"))))
            }
            ["check", file] => {
                let prepared = self.prepared.as_ref().ok_or("nothing is prepared")?;
                let bytes = std::fs::read(file).map_err(|e| format!("{file}: {e}"))?;
                let numbers = bytes.as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b));
                let found: Vec<f64> = numbers.collect();
                if found.len() != SAMPLE * prepared.case.width() {
                    return Err(format!("{file} has {} numbers", found.len()));
                }
                Ok(format!("ok {}", prepared.case.error(&prepared.arrays, &found)))
            }
            _ => Err("such a command is not known".into()),
        }
    }

    fn prepare(&mut self, case: &str, dtype: &str, rows: &str) -> Result<String, String> {
        let case = CASES.iter().find(|c| c.name == case).ok_or("no such case")?;
        let dtype = [Dtype::F32, Dtype::F64].into_iter().find(|d| d.name() == dtype);
        let dtype = dtype.ok_or("no such dtype")?;
        let rows = rows.parse().map_err(|e| format!("{rows}: {e}"))?;
        let formula = compiled::FORMULAS.iter().flat_map(|all| all.iter());
        let formula = formula.copied().find(|f| f.name == case.name).ok_or("not compiled")?;
        let instance = formula.instances.iter().find(|i| i.dtype() == dtype);
        let kernel = instance.ok_or("not compiled")?.kernel().map_err(|e| e.to_string())?;
        let widths = [case.dim, case.dim, case.signal, usize::from(case.weighted)];
        let g = case.g.unwrap_or(0.0);
        let typed = match dtype {
            Dtype::F64 => Typed::F64(self.write(rows, widths)?, g),
            _ => Typed::F32(self.write(rows, widths)?, g as f32),
        };
        let arrays = match &typed {
            Typed::F32(all, _) => wide(rows, all),
            Typed::F64(all, _) => wide(rows, all),
        };
        let on_device = match &self.device {
            Some(context) => Some(on_device(context, kernel, case, &typed)?),
            None => None,
        };
        self.prepared = Some(Prepared { case, dtype, kernel, arrays, typed, on_device });
        let (_, found) = self.run()?;
        let prepared = self.prepared.as_ref().ok_or("nothing is prepared")?;
        let error = case.error(&prepared.arrays, &found);
        // The shortest exponential of each dtype has so many multiply-adds.
        let exp = if prepared.dtype == Dtype::F64 { 11.0 } else { 6.0 };
        let work = case.work.map_or("-".into(), |(own, exps)| (own + exps * exp).to_string());
        Ok(format!("ok {error} {work}"))
    }

    /// Makes x, y, b and e, the same on every machine, and writes each into a file for others.
    fn write<T: Element + From<f32>>(
        &self,
        rows: usize,
        widths: [usize; 4],
    ) -> Result<[Array2<T>; 4], String>
    where
        f64: From<T>,
    {
        let mut seed = 0;
        let arrays = widths.map(|width| {
            seed += 1;
            numbers(rows, width, seed)
        });
        for (name, array) in ARRAYS.iter().zip(&arrays) {
            let path = self.folder.join(format!("{name}.bin"));
            let bytes: Vec<u8> = array.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
            std::fs::write(&path, bytes).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        Ok(arrays)
    }

    /// Runs once. On one thread processor time is taken, on several the time of a clock.
    fn run(&mut self) -> Result<(f64, Vec<f64>), String> {
        let prepared = self.prepared.as_mut().ok_or("nothing is prepared")?;
        if let Some(on_device) = &mut prepared.on_device {
            let took = on_device.time()?;
            return Ok((took, on_device.result(SAMPLE * prepared.case.width())?));
        }
        let options = Options::new().executor(Policy::Cpu).level(self.level).threads(self.threads);
        let start = (seconds(), Instant::now());
        let mut outputs = match &prepared.typed {
            Typed::F32(arrays, g) => call(prepared.kernel, arrays, g, options),
            Typed::F64(arrays, g) => call(prepared.kernel, arrays, g, options),
        }?;
        let took = match self.threads {
            1 => seconds() - start.0,
            _ => start.1.elapsed().as_secs_f64(),
        };
        let found = match (&prepared.case.meaning, prepared.dtype) {
            (cases::Meaning::Nearest(_), _) => first(outputs.take::<i64>("a"), |n| n as f64),
            (_, Dtype::F64) => first(outputs.take::<f64>("a"), |v| v),
            _ => first(outputs.take::<f32>("a"), f64::from),
        }?;
        Ok((took, found))
    }
}

/// The arrays of a case on a device.
fn on_device(
    context: &Arc<CudaContext>,
    kernel: &'static Kernel,
    case: &Case,
    typed: &Typed,
) -> Result<Box<dyn device::Runs>, String> {
    let (width, searches) = (case.width(), matches!(case.meaning, cases::Meaning::Nearest(_)));
    let row = |row: i64| row as f64;
    match typed {
        Typed::F32(all, g) if searches => device::prepare(context, kernel, all, *g, width, row),
        Typed::F64(all, g) if searches => device::prepare(context, kernel, all, *g, width, row),
        Typed::F32(all, g) => device::prepare(context, kernel, all, *g, width, |v: f32| v.into()),
        Typed::F64(all, g) => device::prepare(context, kernel, all, *g, width, |v: f64| v),
    }
}

/// Calls a kernel with those of the arrays that it takes.
fn call<T: Element>(
    kernel: &'static Kernel,
    arrays: &[Array2<T>; 4],
    g: &T,
    options: Options<'_>,
) -> Result<tilefold::Outputs, String>
where
    for<'a> &'a T: Into<tilefold::Operand<'a>>,
    for<'a> ndarray::ArrayView2<'a, T>: Into<tilefold::Operand<'a>>,
{
    let mut call = Call::new(kernel).options(options);
    let names: Vec<String> = kernel.inputs().map(|value| value.name.to_string()).collect();
    for name in &names {
        let array = ARRAYS.iter().position(|n| n == name);
        call = match array {
            Some(n) => call.arg(name, arrays[n].view()),
            None => call.arg(name, g),
        };
    }
    call.run().map_err(|e| e.to_string())
}

/// The first rows of a result.
fn first<T: Copy>(
    result: Result<Array2<T>, tilefold::Error>,
    wide: impl Fn(T) -> f64,
) -> Result<Vec<f64>, String> {
    let array = result.map_err(|e| e.to_string())?;
    Ok(array.rows().into_iter().take(SAMPLE).flatten().map(|&v| wide(v)).collect())
}

/// Numbers between 0 and 1 that look random.
fn numbers<T: Element + From<f32>>(rows: usize, cols: usize, seed: u32) -> Array2<T> {
    let mut state = seed;
    Array2::from_shape_fn((rows, cols), |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        T::from((state >> 8) as f32 / 16_777_216.0)
    })
}

fn wide<T: Copy>(rows: usize, all: &[Array2<T>; 4]) -> Arrays
where
    f64: From<T>,
{
    let [x, y, b, mut e] =
        [0, 1, 2, 3].map(|n: usize| all[n].iter().map(|&v| f64::from(v)).collect::<Vec<f64>>());
    e.resize(rows, 1.0);
    Arrays { rows, x, y, b, e }
}
