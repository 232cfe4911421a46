//! The CPU code of a stage. Goes in: its raw form. Comes out: functions that are there, and sizes
//! in bytes. It never calls the functions.

use std::ffi::c_void;

use crate::host::Program;
use crate::sys;

pub(crate) type Params = unsafe extern "C" fn(*const sys::tf_array, *mut c_void);
pub(crate) type Pack =
    unsafe extern "C" fn(*const sys::tf_array, *const c_void, i64, i64, *mut c_void);
pub(crate) type Init = unsafe extern "C" fn(*mut c_void);
pub(crate) type Block =
    unsafe extern "C" fn(*const c_void, *const c_void, *const c_void, i64, i64, i64, *mut c_void);
pub(crate) type Merge = unsafe extern "C" fn(*mut c_void, *const c_void);
pub(crate) type Finish =
    unsafe extern "C" fn(*const sys::tf_array, *const c_void, *const c_void, *mut c_void, i64, i64);

/// The CPU code of a stage, with its sizes in bytes.
#[derive(Clone, Copy)]
pub(crate) struct CpuStage<'p> {
    pub lanes: usize,
    /// A packed block of `lanes` rows.
    pub row_bytes: usize,
    /// A packed column. Where there is one lane, columns lie in groups of [`sys::TF_GROUP`].
    pub col_bytes: usize,
    pub param_bytes: usize,
    pub state_bytes: usize,
    pub map: Map<'p>,
    /// Absent when nothing is reduced.
    pub fold: Option<Fold<'p>>,
}

/// The part of a stage's code that works on rows: launch parameters, packing, results.
#[derive(Clone, Copy)]
pub(crate) enum Map<'p> {
    /// Functions of a descriptor.
    Native(NativeMap),
    /// A program that was made at run time.
    #[cfg_attr(not(feature = "lazy"), allow(dead_code, reason = "programs are made by `interp`"))]
    Program(&'p dyn Program),
}

/// The part of a stage's code that reduces.
#[derive(Clone, Copy)]
pub(crate) enum Fold<'p> {
    /// Functions of a descriptor.
    Native(NativeFold),
    /// A program that was made at run time.
    #[cfg_attr(not(feature = "lazy"), allow(dead_code, reason = "programs are made by `interp`"))]
    Program(&'p dyn Program),
}

/// See [`Map`].
#[derive(Clone, Copy)]
pub(crate) struct NativeMap {
    pub params: Params,
    pub rows: Pack,
    pub finish: Finish,
}

/// See [`Fold`].
#[derive(Clone, Copy)]
pub(crate) struct NativeFold {
    pub cols: Pack,
    pub init: Init,
    pub block: Block,
    pub merge: Merge,
}

impl CpuStage<'static> {
    pub(super) fn new(raw: &sys::tf_cpu_stage, word: usize) -> Option<CpuStage<'static>> {
        let fold = || {
            let (cols, init, block, merge) = (raw.cols?, raw.init?, raw.block?, raw.merge?);
            Some(Fold::Native(NativeFold { cols, init, block, merge }))
        };
        let lanes = raw.lanes as usize;
        let map = NativeMap { params: raw.params?, rows: raw.rows?, finish: raw.finish? };
        Some(CpuStage {
            lanes,
            row_bytes: (raw.row_words as usize).checked_mul(lanes)?.checked_mul(word)?,
            col_bytes: (raw.col_words as usize).checked_mul(word)?,
            param_bytes: (raw.param_words as usize).checked_mul(word)?,
            state_bytes: usize::try_from(raw.state_bytes).ok()?,
            map: Map::Native(map),
            fold: fold(),
        })
    }
}
