//! Errors. Goes in: the facts of a refusal. Comes out: a code, a message that names the formula,
//! the argument and both sides, and what to do. It never decides what is an error.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What kind of error it is; the number is stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Code { $($(#[$doc])* $name = $number,)* }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];
        }
    };
}

codes! {
    /// The address does not hold a kernel descriptor.
    NotAKernel = 1,
    /// The kernel was compiled for another version of the descriptor.
    AbiVersion = 2,
    /// A field of the descriptor is wrong.
    Descriptor = 3,
    /// The kernel was compiled from another formula than the caller expects.
    Key = 4,
    /// The formula has no argument of that name.
    UnknownArgument = 10,
    /// An argument was not passed.
    MissingArgument = 11,
    /// A name was passed twice.
    Repeated = 12,
    /// The formula has no output of that name.
    UnknownOutput = 13,
    /// An output has no array to go to.
    MissingOutput = 14,
    /// Too few or too many arrays in a call without names.
    Count = 15,
    /// An array holds another type of number.
    Dtype = 20,
    /// An array has the wrong number of columns.
    Columns = 21,
    /// Two arrays of one index have different numbers of rows.
    Rows = 22,
    /// The number of rows follows from no argument.
    RowsUnknown = 23,
    /// A vector or a scalar where a matrix is needed.
    Rank = 24,
    /// A parameter has more or fewer rows than one.
    ParameterRows = 25,
    /// The strides or the address of an array cannot be used.
    Layout = 26,
    /// The batch dimensions of two arrays do not broadcast.
    Batch = 27,
    /// There are fewer columns to reduce than the result needs.
    TooFewColumns = 30,
    /// The formula was not compiled for these dimensions or this dtype.
    Instance = 31,
    /// A size does not fit in 63 bits or in memory.
    Overflow = 32,
    /// Row numbers are read as reals that cannot hold them.
    Positions = 33,
    /// Ranges contradict themselves or each other.
    Ranges = 34,
    /// Ranges name rows that the arrays do not have.
    RangesOutside = 35,
    /// The kernel sums over an axis for all rows at once, which ranges cannot restrict.
    RangesKernel = 36,
    /// Points or labels of clusters that cannot be used.
    Clusters = 37,
    /// An output array has the wrong shape.
    OutputShape = 40,
    /// An output array has gaps between its rows or columns.
    OutputLayout = 41,
    /// An output shares memory with another array.
    Overlap = 42,
    /// The kernel has no code that this CPU can run.
    Level = 50,
    /// The caller cancelled the run.
    Cancelled = 51,
    /// Memory for a buffer could not be had.
    OutOfMemory = 52,
    /// Threads could not be started.
    Threads = 53,
    /// There is no CUDA device to run on.
    NoDevice = 60,
    /// The kernel has no CUDA code for this device.
    NoImage = 61,
    /// The CUDA driver reported an error.
    Device = 62,
    /// A device array or a workspace cannot be used.
    DeviceArgument = 63,
    /// The call has ranges, which run on the CPU only.
    CpuOnly = 64,
    /// An operation of an expression does not fit its operands.
    Expression = 70,
    /// A value that varies with pairs was to be evaluated or differentiated.
    Unreduced = 71,
    /// A derivative does not exist, or not of these operands.
    Derivative = 72,
    /// A formula is not linked, and nothing else may run it.
    NoExecutor = 73,
    /// The text of a formula is wrong.
    Text = 74,
    /// A formula is too long for the interpreter.
    TooLong = 75,
    /// There is no C++ compiler to compile a formula with.
    NoCompiler = 80,
    /// The C++ compiler failed, or what it made cannot be used.
    Compilation = 81,
    /// The formula is too large to compile, or has a name that code cannot have.
    Uncompilable = 82,
    /// A formula could not be written to the file that collects them.
    Record = 83,
    /// A linear operator has the wrong shape, or lacks what is asked of it.
    Operator = 90,
    /// A setting of a solver is out of its range.
    Setting = 91,
    /// A linear system was not solved to the tolerance.
    Unsolved = 92,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{:03}", *self as u16)
    }
}

/// A refusal or a failure: nothing was computed, or it must not be used.
///
/// It prints like rustc's errors, in `Display` and in `Debug`:
///
/// ```text
/// error[T021]: gaussian_conv: `y` has 4 columns, but the formula was compiled for 3
///   = help: pass an array of 3 columns
///   = help: or compile the formula for that dimension
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("error[{}]: {}{}", .0.code, .0.message, Helps(&.0.helps))]
pub struct Error(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    code: Code,
    message: String,
    helps: Vec<String>,
}

impl Error {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Error {
        Error(Box::new(Inner { code, message: message.into(), helps: Vec::new() }))
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Error {
        self.0.helps.push(help.into());
        self
    }

    /// An error of an operator that is written outside of this crate, for
    /// [`LinearOperator::apply`](crate::linear::LinearOperator::apply).
    pub fn operator(message: impl Into<String>) -> Error {
        Error::new(Code::Operator, message)
    }

    /// The code, for programs.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The message without code and help.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do about it; may be empty.
    pub fn helps(&self) -> &[String] {
        &self.0.helps
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

struct Helps<'a>(&'a [String]);

impl fmt::Display for Helps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|help| write!(f, "\n  = help: {help}"))
    }
}

/// `1 row`, `2 rows`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// `` `a`, `b` and `c` ``.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// The name that is nearest to a misspelt one, if any is near.
pub(crate) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let limit = word.chars().count() / 3;
    names
        .into_iter()
        .map(|name| (distance(&word, &name.to_lowercase()), name))
        .filter(|&(d, _)| d <= limit)
        .min()
        .map(|(_, name)| name)
}

/// How many letters to insert, delete or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_like_rustc() {
        let e = Error::new(Code::Columns, "f: `x` has 2 columns").help("pass 3").help("or 4");
        let text = "error[T021]: f: `x` has 2 columns\n  = help: pass 3\n  = help: or 4";
        assert_eq!(e.to_string(), text);
        assert_eq!(format!("{e:?}"), text);
    }

    #[test]
    fn numbers_are_unique_and_sorted() {
        assert!(Code::ALL.windows(2).all(|w| (w[0] as u16) < (w[1] as u16)));
    }

    #[test]
    fn finds_the_nearest_name() {
        assert_eq!(nearest("gammma", ["x", "gamma"]), Some("gamma"));
        assert_eq!(nearest("gama", ["x", "gamut", "gamma"]), Some("gamma"));
        assert_eq!(nearest("sigma", ["x", "y"]), None);
        assert_eq!(nearest("X", ["x", "y"]), Some("x"));
        assert_eq!(nearest("z", ["x", "y"]), None, "short names are all near");
    }

    #[test]
    fn lists_names() {
        assert_eq!(list([]), "none");
        assert_eq!(list(["x"]), "`x`");
        assert_eq!(list(["x", "y", "z"]), "`x`, `y` and `z`");
    }
}
