//! Statements to formulas: one [`Formula`] for each instance.
//!
//! In goes the tree of a file; out come its units. All errors of the first instance that has any
//! are reported, one for each statement; a name whose definition failed is not reported again.

use std::collections::BTreeMap;

use crate::diag::{Diagnostic, Diagnostics, Span, code};
use crate::ir::{Accumulation, Axis, BuildError, ExprId, Formula, Kind, Storage};

use super::ast::{Expr, Field, File, FormulaDef, Ident, Infix, NodeKind, Place, Space, Statement};
use super::expand::Expanded;
use super::functions::Functions;
use super::gradients::{self, Facts, Request};
use super::instances::{self, Dims};
use super::value::{Evaluator, InputFact, MAX_STEPS, Scope, Value, misfit};
use super::{Derivative, Generic, Instance, Result, Unit, names};

/// Most errors that are reported at once.
const MAX_ERRORS: usize = 20;

/// What is left of [`MAX_STEPS`] for a file: for what is compiled, and for what is only tried.
struct Steps {
    listed: usize,
    probes: usize,
}

/// The units of a file.
pub fn units(file: &str, text: &str, tree: &File) -> Result<Vec<Unit>> {
    let functions = Functions::new(&tree.functions)?;
    let mut errors = Vec::new();
    let mut units: Vec<Unit> = Vec::new();
    let mut first: BTreeMap<&str, Span> = BTreeMap::new();
    let mut steps = Steps { listed: MAX_STEPS, probes: MAX_STEPS };
    for def in &tree.formulas {
        let name = &def.name;
        if let Some(place) = first.insert(&name.text, name.span) {
            errors.push(twice(name, place));
        }
        match unit(def, &functions, &mut steps) {
            Ok(unit) => {
                let span_line = 1 + text[..name.span.start].matches('\n').count();
                units.push(Unit { file: file.into(), span_line, ..unit });
            }
            Err(Diagnostics(e)) => errors.extend(e),
        }
        if errors.len() >= MAX_ERRORS || steps.listed == 0 {
            break;
        }
    }
    errors.truncate(MAX_ERRORS);
    if errors.is_empty() { Ok(units) } else { Err(Diagnostics(errors)) }
}

fn twice(name: &Ident, first: Span) -> Diagnostic {
    Diagnostic::new(code::DUPLICATE, format!("`{}` is defined twice", name.text), name.span)
        .label("defined again")
        .related(first, "first defined here")
}

fn unit(def: &FormulaDef, functions: &Functions<'_>, steps: &mut Steps) -> Result<Unit> {
    names::check_formula(&def.name)?;
    let dtypes = dtypes(def)?;
    let generics = instances::generics(def)?;
    let choices = instances::choices(def, &generics)?;
    let mut instances = Vec::new();
    for dims in choices.listed {
        instances.push(lowered(def, functions, &generics, dims, &mut steps.listed)?);
    }
    let mut probes = Vec::new();
    let mut failed: Option<Diagnostics> = None;
    for dims in choices.probes {
        match lowered(def, functions, &generics, dims, &mut steps.probes) {
            Ok(instance) => probes.push(instance),
            // The fewer errors a size has, the less of them are of the size.
            Err(why) if failed.as_ref().is_none_or(|f| f.0.len() >= why.0.len()) => {
                failed = Some(why);
            }
            Err(_) => {}
        }
    }
    if let Some(Diagnostics(mut errors)) = failed
        && instances.is_empty()
        && probes.is_empty()
    {
        for error in errors.iter_mut().filter(|error| depends_on_dims(error.code)) {
            let help = "if it is right for other sizes, list one of them beside `dyn`";
            error.helps.push(help.into());
        }
        return Err(Diagnostics(errors));
    }
    Ok(Unit {
        file: String::new(),
        name: def.name.text.clone(),
        doc: def.doc.clone(),
        generics,
        dtypes,
        instances,
        probes,
        span_line: 0,
    })
}

