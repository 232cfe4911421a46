//! Runs the program as a person would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// One digit: 64 equal pixels and a label.
fn digit(pixel: u8, label: u8) -> String {
    format!("{pixel},").repeat(64) + &format!("{label}\n")
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn digits(folder: &Path, args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_digits");
    Command::new(program).args(args).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn draws_the_digits_of_a_file() {
    let folder = folder("draws");
    let file = (digit(0, 4) + &digit(1, 4) + &digit(16, 7)).repeat(11);
    std::fs::write(folder.join("few.csv"), file).unwrap();
    let args = ["--k", "10", "--data", "few.csv", "--out", "deep/er/few.png"];
    let output = digits(&folder, &args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert!(printed.contains("accuracy   1.0000 (33 of 33)"), "{printed}");
    assert!(printed.contains("deep/er/few.png"), "{printed}");
    let picture = std::fs::File::open(folder.join("deep/er/few.png")).unwrap();
    let mut reader = png::Decoder::new(std::io::BufReader::new(picture)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    let size = format!("{} x {} pixels", reader.info().width, reader.info().height);
    assert!(printed.contains(&size), "{printed} but {size}");
}

#[test]
fn fails_with_the_place_of_the_bad_value() {
    let folder = folder("bad");
    let file = digit(3, 1) + &digit(3, 1).replacen("3,3", "3,x", 1);
    std::fs::write(folder.join("bad.csv"), file).unwrap();
    let output = digits(&folder, &["--data", "bad.csv"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "error: bad.csv: line 2, column 3: expected pixel 2 of 64, a whole number from 0 to 16, \
         found \"x\"\n"
    );
    assert!(output.stdout.is_empty() && !folder.join("target").exists());
}

#[test]
fn fails_where_a_file_is_missing_or_cannot_be_written() {
    let folder = folder("missing");
    let output = digits(&folder, &["--data", "nowhere.csv"]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(message.starts_with("error: could not read nowhere.csv: "), "{message}");

    std::fs::write(folder.join("few.csv"), digit(1, 1).repeat(11)).unwrap();
    let output = digits(&folder, &["--data", "few.csv", "--out", "few.csv/x.png"]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(message.starts_with("error: could not write few.csv/x.png: "), "{message}");
}

#[test]
fn fails_where_k_does_not_fit() {
    let folder = folder("k");
    std::fs::write(folder.join("two.csv"), digit(1, 1) + &digit(2, 2)).unwrap();
    let output = digits(&folder, &["--data", "two.csv"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = "error: k is 10, but for 2 digits it must be from 1 to 1\n";
    assert_eq!(text(&output.stderr), expected);
    let output = digits(&folder, &["--k", "ten"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn help_names_every_option() {
    let output = digits(&folder("help"), &["--help"]);
    assert!(output.status.success());
    let help = text(&output.stdout);
    for option in ["--k", "--out", "--data", "target/digits.png"] {
        assert!(help.contains(option), "{help}");
    }
}
