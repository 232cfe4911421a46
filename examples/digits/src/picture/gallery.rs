//! One query of each class beside its nearest neighbours.

use super::theme::{BODY, LABEL, MUTED, RIGHT, TEXT, WRONG};
use super::{Story, heading};
use crate::canvas::{Align, Area, Canvas};
use crate::data::{CLASSES, SIDE};
use crate::vote::Outcome;

/// Screen pixels to a pixel of the query, and of a neighbour.
const SCALE: (f32, f32) = (8.0, 6.0);
/// Between one query and the next.
const PITCH: f32 = 90.0;
/// Between one neighbour and the next.
const STEP: f32 = 62.0;
/// From the left edge to the first neighbour.
const INDENT: f32 = 124.0;
/// Place for the line that explains the colours.
const LEGEND: f32 = 44.0;

/// The height of the section.
pub fn height(story: &Story) -> f32 {
    queries(&story.digits.labels, story.outcome).len() as f32 * PITCH + LEGEND
}

/// For each class the query that was taken for what it is by the fewest votes: the first of them.
fn queries(labels: &[u8], outcome: &Outcome) -> Vec<usize> {
    let rows = 0..labels.len();
    let right = |class| {
        rows.clone().filter(move |&row| labels[row] == class && outcome.voted[row] == class)
    };
    let closest = |class| right(class).min_by_key(|&row| outcome.votes[row]);
    (0..CLASSES as u8).filter_map(closest).collect()
}

/// Draws the section.
pub fn draw(canvas: &mut Canvas, story: &Story, x: f32, y: f32) {
    heading(canvas, x, y, "Closest calls", "the right answer by the fewest votes, in each class");
    for (line, &query) in queries(&story.digits.labels, story.outcome).iter().enumerate() {
        row(canvas, story, query, x, y + line as f32 * PITCH);
    }
    let y = y + height(story) - LEGEND + 8.0;
    let mut x = x;
    for (colour, meaning) in [(RIGHT, "label of the query"), (WRONG, "another label")] {
        canvas.frame(Area::square(x, y - 1.0, 16.0), 3.0, 3.0, colour);
        canvas.text(x + 26.0, y, Align::Left, BODY.of(MUTED), meaning);
        x += 26.0 + BODY.width(meaning) + 36.0;
    }
    let numbers = "under each neighbour: label and distance";
    canvas.text(x, y, Align::Left, BODY.of(MUTED), numbers);
}

fn row(canvas: &mut Canvas, story: &Story, query: usize, x: f32, y: f32) {
    let side = SCALE.0 * SIDE as f32;
    let label = story.digits.labels[query];
    story.digit(canvas, query, x + 4.0, y + 4.0, SCALE.0, TEXT);
    let (middle, tip) = (y + 4.0 + side / 2.0, x + INDENT - 18.0);
    canvas.line((x + side + 20.0, middle), (tip, middle), 2.0, MUTED);
    canvas.line((tip - 6.0, middle - 6.0), (tip, middle), 2.0, MUTED);
    canvas.line((tip - 6.0, middle + 6.0), (tip, middle), 2.0, MUTED);
    let mut left = x + INDENT;
    for (entry, row) in story.nearest(query).enumerate() {
        let colour = story.verdict(row, label);
        let side = SCALE.1 * SIDE as f32;
        story.digit(canvas, row, left, y + 3.0, SCALE.1, colour);
        let under = y + 3.0 + side + 9.0;
        let name = story.digits.labels[row].to_string();
        canvas.text(left, under, Align::Left, LABEL.of(colour), &name);
        let distance = format!("{:.0}", story.neighbours.dist2[[query, entry]].sqrt());
        canvas.text(left + side, under, Align::Right, BODY.of(MUTED), &distance);
        left += STEP;
    }
    let votes = match story.outcome.votes[query] {
        1 => format!("1 vote for {label}"),
        votes => format!("{votes} votes for {label}"),
    };
    canvas.text(left + 6.0, middle - 7.0, Align::Left, BODY, &votes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_right_answers_by_the_fewest_votes() {
        let outcome = Outcome {
            voted: vec![7, 7, 7, 7, 2],
            votes: vec![1, 9, 6, 6, 5],
            confusion: [[0; CLASSES]; CLASSES],
        };
        // The first 7 was a 1; the 2 stands before the 7s.
        assert_eq!(queries(&[1, 7, 7, 7, 2], &outcome), [4, 2]);
    }
}
