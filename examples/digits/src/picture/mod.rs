//! What was found goes in; a picture of it comes out: a title, one query of each class beside its
//! neighbours, the confusion matrix, every mistake, and where the digits come from.

mod agreement;
mod confusion;
mod gallery;
mod header;
mod mistakes;
mod theme;

use crate::canvas::{Align, Area, Canvas, Colour};
use crate::data::{Digits, INK, SIDE};
use crate::neighbours::Neighbours;
use crate::vote::Outcome;
use theme::{BODY, MARGIN, MUTED, SECTION, WIDTH};

/// What the picture tells.
pub struct Story<'a> {
    /// The digits.
    pub digits: &'a Digits,
    /// The nearest others of each.
    pub neighbours: &'a Neighbours,
    /// What they say.
    pub outcome: &'a Outcome,
    /// Where the digits come from.
    pub credit: &'a str,
}

/// Most neighbours that stand beside a digit.
const SHOWN: usize = 10;

/// Height of the line above each section.
const HEADING: f32 = 72.0;

/// Height of the line at the foot of the picture.
const FOOTER: f32 = 84.0;

impl Story<'_> {
    /// The rows of the neighbours shown beside digit `row`.
    fn nearest(&self, row: usize) -> impl Iterator<Item = usize> {
        self.neighbours.index.row(row).into_iter().take(SHOWN).copied()
    }

    /// The frame of digit `row` where it stands for `label`.
    fn verdict(&self, row: usize, label: u8) -> Colour {
        if self.digits.labels[row] == label { theme::RIGHT } else { theme::WRONG }
    }

    /// Draws digit `row`, `scale` screen pixels to each of its own, in a frame.
    fn digit(&self, canvas: &mut Canvas, row: usize, x: f32, y: f32, scale: f32, frame: Colour) {
        let thickness = (scale / 2.0).max(2.0);
        let side = scale * SIDE as f32;
        let edge = Area::square(x, y, side).grown(thickness);
        canvas.fill(edge, thickness + 1.0, frame);
        for (pixel, &shade) in self.digits.image(row).iter().enumerate() {
            let (x, y) = (x + (pixel % SIDE) as f32 * scale, y + (pixel / SIDE) as f32 * scale);
            let colour = theme::pixel(shade / f32::from(INK));
            canvas.fill(Area::square(x, y, scale), 0.0, colour);
        }
    }
}

/// Draws the picture.
pub fn draw(story: &Story) -> Canvas {
    let gallery = header::HEIGHT + HEADING;
    let middle = gallery::height(story).max(confusion::HEIGHT + HEADING + agreement::HEIGHT);
    let mistakes = gallery + middle + HEADING;
    let footer = mistakes + mistakes::height(story);
    let mut canvas = Canvas::new(WIDTH as usize, (footer + FOOTER) as usize, theme::PAPER);
    header::draw(&mut canvas, story);
    gallery::draw(&mut canvas, story, MARGIN, gallery);
    confusion::draw(&mut canvas, story, confusion::LEFT, gallery);
    let agreement = gallery + confusion::HEIGHT + HEADING;
    agreement::draw(&mut canvas, story, confusion::LEFT, agreement);
    mistakes::draw(&mut canvas, story, mistakes);
    let y = footer + FOOTER / 2.0;
    let rule = Area { x: MARGIN, y: footer + 8.0, w: WIDTH - 2.0 * MARGIN, h: 1.0 };
    canvas.fill(rule, 0.0, theme::LINE);
    canvas.text(MARGIN, y, Align::Left, BODY.of(MUTED), story.credit);
    let made = "drawn by the digits example of tilefold";
    canvas.text(WIDTH - MARGIN, y, Align::Right, BODY.of(MUTED), made);
    canvas
}

/// Writes the heading of a section whose content starts at `y`, and what it shows beside it.
fn heading(canvas: &mut Canvas, x: f32, y: f32, title: &str, remark: &str) {
    let y = y - 46.0;
    canvas.text(x, y, Align::Left, SECTION, title);
    let beside = x + SECTION.width(title) + 18.0;
    canvas.text(beside, y + SECTION.size - BODY.size, Align::Left, BODY.of(MUTED), remark);
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::data::SHIPPED;
    use crate::neighbours::nearest;

    fn draw_digits(digits: &Digits) -> Canvas {
        let neighbours = nearest(digits.pixels.view(), 10).unwrap();
        let outcome = Outcome::new(&digits.labels, neighbours.index.view());
        draw(&Story { digits, neighbours: &neighbours, outcome: &outcome, credit: "a test" })
    }

    fn size(file: &[u8]) -> (u32, u32) {
        let reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        (reader.info().width, reader.info().height)
    }

    #[test]
    fn the_file_has_the_size_of_the_picture() {
        let text: String = SHIPPED.split_inclusive('\n').take(60).collect();
        let canvas = draw_digits(&Digits::parse(&text).unwrap());
        let (width, height) = canvas.size();
        assert_eq!(width, WIDTH as usize);
        assert_eq!(size(&canvas.png().unwrap()), (width as u32, height as u32));
    }

    #[test]
    fn more_mistakes_make_a_taller_picture() {
        let pixels = Array2::zeros((40, 64));
        let height =
            |labels: Vec<u8>| draw_digits(&Digits { pixels: pixels.clone(), labels }).size().1;
        let right = height(vec![4; 40]);
        let wrong = height((0..40).map(|row| row % 10).collect());
        assert!(right < wrong, "{right} and {wrong}");
    }

    #[test]
    fn one_class_and_no_mistake_are_enough() {
        let digits = Digits { pixels: Array2::zeros((11, 64)), labels: vec![3; 11] };
        assert_eq!(draw_digits(&digits).size().0, WIDTH as usize);
    }
}
