//! `cargo xtask bench`: speed and errors of the cases in benchmarks/, beside other libraries.
//!
//! In: which libraries. Out: a table and JSON. Every number comes from a run of this call: our
//! cases in one process, each other library in one more, taking turns run by run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;
use tilefold_build::target_folder;

use crate::{cargo, program, root};

mod process;
mod table;

use process::Process;

/// Times the cases of benchmarks/, and other libraries beside them
///
/// Each case runs several times, the libraries taking turns; the table shows medians, the spread
/// of ours, ratios, the errors against float64, and the fraction of what a micro-benchmark of this
/// run reached. On one thread, processor time is taken, so that a busy machine does not count;
/// on several, the time of a clock.
///
/// With `--device cuda` arrays and results stay on the first CUDA device, rows are those that fill
/// it, and times are those of a clock, of runs until they are done. On a machine without Rust,
/// `--program` names what `cargo build --release` made of benchmarks/ elsewhere, with formulas for
/// its device, and `--python` an interpreter that has the libraries:
/// `xtask bench --device cuda --program ./tilefold-benchmarks --python python3 --against keops`
///
/// Growth from 1e6 to 1e11 pairs, with the memory that it takes:
/// `cargo xtask bench --only gauss_d3 --rows 1000,3163,10000,31623,100000,316228 --runs 3`
#[derive(clap::Args)]
pub struct Arguments {
    /// Other libraries, from PyPI into target/bench-venv
    #[arg(long, value_delimiter = ',', value_enum)]
    against: Vec<Peer>,
    /// Also write the results as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// A quarter of the rows and three runs instead of seven
    #[arg(long)]
    quick: bool,
    /// Only the case of this name, or cases whose names contain this
    #[arg(long, default_value = "")]
    only: String,
    /// Rows of x and of y instead of those of the case; with several, a line for each
    #[arg(long, value_delimiter = ',')]
    rows: Vec<usize>,
    /// Runs of which medians are taken
    #[arg(long)]
    runs: Option<usize>,
    /// The types to run
    #[arg(long, value_delimiter = ',', default_value = "f32")]
    dtype: Vec<String>,
    /// The instruction level, as `x86-64-v3`
    #[arg(long, default_value = "best")]
    level: String,
    /// Threads of every library
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// What runs the cases
    #[arg(long, value_enum, default_value = "cpu")]
    device: Device,
    /// A program that was built of benchmarks/ before [default: builds it]
    #[arg(long)]
    program: Option<PathBuf>,
    /// A Python that has the other libraries [default: installs them into target/bench-venv]
    #[arg(long)]
    python: Option<PathBuf>,
}

/// What runs the cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Device {
    Cpu,
    Cuda,
}

impl Device {
    /// Its name here, in benchmarks/peers.py and to the program.
    fn name(self) -> &'static str {
        match self {
            Device::Cpu => "cpu",
            Device::Cuda => "cuda",
        }
    }
}

/// What benchmarks/peers.py says of a case that a library does not have.
const NO_CASE: &str = "has no such case";

/// A library to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Peer {
    /// Default flags and scheme of summation
    Keops,
    /// `CXXFLAGS="-march=native -ffast-math -mprefer-vector-width=512"`, `sum_scheme="direct_sum"`
    KeopsTuned,
    /// Eager, in slabs of rows
    Torch,
    /// One fused loop over pairs, where `torch.compile` makes one
    TorchCompile,
    Sklearn,
    Faiss,
}

impl Peer {
    /// Its name here and in benchmarks/peers.py.
    fn name(self) -> &'static str {
        match self {
            Peer::Keops => "keops",
            Peer::KeopsTuned => "keops-tuned",
            Peer::Torch => "torch",
            Peer::TorchCompile => "torch-compile",
            Peer::Sklearn => "sklearn",
            Peer::Faiss => "faiss",
        }
    }

    /// Its packages.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Peer::Keops | Peer::KeopsTuned => &["numpy", "pykeops"],
            Peer::Torch | Peer::TorchCompile => &["numpy", "torch"],
            Peer::Sklearn => &["numpy", "scikit-learn"],
            Peer::Faiss => &["numpy", "faiss-cpu"],
        }
    }
}

