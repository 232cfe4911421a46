//! `cargo xtask`: the commands of this repository. Each command is one file.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use xtask::{
    bench, book, build_formulas, candle_cuda, conformance, cuda_check, demo, doctor, explain, fuzz,
    methods, mutants, sanitize, soak, test,
};

/// Development tasks of tilefold.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    BuildFormulas(build_formulas::Arguments),
    Demo(demo::Arguments),
    Test(test::Arguments),
    Doctor(doctor::Arguments),
    Explain(explain::Arguments),
    Conformance(conformance::Arguments),
    CudaCheck(cuda_check::Arguments),
    CandleCuda(candle_cuda::Arguments),
    Book(book::Arguments),
    Methods(methods::Arguments),
    Fuzz(fuzz::Arguments),
    Mutants(mutants::Arguments),
    Sanitize(sanitize::Arguments),
    Soak(soak::Arguments),
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::BuildFormulas(arguments) => build_formulas::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Conformance(arguments) => conformance::run(&arguments),
        Command::CudaCheck(arguments) => cuda_check::run(&arguments),
        Command::CandleCuda(arguments) => candle_cuda::run(&arguments),
        Command::Book(arguments) => book::run(&arguments),
        Command::Methods(arguments) => methods::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Mutants(arguments) => mutants::run(&arguments),
        Command::Sanitize(arguments) => sanitize::run(&arguments),
        Command::Soak(arguments) => soak::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Diagnostics of formulas come with a head of their own.
            let head = if message.starts_with("error") { "" } else { "error: " };
            eprintln!("{head}{message}");
            ExitCode::FAILURE
        }
    }
}
