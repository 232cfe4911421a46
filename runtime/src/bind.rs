//! From the caller's arrays to the table that stages work on. Goes in: arrays in the order of the
//! formula, and the row counts that follow from none of them. Comes out: checked `tf_array`s and
//! M and N. No address crosses to a kernel unless it passed here. It never reads the numbers.

use std::ffi::c_void;
use std::ptr;

use crate::batch::{Batch, Dim};
use crate::element::ComponentType;
use crate::error::Error;
use crate::kernel::{Axis, Kernel, Stage, Value};
use crate::operand::{Rank, RawArray};
use crate::ranges::Ranges;
use crate::{sys, words};

/// Emitted code holds row numbers below this exactly.
const MOST_ROWS: u64 = 1 << 45;

/// How many rows each index has. An index that the formula never uses has 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub i: usize,
    pub j: usize,
}

impl Sizes {
    /// Rows of a value or of a stage.
    pub fn of(self, axis: Option<Axis>) -> usize {
        match axis {
            Some(Axis::I) => self.i,
            Some(Axis::J) => self.j,
            None => 1,
        }
    }
}

/// The table of values, ready for an executor. The data of temporaries is null: each executor
/// places them in its own memory.
#[derive(Clone)]
pub(crate) struct Bound {
    pub values: Vec<sys::tf_array>,
    pub sizes: Sizes,
    /// The items, of which the table has the first one; there is one if there are no dimensions.
    pub batch: Option<Batch>,
    /// Which pairs reductions fold; all of them if there are none.
    pub ranges: Option<Ranges>,
    /// The memory that each input and output covers.
    spans: Vec<Span>,
}

impl Bound {
    /// Checks the inputs, finds M and N, and checks what the stages ask of them.
    pub fn inputs<'r, I: IntoIterator<Item = &'r RawArray, IntoIter: Clone>>(
        kernel: &Kernel,
        inputs: I,
        rows: Option<(usize, usize)>,
    ) -> Result<Bound, Error> {
        let (inputs, expected) = (inputs.into_iter(), kernel.n_inputs());
        let given = inputs.clone().count();
        if given != expected {
            return Err(words::count(kernel, "arguments", expected, given));
        }
        let mut values = Vec::with_capacity(kernel.values().len());
        let mut spans = Vec::with_capacity(expected + kernel.n_outputs());
        for (value, raw) in kernel.inputs().zip(inputs.clone()) {
            let array = place(kernel, &value, raw)?;
            spans.push(span(kernel, &value, &array, &raw.batch)?);
            values.push(array);
        }
        let mut batch = Batch::of(kernel, inputs)?;
        let sizes = sizes(kernel, &values, rows)?;
        limits(kernel, sizes)?;
        for value in kernel.values().skip(expected) {
            let rows = sizes.of(value.axis);
            let bytes = dense_bytes(rows, &value);
            let bytes = bytes.ok_or_else(|| words::overflow_value(kernel, &value, rows))?;
            if let Some(batch) = &mut batch {
                let all = bytes.checked_mul(batch.items());
                if all.is_none_or(|all| isize::try_from(all).is_err()) {
                    return Err(words::batch_overflow(kernel, batch.shape()));
                }
                batch.push_dense(bytes);
            }
            values.push(sys::tf_array {
                data: ptr::null_mut(),
                rows: rows as i64,
                row_stride: value.scalars() as i64,
                col_stride: 1,
                item_bytes: 0,
            });
        }
        for axis in [Axis::I, Axis::J] {
            let rows = sizes.of(Some(axis));
            if rows as u64 > MOST_ROWS {
                return Err(words::too_many_rows(kernel, axis, rows, MOST_ROWS));
            }
        }
        Ok(Bound { values, sizes, batch, ranges: None, spans })
    }

    /// Restricts reductions to ranges, checked against M and N and against the kernel.
    pub fn restrict(&mut self, kernel: &Kernel, ranges: &Ranges) -> Result<(), Error> {
        for stage in kernel.stages() {
            // What one sum over an axis leaves for all rows would be the same for each of them.
            if let (None, Some(axis)) = (stage.row_axis(), stage.col_axis())
                && stage.leaves_temporaries()
            {
                return Err(words::ranges_kernel(kernel, axis));
            }
        }
        self.restrict_pairs(kernel, ranges)
    }

