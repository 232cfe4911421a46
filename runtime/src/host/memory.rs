//! Buffers for packed rows, packed columns, states and temporaries. Goes in: a size. Comes out:
//! memory aligned to 64 bytes, or an error. It never aborts when memory is short.

use std::alloc::{self, Layout};
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::{ptr, slice};

#[cfg(feature = "lazy")]
use super::table::Real;
use crate::element::Component;
use crate::error::Error;
use crate::words;

/// 64 bytes, aligned to 64, that only kernels write and read.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(crate) struct Line([u8; 64]);

impl Line {
    pub const ZERO: Line = Line([0; 64]);
}

pub(crate) type Lines = [MaybeUninit<Line>];

/// How many lines hold that many bytes.
pub(crate) fn lines_of(bytes: usize) -> usize {
    bytes.div_ceil(size_of::<Line>())
}

/// The same memory, all zeros.
pub(crate) fn cleared(lines: &mut Lines) -> &mut [Line] {
    lines.fill(MaybeUninit::new(Line::ZERO));
    // SAFETY: every line was just filled.
    unsafe { filled_mut(lines) }
}

/// The same memory, which was filled.
///
/// # Safety
/// Every line was filled.
pub(crate) unsafe fn filled(lines: &Lines) -> &[Line] {
    // SAFETY: `MaybeUninit<Line>` is laid out like `Line`; the caller promises that it is filled.
    unsafe { &*(ptr::from_ref(lines) as *const [Line]) }
}

/// As [`filled`].
///
/// # Safety
/// Every line was filled.
pub(crate) unsafe fn filled_mut(lines: &mut Lines) -> &mut [Line] {
    // SAFETY: as for `filled`.
    unsafe { &mut *(ptr::from_mut(lines) as *mut [Line]) }
}

/// Lines of one's own, not initialised.
///
/// They lie in memory that is aligned to less and a line longer: allocators are slow to give
/// aligned memory, and small calls take several buffers. Those of small calls stay with the thread,
/// and serve the next call that wants as many lines.
pub(crate) struct Buffer {
    words: Words,
    /// The first word at a multiple of a line.
    first: usize,
    len: usize,
}

/// What every allocation is aligned to.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
struct Word([u8; 16]);

const WORDS: usize = size_of::<Line>() / size_of::<Word>();

/// The longest buffer that a thread keeps, in words: 32 KiB.
const MOST_KEPT: usize = (32 << 10) / size_of::<Word>();

/// How many buffers a thread keeps.
const KEPT_BUFFERS: usize = 6;

type Words = Vec<MaybeUninit<Word>>;

thread_local! {
    /// Buffers that nobody uses, the latest first.
    static KEPT: RefCell<[Words; KEPT_BUFFERS]> =
        const { RefCell::new([const { Vec::new() }; KEPT_BUFFERS]) };
}

/// A kept buffer of just so many words.
fn kept(len: usize) -> Option<Words> {
    if len > MOST_KEPT {
        return None;
    }
    let find = |kept: &RefCell<[Words; KEPT_BUFFERS]>| {
        kept.borrow_mut().iter_mut().find(|words| words.len() == len).map(std::mem::take)
    };
    KEPT.try_with(find).ok().flatten()
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let words = std::mem::take(&mut self.words);
        if words.is_empty() || words.len() > MOST_KEPT {
            return;
        }
        // While the thread ends nothing is kept.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            let place = kept.iter().position(Vec::is_empty).unwrap_or(kept.len() - 1);
            kept[place] = words;
            kept[..=place].rotate_right(1);
        });
    }
}

impl Deref for Buffer {
    type Target = Lines;

