//! A formula file with 16-bit dtypes, from its text to a Rust program that calls the safe wrapper:
//! emitted, compiled, linked and run.

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

fn archive(folder: &Path) -> (PathBuf, PathBuf) {
    fs::create_dir_all(folder.join("formulas")).expect("a writable place");
    fs::write(folder.join("formulas/halves.fold"), FORMULA).expect("a writable place");
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
    (config.generated().join("wrappers/halves.rs"), archives[0].path.clone())
}

#[test]
fn wrappers_take_and_give_halves() {
    let place = env::temp_dir().join(format!("tilefold-wrapper-{}", std::process::id()));
    let folder = Folder(place);
    let (wrapper, archive) = archive(&folder.0);
    let source = folder.0.join("main.rs");
    let text = PROGRAM.replace("WRAPPER", &wrapper.display().to_string());
    fs::write(&source, text).expect("a writable place");
    let (runtime, program) = (runtime(), folder.0.join("program"));
    let deps = runtime.parent().expect("a folder");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let made = Command::new(rustc)
        .args(["--edition", "2024", "-L"])
        .arg(format!("dependency={}", deps.display()))
        .arg(format!("--extern=tilefold={}", runtime.display()))
        .arg(format!("-Clink-arg={}", archive.display()))
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .output()
        .expect("rustc starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let ran = Command::new(&program).env("TILEFOLD_CUDA", "off").output().expect("it starts");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("compiled for dtype f16, bf16, f32, but the arrays hold f64"), "{said}");
}
