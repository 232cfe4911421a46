//! Layouts of tensors as matrices on a device. Goes in: a layout, and the axis that the tensor
//! varies along. Comes out: rows, columns, strides and where they begin. It looks at no memory.

use candle_core::{Layout, Result, bail};
use tilefold::Axis;

/// A matrix of rows of components: of all items of a batch, one after the other, if there is one.
/// Strides and offset count elements.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Matrix {
    pub offset: usize,
    pub shape: (usize, usize),
    pub strides: (usize, usize),
    pub batch: Vec<usize>,
}

impl Matrix {
    /// A variable of shape `(B.., M, D)`, or `(M)` with one component; without an axis a parameter
    /// of shape `(B.., D)`, one row an item, or a scalar, which is one component.
    ///
    /// # Errors
    /// For a scalar as a variable, and for batch dimensions that are empty or whose items do not
    /// follow each other in memory.
    pub fn new(layout: &Layout, axis: Option<Axis>) -> Result<Matrix> {
        let (dims, offset) = (layout.dims(), layout.start_offset());
        let one = |shape, strides| Ok(Matrix { offset, shape, strides, batch: Vec::new() });
        let (leading, cols, col) = match (axis, dims, layout.stride()) {
            (Some(_), [], _) => bail!("tilefold: a variable has shape (M, D) or (M), not ()"),
            (Some(_), &[rows], &[row]) => return one((rows, 1), (row, 1)),
            (None, [], _) => return one((1, 1), (1, 1)),
            (_, [leading @ .., cols], [.., col]) => (leading, *cols, *col),
            (_, _, []) => unreachable!("a layout has as many strides as dimensions"),
        };
        let batch = if axis.is_some() { &leading[..leading.len() - 1] } else { leading };
        if batch.contains(&0) {
            bail!("tilefold: a tensor of shape {dims:?} is a batch of no items");
        }
        let Some(row) = common_stride(leading, layout.stride()) else {
            bail!(
                "tilefold: on a device the items of a batch follow each other, but a tensor of \
                 shape {dims:?} has strides {:?}; copy it: tensor.contiguous()",
                layout.stride()
            )
        };
        let shape = (leading.iter().product(), cols);
        Ok(Matrix { offset, shape, strides: (row, col), batch: batch.to_vec() })
    }
}

