//! Formula files, one with 16-bit dtypes and one with run-time dimensions, from their text to a
//! Rust program that calls the safe wrapper: emitted, compiled, linked and run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use tilefold_build::native::{self, Compiler, HOST, Native};
use tilefold_build::progress::Silent;
use tilefold_build::{Config, text};

const FORMULA: &str = "tilefold 1;

/// Sums weighted by a Gaussian.
formula halves<D: {1, 2}> dtype f16, bf16, f32 {
    x[i] : R^D;
    y[j] : R^D;
    g : R;
    a[i] = sum[j] exp(-g * sqdist(x, y));
    n[i] = argmin[j] sqdist(x, y);
    grad a wrt x;
}
";

/// Compares 16-bit calls with the float32 call on the same numbers, rounded.
const PROGRAM: &str = r#"
include!("WRAPPER");

use tilefold::{Array2, bf16, f16};

macro_rules! check {
    ($half:ty) => {
        let half = |v: f32| <$half>::from_f32(v);
        let number = |r: usize, c: usize| half(r as f32 / 16.0 - c as f32);
        let x = Array2::from_shape_fn((40, 2), |(r, c)| number(r * 7 % 11, c));
        let y = Array2::from_shape_fn((70, 2), |(r, c)| number(r * 5 % 13, c));
        let (wide_x, wide_y) = (x.mapv(|v| v.to_f32()), y.mapv(|v| v.to_f32()));
        let args = halves::Args { x: x.view(), y: y.view(), g: half(0.75) };
        let wide = halves::Args { x: wide_x.view(), y: wide_y.view(), g: 0.75f32 };
        let (found, expected) = (halves::eval(&args).unwrap(), halves::eval(&wide).unwrap());
        assert_eq!(found.a, expected.a.mapv(half));
        assert_eq!(found.n, expected.n);
        let ones = Array2::from_elem((40, 1), half(1.0));
        let wide_ones = Array2::from_elem((40, 1), 1.0f32);
        let found = halves::vjp(&args, ones.view()).unwrap();
        let expected = halves::vjp(&wide, wide_ones.view()).unwrap();
        assert_eq!(found.d_x, expected.d_x.mapv(half));
    };
}

fn main() {
    check!(f16);
    check!(bf16);
    let x = Array2::<f64>::zeros((1, 2));
    let error = halves::eval(&halves::Args { x: x.view(), y: x.view(), g: 1.0 }).unwrap_err();
    println!("{error}");
}
"#;

const DYNAMIC: &str = "tilefold 1;
// Text that Rust's literals must survive: \"quotes\", back\\slashes, \u{e4}, r#\"raw\"#.

/// Weighted Gaussians.
formula field<D: {2, dyn}, E: {1, 2}> dtype f32, f64 {
    x[i], y[j] : R^D;
    b[j] : R^E;
    g : R;
    a[i] = sum[j] exp(-g * sqdist(x, y)) * b;
    grad a wrt x, b with value;
    jvp d_x wrt x as hessian_vector;
}

/// Nothing of it is compiled ahead of time.
formula near<K: dyn> dtype f64 {
    x[i], y[j] : R^2;
    n[i] = argkmin[j; K] sqdist(x, y);
    d[i] = kmin[j; K] sqdist(x, y);
}
";

/// Listed sizes run linked, others interpreted, and both compute the same.
const DYNAMIC_PROGRAM: &str = r#"
include!("WRAPPER");

use tilefold::{Array2, Tier};

fn array(rows: usize, cols: usize, seed: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, cols), |(r, c)| ((r * 7 + c * 3 + seed) % 11) as f64 / 7.0)
}

/// The field in D dimensions, its gradients, and the product of the Hessian with a direction.
fn fields(d: usize, tier: Tier) -> [Array2<f64>; 4] {
    let pad = |a: Array2<f64>| {
        let zeros = Array2::zeros((a.nrows(), d));
        let cols = a.ncols().min(d);
        let mut all: Array2<f64> = zeros;
        for (to, from) in all.columns_mut().into_iter().zip(a.columns()).take(cols) {
            let mut to = to;
            to.assign(&from);
        }
        all
    };
    // Two components, and zeros, which add nothing to a distance.
    let (x, y) = (pad(array(9, 2, 1)), pad(array(20, 2, 4)));
    let (b, d_a, t) = (array(20, 1, 2), array(9, 1, 3), pad(array(9, 2, 5)));
    let args = field::Args { x: x.view(), y: y.view(), b: b.view(), g: 0.5 };
    let (value, report) = field::eval_with(&args, tilefold::Options::new()).unwrap();
    assert_eq!(report.tier, tier, "{report}");
    let both = field::value_and_vjp(&args, d_a.view()).unwrap();
    let close = |a: &Array2<f64>, b: &Array2<f64>| {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + a.abs()))
    };
    assert!(close(&both.a, &value.a));
    let mut into = Array2::zeros((9, 1));
    let report = field::eval_into(&args, into.view_mut()).unwrap();
    assert_eq!((into, report.tier), (value.a.clone(), tier));
    let second = field::hessian_vector(&args, d_a.view(), t.view()).unwrap();
    [value.a, both.d_x, both.d_b, second.t_d_x]
}

