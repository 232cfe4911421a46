//! Text of handwritten digits goes in; pixels and labels come out. A value that does not fit is
//! never guessed at: it is an error with its line and column.

use ndarray::{Array2, ArrayView1};

/// Pixels along each side of a digit.
pub const SIDE: usize = 8;
/// Pixels of a digit.
pub const PIXELS: usize = SIDE * SIDE;
/// Labels are 0 to 9.
pub const CLASSES: usize = 10;
/// The darkest pixel.
pub const INK: u8 = 16;
/// The digits that come with the program.
pub const SHIPPED: &str = include_str!("../data/digits.csv");

/// Most characters of a bad value that its error repeats.
const SHOWN: usize = 20;

/// Handwritten digits.
#[derive(Debug)]
pub struct Digits {
    /// One digit a row, its pixels row by row from the top left.
    pub pixels: Array2<f32>,
    /// What each digit is.
    pub labels: Vec<u8>,
}

/// Text that is not a table of digits.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("line {line}, column {column}: expected {expected}, found {found}")]
pub struct DataError {
    line: usize,
    column: usize,
    expected: String,
    found: String,
}

impl Digits {
    /// Reads one digit a line: 64 pixels from 0 to 16 and the label, with commas between them.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let mut pixels = Vec::new();
        let mut labels = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let mut fields = Fields { line, number: number + 1, start: Some(0) };
            for pixel in 1..=PIXELS {
                let value = fields.value(INK, || {
                    format!("pixel {pixel} of {PIXELS}, a whole number from 0 to {INK}")
                })?;
                pixels.push(f32::from(value));
            }
            let last = CLASSES as u8 - 1;
            labels.push(fields.value(last, || format!("the label, a digit from 0 to {last}"))?);
            fields.end()?;
        }
        let pixels = Array2::from_shape_vec((labels.len(), PIXELS), pixels)
            .expect("every line gave 64 pixels and one label");
        Ok(Self { pixels, labels })
    }

    /// The pixels of digit `row`.
    pub fn image(&self, row: usize) -> ArrayView1<'_, f32> {
        self.pixels.row(row)
    }
}

/// What is left of a line.
struct Fields<'a> {
    line: &'a str,
    number: usize,
    /// Where the next value starts; none after the last one.
    start: Option<usize>,
}

impl Fields<'_> {
    /// The next value, if it is a whole number up to `most`.
    fn value(&mut self, most: u8, expected: impl Fn() -> String) -> Result<u8, DataError> {
        let Some(start) = self.start else {
            return Err(self.error(self.line.len(), expected(), "the end of the line".to_string()));
        };
        let rest = &self.line[start..];
        let text = rest.split(',').next().unwrap_or(rest);
        self.start = (text.len() < rest.len()).then_some(start + text.len() + 1);
        match text.parse() {
            Ok(value) if value <= most => Ok(value),
            _ => Err(self.error(start, expected(), quote(text))),
        }
    }

    fn end(&self) -> Result<(), DataError> {
        match self.start {
            None => Ok(()),
            Some(start) => Err(self.error(
                start,
                format!("the end of the line after {PIXELS} pixels and the label"),
                quote(&self.line[start..]),
            )),
        }
    }

    fn error(&self, at: usize, expected: String, found: String) -> DataError {
        let column = self.line[..at].chars().count() + 1;
        DataError { line: self.number, column, expected, found }
    }
}

fn quote(text: &str) -> String {
    if text.is_empty() {
        return "nothing".to_string();
    }
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(pixels: usize, label: &str) -> String {
        "7,".repeat(pixels) + label
    }

    fn error(text: &str) -> String {
        Digits::parse(text).expect_err("the text is wrong").to_string()
    }

    #[test]
    fn reads_lines_with_either_ending() {
        let digits = Digits::parse(&format!("{}\r\n{}", line(64, "3"), line(64, "9"))).unwrap();
        assert_eq!(digits.labels, [3, 9]);
        assert_eq!(digits.pixels.dim(), (2, 64));
        assert!(digits.pixels.iter().all(|&pixel| pixel == 7.0));
        assert_eq!(Digits::parse("").unwrap().pixels.dim(), (0, 64));
    }

    #[test]
    fn names_the_place_of_a_bad_pixel() {
        let text = format!("{}\n7,7,17,{}", line(64, "3"), line(61, "3"));
        assert_eq!(
            error(&text),
            "line 2, column 5: expected pixel 3 of 64, a whole number from 0 to 16, found \"17\""
        );
        for bad in ["-1", "1.5", " 1", "x", "1e9", "99999999999999999999"] {
            let message = error(&format!("{bad},{}", line(63, "3")));
            assert!(message.starts_with("line 1, column 1: expected pixel 1 of 64"), "{message}");
            assert!(message.ends_with(&format!("found {bad:?}")), "{message}");
        }
    }

    #[test]
    fn counts_columns_in_characters_and_shortens_long_values() {
        let message = error(&format!("7,é,{}", line(62, "3")));
        assert!(message.contains("column 3: expected pixel 2"), "{message}");
        let message = error(&"\u{1b}".repeat(5000));
        assert!(message.len() < 300 && !message.contains('\u{1b}'), "{message}");
    }

    #[test]
    fn names_the_end_of_a_short_line() {
        assert_eq!(
            error("7,7"),
            "line 1, column 4: expected pixel 3 of 64, a whole number from 0 to 16, \
             found the end of the line"
        );
        let short = line(64, "");
        let message = error(&short);
        assert!(message.ends_with("the label, a digit from 0 to 9, found nothing"), "{message}");
        let message = error(&format!("{}\n\n{}", line(64, "3"), line(64, "3")));
        assert!(message.starts_with("line 2, column 1: expected pixel 1 of 64"), "{message}");
    }

    #[test]
    fn refuses_a_bad_label_and_a_long_line() {
        assert!(error(&line(64, "10")).contains("expected the label, a digit from 0 to 9"));
        assert_eq!(
            error(&line(64, "3,8")),
            "line 1, column 131: expected the end of the line after 64 pixels and the label, \
             found \"8\""
        );
    }

    #[test]
    fn the_shipped_digits_are_whole() {
        let digits = Digits::parse(SHIPPED).unwrap();
        assert_eq!(digits.pixels.dim(), (1797, 64));
        let mut classes = [0; CLASSES];
        digits.labels.iter().for_each(|&label| classes[usize::from(label)] += 1);
        assert_eq!(classes, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        assert!(digits.pixels.iter().all(|pixel| (0.0..=16.0).contains(pixel)));
        // The sum of all pixels, and one that changes when two pixels or two digits change places.
        let mut sums = (0, 0);
        for ((row, column), &pixel) in digits.pixels.indexed_iter() {
            sums.0 += pixel as u64;
            sums.1 += pixel as u64 * (row as u64 + 1) * (column as u64 + 1);
        }
        assert_eq!(sums, (561_718, 16_337_198_609));
    }
}