/// The step from each row to the next through all leading dimensions, if there is one.
fn common_stride(leading: &[usize], strides: &[usize]) -> Option<usize> {
    if leading.contains(&0) {
        return Some(0);
    }
    // The step, and where the next dimension would go on.
    let mut found: Option<(usize, usize)> = None;
    for (&dim, &stride) in leading.iter().zip(strides).rev().filter(|&(&dim, _)| dim != 1) {
        found = match found {
            None => Some((stride, stride * dim)),
            Some((step, next)) if next == stride => Some((step, next * dim)),
            Some(_) => return None,
        };
    }
    Some(found.map_or(0, |(step, _)| step))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    /// The entries of a tensor as the matrix says where they are.
    fn read(tensor: &Tensor, axis: Option<Axis>) -> (Vec<u32>, Matrix) {
        let matrix = Matrix::new(tensor.layout(), axis).unwrap();
        let Matrix { offset, shape, strides, .. } = matrix;
        let (storage, _) = tensor.storage_and_layout();
        let candle_core::Storage::Cpu(storage) = &*storage else { unreachable!("on the CPU") };
        let memory = storage.as_slice::<u32>().unwrap();
        let at = |row: usize, col: usize| memory[offset + row * strides.0 + col * strides.1];
        let entries = (0..shape.0).flat_map(|row| (0..shape.1).map(move |col| at(row, col)));
        (entries.collect(), matrix)
    }

    fn numbers(shape: &[usize]) -> Tensor {
        let count = shape.iter().product::<usize>() as u32;
        Tensor::from_vec((0..count).collect(), shape, &Device::Cpu).unwrap()
    }

    fn entries(tensor: &Tensor) -> Vec<u32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_matrix_has_the_entries_of_its_tensor() {
        let x = numbers(&[6, 4]);
        let views = [
            x.clone(),
            x.t().unwrap(),
            x.narrow(0, 2, 3).unwrap(),
            x.narrow(1, 1, 2).unwrap(),
            x.narrow(1, 1, 2).unwrap().t().unwrap(),
            x.narrow(0, 5, 1).unwrap().narrow(1, 3, 1).unwrap(),
            x.narrow(0, 6, 0).unwrap(),
            x.narrow(0, 1, 1).unwrap().expand((5, 4)).unwrap(),
            x.narrow(1, 3, 1).unwrap().expand((6, 3)).unwrap(),
            numbers(&[2, 3, 4]).get(1).unwrap(),
        ];
        for view in views {
            for axis in [Axis::I, Axis::J] {
                let (found, Matrix { shape, batch, .. }) = read(&view, Some(axis));
                assert_eq!(found, entries(&view), "{view:?}");
                assert_eq!((shape, batch), (view.dims2().unwrap(), vec![]));
            }
        }
    }

    #[test]
    fn a_batch_is_rows_of_all_items() {
        let x = numbers(&[2, 3, 4, 5]);
        let views = [
            x.clone(),
            x.get(1).unwrap(),
            x.narrow(0, 1, 1).unwrap(),
            x.narrow(3, 1, 2).unwrap(),
            x.narrow(1, 2, 1).unwrap().narrow(2, 0, 1).unwrap(),
            numbers(&[1, 3, 4]),
            numbers(&[2, 0, 4]),
            numbers(&[1, 1]).expand((2, 3, 4)).unwrap(),
        ];
        for view in views {
            let (batch, rest) = view.dims().split_at(view.rank() - 2);
            let (found, matrix) = read(&view, Some(Axis::J));
            assert_eq!((found, &matrix.batch[..]), (entries(&view), batch), "{view:?}");
            let items: usize = batch.iter().product();
            assert_eq!(matrix.shape, (items * rest[0], rest[1]));
            // The same as parameters, a row an item.
            if rest[0] > 0 {
                let (found, matrix) = read(&view, None);
                assert_eq!(
                    (found, &matrix.batch[..]),
                    (entries(&view), &view.dims()[..view.rank() - 1])
                );
            }
        }
    }

    #[test]
    fn a_vector_is_rows_or_components() {
        let column = numbers(&[5, 3]).narrow(1, 1, 1).unwrap().squeeze(1).unwrap();
        let shape = |axis| {
            let (found, Matrix { shape, batch, .. }) = read(&column, axis);
            assert_eq!((found, batch), (vec![1, 4, 7, 10, 13], vec![]));
            shape
        };
        assert_eq!((shape(Some(Axis::I)), shape(None)), ((5, 1), (1, 5)));
        let (found, Matrix { shape, .. }) = read(&column.get(3).unwrap(), None);
        assert_eq!((found, shape), (vec![10], (1, 1)));
    }

    #[test]
    fn what_is_no_matrix_is_refused() {
        let x = numbers(&[2, 3, 4]);
        for (tensor, axis, words) in [
            (numbers(&[]), Some(Axis::I), "not ()"),
            (numbers(&[0, 3, 4]), Some(Axis::J), "no items"),
            (numbers(&[0, 4]), None, "no items"),
            (x.narrow(1, 0, 2).unwrap(), Some(Axis::I), "contiguous()"),
            (x.narrow(1, 0, 2).unwrap(), None, "contiguous()"),
            (x.transpose(0, 1).unwrap(), Some(Axis::I), "contiguous()"),
            (x.narrow(0, 0, 1).unwrap().expand((5, 3, 4)).unwrap(), Some(Axis::J), "contiguous()"),
        ] {
            let error = Matrix::new(tensor.layout(), axis).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
