//! Formulas that were met at run time, written down: the text gives the same formula again, once,
//! whoever writes at the same time and whatever happens.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use ndarray::{Array2, array};
use tilefold::record::{self, Outcome};
use tilefold::{Axis, Code, LazyTensor, Options, Policy, Tiers};
use tilefold_build::Config;
use tilefold_build::manifest;
use tilefold_compiler::front;
use tilefold_compiler::ir::{self, Formula, Key, Kind, Storage};
use tilefold_compiler::ops::Op;
use tilefold_compiler::passes::{lookup, vjp};
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::generate::{self, Wish};
use tilefold_tests::linked::link;

fn parsed(text: &str) -> Vec<Formula> {
    let units = front::parse("recorded.fold", text);
    let units = units.unwrap_or_else(|d| panic!("{}\n{text}", d.render("recorded.fold", text)));
    units.into_iter().flat_map(|unit| unit.instances).map(|i| i.formula).collect()
}

fn keys(text: &str) -> Vec<Key> {
    parsed(text).iter().map(|f| lookup(f).key).collect()
}

/// Gaussian sums with names of nobody's choosing.
fn gaussian(number: f64) -> Formula {
    let mut f = Formula::new("in");
    let spare = f.input("let", None, 2).expect("valid");
    let y = f.input("formula", Some(ir::Axis::J), 3).expect("valid");
    let x = f.input("a;b", Some(ir::Axis::I), 3).expect("valid");
    let _ = f.apply(Op::Exp, &[spare], &[]);
    let distance = f.apply(Op::SqDist, &[x, y], &[]);
    let scaled = f.scale(-number, distance);
    let k = f.apply(Op::Exp, &[scaled], &[]);
    let sum = f.sum_over(ir::Axis::J, k);
    f.output("out put", Some(ir::Axis::I), sum).expect("fits");
    f
}

#[test]
fn a_recorded_formula_reads_well() {
    let f = gaussian(0.5);
    let key = lookup(&f).key.to_string();
    let expected = format!(
        "tilefold 1;

// key {key}
/// `a = sum[j](exp((-0.5 * sqdist(x, y))))`
formula sum_exp_sqdist_{} dtype f64 {{
  x[i] : R^3;
  y[j] : R^3;
  let v0 = sub(x, y);
  let v1 = square(v0);
  let v2 = sum(v1);
  let v3 = mul(-0.5, v2);
  let v4 = exp(v3);
  let v5 = sum[j] v4;
  a[i] = v5;
}}
",
        &key[..8]
    );
    assert_eq!(record::source(&f, Storage::F64), expected);
}

#[test]
fn every_formula_comes_back() {
    let mut formulas: Vec<Formula> =
        (0..60).map(|n| generate::problem(n, Wish::Any).formula).collect();
    for f in &mut formulas[..15] {
        f.relaxed = true;
        f.acc = ir::Accumulation::Each;
    }
    // Every operation has a name that a formula can be named for, and so has every reduction.
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let names = Op::ALL.iter().map(|op| op.def().name);
    let names = names.chain(Reducer::ALL.iter().map(|reducer| reducer.def().name));
    names.for_each(|name| assert!(name.chars().all(plain), "{name}"));
    for n in 0..10 {
        let f = generate::problem(n, Wish::Smooth).formula;
        let gradient = vjp(&f, &f.outputs[0].name, &[f.inputs[0].name.clone()]);
        formulas.extend(gradient);
    }
    assert!(formulas.len() >= 65);
    let mut complex = Formula::new("complex");
    let z = complex.input_of("z", Some(ir::Axis::I), 4, Kind::Complex).expect("valid");
    let labels = complex.input_of("labels", Some(ir::Axis::J), 1, Kind::Int).expect("valid");
    complex.output("z", Some(ir::Axis::I), z).expect("fits");
    complex.output("labels", Some(ir::Axis::J), labels).expect("fits");
    formulas.push(complex);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("open.fold");
    let (mut open, mut expected) = (0, Vec::new());
    for f in &formulas {
        let text = record::source(f, Storage::F32);
        if front::parse("recorded.fold", &text).is_err() {
            // Nothing says how many rows there are; then it would spoil a file.
            let error = record::append(&file, f, Storage::F32).unwrap_err();
            assert!(error.message().contains("has no input of "), "{error}");
            open += 1;
            continue;
        }
        match record::append(&file, f, Storage::F32).unwrap_or_else(|e| panic!("{e}\n{text}")) {
            Outcome::Added => expected.push(lookup(f).key),
            outcome => assert_eq!(outcome, Outcome::Known),
        }
        assert!(text.lines().all(|line| !line.starts_with("///") || line.len() < 400), "{text}");
    }
    assert!(0 < open && open < 20, "{open}");
    let found = keys(&fs::read_to_string(&file).unwrap());
    assert_eq!(found, expected);
}

