//! The safe Rust wrapper of a formula file: one module a formula, with typed arguments.

use serde::Serialize;

use crate::front::{Derivative, Extra, Generic, Mode, Unit};
use crate::ir::{Axis, Formula, Input, Kind, Storage};
use crate::passes::Lookup;

use super::names::{camel, ident, out_ident};
use super::render;

/// One compiled call of a formula: its value, or one of its derivatives.
pub struct CallSource<'a> {
    /// `None` for the value.
    pub derivative: Option<&'a Derivative>,
    /// The formula for some sizes, in the order of [`Unit::shapes`].
    pub shapes: Vec<&'a Formula>,
    /// One entry an instance, in the unit's order.
    pub kernels: Vec<Compiled>,
}

/// One instance of a call.
pub struct Compiled {
    /// Prefix of the exported symbols.
    pub symbol: String,
    /// The key in hexadecimal digits.
    pub key: String,
    /// Under which key expressions find it.
    pub lookup: Lookup,
    /// Name for comments.
    pub title: String,
}

#[derive(Serialize)]
struct FileView<'a> {
    source: &'a str,
    modules: Vec<ModuleView>,
}

#[derive(Serialize)]
struct ModuleView {
    name: String,
    doc: Vec<String>,
    imports: Vec<&'static str>,
    args_generics: &'static str,
    args: Vec<FieldView>,
    calls: Vec<CallView>,
    externs: Vec<String>,
    open: Option<OpenView>,
}

/// What makes instances at run time, for all calls of a formula.
#[derive(Serialize)]
struct OpenView {
    name: String,
    /// The file, as literals of its lines.
    text: Vec<String>,
    /// What each generic may be.
    members: String,
    dtypes: String,
}

#[derive(Serialize, Clone)]
struct FieldView {
    doc: Vec<String>,
    ident: String,
    #[serde(rename = "type")]
    type_: String,
}

#[derive(Serialize)]
struct CallView {
    #[serde(rename = "fn")]
    fn_: String,
    doc: Vec<String>,
    #[serde(rename = "struct")]
    struct_: String,
    output: String,
    outputs: Vec<OutputView>,
    params: String,
    params_c: String,
    forward: String,
    table: String,
    count: usize,
    /// Whether there is no compiled instance.
    none: bool,
    /// Whether instances are made at run time.
    open: bool,
    /// The derivative that such an instance has, as an `Option`.
    derivative: String,
    formula: String,
    file: String,
    generics: String,
    dims: String,
    rows: String,
    binds: Vec<Bind>,
    instances: Vec<InstanceView>,
}

#[derive(Serialize)]
struct OutputView {
    name: String,
    ident: String,
    out_ident: String,
    doc: Vec<String>,
    #[serde(rename = "type")]
    type_: String,
    scalar: &'static str,
}

