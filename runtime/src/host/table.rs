//! The arrays of one run. Goes in: checked `tf_array`s and the values that they are. Comes out:
//! their numbers, in what a program computes with, and the same way back. It never reads past a
//! row or a column that an array has.

use std::ops::Range;

use half::{bf16, f16};

use crate::batch::Batch;
use crate::element::{ComponentType, Dtype};
use crate::kernel::Kernel;
use crate::sys;

/// The table of values of one run.
///
/// Its arrays are valid for the whole run: inputs for reading, temporaries and outputs for
/// writing, and no other part of the program touches the latter meanwhile.
pub(crate) struct Table {
    arrays: Vec<sys::tf_array>,
    /// Of every value, where programs run.
    cells: Vec<Cells>,
    batch: Option<Batch>,
}

/// What the entries of an array are, and how many a row has.
#[derive(Clone, Copy)]
struct Cells {
    of: Cell,
    scalars: usize,
}

/// A number in an array.
#[derive(Clone, Copy)]
enum Cell {
    F16,
    BF16,
    F32,
    F64,
    I64,
}

/// What programs compute with.
pub(crate) trait Real: Copy + Send + Sync + 'static {
    fn from_f32(x: f32) -> Self;
    fn from_f64(x: f64) -> Self;
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;
}

impl Real for f32 {
    fn from_f32(x: f32) -> f32 {
        x
    }
    fn from_f64(x: f64) -> f32 {
        x as f32
    }
    fn to_f32(self) -> f32 {
        self
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn from_f32(x: f32) -> f64 {
        f64::from(x)
    }
    fn from_f64(x: f64) -> f64 {
        x
    }
    fn to_f32(self) -> f32 {
        self as f32
    }
    fn to_f64(self) -> f64 {
        self
    }
}

// SAFETY: threads share the table to read inputs and finished temporaries, and to write rows of
// results, where no two tasks have a row in common (`Code::finish`).
unsafe impl Sync for Table {}
// SAFETY: as above; nothing in it belongs to the thread that made it.
unsafe impl Send for Table {}

impl Table {
    /// # Safety
    /// Every array must be valid as the type says, until the table is dropped, with the shape
    /// and the type that the kernel's value has; with batch dimensions, for every item.
    pub unsafe fn new(
        kernel: &Kernel,
        arrays: Vec<sys::tf_array>,
        batch: Option<Batch>,
        has_programs: bool,
    ) -> Table {
        let values = has_programs.then(|| kernel.values());
        let cells = values.into_iter().flatten().map(|value| {
            let of = match value.component {
                ComponentType::Index => Cell::I64,
                ComponentType::Real(dtype) | ComponentType::Complex(dtype) => match dtype {
                    Dtype::F16 => Cell::F16,
                    Dtype::BF16 => Cell::BF16,
                    Dtype::F32 => Cell::F32,
                    Dtype::F64 => Cell::F64,
                },
            };
            Cells { of, scalars: value.scalars() }
        });
        Table { cells: cells.collect(), arrays, batch }
    }

    /// The number of items; without batch dimensions the table is that of the only one.
    pub fn items(&self) -> Option<usize> {
        self.batch.as_ref().map(Batch::items)
    }

    /// A table for one item after the other.
    pub fn cursor(&self) -> Table {
        Table { arrays: self.arrays.clone(), cells: self.cells.clone(), batch: None }
    }

    /// Makes a cursor of `all` the table of an item.
    pub fn move_to(&mut self, all: &Table, item: usize) {
        let Some(batch) = &all.batch else { return };
        let arrays = self.arrays.iter_mut().zip(&all.arrays).enumerate();
        arrays.for_each(|(value, (to, from))| {
            to.data = from.data.wrapping_byte_offset(batch.offset(value, item));
        });
    }

    pub(super) fn as_ptr(&self) -> *const sys::tf_array {
        self.arrays.as_ptr()
    }