/// One formula of a file, for sizes that may not be listed.
pub fn instance(tree: &File, name: &str, dims: &[usize]) -> Result<Instance> {
    let Some(def) = tree.formulas.iter().find(|def| def.name.text == name) else {
        let message = format!("there is no formula `{name}` in this file");
        let known = tree.formulas.iter().map(|def| def.name.text.as_str());
        let diagnostic = Diagnostic::global(code::UNKNOWN_NAME, message);
        return names::suggest(diagnostic, name, known).fail();
    };
    let functions = Functions::new(&tree.functions)?;
    names::check_formula(&def.name)?;
    let generics = instances::generics(def)?;
    instances::check(def, &generics, dims)?;
    let mut steps = MAX_STEPS;
    lowered(def, &functions, &generics, dims.to_vec(), &mut steps)
}

/// One instance of a formula.
fn lowered(
    def: &FormulaDef,
    functions: &Functions<'_>,
    generics: &[Generic],
    dims: Vec<usize>,
    steps: &mut usize,
) -> Result<Instance> {
    let acc = accumulation(def)?;
    let sizes = Dims::new(generics, &dims);
    let (mut formula, mut derivatives) = Lowering::new(def, functions, &sizes, steps).run()?;
    check_sums(def, &formula, &derivatives)?;
    formula.acc = acc;
    derivatives.iter_mut().for_each(|d| d.formula.acc = acc);
    if let Some(unused) = sizes.unused() {
        let name = &def.generics[unused].name;
        let message = format!("the dimension `{}` is never used", name.text);
        return Diagnostic::new(code::UNUSED, message, name.span)
            .help("delete it; every member would give the same formula")
            .fail();
    }
    Ok(Instance { dims, formula, derivatives })
}

/// The dtypes of a formula; all of them where none is named.
fn dtypes(def: &FormulaDef) -> Result<Vec<Storage>> {
    let mut list = Vec::new();
    for name in &def.dtypes {
        let text = name.text.as_str();
        match Storage::ALL.iter().find(|dtype| dtype.name() == text) {
            Some(dtype) if list.contains(dtype) => {
                let message = format!("the dtype {text} is listed twice");
                return Diagnostic::new(code::DUPLICATE, message, name.span).fail();
            }
            Some(dtype) => list.push(*dtype),
            None => {
                let known = || Storage::ALL.iter().map(|dtype| dtype.name());
                let message = format!("unknown dtype `{text}`");
                let diagnostic = Diagnostic::new(code::DTYPE, message, name.span);
                return names::suggest(diagnostic, text, known())
                    .note(format!("the dtypes are {}", known().collect::<Vec<_>>().join(", ")))
                    .fail();
            }
        }
    }
    Ok(if list.is_empty() { vec![Storage::F32, Storage::F64] } else { list })
}

/// How the sums of a formula are accumulated.
fn accumulation(def: &FormulaDef) -> Result<Accumulation> {
    let name = match def.totals.as_slice() {
        [] => return Ok(Accumulation::default()),
        [name] => name,
        [first, second, ..] => {
            let message = "the accumulation is chosen twice";
            return Diagnostic::new(code::DUPLICATE, message, second.span)
                .label("chosen again")
                .related(first.span, "first chosen here")
                .fail();
        }
    };
    let names = || Accumulation::NAMED.iter().filter_map(|acc| acc.name());
    let found = Accumulation::NAMED.iter().find(|acc| acc.name() == Some(name.text.as_str()));
    let Some(acc) = found else {
        let message = format!("unknown accumulation `{}`", name.text);
        let diagnostic = Diagnostic::new(code::ACC, message, name.span);
        return names::suggest(diagnostic, &name.text, names())
            .help("delete the clause: sums of blocks with compensated totals suit most formulas")
            .note("`acc f64` adds every term to a total in more digits, `acc fast` sums plainly")
            .fail();
    };
    Ok(*acc)
}

/// Refuses an `acc` clause that changes nothing. Gradients sum, whatever the formula does.
fn check_sums(def: &FormulaDef, formula: &Formula, derivatives: &[Derivative]) -> Result<()> {
    match def.totals.first() {
        Some(name) if derivatives.is_empty() && !formula.has_sums() => {
            let message = format!("`{}` has no sum to accumulate", def.name.text);
            Diagnostic::new(code::ACC, message, name.span)
                .help("delete the clause")
                .note("it acts on sum, logsumexp and the reductions made of them")
                .fail()
        }
        _ => Ok(()),
    }
}

