//! From formulas to measured entries.
//!
//! In: formula files, nvcc and the disassemblers beside it. Out: a [`Measured`] for every entry
//! that folds, of every dtype and GPU generation. The text is emitted anew, so that what is
//! measured does not depend on `generated/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tilefold_build::manifest::Dtype;
use tilefold_build::native::{Archs, Cuda, Tool};
use tilefold_build::{read_formulas, toolchain};
use tilefold_compiler::{emit, front};
use tilefold_templates::HEADERS;
use tilefold_tests::toolchain::parallel;

use super::hot::{Turn, turn, turns};
use super::panel::{self, Way};
use super::sass::{self, Entry};

/// What the name of a stage ends with where tensor cores could make its sums and did not.
pub const FLOATS: &str = "_floats";

/// What the name of a stage ends with where pairs go the near way.
pub const NEAR: &str = "_near";

/// One CUDA text and dtype.
pub struct Kernel {
    /// Formula, dimensions, derivative.
    pub name: String,
    /// The scalar type.
    pub dtype: Dtype,
    symbol: String,
    text: String,
}

/// What the code of one stage is, for one GPU generation.
pub struct Measured {
    /// The kernel's name.
    pub kernel: String,
    /// The scalar type.
    pub dtype: &'static str,
    /// The stage, as `s0`.
    pub stage: String,
    /// The GPU generation, as `sm_90`.
    pub arch: String,
    /// Registers a thread.
    pub registers: u32,
    /// Bytes of a thread's stack.
    pub stack: u32,
    /// Reads and writes of local memory, anywhere in the entry.
    pub local: usize,
    /// The hottest loop.
    pub turn: Turn,
    /// Pairs of a row and a column that a thread does in one turn.
    pub pairs: f64,
}

/// The kernels of a file or folder, those of 32 and 64 bits: the 16-bit ones compute in f32.
pub fn kernels(formulas: &Path) -> Result<Vec<Kernel>, String> {
    let mut found = Vec::new();
    for source in read_formulas(crate::root(), formulas).map_err(|e| e.to_string())? {
        let units = front::parse(&source.name, &source.text)
            .map_err(|d| d.render(&source.name, &source.text))?;
        let artifact =
            emit::artifact(&units, &source.name, &source.text).map_err(|e| e.to_string())?;
        for files in artifact.libraries.iter().flat_map(|library| &library.kernels) {
            let Some(dtype) =
                [Dtype::F32, Dtype::F64].into_iter().find(|d| d.name() == files.dtype.name())
            else {
                continue;
            };
            found.push(Kernel {
                name: files.name.clone(),
                dtype,
                symbol: files.symbol.clone(),
                text: artifact.files[&files.cu].clone(),
            });
        }
    }
    Ok(found)
}

/// Where nvcc and cuobjdump are, and what for.
pub struct Tools {
    /// nvcc with the generations to compile for.
    pub cuda: Cuda,
    cuobjdump: PathBuf,
}

impl Tools {
    /// The disassemblers lie beside nvcc, in NVIDIA's packages as in the fetched kit.
    pub fn new(nvcc: Tool, archs: &str) -> Result<Tools, String> {
        let archs = Archs::parse(archs).map_err(|e| e.to_string())?;
        let (cuda, _) = Cuda::new(nvcc, Some(archs)).map_err(|e| e.to_string())?;
        let cuobjdump = cuda.nvcc.path.with_file_name("cuobjdump");
        match cuobjdump.is_file() {
            true => Ok(Tools { cuda, cuobjdump }),
            false => Err(format!("{} is missing: it comes with nvcc", cuobjdump.display())),
        }
    }
}

/// Compiles and measures kernels, as many at a time as there are cores.
pub fn measure(tools: &Tools, kernels: &[Kernel]) -> Result<Vec<Measured>, String> {
    let folder = std::env::temp_dir().join(format!("tilefold-cuda-check-{}", std::process::id()));
    let result = write_headers(&folder).and_then(|()| {
        let each = parallel(kernels, |kernel| one(tools, kernel, &folder));
        let each: Result<Vec<Vec<Measured>>, String> = each.into_iter().collect();
        Ok(each?.into_iter().flatten().collect())
    });
    // Whatever is left is litter, and the first error is the one to report.
    let _ = fs::remove_dir_all(&folder);
    result
}

fn write_headers(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    HEADERS.iter().try_for_each(|(name, text)| put(&folder.join(name), text))
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

fn one(tools: &Tools, kernel: &Kernel, folder: &Path) -> Result<Vec<Measured>, String> {
    let stem = format!("{}_{}", kernel.name, kernel.dtype.name());
    let (source, image) =
        (folder.join(format!("{stem}.cu")), folder.join(format!("{stem}.fatbin")));
    put(&source, &kernel.text)?;
    let flags = kernel.dtype.flags().kernel;
    let limit = Duration::from_secs(600);
    toolchain::nvcc_fatbin(&tools.cuda, &source, &image, &[folder], flags, limit)
        .map_err(|e| e.to_string())?;
    let entries = sass::read(&listing(tools, &image)?).map_err(|e| format!("{stem}: {e}"))?;
    let stages = stages(&kernel.text, kernel.dtype)?;
    let prefix = format!("{}_{}_", kernel.symbol, kernel.dtype.name());
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.symbol.strip_prefix(&prefix).unwrap_or_default();
        // What folds lists of tiles is a stage of its own, as `s0_tiles`.
        let (stage, label) = match name.strip_suffix("_rows") {
            Some(stage) => (stage, stage),
            None => (name.strip_suffix("_tiles").unwrap_or_default(), name),
        };
        let Some(sizes) = stages.get(stage) else { continue };
        found.extend(measured(kernel, label, sizes, &entry)?);
    }
    match found.is_empty() {
        true => Err(format!("{stem}: no loop over columns was found in its machine code")),
        false => Ok(found),
    }
}

