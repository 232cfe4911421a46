//! `cargo xtask explain`: what the compiler makes of a formula.

use tilefold_build::read_formulas;
use tilefold_compiler::front::{self, Instance, Unit};
use tilefold_compiler::ir::Formula;
use tilefold_compiler::{emit, passes, schedule};

/// Shows what the compiler makes of a formula: rules, operations a pair, places and sizes
///
/// For each instance of the formula and each of its derivatives: the canonical text, whose hash is
/// the key; operations a pair as written, with common subexpressions shared, hoisted, and after
/// each pass, with the rules that it applied; then stage by stage what is computed once a launch, a
/// row, a column and a pair, and why there. Of a formula with run-time dimensions (`dyn`), `--dims`
/// shows any size.
#[derive(clap::Args)]
pub struct Arguments {
    /// Name of a formula in formulas/
    name: String,
    /// Only this instance: its dimensions, as in `--dims 3,1`
    #[arg(long, value_delimiter = ',')]
    dims: Option<Vec<usize>>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> crate::Result {
    let mut names = Vec::new();
    for source in read_formulas(crate::root(), "formulas".as_ref()).map_err(text)? {
        let units = front::parse(&source.name, &source.text)
            .map_err(|d| d.render(&source.name, &source.text))?;
        if let Some(unit) = units.iter().find(|u| u.name == arguments.name) {
            return unit_text(unit, &source.text, arguments.dims.as_deref());
        }
        names.extend(units.into_iter().map(|u| u.name));
    }
    Err(format!("no formula `{}` in formulas/; there are {}", arguments.name, names.join(", ")))
}

fn unit_text(unit: &Unit, file: &str, dims: Option<&[usize]>) -> crate::Result {
    let open: Vec<&str> =
        unit.generics.iter().filter(|g| g.open).map(|g| g.name.as_str()).collect();
    if !open.is_empty() {
        let (name, open) = (&unit.name, open.join(" and "));
        println!("`{name}` is made at run time for every {open} that is not compiled\n");
    }
    let wanted = |i: &&Instance| dims.is_none_or(|dims| i.dims == dims);
    let mut instances: Vec<Instance> = unit.instances.iter().filter(wanted).cloned().collect();
    if let (true, false, Some(dims)) = (instances.is_empty(), open.is_empty(), dims) {
        let made = front::instance(file, &unit.name, dims);
        instances.push(made.map_err(|d| d.render(&unit.file, file))?);
    }
    if instances.is_empty() {
        let all: Vec<String> = unit.instances.iter().map(|i| format!("{:?}", i.dims)).collect();
        return match (all.is_empty(), dims) {
            (true, None) => {
                Err(format!("nothing of `{}` is compiled; name sizes: --dims 3", unit.name))
            }
            _ => Err(format!("no such instance of `{}`; there are {}", unit.name, all.join(", "))),
        };
    }
    for instance in &instances {
        let names = unit.generics.iter().zip(&instance.dims);
        let dims: Vec<String> = names.map(|(g, d)| format!("{} = {d}", g.name)).collect();
        println!("== {} ({})", unit.name, dims.join(", "));
        print(&instance.formula)?;
        for d in &instance.derivatives {
            let value = if d.with_value { format!("{} and its ", d.output) } else { String::new() };
            let (word, wrt) = (d.mode.word(), d.wrt.join(", "));
            println!("-- {}: {value}{word} of {} with respect to {wrt}", d.call, d.output);
            print(&d.formula)?;
        }
    }
    Ok(())
}

fn print(formula: &Formula) -> crate::Result {
    let kernel = emit::kernel(formula, &formula.name, "").map_err(text)?;
    println!("{}", kernel.canonical);
    println!("{}", passes::explain(formula));
    println!("{}", schedule::explain(&kernel.plan, &kernel.pair_ops));
    Ok(())
}

fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}