    fn deref(&self) -> &Lines {
        if self.len == 0 {
            return &[];
        }
        let start = self.words[self.first..].as_ptr().cast();
        // SAFETY: the words from `first` on are aligned to a line and at least `len` lines
        // (`lines`); a line is some words, and `MaybeUninit` needs no initialisation.
        unsafe { slice::from_raw_parts(start, self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Lines {
        if self.len == 0 {
            return &mut [];
        }
        let start = self.words[self.first..].as_mut_ptr().cast();
        // SAFETY: as for `deref`, and borrowed for writing.
        unsafe { slice::from_raw_parts_mut(start, self.len) }
    }
}

/// The numbers that lines hold.
#[cfg(feature = "lazy")]
pub(crate) fn floats<T: Real>(lines: &[Line]) -> &[T] {
    let len = size_of_val(lines) / size_of::<T>();
    // SAFETY: a line is aligned for every `Real`, whose size divides its own and of which any
    // bytes are one.
    unsafe { slice::from_raw_parts(lines.as_ptr().cast(), len) }
}

/// As [`floats`].
#[cfg(feature = "lazy")]
pub(crate) fn floats_mut<T: Real>(lines: &mut [Line]) -> &mut [T] {
    let len = size_of_val(lines) / size_of::<T>();
    // SAFETY: as for `floats`.
    unsafe { slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), len) }
}

/// At least `bytes` bytes, not initialised. `what` is for the message.
pub(crate) fn lines(name: &str, bytes: usize, what: &str) -> Result<Buffer, Error> {
    let failed = || words::out_of_memory(name, bytes, what);
    let (len, mut words) = (lines_of(bytes), Vec::new());
    if len == 0 {
        return Ok(Buffer { words, first: 0, len });
    }
    let count = len.checked_mul(WORDS).and_then(|count| count.checked_add(WORDS - 1));
    let count = count.ok_or_else(failed)?;
    match kept(count) {
        Some(kept) => words = kept,
        None => {
            words.try_reserve_exact(count).map_err(|_| failed())?;
            // SAFETY: the capacity is at least that, and `MaybeUninit` needs no initialisation.
            unsafe { words.set_len(count) };
        }
    }
    let past = words.as_ptr() as usize % size_of::<Line>() / size_of::<Word>();
    Ok(Buffer { words, first: (WORDS - past) % WORDS, len })
}

/// As [`lines`], for a size that is a product; overflow is out of memory.
pub(crate) fn lines_for(
    name: &str,
    count: usize,
    bytes: usize,
    what: &str,
) -> Result<Buffer, Error> {
    let bytes =
        count.checked_mul(bytes).ok_or_else(|| words::out_of_memory(name, usize::MAX, what))?;
    lines(name, bytes, what)
}

/// `len` zeros. The system hands out zero pages when they are first touched, so that threads
/// that write a large output also place it.
pub(crate) fn zeros<T: Component>(len: usize) -> Option<Vec<T>> {
    let layout = Layout::array::<T>(len).ok()?;
    if layout.size() == 0 {
        return Some(Vec::new());
    }
    // SAFETY: the layout's size is not zero.
    let data = unsafe { alloc::alloc_zeroed(layout) }.cast::<T>();
    // SAFETY: the global allocator gave `data` for this very layout; zero bytes are a valid
    // float of any size, `i64` and pair of floats, and `Component` is sealed over these.
    (!data.is_null()).then(|| unsafe { Vec::from_raw_parts(data, len, len) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn buffers_are_aligned_and_long_enough() {
        for bytes in [0, 1, 63, 64, 65, 1000] {
            let buffer = lines("f", bytes, "test").unwrap();
            assert!(buffer.len() * 64 >= bytes);
            assert_eq!(buffer.as_ptr() as usize % 64, 0);
        }
    }

    #[test]
    fn small_buffers_stay_with_the_thread() {
        let place = |bytes| lines("f", bytes, "test").unwrap().as_ptr() as usize;
        let first = place(1000);
        assert_eq!(place(1000), first);
        let (a, b) = (lines("f", 1000, "test").unwrap(), lines("f", 1000, "test").unwrap());
        assert_ne!(a.as_ptr(), b.as_ptr(), "one that is in use is nobody else's");
        drop((a, b));
        // Only of the very same length: what lies behind is not the buffer's.
        assert_eq!(lines("f", 990, "test").unwrap().len(), lines_of(1000));
        assert_eq!(lines("f", 900, "test").unwrap().len(), lines_of(900));
        let kept =
            || KEPT.with_borrow(|kept| kept.iter().filter(|words| !words.is_empty()).count());
        lines("f", 40 << 10, "test").unwrap();
        assert_eq!(kept(), 3, "long ones go");
        (1..100).for_each(|n| drop(lines("f", 64 * n, "test").unwrap()));
        assert_eq!(kept(), KEPT_BUFFERS);
    }

    #[test]
    fn zeros_are_zero() {
        for len in [0, 1, 1000] {
            assert_eq!(zeros::<i64>(len), Some(vec![0; len]));
            assert_eq!(zeros::<f32>(len), Some(vec![0.0; len]));
        }
        assert_eq!(zeros::<f64>(usize::MAX), None);
        assert_eq!(zeros::<f64>(isize::MAX as usize / 8), None);
    }

    #[test]
    fn too_large_is_an_error() {
        let codes = [
            lines("f", usize::MAX, "test").map(drop),
            lines("f", isize::MAX as usize - 63, "test").map(drop),
            lines_for("f", 1 << 40, 1 << 40, "test").map(drop),
        ];
        for code in codes {
            assert_eq!(code.unwrap_err().code(), Code::OutOfMemory);
        }
    }
}
