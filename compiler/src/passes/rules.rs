//! The rules of `rules.txt`, parsed once: names, two patterns, conditions, and what they change.
//!
//! In goes the text that is compiled in; out comes a table. Nothing is matched or applied here.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::ir::Real;
use crate::ops::{Emit, Op};
use crate::reduce::Reducer;

/// One equation, applied from left to right.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// The line of the file.
    pub text: String,
    /// What may differ between both sides; nothing where the rule is exact.
    pub changes: Vec<Change>,
    /// What is matched.
    pub left: Pattern,
    /// What replaces it.
    pub right: Pattern,
    /// What has to hold besides.
    pub conditions: Vec<(Condition, char)>,
}

/// What a relaxed rule may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The last bits.
    Rounding,
    /// The sign of a zero.
    Zero,
    /// A NaN or an infinity becomes a number, or the other way round.
    Nan,
    /// Overflow or underflow of an intermediate value.
    Range,
}

/// What a letter of a rule may stand for, beyond its kind. Each is true only if it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// One component.
    Scalar,
    /// A number that, like its reciprocal, is a normal power of two, in f32 too.
    PowerOfTwo,
    /// A number that, like its reciprocal, is normal, in f32 too.
    Invertible,
    /// A number that is 0.
    IsZero,
    /// A number that is not 0; NaN is not.
    NotZero,
    /// A number >= 0.
    AtLeastZero,
    /// A number < 0, or NaN.
    NotAtLeastZero,
    /// An integer of at most 3.
    AtMostThree,
    /// No component is ever -0.
    NeverMinusZero,
    /// No component is ever -0 or below; NaN may be.
    NeverNegative,
    /// Not a product that could be taken apart.
    NoProduct,
}

const CONDITIONS: &[(&str, Condition)] = &[
    ("scalar", Condition::Scalar),
    ("power_of_two", Condition::PowerOfTwo),
    ("invertible", Condition::Invertible),
    ("zero", Condition::IsZero),
    ("not_zero", Condition::NotZero),
    ("at_least_zero", Condition::AtLeastZero),
    ("not_at_least_zero", Condition::NotAtLeastZero),
    ("at_most_three", Condition::AtMostThree),
    ("never_minus_zero", Condition::NeverMinusZero),
    ("never_negative", Condition::NeverNegative),
    ("no_product", Condition::NoProduct),
];

const CHANGES: &[(&str, Change)] = &[
    ("rounding", Change::Rounding),
    ("zero", Change::Zero),
    ("nan", Change::Nan),
    ("range", Change::Range),
];

/// One side of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Any value: x, y, z, u.
    Any(char),
    /// A number: c, d.
    Const(char),
    /// This number, bit by bit.
    Number(Real),
    /// A literal integer as a number; on the right only.
    OfParam(char),
    /// An operation.
    Op(Op, Vec<Pattern>, Vec<Param>),
    /// Any component-wise operation; the same one on both sides.
    Map(Vec<Pattern>),
    /// A reduction without weight, over any index and with any mask; the same ones on both sides.
    Fold(Reducer, Box<Pattern>),
}

/// A literal integer of an operation in a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param {
    /// This one.
    Is(i64),
    /// Any: k, l, m, n.
    Any(char),
    /// The sum of two; on the right only.
    Sum(char, char),
}

impl Rule {
    /// Whether both sides are the same bits for every value.
    pub fn is_exact(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether the right side is smaller whatever the letters stand for: no letter stands there
    /// more often, and operations, numbers and letters together weigh less. An operation or a
    /// value that is not a number weighs 2 at least, a number 1.
    pub fn shrinks(&self) -> bool {
        let (left, right) = (Size::of(&self.left), Size::of(&self.right));
        let fewer = |letter| right.count(letter) <= left.count(letter);
        let weight = |s: &Size| s.fixed + s.letters.values().sum::<u32>() * 2;
        right.letters.keys().all(|&letter| fewer(letter)) && weight(&right) < weight(&left)
    }
}

/// What a pattern weighs, apart from what its letters stand for.
#[derive(Default)]
struct Size {
    fixed: u32,
    /// How often each letter for any value occurs.
    letters: BTreeMap<char, u32>,
}

impl Size {
    fn of(pattern: &Pattern) -> Size {
        let mut size = Size::default();
        size.add(pattern);
        size
    }

    fn count(&self, letter: char) -> u32 {
        self.letters.get(&letter).copied().unwrap_or(0)
    }

