//! `cargo xtask methods`: the methods of LazyTensor, from the tables.

use std::fs;

use tilefold_tests::methods;

use crate::root;

/// Writes the methods of LazyTensor from the tables of operations and reductions
///
/// Names and operands come from a table of exceptions, documentation from the operations, and the
/// numbers in the examples from their meaning.
#[derive(clap::Args)]
pub struct Arguments {
    /// Write nothing; fail if a file is not what the tables say
    #[arg(long)]
    check: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> crate::Result {
    let stale = methods::stale(root())?;
    match (stale.is_empty(), arguments.check) {
        (true, _) => println!("{} is what the tables say", methods::FOLDER),
        (false, true) => {
            let names: Vec<&str> = stale.keys().map(String::as_str).collect();
            return Err(format!(
                "{} is out of date ({}); run `cargo xtask methods`",
                methods::FOLDER,
                names.join(", ")
            ));
        }
        (false, false) => {
            for (name, text) in &stale {
                let path = root().join(methods::FOLDER).join(name);
                let done = match text {
                    Some(text) => fs::write(&path, text),
                    None => fs::remove_file(&path),
                };
                done.map_err(|e| format!("{}: {e}", path.display()))?;
                println!(
                    "{}/{name}: {}",
                    methods::FOLDER,
                    text.as_ref().map_or("gone", |_| "written")
                );
            }
        }
    }
    Ok(())
}