fn main() {
    let expected = fields(2, Tier::Linked);
    for d in [3, 5, 40] {
        let found = fields(d, Tier::Interpreted);
        for (found, expected) in found.iter().zip(&expected) {
            for (at, &expected) in expected.indexed_iter() {
                let off = (found[at] - expected).abs();
                assert!(off < 1e-12 * (1.0 + expected.abs()), "D = {d} at {at:?}: {off}");
            }
            assert!(found.iter().any(|v| v.abs() > 1e-3));
        }
    }
    let (x, y) = (array(9, 2, 1), array(20, 2, 4));
    for k in [1, 3, 7] {
        let found = near::eval(&near::Args { x: x.view(), y: y.view(), k }).unwrap();
        assert_eq!(found.n.dim(), (9, k));
        for (i, row) in found.d.rows().into_iter().enumerate() {
            let distance = |j: usize| (0..2).map(|c| (x[[i, c]] - y[[j, c]]).powi(2)).sum::<f64>();
            let mut all: Vec<f64> = (0..20).map(distance).collect();
            all.sort_by(f64::total_cmp);
            assert!(row.iter().zip(&all).all(|(a, b)| (a - b).abs() < 1e-12), "{row} {all:?}");
        }
    }
    let wide = array(20, 3, 0);
    let args = field::Args { x: x.view(), y: y.view(), b: wide.view(), g: 0.5 };
    println!("{}", field::eval(&args).unwrap_err());
    let half = Array2::<f32>::zeros((2, 2));
    println!("{}", near::eval(&near::Args { x: half.view(), y: half.view(), k: 1 }).unwrap_err());
}
"#;

/// A folder of this process.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The library of the runtime that this test itself was linked with: the newest one.
fn runtime() -> PathBuf {
    let test = env::current_exe().expect("a path");
    let entries = fs::read_dir(test.parent().expect("a folder")).expect("it is readable");
    let libraries = entries.map(|entry| entry.expect("an entry").path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libtilefold-") && name.ends_with(".rlib")
    });
    let changed = |path: &PathBuf| fs::metadata(path).and_then(|data| data.modified()).ok();
    libraries.max_by_key(changed).expect("the tests depend on the runtime")
}

/// Generates and compiles a formula file: its wrapper, and the archives to link.
fn archives(folder: &Path, name: &str, formulas: &str) -> (PathBuf, Vec<PathBuf>) {
    fs::create_dir_all(folder.join("formulas")).expect("a writable place");
    fs::write(folder.join(format!("formulas/{name}.fold")), formulas).expect("a writable place");
    let config = Config::new().root(folder);
    config.generate(&Silent).unwrap_or_else(|e| panic!("{e}"));
    let manifest = text::verify(&config.generated()).unwrap_or_else(|e| panic!("{e}"));
    let native = Native {
        compiler: Compiler::find(HOST).unwrap_or_else(|e| panic!("{e}")),
        cuda: None,
        cache: folder.join("cache"),
        archives: folder.join("archives"),
        jobs: 2,
        limit: native::LIMIT,
    };
    let made = native::build(&config.generated(), &manifest.libraries, &native, &Silent);
    let (archives, _) = made.unwrap_or_else(|e| panic!("{e}"));
    let wrapper = config.generated().join(format!("wrappers/{name}.rs"));
    (wrapper, archives.into_iter().map(|archive| archive.path).collect())
}

/// What a program prints that is linked with the formulas of a file.
fn run(name: &str, formulas: &str, program: &str) -> String {
    let place = env::temp_dir().join(format!("tilefold-wrapper-{name}-{}", std::process::id()));
    let folder = Folder(place);
    let (wrapper, archives) = archives(&folder.0, name, formulas);
    let source = folder.0.join("main.rs");
    let text = program.replace("WRAPPER", &wrapper.display().to_string());
    fs::write(&source, text).expect("a writable place");
    let (runtime, program) = (runtime(), folder.0.join("program"));
    let deps = runtime.parent().expect("a folder");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let made = Command::new(rustc)
        .args(["--edition", "2024", "-D", "warnings", "-L"])
        .arg(format!("dependency={}", deps.display()))
        .arg(format!("--extern=tilefold={}", runtime.display()))
        .args(archives.iter().map(|archive| format!("-Clink-arg={}", archive.display())))
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .output()
        .expect("rustc starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let ran = Command::new(&program).env("TILEFOLD_CUDA", "off").output().expect("it starts");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    said
}

#[test]
fn wrappers_take_and_give_halves() {
    let said = run("halves", FORMULA, PROGRAM);
    assert!(said.contains("compiled for dtype f16, bf16, f32, but the arrays hold f64"), "{said}");
}

#[test]
fn wrappers_make_what_is_not_listed() {
    let said = run("dynamic", DYNAMIC, DYNAMIC_PROGRAM);
    assert!(said.contains("field was compiled for E in {1, 2}, but `b` has 3 columns"), "{said}");
    assert!(said.contains("near was compiled for dtype f64, but the arrays hold f32"), "{said}");
}
