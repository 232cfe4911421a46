//! A sheet of small drawn letters goes in; strokes come out. Neighbouring dots of a letter are
//! joined by lines, so that a letter of 5 x 7 dots is smooth at every size.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Dots from the top of a capital to its foot.
pub const CAPITAL: f32 = 7.0;
/// Dots between two letters.
const GAP: f32 = 1.1;
/// Width of a blank.
const BLANK: f32 = 2.2;

/// Bands of up to 16 letters: their names, then nine lines of dots, two of them below the foot.
const SHEET: &str = include_str!("font.txt");
const CELL: (usize, usize) = (5, 9);

/// A line from one place to another, in dots from the top left of the letter.
pub type Stroke = [(f32, f32); 2];

/// A letter.
pub struct Glyph {
    /// Dots across.
    pub width: f32,
    /// Lines to draw with a round pen.
    pub strokes: Vec<Stroke>,
}

/// The letter for `name`; a box for one that is not on the sheet.
pub fn glyph(name: char) -> &'static Glyph {
    static GLYPHS: OnceLock<BTreeMap<char, Glyph>> = OnceLock::new();
    static BOX: OnceLock<Glyph> = OnceLock::new();
    GLYPHS.get_or_init(read_sheet).get(&name).unwrap_or_else(|| BOX.get_or_init(missing))
}

/// The letters of a line of text, each with the place of its left edge in dots.
pub fn set(text: &str) -> impl Iterator<Item = (f32, &'static Glyph)> {
    text.chars().scan(0.0, |pen, name| {
        let (left, glyph) = (*pen, glyph(name));
        *pen += glyph.width + GAP;
        Some((left, glyph))
    })
}

/// How many dots a line of text takes.
pub fn width(text: &str) -> f32 {
    set(text).last().map_or(0.0, |(left, glyph)| left + glyph.width)
}

fn read_sheet() -> BTreeMap<char, Glyph> {
    let lines: Vec<Vec<char>> = SHEET.lines().map(|line| line.chars().collect()).collect();
    let mut glyphs = BTreeMap::new();
    for band in lines.chunks_exact(CELL.1 + 1) {
        for left in (0..band[1].len()).step_by(CELL.0 + 1) {
            let name = band[0].get(left).copied().unwrap_or(' ');
            let ink = |x: usize, y: usize| {
                x < CELL.0 && y < CELL.1 && band[y + 1].get(left + x) == Some(&'#')
            };
            glyphs.insert(name, trace(name, ink));
        }
    }
    glyphs
}

/// Joins the dots of a letter. A diagonal is drawn only where no dot fills its corner.
fn trace(name: char, ink: impl Fn(usize, usize) -> bool) -> Glyph {
    let at = |x: usize, y: usize| (x as f32 + 0.5, y as f32 + 0.5);
    let mut strokes = Vec::new();
    for y in 0..CELL.1 {
        for x in (0..CELL.0).filter(|&x| ink(x, y)) {
            let (right, below) = (ink(x + 1, y), ink(x, y + 1));
            strokes.push([at(x, y), at(x, y)]);
            if right {
                strokes.push([at(x, y), at(x + 1, y)]);
            }
            if below {
                strokes.push([at(x, y), at(x, y + 1)]);
            }
            if ink(x + 1, y + 1) && !right && !below {
                strokes.push([at(x, y), at(x + 1, y + 1)]);
            }
            if x > 0 && ink(x - 1, y + 1) && !ink(x - 1, y) && !below {
                strokes.push([at(x, y), at(x - 1, y + 1)]);
            }
        }
    }
    // Figures are all as wide as their cell, so that columns of numbers stand in line.
    let width = match strokes.is_empty() {
        true => BLANK,
        false if name.is_ascii_digit() => CELL.0 as f32,
        false => strokes.iter().fold(0.0, |edge: f32, stroke| edge.max(stroke[1].0 + 0.5)),
    };
    Glyph { width, strokes }
}

fn missing() -> Glyph {
    trace('?', |x, y| x < 4 && y < 7 && (x == 0 || x == 3 || y == 0 || y == 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_letter_is_on_the_sheet() {
        let sheet = read_sheet();
        for name in (' '..='~').chain(['µ', '→']) {
            let glyph = sheet.get(&name).unwrap_or_else(|| panic!("{name:?} is missing"));
            assert_eq!(glyph.strokes.is_empty(), name == ' ', "{name:?}");
        }
        assert_eq!(sheet.len(), 97);
    }

    #[test]
    fn no_two_letters_look_alike() {
        let mut sheet = read_sheet();
        // As in most type, nothing tells a nought from a capital O.
        sheet.remove(&'O');
        for (name, glyph) in &sheet {
            let twin = sheet.iter().find(|(n, g)| *n != name && g.strokes == glyph.strokes);
            assert!(twin.is_none(), "{name:?} looks like {:?}", twin.map(|(name, _)| name));
        }
    }

    #[test]
    fn joins_dots_but_does_not_fill_corners() {
        let corner = trace('x', |x, y| [(0, 0), (0, 1), (1, 1)].contains(&(x, y)));
        let lines = corner.strokes.iter().filter(|stroke| stroke[0] != stroke[1]);
        assert_eq!(lines.count(), 2);
        let slope = trace('x', |x, y| [(1, 0), (0, 1)].contains(&(x, y)));
        assert!(slope.strokes.contains(&[(1.5, 0.5), (0.5, 1.5)]));
    }

    #[test]
    fn figures_stand_in_line_and_strange_letters_become_boxes() {
        assert_eq!(width("1111"), width("0808"));
        assert_eq!(width(""), 0.0);
        assert_eq!(glyph('\u{fffd}').strokes, missing().strokes);
    }
}
