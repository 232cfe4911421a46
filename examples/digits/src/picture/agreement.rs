//! How far the votes agreed, and how often they were right.

use super::confusion::{CELL, INDENT, SHARES};
use super::theme::{BODY, EMPTY, LABEL, MUTED, RIGHT, WRONG};
use super::{Story, heading};
use crate::canvas::{Align, Area, Canvas};

/// Most columns; beyond, a column stands for several numbers of votes.
const COLUMNS: usize = 10;
/// Height of a column.
const TALL: f32 = 84.0;
/// The height of the section.
pub const HEIGHT: f32 = 24.0 + TALL + 58.0;

/// Digits whose winner had up to `most` votes, and more than those of the column before.
struct Column {
    most: usize,
    right: usize,
    wrong: usize,
}

/// Sorts answers of `k` voters, each its votes and whether it is right, into columns.
fn columns(k: usize, answers: impl Iterator<Item = (usize, bool)>) -> Vec<Column> {
    let count = k.min(COLUMNS);
    let mut columns: Vec<Column> = (0..count)
        .map(|place| Column { most: (place + 1) * k / count, right: 0, wrong: 0 })
        .collect();
    for (votes, right) in answers {
        let column = columns.iter_mut().find(|column| votes <= column.most);
        let column = column.expect("a winner has no more votes than there are voters");
        match right {
            true => column.right += 1,
            false => column.wrong += 1,
        }
    }
    columns
}

/// Draws the section.
pub fn draw(canvas: &mut Canvas, story: &Story, x: f32, y: f32) {
    heading(
        canvas,
        x,
        y,
        "Agreement",
        "digits by the votes for the winner; orange: taken for another",
    );
    let (left, y) = (x + INDENT.0, y + 24.0);
    let right = |row: usize| story.outcome.voted[row] == story.digits.labels[row];
    let answers = story.outcome.votes.iter().zip(0..).map(|(&votes, row)| (votes, right(row)));
    let columns = columns(story.neighbours.index.ncols(), answers);
    for (place, column) in columns.iter().enumerate() {
        let middle = left + (place as f32 + 0.5) * CELL;
        bar(canvas, column, Area { x: middle - CELL / 2.0 + 1.5, y, w: CELL - 3.0, h: TALL });
        let votes = column.most.to_string();
        canvas.text(middle, y + TALL + 12.0, Align::Centre, LABEL, &votes);
        let digits = (column.right + column.wrong).to_string();
        canvas.text(middle, y + TALL + 36.0, Align::Centre, BODY.of(MUTED), &digits);
    }
    let right = left + CELL * COLUMNS as f32 + SHARES;
    let votes = if story.neighbours.index.ncols() > COLUMNS { "up to" } else { "votes" };
    canvas.text(right, y + TALL + 12.0, Align::Right, BODY.of(MUTED), votes);
    canvas.text(right, y + TALL + 36.0, Align::Right, BODY.of(MUTED), "digits");
}

/// The share of right and wrong answers; the number of wrong ones stands above.
fn bar(canvas: &mut Canvas, column: &Column, area: Area) {
    let total = column.right + column.wrong;
    if total == 0 {
        canvas.fill(area, 3.0, EMPTY);
        return;
    }
    canvas.fill(area, 3.0, RIGHT);
    if column.wrong > 0 {
        let share = (column.wrong as f32 / total as f32 * area.h).round().max(3.0);
        canvas.fill(Area { h: share, ..area }, 0.0, WRONG);
        let middle = area.x + area.w / 2.0;
        canvas.text(
            middle,
            area.y - 20.0,
            Align::Centre,
            LABEL.of(WRONG),
            &column.wrong.to_string(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_votes_has_one_column() {
        for k in 1..=30 {
            let columns = columns(k, (1..=k).map(|votes| (votes, votes % 2 == 0)));
            assert_eq!(columns.len(), k.min(10));
            let mut before = 0;
            for column in columns {
                assert_eq!(column.right + column.wrong, column.most - before);
                assert_eq!(column.right, column.most / 2 - before / 2);
                before = column.most;
            }
            assert_eq!(before, k);
        }
    }
}
