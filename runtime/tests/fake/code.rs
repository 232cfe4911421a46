//! The functions of the fake kernels.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::slice;

use tilefold::{Element, sys};

pub const LANES: usize = 4;
const TILE: i64 = 256;

/// A real that converts to and from float64.
pub trait Real: Element + std::ops::Mul<Output = Self> + std::ops::AddAssign {
    fn get(self) -> f64;
    fn of(value: f64) -> Self;
}

impl Real for f32 {
    fn get(self) -> f64 {
        f64::from(self)
    }
    fn of(value: f64) -> f32 {
        value as f32
    }
}

impl Real for f64 {
    fn get(self) -> f64 {
        self
    }
    fn of(value: f64) -> f64 {
        value
    }
}

/// # Safety
/// `(row, col)` is inside of value `index`, whose entries are `T`.
unsafe fn entry<T>(values: *const sys::tf_array, index: usize, row: i64, col: i64) -> *mut T {
    // SAFETY: by the caller's promise.
    unsafe {
        let array = *values.add(index);
        assert!((0..array.rows).contains(&row), "row {row} of {}", array.rows);
        array.data.cast::<T>().offset((row * array.row_stride + col * array.col_stride) as isize)
    }
}

/// # Safety
/// `len` entries of `T` at `data`.
unsafe fn view<'a, T>(data: *const c_void, len: usize) -> &'a [T] {
    assert_eq!(data as usize % 64, 0, "aligned to 64 bytes");
    // SAFETY: by the caller's promise.
    unsafe { columns(data, len) }
}

/// As [`view`], of packed columns, of which a fold begins at any.
///
/// # Safety
/// As for [`view`].
unsafe fn columns<'a, T>(data: *const c_void, len: usize) -> &'a [T] {
    assert_eq!(data as usize % size_of::<T>(), 0, "aligned to an entry");
    // SAFETY: by the caller's promise.
    unsafe { slice::from_raw_parts(data.cast(), len) }
}

/// # Safety
/// `len` entries of `T` at `data`, which no one else uses.
unsafe fn view_mut<'a, T>(data: *mut c_void, len: usize) -> &'a mut [T] {
    assert_eq!(data as usize % 64, 0, "aligned to 64 bytes");
    // SAFETY: by the caller's promise.
    unsafe { slice::from_raw_parts_mut(data.cast(), len) }
}

/// The rows of a block: lanes past the end repeat the last row.
fn lanes(i0: i64, i1: i64) -> impl Iterator<Item = (usize, i64)> {
    assert!(i0 < i1 && i1 - i0 <= LANES as i64);
    (0..LANES).map(move |lane| (lane, (i0 + lane as i64).min(i1 - 1)))
}

/// Float64 totals with the columns that they hold, to see that merges come in order.
#[repr(C)]
struct Sums {
    total: [f64; LANES],
    columns: [i64; 2],
    unused: [i64; 2],
}

impl Sums {
    fn fold(&mut self, j0: i64, j1: i64) {
        if j0 == j1 {
            return;
        }
        if self.columns[0] == self.columns[1] {
            self.columns = [j0, j0];
        }
        assert!(self.columns[1] <= j0, "columns come in order");
        self.columns[1] = j1;
    }
}

unsafe extern "C" fn init(state: *mut c_void) {
    // SAFETY: the state is one `Sums`.
    let state = unsafe { state.cast::<Sums>().as_mut().unwrap() };
    *state = Sums { total: [0.0; LANES], columns: [0; 2], unused: [0; 2] };
}

unsafe extern "C" fn merge(state: *mut c_void, other: *const c_void) {
    // SAFETY: both are `Sums`, and different.
    let (state, other) =
        unsafe { (state.cast::<Sums>().as_mut().unwrap(), other.cast::<Sums>().as_ref().unwrap()) };
    state.fold(other.columns[0], other.columns[1]);
    for (total, other) in state.total.iter_mut().zip(other.total) {
        *total += other;
    }
}

/// `w_r = g * sum_c <u_r, v_c>` over the entries U, V, W, G of the table, in D dimensions.
pub struct Product<
    T,
    const U: usize,
    const V: usize,
    const W: usize,
    const G: usize,
    const D: usize,
>(PhantomData<T>);

