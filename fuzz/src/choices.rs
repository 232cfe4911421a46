//! Bytes as a stream of choices. Goes in: any bytes. Comes out: numbers, one after the other; zeros
//! when the bytes are used up. So every input means something, and a shorter one means less.

/// The stream.
pub struct Choices<'a>(&'a [u8]);

/// Numbers that break things more often than others do.
const EDGES: &[i64] = &[
    0,
    1,
    -1,
    2,
    255,
    256,
    4096,
    65_536,
    i32::MAX as i64,
    i32::MIN as i64,
    1 << 53,
    i64::MAX,
    i64::MIN,
];

impl<'a> Choices<'a> {
    /// The choices that these bytes stand for.
    pub fn new(bytes: &'a [u8]) -> Choices<'a> {
        Choices(bytes)
    }

    /// Whether bytes are left.
    pub fn more(&self) -> bool {
        !self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// A number below `count`, at most 256 of them.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count.max(1)
    }

    /// One of a list.
    pub fn pick<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        &list[self.below(list.len())]
    }

    /// Mostly a small number; sometimes one that overflows something.
    pub fn number(&mut self) -> i64 {
        match self.byte() {
            small @ 0..=223 => i64::from(small % 7),
            edge => EDGES[usize::from(edge) % EDGES.len()],
        }
    }

    /// [`number`](Choices::number) as a size; negative ones wrap to huge ones.
    pub fn size(&mut self) -> usize {
        self.number() as usize
    }

    /// What is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}
