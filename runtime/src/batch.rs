//! Batch dimensions. Goes in: the dimensions in front of each input's rows and columns. Comes out:
//! the shape that they broadcast to, and how far each array moves from item to item. It never
//! reads addresses.

use crate::error::Error;
use crate::kernel::{Axis, Kernel, Value};
use crate::operand::RawArray;
use crate::{sys, words};

/// A dimension in front of rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dim {
    pub len: usize,
    /// From item to item, in elements.
    pub stride: isize,
}

/// The items of a call: its kernel runs once for each.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    shape: Vec<usize>,
    items: usize,
    /// For each value of the table, the step of each dimension in bytes.
    steps: Vec<isize>,
}

impl Batch {
    /// Broadcasts the inputs' dimensions as NumPy does: from the right, where what is missing or 1
    /// is repeated. None if no input has any.
    pub fn of<'r>(
        kernel: &Kernel,
        inputs: impl Iterator<Item = &'r RawArray> + Clone,
    ) -> Result<Option<Batch>, Error> {
        let rank = inputs.clone().map(|raw| raw.batch.len()).max().unwrap_or(0);
        if rank == 0 {
            return Ok(None);
        }
        let mut shape: Vec<usize> = vec![1; rank];
        // Which input says a length.
        let mut named = vec![None; rank];
        for (index, raw) in inputs.clone().enumerate() {
            let first = rank - raw.batch.len();
            for (at, dim) in raw.batch.iter().enumerate() {
                let (len, name) = (&mut shape[first + at], &mut named[first + at]);
                if *len == 1 {
                    (*len, *name) = (dim.len, Some((index, raw)));
                } else if let Some(first) = *name
                    && dim.len != 1
                    && dim.len != *len
                {
                    return Err(words::batch_mismatch(kernel, [first, (index, raw)]));
                }
            }
        }
        let product = shape.iter().try_fold(1_usize, |items, &len| items.checked_mul(len));
        let items = match shape.contains(&0) {
            true => 0,
            false => product.ok_or_else(|| words::batch_overflow(kernel, &shape))?,
        };
        let mut steps = Vec::with_capacity(kernel.values().len() * rank);
        for (value, raw) in kernel.inputs().zip(inputs) {
            steps.resize(steps.len() + rank - raw.batch.len(), 0);
            for dim in &raw.batch {
                // An element past the ends of memory is refused when the array is bound.
                let step = dim.stride.wrapping_mul(value.component.size() as isize);
                steps.push(if dim.len == 1 { 0 } else { step });
            }
        }
        Ok(Some(Batch { shape, items, steps }))
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub fn items(&self) -> usize {
        self.items
    }

    /// Adds the next value of the table: one dense array an item, of that many bytes.
    pub fn push_dense(&mut self, bytes: usize) {
        let first = self.steps.len();
        self.steps.resize(first + self.shape.len(), 0);
        let mut step = bytes;
        for (to, &len) in self.steps[first..].iter_mut().zip(&self.shape).rev() {
            *to = step as isize;
            // The bytes of all items fit in memory, or there are none.
            step = step.wrapping_mul(len);
        }
    }

    /// How many bytes a value of an item lies behind that of the first one.
    pub fn offset(&self, value: usize, item: usize) -> isize {
        offset(self.dims(value), item)
    }

    /// How many neighbouring items lie one step apart in every value, and for each value that step
    /// in bytes: those of the last dimensions, and of as many before them as go on in the same
    /// steps.
    #[cfg(feature = "cuda")]
    pub fn run(&self) -> (usize, Vec<isize>) {
        let rank = self.shape.len();
        let step = |value: usize, dim: usize| self.steps[value * rank + dim];
        let values = 0..self.steps.len() / rank.max(1);
        let (mut items, mut first) = (1_usize, None);
        for dim in (0..rank).rev().filter(|&dim| self.shape[dim] != 1) {
            let goes_on = |first: usize| {
                let next = |value| step(value, first).checked_mul(items as isize);
                values.clone().all(|value| next(value) == Some(step(value, dim)))
            };
            if !first.is_none_or(goes_on) {
                break;
            }
            first = first.or(Some(dim));
            items *= self.shape[dim];
        }
        (items, values.map(|value| first.map_or(0, |dim| step(value, dim))).collect())
    }

    /// The lengths of the dimensions, with a value's steps.
    fn dims(&self, value: usize) -> impl DoubleEndedIterator<Item = (usize, isize)> + Clone {
        let (rank, steps) = (self.shape.len(), &self.steps);
        self.shape.iter().zip(&steps[value * rank..][..rank]).map(|(&len, &step)| (len, step))
    }

    /// As [`offset`](Batch::offset), of the items that a value has of its own, in order: along a
    /// dimension that repeats it there is one.
    #[cfg(feature = "cuda")]
    pub fn own_offsets(&self, value: usize) -> impl Iterator<Item = isize> {
        let dims: Vec<_> = self.dims(value).filter(|&(_, step)| step != 0).collect();
        // No more than there are items.
        let count = if self.items == 0 { 0 } else { dims.iter().map(|dim| dim.0).product() };
        (0..count).map(move |item| offset(dims.iter().copied(), item))
    }

    /// Lets the items that a value has of its own follow each other, of that many bytes each. Says
    /// how many bytes all of them are, if memory can hold them.
    #[cfg(feature = "cuda")]
    pub fn pack(&mut self, value: usize, bytes: usize) -> Option<usize> {
        let (rank, mut step) = (self.shape.len(), bytes);
        let steps = &mut self.steps[value * rank..][..rank];
        for (to, &len) in steps.iter_mut().zip(&self.shape).rev().filter(|(to, _)| **to != 0) {
            *to = step as isize;
            step = step.checked_mul(len)?;
        }
        isize::try_from(step).is_ok().then_some(step)
    }

    /// Makes rows of the last dimension, where each item's rows of `axis` follow those of the one
    /// before in every array that has them, and nothing else differs from item to item. Says how
    /// many items became one.
    ///
    /// Then one packed block of columns serves all of them, and items of few rows fill blocks.
    pub fn merge_rows<'k>(
        &mut self,
        axis: Axis,
        values: impl Iterator<Item = Value<'k>>,
        arrays: &mut [sys::tf_array],
    ) -> Option<usize> {
        let (rank, &len) = (self.shape.len(), self.shape.last()?);
        let row_step = |value: &Value, array: &sys::tf_array| {
            (array.row_stride as isize).wrapping_mul(value.component.scalar_size() as isize)
        };
        let values: Vec<Value> = values.collect();
        let fits = len == 1
            || values.iter().zip(&*arrays).enumerate().all(|(index, (value, array))| {
                let step = self.steps[(index + 1) * rank - 1];
                match value.axis == Some(axis) {
                    true if array.rows == 1 => step % value.component.scalar_size() as isize == 0,
                    true => Some(step) == row_step(value, array).checked_mul(array.rows as isize),
                    false => step == 0,
                }
            });
        if len == 0 || !fits {
            return None;
        }
        for (index, (value, array)) in values.iter().zip(&mut *arrays).enumerate() {
            if value.axis == Some(axis) {
                if array.rows == 1 {
                    let step = self.steps[(index + 1) * rank - 1];
                    array.row_stride = (step / value.component.scalar_size() as isize) as i64;
                }
                array.rows *= len as i64;
            }
        }
        self.shape.pop();
        self.items /= len;
        let mut at = 0..self.steps.len();
        self.steps.retain(|_| at.next().is_some_and(|at| (at + 1) % rank != 0));
        Some(len)
    }
}

