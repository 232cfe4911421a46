//! The confusion matrix: what each class was taken for.

use super::theme::{BODY, CARD, EMPTY, LABEL, MARGIN, MUTED, RIGHT, TEXT, WIDTH, WRONG};
use super::{Story, heading};
use crate::canvas::{Align, Area, Canvas, Colour, blend};
use crate::data::CLASSES;

/// Side of a cell.
pub const CELL: f32 = 56.0;
/// Where the cells start.
pub const INDENT: (f32, f32) = (48.0, 52.0);
/// Room for the shares of right answers.
pub const SHARES: f32 = 100.0;
/// Left edge of the section.
pub const LEFT: f32 = WIDTH - MARGIN - SHARES - CELL * CLASSES as f32 - INDENT.0;
/// Height of the section.
pub const HEIGHT: f32 = INDENT.1 + CELL * CLASSES as f32 + 84.0;

/// Draws the section.
pub fn draw(canvas: &mut Canvas, story: &Story, x: f32, y: f32) {
    heading(
        canvas,
        x,
        y,
        "Confusion",
        "a row: digits of one class; a column: what they were taken for",
    );
    let counts = &story.outcome.confusion;
    let worst = (0..CLASSES * CLASSES)
        .filter(|cell| cell / CLASSES != cell % CLASSES)
        .map(|cell| counts[cell / CLASSES][cell % CLASSES])
        .max()
        .unwrap_or(0);
    let (left, top) = (x + INDENT.0, y + INDENT.1);
    for (class, row) in counts.iter().enumerate() {
        let (name, along) = (class.to_string(), (class as f32 + 0.5) * CELL);
        canvas.text(left + along, top - 30.0, Align::Centre, LABEL, &name);
        canvas.text(left - 24.0, top + along - 7.0, Align::Centre, LABEL, &name);
        let total: usize = row.iter().sum();
        for (other, &count) in row.iter().enumerate() {
            let (colour, full) = if class == other { (RIGHT, total) } else { (WRONG, worst) };
            let area = Area::square(left + other as f32 * CELL, top + class as f32 * CELL, CELL);
            let share = count as f32 / full.max(1) as f32;
            cell(canvas, area, count, if count > 0 { shade(colour, share) } else { EMPTY });
        }
        if total > 0 {
            let share = format!("{:.1} %", 100.0 * row[class] as f64 / total as f64);
            let right = left + CELL * CLASSES as f32 + SHARES;
            canvas.text(right, top + along - 7.0, Align::Right, BODY.of(MUTED), &share);
        }
    }
    let right = left + CELL * CLASSES as f32 + SHARES;
    canvas.text(right, top - 30.0, Align::Right, BODY.of(MUTED), "right");
    legend(canvas, left, top + CELL * CLASSES as f32 + 28.0, worst);
}

fn cell(canvas: &mut Canvas, area: Area, count: usize, colour: Colour) {
    canvas.fill(area.grown(-1.5), 5.0, colour);
    if count > 0 {
        let dark = colour.iter().map(|&channel| u32::from(channel)).sum::<u32>() < 480;
        let ink = if dark { CARD } else { TEXT };
        let (x, y) = (area.x + CELL / 2.0, area.y + CELL / 2.0 - 7.0);
        canvas.text(x, y, Align::Centre, LABEL.of(ink), &count.to_string());
    }
}

/// The colour of a cell with this share of the most there can be. The least share is already well
/// off the paper: rare mistakes are what the matrix is for.
fn shade(colour: Colour, share: f32) -> Colour {
    blend(EMPTY, colour, 0.2 + 0.8 * share)
}

fn legend(canvas: &mut Canvas, x: f32, y: f32, worst: usize) {
    let least = 1.0 / worst.max(1) as f32;
    scale(canvas, x, y, "right", RIGHT, 0.0, ["0 %", "100 % of the class"]);
    if worst > 0 {
        scale(canvas, x, y + 30.0, "wrong", WRONG, least, ["1", &format!("{worst} in a cell")]);
    }
}

/// The colours from the share `least` to all, with what they mean.
fn scale(
    canvas: &mut Canvas,
    x: f32,
    y: f32,
    name: &str,
    colour: Colour,
    least: f32,
    [from, to]: [&str; 2],
) {
    const STEPS: usize = 40;
    canvas.text(x, y, Align::Left, BODY.of(MUTED), name);
    canvas.text(x + 104.0, y, Align::Right, BODY.of(MUTED), from);
    for step in 0..STEPS {
        let share = least + (1.0 - least) * step as f32 / (STEPS - 1) as f32;
        let area = Area { x: x + 116.0 + step as f32 * 5.0, y: y - 2.0, w: 5.0, h: 18.0 };
        canvas.fill(area, 0.0, shade(colour, share));
    }
    canvas.text(x + 328.0, y, Align::Left, BODY.of(MUTED), to);
}
