//! A first look at the text, before pest: characters, brackets and limits.
//!
//! In goes text; out comes nothing, or the first error. After it, every bracket has its partner
//! and none is nested more than [`MAX_NESTING`] deep, which bounds every recursion behind it, and
//! messages may quote the text without carrying control characters to a terminal.

use crate::diag::{Diagnostic, Span, code};

use super::Result;

/// Longest text of one formula file, in bytes.
pub const MAX_TEXT: usize = 256 << 10;
/// Deepest nesting of brackets, and of calls of functions.
pub const MAX_NESTING: usize = 256;

/// What people paste instead of ASCII, and what they mean by it.
const LOOKALIKES: &[(char, &str)] = &[
    ('\u{00A0}', "a plain space"),
    ('\u{2212}', "`-`"),
    ('\u{2013}', "`-`"),
    ('\u{00D7}', "`*`"),
    ('\u{00B7}', "`*`, or `(x | y)` for the inner product"),
    ('\u{00F7}', "`/`"),
    ('\u{00B2}', "`**2`"),
    ('\u{2264}', "`<=`"),
    ('\u{2265}', "`>=`"),
    ('\u{2260}', "`!=`"),
    ('\u{2208}', "`:`"),
    ('\u{211D}', "`R`"),
];

/// Checks the characters, the brackets and the length of a text.
pub fn scan(text: &str) -> Result<()> {
    if text.len() > MAX_TEXT {
        let message =
            format!("the text has {} bytes, but a formula file has at most {MAX_TEXT}", text.len());
        return Diagnostic::global(code::TEXT_LIMIT, message)
            .help("split it into several files")
            .fail();
    }
    let mut brackets = Brackets::default();
    let mut comment = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|&(_, c)| c);
        character(text, at, c, next, comment)?;
        match c {
            '\n' => comment = false,
            _ if comment => {}
            '/' => comment = next == Some('/'),
            _ => brackets.step(c, at)?,
        }
    }
    brackets.finish()
}

/// Refuses characters that mislead a reader, and everything but ASCII outside comments.
fn character(text: &str, at: usize, c: char, next: Option<char>, comment: bool) -> Result<()> {
    if c.is_ascii_graphic() || matches!(c, ' ' | '\t' | '\n') {
        return Ok(());
    }
    let span = Span { start: at, end: at + c.len_utf8() };
    let number = c as u32;
    match c {
        '\r' if next == Some('\n') => Ok(()),
        '\u{FEFF}' if at == 0 => Ok(()),
        '\r' => Diagnostic::new(
            code::CHARACTER,
            "a carriage return without a line feed hides what follows it",
            span,
        )
        .help("end lines with a line feed")
        .fail(),
        _ if misleads(c) => Diagnostic::new(
            code::CHARACTER,
            format!("the control character U+{number:04X} can make text look like other text"),
            span,
        )
        .label("not visible")
        .help("delete it; it is not allowed in comments either")
        .fail(),
        _ if comment => Ok(()),
        _ => foreign(text, at, c).fail(),
    }
}

/// Controls, bidirectional marks, and line ends that only some programs show as such.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}')
        || matches!(c, '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

fn foreign(text: &str, at: usize, c: char) -> Diagnostic {
    if let Some((_, ascii)) = LOOKALIKES.iter().find(|(other, _)| *other == c) {
        let span = Span { start: at, end: at + c.len_utf8() };
        return Diagnostic::new(
            code::CHARACTER,
            format!("the character U+{:04X} is not part of the formula language", c as u32),
            span,
        )
        .help(format!("write {ascii}"));
    }
    let part = |c: char| c.is_alphanumeric() || c == '_' || !c.is_ascii();
    let start = text[..at].rfind(|c| !part(c)).map_or(0, |before| before + 1);
    let end = text[at..].find(|c| !part(c)).map_or(text.len(), |after| at + after);
    let word: String = text[start..end].chars().filter(|&c| !misleads(c)).take(32).collect();
    Diagnostic::new(
        code::CHARACTER,
        format!("`{word}` has a character that is not ASCII"),
        Span { start, end },
    )
    .help("names are made of the letters a to z and A to Z, digits and `_`")
    .note("other characters are allowed in comments")
}

/// The brackets that are open.
#[derive(Default)]
struct Brackets {
    open: Vec<(char, usize)>,
}

impl Brackets {
    fn step(&mut self, c: char, at: usize) -> Result<()> {
        match c {
            '(' | '[' | '{' => {
                self.open.push((c, at));
                match self.open.len() {
                    0..=MAX_NESTING => Ok(()),
                    _ => too_deep(byte(at)).fail(),
                }
            }
            ')' | ']' | '}' => self.close(c, at),
            ';' => match self.open.last() {
                Some(&('(', start)) => {
                    unclosed('(', start).related(byte(at), "expected `)`").fail()
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn close(&mut self, c: char, at: usize) -> Result<()> {
        match self.open.pop() {
            Some((open, _)) if partner(open) == c => Ok(()),
            Some((open @ ('(' | '['), start)) if c == '}' => {
                let expected = format!("expected `{}` before this", partner(open));
                unclosed(open, start).related(byte(at), expected).fail()
            }
            Some((open @ ('(' | '['), start)) => Diagnostic::new(
                code::BRACKET,
                format!("expected `{}`, found `{c}`", partner(open)),
                byte(at),
            )
            .label(format!("expected `{}`", partner(open)))
            .related(byte(start), "opened here")
            .fail(),
            _ => Diagnostic::new(code::BRACKET, format!("`{c}` closes nothing"), byte(at))
                .label("no bracket is open here")
                .fail(),
        }
    }

    fn finish(&self) -> Result<()> {
        match self.open.last() {
            Some(&(open, start)) => unclosed(open, start).fail(),
            None => Ok(()),
        }
    }
}

/// The error for nesting that would exhaust the stack.
pub fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::new(
        code::NESTING_LIMIT,
        format!("brackets are nested more than {MAX_NESTING} deep"),
        span,
    )
    .help("name parts of the expression with `let`")
}

fn unclosed(open: char, start: usize) -> Diagnostic {
    Diagnostic::new(code::BRACKET, format!("this `{open}` is never closed"), byte(start))
        .label(format!("no `{}` follows", partner(open)))
}

fn partner(open: char) -> char {
    match open {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

fn byte(at: usize) -> Span {
    Span { start: at, end: at + 1 }
}
