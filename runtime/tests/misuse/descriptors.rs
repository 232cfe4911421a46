//! Bad descriptors, and libraries that are stale: each is refused when it is loaded, before any
//! of its code runs.

use std::mem;

use tilefold::{Code, Dtype, Error, Formula, Instance, Kernel, select, sys};

use crate::fake::code::Real;
use crate::{fake, misuse};
use fake::{I, ONE, Spec};

/// A spoilt descriptor: words of the error, and how it is spoilt.
type Spoil = (&'static str, fn(&mut Spec));

#[track_caller]
fn spoilt(code: Code, (words, spoil): Spoil) {
    let mut spec = fake::dot_spec::<f32>();
    spoil(&mut spec);
    spec.kernel.n_stages = spec.kernel.n_stages.min(1) * spec.stages.len() as u32;
    // SAFETY: counts and pointers are right, or the check must see that they are not.
    let error = unsafe { Kernel::from_raw(spec.leak()) }.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().contains(words), "{words:?} is not in:\n{error}");
    assert!(!error.helps().is_empty(), "{error}");
}

fn code_of(spec: &mut Spec, spoil: fn(&mut sys::tf_cpu_stage)) {
    // SAFETY: the stage's code was leaked by `Spec::stage`.
    let mut code = unsafe { *spec.stages[0].cpu[0] };
    spoil(&mut code);
    spec.stages[0].cpu[0] = Box::leak(Box::new(code));
}

/// Gives the stage code for few rows, which is that for many but for `spoil`.
fn few_of(spec: &mut Spec, spoil: fn(&mut sys::tf_cpu_stage)) {
    // SAFETY: as above.
    let mut few = unsafe { *spec.stages[0].cpu[0] };
    spoil(&mut few);
    let few: *const sys::tf_cpu_stage = Box::leak(Box::new(few));
    // SAFETY: as above.
    let many = unsafe { *spec.stages[0].cpu[0] };
    spec.stages[0].cpu[0] = Box::leak(Box::new(sys::tf_cpu_stage { few, few_rows: 3, ..many }));
}

/// Launch facts are read where there is an image.
fn with_image(spec: &mut Spec, spoil: fn(&mut sys::tf_cuda_stage)) {
    spoil(&mut spec.stages[0].cuda);
    // SAFETY: made by `fake`; without an image the launch facts are not read.
    unsafe { Kernel::from_raw(spec.clone().leak()) }.unwrap();
    (spec.kernel.image, spec.kernel.image_bytes) = (c"image".as_ptr().cast(), 5);
}