    /// As [`Bound::restrict`], of a kernel whose reductions over one axis for no row were so when
    /// the formula was written (`passes::keep_pairs`).
    pub fn restrict_pairs(&mut self, kernel: &Kernel, ranges: &Ranges) -> Result<(), Error> {
        for axis in [Axis::I, Axis::J] {
            let (end, rows) = (ranges.end(axis), self.sizes.of(Some(axis)));
            if end > rows {
                return Err(words::ranges_outside(kernel, axis, end, rows));
            }
        }
        self.ranges = Some(ranges.clone());
        Ok(())
    }

    /// How many items there are.
    pub fn items(&self) -> usize {
        self.batch.as_ref().map_or(1, Batch::items)
    }

    /// How many pairs a stage folds, or rows it maps, of all items.
    pub fn pairs(&self, stage: Stage) -> u64 {
        let (rows, cols) = (self.sizes.of(stage.row_axis()), self.sizes.of(stage.col_axis()));
        let pairs = match (&self.ranges, stage.row_axis(), stage.col_axis()) {
            (Some(ranges), Some(axis), Some(_)) => ranges.half(axis).pairs(),
            _ => (rows as u64).saturating_mul(cols as u64),
        };
        pairs.saturating_mul(self.items() as u64)
    }

    /// Turns batch dimensions into rows where they can be ([`Batch::merge_rows`]).
    pub fn batch_to_rows(&mut self, kernel: &Kernel) {
        let Bound { batch: Some(batch), ranges: None, values, sizes, .. } = self else { return };
        // The canonical text names what counts rows, which items would count on.
        if kernel.text().contains("pos(") {
            return;
        }
        for (axis, rows) in [(Axis::I, &mut sizes.i), (Axis::J, &mut sizes.j)] {
            while let Some(items) = batch.merge_rows(axis, kernel.values(), values) {
                *rows *= items;
            }
        }
    }

    /// The shape of the items; empty if there is one item without batch dimensions.
    pub fn batch_shape(&self) -> &[usize] {
        self.batch.as_ref().map_or(&[], Batch::shape)
    }

    /// Checks the outputs and puts them into the table.
    pub fn outputs<'r, I: IntoIterator<Item = &'r RawArray, IntoIter: Clone>>(
        &mut self,
        kernel: &Kernel,
        outputs: I,
    ) -> Result<(), Error> {
        let (outputs, expected) = (outputs.into_iter(), kernel.n_outputs());
        let given = outputs.clone().count();
        if given != expected {
            return Err(words::count(kernel, "outputs", expected, given));
        }
        let first = kernel.n_inputs() + kernel.n_temps();
        for (index, (value, raw)) in kernel.outputs().zip(outputs).enumerate() {
            let rows = self.sizes.of(value.axis);
            let array = place_output(kernel, &value, raw, rows, self.batch_shape())?;
            let span = span(kernel, &value, &array, &raw.batch)?;
            let names = kernel.inputs().chain(kernel.outputs()).map(|value| value.name);
            for (other, name) in self.spans.iter().zip(names) {
                if other.overlaps(&span) {
                    return Err(words::overlap(kernel, value.name, name));
                }
            }
            self.spans.push(span);
            self.values[first + index].data = array.data;
        }
        Ok(())
    }

    /// The index in the table and the bytes of each temporary, for all items.
    pub fn temps(&self, kernel: &Kernel) -> impl Iterator<Item = (usize, usize)> {
        let first = kernel.n_inputs();
        let temps = kernel.values().enumerate().skip(first).take(kernel.n_temps());
        let items = self.items();
        temps.map(move |(index, value)| {
            let rows = self.sizes.of(value.axis);
            // `inputs` refused sizes that overflow.
            (index, dense_bytes(rows, &value).unwrap_or_default() * items)
        })
    }

    /// Says where a temporary lies.
    pub fn place_temp(&mut self, index: usize, data: *mut c_void) {
        self.values[index].data = data;
    }
}