/// One line of the table and of the JSON.
#[derive(Serialize)]
struct Row {
    case: String,
    dtype: String,
    m: usize,
    n: usize,
    threads: usize,
    /// Median.
    pairs_per_s: f64,
    peers: std::collections::BTreeMap<String, f64>,
    /// Ours, against float64.
    error: f64,
    /// Pairs a second that the micro-benchmark allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<f64>,
    /// Errors of the others.
    peer_errors: std::collections::BTreeMap<String, f64>,
    /// Slowest and fastest run of ours, in pairs a second.
    spread: [f64; 2],
    /// The instruction level, or the device.
    level: String,
    /// The most memory that our process had meanwhile, arrays in float64 included, where the system
    /// says.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_bytes: Option<u64>,
}

/// What a case looks like to this command.
#[derive(Clone)]
struct Case {
    name: String,
    rows: usize,
    dim: usize,
    signal: usize,
    g: String,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> crate::Result {
    let program = program();
    let target = target_folder(&program);
    let folder = target.join("bench");
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut ours = start_ours(target, &folder, arguments)?;
    let mut peers = Vec::new();
    if !arguments.against.is_empty() {
        let python = match &arguments.python {
            Some(python) => python.clone(),
            None => environment(target, &arguments.against)?,
        };
        for peer in &arguments.against {
            let mut command = Command::new(&python);
            command.arg(root().join("benchmarks/peers.py")).arg(peer.name());
            command.arg(&folder).arg(arguments.threads.to_string()).arg(arguments.device.name());
            peers.push((peer.name(), Process::start(peer.name(), command)?));
        }
    }
    let limits = match arguments.device {
        Device::Cpu => Some(Limits::measure(&mut ours)?),
        Device::Cuda => None,
    };
    let place = match &limits {
        Some(limits) => limits.level.clone(),
        None => ours.ask("device")?,
    };
    table::head(limits.as_ref(), &place, arguments.threads);
    let mut rows = Vec::new();
    for case in chosen(cases(&mut ours)?, arguments) {
        for dtype in &arguments.dtype {
            let limit = limits.as_ref();
            let mut row = measure(&case, dtype, arguments, &mut ours, &mut peers, limit, &folder)?;
            row.level.clone_from(&place);
            table::line(&row);
            rows.push(row);
        }
    }
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&rows).map_err(|e| e.to_string())?;
        fs::write(path, text + "\n").map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

fn start_ours(
    target: &Path,
    folder: &Path,
    arguments: &Arguments,
) -> std::result::Result<Process, String> {
    let program = match &arguments.program {
        Some(program) => program.clone(),
        None => {
            let target = target.display().to_string();
            let manifest = "benchmarks/Cargo.toml";
            cargo(&["build", "--release", "--manifest-path", manifest, "--target-dir", &target])?;
            Path::new(&target).join("release/tilefold-benchmarks")
        }
    };
    let mut command = Command::new(program);
    command.arg(folder).arg(&arguments.level).arg(arguments.threads.to_string());
    command.arg(arguments.device.name());
    Process::start("tilefold", command)
}

/// The Python of a virtual environment that has the packages of the peers.
fn environment(target: &Path, peers: &[Peer]) -> std::result::Result<PathBuf, String> {
    let folder = target.join("bench-venv");
    let python = folder.join("bin/python");
    let mut steps = Vec::new();
    if !python.exists() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(&folder);
        steps.push(make);
    }
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    peers.iter().for_each(|peer| _ = install.args(peer.packages()));
    steps.push(install);
    for mut step in steps {
        match step.status() {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(format!("{step:?} failed ({status})")),
            Err(e) => return Err(format!("cannot start {step:?}: {e}")),
        }
    }
    Ok(python)
}

/// What one core of this machine does at most.
struct Limits {
    level: String,
    /// Multiply-adds a second, in f32 and in f64.
    multiply_adds: [Option<f64>; 2],
    /// Bytes read a second.
    bandwidth: f64,
}

impl Limits {
    fn measure(ours: &mut Process) -> std::result::Result<Limits, String> {
        let answer = ours.ask("limits")?;
        match &answer.split(' ').collect::<Vec<_>>()[..] {
            [level, single, double, bandwidth] => Ok(Limits {
                level: level.to_string(),
                multiply_adds: [single.parse().ok(), double.parse().ok()],
                bandwidth: bandwidth.parse().map_err(|_| format!("no number in `{answer}`"))?,
            }),
            _ => Err(format!("`{answer}` holds no limits")),
        }
    }

    /// Pairs a second: of arithmetic, or of reading every array once, whichever is lower.
    fn pairs(&self, case: &Case, dtype: &str, work: Option<f64>) -> Option<f64> {
        let double = dtype == "f64";
        let arithmetic = self.multiply_adds[usize::from(double)]? / work?;
        let numbers = case.rows * (2 * case.dim + case.signal);
        let bytes = numbers as f64 * if double { 8.0 } else { 4.0 };
        Some(arithmetic.min((case.rows * case.rows) as f64 / bytes * self.bandwidth))
    }
}