misuse! { spoilt;
    misuse_descriptor_magic NotAKernel ("it begins with 0x00000000", |s| s.kernel.magic = 0),
    misuse_descriptor_version AbiVersion
        ("has ABI version 9, but this runtime has 4", |s| s.kernel.abi_version = 9),
    misuse_descriptor_size Descriptor ("`size` is 100 bytes", |s| s.kernel.size = 100),
    misuse_descriptor_dtype Descriptor ("`dtype` is 4", |s| s.kernel.dtype = 4),
    misuse_descriptor_null_name Descriptor ("`name` is null", |s| s.kernel.name = std::ptr::null()),
    misuse_descriptor_empty_name Descriptor ("`name` is empty", |s| s.kernel.name = c"".as_ptr()),
    misuse_descriptor_name_not_utf8 Descriptor
        ("`name` is not UTF-8", |s| s.kernel.name = c"\xff".as_ptr()),
    misuse_descriptor_null_text Descriptor
        ("dot: the descriptor is damaged", |s| s.kernel.text = std::ptr::null()),
    misuse_descriptor_no_outputs Descriptor ("`n_outputs` is 0", |s| s.kernel.n_outputs = 0),
    misuse_descriptor_no_stages Descriptor ("`n_stages` is 0", |s| s.kernel.n_stages = 0),
    misuse_descriptor_too_many_values Descriptor
        ("it has 4294967299 values", |s| s.kernel.n_temps = u32::MAX),
    misuse_descriptor_image_without_bytes Descriptor
        ("`image` does not fit `image_bytes` = 3", |s| s.kernel.image_bytes = 3),
    misuse_descriptor_null_value_name Descriptor
        ("the name of value 1 is null", |s| s.values[1].name = std::ptr::null()),
    misuse_descriptor_same_value_names Descriptor
        ("two values are called `x`", |s| s.values[1].name = c"x".as_ptr()),
    misuse_descriptor_axis Descriptor ("`x` has axis 3", |s| s.values[0].axis = 3),
    misuse_descriptor_no_columns Descriptor ("`x` has 0 columns", |s| s.values[0].dim = 0),
    misuse_descriptor_kind Descriptor ("`x` has kind 3", |s| s.values[0].kind = 3),
    misuse_descriptor_output_kind Descriptor ("`a` has kind 3", |s| s.values[3].kind = 3),
    misuse_descriptor_odd_complex Descriptor
        ("`a` is complex, but has 1", |s| s.values[3].kind = sys::TF_COMPLEX),
    misuse_descriptor_stage_axes Descriptor ("stage 0: axes 5 and 1", |s| s.stages[0].row_axis = 5),
    misuse_descriptor_reduced_rows Descriptor
        ("its rows are the reduced index", |s| s.stages[0].col_axis = I),
    misuse_descriptor_rows_of_other_axis Descriptor
        ("whose rows have another axis", |s| s.stages[0].row_axis = ONE),
    misuse_descriptor_nan_operations Descriptor
        ("`pair_ops` is NaN", |s| s.stages[0].pair_ops = f64::NAN),
    misuse_descriptor_negative_operations Descriptor
        ("`pair_ops` is -1", |s| s.stages[0].pair_ops = -1.0),
    misuse_descriptor_no_writes Descriptor ("`n_writes` is 0", |s| s.stages[0].n_writes = 0),
    misuse_descriptor_null_writes Descriptor
        ("`writes` is 0x0", |s| s.stages[0].writes = std::ptr::null()),
    misuse_descriptor_writes_input Descriptor ("it writes value 2", |s| s.stages[0].writes = &2),
    misuse_descriptor_writes_past_values Descriptor
        ("outputs are 3..4", |s| s.stages[0].writes = &4),
    misuse_descriptor_writes_twice Descriptor
        ("stage 1: value 3 is written twice", |s| s.stages.push(s.stages[0])),
    misuse_descriptor_no_lanes Descriptor
        ("level 0: `lanes` is 0", |s| code_of(s, |c| c.lanes = 0)),
    misuse_descriptor_too_many_lanes Descriptor
        ("`lanes` is 1048576", |s| code_of(s, |c| c.lanes = 1 << 20)),
    misuse_descriptor_odd_state Descriptor
        ("not a multiple of 64", |s| code_of(s, |c| c.state_bytes = 63)),
    misuse_descriptor_no_state Descriptor
        ("`state_bytes` is 0", |s| code_of(s, |c| c.state_bytes = 0)),
    misuse_descriptor_no_params Descriptor
        ("`params`, `rows` or `finish`", |s| code_of(s, |c| c.params = None)),
    misuse_descriptor_no_merge Descriptor
        ("or `merge` is null", |s| code_of(s, |c| c.merge = None)),
    misuse_few_rows_lanes Descriptor ("few rows: `lanes` is 4", |s| few_of(s, |_| ())),
    misuse_few_rows_of_few_rows Descriptor
        ("or `few` is not null", |s| few_of(s, |c| (c.lanes, c.few) = (1, &raw const *c))),
    misuse_few_rows_params Descriptor
        ("few rows: `param_words` is not", |s| few_of(s, |c| (c.lanes, c.param_words) = (1, 7))),
    misuse_few_rows_null_block Descriptor
        ("few rows: `cols`, `init`, `block`", |s| few_of(s, |c| c.block = None)),
    misuse_launch_null_finish_entry Descriptor
        ("`finish_entry` is null", |s| with_image(s, |c| c.finish_entry = std::ptr::null())),
    misuse_launch_null_rows_entry Descriptor
        ("`rows_entry` must be there", |s| with_image(s, |c| c.rows_entry = std::ptr::null())),
    misuse_launch_empty_rows_entry Descriptor
        ("`rows_entry` is empty", |s| with_image(s, |c| c.rows_entry = c"".as_ptr())),
    misuse_launch_null_tiles_entry Descriptor
        ("`tiles_entry` must be there", |s| with_image(s, |c| c.tiles_entry = std::ptr::null())),
    misuse_launch_empty_tiles_entry Descriptor
        ("`tiles_entry` is empty", |s| with_image(s, |c| c.tiles_entry = c"".as_ptr())),
    misuse_launch_no_threads Descriptor ("`threads` is 0", |s| with_image(s, |c| c.threads = 0)),
    misuse_launch_too_many_threads Descriptor
        ("`threads` is 1025", |s| with_image(s, |c| c.threads = 1025)),
    misuse_launch_no_rows_per_block Descriptor
        ("`rows_per_block` or `tile_cols` is 0", |s| with_image(s, |c| c.rows_per_block = 0)),
    misuse_launch_no_tile Descriptor
        ("`rows_per_block` or `tile_cols` is 0", |s| with_image(s, |c| c.tile_cols = 0)),
    misuse_descriptor_unwritten_output Descriptor ("no stage writes value 4", |s| {
        (s.kernel.n_temps, s.kernel.n_outputs) = (1, 1);
        s.values.push(sys::tf_value { name: c"t".as_ptr(), axis: I, dim: 1, kind: 0 });
    }),
}

