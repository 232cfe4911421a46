//! Syntax errors in words: "expected X, found Y", and what was probably meant.
//!
//! In goes the text and pest's error; out comes a diagnostic. Pest's own message is never shown.

use pest::error::{Error, ErrorVariant, InputLocation};

use crate::diag::{Diagnostic, Span, code};
use crate::front::scan::MAX_NESTING;

use super::Rule;

/// What to write instead of things that other languages have.
const HABITS: &[(&str, &str)] = &[
    ("^", "write `x**2` for a power"),
    ("=", "write `==` to compare, `let` to name a value"),
    ("%", "write `mod(x, m, 0)` for the remainder"),
    ("&", "write `a && b`"),
    ("and", "write `a && b`"),
    ("or", "write `a || b`"),
    ("if", "write `where(condition, a, b)`"),
    ("@", "write `matvecmult(A, x)` or `dot(x, y)`"),
    ("!", "write `x == 0` to negate a condition"),
    ("'", "there are no strings in formulas"),
    ("\"", "there are no strings in formulas"),
];

/// Longest piece of the text that a message quotes.
const MAX_QUOTE: usize = 32;

/// Turns pest's error into a diagnostic.
pub fn explain(text: &str, error: &Error<Rule>) -> Diagnostic {
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let found = token(text, at);
    match &error.variant {
        ErrorVariant::ParsingError { positives, .. } if positives.contains(&Rule::kw_tilefold) => {
            Diagnostic::new(code::VERSION, "a formula file starts with its version", found)
                .label("expected `tilefold 1;`")
                .help("write `tilefold 1;` before everything else")
        }
        ErrorVariant::ParsingError { positives, .. } => unexpected(text, found, positives),
        ErrorVariant::CustomError { .. } => Diagnostic::new(
            code::NESTING_LIMIT,
            "brackets are nested too deeply for the stack of this thread",
            found,
        )
        .help("name parts of the expression with `let`, or give the thread a larger stack")
        .note(format!("at most {MAX_NESTING} levels are allowed on any stack")),
    }
}

fn unexpected(text: &str, found: Span, positives: &[Rule]) -> Diagnostic {
    let words = words(positives);
    let what = quote(text, found);
    let message = match words.as_slice() {
        [] => format!("unexpected {what}"),
        _ => format!("expected {}, found {what}", list(&words)),
    };
    let before = end_of_previous(text, found.start);
    let habit = HABITS.iter().find(|(token, _)| *token == &text[found.start..found.end]);
    let diagnostic = if words.contains(&"`;`") && text[before..found.start].contains('\n') {
        let end = Span { start: before, end: before };
        Diagnostic::new(code::UNEXPECTED, message, end)
            .label("a `;` is missing here")
            .related(found, "unexpected")
    } else if text[found.start..].starts_with("//") {
        Diagnostic::new(code::UNEXPECTED, message, found)
            .label("documents nothing")
            .help("start a comment that is not documentation with `//`")
    } else {
        Diagnostic::new(code::UNEXPECTED, message, found).label("unexpected")
    };
    match habit {
        Some((_, help)) => diagnostic.help(*help),
        None => diagnostic,
    }
}

/// The words for what could have followed, each once, in the order of [`word`]'s list.
fn words(positives: &[Rule]) -> Vec<&'static str> {
    let mut ranked: Vec<(usize, &'static str)> =
        positives.iter().filter_map(|&r| word(r)).collect();
    ranked.sort();
    ranked.dedup();
    let mut words: Vec<&str> = ranked.into_iter().map(|(_, word)| word).collect();
    // What an expression starts or goes on with needs no list of brackets.
    match words.first() {
        Some(&"an expression") => words.retain(|w| !matches!(*w, "a name" | "`(`" | "`[`")),
        Some(&"an operator") => words.retain(|w| !matches!(*w, "`(`" | "`[`")),
        _ => {}
    }
    words
}

/// What a rule is called, and its place in a list of alternatives.
fn word(rule: Rule) -> Option<(usize, &'static str)> {
    let words = match rule {
        Rule::expr | Rule::minus | Rule::fold | Rule::number | Rule::position => "an expression",
        Rule::call | Rule::list | Rule::paren | Rule::lone | Rule::imaginary => "an expression",
        Rule::infix => "an operator",
        Rule::statement | Rule::gradient | Rule::binding => "a statement",
        Rule::assertion | Rule::declaration => "a statement",
        Rule::name | Rule::place | Rule::generic => "a name",
        Rule::integer | Rule::item => "an integer",
        Rule::range => "an integer or a range",
        Rule::size | Rule::product => "a dimension",
        Rule::space | Rule::field => "a space such as `R^D`",
        Rule::axis => "`i` or `j`",
        Rule::formula | Rule::kw_formula => "`formula`",
        Rule::function | Rule::kw_fn => "`fn`",
        Rule::dtypes | Rule::kw_dtype => "`dtype`",
        Rule::relaxed | Rule::kw_relaxed => "`relaxed`",
        Rule::kw_dyn => "`dyn`",
        Rule::kw_wrt => "`wrt`",
        Rule::with_value | Rule::kw_with => "`with`",
        Rule::kw_value => "`value`",
        Rule::alias | Rule::kw_as => "`as`",
        Rule::mask | Rule::kw_where => "`where`",
        Rule::generics | Rule::less => "`<`",
        Rule::greater => "`>`",
        Rule::open => "`(`",
        Rule::close => "`)`",
        Rule::open_square => "`[`",
        Rule::close_square => "`]`",
        Rule::open_brace => "`{`",
        Rule::close_brace => "`}`",
        Rule::comma => "`,`",
        Rule::colon => "`:`",
        Rule::equals => "`=`",
        Rule::same => "`==`",
        Rule::to => "`..=`",
        Rule::keep | Rule::semicolon => "`;`",
        Rule::EOI => "the end of the text",
        // What could follow almost anything says little.
        _ => return None,
    };
    Some((rank(words), words))
}

/// General things first, punctuation last.
fn rank(words: &str) -> usize {
    match words {
        "an expression" => 0,
        "a statement" => 1,
        "a name" => 2,
        "an operator" => 3,
        w if !w.starts_with('`') => 4,
        w if w.len() > 3 => 5,
        "`;`" => 6,
        _ => 7,
    }
}

fn list(words: &[&str]) -> String {
    match words {
        [one] => String::from(*one),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
        [] => String::new(),
    }
}

/// The token that starts at a byte, after blanks.
fn token(text: &str, at: usize) -> Span {
    let start = text.len() - text[at..].trim_start().len();
    let rest = &text[start..];
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = match rest.chars().next() {
        None => 0,
        Some(c) if letter(c) => rest.find(|c| !letter(c)).unwrap_or(rest.len()),
        Some('/') if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
        Some(c) => c.len_utf8(),
    };
    Span { start, end: start + length }
}

fn quote(text: &str, found: Span) -> String {
    let token = &text[found.start..found.end];
    match token {
        "" => String::from("the end of the text"),
        _ if token.starts_with("//") => String::from("a documentation comment"),
        _ if token.len() > MAX_QUOTE => format!("`{}…`", &token[..MAX_QUOTE]),
        _ => format!("`{token}`"),
    }
}

/// Where the token before a byte ends: behind it are only blanks and comments.
fn end_of_previous(text: &str, at: usize) -> usize {
    let mut end = 0;
    let mut start = 0;
    for line in text[..at].split_inclusive('\n') {
        let code = line.find("//").map_or(line, |comment| &line[..comment]);
        if !code.trim().is_empty() {
            end = start + code.trim_end().len();
        }
        start += line.len();
    }
    end
}