fn cases(ours: &mut Process) -> std::result::Result<Vec<Case>, String> {
    let answer = ours.ask("cases")?;
    let case = |text: &str| {
        let parts: Vec<&str> = text.split(':').collect();
        let number = |n: usize| parts[n].parse().map_err(|e| format!("{text}: {e}"));
        match parts.len() {
            5 => Ok(Case {
                name: parts[0].into(),
                rows: number(1)?,
                dim: number(2)?,
                signal: number(3)?,
                g: parts[4].into(),
            }),
            _ => Err(format!("`{text}` is no case")),
        }
    };
    answer.split_whitespace().map(case).collect()
}

/// The cases of that name, or else those whose names contain it, in the sizes that were asked for.
fn chosen(all: Vec<Case>, arguments: &Arguments) -> Vec<Case> {
    let is_named = all.iter().any(|case| case.name == arguments.only);
    let matches = |case: &Case| match is_named {
        true => case.name == arguments.only,
        false => case.name.contains(&arguments.only),
    };
    let sizes = |case: Case| match &arguments.rows[..] {
        [] if arguments.quick => vec![Case { rows: case.rows / 4, ..case }],
        [] => vec![case],
        rows => rows.iter().map(|&rows| Case { rows, ..case.clone() }).collect(),
    };
    all.into_iter().filter(matches).flat_map(sizes).collect()
}

/// Runs one case, our program and the others in turn.
fn measure(
    case: &Case,
    dtype: &str,
    arguments: &Arguments,
    ours: &mut Process,
    peers: &mut [(&'static str, Process)],
    limits: Option<&Limits>,
    folder: &Path,
) -> std::result::Result<Row, String> {
    let runs = arguments.runs.unwrap_or(if arguments.quick { 3 } else { 7 }).max(1);
    let Case { name, rows, dim, signal, g } = case;
    ours.ask("memory")?;
    let answer = ours.ask(&format!("prepare {name} {dtype} {rows}"))?;
    let (error, work) = answer.split_once(' ').ok_or(format!("`{answer}` holds no error"))?;
    let number = |text: &str| text.parse::<f64>().map_err(|e| format!("{text}: {e}"));
    let mut row = Row {
        case: name.clone(),
        dtype: dtype.into(),
        m: *rows,
        n: *rows,
        threads: arguments.threads,
        pairs_per_s: 0.0,
        peers: Default::default(),
        error: number(error)?,
        limit: limits
            .and_then(|limits| limits.pairs(case, dtype, work.parse().ok()))
            .map(|pairs| pairs * arguments.threads as f64),
        peer_errors: Default::default(),
        spread: [0.0; 2],
        level: String::new(),
        peak_bytes: None,
    };
    let mut running = Vec::new();
    for (peer, process) in peers {
        match process.ask(&format!("prepare {name} {dtype} {rows} {dim} {signal} {g}")) {
            Ok(_) => {
                let file = folder.join(format!("{peer}.out"));
                let error = number(&ours.ask(&format!("check {}", file.display()))?)?;
                row.peer_errors.insert(peer.to_string(), error);
                running.push((*peer, process, Vec::new()));
            }
            // Not every library computes everything; that is no news.
            Err(why) if why == NO_CASE => {}
            Err(why) => table::note(name, peer, &why),
        }
    }
    let pairs = (rows * rows) as f64;
    let mut own = Vec::new();
    for _ in 0..runs {
        own.push(pairs / number(&ours.ask("run")?)?);
        let mut failed = Vec::new();
        for (n, (peer, process, rates)) in running.iter_mut().enumerate() {
            match process.ask("run") {
                Ok(answer) => rates.push(pairs / number(&answer)?),
                Err(why) => {
                    table::note(name, peer, &why);
                    failed.push(n);
                }
            }
        }
        // One that fails has no line.
        failed.into_iter().rev().for_each(|n| drop(running.swap_remove(n)));
    }
    row.pairs_per_s = median(&mut own);
    row.spread = [own[0], own[own.len() - 1]];
    for (peer, _, mut rates) in running {
        row.peers.insert(peer.to_string(), median(&mut rates));
    }
    row.peak_bytes = ours.ask("memory")?.parse().ok().map(|kib: u64| kib << 10);
    Ok(row)
}

/// The median; leaves the numbers in order.
fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
