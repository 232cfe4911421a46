//! The table of misuse: every bad call is a test by its own name, which sees the right code and
//! finds the memory of the caller untouched. What the messages say is tested in `errors.rs`; where
//! a code needs a stage of its own, `codes` names the test.

#[path = "../fake/mod.rs"]
mod fake;

mod calls;
mod codes;
mod descriptors;
mod others;

use ndarray::Array2;
use tilefold::{Code, Error, Operand, OutputMut};

/// One test a row: a name, the code, and the bad call. `TABLE` lists them.
macro_rules! misuse {
    ($check:path; $($(#[$attribute:meta])* $name:ident $code:ident $bad:expr,)*) => {
        $($(#[$attribute])* #[test] fn $name() { $check(tilefold::Code::$code, $bad) })*

        /// Every row above.
        pub const TABLE: &[(&str, tilefold::Code)] =
            &[$((stringify!($name), tilefold::Code::$code),)*];
    };
}
pub(crate) use misuse;

/// Arrays that fit `dot`, and memory around the output that nobody may touch.
pub struct Bench {
    /// 3 x 2.
    pub x: Array2<f32>,
    /// 4 x 2.
    pub y: Array2<f32>,
    /// A parameter.
    pub gamma: f32,
    memory: Vec<u32>,
}

const CANARY: u32 = 0x7fc0_dead;
/// Where the output of 3 x 1 lies in the memory.
const PLACE: usize = 16;

impl Bench {
    fn new() -> Bench {
        let x = Array2::from_shape_fn((3, 2), |(i, k)| (i * 2 + k) as f32);
        let y = Array2::from_shape_fn((4, 2), |(j, k)| 0.5 - (j * 2 + k) as f32);
        Bench { x, y, gamma: 0.5, memory: vec![CANARY; 64] }
    }

    /// The output, as a matrix of that shape from some word on.
    pub fn output_at<'a>(&self, word: usize, shape: (usize, usize)) -> OutputMut<'a> {
        let start = self.memory.as_ptr().cast_mut().cast::<f32>();
        // SAFETY: the words lie in the memory, which lives as long as the test; a call that writes
        // them fails the test.
        unsafe { OutputMut::from_raw_parts(start.wrapping_add(PLACE + word), shape) }
    }

    /// The right output.
    pub fn output<'a>(&self) -> OutputMut<'a> {
        self.output_at(0, (3, 1))
    }

    /// A matrix that lies in the memory of the output, from some word on.
    pub fn in_output<'a>(&self, word: isize, shape: (usize, usize)) -> Operand<'a> {
        let output = self.memory.as_ptr().cast::<f32>().wrapping_add(PLACE);
        let start = output.wrapping_offset(word);
        // SAFETY: as above.
        unsafe { Operand::from_raw_parts(start, shape, (shape.1 as isize, 1)) }
    }

    fn numbers(&self) -> Vec<u32> {
        let arrays = self.x.iter().chain(&self.y).chain([&self.gamma]);
        arrays.map(|number| number.to_bits()).chain(self.memory.iter().copied()).collect()
    }
}

/// A bad call, on a bench that is right.
pub type Bad = fn(&Bench) -> Result<(), Error>;

/// The call is refused with the code, says what to do, and touches nothing.
#[track_caller]
pub fn refused(code: Code, bad: Bad) {
    let bench = Bench::new();
    let before = bench.numbers();
    match bad(&bench) {
        Ok(()) => panic!("it is taken"),
        Err(error) => {
            assert_eq!(error.code(), code, "{error}");
            assert!(!error.message().is_empty());
        }
    }
    assert_eq!(before, bench.numbers(), "memory of the caller was touched");
}
