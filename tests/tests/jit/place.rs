//! A folder of compiled formulas, a compiler that does what it is told, and processes that ask for
//! a kernel, run it and tell what happened.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

use ndarray::array;
use tilefold::{Axis, LazyTensor, Options, Policy, Tiers, jit, record};
use tilefold_compiler::ir::eval::Matrix;
use tilefold_compiler::ir::{self, Formula, Storage};
use tilefold_tests::native;
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;

/// Tells the test program to ask for a kernel: the number of the formula.
const ASK: &str = "TF_JIT_FORMULA";

/// Tells it to write that formula to this file instead.
pub const RECORD: &str = "TF_JIT_RECORD";

/// A formula of its own for each number: Gaussian sums, with the number as a factor.
pub fn problem(number: u32) -> Problem {
    let mut f = Formula::new("gaussian");
    let x = f.input("x", Some(ir::Axis::I), 3).expect("valid");
    let y = f.input("y", Some(ir::Axis::J), 3).expect("valid");
    let b = f.input("b", Some(ir::Axis::J), 1).expect("valid");
    let distance = f.apply(tilefold_compiler::ops::Op::SqDist, &[x, y], &[]);
    let minus = f.neg(distance);
    let k = f.apply(tilefold_compiler::ops::Op::Exp, &[minus], &[]);
    let k = f.scale(f64::from(number), k);
    let term = f.mul(k, b);
    let sum = f.sum_over(ir::Axis::J, term);
    f.output("a", Some(ir::Axis::I), sum).expect("fits");
    Problem::new(f, 5, 40, |input, entry| ((entry * 7 + input * 3) % 11) as f64 / 10.0 - 0.5)
}

/// Tells it to evaluate an expression instead, compiled and nothing else.
pub const EXPRESSION: &str = "TF_JIT_EXPRESSION";

/// Evaluates a sum of distances and prints it, and the report.
fn evaluate() -> ExitCode {
    let (x, y) = (array![[0.0_f64, 1.0]], array![[2.0, 3.0], [4.0, 5.0]]);
    let gap = LazyTensor::i(x.view()) - LazyTensor::j(y.view());
    let sum = gap.abs().sum_inner().sum(Axis::J);
    let options = Options::new().tiers(Tiers::JIT).executor(Policy::Cpu);
    match tilefold::evaluate(&[&sum]).options(options).run() {
        Ok(mut values) => {
            assert_eq!(values.take::<f64>(0).unwrap(), array![[12.0]]);
            println!("{:?}", values.report());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Asks for the kernel of the formula that the environment names, twice, and prints what came.
/// `None` if it names none: then this is the test itself.
pub fn ask() -> Option<ExitCode> {
    if env::var_os(EXPRESSION).is_some() {
        return Some(evaluate());
    }
    let number = env::var(ASK).ok()?.parse().expect("a number");
    let problem = problem(number);
    if let Some(file) = env::var_os(RECORD) {
        return Some(match record::append(Path::new(&file), &problem.formula, Storage::F64) {
            Ok(_) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        });
    }
    let get = || jit::kernel(&problem.formula, Storage::F64, &Options::new());
    let code = match get() {
        Ok(ready) => {
            let run = native::run_kernel(
                ready.kernel,
                Storage::F64,
                Options::new().executor(Policy::Cpu),
                None,
                &problem,
            );
            let values = &run.expect("it runs")[0].data;
            let again = get().expect("it is loaded");
            let seconds = ready.seconds;
            println!("{:?} {:?} {seconds} {values:?}", ready.origin, again.origin);
            println!("{}", ready.note.unwrap_or_default());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    };
    Some(code)
}

/// What a process that got its kernel said.
#[derive(Debug)]
pub struct Answer {
    /// `Cached` or `Compiled`.
    pub origin: String,
    /// From the question to the kernel.
    pub seconds: f64,
    /// Why it was not kept.
    pub note: String,
}

/// Checks the numbers that a process printed, and that it had the kernel the second time.
pub fn answer(number: u32, output: &Output) -> Answer {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (line, note) = text.trim_end().split_once('\n').unwrap_or((text.trim_end(), ""));
    let mut words = line.splitn(4, ' ');
    let mut word = || words.next().expect("four words").to_string();
    let (origin, again, seconds) = (word(), word(), word().parse().expect("seconds"));
    assert_eq!(again, "Loaded");
    let values = word();
    let values: Vec<f64> = values
        .trim_matches(['[', ']'])
        .split(", ")
        .map(|value| value.parse().expect("a number"))
        .collect();
    let p = problem(number);
    let expected: Vec<Matrix> = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
    assert_eq!(values.len(), expected[0].data.len());
    for (found, expected) in values.iter().zip(&expected[0].data) {
        assert!((found - expected).abs() < 1e-12 * (1.0 + expected.abs()), "{found} {expected}");
    }
    Answer { origin, seconds, note: note.to_string() }
}

/// What a process that got no kernel said.
pub fn refusal(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    text
}

/// A cache and a compiler.
pub struct Place {
    root: tempfile::TempDir,
}

impl Place {
    /// `mode` is one of the words in `cxx.sh`.
    pub fn new(mode: &str) -> Place {
        let place = Place { root: tempfile::tempdir().unwrap() };
        fs::create_dir(place.tools()).unwrap();
        // A link: a script that is written and run at once can be found busy.
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jit/cxx.sh");
        std::os::unix::fs::symlink(script, place.tools().join("c++")).unwrap();
        place.set_mode(mode);
        place
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    fn tools(&self) -> PathBuf {
        self.root().join("tools")
    }

    /// The folder of compiled formulas.
    pub fn cache(&self) -> PathBuf {
        self.root().join("cache")
    }

    /// Tells the compiler what to do from now on.
    pub fn set_mode(&self, mode: &str) {
        fs::write(self.tools().join("mode"), mode).unwrap();
    }

    /// What mode `copy` gives out.
    pub fn set_library(&self, bytes: &[u8]) {
        fs::write(self.tools().join("library"), bytes).unwrap();
    }

    /// How many libraries were asked for so far.
    pub fn compilations(&self) -> usize {
        fs::read_to_string(self.tools().join("log")).unwrap_or_default().lines().count()
    }

    /// A process that asks for a kernel.
    pub fn process(&self, number: u32) -> Command {
        let mut command = Command::new(env::current_exe().unwrap());
        command.env(ASK, number.to_string()).env("TILEFOLD_CACHE", self.cache());
        command.env("TILEFOLD_CXX", self.tools().join("c++"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Asks for a kernel that has to come.
    pub fn get(&self, number: u32) -> Answer {
        answer(number, &self.process(number).output().unwrap())
    }

    /// The files of the cache whose names end in something.
    pub fn files(&self, ending: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.cache()).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.retain(|path| path.to_string_lossy().ends_with(ending));
        files.sort();
        files
    }

    /// Workplaces that nobody removed.
    pub fn litter(&self) -> usize {
        self.files("").iter().filter(|path| path.to_string_lossy().contains(".tmp-")).count()
    }
}