#[derive(Serialize)]
struct Bind {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct InstanceView {
    title: String,
    dims: String,
    dtype: &'static str,
    key: String,
    listed: String,
    inputs: String,
    symbol: String,
}

/// The wrapper of one formula file, whose text is given too.
pub fn wrapper(source: &str, text: &str, units: &[(&Unit, Vec<CallSource<'_>>)]) -> String {
    let modules = units.iter().map(|(unit, calls)| module(source, text, unit, calls)).collect();
    render("wrapper.rs", &FileView { source, modules })
}

fn module(source: &str, text: &str, unit: &Unit, calls: &[CallSource<'_>]) -> ModuleView {
    let shape = Shape::new(unit, &calls[0]);
    let open = unit.is_open().then(|| OpenView::new(text, unit));
    let mut externs: Vec<String> = Vec::new();
    for kernel in calls.iter().flat_map(|c| &c.kernels) {
        externs.extend(unit.dtypes.iter().map(|d| format!("{}_{}", kernel.symbol, d.name())));
    }
    externs.sort();
    externs.dedup();
    ModuleView {
        name: ident(&unit.name),
        doc: doc_lines(&unit.doc, &format!("The formula `{}`.", unit.name)),
        imports: imports(open.is_some(), externs.is_empty()),
        args_generics: shape.generics(),
        args: shape.fields.clone(),
        calls: calls.iter().map(|c| call(source, unit, &shape, c)).collect(),
        externs,
        open,
    }
}

/// What a module uses of the runtime, besides arrays.
fn imports(open: bool, nothing_compiled: bool) -> Vec<&'static str> {
    match (open, nothing_compiled) {
        (false, _) => vec![
            "{Call, Dtype, Element, Error, Formula, Instance, Options, Report}",
            "{select, sys}",
        ],
        (true, false) => vec![
            "{Call, Dtype, Element, Error, Formula, Instance, OpenFormula, Options, Report}",
            "sys",
        ],
        (true, true) => {
            vec!["{Call, Dtype, Element, Error, Formula, OpenFormula, Options, Report}"]
        }
    }
}

impl OpenView {
    fn new(text: &str, unit: &Unit) -> OpenView {
        let members = unit.generics.iter().map(|generic| match generic.open {
            true => "None".into(),
            false => format!("Some(&[{}])", numbers(&generic.values)),
        });
        let dtypes = unit.dtypes.iter().map(|&d| format!("Dtype::{}", dtype(d)));
        OpenView {
            name: unit.name.clone(),
            text: text.split_inclusive('\n').map(literal).collect(),
            members: members.collect::<Vec<String>>().join(", "),
            dtypes: dtypes.collect::<Vec<String>>().join(", "),
        }
    }
}

/// A string literal of plain characters, whatever the text: as bytes of the file it must be the
/// same text again, which a raw string would not be.
fn literal(text: &str) -> String {
    let escaped = |c: char| match c {
        ' ' | '!' | '#'..='[' | ']'..='~' => c.to_string(),
        '"' | '\\' => format!("\\{c}"),
        '\n' => "\\n".into(),
        '\t' => "\\t".into(),
        c => format!("\\u{{{:x}}}", u32::from(c)),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

fn numbers(values: &[usize]) -> String {
    values.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// What the arguments of a unit look like, worked out from the sizes that it is known for.
struct Shape {
    fields: Vec<FieldView>,
    binds: Vec<Bind>,
    dims: String,
    rows: String,
    /// Whether a field is a view.
    borrows: bool,
    /// Whether a field holds reals.
    reals: bool,
}

impl Shape {
    fn new(unit: &Unit, forward: &CallSource<'_>) -> Shape {
        let first = forward.shapes[0];
        let mut shape = Shape {
            fields: Vec::new(),
            binds: Vec::new(),
            dims: String::new(),
            rows: String::new(),
            borrows: false,
            reals: false,
        };
        for (n, input) in first.inputs.iter().enumerate() {
            let always_scalar = forward.shapes.iter().all(|f| count(&f.inputs[n]) == 1);
            let (name, scalar) = (ident(&input.name), scalar(input.kind));
            let (view, what) = match (input.axis, always_scalar) {
                (None, true) => (None, "a number".into()),
                (None, false) => (Some("ArrayView1"), "a vector".into()),
                (Some(axis), _) => (Some("ArrayView2"), format!("a row for each {axis}")),
            };
            let (type_, value) = match view {
                None => (scalar.into(), format!("&args.{name}")),
                Some(view) => (format!("{view}<'a, {scalar}>"), format!("args.{name}")),
            };
            shape.borrows |= view.is_some();
            shape.reals |= input.kind != Kind::Int;
            let doc = doc_lines(&input.doc, &format!("`{}`, {what}.", input.name));
            shape.fields.push(FieldView { doc, ident: name, type_ });
            shape.binds.push(Bind { name: input.name.clone(), value });
        }
        shape.add_dims(unit, forward);
        shape.add_rows(first);
        shape
    }

    /// A generic is read off the columns of an input that has it, or is an argument of its own.
    fn add_dims(&mut self, unit: &Unit, forward: &CallSource<'_>) {
        let mut dims = Vec::new();
        for (g, generic) in unit.generics.iter().enumerate() {
            let inputs = &forward.shapes[0].inputs;
            let carries = |n: &usize| {
                let mut shapes = unit.shapes().zip(&forward.shapes);
                shapes.all(|(instance, f)| count(&f.inputs[*n]) == instance.dims[g])
            };
            let is_scalar = |n: &usize| !self.fields[*n].type_.starts_with("Array");
            dims.push(match (0..inputs.len()).find(|n| carries(n) && !is_scalar(n)) {
                Some(n) => {
                    let name = &self.fields[n].ident;
                    let columns = if inputs[n].axis.is_some() { "ncols" } else { "len" };
                    format!("(\"{}\", args.{name}.{columns}())", inputs[n].name)
                }
                None => self.own_dim(generic),
            });
        }
        self.dims = dims.join(", ");
    }

    fn own_dim(&mut self, generic: &Generic) -> String {
        let mut name = ident(&generic.name.to_lowercase());
        if self.fields.iter().any(|f| f.ident == name) {
            name = format!("dim_{}", generic.name.to_lowercase());
        }
        let values = numbers(&generic.values);
        let which = match (generic.open, generic.values.is_empty()) {
            (false, _) => format!("one of {values}"),
            (true, false) => format!("any size; {values} may be compiled"),
            (true, true) => "any size".into(),
        };
        let doc = vec![format!(" `{}`: {which}.", generic.name)];
        self.fields.push(FieldView { doc, ident: name.clone(), type_: "usize".into() });
        format!("(\"{}\", args.{name})", generic.name)
    }

    /// M and N have to be said where no input has them.
    fn add_rows(&mut self, f: &Formula) {
        let has = |axis: Axis| f.inputs.iter().any(|i| i.axis == Some(axis));
        if has(Axis::I) && has(Axis::J) {
            return;
        }
        let doc =
            vec![" Number of rows of i and of j, which not every index's inputs tell.".into()];
        let taken = self.fields.iter().any(|f| f.ident == "rows");
        let name = if taken { "rows_i_j" } else { "rows" };
        self.fields.push(FieldView { doc, ident: name.into(), type_: "(usize, usize)".into() });
        self.rows = format!(".rows(args.{name}.0, args.{name}.1)");
    }

    fn generics(&self) -> &'static str {
        match (self.borrows, self.reals) {
            (true, true) => "<'a, T>",
            (true, false) => "<'a>",
            (false, true) => "<T>",
            (false, false) => "",
        }
    }

    /// The type of the arguments, of any lifetime.
    fn args(&self) -> String {
        format!("Args{}", self.generics().replace("'a", "'_"))
    }
}

/// How a call and what it returns are named, for the program and for people.
struct Title {
    fn_: String,
    struct_: String,
    formula: String,
    doc: String,
}

impl Title {
    fn new(unit: &Unit, derivative: Option<&Derivative>) -> Title {
        let Some(d) = derivative else {
            return Title {
                fn_: "eval".into(),
                struct_: "Output".into(),
                formula: unit.name.clone(),
                doc: "Evaluates the formula.".into(),
            };
        };
        let output = &d.output;
        let quoted = |name: &String| format!("`{name}`");
        let list = |names: &[String]| names.iter().map(quoted).collect::<Vec<_>>().join(", ");
        let value = if d.with_value { format!("`{output}`, and ") } else { String::new() };
        let the = if d.with_value { "the" } else { "The" };
        let extra = |count: usize| -> Vec<String> {
            d.extra[d.extra.len() - count..].iter().map(|e| e.name.clone()).collect()
        };
        let (word, doc) = match d.mode {
            Mode::Reverse => {
                let seed = &extra(1)[0];
                let of = format!("gradient of `sum({output} * {seed})`");
                (
                    "gradient",
                    format!("{value}{the} {of}, given `{seed}` of the shape of `{output}`."),
                )
            }
            Mode::Forward => {
                let directions = extra(d.wrt.len());
                (
                    "derivative",
                    format!(
                        "{value}{the} derivative of `{output}` when {} move by {}.",
                        list(&d.wrt),
                        list(&directions)
                    ),
                )
            }
        };
        Title {
            fn_: d.call.clone(),
            struct_: camel(&d.call),
            formula: format!("{} ({word} of {output})", unit.name),
            doc,
        }
    }
}

/// The type of an input that a derivative introduces: that of the input whose direction it is; the
/// gradient of an output always has rows.
fn extra_type(shape: &Shape, derivative: &Derivative, name: &str) -> String {
    let extra = derivative.extra.iter().find(|e| e.name == name);
    match extra.map(|e| &e.like) {
        Some(Some(like)) => extra_type(shape, derivative, like),
        Some(None) => {
            let input = derivative.formula.inputs.iter().find(|input| input.name == name);
            format!("ArrayView2<'_, {}>", scalar(input.map_or(Kind::Real, |input| input.kind)))
        }
        None => {
            let field = shape.fields.iter().find(|f| f.ident == ident(name));
            let type_ = field.map_or("ArrayView2<'a, T>", |f| f.type_.as_str());
            match type_.starts_with("Array") {
                true => type_.replace("'a", "'_"),
                false => format!("&{type_}"),
            }
        }
    }
}

fn call(source: &str, unit: &Unit, shape: &Shape, c: &CallSource<'_>) -> CallView {
    let f = c.shapes[0];
    let Title { fn_, struct_, formula, doc } = Title::new(unit, c.derivative);
    let args = shape.args();
    let extra: Vec<(String, String, String)> = c.derivative.map_or(Vec::new(), |d| {
        let typed = |e: &Extra| (e.name.clone(), ident(&e.name), extra_type(shape, d, &e.name));
        d.extra.iter().map(typed).collect()
    });
    let with = |lifetime: &str| {
        let mut params = format!("args: &{lifetime}{args}");
        for (_, ident, type_) in &extra {
            let type_ = match lifetime {
                "" => type_.clone(),
                _ => type_.replace("'_", "'c").replace('&', "&'c "),
            };
            params += &format!(", {ident}: {type_}");
        }
        params
    };
    let mut binds: Vec<Bind> =
        shape.binds.iter().map(|b| Bind { name: b.name.clone(), value: b.value.clone() }).collect();
    binds.extend(
        extra.iter().map(|(name, ident, _)| Bind { name: name.clone(), value: ident.clone() }),
    );
    let reals = f.outputs.iter().any(|o| f.kind(o.expr) != Kind::Int);
    CallView {
        output: if reals { format!("{struct_}<T>") } else { struct_.clone() },
        outputs: outputs(f),
        params: with(""),
        params_c: with("'c "),
        forward: extra.iter().fold("args".into(), |all, (_, ident, _)| format!("{all}, {ident}")),
        table: fn_.to_uppercase(),
        count: unit.instances.len() * unit.dtypes.len(),
        none: unit.instances.is_empty(),
        open: unit.is_open(),
        derivative: match c.derivative {
            Some(d) => format!("Some(\"{}\")", d.title),
            None => "None".into(),
        },
        formula,
        file: source.into(),
        generics: unit
            .generics
            .iter()
            .map(|g| format!("\"{}\"", g.name))
            .collect::<Vec<_>>()
            .join(", "),
        dims: shape.dims.clone(),
        rows: shape.rows.clone(),
        binds,
        instances: instances(unit, c),
        fn_,
        doc: doc_lines("", &doc),
        struct_,
    }
}

fn outputs(f: &Formula) -> Vec<OutputView> {
    let view = |o: &crate::ir::Output| {
        let scalar = scalar(f.kind(o.expr));
        let rows = o.axis.map_or("one row".into(), |a| format!("a row for each {a}"));
        OutputView {
            name: o.name.clone(),
            ident: ident(&o.name),
            out_ident: out_ident(&o.name),
            doc: doc_lines(&o.doc, &format!("`{}`, {rows}.", o.name)),
            type_: format!("Array2<{scalar}>"),
            scalar,
        }
    };
    f.outputs.iter().map(view).collect()
}

/// Numbers a row of an input.
fn count(input: &Input) -> usize {
    input.kind.count(input.dim)
}

/// The type of the numbers of an array.
fn scalar(kind: Kind) -> &'static str {
    match kind {
        Kind::Real => "T",
        Kind::Complex => "Complex<T>",
        Kind::Int => "i64",
    }
}

fn instances(unit: &Unit, c: &CallSource<'_>) -> Vec<InstanceView> {
    let mut views = Vec::new();
    for (instance, kernel) in unit.instances.iter().zip(&c.kernels) {
        let inputs: Vec<String> = kernel.lookup.inputs.iter().map(usize::to_string).collect();
        for &dtype in &unit.dtypes {
            views.push(InstanceView {
                title: kernel.title.clone(),
                dims: numbers(&instance.dims),
                dtype: self::dtype(dtype),
                key: super::desc::bytes(&kernel.key),
                listed: super::desc::bytes(&kernel.lookup.key.to_string()),
                inputs: inputs.join(", "),
                symbol: format!("{}_{}", kernel.symbol, dtype.name()),
            });
        }
    }
    views
}

/// The name of a dtype in Rust.
fn dtype(storage: Storage) -> &'static str {
    match storage {
        Storage::F16 => "F16",
        Storage::BF16 => "BF16",
        Storage::F32 => "F32",
        Storage::F64 => "F64",
    }
}

/// Doc lines, each starting with a space; control characters are dropped.
fn doc_lines(doc: &str, default: &str) -> Vec<String> {
    let text = if doc.trim().is_empty() { default } else { doc };
    let clean = |line: &str| -> String { line.chars().filter(|c| !c.is_control()).collect() };
    let line = |l: &str| match clean(l).trim_end() {
        "" => String::new(),
        l => format!(" {}", l.trim_start()),
    };
    text.lines().map(line).collect()
}
