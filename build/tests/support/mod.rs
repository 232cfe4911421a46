//! Hand-made generated text, and compilers that misbehave.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tilefold_build::manifest::{Dtype, Kernel, Library};
use tilefold_build::native::{Compiler, HOST, Level, Native};
use tilefold_build::progress::{Group, Outcome, Progress, Summary};
use tilefold_build::text::Text;

/// The dtypes that the text below is written for.
const DTYPES: [Dtype; 2] = [Dtype::F32, Dtype::F64];

const ABI: &str = include_str!("../../../templates/include/tf_abi.h");

const TINY_H: &str = r#"#include "tf_abi.h"
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
"#;

const CPP: &str = r#"#include "tiny.h"
#define DTYPE_float _f32
#define DTYPE_double _f64
#define DTYPE PASTE(DTYPE_, TF_REAL_T)
#if defined(__aarch64__)
#define LEVEL _neon
#elif TF_VB == 64
#define LEVEL _v4
#elif TF_VB == 32
#define LEVEL _v3
#else
#define LEVEL _v2
#endif
static void init(void *state) { *(TF_REAL_T *)state = NEUTRAL; }
extern "C" const tf_cpu_stage PASTE(PASTE(SYMBOL, DTYPE), LEVEL)[] = {
    {TF_VB / sizeof(TF_REAL_T), 1, 1, 0, 64, 0, 0, 0, init, 0, 0, 0}};
"#;

const DESC: &str = r#"#include "tiny.h"
#if TF_DOUBLE
#define DTYPE _f64
#else
#define DTYPE _f32
#endif
#define STAGES(level) PASTE(PASTE(SYMBOL, DTYPE), level)
#ifdef TF_HAS_V2
extern const tf_cpu_stage STAGES(_v2)[], STAGES(_v3)[], STAGES(_v4)[];
#define LEVELS {STAGES(_v2), STAGES(_v3), STAGES(_v4), 0}
#else
extern const tf_cpu_stage STAGES(_neon)[];
#define LEVELS {0, 0, 0, STAGES(_neon)}
#endif
static const tf_stage stages[] = {{.cpu = LEVELS}};
#ifdef TF_HAS_IMAGE
extern const uint8_t STAGES(_image)[];
#define IMAGE STAGES(_image), TF_HAS_IMAGE
#else
#define IMAGE 0, 0
#endif
const tf_kernel PASTE(SYMBOL, DTYPE) = {
    TF_MAGIC, TF_ABI_VERSION, sizeof(tf_kernel), TF_DOUBLE, {0}, NAME, 0,
    0, 0, 0, 1, 0, stages, IMAGE};
"#;

const CU: &str =
    "#include \"tiny.h\"\nextern \"C\" __global__ void SYMBOL(TF_REAL_T *x) { *x = 1; }\n";

/// The text of one formula with one kernel, at both dtypes.
pub fn formula(name: &str, neutral: u32) -> Text {
    let symbol = format!("tf_{name}_0123");
    let head = format!("#define SYMBOL {symbol}\n#define NEUTRAL {neutral}\n");
    let head = format!("{head}#define NAME \"{name}\"\n");
    let path = |extension: &str| format!("{name}/{symbol}.{extension}");
    let texts = [(path("cpp"), CPP), (path("c"), DESC), (path("cu"), CU)];
    let mut files: std::collections::BTreeMap<_, _> =
        texts.into_iter().map(|(p, body)| (p, format!("{head}{body}"))).collect();
    files.insert("include/tf_abi.h".into(), ABI.into());
    files.insert("include/tiny.h".into(), TINY_H.into());
    let kernel = |dtype| Kernel {
        symbol: symbol.clone(),
        name: format!("{name}_D3"),
        dtype,
        cpp: path("cpp"),
        stages: 1,
        cu: Some(path("cu")),
        desc: path("c"),
    };
    let kernels = DTYPES.map(kernel).to_vec();
    Text::new(files, vec![Library { formula: name.into(), kernels }])
}

/// The text of several formulas.
pub fn formulas(names: &[&str]) -> Text {
    let mut text = Text::default();
    for name in names {
        text.join(formula(name, 0), &format!("{name}.fold")).unwrap();
    }
    text
}

/// How many objects a formula has without images: every dtype and level, and the descriptors.
pub fn objects_of_a_formula() -> usize {
    DTYPES.len() * (Level::of_target(HOST).unwrap().len() + 1)
}

/// A folder with generated text, a cache and a compiler that does what it is told.
pub struct Place {
    root: PathBuf,
}

impl Place {
    /// Makes the place in an existing folder; `mode` is one of the words in `cxx.sh`.
    pub fn new(root: &Path, mode: &str) -> Place {
        let place = Place { root: root.to_path_buf() };
        fs::create_dir_all(place.tools()).unwrap();
        // A link: a script that is written and run at once can be found busy.
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/cxx.sh");
        #[cfg(unix)]
        std::os::unix::fs::symlink(script, place.tools().join("c++")).unwrap();
        place.set_mode(mode);
        place
    }

    /// A place that somebody else has made.
    pub fn at(root: &Path) -> Place {
        Place { root: root.to_path_buf() }
    }

    fn tools(&self) -> PathBuf {
        self.root.join("tools")
    }

    /// The generated folder.
    pub fn generated(&self) -> PathBuf {
        self.root.join("generated")
    }

    /// The folder of archives.
    pub fn archives(&self) -> PathBuf {
        self.root.join("archives")
    }

    /// The folder of cached objects.
    pub fn objects(&self) -> PathBuf {
        self.root.join("cache/objects")
    }

    /// Tells the compiler what to do from now on.
    pub fn set_mode(&self, mode: &str) {
        fs::write(self.tools().join("mode"), mode).unwrap();
    }

    /// What mode `copy` gives out.
    pub fn set_object(&self, bytes: &[u8]) {
        fs::write(self.tools().join("object"), bytes).unwrap();
    }

    /// How often something was compiled so far.
    pub fn compilations(&self) -> usize {
        fs::read_to_string(self.tools().join("log")).unwrap_or_default().lines().count()
    }

    /// How to build here.
    pub fn native(&self) -> Native {
        Native {
            compiler: Compiler::at(&self.tools().join("c++"), HOST).unwrap(),
            cuda: None,
            cache: self.root.join("cache"),
            archives: self.archives(),
            jobs: 2,
            limit: std::time::Duration::from_secs(60),
        }
    }

    /// The bytes of every archive, by file name.
    pub fn archive_bytes(&self) -> Vec<(String, Vec<u8>)> {
        let mut found: Vec<_> = fs::read_dir(self.archives())
            .into_iter()
            .flatten()
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "a"))
            .map(|p| (p.file_name().unwrap().to_string_lossy().into(), fs::read(p).unwrap()))
            .collect();
        found.sort();
        found
    }
}

/// Remembers what it hears.
#[derive(Default)]
pub struct Notes {
    /// Lines for people.
    pub lines: Mutex<Vec<String>>,
    /// Steps, by group.
    pub steps: Mutex<Vec<(usize, Outcome)>>,
    /// The groups.
    pub groups: Mutex<Vec<Group>>,
}

impl Progress for Notes {
    fn note(&self, line: &str) {
        self.lines.lock().unwrap().push(line.to_string());
    }
    fn start(&self, groups: &[Group]) {
        *self.groups.lock().unwrap() = groups.to_vec();
    }
    fn step(&self, group: usize, outcome: Outcome) {
        self.steps.lock().unwrap().push((group, outcome));
    }
    fn finish(&self, _summary: &Summary) {}
}