#[test]
fn a_file_has_each_formula_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/recorded.fold");
    let append = |f: &Formula, storage| record::append(&file, f, storage).unwrap();
    let read = || fs::read_to_string(&file).unwrap();
    let (first, second) = (gaussian(1.0), gaussian(2.0));
    assert_eq!(append(&first, Storage::F32), Outcome::Added);
    assert_eq!(append(&first, Storage::F32), Outcome::Known);
    assert_eq!(append(&second, Storage::F64), Outcome::Added);
    assert_eq!(append(&first, Storage::F64), Outcome::Extended);
    assert_eq!(append(&first, Storage::BF16), Outcome::Extended);
    assert!(read().contains(" dtype f32, f64, bf16 {\n"), "{}", read());
    assert_eq!(keys(&read()), [lookup(&first).key, lookup(&second).key]);
    // Another spelling is the same formula.
    let mut other = Formula::new("f");
    let x = other.input("x", Some(ir::Axis::I), 3).expect("valid");
    let y = other.input("y", Some(ir::Axis::J), 3).expect("valid");
    let gap = other.sub(x, y);
    let squares = other.mul(gap, gap);
    let distance = other.sum_components(squares);
    let minus = other.neg(distance);
    let k = other.apply(Op::Exp, &[minus], &[]);
    let sum = other.sum_over(ir::Axis::J, k);
    other.output("a", Some(ir::Axis::I), sum).expect("fits");
    assert_eq!(append(&other, Storage::F64), Outcome::Known);
    // What a person wrote or renamed stays.
    let edited =
        read().replace("sum_exp_sqdist_", "blur_").replace("\ntilefold 1;", "\n\ntilefold 1;")
            + "\n/// mine\nformula mine { x[j] : R; a = sum[j] x; }\n";
    fs::write(&file, &edited).unwrap();
    assert_eq!(append(&second, Storage::F32), Outcome::Extended);
    let third = gaussian(3.0);
    assert_eq!(append(&third, Storage::F32), Outcome::Added);
    let text = read();
    assert!(text.contains("formula mine {") && text.contains("formula blur_"), "{text}");
    assert_eq!(parsed(&text).len(), 4);
    assert!(fs::read_dir(file.parent().unwrap()).unwrap().count() == 1, "litter");
    // The build compiles all of it, for every dtype.
    let config = Config::new().root(folder.path()).formulas("new").out_dir("generated");
    let libraries = config.render().unwrap_or_else(|e| panic!("{e}")).libraries;
    let of = |dtype| libraries.iter().flat_map(|l| &l.kernels).filter(|k| k.dtype == dtype).count();
    assert_eq!((libraries.len(), of(manifest::Dtype::BF16), of(manifest::Dtype::F16)), (4, 1, 0));
}

