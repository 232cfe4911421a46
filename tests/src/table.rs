//! The table of arrays that every function of a descriptor works on.

use std::slice;

use tilefold::{bf16, f16, sys};
use tilefold_compiler::ir::Storage;
use tilefold_compiler::ir::eval::Matrix;

use crate::problem::Problem;

/// One array of the table; its numbers are stored as the kernel's scalars or as int64.
pub struct Value {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Whether two columns are a complex number.
    pub pairs: bool,
    /// The numbers.
    pub data: Numbers,
}

/// The scalars of one array.
pub enum Numbers {
    /// binary16
    F16(Vec<f16>),
    /// bfloat16
    BF16(Vec<bf16>),
    /// float32
    F32(Vec<f32>),
    /// float64
    F64(Vec<f64>),
    /// Labels or row numbers.
    Index(Vec<i64>),
}

impl Numbers {
    fn address(&mut self) -> *mut std::ffi::c_void {
        match self {
            Numbers::F16(v) => v.as_mut_ptr().cast(),
            Numbers::BF16(v) => v.as_mut_ptr().cast(),
            Numbers::F32(v) => v.as_mut_ptr().cast(),
            Numbers::F64(v) => v.as_mut_ptr().cast(),
            Numbers::Index(v) => v.as_mut_ptr().cast(),
        }
    }

