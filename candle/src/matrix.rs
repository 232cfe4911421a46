//! Layouts of tensors as matrices on a device. Goes in: a layout, and the axis that the tensor varies
//! along. Comes out: rows, columns, strides and where they begin. It looks at no memory.

use candle_core::{Layout, Result, bail};
use tilefold::Axis;

/// A matrix of rows of components; strides and offset count elements.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Matrix {
    pub offset: usize,
    pub shape: (usize, usize),
    pub strides: (usize, usize),
}

impl Matrix {
    /// A variable of shape `(M, D)`, or `(M)` with one component; without an axis a parameter of
    /// shape `(D)`, or a scalar, which is one component.
    ///
    /// # Errors
    /// For other shapes.
    pub fn new(layout: &Layout, axis: Option<Axis>) -> Result<Matrix> {
        let (shape, strides) = match (axis, layout.dims(), layout.stride()) {
            (Some(_), &[rows, cols], &[row, col]) => ((rows, cols), (row, col)),
            (Some(_), &[rows], &[row]) => ((rows, 1), (row, 1)),
            (None, &[cols], &[col]) => ((1, cols), (cols, col)),
            (None, [], []) => ((1, 1), (1, 1)),
            (Some(_), dims, _) => bail!(
                "tilefold: on a device a variable has shape (M, D) or (M), not {dims:?}; evaluate \
                 the items of a batch one by one: tensor.get(item)"
            ),
            (None, dims, _) => bail!(
                "tilefold: on a device a parameter has shape (D) or (), not {dims:?}; evaluate the \
                 items of a batch one by one: tensor.get(item)"
            ),
        };
        Ok(Matrix { offset: layout.start_offset(), shape, strides })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    /// The entries of a tensor as the matrix says where they are, and its shape.
    fn read(tensor: &Tensor, axis: Option<Axis>) -> (Vec<u32>, (usize, usize)) {
        let Matrix { offset, shape, strides } = Matrix::new(tensor.layout(), axis).unwrap();
        let (storage, _) = tensor.storage_and_layout();
        let candle_core::Storage::Cpu(storage) = &*storage else { unreachable!("on the CPU") };
        let memory = storage.as_slice::<u32>().unwrap();
        let at = |row: usize, col: usize| memory[offset + row * strides.0 + col * strides.1];
        let entries = (0..shape.0).flat_map(|row| (0..shape.1).map(move |col| at(row, col)));
        (entries.collect(), shape)
    }

    fn numbers(shape: &[usize]) -> Tensor {
        let count = shape.iter().product::<usize>() as u32;
        Tensor::from_vec((0..count).collect(), shape, &Device::Cpu).unwrap()
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
            let expected: Vec<u32> = view.flatten_all().unwrap().to_vec1().unwrap();
            for axis in [Axis::I, Axis::J] {
                let (found, shape) = read(&view, Some(axis));
                assert_eq!((found, shape), (expected.clone(), view.dims2().unwrap()), "{view:?}");
            }
        }
    }

    #[test]
    fn a_vector_is_rows_or_components() {
        let column = numbers(&[5, 3]).narrow(1, 1, 1).unwrap().squeeze(1).unwrap();
        assert_eq!(read(&column, Some(Axis::I)), (vec![1, 4, 7, 10, 13], (5, 1)));
        assert_eq!(read(&column, None), (vec![1, 4, 7, 10, 13], (1, 5)));
        assert_eq!(read(&column.get(3).unwrap(), None), (vec![10], (1, 1)));
    }

    #[test]
    fn other_shapes_are_refused() {
        for (shape, axis) in [
            (&[][..], Some(Axis::I)),
            (&[2, 3, 4], Some(Axis::J)),
            (&[1, 3, 4], Some(Axis::I)),
            (&[1, 3], None),
        ] {
            let error = Matrix::new(numbers(shape).layout(), axis).unwrap_err().to_string();
            assert!(error.contains(&format!("{shape:?}")), "{error}");
        }
    }
}
