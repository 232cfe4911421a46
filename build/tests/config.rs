//! Formula files to libraries, through the compiler.
#![cfg(feature = "compile")]

mod support;

use std::fs;
use std::path::Path;

use tilefold_build::native::{self, Compiler, HOST, Native};
use tilefold_build::progress::Silent;
use tilefold_build::{Config, Error, text};

const GAUSS: &str = "tilefold 1;

/// Gaussian convolution.
formula gauss<D: {1, 3}> dtype f32, f64 {
    x[i] : R^D;
    y[j] : R^D;
    b[j] : R;
    a[i] = sum[j] exp(-sqdist(x, y)) * b;
    grad a wrt x;
}
";

const NEAREST: &str = "tilefold 1;

formula nearest dtype f32 {
    x[i] : R^2;
    y[j] : R^2;
    n[i] = argmin[j] sqdist(x, y);
}
";

fn config(dir: &Path, files: &[(&str, &str)]) -> Config {
    for (path, text) in files {
        fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
        fs::write(dir.join(path), text).unwrap();
    }
    Config::new().root(dir)
}

#[test]
fn formulas_become_libraries() {
    let dir = tempfile::tempdir().unwrap();
    let files = [("formulas/gauss.fold", GAUSS), ("formulas/more/nearest.fold", NEAREST)];
    let config = config(dir.path(), &files);
    let changes = config.generate(&Silent).unwrap();
    assert_eq!(changes.written.len(), config.render().unwrap().files.len() + 1);
    config.check().unwrap();
    assert!(config.generate(&Silent).unwrap().written.is_empty());
    let wrappers = fs::read_to_string(config.generated().join("formulas.rs")).unwrap();
    for wrapper in wrappers.lines().filter_map(|l| l.strip_prefix("include!(\"")) {
        assert!(config.generated().join(wrapper.trim_end_matches("\");")).is_file(), "{wrapper}");
    }
    assert_eq!(wrappers.matches("include!").count(), 2);
    let manifest = text::verify(&config.generated()).unwrap();
    let kernels: Vec<_> = manifest.libraries.iter().map(|l| l.kernels.len()).collect();
    assert_eq!(kernels, [8, 1], "D and gradients and dtypes; one");
    let native = Native {
        compiler: Compiler::find(HOST).unwrap(),
        cuda: None,
        cache: dir.path().join("cache"),
        archives: dir.path().join("archives"),
        jobs: 2,
        limit: native::LIMIT,
    };
    let nearest = &manifest.libraries[1..];
    let (archives, summary) =
        native::build(&config.generated(), nearest, &native, &Silent).unwrap();
    assert_eq!(summary.compiled, support::objects_of_a_formula() / 2);
    assert!(archives[0].path.is_file());
}

/// Nothing is compiled of it ahead of time.
const OPEN: &str = "tilefold 1;

formula open<D: dyn> {
    x[i], y[j] : R^D;
    a[i] = sum[j] sqdist(x, y);
    grad a wrt x;
}
";

#[test]
fn a_formula_without_instances_is_a_wrapper() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[("formulas/open.fold", OPEN)]);
    config.generate(&Silent).unwrap();
    config.check().unwrap();
    let manifest = text::verify(&config.generated()).unwrap();
    assert!(manifest.libraries.is_empty());
    let wrapper = fs::read_to_string(config.generated().join("wrappers/open.rs")).unwrap();
    for part in ["pub fn vjp<T: Element>(", "        \"formula open<D: dyn> {\\n\",\n"] {
        assert!(wrapper.contains(part), "{part} is not in\n{wrapper}");
    }
    assert!(!wrapper.contains("unsafe"), "{wrapper}");
    let files = [("formulas/a.fold", OPEN), ("formulas/open.fold", OPEN)];
    let error = self::config(dir.path(), &files).render().unwrap_err().to_string();
    assert!(error.contains("formula open comes from both"), "{error}");
    // It can be wrong all the same.
    let wrong = OPEN.replace("sqdist(x, y)", "sqdist(x, z)");
    let error = self::config(dir.path(), &[("formulas/a.fold", wrong.as_str())]).render();
    assert!(error.unwrap_err().to_string().contains("formulas/a.fold:5"));
}

#[test]
fn a_changed_formula_makes_the_folder_stale() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[("formulas/gauss.fold", GAUSS)]);
    config.generate(&Silent).unwrap();
    let changed = GAUSS.replace("-sqdist", "-2 * sqdist").replace("{1, 3}", "{1}");
    fs::write(dir.path().join("formulas/gauss.fold"), changed).unwrap();
    let error = config.check().unwrap_err().to_string();
    assert!(error.contains("kernels/gauss/gauss_D1.cpp differs from its formula"), "{error}");
    assert!(error.contains("kernels/gauss/gauss_D3.cpp has no formula any more"), "{error}");
    config.generate(&Silent).unwrap();
    config.check().unwrap();
    assert!(!config.generated().join("kernels/gauss/gauss_D3.cpp").exists());
}

#[test]
fn the_text_does_not_depend_on_the_folder() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let render = |dir: &Path| config(dir, &[("formulas/gauss.fold", GAUSS)]).render().unwrap();
    assert_eq!(render(one.path()), render(&two.path().join("deeper/place")));
}

#[test]
fn every_file_with_mistakes_is_shown_and_nothing_written() {
    let dir = tempfile::tempdir().unwrap();
    let files = [
        ("formulas/gauss.fold", GAUSS),
        ("formulas/one.fold", "tilefold 1;\nformula one { a[i] = sum[j] x; }\n"),
        ("formulas/two.fold", "tilefold 1;\nformula two { x[j] : R^2; a = sum[j] y; }\n"),
    ];
    let config = config(dir.path(), &files);
    let error = config.generate(&Silent).unwrap_err();
    assert!(matches!(error, Error::Diagnostics { count: 2, .. }), "{error}");
    let message = error.to_string();
    for part in ["formulas/one.fold:2", "formulas/two.fold:2", "2 formula file(s)"] {
        assert!(message.contains(part), "{part} is not in\n{message}");
    }
    assert!(!config.generated().exists());
}

#[test]
fn one_formula_in_two_files_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let files = [("formulas/a.fold", NEAREST), ("formulas/b.fold", NEAREST)];
    let error = config(dir.path(), &files).render().unwrap_err().to_string();
    assert!(
        error.contains("formula nearest comes from both formulas/a.fold and formulas/b.fold"),
        "{error}"
    );
}