    /// The bytes, as the machine stores them.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Numbers::F16(v) => v.iter().flat_map(|x| x.to_ne_bytes()).collect(),
            Numbers::BF16(v) => v.iter().flat_map(|x| x.to_ne_bytes()).collect(),
            Numbers::F32(v) => v.iter().flat_map(|x| x.to_ne_bytes()).collect(),
            Numbers::F64(v) => v.iter().flat_map(|x| x.to_ne_bytes()).collect(),
            Numbers::Index(v) => v.iter().flat_map(|x| x.to_ne_bytes()).collect(),
        }
    }

    /// Puts bytes, as the machine stores them, in the place of all numbers.
    ///
    /// # Panics
    /// When they are too few.
    fn fill(&mut self, bytes: &[u8]) {
        let part = |n: usize, word: usize| &bytes[n * word..(n + 1) * word];
        macro_rules! fill {
            ($numbers:expr, $scalar:ty) => {
                for (n, number) in $numbers.iter_mut().enumerate() {
                    let bytes = part(n, size_of::<$scalar>());
                    *number = <$scalar>::from_ne_bytes(bytes.try_into().expect("its size"));
                }
            };
        }
        match self {
            Numbers::F16(v) => fill!(v, f16),
            Numbers::BF16(v) => fill!(v, bf16),
            Numbers::F32(v) => fill!(v, f32),
            Numbers::F64(v) => fill!(v, f64),
            Numbers::Index(v) => fill!(v, i64),
        }
    }

    /// Bytes of a number.
    pub fn word(&self) -> usize {
        match self {
            Numbers::F16(_) | Numbers::BF16(_) => 2,
            Numbers::F32(_) => 4,
            Numbers::F64(_) | Numbers::Index(_) => 8,
        }
    }

    fn to_f64(&self) -> Vec<f64> {
        match self {
            Numbers::F16(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Numbers::BF16(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Numbers::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Numbers::F64(v) => v.clone(),
            Numbers::Index(v) => v.iter().map(|&x| x as f64).collect(),
        }
    }
}

/// Arrays for every value of a kernel. What is not an input starts as NaN, or as -2.
pub struct Table {
    /// Inputs, temporaries, outputs.
    pub values: Vec<Value>,
    sizes: [usize; 3],
    outputs: usize,
}

impl Table {
    /// Arrays for a problem, of the dtype of `kernel`.
    pub fn new(kernel: &sys::tf_kernel, problem: &Problem) -> Table {
        let count = kernel.n_inputs + kernel.n_temps + kernel.n_outputs;
        // SAFETY: a descriptor has that many values, which stay in place.
        let raw = unsafe { slice::from_raw_parts(kernel.values, count as usize) };
        let sizes = [problem.m, problem.n, 1];
        let dtype = match kernel.dtype {
            sys::TF_F16 => Storage::F16,
            sys::TF_BF16 => Storage::BF16,
            sys::TF_F32 => Storage::F32,
            _ => Storage::F64,
        };
        let temps = kernel.n_inputs as usize..(kernel.n_inputs + kernel.n_temps) as usize;
        let value = |(n, raw): (usize, &sys::tf_value)| {
            let (rows, cols) = (sizes[raw.axis as usize], raw.dim as usize);
            let data = match problem.inputs.get(n).filter(|_| n < kernel.n_inputs as usize) {
                Some(input) if raw.kind == sys::TF_INDEX => {
                    Numbers::Index(input.data.iter().map(|&x| x as i64).collect())
                }
                Some(input) => numbers(dtype, input.data.clone()),
                None if raw.kind == sys::TF_INDEX => Numbers::Index(vec![-2; rows * cols]),
                None if temps.contains(&n) => {
                    numbers(dtype.computes().into(), vec![f64::NAN; rows * cols])
                }
                None => numbers(dtype, vec![f64::NAN; rows * cols]),
            };
            Value { rows, cols, pairs: raw.kind == sys::TF_COMPLEX, data }
        };
        let values = raw.iter().enumerate().map(value).collect();
        Table { values, sizes, outputs: kernel.n_outputs as usize }
    }

    /// Rows along an axis of the ABI.
    pub fn size(&self, axis: u32) -> usize {
        self.sizes[axis as usize]
    }

    /// The arrays as a kernel takes them. They are valid while the table is not moved or dropped.
    pub fn raw(&mut self) -> Vec<sys::tf_array> {
        let array = |value: &mut Value| sys::tf_array {
            data: value.data.address(),
            rows: value.rows as i64,
            row_stride: value.cols as i64,
            col_stride: 1,
            item_bytes: 0,
        };
        self.values.iter_mut().map(array).collect()
    }

    /// How many values are outputs.
    pub fn n_outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes of all outputs.
    pub fn output_bytes(&self) -> usize {
        let outputs = &self.values[self.values.len() - self.outputs..];
        outputs.iter().map(|value| value.rows * value.cols * value.data.word()).sum()
    }

    /// Takes the outputs from bytes that another process wrote, and leaves the rest of them.
    pub fn read_outputs(&mut self, bytes: &mut &[u8]) {
        let first = self.values.len() - self.outputs;
        for value in &mut self.values[first..] {
            let own = value.rows * value.cols * value.data.word();
            let (this, rest) = bytes.split_at(own);
            value.data.fill(this);
            *bytes = rest;
        }
    }

    /// The outputs, as float64.
    pub fn outputs(&self) -> Vec<Matrix> {
        let matrix = |v: &Value| Matrix { rows: v.rows, cols: v.cols, data: v.data.to_f64() };
        self.values[self.values.len() - self.outputs..].iter().map(matrix).collect()
    }
}

fn numbers(dtype: Storage, data: Vec<f64>) -> Numbers {
    match dtype {
        Storage::F16 => Numbers::F16(data.into_iter().map(f16::from_f64).collect()),
        Storage::BF16 => Numbers::BF16(data.into_iter().map(bf16::from_f64).collect()),
        Storage::F32 => Numbers::F32(data.into_iter().map(|x| x as f32).collect()),
        Storage::F64 => Numbers::F64(data),
    }
}

/// The stages of a kernel.
pub fn stages(kernel: &sys::tf_kernel) -> &[sys::tf_stage] {
    // SAFETY: a descriptor has that many stages, which stay in place.
    unsafe { slice::from_raw_parts(kernel.stages, kernel.n_stages as usize) }
}

/// Memory that is aligned as states and packed values ask for.
#[derive(Clone)]
pub struct Memory(Vec<Line>);

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; 64]);

impl Memory {
    /// At least `bytes` bytes, all ones: NaN, or -1.
    pub fn new(bytes: usize) -> Memory {
        Memory(vec![Line([0xff; 64]); bytes.div_ceil(64)])
    }

    /// Where it starts.
    pub fn address(&mut self) -> *mut std::ffi::c_void {
        self.0.as_mut_ptr().cast()
    }

    /// The byte `offset` from its start.
    pub fn offset(&mut self, offset: usize) -> *mut std::ffi::c_void {
        assert!(offset <= 64 * self.0.len(), "within the memory");
        self.address().wrapping_byte_add(offset)
    }
}
