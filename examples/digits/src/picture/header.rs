//! The strip at the top: what was done, how well, how fast, and by what.

use super::Story;
use super::theme::{BODY, FIGURE, MARGIN, NIGHT, NIGHT_MUTED, TITLE, WIDTH, WRONG};
use crate::canvas::{Align, Area, Canvas};
use crate::data::PIXELS;
use crate::units;

/// Height of the strip.
pub const HEIGHT: f32 = 168.0;

/// Draws the strip across the picture.
pub fn draw(canvas: &mut Canvas, story: &Story) {
    let (count, k) = story.neighbours.index.dim();
    canvas.fill(Area { x: 0.0, y: 0.0, w: WIDTH, h: HEIGHT }, 0.0, NIGHT);
    canvas.fill(Area { x: 0.0, y: HEIGHT - 4.0, w: WIDTH, h: 4.0 }, 0.0, WRONG);
    canvas.text(MARGIN, 42.0, Align::Left, TITLE, "Digits by their neighbours");
    let done = format!("{count} handwritten digits, each classified by {}", units::voters(k));
    canvas.text(MARGIN, 94.0, Align::Left, BODY.of(NIGHT_MUTED), &done);
    let ran = format!("knn<{PIXELS}, {}> in f32: {}", k + 1, story.neighbours.executor);
    canvas.text(MARGIN, 120.0, Align::Left, BODY.of(NIGHT_MUTED), &ran);

    let seconds = story.neighbours.timing.seconds;
    let pairs = (count * count) as f64 / seconds;
    let figures = [
        ("accuracy", format!("{:.2} %", 100.0 * story.outcome.accuracy())),
        ("correct", format!("{} of {count}", story.outcome.correct())),
        ("time", units::seconds(seconds)),
        ("pairs per second", units::count(pairs)),
    ];
    let mut x = WIDTH - MARGIN;
    for (name, figure) in figures.iter().rev() {
        let width = FIGURE.width(figure).max(BODY.width(name));
        canvas.text(x - width, 44.0, Align::Left, FIGURE, figure);
        canvas.text(x - width, 94.0, Align::Left, BODY.of(NIGHT_MUTED), name);
        x -= width + 48.0;
    }
}
