//! Compiles formulas/*.fold and links them.

fn main() -> Result<(), tilefold_build::Error> {
    tilefold_build::Config::new().formulas("formulas").compile()
}
