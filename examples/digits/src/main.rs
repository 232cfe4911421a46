//! Classifies each of 1,797 handwritten digits by its ten nearest others, prints how well and how
//! fast that went, and draws it.

mod canvas;
mod data;
#[cfg(test)]
mod dense;
mod font;
mod neighbours;
mod picture;
mod units;
mod vote;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use data::{DataError, Digits};
use neighbours::{NeighbourError, Neighbours};
use picture::Story;
use vote::Outcome;

/// Where the digits that come with the program were taken from.
const CREDIT: &str =
    "Digits: E. Alpaydin and C. Kaynak (1998), UCI Machine Learning Repository, CC BY 4.0";

/// Classifies handwritten digits by their nearest neighbours and draws what was found.
#[derive(Debug, Parser)]
#[command(name = "digits", version)]
struct Args {
    /// Neighbours that vote on each digit
    #[arg(long, default_value_t = 10, value_name = "NUMBER")]
    k: usize,
    /// The picture to write
    #[arg(long, default_value = "target/digits.png", value_name = "FILE")]
    out: PathBuf,
    /// Digits to read instead of the built-in ones: 64 pixels from 0 to 16 and a label on each line
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("could not read {0}: {1}")]
    Read(PathBuf, io::Error),
    #[error("{0}: {1}")]
    Data(PathBuf, DataError),
    #[error("{0}")]
    Neighbours(#[from] NeighbourError),
    #[error("could not make the PNG: {0}")]
    Png(#[from] png::EncodingError),
    #[error("could not write {0}: {1}")]
    Write(PathBuf, io::Error),
    #[error("could not print the result: {0}")]
    Print(io::Error),
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    let (digits, credit) = load(args.data.as_deref())?;
    let neighbours = neighbours::nearest(digits.pixels.view(), args.k)?;
    let outcome = Outcome::new(&digits.labels, neighbours.index.view());
    let story =
        Story { digits: &digits, neighbours: &neighbours, outcome: &outcome, credit: &credit };
    let canvas = picture::draw(&story);
    let file = canvas.png()?;
    write(&args.out, &file).map_err(|error| Failure::Write(args.out.clone(), error))?;
    let (width, height) = canvas.size();
    let report = report(&outcome, &neighbours)
        + &format!("picture    {} ({width} x {height} pixels)\n", args.out.display());
    io::stdout().write_all(report.as_bytes()).map_err(Failure::Print)
}

/// The digits, and whom to thank for them.
fn load(path: Option<&Path>) -> Result<(Digits, String), Failure> {
    let Some(path) = path else {
        let digits = Digits::parse(data::SHIPPED);
        return Ok((
            digits.map_err(|error| Failure::Data("digits.csv".into(), error))?,
            CREDIT.to_string(),
        ));
    };
    let text = std::fs::read_to_string(path).map_err(|error| Failure::Read(path.into(), error))?;
    let digits = Digits::parse(&text).map_err(|error| Failure::Data(path.into(), error))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok((digits, format!("Digits: {name}")))
}

fn write(path: &Path, file: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, file)
}

/// What a person wants to know.
fn report(outcome: &Outcome, neighbours: &Neighbours) -> String {
    let (count, k) = neighbours.index.dim();
    let timing = neighbours.timing;
    let calls = match timing.calls {
        1 => "one call".to_string(),
        calls => format!("median of {calls} calls"),
    };
    let pairs = (count * count) as f64;
    format!(
        "digits     {count}, each classified by {}\n\
         accuracy   {:.4} ({} of {count})\n\
         ran on     {}\n\
         time       {} ({calls})\n\
         pairs      {} per second\n",
        units::voters(k),
        outcome.accuracy(),
        outcome.correct(),
        neighbours.executor,
        units::seconds(timing.seconds),
        units::count(pairs / timing.seconds),
    )
}
