//! CUDA images in the libraries, with a stand-in for nvcc.
#![cfg(unix)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Place, formula, objects_of_a_formula};
use tilefold_build::native::{self, Archs, Compiler, Cuda, HOST, Native, Tool};
use tilefold_build::progress::Silent;
use tilefold_build::text;

/// A folder with a stand-in, and the stand-in.
fn nvcc(dir: &Path, mode: &str) -> Tool {
    let tools = dir.join("cuda");
    fs::create_dir(&tools).unwrap();
    fs::write(tools.join("mode"), mode).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/nvcc.sh");
    std::os::unix::fs::symlink(script, tools.join("nvcc")).unwrap();
    Tool { path: tools.join("nvcc"), version: "12.4".into() }
}

fn native(place: &Place, nvcc: Tool) -> Native {
    let (cuda, _) = Cuda::new(nvcc, None).unwrap();
    Native { cuda: Some(cuda), ..place.native() }
}

fn runs_of(dir: &Path) -> Vec<String> {
    let log = fs::read_to_string(dir.join("cuda/log")).unwrap_or_default();
    log.lines().map(String::from).collect()
}

#[test]
fn images_are_linked_with_their_length() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path(), "good");
    let text = formula("gauss", 0);
    text::write(&place.generated(), &text, &Silent).unwrap();
    let native = native(&place, nvcc(dir.path(), "good"));
    let build = || native::build(&place.generated(), &text.libraries, &native, &Silent).unwrap();
    let (archives, summary) = build();
    assert_eq!(summary.compiled, objects_of_a_formula() + 2);
    let runs = runs_of(dir.path());
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|r| r.contains("-gencode=arch=compute_90,code=sm_90")), "{runs:?}");
    assert!(!runs[0].contains("compute_100"), "the stand-in does not know it: {runs:?}");
    let (again, summary) = build();
    assert_eq!((again, summary.compiled), (archives.clone(), 0));
    assert_eq!(runs_of(dir.path()).len(), 2);
    let image = image_of(dir.path(), &place, &archives[0].path);
    let of_f64 = runs.iter().find(|r| r.contains("-DTF_REAL_T=double")).unwrap();
    assert_eq!(image, [b"\x50\xed\x55\xba ", of_f64.as_bytes()].concat());
}

/// The image that a program finds in the descriptor of the f64 kernel.
fn image_of(dir: &Path, place: &Place, archive: &Path) -> Vec<u8> {
    let main = "#include \"tf_abi.h\"\n#include <stdio.h>\n\
                extern const tf_kernel tf_gauss_0123_f64;\n\
                int main(void) { const tf_kernel *k = &tf_gauss_0123_f64;\n\
                return fwrite(k->image, 1, k->image_bytes, stdout) != k->image_bytes ||\n\
                       (uintptr_t)k->image % 64; }\n";
    fs::write(dir.join("main.c"), main).unwrap();
    let program: PathBuf = dir.join("program");
    let mut link = Command::new(Compiler::find(HOST).unwrap().path());
    link.args(["-x", "c"]).arg(dir.join("main.c")).args(["-x", "none", "-I"]);
    link.arg(place.generated().join("include")).arg(archive).arg("-o").arg(&program);
    assert!(link.status().unwrap().success());
    let output = Command::new(&program).output().unwrap();
    assert!(output.status.success(), "short or not aligned");
    output.stdout
}

#[test]
fn what_is_no_image_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path(), "good");
    let text = formula("gauss", 0);
    text::write(&place.generated(), &text, &Silent).unwrap();
    let native = native(&place, nvcc(dir.path(), "garbage"));
    let error = native::build(&place.generated(), &text.libraries, &native, &Silent).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("nvcc said that it succeeded but wrote something else"), "{error}");
    assert!(error.contains("tf_gauss_0123.cu"), "{error}");
}

#[test]
fn lost_images_are_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path(), "good");
    let text = formula("gauss", 0);
    text::write(&place.generated(), &text, &Silent).unwrap();
    let native = native(&place, nvcc(dir.path(), "good"));
    let build = || native::build(&place.generated(), &text.libraries, &native, &Silent).unwrap();
    let (archives, _) = build();
    for entry in fs::read_dir(place.objects()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "fatbin") {
            fs::write(path, b"\x50\xed\x55\xba half").unwrap();
        }
    }
    let (healed, summary) = build();
    // The stand-in writes its output's name into the image, so the archive changes as well.
    assert_eq!(summary.compiled, 2);
    assert_ne!(healed, archives);
    assert_eq!(runs_of(dir.path()).len(), 4);
}

#[test]
fn a_generation_asked_for_must_be_known() {
    let dir = tempfile::tempdir().unwrap();
    let tool = nvcc(dir.path(), "good");
    let error = Cuda::new(tool.clone(), Some(Archs::parse("90,100").unwrap())).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("nvcc 12.4") && error.contains("cannot compile for sm_100"), "{error}");
    assert!(error.contains("it knows compute_80 compute_90"), "{error}");
    let (cuda, left_out) = Cuda::new(tool, None).unwrap();
    assert_eq!(
        (cuda.archs.to_string().as_str(), left_out),
        ("sm_80,sm_90,ptx80", vec!["sm_100".into()])
    );
}
