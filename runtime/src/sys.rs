//! The Rust side of `templates/include/tf_abi.h`, field for field as bindgen gives it (core types,
//! layout checks, semantic order). Goes in: nothing. Comes out: types and constants. It never
//! holds code; `kernel` is the only reader of raw descriptors.
//!
//! The header is the source; a change there changes this file and `TF_ABI_VERSION`.

#![allow(non_camel_case_types, missing_docs)]

pub type _bindgen_ty_1 = ::core::ffi::c_uint;
pub type _bindgen_ty_2 = ::core::ffi::c_uint;
pub type _bindgen_ty_3 = ::core::ffi::c_uint;
pub type _bindgen_ty_4 = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct tf_array {
    pub data: *mut ::core::ffi::c_void,
    pub rows: i64,
    pub row_stride: i64,
    pub col_stride: i64,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct tf_value {
    pub name: *const ::core::ffi::c_char,
    pub axis: u32,
    pub dim: u32,
    pub kind: u32,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct tf_cpu_stage {
    pub lanes: u32,
    pub row_words: u32,
    pub col_words: u32,
    pub param_words: u32,
    pub state_bytes: u64,
    pub params: ::core::option::Option<
        unsafe extern "C" fn(values: *const tf_array, params: *mut ::core::ffi::c_void),
    >,
    pub rows: ::core::option::Option<
        unsafe extern "C" fn(
            values: *const tf_array,
            params: *const ::core::ffi::c_void,
            i0: i64,
            i1: i64,
            rows: *mut ::core::ffi::c_void,
        ),
    >,
    pub cols: ::core::option::Option<
        unsafe extern "C" fn(
            values: *const tf_array,
            params: *const ::core::ffi::c_void,
            j0: i64,
            j1: i64,
            cols: *mut ::core::ffi::c_void,
        ),
    >,
    pub init: ::core::option::Option<unsafe extern "C" fn(state: *mut ::core::ffi::c_void)>,
    pub block: ::core::option::Option<
        unsafe extern "C" fn(
            params: *const ::core::ffi::c_void,
            rows: *const ::core::ffi::c_void,
            cols: *const ::core::ffi::c_void,
            i0: i64,
            j0: i64,
            j1: i64,
            state: *mut ::core::ffi::c_void,
        ),
    >,
    pub merge: ::core::option::Option<
        unsafe extern "C" fn(state: *mut ::core::ffi::c_void, other: *const ::core::ffi::c_void),
    >,
    pub finish: ::core::option::Option<
        unsafe extern "C" fn(
            values: *const tf_array,
            params: *const ::core::ffi::c_void,
            rows: *const ::core::ffi::c_void,
            state: *const ::core::ffi::c_void,
            i0: i64,
            i1: i64,
        ),
    >,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct tf_cuda_stage {
    pub rows_entry: *const ::core::ffi::c_char,
    pub finish_entry: *const ::core::ffi::c_char,
    pub threads: u32,
    pub rows_per_block: u32,
    pub tile_cols: u32,
    pub shared_bytes: u32,
    pub state_bytes: u64,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct tf_stage {
    pub row_axis: u32,
    pub col_axis: u32,
    pub least_cols: u32,
    pub uses_pos: u32,
    pub n_writes: u32,
    pub writes: *const u32,
    pub pair_ops: f64,
    pub cpu: [*const tf_cpu_stage; 4usize],
    pub cuda: tf_cuda_stage,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct tf_kernel {
    pub magic: u32,
    pub abi_version: u32,
    pub size: u32,
    pub dtype: u32,
    pub key: [u8; 32usize],
    pub name: *const ::core::ffi::c_char,
    pub text: *const ::core::ffi::c_char,
    pub n_inputs: u32,
    pub n_temps: u32,
    pub n_outputs: u32,
    pub n_stages: u32,
    pub values: *const tf_value,
    pub stages: *const tf_stage,
    pub image: *const u8,
    pub image_bytes: u64,
}
pub const TF_ABI_VERSION: u32 = 1;
pub const TF_MAGIC: u32 = 1145851718;
pub const TF_AXIS_I: _bindgen_ty_1 = 0;
pub const TF_AXIS_J: _bindgen_ty_1 = 1;
pub const TF_AXIS_NONE: _bindgen_ty_1 = 2;
pub const TF_REAL: _bindgen_ty_2 = 0;
pub const TF_INDEX: _bindgen_ty_2 = 1;
pub const TF_F32: _bindgen_ty_3 = 0;
pub const TF_F64: _bindgen_ty_3 = 1;
pub const TF_LEVEL_V2: _bindgen_ty_4 = 0;
pub const TF_LEVEL_V3: _bindgen_ty_4 = 1;
pub const TF_LEVEL_V4: _bindgen_ty_4 = 2;
pub const TF_LEVEL_NEON: _bindgen_ty_4 = 3;
pub const TF_LEVELS: _bindgen_ty_4 = 4;
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of tf_array"][::core::mem::size_of::<tf_array>() - 32usize];
    ["Alignment of tf_array"][::core::mem::align_of::<tf_array>() - 8usize];
    ["Offset of field: tf_array::data"][::core::mem::offset_of!(tf_array, data) - 0usize];
    ["Offset of field: tf_array::rows"][::core::mem::offset_of!(tf_array, rows) - 8usize];
    ["Offset of field: tf_array::row_stride"]
        [::core::mem::offset_of!(tf_array, row_stride) - 16usize];
    ["Offset of field: tf_array::col_stride"]
        [::core::mem::offset_of!(tf_array, col_stride) - 24usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of tf_value"][::core::mem::size_of::<tf_value>() - 24usize];
    ["Alignment of tf_value"][::core::mem::align_of::<tf_value>() - 8usize];
    ["Offset of field: tf_value::name"][::core::mem::offset_of!(tf_value, name) - 0usize];
    ["Offset of field: tf_value::axis"][::core::mem::offset_of!(tf_value, axis) - 8usize];
    ["Offset of field: tf_value::dim"][::core::mem::offset_of!(tf_value, dim) - 12usize];
    ["Offset of field: tf_value::kind"][::core::mem::offset_of!(tf_value, kind) - 16usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of tf_cpu_stage"][::core::mem::size_of::<tf_cpu_stage>() - 80usize];
    ["Alignment of tf_cpu_stage"][::core::mem::align_of::<tf_cpu_stage>() - 8usize];
    ["Offset of field: tf_cpu_stage::lanes"][::core::mem::offset_of!(tf_cpu_stage, lanes) - 0usize];
    ["Offset of field: tf_cpu_stage::row_words"]
        [::core::mem::offset_of!(tf_cpu_stage, row_words) - 4usize];
    ["Offset of field: tf_cpu_stage::col_words"]
        [::core::mem::offset_of!(tf_cpu_stage, col_words) - 8usize];
    ["Offset of field: tf_cpu_stage::param_words"]
        [::core::mem::offset_of!(tf_cpu_stage, param_words) - 12usize];
    ["Offset of field: tf_cpu_stage::state_bytes"]
        [::core::mem::offset_of!(tf_cpu_stage, state_bytes) - 16usize];
    ["Offset of field: tf_cpu_stage::params"]
        [::core::mem::offset_of!(tf_cpu_stage, params) - 24usize];
    ["Offset of field: tf_cpu_stage::rows"][::core::mem::offset_of!(tf_cpu_stage, rows) - 32usize];
    ["Offset of field: tf_cpu_stage::cols"][::core::mem::offset_of!(tf_cpu_stage, cols) - 40usize];
    ["Offset of field: tf_cpu_stage::init"][::core::mem::offset_of!(tf_cpu_stage, init) - 48usize];
    ["Offset of field: tf_cpu_stage::block"]
        [::core::mem::offset_of!(tf_cpu_stage, block) - 56usize];
    ["Offset of field: tf_cpu_stage::merge"]
        [::core::mem::offset_of!(tf_cpu_stage, merge) - 64usize];
    ["Offset of field: tf_cpu_stage::finish"]
        [::core::mem::offset_of!(tf_cpu_stage, finish) - 72usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of tf_cuda_stage"][::core::mem::size_of::<tf_cuda_stage>() - 40usize];
    ["Alignment of tf_cuda_stage"][::core::mem::align_of::<tf_cuda_stage>() - 8usize];
    ["Offset of field: tf_cuda_stage::rows_entry"]
        [::core::mem::offset_of!(tf_cuda_stage, rows_entry) - 0usize];
    ["Offset of field: tf_cuda_stage::finish_entry"]
        [::core::mem::offset_of!(tf_cuda_stage, finish_entry) - 8usize];
    ["Offset of field: tf_cuda_stage::threads"]
        [::core::mem::offset_of!(tf_cuda_stage, threads) - 16usize];
    ["Offset of field: tf_cuda_stage::rows_per_block"]
        [::core::mem::offset_of!(tf_cuda_stage, rows_per_block) - 20usize];
    ["Offset of field: tf_cuda_stage::tile_cols"]
        [::core::mem::offset_of!(tf_cuda_stage, tile_cols) - 24usize];
    ["Offset of field: tf_cuda_stage::shared_bytes"]
        [::core::mem::offset_of!(tf_cuda_stage, shared_bytes) - 28usize];
    ["Offset of field: tf_cuda_stage::state_bytes"]
        [::core::mem::offset_of!(tf_cuda_stage, state_bytes) - 32usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of tf_stage"][::core::mem::size_of::<tf_stage>() - 112usize];
    ["Alignment of tf_stage"][::core::mem::align_of::<tf_stage>() - 8usize];
    ["Offset of field: tf_stage::row_axis"][::core::mem::offset_of!(tf_stage, row_axis) - 0usize];
    ["Offset of field: tf_stage::col_axis"][::core::mem::offset_of!(tf_stage, col_axis) - 4usize];
    ["Offset of field: tf_stage::least_cols"]
        [::core::mem::offset_of!(tf_stage, least_cols) - 8usize];
    ["Offset of field: tf_stage::uses_pos"][::core::mem::offset_of!(tf_stage, uses_pos) - 12usize];
    ["Offset of field: tf_stage::n_writes"][::core::mem::offset_of!(tf_stage, n_writes) - 16usize];
    ["Offset of field: tf_stage::writes"][::core::mem::offset_of!(tf_stage, writes) - 24usize];
    ["Offset of field: tf_stage::pair_ops"][::core::mem::offset_of!(tf_stage, pair_ops) - 32usize];
    ["Offset of field: tf_stage::cpu"][::core::mem::offset_of!(tf_stage, cpu) - 40usize];
    ["Offset of field: tf_stage::cuda"][::core::mem::offset_of!(tf_stage, cuda) - 72usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of tf_kernel"][::core::mem::size_of::<tf_kernel>() - 112usize];
    ["Alignment of tf_kernel"][::core::mem::align_of::<tf_kernel>() - 8usize];
    ["Offset of field: tf_kernel::magic"][::core::mem::offset_of!(tf_kernel, magic) - 0usize];
    ["Offset of field: tf_kernel::abi_version"]
        [::core::mem::offset_of!(tf_kernel, abi_version) - 4usize];
    ["Offset of field: tf_kernel::size"][::core::mem::offset_of!(tf_kernel, size) - 8usize];
    ["Offset of field: tf_kernel::dtype"][::core::mem::offset_of!(tf_kernel, dtype) - 12usize];
    ["Offset of field: tf_kernel::key"][::core::mem::offset_of!(tf_kernel, key) - 16usize];
    ["Offset of field: tf_kernel::name"][::core::mem::offset_of!(tf_kernel, name) - 48usize];
    ["Offset of field: tf_kernel::text"][::core::mem::offset_of!(tf_kernel, text) - 56usize];
    ["Offset of field: tf_kernel::n_inputs"]
        [::core::mem::offset_of!(tf_kernel, n_inputs) - 64usize];
    ["Offset of field: tf_kernel::n_temps"][::core::mem::offset_of!(tf_kernel, n_temps) - 68usize];
    ["Offset of field: tf_kernel::n_outputs"]
        [::core::mem::offset_of!(tf_kernel, n_outputs) - 72usize];
    ["Offset of field: tf_kernel::n_stages"]
        [::core::mem::offset_of!(tf_kernel, n_stages) - 76usize];
    ["Offset of field: tf_kernel::values"][::core::mem::offset_of!(tf_kernel, values) - 80usize];
    ["Offset of field: tf_kernel::stages"][::core::mem::offset_of!(tf_kernel, stages) - 88usize];
    ["Offset of field: tf_kernel::image"][::core::mem::offset_of!(tf_kernel, image) - 96usize];
    ["Offset of field: tf_kernel::image_bytes"]
        [::core::mem::offset_of!(tf_kernel, image_bytes) - 104usize];
};
