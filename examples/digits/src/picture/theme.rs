//! Colours, type and measures of the picture, in one place so that they stay few.

use crate::canvas::{Colour, Type, blend};

/// Width of the picture.
pub const WIDTH: f32 = 1760.0;
/// Left and right of everything.
pub const MARGIN: f32 = 60.0;

/// Behind everything.
pub const PAPER: Colour = [250, 249, 246];
/// Behind a card.
pub const CARD: Colour = [255, 255, 255];
/// A place for a number that is zero.
pub const EMPTY: Colour = [240, 239, 235];
/// Thin lines.
pub const LINE: Colour = [222, 219, 211];
/// Text.
pub const TEXT: Colour = [27, 34, 48];
/// Text of less weight.
pub const MUTED: Colour = [112, 117, 128];
/// Behind the title.
pub const NIGHT: Colour = [22, 30, 46];
/// Text of less weight on it.
pub const NIGHT_MUTED: Colour = [152, 164, 186];
/// A neighbour with the label of the query. Blue and orange differ for every kind of eye.
pub const RIGHT: Colour = [31, 119, 158];
/// A neighbour with another label.
pub const WRONG: Colour = [226, 94, 40];

/// The title.
pub const TITLE: Type = Type { size: 32.0, weight: 1.05, colour: CARD };
/// Numbers in the title strip.
pub const FIGURE: Type = Type { size: 30.0, weight: 1.0, colour: CARD };
/// Headings of sections.
pub const SECTION: Type = Type { size: 21.0, weight: 1.1, colour: TEXT };
/// Everything else.
pub const BODY: Type = Type { size: 14.0, weight: 0.85, colour: TEXT };
/// Labels under tiles.
pub const LABEL: Type = Type { size: 14.0, weight: 1.05, colour: TEXT };

impl Type {
    /// The same type in another colour.
    pub const fn of(self, colour: Colour) -> Self {
        Self { colour, ..self }
    }
}

/// A pixel of a digit: paper at 0, ink at 1.
pub fn pixel(shade: f32) -> Colour {
    blend([255, 255, 255], [20, 26, 40], shade)
}
