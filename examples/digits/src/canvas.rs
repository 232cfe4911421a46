//! Shapes and text go in; a picture comes out as PNG. Edges are smooth: a shape covers a pixel as
//! far as its outline reaches into it. What lies outside the picture is cut off.

use crate::font;

/// Red, green and blue.
pub type Colour = [u8; 3];

/// A part of the picture, in pixels from its top left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

impl Area {
    /// A square.
    pub fn square(x: f32, y: f32, side: f32) -> Self {
        Self { x, y, w: side, h: side }
    }

    /// The same area, larger by `by` on each side.
    pub fn grown(self, by: f32) -> Self {
        Self { x: self.x - by, y: self.y - by, w: self.w + 2.0 * by, h: self.h + 2.0 * by }
    }
}

/// Which part of a line of text stands at its place.
#[derive(Clone, Copy)]
pub enum Align {
    /// Its left edge.
    Left,
    /// Its middle.
    Centre,
    /// Its right edge.
    Right,
}

/// How text looks.
#[derive(Clone, Copy)]
pub struct Type {
    /// Height of a capital.
    pub size: f32,
    /// Width of the pen, as a share of a dot.
    pub weight: f32,
    /// Ink.
    pub colour: Colour,
}

impl Type {
    /// Pixels that `text` takes.
    pub fn width(self, text: &str) -> f32 {
        font::width(text) * self.dot()
    }

    fn dot(self) -> f32 {
        self.size / font::CAPITAL
    }
}

/// A picture in the making.
pub struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    /// An empty sheet.
    pub fn new(width: usize, height: usize, paper: Colour) -> Self {
        Self { width, height, pixels: paper.repeat(width * height) }
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Fills an area, corners rounded.
    pub fn fill(&mut self, area: Area, radius: f32, colour: Colour) {
        self.paint(area.grown(1.0), colour, |x, y| outline(area, radius, x, y));
    }

    /// Draws a frame inside the edge of an area.
    pub fn frame(&mut self, area: Area, radius: f32, thickness: f32, colour: Colour) {
        self.paint(area.grown(1.0), colour, |x, y| {
            let distance = outline(area, radius, x, y);
            distance.max(-distance - thickness)
        });
    }

    /// Draws a line with a round pen.
    pub fn line(&mut self, from: (f32, f32), to: (f32, f32), thickness: f32, colour: Colour) {
        let (left, top) = (from.0.min(to.0), from.1.min(to.1));
        let area = Area { x: left, y: top, w: (to.0 - from.0).abs(), h: (to.1 - from.1).abs() };
        self.paint(area.grown(thickness + 1.0), colour, |x, y| {
            to_line(from, to, x, y) - thickness / 2.0
        });
    }

    /// Writes a line of text whose capitals hang from `y`.
    pub fn text(&mut self, x: f32, y: f32, align: Align, style: Type, text: &str) {
        let x = match align {
            Align::Left => x,
            Align::Centre => x - style.width(text) / 2.0,
            Align::Right => x - style.width(text),
        };
        let dot = style.dot();
        for (left, glyph) in font::set(text) {
            let (left, top) = (x + left * dot, y);
            let area = Area { x: left, y: top, w: glyph.width * dot, h: style.size * 9.0 / 7.0 };
            self.paint(area.grown(dot), style.colour, |x, y| {
                let (x, y) = ((x - left) / dot, (y - top) / dot);
                let far = |line: &font::Stroke| to_line(line[0], line[1], x, y);
                let nearest = glyph.strokes.iter().map(far).fold(f32::INFINITY, f32::min);
                (nearest - style.weight / 2.0) * dot
            });
        }
    }

    /// The picture as a PNG file.
    pub fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut file = Vec::new();
        // No picture of this program is anywhere near 2^32 pixels wide.
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(file)
    }

    /// Mixes `colour` into every pixel as far as it is inside: `distance` to the outline is
    /// negative there.
    fn paint(&mut self, within: Area, colour: Colour, distance: impl Fn(f32, f32) -> f32) {
        let clip = |from: f32, length: f32, end: usize| {
            let last = (from + length).ceil().clamp(0.0, end as f32);
            from.floor().clamp(0.0, end as f32) as usize..last as usize
        };
        for y in clip(within.y, within.h, self.height) {
            for x in clip(within.x, within.w, self.width) {
                let cover = 0.5 - distance(x as f32 + 0.5, y as f32 + 0.5);
                if cover > 0.0 {
                    let at = 3 * (y * self.width + x);
                    for (below, above) in self.pixels[at..at + 3].iter_mut().zip(colour) {
                        *below = mix(*below, above, cover);
                    }
                }
            }
        }
    }
}

/// From `a` at 0 to `b` at 1.
pub fn blend(a: Colour, b: Colour, share: f32) -> Colour {
    [0, 1, 2].map(|channel| mix(a[channel], b[channel], share))
}

fn mix(a: u8, b: u8, share: f32) -> u8 {
    let (a, b) = (f32::from(a), f32::from(b));
    (a + (b - a) * share.clamp(0.0, 1.0)).round() as u8
}