    fn add(&mut self, pattern: &Pattern) {
        match pattern {
            Pattern::Any(letter) => *self.letters.entry(*letter).or_default() += 1,
            // An operation on numbers alone is a number once it is folded.
            _ if pattern.is_number() => self.fixed += 1,
            Pattern::Op(_, args, _) | Pattern::Map(args) => {
                self.fixed += 2;
                args.iter().for_each(|a| self.add(a));
            }
            Pattern::Fold(_, arg) => {
                self.fixed += 2;
                self.add(arg);
            }
            Pattern::Const(_) | Pattern::Number(_) | Pattern::OfParam(_) => {}
        }
    }
}

impl Pattern {
    /// Whether the pattern stands for a number that is known when the formula is compiled.
    pub fn is_number(&self) -> bool {
        match self {
            Pattern::Const(_) | Pattern::Number(_) | Pattern::OfParam(_) => true,
            Pattern::Op(_, args, _) => args.iter().all(Pattern::is_number),
            Pattern::Any(_) | Pattern::Map(_) | Pattern::Fold(..) => false,
        }
    }
}

/// Every rule, in the order of the file.
///
/// # Panics
/// When the file that is compiled in has an error; a test reads it.
pub fn rules() -> &'static [Rule] {
    static RULES: OnceLock<Vec<Rule>> = OnceLock::new();
    RULES.get_or_init(|| {
        parse(include_str!("rules.txt")).unwrap_or_else(|e| panic!("internal: rules.txt: {e}"))
    })
}

/// The rules whose left side is an operation of this kind, in the order of the file.
pub fn rules_of(op: Op) -> &'static [&'static Rule] {
    static BY_OP: OnceLock<Vec<Vec<&'static Rule>>> = OnceLock::new();
    let by_op = BY_OP.get_or_init(|| {
        let fits = |op: Op, rule: &Rule| match &rule.left {
            Pattern::Op(wanted, ..) => *wanted == op,
            Pattern::Map(args) => is_map(op, args.len()),
            _ => false,
        };
        let of = |op: Op| rules().iter().filter(|rule| fits(op, rule)).collect();
        Op::ALL.iter().map(|&op| of(op)).collect()
    });
    // `Op::ALL` is in the order of the variants.
    &by_op[op as usize]
}

/// Whether an operation works component by component on so many arguments.
pub fn is_map(op: Op, arity: usize) -> bool {
    matches!(op.def().emit, Emit::Map(_)) && op.def().arity == arity
}

/// Reads rules.
///
/// # Errors
/// What is wrong, and in which line.
pub fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let rules: Vec<Rule> = lines
        .map(|line| rule(line).map_err(|e| format!("{line}: {e}")))
        .collect::<Result<_, _>>()?;
    let mut names: Vec<&str> = rules.iter().map(|r| r.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("two rules are called {}", pair[0])),
        None => Ok(rules),
    }
}

fn rule(line: &str) -> Result<Rule, String> {
    let (head, rest) = line.split_once(": ").ok_or("no `: ` after the name")?;
    let (class, name) = head.split_once(' ').ok_or("no name")?;
    let (rest, changed) = match rest.split_once(" changes ") {
        Some((rest, changed)) => (rest, Some(changed)),
        None => (rest, None),
    };
    let (equation, conditions) = match rest.split_once(" if ") {
        Some((equation, conditions)) => (equation, Some(conditions)),
        None => (rest, None),
    };
    let (left, right) = equation.split_once(" = ").ok_or("no ` = `")?;
    let changes = list(changed).map(change).collect::<Result<Vec<_>, _>>()?;
    if (class == "exact") != changes.is_empty() || !matches!(class, "exact" | "relaxed") {
        return Err("`exact` changes nothing, `relaxed` says what it changes".into());
    }
    let (left, right) = (Reader::new(left).whole()?, Reader::new(right).whole()?);
    let mut bound = Vec::new();
    letters(&left, &mut bound);
    let mut used = Vec::new();
    letters(&right, &mut used);
    if let Some(free) = used.iter().find(|letter| !bound.contains(letter)) {
        return Err(format!("`{free}` stands on the right only"));
    }
    let conditions = list(conditions).map(condition).collect::<Result<_, _>>()?;
    Ok(Rule { name: name.into(), text: line.into(), changes, left, right, conditions })
}

fn list(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.into_iter().flat_map(|text| text.split(", "))
}

fn change(word: &str) -> Result<Change, String> {
    let found = CHANGES.iter().find(|(name, _)| *name == word);
    found.map(|&(_, change)| change).ok_or_else(|| format!("unknown change `{word}`"))
}

fn condition(text: &str) -> Result<(Condition, char), String> {
    let known = CONDITIONS.iter().find_map(|&(name, condition)| {
        let letter = text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')?;
        Some((condition, letter.chars().next()?))
    });
    known.ok_or_else(|| format!("unknown condition `{text}`"))
}

/// Every letter of a pattern.
pub fn letters(pattern: &Pattern, all: &mut Vec<char>) {
    match pattern {
        Pattern::Any(letter) | Pattern::Const(letter) | Pattern::OfParam(letter) => {
            all.push(*letter);
        }
        Pattern::Number(_) => {}
        Pattern::Op(_, args, params) => {
            args.iter().for_each(|a| letters(a, all));
            for param in params {
                match param {
                    Param::Is(_) => {}
                    Param::Any(letter) => all.push(*letter),
                    Param::Sum(a, b) => all.extend([a, b]),
                }
            }
        }
        Pattern::Map(args) => args.iter().for_each(|a| letters(a, all)),
        Pattern::Fold(_, arg) => letters(arg, all),
    }
}