/// One instance in the making.
struct Lowering<'a> {
    def: &'a FormulaDef,
    evaluator: Evaluator<'a>,
    scope: Scope<'a>,
    /// Where each name is defined.
    places: BTreeMap<&'a str, Span>,
    inputs: Vec<(&'a Ident, ExprId)>,
    /// What `let _ = x` keeps on purpose.
    kept: Vec<ExprId>,
    errors: Vec<Diagnostic>,
}

impl<'a> Lowering<'a> {
    fn new(
        def: &'a FormulaDef,
        functions: &'a Functions<'a>,
        dims: &'a Dims<'a>,
        steps: &'a mut usize,
    ) -> Lowering<'a> {
        let mut axes = Vec::new();
        let mut later = BTreeMap::new();
        for statement in &def.statements {
            match statement {
                Statement::Input { places, .. } => {
                    axes.extend(places.iter().filter_map(|p| p.axis));
                    later.extend(places.iter().map(|p| (p.name.text.as_str(), p.name.span)));
                }
                Statement::Output { places, .. } => {
                    later.extend(places.iter().map(|p| (p.name.text.as_str(), p.name.span)));
                }
                Statement::Let { name, .. } => {
                    later.insert(&name.text, name.span);
                }
                _ => {}
            }
        }
        let formula = Formula::new(&def.name.text);
        let (inputs, spans, expanded) = (Vec::new(), BTreeMap::new(), Expanded::default());
        let evaluator =
            Evaluator { formula, inputs, axes, functions, dims, later, steps, expanded, spans };
        let places = def.generics.iter().map(|g| (g.name.text.as_str(), g.name.span)).collect();
        Lowering {
            def,
            evaluator,
            scope: Scope::default(),
            places,
            inputs: Vec::new(),
            kept: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn run(mut self) -> Result<(Formula, Vec<Derivative>)> {
        self.evaluator.formula.doc = self.def.doc.clone();
        self.evaluator.formula.relaxed = self.def.relaxed;
        for statement in &self.def.statements {
            let result = self.statement(statement);
            self.collect(result);
            if self.errors.len() >= MAX_ERRORS {
                break;
            }
        }
        let mut derivatives = Vec::new();
        if self.errors.is_empty() {
            let result = self.used();
            self.collect(result);
            derivatives = self.derivatives();
        }
        if self.errors.is_empty() {
            return Ok((self.evaluator.formula, derivatives));
        }
        let instance = self.evaluator.dims.describe();
        if !instance.is_empty() {
            for error in self.errors.iter_mut().filter(|error| depends_on_dims(error.code)) {
                error.notes.push(format!("in the instance {instance}"));
            }
        }
        Err(Diagnostics(self.errors))
    }

    /// The derivatives that the formula asks for, once it is finished.
    fn derivatives(&mut self) -> Vec<Derivative> {
        let mut derivatives = Vec::new();
        for statement in &self.def.statements {
            if let Statement::Derivative(def) = statement {
                let request = Request { def, before: &derivatives };
                let result = request.derive(Facts {
                    formula: &self.evaluator.formula,
                    places: &self.places,
                    spans: &self.evaluator.spans,
                });
                let Some(derivative) = self.collect(result) else { continue };
                let result = self.evaluator.charge(derivative.formula.len(), def.span);
                self.collect(result);
                derivatives.push(derivative);
            }
        }
        let result = gradients::name_calls(&mut derivatives, &self.def.statements);
        self.collect(result);
        derivatives
    }

    fn collect<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(Diagnostics(errors)) => {
                self.errors.extend(errors);
                assert!(!self.errors.is_empty(), "internal: an error without a reason");
                None
            }
        }
    }

    fn statement(&mut self, statement: &'a Statement) -> Result<()> {
        match statement {
            Statement::Input { doc, places, space } => self.input(doc, places, space),
            Statement::Let { name, space, value } => self.binding(name, space.as_ref(), value),
            Statement::Output { doc, places, value, span } => {
                self.output(doc, places, value, *span)
            }
            // Assertions choose instances; derivatives need the finished formula.
            Statement::Assert { .. } | Statement::Derivative(_) => Ok(()),
        }
    }

    /// Defines a name once.
    fn define(&mut self, name: &'a Ident, value: Option<Value>) -> Result<()> {
        self.scope.define(&name.text, value);
        names::check(name)?;
        match self.places.insert(&name.text, name.span) {
            None => Ok(()),
            Some(first) => twice(name, first).fail(),
        }
    }

    fn input(&mut self, doc: &str, places: &'a [Place], space: &Space) -> Result<()> {
        let (dim, kind) = match self.space(space) {
            Ok(found) => found,
            Err(error) => return self.poison(places, error),
        };
        for place in places {
            let value = self.array(doc, place, (dim, kind), space.span);
            let known = value.as_ref().ok().map(|&id| Value::Expr(id));
            self.define(&place.name, known)?;
            value?;
        }
        Ok(())
    }

    /// Defines names whose value has an error, so that their uses are not reported too.
    fn poison(&mut self, places: &'a [Place], error: Diagnostics) -> Result<()> {
        for place in places {
            self.define(&place.name, None)?;
        }
        Err(error)
    }

    fn array(
        &mut self,
        doc: &str,
        place: &'a Place,
        (dim, kind): (usize, Kind),
        span: Span,
    ) -> Result<ExprId> {
        let formula = &mut self.evaluator.formula;
        let built = formula.input_of(&place.name.text, place.axis, dim, kind);
        let value = built.map_err(|e| Diagnostic::new(code::DIM_LIMIT, e.to_string(), span))?;
        if let Some(input) = formula.inputs.last_mut() {
            input.doc = doc.into();
        }
        self.evaluator.inputs.push(InputFact { value, axis: place.axis, dim, kind });
        self.inputs.push((&place.name, value));
        Ok(value)
    }

    /// The dimension of a space in reals, and what they make up.
    fn space(&self, space: &Space) -> Result<(usize, Kind)> {
        let (mut dim, kind): (usize, Kind) = match space.field {
            Field::Real => (1, Kind::Real),
            Field::Complex => (2, Kind::Complex),
            Field::Int => (1, Kind::Int),
        };
        for factor in &space.factors {
            dim = dim.saturating_mul(self.evaluator.dims.count(factor)?);
        }
        Ok((dim, kind))
    }

    fn binding(&mut self, name: &'a Ident, space: Option<&Space>, value: &Expr) -> Result<()> {
        let result = self.evaluator.value(value, &self.scope);
        let result = match space {
            Some(space) => result.and_then(|v| self.annotated(v, value.span(), space)),
            None => result,
        };
        if name.text == "_" {
            let id = self.evaluator.expr(&result?, value.span())?;
            self.kept.push(id);
            return Ok(());
        }
        let (value, error) = match result {
            Ok(value) => (Some(value), Ok(())),
            Err(error) => (None, Err(error)),
        };
        self.define(name, value)?;
        error
    }

    /// Checks a value against the space that is written.
    fn annotated(&mut self, value: Value, span: Span, space: &Space) -> Result<Value> {
        let (dim, kind) = self.space(space)?;
        let id = self.evaluator.expr(&value, span)?;
        let formula = &self.evaluator.formula;
        let (found, found_kind) = (formula.dim(id), formula.kind(id));
        if (found, found_kind) == (dim, kind) {
            return Ok(Value::Expr(id));
        }
        let message = match found_kind == kind {
            true => {
                let counts = (kind.count(found), kind.count(dim));
                format!("the value has {} components, but {} are written", counts.0, counts.1)
            }
            false => {
                let [(is, _), (_, one)] = [found_kind, kind].map(words);
                format!("the value is {is}, but {one} is written")
            }
        };
        let diagnostic = Diagnostic::new(code::ANNOTATION, message, span)
            .label(found_kind.space(found))
            .related(space.span, kind.space(dim));
        match (found_kind, kind) {
            (Kind::Real, Kind::Complex) => diagnostic.help("write `complex(x, 0)`").fail(),
            (Kind::Complex, Kind::Real) => {
                diagnostic.help("take real(z), imag(z) or abs(z)").fail()
            }
            (Kind::Int, Kind::Real) => {
                diagnostic.help("`to_real(…)` gives the nearest real").fail()
            }
            _ => diagnostic.fail(),
        }
    }

    fn output(&mut self, doc: &str, places: &'a [Place], value: &Expr, span: Span) -> Result<()> {
        let results = match self.results(places, value, span) {
            Ok(results) => results,
            Err(error) => return self.poison(places, error),
        };
        for (place, id) in places.iter().zip(results) {
            let result = self.target(doc, place, id, value);
            self.define(&place.name, result.is_ok().then_some(Value::Expr(id)))?;
            result?;
        }
        Ok(())
    }

    fn target(&mut self, doc: &str, place: &Place, id: ExprId, value: &Expr) -> Result<()> {
        if let Some(axis) = place.axis {
            self.evaluator.rows(axis, place.name.span)?;
        }
        let formula = &mut self.evaluator.formula;
        let built = formula.output(&place.name.text, place.axis, id);
        built.map_err(|e| misplaced(&e, place, value))?;
        if let Some(output) = formula.outputs.last_mut() {
            output.doc = doc.into();
        }
        Ok(())
    }

    /// One node for each target.
    fn results(&mut self, places: &[Place], value: &Expr, span: Span) -> Result<Vec<ExprId>> {
        let found = self.evaluator.value(value, &self.scope)?;
        if let ([_, _], Value::Both(a, b)) = (places, &found) {
            return Ok(vec![*a, *b]);
        }
        let id = self.evaluator.expr(&found, value.span())?;
        if places.len() == 1 {
            return Ok(vec![id]);
        }
        let Some((values, rows)) = self.evaluator.values_of(id).filter(|_| places.len() == 2)
        else {
            let message = format!("{} targets for one value", places.len());
            return Diagnostic::new(code::TARGETS, message, span)
                .note("only argmin, argmax, kmin and argkmin give two: the values and the rows")
                .help("write one statement for each output")
                .fail();
        };
        let formula = &mut self.evaluator.formula;
        let both = [values, rows].map(|r| formula.reduce(r).map_err(|e| misfit(&e, span).into()));
        both.into_iter().collect()
    }

    /// Checks that there is an output and that every input takes part in one.
    fn used(&mut self) -> Result<()> {
        let formula = &self.evaluator.formula;
        if formula.outputs.is_empty() {
            let name = &self.def.name;
            let message = format!("`{}` computes nothing", name.text);
            return Diagnostic::new(code::NO_OUTPUT, message, name.span)
                .help("add an output, as in `a[i] = sum[j] x;`")
                .fail();
        }
        let roots = formula.outputs.iter().map(|o| o.expr).chain(self.kept.iter().copied());
        let reachable = formula.reachable(roots);
        let unused = self.inputs.iter().filter(|(_, id)| !reachable[id.index()]);
        let errors = unused.map(|(name, _)| {
            let message = format!("the input `{}` is never used", name.text);
            Diagnostic::new(code::UNUSED, message, name.span)
                .label("every call would have to pass it")
                .help(format!("delete it, or keep it on purpose with `let _ = {};`", name.text))
        });
        match errors.collect::<Vec<_>>() {
            errors if errors.is_empty() => Ok(()),
            errors => Err(Diagnostics(errors)),
        }
    }
}

