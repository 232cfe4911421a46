//! Diagnostics: what is wrong, where, and what to do about it.
//!
//! In go facts found by other rooms; out comes text in the look of rustc. Every kind of error has
//! a code in [`CODES`]. This is the only module that renders, and it never decides what an error
//! is, never writes to a stream and never uses colour.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// Declares the codes once: a constant to build diagnostics with, and the row of the table.
macro_rules! codes {
    ($($name:ident = $id:literal: $what:literal,)*) => {
        /// The codes, named for the rooms that report them.
        #[allow(missing_docs, reason = "the table below documents each code")]
        pub mod code {
            $(pub const $name: &str = $id;)*
        }

        /// Every code and what it means, in order.
        pub const CODES: &[(&str, &str)] = &[$(($id, $what),)*];
    };
}

codes! {
    // the text
    UNEXPECTED = "E0101": "the text does not follow the grammar",
    BRACKET = "E0102": "a bracket is not closed, or closes nothing",
    VERSION = "E0103": "the version of the formula language is missing or unknown",
    CHARACTER = "E0104": "a character has no place in a formula file",
    LITERAL = "E0105": "a number cannot be represented",
    CHAIN = "E0106": "comparisons do not chain",
    BAR = "E0107": "`|`, the inner product, stands outside parentheses",
    AMBIGUOUS = "E0108": "a reduction is followed by a group and another factor",
    // names
    UNKNOWN_NAME = "E0201": "a name is not defined",
    UNKNOWN_FUNCTION = "E0202": "a function is not defined",
    UNKNOWN_REDUCTION = "E0203": "a reduction is not defined",
    DUPLICATE = "E0204": "a name is defined twice",
    BAD_NAME = "E0205": "a name cannot be used",
    RECURSION = "E0206": "a function calls itself",
    ARITY = "E0207": "the number of arguments is wrong",
    UNUSED = "E0208": "an input or a dimension is never used",
    GRADIENT_NAME = "E0209": "a gradient is asked for something that is not there",
    DTYPE = "E0210": "a dtype is unknown",
    NO_OUTPUT = "E0211": "a formula computes nothing",
    ACC = "E0212": "an accumulation is unknown, or has no sum to act on",
    // shapes
    SHAPE = "E0301": "dimensions do not fit",
    LITERAL_ARGUMENT = "E0302": "an argument has to be a literal integer",
    ANNOTATION = "E0303": "a value does not have the space that is written",
    ASSERT = "E0304": "no instance passes the assertions",
    SUBSCRIPT = "E0305": "a component does not exist",
    VARIABLE = "E0306": "a variable of KeOps' form does not fit its declaration",
    // indices
    PLACE = "E0401": "a value varies along an index that is not reduced",
    INDEX = "E0402": "an index stands where none belongs",
    NO_ROWS = "E0403": "nothing is indexed by the reduced index",
    SOFTMAX = "E0404": "`softmax` stands where it is not a factor inside a sum",
    INTEGER = "E0405": "an integer stands where only a real has a meaning",
    TARGETS = "E0406": "the number of targets does not fit the value",
    NO_GRADIENT = "E0407": "the gradient does not exist",
    PAIR = "E0408": "a pair in parentheses stands where one value belongs",
    COMPLEX = "E0410": "a complex value stands where only reals have a meaning",
    LINEAR = "E0411": "a value is not linear in a variable",
    WRT = "E0412": "a derivative is taken with respect to what is no variable",
    // limits
    TEXT_LIMIT = "E0501": "the text is too long",
    NESTING_LIMIT = "E0502": "brackets or calls are nested too deeply",
    INSTANCE_LIMIT = "E0503": "a formula has too many instances",
    SIZE_LIMIT = "E0504": "a formula is too large",
    DIM_LIMIT = "E0505": "a dimension is zero or too large",
}

/// A range of bytes of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Span {
    /// The smallest span that holds both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Span {
        Span { start: range.start, end: range.end }
    }
}

impl From<Span> for Range<usize> {
    fn from(span: Span) -> Range<usize> {
        span.start..span.end
    }
}

/// One error: what is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its row in [`CODES`].
    pub code: &'static str,
    /// What is wrong, in one line.
    pub message: String,
    /// Where; `None` when it concerns no place in the text.
    pub span: Option<Range<usize>>,
    /// What stands there; may be empty.
    pub label: String,
    /// Other places that take part, and what stands there.
    pub related: Vec<(Range<usize>, String)>,
    /// What to do.
    pub helps: Vec<String>,
    /// What else is good to know.
    pub notes: Vec<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn new(code: &'static str, message: impl Into<String>, span: Span) -> Diagnostic {
        Diagnostic { span: Some(span.into()), ..Diagnostic::global(code, message) }
    }

    /// An error that concerns no place in the text.
    pub fn global(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            message: message.into(),
            span: None,
            label: String::new(),
            related: Vec::new(),
            helps: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Says what stands at the place.
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    /// Points at another place.
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Diagnostic {
        self.related.push((span.into(), label.into()));
        self
    }

    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.helps.push(help.into());
        self
    }

    /// Says what else is good to know.
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }
}

/// All errors of one text, in the order in which they were found.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// The errors as text, with the lines of the source they point at. `file` is the name to show.
    pub fn render(&self, file: &str, text: &str) -> String {
        let renderer = Renderer::plain();
        let reports: Vec<String> =
            self.0.iter().map(|d| renderer.render(&[group(d, file, text)])).collect();
        reports.join("\n\n")
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Diagnostics {
        Diagnostics(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, d) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}error[{}]: {}", d.code, d.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

fn group<'a>(d: &'a Diagnostic, file: &'a str, text: &'a str) -> Group<'a> {
    let mut group = Group::with_title(Level::ERROR.primary_title(d.message.as_str()).id(d.code));
    if let Some(span) = &d.span {
        let lines = lines(text, d);
        let inside = |span| {
            let span = inside(text, span);
            span.start - lines.start..span.end - lines.start
        };
        let primary = AnnotationKind::Primary.span(inside(span)).label(d.label.as_str());
        let related = d
            .related
            .iter()
            .map(|(span, label)| AnnotationKind::Context.span(inside(span)).label(label.as_str()));
        let snippet = Snippet::source(&text[lines.clone()])
            .line_start(1 + text[..lines.start].matches('\n').count())
            .path(file)
            .annotation(primary)
            .annotations(related);
        group = group.element(snippet);
    }
    let notes = d.notes.iter().map(|note| Level::NOTE.message(note.as_str()));
    let helps = d.helps.iter().map(|help| Level::HELP.message(help.as_str()));
    group.elements(notes).elements(helps)
}

/// The lines that a diagnostic points at, and all between them. The renderer looks at every line
/// that it gets, and shows these.
fn lines(text: &str, d: &Diagnostic) -> Range<usize> {
    let spans = d.span.iter().chain(d.related.iter().map(|(span, _)| span));
    let spans = spans.map(|span| inside(text, span));
    let all = spans.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or(0..0);
    // The end of a text belongs to its last line.
    let last = text.trim_end_matches('\n').len();
    let start = text[..all.start.min(last)].rfind('\n').map_or(0, |at| at + 1);
    let mut ends = text[all.end..].match_indices('\n');
    let end = ends.nth(1).map_or(text.len(), |(at, _)| all.end + at + 1);
    start..end
}

/// The span moved onto whole characters of the text, whatever the caller made of it.
fn inside(text: &str, span: &Range<usize>) -> Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(span.start);
    start..floor(span.end).max(start)
}
