//! What emitted text may consist of. Goes in: C++, CUDA, C or Rust text that was emitted. Comes
//! out: nothing, or the first token that has no business there. It knows templates and headers, and
//! nothing of formulas.

use std::collections::{BTreeSet, HashSet};
use std::sync::OnceLock;

use tilefold_templates::{HEADERS, TEMPLATES};

/// One token of C++, C or Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// Letters, digits and underscores, not starting with a digit.
    Word(&'a str),
    /// A number, with its suffix.
    Number(&'a str),
    /// A string or a character, without quotes.
    Quoted(&'a str),
    /// A comment, whole.
    Comment(&'a str),
    /// Another character.
    Mark(char),
}

/// The tokens of a text; an error where a string or a comment does not end.
pub fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (len, token) = match c {
            _ if c.is_whitespace() => {
                rest = &rest[c.len_utf8()..];
                continue;
            }
            '/' if rest.starts_with("//") => {
                let len = rest.find('\n').unwrap_or(rest.len());
                (len, Token::Comment(&rest[..len]))
            }
            '/' if rest.starts_with("/*") => {
                let len = rest[2..].find("*/").ok_or("a comment does not end")? + 4;
                (len, Token::Comment(&rest[..len]))
            }
            '"' => {
                let len = quoted(rest).ok_or("a string does not end")?;
                (len, Token::Quoted(&rest[1..len - 1]))
            }
            'A'..='Z' | 'a'..='z' | '_' => {
                let len = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
                (len, Token::Word(&rest[..len]))
            }
            '0'..='9' => {
                let len = rest.find(|c: char| !is_word(c) && c != '.').unwrap_or(rest.len());
                (len, Token::Number(&rest[..len]))
            }
            _ => (c.len_utf8(), Token::Mark(c)),
        };
        all.push(token);
        rest = &rest[len..];
    }
    Ok(all)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The length of a string with its quotes; it ends on its line.
fn quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => (),
        }
    }
    None
}

/// C++ and CUDA: words of templates and headers, numbered names, and plain marks.
pub fn code(text: &str) -> Result<(), String> {
    for token in tokens(text)? {
        match token {
            Token::Word(word) if is_known(word) || is_numbered(word) => (),
            Token::Number(number) if is_number(number) => (),
            Token::Quoted(name) if name == "C" || HEADERS.iter().any(|(h, _)| *h == name) => (),
            Token::Comment(text) => comment(text)?,
            Token::Mark(mark) if "(){}[]<>=+-*/%&|^!~?:;,.#".contains(mark) => (),
            other => return Err(format!("{other:?} is not of the templates")),
        }
    }
    Ok(())
}

/// A C descriptor: as code, and strings of plain characters, where the user's names are.
pub fn descriptor(text: &str) -> Result<(), String> {
    for token in tokens(text)? {
        match token {
            Token::Quoted(text) => string(text)?,
            Token::Word(word) if is_known(word) || is_numbered(word) => (),
            Token::Number(number) if is_number(number) => (),
            Token::Comment(text) => comment(text)?,
            Token::Mark(mark) if "(){}[]=-&;,.#".contains(mark) => (),
            other => return Err(format!("{other:?} is not of the templates")),
        }
    }
    Ok(())
}

/// The Rust wrapper: the user's names are identifiers and strings, documentation is comments.
pub fn wrapper(text: &str, names: &BTreeSet<&str>) -> Result<(), String> {
    if text.contains('\r') {
        return Err("a carriage return, which rustc refuses in documentation".into());
    }
    let camel = |name: &str| -> String {
        let capital = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
        name.split('_').filter(|part| !part.is_empty()).map(capital).collect()
    };
    let camels: BTreeSet<String> = names.iter().map(|n| camel(n)).collect();
    let ours = wrapper_words();
    let all = names.iter().chain(ours.iter());
    let parts: BTreeSet<String> =
        all.flat_map(|word| word.split('_')).map(str::to_ascii_lowercase).collect();
    // `out_a`, `vjp_a_call`, `VJP_A_FORMULA`, `VjpA`, `VjpAOutput`.
    let is_composed = |word: &str| {
        let snake = word.split('_').all(|part| parts.contains(&part.to_ascii_lowercase()));
        let of_camel = |camel: &String| {
            word.strip_prefix(camel.as_str())
                .is_some_and(|rest| rest.is_empty() || ours.contains(rest))
        };
        snake || camels.iter().any(of_camel)
    };
    for token in tokens(text)? {
        match token {
            Token::Quoted(text) => spelled(text).map(drop)?,
            Token::Comment(text) if text.starts_with("//") => (),
            Token::Word(word) if names.contains(word) || ours.contains(word) => (),
            Token::Word(word) if is_numbered(word) => (),
            Token::Word(word) if is_composed(word) => (),
            Token::Number(number) if is_number(number) => (),
            Token::Mark(mark) if mark.is_ascii() && !"`\\".contains(mark) => (),
            other => return Err(format!("{other:?} is not of the templates")),
        }
    }
    Ok(())
}