fn listing(tools: &Tools, image: &Path) -> Result<String, String> {
    let mut command = Command::new(&tools.cuobjdump);
    command.args(["-sass", "-res-usage"]).arg(image);
    // It starts nvdisasm by its name.
    if let Some(folder) = tools.cuobjdump.parent() {
        let old = std::env::var_os("PATH").unwrap_or_default();
        let folders = [folder.to_path_buf()].into_iter().chain(std::env::split_paths(&old));
        command.env("PATH", std::env::join_paths(folders).map_err(|e| e.to_string())?);
    }
    let output = command.output().map_err(|e| format!("{}: {e}", tools.cuobjdump.display()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!(
            "cuobjdump failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// Sizes of a stage that its text states.
#[derive(Default)]
struct Sizes {
    rows: f64,
    col_words: f64,
    /// Columns that are written out.
    cols: usize,
    /// Words of a column that its pairs read: along the plain way, and the near one.
    reads: [BTreeSet<usize>; 2],
    /// Where the stage sums components for panels of columns.
    panel: Option<panel::Sizes>,
}

/// The stages of a CUDA text by name.
fn stages(text: &str, dtype: Dtype) -> Result<BTreeMap<String, Sizes>, String> {
    let mut found: BTreeMap<String, Sizes> = BTreeMap::new();
    let mut name = String::new();
    let mut way = 0;
    let of_dtype = |list: &str| {
        let all = list.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok());
        let all: Vec<usize> = all.collect();
        all.get(usize::from(dtype == Dtype::F64)).or(all.first()).copied().unwrap_or(0)
    };
    for line in text.lines() {
        if let Some(stage) = line.strip_prefix("struct s").and_then(|l| l.strip_suffix(" {")) {
            name = format!("s{stage}");
        }
        let number = |start: &str| {
            let rest = line.trim_start().strip_prefix(start)?;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<f64>().ok()
        };
        if let Some(rows) = number("R = TF_R(") {
            found.insert(name.clone(), Sizes { rows, ..Sizes::default() });
        }
        let entry = ["TF_MMA_ENTRY(", "TF_FILTER_ENTRY("];
        if let Some(on_tensor_cores) = entry.iter().find_map(|e| line.strip_prefix(e)) {
            let stage = on_tensor_cores.split(", ").nth(1).unwrap_or_default();
            let panel = found.get_mut(stage).and_then(|sizes| sizes.panel.as_mut());
            let panel = panel.ok_or("the CUDA text has tensor cores without panels")?;
            panel.on_tensor_cores = dtype != Dtype::F64;
            panel.bounds = line.starts_with(entry[1]);
        }
        let Some(sizes) = found.get_mut(&name) else { continue };
        if let Some(words) = number("COL_WORDS = ").or(number("COL_WORDS = NORMS ? ")) {
            sizes.col_words = words;
        }
        if let Some((_, of)) = line.trim_start().split_once("COLS = ") {
            sizes.cols = of_dtype(of.trim_start_matches("TF_K("));
        }
        if line.starts_with("  TF_FN void ") {
            way = usize::from(line.contains(" pair(tf_near,"));
        }
        let words = line.split("y.at(").skip(1).filter_map(|rest| rest.split(')').next());
        sizes.reads[way].extend(words.filter_map(|word| word.parse::<usize>().ok()));
        if let Some(columns) = line.trim_start().strip_prefix("COLUMNS = TF_K(") {
            let (columns, cols) = (of_dtype(columns), sizes.cols);
            let col_words = sizes.col_words as usize;
            sizes.panel = Some(panel::Sizes { columns, cols, col_words, ..Default::default() });
        }
        let Some(panel) = &mut sizes.panel else { continue };
        if let Some(dim) = number("DIM = ") {
            panel.sums.push([dim as usize, 0, 0, 0]);
        }
        if let Some(outputs) = number("OUTPUTS = ") {
            panel.outputs = outputs as usize;
        }
        if let Some((_, parts)) = line.split_once("enum { ROW_PARTS = ") {
            let digits =
                parts.rsplit_once("COL_PARTS = ").map(|(_, n)| n.trim_matches([' ', '}', ';']));
            panel.output_parts = digits.and_then(|n| n.parse().ok()).unwrap_or(0);
        }
        let Some(sum) = panel.sums.last_mut() else { continue };
        for (n, parts) in ["ROW_PARTS = ", "COL_PARTS = ", "LAUNCH_PARTS = "].iter().enumerate() {
            if let Some(count) = number(parts) {
                sum[n + 1] = count as usize;
            }
        }
    }
    for sizes in found.values_mut().filter(|sizes| dtype == Dtype::F64 && sizes.panel.is_none()) {
        // What near pairs alone read is not packed there.
        if !std::mem::take(&mut sizes.reads[1]).is_empty() {
            sizes.col_words = sizes.reads[0].len() as f64;
        }
    }
    match found.is_empty() {
        true => Err("the CUDA text has no stages: its template has changed".into()),
        false => Ok(found),
    }
}

/// The pairs of a turn follow from the words that it reads of the tile: a column has `col_words`
/// of them, and each is read once for all rows of a thread. So a loop over components counts for
/// the part of a pair that it does.
///
/// A stage with panels is counted whole: see [`panel`]. Where its sums may come from tensor cores,
/// the way without them is a stage of its own, as `s0_floats`; so are near pairs, as `s0_near`.
/// These read other words of a column, by which their loop is known.
fn measured(
    kernel: &Kernel,
    stage: &str,
    sizes: &Sizes,
    entry: &Entry,
) -> Result<Vec<Measured>, String> {
    let word = if kernel.dtype == Dtype::F64 { 8 } else { 4 };
    let mut found: Vec<(String, Turn, f64)> = Vec::new();
    match &sizes.panel {
        Some(panel) => {
            let floats = if panel.on_tensor_cores { FLOATS } else { "" };
            let mut ways = vec![(floats, Way::Floats)];
            ways.extend(panel.on_tensor_cores.then_some(("", Way::TensorCores)));
            for (suffix, way) in ways {
                let turn = panel::turn(&entry.code, panel, word, way).ok_or_else(|| {
                    format!("{}: the loops of a panel are not in its machine code", entry.symbol)
                })?;
                found.push((format!("{stage}{suffix}"), turn, panel.pairs() as f64));
            }
        }
        None if sizes.reads[1].is_empty() => {
            let Some(turn) = turn(&entry.code) else { return Ok(Vec::new()) };
            let columns = turn.shared_bytes() as f64 / word as f64 / sizes.col_words;
            found.push((stage.into(), turn, columns));
        }
        None => {
            let loops = turns(&entry.code);
            for (reads, suffix) in sizes.reads.iter().zip(["", NEAR]) {
                let bytes = sizes.cols * reads.len() * word;
                let of_way = loops.iter().filter(|turn| turn.shared_bytes() == bytes);
                let turn = of_way.max_by_key(|turn| turn.work()).ok_or_else(|| {
                    format!("{}: no loop reads {bytes} bytes of columns", entry.symbol)
                })?;
                found.push((format!("{stage}{suffix}"), turn.clone(), sizes.cols as f64));
            }
        }
    }
    found.retain(|(_, _, columns)| *columns > 0.0 && columns.is_finite());
    let local = entry.code.iter().filter(|i| matches!(i.name(), "LDL" | "STL")).count();
    let one = |(stage, turn, columns)| Measured {
        kernel: kernel.name.clone(),
        dtype: kernel.dtype.name(),
        stage,
        arch: entry.arch.clone(),
        registers: entry.registers,
        stack: entry.stack,
        local,
        pairs: columns * sizes.rows,
        turn,
    };
    Ok(found.into_iter().map(one).collect())
}

impl Measured {
    /// Instructions a pair.
    pub fn instructions(&self) -> f64 {
        self.turn.issued as f64 / self.pairs
    }

    /// Pairs a clock and multiprocessor that the pipes allow at most, and the pipe that sets the
    /// limit. Rates are those of the CUDA programming guide's table of arithmetic throughput; a
    /// read of 16 bytes of shared memory is taken to keep its pipe busy for 4 clocks. A product on
    /// tensor cores has 2048 multiplications of halves; `mma.sync` reaches 63 % of the peak of
    /// sm_90 (Luo et al., arXiv 2402.13499).
    pub fn bound(&self) -> (f64, &'static str) {
        let (fma, fp64, tensor) = match self.arch.trim_start_matches("sm_") {
            "80" => (64.0, 32.0, 1024.0),
            "90" | "100" | "103" => (128.0, 64.0, 0.63 * 2048.0),
            _ => (128.0, 2.0, 512.0),
        };
        let t = &self.turn;
        let lanes = |n: usize, rate: f64| 32.0 * n as f64 / rate;
        let [narrow, middle, wide] = t.shared;
        let clocks = [
            ("issue", lanes(t.issued, 128.0)),
            ("FMA", lanes(t.fma, fma)),
            ("ALU", lanes(t.alu, 64.0)),
            ("MUFU", lanes(t.mufu + t.conversions, 16.0)),
            ("FP64", lanes(t.fp64, fp64)),
            ("LDS", (narrow + 2 * middle + 4 * wide) as f64),
            ("tensor", 2048.0 * t.tensor as f64 / tensor),
        ];
        let slowest = clocks.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("seven pipes");
        (32.0 * self.pairs / slowest.1, slowest.0)
    }
}