/// The bytes of a dense array, if memory can hold it.
pub(crate) fn dense_bytes(rows: usize, value: &Value) -> Option<usize> {
    let bytes = rows.checked_mul(value.dim)?.checked_mul(value.component.size())?;
    isize::try_from(bytes).is_ok().then_some(bytes)
}

/// The array as the formula reads it: a vector becomes a row or a column.
fn place(kernel: &Kernel, value: &Value, raw: &RawArray) -> Result<sys::tf_array, Error> {
    if raw.component != value.component {
        return Err(words::dtype(kernel, value, raw.component));
    }
    let (rows, cols, row_stride, col_stride) = match (raw.rank, value.axis) {
        (Rank::Matrix, _) => (raw.rows, raw.cols, raw.row_stride, raw.col_stride),
        (Rank::Vector, None) => (1, raw.rows, 0, raw.row_stride),
        (Rank::Scalar, None) => (1, 1, 0, 1),
        (Rank::Vector, Some(_)) if value.dim == 1 => (raw.rows, 1, raw.row_stride, 1),
        (Rank::Vector | Rank::Scalar, Some(axis)) => {
            return Err(words::rank(kernel, value, axis, raw.rank));
        }
    };
    if cols != value.dim {
        return Err(words::columns(kernel, value, cols));
    }
    if value.axis.is_none() && rows != 1 {
        return Err(words::parameter_rows(kernel, value, rows));
    }
    let rows = i64::try_from(rows).map_err(|_| words::overflow_value(kernel, value, rows))?;
    let scalars = value.component.scalars() as i64;
    // Views leave the stride of a single column open.
    let col_stride = if cols == 1 { 1 } else { col_stride as i64 };
    if scalars > 1 && col_stride != 1 {
        return Err(words::complex_columns(kernel, value, col_stride));
    }
    let row_stride = (row_stride as i64)
        .checked_mul(scalars)
        .ok_or_else(|| words::strides(kernel, value, row_stride as i64, col_stride))?;
    Ok(sys::tf_array { data: raw.data, rows, row_stride, col_stride, item_bytes: 0 })
}

/// As [`place`], for an array that must be dense and whose shape is known.
fn place_output(
    kernel: &Kernel,
    value: &Value,
    raw: &RawArray,
    rows: usize,
    batch: &[usize],
) -> Result<sys::tf_array, Error> {
    let wrong = || words::output_shape(kernel, value, raw, batch, rows);
    let batch_fits = raw.batch.iter().map(|dim| dim.len).eq(batch.iter().copied());
    if raw.rank == Rank::Matrix && (raw.rows, raw.cols) != (rows, value.dim) || !batch_fits {
        return Err(wrong());
    }
    let array = place(kernel, value, raw)?;
    if array.rows != rows as i64 {
        return Err(wrong());
    }
    let dense_row = value.dim == 1 || array.col_stride == 1;
    let dense_rows = rows <= 1 || array.row_stride == value.scalars() as i64;
    let mut step = rows.wrapping_mul(value.dim) as isize;
    let dense_batch = raw.batch.iter().rev().all(|dim| {
        let dense = dim.len <= 1 || dim.stride == step;
        step = step.wrapping_mul(dim.len as isize);
        dense
    });
    let some = rows > 0 && !batch.contains(&0);
    if some && !(dense_row && dense_rows && dense_batch) {
        return Err(words::output_layout(kernel, value, raw, &array));
    }
    Ok(array)
}