#[test]
fn writers_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recorded.fold");
    let formulas: Vec<Formula> = (1..=24).map(|n| gaussian(f64::from(n))).collect();
    // In this process every writer but the first finds nothing to do: the others are processes.
    let child = |n: usize| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "one_of_many_writers", "--nocapture"]);
        command.env("TF_RECORD_FROM", n.to_string()).env("TILEFOLD_RECORD", &file);
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (0..6).map(child).collect();
    thread::scope(|scope| {
        for f in &formulas {
            scope.spawn(|| record::append(&file, f, Storage::F32).unwrap());
        }
    });
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let mut found = keys(&fs::read_to_string(&file).unwrap());
    let mut expected: Vec<Key> = formulas.iter().map(|f| lookup(f).key).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "litter");
}

/// A process of [`writers_at_once_lose_nothing`]: alone it has nothing to do.
#[test]
fn one_of_many_writers() {
    let Ok(first) = std::env::var("TF_RECORD_FROM") else { return };
    let first: usize = first.parse().unwrap();
    let file = std::env::var_os("TILEFOLD_RECORD").unwrap();
    for n in 0..24 {
        let f = gaussian((1 + (first * 4 + n) % 24) as f64);
        record::append(Path::new(&file), &f, Storage::F32).unwrap();
    }
}

#[test]
fn files_that_are_no_formula_files_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let refused = |path: &Path, words: &str| {
        let before = fs::read(path).ok();
        let error = record::append(path, &gaussian(1.0), Storage::F32).unwrap_err();
        assert_eq!(error.code(), Code::Record, "{error}");
        assert!(error.message().contains(words) && !error.helps().is_empty(), "{error}");
        assert_eq!(fs::read(path).ok(), before);
    };
    fs::write(path("main.rs"), "fn main() {}").unwrap();
    refused(&path("main.rs"), "does not end in .fold");
    fs::write(path("a.fold"), "fn main() {}").unwrap();
    refused(&path("a.fold"), "does not begin with `tilefold 1;`");
    fs::write(path("b.fold"), b"tilefold 1;\n// caf\xe9\n").unwrap();
    refused(&path("b.fold"), "not UTF-8");
    fs::create_dir(path("c.fold")).unwrap();
    refused(&path("c.fold"), "c.fold: ");
    refused(&path("a.fold/x.fold"), "x.fold: ");
    fs::write(path("d.fold"), format!("tilefold 1;\n//{}\n", "x".repeat(1 << 20))).unwrap();
    refused(&path("d.fold"), "1048576 bytes");
    let key = lookup(&gaussian(1.0)).key;
    fs::write(path("e.fold"), format!("tilefold 1;\n// key {key}\nfn f(x) = x;\n")).unwrap();
    refused(&path("e.fold"), "has no list of dtypes");
}

/// The whole way: a program that may run linked formulas only meets one that is not, says how to
/// get it, and writes it down; the next program has it linked and runs it.
#[test]
fn an_expression_is_recorded_and_linked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recorded.fold");
    let (x, y): (Array2<f32>, Array2<f32>) = (array![[0.0, 1.0]], array![[2.0, 3.0], [4.0, 5.0]]);
    let frozen = || Options::new().tiers(Tiers::LINKED).executor(Policy::Cpu);
    let evaluate = || {
        let gap = LazyTensor::i(x.view()) - LazyTensor::j(y.view());
        gap.abs().sum_inner().sum(Axis::J).eval_with(frozen())
    };
    record::to(Some(&file));
    let errors = [evaluate().unwrap_err(), evaluate().unwrap_err()];
    record::to(None);
    let text = fs::read_to_string(&file).unwrap();
    let formulas = parsed(&text);
    assert_eq!(formulas.len(), 1, "{text}");
    assert!(text.contains("formula sum_abs_") && text.contains(" dtype f32 {"), "{text}");
    // The error shows the same source.
    assert_eq!(errors[0].code(), Code::NoExecutor);
    let shown = errors[0].helps().iter().find(|help| help.contains("tilefold 1;")).unwrap();
    let shown = &shown[shown.find("tilefold 1;").unwrap()..];
    assert_eq!(keys(shown), keys(&text));
    assert_eq!(errors[0], errors[1]);

    link(&formulas, Storage::F32);
    assert_eq!(evaluate().unwrap(), array![[4.0 + 8.0]]);
}
