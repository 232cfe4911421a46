//! Formulas written down, so that the next build compiles them ahead of time. Goes in: a formula
//! that is not linked. Comes out: the text of a formula file that gives the same formula, alone or
//! in a file that collects what a program meets.
//!
//! `TILEFOLD_RECORD=formulas/recorded.fold` makes a program write down every expression that it
//! evaluates and that no linked formula computes; [`to`] does the same from inside. Then
//! `cargo xtask build-formulas`, or the next build of a crate with a build script, compiles them.
//! A formula is written once, however it is spelled, whichever process meets it; another type of
//! arrays is added to the formula that is there. Names may be changed by hand afterwards; the line
//! with the key has to stay.
//!
//! It never changes what is in the file already, but for the list of dtypes, and a reader never
//! sees half of it.

mod describe;

use std::collections::HashSet;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};

use tilefold_compiler::ir::{Axis, Formula, Key, Node, Storage, anonymous, canonical_text};
use tilefold_compiler::passes::lookup;

use crate::error::Error;
use crate::files::{self, Lock};
use crate::words;

/// Names the file that formulas are written to.
const VARIABLE: &str = "TILEFOLD_RECORD";

/// The longest file that a build reads.
const MOST_BYTES: usize = 1 << 20;

const HEADER: &str =
    "//! Formulas that programs evaluated though they were not linked.\ntilefold 1;\n";

/// How the line begins that says which formula follows.
const KEY: &str = "// key ";

/// What became of a formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It was written down.
    Added,
    /// It was there for other types of arrays; this one was added.
    Extended,
    /// It was there.
    Known,
}

/// A formula as a file is to show it.
struct Entry {
    key: Key,
    /// An index that has no input, so that nothing says how many rows it has.
    open: Option<Axis>,
    dtype: &'static str,
    /// Comment, documentation and formula.
    text: String,
}

/// The formula file that has just this formula, to be saved in the folder of formulas.
///
/// Inputs are called `x` (rows of i), `y` (rows of j) and `p` (parameters), outputs `a`, with
/// numbers where there are several; the formula is named for what it computes.
///
/// ```
/// use tilefold::record;
/// use tilefold_compiler::ir::{Axis, Formula, Storage};
///
/// let mut f = Formula::new("anything");
/// let x = f.input("points", Some(Axis::J), 3).unwrap();
/// let square = f.square(x);
/// let sum = f.sum_over(Axis::J, square);
/// f.output("total", None, sum).unwrap();
/// let text = record::source(&f, Storage::F32);
/// assert!(text.contains("/// `a = sum[j](square(y))`\nformula sum_square_"));
/// assert!(text.contains(" dtype f32 {\n  y[j] : R^3;\n"));
/// ```
pub fn source(formula: &Formula, storage: Storage) -> String {
    format!("tilefold 1;\n\n{}", Entry::new(formula, lookup(formula).key, storage).text)
}

/// Writes every formula that is not linked to a file from now on, whatever the environment says;
/// `None` stops it.
///
/// The environment is read once, when the first formula is met that is not linked. A program that
/// makes up its mind later, or a test, calls this.
pub fn to(file: Option<&Path>) {
    *SETTING.write().unwrap_or_else(PoisonError::into_inner) = Some(file.map(files::absolute));
}

/// What [`to`] was told, if it was.
static SETTING: RwLock<Option<Option<PathBuf>>> = RwLock::new(None);

/// The file that formulas are written to, if they are.
fn file() -> Option<PathBuf> {
    match &*SETTING.read().unwrap_or_else(PoisonError::into_inner) {
        Some(setting) => setting.clone(),
        None => of_environment().clone(),
    }
}

/// Whether formulas are written to a file.
pub(crate) fn is_on() -> bool {
    match &*SETTING.read().unwrap_or_else(PoisonError::into_inner) {
        Some(setting) => setting.is_some(),
        None => of_environment().is_some(),
    }
}

fn of_environment() -> &'static Option<PathBuf> {
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    FILE.get_or_init(|| {
        let file = env::var_os(VARIABLE).filter(|file| !file.is_empty());
        file.map(|file| files::absolute(Path::new(&file)))
    })
}