/// Reads one side.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn new(rest: &'a str) -> Reader<'a> {
        Reader { rest }
    }

    fn whole(mut self) -> Result<Pattern, String> {
        let pattern = self.pattern()?;
        match self.rest {
            "" => Ok(pattern),
            rest => Err(format!("what does `{rest}` mean?")),
        }
    }

    fn word(&mut self) -> &'a str {
        let ends = |c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c));
        let (word, rest) = self.rest.split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    fn takes(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn pattern(&mut self) -> Result<Pattern, String> {
        let word = self.word();
        if let Ok(number) = word.parse() {
            return Ok(Pattern::Number(Real::new(number)));
        }
        if self.takes("[a](") {
            let fold = |r: &&Reducer| r.def().name == word && r.def().arity == 1;
            let reducer = Reducer::ALL.iter().find(fold);
            let reducer = *reducer.ok_or_else(|| format!("unknown reduction `{word}`"))?;
            let arg = self.pattern()?;
            return match self.takes(")") {
                true => Ok(Pattern::Fold(reducer, Box::new(arg))),
                false => Err("no `)`".into()),
            };
        }
        if self.takes("(") {
            return self.call(word);
        }
        match word.as_bytes() {
            [b'x' | b'y' | b'z' | b'u'] => Ok(Pattern::Any(word.as_bytes()[0].into())),
            [b'c' | b'd'] => Ok(Pattern::Const(word.as_bytes()[0].into())),
            [b'k'..=b'n'] => Ok(Pattern::OfParam(word.as_bytes()[0].into())),
            _ => Err(format!("what does `{word}` mean?")),
        }
    }

    fn call(&mut self, name: &str) -> Result<Pattern, String> {
        let map = match name {
            "map" => Some(1),
            "map2" => Some(2),
            "map3" => Some(3),
            _ => None,
        };
        let op = Op::by_name(name);
        let (arity, params) = match (map, op) {
            (Some(arity), _) => (arity, 0),
            (None, Some(op)) => (op.def().arity, op.def().params),
            (None, None) => return Err(format!("unknown operation `{name}`")),
        };
        let (mut args, mut literals) = (Vec::new(), Vec::new());
        for n in 0..arity + params {
            if n > 0 && !self.takes(", ") {
                return Err(format!("`{name}` takes {} arguments", arity + params));
            }
            if n < arity { args.push(self.pattern()?) } else { literals.push(self.param()?) }
        }
        if !self.takes(")") {
            return Err(format!("`{name}` takes {} arguments", arity + params));
        }
        Ok(match op {
            Some(op) if map.is_none() => Pattern::Op(op, args, literals),
            _ => Pattern::Map(args),
        })
    }

    fn param(&mut self) -> Result<Param, String> {
        let word = self.word();
        if let Ok(number) = word.parse() {
            return Ok(Param::Is(number));
        }
        let letter = |word: &str| match word.as_bytes() {
            [letter @ b'k'..=b'n'] => Ok(char::from(*letter)),
            _ => Err(format!("what does `{word}` mean?")),
        };
        let first = letter(word)?;
        match self.takes(" + ") {
            true => Ok(Param::Sum(first, letter(self.word())?)),
            false => Ok(Param::Any(first)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read() {
        let all = rules();
        assert!(all.iter().any(Rule::is_exact) && all.iter().any(|r| !r.is_exact()));
        assert_eq!(rules_of(Op::Neg).first().map(|r| r.name.as_str()), Some("neg_neg"));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, why) in [
            ("exact a: neg(x)", "no ` = `"),
            ("exact a: neg(x) = y", "`y` stands on the right only"),
            ("exact a: nag(x) = x", "unknown operation `nag`"),
            ("exact a: neg(x) = x changes zero", "`exact` changes nothing"),
            ("relaxed a: neg(x) = x", "`relaxed` says what it changes"),
            ("exact a: neg(x) = x if blue(x)", "unknown condition `blue(x)`"),
            ("exact a: sub(x) = x", "`sub` takes 2 arguments"),
            ("exact a: nope[a](x) = x", "unknown reduction `nope`"),
            ("exact a: neg(x) = x\nexact a: abs(x) = x", "two rules are called a"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(why), "{line}: {error}");
        }
    }

    #[test]
    fn sizes() {
        for (line, shrinks) in [
            ("exact a: neg(neg(x)) = x", true),
            ("exact a: map(sum_t(x, n)) = sum_t(map(x), n)", false),
            ("exact a: add(x, x) = mul(2, x)", true),
            ("exact a: neg(mul(c, x)) = mul(neg(c), x)", true),
            ("exact a: neg(add(x, y)) = add(add(x, x), y)", false),
        ] {
            assert_eq!(parse(line).expect("a rule")[0].shrinks(), shrinks, "{line}");
        }
    }
}