/// How far a point lies outside a rounded rectangle; negative inside.
fn outline(area: Area, radius: f32, x: f32, y: f32) -> f32 {
    let beyond = |at: f32, from: f32, length: f32| {
        (at - from - length / 2.0).abs() - (length / 2.0 - radius)
    };
    let (dx, dy) = (beyond(x, area.x, area.w), beyond(y, area.y, area.h));
    dx.max(0.0).hypot(dy.max(0.0)) + dx.max(dy).min(0.0) - radius
}

/// The distance of a point to a line from `a` to `b`.
fn to_line(a: (f32, f32), b: (f32, f32), x: f32, y: f32) -> f32 {
    let (along, to) = ((b.0 - a.0, b.1 - a.1), (x - a.0, y - a.1));
    let length2 = along.0 * along.0 + along.1 * along.1;
    let share = match length2 > 0.0 {
        true => ((to.0 * along.0 + to.1 * along.1) / length2).clamp(0.0, 1.0),
        false => 0.0,
    };
    (to.0 - share * along.0).hypot(to.1 - share * along.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAPER: Colour = [255, 255, 255];
    const INK: Colour = [0, 0, 0];

    fn at(canvas: &Canvas, x: usize, y: usize) -> u8 {
        canvas.pixels[3 * (y * canvas.width + x)]
    }

    fn decode(file: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(frame.color_type, png::ColorType::Rgb);
        (frame.width, frame.height, pixels)
    }

    #[test]
    fn the_png_decodes_to_the_picture() {
        let mut canvas = Canvas::new(31, 17, [250, 200, 150]);
        canvas.fill(Area { x: 3.0, y: 4.0, w: 9.5, h: 7.0 }, 2.0, [1, 2, 3]);
        let (width, height, pixels) = decode(&canvas.png().unwrap());
        assert_eq!((width, height), (31, 17));
        assert_eq!(pixels, canvas.pixels);
    }

    #[test]
    fn whole_rectangles_are_crisp_and_half_pixels_are_grey() {
        let mut canvas = Canvas::new(8, 8, PAPER);
        canvas.fill(Area { x: 2.0, y: 2.0, w: 3.5, h: 4.0 }, 0.0, INK);
        assert_eq!([at(&canvas, 1, 3), at(&canvas, 2, 3), at(&canvas, 4, 3)], [255, 0, 0]);
        assert_eq!([at(&canvas, 5, 3), at(&canvas, 6, 3)], [128, 255]);
        assert_eq!([at(&canvas, 3, 1), at(&canvas, 3, 2), at(&canvas, 3, 6)], [255, 0, 255]);
    }

    #[test]
    fn a_frame_leaves_its_middle_alone() {
        let mut canvas = Canvas::new(12, 12, PAPER);
        canvas.frame(Area::square(1.0, 1.0, 10.0), 0.0, 2.0, INK);
        assert_eq!([at(&canvas, 0, 6), at(&canvas, 1, 6), at(&canvas, 2, 6)], [255, 0, 0]);
        assert_eq!([at(&canvas, 3, 6), at(&canvas, 6, 6), at(&canvas, 10, 6)], [255, 255, 0]);
    }

    #[test]
    fn text_is_inked_where_its_dots_are() {
        let mut canvas = Canvas::new(60, 60, PAPER);
        let style = Type { size: 42.0, weight: 1.0, colour: INK };
        canvas.text(6.0, 6.0, Align::Left, style, "L");
        // The dots of the letter are six pixels apart.
        assert_eq!([at(&canvas, 9, 9), at(&canvas, 9, 45), at(&canvas, 27, 45)], [0, 0, 0]);
        assert_eq!([at(&canvas, 27, 9), at(&canvas, 20, 27), at(&canvas, 9, 54)], [255, 255, 255]);
    }

    #[test]
    fn right_aligned_text_ends_at_its_place() {
        let style = Type { size: 14.0, weight: 1.0, colour: INK };
        for (align, from, to) in
            [(Align::Left, 40, 80), (Align::Right, 0, 40), (Align::Centre, 30, 50)]
        {
            let mut canvas = Canvas::new(80, 30, PAPER);
            canvas.text(40.0, 5.0, align, style, "HE");
            let inked = (0..80).filter(|&x| (0..30).any(|y| at(&canvas, x, y) < 128));
            let inked: Vec<usize> = inked.collect();
            assert!(inked[0] >= from && inked[inked.len() - 1] < to, "{inked:?}");
        }
    }

    #[test]
    fn what_lies_outside_is_cut_off() {
        let mut canvas = Canvas::new(10, 10, PAPER);
        canvas.fill(Area { x: -50.0, y: 8.0, w: 100.0, h: 100.0 }, 3.0, INK);
        canvas.line((-20.0, -20.0), (-5.0, 30.0), 4.0, INK);
        let style = Type { size: 70.0, weight: 1.0, colour: INK };
        canvas.text(-1e9, 1e9, Align::Centre, style, "cut");
        assert_eq!([at(&canvas, 0, 7), at(&canvas, 9, 9)], [255, 0]);
    }
}