/// Writes a formula down if the program is to. What goes wrong is an event of `tracing`, for it is
/// no reason not to compute.
pub(crate) fn missed(formula: &Formula, storage: Storage) {
    let Some(path) = file() else { return };
    match append(&path, formula, storage) {
        Ok(Outcome::Known) => {}
        Ok(outcome) => {
            let path = path.display();
            tracing::info!(%path, name = describe::name(formula), ?outcome, "formula recorded");
        }
        Err(error) => tracing::warn!("{error}"),
    }
}

/// Writes a formula to a formula file, which is made if it is not there.
///
/// Processes that write at once wait for each other. What this process has written is not looked
/// for again.
///
/// # Errors
/// [`Record`](crate::Code::Record) if the file is no formula file, cannot be read or written, or
/// would be too long for a build, and for a formula that no file can have: one with an index of
/// which it has no input.
pub fn append(file: &Path, formula: &Formula, storage: Storage) -> Result<Outcome, Error> {
    static WRITTEN: Mutex<Option<HashSet<(PathBuf, Key, Storage)>>> = Mutex::new(None);
    let path = files::absolute(file);
    let key = lookup(formula).key;
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    let written = written.get_or_insert_default();
    if written.contains(&(path.clone(), key, storage)) {
        return Ok(Outcome::Known);
    }
    let outcome = append_anew(&path, &Entry::new(formula, key, storage))?;
    written.insert((path, key, storage));
    Ok(outcome)
}

fn append_anew(path: &Path, entry: &Entry) -> Result<Outcome, Error> {
    if path.extension().is_none_or(|extension| extension != "fold") {
        return Err(words::record::no_formula_file(path, "its name does not end in .fold"));
    }
    if let Some(axis) = entry.open {
        return Err(words::record::open_rows(path, axis));
    }
    let fail = |e: io::Error| words::record::unusable(path, &e);
    fs::create_dir_all(files::folder_of(path)).map_err(fail)?;
    // A link stays a link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let lock = Lock::take_folder(files::folder_of(path)).map_err(fail)?;
    if lock.is_exclusive() {
        files::sweep(path);
    }
    let old = match fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes)
            .map_err(|_| words::record::no_formula_file(path, "it is not UTF-8"))?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => HEADER.to_owned(),
        Err(e) => return Err(fail(e)),
    };
    if !is_formula_file(&old) {
        return Err(words::record::no_formula_file(path, "it does not begin with `tilefold 1;`"));
    }
    let (new, outcome) = match find(&old, entry) {
        Found::Nowhere => (format!("{}\n\n{}", old.trim_end(), entry.text), Outcome::Added),
        Found::Dtype => return Ok(Outcome::Known),
        Found::Others(end) => {
            (format!("{}, {}{}", &old[..end], entry.dtype, &old[end..]), Outcome::Extended)
        }
        Found::Unreadable => return Err(words::record::edited(path, &entry.key, entry.dtype)),
    };
    if new.len() > MOST_BYTES {
        return Err(words::record::full(path, MOST_BYTES));
    }
    files::replace(path, new.as_bytes()).map_err(fail)?;
    Ok(outcome)
}

/// Whether the first thing in a text that is not a comment is the version.
fn is_formula_file(text: &str) -> bool {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().map(str::trim_start);
    lines.find(|line| !line.is_empty() && !line.starts_with("//")).is_some_and(|line| {
        line.strip_prefix("tilefold").is_some_and(|rest| rest.trim_start().starts_with('1'))
    })
}

/// Where a file has a formula.
enum Found {
    Nowhere,
    /// With the dtype.
    Dtype,
    /// With other dtypes; the list ends here.
    Others(usize),
    /// What follows the key is not as it was written.
    Unreadable,
}

fn find(text: &str, entry: &Entry) -> Found {
    let line = format!("{KEY}{}", entry.key);
    let mut at = 0;
    for found in text.split_inclusive('\n') {
        at += found.len();
        if found.trim_end() == line {
            return match dtypes(&text[at..]) {
                None => Found::Unreadable,
                Some((names, _)) if names.contains(&entry.dtype) => Found::Dtype,
                Some((_, end)) => Found::Others(at + end),
            };
        }
    }
    Found::Nowhere
}

