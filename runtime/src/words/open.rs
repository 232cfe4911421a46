//! The wording of errors of formulas with run-time dimensions. It never decides what is an error.

use crate::error::{Code, Error, count as counted};
use crate::open::OpenFormula;

/// `D = 5, E = 1`.
fn sizes(open: &OpenFormula, dims: impl Iterator<Item = usize>) -> String {
    let pairs = open.compiled.generics.iter().zip(dims);
    pairs.map(|(name, size)| format!("{name} = {size}")).collect::<Vec<_>>().join(", ")
}

/// Says how a size is compiled ahead of time.
fn list(open: &OpenFormula, sizes: &str) -> String {
    format!("list {sizes} in {} and run cargo xtask build-formulas", open.compiled.file)
}

#[cfg(feature = "text")]
pub(crate) fn size(
    open: &OpenFormula,
    generic: &str,
    (argument, size): (&str, usize),
    most: usize,
) -> Error {
    let (found, help) = match argument == generic {
        true => (format!("{generic} is {size}"), format!("pass a number from 1 to {most}")),
        false => (
            format!("`{argument}` has {}, and {generic} is their number", counted(size, "column")),
            format!("pass an array of 1 to {}", counted(most, "column")),
        ),
    };
    let message = format!("{}: {found}, but dimensions go from 1 to {most}", open.compiled.name);
    Error::new(Code::Instance, message).help(help)
}

#[cfg(feature = "text")]
pub(crate) fn text(
    open: &OpenFormula,
    dims: &[usize],
    why: &tilefold_compiler::diag::Diagnostics,
) -> Error {
    let (name, file) = (open.compiled.name, open.compiled.file);
    let sizes = sizes(open, dims.iter().copied());
    let why = why.render(file, open.text);
    Error::new(Code::Text, format!("{name} cannot be made for {sizes}: {}", why.trim_end()))
        .help(format!("pass arrays of other sizes, or change the formula in {file}"))
}

#[cfg(feature = "text")]
pub(crate) fn no_derivative(open: &OpenFormula) -> Error {
    let (name, file) = (open.compiled.name, open.compiled.file);
    let title = open.derivative.unwrap_or_default();
    let message = format!("{name}: its text asks for no derivative `{title}`");
    Error::new(Code::Text, message).help(format!("build {file} again: cargo xtask build-formulas"))
}

#[cfg(feature = "text")]
pub(crate) fn no_executor(open: &OpenFormula, dims: &[usize], on_cuda: bool) -> Error {
    let sizes = sizes(open, dims.iter().copied());
    let why = match on_cuda {
        true => "only what is linked or compiled at run time runs on CUDA",
        false => "nothing else may run it",
    };
    let message = format!("{} is not linked for {sizes}, and {why}", open.compiled.name);
    let error = Error::new(Code::NoExecutor, message).help(list(open, &sizes));
    match on_cuda {
        true => error.help("or use Policy::Auto or Policy::Cpu to run on the CPU"),
        false => error.help("or allow Tiers::INTERPRETED, or Tiers::JIT"),
    }
}

#[cfg(any(test, not(feature = "text")))]
pub(crate) fn without_text(open: &OpenFormula, dims: &[(&str, usize)]) -> Error {
    let formula = open.compiled;
    let asked = sizes(open, dims.iter().map(|&(_, size)| size));
    let new = dims.iter().enumerate().find(|(n, dim)| !formula.compiled(*n).contains(&dim.1));
    let found = match new {
        Some((n, (argument, size))) if *argument != formula.generics[n] => {
            format!("`{argument}` has {}", counted(*size, "column"))
        }
        _ => format!("it is called for {asked}"),
    };
    let message = format!(
        "{} was not compiled for {asked}: {found}, and this program was built without what makes \
         formulas of text",
        formula.name
    );
    Error::new(Code::Instance, message)
        .help("enable the feature `text` of tilefold, which takes any size of a `dyn` dimension")
        .help(format!("or {}", list(open, &asked)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Dtype;
    use crate::formula::Formula;

    #[test]
    fn a_program_without_the_parser_says_what_would_have_it() {
        static CONV: Formula =
            Formula { name: "conv", file: "conv.fold", generics: &["D", "E"], instances: &[] };
        let open = OpenFormula {
            compiled: &CONV,
            text: "",
            name: "conv",
            derivative: None,
            members: &[None, Some(&[1, 3])],
            dtypes: &[Dtype::F32],
        };
        assert_eq!(
            without_text(&open, &[("x", 5), ("b", 1)]).to_string(),
            "error[T031]: conv was not compiled for D = 5, E = 1: `x` has 5 columns, and this \
             program was built without what makes formulas of text\n  \
             = help: enable the feature `text` of tilefold, which takes any size of a `dyn` \
             dimension\n  \
             = help: or list D = 5, E = 1 in conv.fold and run cargo xtask build-formulas"
        );
    }
}
