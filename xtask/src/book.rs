//! `cargo xtask book`: the book of operations, from the tables.

use std::fs;

use tilefold_tests::book;

use crate::root;

/// Writes docs/operations.md from the tables of operations and reductions
///
/// Every section is computed: shapes by trying the rule, derivatives by differentiating, edge
/// values by evaluating, error bounds from the table that the tests check.
#[derive(clap::Args)]
pub struct Arguments {
    /// Write nothing; fail if the book is not what the tables say
    #[arg(long)]
    check: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> crate::Result {
    let path = root().join(book::PATH);
    let (old, new) = (fs::read_to_string(&path).unwrap_or_default(), book::text());
    match (old == new, arguments.check) {
        (true, _) => println!("{} is what the tables say", book::PATH),
        (false, true) => {
            return Err(format!("{} is out of date; run `cargo xtask book`", book::PATH));
        }
        (false, false) => {
            fs::write(&path, new).map_err(|e| format!("{}: {e}", path.display()))?;
            println!("{}: written", book::PATH);
        }
    }
    Ok(())
}