/// The formula file that a wrapper holds, if it does.
pub fn file_text(wrapper: &str) -> Option<Result<String, String>> {
    let (_, rest) = wrapper.split_once("const FILE_TEXT: &str = concat!(")?;
    let lines = rest.lines().skip(1).take_while(|line| *line != "    );");
    let literal = |line: &str| match line.trim().strip_suffix("\",") {
        Some(line) => spelled(line.trim_start_matches('"')),
        None => Err(format!("{line:?} is no literal")),
    };
    Some(lines.map(literal).collect())
}

/// What a literal of Rust spells, which has plain characters and escapes alone.
fn spelled(literal: &str) -> Result<String, String> {
    let wrong = || format!("in the literal {literal:?}");
    let mut text = String::new();
    let mut rest = literal.chars();
    while let Some(c) = rest.next() {
        text.push(match c {
            '\\' => match rest.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(c @ ('"' | '\\')) => c,
                Some('u') => {
                    let digits: String = rest.by_ref().take_while(|&c| c != '}').collect();
                    let number = digits.strip_prefix('{').map(|d| u32::from_str_radix(d, 16));
                    let code = number.and_then(Result::ok).and_then(char::from_u32);
                    code.ok_or_else(wrong)?
                }
                _ => return Err(wrong()),
            },
            ' '..='~' => c,
            _ => return Err(wrong()),
        });
    }
    Ok(text)
}

/// Plain characters and line ends.
fn string(text: &str) -> Result<(), String> {
    let plain = text.replace("\\n", "");
    let is_plain = |c: char| (' '..='~').contains(&c) && c != '\\';
    match plain.chars().find(|&c| !is_plain(c)) {
        None if !text.contains("??") => Ok(()),
        None => Err(format!("a trigraph in {text:?}")),
        Some(c) => Err(format!("{c:?} in the string {text:?}")),
    }
}

/// Comments of emitted code have no words of formulas but names.
fn comment(text: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " \n*/_.,;:()[]`-+<=>^'".contains(c);
    match text.chars().find(|&c| !is_plain(c)) {
        None => Ok(()),
        Some(c) => Err(format!("{c:?} in the comment {text:?}")),
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.bytes().all(|b| b.is_ascii_hexdigit() || b".xXuUlLfFeEpP".contains(&b));
    digits || text.split('_').all(|part| part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Names that the emitter counts: `s0`, `k12`, `A0`, `Sum0`, `tf_<hash>`, `s0_rows`.
fn is_numbered(word: &str) -> bool {
    let hash = word.strip_prefix("tf_").is_some_and(|hash| {
        let digits = hash.split('_').next().unwrap_or("");
        digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit())
    });
    let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let counted = (letters.len() == 1 || letters == "Sum") && letters.len() < word.len();
    let stage = word.strip_prefix('s').is_some_and(|rest| {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let parts = ["_of", "_row", "_few", "_rows", "_tiles", "_finish", "_writes", "_values"];
        parts.contains(&rest)
    });
    hash || counted || stage
}

fn words(texts: impl Iterator<Item = &'static str>) -> BTreeSet<&'static str> {
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    texts
        .flat_map(|text| text.split(|c: char| !is_word(c)))
        .filter(|w| w.starts_with(is_start))
        .collect()
}

/// Whether a word is one of templates, headers or the expressions of operations.
fn is_known(word: &str) -> bool {
    static KNOWN: OnceLock<HashSet<&'static str>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let texts = TEMPLATES.iter().chain(HEADERS).map(|(_, text)| *text);
        words(texts.map(without_comments).chain(EMITTED.iter().copied())).into_iter().collect()
    });
    known.contains(word)
}

/// Comments of headers are prose.
fn without_comments(text: &'static str) -> &'static str {
    let mut code = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        code.push_str(before);
        code.push(' ');
        rest = after.split_once("*/").map_or("", |(_, rest)| rest);
    }
    code.push_str(rest);
    let lines: Vec<&str> = code.lines().map(|l| l.split_once("//").map_or(l, |(c, _)| c)).collect();
    String::leak(lines.join("\n"))
}

/// Words that only Rust code of the emitter has.
const EMITTED: &[&str] = &["true", "false"];

fn wrapper_words() -> &'static BTreeSet<&'static str> {
    static KNOWN: OnceLock<BTreeSet<&'static str>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let templates = TEMPLATES.iter();
        let emitter = include_str!("../../compiler/src/emit/rust.rs");
        // And the first letter of `r#type`.
        words(templates.map(|(_, text)| *text).chain([emitter, "r"]))
    })
}