/// The dtypes of the formula that a text begins with, below its documentation, and where the list
/// of them ends.
fn dtypes(text: &str) -> Option<(Vec<&str>, usize)> {
    let mut lines = text.split_inclusive('\n');
    let mut start = 0;
    let head = loop {
        let line = lines.next()?;
        match line.starts_with("///") {
            true => start += line.len(),
            false => break line,
        }
    };
    let list = head.starts_with("formula ").then(|| head.find(" dtype "))?? + " dtype ".len();
    let mut names = Vec::new();
    let mut at = list;
    loop {
        let rest = head[at..].trim_start();
        at = head.len() - rest.len();
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric())?;
        names.push(&rest[..length]);
        at += length;
        match head[at..].starts_with(',') {
            true => at += 1,
            false => break,
        }
    }
    names.iter().all(|name| !name.is_empty()).then_some((names, start + at))
}

impl Entry {
    fn new(formula: &Formula, key: Key, storage: Storage) -> Entry {
        let (mut plain, _) = anonymous(formula);
        rename(&mut plain);
        let name = format!("{}_{}", describe::name(&plain), &key.to_string()[..8]);
        let dtype = storage.name();
        let canonical = canonical_text(&plain);
        let body = canonical.split_once("formula f ").map_or("", |(_, body)| body);
        let doc = describe::doc(&plain);
        let text = format!("{KEY}{key}\n/// {doc}\nformula {name} dtype {dtype} {body}");
        Entry { key, open: open(&plain), dtype, text }
    }
}

/// An index that a formula uses and that no input has.
fn open(f: &Formula) -> Option<Axis> {
    let uses = |axis: Axis| {
        let nodes = f.ids().any(|id| match f.node(id) {
            Node::Reduce(r) => r.axis == axis,
            Node::Pos(found) => *found == axis,
            Node::Input(_) | Node::Const(_) | Node::Op(..) => false,
        });
        nodes || f.outputs.iter().any(|output| output.axis == Some(axis))
    };
    let has = |axis: Axis| f.inputs.iter().any(|input| input.axis == Some(axis));
    [Axis::I, Axis::J].into_iter().find(|&axis| uses(axis) && !has(axis))
}

/// Names by what arrays are: `x`, `y`, `p`, `a`, with numbers where there are several.
fn rename(f: &mut Formula) {
    let letter = |axis: Option<Axis>| match axis {
        Some(Axis::I) => "x",
        Some(Axis::J) => "y",
        None => "p",
    };
    let letters: Vec<&str> = f.inputs.iter().map(|input| letter(input.axis)).collect();
    for (input, name) in f.inputs.iter_mut().zip(numbered(&letters)) {
        input.name = name;
    }
    let letters = vec!["a"; f.outputs.len()];
    for (output, name) in f.outputs.iter_mut().zip(numbered(&letters)) {
        output.name = name;
    }
}

/// Each letter, with its number among the same ones if there are several.
fn numbered<'a>(letters: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    let same = |letters: &[&str], letter| letters.iter().filter(|&&l| l == letter).count();
    letters.iter().enumerate().map(move |(n, &letter)| match same(letters, letter) {
        1 => letter.to_owned(),
        _ => format!("{letter}{}", same(&letters[..n], letter) + 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dtypes_are_found_below_documentation() {
        let plain = "/// a\n/// b\nformula f dtype f32, f16 acc f64 {\n";
        let (names, end) = dtypes(plain).expect("a list");
        assert_eq!((names, &plain[end..]), (vec!["f32", "f16"], " acc f64 {\n"));
        for edited in
            ["", "/// a\n", "formula f {\n", "x\nformula f dtype f32 {", "formula f dtype "]
        {
            assert!(dtypes(edited).is_none(), "{edited}");
        }
    }

    #[test]
    fn formula_files_begin_with_a_version() {
        for text in [HEADER, "\u{feff}tilefold 1;", "// c\n\n  tilefold  1 ;\n"] {
            assert!(is_formula_file(text), "{text}");
        }
        for text in ["", "fn main() {}", "tilefold\n", "// tilefold 1;\n"] {
            assert!(!is_formula_file(text), "{text}");
        }
    }
}