impl<T: Real, const U: usize, const V: usize, const W: usize, const G: usize, const D: usize>
    Product<T, U, V, W, G, D>
{
    pub fn cpu() -> sys::tf_cpu_stage {
        sys::tf_cpu_stage {
            lanes: LANES as u32,
            row_words: D as u32,
            col_words: D as u32,
            param_words: 1,
            state_bytes: 64,
            params: Some(Self::params),
            rows: Some(Self::rows),
            cols: Some(Self::cols),
            init: Some(init),
            block: Some(Self::block),
            merge: Some(merge),
            finish: Some(Self::finish),
            few: std::ptr::null(),
            few_rows: 0,
        }
    }

    unsafe extern "C" fn params(values: *const sys::tf_array, params: *mut c_void) {
        // SAFETY: the parameter is one `T`, and value G is one row.
        unsafe { view_mut::<T>(params, 1)[0] = *entry(values, G, 0, 0) }
    }

    unsafe extern "C" fn rows(
        values: *const sys::tf_array,
        _: *const c_void,
        i0: i64,
        i1: i64,
        rows: *mut c_void,
    ) {
        for (lane, row) in lanes(i0, i1) {
            for d in 0..D {
                // SAFETY: the block is D times LANES, and value U has D columns.
                unsafe {
                    rows.cast::<T>().add(d * LANES + lane).write(*entry(values, U, row, d as i64));
                }
            }
        }
    }

    unsafe extern "C" fn cols(
        values: *const sys::tf_array,
        _: *const c_void,
        j0: i64,
        j1: i64,
        cols: *mut c_void,
    ) {
        for j in j0..j1 {
            for d in 0..D {
                // SAFETY: packed columns are D each, and value V has D columns.
                unsafe {
                    let at = (j - j0) as usize * D + d;
                    cols.cast::<T>().add(at).write(*entry(values, V, j, d as i64));
                }
            }
        }
    }

    unsafe extern "C" fn block(
        _: *const c_void,
        rows: *const c_void,
        cols: *const c_void,
        _: i64,
        j0: i64,
        j1: i64,
        state: *mut c_void,
    ) {
        // SAFETY: sizes as declared in `cpu`; the state is one `Sums`.
        let (rows, cols, state) = unsafe {
            let cols = columns::<T>(cols, (j1 - j0) as usize * D);
            (view::<T>(rows, D * LANES), cols, state.cast::<Sums>().as_mut().unwrap())
        };
        state.fold(j0, j1);
        for tile in cols.chunks(TILE as usize * D) {
            let mut partial = [T::default(); LANES];
            for column in tile.chunks(D) {
                for (d, &y) in column.iter().enumerate() {
                    for (sum, &x) in partial.iter_mut().zip(&rows[d * LANES..]) {
                        *sum += x * y;
                    }
                }
            }
            for (total, sum) in state.total.iter_mut().zip(partial) {
                *total += sum.get();
            }
        }
    }

    unsafe extern "C" fn finish(
        values: *const sys::tf_array,
        params: *const c_void,
        _: *const c_void,
        state: *mut c_void,
        i0: i64,
        i1: i64,
    ) {
        // SAFETY: sizes as declared in `cpu`; value W has one column.
        unsafe {
            let gamma = view::<T>(params, 1)[0].get();
            let state = state.cast::<Sums>().as_ref().unwrap();
            for row in i0..i1 {
                let sum = state.total[(row - i0) as usize];
                entry::<T>(values, W, row, 0).write(T::of(gamma * sum));
            }
        }
    }
}

/// `w_r = 2 u_r`; nothing is reduced.
pub struct Twice<T, const U: usize, const W: usize>(PhantomData<T>);

impl<T: Real, const U: usize, const W: usize> Twice<T, U, W> {
    pub fn cpu() -> sys::tf_cpu_stage {
        sys::tf_cpu_stage {
            state_bytes: 0,
            col_words: 0,
            cols: None,
            init: None,
            block: None,
            merge: None,
            finish: Some(Self::finish),
            few: std::ptr::null(),
            few_rows: 0,
            ..Product::<T, U, U, W, 2, 1>::cpu()
        }
    }

    unsafe extern "C" fn finish(
        values: *const sys::tf_array,
        _: *const c_void,
        rows: *const c_void,
        _: *mut c_void,
        i0: i64,
        i1: i64,
    ) {
        // SAFETY: sizes as declared in `cpu`; value W has one column.
        unsafe {
            let rows = view::<T>(rows, LANES);
            for row in i0..i1 {
                let twice = 2.0 * rows[(row - i0) as usize].get();
                entry::<T>(values, W, row, 0).write(T::of(twice));
            }
        }
    }
}

/// `dist_i, nearest_i = argmin_j |x_i - y_j|` over a table of x, y, dist, nearest.
pub struct ArgMin<T>(PhantomData<T>);

#[repr(C)]
struct Best {
    dist: [f64; LANES],
    index: [i64; LANES],
}

impl Best {
    fn offer(&mut self, lane: usize, dist: f64, index: i64) {
        if index >= 0 && (self.index[lane] < 0 || dist < self.dist[lane]) {
            (self.dist[lane], self.index[lane]) = (dist, index);
        }
    }
}