/// M and N: from the inputs, else from the caller. They must agree.
fn sizes(
    kernel: &Kernel,
    inputs: &[sys::tf_array],
    given: Option<(usize, usize)>,
) -> Result<Sizes, Error> {
    let mut known: [Option<(usize, &str)>; 2] = [None; 2];
    for (value, array) in kernel.inputs().zip(inputs) {
        let Some(axis) = value.axis else { continue };
        let rows = array.rows as usize;
        match known[axis as usize] {
            None => known[axis as usize] = Some((rows, value.name)),
            Some((first, _)) if first == rows => (),
            Some(first) => return Err(words::rows(kernel, axis, first, (rows, value.name))),
        }
    }
    let size = |axis: Axis, given: Option<usize>| match (known[axis as usize], given) {
        (Some((rows, _)), None) => Ok(rows),
        (Some((rows, _)), Some(given)) if rows == given => Ok(rows),
        (Some(known), Some(given)) => Err(words::rows_given(kernel, axis, known, given)),
        (None, Some(given)) if i64::try_from(given).is_err() => {
            Err(words::overflow_rows(kernel, axis, given))
        }
        (None, Some(given)) => Ok(given),
        (None, None) if uses(kernel, axis) => Err(words::rows_unknown(kernel, axis)),
        (None, None) => Ok(0),
    };
    Ok(Sizes { i: size(Axis::I, given.map(|(m, _)| m))?, j: size(Axis::J, given.map(|(_, n)| n))? })
}

fn uses(kernel: &Kernel, axis: Axis) -> bool {
    let stage = |stage: Stage| [stage.row_axis(), stage.col_axis()].contains(&Some(axis));
    kernel.stages().any(stage) || kernel.values().any(|value| value.axis == Some(axis))
}

/// What the stages ask of M and N.
fn limits(kernel: &Kernel, sizes: Sizes) -> Result<(), Error> {
    for stage in kernel.stages() {
        let (rows, cols) = (sizes.of(stage.row_axis()), sizes.of(stage.col_axis()));
        if rows == 0 {
            continue;
        }
        if let Some(axis) = stage.col_axis()
            && cols < stage.least_cols()
        {
            return Err(words::too_few_columns(kernel, axis, cols, stage.least_cols()));
        }
        if i64::try_from(rows as u128 * cols as u128).is_err() {
            return Err(words::overflow_pairs(kernel, rows, cols));
        }
        let exact = kernel.dtype().exact_positions();
        for (used, axis) in
            [(stage.uses_row_pos(), stage.row_axis()), (stage.uses_col_pos(), stage.col_axis())]
        {
            if let Some(axis) = axis.filter(|_| used)
                && sizes.of(Some(axis)) as u64 > exact
            {
                return Err(words::positions(kernel, axis, sizes.of(Some(axis)), exact));
            }
        }
    }
    Ok(())
}

/// The addresses `[start, end)` that an array reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: i128,
    end: i128,
}

impl Span {
    fn overlaps(&self, other: &Span) -> bool {
        self.start.max(other.start) < self.end.min(other.end)
    }
}

/// Where an array lies, with a check that it is aligned and inside of the address space.
fn span(
    kernel: &Kernel,
    value: &Value,
    array: &sys::tf_array,
    batch: &[Dim],
) -> Result<Span, Error> {
    if array.rows == 0 || batch.iter().any(|dim| dim.len == 0) {
        return Ok(Span { start: 0, end: 0 });
    }
    let size = value.component.scalar_size();
    let address = array.data as usize;
    if address == 0 || !address.is_multiple_of(size) {
        return Err(words::address(kernel, value, address));
    }
    let reach = |n: i64, stride: i64| i128::from(n - 1).checked_mul(i128::from(stride));
    let ends = || {
        let rows = reach(array.rows, array.row_stride)?;
        let cols = reach(value.scalars() as i64, array.col_stride)?;
        let (mut down, mut up) = (rows.min(0) + cols.min(0), rows.max(0) + cols.max(0));
        for dim in batch {
            let stride = i128::from(dim.stride as i64) * value.component.scalars() as i128;
            let items = i128::try_from(dim.len - 1).ok()?.checked_mul(stride)?;
            (down, up) = (down.checked_add(items.min(0))?, up.checked_add(items.max(0))?);
        }
        let size = size as i128;
        let start = down.checked_mul(size)?.checked_add(address as i128)?;
        let end = up.checked_add(1)?.checked_mul(size)?.checked_add(address as i128)?;
        (start >= 0 && end <= i128::from(u64::MAX)).then_some(Span { start, end })
    };
    ends().ok_or_else(|| words::strides(kernel, value, array.row_stride, array.col_stride))
}

/// The bytes of one component, for messages that print a size.
pub(crate) fn shape_text(rows: usize, cols: usize, component: ComponentType) -> String {
    format!("{rows} x {cols} {component}")
}
