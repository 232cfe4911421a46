//! A formula file to everything that is generated from it.

use std::collections::BTreeMap;

use crate::front::{Instance, Unit};
use crate::ir::{Formula, Storage, key};
use crate::passes::lookup;

use super::names::ident;
use super::rust::{CallSource, Compiled, wrapper};
use super::{EmitError, KernelText, kernel};

/// Text and what to compile, for one formula file.
#[derive(Clone, Debug, Default)]
pub struct Artifact {
    /// Path relative to the generated folder, and text.
    pub files: BTreeMap<String, String>,
    /// One static library a formula; one without kernels where nothing is compiled ahead of time.
    pub libraries: Vec<Library>,
    /// The Rust wrapper's path among `files`.
    pub wrapper: String,
    /// The wrapper's modules, one a formula.
    pub modules: Vec<String>,
}

/// The kernels of one formula.
#[derive(Clone, Debug)]
pub struct Library {
    /// The formula's name.
    pub formula: String,
    /// Its kernels: each instance, its derivatives, each dtype.
    pub kernels: Vec<KernelFiles>,
}

/// The files of one kernel and dtype. Several dtypes share the same texts.
#[derive(Clone, Debug)]
pub struct KernelFiles {
    /// Prefix of the exported symbols.
    pub symbol: String,
    /// Name for people: formula, dimensions, derivative.
    pub name: String,
    /// The scalar type of its arrays.
    pub dtype: Storage,
    /// Path of the C++ text.
    pub cpp: String,
    /// Stages in it, each of which may be compiled alone.
    pub stages: usize,
    /// Path of the CUDA text.
    pub cu: String,
    /// Path of the C descriptor.
    pub desc: String,
}

/// Emits all formulas of one file. `source` is the file's path as people should see it, with
/// forward slashes; its stem names the wrapper. `text` is the file, which goes into the wrapper
/// where formulas have run-time dimensions.
///
/// # Errors
/// When a formula is too large to emit.
pub fn artifact(units: &[Unit], source: &str, text: &str) -> Result<Artifact, EmitError> {
    let mut artifact = Artifact::default();
    let mut calls = Vec::new();
    for unit in units {
        calls.push((unit, unit_calls(unit, source, &mut artifact)?));
    }
    let file = source.rsplit('/').next().unwrap_or(source);
    let stem = file.strip_suffix(".fold").unwrap_or(file);
    artifact.modules = units.iter().map(|unit| ident(&unit.name)).collect();
    artifact.wrapper = format!("wrappers/{stem}.rs");
    artifact.files.insert(artifact.wrapper.clone(), wrapper(source, text, &calls));
    Ok(artifact)
}

/// Emits the value and the derivatives of every instance.
fn unit_calls<'a>(
    unit: &'a Unit,
    source: &str,
    artifact: &mut Artifact,
) -> Result<Vec<CallSource<'a>>, EmitError> {
    let mut library = Library { formula: unit.name.clone(), kernels: Vec::new() };
    let mut calls = vec![CallSource {
        derivative: None,
        shapes: unit.shapes().map(|instance| &instance.formula).collect(),
        kernels: Vec::new(),
    }];
    let derivatives = unit.shapes().next().map_or(&[][..], |first| &first.derivatives);
    calls.extend(derivatives.iter().enumerate().map(|(n, derivative)| CallSource {
        derivative: Some(derivative),
        shapes: unit.shapes().map(|instance| &instance.derivatives[n].formula).collect(),
        kernels: Vec::new(),
    }));
    for instance in &unit.instances {
        let name = instance_name(unit, instance);
        let derivatives =
            instance.derivatives.iter().map(|d| (format!("{name}_{}", d.title), &d.formula));
        let formulas = std::iter::once((name.clone(), &instance.formula)).chain(derivatives);
        for (call, (title, formula)) in calls.iter_mut().zip(formulas) {
            let text = kernel(formula, &title, source)?;
            call.kernels.push(compiled(formula, &title, &text));
            add_files(artifact, &mut library, unit, &title, text);
        }
    }
    artifact.libraries.push(library);
    Ok(calls)
}

fn compiled(formula: &Formula, title: &str, text: &KernelText) -> Compiled {
    Compiled {
        symbol: text.symbol.clone(),
        key: key(formula).to_string(),
        lookup: lookup(formula),
        title: title.into(),
    }
}

fn add_files(
    artifact: &mut Artifact,
    library: &mut Library,
    unit: &Unit,
    title: &str,
    text: KernelText,
) {
    let path = |ending: &str| format!("kernels/{}/{title}.{ending}", unit.name);
    for &dtype in &unit.dtypes {
        library.kernels.push(KernelFiles {
            symbol: text.symbol.clone(),
            name: title.into(),
            dtype,
            cpp: path("cpp"),
            stages: text.plan.stages.len(),
            cu: path("cu"),
            desc: path("c"),
        });
    }
    artifact.files.insert(path("cpp"), text.cpp);
    artifact.files.insert(path("cu"), text.cu);
    artifact.files.insert(path("c"), text.desc);
}

/// `gaussian_conv_D3_E1`.
fn instance_name(unit: &Unit, instance: &Instance) -> String {
    let dims = unit.generics.iter().zip(&instance.dims);
    dims.fold(unit.name.clone(), |name, (g, dim)| format!("{name}_{}{dim}", g.name))
}