impl<T: Real> ArgMin<T> {
    pub fn cpu() -> sys::tf_cpu_stage {
        sys::tf_cpu_stage {
            param_words: 0,
            params: Some(Self::params),
            init: Some(Self::init),
            block: Some(Self::block),
            merge: Some(Self::merge),
            finish: Some(Self::finish),
            few: std::ptr::null(),
            few_rows: 0,
            ..Product::<T, 0, 1, 2, 0, 1>::cpu()
        }
    }

    unsafe extern "C" fn params(_: *const sys::tf_array, _: *mut c_void) {}

    unsafe extern "C" fn init(state: *mut c_void) {
        let none = Best { dist: [f64::INFINITY; LANES], index: [-1; LANES] };
        // SAFETY: the state is one `Best`.
        unsafe { state.cast::<Best>().write(none) }
    }

    unsafe extern "C" fn block(
        _: *const c_void,
        rows: *const c_void,
        cols: *const c_void,
        _: i64,
        j0: i64,
        j1: i64,
        state: *mut c_void,
    ) {
        // SAFETY: sizes as declared in `cpu`; the state is one `Best`.
        unsafe {
            let state = state.cast::<Best>().as_mut().unwrap();
            let rows = view::<T>(rows, LANES);
            for (j, y) in (j0..j1).zip(columns::<T>(cols, (j1 - j0) as usize)) {
                for (lane, x) in rows.iter().enumerate() {
                    state.offer(lane, (x.get() - y.get()).abs(), j);
                }
            }
        }
    }

    unsafe extern "C" fn merge(state: *mut c_void, other: *const c_void) {
        // SAFETY: both are `Best`, and different.
        unsafe {
            let state = state.cast::<Best>().as_mut().unwrap();
            let other = other.cast::<Best>().as_ref().unwrap();
            for lane in 0..LANES {
                state.offer(lane, other.dist[lane], other.index[lane]);
            }
        }
    }

    unsafe extern "C" fn finish(
        values: *const sys::tf_array,
        _: *const c_void,
        _: *const c_void,
        state: *mut c_void,
        i0: i64,
        i1: i64,
    ) {
        // SAFETY: the state is one `Best`; values 2 and 3 have one column.
        unsafe {
            let state = state.cast::<Best>().as_ref().unwrap();
            for (lane, row) in (i0..i1).enumerate() {
                entry::<T>(values, 2, row, 0).write(T::of(state.dist[lane]));
                entry::<i64>(values, 3, row, 0).write(state.index[lane]);
            }
        }
    }
}

/// `a_i = pos(i) + sum_j pos(j)`: packed columns of no words.
pub struct Positions<T>(PhantomData<T>);

impl<T: Real> Positions<T> {
    pub fn cpu() -> sys::tf_cpu_stage {
        sys::tf_cpu_stage {
            row_words: 0,
            col_words: 0,
            param_words: 0,
            params: Some(ArgMin::<T>::params),
            rows: Some(Self::pack),
            cols: Some(Self::pack),
            block: Some(Self::block),
            finish: Some(Self::finish),
            few: std::ptr::null(),
            few_rows: 0,
            ..Product::<T, 0, 0, 0, 0, 0>::cpu()
        }
    }

    unsafe extern "C" fn pack(
        _: *const sys::tf_array,
        _: *const c_void,
        _: i64,
        _: i64,
        _: *mut c_void,
    ) {
    }

    unsafe extern "C" fn block(
        _: *const c_void,
        _: *const c_void,
        _: *const c_void,
        i0: i64,
        j0: i64,
        j1: i64,
        state: *mut c_void,
    ) {
        // SAFETY: the state is one `Sums`.
        let state = unsafe { state.cast::<Sums>().as_mut().unwrap() };
        state.fold(j0, j1);
        for (lane, total) in state.total.iter_mut().enumerate() {
            let row = if j0 == 0 { (i0 + lane as i64) as f64 } else { 0.0 };
            *total += row + (j0..j1).sum::<i64>() as f64;
        }
    }

    unsafe extern "C" fn finish(
        values: *const sys::tf_array,
        _: *const c_void,
        _: *const c_void,
        state: *mut c_void,
        i0: i64,
        i1: i64,
    ) {
        // SAFETY: the state is one `Sums`; value 0 has one column.
        unsafe {
            let state = state.cast::<Sums>().as_ref().unwrap();
            for (lane, row) in (i0..i1).enumerate() {
                entry::<T>(values, 0, row, 0).write(T::of(state.total[lane]));
            }
        }
    }
}