/// How far an item lies behind the first one, by lengths and steps.
fn offset(dims: impl DoubleEndedIterator<Item = (usize, isize)>, item: usize) -> isize {
    let (mut rest, mut offset) = (item, 0);
    for (len, step) in dims.rev() {
        offset += (rest % len) as isize * step;
        rest /= len;
    }
    offset
}

#[cfg(all(test, feature = "cuda"))]
mod tests {
    use super::*;

    /// The run of a batch of two values, whose items it checks one by one.
    fn run(shape: &[usize], steps: [&[isize]; 2]) -> (usize, Vec<isize>) {
        let items = shape.iter().product();
        let batch = Batch { shape: shape.to_vec(), items, steps: steps.concat() };
        let (run, steps) = batch.run();
        for item in 0..items {
            for (value, step) in steps.iter().enumerate() {
                let first = batch.offset(value, item / run * run);
                assert_eq!(batch.offset(value, item), first + (item % run) as isize * step);
            }
        }
        (run, steps)
    }

    #[test]
    fn items_of_a_run_lie_one_step_apart() {
        assert_eq!(run(&[4], [&[16], &[0]]), (4, vec![16, 0]));
        assert_eq!(run(&[2, 3], [&[48, 16], &[-30, -10]]), (6, vec![16, -10]));
        assert_eq!(run(&[2, 3], [&[48, 16], &[8, 0]]), (3, vec![16, 0]));
        assert_eq!(run(&[2, 3], [&[48, 16], &[0, 8]]), (3, vec![16, 8]));
        assert_eq!(run(&[2, 3], [&[64, 16], &[0, 0]]), (3, vec![16, 0]));
        assert_eq!(run(&[2, 2, 3], [&[96, 48, 16], &[7, 0, 0]]), (6, vec![16, 0]));
        assert_eq!(run(&[5, 1, 3, 1], [&[48, 9, 16, 9], &[0, 0, 0, 0]]), (15, vec![16, 0]));
        assert_eq!(run(&[1, 1], [&[9, 9], &[9, 9]]), (1, vec![0, 0]));
        assert_eq!(run(&[], [&[], &[]]).0, 1);
    }
}
