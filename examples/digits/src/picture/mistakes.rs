//! Every digit that its neighbours took for another, each on a card with those neighbours.

use super::theme::{BODY, CARD, LABEL, LINE, MARGIN, MUTED, RIGHT, TEXT, WIDTH, WRONG};
use super::{Story, heading};
use crate::canvas::{Align, Area, Canvas};
use crate::data::SIDE;

/// Cards side by side.
const COLUMNS: usize = 6;
/// Most cards; a picture of thousands would help nobody.
const MOST: usize = 120;
/// Between two cards.
const GAP: f32 = 16.0;
/// Height of a card.
const CARD_HEIGHT: f32 = 124.0;
/// Screen pixels to a pixel of the digit, and of a neighbour.
const SCALE: (f32, f32) = (8.0, 3.0);
/// From the edge of a card to what is on it.
const INSET: f32 = 16.0;
/// Between two neighbours.
const STEP: f32 = 31.0;

fn lines(story: &Story) -> usize {
    story.outcome.mistakes(&story.digits.labels).len().min(MOST).div_ceil(COLUMNS)
}

/// The height of the section.
pub fn height(story: &Story) -> f32 {
    lines(story) as f32 * (CARD_HEIGHT + GAP)
}

/// Draws the section.
pub fn draw(canvas: &mut Canvas, story: &Story, y: f32) {
    let mistakes = story.outcome.mistakes(&story.digits.labels);
    let remark = match mistakes.len() {
        0 => "none".to_string(),
        count if count > MOST => format!("the first {MOST} of {count}"),
        count => format!("all {count}, each with its label, what it was taken for, its neighbours"),
    };
    heading(canvas, MARGIN, y, "Mistakes", &remark);
    let width = (WIDTH - 2.0 * MARGIN + GAP) / COLUMNS as f32 - GAP;
    for (place, &row) in mistakes.iter().take(MOST).enumerate() {
        let x = MARGIN + (place % COLUMNS) as f32 * (width + GAP);
        let y = y + (place / COLUMNS) as f32 * (CARD_HEIGHT + GAP);
        card(canvas, story, row, Area { x, y, w: width, h: CARD_HEIGHT });
    }
}

fn card(canvas: &mut Canvas, story: &Story, row: usize, area: Area) {
    let label = story.digits.labels[row];
    canvas.fill(area, 8.0, LINE);
    canvas.fill(area.grown(-1.0), 7.0, CARD);
    let (x, y) = (area.x + INSET, area.y + 14.0);
    let (was, arrow) = (label.to_string(), "→");
    canvas.text(x, y, Align::Left, LABEL.of(RIGHT), &was);
    let mut pen = x + LABEL.width(&was) + 8.0;
    canvas.text(pen, y, Align::Left, BODY.of(MUTED), arrow);
    pen += BODY.width(arrow) + 8.0;
    let taken = story.outcome.voted[row].to_string();
    canvas.text(pen, y, Align::Left, LABEL.of(WRONG), &taken);
    let name = format!("row {row}");
    canvas.text(area.x + area.w - INSET, y, Align::Right, BODY.of(MUTED), &name);

    let y = y + 30.0;
    story.digit(canvas, row, x + 2.0, y, SCALE.0, TEXT);
    let left = area.x + area.w - INSET - 4.0 * STEP - SCALE.1 * SIDE as f32;
    for (entry, neighbour) in story.nearest(row).enumerate() {
        let (x, y) = (left + (entry % 5) as f32 * STEP, y + (entry / 5) as f32 * (STEP + 9.0));
        story.digit(canvas, neighbour, x, y, SCALE.1, story.verdict(neighbour, label));
    }
}