/// What is no descriptor at all, and libraries of another formula or another build.
pub mod stale {
    use super::*;

    #[track_caller]
    fn refused(code: Code, bad: fn() -> Result<(), Error>) {
        let error = bad().unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(!error.helps().is_empty(), "{error}");
    }

    /// The descriptor at an address.
    fn at(address: *const sys::tf_kernel) -> Result<(), Error> {
        // SAFETY: null, odd, or 256 readable bytes that are no descriptor.
        unsafe { Kernel::from_raw(address) }.map(drop)
    }

    fn words() -> *const sys::tf_kernel {
        static WORDS: [u64; 32] = [0; 32];
        const { assert!(mem::size_of::<sys::tf_kernel>() <= 256) };
        WORDS.as_ptr().cast()
    }

    fn selected<T: Real>(key: [u8; 32], said: Dtype, asked: (usize, Dtype)) -> Result<(), Error> {
        // SAFETY: `fake` made the descriptor, and it stays in place.
        let raw = unsafe { Instance::new(&[2], said, key, fake::dot_spec::<T>().leak()) };
        let formula = Formula {
            name: "dot",
            file: "formulas/dot.fold",
            generics: &["D"],
            instances: Box::leak(Box::new([raw])),
        };
        select(&formula, asked.1, &[("x", asked.0)]).map(drop)
    }

    misuse! { refused;
        misuse_null_descriptor NotAKernel || at(std::ptr::null()),
        misuse_odd_descriptor NotAKernel || at(words().cast::<u8>().wrapping_add(4).cast()),
        misuse_zeros_as_descriptor NotAKernel || at(words()),
        misuse_other_key Key || fake::dot::<f32>().expect_key(&[8; 32]),
        misuse_stale_library Key || selected::<f32>([8; 32], Dtype::F32, (2, Dtype::F32)),
        misuse_library_of_other_dtype Descriptor
            || selected::<f32>([7; 32], Dtype::F64, (2, Dtype::F64)),
        misuse_dimension_not_compiled Instance
            || selected::<f32>([7; 32], Dtype::F32, (3, Dtype::F32)),
        misuse_dtype_not_compiled Instance
            || selected::<f32>([7; 32], Dtype::F32, (2, Dtype::F16)),
    }
}