    /// Reads one column of reals, from row `first` on; what is past the last row repeats it.
    pub fn reals<T: Real>(&self, value: usize, col: usize, first: usize, out: &mut [T]) {
        match self.cells[value].of {
            Cell::F16 => self.read(value, col, first, out, |x: f16| T::from_f32(x.to_f32())),
            Cell::BF16 => self.read(value, col, first, out, |x: bf16| T::from_f32(x.to_f32())),
            Cell::F32 => self.read(value, col, first, out, T::from_f32),
            Cell::F64 => self.read(value, col, first, out, T::from_f64),
            Cell::I64 => self.read(value, col, first, out, |x: i64| T::from_f64(x as f64)),
        }
    }

    /// As [`Table::reals`], of integers; for arrays of reals it reads zeros.
    pub fn integers(&self, value: usize, col: usize, first: usize, out: &mut [i64]) {
        match self.cells[value].of {
            Cell::I64 => self.read(value, col, first, out, |x: i64| x),
            Cell::F16 | Cell::BF16 | Cell::F32 | Cell::F64 => out.fill(0),
        }
    }

    fn read<S: Copy, T: Copy>(
        &self,
        value: usize,
        col: usize,
        first: usize,
        out: &mut [T],
        convert: impl Fn(S) -> T,
    ) {
        let (array, cells) = (&self.arrays[value], self.cells[value]);
        assert!(col < cells.scalars && first < array.rows as usize, "the entry exists");
        let there = out.len().min(array.rows as usize - first);
        let (out, past) = out.split_at_mut(there);
        let (by_row, by_col) = (array.row_stride as isize, array.col_stride as isize);
        // SAFETY: the row and the column exist, and the array is valid (`new`).
        let start = unsafe {
            array.data.cast::<S>().offset(first as isize * by_row + col as isize * by_col)
        };
        for (n, out) in out.iter_mut().enumerate() {
            // SAFETY: as above, and the array holds `S` (`cells`).
            *out = convert(unsafe { *start.offset(n as isize * by_row) });
        }
        past.fill(out[there - 1]);
    }
}

/// The rows that one task writes.
pub(crate) struct Results<'a> {
    table: &'a Table,
    rows: Range<usize>,
}

impl<'a> Results<'a> {
    /// # Safety
    /// As long as it lives, nothing else reads or writes these rows of the arrays that it is used
    /// for, which are not inputs.
    pub(super) unsafe fn new(table: &'a Table, rows: Range<usize>) -> Results<'a> {
        Results { table, rows }
    }

    /// The rows.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Writes one column of reals: as many rows as there are.
    pub fn reals<T: Real>(&mut self, value: usize, col: usize, from: &[T]) {
        match self.table.cells[value].of {
            Cell::F16 => self.write(value, col, from, |x| f16::from_f32(x.to_f32())),
            Cell::BF16 => self.write(value, col, from, |x| bf16::from_f32(x.to_f32())),
            Cell::F32 => self.write(value, col, from, T::to_f32),
            Cell::F64 => self.write(value, col, from, T::to_f64),
            // Only integers are written to arrays of integers.
            Cell::I64 => {}
        }
    }

    /// As [`Results::reals`], of integers.
    pub fn integers(&mut self, value: usize, col: usize, from: &[i64]) {
        if let Cell::I64 = self.table.cells[value].of {
            self.write(value, col, from, |x| x);
        }
    }

    fn write<T: Copy, D>(
        &mut self,
        value: usize,
        col: usize,
        from: &[T],
        convert: impl Fn(T) -> D,
    ) {
        let (array, cells) = (&self.table.arrays[value], self.table.cells[value]);
        let rows = self.rows.clone();
        assert!(col < cells.scalars && rows.end <= array.rows as usize, "the entry exists");
        for (row, &x) in rows.zip(from) {
            let offset =
                row as isize * array.row_stride as isize + col as isize * array.col_stride as isize;
            // SAFETY: the row and the column exist, the array holds `D` (`cells`), it is valid for
            // writing and the rows are this task's own (`new`).
            unsafe { array.data.cast::<D>().offset(offset).write(convert(x)) }
        }
    }
}