/// What a value of a kind is called, and one that is missing.
fn words(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Real => ("real", "a real one"),
        Kind::Complex => ("complex", "a complex one"),
        Kind::Int => ("an integer", "an integer"),
    }
}

/// Whether an error may be there in one instance and not in another.
fn depends_on_dims(code: &str) -> bool {
    code.starts_with("E03") || code.starts_with("E05")
}

/// The error of an output whose value varies along an index that is not its own.
fn misplaced(error: &BuildError, place: &Place, value: &Expr) -> Diagnostic {
    let name = &place.name;
    let diagnostic = Diagnostic::new(code::PLACE, error.to_string(), value.span());
    let label = match place.axis {
        Some(Axis::I) => "one row for each i",
        Some(Axis::J) => "one row for each j",
        None => "a single row",
    };
    let diagnostic = diagnostic.related(name.span, label);
    let root = value.nodes.last().map(|node| &node.kind);
    let sum = matches!(root, Some(NodeKind::Infix(Infix::Add | Infix::Sub, ..)));
    if sum && value.nodes.iter().any(|node| matches!(node.kind, NodeKind::Fold(..))) {
        return diagnostic
            .note("a reduction ends before `+` and `-`")
            .help("put its operand in parentheses, as in `sum[j] (a + b)`");
    }
    match place.axis {
        None => {
            diagnostic.help(format!("to name a part of the formula, write `let {} = …`", name.text))
        }
        Some(_) => diagnostic,
    }
}
