//! Inputs from inputs. Goes in: a random number generator and inputs that are known. Comes out:
//! another input: bytes changed, tokens of the language put in, parts of two inputs joined.

use tilefold_tests::rng::Rng;

/// No input grows longer. The longest text that the compiler reads is 65,536 bytes; fixtures of
/// the corpus try that.
pub const LONGEST: usize = 6000;

/// What the formula language is made of, and what it is not made of.
const TOKENS: &[&str] = &[
    "tilefold 1;\n",
    "formula ",
    "f",
    "x",
    "y",
    "zq_name",
    "fn ",
    "let ",
    "assert ",
    "grad ",
    "jvp ",
    " wrt ",
    "value",
    "relaxed",
    "acc ",
    "fast",
    "f64",
    "f32",
    "f16",
    "bf16",
    "dtypes ",
    " where ",
    "sum[j]",
    "sum[i]",
    "max[j]",
    "argmin[j]",
    "logsumexp[j]",
    "kmin[j; 3]",
    "argkmin[i; 2]",
    "softmax[j]",
    "mean[j]",
    "var[i]",
    "any[j]",
    "pos(i)",
    "pos(j)",
    "exp(",
    "log(",
    "sqrt(",
    "abs(",
    "complex(",
    "as_complex(",
    "as_real(",
    "elem(",
    "extract(",
    "concat(",
    "tensordot(",
    "matvecmult(",
    "grad(",
    "divergence(",
    "laplacian(",
    "[i]",
    "[j]",
    " : ",
    "R",
    "R^",
    "C^",
    "Z^",
    "D",
    "<D: {1, 2}>",
    "<D: {1..=3}>",
    "dyn",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ";",
    ",",
    ".",
    "=",
    "==",
    "<=",
    "!=",
    "<",
    "+",
    "-",
    "*",
    "/",
    "^",
    "|",
    "||",
    "&&",
    "->",
    "=>",
    "..=",
    "!",
    "?",
    "\n",
    " ",
    "\t",
    "\r",
    "\0",
    "// ",
    "/// ",
    "/* ",
    " */",
    "\"",
    "\\",
    "'",
    "#",
    "$",
    "@",
    "`",
    "{{{x}}}",
    "${x}",
    "*/ system(",
    "\"; rm -rf",
    "\u{202e}",
    "é",
    "∑",
    "𝔽",
    "0",
    "1",
    "2",
    "3",
    "-1",
    "0.5",
    "1e308",
    "1e-320",
    "1e999",
    "nan",
    "inf",
    "2147483648",
    "9007199254740993",
    "18446744073709551616",
    "0x10",
    "1_000",
    "1.",
    ".5",
    "1e",
    "class",
    "template",
    "int",
    "self",
    "crate",
    "r#type",
    "__global__",
    "main",
    "operator",
    "Vi(3)",
    "Vj(0, 2)",
    "Pm(1)",
    "SqDist(",
    "Exp(",
    "Sum",
    "IntCst(",
    "Grad(",
    "Elem(",
    "TensorDot(",
];

/// Small and special bytes.
const BYTES: &[u8] = &[0, 1, 2, 3, 7, 8, 16, 63, 64, 127, 128, 224, 230, 239, 254, 255];

/// One input from those that are known.
pub fn input(rng: &mut Rng, pool: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = match rng.once_in(40) || pool.is_empty() {
        true => (0..rng.below(200)).map(|_| rng.bits() as u8).collect(),
        // Half of the time the shorter of two: a change to less text takes less time.
        false => {
            let (one, other) = (rng.pick(pool), rng.pick(pool));
            let other_is_wanted = other.len() < one.len() && rng.once_in(2);
            if other_is_wanted { other.clone() } else { one.clone() }
        }
    };
    // Mostly few changes: after many, nothing is left that could be read.
    let most = 1 << rng.below(4);
    for _ in 0..1 + rng.below(most) {
        change(rng, &mut bytes, pool);
    }
    bytes.truncate(LONGEST);
    bytes
}

/// One change.
fn change(rng: &mut Rng, bytes: &mut Vec<u8>, pool: &[Vec<u8>]) {
    let at = rng.below(bytes.len() + 1);
    let most = 1 << rng.below(8);
    let end = (at + 1 + rng.below(most)).min(bytes.len());
    match rng.below(11) {
        0 => replace(bytes, at, end, &[]),
        1 | 2 => replace(bytes, at, at, rng.pick(TOKENS).as_bytes()),
        3 | 4 => {
            let (start, end) = word(bytes, at);
            replace(bytes, start, end, rng.pick(TOKENS).as_bytes());
        }
        5 => {
            // A word of this input in the place of another.
            let (from, to) = word(bytes, rng.below(bytes.len() + 1));
            let copy = bytes[from..to].to_vec();
            let (start, end) = word(bytes, at);
            replace(bytes, start, end, &copy);
        }
        6 => {
            let copy = bytes[at.min(end)..end].to_vec().repeat(1 + rng.below(4));
            replace(bytes, at, at, &copy);
        }
        7 if !pool.is_empty() => {
            let other = rng.pick(pool);
            let from = rng.below(other.len() + 1);
            let to = (from + 1 + rng.below(200)).min(other.len());
            replace(bytes, at, end.max(at), &other[from..to]);
        }
        8 => number(rng, bytes, at),
        9 if at < bytes.len() => bytes[at] = *rng.pick(BYTES),
        _ if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
        _ => bytes.push(rng.bits() as u8),
    }
}

fn replace(bytes: &mut Vec<u8>, start: usize, end: usize, with: &[u8]) {
    if bytes.len() + with.len() <= 2 * LONGEST {
        bytes.splice(start.min(bytes.len())..end.max(start).min(bytes.len()), with.iter().copied());
    }
}

/// The word around or after a place: letters and digits, or one other byte.
fn word(bytes: &[u8], at: usize) -> (usize, usize) {
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let at = at.min(bytes.len());
    let start = bytes[..at].iter().rposition(|b| !is_word(b)).map_or(0, |n| n + 1);
    let len = bytes[start..].iter().position(|b| !is_word(b)).unwrap_or(bytes.len() - start);
    (start, start + len.max(usize::from(start < bytes.len())))
}

/// Changes a decimal number a little, or a lot.
fn number(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let Some(start) = (at..bytes.len()).find(|&n| bytes[n].is_ascii_digit()) else { return };
    let len = bytes[start..].iter().take_while(|b| b.is_ascii_digit()).count().min(18);
    let text = std::str::from_utf8(&bytes[start..start + len]).unwrap_or("0");
    let value: u64 = text.parse().unwrap_or(0);
    let new = match rng.below(5) {
        0 => value.wrapping_add(1),
        1 => value.saturating_sub(1),
        2 => value.wrapping_mul(2),
        3 => rng.below(300) as u64,
        _ => rng.bits(),
    };
    replace(bytes, start, start + len, new.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_inputs_again() {
        let pool = [b"sum[j] exp(x)".to_vec(), vec![0, 255, 3]];
        let run = || -> Vec<Vec<u8>> {
            let mut rng = Rng::new(4);
            (0..500).map(|_| input(&mut rng, &pool)).collect()
        };
        assert_eq!(run(), run());
        assert!(run().iter().all(|bytes| bytes.len() <= LONGEST));
    }

    #[test]
    fn words_are_found() {
        assert_eq!(word(b"ab cd", 4), (3, 5));
        assert_eq!(word(b"ab+cd", 3), (3, 5));
        assert_eq!(word(b"+", 0), (0, 1));
        assert_eq!(word(b"", 0), (0, 0));
    }
}
